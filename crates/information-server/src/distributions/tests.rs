//! The service over a real store: what it refuses and how it says so, and a distribution from draft to end.

use std::sync::Arc;

use futures::stream;
use jiff::SignedDuration;
use musubi_domain::caller::Caller;
use musubi_domain::{
    ErrorKind,
    delivery::Purpose,
    id::{DistributionId, FollowerKeyring},
};
use musubi_proto::{
    convert::content::timestamp,
    information::v1::{self as wire, distribution_service_server::DistributionService as _},
    r#type::v1 as word,
};
use musubi_storage::information::delivery::{Claim, Source};
use tonic::Request;

use super::{Distributions, Expander, Renderer};
use crate::tests::{World, from, minute, refusal, start};

mod submitted;
mod trials;

fn keyring() -> FollowerKeyring {
    FollowerKeyring::new(&[7; 32]).unwrap()
}

fn service(world: &World) -> Distributions {
    Distributions::new(
        world.store(),
        world.clock(),
        Arc::clone(&world.directory),
        keyring(),
        world.signals.clone(),
    )
}

fn asked() -> wire::CreateDistributionRequest {
    let variable =
        |name: &str, kind: wire::VariableKind| wire::Variable { name: name.to_owned(), kind: kind.into() };
    let button = word::Suggestion { text: "見る".to_owned(), postback: "p".to_owned(), action: None };
    wire::CreateDistributionRequest {
        request_id: "00000000-0000-4000-8000-000000000001".to_owned(),
        official_account: "bank".to_owned(),
        name: "残高の通知".to_owned(),
        uniform: Some(wire::Template {
            card: None,
            text: "お知らせ".to_owned(),
            suggestions: vec![button],
            variables: Vec::new(),
        }),
        individual: Some(wire::Template {
            card: None,
            text: "{name}様 {due}".to_owned(),
            suggestions: Vec::new(),
            variables: vec![
                variable("name", wire::VariableKind::Text),
                variable("due", wire::VariableKind::Yen),
            ],
        }),
        start_time: None,
        expire_time: Some(timestamp(minute(60))),
        messages_per_second: 0,
        operator: "sato".to_owned(),
    }
}

async fn create(service: &Distributions, request: wire::CreateDistributionRequest) -> wire::Distribution {
    let made = service.create_distribution(from("bank", request)).await;
    made.unwrap_or_else(|status| panic!("{status}")).into_inner().distribution.unwrap()
}

fn chunk(id: &str, customers: &[(&str, &[&str])]) -> wire::UploadValuesRequest {
    let customers = customers.iter().map(|(customer, values)| wire::CustomerValues {
        customer_id: (*customer).to_owned(),
        values: values.iter().map(|value| (*value).to_owned()).collect(),
    });
    wire::UploadValuesRequest {
        distribution_id: id.to_owned(),
        customers: customers.collect(),
        operator: "sato".to_owned(),
    }
}

async fn upload(
    service: &Distributions,
    company: &str,
    chunks: Vec<wire::UploadValuesRequest>,
) -> Result<u64, tonic::Status> {
    service.upload(&company.parse().unwrap(), stream::iter(chunks.into_iter().map(Ok))).await
}

