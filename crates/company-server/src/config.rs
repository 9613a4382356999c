//! The company server's configuration. `config.default.toml` holds the defaults and explains every key.

mod openid;

use std::{collections::BTreeMap, path::Path, time::Duration};

use musubi_domain::{
    Error,
    audit::AuditKeyring,
    caller::{Caller, Role},
    id::{CompanyId, OperatorName},
    vault::MasterKeys,
};
use musubi_matching::{AccountFormat, Policy};
use musubi_proto::callers::COMPANY;
use musubi_runtime::{
    config::{ConfigError, Database, Endpoint, ListenAddress, Secret, duration, load},
    grpc::{auth::Authenticator, pace::CallsConfig},
    http::HttpConfig,
    telemetry::TelemetryConfig,
    tls::{Identity, TlsConfig},
};
use musubi_storage::vault::Schedule;
use serde::Deserialize;

pub(crate) use self::openid::{BACK, Claim, OpenIdConfig};

/// The compiled-in defaults, commented: also the documentation.
pub const DEFAULTS: &str = include_str!("config.default.toml");

/// The shortest and the longest time for which a copy may be entrusted.
pub(crate) const LEASE: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(60)..=Duration::from_secs(30 * 24 * 3600);

/// How long sessions may last, how long they may idle, and how long invitations may be good, in minutes.
const SESSION: (u64, u64) = (5, 24 * 60);
const IDLE: (u64, u64) = (2, 8 * 60);
const INVITATION: (u64, u64) = (10, 30 * 24 * 60);

const fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(minutes * 60)
}

/// The longest time that keys have, in days.
const MOST_DAYS: u16 = 3650;

/// Everything that a company server is told.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Which company.
    pub company: CompanyId,
    /// How its inquiries are decided.
    pub matching: Matching,
    /// Where it serves: an IP address and a port.
    pub listen: ListenAddress,
    /// Where it keeps what it has.
    pub database: Database,
    /// How long work under way has to end once the process is told to stop.
    #[serde(with = "duration")]
    pub drain: Duration,
    /// The information-management server.
    pub information: InformationConfig,
    /// Its certificate and whom it believes.
    pub tls: TlsConfig,
    /// Who may call, beside the information-management server.
    pub callers: CallersConfig,
    /// How people sign in.
    pub sign_in: SignInConfig,
    /// What personal data is sealed with.
    pub keys: KeysConfig,
    /// How long account numbers are.
    pub account: AccountConfig,
    /// What matching demands beyond its rules.
    pub policy: Policy,
    /// How large an import may be.
    pub import: ImportConfig,
    /// How the master is entrusted.
    pub custody: CustodyConfig,
    /// Where people find its console; without it there is none.
    #[serde(default)]
    pub console: Option<HttpConfig>,
    /// How often others may call, and how often is told what was refused.
    pub calls: CallsConfig,
    /// What the process says.
    pub telemetry: TelemetryConfig,
}

/// How the information-management server decides for this company, as this side knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Matching {
    /// It asks this server.
    Inquiry,
    /// It decides by a copy of the master.
    Custody,
}

/// `[information]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InformationConfig {
    /// Where it is called.
    pub endpoint: Endpoint,
}

/// `[callers]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallersConfig {
    /// The company's operators, by the names that records show, each with what they may do.
    pub operators: BTreeMap<OperatorName, Vec<Role>>,
}

/// `[sign_in]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignInConfig {
    /// How long a session lasts at most.
    #[serde(with = "duration")]
    pub session: Duration,
    /// How long one may not be used.
    #[serde(with = "duration")]
    pub idle: Duration,
    /// How long an invitation is good.
    #[serde(with = "duration")]
    pub invitation: Duration,
    /// The company's provider of OpenID Connect; without it people have passwords.
    #[serde(default)]
    pub openid: Option<OpenIdConfig>,
}

/// `[keys]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeysConfig {
    /// Wrap the keys that personal data is sealed with; the first wraps.
    pub master: Vec<Secret>,
    /// The company gets a new key when its newest is so old; 0: never.
    pub epoch_days: u16,
    /// How long a key stays after the next one took its place.
    pub keep_days: u16,
    /// Sign the audit's seals: the first signs, all of them verify.
    pub audit: Vec<Secret>,
}

/// `[account]`
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountConfig {
    /// Digits of an account number.
    pub account_digits: u8,
    /// Digits of a branch number.
    pub branch_digits: u8,
}

/// `[import]`
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImportConfig {
    /// The largest file, in MiB.
    pub largest_file_mib: u64,
    /// The most rows.
    pub most_rows: u64,
}

/// `[custody]`
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CustodyConfig {
    /// Entrust by itself: after an import that changed something, and before the lease ends.
    pub automatic: bool,
    /// Entrust digests, and never a plain master.
    pub blind: bool,
    /// For how long.
    #[serde(with = "duration")]
    pub lease: Duration,
}

