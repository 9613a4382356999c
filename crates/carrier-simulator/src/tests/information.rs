//! An information server that takes everything and writes it down.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use musubi_domain::{Error, ErrorKind, caller::Caller};
use musubi_proto::{
    callers::INFORMATION,
    information::v1::{
        CarrierEvent, PushAssertionsRequest, PushAssertionsResponse, PushEventsRequest, PushEventsResponse,
        ReceiptKind,
        carrier_event::What,
        carrier_event_service_server::{CarrierEventService, CarrierEventServiceServer},
        responded::How,
    },
    r#type::v1::ItemError,
};
use musubi_runtime::{
    Shutdown,
    config::Endpoint,
    grpc::{
        auth::{self, Authenticator},
        server::Server,
        status::to_status,
    },
    tls::{TlsConfig, authority::Authority},
};
use tempfile::TempDir;
use tonic::{Request, Response, Status, service::Routes};

use super::eventually;

/// What the server was told, and how it answers.
#[derive(Clone)]
pub(super) struct Information {
    pub(super) endpoint: Endpoint,
    told: Arc<Told>,
    folder: Arc<TempDir>,
}

#[derive(Default)]
pub(super) struct Told {
    events: Mutex<Vec<CarrierEvent>>,
    assertions: Mutex<Vec<String>>,
    away: AtomicBool,
    refuse: AtomicBool,
    calls: AtomicU32,
}

impl Information {
    pub(super) async fn start() -> Self {
        let bound = Server::bind(([127, 0, 0, 1], 0)).await.unwrap();
        let told = Arc::new(Told::default());
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let identity = Authority::of(folder.path()).unwrap().identity(&Caller::Information).unwrap();
        let information = Self { endpoint: bound.endpoint(), told: Arc::clone(&told), folder };
        let auth = Authenticator::new(INFORMATION, [Caller::Carrier("kumo".parse().unwrap())]);
        let shutdown = Shutdown::new(Duration::from_secs(1));
        let routes = Routes::new(CarrierEventServiceServer::from_arc(told));
        tokio::spawn(bound.serve(routes, identity, auth, shutdown));
        information
    }

    /// A certificate of the authority that this server believes.
    pub(super) fn certificate(&self, party: &Caller) -> TlsConfig {
        Authority::of(self.folder.path()).unwrap().issue_temporary(party).unwrap()
    }

    /// Answers UNAVAILABLE from now on, or no longer.
    pub(super) fn set_away(&self, away: bool) {
        self.told.away.store(away, Ordering::SeqCst);
    }

    /// Refuses every item for good from now on, or no longer.
    pub(super) fn set_refuse(&self, refuse: bool) {
        self.told.refuse.store(refuse, Ordering::SeqCst);
    }

    /// How many calls came.
    pub(super) fn calls(&self) -> u32 {
        self.told.calls.load(Ordering::SeqCst)
    }

    /// All events that came, in the order in which they came.
    pub(super) fn all_events(&self) -> Vec<CarrierEvent> {
        self.told.events.lock().unwrap().clone()
    }

    /// The first of each event, once there are `count`.
    pub(super) async fn events(&self, count: usize) -> Vec<CarrierEvent> {
        eventually(|| async {
            let mut seen = HashSet::new();
            let mut events = self.all_events();
            events.retain(|event| seen.insert(event.event_id.clone()));
            (events.len() >= count).then_some(events)
        })
        .await
    }

    /// The same as a line each: what, in which account, whose number's last digit.
    pub(super) async fn lines(&self, count: usize) -> Vec<String> {
        self.events(count).await.iter().map(line).collect()
    }

    /// The assertions, once there are `count`.
    pub(super) async fn assertions(&self, count: usize) -> Vec<String> {
        let assertions =
            || async { Some(self.told.assertions.lock().unwrap().clone()).filter(|it| it.len() >= count) };
        eventually(assertions).await
    }
}

pub(super) fn line(event: &CarrierEvent) -> String {
    let what = match event.what.as_ref().unwrap() {
        What::Followed(_) => "followed".to_owned(),
        What::Unfollowed(_) => "unfollowed".to_owned(),
        What::NumberReassigned(_) => "reassigned".to_owned(),
        What::Responded(responded) => match responded.how.as_ref().unwrap() {
            How::Postback(postback) => format!("tapped {postback}"),
            How::Text(text) => format!("typed {text}"),
        },
        What::Receipt(receipt) => {
            let kind = match receipt.kind() {
                ReceiptKind::Unspecified => "nothing",
                ReceiptKind::Delivered => "delivered",
                ReceiptKind::Displayed => "displayed",
                ReceiptKind::Expired => "expired",
                ReceiptKind::Revoked => "revoked",
            };
            format!("{kind} {}", receipt.message_id.trim_start_matches("msg_").trim_start_matches('0'))
        }
    };
    format!("{what} {} {}", event.official_account, event.msisdn.chars().last().unwrap())
}

impl Told {
    fn answer<T>(
        &self,
        request: Request<T>,
        items: impl Fn(&T) -> usize,
    ) -> Result<(T, Vec<ItemError>), Status> {
        auth::carrier(&request)?;
        self.calls.fetch_add(1, Ordering::SeqCst);
        if self.away.load(Ordering::SeqCst) {
            return Err(to_status(Error::new(ErrorKind::Unavailable, "away", "")));
        }
        let request = request.into_inner();
        let count = items(&request);
        assert!((1..=1_000).contains(&count), "{count} items in a call");
        let refused = if self.refuse.load(Ordering::SeqCst) { count } else { 0 };
        let item = |index| ItemError {
            index,
            field: "event".to_owned(),
            problem: "unwanted".to_owned(),
            ..Default::default()
        };
        Ok((request, (0..u32::try_from(refused).unwrap()).map(item).collect()))
    }
}

#[tonic::async_trait]
impl CarrierEventService for Told {
    async fn push_events(
        &self,
        request: Request<PushEventsRequest>,
    ) -> Result<Response<PushEventsResponse>, Status> {
        let (request, refused) = self.answer(request, |request| request.events.len())?;
        if refused.is_empty() {
            self.events.lock().unwrap().extend(request.events);
        }
        Ok(Response::new(PushEventsResponse { refused, ..Default::default() }))
    }

    async fn push_assertions(
        &self,
        request: Request<PushAssertionsRequest>,
    ) -> Result<Response<PushAssertionsResponse>, Status> {
        let (request, refused) = self.answer(request, |request| request.assertions.len())?;
        if refused.is_empty() {
            self.assertions.lock().unwrap().extend(request.assertions);
        }
        Ok(Response::new(PushAssertionsResponse { refused, ..Default::default() }))
    }
}
