//! Messages in flight: stored, taken back, expired, handed to their fleets.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use musubi_domain::id::{MessageId, OfficialAccountId};
use sqlx::SqliteConnection;

use super::{account_key, corrupt, msisdn, number, outbox, unpack, unsigned};
use crate::{
    StoreError,
    carrier::{
        BATCH, Candidate, EncodeEvents, Enqueued, Enqueueing, FleetName, NewMessage, QueuedMessage,
        ReceiptKind,
        ledger::{AccountKey, Message, MessageState, receipt},
    },
    sqlite::{Database, hex, micros, rows},
};

pub(super) async fn enqueue(
    database: &Database,
    account: &OfficialAccountId,
    candidates: &[Candidate],
) -> Result<Enqueueing, StoreError> {
    const NAME: &str = "enqueue_messages";
    let mut transaction = database.write(NAME).await?;
    let key = account_key(&mut transaction, NAME, account).await?;
    let ids: Vec<_> = candidates.iter().map(|candidate| (key, candidate.message_id)).collect();
    let mut seen: HashSet<MessageId> =
        find(&mut transaction, NAME, &ids).await?.into_keys().map(|(_, id)| id).collect();
    let fleets = fleets_of_followers(&mut transaction, key, candidates).await?;

    let mut outcomes = Vec::with_capacity(candidates.len());
    let mut new = Vec::with_capacity(candidates.len());
    for (place, candidate) in (0..).zip(candidates) {
        outcomes.push(if seen.contains(&candidate.message_id) {
            Enqueued::Seen
        } else {
            match (&candidate.message, fleets.get(&place)) {
                (None, _) => Enqueued::Unwanted,
                (Some(_), None) => Enqueued::NotFollowing,
                (Some(message), Some(fleet)) => {
                    seen.insert(candidate.message_id);
                    new.push((candidate.message_id, message, *fleet));
                    Enqueued::Queued
                }
            }
        });
    }
    insert(&mut transaction, key, &new).await?;
    let fleets: HashSet<i64> = new.iter().map(|(_, _, fleet)| *fleet).collect();
    let fleets = fleet_names(&mut transaction, fleets.into_iter().collect()).await?;
    transaction.commit().await.map_err(StoreError::during(NAME))?;
    Ok(Enqueueing { outcomes, fleets })
}

/// The fleet of each candidate's number, by the candidate's place; absent when it doesn't follow the account.
async fn fleets_of_followers(
    connection: &mut SqliteConnection,
    key: AccountKey,
    candidates: &[Candidate],
) -> Result<HashMap<i64, i64>, StoreError> {
    let numbers: Vec<_> = candidates
        .iter()
        .map(|candidate| candidate.message.as_ref().map(|message| msisdn(message.number)))
        .collect();
    let found: String = sqlx::query_scalar(
        "SELECT json_group_array(json_array(asked.key, numbers.fleet_id))
         FROM json_each(?2) AS asked
         CROSS JOIN subscriptions AS s ON s.msisdn = asked.value AND s.account_id = ?1 AND s.unfollowed_at IS NULL
         CROSS JOIN numbers ON numbers.msisdn = s.msisdn",
    )
    .bind(key)
    .bind(rows(&numbers)?)
    .fetch_one(connection)
    .await
    .map_err(StoreError::during("enqueue_messages"))?;
    let found: Vec<(i64, i64)> = unpack(&found)?;
    Ok(found.into_iter().collect())
}

async fn insert(
    connection: &mut SqliteConnection,
    key: AccountKey,
    new: &[(MessageId, &NewMessage, i64)],
) -> Result<(), StoreError> {
    let mut payloads = Vec::with_capacity(new.iter().map(|(_, message, _)| message.payload.len()).sum());
    let mut columns = Vec::with_capacity(new.len());
    for (id, message, fleet) in new {
        let (begin, length) = (payloads.len() + 1, message.payload.len());
        columns.push((
            hex(id.as_bytes()),
            msisdn(message.number),
            fleet,
            micros(message.expires),
            begin,
            length,
        ));
        payloads.extend_from_slice(&message.payload);
    }
    // The order of the array is the order of the sequence.
    sqlx::query(
        "INSERT INTO messages (account_id, message_id, msisdn, fleet_id, state, expire_time, payload)
         SELECT ?1, unhex(value ->> 0), value ->> 1, value ->> 2, 0, value ->> 3, substr(?3, value ->> 4, value ->> 5)
         FROM json_each(?2)",
    )
    .bind(key)
    .bind(rows(&columns)?)
    .bind(payloads)
    .execute(connection)
    .await
    .map(drop)
    .map_err(StoreError::during("enqueue_messages"))
}

