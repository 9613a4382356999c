//! Custody on SQLite.

use async_trait::async_trait;
use jiff::Timestamp;
use musubi_domain::{
    blind::{BlindCustomer, Blinding},
    customer::KeyedCustomer,
    id::CompanyId,
};
use sqlx::{Sqlite, Transaction};

use super::{SqliteInformation, audit::audit};
use crate::{
    MakeKeys, StoreError,
    information::{
        custody::{
            ABANDONED_AFTER, CopyNumber, Custody, CustodyStore, Entrusted, PurgeReason, blind_of, blind_rows,
            blinding_of, entrusted_detail, given_up, hashes, seal_key,
        },
        flow::Audit,
        record::{custody_of, entrusted_of, purged_line},
    },
    row::{Columns as _, micros},
    sqlite::{Packed, rows},
    vault::customer::{account_key, seal_entrusted},
};

/// Rows that one transaction of a purge destroys.
const PURGE_BATCH: u32 = 10_000;

pub(super) const BEGIN: &str = "
    INSERT INTO custody (company, copy, state, chunk_time, digest_rules)
    SELECT ?1, coalesce(max(copy), 0) + 1, 0, ?2, ?3 FROM custody WHERE company = ?1
    RETURNING copy";

/// The key is sealed for its copy, whose number is known only now.
pub(super) const BLIND: &str = "UPDATE custody SET digest_key = ?3 WHERE company = ?1 AND copy = ?2";

pub(super) const TOUCH: &str =
    "UPDATE custody SET chunk_time = ?3 WHERE company = ?1 AND copy = ?2 AND state = 0";

pub(super) const ADD: &str = "
    INSERT INTO entrusted_customer (company, copy, account_key, customer_id, record, rules_version)
    SELECT ?1, ?2, substr(?4, value ->> 2, 16), value ->> 0, substr(?4, (value ->> 2) + 16, value ->> 3), value ->> 1
    FROM jsonb_each(?3) WHERE true
    ON CONFLICT (company, copy, account_key, customer_id) DO UPDATE SET
        record = excluded.record, rules_version = excluded.rules_version";

pub(super) const ADD_BLIND: &str = "
    INSERT INTO blind_customer (company, copy, account, customer_id, digests)
    SELECT ?1, ?2, unhex(value ->> 0), value ->> 1, unhex(value ->> 2) FROM jsonb_each(?3) WHERE true
    ON CONFLICT (company, copy, account, customer_id) DO UPDATE SET digests = excluded.digests";

pub(super) const END: &str = "
    UPDATE custody SET state = 2, digest_key = NULL, purge_reason = ?2 WHERE company = ?1 AND state = 1";

pub(super) const TAKE_EFFECT: &str = "
    UPDATE custody SET state = 1, entrust_time = ?3, lease_end_time = ?4,
        customers = (SELECT count(*) FROM entrusted_customer AS e WHERE e.company = ?1 AND e.copy = ?2)
            + (SELECT count(*) FROM blind_customer AS b WHERE b.company = ?1 AND b.copy = ?2)
    WHERE company = ?1 AND copy = ?2 AND state = 0
    RETURNING customers, entrust_time, lease_end_time, purge_reason, purge_time, digest_rules";

pub(super) const END_LEASES: &str = "
    UPDATE custody SET state = 2, digest_key = NULL, purge_reason = ?2
    WHERE state = 1 AND purge_time IS NULL AND lease_end_time <= ?1";

pub(super) const GIVE_UP: &str = "
    UPDATE custody SET state = 2, digest_key = NULL WHERE state = 0 AND purge_time IS NULL AND chunk_time <= ?1";

pub(super) const ANY_TO_PURGE: &str = "
    SELECT EXISTS (SELECT 1 FROM custody INDEXED BY custody_held WHERE purge_time IS NULL
        AND (state = 2 OR state = 1 AND lease_end_time <= ?1 OR state = 0 AND chunk_time <= ?2))";

pub(super) const DESTROY: &str = "
    DELETE FROM entrusted_customer WHERE (company, copy, account_key, customer_id) IN
        (SELECT e.company, e.copy, e.account_key, e.customer_id
         FROM custody AS c CROSS JOIN entrusted_customer AS e ON e.company = c.company AND e.copy = c.copy
         WHERE c.state = 2 AND c.purge_time IS NULL AND c.company = coalesce(?1, c.company)
         LIMIT ?2)";

pub(super) const DESTROY_BLIND: &str = "
    DELETE FROM blind_customer WHERE (company, copy, account, customer_id) IN
        (SELECT b.company, b.copy, b.account, b.customer_id
         FROM custody AS c CROSS JOIN blind_customer AS b ON b.company = c.company AND b.copy = c.copy
         WHERE c.state = 2 AND c.purge_time IS NULL AND c.company = coalesce(?1, c.company)
         LIMIT ?2)";

