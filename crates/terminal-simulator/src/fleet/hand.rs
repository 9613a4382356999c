//! What whoever holds a phone does with it: each deed is one transaction of the store, and goes to the carrier by the same outbox
//! as what people do by their stories.
//!
//! Nothing is decided for anybody here, and nothing is drawn. Surprising: what was sent and seen since the start is counted in
//! memory alone; after a restart everything counts as sent and nothing as seen, and receipts go once more, which changes nothing.

use jiff::Timestamp;
use musubi_domain::{
    Error, ErrorKind,
    id::{CarrierId, OfficialAccountId},
    phone_number::PhoneNumber,
};
use musubi_proto::{
    carrier::v1::{Action, Follow, MessageDisplayed, SuggestionTapped, TextTyped, Unfollow, action::What},
    terminal::v1::{self as wire, line},
    r#type::v1::{Suggestion, suggestion},
};
use musubi_storage::terminal::{Advance, Bytes, NewLine, Reception, TalkRoom, Tally};

use super::{
    Fleet, pending,
    rooms::{Key, Room},
    turn::{self, without_query},
};
use crate::{
    hand::{Follows, Grip, Holder, Stand, Wallet},
    intake,
    outbox::Writer,
};

/// A phone as it is opened.
pub(crate) struct Opening {
    /// Its carrier.
    pub carrier: CarrierId,
    /// The carrier's place in the configuration.
    pub place: u16,
    /// Whether it is on; a phone of a story always is.
    pub is_on: bool,
    /// Whether somebody holds it.
    pub is_held: bool,
    /// What its holder has at hand; none of a phone of a story.
    pub wallet: Option<Wallet>,
    /// Whom it can talk to: of a phone of a story those whom it does.
    pub accounts: Vec<Account>,
}

/// An official account as a phone knows it.
pub(crate) struct Account {
    /// Which.
    pub id: OfficialAccountId,
    /// The verified sender's name, or the id before any message came.
    pub name: String,
    /// Where the talk room stands; none: there is none yet.
    pub stand: Option<Stand>,
    /// The talk room in the store.
    pub talk_room: Option<i64>,
    /// How many things that were said the carrier hasn't taken yet.
    pub unsent: usize,
    /// How many messages were seen since the start.
    pub seen: usize,
}

/// A talk room as one passes by.
pub(crate) struct Glimpse {
    /// Whose phone.
    pub phone_number: PhoneNumber,
    /// With whom.
    pub official_account: OfficialAccountId,
    /// The verified sender's name, or the id before any message came.
    pub name: String,
    /// The talk room in the store.
    pub talk_room: i64,
    /// Where it stands.
    pub stand: Stand,
}

/// What one deed changes.
#[derive(Default)]
struct Change {
    /// Where the talk room stands then.
    grip: Option<Grip>,
    lines: Vec<line::What>,
    actions: Vec<What>,
    tally: Tally,
}

impl Fleet {
    /// A phone, if there is one of this number.
    ///
    /// # Errors
    /// The store's.
    pub(crate) async fn open(&self, phone_number: PhoneNumber) -> Result<Option<Opening>, Error> {
        let rooms = self.locked().await?;
        let Some(place) = rooms.carrier(phone_number) else { return Ok(None) };
        let mut is_held = false;
        let mut is_on = true;
        let accounts = rooms.accounts().map(|(number, id)| {
            let key = (phone_number, number);
            let room = rooms.get(phone_number, id).map(|(_, room)| room);
            if let Some(Stand::Hand(grip)) = room.map(|room| room.stand) {
                (is_held, is_on) = (true, grip.is_on);
            }
            let pocket = rooms.pocket(&key);
            Account {
                id: id.clone(),
                name: rooms.name(place, number).unwrap_or(id.as_str()).to_owned(),
                stand: room.map(|room| room.stand),
                talk_room: room.map(|room| room.talk_room),
                unsent: pocket.unsent,
                seen: pocket.seen,
            }
        });
        let mut accounts: Vec<_> = accounts.collect();
        drop(rooms);
        accounts.retain(|account| is_held || account.stand.is_some());
        let carrier = self.carrier(place).id.clone();
        let wallet = if is_held { self.wallet(phone_number).await? } else { None };
        Ok(Some(Opening { carrier, place, is_on, is_held, wallet, accounts }))
    }

