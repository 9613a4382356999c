//! Followers as companies look at them, on SQLite.

use async_trait::async_trait;
use jiff::Timestamp;
use musubi_domain::{
    day::Day,
    delivery::{DeliveryState, Purpose},
    id::{CompanyId, OfficialAccountId},
    outcome::FollowerOutcome,
};
use sqlx::{Sqlite, Transaction, sqlite::SqliteRow};

use super::{SqliteInformation, audit::audit};
use crate::{
    StoreError,
    information::{
        flow::Audit,
        follower::{DayCount, FollowerQuery, FollowerStore, FollowerView, MessageCount, Overview},
        record::{acquisition_of, count_followers, view_of},
        tally::day_count_of,
    },
    row::{Columns as _, place},
    sqlite::rows,
};

pub(super) const OWN_ACCOUNTS: &str = "
    SELECT official_account FROM keyed_account
    WHERE official_account IN (SELECT value FROM jsonb_each(?1)) AND company = ?2";

pub(super) const FUNNEL: &str = "
    SELECT official_account, carrier, following, state, reached, count FROM follower_tally
    WHERE official_account IN (SELECT value FROM jsonb_each(?1)) AND count > 0 ORDER BY 1, 2";

pub(super) const MESSAGES: &str = "
    SELECT official_account, carrier, purpose, state, sum(count) FROM delivery_tally
    WHERE official_account IN (SELECT value FROM jsonb_each(?1))
    GROUP BY 1, 2, 3, 4 HAVING sum(count) > 0 ORDER BY 1, 2, 3, 4";

pub(super) const ACQUISITIONS: &str = "
    SELECT official_account, carrier, promoted, discarded, quarantined, generation, added_by_event, added_by_list,
        skipped, promote_time, quarantine_time, quarantine_followers, quarantine_missing, release_missing
    FROM subscriber_list WHERE official_account IN (SELECT value FROM jsonb_each(?1)) ORDER BY 1, 2";

pub(super) const DAYS: &str = "
    SELECT official_account, carrier, day, event, count FROM day_tally
    WHERE official_account IN (SELECT value FROM jsonb_each(?1)) AND day >= ?2 ORDER BY official_account, day, carrier, event";

pub(super) const FORGET_DAYS: &str = "DELETE FROM day_tally WHERE day < ?1";

macro_rules! page {
    ($which:literal) => {
        concat!(
            "
    SELECT f.follower, f.phone_number, f.carrier, f.following, f.follow_time, coalesce(d.state, -1), d.state_time,
        coalesce(t.customer_id, d.proposed_customer), coalesce(d.reasons, '[]'), coalesce(t.suspended, 0),
        t.tie_id, t.customer_id, t.expire_time, t.proved_time, t.silent_time, t.ask_time, t.doubt, f.suspended
    FROM follower AS f
    LEFT JOIN dialogue AS d ON d.number = f.number
    LEFT JOIN customer_information AS t ON t.number = f.number
    WHERE f.official_account = (SELECT official_account FROM keyed_account WHERE official_account = ?1 AND company = ?4)
        AND f.number > iif(?2 = x'', 0, (SELECT number FROM follower WHERE official_account = ?1 AND follower = ?2))",
            $which,
            " ORDER BY f.number LIMIT ?3"
        )
    };
}

pub(super) const PAGE: &str = page!("");

pub(super) const PAGE_OF_OUTCOME: &str = page!(" AND f.outcome = ?5");

