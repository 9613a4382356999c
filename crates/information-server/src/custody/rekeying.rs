//! The keys of copies in custody made anew after the rules of matching changed, in the background; as a company server does it.

use std::{convert::Infallible, sync::Arc};

use musubi_matching::{RULES_VERSION, keys_of};
use musubi_runtime::backlog::work_off;
use musubi_storage::information::InformationStore;
use tokio_util::sync::CancellationToken;

/// Rows of one transaction.
const BATCH: u32 = 1_000;

/// Makes keys until all are of the present rules or `stop` is cancelled.
///
/// # Errors
/// Never; what fails is tried again.
pub async fn rekey(store: Arc<dyn InformationStore>, stop: CancellationToken) -> Result<(), Infallible> {
    work_off("re-keying entrusted customers", stop, || {
        let store = Arc::clone(&store);
        async move { store.rekey(RULES_VERSION, BATCH, &|customer| keys_of(customer).bytes).await }
    })
    .await
}
