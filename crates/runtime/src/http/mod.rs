//! What this process serves to browsers, REST clients and webhooks: HTTP/1.1 and HTTP/2, over TLS or at loopback.
//!
//! gRPC between nodes is [`grpc`](crate::grpc)'s. Nothing here knows who calls: whoever serves a router says in it whom it
//! answers. Surprising: without a certificate only a loopback address is served, and only to callers who name it by an IP
//! address or as localhost, so that no foreign page can reach it under a name of its own (DNS rebinding).

pub mod pages;
mod server;
#[cfg(test)]
mod tests;
mod tls;

use std::{path::PathBuf, sync::Arc};

use musubi_domain::{Error, error::shape};
use serde::Deserialize;
use url::{Host, Url};

use self::tls::Shown;
use crate::config::ListenAddress;

pub use self::server::{BoundHttp, HttpServer};

/// Where pages, a REST face or webhooks are served.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpConfig {
    /// Where to listen; port 0 takes any free port.
    pub listen: ListenAddress,
    /// The certificate, and those between it and its authority: PEM. May be left out at a loopback address.
    #[serde(default)]
    pub certificate: Option<PathBuf>,
    /// Its key: PEM, PKCS#8.
    #[serde(default)]
    pub key: Option<PathBuf>,
}

impl HttpConfig {
    /// Plain HTTP at a loopback address.
    #[must_use]
    pub const fn plain(listen: ListenAddress) -> Self {
        Self { listen, certificate: None, key: None }
    }

    /// Reads the certificate, if there is one, and says what can't be served; `section` is where this stands in the configuration.
    ///
    /// # Errors
    /// Names the key, the file's fault and the remedy.
    pub fn check(&self, section: &str) -> Result<(), Error> {
        self.shown().map(drop).map_err(|error| {
            let field = format!("{section}.{}", error.field);
            error.at(field)
        })
    }

    fn shown(&self) -> Result<Option<Arc<Shown>>, Error> {
        let lonely =
            |key: &str| Error::invalid(key, "is not there", "name the certificate and its key, or neither");
        match (&self.certificate, &self.key) {
            (Some(certificate), Some(key)) => Shown::load(certificate, key).map(Some),
            (None, None) if self.listen.get().ip().is_loopback() => Ok(None),
            (None, None) => {
                let remedy = "name certificate and key, or listen on 127.0.0.1";
                Err(Error::invalid("listen", "is no loopback address and has no certificate", remedy))
            }
            (Some(_), None) => Err(lonely("key")),
            (None, Some(_)) => Err(lonely("certificate")),
        }
    }
}

/// An address that a secret may be sent to: https, or http where it doesn't leave the machine; no name and password in it.
///
/// # Errors
/// Names no field; says the shape of what is none.
pub fn safe_address(text: &str) -> Result<Url, Error> {
    let is_loopback = |url: &Url| match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    };
    let is_safe = |url: &Url| url.scheme() == "https" || (url.scheme() == "http" && is_loopback(url));
    let is_bare =
        |url: &Url| url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    Url::parse(text).ok().filter(|url| is_safe(url) && is_bare(url)).ok_or_else(|| {
        let problem = format!("{} is no https address", shape(text));
        Error::invalid("", problem, "write https://HOST, or http:// at a loopback address")
    })
}
