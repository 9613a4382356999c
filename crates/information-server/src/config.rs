//! What an operator can choose. `config.default.toml` is compiled in, and says what each key means.
//!
//! Checked whole before anything is bound: every id, every reference from one table to another, every text against the limits
//! of RCS.

use std::{
    collections::HashSet,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::SignedDuration;
use musubi_domain::{
    Error,
    content::{Action, Content, Suggestion},
    dialogue::Rules,
    guess::Limits,
    id::{CarrierId, CompanyId, FollowerKeyring, OfficialAccountId},
    identity::IdentityMethod,
    postback::TokenKey,
    quiet_hours::QuietHours,
    roster::CollapseRules,
    seal::SealKeyring,
};
use musubi_matching::{AccountFormat, Policy};
use musubi_runtime::{
    config::{ConfigError, Database, Endpoint, ListenAddress, Secret, duration, load},
    grpc::auth::{Authenticator, Caller, check_token},
    telemetry::TelemetryConfig,
};
use serde::Deserialize;

use crate::directory::{Account, Company, Directory, Matching, Texts};

const DEFAULTS: &str = include_str!("config.default.toml");

/// The shortest and the longest lease.
const LEASE: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(3600);

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
    /// Secrets.
    pub keys: KeysConfig,
    /// Subscriber lists.
    pub lists: ListsConfig,
    /// When begun work is begun again.
    pub leases: LeasesConfig,
    /// What the process says.
    pub telemetry: TelemetryConfig,
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
    /// Seal what reviews keep of people; the first seals.
    pub review: Vec<Secret>,
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

/// A company.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CompanyConfig {
    /// Its id.
    pub id: CompanyId,
    /// What it shows here.
    pub token: Secret,
    /// How its customers are matched.
    #[serde(default = "inquiry")]
    pub matching: Matching,
    /// Its server.
    pub endpoint: Endpoint,
    /// What this server shows there.
    pub endpoint_token: Secret,
    /// Digits of an account number.
    #[serde(default = "seven")]
    pub account_digits: u8,
    /// Digits of a branch number.
    #[serde(default = "three")]
    pub branch_digits: u8,
    /// What it demands of a match in custody.
    #[serde(default)]
    pub policy: Policy,
    /// The methods that it accepts.
    #[serde(default = "strong_methods")]
    pub methods: Vec<IdentityMethod>,
    /// Wrong account numbers by one follower.
    #[serde(default = "follower_limit")]
    pub follower_limit: u32,
    /// At one account number.
    #[serde(default = "account_limit")]
    pub account_limit: u32,
    /// In the whole company.
    #[serde(default = "company_limit")]
    pub company_limit: u32,
}

/// An official account.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountConfig {
    /// Its id.
    pub id: OfficialAccountId,
    /// Whose.
    pub company: CompanyId,
    /// The verified sender's name.
    pub display_name: String,
    /// Where it is open.
    pub carriers: Vec<CarrierId>,
    /// How long a tie is trusted.
    #[serde(default = "half_a_year")]
    pub tie_days: u32,
    /// For quiet hours.
    #[serde(default = "tokyo")]
    pub time_zone: String,
    /// When nobody is asked.
    #[serde(default)]
    pub quiet_hours: String,
    /// Between question and reminder.
    #[serde(default = "a_day", with = "duration")]
    pub remind_after: Duration,
    /// How many reminders.
    #[serde(default = "one")]
    pub reminders: u8,
    /// How many unreadable texts.
    #[serde(default = "two")]
    pub unreadable: u8,
    /// How many account numbers.
    #[serde(default = "three")]
    pub tries: u8,
    /// Until who had no account is asked again.
    #[serde(default = "ninety_days", with = "duration")]
    pub ask_again_after: Duration,
    /// Until who declined is asked again.
    #[serde(default = "a_year", with = "duration")]
    pub declined_for: Duration,
    /// How long a review waits.
    #[serde(default = "a_fortnight")]
    pub review_days: u32,
    /// Whether two persons have to approve one.
    #[serde(default)]
    pub review_second_person: bool,
    /// What it says.
    #[serde(default)]
    pub texts: Texts,
}

