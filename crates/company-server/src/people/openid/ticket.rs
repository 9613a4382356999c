//! What a person takes along to the provider and brings back: the secrets of one sign-in.
//!
//! Pure. Surprising: it says when it began and nothing of who signs in, because nobody knows that yet.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use musubi_runtime::entropy;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

/// How long it is good: a person types a password and reads a code meanwhile (ASVS 6.5.5).
const GOOD: Duration = Duration::from_secs(600);
/// Of each secret.
const SECRET: usize = 32;

/// Secrets of a sign-in that has begun. `Debug` is left out.
pub(super) struct Ticket {
    /// Comes back in the address.
    pub(super) state: String,
    /// Comes back in the provider's word.
    pub(super) nonce: String,
    /// Redeems the code; only its digest is told before.
    pub(super) verifier: Zeroizing<String>,
    pub(super) begin: Timestamp,
}

impl Ticket {
    pub(super) fn new(now: Timestamp) -> Self {
        let secret = || URL_SAFE_NO_PAD.encode(entropy::bytes::<SECRET>());
        // To the second, as it is sealed.
        let begin = Timestamp::from_second(now.as_second()).unwrap_or(now);
        Self { state: secret(), nonce: secret(), verifier: Zeroizing::new(secret()), begin }
    }

    /// Until when it is good.
    pub(super) fn end(&self) -> Timestamp {
        self.begin.checked_add(GOOD).unwrap_or(Timestamp::MAX)
    }

    /// Whether what came back is this sign-in's state; compared by digests, so that time tells nothing.
    pub(super) fn is_of(&self, state: &str) -> bool {
        Sha256::digest(&self.state) == Sha256::digest(state)
    }

    /// The digest of the verifier, as PKCE's S256 has it.
    pub(super) fn challenge(&self) -> String {
        URL_SAFE_NO_PAD.encode(Sha256::digest(self.verifier.as_bytes()))
    }

    /// To be sealed.
    pub(super) fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let text = [self.state.as_str(), &self.nonce, &self.verifier].concat();
        let mut bytes = Zeroizing::new(self.begin.as_second().to_be_bytes().to_vec());
        bytes.extend_from_slice(text.as_bytes());
        bytes
    }

    /// What was sealed; none of what this is not.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (second, rest) = bytes.split_first_chunk()?;
        let begin = Timestamp::from_second(i64::from_be_bytes(*second)).ok()?;
        let text = std::str::from_utf8(rest).ok()?;
        let each = (SECRET * 4).div_ceil(3);
        if text.len() != 3 * each {
            return None;
        }
        let part = |place: usize| text.get(place * each..(place + 1) * each).map(str::to_owned);
        Some(Self { state: part(0)?, nonce: part(1)?, verifier: Zeroizing::new(part(2)?), begin })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_comes_back_as_it_went_and_is_good_for_ten_minutes() {
        let now: Timestamp = "2026-11-29T00:00:00.5Z".parse().unwrap();
        let (ticket, other) = (Ticket::new(now), Ticket::new(now));
        let back = Ticket::from_bytes(&ticket.to_bytes()).unwrap();
        assert_eq!(
            (&back.nonce, &*back.verifier, back.begin),
            (&ticket.nonce, &*ticket.verifier, ticket.begin)
        );
        assert_eq!(back.end(), "2026-11-29T00:10:00Z".parse().unwrap());
        assert!(back.is_of(&ticket.state) && !back.is_of(&other.state) && !back.is_of(""));
        assert!(ticket.to_bytes().len() < 160);
        for wrong in
            [&b""[..], &[0; 8], &ticket.to_bytes()[1..], &[ticket.to_bytes().as_slice(), b"x"].concat()]
        {
            assert!(Ticket::from_bytes(wrong).is_none());
        }
    }

    #[test]
    fn the_challenge_is_that_of_rfc_7636() {
        let verifier = Zeroizing::new("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".to_owned());
        let ticket = Ticket { verifier, ..Ticket::new(Timestamp::UNIX_EPOCH) };
        assert_eq!(ticket.challenge(), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }
}
