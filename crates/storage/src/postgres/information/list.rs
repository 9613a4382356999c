//! Subscriber lists while they arrive, on PostgreSQL.

use async_trait::async_trait;
use jiff::Timestamp;
use musubi_domain::{
    id::{FollowerId, OfficialAccountId},
    phone_number::PhoneNumber,
};
use sqlx::postgres::PgRow;

use super::PostgresInformation;
use crate::{
    StoreError,
    information::list::{Comparison, ListKey, ListStore},
    postgres::Tx,
    row::{BulkRow as _, Columns as _, Id, bulk_rows, instant, micros},
};

const CLEAR: &str = "DELETE FROM staged_subscriber WHERE official_account = $1 AND carrier = $2";

const STAGE: &str = "
    INSERT INTO staged_subscriber (official_account, follower, carrier, phone_number)
    SELECT $1, k.follower, $2, k.number FROM unnest($3::uuid[], $4::text[]) AS k (follower, number)
    ON CONFLICT DO NOTHING";

const COUNT_PRESENT: &str = "
    SELECT count(*) FROM subscription WHERE official_account = $1 AND carrier = $2 AND following";

const COUNT_MISSING: &str = "
    SELECT count(*) FROM subscription AS s
    WHERE s.official_account = $1 AND s.carrier = $2 AND s.following AND s.change_time <= $3 AND NOT EXISTS
        (SELECT 1 FROM staged_subscriber AS g
         WHERE g.official_account = s.official_account AND g.follower = s.follower AND g.carrier = s.carrier)";

const COUNT_STAGED: &str =
    "SELECT count(*) FROM staged_subscriber WHERE official_account = $1 AND carrier = $2";

const QUARANTINE_TIME: &str =
    "SELECT quarantine_time FROM subscriber_list WHERE official_account = $1 AND carrier = $2";

const ENSURE: &str =
    "INSERT INTO subscriber_list (official_account, carrier) VALUES ($1, $2) ON CONFLICT DO NOTHING";

const COUNT_DISCARDED: &str = "
    UPDATE subscriber_list SET discarded = discarded + 1 WHERE official_account = $1 AND carrier = $2";

const COUNT_QUARANTINED: &str = "
    UPDATE subscriber_list SET quarantined = quarantined + 1, quarantine_time = coalesce(quarantine_time, $3)
    WHERE official_account = $1 AND carrier = $2";

// Locked as whoever changes what belongs to a follower does, in the order of the keys.
const SUSPEND_MISSING: &str = "
    WITH missing AS MATERIALIZED (
        SELECT f.official_account, f.follower FROM customer_information AS t
        JOIN follower AS f ON f.official_account = t.official_account AND f.follower = t.follower
        JOIN subscription AS s ON s.official_account = f.official_account AND s.follower = f.follower AND s.carrier = $2
        WHERE t.official_account = $1 AND NOT t.suspended AND s.following AND s.change_time <= $3 AND NOT EXISTS
            (SELECT 1 FROM staged_subscriber AS g
             WHERE g.official_account = s.official_account AND g.follower = s.follower AND g.carrier = s.carrier)
        ORDER BY f.official_account, f.follower FOR NO KEY UPDATE OF f)
    UPDATE customer_information AS t SET suspended = true FROM missing AS m
    WHERE t.official_account = m.official_account AND t.follower = m.follower AND NOT t.suspended";

const ABANDON: &str = "
    UPDATE subscriber_list SET promoting = NULL, promoting_generation = NULL WHERE official_account = $1 AND carrier = $2";

const BEGIN_PROMOTION: &str = "
    UPDATE subscriber_list SET promoting = $3, promoting_generation = $4 WHERE official_account = $1 AND carrier = $2";

const PROMOTIONS: &str =
    "SELECT official_account, carrier, promoting FROM subscriber_list WHERE promoting IS NOT NULL";

