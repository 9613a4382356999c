//! Facts about messages: sent once, shown by phones, taken back, over.

use jiff::SignedDuration;
use musubi_proto::carrier::v1::{SuggestionTapped, action::What};
use musubi_proto::r#type::v1::suggestion;
use serde_json::json;

use super::{super::*, AGENT, Rbm, kinds, text};

#[tokio::test]
async fn a_message_reaches_its_phone_and_what_becomes_of_it_the_webhook() {
    let rbm = Rbm::start().await;
    rbm.carrier.act(vec![follow("bank", 1)]).await;
    assert_eq!(kinds(&rbm.told(1).await), ["SUBSCRIBE"]);
    let body = json!({
        "contentMessage": {
            "text": "口座をお持ちですか",
            "suggestions": [
                { "reply": { "text": "はい", "postbackData": "yes" } },
                { "action": { "text": "開く", "postbackData": "open", "openUrlAction": { "url": "https://a.example/x" } } },
            ],
        },
        "messageTrafficType": "TRANSACTION",
    });
    let (status, answer) = rbm.send(1, "any-id-1", body.clone()).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["name"], format!("phones/{}/agentMessages/any-id-1", msisdn(1)));
    assert!(answer["sendTime"].as_str().unwrap().ends_with('Z'));
    assert_eq!(answer["contentMessage"], body["contentMessage"]);

    let mut phone = rbm.carrier.receive("fleet").await;
    let message = phone.next(1).await.remove(0);
    let content = message.content.unwrap();
    assert_eq!((message.display_name.as_str(), content.text.as_str()), ("みなと銀行", "口座をお持ちですか"));
    assert!(matches!(content.suggestions[1].action, Some(suggestion::Action::OpenUrl(_))));
    let id = message.message_id;
    let receipt = |what| action("bank", 1, what);
    let tap = |postback: &str, label: &str| {
        let (message_id, postback, text) = (id.clone(), postback.to_owned(), label.to_owned());
        action("bank", 1, What::Tapped(SuggestionTapped { message_id, postback, text }))
    };
    rbm.carrier
        .act(vec![
            receipt(What::Delivered(musubi_proto::carrier::v1::MessageDelivered { message_id: id.clone() })),
            receipt(What::Displayed(musubi_proto::carrier::v1::MessageDisplayed { message_id: id.clone() })),
            tap("yes", "はい"),
            tap("open", "開く"),
            typed("bank", 1, "1234567"),
            unfollow("bank", 1),
        ])
        .await;
    let told = rbm.told(7).await;
    assert_eq!(
        kinds(&told),
        ["DELIVERED", "READ", "suggestionResponse", "suggestionResponse", "text", "text", "UNSUBSCRIBE"]
    );
    assert_eq!((&told[0]["messageId"], &told[1]["messageId"]), (&json!("any-id-1"), &json!("any-id-1")));
    assert_eq!(
        told[2]["suggestionResponse"],
        json!({ "postbackData": "yes", "text": "はい", "type": "REPLY" })
    );
    assert_eq!(told[3]["suggestionResponse"]["type"], "ACTION");
    assert_eq!((&told[4]["text"], &told[5]["text"]), (&json!("1234567"), &json!("STOP")));
    assert!(told.iter().all(|it| it["senderPhoneNumber"] == msisdn(1) && it["agentId"] == AGENT));
    assert!(
        rbm.carrier.information.all_events().is_empty(),
        "the information server is told by the webhook alone"
    );
}

#[tokio::test]
async fn an_id_is_used_once_and_a_repeated_call_is_answered_alike() {
    let rbm = Rbm::start().await;
    rbm.carrier.act(vec![follow("bank", 1), follow("bank", 2)]).await;
    assert_eq!(rbm.send_text(1, "one").await, 200);
    assert_eq!(rbm.send(1, "one", text("another")).await.0, 200);
    assert_eq!(rbm.send_text(2, "one").await, 200, "another phone's message is another one");
    let own = message_id(7);
    assert_eq!(rbm.send_text(1, &own).await, 200);
    let mut phone = rbm.carrier.receive("fleet").await;
    let messages = phone.next(3).await;
    assert!(phone.is_silent().await);
    assert_eq!(messages[2].message_id, own, "an id of the information server's is kept as it is");
    assert!(messages.iter().all(|it| it.content.as_ref().unwrap().text == "本文"));

    let strict = Rbm::start_with(|section| section["strict"] = json!(true)).await;
    strict.carrier.act(vec![follow("bank", 1)]).await;
    let id = "0190b4f2-7a6c-7c3a-8f0e-3b2a1c0d9e8f";
    assert_eq!(strict.send_text(1, id).await, 200);
    let (status, answer) = strict.send(1, id, text("a")).await;
    assert_eq!((status, &answer["error"]["status"]), (409, &json!("ALREADY_EXISTS")));
    assert_eq!(strict.send_text(1, "no-uuid").await, 400);
}

