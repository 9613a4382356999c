//! Facts about the RBM face as an agent's owner sees it: over real HTTP, with a webhook that writes down what it is told.
//!
//! What the documents say is written out here, and not taken from the code that it is held against.

mod page;
mod receiver;
mod refusals;
mod sending;
mod webhooks;
mod who;

use std::time::Duration;

use jiff::SignedDuration;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use self::receiver::Receiver;
use super::{Carrier, eventually};
use crate::{Config, rbm::config::RbmConfig};

const AGENT: &str = "minato_bank_agent";
const TOKEN: &str = "client token";
const SCOPE: &str = "https://www.googleapis.com/auth/rcsbusinessmessaging";

/// A carrier with an RBM face, a caller with a token, and a webhook.
struct Rbm {
    carrier: Carrier,
    client: reqwest::Client,
    token: String,
    hook: Receiver,
}

/// An answer.
type Answer = (u16, Value);

impl Rbm {
    async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    async fn start_with(change: impl FnOnce(&mut Value)) -> Self {
        let hook = Receiver::start().await;
        let mut section = section(&hook);
        change(&mut section);
        let carrier = Carrier::start_with(|config| put(config, section)).await;
        Self::of(carrier, hook).await
    }

    async fn of(carrier: Carrier, hook: Receiver) -> Self {
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(20)).build().unwrap();
        let mut this = Self { carrier, client, token: String::new(), hook };
        let assertion = this.assertion(SCOPE, SignedDuration::from_secs(0));
        let (status, answer) = this.exchange(&assertion).await;
        assert_eq!(status, 200, "{answer}");
        assert_eq!((&answer["token_type"], &answer["expires_in"]), (&json!("Bearer"), &json!(3600)));
        this.token = answer["access_token"].as_str().unwrap().to_owned();
        this
    }

    /// Crashes and starts again; the caller keeps its token.
    async fn restart_with(self, change: impl FnOnce(&mut Value)) -> Self {
        let Self { carrier, client, token, hook } = self;
        let mut section = section(&hook);
        change(&mut section);
        let carrier = carrier.crash_and_restart_with(|config| put(config, section)).await;
        Self { carrier, client, token, hook }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.carrier.rbm.as_ref().unwrap())
    }

    fn service_account(&self) -> Value {
        let file = self.carrier.folder.path().join("service-account.json");
        serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
    }

    /// An assertion of the simulator's own service account, this much off the time.
    fn assertion(&self, scope: &str, off: SignedDuration) -> String {
        let account = self.service_account();
        let now = (self.carrier.now() + off).as_second();
        let claims = json!({
            "iss": account["client_email"], "aud": account["token_uri"], "scope": scope, "iat": now, "exp": now + 3600,
        });
        let key = EncodingKey::from_rsa_pem(account["private_key"].as_str().unwrap().as_bytes()).unwrap();
        jsonwebtoken::encode(&Header::new(Algorithm::RS256), &claims, &key).unwrap()
    }

    async fn exchange(&self, assertion: &str) -> Answer {
        let form =
            format!("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion={assertion}");
        let request = self.client.post(self.url("/token")).body(form);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        answer(request.send().await.unwrap()).await
    }

    async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        let request = self.client.request(method.parse().unwrap(), self.url(path)).bearer_auth(&self.token);
        let request = match body {
            Some(body) => request.json(&body),
            None => request,
        };
        answer(request.send().await.unwrap()).await
    }

    /// Sends a message; its body is the content's.
    async fn send(&self, last: u32, id: &str, body: Value) -> Answer {
        let path = format!("/v1/phones/{}/agentMessages?messageId={id}&agentId={AGENT}", super::msisdn(last));
        self.call("POST", &path, Some(body)).await
    }

    async fn send_text(&self, last: u32, id: &str) -> u16 {
        let (status, answer) = self.send(last, id, text("本文")).await;
        assert!(status == 200 || !answer.to_string().contains("本文"), "{answer}");
        status
    }

    async fn revoke(&self, last: u32, id: &str) -> Answer {
        let path = format!("/v1/phones/{}/agentMessages/{id}?agentId={AGENT}", super::msisdn(last));
        self.call("DELETE", &path, None).await
    }

    /// What the webhook was told of next, when it is this many events.
    async fn told(&self, count: usize) -> Vec<Value> {
        self.hook.next(count).await
    }
}

/// `[rbm]` with one agent.
fn section(hook: &Receiver) -> Value {
    json!({
        "listen": "127.0.0.1:0",
        "agent": [{
            "id": AGENT, "official_account": "bank", "display_name": "みなと銀行", "brand": "Minato",
            "webhook": { "url": hook.url, "client_token": TOKEN },
        }],
    })
}

fn put(config: &mut Config, mut section: Value) {
    let Config { database, .. } = &*config;
    let musubi_runtime::config::Database::File(database) = database else { panic!("no file") };
    section["service_account_file"] = json!(database.with_file_name("service-account.json"));
    let rbm: RbmConfig = serde_json::from_value(section).unwrap();
    rbm.check().unwrap();
    config.rbm = Some(rbm);
}

async fn answer(response: reqwest::Response) -> Answer {
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or_else(|_| panic!("{status} {text:?}")))
}

fn text(text: &str) -> Value {
    json!({ "contentMessage": { "text": text } })
}

/// The event type of events, or what a message brought.
fn kinds(told: &[Value]) -> Vec<&str> {
    let kind = |data: &'static str, it: &Value| it.get(data).is_some();
    told.iter()
        .map(|it| match it["eventType"].as_str() {
            Some(kind) => kind,
            None if kind("text", it) => "text",
            None if kind("suggestionResponse", it) => "suggestionResponse",
            None => "?",
        })
        .collect()
}
