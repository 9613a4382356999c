//! What people decide, as people do it: the `musubi` program at the companies' doors, phones that show what they are told,
//! and an information-management server that dies in between.

use musubi_terminal_simulator::story::{Expected, Reply, Story};
use musubi_tests::processes::{CARRIERS, Kind, OPERATOR, SECOND_OPERATOR, System};
use serde_json::Value;

use crate::{
    audience::Prepared,
    people::{BANK, CONFIRMED, GAS, audit, does, import_masters, kill_and_start, musubi, play, shown, until},
    sample_stories,
};

const REJECTED: &str = "ご本人さまの確認ができませんでした。";

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
    let untied = of(BANK, Expected::Confirmed)[1];
    // A customer of the other company follows the bank, too, and tells it nothing.
    let neighbour = Story {
        official_account: BANK.to_owned(),
        reply: Reply::Decline,
        account_text: String::new(),
        identity: None,
        expected: Expected::Declined,
        expected_customer_id: None,
        ..second.clone()
    };
    play(&system, &[approved, rejected, second, first_number, untied, &neighbour]).await;
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
    for person in [first_number, untied] {
        shown(&system, &person.phone_number, CONFIRMED).await;
    }
    let (approved_id, first_id, untied_id) = (customer(approved), customer(first_number), customer(untied));
    let (rejected_id, second_id) = (customer(rejected), customer(second));
    let everybody = [&approved_id, &rejected_id, &second_id, &first_id, &untied_id].map(String::as_str);
    let before = Prepared::new(&system, BANK, &[&everybody[..], &["A999999"]].concat()).await;
    let elsewhere = Prepared::new(&system, GAS, &[approved_id.as_str(), first_id.as_str()]).await;
    let other_number = Story { phone_number: "+818012340000".to_owned(), ..first_number.clone() };
    play(&system, &[&other_number]).await;
    let of_other = waiting(&system, BANK, &customer(first_number)).await;
    let said = does(&system, BANK, &["reviews", "show", &of_other]);
    let warning = format!("{} is tied to {} now", customer(first_number), first_number.phone_number);
    assert!(said.contains(&warning) && said.contains("customer_tied_to_another_number"), "{said}");
    let said = does(&system, BANK, &["reviews", "approve", &of_other]);
    assert!(said.contains("has ended"), "{said}");
    shown(&system, &other_number.phone_number, CONFIRMED).await;

    // Values of before the ties moved reach whoever has the customer now, and of another company's customers nobody.
    does(&system, BANK, &["followers", "untie", "--official-account", BANK, "--customer", &untied_id]);
    let nobodys = [rejected, first_number, untied, &neighbour].map(|person| (person, None));
    let own = [(approved, Some(approved_id.as_str())), (&other_number, Some(first_id.as_str()))];
    before.send(&system, &[&own[..], &nobodys[..]].concat()).await;
    elsewhere.send(&system, &[(second, None)]).await;

    let listed = does(&system, BANK, &["reviews", "list"]);
    assert!(listed.contains("0 reviews"), "nothing waits any more: {listed}");

    let lines = audit(&mut system, Kind::Information).await;
    before.is_told(&lines, "2 individual, 4 uniform");
    elsewhere.is_told(&lines, "1 uniform");
    let told =
        |action: &str| lines.iter().any(|line| line["action"] == action && line["detail"] == "by sato");
    assert!(told("untie asked"), "{lines:#?}");
}
