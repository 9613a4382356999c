//! Units of work on PostgreSQL.

use std::mem;

use async_trait::async_trait;
use jiff::Timestamp;
use musubi_domain::id::{CarrierId, CompanyId};

use sqlx::{Postgres, postgres::PgArguments, query::Query};

use super::{
    PostgresInformation,
    load::{counts, load},
    save::{save, settle},
};
use crate::{
    StoreError,
    information::{
        before::Before,
        flow::{DueInquiry, Edit, FlowStore, OldestDue, Scope},
        record::{Interned, due_inquiry_of, earlier, keys_of},
    },
    postgres::{Tx, again},
    row::{Columns as _, micros},
    vault::Keys,
};

// The dialogue, too, or one that another has moved since would be taken for due still. Everybody else locks the follower first; this
// waits for nobody, and leaves who isn't free. Each is looked up by key, whatever the database thinks of how many there are.
pub(super) const DUE: &str = "
    WITH due AS MATERIALIZED (
        SELECT d.official_account, d.follower FROM dialogue AS d
        WHERE d.due_time <= $1 ORDER BY d.due_time LIMIT $2 FOR NO KEY UPDATE SKIP LOCKED)
    SELECT due.official_account, due.follower, f.free IS NOT NULL FROM due
    LEFT JOIN LATERAL (SELECT true AS free FROM follower AS f
        WHERE f.official_account = due.official_account AND f.follower = due.follower
        FOR NO KEY UPDATE SKIP LOCKED) AS f ON true";

// By its place, which costs less than any index: a plan that was made while there was nothing, as one for what is looked for all the
// time mostly is, holds when there is much. Who isn't found there, having changed since the claim began, is due still.
pub(super) const CLAIM_INQUIRIES: &str = "
    WITH due AS MATERIALIZED (
        SELECT d.official_account, d.follower, d.ctid AS place FROM inquiry AS d
        WHERE d.company = $1 AND d.due_time <= $2 ORDER BY d.due_time LIMIT $4 FOR NO KEY UPDATE SKIP LOCKED)
    UPDATE inquiry AS i SET due_time = $3 FROM due
    WHERE i.official_account = due.official_account AND i.follower = due.follower AND i.ctid = due.place
    RETURNING i.official_account, i.follower, i.inquiry_id, i.company, i.subject, i.due_time,
        (SELECT f.phone_number FROM follower AS f WHERE f.official_account = i.official_account AND f.follower = i.follower)";

// Each the first of an index. A message's index begins with carrier, distribution and account.
pub(super) const OLDEST_DIALOGUE: &str = "
    SELECT d.due_time FROM dialogue AS d WHERE d.due_time <= $1 ORDER BY d.due_time LIMIT 1";

pub(super) const OLDEST_INQUIRY: &str = "
    SELECT i.due_time FROM inquiry AS i WHERE i.company = $1 AND i.due_time <= $2 ORDER BY i.due_time LIMIT 1";

pub(super) const OLDEST_MESSAGES: &str = "
    WITH RECURSIVE account (name) AS (
        SELECT (SELECT m.official_account FROM delivery AS m
                WHERE m.carrier = $1 AND m.distribution = '' AND m.state < 2 ORDER BY m.official_account LIMIT 1)
        UNION ALL
        SELECT (SELECT m.official_account FROM delivery AS m
                WHERE m.carrier = $1 AND m.distribution = '' AND m.official_account > account.name AND m.state < 2
                ORDER BY m.official_account LIMIT 1)
        FROM account WHERE account.name IS NOT NULL)
    SELECT (SELECT m.due_time FROM delivery AS m
            WHERE m.carrier = $1 AND m.distribution = '' AND m.official_account = name AND m.due_time <= $2 AND m.state < 2
            ORDER BY m.due_time LIMIT 1)
    FROM account WHERE name IS NOT NULL";

pub(super) const FORGET: &str = "DELETE FROM inbox WHERE take_time < $1";

#[async_trait]
impl FlowStore for PostgresInformation {
    /// While one waits for a row that another transaction holds, the next goes on; with more, each has less in it.
    fn units_at_once(&self) -> usize {
        2
    }

    async fn work(
        &self,
        transaction: &'static str,
        scope: &Scope,
        now: Timestamp,
        edit: Edit<'_>,
    ) -> Result<(), StoreError> {
        // Who is believed to be new and is there fails on the key, and is looked at then.
        let mut are_new = scope.are_new;
        again!(self.work_once(transaction, (scope, mem::take(&mut are_new)), now, edit))
    }

