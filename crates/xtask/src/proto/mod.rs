//! `cargo xtask proto`: the wire under `proto/` is well named and documented ([`lint`]), and does not break what
//! `proto/baseline.txt` says was accepted ([`breaking`]). Compiled without protoc, from descriptors and comments, so
//! nothing here parses `.proto` by itself. Surprising: an addition fails too, until `--accept` writes it down; that
//! line in the diff is what a reviewer of the wire reads.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use ignore::WalkBuilder;
use protox::Compiler;
use protox::file::{ChainFileResolver, File, FileResolver, GoogleFileResolver};
use protox::prost_reflect::FileDescriptor;

use crate::finding::{Finding, report};
use crate::tidy::tree::relative;

mod breaking;
mod comments;
mod lint;
mod wire;

use wire::Wire;

const FOLDER: &str = "proto";
const BASELINE: &str = "proto/baseline.txt";

/// Lint the wire and compare it with the accepted one.
///
/// # Errors
///
/// When the wire does not compile, breaks a rule or the accepted wire, or is not accepted as it stands.
pub(crate) fn check(root: &Path) -> anyhow::Result<()> {
    let files = compile(sources(&root.join(FOLDER))?)?;
    let mut findings = lint::check(&files);
    findings.extend(against(read_baseline(root)?.as_ref(), &Wire::of(&files)));
    report(findings)
}

/// Write the wire as it stands to the baseline; the first time whatever it is, later only when it breaks nothing.
///
/// # Errors
///
/// When the wire does not compile or breaks the accepted one, or the baseline can't be written.
pub(crate) fn accept(root: &Path) -> anyhow::Result<()> {
    let now = Wire::of(&compile(sources(&root.join(FOLDER))?)?);
    if let Some(accepted) = read_baseline(root)? {
        report(breaking::breaks(&accepted, &now)).context("not accepted")?;
    }
    std::fs::write(root.join(BASELINE), now.to_string())
        .with_context(|| format!("{BASELINE} can't be written"))?;
    println!("{BASELINE}: {} lines accepted", now.len());
    Ok(())
}

fn against(accepted: Option<&Wire>, now: &Wire) -> Vec<Finding> {
    let Some(accepted) = accepted else {
        let remedy = "`cargo xtask proto --accept` writes the wire as it stands; commit the file";
        return vec![Finding::error(BASELINE, 1, "no wire was accepted yet", remedy)];
    };
    breaking::breaks(accepted, now).into_iter().chain(breaking::stale(accepted, now)).collect()
}

/// `None` when nothing was ever accepted.
fn read_baseline(root: &Path) -> anyhow::Result<Option<Wire>> {
    match std::fs::read_to_string(root.join(BASELINE)) {
        Ok(text) => text.parse().map(Some).context(BASELINE),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).context(BASELINE),
    }
}

/// Proto files by the name under which others import them.
type Sources = BTreeMap<String, String>;

fn sources(folder: &Path) -> anyhow::Result<Sources> {
    let mut sources = Sources::new();
    for entry in WalkBuilder::new(folder).build() {
        let entry = entry.context("proto/ can't be walked")?;
        if entry.path().extension().is_some_and(|extension| extension == "proto") {
            sources.insert(relative(folder, entry.path())?, std::fs::read_to_string(entry.path())?);
        }
    }
    Ok(sources)
}

/// The descriptors of `sources`, without what they import from elsewhere.
fn compile(sources: Sources) -> anyhow::Result<Vec<FileDescriptor>> {
    let names: Vec<String> = sources.keys().cloned().collect();
    let mut resolver = ChainFileResolver::new();
    resolver.add(InMemory(sources));
    resolver.add(GoogleFileResolver::new());
    let mut compiler = Compiler::with_file_resolver(resolver);
    compiler.include_source_info(true);
    for name in &names {
        // Debug of this error has the line; Display has not.
        compiler.open_file(name).map_err(|error| anyhow::anyhow!("{FOLDER}/{error:?}"))?;
    }
    let pool = compiler.descriptor_pool();
    Ok(pool.files().filter(|file| names.iter().any(|name| name == file.name())).collect())
}

struct InMemory(Sources);

impl FileResolver for InMemory {
    fn resolve_path(&self, path: &Path) -> Option<String> {
        path.to_str().map(str::to_owned)
    }

    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        let source = self.0.get(name).ok_or_else(|| protox::Error::file_not_found(name))?;
        File::from_source(name, source)
    }
}

/// The descriptors of `(file name, source)`, for tests.
#[cfg(test)]
fn compiled(sources: &[(&str, &str)]) -> Vec<FileDescriptor> {
    let owned = sources.iter().map(|&(name, source)| (name.to_owned(), source.to_owned()));
    compile(owned.collect()).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str =
        "syntax = \"proto3\";\npackage musubi.type.v1;\n// A.\nmessage A {\n  // B.\n  string b = 1;\n}\n";

    fn project(source: &str) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("proto/musubi/type/v1");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("a.proto"), source).unwrap();
        root
    }

    fn change(root: &tempfile::TempDir, from: &str, to: &str) {
        std::fs::write(root.path().join("proto/musubi/type/v1/a.proto"), GOOD.replace(from, to)).unwrap();
    }

    #[test]
    fn missing_baseline_names_the_remedy() {
        assert!(check(project(GOOD).path()).is_err());
        let found = against(None, &Wire::default());
        assert!(found[0].remedy.contains("`cargo xtask proto --accept`"));
    }

    #[test]
    fn accepted_wire_passes_until_it_grows_and_passes_again_when_accepted() {
        let root = project(GOOD);
        accept(root.path()).unwrap();
        check(root.path()).unwrap();
        change(&root, "string b = 1;", "string b = 1;\n  // C.\n  string c = 2;");
        assert!(check(root.path()).is_err());
        accept(root.path()).unwrap();
        check(root.path()).unwrap();
    }

    #[test]
    fn broken_wire_is_not_accepted() {
        let root = project(GOOD);
        accept(root.path()).unwrap();
        change(&root, "string b = 1;", "int32 b = 1;");
        assert!(check(root.path()).is_err());
        assert!(accept(root.path()).is_err());
    }

    #[test]
    fn source_that_does_not_compile_is_told_with_its_line() {
        let error = check(project("syntax = \"proto3\";\nmessage {}").path()).unwrap_err().to_string();
        assert!(error.starts_with("proto/musubi/type/v1/a.proto:2"), "{error}");
    }
}
