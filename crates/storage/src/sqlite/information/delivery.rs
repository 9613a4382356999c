//! Deliveries on their way, on SQLite.
//!
//! Surprising: the claim reads a delivery together with its follower's standing, for the gate, inside the transaction that starts
//! the attempts.

use async_trait::async_trait;
use jiff::Timestamp;
use musubi_domain::{delivery::DeliveryState, id::CarrierId};
use sqlx::{Sqlite, Transaction};

use super::{SqliteInformation, tally};
use crate::{
    StoreError,
    information::{
        changed::message_row,
        claiming::{Started, attempted, learn},
        delivery::{AttemptResult, Claim, Claimed, DeliveryStore, DueSource, Source},
        record::due_source_of,
        tally::Tally,
    },
    row::{Columns as _, Id, micros},
    sqlite::rows,
};

pub(super) const DUE_DIALOGUES: &str = "
    WITH RECURSIVE account (name) AS (
        SELECT (SELECT m.official_account FROM delivery AS m INDEXED BY delivery_due
                WHERE m.carrier = ?1 AND m.distribution = x'' AND m.state IN (0, 1)
                ORDER BY m.official_account LIMIT 1)
        UNION ALL
        SELECT (SELECT m.official_account FROM delivery AS m INDEXED BY delivery_due
                WHERE m.carrier = ?1 AND m.distribution = x'' AND m.official_account > account.name AND m.state IN (0, 1)
                ORDER BY m.official_account LIMIT 1)
        FROM account WHERE account.name IS NOT NULL)
    SELECT name, x'', 0,
           (SELECT count(*) FROM (SELECT 1 FROM delivery AS m INDEXED BY delivery_due
            WHERE m.carrier = ?1 AND m.distribution = x'' AND m.official_account = name AND m.due_time <= ?2
                AND m.state IN (0, 1) LIMIT ?3))
    FROM account WHERE name IS NOT NULL";

pub(super) const DUE_DISTRIBUTIONS: &str = "
    SELECT d.official_account, d.distribution_id, d.messages_per_second,
           (SELECT count(*) FROM (SELECT 1 FROM delivery AS m INDEXED BY delivery_due
            WHERE m.carrier = ?1 AND m.distribution = d.distribution_id AND m.official_account = d.official_account
                AND m.due_time <= ?2 AND m.state IN (0, 1) LIMIT ?3))
    FROM distribution AS d INDEXED BY distribution_running
    WHERE d.state IN (1, 2) AND d.state = 1 AND coalesce(d.start_time, 0) <= ?2";

pub(super) const MAY_RUN: &str = "
    SELECT official_account FROM distribution WHERE distribution_id = ?1 AND state = 1 AND coalesce(start_time, 0) <= ?2";

pub(super) const DUE: &str = "
    SELECT m.official_account, f.follower, m.message_id, m.purpose, m.state, m.attempts, m.expire_time,
           m.dialogue_id, m.step, m.tie_id, m.customer_id,
           f.phone_number, f.following, d.dialogue_id, t.tie_id, t.customer_id, t.expire_time, t.suspended, v.variables,
           m.throttled
    FROM delivery AS m INDEXED BY delivery_due
    CROSS JOIN follower AS f ON f.number = m.number
    LEFT JOIN dialogue AS d ON d.number = m.number
    LEFT JOIN customer_information AS t ON t.number = m.number
    LEFT JOIN distribution_value AS v ON v.distribution = m.distribution AND v.customer_id = t.customer_id
    WHERE m.carrier = ?1 AND m.distribution = ?2 AND m.official_account = ?3 AND m.due_time <= ?4 AND m.state IN (0, 1)
    ORDER BY m.due_time LIMIT ?5";

pub(super) const MOVE: &str = "
    UPDATE delivery SET state = k.value ->> 1, purpose = k.value ->> 2, attempts = k.value ->> 3, due_time = k.value ->> 4,
        tie_id = unhex(k.value ->> 5), customer_id = k.value ->> 6, change_time = ?2
    FROM json_each(?1) AS k WHERE delivery.message_id = unhex(k.value ->> 0)";

pub(super) const ATTEMPTED: &str = "
    SELECT m.official_account, m.carrier, m.distribution, m.purpose, m.state, m.attempts, f.follower, m.message_id
    FROM json_each(?1) AS k
    CROSS JOIN delivery AS m ON m.message_id = unhex(k.value ->> 2)
    CROSS JOIN follower AS f ON f.number = m.number
        AND f.official_account = k.value ->> 0 AND f.follower = unhex(k.value ->> 1)";

pub(super) const RECORD: &str = "
    UPDATE delivery SET state = k.value ->> 1, due_time = coalesce(k.value ->> 2, due_time),
        throttled = throttled + (k.value ->> 3), change_time = ?2
    FROM json_each(?1) AS k WHERE delivery.message_id = unhex(k.value ->> 0)";

pub(super) const EXPIRE_UNCONFIRMED: &str = "
    UPDATE delivery SET state = 6, change_time = ?3 WHERE message_id IN
        (SELECT message_id FROM delivery INDEXED BY delivery_unconfirmed
         WHERE state = 2 AND expire_time < ?1 ORDER BY expire_time LIMIT ?2)
    RETURNING official_account, carrier, distribution, purpose";

