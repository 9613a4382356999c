//! Trials of distributions, on PostgreSQL.
//!
//! The followers who were named are held for sharing, in the order of their keys, so that who is just leaving has left, or is found by who
//! leaves.

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use musubi_domain::{
    delivery::{DeliveryState, Purpose},
    id::{CompanyId, DistributionId, FollowerId},
    trial,
};

use super::{
    PostgresInformation,
    audit::audit,
    distribution::{
        GET as GET_DISTRIBUTION, PUT_VALUES, SAME_REQUEST, TEMPLATES, read_one, templates_of_row,
    },
    expansion::message,
    tally,
};
use crate::{
    StoreError,
    information::{
        distribution::{Templates, not_found, preparers},
        tally::{Tally, TallyKey},
        template,
        trial::{
            NewTrial, Trial, TrialStore, TriedRow, TriedValueRow, is_same, put_recipients, templates_of,
            trial_of, tried_line, values_of,
        },
    },
    postgres::{Tx, again},
    row::{BulkRow as _, Columns as _, Id, micros, place},
    vault::Keys,
};

const IN_LAST_HOUR: &str = "
    SELECT count(*) FROM distribution WHERE company = $1 AND create_time > $2 AND trial_of IS NOT NULL";

/// It runs, and everybody has their delivery.
const INSERT: &str = "
    INSERT INTO distribution (distribution_id, company, official_account, request_id, request_digest, name, uniform,
        individual, state, cursor, expanded, messages_per_second, create_time, start_time, expire_time, prepared_by, customers,
        trial_of, absent)
    SELECT $1, company, official_account, $3, $4, name, $5, $6, 1, '00000000-0000-0000-0000-000000000000', true,
        messages_per_second, $7, $7, $8, $9, $10, $2, $11
    FROM distribution WHERE distribution_id = $2";

const NAMED: &str = "
    SELECT k.place, f.follower, f.carrier, v.customer_id, v.variables
    FROM unnest($2::uuid[]) WITH ORDINALITY AS k (follower, place)
    CROSS JOIN LATERAL (SELECT * FROM follower AS f
        WHERE f.official_account = $1 AND f.follower = k.follower AND f.following OFFSET 0) AS f
    LEFT JOIN LATERAL (SELECT * FROM customer_information AS t
        WHERE t.official_account = $1 AND t.follower = k.follower OFFSET 0) AS t ON true
    LEFT JOIN LATERAL (SELECT * FROM distribution_value AS v
        WHERE v.distribution = $3 AND v.customer_id = t.customer_id OFFSET 0) AS v ON true
    ORDER BY k.place";

const HOLD: &str = "
    SELECT f.follower FROM unnest($2::uuid[]) AS k (follower)
    CROSS JOIN LATERAL (SELECT follower FROM follower AS f
        WHERE f.official_account = $1 AND f.follower = k.follower FOR SHARE) AS f";

const MAKE: &str = "
    INSERT INTO delivery (official_account, follower, message_id, carrier, distribution, purpose, state, attempts, due_time,
        expire_time, change_time)
    SELECT $5, k.follower, k.message, k.carrier, $6, $7, $8, 0, $9, $10, $9
    FROM unnest($1::bigint[], $2::uuid[], $3::uuid[], $4::text[]) AS k (place, follower, message, carrier)";

const REMEMBER: &str = "
    INSERT INTO trial_recipient (official_account, follower, distribution, place, message_id)
    SELECT $5, k.follower, $6, k.place, k.message
    FROM unnest($1::bigint[], $2::uuid[], $3::uuid[], $4::text[]) AS k (place, follower, message, carrier)";

macro_rules! trials {
    ($which:literal) => {
        concat!(
            "SELECT distribution_id, prepared_by, create_time, expire_time, absent FROM distribution WHERE ",
            $which
        )
    };
}

const GET: &str = trials!("distribution_id = $1 AND trial_of IS NOT NULL");

const LIST: &str = trials!("trial_of = $1 AND trial_of IS NOT NULL ORDER BY distribution_id DESC LIMIT $2");

const RECIPIENTS: &str = "
    SELECT r.distribution, f.official_account, f.follower, f.phone_number, m.purpose, m.state, f.suspended,
        t.tie_id, t.customer_id, t.expire_time, t.suspended, t.proved_time, t.silent_time, t.ask_time, t.doubt,
        v.customer_id IS NOT NULL
    FROM unnest($1::uuid[]) WITH ORDINALITY AS k (trial, place)
    CROSS JOIN LATERAL (SELECT * FROM trial_recipient AS r
        WHERE r.distribution = k.trial ORDER BY r.place LIMIT 20) AS r
    CROSS JOIN LATERAL (SELECT * FROM follower AS f
        WHERE f.official_account = r.official_account AND f.follower = r.follower OFFSET 0) AS f
    CROSS JOIN LATERAL (SELECT * FROM delivery AS m
        WHERE m.official_account = r.official_account AND m.follower = r.follower AND m.message_id = r.message_id OFFSET 0) AS m
    LEFT JOIN LATERAL (SELECT * FROM customer_information AS t
        WHERE t.official_account = r.official_account AND t.follower = r.follower OFFSET 0) AS t ON true
    LEFT JOIN LATERAL (SELECT * FROM distribution_value AS v
        WHERE v.distribution = r.distribution AND v.customer_id = t.customer_id OFFSET 0) AS v ON true
    ORDER BY k.place, r.place";

#[async_trait]
impl TrialStore for PostgresInformation {
    async fn try_distribution(&self, new: &NewTrial, now: Timestamp) -> Result<Trial, StoreError> {
        again!(self.try_once(new, now))
    }

