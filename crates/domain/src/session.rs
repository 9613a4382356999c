//! A session as people see it: an id that names it without giving it away, and by what it was begun.

use std::{fmt, str::FromStr};

use crate::{Error, error::shape, sign_in::TokenDigest};

const FRONT: &str = "ses_";
const BYTES: usize = 8;

/// The front of the token's digest: enough to tell one's sessions apart, and nothing that opens one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SessionId([u8; BYTES]);

impl SessionId {
    /// From the bytes in front of the digest.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; BYTES]) -> Self {
        Self(bytes)
    }

    /// Those bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; BYTES] {
        &self.0
    }

    /// Of the session with this token.
    #[must_use]
    pub fn of(digest: &TokenDigest) -> Self {
        let [a, b, c, d, e, f, g, h, ..] = *digest;
        Self([a, b, c, d, e, f, g, h])
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{FRONT}{:016x}", u64::from_be_bytes(self.0))
    }
}

impl FromStr for SessionId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let digits = text.strip_prefix(FRONT).filter(|digits| {
            digits.len() == 2 * BYTES
                && digits.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        });
        digits
            .and_then(|digits| u64::from_str_radix(digits, 16).ok())
            .map(|id| Self(id.to_be_bytes()))
            .ok_or_else(|| {
                let problem = format!("{} is no session", shape(text));
                Error::invalid(
                    "session_id",
                    problem,
                    "write ses_ and 16 of 0-9 and a-f, as sessions are listed",
                )
            })
    }
}

/// By what a session was begun, as whoever began it said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionWay {
    /// Nobody said.
    Unknown,
    /// The console, in a browser.
    Console,
    /// The command line.
    CommandLine,
}

impl SessionWay {
    /// All of them; their place is their number in stores.
    pub const ALL: [Self; 3] = [Self::Unknown, Self::Console, Self::CommandLine];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_named_by_the_front_of_its_digest() {
        let mut digest = [7; 32];
        digest[0] = 0;
        let id = SessionId::of(&digest);
        assert_eq!(id.to_string(), "ses_0007070707070707");
        assert_eq!(id.to_string().parse(), Ok(id));
        for wrong in [
            "",
            "ses_",
            "ses_00070707070707",
            "ses_000707070707070G",
            "SES_0007070707070707",
            "ses_+007070707070707",
        ] {
            assert_eq!(wrong.parse::<SessionId>().unwrap_err().field, "session_id", "{wrong}");
        }
    }
}
