//! How many messages a second go through a carrier: sent, received by their fleet, confirmed as delivered and displayed, and
//! both receipts pushed. Everything over real gRPC, on loopback, in one process:
//!
//! `cargo run --release -p musubi-carrier-simulator --example throughput`
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a measurement that a person starts and reads")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use musubi_carrier_simulator::{App, Config};
use musubi_domain::caller::Caller;
use musubi_proto::{
    callers::INFORMATION,
    carrier::v1::{
        Action, Follow, MessageDelivered, MessageDisplayed, OutgoingMessage, PutOfficialAccountRequest,
        ReceiveMessagesRequest, SendDecision, SendMessagesRequest, SubmitActionsRequest, action::What,
        handset_service_client::HandsetServiceClient, message_service_client::MessageServiceClient,
        subscriber_list_service_client::SubscriberListServiceClient,
    },
    information::v1::{
        PushAssertionsRequest, PushAssertionsResponse, PushEventsRequest, PushEventsResponse,
        carrier_event_service_server::{CarrierEventService, CarrierEventServiceServer},
    },
    r#type::v1::{Content, Suggestion, TrafficType},
};
use musubi_runtime::{
    Shutdown, SystemClock,
    config::{Database, Endpoint},
    entropy,
    grpc::{
        MAX_MESSAGE_BYTES,
        auth::Authenticator,
        client::{ClientOptions, PeerChannel, connect},
        server::Server,
    },
    tls::authority::Authority,
};
use tonic::{Request, Response, Status, service::Routes};
use uuid::Uuid;

const FOLLOWERS: usize = 200_000;
const BATCH: usize = 1_000;
const ACCOUNT: &str = "bank";
const FLEET: &str = "fleet";

/// An information server that counts.
#[derive(Default)]
struct Counting(AtomicUsize);

#[tonic::async_trait]
impl CarrierEventService for Counting {
    async fn push_events(
        &self,
        request: Request<PushEventsRequest>,
    ) -> Result<Response<PushEventsResponse>, Status> {
        self.0.fetch_add(request.get_ref().events.len(), Ordering::SeqCst);
        Ok(Response::new(PushEventsResponse::default()))
    }

    async fn push_assertions(
        &self,
        _request: Request<PushAssertionsRequest>,
    ) -> Result<Response<PushAssertionsResponse>, Status> {
        Ok(Response::new(PushAssertionsResponse::default()))
    }
}

#[tokio::main]
async fn main() {
    let count = FOLLOWERS;
    let folder = tempfile::tempdir().unwrap();
    let told = Arc::new(Counting::default());
    let shutdown = Shutdown::new(Duration::from_secs(5));

    let bound = Server::bind(([127, 0, 0, 1], 0)).await.unwrap();
    let information = bound.endpoint();
    let authority = Authority::temporary(&folder.path().join("tls")).unwrap();
    let identity = |party: &Caller| authority.identity(party).unwrap();
    let carrier = Caller::Carrier("kumo".parse().unwrap());
    let auth = Authenticator::new(INFORMATION, [carrier.clone()]);
    let events =
        CarrierEventServiceServer::from_arc(Arc::clone(&told)).max_decoding_message_size(MAX_MESSAGE_BYTES);
    let serve = bound.serve(Routes::new(events), identity(&Caller::Information), auth, shutdown.clone());
    tokio::spawn(async { serve.await.unwrap() });

    let config = Config {
        tls: authority.issue_temporary(&carrier).unwrap(),
        ..configuration(folder.path(), &information)
    };
    let app = App::build(config, Arc::new(SystemClock)).await.unwrap();
    let channel =
        |party| connect(&identity(&party), &app.endpoint(), None, ClientOptions::default()).unwrap();
    let (sender, terminal) = (channel(Caller::Information), channel(Caller::Terminal));
    let run = tokio::spawn(app.run(shutdown.clone()));

    let begin = Instant::now();
    follow(&sender, &terminal, count).await;
    until(&told, count).await;
    println!("{count} follows taken in and told: {}", rate(count, begin));

    let begin = Instant::now();
    let sending = tokio::spawn(send(sender, count));
    receive(terminal, count).await;
    println!("{count} messages sent, received and confirmed: {}", rate(count, begin));
    sending.await.unwrap();
    until(&told, 3 * count).await;
    println!("{count} messages with both receipts told: {}", rate(count, begin));

    shutdown.begin();
    run.await.unwrap().unwrap();
}

