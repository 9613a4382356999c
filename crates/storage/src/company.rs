//! The store of the company server: what it must do, whatever the database.
//!
//! It holds the customer master \[120\], the file that is being imported, and the records of imports, custody and decisions.
//! It never decides a match. Surprising: every change of the master gives it a new *revision*, and whoever reads customers
//! in pages is told the revision with each page, so that a copy made of two masters is noticed.

use std::fmt;

use async_trait::async_trait;
use jiff::Timestamp;
use musubi_domain::{
    customer::{Customer, KeyedCustomer, MatchDecision, MatchOutcome},
    id::{CompanyId, CustomerId, InquiryId, OperatorName},
    vault::{CompanyKeys, LOOK_UP_BYTES},
};

use crate::{
    MakeKeys, Opened, StoreError,
    audit::{AuditRow, AuditStore},
    row::{Columns, Id, Packed, bulk_rows},
    vault::{
        Sealing,
        customer::{SealedCustomer, open_customer, seal_customer},
    },
};

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

impl ImportTally {
    /// Whether the master is another one then.
    pub(crate) const fn differs(&self) -> bool {
        self.added + self.changed + self.removed > 0
    }

    /// Rows, added, changed, removed, as the database counts them.
    pub(crate) fn columns(&self) -> [i64; 4] {
        [self.rows, self.added, self.changed, self.removed].map(integer)
    }
}

/// SHA-256 of a file.
pub type FileDigest = [u8; 32];

/// A file that was not imported, because it has bad rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefusedFile {
    /// When.
    pub now: Timestamp,
    /// What it was read in.
    pub encoding: &'static str,
    /// The file's.
    pub digest: FileDigest,
    /// Rows read.
    pub rows: u64,
    /// Of these, bad ones.
    pub bad_rows: u64,
}

/// What became of a file that somebody sent to be the master.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportRecord {
    /// Grows from record to record.
    pub sequence: i64,
    /// When.
    pub import_time: Timestamp,
    /// Who; none: it was not kept then.
    pub by: Option<OperatorName>,
    /// The file's; likewise.
    pub digest: Option<FileDigest>,
    /// What it was read in.
    pub encoding: String,
    /// What it did; nothing, if it was refused.
    pub tally: ImportTally,
    /// Bad rows. Any: it was refused.
    pub bad_rows: u64,
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
        /// The file's, for the record.
        digest: FileDigest,
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
    /// Which version of the rules of matching made the digests of a blind copy; absent: it was plain.
    pub digest_rules: Option<u32>,
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
pub trait CompanyStore: Opened + Sealing + AuditStore {
    /// Begins an import: what an earlier one left staged is gone. One import at a time is the caller's care; where several
    /// processes share the database, the earlier one is refused from then on.
    async fn begin_import(&self) -> Result<(), StoreError>;

    /// Stages at most 1,000 customers. The master stays as it is.
    ///
    /// # Errors
    /// When a customer id is staged twice: none of this batch is staged.
    async fn stage_customers(&self, customers: &[KeyedCustomer]) -> Result<(), StoreError>;

    /// Ends an import, and nothing is staged any more. All or nothing; rows that are the same keep their update time and
    /// their keys, and the revision stays when no row differs. A master that is replaced is in the audit, with whose file it was.
    async fn finish_import(
        &self,
        ending: ImportEnding,
        by: Option<&OperatorName>,
    ) -> Result<ImportTally, StoreError>;

    /// Keeps that a file was refused, and whose it was, for the list of imports.
    async fn record_refusal(&self, file: &RefusedFile, by: &OperatorName) -> Result<(), StoreError>;

    /// What became of the files before this record, or of the newest; the newest first, at most `limit`.
    async fn list_imports(&self, before: Option<i64>, limit: u32) -> Result<Vec<ImportRecord>, StoreError>;

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

    /// Erases a customer from the master, from what is staged and from the decisions; gives whether the master had them, and then it is another
    /// master. Who is in the next file that is imported is a customer again. Who erased them is in the audit.
    async fn erase_customer(
        &self,
        customer_id: &CustomerId,
        by: &OperatorName,
        now: Timestamp,
    ) -> Result<bool, StoreError>;

    /// How many rows of a customer each table has that may have some, zeros too; opens none.
    async fn search_customer(&self, customer_id: &CustomerId) -> Result<Vec<(String, u64)>, StoreError>;

