//! A carrier with an information server behind it, as small as a fleet can't tell it from: follows bring the question, answers
//! bring the next step. Messages come again until they are confirmed; batches are applied once.

use std::{
    collections::HashSet,
    pin::Pin,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::{Stream, stream};
use musubi_domain::{Error, ErrorKind, caller::Caller};
use musubi_proto::{
    callers::CARRIER,
    carrier::v1::{
        Action, AuthenticateRequest, AuthenticateResponse, IncomingMessage, ListVerificationKeysRequest,
        ListVerificationKeysResponse, Person, ReceiveMessagesRequest, ReceiveMessagesResponse,
        RegisterPersonsRequest, RegisterPersonsResponse, SubmitActionsRequest, SubmitActionsResponse,
        action::What,
        handset_service_server::{HandsetService, HandsetServiceServer},
        verification_service_server::{VerificationService, VerificationServiceServer},
    },
    r#type::v1::{Content, ItemError, OpenUrl, Suggestion, TrafficType, suggestion},
};
use musubi_runtime::{
    Shutdown,
    config::Endpoint,
    grpc::{auth::Authenticator, server::Server, status::to_status},
    tls::{TlsConfig, authority::Authority},
};
use prost::Message as _;
use tempfile::TempDir;
use tokio::sync::mpsc;
use tonic::{Request, Response, Status, service::Routes};

/// What the peer does with calls.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Mood {
    /// Answers.
    #[default]
    Well,
    /// Answers UNAVAILABLE and does nothing.
    Down,
    /// Answers INVALID_ARGUMENT.
    Refuses,
}

#[derive(Default)]
pub(super) struct State {
    pub mood: Mood,
    /// After so many answers, calls are applied and then answered UNAVAILABLE.
    pub loses_after: Option<usize>,
    /// Answers lost so far.
    pub lost: usize,
    /// Every call that came, repeated ones too: batch id and encoded request.
    pub calls: Vec<(String, Vec<u8>)>,
    applied: HashSet<String>,
    /// Everything that was applied, in order.
    pub actions: Vec<Action>,
    pub persons: Vec<Person>,
    pub authenticated: Vec<(String, String, String)>,
    /// Not confirmed yet.
    waiting: Vec<IncomingMessage>,
    listener: Option<mpsc::UnboundedSender<Vec<IncomingMessage>>>,
    /// Whether follows and answers bring messages.
    pub converses: bool,
    made: usize,
}

/// The peer; clones are the same.
#[derive(Clone)]
pub(super) struct Peer {
    state: Arc<Mutex<State>>,
    pub endpoint: Endpoint,
    folder: Arc<TempDir>,
    shutdown: Shutdown,
}

impl Drop for Peer {
    fn drop(&mut self) {
        if Arc::strong_count(&self.state) == 1 {
            self.shutdown.abort();
        }
    }
}

impl Peer {
    pub(super) async fn start() -> Self {
        let bound = Server::bind(([127, 0, 0, 1], 0)).await.unwrap();
        let shutdown = Shutdown::new(Duration::from_secs(1));
        let state = Arc::new(Mutex::new(State { converses: true, ..State::default() }));
        let mut routes = Routes::builder();
        routes
            .add_service(HandsetServiceServer::new(Carrier(Arc::clone(&state))))
            .add_service(VerificationServiceServer::new(Carrier(Arc::clone(&state))));
        let auth = Authenticator::new(CARRIER, [Caller::Terminal]);
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let own = Caller::Carrier("kumo".parse().unwrap());
        let identity = Authority::of(folder.path()).unwrap().identity(&own).unwrap();
        let endpoint = bound.endpoint();
        shutdown.spawn("peer", bound.serve(routes.routes(), identity, auth, shutdown.clone()));
        Self { state, endpoint, folder, shutdown }
    }

    /// A certificate of the authority that the peer believes.
    pub(super) fn certificate(&self, party: &Caller) -> TlsConfig {
        Authority::of(self.folder.path()).unwrap().issue_temporary(party).unwrap()
    }

