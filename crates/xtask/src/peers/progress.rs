//! How far a measurement is, a line every few seconds: on a terminal and in a log alike.

use std::time::{Duration, Instant};

use super::verdict::thousands;

const EVERY: Duration = Duration::from_secs(5);

/// Of so many.
pub(super) struct Progress {
    what: &'static str,
    size: u64,
    begun: Instant,
    told: Instant,
}

impl Progress {
    /// Begins now.
    pub(super) fn begin(what: &'static str, size: u64) -> Self {
        let now = Instant::now();
        Self { what, size, begun: now, told: now }
    }

    /// So far.
    pub(super) fn at(&mut self, count: u64) {
        if self.told.elapsed() < EVERY {
            return;
        }
        self.told = Instant::now();
        let rate = count as f64 / self.begun.elapsed().as_secs_f64();
        eprintln!(
            "  {} of {} {}, {}/s",
            thousands(count),
            thousands(self.size),
            self.what,
            thousands(rate as u64)
        );
    }
}
