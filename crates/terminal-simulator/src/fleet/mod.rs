//! The fleet: its phones, what reaches them, and what of it the carriers have confirmed.
//!
//! One lock holds the talk rooms in memory, and is held from looking at them until the database has what was decided; memory
//! follows the database, never the other way. No carrier is called here. Surprising: a failed transaction needs no repair, because
//! carriers send again what wasn't confirmed and the outbox keeps what wasn't taken out; after one whose outcome nobody knows,
//! memory is read from the database anew.

mod hand;
mod rooms;
mod turn;

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};

use jiff::Timestamp;
use musubi_domain::{Error, id::CarrierId};
use musubi_proto::{
    carrier::v1::{Action, Follow, IncomingMessage, action::What},
    terminal::v1 as wire,
};
use musubi_storage::{
    StoreError,
    terminal::{Advance, Batch, Bytes, NewBatch, TalkRoom, Tally, TerminalStore},
};
use tokio::sync::{MutexGuard, Notify, watch};
use tracing::warn;

pub(crate) use self::{
    hand::{Account, Glimpse, Opening},
    turn::shown,
};
use self::{
    rooms::{Key, Room, Rooms},
    turn::Arrival,
};
use crate::{
    hand::Stand,
    intake::{self, Intake},
    outbox::{Call, Thinking, Writer},
    script::Step,
};

/// The most stories of one request, and the most messages of one transaction.
pub(crate) const BATCH: usize = 1_000;

/// Why a fleet doesn't start.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The database can't be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A phone's carrier isn't configured.
    #[error(
        "the database has phones of carrier {0}, which is not configured; add its [[carrier]], or use another database"
    )]
    UnknownCarrier(CarrierId),
    /// A talk room holds what this program can't have written.
    #[error("talk room {talk_room} of the database can not be read: {problem}")]
    Unreadable {
        /// Its number in the database.
        talk_room: i64,
        /// What is wrong.
        problem: String,
    },
}

impl From<LoadError> for StoreError {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Store(error) => error,
            LoadError::UnknownCarrier(_) | LoadError::Unreadable { .. } => Self::Corrupt(error.to_string()),
        }
    }
}

/// How far the stories are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Stories by [`Step::index`].
    pub steps: [u64; Step::WORDS.len()],
    /// What happened so far.
    pub tally: Tally,
    /// Actions that carriers haven't confirmed.
    pub pending: u64,
}

impl Progress {
    fn advance(&mut self, from: Stand, to: Stand) {
        if let Stand::Story(from) = from {
            self.steps[from.index()] -= 1;
        }
        if let Stand::Story(to) = to {
            self.steps[to.index()] += 1;
        }
    }

    fn add(&mut self, tally: Tally) {
        let Tally { shown, repeated, tapped, typed, pages, refused } = tally;
        self.tally.shown += shown;
        self.tally.repeated += repeated;
        self.tally.tapped += tapped;
        self.tally.typed += typed;
        self.tally.pages += pages;
        self.tally.refused += refused;
    }
}

/// A carrier as the fleet knows it.
pub(crate) struct Carrier {
    /// Its id.
    pub id: CarrierId,
    /// Rung when its outbox has something new.
    pub outbox: Notify,
    /// Whether a call is under way to it, or due.
    pub calling: watch::Sender<bool>,
    /// Rung when a phone was switched on, which wants what waited for it.
    pub listen_again: Notify,
}

impl Carrier {
    fn new(id: CarrierId) -> Self {
        Self { id, outbox: Notify::new(), calling: watch::Sender::default(), listen_again: Notify::new() }
    }
}

/// Phones with their people.
pub(crate) struct Fleet {
    name: String,
    thinking: Thinking,
    carriers: Vec<Carrier>,
    store: Arc<dyn TerminalStore>,
    rooms: tokio::sync::Mutex<Rooms>,
    progress: Mutex<Progress>,
    /// The talk rooms where something happened last, the newest first.
    latest: Mutex<VecDeque<Key>>,
}

/// How many talk rooms are known as those where something happened last.
const LATEST: usize = 12;

