//! Distributions as companies ask for them, on PostgreSQL.

use std::collections::{BTreeMap, HashMap};

use async_trait::async_trait;
use jiff::Timestamp;
use musubi_domain::{
    delivery::{DeliveryState, Purpose},
    distribution::{self, State},
    id::{CompanyId, CustomerId, DistributionId, OfficialAccountId, OperatorName},
};
use sqlx::postgres::PgRow;

use super::{PostgresInformation, audit::audit};
use crate::{
    StoreError,
    information::{
        distribution::{
            Counted, Distribution, DistributionStore, NewDistribution, Order, Preview, Templates,
            check_start, is_start, line_by, names, not_found, obey, preparers, takes_no_values, used,
            values_line,
        },
        record::distribution_of,
        tally::taps_of,
        template,
    },
    postgres::{Tx, again},
    row::{BulkRow as _, Bytes, Columns as _, Id, bulk_rows, micros, place},
};

pub(super) const SAME_REQUEST: &str = "
    SELECT distribution_id, request_digest FROM distribution WHERE company = $1 AND request_id = $2";

pub(super) const INSERT: &str = "
    INSERT INTO distribution (distribution_id, company, official_account, request_id, request_digest, name, uniform,
        individual, state, cursor, expanded, messages_per_second, create_time, start_time, expire_time, prepared_by)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0, '00000000-0000-0000-0000-000000000000', false, $9, $10, $11, $12, $13)";

macro_rules! distributions {
    ($which:literal) => {
        concat!(
            "SELECT distribution_id, official_account, name, state, customers, create_time, start_time, expire_time, end_time,
                prepared_by, submitted_by, submit_time
            FROM distribution WHERE ",
            $which
        )
    };
}

pub(super) const GET: &str = distributions!("company = $1 AND distribution_id = $2 AND trial_of IS NULL");

/// As [`GET`], for who changes it.
pub(super) const LOCK: &str =
    distributions!("company = $1 AND distribution_id = $2 AND trial_of IS NULL FOR NO KEY UPDATE");

