//! Talk rooms in memory: what people need to know to act, and no more.
//!
//! A cache of the database, small enough for 100,000 phones; lines stay in the database. It changes only after the database
//! has. Surprising: accounts stand here as numbers into a list, so that a talk room's key is 20 bytes.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use musubi_domain::{id::OfficialAccountId, phone_number::PhoneNumber};
use musubi_proto::carrier::v1::{Action, action::What};
use musubi_storage::StoreError;

use crate::{
    hand::{Grip, Stand},
    script::Script,
    story::{Reply, UnfollowAfter},
};

/// Whose talk room, with which account.
pub(super) type Key = (PhoneNumber, u16);

/// One talk room.
pub(super) struct Room {
    /// Its number in the store.
    pub talk_room: i64,
    /// The phone's carrier: its place in the configuration.
    pub carrier: u16,
    /// Where the story stands, or whoever holds the phone.
    pub stand: Stand,
    /// What the person does by the story.
    pub script: Script,
}

impl Room {
    /// One in somebody's hand.
    pub(super) fn held(talk_room: i64, carrier: u16, grip: Grip) -> Self {
        let script = Script {
            reply: Reply::Ignore,
            account_text: Box::default(),
            method: None,
            unfollow_after: UnfollowAfter::Never,
        };
        Self { talk_room, carrier, stand: Stand::Hand(grip), script }
    }
}

/// What is counted of a talk room in somebody's hand.
#[derive(Clone, Copy, Default)]
pub(super) struct Pocket {
    /// Things said that the carrier hasn't taken yet.
    pub unsent: usize,
    /// Messages seen since the start.
    pub seen: usize,
}

/// Every talk room of the fleet.
#[derive(Default)]
pub(super) struct Rooms {
    rooms: BTreeMap<Key, Room>,
    accounts: Vec<OfficialAccountId>,
    places: HashMap<String, u16>,
    /// Verified senders' names by carrier and account.
    names: HashMap<(u16, u16), String>,
    /// Phones in somebody's hand.
    held: BTreeSet<PhoneNumber>,
    /// Of those in somebody's hand where something was said or seen.
    pockets: HashMap<Key, Pocket>,
    /// The database may hold what does not stand here.
    pub in_doubt: bool,
}

impl Rooms {
    /// What became of a write to the database. When nobody knows, this is in doubt.
    pub(super) fn settled<T>(&mut self, written: Result<T, StoreError>) -> Result<T, StoreError> {
        self.in_doubt |= matches!(written, Err(StoreError::Unknown { .. }));
        written
    }

    /// The account's number; a new one gets the next.
    pub(super) fn intern(&mut self, account: &OfficialAccountId) -> u16 {
        if let Some(place) = self.places.get(account.as_str()) {
            return *place;
        }
        let place = u16::try_from(self.accounts.len()).unwrap_or(u16::MAX);
        self.accounts.push(account.clone());
        self.places.insert(account.as_str().to_owned(), place);
        place
    }

    /// The account of a number that [`Self::intern`] gave.
    pub(super) fn account(&self, number: u16) -> &OfficialAccountId {
        &self.accounts[usize::from(number)]
    }

    /// The talk room that a carrier means.
    pub(super) fn find(&self, carrier: u16, msisdn: &str, account: &str) -> Option<(Key, &Room)> {
        let key = (msisdn.parse().ok()?, *self.places.get(account)?);
        let room = self.rooms.get(&key).filter(|room| room.carrier == carrier)?;
        Some((key, room))
    }

    /// Whether the talk room is there.
    pub(super) fn has(&self, phone_number: PhoneNumber, account: &OfficialAccountId) -> bool {
        self.get(phone_number, account).is_some()
    }

    /// The carrier of a number that has a talk room.
    pub(super) fn carrier(&self, phone_number: PhoneNumber) -> Option<u16> {
        self.of(phone_number).next().map(|(_, room)| room.carrier)
    }

    /// Adds a talk room.
    pub(super) fn insert(&mut self, key: Key, room: Room) {
        if matches!(room.stand, Stand::Hand(_)) {
            self.held.insert(key.0);
        }
        self.rooms.insert(key, room);
    }

    /// One phone's talk rooms.
    pub(super) fn of(&self, phone_number: PhoneNumber) -> impl Iterator<Item = (&Key, &Room)> {
        self.rooms.range((phone_number, 0)..=(phone_number, u16::MAX))
    }

    /// The talk room of a phone with an account.
    pub(super) fn get(&self, phone_number: PhoneNumber, account: &OfficialAccountId) -> Option<(Key, &Room)> {
        let key = (phone_number, *self.places.get(account.as_str())?);
        Some((key, self.rooms.get(&key)?))
    }

    /// Every account that any phone has met.
    pub(super) fn accounts(&self) -> impl Iterator<Item = (u16, &OfficialAccountId)> {
        (0..).zip(&self.accounts)
    }

    /// Sets where a talk room stands and gives where it stood.
    pub(super) fn set_stand(&mut self, key: &Key, stand: Stand) -> Option<Stand> {
        self.rooms.get_mut(key).map(|room| std::mem::replace(&mut room.stand, stand))
    }

    /// The phones in somebody's hand, by number.
    pub(super) fn held(&self) -> impl Iterator<Item = PhoneNumber> {
        self.held.iter().copied()
    }

    /// The talk room of a key.
    pub(super) fn room(&self, key: &Key) -> Option<&Room> {
        self.rooms.get(key)
    }

    /// What is counted of a talk room.
    pub(super) fn pocket(&self, key: &Key) -> Pocket {
        self.pockets.get(key).copied().unwrap_or_default()
    }

    /// The same, to be counted on.
    pub(super) fn pocket_mut(&mut self, key: Key) -> &mut Pocket {
        self.pockets.entry(key).or_default()
    }

    /// Counts what a carrier has taken.
    pub(super) fn sent(&mut self, carrier: u16, actions: &[Action]) {
        if self.pockets.is_empty() {
            return;
        }
        for action in actions {
            if !matches!(action.what, Some(What::Tapped(_) | What::Typed(_))) {
                continue;
            }
            let found = self.find(carrier, &action.msisdn, &action.official_account);
            if let Some(pocket) = found.map(|(key, _)| key).and_then(|key| self.pockets.get_mut(&key)) {
                pocket.unsent = pocket.unsent.saturating_sub(1);
            }
        }
    }

    /// A sender's name, if a carrier has told it.
    pub(super) fn name(&self, carrier: u16, account: u16) -> Option<&str> {
        self.names.get(&(carrier, account)).map(String::as_str)
    }

    /// Remembers a sender's name.
    pub(super) fn set_name(&mut self, carrier: u16, account: u16, name: String) {
        self.names.insert((carrier, account), name);
    }
}
