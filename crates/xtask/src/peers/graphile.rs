//! graphile-worker, measured: jobs that do nothing, on a PostgreSQL as Musubi's is measured on.
//!
//! The script in `scripts/graphile-worker` adds and does them. Surprising: it is measured with one process and with one for each
//! core, on a fresh server each, and the better counts.

use std::fs::{self, File};
use std::path::Path;

use anyhow::Context as _;
use musubi_servers::{Scripts, postgres};
use serde_json::Value;

use super::verdict::Rate;
use crate::servers::Signals;

const SCRIPTS: &str = "crates/xtask/scripts/graphile-worker";
const SCRIPT: &str = "jobs.js";

/// What one run came to.
#[derive(Debug, PartialEq)]
pub(super) struct Outcome {
    pub(super) version: String,
    pub(super) node: String,
    pub(super) processes: u64,
    pub(super) rate: Rate,
}

/// Does so many jobs, with one process and with `cores`, and gives the better. Packages and what the script says go below `folder`.
///
/// # Errors
///
/// When packages can't be installed, PostgreSQL does not start, or a job fails.
pub(super) fn measure(
    root: &Path,
    folder: &Path,
    within: &Path,
    size: u64,
    cores: u64,
    signals: &Signals,
) -> anyhow::Result<Outcome> {
    let scripts = Scripts::prepare(&root.join(SCRIPTS), &folder.join("graphile-worker"))?;
    let mut outcomes = Vec::new();
    for processes in [1, cores] {
        if outcomes.iter().any(|outcome: &Outcome| outcome.processes == processes) {
            continue;
        }
        let server = postgres::start(&postgres::Settings::measured(within.to_owned()))?;
        let said = folder.join("graphile-worker.json");
        let mut command = scripts.command(SCRIPT);
        command
            .args([size, processes].map(|number| number.to_string()))
            .env("DATABASE_URL", server.url())
            .env("MUSUBI_PEER_MODULES", scripts.modules())
            // It would say each job.
            .env("NO_LOG_SUCCESS", "1")
            .stdout(File::create(&said)?);
        let status = signals.run(&mut command)?;
        anyhow::ensure!(status.success(), "{SCRIPT} failed ({status})");
        let said = fs::read_to_string(&said)?;
        let outcome = read(&said).with_context(|| format!("{SCRIPT} said {said:?}"))?;
        println!("  {} process(es): {}", outcome.processes, outcome.rate);
        outcomes.push(outcome);
    }
    let best =
        outcomes.into_iter().max_by(|one, other| one.rate.per_second().total_cmp(&other.rate.per_second()));
    best.context("nothing was measured")
}

fn read(said: &str) -> anyhow::Result<Outcome> {
    let said: Value = serde_json::from_str(said)?;
    let text = |name: &str| said[name].as_str().map(str::to_owned).with_context(|| format!("no {name}"));
    let count = |name: &str| said[name].as_u64().with_context(|| format!("no {name}"));
    let seconds = said["seconds"].as_f64().filter(|seconds| *seconds > 0.0).context("no seconds")?;
    Ok(Outcome {
        version: text("version")?,
        node: text("node")?,
        processes: count("processes")?,
        rate: Rate { count: count("jobs")?, seconds },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_script_prints_is_read_and_what_lacks_is_named() {
        let said = r#"{"version":"0.18.0","node":"v24.1.0","jobs":1000,"processes":2,"seconds":0.5}"#;
        let outcome = read(said).unwrap();
        assert_eq!((outcome.processes, outcome.rate.per_second()), (2, 2_000.0));
        for name in ["version", "node", "jobs", "processes", "seconds"] {
            let error = read(&said.replace(&format!("\"{name}\""), "\"other\"")).unwrap_err();
            assert_eq!(error.to_string(), format!("no {name}"));
        }
        assert!(read(&said.replace("0.5", "0")).is_err());
        assert!(read("").is_err());
    }
}
