//! What people decide, as people do it: the `musubi` program at the companies' doors, phones that show what they are told,
//! and an information-management server that dies in between.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use futures::stream;
use musubi_proto::{
    company::v1::{
        EntrustMasterRequest, ImportCustomersRequest, customer_service_client::CustomerServiceClient,
    },
    information::v1::{
        CreateDistributionRequest, CustomerValues, StartDistributionRequest, Template, UploadValuesRequest,
        Variable, VariableKind, distribution_service_client::DistributionServiceClient,
    },
    terminal::v1::{
        ListTalkRoomsRequest, PlayStoriesRequest, line, terminal_service_client::TerminalServiceClient,
    },
};
use musubi_terminal_simulator::story::{Expected, Story};
use musubi_tests::processes::{CARRIERS, Kind, Layout, OPERATOR, SECOND_OPERATOR, System, program};
use serde_json::Value;
use tokio::time::sleep;

use crate::{SAMPLES, sample_stories};

const BANK: &str = "aoba-bank";
const GAS: &str = "hinata-gas";
const CONFIRMED: &str = "ご本人さまの確認が完了しました。";
const REJECTED: &str = "ご本人さまの確認ができませんでした。";
/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(100);

/// Looks until it is there.
async fn until<T>(what: &str, look: impl AsyncFn() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(begin.elapsed() < PATIENCE, "not seen: {what}");
        sleep(LOOK).await;
    }
}

/// Runs `musubi` as an operator of a company: whether it went well, and what it said.
fn musubi(system: &System, operator: &str, company: &str, arguments: &[&str]) -> (bool, String) {
    let mut command = Command::new(program());
    command.args(arguments).args(["--server", system.endpoint(company).as_str()]).env_clear();
    let certificate = system.certificate(&Layout::operator(operator, company)).certificate;
    let output = command.env("MUSUBI_CERTIFICATE", certificate).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}

/// The same, as the first operator, of what has to go well.
fn does(system: &System, company: &str, arguments: &[&str]) -> String {
    let (well, said) = musubi(system, OPERATOR, company, arguments);
    assert!(well, "{arguments:?}: {said}");
    said
}

/// The id of the review that waits for this customer; waits for it.
async fn waiting(system: &System, company: &str, customer: &str) -> String {
    until(customer, async || {
        let listed = does(system, company, &["reviews", "list", "--format", "json"]);
        let rows: Value = serde_json::from_str(&listed).unwrap();
        let row = rows.as_array().unwrap().iter().find(|row| row["customer_id"] == customer).cloned();
        row.map(|row| row["review_id"].as_str().unwrap().to_owned())
    })
    .await
}

/// Waits until the phone shows a message that begins so.
async fn shown(system: &System, number: &str, text: &str) {
    let terminal = TerminalServiceClient::new(system.channel("phones"));
    until(text, async || {
        let rooms = terminal.clone().list_talk_rooms(ListTalkRoomsRequest::default()).await.unwrap();
        let rooms = rooms.into_inner().talk_rooms;
        let lines = rooms.iter().filter(|room| room.phone_number == number).flat_map(|room| &room.lines);
        let texts = lines.filter_map(|line| match &line.what {
            Some(line::What::Message(message)) => message.content.as_ref(),
            Some(line::What::Said(_) | line::What::Opened(_)) | None => None,
        });
        texts.map(|content| &content.text).any(|shown| shown.starts_with(text)).then_some(())
    })
    .await;
}

async fn play(system: &System, stories: &[&Story]) {
    let stories = stories.iter().copied().map(Into::into).collect();
    let mut terminal = TerminalServiceClient::new(system.channel("phones"));
    terminal.play_stories(PlayStoriesRequest { stories }).await.unwrap();
}

async fn import_masters(system: &System) {
    for company in [BANK, GAS] {
        let chunk = std::fs::read(format!("{SAMPLES}/customers-{company}.csv")).unwrap();
        let mut customers = CustomerServiceClient::new(system.channel(company));
        let part = ImportCustomersRequest { dry_run: false, chunk };
        customers.import_customers(stream::iter([part])).await.unwrap();
        if company == GAS {
            customers.entrust_master(EntrustMasterRequest { lease_seconds: 3_600 }).await.unwrap();
        }
    }
}

/// The information-management server dies and comes back.
async fn kill_and_start(system: &mut System) {
    for process in system.of(Kind::Information) {
        process.kill();
        process.start();
        process.serving().await.unwrap();
    }
}

