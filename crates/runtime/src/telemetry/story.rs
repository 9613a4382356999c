//! Stories: traces whose ids derive from what they are about, so that a step that is told hours later, by another process, stands in
//! the trace of the first, and nothing has to be stored or sent along for it.
//!
//! There are two. A *talk room*'s is what happens between a person and an official account: follow, question, answers, proof, match,
//! result. A *message*'s is its way to the phone and back. The messages of a dialogue stand in both. Ids of traces and steps are keyed
//! hashes: who has the [key](super::export::ExportConfig) makes the same ones, and nobody else learns whose they are. Surprising: a
//! talk room's story begins anew every thirty days, at an hour of its own, so that nobody who happens to be told of is told of for ever.

use std::{
    borrow::Cow,
    time::{Duration, SystemTime},
};

use hmac::{Hmac, Mac as _};
use jiff::Timestamp;
use musubi_domain::{
    id::{MessageId, OfficialAccountId},
    phone_number::PhoneNumber,
};
use opentelemetry::{
    KeyValue,
    trace::{Link, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState},
};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks, SpanProcessor as _};
use sha2::Sha256;

use super::{
    context,
    export::{Export, export},
};
use crate::{Clock as _, SystemClock};

/// How long a talk room has one story.
const CHAPTER: u64 = 30 * 24 * 3600;

/// What happens in a story. The names are what collectors show; which step stands under which is said where it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// A person follows, at the terminal. The talk room's first step.
    Follow,
    /// A person taps a suggestion, at the terminal.
    Answer,
    /// The carrier reports what a person did, or how far a message came.
    Report,
    /// The information-management server takes the report.
    Take,
    /// It sends a message. The message's first step.
    Send,
    /// The carrier has it.
    Carry,
    /// The phone shows it.
    Show,
    /// An authority of the carrier's attests who somebody is.
    Attest,
    /// The information-management server has the match decided.
    Inquire,
    /// Whoever has the customer master decides.
    Decide,
    /// The information-management server records the decision.
    Conclude,
}

impl Step {
    const fn name(self) -> &'static str {
        match self {
            Self::Follow => "follow",
            Self::Answer => "answer",
            Self::Report => "report event",
            Self::Take => "take event",
            Self::Send => "send message",
            Self::Carry => "carry message",
            Self::Show => "show message",
            Self::Attest => "attest identity",
            Self::Inquire => "inquire",
            Self::Decide => "decide match",
            Self::Conclude => "conclude match",
        }
    }
}

/// When something began, for what is told once it has ended.
#[derive(Clone, Copy, Debug)]
pub struct Began(SystemTime);

/// Now.
#[must_use]
pub fn begin() -> Began {
    Began(now())
}

fn now() -> SystemTime {
    let since = SystemClock.now().duration_since(Timestamp::UNIX_EPOCH);
    SystemTime::UNIX_EPOCH + since.try_into().unwrap_or(Duration::ZERO)
}

/// A story that is told. Of most there is none: they are not chosen, or nothing is exported.
#[derive(Clone, Copy, Debug)]
pub struct Story {
    export: &'static Export,
    trace: TraceId,
}

/// A place in a story, for what stands under it in another process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub(super) trace: TraceId,
    pub(super) span: SpanId,
}

impl Story {
    /// What happens between a person and an official account.
    #[must_use]
    pub fn of_talk_room(account: &OfficialAccountId, number: &PhoneNumber) -> Option<Self> {
        let export = export()?;
        let key = export.key.as_ref()?;
        let room = hash(key, &[b"talk room", account.as_str().as_bytes(), number.as_str().as_bytes()]);
        let seconds = now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let chapter = chapter(room, seconds).to_be_bytes();
        Self::of(export, hash(key, &[b"chapter", &room, &chapter]))
    }

    /// The way of a message.
    #[must_use]
    pub fn of_message(message: MessageId) -> Option<Self> {
        let export = export()?;
        Self::of(export, hash(export.key.as_ref()?, &[b"message", message.as_bytes()]))
    }

    /// What was said to stand in a story somewhere else.
    pub(super) fn at(place: Place) -> Option<Self> {
        Some(Self { export: export()?, trace: place.trace })
    }

    fn of(export: &'static Export, id: [u8; 16]) -> Option<Self> {
        let trace = TraceId::from_bytes(id);
        export.tells(trace).then_some(Self { export, trace })
    }

