//! The RBM face: Google's RCS Business Messaging REST API, served by this carrier.
//!
//! An agent is an official account, its messages are messages like any other, and what phones do goes to its webhook instead of the
//! information server. A file for each resource: `token` and `keys` let callers in, `discovery` says what there is, `message`
//! reads what agents send and `messages` stores it, `capabilities`, `events`, `files` and `testers` are small, `webhook`
//! posts what happened, `phones` plays phones that nobody has, and `page` shows all of it. No rule about companies or customers
//! lives here. Surprising: nothing is kept in memory but what the page shows of the last posts.

mod capabilities;
pub mod config;
mod discovery;
mod error;
mod events;
mod faults;
mod files;
mod keys;
mod message;
mod messages;
mod page;
mod phones;
mod testers;
mod token;
mod webhook;

use std::{
    convert::Infallible,
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, FromRequest, FromRequestParts, Path, Request, State},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse as _, Response},
    routing::{delete, get, post},
};
use http::request::Parts;
use jiff::Timestamp;
use musubi_domain::{Error, content::Content, id::OfficialAccountId, phone_number::PhoneNumber};
use musubi_runtime::{
    Clock, Shutdown,
    http::{BoundHttp, HttpServer},
};
use musubi_storage::carrier::{Agent, CarrierStore};
use reqwest::Client;
use serde::de::DeserializeOwned;

use self::{
    config::{AgentConfig, LaunchState, RbmConfig, UseCase, Webhook},
    discovery::Discovery,
    error::{ApiError, Code},
    faults::{CallFault, Choices},
    messages::Sender,
    token::Tokens,
    webhook::{Journal, Postman},
};
use crate::{app::BuildError, distribution::Fleets, outbox::Wake};

/// What a phone shows of an agent message's JSON; for who holds the reader against any bytes.
///
/// # Errors
/// The field at fault and what is wrong with it, never its value.
pub fn read_message(body: &[u8], strict: bool, now: Timestamp) -> Result<Content, Error> {
    static DISCOVERY: LazyLock<Result<Discovery, Error>> = LazyLock::new(Discovery::read);
    let draft = DISCOVERY
        .as_ref()
        .map_err(Error::clone)?
        .request("AgentMessage", body, strict)
        .and_then(|message| message::read(&message, UseCase::Transactional, strict, now));
    draft.map(|draft| draft.content).map_err(|error| Error::invalid(error.field, error.message, ""))
}

/// The longest id of a message, an event or a question, in bytes.
const ID_BYTES: usize = 256;

/// What every handler has. Clones are the same.
#[derive(Clone)]
pub(crate) struct Face(Arc<Inner>);

impl std::ops::Deref for Face {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

/// See [`Face`].
pub(crate) struct Inner {
    store: Arc<dyn CarrierStore>,
    clock: Arc<dyn Clock>,
    fleets: Fleets,
    events: Wake,
    /// Where the face is found.
    origin: String,
    strict: bool,
    /// The simulator plays phones itself.
    phones: bool,
    agents: Vec<Speaker>,
    tokens: Tokens,
    discovery: Discovery,
    choices: Mutex<Choices>,
    sender: Sender,
    journal: Journal,
}

/// An agent, as handlers look at it.
pub(crate) struct Speaker {
    id: String,
    account: OfficialAccountId,
    display_name: String,
    webhook: Option<String>,
    use_case: UseCase,
    launch_state: LaunchState,
}

/// The face with its port, which doesn't serve yet.
pub(crate) struct BoundFace {
    config: RbmConfig,
    tokens: Tokens,
    discovery: Discovery,
    client: Client,
    journal: Journal,
    bound: BoundHttp,
}

impl BoundFace {
    /// Opens the agents' accounts, makes what keys are missing, takes the port, and writes the service account's file.
    pub(crate) async fn bind(
        config: &RbmConfig,
        store: &dyn CarrierStore,
        clock: &dyn Clock,
    ) -> Result<Self, BuildError> {
        let agents: Vec<_> = config.agent.iter().map(agent).collect();
        store.put_agents(&agents, clock.now()).await?;
        let (tokens, own) = keys::open(config, store).await?;
        let bound = HttpServer::bind(&config.http()).await?;
        if let Some(own) = own {
            own.write(config.origin.as_deref().unwrap_or(&bound.origin()))?;
            own.write_token(&tokens.issue(own.client_email(), clock.now())?)?;
        }
        let (discovery, client) = (Discovery::read()?, webhook::client(config.authorities.as_deref())?);
        Ok(Self { config: config.clone(), tokens, discovery, client, journal: Journal::default(), bound })
    }

