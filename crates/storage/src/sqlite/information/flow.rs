//! Units of work on SQLite.

use async_trait::async_trait;
use jiff::Timestamp;
use musubi_domain::id::{CarrierId, CompanyId};
use sqlx::{Sqlite, Transaction, query::Query, sqlite::SqliteArguments};

use super::{
    SqliteInformation,
    load::{any_erased, counts, load},
    save::Ready,
};
use crate::{
    StoreError,
    information::{
        before::Before,
        flow::{DueInquiry, Edit, FlowStore, OldestDue, Scope, Work, accounts_of},
        record::{Interned, due_inquiry_of, earlier, keys_of},
    },
    row::{Columns as _, micros},
    vault::Keys,
};

pub(super) const DUE: &str = "
    SELECT f.official_account, f.follower FROM dialogue AS d CROSS JOIN follower AS f ON f.number = d.number
    WHERE d.due_time <= ?1 ORDER BY d.due_time LIMIT ?2";

pub(super) const CLAIM_INQUIRIES: &str = "
    UPDATE inquiry SET due_time = ?3 WHERE number IN
        (SELECT number FROM inquiry WHERE company = ?1 AND due_time <= ?2 ORDER BY due_time LIMIT ?4)
    RETURNING (SELECT official_account FROM follower AS f WHERE f.number = inquiry.number),
        (SELECT follower FROM follower AS f WHERE f.number = inquiry.number), inquiry_id, company, subject, due_time,
        (SELECT phone_number FROM follower AS f WHERE f.number = inquiry.number)";

// Each the first of an index. A message's index begins with carrier, distribution and account.
pub(super) const OLDEST_DIALOGUE: &str = "
    SELECT due_time FROM dialogue AS d INDEXED BY dialogue_due WHERE d.due_time <= ?1 ORDER BY d.due_time LIMIT 1";

pub(super) const OLDEST_INQUIRY: &str = "
    SELECT due_time FROM inquiry AS i INDEXED BY inquiry_due
    WHERE i.company = ?1 AND i.due_time <= ?2 ORDER BY i.due_time LIMIT 1";

pub(super) const OLDEST_MESSAGES: &str = "
    WITH RECURSIVE account (name) AS (
        SELECT (SELECT m.official_account FROM delivery AS m INDEXED BY delivery_due
                WHERE m.carrier = ?1 AND m.distribution = x'' AND m.state IN (0, 1)
                ORDER BY m.official_account LIMIT 1)
        UNION ALL
        SELECT (SELECT m.official_account FROM delivery AS m INDEXED BY delivery_due
                WHERE m.carrier = ?1 AND m.distribution = x'' AND m.official_account > account.name AND m.state IN (0, 1)
                ORDER BY m.official_account LIMIT 1)
        FROM account WHERE account.name IS NOT NULL)
    SELECT (SELECT m.due_time FROM delivery AS m INDEXED BY delivery_due
            WHERE m.carrier = ?1 AND m.distribution = x'' AND m.official_account = name AND m.due_time <= ?2
                AND m.state IN (0, 1) ORDER BY m.due_time LIMIT 1)
    FROM account WHERE name IS NOT NULL";

pub(super) const FORGET: &str = "DELETE FROM inbox WHERE take_time < ?1";

#[async_trait]
impl FlowStore for SqliteInformation {
    /// As many as there are connections that write.
    fn units_at_once(&self) -> usize {
        1
    }

    async fn work(
        &self,
        transaction: &'static str,
        scope: &Scope,
        now: Timestamp,
        edit: Edit<'_>,
    ) -> Result<(), StoreError> {
        if scope.are_new && self.work_on_new(transaction, scope, now, edit).await? {
            return Ok(());
        }
        let mut tx = self.database.write(transaction).await?;
        unit(&mut tx, transaction, scope, (now, &self.vault.keys()), edit).await?;
        tx.commit().await.map_err(StoreError::during(transaction))
    }

