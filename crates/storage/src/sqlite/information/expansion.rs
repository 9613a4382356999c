//! Running distributions brought to an end, on SQLite.
//!
//! Surprising: what a carrier has to take back is found without an index of its own, by walking the followers up to where the
//! claims came and deriving each one's message id.

use std::collections::HashSet;

use async_trait::async_trait;
use jiff::Timestamp;
use musubi_domain::{
    delivery::{Addressed, DeliveryState, Purpose, Signal},
    id::{CarrierId, DistributionId, FollowerId, MessageId, OfficialAccountId},
};
use sqlx::{Sqlite, Transaction, sqlite::SqliteRow};

use super::{SqliteInformation, audit::audit, distribution::deliveries_of, tally, walk::changes};
use crate::{
    StoreError,
    information::{
        claiming,
        distribution::completed_line,
        expansion::{ExpansionStore, Revocable, RevocableMessage},
        tally::{Tally, TallyKey},
    },
    row::{Columns as _, Id, micros, place},
    sqlite::rows,
};

pub(super) const WORK: &str = "
    SELECT EXISTS (SELECT 1 FROM distribution INDEXED BY distribution_running WHERE state IN (1, 2))
        OR EXISTS (SELECT 1 FROM revocation)";

pub(super) const UNMADE: &str = "
    SELECT d.official_account, d.cursor, d.expire_time, d.distribution_id FROM distribution AS d INDEXED BY distribution_running
    WHERE d.state IN (1, 2) AND d.state = 1 AND d.start_time <= ?1 AND d.expire_time <= ?1 AND d.expanded = 0 LIMIT 1";

pub(super) const NEXT_FOLLOWERS: &str = "
    SELECT number, follower, carrier FROM follower
    WHERE official_account = ?1 AND number > ?2 AND following = 1
    ORDER BY number LIMIT ?3";

pub(super) const MAKE_EXPIRED: &str = "
    INSERT INTO delivery (message_id, number, official_account, carrier, distribution, purpose, state, attempts,
        due_time, expire_time, change_time)
    SELECT unhex(value ->> 1), value ->> 0, ?1, value ->> 2, ?2, ?6, ?3, 0, ?4, ?5, ?4 FROM jsonb_each(?7)";

pub(super) const ADVANCE_CURSOR: &str = "
    UPDATE distribution SET cursor = coalesce(?2, cursor), expanded = ?3 WHERE distribution_id = ?1";

pub(super) const OVERDUE: &str = "
    SELECT m.official_account, m.carrier, m.distribution, m.purpose, m.state, m.message_id
    FROM (SELECT d.distribution_id, t.carrier
          FROM distribution AS d INDEXED BY distribution_running
          CROSS JOIN delivery_tally AS t ON t.distribution = d.distribution_id
          WHERE d.state IN (1, 2) AND d.expire_time <= ?1 AND t.state IN (0, 1) AND t.count > 0
          UNION
          SELECT r.distribution, r.carrier
          FROM revocation AS r CROSS JOIN distribution AS d ON d.distribution_id = r.distribution
          WHERE d.expire_time <= ?1) AS late
    CROSS JOIN delivery AS m INDEXED BY delivery_due ON m.carrier = late.carrier AND m.distribution = late.distribution_id
    WHERE m.state IN (0, 1) AND (m.state = 0 OR m.due_time <= ?1)
    LIMIT ?2";

pub(super) const COMPLETE: &str = "
    UPDATE distribution SET state = 3, end_time = ?1
    WHERE state IN (1, 2) AND state = 1 AND expanded = 1 AND NOT EXISTS
        (SELECT 1 FROM delivery_tally AS t
         WHERE t.distribution = distribution_id AND t.state IN (0, 1) AND t.count > 0)
    RETURNING distribution_id, company";

pub(super) const NEVER_ATTEMPTED: &str = "
    SELECT m.official_account, m.carrier, m.distribution, m.purpose, m.state, m.message_id
    FROM revocation AS r
    CROSS JOIN delivery AS m INDEXED BY delivery_due ON m.carrier = r.carrier AND m.distribution = r.distribution
    WHERE m.state IN (0, 1) AND m.state = 0 AND m.attempts = 0
    LIMIT ?1";

