//! Posts what happened to an agent's webhook: several at a time, those of one talk room in their order.
//!
//! A webhook is told nothing before it has answered a challenge. An event stays in the database until it was taken; what fails is tried
//! again, later and later, up to ten minutes apart, for seven days by the simulator's clock. Surprising: who stops the process between a
//! post and its noting gets that event twice, as receivers have to expect anyway.

mod envelope;
mod journal;
#[cfg(test)]
mod tests;

use std::{collections::HashSet, path::Path, sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use musubi_domain::{Error, ErrorKind};
use musubi_runtime::{Clock, entropy, grpc::retry::Backoff, telemetry::story::begin};
use musubi_storage::carrier::{AgentEvent, AgentEventKind, CarrierStore, Tried};
use reqwest::{Certificate, Client, redirect::Policy};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use self::envelope::Post;
pub(crate) use self::journal::{Journal, Try};
use super::{
    config::{AgentConfig, RbmConfig, Webhook},
    faults::{self, EventFault, RbmFaults},
};
use crate::{outbox::Waiter, telling};

/// How many posts are under way to a webhook at once.
const AT_ONCE: usize = 32;
/// How often the store is asked although nobody said that there is something.
const LOOK_ANYWAY: Duration = Duration::from_millis(500);
/// How long a webhook has to answer.
const ANSWER: Duration = Duration::from_secs(10);
/// Between tries.
const BACKOFF: Backoff =
    Backoff { first: Duration::from_secs(1), cap: Duration::from_secs(600), tries: None };
/// After which an event is given up.
const GIVEN_UP: SignedDuration = SignedDuration::from_hours(7 * 24);
/// The most bytes of an answer that are read.
const ANSWER_BYTES: usize = 16 << 10;

/// An agent's postman.
pub(crate) struct Postman {
    shared: Arc<Shared>,
    waiter: Waiter,
    stop: CancellationToken,
}

/// What each post needs.
pub(crate) struct Shared {
    pub(crate) store: Arc<dyn CarrierStore>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) agent: AgentConfig,
    /// Where its events go, and those of its launch.
    webhook: Option<Webhook>,
    partner: Option<Webhook>,
    strict: bool,
    faults: RbmFaults,
    client: Client,
    journal: Journal,
}

/// A client that posts, and goes nowhere but where it is sent. It believes the machine's authorities, or those of this file alone.
pub(crate) fn client(authorities: Option<&Path>) -> Result<Client, Error> {
    let mut client = Client::builder()
        .redirect(Policy::none())
        .no_proxy()
        .connect_timeout(Duration::from_secs(3))
        .timeout(ANSWER)
        .user_agent("APIs-Google (simulated)");
    if let Some(path) = authorities {
        let unusable = |problem: String| {
            Error::invalid("rbm.authorities", problem, "name a PEM file of authorities' certificates")
        };
        let read = std::fs::read(path)
            .map_err(|error| unusable(format!("{} can not be read ({})", path.display(), error.kind())))?;
        let read = Certificate::from_pem_bundle(&read).ok().filter(|read| !read.is_empty());
        client = client.tls_certs_only(
            read.ok_or_else(|| unusable(format!("{} holds no certificate", path.display())))?,
        );
    }
    client.build().map_err(|_| Error::new(ErrorKind::Internal, "the HTTP client can't be made", ""))
}

impl Postman {
    pub(crate) fn new(
        (store, clock): (&Arc<dyn CarrierStore>, &Arc<dyn Clock>),
        agent: &AgentConfig,
        config: &RbmConfig,
        (client, journal): (&Client, &Journal),
        (waiter, stop): (Waiter, CancellationToken),
    ) -> Self {
        let shared = Shared {
            store: Arc::clone(store),
            clock: Arc::clone(clock),
            agent: agent.clone(),
            webhook: agent.webhook.clone().or_else(|| config.partner.clone()),
            partner: config.partner.clone().or_else(|| agent.webhook.clone()),
            strict: config.strict,
            faults: config.faults.clone(),
            client: client.clone(),
            journal: journal.clone(),
        };
        Self { shared: Arc::new(shared), waiter, stop }
    }

