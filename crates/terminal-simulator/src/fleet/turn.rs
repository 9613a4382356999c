//! What a batch of messages brings about: lines, steps and calls, all worked out before anything is written.
//!
//! Pure over the talk rooms in memory. Surprising: two messages of one batch may stand in one talk room, so the second meets
//! the step that the first left, not the one in memory.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use musubi_domain::id::CarrierId;
use musubi_proto::{
    carrier::v1::{
        Action, Authentication, IncomingMessage, MessageDelivered, MessageDisplayed, SuggestionTapped,
        TextTyped, Unfollow, action::What,
    },
    terminal::v1::{self as wire, line},
};
use musubi_storage::terminal::{Advance, Bytes, Line, NewBatch, NewLine, Reception, Sender, Tally};
use prost::Message as _;

use super::rooms::{Key, Rooms};
use crate::{
    hand::Stand,
    intake,
    outbox::{Thinking, Writer},
    script::{self, Deed, Step},
};

/// A message that its talk room doesn't show yet.
pub(super) struct Arrival {
    /// Its talk room.
    pub key: Key,
    /// The talk room's number in the store.
    pub talk_room: i64,
    /// The message.
    pub message: IncomingMessage,
}

/// The fleet's side of a batch of messages.
pub(super) struct Fleet<'a> {
    /// The fleet's name.
    pub name: &'a str,
    /// Whence the messages come.
    pub carrier: &'a CarrierId,
    /// Its place in the configuration.
    pub place: u16,
    /// How long people think.
    pub thinking: Thinking,
    /// The instant it is.
    pub now: Timestamp,
}

/// What people send, by when it is due.
#[derive(Default)]
struct Sendings {
    actions: Vec<Action>,
    authentications: Vec<Authentication>,
}

/// A batch of messages, worked out.
pub(super) struct Turn {
    /// For the store.
    pub reception: Reception,
    /// The same new steps, for the talk rooms in memory.
    pub stands: Vec<(Key, Stand)>,
}