/// Sends the bank's followers a message; these customers have one of their own.
async fn distribute(system: &System, customers: &[&str]) {
    let mut distributions = DistributionServiceClient::new(system.channel(BANK));
    let variable = Variable { name: "customer".to_owned(), kind: VariableKind::Text.into() };
    let request = CreateDistributionRequest {
        request_id: "00000000-0000-4000-8000-000000000001".to_owned(),
        official_account: BANK.to_owned(),
        name: "reviews".to_owned(),
        uniform: Some(Template { text: "みなさまへ".to_owned(), ..Template::default() }),
        individual: Some(Template {
            text: "{customer}様へ".to_owned(),
            variables: vec![variable],
            ..Template::default()
        }),
        ..CreateDistributionRequest::default()
    };
    let created = distributions.create_distribution(request).await.unwrap().into_inner();
    let distribution_id = created.distribution.unwrap().distribution_id;
    let values = |id: &&str| CustomerValues { customer_id: (*id).to_owned(), values: vec![(*id).to_owned()] };
    let chunk = UploadValuesRequest {
        distribution_id: distribution_id.clone(),
        customers: customers.iter().map(values).collect(),
    };
    distributions.upload_values(stream::iter([chunk])).await.unwrap();
    distributions.start_distribution(StartDistributionRequest { distribution_id }).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn people_decide_and_phones_and_distributions_follow() {
    let mut system = System::start().await;
    import_masters(&system).await;
    let stories = sample_stories();
    let of = |account: &str, expected| {
        let there = |story: &&Story| {
            story.official_account == account
                && CARRIERS.contains(&story.carrier.as_str())
                && story.expected == expected
                && story.unfollow_after.as_str().is_empty()
        };
        stories.iter().filter(there).collect::<Vec<_>>()
    };
    let [approved, rejected, ..] = of(BANK, Expected::Review)[..] else { panic!("two reviews of the bank") };
    let second = of(GAS, Expected::Review)[0];
    let first_number = of(BANK, Expected::Confirmed)[0];
    play(&system, &[approved, rejected, second, first_number]).await;
    let customer = |story: &Story| story.expected_customer_id.clone().unwrap();
    let of_approved = waiting(&system, BANK, &customer(approved)).await;
    let of_rejected = waiting(&system, BANK, &customer(rejected)).await;
    let of_second = waiting(&system, GAS, &customer(second)).await;

    // What waits outlives a death, and is shown side by side.
    kill_and_start(&mut system).await;
    let said = does(&system, BANK, &["reviews", "show", &of_approved]);
    let attested = &approved.identity.as_ref().unwrap().name;
    for part in
        [attested.as_str(), "name.other_family_name", &customer(approved), &approved.phone_number, "equal"]
    {
        assert!(said.contains(part), "no {part} in\n{said}");
    }

    let said = does(&system, BANK, &["reviews", "approve", &of_approved]);
    assert!(said.starts_with("approved: ") && said.contains("the person is told"), "{said}");
    shown(&system, &approved.phone_number, CONFIRMED).await;
    let again = does(&system, BANK, &["reviews", "approve", &of_approved]);
    assert_eq!(again, said, "a call repeated");
    let said = does(&system, BANK, &["reviews", "show", &of_approved]);
    assert!(said.contains("sato") && !said.contains(attested.as_str()), "{said}");

    does(&system, BANK, &["reviews", "reject", &of_rejected]);
    shown(&system, &rejected.phone_number, REJECTED).await;
    let (well, said) = musubi(&system, SECOND_OPERATOR, BANK, &["reviews", "approve", &of_rejected]);
    assert!(!well && said.contains("it is rejected already"), "{said}");

    // Two persons, and a death between their words.
    let said = does(&system, GAS, &["reviews", "approve", &of_second]);
    assert!(said.starts_with("approved once"), "{said}");
    kill_and_start(&mut system).await;
    let (well, said) = musubi(&system, OPERATOR, GAS, &["reviews", "approve", &of_second]);
    assert!(!well && said.contains("have another operator approve it"), "{said}");
    let (well, said) = musubi(&system, SECOND_OPERATOR, GAS, &["reviews", "approve", &of_second]);
    assert!(well, "{said}");
    shown(&system, &second.phone_number, CONFIRMED).await;

    // The same customer from another number.
    shown(&system, &first_number.phone_number, CONFIRMED).await;
    let other_number = Story { phone_number: "+818012340000".to_owned(), ..first_number.clone() };
    play(&system, &[&other_number]).await;
    let of_other = waiting(&system, BANK, &customer(first_number)).await;
    let said = does(&system, BANK, &["reviews", "show", &of_other]);
    let warning = format!("{} is tied to {} now", customer(first_number), first_number.phone_number);
    assert!(said.contains(&warning) && said.contains("customer_tied_to_another_number"), "{said}");
    let said = does(&system, BANK, &["reviews", "approve", &of_other]);
    assert!(said.contains("has ended"), "{said}");
    shown(&system, &other_number.phone_number, CONFIRMED).await;

    distribute(&system, &[&customer(approved), &customer(rejected), &customer(first_number)]).await;
    let own = |story: &Story| format!("{}様へ", customer(story));
    shown(&system, &approved.phone_number, &own(approved)).await;
    shown(&system, &other_number.phone_number, &own(first_number)).await;
    shown(&system, &rejected.phone_number, "みなさまへ").await;
    shown(&system, &first_number.phone_number, "みなさまへ").await;

    let listed = does(&system, BANK, &["reviews", "list"]);
    assert!(listed.contains("0 reviews"), "nothing waits any more: {listed}");
}