#[tokio::test]
async fn a_bad_draft_names_its_field() {
    type Edit = fn(&mut wire::CreateDistributionRequest);
    let edits: [(Edit, ErrorKind, &str); 16] = [
        (|asked| asked.request_id = "1".to_owned(), ErrorKind::InvalidArgument, "request_id"),
        (|asked| asked.official_account = "power".to_owned(), ErrorKind::NotFound, "official_account"),
        (|asked| asked.official_account = "Bank!".to_owned(), ErrorKind::NotFound, "official_account"),
        (|asked| asked.official_account.clear(), ErrorKind::NotFound, "official_account"),
        (|asked| asked.name.clear(), ErrorKind::InvalidArgument, "name"),
        (|asked| asked.name = "あ".repeat(101), ErrorKind::InvalidArgument, "name"),
        (|asked| asked.name = "a\u{7}".to_owned(), ErrorKind::InvalidArgument, "name"),
        (|asked| asked.uniform = None, ErrorKind::InvalidArgument, "uniform"),
        (
            |asked| asked.uniform.iter_mut().for_each(|uniform| uniform.text.clear()),
            ErrorKind::InvalidArgument,
            "uniform.text",
        ),
        (
            |asked| asked.uniform.iter_mut().for_each(|uniform| uniform.suggestions[0].text = "b".repeat(26)),
            ErrorKind::InvalidArgument,
            "uniform.suggestions[0].text",
        ),
        (
            |asked| asked.uniform.clone_from(&asked.individual),
            ErrorKind::InvalidArgument,
            "uniform.variables",
        ),
        (
            |asked| asked.individual.iter_mut().for_each(|individual| individual.variables[1].kind = 0),
            ErrorKind::InvalidArgument,
            "individual.variables[1].kind",
        ),
        (
            |asked| asked.individual.iter_mut().for_each(|individual| individual.text = "{name}".to_owned()),
            ErrorKind::InvalidArgument,
            "individual.variables[1].name",
        ),
        (
            |asked| {
                let button = asked.uniform.as_ref().unwrap().suggestions[0].clone();
                asked.individual.iter_mut().for_each(|it| it.suggestions = vec![button.clone(); 11]);
            },
            ErrorKind::InvalidArgument,
            "individual.suggestions",
        ),
        (|asked| asked.expire_time = Some(timestamp(start())), ErrorKind::InvalidArgument, "expire_time"),
        (|asked| asked.start_time = Some(timestamp(minute(60))), ErrorKind::InvalidArgument, "expire_time"),
    ];
    let world = World::new().await;
    let service = service(&world);
    for (edit, kind, field) in edits {
        let mut bad = asked();
        edit(&mut bad);
        let error = refusal(service.create_distribution(from("bank", bad)).await);
        assert_eq!((error.kind, error.field.as_str()), (kind, field));
        assert!(!error.problem.is_empty() && !error.remedy.is_empty(), "{field} has problem and remedy");
    }
    for (seconds, nanos) in [(i64::MAX, 0), (jiff::Timestamp::MAX.as_second(), 999_999_999)] {
        let endless = Some(prost_types::Timestamp { seconds, nanos });
        for (field, bad) in [
            (
                "start_time",
                wire::CreateDistributionRequest { start_time: endless, expire_time: None, ..asked() },
            ),
            ("expire_time", wire::CreateDistributionRequest { expire_time: endless, ..asked() }),
        ] {
            assert_eq!(refusal(service.create_distribution(from("bank", bad)).await).field, field);
        }
    }
    let list = service.list_distributions(from("bank", wire::ListDistributionsRequest::default())).await;
    assert!(list.unwrap().into_inner().distributions.is_empty(), "nothing was made");
}

#[tokio::test]
async fn links_lead_to_hosts_of_the_company_in_templates_and_in_values() {
    type Edit = fn(&mut wire::Template, &str);
    let edits: [(Edit, &str); 3] = [
        (|it, url| it.text = format!("{} {url}", it.text), "text"),
        (
            |it, url| {
                let open = word::OpenUrl { url: url.to_owned(), webview: false };
                let action = Some(word::suggestion::Action::OpenUrl(open));
                it.suggestions =
                    vec![word::Suggestion { text: "見る".to_owned(), postback: String::new(), action }];
            },
            "suggestions[0].open_url.url",
        ),
        (
            |it, url| it.card = Some(word::Card { title: String::new(), image_url: url.to_owned() }),
            "card.image_url",
        ),
    ];
    let world = World::new().await;
    let service = service(&world);
    let with = |edit: Edit, individual: bool, url: &str, id: u32| {
        let request_id = format!("00000000-0000-4000-8000-{id:012}");
        let mut asked = wire::CreateDistributionRequest { request_id, ..asked() };
        edit(if individual { asked.individual.as_mut() } else { asked.uniform.as_mut() }.unwrap(), url);
        asked
    };
    for (id, (edit, field)) in (10..).step_by(10).zip(edits) {
        for (message, individual) in [("uniform", false), ("individual", true)] {
            for bad in [
                "https://elsewhere.example/",
                "https://bank.example@elsewhere.example/",
                "http://bank.example/",
            ] {
                let error =
                    refusal(service.create_distribution(from("bank", with(edit, individual, bad, id))).await);
                assert_eq!(
                    (error.kind, error.field),
                    (ErrorKind::InvalidArgument, format!("{message}.{field}"))
                );
            }
            create(&service, with(edit, individual, "https://BANK.example/a", id + u32::from(individual)))
                .await;
        }
    }
    let id = create(&service, asked()).await.distribution_id;
    let value = |url: &str| vec![chunk(&id, &[("C1", &["山田", "1"]), ("C2", &[url, "1"])])];
    let error = refusal(upload(&service, "bank", value("https://elsewhere.example/")).await);
    assert_eq!(error.field, "customers[1].values[0]");
    assert_eq!(upload(&service, "bank", value("https://bank.example/")).await.unwrap(), 2);
}

