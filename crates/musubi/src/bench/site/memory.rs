//! How much memory processes had at most, as Linux tells it in `/proc`.
//!
//! Surprising: PostgreSQL is many processes that share one piece of memory, so their sizes can't be added up: what each has for
//! itself is added, and what they share counted once.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use serde::Serialize;
use tokio::task::JoinHandle;

/// How often PostgreSQL is looked at; a moment in between is missed.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// What one process had at most.
#[derive(Clone, Debug, Serialize)]
pub(in crate::bench) struct ProcessMemory {
    /// Which.
    pub(in crate::bench) process: String,
    /// Resident, in bytes.
    pub(in crate::bench) peak_rss_bytes: u64,
}

/// The most memory that a process ever held, where the system tells: `self`, or a process's id.
pub(in crate::bench) fn peak_memory(process: &str) -> Option<u64> {
    bytes(&status(process)?, "VmHWM:")
}

/// Bytes that a process has had written to disks, where the system tells.
pub(super) fn bytes_written(process: u32) -> Option<u64> {
    let io = fs::read_to_string(format!("/proc/{process}/io")).ok()?;
    io.lines().find_map(|line| line.strip_prefix("write_bytes: "))?.trim().parse().ok()
}

fn status(process: &str) -> Option<String> {
    fs::read_to_string(format!("/proc/{process}/status")).ok()
}

fn bytes(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

/// Looks at a process and its children again and again.
pub(super) struct Watch {
    peak: Arc<AtomicU64>,
    looking: JoinHandle<()>,
}

impl Watch {
    /// Over this process.
    pub(super) fn over(process: u32) -> Self {
        let peak = Arc::new(AtomicU64::new(0));
        let seen = Arc::clone(&peak);
        let looking = tokio::spawn(async move {
            loop {
                let now = tokio::task::spawn_blocking(move || family(process)).await.unwrap_or_default();
                seen.fetch_max(now, Ordering::Relaxed);
                tokio::time::sleep(LOOK_EVERY).await;
            }
        });
        Self { peak, looking }
    }

    /// The most so far.
    pub(super) fn peak(&self) -> u64 {
        self.peak.load(Ordering::Relaxed)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.looking.abort();
    }
}

/// What a process and its children have now.
fn family(process: u32) -> u64 {
    let children = fs::read_to_string(format!("/proc/{process}/task/{process}/children")).unwrap_or_default();
    let own = process.to_string();
    let all = children.split_whitespace().chain([own.as_str()]).filter_map(status);
    let (mut private, mut shared) = (0, 0);
    for status in all {
        private += bytes(&status, "RssAnon:").unwrap_or_default();
        shared = shared.max(bytes(&status, "RssShmem:").unwrap_or_default());
    }
    private + shared
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_memory_and_one_that_is_not_there_has_none() {
        assert!(peak_memory("self").unwrap() > 1_000_000);
        assert_eq!(peak_memory("nobody"), None);
        assert!(family(std::process::id()) > 100_000);
        assert_eq!(family(u32::MAX), 0);
    }
}
