//! What a batch of actions does, decided in memory: pure, and the same for every database.
//!
//! A store loads what the batch names, calls [`Ledger::apply`] for each action in order, and writes what has changed. Nothing
//! here reads a database. Surprising: states only move forward, and expired and revoked are ends too, so a phone's receipt
//! for a message that was taken back changes nothing.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use jiff::Timestamp;
use musubi_domain::{
    Error,
    id::{MessageId, OfficialAccountId},
    phone_number::PhoneNumber,
};
use uuid::{Builder, Uuid};

use super::{
    Action, ActionKind, Event, EventKind, ReceiptKind, RoomAction, Tenure, TenureChange,
    messages::{Told, moved_rows},
    numbers::{TenureRow, tenure_of, tenure_row},
    record::{account, msisdn, number},
};
use crate::{
    StoreError,
    row::{Columns, bulk_rows},
};

/// Where a message is. Written to databases as its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MessageState {
    /// Waits for its phone.
    Queued = 0,
    /// The phone has it.
    Delivered = 1,
    /// The person saw it.
    Displayed = 2,
    /// Its time passed.
    Expired = 3,
    /// It was taken back.
    Revoked = 4,
}

impl MessageState {
    /// The state of a stored number.
    pub(crate) const fn from_number(number: i64) -> Option<Self> {
        match number {
            0 => Some(Self::Queued),
            1 => Some(Self::Delivered),
            2 => Some(Self::Displayed),
            3 => Some(Self::Expired),
            4 => Some(Self::Revoked),
            _ => None,
        }
    }

    /// Where a receipt takes it, when it takes it forward.
    pub(crate) const fn after(self, receipt: ReceiptKind) -> Option<Self> {
        let (state, allowed) = match receipt {
            ReceiptKind::Delivered => (Self::Delivered, matches!(self, Self::Queued)),
            ReceiptKind::Displayed => (Self::Displayed, matches!(self, Self::Queued | Self::Delivered)),
            ReceiptKind::Expired => (Self::Expired, matches!(self, Self::Queued)),
            ReceiptKind::Revoked => (Self::Revoked, matches!(self, Self::Queued)),
        };
        if allowed { Some(state) } else { None }
    }
}

/// The event of a receipt. A message comes to each kind once at most, so the two name the event for ever.
pub(crate) fn receipt(
    account: &OfficialAccountId,
    number: PhoneNumber,
    message_id: MessageId,
    kind: ReceiptKind,
    time: Timestamp,
) -> Event {
    let id =
        Uuid::new_v5(&Uuid::from_bytes(*message_id.as_bytes()), format!("{account}/{kind:?}").as_bytes());
    Event { id, account: account.clone(), number, time, kind: EventKind::Receipt(message_id, kind) }
}

/// An account's key in a store.
pub(crate) type AccountKey = i64;

/// A message as the store has it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Message {
    pub(crate) sequence: i64,
    pub(crate) number: PhoneNumber,
    pub(crate) state: MessageState,
}

bulk_rows! {
    /// A talk room: an account and a number.
    #[derive(Hash)]
    RoomKey { account: AccountKey, msisdn: i64, }
    /// From when until when a number follows an account.
    IntervalRow { account: AccountKey, msisdn: i64, since: i64, until: Option<i64>, }
    /// An account's new generation.
    GenerationRow { account: AccountKey, generation: i64, }
}

fn room_key(account: AccountKey, number: PhoneNumber) -> RoomKey {
    RoomKey { account, msisdn: msisdn(number) }
}

/// What has to be loaded for a batch of actions, besides its accounts.
#[derive(Default)]
pub(crate) struct Named {
    /// Whose following matters.
    pub(crate) rooms: HashSet<RoomKey>,
    /// Of these, those where somebody leaves: the messages that wait there matter.
    pub(crate) leaving: HashSet<RoomKey>,
    /// Messages that are named.
    pub(crate) ids: HashSet<(AccountKey, MessageId)>,
}

