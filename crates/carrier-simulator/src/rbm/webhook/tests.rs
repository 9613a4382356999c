//! Facts about envelopes, and about what answers a challenge. Shapes are written out as the documents give them.

use jiff::Timestamp;
use musubi_storage::carrier::{AgentEvent, AgentEventKind};
use serde_json::Value;
use uuid::Uuid;

use super::{answers, envelope, masked, *};

fn agent() -> AgentConfig {
    let text = "id = 'bank_agent'\nofficial_account = 'bank'\ndisplay_name = '銀行'\nbrand = 'Bank'";
    toml_agent(text)
}

fn toml_agent(text: &str) -> AgentConfig {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("agent.toml");
    std::fs::write(&file, text).unwrap();
    musubi_runtime::config::load("", Some(&file), "MUSUBI_NOBODY").unwrap()
}

fn posted(kind: AgentEventKind, failed: bool) -> Option<(Value, Value, Post)> {
    let launch = matches!(kind, AgentEventKind::Launched { .. });
    let event = AgentEvent {
        sequence: 1,
        event_id: Uuid::from_u128(7),
        number: (!launch).then(|| "+818012345678".parse().unwrap()),
        kind,
        time: "2026-11-28T09:00:00Z".parse().unwrap(),
        attempts: 0,
    };
    let now: Timestamp = "2026-11-28T09:00:01Z".parse().unwrap();
    let post = envelope::post(&agent(), "token", &event, failed, now)?;
    let body: Value = serde_json::from_slice(&post.body).unwrap();
    let data = BASE64.decode(body["message"]["data"].as_str().unwrap()).unwrap();
    Some((body, serde_json::from_slice(&data).unwrap(), post))
}

#[test]
fn an_envelope_has_the_documented_fields_and_signs_the_decoded_data() {
    let (body, data, post) = posted(AgentEventKind::Typed("こんにちは".to_owned()), false).unwrap();
    let message = &body["message"];
    assert_eq!(message["messageId"], message["message_id"]);
    assert_eq!(message["publishTime"], "2026-11-28T09:00:01.000000Z");
    assert_eq!(message["attributes"]["product"], "RBM");
    assert_eq!(message["attributes"]["business_id"], "bank_agent");
    assert!(body["subscription"].as_str().unwrap().starts_with("projects/"));
    assert_eq!(post.kind, "message_callback");
    let fields: Vec<_> = data.as_object().unwrap().keys().cloned().collect();
    assert_eq!(fields, ["agentId", "messageId", "sendTime", "senderPhoneNumber", "text"]);
    // HMAC-SHA512 by another implementation, over the decoded data.
    assert_eq!(BASE64.decode(&post.signature).unwrap().len(), 64);
    let bytes = BASE64.decode(message["data"].as_str().unwrap()).unwrap();
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA512, b"token");
    aws_lc_rs::hmac::verify(&key, &bytes, &BASE64.decode(&post.signature).unwrap()).unwrap();
    assert!(aws_lc_rs::hmac::verify(&key, &post.body, &BASE64.decode(&post.signature).unwrap()).is_err());
}

#[test]
fn every_event_has_its_documented_shape() {
    let message = || "m-1".to_owned();
    for (kind, failed, event_type, fields) in [
        (
            AgentEventKind::Subscribed,
            false,
            "SUBSCRIBE",
            "agentId eventId eventType sendTime senderPhoneNumber",
        ),
        (
            AgentEventKind::Unsubscribed,
            false,
            "UNSUBSCRIBE",
            "agentId eventId eventType sendTime senderPhoneNumber",
        ),
        (
            AgentEventKind::Delivered(message()),
            false,
            "DELIVERED",
            "agentId eventId eventType messageId sendTime senderPhoneNumber",
        ),
        (
            AgentEventKind::Displayed(message()),
            false,
            "READ",
            "agentId eventId eventType messageId sendTime senderPhoneNumber",
        ),
        (
            AgentEventKind::Expired { client_id: message(), timed: true },
            false,
            "TTL_EXPIRATION_REVOKED",
            "agentId eventId eventType messageId phoneNumber sendTime",
        ),
        (
            AgentEventKind::Expired { client_id: message(), timed: true },
            true,
            "TTL_EXPIRATION_REVOKE_FAILED",
            "agentId eventId eventType messageId phoneNumber sendTime",
        ),
    ] {
        let (body, data, _) = posted(kind, failed).unwrap();
        let names: Vec<_> = data.as_object().unwrap().keys().cloned().collect();
        assert_eq!(names.join(" "), fields);
        assert_eq!(data["eventType"], event_type);
        assert_eq!(body["message"]["attributes"]["event_type"], event_type);
    }
    let untimed = AgentEventKind::Expired { client_id: message(), timed: false };
    assert!(posted(untimed, false).is_none(), "who set no end is told of none");
    let launched = AgentEventKind::Launched { from: "PENDING".to_owned(), to: "LAUNCHED".to_owned() };
    let (body, data, post) = posted(launched, false).unwrap();
    assert_eq!(
        (body["message"]["attributes"]["type"].as_str(), post.kind),
        (Some("agent_launch_event"), "agent_callback")
    );
    assert_eq!((&data["oldLaunchState"], &data["newLaunchState"]), (&"PENDING".into(), &"LAUNCHED".into()));
}

#[test]
fn a_tap_says_whether_it_was_a_reply_or_an_action() {
    let body = r#"{"contentMessage":{"text":"?","suggestions":[{"reply":{"text":"はい","postbackData":"y"}},
        {"action":{"text":"開く","postbackData":"o","openUrlAction":{"url":"https://a.example/"}}}]}}"#;
    for (label, postback, body, kind) in [
        ("はい", "y", Some(body.to_owned()), "REPLY"),
        ("開く", "o", Some(body.to_owned()), "ACTION"),
        ("開く", "y", Some(body.to_owned()), "REPLY"),
        ("はい", "y", None, "REPLY"),
    ] {
        let tapped = AgentEventKind::Tapped { postback: postback.to_owned(), label: label.to_owned(), body };
        let (_, data, _) = posted(tapped, false).unwrap();
        let response = &data["suggestionResponse"];
        assert_eq!((&response["type"], &response["text"]), (&kind.into(), &label.into()));
        assert_eq!(response["postbackData"], postback);
    }
}

#[test]
fn the_word_of_who_leaves_is_that_of_the_number() {
    let (_, data, _) = posted(AgentEventKind::Left, false).unwrap();
    assert_eq!(data["text"], "STOP");
}

#[test]
fn a_challenge_is_answered_raw_or_as_the_samples_do() {
    for (text, lenient, strict) in [
        ("s3cret", true, true),
        ("s3cret\n", true, false),
        ("\"s3cret\"", true, false),
        ("secret: s3cret", true, false),
        (r#"{"secret":"s3cret"}"#, true, false),
        ("", false, false),
        ("other", false, false),
        ("secret: other", false, false),
        ("xs3cret", false, false),
    ] {
        assert_eq!(
            (answers(text, "s3cret", false), answers(text, "s3cret", true)),
            (lenient, strict),
            "{text}"
        );
    }
}

#[test]
fn a_number_is_masked() {
    assert_eq!(masked("+818012345678"), "+81…78");
    assert_eq!(masked(""), "…");
}
