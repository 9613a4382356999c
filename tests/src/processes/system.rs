//! All nodes together, in a folder of their own.
//!
//! Surprising: when a test fails, the folder stays, and the end of what each node said is shown.

use std::{
    process::Command,
    sync::{Arc, LazyLock},
    time::Duration,
};

use musubi_domain::caller::Caller;
use musubi_proto::information::v1::{GetFunnelRequest, follower_service_client::FollowerServiceClient};
use musubi_runtime::{
    config::Endpoint,
    grpc::client::{ClientOptions, PeerChannel, connect},
    tls::{Identity, TlsConfig},
};
use tempfile::TempDir;
use tokio::{
    sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock},
    time::{Instant, sleep},
};

use super::{
    balancer::Balancer,
    files::{CARRIERS, COMPANIES, Layout, OPERATOR, TERMINAL},
    postgres::Postgres,
    process::{Kind, Process},
    program::program,
};

/// Lines of each node that are shown when a test fails.
const LAST_WORDS: usize = 25;
/// How long nothing may happen before nothing is expected to happen: nodes look for work every second at the longest.
const SILENCE: Duration = Duration::from_millis(1_300);
/// Between two looks at what is stored, and how long to look.
const LOOK: Duration = Duration::from_millis(100);
const PATIENCE: Duration = Duration::from_secs(60);
/// How often to begin anew with other ports.
const TRIES: usize = 3;

