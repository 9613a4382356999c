//! The customer master: an import with its report, customers one by one, what is entrusted.
//!
//! The list shows ids alone; a customer's data is shown one at a time, and each look is in the audit. Surprising: an import asks for a dry run first by its form, because what one
//! sends for good replaces every customer.

use askama::Template;
use axum::{
    Form, Router,
    extract::{DefaultBodyLimit, Multipart, Path, Query},
    response::{Html, Redirect},
    routing::{get, post},
};
use futures::stream;
use musubi_domain::{Error, ErrorKind};
use musubi_proto::company::v1::{
    Customer, EntrustMasterRequest, EraseCustomerRequest, GetCustomerRequest, ImportCustomersRequest,
    ImportCustomersResponse, ListCopiesRequest, ListCustomersRequest, ListImportsRequest, MasterCopy,
    MasterImport, PurgeMasterRequest, RowError,
};
use musubi_runtime::grpc::status::from_status;
use serde::Deserialize;
use std::io::{Read as _, Seek as _};
use tokio::sync::mpsc;

use super::{Console, failure::Failure, shell::Shell, uploaded::uploaded, visitor::Visitor};

/// Customers of a page.
const PAGE: u32 = 100;
/// Imports that are shown; `musubi customers history` tells of all.
const IMPORTS: u32 = 20;
/// Bytes of one part of a file.
const PART: usize = 200 * 1024;
/// Parts that wait to be sent.
const AHEAD: usize = 4;
/// The field that says that a file is only checked.
const DRY_RUN: &str = "dry_run";

pub(super) fn router(largest_file: usize) -> Router<Console> {
    Router::new()
        .route("/master", get(page))
        .route("/master/import", post(import).layer(DefaultBodyLimit::max(largest_file)))
        .route("/master/customers", get(customers))
        .route("/master/customers/{id}", get(customer))
        .route("/master/customers/{id}/erase", post(erase))
        .route("/master/find", post(find))
        .route("/master/entrust", post(entrust))
        .route("/master/purge", post(purge))
}

#[derive(Template)]
#[template(path = "master.html")]
struct MasterPage {
    s: Shell,
    total: Option<u64>,
    /// None: the visitor may not know, or the other server doesn't answer.
    copies: Option<Vec<MasterCopy>>,
    failed: Option<Error>,
    /// The newest; none: the visitor may not know.
    imports: Option<Vec<MasterImport>>,
}

async fn page(visitor: Visitor) -> Result<Html<String>, Failure> {
    let count = async {
        if !visitor.s.may("ListCustomers") {
            return Ok(None);
        }
        let request = ListCustomersRequest { page_size: 1, page_token: String::new() };
        visitor.customers().list_customers(request).await.map(|page| Some(page.into_inner().total))
    };
    let copies = async {
        if !visitor.s.may("ListCopies") {
            return (None, None);
        }
        match visitor.customers().list_copies(ListCopiesRequest {}).await {
            Ok(listed) => (Some(listed.into_inner().copies), None),
            Err(status) => (None, Some(from_status(&status))),
        }
    };
    let imports = async {
        if !visitor.s.may("ListImports") {
            return Ok(None);
        }
        let request = ListImportsRequest { page_size: IMPORTS, page_token: String::new() };
        visitor.customers().list_imports(request).await.map(|page| Some(page.into_inner().imports))
    };
    let (total, (copies, failed), imports) = tokio::join!(count, copies, imports);
    let (total, imports) = (total?, imports?);
    Ok(Html(MasterPage { total, copies, failed, imports, s: visitor.s }.render()?))
}

#[derive(Template)]
#[template(path = "import.html")]
struct ImportPage {
    s: Shell,
    file: String,
    dry_run: bool,
    report: ImportCustomersResponse,
    /// Of the file as a whole.
    failed: Option<Error>,
}

impl ImportPage {
    /// What is wrong with a row.
    fn error(&self, row: &RowError) -> Error {
        Error::invalid(&*row.field, &*row.problem, &*row.remedy)
    }
}

