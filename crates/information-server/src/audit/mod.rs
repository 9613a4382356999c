//! Seals the audit: a chain of signed seals over its lines, made behind those who write them. One replica at a time does it. Each
//! writes down what it refused at its doors. Companies read theirs by [`Audits`].
//!
//! Surprising: at its end a node doesn't wait for the last lines; whoever works next seals them.

mod service;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use musubi_domain::{audit::AuditKeyring, caller::Caller};
use musubi_runtime::{
    Clock, Shutdown,
    grpc::denials::{Denial, Denials},
};
use musubi_storage::{
    StoreError,
    information::{
        InformationStore,
        flow::{Audit, Scope, Work},
    },
};
use tracing::warn;

pub use self::service::Audits;

/// How many lines one seal covers at most.
const BATCH: u32 = 4_000;
/// How often to look.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Seals lines.
pub struct Sealer {
    store: Arc<dyn InformationStore>,
    clock: Arc<dyn Clock>,
    keys: AuditKeyring,
    denials: Denials,
}

impl Sealer {
    /// Works on this store, by this clock, with these keys, and writes down what was refused.
    #[must_use]
    pub fn new(
        store: Arc<dyn InformationStore>,
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
    pub async fn run(self, shutdown: Shutdown) -> Result<(), StoreError> {
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
        let mut write = |work: &mut Work| work.audits.extend(counts.iter().map(line));
        if let Err(error) = self.store.work("denials", &Scope::default(), self.clock.now(), &mut write).await
        {
            warn!(%error, "calls that were refused could not be written down");
            self.denials.give_back(counts);
        }
    }
}

fn line((denial, count): (&Denial, &u64)) -> Audit {
    let (action, detail) = denial.told(*count);
    let company = match denial.caller() {
        Some(Caller::Company(id)) => Some(id.clone()),
        Some(
            Caller::Carrier(_)
            | Caller::Information
            | Caller::Terminal
            | Caller::CompanyOperator(..)
            | Caller::CompanyMachine(..)
            | Caller::TerminalOperator(_)
            | Caller::Stranger,
        )
        | None => None,
    };
    Audit { company, key: None, action, detail }
}
