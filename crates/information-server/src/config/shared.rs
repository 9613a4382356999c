//! What replicas share: where, and what is left without it.

use musubi_domain::{Error, error::shape};
use musubi_runtime::config::Secret;
use musubi_storage::ephemeral;
use serde::Deserialize;

/// What replicas share, and may vanish.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SharedConfig {
    /// Where the server is; none: this process shares with nobody.
    #[serde(default)]
    pub url: Option<Secret>,
    /// What every key begins with.
    pub prefix: String,
    /// This process's share of each limit while the server is out of reach.
    pub fallback_percent: u8,
}

impl SharedConfig {
    /// The address, and what no type can tell.
    pub(super) fn check(&self) -> Result<(), Error> {
        if let Some(url) = &self.url {
            ephemeral::check_url(url.expose()).map_err(|error| error.at("redis.url"))?;
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_:".contains(c);
        if !(1..=40).contains(&self.prefix.len()) || !self.prefix.chars().all(plain) {
            let problem = shape(&self.prefix);
            return Err(Error::invalid(
                "redis.prefix",
                problem,
                "write 1 to 40 Latin letters, digits, - _ :",
            ));
        }
        if !(1..=100).contains(&self.fallback_percent) {
            return Err(Error::invalid("redis.fallback_percent", "is 0 or more than 100", "write 1 to 100"));
        }
        Ok(())
    }
}
