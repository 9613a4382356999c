//! A batch of actions in one transaction: load what it names, let the ledger decide, write what changed.

use std::collections::HashSet;

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::SqliteConnection;

use super::{SqliteCarrierStore, messages, numbers, unpack};
use crate::{
    StoreError,
    carrier::{
        Action, ActionBatch, ActionStore, Applied,
        ledger::{Ledger, Named, RoomKey, accounts_named, numbers_named, tenures_named},
    },
    sqlite::rows,
};

const NAME: &str = "apply_actions";

#[async_trait]
impl ActionStore for SqliteCarrierStore {
    async fn apply_actions(&self, batch: &ActionBatch, now: Timestamp) -> Result<Applied, StoreError> {
        let failed = StoreError::during(NAME);
        let mut transaction = self.database.write(NAME).await?;
        let new = sqlx::query(
            "INSERT INTO action_batches (batch_id) VALUES (?1) ON CONFLICT (batch_id) DO NOTHING",
        )
        .bind(&batch.batch_id.as_bytes()[..])
        .execute(&mut *transaction)
        .await
        .map_err(&failed)?;
        if new.rows_affected() == 0 {
            return Ok(Applied::Before);
        }
        let inherited = put_fleet(&mut transaction, batch).await?;
        let mut ledger = Ledger::new(batch.batch_id, now, self.agents.get());
        load(&mut transaction, &batch.actions, &mut ledger).await?;
        for (index, action) in batch.actions.iter().enumerate() {
            ledger.apply(index, action.clone())?;
        }
        self.write(&mut transaction, ledger).await?;
        transaction.commit().await.map_err(failed)?;
        Ok(Applied::Now { inherited })
    }
}

/// Learns where the batch's numbers are; says whether messages came along with them.
async fn put_fleet(connection: &mut SqliteConnection, batch: &ActionBatch) -> Result<bool, StoreError> {
    let failed = StoreError::during(NAME);
    let fleet: i64 = sqlx::query_scalar(
        "INSERT INTO fleets (name) VALUES (?1) ON CONFLICT (name) DO UPDATE SET name = name RETURNING fleet_id",
    )
    .bind(batch.fleet.as_str())
    .fetch_one(&mut *connection)
    .await
    .map_err(&failed)?;
    let moved: Vec<i64> = sqlx::query_scalar(
        "SELECT named.value FROM jsonb_each(?1) AS named LEFT JOIN numbers ON numbers.msisdn = named.value
         WHERE numbers.fleet_id IS NOT ?2",
    )
    .bind(rows(&numbers_named(&batch.actions))?)
    .bind(fleet)
    .fetch_all(&mut *connection)
    .await
    .map_err(&failed)?;
    if moved.is_empty() {
        return Ok(false);
    }
    let moved = rows(&moved)?;
    sqlx::query(
        "INSERT INTO numbers (msisdn, fleet_id) SELECT value, ?2 FROM jsonb_each(?1) WHERE true
         ON CONFLICT (msisdn) DO UPDATE SET fleet_id = excluded.fleet_id",
    )
    .bind(&moved)
    .bind(fleet)
    .execute(&mut *connection)
    .await
    .map_err(&failed)?;
    // A new place at the end: the fleet may be past the old ones.
    let inherited = sqlx::query(
        "UPDATE messages SET fleet_id = ?2, sequence = place.sequence
         FROM (SELECT waiting.sequence AS old,
                      (SELECT max(sequence) FROM messages) + row_number() OVER (ORDER BY waiting.sequence) AS sequence
               FROM jsonb_each(?1) AS moved
               CROSS JOIN messages AS waiting ON waiting.msisdn = moved.value AND waiting.state = 0) AS place
         WHERE messages.sequence = place.old",
    )
    .bind(&moved)
    .bind(fleet)
    .execute(connection)
    .await
    .map_err(failed)?;
    Ok(inherited.rows_affected() > 0)
}

/// Reads what the actions name into the ledger.
async fn load(
    connection: &mut SqliteConnection,
    actions: &[Action],
    ledger: &mut Ledger,
) -> Result<(), StoreError> {
    load_accounts(connection, actions, ledger).await?;
    let tenures = tenures_named(actions);
    if !tenures.is_empty() {
        let found = sqlx::query(numbers::TENURES).bind(rows(&tenures)?).fetch_all(&mut *connection).await;
        found.map_err(StoreError::during(NAME))?.iter().try_for_each(|row| ledger.know_tenure(row))?;
    }
    let Named { rooms, leaving, ids } = ledger.named(actions);
    load_following(connection, rooms, ledger).await?;
    ledger.messages = messages::find(connection, NAME, &ids.into_iter().collect::<Vec<_>>()).await?;
    load_waiting(connection, leaving, ledger).await
}

