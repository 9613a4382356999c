//! Subscriber lists while they arrive, on SQLite.

use async_trait::async_trait;
use jiff::Timestamp;
use musubi_domain::{
    id::{FollowerId, OfficialAccountId},
    phone_number::PhoneNumber,
};
use sqlx::{Sqlite, Transaction, sqlite::SqliteRow};

use super::SqliteInformation;
use crate::{
    StoreError,
    information::list::{Comparison, ListKey, ListStore},
    row::{Columns as _, Id, instant, micros},
    sqlite::rows,
};

pub(super) const CLEAR: &str = "DELETE FROM staged_subscriber WHERE official_account = ?1 AND carrier = ?2";

pub(super) const STAGE: &str = "
    INSERT INTO staged_subscriber (official_account, carrier, follower, phone_number)
    SELECT ?1, ?2, unhex(value ->> 0), value ->> 1 FROM json_each(?3) WHERE true
    ON CONFLICT DO NOTHING";

pub(super) const COUNT_PRESENT: &str = "
    SELECT count(*) FROM follower AS f CROSS JOIN subscription AS s ON s.number = f.number
    WHERE f.official_account = ?1 AND s.carrier = ?2 AND s.following = 1";

pub(super) const COUNT_MISSING: &str = "
    SELECT count(*) FROM follower AS f CROSS JOIN subscription AS s ON s.number = f.number
    WHERE f.official_account = ?1 AND s.carrier = ?2 AND s.following = 1 AND s.change_time <= ?3 AND NOT EXISTS
        (SELECT 1 FROM staged_subscriber AS g
         WHERE g.official_account = ?1 AND g.carrier = ?2 AND g.follower = f.follower)";

pub(super) const COUNT_STAGED: &str =
    "SELECT count(*) FROM staged_subscriber WHERE official_account = ?1 AND carrier = ?2";

pub(super) const QUARANTINE_TIME: &str =
    "SELECT quarantine_time FROM subscriber_list WHERE official_account = ?1 AND carrier = ?2";

pub(super) const ENSURE: &str = "
    INSERT INTO subscriber_list (official_account, carrier) VALUES (?1, ?2) ON CONFLICT DO NOTHING";

pub(super) const COUNT_DISCARDED: &str = "
    UPDATE subscriber_list SET discarded = discarded + 1 WHERE official_account = ?1 AND carrier = ?2";

pub(super) const COUNT_QUARANTINED: &str = "
    UPDATE subscriber_list SET quarantined = quarantined + 1, quarantine_time = coalesce(quarantine_time, ?3)
    WHERE official_account = ?1 AND carrier = ?2";

pub(super) const SUSPEND_MISSING: &str = "
    UPDATE customer_information SET suspended = 1
    WHERE suspended = 0 AND number IN
        (SELECT f.number FROM follower AS f CROSS JOIN subscription AS s ON s.number = f.number
         WHERE f.official_account = ?1 AND s.carrier = ?2 AND s.following = 1 AND s.change_time <= ?3 AND NOT EXISTS
             (SELECT 1 FROM staged_subscriber AS g
              WHERE g.official_account = ?1 AND g.carrier = ?2 AND g.follower = f.follower))";

pub(super) const ABANDON: &str = "
    UPDATE subscriber_list SET promoting = NULL, promoting_generation = NULL WHERE official_account = ?1 AND carrier = ?2";

pub(super) const BEGIN_PROMOTION: &str = "
    UPDATE subscriber_list SET promoting = ?3, promoting_generation = ?4 WHERE official_account = ?1 AND carrier = ?2";

pub(super) const PROMOTIONS: &str =
    "SELECT official_account, carrier, promoting FROM subscriber_list WHERE promoting IS NOT NULL";

pub(super) const STAGED_NEW: &str = "
    SELECT g.follower, g.phone_number FROM staged_subscriber AS g
    LEFT JOIN follower AS f ON f.official_account = ?1 AND f.follower = g.follower
    LEFT JOIN subscription AS s ON s.number = f.number AND s.carrier = ?2
    WHERE g.official_account = ?1 AND g.carrier = ?2 AND g.follower > ?4
        AND (s.number IS NULL OR (s.following = 0 AND s.change_time <= ?3))
        AND EXISTS (SELECT 1 FROM subscriber_list WHERE official_account = ?1 AND carrier = ?2 AND promoting = ?3)
    ORDER BY g.follower LIMIT ?5";

