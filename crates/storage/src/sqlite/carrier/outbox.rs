//! What the information server is to be told: a row for a batch, dropped when it was acknowledged.
//!
//! Rows are only ever added by the transaction whose changes they tell of. Surprising: a row is also bounded in bytes, because
//! what is in it has to fit into one call.

use sqlx::SqliteConnection;

use super::unsigned;
use crate::{
    StoreError,
    carrier::{BATCH, EncodeEvents, Event, EventKind, OutboxBatch, OutboxKind},
    sqlite::Database,
};

/// About how many bytes a row of events holds at most, and how many several rows together.
const ROW_BYTES: usize = 1 << 20;
/// How many rows go together at most; most are full, and a long backlog must not be looked through for each push.
const ROWS: i64 = 50;
/// About how many bytes an event takes besides the person's answer.
const EVENT_BYTES: usize = 160;

const fn kind_number(kind: OutboxKind) -> i64 {
    match kind {
        OutboxKind::Events => 0,
        OutboxKind::Assertions => 1,
    }
}

/// Adds one row.
pub(super) async fn put(
    connection: &mut SqliteConnection,
    transaction: &'static str,
    kind: OutboxKind,
    items: usize,
    payload: &[u8],
) -> Result<(), StoreError> {
    sqlx::query("INSERT INTO outbox (kind, items, payload) VALUES (?1, ?2, ?3)")
        .bind(kind_number(kind))
        .bind(i64::try_from(items).unwrap_or(i64::MAX))
        .bind(payload)
        .execute(connection)
        .await
        .map(drop)
        .map_err(StoreError::during(transaction))
}

/// Adds the rows that these events need.
pub(super) async fn put_events(
    connection: &mut SqliteConnection,
    transaction: &'static str,
    encode: EncodeEvents,
    mut events: &[Event],
) -> Result<(), StoreError> {
    while !events.is_empty() {
        let (row, rest) = events.split_at(row_length(events));
        put(connection, transaction, OutboxKind::Events, row.len(), &encode(row)).await?;
        events = rest;
    }
    Ok(())
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

pub(super) async fn list(database: &Database, kind: OutboxKind) -> Result<Option<OutboxBatch>, StoreError> {
    let failed = StoreError::during("list_outbox");
    let rows: Vec<(i64, i64, i64)> = sqlx::query_as(
        "SELECT sequence, items, length(payload) FROM outbox WHERE kind = ?1 ORDER BY sequence LIMIT ?2",
    )
    .bind(kind_number(kind))
    .bind(ROWS)
    .fetch_all(database.read_fresh())
    .await
    .map_err(&failed)?;
    let (mut items, mut bytes) = (0_i64, 0_i64);
    let fits = rows.iter().enumerate().take_while(|(index, row)| {
        items = items.saturating_add(row.1);
        bytes = bytes.saturating_add(row.2);
        *index == 0 || (within(items, BATCH) && within(bytes, ROW_BYTES))
    });
    let Some((_, (through, ..))) = fits.last() else {
        return Ok(None);
    };
    let payloads =
        sqlx::query_scalar("SELECT payload FROM outbox WHERE kind = ?1 AND sequence <= ?2 ORDER BY sequence")
            .bind(kind_number(kind))
            .bind(through)
            .fetch_all(database.read_fresh())
            .await
            .map_err(failed)?;
    Ok(Some(OutboxBatch { through: unsigned(*through, "a place in the outbox")?, payloads }))
}

fn within(value: i64, limit: usize) -> bool {
    usize::try_from(value).is_ok_and(|value| value <= limit)
}

pub(super) async fn acknowledge(
    database: &Database,
    kind: OutboxKind,
    through: u64,
) -> Result<(), StoreError> {
    let failed = StoreError::during("acknowledge_outbox");
    let mut transaction = database.write("acknowledge_outbox").await?;
    sqlx::query("DELETE FROM outbox WHERE kind = ?1 AND sequence <= ?2")
        .bind(kind_number(kind))
        .bind(i64::try_from(through).unwrap_or(i64::MAX))
        .execute(&mut *transaction)
        .await
        .map_err(&failed)?;
    transaction.commit().await.map_err(failed)
}
