//! Followers as companies look at them, on PostgreSQL.

use async_trait::async_trait;
use jiff::Timestamp;
use musubi_domain::{
    day::Day,
    delivery::{DeliveryState, Purpose},
    id::{CompanyId, OfficialAccountId},
    outcome::FollowerOutcome,
};

use super::{PostgresInformation, audit::audit};
use crate::{
    StoreError,
    information::{
        flow::Audit,
        follower::{DayCount, FollowerQuery, FollowerStore, FollowerView, MessageCount, Overview},
        record::{acquisition_of, count_followers, view_of},
        tally::day_count_of,
    },
    row::{Columns as _, Id, place},
};

pub(super) const FUNNEL: &str = "
    SELECT official_account, carrier, following, state, reached, sum(count)::bigint FROM follower_tally
    WHERE official_account = ANY ($1) GROUP BY 1, 2, 3, 4, 5 HAVING sum(count) > 0 ORDER BY 1, 2";

pub(super) const MESSAGES: &str = "
    SELECT official_account, carrier, purpose, state, sum(count)::bigint FROM delivery_tally
    WHERE official_account = ANY ($1) GROUP BY 1, 2, 3, 4 HAVING sum(count) > 0 ORDER BY 1, 2, 3, 4";

pub(super) const ACQUISITIONS: &str = "
    SELECT official_account, carrier, promoted, discarded, quarantined, generation, added_by_event, added_by_list,
        skipped, promote_time, quarantine_time, quarantine_followers, quarantine_missing, release_missing
    FROM subscriber_list WHERE official_account = ANY ($1) ORDER BY 1, 2";

pub(super) const DAYS: &str = "
    SELECT official_account, carrier, day, event, sum(count)::bigint FROM day_tally
    WHERE official_account = ANY ($1) AND day >= $2 GROUP BY 1, 2, 3, 4 ORDER BY 1, 3, 2, 4";

pub(super) const FORGET_DAYS: &str = "DELETE FROM day_tally WHERE day < $1";

macro_rules! page {
    ($which:literal) => {
        concat!(
            "
    SELECT f.follower, f.phone_number, f.carrier, f.following, f.follow_time, coalesce(d.state, -1)::smallint, d.state_time,
        coalesce(t.customer_id, d.proposed_customer), coalesce(d.reasons, '[]'), coalesce(t.suspended, false),
        t.tie_id, t.customer_id, t.expire_time, t.proved_time, t.silent_time, t.ask_time, t.doubt, f.suspended
    FROM follower AS f
    LEFT JOIN LATERAL (SELECT * FROM dialogue AS d
        WHERE d.official_account = $1 AND d.follower = f.follower OFFSET 0) AS d ON true
    LEFT JOIN LATERAL (SELECT * FROM customer_information AS t
        WHERE t.official_account = $1 AND t.follower = f.follower OFFSET 0) AS t ON true
    WHERE f.official_account = $1 AND f.follower > $2",
            $which,
            " ORDER BY f.follower LIMIT $3"
        )
    };
}

pub(super) const PAGE: &str = page!("");

pub(super) const PAGE_OF_OUTCOME: &str = page!(" AND f.outcome = $4");

#[async_trait]
impl FollowerStore for PostgresInformation {
    async fn overview(
        &self,
        company: &CompanyId,
        accounts: &[OfficialAccountId],
    ) -> Result<Overview, StoreError> {
        let accounts: Vec<&str> = accounts.iter().map(OfficialAccountId::as_str).collect();
        let mut tx = self.database.snapshot_for("overview", company).await?;
        let mut overview = Overview::default();
        for row in &tx.fetch(sqlx::query(FUNNEL).bind(&accounts)).await? {
            count_followers(&mut overview.funnels, row)?;
        }
        for row in &tx.fetch(sqlx::query(MESSAGES).bind(&accounts)).await? {
            overview.messages.push(MessageCount {
                account: row.text(0)?.parse()?,
                carrier: row.text(1)?.parse()?,
                purpose: row.one_of(&Purpose::ALL, 2)?,
                state: row.one_of(&DeliveryState::ALL, 3)?,
                count: row.small(4)?,
            });
        }
        for row in &tx.fetch(sqlx::query(ACQUISITIONS).bind(&accounts)).await? {
            overview.acquisitions.push(acquisition_of(row)?);
        }
        Ok(overview)
    }

    async fn days(
        &self,
        company: &CompanyId,
        accounts: &[OfficialAccountId],
        since: Day,
    ) -> Result<Vec<DayCount>, StoreError> {
        let accounts: Vec<&str> = accounts.iter().map(OfficialAccountId::as_str).collect();
        let mut tx = self.database.snapshot_for("days", company).await?;
        let days = tx.fetch(sqlx::query(DAYS).bind(accounts).bind(since.number())).await?;
        days.iter().map(day_count_of).collect()
    }

    async fn forget_days(&self, before: Day) -> Result<(), StoreError> {
        let mut tx = self.database.write("forget_days").await?;
        tx.execute(sqlx::query(FORGET_DAYS).bind(before.number())).await?;
        tx.commit().await
    }

    async fn list_followers(
        &self,
        query: &FollowerQuery,
        now: Timestamp,
    ) -> Result<Vec<FollowerView>, StoreError> {
        let page = sqlx::query(if query.outcome.is_some() { PAGE_OF_OUTCOME } else { PAGE })
            .bind(query.account.as_str())
            .bind(query.after.as_ref().map_or(Id::of(&[0; 16]), |after| Id::of(after.as_bytes())))
            .bind(i64::from(query.limit));
        let page = match query.outcome {
            Some(outcome) => page.bind(place(&FollowerOutcome::ALL, &outcome)),
            None => page,
        };
        let mut tx = self.database.write_for("list_followers", &query.company).await?;
        let (found, keys) = (tx.fetch(page).await?, self.vault.keys());
        let page = found.iter().map(|row| view_of(row, (query.account.as_str(), now), &keys));
        let page = page.collect::<Result<Vec<_>, StoreError>>()?;
        let after = query.after.map_or_else(|| "the first".to_owned(), |after| after.to_string());
        let detail =
            format!("{}, {} followers after {after}, by {}", query.account, page.len(), query.operator);
        let line =
            Audit { company: Some(query.company.clone()), key: None, action: "followers_listed", detail };
        audit(&mut tx, &[line], now).await?;
        tx.commit().await?;
        Ok(page)
    }
}
