//! Requests to the platform, and what its refusals say.
//!
//! Connections are kept and shared. No redirect is followed. Surprising: a refusal's text is never logged, only its code: the platform
//! may write a phone number into it.

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use musubi_domain::{Error, ErrorKind};
use musubi_runtime::Clock;
use reqwest::{
    Certificate, Client, Method, Response, StatusCode, Url,
    header::{AUTHORIZATION, RETRY_AFTER},
    redirect::Policy,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::token::Tokens;
use crate::config::RbmConfig;

/// How long a connection may take, and a whole request.
const CONNECT: Duration = Duration::from_secs(5);
/// See [`CONNECT`].
const REQUEST: Duration = Duration::from_secs(10);
/// The most bytes of an answer: 10,000 numbers have room.
const ANSWER: usize = 1 << 20;

/// Makes requests.
pub(super) struct Rest {
    client: Client,
    api: Url,
    tokens: Tokens,
    clock: Arc<dyn Clock>,
}

/// What the platform answered.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    /// When to come again, if it said so.
    pub(super) retry_after: Option<SignedDuration>,
    body: Vec<u8>,
}

/// Google's shape of an error.
#[derive(Deserialize)]
struct Refusal {
    error: RefusalBody,
}

#[derive(Deserialize)]
struct RefusalBody {
    #[serde(default)]
    status: String,
    #[serde(default)]
    details: Vec<Detail>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Detail {
    #[serde(default)]
    retry_delay: Option<String>,
}

impl Rest {
    pub(super) fn open(config: &RbmConfig, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let mut builder = Client::builder()
            .connect_timeout(CONNECT)
            .timeout(REQUEST)
            .redirect(Policy::none())
            .pool_max_idle_per_host(config.requests_at_once)
            .tcp_nodelay(true);
        if let Some(authorities) = config.authorities()? {
            let read = Certificate::from_pem_bundle(&authorities).ok().filter(|read| !read.is_empty());
            builder = builder.tls_certs_only(read.ok_or_else(|| {
                Error::invalid("authorities", "holds no certificate as PEM", "name another file")
            })?);
        }
        let unusable =
            |error| Error::invalid("authorities", format!("can not be used: {error}"), "name another file");
        let client = builder.build().map_err(unusable)?;
        let tokens = Tokens::open(&config.service_account()?, client.clone(), Arc::clone(&clock))?;
        Ok(Self { client, api: config.address()?, tokens, clock })
    }

    pub(super) async fn access_token(&self) -> Result<String, Error> {
        let header = self.tokens.get().await?;
        let text = header.to_str().ok().and_then(|text| text.strip_prefix("Bearer "));
        text.map(str::to_owned).ok_or_else(|| Error::new(ErrorKind::Internal, "the token is no text", ""))
    }

    /// Posts JSON.
    ///
    /// # Errors
    /// When nothing is known of what became of it, or there is no token.
    pub(super) async fn post(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
        body: &(impl Serialize + Sync),
    ) -> Result<Answer, Error> {
        let body = serde_json::to_vec(body)
            .map_err(|_| Error::new(ErrorKind::Internal, "a request can not be written", ""))?;
        self.call(Method::POST, path, query, Some(body)).await
    }

    /// Deletes.
    ///
    /// # Errors
    /// As [`Self::post`].
    pub(super) async fn delete(&self, path: &[&str], query: &[(&str, &str)]) -> Result<Answer, Error> {
        self.call(Method::DELETE, path, query, None).await
    }

    /// A token that is taken no more is renewed once.
    async fn call(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
        body: Option<Vec<u8>>,
    ) -> Result<Answer, Error> {
        let mut url = self.api.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        url.query_pairs_mut().extend_pairs(query);
        let once = async || {
            let token = self.tokens.get().await?;
            let mut request =
                self.client.request(method.clone(), url.clone()).header(AUTHORIZATION, token.clone());
            if let Some(body) = &body {
                request = request.header("content-type", "application/json").body(body.clone());
            }
            let response = request.send().await.map_err(|error| unreached(&error))?;
            Ok::<_, Error>((token, self.answer(response).await?))
        };
        let (token, answer) = once().await?;
        if answer.status != StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        self.tokens.refused(&token).await;
        once().await.map(|(_, answer)| answer)
    }

