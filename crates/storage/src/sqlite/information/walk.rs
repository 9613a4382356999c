//! Distributions walked over their followers by claims, on SQLite.
//!
//! Surprising: while nothing changes that a gate looks at, the next followers are read beside the connection that writes, and decided
//! about, before it is taken; claims read one behind the other and store in the same order. Once a claim has that connection it looks
//! whether anything has changed since it read, and whether the walk came to where it began; if not, it reads again.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
};

use jiff::Timestamp;
use musubi_domain::id::{DistributionId, FollowerId, OfficialAccountId};
use sqlx::{Sqlite, Transaction, sqlite::SqliteRow};
use tokio::sync::oneshot;

use super::{
    SqliteInformation,
    delivery::start,
    expansion::{ADVANCE_CURSOR, message},
    tally,
};
use crate::{
    StoreError,
    information::{
        claiming::{CARRIER, Next, Started, Walk},
        delivery::{Claim, Claimed},
        tally::Tally,
    },
    row::{Columns as _, Id, bulk_rows, micros},
    sqlite::Many,
    vault::Keys,
};

pub(super) const MAY_RUN: &str = "
    SELECT official_account, cursor FROM distribution WHERE distribution_id = ?1 AND state = 1 AND coalesce(start_time, 0) <= ?2";

pub(super) const WALKING: &str = "
    SELECT official_account, cursor, expire_time FROM distribution
    WHERE distribution_id = ?1 AND state = 1 AND coalesce(start_time, 0) <= ?2 AND expire_time > ?2 AND expanded = 0";

pub(super) const STANDING: &str = "
    SELECT f.follower, f.carrier, f.phone_number, f.suspended, t.tie_id, t.customer_id, t.expire_time, t.suspended,
           t.proved_time, t.silent_time, t.ask_time, t.doubt, v.variables, f.number
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

/// The column of the number of a follower that is walked.
const NUMBER: usize = 13;
const TRANSACTION: &str = "claim_deliveries";

bulk_rows! {
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
}

/// What claims of distributions know of each other and of everybody else's changes.
#[derive(Debug, Default)]
pub(super) struct Walks {
    /// How many rows claims, signals, commands and ends of distributions changed, of those that the connection that writes counts:
    /// nothing that a gate looks at; whether its distribution runs, and how far it came, a claim asks once it has that connection.
    ours: AtomicI64,
    look: Mutex<Look>,
    /// How far each walk was read that has begun and goes on. Whoever holds it reads.
    ahead: Mutex<HashMap<DistributionId, Arc<tokio::sync::Mutex<Ahead>>>>,
}

/// What a claim saw when it began.
#[derive(Clone, Copy, Debug, Default)]
struct Look {
    /// Which connection writes, and how many rows were changed through it by others.
    others: (u64, i64),
    /// Nothing has changed since the claim before.
    rests: bool,
}

/// How far a walk was read.
#[derive(Debug, Default)]
struct Ahead {
    next: NextPage,
    /// Ends when the page before is stored, or won't be; none when it is.
    stored: Option<oneshot::Receiver<()>>,
}

/// Where the next page of a walk begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum NextPage {
    /// Where the distribution stands; no page was read yet.
    #[default]
    Stored,
    /// Behind this number.
    Behind(i64),
    /// Nowhere: the page before is the last.
    Nowhere,
}

impl Walks {
    #[cfg(test)]
    pub(super) fn ours(&self) -> i64 {
        self.ours.load(Ordering::Relaxed)
    }

    fn look(&self) -> Look {
        *held(&self.look)
    }

    /// A claim begins, and sees how many rows others have changed.
    fn begin(&self, others: (u64, i64)) {
        let mut look = held(&self.look);
        *look = Look { others, rests: look.others == others };
    }

    /// How far the walk was read.
    fn ahead(&self, id: DistributionId) -> Arc<tokio::sync::Mutex<Ahead>> {
        Arc::clone(held(&self.ahead).entry(id).or_default())
    }