pub(super) const PURGED: &str = "
    UPDATE custody SET state = 3, purge_time = ?1
    WHERE state = 2 AND purge_time IS NULL AND NOT EXISTS
        (SELECT 1 FROM entrusted_customer AS e WHERE e.company = custody.company AND e.copy = custody.copy)
        AND NOT EXISTS (SELECT 1 FROM blind_customer AS b WHERE b.company = custody.company AND b.copy = custody.copy)
    RETURNING company, copy, customers, coalesce(purge_reason, 'abandoned')";

pub(super) const LIST: &str = "
    SELECT customers, entrust_time, lease_end_time, purge_reason, purge_time, digest_rules FROM custody
    WHERE company = ?1 AND entrust_time IS NOT NULL ORDER BY copy DESC LIMIT 100";

pub(super) const IN_EFFECT: &str = "
    SELECT copy, digest_rules, digest_key FROM custody WHERE company = ?1 AND state = 1 AND lease_end_time > ?2";

/// The columns of [`entrusted_of`].
macro_rules! columns {
    () => {
        "company, copy, account_key, customer_id, rules_version, record"
    };
}

pub(super) const CANDIDATES: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM entrusted_customer
    WHERE company = ?1 AND copy = ?2 AND account_key IN (SELECT unhex(value) FROM jsonb_each(?3))"
);

pub(super) const BLIND_CANDIDATES: &str = "
    SELECT account, customer_id, digests FROM blind_customer
    WHERE company = ?1 AND copy = ?2 AND account IN (SELECT unhex(value) FROM jsonb_each(?3))";

pub(super) const OF_OTHER_RULES: &str = concat!(
    "SELECT ",
    columns!(),
    ", rowid FROM entrusted_customer WHERE rules_version < ?1 OR rules_version > ?1 LIMIT ?2"
);

pub(super) const REKEY: &str = "
    UPDATE entrusted_customer SET rules_version = ?1, record = substr(?3, k.value ->> 1, k.value ->> 2)
    FROM jsonb_each(?2) AS k WHERE entrusted_customer.rowid = k.value ->> 0";

#[async_trait]
impl CustodyStore for SqliteInformation {
    async fn begin_copy(
        &self,
        company: &CompanyId,
        blinding: Option<&Blinding>,
        now: Timestamp,
    ) -> Result<CopyNumber, StoreError> {
        const TRANSACTION: &str = "begin_copy";
        let failed = StoreError::during(TRANSACTION);
        let mut tx = self.database.write(TRANSACTION).await?;
        let copy = sqlx::query_scalar(BEGIN)
            .bind(company.as_str())
            .bind(micros(now))
            .bind(blinding.map(|blinding| blinding.rules_version))
            .fetch_one(&mut *tx)
            .await
            .map_err(&failed)?;
        if let Some(blinding) = blinding {
            let sealed =
                seal_key(self.vault.keys().of_company(company.as_str())?, i64::from(copy), &blinding.key)?;
            let blind = sqlx::query(BLIND).bind(company.as_str()).bind(copy).bind(sealed);
            blind.execute(&mut *tx).await.map_err(&failed)?;
        }
        tx.commit().await.map_err(&failed)?;
        Ok(CopyNumber(copy))
    }

    async fn add_customers(
        &self,
        company: &CompanyId,
        copy: CopyNumber,
        customers: &[KeyedCustomer],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        const TRANSACTION: &str = "add_customers";
        let failed = StoreError::during(TRANSACTION);
        let mut packed = Packed::new();
        let keys = self.vault.keys();
        let keys = keys.of_company(company.as_str())?;
        let mut values = Vec::with_capacity(customers.len());
        for KeyedCustomer { customer, keys: made } in customers {
            let sealed = seal_entrusted(keys, copy.0.into(), customer, &made.bytes)?;
            let (start, _) = packed.put(&sealed.account_key);
            let (_, length) = packed.put(&sealed.record);
            values.push((customer.customer_id.as_str(), made.rules_version, start, length));
        }
        let values = rows(&values)?;
        let mut tx = self.database.write(TRANSACTION).await?;
        touch(&mut tx, TRANSACTION, company, copy, now).await?;
        sqlx::query(ADD)
            .bind(company.as_str())
            .bind(copy.0)
            .bind(values)
            .bind(packed.0)
            .execute(&mut *tx)
            .await
            .map_err(&failed)?;
        tx.commit().await.map_err(&failed)
    }

