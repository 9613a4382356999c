//! `cargo xtask peers`: Musubi beside programs of others that do a part of its work, one after the other on one machine.
//!
//! Here stands what is run and how fast beside it Musubi has to be; `verdict` says whether it was. Nothing here knows how Musubi
//! works: it is run as anybody would run it. Surprising: it is no step of `cargo xtask test`, since a rate on a machine that does something else
//! says nothing.

mod graphile;
mod kannel;
mod progress;
mod verdict;

use std::fs::{self, File};
use std::io::Write as _;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use anyhow::Context as _;
use musubi_servers::{Software, install_missing, postgres};
use serde_json::{Value, json};

use self::verdict::{Figure, Peer, Rate, Verdict};
use crate::servers::Signals;

/// How many times as fast as each Musubi has to be.
const BY_KANNEL_WITH_REPORTS: f64 = 10.0;
const BY_KANNEL: f64 = 4.0;
const BY_GRAPHILE: f64 = 1.0;
const BY_SVIX: f64 = 30.0;
/// What svix-server is known to have done in a second; no registry of packages has it.
const SVIX: f64 = 640.0;
/// Kannel, being slower, is given a part of the messages.
const KANNELS_PART: u64 = 4;

/// What the command line says.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  cargo xtask peers --json peers.json
  cargo xtask peers --size 20000 --program target/release/musubi

Let the machine do nothing else meanwhile. Measured one after the other, everything on loopback and gone afterwards:

  Musubi           `musubi bench distribute --store postgres --size N`: messages sent, each with its report recorded
  Kannel           N/10 messages over HTTP, each in a file until it is sent over SMPP; once with their delivery reports, which it
                   calls back over HTTP, once without
  graphile-worker  N jobs that do nothing, on a PostgreSQL that is set as Musubi's

