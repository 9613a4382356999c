//! The gRPC server of every node: bind, serve, drain.
//!
//! It serves the node's contracts behind [admission](super::auth), and health beside them, over mutual TLS and with the limits that
//! tonic leaves open. Surprising: the drain goes on accepting connections. Old connections are told to go away and their
//! calls finish; on new ones health says NOT_SERVING and every other call is refused as UNAVAILABLE, which is safe to repeat.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use musubi_domain::Error;
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;
use tonic::service::Routes;
use tonic_health::{ServingStatus, server::HealthReporter};
use tracing::info;

use super::{admission::Admission, auth::Authenticator, door::Door};
use crate::{
    config::Endpoint,
    lifecycle::Shutdown,
    tls::{
        Identity,
        connection::{Acceptor, Welcome},
    },
};

/// Concurrent streams of a connection; tonic's default is no limit.
const STREAMS: u32 = 200;
/// Malformed streams of a connection before it is closed; tonic's default is no limit (RUSTSEC-2024-0003).
const ERROR_RESETS: usize = 256;
/// Bytes of a request's headers.
const HEADER_BYTES: u32 = 16 * 1024;
/// How often a silent connection is asked for a sign of life, and how long it has to give one.
const PING: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(5));
/// How old a connection gets: after it, whoever calls shows the certificate again. Calls under way end first.
const AGE: Duration = Duration::from_secs(3600);
/// From the end of the last call to the closing of its connection: its last bytes are still on their way.
const FLUSH: Duration = Duration::from_millis(500);

/// Why a server doesn't run.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The configuration of where and as whom it serves.
    #[error(transparent)]
    Config(#[from] Error),
    /// Another process listens there.
    #[error("{0} is taken by another process; stop it, or listen on another port")]
    PortTaken(SocketAddr),
    /// The address isn't ours, or isn't allowed.
    #[error("{address} can not be listened on: {source}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the operating system says.
        source: io::Error,
    },
    /// There is no thread for handshakes.
    #[error("a thread for handshakes can not be started: {0}; let this user have more")]
    Thread(#[source] io::Error),
    /// The transport gave up.
    #[error("the server stopped: {0}")]
    Transport(#[from] tonic::transport::Error),
}

/// The way to a [`Bound`] server.
#[derive(Debug)]
pub struct Server;

impl Server {
    /// Takes the address. Port 0 takes any free one; see [`Bound::local_address`].
    ///
    /// # Errors
    /// When another process has it, or the operating system refuses.
    pub async fn bind(address: impl Into<SocketAddr>) -> Result<Bound, ServerError> {
        let address = address.into();
        let refused = |source: io::Error| match source.kind() == io::ErrorKind::AddrInUse {
            true => ServerError::PortTaken(address),
            false => ServerError::Bind { address, source },
        };
        let listener = TcpListener::bind(address).await.map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        let reporter = HealthReporter::new();
        let health = Health(reporter);
        health.set(ServingStatus::NotServing).await;
        Ok(Bound { listener: Arc::new(listener), address, health })
    }
}

/// What the health service says of this node.
#[derive(Clone, Debug)]
pub struct Health(HealthReporter);

impl Health {
    /// The node works. Until this is called, health says NOT_SERVING.
    pub async fn serving(&self) {
        self.set(ServingStatus::Serving).await;
    }

    /// The node does not work: its database is away, or it drains.
    pub async fn not_serving(&self) {
        self.set(ServingStatus::NotServing).await;
    }

    async fn set(&self, status: ServingStatus) {
        self.0.set_service_status("", status).await;
    }
}

/// A server that has its port and doesn't serve yet.
#[derive(Debug)]
pub struct Bound {
    listener: Arc<TcpListener>,
    address: SocketAddr,
    health: Health,
}

impl Bound {
    /// Where it listens, with the port that it got.
    #[must_use]
    pub const fn local_address(&self) -> SocketAddr {
        self.address
    }

    /// Where a client on this machine finds it.
    #[must_use]
    pub fn endpoint(&self) -> Endpoint {
        Endpoint::local(self.address)
    }

    /// What health says; the node sets it once it works.
    #[must_use]
    pub fn health(&self) -> Health {
        self.health.clone()
    }

    /// Puts `routes`, and health beside them, behind a door that knows whom `auth` knows.
    #[must_use]
    pub fn door(&self, routes: Routes, auth: Authenticator, shutdown: &Shutdown) -> Door {
        let health = tonic_health::server::HealthService::from_health_reporter(self.health.0.clone());
        let routes = routes.add_service(tonic_health::pb::health_server::HealthServer::new(health));
        let calls = TaskTracker::new();
        let (soft, hard) = (shutdown.token(), shutdown.hard_token());
        let admission = Admission::new(routes, auth, soft, hard, calls.clone());
        Door { admission, calls }
    }

    /// Serves `routes` until the shutdown has drained it, over TLS as `identity`, to those whom `auth` knows.
    ///
    /// Run it as a task: `shutdown.spawn("grpc", bound.serve(…))`. The drain waits for responses that stream, so a handler
    /// whose stream has no end of its own ends it when [`Shutdown::token`] is cancelled.
    ///
    /// # Errors
    /// When the transport gives up.
    pub async fn serve(
        self,
        routes: Routes,
        identity: Identity,
        auth: Authenticator,
        shutdown: Shutdown,
    ) -> Result<(), ServerError> {
        let door = self.door(routes, auth, &shutdown);
        self.serve_door(door, identity, shutdown).await
    }

    /// The same for what stands behind a door already, which this process enters, too.
    ///
    /// # Errors
    /// When the transport gives up.
    pub async fn serve_door(
        self,
        door: Door,
        identity: Identity,
        shutdown: Shutdown,
    ) -> Result<(), ServerError> {
        let Door { admission: door, calls } = door;
        let (soft, hard) = (shutdown.token(), shutdown.hard_token());
        let welcome = if door.takes_bearers() { Welcome::Anybody } else { Welcome::Certified };
        info!("serving gRPC on {}", self.address);

        let acceptor = Acceptor::new(Arc::clone(&self.listener), identity.clone(), welcome, door.denials())
            .map_err(ServerError::Thread)?;
        let serve =
            |until| transport().serve_with_incoming_shutdown(door.clone(), acceptor.connections(), until);
        let working = serve(soft.clone().cancelled_owned());
        let draining = async {
            soft.cancelled().await;
            self.health.not_serving().await;
            serve(hard.clone().cancelled_owned()).await
        };
        let drained = async {
            soft.cancelled().await;
            calls.close();
            calls.wait().await;
            tokio::time::sleep(FLUSH).await;
        };
        tokio::select! {
            ended = working => ended?,
            ended = draining => ended?,
            () = drained => {}
            () = identity.keep_fresh(hard.clone()) => {}
        }
        info!("stopped serving gRPC on {}", self.address);
        Ok(())
    }
}

fn transport() -> tonic::transport::Server {
    let (ping, sign_of_life) = PING;
    tonic::transport::Server::builder()
        .max_concurrent_streams(Some(STREAMS))
        .http2_max_local_error_reset_streams(Some(ERROR_RESETS))
        .http2_max_header_list_size(Some(HEADER_BYTES))
        .http2_keepalive_interval(Some(ping))
        .http2_keepalive_timeout(Some(sign_of_life))
        .max_connection_age(AGE)
}
