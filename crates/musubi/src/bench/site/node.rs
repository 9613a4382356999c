//! A node as a child process of this same program, with a configuration that was written for it.
//!
//! Surprising: it takes any free port and says which in its log; that is where it is found.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use musubi_domain::{Error, ErrorKind};
use musubi_runtime::{config::Endpoint, lifecycle};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::{
    process::{Child, Command},
    time::sleep,
};

use super::{ProcessMemory, Site, SiteArgs, broken, memory, peak_memory};
use crate::cluster;

/// How long a node may take until it serves, and to end.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(20);
/// What a node says when it has its port.
const SERVES: &str = "serving gRPC on ";
/// What a node's log holds: what goes wrong, and where it serves.
const FILTER: &str = "warn,sqlx::pool=error,musubi_runtime::grpc::server=info";
/// How much of a log an error shows.
const LINES: usize = 8;

/// A node that runs. Dropped, it is killed.
pub(in crate::bench) struct Node {
    name: String,
    child: Child,
    process: u32,
    log: PathBuf,
    endpoint: Endpoint,
}

impl Node {
    /// Starts all replicas of a node, which share one configuration.
    pub(in crate::bench) async fn replicas(
        args: &SiteArgs,
        site: &Site,
        kind: &str,
        configuration: &Value,
    ) -> Result<Vec<Self>, Error> {
        let mut nodes = Vec::new();
        for replica in 1..=args.replicas {
            let name = if args.replicas == 1 { kind.to_owned() } else { format!("{kind}-{replica}") };
            nodes.push(Self::start(kind, &name, site.folder(), configuration.clone()).await?);
        }
        Ok(nodes)
    }

    /// Starts a node that stands alone, however many replicas others have.
    pub(in crate::bench) async fn alone(
        site: &Site,
        kind: &str,
        configuration: &Value,
    ) -> Result<Self, Error> {
        Self::start(kind, kind, site.folder(), configuration.clone()).await
    }

    /// Starts a node of a kind, which is the program's subcommand, and waits until it serves.
    async fn start(kind: &str, name: &str, folder: &Path, mut configuration: Value) -> Result<Self, Error> {
        let failed = |why: &dyn std::fmt::Display| broken(format!("{name} did not start"), why);
        configuration["listen"] = json!("127.0.0.1:0");
        configuration["telemetry"] = json!({ "filter": FILTER });
        let file = cluster::write(folder, name, &configuration).map_err(|error| failed(&error))?;
        let log = folder.join(format!("{name}.log"));
        let said = File::create(&log).map_err(|error| failed(&error))?;
        let program = lifecycle::own_program().map_err(|error| failed(&error))?;
        let child = Command::new(program)
            .args([kind, "--config"])
            .arg(&file)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(said)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| failed(&error))?;
        let process = child.id().ok_or_else(|| failed(&"it has ended"))?;
        let endpoint = Endpoint::local(([127, 0, 0, 1], 0).into());
        let mut node = Self { name: name.to_owned(), child, process, log, endpoint };
        node.endpoint = node.serving().await?;
        Ok(node)
    }

    async fn serving(&mut self) -> Result<Endpoint, Error> {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            self.alive()?;
            let said = fs::read_to_string(&self.log).unwrap_or_default();
            let address = said.lines().find_map(|line| line.split_once(SERVES));
            if let Some(address) = address.and_then(|(_, address)| address.trim().parse().ok()) {
                return Ok(Endpoint::local(address));
            }
            sleep(LOOK).await;
        }
        Err(broken(format!("{} does not serve", self.name), self.last_words()))
    }

    /// Where it serves.
    pub(in crate::bench) const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// An error when it has ended.
    pub(in crate::bench) fn alive(&mut self) -> Result<(), Error> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(broken(format!("{} ended with {status}", self.name), self.last_words())),
            Err(error) => Err(broken(format!("{} can not be watched", self.name), error)),
        }
    }

    /// The most memory that it had so far.
    pub(in crate::bench) fn memory(&self) -> ProcessMemory {
        let bytes = peak_memory(&self.process.to_string()).unwrap_or_default();
        ProcessMemory { process: self.name.clone(), peak_rss_bytes: bytes }
    }

    /// Bytes that it has had written to disks so far, where the system tells.
    pub(in crate::bench) fn bytes_written(&self) -> Option<u64> {
        memory::bytes_written(self.process)
    }

    /// Tells it to stop, and waits until it has.
    pub(in crate::bench) async fn stop(mut self) -> Result<(), Error> {
        let failed = |why: &dyn std::fmt::Display| broken(format!("{} did not end", self.name), why);
        let process = i32::try_from(self.process).ok().and_then(Pid::from_raw);
        let process = process.ok_or_else(|| failed(&"it has no id"))?;
        kill_process(process, Signal::TERM).map_err(|error| failed(&error))?;
        match tokio::time::timeout(PATIENCE, self.child.wait()).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => Err(failed(&format!("{status}: {}", self.last_words()))),
            Ok(Err(error)) => Err(failed(&error)),
            Err(_) => Err(Error::new(ErrorKind::Unavailable, failed(&self.last_words()).problem, "")),
        }
    }

    fn last_words(&self) -> String {
        let said = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = said.lines().collect();
        lines[lines.len().saturating_sub(LINES)..].join("\n")
    }
}

/// Stops all of them, one after the other.
pub(in crate::bench) async fn stop_all(nodes: Vec<Node>) -> Result<(), Error> {
    for node in nodes {
        node.stop().await?;
    }
    Ok(())
}
