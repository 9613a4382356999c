//! The information-management server's contracts, through the company server.

use musubi_proto::information::v1::{
    ApproveReviewRequest, CancelDistributionRequest, CreateDistributionRequest, CustomerValues,
    EraseFollowersRequest, ExportFollowerRequest, GetDistributionRequest, GetFunnelRequest, GetReviewRequest,
    GrantApprovalRequest, ImportFollowersRequest, ListDaysRequest, ListFollowersRequest, ListReviewsRequest,
    PauseDistributionRequest, PreviewDistributionRequest, RejectApprovalRequest, RejectReviewRequest,
    ReleaseListRequest, ResumeDistributionRequest, ReturnDistributionRequest, SearchFollowerRequest,
    StartDistributionRequest, SubmitDistributionRequest, SuspendFollowerRequest, TryDistributionRequest,
    UnlockFollowerRequest, UntieFollowerRequest, UploadValuesRequest,
    approval_service_client::ApprovalServiceClient, distribution_service_client::DistributionServiceClient,
    follower_service_client::FollowerServiceClient, review_service_client::ReviewServiceClient,
};
use musubi_runtime::grpc::status::from_status;
use tonic::Code;

use super::*;

#[tokio::test]
async fn operators_calls_go_on_as_the_company_and_answers_come_back_unchanged() {
    let company = Company::start("").await;
    let mut followers = FollowerServiceClient::new(company.channel(OPERATOR));
    let request = GetFunnelRequest { official_account: "tf-bank".to_owned() };
    let funnel = followers.get_funnel(request).await.unwrap().into_inner().funnels.remove(0);
    assert_eq!((funnel.official_account.as_str(), funnel.followers), ("tf-bank", 7));
    let mut distributions = DistributionServiceClient::new(company.channel(OPERATOR));
    distributions.get_distribution(GetDistributionRequest::default()).await.unwrap();
    assert_eq!(company.peer.told.lock().unwrap().calls, ["funnel tf-bank", "get_distribution tf-bank"]);
}

#[tokio::test]
async fn a_refusal_comes_back_with_its_field_and_remedy() {
    let company = Company::start("").await;
    let mut followers = FollowerServiceClient::new(company.channel(OPERATOR));
    let status = followers.list_followers(ListFollowersRequest::default()).await.err().unwrap();
    let error = from_status(&status);
    assert_eq!(status.code(), Code::NotFound);
    assert_eq!(
        (error.field.as_str(), error.remedy.as_str()),
        ("official_account", "see the configured ones")
    );
}

#[tokio::test]
async fn a_review_is_shown_and_decided_under_the_name_of_the_certificate_and_no_other() {
    let company = Company::start("").await;
    let of = |token| ReviewServiceClient::new(company.channel(token));
    of(OPERATOR).list_reviews(ListReviewsRequest::default()).await.unwrap();
    of(OPERATOR).get_review(GetReviewRequest::default()).await.unwrap();
    of(OPERATOR).approve_review(ApproveReviewRequest::default()).await.unwrap();
    of(OTHER_OPERATOR).reject_review(RejectReviewRequest::default()).await.unwrap();
    let calls = ["reviews tf-bank", "get sato tf-bank", "approve sato tf-bank", "reject kato tf-bank"];
    assert_eq!(company.peer.told.lock().unwrap().calls, calls);

    let claim = "kato".to_owned();
    let approve = ApproveReviewRequest { operator: claim.clone(), ..ApproveReviewRequest::default() };
    let reject = RejectReviewRequest { operator: claim.clone(), ..RejectReviewRequest::default() };
    let get = GetReviewRequest { operator: claim, ..GetReviewRequest::default() };
    for status in [
        of(OPERATOR).approve_review(approve).await.err().unwrap(),
        of(OPERATOR).reject_review(reject).await.err().unwrap(),
        of(OPERATOR).get_review(get).await.err().unwrap(),
    ] {
        assert_eq!((status.code(), from_status(&status).field.as_str()), (Code::InvalidArgument, "operator"));
    }
    let people = FollowerServiceClient::new(company.channel(OPERATOR));
    people.clone().erase_followers(EraseFollowersRequest::default()).await.unwrap();
    people.clone().unlock_follower(UnlockFollowerRequest::default()).await.unwrap();
    people.clone().untie_follower(UntieFollowerRequest::default()).await.unwrap();
    people.clone().suspend_follower(SuspendFollowerRequest::default()).await.unwrap();
    people.clone().list_days(ListDaysRequest::default()).await.unwrap();
    people.clone().import_followers(ImportFollowersRequest::default()).await.unwrap();
    people.clone().search_follower(SearchFollowerRequest::default()).await.unwrap();
    people.clone().export_follower(ExportFollowerRequest::default()).await.unwrap();
    let claimed = ExportFollowerRequest { operator: "kato".to_owned(), ..ExportFollowerRequest::default() };
    let status = people.clone().export_follower(claimed).await.err().unwrap();
    assert_eq!((status.code(), from_status(&status).field.as_str()), (Code::InvalidArgument, "operator"));
    let people = [
        "erase sato tf-bank",
        "unlock sato tf-bank",
        "untie sato tf-bank",
        "suspend sato tf-bank",
        "days tf-bank",
        "import sato tf-bank",
        "search sato tf-bank",
        "export sato tf-bank",
    ];
    let calls = [&calls[..], &people].concat();
    assert_eq!(company.peer.told.lock().unwrap().calls, calls);

    let status = of(INFORMATION).approve_review(ApproveReviewRequest::default()).await.err().unwrap();
    assert_eq!(status.code(), Code::PermissionDenied);
    assert_eq!(company.peer.told.lock().unwrap().calls.len(), calls.len(), "nothing else went on");
}