// By the pair, because the order of the ids alone the planner finds in the primary key, too, where all other companies' stand in
// between.
pub(super) const LIST: &str = distributions!(
    "(company, distribution_id) >= ($1, '00000000-0000-0000-0000-000000000000')
        AND (company, distribution_id) <= ($1, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
        AND official_account = coalesce($2, official_account) AND trial_of IS NULL ORDER BY company DESC, distribution_id DESC LIMIT $3"
);

pub(super) const LIST_OF_STATE: &str = distributions!(
    "(company, state, distribution_id) >= ($1, $4, '00000000-0000-0000-0000-000000000000')
        AND (company, state, distribution_id) <= ($1, $4, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
        AND official_account = coalesce($2, official_account) AND trial_of IS NULL
    ORDER BY company DESC, state DESC, distribution_id DESC LIMIT $3"
);

pub(super) const TALLIES: &str = "
    SELECT distribution, purpose, state, sum(count)::bigint FROM delivery_tally WHERE distribution = ANY ($1)
    GROUP BY 1, 2, 3 HAVING sum(count) > 0 ORDER BY 1, 2, 3";

pub(super) const TAPS: &str = "
    SELECT distribution, individual, place, sum(count)::bigint FROM tap_tally WHERE distribution = ANY ($1)
    GROUP BY 1, 2, 3 ORDER BY 1, 2, 3";

pub(super) const KNOWN_VALUES: &str = "
    SELECT count(*) FROM unnest($2::text[]) AS k (customer)
    CROSS JOIN LATERAL (SELECT * FROM distribution_value AS v
        WHERE v.distribution = $1 AND v.customer_id = k.customer OFFSET 0) AS v";

pub(super) const PUT_VALUES: &str = "
    INSERT INTO distribution_value (distribution, customer_id, variables)
    SELECT $1, k.* FROM unnest($2::text[], $3::bytea[]) AS k
    ON CONFLICT (distribution, customer_id) DO UPDATE SET variables = excluded.variables";

pub(super) const ADD_CUSTOMERS: &str = "
    UPDATE distribution SET customers = customers + $2, prepared_by = $3 WHERE distribution_id = $1 RETURNING customers";

pub(super) const FOLLOWING: &str = "
    SELECT coalesce(sum(count), 0)::bigint FROM follower_tally WHERE official_account = $1 AND following";

pub(super) const MOVE: &str = "
    UPDATE distribution SET state = $2, start_time = $3, expire_time = $4, end_time = $5, prepared_by = $6, submitted_by = $7,
        submit_time = $8
    WHERE distribution_id = $1";

pub(super) const OPEN_REVOCATIONS: &str = "
    INSERT INTO revocation (carrier, distribution, cursor)
    SELECT carrier, $1, '00000000-0000-0000-0000-000000000000' FROM delivery_tally WHERE distribution = uuid_send($1)
    GROUP BY carrier HAVING sum(count) > 0";

pub(super) const TEMPLATES: &str = "SELECT uniform, individual FROM distribution WHERE distribution_id = $1";

// The followers of the account, each with its tie and with the values for its customer.
const AUDIENCE: &str = "
    SELECT count(*),
           count(*) FILTER (WHERE v.customer_id IS NOT NULL AND NOT f.suspended AND NOT t.suspended AND t.expire_time > $3 AND t.silent_time > $3),
           count(*) FILTER (WHERE t.customer_id IS NOT NULL AND v.customer_id IS NULL),
           count(DISTINCT v.customer_id)
    FROM follower AS f
    LEFT JOIN customer_information AS t ON t.official_account = f.official_account AND t.follower = f.follower
    LEFT JOIN distribution_value AS v ON v.distribution = $2 AND v.customer_id = t.customer_id
    WHERE f.official_account = $1 AND f.following";

const SAMPLES: &str = "
    SELECT v.customer_id, v.variables FROM follower AS f
    CROSS JOIN LATERAL (SELECT * FROM customer_information AS t
        WHERE t.official_account = $1 AND t.follower = f.follower AND NOT t.suspended AND t.expire_time > $3
            AND t.silent_time > $3 OFFSET 0) AS t
    CROSS JOIN LATERAL (SELECT * FROM distribution_value AS v
        WHERE v.distribution = $2 AND v.customer_id = t.customer_id OFFSET 0) AS v
    WHERE f.official_account = $1 AND f.following AND NOT f.suspended
    ORDER BY f.follower LIMIT 3";

bulk_rows! {
    /// The values for a customer.
    ValueRow<'a> { customer: &'a str, variables: Bytes, }
}

#[async_trait]
impl DistributionStore for PostgresInformation {
    async fn create_distribution(
        &self,
        new: &NewDistribution,
        now: Timestamp,
    ) -> Result<Distribution, StoreError> {
        again!(self.create_once(new, now))
    }

    async fn put_values(
        &self,
        company: &CompanyId,
        id: DistributionId,
        values: &[(CustomerId, Vec<String>)],
        (operator, now): (&OperatorName, Timestamp),
    ) -> Result<u64, StoreError> {
        // A customer that stands twice counts once; the last values stand.
        let values: BTreeMap<_, _> =
            values.iter().map(|(customer, values)| (customer.as_str(), values)).collect();
        let keys = self.vault.keys();
        let rows = values
            .iter()
            .map(|(customer, values)| {
                let variables = keys.seal_values(company.as_str(), (id.as_bytes(), customer), values)?;
                Ok(ValueRow { customer, variables })
            })
            .collect::<Result<Vec<_>, StoreError>>()?;
        let customers: Vec<&str> = values.into_keys().collect();
        let distribution = Id::of(id.as_bytes());
        let mut tx = self.database.write_for("put_values", company).await?;
        let found = read_one(&mut tx, LOCK, company, id).await?;
        if found.state != State::Draft {
            return Err(takes_no_values(found.state).into());
        }
        let known = sqlx::query(KNOWN_VALUES).bind(distribution).bind(&customers);
        let known = tx.fetch_one(known).await?.int(0)?;
        tx.execute(ValueRow::bind(sqlx::query(PUT_VALUES).bind(distribution), &rows)).await?;
        let added = i64::try_from(rows.len()).unwrap_or(i64::MAX) - known;
        let prepared_by = preparers(&found.prepared_by, operator)?;
        let add = sqlx::query(ADD_CUSTOMERS).bind(distribution).bind(added).bind(prepared_by);
        let customers = tx.fetch_one(add).await?.small(0)?;
        audit(&mut tx, &[values_line(company, id, rows.len(), operator)], now).await?;
        tx.commit().await?;
        Ok(customers)
    }

    async fn command_distribution(
        &self,
        company: &CompanyId,
        id: DistributionId,
        order: &Order,
        now: Timestamp,
    ) -> Result<Distribution, StoreError> {
        let mut tx = self.database.write_for("command_distribution", company).await?;
        hold(&mut tx, id, Hold::Commanding).await?;
        let mut found = read_one(&mut tx, LOCK, company, id).await?;
        if is_start(&found, order) {
            let following = count_following(&mut tx, &found.account).await?;
            if let Err(error) = check_start(&found, order, following) {
                let refused = line_by(company, "distribution_start_refused", id, &order.operator);
                audit(&mut tx, &[refused], now).await?;
                tx.commit().await?;
                return Err(error.into());
            }
        }
        let Some(action) = obey(&mut found, order, now)? else { return Ok(found) };
        let distribution = Id::of(id.as_bytes());
        if found.state == State::Cancelled {
            tx.execute(sqlx::query(OPEN_REVOCATIONS).bind(distribution)).await?;
        }
        let moved = sqlx::query(MOVE)
            .bind(distribution)
            .bind(place(&State::ALL, &found.state))
            .bind(found.start_time.map(micros))
            .bind(found.expire_time.map(micros))
            .bind(found.end_time.map(micros))
            .bind(names(&found.prepared_by)?)
            .bind(found.submitted.as_ref().map(|(by, _)| by.as_str()))
            .bind(found.submitted.as_ref().map(|(_, time)| micros(*time)));
        tx.execute(moved).await?;
        audit(&mut tx, &[line_by(company, action, id, &order.operator)], now).await?;
        tx.commit().await?;
        Ok(found)
    }

    async fn get_distribution(
        &self,
        company: &CompanyId,
        id: DistributionId,
    ) -> Result<Distribution, StoreError> {
        read_one(&mut self.database.snapshot_for("get_distribution", company).await?, GET, company, id).await
    }

    async fn list_distributions(
        &self,
        company: &CompanyId,
        (account, state): (Option<&OfficialAccountId>, Option<State>),
        limit: u32,
    ) -> Result<Vec<Distribution>, StoreError> {
        let mut tx = self.database.snapshot_for("list_distributions", company).await?;
        let found = sqlx::query(if state.is_some() { LIST_OF_STATE } else { LIST })
            .bind(company.as_str())
            .bind(account.map(OfficialAccountId::as_str))
            .bind(i64::from(limit));
        let found = match state {
            Some(state) => found.bind(place(&State::ALL, &state)),
            None => found,
        };
        let found = tx.fetch(found).await?.iter().map(distribution_of).collect::<Result<_, _>>()?;
        with_tallies(&mut tx, found).await
    }

    async fn count_following(
        &self,
        company: &CompanyId,
        account: &OfficialAccountId,
    ) -> Result<u64, StoreError> {
        count_following(&mut self.database.snapshot_for("count_following", company).await?, account).await
    }

    async fn get_templates(&self, id: DistributionId) -> Result<Templates, StoreError> {
        let row = sqlx::query(TEMPLATES)
            .bind(Id::of(id.as_bytes()))
            .fetch_optional(self.database.read())
            .await
            .map_err(StoreError::during("get_templates"))?
            .ok_or_else(not_found)?;
        templates_of_row(&row)
    }

    async fn preview_distribution(
        &self,
        company: &CompanyId,
        id: DistributionId,
        operator: &OperatorName,
        now: Timestamp,
    ) -> Result<Preview, StoreError> {
        let mut tx = self.database.snapshot_for("preview_distribution", company).await?;
        let found = read_one(&mut tx, GET, company, id).await?;
        let of_audience = |sql: &'static str| {
            sqlx::query(sql).bind(found.account.as_str()).bind(Id::of(id.as_bytes())).bind(micros(now))
        };
        let samples = tx.fetch(of_audience(SAMPLES)).await?;
        tx.allow_whole_tables().await?;
        let counts = tx.fetch_one(of_audience(AUDIENCE)).await?;
        drop(tx);
        let keys = self.vault.keys();
        let samples = samples
            .iter()
            .map(|row| keys.values(found.account.as_str(), (id.as_bytes(), row.text(0)?), row.bytes(1)?));
        let (following, individual): (u64, u64) = (counts.small(0)?, counts.small(1)?);
        let matched: u64 = counts.small(3)?;
        let preview = Preview {
            individual,
            uniform: following.saturating_sub(individual),
            confirmed_without_values: counts.small(2)?,
            values_without_follower: found.values.saturating_sub(matched),
            samples: samples.collect::<Result<_, _>>()?,
        };
        let mut tx = self.database.write_for("preview_distribution", company).await?;
        audit(&mut tx, &[line_by(company, "distribution_previewed", id, operator)], now).await?;
        tx.commit().await?;
        Ok(preview)
    }
}

