//! What an operator can choose. `config.default.toml` is compiled in, and says what each key means.
//!
//! Checked whole before anything is bound: every id, every reference from one table to another, every text against the limits
//! of RCS.

mod company;
mod rbm;
mod shared;

use std::{
    collections::HashSet,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::SignedDuration;
use musubi_domain::{
    Error,
    audit::AuditKeyring,
    caller::Caller,
    id::{CarrierId, FollowerKeyring},
    postback::TokenKey,
    roster::CollapseRules,
    vault::{MasterKeys, ReviewSeals},
};
use musubi_proto::callers::INFORMATION;
use musubi_runtime::{
    config::{ConfigError, Database, Endpoint, ListenAddress, Secret, duration, load},
    grpc::{auth::Authenticator, pace::CallsConfig},
    http::HttpConfig,
    telemetry::TelemetryConfig,
    tls::{Identity, TlsConfig},
};
use musubi_storage::vault::Schedule;
use serde::Deserialize;

pub use self::{
    company::{AccountConfig, CompanyConfig},
    rbm::{AgentConfig, RbmConfig},
    shared::SharedConfig,
};
use crate::directory::Directory;

const DEFAULTS: &str = include_str!("config.default.toml");

/// The shortest and the longest lease.
const LEASE: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(3600);

/// The longest time that keys have, in days.
const MOST_DAYS: u16 = 3650;

/// The whole configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where it serves.
    pub listen: ListenAddress,
    /// Where it keeps what it has.
    pub database: Database,
    /// How long calls under way have to end.
    #[serde(with = "duration")]
    pub drain: Duration,
    /// Its certificate and whom it believes.
    pub tls: TlsConfig,
    /// Secrets.
    pub keys: KeysConfig,
    /// Subscriber lists.
    pub lists: ListsConfig,
    /// When begun work is begun again.
    pub leases: LeasesConfig,
    /// What tells of erasures.
    pub erasure: ErasureConfig,
    /// What replicas share.
    pub redis: SharedConfig,
    /// How often others may call, and how often is told what was refused.
    pub calls: CallsConfig,
    /// What the process says.
    pub telemetry: TelemetryConfig,
    /// Where carriers of RCS Business Messaging report.
    #[serde(default)]
    pub webhooks: Option<HttpConfig>,
    /// Companies.
    #[serde(default)]
    pub company: Vec<CompanyConfig>,
    /// Official accounts.
    #[serde(default)]
    pub official_account: Vec<AccountConfig>,
    /// Carriers.
    #[serde(default)]
    pub carrier: Vec<CarrierConfig>,
}

/// Secrets.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeysConfig {
    /// Names followers.
    pub follower: Secret,
    /// Makes postbacks and nonces.
    pub token: Secret,
    /// Wrap the keys that personal data is sealed with; the first wraps.
    pub master: Vec<Secret>,
    /// A company gets a new key when its newest is so old; 0: never.
    pub epoch_days: u16,
    /// How long a key stays after the next one took its place.
    pub keep_days: u16,
    /// Sealed reviews before there were master keys.
    #[serde(default)]
    pub review: Vec<Secret>,
    /// Sign the seals of the audit; the first signs.
    pub audit: Vec<Secret>,
}

impl KeysConfig {
    fn check(&self) -> Result<(), Error> {
        self.masters()?;
        self.reviews_before()?;
        if self.epoch_days > MOST_DAYS {
            return Err(Error::invalid("keys.epoch_days", "is more than 3650", "write 0 to 3650"));
        }
        if !(1..=MOST_DAYS).contains(&self.keep_days) {
            return Err(Error::invalid("keys.keep_days", "is 0 or more than 3650", "write 1 to 3650"));
        }
        Ok(())
    }

    /// What wraps keys of companies.
    pub(crate) fn masters(&self) -> Result<MasterKeys, Error> {
        let secrets: Vec<&[u8]> = self.master.iter().map(|key| key.expose().as_bytes()).collect();
        MasterKeys::new(&secrets).map_err(|error| error.at("keys.master"))
    }