    async fn add_digests(
        &self,
        company: &CompanyId,
        copy: CopyNumber,
        customers: &[BlindCustomer],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        const TRANSACTION: &str = "add_digests";
        let failed = StoreError::during(TRANSACTION);
        let values = rows(&blind_rows(customers))?;
        let mut tx = self.database.write(TRANSACTION).await?;
        touch(&mut tx, TRANSACTION, company, copy, now).await?;
        let add = sqlx::query(ADD_BLIND).bind(company.as_str()).bind(copy.0).bind(values);
        add.execute(&mut *tx).await.map_err(&failed)?;
        tx.commit().await.map_err(&failed)
    }

    async fn take_effect(
        &self,
        company: &CompanyId,
        copy: CopyNumber,
        lease_end: Timestamp,
        now: Timestamp,
    ) -> Result<Custody, StoreError> {
        const TRANSACTION: &str = "entrust_copy";
        let failed = StoreError::during(TRANSACTION);
        let mut tx = self.database.write(TRANSACTION).await?;
        end(&mut tx, TRANSACTION, company, PurgeReason::Replaced).await?;
        let taken = sqlx::query(TAKE_EFFECT)
            .bind(company.as_str())
            .bind(copy.0)
            .bind(micros(now))
            .bind(micros(lease_end))
            .fetch_optional(&mut *tx)
            .await
            .map_err(&failed)?
            .ok_or_else(given_up)?;
        let custody = custody_of(&taken)?;
        let detail = entrusted_detail(copy, &custody);
        let line = Audit { company: Some(company.clone()), key: None, action: "customers_entrusted", detail };
        audit(&mut tx, TRANSACTION, &[line], now).await?;
        tx.commit().await.map_err(&failed)?;
        Ok(custody)
    }

    async fn purge(&self, company: &CompanyId, now: Timestamp) -> Result<u64, StoreError> {
        const TRANSACTION: &str = "purge_custody";
        let failed = StoreError::during(TRANSACTION);
        let mut tx = self.database.write(TRANSACTION).await?;
        end(&mut tx, TRANSACTION, company, PurgeReason::Asked).await?;
        tx.commit().await.map_err(&failed)?;
        let mut purged = 0;
        loop {
            let mut tx = self.database.write(TRANSACTION).await?;
            let destroyed = destroy(&mut tx, TRANSACTION, Some(company), PURGE_BATCH, now).await?;
            tx.commit().await.map_err(&failed)?;
            purged += u64::from(destroyed);
            if destroyed < PURGE_BATCH {
                return Ok(purged);
            }
        }
    }

    async fn purge_ended(&self, limit: u32, now: Timestamp) -> Result<u32, StoreError> {
        const TRANSACTION: &str = "purge_ended_custody";
        let failed = StoreError::during(TRANSACTION);
        let idle = now.checked_sub(ABANDONED_AFTER).unwrap_or(Timestamp::MIN);
        // Asked first, so that an idle server doesn't keep its one writer busy.
        let any: bool = sqlx::query_scalar(ANY_TO_PURGE)
            .bind(micros(now))
            .bind(micros(idle))
            .fetch_one(self.database.read())
            .await
            .map_err(&failed)?;
        if !any {
            return Ok(0);
        }
        let mut tx = self.database.write(TRANSACTION).await?;
        sqlx::query(END_LEASES)
            .bind(micros(now))
            .bind(PurgeReason::LeaseEnded.as_str())
            .execute(&mut *tx)
            .await
            .map_err(&failed)?;
        sqlx::query(GIVE_UP).bind(micros(idle)).execute(&mut *tx).await.map_err(&failed)?;
        let destroyed = destroy(&mut tx, TRANSACTION, None, limit, now).await?;
        tx.commit().await.map_err(&failed)?;
        Ok(destroyed)
    }

    async fn list_custodies(&self, company: &CompanyId) -> Result<Vec<Custody>, StoreError> {
        let found = sqlx::query(LIST)
            .bind(company.as_str())
            .fetch_all(self.database.read())
            .await
            .map_err(StoreError::during("list_custodies"))?;
        found.iter().map(custody_of).collect()
    }

