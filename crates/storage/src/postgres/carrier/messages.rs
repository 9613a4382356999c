//! Messages in flight: stored, taken back, expired, handed to their fleets.
//!
//! A message belongs to its number, so whoever stores one shares the number's row and whoever moves one holds it.

use std::collections::{BTreeSet, HashMap};

use async_trait::async_trait;
use jiff::Timestamp;
use musubi_domain::id::{MessageId, OfficialAccountId};

use super::{PostgresCarrierStore, Tx, account_key, outbox, webhooks};
use crate::{
    StoreError,
    carrier::{
        BATCH, Candidate, Enqueueing, FleetName, MessageStore, OutboxKind, QueuedMessage,
        ledger::{AccountKey, Message},
        messages::{
            MessageKey, MessageRow, Offered, Told, end, message_keys, offer, queued_of, receivers, stored,
            take_back,
        },
        outbox::event_rows,
        record::{fleet_of, msisdn},
        webhooks::{split, webhook_rows},
    },
    postgres::again,
    row::{BulkRow as _, Columns as _, Packed, micros},
};

pub(super) const SHARE: &str = "SELECT msisdn FROM numbers WHERE msisdn = ANY($1) ORDER BY msisdn FOR SHARE";

const HOLD: &str = "SELECT msisdn FROM numbers WHERE msisdn = ANY($1) ORDER BY msisdn FOR UPDATE";

pub(super) const FLEETS_OF_FOLLOWERS: &str = "
    SELECT numbers.msisdn, numbers.fleet_id
    FROM subscriptions AS s JOIN numbers ON numbers.msisdn = s.msisdn
    WHERE s.msisdn = ANY($1) AND s.account_id = $2 AND s.unfollowed_at IS NULL AND NOT numbers.released";

const FLEET_NAMES: &str = "SELECT name FROM fleets WHERE fleet_id = ANY($1) ORDER BY name";

const INSERT: &str = "
    WITH head AS (UPDATE heads SET last = last + $8 WHERE head = 2 RETURNING last - $8 AS before)
    INSERT INTO messages (sequence, account_id, message_id, msisdn, fleet_id, state, expire_time, payload)
    SELECT head.before + place, $9, message_id, msisdn, fleet_id, 0, expire_time, substr($7::bytea, start, length)
    FROM head CROSS JOIN unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::bigint[], $5::int[], $6::int[])
        WITH ORDINALITY AS new(message_id, msisdn, fleet_id, expire_time, start, length, place)";

pub(super) const BY_ID: &str = "
    SELECT asked.place - 1, sequence, msisdn, state
    FROM unnest($1::bigint[], $2::uuid[]) WITH ORDINALITY AS asked(account_id, message_id, place)
    JOIN messages USING (account_id, message_id)";

pub(super) const MOVE: &str = "
    UPDATE messages SET state = moved.state, payload = NULL
    FROM unnest($1::bigint[], $2::smallint[]) AS moved(sequence, state) WHERE messages.sequence = moved.sequence";

pub(super) const NUMBERS_OVER: &str = "
    SELECT msisdn FROM messages WHERE state = 0 AND expire_time <= $1 ORDER BY expire_time LIMIT $2";

pub(super) const OVER: &str = "
    SELECT sequence, accounts.name, msisdn, message_id FROM messages JOIN accounts USING (account_id)
    WHERE state = 0 AND expire_time <= $1 AND msisdn = ANY($3) ORDER BY expire_time LIMIT $2";

// By the pair, because the order of the sequence alone the planner finds in the primary key, too, where all other fleets' messages
// stand in between.
pub(super) const QUEUED: &str = "
    SELECT m.sequence, a.name, a.display_name, m.payload
    FROM (SELECT sequence, account_id, payload FROM messages
          WHERE (fleet_id, sequence) > ((SELECT fleet_id FROM fleets WHERE name = $1), $2::bigint)
              AND (fleet_id, sequence) < ((SELECT fleet_id + 1 FROM fleets WHERE name = $1), 0::bigint)
              AND state = 0 AND expire_time > $3
          ORDER BY fleet_id, sequence LIMIT $4) AS m
    CROSS JOIN LATERAL (SELECT name, display_name FROM accounts WHERE account_id = m.account_id OFFSET 0) AS a
    ORDER BY m.sequence";

#[async_trait]
impl MessageStore for PostgresCarrierStore {
    async fn enqueue_messages(
        &self,
        account: &OfficialAccountId,
        candidates: &[Candidate],
    ) -> Result<Enqueueing, StoreError> {
        again!(self.enqueue_once(account, candidates))
    }

    async fn revoke_messages(
        &self,
        account: &OfficialAccountId,
        message_ids: &[MessageId],
        now: Timestamp,
    ) -> Result<Vec<bool>, StoreError> {
        again!(self.revoke_once(account, message_ids, now))
    }

    async fn expire_messages(&self, now: Timestamp) -> Result<usize, StoreError> {
        again!(self.expire_once(now))
    }

    async fn list_queued(
        &self,
        fleet: &FleetName,
        after: u64,
        now: Timestamp,
    ) -> Result<Vec<QueuedMessage>, StoreError> {
        let queued = sqlx::query(QUEUED)
            .bind(fleet.as_str())
            .bind(i64::try_from(after).unwrap_or(i64::MAX))
            .bind(micros(now))
            .bind(i64::try_from(BATCH).unwrap_or(i64::MAX))
            .fetch_all(self.database.read())
            .await
            .map_err(StoreError::during("list_queued"))?;
        queued.iter().map(queued_of).collect()
    }
}