/// What the actions name accounts by: names, and numbers that are given up, which concern every account that they follow.
pub(crate) fn accounts_named(actions: &[Action]) -> (Vec<&str>, Vec<i64>) {
    let (mut named, mut surrendered) = (BTreeSet::new(), BTreeSet::new());
    for Action { number, kind } in actions {
        match kind {
            ActionKind::InRoom(account, _) => {
                named.insert(account.as_str());
            }
            ActionKind::Surrendered | ActionKind::Tenure(TenureChange::Released) => {
                surrendered.insert(msisdn(*number));
            }
            ActionKind::Tenure(TenureChange::Assigned | TenureChange::PortedIn) => {}
        }
    }
    (named.into_iter().collect(), surrendered.into_iter().collect())
}

/// The numbers of the actions, in their order.
pub(crate) fn numbers_named(actions: &[Action]) -> Vec<i64> {
    let numbers: BTreeSet<i64> = actions.iter().map(|action| msisdn(action.number)).collect();
    numbers.into_iter().collect()
}

/// The numbers of which something becomes that no list tells: what is known of them has to be loaded.
pub(crate) fn tenures_named(actions: &[Action]) -> Vec<i64> {
    let changes = actions.iter().filter(|action| match action.kind {
        ActionKind::Surrendered | ActionKind::Tenure(_) => true,
        ActionKind::InRoom(..) => false,
    });
    let numbers: BTreeSet<i64> = changes.map(|action| msisdn(action.number)).collect();
    numbers.into_iter().collect()
}

/// What the store knows of what a batch names, and then what the batch changed.
pub(crate) struct Ledger {
    batch_id: Uuid,
    now: Timestamp,
    /// The accounts whose people needn't follow, to answer and to leave.
    agents: Arc<HashMap<OfficialAccountId, AccountKey>>,
    /// Key and generation of each account named, or followed by a number that is surrendered.
    pub(crate) accounts: BTreeMap<OfficialAccountId, (AccountKey, i64)>,
    /// Since which generation a number follows; absent when it doesn't.
    pub(crate) following: HashMap<(AccountKey, PhoneNumber), i64>,
    /// Messages named, and those that wait for a number that leaves.
    pub(crate) messages: HashMap<(AccountKey, MessageId), Message>,
    /// The ids of those that wait for a number that leaves.
    pub(crate) waiting: HashMap<(AccountKey, PhoneNumber), Vec<MessageId>>,
    /// Changed: intervals of following, by (account, number, since) until when.
    pub(crate) intervals: BTreeMap<(AccountKey, PhoneNumber, i64), Option<i64>>,
    /// Changed: messages by their sequence.
    pub(crate) moved: BTreeMap<i64, MessageState>,
    /// What is known of who has the numbers of which something becomes; changed where something did.
    pub(crate) tenures: BTreeMap<PhoneNumber, Tenure>,
    /// Changed: accounts whose generation grew.
    pub(crate) grown: HashSet<OfficialAccountId>,
    /// What happened, in order.
    pub(crate) events: Vec<Event>,
}

impl Ledger {
    pub(crate) fn new(
        batch_id: Uuid,
        now: Timestamp,
        agents: Arc<HashMap<OfficialAccountId, AccountKey>>,
    ) -> Self {
        Self {
            batch_id,
            now,
            agents,
            accounts: BTreeMap::new(),
            following: HashMap::new(),
            messages: HashMap::new(),
            waiting: HashMap::new(),
            intervals: BTreeMap::new(),
            moved: BTreeMap::new(),
            tenures: BTreeMap::new(),
            grown: HashSet::new(),
            events: Vec::new(),
        }
    }

    /// Learns of an account. Columns: name, key, generation.
    pub(crate) fn know_account(&mut self, row: &impl Columns) -> Result<(), StoreError> {
        self.accounts.insert(account(row.text(0)?)?, (row.int(1)?, row.int(2)?));
        Ok(())
    }

