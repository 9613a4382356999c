//! The information-management server's contracts for this company's operators, passed on unchanged.
//!
//! Only an operator is let through, and goes on under the company's own certificate. Nothing is decided or kept here, and one thing is
//! written: who of the company it is, which nobody can say of themselves.
//! Surprising: a refusal of *that* certificate is turned into another error, because the operator's own was good.

use std::time::Duration;

use futures::TryStreamExt as _;
use musubi_domain::{Error, ErrorKind, id::OperatorName};
use musubi_proto::information::v1::{
    ApproveReviewRequest, ApproveReviewResponse, CancelDistributionRequest, CancelDistributionResponse,
    CreateDistributionRequest, CreateDistributionResponse, EraseFollowersRequest, EraseFollowersResponse,
    ExportFollowerRequest, ExportFollowerResponse, GetApprovalRequest, GetApprovalResponse,
    GetDistributionRequest, GetDistributionResponse, GetFollowerRequest, GetFollowerResponse,
    GetFunnelRequest, GetFunnelResponse, GetReviewRequest, GetReviewResponse, GrantApprovalRequest,
    GrantApprovalResponse, ImportFollowersRequest, ImportFollowersResponse, ListAccountsRequest,
    ListAccountsResponse, ListApprovalsRequest, ListApprovalsResponse, ListDaysRequest, ListDaysResponse,
    ListDistributionsRequest, ListDistributionsResponse, ListFollowersRequest, ListFollowersResponse,
    ListInformationAuditLinesRequest, ListInformationAuditLinesResponse, ListReviewsRequest,
    ListReviewsResponse, ListTrialsRequest, ListTrialsResponse, PauseDistributionRequest,
    PauseDistributionResponse, PreviewDistributionRequest, PreviewDistributionResponse,
    RejectApprovalRequest, RejectApprovalResponse, RejectReviewRequest, RejectReviewResponse,
    ReleaseListRequest, ReleaseListResponse, ResumeDistributionRequest, ResumeDistributionResponse,
    ReturnDistributionRequest, ReturnDistributionResponse, SearchFollowerRequest, SearchFollowerResponse,
    StartDistributionRequest, StartDistributionResponse, SubmitDistributionRequest,
    SubmitDistributionResponse, SuspendFollowerRequest, SuspendFollowerResponse, TryDistributionRequest,
    TryDistributionResponse, UnlockFollowerRequest, UnlockFollowerResponse, UntieFollowerRequest,
    UntieFollowerResponse, UploadValuesRequest, UploadValuesResponse, VerifyInformationAuditRequest,
    VerifyInformationAuditResponse, account_service_client::AccountServiceClient,
    account_service_server::AccountService, approval_service_client::ApprovalServiceClient,
    approval_service_server::ApprovalService, audit_service_client::AuditServiceClient,
    audit_service_server::AuditService, distribution_service_client::DistributionServiceClient,
    distribution_service_server::DistributionService, follower_service_client::FollowerServiceClient,
    follower_service_server::FollowerService, review_service_client::ReviewServiceClient,
    review_service_server::ReviewService,
};
use musubi_runtime::grpc::{
    MAX_MESSAGE_BYTES, auth,
    client::PeerChannel,
    status::{from_status, to_status},
};
use tonic::{Request, Response, Status, Streaming};

use crate::upload::{guarded, upload};

/// How long an upload may take.
pub(crate) const UPLOAD_DEADLINE: Duration = Duration::from_secs(3600);

/// Passes operators' calls on.
#[derive(Clone)]
pub(crate) struct Proxy {
    accounts: AccountServiceClient<PeerChannel>,
    followers: FollowerServiceClient<PeerChannel>,
    reviews: ReviewServiceClient<PeerChannel>,
    audits: AuditServiceClient<PeerChannel>,
    approvals: ApprovalServiceClient<PeerChannel>,
    distributions: DistributionServiceClient<PeerChannel>,
    uploads: DistributionServiceClient<PeerChannel>,
}

