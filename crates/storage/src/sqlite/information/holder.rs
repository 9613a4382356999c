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
    sqlite::bulk::bulk,
    vault::Keys,
};

pub(super) const DUE: &str = "
    SELECT number FROM customer_information WHERE ask_time <= ?1 ORDER BY ask_time LIMIT ?2";

pub(super) const CLAIM: &str = "
    WITH k (number) AS (VALUES ...)
    UPDATE customer_information SET ask_time = iif(expire_time <= ?, NULL, ?) WHERE number IN (SELECT number FROM k)";

pub(super) const CLAIMED: &str = "
    WITH k (number) AS (VALUES ...)
    SELECT f.official_account, f.follower, f.phone_number, f.carrier, t.tie_id, t.proved_time, t.silent_time, t.ask_time, t.doubt
    FROM k CROSS JOIN customer_information AS t ON t.number = k.number
    CROSS JOIN follower AS f ON f.number = t.number";

pub(super) const REFUSED: &str = "
    WITH k (account, follower) AS (VALUES ...)
    UPDATE customer_information SET silent_time = min(silent_time, ?), ask_time = ?, doubt = 0
    WHERE doubt IS NULL AND expire_time > ? AND number IN
        (SELECT f.number FROM k CROSS JOIN follower AS f ON f.official_account = k.account AND f.follower = k.follower)
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
        let due: Vec<(i64,)> =
            sqlx::query_as(DUE).bind(micros(now)).bind(limit).fetch_all(&mut *tx).await.map_err(&failed)?;
        let leased = bulk(CLAIM, &due).with((micros(now), micros(lease_end))).execute(&mut *tx).await;
        leased.map_err(&failed)?;
        let claimed = bulk(CLAIMED, &due).fetch(&mut *tx).await.map_err(&failed)?;
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
    let now_micros = micros(now);
    let refused = bulk(REFUSED, unreached)
        .with((now_micros, now_micros, now_micros))
        .fetch(&mut **tx)
        .await
        .map_err(StoreError::during(transaction))?;
    audit(tx, transaction, &doubted_lines(&refused, keys)?, now).await
}