    async fn candidates(
        &self,
        company: &CompanyId,
        account_keys: &[&str],
        now: Timestamp,
    ) -> Result<Option<Entrusted>, StoreError> {
        const TRANSACTION: &str = "list_candidates";
        let failed = StoreError::during(TRANSACTION);
        // One snapshot: a copy that is replaced in between must not look like a master without these customers.
        let mut tx = self.database.read_fresh().begin().await.map_err(&failed)?;
        let in_effect = sqlx::query(IN_EFFECT)
            .bind(company.as_str())
            .bind(micros(now))
            .fetch_optional(&mut *tx)
            .await
            .map_err(&failed)?;
        let Some(in_effect) = in_effect else { return Ok(None) };
        let keys = self.vault.keys();
        let of_company = keys.of_company(company.as_str())?;
        let blinding = blinding_of(of_company, &in_effect)?;
        let (statement, accounts) = match &blinding {
            None => (CANDIDATES, hashes(account_keys, |account| account_key(of_company, account))),
            Some(blinding) => {
                (BLIND_CANDIDATES, hashes(account_keys, |account| blinding.key.account(account)))
            }
        };
        let found = sqlx::query(statement)
            .bind(company.as_str())
            .bind(in_effect.int(0)?)
            .bind(rows(&accounts)?)
            .fetch_all(&mut *tx)
            .await
            .map_err(&failed)?;
        Ok(Some(match blinding {
            None => {
                Entrusted::Plain(found.iter().map(|row| entrusted_of(row, &keys)).collect::<Result<_, _>>()?)
            }
            Some(blinding) => {
                Entrusted::Blind(blinding, found.iter().map(blind_of).collect::<Result<_, _>>()?)
            }
        }))
    }

    async fn rekey(&self, rules_version: u32, limit: u32, make: &MakeKeys<'_>) -> Result<u32, StoreError> {
        const TRANSACTION: &str = "rekey";
        let failed = StoreError::during(TRANSACTION);
        let mut tx = self.database.write(TRANSACTION).await?;
        let found = sqlx::query(OF_OTHER_RULES)
            .bind(rules_version)
            .bind(limit)
            .fetch_all(&mut *tx)
            .await
            .map_err(&failed)?;
        if found.is_empty() {
            return Ok(0);
        }
        let (mut packed, keys) = (Packed::new(), self.vault.keys());
        let mut fresh: Vec<(i64, usize, usize)> = Vec::with_capacity(found.len());
        for row in &found {
            let customer = entrusted_of(row, &keys)?.customer;
            let of_company = keys.of_company(row.text(0)?)?;
            let sealed = seal_entrusted(of_company, row.int(1)?, &customer, &make(&customer))?;
            let (start, length) = packed.put(&sealed.record);
            fresh.push((row.int(6)?, start, length));
        }
        let rekeyed = sqlx::query(REKEY)
            .bind(rules_version)
            .bind(rows(&fresh)?)
            .bind(packed.0)
            .execute(&mut *tx)
            .await
            .map_err(&failed)?
            .rows_affected();
        tx.commit().await.map_err(&failed)?;
        Ok(u32::try_from(rekeyed).unwrap_or(u32::MAX))
    }
}

/// A chunk came.
async fn touch(
    tx: &mut Transaction<'_, Sqlite>,
    transaction: &'static str,
    company: &CompanyId,
    copy: CopyNumber,
    now: Timestamp,
) -> Result<(), StoreError> {
    let touched = sqlx::query(TOUCH)
        .bind(company.as_str())
        .bind(copy.0)
        .bind(micros(now))
        .execute(&mut **tx)
        .await
        .map_err(StoreError::during(transaction))?;
    if touched.rows_affected() == 0 { Err(given_up().into()) } else { Ok(()) }
}

/// Ends the copy in effect.
async fn end(
    tx: &mut Transaction<'_, Sqlite>,
    transaction: &'static str,
    company: &CompanyId,
    reason: PurgeReason,
) -> Result<(), StoreError> {
    let end = sqlx::query(END).bind(company.as_str()).bind(reason.as_str());
    end.execute(&mut **tx).await.map(drop).map_err(StoreError::during(transaction))
}

/// Destroys rows of ended copies, of one company or of all, and writes down which copies are gone with that.
async fn destroy(
    tx: &mut Transaction<'_, Sqlite>,
    transaction: &'static str,
    company: Option<&CompanyId>,
    limit: u32,
    now: Timestamp,
) -> Result<u32, StoreError> {
    let failed = StoreError::during(transaction);
    let mut destroyed = 0_u32;
    for statement in [DESTROY, DESTROY_BLIND] {
        let destroy =
            sqlx::query(statement).bind(company.map(CompanyId::as_str)).bind(limit.saturating_sub(destroyed));
        let gone = destroy.execute(&mut **tx).await.map_err(&failed)?.rows_affected();
        destroyed = destroyed.saturating_add(u32::try_from(gone).unwrap_or(u32::MAX));
    }
    let purged = sqlx::query(PURGED).bind(micros(now)).fetch_all(&mut **tx).await.map_err(&failed)?;
    let lines = purged.iter().map(purged_line).collect::<Result<Vec<_>, _>>()?;
    audit(tx, transaction, &lines, now).await?;
    Ok(destroyed)
}
