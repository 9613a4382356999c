//! Erasures on SQLite.
//!
//! Surprising: what is deleted is overwritten in the file (`secure_delete`), and the log is written back and cut afterwards, because it has the
//! pages as they were before. A follower's number stays with the erasure: whoever comes back gets it again, and nobody else.

use async_trait::async_trait;
use jiff::Timestamp;
use musubi_domain::{
    consent::TextDigest,
    delivery::Addressed,
    erasure::Erasure,
    guess::{Axis, Count},
    id::{CarrierId, CustomerId, OfficialAccountId},
};
use sqlx::{Sqlite, Transaction, sqlite::SqliteRow};

use super::{
    SqliteInformation,
    approval::spend,
    audit::audit,
    load,
    tally::{self, MOVE_FOLLOWERS},
};
use crate::{
    StoreError,
    information::{
        FollowerKey,
        changed::key_rows,
        erasure::{
            Asker, ErasureStore, FollowerExport, Held, MESSAGES, Reading, asked, at_carrier_of, consent_of,
            erased_deliveries, erasure_lines, erasure_of, erasure_record_of, erasure_rows, held_of,
            keys_of_erasures, message_of, parted, read,
        },
        record::{record_of, review_of},
        tally::FollowerTally,
    },
    row::{Columns as _, micros, place},
    sqlite::rows,
};

pub(super) const CLAIM: &str = "
    UPDATE erasure SET due_time = ?2 WHERE (official_account, follower) IN
        (SELECT official_account, follower FROM erasure INDEXED BY erasure_due
         WHERE due_time <= ?1 AND due_time IS NOT NULL ORDER BY due_time LIMIT ?3)
    RETURNING official_account, follower, company, cause, request_time, ask_time";

pub(super) const ANY_DUE: &str = "SELECT EXISTS (SELECT 1 FROM erasure INDEXED BY erasure_due WHERE due_time <= ?1 AND due_time IS NOT NULL)";

// Sending or accepted, and individual.
pub(super) const AT_CARRIERS: &str = "
    SELECT m.official_account, m.carrier, m.message_id, f.follower, f.phone_number FROM jsonb_each(?1) AS k
    CROSS JOIN follower AS f ON f.official_account = k.value ->> 0 AND f.follower = unhex(k.value ->> 1)
    CROSS JOIN delivery AS m INDEXED BY delivery_follower ON m.number = f.number
    WHERE m.state IN (1, 2) AND m.purpose = 1 LIMIT 10000";

pub(super) const STANDING: &str = "
    SELECT f.official_account, f.follower, f.carrier, f.following, coalesce(d.state, -1), coalesce(d.reached, 0)
    FROM jsonb_each(?1) AS k
    CROSS JOIN follower AS f ON f.official_account = k.value ->> 0 AND f.follower = unhex(k.value ->> 1)
    LEFT JOIN dialogue AS d ON d.number = f.number";

/// Selects the numbers of the followers that the parameter names.
macro_rules! of_numbers {
    ($delete:literal) => {
        concat!(
            $delete,
            " WHERE number IN (SELECT f.number FROM jsonb_each(?1) AS k
                CROSS JOIN follower AS f ON f.official_account = k.value ->> 0 AND f.follower = unhex(k.value ->> 1))"
        )
    };
}

pub(super) const DELIVERIES: &str = concat!(
    of_numbers!("DELETE FROM delivery INDEXED BY delivery_follower"),
    " RETURNING official_account, carrier, distribution, purpose, state"
);

pub(super) const VALUES: &str = "
    DELETE FROM distribution_value WHERE (distribution, customer_id) IN
        (SELECT d.distribution_id, t.customer_id FROM jsonb_each(?1) AS k
         CROSS JOIN follower AS f ON f.official_account = k.value ->> 0 AND f.follower = unhex(k.value ->> 1)
         CROSS JOIN customer_information AS t ON t.number = f.number
         CROSS JOIN distribution AS d INDEXED BY distribution_valued
             ON d.official_account = f.official_account AND d.customers > 0)";

