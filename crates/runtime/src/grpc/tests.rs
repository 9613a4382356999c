//! The server and the client against one another, over a real connection.
//!
//! The service is written by hand, on a text instead of messages, because no contract of ours may be named here.

mod drain;

use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use futures::{FutureExt as _, StreamExt as _, future::BoxFuture, stream};
use http::uri::PathAndQuery;
use musubi_domain::{Error, ErrorKind};
use tokio::sync::{Notify, Semaphore};
use tonic::{
    Code, Request, Response, Status,
    body::Body,
    server::{NamedService, ServerStreamingService, UnaryService},
    service::Routes,
    transport::Channel,
};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic_prost::ProstCodec;
use tower::Service;

use super::{
    MAX_MESSAGE_BYTES,
    auth::{self, Authenticator, Caller},
    client::{AuthorizedChannel, ClientOptions, connect},
    retry::{Backoff, with_retry},
    server::{Bound, Server, ServerError},
    status::{from_status, to_status},
};
use crate::{
    config::{Endpoint, Secret},
    lifecycle::Shutdown,
};

const COMPANY: &str = "token-of-the-company";
const CARRIER: &str = "token-of-the-carrier";
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

struct Node {
    endpoint: Endpoint,
    shutdown: Shutdown,
    echo: Echo,
}

async fn start(drain: Duration) -> Node {
    let bound = Server::bind(([127, 0, 0, 1], 0)).await.unwrap();
    bound.health().serving().await;
    serve(bound, drain)
}

fn serve(bound: Bound, drain: Duration) -> Node {
    let echo = Echo { inside: Arc::default(), finish: Arc::new(Semaphore::new(0)) };
    let (endpoint, shutdown) = (bound.endpoint(), Shutdown::new(drain));
    let callers = vec![
        (Secret::new(COMPANY), Caller::Company("tf-bank".parse().unwrap())),
        (Secret::new(CARRIER), Caller::Carrier("north".parse().unwrap())),
    ];
    let auth = Authenticator::new(callers).unwrap();
    shutdown.spawn("grpc", bound.serve(Routes::new(echo.clone()), &[], auth, shutdown.clone()));
    Node { endpoint, shutdown, echo }
}

impl Node {
    fn channel(&self, token: &str) -> AuthorizedChannel {
        connect(&self.endpoint, &Secret::new(token), ClientOptions::default()).unwrap()
    }

    async fn health(&self) -> Result<ServingStatus, Status> {
        let channel = Channel::from_shared(self.endpoint.to_string()).unwrap().connect_lazy();
        let answer = HealthClient::new(channel).check(HealthCheckRequest::default()).await?;
        Ok(answer.into_inner().status())
    }
}

async fn say(channel: &AuthorizedChannel, text: &str) -> Result<String, Status> {
    let mut grpc = tonic::client::Grpc::new(channel.clone()).max_decoding_message_size(MAX_MESSAGE_BYTES);
    grpc.ready().await?;
    let path = PathAndQuery::from_static("/test.Echo/Say");
    let codec = ProstCodec::<String, String>::default();
    Ok(grpc.unary(Request::new(text.to_owned()), path, codec).await?.into_inner())
}

async fn listen(channel: &AuthorizedChannel) -> Result<tonic::Streaming<String>, Status> {
    let mut grpc = tonic::client::Grpc::new(channel.clone());
    grpc.ready().await?;
    let path = PathAndQuery::from_static("/test.Echo/Stream");
    let codec = ProstCodec::<String, String>::default();
    Ok(grpc.server_streaming(Request::new("first".to_owned()), path, codec).await?.into_inner())
}

#[tokio::test]
async fn token_decides_who_calls() {
    let node = start(SHORT).await;
    assert_eq!(say(&node.channel(COMPANY), "who").await.unwrap(), "company tf-bank");
    assert_eq!(say(&node.channel(CARRIER), "who").await.unwrap(), "carrier north");
    assert_eq!(say(&node.channel(COMPANY), "company").await.unwrap(), "tf-bank");
    assert_eq!(say(&node.channel(CARRIER), "company").await.unwrap_err().code(), Code::PermissionDenied);
    let wrong = say(&node.channel("token-of-nobody-at-all"), "who").await.unwrap_err();
    assert_eq!(from_status(&wrong).kind, ErrorKind::Unauthenticated);
}