#[async_trait]
impl DeliveryStore for SqliteInformation {
    async fn due(
        &self,
        carrier: &CarrierId,
        limit: u32,
        now: Timestamp,
    ) -> Result<Vec<DueSource>, StoreError> {
        let mut due = Vec::new();
        for statement in [DUE_DIALOGUES, DUE_DISTRIBUTIONS] {
            let found = sqlx::query(statement)
                .bind(carrier.as_str())
                .bind(micros(now))
                .bind(limit)
                .fetch_all(self.database.read())
                .await
                .map_err(StoreError::during("due_deliveries"))?;
            for row in &found {
                due.push(due_source_of(row)?);
            }
        }
        due.retain(|source| source.count > 0);
        Ok(due)
    }

    async fn claim(&self, claim: &Claim) -> Result<Claimed, StoreError> {
        const TRANSACTION: &str = "claim_deliveries";
        let failed = StoreError::during(TRANSACTION);
        let mut tx = self.database.write(TRANSACTION).await?;
        let (source, account): (&[u8], String) = match &claim.source {
            Source::Dialogues(account) => (&[], account.to_string()),
            Source::Distribution(id) => {
                let may_run = sqlx::query(MAY_RUN).bind(&id.as_bytes()[..]).bind(micros(claim.now));
                match may_run.fetch_optional(&mut *tx).await.map_err(&failed)? {
                    Some(row) => (id.as_bytes(), row.text(0)?.to_owned()),
                    None => return Ok(Claimed::default()),
                }
            }
        };
        let due = sqlx::query(DUE)
            .bind(claim.carrier.as_str())
            .bind(source)
            .bind(account)
            .bind(micros(claim.now))
            .bind(claim.limit)
            .fetch_all(&mut *tx)
            .await
            .map_err(&failed)?;
        if due.is_empty() {
            return Ok(Claimed::default());
        }
        let started = Started::of(claim, &due)?;
        let moves: Vec<_> = started
            .moves
            .iter()
            .map(|it| {
                let (tie, customer) =
                    it.pinned.as_ref().map(|(tie, id)| (Id::of(tie.as_bytes()), id.as_str())).unzip();
                let message = Id::of(it.message_id.as_bytes());
                (message, it.state, it.purpose, it.attempts, it.due_time, tie, customer)
            })
            .collect();
        sqlx::query(MOVE)
            .bind(rows(&moves)?)
            .bind(micros(claim.now))
            .execute(&mut *tx)
            .await
            .map_err(&failed)?;
        tally::store(&started.tally, &mut tx, TRANSACTION).await?;
        tx.commit().await.map_err(&failed)?;
        Ok(started.claimed())
    }

    async fn record(&self, results: &[AttemptResult], now: Timestamp) -> Result<(), StoreError> {
        const TRANSACTION: &str = "record_attempts";
        if results.is_empty() {
            return Ok(());
        }
        let mut tx = self.database.write(TRANSACTION).await?;
        record(&mut tx, TRANSACTION, results, now).await?;
        tx.commit().await.map_err(StoreError::during(TRANSACTION))
    }

    async fn expire_unconfirmed(
        &self,
        before: Timestamp,
        limit: u32,
        now: Timestamp,
    ) -> Result<u32, StoreError> {
        const TRANSACTION: &str = "expire_unconfirmed";
        let failed = StoreError::during(TRANSACTION);
        let mut tx = self.database.write(TRANSACTION).await?;
        let expired = sqlx::query(EXPIRE_UNCONFIRMED)
            .bind(micros(before))
            .bind(limit)
            .bind(micros(now))
            .fetch_all(&mut *tx)
            .await
            .map_err(&failed)?;
        let mut tally = Tally::default();
        for row in &expired {
            tally.moved(row, DeliveryState::Accepted, DeliveryState::Expired)?;
        }
        tally::store(&tally, &mut tx, TRANSACTION).await?;
        tx.commit().await.map_err(&failed)?;
        Ok(u32::try_from(expired.len()).unwrap_or(u32::MAX))
    }
}

/// Moves attempted deliveries forward inside a transaction, in the order of the results.
async fn record(
    tx: &mut Transaction<'_, Sqlite>,
    transaction: &'static str,
    results: &[AttemptResult],
    now: Timestamp,
) -> Result<(), StoreError> {
    let failed = StoreError::during(transaction);
    let keys: Vec<_> = attempted(results).into_iter().map(|(key, id)| message_row(key, id)).collect();
    let loaded = sqlx::query(ATTEMPTED).bind(rows(&keys)?).fetch_all(&mut **tx).await.map_err(&failed)?;
    let mut tally = Tally::default();
    let learnt = learn(&loaded, results, &mut tally)?;
    if learnt.is_empty() {
        return Ok(());
    }
    let moves: Vec<_> = learnt
        .iter()
        .map(|it| (Id::of(it.message_id.as_bytes()), it.state, it.due_time, it.throttled))
        .collect();
    sqlx::query(RECORD).bind(rows(&moves)?).bind(micros(now)).execute(&mut **tx).await.map_err(&failed)?;
    tally::store(&tally, tx, transaction).await
}
