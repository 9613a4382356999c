//! Each dependency is named once, in the root manifest, with the reason why it is there, and some crate uses it. The
//! root manifest is read as lines, because comments are what a TOML parser drops.

use super::members::Member;
use super::tree::{File, Tree};
use crate::finding::Finding;

const ROOT: &str = "Cargo.toml";
const TABLE: &str = "[workspace.dependencies]";

pub(super) fn check(tree: &Tree, members: &[Member]) -> Vec<Finding> {
    let Some(root) = tree.find(ROOT) else {
        return vec![Finding::error(ROOT, 1, "the file is missing", "run this in the workspace")];
    };
    let mut findings = workspace(root, members);
    let manifests = tree.with_extension("toml").filter(|file| file.path.ends_with("/Cargo.toml"));
    findings.extend(manifests.flat_map(versions));
    findings
}

/// One entry of `[workspace.dependencies]`.
#[derive(Debug, PartialEq, Eq)]
struct Entry<'a> {
    name: &'a str,
    line: usize,
    is_ours: bool,
    has_reason: bool,
}

fn workspace(root: &File, members: &[Member]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for entry in entries(&root.text) {
        let mut found = |problem: &str, remedy: &str| {
            let problem = format!("{} {problem}", entry.name);
            findings.push(Finding::error(ROOT, entry.line, problem, remedy));
        };
        if !entry.is_ours && !entry.has_reason {
            found("has no reason", "say in a comment at the end of the line what it is for");
        }
        if !members.iter().any(|member| member.dependencies.iter().any(|name| name == entry.name)) {
            found("is used by no crate", "delete the line");
        }
    }
    findings
}

fn entries(manifest: &str) -> Vec<Entry<'_>> {
    let mut entries: Vec<Entry<'_>> = Vec::new();
    let mut depth = 0_usize;
    let table = manifest.lines().enumerate().skip_while(|(_, line)| line.trim() != TABLE).skip(1);
    for (index, line) in table.take_while(|(_, line)| !line.starts_with('[')) {
        let (code, comment) = split_comment(line);
        let has_reason = comment.is_some_and(|comment| comment.chars().any(char::is_alphabetic));
        match (depth, code.split_once('=')) {
            (0, Some((name, value))) => {
                let name = name.trim().trim_end_matches(".workspace").trim_matches('"');
                entries.push(Entry { name, line: index + 1, is_ours: value.contains("path ="), has_reason });
            }
            (0, None) => {}
            (_, _) => {
                if let Some(entry) = entries.last_mut() {
                    entry.has_reason |= has_reason;
                }
            }
        }
        depth += code.matches(['[', '{']).count();
        depth = depth.saturating_sub(code.matches([']', '}']).count());
    }
    entries
}

/// What stands before a `#` that is not in a string, and what after.
fn split_comment(line: &str) -> (&str, Option<&str>) {
    let mut in_string = false;
    let hash = line.char_indices().find(|&(_, c)| {
        in_string ^= c == '"';
        c == '#' && !in_string
    });
    hash.map_or((line, None), |(index, _)| (&line[..index], Some(&line[index + 1..])))
}

/// A crate's manifest inherits versions; a number of its own could differ from the root's. A fuzz target, which is a
/// workspace of its own because it needs another compiler, has none to inherit from.
fn versions(manifest: &File) -> Vec<Finding> {
    let mut findings = Vec::new();
    if manifest.path.ends_with("/fuzz/Cargo.toml") {
        return findings;
    }
    let mut in_dependencies = false;
    for (index, line) in manifest.text.lines().enumerate() {
        let (code, _) = split_comment(line);
        if code.starts_with('[') {
            in_dependencies = code.trim_end().ends_with("dependencies]");
        } else if in_dependencies && code.contains('=') && !code.replace(' ', "").contains("workspace=true") {
            let name = code.split(['=', '.']).next().unwrap_or_default().trim();
            let problem = format!("{name} is not inherited");
            let remedy =
                format!("name it in the root manifest with its reason, and here `{name}.workspace = true`");
            findings.push(Finding::error(&manifest.path, index + 1, problem, remedy));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::members::member;
    use super::super::tree::{file, tree};
    use super::*;
    use crate::finding::problems;

    const MANIFEST: &str = "[workspace]\nmembers = []\n[workspace.dependencies]\n\
        ours = { path = \"crates/ours\" }\n# a heading\ntokio = { version = \"1\", features = [\n  \"fs\",\n] } # runs\n\
        bare = \"1\"\nodd = \"1#2\" #\n[profile.dev]\ndebug = 1\n";

    #[test]
    fn dependency_without_a_reason_is_found() {
        let everyone = [member("a", "crates/a", &["ours", "tokio", "bare", "odd"])];
        let found = problems(&workspace(&file(ROOT, MANIFEST), &everyone));
        assert_eq!(found, ["Cargo.toml:9 bare has no reason", "Cargo.toml:10 odd has no reason"]);
    }

    #[test]
    fn dependency_that_no_crate_uses_is_found() {
        let found = workspace(&file(ROOT, MANIFEST), &[member("a", "crates/a", &["ours", "bare", "odd"])]);
        assert!(problems(&found).contains(&"Cargo.toml:6 tokio is used by no crate".to_owned()));
    }

    #[test]
    fn version_in_a_crate_is_found() {
        let manifest = "[package]\nname = \"a\"\n[dependencies]\nserde.workspace = true\nrand = \"1\"\n\
            [dev-dependencies]\ntokio = { workspace = true, features = [\"test-util\"] }\n[features]\nx = []\n";
        let fuzz = ("crates/a/fuzz/Cargo.toml", manifest);
        let tree = tree(&[("Cargo.toml", ""), ("crates/a/Cargo.toml", manifest), fuzz]);
        assert_eq!(problems(&check(&tree, &[])), ["crates/a/Cargo.toml:5 rand is not inherited"]);
    }
}
