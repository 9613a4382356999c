//! The calls that a fleet makes, as the outbox keeps them.
//!
//! A call is written once, with its batch id, and is the same bytes at every try. Nothing is sent here. Surprising: what a
//! batch of messages brings about can be several calls, because a call holds 1,000 actions at most.

use jiff::Timestamp;
use musubi_domain::id::CarrierId;
use musubi_proto::carrier::v1::{
    Action, AuthenticateRequest, Authentication, Person, RegisterPersonsRequest, SubmitActionsRequest,
};
use musubi_runtime::entropy;
use musubi_storage::terminal::{Bytes, NewBatch};
use prost::Message as _;
use uuid::Uuid;

/// The most that one call holds.
const MOST: usize = 1_000;

/// One call to a carrier.
pub(crate) enum Call {
    /// Persons get their credentials.
    Register(RegisterPersonsRequest),
    /// What people did with their phones.
    Act(SubmitActionsRequest),
    /// Persons at verifiers' pages.
    Authenticate(AuthenticateRequest),
}

impl Call {
    const REGISTER: u8 = 0;
    const ACT: u8 = 1;
    const AUTHENTICATE: u8 = 2;

    /// From what the outbox kept, if it is a call.
    pub(crate) fn decode(kind: u8, request: &[u8]) -> Option<Self> {
        match kind {
            Self::REGISTER => RegisterPersonsRequest::decode(request).ok().map(Self::Register),
            Self::ACT => SubmitActionsRequest::decode(request).ok().map(Self::Act),
            Self::AUTHENTICATE => AuthenticateRequest::decode(request).ok().map(Self::Authenticate),
            _ => None,
        }
    }

    /// What people did, if it is that.
    pub(crate) fn actions(&self) -> &[Action] {
        match self {
            Self::Act(request) => &request.actions,
            Self::Register(_) | Self::Authenticate(_) => &[],
        }
    }

    /// For the log.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Register(_) => "RegisterPersons",
            Self::Act(_) => "SubmitActions",
            Self::Authenticate(_) => "Authenticate",
        }
    }
}

/// Writes one carrier's calls.
pub(crate) struct Writer<'a> {
    /// To whom.
    pub carrier: &'a CarrierId,
    /// Who calls.
    pub fleet: &'a str,
    /// The instant it is.
    pub now: Timestamp,
    /// When they are due; none: at once.
    pub due_time: Option<Timestamp>,
}

impl Writer<'_> {
    /// The calls that register these persons.
    pub(crate) fn register(&self, persons: Vec<Person>) -> Vec<NewBatch> {
        self.write(Call::REGISTER, persons, |persons| RegisterPersonsRequest { persons }.encode_to_vec())
    }

    /// The calls that submit these actions, in order.
    pub(crate) fn act(&self, actions: Vec<Action>) -> Vec<NewBatch> {
        self.write(Call::ACT, actions, |actions| {
            let request =
                SubmitActionsRequest { batch_id: self.batch_id(), fleet: self.fleet.to_owned(), actions };
            request.encode_to_vec()
        })
    }

    /// The calls that open these pages.
    pub(crate) fn authenticate(&self, authentications: Vec<Authentication>) -> Vec<NewBatch> {
        self.write(Call::AUTHENTICATE, authentications, |authentications| {
            AuthenticateRequest { batch_id: self.batch_id(), authentications }.encode_to_vec()
        })
    }

    fn write<T>(&self, kind: u8, items: Vec<T>, encode: impl Fn(Vec<T>) -> Vec<u8>) -> Vec<NewBatch> {
        let mut items = items.into_iter();
        let call = || {
            let call: Vec<T> = items.by_ref().take(MOST).collect();
            (!call.is_empty()).then_some(call)
        };
        std::iter::from_fn(call)
            .map(|call| NewBatch {
                carrier: self.carrier.clone(),
                kind,
                actions: u32::try_from(call.len()).unwrap_or(u32::MAX),
                due_time: self.due_time,
                request: Bytes(encode(call)),
            })
            .collect()
    }

    fn batch_id(&self) -> String {
        let millis = u64::try_from(self.now.as_millisecond()).unwrap_or_default();
        uuid::Builder::from_unix_timestamp_millis(millis, &entropy::bytes()).into_uuid().to_string()
    }
}

