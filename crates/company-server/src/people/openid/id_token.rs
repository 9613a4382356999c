//! The provider's word for who somebody is: an ID token (OpenID Connect Core, 3.1.3.7), held against everything that it has to say.
//!
//! Pure. A signature is good by one of three algorithms and by a key that the provider publishes for it; a symmetric one never is, nor none.
//! Surprising: the library that checks the signature asks the machine's clock for times, so these are checked here, by the server's.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::{
    Algorithm, DecodingKey, Validation,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse},
};
use musubi_domain::Error;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::config::{Claim, OpenIdConfig};

/// The longest that is read, in bytes.
const LONGEST: usize = 16 * 1024;
/// How old one may be: it comes straight from the provider.
const OLDEST: SignedDuration = SignedDuration::from_mins(10);
/// How far the provider's clock may be from ours.
const SKEW: SignedDuration = SignedDuration::from_mins(1);
/// By which algorithms.
const ALGORITHMS: [Algorithm; 3] = [Algorithm::ES256, Algorithm::EdDSA, Algorithm::RS256];

/// What it is held against.
pub(super) struct Expected<'a> {
    pub(super) config: &'a OpenIdConfig,
    pub(super) nonce: &'a str,
    pub(super) now: Timestamp,
}

/// Whom the provider stands for. Personal: has no `Debug`.
pub(super) struct Who {
    /// Its own name for the account.
    pub(super) subject: String,
    /// What it calls the person, by the claim that is configured; empty: the token doesn't say it.
    pub(super) openid: String,
}

impl Who {
    /// A name for records that tells nothing of the person and is the same each time.
    pub(super) fn tag(&self, config: &OpenIdConfig) -> String {
        let digest = Sha256::new().chain_update(&config.issuer).chain_update([0]).chain_update(&self.subject);
        digest.finalize()[..8].iter().fold(String::new(), |tag, byte| tag + &format!("{byte:02x}"))
    }
}

/// What is wrong with a token; nothing of what stands in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Form,
    Algorithm,
    Key,
    Signature,
    Issuer,
    Audience,
    Time,
    Nonce,
    Strength,
    Age,
    Name,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Form => "it is no token, or lacks a claim that it has to have",
            Self::Algorithm => "alg is none of ES256, EdDSA and RS256",
            Self::Key => "the provider publishes no such key for this algorithm",
            Self::Signature => "the signature is wrong",
            Self::Issuer => "iss is another provider",
            Self::Audience => "aud or azp is another party",
            Self::Time => "exp, iat or nbf: it has ended, is too old, or is not good yet",
            Self::Nonce => "the nonce is another sign-in's",
            Self::Strength => "acr and amr name none of what is demanded",
            Self::Age => "auth_time is too long ago, or not said",
            Self::Name => "it does not say the claim that people are known by, or has not verified it",
        })
    }
}

/// Why nobody is signed in.
pub(super) enum Refusal {
    Fault(Fault),
    /// It can't be told now.
    Other(Error),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// How a token is signed.
pub(super) struct Signed {
    algorithm: Algorithm,
    pub(super) key_id: Option<String>,
}

/// How a token says that it is signed.
pub(super) fn signed(token: &str) -> Result<Signed, Fault> {
    if token.len() > LONGEST {
        return Err(Fault::Form);
    }
    // A header of an algorithm that the library doesn't know, as none, isn't read at all.
    let header = jsonwebtoken::decode_header(token).map_err(|_| Fault::Algorithm)?;
    if header.crit.is_some() {
        return Err(Fault::Form);
    }
    match ALGORITHMS.contains(&header.alg) {
        true => Ok(Signed { algorithm: header.alg, key_id: header.kid }),
        false => Err(Fault::Algorithm),
    }
}

/// A key of the provider's.
pub(super) struct Key {
    id: Option<String>,
    algorithm: Algorithm,
    key: DecodingKey,
}

impl Key {
    /// A published key; none of what can't verify a signature by one of the three.
    pub(super) fn of(published: serde_json::Value) -> Option<Self> {
        let jwk: Jwk = serde_json::from_value(published).ok()?;
        let algorithm = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => Algorithm::RS256,
            AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => Algorithm::ES256,
            AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => Algorithm::EdDSA,
            AlgorithmParameters::EllipticCurve(_)
            | AlgorithmParameters::OctetKeyPair(_)
            | AlgorithmParameters::OctetKey(_)
            | AlgorithmParameters::Other(_)
            | _ => return None,
        };
        let is_for = |said: &KeyAlgorithm| *said == KeyAlgorithm::from(algorithm);
        let signs = jwk.common.public_key_use.as_ref().is_none_or(|it| *it == PublicKeyUse::Signature);
        if !signs || !jwk.common.key_algorithm.as_ref().is_none_or(is_for) {
            return None;
        }
        Some(Self { key: DecodingKey::from_jwk(&jwk).ok()?, algorithm, id: jwk.common.key_id })
    }

