//! Deliveries on their way, on SQLite.
//!
//! Surprising: the claim reads a delivery together with its follower's standing and calls the domain's gate on each, inside the
//! transaction that starts the attempts. There is no other way to an attempt.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use jiff::Timestamp;
use musubi_domain::{
    delivery::{DeliveryState, Purpose, Signal, advance},
    eligibility::{Outgoing, Standing, Tie, choose, gate},
    id::{CarrierId, DialogueId, DistributionId, FollowerId, MessageId, OfficialAccountId, TieId},
};
use serde_json::{Value, json};
use sqlx::{Sqlite, Transaction, sqlite::SqliteRow};

use super::{
    Interned, SqliteInformation, key_of,
    load::message_row,
    tally::{Tally, TallyKey},
};
use crate::{
    StoreError,
    information::{
        FollowerKey,
        delivery::{
            Attempt, AttemptOutcome, AttemptResult, Claim, Claimed, DeliveryStore, DueSource, Source,
        },
    },
    sqlite::{at_place, bytes16, get, hex, instant, micros, place, rows, small},
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
                due.push(due_source(row)?);
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
                    Some(row) => (id.as_bytes(), get(&row, 0)?),
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
        let mut started = Started::new(claim, source);
        let mut accounts = Interned::default();
        for row in &due {
            started.take(Due::read(row, &mut accounts)?);
        }
        let moves = rows(&started.moves)?;
        sqlx::query(MOVE).bind(moves).bind(micros(claim.now)).execute(&mut *tx).await.map_err(&failed)?;
        started.tally.store(&mut tx, TRANSACTION).await?;
        tx.commit().await.map_err(&failed)?;
        Ok(Claimed { attempts: started.attempts, seen: u32::try_from(due.len()).unwrap_or(u32::MAX) })
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
        tally.store(&mut tx, TRANSACTION).await?;
        tx.commit().await.map_err(&failed)?;
        Ok(u32::try_from(expired.len()).unwrap_or(u32::MAX))
    }
}

fn due_source(row: &SqliteRow) -> Result<DueSource, StoreError> {
    let account: OfficialAccountId = get::<&str>(row, 0)?.parse()?;
    let source = match get::<&[u8]>(row, 1)? {
        [] => Source::Dialogues(account.clone()),
        [..] => Source::Distribution(DistributionId::from_bytes(bytes16(row, 1)?)),
    };
    Ok(DueSource { source, account, messages_per_second: small(row, 2)?, count: small(row, 3)? })
}

/// A due delivery and all that the gate looks at.
struct Due {
    key: FollowerKey,
    message_id: MessageId,
    purpose: Purpose,
    state: DeliveryState,
    attempts: u32,
    throttled: u32,
    expire_time: Timestamp,
    dialogue: Option<(DialogueId, u16)>,
    pinned: Option<(TieId, musubi_domain::id::CustomerId)>,
    phone_number: Option<musubi_domain::phone_number::PhoneNumber>,
    standing: Standing,
    values: Option<Vec<String>>,
}

impl Due {
    fn read(row: &SqliteRow, accounts: &mut Interned) -> Result<Self, StoreError> {
        let dialogue = match get::<Option<&[u8]>>(row, 7)? {
            Some(_) => Some((DialogueId::from_bytes(bytes16(row, 7)?), small(row, 8)?)),
            None => None,
        };
        let pinned = match get::<Option<&[u8]>>(row, 9)? {
            Some(_) => Some((TieId::from_bytes(bytes16(row, 9)?), get::<&str>(row, 10)?.parse()?)),
            None => None,
        };
        let tie = match get::<Option<&[u8]>>(row, 14)? {
            Some(_) => Some(Tie {
                id: TieId::from_bytes(bytes16(row, 14)?),
                customer_id: get::<&str>(row, 15)?.parse()?,
                suspended: get(row, 17)?,
                expire_time: instant(get(row, 16)?)?,
            }),
            None => None,
        };
        let present = match get::<Option<&[u8]>>(row, 13)? {
            Some(_) => Some(DialogueId::from_bytes(bytes16(row, 13)?)),
            None => None,
        };
        let values = get::<Option<&str>>(row, 18)?
            .map(serde_json::from_str)
            .transpose()
            .map_err(|_| StoreError::Corrupt("values are no JSON array".to_owned()))?;
        Ok(Self {
            key: key_of(row, accounts)?,
            message_id: MessageId::from_bytes(bytes16(row, 2)?),
            purpose: at_place(&Purpose::ALL, get(row, 3)?)?,
            state: at_place(&DeliveryState::ALL, get(row, 4)?)?,
            attempts: small(row, 5)?,
            throttled: small(row, 19)?,
            expire_time: instant(get(row, 6)?)?,
            dialogue,
            pinned,
            phone_number: get::<Option<&str>>(row, 11)?.map(str::parse).transpose()?,
            standing: Standing {
                following: get::<Option<bool>>(row, 12)?.unwrap_or_default(),
                tie,
                dialogue: present,
            },
            values,
        })
    }

