//! Whose carrier is to be asked, on SQLite.

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::{Sqlite, Transaction};

use super::{SqliteInformation, audit::audit};
use crate::{
    StoreError,
    information::{
        changed::KeyRow,
        claiming::doubted_lines,
        holder::{HolderStore, ToAsk, to_ask},
    },
    row::micros,
    sqlite::rows,
    vault::Keys,
};

pub(super) const DUE: &str = "
    SELECT number FROM customer_information WHERE ask_time <= ?1 ORDER BY ask_time LIMIT ?2";

pub(super) const CLAIM: &str = "
    UPDATE customer_information SET ask_time = iif(expire_time <= ?1, NULL, ?2)
    WHERE number IN (SELECT value FROM jsonb_each(?3))";

pub(super) const CLAIMED: &str = "
    SELECT f.official_account, f.follower, f.phone_number, f.carrier, t.tie_id, t.proved_time, t.silent_time, t.ask_time, t.doubt
    FROM jsonb_each(?1) AS k
    CROSS JOIN customer_information AS t ON t.number = k.value
    CROSS JOIN follower AS f ON f.number = t.number";

pub(super) const REFUSED: &str = "
    UPDATE customer_information SET silent_time = min(silent_time, ?2), ask_time = ?2, doubt = 0
    WHERE doubt IS NULL AND expire_time > ?2 AND number IN
        (SELECT f.number FROM jsonb_each(?1) AS k
         CROSS JOIN follower AS f ON f.official_account = k.value ->> 0 AND f.follower = unhex(k.value ->> 1))
    RETURNING official_account, (SELECT follower FROM follower AS f WHERE f.number = customer_information.number), tie_id";

#[async_trait]
impl HolderStore for SqliteInformation {
    async fn claim_holders(
        &self,
        now: Timestamp,
        lease_end: Timestamp,
        limit: u32,
    ) -> Result<Vec<ToAsk>, StoreError> {
        const TRANSACTION: &str = "claim_holders";
        let failed = StoreError::during(TRANSACTION);
        let mut tx = self.database.write(TRANSACTION).await?;
        let due: Vec<i64> = sqlx::query_scalar(DUE)
            .bind(micros(now))
            .bind(limit)
            .fetch_all(&mut *tx)
            .await
            .map_err(&failed)?;
        if due.is_empty() {
            return Ok(Vec::new());
        }
        let due = rows(&due)?;
        let claim = sqlx::query(CLAIM).bind(micros(now)).bind(micros(lease_end)).bind(&due);
        claim.execute(&mut *tx).await.map_err(&failed)?;
        let claimed = sqlx::query(CLAIMED).bind(&due).fetch_all(&mut *tx).await.map_err(&failed)?;
        tx.commit().await.map_err(&failed)?;
        to_ask(&claimed, &self.vault.keys())
    }
}

/// Suspends the ties of followers whom a carrier doesn't reach, until it was asked.
pub(super) async fn refuse(
    tx: &mut Transaction<'_, Sqlite>,
    transaction: &'static str,
    (unreached, keys): (&[KeyRow<'_>], &Keys),
    now: Timestamp,
) -> Result<(), StoreError> {
    if unreached.is_empty() {
        return Ok(());
    }
    let refused = sqlx::query(REFUSED)
        .bind(rows(unreached)?)
        .bind(micros(now))
        .fetch_all(&mut **tx)
        .await
        .map_err(StoreError::during(transaction))?;
    audit(tx, transaction, &doubted_lines(&refused, keys)?, now).await
}
