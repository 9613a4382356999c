//! Envelopes of the platform, good and mutated, posted over real HTTP: an event has its effect once, and nothing else has any.

use std::{path::PathBuf, time::Duration};

use hmac::{Hmac, KeyInit as _, Mac as _};
use musubi_runtime::{
    Shutdown,
    config::Secret,
    grpc::denials::{Denial, Denials},
    http::{HttpConfig, HttpServer},
};
use reqwest::{Client, StatusCode};
use sha2::Sha512;

use super::*;
use crate::{
    config::{AgentConfig, RbmConfig},
    door::webhooks::{Webhook, routes},
    gateway::RbmCarrier,
};

const OWN: [&str; 2] = ["the agent's own token", "the agent's next token"];
const PARTNER: &str = "the partner's token";

struct Stage {
    fixture: Fixture,
    client: Client,
    address: String,
    denials: Denials,
    shutdown: Shutdown,
}

/// A platform that takes nothing: only read marks would go to it.
fn config(service_account: PathBuf) -> RbmConfig {
    let agent = |account: &str, id: &str, tokens: &[&str]| AgentConfig {
        official_account: account.parse().unwrap(),
        id: id.to_owned(),
        client_tokens: tokens.iter().map(|token| Secret::new(*token)).collect(),
    };
    RbmConfig {
        api: "http://127.0.0.1:9".to_owned(),
        service_account,
        authorities: None,
        requests_at_once: 4,
        shows_reading: false,
        client_tokens: vec![Secret::new(PARTNER)],
        agent: vec![
            agent("bank", "bank_agent", &OWN),
            agent("gas", "gas_agent", &["the token of another agent"]),
        ],
    }
}

impl Stage {
    async fn new() -> Self {
        let fixture = Fixture::new().await;
        let file = fixture.folder.path().join("service-account.json");
        let key = rcgen_rsa();
        let account = json!({ "client_email": "m@example", "private_key": key, "token_uri": "http://127.0.0.1:9/token" });
        std::fs::write(&file, account.to_string()).unwrap();
        let config = config(file);
        let services = Arc::new(Carrier::new("kumo"));
        let gateway = Arc::new(RbmCarrier::open(&config, services, fixture.clock.clone()).unwrap());
        let denials = Denials::default();
        let (events, clock) = (Arc::clone(&fixture.events), fixture.clock.clone());
        let (webhook, gathering) =
            Webhook::new(&id("kumo"), &config, gateway, events, clock, denials.clone());
        let bound = HttpServer::bind(&HttpConfig::plain("127.0.0.1:0".parse().unwrap())).await.unwrap();
        let address = format!("{}/rbm/kumo", bound.origin());
        let shutdown = Shutdown::new(Duration::from_secs(5));
        shutdown.spawn("gathering", gathering.run(shutdown.clone()));
        shutdown.spawn("webhooks", bound.serve(routes([webhook]), shutdown.clone()));
        Self { fixture, client: Client::new(), address, denials, shutdown }
    }

    async fn post(&self, signature: Option<String>, body: Vec<u8>) -> StatusCode {
        let mut request = self.client.post(&self.address).body(body);
        if let Some(signature) = signature {
            request = request.header("X-Goog-Signature", signature);
        }
        request.send().await.unwrap().status()
    }

    /// As the platform posts it.
    async fn report(&self, token: &str, data: &[u8]) -> StatusCode {
        self.post(Some(signature(token, data)), envelope(data)).await
    }

    fn data(&self, more: Value) -> Vec<u8> {
        let mut data = json!({
            "agentId": "bank_agent", "senderPhoneNumber": NUMBER, "sendTime": self.fixture.clock.now().to_string(),
        });
        data.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::to_vec(&data).unwrap()
    }

    fn event(&self, kind: &str, id: &str) -> Vec<u8> {
        self.data(json!({ "eventType": kind, "eventId": id }))
    }

    fn text(&self, text: &str, id: &str) -> Vec<u8> {
        self.data(json!({ "text": text, "messageId": id }))
    }

    async fn follows(&self) -> bool {
        self.fixture.record().await.is_some_and(|record| record.following)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.shutdown.abort();
    }
}

/// A key that signs for tokens, which nobody asks for here.
fn rcgen_rsa() -> String {
    use aws_lc_rs::{encoding::Pkcs8V1Der, rsa};
    let pair = rsa::KeyPair::generate(rsa::KeySize::Rsa2048).unwrap();
    let der: Pkcs8V1Der<'_> = pair.as_der().unwrap();
    format!(
        "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
        BASE64_STANDARD.encode(der.as_ref())
    )
}

fn signature(token: &str, data: &[u8]) -> String {
    let mac = Hmac::<Sha512>::new_from_slice(token.as_bytes()).unwrap().chain_update(data);
    BASE64_STANDARD.encode(mac.finalize().into_bytes())
}

fn envelope(data: &[u8]) -> Vec<u8> {
    let envelope = json!({
        "message": {
            "data": BASE64_STANDARD.encode(data), "messageId": "1", "message_id": "1",
            "publishTime": "2026-11-23T03:00:00Z", "publish_time": "2026-11-23T03:00:00Z",
            "attributes": { "type": "event", "product": "RBM" },
        },
        "subscription": "projects/x/subscriptions/y",
    });
    serde_json::to_vec(&envelope).unwrap()
}

