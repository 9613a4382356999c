//! Which node listens where, knows whom and shows which token: the configurations of a cluster.
//!
//! Only what differs from a node's own defaults stands here. Surprising: each pair of nodes has a token of its own in each
//! direction, as a deployment should, though here one process knows them all.

use std::{collections::BTreeMap, net::SocketAddr};

use musubi_domain::{guess::Limits, id::CarrierId};
use musubi_runtime::{
    config::{Endpoint, Secret},
    entropy,
};
use serde_json::{Value, json};

use super::{CompanyPlan, Door, Doors, Plan};

/// The file name of the information-management server's database, by which a used data folder is known.
pub const INFORMATION_DATABASE: &str = "information.db";
/// What the files of the two nodes that there is one of are called.
pub(super) const INFORMATION: &str = "information";
pub(super) const TERMINAL: &str = "terminal";
/// What carriers know the phones by.
const FLEET: &str = "fleet-1";

/// Where everybody listens, in the order of the plan.
pub(super) struct Addresses {
    pub(super) companies: Vec<SocketAddr>,
    pub(super) carriers: Vec<SocketAddr>,
    pub(super) information: SocketAddr,
    pub(super) terminal: SocketAddr,
}

/// A plan with addresses and secrets.
pub(super) struct Layout<'a> {
    plan: &'a Plan,
    addresses: &'a Addresses,
    /// Those that are no files, by the name of the node's files.
    databases: &'a BTreeMap<String, String>,
    companies: Vec<Tokens>,
    carriers: Vec<Tokens>,
    /// Of whoever plays stories.
    operator: String,
}

/// The tokens between a node and those around it.
struct Tokens {
    /// Shown to the information-management server.
    to_information: String,
    /// Shown by it.
    from_information: String,
    /// Shown by those in front: a company's operators, a carrier's terminals.
    in_front: String,
}

impl Tokens {
    fn draw() -> Self {
        Self { to_information: secret(), from_information: secret(), in_front: secret() }
    }
}

impl<'a> Layout<'a> {
    /// Draws fresh secrets.
    pub(super) fn new(
        plan: &'a Plan,
        addresses: &'a Addresses,
        databases: &'a BTreeMap<String, String>,
    ) -> Self {
        Self {
            plan,
            addresses,
            databases,
            companies: plan.companies.iter().map(|_| Tokens::draw()).collect(),
            carriers: plan.carriers.iter().map(|_| Tokens::draw()).collect(),
            operator: secret(),
        }
    }

    /// Where the cluster is called from outside.
    pub(super) fn doors(&self) -> Doors {
        let door =
            |address, token: &String| Door { endpoint: Endpoint::local(address), token: Secret::new(token) };
        let companies = self.addresses.companies.iter().zip(&self.companies);
        Doors {
            companies: companies.map(|(address, tokens)| door(*address, &tokens.in_front)).collect(),
            terminal: door(self.addresses.terminal, &self.operator),
        }
    }

    /// What the `index`th company's files are called.
    pub(super) fn company_name(&self, index: usize) -> String {
        company_name(&self.plan.companies[index])
    }

    /// What the `index`th carrier's files are called.
    pub(super) fn carrier_name(&self, index: usize) -> String {
        carrier_name(&self.plan.carriers[index])
    }

    /// The configuration of the `index`th company server.
    pub(super) fn company(&self, index: usize) -> Value {
        let (company, tokens) = (&self.plan.companies[index], &self.companies[index]);
        json!({
            "company": company.company,
            "matching": company.matching.as_str(),
            "listen": self.addresses.companies[index],
            "database": self.database(&self.company_name(index)),
            "information": { "endpoint": self.information_endpoint(), "token": tokens.to_information },
            "callers": { "information": [tokens.from_information], "operators": { "operator": tokens.in_front } },
            "account": {
                "account_digits": company.format.account_digits,
                "branch_digits": company.format.branch_digits,
            },
            "telemetry": { "filter": "warn" },
        })
    }