    /// Where it is found: as the configuration says, or from this machine.
    pub(crate) fn origin(&self) -> String {
        self.config.origin.clone().unwrap_or_else(|| self.bound.origin())
    }

    /// Serves, and posts what happens, until the shutdown begins.
    pub(crate) fn spawn(
        self,
        store: &Arc<dyn CarrierStore>,
        clock: &Arc<dyn Clock>,
        fleets: &Fleets,
        events: &Wake,
        shutdown: &Shutdown,
    ) {
        let origin = self.origin();
        let Self { config, tokens, discovery, client, journal, bound } = self;
        let (sender, offers) = messages::channel();
        let face = Face(Arc::new(Inner {
            store: Arc::clone(store),
            clock: Arc::clone(clock),
            fleets: fleets.clone(),
            events: events.clone(),
            origin,
            strict: config.strict,
            phones: config.phones,
            agents: config.agent.iter().map(|agent| Speaker::new(agent, config.partner.as_ref())).collect(),
            tokens,
            discovery,
            choices: Mutex::new(Choices::new(&config.faults)),
            sender,
            journal: journal.clone(),
        }));
        for agent in &config.agent {
            let postman = Postman::new(
                (store, clock),
                agent,
                &config,
                (&client, &journal),
                (events.waiter(), shutdown.token()),
            );
            spawn(shutdown, "post events", postman.run());
        }
        spawn(shutdown, "store agent messages", face.clone().take(offers, shutdown.token()));
        if config.phones {
            spawn(shutdown, "play phones", face.clone().play(shutdown.token()));
        }
        let mut router = router(face.clone());
        // The page asks nobody who he is, so it is for this machine alone.
        if bound.local_address().ip().is_loopback() {
            router = router.merge(page::router(face));
        }
        shutdown.spawn("rbm", bound.serve(router, shutdown.clone()));
    }
}

/// Starts a task that can't fail.
fn spawn(shutdown: &Shutdown, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
    shutdown.spawn(name, async {
        task.await;
        Ok::<_, Infallible>(())
    });
}

fn agent(config: &AgentConfig) -> Agent {
    Agent {
        account: config.official_account.clone(),
        agent_id: config.id.clone(),
        display_name: config.display_name.clone(),
        launch_state: config.launch_state.as_str().to_owned(),
    }
}

impl Speaker {
    fn new(config: &AgentConfig, partner: Option<&Webhook>) -> Self {
        let webhook = config.webhook.as_ref().or(partner);
        Self {
            id: config.id.clone(),
            account: config.official_account.clone(),
            display_name: config.display_name.clone(),
            webhook: webhook.map(|it| it.url.origin().ascii_serialization()),
            use_case: config.use_case,
            launch_state: config.launch_state,
        }
    }
}

fn router(face: Face) -> Router {
    let api = Router::new()
        .route("/v1/phones/{number}/agentMessages", post(messages::create))
        .route("/v1/phones/{number}/agentMessages/{id}", delete(messages::delete))
        .route("/v1/phones/{number}/agentEvents", post(events::create))
        .route("/v1/phones/{number}/capabilities", get(capabilities::get))
        .route("/v1/phones/{number}/testers", post(testers::create))
        .route("/v1/users:batchGet", post(capabilities::batch_get))
        .route("/v1/files", post(files::create))
        .route("/upload/v1/files", post(files::upload).layer(DefaultBodyLimit::max(files::FILE_BYTES)))
        .fallback(nothing)
        .method_not_allowed_fallback(nothing)
        .layer(from_fn_with_state(face.clone(), admit));
    Router::new()
        .route("/token", post(token::exchange))
        .route("/$discovery/rest", get(discovery::document))
        .merge(api)
        .with_state(face)
}

async fn nothing() -> ApiError {
    ApiError::new(Code::NotFound, "no such method; see /$discovery/rest?version=v1")
}

/// Lets calls in that have a token, and lets go wrong what is configured to.
async fn admit(State(face): State<Face>, request: Request, next: Next) -> Response {
    if let Err(error) = face.tokens.admit(request.headers(), face.clock.now()) {
        return error.into_response();
    }
    let (latency, fault) = face.choices.lock().unwrap_or_else(PoisonError::into_inner).call();
    tokio::time::sleep(latency).await;
    let failed = || ApiError::new(Code::Unavailable, "failed on purpose; try again").into_response();
    match fault {
        None => next.run(request).await,
        Some(CallFault::Throttled) => {
            ApiError::new(Code::ResourceExhausted, "throttled on purpose; slow down").into_response()
        }
        Some(CallFault::Failed) => failed(),
        Some(CallFault::LostAnswer) => {
            drop(next.run(request).await);
            failed()
        }
    }
}

/// What a call says behind the question mark. Whatever else stands there is somebody else's business.
#[derive(Default)]
pub(crate) struct Query {
    agent_id: Option<String>,
    message_id: Option<String>,
    event_id: Option<String>,
    request_id: Option<String>,
    upload_type: Option<String>,
}

impl<S: Sync> FromRequestParts<S> for Query {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        let mut query = Self::default();
        for (name, value) in url::form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()) {
            let field = match &*name {
                "agentId" | "agent_id" => &mut query.agent_id,
                "messageId" | "message_id" => &mut query.message_id,
                "eventId" | "event_id" => &mut query.event_id,
                "requestId" | "request_id" => &mut query.request_id,
                "uploadType" | "upload_protocol" => &mut query.upload_type,
                _ => continue,
            };
            *field = Some(value.into_owned());
        }
        Ok(query)
    }
}

