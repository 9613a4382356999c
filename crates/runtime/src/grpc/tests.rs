//! The server and the client against one another, over a real connection.
//!
//! The service is written by hand, on a text instead of messages, because no contract of ours may be named here.

mod drain;
mod pace;

use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use futures::{FutureExt as _, StreamExt as _, future::BoxFuture, stream};
use http::uri::PathAndQuery;
use musubi_domain::{
    Error, ErrorKind,
    caller::{CallerKind, MayCall},
};
use tempfile::TempDir;
use tokio::sync::{Notify, Semaphore};
use tonic::{
    Code, Request, Response, Status,
    body::Body,
    server::{NamedService, ServerStreamingService, UnaryService},
    service::Routes,
};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic_prost::ProstCodec;
use tower::Service;

use super::{
    MAX_MESSAGE_BYTES,
    auth::{self, Authenticator},
    client::{ClientOptions, PeerChannel, connect},
    retry::{Backoff, with_retry},
    server::{Bound, Server, ServerError},
    status::{from_status, to_status},
};
use crate::{
    Clock as _, SystemClock,
    config::Endpoint,
    lifecycle::Shutdown,
    tls::{Identity, TlsConfig, authority::Authority},
};

const COMPANY: &str = "company/tf-bank";
const CARRIER: &str = "carrier/north";
/// The server's own.
const INFORMATION: &str = "information";
const TABLE: &[MayCall] = &[MayCall {
    service: "test.Echo",
    methods: &["Say", "Stream"],
    who: &[CallerKind::Company, CallerKind::Carrier],
    roles: &[],
}];
const SHORT: Duration = Duration::from_millis(200);

/// Answers by the request's text.
#[derive(Clone)]
struct Echo {
    /// Told when a call of `wait` or `endless` is inside.
    inside: Arc<Notify>,
    /// Lets a call of `wait` finish.
    finish: Arc<Semaphore>,
}

impl NamedService for Echo {
    const NAME: &'static str = "test.Echo";
}

impl Service<http::Request<Body>> for Echo {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<http::Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let this = self.clone();
        let mut grpc = tonic::server::Grpc::new(ProstCodec::<String, String>::default())
            .apply_max_message_size_config(Some(MAX_MESSAGE_BYTES), Some(MAX_MESSAGE_BYTES));
        async move {
            Ok(match request.uri().path() {
                "/test.Echo/Stream" => grpc.server_streaming(this, request).await,
                _ => grpc.unary(this, request).await,
            })
        }
        .boxed()
    }
}

impl UnaryService<String> for Echo {
    type Response = String;
    type Future = BoxFuture<'static, Result<Response<String>, Status>>;

    fn call(&mut self, request: Request<String>) -> Self::Future {
        let this = self.clone();
        async move {
            match request.get_ref().as_str() {
                "who" => Ok(Response::new(auth::caller(&request)?.to_string())),
                "company" => Ok(Response::new(auth::company(&request)?.to_string())),
                "wait" => {
                    this.inside.notify_one();
                    this.finish.acquire().await.unwrap().forget();
                    Ok(Response::new("finished".to_owned()))
                }
                "panic" => panic!("a secret"),
                "refuse" => Err(to_status(Error::invalid("text", "is refused", "say something else"))),
                text => Ok(Response::new(text.to_owned())),
            }
        }
        .boxed()
    }
}

impl ServerStreamingService<String> for Echo {
    type Response = String;
    type ResponseStream = stream::BoxStream<'static, Result<String, Status>>;
    type Future = BoxFuture<'static, Result<Response<Self::ResponseStream>, Status>>;

    /// One text, then silence.
    fn call(&mut self, request: Request<String>) -> Self::Future {
        self.inside.notify_one();
        let first = stream::once(async move { Ok(request.into_inner()) });
        async move { Ok(Response::new(first.chain(stream::pending()).boxed())) }.boxed()
    }
}

/// A server, and the authority of whoever calls it.
struct Node {
    endpoint: Endpoint,
    shutdown: Shutdown,
    echo: Echo,
    authority: Authority,
    _folder: TempDir,
}

async fn start(drain: Duration) -> Node {
    let bound = Server::bind(([127, 0, 0, 1], 0)).await.unwrap();
    bound.health().serving().await;
    serve(bound, drain)
}

fn serve(bound: Bound, drain: Duration) -> Node {
    let (folder, authority) = authority();
    serve_under(bound, drain, folder, authority)
}

fn serve_under(bound: Bound, drain: Duration, folder: TempDir, authority: Authority) -> Node {
    let identity = authority.identity(&INFORMATION.parse().unwrap()).unwrap();
    serve_as(identity, bound, drain, folder, authority)
}

