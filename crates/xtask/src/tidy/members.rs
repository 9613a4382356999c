//! The workspace's crates and what each names in its manifest, asked of `cargo metadata`. Only direct dependencies;
//! what those pull in is not ours to police.

use std::path::Path;

use anyhow::Context as _;
use cargo_metadata::MetadataCommand;

use super::tree::relative;

/// A crate of the workspace.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) name: String,
    /// The manifest's path, relative to the root.
    pub(crate) manifest: String,
    /// The packages that it depends on, of every kind (normal, build, dev), sorted.
    pub(crate) dependencies: Vec<String>,
}

/// Ask cargo; needs no network and no lock file.
///
/// # Errors
///
/// When a manifest of the workspace can't be read.
pub(crate) fn read(root: &Path) -> anyhow::Result<Vec<Member>> {
    let metadata = MetadataCommand::new().manifest_path(root.join("Cargo.toml")).no_deps().exec();
    let metadata = metadata.context("`cargo metadata` failed")?;
    let mut members = Vec::new();
    for package in metadata.workspace_packages() {
        let manifest = relative(metadata.workspace_root.as_std_path(), package.manifest_path.as_std_path())?;
        let mut dependencies: Vec<String> =
            package.dependencies.iter().map(|dependency| dependency.name.clone()).collect();
        dependencies.sort();
        dependencies.dedup();
        members.push(Member { name: package.name.to_string(), manifest, dependencies });
    }
    Ok(members)
}

/// A crate in the folder `crates/<folder>` with these dependencies.
#[cfg(test)]
pub(crate) fn member(name: &str, folder: &str, dependencies: &[&str]) -> Member {
    let dependencies = dependencies.iter().map(|&name| name.to_owned()).collect();
    Member { name: name.to_owned(), manifest: format!("{folder}/Cargo.toml"), dependencies }
}