#[tokio::test]
async fn the_same_request_gives_the_same_draft_also_later() {
    let world = World::new().await;
    let service = service(&world);
    let made = create(&service, asked()).await;
    world.clock.advance(SignedDuration::from_hours(2));
    let again = create(&service, asked()).await;
    assert!(again == made, "past its expiry, too");
    let other = wire::CreateDistributionRequest { name: "別".to_owned(), ..asked() };
    let error = refusal(service.create_distribution(from("bank", other)).await);
    assert_eq!((error.kind, error.field.as_str()), (ErrorKind::AlreadyExists, "request_id"));
}

#[tokio::test]
async fn bad_values_name_row_and_variable_and_store_nothing_of_their_chunk() {
    let world = World::new().await;
    let service = service(&world);
    let id = create(&service, asked()).await.distribution_id;
    let good = || chunk(&id, &[("C1", &["山田", "100"])]);
    for (bad, field) in [
        (chunk(&id, &[("C2", &["佐藤", "200"]), ("C 3", &["鈴木", "300"])]), "customers[1].customer_id"),
        (chunk(&id, &[("C2", &["佐藤", "200円"])]), "customers[0].values[due]"),
        (chunk(&id, &[("C2", &["", "200"])]), "customers[0].values[name]"),
        (chunk(&id, &[("C2", &["佐藤"])]), "customers[0].values"),
        (chunk(&id, &[("C2", &["佐藤", "200"] as &[&str]); 1_001]), "customers"),
        (chunk("dst_00000000000000000000000000000009", &[]), "distribution_id"),
    ] {
        let error = refusal(upload(&service, "bank", vec![good(), bad]).await);
        assert_eq!(error.field, field);
        assert!(error.problem.contains("chunk 2"), "{error}");
        assert!(!error.to_string().contains("佐藤"), "no value stands in an error");
    }
    let get = wire::GetDistributionRequest { distribution_id: id.clone() };
    let stands = service.get_distribution(from("bank", get)).await.unwrap().into_inner();
    assert_eq!(stands.distribution.unwrap().values, 1, "the good chunks are stored");
}

#[tokio::test]
async fn values_go_to_drafts_of_the_callers_with_an_individual_message() {
    let world = World::new().await;
    let service = service(&world);
    let id = create(&service, asked()).await.distribution_id;
    let uniform_only = wire::CreateDistributionRequest {
        request_id: "00000000-0000-4000-8000-000000000002".to_owned(),
        individual: None,
        ..asked()
    };
    let uniform_only = create(&service, uniform_only).await.distribution_id;
    let values: &[(&str, &[&str])] = &[("C1", &["山田", "100"])];
    for (company, chunks, kind, field) in [
        ("power", vec![chunk(&id, values)], ErrorKind::NotFound, "distribution_id"),
        ("bank", vec![chunk("dst_1", values)], ErrorKind::NotFound, "distribution_id"),
        ("bank", Vec::new(), ErrorKind::InvalidArgument, "distribution_id"),
        ("bank", vec![chunk(&uniform_only, values)], ErrorKind::InvalidArgument, "customers"),
    ] {
        let error = refusal(upload(&service, company, chunks).await);
        assert_eq!((error.kind, error.field.as_str()), (kind, field));
    }
    assert_eq!(upload(&service, "bank", vec![chunk(&id, values), chunk(&id, &[])]).await.unwrap(), 1);
    start_it(&service, &id).await;
    let late = refusal(upload(&service, "bank", vec![chunk(&id, values)]).await);
    assert_eq!(late.kind, ErrorKind::FailedPrecondition);
}

