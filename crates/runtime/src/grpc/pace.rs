//! How often each caller may call: so many times a second, and as many at once, whatever a call carries.
//!
//! A batch of a thousand is one call, a stream is one. Surprising: of a caller one instant is kept, that at which all its calls so far would be over, were each
//! to take its share of a second (GCRA); nothing has to be filled up as time goes by, and asking too early makes no wait longer.

use std::{
    collections::HashMap,
    ops::RangeInclusive,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use musubi_domain::{
    Error,
    caller::{Caller, CallerKind},
};
use serde::Deserialize;

use crate::config::duration;

/// How far the calls of a caller may run ahead of time.
const AHEAD: Duration = Duration::from_secs(1);
/// How often a second one may be let call, at least and at most.
const RATES: RangeInclusive<u32> = 10..=1_000_000;
/// How often counts of refused calls may be written down.
const EVERY: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(3600);
/// Callers that are kept; of more, those are forgotten whose calls are over.
const MOST: usize = 16 * 1024;

/// `[calls]`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallsConfig {
    /// Of another node.
    pub node_per_second: u32,
    /// Of a person or a machine; of all together who are not known yet.
    pub person_per_second: u32,
    /// Between two times that the audit is told how many calls were refused.
    #[serde(with = "duration")]
    pub refusals_every: Duration,
}

impl CallsConfig {
    /// Checks the bounds.
    ///
    /// # Errors
    /// Names the key.
    pub fn check(&self) -> Result<(), Error> {
        let rates = [
            ("calls.node_per_second", self.node_per_second),
            ("calls.person_per_second", self.person_per_second),
        ];
        if let Some((key, _)) = rates.into_iter().find(|(_, rate)| !RATES.contains(rate)) {
            return Err(Error::invalid(
                key,
                "is less than 10 or more than 1000000",
                "write a number between",
            ));
        }
        match EVERY.contains(&self.refusals_every) {
            true => Ok(()),
            false => {
                Err(Error::invalid("calls.refusals_every", "is too short or too long", "write 1s to 1h"))
            }
        }
    }

    /// What a call of such a caller takes of a second.
    fn share(&self, kind: CallerKind) -> Duration {
        let rate = match kind {
            CallerKind::Company | CallerKind::Carrier | CallerKind::Information | CallerKind::Terminal => {
                self.node_per_second
            }
            CallerKind::Operator | CallerKind::Machine | CallerKind::Anybody => self.person_per_second,
        };
        Duration::from_secs(1) / rate.max(1)
    }
}

/// Who has called how often.
#[derive(Debug)]
pub(super) struct Pace {
    config: CallsConfig,
    /// When the calls of each are over.
    over: Mutex<HashMap<Caller, Instant>>,
}

impl Pace {
    pub(super) fn new(config: CallsConfig) -> Self {
        Self { config, over: Mutex::default() }
    }

    /// Counts a call of this caller.
    ///
    /// # Errors
    /// How long it comes too early; then it isn't counted.
    pub(super) fn take(&self, caller: &Caller, now: Instant) -> Result<(), Duration> {
        let share = self.config.share(caller.kind());
        let mut over = self.over.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = over.get_mut(caller) {
            *kept = next(*kept, now, share)?;
            return Ok(());
        }
        if over.len() >= MOST {
            over.retain(|_, over| *over > now);
        }
        over.insert(caller.clone(), now + share);
        Ok(())
    }
}

/// When all calls are over with one more that begins now; else how long that has to wait.
fn next(over: Instant, now: Instant, share: Duration) -> Result<Instant, Duration> {
    let after = over.max(now) + share;
    match after.saturating_duration_since(now).checked_sub(AHEAD) {
        Some(wait) if !wait.is_zero() => Err(wait),
        Some(_) | None => Ok(after),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: CallsConfig =
        CallsConfig { node_per_second: 10, person_per_second: 20, refusals_every: Duration::from_secs(60) };

    #[test]
    fn a_caller_has_its_calls_of_a_second_at_once_and_then_one_after_the_other() {
        let pace = Pace::new(CONFIG);
        let [bank, gas, person] = ["company/bank", "company/gas", "company/bank/operator/sato"]
            .map(|caller| caller.parse::<Caller>().unwrap());
        let begin = Instant::now();
        let at = |millis| begin + Duration::from_millis(millis);
        let taken =
            |caller: &Caller, millis| (0..100).filter(|_| pace.take(caller, at(millis)).is_ok()).count();
        assert_eq!((taken(&bank, 0), taken(&person, 0)), (10, 20));
        assert_eq!(pace.take(&bank, at(0)), Err(Duration::from_millis(100)));
        assert_eq!(pace.take(&bank, at(40)), Err(Duration::from_millis(60)), "asking makes no wait longer");
        assert_eq!((taken(&bank, 100), taken(&bank, 450), taken(&gas, 450)), (1, 3, 10));
        assert_eq!(taken(&bank, 60_000), 10, "nothing is saved up");
    }

    #[test]
    fn of_more_callers_than_are_kept_those_are_forgotten_who_call_no_more() {
        let pace = Pace::new(CONFIG);
        let begin = Instant::now();
        for count in 0..MOST + 10 {
            let caller = format!("company/c{count}").parse().unwrap();
            assert_eq!(pace.take(&caller, begin), Ok(()));
        }
        assert_eq!(pace.over.lock().unwrap().len(), MOST + 10, "whoever calls now is kept");
        pace.take(&Caller::Information, begin + Duration::from_secs(1)).unwrap();
        assert_eq!(pace.over.lock().unwrap().len(), 1);
    }

    #[test]
    fn rates_and_times_have_bounds() {
        assert_eq!(CONFIG.check(), Ok(()));
        for (wrong, key) in [
            (CallsConfig { node_per_second: 9, ..CONFIG }, "calls.node_per_second"),
            (CallsConfig { person_per_second: 1_000_001, ..CONFIG }, "calls.person_per_second"),
            (CallsConfig { refusals_every: Duration::ZERO, ..CONFIG }, "calls.refusals_every"),
        ] {
            assert_eq!(wrong.check().unwrap_err().field, key);
        }
    }
}