impl PostgresInformation {
    async fn create_once(&self, new: &NewDistribution, now: Timestamp) -> Result<Distribution, StoreError> {
        let mut tx = self.database.write_for("create_distribution", &new.company).await?;
        let same = sqlx::query(SAME_REQUEST).bind(new.company.as_str()).bind(new.request_id);
        if let Some(row) = tx.fetch_optional(same).await? {
            if row.bytes(1)? != &new.digest[..] {
                return Err(used().into());
            }
            let id = DistributionId::from_bytes(row.id(0)?);
            return read_one(&mut tx, GET, &new.company, id).await;
        }
        distribution::check_times(new.start_time, new.expire_time, now)?;
        let insert = sqlx::query(INSERT)
            .bind(Id::of(new.id.as_bytes()))
            .bind(new.company.as_str())
            .bind(new.account.as_str())
            .bind(new.request_id)
            .bind(&new.digest[..])
            .bind(&new.name)
            .bind(template::to_text(&new.templates.uniform)?)
            .bind(new.templates.individual.as_ref().map(template::to_text).transpose()?)
            .bind(i64::from(new.messages_per_second))
            .bind(micros(now))
            .bind(new.start_time.map(micros))
            .bind(new.expire_time.map(micros))
            .bind(preparers(&[], &new.operator)?);
        tx.execute(insert).await?;
        let created = line_by(&new.company, "distribution_created", new.id, &new.operator);
        audit(&mut tx, &[created], now).await?;
        let made = read_one(&mut tx, GET, &new.company, new.id).await?;
        tx.commit().await?;
        Ok(made)
    }
}