async fn import(visitor: Visitor, form: Multipart) -> Result<Html<String>, Failure> {
    let sent = uploaded(form).await?;
    let dry_run = sent.fields.iter().any(|field| field == DRY_RUN);
    let (parts, received) = mpsc::channel(AHEAD);
    let mut file = sent.file;
    let reading = tokio::task::spawn_blocking(move || -> std::io::Result<()> {
        file.rewind()?;
        loop {
            let mut chunk = Vec::with_capacity(PART);
            file.by_ref().take(PART as u64).read_to_end(&mut chunk)?;
            let is_last = chunk.is_empty();
            if parts.blocking_send(ImportCustomersRequest { dry_run, chunk }).is_err() || is_last {
                return Ok(());
            }
        }
    });
    let parts =
        stream::unfold(received, |mut parts| async move { parts.recv().await.map(|part| (part, parts)) });
    let answer = visitor.imports().import_customers(parts).await;
    let unread = || Error::new(ErrorKind::Unavailable, "the upload can not be read", "repeat it");
    reading.await.map_err(|_| unread())?.map_err(|_| unread())?;
    let (report, failed) = match answer {
        Ok(report) => (report.into_inner(), None),
        Err(status) => match from_status(&status) {
            error if error.kind == ErrorKind::InvalidArgument => {
                (ImportCustomersResponse::default(), Some(error))
            }
            error => return Err(error.into()),
        },
    };
    Ok(Html(ImportPage { s: visitor.s, file: sent.name, dry_run, report, failed }.render()?))
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    page: String,
}

#[derive(Template)]
#[template(path = "customers.html")]
struct CustomersPage {
    s: Shell,
    total: u64,
    customers: Vec<Customer>,
    next: String,
}

async fn customers(visitor: Visitor, Query(choice): Query<Choice>) -> Result<Html<String>, Failure> {
    let request = ListCustomersRequest { page_size: PAGE, page_token: choice.page };
    let page = visitor.customers().list_customers(request).await?.into_inner();
    let (total, next) = (page.total, page.next_page_token);
    Ok(Html(CustomersPage { s: visitor.s, total, customers: page.customers, next }.render()?))
}

#[derive(Template)]
#[template(path = "customer.html")]
struct CustomerPage {
    s: Shell,
    customer: Customer,
}

async fn customer(visitor: Visitor, Path(id): Path<String>) -> Result<Html<String>, Failure> {
    let found = visitor.customers().get_customer(GetCustomerRequest { customer_id: id }).await?.into_inner();
    Ok(Html(CustomerPage { s: visitor.s, customer: found.customer.unwrap_or_default() }.render()?))
}

#[derive(Deserialize)]
struct Wanted {
    customer: String,
}

async fn find(_visitor: Visitor, Form(wanted): Form<Wanted>) -> Redirect {
    Redirect::to(&format!("/master/customers/{}", super::visitor::encoded(wanted.customer.trim())))
}

async fn erase(visitor: Visitor, Path(id): Path<String>) -> Result<Redirect, Failure> {
    visitor.customers().erase_customer(EraseCustomerRequest { customer_id: id }).await?;
    Ok(Redirect::to("/master?done=removed"))
}

#[derive(Deserialize)]
struct Lease {
    hours: String,
    #[serde(default)]
    blind: String,
}

async fn entrust(visitor: Visitor, Form(lease): Form<Lease>) -> Result<Redirect, Failure> {
    let hours: Result<u64, _> = lease.hours.trim().parse();
    let hours =
        hours.map_err(|_| Error::invalid("lease_seconds", "is no number of hours", "write 1 to 720"))?;
    let request =
        EntrustMasterRequest { lease_seconds: hours.saturating_mul(3_600), blind: !lease.blind.is_empty() };
    visitor.imports().entrust_master(request).await?;
    Ok(Redirect::to("/master?done=entrusted"))
}

async fn purge(visitor: Visitor) -> Result<Redirect, Failure> {
    visitor.customers().purge_master(PurgeMasterRequest {}).await?;
    Ok(Redirect::to("/master?done=purged"))
}
