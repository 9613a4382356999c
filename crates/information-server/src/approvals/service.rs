//! `ApprovalService`.

use std::sync::Arc;

use musubi_domain::{
    Error, ErrorKind,
    approval::Act,
    erasure::{Cause, Erasure},
    id::{ApprovalId, CompanyId},
    review::Verdict,
};
use musubi_proto::{
    convert::information as convert,
    information::v1::{self as wire, approval_service_server::ApprovalService},
};
use musubi_runtime::{
    Clock,
    grpc::{auth, status::to_status},
};
use musubi_storage::information::{
    FollowerKey, InformationStore,
    approval::{Approval, ApprovalQuery, Word},
    erasure::Asker,
};
use tonic::{Request, Response, Status};

use super::show_approval;
use crate::{
    directory::{Account, Company, Directory},
    scene::Scene,
};

/// The approvals of a page when nobody says, and the most.
const PAGE: (u32, u32) = (100, 1_000);

/// What companies ask of approvals.
pub struct ApprovalsService {
    store: Arc<dyn InformationStore>,
    clock: Arc<dyn Clock>,
    directory: Arc<Directory>,
}

impl ApprovalsService {
    /// Works on this store for the companies of this directory.
    #[must_use]
    pub fn new(store: Arc<dyn InformationStore>, clock: Arc<dyn Clock>, directory: Arc<Directory>) -> Self {
        Self { store, clock, directory }
    }

    fn query(company: CompanyId, request: &wire::ListApprovalsRequest) -> Result<ApprovalQuery, Error> {
        let limit = match request.page_size {
            0 => PAGE.0,
            size if size <= PAGE.1 => size,
            size => {
                let problem = format!("{size} approvals");
                return Err(Error::invalid("page_size", problem, "ask for 1 to 1,000, or 0 for 100"));
            }
        };
        let after = match request.page_token.as_str() {
            "" => None,
            token => Some(token.parse().map_err(|_| {
                let remedy = "give the next_page_token of the page before, or none";
                Error::invalid("page_token", "is no token of ours", remedy)
            })?),
        };
        Ok(ApprovalQuery { company, state: convert::approval_state(request.state)?, after, limit })
    }

    async fn decide(
        &self,
        company: CompanyId,
        id: &str,
        operator: &str,
        verdict: Verdict,
    ) -> Result<wire::Approval, Error> {
        let word = Word { id: parse_id(id)?, verdict, asker: Asker { company, operator: operator.parse()? } };
        let asked = self.store.get_approval(&word.asker.company, word.id).await?;
        let erasures = match (asked.subject.act(), verdict) {
            (Act::Erase, Verdict::Approved) => self.erasures(&asked)?,
            (Act::Export | Act::Erase | Act::Release, Verdict::Approved | Verdict::Rejected) => Vec::new(),
        };
        let decided = self.store.decide_approval(&word, &erasures, self.clock.now()).await?;
        Ok(show_approval(&decided, false))
    }

    /// What an approval has to be erased. Whom it names never changes while it is open.
    fn erasures(&self, approval: &Approval) -> Result<Vec<Erasure>, Error> {
        let now = self.clock.now();
        let erasure = |key| {
            let (account, company) = self.account_of(key)?;
            Ok(Scene { account, company, now }.erasure(key, Cause::Company))
        };
        approval.people.iter().map(erasure).collect()
    }

    fn account_of(&self, key: &FollowerKey) -> Result<(&Account, &Company), Error> {
        self.directory.account_and_company(&key.account).ok_or_else(|| {
            let problem = format!("the official account {} is configured no longer", key.account);
            Error::new(ErrorKind::FailedPrecondition, problem, "have it configured again").at("approval_id")
        })
    }
}

fn parse_id(id: &str) -> Result<ApprovalId, Error> {
    id.parse().map_err(|error: Error| Error { kind: ErrorKind::NotFound, ..error })
}

#[tonic::async_trait]
impl ApprovalService for ApprovalsService {
    async fn list_approvals(
        &self,
        request: Request<wire::ListApprovalsRequest>,
    ) -> Result<Response<wire::ListApprovalsResponse>, Status> {
        let company = auth::company(&request)?;
        let query = Self::query(company, &request.into_inner()).map_err(to_status)?;
        let page = self.store.list_approvals(&query).await.map_err(to_status)?;
        let full = u32::try_from(page.len()).is_ok_and(|length| length == query.limit);
        let last = page.last().filter(|_| full);
        let next_page_token = last.map_or_else(String::new, |approval| approval.id.to_string());
        let approvals = page.iter().map(|approval| show_approval(approval, false)).collect();
        Ok(Response::new(wire::ListApprovalsResponse { approvals, next_page_token }))
    }

    async fn get_approval(
        &self,
        request: Request<wire::GetApprovalRequest>,
    ) -> Result<Response<wire::GetApprovalResponse>, Status> {
        let company = auth::company(&request)?;
        let id = parse_id(&request.into_inner().approval_id).map_err(to_status)?;
        let found = self.store.get_approval(&company, id).await.map_err(to_status)?;
        Ok(Response::new(wire::GetApprovalResponse { approval: Some(show_approval(&found, true)) }))
    }

    async fn grant_approval(
        &self,
        request: Request<wire::GrantApprovalRequest>,
    ) -> Result<Response<wire::GrantApprovalResponse>, Status> {
        let company = auth::company(&request)?;
        let wire::GrantApprovalRequest { approval_id, operator } = request.into_inner();
        let decided = self.decide(company, &approval_id, &operator, Verdict::Approved).await;
        let approval = Some(decided.map_err(to_status)?);
        Ok(Response::new(wire::GrantApprovalResponse { approval }))
    }

    async fn reject_approval(
        &self,
        request: Request<wire::RejectApprovalRequest>,
    ) -> Result<Response<wire::RejectApprovalResponse>, Status> {
        let company = auth::company(&request)?;
        let wire::RejectApprovalRequest { approval_id, operator } = request.into_inner();
        let decided = self.decide(company, &approval_id, &operator, Verdict::Rejected).await;
        let approval = Some(decided.map_err(to_status)?);
        Ok(Response::new(wire::RejectApprovalResponse { approval }))
    }
}