fn serve_as(
    identity: Identity,
    bound: Bound,
    drain: Duration,
    folder: TempDir,
    authority: Authority,
) -> Node {
    serve_by(knows(), identity, bound, drain, (folder, authority))
}

/// Knows a company and a carrier.
fn knows() -> Authenticator {
    Authenticator::new(TABLE, [COMPANY, CARRIER].map(|party| party.parse().unwrap()))
}

fn serve_by(
    auth: Authenticator,
    identity: Identity,
    bound: Bound,
    drain: Duration,
    (folder, authority): (TempDir, Authority),
) -> Node {
    let echo = Echo { inside: Arc::default(), finish: Arc::new(Semaphore::new(0)) };
    let (endpoint, shutdown) = (bound.endpoint(), Shutdown::new(drain));
    shutdown.spawn("grpc", bound.serve(Routes::new(echo.clone()), identity, auth, shutdown.clone()));
    Node { endpoint, shutdown, echo, authority, _folder: folder }
}

fn authority() -> (TempDir, Authority) {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::temporary(folder.path()).unwrap();
    (folder, authority)
}

fn channel(endpoint: &Endpoint, identity: &Identity) -> PeerChannel {
    connect(identity, endpoint, None, ClientOptions::default()).unwrap()
}

impl Node {
    fn identity(&self, party: &str) -> Identity {
        self.authority.identity(&party.parse().unwrap()).unwrap()
    }

    fn channel(&self, party: &str) -> PeerChannel {
        channel(&self.endpoint, &self.identity(party))
    }

    async fn health(&self) -> Result<ServingStatus, Status> {
        let answer = HealthClient::new(self.channel(CARRIER)).check(HealthCheckRequest::default()).await?;
        Ok(answer.into_inner().status())
    }
}

async fn say(channel: &PeerChannel, text: &str) -> Result<String, Status> {
    let mut grpc = tonic::client::Grpc::new(channel.clone()).max_decoding_message_size(MAX_MESSAGE_BYTES);
    grpc.ready().await?;
    let path = PathAndQuery::from_static("/test.Echo/Say");
    let codec = ProstCodec::<String, String>::default();
    Ok(grpc.unary(Request::new(text.to_owned()), path, codec).await?.into_inner())
}

async fn listen(channel: &PeerChannel) -> Result<tonic::Streaming<String>, Status> {
    let mut grpc = tonic::client::Grpc::new(channel.clone());
    grpc.ready().await?;
    let path = PathAndQuery::from_static("/test.Echo/Stream");
    let codec = ProstCodec::<String, String>::default();
    Ok(grpc.server_streaming(Request::new("first".to_owned()), path, codec).await?.into_inner())
}

#[tokio::test]
async fn the_certificate_decides_who_calls() {
    let node = start(SHORT).await;
    assert_eq!(say(&node.channel(COMPANY), "who").await.unwrap(), COMPANY);
    assert_eq!(say(&node.channel(CARRIER), "who").await.unwrap(), CARRIER);
    assert_eq!(say(&node.channel(COMPANY), "company").await.unwrap(), "tf-bank");
    assert_eq!(say(&node.channel(CARRIER), "company").await.unwrap_err().code(), Code::PermissionDenied);
    for stranger in ["company/minato-power", "carrier/south", INFORMATION, "company/tf-bank/operator/sato"] {
        let refused = say(&node.channel(stranger), "who").await.unwrap_err();
        assert_eq!(from_status(&refused).kind, ErrorKind::Unauthenticated, "{stranger}");
        let health = HealthClient::new(node.channel(stranger)).check(HealthCheckRequest::default()).await;
        assert_eq!(health.unwrap_err().code(), Code::Unauthenticated, "{stranger}");
    }
}

#[tokio::test]
async fn whose_certificate_is_taken_back_is_refused_on_a_connection_that_stands() {
    let (folder, authority) = authority();
    let [information, company] = [INFORMATION, COMPANY].map(|it| it.parse().unwrap());
    // The list has to be there, and names a certificate of before.
    authority.issue_temporary(&company).unwrap();
    let revoked = Some(authority.revoke(&company, SystemClock.now()).unwrap());
    let files = TlsConfig { revoked, ..authority.issue_temporary(&information).unwrap() };
    let identity = Identity::load(&files).unwrap();
    let bound = Server::bind(([127, 0, 0, 1], 0)).await.unwrap();
    let node = serve_as(identity.clone(), bound, SHORT, folder, authority);
    let [lost, kept] = [COMPANY, CARRIER].map(|party| node.channel(party));
    for channel in [&lost, &kept] {
        say(channel, "who").await.unwrap();
    }
    node.authority.revoke(&company, SystemClock.now()).unwrap();
    assert!(identity.renew());
    assert_eq!(say(&lost, "who").await.unwrap_err().code(), Code::Unauthenticated);
    assert_eq!(say(&kept, "who").await.unwrap(), CARRIER);
}

