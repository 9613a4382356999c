//! Brings distributions to their end.
//!
//! A reconciler: it takes no input but the time and looks at the database. Surprising: deliveries are made where they are sent, by
//! the claim that walks the followers; here only those are made that come too late to be sent, so that the counts tell who was
//! not reached.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use musubi_runtime::{Clock, Shutdown};
use musubi_storage::{StoreError, information::InformationStore};
use tracing::{info, warn};

use crate::signal::Signals;

/// How many deliveries one transaction makes or moves.
const BATCH: u32 = 1_000;
/// How often to look without a signal.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Brings distributions to their end.
pub struct Expander {
    store: Arc<dyn InformationStore>,
    clock: Arc<dyn Clock>,
    signals: Signals,
}

impl Expander {
    /// Works on this store, by this clock, woken by these signals.
    #[must_use]
    pub fn new(store: Arc<dyn InformationStore>, clock: Arc<dyn Clock>, signals: Signals) -> Self {
        Self { store, clock, signals }
    }

    /// Works until the shutdown begins.
    ///
    /// # Errors
    /// Never; what fails is tried again.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), StoreError> {
        let token = shutdown.token();
        let mut changed = self.signals.distributions.listen();
        while !token.is_cancelled() {
            match self.step(self.clock.now()).await {
                Ok(true) => continue,
                Ok(false) => {}
                Err(error) => warn!(%error, "distributions could not be brought forward"),
            }
            tokio::select! {
                () = token.cancelled() => {}
                () = changed.wait(LOOK_EVERY) => {}
            }
        }
        Ok(())
    }

    /// One batch of everything that is to be done. Gives whether there is more to do at once.
    pub(crate) async fn step(&self, now: Timestamp) -> Result<bool, StoreError> {
        if !self.store.has_work().await? {
            return Ok(false);
        }
        let mut more = self.store.withdraw(BATCH, now).await? == BATCH;
        more |= self.store.expire_overdue(BATCH, now).await? == BATCH;
        more |= self.store.expire_unmade(BATCH, now).await? == BATCH;
        for id in self.store.complete_finished(now).await? {
            info!(distribution = %id, "distribution {id} is completed");
        }
        Ok(more)
    }
}
