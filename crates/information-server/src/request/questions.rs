//! Wakes dialogues whose time has come: the first question, reminders, the end of patience (S15).

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use musubi_domain::{
    day::{DAYS_KEPT, Day},
    dialogue::Event,
    review::ReviewState,
};
use musubi_runtime::{Clock, Shutdown, telemetry::metrics::STORE};
use musubi_storage::{
    StoreError,
    information::{InformationStore, flow::FollowerRecord},
};
use tracing::warn;

use crate::{directory::Directory, scene::Scene, signal::Signals, telling::Said};

/// How many dialogues one transaction moves.
const BATCH: u32 = 1_000;
/// How often to look without a signal.
const LOOK_EVERY: std::time::Duration = std::time::Duration::from_millis(500);
/// How long events are remembered; carriers repeat them for days.
const EVENTS_KEPT: SignedDuration = SignedDuration::from_hours(24 * 30);
/// How many looks pass between two clean-ups.
const LOOKS_BETWEEN_CLEAN_UPS: u32 = 7_200;

/// Asks followers when they are due.
pub struct Questions {
    store: Arc<dyn InformationStore>,
    directory: Arc<Directory>,
    clock: Arc<dyn Clock>,
    signals: Signals,
}

impl Questions {
    /// Works on this store.
    #[must_use]
    pub fn new(
        store: Arc<dyn InformationStore>,
        directory: Arc<Directory>,
        clock: Arc<dyn Clock>,
        signals: Signals,
    ) -> Self {
        Self { store, directory, clock, signals }
    }

    /// Moves what is due until the shutdown begins.
    ///
    /// # Errors
    /// Never; a store that fails is tried again.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), StoreError> {
        let token = shutdown.token();
        let mut due = self.signals.dialogues.listen();
        let mut looks = 0_u32;
        while !token.is_cancelled() {
            match self.move_due().await {
                Ok(BATCH) => continue,
                Ok(_) => {}
                Err(error) => warn!(%error, "dialogues that are due could not be moved"),
            }
            looks = looks.wrapping_add(1);
            if looks.is_multiple_of(LOOKS_BETWEEN_CLEAN_UPS) {
                let before = self.clock.now().checked_sub(EVENTS_KEPT).unwrap_or_default();
                if let Err(error) = self.store.forget_events(before).await {
                    warn!(%error, "old events could not be forgotten");
                }
                let first = Day::of(self.clock.now()).before(DAYS_KEPT - 1);
                if let Err(error) = self.store.forget_days(first).await {
                    warn!(%error, "counts of old days could not be forgotten");
                }
                if let Err(error) = self.forget_guesses().await {
                    warn!(%error, "old counts of guesses could not be forgotten");
                }
            }
            tokio::select! {
                () = token.cancelled() => {}
                () = due.wait(LOOK_EVERY) => {}
            }
        }
        Ok(())
    }

    /// Forgets counts that count no more.
    async fn forget_guesses(&self) -> Result<(), StoreError> {
        while self.store.forget_guesses(self.clock.now(), BATCH).await? == BATCH {}
        Ok(())
    }

    /// Moves up to [`BATCH`] dialogues; gives how many were due.
    pub(crate) async fn move_due(&self) -> Result<u32, StoreError> {
        let now = self.clock.now();
        let (mut says, mut said) = (false, Said::default());
        let moved = STORE
            .time(
                ["move dialogues"],
                self.store.work_due(now, BATCH, &mut |work| {
                    let keys: Vec<_> = work.followers.keys().cloned().collect();
                    for key in keys {
                        match self.directory.account_and_company(&key.account) {
                            Some((account, company)) => {
                                Scene { account, company, now }.tell(work, &key, &Event::Due);
                            }
                            // An account that is configured no longer asks nobody.
                            None => work
                                .followers
                                .get_mut(&key)
                                .into_iter()
                                .for_each(|record| give_up(record, now)),
                        }
                    }
                    says = !work.deliveries.is_empty();
                    said.note(work);
                }),
            )
            .await?;
        said.count();
        if says {
            self.signals.deliveries.raise();
        }
        Ok(moved)
    }
}

/// Waits for nothing any more, and keeps nothing that was typed or attested for a match or a review that nobody can decide.
fn give_up(record: &mut FollowerRecord, now: Timestamp) {
    record.dialogue.iter_mut().for_each(|dialogue| (dialogue.due_time, dialogue.given) = (None, None));
    record.inquiry = None;
    record.review.iter_mut().for_each(|review| review.close(ReviewState::Expired, now));
}