impl PostgresCarrierStore {
    async fn enqueue_once(
        &self,
        account: &OfficialAccountId,
        candidates: &[Candidate],
    ) -> Result<Enqueueing, StoreError> {
        let mut write = self.database.write("enqueue_messages").await?;
        let key = account_key(&mut write, account).await?;
        let receivers = receivers(candidates);
        write.fetch(sqlx::query(SHARE).bind(&receivers)).await?;
        let ids: Vec<_> = candidates.iter().map(|candidate| (key, candidate.message_id)).collect();
        let seen = find(&mut write, &ids).await?.into_keys().map(|(_, id)| id).collect();
        let found = write.fetch(sqlx::query(FLEETS_OF_FOLLOWERS).bind(&receivers).bind(key)).await?;
        let fleets: Result<HashMap<_, _>, StoreError> =
            found.iter().map(|row| Ok((row.int(0)?, row.int(1)?))).collect();
        let Offered { outcomes, new, payloads, fleets } = offer(candidates, seen, &fleets?);
        if new.is_empty() {
            return Ok(Enqueueing { outcomes, fleets: Vec::new() });
        }
        let fleets = fleet_names(&mut write, fleets).await?;
        insert(&mut write, key, &new, payloads).await?;
        write.commit().await?;
        Ok(Enqueueing { outcomes, fleets })
    }

    async fn revoke_once(
        &self,
        account: &OfficialAccountId,
        message_ids: &[MessageId],
        now: Timestamp,
    ) -> Result<Vec<bool>, StoreError> {
        let mut write = self.database.write("revoke_messages").await?;
        let key = account_key(&mut write, account).await?;
        let ids: Vec<_> = message_ids.iter().map(|id| (key, *id)).collect();
        let found = find(&mut write, &ids).await?;
        let numbers: BTreeSet<_> = found.into_values().map(|message| msisdn(message.number)).collect();
        hold(&mut write, numbers.clone()).await?;
        let mut messages = find(&mut write, &ids).await?;
        // One that came meanwhile is not held; it comes after this.
        messages.retain(|_, message| numbers.contains(&msisdn(message.number)));
        let (revoked, told) = take_back(account, &ids, messages, now);
        self.tell(&mut write, told).await?;
        write.commit().await?;
        Ok(revoked)
    }

    async fn expire_once(&self, now: Timestamp) -> Result<usize, StoreError> {
        let limit = i64::try_from(BATCH).unwrap_or(i64::MAX);
        let mut write = self.database.write("expire_messages").await?;
        let found = write.fetch(sqlx::query(NUMBERS_OVER).bind(micros(now)).bind(limit)).await?;
        let numbers = found.iter().map(|row| row.int(0)).collect::<Result<BTreeSet<_>, _>>()?;
        hold(&mut write, numbers.clone()).await?;
        let over = sqlx::query(OVER).bind(micros(now)).bind(limit).bind(Vec::from_iter(numbers));
        let over = write.fetch(over).await?;
        self.tell(&mut write, end(&over, now)?).await?;
        write.commit().await?;
        Ok(over.len())
    }

    /// Writes what moved, and the events that tell of it. Last in a transaction, because it takes the outbox's head.
    pub(super) async fn tell(&self, write: &mut Tx, told: Told) -> Result<(), StoreError> {
        write.write(MOVE, &told.moved).await?;
        let (pushed, posted) = split(told.events, &self.agents.get());
        webhooks::put(write, &webhook_rows(&posted)).await?;
        outbox::put(write, OutboxKind::Events, &event_rows(self.encode, &pushed)).await
    }
}

pub(super) async fn fleet_names(write: &mut Tx, fleets: BTreeSet<i64>) -> Result<Vec<FleetName>, StoreError> {
    let names = write.fetch(sqlx::query(FLEET_NAMES).bind(Vec::from_iter(fleets))).await?;
    names.iter().map(fleet_of).collect()
}

/// Stores messages. Last in a transaction, because it takes the head.
pub(super) async fn insert(
    write: &mut Tx,
    key: AccountKey,
    new: &[MessageRow],
    payloads: Packed,
) -> Result<(), StoreError> {
    let count = i64::try_from(new.len()).unwrap_or(i64::MAX);
    let insert = MessageRow::bind(sqlx::query(INSERT), new).bind(payloads.0).bind(count).bind(key);
    write.execute(insert).await.map(drop)
}

/// The stored ones of these messages.
pub(super) async fn find(
    write: &mut Tx,
    ids: &[(AccountKey, MessageId)],
) -> Result<HashMap<(AccountKey, MessageId), Message>, StoreError> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let found = write.fetch(MessageKey::bind(sqlx::query(BY_ID), &message_keys(ids))).await?;
    let found: Result<Vec<_>, StoreError> =
        found.iter().map(|row| Ok((row.int(0)?, row.int(1)?, row.int(2)?, row.int(3)?))).collect();
    stored(ids, found?)
}

/// Holds numbers, so that their messages stay as they are.
async fn hold(write: &mut Tx, numbers: BTreeSet<i64>) -> Result<(), StoreError> {
    write.fetch(sqlx::query(HOLD).bind(Vec::from_iter(numbers))).await.map(drop)
}