/// A call's body. Whatever is wrong with how it comes is told as all else is.
pub(crate) struct Body(Bytes);

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let body = Bytes::from_request(request, state).await;
        body.map(Self).map_err(|_| ApiError::invalid("the body", "is too long, or broke off"))
    }
}

/// What stands in a call's path.
pub(crate) struct Named<T>(T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Named<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let path = Path::from_request_parts(parts, state).await;
        path.map(|Path(named)| Self(named)).map_err(|_| ApiError::invalid("the path", "is no UTF-8"))
    }
}

/// The id that a caller chose for something.
fn client_id(id: Option<String>, field: &str, strict: bool) -> Result<String, ApiError> {
    let id =
        id.filter(|id| !id.is_empty()).ok_or_else(|| ApiError::invalid(field, "is absent; choose one"))?;
    if id.len() > ID_BYTES || id.chars().any(char::is_control) {
        let problem = format!("is {}; write at most {ID_BYTES} bytes", musubi_domain::error::shape(&id));
        return Err(ApiError::invalid(field, problem));
    }
    if strict && uuid::Uuid::try_parse(&id).is_err() {
        return Err(ApiError::invalid(field, "is no UUID"));
    }
    Ok(id)
}

/// The number of a path.
fn number(text: &str) -> Result<PhoneNumber, ApiError> {
    text.parse().map_err(|error: Error| ApiError::from(error.at("phones")))
}

impl Face {
    /// The agent that a call names.
    fn speaker(&self, id: Option<&str>) -> Result<&Speaker, ApiError> {
        let unknown = |shown: &str| {
            let message = format!(
                "error looking up the RBM agent (ID: {shown}); name one that is configured in agentId"
            );
            ApiError::new(Code::PermissionDenied, message)
        };
        let id = id.filter(|id| !id.is_empty()).ok_or_else(|| unknown("null"))?;
        let bare = id.strip_suffix("@rbm.goog").unwrap_or(id);
        self.agents.iter().find(|agent| agent.id == bare).ok_or_else(|| unknown("unknown"))
    }

    /// Whether the agent may speak with this number at all.
    async fn may_speak(&self, agent: &Speaker, number: PhoneNumber) -> Result<(), ApiError> {
        match agent.launch_state {
            LaunchState::Launched => Ok(()),
            _ if self.store.is_tester(&agent.account, number).await? => Ok(()),
            LaunchState::Pending | LaunchState::Rejected => Err(ApiError::new(
                Code::PermissionDenied,
                "the agent is not launched, and the number is none of its testers",
            )),
            LaunchState::Suspended | LaunchState::Unlaunched => {
                Err(ApiError::new(Code::NotFound, "the agent is not launched at the number's carrier"))
            }
        }
    }

    /// Whether each of these numbers has RCS at this carrier.
    async fn reachable(&self, numbers: &[PhoneNumber]) -> Result<Vec<bool>, ApiError> {
        let mut reachable = Vec::with_capacity(numbers.len());
        for numbers in numbers.chunks(musubi_storage::carrier::BATCH) {
            let tenures = self.store.find_tenures(numbers).await?;
            reachable.extend(tenures.into_iter().map(|it| it.is_some_and(|it| !it.released)));
        }
        Ok(reachable)
    }

    /// The number has RCS and the agent may speak with it.
    async fn reach(&self, agent: &Speaker, number: PhoneNumber) -> Result<(), ApiError> {
        self.may_speak(agent, number).await?;
        match self.reachable(&[number]).await?.first() {
            Some(true) => Ok(()),
            Some(false) | None => Err(unreachable()),
        }
    }
}

/// The phone has no RCS.
fn unreachable() -> ApiError {
    ApiError::new(Code::NotFound, "the number has no RCS, or is out of this carrier's reach")
}
