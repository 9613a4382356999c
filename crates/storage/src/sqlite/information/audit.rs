//! The audit: one line for each change of state and each look at confirmed data, in the transaction that it tells of.

use jiff::Timestamp;
use sqlx::{Sqlite, Transaction};

use crate::{
    StoreError,
    information::{changed::audit_rows, flow::Audit},
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