    /// The one that a token is signed with: by its id, or the only one for its algorithm when it names none.
    pub(super) fn find<'a>(keys: &'a [Self], signed: &Signed) -> Option<&'a Self> {
        let mut fit = keys.iter().filter(|key| {
            key.algorithm == signed.algorithm && (signed.key_id.is_none() || key.id == signed.key_id)
        });
        fit.next().filter(|_| fit.next().is_none())
    }
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: Audience,
    exp: i64,
    iat: i64,
    #[serde(default)]
    nbf: Option<i64>,
    #[serde(default)]
    azp: Option<String>,
    #[serde(default)]
    nonce: Option<String>,
    #[serde(default)]
    acr: Option<String>,
    #[serde(default)]
    amr: Vec<String>,
    #[serde(default)]
    auth_time: Option<i64>,
    #[serde(flatten)]
    names: Names,
}

/// What a provider calls somebody, in a token or in its answer to a question.
#[derive(Deserialize)]
pub(super) struct Names {
    #[serde(default)]
    email: Option<String>,
    #[serde(default)]
    email_verified: Option<serde_json::Value>,
    #[serde(default)]
    preferred_username: Option<String>,
}

impl Names {
    /// By this claim; empty when it isn't said.
    ///
    /// # Errors
    /// An address that the provider has not verified.
    pub(super) fn by(self, claim: Claim, subject: &str) -> Result<String, Fault> {
        match claim {
            Claim::Sub => Ok(subject.to_owned()),
            Claim::PreferredUsername => Ok(self.preferred_username.unwrap_or_default()),
            Claim::Email => {
                let Some(email) = self.email else { return Ok(String::new()) };
                // Some write a text.
                let is_verified =
                    self.email_verified.is_some_and(|it| it == true || it.as_str() == Some("true"));
                if is_verified { Ok(email) } else { Err(Fault::Name) }
            }
        }
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

/// Whom a token stands for, when all that it says is right.
pub(super) fn check(token: &str, key: &Key, expected: &Expected<'_>) -> Result<Who, Fault> {
    let mut validation = Validation::new(key.algorithm);
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    let claims = jsonwebtoken::decode::<Claims>(token, &key.key, &validation).map_err(|error| {
        let is_forged = matches!(error.kind(), jsonwebtoken::errors::ErrorKind::InvalidSignature);
        if is_forged { Fault::Signature } else { Fault::Form }
    })?;
    let claims = claims.claims;
    let Expected { config, nonce, now } = expected;
    if claims.iss != config.issuer {
        return Err(Fault::Issuer);
    }
    let is_ours = match &claims.aud {
        Audience::One(one) => *one == config.client_id,
        Audience::Many(many) => many.contains(&config.client_id) && (many.len() == 1 || claims.azp.is_some()),
    };
    if !is_ours || claims.azp.as_ref().is_some_and(|azp| *azp != config.client_id) {
        return Err(Fault::Audience);
    }
    let age = |second| {
        let at = Timestamp::from_second(second).map_err(|_| Fault::Time)?;
        Ok(now.duration_since(at))
    };
    let issued = age(claims.iat)?;
    let is_yet = claims.nbf.map(age).transpose()?.is_none_or(|since| since >= -SKEW);
    if age(claims.exp)? >= SKEW || issued > OLDEST || issued < -SKEW || !is_yet {
        return Err(Fault::Time);
    }
    if claims.nonce.as_deref() != Some(*nonce) {
        return Err(Fault::Nonce);
    }
    let names_one = |wanted: &[String], said: &[String]| {
        wanted.is_empty() || wanted.iter().any(|wanted| said.contains(wanted))
    };
    if !names_one(&config.amr, &claims.amr) || !names_one(&config.acr, claims.acr.as_slice()) {
        return Err(Fault::Strength);
    }
    if !config.max_age.is_zero() {
        let since = claims.auth_time.map(age).transpose()?.ok_or(Fault::Age)?;
        if since > SignedDuration::try_from(config.max_age).unwrap_or(SignedDuration::MAX) + SKEW {
            return Err(Fault::Age);
        }
    }
    if claims.sub.is_empty() || claims.sub.len() > 255 {
        return Err(Fault::Form);
    }
    let openid = claims.names.by(config.claim, &claims.sub)?;
    Ok(Who { subject: claims.sub, openid })
}
