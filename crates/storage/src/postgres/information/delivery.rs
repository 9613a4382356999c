//! Deliveries on their way, on PostgreSQL.
//!
//! A claim first locks what is due, each with its follower for sharing, and then reads what the gate looks at: so it sees every
//! change that was committed before, and no other comes until the attempts have started.

use std::collections::HashSet;

use async_trait::async_trait;
use jiff::Timestamp;
use musubi_domain::{
    delivery::DeliveryState,
    id::{CarrierId, MessageId, OfficialAccountId},
};
use sqlx::postgres::PgRow;

use super::{
    PostgresInformation,
    distribution::{self, Hold},
    holder, tally,
    walk::walk,
};
use crate::{
    StoreError,
    information::{
        FollowerKey,
        changed::{MessageKeyRow, message_row},
        claiming::{Learnt, Started, attempted, learn, unreached},
        delivery::{AttemptResult, Claim, Claimed, DeliveryStore, DueSource, Source},
        record::due_source_of,
        tally::Tally,
        together::Next,
    },
    postgres::{Tx, again, met_another},
    row::{BulkRow as _, Columns as _, Id, bulk_rows, micros, place},
    vault::Keys,
};

pub(super) const DUE_DIALOGUES: &str = "
    WITH RECURSIVE account (name) AS (
        SELECT (SELECT m.official_account FROM delivery AS m
                WHERE m.carrier = $1 AND m.distribution = '' AND m.state < 2 ORDER BY m.official_account LIMIT 1)
        UNION ALL
        SELECT (SELECT m.official_account FROM delivery AS m
                WHERE m.carrier = $1 AND m.distribution = '' AND m.official_account > account.name AND m.state < 2
                ORDER BY m.official_account LIMIT 1)
        FROM account WHERE account.name IS NOT NULL)
    SELECT name, ''::bytea, 0,
           (SELECT count(*) FROM (SELECT 1 FROM delivery AS m
            WHERE m.carrier = $1 AND m.distribution = '' AND m.official_account = name AND m.due_time <= $2
                AND m.state < 2 LIMIT $3) AS counted)
    FROM account WHERE name IS NOT NULL";

pub(super) const DUE_DISTRIBUTIONS: &str = "
    SELECT d.official_account, d.distribution_id, d.messages_per_second,
           CASE WHEN d.expanded OR d.expire_time <= $2 THEN
               (SELECT count(*) FROM (SELECT 1 FROM delivery AS m
                WHERE m.carrier = $1 AND m.distribution = uuid_send(d.distribution_id)
                    AND m.official_account = d.official_account AND m.due_time <= $2 AND m.state < 2 LIMIT $3) AS counted)
           ELSE $3 END
    FROM distribution AS d
    WHERE d.state IN (1, 2) AND d.state = 1 AND coalesce(d.start_time, 0) <= $2";

pub(super) const MAY_RUN: &str = "
    SELECT official_account FROM distribution WHERE distribution_id = $1 AND state = 1 AND coalesce(start_time, 0) <= $2";

// Whoever is being changed just now isn't free, and waits for another claim. Each follower is looked up by key, whatever the
// database thinks of how many there are.
pub(super) const LOCK: &str = "
    WITH due AS MATERIALIZED (
        SELECT m.official_account, m.follower, m.message_id FROM delivery AS m
        WHERE m.carrier = $1 AND m.distribution = $2 AND m.official_account = $3 AND m.due_time <= $4 AND m.state < 2
        ORDER BY m.due_time LIMIT $5 FOR NO KEY UPDATE SKIP LOCKED)
    SELECT due.official_account, due.follower, due.message_id, f.free IS NOT NULL FROM due
    LEFT JOIN LATERAL (SELECT true AS free FROM follower AS f
        WHERE f.official_account = due.official_account AND f.follower = due.follower FOR SHARE SKIP LOCKED) AS f ON true";