#[tokio::test]
async fn a_message_is_taken_back_until_a_phone_has_it() {
    let rbm = Rbm::start().await;
    rbm.carrier.act(vec![follow("bank", 1)]).await;
    assert_eq!(rbm.send_text(1, "early").await, 200);
    assert_eq!(rbm.revoke(1, "early").await, (200, json!({})));
    assert_eq!(rbm.revoke(1, "early").await, (200, json!({})), "repeatable");
    assert_eq!(rbm.send_text(1, &message_id(2)).await, 200);
    rbm.carrier.act(vec![delivered("bank", 1, 2)]).await;
    let (status, answer) = rbm.revoke(1, &message_id(2)).await;
    assert_eq!((status, &answer["error"]["status"]), (404, &json!("NOT_FOUND")));
    assert_eq!(rbm.revoke(1, "never").await.0, 404);
    assert_eq!(
        kinds(&rbm.told(2).await),
        ["SUBSCRIBE", "DELIVERED"],
        "what was taken back is nothing to tell"
    );
}

#[tokio::test]
async fn who_set_an_end_is_told_of_it() {
    let rbm = Rbm::start().await;
    rbm.carrier.act(vec![follow("bank", 1)]).await;
    rbm.told(1).await;
    for (id, end) in [
        ("a", json!({ "ttl": "60s" })),
        ("b", json!({ "expireTime": "2026-11-23T09:01:00Z" })),
        ("c", json!({})),
    ] {
        let mut body = text("a");
        body.as_object_mut().unwrap().extend(end.as_object().unwrap().clone());
        assert_eq!(rbm.send(1, id, body).await.0, 200);
    }
    rbm.carrier.clock.advance(SignedDuration::from_secs(61));
    let told = rbm.told(2).await;
    assert_eq!(kinds(&told), ["TTL_EXPIRATION_REVOKED"; 2]);
    assert!(told.iter().all(|it| it["phoneNumber"] == msisdn(1) && it["senderPhoneNumber"].is_null()));
    assert_eq!(rbm.revoke(1, "a").await.0, 404, "it is over");
    rbm.carrier.clock.advance(SignedDuration::from_hours(31 * 24));
    assert!(rbm.hook.is_silent().await, "what has no end is dropped after 30 days, and nobody is told");
    assert_eq!(rbm.revoke(1, "c").await.0, 401, "the token is too old by then");
}

#[tokio::test]
async fn cards_and_files_are_shown_as_text_and_buttons() {
    let rbm = Rbm::start().await;
    rbm.carrier.act(vec![follow("bank", 1)]).await;
    let media = json!({ "height": "MEDIUM", "contentInfo": { "fileUrl": "https://a.example/card.png" } });
    let card = |title: &str| {
        json!({
            "title": title, "description": "説明", "media": media,
            "suggestions": [{ "reply": { "text": title, "postbackData": title } }],
        })
    };
    let carousel = json!({ "contentMessage": { "richCard": { "carouselCard": {
        "cardWidth": "MEDIUM", "cardContents": [card("一"), card("二")],
    } } } });
    assert_eq!(rbm.send(1, "cards", carousel).await.0, 200);
    let (status, file) = rbm
        .call(
            "POST",
            &format!("/v1/files?agentId={AGENT}"),
            Some(json!({ "fileUrl": "https://a.example/f.pdf" })),
        )
        .await;
    assert_eq!(status, 200, "{file}");
    let name = file["name"].as_str().unwrap();
    let uploaded = json!({ "contentMessage": { "uploadedRbmFile": { "fileName": name } } });
    assert_eq!(rbm.send(1, "file", uploaded).await.0, 200);
    let nobodys = json!({ "contentMessage": { "uploadedRbmFile": { "fileName": "files/nobodys" } } });
    assert_eq!(rbm.send(1, "nobodys", nobodys).await.0, 400);
    let standalone =
        json!({ "contentMessage": { "richCard": { "standaloneCard": { "cardContent": card("三") } } } });
    assert_eq!(rbm.send(1, "card", standalone).await.0, 200);
    let mut phone = rbm.carrier.receive("fleet").await;
    let messages = phone.next(3).await;
    let (shown, picture) = (messages[2].content.as_ref().unwrap(), "https://a.example/card.png");
    let card = shown.card.as_ref().unwrap();
    assert_eq!((shown.text.as_str(), card.title.as_str(), card.image_url.as_str()), ("説明", "三", picture));
    let content = messages[0].content.as_ref().unwrap();
    let line = "説明\nhttps://a.example/card.png";
    assert_eq!(content.text, format!("一\n{line}\n二\n{line}"));
    assert_eq!(content.suggestions.iter().map(|it| it.text.as_str()).collect::<Vec<_>>(), ["一", "二"]);
    assert_eq!(messages[1].content.as_ref().unwrap().text, format!("[{name}]"));
}
