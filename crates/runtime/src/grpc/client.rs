//! The gRPC client of every node: one channel to a peer, over TLS as the caller, with a deadline on every call.
//!
//! A generated client takes the channel as it is: `XServiceClient::new(channel)`. It connects at the first call and again
//! whenever the connection is lost. Surprising: a call without a deadline doesn't exist, except on a channel that was made
//! [`PeerChannel::open_ended`], where the response's beginning has the deadline and its stream has none.

use std::{
    future, io,
    path::Path,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures::future::BoxFuture;
use http::{HeaderValue, Request, Response, Uri, header::AUTHORIZATION};
use hyper_util::rt::TokioIo;
use musubi_domain::{Error, caller::Caller, sign_in::Token};
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::Instant,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tonic::{Status, body::Body, transport::Channel};
use tower::{Service, ServiceExt as _, service_fn};
use tracing::{Instrument as _, info_span};

use super::{admission::parse_timeout, body::EndingBody, status};
use crate::{
    config::Endpoint,
    telemetry::{TARGET, context, metrics::PEER_CALL},
    tls::{self, Identity, certificate::Certificate},
};

pub(super) const TIMEOUT: &str = "grpc-timeout";
const CONNECT: Duration = Duration::from_secs(3);
/// How often a silent connection is asked for a sign of life, and how long it has to give one.
const PING: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(5));

/// What a channel does beyond connecting.
#[derive(Clone, Copy, Debug)]
pub struct ClientOptions {
    /// How long a call has, unless it says otherwise by `Request::set_timeout`.
    pub deadline: Duration,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self { deadline: Duration::from_secs(10) }
    }
}

/// A connection to a peer, made when it is needed. Cheap to clone; clones share the connection.
#[derive(Clone, Debug)]
pub struct PeerChannel {
    pub(crate) channel: Channel,
    deadline: Duration,
    open_ended: bool,
    /// Of whoever calls by a token.
    authorization: Option<HeaderValue>,
}

/// A channel to `endpoint` that calls as `identity`. The peer's certificate has to be good for the endpoint's host, and to name
/// `expected` where that is given. Nothing is connected before the first call. Needs a tokio runtime.
///
/// # Errors
/// When the endpoint can't be one.
pub fn connect(
    identity: &Identity,
    endpoint: &Endpoint,
    expected: Option<&Caller>,
    options: ClientOptions,
) -> Result<PeerChannel, Error> {
    let (identity, expected) = (identity.clone(), expected.cloned());
    let dial = move |uri: Uri| {
        let (identity, expected) = (identity.clone(), expected.clone());
        async move { dial(&uri, &identity, expected.as_ref()).await.map(TokioIo::new) }
    };
    channel(endpoint, service_fn(dial), options)
}

/// A channel to `endpoint` that calls without a certificate and believes these authorities: a file, PEM. A token says who calls.
/// Nothing is connected before the first call. Needs a tokio runtime.
///
/// # Errors
/// When the file can't be used, or the endpoint can't be one.
pub fn connect_with_token(
    authorities: &Path,
    token: Option<&Token>,
    endpoint: &Endpoint,
    options: ClientOptions,
) -> Result<PeerChannel, Error> {
    let config = tls::uncertified(authorities, "--authorities")?;
    let dial = move |uri: Uri| {
        let config = Arc::clone(&config);
        async move { shake_hands(&uri, config).await.map(TokioIo::new) }
    };
    let mut made = channel(endpoint, service_fn(dial), options)?;
    if let Some(token) = token {
        let header = HeaderValue::try_from(format!("Bearer {}", token.expose()));
        let mut header = header.map_err(|_| Error::invalid("token", "this is no token", "sign in again"))?;
        header.set_sensitive(true);
        made.authorization = Some(header);
    }
    Ok(made)
}

