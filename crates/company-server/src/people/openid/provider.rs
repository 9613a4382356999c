//! The provider itself, over TLS: where it sends people, what it gives for a code, its keys, and what else it says of somebody.
//!
//! What it publishes is kept for an hour and asked for by one caller at a time. No redirect is followed, and no answer is longer than it may be. Surprising: a token by
//! a key that isn't known has the keys fetched anew once in ten seconds, so that a provider can change them, and a forger can't make us ask all the time.

use std::{future::Future, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::{SignedDuration, Timestamp};
use musubi_domain::{Error, ErrorKind};
use musubi_runtime::http::safe_address;
use reqwest::{
    Certificate, Client, RequestBuilder, StatusCode, Url,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue},
    redirect::Policy,
};
use serde::{Deserialize, de::DeserializeOwned};
use tokio::sync::{Mutex, Semaphore};
use tracing::warn;

use super::{
    id_token::{self, Expected, Fault, Key, Names, Who},
    ticket::Ticket,
};
use crate::{
    config::{Claim, OpenIdConfig},
    console::encoded,
};

/// How long a connection may take, and a whole request.
const CONNECT: Duration = Duration::from_secs(3);
/// See [`CONNECT`].
const REQUEST: Duration = Duration::from_secs(5);
/// The most bytes of an answer.
const ANSWER: usize = 256 * 1024;
/// The most keys that are read.
const KEYS: usize = 64;
/// How long what is published is good.
const FRESH: SignedDuration = SignedDuration::from_hours(1);
/// How long after a failure, or after keys were fetched out of turn, nothing is asked again.
const REST: SignedDuration = SignedDuration::from_secs(10);
/// Codes that are redeemed at once.
const AT_ONCE: usize = 8;

/// Asks the provider.
pub(super) struct Provider {
    config: OpenIdConfig,
    client: Client,
    published: Mutex<Kept<Published>>,
    keys: Mutex<Kept<Vec<Key>>>,
    turns: Semaphore,
}

/// What a code was redeemed for. Personal: has no `Debug`.
#[derive(Deserialize)]
pub(super) struct Said {
    id_token: String,
    #[serde(default)]
    access_token: String,
}

/// Why a code gave nothing.
pub(super) enum Refusal {
    /// The provider doesn't stand by it.
    Code,
    Other(Error),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

/// Where the provider is asked for what (OpenID Connect Discovery 1.0); there is more.
#[derive(Clone, Deserialize)]
struct Published {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    #[serde(default)]
    userinfo_endpoint: Option<String>,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Vec<String>,
}

impl Published {
    /// # Errors
    /// When it is another's, or names an address that nothing secret may go to.
    fn check(self, issuer: &str) -> Result<Self, Error> {
        if self.issuer != issuer {
            return Err(unusable("it publishes another issuer than sign_in.openid.issuer"));
        }
        let userinfo = self.userinfo_endpoint.as_ref();
        let addresses = [&self.authorization_endpoint, &self.token_endpoint, &self.jwks_uri];
        if addresses.into_iter().chain(userinfo).any(|address| safe_address(address).is_err()) {
            return Err(unusable("it publishes an address that is not https"));
        }
        Ok(self)
    }
}

#[derive(Deserialize)]
struct Keys {
    keys: Vec<serde_json::Value>,
}

/// Something of the provider's that is good for a while.
struct Kept<T> {
    value: Option<(T, Timestamp)>,
    /// When it was last asked for in vain, or out of turn.
    rest_begin: Timestamp,
}

impl<T> Kept<T> {
    const NOTHING: Self = Self { value: None, rest_begin: Timestamp::MIN };