impl Config {
    /// Reads the configuration: the defaults, this file, then variables that begin with `MUSUBI_COMPANY__`.
    ///
    /// # Errors
    /// One sentence that names the key, where it stands and the remedy.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        load(DEFAULTS, file, "MUSUBI_COMPANY")
    }

    /// Its certificate and whom it believes, read from the files.
    ///
    /// # Errors
    /// Names the key of `[tls]`, also when the certificate is somebody else's.
    pub fn identity(&self) -> Result<Identity, Error> {
        Identity::load(&self.tls)?.of(&Caller::Company(self.company.clone()))
    }

    /// Checks what the types don't, before anything is opened or bound.
    ///
    /// # Errors
    /// Names the key.
    pub fn check(&self) -> Result<(), Error> {
        let number = |key: &str, digits: u8, least: u8, most: u8| match (least..=most).contains(&digits) {
            true => Ok(()),
            false => Err(Error::invalid(key, format!("{digits} digits"), format!("write {least} to {most}"))),
        };
        number("account.account_digits", self.account.account_digits, 4, 20)?;
        number("account.branch_digits", self.account.branch_digits, 0, 5)?;
        self.keys.masters()?;
        self.keys.auditors()?;
        if self.keys.epoch_days > MOST_DAYS {
            return Err(Error::invalid("keys.epoch_days", "is more than 3650", "write 0 to 3650"));
        }
        if !(1..=MOST_DAYS).contains(&self.keys.keep_days) {
            return Err(Error::invalid("keys.keep_days", "is 0 or more than 3650", "write 1 to 3650"));
        }
        for (key, value) in [
            ("import.largest_file_mib", self.import.largest_file_mib),
            ("import.most_rows", self.import.most_rows),
        ] {
            if value == 0 || value > 1_000_000_000 {
                return Err(Error::invalid(key, "it is 0, or more than 1000000000", "write a limit between"));
            }
        }
        if !LEASE.contains(&self.custody.lease) {
            return Err(Error::invalid("custody.lease", "it is too short or too long", "write 1m to 720h"));
        }
        for (key, time, (least, most)) in [
            ("sign_in.session", self.sign_in.session, SESSION),
            ("sign_in.idle", self.sign_in.idle, IDLE),
            ("sign_in.invitation", self.sign_in.invitation, INVITATION),
        ] {
            if time < minutes(least) || time > minutes(most) {
                return Err(Error::invalid(
                    key,
                    "it is too short or too long",
                    format!("write {least}m to {most}m"),
                ));
            }
        }
        self.calls.check()?;
        if let Some(console) = &self.console {
            console.check("console")?;
        }
        if let Some(openid) = &self.sign_in.openid {
            openid.check()?;
        }
        if self.callers.operators.is_empty() {
            let problem = "it is empty, so nobody could call";
            let remedy = "write at least one name with its roles";
            return Err(Error::invalid("callers.operators", problem, remedy));
        }
        if let Some((name, _)) = self.callers.operators.iter().find(|(_, roles)| roles.is_empty()) {
            let remedy =
                "give roles of viewer, editor, approver, auditor and administrator, or delete the name";
            return Err(Error::invalid(format!("callers.operators.{name}"), "there is no role", remedy));
        }
        Ok(())
    }

    /// Who may call: the company's operators, and the information-management server; and this server itself, which asks whether
    /// it works.
    pub(crate) fn authenticator(&self) -> Authenticator {
        let operators = self.callers.operators.iter().map(|(name, roles)| {
            (Caller::CompanyOperator(self.company.clone(), name.clone()), roles.clone())
        });
        let nodes =
            [Caller::Information, Caller::Company(self.company.clone())].map(|node| (node, Vec::new()));
        Authenticator::with_roles(COMPANY, operators.chain(nodes)).paced(self.calls)
    }
}

impl KeysConfig {
    /// What wraps the company's keys.
    pub(crate) fn masters(&self) -> Result<MasterKeys, Error> {
        let secrets: Vec<&[u8]> = self.master.iter().map(|key| key.expose().as_bytes()).collect();
        MasterKeys::new(&secrets).map_err(|error| error.at("keys.master"))
    }

    /// What signs the audit.
    ///
    /// # Errors
    /// `keys.audit`, when there is none or one is too short.
    pub fn auditors(&self) -> Result<AuditKeyring, Error> {
        let secrets: Vec<&[u8]> = self.audit.iter().map(|key| key.expose().as_bytes()).collect();
        AuditKeyring::new(&secrets).map_err(|error| error.at("keys.audit"))
    }

    /// When keys turn.
    pub(crate) fn schedule(&self) -> Schedule {
        Schedule::of_days(self.epoch_days, self.keep_days)
    }
}

impl From<AccountConfig> for AccountFormat {
    fn from(config: AccountConfig) -> Self {
        Self { account_digits: config.account_digits, branch_digits: config.branch_digits }
    }
}
