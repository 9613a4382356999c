//! Calling again what may succeed the second time.
//!
//! Only for calls that are safe to repeat; every RPC says in its comment whether it is. Surprising: the wait is drawn from zero
//! up to the bound ("full jitter"), not around it, so that callers that failed together don't come back together.

use std::{future::Future, time::Duration};

use tonic::{Code, Status};
use tracing::warn;

use crate::{Shutdown, entropy};

/// How long to wait between tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The bound of the first wait; it doubles each time.
    pub first: Duration,
    /// The bound's bound.
    pub cap: Duration,
    /// How many tries in all; `None` until the shutdown begins.
    pub tries: Option<u32>,
}

impl Default for Backoff {
    /// From 100 ms to 10 s, until the shutdown begins.
    fn default() -> Self {
        Self { first: Duration::from_millis(100), cap: Duration::from_secs(10), tries: None }
    }
}

impl Backoff {
    /// The same, with so many tries in all.
    #[must_use]
    pub const fn tries(self, tries: u32) -> Self {
        Self { tries: Some(tries), ..self }
    }

    /// The wait after `failures` failures in a row, from 1: from nothing up to the bound, as `random` says.
    #[must_use]
    pub fn wait(&self, failures: u32, random: u64) -> Duration {
        let doubled = 2_u32.saturating_pow(failures.saturating_sub(1));
        let bound = self.first.saturating_mul(doubled).min(self.cap);
        let nanos = bound.as_nanos().saturating_mul(u128::from(random)) >> 64;
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

/// Calls until it succeeds, fails for good, the tries are used up, or `shutdown` begins; then gives the last outcome.
/// UNAVAILABLE, DEADLINE_EXCEEDED and RESOURCE_EXHAUSTED are tried again, nothing else. `name` stands in the log.
///
/// # Errors
/// The last try's status.
pub async fn with_retry<T, F: Future<Output = Result<T, Status>>>(
    name: &str,
    backoff: Backoff,
    shutdown: &Shutdown,
    mut call: impl FnMut() -> F,
) -> Result<T, Status> {
    let mut failures = 0_u32;
    loop {
        let status = match call().await {
            Ok(answer) => return Ok(answer),
            Err(status) => status,
        };
        failures = failures.saturating_add(1);
        if !passes(status.code()) || backoff.tries.is_some_and(|tries| failures >= tries) {
            return Err(status);
        }
        let wait = backoff.wait(failures, entropy::number());
        warn!(code = ?status.code(), failures, "{name} failed: {}; again in {wait:?}", status.message());
        if shutdown.token().run_until_cancelled(tokio::time::sleep(wait)).await.is_none() {
            return Err(status);
        }
    }
}

/// Whether a failure of this code passes by itself.
#[must_use]
pub const fn passes(code: Code) -> bool {
    matches!(code, Code::Unavailable | Code::DeadlineExceeded | Code::ResourceExhausted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wait_doubles_up_to_the_cap_and_is_drawn_from_nothing_upward() {
        let backoff = Backoff { first: Duration::from_millis(100), cap: Duration::from_secs(1), tries: None };
        for (failures, millis) in
            [(1, 100), (2, 200), (3, 400), (4, 800), (5, 1000), (60, 1000), (u32::MAX, 1000)]
        {
            let bound = Duration::from_millis(millis);
            assert_eq!(backoff.wait(failures, 0), Duration::ZERO);
            assert_eq!(backoff.wait(failures, 1 << 63), bound / 2);
            let most = backoff.wait(failures, u64::MAX);
            assert!(most < bound && most > bound.mul_f64(0.99), "{most:?}");
        }
    }
}