    /// When keys turn.
    pub(crate) fn schedule(&self) -> Schedule {
        Schedule::of_days(self.epoch_days, self.keep_days)
    }

    /// What sealed reviews before there were master keys.
    pub(crate) fn reviews_before(&self) -> Result<ReviewSeals, Error> {
        let secrets: Vec<&[u8]> = self.review.iter().map(|key| key.expose().as_bytes()).collect();
        ReviewSeals::new(&secrets).map_err(|error| error.at("keys.review"))
    }
}

/// Subscriber lists.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListsConfig {
    /// Between two fetches.
    #[serde(with = "duration")]
    pub every: Duration,
    /// Percent of the followers.
    pub collapse_percent: u64,
    /// Followers.
    pub collapse_at_least: u64,
    /// Until a second snapshot is believed.
    #[serde(with = "duration")]
    pub confirm_after: Duration,
}

/// When begun work is begun again.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeasesConfig {
    /// The sending of a message.
    #[serde(with = "duration")]
    pub delivery: Duration,
    /// The matching of an identity.
    #[serde(with = "duration")]
    pub inquiry: Duration,
}

/// What tells of erasures.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErasureConfig {
    /// The folder of the journal.
    pub journal: PathBuf,
}

/// A carrier.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CarrierConfig {
    /// Its id.
    pub id: CarrierId,
    /// Where it serves.
    pub endpoint: Endpoint,
    /// Where its authorities' pages are, with `{method}` in it.
    pub verification_url: String,
    /// Messages of all accounts; 0: any number.
    #[serde(default)]
    pub messages_per_second: u32,
    /// How it is spoken to, when by RCS Business Messaging; `endpoint` then has its authorities and knows its numbers.
    #[serde(default)]
    pub rbm: Option<RbmConfig>,
}

