//! Seeded chance: the only source of it in a population.
//!
//! Everything is drawn as a `u32` or `u64` from ChaCha8 and scaled here, so that neither the width of a machine's
//! words nor a new release of a sampling library changes a population.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// A stream of draws.
pub(super) struct Draw(ChaCha8Rng);

impl Draw {
    pub(super) fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// A number below `bound`, or 0 if that is 0.
    pub(super) fn below(&mut self, bound: u32) -> u32 {
        let scaled = (u64::from(self.0.next_u32()) * u64::from(bound)) >> 32;
        u32::try_from(scaled).unwrap_or_default()
    }

    /// A number below `bound`, or 0 if that is 0.
    pub(super) fn below_u64(&mut self, bound: u64) -> u64 {
        let scaled = (u128::from(self.0.next_u64()) * u128::from(bound)) >> 64;
        u64::try_from(scaled).unwrap_or_default()
    }

    /// From `first` to `last`, both included.
    pub(super) fn between(&mut self, first: u32, last: u32) -> u32 {
        first + self.below(last.saturating_sub(first) + 1)
    }

    /// True in so many of a thousand draws.
    pub(super) fn chance(&mut self, per_mille: u32) -> bool {
        self.below(1000) < per_mille
    }

    /// A place in a list of `length`.
    pub(super) fn index(&mut self, length: usize) -> usize {
        self.below(u32::try_from(length).unwrap_or(u32::MAX)) as usize
    }

    /// One of a list that isn't empty.
    pub(super) fn pick<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.index(list.len())]
    }

    /// Puts a list in any order (Fisher and Yates).
    pub(super) fn shuffle<T>(&mut self, list: &mut [T]) {
        for last in (1..list.len()).rev() {
            list.swap(last, self.index(last + 1));
        }
    }
}