fn configuration(folder: &std::path::Path, information: &Endpoint) -> Config {
    let file = folder.join("carrier.toml");
    let text = format!(
        "carrier = 'kumo'\nlisten = '127.0.0.1:0'\n\
         information.endpoint = '{information}'\n\
         tls = {{ certificate = 'kumo.pem', key = 'kumo.key', authorities = 'authority.pem' }}\n"
    );
    std::fs::write(&file, text).unwrap();
    Config { database: Database::File(folder.join("carrier.db")), ..Config::load(Some(&file)).unwrap() }
}

fn rate(count: usize, begin: Instant) -> String {
    let seconds = begin.elapsed().as_secs_f64();
    format!("{:.0} a second in {seconds:.2} s", count as f64 / seconds)
}

async fn until(told: &Counting, count: usize) {
    while told.0.load(Ordering::SeqCst) < count {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn msisdn(index: usize) -> String {
    format!("+8180{index:08}")
}

fn action(msisdn: String, what: What) -> Action {
    Action { msisdn, official_account: ACCOUNT.to_owned(), what: Some(what) }
}

async fn submit(client: &mut HandsetServiceClient<PeerChannel>, actions: Vec<Action>) {
    let batch_id = Uuid::from_bytes(entropy::bytes()).to_string();
    client.submit_actions(SubmitActionsRequest { batch_id, fleet: FLEET.to_owned(), actions }).await.unwrap();
}

async fn follow(sender: &PeerChannel, terminal: &PeerChannel, count: usize) {
    let account =
        PutOfficialAccountRequest { official_account: ACCOUNT.to_owned(), display_name: "銀行".to_owned() };
    SubscriberListServiceClient::new(sender.clone()).put_official_account(account).await.unwrap();
    let mut handsets = HandsetServiceClient::new(terminal.clone());
    let numbers: Vec<usize> = (0..count).collect();
    for batch in numbers.chunks(BATCH) {
        submit(
            &mut handsets,
            batch.iter().map(|index| action(msisdn(*index), What::Follow(Follow {}))).collect(),
        )
        .await;
    }
}

/// Sends to everybody, four calls at once.
async fn send(sender: PeerChannel, count: usize) {
    let suggestion =
        |text: &str| Suggestion { text: text.to_owned(), postback: "p".repeat(120), action: None };
    let message = |index: usize| OutgoingMessage {
        message_id: format!("msg_{}", Uuid::from_bytes(entropy::bytes()).simple()),
        msisdn: msisdn(index),
        content: Some(Content {
            card: None,
            text: "お客様への大切なお知らせです。".repeat(8),
            suggestions: vec![suggestion("はい"), suggestion("いいえ")],
        }),
        traffic_type: TrafficType::Transaction.into(),
        expire_time: None,
    };
    let next = Arc::new(AtomicUsize::new(0));
    let call = || {
        let (mut client, next) = (MessageServiceClient::new(sender.clone()), Arc::clone(&next));
        async move {
            loop {
                let first = next.fetch_add(BATCH, Ordering::SeqCst);
                if first >= count {
                    return;
                }
                let messages = (first..count.min(first + BATCH)).map(message).collect();
                let request = SendMessagesRequest { official_account: ACCOUNT.to_owned(), messages };
                let verdicts = client.send_messages(request).await.unwrap().into_inner().verdicts;
                assert!(verdicts.iter().all(|verdict| verdict.decision() == SendDecision::Accepted));
            }
        }
    };
    tokio::join!(call(), call(), call(), call());
}

/// Receives all and confirms each batch as delivered and displayed.
async fn receive(terminal: PeerChannel, count: usize) {
    let request = ReceiveMessagesRequest { fleet: FLEET.to_owned() };
    let mut handsets =
        HandsetServiceClient::new(terminal.open_ended()).max_decoding_message_size(MAX_MESSAGE_BYTES);
    let mut stream = handsets.receive_messages(request).await.unwrap().into_inner();
    let mut received = 0;
    while received < count {
        let messages = stream.message().await.unwrap().unwrap().messages;
        received += messages.len();
        for half in messages.chunks(BATCH / 2) {
            let confirm = half.iter().flat_map(|message| {
                let delivered = MessageDelivered { message_id: message.message_id.clone() };
                let displayed = MessageDisplayed { message_id: message.message_id.clone() };
                [What::Delivered(delivered), What::Displayed(displayed)]
                    .map(|what| action(message.msisdn.clone(), what))
            });
            submit(&mut handsets, confirm.collect()).await;
        }
    }
}
