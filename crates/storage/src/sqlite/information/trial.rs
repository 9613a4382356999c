//! Trials of distributions, on SQLite.

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use musubi_domain::{
    delivery::{DeliveryState, Purpose},
    id::{CompanyId, DistributionId, FollowerId},
    trial,
};
use sqlx::{Sqlite, Transaction};

use super::{
    SqliteInformation,
    audit::audit,
    distribution::{PUT_VALUES, SAME_REQUEST, read_one, templates},
    expansion::message,
    tally,
};
use crate::{
    StoreError,
    information::{
        distribution::{Templates, preparers},
        tally::{Tally, TallyKey},
        template,
        trial::{
            NewTrial, Trial, TrialStore, is_same, put_recipients, templates_of, trial_of, tried_line,
            values_of,
        },
    },
    row::{Columns as _, Id, micros, place},
    sqlite::rows,
    vault::Keys,
};

pub(super) const IN_LAST_HOUR: &str = "
    SELECT count(*) FROM distribution INDEXED BY distribution_tried
    WHERE company = ?1 AND create_time > ?2 AND trial_of IS NOT NULL";

/// It runs, and everybody has their delivery.
pub(super) const INSERT: &str = "
    INSERT INTO distribution (distribution_id, company, official_account, request_id, request_digest, name, uniform,
        individual, state, cursor, expanded, messages_per_second, create_time, start_time, expire_time, prepared_by, customers,
        trial_of, absent)
    SELECT ?1, company, official_account, ?3, ?4, name, ?5, ?6, 1, 0, 1, messages_per_second, ?7, ?7, ?8, ?9, ?10, ?2, ?11
    FROM distribution WHERE distribution_id = ?2";

pub(super) const NAMED: &str = "
    SELECT k.key, f.number, f.follower, f.carrier, v.customer_id, v.variables FROM jsonb_each(?2) AS k
    CROSS JOIN follower AS f ON f.official_account = ?1 AND f.follower = unhex(k.value)
    LEFT JOIN customer_information AS t ON t.number = f.number
    LEFT JOIN distribution_value AS v ON v.distribution = ?3 AND v.customer_id = t.customer_id
    WHERE f.following = 1";

pub(super) const MAKE: &str = "
    INSERT INTO delivery (message_id, number, official_account, carrier, distribution, purpose, state, attempts, due_time,
        expire_time, change_time)
    SELECT unhex(value ->> 2), value ->> 1, ?2, value ->> 3, ?3, ?4, ?5, 0, ?6, ?7, ?6 FROM jsonb_each(?1)";

pub(super) const REMEMBER: &str = "
    INSERT INTO trial_recipient (distribution, place, number, message_id)
    SELECT ?2, value ->> 0, value ->> 1, unhex(value ->> 2) FROM jsonb_each(?1)";

macro_rules! trials {
    ($which:literal) => {
        concat!(
            "SELECT distribution_id, prepared_by, create_time, expire_time, absent FROM distribution ",
            $which
        )
    };
}

pub(super) const GET: &str = trials!("WHERE distribution_id = ?1 AND trial_of IS NOT NULL");

pub(super) const LIST: &str = trials!(
    "INDEXED BY distribution_trials WHERE trial_of = ?1 AND trial_of IS NOT NULL ORDER BY distribution_id DESC LIMIT ?2"
);

pub(super) const RECIPIENTS: &str = "
    SELECT r.distribution, f.official_account, f.follower, f.phone_number, m.purpose, m.state, f.suspended,
        t.tie_id, t.customer_id, t.expire_time, t.suspended, t.proved_time, t.silent_time, t.ask_time, t.doubt,
        v.customer_id IS NOT NULL
    FROM jsonb_each(?1) AS k
    CROSS JOIN trial_recipient AS r ON r.distribution = unhex(k.value)
    CROSS JOIN follower AS f ON f.number = r.number
    CROSS JOIN delivery AS m ON m.message_id = r.message_id
    LEFT JOIN customer_information AS t ON t.number = r.number
    LEFT JOIN distribution_value AS v ON v.distribution = r.distribution AND v.customer_id = t.customer_id
    ORDER BY k.key, r.place";