pub(super) const STAGED_MISSING: &str = "
    SELECT f.follower, f.phone_number FROM follower AS f
    CROSS JOIN subscription AS s ON s.number = f.number AND s.carrier = ?2
    WHERE f.official_account = ?1 AND f.follower > ?4 AND s.following = 1 AND s.change_time <= ?3
        AND NOT EXISTS (SELECT 1 FROM staged_subscriber AS g
            WHERE g.official_account = ?1 AND g.carrier = ?2 AND g.follower = f.follower)
        AND EXISTS (SELECT 1 FROM subscriber_list WHERE official_account = ?1 AND carrier = ?2 AND promoting = ?3)
    ORDER BY f.follower LIMIT ?5";

pub(super) const RESUME_STAGED: &str = "
    UPDATE customer_information SET suspended = 0
    WHERE suspended = 1 AND number IN
        (SELECT f.number FROM staged_subscriber AS g
         CROSS JOIN follower AS f ON f.official_account = ?1 AND f.follower = g.follower
         WHERE g.official_account = ?1 AND g.carrier = ?2)";

pub(super) const FINISH: &str = "
    UPDATE subscriber_list SET promoted = promoted + 1, skipped = skipped + ?3, promote_time = ?4, quarantine_time = NULL,
        generation = promoting_generation, promoting = NULL, promoting_generation = NULL
    WHERE official_account = ?1 AND carrier = ?2 AND promoting IS NOT NULL";

#[async_trait]
impl ListStore for SqliteInformation {
    async fn begin_list(&self, list: &ListKey) -> Result<(), StoreError> {
        let mut step = self.step("begin_list", list).await?;
        step.run(ENSURE).await?;
        step.empty().await?;
        step.commit().await
    }

    async fn stage(&self, list: &ListKey, numbers: &[(FollowerId, PhoneNumber)]) -> Result<(), StoreError> {
        let values: Vec<_> =
            numbers.iter().map(|(follower, number)| (Id::of(follower.as_bytes()), number.as_str())).collect();
        let mut step = self.step("stage_numbers", list).await?;
        sqlx::query(STAGE)
            .bind(list.account.as_str())
            .bind(list.carrier.as_str())
            .bind(rows(&values)?)
            .execute(&mut *step.tx)
            .await
            .map_err(StoreError::during(step.name))?;
        step.commit().await
    }

    async fn compare(&self, list: &ListKey, as_of: Timestamp) -> Result<Comparison, StoreError> {
        let failed = StoreError::during("compare_list");
        let mut tx = self.database.read().begin().await.map_err(&failed)?;
        let mut counts = [0_i64; 3];
        for (count, sql) in counts.iter_mut().zip([COUNT_PRESENT, COUNT_MISSING, COUNT_STAGED]) {
            *count = sqlx::query_scalar(sql)
                .bind(list.account.as_str())
                .bind(list.carrier.as_str())
                .bind(micros(as_of))
                .fetch_one(&mut *tx)
                .await
                .map_err(&failed)?;
        }
        let quarantine_time: Option<Option<i64>> = sqlx::query_scalar(QUARANTINE_TIME)
            .bind(list.account.as_str())
            .bind(list.carrier.as_str())
            .fetch_optional(&mut *tx)
            .await
            .map_err(&failed)?;
        let [followers, missing, staged] = counts.map(i64::unsigned_abs);
        let quarantine_time = quarantine_time.flatten().map(instant).transpose()?;
        Ok(Comparison { followers, missing, staged, quarantine_time })
    }

    async fn discard(&self, list: &ListKey) -> Result<(), StoreError> {
        let mut step = self.step("discard_list", list).await?;
        step.run(ENSURE).await?;
        step.run(COUNT_DISCARDED).await?;
        step.empty().await?;
        step.commit().await
    }

    async fn quarantine(&self, list: &ListKey, as_of: Timestamp, now: Timestamp) -> Result<u64, StoreError> {
        let mut step = self.step("quarantine_list", list).await?;
        let suspended = step.run_at(SUSPEND_MISSING, micros(as_of)).await?;
        step.run_at(COUNT_QUARANTINED, micros(now)).await?;
        step.empty().await?;
        step.commit().await?;
        Ok(suspended)
    }

