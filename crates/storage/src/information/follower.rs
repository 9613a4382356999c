//! Followers as companies look at them: the funnel, and pages of followers.
//!
//! Of an account that is not the asking company's there is nobody. Surprising: reading a page writes, because
//! every look at confirmed data stands in the audit (I15).

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;
use musubi_domain::{
    day::{Day, DayEvent},
    delivery::{DeliveryState, Purpose},
    dialogue::Stage,
    eligibility::Held,
    id::{CarrierId, CompanyId, CustomerId, FollowerId, OfficialAccountId, OperatorName},
    outcome::FollowerOutcome,
    phone_number::PhoneNumber,
};

use crate::StoreError;

/// How far the followers of an account came, and all that belongs to it; each list by account and carrier.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overview {
    /// How many followers stand where.
    pub funnels: Vec<Funnel>,
    /// How many messages stand where.
    pub messages: Vec<MessageCount>,
    /// How the lists were acquired.
    pub acquisitions: Vec<Acquisition>,
}

/// How many followers of an account on a carrier stand where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Funnel {
    /// Of which account.
    pub account: OfficialAccountId,
    /// On which carrier.
    pub carrier: CarrierId,
    /// By the furthest stage of the present dialogue, and no further: add up what lies beyond.
    pub reached: BTreeMap<Stage, u64>,
    /// By where they are now.
    pub outcomes: BTreeMap<FollowerOutcome, u64>,
}

/// How many messages of an account over a carrier stand where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageCount {
    /// Of which account.
    pub account: OfficialAccountId,
    /// Over which carrier.
    pub carrier: CarrierId,
    /// What they say.
    pub purpose: Purpose,
    /// Where they stand.
    pub state: DeliveryState,
    /// How many, at least one.
    pub count: u64,
}

/// How one list was acquired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acquisition {
    /// Of which account.
    pub account: OfficialAccountId,
    /// At which carrier.
    pub carrier: CarrierId,
    /// Snapshots promoted.
    pub promoted: u64,
    /// Snapshots discarded.
    pub discarded: u64,
    /// Snapshots quarantined.
    pub quarantined: u64,
    /// The generation last promoted.
    pub generation: u64,
    /// Numbers that an event brought first.
    pub added_by_event: u64,
    /// Numbers that a snapshot brought first.
    pub added_by_list: u64,
    /// Numbers of snapshots that were known.
    pub skipped: u64,
    /// When the last snapshot was promoted.
    pub promote_time: Option<Timestamp>,
    /// There while the list is quarantined.
    pub quarantine: Option<Quarantine>,
}

/// A list that is kept as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quarantine {
    /// Since when.
    pub begin_time: Timestamp,
    /// How many followers the list has.
    pub followers: u64,
    /// How many of them the last snapshot lacks.
    pub missing: u64,
    /// People have released it, and the next snapshot isn't here yet.
    pub released: bool,
}

/// Which followers to list.
#[derive(Clone, Debug)]
pub struct FollowerQuery {
    /// Who asks, for the audit.
    pub company: CompanyId,
    /// By name.
    pub operator: OperatorName,
    /// Of which account.
    pub account: OfficialAccountId,
    /// Only those that stand there.
    pub outcome: Option<FollowerOutcome>,
    /// From behind this one.
    pub after: Option<FollowerId>,
    /// At most so many.
    pub limit: u32,
}

/// A follower as companies see one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FollowerView {
    /// Which.
    pub follower: FollowerId,
    /// Its number.
    pub phone_number: PhoneNumber,
    /// The carrier that messages go over.
    pub carrier: CarrierId,
    /// Where it stands.
    pub outcome: FollowerOutcome,
    /// The customer that it is tied to, or that is proposed in review.
    pub customer_id: Option<CustomerId>,
    /// Why the last match was decided so, as codes.
    pub reasons: Vec<String>,
    /// When the follower came, or came back.
    pub follow_time: Timestamp,
    /// When the dialogue got where it is; without one, the follow time.
    pub outcome_time: Timestamp,
    /// The company's people hold back what is individual, whether there is a tie or not.
    pub suspended: bool,
    /// Why individual messages are held back, if there is a tie and they are.
    pub held: Option<Held>,
}

/// How often something happened to followers of an account on a carrier in a day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DayCount {
    /// Of which account.
    pub account: OfficialAccountId,
    /// On which carrier.
    pub carrier: CarrierId,
    /// When.
    pub day: Day,
    /// What.
    pub event: DayEvent,
    /// How often, at least once.
    pub count: u64,
}

/// Followers as companies look at them. Gives [`StoreError::Unavailable`] when the database doesn't work.
#[async_trait]
pub trait FollowerStore: Send + Sync {
    /// How far the followers of these accounts of a company's came. Carriers on which an account has nobody are left out.
    async fn overview(
        &self,
        company: &CompanyId,
        accounts: &[OfficialAccountId],
    ) -> Result<Overview, StoreError>;

    /// What happened to followers of these accounts of a company's since a day, by account, day, carrier and what it was. What never
    /// happened in a day is left out.
    async fn days(
        &self,
        company: &CompanyId,
        accounts: &[OfficialAccountId],
        since: Day,
    ) -> Result<Vec<DayCount>, StoreError>;

    /// Forgets what happened before a day.
    async fn forget_days(&self, before: Day) -> Result<(), StoreError>;

    /// A page of followers, by id. The page is in the audit before it is given.
    async fn list_followers(
        &self,
        query: &FollowerQuery,
        now: Timestamp,
    ) -> Result<Vec<FollowerView>, StoreError>;
}
