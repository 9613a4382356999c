//! `AuditService`: a company reads what the audit tells of it and its followers, and is told whether the whole of it stands.
//!
//! Nothing is written, and of other companies' lines nothing is told, not even how many there are. Surprising: a look at all seals is shared by whoever
//! asks within a minute, because it reads every line that there is.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use musubi_domain::{
    Error,
    audit::{AuditKeyring, AuditLine, Search},
    id::{CompanyId, OfficialAccountId},
};
use musubi_proto::{
    convert::content::timestamp,
    information::v1::{self as wire, audit_service_server::AuditService},
};
use musubi_runtime::{
    Clock,
    grpc::{auth, status::to_status},
};
use musubi_storage::{
    audit::{Verdict, search, verify},
    information::InformationStore,
};
use tokio::sync::Mutex;
use tonic::{Request, Response, Status};

use crate::directory::Directory;

/// How long a verdict is good.
const GOOD_FOR: SignedDuration = SignedDuration::from_mins(1);

/// What companies ask of the audit.
pub struct Audits {
    store: Arc<dyn InformationStore>,
    clock: Arc<dyn Clock>,
    directory: Arc<Directory>,
    keys: AuditKeyring,
    /// The last verdict, and when it was found; who looks just now holds it.
    verdict: Mutex<Option<(Timestamp, Verdict)>>,
}

impl Audits {
    /// Shows the companies of this directory what stands in this store, and checks its seals with these keys.
    #[must_use]
    pub fn new(
        store: Arc<dyn InformationStore>,
        clock: Arc<dyn Clock>,
        directory: Arc<Directory>,
        keys: AuditKeyring,
    ) -> Self {
        Self { store, clock, directory, keys, verdict: Mutex::default() }
    }

    async fn list(
        &self,
        company: &CompanyId,
        request: wire::ListInformationAuditLinesRequest,
    ) -> Result<wire::ListInformationAuditLinesResponse, Error> {
        let wire::ListInformationAuditLinesRequest { official_account, action, text, page_size, page_token } =
            request;
        let account: Option<&OfficialAccountId> = match official_account.as_str() {
            "" => None,
            named => Some(&self.directory.own_account(company, named)?.id),
        };
        let wanted = Search::parse(action, text, page_size, &page_token)?;
        let read = |before, limit| self.store.audit_lines_of(company, account, before, limit);
        let (lines, next) = search(&wanted, read).await?;
        Ok(wire::ListInformationAuditLinesResponse {
            lines: lines.into_iter().map(shown).collect(),
            next_page_token: next.map(|next| next.to_string()).unwrap_or_default(),
        })
    }

    async fn verify(&self) -> Result<wire::VerifyInformationAuditResponse, Error> {
        let mut kept = self.verdict.lock().await;
        let now = self.clock.now();
        let (time, verdict) = match kept.take() {
            Some((time, verdict)) if now.duration_since(time) < GOOD_FOR => (time, verdict),
            Some(_) | None => (now, verify(&*self.store, &self.keys, None).await?),
        };
        let broken = verdict.broken.as_ref().map(|it| format!("seal {}: {}", it.number, it.fault));
        let answer = wire::VerifyInformationAuditResponse {
            verify_time: Some(timestamp(time)),
            head: verdict.head.map(|head| head.to_string()).unwrap_or_default(),
            is_late: verdict.is_late(time),
            broken: broken.unwrap_or_default(),
        };
        *kept = Some((time, verdict));
        Ok(answer)
    }
}

fn shown(line: AuditLine) -> wire::AuditLine {
    wire::AuditLine {
        audit_id: line.audit_id,
        write_time: Some(timestamp(line.time)),
        follower_id: line.follower.unwrap_or_default(),
        action: line.action,
        detail: line.detail,
    }
}

#[tonic::async_trait]
impl AuditService for Audits {
    async fn list_information_audit_lines(
        &self,
        request: Request<wire::ListInformationAuditLinesRequest>,
    ) -> Result<Response<wire::ListInformationAuditLinesResponse>, Status> {
        let company = auth::company(&request)?;
        self.list(&company, request.into_inner()).await.map(Response::new).map_err(to_status)
    }

    async fn verify_information_audit(
        &self,
        request: Request<wire::VerifyInformationAuditRequest>,
    ) -> Result<Response<wire::VerifyInformationAuditResponse>, Status> {
        auth::company(&request)?;
        self.verify().await.map(Response::new).map_err(to_status)
    }
}
