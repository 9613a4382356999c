//! Who may depend on whom (ARCHITECTURE.md), for dependencies of every kind: a test that needs a node's neighbour
//! belongs to the `tests` crate. One line for a crate; what the line does not list is refused.

use super::members::Member;
use super::tree::Tree;
use crate::finding::Finding;

/// Of ours: the crate, and what of ours it may import.
const OURS: [(&str, &[&str]); 13] = [
    ("musubi-domain", &[]),
    ("musubi-matching", &["musubi-domain"]),
    ("musubi-proto", &["musubi-domain"]),
    ("musubi-storage", &["musubi-domain", SERVERS]),
    ("musubi-runtime", &["musubi-domain"]),
    ("musubi-company-server", &NODE_THAT_MATCHES),
    ("musubi-information-server", &INFORMATION_SERVER),
    ("musubi-carrier-simulator", &NODE),
    ("musubi-terminal-simulator", &NODE),
    ("musubi", &PROGRAM),
    ("musubi-tests", &PROGRAM),
    (SERVERS, &[]),
    ("xtask", &[SERVERS]),
];
/// For the tests of what speaks to a database; no node starts one.
const SERVERS: &str = "musubi-servers";
const NODE: [&str; 4] = ["musubi-domain", "musubi-proto", "musubi-runtime", "musubi-storage"];
const NODE_THAT_MATCHES: [&str; 5] =
    ["musubi-domain", "musubi-matching", "musubi-proto", "musubi-runtime", "musubi-storage"];
const INFORMATION_SERVER: [&str; 6] =
    ["musubi-domain", "musubi-matching", "musubi-proto", "musubi-runtime", SERVERS, "musubi-storage"];
const PROGRAM: [&str; 11] = [
    "musubi",
    "musubi-carrier-simulator",
    "musubi-company-server",
    "musubi-domain",
    "musubi-information-server",
    "musubi-matching",
    "musubi-proto",
    "musubi-runtime",
    SERVERS,
    "musubi-storage",
    "musubi-terminal-simulator",
];

/// Of others: name beginnings that only these crates may import, and why.
const OTHERS: [(&[&str], &[&str], &str); 2] = [
    (&["sqlx", "redis"], &["musubi-storage"], "only storage speaks to a database"),
    (
        &["opentelemetry", "tracing-opentelemetry", "metrics-exporter", "prometheus-client"],
        &["musubi-runtime", "musubi-tests"],
        "only runtime installs exporters, and tests hear what they tell",
    ),
];
const PURE: [&str; 2] = ["musubi-domain", "musubi-matching"];
const IO: [&str; 23] = [
    "axum",
    "clap",
    "config",
    "console",
    "fs",
    "hyper",
    "indicatif",
    "mio",
    "notify",
    "prost",
    "quinn",
    "redis",
    "reqwest",
    "rustls",
    "socket2",
    "sqlx",
    "tempfile",
    "tokio",
    "tonic",
    "tower",
    "tracing-subscriber",
    "ureq",
    "walkdir",
];

pub(super) fn check(tree: &Tree, members: &[Member]) -> Vec<Finding> {
    members.iter().flat_map(|member| [ours(tree, member), others(tree, member)].concat()).collect()
}

fn ours(tree: &Tree, member: &Member) -> Vec<Finding> {
    let Some((_, allowed)) = OURS.iter().find(|(name, _)| *name == member.name) else {
        let remedy = "name it as the layout does, or add it to ARCHITECTURE.md and tidy/imports.rs";
        return vec![Finding::error(
            &member.manifest,
            1,
            format!("no rule for the crate {}", member.name),
            remedy,
        )];
    };
    let ours = member.dependencies.iter().filter(|name| OURS.iter().any(|(ours, _)| ours == name));
    let refused = ours.filter(|name| !allowed.contains(&name.as_str()));
    let remedy = match allowed.join(", ") {
        none if none.is_empty() => {
            "it may import nothing of ours; move the code to a crate above both".to_owned()
        }
        some => format!("it may import {some}; move the code to a crate above both"),
    };
    refused.map(|name| finding(tree, member, name, &remedy)).collect()
}

