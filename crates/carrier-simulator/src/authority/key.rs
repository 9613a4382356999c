//! The authorities' keys: one ES256 pair for each method, made at first start and kept in the database.

use std::{collections::HashMap, fmt::Write as _};

use aws_lc_rs::{
    encoding::{AsDer as _, PublicKeyX509Der},
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use jiff::Timestamp;
use jsonwebtoken::EncodingKey;
use musubi_domain::{
    Error,
    id::CarrierId,
    identity::{AttestedIdentity, IdentityMethod},
    phone_number::PhoneNumber,
};
use musubi_proto::carrier::v1::VerificationKey;
use musubi_storage::{
    StoreError,
    carrier::{AuthorityKey, CarrierStore},
};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::{assertion::attest, link::Link};
use crate::wire;

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The cryptographic library refused.
    #[error("the key of the {0} authority can not be made; see that the machine gives randomness")]
    Generate(IdentityMethod),
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The authorities of one carrier.
pub struct Authorities {
    carrier: CarrierId,
    keys: HashMap<IdentityMethod, (AuthorityKey, EncodingKey)>,
}

impl Authorities {
    /// Those that the store has, and new ones for those that it hasn't.
    pub(crate) async fn open(carrier: &CarrierId, store: &dyn CarrierStore) -> Result<Self, KeyError> {
        let keys = store.put_authority_keys(&generate_all()?).await?;
        Ok(Self::with(carrier, keys))
    }

    /// Authorities whose keys nobody keeps, for who plays a carrier.
    ///
    /// # Errors
    /// [`KeyError::Generate`].
    pub fn generate(carrier: &CarrierId) -> Result<Self, KeyError> {
        Ok(Self::with(carrier, generate_all()?))
    }

    fn with(carrier: &CarrierId, keys: Vec<AuthorityKey>) -> Self {
        let keys = keys.into_iter().map(|key| {
            let signing = EncodingKey::from_ec_der(&key.private_key);
            (key.method, (key, signing))
        });
        Self { carrier: carrier.clone(), keys: keys.collect() }
    }

    /// What an authority signs for the person who has opened this link on this phone and was found to be this one.
    ///
    /// # Errors
    /// The error is about `url`, when it is no link to one of these authorities.
    pub fn attest(
        &self,
        url: &str,
        number: &PhoneNumber,
        identity: &AttestedIdentity,
        jti: Uuid,
        now: Timestamp,
    ) -> Result<String, Error> {
        attest(self, &Link::parse(url, &self.carrier)?, number, identity, jti, now)
    }

    pub(crate) const fn carrier(&self) -> &CarrierId {
        &self.carrier
    }

    /// The `iss` of a method's assertions.
    pub(crate) fn issuer(&self, method: IdentityMethod) -> String {
        format!("https://{}", host(method, &self.carrier))
    }

    /// The name of the key and the key that signs for a method.
    pub(crate) fn signing_key(&self, method: IdentityMethod) -> Option<(&str, &EncodingKey)> {
        self.keys.get(&method).map(|(key, signing)| (key.key_id.as_str(), signing))
    }

    /// The public keys, in the order of the methods.
    #[must_use]
    pub fn public_keys(&self) -> Vec<VerificationKey> {
        let keys = IdentityMethod::ALL.iter().filter_map(|method| self.keys.get(method));
        keys.map(|(key, _)| VerificationKey {
            key_id: key.key_id.clone(),
            issuer: self.issuer(key.method),
            method: wire::method(key.method),
            public_key_pem: key.public_key_pem.clone(),
        })
        .collect()
    }
}

/// Where an authority has its pages. `.test` never resolves (RFC 6761).
pub(super) fn host(method: IdentityMethod, carrier: &CarrierId) -> String {
    format!("{method}.{carrier}.musubi.test")
}

fn generate_all() -> Result<Vec<AuthorityKey>, KeyError> {
    IdentityMethod::ALL.into_iter().map(generate).collect()
}

fn generate(method: IdentityMethod) -> Result<AuthorityKey, KeyError> {
    let refused = |_| KeyError::Generate(method);
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(refused)?;
    let private_key = pair.to_pkcs8v1().map_err(refused)?.as_ref().to_vec();
    let public: PublicKeyX509Der<'_> = pair.public_key().as_der().map_err(refused)?;
    let mut key_id = format!("{method}-");
    for byte in &Sha256::digest(public.as_ref())[..8] {
        write!(key_id, "{byte:02x}").unwrap_or_default();
    }
    Ok(AuthorityKey { method, key_id, private_key, public_key_pem: pem(public.as_ref()) })
}

/// A SubjectPublicKeyInfo as PEM (RFC 7468).
fn pem(der: &[u8]) -> String {
    let text = BASE64.encode(der);
    let mut pem = String::from("-----BEGIN PUBLIC KEY-----\n");
    for line in text.as_bytes().chunks(64) {
        pem.extend(line.iter().map(|byte| char::from(*byte)));
        pem.push('\n');
    }
    pem + "-----END PUBLIC KEY-----\n"
}
