//! The connector against a platform that says what it is told to, in the documented shapes, over real HTTP.

use std::{
    collections::{HashSet, VecDeque},
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use aws_lc_rs::{
    encoding::{AsDer as _, Pkcs8V1Der},
    rsa,
};
use axum::{
    Router,
    body::Bytes,
    extract::{Request, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse as _, Response},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use jiff::Timestamp;
use musubi_domain::{
    content::{Action, Card, Content, Suggestion},
    id::MessageId,
};
use musubi_runtime::{
    ManualClock, Shutdown,
    config::Secret,
    http::{HttpConfig, HttpServer},
};
use serde_json::{Value, json};

use super::*;
use crate::{config::AgentConfig, gateway::Traffic, tests::Carrier};

/// A request that the platform got.
#[derive(Clone, Debug)]
struct Asked {
    line: String,
    token: String,
    body: Value,
}

/// An answer that it is to give.
type Scripted = (u16, Vec<(&'static str, String)>, Value);

#[derive(Default)]
struct Script {
    asked: Mutex<Vec<Asked>>,
    assertions: Mutex<Vec<String>>,
    answers: Mutex<VecDeque<Scripted>>,
    under_way: AtomicUsize,
    most: AtomicUsize,
    slow: std::sync::atomic::AtomicBool,
    tokens_refused: std::sync::atomic::AtomicBool,
}

async fn platform(State(script): State<Arc<Script>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body: Bytes = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    if head.uri.path() == "/token" {
        if script.tokens_refused.load(Ordering::SeqCst) {
            return (StatusCode::BAD_REQUEST, r#"{"error":"invalid_grant"}"#).into_response();
        }
        let form: HashMap<String, String> = url::form_urlencoded::parse(&body).into_owned().collect();
        assert_eq!(form["grant_type"], "urn:ietf:params:oauth:grant-type:jwt-bearer");
        let mut assertions = script.assertions.lock().unwrap();
        assertions.push(form["assertion"].clone());
        let granted = json!({ "access_token": format!("t{}", assertions.len()), "token_type": "Bearer", "expires_in": 3600 });
        return axum::Json(granted).into_response();
    }
    let now = script.under_way.fetch_add(1, Ordering::SeqCst) + 1;
    script.most.fetch_max(now, Ordering::SeqCst);
    if script.slow.load(Ordering::SeqCst) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    script.under_way.fetch_sub(1, Ordering::SeqCst);
    let token =
        head.headers.get("authorization").map(|it| it.to_str().unwrap().to_owned()).unwrap_or_default();
    let line = format!("{} {}", head.method, head.uri);
    let body = if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap() };
    script.asked.lock().unwrap().push(Asked { line, token, body });
    let (status, headers, body) =
        script.answers.lock().unwrap().pop_front().unwrap_or((200, Vec::new(), json!({})));
    let headers: HeaderMap =
        headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
    (StatusCode::from_u16(status).unwrap(), headers, axum::Json(body)).into_response()
}

struct Stage {
    script: Arc<Script>,
    clock: Arc<ManualClock>,
    carrier: RbmCarrier,
    shutdown: Shutdown,
    _folder: tempfile::TempDir,
}

fn start() -> Timestamp {
    "2026-11-28T00:00:00Z".parse().unwrap()
}

fn service_account(folder: &Path, token_uri: &str) -> std::path::PathBuf {
    let pair = rsa::KeyPair::generate(rsa::KeySize::Rsa2048).unwrap();
    let der: Pkcs8V1Der<'_> = pair.as_der().unwrap();
    let body = BASE64_STANDARD.encode(der.as_ref());
    let account = json!({
        "type": "service_account",
        "client_email": "musubi@example.iam.gserviceaccount.com",
        "private_key_id": "k1",
        "private_key": format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n"),
        "token_uri": token_uri,
    });
    let path = folder.join("service-account.json");
    std::fs::write(&path, account.to_string()).unwrap();
    path
}

fn config(api: &str, service_account: std::path::PathBuf) -> RbmConfig {
    RbmConfig {
        api: api.to_owned(),
        service_account,
        authorities: None,
        requests_at_once: 8,
        shows_reading: true,
        client_tokens: vec![Secret::new("a token of the partner")],
        agent: vec![AgentConfig {
            official_account: "bank".parse().unwrap(),
            id: "bank_agent".to_owned(),
            client_tokens: Vec::new(),
        }],
    }
}

impl Stage {
    async fn new() -> Self {
        let bound = HttpServer::bind(&HttpConfig::plain("127.0.0.1:0".parse().unwrap())).await.unwrap();
        let (origin, script) = (bound.origin(), Arc::new(Script::default()));
        let shutdown = Shutdown::new(Duration::from_secs(5));
        let router = Router::new().fallback(platform).with_state(Arc::clone(&script));
        shutdown.spawn("platform", bound.serve(router, shutdown.clone()));
        let folder = tempfile::tempdir().unwrap();
        let account = service_account(folder.path(), &format!("{origin}/token"));
        let clock = Arc::new(ManualClock::new(start()));
        let services = Arc::new(Carrier::new("hoshi"));
        let carrier = RbmCarrier::open(&config(&origin, account), services, clock.clone()).unwrap();
        Self { script, clock, carrier, shutdown, _folder: folder }
    }

    fn answers(&self, answers: impl IntoIterator<Item = Scripted>) {
        self.script.answers.lock().unwrap().extend(answers);
    }

    fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut *self.script.asked.lock().unwrap())
    }

    async fn send(&self, messages: Vec<OutgoingMessage>) -> Vec<Verdict> {
        self.carrier.send(&"bank".parse().unwrap(), messages).await.unwrap()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.shutdown.abort();
    }
}

fn message(last: u8) -> OutgoingMessage {
    OutgoingMessage {
        message_id: MessageId::from_bytes([last; 16]),
        number: format!("+8190123456{last:02}").parse().unwrap(),
        content: Content { text: "こんにちは".to_owned(), suggestions: Vec::new(), card: None },
        traffic: Traffic::ServiceRequest,
        expire_time: start() + SignedDuration::from_hours(24),
    }
}

fn refusal(status: u16, word: &str) -> Scripted {
    (
        status,
        Vec::new(),
        json!({ "error": { "code": status, "message": "+819012345678 is bad", "status": word } }),
    )
}

#[tokio::test]
async fn a_message_is_written_as_the_reference_has_it() {
    let stage = Stage::new().await;
    let button =
        |label: &str, action| Suggestion { label: label.to_owned(), postback: "p".to_owned(), action };
    let page = |webview| Some(Action::OpenUrl { url: "https://bank.example/x".to_owned(), webview });
    let suggestions = vec![
        button("はい", None),
        button("開く", page(true)),
        button("外で開く", page(false)),
        button("電話", Some(Action::Dial("+81312345678".parse().unwrap()))),
    ];
    let content = Content { text: "こんにちは".to_owned(), suggestions, card: None };
    stage.send(vec![OutgoingMessage { content, ..message(1) }]).await;
    let asked = stage.asked();
    let id = MessageId::from_bytes([1; 16]);
    assert_eq!(
        asked[0].line,
        format!("POST /v1/phones/+819012345601/agentMessages?messageId={id}&agentId=bank_agent")
    );
    let expected = json!({
        "contentMessage": {
            "text": "こんにちは",
            "suggestions": [
                { "reply": { "text": "はい", "postbackData": "p" } },
                { "action": { "text": "開く", "postbackData": "p", "openUrlAction": {
                    "url": "https://bank.example/x", "application": "WEBVIEW", "webviewViewMode": "FULL", "description": "開く" } } },
                { "action": { "text": "外で開く", "postbackData": "p", "openUrlAction": {
                    "url": "https://bank.example/x", "application": "BROWSER" } } },
                { "action": { "text": "電話", "postbackData": "p", "dialAction": { "phoneNumber": "+81312345678" } } },
            ],
        },
        "messageTrafficType": "SERVICEREQUEST",
        "expireTime": "2026-11-29T00:00:00Z",
    });
    assert_eq!(asked[0].body, expected);
}

#[tokio::test]
async fn a_card_is_a_rich_card_with_the_text_in_it_and_the_buttons_below() {
    let stage = Stage::new().await;
    let suggestions = vec![Suggestion { label: "はい".to_owned(), postback: "p".to_owned(), action: None }];
    let cards = [
        (Some("ポイント"), Some("https://bank.example/x.png")),
        (None, Some("https://bank.example/x.png")),
        (Some("ポイント"), None),
    ];
    for (title, url) in cards {
        let card = Some(Card { title: title.map(str::to_owned), image_url: url.map(str::to_owned) });
        let content = Content { text: "500点".to_owned(), suggestions: suggestions.clone(), card };
        stage.send(vec![OutgoingMessage { content, ..message(1) }]).await;
        let mut inside = json!({ "description": "500点" });
        if let Some(title) = title {
            inside["title"] = json!(title);
        }
        if let Some(url) = url {
            inside["media"] = json!({ "height": "MEDIUM", "contentInfo": { "fileUrl": url } });
        }
        let expected = json!({
            "richCard": { "standaloneCard": { "cardOrientation": "VERTICAL", "cardContent": inside } },
            "suggestions": [{ "reply": { "text": "はい", "postbackData": "p" } }],
        });
        assert_eq!(stage.asked()[0].body["contentMessage"], expected);
    }
}

#[tokio::test]
async fn traffic_has_its_type_and_an_expiry_is_what_the_platform_takes() {
    let stage = Stage::new().await;
    let hours = |hours| start() + SignedDuration::from_hours(hours);
    for (traffic, expire_time, word, written) in [
        (Traffic::Transaction, hours(1), "TRANSACTION", "2026-11-28T01:00:00Z"),
        (Traffic::Promotion, hours(24 * 30), "PROMOTION", "2026-12-13T00:00:00Z"),
        (Traffic::ServiceRequest, hours(0), "SERVICEREQUEST", "2026-11-28T00:00:10Z"),
    ] {
        stage.send(vec![OutgoingMessage { traffic, expire_time, ..message(1) }]).await;
        let asked = stage.asked();
        assert_eq!(
            (&asked[0].body["messageTrafficType"], &asked[0].body["expireTime"]),
            (&json!(word), &json!(written))
        );
    }
}

#[tokio::test]
async fn each_answer_of_the_platform_has_its_verdict() {
    let stage = Stage::new().await;
    let seconds = |seconds| Verdict::Throttled(SignedDuration::from_secs(seconds));
    let with =
        |name, value: &str, scripted: Scripted| (scripted.0, vec![(name, value.to_owned())], scripted.2);
    let delayed = json!({ "error": { "status": "RESOURCE_EXHAUSTED", "details": [{ "retryDelay": "7s" }] } });
    for (scripted, verdict) in [
        ((200, vec![], json!({ "name": "phones/…" })), Verdict::Accepted),
        (refusal(409, "ALREADY_EXISTS"), Verdict::Accepted),
        (refusal(400, "INVALID_ARGUMENT"), Verdict::Refused),
        (refusal(413, ""), Verdict::Refused),
        (refusal(404, "NOT_FOUND"), Verdict::Unreachable),
        (refusal(403, "PERMISSION_DENIED"), Verdict::Unknown(ErrorKind::PermissionDenied)),
        (refusal(429, "RESOURCE_EXHAUSTED"), seconds(1)),
        (with("retry-after", "30", refusal(429, "RESOURCE_EXHAUSTED")), seconds(30)),
        (with("retry-after", "999999", refusal(429, "RESOURCE_EXHAUSTED")), seconds(3600)),
        ((429, vec![], delayed), seconds(7)),
        (refusal(500, "INTERNAL"), Verdict::Unknown(ErrorKind::Unavailable)),
        (refusal(503, "UNAVAILABLE"), Verdict::Unknown(ErrorKind::Unavailable)),
        (
            with("location", "https://elsewhere.example/", refusal(302, "")),
            Verdict::Unknown(ErrorKind::Unavailable),
        ),
    ] {
        stage.answers([scripted.clone()]);
        assert_eq!(stage.send(vec![message(1)]).await, [verdict], "{scripted:?}");
    }
}

#[tokio::test]
async fn one_token_serves_until_shortly_before_its_end_and_a_refused_one_is_renewed_once() {
    let stage = Stage::new().await;
    stage.send((0..20).map(message).collect()).await;
    assert_eq!(stage.script.assertions.lock().unwrap().len(), 1);
    assert!(stage.asked().iter().all(|asked| asked.token == "Bearer t1"));
    let tokens = async |minutes| {
        stage.clock.advance(SignedDuration::from_mins(minutes));
        stage.send(vec![message(1)]).await;
        stage.asked().pop().unwrap().token
    };
    assert_eq!(tokens(54).await, "Bearer t1");
    assert_eq!(tokens(2).await, "Bearer t2");

    stage.answers([refusal(401, "UNAUTHENTICATED")]);
    assert_eq!(stage.send(vec![message(1)]).await, [Verdict::Accepted]);
    let used: Vec<String> = stage.asked().into_iter().map(|asked| asked.token).collect();
    assert_eq!(used, ["Bearer t2", "Bearer t3"]);
    stage.answers([refusal(401, "UNAUTHENTICATED"), refusal(401, "UNAUTHENTICATED")]);
    assert_eq!(stage.send(vec![message(1)]).await, [Verdict::Unknown(ErrorKind::Unauthenticated)]);

    // One that can't be renewed is used until it ends.
    stage.send(vec![message(1)]).await;
    stage.asked();
    stage.script.tokens_refused.store(true, Ordering::SeqCst);
    assert_eq!(tokens(57).await, "Bearer t4");
    stage.clock.advance(SignedDuration::from_mins(10));
    assert_eq!(stage.send(vec![message(1)]).await, [Verdict::Unknown(ErrorKind::Unauthenticated)]);
    assert!(stage.asked().is_empty());

    let assertion = stage.script.assertions.lock().unwrap()[0].clone();
    let claims = assertion.split('.').nth(1).unwrap();
    let claims = base64::prelude::BASE64_URL_SAFE_NO_PAD.decode(claims).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    assert_eq!(claims["iss"], "musubi@example.iam.gserviceaccount.com");
    assert_eq!(claims["scope"], "https://www.googleapis.com/auth/rcsbusinessmessaging");
    assert!(claims["aud"].as_str().unwrap().ends_with("/token"));
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 600);
}

#[tokio::test]
async fn a_batch_keeps_its_order_and_no_more_than_so_many_requests_are_on_their_way() {
    let stage = Stage::new().await;
    stage.script.slow.store(true, Ordering::SeqCst);
    let verdicts = stage.send((0..100).map(message).collect()).await;
    assert_eq!(verdicts, [Verdict::Accepted; 100]);
    assert_eq!(stage.script.most.load(Ordering::SeqCst), 8);
    let lines: HashSet<String> = stage.asked().into_iter().map(|asked| asked.line).collect();
    assert_eq!(lines.len(), 100);
    let scripted =
        (0..100).map(|last| if last % 2 == 0 { refusal(404, "NOT_FOUND") } else { (200, vec![], json!({})) });
    stage.answers(scripted);
    let verdicts = stage.send((0..100).map(message).collect()).await;
    let of = |wanted| verdicts.iter().filter(|verdict| **verdict == wanted).count();
    assert_eq!((of(Verdict::Unreachable), of(Verdict::Accepted)), (50, 50));
}

#[tokio::test]
async fn nothing_is_known_of_a_platform_that_is_away() {
    let stage = Stage::new().await;
    stage.send(vec![message(1)]).await;
    stage.shutdown.begin();
    stage.shutdown.drained().await.unwrap();
    assert_eq!(stage.send(vec![message(1), message(2)]).await, [Verdict::Unknown(ErrorKind::Unavailable); 2]);
}

#[tokio::test]
async fn what_was_delivered_is_not_taken_back() {
    let stage = Stage::new().await;
    let sent = |last: u8| Addressed { message_id: message(last).message_id, number: message(last).number };
    let account = "bank".parse().unwrap();
    stage.answers([(200, vec![], json!({})), refusal(404, "NOT_FOUND")]);
    let mut taken = stage.carrier.revoke(&account, &[sent(1), sent(2)]).await.unwrap();
    taken.sort_unstable();
    assert_eq!(taken, [false, true]);
    let id = sent(1).message_id;
    let line = format!("DELETE /v1/phones/+819012345601/agentMessages/{id}?agentId=bank_agent");
    assert!(stage.asked().iter().any(|asked| asked.line == line));
    stage.answers([refusal(503, "UNAVAILABLE")]);
    assert_eq!(stage.carrier.revoke(&account, &[sent(1)]).await.unwrap_err().kind, ErrorKind::Unavailable);
}

#[tokio::test]
async fn reach_is_asked_for_in_one_request() {
    let stage = Stage::new().await;
    let numbers: Vec<PhoneNumber> = (1..=3).map(|last| message(last).number).collect();
    stage.answers([(200, vec![], json!({ "reachableUsers": ["+819012345603", "+819012345601"] }))]);
    let reached = stage.carrier.reachable(&"bank".parse().unwrap(), &numbers).await.unwrap();
    assert_eq!(reached, [true, false, true]);
    let asked = stage.asked();
    assert_eq!(asked[0].line, "POST /v1/users:batchGet?agentId=bank_agent");
    let users = ["+819012345601", "+819012345602", "+819012345603"];
    assert_eq!(asked[0].body, json!({ "users": users, "agentId": "bank_agent" }));
}

#[tokio::test]
async fn people_see_that_they_were_read() {
    let stage = Stage::new().await;
    let account = "bank".parse().unwrap();
    for _ in 0..2 {
        stage.carrier.show_reading(&account, &message(1).number, "m1").await;
    }
    let asked = stage.asked();
    assert_eq!(asked[0].body, json!({ "eventType": "READ", "messageId": "m1" }));
    assert_eq!(asked[1].body, json!({ "eventType": "IS_TYPING" }));
    assert!(asked[0].line.starts_with("POST /v1/phones/+819012345601/agentEvents?eventId="));
    assert_ne!(asked[0].line, asked[1].line);
    assert_eq!((&asked[0].line, &asked[1].line), (&asked[2].line, &asked[3].line), "shown once");
}

#[test]
fn what_the_configuration_gets_wrong_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let clock = || Arc::new(ManualClock::new(start()));
    let open = |config: &RbmConfig| RbmCarrier::open(config, Arc::new(Carrier::new("hoshi")), clock());
    let good = service_account(folder.path(), "https://oauth2.example/token");
    let file = |text: &str| {
        let path = folder.path().join(format!("{}.json", text.len()));
        std::fs::write(&path, text).unwrap();
        path
    };
    let api = "https://rbm.example";
    assert!(open(&config(api, good.clone())).is_ok());
    let plain: Value = serde_json::from_slice(&std::fs::read(&good).unwrap()).unwrap();
    let with = |field: &str, value: &str| {
        let mut account = plain.clone();
        account[field] = json!(value);
        file(&account.to_string())
    };
    for (config, field) in [
        (config("http://rbm.example", good.clone()), "api"),
        (config("https://user@rbm.example", good.clone()), "api"),
        (config("rbm.example", good.clone()), "api"),
        (config(api, folder.path().join("nothing.json")), "service_account"),
        (config(api, file("{}")), "service_account"),
        (config(api, with("private_key", "no key")), "service_account"),
        (config(api, with("token_uri", "http://oauth2.example/token")), "service_account"),
        (RbmConfig { authorities: Some(good.clone()), ..config(api, good.clone()) }, "authorities"),
    ] {
        let Err(error) = open(&config) else { panic!("{config:?} was taken") };
        assert_eq!(error.field, field, "{error}");
        assert!(!error.to_string().contains("PRIVATE"), "{error}");
    }
}