/// What belongs to the followers, and then the followers.
pub(super) const ROWS: [&str; 9] = [
    of_numbers!("DELETE FROM customer_information"),
    of_numbers!("DELETE FROM inquiry"),
    "DELETE FROM review WHERE (official_account, follower) IN (SELECT value ->> 0, unhex(value ->> 1) FROM jsonb_each(?1))",
    of_numbers!("DELETE FROM dialogue"),
    of_numbers!("DELETE FROM subscription"),
    of_numbers!("DELETE FROM consent"),
    of_numbers!("DELETE FROM trial_recipient INDEXED BY trial_recipient_follower"),
    "UPDATE erasure SET number = f.number FROM jsonb_each(?1) AS k
     CROSS JOIN follower AS f ON f.official_account = k.value ->> 0 AND f.follower = unhex(k.value ->> 1)
     WHERE erasure.official_account = k.value ->> 0 AND erasure.follower = unhex(k.value ->> 1)",
    "DELETE FROM follower WHERE (official_account, follower) IN (SELECT value ->> 0, unhex(value ->> 1) FROM jsonb_each(?1))",
];

pub(super) const GUESSES: &str = "
    DELETE FROM guess WHERE (company, axis, subject) IN
        (SELECT value ->> 2, ?2, unhex(value ->> 1) FROM jsonb_each(?1))";

pub(super) const DONE: &str = "
    UPDATE erasure SET due_time = NULL, erase_time = ?2 FROM jsonb_each(?1) AS k
    WHERE erasure.official_account = k.value ->> 0 AND erasure.follower = unhex(k.value ->> 1)";

pub(super) const GIVEN_UP: &str = "
    UPDATE erasure SET due_time = NULL FROM jsonb_each(?1) AS k
    WHERE erasure.official_account = k.value ->> 0 AND erasure.follower = unhex(k.value ->> 1)";

pub(super) const REPLAY: &str = "
    INSERT INTO erasure (official_account, follower, company, cause, request_time, ask_time, due_time)
    SELECT value ->> 0, unhex(value ->> 1), value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6
    FROM jsonb_each(?1) WHERE true
    ON CONFLICT (official_account, follower) DO UPDATE SET
        company = excluded.company, cause = excluded.cause, request_time = excluded.request_time,
        ask_time = excluded.ask_time, due_time = excluded.due_time
    WHERE erasure.request_time < excluded.request_time
    RETURNING official_account, follower, company, cause, request_time, ask_time";

pub(super) const RECORD: &str = "
    SELECT official_account, follower, company, cause, request_time, ask_time, due_time, erase_time FROM erasure
    WHERE official_account = ?1 AND follower = ?2";

/// The number is that of the row, or of the erasure.
pub(super) const NUMBER: &str = "
    SELECT coalesce((SELECT number FROM follower WHERE official_account = ?1 AND follower = ?2),
        (SELECT number FROM erasure WHERE official_account = ?1 AND follower = ?2))";

pub(super) const FOLLOWS: &str = "
    SELECT follow_time FROM follower WHERE official_account = ?1 AND follower = ?2 AND following = 1";

pub(super) const HELD: &str = "
    SELECT 'follower', count(*) FROM follower WHERE official_account = ?1 AND follower = ?2
    UNION ALL SELECT 'subscription', count(*) FROM subscription WHERE number = ?3
    UNION ALL SELECT 'dialogue', count(*) FROM dialogue WHERE number = ?3
    UNION ALL SELECT 'customer_information', count(*) FROM customer_information WHERE number = ?3
        OR official_account = ?1 AND customer_id = ?5
    UNION ALL SELECT 'inquiry', count(*) FROM inquiry WHERE number = ?3
    UNION ALL SELECT 'review', count(*) FROM review WHERE official_account = ?1 AND follower = ?2
    UNION ALL SELECT 'delivery', count(*) FROM delivery WHERE number = ?3
    UNION ALL SELECT 'consent', count(*) FROM consent WHERE number = ?3
    UNION ALL SELECT 'trial_recipient', count(*) FROM trial_recipient WHERE number = ?3
    UNION ALL SELECT 'guess', count(*) FROM guess WHERE company = ?4 AND axis = ?6 AND subject = ?2
    UNION ALL SELECT 'distribution_value', count(*)
        FROM distribution AS d INDEXED BY distribution_valued
        CROSS JOIN distribution_value AS v ON v.distribution = d.distribution_id
            AND v.customer_id IN (?5, (SELECT customer_id FROM customer_information WHERE number = ?3))
        WHERE d.official_account = ?1 AND d.customers > 0";

