//! The master's keys made anew after the rules of matching changed, in the background.
//!
//! Nothing waits for it: a customer whose keys other rules made is prepared whenever it is asked for. Surprising: it keeps no
//! account of how far it is. Each batch asks the store what is left, so a start after a kill goes on where the last commit was.

use std::{convert::Infallible, sync::Arc};

use musubi_matching::{RULES_VERSION, keys_of};
use musubi_runtime::backlog::work_off;
use musubi_storage::company::CompanyStore;
use tokio_util::sync::CancellationToken;

/// Rows of one transaction.
const BATCH: u32 = 1000;

/// Makes keys until all are of the present rules or `stop` is cancelled.
pub(crate) async fn rekey(store: Arc<dyn CompanyStore>, stop: CancellationToken) -> Result<(), Infallible> {
    work_off("re-keying customers", stop, || {
        let store = Arc::clone(&store);
        async move { store.rekey(RULES_VERSION, BATCH, &|customer| keys_of(customer).bytes).await }
    })
    .await
}