    async fn work_due(&self, now: Timestamp, limit: u32, edit: Edit<'_>) -> Result<u32, StoreError> {
        again!(self.work_due_once(now, limit, edit))
    }

    async fn claim_inquiries(
        &self,
        company: &CompanyId,
        now: Timestamp,
        lease_end: Timestamp,
        limit: u32,
    ) -> Result<Vec<DueInquiry>, StoreError> {
        let mut tx = self.database.write("claim_inquiries").await?;
        let claim = sqlx::query(CLAIM_INQUIRIES)
            .bind(company.as_str())
            .bind(micros(now))
            .bind(micros(lease_end))
            .bind(i64::from(limit));
        let claimed = tx.fetch(claim).await?;
        tx.commit().await?;
        let (mut accounts, keys) = (Interned::default(), self.vault.keys());
        claimed.iter().map(|row| due_inquiry_of(row, &mut accounts, &keys)).collect()
    }

    async fn oldest_due(
        &self,
        companies: &[CompanyId],
        carriers: &[CarrierId],
        now: Timestamp,
    ) -> Result<OldestDue, StoreError> {
        const TRANSACTION: &str = "oldest_due";
        let first = async |query: Query<'_, Postgres, PgArguments>| {
            let rows =
                query.fetch_all(self.database.read()).await.map_err(StoreError::during(TRANSACTION))?;
            rows.iter()
                .try_fold(None, |first, row| Ok::<_, StoreError>(earlier(first, row.maybe_instant(0)?)))
        };
        let mut oldest = OldestDue {
            dialogue: first(sqlx::query(OLDEST_DIALOGUE).bind(micros(now))).await?,
            ..OldestDue::default()
        };
        for company in companies {
            let found = first(sqlx::query(OLDEST_INQUIRY).bind(company.as_str()).bind(micros(now))).await?;
            oldest.inquiry = earlier(oldest.inquiry, found);
        }
        for carrier in carriers {
            let found = first(sqlx::query(OLDEST_MESSAGES).bind(carrier.as_str()).bind(micros(now))).await?;
            oldest.message = earlier(oldest.message, found);
        }
        Ok(oldest)
    }

    async fn forget_events(&self, before: Timestamp) -> Result<u64, StoreError> {
        let mut tx = self.database.write("forget_events").await?;
        let forgotten = tx.execute(sqlx::query(FORGET).bind(micros(before))).await?;
        tx.commit().await?;
        Ok(forgotten)
    }
}

impl PostgresInformation {
    async fn work_once(
        &self,
        transaction: &'static str,
        (scope, are_new): (&Scope, bool),
        now: Timestamp,
        edit: Edit<'_>,
    ) -> Result<(), StoreError> {
        let mut tx = self.database.write(transaction).await?;
        unit(&mut tx, (scope, are_new), (now, &self.vault.keys()), edit).await?;
        tx.commit().await
    }

    async fn work_due_once(&self, now: Timestamp, limit: u32, edit: Edit<'_>) -> Result<u32, StoreError> {
        let mut tx = self.database.write("work_due").await?;
        let due = tx.fetch(sqlx::query(DUE).bind(micros(now)).bind(i64::from(limit))).await?;
        let count = u32::try_from(due.len()).unwrap_or(u32::MAX);
        let mut followers = Vec::with_capacity(due.len());
        for (row, follower) in due.iter().zip(keys_of(&due)?) {
            if row.flag(2)? {
                followers.push(follower);
            }
        }
        if !followers.is_empty() {
            let scope = Scope { followers, ..Scope::default() };
            unit(&mut tx, (&scope, false), (now, &self.vault.keys()), edit).await?;
        }
        tx.commit().await?;
        Ok(count)
    }
}

async fn unit(
    tx: &mut Tx,
    (scope, are_new): (&Scope, bool),
    (now, keys): (Timestamp, &Keys),
    edit: Edit<'_>,
) -> Result<(), StoreError> {
    let mut before = Before::of(load(tx, (scope, are_new), keys).await?);
    let mut work = before.edited(edit);
    if !work.uncounted.is_empty() {
        let counts = counts(tx, &work.uncounted).await?;
        before.add_counts(work.uncounted, counts);
        work = before.edited(edit);
    }
    save(tx, (scope, keys), &before, &work, now).await?;
    settle(tx, &mut before, (&work, edit)).await
}
