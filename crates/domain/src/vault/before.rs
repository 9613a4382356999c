//! What sealed reviews before there was a vault. It opens only, once, for who seals them anew.

use std::{fmt, sync::Arc};

use hmac::Mac as _;

use super::{Cipher, NONCE_BYTES};
use crate::{
    Error, ErrorKind,
    id::{CompanyId, ReviewId, keyed},
};

/// The shape of the bytes: this byte, the key's id, the text and its tag.
const SHAPE: u8 = 1;
const ID_BYTES: usize = 4;

/// The secrets of `keys.review` in configurations of before.
#[derive(Clone, Default)]
pub struct ReviewSeals(Vec<([u8; ID_BYTES], Arc<Cipher>)>);

impl ReviewSeals {
    /// From secrets of at least 16 bytes each; none, where no review waits that was sealed with one.
    ///
    /// # Errors
    /// When one is shorter.
    pub fn new(secrets: &[&[u8]]) -> Result<Self, Error> {
        let keys = secrets.iter().map(|secret| {
            let mac = keyed(secret, "seal_key")?;
            let derived = |what: &[u8]| mac.clone().chain_update(what).finalize().into_bytes();
            let mut id = [0; ID_BYTES];
            id.copy_from_slice(&derived(b"id of the key that seals reviews")[..ID_BYTES]);
            Ok((id, Arc::new(Cipher::new(&derived(b"key that seals reviews").into())?)))
        });
        keys.collect::<Result<_, Error>>().map(Self)
    }

    /// What a review kept. None when the bytes are not of this kind.
    ///
    /// # Errors
    /// `FailedPrecondition` when a key sealed it that is not among these; `Internal` when the bytes were changed.
    pub fn open(
        &self,
        company: &CompanyId,
        review: ReviewId,
        sealed: &[u8],
    ) -> Result<Option<Vec<u8>>, Error> {
        let Some(rest) = sealed.strip_prefix(&[SHAPE]) else { return Ok(None) };
        let broken = || {
            let remedy = "restore the row from a backup";
            Error::new(ErrorKind::Internal, format!("what {review} keeps was changed"), remedy)
        };
        let (id, text) = rest.split_at_checked(ID_BYTES).ok_or_else(broken)?;
        let (_, key) = self.0.iter().find(|(known, _)| known == id).ok_or_else(|| {
            let problem = format!("{review} was sealed with a key that is not configured");
            let remedy = "have keys.review name that key until this version has started once";
            Error::new(ErrorKind::FailedPrecondition, problem, remedy)
        })?;
        let place = [b"review\0", company.as_str().as_bytes(), b"\0", review.as_bytes()].concat();
        let mut nonce = [0; NONCE_BYTES];
        nonce.copy_from_slice(&review.as_bytes()[..NONCE_BYTES]);
        key.open(nonce, &place, text).map(Some).map_err(|_| broken())
    }

    /// Seals as it was done before.
    #[cfg(test)]
    pub(super) fn seal_as_before(&self, company: &CompanyId, review: ReviewId, text: &[u8]) -> Vec<u8> {
        let (id, key) = self.0.first().unwrap();
        let place = [b"review\0", company.as_str().as_bytes(), b"\0", review.as_bytes()].concat();
        let mut nonce = [0; NONCE_BYTES];
        nonce.copy_from_slice(&review.as_bytes()[..NONCE_BYTES]);
        key.seal(nonce, &place, &[&[SHAPE], &id[..]].concat(), text).unwrap()
    }
}

impl fmt::Debug for ReviewSeals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReviewSeals({} keys)", self.0.len())
    }
}
