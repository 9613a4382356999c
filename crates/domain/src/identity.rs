//! An identity as an authority attests it, and how strongly.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{Error, error::shape};

/// How a person's identity is verified (the patent's fig. 9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IdentityMethod {
    /// B1: public personal authentication, by the My Number card.
    Jpki,
    /// B2: the PIN of the phone contract, on the carrier's site.
    Carrier,
    /// B3: another method, documents. Weak evidence; off unless a company switches it on.
    Document,
}

impl IdentityMethod {
    /// All of them, in the order of the buttons.
    pub const ALL: [Self; 3] = [Self::Jpki, Self::Carrier, Self::Document];

    /// The word for it in files, addresses and tables.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Jpki => "jpki",
            Self::Carrier => "carrier",
            Self::Document => "document",
        }
    }
}

impl fmt::Display for IdentityMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for IdentityMethod {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|method| method.as_str() == text).ok_or_else(|| {
            Error::invalid(
                "identity_method",
                format!("{} is no method", shape(text)),
                "write jpki, carrier or document",
            )
        })
    }
}

/// What an authority attests of a person. Personal: `Debug` shows nothing.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttestedIdentity {
    /// How it was verified.
    pub method: IdentityMethod,
    /// As officially written.
    pub name: String,
    /// Reading, when the authority has it.
    pub name_kana: Option<String>,
    /// As the authority writes it.
    pub birth_date: String,
    /// As officially written.
    pub address: String,
}

impl fmt::Debug for AttestedIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AttestedIdentity({}, …)", self.method)
    }
}
