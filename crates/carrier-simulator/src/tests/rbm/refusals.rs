//! Facts about what is refused, and how: Google's shape of errors, the field at fault, and never the value.

use jiff::SignedDuration;
use serde_json::{Value, json};

use super::{super::*, AGENT, Rbm, SCOPE, text};

/// What no error may show.
const PERSONAL: &str = "漏";

#[tokio::test]
async fn a_token_is_given_for_an_assertion_that_is_believed_and_of_now() {
    let rbm = Rbm::start().await;
    let good = rbm.assertion(SCOPE, SignedDuration::ZERO);
    assert_eq!(rbm.exchange(&good).await.0, 200);
    assert_eq!(
        rbm.exchange(&rbm.assertion("", SignedDuration::ZERO)).await.0,
        200,
        "a tolerant face asks for no scope"
    );
    let (head, rest) = good.split_once('.').unwrap();
    let (_, signature) = rest.split_once('.').unwrap();
    let mut broken = good.clone();
    broken.truncate(good.len() - 8);
    for bad in [
        String::new(),
        "a.b.c".to_owned(),
        broken + "AAAAAAAA",
        format!("{head}.e30.{signature}"),
        rbm.assertion(SCOPE, SignedDuration::from_hours(-2)),
        rbm.assertion(SCOPE, SignedDuration::from_hours(2)),
    ] {
        let (status, answer) = rbm.exchange(&bad).await;
        assert_eq!((status, &answer["error"]), (400, &json!("invalid_grant")), "{bad:.20}");
        assert!(answer["error_description"].is_string());
    }
    let form = rbm.client.post(rbm.url("/token")).body("grant_type=password&assertion=x");
    let form = form.header("content-type", "application/x-www-form-urlencoded");
    let (status, answer) = super::answer(form.send().await.unwrap()).await;
    assert_eq!((status, &answer["error"]), (400, &json!("unsupported_grant_type")));

    let strict = Rbm::start_with(|section| section["strict"] = json!(true)).await;
    let (_, answer) = strict.exchange(&strict.assertion("", SignedDuration::ZERO)).await;
    assert_eq!(answer["error"], "invalid_scope");
    let (_, answer) = strict.exchange(&good).await;
    assert_eq!(answer["error"], "invalid_grant", "another simulator's account");
}

#[tokio::test]
async fn a_call_needs_a_token_that_is_good() {
    let rbm = Rbm::start().await;
    let path = rbm.url(&format!("/v1/phones/{}/capabilities?agentId={AGENT}", msisdn(1)));
    let call = |header: Option<String>| {
        let mut request = rbm.client.get(&path);
        if let Some(header) = header {
            request = request.header("authorization", header);
        }
        async { super::answer(request.send().await.unwrap()).await }
    };
    for bad in
        [None, Some("Bearer".to_owned()), Some("Bearer x".to_owned()), Some(format!("Basic {}", rbm.token))]
    {
        let (status, answer) = call(bad).await;
        assert_eq!((status, &answer["error"]["status"]), (401, &json!("UNAUTHENTICATED")));
    }
    assert_eq!(call(Some(format!("bearer {}", rbm.token))).await.0, 404);
    let own = rbm.assertion(SCOPE, SignedDuration::ZERO);
    assert_eq!(call(Some(format!("Bearer {own}"))).await.0, 404, "an assertion is a token, too");
    rbm.carrier.clock.advance(SignedDuration::from_secs(3600));
    assert_eq!(call(Some(format!("Bearer {}", rbm.token))).await.0, 401);
}

