//! What goes wrong with the RBM face on purpose: pure choices from a seed, off by default.
//!
//! Nothing here waits, answers or posts. Surprising: an event that is lost is one that its webhook never hears of, as happens, and a
//! receiver has to live with it.

use std::time::Duration;

use musubi_runtime::config::duration;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Deserializer, de};

/// `[rbm.faults]`; `config.default.toml` says what each key means.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RbmFaults {
    pub seed: u64,
    #[serde(deserialize_with = "share")]
    pub throttled: f64,
    #[serde(deserialize_with = "share")]
    pub failed: f64,
    #[serde(deserialize_with = "share")]
    pub lost_answers: f64,
    #[serde(with = "duration")]
    pub latency_max: Duration,
    #[serde(deserialize_with = "share")]
    pub lost_events: f64,
    #[serde(deserialize_with = "share")]
    pub repeated_events: f64,
    #[serde(deserialize_with = "share")]
    pub failed_revocations: f64,
}

impl Default for RbmFaults {
    fn default() -> Self {
        Self {
            seed: 1,
            throttled: 0.0,
            failed: 0.0,
            lost_answers: 0.0,
            latency_max: Duration::ZERO,
            lost_events: 0.0,
            repeated_events: 0.0,
            failed_revocations: 0.0,
        }
    }
}

fn share<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let share = f64::deserialize(deserializer)?;
    if (0.0..=1.0).contains(&share) {
        return Ok(share);
    }
    Err(de::Error::custom("it is no share; write a number from 0 to 1"))
}

/// What goes wrong with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallFault {
    /// 429, before anything was done.
    Throttled,
    /// 503, before anything was done.
    Failed,
    /// 503, after all was done.
    LostAnswer,
}

/// What goes wrong with an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EventFault {
    /// It is never told.
    Lost,
    /// It is told twice.
    Repeated,
}

/// The choices. Calls and events draw from streams of their own.
pub(crate) struct Choices {
    config: RbmFaults,
    calls: ChaCha8Rng,
}

impl Choices {
    pub(crate) fn new(config: &RbmFaults) -> Self {
        Self { config: config.clone(), calls: ChaCha8Rng::seed_from_u64(config.seed) }
    }

    /// How long the next call is held back, and what goes wrong with it.
    pub(crate) fn call(&mut self) -> (Duration, Option<CallFault>) {
        let RbmFaults { throttled, failed, lost_answers, latency_max, .. } = self.config;
        // All are drawn every time, so that one share doesn't shift the choices of another.
        let latency = latency_max.mul_f64(self.calls.random::<f64>());
        let draws = [throttled, failed, lost_answers].map(|share| self.calls.random_bool(share));
        let fault = match draws {
            [true, ..] => Some(CallFault::Throttled),
            [_, true, _] => Some(CallFault::Failed),
            [.., true] => Some(CallFault::LostAnswer),
            [false, false, false] => None,
        };
        (latency, fault)
    }
}

/// What goes wrong with an event, and whether the end of a message that expires is not known. By its id alone, so that a restart
/// changes nothing.
pub(crate) fn event(config: &RbmFaults, id: &[u8; 16]) -> (Option<EventFault>, bool) {
    let mut key = [0; 32];
    key[..16].copy_from_slice(id);
    key[16..24].copy_from_slice(&config.seed.to_le_bytes());
    let mut random = ChaCha8Rng::from_seed(key);
    let [lost, repeated, failed] = [config.lost_events, config.repeated_events, config.failed_revocations]
        .map(|share| random.random_bool(share));
    let fault = match (lost, repeated) {
        (true, _) => Some(EventFault::Lost),
        (false, true) => Some(EventFault::Repeated),
        (false, false) => None,
    };
    (fault, failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_goes_wrong_by_default() {
        let mut choices = Choices::new(&RbmFaults::default());
        for id in 0..100 {
            assert_eq!(choices.call(), (Duration::ZERO, None));
            assert_eq!(event(&RbmFaults::default(), &[id; 16]), (None, false));
        }
    }

    #[test]
    fn shares_are_kept_and_the_same_seed_makes_the_same_choices() {
        let config = RbmFaults {
            throttled: 0.2,
            failed: 0.2,
            lost_answers: 0.2,
            latency_max: Duration::from_secs(1),
            lost_events: 0.3,
            repeated_events: 0.3,
            failed_revocations: 1.0,
            ..RbmFaults::default()
        };
        let draw = || {
            let mut choices = Choices::new(&config);
            (0..400).map(|_| choices.call()).collect::<Vec<_>>()
        };
        let drawn = draw();
        assert_eq!(drawn, draw());
        for fault in [CallFault::Throttled, CallFault::Failed, CallFault::LostAnswer] {
            let count = drawn.iter().filter(|(_, drawn)| *drawn == Some(fault)).count();
            assert!((30..130).contains(&count), "{fault:?} {count} of 400");
        }
        assert!(drawn.iter().all(|(latency, _)| *latency <= Duration::from_secs(1)));
        let events: Vec<_> = (0..=255).map(|id| event(&config, &[id; 16])).collect();
        assert!(events.iter().all(|(_, failed)| *failed));
        for fault in [EventFault::Lost, EventFault::Repeated] {
            assert!((20..130).contains(&events.iter().filter(|(drawn, _)| *drawn == Some(fault)).count()));
        }
    }

    #[test]
    fn a_share_is_from_nothing_to_all() {
        for (share, good) in [("0", true), ("1.0", true), ("-0.1", false), ("1.5", false), ("null", false)] {
            let read: Result<RbmFaults, _> = serde_json::from_str(&format!("{{\"lost_events\":{share}}}"));
            assert_eq!(read.is_ok(), good, "{share}");
        }
    }
}
