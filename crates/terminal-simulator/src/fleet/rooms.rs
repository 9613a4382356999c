//! Talk rooms in memory: what people need to know to act, and no more.
//!
//! A cache of the database, small enough for 100,000 phones; lines stay in the database. It changes only after the database
//! has. Surprising: accounts stand here as numbers into a list, so that a talk room's key is 20 bytes.

use std::collections::{BTreeMap, HashMap};

use musubi_domain::{id::OfficialAccountId, phone_number::PhoneNumber};
use musubi_storage::StoreError;

use crate::script::{Script, Step};

/// Whose talk room, with which account.
pub(super) type Key = (PhoneNumber, u16);

/// One talk room.
pub(super) struct Room {
    /// Its number in the store.
    pub talk_room: i64,
    /// The phone's carrier: its place in the configuration.
    pub carrier: u16,
    /// Where the story stands.
    pub step: Step,
    /// What the person does.
    pub script: Script,
}

/// Every talk room of the fleet.
#[derive(Default)]
pub(super) struct Rooms {
    rooms: BTreeMap<Key, Room>,
    accounts: Vec<OfficialAccountId>,
    places: HashMap<String, u16>,
    /// Verified senders' names by carrier and account.
    names: HashMap<(u16, u16), String>,
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
        self.places
            .get(account.as_str())
            .is_some_and(|place| self.rooms.contains_key(&(phone_number, *place)))
    }

    /// The carrier of a number that has a talk room.
    pub(super) fn carrier(&self, phone_number: PhoneNumber) -> Option<u16> {
        self.rooms.range((phone_number, 0)..=(phone_number, u16::MAX)).next().map(|(_, room)| room.carrier)
    }

    /// Adds a talk room.
    pub(super) fn insert(&mut self, key: Key, room: Room) {
        self.rooms.insert(key, room);
    }

    /// Sets a story's step and gives the one before.
    pub(super) fn set_step(&mut self, key: &Key, step: Step) -> Option<Step> {
        self.rooms.get_mut(key).map(|room| std::mem::replace(&mut room.step, step))
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
