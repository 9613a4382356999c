//! Messages in flight: stored, taken back, expired, handed to their fleets.

use std::collections::HashMap;

use async_trait::async_trait;
use jiff::Timestamp;
use musubi_domain::id::{MessageId, OfficialAccountId};
use sqlx::SqliteConnection;

use super::{SqliteCarrierStore, account_key, outbox, unpack, webhooks};
use crate::{
    StoreError,
    carrier::{
        BATCH, Candidate, Enqueueing, FleetName, MessageStore, OutboxKind, QueuedMessage,
        ledger::{AccountKey, Message},
        messages::{
            MessageRow, MovedRow, Offered, Told, end, message_keys, offer, queued_of, receivers, stored,
            take_back,
        },
        outbox::event_rows,
        record::fleet_of,
        webhooks::{split, webhook_rows},
    },
    sqlite::{Packed, micros, rows},
};

#[async_trait]
impl MessageStore for SqliteCarrierStore {
    async fn enqueue_messages(
        &self,
        account: &OfficialAccountId,
        candidates: &[Candidate],
    ) -> Result<Enqueueing, StoreError> {
        const NAME: &str = "enqueue_messages";
        let mut transaction = self.database.write(NAME).await?;
        let key = account_key(&mut transaction, NAME, account).await?;
        let ids: Vec<_> = candidates.iter().map(|candidate| (key, candidate.message_id)).collect();
        let seen = find(&mut transaction, NAME, &ids).await?.into_keys().map(|(_, id)| id).collect();
        let fleets = fleets_of_followers(&mut transaction, key, candidates).await?;
        let Offered { outcomes, new, payloads, fleets } = offer(candidates, seen, &fleets);
        insert(&mut transaction, NAME, key, &new, payloads).await?;
        let fleets = fleet_names(&mut transaction, fleets.into_iter().collect()).await?;
        transaction.commit().await.map_err(StoreError::during(NAME))?;
        Ok(Enqueueing { outcomes, fleets })
    }

    async fn revoke_messages(
        &self,
        account: &OfficialAccountId,
        message_ids: &[MessageId],
        now: Timestamp,
    ) -> Result<Vec<bool>, StoreError> {
        const NAME: &str = "revoke_messages";
        let mut transaction = self.database.write(NAME).await?;
        let key = account_key(&mut transaction, NAME, account).await?;
        let ids: Vec<_> = message_ids.iter().map(|id| (key, *id)).collect();
        let messages = find(&mut transaction, NAME, &ids).await?;
        let (revoked, told) = take_back(account, &ids, messages, now);
        self.tell(&mut transaction, NAME, told).await?;
        transaction.commit().await.map_err(StoreError::during(NAME))?;
        Ok(revoked)
    }

    async fn expire_messages(&self, now: Timestamp) -> Result<usize, StoreError> {
        const NAME: &str = "expire_messages";
        let failed = StoreError::during(NAME);
        let mut transaction = self.database.write(NAME).await?;
        let over = sqlx::query(
            "SELECT sequence, accounts.name, msisdn, message_id
             FROM messages CROSS JOIN accounts USING (account_id)
             WHERE state = 0 AND expire_time <= ?1 ORDER BY expire_time LIMIT ?2",
        )
        .bind(micros(now))
        .bind(i64::try_from(BATCH).unwrap_or(i64::MAX))
        .fetch_all(&mut *transaction)
        .await
        .map_err(&failed)?;
        self.tell(&mut transaction, NAME, end(&over, now)?).await?;
        transaction.commit().await.map_err(failed)?;
        Ok(over.len())
    }

    async fn list_queued(
        &self,
        fleet: &FleetName,
        after: u64,
        now: Timestamp,
    ) -> Result<Vec<QueuedMessage>, StoreError> {
        let queued = sqlx::query(
            "SELECT sequence, accounts.name, display_name, payload
             FROM messages CROSS JOIN accounts USING (account_id)
             WHERE fleet_id = (SELECT fleet_id FROM fleets WHERE name = ?1)
               AND state = 0 AND sequence > ?2 AND expire_time > ?3
             ORDER BY sequence LIMIT ?4",
        )
        .bind(fleet.as_str())
        .bind(i64::try_from(after).unwrap_or(i64::MAX))
        .bind(micros(now))
        .bind(i64::try_from(BATCH).unwrap_or(i64::MAX))
        .fetch_all(self.database.read_fresh())
        .await
        .map_err(StoreError::during("list_queued"))?;
        queued.iter().map(queued_of).collect()
    }
}

