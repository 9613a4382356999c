//! Followers as companies look at them, on SQLite.

use async_trait::async_trait;
use jiff::Timestamp;
use musubi_domain::{
    delivery::{DeliveryState, Purpose},
    dialogue::State,
    id::{CompanyId, OfficialAccountId},
};
use sqlx::{Sqlite, Transaction, sqlite::SqliteRow};

use super::{SqliteInformation, audit::audit};
use crate::{
    StoreError,
    information::{
        flow::Audit,
        follower::{FollowerQuery, FollowerStore, FollowerView, MessageCount, Overview},
        record::{acquisition_of, count_followers, view_of},
        tally::NO_DIALOGUE,
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

pub(super) const PAGE: &str = "
    SELECT f.follower, f.phone_number, f.carrier, f.following, f.follow_time, coalesce(d.state, -1), d.state_time,
        coalesce(t.customer_id, d.proposed_customer), coalesce(d.reasons, '[]'), coalesce(t.suspended, 0),
        t.tie_id, t.customer_id, t.expire_time, t.proved_time, t.silent_time, t.ask_time, t.doubt
    FROM follower AS f
    LEFT JOIN dialogue AS d ON d.number = f.number
    LEFT JOIN customer_information AS t ON t.number = f.number
    WHERE f.official_account = (SELECT official_account FROM keyed_account WHERE official_account = ?1 AND company = ?5)
        AND f.number > iif(?2 = x'', 0, (SELECT number FROM follower WHERE official_account = ?1 AND follower = ?2))
        AND (?3 IS NULL OR (f.following, coalesce(d.state, -1)) IN
            (SELECT value ->> 0, value ->> 1 FROM jsonb_each(?3)))
    ORDER BY f.number LIMIT ?4";

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

    async fn list_followers(
        &self,
        query: &FollowerQuery,
        now: Timestamp,
    ) -> Result<Vec<FollowerView>, StoreError> {
        const TRANSACTION: &str = "list_followers";
        let failed = StoreError::during(TRANSACTION);
        let causes = query.outcome.map(|outcome| {
            let causes = outcome.causes().map(|(following, dialogue)| {
                let state = dialogue.map_or(NO_DIALOGUE, |state| place(&State::ALL, &state));
                (i64::from(following), state)
            });
            rows(&causes.collect::<Vec<_>>())
        });
        let after = query.after.as_ref().map_or(&[][..], |after| &after.as_bytes()[..]);
        let found = sqlx::query(PAGE)
            .bind(query.account.as_str())
            .bind(after)
            .bind(causes.transpose()?)
            .bind(query.limit)
            .bind(query.company.as_str())
            .fetch_all(self.database.read())
            .await
            .map_err(&failed)?;
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
