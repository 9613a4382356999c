//! The HTTP server: bind, serve, drain, with the limits that the library leaves open.
//!
//! A draining server takes no more connections and ends those that stand once their requests are answered. Surprising: a
//! response that streams for ever ends with the drain's time, so a handler of one looks at the shutdown's token.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request},
    response::{IntoResponse as _, Response},
};
use http::{HeaderValue, StatusCode, header::HOST, uri::Authority};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{
        conn::auto::Builder,
        graceful::{GracefulShutdown, Watcher},
    },
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt as _;
use tracing::{debug, info, warn};

use super::{HttpConfig, tls::Shown};
use crate::{Shutdown, grpc::server::ServerError, tls::handshakes::Handshakes};

/// How long a handshake may take, and then the headers of each request.
const HANDSHAKE: Duration = Duration::from_secs(3);
/// See [`HANDSHAKE`].
const HEADERS: Duration = Duration::from_secs(10);
/// How long a request may take from its headers to those of its answer.
const REQUEST: Duration = Duration::from_secs(60);
/// Bytes of a request's body, where the router says nothing else.
const BODY: usize = 1 << 20;
/// Connections at once.
const CONNECTIONS: usize = 4096;
/// Concurrent streams of a connection, and malformed ones before it is closed.
const STREAMS: (u32, usize) = (200, 256);
/// Bytes of a request's headers.
const HEADER_BYTES: u32 = 16 * 1024;
/// How long nothing is accepted after an error, as too many open files.
const PAUSE: Duration = Duration::from_millis(50);

/// The way to a [`BoundHttp`] server.
#[derive(Debug)]
pub struct HttpServer;

/// A server that has its port and doesn't serve yet.
#[derive(Debug)]
pub struct BoundHttp {
    listener: TcpListener,
    address: SocketAddr,
    pub(super) shown: Option<Arc<Shown>>,
    /// Whether callers have to name it by an address of this machine.
    at_home: bool,
}

impl HttpServer {
    /// Reads the certificate, if there is one, and takes the address.
    ///
    /// # Errors
    /// When a file can't be used, when there is none and the address is not a loopback one, or when the address can't be taken.
    pub async fn bind(config: &HttpConfig) -> Result<BoundHttp, ServerError> {
        let shown = config.shown()?;
        let at_home = shown.is_none();
        Ok(BoundHttp { shown, at_home, ..Self::bind_plain(config.listen).await? })
    }

    /// Takes the address, to serve without TLS whoever reaches it: for a network that is this system's own, and for nothing personal.
    ///
    /// # Errors
    /// When the address can't be taken.
    pub(crate) async fn bind_plain(address: impl Into<SocketAddr>) -> Result<BoundHttp, ServerError> {
        let address = address.into();
        let refused = |source: io::Error| match source.kind() == io::ErrorKind::AddrInUse {
            true => ServerError::PortTaken(address),
            false => ServerError::Bind { address, source },
        };
        let listener = TcpListener::bind(address).await.map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        Ok(BoundHttp { listener, address, shown: None, at_home: false })
    }
}

impl BoundHttp {
    /// Where it listens, with the port that it got.
    #[must_use]
    pub const fn local_address(&self) -> SocketAddr {
        self.address
    }

    /// Where it is found from this machine: scheme, address, port, no slash behind.
    #[must_use]
    pub fn origin(&self) -> String {
        let scheme = if self.shown.is_some() { "https" } else { "http" };
        let mut address = self.address;
        if address.ip().is_unspecified() {
            address.set_ip(match address {
                SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
                SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
            });
        }
        format!("{scheme}://{address}")
    }

