//! Gives up messages whose time is over.

use std::{sync::Arc, time::Duration};

use musubi_runtime::Clock;
use musubi_storage::carrier::{BATCH, CarrierStore};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::outbox::Wake;

/// Sweeps every `interval` until `stop`. It takes no input: it reads what there is.
pub(crate) async fn sweep(
    store: Arc<dyn CarrierStore>,
    clock: Arc<dyn Clock>,
    events: Wake,
    interval: Duration,
    stop: CancellationToken,
) {
    while stop.run_until_cancelled(tokio::time::sleep(interval)).await.is_some() {
        loop {
            match store.expire_messages(clock.now()).await {
                Ok(0) => break,
                Ok(expired) => {
                    events.wake();
                    if expired < BATCH || stop.is_cancelled() {
                        break;
                    }
                }
                Err(error) => {
                    warn!("messages were not expired: {error}");
                    break;
                }
            }
        }
    }
}
