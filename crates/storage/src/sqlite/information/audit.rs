//! The audit: one line for each change of state and each look at confirmed data, in the transaction that it tells of. And its seals:
//! one transaction writes at a time, so that lines are committed in the order of their ids.

use async_trait::async_trait;
use jiff::Timestamp;
use musubi_domain::audit::{AuditKeyring, AuditLine, Seal};
use sqlx::{Sqlite, Transaction};

use super::SqliteInformation;
use crate::{
    StoreError,
    information::{
        audit::{AuditStore, line_of, seal, seal_of},
        changed::audit_rows,
        flow::Audit,
    },
    row::micros,
    sqlite::rows,
};

const AUDITS: &str = "
    INSERT INTO audit (time, company, official_account, follower, action, detail)
    SELECT ?2, value ->> 0, value ->> 1, unhex(value ->> 2), value ->> 3, value ->> 4 FROM jsonb_each(?1)";

/// Writes lines.
pub(super) async fn audit(
    tx: &mut Transaction<'_, Sqlite>,
    transaction: &'static str,
    audits: &[Audit],
    now: Timestamp,
) -> Result<(), StoreError> {
    if audits.is_empty() {
        return Ok(());
    }
    sqlx::query(AUDITS)
        .bind(rows(&audit_rows(audits))?)
        .bind(micros(now))
        .execute(&mut **tx)
        .await
        .map(drop)
        .map_err(StoreError::during(transaction))
}

pub(super) const LINES: &str = "
    SELECT audit_id, time, company, official_account, follower, action, detail FROM audit
    WHERE audit_id > ?1 ORDER BY audit_id LIMIT ?2";

pub(super) const SEALS: &str = "
    SELECT number, first_id, last_id, count, digest, previous, time, key_id, signature FROM audit_seal
    WHERE number > ?1 ORDER BY number LIMIT ?2";

pub(super) const LAST_SEAL: &str = "
    SELECT number, first_id, last_id, count, digest, previous, time, key_id, signature FROM audit_seal
    ORDER BY number DESC LIMIT 1";

const SEAL: &str = "INSERT INTO audit_seal VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";

#[async_trait]
impl AuditStore for SqliteInformation {
    async fn seal_audit(&self, keys: &AuditKeyring, now: Timestamp, limit: u32) -> Result<u32, StoreError> {
        const TRANSACTION: &str = "seal_audit";
        let failed = StoreError::during(TRANSACTION);
        let last = sqlx::query(LAST_SEAL).fetch_optional(self.database.read()).await.map_err(&failed)?;
        let last = last.as_ref().map(seal_of).transpose()?;
        let lines = self.audit_lines(last.as_ref().map_or(0, |seal| seal.last_id), limit).await?;
        let Some(seal) = seal(keys, last.as_ref(), &lines, now)? else { return Ok(0) };
        let mut tx = self.database.write(TRANSACTION).await?;
        sqlx::query(SEAL)
            .bind(seal.number)
            .bind(seal.first_id)
            .bind(seal.last_id)
            .bind(seal.count)
            .bind(&seal.digest[..])
            .bind(&seal.previous[..])
            .bind(micros(seal.time))
            .bind(&seal.key_id[..])
            .bind(&seal.signature[..])
            .execute(&mut *tx)
            .await
            .map_err(&failed)?;
        tx.commit().await.map_err(&failed)?;
        Ok(seal.count)
    }

    async fn audit_lines(&self, after: i64, limit: u32) -> Result<Vec<AuditLine>, StoreError> {
        let lines = sqlx::query(LINES).bind(after).bind(limit).fetch_all(self.database.read()).await;
        lines.map_err(StoreError::during("audit_lines"))?.iter().map(line_of).collect()
    }

    async fn audit_seals(&self, after: i64, limit: u32) -> Result<Vec<Seal>, StoreError> {
        let seals = sqlx::query(SEALS).bind(after).bind(limit).fetch_all(self.database.read()).await;
        seals.map_err(StoreError::during("audit_seals"))?.iter().map(seal_of).collect()
    }
}
