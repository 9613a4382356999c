//! The files of the project as the rules see them: relative paths with `/`, and their text. Only what git tracks is
//! the project's; `git add` a new file and the rules see it. Surprising: without git, as in an unpacked archive, it is
//! everything that `.gitignore` does not name.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use anyhow::Context as _;
use ignore::WalkBuilder;

/// A text file.
#[derive(Clone, Debug)]
pub(crate) struct File {
    /// Relative to the root, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl File {
    /// The file's name without folders and extension: `roster` for `crates/domain/src/roster.rs`.
    pub(crate) fn stem(&self) -> &str {
        let name = self.path.rsplit('/').next().unwrap_or_default();
        name.split('.').next().unwrap_or_default()
    }

    /// The line, from 1, of the first line that satisfies `wanted`; 1 when there is none.
    pub(crate) fn line_where(&self, wanted: impl Fn(&str) -> bool) -> usize {
        self.text.lines().position(wanted).map_or(1, |index| index + 1)
    }

    /// The file holds only test code by its place: the `tests` crate, a `tests` folder or a `tests.rs`.
    pub(crate) fn is_test(&self) -> bool {
        self.path.split('/').any(|part| part == "tests") || self.stem() == "tests"
    }

    /// A generator wrote the file and says so in its first line, as prost, cargo and others do.
    fn is_generated(&self) -> bool {
        self.text.lines().next().is_some_and(|line| line.contains("@generated"))
    }
}

/// The project's tree.
pub(crate) struct Tree {
    /// Files that are UTF-8, sorted by path.
    files: Vec<File>,
    /// Every file and folder, text or not.
    paths: BTreeSet<String>,
}

impl Tree {
    /// Read the files of the project at `root`.
    ///
    /// # Errors
    ///
    /// When a folder or file can't be read.
    pub(crate) fn read(root: &Path) -> anyhow::Result<Self> {
        let files = match tracked(root) {
            Some(files) => files,
            None => walked(root)?,
        };
        let mut tree = Self { files: Vec::new(), paths: BTreeSet::new() };
        for path in files {
            let bytes = std::fs::read(root.join(&path)).with_context(|| format!("{path} can't be read"))?;
            tree.paths.extend(with_folders(&path).map(str::to_owned));
            if let Ok(text) = String::from_utf8(bytes) {
                tree.files.push(File { path, text });
            }
        }
        Ok(tree)
    }

    /// The text files.
    pub(crate) fn files(&self) -> &[File] {
        &self.files
    }

    /// The text files with this extension.
    pub(crate) fn with_extension(&self, extension: &str) -> impl Iterator<Item = &File> {
        let ending = format!(".{extension}");
        self.files.iter().filter(move |file| file.path.ends_with(&ending))
    }

    /// The Rust files that a person wrote.
    pub(crate) fn rust(&self) -> impl Iterator<Item = &File> {
        self.with_extension("rs").filter(|file| !file.is_generated())
    }

    /// The text file at `path`, if there is one.
    pub(crate) fn find(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }

    /// Whether there is a file or folder at `path`.
    pub(crate) fn holds(&self, path: &str) -> bool {
        self.paths.contains(path)
    }

    /// The names directly in `folder` (empty for the root) that satisfy `wanted`, which sees whether it is a folder.
    pub(crate) fn names_in(&self, folder: &str) -> Vec<Entry<'_>> {
        let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let inside = self.paths.iter().filter_map(|path| path.strip_prefix(&prefix));
        let names = inside.filter(|rest| !rest.is_empty() && !rest.contains('/'));
        names.map(|name| Entry { name, is_folder: self.is_folder(&format!("{prefix}{name}")) }).collect()
    }

    fn is_folder(&self, path: &str) -> bool {
        let inside = format!("{path}/");
        self.paths.range(inside.clone()..).next().is_some_and(|next| next.starts_with(&inside))
    }
}

/// What git tracks and is there, sorted; `None` when there is no git, or it does not track this root.
fn tracked(root: &Path) -> Option<Vec<String>> {
    let git = Command::new("git").current_dir(root).args(["ls-files", "-z"]).output().ok()?;
    let paths = String::from_utf8(git.stdout).ok().filter(|_| git.status.success())?;
    let files = paths.split('\0').filter(|path| root.join(path).is_file());
    let files: Vec<String> = files.map(str::to_owned).collect();
    files.iter().any(|path| path == "Cargo.toml").then_some(files)
}

/// What `.gitignore` does not name, sorted.
fn walked(root: &Path) -> anyhow::Result<Vec<String>> {
    let mut walk = WalkBuilder::new(root);
    walk.hidden(false).parents(false).git_global(false).require_git(false);
    walk.sort_by_file_path(Path::cmp).filter_entry(|entry| entry.file_name() != ".git");
    let mut files = Vec::new();
    for entry in walk.build() {
        let entry = entry.context("the tree can't be walked")?;
        if entry.file_type().is_some_and(|kind| kind.is_file()) {
            files.push(relative(root, entry.path())?);
        }
    }
    Ok(files)
}

/// `path` from `root`, with `/` on every system.
///
/// # Errors
///
/// When `path` is not below `root`.
pub(crate) fn relative(root: &Path, path: &Path) -> anyhow::Result<String> {
    let parts = path.strip_prefix(root)?.components();
    Ok(parts.map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/"))
}

/// `a`, `a/b`, `a/b/c.rs` for `a/b/c.rs`.
fn with_folders(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(index, _)| &path[..index]).chain([path])
}

/// A name directly in a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry<'a> {
    pub(crate) name: &'a str,
    pub(crate) is_folder: bool,
}

/// A tree of these paths and texts, with the folders that they imply.
#[cfg(test)]
pub(crate) fn tree(files: &[(&str, &str)]) -> Tree {
    let paths = files.iter().flat_map(|(path, _)| with_folders(path)).map(str::to_owned).collect();
    let files = files.iter().map(|&(path, text)| file(path, text)).collect();
    Tree { files, paths }
}

/// One file.
#[cfg(test)]
pub(crate) fn file(path: &str, text: &str) -> File {
    File { path: path.to_owned(), text: text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_a_folder_tell_folders_from_files() {
        let tree = tree(&[("a/b/c.rs", ""), ("a/d.rs", ""), ("e", "")]);
        let entry = |name, is_folder| Entry { name, is_folder };
        assert_eq!(tree.names_in(""), [entry("a", true), entry("e", false)]);
        assert_eq!(tree.names_in("a"), [entry("b", true), entry("d.rs", false)]);
    }

    #[test]
    fn generated_rust_is_left_out() {
        let tree = tree(&[("a.rs", "// This file is @generated by prost-build.\n"), ("b.rs", "//! Room.\n")]);
        assert_eq!(tree.rust().map(File::stem).collect::<Vec<_>>(), ["b"]);
    }

    #[test]
    fn project_is_read_with_git_and_without() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
        let this = "crates/xtask/Cargo.toml";
        let tree = Tree::read(root).unwrap();
        assert!(tree.find(this).is_some() && tree.holds("crates/xtask") && !tree.holds("target"));
        let walked = walked(root).unwrap();
        assert!(walked.iter().any(|path| path == this));
        assert!(!walked.iter().any(|path| path.starts_with("target/") || path.starts_with(".git/")));
    }

    #[test]
    fn folder_that_git_does_not_track_is_walked() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("Cargo.toml"), "").unwrap();
        assert_eq!(tracked(root.path()), None);
        assert!(Tree::read(root.path()).unwrap().holds("Cargo.toml"));
    }
}
