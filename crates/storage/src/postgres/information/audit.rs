//! The information-management server's lines of the audit.

use jiff::Timestamp;

use super::PostgresInformation;
use crate::{
    StoreError,
    information::{changed::audit_rows, flow::Audit},
    postgres::{
        Tx,
        audit::{audit_store, write},
    },
};

audit_store!(PostgresInformation);

/// Writes lines.
pub(super) async fn audit(tx: &mut Tx, audits: &[Audit], now: Timestamp) -> Result<(), StoreError> {
    write(tx, &audit_rows(audits), now).await
}
