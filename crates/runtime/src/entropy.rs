//! Randomness: the only source of it in a process.
//!
//! Rules take their randomness as an argument. It is the thread's generator, seeded by the operating system and fit for keys
//! and tokens.

/// `N` bytes that nobody can guess.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the one place that draws randomness")]
pub fn bytes<const N: usize>() -> [u8; N] {
    rand::random()
}

/// A number over the whole range, for jitter.
#[must_use]
pub fn number() -> u64 {
    u64::from_le_bytes(bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_draws_differ() {
        assert_ne!(bytes::<32>(), bytes::<32>());
    }
}