    async fn work_due(&self, now: Timestamp, limit: u32, edit: Edit<'_>) -> Result<u32, StoreError> {
        const TRANSACTION: &str = "work_due";
        let mut tx = self.database.write(TRANSACTION).await?;
        let due = sqlx::query(DUE)
            .bind(micros(now))
            .bind(limit)
            .fetch_all(&mut *tx)
            .await
            .map_err(StoreError::during(TRANSACTION))?;
        let followers = keys_of(&due)?;
        let count = u32::try_from(followers.len()).unwrap_or(u32::MAX);
        if count > 0 {
            let scope = Scope { followers, ..Scope::default() };
            unit(&mut tx, TRANSACTION, &scope, (now, &self.vault.keys()), edit).await?;
        }
        tx.commit().await.map_err(StoreError::during(TRANSACTION))?;
        Ok(count)
    }

    async fn claim_inquiries(
        &self,
        company: &CompanyId,
        now: Timestamp,
        lease_end: Timestamp,
        limit: u32,
    ) -> Result<Vec<DueInquiry>, StoreError> {
        const TRANSACTION: &str = "claim_inquiries";
        let mut tx = self.database.write(TRANSACTION).await?;
        let claimed = sqlx::query(CLAIM_INQUIRIES)
            .bind(company.as_str())
            .bind(micros(now))
            .bind(micros(lease_end))
            .bind(limit)
            .fetch_all(&mut *tx)
            .await
            .map_err(StoreError::during(TRANSACTION))?;
        tx.commit().await.map_err(StoreError::during(TRANSACTION))?;
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
        let first = async |query: Query<'_, Sqlite, SqliteArguments>| {
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
        const TRANSACTION: &str = "forget_events";
        let mut tx = self.database.write(TRANSACTION).await?;
        let forgotten = sqlx::query(FORGET)
            .bind(micros(before))
            .execute(&mut *tx)
            .await
            .map_err(StoreError::during(TRANSACTION))?
            .rows_affected();
        tx.commit().await.map_err(StoreError::during(TRANSACTION))?;
        Ok(forgotten)
    }
}

impl SqliteInformation {
    /// Works on followers who are believed to be new, with nothing to load: all but the storing is done while others write. Gives
    /// whether that went well; it doesn't where somebody was erased, who has to be looked up, or is there, which the key tells.
    async fn work_on_new(
        &self,
        transaction: &'static str,
        scope: &Scope,
        now: Timestamp,
        edit: Edit<'_>,
    ) -> Result<bool, StoreError> {
        if !scope.customers.is_empty() || scope.events.is_some() || !scope.guesses.is_empty() {
            return Ok(false);
        }
        let mut work = Work::default();
        work.followers.reserve(scope.followers.len());
        edit(&mut work);
        if !work.uncounted.is_empty() {
            return Ok(false);
        }
        let ready = Ready::of_new((scope, &self.vault.keys()), &work, now)?;
        let mut tx = self.database.write(transaction).await?;
        if any_erased(&mut tx, transaction, &accounts_of(&scope.erased)).await? {
            return Ok(false);
        }
        match ready.store(&mut tx, transaction).await {
            Err(error) if is_there(&error) => Ok(false),
            Err(error) => Err(error),
            Ok(()) => tx.commit().await.map(|()| true).map_err(StoreError::during(transaction)),
        }
    }
}

/// The transaction failed because what it made was there.
fn is_there(error: &StoreError) -> bool {
    let StoreError::Unavailable { source, .. } = error else { return false };
    source.as_database_error().is_some_and(|error| error.is_unique_violation())
}

async fn unit(
    tx: &mut Transaction<'_, Sqlite>,
    transaction: &'static str,
    scope: &Scope,
    (now, keys): (Timestamp, &Keys),
    edit: Edit<'_>,
) -> Result<(), StoreError> {
    let mut before = Before::of(load(tx, transaction, scope, keys).await?);
    let mut work = before.edited(edit);
    if !work.uncounted.is_empty() {
        let counts = counts(tx, transaction, &work.uncounted).await?;
        before.add_counts(work.uncounted, counts);
        work = before.edited(edit);
    }
    Ready::of((scope, keys), &before, &work, now)?.store(tx, transaction).await
}
