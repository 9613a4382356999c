//! Configuration: defaults that are compiled in, then a file, then the environment; checked before anything is bound.
//!
//! The defaults' TOML is also their documentation. A key that isn't known is refused: give every section
//! `#[serde(deny_unknown_fields)]`. Surprising: a wrong value is never shown, only where it stands, because nobody can tell
//! a secret in the wrong place from a harmless word.

mod complaint;
mod value;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use config::{Config, File, FileFormat, Value, ValueKind};
use serde::de::DeserializeOwned;

pub use self::value::{Endpoint, ListenAddress, Secret};

/// Durations such as `10s`, `1m 30s`, `24h`: `#[serde(with = "musubi_runtime::config::duration")]` on a
/// `std::time::Duration`. Units up to hours, because a day isn't always 24.
pub mod duration {
    pub use jiff::fmt::serde::unsigned_duration::friendly::compact::required::{deserialize, serialize};
}

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
    let texts = environment.filter_map(|(name, value)| {
        let name = name.into_string().ok()?;
        Some((name, value.into_string().unwrap_or_else(|bytes| bytes.to_string_lossy().into_owned())))
    });
    load_from(defaults, file, prefix, texts.collect())
}

fn load_from<T: DeserializeOwned>(
    defaults: &'static str,
    file: Option<&Path>,
    prefix: &str,
    environment: BTreeMap<String, String>,
) -> Result<T, ConfigError> {
    let complain = |error| ConfigError(complaint::sentence(&error, prefix));
    let mut builder = Config::builder().add_source(File::from_str(defaults, FileFormat::Toml));
    if let Some(path) = file {
        let text = read(path)?;
        toml::from_str::<toml::Table>(&text)
            .map_err(|error| ConfigError(complaint::syntax(&error, path, &text)))?;
        builder = builder.add_source(File::from(PathBuf::from(path)).format(FileFormat::Toml));
    }
    for (name, value) in environment {
        let Some(path) = name.strip_prefix(prefix).and_then(|rest| rest.strip_prefix("__")) else {
            continue;
        };
        let value = Value::new(Some(&name), ValueKind::String(value));
        builder = builder.set_override(key(path), value).map_err(complain)?;
    }
    builder.build().map_err(complain)?.try_deserialize().map_err(complain)
}

fn read(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|error| {
        let path = path.display();
        ConfigError(format!("{path} can not be read ({}); name a file that is there", error.kind()))
    })
}

/// `SECTION__0__KEY` as a key: `section[0].key`.
fn key(variable: &str) -> String {
    let mut key = String::new();
    for part in variable.to_lowercase().split("__") {
        if part.bytes().all(|byte| byte.is_ascii_digit()) && !part.is_empty() {
            key.push_str(&format!("[{part}]"));
        } else {
            if !key.is_empty() {
                key.push('.');
            }
            key.push_str(part);
        }
    }
    key
}
