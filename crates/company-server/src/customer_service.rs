//! The customer master for the company's operators.
//!
//! Parses at the door, calls the store, the import or the custodian. No one else than an operator comes in. Surprising: only
//! one import runs at a time, and a second one is told so instead of waiting with its upload.

use std::{sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use futures::{Stream, StreamExt as _};
use musubi_domain::{
    Error, ErrorKind,
    id::{CustomerId, OperatorName},
};
use musubi_matching::AccountFormat;
use musubi_proto::{
    company::v1::{
        CustomerRows, EntrustMasterRequest, EntrustMasterResponse, EraseCustomerRequest,
        EraseCustomerResponse, GetCustomerRequest, GetCustomerResponse, ImportCustomersRequest,
        ImportCustomersResponse, ListCopiesRequest, ListCopiesResponse, ListCustomersRequest,
        ListCustomersResponse, ListImportsRequest, ListImportsResponse, MasterImport, PurgeMasterRequest,
        PurgeMasterResponse, RowError, SearchCustomerRequest, SearchCustomerResponse,
        customer_service_server::CustomerService,
    },
    convert::{company, content::timestamp},
};
use musubi_runtime::{
    Clock,
    grpc::{auth, status::to_status},
};
use musubi_storage::company::{CompanyStore, ImportRecord, Note};
use tokio::sync::Semaphore;
use tonic::{Request, Response, Status, Streaming};
use tracing::info;

use crate::{
    config::ImportConfig,
    custody::Custodian,
    import::{Ending, ImportReport, NEXT_PART, import, in_time, receive},
};

/// Customers of a page, unless the request says otherwise, and at most.
const PAGE: (u32, u32) = (100, 1000);

/// The service.
pub(crate) struct Customers {
    store: Arc<dyn CompanyStore>,
    custodian: Arc<Custodian>,
    clock: Arc<dyn Clock>,
    format: AccountFormat,
    limits: ImportConfig,
    import_turn: Semaphore,
}

impl Customers {
    pub(crate) fn new(
        store: Arc<dyn CompanyStore>,
        custodian: Arc<Custodian>,
        clock: Arc<dyn Clock>,
        format: AccountFormat,
        limits: ImportConfig,
    ) -> Self {
        Self { store, custodian, clock, format, limits, import_turn: Semaphore::new(1) }
    }

    /// Writes down who looked at what, before it is given.
    async fn note(
        &self,
        action: &'static str,
        what: impl std::fmt::Display + Send,
        operator: &OperatorName,
    ) -> Result<(), Error> {
        let note = Note::by(action, what, Some(operator));
        Ok(self.store.note(&[note], self.clock.now()).await?)
    }

    /// Takes an upload. That a file was refused which would have become the master is written down, whatever is wrong with it.
    async fn import(
        &self,
        parts: Streaming<ImportCustomersRequest>,
        operator: &OperatorName,
    ) -> Result<ImportReport, Error> {
        let _turn = self.import_turn.try_acquire().map_err(|_taken| {
            Error::new(
                ErrorKind::FailedPrecondition,
                "another import is under way",
                "repeat when it has ended",
            )
        })?;
        let mut parts = in_time(parts, NEXT_PART);
        let first = parts.next().await.transpose()?;
        let dry_run = first.as_ref().is_some_and(|part| part.dry_run);
        let imported = self.import_file(first, parts, dry_run, operator).await;
        if let Err(error) = &imported
            && error.kind == ErrorKind::InvalidArgument
            && !dry_run
        {
            self.note("import_refused", why(error), operator).await?;
        }
        imported
    }

    async fn import_file(
        &self,
        first: Option<ImportCustomersRequest>,
        parts: impl Stream<Item = Result<ImportCustomersRequest, Error>> + Unpin + Send,
        dry_run: bool,
        operator: &OperatorName,
    ) -> Result<ImportReport, Error> {
        let (file, digest) = receive(first, parts, &self.limits).await?;
        let now = self.clock.now();
        let ending = if dry_run { Ending::Compare } else { Ending::Replace(operator, digest) };
        let report = import(file, ending, self.format, &self.limits, &self.store, now).await?;
        if let (Some(tally), false) = (report.tally, dry_run) {
            info!(
                rows = tally.rows,
                added = tally.added,
                changed = tally.changed,
                removed = tally.removed,
                "imported"
            );
            self.custodian.master_changed();
        }
        Ok(report)
    }
}

/// What was wrong with a file as a whole. What its header says instead of columns may be a person's.
fn why(error: &Error) -> String {
    match error.field.as_str() {
        "header" => "header".to_owned(),
        field => format!("{field}: {}", error.problem),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn show_import(record: ImportRecord) -> MasterImport {
    let digest = record.digest.map_or_else(Vec::new, |digest| digest.to_vec());
    MasterImport {
        import_time: Some(timestamp(record.import_time)),
        operator: record.by.map_or_else(String::new, |by| by.to_string()),
        file_digest: hex(&digest),
        encoding: record.encoding,
        rows: record.tally.rows,
        added: record.tally.added,
        changed: record.tally.changed,
        removed: record.tally.removed,
        bad_rows: record.bad_rows,
    }
}

#[tonic::async_trait]
impl CustomerService for Customers {
    async fn import_customers(
        &self,
        request: Request<Streaming<ImportCustomersRequest>>,
    ) -> Result<Response<ImportCustomersResponse>, Status> {
        let operator = auth::operator(&request)?;
        let ImportReport { file, tally } =
            self.import(request.into_inner(), &operator).await.map_err(to_status)?;
        let errors = file.faults.into_iter().map(|row| RowError {
            line: row.line,
            field: row.fault.field,
            problem: row.fault.problem,
            remedy: row.fault.remedy,
        });
        Ok(Response::new(ImportCustomersResponse {
            rows: file.rows,
            added: tally.map_or(0, |tally| tally.added),
            changed: tally.map_or(0, |tally| tally.changed),
            removed: tally.map_or(0, |tally| tally.removed),
            errors: errors.collect(),
            error_count: file.bad_rows,
            encoding: file.encoding.as_str().to_owned(),
        }))
    }

    async fn list_imports(
        &self,
        request: Request<ListImportsRequest>,
    ) -> Result<Response<ListImportsResponse>, Status> {
        let ListImportsRequest { page_size, page_token } = request.into_inner();
        let size = page_size_of(page_size).map_err(to_status)?;
        let before = match page_token.as_str() {
            "" => None,
            token => Some(token.parse().map_err(|_| {
                let remedy = "give the next_page_token of the page before, or none";
                to_status(Error::invalid("page_token", "is no token of ours", remedy))
            })?),
        };
        let page = self.store.list_imports(before, size).await.map_err(to_status)?;
        let full = u32::try_from(page.len()).is_ok_and(|length| length == size);
        let next = page.last().filter(|_| full).map(|last| last.sequence.to_string());
        Ok(Response::new(ListImportsResponse {
            imports: page.into_iter().map(show_import).collect(),
            next_page_token: next.unwrap_or_default(),
        }))
    }

    async fn list_customers(
        &self,
        request: Request<ListCustomersRequest>,
    ) -> Result<Response<ListCustomersResponse>, Status> {
        let operator = auth::operator(&request)?;
        let ListCustomersRequest { page_size, page_token } = request.into_inner();
        let size = page_size_of(page_size).map_err(to_status)?;
        let after = read_token(&page_token).map_err(to_status)?;
        let page = self.store.list_customers(after.as_ref(), size).await.map_err(to_status)?;
        let first = after.map_or_else(|| "the first".to_owned(), |after| after.to_string());
        let what = format!("{} customers after {first}", page.customers.len());
        self.note("customers_listed", what, &operator).await.map_err(to_status)?;
        let full = page.customers.len() == usize::try_from(size).unwrap_or(usize::MAX);
        let last = page.customers.last().filter(|_| full).map(|last| token(&last.customer.customer_id));
        let customers =
            page.customers.into_iter().map(|stored| company::customer(stored.customer, stored.update_time));
        Ok(Response::new(ListCustomersResponse {
            customers: customers.collect(),
            next_page_token: last.unwrap_or_default(),
            total: page.total,
        }))
    }

    async fn get_customer(
        &self,
        request: Request<GetCustomerRequest>,
    ) -> Result<Response<GetCustomerResponse>, Status> {
        let operator = auth::operator(&request)?;
        let customer_id: CustomerId =
            request.into_inner().customer_id.parse().map_err(|error: Error| to_status(error))?;
        let found = self.store.find_customer(&customer_id).await.map_err(to_status)?;
        let stored = found.ok_or_else(|| {
            let missing = Error::new(
                ErrorKind::NotFound,
                "the master has no such customer",
                "see the list of customers",
            );
            to_status(missing.at("customer_id"))
        })?;
        self.note("customer_shown", &customer_id, &operator).await.map_err(to_status)?;
        let customer = company::customer(stored.customer, stored.update_time);
        Ok(Response::new(GetCustomerResponse { customer: Some(customer) }))
    }

    async fn erase_customer(
        &self,
        request: Request<EraseCustomerRequest>,
    ) -> Result<Response<EraseCustomerResponse>, Status> {
        let operator = auth::operator(&request)?;
        let customer_id: CustomerId =
            request.into_inner().customer_id.parse().map_err(|error: Error| to_status(error))?;
        let now = self.clock.now();
        let erased = self.store.erase_customer(&customer_id, &operator, now).await.map_err(to_status)?;
        if erased {
            info!("erased a customer");
            self.custodian.master_changed();
        }
        Ok(Response::new(EraseCustomerResponse { erased }))
    }

    async fn search_customer(
        &self,
        request: Request<SearchCustomerRequest>,
    ) -> Result<Response<SearchCustomerResponse>, Status> {
        let operator = auth::operator(&request)?;
        let customer_id: CustomerId =
            request.into_inner().customer_id.parse().map_err(|error: Error| to_status(error))?;
        let found = self.store.search_customer(&customer_id).await.map_err(to_status)?;
        self.note("customer_searched", &customer_id, &operator).await.map_err(to_status)?;
        let tables = found.into_iter().map(|(table, rows)| CustomerRows { table, rows });
        Ok(Response::new(SearchCustomerResponse { tables: tables.collect() }))
    }

    async fn entrust_master(
        &self,
        request: Request<EntrustMasterRequest>,
    ) -> Result<Response<EntrustMasterResponse>, Status> {
        let operator = auth::operator(&request)?;
        let EntrustMasterRequest { lease_seconds, blind } = request.into_inner();
        let lease = Duration::from_secs(lease_seconds);
        let entrusted = self.custodian.entrust(lease, blind, Some(&operator)).await.map_err(to_status)?;
        Ok(Response::new(EntrustMasterResponse {
            customers: entrusted.customers,
            lease_end_time: entrusted.lease_end_time.map(timestamp),
            blind: entrusted.digest_rules.is_some(),
        }))
    }

    async fn list_copies(
        &self,
        _request: Request<ListCopiesRequest>,
    ) -> Result<Response<ListCopiesResponse>, Status> {
        let copies = self.custodian.copies().await.map_err(to_status)?;
        Ok(Response::new(ListCopiesResponse { copies: copies.into_iter().map(Into::into).collect() }))
    }

    async fn purge_master(
        &self,
        request: Request<PurgeMasterRequest>,
    ) -> Result<Response<PurgeMasterResponse>, Status> {
        let operator = auth::operator(&request)?;
        let purged = self.custodian.purge(&operator).await.map_err(to_status)?;
        Ok(Response::new(PurgeMasterResponse { purged }))
    }
}

fn page_size_of(asked: u32) -> Result<u32, Error> {
    let (usual, most) = PAGE;
    match asked {
        0 => Ok(usual),
        size if size <= most => Ok(size),
        size => Err(Error::invalid("page_size", size.to_string(), format!("ask for at most {most}"))),
    }
}

/// Where a page ended: opaque to callers.
fn token(last: &CustomerId) -> String {
    URL_SAFE_NO_PAD.encode(last.as_str())
}

fn read_token(token: &str) -> Result<Option<CustomerId>, Error> {
    if token.is_empty() {
        return Ok(None);
    }
    let bytes = URL_SAFE_NO_PAD.decode(token).ok();
    let last = bytes.and_then(|bytes| String::from_utf8(bytes).ok()).and_then(|text| text.parse().ok());
    let last = last.ok_or_else(|| {
        Error::invalid("page_token", "no token of a page", "give next_page_token as it came")
    })?;
    Ok(Some(last))
}
