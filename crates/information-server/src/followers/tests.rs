//! The service over a real store: funnels, pages, and what it refuses.

use std::sync::Arc;

use musubi_domain::{ErrorKind, id::FollowerKeyring};
use musubi_proto::information::v1::{
    self as wire, follower_service_server::FollowerService as _, person::Who,
};

use super::Followers;
use crate::tests::{World, follower, from, refusal};

fn keyring() -> FollowerKeyring {
    FollowerKeyring::new(&[7; 32]).unwrap()
}

fn service(world: &World) -> Followers {
    Followers::new(world.store(), world.clock(), Arc::clone(&world.directory), keyring())
}

fn list(page_size: u32, page_token: &str, outcome: i32) -> wire::ListFollowersRequest {
    wire::ListFollowersRequest {
        official_account: "bank".to_owned(),
        outcome,
        page_size,
        page_token: page_token.to_owned(),
        operator: "sato".to_owned(),
        masked: false,
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

fn person(who: Who) -> Option<wire::Person> {
    Some(wire::Person { who: Some(who) })
}

fn of(last: u8) -> Who {
    Who::FollowerId(follower(last).to_string())
}

fn erase(account: &str, people: Vec<Who>) -> wire::EraseFollowersRequest {
    wire::EraseFollowersRequest {
        official_account: account.to_owned(),
        people: people.into_iter().filter_map(person).collect(),
        operator: "sato".to_owned(),
    }
}

fn search(who: Who) -> wire::SearchFollowerRequest {
    wire::SearchFollowerRequest {
        official_account: "bank".to_owned(),
        person: person(who),
        operator: "sato".to_owned(),
    }
}

#[tokio::test]
async fn a_company_has_people_erased_by_number_follower_and_customer_and_sees_that_they_are() {
    let world = World::new().await;
    world.follow("bank", &[Some("C1"), Some("C2"), None]).await;
    world.follow("power", &[Some("C2")]).await;
    let service = service(&world);
    let held =
        async |who: Who| service.search_follower(from("bank", search(who))).await.unwrap().into_inner();
    let rows = |found: &wire::SearchFollowerResponse| found.tables.iter().map(|it| it.rows).sum::<u64>();
    let found = held(Who::CustomerId("C2".to_owned())).await;
    assert_eq!((found.follower_id.clone(), rows(&found)), (follower(2).to_string(), 3));
    let number = Who::PhoneNumber("+819000000001".to_owned());
    let people =
        vec![of(1), Who::CustomerId("C2".to_owned()), Who::CustomerId("C9".to_owned()), number.clone()];
    let asked = service.erase_followers(from("bank", erase("bank", people))).await.unwrap().into_inner();
    let ids: Vec<_> = asked.erasures.iter().map(|it| it.follower_id.clone()).collect();
    let stranger = keyring().follower(&"bank".parse().unwrap(), &"+819000000001".parse().unwrap());
    let mut expected = vec![follower(1).to_string(), follower(2).to_string(), stranger.to_string()];
    expected.sort();
    assert_eq!(ids, expected, "a customer whom nobody is tied to is nobody");
    let waits = held(of(1)).await.erasure.unwrap();
    assert!(waits.waits && waits.cause == "company" && waits.erase_time.is_none());

    let due = world.store().claim_erasures(world.clock().now(), crate::tests::minute(1), 9).await.unwrap();
    world.store().erase(&due, world.clock().now()).await.unwrap();
    for who in [of(1), of(2), number] {
        let found = held(who).await;
        assert_eq!(rows(&found), 0);
        assert!(found.erasure.is_some_and(|it| !it.waits && it.erase_time.is_some()));
    }
    let found = held(Who::CustomerId("C2".to_owned())).await;
    assert_eq!((found.follower_id.as_str(), rows(&found)), ("", 0));
    assert!(rows(&held(of(3)).await) > 0);
    let everywhere = vec![Who::CustomerId("C2".to_owned())];
    let asked = service.erase_followers(from("power", erase("", everywhere))).await.unwrap().into_inner();
    assert_eq!(asked.approval.unwrap().official_account, "power", "which wants a second person");
}

#[tokio::test]
async fn what_is_held_is_given_as_it_stands() {
    let world = World::new().await;
    world.follow("bank", &[Some("C1")]).await;
    let service = service(&world);
    let export = |who: Who| wire::ExportFollowerRequest {
        official_account: "bank".to_owned(),
        person: person(who),
        operator: "sato".to_owned(),
    };
    let answer = service.export_follower(from("bank", export(of(1)))).await.unwrap().into_inner();
    let shown = answer.follower.unwrap();
    assert_eq!((shown.phone_number.as_str(), shown.customer_id.as_str()), ("+819000000001", "C1"));
    assert!(answer.tie_time.is_some() && answer.tie_method == 1 && answer.subject.is_none());
    for who in [of(9), Who::CustomerId("C9".to_owned())] {
        let error = refusal(service.export_follower(from("bank", export(who))).await);
        assert_eq!((error.kind, error.field.as_str()), (ErrorKind::NotFound, "person"));
    }
}

#[tokio::test]
async fn whoever_is_named_badly_is_told_by_field() {
    let world = World::new().await;
    let service = service(&world);
    let many = vec![of(1); 1_001];
    for (account, people, field) in [
        ("bank", vec![], "people"),
        ("bank", many, "people"),
        ("bank", vec![of(1), Who::PhoneNumber("0901".to_owned())], "people[1].phone_number"),
        ("bank", vec![Who::FollowerId("flw_1".to_owned())], "people[0].follower_id"),
        ("bank", vec![Who::CustomerId(String::new())], "people[0].customer_id"),
        ("", vec![of(1)], "official_account"),
        ("power", vec![of(1)], "official_account"),
    ] {
        let error = refusal(service.erase_followers(from("bank", erase(account, people))).await);
        assert_eq!(error.field, field);
    }
    let nobody = wire::SearchFollowerRequest { person: None, ..search(of(1)) };
    assert_eq!(refusal(service.search_follower(from("bank", nobody)).await).field, "person.who");
    let unnamed = wire::ListFollowersRequest { operator: String::new(), ..list(1, "", 0) };
    assert_eq!(refusal(service.list_followers(from("bank", unnamed)).await).field, "operator");
    let unnamed = wire::SearchFollowerRequest { operator: String::new(), ..search(of(1)) };
    assert_eq!(refusal(service.search_follower(from("bank", unnamed)).await).field, "operator");
}
