//! People who are erased, by their own word and by the company's, as they and the company's operators see it; and a backup that brings them back.

use std::{fs, time::Instant};

use musubi_proto::carrier::v1::{
    Action, SubmitActionsRequest, SuggestionTapped, TextTyped, action::What,
    handset_service_client::HandsetServiceClient,
};
use musubi_terminal_simulator::story::{Expected, Story};
use musubi_tests::processes::{CARRIERS, Kind, Layout, OPERATOR, System};
use serde_json::Value;
use uuid::Uuid;

use crate::{
    assertions::{self, Phones, Stolen},
    people::{
        BANK, CONFIRMED, GAS, audit, distribute, does, import_masters, musubi, musubi_reading, play, refused,
        shown, shown_to, until,
    },
    sample_stories,
};

/// Wrong account numbers after which a company matches nobody.
const GUESSES: u32 = 3;

const ASKED: &str = "お客さまについてお預かりしている情報を、すべて削除しても";
const ERASING: &str = "承りました。お客さまについてお預かりしている情報を";
const UNIFORM: &str = "みなさまへ";

/// A person does something in the bank's talk room.
async fn act(system: &System, person: &Story, batch: u128, what: What) {
    let carrier = person.carrier.as_str();
    let action =
        Action { msisdn: person.phone_number.clone(), official_account: BANK.to_owned(), what: Some(what) };
    let request = SubmitActionsRequest {
        batch_id: Uuid::from_u128(batch).to_string(),
        fleet: "phones".to_owned(),
        actions: vec![action],
    };
    let mut handset = HandsetServiceClient::new(system.channel_of("phones", carrier));
    handset.submit_actions(request).await.unwrap();
}

/// What `prove-erased` says of this number: whether nothing is held, and its words.
fn prove(system: &System, number: &str) -> (bool, String) {
    let arguments = ["followers", "prove-erased", "--official-account", BANK];
    musubi_reading(system, OPERATOR, BANK, &arguments, number)
}

