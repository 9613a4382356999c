//! The arithmetic of buckets, for one process.
//!
//! Pure but for its memory; `redis/*.lua` do the same sums for many. Surprising: it counts the time
//! that has passed and not the hour, so a clock that is set back freezes nothing.

use std::{collections::HashMap, mem, time::Duration};

use jiff::Timestamp;

use super::{Bucket, Grant};

/// A message, in the millionths that a bucket counts: a message a second is a millionth in each microsecond.
const MESSAGE: i64 = 1_000_000;
/// The whole of a rate, in percent.
const WHOLE: i64 = 100;
/// A second, in microseconds: what of a pause fills a bucket.
const SECOND: i64 = 1_000_000;
/// How many buckets are remembered before those are dropped that nobody asked for lately.
const MANY: usize = 1_000;
/// How long a bucket is remembered that nobody asks for, in microseconds.
const REMEMBERED: i64 = 600 * SECOND;

/// The buckets of one process, each at this share of its rate.
#[derive(Debug)]
pub(super) struct Buckets {
    percent: i64,
    levels: HashMap<String, Level>,
    /// Microseconds that have passed since the first question.
    passed: i64,
    /// When that was last counted.
    told: Option<Timestamp>,
    /// With so many, those that nobody asks for are dropped.
    prune_at: usize,
    era: u64,
}

#[derive(Clone, Copy, Debug)]
struct Level {
    level: i64,
    /// When it had that level.
    at: i64,
    /// Until when nothing goes.
    held: i64,
}

impl Level {
    /// Fills by what has passed at this rate in hundredths of messages a second, and by what comes besides.
    fn fill(&mut self, rate: i64, besides: i64, now: i64) {
        let elapsed = (now - self.at).clamp(0, SECOND);
        // A share of a slow rate may be less than a message a second; the bucket still holds one.
        let most = (rate * MESSAGE / WHOLE).max(MESSAGE);
        self.level = (self.level + elapsed * rate / WHOLE + besides).min(most);
        self.at = now;
    }
}

impl Buckets {
    /// Empty ones. Each fills by this share of its rate.
    pub(super) fn new(percent: u8) -> Self {
        Self {
            percent: i64::from(percent),
            levels: HashMap::new(),
            passed: 0,
            told: None,
            prune_at: MANY,
            era: 0,
        }
    }

    /// As [`super::Limits::take`].
    pub(super) fn take(&mut self, buckets: &[Bucket], wanted: u32, now: Timestamp) -> Grant {
        let now = self.pass(now);
        let mut allowed = i64::from(wanted);
        let mut wait = 0;
        for Bucket { name, per_second } in buckets {
            let rate = i64::from(*per_second) * self.percent;
            let level = self.level(name, now);
            if level.held > now {
                wait = wait.max(level.held - now);
                allowed = 0;
            } else if rate > 0 {
                level.fill(rate, 0, now);
                allowed = allowed.min(level.level / MESSAGE);
            }
        }
        for Bucket { name, per_second } in buckets {
            let rate = i64::from(*per_second) * self.percent;
            let level = self.level(name, now);
            if level.held <= now && rate > 0 {
                level.level -= allowed * MESSAGE;
                let missing = (MESSAGE - level.level).max(0);
                wait = wait.max((missing * WHOLE + rate - 1) / rate);
            }
        }
        Grant { allowed: u32::try_from(allowed).unwrap_or_default(), wait: micros(wait) }
    }

    /// As [`super::Limits::give_back`].
    pub(super) fn give_back(&mut self, buckets: &[Bucket], unused: u32, now: Timestamp) {
        let now = self.pass(now);
        for Bucket { name, per_second } in buckets {
            let rate = i64::from(*per_second) * self.percent;
            let level = self.level(name, now);
            if level.held <= now && rate > 0 {
                level.fill(rate, i64::from(unused) * MESSAGE, now);
            }
        }
    }

    /// As [`super::Limits::hold`].
    pub(super) fn hold(&mut self, name: &str, how_long: Duration, now: Timestamp) {
        let now = self.pass(now);
        let held = now.saturating_add(i64::try_from(how_long.as_micros()).unwrap_or(i64::MAX));
        let level = self.level(name, now);
        if held > level.held {
            *level = Level { level: 0, at: held, held };
        }
    }

