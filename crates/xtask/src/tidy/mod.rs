//! `cargo xtask tidy`: the rules of the project that neither rustfmt nor clippy knows, each a pure function from the
//! tree to findings.
//!
//! | file | rules |
//! |---|---|
//! | [`layout`] | which crates, folders and documents exist; names that say nothing; stores with the same files |
//! | [`imports`] | which crate may depend on which, ours and others' |
//! | [`wiring`] | which file may name an environment, a `tonic::Status`, a concrete store |
//! | [`habits`] | sizes, module docs, forbidden attributes and macros |
//! | [`text`] | words that no tracked text holds |
//! | [`dependencies`] | each dependency has a reason and a user |
//! | [`documents`] | links and decision records |
//!
//! Only [`tree`] reads the disk and only [`members`] starts `cargo metadata`; a rule that needs either belongs there.

use std::path::Path;

use crate::finding::{Finding, report};

mod dependencies;
mod documents;
mod habits;
mod imports;
mod layout;
mod members;
mod text;
mod tokens;
pub(crate) mod tree;
mod wiring;

/// Check every rule on the tree below `root`.
///
/// # Errors
///
/// When a rule is broken, or the tree can't be read.
pub(crate) fn check(root: &Path) -> anyhow::Result<()> {
    let tree = tree::Tree::read(root)?;
    let members = members::read(root)?;
    let findings: Vec<Finding> = [
        layout::check(&tree),
        imports::check(&tree, &members),
        sources(&tree),
        text::check(&tree),
        dependencies::check(&tree, &members),
        documents::check(&tree),
    ]
    .concat();
    report(findings)
}

/// The rules that read Rust, so that each file is made into tokens once.
fn sources(tree: &tree::Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.rust() {
        findings.extend(habits::shape(file));
        match tokens::read(file) {
            Ok(tokens) => {
                findings.extend(habits::words(file, &tokens));
                findings.extend(wiring::check(file, &tokens));
            }
            Err(finding) => findings.push(finding),
        }
    }
    findings
}