#[tokio::test]
async fn a_challenge_is_answered_with_its_secret_and_only_to_who_knows_a_token() {
    let stage = Stage::new().await;
    let challenge = async |token: &str| {
        let body = json!({ "clientToken": token, "secret": "1234567890" }).to_string();
        let answer = stage.client.post(&stage.address).body(body).send().await.unwrap();
        (answer.status(), answer.text().await.unwrap())
    };
    for token in [OWN[0], OWN[1], PARTNER] {
        assert_eq!(challenge(token).await, (StatusCode::OK, "1234567890".to_owned()));
    }
    for token in ["", "the agent's", "somebody's token", NUMBER] {
        let (status, text) = challenge(token).await;
        assert!(status == StatusCode::FORBIDDEN && !text.contains("1234567890"), "{token}: {status} {text}");
    }
    let told: Vec<_> = stage.denials.take_all().iter().map(|(denial, count)| denial.told(*count)).collect();
    let told: Vec<_> = told.iter().map(|(action, detail)| (*action, detail.as_str())).collect();
    assert_eq!(
        told,
        [("refused", "somebody at the webhook of kumo: the client token is not known, 4 times")]
    );
}

#[tokio::test]
async fn an_event_has_its_effect_once_whichever_token_it_is_signed_with() {
    let stage = Stage::new().await;
    for (count, token) in [OWN[0], OWN[1], PARTNER].into_iter().enumerate() {
        let subscribed = stage.event("SUBSCRIBE", &format!("s{count}"));
        assert_eq!(stage.report(token, &subscribed).await, StatusCode::OK);
        assert!(stage.follows().await);
        let dialogue = stage.fixture.record().await.unwrap().dialogue.unwrap().id;
        stage.fixture.clock.advance(SignedDuration::from_secs(1));
        assert_eq!(
            stage.report(token, &stage.event("UNSUBSCRIBE", &format!("u{count}"))).await,
            StatusCode::OK
        );
        assert!(!stage.follows().await);
        // The same again, and the same a week later: nothing.
        for hours in [0, 24 * 7, 24 * 30] {
            stage.fixture.clock.advance(SignedDuration::from_hours(hours));
            assert_eq!(stage.report(token, &subscribed).await, StatusCode::OK);
            assert!(!stage.follows().await);
        }
        assert_eq!(stage.fixture.record().await.unwrap().dialogue.unwrap().id, dialogue);
    }
}

#[tokio::test]
async fn the_word_and_the_event_of_one_leaving_are_one_leaving_and_coming_back_is_asked_anew() {
    let stage = Stage::new().await;
    stage.report(PARTNER, &stage.event("SUBSCRIBE", "s")).await;
    let second = SignedDuration::from_secs(1);
    for (count, words) in [["STOP", "UNSUBSCRIBE"], ["UNSUBSCRIBE", "配信停止"]].into_iter().enumerate() {
        stage.fixture.clock.advance(second);
        for word in words {
            let name = format!("{count}-{word}");
            let data = if word == "UNSUBSCRIBE" { stage.event(word, &name) } else { stage.text(word, &name) };
            assert_eq!(stage.report(PARTNER, &data).await, StatusCode::OK);
            assert!(!stage.follows().await, "{word}");
        }
        stage.fixture.clock.advance(second);
        stage.report(PARTNER, &stage.text("START", &format!("start {count}"))).await;
        assert!(stage.follows().await);
    }
}

#[tokio::test]
async fn what_a_person_types_moves_the_dialogue() {
    let stage = Stage::new().await;
    stage.report(OWN[0], &stage.event("SUBSCRIBE", "s")).await;
    assert_eq!(stage.fixture.state().await, State::Asked);
    let postback = stage.fixture.postback(Choice::Confirm).await;
    let tapped = json!({ "messageId": "m", "suggestionResponse": { "postbackData": postback, "text": "x", "type": "REPLY" } });
    assert_eq!(stage.report(OWN[0], &stage.data(tapped)).await, StatusCode::OK);
    assert_eq!(stage.fixture.state().await, State::AccountAsked);
    stage.report(OWN[0], &stage.text("1234567", "n")).await;
    assert_eq!(stage.fixture.state().await, State::IdentityAsked);
}