pub(super) const EXPORTED_MESSAGES: &str = "
    SELECT message_id, distribution, purpose, state, change_time FROM delivery INDEXED BY delivery_follower
    WHERE number = ?1 ORDER BY message_id LIMIT ?2";

pub(super) const EXPORTED_CONSENTS: &str = "
    SELECT c.dialogue_id, c.kind, c.text, c.carrier, c.give_time, t.text FROM consent AS c
    LEFT JOIN consent_text AS t ON t.official_account = ?2 AND t.digest = c.text
    WHERE c.number = ?1 ORDER BY c.give_time, c.kind";

pub(super) const EXPORTED_REVIEWS: &str = "
    SELECT r.official_account, r.follower, r.review_id, r.company, r.dialogue_id, r.inquiry_id, r.proposed_customer,
        r.method, r.reasons, r.sealed, r.state, r.decisions, r.open_time, r.expire_time, r.close_time
    FROM review AS r WHERE r.official_account = ?1 AND r.follower = ?2 AND r.state >= 2 ORDER BY r.open_time";

pub(super) const GUESSED: &str =
    "SELECT charged, window_end FROM guess WHERE company = ?1 AND axis = ?2 AND subject = ?3";

pub(super) const KEEP_TEXTS: &str = "
    INSERT INTO consent_text (official_account, digest, text, first_time)
    SELECT value ->> 0, unhex(value ->> 1), value ->> 2, ?2 FROM jsonb_each(?1) WHERE true
    ON CONFLICT DO NOTHING";

pub(super) const FORGET_GUESSES: &str = "
    DELETE FROM guess WHERE (company, axis, subject) IN
        (SELECT company, axis, subject FROM guess INDEXED BY guess_window WHERE window_end < ?1 LIMIT ?2)";

#[async_trait]
impl ErasureStore for SqliteInformation {
    async fn claim_erasures(
        &self,
        now: Timestamp,
        lease_end: Timestamp,
        limit: u32,
    ) -> Result<Vec<Erasure>, StoreError> {
        const TRANSACTION: &str = "claim_erasures";
        let failed = StoreError::during(TRANSACTION);
        // Asked first, so that an idle server doesn't keep its one writer busy.
        let any = sqlx::query_scalar(ANY_DUE).bind(micros(now)).fetch_one(self.database.read()).await;
        if !any.map_err(&failed)? {
            return Ok(Vec::new());
        }
        let mut tx = self.database.write(TRANSACTION).await?;
        let claimed = sqlx::query(CLAIM)
            .bind(micros(now))
            .bind(micros(lease_end))
            .bind(limit)
            .fetch_all(&mut *tx)
            .await
            .map_err(&failed)?;
        tx.commit().await.map_err(&failed)?;
        claimed.iter().map(erasure_of).collect()
    }

    async fn individual_at_carriers(
        &self,
        erasures: &[Erasure],
    ) -> Result<Vec<(OfficialAccountId, CarrierId, Addressed)>, StoreError> {
        let keys = rows(&key_rows(&keys_of_erasures(erasures)))?;
        let found = sqlx::query(AT_CARRIERS).bind(keys).fetch_all(self.database.read()).await;
        let found = found.map_err(StoreError::during("individual_at_carriers"))?;
        let keys = self.vault.keys();
        found.iter().map(|row| at_carrier_of(row, &keys)).collect()
    }