    /// What is about to leave: for a distribution's first attempt chosen now, later as pinned.
    fn outgoing(&self, now: Timestamp) -> Option<Outgoing> {
        match self.purpose {
            Purpose::Undecided => Some(choose(&self.standing, |_| self.values.is_some(), now)),
            // Without values there is nothing to say to the customer.
            Purpose::Individual => self
                .pinned
                .clone()
                .filter(|_| self.values.is_some())
                .map(|(tie, customer)| Outgoing::Individual(tie, customer)),
            Purpose::Uniform => Some(Outgoing::Uniform),
            Purpose::Question
            | Purpose::Account
            | Purpose::AccountAgain
            | Purpose::Identity
            | Purpose::Confirmed
            | Purpose::NotConfirmed
            | Purpose::ReviewRejected => self.dialogue.map(|(dialogue, _)| Outgoing::Request(dialogue)),
        }
    }
}

/// What a claim starts, while it is being decided.
struct Started<'a> {
    claim: &'a Claim,
    source: &'a [u8],
    attempts: Vec<Attempt>,
    moves: Vec<Value>,
    tally: Tally,
}

impl<'a> Started<'a> {
    fn new(claim: &'a Claim, source: &'a [u8]) -> Self {
        Self { claim, source, attempts: Vec::new(), moves: Vec::new(), tally: Tally::default() }
    }

    fn take(&mut self, due: Due) {
        let now = self.claim.now;
        if due.expire_time <= now {
            return self.end(&due, Signal::Expired);
        }
        if due.attempts.saturating_sub(due.throttled) >= self.claim.attempts_limit {
            return self.end(&due, Signal::Exhausted);
        }
        let open = due.outgoing(now).filter(|outgoing| gate(outgoing, &due.standing, now).is_ok());
        match (open, due.phone_number) {
            (Some(outgoing), Some(phone_number)) => self.start(due, outgoing, phone_number),
            (Some(_) | None, _) => self.end(&due, Signal::Revoked),
        }
    }

    fn start(
        &mut self,
        due: Due,
        outgoing: Outgoing,
        phone_number: musubi_domain::phone_number::PhoneNumber,
    ) {
        let (purpose, tie, values) = match outgoing {
            Outgoing::Uniform => (Purpose::Uniform, None, Vec::new()),
            Outgoing::Individual(tie, customer) => {
                (Purpose::Individual, Some((tie, customer)), due.values.clone().unwrap_or_default())
            }
            Outgoing::Request(_) => (due.purpose, None, Vec::new()),
        };
        let attempt = due.attempts + 1;
        self.tell(&due, DeliveryState::Sending, purpose);
        self.moves.push(json!([
            hex(due.message_id.as_bytes()),
            place(&DeliveryState::ALL, &DeliveryState::Sending),
            place(&Purpose::ALL, &purpose),
            attempt,
            micros(self.claim.lease_end),
            tie.as_ref().map(|(tie, _)| hex(tie.as_bytes())),
            tie.as_ref().map(|(_, customer)| customer.as_str())
        ]));
        self.attempts.push(Attempt {
            key: due.key,
            message_id: due.message_id,
            attempt,
            phone_number,
            purpose,
            dialogue: due.dialogue,
            values,
            expire_time: due.expire_time,
        });
    }