#[tokio::test]
async fn mutated_envelopes_change_nothing() {
    let stage = Stage::new().await;
    let data = stage.event("SUBSCRIBE", "s");
    let good = signature(OWN[0], &data);
    let refused = async |what: String, signature: Option<String>, body: Vec<u8>| {
        let status = stage.post(signature, body).await;
        assert!(matches!(status, StatusCode::FORBIDDEN | StatusCode::BAD_REQUEST), "{what}: {status}");
        assert!(!stage.follows().await, "{what}");
    };
    for bit in 0..data.len() * 8 {
        let mut flipped = data.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        refused(format!("bit {bit} of the data"), Some(good.clone()), envelope(&flipped)).await;
    }
    let mac = BASE64_STANDARD.decode(&good).unwrap();
    for bit in 0..mac.len() * 8 {
        let mut flipped = mac.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        refused(
            format!("bit {bit} of the signature"),
            Some(BASE64_STANDARD.encode(flipped)),
            envelope(&data),
        )
        .await;
    }
    for length in [0, 1, 32, 63] {
        let short = BASE64_STANDARD.encode(&mac[..length]);
        refused(format!("{length} bytes of the signature"), Some(short), envelope(&data)).await;
    }
    for length in 0..data.len() {
        refused(format!("{length} bytes of the data"), Some(good.clone()), envelope(&data[..length])).await;
    }
    let body = envelope(&data);
    for length in (0..body.len()).step_by(7) {
        refused(format!("{length} bytes of the body"), Some(good.clone()), body[..length].to_vec()).await;
    }
    let other = stage.data(json!({ "agentId": "gas_agent", "eventType": "SUBSCRIBE", "eventId": "s" }));
    let stranger = stage.data(json!({ "agentId": "nobody", "eventType": "SUBSCRIBE", "eventId": "s" }));
    let again: Value = serde_json::from_slice(&data).unwrap();
    let again = serde_json::to_vec_pretty(&again).unwrap();
    let twice = format!(r#"{{"message":{{"data":"{0}","data":"{0}"}}}}"#, BASE64_STANDARD.encode(&data));
    for (what, signature, body) in [
        ("no signature", None, envelope(&data)),
        ("a wrong token", Some(signature("somebody's token", &data)), envelope(&data)),
        ("the envelope signed", Some(signature(OWN[0], &envelope(&data))), envelope(&data)),
        (
            "the text of the data signed",
            Some(signature(OWN[0], BASE64_STANDARD.encode(&data).as_bytes())),
            envelope(&data),
        ),
        ("hexadecimal", Some(mac.iter().map(|byte| format!("{byte:02x}")).collect()), envelope(&data)),
        ("another agent's token", Some(signature("the token of another agent", &data)), envelope(&data)),
        ("one's own token for another agent", Some(signature(OWN[0], &other)), envelope(&other)),
        ("an agent that isn't there", Some(signature(PARTNER, &stranger)), envelope(&stranger)),
        ("the data written anew", Some(good.clone()), envelope(&again)),
        ("the data twice", Some(good.clone()), twice.into_bytes()),
        ("no JSON", Some(good.clone()), b"data".to_vec()),
        ("neither message nor challenge", Some(good.clone()), b"{}".to_vec()),
    ] {
        refused(what.to_owned(), signature, body).await;
    }
    // Signed by a token, and nothing to be believed all the same: acknowledged, so that it isn't repeated.
    let twice = data.clone().strip_suffix(b"}").unwrap().to_vec();
    let twice = [&twice[..], br#","agentId":"bank_agent"}"#].concat();
    let old = stage.event("SUBSCRIBE", "old");
    stage.fixture.clock.advance(SignedDuration::from_hours(8 * 24 + 1));
    for (what, data) in [("a key twice", twice), ("more than a week old", old)] {
        assert_eq!(stage.report(OWN[0], &data).await, StatusCode::OK, "{what}");
        assert!(!stage.follows().await, "{what}");
    }
    let counted = stage.denials.take_all();
    for why in [
        "the signature is not good",
        "the agent is not the signature's",
        "no envelope as JSON",
        "neither message nor challenge",
        "an event that can not be read",
        "an event of more than a week ago",
    ] {
        let told = Denial::Posted { door: "the webhook of kumo".to_owned(), why };
        assert!(counted.contains_key(&told), "{why}: {counted:?}");
    }
    assert!(counted.values().sum::<u64>() > 1_000);
    let fresh = stage.event("SUBSCRIBE", "s");
    assert_eq!(stage.report(OWN[0], &fresh).await, StatusCode::OK);
    assert!(stage.follows().await, "unmutated, it has its effect");
    let elsewhere = stage.address.replace("kumo", "nami");
    let answer = stage.client.post(elsewhere).body(envelope(&fresh)).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn many_at_once_are_all_kept_and_without_a_database_none_is_acknowledged() {
    let stage = Stage::new().await;
    let report = |last: u32| {
        let data = stage.data(json!({
            "senderPhoneNumber": format!("+8180555{last:05}"), "eventType": "SUBSCRIBE", "eventId": last.to_string(),
        }));
        let stage = &stage;
        async move { stage.report(PARTNER, &data).await }
    };
    let answers = futures::future::join_all((0..300).map(report)).await;
    assert!(answers.iter().all(|status| *status == StatusCode::OK));
    let account: OfficialAccountId = id("bank");
    let overview = stage.fixture.store.overview(&id("bank"), &[account]).await.unwrap();
    let followers: u64 = overview.funnels.iter().flat_map(|funnel| funnel.reached.values()).sum();
    assert_eq!(followers, 300);
    stage.fixture.store.close().await;
    assert_eq!(report(301).await, StatusCode::SERVICE_UNAVAILABLE);
}
