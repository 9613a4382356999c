//! The store of the terminal simulator: what it must do, whatever the database.
//!
//! It holds talk rooms with their stories and lines, and what is still to be sent to carriers. It never decides what a person
//! does: stories, steps, messages and batches are bytes and numbers that only the node reads. Surprising: only the node
//! knows which messages are new, from [`TerminalStore::find_shown`], and so it must not let two receptions overlap.

use std::{collections::BTreeMap, fmt};

use async_trait::async_trait;
use jiff::Timestamp;
use musubi_domain::{
    id::{CarrierId, OfficialAccountId},
    phone_number::PhoneNumber,
};

use crate::{
    Opened, StoreError,
    row::{Columns, Packed, bulk_rows, micros},
};

/// One phone's talk room with one official account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TalkRoom {
    /// Names it in this store.
    pub talk_room: i64,
    /// Whose phone.
    pub phone_number: PhoneNumber,
    /// With whom.
    pub official_account: OfficialAccountId,
    /// The phone's carrier.
    pub carrier: CarrierId,
    /// Where the story stands.
    pub step: u8,
    /// The story.
    pub story: Bytes,
}

/// What only the node reads; may be personal, so `Debug` shows how much it is.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Bytes(pub Vec<u8>);

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

/// A line that a talk room gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewLine {
    /// Where.
    pub talk_room: i64,
    /// What.
    pub line: Line,
}

/// One line of a talk room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// When it was shown or said.
    pub line_time: Timestamp,
    /// The message's id, unique in its talk room; none for what the person said or opened.
    pub message_id: Option<String>,
    /// What stands there.
    pub content: Bytes,
}

/// A verified sender's name, as a carrier tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sender {
    /// Who tells it.
    pub carrier: CarrierId,
    /// Whose.
    pub official_account: OfficialAccountId,
    /// The name.
    pub display_name: String,
}

/// What is to be sent to a carrier in one call, the same bytes at every try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewBatch {
    /// To whom.
    pub carrier: CarrierId,
    /// Which call: a number that only the node reads.
    pub kind: u8,
    /// How many actions it holds.
    pub actions: u32,
    /// Not before this instant; none: at once.
    pub due_time: Option<Timestamp>,
    /// The call's request.
    pub request: Bytes,
}

/// A batch that is to be sent now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Names it in the outbox; grows.
    pub batch: i64,
    /// Which call.
    pub kind: u8,
    /// How many actions it holds.
    pub actions: u32,
    /// The call's request.
    pub request: Bytes,
}

/// What a carrier's outbox has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outbox {
    /// This is next.
    Due(Batch),
    /// Nothing before this instant.
    Later(Timestamp),
    /// Nothing.
    Empty,
}

/// A story's new step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advance {
    /// Whose.
    pub talk_room: i64,
    /// Where the story stands now.
    pub step: u8,
}

/// What happened so far, or what one transaction adds to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Messages shown.
    pub shown: u64,
    /// Messages that came again and were not shown again.
    pub repeated: u64,
    /// Suggestions tapped.
    pub tapped: u64,
    /// Texts typed.
    pub typed: u64,
    /// Pages opened.
    pub pages: u64,
    /// Actions that a carrier refused for good.
    pub refused: u64,
}

/// Everything that a batch of messages changes.
#[derive(Clone, Debug, Default)]
pub struct Reception {
    /// In the order shown and said.
    pub lines: Vec<NewLine>,
    /// Stories that went on; a talk room at most once.
    pub advances: Vec<Advance>,
    /// In the order to be sent.
    pub batches: Vec<NewBatch>,
    /// Names that are new or changed.
    pub senders: Vec<Sender>,
    /// What it adds.
    pub tally: Tally,
}

/// The terminal simulator's store. Every method is one transaction; [`StoreError::Unavailable`] may come of any, and then
/// nothing was written.
#[async_trait]
pub trait TerminalStore: Opened {
    /// Adds at most 1,000 talk rooms, their [`TalkRoom::talk_room`] ignored, with what their persons send first. Gives the
    /// first one's number; the others follow in order.
    ///
    /// # Errors
    /// When one of them is there already: nothing is added.
    async fn add_talk_rooms(&self, talk_rooms: &[TalkRoom], batches: &[NewBatch]) -> Result<i64, StoreError>;

