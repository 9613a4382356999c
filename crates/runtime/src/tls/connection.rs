//! Connections to a server: taken, shaken hands with in a limited time, and known by their certificate.
//!
//! A handshake that isn't done in time is dropped, and so is a connection when there are too many; neither holds up the
//! next. Surprising: who calls is found once for a connection and not for each call; and its frames are looked at as they pass, since the library that
//! reads them tells nobody what it had to break off.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use futures::Stream;
use musubi_domain::caller::Caller;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tonic::transport::server::Connected;
use tracing::{debug, warn};

use super::{Identity, certificate::Certificate, frames::Frames, handshakes::Handshakes};
use crate::grpc::denials::Denials;

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(3);
/// How many connections there are at once, those that still shake hands included.
const MOST: usize = 16 * 1024;
/// How much is read of a connection before others have their turn, in bytes.
const TURN: usize = 4 * 1024;
/// How long nothing is accepted after an error, as too many open files.
const PAUSE: Duration = Duration::from_millis(50);

/// Takes connections of a listener.
pub(crate) struct Acceptor {
    listener: Arc<TcpListener>,
    room: Arc<Handshakes>,
    identity: Identity,
    welcome: Welcome,
    denials: Denials,
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
    /// Handshakes that fail are counted among `denials`.
    ///
    /// # Errors
    /// When the operating system gives no thread for them.
    pub(crate) fn new(
        listener: Arc<TcpListener>,
        identity: Identity,
        welcome: Welcome,
        denials: Denials,
    ) -> io::Result<Self> {
        let (room, places) = (Arc::new(Handshakes::start()?), Arc::new(Semaphore::new(MOST)));
        Ok(Self { listener, room, identity, welcome, denials, places })
    }

    /// The connections that come and whose handshake ends well, for ever.
    pub(crate) fn connections(&self) -> impl Stream<Item = Result<Connection, io::Error>> + use<> {
        let taking = Taking {
            listener: Arc::clone(&self.listener),
            room: Arc::clone(&self.room),
            places: Arc::clone(&self.places),
            hand: Hand {
                identity: self.identity.clone(),
                welcome: self.welcome,
                denials: self.denials.clone(),
            },
            handshakes: JoinSet::new(),
        };
        futures::stream::unfold(taking, |mut taking| async move { Some((Ok(taking.next().await), taking)) })
    }
}

/// Connections as they come.
struct Taking {
    listener: Arc<TcpListener>,
    room: Arc<Handshakes>,
    places: Arc<Semaphore>,
    hand: Hand,
    handshakes: JoinSet<Option<Connection>>,
}

impl Taking {
    /// The next one whose handshake ends well.
    async fn next(&mut self) -> Connection {
        loop {
            tokio::select! {
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, address)) => match Arc::clone(&self.places).try_acquire_owned() {
                        Ok(place) => {
                            let handshake = self.hand.clone().shake(stream, address, place);
                            self.room.spawn(&mut self.handshakes, handshake);
                        }
                        Err(_full) => warn!(%address, "refused: there are {MOST} connections"),
                    },
                    Err(error) => {
                        warn!("a connection was not accepted: {error}");
                        tokio::time::sleep(PAUSE).await;
                    }
                },
                Some(shaken) = self.handshakes.join_next() => if let Ok(Some(connection)) = shaken {
                    return connection;
                },
            }
        }
    }
}

/// This side of a handshake.
#[derive(Clone)]
struct Hand {
    identity: Identity,
    welcome: Welcome,
    denials: Denials,
}

impl Hand {
    async fn shake(
        self,
        stream: TcpStream,
        address: SocketAddr,
        place: OwnedSemaphorePermit,
    ) -> Option<Connection> {
        let Self { identity, welcome, denials } = self;
        let handshake = async {
            stream.set_nodelay(true)?;
            TlsAcceptor::from(identity.server(welcome)).accept(stream).await
        };
        let (problem, reason) = match tokio::time::timeout(HANDSHAKE, handshake).await {
            Ok(Ok(stream)) => {
                let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
                let certificate = certificate.and_then(|certificate| Certificate::read(certificate).ok());
                let parties = certificate.as_ref().map(|it| identity.parties(it)).unwrap_or_default();
                let serial = certificate.map(|certificate| certificate.serial).unwrap_or_default();
                let peer = Peer { address, parties: parties.into(), serial: serial.into(), identity };
                let frames = Frames::new(Instant::now());
                return Some(Connection { stream, peer, frames, denials, read: 0, _place: place });
            }
            Ok(Err(error)) => (error.to_string(), reason(&error)),
            Err(_elapsed) => ("it took too long".to_owned(), Some("it took too long")),
        };
        // An attacker chooses how often this is said, so not louder than he is worth; the audit has a count.
        debug!(%address, "a handshake failed: {problem}");
        if let Some(reason) = reason {
            denials.count_handshake(address.ip(), reason);
        }
        None
    }
}

/// Why a handshake failed, in words of which there are few; none where the peer went away, as callers do that die and watchers that only look
/// whether somebody listens.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "whatever else rustls says comes of bytes that are no handshake of ours"
)]
fn reason(error: &io::Error) -> Option<&'static str> {
    use rustls::{CertificateError as Bad, Error};
    Some(match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>())? {
        Error::NoCertificatesPresented => "no certificate",
        Error::InvalidCertificate(Bad::Expired | Bad::ExpiredContext { .. }) => {
            "a certificate that has ended"
        }
        Error::InvalidCertificate(Bad::NotValidYet | Bad::NotValidYetContext { .. }) => {
            "a certificate that is not good yet"
        }
        Error::InvalidCertificate(Bad::Revoked) => "a certificate that was taken back",
        Error::InvalidCertificate(_) => "a certificate that nobody here believes",
        Error::AlertReceived(_) => "the peer gave up",
        Error::PeerIncompatible(_) => "the peer speaks no TLS 1.3 that is spoken here",
        _ => "the peer does not speak TLS",
    })
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
    frames: Frames,
    denials: Denials,
    /// Bytes that were read in this turn.
    read: usize,
    _place: OwnedSemaphorePermit,
}

impl Connection {
    /// Counts what is wrong with the peer's frames.
    fn count(&self, wrong: &'static str) {
        self.denials.count_frames(self.peer.parties.first(), self.peer.address.ip(), wrong);
    }

    /// Looks at what was written.
    fn written(&mut self, bytes: &[u8]) {
        for wrong in self.frames.went(bytes) {
            self.count(wrong);
        }
    }
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl AsyncRead for Connection {
    /// Whoever sends small frames without an end would else be read for as long as there are some, and calls of others wait behind that.
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.read >= TURN {
            self.read = 0;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let rest = buffer.remaining().min(TURN - self.read);
        let mut turn = ReadBuf::new(buffer.initialize_unfilled_to(rest));
        let Poll::Ready(read) = Pin::new(&mut self.stream).poll_read(context, &mut turn) else {
            self.read = 0;
            return Poll::Pending;
        };
        let came = turn.filled();
        self.read += came.len();
        if let Some(wrong) = self.frames.came(came, Instant::now) {
            self.count(wrong);
            return Poll::Ready(Err(io::Error::other(wrong)));
        }
        let came = came.len();
        buffer.advance(came);
        Poll::Ready(read)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        if let Poll::Ready(Ok(count)) = written {
            self.written(&bytes[..count]);
        }
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        if let Poll::Ready(Ok(mut count)) = written {
            for part in parts {
                let whole = part.len().min(count);
                self.written(&part[..whole]);
                count -= whole;
            }
        }
        written
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
