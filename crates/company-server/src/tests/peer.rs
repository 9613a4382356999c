//! A peer in the information-management server's place: remembers what it is told, answers what a test needs.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use musubi_domain::{Error, ErrorKind, caller::Caller};
use musubi_proto::{
    callers::INFORMATION,
    convert::content::timestamp,
    information::v1::{
        account_service_server::{AccountService, AccountServiceServer},
        approval_service_server::{ApprovalService, ApprovalServiceServer},
        audit_service_server::{AuditService, AuditServiceServer},
        custody_service_server::{CustodyService, CustodyServiceServer},
        distribution_service_server::{DistributionService, DistributionServiceServer},
        follower_service_server::{FollowerService, FollowerServiceServer},
        review_service_server::{ReviewService, ReviewServiceServer},
        *,
    },
};
use musubi_runtime::{
    Shutdown,
    config::{Endpoint, ListenAddress},
    grpc::{
        auth::{self, Authenticator},
        server::Server,
        status::to_status,
    },
    tls::{Identity, TlsConfig, authority::Authority},
};
use tempfile::TempDir;
use tonic::{Request, Response, Status, Streaming, service::Routes};

/// What the peer was told.
#[derive(Default)]
pub(super) struct Told {
    /// Customers of the copy that is in effect.
    pub(super) entrusted: Option<Vec<EntrustedCustomer>>,
    /// Customers of the blind copy that is in effect, and what they were digested with.
    pub(super) digests: Option<(Vec<BlindCustomer>, Vec<u8>, u32)>,
    /// How many copies took effect.
    pub(super) copies: u32,
    /// The largest chunk of the last copy.
    pub(super) largest_chunk: usize,
    /// Values uploaded.
    pub(super) values: Vec<CustomerValues>,
    /// Names of the calls, with the company that called.
    pub(super) calls: Vec<String>,
}

pub(super) struct Peer {
    pub(super) endpoint: Endpoint,
    pub(super) told: Arc<Mutex<Told>>,
    folder: TempDir,
    _shutdown: Shutdown,
}

impl Peer {
    pub(super) async fn start() -> Self {
        let listen: ListenAddress = "127.0.0.1:0".parse().unwrap();
        let bound = Server::bind(listen).await.unwrap();
        let endpoint = bound.endpoint();
        let told = Arc::new(Mutex::new(Told::default()));
        let service = Service(Arc::clone(&told));
        let mut routes = Routes::builder();
        routes
            .add_service(CustodyServiceServer::new(service.clone()))
            .add_service(AccountServiceServer::new(service.clone()))
            .add_service(FollowerServiceServer::new(service.clone()))
            .add_service(ApprovalServiceServer::new(service.clone()))
            .add_service(ReviewServiceServer::new(service.clone()))
            .add_service(AuditServiceServer::new(service.clone()))
            .add_service(DistributionServiceServer::new(service));
        let auth = Authenticator::new(INFORMATION, ["company/tf-bank".parse().unwrap()]);
        let folder = tempfile::tempdir().unwrap();
        let identity = Authority::of(folder.path()).unwrap().identity(&Caller::Information).unwrap();
        let shutdown = Shutdown::new(Duration::from_secs(1));
        shutdown.spawn("peer", bound.serve(routes.routes(), identity, auth, shutdown.clone()));
        Self { endpoint, told, folder, _shutdown: shutdown }
    }

    /// A certificate of the authority that the peer believes.
    pub(super) fn certificate(&self, party: &str) -> TlsConfig {
        Authority::of(self.folder.path()).unwrap().issue_temporary(&party.parse().unwrap()).unwrap()
    }

    /// The same, ready to call.
    pub(super) fn identity(&self, party: &str) -> Identity {
        Identity::load(&self.certificate(party)).unwrap()
    }
}

#[derive(Clone)]
struct Service(Arc<Mutex<Told>>);

impl Service {
    fn called<T>(&self, name: &str, request: &Request<T>) -> Result<(), Status> {
        let company = auth::company(request)?;
        self.0.lock().unwrap().calls.push(format!("{name} {company}"));
        Ok(())
    }
}

