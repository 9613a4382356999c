//! Tells the information server what happened: events, and the authorities' assertions, each in their order.
//!
//! One push is under way at a time for each of the two, and a row leaves the database when it was acknowledged; so nothing is
//! lost and the order of a number's events is kept. Nothing is decided here. Surprising: what the information server refuses is
//! dropped, because it says that repeating is in vain; what fails as a call is repeated for ever.

use std::{sync::Arc, time::Duration};

use musubi_domain::{Error, ErrorKind};
use musubi_proto::{
    information::v1::{
        PushAssertionsRequest, PushEventsRequest, carrier_event_service_client::CarrierEventServiceClient,
    },
    r#type::v1::ItemError,
};
use musubi_runtime::{
    entropy,
    grpc::{client::PeerChannel, retry::Backoff},
    telemetry::story::begin,
};
use musubi_storage::carrier::{CarrierStore, OutboxKind};
use prost::Message as _;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tracing::{debug, warn};

use crate::{
    faults::{Lost, PushFaults},
    telling,
};

/// How often the outbox is looked at although nobody said that there is something.
const LOOK_ANYWAY: Duration = Duration::from_secs(1);

/// Between tries; short at most, so that an information server that is back is told soon.
const BACKOFF: Backoff =
    Backoff { first: Duration::from_millis(100), cap: Duration::from_secs(2), tries: None };

/// Says that there may be something to tell, to all who wait for it. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Wake(Arc<watch::Sender<u64>>);

/// Waits for a [`Wake`]; what was said since the last time counts, too.
pub(crate) struct Waiter(watch::Receiver<u64>);

impl Wake {
    pub(crate) fn wake(&self) {
        self.0.send_modify(|count| *count = count.wrapping_add(1));
    }

    pub(crate) fn waiter(&self) -> Waiter {
        Waiter(self.0.subscribe())
    }
}

impl Waiter {
    /// Until somebody says it, and no longer than this.
    pub(crate) async fn woken(&mut self, at_most: Duration) {
        // Who might say it may be gone, and then the time is waited for.
        if let Ok(Err(_gone)) = tokio::time::timeout(at_most, self.0.changed()).await {
            tokio::time::sleep(at_most).await;
        }
    }
}

/// Pushes one kind of rows.
pub(crate) struct Pusher {
    pub(crate) store: Arc<dyn CarrierStore>,
    pub(crate) client: CarrierEventServiceClient<PeerChannel>,
    pub(crate) faults: PushFaults,
    pub(crate) waiter: Waiter,
    pub(crate) stop: CancellationToken,
}

impl Pusher {
    /// Pushes events until it is told to stop.
    ///
    /// # Errors
    /// When the outbox holds what can't be read.
    pub(crate) async fn push_events(mut self) -> Result<(), Error> {
        while let Some((through, payload)) = self.next(OutboxKind::Events).await {
            let request = PushEventsRequest::decode(payload.as_slice()).map_err(|_| unreadable())?;
            let (events, again) = self.faults.disturb(request.events);
            for events in [events, again] {
                if events.is_empty() {
                    continue;
                }
                let (request, began) = (PushEventsRequest { events }, begin());
                let client = self.client.clone();
                let push = || {
                    let (mut client, request) = (client.clone(), request.clone());
                    async move { client.push_events(request).await.map(|answer| answer.into_inner().refused) }
                };
                let Some(refused) = self.until_acknowledged(push).await else {
                    return Ok(());
                };
                telling::reported(&request.events, began);
                report(&refused, |index| request.events.get(index).map(|event| event.event_id.clone()));
            }
            self.acknowledge(OutboxKind::Events, through).await;
        }
        Ok(())
    }

    /// Pushes assertions until it is told to stop.
    ///
    /// # Errors
    /// When the outbox holds what can't be read.
    pub(crate) async fn push_assertions(mut self) -> Result<(), Error> {
        while let Some((through, payload)) = self.next(OutboxKind::Assertions).await {
            let request = PushAssertionsRequest::decode(payload.as_slice()).map_err(|_| unreadable())?;
            let client = self.client.clone();
            let push = || {
                let (mut client, request) = (client.clone(), request.clone());
                async move { client.push_assertions(request).await.map(|answer| answer.into_inner().refused) }
            };
            let Some(refused) = self.until_acknowledged(push).await else {
                return Ok(());
            };
            // An assertion is personal as a whole; its place is all that may be told.
            report(&refused, |_| None);
            self.acknowledge(OutboxKind::Assertions, through).await;
        }
        Ok(())
    }

    /// The oldest rows as one payload, as soon as there are any; nothing when it is time to stop.
    async fn next(&mut self, kind: OutboxKind) -> Option<(u64, Vec<u8>)> {
        while !self.stop.is_cancelled() {
            match self.store.list_outbox(kind).await {
                Ok(Some(batch)) => return Some((batch.through, batch.payloads.concat())),
                Ok(None) => {}
                Err(error) => warn!("the outbox can't be read, it is tried again: {error}"),
            }
            self.stop.run_until_cancelled(self.waiter.woken(LOOK_ANYWAY)).await?;
        }
        None
    }

    /// Calls until it is answered; gives what was refused, or nothing when it is time to stop.
    async fn until_acknowledged<F>(&mut self, push: impl Fn() -> F) -> Option<Vec<ItemError>>
    where
        F: Future<Output = Result<Vec<ItemError>, Status>>,
    {
        let stop = self.stop.clone();
        let mut failures = 0_u32;
        loop {
            let (delay, lost) = self.faults.push();
            stop.run_until_cancelled(tokio::time::sleep(delay)).await?;
            let answer =
                if lost == Some(Lost::Call) { None } else { Some(stop.run_until_cancelled(push()).await?) };
            match answer {
                Some(Ok(refused)) if lost.is_none() => return Some(refused),
                Some(Err(status)) => {
                    warn!(code = ?status.code(), failures, "a push failed, it is repeated: {}", status.message());
                }
                Some(Ok(_)) | None => debug!("a push was lost by the configured faults, it is repeated"),
            }
            failures = failures.saturating_add(1);
            let wait = BACKOFF.wait(failures, entropy::number());
            stop.run_until_cancelled(tokio::time::sleep(wait)).await?;
        }
    }

    /// When it can't be written, the same rows are pushed again, which the information server takes as repeated.
    async fn acknowledge(&self, kind: OutboxKind, through: u64) {
        if let Err(error) = self.store.acknowledge_outbox(kind, through).await {
            warn!("the outbox can't be written, its rows are pushed again: {error}");
        }
    }
}

fn unreadable() -> Error {
    Error::new(ErrorKind::Internal, "a row of the outbox can't be read", "")
}

/// Logs what was refused, without what is personal: each for whoever looks for it, and once in sum.
fn report(refused: &[ItemError], id: impl Fn(usize) -> Option<String>) {
    for item in refused {
        let index = usize::try_from(item.index).unwrap_or(usize::MAX);
        debug!(index, id = id(index), "refused: {}: {}", item.field, item.problem);
    }
    if let Some(first) = refused.first() {
        warn!(
            "the information server refused {} items for good; the first: {}: {}",
            refused.len(),
            first.field,
            first.problem
        );
    }
}
