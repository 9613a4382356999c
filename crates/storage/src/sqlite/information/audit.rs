//! The information-management server's lines of the audit.

use async_trait::async_trait;
use jiff::Timestamp;
use musubi_domain::{
    audit::AuditLine,
    id::{CompanyId, OfficialAccountId},
};
use sqlx::{Sqlite, Transaction};

use super::SqliteInformation;
use crate::{
    StoreError,
    audit::line_of,
    information::{audit::CompanyAuditStore, changed::audit_rows, flow::Audit},
    sqlite::audit::{audit_store, write},
};

audit_store!(SqliteInformation);

macro_rules! lines {
    ($account:literal) => {
        concat!(
            "SELECT audit_id, time, company, official_account, follower, action, detail FROM audit INDEXED BY audit_of_account
            WHERE company = ?1 AND official_account ",
            $account,
            " AND audit_id < ?3 ORDER BY audit_id DESC LIMIT ?4"
        )
    };
}

pub(super) const LINES_OF_ACCOUNT: &str = lines!("= ?2");

pub(super) const LINES_OF_NO_ACCOUNT: &str = lines!("IS ?2");

#[async_trait]
impl CompanyAuditStore for SqliteInformation {
    async fn audit_lines_of(
        &self,
        company: &CompanyId,
        account: Option<&OfficialAccountId>,
        before: i64,
        limit: u32,
    ) -> Result<Vec<AuditLine>, StoreError> {
        let sql = if account.is_some() { LINES_OF_ACCOUNT } else { LINES_OF_NO_ACCOUNT };
        let lines = sqlx::query(sql)
            .bind(company.as_str())
            .bind(account.map(OfficialAccountId::as_str))
            .bind(before)
            .bind(limit)
            .fetch_all(self.database.read());
        lines.await.map_err(StoreError::during("audit_lines_of"))?.iter().map(line_of).collect()
    }
}

/// Writes lines.
pub(super) async fn audit(
    tx: &mut Transaction<'_, Sqlite>,
    transaction: &'static str,
    audits: &[Audit],
    now: Timestamp,
) -> Result<(), StoreError> {
    write(tx, transaction, &audit_rows(audits), now).await
}
