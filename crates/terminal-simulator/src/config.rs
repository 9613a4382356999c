//! The terminal simulator's configuration. `config.default.toml` holds the defaults and explains every key.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::SignedDuration;
use musubi_domain::{
    Error,
    caller::Caller,
    id::{CarrierId, OperatorName},
};
use musubi_proto::callers::TERMINAL;
use musubi_runtime::{
    config::{ConfigError, Database, Endpoint, ListenAddress, duration, load},
    grpc::auth::Authenticator,
    http::HttpConfig,
    telemetry::TelemetryConfig,
    tls::{Identity, TlsConfig},
};
use serde::Deserialize;

use crate::outbox::Thinking;

const DEFAULTS: &str = include_str!("config.default.toml");
/// The longest time that people may think.
const LONGEST_THINKING: Duration = Duration::from_secs(24 * 3600);

/// Everything that a terminal simulator is told.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where it listens.
    pub server: ServerConfig,
    /// Where talk rooms are kept.
    pub database: Database,
    /// Whose phones.
    pub fleet: FleetConfig,
    /// The phones' carriers, at least one.
    #[serde(default)]
    pub carrier: Vec<CarrierConfig>,
    /// Their certificate and whom they believe.
    pub tls: TlsConfig,
    /// Who may call.
    pub callers: CallersConfig,
    /// How long people think.
    pub thinking: ThinkingConfig,
    /// Where the phones are shown to people, if they are.
    pub pages: Option<HttpConfig>,
    /// What the process says.
    pub telemetry: TelemetryConfig,
    /// How long work under way has to end.
    pub shutdown: ShutdownConfig,
}

/// `[server]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerConfig {
    /// An IP address and a port.
    pub listen: ListenAddress,
}

/// `[fleet]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FleetConfig {
    /// 1 to 63 of a-z, 0-9 and hyphen.
    pub name: String,
    /// A stories file that is played from the start.
    pub stories: Option<PathBuf>,
    /// People of a stories file who wait for somebody to pick up their phones at the pages.
    pub people: Option<PathBuf>,
}

/// `[[carrier]]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CarrierConfig {
    /// As stories name it.
    pub id: CarrierId,
    /// Where it is called.
    pub endpoint: Endpoint,
}

/// `[callers]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallersConfig {
    /// Those who play stories, by name.
    pub operators: Vec<OperatorName>,
}

/// `[thinking]`
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ThinkingConfig {
    /// At least.
    #[serde(with = "duration")]
    pub min: Duration,
    /// At most; zero: people answer at once.
    #[serde(with = "duration")]
    pub max: Duration,
    /// Another seed, other people.
    pub seed: u64,
}

/// `[shutdown]`
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShutdownConfig {
    /// How long.
    #[serde(with = "duration")]
    pub drain: Duration,
}

impl Config {
    /// Reads the configuration: the defaults, this file, then variables that begin with `MUSUBI_TERMINAL__`.
    ///
    /// # Errors
    /// One sentence that names the key, where it stands and the remedy.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        load(DEFAULTS, file, "MUSUBI_TERMINAL")
    }

    /// Its certificate and whom it believes, read from the files.
    ///
    /// # Errors
    /// Names the key of `[tls]`, also when the certificate is somebody else's.
    pub fn identity(&self) -> Result<Identity, Error> {
        Identity::load(&self.tls)?.of(&Caller::Terminal)
    }

    /// Checks what the types don't, before anything is opened or bound.
    ///
    /// # Errors
    /// Names the key.
    pub fn check(&self) -> Result<(), Error> {
        // A fleet's name has the form of every other slug.
        self.fleet.name.parse::<CarrierId>().map_err(|error| error.at("fleet.name"))?;
        if self.carrier.is_empty() {
            return Err(Error::invalid(
                "carrier",
                "there is none",
                "write a [[carrier]] for each of the stories'",
            ));
        }
        let mut ids = HashSet::new();
        if let Some(twice) = self.carrier.iter().find(|carrier| !ids.insert(&carrier.id)) {
            return Err(Error::invalid("carrier.id", format!("{} is there twice", twice.id), "delete one"));
        }
        if self.callers.operators.is_empty() {
            let problem = "it is empty, so nobody could call";
            return Err(Error::invalid("callers.operators", problem, "write at least one name"));
        }
        if let Some(pages) = &self.pages {
            pages.check("pages")?;
        }
        if self.fleet.people.is_some() && self.pages.is_none() {
            let remedy = "write [pages], or leave fleet.people out";
            return Err(Error::invalid("fleet.people", "nobody could pick up a phone without pages", remedy));
        }
        if self.thinking.min > self.thinking.max || self.thinking.max > LONGEST_THINKING {
            let problem = "it is less than thinking.min, or more than 24h";
            return Err(Error::invalid("thinking.max", problem, "write a time between"));
        }
        Ok(())
    }

    /// Who may call: the operators; and this server itself, which asks whether it works.
    pub(crate) fn authenticator(&self) -> Authenticator {
        let operators = self.callers.operators.iter().cloned().map(Caller::TerminalOperator);
        Authenticator::new(TERMINAL, operators.chain([Caller::Terminal]))
    }
}

impl From<ThinkingConfig> for Thinking {
    fn from(config: ThinkingConfig) -> Self {
        let signed = |time: Duration| SignedDuration::try_from(time).unwrap_or(SignedDuration::MAX);
        Self { min: signed(config.min), max: signed(config.max), seed: config.seed }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A fleet of phones of kumo, whose database stands in this folder.
    pub(crate) fn example(folder: &Path) -> Config {
        let file = folder.join("terminal.toml");
        let text = "server.listen = '127.0.0.1:0'\nfleet.name = 'fleet-1'\ncallers.operators = ['operator']\n\
                    tls = { certificate = 'phones.pem', key = 'phones.key', authorities = 'authority.pem' }\n\
                    [[carrier]]\nid = 'kumo'\nendpoint = 'https://127.0.0.1:1'\n";
        std::fs::write(&file, text).unwrap();
        let database = Database::File(folder.join("terminal.db"));
        Config { database, ..Config::load(Some(&file)).unwrap() }
    }

    #[test]
    fn the_defaults_want_only_names_a_carrier_and_a_certificate() {
        let folder = tempfile::tempdir().unwrap();
        let config = example(folder.path());
        assert_eq!(config.check(), Ok(()));
        assert_eq!(Thinking::from(config.thinking).max, SignedDuration::ZERO);
        let error = Config::load(None).unwrap_err().to_string();
        assert!(error.contains("MUSUBI_TERMINAL__"), "{error}");
    }

    #[test]
    fn what_can_not_be_is_refused_by_its_key() {
        type Spoil = fn(&mut Config);
        let spoils: [(&str, Spoil); 7] = [
            ("fleet.name", |config| config.fleet.name = "Fleet 1".to_owned()),
            ("carrier", |config| config.carrier.clear()),
            ("carrier.id", |config| config.carrier.push(config.carrier[0].clone())),
            ("callers.operators", |config| config.callers.operators.clear()),
            ("fleet.people", |config| config.fleet.people = Some("people.csv".into())),
            ("thinking.max", |config| config.thinking.min = Duration::from_secs(1)),
            ("thinking.max", |config| config.thinking.max = Duration::from_secs(25 * 3600)),
        ];
        let folder = tempfile::tempdir().unwrap();
        for (field, spoil) in spoils {
            let mut config = example(folder.path());
            spoil(&mut config);
            assert_eq!(config.check().unwrap_err().field, field);
        }
    }
}
