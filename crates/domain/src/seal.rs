//! What a review keeps of a person, sealed: AES-256-GCM-SIV, bound to its company and its review.
//!
//! A sealed row opens in its own place only: the place is authenticated with it. It names the key that sealed it, so keys can
//! turn: the first key of a [`SealKeyring`] seals, each of them opens. Surprising: nothing here is random. The nonce is of the
//! review's id, which is derived from the inquiry, so a unit of work that runs twice seals the same bytes; should one id ever
//! seal two texts, GCM-SIV tells no more than that they differ.

use std::fmt;

use aes_gcm_siv::{
    Aes256GcmSiv, KeyInit as _, Nonce,
    aead::{Aead as _, Payload},
};
use hmac::Mac as _;
use serde::{Deserialize, Serialize};

use crate::{
    Error, ErrorKind,
    customer::GivenAccount,
    id::{CompanyId, ReviewId, keyed},
    identity::AttestedIdentity,
};

/// The shape of the bytes: this byte, the key's id, the text and its tag.
const SHAPE: u8 = 1;
const KEY_ID_BYTES: usize = 4;
const HEAD_BYTES: usize = 1 + KEY_ID_BYTES;
const NONCE_BYTES: usize = 12;

/// What a person typed and what was attested of them. Personal: `Debug` shows nothing.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReviewSubject {
    /// What was typed.
    pub account: GivenAccount,
    /// What was attested.
    pub identity: AttestedIdentity,
}

impl fmt::Debug for ReviewSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReviewSubject(…)")
    }
}

/// A sealed subject. `Debug` shows its length alone.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed(Vec<u8>);

impl Sealed {
    /// From the bytes that a store kept; whether they open is seen when they are opened.
    #[must_use]
    pub const fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The bytes, for stores.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed({} bytes)", self.0.len())
    }
}

/// The keys that seal and open.
#[derive(Clone)]
pub struct SealKeyring(Vec<([u8; KEY_ID_BYTES], Aes256GcmSiv)>);

impl SealKeyring {
    /// From secrets of at least 16 bytes each: the first seals, all of them open.
    ///
    /// # Errors
    /// When there is none, or one is shorter.
    pub fn new(secrets: &[&[u8]]) -> Result<Self, Error> {
        let keys = secrets.iter().map(|secret| {
            let mac = keyed(secret, "seal_key")?;
            let derived = |what: &[u8]| mac.clone().chain_update(what).finalize().into_bytes();
            let mut id = [0; KEY_ID_BYTES];
            id.copy_from_slice(&derived(b"id of the key that seals reviews")[..KEY_ID_BYTES]);
            Ok((id, Aes256GcmSiv::new(&derived(b"key that seals reviews"))))
        });
        let keys = keys.collect::<Result<Vec<_>, Error>>()?;
        if keys.is_empty() {
            return Err(Error::invalid("seal_key", "no key is given", "give at least 16 random bytes"));
        }
        Ok(Self(keys))
    }

    /// Seals a review's subject. The same subject gives the same bytes.
    ///
    /// # Errors
    /// `Internal` when it can't be written, which is a fault of ours.
    pub fn seal(
        &self,
        company: &CompanyId,
        review: ReviewId,
        subject: &ReviewSubject,
    ) -> Result<Sealed, Error> {
        let failed = || Error::new(ErrorKind::Internal, format!("{review} can not be sealed"), "");
        let (id, key) = self.0.first().ok_or_else(failed)?;
        let text = serde_json::to_vec(subject).map_err(|_| failed())?;
        let place = place(company, review);
        let sealed =
            key.encrypt(&nonce(review), Payload { msg: &text, aad: &place }).map_err(|_| failed())?;
        Ok(Sealed([&[SHAPE], &id[..], &sealed].concat()))
    }

    /// What was sealed for this review of this company.
    ///
    /// # Errors
    /// `FailedPrecondition` when a key sealed it that is not among these; `Internal` when the bytes were changed, or are
    /// another review's.
    pub fn open(
        &self,
        company: &CompanyId,
        review: ReviewId,
        sealed: &Sealed,
    ) -> Result<ReviewSubject, Error> {
        let broken = || {
            let remedy = "restore the row from a backup; if nobody can, reject the review";
            Error::new(ErrorKind::Internal, format!("what {review} keeps was changed"), remedy)
        };
        let (head, text) = sealed.0.split_at_checked(HEAD_BYTES).ok_or_else(broken)?;
        let id = head.strip_prefix(&[SHAPE]).ok_or_else(broken)?;
        let (_, key) = self.0.iter().find(|(known, _)| known == id).ok_or_else(|| {
            Error::new(
                ErrorKind::FailedPrecondition,
                format!("{review} was sealed with a key that is not configured"),
                "have the information-management server's keys.review name that key too, behind the present one",
            )
        })?;
        let place = place(company, review);
        let text = key.decrypt(&nonce(review), Payload { msg: text, aad: &place }).map_err(|_| broken())?;
        serde_json::from_slice(&text).map_err(|_| broken())
    }
}