    /// The configuration of the `index`th carrier.
    pub(super) fn carrier(&self, index: usize) -> Value {
        let tokens = &self.carriers[index];
        json!({
            "carrier": self.plan.carriers[index],
            "listen": self.addresses.carriers[index],
            "database": self.database(&self.carrier_name(index)),
            "information": { "endpoint": self.information_endpoint(), "token": tokens.to_information },
            "callers": { "information": tokens.from_information, "terminal": tokens.in_front },
            "telemetry": { "filter": "warn" },
        })
    }

    /// The configuration of the information-management server.
    pub(super) fn information(&self) -> Value {
        let Plan { companies, carriers, followers, .. } = self.plan;
        let company = |(index, company): (usize, &CompanyPlan)| {
            let tokens = &self.companies[index];
            json!({
                "id": company.company,
                "token": tokens.to_information,
                "matching": company.matching.as_str(),
                "endpoint": Endpoint::local(self.addresses.companies[index]).as_str(),
                "endpoint_token": tokens.from_information,
                "account_digits": company.format.account_digits,
                "branch_digits": company.format.branch_digits,
                // All that fig. 9 offers; documents are too weak for more than a review.
                "methods": ["jpki", "carrier", "document"],
                // Stories of strangers are many on purpose; the limits of one follower and one number still hold.
                "company_limit": u64::from(Limits::default().company) + followers * 3,
            })
        };
        let account = |company: &CompanyPlan| {
            json!({
                "id": company.official_account,
                "company": company.company,
                "display_name": company.display_name,
                "carriers": carriers,
            })
        };
        let carrier = |(index, id): (usize, &CarrierId)| {
            let tokens = &self.carriers[index];
            json!({
                "id": id,
                "endpoint": Endpoint::local(self.addresses.carriers[index]).as_str(),
                "endpoint_token": tokens.from_information,
                "token": tokens.to_information,
                "verification_url": format!("https://{{method}}.{id}.musubi.test/verify"),
            })
        };
        json!({
            "listen": self.addresses.information,
            "database": self.database(INFORMATION),
            "keys": { "follower": secret(), "token": secret(), "review": [secret()], "audit": [secret()] },
            // Often enough to be seen in a small run, seldom enough to cost a large one nothing.
            "lists": { "every": format!("{}s", 2 + followers / 2_000) },
            "company": companies.iter().enumerate().map(company).collect::<Vec<_>>(),
            "official_account": companies.iter().map(account).collect::<Vec<_>>(),
            "carrier": carriers.iter().enumerate().map(carrier).collect::<Vec<_>>(),
            "telemetry": { "filter": "warn" },
        })
    }

    /// The configuration of the terminals.
    pub(super) fn terminal(&self) -> Value {
        let carrier = |(index, id): (usize, &CarrierId)| {
            json!({
                "id": id,
                "endpoint": Endpoint::local(self.addresses.carriers[index]).as_str(),
                "token": self.carriers[index].in_front,
            })
        };
        json!({
            "server": { "listen": self.addresses.terminal },
            "database": self.database(TERMINAL),
            "fleet": { "name": FLEET },
            "callers": { "operators": [self.operator] },
            "carrier": self.plan.carriers.iter().enumerate().map(carrier).collect::<Vec<_>>(),
            "telemetry": { "filter": "warn" },
        })
    }

    fn database(&self, name: &str) -> Value {
        match self.databases.get(name) {
            Some(address) => json!({ "url": address }),
            None => json!(self.plan.folder.join(format!("{name}.db"))),
        }
    }

    fn information_endpoint(&self) -> String {
        Endpoint::local(self.addresses.information).as_str().to_owned()
    }
}

/// What every node's files are called.
pub(super) fn names(plan: &Plan) -> Vec<String> {
    let nodes = [INFORMATION, TERMINAL].map(str::to_owned);
    let companies = plan.companies.iter().map(company_name);
    nodes.into_iter().chain(companies).chain(plan.carriers.iter().map(carrier_name)).collect()
}

fn company_name(company: &CompanyPlan) -> String {
    format!("company-{}", company.company)
}

fn carrier_name(carrier: &CarrierId) -> String {
    format!("carrier-{carrier}")
}

/// 32 hexadecimal digits that nobody can guess.
pub(crate) fn secret() -> String {
    entropy::bytes::<16>().iter().map(|byte| format!("{byte:02x}")).collect()
}
