//! Deliveries on their way, on SQLite.
//!
//! Surprising: what is due is read together with its follower's standing, for the gate, inside the transaction that starts the
//! attempts; only new deliveries of a distribution may have been decided about before (`walk`). Results that are signals and nothing
//! else are moved by the database, without a delivery being read, and all that wait for their turn are stored at once.

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;
use musubi_domain::{
    delivery::{DeliveryState, Signal, advance},
    id::{CarrierId, MessageId, OfficialAccountId},
};
use sqlx::{Sqlite, Transaction};

use super::{SqliteInformation, holder, tally, walk::changes};
use crate::{
    StoreError,
    information::{
        FollowerKey,
        changed::message_row,
        claiming::{Learnings, Learnt, Started, attempted, learn, unreached},
        delivery::{AttemptOutcome, AttemptResult, Claim, Claimed, DeliveryStore, DueSource, Source},
        record::due_source_of,
        tally::{Tally, TallyKey},
        together::Next,
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

pub(super) const DUE: &str = "
    SELECT m.official_account, f.follower, m.message_id, m.purpose, m.state, m.attempts, m.expire_time,
           m.dialogue_id, m.step, m.tie_id, m.customer_id, m.throttled, f.following, d.dialogue_id,
           f.phone_number, f.suspended, t.tie_id, t.customer_id, t.expire_time, t.suspended,
           t.proved_time, t.silent_time, t.ask_time, t.doubt, v.variables
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

// What signals find, counted: reading each delivery to say where it moves would take longer than moving it.
pub(super) const SIGNALLED: &str = "
    SELECT m.official_account, m.carrier, m.distribution, m.purpose, m.state, k.value ->> 3, count(*)
    FROM jsonb_each(?1) AS k
    CROSS JOIN delivery AS m ON m.message_id = unhex(k.value ->> 2)
    CROSS JOIN follower AS f ON f.number = m.number
        AND f.official_account = k.value ->> 0 AND f.follower = unhex(k.value ->> 1)
    GROUP BY m.official_account, m.carrier, m.distribution, m.purpose, m.state, k.value ->> 3";

pub(super) const SIGNAL: &str = "
    UPDATE delivery SET state = CAST(substr(k.value ->> 3, state + 1, 1) AS INTEGER), change_time = ?2
    FROM jsonb_each(?1) AS k
    WHERE delivery.message_id = unhex(k.value ->> 2) AND state <> CAST(substr(k.value ->> 3, state + 1, 1) AS INTEGER)";

pub(super) const EXPIRE_UNCONFIRMED: &str = "
    UPDATE delivery SET state = 6, change_time = ?3 WHERE message_id IN
        (SELECT message_id FROM delivery INDEXED BY delivery_unconfirmed
         WHERE state = 2 AND expire_time < ?1 ORDER BY expire_time LIMIT ?2)
    RETURNING official_account, carrier, distribution, purpose";

const RECORDING: &str = "record_attempts";
/// How many states there are.
const STATES: usize = DeliveryState::ALL.len();
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

    /// A delivery that results moved.
    LearntRow { message: Id, state: i64, due_time: Option<i64>, throttled: i64, }

    /// A signal about a delivery: where it moves each state, as digits, the state that comes at the place of the one that was.
    SignalRow { account: String, follower: Id, message: Id, ways: String, }
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
        let account = match &claim.source {
            Source::Dialogues(account) => account,
            Source::Distribution(id) => return self.claim_of_distribution(claim, *id).await,
        };
        let turn = self.turns.come(account).await;
        turn.is_of(account);
        let (mut tx, mut tally) = (self.database.write(TRANSACTION).await?, Tally::default());
        let from = (&[][..], account.as_str());
        let claimed = start(&mut tx, TRANSACTION, (claim, &self.vault.keys()), from, &mut tally).await?;
        tally::store(&tally, &mut tx, TRANSACTION).await?;
        tx.commit().await.map_err(StoreError::during(TRANSACTION))?;
        Ok(claimed)
    }

    async fn record(&self, results: &[AttemptResult], now: Timestamp) -> Result<Vec<bool>, StoreError> {
        let failed = StoreError::during(RECORDING);
        let Some(first) = results.first() else { return Ok(Vec::new()) };
        if let Some(signals) = Signals::of(results, now)
            && self.store_with_others(signals, &first.key.account).await?
        {
            return Ok(vec![true; results.len()]);
        }
        let mut tx = self.database.write(RECORDING).await?;
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
            let many = Many::of(RECORD, &moves.iter().map(row).collect::<Vec<_>>())?.with(micros(now));
            Many::carry_out([Some(many), tally::ready(&tally)?].into_iter().flatten(), &mut tx, RECORDING)
                .await?;
        }
        holder::refuse(&mut tx, RECORDING, (&unreached(results), &self.vault.keys()), now).await?;
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

/// Results that are signals and nothing else.
#[derive(Debug)]
pub(super) struct Signals {
    told: Vec<(MessageId, FollowerKey, Signal)>,
    now: Timestamp,
}

impl SqliteInformation {
    /// Stores signals with all others that wait by then. Gives whether they are stored: not, where one of them all is about a delivery
    /// that doesn't exist.
    async fn store_with_others(
        &self,
        signals: Signals,
        account: &OfficialAccountId,
    ) -> Result<bool, StoreError> {
        let size = signals.told.len();
        let mut stored = self.waiting.add(signals, (size, account));
        loop {
            let turn = match self.waiting.next(&mut stored, account).await {
                Next::Done(done) => return Ok(done.is_some()),
                Next::Turn(turn) => turn,
            };
            let mut tx = self.database.write(RECORDING).await?;
            let (signals, tell) = self.waiting.take(&turn);
            let begun = changes(&mut tx, RECORDING).await?;
            if !Signals::store(signals, &mut tx).await? {
                continue;
            }
            self.walks.count(&mut tx, RECORDING, begun).await?;
            tx.commit().await.map_err(StoreError::during(RECORDING))?;
            for tell in tell {
                // Who listens no more was told nothing, and will say it again.
                let _heard = tell.send(());
            }
        }
    }
}

impl Signals {
    /// None, when one of the results says more.
    fn of(results: &[AttemptResult], now: Timestamp) -> Option<Self> {
        let told = |result: &AttemptResult| {
            let AttemptOutcome::Known(signal) = result.outcome else { return None };
            Some((result.message_id, result.key.clone(), signal))
        };
        Some(Self { told: results.iter().map(told).collect::<Option<_>>()?, now })
    }

    /// Moves their deliveries, unless one of them doesn't exist: then nothing is done. Gives whether it was.
    async fn store(all: Vec<Self>, tx: &mut Transaction<'_, Sqlite>) -> Result<bool, StoreError> {
        let failed = StoreError::during(RECORDING);
        let Some(now) = all.iter().map(|signals| signals.now).max() else { return Ok(true) };
        let mut told: BTreeMap<(MessageId, FollowerKey), [DeliveryState; STATES]> = BTreeMap::new();
        for (message, key, signal) in all.into_iter().flat_map(|signals| signals.told) {
            let ways = told.entry((message, key)).or_insert(DeliveryState::ALL);
            *ways = ways.map(|state| advance(state, signal));
        }
        let digit = |state| place(&DeliveryState::ALL, &state).to_string();
        let row = |((message, key), ways): ((MessageId, FollowerKey), [DeliveryState; STATES])| SignalRow {
            account: key.account.to_string(),
            follower: Id::of(key.follower.as_bytes()),
            message: Id::of(message.as_bytes()),
            ways: ways.map(digit).concat(),
        };
        let rows: Vec<_> = told.into_iter().map(row).collect();
        let (mut tally, mut found) = (Tally::default(), 0);
        for row in &Many::of(SIGNALLED, &rows)?.query().fetch_all(&mut **tx).await.map_err(&failed)? {
            let (was, count) = (row.small::<usize>(4)?, row.int(6)?);
            found += row.small::<usize>(6)?;
            let is = row.text(5)?.chars().nth(was).and_then(|digit| digit.to_digit(10));
            let is = is.ok_or_else(|| StoreError::Corrupt(format!("{was} is no known state")))?;
            for (state, count) in [(row.int(4)?, -count), (i64::from(is), count)] {
                tally
                    .add(TallyKey::new(row.text(0)?, row.text(1)?, row.bytes(2)?, row.int(3)?, state), count);
            }
        }
        if found < rows.len() {
            return Ok(false);
        }
        let many = Many::of(SIGNAL, &rows)?.with(micros(now));
        Many::carry_out([Some(many), tally::ready(&tally)?].into_iter().flatten(), tx, RECORDING).await?;
        Ok(true)
    }
}

/// Starts attempts at due deliveries of a distribution, or of an account's dialogues.
pub(super) async fn start(
    tx: &mut Transaction<'_, Sqlite>,
    transaction: &'static str,
    (claim, keys): (&Claim, &Keys),
    (distribution, account): (&[u8], &str),
    tally: &mut Tally,
) -> Result<Claimed, StoreError> {
    let failed = StoreError::during(transaction);
    let due = sqlx::query(DUE)
        .bind(claim.carrier.as_str())
        .bind(distribution)
        .bind(account)
        .bind(micros(claim.now))
        .bind(claim.limit)
        .fetch_all(&mut **tx)
        .await
        .map_err(&failed)?;
    if due.is_empty() {
        return Ok(Claimed::default());
    }
    let started = Started::of(claim, &due, keys)?;
    let moves: Vec<_> = started
        .moves
        .iter()
        .map(|it| {
            let (tie, customer) = it.pinned_to();
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
    moving.execute(&mut **tx).await.map_err(&failed)?;
    let more = u32::try_from(due.len()).is_ok_and(|length| length >= claim.limit);
    Ok(started.claimed(more, tally))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use musubi_domain::{delivery::DeliveryState as D, distribution::Command};

    use super::*;
    use crate::{
        conformance::information as facts, information::delivery::Attempt, sqlite::information::tests::open,
    };

    /// Tells each of these by a call of its own, one behind the other, while somebody writes. Gives what the calls gave that were not
    /// given up.
    async fn told_at_once(
        store: &SqliteInformation,
        tells: Vec<(Vec<AttemptResult>, bool)>,
    ) -> Vec<Vec<bool>> {
        let held = store.database.write("fact").await.unwrap();
        let mut calls = Vec::new();
        for (place, (results, given_up)) in tells.into_iter().enumerate() {
            let call = tokio::spawn({
                let store = store.clone();
                async move { store.record(&results, facts::at(2)).await.unwrap() }
            });
            while store.waiting.len() == place {
                tokio::task::yield_now().await;
            }
            if given_up { call.abort() } else { calls.push(call) }
        }
        held.rollback().await.unwrap();
        let mut given = Vec::new();
        for call in calls {
            given.push(call.await.unwrap());
        }
        facts::balanced(store).await;
        given
    }

    async fn states(store: &SqliteInformation, attempts: &[Attempt]) -> Vec<D> {
        let messages: Vec<_> = attempts.iter().map(|it| (it.key.clone(), it.message_id)).collect();
        facts::states(store, &messages).await
    }

    #[tokio::test]
    async fn what_waits_for_its_turn_is_stored_at_once_and_each_delivery_moves_once() {
        let (store, _folder) = open().await;
        let started = facts::started(&store).await;
        let tells = [Signal::Accepted, Signal::Delivered, Signal::Accepted]
            .map(|signal| facts::told(&started, signal));
        let before = store.walks.ours();
        let given = told_at_once(&store, tells.map(|tell| (tell, false)).to_vec()).await;
        assert_eq!(given, vec![vec![true; 5]; 3]);
        assert_eq!(states(&store, &started).await, [D::Delivered; 5]);
        // Five deliveries, and the counts of the states before and after.
        assert_eq!(store.walks.ours() - before, 5 + 2);
    }

    #[tokio::test]
    async fn claims_and_signals_have_the_writer_by_turns_of_their_accounts() {
        let (store, _folder) = open().await;
        facts::follow(&store, "power", 1..9).await;
        facts::deliver(&store, &[facts::request(&facts::key("power", 8), 0)]).await;
        let id = facts::draft(&store, "power", 1, &[], 0).await;
        facts::command(&store, "power", id, Command::Start).await;
        // The bank has had a turn since.
        let started = facts::started(&store).await;
        let (held, order) = (store.turns.every_one(), Arc::new(Mutex::new(Vec::new())));
        let of_power = |source| Some(facts::claim(source, 0));
        let mut calls = Vec::new();
        for (name, claim) in [
            ("bank's signals", None),
            ("power's walk", of_power(Source::Distribution(id))),
            ("power's dialogues", of_power(facts::dialogues("power"))),
        ] {
            let (store, order, came) = (store.clone(), Arc::clone(&order), calls.len());
            let (turns, told) = (Arc::clone(&store.turns), facts::told(&started, Signal::Accepted));
            calls.push(tokio::spawn(async move {
                let count = match claim {
                    None => store.record(&told, facts::at(2)).await.unwrap().len(),
                    Some(claim) => store.claim(&claim).await.unwrap().attempts.len(),
                };
                order.lock().unwrap().push((name, count));
            }));
            while turns.waiting() == came {
                tokio::task::yield_now().await;
            }
        }
        drop(held);
        for call in calls {
            call.await.unwrap();
        }
        assert_eq!(
            *order.lock().unwrap(),
            [("power's walk", 8), ("bank's signals", 5), ("power's dialogues", 1)]
        );
        facts::balanced(&store).await;
    }

    #[tokio::test]
    async fn a_delivery_that_does_not_exist_spoils_nobody_elses_signals() {
        let (store, _folder) = open().await;
        let started = facts::started(&store).await;
        let mut strange = facts::told(&started[3..], Signal::Delivered);
        strange[0].key = facts::key("bank", 9);
        let tells = vec![
            (facts::told(&started[..2], Signal::Accepted), false),
            (strange, false),
            (facts::told(&started[..3], Signal::Delivered), false),
        ];
        assert_eq!(told_at_once(&store, tells).await, [vec![true; 2], vec![false, true], vec![true; 3]]);
        assert_eq!(
            states(&store, &started).await,
            [D::Delivered, D::Delivered, D::Delivered, D::Sending, D::Delivered]
        );
    }

    #[tokio::test]
    async fn who_gives_up_leaves_their_turn_to_the_next() {
        let (store, _folder) = open().await;
        let started = facts::started(&store).await;
        let tells = vec![
            (facts::told(&started[..2], Signal::Accepted), true),
            (facts::told(&started[2..], Signal::Accepted), false),
        ];
        assert_eq!(told_at_once(&store, tells).await, [vec![true; 3]]);
        assert_eq!(states(&store, &started[2..]).await, [D::Accepted; 3]);
    }
}