#[async_trait]
impl TrialStore for SqliteInformation {
    async fn try_distribution(&self, new: &NewTrial, now: Timestamp) -> Result<Trial, StoreError> {
        const TRANSACTION: &str = "try_distribution";
        let failed = StoreError::during(TRANSACTION);
        let keys = self.vault.keys();
        let mut tx = self.database.write(TRANSACTION).await?;
        let same = sqlx::query(SAME_REQUEST).bind(new.company.as_str()).bind(&new.request_id.as_bytes()[..]);
        if let Some(row) = same.fetch_optional(&mut *tx).await.map_err(&failed)? {
            return read(&mut tx, TRANSACTION, is_same(&row, new)?, now, &keys).await;
        }
        let tried = read_one(&mut tx, TRANSACTION, &new.company, new.of).await?;
        trial::check(tried.state, tried.start_time, now)?;
        let in_last_hour = sqlx::query(IN_LAST_HOUR).bind(new.company.as_str());
        let hour_ago = now.checked_sub(SignedDuration::from_hours(1)).unwrap_or(Timestamp::MIN);
        let in_last_hour = in_last_hour.bind(micros(hour_ago)).fetch_one(&mut *tx).await.map_err(&failed)?;
        trial::check_rate(in_last_hour.small(0)?)?;
        let account = tried.account.as_str();
        let ids: Vec<_> = new.followers.iter().map(|follower| Id::of(follower.as_bytes())).collect();
        let named = sqlx::query(NAMED).bind(account).bind(rows(&ids)?).bind(&new.of.as_bytes()[..]);
        let named = named.fetch_all(&mut *tx).await.map_err(&failed)?;
        let values = named.iter().map(|row| Ok(row.maybe_text(4)?.zip(row.maybe_bytes(5)?)));
        let values = values.collect::<Result<Vec<_>, StoreError>>()?;
        let values = values_of(values.into_iter().flatten(), new, account, &keys)?;
        let tried = templates(&mut *tx, TRANSACTION, new.of).await?;
        let Templates { uniform, individual } = templates_of(&tried)?;
        let expire_time = now.checked_add(trial::LASTS).unwrap_or(Timestamp::MAX);
        let id = &new.id.as_bytes()[..];
        sqlx::query(INSERT)
            .bind(id)
            .bind(&new.of.as_bytes()[..])
            .bind(&new.request_id.as_bytes()[..])
            .bind(&new.digest[..])
            .bind(template::to_text(&uniform)?)
            .bind(individual.as_ref().map(template::to_text).transpose()?)
            .bind(micros(now))
            .bind(micros(expire_time))
            .bind(preparers(&[], &new.operator)?)
            .bind(i64::try_from(values.len()).unwrap_or(i64::MAX))
            .bind(i64::try_from(new.followers.len() - named.len()).unwrap_or(i64::MAX))
            .execute(&mut *tx)
            .await
            .map_err(&failed)?;
        let put = sqlx::query(PUT_VALUES).bind(id).bind(rows(&values)?);
        put.execute(&mut *tx).await.map_err(&failed)?;
        let (purpose, state) =
            (place(&Purpose::ALL, &Purpose::Undecided), place(&DeliveryState::ALL, &DeliveryState::Queued));
        let (mut made, mut tally) = (Vec::with_capacity(named.len()), Tally::default());
        for row in &named {
            let (number, carrier) = (row.int(1)?, row.text(3)?);
            let message = message(new.id, FollowerId::from_bytes(row.id(2)?), number);
            made.push((row.int(0)?, number, Id::of(message.as_bytes()), carrier));
            tally.add(TallyKey::new(account, carrier, id, purpose, state), 1);
        }
        let made = rows(&made)?;
        let make = sqlx::query(MAKE).bind(&made).bind(account).bind(id).bind(purpose).bind(state);
        let make = make.bind(micros(now)).bind(micros(expire_time));
        make.execute(&mut *tx).await.map_err(&failed)?;
        sqlx::query(REMEMBER).bind(&made).bind(id).execute(&mut *tx).await.map_err(&failed)?;
        tally::store(&tally, &mut tx, TRANSACTION).await?;
        audit(&mut tx, TRANSACTION, &[tried_line(new, named.len())], now).await?;
        let made = read(&mut tx, TRANSACTION, new.id, now, &keys).await?;
        tx.commit().await.map_err(&failed)?;
        Ok(made)
    }

    async fn list_trials(
        &self,
        company: &CompanyId,
        of: DistributionId,
        limit: u32,
        now: Timestamp,
    ) -> Result<Vec<Trial>, StoreError> {
        const TRANSACTION: &str = "list_trials";
        let failed = StoreError::during(TRANSACTION);
        let mut tx = self.database.read().begin().await.map_err(&failed)?;
        read_one(&mut tx, TRANSACTION, company, of).await?;
        let found = sqlx::query(LIST).bind(&of.as_bytes()[..]).bind(limit);
        let found = found.fetch_all(&mut *tx).await.map_err(&failed)?;
        let found = found.iter().map(trial_of).collect::<Result<_, _>>()?;
        with_recipients(&mut tx, TRANSACTION, found, now, &self.vault.keys()).await
    }
}

async fn read(
    tx: &mut Transaction<'_, Sqlite>,
    transaction: &'static str,
    id: DistributionId,
    now: Timestamp,
    keys: &Keys,
) -> Result<Trial, StoreError> {
    let found = sqlx::query(GET).bind(&id.as_bytes()[..]).fetch_one(&mut **tx).await;
    let found = trial_of(&found.map_err(StoreError::during(transaction))?)?;
    let found = with_recipients(tx, transaction, vec![found], now, keys).await?;
    found.into_iter().next().ok_or_else(|| StoreError::Corrupt("a trial is lost".to_owned()))
}

async fn with_recipients(
    tx: &mut Transaction<'_, Sqlite>,
    transaction: &'static str,
    mut trials: Vec<Trial>,
    now: Timestamp,
    keys: &Keys,
) -> Result<Vec<Trial>, StoreError> {
    let ids: Vec<_> = trials.iter().map(|trial| Id::of(trial.id.as_bytes())).collect();
    let found = sqlx::query(RECIPIENTS).bind(rows(&ids)?).fetch_all(&mut **tx).await;
    put_recipients(&mut trials, &found.map_err(StoreError::during(transaction))?, now, keys)?;
    Ok(trials)
}
