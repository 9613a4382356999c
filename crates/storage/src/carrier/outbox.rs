//! The rows of the outbox: how many events go into one, and how many rows go together. Pure, the same on every database.
//!
//! Surprising: a row is also bounded in bytes, because what is in it has to fit into one call.

use super::{BATCH, EncodeEvents, Event, EventKind, OutboxKind};
use crate::{StoreError, row::Columns};

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
