//! Which file may name what, where a manifest is too coarse to tell: the environment, a `tonic::Status`, a concrete
//! store. Test code may do all of it.

use super::tokens::{Token, places};
use super::tree::File;
use crate::finding::Finding;

const NODES: [&str; 4] = ["carrier-simulator", "company-server", "information-server", "terminal-simulator"];
const STATUS: [&str; 21] = [
    "aborted",
    "already_exists",
    "cancelled",
    "data_loss",
    "deadline_exceeded",
    "failed_precondition",
    "from_error",
    "internal",
    "invalid_argument",
    "new",
    "not_found",
    "ok",
    "out_of_range",
    "permission_denied",
    "resource_exhausted",
    "unauthenticated",
    "unavailable",
    "unimplemented",
    "unknown",
    "with_details",
    "with_metadata",
];
/// Looks for programs on the search path, and tells tests what `cargo xtask` tells it; no node reads either.
const SERVERS: &str = "servers";
const ENVIRONMENT: [&str; 3] = ["std :: env", "env :: var", "env :: var_os"];
const BACKENDS: [&str; 4] = ["Memory", "Postgres", "Redis", "Sqlite"];
const BACKEND_MODULES: [&str; 3] = ["sqlite", "postgres", "redis"];

pub(super) fn check(file: &File, tokens: &[Token]) -> Vec<Finding> {
    let mut found = Vec::new();
    if !is_below(file, "runtime") {
        found.extend(status(tokens));
        if !is_build_script(file) && !is_below(file, SERVERS) {
            found.extend(environment(tokens));
        }
    }
    if !is_below(file, "storage") && !is_app(file) && !is_bench(file) {
        found.extend(backend(tokens));
    }
    found.retain(|(token, _, _)| !token.is_test);
    found.sort_by(|(a, problem_a, _), (b, problem_b, _)| (a.line, problem_a).cmp(&(b.line, problem_b)));
    found.dedup_by(|(a, problem_a, _), (b, problem_b, _)| (a.line, problem_a) == (b.line, problem_b));
    let finding = |(token, problem, remedy): (&Token, String, &str)| {
        Finding::error(&file.path, token.line, problem, remedy)
    };
    found.into_iter().map(finding).collect()
}

type Found<'a> = (&'a Token, String, &'static str);

fn environment(tokens: &[Token]) -> Vec<Found<'_>> {
    let places = ENVIRONMENT.iter().flat_map(|pattern| places(tokens, pattern));
    let problem = || "the environment is read here".to_owned();
    places
        .map(|token| (token, problem(), "only runtime reads it; take the value from the configuration"))
        .collect()
}

fn status(tokens: &[Token]) -> Vec<Found<'_>> {
    let mut found = Vec::new();
    for constructor in STATUS {
        for token in places(tokens, &format!("Status :: {constructor} (")) {
            let problem = format!("Status::{constructor} makes a status here");
            found.push((token, problem, "return the module's error; runtime maps its kind to a status"));
        }
    }
    found
}

/// `SqliteRoster`, `musubi_storage::sqlite`; not a word of our own such as `Sqlited`.
fn backend(tokens: &[Token]) -> Vec<Found<'_>> {
    let is_type = |token: &&Token| {
        let rest = BACKENDS.iter().find_map(|backend| token.text.strip_prefix(backend));
        rest.is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_uppercase()))
    };
    let types = tokens.iter().filter(is_type);
    let modules = BACKEND_MODULES.iter().flat_map(|module| {
        ["storage", "musubi_storage"]
            .into_iter()
            .flat_map(move |name| places(tokens, &format!("{name} :: {module}")))
    });
    let remedy = "only a node's app.rs and a benchmark choose; take the trait (`Arc<dyn …>`) as an argument";
    types
        .chain(modules)
        .map(|token| (token, format!("`{}` chooses a store here", token.text), remedy))
        .collect()
}

fn is_below(file: &File, name: &str) -> bool {
    file.path.starts_with(&format!("crates/{name}/"))
}

fn is_build_script(file: &File) -> bool {
    file.path.ends_with("/build.rs") && !file.path.contains("/src/")
}

fn is_app(file: &File) -> bool {
    NODES.iter().any(|node| file.path == format!("crates/{node}/src/app.rs"))
}

/// Measures a store by its name.
fn is_bench(file: &File) -> bool {
    file.path.starts_with("crates/musubi/src/bench/")
}

#[cfg(test)]
mod tests {
    use super::super::tokens::read;
    use super::super::tree::file;
    use super::*;
    use crate::finding::problems;

    fn found(path: &str, source: &str) -> Vec<String> {
        let file = file(path, source);
        problems(&check(&file, &read(&file).unwrap()))
    }

    #[test]
    fn only_runtime_servers_and_build_scripts_read_the_environment() {
        let source = "fn f() { std::env::var(\"A\") }";
        assert_eq!(found("crates/a/src/b.rs", source), ["crates/a/src/b.rs:1 the environment is read here"]);
        let source_of_three = "use std::env;\nfn f() { env::var(\"A\") }\nfn g() { std::env::var(\"A\") }";
        assert_eq!(found("crates/a/src/b.rs", source_of_three).len(), 3);
        for path in [
            "crates/runtime/src/config.rs",
            "crates/servers/src/a.rs",
            "crates/proto/build.rs",
            "tests/it/main.rs",
        ] {
            assert!(found(path, source).is_empty(), "{path}");
        }
        assert!(found("crates/a/src/b.rs", "const A: &str = env!(\"A\");").is_empty());
    }

    #[test]
    fn only_runtime_and_tests_make_a_status() {
        let source = "fn f() { tonic::Status::internal(\"a\") }";
        assert_eq!(
            found("crates/a/src/b.rs", source),
            ["crates/a/src/b.rs:1 Status::internal makes a status here"]
        );
        assert!(found("crates/runtime/src/status.rs", source).is_empty());
        assert!(found("crates/a/src/b.rs", &format!("#[cfg(test)] mod tests {{ {source} }}")).is_empty());
        assert!(found("crates/a/src/b.rs", "fn f(s: Status) { s.code(); DeliveryStatus::new() }").is_empty());
    }

    #[test]
    fn only_app_chooses_a_store() {
        for source in
            ["fn f() { SqliteRoster::open() }", "use musubi_storage::sqlite;", "use storage::postgres::A;"]
        {
            let path = "crates/company-server/src/master.rs";
            assert_eq!(found(path, source).len(), 1, "{source}");
            for allowed in [
                "crates/company-server/src/app.rs",
                "crates/storage/src/a.rs",
                "crates/musubi/src/bench/online.rs",
                "tests/src/cluster.rs",
            ] {
                assert!(found(allowed, source).is_empty(), "{allowed}");
            }
        }
        assert_eq!(found("crates/company-server/src/web/app.rs", "use storage::sqlite;").len(), 1);
    }
}