#[tokio::test]
async fn what_is_wrong_with_a_message_is_named_and_not_shown() {
    let rbm = Rbm::start().await;
    rbm.carrier.act(vec![follow("bank", 1)]).await;
    let content = |content: Value| json!({ "contentMessage": content });
    let suggestion = |suggestion: Value| content(json!({ "text": "a", "suggestions": [suggestion] }));
    let action = |action: Value| {
        let mut it = json!({ "text": "a", "postbackData": "p" });
        it.as_object_mut().unwrap().extend(action.as_object().unwrap().clone());
        suggestion(json!({ "action": it }))
    };
    let card = |card: Value| content(json!({ "richCard": { "standaloneCard": { "cardContent": card } } }));
    let long = |count: usize| PERSONAL.repeat(count);
    let with = |end: Value| {
        let mut body = text("a");
        body.as_object_mut().unwrap().extend(end.as_object().unwrap().clone());
        body
    };
    let reply = json!({ "reply": { "text": "a", "postbackData": "p" } });
    for (body, field) in [
        (json!({}), "contentMessage"),
        (content(json!({})), "contentMessage"),
        (content(json!({ "text": "" })), "contentMessage.text"),
        (content(json!({ "text": long(3073) })), "contentMessage.text"),
        (content(json!({ "text": 5 })), "contentMessage.text"),
        (content(json!({ "text": "a", "richCard": {} })), "contentMessage"),
        (content(json!({ "richCard": {} })), "contentMessage.richCard"),
        (content(json!({ "contentInfo": { "fileUrl": PERSONAL } })), "contentMessage.contentInfo.fileUrl"),
        (
            content(json!({ "text": "a", "suggestions": vec![reply.clone(); 12] })),
            "contentMessage.suggestions",
        ),
        (suggestion(json!({})), "contentMessage.suggestions[0]"),
        (
            suggestion(json!({ "reply": { "text": long(26), "postbackData": "p" } })),
            "contentMessage.suggestions[0].reply.text",
        ),
        (
            suggestion(json!({ "reply": { "text": "a", "postbackData": long(700) } })),
            "contentMessage.suggestions[0].reply.postbackData",
        ),
        (action(json!({})), "contentMessage.suggestions[0].action"),
        (
            action(json!({ "openUrlAction": { "url": PERSONAL } })),
            "contentMessage.suggestions[0].action.openUrlAction.url",
        ),
        (
            action(json!({ "dialAction": { "phoneNumber": PERSONAL } })),
            "contentMessage.suggestions[0].action.dialAction.phoneNumber",
        ),
        (
            action(json!({ "viewLocationAction": {} })),
            "contentMessage.suggestions[0].action.viewLocationAction",
        ),
        (
            action(json!({ "viewLocationAction": { "latLong": { "latitude": 91 } } })),
            "contentMessage.suggestions[0].action.viewLocationAction.latLong.latitude",
        ),
        (
            action(json!({ "createCalendarEventAction": { "startTime": PERSONAL } })),
            "contentMessage.suggestions[0].action.createCalendarEventAction.startTime",
        ),
        (card(json!({})), "contentMessage.richCard.standaloneCard.cardContent"),
        (card(json!({ "title": long(201) })), "contentMessage.richCard.standaloneCard.cardContent.title"),
        (
            card(json!({ "description": long(2001) })),
            "contentMessage.richCard.standaloneCard.cardContent.description",
        ),
        (card(json!({ "media": {} })), "contentMessage.richCard.standaloneCard.cardContent.media"),
        (
            card(json!({ "title": "a", "suggestions": vec![reply.clone(); 11] })),
            "contentMessage.richCard.standaloneCard.cardContent.suggestions",
        ),
        (
            content(json!({ "richCard": { "carouselCard": { "cardContents": [{ "title": "a" }] } } })),
            "contentMessage.richCard.carouselCard.cardContents",
        ),
        (with(json!({ "ttl": PERSONAL })), "ttl"),
        (with(json!({ "ttl": "0s" })), "ttl"),
        (with(json!({ "ttl": "-5s" })), "ttl"),
        (with(json!({ "ttl": "1296001s" })), "ttl"),
        (with(json!({ "expireTime": "2026-11-23T08:59:59Z" })), "expireTime"),
        (with(json!({ "expireTime": PERSONAL })), "expireTime"),
        (with(json!({ "expireTime": "2026-11-23T10:00:00Z", "ttl": "60s" })), "expireTime"),
        (with(json!({ "messageTrafficType": PERSONAL })), "messageTrafficType"),
    ] {
        let (status, answer) = rbm.send(1, "refused", body).await;
        let error = &answer["error"];
        assert_eq!(
            (status, &error["code"], &error["status"]),
            (400, &json!(400), &json!("INVALID_ARGUMENT")),
            "{field}"
        );
        assert_eq!(error["details"][0]["@type"], "type.googleapis.com/google.rpc.BadRequest");
        assert_eq!(error["details"][0]["fieldViolations"][0]["field"], field);
        assert!(error["message"].as_str().unwrap().starts_with(field), "{error}");
        assert!(!answer.to_string().contains(PERSONAL), "{field} is shown");
    }
    assert_eq!(rbm.send_text(1, "refused").await, 200, "no id was used up");
}

