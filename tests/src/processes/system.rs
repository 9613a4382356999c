//! All nodes together, in a folder of their own.
//!
//! Surprising: when a test fails, the folder stays, and the end of what each node said is shown.

use std::time::Duration;

use musubi_runtime::{
    config::Secret,
    grpc::client::{AuthorizedChannel, ClientOptions, connect},
};
use tempfile::TempDir;

use super::{
    files::Layout,
    process::{Kind, Process},
};

/// Lines of each node that are shown when a test fails.
const LAST_WORDS: usize = 25;
/// How often to begin anew with other ports.
const TRIES: usize = 3;

/// Two companies, the information-management server, two carriers and a fleet of terminals. Dropped, all are killed.
#[derive(Debug)]
pub struct System {
    layout: Layout,
    processes: Vec<Process>,
    folder: Option<TempDir>,
}

impl System {
    /// Starts every node on new files, and waits until all serve.
    ///
    /// # Panics
    /// When a node doesn't start.
    pub async fn start() -> Self {
        for _ in 0..TRIES {
            let folder = tempfile::tempdir().unwrap();
            let layout = Layout::new(folder.path());
            let mut system = Self { processes: layout.processes(), layout, folder: Some(folder) };
            system.processes.iter_mut().for_each(Process::start);
            if system.serving().await {
                return system;
            }
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

    /// Every node.
    pub fn processes(&mut self) -> &mut [Process] {
        &mut self.processes
    }

    /// The nodes of one kind.
    pub fn of(&mut self, kind: Kind) -> impl Iterator<Item = &mut Process> {
        self.processes.iter_mut().filter(move |process| process.kind() == kind)
    }

    /// The way into a company server or the terminals, as those who operate it.
    ///
    /// # Panics
    /// When there is no such node.
    #[must_use]
    pub fn channel(&self, name: &str) -> AuthorizedChannel {
        let token = Secret::new(Layout::operators_token(name));
        let options = ClientOptions { deadline: Duration::from_secs(20) };
        connect(&self.layout.endpoint(name), &token, options).unwrap()
    }
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
