//! What carriers report, taken in batches: who follows, who left, who answered, what became of messages.
//!
//! The receipts of a batch are one transaction and its other events another: each event with all its effects, or none of it. What is
//! refused had no effect and is named. Surprising: receipts aren't remembered like other events; moving a delivery forward twice
//! is moving it once. They come last, because people wait for an answer to the others.

use std::{collections::HashSet, sync::Arc};

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
}

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
    pub async fn take(&self, carrier: &CarrierId, events: Vec<CarrierEvent>) -> Result<Vec<Taken>, Error> {
        let (now, began) = (self.clock.now(), begin());
        let read: Vec<Result<Inbound, Error>> =
            events.into_iter().map(|event| self.read(carrier, event, now)).collect();
        let mut scope = Scope::default();
        let (mut to_remember, mut receipts) = (Vec::new(), Vec::new());
        for inbound in read.iter().flatten() {
            match inbound.what {
                Reported::Receipt(message_id, signal) => receipts.push(AttemptResult {
                    key: inbound.key.clone(),
                    message_id,
                    attempt: 0,
                    outcome: AttemptOutcome::Known(signal),
                }),
                Reported::Followed | Reported::Unfollowed | Reported::Reassigned => {
                    scope.erased.push(inbound.key.clone());
                    scope.followers.push(inbound.key.clone());
                    to_remember.push(inbound.event_id.clone());
                }
                Reported::Tapped(_) | Reported::Typed(_) => {
                    scope.followers.push(inbound.key.clone());
                    to_remember.push(inbound.event_id.clone());
                }
            }
        }
        scope.followers.sort();
        scope.followers.dedup();
        let only_receipts = to_remember.is_empty();
        scope.events = Some((carrier.clone(), to_remember));
        // People wait for what they said, and nobody for a receipt.
        let others = match only_receipts {
            true => Vec::new(),
            false => self.take_others(carrier, &scope, &read, now).await?,
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

    /// Takes what is no receipt; what became of each, in order.
    async fn take_others(
        &self,
        carrier: &CarrierId,
        scope: &Scope,
        read: &[Result<Inbound, Error>],
        now: Timestamp,
    ) -> Result<Vec<Taken>, Error> {
        let (mut taken, mut said) = (Vec::new(), Said::default());
        let (mut dialogues, mut deliveries) = (false, false);
        let mut edit = |work: &mut Work| {
            let mut seen_here = HashSet::new();
            let others = read.iter().flatten().filter(|it| !matches!(it.what, Reported::Receipt(..)));
            taken = others.map(|it| self.apply(work, &mut seen_here, carrier, it, now)).collect();
            dialogues = !work.added.is_empty() || !work.withdrawn.is_empty();
            deliveries = !work.deliveries.is_empty();
            said.note(work);
        };
        STORE.time(["take events"], self.store.work("take_events", scope, now, &mut edit)).await?;
        said.count();
        if dialogues {
            self.signals.dialogues.raise();
        }
        if deliveries {
            self.signals.deliveries.raise();
        }
        Ok(taken)
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
