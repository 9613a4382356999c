//! What keeps personal data at rest from whoever has only the database: AES-256-GCM-SIV under keys of each company.
//!
//! A company has keys in *epochs*: the newest that may be used seals, each of them opens. Sealed bytes open in their own place only:
//! company, table and row are authenticated with them. What rows are found by is a keyed hash under a key of its own for each
//! company and field, which no epoch changes. Surprising: nothing here is random. The nonce comes from the place, so a unit of work
//! that runs twice writes the same bytes; should one place ever hold two texts, GCM-SIV tells no more than that they differ.

mod before;
mod cipher;
mod master;

use std::fmt;

use hmac::{Hmac, Mac as _};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use self::cipher::{Cipher, NONCE_BYTES};
pub use self::{before::ReviewSeals, master::MasterKeys};
use crate::{Error, ErrorKind, id::CompanyId};

/// The first of sealed bytes: their shape. Then come the epoch, the text and its tag.
const SHAPE: u8 = 2;
/// The first of bytes that stand in the clear, from before there was a vault.
const CLEAR: u8 = 0;
const EPOCH_BYTES: usize = 4;
const HEAD_BYTES: usize = 1 + EPOCH_BYTES;
const KEY_BYTES: usize = 32;
/// How long a hash is that rows are found by.
pub const LOOK_UP_BYTES: usize = 16;

/// The epoch whose key makes the hashes that rows are found by. It seals nothing and stays.
pub const LOOK_UPS: u32 = 0;

/// A key of a company as it is made: 32 random bytes. Overwritten in memory when dropped; `Debug` shows nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct CompanyKey(Zeroizing<[u8; KEY_BYTES]>);

impl CompanyKey {
    /// Of these bytes, which have to be random.
    #[must_use]
    pub fn new(bytes: [u8; KEY_BYTES]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// A key for one purpose.
    fn derive(&self, purpose: &[u8]) -> Zeroizing<[u8; KEY_BYTES]> {
        Zeroizing::new(hash(&self.0[..], &[purpose]))
    }
}

impl fmt::Debug for CompanyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CompanyKey(…)")
    }
}

/// Where sealed bytes stand, besides their company: no other place opens them.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The table, and what of it when a row has several.
    pub table: &'static str,
    /// The row's key.
    pub row: &'a [&'a [u8]],
}

/// What rows are found by without its standing in them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LookUp {
    /// The normal form of an account number.
    Account,
    /// All that a row of the customer master says: whether two rows are the same.
    Customer,
    /// What a provider of OpenID Connect calls an operator.
    Operator,
}

impl LookUp {
    const ALL: [Self; 3] = [Self::Account, Self::Customer, Self::Operator];

    const fn purpose(self) -> &'static [u8] {
        match self {
            Self::Account => b"finds accounts",
            Self::Customer => b"compares customers",
            Self::Operator => b"finds operators",
        }
    }
}

/// The keys of one company: what seals, all that open, and what rows are found by.
pub struct CompanyKeys {
    company: CompanyId,
    look_ups: [Zeroizing<[u8; KEY_BYTES]>; 3],
    epochs: Vec<(u32, Cipher)>,
    sealing: u32,
}

impl CompanyKeys {
    /// Of all keys of a company by epoch, and the epoch that seals.
    ///
    /// # Errors
    /// `Internal` when the key of look-ups or the one that seals is not among them.
    pub fn new(company: CompanyId, keys: &[(u32, CompanyKey)], sealing: u32) -> Result<Self, Error> {
        let missing = |epoch: u32| {
            let problem = format!("company {company} has no key of epoch {epoch}");
            Error::new(ErrorKind::Internal, problem, "restore the table company_key from a backup")
        };
        let look_ups = keys.iter().find(|(epoch, _)| *epoch == LOOK_UPS).ok_or_else(|| missing(LOOK_UPS))?;
        let look_ups = LookUp::ALL.map(|field| look_ups.1.derive(field.purpose()));
        let sealers = keys.iter().filter(|(epoch, _)| *epoch != LOOK_UPS);
        let epochs = sealers.map(|(epoch, key)| Ok((*epoch, Cipher::new(&key.derive(b"seals"))?)));
        let epochs: Vec<_> = epochs.collect::<Result<_, Error>>()?;
        if !epochs.iter().any(|(epoch, _)| *epoch == sealing) {
            return Err(missing(sealing));
        }
        Ok(Self { company, look_ups, epochs, sealing })
    }

    /// Whose they are.
    #[must_use]
    pub const fn company(&self) -> &CompanyId {
        &self.company
    }

    /// The epoch that seals.
    #[must_use]
    pub const fn sealing(&self) -> u32 {
        self.sealing
    }

