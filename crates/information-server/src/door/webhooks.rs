//! The door for RCS Business Messaging: envelopes posted to `/rbm/{carrier}`, each with one event.
//!
//! An envelope is acknowledged once its event is committed. Many that come at once are one transaction: they wait in a bounded
//! queue for one worker, which also keeps them in the order in which they came. Surprising: an event that has no effect, because it
//! is known, forged by a person, or too old to be real, is acknowledged, too; whoever is refused would repeat it for a week.

use std::{collections::HashMap, sync::Arc};

use axum::{
    Router,
    body::Bytes,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse as _, Response},
    routing::post,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::SignedDuration;
use musubi_domain::{
    Error,
    id::{CarrierId, OfficialAccountId},
};
use musubi_proto::information::v1::CarrierEvent;
use musubi_runtime::{
    Clock, Shutdown,
    config::Secret,
    grpc::denials::{Denial, Denials},
};
use musubi_storage::StoreError;
use serde::Deserialize;
use sha2::Sha512;
use subtle::ConstantTimeEq as _;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tracing::{debug, info, warn};

use crate::{
    acquisition::events::{Events, Taken},
    config::RbmConfig,
    gateway::{RbmCarrier, rbm::event},
};

/// Envelopes that wait at most; more are told to come again.
const QUEUE: usize = 4_096;
/// Events of one transaction.
const BATCH: usize = 1_000;
/// Read marks on their way at once; more are not shown.
const MARKS: usize = 256;
/// The platform gives an event up after a week; what is older is a copy that somebody kept.
const OLDEST: SignedDuration = SignedDuration::from_hours(8 * 24);

/// What a webhook of one carrier takes.
#[derive(Clone)]
pub(crate) struct Webhook(Arc<Inner>);

struct Inner {
    carrier: CarrierId,
    tokens: Vec<Token>,
    agents: HashMap<String, OfficialAccountId>,
    queue: mpsc::Sender<Waiting>,
    clock: Arc<dyn Clock>,
    denials: Denials,
    gateway: Arc<RbmCarrier>,
    marks: Option<Arc<Semaphore>>,
}

/// A secret that envelopes are signed with.
struct Token {
    secret: Secret,
    /// The agent that it is for; none: the partner's, for all of them.
    agent: Option<String>,
}

/// An event that waits for its transaction.
struct Waiting {
    event: CarrierEvent,
    taken: oneshot::Sender<Result<Taken, Error>>,
}

/// What the worker works on.
pub(crate) struct Gathering {
    carrier: CarrierId,
    queue: mpsc::Receiver<Waiting>,
    events: Arc<Events>,
}

#[derive(Deserialize)]
struct Envelope {
    #[serde(default)]
    message: Option<Message>,
    /// Of a challenge.
    #[serde(default, rename = "clientToken")]
    client_token: Option<String>,
    #[serde(default)]
    secret: Option<String>,
}

#[derive(Deserialize)]
struct Message {
    data: String,
}

impl Webhook {
    /// A carrier's webhook, and the worker that it needs.
    pub(crate) fn new(
        carrier: &CarrierId,
        config: &RbmConfig,
        gateway: Arc<RbmCarrier>,
        events: Arc<Events>,
        clock: Arc<dyn Clock>,
        denials: Denials,
    ) -> (Self, Gathering) {
        let partner = config.client_tokens.iter().map(|secret| Token { secret: secret.clone(), agent: None });
        let theirs = config.agent.iter().flat_map(|agent| {
            agent
                .client_tokens
                .iter()
                .map(|secret| Token { secret: secret.clone(), agent: Some(agent.id.clone()) })
        });
        let agents = config.agent.iter().map(|agent| (agent.id.clone(), agent.official_account.clone()));
        let (sender, queue) = mpsc::channel(QUEUE);
        let inner = Inner {
            carrier: carrier.clone(),
            tokens: partner.chain(theirs).collect(),
            agents: agents.collect(),
            queue: sender,
            clock,
            denials,
            gateway,
            marks: config.shows_reading.then(|| Arc::new(Semaphore::new(MARKS))),
        };
        (Self(Arc::new(inner)), Gathering { carrier: carrier.clone(), queue, events })
    }

    async fn take(&self, headers: &HeaderMap, body: &[u8]) -> Response {
        let Ok(envelope) = serde_json::from_slice::<Envelope>(body) else {
            return self.refuse(StatusCode::BAD_REQUEST, "no envelope as JSON\n");
        };
        match envelope {
            Envelope { message: Some(message), .. } => self.take_message(headers, &message.data).await,
            Envelope { client_token: Some(token), secret: Some(secret), .. } => self.answer(&token, secret),
            Envelope { .. } => self.refuse(StatusCode::BAD_REQUEST, "neither message nor challenge\n"),
        }
    }

    /// The challenge by which the platform learns that the webhook is ours.
    fn answer(&self, token: &str, secret: String) -> Response {
        let known = self.0.tokens.iter().fold(subtle::Choice::from(0), |known, it| {
            known | it.secret.expose().as_bytes().ct_eq(token.as_bytes())
        });
        match bool::from(known) {
            true => secret.into_response(),
            false => self.refuse(StatusCode::FORBIDDEN, "the client token is not known\n"),
        }
    }

