//! Who we are to the platform: an access token for a service account, by a signed assertion (RFC 7523).
//!
//! One token serves all requests until shortly before its end; whoever finds it old fetches the next while others wait for it.
//! Surprising: a token that can't be renewed in time is used on until it really ends.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use musubi_domain::{Error, ErrorKind};
use musubi_runtime::{Clock, config::Secret, http::safe_address};
use reqwest::{Client, Url, header::HeaderValue};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

/// What we may do with the token.
const SCOPE: &str = "https://www.googleapis.com/auth/rcsbusinessmessaging";
/// What we send for it.
const GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// How long an assertion is good.
const ASSERTION: SignedDuration = SignedDuration::from_mins(10);
/// How long before its end a token is renewed, at most; never more than half of its time.
const EARLY: SignedDuration = SignedDuration::from_mins(5);
/// The most bytes of an answer.
const ANSWER: usize = 64 * 1024;

/// The file that Google's console gives for a service account; it has more fields.
#[derive(Deserialize)]
struct ServiceAccount {
    client_email: String,
    private_key: Secret,
    #[serde(default)]
    private_key_id: Option<String>,
    token_uri: String,
}

/// Holds the token.
pub(super) struct Tokens {
    client: Client,
    clock: Arc<dyn Clock>,
    email: String,
    key: EncodingKey,
    key_id: Option<String>,
    address: Url,
    held: Mutex<Option<Held>>,
}

/// A token.
#[derive(Clone)]
struct Held {
    header: HeaderValue,
    renew_time: Timestamp,
    end_time: Timestamp,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    scope: &'a str,
    aud: &'a str,
    iat: i64,
    exp: i64,
}

/// RFC 6749, 5.1.
#[derive(Deserialize)]
struct Granted {
    access_token: String,
    expires_in: i64,
}

impl Tokens {
    /// For the service account of this file.
    ///
    /// # Errors
    /// Names `service_account`, what is wrong with the file and the remedy; never what stands in it.
    pub(super) fn open(file: &[u8], client: Client, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let wrong = |problem: &str| {
            let remedy = "name the JSON file with a key that Google's console makes for a service account";
            Error::invalid("service_account", problem, remedy)
        };
        let account: ServiceAccount = serde_json::from_slice(file)
            .map_err(|_| wrong("lacks client_email, private_key or token_uri, or is no JSON"))?;
        let key = EncodingKey::from_rsa_pem(account.private_key.expose().as_bytes())
            .map_err(|_| wrong("private_key is no RSA key as PEM"))?;
        let address = safe_address(&account.token_uri).map_err(|_| wrong("token_uri is no https address"))?;
        let (email, key_id) = (account.client_email, account.private_key_id);
        Ok(Self { client, clock, email, key, key_id, address, held: Mutex::default() })
    }

    /// For the header `Authorization`.
    ///
    /// # Errors
    /// `Unavailable` when there is none to be had now, `Unauthenticated` when the account is refused.
    pub(super) async fn get(&self) -> Result<HeaderValue, Error> {
        let mut held = self.held.lock().await;
        let now = self.clock.now();
        if let Some(held) = held.as_ref().filter(|held| now < held.renew_time) {
            return Ok(held.header.clone());
        }
        match self.fetch(now).await {
            Ok(new) => Ok(held.insert(new).header.clone()),
            Err(error) => match held.as_ref().filter(|held| now < held.end_time) {
                Some(held) => Ok(held.header.clone()),
                None => Err(error),
            },
        }
    }

    /// The platform takes this one no more.
    pub(super) async fn refused(&self, header: &HeaderValue) {
        let mut held = self.held.lock().await;
        held.take_if(|held| held.header == *header);
    }

    async fn fetch(&self, now: Timestamp) -> Result<Held, Error> {
        let unusable = |problem: &str| Error::new(ErrorKind::Unavailable, problem, "it is tried again");
        let claims = Claims {
            iss: &self.email,
            scope: SCOPE,
            aud: self.address.as_str(),
            iat: now.as_second(),
            exp: now.as_second() + ASSERTION.as_secs(),
        };
        let header = Header { kid: self.key_id.clone(), ..Header::new(Algorithm::RS256) };
        let assertion = jsonwebtoken::encode(&header, &claims, &self.key)
            .map_err(|_| unusable("the service account's key can not sign"))?;
        let form = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", GRANT)
            .append_pair("assertion", &assertion)
            .finish();
        let form_type = HeaderValue::from_static("application/x-www-form-urlencoded");
        let request = self.client.post(self.address.clone()).header("content-type", form_type).body(form);
        let response = request.send().await.map_err(|error| super::rest::unreached(&error))?;
        let status = response.status();
        let body = super::rest::read(response, ANSWER).await?;
        if status.is_client_error() && status.as_u16() != 429 {
            let remedy = "see that the service account is enabled and its key is not taken back";
            return Err(Error::new(ErrorKind::Unauthenticated, format!("no token: {status}"), remedy));
        }
        let granted: Option<Granted> =
            status.is_success().then(|| serde_json::from_slice(&body).ok()).flatten();
        let granted = granted.filter(|granted| (1..=86_400).contains(&granted.expires_in));
        let granted = granted.ok_or_else(|| unusable(&format!("no token: {status}")))?;
        let mut header = HeaderValue::try_from(format!("Bearer {}", granted.access_token))
            .map_err(|_| unusable("the token is no header's value"))?;
        header.set_sensitive(true);
        let life = SignedDuration::from_secs(granted.expires_in);
        let after = |wait| now.checked_add(wait).unwrap_or(Timestamp::MAX);
        Ok(Held { header, renew_time: after(life - EARLY.min(life / 2)), end_time: after(life) })
    }
}
