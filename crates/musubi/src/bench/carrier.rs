//! A carrier for measurements: it speaks the carrier's contract over loopback and keeps nothing.
//!
//! It takes every message at once and hands it to whoever plays the people, serves a list that is computed as it is read, and reports
//! what happened in batches of up to 1,000. Surprising: it is no simulator of a carrier. It forgets everything and repeats what is
//! refused for now, so that the information-management server with its database is what is measured.

use std::{
    ops::Range,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use futures::{Stream, StreamExt as _, stream::BoxStream};
use musubi_domain::{Error, ErrorKind, caller::Caller, roster::ListDigest};
use musubi_proto::{
    callers::CARRIER,
    carrier::v1::{
        FetchSubscriberListRequest, FetchSubscriberListResponse, OutgoingMessage, PutOfficialAccountRequest,
        PutOfficialAccountResponse, RevokeMessagesRequest, RevokeMessagesResponse, SendDecision,
        SendMessagesRequest, SendMessagesResponse, SendVerdict, SubscriberListEnd, SubscriberListHeader,
        SubscriberListPage,
        fetch_subscriber_list_response::Part,
        message_service_server::{MessageService, MessageServiceServer},
        subscriber_list_service_server::{SubscriberListService, SubscriberListServiceServer},
    },
    convert::content::timestamp,
    information::v1::{
        CarrierEvent, PushEventsRequest, Receipt, ReceiptKind, carrier_event::What,
        carrier_event_service_client::CarrierEventServiceClient,
    },
};
use musubi_runtime::{
    Clock as _, Shutdown, SystemClock,
    config::Endpoint,
    grpc::{
        MAX_MESSAGE_BYTES,
        auth::Authenticator,
        client::PeerChannel,
        server::{Bound, Server},
        status::to_status,
    },
};
use tokio::sync::{Semaphore, mpsc};
use tonic::{Request, Response, Status, service::Routes};

use super::{
    site::{Node, broken},
    world::{World, number},
};

/// Numbers of a page, messages and events of a batch.
const BATCH: usize = 1_000;
/// Batches of events on their way at once.
const PUSHES: usize = 4;
/// How long a node may refuse for now.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long to wait before it is asked again.
const REST: Duration = Duration::from_millis(100);

/// The numbers of a list, by their places.
#[derive(Clone, Debug)]
pub(super) struct Listed {
    /// Grows from list to list.
    pub(super) generation: u64,
    /// From here to there,
    pub(super) places: Range<u64>,
    /// without every so many-th; 0: none is left out.
    pub(super) without_every: u64,
}

impl Listed {
    fn numbers(&self) -> impl Iterator<Item = String> + Send + use<> {
        let without = self.without_every;
        let listed = move |place: &u64| without == 0 || !place.is_multiple_of(without);
        self.places.clone().filter(listed).map(number)
    }
}

/// Messages that an account sent at once.
pub(super) struct Batch {
    pub(super) account: String,
    pub(super) messages: Vec<OutgoingMessage>,
}

/// What the carrier's services share.
struct Desk {
    /// What is offered to whoever fetches, and when it was fetched first.
    offered: Mutex<Option<Listed>>,
    fetched: Mutex<Option<Instant>>,
    taken: mpsc::UnboundedSender<Batch>,
    /// Whether anybody reads them.
    contents: bool,
    messages: AtomicU64,
}

/// The carrier. Dropped, it stops.
pub(super) struct Carrier {
    desk: Arc<Desk>,
    endpoint: Endpoint,
    shutdown: Shutdown,
}

impl Carrier {
    /// Takes a port and serves there. Gives what receives the messages, batch by batch as they are sent, with their contents or
    /// without, where nobody reads them.
    pub(super) async fn start(
        world: &World,
        contents: bool,
        more: impl FnOnce(Routes) -> Routes,
    ) -> Result<(Self, mpsc::UnboundedReceiver<Batch>), Error> {
        let failed = |error: &dyn std::fmt::Display| broken("the carrier of this measurement", error);
        let bound: Bound = Server::bind(([127, 0, 0, 1], 0)).await.map_err(|error| failed(&error))?;
        let (taken, messages) = mpsc::unbounded_channel();
        let desk = Arc::new(Desk {
            offered: Mutex::new(None),
            fetched: Mutex::new(None),
            taken,
            contents,
            messages: AtomicU64::new(0),
        });
        macro_rules! limited {
            ($server:ident) => {
                $server::from_arc(Arc::clone(&desk))
                    .max_decoding_message_size(MAX_MESSAGE_BYTES)
                    .max_encoding_message_size(MAX_MESSAGE_BYTES)
            };
        }
        let routes =
            Routes::new(limited!(SubscriberListServiceServer)).add_service(limited!(MessageServiceServer));
        let identity = world.identity(&world.carrier_node())?;
        let auth = Authenticator::new(CARRIER, [Caller::Information]);
        let endpoint = bound.endpoint();
        let shutdown = Shutdown::new(Duration::from_secs(1));
        shutdown.spawn("grpc", bound.serve(more(routes), identity, auth, shutdown.clone()));
        Ok((Self { desk, endpoint, shutdown }, messages))
    }

    /// Where it is called.
    pub(super) const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// How many messages came, each as often as it came.
    pub(super) fn messages(&self) -> u64 {
        self.desk.messages.load(Ordering::Relaxed)
    }

    /// Offers a list, as often as it is fetched: a long one is, once for each part of it.
    pub(super) fn offer(&self, list: Listed) {
        *locked(&self.desk.fetched) = None;
        *locked(&self.desk.offered) = Some(list);
    }

    /// Puts off whoever fetches, as before there was an offer.
    pub(super) fn withdraw(&self) {
        *locked(&self.desk.offered) = None;
    }

    /// When what was offered was asked for first.
    pub(super) fn fetched(&self) -> Option<Instant> {
        *locked(&self.desk.fetched)
    }
}

impl Drop for Carrier {
    fn drop(&mut self) {
        self.shutdown.abort();
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[tonic::async_trait]
impl SubscriberListService for Desk {
    type FetchSubscriberListStream = BoxStream<'static, Result<FetchSubscriberListResponse, Status>>;

    async fn put_official_account(
        &self,
        _request: Request<PutOfficialAccountRequest>,
    ) -> Result<Response<PutOfficialAccountResponse>, Status> {
        Ok(Response::new(PutOfficialAccountResponse {}))
    }

    async fn fetch_subscriber_list(
        &self,
        _request: Request<FetchSubscriberListRequest>,
    ) -> Result<Response<Self::FetchSubscriberListStream>, Status> {
        let Some(list) = locked(&self.offered).clone() else {
            let closed = Error::new(ErrorKind::Unavailable, "no list is offered now", "fetch it later");
            return Err(to_status(closed));
        };
        locked(&self.fetched).get_or_insert_with(Instant::now);
        Ok(Response::new(
            snapshot(&list).map(|part| Ok(FetchSubscriberListResponse { part: Some(part) })).boxed(),
        ))
    }
}

/// The parts of a list, made as they are read.
fn snapshot(list: &Listed) -> impl Stream<Item = Part> + Send + use<> {
    let as_of_time = Some(timestamp(SystemClock.now()));
    let header = SubscriberListHeader { generation: list.generation, as_of_time };
    let mut numbers = list.numbers();
    let (mut digest, mut count, mut page_number) = (Some(ListDigest::default()), 0, 0);
    let pages = std::iter::from_fn(move || {
        let msisdns: Vec<String> = numbers.by_ref().take(BATCH).collect();
        if msisdns.is_empty() {
            let digest = digest.take()?.finish().to_vec();
            return Some(Part::End(SubscriberListEnd { count, digest }));
        }
        for msisdn in &msisdns {
            digest.as_mut()?.update(msisdn);
            count += 1;
        }
        page_number += 1;
        Some(Part::Page(SubscriberListPage { page_number: page_number - 1, msisdns }))
    });
    futures::stream::iter(std::iter::once(Part::Header(header)).chain(pages))
}

#[tonic::async_trait]
impl MessageService for Desk {
    async fn send_messages(
        &self,
        request: Request<SendMessagesRequest>,
    ) -> Result<Response<SendMessagesResponse>, Status> {
        let SendMessagesRequest { official_account: account, mut messages } = request.into_inner();
        if !self.contents {
            messages.iter_mut().for_each(|message| message.content = None);
        }
        let accepted =
            SendVerdict { decision: SendDecision::Accepted.into(), retry_after: None, reason: String::new() };
        let verdicts = vec![accepted; messages.len()];
        self.messages.fetch_add(messages.len() as u64, Ordering::Relaxed);
        // Nobody plays the people any more: the measurement is at its end.
        let _ended = self.taken.send(Batch { account, messages });
        Ok(Response::new(SendMessagesResponse { verdicts }))
    }

    async fn revoke_messages(
        &self,
        request: Request<RevokeMessagesRequest>,
    ) -> Result<Response<RevokeMessagesResponse>, Status> {
        let revoked = vec![false; request.into_inner().message_ids.len()];
        Ok(Response::new(RevokeMessagesResponse { revoked }))
    }
}

/// What the carrier tells the information-management servers, each batch to the next of them.
#[derive(Clone)]
pub(super) struct Reports {
    servers: Arc<Vec<CarrierEventServiceClient<PeerChannel>>>,
    next: Arc<AtomicUsize>,
    numbered: Arc<AtomicU64>,
    account: String,
}

impl Reports {
    /// To these servers.
    pub(super) fn to(world: &World, servers: &[Node]) -> Result<Self, Error> {
        let client = |server: &Node| {
            let channel = world.channel(&world.carrier_node(), server.endpoint(), PATIENCE)?;
            let client = CarrierEventServiceClient::new(channel);
            Ok(client
                .max_encoding_message_size(MAX_MESSAGE_BYTES)
                .max_decoding_message_size(MAX_MESSAGE_BYTES))
        };
        Ok(Self {
            servers: Arc::new(servers.iter().map(client).collect::<Result<_, Error>>()?),
            next: Arc::default(),
            numbered: Arc::default(),
            account: world.account.to_string(),
        })
    }

    /// An event of now.
    pub(super) fn event(&self, msisdn: String, what: What) -> CarrierEvent {
        CarrierEvent {
            event_id: format!("{:x}", self.numbered.fetch_add(1, Ordering::Relaxed)),
            official_account: self.account.clone(),
            msisdn,
            event_time: Some(timestamp(SystemClock.now())),
            what: Some(what),
        }
    }

    /// That a message came so far.
    pub(super) fn receipt(&self, msisdn: String, message_id: String, kind: ReceiptKind) -> CarrierEvent {
        self.event(msisdn, What::Receipt(Receipt { message_id, kind: kind.into() }))
    }

    /// That all of these came, whoever's they are.
    fn delivered(&self, Batch { account, messages }: Batch, events: &mut Vec<CarrierEvent>) {
        events.extend(messages.into_iter().map(|it| CarrierEvent {
            official_account: account.clone(),
            ..self.receipt(it.msisdn, it.message_id, ReceiptKind::Delivered)
        }));
    }

    /// The next server.
    pub(super) fn server(&self) -> CarrierEventServiceClient<PeerChannel> {
        let next = self.next.fetch_add(1, Ordering::Relaxed);
        self.servers[next % self.servers.len()].clone()
    }

    /// Reports at most a batch of events; again while the server can't take them now.
    pub(super) async fn push(&self, events: Vec<CarrierEvent>) -> Result<(), Error> {
        let begun = Instant::now();
        loop {
            let request = PushEventsRequest { events: events.clone() };
            match self.server().push_events(request).await {
                Ok(answer) => {
                    let refused = answer.into_inner().refused;
                    return refused.first().map_or(Ok(()), |first| {
                        let why = format!("{}: {}", first.field, first.problem);
                        Err(broken(format!("{} events were refused", refused.len()), why))
                    });
                }
                Err(_) if begun.elapsed() < PATIENCE => tokio::time::sleep(REST).await,
                Err(status) => return Err(broken("events can not be reported", status.message())),
            }
        }
    }

    /// Reports every message that comes as delivered, in batches, until nobody sends any more or a report fails.
    pub(super) async fn deliver(self, mut messages: mpsc::UnboundedReceiver<Batch>) -> Result<(), Error> {
        let under_way = Arc::new(Semaphore::new(PUSHES));
        let (failed, mut failures) = mpsc::channel::<Error>(1);
        loop {
            let batch = tokio::select! {
                batch = messages.recv() => batch,
                Some(failure) = failures.recv() => return Err(failure),
            };
            let Some(batch) = batch else { return Ok(()) };
            let mut events = Vec::new();
            self.delivered(batch, &mut events);
            while events.len() < BATCH
                && let Ok(more) = messages.try_recv()
            {
                self.delivered(more, &mut events);
            }
            for events in events.chunks(BATCH) {
                let permit = Arc::clone(&under_way).acquire_owned().await;
                let (reports, events, failed) = (self.clone(), events.to_vec(), failed.clone());
                tokio::spawn(async move {
                    if let Err(error) = reports.push(events).await {
                        // One failure ends the measurement; others say the same.
                        let _full = failed.try_send(error);
                    }
                    drop(permit);
                });
            }
        }
    }
}