    /// How the master and its custody stand.
    async fn get_status(&self) -> Result<MasterStatus, StoreError>;

    /// Records that a copy was entrusted or taken back; in the audit, too, and by whom, unless this server did it by itself.
    async fn record_custody(&self, event: CustodyEvent, by: Option<&OperatorName>) -> Result<(), StoreError>;

    /// Writes down looks at the master, before what was seen is given, and calls that were refused.
    async fn note(&self, notes: &[Note], now: Timestamp) -> Result<(), StoreError>;
}

/// A line of the company server's audit. No personal value, and customers by their ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// What was done: a word like `customer_shown`.
    pub action: &'static str,
    /// Ids, counts and names of operators.
    pub detail: String,
}

impl Note {
    /// What an operator did, or this server by itself.
    #[must_use]
    pub fn by(action: &'static str, what: impl fmt::Display, by: Option<&OperatorName>) -> Self {
        let detail = match by {
            Some(by) => format!("{what} by {by}"),
            None => what.to_string(),
        };
        Self { action, detail }
    }

    /// Of an import that made another master.
    pub(crate) fn of_import(tally: &ImportTally, by: Option<&OperatorName>) -> Self {
        let ImportTally { rows, added, changed, removed } = tally;
        let what = format!("{rows} rows: {added} added, {changed} changed, {removed} removed");
        Self::by("master_imported", what, by)
    }

    /// Of a file that was refused.
    pub(crate) fn of_refusal(file: &RefusedFile, by: &OperatorName) -> Self {
        Self::by("import_refused", format!("{} rows, {} of them bad", file.rows, file.bad_rows), Some(by))
    }

    /// Of a customer who was erased, from the master too if it had them.
    pub(crate) fn of_erasure(customer_id: &CustomerId, from_master: bool, by: &OperatorName) -> Self {
        let what = if from_master { "" } else { ", whom the master had not," };
        Self::by("customer_erased", format!("{customer_id}{what}"), Some(by))
    }

    /// Of a copy that came or went.
    pub(crate) fn of_custody(event: &CustodyEvent, by: Option<&OperatorName>) -> Self {
        let action = if event.lease_end_time.is_some() { "master_entrusted" } else { "master_purged" };
        Self::by(action, format!("{} customers", event.customers), by)
    }
}

/// Reads what became of a file. Columns: sequence, time, operator, digest, encoding, rows, added, changed, removed, bad rows.
pub(crate) fn import_of(row: &impl Columns) -> Result<ImportRecord, StoreError> {
    let odd = |_| StoreError::Corrupt("a file's digest has not 32 bytes".to_owned());
    Ok(ImportRecord {
        sequence: row.int(0)?,
        import_time: row.instant(1)?,
        by: row.maybe_text(2)?.map(str::parse).transpose()?,
        digest: row.maybe_bytes(3)?.map(|digest| digest.try_into().map_err(odd)).transpose()?,
        encoding: row.text(4)?.to_owned(),
        tally: ImportTally {
            rows: row.small(5)?,
            added: row.small(6)?,
            changed: row.small(7)?,
            removed: row.small(8)?,
        },
        bad_rows: row.small(9)?,
    })
}

/// Lines as they are stored.
pub(crate) fn note_rows<'a>(company: &'a CompanyId, notes: &'a [Note]) -> Vec<AuditRow<'a>> {
    let row = |note: &'a Note| AuditRow {
        company: company.as_str(),
        account: None,
        follower: None,
        action: note.action,
        detail: &note.detail,
    };
    notes.iter().map(row).collect()
}

bulk_rows! {
    /// A customer that is staged; what is sealed is packed, behind the two hashes.
    CustomerRow<'a> { customer_id: &'a str, rules_version: i64, start: i32, length: i32, }
    /// A customer's record with new keys; it is packed.
    RecordRow<'a> { customer_id: &'a str, start: i32, length: i32, }
    /// A decision.
    DecisionRow<'a> { inquiry_id: Id, outcome: &'static str, customer_id: Option<&'a str>, reasons: String, }
}

