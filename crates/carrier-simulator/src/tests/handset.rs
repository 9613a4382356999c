//! Facts about the network as terminals see it.

use musubi_proto::{
    carrier::v1::{Action, NumberSurrendered, SubmitActionsRequest, SuggestionTapped, action::What},
    convert::content::timestamp,
};
use tonic::Code;
use uuid::Uuid;

use super::{
    Carrier, action, decisions, delivered, displayed, follow, ids, message, message_id, msisdn, typed,
    unfollow,
};

fn tapped(last: u32, postback: &str) -> Action {
    let tapped = SuggestionTapped {
        message_id: message_id(1),
        postback: postback.to_owned(),
        text: "はい".to_owned(),
    };
    action("bank", last, What::Tapped(tapped))
}

#[tokio::test]
async fn what_people_do_is_told_in_order_with_stable_ids() {
    let carrier = Carrier::start().await;
    carrier.followed("bank", 1..2).await;
    carrier.send("bank", vec![message(1, 1)]).await;
    let actions = vec![
        delivered("bank", 1, 1),
        displayed("bank", 1, 1),
        tapped(1, "opaque"),
        typed("bank", 1, "1234567"),
        typed("bank", 2, "a stranger"),
        unfollow("bank", 1),
    ];
    let batch = Uuid::from_u128(7);
    assert!(carrier.submit(batch, actions.clone()).await.unwrap());
    assert!(!carrier.submit(batch, actions).await.unwrap(), "a repeated batch changes nothing");
    carrier.act(vec![follow("bank", 1)]).await;
    let events = carrier.information.events(7).await;
    let lines: Vec<_> = events.iter().map(super::information::line).collect();
    assert_eq!(
        lines[1..],
        [
            "delivered 1 bank 1",
            "displayed 1 bank 1",
            "tapped opaque bank 1",
            "typed 1234567 bank 1",
            "unfollowed bank 1",
            "followed bank 1"
        ]
    );
    assert!(events.iter().all(|event| event.event_time == Some(timestamp(carrier.now()))));
    assert!(events.iter().all(|event| Uuid::try_parse(&event.event_id).is_ok()));
    assert_eq!(carrier.information.all_events().len(), 7, "and each once");
}

#[tokio::test]
async fn a_surrendered_number_is_told_to_every_account_that_it_followed() {
    let carrier = Carrier::start().await;
    carrier.followed("bank", 1..2).await;
    carrier.followed("power", 1..2).await;
    let surrendered = Action {
        msisdn: msisdn(1),
        official_account: String::new(),
        what: Some(What::Surrendered(NumberSurrendered {})),
    };
    carrier.act(vec![surrendered]).await;
    assert_eq!(
        carrier.information.lines(6).await[2..],
        ["unfollowed bank 1", "reassigned bank 1", "unfollowed power 1", "reassigned power 1"]
    );
}

#[tokio::test]
async fn a_bad_action_is_named_and_nothing_of_its_batch_is_applied() {
    let carrier = Carrier::start().await;
    carrier.open_account("bank").await;
    let what = |what| Action { what, ..follow("bank", 2) };
    let nobody = SuggestionTapped { message_id: "1".to_owned(), ..Default::default() };
    for (bad, field) in [
        (Action { msisdn: "090".to_owned(), ..follow("bank", 2) }, "actions[1].msisdn"),
        (follow("", 2), "actions[1].official_account"),
        (follow("Bank", 2), "actions[1].official_account"),
        (follow("nobody", 2), "actions[1].official_account"),
        (what(None), "actions[1].what"),
        (what(Some(What::Delivered(Default::default()))), "actions[1].delivered.message_id"),
        (what(Some(What::Displayed(Default::default()))), "actions[1].displayed.message_id"),
        (what(Some(What::Tapped(nobody))), "actions[1].tapped.message_id"),
        (tapped(2, &"p".repeat(2_049)), "actions[1].tapped.postback"),
        (typed("bank", 2, ""), "actions[1].typed.text"),
        (typed("bank", 2, &"あ".repeat(3_073)), "actions[1].typed.text"),
    ] {
        let batch = Uuid::from_u128(1);
        let status = carrier.submit(batch, vec![follow("bank", 1), bad]).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(status.message().starts_with(&format!("{field}: ")), "{field}: {}", status.message());
        assert!(!status.message().contains("080"), "an error shows no number");
    }
    for (batch_id, fleet, count, field) in [
        ("", "fleet", 1, "batch_id"),
        ("7", "fleet", 1, "batch_id"),
        ("00000000-0000-0000-0000-000000000001", "Fleet", 1, "fleet"),
        ("00000000-0000-0000-0000-000000000001", "", 1, "fleet"),
        ("00000000-0000-0000-0000-000000000001", "fleet", 1_001, "actions"),
    ] {
        let request = SubmitActionsRequest {
            batch_id: batch_id.to_owned(),
            fleet: fleet.to_owned(),
            actions: (0..count).map(|last| follow("bank", last)).collect(),
        };
        let status = carrier.handsets.clone().submit_actions(request).await.err().unwrap();
        assert!(status.message().starts_with(&format!("{field}: ")), "{}", status.message());
    }
    assert_eq!(
        decisions(&carrier.send("bank", vec![message(1, 1), message(2, 2)]).await),
        ["UNREACHABLE"; 2]
    );
    assert!(carrier.submit(Uuid::from_u128(1), vec![follow("bank", 3)]).await.unwrap());
    assert_eq!(carrier.information.lines(1).await, ["followed bank 3"]);
}

