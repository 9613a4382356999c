//! The list generation unit \[331\]: `SubscriberListService`, official accounts and their subscriber lists \[320\] as snapshots.
//!
//! A snapshot is of one generation however long it is read; each page is a read of its own, so that a slow reader holds
//! nothing up. What goes over the wire is counted and digested as it goes.

use std::sync::Arc;

use musubi_domain::{Error, id::OfficialAccountId, roster::ListDigest};
use musubi_proto::{
    carrier::v1::{
        FetchSubscriberListRequest, FetchSubscriberListResponse, PutOfficialAccountRequest,
        PutOfficialAccountResponse, SubscriberListEnd, SubscriberListHeader, SubscriberListPage,
        fetch_subscriber_list_response::Part, subscriber_list_service_server::SubscriberListService,
    },
    convert::content::timestamp,
};
use musubi_runtime::grpc::status::to_status;
use musubi_storage::carrier::{CarrierStore, Snapshot};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use crate::{acquisition::Moments, wire};

/// Pages that wait for a slow reader.
const PAGES_AHEAD: usize = 2;

pub(crate) struct ListGeneration {
    pub(crate) store: Arc<dyn CarrierStore>,
    pub(crate) moments: Moments,
}

type Parts = mpsc::Sender<Result<FetchSubscriberListResponse, Status>>;

#[tonic::async_trait]
impl SubscriberListService for ListGeneration {
    type FetchSubscriberListStream = ReceiverStream<Result<FetchSubscriberListResponse, Status>>;

    async fn put_official_account(
        &self,
        request: Request<PutOfficialAccountRequest>,
    ) -> Result<Response<PutOfficialAccountResponse>, Status> {
        let request = request.into_inner();
        let account: OfficialAccountId = request.official_account.parse().map_err(to_status)?;
        let display_name = wire::display_name(&request.display_name).map_err(to_status)?;
        self.store.put_account(&account, display_name).await.map_err(to_status)?;
        Ok(Response::new(PutOfficialAccountResponse {}))
    }

    async fn fetch_subscriber_list(
        &self,
        request: Request<FetchSubscriberListRequest>,
    ) -> Result<Response<Self::FetchSubscriberListStream>, Status> {
        let account: OfficialAccountId = request.into_inner().official_account.parse().map_err(to_status)?;
        let (as_of, until_read) = self.moments.of_snapshot().await;
        let snapshot = self.store.get_snapshot(&account).await.map_err(to_status)?;
        drop(until_read);
        let as_of_time = Some(timestamp(as_of));
        let header = SubscriberListHeader { generation: snapshot.generation, as_of_time };
        let (parts, stream) = mpsc::channel(PAGES_AHEAD);
        let store = Arc::clone(&self.store);
        tokio::spawn(async move {
            if send(&parts, Part::Header(header)).await.is_none() {
                return;
            }
            if let Err(error) = send_pages(&*store, &account, snapshot, &parts).await {
                // A reader that has gone away needs no error.
                parts.send(Err(to_status(error))).await.unwrap_or_default();
            }
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }
}

/// Nothing when the reader has gone away.
async fn send(parts: &Parts, part: Part) -> Option<()> {
    parts.send(Ok(FetchSubscriberListResponse { part: Some(part) })).await.ok()
}

async fn send_pages(
    store: &dyn CarrierStore,
    account: &OfficialAccountId,
    snapshot: Snapshot,
    parts: &Parts,
) -> Result<(), Error> {
    let (mut digest, mut count, mut page_number, mut after) = (ListDigest::default(), 0_u64, 0, None);
    loop {
        let numbers = store.list_followers(account, snapshot, after).await?;
        let Some(last) = numbers.last() else {
            break;
        };
        after = Some(*last);
        let msisdns: Vec<String> = numbers.iter().map(|number| number.as_str().to_owned()).collect();
        for msisdn in &msisdns {
            digest.update(msisdn);
            count += 1;
        }
        if send(parts, Part::Page(SubscriberListPage { page_number, msisdns })).await.is_none() {
            return Ok(());
        }
        page_number += 1;
    }
    let end = SubscriberListEnd { count, digest: digest.finish().to_vec() };
    send(parts, Part::End(end)).await.unwrap_or_default();
    Ok(())
}
