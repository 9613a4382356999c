//! Whether a person gets an assertion, and the assertion: a JWS (RFC 7515) signed with ES256.
//!
//! Pure but for the signature's randomness, and slow by the measure of the runtime (tens of microseconds each), so it is called
//! off it. Surprising: the PIN is compared in constant time although the answer says that it was the PIN; the time must not
//! say how much of it was right.

use jiff::Timestamp;
use jsonwebtoken::{Algorithm, Header};
use musubi_domain::{
    Error, ErrorKind,
    identity::{AttestedIdentity, IdentityMethod},
    phone_number::PhoneNumber,
};
use musubi_runtime::telemetry::story::{Step, Story, begin};
use musubi_storage::carrier::Person;
use serde::Serialize;
use subtle::ConstantTimeEq as _;
use uuid::Uuid;

use super::{Authorities, link::Link};

/// How long an assertion is good, in seconds (OWASP ASVS 6.5.5: at most ten minutes).
const GOOD_SECONDS: i64 = 600;

/// A person at a page: the link read, the credential presented, and what the authority has under it.
pub(super) struct Visit {
    pub(super) link: Link,
    pub(super) number: PhoneNumber,
    pub(super) pin: String,
    pub(super) person: Option<Person>,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: String,
    aud: &'a str,
    nonce: &'a str,
    jti: Uuid,
    iat: i64,
    exp: i64,
    phone_number: &'a str,
    method: IdentityMethod,
    assurance: &'static str,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name_kana: Option<&'a str>,
    birth_date: &'a str,
    address: &'a str,
}

/// How strongly a method attests: a card or a contract with its PIN, or pictures of papers.
const fn assurance(method: IdentityMethod) -> &'static str {
    match method {
        IdentityMethod::Jpki | IdentityMethod::Carrier => "high",
        IdentityMethod::Document => "low",
    }
}

/// The signed assertion. The error names the field of the authentication that is at fault.
pub(super) fn sign(
    authorities: &Authorities,
    visit: &Visit,
    jti: Uuid,
    now: Timestamp,
) -> Result<String, Error> {
    let Visit { link, number, pin, person } = visit;
    let person = person.as_ref().filter(|person| person.number == *number).ok_or_else(|| {
        Error::invalid(
            "credential_id",
            "no such credential of this number at this authority",
            "register the person's credential, or present another",
        )
    })?;
    if !bool::from(person.pin.as_bytes().ct_eq(pin.as_bytes())) {
        return Err(Error::invalid("pin", "is wrong", "enter the credential's own"));
    }
    attest(authorities, link, number, &person.identity, jti, now)
}

/// The assertion for a person whose credential is good.
pub(super) fn attest(
    authorities: &Authorities,
    link: &Link,
    number: &PhoneNumber,
    identity: &AttestedIdentity,
    jti: Uuid,
    now: Timestamp,
) -> Result<String, Error> {
    let began = begin();
    let failed = || Error::new(ErrorKind::Internal, format!("the {} authority can't sign", link.method), "");
    let (key_id, key) = authorities.signing_key(link.method).ok_or_else(failed)?;
    let AttestedIdentity { method, name, name_kana, birth_date, address } = identity;
    let iat = now.as_second();
    let claims = Claims {
        iss: authorities.issuer(*method),
        aud: &link.audience,
        nonce: &link.nonce,
        jti,
        iat,
        exp: iat + GOOD_SECONDS,
        phone_number: number.as_str(),
        method: *method,
        assurance: assurance(*method),
        name,
        name_kana: name_kana.as_deref(),
        birth_date,
        address,
    };
    let header = Header { kid: Some(key_id.to_owned()), ..Header::new(Algorithm::ES256) };
    let assertion = jsonwebtoken::encode(&header, &claims, key).map_err(|_| failed())?;
    if let Some(story) = link.audience.parse().ok().and_then(|account| Story::of_talk_room(&account, number))
    {
        let step = story.step(Step::Attest, &link.nonce, began).under(Step::Follow, "");
        step.with("musubi.method", method.as_str()).tell();
    }
    Ok(assertion)
}
