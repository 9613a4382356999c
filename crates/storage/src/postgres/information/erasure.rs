//! Erasures on PostgreSQL.
//!
//! Whoever erases has the followers' rows locked against everybody, so what a unit of work or a claim makes of a follower comes before, or meets
//! somebody who isn't known. Surprising: rows that are gone stay in the tables' files until a vacuum takes their place, sealed as they were, and in
//! the log and its archive as long as these are kept.

use async_trait::async_trait;
use jiff::Timestamp;
use musubi_domain::{
    consent::TextDigest,
    delivery::Addressed,
    erasure::Erasure,
    guess::{Axis, Count},
    id::{CarrierId, CustomerId, OfficialAccountId},
};

use super::{
    PostgresInformation,
    approval::spend,
    audit::audit,
    load,
    save::FREE_CUSTOMERS,
    tally::{self, MOVE_FOLLOWERS},
};
use crate::{
    StoreError,
    information::{
        FollowerKey,
        changed::{KeyRow, key_rows},
        erasure::{
            Asker, ErasureRow, ErasureStore, FollowerExport, Held, MESSAGES, Reading, asked, at_carrier_of,
            consent_of, erased_deliveries, erasure_lines, erasure_of, erasure_record_of, erasure_rows,
            held_of, keys_of_erasures, message_of, parted, read,
        },
        record::{record_of, review_of},
        tally::FollowerTally,
    },
    postgres::again,
    row::{BulkRow as _, Bytes, Columns as _, Id, bulk_rows, micros, place},
};

const CLAIM: &str = "
    WITH due AS MATERIALIZED (
        SELECT d.official_account, d.follower FROM erasure AS d
        WHERE d.due_time <= $1 ORDER BY d.due_time LIMIT $3 FOR NO KEY UPDATE SKIP LOCKED)
    UPDATE erasure AS e SET due_time = $2 FROM due
    WHERE e.official_account = due.official_account AND e.follower = due.follower
    RETURNING e.official_account, e.follower, e.company, e.cause, e.request_time, e.ask_time";

const ANY_DUE: &str = "SELECT EXISTS (SELECT 1 FROM erasure AS e WHERE e.due_time <= $1)";

// Sending or accepted, and individual.
const AT_CARRIERS: &str = "
    SELECT m.official_account, m.carrier, m.message_id, f.follower, f.phone_number FROM unnest($1::text[], $2::uuid[]) AS k (account, follower)
    CROSS JOIN LATERAL (SELECT * FROM delivery AS m
        WHERE m.official_account = k.account AND m.follower = k.follower AND m.state IN (1, 2) AND m.purpose = 1 OFFSET 0) AS m
    JOIN follower AS f ON f.official_account = k.account AND f.follower = k.follower
    LIMIT 10000";

const LOCK: &str = "
    SELECT k.account, k.follower FROM unnest($1::text[], $2::uuid[]) AS k (account, follower)
    CROSS JOIN LATERAL (
        SELECT 1 FROM follower AS f WHERE f.official_account = k.account AND f.follower = k.follower FOR UPDATE) AS f";

// Read when they are locked: what was committed before that is seen.
const STANDING: &str = "
    SELECT f.official_account, f.follower, f.carrier, f.following, coalesce(d.state, -1)::bigint, coalesce(d.reached, 0)::bigint
    FROM unnest($1::text[], $2::uuid[]) AS k (account, follower)
    CROSS JOIN LATERAL (SELECT * FROM follower AS f
        WHERE f.official_account = k.account AND f.follower = k.follower OFFSET 0) AS f
    LEFT JOIN LATERAL (SELECT * FROM dialogue AS d
        WHERE d.official_account = k.account AND d.follower = k.follower OFFSET 0) AS d ON true";

const DELIVERIES: &str = "
    DELETE FROM delivery AS m USING unnest($1::text[], $2::uuid[]) AS k (account, follower)
    WHERE m.official_account = k.account AND m.follower = k.follower
    RETURNING m.official_account, m.carrier, m.distribution, m.purpose, m.state";

