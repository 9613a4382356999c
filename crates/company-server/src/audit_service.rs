//! `AuditService`: the company's auditors read this server's audit and have its seals recomputed.
//!
//! Nothing is written. Surprising: lines are looked for from the newest back and only so far in one call, so that a rare word costs no more than a page of many.

use std::sync::Arc;

use musubi_domain::{
    Error,
    audit::{AuditKeyring, AuditLine},
    error::shape,
};
use musubi_proto::{
    company::v1::{self as wire, audit_service_server::AuditService},
    convert::content::timestamp,
};
use musubi_runtime::{Clock, grpc::status::to_status};
use musubi_storage::{audit::verify, company::CompanyStore};
use tonic::{Request, Response, Status};

/// Lines of a page, unless the request says otherwise, and at most.
const PAGE: (u32, u32) = (100, 1_000);
/// Lines that are read at once, and how often for one call.
const READ: (u32, u32) = (4_000, 10);
/// The longest word and the longest text that are looked for.
const LONGEST: (usize, usize) = (100, 200);

/// The service.
pub(crate) struct Audits {
    store: Arc<dyn CompanyStore>,
    clock: Arc<dyn Clock>,
    keys: AuditKeyring,
}

/// What is looked for.
struct Search {
    action: String,
    text: String,
    size: usize,
    before: i64,
}

impl Search {
    fn parse(request: wire::ListAuditLinesRequest) -> Result<Self, Error> {
        let wire::ListAuditLinesRequest { action, text, page_size, page_token } = request;
        if action.len() > LONGEST.0 || !action.bytes().all(|b| b.is_ascii_lowercase() || b == b'_') {
            let remedy = "write a word of the audit, such as customer_shown, or nothing";
            return Err(Error::invalid("action", format!("{} is none", shape(&action)), remedy));
        }
        if text.chars().count() > LONGEST.1 {
            return Err(Error::invalid("text", shape(&text), "write at most 200 characters"));
        }
        let size = match page_size {
            0 => PAGE.0,
            size if size <= PAGE.1 => size,
            size => {
                let problem = format!("{size} lines");
                return Err(Error::invalid("page_size", problem, "ask for 1 to 1,000, or 0 for 100"));
            }
        };
        let before = match page_token.as_str() {
            "" => i64::MAX,
            token => token.parse().map_err(|_| {
                let remedy = "give the next_page_token of the page before, or none";
                Error::invalid("page_token", "is no token of ours", remedy)
            })?,
        };
        Ok(Self { action, text, size: usize::try_from(size).unwrap_or(usize::MAX), before })
    }

    fn wants(&self, line: &AuditLine) -> bool {
        (self.action.is_empty() || line.action == self.action) && line.detail.contains(&self.text)
    }
}

impl Audits {
    pub(crate) fn new(store: Arc<dyn CompanyStore>, clock: Arc<dyn Clock>, keys: AuditKeyring) -> Self {
        Self { store, clock, keys }
    }

    async fn list(&self, search: Search) -> Result<wire::ListAuditLinesResponse, Error> {
        let (mut found, mut before) = (Vec::new(), search.before);
        let (limit, times) = READ;
        for _ in 0..times {
            let read = self.store.audit_lines_before(before, limit).await?;
            let was_last = u32::try_from(read.len()).is_ok_and(|count| count < limit);
            for line in read {
                before = line.audit_id;
                if search.wants(&line) {
                    found.push(shown(line));
                }
                if found.len() == search.size {
                    return Ok(wire::ListAuditLinesResponse {
                        lines: found,
                        next_page_token: before.to_string(),
                    });
                }
            }
            if was_last {
                return Ok(wire::ListAuditLinesResponse { lines: found, next_page_token: String::new() });
            }
        }
        Ok(wire::ListAuditLinesResponse { lines: found, next_page_token: before.to_string() })
    }

    async fn verify(&self) -> Result<wire::VerifyAuditResponse, Error> {
        let verdict = verify(&*self.store, &self.keys, None).await?;
        let is_late = verdict.is_late(self.clock.now());
        let broken = verdict
            .broken
            .map(|it| format!("seal {}, lines {} to {}: {}", it.number, it.first_id, it.last_id, it.fault));
        Ok(wire::VerifyAuditResponse {
            seals: verdict.seals,
            lines: verdict.lines,
            head: verdict.head.map(|head| head.to_string()).unwrap_or_default(),
            unsealed: verdict.unsealed,
            unsealed_begin_time: verdict.unsealed_since.map(timestamp),
            is_late,
            broken: broken.unwrap_or_default(),
        })
    }
}

fn shown(line: AuditLine) -> wire::AuditLine {
    wire::AuditLine {
        audit_id: line.audit_id,
        write_time: Some(timestamp(line.time)),
        action: line.action,
        detail: line.detail,
    }
}

#[tonic::async_trait]
impl AuditService for Audits {
    async fn list_audit_lines(
        &self,
        request: Request<wire::ListAuditLinesRequest>,
    ) -> Result<Response<wire::ListAuditLinesResponse>, Status> {
        let search = Search::parse(request.into_inner()).map_err(to_status)?;
        self.list(search).await.map(Response::new).map_err(to_status)
    }

    async fn verify_audit(
        &self,
        _request: Request<wire::VerifyAuditRequest>,
    ) -> Result<Response<wire::VerifyAuditResponse>, Status> {
        self.verify().await.map(Response::new).map_err(to_status)
    }
}