impl Proxy {
    /// Over this channel, which calls as the company.
    pub(crate) fn new(channel: &PeerChannel) -> Self {
        let distributions = |channel| {
            DistributionServiceClient::new(channel)
                .max_decoding_message_size(MAX_MESSAGE_BYTES)
                .max_encoding_message_size(MAX_MESSAGE_BYTES)
        };
        Self {
            accounts: AccountServiceClient::new(channel.clone()).max_decoding_message_size(MAX_MESSAGE_BYTES),
            followers: FollowerServiceClient::new(channel.clone())
                .max_decoding_message_size(MAX_MESSAGE_BYTES),
            reviews: ReviewServiceClient::new(channel.clone()).max_decoding_message_size(MAX_MESSAGE_BYTES),
            audits: AuditServiceClient::new(channel.clone()).max_decoding_message_size(MAX_MESSAGE_BYTES),
            approvals: ApprovalServiceClient::new(channel.clone())
                .max_decoding_message_size(MAX_MESSAGE_BYTES),
            distributions: distributions(channel.clone()),
            uploads: distributions(channel.with_deadline(UPLOAD_DEADLINE)),
        }
    }
}

/// The information-management server's refusal, as this server gives it on.
pub(crate) fn upstream(status: &Status) -> Error {
    let error = from_status(status);
    match error.kind {
        ErrorKind::Unauthenticated | ErrorKind::PermissionDenied => Error::new(
            ErrorKind::FailedPrecondition,
            "the information-management server does not accept this company's certificate",
            "have it know this company, and tls.certificate name a certificate of this company",
        ),
        ErrorKind::Unavailable => {
            let problem = format!("calling the information-management server: {}", error.problem);
            Error { problem, ..error }
        }
        ErrorKind::InvalidArgument
        | ErrorKind::NotFound
        | ErrorKind::AlreadyExists
        | ErrorKind::FailedPrecondition
        | ErrorKind::ResourceExhausted
        | ErrorKind::Internal => error,
    }
}

macro_rules! pass_on {
    ($client:expr, $method:ident, $request:ident) => {{ passed($client.clone().$method($request.into_inner())).await }};
}

/// Passes a call on that tells who makes it.
macro_rules! pass_on_by_name {
    ($client:expr, $method:ident, $request:ident) => {{
        let operator = auth::operator(&$request)?;
        let mut message = $request.into_inner();
        name(&mut message.operator, &operator).map_err(to_status)?;
        passed($client.clone().$method(message)).await
    }};
}

/// Writes whose a call is.
fn name(field: &mut String, operator: &OperatorName) -> Result<(), Error> {
    if !field.is_empty() {
        let remedy = "leave it empty; this server writes the name that you call by";
        return Err(Error::invalid("operator", "a call does not say whose it is", remedy));
    }
    operator.as_str().clone_into(field);
    Ok(())
}

async fn passed<T>(
    call: impl Future<Output = Result<Response<T>, Status>> + Send,
) -> Result<Response<T>, Status> {
    let answer = call.await;
    answer.map(|answer| Response::new(answer.into_inner())).map_err(|status| to_status(upstream(&status)))
}

#[tonic::async_trait]
impl AccountService for Proxy {
    async fn list_accounts(
        &self,
        request: Request<ListAccountsRequest>,
    ) -> Result<Response<ListAccountsResponse>, Status> {
        pass_on!(self.accounts, list_accounts, request)
    }
}

#[tonic::async_trait]
impl FollowerService for Proxy {
    async fn get_funnel(
        &self,
        request: Request<GetFunnelRequest>,
    ) -> Result<Response<GetFunnelResponse>, Status> {
        pass_on!(self.followers, get_funnel, request)
    }

    async fn list_followers(
        &self,
        request: Request<ListFollowersRequest>,
    ) -> Result<Response<ListFollowersResponse>, Status> {
        pass_on_by_name!(self.followers, list_followers, request)
    }

    async fn get_follower(
        &self,
        request: Request<GetFollowerRequest>,
    ) -> Result<Response<GetFollowerResponse>, Status> {
        pass_on_by_name!(self.followers, get_follower, request)
    }

