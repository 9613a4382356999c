//! Which node listens where, knows whom and has which certificate: the configurations of a cluster.
//!
//! Only what differs from a node's own defaults stands here. Surprising: each node has a certificate of its own, as a deployment
//! should, though here one process holds all keys.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf};

use musubi_domain::{
    Error,
    approval::Act,
    caller::{Caller, Role},
    guess::Limits,
    id::{CarrierId, OperatorName},
};
use musubi_runtime::{config::Endpoint, entropy, tls::authority::Authority};
use serde_json::{Value, json};

use super::{CompanyPlan, Door, Doors, Plan};

/// The file name of the information-management server's database, by which a used data folder is known.
pub const INFORMATION_DATABASE: &str = "information.db";
/// What the files of the two nodes that there is one of are called.
pub(super) const INFORMATION: &str = "information";
pub(super) const TERMINAL: &str = "terminal";
/// What carriers know the phones by.
const FLEET: &str = "fleet-1";
/// Who operates a node from outside.
const OPERATOR: &str = "operator";

/// Where everybody listens, in the order of the plan.
pub(super) struct Addresses {
    pub(super) companies: Vec<SocketAddr>,
    pub(super) carriers: Vec<SocketAddr>,
    pub(super) information: SocketAddr,
    /// Scheme, address, port.
    pub(super) webhooks: String,
    pub(super) terminal: SocketAddr,
}

/// A plan with addresses, and an authority that issues everybody's certificates.
pub(super) struct Layout<'a> {
    plan: &'a Plan,
    addresses: &'a Addresses,
    /// Those that are no files, by the name of the node's files.
    databases: &'a BTreeMap<String, String>,
    authority: Authority,
    /// Where the carriers that speak RCS Business Messaging do it, once they are built.
    pub(super) faces: Vec<String>,
    /// What their webhooks are signed with.
    client_token: String,
}

impl<'a> Layout<'a> {
    /// Makes the authority, in the plan's folder.
    ///
    /// # Errors
    /// When the folder can't be written to, or has one already.
    pub(super) fn new(
        plan: &'a Plan,
        addresses: &'a Addresses,
        databases: &'a BTreeMap<String, String>,
    ) -> Result<Self, Error> {
        let authority = Authority::temporary(&plan.folder.join("tls"))?;
        Ok(Self { plan, addresses, databases, authority, faces: Vec::new(), client_token: secret() })
    }