    async fn take_message(&self, headers: &HeaderMap, data: &str) -> Response {
        let Ok(data) = STANDARD.decode(data) else {
            return self.refuse(StatusCode::BAD_REQUEST, "data is not base64\n");
        };
        let signers = self.signers(headers, &data);
        if signers.is_empty() {
            return self.refuse(StatusCode::FORBIDDEN, "the signature is not good\n");
        }
        let carrier = &self.0.carrier;
        let heard = match event::read(&data) {
            Ok(heard) => heard,
            Err(error) => {
                self.count("an event that can not be read");
                warn!(%carrier, %error, "an event can not be read");
                return StatusCode::OK.into_response();
            }
        };
        let speaks_for = |token: &&Token| token.agent.as_ref().is_none_or(|agent| *agent == heard.agent);
        let account = self.0.agents.get(&heard.agent).filter(|_| signers.iter().any(speaks_for));
        let Some(account) = account else {
            return self.refuse(StatusCode::FORBIDDEN, "the agent is not the signature's\n");
        };
        let Some(event) = heard.event else { return StatusCode::OK.into_response() };
        if self.0.clock.now().duration_since(heard.at) > OLDEST {
            self.count("an event of more than a week ago");
            info!(%carrier, "an event of more than a week ago has no effect");
            return StatusCode::OK.into_response();
        }
        match self.commit(CarrierEvent { official_account: account.to_string(), ..event }).await {
            Ok(taken) => {
                if let (Taken::Now, Some((number, message))) = (&taken, heard.message) {
                    self.show_reading(account.clone(), number, message);
                }
                if let Taken::Refused(error) = taken {
                    self.count("an event that is refused");
                    debug!(%carrier, %error, "an event has no effect");
                }
                StatusCode::OK.into_response()
            }
            Err(error) => {
                debug!(%carrier, %error, "an event could not be taken");
                (StatusCode::SERVICE_UNAVAILABLE, "come again\n").into_response()
            }
        }
    }

    /// Somebody who is not the platform, or doesn't say what it says.
    fn refuse(&self, status: StatusCode, problem: &'static str) -> Response {
        self.count(problem.trim_end());
        (status, problem).into_response()
    }

    /// Something has no effect; the audit tells how often.
    fn count(&self, why: &'static str) {
        let door = format!("the webhook of {}", self.0.carrier);
        self.0.denials.count(Denial::Posted { door, why });
    }

    /// The tokens that this signature was made with.
    fn signers(&self, headers: &HeaderMap, data: &[u8]) -> Vec<&Token> {
        let signature = headers.get("x-goog-signature").and_then(|value| STANDARD.decode(value).ok());
        let Some(signature) = signature else { return Vec::new() };
        let made = |token: &&Token| {
            let Ok(mac) = Hmac::<Sha512>::new_from_slice(token.secret.expose().as_bytes()) else {
                return false;
            };
            mac.chain_update(data).verify_slice(&signature).is_ok()
        };
        self.0.tokens.iter().filter(made).collect()
    }

    async fn commit(&self, event: CarrierEvent) -> Result<Taken, Error> {
        let busy = || Error::new(musubi_domain::ErrorKind::Unavailable, "too many events wait", "come again");
        let (taken, answer) = oneshot::channel();
        self.0.queue.try_send(Waiting { event, taken }).map_err(|_| busy())?;
        answer.await.map_err(|_| busy())?
    }

    fn show_reading(
        &self,
        account: OfficialAccountId,
        number: musubi_domain::phone_number::PhoneNumber,
        message: String,
    ) {
        let Some(place) = self.0.marks.as_ref().and_then(|marks| Arc::clone(marks).try_acquire_owned().ok())
        else {
            return;
        };
        let gateway = Arc::clone(&self.0.gateway);
        tokio::spawn(async move {
            gateway.show_reading(&account, &number, &message).await;
            drop(place);
        });
    }
}

impl Gathering {
    /// Takes what waits, until the shutdown begins.
    ///
    /// # Errors
    /// Never: what can't be taken is told to whoever waits for it.
    pub(crate) async fn run(mut self, shutdown: Shutdown) -> Result<(), StoreError> {
        let (stop, mut waiting) = (shutdown.token(), Vec::with_capacity(BATCH));
        loop {
            let count = tokio::select! {
                biased;
                count = self.queue.recv_many(&mut waiting, BATCH) => count,
                () = stop.cancelled() => 0,
            };
            if count == 0 {
                return Ok(());
            }
            let (events, answers): (Vec<_>, Vec<_>) =
                waiting.drain(..).map(|Waiting { event, taken }| (event, taken)).unzip();
            match self.events.take(&self.carrier, events).await {
                Ok(taken) => answers.into_iter().zip(taken).for_each(|(answer, taken)| {
                    let _gone = answer.send(Ok(taken));
                }),
                Err(error) => answers.into_iter().for_each(|answer| {
                    let _gone = answer.send(Err(error.clone()));
                }),
            }
        }
    }
}

/// `/rbm/{carrier}` of all of these.
pub(crate) fn routes(webhooks: impl IntoIterator<Item = Webhook>) -> Router {
    let webhooks: HashMap<String, Webhook> =
        webhooks.into_iter().map(|webhook| (webhook.0.carrier.to_string(), webhook)).collect();
    Router::new().route("/rbm/{carrier}", post(receive)).with_state(Arc::new(webhooks))
}

async fn receive(
    State(webhooks): State<Arc<HashMap<String, Webhook>>>,
    Path(carrier): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    match webhooks.get(&carrier) {
        Some(webhook) => webhook.take(&headers, &body).await,
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
