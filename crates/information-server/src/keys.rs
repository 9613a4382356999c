//! Keys of companies looked after in the background, as a company server does it. Surprising: every replica walks through all rows,
//! which none of them has to be told; whoever comes second finds them sealed.

use std::{convert::Infallible, sync::Arc};

use musubi_runtime::backlog::look_after;
use musubi_storage::{information::InformationStore, vault::TEND_EVERY};
use tokio_util::sync::CancellationToken;

/// Rows of one transaction.
const BATCH: u32 = 500;

/// Looks after the keys until `stop` is cancelled.
pub(crate) async fn keep_keys(
    store: Arc<dyn InformationStore>,
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
