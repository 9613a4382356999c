//! RBM agents: official accounts whose owner speaks RCS Business Messaging's REST API, and their
//! messages. And, pure and the same on every database, what becomes of a message that is offered, and its rows.
//!
//! A message of an agent is a message like any other; what stands here is what it has beside that. Surprising: an agent reaches every
//! number that the carrier has, whether it follows or not, but for those that left; leaving without having followed is kept as an
//! interval of the list in which nobody follows.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use async_trait::async_trait;
use jiff::Timestamp;
use musubi_domain::{
    id::{MessageId, OfficialAccountId},
    phone_number::PhoneNumber,
};

use super::{
    FleetName, ReceiptKind,
    ledger::{AccountKey, MessageState},
    messages::{MessageRow, state_of},
    record::{account, msisdn, number},
};
use crate::{
    StoreError,
    row::{Columns, Id, Packed, bulk_rows, micros},
};

/// An official account with an RBM face.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agent {
    /// Whose talk rooms it has.
    pub account: OfficialAccountId,
    /// Its id as RBM writes it.
    pub agent_id: String,
    /// The verified sender's name.
    pub display_name: String,
    /// How far its launch at this carrier is, as RBM writes it.
    pub launch_state: String,
}

/// A message that an agent offers.
#[derive(Clone)]
pub struct AgentMessage {
    /// What it is called here.
    pub message_id: MessageId,
    /// What its sender calls it.
    pub client_id: String,
    /// The receiver.
    pub number: PhoneNumber,
    /// From when on it is not delivered.
    pub expires: Timestamp,
    /// Whether its sender said so, and is told when it happens.
    pub timed: bool,
    /// What it is sent for.
    pub traffic: AgentTraffic,
    /// As its sender wrote it: JSON.
    pub body: String,
    /// For its phone.
    pub payload: Vec<u8>,
}

impl fmt::Debug for AgentMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AgentMessage({}, {} bytes)", self.message_id, self.body.len())
    }
}

/// What a message is sent for, in the order of the API's enum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the API's own words")]
pub enum AgentTraffic {
    Unspecified,
    Authentication,
    Transaction,
    Promotion,
    ServiceRequest,
    Acknowledgement,
}

impl AgentTraffic {
    /// Its place in the API's enum.
    const fn number(self) -> i16 {
        self as i16
    }
}

/// What became of an agent's message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AgentEnqueued {
    /// Stored.
    Queued,
    /// The id was stored before, or earlier in the same batch.
    Seen,
    /// The number is nobody's at this carrier.
    Unreachable,
    /// The person left, and this is none of what may still be sent.
    Unsubscribed,
}

/// A message that an agent sent, for people to look at.
#[derive(Clone)]
pub struct SentMessage {
    /// The sender.
    pub account: OfficialAccountId,
    /// What it is called here.
    pub message_id: MessageId,
    /// What its sender calls it.
    pub client_id: String,
    /// The receiver.
    pub number: PhoneNumber,
    /// How far it came: none while it waits.
    pub state: Option<ReceiptKind>,
    /// When it was sent.
    pub time: Timestamp,
    /// As its sender wrote it: JSON.
    pub body: String,
}

impl fmt::Debug for SentMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SentMessage({}, {:?})", self.message_id, self.state)
    }
}

/// A file that an agent uploaded; its bytes are not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentFile {
    /// Its name, unique for ever.
    pub name: String,
    /// Its media type.
    pub content_type: String,
    /// How long it is.
    pub bytes: u64,
    /// When it came.
    pub time: Timestamp,
}

/// What became of an invitation to try an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invited {
    /// Invited now, or before.
    Yes,
    /// As many were invited as may be within a day, or in all.
    TooMany,
}

/// How many testers may be invited within 24 hours.
pub const TESTERS_A_DAY: i64 = 20;
/// How many testers may be invited in all.
pub const TESTERS: i64 = 200;