    /// The phones that somebody holds.
    ///
    /// # Errors
    /// The store's.
    pub(crate) async fn held(&self) -> Result<Vec<PhoneNumber>, Error> {
        let rooms = self.locked().await?;
        Ok(rooms.held().collect())
    }

    /// The first of these people whose phones nobody has picked up, at most so many, by their places in the slice.
    ///
    /// # Errors
    /// The store's.
    pub(crate) async fn waiting(&self, people: &[Holder], most: usize) -> Result<Vec<usize>, Error> {
        let rooms = self.locked().await?;
        let waits = |(_, holder): &(usize, &Holder)| rooms.carrier(holder.phone_number).is_none();
        let waiting = people.iter().enumerate().filter(waits).map(|(place, _)| place);
        Ok(waiting.take(most).collect())
    }

    /// What a carrier calls an official account, or the account's id before any message came.
    ///
    /// # Errors
    /// The store's.
    pub(crate) async fn name_of(
        &self,
        carrier: &CarrierId,
        account: &OfficialAccountId,
    ) -> Result<String, Error> {
        let rooms = self.locked().await?;
        let number = rooms.accounts().find(|(_, id)| *id == account).map(|(number, _)| number);
        let place = self.place(carrier).ok();
        let name = number.zip(place).and_then(|(number, place)| rooms.name(place, number));
        Ok(name.unwrap_or(account.as_str()).to_owned())
    }

    /// The talk rooms where something happened last, the newest first.
    ///
    /// # Errors
    /// The store's.
    pub(crate) async fn latest(&self) -> Result<Vec<Glimpse>, Error> {
        let rooms = self.locked().await?;
        let latest: Vec<Key> = self.locked_latest().iter().copied().collect();
        let glimpse = |key: Key| {
            let room = rooms.room(&key)?;
            let account = rooms.account(key.1);
            Some(Glimpse {
                phone_number: key.0,
                name: rooms.name(room.carrier, key.1).unwrap_or(account.as_str()).to_owned(),
                official_account: account.clone(),
                talk_room: room.talk_room,
                stand: room.stand,
            })
        };
        Ok(latest.into_iter().filter_map(glimpse).collect())
    }

    async fn wallet(&self, phone_number: PhoneNumber) -> Result<Option<Wallet>, Error> {
        let rooms = self.store.list_talk_rooms(0, Some(&phone_number), 100).await?;
        let held = rooms.iter().filter(|room| matches!(Stand::from_code(room.step), Some(Stand::Hand(_))));
        // The first has what was at hand as the phone was picked up, the number of the account among it.
        let first = held.min_by_key(|room| room.talk_room);
        first.map(|room| intake::unpack_wallet(phone_number, &room.story.0)).transpose()
    }

    /// Hands a phone to somebody, and registers at its carrier what they have at hand. It follows nobody.
    ///
    /// # Errors
    /// `AlreadyExists` when there is a phone of this number; a carrier that isn't configured; the store's.
    pub(crate) async fn pick_up(&self, holder: &Holder, now: Timestamp) -> Result<(), Error> {
        let place = self.place(&holder.carrier)?;
        let mut rooms = self.locked().await?;
        if rooms.carrier(holder.phone_number).is_some() {
            return Err(Error::new(
                ErrorKind::AlreadyExists,
                "there is a phone of this number already",
                "take another number",
            ));
        }
        let writer = Writer { carrier: &holder.carrier, fleet: &self.name, now, due_time: None };
        let batches = writer.register(intake::persons(holder.phone_number, &holder.wallet));
        let grip = Grip { follows: Follows::No, is_on: true };
        let room = new_room(holder, &holder.official_account, grip);
        let talk_room = rooms.settled(self.store.add_talk_rooms(&[room], &batches).await)?;
        self.locked_progress().pending += pending(&batches);
        let key = (holder.phone_number, rooms.intern(&holder.official_account));
        rooms.insert(key, Room::held(talk_room, place, grip));
        self.happened([key].into_iter());
        self.carrier(place).outbox.notify_one();
        Ok(())
    }

