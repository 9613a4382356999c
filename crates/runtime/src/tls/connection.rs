//! Connections to a server: taken, shaken hands with in a limited time, and known by their certificate.
//!
//! A handshake that isn't done in time is dropped, and so is a connection when there are too many; neither holds up the
//! next. Surprising: who calls is found once for a connection and not for each call.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures::Stream;
use musubi_domain::caller::Caller;
use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tonic::transport::server::Connected;
use tracing::{debug, warn};

use super::{Identity, certificate::Certificate};

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(3);
/// How many connections there are at once, those that still shake hands included.
const MOST: usize = 16 * 1024;
/// How long nothing is accepted after an error, as too many open files.
const PAUSE: Duration = Duration::from_millis(50);

/// Takes connections of a listener.
pub(crate) struct Acceptor {
    listener: Arc<TcpListener>,
    identity: Identity,
    welcome: Welcome,
    places: Arc<Semaphore>,
}

/// Whom a handshake lets in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Welcome {
    /// Who has a good certificate.
    Certified,
    /// Also who shows none.
    Anybody,
}

impl Acceptor {
    pub(crate) fn new(listener: Arc<TcpListener>, identity: Identity, welcome: Welcome) -> Self {
        Self { listener, identity, welcome, places: Arc::new(Semaphore::new(MOST)) }
    }

    /// The connections that come and whose handshake ends well, for ever.
    pub(crate) fn connections(&self) -> impl Stream<Item = Result<Connection, io::Error>> + use<> {
        let welcome = self.welcome;
        let state =
            (Arc::clone(&self.listener), self.identity.clone(), Arc::clone(&self.places), JoinSet::new());
        futures::stream::unfold(state, move |(listener, identity, places, mut handshakes)| async move {
            loop {
                tokio::select! {
                    accepted = listener.accept() => match accepted {
                        Ok((stream, address)) => match Arc::clone(&places).try_acquire_owned() {
                            Ok(place) => {
                                handshakes.spawn(shake_hands(stream, address, identity.server(welcome), place, identity.clone()));
                            }
                            Err(_full) => warn!(%address, "refused: there are {MOST} connections"),
                        },
                        Err(error) => {
                            warn!("a connection was not accepted: {error}");
                            tokio::time::sleep(PAUSE).await;
                        }
                    },
                    Some(shaken) = handshakes.join_next() => if let Ok(Some(connection)) = shaken {
                        return Some((Ok(connection), (listener, identity, places, handshakes)));
                    },
                }
            }
        })
    }
}

async fn shake_hands(
    stream: TcpStream,
    address: SocketAddr,
    config: Arc<ServerConfig>,
    place: OwnedSemaphorePermit,
    identity: Identity,
) -> Option<Connection> {
    let handshake = async {
        stream.set_nodelay(true)?;
        TlsAcceptor::from(config).accept(stream).await
    };
    let problem = match tokio::time::timeout(HANDSHAKE, handshake).await {
        Ok(Ok(stream)) => {
            let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
            let certificate = certificate.and_then(|certificate| Certificate::read(certificate).ok());
            let parties = certificate.as_ref().map(|it| identity.parties(it)).unwrap_or_default();
            let serial = certificate.map(|certificate| certificate.serial).unwrap_or_default();
            let peer = Peer { address, parties: parties.into(), serial: serial.into(), identity };
            return Some(Connection { stream, peer, _place: place });
        }
        Ok(Err(error)) => error.to_string(),
        Err(_elapsed) => "it took too long".to_owned(),
    };
    // An attacker chooses how often this is said, so not louder than he is worth.
    debug!(%address, "a handshake failed: {problem}");
    None
}

/// Who is at the other end of a connection.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    /// Whom the certificate names; nobody, when it names none that can be a party.
    pub(crate) parties: Arc<[Caller]>,
    /// Of the certificate; empty without one.
    serial: Arc<[u8]>,
    /// Of this side, which learns what is taken back.
    identity: Identity,
}

impl Peer {
    /// Whether the certificate was taken back since the handshake.
    pub(crate) fn is_revoked(&self) -> bool {
        self.identity.has_revoked(&self.serial)
    }
}

/// A connection after its handshake.
pub(crate) struct Connection {
    stream: TlsStream<TcpStream>,
    peer: Peer,
    _place: OwnedSemaphorePermit,
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