#[tokio::test]
async fn what_the_table_does_not_allow_is_denied_before_any_handler() {
    let node = start(SHORT).await;
    // A method that doesn't exist is denied alike, so that nobody learns which do.
    for path in
        ["/test.Echo/Nothing", "/test.Echo/", "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"]
    {
        let mut grpc = tonic::client::Grpc::new(node.channel(COMPANY));
        grpc.ready().await.unwrap();
        let codec = ProstCodec::<String, String>::default();
        let answer = grpc.unary(Request::new("who".to_owned()), PathAndQuery::from_static(path), codec).await;
        assert_eq!(answer.unwrap_err().code(), Code::PermissionDenied, "{path}");
    }
}

#[tokio::test]
async fn health_says_not_serving_until_the_node_says_otherwise() {
    let bound = Server::bind(([127, 0, 0, 1], 0)).await.unwrap();
    let health = bound.health();
    let node = serve(bound, SHORT);
    assert_eq!(node.health().await.unwrap(), ServingStatus::NotServing);
    health.serving().await;
    assert_eq!(node.health().await.unwrap(), ServingStatus::Serving);
}

#[tokio::test]
async fn error_of_a_handler_arrives_whole() {
    let node = start(SHORT).await;
    let status = say(&node.channel(COMPANY), "refuse").await.unwrap_err();
    assert_eq!(from_status(&status), Error::invalid("text", "is refused", "say something else"));
}

#[tokio::test]
async fn panic_of_a_handler_is_an_internal_error_and_harms_no_other_call() {
    let node = start(SHORT).await;
    let channel = node.channel(COMPANY);
    let status = say(&channel, "panic").await.unwrap_err();
    assert_eq!(status.code(), Code::Internal);
    assert!(!status.message().contains("secret"));
    assert_eq!(say(&channel, "still here").await.unwrap(), "still here");
}

#[tokio::test]
async fn largest_message_passes_and_a_larger_one_is_refused() {
    let node = start(SHORT).await;
    let channel = node.channel(COMPANY);
    let fits = "x".repeat(MAX_MESSAGE_BYTES - 16);
    assert_eq!(say(&channel, &fits).await.unwrap().len(), fits.len());
    let status = say(&channel, &"x".repeat(MAX_MESSAGE_BYTES)).await.unwrap_err();
    assert_eq!(from_status(&status).kind, ErrorKind::InvalidArgument, "{status}");
}

#[tokio::test]
async fn call_ends_at_its_deadline_on_both_sides() {
    let node = start(SHORT).await;
    let begun = Instant::now();
    let status = say(&node.channel(COMPANY).with_deadline(SHORT), "wait").await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert!((SHORT / 2..SHORT * 25).contains(&begun.elapsed()), "{:?}", begun.elapsed());

    // A client that sends the header and doesn't watch the time itself.
    let mut grpc = tonic::client::Grpc::new(node.channel(COMPANY).channel);
    grpc.ready().await.unwrap();
    let mut request = Request::new("wait".to_owned());
    request.set_timeout(SHORT);
    let path = PathAndQuery::from_static("/test.Echo/Say");
    let answer = grpc.unary(request, path, ProstCodec::<String, String>::default()).await;
    assert_eq!(answer.unwrap_err().code(), Code::DeadlineExceeded);
}

