//! Signing in: the tokens that stand for whoever has proved who they are, and how long guessing has to wait.
//!
//! A token is as hard to guess as a key, so stores keep a plain digest of it. A password is not; how it is hashed is the company
//! server's matter. Surprising: tries that come while one has to wait are neither taken nor counted, so that asking again makes no
//! wait longer.

use std::{fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::Error;

/// Wrong tries in a row before the next one has to wait.
const FREE: u32 = 5;
/// Wrong tries in a row after which only an administrator helps (NIST SP 800-63B-4 allows 100).
const MOST: u32 = 50;
/// The first wait; each further failure doubles it.
const FIRST_WAIT: SignedDuration = SignedDuration::from_secs(30);
/// The longest wait.
const LONGEST_WAIT: SignedDuration = SignedDuration::from_hours(1);

/// What guards a name after wrong tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// The next try is taken.
    Open,
    /// It is taken from then on.
    Waits(Timestamp),
    /// No try is taken before an administrator unlocks the name.
    Locked,
}

impl Guard {
    /// After so many wrong tries in a row, the last of them at that time.
    #[must_use]
    pub fn after(failures: u32, last: Option<Timestamp>, now: Timestamp) -> Self {
        if failures >= MOST {
            return Self::Locked;
        }
        let (Some(doublings), Some(last)) = (failures.checked_sub(FREE), last) else { return Self::Open };
        let factor = 2_i32.saturating_pow(doublings);
        let wait = FIRST_WAIT.saturating_mul(factor).min(LONGEST_WAIT);
        match last.checked_add(wait) {
            Ok(until) if until > now => Self::Waits(until),
            Ok(_) => Self::Open,
            Err(_) => Self::Locked,
        }
    }
}

/// What a token is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// Taking a name, with a password of one's own.
    Invitation,
    /// Calling as a person who has signed in.
    Session,
    /// Calling as a machine.
    Key,
}

impl TokenKind {
    const ALL: [Self; 3] = [Self::Invitation, Self::Session, Self::Key];

    /// What a token of this kind begins with, so that whoever finds one knows what was lost.
    const fn front(self) -> &'static str {
        match self {
            Self::Invitation => "musubi-invitation-",
            Self::Session => "musubi-session-",
            Self::Key => "musubi-key-",
        }
    }
}

/// A secret that stands for somebody: 32 random bytes behind a word that says what it is. Overwritten in memory when dropped; `Debug`
/// shows nothing.
pub struct Token {
    kind: TokenKind,
    text: Zeroizing<String>,
}

/// What stores keep of a token.
pub type TokenDigest = [u8; 32];

impl Token {
    /// Of these bytes, which have to be random.
    #[must_use]
    pub fn new(kind: TokenKind, random: &[u8; 32]) -> Self {
        let text = Zeroizing::new(format!("{}{}", kind.front(), URL_SAFE_NO_PAD.encode(random)));
        Self { kind, text }
    }

    /// What it is good for.
    #[must_use]
    pub const fn kind(&self) -> TokenKind {
        self.kind
    }

    /// The secret itself, for whom it was made.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// What stores keep of it.
    #[must_use]
    pub fn digest(&self) -> TokenDigest {
        Sha256::digest(self.text.as_bytes()).into()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({:?}, …)", self.kind)
    }
}

impl FromStr for Token {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let kind = TokenKind::ALL.into_iter().find(|kind| {
            let rest = text.strip_prefix(kind.front());
            rest.is_some_and(|rest| URL_SAFE_NO_PAD.decode(rest).is_ok_and(|bytes| bytes.len() == 32))
        });
        let kind = kind.ok_or_else(|| {
            let remedy = "copy the whole token as it was given, from musubi- on";
            Error::invalid("token", "this is no token", remedy)
        })?;
        Ok(Self { kind, text: Zeroizing::new(text.to_owned()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    #[test]
    fn waits_double_up_to_an_hour_and_end_in_a_lock() {
        let until = |failures| match Guard::after(failures, Some(at(0)), at(0)) {
            Guard::Open => Some(0),
            Guard::Waits(until) => Some(until.as_second() - at(0).as_second()),
            Guard::Locked => None,
        };
        let table = [(0, 0), (4, 0), (5, 30), (6, 60), (7, 120), (11, 1920), (12, 3600), (49, 3600)];
        for (failures, seconds) in table {
            assert_eq!(until(failures), Some(seconds), "{failures}");
        }
        assert_eq!((until(50), until(u32::MAX)), (None, None));
        assert_eq!(Guard::after(5, Some(at(0)), at(29)), Guard::Waits(at(30)));
        assert_eq!(Guard::after(5, Some(at(0)), at(30)), Guard::Open);
    }

    #[test]
    fn a_guesser_who_never_rests_has_few_tries_a_day() {
        let (mut failures, mut last, mut tries) = (0, None, 0);
        for second in 0..86_400 {
            if Guard::after(failures, last, at(second)) == Guard::Open {
                (failures, last, tries) = (failures + 1, Some(at(second)), tries + 1);
            }
        }
        assert!((20..40).contains(&tries), "{tries}");
    }

    #[test]
    fn a_token_is_read_as_it_was_made_and_nothing_else_is() {
        for kind in TokenKind::ALL {
            let token = Token::new(kind, &[7; 32]);
            let read: Token = token.expose().parse().unwrap();
            assert_eq!((read.kind(), read.digest()), (kind, token.digest()));
            assert_ne!(Token::new(kind, &[8; 32]).digest(), token.digest());
            assert!(!format!("{token:?}").contains("BwcH"), "{token:?}");
            let (short, long) = (&token.expose()[..token.expose().len() - 1], format!("{}A", token.expose()));
            for wrong in ["", "musubi-", kind.front(), short, &long, &token.expose().to_uppercase()] {
                let error = wrong.parse::<Token>().unwrap_err();
                assert!(!error.to_string().contains("BwcH"), "{error}");
            }
        }
    }
}