    async fn begin_promotion(
        &self,
        list: &ListKey,
        generation: u64,
        as_of: Timestamp,
    ) -> Result<(), StoreError> {
        const TRANSACTION: &str = "begin_promotion";
        let mut tx = self.database.write(TRANSACTION).await?;
        sqlx::query(BEGIN_PROMOTION)
            .bind(list.account.as_str())
            .bind(list.carrier.as_str())
            .bind(micros(as_of))
            .bind(i64::try_from(generation).unwrap_or(i64::MAX))
            .execute(&mut *tx)
            .await
            .map_err(StoreError::during(TRANSACTION))?;
        tx.commit().await.map_err(StoreError::during(TRANSACTION))
    }

    async fn promotions(&self) -> Result<Vec<(ListKey, Timestamp)>, StoreError> {
        let under_way = sqlx::query(PROMOTIONS)
            .fetch_all(self.database.read())
            .await
            .map_err(StoreError::during("promotions"))?;
        let read = |row: &SqliteRow| {
            let account: OfficialAccountId = row.text(0)?.parse()?;
            Ok((ListKey { account, carrier: row.text(1)?.parse()? }, row.instant(2)?))
        };
        under_way.iter().map(read).collect()
    }

    async fn staged_new(
        &self,
        list: &ListKey,
        as_of: Timestamp,
        after: Option<FollowerId>,
        limit: u32,
    ) -> Result<Vec<(FollowerId, PhoneNumber)>, StoreError> {
        self.numbers(STAGED_NEW, list, as_of, after, limit).await
    }

    async fn staged_missing(
        &self,
        list: &ListKey,
        as_of: Timestamp,
        after: Option<FollowerId>,
        limit: u32,
    ) -> Result<Vec<(FollowerId, PhoneNumber)>, StoreError> {
        self.numbers(STAGED_MISSING, list, as_of, after, limit).await
    }

    async fn finish_promotion(&self, list: &ListKey, skipped: u64, now: Timestamp) -> Result<(), StoreError> {
        let mut step = self.step("finish_promotion", list).await?;
        let finished = sqlx::query(FINISH)
            .bind(list.account.as_str())
            .bind(list.carrier.as_str())
            .bind(i64::try_from(skipped).unwrap_or(i64::MAX))
            .bind(micros(now))
            .execute(&mut *step.tx)
            .await
            .map_err(StoreError::during(step.name))?;
        if finished.rows_affected() > 0 {
            step.run(RESUME_STAGED).await?;
            step.run(CLEAR).await?;
        }
        step.commit().await
    }
}

impl SqliteInformation {
    async fn step<'a>(&self, name: &'static str, list: &'a ListKey) -> Result<Step<'a>, StoreError> {
        Ok(Step { tx: self.database.write(name).await?, name, list })
    }

    async fn numbers(
        &self,
        sql: &'static str,
        list: &ListKey,
        as_of: Timestamp,
        after: Option<FollowerId>,
        limit: u32,
    ) -> Result<Vec<(FollowerId, PhoneNumber)>, StoreError> {
        let after = after.map(|follower| follower.as_bytes().to_vec()).unwrap_or_default();
        let found = sqlx::query(sql)
            .bind(list.account.as_str())
            .bind(list.carrier.as_str())
            .bind(micros(as_of))
            .bind(after)
            .bind(limit)
            .fetch_all(self.database.read())
            .await
            .map_err(StoreError::during("staged_numbers"))?;
        let read = |row: &SqliteRow| Ok((FollowerId::from_bytes(row.id(0)?), row.text(1)?.parse()?));
        found.iter().map(read).collect()
    }
}

/// A transaction about one list.
struct Step<'a> {
    tx: Transaction<'static, Sqlite>,
    name: &'static str,
    list: &'a ListKey,
}

impl Step<'_> {
    async fn run(&mut self, sql: &'static str) -> Result<u64, StoreError> {
        self.run_at(sql, 0).await
    }

    async fn run_at(&mut self, sql: &'static str, third: i64) -> Result<u64, StoreError> {
        let mut query = sqlx::query(sql).bind(self.list.account.as_str()).bind(self.list.carrier.as_str());
        if sql.contains("?3") {
            query = query.bind(third);
        }
        let done = query.execute(&mut *self.tx).await.map_err(StoreError::during(self.name))?;
        Ok(done.rows_affected())
    }

    /// Empties the stage, and with it gives up its promotion: a list promoted from an emptied stage would lose everybody.
    async fn empty(&mut self) -> Result<(), StoreError> {
        self.run(ABANDON).await?;
        self.run(CLEAR).await.map(drop)
    }

    async fn commit(self) -> Result<(), StoreError> {
        self.tx.commit().await.map_err(StoreError::during(self.name))
    }
}
