//! What the information server is to be told: a row for a batch, dropped when it was acknowledged.
//!
//! Rows are only ever added by the transaction whose changes they tell of. Surprising: who adds some holds the order's head until
//! the commit, and comes last in a transaction, because an acknowledgement drops all up to a place, and nothing may come there
//! later.

use async_trait::async_trait;

use super::{PostgresCarrierStore, Tx};
use crate::{
    StoreError,
    carrier::{
        OutboxBatch, OutboxKind, OutboxStore,
        outbox::{ROWS, kind_number, through},
    },
    row::Columns as _,
};

const PUT: &str = "
    WITH head AS (UPDATE heads SET last = last + $2 WHERE head = $1 RETURNING last - $2 AS before)
    INSERT INTO outbox (kind, sequence, items, payload)
    SELECT $1, head.before + new.place, new.items, new.payload
    FROM head CROSS JOIN unnest($3::bigint[], $4::bytea[]) WITH ORDINALITY AS new(items, payload, place)";

pub(super) const SIZES: &str = "
    SELECT sequence, items, length(payload) FROM outbox WHERE kind = $1 ORDER BY sequence LIMIT $2";

pub(super) const PAYLOADS: &str = "
    SELECT payload FROM outbox WHERE kind = $1 AND sequence <= $2 ORDER BY sequence";

pub(super) const DROP: &str = "DELETE FROM outbox WHERE kind = $1 AND sequence <= $2";

/// Adds rows: how many items each holds, and its payload.
pub(super) async fn put(
    write: &mut Tx,
    kind: OutboxKind,
    rows: &[(usize, Vec<u8>)],
) -> Result<(), StoreError> {
    if rows.is_empty() {
        return Ok(());
    }
    let integer = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    let items: Vec<_> = rows.iter().map(|(items, _)| integer(*items)).collect();
    let payloads: Vec<_> = rows.iter().map(|(_, payload)| payload.as_slice()).collect();
    let put = sqlx::query(PUT).bind(kind_number(kind)).bind(integer(rows.len())).bind(items).bind(payloads);
    write.execute(put).await.map(drop)
}

#[async_trait]
impl OutboxStore for PostgresCarrierStore {
    async fn list_outbox(&self, kind: OutboxKind) -> Result<Option<OutboxBatch>, StoreError> {
        let failed = StoreError::during("list_outbox");
        let sizes = sqlx::query(SIZES)
            .bind(kind_number(kind))
            .bind(ROWS)
            .fetch_all(self.database.read())
            .await
            .map_err(&failed)?;
        let Some(through) = through(&sizes)? else { return Ok(None) };
        let found = sqlx::query(PAYLOADS)
            .bind(kind_number(kind))
            .bind(through)
            .fetch_all(self.database.read())
            .await
            .map_err(failed)?;
        let payloads =
            found.iter().map(|row| Ok(row.bytes(0)?.to_vec())).collect::<Result<_, StoreError>>()?;
        Ok(Some(OutboxBatch { through: through.unsigned_abs(), payloads }))
    }

    async fn acknowledge_outbox(&self, kind: OutboxKind, through: u64) -> Result<(), StoreError> {
        let mut write = self.database.write("acknowledge_outbox").await?;
        let through = i64::try_from(through).unwrap_or(i64::MAX);
        write.execute(sqlx::query(DROP).bind(kind_number(kind)).bind(through)).await?;
        write.commit().await
    }
}