const VALUES: &str = "
    DELETE FROM distribution_value AS v USING (
        SELECT d.distribution_id, t.customer_id FROM unnest($1::text[], $2::uuid[]) AS k (account, follower)
        CROSS JOIN LATERAL (SELECT * FROM customer_information AS t
            WHERE t.official_account = k.account AND t.follower = k.follower OFFSET 0) AS t
        CROSS JOIN LATERAL (SELECT * FROM distribution AS d
            WHERE d.official_account = k.account AND d.customers > 0 OFFSET 0) AS d) AS given
    WHERE v.distribution = given.distribution_id AND v.customer_id = given.customer_id";

/// What belongs to the followers, and then the followers.
macro_rules! of_followers {
    ($table:literal) => {
        concat!(
            "DELETE FROM ",
            $table,
            " AS r USING unnest($1::text[], $2::uuid[]) AS k (account, follower)
            WHERE r.official_account = k.account AND r.follower = k.follower"
        )
    };
}
const ROWS: [&str; 10] = [
    VALUES,
    FREE_CUSTOMERS,
    of_followers!("customer_information"),
    of_followers!("inquiry"),
    of_followers!("review"),
    of_followers!("dialogue"),
    of_followers!("subscription"),
    of_followers!("consent"),
    of_followers!("trial_recipient"),
    of_followers!("follower"),
];

const GUESSES: &str = "
    DELETE FROM guess AS g USING unnest($1::text[], $2::uuid[]) AS k (company, follower)
    WHERE g.company = k.company AND g.axis = $3 AND g.subject = uuid_send(k.follower)";

const DONE: &str = "
    UPDATE erasure AS e SET due_time = NULL, erase_time = $3 FROM unnest($1::text[], $2::uuid[]) AS k (account, follower)
    WHERE e.official_account = k.account AND e.follower = k.follower";

const GIVEN_UP: &str = "
    UPDATE erasure AS e SET due_time = NULL FROM unnest($1::text[], $2::uuid[]) AS k (account, follower)
    WHERE e.official_account = k.account AND e.follower = k.follower";

