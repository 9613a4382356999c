//! Words that no tracked text holds: notes to self, paths of somebody's machine, hosts of package mirrors. This file
//! alone may hold them, as its rules and its tests' examples.

use super::tree::{File, Tree};
use crate::finding::Finding;

const THIS_FILE: &str = "crates/xtask/src/tidy/text.rs";
const NOTES: [&str; 3] = ["TODO", "FIXME", "XXX"];
const MACHINE: [&str; 3] = ["/home/", "/root/", "/Users/"];
const MIRRORS: [&str; 7] =
    ["artifactory", "index.crates.io", "static.crates.io", "jfrog", "/nexus/", "replace-with", "sonatype"];
const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    tree.files().iter().filter(|file| file.path != THIS_FILE).flat_map(lines).collect()
}

fn lines(file: &File) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, line) in file.text.lines().enumerate() {
        let mut found = |word: &str, remedy: &str| {
            findings.push(Finding::error(&file.path, index + 1, format!("the text holds `{word}`"), remedy));
        };
        if let Some(note) = NOTES.iter().find(|note| has_word(line, note)) {
            found(note, "do it now, or put it where work is planned");
        }
        if let Some(path) = MACHINE.iter().find(|path| has_absolute(line, path)) {
            found(path, "a path of one machine; make it relative, or a setting");
        }
        if let Some(mirror) = MIRRORS.iter().find(|mirror| line.to_ascii_lowercase().contains(*mirror)) {
            found(mirror, "packages come from crates.io; a mirror is a setting of the machine");
        }
        if file.path == "Cargo.lock" && line.contains("registry+") && !line.contains(CRATES_IO) {
            found("registry+", "lock against crates.io, with no mirror set");
        }
    }
    findings
}

/// A whole word: `XXX`, not the `XXXX` of a masked number.
fn has_word(line: &str, word: &str) -> bool {
    line.split(|c: char| !c.is_alphanumeric() && c != '_').any(|part| part == word)
}

/// The path from the root of a disk, not a part of a longer path or of a URL.
fn has_absolute(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(index, _)| {
        let before = line[..index].chars().next_back();
        before.is_none_or(|c| !c.is_alphanumeric() && !matches!(c, '.' | '-' | '_' | '}' | '>' | '*' | '~'))
    })
}

#[cfg(test)]
mod tests {
    use super::super::tree::tree;
    use super::*;
    use crate::finding::problems;

    fn found(path: &str, text: &str) -> Vec<String> {
        problems(&check(&tree(&[(path, text)])))
    }

    #[test]
    fn notes_to_self_are_found_as_whole_words() {
        assert_eq!(found("a.rs", "fine\n// TODO: more"), ["a.rs:2 the text holds `TODO`"]);
        assert_eq!(found("a.sql", "-- FIXME"), ["a.sql:1 the text holds `FIXME`"]);
        assert!(found("a.md", "090-XXXX-XXXX, MASTODON, TODOS").is_empty());
    }

    #[test]
    fn paths_of_a_machine_are_found_and_urls_are_not() {
        assert_eq!(found("a.toml", "path = \"/home/me/a\""), ["a.toml:1 the text holds `/home/`"]);
        assert_eq!(found("a.md", "/Users/me"), ["a.md:1 the text holds `/Users/`"]);
        assert!(found("a.md", "https://example.com/home/page, docs/root/a, ${ROOM}/home/").is_empty());
    }

    #[test]
    fn mirrors_are_found_and_crates_io_is_not() {
        assert_eq!(found("Cargo.toml", "replace-with = \"near\"").len(), 1);
        assert_eq!(found("Cargo.lock", "source = \"registry+https://mirror.example/index\"").len(), 1);
        assert!(found("Cargo.lock", &format!("source = \"{CRATES_IO}\"")).is_empty());
    }

    #[test]
    fn this_file_may_hold_them() {
        assert!(found(THIS_FILE, "TODO").is_empty());
    }
}
