//! Custody on PostgreSQL.
//!
//! Surprising: a row that was destroyed stays in the table's file until a vacuum takes its place, and in the log and its archive
//! as long as these are kept.

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;
use musubi_domain::{
    blind::{BlindCustomer, Blinding},
    customer::KeyedCustomer,
    id::CompanyId,
};

use super::{PostgresInformation, audit::audit};
use crate::{
    MakeKeys, StoreError,
    information::{
        custody::{
            ABANDONED_AFTER, BlindRow, CopyNumber, Custody, CustodyStore, Entrusted, PurgeReason, blind_of,
            blind_rows, blinding_of, entrusted_detail, given_up, hashes, seal_key,
        },
        flow::Audit,
        record::{custody_of, entrusted_of, purged_line},
    },
    postgres::{Tx, again},
    row::{BulkRow as _, Bytes, Columns as _, bulk_rows, micros},
    vault::customer::{account_key, seal_entrusted},
};

/// Rows that one transaction of a purge destroys.
const PURGE_BATCH: u32 = 10_000;

const BEGIN: &str = "
    INSERT INTO custody (company, copy, state, chunk_time, digest_rules)
    SELECT $1, coalesce(max(copy), 0) + 1, 0, $2, $3 FROM custody WHERE company = $1
    RETURNING copy";

/// The key is sealed for its copy, whose number is known only now.
const BLIND: &str = "UPDATE custody SET digest_key = $3 WHERE company = $1 AND copy = $2";

const TOUCH: &str = "UPDATE custody SET chunk_time = $3 WHERE company = $1 AND copy = $2 AND state = 0";

const ADD: &str = "
    INSERT INTO entrusted_customer (company, copy, account_key, customer_id, rules_version, record)
    SELECT $1, $2, k.* FROM unnest($3::bytea[], $4::text[], $5::bigint[], $6::bytea[]) AS k
    ON CONFLICT (company, copy, account_key, customer_id) DO UPDATE SET
        record = excluded.record, rules_version = excluded.rules_version";

const ADD_BLIND: &str = "
    INSERT INTO blind_customer (company, copy, account, customer_id, digests)
    SELECT $1, $2, k.* FROM unnest($3::bytea[], $4::text[], $5::bytea[]) AS k
    ON CONFLICT (company, copy, account, customer_id) DO UPDATE SET digests = excluded.digests";

const END: &str =
    "UPDATE custody SET state = 2, digest_key = NULL, purge_reason = $2 WHERE company = $1 AND state = 1";

const TAKE_EFFECT: &str = "
    UPDATE custody SET state = 1, entrust_time = $3, lease_end_time = $4,
        customers = (SELECT count(*) FROM entrusted_customer AS e WHERE e.company = $1 AND e.copy = $2)
            + (SELECT count(*) FROM blind_customer AS b WHERE b.company = $1 AND b.copy = $2)
    WHERE company = $1 AND copy = $2 AND state = 0
    RETURNING customers, entrust_time, lease_end_time, purge_reason, purge_time, digest_rules";

const END_LEASES: &str = "
    UPDATE custody SET state = 2, digest_key = NULL, purge_reason = $2
    WHERE state = 1 AND purge_time IS NULL AND lease_end_time <= $1";

const GIVE_UP: &str = "
    UPDATE custody SET state = 2, digest_key = NULL WHERE state = 0 AND purge_time IS NULL AND chunk_time <= $1";

pub(super) const ANY_TO_PURGE: &str = "
    SELECT EXISTS (SELECT 1 FROM custody WHERE purge_time IS NULL
        AND (state = 2 OR state = 1 AND lease_end_time <= $1 OR state = 0 AND chunk_time <= $2))";

pub(super) const DESTROY: &str = "
    DELETE FROM entrusted_customer AS e USING
        (SELECT d.company, d.copy, d.account_key, d.customer_id, d.place FROM custody AS c
         CROSS JOIN LATERAL (SELECT d.*, d.ctid AS place FROM entrusted_customer AS d
             WHERE d.company = c.company AND d.copy = c.copy LIMIT $2 FOR UPDATE SKIP LOCKED) AS d
         WHERE c.state = 2 AND c.purge_time IS NULL AND c.company = coalesce($1, c.company)
         LIMIT $2) AS gone
    WHERE e.company = gone.company AND e.copy = gone.copy AND e.account_key = gone.account_key
        AND e.customer_id = gone.customer_id AND e.ctid = gone.place";