    async fn erase(&self, erasures: &[Erasure], now: Timestamp) -> Result<u32, StoreError> {
        const TRANSACTION: &str = "erase";
        let failed = StoreError::during(TRANSACTION);
        if erasures.is_empty() {
            return Ok(0);
        }
        let all = rows(&key_rows(&keys_of_erasures(erasures)))?;
        let mut tx = self.database.write(TRANSACTION).await?;
        let standing = fetch(&mut tx, TRANSACTION, STANDING, &all).await?;
        let (erasures, stay) = parted(erasures, &standing)?;
        let stay = rows(&key_rows(&keys_of_erasures(&stay)))?;
        sqlx::query(GIVEN_UP).bind(stay).execute(&mut *tx).await.map_err(&failed)?;
        let keys = rows(&key_rows(&keys_of_erasures(&erasures)))?;
        let requests = rows(&erasure_rows(erasures.iter().map(|erasure| (erasure, now))))?;
        let standing = fetch(&mut tx, TRANSACTION, STANDING, &keys).await?;
        let mut followers = FollowerTally::default();
        standing.iter().try_for_each(|row| followers.remove(row))?;
        let deliveries = fetch(&mut tx, TRANSACTION, DELIVERIES, &keys).await?;
        let (moved, erased) = erased_deliveries(&deliveries)?;
        for statement in std::iter::once(VALUES).chain(ROWS) {
            sqlx::query(statement).bind(&keys).execute(&mut *tx).await.map_err(&failed)?;
        }
        sqlx::query(GUESSES)
            .bind(&requests)
            .bind(place(&Axis::ALL, &Axis::Follower))
            .execute(&mut *tx)
            .await
            .map_err(&failed)?;
        tally::store(&moved, &mut tx, TRANSACTION).await?;
        let write = [(tally::ERASE, rows(&erased.rows())?), (MOVE_FOLLOWERS, rows(&followers.rows())?)];
        for (statement, counts) in write {
            sqlx::query(statement).bind(counts).execute(&mut *tx).await.map_err(&failed)?;
        }
        sqlx::query(DONE).bind(&keys).bind(micros(now)).execute(&mut *tx).await.map_err(&failed)?;
        audit(&mut tx, TRANSACTION, &erasure_lines(&erasures, "erased"), now).await?;
        tx.commit().await.map_err(&failed)?;
        if !standing.is_empty() {
            self.database.cut_log(TRANSACTION).await?;
        }
        Ok(u32::try_from(standing.len()).unwrap_or(u32::MAX))
    }

    async fn replay_erasures(&self, erasures: &[Erasure], now: Timestamp) -> Result<u32, StoreError> {
        const TRANSACTION: &str = "replay_erasures";
        let failed = StoreError::during(TRANSACTION);
        let requests = rows(&erasure_rows(erasures.iter().map(|erasure| (erasure, now))))?;
        let mut tx = self.database.write(TRANSACTION).await?;
        let unknown = fetch(&mut tx, TRANSACTION, REPLAY, &requests).await?;
        let unknown = unknown.iter().map(erasure_of).collect::<Result<Vec<_>, _>>()?;
        audit(&mut tx, TRANSACTION, &erasure_lines(&unknown, "erasure_replayed"), now).await?;
        tx.commit().await.map_err(&failed)?;
        Ok(u32::try_from(unknown.len()).unwrap_or(u32::MAX))
    }