    /// Seals a text for a place. The same text in the same place gives the same bytes as long as the epoch is the same.
    ///
    /// # Errors
    /// `Internal` when it is too long for the cipher, which is a fault of ours.
    pub fn seal(&self, place: Place<'_>, text: &[u8]) -> Result<Vec<u8>, Error> {
        let failed = || Error::new(ErrorKind::Internal, format!("{} can not be sealed", place.table), "");
        let (_, key) = self.epochs.iter().find(|(epoch, _)| *epoch == self.sealing).ok_or_else(failed)?;
        let bound = self.bound(place);
        let mut head = [SHAPE; HEAD_BYTES];
        head[1..].copy_from_slice(&self.sealing.to_be_bytes());
        key.seal(nonce(&bound), &bound, &head, text).map_err(|_| failed())
    }

    /// What was sealed for a place.
    ///
    /// # Errors
    /// `FailedPrecondition` when a key sealed it that is not among these; `Internal` when the bytes were changed, are another
    /// place's, or were never sealed.
    pub fn open(&self, place: Place<'_>, bytes: &[u8]) -> Result<Vec<u8>, Error> {
        let broken = || {
            let problem = format!("what a row of {} keeps was changed, or is another row's", place.table);
            Error::new(ErrorKind::Internal, problem, "restore the row from a backup")
        };
        let (head, text) = bytes.split_at_checked(HEAD_BYTES).ok_or_else(broken)?;
        let epoch = epoch_of(head).ok_or_else(broken)?;
        let (_, key) = self.epochs.iter().find(|(known, _)| *known == epoch).ok_or_else(|| {
            let problem =
                format!("a row of {} was sealed with key {epoch} of company {}", place.table, self.company);
            let remedy = "restore that row of the table company_key from a backup; just made by another replica, it is known \
                          here within a minute: repeat the call";
            Error::new(ErrorKind::FailedPrecondition, problem, remedy)
        })?;
        let bound = self.bound(place);
        key.open(nonce(&bound), &bound, text).map_err(|_| broken())
    }

    /// The hash that rows with this value are found by.
    #[must_use]
    pub fn look_up(&self, field: LookUp, value: &[&[u8]]) -> [u8; LOOK_UP_BYTES] {
        let key = match field {
            LookUp::Account => &self.look_ups[0],
            LookUp::Customer => &self.look_ups[1],
            LookUp::Operator => &self.look_ups[2],
        };
        let mut found = [0; LOOK_UP_BYTES];
        found.copy_from_slice(&hash(&key[..], value)[..LOOK_UP_BYTES]);
        found
    }

    /// Company, table and row, each with its length in front, so that none runs into the next.
    fn bound(&self, place: Place<'_>) -> Vec<u8> {
        let mut bound = Vec::with_capacity(96);
        put(&mut bound, self.company.as_str().as_bytes());
        put(&mut bound, place.table.as_bytes());
        place.row.iter().for_each(|part| put(&mut bound, part));
        bound
    }
}

impl fmt::Debug for CompanyKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CompanyKeys({}, {} epochs)", self.company, self.epochs.len())
    }
}

/// The epoch of sealed bytes; none of what is no such bytes.
#[must_use]
pub fn epoch_of(bytes: &[u8]) -> Option<u32> {
    let epoch = bytes.strip_prefix(&[SHAPE])?.first_chunk::<EPOCH_BYTES>()?;
    Some(u32::from_be_bytes(*epoch))
}

/// What stands in the clear since before there was a vault. Only who seals it may ask: elsewhere it is a row that somebody put there.
#[must_use]
pub fn clear(bytes: &[u8]) -> Option<&[u8]> {
    bytes.strip_prefix(&[CLEAR])
}

fn put(to: &mut Vec<u8>, part: &[u8]) {
    to.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
    to.extend_from_slice(part);
}

fn nonce(bound: &[u8]) -> [u8; NONCE_BYTES] {
    let mut nonce = [0; NONCE_BYTES];
    nonce.copy_from_slice(&Sha256::digest(bound)[..NONCE_BYTES]);
    nonce
}

/// HMAC-SHA-256 over parts, each with its length in front.
fn hash(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut input = Zeroizing::new(Vec::with_capacity(128));
    parts.iter().for_each(|part| put(&mut input, part));
    // A key of any length makes a state; the other branch is not reached.
    let Ok(mac) = <Hmac<Sha256> as hmac::digest::KeyInit>::new_from_slice(key) else { return [0; 32] };
    mac.chain_update(&*input).finalize().into_bytes().into()
}

#[cfg(test)]
mod tests;
