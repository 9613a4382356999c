//! What is erased of people, searched for afterwards, and given to them before.
//!
//! A follower is asked to be erased in a unit of work ([`flow`](super::flow)) or by a journal that is replayed; whoever claims such a request
//! erases all of it in one transaction. Surprising: [`PLACES`] names every table of the schema, with what an erasure does to it, and a fact of the
//! conformance suite holds it against the database's own catalogue. So a new table has to be given its place before anything else works.

use std::collections::HashSet;

use async_trait::async_trait;
use jiff::Timestamp;
use musubi_domain::{
    consent::{Consent, ConsentKind},
    delivery::{Addressed, DeliveryState, Purpose, Signal, advance},
    erasure::{Cause, Erasure},
    guess::Count,
    id::{
        ApprovalId, CarrierId, CompanyId, CustomerId, DialogueId, DistributionId, MessageId,
        OfficialAccountId, OperatorName,
    },
};

use super::{
    FollowerKey,
    approval::Approval,
    flow::{Audit, FollowerRecord},
    record::{Interned, digest_of, key_of},
    review::Review,
    tally::{Tally, TallyKey},
};
use crate::{
    StoreError,
    row::{Columns, Id, bulk_rows, micros, place},
    vault::Keys,
};

/// What an erasure does to a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Rows of the person go, and are searched for.
    Erased,
    /// Rows that name the person by a keyed hash, or the customer by the company's id, stay: why.
    Stays(&'static str),
    /// Nobody's rows.
    Nobodys,
}

/// Every table that a backend may have, and its place.
pub const PLACES: [(&str, Place); 33] = [
    ("follower", Place::Erased),
    ("subscription", Place::Erased),
    ("dialogue", Place::Erased),
    ("customer_information", Place::Erased),
    ("tied_customer", Place::Erased),
    ("inquiry", Place::Erased),
    ("review", Place::Erased),
    ("delivery", Place::Erased),
    ("consent", Place::Erased),
    ("guess", Place::Erased),
    ("distribution_value", Place::Erased),
    ("trial_recipient", Place::Erased),
    ("erasure", Place::Stays("it tells that the person was erased, and when")),
    ("approval", Place::Stays("it names people by a keyed hash, and only while it is open")),
    ("audit", Place::Stays("its lines hold no personal value, and are sealed")),
    (
        "entrusted_customer",
        Place::Stays("it is the company's copy of its master, and goes with the customer of the master"),
    ),
    (
        "blind_customer",
        Place::Stays("digests of the company's master, which go with the customer of the master"),
    ),
    ("consent_text", Place::Nobodys),
    ("inbox", Place::Nobodys),
    ("delivery_tally", Place::Nobodys),
    ("follower_tally", Place::Nobodys),
    ("day_tally", Place::Nobodys),
    ("tap_tally", Place::Nobodys),
    ("distribution", Place::Nobodys),
    ("revocation", Place::Nobodys),
    ("subscriber_list", Place::Nobodys),
    ("custody", Place::Nobodys),
    ("company_key", Place::Nobodys),
    ("keyed_account", Place::Nobodys),
    ("unsealed", Place::Nobodys),
    ("audit_seal", Place::Nobodys),
    ("audit_mark", Place::Nobodys),
    ("schema_floor", Place::Nobodys),
];

/// What a search for a person found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// How many rows of the person each table has, zeros too; in the order of the schema's tables.
    pub tables: Vec<(String, u64)>,
    /// The last erasure that was asked for.
    pub erasure: Option<ErasureRecord>,
    /// Since when the person follows, if they do: after an erasure, as a stranger whom a list or an event has brought.
    pub follow_time: Option<Timestamp>,
}

impl Held {
    /// Whether no table has anything.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.tables.iter().all(|(_, rows)| *rows == 0)
    }
}

/// An erasure and whether it is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErasureRecord {
    /// Which.
    pub erasure: Erasure,
    /// Whether it still has to be done.
    pub waits: bool,
    /// When the person was erased last.
    pub erase_time: Option<Timestamp>,
}