    /// Follows an account, whose talk room is made where there is none. Nothing happens when they follow already.
    ///
    /// # Errors
    /// As of every deed: `NotFound` without such a phone in somebody's hand, `FailedPrecondition` when it is off, the store's.
    pub(crate) async fn follow(
        &self,
        phone_number: PhoneNumber,
        account: &OfficialAccountId,
        now: Timestamp,
    ) -> Result<(), Error> {
        self.ensure_room(phone_number, account).await?;
        self.act(phone_number, account, now, |grip| match grip.follows {
            Follows::No | Follows::Leaving => Change {
                grip: Some(Grip { follows: Follows::Joining, ..grip }),
                lines: vec![line::What::Followed(true)],
                actions: vec![What::Follow(Follow {})],
                ..Change::default()
            },
            Follows::Joining | Follows::Yes => Change::default(),
        })
        .await
    }

    /// Ceases to follow an account.
    ///
    /// # Errors
    /// As of every deed.
    pub(crate) async fn unfollow(
        &self,
        phone_number: PhoneNumber,
        account: &OfficialAccountId,
        now: Timestamp,
    ) -> Result<(), Error> {
        self.act(phone_number, account, now, |grip| match grip.follows {
            Follows::Joining | Follows::Yes => Change {
                grip: Some(Grip { follows: Follows::Leaving, ..grip }),
                lines: vec![line::What::Followed(false)],
                actions: vec![What::Unfollow(Unfollow {})],
                ..Change::default()
            },
            Follows::No | Follows::Leaving => Change::default(),
        })
        .await
    }

    /// Taps a suggestion of a message that the talk room shows. What it opens is told in a line, and opened by nobody here.
    ///
    /// # Errors
    /// As of every deed.
    pub(crate) async fn tap(
        &self,
        phone_number: PhoneNumber,
        account: &OfficialAccountId,
        message_id: &str,
        button: &Suggestion,
        now: Timestamp,
    ) -> Result<(), Error> {
        let opened = match &button.action {
            Some(suggestion::Action::OpenUrl(open)) => Some(line::What::Opened(without_query(&open.url))),
            Some(suggestion::Action::Dial(_)) | None => None,
        };
        let tapped = SuggestionTapped {
            message_id: message_id.to_owned(),
            postback: button.postback.clone(),
            text: button.text.clone(),
        };
        let pages = u64::from(opened.is_some());
        self.act(phone_number, account, now, |_| Change {
            lines: [Some(line::What::Said(button.text.clone())), opened].into_iter().flatten().collect(),
            actions: vec![What::Tapped(tapped)],
            tally: Tally { tapped: 1, pages, ..Tally::default() },
            grip: None,
        })
        .await
    }

    /// Types a text, which [`parse_typed`](crate::hand::parse_typed) has checked.
    ///
    /// # Errors
    /// As of every deed.
    pub(crate) async fn type_text(
        &self,
        phone_number: PhoneNumber,
        account: &OfficialAccountId,
        text: &str,
        now: Timestamp,
    ) -> Result<(), Error> {
        self.act(phone_number, account, now, |_| Change {
            lines: vec![line::What::Said(text.to_owned())],
            actions: vec![What::Typed(TextTyped { text: text.to_owned() })],
            tally: Tally { typed: 1, ..Tally::default() },
            grip: None,
        })
        .await
    }