#[tokio::test]
async fn messages_come_in_order_first_those_that_wait_then_each_as_it_comes() {
    let carrier = Carrier::start().await;
    carrier.followed("bank", 1..4).await;
    carrier.send("bank", vec![message(3, 1), message(1, 2)]).await;
    let mut stream = carrier.receive("fleet").await;
    assert_eq!(ids(&stream.next(2).await), ["3", "1"]);
    carrier.send("bank", vec![message(2, 3)]).await;
    assert_eq!(ids(&stream.next(1).await), ["2"]);
    assert!(stream.is_silent().await, "nothing twice on one stream");
}

#[tokio::test]
async fn a_message_is_sent_again_on_a_new_stream_until_its_phone_confirms_it() {
    let carrier = Carrier::start().await;
    carrier.followed("bank", 1..3).await;
    carrier.send("bank", vec![message(1, 1), message(2, 2)]).await;
    assert_eq!(ids(&carrier.receive("fleet").await.next(2).await), ["1", "2"]);
    carrier.act(vec![delivered("bank", 1, 1)]).await;
    let mut again = carrier.receive("fleet").await;
    assert_eq!(ids(&again.next(1).await), ["2"]);
    assert!(again.is_silent().await);
}

#[tokio::test]
async fn a_later_stream_of_a_fleet_ends_the_earlier_and_others_go_on() {
    let carrier = Carrier::start().await;
    carrier.followed("bank", 1..2).await;
    let (mut earlier, mut other) = (carrier.receive("fleet").await, carrier.receive("other").await);
    let mut later = carrier.receive("fleet").await;
    assert!(earlier.has_ended().await);
    carrier.send("bank", vec![message(1, 1)]).await;
    assert_eq!(ids(&later.next(1).await), ["1"]);
    assert!(other.is_silent().await);
}

#[tokio::test]
async fn a_number_takes_its_waiting_messages_to_its_new_fleet() {
    let carrier = Carrier::start().await;
    carrier.followed("bank", 1..2).await;
    carrier.send("bank", vec![message(1, 1)]).await;
    let mut other = carrier.receive("other").await;
    let request = SubmitActionsRequest {
        batch_id: Uuid::from_u128(9).to_string(),
        fleet: "other".to_owned(),
        actions: vec![typed("bank", 1, "here")],
    };
    carrier.handsets.clone().submit_actions(request).await.unwrap();
    assert_eq!(ids(&other.next(1).await), ["1"]);
    assert!(carrier.receive("fleet").await.is_silent().await);
}

#[tokio::test]
async fn many_messages_come_in_bounded_responses() {
    let carrier = Carrier::start().await;
    carrier.followed("bank", 0..2_500).await;
    for first in (0..2_500).step_by(500) {
        carrier.send("bank", (first..first + 500).map(|id| message(id + 1, id)).collect()).await;
    }
    let mut stream = carrier.receive("fleet").await;
    let mut count = 0;
    while count < 2_500 {
        let response = stream.0.message().await.unwrap().unwrap();
        assert!((1..=1_000).contains(&response.messages.len()));
        for message in response.messages {
            count += 1;
            assert_eq!(message.message_id, message_id(count));
        }
    }
}