pub(super) const OPEN_REVOCATION: &str = "
    SELECT d.distribution_id, d.official_account, r.cursor, d.cursor
    FROM revocation AS r CROSS JOIN distribution AS d ON d.distribution_id = r.distribution
    WHERE r.carrier = ?1 AND NOT EXISTS
        (SELECT 1 FROM delivery AS m INDEXED BY delivery_due
         WHERE m.carrier = ?1 AND m.distribution = r.distribution
             AND m.state IN (0, 1) AND m.state = 0 AND m.attempts = 0)
    ORDER BY r.distribution LIMIT 1";

pub(super) const NUMBERS: &str = "
    SELECT follower, phone_number, number FROM follower
    WHERE official_account = ?1 AND number > ?2 AND number <= ?3
    ORDER BY number LIMIT ?4";

pub(super) const AT_CARRIER: &str = "
    SELECT m.message_id, m.state, m.due_time FROM jsonb_each(?2) AS k
    CROSS JOIN delivery AS m ON m.message_id = unhex(k.value)
    WHERE m.carrier = ?1 AND m.state IN (0, 1, 2)";

pub(super) const ASKED: &str = "
    SELECT m.official_account, m.carrier, m.distribution, m.purpose, m.state, m.message_id
    FROM jsonb_each(?1) AS k
    CROSS JOIN delivery AS m ON m.message_id = unhex(k.value ->> 0)
    WHERE m.state IN (0, 1) OR k.value ->> 1";

pub(super) const WALKED: &str = "
    UPDATE revocation SET cursor = max(cursor,
        (SELECT number FROM follower WHERE official_account = ?3 AND follower = ?4))
    WHERE carrier = ?1 AND distribution = ?2";

pub(super) const WALKED_TO_THE_END: &str = "DELETE FROM revocation WHERE carrier = ?1 AND distribution = ?2";

pub(super) const SETTLE: &str = "
    UPDATE delivery SET state = k.value ->> 1, change_time = ?2 FROM jsonb_each(?1) AS k
    WHERE delivery.message_id = unhex(k.value ->> 0)";

/// The distribution's message to the follower of this number.
pub(super) fn message(distribution: DistributionId, follower: FollowerId, number: i64) -> MessageId {
    MessageId::of_distribution(distribution, follower, number.unsigned_abs())
}

#[async_trait]
impl ExpansionStore for SqliteInformation {
    async fn has_work(&self) -> Result<bool, StoreError> {
        sqlx::query_scalar(WORK)
            .fetch_one(self.database.read_fresh())
            .await
            .map_err(StoreError::during("list_work"))
    }

    async fn expire_unmade(&self, limit: u32, now: Timestamp) -> Result<u32, StoreError> {
        const TRANSACTION: &str = "expire_unmade";
        let failed = StoreError::during(TRANSACTION);
        let mut tx = self.database.write(TRANSACTION).await?;
        let unmade = sqlx::query(UNMADE).bind(micros(now)).fetch_optional(&mut *tx).await;
        let Some(unmade) = unmade.map_err(&failed)? else { return Ok(0) };
        let (account, expire_time) = (unmade.text(0)?, unmade.int(2)?);
        let id = DistributionId::from_bytes(unmade.id(3)?);
        let found = sqlx::query(NEXT_FOLLOWERS)
            .bind(account)
            .bind(unmade.int(1)?)
            .bind(limit)
            .fetch_all(&mut *tx)
            .await
            .map_err(&failed)?;
        let purpose = place(&Purpose::ALL, &Purpose::Undecided);
        let state = place(&DeliveryState::ALL, &DeliveryState::Expired);
        let (mut deliveries, mut tally) = (Vec::with_capacity(found.len()), Tally::default());
        for row in &found {
            let number = row.int(0)?;
            let message_id = message(id, FollowerId::from_bytes(row.id(1)?), number);
            deliveries.push((number, Id::of(message_id.as_bytes()), row.text(2)?));
            tally.add(TallyKey::new(account, row.text(2)?, id.as_bytes(), purpose, state), 1);
        }
        sqlx::query(MAKE_EXPIRED)
            .bind(account)
            .bind(&id.as_bytes()[..])
            .bind(state)
            .bind(micros(now))
            .bind(expire_time)
            .bind(purpose)
            .bind(rows(&deliveries)?)
            .execute(&mut *tx)
            .await
            .map_err(&failed)?;
        tally::store(&tally, &mut tx, TRANSACTION).await?;
        let made = u32::try_from(found.len()).unwrap_or(u32::MAX);
        sqlx::query(ADVANCE_CURSOR)
            .bind(&id.as_bytes()[..])
            .bind(deliveries.last().map(|last| last.0))
            .bind(made < limit)
            .execute(&mut *tx)
            .await
            .map_err(&failed)?;
        tx.commit().await.map_err(&failed)?;
        Ok(made)
    }