fn lease_end(seconds: u64) -> prost_types::Timestamp {
    let start: jiff::Timestamp = "2026-11-23T03:00:00Z".parse().unwrap();
    timestamp(start + jiff::SignedDuration::from_secs(seconds.cast_signed()))
}

#[tonic::async_trait]
impl CustodyService for Service {
    async fn entrust_customers(
        &self,
        request: Request<Streaming<EntrustCustomersRequest>>,
    ) -> Result<Response<EntrustCustomersResponse>, Status> {
        self.called("entrust", &request)?;
        let mut chunks = request.into_inner();
        let (mut customers, mut lease, mut largest) = (vec![], 0, 0);
        while let Some(chunk) = chunks.message().await? {
            lease = chunk.lease_seconds;
            largest = largest.max(chunk.customers.len());
            customers.extend(chunk.customers);
        }
        let custody = Custody {
            customers: customers.len() as u64,
            lease_end_time: Some(lease_end(lease)),
            ..Custody::default()
        };
        let mut told = self.0.lock().unwrap();
        told.entrusted = Some(customers);
        told.copies += 1;
        told.largest_chunk = largest;
        Ok(Response::new(EntrustCustomersResponse { custody: Some(custody) }))
    }

    async fn entrust_digests(
        &self,
        request: Request<Streaming<EntrustDigestsRequest>>,
    ) -> Result<Response<EntrustDigestsResponse>, Status> {
        self.called("entrust digests", &request)?;
        let mut chunks = request.into_inner();
        let (mut customers, mut head, mut lease) = (vec![], None, 0);
        while let Some(chunk) = chunks.message().await? {
            lease = chunk.lease_seconds;
            head.get_or_insert((chunk.digest_key, chunk.rules_version));
            customers.extend(chunk.customers);
        }
        let (key, rules) = head.unwrap_or_default();
        let custody = Custody {
            customers: customers.len() as u64,
            lease_end_time: Some(lease_end(lease)),
            digest_rules: rules,
            ..Custody::default()
        };
        let mut told = self.0.lock().unwrap();
        told.entrusted = None;
        told.digests = Some((customers, key, rules));
        told.copies += 1;
        Ok(Response::new(EntrustDigestsResponse { custody: Some(custody) }))
    }

    async fn purge_customers(
        &self,
        request: Request<PurgeCustomersRequest>,
    ) -> Result<Response<PurgeCustomersResponse>, Status> {
        self.called("purge", &request)?;
        let purged = self.0.lock().unwrap().entrusted.take().map_or(0, |copy| copy.len() as u64);
        Ok(Response::new(PurgeCustomersResponse { purged }))
    }

    async fn get_custody(
        &self,
        _: Request<GetCustodyRequest>,
    ) -> Result<Response<GetCustodyResponse>, Status> {
        let held = Custody { customers: 3, digest_rules: 1, outdated: true, ..Custody::default() };
        Ok(Response::new(GetCustodyResponse { custodies: vec![held] }))
    }
}

#[tonic::async_trait]
impl AccountService for Service {
    async fn list_accounts(
        &self,
        request: Request<ListAccountsRequest>,
    ) -> Result<Response<ListAccountsResponse>, Status> {
        self.called("accounts", &request)?;
        Ok(Response::new(ListAccountsResponse::default()))
    }
}

#[tonic::async_trait]
impl FollowerService for Service {
    async fn get_funnel(
        &self,
        request: Request<GetFunnelRequest>,
    ) -> Result<Response<GetFunnelResponse>, Status> {
        self.called("funnel", &request)?;
        let official_account = request.into_inner().official_account;
        let funnel = Funnel { official_account, followers: 7, ..Funnel::default() };
        Ok(Response::new(GetFunnelResponse { funnels: vec![funnel], ..GetFunnelResponse::default() }))
    }

    async fn list_followers(
        &self,
        request: Request<ListFollowersRequest>,
    ) -> Result<Response<ListFollowersResponse>, Status> {
        self.called("followers", &request)?;
        let unknown = Error::new(ErrorKind::NotFound, "no such official account", "see the configured ones");
        Err(to_status(unknown.at("official_account")))
    }