pub(super) const DUE: &str = "
    SELECT m.official_account, m.follower, m.message_id, m.purpose, m.state, m.attempts, m.expire_time,
           m.dialogue_id, m.step, m.tie_id, m.customer_id, m.throttled, f.following, d.dialogue_id,
           f.phone_number, f.suspended, t.tie_id, t.customer_id, t.expire_time, t.suspended,
           t.proved_time, t.silent_time, t.ask_time, t.doubt, v.variables
    FROM unnest($2::text[], $3::uuid[], $4::uuid[]) AS k (account, follower, message)
    CROSS JOIN LATERAL (SELECT * FROM delivery AS m
        WHERE m.official_account = k.account AND m.follower = k.follower AND m.message_id = k.message OFFSET 0) AS m
    CROSS JOIN LATERAL (SELECT * FROM follower AS f
        WHERE f.official_account = k.account AND f.follower = k.follower OFFSET 0) AS f
    LEFT JOIN LATERAL (SELECT * FROM dialogue AS d
        WHERE d.official_account = k.account AND d.follower = k.follower OFFSET 0) AS d ON true
    LEFT JOIN LATERAL (SELECT * FROM customer_information AS t
        WHERE t.official_account = k.account AND t.follower = k.follower OFFSET 0) AS t ON true
    LEFT JOIN LATERAL (SELECT * FROM distribution_value AS v
        WHERE v.distribution = $1 AND v.customer_id = t.customer_id OFFSET 0) AS v ON true
    ORDER BY m.due_time";

pub(super) const MOVE: &str = "
    UPDATE delivery AS m SET state = k.state, purpose = k.purpose, attempts = k.attempts, due_time = k.due_time,
        tie_id = k.tie, customer_id = k.customer, change_time = $10
    FROM unnest($1::text[], $2::uuid[], $3::uuid[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::uuid[],
        $9::text[]) AS k (account, follower, message, state, purpose, attempts, due_time, tie, customer)
    WHERE m.official_account = k.account AND m.follower = k.follower AND m.message_id = k.message";

pub(super) const ATTEMPTED: &str = "
    SELECT m.official_account, m.carrier, m.distribution, m.purpose, m.state, m.attempts, m.follower, m.message_id
    FROM unnest($1::text[], $2::uuid[], $3::uuid[]) AS k (account, follower, message)
    CROSS JOIN LATERAL (SELECT * FROM delivery AS m
        WHERE m.official_account = k.account AND m.follower = k.follower AND m.message_id = k.message OFFSET 0) AS m";

pub(super) const RECORD: &str = "
    UPDATE delivery AS m SET state = k.state, due_time = coalesce(k.due_time, m.due_time),
        throttled = m.throttled + k.throttled, change_time = $9
    FROM unnest($1::text[], $2::uuid[], $3::uuid[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[])
        AS k (account, follower, message, was, attempts, state, due_time, throttled)
    WHERE m.official_account = k.account AND m.follower = k.follower AND m.message_id = k.message
        AND m.state = k.was AND m.attempts = k.attempts
    RETURNING m.follower, m.message_id";

pub(super) const EXPIRE_UNCONFIRMED: &str = "
    WITH late AS MATERIALIZED (
        SELECT d.official_account, d.follower, d.message_id, d.ctid AS place FROM delivery AS d
        WHERE d.state = 2 AND d.expire_time < $1 ORDER BY d.expire_time LIMIT $2 FOR NO KEY UPDATE SKIP LOCKED)
    UPDATE delivery AS m SET state = 6, change_time = $3 FROM late
    WHERE m.official_account = late.official_account AND m.follower = late.follower AND m.message_id = late.message_id
        AND m.ctid = late.place
    RETURNING m.official_account, m.carrier, m.distribution, m.purpose";

const RECORDING: &str = "record_attempts";

bulk_rows! {
    /// A delivery that a claim moved.
    MoveRow<'a> {
        account: &'a str,
        follower: Id,
        message: Id,
        state: i64,
        purpose: i64,
        attempts: i64,
        due_time: i64,
        tie: Option<Id>,
        customer: Option<&'a str>,
    }

    /// A delivery that results moved.
    LearntRow<'a> {
        account: &'a str,
        follower: Id,
        message: Id,
        was: i64,
        attempts: i64,
        state: i64,
        due_time: Option<i64>,
        throttled: i64,
    }

    /// A delivery's key as it was read.
    LockedRow { account: String, follower: Id, message: Id, }
}

/// What one call tells, and when.
pub(super) type Results = (Vec<AttemptResult>, Timestamp);

