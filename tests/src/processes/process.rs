//! One node as a process: started, killed, told to stop.
//!
//! What it says goes to a file beside its configuration, over all its lives. Surprising: it gets no environment, because that
//! wins over the configuration file, and whoever runs the tests may have some.

use std::{
    fs::{self, OpenOptions},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use musubi_runtime::{
    config::Endpoint,
    grpc::client::{ClientOptions, connect},
    tls::Identity,
};
use tokio::time::{Instant, sleep};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use super::program::program;

/// How long a node may take until it serves, and to end once it is told to.
const PATIENCE: Duration = Duration::from_secs(25);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(10);

/// What a node is, as the program's subcommands say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A company server.
    Company,
    /// The information-management server.
    Information,
    /// A carrier.
    Carrier,
    /// A fleet of terminals.
    Terminal,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Company, Self::Information, Self::Carrier, Self::Terminal];

    /// The subcommand.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Company => "company",
            Self::Information => "information",
            Self::Carrier => "carrier",
            Self::Terminal => "terminal",
        }
    }
}

/// A node on its files. Dropped, it is killed.
#[derive(Debug)]
pub struct Process {
    kind: Kind,
    name: &'static str,
    config: PathBuf,
    log: PathBuf,
    address: SocketAddr,
    watcher: Identity,
    child: Option<Child>,
}

impl Process {
    /// Not started yet. `config` is the configuration file; `address` where that has the node listen;
    /// `watcher` somebody whom it knows.
    #[must_use]
    pub fn new(
        kind: Kind,
        name: &'static str,
        config: PathBuf,
        address: SocketAddr,
        watcher: Identity,
    ) -> Self {
        let log = config.with_extension("log");
        Self { kind, name, config, log, address, watcher, child: None }
    }

    /// The same node by another configuration file, not started.
    #[must_use]
    pub fn with_config(&self, config: PathBuf) -> Self {
        Self::new(self.kind, self.name, config, self.address, self.watcher.clone())
    }

    /// What it is.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// Its configuration file.
    #[must_use]
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it is called.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Starts it and waits for nothing.
    ///
    /// # Panics
    /// When it runs already, or can't be started.
    pub fn start(&mut self) {
        assert!(self.child.is_none(), "{} runs already", self.name);
        let log = OpenOptions::new().create(true).append(true).open(&self.log).unwrap();
        // Whoever may not write any further is told so by the write, as on a full disk, and not by a deadly signal.
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]).arg(program());
        command.args([self.kind.as_str(), "--config"]).arg(&self.config).env_clear();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.child = Some(command.spawn().unwrap());
    }

    /// Waits until it says that it serves.
    ///
    /// # Errors
    /// How it ended instead.
    ///
    /// # Panics
    /// When it does neither for a long time.
    pub async fn serving(&mut self) -> Result<(), ExitStatus> {
        let endpoint = Endpoint::local(self.address);
        let channel = connect(&self.watcher, &endpoint, None, ClientOptions::default()).unwrap();
        let mut health = HealthClient::new(channel);
        let since = Instant::now();
        while since.elapsed() < PATIENCE {
            if let Some(status) = self.ended() {
                return Err(status);
            }
            let answer = health.check(HealthCheckRequest::default()).await;
            if answer.is_ok_and(|answer| answer.into_inner().status() == ServingStatus::Serving) {
                return Ok(());
            }
            sleep(LOOK).await;
        }
        panic!("{} does not serve after {PATIENCE:?}; it said:\n{}", self.name, self.said());
    }

    /// Kills it where it stands (SIGKILL).
    ///
    /// # Panics
    /// When it had ended by itself: whoever kills it wants to kill a living one.
    pub fn kill(&mut self) {
        if let Some(status) = self.ended() {
            panic!("{} ended by itself with {status}; it said:\n{}", self.name, self.said());
        }
        self.kill_if_alive();
    }

    /// Tells it to stop (SIGTERM) and waits until it has.
    ///
    /// # Panics
    /// When it doesn't run, or doesn't end for a long time.
    pub async fn stop(&mut self) -> ExitStatus {
        self.signal("-TERM");
        self.end().await
    }

    /// Lets it do nothing until it is told to go on, or killed (SIGSTOP): to others it hangs.
    ///
    /// # Panics
    /// When it doesn't run.
    pub fn freeze(&self) {
        self.signal("-STOP");
    }

    /// Lets it go on (SIGCONT).
    ///
    /// # Panics
    /// When it doesn't run.
    pub fn thaw(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, name: &str) {
        let id = self.child.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args([name, &id]).status().unwrap().success());
    }

    /// Waits until it has ended, by itself or told to.
    ///
    /// # Panics
    /// When it doesn't for a long time.
    pub async fn end(&mut self) -> ExitStatus {
        let since = Instant::now();
        while since.elapsed() < PATIENCE {
            if let Some(status) = self.ended() {
                self.child = None;
                return status;
            }
            sleep(LOOK).await;
        }
        panic!("{} has not ended after {PATIENCE:?}; it said:\n{}", self.name, self.said());
    }

    /// Lets no file of its own grow behind this byte, as a disk that is full; or all of them again as they like.
    ///
    /// # Panics
    /// When it doesn't run.
    pub fn limit_files(&self, bytes: Option<u64>) {
        let id = self.child.as_ref().unwrap().id().to_string();
        let limit = bytes.map_or_else(|| "unlimited".to_owned(), |bytes| bytes.to_string());
        let limit = format!("--fsize={limit}:");
        assert!(Command::new("prlimit").args(["--pid", &id, &limit]).status().unwrap().success());
    }

    /// Its number, as the operating system counts.
    ///
    /// # Panics
    /// When it doesn't run.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// What it said in all its lives.
    #[must_use]
    pub fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// How it ended, if it has.
    fn ended(&mut self) -> Option<ExitStatus> {
        self.child.as_mut().and_then(|child| child.try_wait().unwrap())
    }

    fn kill_if_alive(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Both fail only when it has ended already.
            let _killed = child.kill();
            let _ended = child.wait();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill_if_alive();
    }
}
