//! A batch of actions in one transaction: load what it names, let the ledger decide, write what changed.
//!
//! Locks are taken in one order everywhere: numbers, accounts, the messages' head, the outbox's head.

use std::collections::HashSet;

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::postgres::PgRow;

use super::{PostgresCarrierStore, Tx, messages, numbers};
use crate::{
    StoreError,
    carrier::{
        Action, ActionBatch, ActionKind, ActionStore, Applied, FleetName, RoomAction,
        ledger::{Ledger, Named, RoomKey, accounts_named, numbers_named, tenures_named},
    },
    postgres::again,
    row::{BulkRow as _, Columns as _},
};

pub(super) const NUMBERS: &str =
    "SELECT msisdn, fleet_id FROM numbers WHERE msisdn = ANY($1) ORDER BY msisdn FOR UPDATE";

/// Accounts that are named, and those that surrendered numbers follow.
macro_rules! accounts {
    () => {
        "SELECT name, account_id, generation FROM accounts WHERE account_id IN (
             SELECT account_id FROM accounts WHERE name = ANY($1)
             UNION SELECT account_id FROM subscriptions WHERE msisdn = ANY($2) AND unfollowed_at IS NULL)
         ORDER BY account_id"
    };
}

pub(super) const ACCOUNTS: &str = accounts!();

/// The same, and their lists change.
const ACCOUNTS_THAT_GROW: &str = concat!(accounts!(), " FOR UPDATE OF accounts");

/// The `OFFSET` has each room looked up by itself, however few rows there were when the plan was made.
pub(super) const FOLLOWING: &str = "
    SELECT account_id, msisdn, followed_at
    FROM unnest($1::bigint[], $2::bigint[]) AS room(account_id, msisdn) CROSS JOIN LATERAL (
        SELECT followed_at FROM subscriptions AS s
        WHERE s.msisdn = room.msisdn AND s.account_id = room.account_id AND unfollowed_at IS NULL OFFSET 0) AS followed";

pub(super) const WAITING_IN_ROOMS: &str = "
    SELECT account_id, msisdn, sequence, message_id
    FROM unnest($1::bigint[], $2::bigint[]) AS room(account_id, msisdn) CROSS JOIN LATERAL (
        SELECT sequence, message_id FROM messages AS m
        WHERE m.msisdn = room.msisdn AND m.account_id = room.account_id AND state = 0 OFFSET 0) AS waiting
    ORDER BY sequence";

pub(super) const WAITING: &str =
    "SELECT sequence FROM messages WHERE msisdn = ANY($1) AND state = 0 ORDER BY sequence";

/// A new place at the end: the fleet may be past the old ones.
const FOLLOW_NUMBERS: &str = "
    WITH head AS (UPDATE heads SET last = last + $2 WHERE head = 2 RETURNING last - $2 AS before)
    UPDATE messages SET fleet_id = $3, sequence = head.before + waiting.place
    FROM head CROSS JOIN unnest($1::bigint[]) WITH ORDINALITY AS waiting(sequence, place)
    WHERE messages.sequence = waiting.sequence";

const PUT_INTERVALS: &str = "
    INSERT INTO subscriptions (account_id, msisdn, followed_at, unfollowed_at)
    SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[])
    ON CONFLICT (account_id, msisdn, followed_at) DO UPDATE SET unfollowed_at = excluded.unfollowed_at";

const GROW: &str = "
    UPDATE accounts SET generation = grown.generation
    FROM unnest($1::bigint[], $2::bigint[]) AS grown(account_id, generation)
    WHERE accounts.account_id = grown.account_id";

#[async_trait]
impl ActionStore for PostgresCarrierStore {
    async fn apply_actions(&self, batch: &ActionBatch, now: Timestamp) -> Result<Applied, StoreError> {
        again!(self.apply_once(batch, now))
    }
}

impl PostgresCarrierStore {
    async fn apply_once(&self, batch: &ActionBatch, now: Timestamp) -> Result<Applied, StoreError> {
        let mut write = self.database.write("apply_actions").await?;
        // Whoever applies the same batch beside is waited for.
        let new = sqlx::query(
            "INSERT INTO action_batches (batch_id) VALUES ($1) ON CONFLICT (batch_id) DO NOTHING",
        )
        .bind(batch.batch_id);
        if write.execute(new).await? == 0 {
            return Ok(Applied::Before);
        }
        let fleet = put_fleet(&mut write, &batch.fleet).await?;
        let moved = hold_numbers(&mut write, &batch.actions, fleet).await?;
        let mut ledger = Ledger::new(batch.batch_id, now, self.agents.get());
        load_accounts(&mut write, &batch.actions, &mut ledger).await?;
        let inherited = follow_numbers(&mut write, &moved, fleet).await?;
        load(&mut write, &batch.actions, &mut ledger).await?;
        for (index, action) in batch.actions.iter().enumerate() {
            ledger.apply(index, action.clone())?;
        }
        write.write(numbers::PUT_TENURES, &ledger.tenure_rows()).await?;
        write.write(PUT_INTERVALS, &ledger.interval_rows()).await?;
        write.write(GROW, &ledger.generation_rows()).await?;
        self.tell(&mut write, ledger.told()).await?;
        write.commit().await?;
        Ok(Applied::Now { inherited })
    }
}