    /// Where the cluster is called from outside.
    ///
    /// # Errors
    /// When a certificate can't be written.
    pub(super) fn doors(&self) -> Result<Doors, Error> {
        let operator: OperatorName = OPERATOR.parse()?;
        let door = |address, node, operator| {
            Ok::<_, Error>(Door {
                endpoint: Endpoint::local(address),
                node,
                operator: self.authority.identity(&operator)?,
            })
        };
        let companies = self.addresses.companies.iter().zip(&self.plan.companies);
        let companies = companies.map(|(address, CompanyPlan { company, .. })| {
            let operator = Caller::CompanyOperator(company.clone(), operator.clone());
            door(*address, Caller::Company(company.clone()), operator)
        });
        Ok(Doors {
            companies: companies.collect::<Result<_, _>>()?,
            terminal: door(
                self.addresses.terminal,
                Caller::Terminal,
                Caller::TerminalOperator(operator.clone()),
            )?,
            consoles: Vec::new(),
            phones: None,
        })
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
    pub(super) fn company(&self, index: usize) -> Result<Value, Error> {
        let company = &self.plan.companies[index];
        let mut configuration = json!({
            "company": company.company,
            "matching": company.matching.as_str(),
            "listen": self.addresses.companies[index],
            "database": self.database(&self.company_name(index)),
            "information": { "endpoint": self.information_endpoint() },
            "tls": self.authority.issue_temporary(&Caller::Company(company.company.clone()))?,
            "callers": { "operators": { OPERATOR: Role::ALL } },
            "keys": { "master": [master()], "audit": [secret()] },
            "custody": { "blind": company.matching.entrusts().1 },
            "account": {
                "account_digits": company.format.account_digits,
                "branch_digits": company.format.branch_digits,
            },
            "telemetry": { "filter": "warn" },
        });
        if let Some(pages) = &self.plan.pages {
            configuration["console"] = json!({ "listen": pages.consoles[index] });
        }
        Ok(configuration)
    }

    /// The configuration of the `index`th carrier.
    pub(super) fn carrier(&self, index: usize) -> Result<Value, Error> {
        let mut carrier = json!({
            "carrier": self.plan.carriers[index],
            "listen": self.addresses.carriers[index],
            "database": self.database(&self.carrier_name(index)),
            "information": { "endpoint": self.information_endpoint() },
            "tls": self.authority.issue_temporary(&Caller::Carrier(self.plan.carriers[index].clone()))?,
            "telemetry": { "filter": "warn" },
        });
        if index < self.plan.rbm {
            let webhooks = format!("{}/rbm/{}", self.addresses.webhooks, self.plan.carriers[index]);
            let agent = |company: &CompanyPlan| {
                json!({
                    "id": agent(company),
                    "official_account": company.official_account,
                    "display_name": company.display_name,
                    "use_case": "MULTI_USE",
                })
            };
            carrier["rbm"] = json!({
                "listen": "127.0.0.1:0",
                "service_account_file": self.service_account(index),
                "partner": { "url": webhooks, "client_token": self.client_token },
                "agent": self.plan.companies.iter().map(agent).collect::<Vec<_>>(),
            });
        }
        Ok(carrier)
    }

    /// The configuration of the information-management server.
    pub(super) fn information(&self) -> Result<Value, Error> {
        let Plan { companies, carriers, followers, pages, .. } = self.plan;
        let company = |(index, company): (usize, &CompanyPlan)| {
            json!({
                "id": company.company,
                "matching": company.matching.as_str(),
                "endpoint": Endpoint::local(self.addresses.companies[index]).as_str(),
                "account_digits": company.format.account_digits,
                "branch_digits": company.format.branch_digits,
                "link_hosts": [format!("{}.example", company.official_account)],
                // All that fig. 9 offers; documents are too weak for more than a review.
                "methods": ["jpki", "carrier", "document"],
                // Stories of strangers are many on purpose; the limits of one follower and one number still hold.
                "company_limit": u64::from(Limits::default().company) + followers * 3,
                // There is one operator, who prepares and starts; where people come, two of them are signed in.
                "second_person": if pages.is_some() { json!(Act::ALL) } else { json!([]) },
                "second_person_above": 1_000_000_000,
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
        let agent = |company: &CompanyPlan| json!({ "official_account": company.official_account, "id": agent(company) });
        let carrier = |(index, id): (usize, &CarrierId)| {
            let mut carrier = json!({
                "id": id,
                "endpoint": Endpoint::local(self.addresses.carriers[index]).as_str(),
                "verification_url": format!("https://{{method}}.{id}.musubi.test/verify"),
            });
            if let Some(face) = self.faces.get(index) {
                carrier["rbm"] = json!({
                    "api": face,
                    "service_account": self.service_account(index),
                    "client_tokens": [self.client_token],
                    "agent": companies.iter().map(agent).collect::<Vec<_>>(),
                });
            }
            carrier
        };
        let mut information = json!({
            "listen": self.addresses.information,
            "database": self.database(INFORMATION),
            "tls": self.authority.issue_temporary(&Caller::Information)?,
            "keys": { "follower": secret(), "token": secret(), "master": [master()], "audit": [secret()] },
            "erasure": { "journal": self.plan.folder.join("erasures") },
            // Often enough to be seen in a small run, seldom enough to cost a large one nothing.
            "lists": { "every": format!("{}s", 2 + followers / 2_000) },
            "company": companies.iter().enumerate().map(company).collect::<Vec<_>>(),
            "official_account": companies.iter().map(account).collect::<Vec<_>>(),
            "carrier": carriers.iter().enumerate().map(carrier).collect::<Vec<_>>(),
            "telemetry": { "filter": "warn" },
        });
        if self.plan.rbm > 0 {
            // Taken already; this is for whoever starts the node again by itself.
            information["webhooks"] =
                json!({ "listen": self.addresses.webhooks.trim_start_matches("http://") });
        }
        Ok(information)
    }

    /// The configuration of the terminals.
    pub(super) fn terminal(&self) -> Result<Value, Error> {
        let carrier = |(index, id): (usize, &CarrierId)| {
            json!({
                "id": id,
                "endpoint": Endpoint::local(self.addresses.carriers[index]).as_str(),
            })
        };
        let mut configuration = json!({
            "server": { "listen": self.addresses.terminal },
            "tls": self.authority.issue_temporary(&Caller::Terminal)?,
            "database": self.database(TERMINAL),
            "fleet": { "name": FLEET },
            "callers": { "operators": [OPERATOR] },
            "carrier": self.plan.carriers.iter().enumerate().map(carrier).collect::<Vec<_>>(),
            "telemetry": { "filter": "warn" },
        });
        if let Some(pages) = &self.plan.pages {
            configuration["pages"] = json!({ "listen": pages.phones });
            configuration["fleet"]["people"] = json!(pages.people);
        }
        Ok(configuration)
    }

    /// What the `index`th carrier lets this cluster's information-management server in by.
    fn service_account(&self, index: usize) -> PathBuf {
        self.plan.folder.join(format!("{}-account.json", self.carrier_name(index)))
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

/// A company's agent in RCS Business Messaging.
fn agent(company: &CompanyPlan) -> String {
    format!("{}_agent", company.official_account.as_str().replace('-', "_"))
}

/// A master key.
fn master() -> String {
    secret() + &secret()
}

/// 32 hexadecimal digits that nobody can guess.
pub(crate) fn secret() -> String {
    entropy::bytes::<16>().iter().map(|byte| format!("{byte:02x}")).collect()
}
