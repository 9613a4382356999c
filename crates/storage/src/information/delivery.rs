//! Deliveries on their way: claimed in batches under a lease, with the gate inside the claim.

use async_trait::async_trait;
use jiff::Timestamp;
use musubi_domain::{
    delivery::{Purpose, Signal},
    id::{CarrierId, DialogueId, DistributionId, MessageId, OfficialAccountId, TieId},
    phone_number::PhoneNumber,
};

use super::FollowerKey;
use crate::StoreError;

/// Whose deliveries to claim.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// Messages of an official account's dialogues.
    Dialogues(OfficialAccountId),
    /// Messages of one distribution.
    Distribution(DistributionId),
}

/// A source with deliveries that are due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueSource {
    /// Which.
    pub source: Source,
    /// Whose followers.
    pub account: OfficialAccountId,
    /// At most so many messages a second of this source over this carrier; 0: no limit of its own.
    pub messages_per_second: u32,
    /// How many, up to what was asked for.
    pub count: u32,
}

/// A claim on due deliveries.
#[derive(Clone, Debug)]
pub struct Claim {
    /// Over which carrier.
    pub carrier: CarrierId,
    /// Whose.
    pub source: Source,
    /// At most so many.
    pub limit: u32,
    /// The time of the claim.
    pub now: Timestamp,
    /// When a claimed delivery is due again, should nothing be recorded.
    pub lease_end: Timestamp,
    /// A delivery with so many attempts is dead; those that were throttled or not answered don't count.
    pub attempts_limit: u32,
}

impl Claim {
    /// The same for what it may still take after so many; none, when that is nothing.
    pub(crate) fn after(&self, taken: u32) -> Option<Self> {
        (taken < self.limit).then(|| Self { limit: self.limit - taken, ..self.clone() })
    }
}

/// What a claim found.
#[derive(Debug, Default)]
pub struct Claimed {
    /// An attempt at each has started; the gate was open for it.
    pub attempts: Vec<Attempt>,
    /// How many deliveries were looked at.
    pub seen: u32,
    /// Perhaps there are more at once.
    pub more: bool,
}

impl Claimed {
    /// Adds what was found after it.
    pub(crate) fn append(&mut self, later: Self) {
        self.attempts.extend(later.attempts);
        self.seen += later.seen;
        self.more |= later.more;
    }
}

/// One attempt that has started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// To whom.
    pub key: FollowerKey,
    /// Which message.
    pub message_id: MessageId,
    /// Counted from 1; the epoch of the lease.
    pub attempt: u32,
    /// To which number.
    pub phone_number: PhoneNumber,
    /// What it says, decided by the first attempt. Never [`Purpose::Undecided`].
    pub purpose: Purpose,
    /// For a dialogue's: which, and the step.
    pub dialogue: Option<(DialogueId, u16)>,
    /// For an individual one: the tie that it is for.
    pub tie: Option<TieId>,
    /// For an individual one: the customer's values.
    pub values: Vec<String>,
    /// Not after.
    pub expire_time: Timestamp,
}

/// What became of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptOutcome {
    /// The carrier said it.
    Known(Signal),
    /// The carrier said that it reaches nobody there: it never will have the message, and the follower's tie is in doubt.
    Unreachable,
    /// The carrier said not now: due again then, and no failure.
    Throttled(Timestamp),
    /// Nobody knows: the same message is due again then.
    Unknown(Timestamp),
    /// Nobody knows because the carrier doesn't answer: due again then, and no failure of the message.
    Unanswered(Timestamp),
}

/// The outcome of one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptResult {
    /// To whom.
    pub key: FollowerKey,
    /// Which message.
    pub message_id: MessageId,
    /// Which attempt; a result of an earlier one moves states forward but not leases. A receipt is of none: 0.
    pub attempt: u32,
    /// What became of it.
    pub outcome: AttemptOutcome,
}

/// Deliveries on their way.
#[async_trait]
pub trait DeliveryStore: Send + Sync {
    /// The sources with deliveries that are due over this carrier: dialogues, by account, before distributions that may run.
    /// Counts up to `limit` deliveries of each; a distribution whose followers were not all walked has as many as that. Changes
    /// nothing.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    async fn due(
        &self,
        carrier: &CarrierId,
        limit: u32,
        now: Timestamp,
    ) -> Result<Vec<DueSource>, StoreError>;

    /// Starts attempts, in one transaction: due deliveries of the source, each through the gate. What the gate refuses is
    /// revoked, what is too late expires, what was attempted too often is dead. When fewer of a distribution are due than may be
    /// taken, its next followers are walked: a delivery is made for each, and those over this carrier are attempted at once. A
    /// distribution that isn't running, or not yet, yields nothing.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: no attempt has started.
    async fn claim(&self, claim: &Claim) -> Result<Claimed, StoreError>;

    /// Records what became of attempts, and what receipts say of messages, in one transaction; with it, ties of followers that are
    /// not reached are suspended ([`Doubt::Refused`](musubi_domain::silence::Doubt)). Gives for each result whether its delivery
    /// exists. Repeatable.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    async fn record(&self, results: &[AttemptResult], now: Timestamp) -> Result<Vec<bool>, StoreError>;

    /// Accepted deliveries whose expiry passed before `before` without a receipt expire; at most `limit`. Gives how many.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    async fn expire_unconfirmed(
        &self,
        before: Timestamp,
        limit: u32,
        now: Timestamp,
    ) -> Result<u32, StoreError>;
}
