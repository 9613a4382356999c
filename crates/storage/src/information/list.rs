//! Subscriber lists while they arrive: staged, judged, promoted or not (I14).

use async_trait::async_trait;
use jiff::Timestamp;
use musubi_domain::{
    id::{CarrierId, FollowerId, OfficialAccountId},
    phone_number::PhoneNumber,
};

use crate::StoreError;

/// Whose list.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ListKey {
    /// Of which account.
    pub account: OfficialAccountId,
    /// At which carrier.
    pub carrier: CarrierId,
}

/// A staged snapshot held against the present list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// Numbers in the present list.
    pub followers: u64,
    /// Of these, numbers that the snapshot lacks and should have.
    pub missing: u64,
    /// Numbers of the snapshot.
    pub staged: u64,
    /// When the unbroken row of quarantined snapshots began.
    pub quarantine_time: Option<Timestamp>,
}

/// Subscriber lists while they arrive.
#[async_trait]
pub trait ListStore: Send + Sync {
    /// Empties the stage for a new snapshot. Whatever empties a stage gives up its promotion.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    async fn begin_list(&self, list: &ListKey) -> Result<(), StoreError>;

    /// Stages numbers, at most some ten thousands; fastest in the order of followers.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    async fn stage(&self, list: &ListKey, numbers: &[(FollowerId, PhoneNumber)]) -> Result<(), StoreError>;

    /// Holds the stage against the list. Numbers whose subscription changed after `as_of` are left out of it.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    async fn compare(&self, list: &ListKey, as_of: Timestamp) -> Result<Comparison, StoreError>;

    /// The snapshot was incomplete or lied: it is counted, and the stage emptied.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    async fn discard(&self, list: &ListKey) -> Result<(), StoreError>;

    /// Keeps the list; suspends the ties of the numbers that the stage lacks; empties the stage. Gives how many ties.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    async fn quarantine(&self, list: &ListKey, as_of: Timestamp, now: Timestamp) -> Result<u64, StoreError>;

    /// The stage is to become the list: from here on it is promoted to its end, over crashes.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    async fn begin_promotion(
        &self,
        list: &ListKey,
        generation: u64,
        as_of: Timestamp,
    ) -> Result<(), StoreError>;

    /// The promotions under way: after a crash, those to be finished.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    async fn promotions(&self) -> Result<Vec<(ListKey, Timestamp)>, StoreError>;

    /// Staged numbers that the list lacks, in order of follower, from behind `after`. None unless the promotion of the
    /// snapshot of that moment is under way.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    async fn staged_new(
        &self,
        list: &ListKey,
        as_of: Timestamp,
        after: Option<FollowerId>,
        limit: u32,
    ) -> Result<Vec<(FollowerId, PhoneNumber)>, StoreError>;

    /// Numbers of the list that the stage lacks, in order of follower, from behind `after`. None unless the promotion of
    /// the snapshot of that moment is under way.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    async fn staged_missing(
        &self,
        list: &ListKey,
        as_of: Timestamp,
        after: Option<FollowerId>,
        limit: u32,
    ) -> Result<Vec<(FollowerId, PhoneNumber)>, StoreError>;

    /// The promotion is done: ties of staged numbers are suspended no longer, the snapshot is counted, the stage emptied.
    /// `skipped` is how many of its numbers were known. Does nothing when no promotion is under way.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    async fn finish_promotion(&self, list: &ListKey, skipped: u64, now: Timestamp) -> Result<(), StoreError>;
}