    /// What is kept; fetched when it is old or `is_needed_anew`.
    async fn get(
        &mut self,
        now: Timestamp,
        is_needed_anew: bool,
        fetch: impl Future<Output = Result<T, Error>>,
    ) -> Result<&T, Error> {
        let rests = now.duration_since(self.rest_begin) < REST;
        let is_fresh = self.value.as_ref().is_some_and(|(_, at)| now.duration_since(*at) < FRESH);
        if !rests && (!is_fresh || is_needed_anew) {
            match fetch.await {
                Ok(value) => {
                    self.value = Some((value, now));
                    if is_needed_anew {
                        self.rest_begin = now;
                    }
                }
                Err(error) => {
                    self.rest_begin = now;
                    warn!("sign-in by OpenID Connect: {}", error.problem);
                }
            }
        }
        // What was good an hour ago is better than nothing while the provider can't be reached.
        self.value.as_ref().map(|(value, _)| value).ok_or_else(|| unusable("it can not be asked now"))
    }
}

impl Provider {
    /// # Errors
    /// `sign_in.openid.authorities`.
    pub(super) fn new(config: &OpenIdConfig) -> Result<Self, Error> {
        let wrong = |problem: String| {
            Error::invalid("sign_in.openid.authorities", problem, "name another file with certificates")
        };
        let mut builder =
            Client::builder().connect_timeout(CONNECT).timeout(REQUEST).redirect(Policy::none());
        if let Some(authorities) = config.read_authorities()? {
            let read = Certificate::from_pem_bundle(&authorities).ok().filter(|read| !read.is_empty());
            builder =
                builder.tls_certs_only(read.ok_or_else(|| wrong("holds no certificate as PEM".to_owned()))?);
        }
        let client = builder.build().map_err(|error| wrong(format!("can not be used: {error}")))?;
        Ok(Self {
            config: config.clone(),
            client,
            published: Mutex::new(Kept::NOTHING),
            keys: Mutex::new(Kept::NOTHING),
            turns: Semaphore::new(AT_ONCE),
        })
    }

    /// Where a person goes with this ticket.
    ///
    /// # Errors
    /// `Unavailable`.
    pub(super) async fn way(&self, ticket: &Ticket, now: Timestamp) -> Result<String, Error> {
        let published = self.published(now).await?;
        let mut url = safe_address(&published.authorization_endpoint)?;
        let scope = match self.config.claim {
            Claim::Email => "openid email",
            Claim::PreferredUsername => "openid profile",
            Claim::Sub => "openid",
        };
        let (back, challenge) = (self.config.back(), ticket.challenge());
        let (acr, max_age) = (self.config.acr.join(" "), self.config.max_age.as_secs().to_string());
        let mut query = url.query_pairs_mut();
        query.extend_pairs([
            ("response_type", "code"),
            ("client_id", &self.config.client_id),
            ("redirect_uri", &back),
            ("scope", scope),
            ("state", &ticket.state),
            ("nonce", &ticket.nonce),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ]);
        if !acr.is_empty() {
            query.append_pair("acr_values", &acr);
        }
        if !self.config.max_age.is_zero() {
            query.append_pair("max_age", &max_age);
        }
        drop(query);
        Ok(url.into())
    }

