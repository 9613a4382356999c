//! A carrier that speaks Google's RCS Business Messaging: where, as whom, and by which agents.

use std::{collections::HashSet, fs, path::PathBuf};

use musubi_domain::{Error, error::shape, id::OfficialAccountId};
use musubi_runtime::{config::Secret, http::safe_address};
use reqwest::Url;
use serde::Deserialize;

use crate::gateway::rbm;

/// How many requests may be on their way at once.
const AT_ONCE: std::ops::RangeInclusive<usize> = 1..=1000;

/// `[carrier.rbm]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RbmConfig {
    /// Where the REST API is: https, or http at a loopback address.
    pub api: String,
    /// The service account's key, as Google's console writes it: JSON.
    pub service_account: PathBuf,
    /// Authorities of the API's certificate, PEM; none: those that the machine believes.
    #[serde(default)]
    pub authorities: Option<PathBuf>,
    /// Requests on their way at once.
    #[serde(default = "at_once")]
    pub requests_at_once: usize,
    /// Whether people see that what they wrote was read, and that an answer is on its way.
    #[serde(default = "yes")]
    pub shows_reading: bool,
    /// Tokens of the partner's webhook, which reports of every agent; two while they are changed.
    #[serde(default)]
    pub client_tokens: Vec<Secret>,
    /// The agents.
    #[serde(default)]
    pub agent: Vec<AgentConfig>,
}

/// `[[carrier.rbm.agent]]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentConfig {
    /// The official account that it speaks for.
    pub official_account: OfficialAccountId,
    /// Its id, as `minato_bank_agent`.
    pub id: String,
    /// Tokens of its own webhook; two while they are changed.
    #[serde(default)]
    pub client_tokens: Vec<Secret>,
}

impl RbmConfig {
    /// Checks what no type can tell; `key` is the carrier's.
    pub(super) fn check<'a>(
        &self,
        key: &str,
        accounts: impl Iterator<Item = &'a OfficialAccountId>,
    ) -> Result<(), Error> {
        let at = |error: Error| {
            let field = format!("{key}: rbm.{}", error.field);
            error.at(field)
        };
        rbm::check(self).map_err(at)?;
        if !AT_ONCE.contains(&self.requests_at_once) {
            return Err(at(Error::invalid("requests_at_once", "is 0 or more than 1000", "write 1 to 1000")));
        }
        let mut ids = HashSet::new();
        let mut theirs = HashSet::new();
        for agent in &self.agent {
            let plain = |c: char| c.is_ascii_alphanumeric() || "_-.@".contains(c);
            if !(1..=100).contains(&agent.id.len()) || !agent.id.chars().all(plain) {
                let remedy = "write the agent's id, as minato_bank_agent";
                return Err(at(Error::invalid("agent.id", shape(&agent.id), remedy)));
            }
            let remedy = "give each account one agent of its own";
            let twice = |key: &str| at(Error::invalid(key, "stands twice", remedy));
            if !ids.insert(&agent.id) {
                return Err(twice("agent.id"));
            }
            if !theirs.insert(&agent.official_account) {
                return Err(twice("agent.official_account"));
            }
        }
        for token in self.client_tokens.iter().chain(self.agent.iter().flat_map(|agent| &agent.client_tokens))
        {
            if token.expose().len() < 16 {
                let remedy = "give the webhook a token of 16 characters or more";
                return Err(at(Error::invalid("client_tokens", "one is shorter than 16 characters", remedy)));
            }
        }
        let open: HashSet<_> = accounts.collect();
        if let Some(stray) = theirs.difference(&open).next() {
            let remedy = "name an account whose carriers have this one";
            return Err(at(Error::invalid(
                "agent.official_account",
                format!("{stray} is not open here"),
                remedy,
            )));
        }
        if let Some(mute) = open.difference(&theirs).next() {
            return Err(at(Error::invalid(
                "agent",
                format!("{mute} has none"),
                "name the agent that speaks for it",
            )));
        }
        if let Some(deaf) = self.agent.iter().find(|agent| agent.client_tokens.is_empty())
            && self.client_tokens.is_empty()
        {
            let problem = format!("agent {} has none, nor has the partner", deaf.id);
            return Err(at(Error::invalid(
                "client_tokens",
                problem,
                "write the token that its webhook was set up with",
            )));
        }
        Ok(())
    }

    /// Where the API is.
    pub(crate) fn address(&self) -> Result<Url, Error> {
        safe_address(&self.api).map_err(|error| error.at("api"))
    }

    /// The authorities' file.
    pub(crate) fn authorities(&self) -> Result<Option<Vec<u8>>, Error> {
        self.authorities.as_ref().map(|path| read(path, "authorities")).transpose()
    }

    /// The service account's file.
    pub(crate) fn service_account(&self) -> Result<Vec<u8>, Error> {
        read(&self.service_account, "service_account")
    }
}

fn read(path: &PathBuf, field: &str) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(|error| {
        let problem = format!("{} can not be read ({})", path.display(), error.kind());
        Error::invalid(field, problem, "name a file that can")
    })
}

const fn at_once() -> usize {
    64
}

const fn yes() -> bool {
    true
}