/// Who asks about a person, for the audit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asker {
    /// Of which company.
    pub company: CompanyId,
    /// By name.
    pub operator: OperatorName,
}

/// What is held about a follower is read for: the audit says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// To be shown without the number.
    Shown,
    /// To be shown with the number.
    Revealed,
    /// To be given away; what a second person has approved is spent by it.
    Exported(Option<ApprovalId>),
}

/// All that is held about a follower.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FollowerExport {
    /// The follower, with dialogue, tie, what waits to be matched and what waits for people.
    pub record: FollowerRecord,
    /// What they agreed to, in order, with the texts.
    pub consents: Vec<(Consent, String)>,
    /// Messages, at most [`MESSAGES`], in order.
    pub messages: Vec<ExportedMessage>,
    /// Account numbers that they tried and that were no right ones.
    pub guesses: Count,
    /// Reviews that are closed, without what they kept of the person.
    pub reviews: Vec<Review>,
}

/// The most messages of an export.
pub const MESSAGES: u32 = 10_000;

/// One message of an export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportedMessage {
    /// Which.
    pub id: MessageId,
    /// Of which distribution; a dialogue's: none.
    pub distribution: Option<DistributionId>,
    /// What it says.
    pub purpose: Purpose,
    /// Where it stands.
    pub state: DeliveryState,
    /// When it got there.
    pub change_time: Timestamp,
}

/// Erasures and the rights beside them.
///
/// # Errors
/// [`StoreError::Unavailable`] from each: nothing was stored.
#[async_trait]
pub trait ErasureStore: Send + Sync {
    /// Requests that are due, at most `limit`, those that are due longest first; due again at `lease_end`, should nobody erase.
    async fn claim_erasures(
        &self,
        now: Timestamp,
        lease_end: Timestamp,
        limit: u32,
    ) -> Result<Vec<Erasure>, StoreError>;

    /// Individual messages to these followers that a carrier has, or may have, and no phone yet: each with its account and carrier, to be asked back
    /// before nobody knows of them. At most 10,000.
    async fn individual_at_carriers(
        &self,
        erasures: &[Erasure],
    ) -> Result<Vec<(OfficialAccountId, CarrierId, Addressed)>, StoreError>;

    /// Erases all that is held about these followers, at most 1,000, in one transaction: rows and what finds them, in every table that is
    /// [`Place::Erased`]. Who was to be erased for leaving, and follows again, stays. Messages that were on their way count as revoked; counts of messages stay, counts of followers don't. Requests for them are
    /// done then. Gives how many of them there were. Repeatable.
    async fn erase(&self, erasures: &[Erasure], now: Timestamp) -> Result<u32, StoreError>;

    /// Asks again for erasures of a journal, at most 1,000, unless this database knows of them or of later ones of the same followers. Gives how
    /// many it did not know; each of these is in the audit. Repeatable.
    async fn replay_erasures(&self, erasures: &[Erasure], now: Timestamp) -> Result<u32, StoreError>;

    /// Searches every table for a follower, and for a customer of the account if one is named; opens nothing that is sealed. The search is in the audit.
    async fn search_follower(
        &self,
        asker: &Asker,
        key: &FollowerKey,
        customer: Option<&CustomerId>,
        now: Timestamp,
    ) -> Result<Held, StoreError>;

    /// All that is held about a follower; none: nothing is. What it was read for is in the audit.
    ///
    /// # Errors
    /// Refused as `FailedPrecondition` when nothing of that id is approved for who asks.
    async fn export_follower(
        &self,
        asker: &Asker,
        key: &FollowerKey,
        reading: Reading,
        now: Timestamp,
    ) -> Result<Option<FollowerExport>, StoreError>;

    /// Keeps texts that accounts ask with; those that are known stay as they are.
    async fn keep_texts(
        &self,
        texts: &[(OfficialAccountId, String)],
        now: Timestamp,
    ) -> Result<(), StoreError>;