/// How long people think before they answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Thinking {
    /// At least.
    pub min: jiff::SignedDuration,
    /// At most.
    pub max: jiff::SignedDuration,
    /// Another seed, other people.
    pub seed: u64,
}

impl Thinking {
    /// Into how many steps the time is divided: who thinks equally long answers in one call.
    const STEPS: u64 = 8;

    /// When the answer to a message that came now is due; none: at once. The same message gets the same time.
    pub(crate) fn due(&self, msisdn: &str, message_id: &str, now: Timestamp) -> Option<Timestamp> {
        if self.max.is_zero() {
            return None;
        }
        let seed = Uuid::from_u64_pair(self.seed, 0);
        let drawn = Uuid::new_v5(&seed, format!("{msisdn}/{message_id}").as_bytes()).as_u64_pair().0;
        let step = i32::try_from(drawn % (Self::STEPS + 1)).unwrap_or_default();
        let spread = (self.max - self.min) * step / i32::try_from(Self::STEPS).unwrap_or(1);
        now.checked_add(self.min + spread).ok()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeSet, HashSet};

    use jiff::SignedDuration;
    use musubi_proto::carrier::v1::{Follow, action::What};

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    #[test]
    fn a_call_holds_a_thousand_actions_in_order_and_has_an_id_of_its_own() {
        let carrier = "kumo".parse().unwrap();
        let writer = Writer { carrier: &carrier, fleet: "fleet", now: at(0), due_time: None };
        let action = |n: usize| Action {
            msisdn: n.to_string(),
            official_account: "bank".to_owned(),
            what: Some(What::Follow(Follow {})),
        };
        let batches = writer.act((0..2_001).map(action).collect());
        assert_eq!(batches.iter().map(|batch| batch.actions).collect::<Vec<_>>(), [1_000, 1_000, 1]);
        let mut numbers = Vec::new();
        let mut ids = HashSet::new();
        for batch in &batches {
            let Some(Call::Act(request)) = Call::decode(batch.kind, &batch.request.0) else {
                panic!("no actions")
            };
            assert_eq!(request.fleet, "fleet");
            assert!(Uuid::try_parse(&request.batch_id).is_ok() && ids.insert(request.batch_id));
            numbers.extend(request.actions.into_iter().map(|action| action.msisdn));
        }
        assert!(numbers.into_iter().eq((0..2_001).map(|n| n.to_string())));
        assert!(writer.act(Vec::new()).is_empty());
    }

    #[test]
    fn who_does_not_think_answers_at_once() {
        let thinking = Thinking { min: SignedDuration::ZERO, max: SignedDuration::ZERO, seed: 1 };
        assert_eq!(thinking.due("+818000000001", "m", at(0)), None);
    }

    #[test]
    fn people_think_between_min_and_max_and_each_message_has_its_time() {
        let thinking =
            Thinking { min: SignedDuration::from_secs(2), max: SignedDuration::from_secs(10), seed: 1 };
        let due = |thinking: Thinking, n: i64| thinking.due(&format!("+8180000000{n}"), "m", at(0)).unwrap();
        let times: BTreeSet<_> = (10..99).map(|n| due(thinking, n)).collect();
        assert!(times.len() > 4 && times.len() <= 9, "{times:?}");
        assert!(*times.first().unwrap() >= at(2) && *times.last().unwrap() <= at(10));
        assert_eq!(due(thinking, 10), due(thinking, 10));
        assert!((10..99).any(|n| due(thinking, n) != due(Thinking { seed: 2, ..thinking }, n)));
    }
}
