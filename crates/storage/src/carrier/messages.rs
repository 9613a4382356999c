//! Messages in flight. And, pure and the same on every database, what becomes of those that are offered, taken back or over, and
//! their rows.
//!
//! Surprising: an id is known for ever, and whatever comes under it later is not stored.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    fmt,
};

use async_trait::async_trait;
use jiff::Timestamp;
use musubi_domain::{
    id::{MessageId, OfficialAccountId},
    phone_number::PhoneNumber,
};

use super::{
    Event, FleetName, ReceiptKind,
    ledger::{AccountKey, Message, MessageState, receipt},
    record::{account, msisdn, number},
};
use crate::{
    StoreError,
    row::{Columns, Id, Packed, bulk_rows, micros},
};

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
    /// Given back as it is by [`MessageStore::list_queued`].
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
    /// The number doesn't follow the account, or is nobody's.
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

/// Messages in flight.
#[async_trait]
pub trait MessageStore: Send + Sync {
    /// Stores what is new, at most [`BATCH`](super::BATCH). Refused as not found when there is no such account.
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

    /// Expires up to [`BATCH`](super::BATCH) messages whose time is over and that no phone has, with a receipt for each; says
    /// how many.
    async fn expire_messages(&self, now: Timestamp) -> Result<usize, StoreError>;

    /// Up to [`BATCH`](super::BATCH) of the fleet's waiting messages after this place, in order; nothing for a fleet that isn't
    /// known.
    async fn list_queued(
        &self,
        fleet: &FleetName,
        after: u64,
        now: Timestamp,
    ) -> Result<Vec<QueuedMessage>, StoreError>;
}

bulk_rows! {
    /// A message that is stored; its payload is packed.
    MessageRow { message_id: Id, msisdn: i64, fleet: i64, expire_time: i64, start: i32, length: i32, }
    /// What a message is found by.
    MessageKey { account: AccountKey, message_id: Id, }
    /// A message that moved.
    MovedRow { sequence: i64, state: i16, }
}

/// What is asked for, to find these messages.
pub(crate) fn message_keys(ids: &[(AccountKey, MessageId)]) -> Vec<MessageKey> {
    let key = |(account, id): &(AccountKey, MessageId)| MessageKey {
        account: *account,
        message_id: Id::of(id.as_bytes()),
    };
    ids.iter().map(key).collect()
}

/// The stored ones of these messages. Found of each: its place among the ids, sequence, number, state.
pub(crate) fn stored(
    ids: &[(AccountKey, MessageId)],
    found: impl IntoIterator<Item = (i64, i64, i64, i64)>,
) -> Result<HashMap<(AccountKey, MessageId), Message>, StoreError> {
    let mut messages = HashMap::new();
    for (place, sequence, msisdn, state) in found {
        let id = usize::try_from(place).ok().and_then(|place| ids.get(place));
        if let Some(id) = id {
            messages.insert(*id, Message { sequence, number: number(msisdn)?, state: state_of(state)? });
        }
    }
    Ok(messages)
}

pub(crate) fn state_of(number: i64) -> Result<MessageState, StoreError> {
    MessageState::from_number(number)
        .ok_or_else(|| StoreError::Corrupt(format!("{number} is no state of a message")))
}

/// Where messages moved to, as rows; none of them is queued any more.
pub(crate) fn moved_rows(moved: impl IntoIterator<Item = (i64, MessageState)>) -> Vec<MovedRow> {
    moved.into_iter().map(|(sequence, state)| MovedRow { sequence, state: state as i16 }).collect()
}

/// What becomes of candidates.
pub(crate) struct Offered {
    /// One for each, in order.
    pub(crate) outcomes: Vec<Enqueued>,
    /// What is stored, in order, with its payloads.
    pub(crate) new: Vec<MessageRow>,
    pub(crate) payloads: Packed,
    /// The fleets that have messages waiting now.
    pub(crate) fleets: BTreeSet<i64>,
}