const REPLAY: &str = "
    INSERT INTO erasure AS e (official_account, follower, company, cause, request_time, ask_time, due_time)
    SELECT * FROM unnest($1::text[], $2::uuid[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[])
    ON CONFLICT (official_account, follower) DO UPDATE SET
        company = excluded.company, cause = excluded.cause, request_time = excluded.request_time,
        ask_time = excluded.ask_time, due_time = excluded.due_time
    WHERE e.request_time < excluded.request_time
    RETURNING e.official_account, e.follower, e.company, e.cause, e.request_time, e.ask_time";

const RECORD: &str = "
    SELECT official_account, follower, company, cause, request_time, ask_time, due_time, erase_time FROM erasure
    WHERE official_account = $1 AND follower = $2";

const FOLLOWS: &str = "
    SELECT follow_time FROM follower WHERE official_account = $1 AND follower = $2 AND following";

const HELD: &str = "
    SELECT 'follower', count(*) FROM follower WHERE official_account = $1 AND follower = $2
    UNION ALL SELECT 'subscription', count(*) FROM subscription WHERE official_account = $1 AND follower = $2
    UNION ALL SELECT 'dialogue', count(*) FROM dialogue WHERE official_account = $1 AND follower = $2
    UNION ALL SELECT 'customer_information', count(*) FROM customer_information WHERE official_account = $1 AND follower = $2
    UNION ALL SELECT 'tied_customer', (SELECT count(*) FROM tied_customer AS t
        WHERE t.official_account = $1 AND t.customer_id = coalesce($4, (SELECT c.customer_id FROM customer_information AS c
            WHERE c.official_account = $1 AND c.follower = $2)))
    UNION ALL SELECT 'inquiry', count(*) FROM inquiry WHERE official_account = $1 AND follower = $2
    UNION ALL SELECT 'review', count(*) FROM review WHERE official_account = $1 AND follower = $2
    UNION ALL SELECT 'delivery', count(*) FROM delivery WHERE official_account = $1 AND follower = $2
    UNION ALL SELECT 'consent', count(*) FROM consent WHERE official_account = $1 AND follower = $2
    UNION ALL SELECT 'trial_recipient', count(*) FROM trial_recipient WHERE official_account = $1 AND follower = $2
    UNION ALL SELECT 'guess', count(*) FROM guess WHERE company = $3 AND axis = $5 AND subject = uuid_send($2)
    UNION ALL SELECT 'distribution_value', count(v.customer_id)
        FROM (SELECT d.distribution_id, coalesce($4, (SELECT c.customer_id FROM customer_information AS c
                WHERE c.official_account = $1 AND c.follower = $2)) AS customer
              FROM distribution AS d WHERE d.official_account = $1 AND d.customers > 0 OFFSET 0) AS d
        CROSS JOIN LATERAL (SELECT v.customer_id FROM distribution_value AS v
            WHERE v.distribution = d.distribution_id AND v.customer_id = d.customer OFFSET 0) AS v";

const EXPORTED_MESSAGES: &str = "
    SELECT message_id, distribution, purpose, state, change_time FROM delivery
    WHERE official_account = $1 AND follower = $2 ORDER BY message_id LIMIT $3";

const EXPORTED_CONSENTS: &str = "
    SELECT c.dialogue_id, c.kind, c.text, c.carrier, c.give_time, t.text FROM consent AS c
    LEFT JOIN LATERAL (SELECT * FROM consent_text AS t
        WHERE t.official_account = c.official_account AND t.digest = c.text OFFSET 0) AS t ON true
    WHERE c.official_account = $1 AND c.follower = $2 ORDER BY c.give_time, c.kind";

const EXPORTED_REVIEWS: &str = "
    SELECT r.official_account, r.follower, r.review_id, r.company, r.dialogue_id, r.inquiry_id, r.proposed_customer,
        r.method, r.reasons, r.sealed, r.state, r.decisions, r.open_time, r.expire_time, r.close_time
    FROM review AS r WHERE r.official_account = $1 AND r.follower = $2 AND r.state >= 2 ORDER BY r.open_time";

const GUESSED: &str =
    "SELECT charged, window_end FROM guess WHERE company = $1 AND axis = $2 AND subject = uuid_send($3)";

const KEEP_TEXTS: &str = "
    INSERT INTO consent_text (official_account, digest, text, first_time)
    SELECT k.account, k.digest, k.text, $4 FROM unnest($1::text[], $2::bytea[], $3::text[]) AS k (account, digest, text)
    ON CONFLICT DO NOTHING";

pub(super) const FORGET_GUESSES: &str = "
    WITH old AS MATERIALIZED (
        SELECT o.company, o.axis, o.subject, o.ctid AS place FROM guess AS o
        WHERE o.window_end < $1 ORDER BY o.window_end LIMIT $2 FOR UPDATE SKIP LOCKED)
    DELETE FROM guess AS g USING old
    WHERE g.company = old.company AND g.axis = old.axis AND g.subject = old.subject AND g.ctid = old.place";

bulk_rows! {
    /// Whose guesses go.
    GuesserRow<'a> { company: &'a str, follower: Id, }

    /// A text and whose it is.
    TextRow<'a> { account: &'a str, digest: Bytes, text: &'a str, }
}

#[async_trait]
impl ErasureStore for PostgresInformation {
    async fn claim_erasures(
        &self,
        now: Timestamp,
        lease_end: Timestamp,
        limit: u32,
    ) -> Result<Vec<Erasure>, StoreError> {
        // Asked first, so that idle servers leave the database alone.
        let any = sqlx::query_scalar(ANY_DUE).bind(micros(now)).fetch_one(self.database.read()).await;
        if !any.map_err(StoreError::during("claim_erasures"))? {
            return Ok(Vec::new());
        }
        let mut tx = self.database.write("claim_erasures").await?;
        let claim = sqlx::query(CLAIM).bind(micros(now)).bind(micros(lease_end)).bind(i64::from(limit));
        let claimed = tx.fetch(claim).await?;
        tx.commit().await?;
        claimed.iter().map(erasure_of).collect()
    }

