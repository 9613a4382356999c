//! What a step needs installed, asked before anything runs, so that a bare machine gets one list of what to install
//! and not an error of a linker after ten minutes. Never installs anything itself; what `musubi-servers` will install
//! when the tests start is not missing.

use std::process::{Command, Stdio};

use musubi_servers::{Software, may_install};

use crate::steps::Step;

/// What a step needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tool {
    Program {
        /// The program and the arguments that make it print its version.
        probe: &'static [&'static str],
        remedy: &'static str,
    },
    Software(Software),
}

const CARGO: Tool =
    Tool::Program { probe: &["cargo", "--version"], remedy: "install Rust: https://rustup.rs" };
const RUSTFMT: Tool =
    Tool::Program { probe: &["cargo", "fmt", "--version"], remedy: "rustup component add rustfmt" };
const CLIPPY: Tool =
    Tool::Program { probe: &["cargo", "clippy", "--version"], remedy: "rustup component add clippy" };
const CC: Tool = Tool::Program {
    probe: &["cc", "--version"],
    remedy: "install a C compiler (SQLite and the cryptography are C): apt install gcc libc6-dev, dnf install gcc, \
             or xcode-select --install",
};
const POSTGRES: Tool = Tool::Software(Software::Postgres);
const REDIS: Tool = Tool::Software(Software::Redis);
const CHROMIUM: Tool = Tool::Software(Software::Chromium);
const NODE: Tool = Tool::Software(Software::Node);
const PROMETHEUS: Tool = Tool::Software(Software::Prometheus);

fn tools(step: Step) -> &'static [Tool] {
    match step {
        Step::Fmt => &[CARGO, RUSTFMT],
        Step::Tidy => &[CARGO],
        Step::Proto => &[],
        Step::Clippy => &[CARGO, CLIPPY, CC],
        Step::Doc => &[CARGO, CC],
        Step::Tests => &[CARGO, CC, POSTGRES, REDIS, CHROMIUM, NODE, PROMETHEUS],
    }
}

/// Ask for everything that the steps need.
///
/// # Errors
///
/// When something is missing; the text lists all of it, with the command that installs it.
pub(crate) fn check(steps: &[Step]) -> anyhow::Result<()> {
    let lines: String =
        missing(steps, is_present).iter().map(|tool| format!("\n  {}", line(*tool))).collect();
    anyhow::ensure!(lines.is_empty(), "missing on this machine:{lines}");
    Ok(())
}

fn missing(steps: &[Step], present: impl Fn(Tool) -> bool) -> Vec<Tool> {
    let mut missing: Vec<Tool> = Vec::new();
    for &tool in steps.iter().flat_map(|&step| tools(step)) {
        if !missing.contains(&tool) && !present(tool) {
            missing.push(tool);
        }
    }
    missing
}

fn line(tool: Tool) -> String {
    match tool {
        Tool::Program { probe, remedy } => format!("{}: {remedy}", probe.join(" ")),
        Tool::Software(software) => format!("{}: {}", software.name(), software.remedy()),
    }
}

fn is_present(tool: Tool) -> bool {
    match tool {
        Tool::Program { probe, remedy: _ } => answers(probe),
        Tool::Software(software) => software.is_installed() || may_install(software),
    }
}

fn answers(probe: &[&str]) -> bool {
    let Some((program, arguments)) = probe.split_first() else { return false };
    let status = Command::new(program).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_missing_is_named_once() {
        assert_eq!(
            missing(&Step::ALL, |_| false),
            [CARGO, RUSTFMT, CLIPPY, CC, POSTGRES, REDIS, CHROMIUM, NODE, PROMETHEUS]
        );
    }

    #[test]
    fn step_asks_only_for_what_it_runs() {
        assert_eq!(missing(&[Step::Fmt], |tool| tool == CARGO), [RUSTFMT]);
        assert_eq!(missing(&[Step::Proto], |_| false), []);
    }

    #[test]
    fn program_that_does_not_exist_does_not_answer() {
        assert!(!answers(&["no-such-program-here", "--version"]));
    }
}