impl Config {
    /// Reads the configuration: the defaults, this file, then variables that begin with `MUSUBI_INFORMATION__`.
    ///
    /// # Errors
    /// One sentence that names the key, where it stands and the remedy.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        load(DEFAULTS, file, "MUSUBI_INFORMATION")
    }

    /// Its certificate and whom it believes, read from the files.
    ///
    /// # Errors
    /// Names the key of `[tls]`, also when the certificate is somebody else's.
    pub fn identity(&self) -> Result<Identity, Error> {
        Identity::load(&self.tls)?.of(&Caller::Information)
    }

    /// Checks what no single key can tell, and says who is who.
    ///
    /// # Errors
    /// Names the table and the key.
    pub fn directory(&self) -> Result<Directory, Error> {
        distinct("company.id", self.company.iter().map(|company| &company.id))?;
        distinct("official_account.id", self.official_account.iter().map(|account| &account.id))?;
        distinct("carrier.id", self.carrier.iter().map(|carrier| &carrier.id))?;
        let LeasesConfig { delivery, inquiry } = self.leases;
        for (key, lease) in [("leases.delivery", delivery), ("leases.inquiry", inquiry)] {
            if !LEASE.contains(&lease) {
                return Err(Error::invalid(key, "is too short or too long", "write 1s to 1h"));
            }
        }
        for carrier in &self.carrier {
            let probe = carrier.verification_url.replace("{method}", "jpki");
            if probe == carrier.verification_url || !probe.starts_with("https://") || probe.contains('?') {
                return Err(Error::invalid(
                    format!("carrier {}: verification_url", carrier.id),
                    "is no https address with {method} in it and without a query",
                    "write for example https://{method}.kumo.musubi.test/verify",
                ));
            }
        }
        if let Some(webhooks) = &self.webhooks {
            webhooks.check("webhooks")?;
        }
        for carrier in &self.carrier {
            let Some(rbm) = &carrier.rbm else { continue };
            let here = self.official_account.iter().filter(|account| account.carriers.contains(&carrier.id));
            rbm.check(&format!("carrier {}", carrier.id), here.map(|account| &account.id))?;
            if self.webhooks.is_none() {
                let problem = format!("is not there, and carrier {} reports to it", carrier.id);
                return Err(Error::invalid("webhooks", problem, "say where webhooks are served"));
            }
        }
        if self.lists.every.is_zero() {
            return Err(Error::invalid("lists.every", "is zero", "give a longer time, as 1h"));
        }
        if self.lists.collapse_percent > 100 {
            return Err(Error::invalid("lists.collapse_percent", "is more than 100", "write 0 to 100"));
        }
        if self.erasure.journal.as_os_str().is_empty() {
            let remedy = "name a folder that is not restored with the database";
            return Err(Error::invalid("erasure.journal", "is empty", remedy));
        }
        self.redis.check()?;
        self.keyring()?;
        self.token_key()?;
        self.keys.check()?;
        self.calls.check()?;
        self.audit_keys()?;
        let companies = self.company.iter().map(CompanyConfig::read).collect::<Result<_, _>>()?;
        let accounts =
            self.official_account.iter().map(|account| account.read(self)).collect::<Result<_, _>>()?;
        Ok(Directory::new(companies, accounts))
    }

    /// What followers are named by.
    pub(crate) fn keyring(&self) -> Result<FollowerKeyring, Error> {
        FollowerKeyring::new(self.keys.follower.expose().as_bytes())
            .map_err(|error| error.at("keys.follower"))
    }

    /// What makes buttons and links.
    pub(crate) fn token_key(&self) -> Result<TokenKey, Error> {
        TokenKey::new(self.keys.token.expose().as_bytes()).map_err(|error| error.at("keys.token"))
    }

    /// What signs the seals of the audit.
    ///
    /// # Errors
    /// `keys.audit`, when there is none or one is short.
    pub fn audit_keys(&self) -> Result<AuditKeyring, Error> {
        let secrets: Vec<&[u8]> = self.keys.audit.iter().map(|key| key.expose().as_bytes()).collect();
        AuditKeyring::new(&secrets).map_err(|error| error.at("keys.audit"))
    }

    /// Who may call: every company and every carrier; and this server itself, which asks whether it works.
    pub(crate) fn authenticator(&self) -> Authenticator {
        let companies = self.company.iter().map(|company| Caller::Company(company.id.clone()));
        let carriers = self.carrier.iter().map(|carrier| Caller::Carrier(carrier.id.clone()));
        Authenticator::new(INFORMATION, companies.chain(carriers).chain([Caller::Information]))
            .paced(self.calls)
    }

    /// When a list that shrinks is believed.
    #[must_use]
    pub fn collapse_rules(&self) -> CollapseRules {
        CollapseRules {
            percent: self.lists.collapse_percent,
            at_least: self.lists.collapse_at_least,
            confirm_after: signed(self.lists.confirm_after),
        }
    }
}

fn distinct<T: std::hash::Hash + Eq + std::fmt::Display>(
    field: &str,
    ids: impl Iterator<Item = T>,
) -> Result<(), Error> {
    let mut seen = HashSet::new();
    for id in ids {
        if seen.contains(&id) {
            return Err(Error::invalid(field, format!("{id} stands twice"), "give each id once"));
        }
        seen.insert(id);
    }
    Ok(())
}

pub(crate) fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_out_of_its_bounds_is_refused_by_its_key() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("information.toml");
        std::fs::write(
            &file,
            "tls = { certificate = 'a.pem', key = 'a.key', authorities = 'b.pem' }\n\
             keys.follower = 'sixteen bytes, or more'\nkeys.token = 'sixteen bytes, or more'\n\
             keys.master = ['thirty-two bytes, or even more..']\nkeys.audit = ['sixteen bytes, or more']",
        )
        .unwrap();
        let config = Config::load(Some(&file)).unwrap();
        config.directory().unwrap();
        for (delivery, inquiry, field) in [(0, 15, "leases.delivery"), (30, 3601, "leases.inquiry")] {
            let [delivery, inquiry] = [delivery, inquiry].map(Duration::from_secs);
            let spoilt = Config { leases: LeasesConfig { delivery, inquiry }, ..config.clone() };
            assert_eq!(spoilt.directory().unwrap_err().field, field);
        }
    }
}