pub(super) const DESTROY_BLIND: &str = "
    DELETE FROM blind_customer AS b USING
        (SELECT d.company, d.copy, d.account, d.customer_id, d.place FROM custody AS c
         CROSS JOIN LATERAL (SELECT d.*, d.ctid AS place FROM blind_customer AS d
             WHERE d.company = c.company AND d.copy = c.copy LIMIT $2 FOR UPDATE SKIP LOCKED) AS d
         WHERE c.state = 2 AND c.purge_time IS NULL AND c.company = coalesce($1, c.company)
         LIMIT $2) AS gone
    WHERE b.company = gone.company AND b.copy = gone.copy AND b.account = gone.account
        AND b.customer_id = gone.customer_id AND b.ctid = gone.place";

const PURGED: &str = "
    UPDATE custody AS c SET state = 3, purge_time = $1
    WHERE c.state = 2 AND c.purge_time IS NULL AND NOT EXISTS
        (SELECT 1 FROM entrusted_customer AS e WHERE e.company = c.company AND e.copy = c.copy OFFSET 0)
        AND NOT EXISTS (SELECT 1 FROM blind_customer AS b WHERE b.company = c.company AND b.copy = c.copy OFFSET 0)
    RETURNING c.company, c.copy, c.customers, coalesce(c.purge_reason, 'abandoned')";

const LIST: &str = "
    SELECT customers, entrust_time, lease_end_time, purge_reason, purge_time, digest_rules FROM custody
    WHERE company = $1 AND entrust_time IS NOT NULL ORDER BY copy DESC LIMIT 100";

const IN_EFFECT: &str = "
    SELECT copy, digest_rules, digest_key FROM custody WHERE company = $1 AND state = 1 AND lease_end_time > $2";

/// The columns of [`entrusted_of`].
macro_rules! columns {
    () => {
        "e.company, e.copy, e.account_key, e.customer_id, e.rules_version, e.record"
    };
}

pub(super) const CANDIDATES: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM unnest($3::bytea[]) AS k (account)
    CROSS JOIN LATERAL (SELECT * FROM entrusted_customer AS e
        WHERE e.company = $1 AND e.copy = $2 AND e.account_key = k.account OFFSET 0) AS e"
);

pub(super) const BLIND_CANDIDATES: &str = "
    SELECT b.account, b.customer_id, b.digests FROM unnest($3::bytea[]) AS k (account)
    CROSS JOIN LATERAL (SELECT * FROM blind_customer AS b
        WHERE b.company = $1 AND b.copy = $2 AND b.account = k.account OFFSET 0) AS b";

// One end after the other, because both at once the planner would gather whole before it takes the first.
pub(super) const OF_OTHER_RULES: &str = concat!(
    "SELECT * FROM (SELECT ",
    columns!(),
    " FROM entrusted_customer AS e WHERE e.rules_version < $1 LIMIT $2
        FOR NO KEY UPDATE SKIP LOCKED) AS older
    UNION ALL SELECT * FROM (SELECT ",
    columns!(),
    " FROM entrusted_customer AS e WHERE e.rules_version > $1 LIMIT $2
        FOR NO KEY UPDATE SKIP LOCKED) AS newer
    LIMIT $2"
);

pub(super) const REKEY: &str = "
    UPDATE entrusted_customer AS e SET rules_version = $1, record = k.record
    FROM unnest($2::text[], $3::bigint[], $4::bytea[], $5::text[], $6::bytea[])
        AS k (company, copy, account, customer, record)
    WHERE e.company = k.company AND e.copy = k.copy AND e.account_key = k.account AND e.customer_id = k.customer";

bulk_rows! {
    /// An entrusted customer.
    EntrustedRow<'a> {
        account_key: Bytes,
        customer_id: &'a str,
        rules_version: i64,
        record: Bytes,
    }

    /// A customer with new keys.
    RekeyedRow<'a> {
        company: &'a str,
        copy: i64,
        account_key: Bytes,
        customer_id: &'a str,
        record: Bytes,
    }
}

#[async_trait]
impl CustodyStore for PostgresInformation {
    async fn begin_copy(
        &self,
        company: &CompanyId,
        blinding: Option<&Blinding>,
        now: Timestamp,
    ) -> Result<CopyNumber, StoreError> {
        again!(self.begin_once(company, blinding, now))
    }

