//! `[sign_in.openid]`: the company's provider of OpenID Connect, and what it has to say of somebody.
//!
//! Surprising: nothing of the provider is asked for before somebody signs in; a server starts without it.

use std::{path::PathBuf, time::Duration};

use musubi_domain::{Error, error::shape};
use musubi_runtime::{
    config::{Secret, duration},
    http::safe_address,
};
use serde::Deserialize;

/// Where the provider sends people back to, at the console.
pub(crate) const BACK: &str = "/sign-in/openid/back";

/// `[sign_in.openid]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpenIdConfig {
    /// The provider, by the address that its tokens name.
    pub issuer: String,
    /// What the provider calls this server.
    pub client_id: String,
    /// What this server proves itself with there.
    pub client_secret: Secret,
    /// Where browsers find the console: scheme, host and port.
    pub origin: String,
    /// By which claim people are known.
    #[serde(default)]
    pub claim: Claim,
    /// Whom the provider's certificate is believed by, PEM; without it the authorities of the machine.
    #[serde(default)]
    pub authorities: Option<PathBuf>,
    /// Ways of proving oneself of which the provider has to name one in `amr`; none: it needn't.
    #[serde(default)]
    pub amr: Vec<String>,
    /// Grades of which the provider has to name one in `acr`; none: it needn't.
    #[serde(default)]
    pub acr: Vec<String>,
    /// How long ago a person may have proved themselves to the provider; zero: it doesn't matter.
    #[serde(default, with = "duration")]
    pub max_age: Duration,
}

/// A claim by which a person is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Claim {
    /// The address, which the provider has to have verified.
    #[default]
    Email,
    /// The name that the person signs in by at the provider.
    PreferredUsername,
    /// The provider's own name for the account.
    Sub,
}

impl OpenIdConfig {
    /// Checks what the types don't.
    ///
    /// # Errors
    /// Names the key.
    pub(super) fn check(&self) -> Result<(), Error> {
        let at = |key: &'static str| move |error: Error| error.at(format!("sign_in.openid.{key}"));
        safe_address(&self.issuer).map_err(at("issuer"))?;
        if self.client_id.is_empty() {
            let remedy = "write what the provider calls this server";
            return Err(Error::invalid("sign_in.openid.client_id", "it is empty", remedy));
        }
        let origin = safe_address(&self.origin).map_err(at("origin"))?;
        if origin.origin().ascii_serialization() != self.origin {
            let problem = format!("{} is no origin", shape(&self.origin));
            let remedy = "write scheme, host and port, and no slash behind: https://console.bank.example";
            return Err(Error::invalid("sign_in.openid.origin", problem, remedy));
        }
        self.read_authorities().map(drop)
    }

    /// The file of `authorities`.
    ///
    /// # Errors
    /// Names the key.
    pub(crate) fn read_authorities(&self) -> Result<Option<Vec<u8>>, Error> {
        let Some(path) = &self.authorities else { return Ok(None) };
        let wrong = |problem: String| {
            let remedy = "name a file with certificates as PEM, or delete the key";
            Error::invalid("sign_in.openid.authorities", problem, remedy)
        };
        let read = std::fs::read(path)
            .map_err(|error| wrong(format!("{} can not be read ({})", path.display(), error.kind())))?;
        let marks = b"-----BEGIN CERTIFICATE-----";
        match read.windows(marks.len()).any(|bytes| bytes == marks) {
            true => Ok(Some(read)),
            false => Err(wrong(format!("{} holds no certificate", path.display()))),
        }
    }

    /// Where the provider sends people back to.
    pub(crate) fn back(&self) -> String {
        format!("{}{BACK}", self.origin)
    }
}