#[tokio::test]
async fn call_without_a_known_bearer_token_is_refused_before_any_handler() {
    let node = start(SHORT).await;
    for authorization in
        [None, Some(""), Some("Bearer "), Some("Bearer"), Some("Basic token-of-the-company"), Some(COMPANY)]
    {
        let channel = Channel::from_shared(node.endpoint.to_string()).unwrap().connect_lazy();
        let mut grpc = tonic::client::Grpc::new(channel);
        grpc.ready().await.unwrap();
        let mut request = Request::new("who".to_owned());
        if let Some(value) = authorization {
            request.metadata_mut().insert("authorization", value.parse().unwrap());
        }
        // A method that doesn't exist is refused alike, so that nobody learns which do.
        let path = PathAndQuery::from_static("/test.Echo/Nothing");
        let answer = grpc.unary(request, path, ProstCodec::<String, String>::default()).await;
        assert_eq!(answer.unwrap_err().code(), Code::Unauthenticated, "{authorization:?}");
    }
}

#[tokio::test]
async fn health_needs_no_token_and_reflection_does() {
    let node = start(SHORT).await;
    assert_eq!(node.health().await.unwrap(), ServingStatus::Serving);
    let request = || {
        use tonic_reflection::pb::v1::{ServerReflectionRequest, server_reflection_request::MessageRequest};
        let message_request = Some(MessageRequest::ListServices(String::new()));
        stream::once(async { ServerReflectionRequest { host: String::new(), message_request } })
    };
    use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
    let bare = Channel::from_shared(node.endpoint.to_string()).unwrap().connect_lazy();
    let refused = ServerReflectionClient::new(bare).server_reflection_info(request()).await;
    assert_eq!(refused.unwrap_err().code(), Code::Unauthenticated);
    let known = ServerReflectionClient::new(node.channel(CARRIER)).server_reflection_info(request()).await;
    let answer = known.unwrap().into_inner().next().await.unwrap().unwrap();
    assert!(format!("{answer:?}").contains("grpc.health.v1.Health"));
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
    let channel = Channel::from_shared(node.endpoint.to_string()).unwrap().connect_lazy();
    let mut grpc = tonic::client::Grpc::new(channel);
    grpc.ready().await.unwrap();
    let mut request = Request::new("wait".to_owned());
    request.metadata_mut().insert("authorization", format!("Bearer {COMPANY}").parse().unwrap());
    request.set_timeout(SHORT);
    let path = PathAndQuery::from_static("/test.Echo/Say");
    let answer = grpc.unary(request, path, ProstCodec::<String, String>::default()).await;
    assert_eq!(answer.unwrap_err().code(), Code::DeadlineExceeded);
}

#[tokio::test]
async fn call_ends_at_its_deadline_when_the_peer_is_silent() {
    let silent = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let endpoint = Endpoint::local(silent.local_addr().unwrap());
    let channel = connect(&endpoint, &Secret::new(COMPANY), ClientOptions { deadline: SHORT }).unwrap();
    let begun = Instant::now();
    assert_eq!(say(&channel, "who").await.unwrap_err().code(), Code::DeadlineExceeded);
    assert!((SHORT..SHORT * 25).contains(&begun.elapsed()), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn peer_that_dies_in_the_middle_of_a_call_is_unavailable() {
    let fragile = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let endpoint = Endpoint::local(fragile.local_addr().unwrap());
    let channel = connect(&endpoint, &Secret::new(COMPANY), ClientOptions::default()).unwrap();
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
    let behind = node.endpoint.as_str().trim_start_matches("http://").to_owned();
    let wire = tokio::spawn(async move {
        let (mut near, _) = between.accept().await.unwrap();
        let mut far = tokio::net::TcpStream::connect(behind).await.unwrap();
        tokio::io::copy_bidirectional(&mut near, &mut far).await.unwrap();
    });
    let channel = connect(&endpoint, &Secret::new(COMPANY), ClientOptions::default()).unwrap();
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
    let channel = connect(&endpoint, &Secret::new(COMPANY), ClientOptions::default()).unwrap();
    let status = say(&channel, "who").await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status}");

    let backoff = Backoff { first: SHORT / 4, cap: SHORT, tries: None };
    let shutdown = Shutdown::new(SHORT);
    let retried = with_retry("who", backoff, &shutdown, || say(&channel, "who"));
    let late = async {
        tokio::time::sleep(SHORT).await;
        serve(Server::bind(address).await.unwrap(), SHORT)
    };
    let (answer, _node) = tokio::join!(retried, late);
    assert_eq!(answer.unwrap(), "company tf-bank");
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