    async fn add_customers(
        &self,
        company: &CompanyId,
        copy: CopyNumber,
        customers: &[KeyedCustomer],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        // The last of one stands, and each is written in the order of the table.
        let customers: BTreeMap<_, _> = customers
            .iter()
            .map(|it| ((it.customer.account_key.as_str(), it.customer.customer_id.as_str()), it))
            .collect();
        let keys = self.vault.keys();
        let keys = keys.of_company(company.as_str())?;
        let mut rows = Vec::with_capacity(customers.len());
        for ((_, customer_id), KeyedCustomer { customer, keys: made }) in customers {
            let sealed = seal_entrusted(keys, copy.0.into(), customer, &made.bytes)?;
            rows.push(EntrustedRow {
                account_key: Bytes(sealed.account_key.to_vec()),
                customer_id,
                rules_version: i64::from(made.rules_version),
                record: Bytes(sealed.record),
            });
        }
        rows.sort_unstable_by(|one, other| {
            (&one.account_key, one.customer_id).cmp(&(&other.account_key, other.customer_id))
        });
        let mut tx = self.database.write_for("add_customers", company).await?;
        touch(&mut tx, company, copy, now).await?;
        let add = sqlx::query(ADD).bind(company.as_str()).bind(i64::from(copy.0));
        tx.execute(EntrustedRow::bind(add, &rows)).await?;
        tx.commit().await
    }

    async fn add_digests(
        &self,
        company: &CompanyId,
        copy: CopyNumber,
        customers: &[BlindCustomer],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let rows = blind_rows(customers);
        let mut tx = self.database.write_for("add_digests", company).await?;
        touch(&mut tx, company, copy, now).await?;
        let add = sqlx::query(ADD_BLIND).bind(company.as_str()).bind(i64::from(copy.0));
        tx.execute(BlindRow::bind(add, &rows)).await?;
        tx.commit().await
    }

    async fn take_effect(
        &self,
        company: &CompanyId,
        copy: CopyNumber,
        lease_end: Timestamp,
        now: Timestamp,
    ) -> Result<Custody, StoreError> {
        let mut tx = self.database.write_for("entrust_copy", company).await?;
        end(&mut tx, company, PurgeReason::Replaced).await?;
        let take = sqlx::query(TAKE_EFFECT)
            .bind(company.as_str())
            .bind(i64::from(copy.0))
            .bind(micros(now))
            .bind(micros(lease_end));
        let custody = custody_of(&tx.fetch_optional(take).await?.ok_or_else(given_up)?)?;
        let detail = entrusted_detail(copy, &custody);
        let line = Audit { company: Some(company.clone()), key: None, action: "customers_entrusted", detail };
        audit(&mut tx, &[line], now).await?;
        tx.commit().await?;
        Ok(custody)
    }

    async fn purge(&self, company: &CompanyId, now: Timestamp) -> Result<u64, StoreError> {
        let mut tx = self.database.write_for("purge_custody", company).await?;
        end(&mut tx, company, PurgeReason::Asked).await?;
        tx.commit().await?;
        let mut purged = 0;
        loop {
            let mut tx = self.database.write_for("purge_custody", company).await?;
            let destroyed = destroy(&mut tx, Some(company), PURGE_BATCH, now).await?;
            tx.commit().await?;
            purged += u64::from(destroyed);
            if destroyed < PURGE_BATCH {
                return Ok(purged);
            }
        }
    }

    async fn purge_ended(&self, limit: u32, now: Timestamp) -> Result<u32, StoreError> {
        let idle = now.checked_sub(ABANDONED_AFTER).unwrap_or(Timestamp::MIN);
        // Asked first, so that idle servers leave the database alone.
        let any: bool = sqlx::query_scalar(ANY_TO_PURGE)
            .bind(micros(now))
            .bind(micros(idle))
            .fetch_one(self.database.read())
            .await
            .map_err(StoreError::during("purge_ended_custody"))?;
        if !any {
            return Ok(0);
        }
        let mut tx = self.database.write("purge_ended_custody").await?;
        let ended = sqlx::query(END_LEASES).bind(micros(now)).bind(PurgeReason::LeaseEnded.as_str());
        tx.execute(ended).await?;
        tx.execute(sqlx::query(GIVE_UP).bind(micros(idle))).await?;
        let destroyed = destroy(&mut tx, None, limit, now).await?;
        tx.commit().await?;
        Ok(destroyed)
    }

    async fn list_custodies(&self, company: &CompanyId) -> Result<Vec<Custody>, StoreError> {
        let mut tx = self.database.snapshot_for("list_custodies", company).await?;
        tx.fetch(sqlx::query(LIST).bind(company.as_str())).await?.iter().map(custody_of).collect()
    }