    async fn erase_followers(
        &self,
        request: Request<EraseFollowersRequest>,
    ) -> Result<Response<EraseFollowersResponse>, Status> {
        pass_on_by_name!(self.followers, erase_followers, request)
    }

    async fn import_followers(
        &self,
        request: Request<ImportFollowersRequest>,
    ) -> Result<Response<ImportFollowersResponse>, Status> {
        pass_on_by_name!(self.followers, import_followers, request)
    }

    async fn unlock_follower(
        &self,
        request: Request<UnlockFollowerRequest>,
    ) -> Result<Response<UnlockFollowerResponse>, Status> {
        pass_on_by_name!(self.followers, unlock_follower, request)
    }

    async fn list_days(
        &self,
        request: Request<ListDaysRequest>,
    ) -> Result<Response<ListDaysResponse>, Status> {
        pass_on!(self.followers, list_days, request)
    }

    async fn untie_follower(
        &self,
        request: Request<UntieFollowerRequest>,
    ) -> Result<Response<UntieFollowerResponse>, Status> {
        pass_on_by_name!(self.followers, untie_follower, request)
    }

    async fn suspend_follower(
        &self,
        request: Request<SuspendFollowerRequest>,
    ) -> Result<Response<SuspendFollowerResponse>, Status> {
        pass_on_by_name!(self.followers, suspend_follower, request)
    }

    async fn search_follower(
        &self,
        request: Request<SearchFollowerRequest>,
    ) -> Result<Response<SearchFollowerResponse>, Status> {
        pass_on_by_name!(self.followers, search_follower, request)
    }

    async fn export_follower(
        &self,
        request: Request<ExportFollowerRequest>,
    ) -> Result<Response<ExportFollowerResponse>, Status> {
        pass_on_by_name!(self.followers, export_follower, request)
    }

    async fn release_list(
        &self,
        request: Request<ReleaseListRequest>,
    ) -> Result<Response<ReleaseListResponse>, Status> {
        pass_on_by_name!(self.followers, release_list, request)
    }
}

#[tonic::async_trait]
impl ApprovalService for Proxy {
    async fn list_approvals(
        &self,
        request: Request<ListApprovalsRequest>,
    ) -> Result<Response<ListApprovalsResponse>, Status> {
        pass_on!(self.approvals, list_approvals, request)
    }

    async fn get_approval(
        &self,
        request: Request<GetApprovalRequest>,
    ) -> Result<Response<GetApprovalResponse>, Status> {
        pass_on!(self.approvals, get_approval, request)
    }

    async fn grant_approval(
        &self,
        request: Request<GrantApprovalRequest>,
    ) -> Result<Response<GrantApprovalResponse>, Status> {
        pass_on_by_name!(self.approvals, grant_approval, request)
    }

    async fn reject_approval(
        &self,
        request: Request<RejectApprovalRequest>,
    ) -> Result<Response<RejectApprovalResponse>, Status> {
        pass_on_by_name!(self.approvals, reject_approval, request)
    }
}

#[tonic::async_trait]
impl ReviewService for Proxy {
    async fn list_reviews(
        &self,
        request: Request<ListReviewsRequest>,
    ) -> Result<Response<ListReviewsResponse>, Status> {
        pass_on!(self.reviews, list_reviews, request)
    }

    async fn get_review(
        &self,
        request: Request<GetReviewRequest>,
    ) -> Result<Response<GetReviewResponse>, Status> {
        pass_on_by_name!(self.reviews, get_review, request)
    }

    async fn approve_review(
        &self,
        request: Request<ApproveReviewRequest>,
    ) -> Result<Response<ApproveReviewResponse>, Status> {
        pass_on_by_name!(self.reviews, approve_review, request)
    }

    async fn reject_review(
        &self,
        request: Request<RejectReviewRequest>,
    ) -> Result<Response<RejectReviewResponse>, Status> {
        pass_on_by_name!(self.reviews, reject_review, request)
    }
}

