//! Facts about how webhooks are told: after a challenge, in order, again and again, and over restarts.

use jiff::SignedDuration;
use musubi_domain::caller::Caller;
use musubi_runtime::http::HttpConfig;
use serde_json::json;

use super::{super::*, Rbm, kinds};

#[tokio::test]
async fn a_webhook_that_does_not_answer_the_challenge_is_told_nothing() {
    let hook = super::Receiver::start().await;
    hook.answer_challenges(403);
    let section = super::section(&hook);
    let carrier = Carrier::start_with(|config| super::put(config, section)).await;
    let rbm = Rbm::of(carrier, hook).await;
    rbm.carrier.act(vec![follow("bank", 1)]).await;
    eventually(|| async { (rbm.hook.challenges() > 0).then_some(()) }).await;
    assert!(rbm.hook.is_silent().await);
    rbm.hook.answer_challenges(0);
    rbm.carrier.clock.advance(SignedDuration::from_secs(600));
    assert_eq!(kinds(&rbm.told(1).await), ["SUBSCRIBE"]);
    assert_eq!(rbm.hook.posts(), 1);
}

#[tokio::test]
async fn what_fails_is_told_again_in_its_order_and_given_up_after_seven_days() {
    let rbm = Rbm::start().await;
    rbm.hook.answer(503);
    rbm.carrier.act(vec![follow("bank", 1), typed("bank", 1, "first"), typed("bank", 1, "second")]).await;
    eventually(|| async { (rbm.hook.posts() == 1).then_some(()) }).await;
    // Ten minutes are as long as it waits at most.
    for tries in 2..6 {
        rbm.carrier.clock.advance(SignedDuration::from_secs(600));
        eventually(|| async { (rbm.hook.posts() >= tries).then_some(()) }).await;
    }
    rbm.hook.answer(0);
    rbm.carrier.clock.advance(SignedDuration::from_secs(600));
    let told = rbm.told(3).await;
    assert_eq!(kinds(&told), ["SUBSCRIBE", "text", "text"]);
    assert_eq!((&told[1]["text"], &told[2]["text"]), (&json!("first"), &json!("second")));

    rbm.hook.answer(500);
    let posts = rbm.hook.posts();
    rbm.carrier.act(vec![typed("bank", 1, "lost")]).await;
    eventually(|| async { (rbm.hook.posts() > posts).then_some(()) }).await;
    rbm.carrier.clock.advance(SignedDuration::from_hours(7 * 24 + 1));
    rbm.hook.answer(0);
    rbm.carrier.act(vec![typed("bank", 1, "later")]).await;
    assert_eq!(rbm.told(1).await[0]["text"], "later", "and what comes behind it goes on");
}

#[tokio::test]
async fn one_talk_room_does_not_wait_for_another() {
    let rbm = Rbm::start().await;
    rbm.hook.answer(500);
    rbm.carrier.act(vec![follow("bank", 1)]).await;
    eventually(|| async { (rbm.hook.posts() == 1).then_some(()) }).await;
    rbm.hook.answer(0);
    // Behind the first room's event that waits; time stands still.
    rbm.carrier.act(vec![typed("bank", 1, "behind"), follow("bank", 2)]).await;
    let told = rbm.told(1).await;
    if told[0]["senderPhoneNumber"] == msisdn(2) {
        rbm.carrier.clock.advance(SignedDuration::from_secs(600));
        assert_eq!(kinds(&rbm.told(2).await), ["SUBSCRIBE", "text"]);
    } else {
        // The wait was drawn as nothing.
        let told = rbm.told(2).await;
        assert_eq!(told.len(), 2);
    }
}

