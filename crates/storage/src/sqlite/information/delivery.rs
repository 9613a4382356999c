//! Deliveries on their way, on SQLite.
//!
//! Surprising: the claim reads a delivery together with its follower's standing, for the gate, inside the transaction that starts
//! the attempts.

use async_trait::async_trait;
use jiff::Timestamp;
use musubi_domain::{
    delivery::{DeliveryState, Purpose},
    id::{CarrierId, DistributionId, FollowerId},
};
use sqlx::{Sqlite, Transaction, sqlite::SqliteRow};

use super::{
    SqliteInformation,
    expansion::{ADVANCE_CURSOR, message},
    holder, tally,
};
use crate::{
    StoreError,
    information::{
        changed::message_row,
        claiming::{CARRIER, Learnings, Learnt, Next, Started, attempted, learn, unreached},
        delivery::{AttemptResult, Claim, Claimed, DeliveryStore, DueSource, Source},
        record::due_source_of,
        tally::Tally,
    },
    row::{Columns as _, Id, bulk_rows, micros, place},
    sqlite::Many,
    vault::Keys,
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
           CASE WHEN d.expanded = 1 OR d.expire_time <= ?2 THEN
               (SELECT count(*) FROM (SELECT 1 FROM delivery AS m INDEXED BY delivery_due
                WHERE m.carrier = ?1 AND m.distribution = d.distribution_id AND m.official_account = d.official_account
                    AND m.due_time <= ?2 AND m.state IN (0, 1) LIMIT ?3))
           ELSE ?3 END
    FROM distribution AS d INDEXED BY distribution_running
    WHERE d.state IN (1, 2) AND d.state = 1 AND coalesce(d.start_time, 0) <= ?2";

pub(super) const MAY_RUN: &str = "
    SELECT official_account FROM distribution WHERE distribution_id = ?1 AND state = 1 AND coalesce(start_time, 0) <= ?2";

pub(super) const DUE: &str = "
    SELECT m.official_account, f.follower, m.message_id, m.purpose, m.state, m.attempts, m.expire_time,
           m.dialogue_id, m.step, m.tie_id, m.customer_id,
           f.phone_number, f.following, d.dialogue_id, t.tie_id, t.customer_id, t.expire_time, t.suspended, v.variables,
           m.throttled, t.proved_time, t.silent_time, t.ask_time, t.doubt, f.suspended
    FROM delivery AS m INDEXED BY delivery_due
    CROSS JOIN follower AS f ON f.number = m.number
    LEFT JOIN dialogue AS d ON d.number = m.number
    LEFT JOIN customer_information AS t ON t.number = m.number
    LEFT JOIN distribution_value AS v ON v.distribution = m.distribution AND v.customer_id = t.customer_id
    WHERE m.carrier = ?1 AND m.distribution = ?2 AND m.official_account = ?3 AND m.due_time <= ?4 AND m.state IN (0, 1)
    ORDER BY m.due_time LIMIT ?5";

pub(super) const WALKING: &str = "
    SELECT official_account, cursor, expire_time FROM distribution
    WHERE distribution_id = ?1 AND state = 1 AND coalesce(start_time, 0) <= ?2 AND expire_time > ?2 AND expanded = 0";

pub(super) const STANDING: &str = "
    SELECT f.official_account, f.follower, NULL, ?5, 0, 0, ?6, NULL, NULL, NULL, NULL,
           f.phone_number, f.following, NULL, t.tie_id, t.customer_id, t.expire_time, t.suspended, v.variables,
           0, t.proved_time, t.silent_time, t.ask_time, t.doubt, f.suspended, f.carrier, f.number
    FROM follower AS f
    LEFT JOIN customer_information AS t ON t.number = f.number
    LEFT JOIN distribution_value AS v ON v.distribution = ?1 AND v.customer_id = t.customer_id
    WHERE f.official_account = ?2 AND f.number > ?3 AND f.following = 1
    ORDER BY f.number LIMIT ?4";

pub(super) const MAKE: &str = "
    INSERT INTO delivery (message_id, number, official_account, carrier, distribution, purpose, state, attempts, due_time,
        expire_time, tie_id, customer_id, change_time)
    SELECT unhex(value ->> 0), value ->> 1, ?2, value ->> 2, ?3, value ->> 3, value ->> 4, value ->> 5, value ->> 6, ?4,
        unhex(value ->> 7), value ->> 8, ?5 FROM jsonb_each(?1)";

pub(super) const MOVE: &str = "
    UPDATE delivery SET state = k.value ->> 1, purpose = k.value ->> 2, attempts = k.value ->> 3, due_time = k.value ->> 4,
        tie_id = unhex(k.value ->> 5), customer_id = k.value ->> 6, change_time = ?2
    FROM jsonb_each(?1) AS k WHERE delivery.message_id = unhex(k.value ->> 0)";

pub(super) const ATTEMPTED: &str = "
    SELECT m.official_account, m.carrier, m.distribution, m.purpose, m.state, m.attempts, f.follower, m.message_id
    FROM jsonb_each(?1) AS k
    CROSS JOIN delivery AS m ON m.message_id = unhex(k.value ->> 2)
    CROSS JOIN follower AS f ON f.number = m.number
        AND f.official_account = k.value ->> 0 AND f.follower = unhex(k.value ->> 1)";

pub(super) const RECORD: &str = "
    UPDATE delivery SET state = k.value ->> 1, due_time = coalesce(k.value ->> 2, due_time),
        throttled = throttled + (k.value ->> 3), change_time = ?2
    FROM jsonb_each(?1) AS k WHERE delivery.message_id = unhex(k.value ->> 0)";

pub(super) const EXPIRE_UNCONFIRMED: &str = "
    UPDATE delivery SET state = 6, change_time = ?3 WHERE message_id IN
        (SELECT message_id FROM delivery INDEXED BY delivery_unconfirmed
         WHERE state = 2 AND expire_time < ?1 ORDER BY expire_time LIMIT ?2)
    RETURNING official_account, carrier, distribution, purpose";

/// The column of the number of a follower that is walked.
const NUMBER: usize = CARRIER + 1;

bulk_rows! {
    /// A delivery that a claim moved.
    MoveRow<'a> {
        message: Id,
        state: i64,
        purpose: i64,
        attempts: i64,
        due_time: i64,
        tie: Option<Id>,
        customer: Option<&'a str>,
    }

    /// A delivery that a claim made.
    MadeRow<'a> {
        message: Id,
        number: i64,
        carrier: &'a str,
        purpose: i64,
        state: i64,
        attempts: i64,
        due_time: i64,
        tie: Option<Id>,
        customer: Option<&'a str>,
    }

    /// A delivery that results moved.
    LearntRow { message: Id, state: i64, due_time: Option<i64>, throttled: i64, }
}

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
        let mut tally = Tally::default();
        let keys = self.vault.keys();
        let mut claimed = start(&mut tx, TRANSACTION, (claim, &keys), &due, &mut tally).await?;
        if let Source::Distribution(id) = &claim.source
            && let Some(rest) = claim.after(claimed.seen)
        {
            claimed.append(walk(&mut tx, TRANSACTION, (&rest, &keys), *id, &mut tally).await?);
        }
        tally::store(&tally, &mut tx, TRANSACTION).await?;
        tx.commit().await.map_err(&failed)?;
        Ok(claimed)
    }

    async fn record(&self, results: &[AttemptResult], now: Timestamp) -> Result<Vec<bool>, StoreError> {
        const TRANSACTION: &str = "record_attempts";
        let failed = StoreError::during(TRANSACTION);
        if results.is_empty() {
            return Ok(Vec::new());
        }
        let mut tx = self.database.write(TRANSACTION).await?;
        let keys: Vec<_> = attempted(results).into_iter().map(|(key, id)| message_row(key, id)).collect();
        let many = Many::of(ATTEMPTED, &keys)?.query();
        let loaded = many.fetch_all(&mut *tx).await.map_err(&failed)?;
        let Learnings { known, moves } = learn(&loaded, results)?;
        if !moves.is_empty() {
            let mut tally = Tally::default();
            for it in &moves {
                tally.moved(&loaded[it.row], it.was.0, it.is)?;
            }
            let row = |it: &Learnt| LearntRow {
                message: Id::of(it.message_id.as_bytes()),
                state: place(&DeliveryState::ALL, &it.is),
                due_time: it.due_time,
                throttled: it.throttled,
            };
            let many = Many::of(RECORD, &moves.iter().map(row).collect::<Vec<_>>())?;
            many.with(micros(now)).query().execute(&mut *tx).await.map_err(&failed)?;
            tally::store(&tally, &mut tx, TRANSACTION).await?;
        }
        holder::refuse(&mut tx, TRANSACTION, (&unreached(results), &self.vault.keys()), now).await?;
        tx.commit().await.map_err(&failed)?;
        Ok(known)
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

/// Starts attempts at due deliveries.
async fn start(
    tx: &mut Transaction<'_, Sqlite>,
    transaction: &'static str,
    (claim, keys): (&Claim, &Keys),
    due: &[SqliteRow],
    tally: &mut Tally,
) -> Result<Claimed, StoreError> {
    if due.is_empty() {
        return Ok(Claimed::default());
    }
    let started = Started::of(claim, due, keys)?;
    let moves: Vec<_> = started
        .moves
        .iter()
        .map(|it| {
            let (tie, customer) =
                it.pinned.as_ref().map(|(tie, id)| (Id::of(tie.as_bytes()), id.as_str())).unzip();
            MoveRow {
                message: Id::of(it.message_id.as_bytes()),
                state: it.state,
                purpose: it.purpose,
                attempts: it.attempts.into(),
                due_time: it.due_time,
                tie,
                customer,
            }
        })
        .collect();
    let moving = Many::of(MOVE, &moves)?.with(micros(claim.now)).query();
    moving.execute(&mut **tx).await.map_err(StoreError::during(transaction))?;
    let more = u32::try_from(due.len()).is_ok_and(|length| length >= claim.limit);
    Ok(started.claimed(more, tally))
}

/// Makes deliveries for the next followers of a distribution, and starts attempts at those over the claim's carrier.
async fn walk(
    tx: &mut Transaction<'_, Sqlite>,
    transaction: &'static str,
    (claim, keys): (&Claim, &Keys),
    id: DistributionId,
    tally: &mut Tally,
) -> Result<Claimed, StoreError> {
    let failed = StoreError::during(transaction);
    let distribution = &id.as_bytes()[..];
    let walking = sqlx::query(WALKING).bind(distribution).bind(micros(claim.now));
    let Some(walking) = walking.fetch_optional(&mut **tx).await.map_err(&failed)? else {
        return Ok(Claimed::default());
    };
    let (account, expire_time) = (walking.text(0)?, walking.int(2)?);
    let (mut next, mut standing) = (Next::new(claim), Vec::new());
    let mut after = walking.int(1)?;
    while next.goes_on() {
        let page = sqlx::query(STANDING)
            .bind(distribution)
            .bind(account)
            .bind(after)
            .bind(claim.limit)
            .bind(place(&Purpose::ALL, &Purpose::Undecided))
            .bind(expire_time)
            .fetch_all(&mut **tx)
            .await
            .map_err(&failed)?;
        let taken = next.take(&page, CARRIER)?.len();
        standing.extend(page.into_iter().take(taken));
        after = standing.last().map_or(Ok(after), |row: &SqliteRow| row.int(NUMBER))?;
    }
    let message_of = |row: &SqliteRow| Ok(message(id, FollowerId::from_bytes(row.id(1)?), row.int(NUMBER)?));
    let started = Started::walked(claim, &standing, message_of, keys)?;
    let mut made = Vec::with_capacity(standing.len());
    for (row, it) in standing.iter().zip(&started.moves) {
        let (tie, customer) =
            it.pinned.as_ref().map(|(tie, id)| (Id::of(tie.as_bytes()), id.as_str())).unzip();
        made.push(MadeRow {
            message: Id::of(it.message_id.as_bytes()),
            number: row.int(NUMBER)?,
            carrier: row.text(CARRIER)?,
            purpose: it.purpose,
            state: it.state,
            attempts: it.attempts.into(),
            due_time: it.due_time,
            tie,
            customer,
        });
    }
    let making = Many::of(MAKE, &made)?.with(account.to_owned()).with(distribution.to_vec());
    let making = making.with(expire_time).with(micros(claim.now)).query();
    making.execute(&mut **tx).await.map_err(&failed)?;
    sqlx::query(ADVANCE_CURSOR)
        .bind(distribution)
        .bind(after)
        .bind(next.done)
        .execute(&mut **tx)
        .await
        .map_err(&failed)?;
    Ok(started.claimed(!next.done, tally))
}