#[tonic::async_trait]
impl DistributionService for Proxy {
    async fn upload_values(
        &self,
        request: Request<Streaming<UploadValuesRequest>>,
    ) -> Result<Response<UploadValuesResponse>, Status> {
        let mut client = self.uploads.clone();
        let operator = auth::operator(&request)?;
        let parts = request.into_inner().map_err(|status| from_status(&status)).and_then(move |mut part| {
            let named = name(&mut part.operator, &operator).map(|()| part);
            futures::future::ready(named)
        });
        let (parts, failure) = guarded(parts);
        let call = async move { client.upload_values(parts).await.map_err(|status| upstream(&status)) };
        let stored = upload(failure, call).await.map_err(to_status)?;
        Ok(Response::new(stored.into_inner()))
    }

    async fn create_distribution(
        &self,
        request: Request<CreateDistributionRequest>,
    ) -> Result<Response<CreateDistributionResponse>, Status> {
        pass_on_by_name!(self.distributions, create_distribution, request)
    }

    async fn preview_distribution(
        &self,
        request: Request<PreviewDistributionRequest>,
    ) -> Result<Response<PreviewDistributionResponse>, Status> {
        pass_on_by_name!(self.distributions, preview_distribution, request)
    }

    async fn try_distribution(
        &self,
        request: Request<TryDistributionRequest>,
    ) -> Result<Response<TryDistributionResponse>, Status> {
        pass_on_by_name!(self.distributions, try_distribution, request)
    }

    async fn list_trials(
        &self,
        request: Request<ListTrialsRequest>,
    ) -> Result<Response<ListTrialsResponse>, Status> {
        pass_on!(self.distributions, list_trials, request)
    }

    async fn submit_distribution(
        &self,
        request: Request<SubmitDistributionRequest>,
    ) -> Result<Response<SubmitDistributionResponse>, Status> {
        pass_on_by_name!(self.distributions, submit_distribution, request)
    }

    async fn return_distribution(
        &self,
        request: Request<ReturnDistributionRequest>,
    ) -> Result<Response<ReturnDistributionResponse>, Status> {
        pass_on_by_name!(self.distributions, return_distribution, request)
    }

    async fn start_distribution(
        &self,
        request: Request<StartDistributionRequest>,
    ) -> Result<Response<StartDistributionResponse>, Status> {
        pass_on_by_name!(self.distributions, start_distribution, request)
    }

    async fn pause_distribution(
        &self,
        request: Request<PauseDistributionRequest>,
    ) -> Result<Response<PauseDistributionResponse>, Status> {
        pass_on_by_name!(self.distributions, pause_distribution, request)
    }

    async fn resume_distribution(
        &self,
        request: Request<ResumeDistributionRequest>,
    ) -> Result<Response<ResumeDistributionResponse>, Status> {
        pass_on_by_name!(self.distributions, resume_distribution, request)
    }

    async fn cancel_distribution(
        &self,
        request: Request<CancelDistributionRequest>,
    ) -> Result<Response<CancelDistributionResponse>, Status> {
        pass_on_by_name!(self.distributions, cancel_distribution, request)
    }

    async fn get_distribution(
        &self,
        request: Request<GetDistributionRequest>,
    ) -> Result<Response<GetDistributionResponse>, Status> {
        pass_on!(self.distributions, get_distribution, request)
    }

    async fn list_distributions(
        &self,
        request: Request<ListDistributionsRequest>,
    ) -> Result<Response<ListDistributionsResponse>, Status> {
        pass_on!(self.distributions, list_distributions, request)
    }
}

#[tonic::async_trait]
impl AuditService for Proxy {
    async fn list_information_audit_lines(
        &self,
        request: Request<ListInformationAuditLinesRequest>,
    ) -> Result<Response<ListInformationAuditLinesResponse>, Status> {
        pass_on!(self.audits, list_information_audit_lines, request)
    }

    async fn verify_information_audit(
        &self,
        request: Request<VerifyInformationAuditRequest>,
    ) -> Result<Response<VerifyInformationAuditResponse>, Status> {
        pass_on!(self.audits, verify_information_audit, request)
    }
}
