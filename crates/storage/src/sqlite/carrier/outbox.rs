//! What the information server is to be told: a row for a batch, dropped when it was acknowledged.
//!
//! Rows are only ever added by the transaction whose changes they tell of.

use async_trait::async_trait;
use sqlx::SqliteConnection;

use super::SqliteCarrierStore;
use crate::{
    StoreError,
    carrier::{
        OutboxBatch, OutboxKind, OutboxStore,
        outbox::{ROWS, kind_number, through},
    },
};

/// Adds rows: how many items each holds, and its payload.
pub(super) async fn put(
    connection: &mut SqliteConnection,
    transaction: &'static str,
    kind: OutboxKind,
    rows: &[(usize, Vec<u8>)],
) -> Result<(), StoreError> {
    for (items, payload) in rows {
        sqlx::query("INSERT INTO outbox (kind, items, payload) VALUES (?1, ?2, ?3)")
            .bind(kind_number(kind))
            .bind(i64::try_from(*items).unwrap_or(i64::MAX))
            .bind(payload)
            .execute(&mut *connection)
            .await
            .map_err(StoreError::during(transaction))?;
    }
    Ok(())
}

#[async_trait]
impl OutboxStore for SqliteCarrierStore {
    async fn list_outbox(&self, kind: OutboxKind) -> Result<Option<OutboxBatch>, StoreError> {
        let failed = StoreError::during("list_outbox");
        let rows = sqlx::query(
            "SELECT sequence, items, length(payload) FROM outbox WHERE kind = ?1 ORDER BY sequence LIMIT ?2",
        )
        .bind(kind_number(kind))
        .bind(ROWS)
        .fetch_all(self.database.read_fresh())
        .await
        .map_err(&failed)?;
        let Some(through) = through(&rows)? else { return Ok(None) };
        let payloads = sqlx::query_scalar(
            "SELECT payload FROM outbox WHERE kind = ?1 AND sequence <= ?2 ORDER BY sequence",
        )
        .bind(kind_number(kind))
        .bind(through)
        .fetch_all(self.database.read_fresh())
        .await
        .map_err(failed)?;
        Ok(Some(OutboxBatch { through: through.unsigned_abs(), payloads }))
    }

    async fn acknowledge_outbox(&self, kind: OutboxKind, through: u64) -> Result<(), StoreError> {
        let failed = StoreError::during("acknowledge_outbox");
        let mut transaction = self.database.write("acknowledge_outbox").await?;
        sqlx::query("DELETE FROM outbox WHERE kind = ?1 AND sequence <= ?2")
            .bind(kind_number(kind))
            .bind(i64::try_from(through).unwrap_or(i64::MAX))
            .execute(&mut *transaction)
            .await
            .map_err(&failed)?;
        transaction.commit().await.map_err(failed)
    }
}
