//! The service over a real store: funnels, pages, and what it refuses.

use std::{collections::HashMap, sync::Arc};

use jiff::Timestamp;
use musubi_domain::{ErrorKind, id::FollowerKeyring, phone_number::PhoneNumber};
use musubi_proto::information::v1::{
    self as wire, follower_service_server::FollowerService as _, person::Who,
};

use musubi_storage::information::flow::{Origin, Scope, Work};

use super::Followers;
use crate::{
    gateway::CarrierGateway,
    scene::Scene,
    tests::{Carrier, World, follower, from, refusal, signals},
};

fn keyring() -> FollowerKeyring {
    FollowerKeyring::new(&[7; 32]).unwrap()
}

fn service(world: &World) -> Followers {
    Followers::new(
        world.store(),
        world.clock(),
        Arc::clone(&world.directory),
        keyring(),
        Arc::default(),
        signals(),
    )
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
async fn days_are_told_by_carrier_and_of_the_companys_own_accounts() {
    let world = World::new().await;
    world.follow("bank", &[Some("C1"), None, None]).await;
    world.follow("power", &[None]).await;
    let service = service(&world);
    let ask = |account: &str, days| wire::ListDaysRequest { official_account: account.to_owned(), days };
    let answer = service.list_days(from("bank", ask("", 0))).await.unwrap().into_inner();
    let [day] = &answer.days[..] else { panic!("{} days", answer.days.len()) };
    assert_eq!((day.official_account.as_str(), day.carrier.as_str()), ("bank", "kumo"));
    assert_eq!((day.came, day.verified, day.confirmed_by_card, day.left), (3, 1, 1, 0));
    assert_eq!(day.date, answer.last_date);
    let days = |date: &str| date.parse::<jiff::civil::Date>().unwrap();
    assert_eq!((days(&answer.last_date) - days(&answer.first_date)).get_days(), 29);
    for (company, account, days, kind, field) in [
        ("bank", "", 401, ErrorKind::InvalidArgument, "days"),
        ("power", "bank", 1, ErrorKind::NotFound, "official_account"),
    ] {
        let error = refusal(service.list_days(from(company, ask(account, days))).await);
        assert_eq!((error.kind, error.field.as_str()), (kind, field));
    }
}

#[tokio::test]
async fn a_follower_is_untied_and_suspended_by_any_name_and_another_companys_is_not() {
    let world = World::new().await;
    world.follow("bank", &[Some("C1"), None]).await;
    let service = service(&world);
    let customer = || Some(wire::Person { who: Some(Who::CustomerId("C1".to_owned())) });
    let id = || Some(wire::Person { who: Some(Who::FollowerId(follower(1).to_string())) });
    let suspend = |account: &str, person, release| wire::SuspendFollowerRequest {
        official_account: account.to_owned(),
        person,
        release,
        operator: "sato".to_owned(),
    };
    let shown = async || {
        let page = service.list_followers(from("bank", list(1, "", 0))).await.unwrap().into_inner();
        let shown = page.followers.into_iter().next().unwrap();
        (shown.suspended_by_company, shown.held_reason, shown.customer_id)
    };
    for (release, changed, held) in [
        (true, false, ""),
        (false, true, "by_company"),
        (false, false, "by_company"),
        (true, true, ""),
        (false, true, "by_company"),
    ] {
        let request = from("bank", suspend("bank", customer(), release));
        assert_eq!(service.suspend_follower(request).await.unwrap().into_inner().changed, changed);
        assert_eq!(shown().await, (held == "by_company", held.to_owned(), "C1".to_owned()));
    }
    let error = refusal(service.suspend_follower(from("power", suspend("bank", id(), true))).await);
    assert_eq!((error.kind, error.field.as_str()), (ErrorKind::NotFound, "official_account"));

    let untie = |person| wire::UntieFollowerRequest {
        official_account: "bank".to_owned(),
        person,
        operator: "sato".to_owned(),
    };
    for (person, untied) in [(customer(), true), (customer(), false), (id(), false)] {
        let answer = service.untie_follower(from("bank", untie(person))).await.unwrap().into_inner();
        assert_eq!(answer.untied, untied);
    }
    assert_eq!(shown().await, (true, String::new(), String::new()), "held back without a tie, too");
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

/// The bank's carrier nami keeps no list, and reaches one of these numbers not.
fn without_list(world: &World) -> Followers {
    let unreached = ["+818000000009".parse().unwrap()].into();
    let nami: Arc<dyn CarrierGateway> =
        Arc::new(Carrier { has_list: false, unreached, ..Carrier::new("nami") });
    let kumo: Arc<dyn CarrierGateway> = Arc::new(Carrier::new("kumo"));
    let gateways = HashMap::from([kumo, nami].map(|it| (it.carrier().clone(), it)));
    let directory = Arc::clone(&world.directory);
    Followers::new(world.store(), world.clock(), directory, keyring(), Arc::new(gateways), signals())
}

fn import(numbers: &[&str], seconds: i64) -> wire::ImportFollowersRequest {
    let consent = |number: &&str| wire::ImportedConsent {
        phone_number: (*number).to_owned(),
        source: "web form, 2026-03".to_owned(),
        consent_time: Some(prost_types::Timestamp { seconds, nanos: 0 }),
    };
    wire::ImportFollowersRequest {
        official_account: "bank".to_owned(),
        carrier: "nami".to_owned(),
        consents: numbers.iter().map(consent).collect(),
        operator: "sato".to_owned(),
    }
}

#[tokio::test]
async fn who_agreed_elsewhere_follows_once_with_the_consent_and_leaving_since_stands() {
    let world = World::new().await;
    let service = without_list(&world);
    let bring = async |numbers: &[&str], seconds| {
        let answer =
            service.import_followers(from("bank", import(numbers, seconds))).await.unwrap().into_inner();
        (answer.imported, answer.unchanged, answer.unreachable)
    };
    let three = ["+818000000007", "+818000000008", "+818000000009"];
    let agreed = 1_772_323_200;
    assert_eq!(bring(&three, agreed).await, (2, 0, 1));
    assert_eq!(bring(&three, agreed).await, (0, 2, 1), "nothing more the second time");
    let who = |number: &str| Some(wire::Person { who: Some(Who::PhoneNumber(number.to_owned())) });
    let export = async |number: &str| {
        let request = wire::ExportFollowerRequest {
            official_account: "bank".to_owned(),
            person: who(number),
            operator: "sato".to_owned(),
        };
        service.export_follower(from("bank", request)).await.map(tonic::Response::into_inner)
    };
    let told = export(three[0]).await.unwrap();
    let consents: Vec<_> = told
        .consents
        .iter()
        .map(|it| (it.kind.as_str(), it.text.as_str(), it.give_time.unwrap().seconds))
        .collect();
    assert_eq!(consents, [("follows", "web form, 2026-03", agreed)]);
    assert!(export(three[2]).await.is_err(), "whom nothing reaches isn't kept");

    let (account, company) = world.directory.account_and_company(&"bank".parse().unwrap()).unwrap();
    let scene = Scene { account, company, now: world.clock().now() };
    let number: PhoneNumber = three[0].parse().unwrap();
    let key = service.key(&account.id, keyring().follower(&account.id, &number));
    let scope = Scope { followers: vec![key.clone()], ..Scope::default() };
    let left = Timestamp::from_second(agreed + 1).unwrap();
    let mut leave = |work: &mut Work| scene.leave(work, &key, number, &"nami".parse().unwrap(), left);
    world.store().work("leave", &scope, scene.now, &mut leave).await.unwrap();
    assert_eq!(bring(&three[..1], agreed).await, (0, 1, 0), "who has left since is not brought back");
    assert_eq!(bring(&three[..1], agreed + 2).await, (1, 0, 0), "who has agreed since then is");
}

#[tokio::test]
async fn who_follows_over_another_carrier_agreed_all_the_same_and_is_counted_once() {
    let world = World::new().await;
    let service = without_list(&world);
    let (account, company) = world.directory.account_and_company(&"bank".parse().unwrap()).unwrap();
    let scene = Scene { account, company, now: world.clock().now() };
    let number: PhoneNumber = "+818000000007".parse().unwrap();
    let key = service.key(&account.id, keyring().follower(&account.id, &number));
    let scope = Scope { followers: vec![key.clone()], erased: vec![key.clone()], ..Scope::default() };
    let kumo = "kumo".parse().unwrap();
    let mut follow = |work: &mut Work| {
        scene.arrive(work, &key, number, &kumo, Timestamp::from_second(1).unwrap(), Origin::Event)
    };
    world.store().work("follow", &scope, scene.now, &mut follow).await.unwrap();
    for expected in [(1, 0), (0, 1)] {
        let request = import(&[number.as_str()], 1_772_323_200);
        let answer = service.import_followers(from("bank", request)).await.unwrap().into_inner();
        assert_eq!((answer.imported, answer.unchanged), expected);
    }
    let request = wire::ExportFollowerRequest {
        official_account: "bank".to_owned(),
        person: Some(wire::Person { who: Some(Who::PhoneNumber(number.as_str().to_owned())) }),
        operator: "sato".to_owned(),
    };
    let told = service.export_follower(from("bank", request)).await.unwrap().into_inner();
    assert_eq!((told.consents.len(), told.lists.len()), (1, 2));
}

#[tokio::test]
async fn consents_that_can_not_be_brought_in_are_named_and_nobody_is() {
    let world = World::new().await;
    let service = without_list(&world);
    let now = world.clock().now().as_second();
    type Spoil = fn(&mut wire::ImportFollowersRequest);
    let cases: [(&str, Spoil); 11] = [
        ("official_account", |it| it.official_account = "power".to_owned()),
        ("carrier", |it| it.carrier = "nobody".to_owned()),
        ("carrier", |it| it.carrier = "kumo".to_owned()),
        ("operator", |it| it.operator = String::new()),
        ("consents", |it| it.consents.clear()),
        ("consents", |it| it.consents = vec![it.consents[0].clone(); 1_001]),
        ("consents[1].phone_number", |it| it.consents[1].phone_number = "090-1234-5678".to_owned()),
        ("consents[1].phone_number", |it| it.consents[1].phone_number = it.consents[0].phone_number.clone()),
        ("consents[1].source", |it| it.consents[1].source = " ".to_owned()),
        ("consents[1].consent_time", |it| it.consents[1].consent_time = None),
        ("consents[1].consent_time", |it| it.consents[1].consent_time.as_mut().unwrap().seconds += 3600),
    ];
    for (field, spoil) in cases {
        let mut request = import(&["+818000000007", "+818000000008"], now);
        spoil(&mut request);
        let error = refusal(service.import_followers(from("bank", request)).await);
        assert_eq!(error.field, field);
        assert!(!error.to_string().contains("1234"), "{error}");
    }
    let funnels = funnel(&service, "bank", "").await.unwrap().funnels;
    assert!(funnels.iter().all(|row| row.followers == 0));
}
