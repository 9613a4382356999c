//! The authorities' keys, the persons that they know, and the batches of assertions that they signed.
//!
//! Surprising: what a batch was answered with is kept, so that one that comes again is answered alike.

use std::fmt;

use async_trait::async_trait;
use musubi_domain::{
    identity::{AttestedIdentity, IdentityMethod},
    phone_number::PhoneNumber,
};
use uuid::Uuid;

use crate::StoreError;

/// One authority's key pair.
#[derive(Clone)]
pub struct AuthorityKey {
    /// What it verifies; there is one key for each.
    pub method: IdentityMethod,
    /// The key's name.
    pub key_id: String,
    /// PKCS #8, DER.
    pub private_key: Vec<u8>,
    /// SubjectPublicKeyInfo, PEM.
    pub public_key_pem: String,
}

impl fmt::Debug for AuthorityKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AuthorityKey({}, {})", self.method, self.key_id)
    }
}

/// A person's credential, and what its authority attests. Personal: `Debug` shows the method.
#[derive(Clone, PartialEq, Eq)]
pub struct Person {
    /// Names the credential, within its method.
    pub credential_id: String,
    /// The person's number.
    pub number: PhoneNumber,
    /// The secret that unlocks it.
    pub pin: String,
    /// What is attested, and by which method.
    pub identity: AttestedIdentity,
}

impl fmt::Debug for Person {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Person({}, …)", self.identity.method)
    }
}

/// What the authorities keep.
#[async_trait]
pub trait AuthorityStore: Send + Sync {
    /// Keeps these keys for methods that have none, and gives all that stand, by method.
    async fn put_authority_keys(&self, keys: &[AuthorityKey]) -> Result<Vec<AuthorityKey>, StoreError>;

    /// Issues credentials; the last of one (method, credential id) stands.
    async fn put_persons(&self, persons: &[Person]) -> Result<(), StoreError>;

    /// The persons with these credentials, in order; none where there is no such credential.
    async fn find_persons(
        &self,
        credentials: &[(IdentityMethod, &str)],
    ) -> Result<Vec<Option<Person>>, StoreError>;

    /// What a batch of [`Self::put_assertions`] was answered with, if it was applied.
    async fn find_answer(&self, batch_id: Uuid) -> Result<Option<Vec<u8>>, StoreError>;

    /// Puts signed assertions into the outbox, once for a batch: each payload is one row. Gives the answer that stands: this
    /// one, or the one that this batch had before; then nothing changed.
    async fn put_assertions(
        &self,
        batch_id: Uuid,
        answer: Vec<u8>,
        payloads: &[(usize, Vec<u8>)],
    ) -> Result<Vec<u8>, StoreError>;
}
