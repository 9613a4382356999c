//! Subscriber lists: who acquires which, and what the present list says (I14).
//!
//! A snapshot is held against the present list by whoever fetched it, in memory; what it changes goes through units of work.
//! Surprising: nothing of a snapshot is stored while it arrives. Whoever acquires a list and dies leaves a lease that ends, and
//! the next snapshot repairs what was half done.

use async_trait::async_trait;
use jiff::Timestamp;
use musubi_domain::id::{CarrierId, FollowerId, OfficialAccountId};

use crate::StoreError;

/// Whose list.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ListKey {
    /// Of which account.
    pub account: OfficialAccountId,
    /// At which carrier.
    pub carrier: CarrierId,
}

/// Which lists of a carrier are due, and for how long one is taken.
#[derive(Clone, Copy, Debug)]
pub struct DueLists<'a> {
    /// The carrier.
    pub carrier: &'a CarrierId,
    /// The accounts that are open there.
    pub accounts: &'a [OfficialAccountId],
    /// Now.
    pub now: Timestamp,
    /// Due are those that were not acquired since.
    pub acquired_before: Timestamp,
    /// Until when nobody else takes it.
    pub lease_end: Timestamp,
}

/// A list that is being acquired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListLease {
    /// Which.
    pub list: ListKey,
    /// Counts the acquisitions: a lease of another epoch than the list's has ended.
    pub epoch: i64,
    /// When the unbroken row of quarantined snapshots began.
    pub quarantine_time: Option<Timestamp>,
    /// How many missing followers people have seen, and released the list; none: nobody has.
    pub released: Option<u64>,
}

/// Where a follower stands on the present list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Who.
    pub follower: FollowerId,
    /// On it, or no more.
    pub following: bool,
    /// Since when, by the carrier's clock.
    pub change_time: Timestamp,
}

/// How an acquisition ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListOutcome {
    /// The snapshot is the list now.
    Promoted {
        /// The carrier's count of the list's changes.
        generation: u64,
        /// How many of its numbers were known.
        skipped: u64,
    },
    /// The list is kept, for the snapshot lacks too much of it.
    Quarantined {
        /// How many followers the list has.
        followers: u64,
        /// How many of them the snapshot lacks.
        missing: u64,
    },
    /// The list is kept: the snapshot didn't come, was incomplete, or lied.
    Discarded {
        /// When to try again.
        again: Timestamp,
    },
}

/// Subscriber lists.
#[async_trait]
pub trait ListStore: Send + Sync {
    /// Takes the list that has waited longest of those that are due and that nobody acquires.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    async fn claim_list(&self, due: DueLists<'_>) -> Result<Option<ListLease>, StoreError>;

    /// Goes on with an acquisition until `lease_end`. Gives whether it still is this lease's.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    async fn renew_list(&self, lease: &ListLease, lease_end: Timestamp) -> Result<bool, StoreError>;

    /// Who is or was on the present list, in order of follower, from behind `after`, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    async fn listed(
        &self,
        list: &ListKey,
        after: Option<FollowerId>,
        limit: u32,
    ) -> Result<Vec<Listed>, StoreError>;

    /// Followers of an account whose ties are suspended, in order of follower, from behind `after`, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    async fn suspended(
        &self,
        account: &OfficialAccountId,
        after: Option<FollowerId>,
        limit: u32,
    ) -> Result<Vec<FollowerId>, StoreError>;

    /// An acquisition has ended: it is counted, and the list due again in its time. Does nothing when the lease has ended and
    /// another began.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    async fn end_list(
        &self,
        lease: &ListLease,
        outcome: ListOutcome,
        now: Timestamp,
    ) -> Result<(), StoreError>;
}