/// A carrier.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CarrierConfig {
    /// Its id.
    pub id: CarrierId,
    /// Where it serves.
    pub endpoint: Endpoint,
    /// What this server shows there.
    pub endpoint_token: Secret,
    /// What it shows here.
    pub token: Secret,
    /// Where its authorities' pages are, with `{method}` in it.
    pub verification_url: String,
}

impl Config {
    /// Reads the configuration: the defaults, this file, then variables that begin with `MUSUBI_INFORMATION__`.
    ///
    /// # Errors
    /// One sentence that names the key, where it stands and the remedy.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        load(DEFAULTS, file, "MUSUBI_INFORMATION")
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
        if self.lists.every.is_zero() {
            return Err(Error::invalid("lists.every", "is zero", "give a longer time, as 1h"));
        }
        if self.lists.collapse_percent > 100 {
            return Err(Error::invalid("lists.collapse_percent", "is more than 100", "write 0 to 100"));
        }
        self.keyring()?;
        self.token_key()?;
        self.seals()?;
        self.authenticator()?;
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

    /// What seals reviews.
    pub(crate) fn seals(&self) -> Result<SealKeyring, Error> {
        let secrets: Vec<&[u8]> = self.keys.review.iter().map(|key| key.expose().as_bytes()).collect();
        SealKeyring::new(&secrets).map_err(|error| error.at("keys.review"))
    }