    async fn expire_overdue(&self, limit: u32, now: Timestamp) -> Result<u32, StoreError> {
        const TRANSACTION: &str = "expire_overdue";
        let failed = StoreError::during(TRANSACTION);
        let mut tx = self.database.write(TRANSACTION).await?;
        let found = sqlx::query(OVERDUE).bind(micros(now)).bind(limit);
        let found = found.fetch_all(&mut *tx).await.map_err(&failed)?;
        settle(&mut tx, TRANSACTION, &found, Signal::Expired, now).await?;
        tx.commit().await.map_err(&failed)?;
        Ok(u32::try_from(found.len()).unwrap_or(u32::MAX))
    }

    async fn complete_finished(&self, now: Timestamp) -> Result<Vec<DistributionId>, StoreError> {
        const TRANSACTION: &str = "complete_distributions";
        let failed = StoreError::during(TRANSACTION);
        let mut tx = self.database.write(TRANSACTION).await?;
        let begun = changes(&mut tx, TRANSACTION).await?;
        let completed = sqlx::query(COMPLETE).bind(micros(now)).fetch_all(&mut *tx).await.map_err(&failed)?;
        let id_of = |row: &SqliteRow| Ok(DistributionId::from_bytes(row.id(0)?));
        let ids = completed.iter().map(id_of).collect::<Result<Vec<_>, StoreError>>()?;
        if ids.is_empty() {
            return Ok(ids);
        }
        let mut deliveries = deliveries_of(&mut tx, TRANSACTION, &ids).await?;
        let mut lines = Vec::with_capacity(ids.len());
        for (row, id) in completed.iter().zip(&ids) {
            let made = deliveries.remove(id).unwrap_or_default();
            lines.push(completed_line(&row.text(1)?.parse()?, *id, &made));
        }
        audit(&mut tx, TRANSACTION, &lines, now).await?;
        self.walks.count(&mut tx, TRANSACTION, begun).await?;
        tx.commit().await.map_err(&failed)?;
        Ok(ids)
    }

    async fn withdraw(&self, limit: u32, now: Timestamp) -> Result<u32, StoreError> {
        const TRANSACTION: &str = "withdraw_cancelled";
        let failed = StoreError::during(TRANSACTION);
        let mut tx = self.database.write(TRANSACTION).await?;
        let found = sqlx::query(NEVER_ATTEMPTED).bind(limit).fetch_all(&mut *tx).await.map_err(&failed)?;
        settle(&mut tx, TRANSACTION, &found, Signal::Revoked, now).await?;
        tx.commit().await.map_err(&failed)?;
        Ok(u32::try_from(found.len()).unwrap_or(u32::MAX))
    }

