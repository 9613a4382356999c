//! `ReviewService`, at the information-management server itself and through the company's.
//!
//! Surprising: whose call it is stands in the call of a company, and must not stand in an operator's.

use musubi_domain::ErrorKind::{InvalidArgument, NotFound};
use musubi_proto::information::v1::{
    ApproveReviewRequest, GetReviewRequest, ListReviewsRequest, RejectReviewRequest,
    review_service_client::ReviewServiceClient,
};
use musubi_runtime::grpc::client::PeerChannel;
use uuid::Uuid;

use super::{
    probe::{NUMBER, Probes, Wrong, long, whole},
    world::{GAS, World},
};

/// The bank's two reviews: one is approved, the other rejected. The name stands in the call of a company, and in no operator's.
pub(super) async fn probe(world: &World, probes: &mut Probes, channel: PeerChannel, door: usize) {
    let client = ReviewServiceClient::new(channel);
    let call = async |request| whole(client.clone().list_reviews(request).await);
    let table: [Wrong<ListReviewsRequest>; 9] = [
        ("official_account", NotFound, |it| it.official_account = "nobody".to_owned()),
        ("official_account", NotFound, |it| it.official_account = GAS.to_owned()),
        ("state", InvalidArgument, |it| it.state = 99),
        ("state", InvalidArgument, |it| it.state = -1),
        ("page_size", InvalidArgument, |it| it.page_size = 1_001),
        ("page_size", InvalidArgument, |it| it.page_size = u32::MAX),
        ("page_token", InvalidArgument, |it| it.page_token = NUMBER.to_owned()),
        ("page_token", InvalidArgument, |it| it.page_token = long(9_000)),
        ("page_token", InvalidArgument, |it| it.page_token = format!("rev_{}", Uuid::from_u128(1).simple())),
    ];
    probes.ask(world, "ListReviews", &ListReviewsRequest::default(), call, &table).await;

    let listed =
        client.clone().list_reviews(ListReviewsRequest::default()).await.unwrap().into_inner().reviews;
    let operator = ["sato", ""][door];
    macro_rules! decide {
        ($method:literal, $call:ident, $request:ident, $review:expr) => {{
            let review_id = $review.review_id.clone();
            let good = $request { review_id, operator: operator.to_owned() };
            let call = async |request| whole(client.clone().$call(request).await);
            let table: [Wrong<$request>; 6] = [
                ("review_id", NotFound, |it| it.review_id.clear()),
                ("review_id", NotFound, |it| it.review_id = NUMBER.to_owned()),
                ("review_id", NotFound, |it| it.review_id = long(9_000)),
                ("review_id", NotFound, |it| it.review_id = format!("rev_{}", Uuid::from_u128(1).simple())),
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
    decide!("GetReview", get_review, GetReviewRequest, listed[0]);
    decide!("ApproveReview", approve_review, ApproveReviewRequest, listed[0]);
    decide!("RejectReview", reject_review, RejectReviewRequest, listed[1]);
}
