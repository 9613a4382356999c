//! A whole cluster in one process: any number of companies and carriers, one information-management server, one fleet of
//! terminals, each a node of its own on a loopback port, with its own database, secrets and certificate.
//!
//! Nodes meet over gRPC as they do between machines; nothing is passed from one to another in memory. Surprising: every node is
//! configured by a file in the data folder, the same that it would have as a process of its own, so any of them can be started
//! again from there.

mod layout;

use std::{
    collections::BTreeMap,
    fmt::Display,
    fs::OpenOptions,
    io::Write as _,
    net::{Ipv4Addr, SocketAddr},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use musubi_carrier_simulator as carrier;
use musubi_company_server as company;
use musubi_domain::{
    caller::Caller,
    id::{CarrierId, CompanyId, OfficialAccountId},
};
use musubi_information_server as information;
use musubi_matching::AccountFormat;
use musubi_runtime::{
    Clock, Shutdown,
    config::{Endpoint, ListenAddress},
    grpc::server::{Bound, Server, ServerError},
    http::{BoundHttp, HttpConfig, HttpServer},
    lifecycle::LifecycleError,
    tls::Identity,
};
use musubi_storage::create_database;
use musubi_terminal_simulator as terminal;
use serde_json::Value;
use tokio::task::JoinSet;

pub use self::layout::INFORMATION_DATABASE;
use self::layout::Layout;
pub(crate) use self::layout::secret;
use crate::migrate::migrate;

/// How long the nodes have to finish what they do when they are stopped.
const DRAIN: Duration = Duration::from_secs(10);

/// What a cluster consists of.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where configurations, and databases that are files, go; has to exist.
    pub folder: PathBuf,
    /// The PostgreSQL server on which every node gets a database; without it each has an SQLite file.
    pub postgres: Option<String>,
    /// The companies, each with one official account that is open at every carrier.
    pub companies: Vec<CompanyPlan>,
    /// The carriers.
    pub carriers: Vec<CarrierId>,
    /// How many of them, the first ones, speak RCS Business Messaging.
    pub rbm: usize,
    /// How many followers to expect, for limits and intervals.
    pub followers: u64,
    /// What people see in a browser; without it nothing is served to browsers.
    pub pages: Option<PagesPlan>,
}

/// What people see of a cluster in a browser.
#[derive(Clone, Debug)]
pub struct PagesPlan {
    /// Where the phones are shown, plain, at a loopback address.
    pub phones: SocketAddr,
    /// Where each company's console is shown, in the order of the plan, likewise.
    pub consoles: Vec<SocketAddr>,
    /// People whose phones can be picked up: a stories file.
    pub people: PathBuf,
}

/// A company and its official account.
#[derive(Clone, Debug)]
pub struct CompanyPlan {
    /// The company.
    pub company: CompanyId,
    /// Its official account.
    pub official_account: OfficialAccountId,
    /// The verified sender's name, 1 to 100 characters.
    pub display_name: String,
    /// How its customers are matched.
    pub matching: Matching,
    /// How long its numbers are.
    pub format: AccountFormat,
}

/// How a company's customers are matched (S20).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Matching {
    /// The company's server decides.
    Inquiry,
    /// The information-management server decides, by the copy that the company has entrusted.
    Custody,
    /// It decides by digests that the company has entrusted, and asks the company about what they don't tell.
    Blind,
}

impl Matching {
    /// The word of configurations.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Inquiry => "inquiry",
            Self::Custody | Self::Blind => "custody",
        }
    }

    /// Whether the company entrusts its master, and whether as digests.
    #[must_use]
    pub const fn entrusts(self) -> (bool, bool) {
        match self {
            Self::Inquiry => (false, false),
            Self::Custody => (true, false),
            Self::Blind => (true, true),
        }
    }
}

/// Where a node is called, and as whom by those who operate it.
#[derive(Clone, Debug)]
pub struct Door {
    /// Where.
    pub endpoint: Endpoint,
    /// Whom its certificate has to name.
    pub node: Caller,
    /// Who calls.
    pub operator: Identity,
}

/// Where a cluster is called from outside.
#[derive(Clone, Debug)]
pub struct Doors {
    /// The company servers, in the order of the plan.
    pub companies: Vec<Door>,
    /// The terminals.
    pub terminal: Door,
    /// Where a browser finds the companies' consoles, in the order of the plan: `http://127.0.0.1:40123`; none, when they have none.
    pub consoles: Vec<String>,
    /// Where a browser finds the phones: `http://127.0.0.1:7080`.
    pub phones: Option<String>,
}

/// A cluster that runs. Dropped, it stops without finishing anything.
#[derive(Debug)]
pub struct Cluster {
    doors: Doors,
    shutdown: Shutdown,
    nodes: JoinSet<Result<(), LifecycleError>>,
}

