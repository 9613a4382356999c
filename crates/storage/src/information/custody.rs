//! Custody: copies of customer masters that companies entrusted for a time.
//!
//! A copy arrives in chunks, takes effect whole, and ends when its lease does, when another replaces it, or when the company
//! asks. An ended copy answers no match from that moment; its rows are then destroyed in batches. Surprising: the purge time is
//! written when the last row is gone, not when the copy ended, so the record never says that something is gone which isn't.

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use musubi_domain::{Error, ErrorKind, customer::KeyedCustomer, id::CompanyId};

use crate::{MakeKeys, StoreError};

/// A copy that got no chunk for so long, and didn't take effect, is given up.
pub const ABANDONED_AFTER: SignedDuration = SignedDuration::from_mins(10);

/// Which copy of a company's, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CopyNumber(pub u32);

/// Why a copy ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PurgeReason {
    /// The lease was over.
    LeaseEnded,
    /// Another copy took its place.
    Replaced,
    /// The company asked.
    Asked,
}

impl PurgeReason {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::LeaseEnded, Self::Replaced, Self::Asked];

    /// The word for it on the wire and in tables.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LeaseEnded => "lease_ended",
            Self::Replaced => "replaced",
            Self::Asked => "asked",
        }
    }
}

/// The record of a copy that took effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Custody {
    /// How many customers.
    pub customers: u64,
    /// When it took effect.
    pub entrust_time: Timestamp,
    /// When the lease ends.
    pub lease_end_time: Timestamp,
    /// Why it ended; none while it is in effect.
    pub purge_reason: Option<PurgeReason>,
    /// When its last row was destroyed.
    pub purge_time: Option<Timestamp>,
}

/// Copies of customer masters. Gives [`StoreError::Unavailable`] when the database doesn't work: nothing was written, except
/// where more than one transaction is said.
#[async_trait]
pub trait CustodyStore: Send + Sync {
    /// Begins a copy, empty and not in effect.
    async fn begin_copy(&self, company: &CompanyId, now: Timestamp) -> Result<CopyNumber, StoreError>;

    /// Adds at most 10,000 customers, by account key and customer id; the last of one stands.
    ///
    /// # Errors
    /// Refused as `FailedPrecondition` when the copy doesn't arrive any more.
    async fn add_customers(
        &self,
        company: &CompanyId,
        copy: CopyNumber,
        customers: &[KeyedCustomer],
        now: Timestamp,
    ) -> Result<(), StoreError>;

    /// The copy takes effect, and the one before ends: replaced.
    ///
    /// # Errors
    /// Refused as `FailedPrecondition` when the copy doesn't arrive any more.
    async fn take_effect(
        &self,
        company: &CompanyId,
        copy: CopyNumber,
        lease_end: Timestamp,
        now: Timestamp,
    ) -> Result<Custody, StoreError>;

    /// Ends the copy in effect, as asked, and destroys every ended copy of the company. Gives how many customers were
    /// destroyed. Several transactions; the first ends the copy.
    async fn purge(&self, company: &CompanyId, now: Timestamp) -> Result<u64, StoreError>;

    /// Ends copies whose lease is over, gives up abandoned ones, and destroys at most `limit` rows of ended copies, of any
    /// company. Gives how many; fewer than the limit means that none is left.
    async fn purge_ended(&self, limit: u32, now: Timestamp) -> Result<u32, StoreError>;

    /// The copies that took effect, newest first, at most 100.
    async fn list_custodies(&self, company: &CompanyId) -> Result<Vec<Custody>, StoreError>;

    /// Every entrusted customer with one of these account keys, at most 1,000 keys, in no order. None when no copy is in
    /// effect whose lease still runs: then nothing can be decided. Keys are of whatever rules made them last.
    async fn candidates(
        &self,
        company: &CompanyId,
        account_keys: &[&str],
        now: Timestamp,
    ) -> Result<Option<Vec<KeyedCustomer>>, StoreError>;

    /// Makes keys by rules of this version for at most `limit` entrusted customers, of any company, whose keys other rules made.
    /// Gives how many; 0 when none is left. No chunk comes between reading a row and writing its keys.
    async fn rekey(&self, rules_version: u32, limit: u32, make: &MakeKeys<'_>) -> Result<u32, StoreError>;
}

/// The copy does not arrive any more.
pub(crate) fn given_up() -> Error {
    let problem = "the copy was given up, because no chunk of it came for too long";
    Error::new(ErrorKind::FailedPrecondition, problem, "entrust the customers again")
}
