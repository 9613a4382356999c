//! Running distributions brought to an end, on PostgreSQL.
//!
//! Followers are walked in the order of their ids, which is the order of the tables. Surprising: what a carrier has to take back
//! is found without an index of its own, by walking the followers up to where the claims came and deriving each one's message.

use std::collections::HashSet;

use async_trait::async_trait;
use jiff::Timestamp;
use musubi_domain::{
    delivery::{Addressed, DeliveryState, Purpose, Signal},
    id::{CarrierId, DistributionId, FollowerId, MessageId, OfficialAccountId},
};
use sqlx::postgres::PgRow;

use super::{PostgresInformation, audit::audit, distribution::deliveries_of, tally};
use crate::{
    StoreError,
    information::{
        claiming,
        distribution::completed_line,
        expansion::{ExpansionStore, Revocable, RevocableMessage},
        tally::{Tally, TallyKey},
    },
    postgres::Tx,
    row::{BulkRow as _, Columns as _, Id, bulk_rows, micros, place},
};

pub(super) const WORK: &str = "
    SELECT EXISTS (SELECT 1 FROM distribution WHERE state IN (1, 2)) OR EXISTS (SELECT 1 FROM revocation)";

pub(super) const UNMADE: &str = "
    SELECT official_account, cursor, expire_time, distribution_id FROM distribution
    WHERE state IN (1, 2) AND state = 1 AND start_time <= $1 AND expire_time <= $1 AND NOT expanded
    ORDER BY distribution_id LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED";

pub(super) const NEXT_FOLLOWERS: &str = "
    SELECT follower, carrier FROM follower
    WHERE official_account = $1 AND follower > $2 AND following ORDER BY follower LIMIT $3";

pub(super) const MAKE_EXPIRED: &str = "
    INSERT INTO delivery (official_account, follower, message_id, carrier, distribution, purpose, state, attempts,
        due_time, expire_time, change_time)
    SELECT $1, k.follower, k.message, k.carrier, $2, $6, $3, 0, $4, $5, $4
    FROM unnest($7::uuid[], $8::uuid[], $9::text[]) AS k (follower, message, carrier)";

pub(super) const ADVANCE_CURSOR: &str = "
    UPDATE distribution SET cursor = coalesce($2, cursor), expanded = $3 WHERE distribution_id = $1";

pub(super) const OVERDUE: &str = "
    SELECT m.official_account, m.carrier, m.distribution, m.purpose, m.state, m.message_id, m.follower
    FROM (SELECT d.distribution_id, t.carrier
          FROM distribution AS d JOIN delivery_tally AS t ON t.distribution = uuid_send(d.distribution_id)
          WHERE d.state IN (1, 2) AND d.expire_time <= $1 AND t.state < 2
          GROUP BY 1, 2 HAVING sum(t.count) > 0
          UNION
          SELECT r.distribution, r.carrier
          FROM revocation AS r JOIN distribution AS d ON d.distribution_id = r.distribution
          WHERE d.expire_time <= $1) AS late
    CROSS JOIN LATERAL (SELECT * FROM delivery AS m
        WHERE m.carrier = late.carrier AND m.distribution = uuid_send(late.distribution_id)
            AND m.state < 2 AND (m.state = 0 OR m.due_time <= $1) LIMIT $2 FOR NO KEY UPDATE SKIP LOCKED) AS m
    LIMIT $2";

pub(super) const COMPLETE: &str = "
    UPDATE distribution AS d SET state = 3, end_time = $1
    WHERE d.state IN (1, 2) AND d.state = 1 AND d.expanded AND coalesce(
        (SELECT sum(t.count) FROM delivery_tally AS t
         WHERE t.distribution = uuid_send(d.distribution_id) AND t.state < 2), 0) = 0
    RETURNING d.distribution_id, d.company";

