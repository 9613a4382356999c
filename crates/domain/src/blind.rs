//! Keyed digests of a customer master: what a company entrusts instead of the master itself.
//!
//! A copy has a key of its own, made by the company and gone with the copy. The account number is digested so that a row can be found;
//! everything else under a key that row, account number and birth date make together, so that equal values of two customers look different,
//! and no value can be looked for without guessing the birth date too. What is digested is for the rules of matching to say. Surprising: a
//! digest hides nothing from whoever has the key and patience; ADR 26 says from whom it protects.

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::{Error, id::CustomerId};

/// How long a digest is.
pub const DIGEST_BYTES: usize = 16;

/// Half of an HMAC-SHA-256.
pub type Digest = [u8; DIGEST_BYTES];

/// The key of one copy: 32 random bytes. Overwritten in memory when dropped; `Debug` shows nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct DigestKey(Zeroizing<[u8; 32]>);

impl DigestKey {
    /// Of these bytes, which have to be random.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Of bytes that came from elsewhere.
    ///
    /// # Errors
    /// `digest_key` when they are not 32.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let key = bytes.try_into().map_err(|_| {
            let problem = format!("{} bytes", bytes.len());
            Error::invalid("digest_key", problem, "give 32 random bytes, new ones for each copy")
        })?;
        Ok(Self::new(key))
    }

    /// The bytes, to be sent or sealed.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// What a row is found by: the digest of the account number's normal form.
    #[must_use]
    pub fn account(&self, account_key: &str) -> Digest {
        digest(self.mac(), &[b"account", account_key.as_bytes()])
    }

    /// What the branch of a customer's account is digested with.
    #[must_use]
    pub fn of_account(&self, account_key: &str, customer_id: &CustomerId) -> RowKey {
        self.row(&[b"row", account_key.as_bytes(), customer_id.as_str().as_bytes()])
    }

    /// What a customer's name, reading and address are digested with: no digest of theirs says anything without the birth date.
    #[must_use]
    pub fn of_person(&self, account_key: &str, customer_id: &CustomerId, birth_date: &str) -> RowKey {
        let [account, id] = [account_key.as_bytes(), customer_id.as_str().as_bytes()];
        self.row(&[b"person", account, id, birth_date.as_bytes()])
    }

    fn row(&self, parts: &[&[u8]]) -> RowKey {
        let key: Zeroizing<[u8; 32]> = Zeroizing::new(whole(self.mac(), parts));
        RowKey(mac(&key))
    }

    fn mac(&self) -> Hmac<Sha256> {
        mac(&self.0)
    }
}

impl fmt::Debug for DigestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DigestKey(…)")
    }
}

/// What one customer's values are digested with. `Debug` shows nothing.
#[derive(Clone)]
pub struct RowKey(Hmac<Sha256>);

impl RowKey {
    /// The digest of a value: what kind it is, and its parts.
    #[must_use]
    pub fn digest(&self, kind: &str, parts: &[&[u8]]) -> Digest {
        let mut all: Vec<&[u8]> = Vec::with_capacity(parts.len() + 1);
        all.push(kind.as_bytes());
        all.extend_from_slice(parts);
        digest(self.0.clone(), &all)
    }
}

impl fmt::Debug for RowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RowKey(…)")
    }
}

/// How the customers of a blind copy are digested.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blinding {
    /// With what.
    pub key: DigestKey,
    /// By which version of the rules of matching: no other can compare them.
    pub rules_version: u32,
}

/// A customer of a blind copy: digests, and the company's own id. `Debug` shows the id alone.
#[derive(Clone, PartialEq, Eq)]
pub struct BlindCustomer {
    /// Unique in the company.
    pub customer_id: CustomerId,
    /// The digest of the account number.
    pub account: Digest,
    /// All other digests, readable to the rules that made them.
    pub digests: Vec<u8>,
}

impl fmt::Debug for BlindCustomer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlindCustomer({}, …)", self.customer_id)
    }
}

fn mac(key: &[u8; 32]) -> Hmac<Sha256> {
    // HMAC fills a short key up with zeros to a block.
    let mut block = Zeroizing::new([0; 64]);
    block[..32].copy_from_slice(key);
    Hmac::new((&*block).into())
}

/// Over parts, each with its length in front, so that none runs into the next.
fn whole(mut mac: Hmac<Sha256>, parts: &[&[u8]]) -> [u8; 32] {
    for part in parts {
        mac.update(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

fn digest(mac: Hmac<Sha256>, parts: &[&[u8]]) -> Digest {
    let mut half = [0; DIGEST_BYTES];
    half.copy_from_slice(&whole(mac, parts)[..DIGEST_BYTES]);
    half
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_digest_is_of_its_copy_row_birth_date_and_kind() {
        let id = |id: &str| id.parse::<CustomerId>().unwrap();
        let (one, other) = (DigestKey::new([1; 32]), DigestKey::new([2; 32]));
        let day = "1980-02-03";
        let keys = [
            one.of_person("7", &id("C1"), day),
            other.of_person("7", &id("C1"), day),
            one.of_person("8", &id("C1"), day),
            one.of_person("7", &id("C2"), day),
            one.of_person("7", &id("C1"), "1980-02-04"),
            one.of_account("7", &id("C1")),
        ];
        let mut digests = HashSet::new();
        for key in &keys {
            for (kind, parts) in [("name", ["ab", "c"]), ("name", ["a", "bc"]), ("kana", ["ab", "c"])] {
                assert!(digests.insert(key.digest(kind, &parts.map(str::as_bytes))));
            }
        }
        assert!(digests.insert(one.account("7")) && digests.insert(other.account("7")));
        assert_eq!(digests.len(), 20);
        assert_eq!(
            one.of_person("7", &id("C1"), day).digest("name", &[b"ab", b"c"]),
            keys[0].digest("name", &[b"ab", b"c"])
        );
    }

    #[test]
    fn keys_are_32_bytes_and_debug_shows_nothing() {
        let error = DigestKey::parse(&[7; 31]).unwrap_err();
        assert_eq!((error.field.as_str(), error.problem.as_str()), ("digest_key", "31 bytes"));
        let key = DigestKey::parse(&[7; 32]).unwrap();
        assert_eq!(key.as_bytes(), &[7; 32]);
        let customer =
            BlindCustomer { customer_id: "C1".parse().unwrap(), account: [7; 16], digests: vec![7] };
        let row = key.of_person("7", &customer.customer_id, "");
        let shown = format!("{:?} {row:?} {customer:?}", Blinding { key, rules_version: 2 });
        assert_eq!(shown, "Blinding { key: DigestKey(…), rules_version: 2 } RowKey(…) BlindCustomer(C1, …)");
    }
}