/// As what somebody holds a distribution until their transaction ends.
pub(super) enum Hold {
    /// Starts attempts of it: so do others beside.
    Running,
    /// Commands it: nobody starts attempts meanwhile, so that none starts after a pause or a cancel was acknowledged.
    Commanding,
}

/// Waits for whoever holds it otherwise, in turn, so that a claim after the other keeps no command away. It is the first thing that a
/// transaction waits for. No lock of the row: claims advance it themselves, and theirs would overtake a command that waits.
pub(super) async fn hold(tx: &mut Tx, id: DistributionId, hold: Hold) -> Result<(), StoreError> {
    let [.., a, b, c, d, e, f, g, h] = *id.as_bytes();
    let key = i64::from_be_bytes([a, b, c, d, e, f, g, h]);
    let lock = match hold {
        Hold::Running => "SELECT pg_advisory_xact_lock_shared($1)",
        Hold::Commanding => "SELECT pg_advisory_xact_lock($1)",
    };
    tx.fetch_one(sqlx::query(lock).bind(key)).await.map(drop)
}

async fn count_following(tx: &mut Tx, account: &OfficialAccountId) -> Result<u64, StoreError> {
    tx.fetch_one(sqlx::query(FOLLOWING).bind(account.as_str())).await?.small(0)
}

/// Reads what a distribution says. Columns: uniform, individual.
pub(super) fn templates_of_row(row: &PgRow) -> Result<Templates, StoreError> {
    Ok(Templates {
        uniform: template::from_text(row.text(0)?)?,
        individual: row.maybe_text(1)?.map(template::from_text).transpose()?,
    })
}

/// A company's distribution with its counts.
pub(super) async fn read_one(
    tx: &mut Tx,
    sql: &'static str,
    company: &CompanyId,
    id: DistributionId,
) -> Result<Distribution, StoreError> {
    let found = sqlx::query(sql).bind(company.as_str()).bind(Id::of(id.as_bytes()));
    let found = tx.fetch_optional(found).await?.ok_or_else(not_found)?;
    let found = with_tallies(tx, vec![distribution_of(&found)?]).await?;
    found.into_iter().next().ok_or_else(|| not_found().into())
}

/// What these distributions have made, by what it says and where it stands.
pub(super) async fn deliveries_of(
    tx: &mut Tx,
    ids: &[DistributionId],
) -> Result<HashMap<DistributionId, Vec<Counted>>, StoreError> {
    let ids: Vec<&[u8]> = ids.iter().map(|id| &id.as_bytes()[..]).collect();
    let mut deliveries: HashMap<DistributionId, Vec<Counted>> = HashMap::new();
    for row in &tx.fetch(sqlx::query(TALLIES).bind(ids)).await? {
        let counted = (row.one_of(&Purpose::ALL, 1)?, row.one_of(&DeliveryState::ALL, 2)?, row.small(3)?);
        deliveries.entry(DistributionId::from_bytes(row.id(0)?)).or_default().push(counted);
    }
    Ok(deliveries)
}

async fn with_tallies(tx: &mut Tx, mut found: Vec<Distribution>) -> Result<Vec<Distribution>, StoreError> {
    let ids: Vec<_> = found.iter().map(|distribution| distribution.id).collect();
    let mut deliveries = deliveries_of(tx, &ids).await?;
    let ids: Vec<_> = ids.iter().map(|id| Id::of(id.as_bytes())).collect();
    let mut taps = taps_of(&tx.fetch(sqlx::query(TAPS).bind(ids)).await?)?;
    for distribution in &mut found {
        distribution.deliveries = deliveries.remove(&distribution.id).unwrap_or_default();
        distribution.taps = taps.remove(&distribution.id).unwrap_or_default();
    }
    Ok(found)
}
