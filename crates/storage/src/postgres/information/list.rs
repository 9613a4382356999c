//! Subscriber lists on PostgreSQL.

use async_trait::async_trait;
use jiff::Timestamp;
use musubi_domain::id::{FollowerId, OfficialAccountId};
use sqlx::{
    Postgres,
    postgres::{PgArguments, PgRow},
    query::Query,
};

use super::PostgresInformation;
use crate::{
    StoreError,
    information::{
        list::{DueLists, ListKey, ListLease, ListOutcome, ListStore, Listed},
        record::lease_of,
    },
    row::{Columns as _, Id, micros},
};

const ENSURE: &str = "
    INSERT INTO subscriber_list (official_account, carrier) SELECT k, $1 FROM unnest($2::text[]) AS k
    ON CONFLICT DO NOTHING";

// Materialized, so that no plan looks for the one that is due again and again, and finds another each time.
pub(super) const CLAIM: &str = "
    WITH due AS MATERIALIZED (
        SELECT d.official_account FROM subscriber_list AS d
        WHERE d.carrier = $1 AND d.official_account = ANY ($2::text[]) AND d.acquire_time <= $4 AND d.lease_end_time <= $3
        ORDER BY d.acquire_time LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED)
    UPDATE subscriber_list AS l SET lease_end_time = $5, epoch = l.epoch + 1 FROM due
    WHERE l.official_account = due.official_account AND l.carrier = $1
    RETURNING l.official_account, l.carrier, l.epoch, l.quarantine_time, l.release_missing";

pub(super) const RENEW: &str = "
    UPDATE subscriber_list SET lease_end_time = $4 WHERE official_account = $1 AND carrier = $2 AND epoch = $3";

pub(super) const LISTED: &str = "
    SELECT follower, following, change_time FROM subscription
    WHERE official_account = $1 AND carrier = $2 AND follower > $3 ORDER BY follower LIMIT $4";

pub(super) const SUSPENDED: &str = "
    SELECT follower FROM customer_information
    WHERE official_account = $1 AND suspended AND follower > $2 ORDER BY follower LIMIT $3";

pub(super) const PROMOTED: &str = "
    UPDATE subscriber_list SET promoted = promoted + 1, skipped = skipped + $6, generation = $5, promote_time = $4,
        quarantine_time = NULL, release_missing = NULL, acquire_time = $4, lease_end_time = 0
    WHERE official_account = $1 AND carrier = $2 AND epoch = $3";

pub(super) const QUARANTINED: &str = "
    UPDATE subscriber_list SET quarantined = quarantined + 1, quarantine_time = coalesce(quarantine_time, $4),
        quarantine_followers = $5, quarantine_missing = $6, release_missing = NULL, acquire_time = $4, lease_end_time = 0
    WHERE official_account = $1 AND carrier = $2 AND epoch = $3";

pub(super) const DISCARDED: &str = "
    UPDATE subscriber_list SET discarded = discarded + 1, lease_end_time = $4
    WHERE official_account = $1 AND carrier = $2 AND epoch = $3";

#[async_trait]
impl ListStore for PostgresInformation {
    async fn claim_list(&self, due: DueLists<'_>) -> Result<Option<ListLease>, StoreError> {
        let accounts: Vec<&str> = due.accounts.iter().map(OfficialAccountId::as_str).collect();
        let of_carrier = |sql| sqlx::query(sql).bind(due.carrier.as_str()).bind(&accounts);
        let mut tx = self.database.write("claim_list").await?;
        tx.execute(of_carrier(ENSURE)).await?;
        let claim = of_carrier(CLAIM)
            .bind(micros(due.now))
            .bind(micros(due.acquired_before))
            .bind(micros(due.lease_end));
        let claimed = tx.fetch_optional(claim).await?;
        tx.commit().await?;
        claimed.as_ref().map(lease_of).transpose()
    }

    async fn renew_list(&self, lease: &ListLease, lease_end: Timestamp) -> Result<bool, StoreError> {
        Ok(self.end(lease, "renew_list", |of_lease| of_lease(RENEW).bind(micros(lease_end))).await? > 0)
    }

    async fn listed(
        &self,
        list: &ListKey,
        after: Option<FollowerId>,
        limit: u32,
    ) -> Result<Vec<Listed>, StoreError> {
        let rows = sqlx::query(LISTED)
            .bind(list.account.as_str())
            .bind(list.carrier.as_str())
            .bind(behind(after))
            .bind(i64::from(limit))
            .fetch_all(self.database.read())
            .await
            .map_err(StoreError::during("listed"))?;
        let listed = |row: &PgRow| {
            let (follower, following, change_time) =
                (FollowerId::from_bytes(row.id(0)?), row.flag(1)?, row.instant(2)?);
            Ok(Listed { follower, following, change_time })
        };
        rows.iter().map(listed).collect()
    }

    async fn suspended(
        &self,
        account: &OfficialAccountId,
        after: Option<FollowerId>,
        limit: u32,
    ) -> Result<Vec<FollowerId>, StoreError> {
        let rows = sqlx::query(SUSPENDED)
            .bind(account.as_str())
            .bind(behind(after))
            .bind(i64::from(limit))
            .fetch_all(self.database.read())
            .await
            .map_err(StoreError::during("suspended"))?;
        rows.iter().map(|row| Ok(FollowerId::from_bytes(row.id(0)?))).collect()
    }

    async fn end_list(
        &self,
        lease: &ListLease,
        outcome: ListOutcome,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        self.end(lease, "end_list", |of_lease| match outcome {
            ListOutcome::Promoted { generation, skipped } => {
                of_lease(PROMOTED).bind(micros(now)).bind(number(generation)).bind(number(skipped))
            }
            ListOutcome::Quarantined { followers, missing } => {
                of_lease(QUARANTINED).bind(micros(now)).bind(number(followers)).bind(number(missing))
            }
            ListOutcome::Discarded { again } => of_lease(DISCARDED).bind(micros(again)),
        })
        .await
        .map(drop)
    }
}

impl PostgresInformation {
    /// Runs a statement whose first parameters are a lease; gives how many lists it changed: none when another lease began.
    async fn end<'q>(
        &self,
        lease: &'q ListLease,
        name: &'static str,
        statement: impl FnOnce(
            &dyn Fn(&'static str) -> Query<'q, Postgres, PgArguments>,
        ) -> Query<'q, Postgres, PgArguments>,
    ) -> Result<u64, StoreError> {
        let of_lease = |sql| {
            sqlx::query(sql)
                .bind(lease.list.account.as_str())
                .bind(lease.list.carrier.as_str())
                .bind(lease.epoch)
        };
        let mut tx = self.database.write(name).await?;
        let done = tx.execute(statement(&of_lease)).await?;
        tx.commit().await?;
        Ok(done)
    }
}

/// Where a page begins: behind a follower, or with the first. No follower's hash is nothing but zeros.
fn behind(after: Option<FollowerId>) -> Id {
    after.map_or(Id::of(&[0; 16]), |after| Id::of(after.as_bytes()))
}
