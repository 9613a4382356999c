//! What replicas share: where, and what is left without it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use musubi_domain::{Error, error::shape};
use musubi_runtime::config::Secret;
use musubi_storage::ephemeral::{self, SharedTls};
use serde::Deserialize;

/// What replicas share, and may vanish.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SharedConfig {
    /// Where the server is; none: this process shares with nobody.
    #[serde(default)]
    pub url: Option<Secret>,
    /// Authorities of the server's certificate, PEM; none: those that the machine believes.
    #[serde(default)]
    pub authorities: Option<PathBuf>,
    /// This process's certificate for the server, PEM.
    #[serde(default)]
    pub certificate: Option<PathBuf>,
    /// Its key, PEM.
    #[serde(default)]
    pub key: Option<PathBuf>,
    /// What every key begins with.
    pub prefix: String,
    /// This process's share of each limit while the server is out of reach.
    pub fallback_percent: u8,
}

impl SharedConfig {
    /// The address, and what no type can tell.
    pub(super) fn check(&self) -> Result<(), Error> {
        let tls = self.tls()?;
        if let Some(url) = &self.url {
            ephemeral::check_url(url.expose(), tls).map_err(|error| error.at("redis.url"))?;
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

    /// The certificates, read from their files.
    ///
    /// # Errors
    /// Names the key.
    pub(crate) fn tls(&self) -> Result<SharedTls, Error> {
        let read = |key: &str, path: &Path| {
            fs::read(path).map_err(|error| {
                let problem = format!("{} can not be read ({})", path.display(), error.kind());
                Error::invalid(key, problem, "name a file that can")
            })
        };
        let own = match (&self.certificate, &self.key) {
            (Some(certificate), Some(key)) => {
                Some((read("redis.certificate", certificate)?, read("redis.key", key)?))
            }
            (None, None) => None,
            (Some(_), None) => return Err(lonely("redis.key")),
            (None, Some(_)) => return Err(lonely("redis.certificate")),
        };
        let authorities =
            self.authorities.as_deref().map(|path| read("redis.authorities", path)).transpose()?;
        SharedTls::new(authorities, own).map_err(|error| {
            let key = format!("redis.{}", error.field);
            error.at(key)
        })
    }
}

fn lonely(key: &str) -> Error {
    Error::invalid(key, "is not there", "name the certificate and its key, or neither")
}
