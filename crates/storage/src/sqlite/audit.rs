//! The audit on SQLite, whosever: one line for each change of state and each look at confirmed data, in the transaction that it tells of. And its seals:
//! one transaction writes at a time, so that lines are committed in the order of their ids.

use jiff::Timestamp;
use musubi_domain::audit::{AuditKeyring, AuditLine, Seal};
use sqlx::{Sqlite, Transaction};

use super::{Database, Many};
use crate::{
    StoreError,
    audit::{AuditRow, line_of, seal as seal_of_lines, seal_of},
    row::micros,
};

const AUDITS: &str = "
    INSERT INTO audit (time, company, official_account, follower, action, detail)
    SELECT ?2, value ->> 0, value ->> 1, unhex(value ->> 2), value ->> 3, value ->> 4 FROM jsonb_each(?1)";

/// Lines, ready to be written; none when there are none.
pub(crate) fn ready(lines: &[AuditRow<'_>], now: Timestamp) -> Result<Option<Many>, StoreError> {
    Ok(Many::of_any(AUDITS, lines)?.map(|lines| lines.with(micros(now))))
}

/// Writes lines.
pub(crate) async fn write(
    tx: &mut Transaction<'_, Sqlite>,
    transaction: &'static str,
    lines: &[AuditRow<'_>],
    now: Timestamp,
) -> Result<(), StoreError> {
    Many::carry_out(ready(lines, now)?, tx, transaction).await
}

pub(crate) const LINES: &str = "
    SELECT audit_id, time, company, official_account, follower, action, detail FROM audit
    WHERE audit_id > ?1 ORDER BY audit_id LIMIT ?2";

pub(crate) const LINES_BEFORE: &str = "
    SELECT audit_id, time, company, official_account, follower, action, detail FROM audit
    WHERE audit_id < ?1 ORDER BY audit_id DESC LIMIT ?2";

pub(crate) const SEALS: &str = "
    SELECT number, first_id, last_id, count, digest, previous, time, key_id, signature FROM audit_seal
    WHERE number > ?1 ORDER BY number LIMIT ?2";

pub(crate) const LAST_SEAL: &str = "
    SELECT number, first_id, last_id, count, digest, previous, time, key_id, signature FROM audit_seal
    ORDER BY number DESC LIMIT 1";

const SEAL: &str = "INSERT INTO audit_seal VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";

pub(crate) async fn seal(
    database: &Database,
    keys: &AuditKeyring,
    now: Timestamp,
    limit: u32,
) -> Result<u32, StoreError> {
    const TRANSACTION: &str = "seal_audit";
    let failed = StoreError::during(TRANSACTION);
    let last = sqlx::query(LAST_SEAL).fetch_optional(database.read()).await.map_err(&failed)?;
    let last = last.as_ref().map(seal_of).transpose()?;
    let lines = lines(database, last.as_ref().map_or(0, |seal| seal.last_id), limit).await?;
    let Some(seal) = seal_of_lines(keys, last.as_ref(), &lines, now)? else { return Ok(0) };
    let mut tx = database.write(TRANSACTION).await?;
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

pub(crate) async fn lines(database: &Database, after: i64, limit: u32) -> Result<Vec<AuditLine>, StoreError> {
    let lines = sqlx::query(LINES).bind(after).bind(limit).fetch_all(database.read()).await;
    lines.map_err(StoreError::during("audit_lines"))?.iter().map(line_of).collect()
}

pub(crate) async fn lines_before(
    database: &Database,
    before: i64,
    limit: u32,
) -> Result<Vec<AuditLine>, StoreError> {
    let lines = sqlx::query(LINES_BEFORE).bind(before).bind(limit).fetch_all(database.read()).await;
    lines.map_err(StoreError::during("audit_lines_before"))?.iter().map(line_of).collect()
}

pub(crate) async fn seals(database: &Database, after: i64, limit: u32) -> Result<Vec<Seal>, StoreError> {
    let seals = sqlx::query(SEALS).bind(after).bind(limit).fetch_all(database.read()).await;
    seals.map_err(StoreError::during("audit_seals"))?.iter().map(seal_of).collect()
}

/// A store whose database has an audit.
macro_rules! audit_store {
    ($store:ty) => {
        #[async_trait::async_trait]
        impl $crate::audit::AuditStore for $store {
            async fn seal_audit(
                &self,
                keys: &musubi_domain::audit::AuditKeyring,
                now: jiff::Timestamp,
                limit: u32,
            ) -> Result<u32, $crate::StoreError> {
                $crate::sqlite::audit::seal(&self.database, keys, now, limit).await
            }

            async fn audit_lines(
                &self,
                after: i64,
                limit: u32,
            ) -> Result<Vec<musubi_domain::audit::AuditLine>, $crate::StoreError> {
                $crate::sqlite::audit::lines(&self.database, after, limit).await
            }

            async fn audit_lines_before(
                &self,
                before: i64,
                limit: u32,
            ) -> Result<Vec<musubi_domain::audit::AuditLine>, $crate::StoreError> {
                $crate::sqlite::audit::lines_before(&self.database, before, limit).await
            }

            async fn audit_seals(
                &self,
                after: i64,
                limit: u32,
            ) -> Result<Vec<musubi_domain::audit::Seal>, $crate::StoreError> {
                $crate::sqlite::audit::seals(&self.database, after, limit).await
            }
        }
    };
}
pub(crate) use audit_store;