impl Fleet<'_> {
    /// Shows the messages, each for the first time, to their people, in order.
    pub(super) fn show(&self, rooms: &Rooms, arrivals: &[Arrival]) -> Turn {
        let mut steps: HashMap<Key, (i64, Step)> = HashMap::new();
        let mut names: HashMap<u16, &str> = HashMap::new();
        let mut lines = Vec::new();
        let mut sendings: BTreeMap<Option<Timestamp>, Sendings> = BTreeMap::new();
        let mut tally = Tally::default();
        for Arrival { key, talk_room, message } in arrivals {
            let Some((_, room)) = rooms.find(self.place, &message.msisdn, &message.official_account) else {
                continue;
            };
            tally.shown += 1;
            if !message.display_name.is_empty() {
                names.insert(key.1, &message.display_name);
            }
            let mut say = |message_id, what| {
                lines.push(NewLine { talk_room: *talk_room, line: self.line(message_id, what) });
            };
            let shown = wire::ShownMessage {
                // Stands beside, for the index.
                message_id: String::new(),
                content: message.content.clone(),
                traffic_type: message.traffic_type,
            };
            say(Some(message.message_id.clone()), line::What::Message(shown));
            let act = |what| Action {
                msisdn: message.msisdn.clone(),
                official_account: message.official_account.clone(),
                what: Some(what),
            };
            let message_id = || message.message_id.clone();
            let receipts = &mut sendings.entry(None).or_default().actions;
            receipts.push(act(What::Delivered(MessageDelivered { message_id: message_id() })));
            // Whoever holds a phone has seen nothing before they look.
            let Stand::Story(step) = room.stand else { continue };
            receipts.push(act(What::Displayed(MessageDisplayed { message_id: message_id() })));

            let before = steps.get(key).map_or(step, |(_, step)| *step);
            let (step, deeds) = script::react(&room.script, before, &script::recognise(message));
            if step != before {
                steps.insert(*key, (*talk_room, step));
            }
            if deeds.is_empty() {
                continue;
            }
            let due = self.thinking.due(&message.msisdn, &message.message_id, self.now);
            let sending = sendings.entry(due).or_default();
            for deed in deeds {
                match deed {
                    Deed::Tap(button) => {
                        tally.tapped += 1;
                        say(None, line::What::Said(button.text.clone()));
                        sending.actions.push(act(What::Tapped(SuggestionTapped {
                            message_id: message_id(),
                            postback: button.postback.clone(),
                            text: button.text.clone(),
                        })));
                    }
                    Deed::Type(text) => {
                        tally.typed += 1;
                        say(None, line::What::Said(text.to_owned()));
                        sending.actions.push(act(What::Typed(TextTyped { text: text.to_owned() })));
                    }
                    Deed::Open(page) => {
                        tally.pages += 1;
                        say(None, line::What::Opened(without_query(page)));
                    }
                    Deed::Authenticate(page) => {
                        tally.pages += 1;
                        say(None, line::What::Opened(without_query(page)));
                        let credential = intake::credential(&key.0, rooms.account(key.1));
                        sending.authentications.push(Authentication {
                            url: page.to_owned(),
                            msisdn: message.msisdn.clone(),
                            credential_id: credential.to_string(),
                            pin: intake::pin(credential),
                        });
                    }
                    Deed::Unfollow => sending.actions.push(act(What::Unfollow(Unfollow {}))),
                }
            }
        }
        let advances =
            steps.values().map(|(talk_room, step)| Advance { talk_room: *talk_room, step: step.code() });
        let reception = Reception {
            advances: advances.collect(),
            lines,
            batches: self.calls(sendings),
            senders: self.senders(rooms, names),
            tally,
        };
        let stands = steps.into_iter().map(|(key, (_, step))| (key, Stand::Story(step))).collect();
        Turn { reception, stands }
    }

    fn line(&self, message_id: Option<String>, what: line::What) -> Line {
        line(self.now, message_id, what)
    }

    fn calls(&self, sendings: BTreeMap<Option<Timestamp>, Sendings>) -> Vec<NewBatch> {
        let mut calls = Vec::new();
        for (due_time, Sendings { actions, authentications }) in sendings {
            let writer = Writer { carrier: self.carrier, fleet: self.name, now: self.now, due_time };
            calls.extend(writer.act(actions));
            calls.extend(writer.authenticate(authentications));
        }
        calls
    }

    fn senders(&self, rooms: &Rooms, names: HashMap<u16, &str>) -> Vec<Sender> {
        let told = |(account, name): (u16, &str)| Sender {
            carrier: self.carrier.clone(),
            official_account: rooms.account(account).clone(),
            display_name: name.to_owned(),
        };
        names
            .into_iter()
            .filter(|(account, name)| rooms.name(self.place, *account) != Some(name))
            .map(told)
            .collect()
    }
}

/// A line as the store keeps it.
pub(super) fn line(now: Timestamp, message_id: Option<String>, what: line::What) -> Line {
    let content = wire::Line { line_time: None, what: Some(what) }.encode_to_vec();
    Line { line_time: now, message_id, content: Bytes(content) }
}

/// A line as it is shown: the stored content with what stands beside it.
///
/// # Errors
/// When the content is no line.
pub(crate) fn shown(stored: Line) -> Result<wire::Line, prost::DecodeError> {
    let mut line = wire::Line::decode(stored.content.0.as_slice())?;
    line.line_time = Some(musubi_proto::convert::content::timestamp(stored.line_time));
    if let (Some(line::What::Message(message)), Some(message_id)) = (&mut line.what, stored.message_id) {
        message.message_id = message_id;
    }
    Ok(line)
}

/// An address without its query, which may hold a secret.
pub(super) fn without_query(page: &str) -> String {
    page.split(['?', '#']).next().unwrap_or_default().to_owned()
}