    async fn get_follower(
        &self,
        request: Request<GetFollowerRequest>,
    ) -> Result<Response<GetFollowerResponse>, Status> {
        let GetFollowerRequest { operator, reveal, .. } = request.get_ref();
        self.called(&format!("follower {operator} {reveal}"), &request)?;
        Ok(Response::new(GetFollowerResponse::default()))
    }

    async fn erase_followers(
        &self,
        request: Request<EraseFollowersRequest>,
    ) -> Result<Response<EraseFollowersResponse>, Status> {
        self.called(&format!("erase {}", request.get_ref().operator), &request)?;
        Ok(Response::new(EraseFollowersResponse::default()))
    }

    async fn import_followers(
        &self,
        request: Request<ImportFollowersRequest>,
    ) -> Result<Response<ImportFollowersResponse>, Status> {
        self.called(&format!("import {}", request.get_ref().operator), &request)?;
        Ok(Response::new(ImportFollowersResponse::default()))
    }

    async fn unlock_follower(
        &self,
        request: Request<UnlockFollowerRequest>,
    ) -> Result<Response<UnlockFollowerResponse>, Status> {
        self.called(&format!("unlock {}", request.get_ref().operator), &request)?;
        Ok(Response::new(UnlockFollowerResponse::default()))
    }

    async fn list_days(
        &self,
        request: Request<ListDaysRequest>,
    ) -> Result<Response<ListDaysResponse>, Status> {
        self.called("days", &request)?;
        Ok(Response::new(ListDaysResponse::default()))
    }

    async fn untie_follower(
        &self,
        request: Request<UntieFollowerRequest>,
    ) -> Result<Response<UntieFollowerResponse>, Status> {
        self.called(&format!("untie {}", request.get_ref().operator), &request)?;
        Ok(Response::new(UntieFollowerResponse::default()))
    }

    async fn suspend_follower(
        &self,
        request: Request<SuspendFollowerRequest>,
    ) -> Result<Response<SuspendFollowerResponse>, Status> {
        self.called(&format!("suspend {}", request.get_ref().operator), &request)?;
        Ok(Response::new(SuspendFollowerResponse::default()))
    }

    async fn search_follower(
        &self,
        request: Request<SearchFollowerRequest>,
    ) -> Result<Response<SearchFollowerResponse>, Status> {
        self.called(&format!("search {}", request.get_ref().operator), &request)?;
        Ok(Response::new(SearchFollowerResponse::default()))
    }

    async fn export_follower(
        &self,
        request: Request<ExportFollowerRequest>,
    ) -> Result<Response<ExportFollowerResponse>, Status> {
        self.called(&format!("export {}", request.get_ref().operator), &request)?;
        Ok(Response::new(ExportFollowerResponse::default()))
    }

    async fn release_list(
        &self,
        request: Request<ReleaseListRequest>,
    ) -> Result<Response<ReleaseListResponse>, Status> {
        self.called(&format!("release {}", request.get_ref().operator), &request)?;
        Ok(Response::new(ReleaseListResponse::default()))
    }
}

#[tonic::async_trait]
impl ApprovalService for Service {
    async fn list_approvals(
        &self,
        request: Request<ListApprovalsRequest>,
    ) -> Result<Response<ListApprovalsResponse>, Status> {
        self.called("approvals", &request)?;
        Ok(Response::new(ListApprovalsResponse::default()))
    }

    async fn get_approval(
        &self,
        request: Request<GetApprovalRequest>,
    ) -> Result<Response<GetApprovalResponse>, Status> {
        self.called("approval", &request)?;
        Ok(Response::new(GetApprovalResponse::default()))
    }

    async fn grant_approval(
        &self,
        request: Request<GrantApprovalRequest>,
    ) -> Result<Response<GrantApprovalResponse>, Status> {
        self.called(&format!("grant {}", request.get_ref().operator), &request)?;
        Ok(Response::new(GrantApprovalResponse::default()))
    }

    async fn reject_approval(
        &self,
        request: Request<RejectApprovalRequest>,
    ) -> Result<Response<RejectApprovalResponse>, Status> {
        self.called(&format!("refuse {}", request.get_ref().operator), &request)?;
        Ok(Response::new(RejectApprovalResponse::default()))
    }
}