#[async_trait]
impl DeliveryStore for PostgresInformation {
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
                .bind(i64::from(limit))
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
        again!(self.claim_once(claim))
    }

    async fn record(&self, results: &[AttemptResult], now: Timestamp) -> Result<Vec<bool>, StoreError> {
        let Some(first) = results.first() else { return Ok(Vec::new()) };
        if let Some(known) = self.record_with_others(results, &first.key.account, now).await? {
            return Ok(known);
        }
        again!(async {
            let tx = self.database.write(RECORDING).await?;
            self.record_in(tx, results, now).await
        })
    }

    async fn expire_unconfirmed(
        &self,
        before: Timestamp,
        limit: u32,
        now: Timestamp,
    ) -> Result<u32, StoreError> {
        let mut tx = self.database.write("expire_unconfirmed").await?;
        let expire =
            sqlx::query(EXPIRE_UNCONFIRMED).bind(micros(before)).bind(i64::from(limit)).bind(micros(now));
        let expired = tx.fetch(expire).await?;
        let mut tally = Tally::default();
        for row in &expired {
            tally.moved(row, DeliveryState::Accepted, DeliveryState::Expired)?;
        }
        tally::store(&tally, &mut tx).await?;
        tx.commit().await?;
        Ok(u32::try_from(expired.len()).unwrap_or(u32::MAX))
    }
}

impl PostgresInformation {
    async fn claim_once(&self, claim: &Claim) -> Result<Claimed, StoreError> {
        let mut tx = self.database.write("claim_deliveries").await?;
        let (distribution, source, account) = match &claim.source {
            Source::Dialogues(account) => (Id::of(&[0; 16]), &[][..], account.to_string()),
            Source::Distribution(id) => {
                distribution::hold(&mut tx, *id, Hold::Running).await?;
                let id = id.as_bytes();
                let may_run = sqlx::query(MAY_RUN).bind(Id::of(id)).bind(micros(claim.now));
                match tx.fetch_optional(may_run).await? {
                    Some(row) => (Id::of(id), &id[..], row.text(0)?.to_owned()),
                    None => return Ok(Claimed::default()),
                }
            }
        };
        let lock = sqlx::query(LOCK)
            .bind(claim.carrier.as_str())
            .bind(source)
            .bind(account)
            .bind(micros(claim.now))
            .bind(i64::from(claim.limit));
        let locked = tx.fetch(lock).await?;
        // Stored when nothing is waited for any more: others wait for counts while they have the distribution.
        let mut tally = Tally::default();
        let keys = self.vault.keys();
        let mut claimed = start(&mut tx, (claim, &keys), distribution, &locked, &mut tally).await?;
        if let Source::Distribution(id) = &claim.source
            && let Some(rest) = claim.after(claimed.seen)
        {
            claimed.append(walk(&mut tx, (&rest, &keys), *id, &mut tally).await?);
        }
        tally::store(&tally, &mut tx).await?;
        tx.commit().await?;
        Ok(claimed)
    }

    /// Records results with all others that wait by then; none, where another transaction was quicker.
    async fn record_with_others(
        &self,
        results: &[AttemptResult],
        account: &OfficialAccountId,
        now: Timestamp,
    ) -> Result<Option<Vec<bool>>, StoreError> {
        let mut known = self.recording.add((results.to_vec(), now), (results.len(), account));
        loop {
            let turn = match self.recording.next(&mut known, account).await {
                Next::Done(known) => return Ok(known),
                Next::Turn(turn) => turn,
            };
            let tx = self.database.write(RECORDING).await?;
            let (all, tell) = self.recording.take(&turn);
            let Some(now) = all.iter().map(|(_, now)| *now).max() else { continue };
            let (counts, results): (Vec<_>, Vec<_>) =
                all.into_iter().map(|(results, _)| (results.len(), results)).unzip();
            let mut known = match self.record_in(tx, &results.concat(), now).await {
                Err(error) if met_another(&error) => continue,
                known => known?.into_iter(),
            };
            for (tell, count) in tell.into_iter().zip(counts) {
                // Who listens no more was told nothing, and will say it again.
                let _heard = tell.send(known.by_ref().take(count).collect());
            }
        }
    }

