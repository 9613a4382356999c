//! `agentMessages`: messages come in, and are taken back.
//!
//! Calls bring one message each; those that come at the same time are stored in one transaction. Surprising: an id that was used before
//! is answered as if it were new, because a client that repeats a call may not hear another story; a strict face says ALREADY_EXISTS.

use axum::{Json, extract::State};
use http::StatusCode;
use jiff::Timestamp;
use musubi_domain::{
    Error,
    id::{MessageId, OfficialAccountId},
    phone_number::PhoneNumber,
};
use musubi_proto::carrier::v1::IncomingMessage;
use musubi_runtime::telemetry::story::{Began, begin};
use musubi_storage::carrier::{AgentEnqueued, AgentMessage, BATCH};
use prost::Message as _;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    Body, Face, Named, Query, client_id,
    error::{ApiError, Code},
    message::{self, Draft, MESSAGE_BYTES},
    number, unreachable,
};
use crate::telling::Carried;

/// Messages that wait to be stored; more callers wait for a place.
const WAITING: usize = 4 * BATCH;

/// A message on its way into the store, and who waits for what becomes of it.
pub(crate) struct Offer {
    account: OfficialAccountId,
    message: AgentMessage,
    carried: (Carried, Began),
    outcome: oneshot::Sender<Result<AgentEnqueued, ApiError>>,
}

pub(crate) type Sender = mpsc::Sender<Offer>;
pub(crate) type Offers = mpsc::Receiver<Offer>;

pub(crate) fn channel() -> (Sender, Offers) {
    mpsc::channel(WAITING)
}

/// What a message is called here: the name that the information server gives its own, or one that is derived from all that names it.
pub(crate) fn message_id(account: &OfficialAccountId, number: PhoneNumber, client_id: &str) -> MessageId {
    client_id.parse().unwrap_or_else(|_| {
        let name = format!("{account}/{}/{client_id}", number.as_str());
        MessageId::from_bytes(Uuid::new_v5(&Uuid::NAMESPACE_URL, name.as_bytes()).into_bytes())
    })
}

/// An instant as the API writes it.
pub(crate) fn instant(time: Timestamp) -> String {
    format!("{time:.6}")
}

/// `POST /v1/phones/{number}/agentMessages`
pub(crate) async fn create(
    State(face): State<Face>,
    Named(phone): Named<String>,
    query: Query,
    Body(body): Body,
) -> Result<Json<Value>, ApiError> {
    let agent = face.speaker(query.agent_id.as_deref())?;
    let number = number(&phone)?;
    let client_id = client_id(query.message_id, "messageId", face.strict)?;
    if body.len() > MESSAGE_BYTES {
        let problem = format!("is {} bytes; send at most {MESSAGE_BYTES}", body.len());
        return Err(ApiError::invalid("the body", problem));
    }
    let (now, began) = (face.clock.now(), begin());
    let taken = face.discovery.request("AgentMessage", &body, face.strict)?;
    let Draft { traffic, expires, timed, content, files } =
        message::read(&taken, agent.use_case, face.strict, now)?;
    face.may_speak(agent, number).await?;
    for (name, field) in files {
        if face.store.find_agent_file(&agent.account, &name).await?.is_none() {
            return Err(ApiError::invalid(field, "no such file of this agent; upload it first"));
        }
    }
    face.adopt(&[number]).await?;
    let message_id = message_id(&agent.account, number, &client_id);
    let payload = IncomingMessage {
        message_id: message_id.to_string(),
        msisdn: number.as_str().to_owned(),
        official_account: agent.account.to_string(),
        // Read with the account when it is delivered, because it may change.
        display_name: String::new(),
        content: Some(content.into()),
        traffic_type: message::shown_as(traffic).into(),
    };
    let message = AgentMessage {
        message_id,
        client_id: client_id.clone(),
        number,
        expires,
        timed,
        traffic,
        body: String::from_utf8_lossy(&body).into_owned(),
        payload: payload.encode_to_vec(),
    };
    let shown_as = message::shown_as(traffic);
    let carried = Carried::of(&agent.account, Some(message_id), shown_as, || Some(number));
    let (outcome, told) = oneshot::channel();
    let gone = || ApiError::new(Code::Unavailable, "the simulator is stopping; send the same again");
    let offer = Offer { account: agent.account.clone(), message, carried: (carried, began), outcome };
    face.sender.send(offer).await.map_err(|_| gone())?;
    match told.await.map_err(|_| gone())?? {
        AgentEnqueued::Seen if face.strict => {
            Err(ApiError::new(Code::AlreadyExists, "messageId was used before; give each message its own"))
        }
        AgentEnqueued::Queued | AgentEnqueued::Seen => {
            let mut answer = taken;
            answer["name"] = format!("phones/{}/agentMessages/{client_id}", number.as_str()).into();
            answer["sendTime"] = instant(now).into();
            Ok(Json(answer))
        }
        AgentEnqueued::Unreachable => Err(unreachable()),
        AgentEnqueued::Unsubscribed => Err(ApiError::new(
            Code::PermissionDenied,
            "the person has unsubscribed; what may be sent is AUTHENTICATION, SERVICEREQUEST and one ACKNOWLEDGEMENT",
        )),
    }
}