impl fmt::Debug for SealKeyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealKeyring({} keys)", self.0.len())
    }
}

/// Table, company and row; none runs into the next, because a company's name has no zero in it.
fn place(company: &CompanyId, review: ReviewId) -> Vec<u8> {
    [b"review\0", company.as_str().as_bytes(), b"\0", review.as_bytes()].concat()
}

fn nonce(review: ReviewId) -> Nonce {
    let mut nonce = [0; NONCE_BYTES];
    nonce.copy_from_slice(&review.as_bytes()[..NONCE_BYTES]);
    nonce.into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::identity::IdentityMethod;

    fn keys(secrets: &[u8]) -> SealKeyring {
        let secrets: Vec<[u8; 32]> = secrets.iter().map(|byte| [*byte; 32]).collect();
        SealKeyring::new(&secrets.iter().map(|secret| &secret[..]).collect::<Vec<_>>()).unwrap()
    }

    fn company(name: &str) -> CompanyId {
        name.parse().unwrap()
    }

    fn review(byte: u8) -> ReviewId {
        ReviewId::from_bytes([byte; 16])
    }

    fn subject() -> ReviewSubject {
        ReviewSubject {
            account: GivenAccount { branch_number: None, account_number: "7624550".to_owned() },
            identity: AttestedIdentity {
                method: IdentityMethod::Jpki,
                name: "山田 太郎".to_owned(),
                name_kana: Some("ヤマダ タロウ".to_owned()),
                birth_date: "1980-02-03".to_owned(),
                address: "東京都港区".to_owned(),
            },
        }
    }

    #[test]
    fn what_is_sealed_opens_and_is_the_same_each_time() {
        let sealed = keys(&[1]).seal(&company("bank"), review(1), &subject()).unwrap();
        assert_eq!(keys(&[1]).open(&company("bank"), review(1), &sealed), Ok(subject()));
        assert_eq!(keys(&[1]).seal(&company("bank"), review(1), &subject()).unwrap(), sealed);
        let shown = format!("{sealed:?} {:?} {:?}", subject(), keys(&[1]));
        assert!(!shown.contains("山田") && !shown.contains("7624550"), "{shown}");
        let inside = |text: &str| sealed.0.windows(text.len()).any(|part| part == text.as_bytes());
        assert!(!inside("7624550") && !inside("山田"));
    }

    #[test]
    fn a_row_opens_in_its_own_place_only() {
        let keys = keys(&[1]);
        let sealed = keys.seal(&company("bank"), review(1), &subject()).unwrap();
        for (name, id) in [("bank", 2), ("power", 1)] {
            let error = keys.open(&company(name), review(id), &sealed).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Internal);
        }
    }

    #[test]
    fn keys_turn_and_one_that_is_missing_is_told_plainly() {
        let old = keys(&[1]).seal(&company("bank"), review(1), &subject()).unwrap();
        let turned = keys(&[2, 1]);
        assert_eq!(turned.open(&company("bank"), review(1), &old), Ok(subject()));
        let new = turned.seal(&company("bank"), review(1), &subject()).unwrap();
        assert_eq!(keys(&[2]).open(&company("bank"), review(1), &new), Ok(subject()));
        let error = keys(&[2]).open(&company("bank"), review(1), &old).unwrap_err();
        assert_eq!(error.kind, ErrorKind::FailedPrecondition);
        assert!(
            error.problem.contains("a key that is not configured") && error.remedy.contains("keys.review")
        );
        assert_eq!(SealKeyring::new(&[]).unwrap_err().field, "seal_key");
        assert_eq!(SealKeyring::new(&[&[1; 16], &[2; 15]]).unwrap_err().field, "seal_key");
    }

    proptest! {
        #[test]
        fn any_flipped_bit_is_noticed(place in 0..10_000_usize) {
            let keys = keys(&[1]);
            let mut sealed = keys.seal(&company("bank"), review(1), &subject()).unwrap();
            let bits = sealed.0.len() * 8;
            sealed.0[place % bits / 8] ^= 1 << (place % 8);
            prop_assert!(keys.open(&company("bank"), review(1), &sealed).is_err());
        }

        #[test]
        fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            prop_assert!(keys(&[1]).open(&company("bank"), review(1), &Sealed(bytes)).is_err());
        }
    }
}