/// Agents, their messages, and who may try them.
#[async_trait]
pub trait AgentStore: Send + Sync {
    /// These are the agents from now on, in this process and before anything else is asked of it: their accounts are opened, what
    /// happens in their talk rooms is for their webhooks and not for the information server. An agent whose state of launch was
    /// another before is told so.
    async fn put_agents(&self, agents: &[Agent], now: Timestamp) -> Result<(), StoreError>;

    /// The key of this name, if there is one.
    async fn find_agent_key(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError>;

    /// Keeps a key under a name that has none, and gives the one that stands.
    async fn put_agent_key(&self, name: &str, secret: &[u8]) -> Result<Vec<u8>, StoreError>;

    /// Stores an agent's messages that are new, at most [`BATCH`](super::BATCH); gives what became of each, in order, and the fleets
    /// that have messages waiting now. Refused as not found when there is no such account.
    async fn enqueue_agent_messages(
        &self,
        account: &OfficialAccountId,
        messages: &[AgentMessage],
        now: Timestamp,
    ) -> Result<(Vec<AgentEnqueued>, Vec<FleetName>), StoreError>;

    /// The messages that agents sent last, the newest first.
    async fn list_agent_messages(&self, limit: u32) -> Result<Vec<SentMessage>, StoreError>;

    /// Keeps that a file came.
    async fn put_agent_file(&self, account: &OfficialAccountId, file: &AgentFile) -> Result<(), StoreError>;

    /// The account's file of this name.
    async fn find_agent_file(
        &self,
        account: &OfficialAccountId,
        name: &str,
    ) -> Result<Option<AgentFile>, StoreError>;

    /// Invites a number to try an agent.
    async fn put_tester(
        &self,
        account: &OfficialAccountId,
        number: PhoneNumber,
        now: Timestamp,
    ) -> Result<Invited, StoreError>;

    /// Whether the number was invited to try the agent.
    async fn is_tester(&self, account: &OfficialAccountId, number: PhoneNumber) -> Result<bool, StoreError>;

    /// Gives the fleet those of these numbers that no fleet has, and says which, in no order.
    async fn adopt_numbers(
        &self,
        fleet: &FleetName,
        numbers: &[PhoneNumber],
    ) -> Result<Vec<PhoneNumber>, StoreError>;

    /// A phone of the simulator's own goes out of reach, or comes back.
    async fn put_away(&self, number: PhoneNumber, away: bool) -> Result<(), StoreError>;

    /// The phones that are out of reach, ascending.
    async fn list_away(&self) -> Result<Vec<PhoneNumber>, StoreError>;
}

/// The accounts of this process's agents, with their keys. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Agents(Arc<RwLock<Arc<HashMap<OfficialAccountId, AccountKey>>>>);

impl Agents {
    /// As they are now.
    pub(crate) fn get(&self) -> Arc<HashMap<OfficialAccountId, AccountKey>> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn set(&self, agents: HashMap<OfficialAccountId, AccountKey>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(agents);
    }
}

bulk_rows! {
    /// What an agent's message has beside its message.
    AgentMessageRow<'a> {
        message_id: Id, client_id: &'a str, msisdn: i64, traffic: i16, timed: bool, body: &'a str,
    }
}

/// The numbers that messages would go to, in their order.
pub(crate) fn agent_receivers(messages: &[AgentMessage]) -> Vec<i64> {
    let numbers: BTreeSet<i64> = messages.iter().map(|message| msisdn(message.number)).collect();
    numbers.into_iter().collect()
}

/// A number, as an agent finds it.
#[derive(Clone, Copy)]
pub(crate) struct Receiver {
    pub(crate) fleet: i64,
    /// The person left.
    pub(crate) left: bool,
    /// And has had an acknowledgement of that.
    pub(crate) acknowledged: bool,
}

impl Receiver {
    /// Whether a message of this type of traffic may go there.
    fn takes(self, traffic: AgentTraffic) -> bool {
        match traffic {
            AgentTraffic::Authentication | AgentTraffic::ServiceRequest => true,
            AgentTraffic::Acknowledgement => !self.left || !self.acknowledged,
            AgentTraffic::Unspecified | AgentTraffic::Transaction | AgentTraffic::Promotion => !self.left,
        }
    }
}

