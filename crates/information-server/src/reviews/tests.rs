//! The service over a real store: the queue, what is shown of whom, decisions, expiry, and what it refuses.

use std::sync::Arc;

use jiff::SignedDuration;
use musubi_domain::{
    Error, ErrorKind,
    customer::{GivenAccount, MatchDecision, MatchOutcome},
    dialogue::State,
    id::{FollowerKeyring, InquiryId},
    identity::{AttestedIdentity, IdentityMethod},
};
use musubi_proto::information::v1::{self as wire, review_service_server::ReviewService as _};
use musubi_storage::information::{
    FollowerKey, InformationStore,
    flow::{FollowerRecord, Inquiry, Scope, Work},
};
use tonic::Status;

use super::Reviews;
use crate::{
    request::questions::Questions,
    scene::Scene,
    tests::{World, follower, from, refusal, start},
};

fn service(world: &World) -> Reviews {
    let directory = Arc::clone(&world.directory);
    Reviews::new(world.store(), world.clock(), directory, world.signals.clone())
}

fn key(account: &str, last: u8) -> FollowerKey {
    FollowerKey { account: account.parse().unwrap(), follower: follower(last) }
}

/// Has a follower's match come out so for the customer C1.
async fn matched(world: &World, account: &str, last: u8, outcome: MatchOutcome) {
    let key = key(account, last);
    let (settings, company) = world.directory.account_and_company(&key.account).unwrap();
    let identity = AttestedIdentity {
        method: IdentityMethod::Jpki,
        name: "山田 太郎".to_owned(),
        name_kana: Some("ヤマダ タロウ".to_owned()),
        birth_date: "1980-02-03".to_owned(),
        address: "東京都港区".to_owned(),
    };
    let customer_id = Some("C1".parse().unwrap());
    let decision = MatchDecision { outcome, customer_id, reasons: vec!["name.other_family_name".to_owned()] };
    let scope = Scope {
        followers: vec![key.clone()],
        customers: vec![(key.account.clone(), "C1".parse().unwrap())],
        ..Scope::default()
    };
    let mut edit = |work: &mut Work| {
        let record = work.followers.get_mut(&key).unwrap();
        let dialogue = record.dialogue.as_mut().unwrap();
        dialogue.state = State::Matching;
        let inquiry = Inquiry {
            id: InquiryId::derive(dialogue.id, 1, dialogue.state_time),
            company: company.id.clone(),
            account: GivenAccount { branch_number: None, account_number: "7624550".to_owned() },
            identity: identity.clone(),
            due_time: start(),
        };
        record.inquiry = Some(Box::new(inquiry.clone()));
        let scene = Scene { account: settings, company, now: start() };
        let keyring = FollowerKeyring::new(&[7; 32]).unwrap();
        scene.decide(work, &key, &inquiry, &decision, &keyring);
    };
    world.store().work("fixture", &scope, start(), &mut edit).await.unwrap();
}

/// Followers 1 and so on of an account, all in review.
async fn in_review(world: &World, account: &str, followers: u8) {
    world.follow(account, &vec![None; usize::from(followers)]).await;
    for last in 1..=followers {
        matched(world, account, last, MatchOutcome::Review).await;
    }
}

async fn list(service: &Reviews, company: &str, state: wire::ReviewState) -> Vec<wire::Review> {
    let request = wire::ListReviewsRequest { state: state.into(), ..wire::ListReviewsRequest::default() };
    service.list_reviews(from(company, request)).await.unwrap().into_inner().reviews
}

async fn only(service: &Reviews, company: &str) -> String {
    list(service, company, wire::ReviewState::Unspecified).await.remove(0).review_id
}

async fn get(service: &Reviews, company: &str, id: &str) -> Result<wire::GetReviewResponse, Status> {
    let request = wire::GetReviewRequest { review_id: id.to_owned(), operator: "sato".to_owned() };
    service.get_review(from(company, request)).await.map(tonic::Response::into_inner)
}

async fn approve(service: &Reviews, company: &str, id: &str, by: &str) -> Result<wire::Review, Status> {
    let request = wire::ApproveReviewRequest { review_id: id.to_owned(), operator: by.to_owned() };
    let answer = service.approve_review(from(company, request)).await?;
    Ok(answer.into_inner().review.unwrap())
}

