//! Rust as a flat list of tokens with lines, so that a rule about code never stumbles over a comment or a string.
//! Each token knows whether it is test code: inside an item behind `#[test]` or `#[cfg(test)]`, or in a test file.
//! Surprising: comments are gone, but a doc comment is an attribute `#[doc = ""]`, as the compiler sees it.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

use super::tree::File;
use crate::finding::Finding;

/// A word, a sign, a bracket, or a literal (whose text is dropped).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) text: String,
    /// From 1.
    pub(crate) line: usize,
    /// Only tests run it.
    pub(crate) is_test: bool,
}

/// The tokens of a Rust file.
///
/// # Errors
///
/// A finding, when the file is not Rust.
pub(crate) fn read(file: &File) -> Result<Vec<Token>, Finding> {
    let stream: TokenStream = file.text.parse().map_err(|error: proc_macro2::LexError| {
        let line = error.span().start().line.max(1);
        Finding::error(&file.path, line, "this is not Rust", "mend it until rustfmt can read it")
    })?;
    let mut tokens = Vec::new();
    flatten(stream, file.is_test(), &mut tokens);
    Ok(tokens)
}

/// The places where the words of `pattern`, separated by spaces, follow one another: `std :: env`.
pub(crate) fn places<'a>(tokens: &'a [Token], pattern: &str) -> impl Iterator<Item = &'a Token> + use<'a> {
    let pattern = pattern.replace("::", ": :");
    let words: Vec<String> = pattern.split(' ').map(str::to_owned).collect();
    tokens
        .windows(words.len())
        .filter(move |window| window.iter().map(|token| &token.text).eq(&words))
        .filter_map(|window| window.first())
}

fn flatten(stream: TokenStream, is_test: bool, tokens: &mut Vec<Token>) {
    let trees: Vec<TokenTree> = stream.into_iter().collect();
    let mut item_is_test = false;
    for (index, tree) in trees.iter().enumerate() {
        match tree {
            TokenTree::Group(group) => {
                let follows_hash = index.checked_sub(1).is_some_and(|before| is_sign(&trees[before], '#'));
                item_is_test |= follows_hash && marks_test(group);
                bracketed(group, is_test || item_is_test, tokens);
                item_is_test &= group.delimiter() != Delimiter::Brace;
            }
            TokenTree::Punct(sign) => {
                push(sign.to_string(), tree, is_test || item_is_test, tokens);
                item_is_test &= sign.as_char() != ';';
            }
            TokenTree::Ident(word) => push(word.to_string(), tree, is_test || item_is_test, tokens),
            TokenTree::Literal(_) => push(String::new(), tree, is_test || item_is_test, tokens),
        }
    }
}

fn bracketed(group: &Group, is_test: bool, tokens: &mut Vec<Token>) {
    let (open, close) = match group.delimiter() {
        Delimiter::Parenthesis => ("(", ")"),
        Delimiter::Brace => ("{", "}"),
        Delimiter::Bracket => ("[", "]"),
        Delimiter::None => ("", ""),
    };
    let (first, last) = (group.span_open().start().line, group.span_close().start().line);
    tokens.push(Token { text: open.to_owned(), line: first, is_test });
    flatten(group.stream(), is_test, tokens);
    tokens.push(Token { text: close.to_owned(), line: last, is_test });
}

fn push(text: String, tree: &TokenTree, is_test: bool, tokens: &mut Vec<Token>) {
    tokens.push(Token { text, line: tree.span().start().line, is_test });
}

fn is_sign(tree: &TokenTree, sign: char) -> bool {
    matches!(tree, TokenTree::Punct(punct) if punct.as_char() == sign)
}

/// `[test]`, `[tokio::test(…)]`, `[cfg(test)]`, `[cfg(all(test, …))]`; not `[cfg(not(test))]`.
fn marks_test(attribute: &Group) -> bool {
    let mut words = Vec::new();
    flatten(attribute.stream(), false, &mut words);
    let names = |name: &str| words.iter().any(|token| token.text == name);
    let is_condition = words.first().is_some_and(|token| token.text == "cfg");
    let path_ends = words.iter().position(|token| token.text == "(").unwrap_or(words.len());
    let path_is_test = words[..path_ends].last().is_some_and(|token| token.text == "test");
    path_is_test || (is_condition && names("test") && !names("not"))
}

#[cfg(test)]
mod tests {
    use super::super::tree::file;
    use super::*;

    fn found(source: &str, pattern: &str) -> Vec<(usize, bool)> {
        let tokens = read(&file("a.rs", source)).unwrap();
        places(&tokens, pattern).map(|token| (token.line, token.is_test)).collect()
    }

    #[test]
    fn comments_and_strings_are_not_code() {
        assert_eq!(found("// bad !\n/// bad !\nfn f() { g(\"bad !\") }", "bad"), []);
        assert_eq!(found("fn f() {\n  bad!() }", "bad !"), [(2, false)]);
    }

    #[test]
    fn item_behind_a_test_attribute_is_test_code_and_the_next_is_not() {
        for attribute in
            ["#[test]", "#[tokio::test(flavor = \"x\")]", "#[cfg(test)]", "#[cfg(all(test, unix))]"]
        {
            let source = format!("{attribute}\nfn f() {{ x }}\nfn g() {{ x }}");
            assert_eq!(found(&source, "x"), [(2, true), (3, false)], "{attribute}");
        }
        assert_eq!(found("#[cfg(test)]\nuse a::x;\nuse b::x;", "x"), [(2, true), (3, false)]);
        assert_eq!(found("#[cfg(not(test))]\nfn f() { x }", "x"), [(2, false)]);
    }

    #[test]
    fn files_in_a_tests_folder_are_test_code() {
        let tokens = read(&file("tests/it/roster.rs", "x")).unwrap();
        assert!(tokens[0].is_test);
    }

    #[test]
    fn file_that_is_not_rust_is_a_finding() {
        assert_eq!(read(&file("a.rs", "fn f( {")).unwrap_err().problem, "this is not Rust");
    }
}