pub(super) const STAGED_NEW: &str = "
    SELECT g.follower, g.phone_number FROM staged_subscriber AS g
    LEFT JOIN LATERAL (SELECT * FROM subscription AS s
        WHERE s.official_account = $1 AND s.follower = g.follower AND s.carrier = $2 OFFSET 0) AS s ON true
    WHERE g.official_account = $1 AND g.carrier = $2 AND g.follower > $4
        AND (s.follower IS NULL OR (NOT s.following AND s.change_time <= $3))
        AND EXISTS (SELECT 1 FROM subscriber_list WHERE official_account = $1 AND carrier = $2 AND promoting = $3)
    ORDER BY g.follower LIMIT $5";

pub(super) const STAGED_MISSING: &str = "
    SELECT s.follower, f.phone_number FROM subscription AS s
    CROSS JOIN LATERAL (SELECT * FROM follower AS f
        WHERE f.official_account = $1 AND f.follower = s.follower OFFSET 0) AS f
    WHERE s.official_account = $1 AND s.carrier = $2 AND s.follower > $4 AND s.following AND s.change_time <= $3
        AND NOT EXISTS (SELECT 1 FROM staged_subscriber AS g
            WHERE g.official_account = $1 AND g.follower = s.follower AND g.carrier = $2)
        AND EXISTS (SELECT 1 FROM subscriber_list WHERE official_account = $1 AND carrier = $2 AND promoting = $3)
    ORDER BY s.follower LIMIT $5";

const RESUME_STAGED: &str = "
    UPDATE customer_information AS t SET suspended = false FROM staged_subscriber AS g
    WHERE t.official_account = $1 AND t.suspended
        AND g.official_account = t.official_account AND g.follower = t.follower AND g.carrier = $2";

const FINISH: &str = "
    UPDATE subscriber_list SET promoted = promoted + 1, skipped = skipped + $3, promote_time = $4, quarantine_time = NULL,
        generation = promoting_generation, promoting = NULL, promoting_generation = NULL
    WHERE official_account = $1 AND carrier = $2 AND promoting IS NOT NULL";

bulk_rows! {
    /// A number of a snapshot.
    StagedRow<'a> { follower: Id, number: &'a str, }
}

#[async_trait]
impl ListStore for PostgresInformation {
    async fn begin_list(&self, list: &ListKey) -> Result<(), StoreError> {
        let mut step = self.step("begin_list", list).await?;
        step.run(ENSURE).await?;
        step.empty().await?;
        step.tx.commit().await
    }

    async fn stage(&self, list: &ListKey, numbers: &[(FollowerId, PhoneNumber)]) -> Result<(), StoreError> {
        let rows: Vec<_> = numbers
            .iter()
            .map(|(follower, number)| StagedRow {
                follower: Id::of(follower.as_bytes()),
                number: number.as_str(),
            })
            .collect();
        let mut tx = self.database.write("stage_numbers").await?;
        let stage = sqlx::query(STAGE).bind(list.account.as_str()).bind(list.carrier.as_str());
        tx.execute(StagedRow::bind(stage, &rows)).await?;
        tx.commit().await
    }

    async fn compare(&self, list: &ListKey, as_of: Timestamp) -> Result<Comparison, StoreError> {
        let mut tx = self.database.snapshot("compare_list").await?;
        tx.allow_whole_tables().await?;
        let mut step = Step { tx, list };
        let followers = step.count(COUNT_PRESENT, None).await?;
        let missing = step.count(COUNT_MISSING, Some(as_of)).await?;
        let staged = step.count(COUNT_STAGED, None).await?;
        let quarantined = step.of_list(QUARANTINE_TIME);
        let quarantined = step.tx.fetch_optional(quarantined).await?;
        let quarantine_time =
            quarantined.map(|row| row.maybe_int(0)).transpose()?.flatten().map(instant).transpose()?;
        Ok(Comparison { followers, missing, staged, quarantine_time })
    }

    async fn discard(&self, list: &ListKey) -> Result<(), StoreError> {
        let mut step = self.step("discard_list", list).await?;
        step.run(ENSURE).await?;
        step.run(COUNT_DISCARDED).await?;
        step.empty().await?;
        step.tx.commit().await
    }

