//! `CustodyService`: takes copies in, chunk by chunk, destroys them when asked, and tells what is and was entrusted.

use std::sync::Arc;

use futures::{Stream, StreamExt as _};
use jiff::{SignedDuration, Timestamp};
use musubi_domain::{
    Error, ErrorKind,
    blind::{BlindCustomer, Blinding},
    customer::{Customer, KeyedCustomer},
    id::CompanyId,
};
use musubi_matching::{RULES_VERSION, keyed};
use musubi_proto::{
    convert::content::timestamp,
    information::v1::{self as wire, custody_service_server::CustodyService},
};
use musubi_runtime::{
    Clock,
    grpc::{auth, status::to_status},
};
use musubi_storage::information::{
    InformationStore,
    custody::{CopyNumber, Custody as Record},
};
use tonic::{Request, Response, Status, Streaming};

use super::parse;
use crate::{
    directory::{Company, Directory, Matching},
    signal::Signals,
};

/// How many chunks one transaction stores at most.
const CHUNKS_AT_ONCE: usize = 10;

/// What companies ask of custody.
pub struct Custody {
    store: Arc<dyn InformationStore>,
    clock: Arc<dyn Clock>,
    directory: Arc<Directory>,
    signals: Signals,
}

impl Custody {
    /// Keeps copies in this store, by this clock, of the companies of this directory.
    #[must_use]
    pub fn new(
        store: Arc<dyn InformationStore>,
        clock: Arc<dyn Clock>,
        directory: Arc<Directory>,
        signals: Signals,
    ) -> Self {
        Self { store, clock, directory, signals }
    }

    /// Takes a copy in: the chunks that are there are stored before more are read, and the last one's end puts it into effect.
    pub(super) async fn entrust<C: Chunk>(
        &self,
        company: &CompanyId,
        chunks: impl Stream<Item = Result<C, Status>>,
    ) -> Result<Record, Status> {
        let company = self.entruster(company).map_err(to_status)?;
        let chunks = chunks.zip(futures::stream::iter(1..));
        let mut groups = std::pin::pin!(chunks.ready_chunks(CHUNKS_AT_ONCE));
        let mut arriving: Option<(CopyNumber, SignedDuration)> = None;
        while let Some(group) = groups.next().await {
            let now = self.clock.now();
            let mut rows = Vec::new();
            for (chunk, count) in group {
                let chunk = chunk?;
                let head = (chunk.lease_seconds(), chunk.blinding());
                rows.extend(chunk.customers(company, count).map_err(to_status)?);
                if arriving.is_none() {
                    let lease = parse::lease(head.0).map_err(to_status)?;
                    let blinding = head.1.map_err(to_status)?;
                    let copy = self
                        .store
                        .begin_copy(&company.id, blinding.as_ref(), now)
                        .await
                        .map_err(to_status)?;
                    arriving = Some((copy, lease));
                }
            }
            if let Some((copy, _)) = arriving {
                C::store(&*self.store, &company.id, copy, rows, now).await.map_err(to_status)?;
            }
        }
        let whole = arriving.ok_or_else(|| {
            let remedy = "send the whole master; to have the copy destroyed, ask for that";
            to_status(Error::invalid("customers", "no customer was sent", remedy))
        })?;
        self.put_into_effect(&company.id, whole).await.map_err(to_status)
    }

    async fn put_into_effect(
        &self,
        company: &CompanyId,
        (copy, lease): (CopyNumber, SignedDuration),
    ) -> Result<Record, Error> {
        let now = self.clock.now();
        let lease_end = now.checked_add(lease).unwrap_or(Timestamp::MAX);
        let record = self.store.take_effect(company, copy, lease_end, now).await?;
        self.signals.inquiries.raise();
        Ok(record)
    }

    fn entruster(&self, company: &CompanyId) -> Result<&Company, Error> {
        let by_custody = |company: &&Company| match company.matching {
            Matching::Custody => true,
            Matching::Inquiry => false,
        };
        self.directory.company(company).filter(by_custody).ok_or_else(|| {
            let problem = "the company matches by inquiry, and entrusts nothing";
            let remedy = "have the company's matching configured as custody, or keep the customers";
            Error::new(ErrorKind::FailedPrecondition, problem, remedy)
        })
    }
}

/// A chunk of a copy, plain or blind.
pub(super) trait Chunk {
    /// A customer as it arrives.
    type Customer: Send;