    pub(super) fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.state.lock().unwrap())
    }

    /// Sends a message now and whenever the fleet calls again, until it is confirmed.
    pub(super) fn send(&self, message: IncomingMessage) {
        self.with(|state| state.send(vec![message]));
    }

    /// Sends messages without waiting for their confirmation.
    pub(super) fn say(&self, messages: Vec<IncomingMessage>) {
        self.with(|state| state.listener.as_ref().unwrap().send(messages).unwrap());
    }

    pub(super) fn is_heard(&self) -> bool {
        self.with(|state| state.listener.as_ref().is_some_and(|listener| !listener.is_closed()))
    }

    /// What was applied for a number, in order, in words.
    pub(super) fn told(&self, msisdn: &str) -> Vec<String> {
        let tell = |action: &Action| match action.what.as_ref().unwrap() {
            What::Follow(_) => "follow".to_owned(),
            What::Unfollow(_) => "unfollow".to_owned(),
            What::Delivered(delivered) => format!("delivered {}", delivered.message_id),
            What::Displayed(displayed) => format!("displayed {}", displayed.message_id),
            What::Tapped(tapped) => {
                format!("tapped {} under {}: {}", tapped.text, tapped.message_id, tapped.postback)
            }
            What::Typed(typed) => format!("typed {}", typed.text),
            What::Surrendered(_) => "surrendered".to_owned(),
            What::Released(_) => "released".to_owned(),
            What::Assigned(_) => "assigned".to_owned(),
            What::PortedIn(_) => "ported in".to_owned(),
        };
        self.with(|state| state.actions.iter().filter(|action| action.msisdn == msisdn).map(tell).collect())
    }
}

impl State {
    fn send(&mut self, messages: Vec<IncomingMessage>) {
        self.waiting.extend(messages.iter().cloned());
        if let Some(listener) = &self.listener {
            let _ended = listener.send(messages);
        }
    }

    fn answer(&mut self, action: &Action) {
        if !self.converses {
            return;
        }
        let kind = match action.what.as_ref().unwrap() {
            What::Follow(_) => "question",
            What::Tapped(tapped) if tapped.text == "確認する" => "account",
            What::Typed(_) => "identity",
            What::Tapped(_)
            | What::Unfollow(_)
            | What::Delivered(_)
            | What::Displayed(_)
            | What::Surrendered(_)
            | What::Released(_)
            | What::Assigned(_)
            | What::PortedIn(_) => return,
        };
        let message = self.message(kind, &action.msisdn, &action.official_account);
        self.send(vec![message]);
    }

    fn message(&mut self, kind: &str, msisdn: &str, official_account: &str) -> IncomingMessage {
        self.made += 1;
        let message_id = format!("{kind}-{}", self.made);
        IncomingMessage { message_id, official_account: official_account.to_owned(), ..message(kind, msisdn) }
    }

    fn mood(&self) -> Result<(), Status> {
        let refuse = |kind| Err(to_status(Error::new(kind, "out of order", "repeat it")));
        match self.mood {
            Mood::Well => Ok(()),
            Mood::Down => refuse(ErrorKind::Unavailable),
            Mood::Refuses => refuse(ErrorKind::InvalidArgument),
        }
    }

    fn answered<T>(&mut self, answer: T) -> Result<Response<T>, Status> {
        match &mut self.loses_after {
            Some(0) => {
                self.lost += 1;
                Err(to_status(Error::new(ErrorKind::Unavailable, "the answer is lost", "repeat it")))
            }
            Some(left) => {
                *left -= 1;
                Ok(Response::new(answer))
            }
            None => Ok(Response::new(answer)),
        }
    }
}

fn button(label: &str, page: Option<&str>) -> Suggestion {
    let open = |page: &str| suggestion::Action::OpenUrl(OpenUrl { url: page.to_owned(), webview: true });
    Suggestion { text: label.to_owned(), postback: format!("back:{label}"), action: page.map(open) }
}

