//! A company that entrusts digests: its followers are confirmed without its server, and what digests don't tell waits for it.

use musubi_proto::company::v1::{ListCopiesRequest, customer_service_client::CustomerServiceClient};
use musubi_terminal_simulator::story::{Expected, Story};
use musubi_tests::processes::{CARRIERS, Layout, System};
use serde_json::Value;

use crate::{
    people::{CONFIRMED, GAS, does, import_masters, play, shown, shown_to, until},
    sample_stories,
};

/// Where this follower of the gas company stands.
fn outcome(system: &System, number: &str) -> String {
    let list = ["followers", "list", "--official-account", GAS, "--format", "json"];
    let rows: Value = serde_json::from_str(&does(system, GAS, &list)).unwrap();
    let is_theirs = |row: &&Value| row["phone_number"] == number;
    rows.as_array()
        .unwrap()
        .iter()
        .find(is_theirs)
        .map_or("", |row| row["outcome"].as_str().unwrap())
        .to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_the_customer_by_digests_is_confirmed_while_the_companys_server_is_stopped() {
    let mut system = System::start_as(|layout: Layout| layout.quiet().blind()).await;
    import_masters(&system).await;
    let mut customers = CustomerServiceClient::new(system.channel(GAS));
    let copies = customers.list_copies(ListCopiesRequest {}).await.unwrap().into_inner().copies;
    assert!(!copies.is_empty() && copies.iter().all(|copy| copy.blind && !copy.outdated));
    let told = does(&system, GAS, &["customers", "copies"]);
    assert!(told.contains("blind") && !told.contains("plain"), "{told}");

    let stories = sample_stories();
    let story = |expected: Expected| -> &Story {
        let fits = |story: &&Story| {
            story.official_account == GAS
                && CARRIERS.contains(&story.carrier.as_str())
                && story.expected == expected
                && story.unfollow_after.as_str().is_empty()
        };
        stories.iter().find(fits).unwrap()
    };
    let (customer, doubtful) = (story(Expected::Confirmed), story(Expected::Review));
    let gas = system.processes().iter_mut().find(|process| process.name() == GAS).unwrap();
    assert!(gas.stop().await.success());
    play(&system, &[customer, doubtful]).await;
    shown(&system, &customer.phone_number, CONFIRMED).await;
    // The other one's match waits, and nobody is told anything of it.
    until("the wait for the company", async || {
        let said = system.said_by("information");
        said.contains("what digests don't tell waits for the company").then_some(())
    })
    .await;
    assert!(shown_to(&system, &doubtful.phone_number).await.len() >= 3);

    let gas = system.processes().iter_mut().find(|process| process.name() == GAS).unwrap();
    gas.start();
    gas.serving().await.unwrap();
    assert_eq!(outcome(&system, &customer.phone_number), "confirmed");
    until("the company's answer", async || {
        (outcome(&system, &doubtful.phone_number) == "review").then_some(())
    })
    .await;
}
