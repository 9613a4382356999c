//! Facts about the node as its callers see it: over real gRPC, on loopback.
//!
//! [`Carrier`] starts one with a folder of its own and an information server that writes down what it is told. Time stands
//! still until a fact moves it.

mod handset;
mod information;
mod list_generation;
mod numbers;
mod rbm;
mod rehearsal;
mod restart;
mod sending;
mod verification;

use std::{future::Future, path::Path, sync::Arc, time::Duration};

use jiff::Timestamp;
use musubi_domain::caller::Caller;
use musubi_proto::{
    carrier::v1::{
        Action, Follow, IncomingMessage, OutgoingMessage, PutOfficialAccountRequest, ReceiveMessagesRequest,
        ReceiveMessagesResponse, SendMessagesRequest, SendVerdict, SubmitActionsRequest, TextTyped, Unfollow,
        action::What, handset_service_client::HandsetServiceClient,
        message_service_client::MessageServiceClient, number_service_client::NumberServiceClient,
        subscriber_list_service_client::SubscriberListServiceClient,
        verification_service_client::VerificationServiceClient,
    },
    r#type::v1::{Content, TrafficType},
};
use musubi_runtime::{
    Clock as _, ManualClock, Shutdown,
    grpc::client::{ClientOptions, PeerChannel, connect},
    tls::Identity,
};
use tokio::task::JoinHandle;
use tonic::{Status, Streaming};
use uuid::Uuid;

use self::information::Information;
use crate::{App, Config, config::tests::example};

/// How long a fact waits for what must come.
const SOON: Duration = Duration::from_secs(20);

/// A carrier that runs, its callers and the information server that it tells.
struct Carrier {
    clock: Arc<ManualClock>,
    information: Information,
    shutdown: Shutdown,
    run: JoinHandle<()>,
    lists: SubscriberListServiceClient<PeerChannel>,
    messages: MessageServiceClient<PeerChannel>,
    numbers: NumberServiceClient<PeerChannel>,
    keys: VerificationServiceClient<PeerChannel>,
    handsets: HandsetServiceClient<PeerChannel>,
    pages: VerificationServiceClient<PeerChannel>,
    terminal: PeerChannel,
    rbm: Option<String>,
    folder: Arc<tempfile::TempDir>,
}

impl Carrier {
    async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let clock = Arc::new(ManualClock::new("2026-11-23T09:00:00Z".parse().unwrap()));
        Self::start_in(folder, clock, Information::start().await, change).await
    }

    async fn start_in(
        folder: Arc<tempfile::TempDir>,
        clock: Arc<ManualClock>,
        information: Information,
        change: impl FnOnce(&mut Config),
    ) -> Self {
        let mut config = configuration(folder.path(), &information);
        change(&mut config);
        let app = App::build(config, clock.clone()).await.unwrap();
        let channel = |caller: &Caller| {
            let identity = Identity::load(&information.certificate(caller)).unwrap();
            connect(&identity, &app.endpoint(), None, ClientOptions::default()).unwrap()
        };
        let (as_information, as_terminal) = (channel(&Caller::Information), channel(&Caller::Terminal));
        let (shutdown, rbm) = (Shutdown::new(Duration::from_secs(10)), app.rbm_origin());
        let run = app.run(shutdown.clone());
        Self {
            clock,
            information,
            shutdown,
            run: tokio::spawn(async { run.await.unwrap() }),
            lists: SubscriberListServiceClient::new(as_information.clone()),
            messages: MessageServiceClient::new(as_information.clone()),
            numbers: NumberServiceClient::new(as_information.clone()),
            keys: VerificationServiceClient::new(as_information),
            handsets: HandsetServiceClient::new(as_terminal.open_ended()),
            pages: VerificationServiceClient::new(as_terminal.clone()),
            terminal: as_terminal,
            rbm,
            folder,
        }
    }

    /// Drops everything where it stands, as a crash would, and starts again on the same file.
    async fn crash_and_restart(self) -> Self {
        self.crash_and_restart_with(|_| {}).await
    }

    async fn crash_and_restart_with(self, change: impl FnOnce(&mut Config)) -> Self {
        let Self { clock, information, shutdown, run, folder, .. } = self;
        shutdown.begin();
        shutdown.abort();
        run.await.unwrap();
        Self::start_in(folder, clock, information, change).await
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    async fn open_account(&self, account: &str) {
        let request = PutOfficialAccountRequest {
            official_account: account.to_owned(),
            display_name: "銀行".to_owned(),
        };
        self.lists.clone().put_official_account(request).await.unwrap();
    }

    /// Applies a new batch.
    async fn act(&self, actions: Vec<Action>) {
        assert!(self.submit(Uuid::new_v4_like(), actions).await.unwrap());
    }

    async fn submit(&self, batch_id: Uuid, actions: Vec<Action>) -> Result<bool, Status> {
        let request =
            SubmitActionsRequest { batch_id: batch_id.to_string(), fleet: "fleet".to_owned(), actions };
        self.handsets.clone().submit_actions(request).await.map(|response| response.into_inner().applied)
    }

    /// Opens the account, and these numbers follow it.
    async fn followed(&self, account: &str, numbers: std::ops::Range<u32>) {
        self.open_account(account).await;
        let follows: Vec<_> = numbers.map(|last| follow(account, last)).collect();
        for follows in follows.chunks(1_000) {
            self.act(follows.to_vec()).await;
        }
    }

    async fn send(&self, account: &str, messages: Vec<OutgoingMessage>) -> Vec<SendVerdict> {
        let request = SendMessagesRequest { official_account: account.to_owned(), messages };
        self.messages.clone().send_messages(request).await.unwrap().into_inner().verdicts
    }

    async fn receive(&self, fleet: &str) -> Messages {
        let request = ReceiveMessagesRequest { fleet: fleet.to_owned() };
        Messages(self.handsets.clone().receive_messages(request).await.unwrap().into_inner())
    }
}