    async fn search_follower(
        &self,
        asker: &Asker,
        key: &FollowerKey,
        customer: Option<&CustomerId>,
        now: Timestamp,
    ) -> Result<Held, StoreError> {
        const TRANSACTION: &str = "search_follower";
        let failed = StoreError::during(TRANSACTION);
        let (account, follower) = (key.account.as_str(), &key.follower.as_bytes()[..]);
        let mut tx = self.database.write(TRANSACTION).await?;
        let number: Option<i64> = sqlx::query_scalar(NUMBER)
            .bind(account)
            .bind(follower)
            .fetch_one(&mut *tx)
            .await
            .map_err(&failed)?;
        let held = sqlx::query(HELD)
            .bind(account)
            .bind(follower)
            .bind(number)
            .bind(asker.company.as_str())
            .bind(customer.map(CustomerId::as_str))
            .bind(place(&Axis::ALL, &Axis::Follower))
            .fetch_all(&mut *tx)
            .await
            .map_err(&failed)?;
        let one = async |tx: &mut Transaction<'_, Sqlite>, statement| {
            let found = sqlx::query(statement).bind(account).bind(follower).fetch_optional(&mut **tx).await;
            found.map_err(&failed)
        };
        let erasure = one(&mut tx, RECORD).await?.as_ref().map(erasure_record_of).transpose()?;
        let follow_time = one(&mut tx, FOLLOWS).await?.map(|row| row.instant(0)).transpose()?;
        audit(&mut tx, TRANSACTION, &[asked(asker, key, "follower_searched")], now).await?;
        tx.commit().await.map_err(&failed)?;
        held_of(&held, erasure, follow_time)
    }

    async fn export_follower(
        &self,
        asker: &Asker,
        key: &FollowerKey,
        reading: Reading,
        now: Timestamp,
    ) -> Result<Option<FollowerExport>, StoreError> {
        const TRANSACTION: &str = "export_follower";
        let failed = StoreError::during(TRANSACTION);
        let (account, follower) = (key.account.as_str(), &key.follower.as_bytes()[..]);
        let mut tx = self.database.write(TRANSACTION).await?;
        let one = rows(&key_rows(std::slice::from_ref(key)))?;
        let Some(record) = fetch(&mut tx, TRANSACTION, load::FOLLOWERS, &one).await?.pop() else {
            return Ok(None);
        };
        let number: i64 = sqlx::query_scalar(NUMBER)
            .bind(account)
            .bind(follower)
            .fetch_one(&mut *tx)
            .await
            .map_err(&failed)?;
        let messages = sqlx::query(EXPORTED_MESSAGES).bind(number).bind(MESSAGES);
        let messages = messages.fetch_all(&mut *tx).await.map_err(&failed)?;
        let consents = sqlx::query(EXPORTED_CONSENTS).bind(number).bind(account);
        let consents = consents.fetch_all(&mut *tx).await.map_err(&failed)?;
        let reviews = sqlx::query(EXPORTED_REVIEWS).bind(account).bind(follower);
        let reviews = reviews.fetch_all(&mut *tx).await.map_err(&failed)?;
        let guessed = sqlx::query(GUESSED)
            .bind(asker.company.as_str())
            .bind(place(&Axis::ALL, &Axis::Follower))
            .bind(follower)
            .fetch_optional(&mut *tx)
            .await
            .map_err(&failed)?;
        let guesses = match guessed {
            Some(row) => Count { charged: row.small(0)?, window_end: row.maybe_instant(1)? },
            None => Count::default(),
        };
        let approval = match reading {
            Reading::Exported(Some(id)) => Some(spend(&mut tx, TRANSACTION, asker, id, now).await?),
            Reading::Exported(None) | Reading::Shown | Reading::Revealed => None,
        };
        audit(&mut tx, TRANSACTION, &[read(asker, key, reading, approval.as_ref())], now).await?;
        tx.commit().await.map_err(&failed)?;
        let keys = self.vault.keys();
        Ok(Some(FollowerExport {
            record: record_of(&record, &keys)?,
            consents: consents.iter().map(consent_of).collect::<Result<_, _>>()?,
            messages: messages.iter().map(message_of).collect::<Result<_, _>>()?,
            guesses,
            reviews: reviews.iter().map(|row| review_of(row, 2, &keys)).collect::<Result<_, _>>()?,
        }))
    }

    async fn keep_texts(
        &self,
        texts: &[(OfficialAccountId, String)],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        const TRANSACTION: &str = "keep_texts";
        let failed = StoreError::during(TRANSACTION);
        let named = texts
            .iter()
            .map(|(account, text)| (account.as_str(), TextDigest::of(text).to_string(), text.as_str()));
        let named = rows(&named.collect::<Vec<_>>())?;
        let mut tx = self.database.write(TRANSACTION).await?;
        sqlx::query(KEEP_TEXTS).bind(named).bind(micros(now)).execute(&mut *tx).await.map_err(&failed)?;
        tx.commit().await.map_err(&failed)
    }

    async fn forget_guesses(&self, before: Timestamp, limit: u32) -> Result<u32, StoreError> {
        const TRANSACTION: &str = "forget_guesses";
        let failed = StoreError::during(TRANSACTION);
        let mut tx = self.database.write(TRANSACTION).await?;
        let forgotten = sqlx::query(FORGET_GUESSES)
            .bind(micros(before))
            .bind(limit)
            .execute(&mut *tx)
            .await
            .map_err(&failed)?
            .rows_affected();
        tx.commit().await.map_err(&failed)?;
        Ok(u32::try_from(forgotten).unwrap_or(u32::MAX))
    }
}

async fn fetch(
    tx: &mut Transaction<'_, Sqlite>,
    transaction: &'static str,
    statement: &'static str,
    keys: &str,
) -> Result<Vec<SqliteRow>, StoreError> {
    sqlx::query(statement).bind(keys).fetch_all(&mut **tx).await.map_err(StoreError::during(transaction))
}
