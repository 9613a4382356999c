//! Configuration: defaults that are compiled in, then a file, then the environment; checked before anything is bound.
//!
//! The defaults' TOML is also their documentation. A key that isn't known is refused: give every section
//! `#[serde(deny_unknown_fields)]`. Surprising: a wrong value is never shown, only where it stands, because nobody can tell
//! a secret in the wrong place from a harmless word.

mod complaint;
mod database;
pub mod duration;
#[cfg(test)]
mod tests;
mod value;

use std::{collections::BTreeMap, ffi::OsString, path::Path};

use config::{Config, File, FileFormat, Value, ValueKind};
use serde::de::DeserializeOwned;

pub use self::database::{Database, DatabaseAddress};
pub use self::value::{Endpoint, ListenAddress, Secret};

/// One sentence: which key, from where, what is wrong, what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(String);

/// Reads a configuration in layers: `defaults` (TOML), `file`, then variables such as `MUSUBI_INFORMATION__SECTION__KEY` when
/// `prefix` is `MUSUBI_INFORMATION`. A later layer wins key by key; an array of tables in the file replaces the default's,
/// and `…__CARRIER__0__TOKEN` reaches into one.
///
/// # Errors
/// One sentence that names the key, its source and the remedy, and never a value.
pub fn load<T: DeserializeOwned>(
    defaults: &'static str,
    file: Option<&Path>,
    prefix: &str,
) -> Result<T, ConfigError> {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
    let environment = std::env::vars_os();
    let environment = environment.filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
    load_from(defaults, file, prefix, environment.collect())
}

fn load_from<T: DeserializeOwned>(
    defaults: &'static str,
    file: Option<&Path>,
    prefix: &str,
    environment: BTreeMap<String, OsString>,
) -> Result<T, ConfigError> {
    let mut builder = Config::builder().add_source(File::from_str(defaults, FileFormat::Toml));
    if let Some(path) = file {
        check_syntax(path)?;
        builder = builder.add_source(File::from(path).format(FileFormat::Toml));
    }
    for (name, value) in environment {
        let Some(rest) = name.strip_prefix(prefix).and_then(|rest| rest.strip_prefix("__")) else {
            continue;
        };
        let value =
            value.into_string().map_err(|_| ConfigError(format!("{name} is not UTF-8; set it as text")))?;
        let value = Value::new(Some(&name), ValueKind::String(value));
        let unnamed =
            |_| ConfigError(format!("{name} names no key; write {prefix}__SECTION__KEY, or unset it"));
        builder = builder.set_override(key(rest), value).map_err(unnamed)?;
    }
    let complain = |error, config: &_| ConfigError(complaint::sentence(&error, config, file, prefix));
    let config = builder.build().map_err(|error| complain(error, &Config::default()))?;
    config.clone().try_deserialize().map_err(|error| complain(error, &config))
}

/// The library would quote the line at fault, which may hold a secret.
fn check_syntax(path: &Path) -> Result<(), ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        ConfigError(format!("{} can not be read ({}); name a file that can", path.display(), error.kind()))
    })?;
    let checked: Result<toml::Table, _> = toml::from_str(&text);
    checked.map(drop).map_err(|error| ConfigError(complaint::syntax(&error, path, &text)))
}

/// `SECTION__0__KEY` as a key: `section[0].key`.
fn key(variable: &str) -> String {
    let mut key = String::new();
    for part in variable.to_lowercase().split("__") {
        if part.parse::<usize>().is_ok() {
            key.push_str(&format!("[{part}]"));
        } else {
            key.push_str(if key.is_empty() { "" } else { "." });
            key.push_str(part);
        }
    }
    key
}
