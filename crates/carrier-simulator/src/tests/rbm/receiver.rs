//! A webhook as a partner's would be: it answers challenges, checks signatures, and writes down what it is told.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU16, AtomicUsize, Ordering},
    },
    time::Duration,
};

use aws_lc_rs::hmac;
use axum::{Router, body::Bytes, extract::State, http::HeaderMap, response::IntoResponse, routing::post};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use musubi_runtime::{
    Shutdown,
    http::{HttpConfig, HttpServer},
};
use serde_json::Value;

use super::{TOKEN, eventually};

/// See the module. Stops when it is dropped.
pub(super) struct Receiver {
    pub(super) url: String,
    state: Arc<Notes>,
    shutdown: Shutdown,
}

#[derive(Default)]
struct Notes {
    /// What events are answered with; 0: 200.
    status: AtomicU16,
    /// What challenges are answered with; 0: the secret.
    challenge: AtomicU16,
    challenges: AtomicUsize,
    /// All posts of events, those that were refused, too.
    posts: AtomicUsize,
    taken: Mutex<VecDeque<Value>>,
}

impl Receiver {
    pub(super) async fn start() -> Self {
        Self::start_at(&HttpConfig::plain("127.0.0.1:0".parse().unwrap())).await
    }

    pub(super) async fn start_at(config: &HttpConfig) -> Self {
        let state = Arc::new(Notes::default());
        let bound = HttpServer::bind(config).await.unwrap();
        let (url, shutdown) = (format!("{}/hook", bound.origin()), Shutdown::new(Duration::from_secs(1)));
        let router = Router::new().route("/hook", post(take)).with_state(Arc::clone(&state));
        shutdown.spawn("hook", bound.serve(router, shutdown.clone()));
        Self { url, state, shutdown }
    }

    /// Events are answered like this from now on.
    pub(super) fn answer(&self, status: u16) {
        self.state.status.store(status, Ordering::SeqCst);
    }

    /// Challenges are answered like this from now on.
    pub(super) fn answer_challenges(&self, status: u16) {
        self.state.challenge.store(status, Ordering::SeqCst);
    }

    pub(super) fn challenges(&self) -> usize {
        self.state.challenges.load(Ordering::SeqCst)
    }

    pub(super) fn posts(&self) -> usize {
        self.state.posts.load(Ordering::SeqCst)
    }

    /// The next data that were taken, as soon as there are so many.
    pub(super) async fn next(&self, count: usize) -> Vec<Value> {
        eventually(|| async {
            let mut taken = self.state.taken.lock().unwrap();
            (taken.len() >= count).then(|| taken.drain(..count).collect())
        })
        .await
    }

    /// What comes in a while.
    pub(super) async fn heard_in_a_while(&self) -> Vec<Value> {
        tokio::time::sleep(Duration::from_millis(700)).await;
        self.state.taken.lock().unwrap().drain(..).collect()
    }

    /// Nothing comes in a while.
    pub(super) async fn is_silent(&self) -> bool {
        self.heard_in_a_while().await.is_empty()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.shutdown.begin();
    }
}

async fn take(State(notes): State<Arc<Notes>>, headers: HeaderMap, body: Bytes) -> impl IntoResponse {
    use axum::http::StatusCode;
    let body: Value = serde_json::from_slice(&body).unwrap();
    if let Some(secret) = body["secret"].as_str() {
        assert_eq!(headers["x-goog-webhook-type"], "verification");
        notes.challenges.fetch_add(1, Ordering::SeqCst);
        return match (notes.challenge.load(Ordering::SeqCst), body["clientToken"] == TOKEN) {
            (0, true) => (StatusCode::OK, secret.to_owned()),
            (status, true) => (StatusCode::from_u16(status).unwrap(), "no".to_owned()),
            (_, false) => (StatusCode::FORBIDDEN, String::new()),
        };
    }
    notes.posts.fetch_add(1, Ordering::SeqCst);
    let data = BASE64.decode(body["message"]["data"].as_str().unwrap()).unwrap();
    let signature = BASE64.decode(&headers["x-goog-signature"]).unwrap();
    hmac::verify(&hmac::Key::new(hmac::HMAC_SHA512, TOKEN.as_bytes()), &data, &signature).unwrap();
    let status = notes.status.load(Ordering::SeqCst);
    if status != 0 {
        return (StatusCode::from_u16(status).unwrap(), String::new());
    }
    notes.taken.lock().unwrap().push_back(serde_json::from_slice(&data).unwrap());
    (StatusCode::OK, String::new())
}
