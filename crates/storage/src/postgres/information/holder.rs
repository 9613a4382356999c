//! Whose carrier is to be asked, on PostgreSQL.

use async_trait::async_trait;
use jiff::Timestamp;

use super::{PostgresInformation, audit::audit, load};
use crate::{
    StoreError,
    information::{
        changed::KeyRow,
        claiming::doubted_lines,
        holder::{HolderStore, ToAsk, to_ask},
    },
    postgres::Tx,
    row::{BulkRow as _, micros},
    vault::Keys,
};

// Whoever changes the tie meanwhile makes it due as it was; then it is asked about once more.
pub(super) const CLAIM: &str = "
    WITH due AS MATERIALIZED (
        SELECT d.official_account, d.follower, d.ctid AS place FROM customer_information AS d
        WHERE d.ask_time <= $1 ORDER BY d.ask_time LIMIT $3 FOR NO KEY UPDATE SKIP LOCKED)
    UPDATE customer_information AS t SET ask_time = CASE WHEN t.expire_time <= $1 THEN NULL ELSE $2::bigint END
    FROM due CROSS JOIN LATERAL (SELECT * FROM follower AS f
        WHERE f.official_account = due.official_account AND f.follower = due.follower OFFSET 0) AS f
    WHERE t.official_account = due.official_account AND t.follower = due.follower AND t.ctid = due.place
    RETURNING t.official_account, t.follower, f.phone_number, f.carrier, t.tie_id, t.proved_time, t.silent_time, t.ask_time,
        t.doubt";

pub(super) const REFUSED: &str = "
    UPDATE customer_information AS t SET silent_time = least(t.silent_time, $3), ask_time = $3, doubt = 0
    FROM unnest($1::text[], $2::uuid[]) AS k (account, follower)
    WHERE t.official_account = k.account AND t.follower = k.follower AND t.doubt IS NULL AND t.expire_time > $3
    RETURNING t.official_account, t.follower, t.tie_id";

#[async_trait]
impl HolderStore for PostgresInformation {
    async fn claim_holders(
        &self,
        now: Timestamp,
        lease_end: Timestamp,
        limit: u32,
    ) -> Result<Vec<ToAsk>, StoreError> {
        let mut tx = self.database.write("claim_holders").await?;
        let claim = sqlx::query(CLAIM).bind(micros(now)).bind(micros(lease_end)).bind(i64::from(limit));
        let claimed = tx.fetch(claim).await?;
        tx.commit().await?;
        to_ask(&claimed, &self.vault.keys())
    }
}

/// Locks followers whom a carrier doesn't reach, before anything that belongs to them is changed.
pub(super) async fn lock(tx: &mut Tx, unreached: &[KeyRow<'_>]) -> Result<(), StoreError> {
    if !unreached.is_empty() {
        tx.fetch(KeyRow::bind(sqlx::query(load::LOCK), unreached)).await?;
    }
    Ok(())
}

/// Suspends the ties of followers whom a carrier doesn't reach, until it was asked.
pub(super) async fn refuse(
    tx: &mut Tx,
    unreached: &[KeyRow<'_>],
    keys: &Keys,
    now: Timestamp,
) -> Result<(), StoreError> {
    if unreached.is_empty() {
        return Ok(());
    }
    let refused = KeyRow::bind(sqlx::query(REFUSED), unreached).bind(micros(now));
    let refused = tx.fetch(refused).await?;
    audit(tx, &doubted_lines(&refused, keys)?, now).await
}