async fn reject(service: &Reviews, company: &str, id: &str, by: &str) -> Result<wire::Review, Status> {
    let request = wire::RejectReviewRequest { review_id: id.to_owned(), operator: by.to_owned() };
    let answer = service.reject_review(from(company, request)).await?;
    Ok(answer.into_inner().review.unwrap())
}

async fn record(store: &dyn InformationStore, key: FollowerKey) -> FollowerRecord {
    let mut found = None;
    let scope = Scope { followers: vec![key.clone()], ..Scope::default() };
    let mut look = |work: &mut Work| found = work.followers.get(&key).cloned();
    store.work("look", &scope, start(), &mut look).await.unwrap();
    found.unwrap()
}

fn precondition(error: &Error) {
    assert_eq!((error.kind, error.field.as_str()), (ErrorKind::FailedPrecondition, "review_id"), "{error}");
    assert!(!error.remedy.is_empty());
}

#[tokio::test]
async fn the_queue_comes_in_pages_and_one_of_it_with_what_it_keeps() {
    let world = World::new().await;
    in_review(&world, "bank", 3).await;
    let service = service(&world);
    let (mut token, mut seen) = (String::new(), Vec::new());
    loop {
        let request = wire::ListReviewsRequest {
            official_account: "bank".to_owned(),
            state: wire::ReviewState::Open.into(),
            page_size: 2,
            page_token: token,
        };
        let page = service.list_reviews(from("bank", request)).await.unwrap().into_inner();
        seen.extend(page.reviews.into_iter().map(|review| review.review_id));
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(seen.len(), 3);
    let shown = get(&service, "bank", &seen[0]).await.unwrap();
    let (review, subject) = (shown.review.unwrap(), shown.subject.unwrap());
    assert_eq!((review.customer_id.as_str(), review.reasons.len()), ("C1", 1));
    assert_eq!((subject.name.as_str(), subject.account_number.as_str()), ("山田 太郎", "7624550"));
    assert!(shown.tied_phone_number.is_empty() && !shown.second_person_required);
    assert!(shown.phone_number.starts_with("+8190"));
    assert!(list(&service, "power", wire::ReviewState::Unspecified).await.is_empty());
}

#[tokio::test]
async fn an_approval_ties_and_may_be_repeated_by_who_gave_it() {
    let world = World::new().await;
    in_review(&world, "bank", 1).await;
    let service = service(&world);
    let id = only(&service, "bank").await;
    let approved = approve(&service, "bank", &id, "sato").await.unwrap();
    assert!(approved.state() == wire::ReviewState::Approved && approved.close_time.is_some());
    assert!(approve(&service, "bank", &id, "sato").await.unwrap() == approved);
    precondition(&refusal(approve(&service, "bank", &id, "kato").await));
    precondition(&refusal(reject(&service, "bank", &id, "sato").await));
    let stored = record(&*world.store(), key("bank", 1)).await;
    assert_eq!(stored.tie.unwrap().tie.customer_id.as_str(), "C1");
    assert!(get(&service, "bank", &id).await.unwrap().subject.is_none());
}

#[tokio::test]
async fn two_persons_approve_where_the_account_wants_it() {
    let world = World::new().await;
    in_review(&world, "power", 1).await;
    let service = service(&world);
    let id = only(&service, "power").await;
    let once = approve(&service, "power", &id, "sato").await.unwrap();
    assert!(once.state() == wire::ReviewState::ApprovedOnce && once.close_time.is_none());
    assert!(list(&service, "power", wire::ReviewState::ApprovedOnce).await == [once]);
    assert!(record(&*world.store(), key("power", 1)).await.tie.is_none());
    precondition(&refusal(approve(&service, "power", &id, "sato").await));
    assert!(get(&service, "power", &id).await.unwrap().second_person_required);
    let approved = approve(&service, "power", &id, "kato").await.unwrap();
    let who: Vec<_> = approved.decisions.iter().map(|it| it.operator.as_str()).collect();
    assert_eq!(who, ["sato", "kato"]);
    assert!(record(&*world.store(), key("power", 1)).await.tie.is_some());
}

#[tokio::test]
async fn a_review_that_nobody_decides_expires_as_a_rejection() {
    let world = World::new().await;
    in_review(&world, "bank", 1).await;
    let service = service(&world);
    let id = only(&service, "bank").await;
    let questions =
        Questions::new(world.store(), Arc::clone(&world.directory), world.clock(), world.signals.clone());
    world.clock.advance(SignedDuration::from_hours(24 * 14) - SignedDuration::from_secs(1));
    assert_eq!(questions.move_due().await.unwrap(), 0);
    world.clock.advance(SignedDuration::from_secs(1));
    assert_eq!(questions.move_due().await.unwrap(), 1);
    let shown = get(&service, "bank", &id).await.unwrap();
    assert!(shown.review.unwrap().state() == wire::ReviewState::Expired && shown.subject.is_none());
    precondition(&refusal(approve(&service, "bank", &id, "sato").await));
    let stored = record(&*world.store(), key("bank", 1)).await;
    assert_eq!((stored.dialogue.unwrap().state, stored.tie), (State::Rejected, None));
}

#[tokio::test]
async fn a_customer_claimed_from_a_second_number_is_shown_with_the_first_and_moves_by_approval() {
    let world = World::new().await;
    world.follow("bank", &[Some("C1"), None]).await;
    matched(&world, "bank", 2, MatchOutcome::Confirmed).await;
    let service = service(&world);
    let id = only(&service, "bank").await;
    let shown = get(&service, "bank", &id).await.unwrap();
    assert!(shown.review.unwrap().reasons.contains(&"customer_tied_to_another_number".to_owned()));
    assert_eq!(
        (shown.phone_number.as_str(), shown.tied_phone_number.as_str()),
        ("+819000000002", "+819000000001")
    );
    approve(&service, "bank", &id, "sato").await.unwrap();
    let (first, second) =
        (record(&*world.store(), key("bank", 1)).await, record(&*world.store(), key("bank", 2)).await);
    assert_eq!((first.tie, first.dialogue.unwrap().state), (None, State::Declined));
    assert_eq!(second.tie.unwrap().tie.customer_id.as_str(), "C1");
    assert_eq!(first.former_customer.unwrap().as_str(), "C1");
}

#[tokio::test]
async fn bad_requests_name_their_field_and_another_companys_review_is_not_found() {
    let world = World::new().await;
    in_review(&world, "bank", 1).await;
    let service = service(&world);
    let id = only(&service, "bank").await;
    let list = |official_account: &str, state, page_size, page_token: &str| wire::ListReviewsRequest {
        official_account: official_account.to_owned(),
        state,
        page_size,
        page_token: page_token.to_owned(),
    };
    let unknown = format!("rev_{}", "0".repeat(32));
    for (company, request, kind, field) in [
        ("power", list("bank", 0, 1, ""), ErrorKind::NotFound, "official_account"),
        ("bank", list("", 99, 1, ""), ErrorKind::InvalidArgument, "state"),
        ("bank", list("", 0, 1_001, ""), ErrorKind::InvalidArgument, "page_size"),
        ("bank", list("", 0, 1, "rev_1"), ErrorKind::InvalidArgument, "page_token"),
        ("bank", list("", 0, 1, &unknown), ErrorKind::InvalidArgument, "page_token"),
        ("power", list("", 0, 1, &id), ErrorKind::InvalidArgument, "page_token"),
    ] {
        let error = refusal(service.list_reviews(from(company, request)).await);
        assert_eq!((error.kind, error.field.as_str()), (kind, field));
    }
    for (company, id) in [("bank", unknown.as_str()), ("bank", ""), ("bank", "flw_1"), ("power", &id)] {
        for error in [
            refusal(get(&service, company, id).await),
            refusal(approve(&service, company, id, "sato").await),
            refusal(reject(&service, company, id, "sato").await),
        ] {
            assert_eq!((error.kind, error.field.as_str()), (ErrorKind::NotFound, "review_id"));
        }
    }
    for name in ["", "Sato", "佐藤"] {
        for error in [
            refusal(approve(&service, "bank", &id, name).await),
            refusal(reject(&service, "bank", &id, name).await),
        ] {
            assert_eq!((error.kind, error.field.as_str()), (ErrorKind::InvalidArgument, "operator"));
        }
    }
}