    /// What else the actions name, once the accounts are known.
    pub(crate) fn named(&self, actions: &[Action]) -> Named {
        let mut named = Named::default();
        for Action { number, kind } in actions {
            let (account, action) = match kind {
                ActionKind::InRoom(account, action) => (account, action),
                ActionKind::Surrendered | ActionKind::Tenure(TenureChange::Released) => {
                    // A number that is given up may follow and leave in the batch itself, too.
                    let rooms = self.accounts.values().map(|(key, _)| room_key(*key, *number));
                    named.leaving.extend(rooms.clone());
                    named.rooms.extend(rooms);
                    continue;
                }
                ActionKind::Tenure(TenureChange::Assigned | TenureChange::PortedIn) => continue,
            };
            let Some((key, _)) = self.accounts.get(account) else {
                continue;
            };
            match action {
                RoomAction::Unfollow => {
                    named.leaving.insert(room_key(*key, *number));
                    named.rooms.insert(room_key(*key, *number));
                }
                RoomAction::Follow | RoomAction::Responded(_) => {
                    named.rooms.insert(room_key(*key, *number));
                }
                RoomAction::Delivered(id) | RoomAction::Displayed(id) => {
                    named.ids.insert((*key, *id));
                }
            }
        }
        named
    }

    /// Learns since when numbers follow accounts: key, number, generation.
    pub(crate) fn know_following(
        &mut self,
        found: impl IntoIterator<Item = (AccountKey, i64, i64)>,
    ) -> Result<(), StoreError> {
        for (key, msisdn, since) in found {
            self.following.insert((key, number(msisdn)?), since);
        }
        Ok(())
    }

    /// Learns of a message that waits for a number that leaves. Columns: account, number, sequence, message id; in the order of
    /// the sequence.
    pub(crate) fn know_waiting(&mut self, row: &impl Columns) -> Result<(), StoreError> {
        let (key, number) = (row.int(0)?, number(row.int(1)?)?);
        let id = MessageId::from_bytes(row.id(3)?);
        let message = Message { sequence: row.int(2)?, number, state: MessageState::Queued };
        self.messages.insert((key, id), message);
        self.waiting.entry((key, number)).or_default().push(id);
        Ok(())
    }

    /// The intervals that changed, as rows.
    pub(crate) fn interval_rows(&self) -> Vec<IntervalRow> {
        let row = |((account, number, since), until): (&(AccountKey, PhoneNumber, i64), &Option<i64>)| {
            IntervalRow { account: *account, msisdn: msisdn(*number), since: *since, until: *until }
        };
        self.intervals.iter().map(row).collect()
    }

    /// The accounts whose generation grew, as rows.
    pub(crate) fn generation_rows(&self) -> Vec<GenerationRow> {
        let grown = self.grown.iter().filter_map(|account| self.accounts.get(account));
        grown.map(|&(account, generation)| GenerationRow { account, generation }).collect()
    }

    /// Learns of who has a number. Columns: number, held since, known since, released.
    pub(crate) fn know_tenure(&mut self, row: &impl Columns) -> Result<(), StoreError> {
        let (msisdn, tenure) = tenure_of(row)?;
        self.tenures.insert(number(msisdn)?, tenure);
        Ok(())
    }

    /// Who has the numbers of which something became, as rows.
    pub(crate) fn tenure_rows(&self) -> Vec<TenureRow> {
        self.tenures.iter().map(|(number, tenure)| tenure_row(*number, *tenure)).collect()
    }

    /// What moved, and what happened.
    pub(crate) fn told(self) -> Told {
        Told { moved: moved_rows(self.moved), events: self.events }
    }

    /// Applies the `index`th action. The error names its field; then the whole batch is to be dropped.
    pub(crate) fn apply(&mut self, index: usize, action: Action) -> Result<(), Error> {
        let number = action.number;
        let (account, action) = match action.kind {
            ActionKind::InRoom(account, action) => (account, action),
            ActionKind::Surrendered => {
                self.surrender(number);
                self.change_tenure(number, TenureChange::Assigned);
                return Ok(());
            }
            ActionKind::Tenure(change) => {
                self.change_tenure(number, change);
                return Ok(());
            }
        };
        let key = self.accounts.get(&account).map(|(key, _)| *key).ok_or_else(|| {
            Error::invalid(
                format!("actions[{index}].official_account"),
                "no such official account at this carrier",
                "open it first, or correct the name",
            )
        })?;
        match action {
            RoomAction::Follow => self.follow(&account, key, number),
            RoomAction::Unfollow => {
                if !self.unfollow(&account, key, number) && self.agents.contains_key(&account) {
                    self.leave(&account, key, number);
                }
            }
            RoomAction::Delivered(id) => self.receive(&account, key, number, id, ReceiptKind::Delivered),
            RoomAction::Displayed(id) => self.receive(&account, key, number, id, ReceiptKind::Displayed),
            RoomAction::Responded(response) => {
                if self.following.contains_key(&(key, number)) || self.agents.contains_key(&account) {
                    self.tell(&account, number, EventKind::Responded(response));
                }
            }
        }
        Ok(())
    }