fn channel<C, S>(endpoint: &Endpoint, dial: C, options: ClientOptions) -> Result<PeerChannel, Error>
where
    C: Service<Uri, Response = TokioIo<S>, Error = io::Error> + Send + 'static,
    C::Future: Send,
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let wrong = || Error::invalid("endpoint", "is no URL", "write https://host:port");
    let (ping, sign_of_life) = PING;
    let channel = Channel::from_shared(endpoint.as_str().to_owned())
        .map_err(|_| wrong())?
        .connect_timeout(CONNECT)
        .http2_keep_alive_interval(ping)
        .keep_alive_timeout(sign_of_life)
        .keep_alive_while_idle(true)
        .connect_with_connector_lazy(dial);
    Ok(PeerChannel { channel, deadline: options.deadline, open_ended: false, authorization: None })
}

/// A connection after its handshake.
pub(super) async fn dial(
    uri: &Uri,
    identity: &Identity,
    expected: Option<&Caller>,
) -> io::Result<TlsStream<TcpStream>> {
    let stream = shake_hands(uri, identity.client()).await?;
    if let Some(expected) = expected {
        let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let certificate = certificate.and_then(|certificate| Certificate::read(certificate).ok());
        let named = certificate.is_some_and(|certificate| identity.parties(&certificate).contains(expected));
        if !named {
            return Err(io::Error::other(format!("who answers there has no certificate of {expected}")));
        }
    }
    Ok(stream)
}

async fn shake_hands(uri: &Uri, config: Arc<ClientConfig>) -> io::Result<TlsStream<TcpStream>> {
    let address = uri.authority().map_or("", |authority| authority.as_str());
    let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']').to_owned();
    let host = ServerName::try_from(host).map_err(io::Error::other)?;
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    TlsConnector::from(config).connect(host, stream).await
}

impl PeerChannel {
    /// The same connection, for calls that have this long: uploads, long lists.
    #[must_use]
    pub fn with_deadline(&self, deadline: Duration) -> Self {
        Self { deadline, ..self.clone() }
    }

    /// The same connection, for calls whose response streams as long as both want: subscriptions. The response has to
    /// begin within the deadline.
    #[must_use]
    pub fn open_ended(&self) -> Self {
        Self { open_ended: true, ..self.clone() }
    }
}

impl Service<Request<Body>> for PeerChannel {
    type Response = Response<Body>;
    type Error = Status;
    type Future = BoxFuture<'static, Result<Response<Body>, Status>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let headers = request.headers_mut();
        if let Some(authorization) = &self.authorization {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        let asked = headers.get(TIMEOUT).and_then(|value| parse_timeout(value.to_str().ok()?));
        let open_ended = self.open_ended && asked.is_none();
        let deadline = asked.unwrap_or(self.deadline);
        if asked.is_none() && !open_ended {
            headers.insert(TIMEOUT, timeout(deadline));
        }
        let channel = self.channel.clone();
        let method = request.uri().path().to_owned();
        let span = info_span!(target: TARGET, "call to a peer", otel.kind = "client", otel.name = method);
        context::inject(&span, request.headers_mut());
        let called = async move {
            let (began, end) = (Instant::now(), Instant::now() + deadline);
            let response = tokio::time::timeout_at(end, channel.oneshot(request)).await;
            let response = response
                .map_err(|_elapsed| status::deadline_exceeded())
                .and_then(|response| response.map_err(|error| status::broken(error.into())));
            PEER_CALL.observe(began.elapsed(), [&method, status::word(&response)]);
            let response = response?;
            let end = async move {
                if open_ended {
                    future::pending::<()>().await;
                }
                tokio::time::sleep_until(end).await;
                status::deadline_exceeded()
            };
            Ok(response.map(|body| EndingBody::wrap(body, Box::pin(end), ())))
        };
        Box::pin(called.instrument(span))
    }
}

/// On the wire in milliseconds, at most 8 digits: about a day.
pub(super) fn timeout(deadline: Duration) -> HeaderValue {
    let millis = deadline.as_millis().clamp(1, 99_999_999);
    HeaderValue::try_from(format!("{millis}m")).unwrap_or(HeaderValue::from_static("10S"))
}
