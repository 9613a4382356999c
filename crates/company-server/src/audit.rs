//! Seals the company server's audit as the information-management server does its own, and writes down whom the door refused: here it is people.
//!
//! Surprising: at its end a node doesn't wait for the last lines; whoever works next seals them.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use musubi_domain::audit::AuditKeyring;
use musubi_runtime::{
    Clock, Shutdown,
    grpc::denials::{Denial, Denials},
};
use musubi_storage::{
    StoreError,
    company::{CompanyStore, Note},
};
use tracing::warn;

/// How many lines one seal covers at most.
const BATCH: u32 = 4_000;
/// How often to look.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Seals lines.
pub(crate) struct Sealer {
    store: Arc<dyn CompanyStore>,
    clock: Arc<dyn Clock>,
    keys: AuditKeyring,
    denials: Denials,
}

impl Sealer {
    /// Works on this store, by this clock, with these keys, and writes down what was refused.
    #[must_use]
    pub(crate) fn new(
        store: Arc<dyn CompanyStore>,
        clock: Arc<dyn Clock>,
        keys: AuditKeyring,
        denials: Denials,
    ) -> Self {
        Self { store, clock, keys, denials }
    }

    /// Works until the shutdown begins.
    ///
    /// # Errors
    /// Never; what fails is tried again.
    pub(crate) async fn run(self, shutdown: Shutdown) -> Result<(), StoreError> {
        let token = shutdown.token();
        while !token.is_cancelled() {
            self.write_denials(self.denials.take()).await;
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
        self.write_denials(self.denials.take_all()).await;
        Ok(())
    }

    /// A line for each kind of call that was refused, and of handshakes that failed.
    async fn write_denials(&self, counts: BTreeMap<Denial, u64>) {
        if counts.is_empty() {
            return;
        }
        let notes: Vec<_> = counts.iter().map(note).collect();
        if let Err(error) = self.store.note(&notes, self.clock.now()).await {
            warn!(%error, "calls that were refused could not be written down");
            self.denials.give_back(counts);
        }
    }
}

fn note((denial, count): (&Denial, &u64)) -> Note {
    let (action, detail) = denial.told(*count);
    Note { action, detail }
}
