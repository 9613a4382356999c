//! Subscriber lists on SQLite.

use async_trait::async_trait;
use jiff::Timestamp;
use musubi_domain::id::{FollowerId, OfficialAccountId};
use sqlx::{Sqlite, query::Query, sqlite::SqliteArguments};

use super::SqliteInformation;
use crate::{
    StoreError,
    information::{
        list::{DueLists, ListKey, ListLease, ListOutcome, ListStore, Listed},
        record::lease_of,
    },
    row::{Columns as _, instant, list as json, micros},
};

pub(super) const ENSURE: &str = "
    INSERT INTO subscriber_list (official_account, carrier) SELECT value, ?1 FROM jsonb_each(?2) WHERE true
    ON CONFLICT DO NOTHING";

pub(super) const CLAIM: &str = "
    UPDATE subscriber_list SET lease_end_time = ?5, epoch = epoch + 1
    WHERE carrier = ?1 AND official_account =
        (SELECT d.official_account FROM jsonb_each(?2) AS k
         CROSS JOIN subscriber_list AS d ON d.official_account = k.value AND d.carrier = ?1
         WHERE d.acquire_time <= ?4 AND d.lease_end_time <= ?3 ORDER BY d.acquire_time LIMIT 1)
    RETURNING official_account, carrier, epoch, quarantine_time, release_missing";

pub(super) const RENEW: &str = "
    UPDATE subscriber_list SET lease_end_time = ?4 WHERE official_account = ?1 AND carrier = ?2 AND epoch = ?3";

// A page as one row: the driver takes longer over each row of a million than it takes to find it.
pub(super) const LISTED: &str = "
    SELECT group_concat(hex(follower), ' '), group_concat(following, ' '), group_concat(change_time, ' ') FROM (
        SELECT f.follower, s.following, s.change_time FROM follower AS f
        CROSS JOIN subscription AS s ON s.number = f.number AND s.carrier = ?2
        WHERE f.official_account = ?1 AND f.follower > ?3 ORDER BY f.follower LIMIT ?4)";

pub(super) const SUSPENDED: &str = "
    SELECT f.follower FROM customer_information AS t CROSS JOIN follower AS f ON f.number = t.number
    WHERE t.official_account = ?1 AND t.suspended = 1 AND f.follower > ?2 ORDER BY f.follower LIMIT ?3";

pub(super) const PROMOTED: &str = "
    UPDATE subscriber_list SET promoted = promoted + 1, skipped = skipped + ?6, generation = ?5, promote_time = ?4,
        quarantine_time = NULL, release_missing = NULL, acquire_time = ?4, lease_end_time = 0
    WHERE official_account = ?1 AND carrier = ?2 AND epoch = ?3";

pub(super) const QUARANTINED: &str = "
    UPDATE subscriber_list SET quarantined = quarantined + 1, quarantine_time = coalesce(quarantine_time, ?4),
        quarantine_followers = ?5, quarantine_missing = ?6, release_missing = NULL, acquire_time = ?4, lease_end_time = 0
    WHERE official_account = ?1 AND carrier = ?2 AND epoch = ?3";

pub(super) const DISCARDED: &str = "
    UPDATE subscriber_list SET discarded = discarded + 1, lease_end_time = ?4
    WHERE official_account = ?1 AND carrier = ?2 AND epoch = ?3";

#[async_trait]
impl ListStore for SqliteInformation {
    async fn claim_list(&self, due: DueLists<'_>) -> Result<Option<ListLease>, StoreError> {
        const TRANSACTION: &str = "claim_list";
        let failed = StoreError::during(TRANSACTION);
        let accounts: Vec<&str> = due.accounts.iter().map(OfficialAccountId::as_str).collect();
        let accounts = json(&accounts)?;
        let of_carrier = |sql| sqlx::query(sql).bind(due.carrier.as_str()).bind(accounts.as_str());
        let mut tx = self.database.write(TRANSACTION).await?;
        of_carrier(ENSURE).execute(&mut *tx).await.map_err(&failed)?;
        let claimed = of_carrier(CLAIM)
            .bind(micros(due.now))
            .bind(micros(due.acquired_before))
            .bind(micros(due.lease_end))
            .fetch_optional(&mut *tx)
            .await
            .map_err(&failed)?;
        tx.commit().await.map_err(&failed)?;
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
        let page = sqlx::query(LISTED)
            .bind(list.account.as_str())
            .bind(list.carrier.as_str())
            .bind(behind(after))
            .bind(limit)
            .fetch_one(self.database.read())
            .await
            .map_err(StoreError::during("listed"))?;
        let column = |place| {
            let text = page.maybe_text(place)?.unwrap_or_default();
            Ok::<_, StoreError>(text.split_ascii_whitespace())
        };
        let (followers, followings, times) = (column(0)?, column(1)?, column(2)?);
        let listed = |((follower, following), time): ((&str, &str), &str)| {
            let follower = u128::from_str_radix(follower, 16).ok()?;
            Some(Listed {
                follower: FollowerId::from_bytes(follower.to_be_bytes()),
                following: following == "1",
                change_time: instant(time.parse().ok()?).ok()?,
            })
        };
        let corrupt = || StoreError::Corrupt("a page of a list can't be read".to_owned());
        followers.zip(followings).zip(times).map(|row| listed(row).ok_or_else(corrupt)).collect()
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
            .bind(limit)
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

impl SqliteInformation {
    /// Runs a statement whose first parameters are a lease; gives how many lists it changed: none when another lease began.
    async fn end<'q>(
        &self,
        lease: &'q ListLease,
        name: &'static str,
        statement: impl FnOnce(
            &dyn Fn(&'static str) -> Query<'q, Sqlite, SqliteArguments>,
        ) -> Query<'q, Sqlite, SqliteArguments>,
    ) -> Result<u64, StoreError> {
        let failed = StoreError::during(name);
        let of_lease = |sql| {
            sqlx::query(sql)
                .bind(lease.list.account.as_str())
                .bind(lease.list.carrier.as_str())
                .bind(lease.epoch)
        };
        let query = statement(&of_lease);
        let mut tx = self.database.write(name).await?;
        let done = query.execute(&mut *tx).await.map_err(&failed)?;
        tx.commit().await.map_err(&failed)?;
        Ok(done.rows_affected())
    }
}

/// Where a page begins: behind a follower, or with the first.
fn behind(after: Option<FollowerId>) -> Vec<u8> {
    after.map(|follower| follower.as_bytes().to_vec()).unwrap_or_default()
}
