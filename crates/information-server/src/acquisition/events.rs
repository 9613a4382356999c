//! What carriers report, taken in batches: who follows, who left, who answered, what became of messages.
//!
//! The receipts of a batch are one transaction and its other events another, with those of other batches that wait: each event with all its
//! effects, or none of it. What is refused had no effect and is named. Surprising: receipts aren't remembered like other events; moving
//! a delivery forward twice is moving it once. They come last, because people wait for an answer to the others.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
};

use jiff::{SignedDuration, Timestamp};
use musubi_domain::{
    Error,
    content::{POSTBACK_LIMIT, TEXT_LIMIT},
    delivery::Signal,
    error::shape,
    id::{CarrierId, FollowerId, FollowerKeyring, MessageId},
    phone_number::PhoneNumber,
    postback::{Tapped, TokenKey},
};
use musubi_proto::{
    convert::content::instant,
    information::v1::{CarrierEvent, ReceiptKind, carrier_event::What, responded::How},
};
use musubi_runtime::{
    Clock,
    telemetry::{
        metrics::STORE,
        story::{Began, begin},
    },
};
use musubi_storage::information::{
    FollowerKey, InformationStore,
    delivery::{AttemptOutcome, AttemptResult},
    flow::{Origin, Scope, Work},
};

use crate::{
    directory::Directory,
    metrics::EVENTS,
    request::reading::{Tap, read_not_me, read_tap, read_text},
    scene::Scene,
    signal::Signals,
    telling::{self, Said},
    together::Together,
};

/// How far ahead a carrier's clock may be. The latest word on a subscription stands, so that nothing could end a follow of years
/// to come.
const AHEAD: SignedDuration = SignedDuration::from_hours(24);

/// Takes events.
pub struct Events {
    /// The server's store.
    pub store: Arc<dyn InformationStore>,
    /// Who is who.
    pub directory: Arc<Directory>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Wakes whoever has work then.
    pub signals: Signals,
    /// Makes follower keys.
    pub keyring: FollowerKeyring,
    /// Opens postbacks.
    pub tokens: TokenKey,
    /// Calls of each carrier that wait.
    pub waiting: Waiting,
}

/// Calls of each carrier that wait to be taken together.
#[derive(Default)]
pub struct Waiting(Mutex<HashMap<CarrierId, Arc<Calls>>>);

type Calls = Together<Arc<Batch>, Vec<Taken>>;

/// The events of a call, as far as they could be read.
type Batch = Vec<Result<Inbound, Error>>;

/// What became of one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It had its effect now.
    Now,
    /// It had been taken before.
    Before,
    /// It had none, and why.
    Refused(Error),
}

/// An event that was read.
struct Inbound {
    event_id: String,
    key: FollowerKey,
    number: PhoneNumber,
    at: Timestamp,
    what: Reported,
}

enum Reported {
    Followed,
    Unfollowed,
    Reassigned,
    Tapped(Tapped),
    Typed(String),
    Receipt(MessageId, Signal),
}

impl Events {
    /// Takes a batch of one carrier's events; what became of each, in order.
    ///
    /// # Errors
    /// `Unavailable`: repeat all of them; those that are no receipts may have been taken.
    pub async fn take(
        self: &Arc<Self>,
        carrier: &CarrierId,
        events: Vec<CarrierEvent>,
    ) -> Result<Vec<Taken>, Error> {
        let (now, began) = (self.clock.now(), begin());
        let read: Arc<Batch> =
            Arc::new(events.into_iter().map(|event| self.read(carrier, event, now)).collect());
        let receipts = read.iter().flatten().filter_map(Inbound::receipt).collect::<Vec<_>>();
        // People wait for what they said, and nobody for a receipt.
        let others = match others(&read).count() {
            0 => Vec::new(),
            count => {
                let (this, from) = (Arc::clone(self), carrier.clone());
                let unit = move |calls| Arc::clone(&this).take_others(from.clone(), calls);
                self.calls(carrier).carry_out(Arc::clone(&read), count, unit).await?
            }
        };
        let known = STORE.time(["record receipts"], self.store.record(&receipts, now)).await?;
        telling::outcomes(carrier, &receipts);
        let (mut known, mut others) = (known.into_iter(), others.into_iter());
        let each = read.iter().map(|inbound| match inbound {
            Err(error) => Taken::Refused(error.clone()),
            Ok(Inbound { what: Reported::Receipt(..), .. }) => match known.next().unwrap_or_default() {
                true => Taken::Now,
                false => Taken::Refused(unknown_message()),
            },
            Ok(_) => others.next().unwrap_or_else(|| Taken::Refused(stranger())),
        });
        let taken: Vec<Taken> = each.collect();
        tell(carrier, &read, &taken, began);
        Ok(taken)
    }

    /// The carrier's calls that wait.
    fn calls(&self, carrier: &CarrierId) -> Arc<Calls> {
        let mut carriers = self.waiting.0.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(Together::new(self.store.units_at_once()));
        Arc::clone(carriers.entry(carrier.clone()).or_insert_with(new))
    }

