//! A fleet's link to one carrier: what people do goes out, messages come in.
//!
//! Two tasks for each carrier. Both go on for ever and repeat what failed; nothing is decided here. Surprising: calls go out
//! one after another, never at once, because the carrier has to apply them in the order in which people did them.

use std::{pin::pin, sync::Arc, time::Duration};

use futures::StreamExt as _;
use musubi_proto::carrier::v1::{
    IncomingMessage, ReceiveMessagesRequest, ReceiveMessagesResponse,
    handset_service_client::HandsetServiceClient, verification_service_client::VerificationServiceClient,
};
use musubi_runtime::{
    Clock, entropy,
    grpc::{MAX_MESSAGE_BYTES, client::PeerChannel, retry::Backoff},
    telemetry::story::begin,
};
use musubi_storage::{
    StoreError,
    terminal::{Batch, Outbox},
};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status, Streaming};
use tracing::{error, warn};

use crate::{
    fleet::{BATCH, Fleet},
    outbox::Call,
    telling,
};

/// Waits between tries: short, since a carrier that comes back is at once overrun with waiting people anyway.
const BACKOFF: Backoff =
    Backoff { first: Duration::from_millis(100), cap: Duration::from_secs(2), tries: None };
/// How long an outbox that says it is empty is believed.
const IDLE: Duration = Duration::from_secs(5);

/// How long messages are gathered at most while calls are under way. Each reception makes calls of its own, and these go out
/// one by one.
const GATHERING: Duration = Duration::from_millis(100);

/// The link to one carrier. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Link {
    /// Whose phones.
    pub fleet: Arc<Fleet>,
    /// The carrier's place in the configuration.
    pub place: u16,
    /// The way to it.
    pub channel: PeerChannel,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// When to stop.
    pub stop: CancellationToken,
}

/// Why a link tries again.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    /// The carrier doesn't answer, or not as it should.
    #[error("{} ({:?})", .0.message(), .0.code())]
    Carrier(Box<Status>),
    /// The database doesn't.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<Status> for Trouble {
    fn from(status: Status) -> Self {
        Self::Carrier(Box::new(status))
    }
}

/// Counts failures in a row and waits longer after each.
#[derive(Default)]
struct Patience(u32);

impl Patience {
    async fn wait(&mut self, stop: &CancellationToken) {
        self.0 = self.0.saturating_add(1);
        let wait = BACKOFF.wait(self.0, entropy::number());
        let _stopped = stop.run_until_cancelled(tokio::time::sleep(wait)).await;
    }
}

impl Link {
    /// Sends what the outbox has, until it is told to stop.
    pub(crate) async fn send(self) -> Result<(), StoreError> {
        let carrier = &self.fleet.carrier(self.place).id;
        let mut patience = Patience::default();
        while !self.stop.is_cancelled() {
            match self.send_next().await {
                Ok(()) => patience = Patience::default(),
                Err(trouble) => {
                    warn!(%carrier, "carrier {carrier} got nothing: {trouble}; trying again");
                    patience.wait(&self.stop).await;
                }
            }
        }
        Ok(())
    }

    async fn send_next(&self) -> Result<(), Trouble> {
        let carrier = self.fleet.carrier(self.place);
        let now = self.clock.now();
        let batch = match self.fleet.store().next_batch(&carrier.id, now).await? {
            Outbox::Due(batch) => {
                carrier.calling.send_replace(true);
                batch
            }
            Outbox::Later(due) => {
                self.idle(due.duration_since(now).unsigned_abs().min(IDLE)).await;
                return Ok(());
            }
            Outbox::Empty => {
                self.idle(IDLE).await;
                return Ok(());
            }
        };
        let Some(call) = Call::decode(batch.kind, &batch.request.0) else {
            error!("batch {} of the outbox is no call; it is dropped", batch.batch);
            return Ok(self.fleet.discard(&batch).await?);
        };
        let began = begin();
        let Some(answer) = self.stop.run_until_cancelled(self.perform(&batch, &call)).await else {
            return Ok(());
        };
        match answer {
            Ok(refused) => {
                self.fleet.confirm(self.place, &batch, &call, refused).await?;
                telling::did(call.actions(), began);
            }
            Err(status) if status.code() == Code::InvalidArgument => {
                let (id, name) = (&carrier.id, call.name());
                error!(carrier = %id, "{name} refused by carrier {id} and dropped: {}", status.message());
                self.fleet.discard(&batch).await?;
            }
            Err(status) => return Err(status.into()),
        }
        Ok(())
    }

