//! What the configuration library says, as one plain sentence without values.
//!
//! The library's own texts quote the value at fault, and its syntax errors quote the line; neither may be shown.

use std::path::Path;

use config::ConfigError;

/// The sentence for an error of reading.
pub(super) fn sentence(error: &ConfigError, prefix: &str) -> String {
    let mut key = String::new();
    let mut source = String::new();
    let problem = problem(error, &mut key, &mut source);
    let source = if source.is_empty() { "the configuration" } else { &source };
    let place = if key.is_empty() { source.to_owned() } else { format!("{key} in {source}") };
    let variable = variable(&key, prefix);
    if variable.is_empty() {
        format!("{place}: {problem}; correct it there")
    } else {
        format!("{place}: {problem}; correct it there, or set {variable}")
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

fn problem(error: &ConfigError, key: &mut String, source: &mut String) -> String {
    let mut note = |origin: &Option<String>, at: &Option<String>| {
        if let Some(origin) = origin {
            source.clone_from(origin);
        }
        if let Some(at) = at {
            key.clone_from(at);
        }
    };
    match error {
        ConfigError::NotFound(missing) => {
            key.clone_from(missing);
            "is missing".to_owned()
        }
        ConfigError::Type { origin, expected, key: at, .. } => {
            note(origin, at);
            format!("is not {expected}")
        }
        ConfigError::At { error, origin, key: at } => {
            let inner = problem(error, key, source);
            if let Some(origin) = origin {
                source.clone_from(origin);
            }
            if let Some(at) = at {
                key.clone_from(at);
            }
            inner
        }
        ConfigError::Message(text) => text.clone(),
        other => other.to_string(),
    }
}

fn variable(key: &str, prefix: &str) -> String {
    if key.is_empty() {
        String::new()
    } else {
        format!("{prefix}__{}", key.to_uppercase().replace('.', "__"))
    }
}