    /// Takes what is no receipt of these calls; what became of each event, in order.
    async fn take_others(
        self: Arc<Self>,
        carrier: CarrierId,
        calls: Vec<Arc<Batch>>,
    ) -> Result<Vec<Vec<Taken>>, Error> {
        let now = self.clock.now();
        let mut scope = Scope::default();
        let mut to_remember = Vec::new();
        for inbound in calls.iter().flat_map(|call| others(call)) {
            if matches!(inbound.what, Reported::Followed | Reported::Unfollowed | Reported::Reassigned) {
                scope.erased.push(inbound.key.clone());
            }
            scope.followers.push(inbound.key.clone());
            to_remember.push(inbound.event_id.clone());
        }
        scope.followers.sort();
        scope.followers.dedup();
        scope.events = Some((carrier.clone(), to_remember));
        let (mut taken, mut said) = (Vec::new(), Said::default());
        let mut deliveries = false;
        let mut edit = |work: &mut Work| {
            let mut seen_here = HashSet::new();
            let mut apply = |it| self.apply(work, &mut seen_here, &carrier, it, now);
            taken = calls.iter().map(|call| others(call).map(&mut apply).collect()).collect();
            self.ask(work, now);
            deliveries = !work.deliveries.is_empty();
            said.note(work);
        };
        STORE.time(["take events"], self.store.work("take_events", &scope, now, &mut edit)).await?;
        said.count();
        if deliveries {
            self.signals.deliveries.raise();
        }
        Ok(taken)
    }

    /// Asks those of them who are to be asked now, so that it takes no transaction of its own.
    fn ask(&self, work: &mut Work, now: Timestamp) {
        let keys: Vec<FollowerKey> = work.followers.keys().cloned().collect();
        for key in keys {
            if let Some((account, company)) = self.directory.account_and_company(&key.account) {
                Scene { account, company, now }.ask(work, &key);
            }
        }
    }

    fn read(&self, carrier: &CarrierId, event: CarrierEvent, now: Timestamp) -> Result<Inbound, Error> {
        if event.event_id.is_empty() || event.event_id.len() > 100 {
            let problem = shape(&event.event_id);
            return Err(Error::invalid("event_id", problem, "give 1 to 100 characters, unique for ever"));
        }
        let no_account = || {
            let remedy = "name an official account that is open at this carrier";
            Error::invalid("official_account", "no such official account", remedy)
        };
        let account = event
            .official_account
            .parse()
            .ok()
            .and_then(|id| self.directory.account(&id))
            .filter(|account| account.carriers.contains(carrier))
            .ok_or_else(no_account)?;
        let number: PhoneNumber = event.msisdn.parse().map_err(|error: Error| error.at("msisdn"))?;
        let at = instant(event.event_time.as_ref(), "event_time")?;
        if at.duration_since(now) > AHEAD {
            let problem = "is more than a day ahead of this server's clock";
            return Err(Error::invalid("event_time", problem, "set the carrier's clock"));
        }
        let follower = self.keyring.follower(&account.id, &number);
        let what = self.read_what(event.what, follower)?;
        let key = FollowerKey { account: account.id.clone(), follower };
        Ok(Inbound { event_id: event.event_id, key, number, at, what })
    }

    fn read_what(&self, what: Option<What>, follower: FollowerId) -> Result<Reported, Error> {
        match what {
            Some(What::Followed(_)) => Ok(Reported::Followed),
            Some(What::Unfollowed(_)) => Ok(Reported::Unfollowed),
            Some(What::NumberReassigned(_)) => Ok(Reported::Reassigned),
            Some(What::Responded(responded)) => match responded.how {
                Some(How::Postback(token)) => {
                    let ours = (token.len() <= POSTBACK_LIMIT).then(|| self.tokens.open(&token, follower));
                    ours.flatten().map(Reported::Tapped).ok_or_else(|| {
                        let problem = format!("{} is no postback of ours", shape(&token));
                        let remedy = "send back what stood in the suggestion, unchanged";
                        Error::invalid("responded.postback", problem, remedy)
                    })
                }
                Some(How::Text(text)) => {
                    let length = text.chars().count();
                    if length == 0 || length > TEXT_LIMIT {
                        let remedy = format!("give 1 to {TEXT_LIMIT} characters");
                        return Err(Error::invalid("responded.text", format!("{length} characters"), remedy));
                    }
                    Ok(Reported::Typed(text))
                }
                None => Err(Error::invalid("responded.how", "neither postback nor text", "give one of them")),
            },
            Some(What::Receipt(receipt)) => {
                let id = receipt.message_id.parse().map_err(|error: Error| error.at("receipt.message_id"))?;
                let signal = match receipt.kind() {
                    ReceiptKind::Delivered => Signal::Delivered,
                    ReceiptKind::Displayed => Signal::Displayed,
                    ReceiptKind::Expired => Signal::Expired,
                    ReceiptKind::Revoked => Signal::Revoked,
                    ReceiptKind::Unspecified => {
                        return Err(Error::invalid(
                            "receipt.kind",
                            "not said",
                            "say how far the message came",
                        ));
                    }
                };
                Ok(Reported::Receipt(id, signal))
            }
            None => Err(Error::invalid("what", "nothing is reported", "say what happened")),
        }
    }