    /// Redeems a code, with this server's secret and the ticket's.
    pub(super) async fn redeem(&self, code: &str, ticket: &Ticket, now: Timestamp) -> Result<Said, Refusal> {
        let _turn = self.turns.try_acquire().map_err(|_full| {
            let problem = "too many people sign in at once";
            Error::new(ErrorKind::ResourceExhausted, problem, "wait a moment and begin again")
        })?;
        let published = self.published(now).await?;
        let address = safe_address(&published.token_endpoint)?;
        let back = self.config.back();
        let (id, secret) = (&self.config.client_id, self.config.client_secret.expose());
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &back),
            ("code_verifier", &ticket.verifier),
        ];
        let mut request = self.client.post(address).header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        let methods = &published.token_endpoint_auth_methods_supported;
        let by = |method: &str| methods.iter().any(|known| known == method);
        if by("client_secret_post") && !by("client_secret_basic") {
            form.extend([("client_id", id.as_str()), ("client_secret", secret)]);
        } else {
            // Both are encoded as in a form first (RFC 6749, 2.3.1).
            let basic = STANDARD.encode(format!("{}:{}", encoded(id), encoded(secret)));
            request = request.header(AUTHORIZATION, secret_header(&format!("Basic {basic}"))?);
        }
        let body: Vec<_> = form.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        let (status, body) = self.ask(request.body(body.join("&"))).await?;
        if status == StatusCode::BAD_REQUEST {
            return Err(Refusal::Code);
        }
        if status == StatusCode::UNAUTHORIZED {
            warn!("the provider refuses this server; see sign_in.openid.client_id and client_secret");
        }
        Ok(read(status, &body)?)
    }

    /// Whom the provider stands for.
    pub(super) async fn read(&self, said: &Said, expected: &Expected<'_>) -> Result<Who, id_token::Refusal> {
        let signed = id_token::signed(&said.id_token)?;
        let published = self.published(expected.now).await?;
        let mut who = {
            let mut kept = self.keys.lock().await;
            let mut keys = kept.get(expected.now, false, self.fetch_keys(&published.jwks_uri)).await?;
            if Key::find(keys, &signed).is_none() {
                keys = kept.get(expected.now, true, self.fetch_keys(&published.jwks_uri)).await?;
            }
            id_token::check(&said.id_token, Key::find(keys, &signed).ok_or(Fault::Key)?, expected)?
        };
        if who.openid.is_empty() {
            who.openid = self.ask_names(&published, said, &who.subject).await?;
        }
        match who.openid.len() <= super::LONGEST_NAME && !who.openid.is_empty() {
            true => Ok(who),
            false => Err(Fault::Name.into()),
        }
    }

    /// What the provider calls somebody, where its token doesn't say it (Core, 5.3).
    async fn ask_names(
        &self,
        published: &Published,
        said: &Said,
        subject: &str,
    ) -> Result<String, id_token::Refusal> {
        #[derive(Deserialize)]
        struct UserInfo {
            sub: String,
            #[serde(flatten)]
            names: Names,
        }
        let address = published.userinfo_endpoint.as_deref().filter(|_| !said.access_token.is_empty());
        let address = safe_address(address.ok_or(Fault::Name)?)?;
        let bearer = secret_header(&format!("Bearer {}", said.access_token)).map_err(|_| Fault::Form)?;
        let request = self.client.get(address).header(AUTHORIZATION, bearer);
        let (status, body) = self.ask(request).await?;
        let info: UserInfo = read(status, &body)?;
        if info.sub != subject {
            return Err(Fault::Name.into());
        }
        Ok(info.names.by(self.config.claim, subject)?)
    }

    async fn published(&self, now: Timestamp) -> Result<Published, Error> {
        let fetch = async {
            let issuer = &self.config.issuer;
            let address =
                safe_address(&format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/')))?;
            let published: Published = self.fetch(address).await?;
            published.check(issuer)
        };
        self.published.lock().await.get(now, false, fetch).await.cloned()
    }

    async fn fetch_keys(&self, address: &str) -> Result<Vec<Key>, Error> {
        let Keys { keys } = self.fetch(safe_address(address)?).await?;
        Ok(keys.into_iter().take(KEYS).filter_map(Key::of).collect())
    }

    async fn fetch<T: DeserializeOwned>(&self, address: Url) -> Result<T, Error> {
        let (status, body) = self.ask(self.client.get(address)).await?;
        read(status, &body)
    }

    async fn ask(&self, request: RequestBuilder) -> Result<(StatusCode, Vec<u8>), Error> {
        let unreached = |_| unusable("it can not be reached, or its answer broke off");
        let mut response = request.header(ACCEPT, "application/json").send().await.map_err(unreached)?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unreached)? {
            if body.len() + chunk.len() > ANSWER {
                return Err(unusable("its answer is too long"));
            }
            body.extend_from_slice(&chunk);
        }
        Ok((response.status(), body))
    }
}

fn read<T: DeserializeOwned>(status: StatusCode, body: &[u8]) -> Result<T, Error> {
    if !status.is_success() {
        return Err(unusable(&format!("it answers {status}")));
    }
    serde_json::from_slice(body).map_err(|_| unusable("its answer has another shape than it has to have"))
}

fn secret_header(text: &str) -> Result<HeaderValue, Refusal> {
    let mut header = HeaderValue::try_from(text).map_err(|_| Refusal::Code)?;
    header.set_sensitive(true);
    Ok(header)
}

fn unusable(problem: &str) -> Error {
    let problem = format!("the company's provider of OpenID Connect can not be used: {problem}");
    Error::new(ErrorKind::Unavailable, problem, "try again in a moment, or sign in with a password")
}