    fn end(&mut self, due: &Due, signal: Signal) {
        let state = advance(due.state, signal);
        self.tell(due, state, due.purpose);
        self.moves.push(json!([
            hex(due.message_id.as_bytes()),
            place(&DeliveryState::ALL, &state),
            place(&Purpose::ALL, &due.purpose),
            due.attempts,
            micros(self.claim.now),
            due.pinned.as_ref().map(|(tie, _)| hex(tie.as_bytes())),
            due.pinned.as_ref().map(|(_, customer)| customer.as_str())
        ]));
    }

    fn tell(&mut self, due: &Due, state: DeliveryState, purpose: Purpose) {
        let key = |purpose: Purpose, state: DeliveryState| {
            TallyKey::new(
                due.key.account.as_str(),
                self.claim.carrier.as_str(),
                self.source,
                place(&Purpose::ALL, &purpose),
                place(&DeliveryState::ALL, &state),
            )
        };
        let (was, is) = (key(due.purpose, due.state), key(purpose, state));
        self.tally.add(was, -1);
        self.tally.add(is, 1);
    }
}

/// An attempted delivery, while results move it.
struct Attempted {
    row: SqliteRow,
    was: DeliveryState,
    is: DeliveryState,
    attempts: u32,
    due_time: Option<i64>,
    throttled: u32,
}

impl Attempted {
    fn read(row: SqliteRow) -> Result<Self, StoreError> {
        let state = at_place(&DeliveryState::ALL, get(&row, 4)?)?;
        let attempts = small(&row, 5)?;
        Ok(Self { row, was: state, is: state, attempts, due_time: None, throttled: 0 })
    }

    fn learn(&mut self, attempt: u32, outcome: AttemptOutcome) {
        let current = self.is == DeliveryState::Sending && self.attempts == attempt;
        match outcome {
            AttemptOutcome::Known(signal) => self.is = advance(self.is, signal),
            AttemptOutcome::Throttled(due) if current => {
                self.is = DeliveryState::Queued;
                self.due_time = Some(micros(due));
                self.throttled += 1;
            }
            AttemptOutcome::Unknown(due) if current => self.due_time = Some(micros(due)),
            AttemptOutcome::Throttled(_) | AttemptOutcome::Unknown(_) => {}
        }
    }
}

/// Moves attempted deliveries forward inside a transaction, in the order of the results.
async fn record(
    tx: &mut Transaction<'_, Sqlite>,
    transaction: &'static str,
    results: &[AttemptResult],
    now: Timestamp,
) -> Result<(), StoreError> {
    let keys: BTreeSet<_> = results.iter().map(|result| (&result.key, result.message_id)).collect();
    let keys: Vec<_> = keys.into_iter().map(|(key, id)| message_row(key, id)).collect();
    let loaded = sqlx::query(ATTEMPTED)
        .bind(rows(&keys)?)
        .fetch_all(&mut **tx)
        .await
        .map_err(StoreError::during(transaction))?;
    let mut accounts = Interned::default();
    let mut attempted = BTreeMap::new();
    for row in loaded {
        let account = accounts.account(get(&row, 0)?)?;
        let key = FollowerKey { account, follower: FollowerId::from_bytes(bytes16(&row, 6)?) };
        attempted.insert((key, MessageId::from_bytes(bytes16(&row, 7)?)), Attempted::read(row)?);
    }
    for result in results {
        if let Some(attempted) = attempted.get_mut(&(result.key.clone(), result.message_id)) {
            attempted.learn(result.attempt, result.outcome);
        }
    }
    let mut tally = Tally::default();
    let mut moves = Vec::new();
    for ((_, id), attempted) in &attempted {
        if attempted.is == attempted.was && attempted.due_time.is_none() {
            continue;
        }
        tally.moved(&attempted.row, attempted.was, attempted.is)?;
        let state = place(&DeliveryState::ALL, &attempted.is);
        moves.push(json!([hex(id.as_bytes()), state, attempted.due_time, attempted.throttled]));
    }
    if moves.is_empty() {
        return Ok(());
    }
    sqlx::query(RECORD)
        .bind(rows(&moves)?)
        .bind(micros(now))
        .execute(&mut **tx)
        .await
        .map_err(StoreError::during(transaction))?;
    tally.store(tx, transaction).await
}
