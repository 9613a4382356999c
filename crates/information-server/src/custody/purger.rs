//! Destroys copies whose lease is over, that were replaced, or that never arrived whole.

use std::{sync::Arc, time::Duration};

use musubi_runtime::{Clock, Shutdown};
use musubi_storage::{StoreError, information::InformationStore};
use tracing::{info, warn};

/// How many rows one transaction destroys.
const BATCH: u32 = 10_000;
/// How often to look.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Destroys what has to go.
pub struct Purger {
    store: Arc<dyn InformationStore>,
    clock: Arc<dyn Clock>,
}

impl Purger {
    /// Works on this store, by this clock.
    #[must_use]
    pub fn new(store: Arc<dyn InformationStore>, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock }
    }

    /// Works until the shutdown begins.
    ///
    /// # Errors
    /// Never; what fails is tried again.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), StoreError> {
        let token = shutdown.token();
        while !token.is_cancelled() {
            match self.store.purge_ended(BATCH, self.clock.now()).await {
                Ok(0) => {}
                Ok(destroyed) => {
                    info!(destroyed, "destroyed {destroyed} entrusted customers");
                    if destroyed == BATCH {
                        continue;
                    }
                }
                Err(error) => warn!(%error, "ended custody could not be purged"),
            }
            tokio::select! {
                () = token.cancelled() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
        Ok(())
    }
}