    fn follow(&mut self, account: &OfficialAccountId, key: AccountKey, number: PhoneNumber) {
        if self.following.contains_key(&(key, number)) {
            return;
        }
        let since = self.grow(account);
        self.following.insert((key, number), since);
        self.intervals.insert((key, number, since), None);
        self.tell(account, number, EventKind::Followed);
    }

    /// Says whether the number followed.
    fn unfollow(&mut self, account: &OfficialAccountId, key: AccountKey, number: PhoneNumber) -> bool {
        let Some(since) = self.following.remove(&(key, number)) else {
            return false;
        };
        let until = self.grow(account);
        self.intervals.insert((key, number, since), Some(until));
        self.tell(account, number, EventKind::Unfollowed);
        self.take_back(account, key, number);
        true
    }

    /// Of one who didn't follow: an interval in which nobody does.
    fn leave(&mut self, account: &OfficialAccountId, key: AccountKey, number: PhoneNumber) {
        let at = self.grow(account);
        self.intervals.insert((key, number, at), Some(at));
        self.tell(account, number, EventKind::Unfollowed);
        self.take_back(account, key, number);
    }

    fn take_back(&mut self, account: &OfficialAccountId, key: AccountKey, number: PhoneNumber) {
        for id in self.waiting.remove(&(key, number)).unwrap_or_default() {
            self.receive(account, key, number, id, ReceiptKind::Revoked);
        }
    }

    fn surrender(&mut self, number: PhoneNumber) {
        let accounts: Vec<_> =
            self.accounts.iter().map(|(account, (key, _))| (account.clone(), *key)).collect();
        for (account, key) in accounts {
            if self.unfollow(&account, key, number) {
                self.tell(&account, number, EventKind::NumberReassigned);
            }
        }
    }

    fn change_tenure(&mut self, number: PhoneNumber, change: TenureChange) {
        if change == TenureChange::Released {
            // What waits for the holder is nobody else's.
            let accounts: Vec<_> =
                self.accounts.iter().map(|(account, (key, _))| (account.clone(), *key)).collect();
            for (account, key) in accounts {
                self.take_back(&account, key, number);
            }
        }
        let tenure = self.tenures.entry(number).or_default();
        *tenure = tenure.after(change, self.now);
    }

    fn receive(
        &mut self,
        account: &OfficialAccountId,
        key: AccountKey,
        number: PhoneNumber,
        id: MessageId,
        kind: ReceiptKind,
    ) {
        let Some(message) = self.messages.get_mut(&(key, id)).filter(|message| message.number == number)
        else {
            return;
        };
        if let Some(state) = message.state.after(kind) {
            message.state = state;
            self.moved.insert(message.sequence, state);
            self.events.push(receipt(account, number, id, kind, self.now));
        }
    }

    /// The account's next generation.
    fn grow(&mut self, account: &OfficialAccountId) -> i64 {
        let Some((_, generation)) = self.accounts.get_mut(account) else {
            return 0;
        };
        *generation += 1;
        self.grown.insert(account.clone());
        *generation
    }

    fn tell(&mut self, account: &OfficialAccountId, number: PhoneNumber, kind: EventKind) {
        let id = event_id(self.batch_id, self.events.len());
        self.events.push(Event { id, account: account.clone(), number, time: self.now, kind });
    }
}

/// The id of a batch's `place`th event: the same whenever the batch is applied again, and sorted by the batch's time, as its
/// own id is, so that whoever remembers events remembers those of one time in one place.
fn event_id(batch_id: Uuid, place: usize) -> Uuid {
    let mut bytes = Uuid::new_v5(&batch_id, format!("event/{place}").as_bytes()).into_bytes();
    bytes[..TIME_BYTES].copy_from_slice(&batch_id.as_bytes()[..TIME_BYTES]);
    Builder::from_custom_bytes(bytes).into_uuid()
}

/// How many bytes of a UUID of version 7 are its time.
const TIME_BYTES: usize = 6;
