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

use musubi_runtime::config::Endpoint;

use super::{
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
/// The carriers.
pub const CARRIERS: [&str; 2] = ["kumo", "nami"];
/// The information-management server.
pub const INFORMATION: &str = "information";
const TERMINAL: &str = "phones";
/// What all nodes are called.
pub(super) const NAMES: [&str; 6] =
    [COMPANIES[0].id, COMPANIES[1].id, CARRIERS[0], CARRIERS[1], INFORMATION, TERMINAL];
/// To a database, at most, for each node.
const CONNECTIONS: u32 = 20;
/// Whoever operates a node.
pub const OPERATORS: &str = "operators";
/// Another person of a company; whoever shows the token of [`OPERATORS`] is `sato` there, this one is `kato`.
pub const SECOND_OPERATOR: &str = "second-operator";

/// Where every node's files are and where it listens.
#[derive(Debug)]
pub struct Layout {
    folder: PathBuf,
    ports: [u16; 6],
    /// The addresses of those that are no files, by the node's name.
    databases: BTreeMap<&'static str, String>,
    lists_every: &'static str,
    /// Of the information-management server: what it shares, and its limits.
    shared: String,
    limits: &'static str,
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
            limits: "",
        }
    }

    /// The same, with nodes that do nothing by themselves once everything is done.
    #[must_use]
    pub fn quiet(self) -> Self {
        Self { lists_every: "1h", ..self }
    }

    /// The same, with limits that a play feels, and that are shared by the server of this address.
    #[must_use]
    pub fn sharing(self, url: &str) -> Self {
        Self { shared: format!("redis.url = '{url}'\n"), limits: "messages_per_second = 120\n", ..self }
    }

    /// The same, with these databases, by the nodes' names ([`NAMES`]).
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
        let rest = [
            (Kind::Information, INFORMATION, self.information()),
            (Kind::Terminal, TERMINAL, self.terminal()),
        ];
        let process = |(kind, name, configuration): (Kind, &'static str, String)| {
            let file = self.folder.join(format!("{name}.toml"));
            std::fs::write(&file, configuration).unwrap();
            Process::new(kind, name, file, self.address(name))
        };
        companies.chain(carriers).chain(rest).map(process).collect()
    }

    /// Where a company server or the terminals are called.
    ///
    /// # Panics
    /// When there is no such node.
    #[must_use]
    pub fn endpoint(&self, name: &str) -> Endpoint {
        Endpoint::local(self.address(name))
    }

    /// What one node, or those who operate it (`operators`), shows another; long enough, and each pair's and direction's own.
    #[must_use]
    pub fn token(from: &str, to: &str) -> String {
        format!("the-token-of-{from}-at-{to}")
    }

    fn address(&self, name: &str) -> SocketAddr {
        let place = NAMES.iter().position(|known| *known == name).unwrap();
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
        let Company { id, matching, account_digits, branch_digits } = company;
        format!(
            "company = '{id}'\nmatching = '{matching}'\nlisten = '{}'\ndatabase = {}\n\
             [information]\nendpoint = '{}'\ntoken = '{}'\n\
             [callers]\ninformation = ['{}']\noperators = {{ sato = '{}', kato = '{}' }}\n\
             [account]\naccount_digits = {account_digits}\nbranch_digits = {branch_digits}\n",
            self.address(id),
            self.database(id),
            self.endpoint(INFORMATION),
            Self::token(id, INFORMATION),
            Self::token(INFORMATION, id),
            Self::token(OPERATORS, id),
            Self::token(SECOND_OPERATOR, id),
        )
    }

    fn carrier(&self, id: &str) -> String {
        format!(
            "carrier = '{id}'\nlisten = '{}'\ndatabase = {}\n\
             [information]\nendpoint = '{}'\ntoken = '{}'\n\
             [callers]\ninformation = '{}'\nterminal = '{}'\n",
            self.address(id),
            self.database(id),
            self.endpoint(INFORMATION),
            Self::token(id, INFORMATION),
            Self::token(INFORMATION, id),
            Self::token(TERMINAL, id),
        )
    }

    fn information(&self) -> String {
        let mut text = format!(
            "listen = '{}'\ndatabase = {}\nlists.every = '{}'\nleases.delivery = '3s'\nleases.inquiry = '3s'\n\
             keys.follower = 'names followers in the database'\nkeys.token = 'makes the buttons of messages'\n\
             keys.review = ['seals what reviews keep']\n{}",
            self.address(INFORMATION),
            self.database(INFORMATION),
            self.lists_every,
            self.shared,
        );
        for Company { id, matching, account_digits, branch_digits } in COMPANIES {
            text.push_str(&format!(
                "[[company]]\nid = '{id}'\nmatching = '{matching}'\nendpoint = '{}'\nendpoint_token = '{}'\n\
                 token = '{}'\naccount_digits = {account_digits}\nbranch_digits = {branch_digits}\n\
                 [[official_account]]\nid = '{id}'\ncompany = '{id}'\ndisplay_name = '{id}'\ncarriers = {CARRIERS:?}\n\
                 review_second_person = {}\n{}",
                self.endpoint(id),
                Self::token(INFORMATION, id),
                Self::token(id, INFORMATION),
                matching == "custody",
                self.limits,
            ));
        }
        for id in CARRIERS {
            text.push_str(&format!(
                "[[carrier]]\nid = '{id}'\nendpoint = '{}'\nendpoint_token = '{}'\ntoken = '{}'\n\
                 verification_url = 'https://{{method}}.{id}.musubi.test/verify'\n{}",
                self.endpoint(id),
                Self::token(INFORMATION, id),
                Self::token(id, INFORMATION),
                self.limits,
            ));
        }
        text
    }

    fn terminal(&self) -> String {
        let mut text = format!(
            "server.listen = '{}'\ndatabase = {}\nfleet.name = '{TERMINAL}'\ncallers.operators = ['{}']\n\
             [thinking]\nmin = '50ms'\nmax = '600ms'\n",
            self.address(TERMINAL),
            self.database(TERMINAL),
            Self::token(OPERATORS, TERMINAL),
        );
        for id in CARRIERS {
            text.push_str(&format!(
                "[[carrier]]\nid = '{id}'\nendpoint = '{}'\ntoken = '{}'\n",
                self.endpoint(id),
                Self::token(TERMINAL, id),
            ));
        }
        text
    }
}