async fn fleet_names(
    connection: &mut SqliteConnection,
    fleets: Vec<i64>,
) -> Result<Vec<FleetName>, StoreError> {
    let names: Vec<String> = sqlx::query_scalar(
        "SELECT name FROM fleets WHERE fleet_id IN (SELECT value FROM json_each(?1)) ORDER BY name",
    )
    .bind(rows(&fleets)?)
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("enqueue_messages"))?;
    names.iter().map(|name| name.parse().map_err(|error| corrupt("a fleet", &error))).collect()
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
    let asked: Vec<_> = ids.iter().map(|(key, id)| (key, hex(id.as_bytes()))).collect();
    let found: String = sqlx::query_scalar(
        "SELECT json_group_array(json_array(asked.key, m.sequence, m.msisdn, m.state))
         FROM json_each(?1) AS asked
         CROSS JOIN messages AS m ON m.account_id = asked.value ->> 0 AND m.message_id = unhex(asked.value ->> 1)",
    )
    .bind(rows(&asked)?)
    .fetch_one(connection)
    .await
    .map_err(StoreError::during(transaction))?;
    let found: Vec<(i64, i64, i64, i64)> = unpack(&found)?;
    let mut messages = HashMap::with_capacity(found.len());
    for (place, sequence, msisdn, state) in found {
        let id = usize::try_from(place).ok().and_then(|place| ids.get(place));
        if let Some(id) = id {
            messages.insert(*id, Message { sequence, number: number(msisdn)?, state: state_of(state)? });
        }
    }
    Ok(messages)
}

fn state_of(number: i64) -> Result<MessageState, StoreError> {
    MessageState::from_number(number)
        .ok_or_else(|| StoreError::Corrupt(format!("{number} is no state of a message")))
}

/// Writes states that messages moved to; none of them is queued any more.
pub(super) async fn set_states(
    connection: &mut SqliteConnection,
    transaction: &'static str,
    moved: impl Iterator<Item = (i64, MessageState)>,
) -> Result<(), StoreError> {
    let moved: Vec<_> = moved.map(|(sequence, state)| (sequence, state as i64)).collect();
    if moved.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "UPDATE messages SET state = moved.value ->> 1, payload = NULL
         FROM json_each(?1) AS moved WHERE messages.sequence = moved.value ->> 0",
    )
    .bind(rows(&moved)?)
    .execute(connection)
    .await
    .map(drop)
    .map_err(StoreError::during(transaction))
}

pub(super) async fn revoke(
    database: &Database,
    encode: EncodeEvents,
    account: &OfficialAccountId,
    message_ids: &[MessageId],
    now: Timestamp,
) -> Result<Vec<bool>, StoreError> {
    const NAME: &str = "revoke_messages";
    let mut transaction = database.write(NAME).await?;
    let key = account_key(&mut transaction, NAME, account).await?;
    let ids: Vec<_> = message_ids.iter().map(|id| (key, *id)).collect();
    let mut messages = find(&mut transaction, NAME, &ids).await?;
    let (mut moved, mut events) = (Vec::new(), Vec::new());
    let revoked = ids
        .iter()
        .map(|place| {
            let Some(message) = messages.get_mut(place) else {
                return false;
            };
            if let Some(state) = message.state.after(ReceiptKind::Revoked) {
                message.state = state;
                moved.push((message.sequence, state));
                events.push(receipt(account, message.number, place.1, ReceiptKind::Revoked, now));
            }
            message.state == MessageState::Revoked
        })
        .collect();
    set_states(&mut transaction, NAME, moved.into_iter()).await?;
    outbox::put_events(&mut transaction, NAME, encode, &events).await?;
    transaction.commit().await.map_err(StoreError::during(NAME))?;
    Ok(revoked)
}

pub(super) async fn expire(
    database: &Database,
    encode: EncodeEvents,
    now: Timestamp,
) -> Result<usize, StoreError> {
    const NAME: &str = "expire_messages";
    let failed = StoreError::during(NAME);
    let mut transaction = database.write(NAME).await?;
    let over: Vec<(i64, String, i64, Vec<u8>)> = sqlx::query_as(
        "SELECT sequence, accounts.name, msisdn, message_id
         FROM messages CROSS JOIN accounts USING (account_id)
         WHERE state = 0 AND expire_time <= ?1 ORDER BY expire_time LIMIT ?2",
    )
    .bind(micros(now))
    .bind(i64::try_from(BATCH).unwrap_or(i64::MAX))
    .fetch_all(&mut *transaction)
    .await
    .map_err(&failed)?;
    let mut events = Vec::with_capacity(over.len());
    for (_, account, msisdn, id) in &over {
        let account = account.parse().map_err(|error| corrupt("an account", &error))?;
        let id = MessageId::from_slice(id).map_err(|error| corrupt("a message id", &error))?;
        events.push(receipt(&account, number(*msisdn)?, id, ReceiptKind::Expired, now));
    }
    let moved = over.iter().map(|(sequence, ..)| (*sequence, MessageState::Expired));
    set_states(&mut transaction, NAME, moved).await?;
    outbox::put_events(&mut transaction, NAME, encode, &events).await?;
    transaction.commit().await.map_err(failed)?;
    Ok(over.len())
}

pub(super) async fn list_queued(
    database: &Database,
    fleet: &FleetName,
    after: u64,
    now: Timestamp,
) -> Result<Vec<QueuedMessage>, StoreError> {
    let queued: Vec<(i64, String, String, Vec<u8>)> = sqlx::query_as(
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
    .fetch_all(database.read_fresh())
    .await
    .map_err(StoreError::during("list_queued"))?;
    let message = |(sequence, account, display_name, payload): (i64, String, _, _)| {
        let account = account.parse().map_err(|error| corrupt("an account", &error))?;
        Ok(QueuedMessage { sequence: unsigned(sequence, "a sequence")?, account, display_name, payload })
    };
    queued.into_iter().map(message).collect()
}
