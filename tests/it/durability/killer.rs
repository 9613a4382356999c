//! Who kills: one process, at seeded moments, and starts it again at once.
//!
//! Surprising: some moments are so early that the process has not yet come back from the one before; a recovery may die, too.

use std::time::Duration;

use musubi_tests::processes::Process;
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};
use tokio::time::sleep;

/// Milliseconds from one moment to the next: long enough to work, or in the middle of the recovery.
const WORKING: (u64, u64) = (150, 900);
const RECOVERING: (u64, u64) = (5, 150);

/// Kills one process.
pub(super) struct Killer<'a> {
    process: &'a mut Process,
    chance: ChaCha8Rng,
    working: (u64, u64),
}

impl<'a> Killer<'a> {
    /// The same seed and the same process give the same moments.
    pub(super) fn new(process: &'a mut Process, seed: u64) -> Self {
        let salt = process.name().bytes().fold(seed, |salt, byte| salt.wrapping_mul(31) ^ u64::from(byte));
        Self { process, chance: ChaCha8Rng::seed_from_u64(salt), working: WORKING }
    }

    /// The same, with other milliseconds to work.
    pub(super) fn working(self, first: u64, last: u64) -> Self {
        Self { working: (first, last), ..self }
    }

    /// Kills so often.
    pub(super) async fn strike(&mut self, times: usize) {
        for _ in 0..times {
            let moment = self.next_moment();
            sleep(moment).await;
            eprintln!("{} dies after {moment:?}", self.process.name());
            self.process.kill();
            self.process.start();
        }
    }

    fn next_moment(&mut self) -> Duration {
        let (first, last) = if self.chance.next_u32().is_multiple_of(4) { RECOVERING } else { self.working };
        Duration::from_millis(first + self.chance.next_u64() % (last - first + 1))
    }
}