impl Fleet {
    /// A fleet as its database has it.
    pub(crate) async fn load(
        name: String,
        thinking: Thinking,
        carriers: Vec<CarrierId>,
        store: Arc<dyn TerminalStore>,
    ) -> Result<Self, LoadError> {
        let carriers: Vec<_> = carriers.into_iter().map(Carrier::new).collect();
        let (rooms, progress) = Self::read(&carriers, &*store).await?;
        Ok(Self {
            name,
            thinking,
            carriers,
            store,
            rooms: tokio::sync::Mutex::new(rooms),
            progress: Mutex::new(progress),
            latest: Mutex::default(),
        })
    }

    /// Everything that memory holds of the database.
    async fn read(carriers: &[Carrier], store: &dyn TerminalStore) -> Result<(Rooms, Progress), LoadError> {
        let mut rooms = Rooms::default();
        let (tally, pending) = store.get_tally().await?;
        let mut progress = Progress { tally, pending, ..Progress::default() };
        let place = |carrier: &CarrierId| {
            let place = carriers.iter().position(|known| known.id == *carrier);
            place.and_then(|place| u16::try_from(place).ok())
        };
        let mut last = 0;
        loop {
            let page = store.list_talk_rooms(last, None, 10_000).await?;
            for room in &page {
                let carrier =
                    place(&room.carrier).ok_or_else(|| LoadError::UnknownCarrier(room.carrier.clone()))?;
                let unreadable =
                    |problem: String| LoadError::Unreadable { talk_room: room.talk_room, problem };
                let stand = Stand::from_code(room.step)
                    .ok_or_else(|| unreadable(format!("{} is no step", room.step)))?;
                let script = intake::unpack(&room.story.0).map_err(|error| unreadable(error.to_string()))?;
                if let Stand::Story(step) = stand {
                    progress.steps[step.index()] += 1;
                }
                let key = (room.phone_number, rooms.intern(&room.official_account));
                rooms.insert(key, Room { talk_room: room.talk_room, carrier, stand, script });
            }
            match page.last() {
                Some(room) => last = room.talk_room,
                None => break,
            }
        }
        for sender in store.list_senders().await? {
            if let Some(carrier) = place(&sender.carrier) {
                let account = rooms.intern(&sender.official_account);
                rooms.set_name(carrier, account, sender.display_name);
            }
        }
        Ok((rooms, progress))
    }