#[tonic::async_trait]
impl ReviewService for Service {
    async fn list_reviews(
        &self,
        request: Request<ListReviewsRequest>,
    ) -> Result<Response<ListReviewsResponse>, Status> {
        self.called("reviews", &request)?;
        Ok(Response::new(ListReviewsResponse::default()))
    }

    async fn get_review(
        &self,
        request: Request<GetReviewRequest>,
    ) -> Result<Response<GetReviewResponse>, Status> {
        self.called(&format!("get {}", request.get_ref().operator), &request)?;
        Ok(Response::new(GetReviewResponse::default()))
    }

    async fn approve_review(
        &self,
        request: Request<ApproveReviewRequest>,
    ) -> Result<Response<ApproveReviewResponse>, Status> {
        self.called(&format!("approve {}", request.get_ref().operator), &request)?;
        Ok(Response::new(ApproveReviewResponse::default()))
    }

    async fn reject_review(
        &self,
        request: Request<RejectReviewRequest>,
    ) -> Result<Response<RejectReviewResponse>, Status> {
        self.called(&format!("reject {}", request.get_ref().operator), &request)?;
        Ok(Response::new(RejectReviewResponse::default()))
    }
}

#[tonic::async_trait]
impl AuditService for Service {
    async fn list_information_audit_lines(
        &self,
        request: Request<ListInformationAuditLinesRequest>,
    ) -> Result<Response<ListInformationAuditLinesResponse>, Status> {
        let account = &request.get_ref().official_account;
        self.called(&format!("audit of {account}"), &request)?;
        let line = AuditLine { audit_id: 7, action: "tied".to_owned(), ..AuditLine::default() };
        Ok(Response::new(ListInformationAuditLinesResponse {
            lines: vec![line],
            next_page_token: String::new(),
        }))
    }

    async fn verify_information_audit(
        &self,
        request: Request<VerifyInformationAuditRequest>,
    ) -> Result<Response<VerifyInformationAuditResponse>, Status> {
        self.called("verify", &request)?;
        Ok(Response::new(VerifyInformationAuditResponse {
            head: "3:ab".to_owned(),
            ..VerifyInformationAuditResponse::default()
        }))
    }
}

macro_rules! answers {
    ($($method:ident: $request:ident $(by $operator:ident)? => $response:ident,)+) => {
        #[tonic::async_trait]
        impl DistributionService for Service {
            async fn upload_values(
                &self,
                request: Request<Streaming<UploadValuesRequest>>,
            ) -> Result<Response<UploadValuesResponse>, Status> {
                self.called("upload_values", &request)?;
                let mut chunks = request.into_inner();
                while let Some(chunk) = chunks.message().await? {
                    self.0.lock().unwrap().calls.push(format!("values {}", chunk.operator));
                    self.0.lock().unwrap().values.extend(chunk.customers);
                }
                let values = self.0.lock().unwrap().values.len() as u64;
                Ok(Response::new(UploadValuesResponse { values }))
            }

            $(
                async fn $method(&self, request: Request<$request>) -> Result<Response<$response>, Status> {
                    let by = [stringify!($method), $(&request.get_ref().$operator)?].join(" ");
                    self.called(&by, &request)?;
                    Ok(Response::new($response::default()))
                }
            )+
        }
    };
}

answers! {
    create_distribution: CreateDistributionRequest by operator => CreateDistributionResponse,
    preview_distribution: PreviewDistributionRequest by operator => PreviewDistributionResponse,
    try_distribution: TryDistributionRequest by operator => TryDistributionResponse,
    list_trials: ListTrialsRequest => ListTrialsResponse,
    submit_distribution: SubmitDistributionRequest by operator => SubmitDistributionResponse,
    return_distribution: ReturnDistributionRequest by operator => ReturnDistributionResponse,
    start_distribution: StartDistributionRequest by operator => StartDistributionResponse,
    pause_distribution: PauseDistributionRequest by operator => PauseDistributionResponse,
    resume_distribution: ResumeDistributionRequest by operator => ResumeDistributionResponse,
    cancel_distribution: CancelDistributionRequest by operator => CancelDistributionResponse,
    get_distribution: GetDistributionRequest => GetDistributionResponse,
    list_distributions: ListDistributionsRequest => ListDistributionsResponse,
}