/// A message of this kind from the bank, whose id is its kind.
pub(super) fn message(kind: &str, msisdn: &str) -> IncomingMessage {
    let suggestions = match kind {
        "question" => vec![
            button("確認する", None),
            button("口座なし", Some("https://bank.example/open?from=talk")),
            button("しない", None),
        ],
        "identity" => vec![
            button("カード", Some("https://jpki.kumo.example/v?n=secret")),
            button("暗証番号", Some("https://carrier.kumo.example/v?n=secret")),
        ],
        "confirmed" => vec![button("連携を解除する", None), button("本人ではありません", None)],
        _ => vec![],
    };
    let traffic_type =
        if kind.starts_with("news") { TrafficType::Promotion } else { TrafficType::ServiceRequest };
    IncomingMessage {
        message_id: kind.to_owned(),
        msisdn: msisdn.to_owned(),
        official_account: "bank".to_owned(),
        display_name: "見本銀行".to_owned(),
        content: Some(Content { text: format!("{kind} の本文"), suggestions, card: None }),
        traffic_type: traffic_type.into(),
    }
}

struct Carrier(Arc<Mutex<State>>);

#[tonic::async_trait]
impl HandsetService for Carrier {
    type ReceiveMessagesStream = Pin<Box<dyn Stream<Item = Result<ReceiveMessagesResponse, Status>> + Send>>;

    async fn submit_actions(
        &self,
        request: Request<SubmitActionsRequest>,
    ) -> Result<Response<SubmitActionsResponse>, Status> {
        let request = request.into_inner();
        let mut state = self.0.lock().unwrap();
        state.calls.push((request.batch_id.clone(), request.encode_to_vec()));
        state.mood()?;
        assert!(request.actions.len() <= 1_000);
        let applied = state.applied.insert(request.batch_id);
        if applied {
            for action in request.actions {
                if let Some(What::Delivered(delivered)) = &action.what {
                    state.waiting.retain(|message| message.message_id != delivered.message_id);
                }
                state.answer(&action);
                state.actions.push(action);
            }
        }
        state.answered(SubmitActionsResponse { applied })
    }

    async fn receive_messages(
        &self,
        _request: Request<ReceiveMessagesRequest>,
    ) -> Result<Response<Self::ReceiveMessagesStream>, Status> {
        let mut state = self.0.lock().unwrap();
        state.mood()?;
        let (sender, receiver) = mpsc::unbounded_channel();
        for messages in state.waiting.chunks(1_000) {
            sender.send(messages.to_vec()).unwrap();
        }
        state.listener = Some(sender);
        let messages = stream::unfold(receiver, |mut receiver| async {
            let messages = receiver.recv().await?;
            Some((Ok(ReceiveMessagesResponse { messages }), receiver))
        });
        Ok(Response::new(Box::pin(messages)))
    }
}

#[tonic::async_trait]
impl VerificationService for Carrier {
    async fn list_verification_keys(
        &self,
        _request: Request<ListVerificationKeysRequest>,
    ) -> Result<Response<ListVerificationKeysResponse>, Status> {
        Ok(Response::new(ListVerificationKeysResponse { keys: Vec::new() }))
    }

    async fn register_persons(
        &self,
        request: Request<RegisterPersonsRequest>,
    ) -> Result<Response<RegisterPersonsResponse>, Status> {
        let mut state = self.0.lock().unwrap();
        state.mood()?;
        state.persons.extend(request.into_inner().persons);
        state.answered(RegisterPersonsResponse {})
    }

    async fn authenticate(
        &self,
        request: Request<AuthenticateRequest>,
    ) -> Result<Response<AuthenticateResponse>, Status> {
        let request = request.into_inner();
        let mut state = self.0.lock().unwrap();
        state.calls.push((request.batch_id.clone(), request.encode_to_vec()));
        state.mood()?;
        let mut refused = Vec::new();
        if state.applied.insert(request.batch_id) {
            for (index, page) in (0..).zip(request.authentications) {
                let known = state
                    .persons
                    .iter()
                    .any(|person| (&person.credential_id, &person.pin) == (&page.credential_id, &page.pin));
                if !known {
                    refused.push(ItemError { index, field: "pin".to_owned(), ..ItemError::default() });
                    continue;
                }
                let result = state.message("confirmed", &page.msisdn, "bank");
                state.send(vec![result]);
                state.authenticated.push((page.msisdn, page.url, page.credential_id));
            }
        }
        state.answered(AuthenticateResponse { refused })
    }
}