    /// The walk came so far, and nobody has read on from there.
    fn came(&self, id: DistributionId, after: i64) {
        let ahead = Ahead { next: NextPage::Behind(after), stored: None };
        held(&self.ahead).insert(id, Arc::new(tokio::sync::Mutex::new(ahead)));
    }

    /// The walk has ended.
    pub(super) fn forget(&self, id: DistributionId) {
        held(&self.ahead).remove(&id);
    }

    /// Counts what a transaction of ours has changed since it began.
    pub(super) async fn count(
        &self,
        tx: &mut Transaction<'_, Sqlite>,
        transaction: &'static str,
        begun: i64,
    ) -> Result<(), StoreError> {
        self.ours.fetch_add(changes(tx, transaction).await? - begun, Ordering::Relaxed);
        Ok(())
    }
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How many rows the connection that writes has changed so far.
pub(super) async fn changes(
    tx: &mut Transaction<'_, Sqlite>,
    transaction: &'static str,
) -> Result<i64, StoreError> {
    let changes = sqlx::query_scalar("SELECT total_changes()").fetch_one(&mut **tx).await;
    changes.map_err(StoreError::during(transaction))
}

impl SqliteInformation {
    /// A claim on deliveries of a distribution: those that are due, then deliveries made for its next followers.
    pub(super) async fn claim_of_distribution(
        &self,
        claim: &Claim,
        id: DistributionId,
    ) -> Result<Claimed, StoreError> {
        let failed = StoreError::during(TRANSACTION);
        let (keys, seen) = (self.vault.keys(), self.walks.look());
        let (ready, stored, account) = match self.read_ahead(claim, id, seen).await? {
            Some((page, place)) => {
                let (began, account) = (page.began, page.account.clone());
                let walked = Walked::of((claim, &keys), id, page)?;
                (Some((began, walked)), Some(place.come().await), account)
            }
            None => {
                let may_run = sqlx::query(MAY_RUN).bind(&id.as_bytes()[..]).bind(micros(claim.now));
                let running = may_run.fetch_optional(self.database.read()).await.map_err(&failed)?;
                let Some(running) = running else { return Ok(Claimed::default()) };
                (None, None, running.text(0)?.parse()?)
            }
        };
        let turn = self.turns.come(&account).await;
        turn.is_of(&account);
        let mut tx = self.database.write(TRANSACTION).await?;
        let begun = changes(&mut tx, TRANSACTION).await?;
        let others = (self.database.writers(), begun - self.walks.ours.load(Ordering::Relaxed));
        self.walks.begin(others);
        let may_run = sqlx::query(MAY_RUN).bind(&id.as_bytes()[..]).bind(micros(claim.now));
        let Some(running) = may_run.fetch_optional(&mut *tx).await.map_err(&failed)? else {
            return Ok(Claimed::default());
        };
        let (from, cursor) = ((&id.as_bytes()[..], running.text(0)?), running.int(1)?);
        let mut tally = Tally::default();
        let mut claimed = start(&mut tx, TRANSACTION, (claim, &keys), from, &mut tally).await?;
        let rest = claim.after(claimed.seen);
        let ready = ready.filter(|(began, _)| seen.others == others && claimed.seen == 0 && *began == cursor);
        let was_ready = ready.is_some();
        let walked = match (ready, &rest) {
            (Some((_, walked)), _) => Some(walked),
            (None, Some(rest)) => {
                let page = Page::read(&mut tx, rest, id, None).await?;
                page.map(|page| Walked::of((rest, &keys), id, page)).transpose()?
            }
            (None, None) => None,
        };
        let after = walked.as_ref().and_then(Walked::goes_on_behind);
        if let Some(walked) = walked {
            claimed.append(walked.store(&mut tx, &mut tally).await?);
        }
        tally::store(&tally, &mut tx, TRANSACTION).await?;
        self.walks.count(&mut tx, TRANSACTION, begun).await?;
        tx.commit().await.map_err(&failed)?;
        drop((stored, turn));
        match after {
            None => self.walks.forget(id),
            Some(after) if !was_ready => self.walks.came(id, after),
            Some(_) => {}
        }
        Ok(claimed)
    }

