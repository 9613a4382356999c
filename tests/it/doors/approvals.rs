//! `ApprovalService` and the release of lists, asked in every wrong way.
//!
//! Surprising: what is decided here was asked for by another person than who decides, so it is asked for as the company, who may write any name.

use musubi_domain::ErrorKind::{InvalidArgument, NotFound};
use musubi_proto::information::v1::{
    EraseFollowersRequest, GetApprovalRequest, GrantApprovalRequest, ListApprovalsRequest, Person,
    RejectApprovalRequest, ReleaseListRequest, approval_service_client::ApprovalServiceClient,
    follower_service_client::FollowerServiceClient, person::Who,
};
use musubi_runtime::grpc::client::PeerChannel;
use uuid::Uuid;

use super::{
    probe::{NUMBER, Probes, Wrong, long, whole},
    world::{BANK, GAS, KUMO, World},
};

/// Asks for the erasure of nobody of the world, as this person of a company; gives what waits.
pub(super) async fn asked(channel: PeerChannel, account: &str, number: String, operator: &str) -> String {
    let request = EraseFollowersRequest {
        official_account: account.to_owned(),
        people: vec![Person { who: Some(Who::PhoneNumber(number)) }],
        operator: operator.to_owned(),
    };
    let answer = FollowerServiceClient::new(channel).erase_followers(request).await.unwrap().into_inner();
    answer.approval.unwrap().approval_id
}

pub(super) async fn probe(world: &World, probes: &mut Probes, channel: PeerChannel, door: usize) {
    let client = ApprovalServiceClient::new(channel.clone());
    let call = async |request| whole(client.clone().list_approvals(request).await);
    let table: [Wrong<ListApprovalsRequest>; 6] = [
        ("state", InvalidArgument, |it| it.state = 99),
        ("state", InvalidArgument, |it| it.state = -1),
        ("page_size", InvalidArgument, |it| it.page_size = 1_001),
        ("page_size", InvalidArgument, |it| it.page_size = u32::MAX),
        ("page_token", InvalidArgument, |it| it.page_token = NUMBER.to_owned()),
        ("page_token", InvalidArgument, |it| it.page_token = long(9_000)),
    ];
    probes.ask(world, "ListApprovals", &ListApprovalsRequest::default(), call, &table).await;

    let operator = ["sato", ""][door];
    let mut waiting = Vec::new();
    for last in 0..2 {
        let number = format!("+8180990001{door}{last}");
        waiting.push(asked(world.system.channel_of(BANK, "information"), BANK, number, "kato").await);
    }
    // What was asked is sealed a moment later.
    world.system.quiet().await;
    let call = async |request| whole(client.clone().get_approval(request).await);
    let table: [Wrong<GetApprovalRequest>; 4] = [
        ("approval_id", NotFound, |it| it.approval_id.clear()),
        ("approval_id", NotFound, |it| it.approval_id = NUMBER.to_owned()),
        ("approval_id", NotFound, |it| it.approval_id = long(9_000)),
        ("approval_id", NotFound, |it| it.approval_id = format!("apv_{}", Uuid::from_u128(1).simple())),
    ];
    let good = GetApprovalRequest { approval_id: waiting[0].clone() };
    probes.ask(world, "GetApproval", &good, call, &table).await;

    macro_rules! decide {
        ($method:literal, $call:ident, $request:ident, $approval:expr) => {{
            let good = $request { approval_id: $approval.clone(), operator: operator.to_owned() };
            let call = async |request| whole(client.clone().$call(request).await);
            let table: [Wrong<$request>; 6] = [
                ("approval_id", NotFound, |it| it.approval_id.clear()),
                ("approval_id", NotFound, |it| it.approval_id = NUMBER.to_owned()),
                ("approval_id", NotFound, |it| it.approval_id = long(9_000)),
                ("approval_id", NotFound, |it| {
                    it.approval_id = format!("apv_{}", Uuid::from_u128(1).simple())
                }),
                ("operator", InvalidArgument, |it| it.operator = long(4)),
                ("operator", InvalidArgument, |it| it.operator = "Sato ".repeat(20)),
            ];
            probes.ask(world, $method, &good, call, &table).await;
            // A company has to say who; nobody says it of themselves.
            let operator = ["", "kato"][door].to_owned();
            let error = call($request { operator, ..good }).await.unwrap_err();
            assert_eq!((error.kind, error.field.as_str()), (InvalidArgument, "operator"), "{error}");
        }};
    }
    decide!("GrantApproval", grant_approval, GrantApprovalRequest, waiting[0]);
    decide!("RejectApproval", reject_approval, RejectApprovalRequest, waiting[1]);

    let followers = FollowerServiceClient::new(channel);
    let call = async |request| whole(followers.clone().release_list(request).await);
    let good = ReleaseListRequest {
        official_account: BANK.to_owned(),
        carrier: KUMO.to_owned(),
        operator: operator.to_owned(),
    };
    let table: [Wrong<ReleaseListRequest>; 8] = [
        ("official_account", NotFound, |it| it.official_account.clear()),
        ("official_account", NotFound, |it| it.official_account = GAS.to_owned()),
        ("official_account", NotFound, |it| it.official_account = long(64)),
        ("carrier", NotFound, |it| it.carrier.clear()),
        ("carrier", NotFound, |it| it.carrier = "nobody".to_owned()),
        ("carrier", NotFound, |it| it.carrier = long(64)),
        ("operator", InvalidArgument, |it| it.operator = long(4)),
        ("operator", InvalidArgument, |it| it.operator = "Sato ".repeat(20)),
    ];
    probes.ask(world, "ReleaseList", &good, call, &table).await;
}
