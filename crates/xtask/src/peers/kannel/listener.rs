//! A port of loopback, and a thread for each who comes there.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use anyhow::Context as _;

/// Hundreds of them are started.
const STACK: usize = 128 * 1024;

/// Listens until it is dropped; whoever came stays until they go.
pub(super) struct Listener {
    address: SocketAddr,
    closed: Arc<AtomicBool>,
    trouble: Arc<Mutex<Option<String>>>,
}

impl Listener {
    /// Opens a port that was free, and serves each who comes until they go or something goes wrong.
    ///
    /// # Errors
    ///
    /// When no port can be had.
    pub(super) fn open(
        serve: impl Fn(&TcpStream) -> anyhow::Result<()> + Send + Sync + 'static,
    ) -> anyhow::Result<Self> {
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no port of loopback can be had")?;
        let address = listener.local_addr()?;
        let (closed, trouble) = (Arc::new(AtomicBool::default()), Arc::new(Mutex::default()));
        let (serve, closes, tells) = (Arc::new(serve), Arc::clone(&closed), Arc::clone(&trouble));
        let accept = move || {
            for stream in listener.incoming() {
                if closes.load(Ordering::Relaxed) {
                    break;
                }
                let (serve, ends) = (Arc::clone(&serve), Arc::clone(&tells));
                // It is told before the other side sees the end.
                let one = move || match stream {
                    Ok(stream) => serve(&stream).unwrap_or_else(|error| tell(&ends, &error)),
                    Err(error) => tell(&ends, &error.into()),
                };
                if let Err(error) = thread::Builder::new().stack_size(STACK).spawn(one) {
                    tell(&tells, &error.into());
                }
            }
        };
        thread::Builder::new().spawn(accept)?;
        Ok(Self { address, closed, trouble })
    }

    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// An error when something went wrong.
    pub(super) fn works(&self) -> anyhow::Result<()> {
        let trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        trouble.as_ref().map_or(Ok(()), |trouble| Err(anyhow::anyhow!("{trouble}")))
    }
}

/// The first counts: what follows is its consequence.
fn tell(trouble: &Mutex<Option<String>>, error: &anyhow::Error) {
    let mut trouble = trouble.lock().unwrap_or_else(PoisonError::into_inner);
    trouble.get_or_insert_with(|| format!("{error:#}"));
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::Relaxed);
        // So that it looks.
        let _ = TcpStream::connect(self.address);
    }
}