pub(super) const NEVER_ATTEMPTED: &str = "
    SELECT m.official_account, m.carrier, m.distribution, m.purpose, m.state, m.message_id, m.follower
    FROM revocation AS r
    CROSS JOIN LATERAL (SELECT * FROM delivery AS m
        WHERE m.carrier = r.carrier AND m.distribution = uuid_send(r.distribution)
            AND m.state < 2 AND m.state = 0 AND m.attempts = 0 LIMIT $1 FOR NO KEY UPDATE SKIP LOCKED) AS m
    LIMIT $1";

pub(super) const OPEN_REVOCATION: &str = "
    SELECT d.distribution_id, d.official_account, r.cursor, d.cursor
    FROM revocation AS r JOIN distribution AS d ON d.distribution_id = r.distribution
    WHERE r.carrier = $1 AND NOT EXISTS
        (SELECT 1 FROM delivery AS m
         WHERE m.carrier = $1 AND m.distribution = uuid_send(r.distribution)
             AND m.state < 2 AND m.state = 0 AND m.attempts = 0 OFFSET 0)
    ORDER BY r.distribution LIMIT 1";

pub(super) const NUMBERS: &str = "
    SELECT follower, phone_number FROM follower
    WHERE official_account = $1 AND follower > $2 AND follower <= $3 ORDER BY follower LIMIT $4";

pub(super) const AT_CARRIER: &str = "
    SELECT m.message_id, m.state, m.due_time FROM unnest($3::uuid[], $4::uuid[]) AS k (follower, message)
    CROSS JOIN LATERAL (SELECT * FROM delivery AS m
        WHERE m.official_account = $1 AND m.follower = k.follower AND m.message_id = k.message OFFSET 0) AS m
    WHERE m.carrier = $2 AND m.state < 3";

pub(super) const ASKED: &str = "
    SELECT m.official_account, m.carrier, m.distribution, m.purpose, m.state, m.message_id, m.follower
    FROM unnest($2::uuid[], $3::uuid[], $4::boolean[]) AS k (follower, message, taken)
    CROSS JOIN LATERAL (SELECT * FROM delivery AS m
        WHERE m.official_account = $1 AND m.follower = k.follower AND m.message_id = k.message FOR NO KEY UPDATE) AS m
    WHERE m.state < 2 OR k.taken";

pub(super) const WALKED: &str = "
    UPDATE revocation SET cursor = greatest(cursor, $3) WHERE carrier = $1 AND distribution = $2";

pub(super) const WALKED_TO_THE_END: &str = "DELETE FROM revocation WHERE carrier = $1 AND distribution = $2";

pub(super) const SETTLE: &str = "
    UPDATE delivery AS m SET state = k.state, change_time = $5
    FROM unnest($1::text[], $2::uuid[], $3::uuid[], $4::bigint[]) AS k (account, follower, message, state)
    WHERE m.official_account = k.account AND m.follower = k.follower AND m.message_id = k.message";

bulk_rows! {
    /// A delivery to make.
    NewRow<'a> { follower: Id, message: Id, carrier: &'a str, }

    /// A message that a carrier may have.
    AskedRow { follower: Id, message: Id, }

    /// A message, and whether it was taken back.
    AnsweredRow { follower: Id, message: Id, taken: bool, }

    /// Where a delivery stands now.
    SettledRow<'a> { account: &'a str, follower: Id, message: Id, state: i64, }
}

/// The distribution's message to a follower, sorted as followers are.
pub(super) fn message(distribution: DistributionId, follower: FollowerId) -> MessageId {
    let [a, b, c, d, e, f, ..] = *follower.as_bytes();
    MessageId::of_distribution(distribution, follower, u64::from_be_bytes([0, 0, a, b, c, d, e, f]) >> 6)
}

#[async_trait]
impl ExpansionStore for PostgresInformation {
    async fn has_work(&self) -> Result<bool, StoreError> {
        sqlx::query_scalar(WORK)
            .fetch_one(self.database.read())
            .await
            .map_err(StoreError::during("list_work"))
    }

