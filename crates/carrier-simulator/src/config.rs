//! What an operator can choose. `config.default.toml` is compiled in, and says what each key means.
//!
//! Checked whole before anything is bound. Surprising: the certificate has no default, so a process never runs as somebody whom
//! everybody can be.

use std::{path::Path, time::Duration};

use musubi_domain::{Error, caller::Caller, id::CarrierId};
use musubi_proto::callers::CARRIER;
use musubi_runtime::{
    config::{ConfigError, Database, Endpoint, ListenAddress, duration, load},
    grpc::auth::Authenticator,
    telemetry::TelemetryConfig,
    tls::{Identity, TlsConfig},
};
use serde::Deserialize;

use crate::{faults::FaultsConfig, rbm::config::RbmConfig};

const DEFAULTS: &str = include_str!("config.default.toml");

/// The whole configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Which carrier this is.
    pub carrier: CarrierId,
    /// Where it serves.
    pub listen: ListenAddress,
    /// Where it keeps what it has.
    pub database: Database,
    /// How long calls under way have to end.
    #[serde(with = "duration")]
    pub drain: Duration,
    /// The information-management server.
    pub information: InformationConfig,
    /// Its certificate and whom it believes.
    pub tls: TlsConfig,
    /// How long messages wait.
    pub messages: MessagesConfig,
    /// What goes wrong on purpose.
    pub faults: FaultsConfig,
    /// Its RBM face, if it has one.
    #[serde(default)]
    pub rbm: Option<RbmConfig>,
    /// What the process says.
    pub telemetry: TelemetryConfig,
}

/// Where events go.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InformationConfig {
    /// The server.
    pub endpoint: Endpoint,
}

/// How long messages wait.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MessagesConfig {
    /// For a message without an expire time.
    #[serde(with = "duration")]
    pub time_to_live: Duration,
    /// Between two sweeps.
    #[serde(with = "duration")]
    pub expire_sweep: Duration,
}

impl Config {
    /// Reads the configuration: the defaults, this file, then variables that begin with `MUSUBI_CARRIER__`.
    ///
    /// # Errors
    /// One sentence that names the key, where it stands and the remedy.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        load(DEFAULTS, file, "MUSUBI_CARRIER")
    }

    /// Its certificate and whom it believes, read from the files.
    ///
    /// # Errors
    /// Names the key of `[tls]`, also when the certificate is somebody else's.
    pub fn identity(&self) -> Result<Identity, Error> {
        Identity::load(&self.tls)?.of(&Caller::Carrier(self.carrier.clone()))
    }

    /// Checks what no single key can tell.
    ///
    /// # Errors
    /// Names the key.
    pub fn check(&self) -> Result<(), Error> {
        let MessagesConfig { time_to_live, expire_sweep } = self.messages;
        for (key, value) in [("time_to_live", time_to_live), ("expire_sweep", expire_sweep)] {
            if value.is_zero() {
                return Err(Error::invalid(
                    format!("messages.{key}"),
                    "is zero",
                    "give a longer time, as 5s",
                ));
            }
        }
        self.faults.check()?;
        self.rbm.as_ref().map_or(Ok(()), RbmConfig::check)
    }
}

/// Who may call this carrier; itself, too, to ask whether it works.
pub(crate) fn authenticator(carrier: &CarrierId) -> Authenticator {
    Authenticator::new(CARRIER, [Caller::Information, Caller::Terminal, Caller::Carrier(carrier.clone())])
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn example(folder: &Path) -> Config {
        let file = folder.join("carrier.toml");
        let text = "carrier = 'kumo'\nlisten = '127.0.0.1:0'\n\
                    tls = { certificate = 'kumo.pem', key = 'kumo.key', authorities = 'authority.pem' }\n";
        std::fs::write(&file, text).unwrap();
        Config { database: Database::File(folder.join("carrier.db")), ..Config::load(Some(&file)).unwrap() }
    }

    #[test]
    fn the_defaults_want_only_a_name_and_a_certificate() {
        let folder = tempfile::tempdir().unwrap();
        let config = example(folder.path());
        assert_eq!(config.check(), Ok(()));
        assert_eq!(config.messages.time_to_live, Duration::from_hours(15 * 24));
        let error = Config::load(None).unwrap_err().to_string();
        assert!(error.contains("MUSUBI_CARRIER__"), "{error}");
    }

    #[test]
    fn a_time_of_zero_is_refused_by_its_key() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = example(folder.path());
        config.messages.expire_sweep = Duration::ZERO;
        assert_eq!(config.check().unwrap_err().field, "messages.expire_sweep");
    }
}
