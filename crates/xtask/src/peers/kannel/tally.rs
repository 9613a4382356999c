//! Which of so many numbered messages have come. Each counts once, however often it comes.

use std::sync::atomic::{AtomicU64, Ordering};

/// A bit for each message.
pub(super) struct Tally {
    bits: Vec<AtomicU64>,
    size: u64,
    count: AtomicU64,
}

impl Tally {
    /// Of messages 0 to `size`, of which none has come.
    pub(super) fn new(size: u64) -> Self {
        let words = (0..size.div_ceil(64)).map(|_| AtomicU64::default());
        Self { bits: words.collect(), size, count: AtomicU64::default() }
    }

    /// This one has come.
    ///
    /// # Errors
    ///
    /// When there is none of this number.
    pub(super) fn mark(&self, number: u64) -> anyhow::Result<()> {
        anyhow::ensure!(number < self.size, "message {number} came, and there are {}", self.size);
        let bit = 1 << (number % 64);
        let before = self.bits[(number / 64) as usize].fetch_or(bit, Ordering::Relaxed);
        if before & bit == 0 {
            self.count.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    /// How many have come.
    pub(super) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Whether all have.
    pub(super) fn is_full(&self) -> bool {
        self.count() == self.size
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_counts_once_and_strangers_are_refused() {
        let tally = Tally::new(65);
        for number in [0, 64, 64, 0, 63] {
            tally.mark(number).unwrap();
        }
        assert_eq!(tally.count(), 3);
        assert!(tally.mark(65).is_err());
        (0..65).for_each(|number| tally.mark(number).unwrap());
        assert!(tally.is_full());
    }
}
