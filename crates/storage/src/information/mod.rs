//! The store of the information-management server: what it must do, whatever the database.
//!
//! The rooms: [`flow`] is the followers, their dialogues and ties; [`delivery`] the messages on their way; [`list`] who
//! acquires which subscriber list, and the present ones; [`distribution`], [`custody`], [`follower`] and [`review`] what companies ask
//! for, [`expansion`] how distributions end, and [`trial`] how they are tried before. What two people of a company do only together is in [`approval`]. Whose number may be another's by now is in [`holder`]. How people are erased, and given
//! what is held about them, is [`erasure`]. What was done, and that nobody changed what tells of it, is in [`crate::audit`]; a company reads its own lines by [`audit`].

pub mod approval;
pub mod audit;
pub(crate) mod before;
pub(crate) mod changed;
pub(crate) mod claiming;
pub mod custody;
pub mod delivery;
pub mod distribution;
pub mod erasure;
pub mod expansion;
pub mod flow;
pub mod follower;
pub mod holder;
pub mod list;
pub(crate) mod moved;
pub(crate) mod record;
pub mod review;
pub(crate) mod tally;
pub(crate) mod template;
pub(crate) mod together;
pub mod trial;
pub(crate) mod turns;

use musubi_domain::id::{FollowerId, OfficialAccountId};

use crate::{Opened, audit::AuditStore, vault::Sealing};

/// A follower's key: official account and follower, in front of every key that grows with followers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FollowerKey {
    /// Whose follower.
    pub account: OfficialAccountId,
    /// Which.
    pub follower: FollowerId,
}

/// Everything that the server keeps.
pub trait InformationStore:
    Opened
    + Sealing
    + flow::FlowStore
    + delivery::DeliveryStore
    + list::ListStore
    + distribution::DistributionStore
    + expansion::ExpansionStore
    + custody::CustodyStore
    + follower::FollowerStore
    + holder::HolderStore
    + review::ReviewStore
    + erasure::ErasureStore
    + approval::ApprovalStore
    + trial::TrialStore
    + audit::CompanyAuditStore
    + AuditStore
{
}

impl<T> InformationStore for T where
    T: Opened
        + Sealing
        + flow::FlowStore
        + delivery::DeliveryStore
        + list::ListStore
        + distribution::DistributionStore
        + expansion::ExpansionStore
        + custody::CustodyStore
        + follower::FollowerStore
        + holder::HolderStore
        + review::ReviewStore
        + erasure::ErasureStore
        + approval::ApprovalStore
        + trial::TrialStore
        + audit::CompanyAuditStore
        + AuditStore
{
}