    /// At most `limit` talk rooms with greater numbers than `after`, in the order of these, which is the order of coming: so a
    /// page's lines lie together, too. Only this phone's, if one is given.
    async fn list_talk_rooms(
        &self,
        after: i64,
        only: Option<&PhoneNumber>,
        limit: u32,
    ) -> Result<Vec<TalkRoom>, StoreError>;

    /// Every line of these talk rooms, at most 1,000, talk room by talk room in the order of their numbers, each in the order
    /// shown.
    async fn list_lines(&self, talk_rooms: &[i64]) -> Result<Vec<NewLine>, StoreError>;

    /// Every sender's name.
    async fn list_senders(&self) -> Result<Vec<Sender>, StoreError>;

    /// Which of these messages, at most 1,000, their talk rooms show already, by their places in the slice.
    async fn find_shown(&self, messages: &[(i64, &str)]) -> Result<Vec<usize>, StoreError>;

    /// Records what a batch of messages did.
    ///
    /// # Errors
    /// When a message's id stands in its talk room already: nothing is recorded.
    async fn receive(&self, reception: &Reception) -> Result<(), StoreError>;

    /// The next batch for a carrier: the earliest that is due.
    async fn next_batch(&self, carrier: &CarrierId, now: Timestamp) -> Result<Outbox, StoreError>;

    /// Takes a batch out of the outbox, with what its confirmation changes. A batch that is no longer there changes nothing.
    async fn finish_batch(&self, batch: i64, advances: &[Advance], refused: u64) -> Result<(), StoreError>;

    /// What happened so far, and how many actions the outbox holds.
    async fn get_tally(&self) -> Result<(Tally, u64), StoreError>;
}

bulk_rows! {
    /// A talk room that comes; its story is packed.
    RoomRow<'a> { phone_number: &'a str, official_account: &'a str, carrier: &'a str, step: i16, start: i32, length: i32, }
    /// A line that comes; its content is packed.
    LineRow<'a> { talk_room: i64, line_time: i64, message_id: Option<&'a str>, start: i32, length: i32, }
    /// A batch that comes; its request is packed.
    BatchRow<'a> { carrier: &'a str, kind: i16, actions: i64, due_time: i64, start: i32, length: i32, }
    /// A sender's name.
    SenderRow<'a> { carrier: &'a str, official_account: &'a str, display_name: &'a str, }
    /// A story's new step.
    AdvanceRow { talk_room: i64, step: i16, }
    /// A message that may be shown already.
    ShownRow<'a> { talk_room: i64, message_id: &'a str, }
}

/// Talk rooms as rows, with their stories.
pub(crate) fn room_rows(talk_rooms: &[TalkRoom]) -> (Vec<RoomRow<'_>>, Packed) {
    let mut packed = Packed::new();
    let mut rows = Vec::with_capacity(talk_rooms.len());
    for TalkRoom { talk_room: _, phone_number, official_account, carrier, step, story } in talk_rooms {
        let (start, length) = packed.cut(&story.0);
        let (phone_number, official_account) = (phone_number.as_str(), official_account.as_str());
        let (carrier, step) = (carrier.as_str(), (*step).into());
        rows.push(RoomRow { phone_number, official_account, carrier, step, start, length });
    }
    (rows, packed)
}

/// Lines as rows, with their contents.
pub(crate) fn line_rows(lines: &[NewLine]) -> (Vec<LineRow<'_>>, Packed) {
    let mut packed = Packed::new();
    let mut rows = Vec::with_capacity(lines.len());
    for NewLine { talk_room, line: Line { line_time, message_id, content } } in lines {
        let (start, length) = packed.cut(&content.0);
        let (line_time, message_id) = (micros(*line_time), message_id.as_deref());
        rows.push(LineRow { talk_room: *talk_room, line_time, message_id, start, length });
    }
    (rows, packed)
}

