//! Running distributions brought to an end.
//!
//! Deliveries are made by the claim that walks the followers, in an order of the store's own. Each step here is one transaction that
//! leaves a whole state; after a crash the same step is taken again. Surprising: who follows while a distribution is being made gets
//! it only when the walk has not passed their place, and the next one otherwise.

use std::collections::HashSet;

use async_trait::async_trait;
use jiff::Timestamp;
use musubi_domain::{
    delivery::Addressed,
    id::{CarrierId, DistributionId, FollowerId, MessageId, OfficialAccountId},
};

use crate::StoreError;

/// Messages of a cancelled distribution that a carrier may have, to be taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocable {
    /// Which.
    pub distribution: DistributionId,
    /// Whose followers.
    pub account: OfficialAccountId,
    /// At which carrier.
    pub carrier: CarrierId,
    /// At most as many as were asked for, perhaps none.
    pub messages: Vec<RevocableMessage>,
    /// Up to which follower this is all; none: to the end.
    pub through: Option<FollowerId>,
}

impl Revocable {
    /// Cuts a page of at most `limit` followers down to what the carrier may have, and ends it before the first attempt that is under
    /// way: its outcome will be known soon.
    pub(crate) fn cut(
        mut self,
        limit: u32,
        at_carrier: &HashSet<MessageId>,
        under_way: &HashSet<MessageId>,
    ) -> Option<Self> {
        let page = &mut self.messages;
        let whole = u32::try_from(page.len()).is_ok_and(|length| length < limit);
        let cut = page.iter().position(|message| under_way.contains(&message.sent.message_id));
        if cut == Some(0) {
            return None;
        }
        page.truncate(cut.unwrap_or(page.len()));
        self.through = page.last().map(|last| last.follower).filter(|_| !whole || cut.is_some());
        page.retain(|message| at_carrier.contains(&message.sent.message_id));
        Some(self)
    }
}

/// A message that a carrier may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevocableMessage {
    /// To whom.
    pub follower: FollowerId,
    /// Which, and to which number.
    pub sent: Addressed,
}

/// Running distributions. Every method is one transaction and gives [`StoreError::Unavailable`] when the database doesn't
/// work: nothing was written. All may be repeated.
#[async_trait]
pub trait ExpansionStore: Send + Sync {
    /// Whether any distribution is under way, or being taken back. Asked before a sweep, so that idle servers leave the database
    /// alone.
    async fn has_work(&self) -> Result<bool, StoreError>;

    /// The next followers of a running distribution past its expiry, at most `limit`, whom no claim has walked: their deliveries are
    /// made as expired, so that the counts tell who was not reached. Gives how many.
    async fn expire_unmade(&self, limit: u32, now: Timestamp) -> Result<u32, StoreError>;

    /// Deliveries of distributions past their expiry expire, unless an attempt is under way; at most `limit`. Gives how many.
    /// Also those of cancelled ones that a carrier could not be asked about.
    async fn expire_overdue(&self, limit: u32, now: Timestamp) -> Result<u32, StoreError>;

    /// Running distributions with a delivery for every follower and none that is queued or sending are completed. Gives them.
    async fn complete_finished(&self, now: Timestamp) -> Result<Vec<DistributionId>, StoreError>;

    /// Deliveries of cancelled distributions that were never attempted are revoked; at most `limit`. Gives how many.
    async fn withdraw(&self, limit: u32, now: Timestamp) -> Result<u32, StoreError>;

    /// The next messages of a cancelled distribution that this carrier may have, among at most `limit` followers: those that
    /// it accepted, and those whose last attempt has no known outcome. None while deliveries are to be withdrawn or attempts
    /// are under way, and when nothing is left.
    async fn revocable(
        &self,
        carrier: &CarrierId,
        limit: u32,
        now: Timestamp,
    ) -> Result<Option<Revocable>, StoreError>;

    /// Records what the carrier said of each message of a [`Revocable`], in its order: `true` is taken back. What it denies
    /// and had accepted stays accepted, for its receipt to come; what it denies and never acknowledged is revoked.
    async fn record_revoked(
        &self,
        asked: &Revocable,
        taken_back: &[bool],
        now: Timestamp,
    ) -> Result<(), StoreError>;
}