    /// Remembers that a verifier's page took what it was shown.
    ///
    /// # Errors
    /// As of every deed.
    pub(crate) async fn proved(
        &self,
        phone_number: PhoneNumber,
        account: &OfficialAccountId,
        url: &str,
        now: Timestamp,
    ) -> Result<(), Error> {
        self.act(phone_number, account, now, |_| Change {
            lines: vec![line::What::Proved(without_query(url))],
            ..Change::default()
        })
        .await
    }

    /// Tells the carrier that whoever holds the phone has seen the first `count` messages of the talk room.
    ///
    /// # Errors
    /// As of every deed.
    pub(crate) async fn see(
        &self,
        phone_number: PhoneNumber,
        account: &OfficialAccountId,
        count: usize,
        now: Timestamp,
    ) -> Result<(), Error> {
        let opening = self.open(phone_number).await?;
        let known = opening.into_iter().flat_map(|opening| opening.accounts).find(|it| it.id == *account);
        let Some(Account { talk_room: Some(talk_room), seen, .. }) = known else { return Ok(()) };
        let lines = self.store.list_lines(&[talk_room]).await?;
        let messages = lines.into_iter().filter_map(|line| line.line.message_id);
        let new: Vec<_> = messages.take(count).skip(seen).collect();
        if new.is_empty() {
            return Ok(());
        }
        let total = seen + new.len();
        let displayed = |message_id| What::Displayed(MessageDisplayed { message_id });
        let change = Change { actions: new.into_iter().map(displayed).collect(), ..Change::default() };
        self.act(phone_number, account, now, |_| change).await?;
        let mut rooms = self.locked().await?;
        if let Some((key, _)) = rooms.get(phone_number, account) {
            let pocket = rooms.pocket_mut(key);
            pocket.seen = pocket.seen.max(total);
        }
        Ok(())
    }

    /// Switches a phone on or off. What waited for it comes when it is on again.
    ///
    /// # Errors
    /// `NotFound` when nobody holds such a phone; the store's.
    pub(crate) async fn switch(&self, phone_number: PhoneNumber, is_on: bool) -> Result<(), Error> {
        let mut rooms = self.locked().await?;
        let place = rooms.carrier(phone_number);
        let stands: Vec<(Key, i64, Stand)> = rooms
            .of(phone_number)
            .filter_map(|(key, room)| match room.stand {
                Stand::Hand(grip) => Some((*key, room.talk_room, Stand::Hand(Grip { is_on, ..grip }))),
                Stand::Story(_) => None,
            })
            .collect();
        let (Some(place), false) = (place, stands.is_empty()) else { return Err(nobodys()) };
        let advance =
            |(_, talk_room, stand): &(Key, i64, Stand)| Advance { talk_room: *talk_room, step: stand.code() };
        let reception = Reception { advances: stands.iter().map(advance).collect(), ..Reception::default() };
        rooms.settled(self.store.receive(&reception).await)?;
        self.advance(&mut rooms, stands.into_iter().map(|(key, _, stand)| (key, stand)).collect());
        if is_on {
            self.carrier(place).listen_again.notify_one();
        }
        Ok(())
    }

    /// A message that a talk room shows.
    ///
    /// # Errors
    /// The store's; `NotFound`.
    pub(crate) async fn message(
        &self,
        talk_room: i64,
        message_id: &str,
    ) -> Result<wire::ShownMessage, Error> {
        let lines = self.store.list_lines(&[talk_room]).await?;
        let stored = lines.into_iter().find(|line| line.line.message_id.as_deref() == Some(message_id));
        let missing =
            || Error::new(ErrorKind::NotFound, "the talk room shows no such message", "open it again");
        let line = turn::shown(stored.ok_or_else(missing)?.line).map_err(|_| missing())?;
        match line.what {
            Some(line::What::Message(message)) => Ok(message),
            Some(
                line::What::Said(_) | line::What::Opened(_) | line::What::Followed(_) | line::What::Proved(_),
            )
            | None => Err(missing()),
        }
    }

