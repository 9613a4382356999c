//! Facts about messages as their sender sees them.

use jiff::SignedDuration;
use musubi_proto::{
    carrier::v1::{OutgoingMessage, RevokeMessagesRequest, SendDecision, SendMessagesRequest},
    convert::content::timestamp,
    r#type::v1::{Content, Suggestion, TrafficType},
};
use tonic::Code;

use super::{Carrier, decisions, delivered, follow, ids, message, message_id, unfollow};

#[tokio::test]
async fn each_message_gets_the_verdict_that_it_deserves() {
    let carrier = Carrier::start().await;
    carrier.followed("bank", 1..3).await;
    let content = |text: &str, suggestions| Some(Content { text: text.to_owned(), suggestions, card: None });
    let button = |text: &str| Suggestion { text: text.to_owned(), ..Default::default() };
    let expires = |seconds| Some(timestamp(carrier.now() + SignedDuration::from_secs(seconds)));
    let refused = [
        (OutgoingMessage { message_id: "1".to_owned(), ..message(1, 1) }, "message_id"),
        (OutgoingMessage { msisdn: "08012345678".to_owned(), ..message(2, 1) }, "msisdn"),
        (OutgoingMessage { content: None, ..message(3, 1) }, "content"),
        (OutgoingMessage { content: content("", vec![]), ..message(4, 1) }, "content.text"),
        (OutgoingMessage { content: content(&"あ".repeat(3_073), vec![]), ..message(5, 1) }, "content.text"),
        (
            OutgoingMessage { content: content("a", vec![button("b"), button("")]), ..message(6, 1) },
            "content.suggestions[1].text",
        ),
        (OutgoingMessage { traffic_type: TrafficType::Unspecified.into(), ..message(7, 1) }, "traffic_type"),
        (OutgoingMessage { traffic_type: 99, ..message(8, 1) }, "traffic_type"),
        (OutgoingMessage { expire_time: expires(0), ..message(9, 1) }, "expire_time"),
    ];
    let mut messages = vec![message(20, 1), message(20, 2), message(21, 9)];
    messages.push(OutgoingMessage { expire_time: expires(1), ..message(22, 2) });
    messages.extend(refused.iter().map(|(message, _)| message.clone()));
    let verdicts = carrier.send("bank", messages).await;
    assert_eq!(decisions(&verdicts[..4]), ["ACCEPTED", "DUPLICATE", "UNREACHABLE", "ACCEPTED"]);
    for (verdict, (_, field)) in verdicts[4..].iter().zip(&refused) {
        assert!(verdict.decision() == SendDecision::Refused);
        assert!(verdict.reason.starts_with(&format!("{field}:")), "{}", verdict.reason);
    }
    assert_eq!(ids(&carrier.receive("fleet").await.next(2).await), ["14", "16"], "in hexadecimal");
}

#[tokio::test]
async fn a_seen_id_is_a_duplicate_whatever_comes_under_it() {
    let carrier = Carrier::start().await;
    carrier.followed("bank", 1..2).await;
    carrier.send("bank", vec![message(1, 1)]).await;
    let worse = [
        OutgoingMessage { content: None, ..message(1, 1) },
        OutgoingMessage { msisdn: String::new(), ..message(1, 1) },
        message(1, 9),
    ];
    let verdicts = carrier.send("bank", worse.to_vec()).await;
    assert_eq!(decisions(&verdicts), ["DUPLICATE"; 3]);
    let incoming = carrier.receive("fleet").await.next(1).await;
    assert_eq!(incoming[0].content.as_ref().unwrap().text, "本文 1", "the first content stands");
}

