//! The store of the company server: what it must do, whatever the database.
//!
//! It holds the customer master \[120\], the file that is being imported, and the records of imports, custody and decisions.
//! It never decides a match. Surprising: every change of the master gives it a new *revision*, and whoever reads customers
//! in pages is told the revision with each page, so that a copy made of two masters is noticed.

use async_trait::async_trait;
use jiff::Timestamp;
use musubi_domain::{
    customer::{Customer, KeyedCustomer, MatchDecision},
    id::{CustomerId, InquiryId},
};

use crate::{MakeKeys, StoreError};

/// A customer and when the row came or last changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredCustomer {
    /// The row.
    pub customer: Customer,
    /// When it came or last changed.
    pub update_time: Timestamp,
}

/// Customers in the order of their ids, all of one revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CustomerPage {
    /// Which master they are of.
    pub revision: u64,
    /// How many customers that master has in all.
    pub total: u64,
    /// At most as many as were asked for.
    pub customers: Vec<StoredCustomer>,
}

/// The rows that hold given account numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidates {
    /// Which master they are of.
    pub revision: u64,
    /// In no order, with keys of whatever rules made them last.
    pub customers: Vec<KeyedCustomer>,
}

/// What an import does, or would do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImportTally {
    /// Customers staged.
    pub rows: u64,
    /// New.
    pub added: u64,
    /// In both, and not the same.
    pub changed: u64,
    /// In the master, and not staged.
    pub removed: u64,
}

/// How an import ends when every row is staged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportEnding {
    /// The staged customers become the master.
    Replace {
        /// When; for rows that come or change.
        now: Timestamp,
        /// What the file was read in, for the record.
        encoding: &'static str,
    },
    /// Only the tally is wanted.
    Compare,
}

/// Which master stands, and what of it is entrusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MasterStatus {
    /// Grows with every import that changed something; 0 before the first.
    pub revision: u64,
    /// How many customers.
    pub customers: u64,
    /// The last word on custody; absent when nothing was ever entrusted.
    pub custody: Option<CustodyEvent>,
}

/// A copy was entrusted to the information-management server, or taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CustodyEvent {
    /// When it was recorded.
    pub event_time: Timestamp,
    /// Which master was entrusted, or stood when the copy was taken back.
    pub revision: u64,
    /// How many customers were entrusted or destroyed.
    pub customers: u64,
    /// When the lease ends; absent: the copy was taken back.
    pub lease_end_time: Option<Timestamp>,
}

/// A decision that is given, for the audit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecidedInquiry {
    /// Which inquiry.
    pub inquiry_id: InquiryId,
    /// What was decided.
    pub decision: MatchDecision,
}

/// The company server's store. Every method is one transaction; [`StoreError::Unavailable`] may come of any, and then
/// nothing was written.
#[async_trait]
pub trait CompanyStore: Send + Sync {
    /// Begins an import: what an earlier one left staged is gone. One import at a time is the caller's care.
    async fn begin_import(&self) -> Result<(), StoreError>;

    /// Stages at most 1,000 customers. The master stays as it is.
    ///
    /// # Errors
    /// When a customer id is staged twice: none of this batch is staged.
    async fn stage_customers(&self, customers: &[KeyedCustomer]) -> Result<(), StoreError>;

    /// Ends an import, and nothing is staged any more. All or nothing; rows that are the same keep their update time and
    /// their keys, and the revision stays when no row differs.
    async fn finish_import(&self, ending: ImportEnding) -> Result<ImportTally, StoreError>;

    /// One customer.
    async fn find_customer(&self, customer_id: &CustomerId) -> Result<Option<StoredCustomer>, StoreError>;

    /// At most `limit` customers after this one, or from the first.
    async fn list_customers(
        &self,
        after: Option<&CustomerId>,
        limit: u32,
    ) -> Result<CustomerPage, StoreError>;

    /// Every customer whose account key is one of these, at most 1,000 keys.
    async fn find_by_account_keys(&self, account_keys: &[&str]) -> Result<Candidates, StoreError>;

    /// Makes keys by rules of this version for at most `limit` customers whose keys other rules made. Gives how many; 0 when
    /// none is left. Neither update times nor the revision change. No import comes between reading a row and writing its
    /// keys.
    async fn rekey(&self, rules_version: u32, limit: u32, make: &MakeKeys<'_>) -> Result<u32, StoreError>;

    /// Records decisions, at most 1,000. The same inquiry decided by the same master again changes nothing.
    async fn record_decisions(
        &self,
        revision: u64,
        decisions: &[DecidedInquiry],
        now: Timestamp,
    ) -> Result<(), StoreError>;

    /// Which decision was given on an inquiry last, and by which revision.
    async fn find_decision(&self, inquiry_id: InquiryId) -> Result<Option<(u64, MatchDecision)>, StoreError>;

    /// How the master and its custody stand.
    async fn get_status(&self) -> Result<MasterStatus, StoreError>;

    /// Records that a copy was entrusted or taken back.
    async fn record_custody(&self, event: CustodyEvent) -> Result<(), StoreError>;
}
