//! What agents' webhooks are to be told. And, pure and the same on every database, its rows.
//!
//! A talk room's events go in their order, one after the other; those of two rooms don't wait for one another. Surprising: an event is
//! kept as what happened and not as what is sent, because the sender's own name of a message stands beside the message.

use std::{collections::HashMap, fmt};

use async_trait::async_trait;
use jiff::Timestamp;
use musubi_domain::{
    id::{MessageId, OfficialAccountId},
    phone_number::PhoneNumber,
};
use uuid::Uuid;

use super::{
    Event, EventKind, ReceiptKind, Response,
    ledger::AccountKey,
    record::{msisdn, number},
};
use crate::{
    StoreError,
    row::{Columns, Id, bulk_rows, micros},
};

/// What happened, for an agent's webhook. Personal: `Debug` shows its kind at most.
#[derive(Clone, PartialEq, Eq)]
pub enum AgentEventKind {
    /// The person follows.
    Subscribed,
    /// The person sent the word by which one leaves.
    Left,
    /// The person left.
    Unsubscribed,
    /// The person typed.
    Typed(String),
    /// The person tapped.
    Tapped {
        /// The suggestion's postback.
        postback: String,
        /// Its label.
        label: String,
        /// The message's JSON that it stood in, when it was an agent's.
        body: Option<String>,
    },
    /// The phone has the message that its sender calls so.
    Delivered(String),
    /// The person saw it.
    Displayed(String),
    /// Its time passed before any phone had it.
    Expired {
        /// What its sender calls it.
        client_id: String,
        /// Whether its sender set the time.
        timed: bool,
    },
    /// The carrier moved the agent from one state of its launch to another.
    Launched {
        /// Before.
        from: String,
        /// Now.
        to: String,
    },
}

impl AgentEventKind {
    /// Its name, for people.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Subscribed => "subscribed",
            Self::Left => "keyword",
            Self::Unsubscribed => "unsubscribed",
            Self::Typed(_) => "typed",
            Self::Tapped { .. } => "tapped",
            Self::Delivered(_) => "delivered",
            Self::Displayed(_) => "displayed",
            Self::Expired { .. } => "expired",
            Self::Launched { .. } => "launched",
        }
    }
}

impl fmt::Debug for AgentEventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a webhook has not taken yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentEvent {
    /// By which it is settled; grows.
    pub sequence: u64,
    /// Unique for ever; the same whenever it is told again.
    pub event_id: Uuid,
    /// Whose phone; none of a launch.
    pub number: Option<PhoneNumber>,
    /// What.
    pub kind: AgentEventKind,
    /// When it happened.
    pub time: Timestamp,
    /// How often it was tried.
    pub attempts: u32,
}

/// What became of a try to tell an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tried {
    /// It was taken, or is given up.
    Done,
    /// It is tried again then, and what waits behind it in its talk room not before.
    Again(Timestamp),
}

/// How many events are counted at most: a page needs no more.
pub const COUNTED: i64 = 10_000;

/// What waits for webhooks.
#[async_trait]
pub trait WebhookStore: Send + Sync {
    /// What is due to be told to an account's webhook: of each talk room the oldest event, at most `limit`, the longest due first.
    async fn list_webhook_events(
        &self,
        account: &OfficialAccountId,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<AgentEvent>, StoreError>;

    /// Notes what became of tries.
    async fn settle_webhook_events(&self, tries: &[(u64, Tried)]) -> Result<(), StoreError>;

    /// How many events an account's webhook has not taken yet; of very many, [`COUNTED`].
    async fn count_webhook_events(&self, account: &OfficialAccountId) -> Result<u64, StoreError>;
}

bulk_rows! {
    /// What a webhook is to be told.
    WebhookRow<'a> {
        account: AccountKey,
        msisdn: i64,
        event_id: Id,
        kind: i16,
        message_id: Option<Id>,
        content: Option<&'a str>,
        label: Option<&'a str>,
        event_time: i64,
    }
    /// An event to be tried again, and when.
    AgainRow { sequence: i64, due_time: i64, }
}

/// The kinds of events in databases.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Subscribed,
    Left,
    Unsubscribed,
    Typed,
    Tapped,
    Delivered,
    Displayed,
    Expired,
    Launched,
}

const KINDS: [Kind; 9] = [
    Kind::Subscribed,
    Kind::Left,
    Kind::Unsubscribed,
    Kind::Typed,
    Kind::Tapped,
    Kind::Delivered,
    Kind::Displayed,
    Kind::Expired,
    Kind::Launched,
];

/// Splits what happened into what the information server is told and what webhooks are.
pub(crate) fn split(
    events: Vec<Event>,
    agents: &HashMap<OfficialAccountId, AccountKey>,
) -> (Vec<Event>, Vec<(AccountKey, Event)>) {
    if agents.is_empty() {
        return (events, Vec::new());
    }
    let (mut pushed, mut posted) = (Vec::with_capacity(events.len()), Vec::new());
    for event in events {
        match agents.get(&event.account) {
            Some(&key) => posted.push((key, event)),
            None => pushed.push(event),
        }
    }
    (pushed, posted)
}

