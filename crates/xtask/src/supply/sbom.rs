//! `cargo xtask sbom`: what the program is made of, as CycloneDX in JSON, by cargo-cyclonedx, and held against what cargo says that
//! the program links.
//!
//! Surprising: the tool writes beside the manifest of every program of the workspace, so those files are moved or deleted here, and
//! it names our crates by their place on the disk, which is cut off. The time is the commit's, so that the same commit has the same list.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;
use serde_json::Value;

use super::tool::Tool;

/// Of what writes the list.
pub(crate) const VERSION: &str = "0.5.9";
const CYCLONEDX: Tool = Tool { name: "cargo-cyclonedx", version: VERSION };
const PROGRAM: &str = "musubi";
/// Where the tool writes, from the root: the program's list, and one that nobody asked for.
const WRITTEN: [&str; 2] = ["crates/musubi/musubi_bin.cdx.json", "crates/xtask/xtask_bin.cdx.json"];
const KEPT: &str = "target/sbom/musubi.cdx.json";

/// What writes the list, installed when it isn't there.
///
/// # Errors
///
/// When it can't be had.
pub(crate) fn tool(root: &Path) -> anyhow::Result<PathBuf> {
    CYCLONEDX.installed(root)
}

/// Hold a list against what the program links; gives how many packages that are.
///
/// # Errors
///
/// When it lacks one; the text names it.
pub(crate) fn judge(root: &Path, list: &str) -> anyhow::Result<usize> {
    let linked = linked(root)?;
    let lacking = lacking(list, &linked)?;
    anyhow::ensure!(lacking.is_empty(), "the list lacks what the program links: {}", lacking.join(", "));
    Ok(linked.len())
}

/// Write the list and check it; gives where it is.
///
/// # Errors
///
/// When the tool can't be had or fails, or the list lacks a package that the program links.
pub(crate) fn write(root: &Path) -> anyhow::Result<PathBuf> {
    let mut cyclonedx = Command::new(tool(root)?);
    cyclonedx.current_dir(root).args(["cyclonedx", "--manifest-path", "crates/musubi/Cargo.toml", "--quiet"]);
    cyclonedx.args(["--format", "json", "--spec-version", "1.5", "--describe", "binaries"]);
    if let Some(time) = commit_time(root) {
        cyclonedx.env("SOURCE_DATE_EPOCH", time);
    }
    let status = cyclonedx.status().context("cargo-cyclonedx did not start")?;
    let text = fs::read_to_string(root.join(WRITTEN[0]));
    for path in WRITTEN.map(|path| root.join(path)).iter().filter(|path| path.exists()) {
        fs::remove_file(path).with_context(|| format!("{} can't be deleted", path.display()))?;
    }
    anyhow::ensure!(status.success(), "cargo-cyclonedx failed ({status})");
    let text = text.context("cargo-cyclonedx wrote no list")?.replace(&root.display().to_string(), "");
    let count = judge(root, &text)?;
    let kept = root.join(KEPT);
    fs::create_dir_all(kept.parent().unwrap_or(root))?;
    fs::write(&kept, text).with_context(|| format!("{KEPT} can't be written"))?;
    println!("{KEPT}: all {count} packages that {PROGRAM} links, and what builds them");
    Ok(kept)
}

/// When the present commit was made, in seconds; none without git.
fn commit_time(root: &Path) -> Option<String> {
    let git = Command::new("git").current_dir(root).args(["log", "-1", "--format=%ct"]).output().ok()?;
    String::from_utf8(git.stdout).ok().map(|time| time.trim().to_owned()).filter(|time| !time.is_empty())
}

/// What the program links on this machine: each package's name and version.
fn linked(root: &Path) -> anyhow::Result<BTreeSet<(String, String)>> {
    let mut cargo = Command::new("cargo");
    cargo.current_dir(root).args(["tree", "--package", PROGRAM, "--edges", "normal", "--prefix", "none"]);
    let tree = cargo.args(["--locked", "--format", "{p}"]).output().context("`cargo tree` did not start")?;
    anyhow::ensure!(tree.status.success(), "`cargo tree` failed: {}", String::from_utf8_lossy(&tree.stderr));
    Ok(packages(&String::from_utf8_lossy(&tree.stdout)))
}

/// The packages of lines as `serde v1.0.229 (…)`.
fn packages(tree: &str) -> BTreeSet<(String, String)> {
    let package = |line: &str| {
        let (name, rest) = line.split_once(" v")?;
        Some((name.to_owned(), rest.split_whitespace().next()?.to_owned()))
    };
    tree.lines().filter_map(package).collect()
}

/// The packages that a list lacks, as `name version`.
fn lacking(list: &str, linked: &BTreeSet<(String, String)>) -> anyhow::Result<Vec<String>> {
    let list: Value = serde_json::from_str(list).context("the list is no JSON")?;
    anyhow::ensure!(list["bomFormat"] == "CycloneDX", "the list is no CycloneDX");
    let components = list["components"].as_array().context("the list has no components")?;
    let text = |component: &Value, field: &str| component[field].as_str().unwrap_or_default().to_owned();
    let listed = components.iter().chain([&list["metadata"]["component"]]);
    let listed: BTreeSet<_> = listed.map(|one| (text(one, "name"), text(one, "version"))).collect();
    Ok(linked.difference(&listed).map(|(name, version)| format!("{name} {version}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = r#"{"bomFormat": "CycloneDX", "metadata": {"component": {"name": "musubi", "version": "0.1.0"}},
        "components": [{"name": "serde", "version": "1.0.229"}, {"name": "h2", "version": "0.4.15"}]}"#;

    #[test]
    fn package_that_the_list_lacks_is_told() {
        let tree = "musubi v0.1.0 (/a/crates/musubi)\nserde v1.0.229\n\nh2 v0.4.16\nserde v1.0.229 (*)\n";
        assert_eq!(lacking(LIST, &packages(tree)).unwrap(), ["h2 0.4.16"]);
        assert!(lacking(LIST, &packages("serde v1.0.229 (proc-macro)")).unwrap().is_empty());
    }

    #[test]
    fn what_is_no_list_is_refused() {
        for list in ["", "{}", r#"{"bomFormat": "CycloneDX"}"#] {
            assert!(lacking(list, &BTreeSet::new()).is_err(), "{list}");
        }
    }

    #[test]
    fn this_program_links_what_it_is_made_of() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
        let linked = linked(root).unwrap();
        assert!(
            ["musubi", "musubi-domain", "tonic"].iter().all(|name| linked.iter().any(|(it, _)| it == name))
        );
        assert!(linked.iter().all(|(name, _)| name != "proptest"));
    }
}