    /// Forgets counts of guesses whose window ended before that time, at most `limit`; gives how many.
    async fn forget_guesses(&self, before: Timestamp, limit: u32) -> Result<u32, StoreError>;
}

bulk_rows! {
    /// A request to erase.
    ErasureRow<'a> {
        account: &'a str,
        follower: Id,
        company: &'a str,
        cause: i64,
        request_time: i64,
        ask_time: i64,
        due_time: i64,
    }
}

/// Requests as rows, the first for each follower, in the order of the table.
pub(crate) fn erasure_rows<'a>(
    requests: impl IntoIterator<Item = (&'a Erasure, Timestamp)>,
) -> Vec<ErasureRow<'a>> {
    let rows = requests.into_iter().map(|(erasure, due_time)| ErasureRow {
        account: erasure.account.as_str(),
        follower: Id::of(erasure.follower.as_bytes()),
        company: erasure.company.as_str(),
        cause: place(&Cause::ALL, &erasure.cause),
        request_time: micros(erasure.request_time),
        ask_time: micros(erasure.ask_time),
        due_time: micros(due_time),
    });
    let mut rows: Vec<_> = rows.collect();
    rows.sort_by(|one, other| (one.account, one.follower).cmp(&(other.account, other.follower)));
    rows.dedup_by(|later, earlier| (later.account, later.follower) == (earlier.account, earlier.follower));
    rows
}

/// Whom to erase of these, and who stays because they were to be erased for leaving and follow again. Columns of those who are there: account,
/// follower, carrier, following.
pub(crate) fn parted(
    erasures: &[Erasure],
    standing: &[impl Columns],
) -> Result<(Vec<Erasure>, Vec<Erasure>), StoreError> {
    let mut following = HashSet::new();
    for row in standing {
        if row.flag(3)? {
            following.insert(key_of(row, &mut Interned::default())?);
        }
    }
    let stays = |erasure: &Erasure| {
        let key = FollowerKey { account: erasure.account.clone(), follower: erasure.follower };
        erasure.cause == Cause::Unfollowed && following.contains(&key)
    };
    Ok(erasures.iter().cloned().partition(|erasure| !stays(erasure)))
}

/// Whose erasures these are.
pub(crate) fn keys_of_erasures(erasures: &[Erasure]) -> Vec<FollowerKey> {
    let keys = erasures.iter();
    keys.map(|it| FollowerKey { account: it.account.clone(), follower: it.follower }).collect()
}

/// Reads an erasure. Columns: account, follower, company, cause, request time, ask time.
pub(crate) fn erasure_of(row: &impl Columns) -> Result<Erasure, StoreError> {
    let FollowerKey { account, follower } = key_of(row, &mut Interned::default())?;
    Ok(Erasure {
        account,
        follower,
        company: row.text(2)?.parse()?,
        cause: row.one_of(&Cause::ALL, 3)?,
        request_time: row.instant(4)?,
        ask_time: row.instant(5)?,
    })
}

/// Reads an erasure and whether it is done. Columns: those of [`erasure_of`], due time, erase time.
pub(crate) fn erasure_record_of(row: &impl Columns) -> Result<ErasureRecord, StoreError> {
    Ok(ErasureRecord {
        erasure: erasure_of(row)?,
        waits: row.maybe_int(6)?.is_some(),
        erase_time: row.maybe_instant(7)?,
    })
}

/// Reads a message of an export. Columns: id, distribution, purpose, state, change time.
pub(crate) fn message_of(row: &impl Columns) -> Result<ExportedMessage, StoreError> {
    let distribution = row.bytes(1)?;
    Ok(ExportedMessage {
        id: MessageId::from_bytes(row.id(0)?),
        distribution: if distribution.is_empty() {
            None
        } else {
            Some(DistributionId::from_slice(distribution)?)
        },
        purpose: row.one_of(&Purpose::ALL, 2)?,
        state: row.one_of(&DeliveryState::ALL, 3)?,
        change_time: row.instant(4)?,
    })
}

