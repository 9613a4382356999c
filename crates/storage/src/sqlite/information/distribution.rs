//! Distributions as companies ask for them, on SQLite.

use std::collections::HashMap;

use async_trait::async_trait;
use jiff::Timestamp;
use musubi_domain::{
    delivery::{DeliveryState, Purpose},
    distribution::{self, State},
    id::{CompanyId, CustomerId, DistributionId, OfficialAccountId, OperatorName},
};
use sqlx::{Sqlite, SqliteExecutor, Transaction};

use super::{SqliteInformation, audit::audit, walk::changes};
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
    row::{Columns as _, Id, micros, place},
    sqlite::rows,
};

pub(super) const SAME_REQUEST: &str = "
    SELECT distribution_id, request_digest FROM distribution WHERE company = ?1 AND request_id = ?2";

pub(super) const INSERT: &str = "
    INSERT INTO distribution (distribution_id, company, official_account, request_id, request_digest, name, uniform,
        individual, state, cursor, expanded, messages_per_second, create_time, start_time, expire_time, prepared_by)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 0, 0, 0, ?9, ?10, ?11, ?12, ?13)";

macro_rules! distributions {
    ($which:literal) => {
        concat!(
            "SELECT distribution_id, official_account, name, state, customers, create_time, start_time, expire_time, end_time,
                prepared_by, submitted_by, submit_time
            FROM distribution ",
            $which
        )
    };
}

pub(super) const GET: &str =
    distributions!("WHERE company = ?1 AND distribution_id = ?2 AND trial_of IS NULL");

pub(super) const LIST: &str = distributions!(
    "INDEXED BY distribution_company
    WHERE company = ?1 AND official_account = coalesce(?2, official_account) AND trial_of IS NULL
    ORDER BY distribution_id DESC LIMIT ?3"
);

pub(super) const LIST_OF_STATE: &str = distributions!(
    "INDEXED BY distribution_state
    WHERE company = ?1 AND state = ?4 AND official_account = coalesce(?2, official_account) AND trial_of IS NULL
    ORDER BY distribution_id DESC LIMIT ?3"
);

pub(super) const TALLIES: &str = "
    SELECT distribution, purpose, state, sum(count) FROM delivery_tally
    WHERE distribution IN (SELECT unhex(value) FROM jsonb_each(?1))
    GROUP BY distribution, purpose, state HAVING sum(count) > 0 ORDER BY distribution, purpose, state";

pub(super) const TAPS: &str = "
    SELECT distribution, individual, place, count FROM tap_tally
    WHERE distribution IN (SELECT unhex(value) FROM jsonb_each(?1))";

pub(super) const KNOWN_VALUES: &str = "
    SELECT count(*) FROM jsonb_each(?2) AS k
    CROSS JOIN distribution_value AS v ON v.distribution = ?1 AND v.customer_id = k.value ->> 0";

pub(super) const PUT_VALUES: &str = "
    INSERT INTO distribution_value (distribution, customer_id, variables)
    SELECT ?1, value ->> 0, unhex(value ->> 1) FROM jsonb_each(?2) WHERE true
    ON CONFLICT (distribution, customer_id) DO UPDATE SET variables = excluded.variables";

pub(super) const ADD_CUSTOMERS: &str = "
    UPDATE distribution SET customers = customers + ?2, prepared_by = ?3 WHERE distribution_id = ?1 RETURNING customers";

pub(super) const FOLLOWING: &str = "
    SELECT coalesce(sum(count), 0) FROM follower_tally WHERE official_account = ?1 AND following = 1";

pub(super) const MOVE: &str = "
    UPDATE distribution SET state = ?2, start_time = ?3, expire_time = ?4, end_time = ?5, prepared_by = ?6, submitted_by = ?7,
        submit_time = ?8
    WHERE distribution_id = ?1";

pub(super) const OPEN_REVOCATIONS: &str = "
    INSERT INTO revocation (carrier, distribution, cursor)
    SELECT DISTINCT carrier, distribution, 0 FROM delivery_tally WHERE distribution = ?1 AND count > 0";

pub(super) const TEMPLATES: &str = "SELECT uniform, individual FROM distribution WHERE distribution_id = ?1";

// The followers of the account, each with its tie and with the values for its customer.
pub(super) const AUDIENCE: &str = "
    SELECT count(*),
           coalesce(sum(v.customer_id IS NOT NULL AND f.suspended = 0 AND t.suspended = 0 AND t.expire_time > ?3 AND t.silent_time > ?3), 0),
           coalesce(sum(t.customer_id IS NOT NULL AND v.customer_id IS NULL), 0),
           count(DISTINCT v.customer_id)
    FROM follower AS f
    LEFT JOIN customer_information AS t ON t.number = f.number
    LEFT JOIN distribution_value AS v ON v.distribution = ?2 AND v.customer_id = t.customer_id
    WHERE f.official_account = ?1 AND f.following = 1";

