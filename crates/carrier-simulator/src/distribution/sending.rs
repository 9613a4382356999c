//! `MessageService`: messages from the information server, each with a verdict of its own.
//!
//! A message is accepted only when it is stored. Surprising: an id that was seen before is a duplicate whatever comes under it
//! now, malformed or refused, because its sender may take a duplicate as accepted and must not hear two stories about one id.

use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use musubi_domain::{Error, ErrorKind, id::OfficialAccountId};
use musubi_proto::carrier::v1::{
    OutgoingMessage, RevokeMessagesRequest, RevokeMessagesResponse, SendDecision, SendMessagesRequest,
    SendMessagesResponse, SendVerdict, message_service_server::MessageService,
};
use musubi_runtime::{
    Clock,
    grpc::status::to_status,
    telemetry::{metrics::STORE, story::begin},
};
use musubi_storage::carrier::{Candidate, CarrierStore, Enqueued};
use tonic::{Request, Response, Status};

use super::Fleets;
use crate::{
    faults::{Lost, MessageFault, SendFaults},
    outbox::Wake,
    telling::Carried,
    wire,
};

pub(crate) struct Sending {
    pub(crate) store: Arc<dyn CarrierStore>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) fleets: Fleets,
    pub(crate) events: Wake,
    pub(crate) faults: Mutex<SendFaults>,
    /// How long a message without an expire time waits.
    pub(crate) time_to_live: SignedDuration,
}

#[tonic::async_trait]
impl MessageService for Sending {
    async fn send_messages(
        &self,
        request: Request<SendMessagesRequest>,
    ) -> Result<Response<SendMessagesResponse>, Status> {
        let lost = self.faults.lock().unwrap_or_else(PoisonError::into_inner).call();
        if lost == Some(Lost::Call) {
            return Err(lost_on_purpose());
        }
        let verdicts = self.send(request.into_inner()).await.map_err(to_status)?;
        if lost == Some(Lost::Answer) {
            return Err(lost_on_purpose());
        }
        Ok(Response::new(SendMessagesResponse { verdicts }))
    }

    async fn revoke_messages(
        &self,
        request: Request<RevokeMessagesRequest>,
    ) -> Result<Response<RevokeMessagesResponse>, Status> {
        let revoked = self.revoke(request.into_inner()).await.map_err(to_status)?;
        Ok(Response::new(RevokeMessagesResponse { revoked }))
    }
}

fn lost_on_purpose() -> Status {
    to_status(Error::new(ErrorKind::Unavailable, "lost by the configured faults", "send the same again"))
}

impl Sending {
    async fn send(&self, request: SendMessagesRequest) -> Result<Vec<SendVerdict>, Error> {
        let account = request.official_account.parse()?;
        wire::check_count(request.messages.len(), "messages")?;
        let (now, began) = (self.clock.now(), begin());
        let carried: Vec<Carried> =
            request.messages.iter().map(|message| Carried::of_outgoing(&account, message)).collect();
        let mut candidates = Vec::with_capacity(request.messages.len());
        let verdicts: Vec<_> = request
            .messages
            .into_iter()
            .map(|message| match self.candidate(message, &account, now) {
                Ok((candidate, otherwise)) => {
                    candidates.push(candidate);
                    otherwise
                }
                Err(nameless) => Verdict::Given(nameless),
            })
            .collect();
        let enqueue = self.store.enqueue_messages(&account, &candidates);
        let enqueueing = STORE.time(["enqueue messages"], enqueue).await?;
        for fleet in &enqueueing.fleets {
            self.fleets.wake(fleet);
        }
        let mut outcomes = enqueueing.outcomes.into_iter();
        let verdicts = verdicts.into_iter().map(|verdict| match verdict {
            Verdict::Given(verdict) => Some(verdict),
            Verdict::IfUnwanted(otherwise) => Some(match outcomes.next()? {
                Enqueued::Queued => decided(SendDecision::Accepted),
                Enqueued::Seen => decided(SendDecision::Duplicate),
                Enqueued::NotFollowing => decided(SendDecision::Unreachable),
                Enqueued::Unwanted => otherwise,
            }),
        });
        let fault = || Error::new(ErrorKind::Internal, "the store gave fewer outcomes than candidates", "");
        let verdicts: Vec<SendVerdict> = verdicts.collect::<Option<_>>().ok_or_else(fault)?;
        for (carried, verdict) in carried.into_iter().zip(&verdicts) {
            carried.tell(word(verdict.decision()), began);
        }
        Ok(verdicts)
    }

    /// What the store is asked about a message, and the verdict when it isn't to be stored; or, when it has no id that could
    /// have been seen, the verdict alone.
    fn candidate(
        &self,
        message: OutgoingMessage,
        account: &OfficialAccountId,
        now: Timestamp,
    ) -> Result<(Candidate, Verdict), SendVerdict> {
        let message_id = message.message_id.parse().map_err(|error| refused(&error))?;
        let fault = self.faults.lock().unwrap_or_else(PoisonError::into_inner).message(message_id);
        let default_expiry = now.saturating_add(self.time_to_live).unwrap_or(Timestamp::MAX);
        let (message, otherwise) =
            match (wire::new_message(message, account.as_str(), now, default_expiry), fault) {
                (Err(error), _) => (None, refused(&error)),
                (Ok(_), Some(fault)) => (None, failed(fault)),
                (Ok(message), None) => (Some(message), SendVerdict::default()),
            };
        Ok((Candidate { message_id, message }, Verdict::IfUnwanted(otherwise)))
    }

    async fn revoke(&self, request: RevokeMessagesRequest) -> Result<Vec<bool>, Error> {
        let account = request.official_account.parse()?;
        wire::check_count(request.message_ids.len(), "message_ids")?;
        // What is no id was never seen.
        let ids: Vec<_> = request.message_ids.iter().map(|id| id.parse().ok()).collect();
        let known: Vec<_> = ids.iter().copied().flatten().collect();
        let mut revoked = self.store.revoke_messages(&account, &known, self.clock.now()).await?.into_iter();
        self.events.wake();
        Ok(ids.iter().map(|id| id.is_some() && revoked.next().unwrap_or_default()).collect())
    }
}

const fn word(decision: SendDecision) -> &'static str {
    match decision {
        SendDecision::Unspecified => "unspecified",
        SendDecision::Accepted => "accepted",
        SendDecision::Duplicate => "duplicate",
        SendDecision::Refused => "refused",
        SendDecision::Throttled => "throttled",
        SendDecision::Unreachable => "unreachable",
    }
}

/// What is known about a message before the store is asked.
enum Verdict {
    /// All.
    Given(SendVerdict),
    /// The verdict if it was neither seen before nor wanted now.
    IfUnwanted(SendVerdict),
}

fn decided(decision: SendDecision) -> SendVerdict {
    SendVerdict { decision: decision.into(), ..Default::default() }
}

fn refused(error: &Error) -> SendVerdict {
    SendVerdict { reason: error.to_string(), ..decided(SendDecision::Refused) }
}

fn failed(fault: MessageFault) -> SendVerdict {
    match fault {
        MessageFault::Refused => SendVerdict {
            reason: "refused by the configured faults".to_owned(),
            ..decided(SendDecision::Refused)
        },
        MessageFault::Throttled(after) => {
            SendVerdict { retry_after: after.try_into().ok(), ..decided(SendDecision::Throttled) }
        }
    }
}
