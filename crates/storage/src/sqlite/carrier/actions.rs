//! A batch of actions in one transaction: load what it names, let the ledger decide, write what changed.

use std::collections::{BTreeSet, HashSet};

use jiff::Timestamp;
use musubi_domain::{
    id::{MessageId, OfficialAccountId},
    phone_number::PhoneNumber,
};
use sqlx::SqliteConnection;

use super::{corrupt, messages, msisdn, number, outbox, unpack};
use crate::{
    StoreError,
    carrier::{
        Action, ActionBatch, ActionKind, Applied, EncodeEvents, RoomAction,
        ledger::{AccountKey, Ledger, Message, MessageState},
    },
    sqlite::{Database, rows},
};

const NAME: &str = "apply_actions";

pub(super) async fn apply(
    database: &Database,
    encode: EncodeEvents,
    batch: &ActionBatch,
    now: Timestamp,
) -> Result<Applied, StoreError> {
    let failed = StoreError::during(NAME);
    let mut transaction = database.write(NAME).await?;
    let new =
        sqlx::query("INSERT INTO action_batches (batch_id) VALUES (?1) ON CONFLICT (batch_id) DO NOTHING")
            .bind(&batch.batch_id.as_bytes()[..])
            .execute(&mut *transaction)
            .await
            .map_err(&failed)?;
    if new.rows_affected() == 0 {
        return Ok(Applied::Before);
    }
    let inherited = put_fleet(&mut transaction, batch).await?;
    let mut ledger = Ledger::new(batch.batch_id, now);
    load(&mut transaction, &batch.actions, &mut ledger).await?;
    for (index, action) in batch.actions.iter().enumerate() {
        ledger.apply(index, action.clone())?;
    }
    write(&mut transaction, encode, &ledger).await?;
    transaction.commit().await.map_err(failed)?;
    Ok(Applied::Now { inherited })
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
    let named: BTreeSet<i64> = batch.actions.iter().map(|action| msisdn(action.number)).collect();
    let moved: Vec<i64> = sqlx::query_scalar(
        "SELECT named.value FROM json_each(?1) AS named LEFT JOIN numbers ON numbers.msisdn = named.value
         WHERE numbers.fleet_id IS NOT ?2",
    )
    .bind(rows(&named.into_iter().collect::<Vec<_>>())?)
    .bind(fleet)
    .fetch_all(&mut *connection)
    .await
    .map_err(&failed)?;
    if moved.is_empty() {
        return Ok(false);
    }
    let moved = rows(&moved)?;
    sqlx::query(
        "INSERT INTO numbers (msisdn, fleet_id) SELECT value, ?2 FROM json_each(?1) WHERE true
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
               FROM json_each(?1) AS moved
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
    let (mut rooms, mut leaving, mut ids) = (HashSet::new(), HashSet::new(), HashSet::new());
    for Action { number, kind } in actions {
        let ActionKind::InRoom(account, action) = kind else {
            // A number that is surrendered may follow and leave in the batch itself, too.
            let keys = ledger.accounts.values().map(|(key, _)| (*key, *number));
            leaving.extend(keys.clone());
            rooms.extend(keys);
            continue;
        };
        let Some((key, _)) = ledger.accounts.get(account) else {
            continue;
        };
        match action {
            RoomAction::Unfollow => {
                leaving.insert((*key, *number));
                rooms.insert((*key, *number));
            }
            RoomAction::Follow | RoomAction::Responded(_) => {
                rooms.insert((*key, *number));
            }
            RoomAction::Delivered(id) | RoomAction::Displayed(id) => {
                ids.insert((*key, *id));
            }
        }
    }
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
    let (mut named, mut surrendered) = (HashSet::new(), HashSet::new());
    for action in actions {
        match &action.kind {
            ActionKind::InRoom(account, _) => {
                named.insert(account.as_str());
            }
            ActionKind::Surrendered => {
                surrendered.insert(msisdn(action.number));
            }
        }
    }
    let found: Vec<(String, AccountKey, i64)> = sqlx::query_as(
        "SELECT name, account_id, generation FROM accounts WHERE name IN (SELECT value FROM json_each(?1))
         UNION
         SELECT name, account_id, generation FROM accounts WHERE account_id IN (
             SELECT s.account_id FROM json_each(?2) AS surrendered
             CROSS JOIN subscriptions AS s ON s.msisdn = surrendered.value AND s.unfollowed_at IS NULL)",
    )
    .bind(rows(&named.into_iter().collect::<Vec<_>>())?)
    .bind(rows(&surrendered.into_iter().collect::<Vec<_>>())?)
    .fetch_all(connection)
    .await
    .map_err(StoreError::during(NAME))?;
    for (name, key, generation) in found {
        let account: OfficialAccountId = name.parse().map_err(|error| corrupt("an account", &error))?;
        ledger.accounts.insert(account, (key, generation));
    }
    Ok(())
}

async fn load_following(
    connection: &mut SqliteConnection,
    rooms: HashSet<(AccountKey, PhoneNumber)>,
    ledger: &mut Ledger,
) -> Result<(), StoreError> {
    if rooms.is_empty() {
        return Ok(());
    }
    let found: String = sqlx::query_scalar(
        "SELECT json_group_array(json_array(s.account_id, s.msisdn, s.followed_at))
         FROM json_each(?1) AS room
         CROSS JOIN subscriptions AS s
             ON s.msisdn = room.value ->> 1 AND s.account_id = room.value ->> 0 AND s.unfollowed_at IS NULL",
    )
    .bind(room_rows(rooms)?)
    .fetch_one(connection)
    .await
    .map_err(StoreError::during(NAME))?;
    let found: Vec<(AccountKey, i64, i64)> = unpack(&found)?;
    for (key, msisdn, since) in found {
        ledger.following.insert((key, number(msisdn)?), since);
    }
    Ok(())
}

/// The messages that wait for numbers that leave.
async fn load_waiting(
    connection: &mut SqliteConnection,
    leaving: HashSet<(AccountKey, PhoneNumber)>,
    ledger: &mut Ledger,
) -> Result<(), StoreError> {
    if leaving.is_empty() {
        return Ok(());
    }
    let found: Vec<(AccountKey, i64, i64, Vec<u8>)> = sqlx::query_as(
        "SELECT m.account_id, m.msisdn, m.sequence, m.message_id
         FROM json_each(?1) AS room
         CROSS JOIN messages AS m ON m.msisdn = room.value ->> 1 AND m.account_id = room.value ->> 0 AND m.state = 0
         ORDER BY m.sequence",
    )
    .bind(room_rows(leaving)?)
    .fetch_all(connection)
    .await
    .map_err(StoreError::during(NAME))?;
    for (key, msisdn, sequence, id) in found {
        let number = number(msisdn)?;
        let id = MessageId::from_slice(&id).map_err(|error| corrupt("a message id", &error))?;
        ledger.messages.insert((key, id), Message { sequence, number, state: MessageState::Queued });
        ledger.waiting.entry((key, number)).or_default().push(id);
    }
    Ok(())
}

fn room_rows(rooms: HashSet<(AccountKey, PhoneNumber)>) -> Result<String, StoreError> {
    rows(&rooms.into_iter().map(|(key, number)| (key, msisdn(number))).collect::<Vec<_>>())
}

/// Writes what the ledger says has changed.
async fn write(
    connection: &mut SqliteConnection,
    encode: EncodeEvents,
    ledger: &Ledger,
) -> Result<(), StoreError> {
    let failed = StoreError::during(NAME);
    if !ledger.intervals.is_empty() {
        let intervals = ledger.intervals.iter();
        let intervals: Vec<_> =
            intervals.map(|((key, number, since), until)| (key, msisdn(*number), since, until)).collect();
        sqlx::query(
            "INSERT INTO subscriptions (account_id, msisdn, followed_at, unfollowed_at)
             SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3 FROM json_each(?1) WHERE true
             ON CONFLICT (account_id, msisdn, followed_at) DO UPDATE SET unfollowed_at = excluded.unfollowed_at",
        )
        .bind(rows(&intervals)?)
        .execute(&mut *connection)
        .await
        .map_err(&failed)?;
        let grown: Vec<_> = ledger.grown.iter().filter_map(|account| ledger.accounts.get(account)).collect();
        sqlx::query(
            "UPDATE accounts SET generation = grown.value ->> 1
             FROM json_each(?1) AS grown WHERE accounts.account_id = grown.value ->> 0",
        )
        .bind(rows(&grown)?)
        .execute(&mut *connection)
        .await
        .map_err(&failed)?;
    }
    let moved = ledger.moved.iter().map(|(sequence, state)| (*sequence, *state));
    messages::set_states(connection, NAME, moved).await?;
    outbox::put_events(connection, NAME, encode, &ledger.events).await
}