pub(super) const SAMPLES: &str = "
    SELECT v.customer_id, v.variables FROM follower AS f
    CROSS JOIN customer_information AS t ON t.number = f.number
    CROSS JOIN distribution_value AS v ON v.distribution = ?2 AND v.customer_id = t.customer_id
    WHERE f.official_account = ?1 AND f.following = 1 AND f.suspended = 0 AND t.suspended = 0 AND t.expire_time > ?3
        AND t.silent_time > ?3
    ORDER BY f.number LIMIT 3";

#[async_trait]
impl DistributionStore for SqliteInformation {
    async fn create_distribution(
        &self,
        new: &NewDistribution,
        now: Timestamp,
    ) -> Result<Distribution, StoreError> {
        const TRANSACTION: &str = "create_distribution";
        let failed = StoreError::during(TRANSACTION);
        let mut tx = self.database.write(TRANSACTION).await?;
        let same = sqlx::query(SAME_REQUEST)
            .bind(new.company.as_str())
            .bind(&new.request_id.as_bytes()[..])
            .fetch_optional(&mut *tx)
            .await
            .map_err(&failed)?;
        if let Some(row) = same {
            if row.bytes(1)? != &new.digest[..] {
                return Err(used().into());
            }
            let id = DistributionId::from_bytes(row.id(0)?);
            return read_one(&mut tx, TRANSACTION, &new.company, id).await;
        }
        distribution::check_times(new.start_time, new.expire_time, now)?;
        sqlx::query(INSERT)
            .bind(&new.id.as_bytes()[..])
            .bind(new.company.as_str())
            .bind(new.account.as_str())
            .bind(&new.request_id.as_bytes()[..])
            .bind(&new.digest[..])
            .bind(&new.name)
            .bind(template::to_text(&new.templates.uniform)?)
            .bind(new.templates.individual.as_ref().map(template::to_text).transpose()?)
            .bind(new.messages_per_second)
            .bind(micros(now))
            .bind(new.start_time.map(micros))
            .bind(new.expire_time.map(micros))
            .bind(preparers(&[], &new.operator)?)
            .execute(&mut *tx)
            .await
            .map_err(&failed)?;
        let created = line_by(&new.company, "distribution_created", new.id, &new.operator);
        audit(&mut tx, TRANSACTION, &[created], now).await?;
        let made = read_one(&mut tx, TRANSACTION, &new.company, new.id).await?;
        tx.commit().await.map_err(&failed)?;
        Ok(made)
    }

    async fn put_values(
        &self,
        company: &CompanyId,
        id: DistributionId,
        values: &[(CustomerId, Vec<String>)],
        (operator, now): (&OperatorName, Timestamp),
    ) -> Result<u64, StoreError> {
        const TRANSACTION: &str = "put_values";
        let failed = StoreError::during(TRANSACTION);
        // A customer that stands twice counts once; the last values stand.
        let values: HashMap<_, _> =
            values.iter().map(|(customer, values)| (customer.as_str(), values)).collect();
        let keys = self.vault.keys();
        let parameter = values.iter().map(|(customer, values)| {
            Ok((*customer, keys.seal_values(company.as_str(), (id.as_bytes(), customer), values)?))
        });
        let parameter = rows(&parameter.collect::<Result<Vec<_>, StoreError>>()?)?;
        let mut tx = self.database.write(TRANSACTION).await?;
        let found = read_one(&mut tx, TRANSACTION, company, id).await?;
        if found.state != State::Draft {
            return Err(takes_no_values(found.state).into());
        }
        let known: i64 = sqlx::query_scalar(KNOWN_VALUES)
            .bind(&id.as_bytes()[..])
            .bind(&parameter)
            .fetch_one(&mut *tx)
            .await
            .map_err(&failed)?;
        sqlx::query(PUT_VALUES)
            .bind(&id.as_bytes()[..])
            .bind(&parameter)
            .execute(&mut *tx)
            .await
            .map_err(&failed)?;
        let customers: i64 = sqlx::query_scalar(ADD_CUSTOMERS)
            .bind(&id.as_bytes()[..])
            .bind(i64::try_from(values.len()).unwrap_or(i64::MAX) - known)
            .bind(preparers(&found.prepared_by, operator)?)
            .fetch_one(&mut *tx)
            .await
            .map_err(&failed)?;
        let given = values_line(company, id, values.len(), operator);
        audit(&mut tx, TRANSACTION, &[given], now).await?;
        tx.commit().await.map_err(&failed)?;
        Ok(customers.unsigned_abs())
    }

