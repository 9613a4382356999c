//! What a person agreed to: which text they were shown, and when they said yes.
//!
//! A text is named by its digest and kept once, whoever was shown it. Surprising: the digest is noted when a question is asked, and a consent
//! takes it from there, so that a text which changes between question and answer isn't taken for what was agreed to.

use std::fmt;

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use crate::id::{CarrierId, DialogueId};

/// A text's name: SHA-256 of its UTF-8.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TextDigest([u8; 32]);

impl TextDigest {
    /// Of this text.
    #[must_use]
    pub fn of(text: &str) -> Self {
        Self(Sha256::digest(text.as_bytes()).into())
    }

    /// From the bytes that [`Self::as_bytes`] gave.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes, for stores.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for TextDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for TextDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What was agreed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConsentKind {
    /// To get personal information: B1 of the question (fig. 7).
    Wants,
    /// To be tied to the customer: the identity was verified upon the identity message (fig. 9), and matched.
    Tied,
    /// To hear from the account, said elsewhere and brought in by the company; the text says where.
    Follows,
}

impl ConsentKind {
    /// All of them; their place is their number in stores.
    pub const ALL: [Self; 3] = [Self::Wants, Self::Tied, Self::Follows];

    /// The word for it on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Wants => "wants",
            Self::Tied => "tied",
            Self::Follows => "follows",
        }
    }
}

/// One consent of a follower's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consent {
    /// In which dialogue.
    pub dialogue: DialogueId,
    /// To what.
    pub kind: ConsentKind,
    /// Which text they were shown.
    pub text: TextDigest,
    /// Over which carrier.
    pub carrier: CarrierId,
    /// When.
    pub give_time: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_has_one_name() {
        let digest = TextDigest::of("口座を確認する");
        assert_eq!(digest, TextDigest::from_bytes(*digest.as_bytes()));
        assert_ne!(digest, TextDigest::of("口座を確認する。"));
        assert_eq!(TextDigest::of("").to_string()[..8], *"e3b0c442");
    }
}
