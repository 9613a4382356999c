//! How long to wait before the next attempt.

use jiff::SignedDuration;

/// Exponential with full jitter: the `attempt`th failure (from 1) waits between nothing and `base * 2^(attempt-1)`, at most `cap`.
/// `random` is uniform over all of `u64`.
#[must_use]
pub fn full_jitter(attempt: u32, base: SignedDuration, cap: SignedDuration, random: u64) -> SignedDuration {
    let factor = 1_i64.checked_shl(attempt.saturating_sub(1).min(40)).unwrap_or(i64::MAX);
    let ceiling =
        u64::try_from(base.as_micros().saturating_mul(i128::from(factor)).min(cap.as_micros()).max(1))
            .unwrap_or(u64::MAX);
    SignedDuration::from_micros(i64::try_from(random % ceiling).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn stays_within_its_ceiling(attempt in 0..1000_u32, random: u64) {
            let (base, cap) = (SignedDuration::from_millis(200), SignedDuration::from_secs(60));
            let wait = full_jitter(attempt, base, cap, random);
            prop_assert!(wait >= SignedDuration::ZERO && wait < cap);
            if attempt <= 1 { prop_assert!(wait < base); }
        }
    }
}