    async fn command_distribution(
        &self,
        company: &CompanyId,
        id: DistributionId,
        order: &Order,
        now: Timestamp,
    ) -> Result<Distribution, StoreError> {
        const TRANSACTION: &str = "command_distribution";
        let failed = StoreError::during(TRANSACTION);
        let mut tx = self.database.write(TRANSACTION).await?;
        let begun = changes(&mut tx, TRANSACTION).await?;
        let mut found = read_one(&mut tx, TRANSACTION, company, id).await?;
        if is_start(&found, order) {
            let following = count_following(&mut *tx, TRANSACTION, &found.account).await?;
            if let Err(error) = check_start(&found, order, following) {
                let refused = line_by(company, "distribution_start_refused", id, &order.operator);
                audit(&mut tx, TRANSACTION, &[refused], now).await?;
                tx.commit().await.map_err(&failed)?;
                return Err(error.into());
            }
        }
        let Some(action) = obey(&mut found, order, now)? else { return Ok(found) };
        if found.state == State::Cancelled {
            sqlx::query(OPEN_REVOCATIONS)
                .bind(&id.as_bytes()[..])
                .execute(&mut *tx)
                .await
                .map_err(&failed)?;
        }
        sqlx::query(MOVE)
            .bind(&id.as_bytes()[..])
            .bind(place(&State::ALL, &found.state))
            .bind(found.start_time.map(micros))
            .bind(found.expire_time.map(micros))
            .bind(found.end_time.map(micros))
            .bind(names(&found.prepared_by)?)
            .bind(found.submitted.as_ref().map(|(by, _)| by.as_str()))
            .bind(found.submitted.as_ref().map(|(_, time)| micros(*time)))
            .execute(&mut *tx)
            .await
            .map_err(&failed)?;
        audit(&mut tx, TRANSACTION, &[line_by(company, action, id, &order.operator)], now).await?;
        self.walks.count(&mut tx, TRANSACTION, begun).await?;
        tx.commit().await.map_err(&failed)?;
        if found.state == State::Cancelled {
            self.walks.forget(id);
        }
        Ok(found)
    }

    async fn get_distribution(
        &self,
        company: &CompanyId,
        id: DistributionId,
    ) -> Result<Distribution, StoreError> {
        const TRANSACTION: &str = "get_distribution";
        let mut tx = self.database.read().begin().await.map_err(StoreError::during(TRANSACTION))?;
        read_one(&mut tx, TRANSACTION, company, id).await
    }

    async fn list_distributions(
        &self,
        company: &CompanyId,
        (account, state): (Option<&OfficialAccountId>, Option<State>),
        limit: u32,
    ) -> Result<Vec<Distribution>, StoreError> {
        const TRANSACTION: &str = "list_distributions";
        let failed = StoreError::during(TRANSACTION);
        let mut tx = self.database.read().begin().await.map_err(&failed)?;
        let found = sqlx::query(if state.is_some() { LIST_OF_STATE } else { LIST })
            .bind(company.as_str())
            .bind(account.map(OfficialAccountId::as_str))
            .bind(limit);
        let found = match state {
            Some(state) => found.bind(place(&State::ALL, &state)),
            None => found,
        };
        let found = found.fetch_all(&mut *tx).await.map_err(&failed)?;
        let found = found.iter().map(distribution_of).collect::<Result<_, _>>()?;
        with_tallies(&mut tx, TRANSACTION, found).await
    }

    async fn count_following(&self, _: &CompanyId, account: &OfficialAccountId) -> Result<u64, StoreError> {
        count_following(self.database.read(), "count_following", account).await
    }

    async fn get_templates(&self, id: DistributionId) -> Result<Templates, StoreError> {
        templates(self.database.read(), "get_templates", id).await
    }