    /// Empties every bucket, once for each era; holds stand.
    pub(super) fn begin(&mut self, era: u64, now: Timestamp) {
        if mem::replace(&mut self.era, era) == era {
            return;
        }
        let now = self.pass(now);
        for level in self.levels.values_mut() {
            *level = Level { level: 0, at: level.at.max(now), held: level.held };
        }
    }

    fn level(&mut self, name: &str, now: i64) -> &mut Level {
        if self.levels.len() >= self.prune_at {
            self.levels.retain(|_, level| now - level.at < REMEMBERED);
            self.prune_at = MANY.max(2 * self.levels.len());
        }
        self.levels.entry(name.to_owned()).or_insert(Level { level: 0, at: now, held: 0 })
    }

    /// Counts what has passed; a clock that was set back has not moved.
    fn pass(&mut self, now: Timestamp) -> i64 {
        let since = self.told.map_or(0, |told| now.duration_since(told).as_micros().max(0));
        self.told = Some(now);
        self.passed = self.passed.saturating_add(i64::try_from(since).unwrap_or(i64::MAX));
        self.passed
    }
}

fn micros(count: i64) -> Duration {
    Duration::from_micros(u64::try_from(count).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_millis(millis)
    }

    fn one(name: &str, per_second: u32) -> [Bucket; 1] {
        [Bucket { name: name.to_owned(), per_second }]
    }

    fn sent(buckets: &mut Buckets, per_second: u32, millis: impl Iterator<Item = i64>) -> u32 {
        millis.map(|millis| buckets.take(&one("a", per_second), 1_000, at(millis)).allowed).sum()
    }

    #[test]
    fn a_minute_carries_a_minutes_worth_of_its_share() {
        for (percent, per_second, carried) in [(100, 50, 3_000), (50, 50, 1_500), (50, 1, 30), (1, 7, 4)] {
            let mut buckets = Buckets::new(percent);
            let sent = sent(&mut buckets, per_second, (0..=600).map(|tenth| 100 * tenth));
            assert_eq!(sent, carried, "{percent} % of {per_second}");
        }
    }

    #[test]
    fn the_largest_rate_is_no_overflow() {
        let mut buckets = Buckets::new(100);
        buckets.take(&one("a", u32::MAX), 0, at(0));
        assert_eq!(buckets.take(&one("a", u32::MAX), u32::MAX, at(90_000)).allowed, u32::MAX);
        buckets.hold("a", Duration::MAX, at(90_000));
        assert_eq!(buckets.take(&one("a", 1), 1, at(100_000)).allowed, 0);
    }

    #[test]
    fn a_clock_that_is_set_back_neither_freezes_nor_fills() {
        let mut buckets = Buckets::new(100);
        assert_eq!(sent(&mut buckets, 10, [3_600_000, 3_600_200].into_iter()), 2);
        assert_eq!(sent(&mut buckets, 10, [0].into_iter()), 0);
        assert_eq!(sent(&mut buckets, 10, [200].into_iter()), 2);
        buckets.hold("a", Duration::from_secs(1), at(10_000));
        assert_eq!(sent(&mut buckets, 10, [0, 999, 1_000, 1_100].into_iter()), 1);
    }

    #[test]
    fn an_era_begins_once_with_empty_buckets_and_keeps_holds() {
        let mut buckets = Buckets::new(100);
        buckets.take(&one("a", 10), 0, at(0));
        buckets.hold("b", Duration::from_secs(9), at(0));
        buckets.begin(1, at(2_000));
        assert_eq!(buckets.take(&one("a", 10), 10, at(2_000)).allowed, 0);
        buckets.begin(1, at(3_000));
        assert_eq!(buckets.take(&one("a", 10), 99, at(3_000)).allowed, 10);
        assert_eq!(buckets.take(&one("b", 0), 1, at(8_999)).allowed, 0);
        assert_eq!(buckets.take(&one("b", 0), 1, at(9_000)).allowed, 1);
    }

    #[test]
    fn buckets_that_nobody_asks_for_are_forgotten_but_for_holds() {
        let mut buckets = Buckets::new(100);
        buckets.hold("held", Duration::from_secs(7_200), at(0));
        for name in 0..5_000 {
            buckets.take(&one(&name.to_string(), 10), 1, at(name * 1_000));
        }
        assert!(buckets.levels.len() < 2 * MANY, "{}", buckets.levels.len());
        assert_eq!(buckets.take(&one("held", 0), 1, at(5_000_000)).allowed, 0);
    }
}
