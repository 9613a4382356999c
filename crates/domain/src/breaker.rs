//! When to leave a peer alone that doesn't answer.
//!
//! After some failures in a row the breaker opens: nothing is asked for a while, then one small question, and when that is
//! answered everything again. Each time it stays open longer. Surprising: an answer that says no is an answer.

use jiff::{SignedDuration, Timestamp};

use crate::backoff::full_jitter;

/// Watches one peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Breaker {
    rules: BreakerRules,
    state: State,
}

/// When a breaker opens, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerRules {
    /// It opens with so many failures in a row.
    pub failures: u32,
    /// At most how long it is open the first time; twice as long each time after it.
    pub base: SignedDuration,
    /// At most how long ever.
    pub cap: SignedDuration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The peer answers, but for so many failures in a row.
    Closed(u32),
    /// It doesn't, for the `times`th time in a row.
    Open { since: Timestamp, wait: SignedDuration, times: u32 },
}

/// What may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permit {
    /// Anything.
    Everything,
    /// One small question.
    Probe,
    /// Nothing for so long.
    Nothing(SignedDuration),
}

impl Breaker {
    /// A closed one.
    #[must_use]
    pub const fn new(rules: BreakerRules) -> Self {
        Self { rules, state: State::Closed(0) }
    }

    /// What may be asked now. When the clock was set back, a probe.
    #[must_use]
    pub fn permit(&self, now: Timestamp) -> Permit {
        match self.state {
            State::Closed(_) => Permit::Everything,
            State::Open { since, wait, .. } => {
                let passed = now.duration_since(since);
                if passed >= wait || passed.is_negative() {
                    Permit::Probe
                } else {
                    Permit::Nothing(wait - passed)
                }
            }
        }
    }

    /// The peer answered, whatever it said.
    pub const fn answered(&mut self) {
        self.state = State::Closed(0);
    }

    /// The peer didn't answer. `random` is uniform over all of `u64`. Gives whether it is open from now on, for a first or
    /// another time. What was asked before it opened and fails after it counts for nothing.
    pub fn failed(&mut self, now: Timestamp, random: u64) -> bool {
        let times = match (self.state, self.permit(now)) {
            (State::Closed(failures), _) if failures + 1 < self.rules.failures => {
                self.state = State::Closed(failures + 1);
                return false;
            }
            (State::Closed(_), _) => 1,
            (State::Open { times, .. }, Permit::Probe | Permit::Everything) => times.saturating_add(1),
            (State::Open { .. }, Permit::Nothing(_)) => return false,
        };
        let wait = full_jitter(times, self.rules.base, self.rules.cap, random);
        self.state = State::Open { since: now, wait, times };
        true
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RULES: BreakerRules =
        BreakerRules { failures: 3, base: SignedDuration::from_secs(1), cap: SignedDuration::from_secs(60) };

    /// With full jitter, nearly all of the ceiling.
    const LONGEST: u64 = 999_999;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[derive(Clone, Copy)]
    enum Step {
        Answered,
        Failed,
    }
    use Step::{Answered as A, Failed as F};

    #[test]
    fn it_opens_after_failures_in_a_row_only() {
        let table: [(&[Step], bool); 7] = [
            (&[], false),
            (&[F, F], false),
            (&[F, F, F], true),
            (&[F, F, A, F, F], false),
            (&[A, F, F, F], true),
            (&[F, F, F, F], true),
            (&[F, F, F, A], false),
        ];
        for (row, (steps, open)) in table.iter().enumerate() {
            let mut breaker = Breaker::new(RULES);
            for step in *steps {
                match step {
                    A => breaker.answered(),
                    F => drop(breaker.failed(at(0), LONGEST)),
                }
            }
            assert_eq!(breaker.permit(at(0)) != Permit::Everything, *open, "row {row}");
        }
    }

    fn opened() -> Breaker {
        let mut breaker = Breaker::new(RULES);
        assert_eq!([1, 2, 3].map(|_| breaker.failed(at(0), LONGEST)), [false, false, true]);
        breaker
    }

    #[test]
    fn while_it_is_open_nothing_goes_then_a_probe_decides() {
        let mut breaker = opened();
        assert_eq!(breaker.permit(at(0)), Permit::Nothing(SignedDuration::from_micros(999_999)));
        assert_eq!(breaker.permit(at(1)), Permit::Probe);
        assert_eq!(breaker.permit(at(1)), Permit::Probe, "a probe that finds nothing to ask is not used up");
        let mut answered = breaker;
        answered.answered();
        assert_eq!(answered, Breaker::new(RULES));
        assert!(breaker.failed(at(1), 1_999_999));
        assert_eq!(breaker.permit(at(2)), Permit::Nothing(SignedDuration::from_micros(999_999)));
        assert_eq!(breaker.permit(at(3)), Permit::Probe);
    }

    #[test]
    fn failures_of_what_was_asked_before_change_nothing() {
        let mut breaker = opened();
        let before = breaker;
        assert!(!breaker.failed(at(0), 0));
        assert_eq!(breaker, before);
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_keep_it_open() {
        let mut breaker = Breaker::new(RULES);
        for _ in 0..3 {
            breaker.failed(at(3_600), LONGEST);
        }
        assert_eq!(breaker.permit(at(0)), Permit::Probe);
    }

    proptest! {
        #[test]
        fn it_is_never_open_longer_than_its_cap(randoms in prop::collection::vec(any::<u64>(), 1..80)) {
            let mut breaker = Breaker::new(RULES);
            let mut now = at(0);
            for random in randoms {
                breaker.failed(now, random);
                if let Permit::Nothing(wait) = breaker.permit(now) {
                    prop_assert!(wait < RULES.cap);
                    now += wait;
                }
                prop_assert!(!matches!(breaker.permit(now), Permit::Nothing(_)));
            }
        }
    }
}
