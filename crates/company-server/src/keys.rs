//! Keys of companies looked after in the background: turned when they are old, and rows sealed anew with the new ones.
//!
//! Nothing waits for it. Surprising: old keys open what they sealed until no row needs them, so that no read fails meanwhile.

use std::{convert::Infallible, sync::Arc};

use musubi_runtime::backlog::look_after;
use musubi_storage::{company::CompanyStore, vault::TEND_EVERY};
use tokio_util::sync::CancellationToken;

/// Rows of one transaction.
const BATCH: u32 = 500;

/// Looks after the keys until `stop` is cancelled.
pub(crate) async fn keep_keys(
    store: Arc<dyn CompanyStore>,
    stop: CancellationToken,
) -> Result<(), Infallible> {
    let tend = || {
        let store = Arc::clone(&store);
        async move { store.tend_keys().await }
    };
    let reseal = || {
        let store = Arc::clone(&store);
        async move { store.reseal(BATCH).await }
    };
    look_after("sealing rows anew", TEND_EVERY, stop, tend, reseal).await
}
