//! `[rbm]`: who speaks RBM here, and how sternly. `config.default.toml` says what each key means.
//!
//! Checked whole before anything is bound. Surprising: without this section there is no second door at all.

use std::{collections::BTreeSet, path::PathBuf};

use musubi_domain::{Error, error::shape, id::OfficialAccountId};
use musubi_runtime::{
    config::{ListenAddress, Secret},
    http::{HttpConfig, safe_address},
};
use serde::{Deserialize, Deserializer, de};
use url::Url;

use super::{faults::RbmFaults, keys, webhook};

/// The RBM face.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "said once, beside the defaults")]
pub struct RbmConfig {
    pub listen: ListenAddress,
    #[serde(default, deserialize_with = "origin")]
    pub origin: Option<String>,
    #[serde(default)]
    pub certificate: Option<PathBuf>,
    #[serde(default)]
    pub key: Option<PathBuf>,
    #[serde(default)]
    pub authorities: Option<PathBuf>,
    #[serde(default)]
    pub strict: bool,
    #[serde(default)]
    pub phones: bool,
    #[serde(default)]
    pub service_account_file: Option<PathBuf>,
    #[serde(default)]
    pub service_account: Vec<ServiceAccount>,
    #[serde(default)]
    pub partner: Option<Webhook>,
    #[serde(default)]
    pub agent: Vec<AgentConfig>,
    #[serde(default)]
    pub faults: RbmFaults,
}

/// One whose signed assertions are believed.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "said once, beside the defaults")]
pub struct ServiceAccount {
    pub client_email: String,
    pub public_key: PathBuf,
}

/// An official account that speaks RBM.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "said once, beside the defaults")]
pub struct AgentConfig {
    #[serde(deserialize_with = "agent_id")]
    pub id: String,
    pub official_account: OfficialAccountId,
    #[serde(deserialize_with = "display_name")]
    pub display_name: String,
    #[serde(default)]
    pub brand: String,
    #[serde(default)]
    pub use_case: UseCase,
    #[serde(default)]
    pub launch_state: LaunchState,
    #[serde(default)]
    pub webhook: Option<Webhook>,
}

/// Where events are posted.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "said once, beside the defaults")]
pub struct Webhook {
    #[serde(deserialize_with = "address")]
    pub url: Url,
    pub client_token: Secret,
}

/// What an agent is for, which says what its messages are sent for when they don't.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(missing_docs, reason = "the API's own words")]
pub enum UseCase {
    Otp,
    #[default]
    Transactional,
    Promotional,
    MultiUse,
}

/// How far an agent's launch at this carrier is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(missing_docs, reason = "the API's own words")]
pub enum LaunchState {
    Pending,
    #[default]
    Launched,
    Rejected,
    Suspended,
    Unlaunched,
}

impl LaunchState {
    /// As RBM writes it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Launched => "LAUNCHED",
            Self::Rejected => "REJECTED",
            Self::Suspended => "SUSPENDED",
            Self::Unlaunched => "UNLAUNCHED",
        }
    }
}

impl RbmConfig {
    /// Where the face is served.
    pub(crate) fn http(&self) -> HttpConfig {
        HttpConfig { listen: self.listen, certificate: self.certificate.clone(), key: self.key.clone() }
    }

    /// Checks what no single key can tell.
    pub(crate) fn check(&self) -> Result<(), Error> {
        self.http().check("rbm")?;
        if self.service_account_file.is_none() && self.service_account.is_empty() {
            let remedy =
                "name one, or rbm.service_account_file, in which the simulator writes one of its own";
            return Err(Error::invalid("rbm.service_account", "there is none", remedy));
        }
        if self.agent.is_empty() {
            return Err(Error::invalid("rbm.agent", "there is none", "write an [[rbm.agent]]"));
        }
        let (mut ids, mut accounts) = (BTreeSet::new(), BTreeSet::new());
        for (place, agent) in self.agent.iter().enumerate() {
            let at = |key: &str| format!("rbm.agent[{place}].{key}");
            if !ids.insert(&agent.id) {
                return Err(Error::invalid(at("id"), "is another agent's too", "give each its own"));
            }
            if !accounts.insert(&agent.official_account) {
                let remedy = "give each official account one agent";
                return Err(Error::invalid(at("official_account"), "is another agent's too", remedy));
            }
        }
        // Files are read before anything is bound.
        keys::configured(&self.service_account)?;
        webhook::client(self.authorities.as_deref()).map(drop)
    }
}

fn agent_id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let id = String::deserialize(deserializer)?;
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    if (1..=100).contains(&id.len()) && id.bytes().all(word) {
        return Ok(id);
    }
    let problem = format!("{} is no agent's id; write 1 to 100 of a-z, A-Z, 0-9, _ and hyphen", shape(&id));
    Err(de::Error::custom(problem))
}

fn display_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let name = String::deserialize(deserializer)?;
    if (1..=100).contains(&name.chars().count()) && !name.contains('\0') {
        return Ok(name);
    }
    Err(de::Error::custom(format!("it is {}; write 1 to 100 characters", shape(&name))))
}

/// An address that events may go to.
fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Url, D::Error> {
    safe_address(&String::deserialize(deserializer)?).map_err(de::Error::custom)
}

/// Where others find the face, as browsers write an origin.
fn origin<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let url = safe_address(&String::deserialize(deserializer)?).map_err(de::Error::custom)?;
    if url.path() == "/" && url.query().is_none() && url.fragment().is_none() {
        return Ok(Some(url.origin().ascii_serialization()));
    }
    Err(de::Error::custom("it has a path behind the host; write https://host:port"))
}