    async fn revocable(
        &self,
        carrier: &CarrierId,
        limit: u32,
        now: Timestamp,
    ) -> Result<Option<Revocable>, StoreError> {
        const TRANSACTION: &str = "list_revocable";
        let failed = StoreError::during(TRANSACTION);
        let mut tx = self.database.read_fresh().begin().await.map_err(&failed)?;
        let open = sqlx::query(OPEN_REVOCATION).bind(carrier.as_str());
        let Some(open) = open.fetch_optional(&mut *tx).await.map_err(&failed)? else { return Ok(None) };
        let distribution = DistributionId::from_bytes(open.id(0)?);
        let account: OfficialAccountId = open.text(1)?.parse()?;
        let numbers = sqlx::query(NUMBERS)
            .bind(account.as_str())
            .bind(open.int(2)?)
            .bind(open.int(3)?)
            .bind(limit)
            .fetch_all(&mut *tx)
            .await
            .map_err(&failed)?;
        let (mut page, keys) = (Vec::with_capacity(numbers.len()), self.vault.keys());
        for row in &numbers {
            let follower = FollowerId::from_bytes(row.id(0)?);
            let number = keys.number(account.as_str(), follower.as_bytes(), row.bytes(1)?)?;
            let message_id = message(distribution, follower, row.int(2)?);
            page.push(RevocableMessage { follower, sent: Addressed { message_id, number } });
        }
        let ids: Vec<_> = page.iter().map(|message| Id::of(message.sent.message_id.as_bytes())).collect();
        let found = sqlx::query(AT_CARRIER)
            .bind(carrier.as_str())
            .bind(rows(&ids)?)
            .fetch_all(&mut *tx)
            .await
            .map_err(&failed)?;
        let (mut at_carrier, mut under_way) = (HashSet::new(), HashSet::new());
        for row in &found {
            let message_id = MessageId::from_bytes(row.id(0)?);
            let sending = row.one_of(&DeliveryState::ALL, 1)? == DeliveryState::Sending;
            let leased = sending && row.int(2)? > micros(now);
            if leased {
                under_way.insert(message_id)
            } else {
                at_carrier.insert(message_id)
            };
        }
        let revocable =
            Revocable { distribution, account, carrier: carrier.clone(), messages: page, through: None };
        Ok(revocable.cut(limit, &at_carrier, &under_way))
    }

    async fn record_revoked(
        &self,
        asked: &Revocable,
        taken_back: &[bool],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        const TRANSACTION: &str = "record_revoked";
        let failed = StoreError::during(TRANSACTION);
        let ids = asked.messages.iter().map(|message| Id::of(message.sent.message_id.as_bytes()));
        let answers: Vec<_> = ids.zip(taken_back.iter().map(|taken| i64::from(*taken))).collect();
        let mut tx = self.database.write(TRANSACTION).await?;
        let found = sqlx::query(ASKED).bind(rows(&answers)?);
        let found = found.fetch_all(&mut *tx).await.map_err(&failed)?;
        settle(&mut tx, TRANSACTION, &found, Signal::Revoked, now).await?;
        let walked = match &asked.through {
            Some(through) => sqlx::query(WALKED)
                .bind(asked.carrier.as_str())
                .bind(&asked.distribution.as_bytes()[..])
                .bind(asked.account.as_str())
                .bind(&through.as_bytes()[..]),
            None => sqlx::query(WALKED_TO_THE_END)
                .bind(asked.carrier.as_str())
                .bind(&asked.distribution.as_bytes()[..]),
        };
        walked.execute(&mut *tx).await.map_err(&failed)?;
        tx.commit().await.map_err(&failed)
    }
}

/// Moves deliveries on by a signal, and their counts. Columns of each row: account, carrier, distribution, purpose, state, message.
async fn settle(
    tx: &mut Transaction<'_, Sqlite>,
    transaction: &'static str,
    found: &[SqliteRow],
    signal: Signal,
    now: Timestamp,
) -> Result<(), StoreError> {
    let mut tally = Tally::default();
    let mut moves = Vec::new();
    for (index, state) in claiming::settle(found, signal, &mut tally)? {
        moves.push((Id::of(&found[index].id(5)?), state));
    }
    if moves.is_empty() {
        return Ok(());
    }
    sqlx::query(SETTLE)
        .bind(rows(&moves)?)
        .bind(micros(now))
        .execute(&mut **tx)
        .await
        .map_err(StoreError::during(transaction))?;
    tally::store(&tally, tx, transaction).await
}