    /// Serves `router` until the shutdown has drained it. Run it as a task: `shutdown.spawn("pages", bound.serve(…))`.
    ///
    /// # Errors
    /// When the certificate can't be used.
    pub async fn serve(self, router: Router, shutdown: Shutdown) -> Result<(), ServerError> {
        let origin = self.origin();
        info!("serving HTTP on {origin}");
        let config = self.shown.as_ref().map(|shown| shown.config().map(Arc::new)).transpose()?;
        let room = config.is_some().then(Handshakes::start).transpose().map_err(ServerError::Thread)?;
        let acceptor = config.zip(room.map(Arc::new));
        let at_home = self.at_home;
        let router = router.layer(DefaultBodyLimit::max(BODY));
        let door = Door { router, at_home };
        let (graceful, stop, places) =
            (GracefulShutdown::new(), shutdown.token(), Arc::new(Semaphore::new(CONNECTIONS)));
        if let Some(shown) = self.shown {
            tokio::spawn(shown.keep_fresh(shutdown.hard_token()));
        }
        while let Some(accepted) = stop.run_until_cancelled(self.listener.accept()).await {
            let (stream, address) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    warn!("a connection was not accepted: {error}");
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            };
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                warn!(%address, "refused: there are {CONNECTIONS} connections");
                continue;
            };
            let (door, watcher, acceptor) = (door.clone(), graceful.watcher(), acceptor.clone());
            tokio::spawn(async move {
                let _place = place;
                if let Err(problem) = door.connection(stream, acceptor, watcher).await {
                    // An attacker chooses how often this is said.
                    debug!(%address, "a connection ended: {problem}");
                }
            });
        }
        drop(self.listener);
        graceful.shutdown().await;
        info!("stopped serving HTTP on {origin}");
        Ok(())
    }
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

#[derive(Clone)]
struct Door {
    router: Router,
    at_home: bool,
}

impl Door {
    async fn connection(
        self,
        stream: TcpStream,
        acceptor: Option<(Arc<rustls::ServerConfig>, Arc<Handshakes>)>,
        watcher: Watcher,
    ) -> Result<(), BoxError> {
        stream.set_nodelay(true)?;
        match acceptor {
            None => self.serve(stream, watcher).await,
            Some((config, room)) => {
                let handshake = tokio::time::timeout(HANDSHAKE, TlsAcceptor::from(config).accept(stream));
                self.serve(room.make(handshake).await???, watcher).await
            }
        }
    }

    async fn serve(
        self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        watcher: Watcher,
    ) -> Result<(), BoxError> {
        let mut builder = Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADERS)
            .max_buf_size(HEADER_BYTES as usize);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS.0)
            .max_local_error_reset_streams(STREAMS.1)
            .max_header_list_size(HEADER_BYTES)
            .keep_alive_interval(Duration::from_secs(10))
            .keep_alive_timeout(Duration::from_secs(5));
        let service = tower::service_fn(move |request: Request<hyper::body::Incoming>| {
            let door = self.clone();
            async move { Ok::<_, std::convert::Infallible>(door.answer(request.map(axum::body::Body::new)).await) }
        });
        let connection =
            builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service)).into_owned();
        watcher.watch(connection).await
    }

    async fn answer(self, request: Request) -> Response {
        if self.at_home && !names_loopback(&request) {
            let text = "call this server by its IP address or as localhost\n";
            return (StatusCode::MISDIRECTED_REQUEST, text).into_response();
        }
        match tokio::time::timeout(REQUEST, self.router.oneshot(request)).await {
            Ok(Ok(response)) => response,
            Err(_elapsed) => {
                (StatusCode::SERVICE_UNAVAILABLE, "it took too long; try again\n").into_response()
            }
        }
    }
}

/// Whether the caller names the server by a loopback address or as localhost.
fn names_loopback(request: &Request) -> bool {
    let named = request.headers().get(HOST).map(HeaderValue::as_bytes).map(Authority::try_from);
    let host = match (&named, request.uri().authority()) {
        (Some(Ok(named)), _) => named.host(),
        (None, Some(authority)) => authority.host(),
        (Some(Err(_)), _) | (None, None) => return false,
    };
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}
