//! Facts about whom an agent reaches: who has RCS, who left, who may try it.

use serde_json::{Value, json};

use super::{super::*, AGENT, Rbm, kinds, text};

#[tokio::test]
async fn every_number_of_the_carrier_is_reached_whether_it_follows_or_not() {
    let rbm = Rbm::start().await;
    rbm.carrier.open_account("other").await;
    rbm.carrier.act(vec![follow("other", 1)]).await;
    assert_eq!(rbm.send_text(1, "a").await, 200);
    let (status, answer) = rbm.send(2, "b", text("a")).await;
    assert_eq!(
        (status, &answer["error"]["status"], &answer["error"]["code"]),
        (404, &json!("NOT_FOUND"), &json!(404))
    );
    let capabilities = |last| {
        let path = format!("/v1/phones/{}/capabilities?requestId=r&agentId={AGENT}&alt=json", msisdn(last));
        let rbm = &rbm;
        async move { rbm.call("GET", &path, None).await }
    };
    let (status, answer) = capabilities(1).await;
    assert_eq!(status, 200);
    let features = answer["features"].as_array().unwrap();
    for feature in
        ["RICHCARD_STANDALONE", "RICHCARD_CAROUSEL", "ACTION_OPEN_URL_IN_WEBVIEW", "PDF_IN_RICH_CARDS"]
    {
        assert!(features.contains(&json!(feature)), "{feature}");
    }
    assert_eq!(capabilities(2).await.0, 404);
    let typed = vec![typed("bank", 1, "hello")];
    rbm.carrier.act(typed).await;
    assert_eq!(rbm.told(1).await[0]["text"], "hello", "who doesn't follow may write, too");
}

#[tokio::test]
async fn numbers_are_asked_about_in_batches_as_clients_do() {
    let rbm = Rbm::start().await;
    rbm.carrier.act((1..=600).map(|last| follow("bank", last)).collect()).await;
    let ask = |path: &'static str, body: Value| {
        let rbm = &rbm;
        async move { rbm.call("POST", path, Some(body)).await }
    };
    let in_query = "/v1/users:batchGet?agentId=minato_bank_agent";
    let few = json!({ "users": [msisdn(1), msisdn(700), msisdn(1)] });
    let (status, answer) = ask(in_query, few.clone()).await;
    assert_eq!((status, &answer["reachableUsers"]), (200, &json!([msisdn(1)])));
    assert_eq!(answer["totalRandomSampleUserCount"], 0, "few have no sample");
    let many: Vec<_> = (1..=1200).map(msisdn).collect();
    let (_, answer) = ask("/v1/users:batchGet", json!({ "users": many, "agentId": AGENT })).await;
    assert_eq!(answer["reachableUsers"].as_array().unwrap().len(), 600);
    assert_eq!(answer["totalRandomSampleUserCount"], 900);
    assert_eq!(answer["reachableRandomSampleUserCount"], 450);
    assert_eq!(ask("/v1/users:batchGet", few.clone()).await.0, 403, "no agent is named");
    assert_eq!(ask(in_query, json!({ "users": [] })).await.0, 400);
    let (status, answer) = ask(in_query, json!({ "users": ["+818012345678", "08012345678"] })).await;
    assert_eq!(status, 400);
    assert_eq!(answer["error"]["details"][0]["fieldViolations"][0]["field"], "users[1]");
    assert!(!answer.to_string().contains("08012345678"));

    let strict = Rbm::start_with(|section| section["strict"] = json!(true)).await;
    let body = json!({ "users": [msisdn(1)], "agentId": AGENT });
    assert_eq!(strict.call("POST", "/v1/users:batchGet", Some(body)).await.0, 400);
}

#[tokio::test]
async fn who_left_gets_what_may_be_sent_and_one_acknowledgement() {
    let rbm = Rbm::start().await;
    rbm.carrier.act(vec![follow("bank", 1), unfollow("bank", 1)]).await;
    rbm.told(3).await;
    let send = |id: &'static str, traffic: &'static str| {
        let mut body = text("a");
        body["messageTrafficType"] = json!(traffic);
        let rbm = &rbm;
        async move { rbm.send(1, id, body).await.0 }
    };
    for (id, traffic, status) in [
        ("1", "TRANSACTION", 403),
        ("2", "PROMOTION", 403),
        ("3", "AUTHENTICATION", 200),
        ("4", "SERVICEREQUEST", 200),
        ("5", "ACKNOWLEDGEMENT", 200),
        ("6", "ACKNOWLEDGEMENT", 403),
        ("5", "ACKNOWLEDGEMENT", 200),
    ] {
        assert_eq!(send(id, traffic).await, status, "{id} {traffic}");
    }
    rbm.carrier.act(vec![follow("bank", 1)]).await;
    assert_eq!(kinds(&rbm.told(1).await), ["SUBSCRIBE"]);
    assert_eq!(send("7", "PROMOTION").await, 200);
    rbm.carrier.act(vec![unfollow("bank", 1)]).await;
    assert_eq!(send("8", "ACKNOWLEDGEMENT").await, 200, "one for each time");
}