    async fn preview_distribution(
        &self,
        company: &CompanyId,
        id: DistributionId,
        operator: &OperatorName,
        now: Timestamp,
    ) -> Result<Preview, StoreError> {
        const TRANSACTION: &str = "preview_distribution";
        let failed = StoreError::during(TRANSACTION);
        let mut tx = self.database.read().begin().await.map_err(&failed)?;
        let found = read_one(&mut tx, TRANSACTION, company, id).await?;
        let of_audience = |query: &'static str| {
            sqlx::query(query).bind(found.account.as_str()).bind(&id.as_bytes()[..]).bind(micros(now))
        };
        let counts = of_audience(AUDIENCE).fetch_one(&mut *tx).await.map_err(&failed)?;
        let samples = of_audience(SAMPLES).fetch_all(&mut *tx).await.map_err(&failed)?;
        drop(tx);
        let (following, individual): (u64, u64) = (counts.small(0)?, counts.small(1)?);
        let matched: u64 = counts.small(3)?;
        let keys = self.vault.keys();
        let samples = samples
            .iter()
            .map(|row| keys.values(found.account.as_str(), (id.as_bytes(), row.text(0)?), row.bytes(1)?));
        let preview = Preview {
            individual,
            uniform: following.saturating_sub(individual),
            confirmed_without_values: counts.small(2)?,
            values_without_follower: found.values.saturating_sub(matched),
            samples: samples.collect::<Result<_, _>>()?,
        };
        let mut tx = self.database.write(TRANSACTION).await?;
        audit(&mut tx, TRANSACTION, &[line_by(company, "distribution_previewed", id, operator)], now).await?;
        tx.commit().await.map_err(&failed)?;
        Ok(preview)
    }
}

async fn count_following(
    database: impl SqliteExecutor<'_>,
    transaction: &'static str,
    account: &OfficialAccountId,
) -> Result<u64, StoreError> {
    let row = sqlx::query(FOLLOWING).bind(account.as_str()).fetch_one(database).await;
    row.map_err(StoreError::during(transaction))?.small(0)
}

/// What a distribution says.
pub(super) async fn templates(
    database: impl SqliteExecutor<'_>,
    transaction: &'static str,
    id: DistributionId,
) -> Result<Templates, StoreError> {
    let row = sqlx::query(TEMPLATES).bind(&id.as_bytes()[..]).fetch_optional(database).await;
    let row = row.map_err(StoreError::during(transaction))?.ok_or_else(not_found)?;
    Ok(Templates {
        uniform: template::from_text(row.text(0)?)?,
        individual: row.maybe_text(1)?.map(template::from_text).transpose()?,
    })
}

/// A company's distribution with its counts.
pub(super) async fn read_one(
    tx: &mut Transaction<'_, Sqlite>,
    transaction: &'static str,
    company: &CompanyId,
    id: DistributionId,
) -> Result<Distribution, StoreError> {
    let found = sqlx::query(GET)
        .bind(company.as_str())
        .bind(&id.as_bytes()[..])
        .fetch_optional(&mut **tx)
        .await
        .map_err(StoreError::during(transaction))?
        .ok_or_else(not_found)?;
    let found = with_tallies(tx, transaction, vec![distribution_of(&found)?]).await?;
    found.into_iter().next().ok_or_else(|| not_found().into())
}

/// What these distributions have made, by what it says and where it stands.
pub(super) async fn deliveries_of(
    tx: &mut Transaction<'_, Sqlite>,
    transaction: &'static str,
    ids: &[DistributionId],
) -> Result<HashMap<DistributionId, Vec<Counted>>, StoreError> {
    let ids: Vec<_> = ids.iter().map(|id| Id::of(id.as_bytes())).collect();
    let found = sqlx::query(TALLIES).bind(rows(&ids)?).fetch_all(&mut **tx).await;
    let mut deliveries: HashMap<DistributionId, Vec<Counted>> = HashMap::new();
    for row in &found.map_err(StoreError::during(transaction))? {
        let (purpose, state) = (row.one_of(&Purpose::ALL, 1)?, row.one_of(&DeliveryState::ALL, 2)?);
        let id = DistributionId::from_bytes(row.id(0)?);
        deliveries.entry(id).or_default().push((purpose, state, row.small(3)?));
    }
    Ok(deliveries)
}

async fn with_tallies(
    tx: &mut Transaction<'_, Sqlite>,
    transaction: &'static str,
    mut found: Vec<Distribution>,
) -> Result<Vec<Distribution>, StoreError> {
    let ids: Vec<_> = found.iter().map(|distribution| distribution.id).collect();
    let mut deliveries = deliveries_of(tx, transaction, &ids).await?;
    let ids: Vec<_> = ids.iter().map(|id| Id::of(id.as_bytes())).collect();
    let tapped = sqlx::query(TAPS).bind(rows(&ids)?).fetch_all(&mut **tx).await;
    let mut taps = taps_of(&tapped.map_err(StoreError::during(transaction))?)?;
    for distribution in &mut found {
        distribution.deliveries = deliveries.remove(&distribution.id).unwrap_or_default();
        distribution.taps = taps.remove(&distribution.id).unwrap_or_default();
    }
    Ok(found)
}
