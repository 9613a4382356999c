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

use std::path::PathBuf;

use serde::Deserialize;

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
}