    async fn answer(&self, response: Response) -> Result<Answer, Error> {
        let status = response.status();
        let header = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let said = header.and_then(|text| retry_after(text, self.clock.now()));
        let body = read(response, ANSWER).await?;
        let mut answer = Answer { status, retry_after: said, body };
        if !status.is_success() && said.is_none() {
            answer.retry_after = answer.refusal().and_then(|refusal| {
                let delays = refusal.details.iter().filter_map(|detail| detail.retry_delay.as_deref());
                delays.filter_map(delay).next()
            });
        }
        Ok(answer)
    }
}

impl Answer {
    /// The platform's word for a refusal, as `INVALID_ARGUMENT`.
    pub(super) fn reason(&self) -> String {
        let word = |text: &String| {
            (1..=40).contains(&text.len()) && text.bytes().all(|b| b == b'_' || b.is_ascii_uppercase())
        };
        self.refusal().map(|refusal| refusal.status).filter(word).unwrap_or_else(|| "no reason".to_owned())
    }

    /// What a success says.
    ///
    /// # Errors
    /// That it was none, or says something else.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        if !self.status.is_success() {
            return Err(self.error());
        }
        serde_json::from_slice(&self.body)
            .map_err(|_| Error::new(ErrorKind::Unavailable, "an answer that can not be read", "ask again"))
    }

    /// A refusal as an error.
    pub(super) fn error(&self) -> Error {
        let kind = match self.status.as_u16() {
            400 => ErrorKind::InvalidArgument,
            401 => ErrorKind::Unauthenticated,
            403 => ErrorKind::PermissionDenied,
            404 => ErrorKind::NotFound,
            429 => ErrorKind::ResourceExhausted,
            _ => ErrorKind::Unavailable,
        };
        Error::new(kind, format!("the platform says {} {}", self.status, self.reason()), "")
    }

    fn refusal(&self) -> Option<RefusalBody> {
        serde_json::from_slice(&self.body).ok().map(|refusal: Refusal| refusal.error)
    }
}

/// Why a request has no answer. No address: it has a phone number in it.
pub(super) fn unreached(error: &reqwest::Error) -> Error {
    let problem = match error {
        _ if error.is_connect() => "the platform can not be reached",
        _ if error.is_timeout() => "the platform doesn't answer in time",
        _ => "the platform's answer broke off",
    };
    Error::new(ErrorKind::Unavailable, problem, "it is tried again")
}

/// A body of at most so many bytes.
pub(super) async fn read(mut response: Response, most: usize) -> Result<Vec<u8>, Error> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| unreached(&error))? {
        if body.len() + chunk.len() > most {
            return Err(Error::new(ErrorKind::Unavailable, "the platform's answer is too long", ""));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// `Retry-After`: seconds, or a date.
fn retry_after(text: &str, now: Timestamp) -> Option<SignedDuration> {
    let wait = match text.trim().parse::<u32>() {
        Ok(seconds) => SignedDuration::from_secs(seconds.into()),
        Err(_) => {
            let date = jiff::fmt::rfc2822::parse(text.trim()).ok()?;
            date.timestamp().duration_since(now).max(SignedDuration::ZERO)
        }
    };
    Some(wait)
}

/// A protobuf duration as JSON writes it: `3.5s`.
fn delay(text: &str) -> Option<SignedDuration> {
    let seconds: f64 = text.strip_suffix('s')?.parse().ok()?;
    SignedDuration::try_from_secs_f64(seconds).ok().filter(|wait| !wait.is_negative())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_read_as_seconds_as_dates_and_as_durations() {
        let now: Timestamp = "2026-11-28T00:00:00Z".parse().unwrap();
        let seconds = SignedDuration::from_secs;
        for (text, wait) in [
            ("7", Some(seconds(7))),
            (" 0 ", Some(seconds(0))),
            ("Sat, 28 Nov 2026 00:01:00 GMT", Some(seconds(60))),
            ("Fri, 27 Nov 2026 00:01:00 GMT", Some(seconds(0))),
            ("-1", None),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(retry_after(text, now), wait, "{text}");
        }
        for (text, wait) in [
            ("3s", Some(seconds(3))),
            ("0.5s", Some(SignedDuration::from_millis(500))),
            ("-3s", None),
            ("3", None),
            ("NaNs", None),
        ] {
            assert_eq!(delay(text), wait, "{text}");
        }
    }
}
