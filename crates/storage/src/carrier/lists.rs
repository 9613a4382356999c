//! Official accounts and their subscriber lists \[320\].
//!
//! Surprising: nothing is kept for a snapshot. It is a generation of the list, and whoever follows or followed is stored with the
//! generations between which that is so.

use async_trait::async_trait;
use musubi_domain::{id::OfficialAccountId, phone_number::PhoneNumber};

use crate::StoreError;

/// A subscriber list at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Grows with every change of the list.
    pub generation: u64,
}

/// Official accounts and their subscriber lists.
#[async_trait]
pub trait SubscriberListStore: Send + Sync {
    /// Opens an account, or gives it another name.
    async fn put_account(&self, account: &OfficialAccountId, display_name: &str) -> Result<(), StoreError>;

    /// The account's subscriber list as it is now, to be read by [`Self::list_followers`]. Refused as not found when there is
    /// no such account.
    async fn get_snapshot(&self, account: &OfficialAccountId) -> Result<Snapshot, StoreError>;

    /// One page of a snapshot: up to [`BATCH`](super::BATCH) numbers after `after`, ascending. The same whatever happens
    /// meanwhile.
    async fn list_followers(
        &self,
        account: &OfficialAccountId,
        snapshot: Snapshot,
        after: Option<PhoneNumber>,
    ) -> Result<Vec<PhoneNumber>, StoreError>;
}
