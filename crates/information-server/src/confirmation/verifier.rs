//! Identity verification: a link for the person to open, and the check of the assertion that comes back.
//!
//! An assertion is a JWS (ES256) of the authority. It is good when the signature is the authority's, the authority is that of
//! the carrier that passed it on, and audience, nonce, method, assurance, number and age are right; that it is used once is the dialogue's
//! affair, whose step it moves. Surprising: nothing is stored when a link is made. The nonce is derived from dialogue and step,
//! so that the link in a message that is sent again is the same.

use std::{collections::HashMap, fmt, str::FromStr as _};

use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use musubi_domain::{
    Error, ErrorKind,
    id::{CarrierId, DialogueId, OfficialAccountId},
    identity::{AttestedIdentity, IdentityMethod},
    phone_number::PhoneNumber,
    postback::{Nonce, TokenKey},
};
use serde::Deserialize;

use crate::gateway::VerificationKey;

/// The oldest assertion that is taken.
const AGE_LIMIT: SignedDuration = SignedDuration::from_mins(10);
/// How far an authority's clock may be ahead.
const AHEAD_LIMIT: SignedDuration = SignedDuration::from_mins(1);
/// The longest assertion, in bytes.
const SIZE_LIMIT: usize = 8 * 1024;

/// What a verification is bound to.
#[derive(Clone, Copy, Debug)]
pub struct Binding<'a> {
    /// The account that asks; the assertion's audience.
    pub account: &'a OfficialAccountId,
    /// The dialogue.
    pub dialogue: DialogueId,
    /// Its step.
    pub step: u16,
}

/// A checked assertion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assertion {
    /// The audience.
    pub account: OfficialAccountId,
    /// The number that the person was verified with.
    pub number: PhoneNumber,
    /// What it is bound to.
    pub nonce: Nonce,
    /// The same as it was sent.
    pub sent_nonce: String,
    /// What is attested.
    pub identity: AttestedIdentity,
}

/// One method of verifying identities.
pub trait IdentityVerifier: Send + Sync {
    /// Which.
    fn method(&self) -> IdentityMethod;

    /// The link that the person opens: https, for this dialogue and step only.
    fn start(&self, binding: &Binding<'_>) -> String;

    /// Checks an assertion that came over `carrier`, signed with `key`.
    ///
    /// # Errors
    /// Which check failed, by field; no personal value.
    fn check(
        &self,
        assertion: &str,
        key: &TrustedKey,
        carrier: &CarrierId,
        now: Timestamp,
    ) -> Result<Assertion, Error>;
}

/// An authority's key, and whose it is.
#[derive(Clone)]
pub struct TrustedKey {
    carrier: CarrierId,
    issuer: String,
    method: IdentityMethod,
    key: DecodingKey,
}

impl fmt::Debug for TrustedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TrustedKey({})", self.issuer)
    }
}

impl TrustedKey {
    /// The key's method.
    #[must_use]
    pub const fn method(&self) -> IdentityMethod {
        self.method
    }

    /// Whether a carrier published it.
    #[must_use]
    pub fn is_of(&self, carrier: &CarrierId) -> bool {
        self.carrier == *carrier
    }

    /// A key that a carrier published.
    ///
    /// # Errors
    /// When it is no P-256 key in PEM.
    pub fn new(carrier: CarrierId, published: &VerificationKey) -> Result<Self, Error> {
        let key = DecodingKey::from_ec_pem(published.public_key_pem.as_bytes()).map_err(|_| {
            Error::invalid(
                "public_key_pem",
                "no P-256 public key",
                "publish it as SubjectPublicKeyInfo in PEM",
            )
        })?;
        Ok(Self { carrier, issuer: published.issuer.clone(), method: published.method, key })
    }
}

/// The claims of an assertion. Personal: has no `Debug`.
#[derive(Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    nonce: String,
    phone_number: String,
    method: String,
    assurance: String,
    name: String,
    #[serde(default)]
    name_kana: Option<String>,
    birth_date: String,
    address: String,
    iat: i64,
    exp: i64,
}

/// The methods that this server knows (fig. 9), in the order of their buttons.
pub struct Verifiers(Vec<Box<dyn IdentityVerifier>>);

impl fmt::Debug for Verifiers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|verifier| verifier.method())).finish()
    }
}

impl Verifiers {
    /// The three methods over one carrier, whose links begin with `url`, where `{method}` stands for the method.
    #[must_use]
    pub fn over(url: &str, tokens: &TokenKey) -> Self {
        Self(
            IdentityMethod::ALL
                .into_iter()
                .map(|method| {
                    let url = url.replace("{method}", method.as_str());
                    Box::new(SignedLink { method, url, tokens: tokens.clone() }) as Box<dyn IdentityVerifier>
                })
                .collect(),
        )
    }

    /// Those that a company accepts.
    pub fn offered(&self, accepted: &[IdentityMethod]) -> impl Iterator<Item = &dyn IdentityVerifier> {
        self.0.iter().map(AsRef::as_ref).filter(|verifier| accepted.contains(&verifier.method()))
    }

