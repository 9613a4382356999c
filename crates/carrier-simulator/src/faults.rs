//! What goes wrong on purpose: pure choices from a seed, off by default.
//!
//! Each user draws from a stream of its own, so the choices of one don't shift those of another. Nothing here waits, sends or
//! stores. Surprising: whether a message is refused depends on its id alone, because a carrier that refuses for good refuses
//! again.

use std::time::Duration;

use musubi_domain::{Error, id::MessageId};
use musubi_proto::information::v1::{CarrierEvent, carrier_event::What};
use musubi_runtime::config::duration;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde::Deserialize;

/// The `[faults]` section; `config.default.toml` says what each key means.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "said once, beside the defaults")]
pub struct FaultsConfig {
    pub seed: u64,
    #[serde(with = "duration")]
    pub push_delay_min: Duration,
    #[serde(with = "duration")]
    pub push_delay_max: Duration,
    pub lost_pushes: f64,
    pub lost_push_answers: f64,
    pub lost_sends: f64,
    pub lost_send_answers: f64,
    pub duplicated_events: f64,
    pub reorder_window: u32,
    pub refused_messages: f64,
    pub throttled_messages: f64,
    #[serde(with = "duration")]
    pub retry_after: Duration,
}

impl FaultsConfig {
    pub(crate) fn check(&self) -> Result<(), Error> {
        let shares = [
            ("lost_pushes", self.lost_pushes),
            ("lost_push_answers", self.lost_push_answers),
            ("lost_sends", self.lost_sends),
            ("lost_send_answers", self.lost_send_answers),
            ("duplicated_events", self.duplicated_events),
            ("refused_messages", self.refused_messages),
            ("throttled_messages", self.throttled_messages),
        ];
        if let Some((key, _)) = shares.iter().find(|(_, share)| !(0.0..=1.0).contains(share)) {
            return Err(Error::invalid(format!("faults.{key}"), "is no share", "write a number from 0 to 1"));
        }
        if self.push_delay_min > self.push_delay_max {
            let remedy = "make push_delay_max at least push_delay_min";
            return Err(Error::invalid("faults.push_delay_max", "is less than push_delay_min", remedy));
        }
        Ok(())
    }

    fn stream(&self, stream: u64) -> ChaCha8Rng {
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        random.set_stream(stream);
        random
    }
}

/// How a call gets lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lost {
    /// Before it had any effect.
    Call,
    /// After it had all of them.
    Answer,
}

fn lost(random: &mut ChaCha8Rng, calls: f64, answers: f64) -> Option<Lost> {
    // Both are drawn every time, so that one share doesn't shift the choices of the other.
    let (call, answer) = (random.random_bool(calls), random.random_bool(answers));
    if call { Some(Lost::Call) } else { answer.then_some(Lost::Answer) }
}

/// What goes wrong with pushes to the information server.
pub(crate) struct PushFaults {
    config: FaultsConfig,
    calls: ChaCha8Rng,
    events: ChaCha8Rng,
}

impl PushFaults {
    /// `stream` is one of the pusher's own.
    pub(crate) fn new(config: &FaultsConfig, stream: u64) -> Self {
        let (calls, events) = (config.stream(2 * stream), config.stream(2 * stream + 1));
        Self { config: config.clone(), calls, events }
    }

    /// How long the next push is held back, and whether it gets lost.
    pub(crate) fn push(&mut self) -> (Duration, Option<Lost>) {
        let FaultsConfig { push_delay_min, push_delay_max, lost_pushes, lost_push_answers, .. } = self.config;
        let delay = push_delay_min + (push_delay_max - push_delay_min).mul_f64(self.calls.random::<f64>());
        (delay, lost(&mut self.calls, lost_pushes, lost_push_answers))
    }

    /// Lets receipts come late, and says which events are to be pushed again after these.
    pub(crate) fn disturb(&mut self, events: Vec<CarrierEvent>) -> (Vec<CarrierEvent>, Vec<CarrierEvent>) {
        let FaultsConfig { duplicated_events, reorder_window, .. } = self.config;
        if duplicated_events == 0.0 && reorder_window == 0 {
            return (events, Vec::new());
        }
        let mut again = Vec::new();
        let mut places = Vec::with_capacity(events.len());
        for (place, event) in (0_u64..).zip(events) {
            if self.events.random_bool(duplicated_events) {
                again.push(event.clone());
            }
            let late = u64::from(self.events.random_range(0..=reorder_window));
            let may_be_late = matches!(event.what, Some(What::Receipt(_)));
            // Half a place more, to come after the event that stands there.
            places.push((2 * place + if may_be_late && late > 0 { 2 * late + 1 } else { 0 }, event));
        }
        places.sort_by_key(|(place, _)| *place);
        (places.into_iter().map(|(_, event)| event).collect(), again)
    }
}

/// What goes wrong with messages that are sent.
pub(crate) struct SendFaults {
    config: FaultsConfig,
    calls: ChaCha8Rng,
    messages: ChaCha8Rng,
}

/// What goes wrong with one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MessageFault {
    /// Refused for good.
    Refused,
    /// Not now, but after this time.
    Throttled(Duration),
}

impl SendFaults {
    pub(crate) fn new(config: &FaultsConfig) -> Self {
        Self { config: config.clone(), calls: config.stream(0), messages: config.stream(1) }
    }

    /// Whether the next call gets lost.
    pub(crate) fn call(&mut self) -> Option<Lost> {
        lost(&mut self.calls, self.config.lost_sends, self.config.lost_send_answers)
    }

