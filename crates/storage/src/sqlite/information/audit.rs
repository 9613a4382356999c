//! The information-management server's lines of the audit.

use jiff::Timestamp;
use sqlx::{Sqlite, Transaction};

use super::SqliteInformation;
use crate::{
    StoreError,
    information::{changed::audit_rows, flow::Audit},
    sqlite::audit::{audit_store, write},
};

audit_store!(SqliteInformation);

/// Writes lines.
pub(super) async fn audit(
    tx: &mut Transaction<'_, Sqlite>,
    transaction: &'static str,
    audits: &[Audit],
    now: Timestamp,
) -> Result<(), StoreError> {
    write(tx, transaction, &audit_rows(audits), now).await
}
