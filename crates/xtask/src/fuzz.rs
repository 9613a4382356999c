//! `cargo xtask fuzz`: any bytes into every decoder of outside bytes, for some time each (`tests/fuzz`).
//!
//! libFuzzer needs a C++ compiler, and everything that the program links built with its counters; stable Rust can do that by flags,
//! so neither another toolchain nor `cargo fuzz` is needed. The workspace's lock file is copied, so that what is tried is what is
//! shipped. Surprising: it is no step of `cargo xtask test`, which replays the corpus instead; a finding therefore ends as a file there.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Context as _;
use comfy_table::Table;
use comfy_table::presets::ASCII_MARKDOWN;

const FOLDER: &str = "tests/fuzz";
/// Below `target/`: what the program is built into, what it has found so far, and findings.
const BUILT: &str = "target/fuzz/built";
const GROWN: &str = "target/fuzz/corpus";
const FINDINGS: &str = "target/fuzz/findings";
const FLAGS: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1 -Cdebug-assertions=on --cfg fuzzing";
const LONGEST_INPUT: u32 = 4096;
/// One input that takes longer is a finding.
const LONGEST_RUN_SECONDS: u32 = 10;

/// What became of one decoder.
#[derive(Debug, Default, PartialEq, Eq)]
struct Outcome {
    executions: u64,
    /// Edges of the program that some input has taken.
    coverage: u64,
    finding: bool,
}

/// Build the program and run each decoder for so many seconds.
///
/// # Errors
///
/// When it can't be built, or there is a finding; the text says how to look at it.
pub(crate) fn run(root: &Path, seconds: u32, only: &[String]) -> anyhow::Result<()> {
    let known = targets(root)?;
    if let Some(unknown) = only.iter().find(|target| !known.contains(target)) {
        anyhow::bail!("no decoder {unknown}; there are {}", known.join(", "));
    }
    let program = build(root)?;
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN).set_header(["decoder", "executions", "coverage", "findings"]);
    let mut found = Vec::new();
    for target in known.iter().filter(|target| only.is_empty() || only.contains(target)) {
        println!("{target}: {seconds} s");
        let outcome = try_one(root, &program, target, seconds)?;
        let finding = if outcome.finding { "1" } else { "none" };
        table.add_row([target, &outcome.executions.to_string(), &outcome.coverage.to_string(), finding]);
        found.extend(outcome.finding.then_some(target.as_str()));
    }
    println!("\n{table}");
    anyhow::ensure!(
        found.is_empty(),
        "findings: {}; the inputs are in {FINDINGS}, copy each into {FOLDER}/corpus and mend what its replay shows",
        found.join(", ")
    );
    Ok(())
}

/// The decoders, by the folders of the corpus.
fn targets(root: &Path) -> anyhow::Result<Vec<String>> {
    let folder = root.join(FOLDER).join("corpus");
    let entries = fs::read_dir(&folder).with_context(|| format!("{} can't be read", folder.display()))?;
    let names = entries.map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned()));
    let mut names = names.collect::<Result<Vec<_>, _>>()?;
    names.sort();
    Ok(names)
}

fn build(root: &Path) -> anyhow::Result<std::path::PathBuf> {
    let folder = root.join(FOLDER);
    fs::copy(root.join("Cargo.lock"), folder.join("Cargo.lock")).context("Cargo.lock can't be copied")?;
    // With a target named, the flags do not reach build scripts, which have no counters to report to.
    let triple = triple()?;
    println!("$ cargo build (with libFuzzer's counters; minutes the first time)");
    let mut cargo = Command::new("cargo");
    cargo.current_dir(&folder).args(["build", "--quiet", "--target", &triple, "--target-dir"]);
    cargo.arg(root.join(BUILT)).env("RUSTFLAGS", FLAGS);
    let status = cargo.status().context("`cargo build` did not start")?;
    anyhow::ensure!(
        status.success(),
        "the fuzz program does not build ({status}); it needs a C++ compiler too"
    );
    Ok(root.join(BUILT).join(triple).join("debug/decoders"))
}

fn triple() -> anyhow::Result<String> {
    let rustc = Command::new("rustc").arg("-vV").output().context("`rustc` did not start")?;
    let said = String::from_utf8_lossy(&rustc.stdout);
    let host = said.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("`rustc -vV` names no host")?.to_owned())
}

fn try_one(root: &Path, program: &Path, target: &str, seconds: u32) -> anyhow::Result<Outcome> {
    let (grown, findings) = (root.join(GROWN).join(target), root.join(FINDINGS).join(target));
    for folder in [&grown, &findings] {
        fs::create_dir_all(folder).with_context(|| format!("{} can't be made", folder.display()))?;
    }
    let mut fuzz = Command::new(program);
    fuzz.current_dir(root).env("MUSUBI_FUZZ", target).stdin(Stdio::null());
    fuzz.arg(format!("-max_total_time={seconds}")).arg(format!("-max_len={LONGEST_INPUT}"));
    fuzz.arg(format!("-timeout={LONGEST_RUN_SECONDS}")).arg("-print_final_stats=1");
    fuzz.arg(format!("-artifact_prefix={}/", findings.display()));
    fuzz.arg(&grown).arg(root.join(FOLDER).join("corpus").join(target));
    let ran = fuzz.output().context("the fuzz program did not start")?;
    let said = String::from_utf8_lossy(&ran.stderr);
    let outcome = Outcome { finding: !ran.status.success(), ..read(&said) };
    if outcome.finding {
        let last: Vec<&str> = said.lines().filter(|line| !line.starts_with('#')).collect();
        println!("{}", last[last.len().saturating_sub(40)..].join("\n"));
    }
    Ok(outcome)
}

/// What libFuzzer says of a run: lines as `#123 NEW cov: 456 ft: …`, and `stat::number_of_executed_units: 789` at its end.
fn read(said: &str) -> Outcome {
    let number = |text: &str| text.split_whitespace().next().and_then(|word| word.parse().ok());
    let mut outcome = Outcome::default();
    for line in said.lines() {
        if let Some(coverage) = line.split("cov: ").nth(1).and_then(number) {
            outcome.coverage = coverage;
        }
        if let Some(executions) = line.split("number_of_executed_units: ").nth(1).and_then(number) {
            outcome.executions = executions;
        }
    }
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn executions_and_coverage_are_read_off_the_end() {
        let said = "INFO: seed\n#2\tINITED cov: 12 ft: 13 corp: 1/1b\n#9\tDONE   cov: 456 ft: 99 corp: 7/8b\n\
            Done 789 runs in 2 second(s)\nstat::number_of_executed_units: 789\nstat::average_exec_per_sec: 394\n";
        assert_eq!(read(said), Outcome { executions: 789, coverage: 456, finding: false });
        assert_eq!(read(""), Outcome::default());
    }

    #[test]
    fn every_decoder_has_a_folder_of_inputs() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
        assert!(targets(root).unwrap().len() >= 8);
    }
}