    /// The one for a method.
    ///
    /// # Errors
    /// Never, for the methods of [`IdentityMethod::ALL`].
    pub fn of(&self, method: IdentityMethod) -> Result<&dyn IdentityVerifier, Error> {
        self.0
            .iter()
            .map(AsRef::as_ref)
            .find(|verifier| verifier.method() == method)
            .ok_or_else(|| refusal("method", "no such method is offered"))
    }
}

/// A verifier whose page is reached by a link and whose answer is a signed assertion: all three methods are of this kind, each
/// with an authority of its own.
struct SignedLink {
    method: IdentityMethod,
    url: String,
    tokens: TokenKey,
}

impl IdentityVerifier for SignedLink {
    fn method(&self) -> IdentityMethod {
        self.method
    }

    fn start(&self, binding: &Binding<'_>) -> String {
        let nonce = Nonce { dialogue: binding.dialogue, step: binding.step, method: self.method };
        // Both values are of letters, digits, hyphen and underscore; nothing needs to be escaped.
        format!("{}?aud={}&nonce={}", self.url, binding.account, self.tokens.seal_nonce(&nonce))
    }

    fn check(
        &self,
        assertion: &str,
        key: &TrustedKey,
        carrier: &CarrierId,
        now: Timestamp,
    ) -> Result<Assertion, Error> {
        if key.carrier != *carrier {
            return Err(refusal("iss", "the authority is another carrier's"));
        }
        let mut validation = Validation::new(Algorithm::ES256);
        validation.validate_exp = false;
        validation.validate_aud = false;
        validation.required_spec_claims.clear();
        let claims = jsonwebtoken::decode::<Claims>(assertion, &key.key, &validation)
            .map_err(|_| refusal("assertion", "the signature or the form is wrong"))?
            .claims;
        if claims.iss != key.issuer {
            return Err(refusal("iss", "the issuer is not the key's"));
        }
        if claims.method != self.method.as_str() || key.method != self.method {
            return Err(refusal("method", "the method is not the key's"));
        }
        // Whoever says of a card that it proves little is not heard as one who says that it proves much.
        if !assurances(self.method).contains(&claims.assurance.as_str()) {
            return Err(refusal("assurance", "it is less than this method has to give, or none"));
        }
        check_age(&claims, now)?;
        let account = OfficialAccountId::from_str(&claims.aud)
            .map_err(|_| refusal("aud", "the audience is no official account"))?;
        let nonce = self
            .tokens
            .open_nonce(&claims.nonce)
            .filter(|nonce| nonce.method == self.method)
            .ok_or_else(|| refusal("nonce", "the nonce is not one of ours for this method"))?;
        let number =
            claims.phone_number.parse().map_err(|_| refusal("phone_number", "the number is not E.164"))?;
        let identity = AttestedIdentity {
            method: self.method,
            name: claims.name,
            name_kana: claims.name_kana.filter(|kana| !kana.is_empty()),
            birth_date: claims.birth_date,
            address: claims.address,
        };
        Ok(Assertion { account, number, nonce, sent_nonce: claims.nonce, identity })
    }
}

/// What an authority may say of how far its method convinces it. A weak method stays weak whatever is said of it.
const fn assurances(method: IdentityMethod) -> &'static [&'static str] {
    match method {
        IdentityMethod::Jpki | IdentityMethod::Carrier => &["high"],
        IdentityMethod::Document => &["high", "low"],
    }
}

fn check_age(claims: &Claims, now: Timestamp) -> Result<(), Error> {
    let instant = |seconds, field| {
        Timestamp::from_second(seconds).map_err(|_| refusal(field, "the time is out of range"))
    };
    let (issued, expires) = (instant(claims.iat, "iat")?, instant(claims.exp, "exp")?);
    let age = now.duration_since(issued);
    if age > AGE_LIMIT || expires <= now {
        return Err(refusal("iat", "the assertion is too old"));
    }
    if age < -AHEAD_LIMIT {
        return Err(refusal("iat", "the assertion is from the future"));
    }
    Ok(())
}

/// The id of the key that an assertion claims to be signed with.
///
/// # Errors
/// When it is too long, or no JWS with a key id.
pub fn key_id(assertion: &str) -> Result<String, Error> {
    if assertion.len() > SIZE_LIMIT {
        return Err(refusal("assertion", "the assertion is longer than 8 KiB"));
    }
    jsonwebtoken::decode_header(assertion)
        .ok()
        .filter(|header| header.alg == Algorithm::ES256)
        .and_then(|header| header.kid)
        .ok_or_else(|| refusal("assertion", "no JWS with ES256 and a key id"))
}

/// The keys that are trusted, by id.
pub type TrustedKeys = HashMap<String, TrustedKey>;

/// A refusal that tells which check failed and nothing else.
pub(crate) fn refusal(field: &str, problem: &str) -> Error {
    Error::new(ErrorKind::InvalidArgument, problem, "let the person verify anew with a new link").at(field)
}