    /// Moves attempted deliveries forward, in the order of the results. Nothing is locked beforehand but followers who are not
    /// reached: whatever another transaction moves meanwhile is looked at again.
    async fn record_in(
        &self,
        mut tx: Tx,
        results: &[AttemptResult],
        now: Timestamp,
    ) -> Result<Vec<bool>, StoreError> {
        let unreached = unreached(results);
        holder::lock(&mut tx, &unreached).await?;
        let mut tally = Tally::default();
        let mut known = Vec::new();
        let mut left = results.to_vec();
        while !left.is_empty() {
            let keys: Vec<_> = attempted(&left).into_iter().map(|(key, id)| message_row(key, id)).collect();
            let loaded = tx.fetch(MessageKeyRow::bind(sqlx::query(ATTEMPTED), &keys)).await?;
            let learnt = learn(&loaded, &left)?;
            if known.is_empty() {
                known = learnt.known;
            }
            if learnt.moves.is_empty() {
                break;
            }
            let rows: Vec<_> = learnt.moves.iter().map(learnt_row).collect();
            let record = LearntRow::bind(sqlx::query(RECORD), &rows).bind(micros(now));
            let moved = tx.fetch(record).await?;
            let moved = moved.iter().map(|row| Ok((row.id(0)?, row.id(1)?)));
            let moved: HashSet<([u8; 16], [u8; 16])> = moved.collect::<Result<_, StoreError>>()?;
            let has_moved = |key: &FollowerKey, id: MessageId| {
                moved.contains(&(*key.follower.as_bytes(), *id.as_bytes()))
            };
            for it in learnt.moves.iter().filter(|it| has_moved(&it.key, it.message_id)) {
                tally.moved(&loaded[it.row], it.was.0, it.is)?;
            }
            let stayed: HashSet<_> = learnt
                .moves
                .iter()
                .filter(|it| !has_moved(&it.key, it.message_id))
                .map(|it| (it.key.clone(), it.message_id))
                .collect();
            left.retain(|result| stayed.contains(&(result.key.clone(), result.message_id)));
        }
        holder::refuse(&mut tx, &unreached, &self.vault.keys(), now).await?;
        tally::store(&tally, &mut tx).await?;
        tx.commit().await?;
        Ok(known)
    }
}

fn learnt_row(it: &Learnt) -> LearntRow<'_> {
    let MessageKeyRow { account, follower, message } = message_row(&it.key, it.message_id);
    LearntRow {
        account,
        follower,
        message,
        was: place(&DeliveryState::ALL, &it.was.0),
        attempts: i64::from(it.was.1),
        state: place(&DeliveryState::ALL, &it.is),
        due_time: it.due_time,
        throttled: it.throttled,
    }
}

/// Starts attempts at due deliveries whose follower is free. Their rows are locked.
async fn start(
    tx: &mut Tx,
    (claim, sealing): (&Claim, &Keys),
    distribution: Id,
    locked: &[PgRow],
    tally: &mut Tally,
) -> Result<Claimed, StoreError> {
    let more = u32::try_from(locked.len()).is_ok_and(|length| length >= claim.limit);
    let mut keys = Vec::with_capacity(locked.len());
    for row in locked {
        if row.flag(3)? {
            let (account, follower, message) = (row.text(0)?.to_owned(), row.id(1)?, row.id(2)?);
            keys.push(LockedRow { account, follower: Id::of(&follower), message: Id::of(&message) });
        }
    }
    if keys.is_empty() {
        return Ok(Claimed { more, ..Claimed::default() });
    }
    let due = tx.fetch(LockedRow::bind(sqlx::query(DUE).bind(distribution), &keys)).await?;
    let started = Started::of(claim, &due, sealing)?;
    let moves: Vec<_> = started
        .moves
        .iter()
        .map(|it| {
            let MessageKeyRow { account, follower, message } = message_row(&it.key, it.message_id);
            let (tie, customer) = it.pinned_to();
            MoveRow {
                account,
                follower,
                message,
                state: it.state,
                purpose: it.purpose,
                attempts: i64::from(it.attempts),
                due_time: it.due_time,
                tie,
                customer,
            }
        })
        .collect();
    tx.execute(MoveRow::bind(sqlx::query(MOVE), &moves).bind(micros(claim.now))).await?;
    Ok(started.claimed(more, tally))
}
