//! Seals the audit: a chain of signed seals over its lines, made behind those who write them. One replica at a time does it.
//!
//! Surprising: at its end a node doesn't wait for the last lines; whoever works next seals them.

use std::{sync::Arc, time::Duration};

use musubi_domain::audit::AuditKeyring;
use musubi_runtime::{Clock, Shutdown};
use musubi_storage::{StoreError, information::InformationStore};
use tracing::warn;

/// How many lines one seal covers at most.
const BATCH: u32 = 4_000;
/// How often to look.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Seals lines.
pub struct Sealer {
    store: Arc<dyn InformationStore>,
    clock: Arc<dyn Clock>,
    keys: AuditKeyring,
}

impl Sealer {
    /// Works on this store, by this clock, with these keys.
    #[must_use]
    pub fn new(store: Arc<dyn InformationStore>, clock: Arc<dyn Clock>, keys: AuditKeyring) -> Self {
        Self { store, clock, keys }
    }

    /// Works until the shutdown begins.
    ///
    /// # Errors
    /// Never; what fails is tried again.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), StoreError> {
        let token = shutdown.token();
        while !token.is_cancelled() {
            match self.store.seal_audit(&self.keys, self.clock.now(), BATCH).await {
                Ok(BATCH) => continue,
                Ok(_) => {}
                Err(error) => warn!(%error, "the audit could not be sealed"),
            }
            tokio::select! {
                () = token.cancelled() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
        Ok(())
    }
}