    async fn idle(&self, wait: Duration) {
        let carrier = self.fleet.carrier(self.place);
        carrier.calling.send_replace(false);
        let bell = carrier.outbox.notified();
        let _either = self.stop.run_until_cancelled(tokio::time::timeout(wait, bell)).await;
    }

    /// Makes the call; gives how many of its items were refused.
    async fn perform(&self, batch: &Batch, call: &Call) -> Result<u64, Status> {
        let mut handsets =
            HandsetServiceClient::new(self.channel.clone()).max_encoding_message_size(MAX_MESSAGE_BYTES);
        let mut verifiers =
            VerificationServiceClient::new(self.channel.clone()).max_encoding_message_size(MAX_MESSAGE_BYTES);
        match call {
            Call::Act(request) => handsets.submit_actions(request.clone()).await.map(|_applied| 0),
            Call::Register(request) => verifiers.register_persons(request.clone()).await.map(|_issued| 0),
            Call::Authenticate(request) => {
                let refused = verifiers.authenticate(request.clone()).await?.into_inner().refused;
                if let Some(first) = refused.first() {
                    let (count, batch) = (refused.len(), batch.batch);
                    warn!(batch, "{count} pages refused, the first for {}: {}", first.field, first.problem);
                }
                Ok(refused.len() as u64)
            }
        }
    }

    /// Takes messages, until it is told to stop.
    pub(crate) async fn receive(self) -> Result<(), StoreError> {
        let carrier = &self.fleet.carrier(self.place).id;
        let mut patience = Patience::default();
        while !self.stop.is_cancelled() {
            if let Err(trouble) = self.listen(&mut patience).await {
                warn!(%carrier, "no messages from carrier {carrier}: {trouble}; trying again");
            }
            patience.wait(&self.stop).await;
        }
        Ok(())
    }

    /// One call for messages, until the carrier ends it. What is gathered goes into one transaction.
    async fn listen(&self, patience: &mut Patience) -> Result<(), Trouble> {
        let mut client =
            HandsetServiceClient::new(self.channel.open_ended()).max_decoding_message_size(MAX_MESSAGE_BYTES);
        let request = ReceiveMessagesRequest { fleet: self.fleet.name().to_owned() };
        let Some(answer) = self.stop.run_until_cancelled(client.receive_messages(request)).await else {
            return Ok(());
        };
        let mut stream = answer?.into_inner();
        let again = &self.fleet.carrier(self.place).listen_again;
        loop {
            let next = async {
                tokio::select! {
                    biased;
                    next = stream.next() => next,
                    // A new call is given again what a phone that was off has not confirmed.
                    () = again.notified() => None,
                }
            };
            let Some(Some(first)) = self.stop.run_until_cancelled(next).await else { break };
            let mut messages = first?.messages;
            let ended = self.gather(&mut stream, &mut messages).await;
            self.take(messages).await?;
            *patience = Patience::default();
            if let Some(ended) = ended {
                return Ok(ended?);
            }
        }
        Ok(())
    }

    /// Adds what is ready as well, and what comes while calls are under way. Gives how the stream ended, if it did.
    async fn gather(
        &self,
        stream: &mut Streaming<ReceiveMessagesResponse>,
        messages: &mut Vec<IncomingMessage>,
    ) -> Option<Result<(), Status>> {
        let mut calling = self.fleet.carrier(self.place).calling.subscribe();
        let mut enough = pin!(tokio::time::timeout(GATHERING, calling.wait_for(|calling| !calling)));
        while messages.len() < BATCH {
            tokio::select! {
                biased;
                next = stream.next() => match next {
                    Some(Ok(more)) => messages.extend(more.messages),
                    Some(Err(status)) => return Some(Err(status)),
                    None => return Some(Ok(())),
                },
                _called = &mut enough => return None,
            }
        }
        None
    }

    async fn take(&self, mut messages: Vec<IncomingMessage>) -> Result<(), StoreError> {
        while !messages.is_empty() {
            let rest = messages.split_off(messages.len().min(BATCH));
            let (told, began) = (telling::Shown::of(&messages), begin());
            self.fleet.receive(self.place, messages, self.clock.now()).await?;
            told.tell(&self.fleet.carrier(self.place).id, began);
            messages = rest;
        }
        Ok(())
    }
}