    /// Reads the next followers before anything is locked, unless others change something, and gives their place.
    async fn read_ahead(
        &self,
        claim: &Claim,
        id: DistributionId,
        seen: Look,
    ) -> Result<Option<(Page, Place)>, StoreError> {
        if !seen.rests {
            return Ok(None);
        }
        let ahead = self.walks.ahead(id);
        let mut ahead = ahead.lock().await;
        let after = match ahead.next {
            NextPage::Stored => None,
            NextPage::Behind(number) => Some(number),
            NextPage::Nowhere => {
                // Whoever comes first would read that page again.
                if let Some(before) = ahead.stored.take() {
                    let _stored = before.await;
                }
                return Ok(None);
            }
        };
        let mut tx = self.database.read().begin().await.map_err(StoreError::during(TRANSACTION))?;
        let Some(page) = Page::read(&mut tx, claim, id, after).await? else {
            self.walks.forget(id);
            return Ok(None);
        };
        let (end, stored) = oneshot::channel();
        let before = ahead.stored.replace(stored);
        ahead.next = if page.done { NextPage::Nowhere } else { NextPage::Behind(page.after) };
        Ok(Some((page, Place { before, end })))
    }
}

/// The place of a page that was read: it may be stored behind the one before it.
struct Place {
    before: Option<oneshot::Receiver<()>>,
    end: oneshot::Sender<()>,
}

impl Place {
    /// Waits until the page before is stored. Whoever has the next place waits until what this gives is dropped.
    async fn come(self) -> oneshot::Sender<()> {
        if let Some(before) = self.before {
            // Nothing is ever sent.
            let _ended = before.await;
        }
        self.end
    }
}

/// The next followers of a distribution, as they stand.
struct Page {
    account: OfficialAccountId,
    expire_time: Timestamp,
    /// Behind whom it begins.
    began: i64,
    standing: Vec<SqliteRow>,
    /// Behind whom the next one does.
    after: i64,
    /// There is no next one.
    done: bool,
}

impl Page {
    /// Reads it in a transaction, behind this number or else where the distribution stands. None where it doesn't run or has no more.
    async fn read(
        tx: &mut Transaction<'_, Sqlite>,
        claim: &Claim,
        id: DistributionId,
        after: Option<i64>,
    ) -> Result<Option<Self>, StoreError> {
        let failed = StoreError::during(TRANSACTION);
        let walking = sqlx::query(WALKING).bind(&id.as_bytes()[..]).bind(micros(claim.now));
        let Some(walking) = walking.fetch_optional(&mut **tx).await.map_err(&failed)? else {
            return Ok(None);
        };
        let account = walking.text(0)?;
        let began = after.map_or_else(|| walking.int(1), Ok)?;
        let (mut next, mut standing, mut after) = (Next::new(claim), Vec::new(), began);
        while next.goes_on() {
            let page = sqlx::query(STANDING)
                .bind(&id.as_bytes()[..])
                .bind(account)
                .bind(after)
                .bind(claim.limit)
                .fetch_all(&mut **tx)
                .await
                .map_err(&failed)?;
            let taken = next.take(&page)?.len();
            standing.extend(page.into_iter().take(taken));
            after = standing.last().map_or(Ok(after), |row: &SqliteRow| row.int(NUMBER))?;
        }
        let (account, expire_time) = (account.parse()?, walking.instant(2)?);
        Ok(Some(Self { account, expire_time, began, standing, after, done: next.done }))
    }
}

/// What a claim makes of the next followers: a delivery for each, ready to be stored, and attempts at those over its carrier.
struct Walked<'a> {
    id: DistributionId,
    making: Many,
    started: Started<'a>,
    after: i64,
    done: bool,
}

