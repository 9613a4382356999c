//! The acquisition unit [330]: takes in what people do, follows and unfollows before all.
//!
//! One batch is one transaction: the subscription changes, the messages that move and the events that tell of it. Only after
//! it is anybody woken.

use std::sync::Arc;

use musubi_domain::Error;
use musubi_proto::carrier::v1::SubmitActionsRequest;
use musubi_runtime::Clock;
use musubi_storage::carrier::{Applied, CarrierStore};

use crate::{distribution::Fleets, outbox::Wake, wire};

/// Takes in batches of actions.
#[derive(Clone)]
pub(crate) struct Acquisition {
    pub(crate) store: Arc<dyn CarrierStore>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) fleets: Fleets,
    pub(crate) events: Wake,
}

impl Acquisition {
    /// Applies the batch once; says whether it was now.
    pub(crate) async fn submit(&self, request: SubmitActionsRequest) -> Result<bool, Error> {
        let batch = wire::actions(request)?;
        match self.store.apply_actions(&batch, self.clock.now()).await? {
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