    async fn list_trials(
        &self,
        company: &CompanyId,
        of: DistributionId,
        limit: u32,
        now: Timestamp,
    ) -> Result<Vec<Trial>, StoreError> {
        let mut tx = self.database.snapshot_for("list_trials", company).await?;
        read_one(&mut tx, GET_DISTRIBUTION, company, of).await?;
        let found = sqlx::query(LIST).bind(Id::of(of.as_bytes())).bind(i64::from(limit));
        let found = tx.fetch(found).await?.iter().map(trial_of).collect::<Result<_, _>>()?;
        with_recipients(&mut tx, found, now, &self.vault.keys()).await
    }
}

impl PostgresInformation {
    async fn try_once(&self, new: &NewTrial, now: Timestamp) -> Result<Trial, StoreError> {
        let keys = self.vault.keys();
        let mut tx = self.database.write_for("try_distribution", &new.company).await?;
        let same = sqlx::query(SAME_REQUEST).bind(new.company.as_str()).bind(new.request_id);
        if let Some(row) = tx.fetch_optional(same).await? {
            return read(&mut tx, is_same(&row, new)?, now, &keys).await;
        }
        let tried = read_one(&mut tx, GET_DISTRIBUTION, &new.company, new.of).await?;
        trial::check(tried.state, tried.start_time, now)?;
        let hour_ago = now.checked_sub(SignedDuration::from_hours(1)).unwrap_or(Timestamp::MIN);
        let in_last_hour = sqlx::query(IN_LAST_HOUR).bind(new.company.as_str()).bind(micros(hour_ago));
        trial::check_rate(tx.fetch_one(in_last_hour).await?.small(0)?)?;
        let account = tried.account.as_str();
        let (id, of) = (Id::of(new.id.as_bytes()), Id::of(new.of.as_bytes()));
        let ids: Vec<_> = new.followers.iter().map(|follower| Id::of(follower.as_bytes())).collect();
        let mut in_order = new.followers.clone();
        in_order.sort_unstable();
        let in_order: Vec<_> = in_order.iter().map(|follower| Id::of(follower.as_bytes())).collect();
        tx.fetch(sqlx::query(HOLD).bind(account).bind(in_order)).await?;
        let named = tx.fetch(sqlx::query(NAMED).bind(account).bind(ids).bind(of)).await?;
        let values = named.iter().map(|row| Ok(row.maybe_text(3)?.zip(row.maybe_bytes(4)?)));
        let values = values.collect::<Result<Vec<_>, StoreError>>()?;
        let values = values_of(values.into_iter().flatten(), new, account, &keys)?;
        let row = tx.fetch_optional(sqlx::query(TEMPLATES).bind(of)).await?.ok_or_else(not_found)?;
        let Templates { uniform, individual } = templates_of(&templates_of_row(&row)?)?;
        let expire_time = now.checked_add(trial::LASTS).unwrap_or(Timestamp::MAX);
        let insert = sqlx::query(INSERT)
            .bind(id)
            .bind(of)
            .bind(new.request_id)
            .bind(&new.digest[..])
            .bind(template::to_text(&uniform)?)
            .bind(individual.as_ref().map(template::to_text).transpose()?)
            .bind(micros(now))
            .bind(micros(expire_time))
            .bind(preparers(&[], &new.operator)?)
            .bind(i64::try_from(values.len()).unwrap_or(i64::MAX))
            .bind(i64::try_from(new.followers.len() - named.len()).unwrap_or(i64::MAX));
        tx.execute(insert).await?;
        tx.execute(TriedValueRow::bind(sqlx::query(PUT_VALUES).bind(id), &values)).await?;
        let (purpose, state) =
            (place(&Purpose::ALL, &Purpose::Undecided), place(&DeliveryState::ALL, &DeliveryState::Queued));
        let (mut made, mut tally) = (Vec::with_capacity(named.len()), Tally::default());
        for row in &named {
            let (follower, carrier) = (FollowerId::from_bytes(row.id(1)?), row.text(2)?);
            let message = Id::of(message(new.id, follower).as_bytes());
            let follower = Id::of(follower.as_bytes());
            made.push(TriedRow { place: row.int(0)?, follower, message, carrier });
            tally.add(TallyKey::new(account, carrier, new.id.as_bytes(), purpose, state), 1);
        }
        let make = TriedRow::bind(sqlx::query(MAKE), &made).bind(account).bind(&new.id.as_bytes()[..]);
        let make = make.bind(purpose).bind(state).bind(micros(now)).bind(micros(expire_time));
        tx.execute(make).await?;
        tx.execute(TriedRow::bind(sqlx::query(REMEMBER), &made).bind(account).bind(id)).await?;
        tally::store(&tally, &mut tx).await?;
        audit(&mut tx, &[tried_line(new, named.len())], now).await?;
        let made = read(&mut tx, new.id, now, &keys).await?;
        tx.commit().await?;
        Ok(made)
    }
}

async fn read(tx: &mut Tx, id: DistributionId, now: Timestamp, keys: &Keys) -> Result<Trial, StoreError> {
    let found = trial_of(&tx.fetch_one(sqlx::query(GET).bind(Id::of(id.as_bytes()))).await?)?;
    let found = with_recipients(tx, vec![found], now, keys).await?;
    found.into_iter().next().ok_or_else(|| StoreError::Corrupt("a trial is lost".to_owned()))
}

async fn with_recipients(
    tx: &mut Tx,
    mut trials: Vec<Trial>,
    now: Timestamp,
    keys: &Keys,
) -> Result<Vec<Trial>, StoreError> {
    let ids: Vec<_> = trials.iter().map(|trial| Id::of(trial.id.as_bytes())).collect();
    let found = tx.fetch(sqlx::query(RECIPIENTS).bind(ids)).await?;
    put_recipients(&mut trials, &found, now, keys)?;
    Ok(trials)
}
