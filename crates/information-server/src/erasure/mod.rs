//! Erases whoever asked for it, and whoever follows no more, within a minute; and erases them again in a database that a backup has brought back.
//!
//! Requests stand in the database, made in the unit of work that was asked. The eraser claims them, writes them into a journal outside of the
//! database, and only then erases. Surprising: nothing notices a restore. Every start holds the journal against the database, and what the
//! database doesn't know is asked for again, before the port is taken.

mod journal;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, HashMap},
    io,
    sync::Arc,
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use musubi_domain::{
    Error, ErrorKind,
    delivery::Addressed,
    erasure::Erasure,
    id::{CarrierId, OfficialAccountId},
};
use musubi_runtime::{Clock, Shutdown};
use musubi_storage::{StoreError, information::InformationStore};
use tracing::{info, warn};

pub use self::journal::{Journal, JournalError};
use crate::gateway::CarrierGateway;

/// How many followers one transaction erases.
const BATCH: u32 = 500;
/// How often to look.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long a claim is left to whoever made it: well below the minute that an erasure may take.
const LEASE: SignedDuration = SignedDuration::from_secs(20);
/// How long a carrier has to take back what it has of them; nobody's erasure waits for a carrier.
const ASK_BACK: Duration = Duration::from_secs(3);
/// How many messages a carrier is asked for at once.
const AT_ONCE: usize = 1_000;

/// The carriers.
type Gateways = Arc<HashMap<CarrierId, Arc<dyn CarrierGateway>>>;

/// Erases.
pub struct Eraser {
    store: Arc<dyn InformationStore>,
    clock: Arc<dyn Clock>,
    journal: Arc<Journal>,
    gateways: Gateways,
}

impl Eraser {
    /// Works on this store, by this clock, tells this journal, and asks these carriers.
    #[must_use]
    pub fn new(
        store: Arc<dyn InformationStore>,
        clock: Arc<dyn Clock>,
        journal: Journal,
        gateways: Gateways,
    ) -> Self {
        Self { store, clock, journal: Arc::new(journal), gateways }
    }

    /// Erases in this database whoever the journal tells of and it has again. Gives how many erasures it did not know.
    ///
    /// # Errors
    /// When the journal can't be read, or the store is unavailable: nothing may be served then.
    pub async fn replay(&self) -> Result<u32, JournalError> {
        let journal = Arc::clone(&self.journal);
        let erasures = blocking(move || journal.read()).await?;
        let (told, mut unknown) = (erasures.len(), 0);
        for batch in erasures.chunks(BATCH as usize) {
            unknown += self.store.replay_erasures(batch, self.clock.now()).await?;
        }
        if unknown > 0 {
            warn!(
                told,
                unknown,
                "the database does not know of {unknown} erasures: it was restored, and they are done again"
            );
            while self.erase_due().await.map_err(|error| JournalError::Undone(error.to_string()))? > 0 {}
        }
        Ok(unknown)
    }

    /// Erases until the shutdown begins.
    ///
    /// # Errors
    /// Never; what fails is tried again.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), StoreError> {
        let token = shutdown.token();
        while !token.is_cancelled() {
            match self.erase_due().await {
                Ok(BATCH) => continue,
                Ok(_) => {}
                Err(error) => {
                    warn!(%error, "who asked to be erased could not be; tried again within the minute")
                }
            }
            tokio::select! {
                () = token.cancelled() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
        Ok(())
    }

    /// Erases up to [`BATCH`] followers; gives how many were due.
    pub(crate) async fn erase_due(&self) -> Result<u32, Error> {
        let now = self.clock.now();
        let lease_end = now.checked_add(LEASE).unwrap_or(Timestamp::MAX);
        let due = Arc::new(self.store.claim_erasures(now, lease_end, BATCH).await?);
        if due.is_empty() {
            return Ok(0);
        }
        let (journal, told) = (Arc::clone(&self.journal), Arc::clone(&due));
        blocking(move || journal.append(&told)).await.map_err(|error| {
            let remedy = "see that the folder at erasure.journal can be written to";
            Error::new(ErrorKind::Unavailable, error.to_string(), remedy)
        })?;
        self.ask_back(&due).await?;
        let erased = self.store.erase(&due, self.clock.now()).await?;
        info!(asked = due.len(), erased, "erased {erased} followers");
        Ok(u32::try_from(due.len()).unwrap_or(u32::MAX))
    }

    /// Asks carriers for what is individual and not on a phone yet. What a carrier doesn't give in time, or has given on, can't be helped.
    async fn ask_back(&self, due: &[Erasure]) -> Result<(), Error> {
        let mut theirs: BTreeMap<(CarrierId, OfficialAccountId), Vec<Addressed>> = BTreeMap::new();
        for (account, carrier, message) in self.store.individual_at_carriers(due).await? {
            theirs.entry((carrier, account)).or_default().push(message);
        }
        let asks = theirs.iter().map(|((carrier, account), messages)| async move {
            let Some(gateway) = self.gateways.get(carrier) else { return };
            for part in messages.chunks(AT_ONCE) {
                match tokio::time::timeout(ASK_BACK, gateway.revoke(account, part)).await {
                    Ok(Ok(_)) => {}
                    Ok(Err(error)) => {
                        warn!(%carrier, %error, "individual messages of who is erased could not be asked back");
                    }
                    Err(_) => {
                        warn!(%carrier, "individual messages of who is erased were not given back in time");
                        return;
                    }
                }
            }
        });
        futures::future::join_all(asks).await;
        Ok(())
    }
}

/// Runs what waits for the disk where waiting is no harm.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, JournalError> + Send + 'static,
) -> Result<T, JournalError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| JournalError::Unwritten(io::Error::other(error)))?
}
