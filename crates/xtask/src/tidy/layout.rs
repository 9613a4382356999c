//! What exists where: the crates and folders of ARCHITECTURE.md, its documents, and no name that says nothing. A new
//! crate or folder at the root is a decision: its line here comes with its line in ARCHITECTURE.md.

use super::tree::{Entry, File, Tree};
use crate::finding::Finding;

/// The crates below `crates/`. Who may import whom is in [`super::imports`].
const CRATES: [&str; 12] = [
    "carrier-simulator",
    "company-server",
    "domain",
    "information-server",
    "matching",
    "musubi",
    "proto",
    "runtime",
    "servers",
    "storage",
    "terminal-simulator",
    "xtask",
];
const FOLDERS: [&str; 8] = [".cargo", ".ci", ".github", "crates", "deploy", "docs", "proto", "tests"];
const DOCUMENTS: [&str; 6] =
    ["ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "README.md", "SECURITY.md"];
pub(super) const SAYS_NOTHING: [&str; 8] =
    ["common", "core", "helper", "helpers", "type", "types", "util", "utils"];
const STORES: [&str; 2] = ["crates/storage/src/sqlite", "crates/storage/src/postgres"];
/// What stands beside a backend's stores and is no store: SQLite is given many rows by columns; a server's databases are migrated
/// apart, and made for each test; answers of a server get lost on the way, and it says what it does.
const NO_STORES: [&str; 6] = ["lost.rs", "many.rs", "migrate.rs", "plans", "proxy.rs", "testing.rs"];

const NEW_ROOM: &str =
    "make it a module of an existing crate, or add it to ARCHITECTURE.md and tidy/layout.rs";

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = [folders(tree), documents(tree), manifests(tree), same_files(tree)].concat();
    findings.extend(tree.rust().flat_map(names));
    findings
}

fn folders(tree: &Tree) -> Vec<Finding> {
    let unknown = |entry: &Entry<'_>, known: &[&str]| entry.is_folder && !known.contains(&entry.name);
    let at_root = tree.names_in("").into_iter().filter(|entry| unknown(entry, &FOLDERS));
    let crates = tree.names_in("crates").into_iter().filter(|entry| unknown(entry, &CRATES));
    at_root
        .map(|entry| Finding::error(entry.name, 1, "a folder that the layout does not have", NEW_ROOM))
        .chain(crates.map(|entry| {
            let path = format!("crates/{}", entry.name);
            Finding::error(path, 1, "a crate that the layout does not have", NEW_ROOM)
        }))
        .collect()
}

fn documents(tree: &Tree) -> Vec<Finding> {
    let missing = DOCUMENTS.iter().filter(|path| !tree.holds(path));
    missing.map(|&path| Finding::error(path, 1, "the file is missing", "write it")).collect()
}

/// Every crate inherits the workspace's lints; without that clippy's rules hold nowhere.
fn manifests(tree: &Tree) -> Vec<Finding> {
    let manifests = tree.with_extension("toml").filter(|file| file.path.ends_with("/Cargo.toml"));
    let careless = manifests.filter(|file| !file.text.contains("[lints]\nworkspace = true"));
    careless
        .map(|file| {
            Finding::error(&file.path, 1, "the workspace's lints are off", "add [lints] workspace = true")
        })
        .collect()
}

/// A store that one backend has and the other lacks does not exist.
fn same_files(tree: &Tree) -> Vec<Finding> {
    let [here, there] = STORES;
    if !tree.holds(here) || !tree.holds(there) {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for (has, lacks) in [(here, there), (there, here)] {
        let stores = tree.names_in(has).into_iter().filter(|entry| !NO_STORES.contains(&entry.name));
        for entry in stores.filter(|entry| !tree.holds(&format!("{lacks}/{}", entry.name))) {
            let problem = format!("{lacks} has no {}", entry.name);
            let path = format!("{has}/{}", entry.name);
            findings.push(Finding::error(path, 1, problem, "both backends have the same files"));
        }
    }
    findings
}

/// The proto crate has a module `type`, because the package is `musubi.type`.
fn names(file: &File) -> Option<Finding> {
    let of_package = file.path.starts_with("crates/proto/");
    let name = file
        .path
        .trim_end_matches(".rs")
        .split('/')
        .find(|part| SAYS_NOTHING.contains(part) && !(of_package && matches!(*part, "type" | "types")))?;
    let problem = format!("`{name}` says nothing about what is inside");
    Some(Finding::error(
        &file.path,
        1,
        problem,
        "name it after what it does, or move the pieces to their users",
    ))
}

#[cfg(test)]
mod tests {
    use super::super::tree::{file, tree};
    use super::*;
    use crate::finding::problems;

    #[test]
    fn crate_and_folder_outside_the_layout_are_found() {
        let tree =
            tree(&[("crates/domain/Cargo.toml", ""), ("crates/extras/Cargo.toml", ""), ("scripts/a", "")]);
        assert_eq!(
            problems(&folders(&tree)),
            [
                "scripts:1 a folder that the layout does not have",
                "crates/extras:1 a crate that the layout does not have"
            ]
        );
    }

    #[test]
    fn missing_document_is_found() {
        let all = DOCUMENTS.map(|path| (path, ""));
        assert_eq!(documents(&tree(&all)), []);
        assert_eq!(problems(&documents(&tree(&all[1..]))), ["ARCHITECTURE.md:1 the file is missing"]);
    }

    #[test]
    fn crate_without_the_workspace_lints_is_found() {
        let tree =
            tree(&[("crates/a/Cargo.toml", "[lints]\nworkspace = true\n"), ("crates/b/Cargo.toml", "")]);
        assert_eq!(problems(&manifests(&tree)), ["crates/b/Cargo.toml:1 the workspace's lints are off"]);
    }

    #[test]
    fn backend_without_a_file_of_the_other_is_found() {
        let roster = ("crates/storage/src/sqlite/roster.rs", "");
        assert_eq!(same_files(&tree(&[roster])), []);
        let postgres = ["mod.rs", "migrate.rs"].map(|name| format!("crates/storage/src/postgres/{name}"));
        let tree = tree(&[roster, (&postgres[0], ""), (&postgres[1], "")]);
        assert_eq!(
            problems(&same_files(&tree)),
            [
                "crates/storage/src/sqlite/roster.rs:1 crates/storage/src/postgres has no roster.rs",
                "crates/storage/src/postgres/mod.rs:1 crates/storage/src/sqlite has no mod.rs"
            ]
        );
    }

    #[test]
    fn name_that_says_nothing_is_found_as_file_and_as_folder() {
        for path in ["crates/domain/src/utils.rs", "tests/it/common/mod.rs", "crates/domain/src/types.rs"] {
            assert!(names(&file(path, "")).is_some(), "{path}");
        }
        for path in
            ["crates/domain/src/roster.rs", "crates/proto/src/types.rs", "crates/domain/src/core_hours.rs"]
        {
            assert_eq!(names(&file(path, "")), None, "{path}");
        }
    }
}