/// Each node's name, its database, and the log beside that.
pub type Stored = Vec<(&'static str, Vec<u8>, Vec<u8>)>;

/// Systems share the machine, unless one is to have it alone because something is measured on it.
static MACHINE: LazyLock<Arc<RwLock<()>>> = LazyLock::new(Arc::default);

/// A share of the machine, as each system has one.
#[derive(Debug)]
pub struct Machine(#[expect(dead_code, reason = "held until it is dropped")] Share);

#[derive(Debug)]
#[expect(dead_code, reason = "held until they are dropped")]
enum Share {
    Shared(OwnedRwLockReadGuard<()>),
    Alone(OwnedRwLockWriteGuard<()>),
}

impl Machine {
    /// Beside others, but not while one has it alone.
    pub async fn shared() -> Self {
        Self(Share::Shared(Arc::clone(&MACHINE).read_owned().await))
    }

    /// Beside no other of this process.
    pub async fn alone() -> Self {
        Self(Share::Alone(Arc::clone(&MACHINE).write_owned().await))
    }
}

/// Two companies, the information-management server, two carriers and a fleet of terminals. Dropped, all are killed.
#[derive(Debug)]
pub struct System {
    layout: Layout,
    processes: Vec<Process>,
    /// In front of the replicas, when there are some.
    _balancer: Option<Balancer>,
    machine: Option<Machine>,
    folder: Option<TempDir>,
}

impl System {
    /// Starts every node on new files, and waits until all serve and every official account is open at every carrier.
    ///
    /// # Panics
    /// When a node doesn't start.
    pub async fn start() -> Self {
        Self::start_as(|layout| layout).await
    }

    /// The same, with nodes that do nothing by themselves once everything is done.
    ///
    /// # Panics
    /// When a node doesn't start.
    pub async fn start_quiet() -> Self {
        Self::start_as(Layout::quiet).await
    }

    /// The same as [`Self::start`], with limits that are shared by the server of this address.
    ///
    /// # Panics
    /// When a node doesn't start.
    pub async fn start_sharing(url: &str) -> Self {
        Self::start_as(|layout| layout.sharing(url)).await
    }

    /// The same as [`Self::start`], every node on a database of this server's.
    ///
    /// # Panics
    /// When a node doesn't start.
    pub async fn start_on(server: &mut Postgres) -> Self {
        let databases = server.databases().await;
        let folder = tempfile::tempdir().unwrap();
        migrate(&Layout::new(folder.path()).on(&databases).processes());
        // What was made is on the disk, so that a server that is killed needn't make it again.
        server.stop();
        server.start_again();
        Self::start_as(|layout| layout.on(&databases)).await
    }

    /// The same as [`Self::start_as`], the servers that seal what they keep on databases of this server's, simulators on files.
    ///
    /// # Panics
    /// When a node doesn't start.
    pub async fn start_sealing_on(server: &Postgres, shape: impl Fn(Layout) -> Layout) -> Self {
        let mut databases = server.databases().await;
        databases.retain(|name, _| !CARRIERS.contains(name) && *name != TERMINAL);
        Self::start_as(|layout| shape(layout).on(&databases)).await
    }

    /// The same as [`Self::start`], with another layout.
    ///
    /// # Panics
    /// When a node doesn't start.
    pub async fn start_as(shape: impl Fn(Layout) -> Layout) -> Self {
        Self::start_with(Machine::shared().await, shape).await
    }

    /// The same, beside no other system of this process.
    ///
    /// # Panics
    /// When a node doesn't start.
    pub async fn start_alone(shape: impl Fn(Layout) -> Layout) -> Self {
        Self::start_with(Machine::alone().await, shape).await
    }

    async fn start_with(machine: Machine, shape: impl Fn(Layout) -> Layout) -> Self {
        let mut machine = Some(machine);
        for _ in 0..TRIES {
            let folder = tempfile::tempdir().unwrap();
            let layout = shape(Layout::new(folder.path()));
            let balancer = layout.balancer();
            let processes = layout.processes();
            let mut system = Self { processes, layout, _balancer: balancer, machine, folder: Some(folder) };
            migrate(&system.processes);
            system.processes.iter_mut().for_each(Process::start);
            if system.serving().await {
                system.until_accounts_are_open().await;
                return system;
            }
            machine = system.machine.take();
        }
        panic!("{TRIES} times somebody took a port between its choice and its use");
    }

    /// Whether all serve; if not, a port was taken meanwhile.
    async fn serving(&mut self) -> bool {
        for process in &mut self.processes {
            if let Err(status) = process.serving().await {
                let said = process.said();
                assert!(
                    said.contains("is taken"),
                    "{} ended with {status}; it said:\n{said}",
                    process.name()
                );
                return false;
            }
        }
        true
    }

    /// Nobody can follow an account that the information-management server hasn't opened yet.
    async fn until_accounts_are_open(&self) {
        let begin = Instant::now();
        for company in COMPANIES {
            let client = FollowerServiceClient::new(self.channel(company.id));
            loop {
                let answer = client.clone().get_funnel(GetFunnelRequest::default()).await;
                let acquisitions = answer.map_or_else(|_| vec![], |answer| answer.into_inner().acquisitions);
                if acquisitions.iter().filter(|list| list.promoted > 0).count() == self.layout.lists() {
                    break;
                }
                assert!(begin.elapsed() < PATIENCE, "the lists of {} are not acquired", company.id);
                sleep(LOOK).await;
            }
        }
    }

    /// Writes every node's configuration anew, of another layout of the same nodes; a node has it from its next start on.
    pub fn reconfigure(&mut self, shape: impl FnOnce(Layout) -> Layout) {
        self.layout = shape(self.layout.clone());
        drop(self.layout.processes());
    }

    /// Every node.
    pub fn processes(&mut self) -> &mut [Process] {
        &mut self.processes
    }

    /// What a node has said until now.
    ///
    /// # Panics
    /// When there is no such node.
    #[must_use]
    pub fn said_by(&self, name: &str) -> String {
        self.processes.iter().find(|process| process.name() == name).unwrap().said()
    }

    /// What every node has stored that keeps it in a file, byte for byte: its database and the log beside it. Reading a live node's files
    /// is safe from another process only.
    ///
    /// # Panics
    /// When a file can't be read.
    #[must_use]
    pub fn stored(&self) -> Stored {
        let read = |process: &Process, extension| std::fs::read(process.config().with_extension(extension));
        let stored = |process| (process, read(process, "db").unwrap(), read(process, "db-wal").unwrap());
        let in_files = self.processes.iter().filter(|process| process.config().with_extension("db").exists());
        in_files.map(stored).map(|(process, file, log)| (process.name(), file, log)).collect()
    }

    /// What is stored once the nodes have done what there was to do, and no more comes of itself.
    ///
    /// # Panics
    /// When they don't come to rest for a long time.
    pub async fn quiet(&self) -> Stored {
        self.quiet_for(SILENCE).await
    }

    /// The same, where something may be waited for without a sign for so long: what failed is told seconds after the proof.
    ///
    /// # Panics
    /// When they don't come to rest for a long time.
    pub async fn quiet_for(&self, silence: Duration) -> Stored {
        let (begin, mut since) = (Instant::now(), Instant::now());
        let mut before = self.stored();
        while begin.elapsed() < PATIENCE {
            sleep(LOOK).await;
            let after = self.stored();
            if after != before {
                (before, since) = (after, Instant::now());
            } else if since.elapsed() > silence {
                return after;
            }
        }
        panic!("the nodes do not come to rest");
    }

    /// Lets no file of a node grow behind this byte, as a disk that is full; or all of them again as they like.
    ///
    /// # Panics
    /// When one doesn't run.
    pub fn limit_files(&self, bytes: Option<u64>) {
        self.processes.iter().for_each(|process| process.limit_files(bytes));
    }

    /// Lets every node do nothing, or go on.
    ///
    /// # Panics
    /// When one doesn't run.
    pub fn pause(&self, is_paused: bool) {
        self.processes.iter().for_each(if is_paused { Process::freeze } else { Process::thaw });
    }

    /// The nodes of one kind.
    pub fn of(&mut self, kind: Kind) -> impl Iterator<Item = &mut Process> {
        self.processes.iter_mut().filter(move |process| process.kind() == kind)
    }

    /// Where a node is called.
    ///
    /// # Panics
    /// When there is no such node.
    #[must_use]
    pub fn endpoint(&self, name: &str) -> Endpoint {
        self.layout.endpoint(name)
    }

    /// The way into a company server or the terminals, as those who operate it.
    ///
    /// # Panics
    /// When there is no such node.
    #[must_use]
    pub fn channel(&self, name: &str) -> PeerChannel {
        self.channel_as(&Layout::operator(OPERATOR, name), name)
    }

    /// The way into a node as another node has it.
    ///
    /// # Panics
    /// When there is no such node.
    #[must_use]
    pub fn channel_of(&self, from: &str, name: &str) -> PeerChannel {
        self.channel_as(&Layout::party(from), name)
    }

    /// The way into a node as whoever this is.
    ///
    /// # Panics
    /// When there is no such node.
    #[must_use]
    pub fn channel_as(&self, party: &Caller, name: &str) -> PeerChannel {
        let options = ClientOptions { deadline: Duration::from_secs(20) };
        let node = Layout::party(name);
        connect(&self.layout.identity(party), &self.layout.endpoint(name), Some(&node), options).unwrap()
    }

    /// Where a carrier of [RCS Business Messaging](Layout::rbm) reports.
    #[must_use]
    pub fn webhook(&self, carrier: &str) -> String {
        self.layout.webhook(carrier)
    }

    /// Where a node serves pages: it says so itself.
    ///
    /// # Panics
    /// When there is no such node, or it has none.
    #[must_use]
    pub fn pages(&self, name: &str) -> String {
        let said = self.said_by(name);
        let (_, after) = said.rsplit_once("serving HTTP on ").unwrap();
        after.split_whitespace().next().unwrap().to_owned()
    }

    /// Where a node serves its metrics, when it is [seen](Layout::seen).
    ///
    /// # Panics
    /// When there is no such node.
    #[must_use]
    pub fn metrics(&self, name: &str) -> std::net::SocketAddr {
        self.layout.metrics(name)
    }

    /// To call as this party.
    ///
    /// # Panics
    /// When the folder can't be written to.
    #[must_use]
    pub fn identity(&self, party: &Caller) -> Identity {
        self.layout.identity(party)
    }

    /// Certificate, key and authority of a party.
    ///
    /// # Panics
    /// When the folder can't be written to.
    #[must_use]
    pub fn certificate(&self, party: &Caller) -> TlsConfig {
        self.layout.certificate(party)
    }
}

/// Brings the databases of these nodes up to date, where that is not the nodes' own matter.
fn migrate(processes: &[Process]) {
    let files = processes.iter().flat_map(|process| {
        [format!("--{}", process.kind().as_str()), process.config().display().to_string()]
    });
    let migrated = Command::new(program()).arg("migrate").args(files).env_clear().output().unwrap();
    assert!(migrated.status.success(), "{}", String::from_utf8_lossy(&migrated.stderr));
}

impl Drop for System {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        for process in &self.processes {
            let said = process.said();
            let lines: Vec<&str> = said.lines().collect();
            let last = lines[lines.len().saturating_sub(LAST_WORDS)..].join("\n");
            eprintln!("=== {} said, at the end ===\n{last}", process.name());
        }
        if let Some(folder) = self.folder.take() {
            eprintln!("=== the nodes' files are kept in {} ===", folder.keep().display());
        }
    }
}