    async fn individual_at_carriers(
        &self,
        erasures: &[Erasure],
    ) -> Result<Vec<(OfficialAccountId, CarrierId, Addressed)>, StoreError> {
        let concerned = keys_of_erasures(erasures);
        let find = KeyRow::bind(sqlx::query(AT_CARRIERS), &key_rows(&concerned));
        let found = find.fetch_all(self.database.read()).await;
        let found = found.map_err(StoreError::during("individual_at_carriers"))?;
        let keys = self.vault.keys();
        found.iter().map(|row| at_carrier_of(row, &keys)).collect()
    }

    async fn erase(&self, erasures: &[Erasure], now: Timestamp) -> Result<u32, StoreError> {
        if erasures.is_empty() {
            return Ok(0);
        }
        again!(self.erase_once(erasures, now))
    }

    async fn replay_erasures(&self, erasures: &[Erasure], now: Timestamp) -> Result<u32, StoreError> {
        let requests = erasure_rows(erasures.iter().map(|erasure| (erasure, now)));
        let mut tx = self.database.write("replay_erasures").await?;
        let unknown = tx.fetch(ErasureRow::bind(sqlx::query(REPLAY), &requests)).await?;
        let unknown = unknown.iter().map(erasure_of).collect::<Result<Vec<_>, _>>()?;
        audit(&mut tx, &erasure_lines(&unknown, "erasure_replayed"), now).await?;
        tx.commit().await?;
        Ok(u32::try_from(unknown.len()).unwrap_or(u32::MAX))
    }

    async fn search_follower(
        &self,
        asker: &Asker,
        key: &FollowerKey,
        customer: Option<&CustomerId>,
        now: Timestamp,
    ) -> Result<Held, StoreError> {
        let (account, follower) = (key.account.as_str(), Id::of(key.follower.as_bytes()));
        let mut tx = self.database.write_for("search_follower", &asker.company).await?;
        let held = sqlx::query(HELD)
            .bind(account)
            .bind(follower)
            .bind(asker.company.as_str())
            .bind(customer.map(CustomerId::as_str))
            .bind(place(&Axis::ALL, &Axis::Follower));
        let held = tx.fetch(held).await?;
        let erasure = tx.fetch_optional(sqlx::query(RECORD).bind(account).bind(follower)).await?;
        let follows = tx.fetch_optional(sqlx::query(FOLLOWS).bind(account).bind(follower)).await?;
        audit(&mut tx, &[asked(asker, key, "follower_searched")], now).await?;
        tx.commit().await?;
        let erasure = erasure.as_ref().map(erasure_record_of).transpose()?;
        held_of(&held, erasure, follows.map(|row| row.instant(0)).transpose()?)
    }

    async fn export_follower(
        &self,
        asker: &Asker,
        key: &FollowerKey,
        reading: Reading,
        now: Timestamp,
    ) -> Result<Option<FollowerExport>, StoreError> {
        again!(self.export_once(asker, key, reading, now))
    }

    async fn keep_texts(
        &self,
        texts: &[(OfficialAccountId, String)],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let texts = texts.iter().map(|(account, text)| TextRow {
            account: account.as_str(),
            digest: Bytes(TextDigest::of(text).as_bytes().to_vec()),
            text,
        });
        let texts: Vec<_> = texts.collect();
        let mut tx = self.database.write("keep_texts").await?;
        tx.execute(TextRow::bind(sqlx::query(KEEP_TEXTS), &texts).bind(micros(now))).await?;
        tx.commit().await
    }

    async fn forget_guesses(&self, before: Timestamp, limit: u32) -> Result<u32, StoreError> {
        let mut tx = self.database.write("forget_guesses").await?;
        let forget = sqlx::query(FORGET_GUESSES).bind(micros(before)).bind(i64::from(limit));
        let forgotten = tx.execute(forget).await?;
        tx.commit().await?;
        Ok(u32::try_from(forgotten).unwrap_or(u32::MAX))
    }
}

