//! The audit on PostgreSQL, whosever: one line for each change of state and each look at confirmed data, in the transaction that it tells of. And its seals.
//!
//! Lines get their ids before they are committed. Every transaction of ours has its number before it gets an id, so a line with an id that
//! had been given out by some moment is of a transaction older than one that began after that moment; when none older runs any more,
//! what isn't there never comes. Surprising: nobody's commit waits for that, only the seal does.

use jiff::Timestamp;
use musubi_domain::audit::{AuditKeyring, AuditLine, Seal};

use super::{Database, Tx, met_another};
use crate::{
    StoreError,
    audit::{AuditRow, line_of, seal as seal_of_lines, seal_of},
    row::{BulkRow as _, Columns as _, micros},
};

const AUDITS: &str = "
    INSERT INTO audit (time, company, official_account, follower, action, detail)
    SELECT $6, k.* FROM unnest($1::text[], $2::text[], $3::uuid[], $4::text[], $5::text[]) AS k";

/// Writes lines.
pub(crate) async fn write(tx: &mut Tx, rows: &[AuditRow<'_>], now: Timestamp) -> Result<(), StoreError> {
    if rows.is_empty() {
        return Ok(());
    }
    tx.execute(AuditRow::bind(sqlx::query(AUDITS), rows).bind(micros(now))).await.map(drop)
}

const LINES: &str = "
    SELECT audit_id, time, company, official_account, follower, action, detail FROM audit
    WHERE audit_id > $1 AND audit_id <= $2 ORDER BY audit_id LIMIT $3";

const LINES_BEFORE: &str = "
    SELECT audit_id, time, company, official_account, follower, action, detail FROM audit
    WHERE audit_id < $1 ORDER BY audit_id DESC LIMIT $2";

const SEALS: &str = "
    SELECT number, first_id, last_id, count, digest, previous, time, key_id, signature FROM audit_seal
    WHERE number > $1 ORDER BY number LIMIT $2";

const LAST_SEAL: &str = "
    SELECT number, first_id, last_id, count, digest, previous, time, key_id, signature FROM audit_seal
    ORDER BY number DESC LIMIT 1";

const SEAL: &str = "INSERT INTO audit_seal VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";

/// The mark, held, and whether no transaction from before it runs. One of a number that was never given out here came with a copy
/// of the database, and counts for nothing.
const MARK: &str = "
    SELECT last_id, (xact <= pg_snapshot_xmin(pg_current_snapshot()))::int::bigint,
        (xact > pg_current_xact_id())::int::bigint
    FROM audit_mark WHERE mark = 1 FOR UPDATE SKIP LOCKED";

/// What had been given out at the last look counts from the present transaction on, which got its number after it saw that look.
/// Nothing is written when nothing was given out since.
const MOVE_MARK: &str = "
    UPDATE audit_mark SET last_id = next_id, xact = pg_current_xact_id(), next_id = given
    FROM (SELECT coalesce(pg_sequence_last_value(pg_get_serial_sequence('audit', 'audit_id')::regclass), 0) AS given) AS now
    WHERE mark = 1 AND (last_id < next_id OR next_id < given)";

pub(crate) async fn seal(
    database: &Database,
    keys: &AuditKeyring,
    now: Timestamp,
    limit: u32,
) -> Result<u32, StoreError> {
    let mut tx = database.write_of_one_moment("seal_audit").await?;
    let mark = match tx.fetch_optional(sqlx::query(MARK)).await {
        Ok(Some(mark)) => mark,
        // Another seals just now, or did a moment ago.
        Ok(None) => return Ok(0),
        Err(error) if met_another(&error) => return Ok(0),
        Err(error) => return Err(error),
    };
    let (last_id, is_final, is_foreign) = (mark.int(0)?, mark.int(1)? == 1, mark.int(2)? == 1);
    if !is_final && !is_foreign {
        return Ok(0);
    }
    let mut sealed = 0;
    if is_final {
        let last = tx.fetch_optional(sqlx::query(LAST_SEAL)).await?;
        let last = last.as_ref().map(seal_of).transpose()?;
        let after = last.as_ref().map_or(0, |seal| seal.last_id);
        let lines = sqlx::query(LINES).bind(after).bind(last_id).bind(i64::from(limit));
        let lines = tx.fetch(lines).await?.iter().map(line_of).collect::<Result<Vec<_>, _>>()?;
        if let Some(seal) = seal_of_lines(keys, last.as_ref(), &lines, now)? {
            sealed = seal.count;
            let insert = sqlx::query(SEAL)
                .bind(seal.number)
                .bind(seal.first_id)
                .bind(seal.last_id)
                .bind(i64::from(seal.count))
                .bind(&seal.digest[..])
                .bind(&seal.previous[..])
                .bind(micros(seal.time))
                .bind(&seal.key_id[..])
                .bind(&seal.signature[..]);
            tx.execute(insert).await?;
        }
    }
    // A full batch may have left lines behind the mark, which stands until they are sealed.
    if sealed < limit {
        tx.execute(sqlx::query(MOVE_MARK)).await?;
    }
    tx.commit().await?;
    Ok(sealed)
}

pub(crate) async fn lines(database: &Database, after: i64, limit: u32) -> Result<Vec<AuditLine>, StoreError> {
    let lines = sqlx::query(LINES).bind(after).bind(i64::MAX).bind(i64::from(limit));
    let lines = lines.fetch_all(database.read()).await.map_err(StoreError::during("audit_lines"))?;
    lines.iter().map(line_of).collect()
}

pub(crate) async fn lines_before(
    database: &Database,
    before: i64,
    limit: u32,
) -> Result<Vec<AuditLine>, StoreError> {
    let lines = sqlx::query(LINES_BEFORE).bind(before).bind(i64::from(limit));
    let lines = lines.fetch_all(database.read()).await.map_err(StoreError::during("audit_lines_before"))?;
    lines.iter().map(line_of).collect()
}

pub(crate) async fn seals(database: &Database, after: i64, limit: u32) -> Result<Vec<Seal>, StoreError> {
    let seals = sqlx::query(SEALS).bind(after).bind(i64::from(limit));
    let seals = seals.fetch_all(database.read()).await.map_err(StoreError::during("audit_seals"))?;
    seals.iter().map(seal_of).collect()
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
                $crate::postgres::audit::seal(&self.database, keys, now, limit).await
            }

            async fn audit_lines(
                &self,
                after: i64,
                limit: u32,
            ) -> Result<Vec<musubi_domain::audit::AuditLine>, $crate::StoreError> {
                $crate::postgres::audit::lines(&self.database, after, limit).await
            }

            async fn audit_lines_before(
                &self,
                before: i64,
                limit: u32,
            ) -> Result<Vec<musubi_domain::audit::AuditLine>, $crate::StoreError> {
                $crate::postgres::audit::lines_before(&self.database, before, limit).await
            }

            async fn audit_seals(
                &self,
                after: i64,
                limit: u32,
            ) -> Result<Vec<musubi_domain::audit::Seal>, $crate::StoreError> {
                $crate::postgres::audit::seals(&self.database, after, limit).await
            }
        }
    };
}
pub(crate) use audit_store;
