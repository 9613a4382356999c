//! The information-management server's lines of the audit.

use async_trait::async_trait;
use jiff::Timestamp;
use musubi_domain::{
    audit::AuditLine,
    id::{CompanyId, OfficialAccountId},
};

use super::PostgresInformation;
use crate::{
    StoreError,
    audit::line_of,
    information::{audit::CompanyAuditStore, changed::audit_rows, flow::Audit},
    postgres::{
        Tx,
        audit::{audit_store, write},
    },
};

audit_store!(PostgresInformation);

// By all three, because the order of the ids alone the planner finds in the primary key, too, where all other lines stand in between.
macro_rules! lines {
    ($account:literal) => {
        concat!(
            "SELECT audit_id, time, company, official_account, follower, action, detail FROM audit
            WHERE company = $1 AND official_account ",
            $account,
            " AND audit_id < $3 ORDER BY company DESC, official_account DESC, audit_id DESC LIMIT $4"
        )
    };
}

const LINES_OF_ACCOUNT: &str = lines!("= $2");

const LINES_OF_NO_ACCOUNT: &str = lines!("IS NULL AND $2::text IS NULL");

#[async_trait]
impl CompanyAuditStore for PostgresInformation {
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
            .bind(i64::from(limit))
            .fetch_all(self.database.read());
        lines.await.map_err(StoreError::during("audit_lines_of"))?.iter().map(line_of).collect()
    }
}

/// Writes lines.
pub(super) async fn audit(tx: &mut Tx, audits: &[Audit], now: Timestamp) -> Result<(), StoreError> {
    write(tx, &audit_rows(audits), now).await
}
