//! Followers as companies look at them, on PostgreSQL.

use async_trait::async_trait;
use jiff::Timestamp;
use musubi_domain::{
    delivery::{DeliveryState, Purpose},
    dialogue::State,
    id::{CompanyId, OfficialAccountId},
};

use super::{PostgresInformation, audit::audit};
use crate::{
    StoreError,
    information::{
        flow::Audit,
        follower::{FollowerQuery, FollowerStore, FollowerView, MessageCount, Overview},
        record::{acquisition_of, count_followers, view_of},
        tally::NO_DIALOGUE,
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

pub(super) const PAGE: &str = "
    SELECT f.follower, f.phone_number, f.carrier, f.following, f.follow_time, coalesce(d.state, -1)::smallint, d.state_time,
        coalesce(t.customer_id, d.proposed_customer), coalesce(d.reasons, '[]'), coalesce(t.suspended, false),
        t.tie_id, t.customer_id, t.expire_time, t.proved_time, t.silent_time, t.ask_time, t.doubt
    FROM follower AS f
    LEFT JOIN LATERAL (SELECT * FROM dialogue AS d
        WHERE d.official_account = $1 AND d.follower = f.follower OFFSET 0) AS d ON true
    LEFT JOIN LATERAL (SELECT * FROM customer_information AS t
        WHERE t.official_account = $1 AND t.follower = f.follower OFFSET 0) AS t ON true
    WHERE f.official_account = $1 AND f.follower > $2
        AND ($3::boolean[] IS NULL OR EXISTS (SELECT 1 FROM unnest($3, $4::bigint[]) AS k (following, state)
            WHERE k.following = f.following AND k.state = coalesce(d.state, -1)))
    ORDER BY f.follower LIMIT $5";

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

    async fn list_followers(
        &self,
        query: &FollowerQuery,
        now: Timestamp,
    ) -> Result<Vec<FollowerView>, StoreError> {
        let causes = query.outcome.map(|outcome| {
            let causes = outcome.causes().map(|(following, dialogue)| {
                (following, dialogue.map_or(NO_DIALOGUE, |state| place(&State::ALL, &state)))
            });
            causes.unzip::<bool, i64, Vec<_>, Vec<_>>()
        });
        let (following, states) = causes.unzip();
        let page = sqlx::query(PAGE)
            .bind(query.account.as_str())
            .bind(query.after.as_ref().map_or(Id::of(&[0; 16]), |after| Id::of(after.as_bytes())))
            .bind(following)
            .bind(states)
            .bind(i64::from(query.limit));
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
