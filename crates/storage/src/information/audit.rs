//! What the audit tells a company: the lines of its followers' accounts, and those of no account. Never another's.

use async_trait::async_trait;
use musubi_domain::{
    audit::AuditLine,
    id::{CompanyId, OfficialAccountId},
};

use crate::StoreError;

/// The audit's lines, as one company may read them.
#[async_trait]
pub trait CompanyAuditStore: Send + Sync {
    /// A company's lines from the newest back, from before `before`, at most `limit`: of this account's followers, or those that are
    /// of none, such as of distributions and copies.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    async fn audit_lines_of(
        &self,
        company: &CompanyId,
        account: Option<&OfficialAccountId>,
        before: i64,
        limit: u32,
    ) -> Result<Vec<AuditLine>, StoreError>;
}
