//! Closes what nobody has approved or fetched in time.

use std::{sync::Arc, time::Duration};

use musubi_runtime::{Clock, Shutdown};
use musubi_storage::{StoreError, information::InformationStore};
use tracing::{info, warn};

/// How many one transaction closes.
const BATCH: u32 = 1_000;
/// How often to look.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Closes what is over.
pub struct Sweeper {
    store: Arc<dyn InformationStore>,
    clock: Arc<dyn Clock>,
}

impl Sweeper {
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
            match self.store.expire_approvals(self.clock.now(), BATCH).await {
                Ok(0) => {}
                Ok(expired) => {
                    info!(expired, "{expired} things that nobody approved or fetched in time are closed");
                    if expired == BATCH {
                        continue;
                    }
                }
                Err(error) => warn!(%error, "what nobody approved in time could not be closed"),
            }
            tokio::select! {
                () = token.cancelled() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
        Ok(())
    }
}