Kannel is Debian's, installed where this is root; graphile-worker is npm's, with a Node.js of its own, below target/peers. The command fails when Musubi is not as many times as fast as each as it has to be. docs/performance.md says what each peer does and
doesn't.")]
pub(crate) struct Arguments {
    /// How many messages and jobs.
    #[arg(long, value_name = "N", default_value_t = 300_000, value_parser = clap::value_parser!(u64).range(1_000..=10_000_000))]
    size: u64,
    /// Musubi's program, in place of one that is built for release.
    #[arg(long, value_name = "PATH")]
    program: Option<PathBuf>,
    /// A folder for databases and spools while it runs; best on the disk that is meant. Without it: the system's temporary folder.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Write the figures to this file too.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Measures, prints the table, and judges.
///
/// # Errors
///
/// When something can't be installed or measured, or Musubi is slower than it has to be.
pub(crate) fn measure(root: &Path, arguments: &Arguments) -> anyhow::Result<()> {
    // A file that can't be written is no discovery for the end.
    let unwritten = |path: &Path| format!("--json {} can't be written; name another file", path.display());
    let file = arguments.json.as_deref().map(|path| File::create(path).with_context(|| unwritten(path)));
    let file = file.transpose()?;
    let signals = &Signals::catch()?;
    install_missing(&[Software::Postgres, Software::Node, Software::Kannel])?;
    let folder = &root.join("target/peers");
    fs::create_dir_all(folder).with_context(|| format!("{} can't be made", folder.display()))?;
    let within = &arguments.data_dir.clone().unwrap_or_else(|| postgres::Settings::default().within);
    let size = arguments.size;
    let cores = thread::available_parallelism().map_or(1, NonZero::get) as u64;
    let program = match &arguments.program {
        Some(program) => program.clone(),
        None => build(root, signals)?,
    };
    let load = load();
    println!("{cores} cores");
    begin(&format!("Musubi: {} messages", verdict::thousands(size)));
    let musubi = distribute(&program, folder, within, size, signals)?;
    println!("  {musubi}");
    let part = size / KANNELS_PART;
    let mut peers = Vec::new();
    for (reported, did, to_reach) in [
        (true, "messages with reports, in a spool", BY_KANNEL_WITH_REPORTS),
        (false, "messages without reports, in a spool", BY_KANNEL),
    ] {
        begin(&format!("Kannel: {} {did}", verdict::thousands(part)));
        let (version, rate) = kannel::measure(within, part, reported, signals)?;
        println!("  {rate}");
        let name = format!("Kannel {version}");
        peers.push(Peer { name, did, figure: Figure::Measured(rate), to_reach });
    }
    begin(&format!("graphile-worker: {} jobs that do nothing", verdict::thousands(size)));
    let graphile = graphile::measure(root, folder, within, size, cores, signals)?;
    peers.push(Peer {
        name: format!("graphile-worker {}", graphile.version),
        did: "jobs that do nothing, on PostgreSQL",
        figure: Figure::Measured(graphile.rate),
        to_reach: BY_GRAPHILE,
    });
    peers.push(Peer {
        name: "svix-server".to_owned(),
        did: "webhooks, as measured elsewhere",
        figure: Figure::Known(SVIX),
        to_reach: BY_SVIX,
    });

    let verdict = Verdict { musubi, peers };
    println!("\n{}", verdict.table());
    if let Some(mut file) = file {
        let run = json!({
            "cores": cores, "load_before": load, "size": size,
            "node": graphile.node, "graphile_worker_processes": graphile.processes,
        });
        let text = serde_json::to_string_pretty(&verdict.json(run))? + "\n";
        file.write_all(text.as_bytes()).context("--json can't be written to its end")?;
    }
    verdict.judge()
}

/// Musubi's program, built as it is shipped.
fn build(root: &Path, signals: &Signals) -> anyhow::Result<PathBuf> {
    let mut cargo = Command::new("cargo");
    cargo.current_dir(root).args([
        "build",
        "--release",
        "--locked",
        "--package",
        "musubi",
        "--bin",
        "musubi",
    ]);
    let status = signals.run(&mut cargo)?;
    anyhow::ensure!(status.success(), "the program was not built ({status})");
    Ok(root.join("target/release/musubi"))
}

/// One distribution to so many, from its start until the last receipt is recorded.
fn distribute(
    program: &Path,
    folder: &Path,
    within: &Path,
    size: u64,
    signals: &Signals,
) -> anyhow::Result<Rate> {
    let report = folder.join("musubi.json");
    let mut bench = Command::new(program);
    bench.args(["bench", "distribute", "--store", "postgres", "--size", &size.to_string(), "--data-dir"]);
    bench.arg(within).arg("--json").arg(&report);
    let status = signals.run(&mut bench)?;
    anyhow::ensure!(status.success(), "{} bench distribute failed ({status})", program.display());
    let report: Value = serde_json::from_str(&fs::read_to_string(&report)?)?;
    read(&report).with_context(|| format!("`bench distribute` reports {report}"))
}

fn read(report: &Value) -> anyhow::Result<Rate> {
    anyhow::ensure!(report["failed"] == false, "it says that it failed");
    anyhow::ensure!(report["unit"] == "messages/s", "its figure is not of messages in a second");
    let figure = report["figure"].as_f64().filter(|figure| *figure > 0.0).context("it has no figure")?;
    let count = report["size"].as_u64().context("it has no size")?;
    Ok(Rate { count, seconds: count as f64 / figure })
}

/// Tells what comes, and what the machine does.
fn begin(what: &str) {
    println!("\n=== {what} (load of the last 1, 5 and 15 minutes: {}) ===", load());
}

/// What the machine did before; nothing where Linux doesn't tell.
fn load() -> String {
    let told = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    told.split(' ').take(3).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figure_of_a_report_is_read_and_what_is_no_such_report_refused() {
        let report = json!({ "figure": 20_000.0, "unit": "messages/s", "size": 100_000, "failed": false });
        assert_eq!(read(&report).unwrap(), Rate { count: 100_000, seconds: 5.0 });
        for (field, value) in [
            ("figure", json!(0)),
            ("figure", Value::Null),
            ("unit", json!("s")),
            ("size", Value::Null),
            ("failed", json!(true)),
            ("failed", Value::Null),
        ] {
            let mut wrong = report.clone();
            wrong[field] = value.clone();
            assert!(read(&wrong).is_err(), "{field} {value}");
        }
    }
}