/// Events as rows for webhooks. A number that was reassigned and a message that was taken back are nothing that RBM tells of.
pub(crate) fn webhook_rows(events: &[(AccountKey, Event)]) -> Vec<WebhookRow<'_>> {
    let mut rows = Vec::with_capacity(events.len());
    for &(account, ref event) in events {
        let row = |kind: Kind| WebhookRow {
            account,
            msisdn: msisdn(event.number),
            event_id: Id(event.id),
            kind: kind as i16,
            message_id: None,
            content: None,
            label: None,
            event_time: micros(event.time),
        };
        let of = |kind, id: &MessageId| WebhookRow { message_id: Some(Id::of(id.as_bytes())), ..row(kind) };
        let told = match &event.kind {
            EventKind::Followed => row(Kind::Subscribed),
            EventKind::Unfollowed => {
                let word = Uuid::new_v5(&event.id, b"keyword");
                rows.push(WebhookRow { event_id: Id(word), ..row(Kind::Left) });
                row(Kind::Unsubscribed)
            }
            EventKind::Responded(Response::Text(text)) => {
                WebhookRow { content: Some(text), ..row(Kind::Typed) }
            }
            EventKind::Responded(Response::Tapped { message_id, postback, label }) => {
                WebhookRow { content: Some(postback), label: Some(label), ..of(Kind::Tapped, message_id) }
            }
            EventKind::Receipt(id, ReceiptKind::Delivered) => of(Kind::Delivered, id),
            EventKind::Receipt(id, ReceiptKind::Displayed) => of(Kind::Displayed, id),
            EventKind::Receipt(id, ReceiptKind::Expired) => of(Kind::Expired, id),
            EventKind::Receipt(_, ReceiptKind::Revoked) | EventKind::NumberReassigned => continue,
        };
        rows.push(told);
    }
    rows
}

/// That an agent's launch moved, as a row.
pub(crate) fn launch_row<'a>(
    account: AccountKey,
    from: &'a str,
    to: &'a str,
    now: Timestamp,
) -> WebhookRow<'a> {
    let id = Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("launch/{account}/{}", micros(now)).as_bytes());
    WebhookRow {
        account,
        msisdn: 0,
        event_id: Id(id),
        kind: Kind::Launched as i16,
        message_id: None,
        content: Some(to),
        label: Some(from),
        event_time: micros(now),
    }
}

/// Reads an event. Columns: sequence, number, event id, kind, message id, content, label, time, attempts; of the agent's message:
/// client id, timed, body.
pub(crate) fn agent_event_of(row: &impl Columns) -> Result<AgentEvent, StoreError> {
    let content = || Ok::<_, StoreError>(row.text(5)?.to_owned());
    let label = || Ok::<_, StoreError>(row.text(6)?.to_owned());
    // A message that didn't come by the API is called what everybody calls it.
    let client_id = || match row.maybe_text(9)? {
        Some(id) => Ok(id.to_owned()),
        None => Ok::<_, StoreError>(MessageId::from_bytes(row.id(4)?).to_string()),
    };
    let kind = match row.one_of(&KINDS, 3)? {
        Kind::Subscribed => AgentEventKind::Subscribed,
        Kind::Left => AgentEventKind::Left,
        Kind::Unsubscribed => AgentEventKind::Unsubscribed,
        Kind::Typed => AgentEventKind::Typed(content()?),
        Kind::Tapped => AgentEventKind::Tapped {
            postback: content()?,
            label: label()?,
            body: row.maybe_text(11)?.map(str::to_owned),
        },
        Kind::Delivered => AgentEventKind::Delivered(client_id()?),
        Kind::Displayed => AgentEventKind::Displayed(client_id()?),
        Kind::Expired => AgentEventKind::Expired {
            client_id: client_id()?,
            timed: row.maybe_int(10)?.unwrap_or_default() != 0,
        },
        Kind::Launched => AgentEventKind::Launched { from: label()?, to: content()? },
    };
    let msisdn = row.int(1)?;
    Ok(AgentEvent {
        sequence: row.small(0)?,
        number: if msisdn == 0 { None } else { Some(number(msisdn)?) },
        event_id: Uuid::from_bytes(row.id(2)?),
        kind,
        time: row.instant(7)?,
        attempts: row.small(8)?,
    })
}

/// Tries as rows: what is done with, and what is tried again.
pub(crate) fn settled_rows(tries: &[(u64, Tried)]) -> (Vec<i64>, Vec<AgainRow>) {
    let (mut done, mut again) = (Vec::new(), Vec::new());
    for &(sequence, told) in tries {
        let sequence = i64::try_from(sequence).unwrap_or(i64::MAX);
        match told {
            Tried::Done => done.push(sequence),
            Tried::Again(time) => again.push(AgainRow { sequence, due_time: micros(time) }),
        }
    }
    (done, again)
}