    /// What goes wrong with the next message.
    pub(crate) fn message(&mut self, id: MessageId) -> Option<MessageFault> {
        let FaultsConfig { seed, refused_messages, throttled_messages, retry_after, .. } = self.config;
        if refused_messages > 0.0 {
            let mut key = [0; 32];
            key[..16].copy_from_slice(id.as_bytes());
            key[16..24].copy_from_slice(&seed.to_le_bytes());
            if ChaCha8Rng::from_seed(key).random_bool(refused_messages) {
                return Some(MessageFault::Refused);
            }
        }
        self.messages.random_bool(throttled_messages).then_some(MessageFault::Throttled(retry_after))
    }
}

#[cfg(test)]
mod tests {
    use musubi_proto::information::v1::{Followed, Receipt};

    use super::*;

    fn off() -> FaultsConfig {
        let folder = tempfile::tempdir().unwrap();
        crate::config::tests::example(folder.path()).faults
    }

    fn id(last: u8) -> MessageId {
        MessageId::from_bytes([last; 16])
    }

    fn events(count: u32, what: fn() -> What) -> Vec<CarrierEvent> {
        let event =
            |id: u32| CarrierEvent { event_id: id.to_string(), what: Some(what()), ..Default::default() };
        (0..count).map(event).collect()
    }

    fn ids(events: &[CarrierEvent]) -> Vec<u32> {
        events.iter().map(|event| event.event_id.parse().unwrap()).collect()
    }

    #[test]
    fn nothing_goes_wrong_by_default() {
        let (mut send, mut push) = (SendFaults::new(&off()), PushFaults::new(&off(), 1));
        for last in 0..100 {
            assert_eq!(send.call(), None);
            assert_eq!(send.message(id(last)), None);
            assert_eq!(push.push(), (Duration::ZERO, None));
        }
        let (same, again) = push.disturb(events(100, || What::Receipt(Receipt::default())));
        assert_eq!((ids(&same), again.len()), ((0..100).collect(), 0));
    }

    #[test]
    fn the_same_seed_makes_the_same_choices_and_another_others() {
        let config =
            FaultsConfig { lost_sends: 0.3, lost_send_answers: 0.3, throttled_messages: 0.5, ..off() };
        let choices = |config: &FaultsConfig| {
            let mut faults = SendFaults::new(config);
            (0..200).map(|last| (faults.call(), faults.message(id(last)))).collect::<Vec<_>>()
        };
        assert_eq!(choices(&config), choices(&config));
        assert_ne!(choices(&config), choices(&FaultsConfig { seed: 2, ..config.clone() }));
    }

    #[test]
    fn shares_are_kept() {
        let config = FaultsConfig { refused_messages: 0.2, lost_pushes: 1.0, ..off() };
        let mut send = SendFaults::new(&config);
        let refused = (0..=255).filter(|last| send.message(id(*last)) == Some(MessageFault::Refused)).count();
        assert!((30..75).contains(&refused), "{refused} of 256");
        assert_eq!(PushFaults::new(&config, 1).push().1, Some(Lost::Call));
        let config = FaultsConfig { lost_push_answers: 1.0, ..off() };
        assert_eq!(PushFaults::new(&config, 1).push().1, Some(Lost::Answer));
    }

    #[test]
    fn a_message_that_was_refused_is_refused_again() {
        let mut send = SendFaults::new(&FaultsConfig { refused_messages: 0.5, ..off() });
        for last in 0..100 {
            assert_eq!(send.message(id(last)), send.message(id(last)));
        }
    }

    #[test]
    fn delays_stay_between_their_bounds() {
        let (least, most) = (Duration::from_millis(5), Duration::from_millis(9));
        let mut push =
            PushFaults::new(&FaultsConfig { push_delay_min: least, push_delay_max: most, ..off() }, 1);
        let delays: Vec<_> = (0..100).map(|_| push.push().0).collect();
        assert!(delays.iter().all(|delay| (least..=most).contains(delay)));
        assert!(delays.windows(2).any(|pair| pair[0] != pair[1]));
    }

    #[test]
    fn receipts_come_late_within_the_window_and_nothing_else_moves() {
        let config = FaultsConfig { reorder_window: 5, ..off() };
        let mut push = PushFaults::new(&config, 1);
        let (late, _) = push.disturb(events(500, || What::Receipt(Receipt::default())));
        let late = ids(&late);
        assert!(late.windows(2).any(|pair| pair[0] > pair[1]));
        for (place, id) in (0_u32..).zip(&late) {
            assert!(place.abs_diff(*id) <= 5, "{id} came at {place}");
        }
        let (kept, _) = push.disturb(events(500, || What::Followed(Followed {})));
        assert_eq!(ids(&kept), (0..500).collect::<Vec<_>>());
    }

    #[test]
    fn duplicates_come_again_later() {
        let mut push = PushFaults::new(&FaultsConfig { duplicated_events: 0.5, ..off() }, 1);
        let (all, again) = push.disturb(events(100, || What::Followed(Followed {})));
        assert_eq!(ids(&all), (0..100).collect::<Vec<_>>());
        assert!((20..80).contains(&again.len()));
        assert!(ids(&again).is_sorted());
    }

    #[test]
    fn a_wrong_setting_is_refused_by_its_key() {
        let second = Duration::from_secs(1);
        for (config, key) in [
            (FaultsConfig { lost_pushes: 1.1, ..off() }, "faults.lost_pushes"),
            (FaultsConfig { refused_messages: f64::NAN, ..off() }, "faults.refused_messages"),
            (FaultsConfig { throttled_messages: -0.1, ..off() }, "faults.throttled_messages"),
            (FaultsConfig { push_delay_min: second, ..off() }, "faults.push_delay_max"),
        ] {
            assert_eq!(config.check().unwrap_err().field, key);
        }
    }
}