/// Reads a receiver. Columns: number, fleet, left, acknowledged.
pub(crate) fn receiver_of(row: &impl Columns) -> Result<(i64, Receiver), StoreError> {
    let receiver = Receiver { fleet: row.int(1)?, left: row.flag(2)?, acknowledged: row.flag(3)? };
    Ok((row.int(0)?, receiver))
}

/// What becomes of an agent's messages.
pub(crate) struct AgentOffered<'a> {
    /// One for each, in order.
    pub(crate) outcomes: Vec<AgentEnqueued>,
    /// What is stored, in order, with its payloads.
    pub(crate) new: Vec<MessageRow>,
    pub(crate) payloads: Packed,
    /// What it has beside that.
    pub(crate) beside: Vec<AgentMessageRow<'a>>,
    /// The fleets that have messages waiting now.
    pub(crate) fleets: BTreeSet<i64>,
}

/// Decides what becomes of an agent's messages, of which those that were seen are stored already.
pub(crate) fn offer_agents<'a>(
    messages: &'a [AgentMessage],
    mut seen: HashSet<MessageId>,
    mut receivers: HashMap<i64, Receiver>,
) -> AgentOffered<'a> {
    let mut offered = AgentOffered {
        outcomes: Vec::with_capacity(messages.len()),
        new: Vec::with_capacity(messages.len()),
        payloads: Packed::new(),
        beside: Vec::with_capacity(messages.len()),
        fleets: BTreeSet::new(),
    };
    for message in messages {
        let msisdn = msisdn(message.number);
        let outcome = match receivers.get_mut(&msisdn) {
            _ if seen.contains(&message.message_id) => AgentEnqueued::Seen,
            None => AgentEnqueued::Unreachable,
            Some(receiver) if !receiver.takes(message.traffic) => AgentEnqueued::Unsubscribed,
            Some(receiver) => {
                receiver.acknowledged |= message.traffic == AgentTraffic::Acknowledgement;
                seen.insert(message.message_id);
                offered.fleets.insert(receiver.fleet);
                let message_id = Id::of(message.message_id.as_bytes());
                let (start, length) = offered.payloads.cut(&message.payload);
                let (fleet, expire_time) = (receiver.fleet, micros(message.expires));
                offered.new.push(MessageRow { message_id, msisdn, fleet, expire_time, start, length });
                offered.beside.push(AgentMessageRow {
                    message_id,
                    client_id: &message.client_id,
                    msisdn,
                    traffic: message.traffic.number(),
                    timed: message.timed,
                    body: &message.body,
                });
                AgentEnqueued::Queued
            }
        };
        offered.outcomes.push(outcome);
    }
    offered
}

/// Reads a message that was sent. Columns: account, message id, client id, number, state, time, body.
pub(crate) fn sent_of(row: &impl Columns) -> Result<SentMessage, StoreError> {
    let state = match state_of(row.int(4)?)? {
        MessageState::Queued => None,
        MessageState::Delivered => Some(ReceiptKind::Delivered),
        MessageState::Displayed => Some(ReceiptKind::Displayed),
        MessageState::Expired => Some(ReceiptKind::Expired),
        MessageState::Revoked => Some(ReceiptKind::Revoked),
    };
    Ok(SentMessage {
        account: account(row.text(0)?)?,
        message_id: MessageId::from_bytes(row.id(1)?),
        client_id: row.text(2)?.to_owned(),
        number: number(row.int(3)?)?,
        state,
        time: row.instant(5)?,
        body: row.text(6)?.to_owned(),
    })
}

/// Reads a file. Columns: name, media type, bytes, time.
pub(crate) fn agent_file_of(row: &impl Columns) -> Result<AgentFile, StoreError> {
    Ok(AgentFile {
        name: row.text(0)?.to_owned(),
        content_type: row.text(1)?.to_owned(),
        bytes: row.small(2)?,
        time: row.instant(3)?,
    })
}
