//! The steps of `cargo xtask test`, in the order in which they run: cheap ones first, the tests last so that the
//! closing lines of `cargo test` stand right above the table. A step never changes a tracked file. Surprising: a step
//! that fails does not stop the next ones, so that one run tells everything; `--fail-fast` stops.

use std::num::NonZero;
use std::path::Path;
use std::process::{Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use comfy_table::Table;
use comfy_table::presets::ASCII_MARKDOWN;
use musubi_servers::Software;

use crate::servers::Servers;
use crate::{proto, requirements, tidy};

/// One check that can fail by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Fmt,
    Tidy,
    Proto,
    Clippy,
    Doc,
    Tests,
}

impl Step {
    /// Every step, in order.
    pub(crate) const ALL: [Self; 6] =
        [Self::Fmt, Self::Tidy, Self::Proto, Self::Clippy, Self::Doc, Self::Tests];

    fn name(self) -> &'static str {
        match self {
            Self::Fmt => "fmt",
            Self::Tidy => "tidy",
            Self::Proto => "proto",
            Self::Clippy => "clippy",
            Self::Doc => "doc",
            Self::Tests => "tests",
        }
    }

    /// Run the step alone. What it finds goes to standard output, and the output of cargo is passed through.
    ///
    /// # Errors
    ///
    /// When the step found something, or could not run.
    pub(crate) fn run(self, root: &Path) -> anyhow::Result<()> {
        match self {
            Self::Fmt => cargo(root, &["fmt", "--all", "--check"], &[]).context("`cargo fmt` mends this"),
            Self::Tidy => tidy::check(root),
            Self::Proto => proto::check(root),
            Self::Clippy => {
                let arguments = [
                    "clippy",
                    "--workspace",
                    "--all-targets",
                    "--locked",
                    "--keep-going",
                    "--",
                    "-D",
                    "warnings",
                ];
                cargo(root, &arguments, &[])
            }
            Self::Doc => {
                let arguments = [
                    "doc",
                    "--workspace",
                    "--no-deps",
                    "--document-private-items",
                    "--locked",
                    "--keep-going",
                ];
                cargo(root, &arguments, &[("RUSTDOCFLAGS", "-D warnings")])
            }
            Self::Tests => {
                let servers = Servers::start(&Software::ALL)?;
                // Examples are for people, and clippy compiles them; the documentation has none.
                let targets = ["--lib", "--bins", "--tests"];
                let arguments =
                    [&["test", "--workspace", "--locked", "--no-fail-fast"], &targets[..]].concat();
                let (mut cargo, command) = announce(root, &arguments);
                // One more than there are cores: whole clusters also wait.
                let cores = thread::available_parallelism().map_or(1, NonZero::get);
                cargo.env("RUST_TEST_THREADS", (cores + 1).to_string());
                ended(&command, servers.run(&mut cargo)?)
            }
        }
    }
}

fn cargo(root: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> anyhow::Result<()> {
    let (mut cargo, command) = announce(root, arguments);
    let status = cargo.envs(environment.iter().copied()).status();
    ended(&command, status.with_context(|| format!("`{command}` did not start"))?)
}

/// Say what will run.
fn announce(root: &Path, arguments: &[&str]) -> (Command, String) {
    let command = format!("cargo {}", arguments.join(" "));
    println!("$ {command}");
    let mut cargo = Command::new("cargo");
    cargo.current_dir(root).args(arguments);
    (cargo, command)
}

fn ended(command: &str, status: ExitStatus) -> anyhow::Result<()> {
    anyhow::ensure!(status.success(), "`{command}` failed ({status})");
    Ok(())
}

/// How a step ended and how long it took; `None` when it did not run.
type Outcome = Option<(anyhow::Result<()>, Duration)>;

/// Check what is installed, run every step, end with a table.
///
/// # Errors
///
/// When something is not installed, or any step failed; the text names the steps.
pub(crate) fn run_all(root: &Path, fail_fast: bool) -> anyhow::Result<()> {
    requirements::check(&Step::ALL)?;
    let outcomes = run_each(fail_fast, |step| {
        println!("\n=== {} ===", step.name());
        let started = Instant::now();
        let result = step.run(root);
        let took = started.elapsed();
        match &result {
            Ok(()) => println!("=== {}: ok in {} ===", step.name(), seconds(took)),
            Err(error) => println!("=== {}: FAILED in {}: {error:#} ===", step.name(), seconds(took)),
        }
        (result, took)
    });
    println!("\n{}", table(&outcomes));
    verdict(&outcomes)
}

fn run_each(
    fail_fast: bool,
    mut run: impl FnMut(Step) -> (anyhow::Result<()>, Duration),
) -> Vec<(Step, Outcome)> {
    let mut stopped = false;
    let mut outcomes = Vec::new();
    for step in Step::ALL {
        let outcome = (!stopped).then(|| run(step));
        stopped |= fail_fast && outcome.as_ref().is_some_and(|(result, _)| result.is_err());
        outcomes.push((step, outcome));
    }
    outcomes
}

fn table(outcomes: &[(Step, Outcome)]) -> Table {
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN).set_header(["step", "result", "time"]);
    for (step, outcome) in outcomes {
        let (result, took) = match outcome {
            Some((Ok(()), took)) => ("ok", seconds(*took)),
            Some((Err(_), took)) => ("FAILED", seconds(*took)),
            None => ("not run", String::new()),
        };
        table.add_row([step.name(), result, &took]);
    }
    table
}

fn verdict(outcomes: &[(Step, Outcome)]) -> anyhow::Result<()> {
    let failed: Vec<&str> = outcomes
        .iter()
        .filter(|(_, outcome)| outcome.as_ref().is_some_and(|(result, _)| result.is_err()))
        .map(|(step, _)| step.name())
        .collect();
    anyhow::ensure!(failed.is_empty(), "failed: {}", failed.join(", "));
    Ok(())
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proto_fails(step: Step) -> (anyhow::Result<()>, Duration) {
        let result = if step == Step::Proto { Err(anyhow::anyhow!("broken")) } else { Ok(()) };
        (result, Duration::from_millis(1500))
    }

    #[test]
    fn one_failed_step_fails_the_run_and_the_rest_still_run() {
        let outcomes = run_each(false, proto_fails);
        assert!(outcomes.iter().all(|(_, outcome)| outcome.is_some()));
        assert_eq!(verdict(&outcomes).unwrap_err().to_string(), "failed: proto");
    }

    #[test]
    fn fail_fast_leaves_the_later_steps_out() {
        let table = table(&run_each(true, proto_fails)).to_string();
        assert!(table.contains("| proto  | FAILED  | 1.5 s |"), "{table}");
        assert!(table.contains("| tests  | not run |       |"), "{table}");
    }

    #[test]
    fn steps_that_pass_pass_the_run() {
        assert!(verdict(&run_each(true, |_| (Ok(()), Duration::ZERO))).is_ok());
    }
}
