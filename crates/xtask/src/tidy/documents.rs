//! Markdown: every relative link leads somewhere, and the decision records are numbered without gaps. Links to the
//! web are not followed; a check must not fail because somebody else's server is down.

use pulldown_cmark::{Event, Options, Parser, Tag};

use super::tree::{File, Tree};
use crate::finding::Finding;

const DECISIONS: &str = "docs/adr";

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings: Vec<Finding> = tree.with_extension("md").flat_map(|file| links(tree, file)).collect();
    findings.extend(decisions(tree));
    findings
}

fn links(tree: &Tree, file: &File) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (event, place) in Parser::new_ext(&file.text, Options::ENABLE_TABLES).into_offset_iter() {
        let Event::Start(Tag::Link { dest_url: link, .. } | Tag::Image { dest_url: link, .. }) = event else {
            continue;
        };
        let path = link.split(['#', '?']).next().unwrap_or_default();
        if path.is_empty() || link.contains("://") || link.starts_with("mailto:") {
            continue;
        }
        if !resolve(&file.path, path).is_some_and(|target| tree.holds(&target)) {
            let line = file.text[..place.start].matches('\n').count() + 1;
            let problem = format!("the link to {path} leads nowhere");
            let remedy = "write the path from this file's folder to a file that is tracked";
            findings.push(Finding::error(&file.path, line, problem, remedy));
        }
    }
    findings
}

/// The path from the root; `None` when it leaves the root.
fn resolve(from: &str, link: &str) -> Option<String> {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    if link.starts_with('/') {
        parts.clear();
    }
    for part in link.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

fn decisions(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut expected = 1;
    for entry in tree.names_in(DECISIONS) {
        let number = entry.name.split_once('-').filter(|(number, _)| number.len() == 4);
        let number = number.and_then(|(number, _)| number.parse::<usize>().ok());
        let path = format!("{DECISIONS}/{}", entry.name);
        match number {
            Some(number) if number == expected => expected += 1,
            Some(number) => {
                let problem = format!("this is decision {number:04} where {expected:04} follows");
                findings.push(Finding::error(
                    path,
                    1,
                    problem,
                    "number the decisions without gaps or repeats",
                ));
                expected = number + 1;
            }
            None if matches!(entry.name, "README.md" | "template.md") => {}
            None => findings.push(Finding::error(path, 1, "not a decision's name", "name it NNNN-title.md")),
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::tree::tree;
    use super::*;
    use crate::finding::problems;

    #[test]
    fn link_that_leads_nowhere_is_found_with_its_line() {
        let text =
            "# A\n\n[gone](gone.md) and [here](../README.md#a) ![image](no.png)\n\n[r]\n\n[r]: lost.md\n";
        let tree = tree(&[("README.md", ""), ("docs/a.md", text)]);
        assert_eq!(
            problems(&check(&tree)),
            [
                "docs/a.md:3 the link to gone.md leads nowhere",
                "docs/a.md:3 the link to no.png leads nowhere",
                "docs/a.md:5 the link to lost.md leads nowhere"
            ]
        );
    }

    #[test]
    fn link_to_a_folder_an_anchor_the_web_or_in_code_is_fine() {
        let text = "[a](docs/) [b](#b) [c](https://example.com/c) `[d](d)`\n\n```\n[e](e)\n```\n";
        assert_eq!(check(&tree(&[("README.md", text), ("docs/a.md", "")])), []);
    }

    #[test]
    fn link_out_of_the_tree_is_found() {
        assert_eq!(check(&tree(&[("README.md", "[a](../a)")])).len(), 1);
    }

    #[test]
    fn decisions_are_numbered_without_gaps() {
        let good = [("docs/adr/0001-a.md", ""), ("docs/adr/0002-b.md", ""), ("docs/adr/README.md", "")];
        assert_eq!(check(&tree(&good)), []);
        let bad = [("docs/adr/0001-a.md", ""), ("docs/adr/0003-c.md", ""), ("docs/adr/d.md", "")];
        assert_eq!(
            problems(&check(&tree(&bad))),
            [
                "docs/adr/0003-c.md:1 this is decision 0003 where 0002 follows",
                "docs/adr/d.md:1 not a decision's name"
            ]
        );
    }
}