async fn start_it(service: &Distributions, id: &str) {
    let start = wire::StartDistributionRequest {
        distribution_id: id.to_owned(),
        operator: "sato".to_owned(),
        submit_time: None,
    };
    service.start_distribution(from("bank", start)).await.unwrap_or_else(|status| panic!("{status}"));
}

#[tokio::test]
async fn another_company_finds_nothing_and_a_carrier_may_not_ask() {
    let world = World::new().await;
    let service = service(&world);
    let distribution_id = create(&service, asked()).await.distribution_id;
    macro_rules! refused {
        ($($call:ident $request:ident $($operator:ident)? $(/ $absent:ident)?),+) => {
            $(
                for id in [distribution_id.clone(), "dst_x".to_owned(), String::new()] {
                    let request = wire::$request { distribution_id: id, $($operator: "sato".to_owned(),)? $($absent: None)? };
                    let error = refusal(service.$call(from("power", request)).await);
                    assert_eq!((error.kind, error.field.as_str()), (ErrorKind::NotFound, "distribution_id"));
                }
                let request = wire::$request {
                    distribution_id: distribution_id.clone(),
                    $($operator: "sato".to_owned(),)?
                    $($absent: None)?
                };
                let mut request = Request::new(request);
                let error = refusal(service.$call(Request::new(request.get_ref().clone())).await);
                assert_eq!(error.kind, ErrorKind::Unauthenticated);
                request.extensions_mut().insert(Caller::Carrier("kumo".parse().unwrap()));
                assert_eq!(refusal(service.$call(request).await).kind, ErrorKind::PermissionDenied);
            )+
        };
    }
    refused!(
        get_distribution GetDistributionRequest,
        preview_distribution PreviewDistributionRequest operator,
        list_trials ListTrialsRequest,
        submit_distribution SubmitDistributionRequest operator,
        return_distribution ReturnDistributionRequest operator,
        start_distribution StartDistributionRequest operator / submit_time,
        pause_distribution PauseDistributionRequest operator,
        resume_distribution ResumeDistributionRequest operator,
        cancel_distribution CancelDistributionRequest operator
    );
    let list = |company, account: &str| {
        service.list_distributions(from(
            company,
            wire::ListDistributionsRequest { official_account: account.to_owned(), state: 0 },
        ))
    };
    assert_eq!(list("bank", "").await.unwrap().into_inner().distributions.len(), 1);
    assert!(list("power", "").await.unwrap().into_inner().distributions.is_empty());
    assert_eq!(refusal(list("power", "bank").await).kind, ErrorKind::NotFound);
}

#[tokio::test]
async fn a_preview_shows_the_messages_as_they_are_sent() {
    let world = World::new().await;
    world.follow("bank", &[Some("C1"), None, Some("C2"), Some("C3")]).await;
    let service = service(&world);
    let id = create(&service, asked()).await.distribution_id;
    upload(
        &service,
        "bank",
        vec![chunk(&id, &[("C1", &["山田", "1234"]), ("C3", &["佐藤", "-5"]), ("C9", &["x", "1"])])],
    )
    .await
    .unwrap();
    let request =
        wire::PreviewDistributionRequest { distribution_id: id.clone(), operator: "sato".to_owned() };
    let preview = service.preview_distribution(from("bank", request)).await.unwrap().into_inner();
    assert_eq!((preview.individual, preview.uniform), (2, 2));
    assert_eq!((preview.confirmed_without_values, preview.values_without_follower), (1, 1));
    let samples: Vec<_> = preview.individual_samples.iter().map(|content| content.text.as_str()).collect();
    assert_eq!(samples, ["山田様 1,234円", "佐藤様 -5円"]);
    assert_eq!(preview.uniform_sample.unwrap().suggestions.len(), 1);

    let renderer = Renderer::new(world.store());
    let id: DistributionId = id.parse().unwrap();
    let values = ["山田".to_owned(), "1234".to_owned()];
    for _ in 0..2 {
        assert_eq!(renderer.content(id, Purpose::Individual, &values).await.unwrap().text, samples[0]);
        assert_eq!(renderer.content(id, Purpose::Uniform, &[]).await.unwrap().text, "お知らせ");
    }
    for (purpose, values) in
        [(Purpose::Individual, &values[..1]), (Purpose::Undecided, &[]), (Purpose::Question, &[])]
    {
        let error = renderer.content(id, purpose, values).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Internal);
        assert!(!error.to_string().contains("山田"));
    }
}