    /// Who may call; the tokens that this server shows are checked as well.
    pub(crate) fn authenticator(&self) -> Result<Authenticator, Error> {
        let mut callers = Vec::new();
        for CompanyConfig { id, token, endpoint_token, .. } in &self.company {
            check_token(token, &format!("company {id}: token"))?;
            check_token(endpoint_token, &format!("company {id}: endpoint_token"))?;
            callers.push((token.clone(), Caller::Company(id.clone())));
        }
        for CarrierConfig { id, token, endpoint_token, .. } in &self.carrier {
            check_token(token, &format!("carrier {id}: token"))?;
            check_token(endpoint_token, &format!("carrier {id}: endpoint_token"))?;
            callers.push((token.clone(), Caller::Carrier(id.clone())));
        }
        Authenticator::new(callers)
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

impl CompanyConfig {
    fn read(&self) -> Result<Company, Error> {
        let at = |key: &str| format!("company {}: {key}", self.id);
        if self.methods.is_empty() {
            return Err(Error::invalid(at("methods"), "is empty", "name jpki, carrier or both"));
        }
        for (key, digits, allowed) in
            [("account_digits", self.account_digits, 4..=20), ("branch_digits", self.branch_digits, 0..=5)]
        {
            if !allowed.contains(&digits) {
                let remedy = format!("give {} to {}", allowed.start(), allowed.end());
                return Err(Error::invalid(at(key), format!("{digits} digits"), remedy));
            }
        }
        Ok(Company {
            id: self.id.clone(),
            matching: self.matching,
            account_format: AccountFormat {
                account_digits: self.account_digits,
                branch_digits: self.branch_digits,
            },
            policy: self.policy,
            methods: self.methods.clone(),
            limits: Limits {
                follower: self.follower_limit,
                account: self.account_limit,
                company: self.company_limit,
                ..Limits::default()
            },
        })
    }
}

impl AccountConfig {
    fn read(&self, config: &Config) -> Result<Account, Error> {
        let at = |key: &str| format!("official_account {}: {key}", self.id);
        if !config.company.iter().any(|company| company.id == self.company) {
            let problem = format!("{} is no company of this configuration", self.company);
            return Err(Error::invalid(at("company"), problem, "add a [[company]], or name another"));
        }
        for carrier in &self.carriers {
            if !config.carrier.iter().any(|known| known.id == *carrier) {
                let problem = format!("{carrier} is no carrier of this configuration");
                return Err(Error::invalid(at("carriers"), problem, "add a [[carrier]], or name another"));
            }
        }
        let length = self.display_name.chars().count();
        if !(1..=100).contains(&length) {
            let problem = format!("{length} characters");
            return Err(Error::invalid(at("display_name"), problem, "write 1 to 100 characters"));
        }
        if self.review_days == 0 {
            return Err(Error::invalid(at("review_days"), "is 0", "write 1 or more"));
        }
        self.check_texts()?;
        let quiet_hours = QuietHours::parse(&self.quiet_hours, &self.time_zone).map_err(|error| {
            let field = at(&error.field);
            error.at(field)
        })?;
        Ok(Account {
            id: self.id.clone(),
            company: self.company.clone(),
            display_name: self.display_name.clone(),
            carriers: self.carriers.clone(),
            rules: Rules {
                remind_after: signed(self.remind_after),
                reminders: self.reminders,
                unreadable: self.unreadable,
                tries: self.tries,
                ask_again_after: signed(self.ask_again_after),
                declined_for: signed(self.declined_for),
                review_for: SignedDuration::from_hours(24 * i64::from(self.review_days)),
                review_second_person: self.review_second_person,
                quiet_hours,
            },
            texts: self.texts.clone(),
            tie_days: self.tie_days,
        })
    }

    /// Every text as the content that it becomes.
    fn check_texts(&self) -> Result<(), Error> {
        let texts = &self.texts;
        let check = |key: &str, text: &str, labels: &[&String], url: Option<&String>| {
            let suggestions = labels.iter().map(|label| Suggestion {
                label: (*label).clone(),
                postback: String::new(),
                action: url.map(|url| Action::OpenUrl { url: url.clone(), webview: false }),
            });
            Content { text: text.to_owned(), suggestions: suggestions.collect() }.check().map_err(|error| {
                let field = format!("official_account {}: texts.{key} ({})", self.id, error.field);
                error.at(field)
            })
        };
        let buttons = [&texts.confirm, &texts.no_account, &texts.decline];
        check("question", &texts.question, &buttons, Some(&texts.account_opening_url))?;
        check("account", &texts.account, &[], None)?;
        check("account_again", &texts.account_again, &[], None)?;
        check("identity", &texts.identity, &[&texts.jpki, &texts.carrier, &texts.document], None)?;
        check("confirmed", &texts.confirmed, &[&texts.untie], None)?;
        check("not_confirmed", &texts.not_confirmed, &[&texts.try_again], None)?;
        check("review_rejected", &texts.review_rejected, &[&texts.try_again], None)
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

const fn inquiry() -> Matching {
    Matching::Inquiry
}
fn strong_methods() -> Vec<IdentityMethod> {
    vec![IdentityMethod::Jpki, IdentityMethod::Carrier]
}
fn follower_limit() -> u32 {
    Limits::default().follower
}
fn account_limit() -> u32 {
    Limits::default().account
}
fn company_limit() -> u32 {
    Limits::default().company
}
const fn seven() -> u8 {
    7
}
const fn three() -> u8 {
    3
}
const fn two() -> u8 {
    2
}
const fn one() -> u8 {
    1
}
const fn half_a_year() -> u32 {
    180
}
const fn a_fortnight() -> u32 {
    14
}
fn tokyo() -> String {
    "Asia/Tokyo".to_owned()
}
const fn a_day() -> Duration {
    Duration::from_secs(24 * 3600)
}
const fn ninety_days() -> Duration {
    Duration::from_secs(90 * 24 * 3600)
}
const fn a_year() -> Duration {
    Duration::from_secs(365 * 24 * 3600)
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
            "keys.follower = 'sixteen bytes, or more'\nkeys.token = 'sixteen bytes, or more'\n\
             keys.review = ['sixteen bytes, or more']",
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
