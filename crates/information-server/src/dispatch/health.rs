//! Whether a carrier answers: its circuit breaker, with a clock, chance and a word for the operator.
//!
//! Surprising: a refusal is an answer, but a carrier that knows this server's token no more counts as one that doesn't answer:
//! everything sent to it would fail.

use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};
use musubi_domain::{
    ErrorKind,
    breaker::{Breaker, BreakerRules, Permit},
    id::CarrierId,
};
use musubi_runtime::entropy;
use tracing::{info, warn};

const RULES: BreakerRules =
    BreakerRules { failures: 5, base: SignedDuration::from_secs(1), cap: SignedDuration::from_mins(1) };

/// Whether a carrier answers.
#[derive(Debug)]
pub struct Health(Mutex<Breaker>);

impl Default for Health {
    fn default() -> Self {
        Self(Mutex::new(Breaker::new(RULES)))
    }
}

impl Health {
    /// What may be sent.
    pub(crate) fn permit(&self, now: Timestamp) -> Permit {
        self.breaker().permit(now)
    }

    /// The carrier took a batch, or said why not.
    pub(crate) fn answered(&self, carrier: &CarrierId) {
        let mut breaker = self.breaker();
        if *breaker != Breaker::new(RULES) {
            info!(%carrier, "carrier {carrier} answers");
        }
        breaker.answered();
    }

    /// A batch failed in this way.
    pub(crate) fn failed(&self, carrier: &CarrierId, kind: ErrorKind, now: Timestamp) {
        match kind {
            ErrorKind::Unavailable
            | ErrorKind::Internal
            | ErrorKind::Unauthenticated
            | ErrorKind::PermissionDenied => {
                let mut breaker = self.breaker();
                if breaker.failed(now, entropy::number())
                    && let Permit::Nothing(wait) = breaker.permit(now)
                {
                    warn!(%carrier, %wait, "carrier {carrier} does not answer; nothing is sent to it for a while");
                }
            }
            ErrorKind::InvalidArgument
            | ErrorKind::NotFound
            | ErrorKind::AlreadyExists
            | ErrorKind::FailedPrecondition
            | ErrorKind::ResourceExhausted => self.answered(carrier),
        }
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