/// Customers as rows, sealed with their keys of matching.
pub(crate) fn customer_rows<'a>(
    keys: &CompanyKeys,
    customers: &'a [KeyedCustomer],
) -> Result<(Vec<CustomerRow<'a>>, Packed), StoreError> {
    let mut packed = Packed::new();
    let mut rows = Vec::with_capacity(customers.len());
    for KeyedCustomer { customer, keys: made } in customers {
        let SealedCustomer { account_key, fingerprint, record } = seal_customer(keys, customer, &made.bytes)?;
        let (start, _) = packed.cut(&account_key);
        packed.cut(&fingerprint);
        let (_, length) = packed.cut(&record);
        rows.push(CustomerRow {
            customer_id: customer.customer_id.as_str(),
            rules_version: made.rules_version.into(),
            start,
            length,
        });
    }
    Ok((rows, packed))
}

// The statements cut them out by this length.
const _: () = assert!(LOOK_UP_BYTES == 16);

/// Records of these customers, sealed with the keys that are made of them.
pub(crate) fn record_rows<'a>(
    keys: &CompanyKeys,
    customers: &'a [KeyedCustomer],
    make: &MakeKeys<'_>,
) -> Result<(Vec<RecordRow<'a>>, Packed), StoreError> {
    let mut packed = Packed::new();
    let mut rows = Vec::with_capacity(customers.len());
    for KeyedCustomer { customer, .. } in customers {
        let sealed = seal_customer(keys, customer, &make(customer))?;
        let (start, length) = packed.cut(&sealed.record);
        rows.push(RecordRow { customer_id: customer.customer_id.as_str(), start, length });
    }
    Ok((rows, packed))
}

/// Decisions as rows, in the order of their inquiries; of two on one inquiry the first comes first.
pub(crate) fn decision_rows(decisions: &[DecidedInquiry]) -> Vec<DecisionRow<'_>> {
    let rows = decisions.iter().map(|DecidedInquiry { inquiry_id, decision }| DecisionRow {
        inquiry_id: Id::of(inquiry_id.as_bytes()),
        outcome: decision.outcome.as_str(),
        customer_id: decision.customer_id.as_ref().map(CustomerId::as_str),
        reasons: decision.reasons.join(" "),
    });
    let mut rows: Vec<_> = rows.collect();
    rows.sort_by_key(|row| row.inquiry_id);
    rows
}

/// Reads a customer with the keys of matching. Columns: id, version of the rules, record.
pub(crate) fn keyed_of(
    keys: &CompanyKeys,
    row: &impl Columns,
    first: usize,
) -> Result<KeyedCustomer, StoreError> {
    open_customer(keys, row.text(first)?, row.small(first + 1)?, row.bytes(first + 2)?)
}

/// Reads a customer and when it changed. Columns: those of [`keyed_of`], the time.
pub(crate) fn stored_of(
    keys: &CompanyKeys,
    row: &impl Columns,
    first: usize,
) -> Result<StoredCustomer, StoreError> {
    let customer = keyed_of(keys, row, first)?.customer;
    Ok(StoredCustomer { customer, update_time: row.instant(first + 3)? })
}

/// Reads a decision. Columns: revision, outcome, customer, reasons.
pub(crate) fn decision_of(row: &impl Columns) -> Result<(u64, MatchDecision), StoreError> {
    let decision = MatchDecision {
        outcome: parse_outcome(row.text(1)?)?,
        customer_id: row.maybe_text(2)?.map(str::parse).transpose()?,
        reasons: row.text(3)?.split_whitespace().map(str::to_owned).collect(),
    };
    Ok((row.small(0)?, decision))
}

/// Reads how many rows a table has. Columns: its name, the count.
pub(crate) fn rows_of(row: &impl Columns) -> Result<(String, u64), StoreError> {
    Ok((row.text(0)?.to_owned(), row.small(1)?))
}

/// Reads a word on custody from five columns: time, revision, customers, the lease's end, rules of digests.
pub(crate) fn custody_of(row: &impl Columns, first: usize) -> Result<CustodyEvent, StoreError> {
    Ok(CustodyEvent {
        event_time: row.instant(first)?,
        revision: row.small(first + 1)?,
        customers: row.small(first + 2)?,
        lease_end_time: row.maybe_instant(first + 3)?,
        digest_rules: row.maybe_small(first + 4)?,
    })
}

/// What the program counts, as the database counts it.
pub(crate) fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn parse_outcome(word: &str) -> Result<MatchOutcome, StoreError> {
    MatchOutcome::ALL
        .into_iter()
        .find(|outcome| outcome.as_str() == word)
        .ok_or_else(|| StoreError::Corrupt("an inquiry has no outcome".to_owned()))
}