#[tokio::test]
async fn one_who_never_followed_can_leave() {
    let rbm = Rbm::start().await;
    rbm.carrier.open_account("other").await;
    rbm.carrier.act(vec![follow("other", 1), unfollow("bank", 1)]).await;
    assert_eq!(kinds(&rbm.told(2).await), ["text", "UNSUBSCRIBE"]);
    assert_eq!(rbm.send_text(1, "a").await, 403);
    rbm.carrier.act(vec![follow("bank", 1)]).await;
    assert_eq!(rbm.send_text(1, "b").await, 200);
}

#[tokio::test]
async fn an_agent_that_is_not_launched_reaches_its_testers() {
    let rbm = Rbm::start_with(|section| section["agent"][0]["launch_state"] = json!("PENDING")).await;
    rbm.carrier.act((1..=30).map(|last| follow("bank", last)).collect()).await;
    let (status, answer) = rbm.send(1, "a", text("a")).await;
    assert_eq!((status, &answer["error"]["status"]), (403, &json!("PERMISSION_DENIED")));
    let invite = |last| {
        let path = format!("/v1/phones/{}/testers?agentId={AGENT}", msisdn(last));
        let rbm = &rbm;
        async move { rbm.call("POST", &path, None).await }
    };
    let (status, answer) = invite(1).await;
    assert_eq!((status, &answer["inviteStatus"]), (200, &json!("PENDING")));
    assert_eq!(answer["name"], format!("phones/{}/testers", msisdn(1)));
    assert_eq!(rbm.send_text(1, "a").await, 200);
    for last in 2..=20 {
        assert_eq!(invite(last).await.0, 200);
    }
    assert_eq!(invite(20).await.0, 200, "who was invited is");
    let (status, answer) = invite(21).await;
    assert_eq!((status, &answer["error"]["status"]), (429, &json!("RESOURCE_EXHAUSTED")));
    rbm.carrier.clock.advance(jiff::SignedDuration::from_hours(25));
    let rbm = rbm.restart_with(|section| section["agent"][0]["launch_state"] = json!("SUSPENDED")).await;
    let rbm = Rbm::of(rbm.carrier, rbm.hook).await;
    assert_eq!(rbm.send_text(21, "b").await, 404);
    assert_eq!(rbm.send_text(1, "b").await, 200);
    let path = format!("/v1/phones/{}/testers?agentId={AGENT}", msisdn(21));
    assert_eq!(rbm.call("POST", &path, Some(json!({}))).await.0, 200, "another day, another twenty");
}

#[tokio::test]
async fn an_agent_of_several_uses_says_what_each_message_is_for() {
    let rbm = Rbm::start_with(|section| section["agent"][0]["use_case"] = json!("MULTI_USE")).await;
    rbm.carrier.act(vec![follow("bank", 1)]).await;
    let (status, answer) = rbm.send(1, "a", text("a")).await;
    assert_eq!(status, 400);
    assert_eq!(answer["error"]["details"][0]["fieldViolations"][0]["field"], "messageTrafficType");
    let mut body = text("a");
    body["messageTrafficType"] = json!("PROMOTION");
    assert_eq!(rbm.send(1, "a", body).await.0, 200);
}

#[tokio::test]
async fn phones_of_the_simulators_own_answer_by_the_end_of_their_numbers() {
    let rbm = Rbm::start_with(|section| section["phones"] = json!(true)).await;
    let body = json!({ "contentMessage": { "text": "?", "suggestions": [{ "reply": { "text": "はい", "postbackData": "y" } }] } });
    assert_eq!(rbm.send(10_000, "none", body.clone()).await.0, 404);
    assert_eq!(rbm.send(11_111, "away", body.clone()).await.0, 200);
    assert_eq!(rbm.send(12_222, "unread", body.clone()).await.0, 200);
    assert_eq!(kinds(&rbm.told(1).await), ["DELIVERED"]);
    assert_eq!(rbm.send(13_333, "answers", body).await.0, 200);
    let told = rbm.told(3).await;
    assert_eq!(kinds(&told), ["DELIVERED", "READ", "suggestionResponse"]);
    assert_eq!(
        told[2]["suggestionResponse"],
        json!({ "postbackData": "y", "text": "はい", "type": "REPLY" })
    );
    assert_eq!(rbm.revoke(11_111, "away").await.0, 200, "it waits for its phone");
}