#[tokio::test]
async fn uploads_go_through() {
    let company = Company::start("").await;
    let mut distributions = DistributionServiceClient::new(company.channel(OPERATOR));
    let chunk = |from: u32| UploadValuesRequest {
        distribution_id: "dst_1".to_owned(),
        customers: (from..from + 1000)
            .map(|number| CustomerValues { customer_id: format!("C{number}"), values: vec!["1".to_owned()] })
            .collect(),
        operator: String::new(),
    };
    let chunks = futures::stream::iter([chunk(0), chunk(1000), chunk(2000)]);
    assert_eq!(distributions.upload_values(chunks).await.unwrap().into_inner().values, 3000);
    assert_eq!(company.peer.told.lock().unwrap().values[2999].customer_id, "C2999");
    let calls = company.peer.told.lock().unwrap().calls.clone();
    assert_eq!(calls[1..], ["values sato"; 3], "every chunk says whose it is");
    let claimed = UploadValuesRequest { operator: "kato".to_owned(), ..chunk(0) };
    let upload = futures::stream::iter([chunk(0), claimed]);
    let status = distributions.upload_values(upload).await.err().unwrap();
    assert_eq!((status.code(), from_status(&status).field.as_str()), (Code::InvalidArgument, "operator"));
}

#[tokio::test]
async fn who_commands_approves_and_releases_is_said_by_the_certificate() {
    let company = Company::start("").await;
    let distributions = DistributionServiceClient::new(company.channel(OPERATOR));
    let approvals = ApprovalServiceClient::new(company.channel(OPERATOR));
    let followers = FollowerServiceClient::new(company.channel(OPERATOR));
    let mut expected = Vec::new();
    macro_rules! by_name {
        ($($client:ident.$call:ident($request:ident) $word:literal,)+) => {
            $(
                $client.clone().$call($request::default()).await.unwrap();
                expected.push(concat!($word, " sato tf-bank"));
                let claimed = $request { operator: "kato".to_owned(), ..$request::default() };
                let status = $client.clone().$call(claimed).await.err().unwrap();
                let found = (status.code(), from_status(&status).field);
                assert_eq!(found, (Code::InvalidArgument, "operator".to_owned()));
            )+
        };
    }
    by_name!(
        distributions.create_distribution(CreateDistributionRequest) "create_distribution",
        distributions.preview_distribution(PreviewDistributionRequest) "preview_distribution",
        distributions.try_distribution(TryDistributionRequest) "try_distribution",
        distributions.submit_distribution(SubmitDistributionRequest) "submit_distribution",
        distributions.return_distribution(ReturnDistributionRequest) "return_distribution",
        distributions.start_distribution(StartDistributionRequest) "start_distribution",
        distributions.pause_distribution(PauseDistributionRequest) "pause_distribution",
        distributions.resume_distribution(ResumeDistributionRequest) "resume_distribution",
        distributions.cancel_distribution(CancelDistributionRequest) "cancel_distribution",
        approvals.grant_approval(GrantApprovalRequest) "grant",
        approvals.reject_approval(RejectApprovalRequest) "refuse",
        followers.release_list(ReleaseListRequest) "release",
    );
    assert_eq!(company.peer.told.lock().unwrap().calls, expected);
}

#[tokio::test]
async fn only_operators_are_let_through() {
    let company = Company::start("").await;
    let mut followers = FollowerServiceClient::new(company.channel(INFORMATION));
    let status = followers.get_funnel(GetFunnelRequest::default()).await.err().unwrap();
    assert_eq!(status.code(), Code::PermissionDenied);
    let mut distributions = DistributionServiceClient::new(company.channel(INFORMATION));
    let status = distributions.get_distribution(GetDistributionRequest::default()).await.err().unwrap();
    assert_eq!(status.code(), Code::PermissionDenied);
    let upload = futures::stream::iter([UploadValuesRequest::default()]);
    assert_eq!(distributions.upload_values(upload).await.err().unwrap().code(), Code::PermissionDenied);
    assert_eq!(company.peer.told.lock().unwrap().calls, [""; 0]);
}

#[tokio::test]
async fn a_peer_that_is_away_or_knows_us_not_is_told_to_the_operator() {
    let clock = Arc::new(ManualClock::new(Timestamp::UNIX_EPOCH));
    let peer = Peer::start().await;
    for (endpoint, company, code, problem) in [
        ("https://127.0.0.1:1", "tf-bank", Code::Unavailable, "calling the information-management server"),
        (
            peer.endpoint.as_str(),
            "minato-power",
            Code::FailedPrecondition,
            "the information-management server does not accept",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mut config = config(&folder, &peer, "");
        config.information.endpoint = endpoint.parse().unwrap();
        config.company = company.parse().unwrap();
        config.tls = peer.certificate(&format!("company/{company}"));
        let app = App::build(config, clock.clone()).await.unwrap();
        let operator = peer.identity(&format!("company/{company}/operator/sato"));
        let channel = connect(&operator, &app.endpoint(), None, ClientOptions::default()).unwrap();
        let shutdown = Shutdown::new(std::time::Duration::from_secs(1));
        let run = tokio::spawn(app.run(shutdown.clone()));
        let status =
            FollowerServiceClient::new(channel).get_funnel(GetFunnelRequest::default()).await.err().unwrap();
        assert_eq!(status.code(), code);
        let error = from_status(&status);
        assert!(error.problem.starts_with(problem), "{error}");
        assert!(!error.remedy.is_empty());
        shutdown.begin();
        run.await.unwrap().unwrap();
    }
}