impl Cluster {
    /// Takes ports, draws secrets, writes configurations, opens databases and starts every node. The folder holds no databases
    /// of an earlier cluster: they would be read with other secrets.
    ///
    /// # Errors
    /// When the folder can't be written to, or a node can't be built; names the node.
    pub async fn start(mut plan: Plan, clock: Arc<dyn Clock>) -> anyhow::Result<Self> {
        plan.folder = plan.folder.canonicalize().context("the data folder is not there")?;
        let ports = Ports::take(&plan).await?;
        let addresses = ports.addresses();
        let databases = databases(&plan).await?;
        let mut layout = Layout::new(&plan, &addresses, &databases)?;
        let shutdown = Shutdown::new(DRAIN);
        let mut nodes = JoinSet::new();
        // All are built before one runs, so that a node that can't be built leaves no other half started.
        let mut apps: Vec<futures::future::BoxFuture<'static, Result<(), LifecycleError>>> = Vec::new();
        macro_rules! build {
            ($node:ident, $name:expr, $port:expr, $configuration:expr) => {{
                let name = $name;
                let file = write(&plan.folder, &name, $configuration)?;
                let config = $node::Config::load(Some(&file)).with_context(|| name.clone())?;
                migrate(&config.database, $node::MIGRATIONS).await.with_context(|| name.clone())?;
                $node::App::build_at($port, config, Arc::clone(&clock)).await.with_context(|| name)?
            }};
        }
        macro_rules! later {
            ($app:expr) => {
                apps.push(Box::pin($app.run(shutdown.clone())))
            };
        }
        let mut consoles = Vec::new();
        for (index, port) in ports.companies.into_iter().enumerate() {
            let app = build!(company, layout.company_name(index), port, &layout.company(index)?);
            consoles.extend(app.console());
            later!(app);
        }
        for (index, port) in ports.carriers.into_iter().enumerate() {
            let app = build!(carrier, layout.carrier_name(index), port, &layout.carrier(index)?);
            layout.faces.extend(app.rbm_origin());
            later!(app);
        }
        let app =
            build!(information, layout::INFORMATION.to_owned(), ports.information, &layout.information()?);
        later!(if plan.rbm > 0 { app.with_webhooks(ports.webhooks) } else { app });
        let app = build!(terminal, layout::TERMINAL.to_owned(), ports.terminal, &layout.terminal()?);
        let phones = app.pages_origin();
        later!(app);
        for app in apps {
            nodes.spawn(app);
        }
        Ok(Self { doors: Doors { consoles, phones, ..layout.doors()? }, shutdown, nodes })
    }

    /// Where it is called.
    #[must_use]
    pub const fn doors(&self) -> &Doors {
        &self.doors
    }

    /// Waits until a node fails, which stops all of them, and tells how.
    pub async fn broken(&mut self) -> anyhow::Error {
        self.shutdown.token().cancelled().await;
        match self.ended().await {
            Ok(()) => anyhow::anyhow!("the cluster stopped by itself"),
            Err(error) => error,
        }
    }

    /// Lets every node finish what it does, and waits for that.
    ///
    /// # Errors
    /// When a node failed, or didn't end in time.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        self.shutdown.begin();
        self.ended().await
    }

    async fn ended(&mut self) -> anyhow::Result<()> {
        let mut first = Ok(());
        while let Some(ended) = self.nodes.join_next().await {
            let ended = ended.context("a node panicked").and_then(|ended| Ok(ended?));
            first = first.and(ended);
        }
        first
    }
}

/// An empty database for every node, by the name of its files; none when they are files.
async fn databases(plan: &Plan) -> anyhow::Result<BTreeMap<String, String>> {
    let mut databases = BTreeMap::new();
    if let Some(server) = &plan.postgres {
        for name in layout::names(plan) {
            let address =
                create_database(server, &name.replace('-', "_")).await.with_context(|| name.clone())?;
            databases.insert(name, address);
        }
    }
    Ok(databases)
}

/// Every node's port, taken before any node is built, because each has to know the others'.
struct Ports {
    companies: Vec<Bound>,
    carriers: Vec<Bound>,
    information: Bound,
    webhooks: BoundHttp,
    terminal: Bound,
}

impl Ports {
    async fn take(plan: &Plan) -> Result<Self, ServerError> {
        let any = || Server::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        let webhooks = HttpServer::bind(&HttpConfig::plain(ListenAddress::loopback())).await?;
        let (information, terminal) = (any().await?, any().await?);
        let mut ports = Self { companies: vec![], carriers: vec![], information, webhooks, terminal };
        for _ in &plan.companies {
            ports.companies.push(any().await?);
        }
        for _ in &plan.carriers {
            ports.carriers.push(any().await?);
        }
        Ok(ports)
    }

    fn addresses(&self) -> layout::Addresses {
        layout::Addresses {
            companies: self.companies.iter().map(Bound::local_address).collect(),
            carriers: self.carriers.iter().map(Bound::local_address).collect(),
            information: self.information.local_address(),
            webhooks: self.webhooks.origin(),
            terminal: self.terminal.local_address(),
        }
    }
}

/// Writes a node's configuration for its owner's eyes only, since it holds secrets.
pub(crate) fn write(folder: &Path, name: &str, configuration: &Value) -> anyhow::Result<PathBuf> {
    let path = folder.join(format!("{name}.toml"));
    let failed = |error: &dyn Display| anyhow::anyhow!("{} can not be written: {error}", path.display());
    let text = toml::to_string(configuration).map_err(|error| failed(&error))?;
    let mut options = OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).mode(0o600).open(&path);
    file.and_then(|mut file| file.write_all(text.as_bytes())).map_err(|error| failed(&error))?;
    Ok(path)
}