/// Batches as rows, with their requests.
pub(crate) fn batch_rows(batches: &[NewBatch]) -> (Vec<BatchRow<'_>>, Packed) {
    let mut packed = Packed::new();
    let mut rows = Vec::with_capacity(batches.len());
    for NewBatch { carrier, kind, actions, due_time, request } in batches {
        let (start, length) = packed.cut(&request.0);
        let due_time = due_time.map_or(0, micros);
        let (carrier, kind, actions) = (carrier.as_str(), (*kind).into(), (*actions).into());
        rows.push(BatchRow { carrier, kind, actions, due_time, start, length });
    }
    (rows, packed)
}

/// Senders as rows: the last name of each, in the order of the keys.
pub(crate) fn sender_rows(senders: &[Sender]) -> Vec<SenderRow<'_>> {
    let rows = senders.iter().map(|Sender { carrier, official_account, display_name }| {
        let (carrier, official_account) = (carrier.as_str(), official_account.as_str());
        ((carrier, official_account), SenderRow { carrier, official_account, display_name })
    });
    rows.collect::<BTreeMap<_, _>>().into_values().collect()
}

/// Steps as rows.
pub(crate) fn advance_rows(advances: &[Advance]) -> Vec<AdvanceRow> {
    let row =
        |Advance { talk_room, step }: &Advance| AdvanceRow { talk_room: *talk_room, step: (*step).into() };
    advances.iter().map(row).collect()
}

/// Messages as rows.
pub(crate) fn shown_rows<'a>(messages: &[(i64, &'a str)]) -> Vec<ShownRow<'a>> {
    messages.iter().map(|&(talk_room, message_id)| ShownRow { talk_room, message_id }).collect()
}

/// Reads a talk room. Columns: its number, phone number, account, carrier, step, story.
pub(crate) fn room_of(row: &impl Columns) -> Result<TalkRoom, StoreError> {
    Ok(TalkRoom {
        talk_room: row.int(0)?,
        phone_number: row.text(1)?.parse()?,
        official_account: row.text(2)?.parse()?,
        carrier: row.text(3)?.parse()?,
        step: row.small(4)?,
        story: Bytes(row.bytes(5)?.to_vec()),
    })
}

/// Reads a line. Columns: its talk room, time, message id, content.
pub(crate) fn line_of(row: &impl Columns) -> Result<NewLine, StoreError> {
    let line = Line {
        line_time: row.instant(1)?,
        message_id: row.maybe_text(2)?.map(str::to_owned),
        content: Bytes(row.bytes(3)?.to_vec()),
    };
    Ok(NewLine { talk_room: row.int(0)?, line })
}

/// Reads a sender. Columns: carrier, account, name.
pub(crate) fn sender_of(row: &impl Columns) -> Result<Sender, StoreError> {
    Ok(Sender {
        carrier: row.text(0)?.parse()?,
        official_account: row.text(1)?.parse()?,
        display_name: row.text(2)?.to_owned(),
    })
}

/// Reads a batch that is due. Columns: its number, kind, actions, request.
pub(crate) fn batch_of(row: &impl Columns) -> Result<Batch, StoreError> {
    let request = Bytes(row.bytes(3)?.to_vec());
    Ok(Batch { batch: row.int(0)?, kind: row.small(1)?, actions: row.small(2)?, request })
}

/// Reads the tally and how many actions the outbox holds. Columns: as in [`Tally`], then these.
pub(crate) fn tally_of(row: &impl Columns) -> Result<(Tally, u64), StoreError> {
    let tally = Tally {
        shown: row.small(0)?,
        repeated: row.small(1)?,
        tapped: row.small(2)?,
        typed: row.small(3)?,
        pages: row.small(4)?,
        refused: row.small(5)?,
    };
    Ok((tally, row.small(6)?))
}

/// What a tally adds, in the order of its columns.
pub(crate) fn tally_columns(tally: &Tally) -> [i64; 6] {
    let Tally { shown, repeated, tapped, typed, pages, refused } = *tally;
    [shown, repeated, tapped, typed, pages, refused].map(|count| i64::try_from(count).unwrap_or(i64::MAX))
}