fn configuration(folder: &Path, information: &Information) -> Config {
    let mut config = example(folder);
    config.information.endpoint = information.endpoint.clone();
    config.tls = information.certificate(&Caller::Carrier(config.carrier.clone()));
    config.messages.expire_sweep = Duration::from_millis(20);
    config
}

/// A fleet's stream.
struct Messages(Streaming<ReceiveMessagesResponse>);

impl Messages {
    /// The next `count` messages.
    async fn next(&mut self, count: usize) -> Vec<IncomingMessage> {
        let mut messages = Vec::new();
        while messages.len() < count {
            let response = tokio::time::timeout(SOON, self.0.message()).await.unwrap().unwrap();
            messages.extend(response.expect("the stream goes on").messages);
        }
        assert_eq!(messages.len(), count);
        messages
    }

    /// Nothing comes for a while.
    async fn is_silent(&mut self) -> bool {
        tokio::time::timeout(Duration::from_millis(200), self.0.message()).await.is_err()
    }

    /// The stream ends.
    async fn has_ended(&mut self) -> bool {
        tokio::time::timeout(SOON, self.0.message()).await.unwrap().unwrap().is_none()
    }
}

trait NewId {
    /// A new UUID; in tests nobody minds that it is drawn here.
    fn new_v4_like() -> Self;
}

impl NewId for Uuid {
    fn new_v4_like() -> Self {
        Self::from_bytes(musubi_runtime::entropy::bytes())
    }
}

/// Waits until `look` sees what it looks for.
async fn eventually<T, F: Future<Output = Option<T>>>(mut look: impl FnMut() -> F) -> T {
    let wait = async {
        loop {
            if let Some(seen) = look().await {
                return seen;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(SOON, wait).await.expect("it happens soon")
}

fn msisdn(last: u32) -> String {
    format!("+8180{last:08}")
}

fn message_id(last: u32) -> String {
    format!("msg_{last:032x}")
}

fn action(account: &str, last: u32, what: What) -> Action {
    Action { msisdn: msisdn(last), official_account: account.to_owned(), what: Some(what) }
}

fn follow(account: &str, last: u32) -> Action {
    action(account, last, What::Follow(Follow {}))
}

fn unfollow(account: &str, last: u32) -> Action {
    action(account, last, What::Unfollow(Unfollow {}))
}

fn typed(account: &str, last: u32, text: &str) -> Action {
    action(account, last, What::Typed(TextTyped { text: text.to_owned() }))
}

fn delivered(account: &str, last: u32, id: u32) -> Action {
    action(
        account,
        last,
        What::Delivered(musubi_proto::carrier::v1::MessageDelivered { message_id: message_id(id) }),
    )
}

fn displayed(account: &str, last: u32, id: u32) -> Action {
    action(
        account,
        last,
        What::Displayed(musubi_proto::carrier::v1::MessageDisplayed { message_id: message_id(id) }),
    )
}

fn message(id: u32, last: u32) -> OutgoingMessage {
    OutgoingMessage {
        message_id: message_id(id),
        msisdn: msisdn(last),
        content: Some(Content { text: format!("本文 {id}"), suggestions: Vec::new(), card: None }),
        traffic_type: TrafficType::Promotion.into(),
        expire_time: None,
    }
}

/// The decisions by their names, as the enum can't be printed.
fn decisions(verdicts: &[SendVerdict]) -> Vec<&'static str> {
    let names = verdicts.iter().map(|verdict| verdict.decision().as_str_name());
    names.map(|name| name.trim_start_matches("SEND_DECISION_")).collect()
}

fn ids(messages: &[IncomingMessage]) -> Vec<&str> {
    messages
        .iter()
        .map(|message| message.message_id.trim_start_matches("msg_").trim_start_matches('0'))
        .collect()
}
