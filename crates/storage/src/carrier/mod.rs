//! The store of the carrier node: what it must do, whatever the database.
//!
//! Accounts and their subscriber lists \[320\], messages in flight, the authorities' keys and persons, and the outbox to the
//! information server. What the wire carries is opaque here: payloads come in encoded, and events go out through the encoder
//! that the store was opened with. Surprising: whatever changes something writes the events that tell of it in the same
//! transaction, so no change is ever untold and none is told that didn't happen.

pub(crate) mod ledger;
pub(crate) mod messages;
pub(crate) mod outbox;
pub(crate) mod record;

use std::{fmt, str::FromStr, sync::Arc};

use async_trait::async_trait;
use jiff::Timestamp;
use musubi_domain::{
    Error,
    id::{CarrierId, MessageId, OfficialAccountId},
    identity::{AttestedIdentity, IdentityMethod},
    phone_number::PhoneNumber,
};
use uuid::Uuid;

use crate::{Opened, StoreError};

/// The most items of one call, of one row of the outbox, of one page.
pub const BATCH: usize = 1_000;

/// A fleet of terminals: 1 to 63 of a-z, 0-9 and hyphen. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FleetName(Arc<str>);

impl FleetName {
    /// The name, as on the wire.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for FleetName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        // The rule of every slug.
        let slug: CarrierId = text.parse().map_err(|error: Error| error.at("fleet"))?;
        Ok(Self(slug.as_str().into()))
    }
}

/// What happened at the carrier, for the information server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Unique for ever; the same whenever the same thing is told.
    pub id: Uuid,
    /// In whose talk room.
    pub account: OfficialAccountId,
    /// Whose phone.
    pub number: PhoneNumber,
    /// When it happened.
    pub time: Timestamp,
    /// What.
    pub kind: EventKind,
}

/// What can happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// The number is on the subscriber list now.
    Followed,
    /// The number left it.
    Unfollowed,
    /// The number went back to the carrier.
    NumberReassigned,
    /// The person answered.
    Responded(Response),
    /// A message moved.
    Receipt(MessageId, ReceiptKind),
}

/// How a person answered. Personal: `Debug` shows the way and the length.
#[derive(Clone, PartialEq, Eq)]
pub enum Response {
    /// By a tap: the suggestion's postback.
    Postback(String),
    /// By typing.
    Text(String),
}

impl Response {
    pub(crate) const fn len(&self) -> usize {
        match self {
            Self::Postback(text) | Self::Text(text) => text.len(),
        }
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let way = match self {
            Self::Postback(_) => "Postback",
            Self::Text(_) => "Text",
        };
        write!(f, "{way}({} bytes)", self.len())
    }
}

/// How far a message came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReceiptKind {
    /// The phone has it.
    Delivered,
    /// The person saw it.
    Displayed,
    /// Its time passed before any phone had it.
    Expired,
    /// It was taken back before any phone had it.
    Revoked,
}

/// Encodes events, in order, as one payload of the outbox.
pub type EncodeEvents = fn(&[Event]) -> Vec<u8>;

/// A subscriber list at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Grows with every change of the list.
    pub generation: u64,
}

/// A message that was offered.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The sender's id for it.
    pub message_id: MessageId,
    /// What to store, unless it isn't wanted and only its id is asked about.
    pub message: Option<NewMessage>,
}

/// A message to store.
#[derive(Clone)]
pub struct NewMessage {
    /// The receiver.
    pub number: PhoneNumber,
    /// From when on it is not delivered.
    pub expires: Timestamp,
    /// Given back as it is by [`CarrierStore::list_queued`].
    pub payload: Vec<u8>,
}

impl fmt::Debug for NewMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NewMessage({} bytes)", self.payload.len())
    }
}

/// What became of a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enqueued {
    /// Stored.
    Queued,
    /// The id was stored before, or earlier in the same batch.
    Seen,
    /// The number doesn't follow the account.
    NotFollowing,
    /// The id was not stored before, and there was nothing to store.
    Unwanted,
}

/// What became of a batch of candidates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enqueueing {
    /// One for each candidate, in order.
    pub outcomes: Vec<Enqueued>,
    /// The fleets that have messages waiting now, each once.
    pub fleets: Vec<FleetName>,
}

/// A message that waits for its phone.
#[derive(Clone)]
pub struct QueuedMessage {
    /// Its place in the order of delivery; grows.
    pub sequence: u64,
    /// The sender.
    pub account: OfficialAccountId,
    /// The sender's name.
    pub display_name: String,
    /// As it was stored.
    pub payload: Vec<u8>,
}

impl fmt::Debug for QueuedMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "QueuedMessage({}, {}, {} bytes)", self.sequence, self.account, self.payload.len())
    }
}

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

/// One authority's key pair.
#[derive(Clone)]
pub struct AuthorityKey {
    /// What it verifies; there is one key for each.
    pub method: IdentityMethod,
    /// The key's name.
    pub key_id: String,
    /// PKCS #8, DER.
    pub private_key: Vec<u8>,
    /// SubjectPublicKeyInfo, PEM.
    pub public_key_pem: String,
}

