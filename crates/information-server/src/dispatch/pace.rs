//! How fast each distribution may go: a bucket that fills by the clock.
//!
//! Pure but for its memory. A bucket holds at most a second's worth, so a pause is not made up for by a burst.

use std::{collections::HashMap, time::Duration};

use jiff::Timestamp;
use musubi_domain::id::DistributionId;

/// One bucket for each distribution that has a limit.
#[derive(Debug, Default)]
pub(super) struct Paces(HashMap<DistributionId, Bucket>);

#[derive(Debug)]
struct Bucket {
    /// Millionths of messages.
    level: i64,
    per_second: u32,
    filled: Timestamp,
}

const WHOLE: i64 = 1_000_000;

impl Paces {
    /// How many messages may go now, at most `batch`; they count as gone. A limit of 0 is none.
    pub(super) fn allow(&mut self, id: DistributionId, per_second: u32, batch: u32, now: Timestamp) -> u32 {
        if per_second == 0 {
            return batch;
        }
        let full = i64::from(per_second) * WHOLE;
        let bucket = self.0.entry(id).or_insert(Bucket { level: full, per_second, filled: now });
        let elapsed = now.duration_since(bucket.filled).as_micros().clamp(0, 1_000_000);
        let elapsed = i64::try_from(elapsed).unwrap_or_default();
        bucket.level = (bucket.level + elapsed * i64::from(per_second)).min(full);
        bucket.filled = now;
        let allowed = (bucket.level / WHOLE).clamp(0, i64::from(batch));
        bucket.level -= allowed * WHOLE;
        u32::try_from(allowed).unwrap_or_default()
    }

    /// How long until some bucket holds a message again.
    pub(super) fn wait(&self, now: Timestamp) -> Option<Duration> {
        self.0
            .values()
            .map(|bucket| {
                let missing = (WHOLE - bucket.level).max(0) / i64::from(bucket.per_second.max(1));
                let passed = now.duration_since(bucket.filled).as_micros().max(0);
                let left = i128::from(missing).saturating_sub(passed).max(1_000);
                Duration::from_micros(u64::try_from(left).unwrap_or(1_000))
            })
            .min()
    }

    /// Drops the buckets of distributions that run no more.
    pub(super) fn forget_all_but(&mut self, running: impl Iterator<Item = DistributionId>) {
        if !self.0.is_empty() {
            let running: Vec<_> = running.collect();
            self.0.retain(|id, _| running.contains(id));
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    #[test]
    fn a_minute_carries_a_minutes_worth() {
        let id = DistributionId::from_bytes([1; 16]);
        let mut paces = Paces::default();
        let start = Timestamp::UNIX_EPOCH;
        let sent: u32 = (0..600)
            .map(|tenth| paces.allow(id, 50, 1_000, start + SignedDuration::from_millis(100 * tenth)))
            .sum();
        // A full bucket at the start, and 50 for each second.
        assert_eq!(sent, 50 + 50 * 60 - 5);
    }

    #[test]
    fn a_pause_is_not_made_up_for() {
        let id = DistributionId::from_bytes([1; 16]);
        let mut paces = Paces::default();
        assert_eq!(paces.allow(id, 10, 1_000, Timestamp::UNIX_EPOCH), 10);
        let later = Timestamp::UNIX_EPOCH + SignedDuration::from_hours(1);
        assert_eq!(paces.allow(id, 10, 1_000, later), 10);
        assert_eq!(paces.allow(id, 10, 1_000, later), 0);
        assert!(paces.wait(later) <= Some(Duration::from_millis(100)));
    }

    #[test]
    fn no_limit_is_no_limit() {
        let mut paces = Paces::default();
        assert_eq!(paces.allow(DistributionId::from_bytes([1; 16]), 0, 1_000, Timestamp::UNIX_EPOCH), 1_000);
    }
}