fn others(tree: &Tree, member: &Member) -> Vec<Finding> {
    let mut findings = Vec::new();
    for name in &member.dependencies {
        let starts = |beginnings: &[&str]| beginnings.iter().any(|beginning| is_of(name, beginning));
        if PURE.contains(&member.name.as_str()) && starts(&IO) {
            findings.push(finding(tree, member, name, "this crate is pure; take the result as an argument"));
        }
        for (beginnings, users, reason) in OTHERS {
            if starts(beginnings) && !users.contains(&member.name.as_str()) {
                findings.push(finding(tree, member, name, reason));
            }
        }
    }
    findings
}

/// `tokio-util` is of `tokio`; `tokenizer` is not.
fn is_of(name: &str, family: &str) -> bool {
    name.strip_prefix(family).is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '_']))
}

fn finding(tree: &Tree, member: &Member, dependency: &str, remedy: &str) -> Finding {
    let names_it = |line: &str| line.starts_with(dependency);
    let line = tree.find(&member.manifest).map_or(1, |manifest| manifest.line_where(names_it));
    let problem = format!("{} may not depend on {dependency}", member.name);
    Finding::error(&member.manifest, line, problem, remedy)
}

#[cfg(test)]
mod tests {
    use super::super::members::member;
    use super::super::tree::tree;
    use super::*;
    use crate::finding::problems;

    fn refused(name: &str, dependencies: &[&str]) -> Vec<String> {
        let member = member(name, "crates/a", dependencies);
        problems(&check(&tree(&[]), &[member]))
    }

    #[test]
    fn each_layer_imports_only_what_is_below() {
        for (name, dependency) in [
            ("musubi-domain", "musubi-proto"),
            ("musubi-domain", "musubi-matching"),
            ("musubi-matching", "musubi-proto"),
            ("musubi-storage", "musubi-matching"),
            ("musubi-storage", "musubi-runtime"),
            ("musubi-company-server", "musubi-information-server"),
            ("musubi-carrier-simulator", "musubi-matching"),
            ("musubi-company-server", "musubi-servers"),
            ("musubi-servers", "musubi-runtime"),
            ("xtask", "musubi-domain"),
        ] {
            let expected = format!("crates/a/Cargo.toml:1 {name} may not depend on {dependency}");
            assert_eq!(refused(name, &[dependency]), [expected]);
        }
        for (name, dependency) in [
            ("musubi-matching", "musubi-domain"),
            ("musubi-storage", "musubi-domain"),
            ("musubi-information-server", "musubi-matching"),
            ("musubi-tests", "musubi-company-server"),
            ("xtask", "musubi-servers"),
        ] {
            assert!(refused(name, &[dependency]).is_empty(), "{name} {dependency}");
        }
    }

    #[test]
    fn pure_crates_do_no_io() {
        for dependency in ["tokio", "tokio-util", "tonic", "tempfile"] {
            assert_eq!(refused("musubi-domain", &[dependency]).len(), 1, "{dependency}");
        }
        assert!(refused("musubi-domain", &["thiserror", "jiff", "unicode-normalization"]).is_empty());
    }

    #[test]
    fn databases_and_exporters_have_one_owner() {
        assert_eq!(refused("musubi-runtime", &["sqlx"]).len(), 1);
        assert_eq!(refused("musubi-storage", &["opentelemetry-otlp"]).len(), 1);
        assert!(refused("musubi-storage", &["sqlx", "redis"]).is_empty());
        assert!(refused("musubi-runtime", &["opentelemetry-otlp", "prometheus-client"]).is_empty());
        assert!(refused("musubi-tests", &["opentelemetry-proto"]).is_empty());
    }

    #[test]
    fn crate_without_a_rule_is_found() {
        let expected = "crates/a/Cargo.toml:1 no rule for the crate musubi-extras";
        assert_eq!(refused("musubi-extras", &[]), [expected]);
    }

    #[test]
    fn finding_points_at_the_line_of_the_manifest() {
        let manifest = "[dependencies]\nanyhow.workspace = true\nsqlx.workspace = true\n";
        let tree = tree(&[("crates/a/Cargo.toml", manifest)]);
        let found = check(&tree, &[member("musubi", "crates/a", &["anyhow", "sqlx"])]);
        assert_eq!(found.iter().map(|finding| finding.line).collect::<Vec<_>>(), [3]);
    }
}