    /// Where a step stands in it; `about` says which of its kind, as a message's id does.
    #[must_use]
    pub fn place(&self, step: Step, about: impl AsRef<[u8]>) -> Place {
        let name = step.name().as_bytes();
        let Some(key) = &self.export.key else { return Place { trace: self.trace, span: drawn() } };
        let id = hash(key, &[b"step", &self.trace.to_bytes(), name, about.as_ref()]);
        let [a, b, c, d, e, f, g, h, ..] = id;
        Place { trace: self.trace, span: SpanId::from_bytes([a, b, c, d, e, f, g, h]) }
    }

    /// A step that ends now.
    pub fn step(self, step: Step, about: impl AsRef<[u8]>, began: Began) -> Telling {
        let place = self.place(step, about);
        Telling { story: self, step, place, under: None, began, attributes: Vec::new() }
    }
}

/// A step that is about to be told.
#[derive(Debug)]
#[must_use = "it is told by `tell`"]
pub struct Telling {
    story: Story,
    step: Step,
    place: Place,
    under: Option<SpanId>,
    began: Began,
    attributes: Vec<KeyValue>,
}

impl Telling {
    /// What led to it.
    pub fn under(self, step: Step, about: impl AsRef<[u8]>) -> Self {
        let Place { span, .. } = self.story.place(step, about);
        Self { under: Some(span), ..self }
    }

    pub(super) fn under_place(self, place: Place) -> Self {
        Self { under: Some(place.span), ..self }
    }

    /// A word about it: a name of few values, or an id. Never anything of a person.
    pub fn with(mut self, key: &'static str, value: impl Into<Cow<'static, str>>) -> Self {
        self.attributes.push(KeyValue::new(key, value.into()));
        self
    }

    /// Tells it, with a link to the work that did it for many at once.
    pub fn tell(self) {
        let Self { story, step, place, under, began, attributes } = self;
        let mut links = SpanLinks::default();
        links.links.extend(context::current().map(|batch| Link::new(batch, Vec::new(), 0)));
        story.export.processor.on_end(SpanData {
            span_context: told(place),
            parent_span_id: under.unwrap_or(SpanId::INVALID),
            parent_span_is_remote: under.is_some(),
            span_kind: SpanKind::Internal,
            name: step.name().into(),
            start_time: began.0,
            end_time: now().max(began.0),
            attributes,
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links,
            status: Status::Unset,
            instrumentation_scope: story.export.scope.clone(),
        });
    }
}

pub(super) fn told(place: Place) -> SpanContext {
    SpanContext::new(place.trace, place.span, TraceFlags::SAMPLED, false, TraceState::NONE)
}

/// A step that another node makes the same: derived where there is a key, drawn where there is none.
fn drawn() -> SpanId {
    SpanId::from_bytes(crate::entropy::bytes())
}

/// Which of its stories a talk room is in.
fn chapter(room: [u8; 16], seconds: u64) -> u64 {
    let [a, b, c, d, ..] = room;
    (seconds + u64::from(u32::from_be_bytes([a, b, c, d])) % CHAPTER) / CHAPTER
}

/// A keyed hash of parts, each with its length, so that no two lists of them are one.
fn hash(key: &Hmac<Sha256>, parts: &[&[u8]]) -> [u8; 16] {
    let mut mac = key.clone();
    for part in parts {
        mac.update(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
        mac.update(part);
    }
    let tag = mac.finalize().into_bytes();
    let mut id = [0; 16];
    id.copy_from_slice(&tag[..16]);
    id
}

#[cfg(test)]
mod tests {
    use hmac::KeyInit as _;

    use super::*;

    #[test]
    fn a_hash_keeps_its_parts_apart_and_needs_its_key() {
        let key = |secret: &[u8]| Hmac::<Sha256>::new_from_slice(secret).unwrap();
        let one = key(b"one key of stories");
        assert_eq!(hash(&one, &[b"ab", b"c"]), hash(&one, &[b"ab", b"c"]));
        assert_ne!(hash(&one, &[b"ab", b"c"]), hash(&one, &[b"a", b"bc"]));
        assert_ne!(hash(&one, &[b"ab", b"c"]), hash(&key(b"another key of stories"), &[b"ab", b"c"]));
    }

    #[test]
    fn a_talk_room_has_another_story_after_thirty_days_and_not_all_at_the_same_hour() {
        let noon = 1_795_867_200;
        let rooms: Vec<[u8; 16]> = (0..100_u32)
            .map(|room| {
                let mut id = [0; 16];
                id[..4].copy_from_slice(&(room * 40_000_000).to_be_bytes());
                id
            })
            .collect();
        assert!(rooms.iter().all(|room| chapter(*room, noon) + 1 == chapter(*room, noon + CHAPTER)));
        let turned = rooms.iter().filter(|room| chapter(**room, noon) != chapter(**room, noon + CHAPTER / 2));
        assert!((30..=70).contains(&turned.count()));
    }
}
