//! How a Rust file is written: how long, how it opens, and what it never holds. Clippy has lints for some of the
//! words, but a lint can be turned off file by file; this can't.

use super::layout::SAYS_NOTHING;
use super::tokens::{Token, places};
use super::tree::File;
use crate::finding::Finding;

const LONG: usize = 500;
const TOO_LONG: usize = 600;
const MAIN: (&str, usize) = ("crates/musubi/src/main.rs", 40);

/// The rules that need only the file's lines.
pub(super) fn shape(file: &File) -> Vec<Finding> {
    let lines = file.text.lines().count();
    let split = "split it by room: a folder whose mod.rs explains it";
    let (main, main_lines) = MAIN;
    let mut findings = Vec::new();
    if lines > TOO_LONG {
        findings.push(Finding::error(&file.path, lines, format!("{lines} lines, over {TOO_LONG}"), split));
    } else if lines > LONG {
        findings.push(Finding::warning(&file.path, lines, format!("{lines} lines, over {LONG}"), split));
    }
    if file.path == main && lines > main_lines {
        let problem = format!("{lines} lines, over {main_lines}");
        findings.push(Finding::error(
            &file.path,
            lines,
            problem,
            "main parses, builds, runs; move the rest out",
        ));
    }
    if !file.text.starts_with("//!") {
        let remedy = "open with //!: what lives here, what must never, and the one surprising thing";
        findings.push(Finding::error(&file.path, 1, "the module does not say what lives here", remedy));
    }
    findings
}

/// The rules about code.
pub(super) fn words(file: &File, tokens: &[Token]) -> Vec<Finding> {
    let attribute = |name| attributes(tokens).filter(move |attribute| switches(attribute, name));
    let heads = |name| attribute(name).filter_map(|attribute| attribute.first()).collect::<Vec<_>>();
    let calls = |name: &str| places(tokens, &format!("{name} !")).collect::<Vec<_>>();
    let modules = |name: &&str| places(tokens, &format!("mod {name} {{"));
    let rules: [(Vec<&Token>, &str, &str); 6] = [
        (heads("allow"), "a lint is allowed", "mend what it says, or #[expect(lint, reason = \"…\")]"),
        (heads("ignore"), "a test is ignored", "make it run, or delete it"),
        (calls("todo"), "a hole in the code", "write the code, or leave the item out"),
        (calls("unimplemented"), "a hole in the code", "write the code, or leave the item out"),
        (places(tokens, "unsafe").collect(), "unsafe code", "use a safe crate that has it inside"),
        (
            SAYS_NOTHING.iter().flat_map(modules).collect(),
            "a module's name says nothing about what is inside",
            "name it after what it does",
        ),
    ];
    let finding = |token: &Token, problem, remedy| Finding::error(&file.path, token.line, problem, remedy);
    rules
        .into_iter()
        .flat_map(|(tokens, problem, remedy)| tokens.into_iter().map(move |token| (token, problem, remedy)))
        .map(|(token, problem, remedy)| finding(token, problem, remedy))
        .collect()
}

/// `[name…]`, or `[cfg_attr(…, name…)]`.
fn switches(attribute: &[Token], name: &str) -> bool {
    match attribute {
        [head, rest @ ..] if head.text == "cfg_attr" => rest.iter().any(|token| token.text == name),
        [head, ..] => head.text == name,
        [] => false,
    }
}

/// What follows `#[` and `#![`, up to the closing bracket.
fn attributes(tokens: &[Token]) -> impl Iterator<Item = &[Token]> {
    let starts = (0..tokens.len()).filter_map(|index| {
        let text = |ahead: usize| tokens.get(index + ahead).map(|token| token.text.as_str());
        match (text(0), text(1), text(2)) {
            (Some("#"), Some("["), _) => Some(index + 2),
            (Some("#"), Some("!"), Some("[")) => Some(index + 3),
            _ => None,
        }
    });
    starts.map(|start| {
        let mut depth = 1_usize;
        let inside = tokens[start..].iter().take_while(|token| {
            match token.text.as_str() {
                "[" => depth += 1,
                "]" => depth -= 1,
                _ => {}
            }
            depth > 0
        });
        &tokens[start..start + inside.count()]
    })
}

#[cfg(test)]
mod tests {
    use super::super::tokens::read;
    use super::super::tree::file;
    use super::*;
    use crate::finding::{Severity, problems};

    fn found(source: &str) -> Vec<String> {
        let file = file("a.rs", source);
        problems(&words(&file, &read(&file).unwrap()))
    }

    fn with_lines(path: &str, lines: usize) -> Vec<(Severity, usize)> {
        let file = file(path, &format!("//! Room.\n{}", "\n".repeat(lines - 1)));
        shape(&file).into_iter().map(|finding| (finding.severity, finding.line)).collect()
    }

    #[test]
    fn file_warns_over_500_lines_and_fails_over_600() {
        assert_eq!(with_lines("a.rs", 500), []);
        assert_eq!(with_lines("a.rs", 501), [(Severity::Warning, 501)]);
        assert_eq!(with_lines("a.rs", 600), [(Severity::Warning, 600)]);
        assert_eq!(with_lines("a.rs", 601), [(Severity::Error, 601)]);
    }

    #[test]
    fn main_of_the_program_has_at_most_40_lines() {
        assert_eq!(with_lines("crates/musubi/src/main.rs", 40), []);
        assert_eq!(with_lines("crates/musubi/src/main.rs", 41), [(Severity::Error, 41)]);
        assert_eq!(with_lines("crates/xtask/src/main.rs", 41), []);
    }

    #[test]
    fn module_that_does_not_open_with_its_purpose_is_found() {
        assert_eq!(
            problems(&shape(&file("a.rs", "use b;"))),
            ["a.rs:1 the module does not say what lives here"]
        );
    }

    #[test]
    fn lint_that_is_allowed_is_found_in_every_form() {
        for source in
            ["#[allow(dead_code)]\nfn f() {}", "#![allow(a)]", "#[cfg_attr(test, allow(a))]\nfn f() {}"]
        {
            assert_eq!(found(source), ["a.rs:1 a lint is allowed"], "{source}");
        }
        assert!(
            found("#[expect(a, reason = \"b\")]\nfn f() { allow(1) }\n/// #[allow(a)]\nfn g() {}").is_empty()
        );
    }

    #[test]
    fn ignored_test_is_found_and_an_option_of_that_name_is_not() {
        assert_eq!(found("#[test]\n#[ignore = \"slow\"]\nfn f() {}"), ["a.rs:2 a test is ignored"]);
        assert!(found("#[arg(ignore_case = true)]\nfn f() {}").is_empty());
    }

    #[test]
    fn holes_and_unsafe_code_are_found() {
        assert_eq!(found("fn f() {\n  todo!()\n}"), ["a.rs:2 a hole in the code"]);
        assert_eq!(found("fn f() { unimplemented!(\"x\") }"), ["a.rs:1 a hole in the code"]);
        assert_eq!(found("unsafe fn f() {}"), ["a.rs:1 unsafe code"]);
        assert!(found("#![forbid(unsafe_code)]\nfn f() { self.unimplemented(todo) }").is_empty());
    }

    #[test]
    fn inline_module_whose_name_says_nothing_is_found() {
        assert_eq!(found("mod helpers { }").len(), 1);
        assert!(found("mod roster { }").is_empty());
    }
}