impl PostgresInformation {
    async fn export_once(
        &self,
        asker: &Asker,
        key: &FollowerKey,
        reading: Reading,
        now: Timestamp,
    ) -> Result<Option<FollowerExport>, StoreError> {
        let (account, follower) = (key.account.as_str(), Id::of(key.follower.as_bytes()));
        let mut tx =
            self.database.write_of_one_moment("export_follower").await?.of_company(&asker.company).await?;
        let one = key_rows(std::slice::from_ref(key));
        let Some(record) = tx.fetch(KeyRow::bind(sqlx::query(load::FOLLOWERS), &one)).await?.pop() else {
            return Ok(None);
        };
        let messages = sqlx::query(EXPORTED_MESSAGES).bind(account).bind(follower).bind(i64::from(MESSAGES));
        let messages = tx.fetch(messages).await?;
        let consents = tx.fetch(sqlx::query(EXPORTED_CONSENTS).bind(account).bind(follower)).await?;
        let reviews = tx.fetch(sqlx::query(EXPORTED_REVIEWS).bind(account).bind(follower)).await?;
        let guessed = sqlx::query(GUESSED)
            .bind(asker.company.as_str())
            .bind(place(&Axis::ALL, &Axis::Follower))
            .bind(follower);
        let guesses = match tx.fetch_optional(guessed).await? {
            Some(row) => Count { charged: row.small(0)?, window_end: row.maybe_instant(1)? },
            None => Count::default(),
        };
        let approval = match reading {
            Reading::Exported(Some(id)) => Some(spend(&mut tx, asker, id, now).await?),
            Reading::Exported(None) | Reading::Shown | Reading::Revealed => None,
        };
        audit(&mut tx, &[read(asker, key, reading, approval.as_ref())], now).await?;
        tx.commit().await?;
        let keys = self.vault.keys();
        Ok(Some(FollowerExport {
            record: record_of(&record, &keys)?,
            consents: consents.iter().map(consent_of).collect::<Result<_, _>>()?,
            messages: messages.iter().map(message_of).collect::<Result<_, _>>()?,
            guesses,
            reviews: reviews.iter().map(|row| review_of(row, 2, &keys)).collect::<Result<_, _>>()?,
        }))
    }

    async fn erase_once(&self, erasures: &[Erasure], now: Timestamp) -> Result<u32, StoreError> {
        let concerned = keys_of_erasures(erasures);
        let all = key_rows(&concerned);
        let mut tx = self.database.write("erase").await?;
        tx.fetch(KeyRow::bind(sqlx::query(LOCK), &all)).await?;
        let standing = tx.fetch(KeyRow::bind(sqlx::query(STANDING), &all)).await?;
        let (erasures, stay) = parted(erasures, &standing)?;
        let (concerned, stay) = (keys_of_erasures(&erasures), keys_of_erasures(&stay));
        tx.write(GIVEN_UP, &key_rows(&stay)).await?;
        let keys = key_rows(&concerned);
        let standing = tx.fetch(KeyRow::bind(sqlx::query(STANDING), &keys)).await?;
        let mut followers = FollowerTally::default();
        standing.iter().try_for_each(|row| followers.remove(row))?;
        let deliveries = tx.fetch(KeyRow::bind(sqlx::query(DELIVERIES), &keys)).await?;
        let (moved, erased) = erased_deliveries(&deliveries)?;
        for statement in ROWS {
            tx.write(statement, &keys).await?;
        }
        let guessers = erasures.iter().map(|erasure| GuesserRow {
            company: erasure.company.as_str(),
            follower: Id::of(erasure.follower.as_bytes()),
        });
        let guessers: Vec<_> = guessers.collect();
        let axis = place(&Axis::ALL, &Axis::Follower);
        tx.execute(GuesserRow::bind(sqlx::query(GUESSES), &guessers).bind(axis)).await?;
        tx.execute(KeyRow::bind(sqlx::query(DONE), &keys).bind(micros(now))).await?;
        audit(&mut tx, &erasure_lines(&erasures, "erased"), now).await?;
        tx.write(MOVE_FOLLOWERS, &followers.rows()).await?;
        tally::store(&moved, &mut tx).await?;
        tx.write(tally::ERASE, &erased.rows()).await?;
        tx.commit().await?;
        Ok(u32::try_from(standing.len()).unwrap_or(u32::MAX))
    }
}