#[async_trait]
impl FollowerStore for SqliteInformation {
    async fn overview(
        &self,
        company: &CompanyId,
        accounts: &[OfficialAccountId],
    ) -> Result<Overview, StoreError> {
        const TRANSACTION: &str = "overview";
        let accounts = rows(&accounts.iter().map(OfficialAccountId::as_str).collect::<Vec<_>>())?;
        let failed = StoreError::during(TRANSACTION);
        let mut tx = self.database.read().begin().await.map_err(&failed)?;
        let own: Vec<String> = sqlx::query_scalar(OWN_ACCOUNTS)
            .bind(&accounts)
            .bind(company.as_str())
            .fetch_all(&mut *tx)
            .await
            .map_err(&failed)?;
        let accounts = rows(&own)?;
        let mut overview = Overview::default();
        for row in fetch(&mut tx, TRANSACTION, FUNNEL, &accounts).await? {
            count_followers(&mut overview.funnels, &row)?;
        }
        for row in fetch(&mut tx, TRANSACTION, MESSAGES, &accounts).await? {
            overview.messages.push(MessageCount {
                account: row.text(0)?.parse()?,
                carrier: row.text(1)?.parse()?,
                purpose: row.one_of(&Purpose::ALL, 2)?,
                state: row.one_of(&DeliveryState::ALL, 3)?,
                count: row.small(4)?,
            });
        }
        for row in fetch(&mut tx, TRANSACTION, ACQUISITIONS, &accounts).await? {
            overview.acquisitions.push(acquisition_of(&row)?);
        }
        Ok(overview)
    }

    async fn days(
        &self,
        company: &CompanyId,
        accounts: &[OfficialAccountId],
        since: Day,
    ) -> Result<Vec<DayCount>, StoreError> {
        let failed = StoreError::during("days");
        let accounts = rows(&accounts.iter().map(OfficialAccountId::as_str).collect::<Vec<_>>())?;
        let own: Vec<String> = sqlx::query_scalar(OWN_ACCOUNTS)
            .bind(accounts)
            .bind(company.as_str())
            .fetch_all(self.database.read())
            .await
            .map_err(&failed)?;
        let days = sqlx::query(DAYS).bind(rows(&own)?).bind(since.number());
        let days = days.fetch_all(self.database.read()).await.map_err(&failed)?;
        days.iter().map(day_count_of).collect()
    }

    async fn forget_days(&self, before: Day) -> Result<(), StoreError> {
        const TRANSACTION: &str = "forget_days";
        let failed = StoreError::during(TRANSACTION);
        let mut tx = self.database.write(TRANSACTION).await?;
        sqlx::query(FORGET_DAYS).bind(before.number()).execute(&mut *tx).await.map_err(&failed)?;
        tx.commit().await.map_err(&failed)
    }

    async fn list_followers(
        &self,
        query: &FollowerQuery,
        now: Timestamp,
    ) -> Result<Vec<FollowerView>, StoreError> {
        const TRANSACTION: &str = "list_followers";
        let failed = StoreError::during(TRANSACTION);
        let after = query.after.as_ref().map_or(&[][..], |after| &after.as_bytes()[..]);
        let page = sqlx::query(if query.outcome.is_some() { PAGE_OF_OUTCOME } else { PAGE })
            .bind(query.account.as_str())
            .bind(after)
            .bind(query.limit)
            .bind(query.company.as_str());
        let page = match query.outcome {
            Some(outcome) => page.bind(place(&FollowerOutcome::ALL, &outcome)),
            None => page,
        };
        let found = page.fetch_all(self.database.read()).await.map_err(&failed)?;
        let keys = self.vault.keys();
        let page = found.iter().map(|row| view_of(row, (query.account.as_str(), now), &keys));
        let page = page.collect::<Result<Vec<_>, StoreError>>()?;
        let after = query.after.map_or_else(|| "the first".to_owned(), |after| after.to_string());
        let detail =
            format!("{}, {} followers after {after}, by {}", query.account, page.len(), query.operator);
        let line =
            Audit { company: Some(query.company.clone()), key: None, action: "followers_listed", detail };
        let mut tx = self.database.write(TRANSACTION).await?;
        audit(&mut tx, TRANSACTION, &[line], now).await?;
        tx.commit().await.map_err(&failed)?;
        Ok(page)
    }
}

async fn fetch(
    tx: &mut Transaction<'_, Sqlite>,
    transaction: &'static str,
    query: &'static str,
    accounts: &str,
) -> Result<Vec<SqliteRow>, StoreError> {
    sqlx::query(query).bind(accounts).fetch_all(&mut **tx).await.map_err(StoreError::during(transaction))
}
