//! What a carrier has taken from this process: how replicas share the work.

use std::sync::atomic::{AtomicU64, Ordering};

use musubi_domain::{delivery::Signal, id::CarrierId};
use musubi_storage::information::delivery::{AttemptOutcome, AttemptResult, Source};
use tracing::info;

/// Messages that a carrier took since the start.
#[derive(Debug, Default)]
pub struct Taken {
    dialogues: AtomicU64,
    distributions: AtomicU64,
}

impl Taken {
    /// Counts what was accepted of these.
    pub(super) fn count(&self, source: &Source, results: &[AttemptResult]) {
        let accepted = |result: &&AttemptResult| result.outcome == AttemptOutcome::Known(Signal::Accepted);
        let taken = match source {
            Source::Dialogues(_) => &self.dialogues,
            Source::Distribution(_) => &self.distributions,
        };
        let count = u64::try_from(results.iter().filter(accepted).count()).unwrap_or_default();
        taken.fetch_add(count, Ordering::Relaxed);
    }

    /// Says how many.
    pub(super) fn log(&self, carrier: &CarrierId) {
        let [dialogues, distributions] =
            [&self.dialogues, &self.distributions].map(|taken| taken.load(Ordering::Relaxed));
        info!(%carrier, dialogues, distributions, "what carrier {carrier} took from this process");
    }
}