/// Stores messages. The order of the rows is the order of the sequence.
pub(super) async fn insert(
    connection: &mut SqliteConnection,
    transaction: &'static str,
    key: AccountKey,
    new: &[MessageRow],
    payloads: Packed,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO messages (account_id, message_id, msisdn, fleet_id, state, expire_time, payload)
         SELECT ?1, unhex(value ->> 0), value ->> 1, value ->> 2, 0, value ->> 3, substr(?3, value ->> 4, value ->> 5)
         FROM jsonb_each(?2)",
    )
    .bind(key)
    .bind(rows(new)?)
    .bind(payloads.0)
    .execute(connection)
    .await
    .map(drop)
    .map_err(StoreError::during(transaction))
}

/// The fleets of the numbers that candidates would go to and that follow the account.
async fn fleets_of_followers(
    connection: &mut SqliteConnection,
    key: AccountKey,
    candidates: &[Candidate],
) -> Result<HashMap<i64, i64>, StoreError> {
    let found: String = sqlx::query_scalar(
        "SELECT json_group_array(json_array(numbers.msisdn, numbers.fleet_id))
         FROM jsonb_each(?2) AS asked
         CROSS JOIN subscriptions AS s ON s.msisdn = asked.value AND s.account_id = ?1 AND s.unfollowed_at IS NULL
         CROSS JOIN numbers ON numbers.msisdn = s.msisdn AND numbers.released = 0",
    )
    .bind(key)
    .bind(rows(&receivers(candidates))?)
    .fetch_one(connection)
    .await
    .map_err(StoreError::during("enqueue_messages"))?;
    let found: Vec<(i64, i64)> = unpack(&found)?;
    Ok(found.into_iter().collect())
}

pub(super) async fn fleet_names(
    connection: &mut SqliteConnection,
    fleets: Vec<i64>,
) -> Result<Vec<FleetName>, StoreError> {
    let names = sqlx::query(
        "SELECT name FROM fleets WHERE fleet_id IN (SELECT value FROM jsonb_each(?1)) ORDER BY name",
    )
    .bind(rows(&fleets)?)
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("enqueue_messages"))?;
    names.iter().map(fleet_of).collect()
}

/// The stored ones of these messages.
pub(super) async fn find(
    connection: &mut SqliteConnection,
    transaction: &'static str,
    ids: &[(AccountKey, MessageId)],
) -> Result<HashMap<(AccountKey, MessageId), Message>, StoreError> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let found: String = sqlx::query_scalar(
        "SELECT json_group_array(json_array(asked.key, m.sequence, m.msisdn, m.state))
         FROM jsonb_each(?1) AS asked
         CROSS JOIN messages AS m ON m.account_id = asked.value ->> 0 AND m.message_id = unhex(asked.value ->> 1)",
    )
    .bind(rows(&message_keys(ids))?)
    .fetch_one(connection)
    .await
    .map_err(StoreError::during(transaction))?;
    let found: Vec<(i64, i64, i64, i64)> = unpack(&found)?;
    stored(ids, found)
}

/// Writes states that messages moved to; none of them is queued any more.
async fn set_states(
    connection: &mut SqliteConnection,
    transaction: &'static str,
    moved: &[MovedRow],
) -> Result<(), StoreError> {
    if moved.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "UPDATE messages SET state = moved.value ->> 1, payload = NULL
         FROM jsonb_each(?1) AS moved WHERE messages.sequence = moved.value ->> 0",
    )
    .bind(rows(moved)?)
    .execute(connection)
    .await
    .map(drop)
    .map_err(StoreError::during(transaction))
}

impl SqliteCarrierStore {
    /// Writes what moved, and the events that tell of it.
    pub(super) async fn tell(
        &self,
        connection: &mut SqliteConnection,
        transaction: &'static str,
        told: Told,
    ) -> Result<(), StoreError> {
        set_states(connection, transaction, &told.moved).await?;
        let (pushed, posted) = split(told.events, &self.agents.get());
        webhooks::put(connection, transaction, &webhook_rows(&posted)).await?;
        outbox::put(connection, transaction, OutboxKind::Events, &event_rows(self.encode, &pushed)).await
    }
}
