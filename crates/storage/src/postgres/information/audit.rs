//! The audit: one line for each change of state and each look at confirmed data, in the transaction that it tells of.

use jiff::Timestamp;

use crate::{
    StoreError,
    information::{
        changed::{AuditRow, audit_rows},
        flow::Audit,
    },
    postgres::Tx,
    row::{BulkRow as _, micros},
};

const AUDITS: &str = "
    INSERT INTO audit (time, company, official_account, follower, action, detail)
    SELECT $6, k.* FROM unnest($1::text[], $2::text[], $3::uuid[], $4::text[], $5::text[]) AS k";

/// Writes lines.
pub(super) async fn audit(tx: &mut Tx, audits: &[Audit], now: Timestamp) -> Result<(), StoreError> {
    if audits.is_empty() {
        return Ok(());
    }
    let rows = audit_rows(audits);
    tx.execute(AuditRow::bind(sqlx::query(AUDITS), &rows).bind(micros(now))).await.map(drop)
}
