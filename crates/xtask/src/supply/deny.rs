//! `cargo xtask deny`: licences, sources, bans and advisories of every package of the lock file, by cargo-deny and `deny.toml`.
//!
//! Surprising: where the database of advisories can't be had, the rest decides alone, and the last line says so.

use std::path::Path;
use std::process::{Command, Output};

use anyhow::Context as _;

use super::tool::Tool;

const CARGO_DENY: Tool = Tool { name: "cargo-deny", version: "0.20.2" };

/// Check everything that can be checked.
///
/// # Errors
///
/// When a package breaks a rule of `deny.toml` or has an advisory, or cargo-deny can't be had.
pub(crate) fn check(root: &Path) -> anyhow::Result<()> {
    let program = CARGO_DENY.installed(root)?;
    let deny = |arguments: &[&str]| {
        let mut deny = Command::new(&program);
        deny.current_dir(root).arg("--locked").args(arguments);
        deny
    };
    let ran = |command: &mut Command| command.status().context("cargo-deny did not start");
    let rules = ran(&mut deny(&["check", "licenses", "bans", "sources"]))?;
    let fetched = deny(&["fetch", "db"]).output().context("cargo-deny did not start")?;
    let advisories = match unreachable(&fetched) {
        None => Some(ran(deny(&["check", "advisories"]).arg("--hide-inclusion-graph"))?),
        Some(reason) => {
            println!("advisories NOT CHECKED: their database can't be had ({reason}); repeat where it can");
            None
        }
    };
    anyhow::ensure!(rules.success(), "a licence, a source or a ban: see above, and deny.toml");
    anyhow::ensure!(advisories.is_none_or(|status| status.success()), "an advisory: see above; upgrade");
    Ok(())
}

/// Why the database did not come, in one line; `None` when it did.
fn unreachable(fetched: &Output) -> Option<String> {
    if fetched.status.success() {
        return None;
    }
    let said = String::from_utf8_lossy(&fetched.stderr);
    let cause = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("no reason was told");
    Some(cause.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fetched(script: &str) -> Output {
        Command::new("sh").args(["-c", script]).output().unwrap()
    }

    #[test]
    fn database_that_can_not_be_had_is_told_by_its_last_line() {
        assert_eq!(unreachable(&fetched("true")), None);
        let script = "echo cloning >&2; echo 'fatal: no such host' >&2; echo >&2; exit 1";
        assert_eq!(unreachable(&fetched(script)).unwrap(), "fatal: no such host");
        assert_eq!(unreachable(&fetched("exit 1")).unwrap(), "no reason was told");
    }
}
