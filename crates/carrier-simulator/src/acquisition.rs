//! The acquisition unit \[330\]: takes in what people do, follows and unfollows before all.
//!
//! One batch is one transaction: the subscription changes, the messages that move and the events that tell of it. Only after
//! it is anybody woken. Surprising: a snapshot waits for the batches under way, see [`Moments`].

use std::sync::Arc;

use jiff::Timestamp;
use musubi_domain::Error;
use musubi_proto::carrier::v1::SubmitActionsRequest;
use musubi_runtime::{Clock, telemetry::metrics::STORE};
use musubi_storage::carrier::{Applied, CarrierStore};
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::{distribution::Fleets, outbox::Wake, wire};

/// The moments of changes and of snapshots of the lists, so that whatever a snapshot lacks happened after it. A batch that got
/// its moment before a snapshot and is stored after it would otherwise look as if the snapshot had lost its followers.
#[derive(Clone)]
pub(crate) struct Moments {
    clock: Arc<dyn Clock>,
    order: Arc<RwLock<()>>,
}

impl Moments {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, order: Arc::default() }
    }

    /// The moment of a batch, which has to be stored before the guard goes.
    async fn of_change(&self) -> (Timestamp, RwLockReadGuard<'_, ()>) {
        let guard = self.order.read().await;
        (self.clock.now(), guard)
    }

    /// The moment of a snapshot, whose generation has to be read before the guard goes.
    pub(crate) async fn of_snapshot(&self) -> (Timestamp, RwLockWriteGuard<'_, ()>) {
        let guard = self.order.write().await;
        (self.clock.now(), guard)
    }
}

/// Takes in batches of actions.
#[derive(Clone)]
pub(crate) struct Acquisition {
    pub(crate) store: Arc<dyn CarrierStore>,
    pub(crate) moments: Moments,
    pub(crate) fleets: Fleets,
    pub(crate) events: Wake,
}

impl Acquisition {
    /// Applies the batch once; says whether it was now.
    pub(crate) async fn submit(&self, request: SubmitActionsRequest) -> Result<bool, Error> {
        let batch = wire::actions(request)?;
        let (now, until_stored) = self.moments.of_change().await;
        let applied = STORE.time(["apply actions"], self.store.apply_actions(&batch, now)).await?;
        drop(until_stored);
        match applied {
            Applied::Before => Ok(false),
            Applied::Now { inherited } => {
                self.events.wake();
                if inherited {
                    self.fleets.wake(&batch.fleet);
                }
                Ok(true)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::SignedDuration;
    use musubi_runtime::ManualClock;
    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn snapshot_gets_its_moment_when_no_batch_is_under_way() {
        const MOMENT: Duration = Duration::from_millis(50);
        let clock = Arc::new(ManualClock::new(Timestamp::UNIX_EPOCH));
        let moments = Moments::new(Arc::<ManualClock>::clone(&clock));
        let (change, until_stored) = moments.of_change().await;
        assert!(
            timeout(MOMENT, moments.of_snapshot()).await.is_err(),
            "a snapshot does not wait for a batch"
        );
        clock.advance(SignedDuration::from_secs(1));
        drop(until_stored);
        let (snapshot, _until_read) = moments.of_snapshot().await;
        assert_eq!(snapshot.duration_since(change), SignedDuration::from_secs(1));
        assert!(timeout(MOMENT, moments.of_change()).await.is_err(), "a batch does not wait for a snapshot");
    }
}