#[tokio::test]
async fn a_strict_face_refuses_what_the_documents_do() {
    let rbm = Rbm::start_with(|section| section["strict"] = json!(true)).await;
    rbm.carrier.act(vec![follow("bank", 1)]).await;
    let content = |content: Value| json!({ "contentMessage": content });
    let reply = json!({ "reply": { "text": "a", "postbackData": "p" } });
    let card = |card: Value| content(json!({ "richCard": { "standaloneCard": card } }));
    let id = "0190b4f2-7a6c-7c3a-8f0e-3b2a1c0d9e8f";
    for body in [
        json!({ "contentMessage": { "text": "a" }, "shiny": 1 }),
        content(json!({ "text": "a", "suggestions": [{ "reply": { "text": "a" } }] })),
        card(json!({ "cardContent": { "title": "a" } })),
        card(json!({ "cardOrientation": "HORIZONTAL", "cardContent": { "title": "a" } })),
        card(
            json!({ "cardOrientation": "VERTICAL", "cardContent": { "title": "a", "suggestions": vec![reply.clone(); 5] } }),
        ),
    ] {
        assert_eq!(rbm.send(1, id, body.clone()).await.0, 400, "{body}");
        let lenient = Rbm::start().await;
        lenient.carrier.act(vec![follow("bank", 1)]).await;
        assert_eq!(lenient.send(1, "any", body.clone()).await.0, 200, "{body}");
    }
}

#[tokio::test]
async fn calls_are_taken_as_clients_write_them() {
    let rbm = Rbm::start().await;
    rbm.carrier.act(vec![follow("bank", 1)]).await;
    let encoded = msisdn(1).replace('+', "%2B");
    for path in [
        format!("/v1/phones/{encoded}/agentMessages?messageId=1&agentId={AGENT}"),
        format!(
            "/v1/phones/{}/agentMessages?agentId={AGENT}&messageId=2&alt=json&prettyPrint=false&$.xgafv=2&key=k",
            msisdn(1)
        ),
        format!("/v1/phones/{}/agentMessages?messageId=3&agentId={AGENT}%40rbm.goog", msisdn(1)),
    ] {
        let mut body = text("a");
        body["contentMessage"]["suggestions"] = json!([]);
        assert_eq!(rbm.call("POST", &path, Some(body)).await.0, 200, "{path}");
    }
    let path = format!("/v1/phones/{encoded}/agentMessages/2?agentId={AGENT}");
    assert_eq!(rbm.call("DELETE", &path, None).await, (200, json!({})));
    for (method, path, status) in [
        ("POST", format!("/v1/phones/{}/agentMessages?agentId={AGENT}", msisdn(1)), 400),
        ("POST", format!("/v1/phones/{}/agentMessages?messageId=9", msisdn(1)), 403),
        ("POST", format!("/v1/phones/{}/agentMessages?messageId=9&agentId=other", msisdn(1)), 403),
        ("POST", format!("/v1/phones/0801/agentMessages?messageId=9&agentId={AGENT}"), 400),
        ("POST", format!("/v1/phones/%208180/agentMessages?messageId=9&agentId={AGENT}"), 400),
        (
            "POST",
            format!("/v1/phones/{}/agentMessages?messageId={}&agentId={AGENT}", msisdn(1), "x".repeat(300)),
            400,
        ),
        ("POST", format!("/v1/phones/{}/agentMessages?messageId=%00&agentId={AGENT}", msisdn(1)), 400),
        ("POST", format!("/v1/phones/%FF/agentMessages?messageId=9&agentId={AGENT}"), 400),
        ("POST", format!("/v1/phones/{}/agentMessages?messageId=%FF%FE&agentId={AGENT}%20", msisdn(1)), 403),
        ("GET", "/v1/nothing".to_owned(), 404),
        ("PUT", format!("/v1/phones/{}/agentMessages?messageId=9&agentId={AGENT}", msisdn(1)), 404),
    ] {
        let (got, answer) = rbm.call(method, &path, Some(text("a"))).await;
        assert_eq!(got, status, "{path:.60}");
        assert_eq!(answer["error"]["code"], status);
    }
    let typing = json!({ "eventType": "IS_TYPING" });
    let event = |id: &str| format!("/v1/phones/{}/agentEvents?eventId={id}&agentId={AGENT}", msisdn(1));
    let (status, answer) = rbm.call("POST", &event("e"), Some(typing)).await;
    assert_eq!((status, &answer["eventType"]), (200, &json!("IS_TYPING")));
    assert_eq!(
        rbm.call("POST", &event("e"), Some(json!({ "eventType": "READ", "messageId": "m" }))).await.0,
        200
    );
    assert_eq!(rbm.call("POST", &event("e"), Some(json!({ "eventType": "READ" }))).await.0, 400);
    assert_eq!(rbm.call("POST", &event("e"), Some(json!({}))).await.0, 400);
    let upload = |kind: &'static str, body: &'static str| {
        let request =
            rbm.client.post(rbm.url(&format!("/upload/v1/files?agentId={AGENT}"))).bearer_auth(&rbm.token);
        let request = request.header("content-type", kind).body(body);
        async { super::answer(request.send().await.unwrap()).await }
    };
    let (status, file) = upload("image/png", "bytes").await;
    assert!(status == 200 && file["name"].as_str().unwrap().starts_with("files/"), "{file}");
    assert_eq!(upload("image/png", "").await.0, 400);
    assert_eq!(upload("multipart/related; boundary=b", "nothing").await.0, 400);
}