/// The fleet's key. Only a new one is written: whoever has written it keeps all others of the fleet waiting.
async fn put_fleet(write: &mut Tx, fleet: &FleetName) -> Result<i64, StoreError> {
    let known = sqlx::query("SELECT fleet_id FROM fleets WHERE name = $1").bind(fleet.as_str());
    if let Some(known) = write.fetch_optional(known).await? {
        return known.int(0);
    }
    let new = sqlx::query("INSERT INTO fleets (name) VALUES ($1) RETURNING fleet_id").bind(fleet.as_str());
    write.fetch_one(new).await?.int(0)
}

/// Holds the actions' numbers, which the fleet has from now on. Gives those that another fleet had.
async fn hold_numbers(write: &mut Tx, actions: &[Action], fleet: i64) -> Result<Vec<i64>, StoreError> {
    let mut new = numbers_named(actions);
    let found = write.fetch(sqlx::query(NUMBERS).bind(&new)).await?;
    let (mut known, mut moved) = (HashSet::with_capacity(found.len()), Vec::new());
    for row in &found {
        known.insert(row.int(0)?);
        if row.int(1)? != fleet {
            moved.push(row.int(0)?);
        }
    }
    new.retain(|number| !known.contains(number));
    if !new.is_empty() {
        let insert = "INSERT INTO numbers (msisdn, fleet_id) SELECT unnest($1::bigint[]), $2";
        write.execute(sqlx::query(insert).bind(new).bind(fleet)).await?;
    }
    if !moved.is_empty() {
        let update = "UPDATE numbers SET fleet_id = $2 WHERE msisdn = ANY($1)";
        write.execute(sqlx::query(update).bind(&moved).bind(fleet)).await?;
    }
    Ok(moved)
}

/// The messages that wait for numbers go where these went; says whether there are any.
async fn follow_numbers(write: &mut Tx, moved: &[i64], fleet: i64) -> Result<bool, StoreError> {
    if moved.is_empty() {
        return Ok(false);
    }
    let found = write.fetch(sqlx::query(WAITING).bind(moved)).await?;
    let waiting = found.iter().map(|row| row.int(0)).collect::<Result<Vec<_>, _>>()?;
    let Some(count) = i64::try_from(waiting.len()).ok().filter(|count| *count > 0) else { return Ok(false) };
    write.execute(sqlx::query(FOLLOW_NUMBERS).bind(waiting).bind(count).bind(fleet)).await?;
    Ok(true)
}

/// Reads the accounts of the actions, and holds them when their lists change.
async fn load_accounts(write: &mut Tx, actions: &[Action], ledger: &mut Ledger) -> Result<(), StoreError> {
    let grows = actions.iter().any(|action| match &action.kind {
        ActionKind::Surrendered => true,
        ActionKind::InRoom(_, action) => match action {
            RoomAction::Follow | RoomAction::Unfollow => true,
            RoomAction::Delivered(_) | RoomAction::Displayed(_) | RoomAction::Responded(_) => false,
        },
        ActionKind::Tenure(_) => false,
    });
    let (named, surrendered) = accounts_named(actions);
    let accounts = sqlx::query(if grows { ACCOUNTS_THAT_GROW } else { ACCOUNTS });
    let found = write.fetch(accounts.bind(named).bind(surrendered)).await?;
    found.iter().try_for_each(|row| ledger.know_account(row))
}

/// Reads what else the actions name. Their numbers are held, so it stays as it is.
async fn load(write: &mut Tx, actions: &[Action], ledger: &mut Ledger) -> Result<(), StoreError> {
    let tenures = tenures_named(actions);
    if !tenures.is_empty() {
        let found = write.fetch(sqlx::query(numbers::TENURES).bind(tenures)).await?;
        found.iter().try_for_each(|row| ledger.know_tenure(row))?;
    }
    let Named { rooms, leaving, ids } = ledger.named(actions);
    let found = fetch_rooms(write, FOLLOWING, rooms).await?;
    let found: Result<Vec<_>, StoreError> =
        found.iter().map(|row| Ok((row.int(0)?, row.int(1)?, row.int(2)?))).collect();
    ledger.know_following(found?)?;
    ledger.messages = messages::find(write, &Vec::from_iter(ids)).await?;
    let found = fetch_rooms(write, WAITING_IN_ROOMS, leaving).await?;
    found.iter().try_for_each(|row| ledger.know_waiting(row))
}

async fn fetch_rooms(
    write: &mut Tx,
    sql: &'static str,
    rooms: HashSet<RoomKey>,
) -> Result<Vec<PgRow>, StoreError> {
    if rooms.is_empty() {
        return Ok(Vec::new());
    }
    write.fetch(RoomKey::bind(sqlx::query(sql), &Vec::from_iter(rooms))).await
}