/// Reads a message that a carrier has. Columns: account, carrier, id, follower, number.
pub(crate) fn at_carrier_of(
    row: &impl Columns,
    keys: &Keys,
) -> Result<(OfficialAccountId, CarrierId, Addressed), StoreError> {
    let account: OfficialAccountId = row.text(0)?.parse()?;
    let number = keys.number(account.as_str(), &row.id(3)?, row.bytes(4)?)?;
    Ok((account, row.text(1)?.parse()?, Addressed { message_id: MessageId::from_bytes(row.id(2)?), number }))
}

/// Reads a consent with its text. Columns: dialogue, kind, digest, carrier, time, text.
pub(crate) fn consent_of(row: &impl Columns) -> Result<(Consent, String), StoreError> {
    let consent = Consent {
        dialogue: DialogueId::from_bytes(row.id(0)?),
        kind: row.one_of(&ConsentKind::ALL, 1)?,
        text: digest_of(row.bytes(2)?)?,
        carrier: row.text(3)?.parse()?,
        give_time: row.instant(4)?,
    };
    Ok((consent, row.maybe_text(5)?.unwrap_or_default().to_owned()))
}

/// Reads what a search found: rows of a table's name and a count.
pub(crate) fn held_of(
    rows: &[impl Columns],
    erasure: Option<ErasureRecord>,
    follow_time: Option<Timestamp>,
) -> Result<Held, StoreError> {
    let tables = rows.iter().map(|row| Ok((row.text(0)?.to_owned(), row.small(1)?)));
    Ok(Held { tables: tables.collect::<Result<_, StoreError>>()?, erasure, follow_time })
}

/// How counts move when deliveries are erased: what was on its way is revoked; and how many of each count have no row from then on. Columns:
/// account, carrier, distribution, purpose, state.
pub(crate) fn erased_deliveries(rows: &[impl Columns]) -> Result<(Tally, Tally), StoreError> {
    let (mut moved, mut erased) = (Tally::default(), Tally::default());
    for row in rows {
        let was = row.one_of(&DeliveryState::ALL, 4)?;
        let is = advance(was, Signal::Revoked);
        if is != was {
            moved.moved(row, was, is)?;
        }
        let state = place(&DeliveryState::ALL, &is);
        erased.add(TallyKey::new(row.text(0)?, row.text(1)?, row.bytes(2)?, row.int(3)?, state), 1);
    }
    Ok((moved, erased))
}

/// What the audit says of somebody who asked about a person.
pub(crate) fn asked(asker: &Asker, key: &FollowerKey, action: &'static str) -> Audit {
    let detail = format!("by {}", asker.operator);
    Audit { company: Some(asker.company.clone()), key: Some(key.clone()), action, detail }
}

/// What it says of somebody who was shown all of it, or given it by whose approval.
pub(crate) fn read(asker: &Asker, key: &FollowerKey, reading: Reading, approval: Option<&Approval>) -> Audit {
    let action = match reading {
        Reading::Shown => "follower_shown",
        Reading::Revealed => "follower_revealed",
        Reading::Exported(_) => "follower_exported",
    };
    let approved = approval.and_then(|approval| {
        let by = approval.decided_by.as_ref()?;
        Some(format!(", approved by {by} as {}", approval.id))
    });
    let detail = format!("by {}{}", asker.operator, approved.unwrap_or_default());
    Audit { company: Some(asker.company.clone()), key: Some(key.clone()), action, detail }
}

/// What the audit says of followers who were erased, or of whose erasure a journal told.
pub(crate) fn erasure_lines(erasures: &[Erasure], action: &'static str) -> Vec<Audit> {
    let line = |erasure: &Erasure| Audit {
        company: Some(erasure.company.clone()),
        key: Some(FollowerKey { account: erasure.account.clone(), follower: erasure.follower }),
        action,
        detail: format!("{}, asked for at {}", erasure.cause.as_str(), erasure.request_time),
    };
    erasures.iter().map(line).collect()
}
