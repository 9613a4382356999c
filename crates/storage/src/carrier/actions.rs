//! What people do with their phones, in batches.
//!
//! What a batch does is decided by the ledger. Surprising: a batch also says which fleet its numbers belong to from now on, and
//! what waits for them goes there.

use std::fmt;

use async_trait::async_trait;
use jiff::Timestamp;
use musubi_domain::{
    id::{MessageId, OfficialAccountId},
    phone_number::PhoneNumber,
};
use uuid::Uuid;

use super::{FleetName, TenureChange};
use crate::StoreError;

/// What people did, applied whole or not at all.
#[derive(Clone, Debug)]
pub struct ActionBatch {
    /// Unique for ever.
    pub batch_id: Uuid,
    /// The fleet that the numbers belong to from now on.
    pub fleet: FleetName,
    /// In order.
    pub actions: Vec<Action>,
}

/// What one person did.
#[derive(Clone, Debug)]
pub struct Action {
    /// The person's number.
    pub number: PhoneNumber,
    /// What.
    pub kind: ActionKind,
}

/// What a person can do.
#[derive(Clone, Debug)]
pub enum ActionKind {
    /// Something in an account's talk room.
    InRoom(OfficialAccountId, RoomAction),
    /// Gives the number back.
    Surrendered,
    /// Something that no list tells became of the number.
    Tenure(TenureChange),
}

/// What a person can do in a talk room.
#[derive(Clone, Debug)]
pub enum RoomAction {
    /// Follows.
    Follow,
    /// Follows no more.
    Unfollow,
    /// The phone has the message.
    Delivered(MessageId),
    /// The person has seen it.
    Displayed(MessageId),
    /// The person answers.
    Responded(Response),
}

/// How a person answered. Personal: `Debug` shows the way and the length.
#[derive(Clone, PartialEq, Eq)]
pub enum Response {
    /// By a tap on a suggestion.
    Tapped {
        /// The message that it stood in.
        message_id: MessageId,
        /// The suggestion's postback.
        postback: String,
        /// Its label.
        label: String,
    },
    /// By typing.
    Text(String),
}

impl Response {
    pub(crate) const fn len(&self) -> usize {
        match self {
            Self::Tapped { postback, .. } => postback.len(),
            Self::Text(text) => text.len(),
        }
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let way = match self {
            Self::Tapped { .. } => "Tapped",
            Self::Text(_) => "Text",
        };
        write!(f, "{way}({} bytes)", self.len())
    }
}

/// What became of a batch of actions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Applied {
    /// Applied now. The fleet has messages that another fleet had before when `inherited`.
    Now {
        /// Whether messages came to the fleet with their numbers.
        inherited: bool,
    },
    /// Applied before; nothing changed.
    Before,
}

/// What people do.
#[async_trait]
pub trait ActionStore: Send + Sync {
    /// Applies a batch of at most [`BATCH`](super::BATCH) actions once, whole, in order, with the events that tell of it. What
    /// no longer makes a difference (a second follow, a late receipt, an answer of one who left, unless it is to an agent) is passed over. Refused as
    /// invalid, at `actions[i].official_account`, when there is no such account.
    async fn apply_actions(&self, batch: &ActionBatch, now: Timestamp) -> Result<Applied, StoreError>;
}