#[tokio::test]
async fn any_bytes_are_answered_as_google_answers_them() {
    let rbm = Rbm::start().await;
    rbm.carrier.act(vec![follow("bank", 1)]).await;
    let paths = [
        format!("/v1/phones/{}/agentMessages?messageId=hostile&agentId={AGENT}", msisdn(1)),
        format!("/v1/phones/{}/agentEvents?eventId=hostile&agentId={AGENT}", msisdn(1)),
        format!("/v1/users:batchGet?agentId={AGENT}"),
        format!("/v1/files?agentId={AGENT}"),
    ];
    let deep = format!("{}{}", r#"{"contentMessage":"#.repeat(20_000), "}".repeat(20_000));
    let bodies: Vec<Vec<u8>> = vec![
        b"\xff\xfe".to_vec(),
        b"null".to_vec(),
        b"[]".to_vec(),
        b"5".to_vec(),
        b"{\"contentMessage\":{\"text\":\"\\u0000\"}}".to_vec(),
        b"{\"contentMessage\":{\"text\":\"\\ud800\"}}".to_vec(),
        deep.into_bytes(),
        "[".repeat(100_000).into_bytes(),
        br#"{"contentMessage":{"text":"a"},"contentMessage":5,"users":5,"fileUrl":5,"eventType":5}"#.to_vec(),
        format!(r#"{{"contentMessage":{{"text":"a","x":"{}"}}}}"#, PERSONAL.repeat(100_000)).into_bytes(),
        vec![b'x'; 2 << 20],
    ];
    for path in &paths {
        for body in &bodies {
            let request = rbm.client.post(rbm.url(path)).bearer_auth(&rbm.token).body(body.clone());
            let (status, answer) = super::answer(request.send().await.unwrap()).await;
            assert_eq!(
                (status, &answer["error"]["status"]),
                (400, &json!("INVALID_ARGUMENT")),
                "{path} {:.20?}",
                body
            );
            assert!(!answer.to_string().contains(PERSONAL));
        }
    }
    assert_eq!(rbm.send_text(1, "hostile").await, 200, "no id was used up");
    for body in [b"\xff=\xfe&%".to_vec(), b"grant_type&assertion".to_vec(), vec![b'x'; 500_000]] {
        let (status, answer) =
            super::answer(rbm.client.post(rbm.url("/token")).body(body).send().await.unwrap()).await;
        assert_eq!((status, &answer["error"]), (400, &json!("unsupported_grant_type")));
    }
}

#[tokio::test]
async fn calls_fail_where_that_is_configured() {
    for (fault, status, name) in [
        ("throttled", 429, "RESOURCE_EXHAUSTED"),
        ("failed", 503, "UNAVAILABLE"),
        ("lost_answers", 503, "UNAVAILABLE"),
    ] {
        let rbm = Rbm::start_with(|section| section["faults"] = json!({ fault: 1.0 })).await;
        rbm.carrier.act(vec![follow("bank", 1)]).await;
        let (got, answer) = rbm.send(1, "a", text("a")).await;
        assert_eq!((got, &answer["error"]["status"]), (status, &json!(name)));
        let mut phone = rbm.carrier.receive("fleet").await;
        assert_eq!(phone.is_silent().await, fault != "lost_answers", "{fault}");
    }
}

#[tokio::test]
async fn the_discovery_document_leads_back_to_where_it_was_found() {
    let rbm = Rbm::start().await;
    let (status, document) =
        super::answer(rbm.client.get(rbm.url("/$discovery/rest?version=v1")).send().await.unwrap()).await;
    assert_eq!(status, 200);
    assert_eq!(document["rootUrl"], rbm.url("/"));
    assert_eq!((&document["name"], &document["version"]), (&json!("rcsbusinessmessaging"), &json!("v1")));
}