/// Where a company's followers stand, by number.
fn outcomes(system: &System, company: &str) -> Vec<(String, String)> {
    let list = ["followers", "list", "--official-account", company, "--format", "json"];
    let rows: Value = serde_json::from_str(&does(system, company, &list)).unwrap();
    let text = |row: &Value, column: &str| row[column].as_str().unwrap().to_owned();
    rows.as_array().unwrap().iter().map(|row| (text(row, "phone_number"), text(row, "outcome"))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_erased_stays_erased_and_gets_nothing_of_their_own_even_after_a_restore() {
    let mut system = System::start_as(|layout| layout.quiet().guessed_at(GUESSES).papers()).await;
    let (mut phones, stolen) = (Phones::connect(&system).await, Stolen::from(&system).await);
    import_masters(&system).await;
    let stories = sample_stories();
    let there = |story: &&Story| {
        story.official_account == BANK
            && CARRIERS.contains(&story.carrier.as_str())
            && story.expected == Expected::Confirmed
            && story.unfollow_after.as_str().is_empty()
    };
    let confirmed: Vec<_> = stories.iter().filter(there).collect();
    let [one, two, three, ..] = confirmed[..] else { panic!("three confirmed followers of the bank") };
    let wrong = |story: &&Story| {
        story.official_account == GAS
            && CARRIERS.contains(&story.carrier.as_str())
            && story.expected == Expected::Rejected
    };
    let guessing: Vec<_> = stories.iter().filter(wrong).take(GUESSES as usize + 2).collect();
    play(&system, &[&[one, two, three][..], &guessing[..]].concat()).await;
    for person in [one, two, three] {
        shown(&system, &person.phone_number, CONFIRMED).await;
    }
    let customer = |story: &Story| story.expected_customer_id.clone().unwrap();

    // Who guesses at the other company's account numbers: more than its limit is not even tried.
    until("a lock", async || {
        let outcomes = outcomes(&system, GAS);
        assert!(outcomes.iter().all(|(_, outcome)| outcome != "confirmed"), "{outcomes:?}");
        outcomes.iter().any(|(_, outcome)| outcome == "locked").then_some(())
    })
    .await;
    let failed = assertions::fail(&system, &mut phones, &stolen, &customer(one)).await;
    let forged = assertions::forge(&system, &mut phones, &stolen).await;

    // A backup of before.
    let process = system.of(Kind::Information).next().unwrap();
    assert!(process.stop().await.success());
    let database = process.config().with_file_name("information.db");
    let backup = database.with_extension("backup");
    fs::copy(&database, &backup).unwrap();
    process.start();
    process.serving().await.unwrap();

    // What is held, before it goes.
    let export = ["followers", "export", "--official-account", BANK, "--customer", &customer(one)];
    let told: Value = serde_json::from_str(&does(&system, BANK, &export)).unwrap();
    assert_eq!(told["phone_number"], one.phone_number);
    let consents = told["consents"].as_array().unwrap();
    let kinds: Vec<_> = consents.iter().map(|consent| consent["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["wants", "tied"]);
    assert!(consents[0]["text"].as_str().unwrap().ends_with("口座を確認する"), "{told:#}");
    let (nothing, said) = prove(&system, &one.phone_number);
    assert!(!nothing && said.contains("something is held; never erased"), "{said}");

    // One person types it, is asked once more, and taps; the company erases another.
    let begun = Instant::now();
    act(&system, one, 1, What::Typed(TextTyped { text: "個人情報を削除して。".to_owned() })).await;
    let question = shown(&system, &one.phone_number, ASKED).await;
    let button = question.content.unwrap().suggestions.remove(0);
    let tap =
        SuggestionTapped { message_id: question.message_id, postback: button.postback, text: button.text };
    act(&system, one, 2, What::Tapped(tap)).await;
    shown(&system, &one.phone_number, ERASING).await;
    let erase = ["followers", "erase", "--customer", &customer(two)];
    assert!(does(&system, BANK, &erase).starts_with("1 followers of 1 people named"));
    for (person, by) in [(one, "person"), (two, "company")] {
        let (nothing, said) = prove(&system, &person.phone_number);
        assert!(nothing && said.contains("nothing is held") && said.contains(by), "{said}");
    }
    assert!(begun.elapsed().as_secs() < 60, "{:?}", begun.elapsed());
    assert!(!prove(&system, &three.phone_number).0);
    let (well, said) = musubi(&system, OPERATOR, BANK, &export);
    assert!(!well && said.contains("nothing is held about this person"), "{said}");

    // The backup comes back, and the people do not.
    let process = system.of(Kind::Information).next().unwrap();
    assert!(process.stop().await.success());
    fs::copy(&backup, &database).unwrap();
    process.start();
    process.serving().await.unwrap();
    assert!(process.said().contains("the database does not know of 2 erasures"), "{}", process.said());
    for person in [one, two] {
        let (nothing, said) = prove(&system, &person.phone_number);
        assert!(nothing, "{said}");
    }
    assert!(!prove(&system, &three.phone_number).0);

    // They still follow: the next list has them, as strangers who are not asked.
    system.reconfigure(Layout::listing);
    let process = system.of(Kind::Information).next().unwrap();
    assert!(process.stop().await.success());
    process.start();
    process.serving().await.unwrap();
    let back = |outcomes: &[(String, String)], person: &Story| {
        outcomes.iter().any(|(number, outcome)| *number == person.phone_number && outcome == "waiting")
    };
    until("strangers", async || {
        let outcomes = outcomes(&system, BANK);
        (back(&outcomes, one) && back(&outcomes, two)).then_some(())
    })
    .await;
    let questions = |messages: &[musubi_proto::terminal::v1::ShownMessage]| {
        let asks = |text: &str| text.starts_with("フォローありがとうございます");
        messages.iter().filter(|it| it.content.as_ref().is_some_and(|content| asks(&content.text))).count()
    };
    distribute(&system, &[&customer(one), &customer(two), &customer(three)]).await;
    shown(&system, &three.phone_number, &format!("{}様へ", customer(three))).await;
    for person in [one, two] {
        shown(&system, &person.phone_number, UNIFORM).await;
        let messages = shown_to(&system, &person.phone_number).await;
        let own = format!("{}様へ", customer(person));
        assert!(messages.iter().all(|it| it.content.as_ref().is_none_or(|content| content.text != own)));
        assert_eq!(questions(&messages), 1, "nobody is asked again");
    }

    // All of it stands in the audit, with what was done before the backup.
    let lines = audit(&mut system, Kind::Information).await;
    let told = |action: &str, company: &str| {
        lines.iter().filter(|line| line["action"] == action && line["company"] == company).count()
    };
    assert_eq!(told("erasure_replayed", BANK), 2, "{lines:#?}");
    assert_eq!(told("company limit reached", GAS), 1, "{lines:#?}");
    assert!(told("locked", GAS) > 0 && told("tied", GAS) == 0, "{lines:#?}");
    assert_eq!(told("tied", BANK), 3, "{lines:#?}");
    failed.are_told(&lines);
    for (carrier, count) in [("kumo", forged.kumo), ("nami", forged.nami)] {
        let told = refused(&lines, &format!("carrier/{carrier} PushAssertions: "));
        assert!(told >= count, "{told} of {count}: {lines:#?}");
    }
}