    /// Posts until it is told to stop, and then what is under way to its end.
    pub(crate) async fn run(mut self) {
        let (mut posts, mut under_way) = (JoinSet::new(), HashSet::new());
        if !self.verify().await {
            return;
        }
        while !self.stop.is_cancelled() {
            let places = AT_ONCE.saturating_sub(posts.len());
            let begun = self.begin(places, &mut posts, &mut under_way).await;
            tokio::select! {
                Some(done) = posts.join_next() => {
                    let mut tries: Vec<_> = done.into_iter().collect();
                    while let Some(done) = posts.try_join_next() {
                        tries.extend(done);
                    }
                    self.settle(&tries, &mut under_way).await;
                }
                () = self.waiter.woken(LOOK_ANYWAY), if begun < places => {}
                () = self.stop.cancelled() => {}
            }
        }
        let mut tries = Vec::new();
        while let Some(done) = posts.join_next().await {
            tries.extend(done);
        }
        self.settle(&tries, &mut under_way).await;
    }

    /// Begins as many posts as there are places and events due; says how many.
    async fn begin(
        &self,
        places: usize,
        posts: &mut JoinSet<(u64, Tried)>,
        under_way: &mut HashSet<u64>,
    ) -> usize {
        if places == 0 {
            return 0;
        }
        let Shared { store, clock, agent, .. } = &*self.shared;
        let limit = u32::try_from(places + under_way.len()).unwrap_or(u32::MAX);
        let due = match store.list_webhook_events(&agent.official_account, clock.now(), limit).await {
            Ok(due) => due,
            Err(error) => {
                warn!("events can't be read, it is tried again: {error}");
                return 0;
            }
        };
        let mut begun = 0;
        for event in due {
            if begun < places && under_way.insert(event.sequence) {
                let shared = Arc::clone(&self.shared);
                posts.spawn(async move { (event.sequence, shared.tell(&event).await) });
                begun += 1;
            }
        }
        begun
    }

    /// When it can't be written, the same events are posted again, which receivers know as repeated.
    async fn settle(&self, tries: &[(u64, Tried)], under_way: &mut HashSet<u64>) {
        if let Err(error) = self.shared.store.settle_webhook_events(tries).await {
            warn!("what became of events can't be written, they are told again: {error}");
        }
        for (sequence, _) in tries {
            under_way.remove(sequence);
        }
    }

    /// Challenges the webhook until it answers well; says whether it did before the stop.
    async fn verify(&mut self) -> bool {
        let mut failures = 0;
        let mut due = self.shared.clock.now();
        loop {
            if self.stop.is_cancelled() {
                return false;
            }
            if self.shared.clock.now() >= due {
                let Some(webhook) = &self.shared.webhook else { return true };
                match self.stop.run_until_cancelled(self.shared.challenge(webhook)).await {
                    None => return false,
                    Some(true) => return true,
                    Some(false) => failures += 1,
                }
                due = later(self.shared.clock.now(), failures);
            }
            self.stop.run_until_cancelled(self.waiter.woken(LOOK_ANYWAY)).await.unwrap_or_default();
        }
    }
}

/// When it is tried again after so many failures.
fn later(now: Timestamp, failures: u32) -> Timestamp {
    now.saturating_add(BACKOFF.wait(failures, entropy::number())).unwrap_or(Timestamp::MAX)
}

/// Of an answer, or of none: what the page shows.
type Answer = Result<(StatusCode, String), String>;

impl Shared {
    /// Whether the webhook proves that it knows the client token's owner: it has to give the secret back.
    async fn challenge(&self, webhook: &Webhook) -> bool {
        let secret = BASE64.encode(entropy::bytes::<32>());
        let body = json!({ "clientToken": webhook.client_token.expose(), "secret": secret }).to_string();
        let answer = self.post(webhook, body.into_bytes(), None, "verification").await;
        let (good, outcome) = match answer {
            Ok((StatusCode::OK, text)) if answers(&text, &secret, self.strict) => {
                (true, "verified".to_owned())
            }
            Ok((StatusCode::OK, _)) => {
                (false, "200, and not the secret; answer with the secret that came".to_owned())
            }
            Ok((status, _)) => (false, format!("{status}; answer 200 with the secret that came")),
            Err(problem) => (false, problem),
        };
        if !good {
            warn!(agent = self.agent.id, "the webhook is not verified, it is tried again: {outcome}");
        }
        self.note("challenge".to_owned(), 0, outcome, good);
        good
    }