#[tokio::test]
async fn a_restart_keeps_tokens_messages_and_what_waits_for_the_webhook() {
    let rbm = Rbm::start().await;
    rbm.carrier.act(vec![follow("bank", 1)]).await;
    rbm.told(1).await;
    rbm.hook.answer(500);
    assert_eq!(rbm.send_text(1, "kept").await, 200);
    rbm.carrier.act(vec![typed("bank", 1, "waits")]).await;
    eventually(|| async { (rbm.hook.posts() > 1).then_some(()) }).await;
    let key = rbm.service_account()["private_key"].clone();

    let rbm = rbm.restart_with(|_| {}).await;
    rbm.hook.answer(0);
    rbm.carrier.clock.advance(SignedDuration::from_secs(600));
    assert_eq!(rbm.told(1).await[0]["text"], "waits");
    assert_eq!(rbm.service_account()["private_key"], key);
    assert_eq!(rbm.revoke(1, "kept").await.0, 200, "with the token from before");
    assert_eq!(rbm.send_text(1, "kept").await, 200);
    assert!(rbm.carrier.receive("fleet").await.is_silent().await, "an id is known for ever");
}

#[tokio::test]
async fn a_partner_is_told_where_an_agent_has_no_webhook_of_its_own() {
    let rbm = Rbm::start_with(|section| {
        section["partner"] = section["agent"][0]["webhook"].take();
        section["agent"][0].as_object_mut().unwrap().remove("webhook");
    })
    .await;
    rbm.carrier.act(vec![follow("bank", 1)]).await;
    assert_eq!(kinds(&rbm.told(1).await), ["SUBSCRIBE"]);
}

#[tokio::test]
async fn a_launch_that_moved_is_told() {
    let rbm = Rbm::start_with(|section| section["agent"][0]["launch_state"] = json!("PENDING")).await;
    let rbm = rbm.restart_with(|_| {}).await;
    let launched = rbm.told(1).await.remove(0);
    assert_eq!(launched["oldLaunchState"], "PENDING");
    assert_eq!(launched["newLaunchState"], "LAUNCHED");
    assert_eq!(launched["botDisplayName"], "みなと銀行");
    // A crash may come before it is noted that the webhook took it; then the same is told again, and nothing new.
    let rbm = rbm.restart_with(|_| {}).await;
    let again = rbm.hook.heard_in_a_while().await;
    assert!(again.iter().all(|event| *event == launched), "{again:?}");
}

#[tokio::test]
async fn events_get_lost_and_come_twice_where_that_is_configured() {
    let rbm = Rbm::start_with(|section| section["faults"] = json!({ "repeated_events": 1.0 })).await;
    rbm.carrier.act(vec![follow("bank", 1)]).await;
    let told = rbm.told(2).await;
    assert_eq!(told[0], told[1]);
    let rbm = Rbm::start_with(|section| section["faults"] = json!({ "lost_events": 1.0 })).await;
    rbm.carrier.act(vec![follow("bank", 1)]).await;
    assert!(rbm.hook.is_silent().await);
}

#[tokio::test]
async fn a_webhook_of_a_private_authority_is_told_where_that_is_named() {
    let information = Information::start().await;
    let tls = information.certificate(&Caller::Terminal);
    let hook = super::Receiver::start_at(&HttpConfig {
        listen: "127.0.0.1:0".parse().unwrap(),
        certificate: Some(tls.certificate),
        key: Some(tls.key),
    })
    .await;
    let mut section = super::section(&hook);
    assert!(section["agent"][0]["webhook"]["url"].as_str().unwrap().starts_with("https://"));
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let clock = Arc::new(ManualClock::new("2026-11-23T09:00:00Z".parse().unwrap()));
    let unnamed = section.clone();
    let carrier = Carrier::start_in(folder, clock, information, |config| super::put(config, unnamed)).await;
    let rbm = Rbm::of(carrier, hook).await;
    rbm.carrier.act(vec![follow("bank", 1)]).await;
    assert!(rbm.hook.is_silent().await, "who is of nobody's authority is told nothing");
    section["authorities"] = json!(tls.authorities);
    let Rbm { carrier, client, token, hook } = rbm;
    let carrier = carrier.crash_and_restart_with(|config| super::put(config, section)).await;
    let rbm = Rbm { carrier, client, token, hook };
    assert_eq!(kinds(&rbm.told(1).await), ["SUBSCRIBE"]);
}
