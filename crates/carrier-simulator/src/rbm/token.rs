//! `/token`: a signed assertion for a token (RFC 7523), and whether a call's token is good.
//!
//! A token says for itself whose it is and until when, under a key that the store keeps, so a restart takes none back. Surprising: an
//! assertion itself is taken as a token, too, as Google's APIs do, and its audience isn't looked at unless the face is strict, because
//! clients write there what they like.

use axum::{
    Json,
    body::Bytes,
    extract::State,
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, HeaderValue, header};
use jiff::Timestamp;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, decode_header, encode};
use musubi_domain::{Error, ErrorKind};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    Face,
    error::{ApiError, Code, TokenError},
    keys::Accounts,
};

/// What the API asks for.
pub(crate) const SCOPE: &str = "https://www.googleapis.com/auth/rcsbusinessmessaging";
const GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// How long a token is good, in seconds.
const GOOD_SECONDS: i64 = 3600;
/// How long one is that the simulator writes into a file.
const BY_HAND_SECONDS: i64 = 30 * 24 * 3600;
/// How far clocks may differ, in seconds.
const SKEW_SECONDS: i64 = 300;

/// Whom to believe, and by what.
pub(crate) struct Tokens {
    accounts: Accounts,
    sign: EncodingKey,
    verify: DecodingKey,
    strict: bool,
}

/// What an assertion says.
#[derive(Deserialize)]
struct Assertion {
    iss: String,
    #[serde(default)]
    aud: serde_json::Value,
    #[serde(default)]
    scope: String,
    iat: i64,
    exp: i64,
}

/// What a token says.
#[derive(Serialize, Deserialize)]
struct Token {
    sub: String,
    exp: i64,
}

/// Checks nothing but the signature: times are the simulator's own, which may be turned.
fn signature_only(algorithm: Algorithm) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    validation
}

impl Tokens {
    pub(crate) fn new(accounts: Accounts, secret: &[u8], strict: bool) -> Self {
        let (sign, verify) = (EncodingKey::from_secret(secret), DecodingKey::from_secret(secret));
        Self { accounts, sign, verify, strict }
    }

    /// What an assertion says, when one of those who are believed signed it and its time is now.
    fn assertion(&self, text: &str, now: Timestamp) -> Result<Assertion, TokenError> {
        let grant = |why| TokenError("invalid_grant", why);
        let header = decode_header(text).map_err(|_| grant("the assertion is no JWT"))?;
        let keys = self.accounts.iter().flat_map(|(email, keys)| keys.iter().map(move |key| (email, key)));
        let mut found = keys.filter(|(_, (algorithm, _))| *algorithm == header.alg).filter_map(
            |(email, (algorithm, key))| {
                let data = decode::<Assertion>(text, key, &signature_only(*algorithm)).ok()?;
                Some(data.claims).filter(|claims| claims.iss == *email)
            },
        );
        let unknown =
            "nobody who is believed signed the assertion; use the service account's file of this simulator";
        let Assertion { iss, aud, scope, iat, exp } = found.next().ok_or(grant(unknown))?;
        let now = now.as_second();
        if now > exp.saturating_add(SKEW_SECONDS) || now < iat.saturating_sub(SKEW_SECONDS) {
            return Err(grant(
                "the assertion's time is not now; set the clock, and keep iat and exp within an hour",
            ));
        }
        Ok(Assertion { iss, aud, scope, iat, exp })
    }

    /// A token for an assertion.
    fn exchange(&self, assertion: &str, endpoint: &str, now: Timestamp) -> Result<String, TokenError> {
        let Assertion { iss, aud, scope, .. } = self.assertion(assertion, now)?;
        if self.strict && aud.as_str() != Some(endpoint) {
            return Err(TokenError("invalid_grant", "aud is not the service account's token_uri"));
        }
        if self.strict && !scope.split(' ').any(|it| it == SCOPE) {
            return Err(TokenError("invalid_scope", "the assertion asks for no scope of this API"));
        }
        self.sign(iss, GOOD_SECONDS, now).ok_or(TokenError("server_error", "the token can't be signed"))
    }

    /// A token that is good for a month, for who calls by hand.
    pub(crate) fn issue(&self, email: &str, now: Timestamp) -> Result<String, Error> {
        let failed = || Error::new(ErrorKind::Internal, "a token can't be signed", "");
        self.sign(email.to_owned(), BY_HAND_SECONDS, now).ok_or_else(failed)
    }

    fn sign(&self, sub: String, seconds: i64, now: Timestamp) -> Option<String> {
        let token = Token { sub, exp: now.as_second().saturating_add(seconds) };
        encode(&Header::new(Algorithm::HS256), &token, &self.sign).ok()
    }

    /// Lets a call in whose token is good.
    pub(crate) fn admit(&self, headers: &HeaderMap, now: Timestamp) -> Result<(), ApiError> {
        let refused = |message: &str| ApiError::new(Code::Unauthenticated, message);
        let missing = "Request is missing required authentication credential. Expected an OAuth 2 access token in the header \
                       Authorization: Bearer.";
        let header = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = header.and_then(|text| text.split_once(' ')).ok_or_else(|| refused(missing))?;
        if !token.0.eq_ignore_ascii_case("bearer") {
            return Err(refused(missing));
        }
        let token = token.1.trim();
        match decode::<Token>(token, &self.verify, &signature_only(Algorithm::HS256)) {
            Ok(data) if now.as_second() < data.claims.exp => Ok(()),
            Ok(_) => Err(refused("the access token is too old; get another one")),
            Err(_) if self.assertion(token, now).is_ok() => Ok(()),
            Err(_) => Err(refused("the access token is none of this simulator's; get one from its /token")),
        }
    }
}

/// `POST /token`
pub(crate) async fn exchange(State(face): State<Face>, body: Bytes) -> Response {
    let (mut grant_type, mut assertion) = (String::new(), String::new());
    for (name, value) in url::form_urlencoded::parse(&body) {
        match &*name {
            "grant_type" => grant_type = value.into_owned(),
            "assertion" => assertion = value.into_owned(),
            _ => {}
        }
    }
    if grant_type != GRANT {
        let why = "grant_type is not urn:ietf:params:oauth:grant-type:jwt-bearer";
        return TokenError("unsupported_grant_type", why).into_response();
    }
    let endpoint = format!("{}/token", face.origin);
    match face.tokens.exchange(&assertion, &endpoint, face.clock.now()) {
        Ok(token) => {
            let body = json!({ "access_token": token, "token_type": "Bearer", "expires_in": GOOD_SECONDS });
            let mut response = Json(body).into_response();
            response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
            response
        }
        Err(error) => error.into_response(),
    }
}