#[tokio::test]
async fn call_ends_at_its_deadline_when_the_peer_is_silent() {
    let silent = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let endpoint = Endpoint::local(silent.local_addr().unwrap());
    let (_folder, authority) = authority();
    let company = authority.identity(&COMPANY.parse().unwrap()).unwrap();
    let channel = connect(&company, &endpoint, None, ClientOptions { deadline: SHORT }).unwrap();
    let begun = Instant::now();
    assert_eq!(say(&channel, "who").await.unwrap_err().code(), Code::DeadlineExceeded);
    assert!((SHORT..SHORT * 25).contains(&begun.elapsed()), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn peer_that_dies_in_the_middle_of_a_call_is_unavailable() {
    let fragile = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let endpoint = Endpoint::local(fragile.local_addr().unwrap());
    let (_folder, authority) = authority();
    let channel = channel(&endpoint, &authority.identity(&COMPANY.parse().unwrap()).unwrap());
    let dies = async {
        let (connection, _) = fragile.accept().await.unwrap();
        tokio::time::sleep(SHORT).await;
        drop(connection);
    };
    let (answer, ()) = tokio::join!(say(&channel, "who"), dies);
    let status = answer.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status}");
}

#[tokio::test]
async fn stream_whose_connection_breaks_ends_unavailable() {
    let node = start(SHORT).await;
    let between = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let endpoint = Endpoint::local(between.local_addr().unwrap());
    let behind = node.endpoint.as_str().trim_start_matches("https://").to_owned();
    let wire = tokio::spawn(async move {
        let (mut near, _) = between.accept().await.unwrap();
        let mut far = tokio::net::TcpStream::connect(behind).await.unwrap();
        tokio::io::copy_bidirectional(&mut near, &mut far).await.unwrap();
    });
    let channel = channel(&endpoint, &node.identity(COMPANY));
    let mut stream = listen(&channel.open_ended()).await.unwrap();
    assert_eq!(stream.next().await.unwrap().unwrap(), "first");
    wire.abort();
    let status = stream.next().await.unwrap().unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    assert!(status.message().starts_with("the peer does not answer: "), "{status}");
}

#[tokio::test]
async fn stream_ends_at_its_deadline_unless_it_is_open_ended() {
    let node = start(SHORT).await;
    let channel = node.channel(COMPANY).with_deadline(SHORT);
    let mut bounded = listen(&channel).await.unwrap();
    assert_eq!(bounded.next().await.unwrap().unwrap(), "first");
    assert_eq!(bounded.next().await.unwrap().unwrap_err().code(), Code::DeadlineExceeded);

    let mut open = listen(&channel.open_ended()).await.unwrap();
    assert_eq!(open.next().await.unwrap().unwrap(), "first");
    assert!(tokio::time::timeout(SHORT * 2, open.next()).await.is_err());
}

#[tokio::test]
async fn taken_port_is_said_in_a_sentence() {
    let first = Server::bind(([127, 0, 0, 1], 0)).await.unwrap();
    let address = first.local_address();
    let error = Server::bind(address).await.unwrap_err();
    assert!(matches!(error, ServerError::PortTaken(_)));
    let expected = format!("{address} is taken by another process; stop it, or listen on another port");
    assert_eq!(error.to_string(), expected);
}

#[tokio::test]
async fn peer_that_is_not_there_is_unavailable_and_may_come_later() {
    let bound = Server::bind(([127, 0, 0, 1], 0)).await.unwrap();
    let (endpoint, address) = (bound.endpoint(), bound.local_address());
    drop(bound);
    let (folder, authority) = authority();
    let channel = channel(&endpoint, &authority.identity(&COMPANY.parse().unwrap()).unwrap());
    let status = say(&channel, "who").await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status}");

    let backoff = Backoff { first: SHORT / 4, cap: SHORT, tries: None };
    let shutdown = Shutdown::new(SHORT);
    let retried = with_retry("who", backoff, &shutdown, || say(&channel, "who"));
    let late = async {
        tokio::time::sleep(SHORT).await;
        serve_under(Server::bind(address).await.unwrap(), SHORT, folder, authority)
    };
    let (answer, _node) = tokio::join!(retried, late);
    assert_eq!(answer.unwrap(), COMPANY);
}

#[tokio::test]
async fn retry_ends_with_the_shutdown_the_tries_or_a_lasting_failure() {
    let node = start(SHORT).await;
    let unavailable = || async { Err::<(), _>(to_status(Error::new(ErrorKind::Unavailable, "away", ""))) };
    let backoff = Backoff { first: Duration::from_millis(1), cap: Duration::from_millis(2), tries: None };

    let mut count = 0;
    let three = with_retry("three", backoff.tries(3), &node.shutdown, || {
        count += 1;
        unavailable()
    });
    assert_eq!(three.await.unwrap_err().code(), Code::Unavailable);
    assert_eq!(count, 3);

    let mut count = 0;
    let lasting = with_retry("lasting", backoff, &node.shutdown, || {
        count += 1;
        async { Err::<(), _>(to_status(Error::new(ErrorKind::NotFound, "no such thing", ""))) }
    });
    assert_eq!(lasting.await.unwrap_err().code(), Code::NotFound);
    assert_eq!(count, 1);

    let slow = Backoff { first: Duration::from_secs(3600), cap: Duration::from_secs(3600), tries: None };
    node.shutdown.begin();
    let stopped = with_retry("stopped", slow, &node.shutdown, unavailable).await;
    assert_eq!(stopped.unwrap_err().code(), Code::Unavailable);
}
