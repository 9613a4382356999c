//! Who there is, and the configuration file of each: two companies, one of them in custody, the information-management
//! server, two carriers, one fleet of terminals.
//!
//! Only what has no default or what a short play needs otherwise. Surprising: subscriber lists are fetched every two seconds, so
//! that nodes die in the middle of that, too; unless a test asks for quiet.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};

use aws_lc_rs::{
    encoding::{AsDer as _, Pkcs8V1Der, PublicKeyX509Der},
    rsa,
    signature::KeyPair as _,
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use musubi_domain::caller::{Caller, Role};
use musubi_runtime::{
    config::Endpoint,
    tls::{
        Identity, TlsConfig,
        authority::{self, Authority},
    },
};
use serde_json::json;

use crate::openid::{CLIENT_ID, CLIENT_SECRET};

use super::{
    balancer::Balancer,
    ports::free_ports,
    process::{Kind, Process},
};

/// A company; its official account has the same name. Where it is matched in custody, two persons approve a review.
#[derive(Clone, Copy, Debug)]
pub struct Company {
    /// Its id.
    pub id: &'static str,
    /// How it is matched.
    pub matching: &'static str,
    /// Digits of its account numbers.
    pub account_digits: u8,
    /// Digits of its branch numbers.
    pub branch_digits: u8,
}

/// The companies.
pub const COMPANIES: [Company; 2] = [
    Company { id: "aoba-bank", matching: "inquiry", account_digits: 7, branch_digits: 3 },
    Company { id: "hinata-gas", matching: "custody", account_digits: 10, branch_digits: 3 },
];
/// Digits of the longest account numbers that there may be.
pub const LONGEST_ACCOUNT: u8 = 20;
/// The carriers.
pub const CARRIERS: [&str; 2] = ["kumo", "nami"];
/// The information-management server.
pub const INFORMATION: &str = "information";
pub(super) const TERMINAL: &str = "phones";
/// More of the same, where there are replicas.
const REPLICAS: [&str; 2] = ["information-2", "information-3"];
/// What stands before them.
const BALANCER: &str = "balancer";
/// Where a carrier of RCS Business Messaging reports, and where it takes messages.
const WEBHOOKS: &str = "webhooks";
const FACE: &str = "face";
/// Whom that carrier lets send.
const SERVICE_ACCOUNT: &str = "musubi@tests.example";
/// What that carrier signs its reports with.
pub const CLIENT_TOKEN: &str = "signs what the carrier reports";
/// What all nodes are called.
pub(super) const NAMES: [&str; 6] =
    [COMPANIES[0].id, COMPANIES[1].id, CARRIERS[0], CARRIERS[1], INFORMATION, TERMINAL];
/// How many addresses there are beside those of metrics.
const ADDRESSES: usize = NAMES.len() + REPLICAS.len() + 3;
/// To a database, at most, for each node.
const CONNECTIONS: u32 = 20;
/// One person is enough for everything: most tests have one.
const ALONE: &str = "second_person = []\nsecond_person_above = 1000000000\n";
/// Every method, weak ones too.
const PAPERS: &str = "methods = ['jpki', 'carrier', 'document']\n";
/// Whoever operates a node.
pub const OPERATOR: &str = "sato";
/// Another person of a company.
pub const SECOND_OPERATOR: &str = "kato";
/// The people of a company, each with their roles: two with all, and one for each role alone.
pub const OPERATORS: [(&str, &[Role]); 7] = [
    (OPERATOR, &Role::ALL),
    (SECOND_OPERATOR, &Role::ALL),
    ("arai", &[Role::Viewer]),
    ("endo", &[Role::Editor]),
    ("goto", &[Role::Approver]),
    ("hara", &[Role::Auditor]),
    ("kubo", &[Role::Administrator]),
];

/// Where every node's files are and where it listens.
#[derive(Clone, Debug)]
pub struct Layout {
    folder: PathBuf,
    ports: [u16; 20],
    /// The addresses of those that are no files, by the node's name.
    databases: BTreeMap<&'static str, String>,
    lists_every: &'static str,
    /// Of the information-management server: what it shares, and the messages a second of each account and over each carrier.
    shared: String,
    of_account: u32,
    over_carrier: u32,
    /// Whether there are three information-management servers.
    replicated: bool,
    /// Whether copies in custody are digests.
    is_blind: bool,
    /// How much every node says, when it is not what is usual.
    says: &'static str,
    /// What a company's people do only two together.
    second_person: String,
    /// The carrier that speaks RCS Business Messaging.
    rbm: Option<&'static str>,
    /// Where spans go of everything that happens; metrics are served then, too.
    collector: Option<SocketAddr>,
    /// How often servers may be called, and when they tell what they refused.
    calls: String,
    /// Wrong account numbers at the company in custody, after which nobody is matched there.
    company_limit: Option<u32>,
    /// Whether the company that is asked lets its followers prove who they are by papers.
    has_papers: bool,
    /// Whether a company's account numbers are as long as they may be.
    has_long_accounts: bool,
    /// What says where the companies' people sign in, beside the companies' own servers.
    openid: String,
}

impl Layout {
    /// Files in this folder, ports that are free now.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            ports: free_ports(),
            databases: BTreeMap::new(),
            lists_every: "2s",
            shared: String::new(),
            of_account: 0,
            over_carrier: 0,
            replicated: false,
            is_blind: false,
            says: "",
            second_person: ALONE.to_owned(),
            rbm: None,
            collector: None,
            calls: String::new(),
            company_limit: None,
            has_papers: false,
            has_long_accounts: false,
            openid: String::new(),
        }
    }

    /// The same, with servers that each node may call so often a second.
    #[must_use]
    pub fn paced(self, calls: u32) -> Self {
        Self { calls: format!("{}calls.node_per_second = {calls}\n", self.calls), ..self }
    }

    /// The same, with a company in custody that matches nobody after so many wrong account numbers.
    #[must_use]
    pub fn guessed_at(self, limit: u32) -> Self {
        Self { company_limit: Some(limit), ..self }
    }

    /// The same, with a company that takes weak identities, too: the one that is asked.
    #[must_use]
    pub fn papers(self) -> Self {
        Self { has_papers: true, ..self }
    }

    /// The same, with account numbers at the company in custody that are as long as they may be.
    #[must_use]
    pub fn long_accounts(self) -> Self {
        Self { has_long_accounts: true, ..self }
    }

    /// Digits of a company's account numbers.
    fn account_digits(&self, company: &Company) -> u8 {
        let is_long = self.has_long_accounts && company.id == COMPANIES[1].id;
        if is_long { LONGEST_ACCOUNT } else { company.account_digits }
    }

    /// Where a carrier of RCS Business Messaging reports.
    pub(super) fn webhook(&self, carrier: &str) -> String {
        format!("http://{}/rbm/{carrier}", self.address(WEBHOOKS))
    }

    /// The same, with companies whose people may sign in at the provider of OpenID Connect of this address, by two factors.
    #[must_use]
    pub fn openid(self, issuer: &str) -> Self {
        // Nobody in these tests comes back by a browser.
        let openid = format!(
            "[sign_in.openid]\nissuer = '{issuer}'\nclient_id = '{CLIENT_ID}'\nclient_secret = '{CLIENT_SECRET}'\n\
             origin = 'http://127.0.0.1:1'\namr = ['mfa']\nmax_age = '12h'\n"
        );
        Self { openid, ..self }
    }

    /// The same, with nodes that tell this collector all that happens, and serve metrics.
    #[must_use]
    pub fn seen(self, collector: SocketAddr) -> Self {
        Self { collector: Some(collector), ..self }
    }

    /// Where a node serves its metrics.
    ///
    /// # Panics
    /// When there is no such node.
    #[must_use]
    pub fn metrics(&self, name: &str) -> SocketAddr {
        let place = NAMES.iter().chain(&REPLICAS).position(|known| *known == name).unwrap();
        (Ipv4Addr::LOCALHOST, self.ports[ADDRESSES + place]).into()
    }

    /// The same, with nodes that do nothing by themselves once everything is done.
    #[must_use]
    pub fn quiet(self) -> Self {
        Self { lists_every: "1h", calls: format!("{}calls.refusals_every = '1h'\n", self.calls), ..self }
    }

    /// The same, with lists that are fetched all the time.
    #[must_use]
    pub fn listing(self) -> Self {
        Self { lists_every: "1s", ..self }
    }

    /// The same, with limits that a play feels, and that are shared by the server of this address.
    #[must_use]
    pub fn sharing(self, url: &str) -> Self {
        self.sharing_at(url, 120)
    }

    /// The same, with a limit of so many messages a second of each account and over each carrier.
    #[must_use]
    pub fn sharing_at(self, url: &str, limit: u32) -> Self {
        Self { shared: format!("redis.url = '{url}'\n"), of_account: limit, over_carrier: limit, ..self }
    }

    /// The same, with three information-management servers on this database, which share what the server of the other address
    /// has. Companies and carriers call them by one address.
    #[must_use]
    pub fn replicated(self, database: &str, redis: &str) -> Self {
        let databases = BTreeMap::from([(INFORMATION, database.to_owned())]);
        Self { databases, shared: format!("redis.url = '{redis}'\n"), replicated: true, ..self }
    }

    /// The same, with nodes that say all that they can.
    #[must_use]
    pub fn talkative(self) -> Self {
        Self { says: "telemetry.filter = 'trace'\n", ..self }
    }

    /// The same, with nodes that speak JSON.
    #[must_use]
    pub fn json(self) -> Self {
        Self { says: "telemetry.format = 'json'\n", ..self }
    }

    /// The same, with companies whose people do nothing alone that may need two, and start no distribution to more followers than so many
    /// that they have prepared.
    #[must_use]
    pub fn in_pairs(self, distribution_above: u64) -> Self {
        Self { second_person: format!("second_person_above = {distribution_above}\n"), ..self }
    }

    /// The same, with a carrier that speaks RCS Business Messaging.
    ///
    /// # Panics
    /// When the folder can't be written to.
    #[must_use]
    pub fn rbm(self, carrier: &'static str) -> Self {
        let account = ServiceAccount::new();
        std::fs::write(self.service_account("pem"), account.public_key).unwrap();
        let file = json!({
            "client_email": SERVICE_ACCOUNT,
            "private_key": account.private_key,
            "token_uri": format!("http://{}/token", self.address(FACE)),
        });
        std::fs::write(self.service_account("json"), file.to_string()).unwrap();
        Self { rbm: Some(carrier), ..self }
    }

    /// How many carriers keep a list of who follows.
    pub(super) fn lists(&self) -> usize {
        CARRIERS.len() - usize::from(self.rbm.is_some())
    }

    fn service_account(&self, kind: &str) -> PathBuf {
        self.folder.join(format!("service-account.{kind}"))
    }

    /// The same, with a company in custody that entrusts nothing but digests.
    #[must_use]
    pub fn blind(self) -> Self {
        Self { is_blind: true, ..self }
    }

    /// The same, with so many messages a second over each carrier.
    #[must_use]
    pub fn limited(self, over_carrier: u32) -> Self {
        Self { over_carrier, ..self }
    }

    /// What stands before the replicas, when there are some.
    pub(super) fn balancer(&self) -> Option<Balancer> {
        let behind = || self.information_servers().map(|name| self.address(name)).collect();
        self.replicated.then(|| Balancer::start(self.address(BALANCER), behind()))
    }

    /// The same, with these databases, by the nodes' names.
    #[must_use]
    pub fn on(self, databases: &BTreeMap<&'static str, String>) -> Self {
        Self { databases: databases.clone(), ..self }
    }

    /// Every node, each with its configuration file, none started.
    ///
    /// # Panics
    /// When the folder can't be written to.
    #[must_use]
    pub fn processes(&self) -> Vec<Process> {
        let companies = COMPANIES.iter().map(|company| (Kind::Company, company.id, self.company(company)));
        let carriers = CARRIERS.iter().map(|carrier| (Kind::Carrier, *carrier, self.carrier(carrier)));
        let information =
            self.information_servers().map(|name| (Kind::Information, name, self.information(name)));
        let terminal = [(Kind::Terminal, TERMINAL, self.terminal())];
        let process = |(kind, name, configuration): (Kind, &'static str, String)| {
            let file = self.folder.join(format!("{name}.toml"));
            std::fs::write(&file, configuration).unwrap();
            let watcher = match kind {
                Kind::Company | Kind::Carrier => Caller::Information,
                Kind::Information => Self::party(COMPANIES[0].id),
                Kind::Terminal => Self::operator(OPERATOR, TERMINAL),
            };
            Process::new(kind, name, file, self.address(name), self.identity(&watcher))
        };
        companies.chain(carriers).chain(information).chain(terminal).map(process).collect()
    }

    /// Where a company server or the terminals are called.
    ///
    /// # Panics
    /// When there is no such node.
    #[must_use]
    pub fn endpoint(&self, name: &str) -> Endpoint {
        Endpoint::local(self.address(name))
    }

    /// Who a node is, by its name.
    ///
    /// # Panics
    /// When there is no such node.
    #[must_use]
    pub fn party(name: &str) -> Caller {
        match name {
            TERMINAL => Caller::Terminal,
            _ if name.starts_with(INFORMATION) => Caller::Information,
            _ if CARRIERS.contains(&name) => Caller::Carrier(name.parse().unwrap()),
            _ => Caller::Company(name.parse().unwrap()),
        }
    }

    /// Who a person is who operates a company server or the terminals.
    ///
    /// # Panics
    /// When nobody operates that node.
    #[must_use]
    pub fn operator(person: &str, name: &str) -> Caller {
        format!("{}/operator/{person}", Self::party(name)).parse().unwrap()
    }

    /// Certificate, key and authority of a party, made when it has none.
    ///
    /// # Panics
    /// When the folder can't be written to.
    #[must_use]
    pub fn certificate(&self, party: &Caller) -> TlsConfig {
        let folder = self.folder.join("tls");
        let files = authority::files(&folder, party);
        if !files.certificate.exists() {
            Authority::of(&folder).unwrap().issue_temporary(party).unwrap();
        }
        files
    }

    /// To call as this party.
    ///
    /// # Panics
    /// When the folder can't be written to.
    #[must_use]
    pub fn identity(&self, party: &Caller) -> Identity {
        Identity::load(&self.certificate(party)).unwrap()
    }

    /// What every configuration has: certificates, and how much is said.
    fn common(&self, name: &str) -> String {
        let TlsConfig { certificate, key, authorities, .. } = self.certificate(&Self::party(name));
        let [certificate, key, authorities] =
            [certificate, key, authorities].map(|path| path.display().to_string());
        let tls = format!(
            "tls = {{ certificate = '{certificate}', key = '{key}', authorities = '{authorities}' }}\n"
        );
        [tls, self.says.to_owned(), self.seen_by(name)].concat()
    }

    fn seen_by(&self, name: &str) -> String {
        let Some(collector) = self.collector else { return String::new() };
        // A company knows nobody's number, and has no key.
        let has_key = COMPANIES.iter().all(|company| company.id != name);
        let key = if has_key { "key = 'makes the ids of stories in tests', " } else { "" };
        format!(
            "telemetry.export = {{ endpoint = 'http://{collector}', traces = 1.0, {key}every = '200ms' }}\n\
             telemetry.metrics.listen = '{}'\n",
            self.metrics(name)
        )
    }

    fn information_servers(&self) -> impl Iterator<Item = &'static str> {
        let more = if self.replicated { &REPLICAS[..] } else { &[] };
        [INFORMATION].into_iter().chain(more.iter().copied())
    }

    /// Where companies and carriers call the information-management server.
    fn information_endpoint(&self) -> Endpoint {
        self.endpoint(if self.replicated { BALANCER } else { INFORMATION })
    }

    fn address(&self, name: &str) -> SocketAddr {
        let names = NAMES.iter().chain(&REPLICAS).chain([&BALANCER, &WEBHOOKS, &FACE]);
        let place = names.into_iter().position(|known| *known == name).unwrap();
        (Ipv4Addr::LOCALHOST, self.ports[place]).into()
    }

    /// As a configuration names it.
    fn database(&self, name: &str) -> String {
        match self.databases.get(name) {
            Some(url) => format!("{{ url = '{url}', connections = {CONNECTIONS} }}"),
            None => format!("'{}'", self.folder.join(format!("{name}.db")).display()),
        }
    }

    fn company(&self, company: &Company) -> String {
        let Company { id, matching, branch_digits, .. } = company;
        let account_digits = self.account_digits(company);
        let operators = OPERATORS.map(|(name, roles)| format!("{name} = {}", serde_json::json!(roles)));
        format!(
            "company = '{id}'\nmatching = '{matching}'\nlisten = '{}'\ndatabase = {}\n\
             {}{}callers.operators = {{ {} }}\n\
             keys.master = ['wraps the keys of this company in tests']\nkeys.audit = ['signs seals of the audit']\n\
             [console]\nlisten = '127.0.0.1:0'\n[import]\nlargest_file_mib = 8\n\
             [custody]\nblind = {}\n\
             [information]\nendpoint = '{}'\n\
             [account]\naccount_digits = {account_digits}\nbranch_digits = {branch_digits}\n{}",
            self.address(id),
            self.database(id),
            self.common(id),
            self.calls,
            operators.join(", "),
            self.is_blind,
            self.information_endpoint(),
            self.openid,
        )
    }

    fn carrier(&self, id: &str) -> String {
        let mut text = format!(
            "carrier = '{id}'\nlisten = '{}'\ndatabase = {}\n\
             {}information.endpoint = '{}'\n",
            self.address(id),
            self.database(id),
            self.common(id),
            self.information_endpoint(),
        );
        if self.rbm == Some(id) {
            text.push_str(&format!(
                "[rbm]\nlisten = '{}'\n\
                 [[rbm.service_account]]\nclient_email = '{SERVICE_ACCOUNT}'\npublic_key = '{}'\n\
                 [rbm.partner]\nurl = '{}'\nclient_token = '{CLIENT_TOKEN}'\n",
                self.address(FACE),
                self.service_account("pem").display(),
                self.webhook(id),
            ));
            for Company { id, .. } in COMPANIES {
                text.push_str(&format!(
                    "[[rbm.agent]]\nid = '{id}-agent'\nofficial_account = '{id}'\ndisplay_name = '{id}'\n\
                     use_case = 'MULTI_USE'\n",
                ));
            }
        }
        text
    }

    fn information(&self, name: &str) -> String {
        let mut text = format!(
            "listen = '{}'\ndatabase = {}\nlists.every = '{}'\nleases.delivery = '3s'\nleases.inquiry = '3s'\n\
             keys.follower = 'names followers in the database'\nkeys.token = 'makes the buttons of messages'\n\
             keys.master = ['wraps the keys of companies in tests']\nkeys.audit = ['signs seals of the audit']\n\
             erasure.journal = '{}'\n{}{}{}",
            self.address(name),
            self.database(INFORMATION),
            self.lists_every,
            self.folder.join("erasures").display(),
            self.common(name),
            self.calls,
            self.shared,
        );
        for company in COMPANIES {
            let Company { id, matching, branch_digits, .. } = company;
            let account_digits = self.account_digits(&company);
            let limit = self.company_limit.filter(|_| matching == "custody");
            let limit = limit.map(|limit| format!("company_limit = {limit}\n")).unwrap_or_default();
            let methods = if self.has_papers && matching == "inquiry" { PAPERS } else { "" };
            text.push_str(&format!(
                "[[company]]\nid = '{id}'\nmatching = '{matching}'\nendpoint = '{}'\n\
                 account_digits = {account_digits}\nbranch_digits = {branch_digits}\nlink_hosts = ['bank.test']\n{limit}{methods}{}\
                 [[official_account]]\nid = '{id}'\ncompany = '{id}'\ndisplay_name = '{id}'\ncarriers = {CARRIERS:?}\n\
                 review_second_person = {}\nmessages_per_second = {}\n",
                self.endpoint(id),
                self.second_person,
                matching == "custody",
                self.of_account,
            ));
        }
        for id in CARRIERS {
            text.push_str(&format!(
                "[[carrier]]\nid = '{id}'\nendpoint = '{}'\n\
                 verification_url = 'https://{{method}}.{id}.musubi.test/verify'\nmessages_per_second = {}\n",
                self.endpoint(id),
                self.over_carrier,
            ));
            if self.rbm == Some(id) {
                text.push_str(&format!(
                    "[carrier.rbm]\napi = 'http://{}'\nservice_account = '{}'\nclient_tokens = ['{CLIENT_TOKEN}']\n",
                    self.address(FACE),
                    self.service_account("json").display(),
                ));
                for Company { id, .. } in COMPANIES {
                    text.push_str(&format!(
                        "[[carrier.rbm.agent]]\nofficial_account = '{id}'\nid = '{id}-agent'\n",
                    ));
                }
            }
        }
        if self.rbm.is_some() {
            text.push_str(&format!("[webhooks]\nlisten = '{}'\n", self.address(WEBHOOKS)));
        }
        text
    }

    fn terminal(&self) -> String {
        let mut text = format!(
            "server.listen = '{}'\ndatabase = {}\nfleet.name = '{TERMINAL}'\ncallers.operators = ['{OPERATOR}']\npages.listen = '127.0.0.1:0'\n{}\
             [thinking]\nmin = '50ms'\nmax = '600ms'\n",
            self.address(TERMINAL),
            self.database(TERMINAL),
            self.common(TERMINAL),
        );
        for id in CARRIERS {
            text.push_str(&format!("[[carrier]]\nid = '{id}'\nendpoint = '{}'\n", self.endpoint(id)));
        }
        text
    }
}

/// A key pair that signs for access tokens, as PEM.
struct ServiceAccount {
    private_key: String,
    public_key: String,
}

impl ServiceAccount {
    fn new() -> Self {
        let pair = rsa::KeyPair::generate(rsa::KeySize::Rsa2048).unwrap();
        let private: Pkcs8V1Der<'_> = pair.as_der().unwrap();
        let public: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
        let pem = |kind: &str, der: &[u8]| {
            format!("-----BEGIN {kind} KEY-----\n{}\n-----END {kind} KEY-----\n", BASE64_STANDARD.encode(der))
        };
        Self { private_key: pem("PRIVATE", private.as_ref()), public_key: pem("PUBLIC", public.as_ref()) }
    }
}
