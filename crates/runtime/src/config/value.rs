//! Values that configurations of all nodes hold, parsed when they are read.
//!
//! A secret prints as dots, everywhere. Surprising: `{ file = "path" }` is read at once, relative to the working folder.

use std::{
    fmt, fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    str::FromStr,
};

use http::Uri;
use musubi_domain::{Error, ErrorKind, error::shape};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, Visitor},
};

/// A text that must not be shown: a token, a key. Written as `"…"` or as `{ file = "path" }`, whose last line break is
/// dropped. Never empty when read from a configuration. Overwritten in memory when dropped.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// From a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into().into())
    }

    /// The text, for where it is used.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SecretVisitor)
    }
}

struct SecretVisitor;

impl<'de> Visitor<'de> for SecretVisitor {
    type Value = Secret;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text in quotes or { file = \"path\" }")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Secret, E> {
        if text.is_empty() { Err(E::custom("it is empty; write the secret")) } else { Ok(Secret::new(text)) }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Secret, A::Error> {
        let mut path = None;
        while let Some(key) = map.next_key::<String>()? {
            if key != "file" {
                return Err(de::Error::unknown_field(&key, &["file"]));
            }
            path = Some(map.next_value::<String>()?);
        }
        let path = path.ok_or_else(|| de::Error::missing_field("file"))?;
        let text = fs::read_to_string(&path).map_err(|error| {
            de::Error::custom(format!("{path} can not be read ({}); name a file that can", error.kind()))
        })?;
        self.visit_str(text.trim_end_matches(['\r', '\n']))
    }
}

/// Where a peer is called: `https://host:port`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Endpoint(String);

impl Endpoint {
    /// A peer on this machine; one that listens on every address is called on loopback.
    #[must_use]
    pub fn local(mut address: SocketAddr) -> Self {
        if address.ip().is_unspecified() {
            let v4 = IpAddr::V4(Ipv4Addr::LOCALHOST);
            address.set_ip(if address.is_ipv4() { v4 } else { IpAddr::V6(Ipv6Addr::LOCALHOST) });
        }
        Self(format!("https://{address}"))
    }

    /// The URL.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Endpoint {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let good = text.parse::<Uri>().is_ok_and(|uri| {
            uri.scheme_str() == Some("https")
                && uri.host().is_some_and(|host| !host.is_empty())
                && uri.port_u16().is_some_and(|port| port > 0)
                && uri.authority().is_some_and(|authority| !authority.as_str().contains('@'))
                && uri.path_and_query().is_none_or(|path| path == "/")
        });
        if good {
            return Ok(Self(text.trim_end_matches('/').to_owned()));
        }
        let problem = format!("{} is no address of a peer", shape(text));
        Err(Error::new(ErrorKind::InvalidArgument, problem, "write https://host:port"))
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<'de> Deserialize<'de> for Endpoint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// Where a server listens: an IP address and a port, `127.0.0.1:7001`; port 0 is any free one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ListenAddress(SocketAddr);

impl ListenAddress {
    /// Any free port of this machine's loopback.
    #[must_use]
    pub const fn loopback() -> Self {
        Self(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0))
    }

    /// As the operating system takes it.
    #[must_use]
    pub const fn get(self) -> SocketAddr {
        self.0
    }
}

impl From<ListenAddress> for SocketAddr {
    fn from(address: ListenAddress) -> Self {
        address.0
    }
}

impl FromStr for ListenAddress {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        text.parse().map(Self).map_err(|_| {
            let problem = format!("{} is no address to listen on", shape(text));
            Error::new(
                ErrorKind::InvalidArgument,
                problem,
                "write an IP address and a port, as 127.0.0.1:7001",
            )
        })
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl<'de> Deserialize<'de> for ListenAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}