    async fn candidates(
        &self,
        company: &CompanyId,
        account_keys: &[&str],
        now: Timestamp,
    ) -> Result<Option<Entrusted>, StoreError> {
        // One snapshot: a copy that is replaced in between must not look like a master without these customers.
        let mut tx = self.database.snapshot_for("list_candidates", company).await?;
        let in_effect = sqlx::query(IN_EFFECT).bind(company.as_str()).bind(micros(now));
        let Some(in_effect) = tx.fetch_optional(in_effect).await? else { return Ok(None) };
        let keys = self.vault.keys();
        let of_company = keys.of_company(company.as_str())?;
        let blinding = blinding_of(of_company, &in_effect)?;
        let (statement, accounts) = match &blinding {
            None => (CANDIDATES, hashes(account_keys, |account| account_key(of_company, account))),
            Some(blinding) => {
                (BLIND_CANDIDATES, hashes(account_keys, |account| blinding.key.account(account)))
            }
        };
        let candidates = sqlx::query(statement).bind(company.as_str()).bind(in_effect.int(0)?).bind(accounts);
        let found = tx.fetch(candidates).await?;
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
        let mut tx = self.database.write("rekey").await?;
        let others = sqlx::query(OF_OTHER_RULES).bind(i64::from(rules_version)).bind(i64::from(limit));
        let found = tx.fetch(others).await?;
        if found.is_empty() {
            return Ok(0);
        }
        let (mut rows, keys) = (Vec::with_capacity(found.len()), self.vault.keys());
        for row in &found {
            let customer = entrusted_of(row, &keys)?.customer;
            let (company, copy) = (row.text(0)?, row.int(1)?);
            let sealed = seal_entrusted(keys.of_company(company)?, copy, &customer, &make(&customer))?;
            rows.push(RekeyedRow {
                company,
                copy,
                account_key: Bytes(row.bytes(2)?.to_vec()),
                customer_id: row.text(3)?,
                record: Bytes(sealed.record),
            });
        }
        let rekey = sqlx::query(REKEY).bind(i64::from(rules_version));
        let rekeyed = tx.execute(RekeyedRow::bind(rekey, &rows)).await?;
        tx.commit().await?;
        Ok(u32::try_from(rekeyed).unwrap_or(u32::MAX))
    }
}

impl PostgresInformation {
    async fn begin_once(
        &self,
        company: &CompanyId,
        blinding: Option<&Blinding>,
        now: Timestamp,
    ) -> Result<CopyNumber, StoreError> {
        let mut tx = self.database.write_for("begin_copy", company).await?;
        let rules = blinding.map(|blinding| i64::from(blinding.rules_version));
        let begin = sqlx::query(BEGIN).bind(company.as_str()).bind(micros(now)).bind(rules);
        let copy: u32 = tx.fetch_one(begin).await?.small(0)?;
        if let Some(blinding) = blinding {
            let copy = i64::from(copy);
            let sealed = seal_key(self.vault.keys().of_company(company.as_str())?, copy, &blinding.key)?;
            tx.execute(sqlx::query(BLIND).bind(company.as_str()).bind(copy).bind(sealed)).await?;
        }
        tx.commit().await?;
        Ok(CopyNumber(copy))
    }
}

/// A chunk came.
async fn touch(tx: &mut Tx, company: &CompanyId, copy: CopyNumber, now: Timestamp) -> Result<(), StoreError> {
    let touch = sqlx::query(TOUCH).bind(company.as_str()).bind(i64::from(copy.0)).bind(micros(now));
    if tx.execute(touch).await? == 0 { Err(given_up().into()) } else { Ok(()) }
}

/// Ends the copy in effect.
async fn end(tx: &mut Tx, company: &CompanyId, reason: PurgeReason) -> Result<(), StoreError> {
    tx.execute(sqlx::query(END).bind(company.as_str()).bind(reason.as_str())).await.map(drop)
}

/// Destroys rows of ended copies, of one company or of all, and writes down which copies are gone with that.
async fn destroy(
    tx: &mut Tx,
    company: Option<&CompanyId>,
    limit: u32,
    now: Timestamp,
) -> Result<u32, StoreError> {
    let (limit, mut destroyed) = (u64::from(limit), 0);
    for statement in [DESTROY, DESTROY_BLIND] {
        let left = i64::try_from(limit.saturating_sub(destroyed)).unwrap_or(i64::MAX);
        let destroy = sqlx::query(statement).bind(company.map(CompanyId::as_str)).bind(left);
        destroyed += tx.execute(destroy).await?;
    }
    let purged = tx.fetch(sqlx::query(PURGED).bind(micros(now))).await?;
    let lines = purged.iter().map(purged_line).collect::<Result<Vec<_>, _>>()?;
    audit(tx, &lines, now).await?;
    Ok(u32::try_from(destroyed).unwrap_or(u32::MAX))
}
