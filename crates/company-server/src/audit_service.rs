//! `AuditService`: the company's auditors read this server's audit and have its seals recomputed.
//!
//! Nothing is written. Surprising: the whole chain is read to verify it, and a page only as far back as it takes.

use std::sync::Arc;

use musubi_domain::{
    Error,
    audit::{AuditKeyring, AuditLine, Search},
};
use musubi_proto::{
    company::v1::{self as wire, audit_service_server::AuditService},
    convert::content::timestamp,
};
use musubi_runtime::{Clock, grpc::status::to_status};
use musubi_storage::{
    audit::{search, verify},
    company::CompanyStore,
};
use tonic::{Request, Response, Status};

/// The service.
pub(crate) struct Audits {
    store: Arc<dyn CompanyStore>,
    clock: Arc<dyn Clock>,
    keys: AuditKeyring,
}

impl Audits {
    pub(crate) fn new(store: Arc<dyn CompanyStore>, clock: Arc<dyn Clock>, keys: AuditKeyring) -> Self {
        Self { store, clock, keys }
    }

    async fn list(
        &self,
        request: wire::ListAuditLinesRequest,
    ) -> Result<wire::ListAuditLinesResponse, Error> {
        let wire::ListAuditLinesRequest { action, text, page_size, page_token } = request;
        let wanted = Search::parse(action, text, page_size, &page_token)?;
        let read = |before, limit| self.store.audit_lines_before(before, limit);
        let (lines, next) = search(&wanted, read).await?;
        Ok(wire::ListAuditLinesResponse {
            lines: lines.into_iter().map(shown).collect(),
            next_page_token: next.map(|next| next.to_string()).unwrap_or_default(),
        })
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
        self.list(request.into_inner()).await.map(Response::new).map_err(to_status)
    }

    async fn verify_audit(
        &self,
        _request: Request<wire::VerifyAuditRequest>,
    ) -> Result<Response<wire::VerifyAuditResponse>, Status> {
        self.verify().await.map(Response::new).map_err(to_status)
    }
}