/// The accounts that the actions name, and those that surrendered numbers follow.
async fn load_accounts(
    connection: &mut SqliteConnection,
    actions: &[Action],
    ledger: &mut Ledger,
) -> Result<(), StoreError> {
    let (named, surrendered) = accounts_named(actions);
    let found = sqlx::query(
        "SELECT name, account_id, generation FROM accounts WHERE name IN (SELECT value FROM jsonb_each(?1))
         UNION
         SELECT name, account_id, generation FROM accounts WHERE account_id IN (
             SELECT s.account_id FROM jsonb_each(?2) AS surrendered
             CROSS JOIN subscriptions AS s ON s.msisdn = surrendered.value AND s.unfollowed_at IS NULL)",
    )
    .bind(rows(&named)?)
    .bind(rows(&surrendered)?)
    .fetch_all(connection)
    .await
    .map_err(StoreError::during(NAME))?;
    found.iter().try_for_each(|row| ledger.know_account(row))
}

async fn load_following(
    connection: &mut SqliteConnection,
    rooms: HashSet<RoomKey>,
    ledger: &mut Ledger,
) -> Result<(), StoreError> {
    if rooms.is_empty() {
        return Ok(());
    }
    let found: String = sqlx::query_scalar(
        "SELECT json_group_array(json_array(s.account_id, s.msisdn, s.followed_at))
         FROM jsonb_each(?1) AS room
         CROSS JOIN subscriptions AS s
             ON s.msisdn = room.value ->> 1 AND s.account_id = room.value ->> 0 AND s.unfollowed_at IS NULL",
    )
    .bind(rows(&Vec::from_iter(rooms))?)
    .fetch_one(connection)
    .await
    .map_err(StoreError::during(NAME))?;
    ledger.know_following(unpack(&found)?)
}

/// The messages that wait for numbers that leave.
async fn load_waiting(
    connection: &mut SqliteConnection,
    leaving: HashSet<RoomKey>,
    ledger: &mut Ledger,
) -> Result<(), StoreError> {
    if leaving.is_empty() {
        return Ok(());
    }
    let found = sqlx::query(
        "SELECT m.account_id, m.msisdn, m.sequence, m.message_id
         FROM jsonb_each(?1) AS room
         CROSS JOIN messages AS m ON m.msisdn = room.value ->> 1 AND m.account_id = room.value ->> 0 AND m.state = 0
         ORDER BY m.sequence",
    )
    .bind(rows(&Vec::from_iter(leaving))?)
    .fetch_all(connection)
    .await
    .map_err(StoreError::during(NAME))?;
    found.iter().try_for_each(|row| ledger.know_waiting(row))
}

impl SqliteCarrierStore {
    /// Writes what the ledger says has changed.
    async fn write(&self, connection: &mut SqliteConnection, ledger: Ledger) -> Result<(), StoreError> {
        let failed = StoreError::during(NAME);
        if !ledger.intervals.is_empty() {
            sqlx::query(
            "INSERT INTO subscriptions (account_id, msisdn, followed_at, unfollowed_at)
             SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3 FROM jsonb_each(?1) WHERE true
             ON CONFLICT (account_id, msisdn, followed_at) DO UPDATE SET unfollowed_at = excluded.unfollowed_at",
        )
        .bind(rows(&ledger.interval_rows())?)
        .execute(&mut *connection)
        .await
        .map_err(&failed)?;
            sqlx::query(
                "UPDATE accounts SET generation = grown.value ->> 1
             FROM jsonb_each(?1) AS grown WHERE accounts.account_id = grown.value ->> 0",
            )
            .bind(rows(&ledger.generation_rows())?)
            .execute(&mut *connection)
            .await
            .map_err(&failed)?;
        }
        if !ledger.tenures.is_empty() {
            sqlx::query(numbers::PUT_TENURES)
                .bind(rows(&ledger.tenure_rows())?)
                .execute(&mut *connection)
                .await
                .map_err(failed)?;
        }
        self.tell(connection, NAME, ledger.told()).await
    }
}
