//! What the information server is told. And, pure and the same on every database, its rows: how many events go into one, and how
//! many rows go together.
//!
//! Surprising: a row is also bounded in bytes, because what is in it has to fit into one call.

use async_trait::async_trait;
use jiff::Timestamp;
use musubi_domain::{
    id::{MessageId, OfficialAccountId},
    phone_number::PhoneNumber,
};
use uuid::Uuid;

use super::{BATCH, Response};
use crate::{StoreError, row::Columns};

/// What happened at the carrier, for the information server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Unique for ever; the same whenever the same thing is told.
    pub id: Uuid,
    /// In whose talk room.
    pub account: OfficialAccountId,
    /// Whose phone.
    pub number: PhoneNumber,
    /// When it happened.
    pub time: Timestamp,
    /// What.
    pub kind: EventKind,
}

/// What can happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// The number is on the subscriber list now.
    Followed,
    /// The number left it.
    Unfollowed,
    /// The number went back to the carrier.
    NumberReassigned,
    /// The person answered.
    Responded(Response),
    /// A message moved.
    Receipt(MessageId, ReceiptKind),
}

/// How far a message came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReceiptKind {
    /// The phone has it.
    Delivered,
    /// The person saw it.
    Displayed,
    /// Its time passed before any phone had it.
    Expired,
    /// It was taken back before any phone had it.
    Revoked,
}

/// Encodes events, in order, as one payload of the outbox.
pub type EncodeEvents = fn(&[Event]) -> Vec<u8>;

/// What the information server is told; each keeps an order of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OutboxKind {
    /// [`Event`]s, as the encoder writes them.
    Events,
    /// Signed assertions.
    Assertions,
}

/// Rows of the outbox, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxBatch {
    /// What to acknowledge when all of it was taken.
    pub through: u64,
    /// One for each row.
    pub payloads: Vec<Vec<u8>>,
}

/// What waits to be told.
#[async_trait]
pub trait OutboxStore: Send + Sync {
    /// The oldest rows of the outbox: one at least, then as many more as hold no more than [`BATCH`] items in all. Nothing
    /// when it is empty.
    async fn list_outbox(&self, kind: OutboxKind) -> Result<Option<OutboxBatch>, StoreError>;

    /// Drops what was listed.
    async fn acknowledge_outbox(&self, kind: OutboxKind, through: u64) -> Result<(), StoreError>;
}

/// About how many bytes a row of events holds at most, and how many several rows together.
const ROW_BYTES: usize = 1 << 20;
/// How many rows go together at most; most are full, and a long backlog must not be looked through for each push.
pub(crate) const ROWS: i64 = 50;
/// About how many bytes an event takes besides the person's answer.
const EVENT_BYTES: usize = 160;

/// A kind's number in databases.
pub(crate) const fn kind_number(kind: OutboxKind) -> i16 {
    match kind {
        OutboxKind::Events => 0,
        OutboxKind::Assertions => 1,
    }
}

/// The rows that these events need: how many each holds, and its payload.
pub(crate) fn event_rows(encode: EncodeEvents, mut events: &[Event]) -> Vec<(usize, Vec<u8>)> {
    let mut rows = Vec::new();
    while !events.is_empty() {
        let (row, rest) = events.split_at(row_length(events));
        rows.push((row.len(), encode(row)));
        events = rest;
    }
    rows
}

/// How many of the events the next row holds: one at least.
fn row_length(events: &[Event]) -> usize {
    let mut bytes = 0;
    let fits = events.iter().take(BATCH).take_while(|event| {
        bytes += EVENT_BYTES;
        if let EventKind::Responded(response) = &event.kind {
            bytes += response.len();
        }
        bytes <= ROW_BYTES
    });
    fits.count().max(1)
}

/// Through which row they go together; nothing when there is none. Columns: sequence, items, bytes of the payload.
pub(crate) fn through(rows: &[impl Columns]) -> Result<Option<i64>, StoreError> {
    let (mut last, mut items, mut bytes) = (None, 0_usize, 0_usize);
    for row in rows {
        items = items.saturating_add(row.small(1)?);
        bytes = bytes.saturating_add(row.small(2)?);
        if last.is_some() && (items > BATCH || bytes > ROW_BYTES) {
            break;
        }
        last = Some(row.int(0)?);
    }
    Ok(last)
}
