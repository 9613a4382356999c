//! The store of the carrier node: what it must do, whatever the database.
//!
//! A file for each part: accounts and their subscriber lists \[320\], messages in flight, what people do, who has a number, RBM agents, the
//! authorities' keys and persons, and the outbox to the information server. What the wire carries is opaque here: payloads come in encoded, and events go
//! out through the encoder that the store was opened with. Surprising: whatever changes something writes the events that tell of it
//! in the same transaction, so no change is ever untold and none is told that didn't happen.

mod actions;
pub(crate) mod agents;
mod authority;
pub(crate) mod ledger;
mod lists;
pub(crate) mod messages;
pub(crate) mod numbers;
pub(crate) mod outbox;
pub(crate) mod record;
pub(crate) mod webhooks;

use std::{str::FromStr, sync::Arc};

use musubi_domain::{Error, id::CarrierId};

pub use self::{
    actions::{Action, ActionBatch, ActionKind, ActionStore, Applied, Response, RoomAction},
    agents::{
        Agent, AgentEnqueued, AgentFile, AgentMessage, AgentStore, AgentTraffic, Invited, SentMessage,
        TESTERS, TESTERS_A_DAY,
    },
    authority::{AuthorityKey, AuthorityStore, Person},
    lists::{Snapshot, SubscriberListStore},
    messages::{Candidate, Enqueued, Enqueueing, MessageStore, NewMessage, QueuedMessage},
    numbers::{NumberStore, Tenure, TenureChange},
    outbox::{EncodeEvents, Event, EventKind, OutboxBatch, OutboxKind, OutboxStore, ReceiptKind},
    webhooks::{AgentEvent, AgentEventKind, COUNTED, Tried, WebhookStore},
};
use crate::Opened;

/// The most items of one call, of one row of the outbox, of one page.
pub const BATCH: usize = 1_000;

/// A fleet of terminals: 1 to 63 of a-z, 0-9 and hyphen. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FleetName(Arc<str>);

impl FleetName {
    /// The name, as on the wire.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for FleetName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        // The rule of every slug.
        let slug: CarrierId = text.parse().map_err(|error: Error| error.at("fleet"))?;
        Ok(Self(slug.as_str().into()))
    }
}

/// A carrier's store. Each method is one transaction; all may be repeated.
///
/// All of them give [`Unavailable`](crate::StoreError::Unavailable) when the database doesn't work: nothing was written, unless the
/// commit itself was cut off; then repeating tells. They give [`Refused`](crate::StoreError::Refused) where it is said.
pub trait CarrierStore:
    Opened
    + SubscriberListStore
    + MessageStore
    + NumberStore
    + ActionStore
    + AgentStore
    + AuthorityStore
    + OutboxStore
    + WebhookStore
{
}

impl<T> CarrierStore for T where
    T: Opened
        + SubscriberListStore
        + MessageStore
        + NumberStore
        + ActionStore
        + AgentStore
        + AuthorityStore
        + OutboxStore
        + WebhookStore
{
}