    /// Tells the webhook of an event.
    async fn tell(&self, event: &AgentEvent) -> Tried {
        let (now, id, began) = (self.clock.now(), event.event_id.into_bytes(), begin());
        let (fault, failed) = faults::event(&self.faults, &id);
        let launch = matches!(event.kind, AgentEventKind::Launched { .. });
        let Some(webhook) = (if launch { &self.partner } else { &self.webhook }) else {
            return Tried::Done;
        };
        let Some(post) = envelope::post(&self.agent, webhook.client_token.expose(), event, failed, now)
        else {
            return Tried::Done;
        };
        let what = match &event.number {
            Some(number) => format!("{} {}", event.kind.name(), masked(number.as_str())),
            None => event.kind.name().to_owned(),
        };
        let attempt = event.attempts.saturating_add(1);
        if now.duration_since(event.time) > GIVEN_UP {
            warn!(agent = self.agent.id, id = %event.event_id, "an event is given up after seven days");
            self.note(what, attempt, "given up after seven days".to_owned(), false);
            return Tried::Done;
        }
        if fault == Some(EventFault::Lost) {
            self.note(what, attempt, "lost on purpose".to_owned(), false);
            return Tried::Done;
        }
        let Post { body, signature, kind } = post;
        let mut answer = self.post(webhook, body.clone(), Some(&signature), kind).await;
        if fault == Some(EventFault::Repeated) {
            answer = self.post(webhook, body, Some(&signature), kind).await;
        }
        let (good, outcome) = match answer {
            Ok((status, _)) => (status == StatusCode::OK, status.to_string()),
            Err(problem) => (false, problem),
        };
        self.note(what, attempt, outcome, good);
        if !good {
            return Tried::Again(later(now, attempt));
        }
        telling::posted(&self.agent.official_account, &self.agent.id, event, began);
        Tried::Done
    }

    async fn post(
        &self,
        webhook: &Webhook,
        body: Vec<u8>,
        signature: Option<&str>,
        kind: &'static str,
    ) -> Answer {
        let mut request = self
            .client
            .post(webhook.url.clone())
            .header("content-type", "application/json")
            .header("x-goog-webhook-type", kind)
            .body(body);
        if let Some(signature) = signature {
            request = request.header("x-goog-signature", signature);
        }
        // The library's texts hold the address, which may hold a secret.
        let failed = |error: reqwest::Error| match (error.is_timeout(), error.is_connect()) {
            (true, _) => format!("no answer within {} s", ANSWER.as_secs()),
            (false, true) => "nobody listens there".to_owned(),
            (false, false) => "the connection broke".to_owned(),
        };
        let mut response = request.send().await.map_err(failed)?;
        let (status, mut text) = (response.status(), Vec::new());
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            text.extend_from_slice(&chunk);
            if text.len() > ANSWER_BYTES {
                break;
            }
        }
        Ok((status, String::from_utf8_lossy(&text).into_owned()))
    }

    fn note(&self, what: String, attempt: u32, outcome: String, good: bool) {
        let (time, agent) = (format!("{:.0}", self.clock.now()), self.agent.id.clone());
        self.journal.note(Try { time, agent, what, attempt, outcome, good });
    }
}

/// Whether an answer to a challenge gives the secret back: raw, or as Google's samples do.
fn answers(text: &str, secret: &str, strict: bool) -> bool {
    if strict {
        return text == secret;
    }
    let text = text.trim().trim_matches('"');
    let named = text.strip_prefix("secret:").map(str::trim);
    let json: Option<Value> = serde_json::from_str(text).ok();
    text == secret || named == Some(secret) || json.is_some_and(|json| json["secret"] == secret)
}

/// A number as people may see it: its country and its end.
pub(crate) fn masked(number: &str) -> String {
    let end = number.len().saturating_sub(2);
    format!("{}…{}", number.get(..3).unwrap_or_default(), number.get(end..).unwrap_or_default())
}