/// The numbers that candidates would go to, in their order.
pub(crate) fn receivers(candidates: &[Candidate]) -> Vec<i64> {
    let messages = candidates.iter().filter_map(|candidate| candidate.message.as_ref());
    let numbers: BTreeSet<i64> = messages.map(|message| msisdn(message.number)).collect();
    numbers.into_iter().collect()
}

/// Decides what becomes of candidates, of which those that were seen are stored already. Fleets are those of the numbers that
/// follow the account and are somebody's.
pub(crate) fn offer(
    candidates: &[Candidate],
    mut seen: HashSet<MessageId>,
    fleets: &HashMap<i64, i64>,
) -> Offered {
    let (mut outcomes, mut new) =
        (Vec::with_capacity(candidates.len()), Vec::with_capacity(candidates.len()));
    let (mut payloads, mut waiting) = (Packed::new(), BTreeSet::new());
    for Candidate { message_id, message } in candidates {
        if seen.contains(message_id) {
            outcomes.push(Enqueued::Seen);
            continue;
        }
        let Some(message) = message else {
            outcomes.push(Enqueued::Unwanted);
            continue;
        };
        let msisdn = msisdn(message.number);
        let Some(&fleet) = fleets.get(&msisdn) else {
            outcomes.push(Enqueued::NotFollowing);
            continue;
        };
        seen.insert(*message_id);
        waiting.insert(fleet);
        let (start, length) = payloads.cut(&message.payload);
        let (message_id, expire_time) = (Id::of(message_id.as_bytes()), micros(message.expires));
        new.push(MessageRow { message_id, msisdn, fleet, expire_time, start, length });
        outcomes.push(Enqueued::Queued);
    }
    Offered { outcomes, new, payloads, fleets: waiting }
}

/// What moved, and the events that tell of it.
#[derive(Default)]
pub(crate) struct Told {
    pub(crate) moved: Vec<MovedRow>,
    pub(crate) events: Vec<Event>,
}

/// Takes messages of an account back; says for each whether it is taken back, now or before.
pub(crate) fn take_back(
    account: &OfficialAccountId,
    ids: &[(AccountKey, MessageId)],
    mut messages: HashMap<(AccountKey, MessageId), Message>,
    now: Timestamp,
) -> (Vec<bool>, Told) {
    let (mut revoked, mut moved, mut events) = (Vec::with_capacity(ids.len()), Vec::new(), Vec::new());
    for place in ids {
        let Some(message) = messages.get_mut(place) else {
            revoked.push(false);
            continue;
        };
        if let Some(state) = message.state.after(ReceiptKind::Revoked) {
            message.state = state;
            moved.push((message.sequence, state));
            events.push(receipt(account, message.number, place.1, ReceiptKind::Revoked, now));
        }
        revoked.push(message.state == MessageState::Revoked);
    }
    (revoked, Told { moved: moved_rows(moved), events })
}

/// Ends messages whose time is over. Columns: sequence, account, number, message id.
pub(crate) fn end(over: &[impl Columns], now: Timestamp) -> Result<Told, StoreError> {
    let mut told = Told::default();
    for row in over {
        let id = MessageId::from_bytes(row.id(3)?);
        told.events.push(receipt(
            &account(row.text(1)?)?,
            number(row.int(2)?)?,
            id,
            ReceiptKind::Expired,
            now,
        ));
        told.moved.push(MovedRow { sequence: row.int(0)?, state: MessageState::Expired as i16 });
    }
    Ok(told)
}

/// Reads a message that waits. Columns: sequence, account, the account's name, payload.
pub(crate) fn queued_of(row: &impl Columns) -> Result<QueuedMessage, StoreError> {
    Ok(QueuedMessage {
        sequence: row.small(0)?,
        account: account(row.text(1)?)?,
        display_name: row.text(2)?.to_owned(),
        payload: row.bytes(3)?.to_vec(),
    })
}