/// `DELETE /v1/phones/{number}/agentMessages/{id}`
pub(crate) async fn delete(
    State(face): State<Face>,
    Named((phone, id)): Named<(String, String)>,
    query: Query,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let agent = face.speaker(query.agent_id.as_deref())?;
    let number = number(&phone)?;
    let id = message_id(&agent.account, number, &client_id(Some(id), "name", false)?);
    let revoked = face.store.revoke_messages(&agent.account, &[id], face.clock.now()).await?;
    match revoked.first() {
        Some(true) => Ok((StatusCode::OK, Json(json!({})))),
        Some(false) | None => Err(ApiError::new(
            Code::NotFound,
            "no such message waits for the phone: it was delivered, expired, or never sent",
        )),
    }
}

const fn word(outcome: AgentEnqueued) -> &'static str {
    match outcome {
        AgentEnqueued::Queued => "accepted",
        AgentEnqueued::Seen => "duplicate",
        AgentEnqueued::Unreachable => "unreachable",
        AgentEnqueued::Unsubscribed => "refused",
    }
}

impl Face {
    /// Stores what calls bring, all that is there at once, until it is told to stop.
    pub(crate) async fn take(self, mut offers: Offers, stop: CancellationToken) {
        let mut taken = Vec::new();
        while stop
            .run_until_cancelled(offers.recv_many(&mut taken, BATCH))
            .await
            .is_some_and(|count| count > 0)
        {
            while let Some(account) = taken.first().map(|offer: &Offer| offer.account.clone()) {
                let (of_account, others) = taken.into_iter().partition(|offer| offer.account == account);
                taken = others;
                self.store_offers(&account, of_account).await;
            }
        }
    }

    async fn store_offers(&self, account: &OfficialAccountId, offers: Vec<Offer>) {
        let (messages, waiting): (Vec<_>, Vec<_>) =
            offers.into_iter().map(|offer| (offer.message, (offer.carried, offer.outcome))).unzip();
        // Who has gone away needs no answer.
        match self.store.enqueue_agent_messages(account, &messages, self.clock.now()).await {
            Ok((outcomes, fleets)) => {
                for fleet in &fleets {
                    self.fleets.wake(fleet);
                }
                for (((carried, began), waiting), outcome) in waiting.into_iter().zip(outcomes) {
                    carried.tell(word(outcome), began);
                    waiting.send(Ok(outcome)).unwrap_or_default();
                }
            }
            Err(error) => {
                let error = ApiError::from(Error::from(error));
                for (_, waiting) in waiting {
                    waiting.send(Err(error.clone())).unwrap_or_default();
                }
            }
        }
    }
}