    async fn expire_unmade(&self, limit: u32, now: Timestamp) -> Result<u32, StoreError> {
        let mut tx = self.database.write("expire_unmade").await?;
        let unmade = sqlx::query(UNMADE).bind(micros(now));
        let Some(unmade) = tx.fetch_optional(unmade).await? else { return Ok(0) };
        let (account, expire_time) = (unmade.text(0)?, unmade.int(2)?);
        let id = DistributionId::from_bytes(unmade.id(3)?);
        let next =
            sqlx::query(NEXT_FOLLOWERS).bind(account).bind(Id::of(&unmade.id(1)?)).bind(i64::from(limit));
        let found = tx.fetch(next).await?;
        let purpose = place(&Purpose::ALL, &Purpose::Undecided);
        let state = place(&DeliveryState::ALL, &DeliveryState::Expired);
        let (mut new, mut tally) = (Vec::with_capacity(found.len()), Tally::default());
        for row in &found {
            let follower = FollowerId::from_bytes(row.id(0)?);
            let message = Id::of(message(id, follower).as_bytes());
            new.push(NewRow { follower: Id::of(follower.as_bytes()), message, carrier: row.text(1)? });
            tally.add(TallyKey::new(account, row.text(1)?, id.as_bytes(), purpose, state), 1);
        }
        let made = u32::try_from(new.len()).unwrap_or(u32::MAX);
        let advance = sqlx::query(ADVANCE_CURSOR)
            .bind(Id::of(id.as_bytes()))
            .bind(new.last().map(|last| last.follower))
            .bind(made < limit);
        tx.execute(advance).await?;
        let make = sqlx::query(MAKE_EXPIRED)
            .bind(account)
            .bind(&id.as_bytes()[..])
            .bind(state)
            .bind(micros(now))
            .bind(expire_time)
            .bind(purpose);
        tx.execute(NewRow::bind(make, &new)).await?;
        tally::store(&tally, &mut tx).await?;
        tx.commit().await?;
        Ok(made)
    }

    async fn expire_overdue(&self, limit: u32, now: Timestamp) -> Result<u32, StoreError> {
        let mut tx = self.database.write("expire_overdue").await?;
        let found = tx.fetch(sqlx::query(OVERDUE).bind(micros(now)).bind(i64::from(limit))).await?;
        settle(&mut tx, &found, Signal::Expired, now).await?;
        tx.commit().await?;
        Ok(u32::try_from(found.len()).unwrap_or(u32::MAX))
    }

    async fn complete_finished(&self, now: Timestamp) -> Result<Vec<DistributionId>, StoreError> {
        let mut tx = self.database.write("complete_distributions").await?;
        let completed = tx.fetch(sqlx::query(COMPLETE).bind(micros(now))).await?;
        let id_of = |row: &PgRow| Ok(DistributionId::from_bytes(row.id(0)?));
        let ids = completed.iter().map(id_of).collect::<Result<Vec<_>, StoreError>>()?;
        if ids.is_empty() {
            return Ok(ids);
        }
        let mut deliveries = deliveries_of(&mut tx, &ids).await?;
        let mut lines = Vec::with_capacity(ids.len());
        for (row, id) in completed.iter().zip(&ids) {
            let made = deliveries.remove(id).unwrap_or_default();
            lines.push(completed_line(&row.text(1)?.parse()?, *id, &made));
        }
        audit(&mut tx, &lines, now).await?;
        tx.commit().await?;
        Ok(ids)
    }

    async fn withdraw(&self, limit: u32, now: Timestamp) -> Result<u32, StoreError> {
        let mut tx = self.database.write("withdraw_cancelled").await?;
        let found = tx.fetch(sqlx::query(NEVER_ATTEMPTED).bind(i64::from(limit))).await?;
        settle(&mut tx, &found, Signal::Revoked, now).await?;
        tx.commit().await?;
        Ok(u32::try_from(found.len()).unwrap_or(u32::MAX))
    }