impl<'a> Walked<'a> {
    fn of((claim, keys): (&'a Claim, &Keys), id: DistributionId, page: Page) -> Result<Self, StoreError> {
        let Page { account, expire_time, standing, after, done, .. } = page;
        let message_of =
            |row: &SqliteRow| Ok(message(id, FollowerId::from_bytes(row.id(0)?), row.int(NUMBER)?));
        let name = account.to_string();
        let walk = Walk { account, expire_time, followers: &standing, message: &message_of };
        let started = Started::walked(claim, &walk, keys)?;
        let mut made = Vec::with_capacity(standing.len());
        for (row, it) in standing.iter().zip(&started.moves) {
            let (tie, customer) = it.pinned_to();
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
        let making = Many::of(MAKE, &made)?.with(name).with(id.as_bytes().to_vec());
        let making = making.with(micros(expire_time)).with(micros(claim.now));
        Ok(Self { id, making, started, after, done })
    }

    /// Behind which number the next page begins, if there is one.
    fn goes_on_behind(&self) -> Option<i64> {
        (!self.done).then_some(self.after)
    }

    /// Stores the deliveries and how far the walk came.
    async fn store(self, tx: &mut Transaction<'_, Sqlite>, tally: &mut Tally) -> Result<Claimed, StoreError> {
        let failed = StoreError::during(TRANSACTION);
        self.making.query().execute(&mut **tx).await.map_err(&failed)?;
        let advance =
            sqlx::query(ADVANCE_CURSOR).bind(&self.id.as_bytes()[..]).bind(self.after).bind(self.done);
        advance.execute(&mut **tx).await.map_err(&failed)?;
        Ok(self.started.claimed(!self.done, tally))
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures::poll;
    use musubi_domain::distribution::Command;

    use super::*;
    use crate::{
        conformance::information as facts,
        information::delivery::{DeliveryStore as _, Source},
        sqlite::information::tests::open,
    };

    const NOTHING: &str = "UPDATE follower SET suspended = 1 WHERE number = 99";

    /// After two claims of five followers each nobody changes anything but them, so the third is read ahead; it is held up before it
    /// stores that, and this happens meanwhile. Gives who is attempted by the next claim that comes to its end, and whether by what was
    /// read ahead.
    async fn third_claim(meanwhile: &'static str, given_up: bool) -> (Vec<u8>, bool) {
        let (store, _folder) = open().await;
        facts::follow(&store, "bank", 1..41).await;
        let id = facts::draft(&store, "bank", 1, &[], 0).await;
        facts::command(&store, "bank", id, Command::Start).await;
        let claim = Claim { limit: 5, ..facts::claim(Source::Distribution(id), 0) };
        for _ in 0..2 {
            assert_eq!(store.claim(&claim).await.unwrap().attempts.len(), 5);
        }
        let ahead = store.walks.ahead(id);
        let mut held = store.database.write("fact").await.unwrap();
        let third = tokio::spawn({
            let (store, claim) = (store.clone(), claim.clone());
            async move { store.claim(&claim).await.unwrap() }
        });
        while ahead.lock().await.next != NextPage::Behind(15) {
            assert!(!third.is_finished());
            tokio::task::yield_now().await;
        }
        sqlx::query(meanwhile).execute(&mut *held).await.unwrap();
        if given_up {
            third.abort();
        }
        held.commit().await.unwrap();
        let claimed = match third.await {
            Ok(claimed) => claimed,
            Err(_given_up) => store.claim(&claim).await.unwrap(),
        };
        let attempted = claimed.attempts.iter().map(|attempt| attempt.key.follower.as_bytes()[0]).collect();
        let used = Arc::ptr_eq(&ahead, &store.walks.ahead(id));
        facts::balanced(&store).await;
        (attempted, used)
    }

    #[tokio::test]
    async fn what_was_read_ahead_counts_unless_somebody_changed_something() {
        const LEFT: &str = "
            UPDATE follower SET following = 0 WHERE number = 12;
            UPDATE follower_tally SET count = count - 1;
            INSERT INTO follower_tally (official_account, carrier, following, state, reached, count)
            VALUES ('bank', 'alpha', 0, 0, 0, 1)";
        const PAUSED: &str = "UPDATE distribution SET state = 2";
        assert_eq!(third_claim(NOTHING, false).await, (vec![11, 12, 13, 14, 15], true));
        assert_eq!(third_claim(LEFT, false).await, (vec![11, 13, 14, 15, 16], false));
        assert_eq!(third_claim(PAUSED, false).await.0, Vec::<u8>::new());
    }

    #[tokio::test]
    async fn a_first_claim_reads_ahead_too_and_commands_to_other_distributions_change_nothing() {
        let (store, _folder) = open().await;
        facts::follow(&store, "bank", 1..41).await;
        let mut ids = Vec::new();
        for request in 1..=2 {
            ids.push(facts::draft(&store, "bank", request, &[], 0).await);
        }
        facts::command(&store, "bank", ids[0], Command::Start).await;
        let claim = |id| Claim { limit: 5, ..facts::claim(Source::Distribution(id), 0) };
        for _ in 0..2 {
            assert_eq!(store.claim(&claim(ids[0])).await.unwrap().attempts.len(), 5);
        }
        facts::command(&store, "bank", ids[1], Command::Start).await;
        let writing = store.database.write("fact").await.unwrap();
        // Comes first once the writer is free.
        let mut command = pin!(facts::command(&store, "bank", ids[0], Command::Pause));
        assert!(poll!(&mut command).is_pending());
        let ahead = store.walks.ahead(ids[1]);
        let first = tokio::spawn({
            let (store, claim) = (store.clone(), claim(ids[1]));
            async move { store.claim(&claim).await.unwrap() }
        });
        while ahead.lock().await.next != NextPage::Behind(5) {
            assert!(!first.is_finished());
            tokio::task::yield_now().await;
        }
        writing.commit().await.unwrap();
        command.await;
        assert_eq!(first.await.unwrap().attempts.len(), 5);
        assert!(Arc::ptr_eq(&ahead, &store.walks.ahead(ids[1])), "what was read ahead was stored");
        for id in ids {
            facts::command(&store, "bank", id, Command::Cancel).await;
        }
        assert!(held(&store.walks.ahead).is_empty(), "nothing is kept of a walk that was cancelled");
        facts::balanced(&store).await;
    }

    #[tokio::test]
    async fn nobody_is_passed_over_by_a_claim_that_is_given_up() {
        assert_eq!(third_claim(NOTHING, true).await, (vec![11, 12, 13, 14, 15], false));
    }

    #[tokio::test]
    async fn claims_beside_one_another_leave_nobody_out_and_take_nobody_twice() {
        let (store, _folder) = open().await;
        facts::follow(&store, "bank", 1..201).await;
        let id = facts::draft(&store, "bank", 1, &[], 0).await;
        facts::command(&store, "bank", id, Command::Start).await;
        let claim = Claim { limit: 7, ..facts::claim(Source::Distribution(id), 0) };
        let claims = (0..4).map(|_| {
            let (store, claim) = (store.clone(), claim.clone());
            tokio::spawn(async move {
                let mut attempted = Vec::new();
                loop {
                    let claimed = store.claim(&claim).await.unwrap();
                    attempted.extend(claimed.attempts.iter().map(|it| it.key.follower.as_bytes()[0]));
                    if !claimed.more {
                        return attempted;
                    }
                }
            })
        });
        let mut attempted = Vec::new();
        for claim in claims.collect::<Vec<_>>() {
            attempted.extend(claim.await.unwrap());
        }
        attempted.sort_unstable();
        assert_eq!(attempted, (1..201).collect::<Vec<_>>());
        assert!(held(&store.walks.ahead).is_empty(), "nothing is kept of a walk that has ended");
        facts::balanced(&store).await;
    }
}