    /// Makes the talk room of a phone that somebody holds with an account, where there is none.
    async fn ensure_room(&self, phone_number: PhoneNumber, account: &OfficialAccountId) -> Result<(), Error> {
        let Some(wallet) = self.wallet(phone_number).await? else { return Err(nobodys()) };
        let mut rooms = self.locked().await?;
        if rooms.has(phone_number, account) {
            return Ok(());
        }
        let other = rooms.of(phone_number).next().map(|(_, room)| (room.carrier, room.stand));
        let Some((place, Stand::Hand(grip))) = other else { return Err(nobodys()) };
        let holder = Holder {
            phone_number,
            carrier: self.carrier(place).id.clone(),
            official_account: account.clone(),
            wallet: Wallet { account_text: String::new(), ..wallet },
        };
        let grip = Grip { follows: Follows::No, ..grip };
        let room = new_room(&holder, account, grip);
        let talk_room = rooms.settled(self.store.add_talk_rooms(&[room], &[]).await)?;
        let key = (phone_number, rooms.intern(account));
        rooms.insert(key, Room::held(talk_room, place, grip));
        Ok(())
    }

    /// Does one thing in one talk room.
    async fn act(
        &self,
        phone_number: PhoneNumber,
        account: &OfficialAccountId,
        now: Timestamp,
        decide: impl FnOnce(Grip) -> Change,
    ) -> Result<(), Error> {
        let mut rooms = self.locked().await?;
        let Some((key, room)) = rooms.get(phone_number, account) else { return Err(nobodys()) };
        let Stand::Hand(grip) = room.stand else { return Err(nobodys()) };
        if !grip.is_on {
            return Err(Error::new(ErrorKind::FailedPrecondition, "the phone is off", "switch it on"));
        }
        let (talk_room, place) = (room.talk_room, room.carrier);
        let Change { grip, lines, actions, tally } = decide(grip);
        if lines.is_empty() && actions.is_empty() {
            return Ok(());
        }
        let said = lines.iter().filter(|line| matches!(line, line::What::Said(_))).count();
        let action = |what| Action {
            msisdn: phone_number.as_str().to_owned(),
            official_account: account.to_string(),
            what: Some(what),
        };
        let stand = grip.map(Stand::Hand);
        let carrier = &self.carrier(place).id;
        let writer = Writer { carrier, fleet: &self.name, now, due_time: None };
        let reception = Reception {
            lines: lines
                .into_iter()
                .map(|what| NewLine { talk_room, line: turn::line(now, None, what) })
                .collect(),
            advances: stand.iter().map(|stand| Advance { talk_room, step: stand.code() }).collect(),
            batches: writer.act(actions.into_iter().map(action).collect()),
            senders: Vec::new(),
            tally,
        };
        rooms.settled(self.store.receive(&reception).await)?;
        {
            let mut progress = self.locked_progress();
            progress.pending += pending(&reception.batches);
            progress.add(tally);
        }
        self.advance(&mut rooms, stand.into_iter().map(|stand| (key, stand)).collect());
        rooms.pocket_mut(key).unsent += said;
        self.happened([key].into_iter());
        self.carrier(place).outbox.notify_one();
        Ok(())
    }
}

fn nobodys() -> Error {
    Error::new(ErrorKind::NotFound, "nobody holds such a phone", "pick one up first")
}

fn new_room(holder: &Holder, account: &OfficialAccountId, grip: Grip) -> TalkRoom {
    TalkRoom {
        talk_room: 0,
        phone_number: holder.phone_number,
        official_account: account.clone(),
        carrier: holder.carrier.clone(),
        step: Stand::Hand(grip).code(),
        story: Bytes(intake::pack_wallet(&holder.wallet)),
    }
}
