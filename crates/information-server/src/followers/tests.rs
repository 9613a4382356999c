//! The service over a real store: funnels, pages, and what it refuses.

use std::sync::Arc;

use musubi_domain::ErrorKind;
use musubi_proto::information::v1::{self as wire, follower_service_server::FollowerService as _};

use super::Followers;
use crate::tests::{World, follower, from, refusal};

fn service(world: &World) -> Followers {
    Followers::new(world.store(), world.clock(), Arc::clone(&world.directory))
}

fn list(page_size: u32, page_token: &str, outcome: i32) -> wire::ListFollowersRequest {
    wire::ListFollowersRequest {
        official_account: "bank".to_owned(),
        outcome,
        page_size,
        page_token: page_token.to_owned(),
    }
}

async fn funnel(
    service: &Followers,
    company: &str,
    account: &str,
) -> Result<wire::GetFunnelResponse, tonic::Status> {
    let request = wire::GetFunnelRequest { official_account: account.to_owned() };
    service.get_funnel(from(company, request)).await.map(tonic::Response::into_inner)
}

#[tokio::test]
async fn a_funnel_adds_up_what_lies_beyond_a_stage_and_shows_silent_carriers() {
    let world = World::new().await;
    world.follow("bank", &[Some("C1"), None, None]).await;
    world.follow("power", &[None]).await;
    let service = service(&world);
    let funnels = funnel(&service, "bank", "").await.unwrap().funnels;
    let rows: Vec<_> = funnels
        .iter()
        .map(|row| {
            (row.official_account.as_str(), row.carrier.as_str(), row.followers, row.asked, row.verified)
        })
        .collect();
    assert_eq!(rows, [("bank", "kumo", 3, 1, 1), ("bank", "nami", 0, 0, 0)]);
    let outcomes: Vec<_> =
        funnels[0].outcomes.iter().map(|count| (count.outcome().as_str_name(), count.count)).collect();
    assert_eq!(outcomes, [("FOLLOWER_OUTCOME_WAITING", 2), ("FOLLOWER_OUTCOME_CONFIRMED", 1)]);
    assert!(funnel(&service, "bank", "bank").await.unwrap().funnels == funnels);
}

#[tokio::test]
async fn pages_follow_one_another_to_the_end() {
    let world = World::new().await;
    world.follow("bank", &[Some("C1"), None, Some("C3")]).await;
    let service = service(&world);
    let (mut token, mut seen) = (String::new(), Vec::new());
    loop {
        let page = service.list_followers(from("bank", list(2, &token, 0))).await.unwrap().into_inner();
        seen.extend(
            page.followers.iter().map(|shown| (shown.follower_id.clone(), shown.customer_id.clone())),
        );
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    let expected = [(1, "C1"), (2, ""), (3, "C3")]
        .map(|(last, customer)| (follower(last).to_string(), customer.to_owned()));
    assert_eq!(seen, expected);
    let confirmed = list(0, "", wire::FollowerOutcome::Confirmed.into());
    let page = service.list_followers(from("bank", confirmed)).await.unwrap().into_inner();
    assert_eq!(page.followers.len(), 2);
    assert!(page.followers.iter().all(|shown| shown.outcome() == wire::FollowerOutcome::Confirmed));
    assert_eq!(page.followers[0].phone_number, "+819000000001");
}

#[tokio::test]
async fn bad_requests_name_their_field() {
    let world = World::new().await;
    world.follow("bank", &[Some("C1")]).await;
    let service = service(&world);
    for (company, request, kind, field) in [
        ("bank", list(1_001, "", 0), ErrorKind::InvalidArgument, "page_size"),
        ("bank", list(1, "flw_1", 0), ErrorKind::InvalidArgument, "page_token"),
        ("bank", list(1, "", 99), ErrorKind::InvalidArgument, "outcome"),
        ("power", list(1, "", 0), ErrorKind::NotFound, "official_account"),
    ] {
        let error = refusal(service.list_followers(from(company, request)).await);
        assert_eq!((error.kind, error.field.as_str()), (kind, field));
        assert!(!error.remedy.is_empty());
    }
    for account in ["bank", "nobody", "No Slug"] {
        let error = refusal(funnel(&service, "power", account).await);
        assert_eq!((error.kind, error.field.as_str()), (ErrorKind::NotFound, "official_account"));
    }
    let own = funnel(&service, "power", "").await.unwrap();
    assert!(own.funnels.iter().all(|row| row.official_account == "power" && row.followers == 0));
}
