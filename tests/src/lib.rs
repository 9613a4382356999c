//! Starts whole clusters for the tests: in this process, through the same door as the program's own demo.
//!
//! No test logic lives here, and no node is reached past its contracts. Surprising: a run leaves nothing behind, so every look
//! at it is in [`Run`].

pub mod openid;
pub mod processes;

use std::{path::Path, process::ExitCode};

use clap::Parser as _;
use serde_json::Value;

#[derive(clap::Parser)]
struct Demo {
    #[command(flatten)]
    args: musubi::demo::Args,
}

/// What a run of the demo left to see.
#[derive(Debug)]
pub struct Run {
    /// How it ended.
    pub exit_code: ExitCode,
    /// What it printed to standard output.
    pub text: String,
    /// Its report; null when it wrote none.
    pub report: Value,
}

/// Plays a demo with these arguments in a folder, which takes the report as `report.json`.
///
/// # Errors
/// When the arguments aren't the demo's, or the demo itself fails.
pub async fn demo(arguments: &[String], folder: &Path) -> anyhow::Result<Run> {
    let report = folder.join("report.json");
    let always = ["demo", "--headless", "--report"].map(str::to_owned);
    let arguments = always.into_iter().chain([report.display().to_string()]).chain(arguments.iter().cloned());
    let mut text = Vec::new();
    let exit_code = musubi::demo::run_to(Demo::try_parse_from(arguments)?.args, &mut text).await?;
    let report = if report.exists() { serde_json::from_slice(&std::fs::read(report)?)? } else { Value::Null };
    Ok(Run { exit_code, text: String::from_utf8(text)?, report })
}
