//! What the configuration library says, as one plain sentence without values.
//!
//! The library's own texts quote the value at fault, and its syntax errors quote the line; neither may be shown. Surprising:
//! serde's standard complaints come as finished text, so they are known here by how they begin.

use std::path::Path;

use config::{Config, ConfigError, Value, ValueKind};

/// The sentence for a value that is missing, unknown or wrong. `config` tells which variable it came from; the library's
/// names of files are relative to the working folder and hard to read, so `file` is given.
pub(super) fn sentence(error: &ConfigError, config: &Config, file: Option<&Path>, prefix: &str) -> String {
    let (key, fault) = fault(error);
    // The library leaves the dot behind an index out.
    let key = key.replace(']', "].").replace("]..", "].").trim_end_matches('.').to_owned();
    let file = file.map_or_else(|| "the defaults".to_owned(), |file| file.display().to_string());
    let source = |key| match origin(config, key) {
        Some(variable) if variable.starts_with(prefix) => variable,
        Some(_) => &file,
        None => "the defaults",
    };
    let named = |key: &str| if key.is_empty() { "the configuration".to_owned() } else { format!("`{key}`") };
    match fault {
        Fault::Missing => format!(
            "{} is missing; write it in the configuration file, or set {}",
            named(&key),
            variable(&key, prefix)
        ),
        Fault::Unknown { field, known } => {
            let key = if key.is_empty() { field } else { format!("{key}.{field}") };
            format!("`{key}` in {} is not known; use {known}, or delete it", source(&key))
        }
        Fault::Not(expected) => {
            format!("{} in {} is not {expected}; correct it there", named(&key), source(&key))
        }
        Fault::Other(text) => format!("{} in {}: {text}", named(&key), source(&key)),
    }
}

/// The sentence for a file that isn't TOML.
pub(super) fn syntax(error: &toml::de::Error, path: &Path, text: &str) -> String {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    format!(
        "{} line {line} is not TOML: {}; correct it there",
        path.display(),
        error.message().replace('\n', ", ")
    )
}

/// The file or variable that a key's value came from; the defaults have no name.
fn origin<'a>(config: &'a Config, key: &str) -> Option<&'a str> {
    let mut steps = key.split(['.', '[']).map(|step| step.trim_end_matches(']'));
    steps.try_fold(&config.cache, child).and_then(nearest)
}

fn child<'a>(value: &'a Value, step: &str) -> Option<&'a Value> {
    if let ValueKind::Table(table) = &value.kind {
        table.get(step)
    } else if let ValueKind::Array(values) = &value.kind {
        values.get(step.parse::<usize>().ok()?)
    } else {
        None
    }
}

/// A section has no origin of its own; that of a value in it is as good.
fn nearest(value: &Value) -> Option<&str> {
    if let ValueKind::Table(table) = &value.kind {
        table.values().find_map(nearest)
    } else if let ValueKind::Array(values) = &value.kind {
        values.iter().find_map(nearest)
    } else {
        value.origin()
    }
}

enum Fault {
    Missing,
    Unknown { field: String, known: String },
    Not(String),
    Other(String),
}

/// The key, as far as the library knows it, and what is wrong there.
fn fault(error: &ConfigError) -> (String, Fault) {
    let key = |key: &Option<String>| key.clone().unwrap_or_default();
    match error {
        ConfigError::NotFound(missing) => (missing.clone(), Fault::Missing),
        ConfigError::Type { expected, key: at, .. } => (key(at), Fault::Not((*expected).to_owned())),
        ConfigError::At { error, key: at, .. } => (key(at), fault(error).1),
        ConfigError::Message(text) => (String::new(), from_text(text)),
        ConfigError::Frozen | ConfigError::PathParse { .. } | ConfigError::FileParse { .. } | _ => {
            (String::new(), Fault::Other("it can not be read; see the defaults for its shape".to_owned()))
        }
    }
}

/// serde's standard texts lose the value that they quote; other texts are our own types', and quote none.
fn from_text(text: &str) -> Fault {
    let expected = || text.rsplit_once(", expected ").map(|(_, expected)| expected.to_owned());
    if let Some(rest) = text.strip_prefix("unknown field `") {
        let field = rest.split('`').next().unwrap_or_default().to_owned();
        let known = expected().unwrap_or_else(|| "none".to_owned());
        return Fault::Unknown { field, known: known.replace("one of ", "") };
    }
    let quotes = ["invalid type: ", "invalid value: ", "invalid length ", "unknown variant "];
    if quotes.iter().any(|start| text.starts_with(start)) {
        let expected = expected().filter(|expected| !expected.starts_with("struct "));
        return Fault::Not(expected.unwrap_or_else(|| "a section".to_owned()));
    }
    if text.starts_with("enum ") || text.starts_with("value of enum ") {
        return Fault::Not("one of the words that the defaults name".to_owned());
    }
    Fault::Other(text.to_owned())
}

fn variable(key: &str, prefix: &str) -> String {
    format!("{prefix}__{}", key.to_uppercase().replace(['.', '['], "__").replace(']', ""))
}