    async fn revocable(
        &self,
        carrier: &CarrierId,
        limit: u32,
        now: Timestamp,
    ) -> Result<Option<Revocable>, StoreError> {
        // A transaction that locks nothing: one after the other its questions see what was committed before.
        let mut tx = self.database.write("list_revocable").await?;
        let open = sqlx::query(OPEN_REVOCATION).bind(carrier.as_str());
        let Some(open) = tx.fetch_optional(open).await? else { return Ok(None) };
        let distribution = DistributionId::from_bytes(open.id(0)?);
        let account: OfficialAccountId = open.text(1)?.parse()?;
        let numbers = sqlx::query(NUMBERS)
            .bind(account.as_str())
            .bind(Id::of(&open.id(2)?))
            .bind(Id::of(&open.id(3)?))
            .bind(i64::from(limit));
        let (mut page, keys) = (Vec::new(), self.vault.keys());
        for row in &tx.fetch(numbers).await? {
            let follower = FollowerId::from_bytes(row.id(0)?);
            let number = keys.number(account.as_str(), follower.as_bytes(), row.bytes(1)?)?;
            page.push(RevocableMessage {
                follower,
                sent: Addressed { message_id: message(distribution, follower), number },
            });
        }
        let keys: Vec<_> = page.iter().map(asked_row).collect();
        let at = sqlx::query(AT_CARRIER).bind(account.as_str()).bind(carrier.as_str());
        let (mut at_carrier, mut under_way) = (HashSet::new(), HashSet::new());
        for row in &tx.fetch(AskedRow::bind(at, &keys)).await? {
            let message_id = MessageId::from_bytes(row.id(0)?);
            let sending = row.one_of(&DeliveryState::ALL, 1)? == DeliveryState::Sending;
            if sending && row.instant(2)? > now {
                under_way.insert(message_id);
            } else {
                at_carrier.insert(message_id);
            }
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
        let mut tx = self.database.write("record_revoked").await?;
        let answers: Vec<_> = asked
            .messages
            .iter()
            .zip(taken_back)
            .map(|(message, taken)| {
                let AskedRow { follower, message } = asked_row(message);
                AnsweredRow { follower, message, taken: *taken }
            })
            .collect();
        let query = sqlx::query(ASKED).bind(asked.account.as_str());
        let found = tx.fetch(AnsweredRow::bind(query, &answers)).await?;
        settle(&mut tx, &found, Signal::Revoked, now).await?;
        let walked = sqlx::query(if asked.through.is_some() { WALKED } else { WALKED_TO_THE_END })
            .bind(asked.carrier.as_str())
            .bind(Id::of(asked.distribution.as_bytes()));
        let walked = match &asked.through {
            Some(through) => walked.bind(Id::of(through.as_bytes())),
            None => walked,
        };
        tx.execute(walked).await?;
        tx.commit().await
    }
}

fn asked_row(message: &RevocableMessage) -> AskedRow {
    AskedRow {
        follower: Id::of(message.follower.as_bytes()),
        message: Id::of(message.sent.message_id.as_bytes()),
    }
}

/// Moves deliveries on by a signal, and their counts. Columns of each row: account, carrier, distribution, purpose, state, message,
/// follower. Their rows are locked.
async fn settle(tx: &mut Tx, found: &[PgRow], signal: Signal, now: Timestamp) -> Result<(), StoreError> {
    let mut tally = Tally::default();
    let mut moves = Vec::new();
    for (index, state) in claiming::settle(found, signal, &mut tally)? {
        let row = &found[index];
        let (follower, message) = (Id::of(&row.id(6)?), Id::of(&row.id(5)?));
        moves.push(SettledRow { account: row.text(0)?, follower, message, state });
    }
    if moves.is_empty() {
        return Ok(());
    }
    tx.execute(SettledRow::bind(sqlx::query(SETTLE), &moves).bind(micros(now))).await?;
    tally::store(&tally, tx).await
}