#[tokio::test]
async fn a_distribution_goes_from_draft_to_end() {
    let world = World::new().await;
    world.follow("bank", &[None; 12]).await;
    let service = service(&world);
    let id = create(&service, asked()).await.distribution_id;
    let expander = Expander::new(world.store(), world.clock(), world.signals.clone());
    assert!(!expander.step(start()).await.unwrap(), "a draft is nothing to do");
    start_it(&service, &id).await;
    start_it(&service, &id).await;
    while expander.step(start()).await.unwrap() {}
    let stands = get(&service, &id).await;
    assert_eq!((state_of(&stands), stands.created), ("DISTRIBUTION_STATE_RUNNING", 0));
    assert!(
        stands.start_time == Some(timestamp(start())) && stands.expire_time == Some(timestamp(minute(60)))
    );

    assert_eq!(claim(&world, &id, "kumo").await, 5);
    while expander.step(minute(61)).await.unwrap() {}
    let stands = get(&service, &id).await;
    assert_eq!(
        state_of(&stands),
        "DISTRIBUTION_STATE_COMPLETED",
        "what is overdue expires, and nothing is left"
    );
    let counts: Vec<_> =
        stands.deliveries.iter().map(|count| (&*count.kind, &*count.state, count.count)).collect();
    assert_eq!(counts, [("undecided", "expired", 7), ("uniform", "expired", 5)]);
    assert!(stands.end_time == Some(timestamp(minute(61))));
}

/// Claims at most five deliveries over a carrier; gives how many attempts that started.
async fn claim(world: &World, distribution: &str, carrier: &str) -> usize {
    let source = Source::Distribution(distribution.parse().unwrap());
    let (carrier, lease_end) = (carrier.parse().unwrap(), minute(1));
    let claim = Claim { carrier, source, limit: 5, now: start(), lease_end, attempts_limit: 3 };
    world.store().claim(&claim).await.unwrap().attempts.len()
}

#[tokio::test]
async fn a_cancelled_distribution_withdraws_what_waits() {
    let world = World::new().await;
    world.follow("bank", &[None; 3]).await;
    let service = service(&world);
    let id = create(&service, asked()).await.distribution_id;
    let expander = Expander::new(world.store(), world.clock(), world.signals.clone());
    start_it(&service, &id).await;
    assert_eq!(claim(&world, &id, "nami").await, 0, "all are kumo's, and wait for it");
    let cancel =
        || wire::CancelDistributionRequest { distribution_id: id.clone(), operator: "sato".to_owned() };
    service.cancel_distribution(from("bank", cancel())).await.unwrap();
    while expander.step(start()).await.unwrap() {}
    let again =
        service.cancel_distribution(from("bank", cancel())).await.unwrap().into_inner().distribution.unwrap();
    assert_eq!(state_of(&again), "DISTRIBUTION_STATE_CANCELLED");
    assert!(again.deliveries.iter().all(|count| count.state == "revoked") && again.created == 3);
    let resume = wire::ResumeDistributionRequest { distribution_id: id.clone(), operator: "sato".to_owned() };
    let error = refusal(service.resume_distribution(from("bank", resume)).await);
    assert_eq!(error.kind, ErrorKind::FailedPrecondition);
}

fn state_of(distribution: &wire::Distribution) -> &'static str {
    distribution.state().as_str_name()
}

async fn get(service: &Distributions, id: &str) -> wire::Distribution {
    let request = wire::GetDistributionRequest { distribution_id: id.to_owned() };
    service.get_distribution(from("bank", request)).await.unwrap().into_inner().distribution.unwrap()
}