#[tokio::test]
async fn what_arrives_is_what_was_sent() {
    let carrier = Carrier::start().await;
    carrier.followed("bank", 1..2).await;
    carrier.send("bank", vec![message(1, 1)]).await;
    let incoming = carrier.receive("fleet").await.next(1).await.remove(0);
    let sent = message(1, 1);
    assert!(incoming.content == sent.content && incoming.msisdn == sent.msisdn);
    assert_eq!((incoming.message_id, incoming.traffic_type), (sent.message_id, sent.traffic_type));
    assert_eq!((incoming.official_account.as_str(), incoming.display_name.as_str()), ("bank", "銀行"));
}

#[tokio::test]
async fn a_call_that_is_wrong_takes_nothing() {
    let carrier = Carrier::start().await;
    carrier.followed("bank", 1..2).await;
    for (account, count, code) in [
        ("bank", 1_001, Code::InvalidArgument),
        ("Bank", 1, Code::InvalidArgument),
        ("nobody", 1, Code::NotFound),
    ] {
        let messages = (1..=count).map(|id| message(id, 1)).collect();
        let request = SendMessagesRequest { official_account: account.to_owned(), messages };
        assert_eq!(carrier.messages.clone().send_messages(request).await.err().unwrap().code(), code);
        let message_ids = (1..=count).map(message_id).collect();
        let request = RevokeMessagesRequest { official_account: account.to_owned(), message_ids };
        assert_eq!(carrier.messages.clone().revoke_messages(request).await.err().unwrap().code(), code);
    }
    let verdicts = carrier.send("bank", (1..=1_000).map(|id| message(id, 1)).collect()).await;
    assert_eq!(decisions(&verdicts), ["ACCEPTED"; 1_000]);
}

#[tokio::test]
async fn revoking_tells_what_was_taken_back_and_sends_receipts() {
    let carrier = Carrier::start().await;
    carrier.followed("bank", 1..3).await;
    carrier.send("bank", vec![message(1, 1), message(2, 2)]).await;
    carrier.act(vec![delivered("bank", 1, 1)]).await;
    let revoke = || async {
        let message_ids =
            vec![message_id(1), message_id(2), "nonsense".to_owned(), message_id(3), message_id(2)];
        let request = RevokeMessagesRequest { official_account: "bank".to_owned(), message_ids };
        carrier.messages.clone().revoke_messages(request).await.unwrap().into_inner().revoked
    };
    assert_eq!(revoke().await, [false, true, false, false, true]);
    assert_eq!(revoke().await, [false, true, false, false, true]);
    assert_eq!(carrier.information.lines(4).await[2..], ["delivered 1 bank 1", "revoked 2 bank 2"]);
    assert!(carrier.receive("fleet").await.is_silent().await);
}

#[tokio::test]
async fn a_message_without_an_expire_time_waits_fifteen_days() {
    let carrier = Carrier::start().await;
    carrier.followed("bank", 1..2).await;
    carrier.send("bank", vec![message(1, 1)]).await;
    carrier.clock.advance(SignedDuration::from_hours(15 * 24) - SignedDuration::from_millis(1));
    assert_eq!(ids(&carrier.receive("fleet").await.next(1).await), ["1"]);
    carrier.clock.advance(SignedDuration::from_millis(1));
    assert_eq!(carrier.information.lines(2).await, ["followed bank 1", "expired 1 bank 1"]);
    assert!(carrier.receive("fleet").await.is_silent().await);
}

#[tokio::test]
async fn unfollowing_takes_back_what_waits_and_following_again_does_not_bring_it_back() {
    let carrier = Carrier::start().await;
    carrier.followed("bank", 1..2).await;
    carrier.send("bank", vec![message(1, 1)]).await;
    carrier.act(vec![unfollow("bank", 1)]).await;
    assert_eq!(decisions(&carrier.send("bank", vec![message(2, 1)]).await), ["UNREACHABLE"]);
    carrier.act(vec![follow("bank", 1)]).await;
    assert_eq!(
        carrier.information.lines(4).await,
        ["followed bank 1", "unfollowed bank 1", "revoked 1 bank 1", "followed bank 1"]
    );
    assert!(carrier.receive("fleet").await.is_silent().await);
}