    /// How long the copy may be kept.
    fn lease_seconds(&self) -> u64;
    /// How its digests are made; none: it is plain.
    fn blinding(&self) -> Result<Option<Blinding>, Error>;
    /// Its customers; `count` tells which chunk it is.
    fn customers(self, company: &Company, count: u64) -> Result<Vec<Self::Customer>, Error>;
    /// Adds customers to the copy that arrives.
    fn store(
        store: &dyn InformationStore,
        company: &CompanyId,
        copy: CopyNumber,
        rows: Vec<Self::Customer>,
        now: Timestamp,
    ) -> impl Future<Output = Result<(), Error>> + Send;
}

impl Chunk for wire::EntrustCustomersRequest {
    type Customer = Customer;

    fn lease_seconds(&self) -> u64 {
        self.lease_seconds
    }

    fn blinding(&self) -> Result<Option<Blinding>, Error> {
        Ok(None)
    }

    fn customers(self, company: &Company, count: u64) -> Result<Vec<Customer>, Error> {
        parse::customers(self.customers, &company.account_format, count)
    }

    async fn store(
        store: &dyn InformationStore,
        company: &CompanyId,
        copy: CopyNumber,
        rows: Vec<Customer>,
        now: Timestamp,
    ) -> Result<(), Error> {
        let rows = keyed_all(rows).await?;
        Ok(store.add_customers(company, copy, &rows, now).await?)
    }
}

impl Chunk for wire::EntrustDigestsRequest {
    type Customer = BlindCustomer;

    fn lease_seconds(&self) -> u64 {
        self.lease_seconds
    }

    fn blinding(&self) -> Result<Option<Blinding>, Error> {
        parse::blinding(&self.digest_key, self.rules_version).map(Some)
    }

    fn customers(self, _: &Company, count: u64) -> Result<Vec<BlindCustomer>, Error> {
        parse::blind_customers(self.customers, count)
    }

    async fn store(
        store: &dyn InformationStore,
        company: &CompanyId,
        copy: CopyNumber,
        rows: Vec<BlindCustomer>,
        now: Timestamp,
    ) -> Result<(), Error> {
        Ok(store.add_digests(company, copy, &rows, now).await?)
    }
}

/// The customers with the keys that matching compares, made on a blocking thread. A company's keys are not taken: they would have
/// to be trusted.
async fn keyed_all(rows: Vec<Customer>) -> Result<Vec<KeyedCustomer>, Error> {
    let keyed = tokio::task::spawn_blocking(move || rows.into_iter().map(keyed).collect());
    keyed.await.map_err(|_| Error::new(ErrorKind::Internal, "the making of keys panicked", ""))
}

fn show(record: &Record) -> wire::Custody {
    wire::Custody {
        customers: record.customers,
        entrust_time: Some(timestamp(record.entrust_time)),
        lease_end_time: Some(timestamp(record.lease_end_time)),
        purge_time: record.purge_time.map(timestamp),
        // Until the last row is gone it is still held.
        purge_reason: record
            .purge_reason
            .filter(|_| record.purge_time.is_some())
            .map_or_else(String::new, |reason| reason.as_str().to_owned()),
        digest_rules: record.digest_rules.unwrap_or_default(),
        outdated: record.digest_rules.is_some_and(|rules| rules != RULES_VERSION),
    }
}

#[tonic::async_trait]
impl CustodyService for Custody {
    async fn entrust_customers(
        &self,
        request: Request<Streaming<wire::EntrustCustomersRequest>>,
    ) -> Result<Response<wire::EntrustCustomersResponse>, Status> {
        let company = auth::company(&request)?;
        let record = self.entrust(&company, request.into_inner()).await?;
        Ok(Response::new(wire::EntrustCustomersResponse { custody: Some(show(&record)) }))
    }

    async fn entrust_digests(
        &self,
        request: Request<Streaming<wire::EntrustDigestsRequest>>,
    ) -> Result<Response<wire::EntrustDigestsResponse>, Status> {
        let company = auth::company(&request)?;
        let record = self.entrust(&company, request.into_inner()).await?;
        Ok(Response::new(wire::EntrustDigestsResponse { custody: Some(show(&record)) }))
    }

    async fn purge_customers(
        &self,
        request: Request<wire::PurgeCustomersRequest>,
    ) -> Result<Response<wire::PurgeCustomersResponse>, Status> {
        let company = auth::company(&request)?;
        let purged = self.store.purge(&company, self.clock.now()).await.map_err(to_status)?;
        Ok(Response::new(wire::PurgeCustomersResponse { purged }))
    }

    async fn get_custody(
        &self,
        request: Request<wire::GetCustodyRequest>,
    ) -> Result<Response<wire::GetCustodyResponse>, Status> {
        let company = auth::company(&request)?;
        let records = self.store.list_custodies(&company).await.map_err(to_status)?;
        Ok(Response::new(wire::GetCustodyResponse { custodies: records.iter().map(show).collect() }))
    }
}