    fn apply(
        &self,
        work: &mut Work,
        seen_here: &mut HashSet<String>,
        carrier: &CarrierId,
        inbound: &Inbound,
        now: Timestamp,
    ) -> Taken {
        if work.seen.contains(&inbound.event_id) || seen_here.contains(&inbound.event_id) {
            return Taken::Before;
        }
        let Some((account, company)) = self.directory.account_and_company(&inbound.key.account) else {
            return Taken::Refused(Error::invalid("official_account", "no such official account", ""));
        };
        let scene = Scene { account, company, now };
        let (key, number, at) = (&inbound.key, inbound.number, inbound.at);
        let done = match &inbound.what {
            Reported::Followed => {
                scene.arrive(work, key, number, carrier, at, Origin::Event);
                Ok(())
            }
            Reported::Unfollowed => {
                scene.leave(work, key, number, carrier, at);
                Ok(())
            }
            Reported::Reassigned => {
                scene.reassign(work, key, number, carrier, at);
                Ok(())
            }
            Reported::Tapped(tap) => tapped(scene, work, key, tap),
            Reported::Typed(text) => typed(scene, work, key, text),
            Reported::Receipt(..) => Ok(()),
        };
        match done {
            Ok(()) => {
                seen_here.insert(inbound.event_id.clone());
                work.taken.push(inbound.event_id.clone());
                Taken::Now
            }
            Err(error) => Taken::Refused(error),
        }
    }
}

impl Inbound {
    fn receipt(&self) -> Option<AttemptResult> {
        let Reported::Receipt(message_id, signal) = self.what else { return None };
        let outcome = AttemptOutcome::Known(signal);
        Some(AttemptResult { key: self.key.clone(), message_id, attempt: 0, outcome })
    }
}

/// Those that are no receipts.
fn others(batch: &Batch) -> impl Iterator<Item = &Inbound> {
    batch.iter().flatten().filter(|it| !matches!(it.what, Reported::Receipt(..)))
}

/// What became of events, once it is stored.
fn tell(carrier: &CarrierId, read: &[Result<Inbound, Error>], taken: &[Taken], began: Began) {
    for (outcome, is) in [
        ("taken", (|it| *it == Taken::Now) as fn(&Taken) -> bool),
        ("repeated", |it| *it == Taken::Before),
        ("refused", |it| matches!(it, Taken::Refused(_))),
    ] {
        EVENTS.add(taken.iter().filter(|it| is(it)).count() as u64, [carrier.as_str(), outcome]);
    }
    for (inbound, _) in read.iter().zip(taken).filter(|(_, taken)| **taken == Taken::Now) {
        let Ok(Inbound { event_id, key, number, what, .. }) = inbound else { continue };
        let word = match what {
            Reported::Receipt(message, signal) => {
                telling::took_receipt(*message, event_id, *signal, began);
                continue;
            }
            Reported::Followed => "followed",
            Reported::Unfollowed => "unfollowed",
            Reported::Reassigned => "number reassigned",
            Reported::Tapped(_) => "tapped",
            Reported::Typed(_) => "typed",
        };
        telling::took_event(&key.account, number, event_id, word, began);
    }
}

fn unknown_message() -> Error {
    Error::invalid(
        "receipt.message_id",
        "no such message was sent to this number",
        "report on messages of this account only",
    )
}

fn stranger() -> Error {
    Error::invalid("msisdn", "the number does not follow this account", "report the follow first")
}

fn tapped(scene: Scene<'_>, work: &mut Work, key: &FollowerKey, tap: &Tapped) -> Result<(), Error> {
    let record = work.followers.get(key).ok_or_else(stranger)?;
    let dialogue = record.dialogue.as_ref().ok_or_else(stranger)?;
    let live = record.tie.as_ref().map(|tie| tie.tie.id);
    let read = match tap {
        Tapped::Postback(postback) => read_tap(key, dialogue, postback),
        Tapped::NotMe(named) => read_not_me(key, dialogue, live, *named),
        Tapped::Button(button) => {
            work.taps.push(*button);
            return Ok(());
        }
    };
    match read {
        Tap::Now(event) => {
            scene.tell(work, key, &event);
            Ok(())
        }
        Tap::NotMe => {
            scene.not_me(work, key);
            Ok(())
        }
        Tap::Late => Ok(()),
        Tap::Foreign => Err(Error::invalid(
            "responded.postback",
            "the postback is another follower's",
            "send back what stood in a suggestion of this talk room",
        )),
    }
}

fn typed(scene: Scene<'_>, work: &mut Work, key: &FollowerKey, text: &str) -> Result<(), Error> {
    let dialogue =
        work.followers.get(key).and_then(|record| record.dialogue.as_ref()).ok_or_else(stranger)?;
    let event = read_text(dialogue, text, &scene.account.texts, &scene.company.account_format);
    if let Some(event) = event {
        scene.tell(work, key, &event);
    }
    Ok(())
}