impl fmt::Debug for AuthorityKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AuthorityKey({}, {})", self.method, self.key_id)
    }
}

/// A person's credential, and what its authority attests. Personal: `Debug` shows the method.
#[derive(Clone, PartialEq, Eq)]
pub struct Person {
    /// Names the credential, within its method.
    pub credential_id: String,
    /// The person's number.
    pub number: PhoneNumber,
    /// The secret that unlocks it.
    pub pin: String,
    /// What is attested, and by which method.
    pub identity: AttestedIdentity,
}

impl fmt::Debug for Person {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Person({}, …)", self.identity.method)
    }
}

/// What the information server is told; each keeps an order of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OutboxKind {
    /// [`Event`]s, as the encoder writes them.
    Events,
    /// Signed assertions.
    Assertions,
}

/// Rows of the outbox, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxBatch {
    /// What to acknowledge when all of it was taken.
    pub through: u64,
    /// One for each row.
    pub payloads: Vec<Vec<u8>>,
}

/// A carrier's store. Each method is one transaction; all may be repeated.
///
/// All of them give [`StoreError::Unavailable`] when the database doesn't work: nothing was written, unless the commit itself
/// was cut off; then repeating tells. They give [`StoreError::Refused`] where it is said.
#[async_trait]
pub trait CarrierStore: Opened {
    /// Opens an account, or gives it another name.
    async fn put_account(&self, account: &OfficialAccountId, display_name: &str) -> Result<(), StoreError>;

    /// The account's subscriber list as it is now, to be read by [`Self::list_followers`]. Refused as not found when there is
    /// no such account.
    async fn get_snapshot(&self, account: &OfficialAccountId) -> Result<Snapshot, StoreError>;

    /// One page of a snapshot: up to [`BATCH`] numbers after `after`, ascending. The same whatever happens meanwhile.
    async fn list_followers(
        &self,
        account: &OfficialAccountId,
        snapshot: Snapshot,
        after: Option<PhoneNumber>,
    ) -> Result<Vec<PhoneNumber>, StoreError>;

    /// Stores what is new, at most [`BATCH`]. Refused as not found when there is no such account.
    async fn enqueue_messages(
        &self,
        account: &OfficialAccountId,
        candidates: &[Candidate],
    ) -> Result<Enqueueing, StoreError>;

    /// Takes back what no phone has, with a receipt for each; says for each id, in order, whether it is taken back, now or
    /// before. Refused as not found when there is no such account.
    async fn revoke_messages(
        &self,
        account: &OfficialAccountId,
        message_ids: &[MessageId],
        now: Timestamp,
    ) -> Result<Vec<bool>, StoreError>;

    /// Expires up to [`BATCH`] messages whose time is over and that no phone has, with a receipt for each; says how many.
    async fn expire_messages(&self, now: Timestamp) -> Result<usize, StoreError>;

    /// Up to [`BATCH`] of the fleet's waiting messages after this place, in order; nothing for a fleet that isn't known.
    async fn list_queued(
        &self,
        fleet: &FleetName,
        after: u64,
        now: Timestamp,
    ) -> Result<Vec<QueuedMessage>, StoreError>;

    /// Applies a batch of at most [`BATCH`] actions once, whole, in order, with the events that tell of it. What no longer
    /// makes a difference (a second follow, a late receipt, an answer of one who left) is passed over. Refused as invalid, at
    /// `actions[i].official_account`, when there is no such account.
    async fn apply_actions(&self, batch: &ActionBatch, now: Timestamp) -> Result<Applied, StoreError>;

    /// Keeps these keys for methods that have none, and gives all that stand, by method.
    async fn put_authority_keys(&self, keys: &[AuthorityKey]) -> Result<Vec<AuthorityKey>, StoreError>;

    /// Issues credentials; the last of one (method, credential id) stands.
    async fn put_persons(&self, persons: &[Person]) -> Result<(), StoreError>;

    /// The persons with these credentials, in order; none where there is no such credential.
    async fn find_persons(
        &self,
        credentials: &[(IdentityMethod, &str)],
    ) -> Result<Vec<Option<Person>>, StoreError>;

    /// What a batch of [`Self::put_assertions`] was answered with, if it was applied.
    async fn find_answer(&self, batch_id: Uuid) -> Result<Option<Vec<u8>>, StoreError>;

    /// Puts signed assertions into the outbox, once for a batch: each payload is one row. Gives the answer that stands: this
    /// one, or the one that this batch had before; then nothing changed.
    async fn put_assertions(
        &self,
        batch_id: Uuid,
        answer: Vec<u8>,
        payloads: &[(usize, Vec<u8>)],
    ) -> Result<Vec<u8>, StoreError>;

    /// The oldest rows of the outbox: one at least, then as many more as hold no more than [`BATCH`] items in all. Nothing
    /// when it is empty.
    async fn list_outbox(&self, kind: OutboxKind) -> Result<Option<OutboxBatch>, StoreError>;

    /// Drops what was listed.
    async fn acknowledge_outbox(&self, kind: OutboxKind, through: u64) -> Result<(), StoreError>;
}