    async fn quarantine(&self, list: &ListKey, as_of: Timestamp, now: Timestamp) -> Result<u64, StoreError> {
        let mut step = self.step("quarantine_list", list).await?;
        step.tx.allow_whole_tables().await?;
        let suspend = step.of_list(SUSPEND_MISSING).bind(micros(as_of));
        let suspended = step.tx.execute(suspend).await?;
        let count = step.of_list(COUNT_QUARANTINED).bind(micros(now));
        step.tx.execute(count).await?;
        step.empty().await?;
        step.tx.commit().await?;
        Ok(suspended)
    }

    async fn begin_promotion(
        &self,
        list: &ListKey,
        generation: u64,
        as_of: Timestamp,
    ) -> Result<(), StoreError> {
        let mut step = self.step("begin_promotion", list).await?;
        let begin = step
            .of_list(BEGIN_PROMOTION)
            .bind(micros(as_of))
            .bind(i64::try_from(generation).unwrap_or(i64::MAX));
        step.tx.execute(begin).await?;
        step.tx.commit().await
    }

    async fn promotions(&self) -> Result<Vec<(ListKey, Timestamp)>, StoreError> {
        let under_way = sqlx::query(PROMOTIONS).fetch_all(self.database.read()).await;
        let read = |row: &PgRow| {
            let account: OfficialAccountId = row.text(0)?.parse()?;
            Ok((ListKey { account, carrier: row.text(1)?.parse()? }, row.instant(2)?))
        };
        under_way.map_err(StoreError::during("promotions"))?.iter().map(read).collect()
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
        let finish = step.of_list(FINISH).bind(i64::try_from(skipped).unwrap_or(i64::MAX)).bind(micros(now));
        if step.tx.execute(finish).await? > 0 {
            step.run(RESUME_STAGED).await?;
            step.run(CLEAR).await?;
        }
        step.tx.commit().await
    }
}

impl PostgresInformation {
    async fn step<'a>(&self, name: &'static str, list: &'a ListKey) -> Result<Step<'a>, StoreError> {
        Ok(Step { tx: self.database.write(name).await?, list })
    }

    async fn numbers(
        &self,
        sql: &'static str,
        list: &ListKey,
        as_of: Timestamp,
        after: Option<FollowerId>,
        limit: u32,
    ) -> Result<Vec<(FollowerId, PhoneNumber)>, StoreError> {
        let found = sqlx::query(sql)
            .bind(list.account.as_str())
            .bind(list.carrier.as_str())
            .bind(micros(as_of))
            .bind(after.map_or(Id::of(&[0; 16]), |after| Id::of(after.as_bytes())))
            .bind(i64::from(limit))
            .fetch_all(self.database.read())
            .await
            .map_err(StoreError::during("staged_numbers"))?;
        let read = |row: &PgRow| Ok((FollowerId::from_bytes(row.id(0)?), row.text(1)?.parse()?));
        found.iter().map(read).collect()
    }
}

/// A transaction about one list.
struct Step<'a> {
    tx: Tx,
    list: &'a ListKey,
}

impl<'a> Step<'a> {
    /// A statement whose first parameters are the list.
    fn of_list(
        &self,
        sql: &'static str,
    ) -> sqlx::query::Query<'a, sqlx::Postgres, sqlx::postgres::PgArguments> {
        sqlx::query(sql).bind(self.list.account.as_str()).bind(self.list.carrier.as_str())
    }

    async fn run(&mut self, sql: &'static str) -> Result<u64, StoreError> {
        let query = self.of_list(sql);
        self.tx.execute(query).await
    }

    async fn count(&mut self, sql: &'static str, as_of: Option<Timestamp>) -> Result<u64, StoreError> {
        let query = self.of_list(sql);
        let query = match as_of {
            Some(as_of) => query.bind(micros(as_of)),
            None => query,
        };
        self.tx.fetch_one(query).await?.small(0)
    }

    /// Empties the stage, and with it gives up its promotion: a list promoted from an emptied stage would lose everybody.
    async fn empty(&mut self) -> Result<(), StoreError> {
        self.run(ABANDON).await?;
        self.run(CLEAR).await.map(drop)
    }
}
