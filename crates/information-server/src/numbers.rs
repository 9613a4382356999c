//! Asks carriers whether tied numbers are still the same person's, before anything individual would go to one that was silent.
//!
//! Takes whatever is due, a thousand at a time, and asks each carrier about its own; what the carriers say is one unit of work.
//! Nothing here lets a message go or holds one back: that is the gate's, which closes by itself when nobody was asked in time.
//! Surprising: an answer that comes late (the tie is another, or became due again while its carrier was asked) has no effect.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use futures::future;
use jiff::{SignedDuration, Timestamp};
use musubi_domain::{Error, breaker::Permit, id::CarrierId, silence::Recycling};
use musubi_runtime::{Clock, Shutdown};
use musubi_storage::{
    StoreError,
    information::{InformationStore, flow::Scope, holder::ToAsk},
};
use tracing::{info, warn};

use crate::{
    directory::Directory,
    dispatch::Health,
    gateway::{NumberCheck, NumberStatus},
    scene::Scene,
    signal::Signals,
};

/// How many numbers go together.
const BATCH: u32 = 1_000;
/// How often to look.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// When a number is due again whose carrier did not answer. Numbers are due days before it matters.
const LEASE: SignedDuration = SignedDuration::from_mins(5);

/// Asks about silent numbers.
pub struct Numbers {
    store: Arc<dyn InformationStore>,
    directory: Arc<Directory>,
    clock: Arc<dyn Clock>,
    signals: Signals,
    carriers: HashMap<CarrierId, (Arc<dyn NumberStatus>, Health)>,
}

impl Numbers {
    /// Asks these carriers about what is due in this store.
    #[must_use]
    pub fn new(
        store: Arc<dyn InformationStore>,
        directory: Arc<Directory>,
        clock: Arc<dyn Clock>,
        signals: Signals,
        carriers: HashMap<CarrierId, Arc<dyn NumberStatus>>,
    ) -> Self {
        let carriers = carriers.into_iter().map(|(id, carrier)| (id, (carrier, Health::default())));
        Self { store, directory, clock, signals, carriers: carriers.collect() }
    }

    /// Asks what is due until the shutdown begins.
    ///
    /// # Errors
    /// Never; what fails is due again.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), StoreError> {
        let token = shutdown.token();
        while !token.is_cancelled() {
            match self.ask_due().await {
                Ok(0) => {}
                Ok(_) => continue,
                Err(error) => warn!(%error, "silent numbers could not be asked about"),
            }
            tokio::select! {
                () = token.cancelled() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
        Ok(())
    }

    /// Asks about up to [`BATCH`] numbers; gives how many were due.
    pub(crate) async fn ask_due(&self) -> Result<usize, Error> {
        let now = self.clock.now();
        let lease_end = now.checked_add(LEASE).unwrap_or(Timestamp::MAX);
        let due = self.store.claim_holders(now, lease_end, BATCH).await?;
        let count = due.len();
        let mut by_carrier: BTreeMap<CarrierId, Vec<ToAsk>> = BTreeMap::new();
        for it in due {
            by_carrier.entry(it.carrier.clone()).or_default().push(it);
        }
        let asked = by_carrier.into_iter().map(|(carrier, due)| self.ask(carrier, due, now));
        let answered: Vec<_> = future::join_all(asked).await.into_iter().flatten().collect();
        if !answered.is_empty() {
            self.hear(answered, now).await?;
        }
        Ok(count)
    }

    /// What a carrier says of its numbers; nothing, when it doesn't.
    async fn ask(&self, carrier: CarrierId, due: Vec<ToAsk>, now: Timestamp) -> Vec<(ToAsk, Recycling)> {
        let Some((port, health)) = self.carriers.get(&carrier) else { return Vec::new() };
        if let Permit::Nothing(_) = health.permit(now) {
            return Vec::new();
        }
        let check = |it: &ToAsk| NumberCheck { number: it.phone_number, since: it.holder.specified_date() };
        match port.check(&due.iter().map(check).collect::<Vec<_>>()).await {
            Ok(says) => {
                health.answered(&carrier);
                due.into_iter().zip(says).collect()
            }
            Err(error) => {
                health.failed(&carrier, error.kind, self.clock.now());
                warn!(%carrier, %error, "a carrier says nothing of its numbers");
                Vec::new()
            }
        }
    }

    /// Has what carriers say take effect. They were asked at `asked`.
    async fn hear(&self, answered: Vec<(ToAsk, Recycling)>, asked: Timestamp) -> Result<(), StoreError> {
        let followers = answered.iter().map(|(it, _)| it.key.clone()).collect();
        let scope = Scope { followers, ..Scope::default() };
        let now = self.clock.now();
        let mut recycled = 0_usize;
        self.store
            .work("hear_of_numbers", &scope, now, &mut |work| {
                recycled = 0;
                for (it, recycling) in &answered {
                    let Some((account, company)) = self.directory.account_and_company(&it.key.account) else {
                        continue;
                    };
                    let scene = Scene { account, company, now };
                    recycled += usize::from(scene.hear_of_number(work, it, *recycling, asked));
                }
            })
            .await?;
        if recycled > 0 {
            info!(recycled, "numbers changed hands; whoever has them is asked afresh");
            self.signals.dialogues.raise();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