    /// The talk rooms, as the database has them. Whoever has the lock takes what the store says of a write
    /// through [`Rooms::settled`].
    async fn locked(&self) -> Result<MutexGuard<'_, Rooms>, StoreError> {
        let mut rooms = self.rooms.lock().await;
        if rooms.in_doubt {
            let (read, progress) = Self::read(&self.carriers, &*self.store).await?;
            *rooms = read;
            *self.locked_progress() = progress;
        }
        Ok(rooms)
    }

    /// The fleet's name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// One of the carriers, by its place in the configuration.
    pub(crate) fn carrier(&self, place: u16) -> &Carrier {
        &self.carriers[usize::from(place)]
    }

    /// The places of all carriers.
    pub(crate) fn places(&self) -> impl Iterator<Item = u16> + use<> {
        0..u16::try_from(self.carriers.len()).unwrap_or(u16::MAX)
    }

    /// Where talk rooms are read.
    pub(crate) fn store(&self) -> &dyn TerminalStore {
        &*self.store
    }

    /// How far the stories are.
    pub(crate) fn progress(&self) -> Progress {
        *self.locked_progress()
    }

    fn locked_progress(&self) -> std::sync::MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands phones to people. A talk room that is there keeps its story. Gives how many are new.
    ///
    /// # Errors
    /// The first story at fault, with its field; nothing of the request is taken. The store's.
    pub(crate) async fn play(&self, stories: Vec<wire::Story>, now: Timestamp) -> Result<usize, Error> {
        if stories.len() > BATCH {
            return Err(Error::invalid(
                "stories",
                format!("{} stories", stories.len()),
                format!("give at most {BATCH} at once"),
            ));
        }
        let mut rooms = self.locked().await?;
        let mut carriers = HashMap::new();
        let mut seen = HashSet::new();
        let mut new: Vec<(u16, Intake)> = Vec::new();
        for (index, story) in stories.into_iter().enumerate() {
            let at = |error: Error| {
                let field = format!("stories[{index}].{}", error.field);
                error.at(field)
            };
            let intake = intake::parse(story).map_err(at)?;
            let place = self.place(&intake.carrier).map_err(at)?;
            let known = rooms.carrier(intake.phone_number);
            if *carriers.entry(intake.phone_number).or_insert(known.unwrap_or(place)) != place {
                let remedy = "a phone has one carrier; name that of its other stories";
                return Err(at(Error::invalid("carrier", "is another than the phone has", remedy)));
            }
            let is_new = !rooms.has(intake.phone_number, &intake.official_account);
            if is_new && seen.insert((intake.phone_number, intake.official_account.clone())) {
                new.push((place, intake));
            }
        }
        if new.is_empty() {
            return Ok(0);
        }
        let (talk_rooms, batches) = self.first_steps(&mut new, now);
        let first = rooms.settled(self.store.add_talk_rooms(&talk_rooms, &batches).await)?;
        let mut progress = self.locked_progress();
        progress.pending += pending(&batches);
        progress.steps[Step::Joining.index()] += new.len() as u64;
        drop(progress);
        let taken = new.len();
        for (talk_room, (carrier, Intake { phone_number, official_account, script, .. })) in
            (first..).zip(new)
        {
            let key = (phone_number, rooms.intern(&official_account));
            let stand = Stand::Story(Step::Joining);
            rooms.insert(key, Room { talk_room, carrier, stand, script });
        }
        self.carriers.iter().for_each(|carrier| carrier.outbox.notify_one());
        Ok(taken)
    }

    /// The place of a carrier in the configuration.
    ///
    /// # Errors
    /// When it isn't configured; names those that are.
    pub(crate) fn place(&self, carrier: &CarrierId) -> Result<u16, Error> {
        self.places().find(|place| self.carrier(*place).id == *carrier).ok_or_else(|| {
            let known: Vec<_> = self.carriers.iter().map(|carrier| carrier.id.as_str()).collect();
            Error::invalid(
                "carrier",
                format!("{carrier} is not configured"),
                format!("name one of {}", known.join(", ")),
            )
        })
    }

    /// Talk rooms for the store, and the calls that begin them: credentials first, so that they are there when a page opens.
    fn first_steps(&self, new: &mut [(u16, Intake)], now: Timestamp) -> (Vec<TalkRoom>, Vec<NewBatch>) {
        let mut talk_rooms = Vec::with_capacity(new.len());
        let mut firsts: BTreeMap<u16, (Vec<_>, Vec<_>)> = BTreeMap::new();
        for (place, intake) in new {
            let (persons, follows) = firsts.entry(*place).or_default();
            persons.extend(intake.person.take());
            follows.push(Action {
                msisdn: intake.phone_number.as_str().to_owned(),
                official_account: intake.official_account.to_string(),
                what: Some(What::Follow(Follow {})),
            });
            talk_rooms.push(TalkRoom {
                talk_room: 0,
                phone_number: intake.phone_number,
                official_account: intake.official_account.clone(),
                carrier: intake.carrier.clone(),
                step: Step::Joining.code(),
                story: Bytes(intake::pack(&intake.script)),
            });
        }
        let mut batches = Vec::new();
        for (place, (persons, follows)) in firsts {
            let carrier = &self.carrier(place).id;
            let writer = Writer { carrier, fleet: &self.name, now, due_time: None };
            batches.extend(writer.register(persons));
            batches.extend(writer.act(follows));
        }
        (talk_rooms, batches)
    }

    /// Shows at most 1,000 messages of one carrier, in order; those that were shown before are counted.
    ///
    /// # Errors
    /// The store's; then nothing was shown.
    pub(crate) async fn receive(
        &self,
        place: u16,
        messages: Vec<IncomingMessage>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut rooms = self.locked().await?;
        let total = messages.len();
        let mut off = 0;
        let mut arrivals: Vec<Arrival> = messages
            .into_iter()
            .filter_map(|message| {
                let (key, room) = rooms.find(place, &message.msisdn, &message.official_account)?;
                if room.stand.is_off() {
                    off += 1;
                    return None;
                }
                Some(Arrival { key, talk_room: room.talk_room, message })
            })
            .collect();
        let carrier = &self.carrier(place).id;
        let strays = total - off - arrivals.len();
        if strays > 0 {
            warn!(%carrier, strays, "{strays} messages are for phones that carrier {carrier} has not in this fleet");
        }
        let asked: Vec<_> =
            arrivals.iter().map(|arrival| (arrival.talk_room, arrival.message.message_id.as_str())).collect();
        let before: HashSet<usize> = self.store.find_shown(&asked).await?.into_iter().collect();
        let known = arrivals.len();
        let mut seen = HashSet::new();
        let mut index = 0..;
        arrivals.retain(|arrival| {
            let shown = index.next().is_none_or(|index| before.contains(&index));
            !shown && seen.insert((arrival.talk_room, arrival.message.message_id.clone()))
        });
        let turn = turn::Fleet { name: &self.name, carrier, place, thinking: self.thinking, now };
        let mut turn = turn.show(&rooms, &arrivals);
        turn.reception.tally.repeated = (known - arrivals.len()) as u64;
        if known == 0 {
            return Ok(());
        }
        rooms.settled(self.store.receive(&turn.reception).await)?;
        for sender in turn.reception.senders {
            let account = rooms.intern(&sender.official_account);
            rooms.set_name(place, account, sender.display_name);
        }
        {
            let mut progress = self.locked_progress();
            progress.pending += pending(&turn.reception.batches);
            progress.add(turn.reception.tally);
        }
        self.happened(arrivals.iter().map(|arrival| arrival.key));
        self.advance(&mut rooms, turn.stands);
        self.carrier(place).outbox.notify_one();
        Ok(())
    }

    /// Takes a call out of the outbox that its carrier has confirmed, `refused` of it for good.
    ///
    /// # Errors
    /// The store's; then the call is still there.
    pub(crate) async fn confirm(
        &self,
        place: u16,
        batch: &Batch,
        call: &Call,
        refused: u64,
    ) -> Result<(), StoreError> {
        let mut rooms = self.locked().await?;
        let mut stands: HashMap<Key, (i64, Stand)> = HashMap::new();
        for Action { msisdn, official_account, what } in call.actions() {
            if let (Some((key, room)), Some(what)) = (rooms.find(place, msisdn, official_account), what) {
                let before = stands.get(&key).map_or(room.stand, |(_, stand)| *stand);
                let stand = before.confirmed(what);
                if stand != before {
                    stands.insert(key, (room.talk_room, stand));
                }
            }
        }
        let advances: Vec<_> = stands
            .values()
            .map(|(talk_room, stand)| Advance { talk_room: *talk_room, step: stand.code() })
            .collect();
        rooms.settled(self.store.finish_batch(batch.batch, &advances, refused).await)?;
        self.finished(batch, refused);
        self.advance(&mut rooms, stands.into_iter().map(|(key, (_, stand))| (key, stand)).collect());
        rooms.sent(place, call.actions());
        Ok(())
    }

    /// Takes a call out of the outbox that its carrier will never take.
    ///
    /// # Errors
    /// The store's; then the call is still there.
    pub(crate) async fn discard(&self, batch: &Batch) -> Result<(), StoreError> {
        let mut rooms = self.locked().await?;
        let refused = u64::from(batch.actions);
        rooms.settled(self.store.finish_batch(batch.batch, &[], refused).await)?;
        self.finished(batch, refused);
        Ok(())
    }

    fn finished(&self, batch: &Batch, refused: u64) {
        let mut progress = self.locked_progress();
        progress.pending -= u64::from(batch.actions);
        progress.tally.refused += refused;
    }

    fn advance(&self, rooms: &mut Rooms, stands: Vec<(Key, Stand)>) {
        let mut progress = self.locked_progress();
        for (key, stand) in stands {
            if let Some(before) = rooms.set_stand(&key, stand) {
                progress.advance(before, stand);
            }
        }
    }

    fn locked_latest(&self) -> std::sync::MutexGuard<'_, VecDeque<Key>> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers where something happened, in order.
    fn happened(&self, keys: impl DoubleEndedIterator<Item = Key>) {
        let mut latest = self.locked_latest();
        // Of a large batch the end is enough.
        let last: Vec<Key> = keys.rev().take(LATEST).collect();
        for key in last.into_iter().rev() {
            latest.retain(|known| *known != key);
            latest.push_front(key);
        }
        latest.truncate(LATEST);
    }
}

fn pending(batches: &[NewBatch]) -> u64 {
    batches.iter().map(|batch| u64::from(batch.actions)).sum()
}
