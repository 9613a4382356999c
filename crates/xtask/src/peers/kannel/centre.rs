//! The message centre that Kannel sends to: it takes every message at once, keeps nothing, and reports it as delivered where that is
//! wanted, in the same breath.
//!
//! Surprising: a report follows the answer to its message on the same connection, so it never comes before Kannel knows the message's id.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use anyhow::Context as _;

use super::listener::Listener;
use super::smpp::{self, Pdu, Wish};
use super::tally::Tally;

/// How it is called in its answer to a bind.
const NAME: &str = "centre";
const BUFFER: usize = 64 * 1024;

/// A centre that is open.
pub(super) struct Centre {
    desk: Arc<Desk>,
    listener: Listener,
}

struct Desk {
    taken: Tally,
    bound: AtomicU32,
    ids: AtomicU64,
}

impl Centre {
    /// Opens one for messages to the numbers of 0 to `size`.
    ///
    /// # Errors
    ///
    /// When no port can be had.
    pub(super) fn open(size: u64) -> anyhow::Result<Self> {
        let desk = Arc::new(Desk {
            taken: Tally::new(size),
            bound: AtomicU32::default(),
            ids: AtomicU64::default(),
        });
        let shared = Arc::clone(&desk);
        let listener = Listener::open(move |stream| shared.serve(stream))?;
        Ok(Self { desk, listener })
    }

    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.listener.address()
    }

    /// The messages that it has taken, by their recipients' numbers.
    pub(super) fn taken(&self) -> &Tally {
        &self.desk.taken
    }

    /// How many connections are bound.
    pub(super) fn bound(&self) -> u32 {
        self.desk.bound.load(Ordering::Relaxed)
    }

    /// An error when something went wrong.
    pub(super) fn works(&self) -> anyhow::Result<()> {
        self.listener.works().context("the message centre")
    }
}

impl Desk {
    /// Answers all that has come at once.
    fn serve(&self, mut stream: &TcpStream) -> anyhow::Result<()> {
        stream.set_nodelay(true)?;
        let (mut waiting, mut answers) = (Vec::new(), Vec::new());
        let mut buffer = vec![0; BUFFER];
        let mut reports = 0;
        loop {
            let count = stream.read(&mut buffer)?;
            if count == 0 {
                return Ok(());
            }
            waiting.extend_from_slice(&buffer[..count]);
            let mut read = 0;
            while let Some((pdu, length)) = Pdu::read(&waiting[read..])? {
                read += length;
                self.answer(&pdu, &mut reports, &mut answers)?;
            }
            waiting.drain(..read);
            stream.write_all(&answers)?;
            answers.clear();
        }
    }

    fn answer(&self, pdu: &Pdu, reports: &mut u32, answers: &mut Vec<u8>) -> anyhow::Result<()> {
        let Wish::Submit { from, to, report } = &pdu.wish else {
            pdu.answer(NAME, answers);
            self.bound.fetch_add(u32::from(pdu.wish == Wish::Bind), Ordering::Relaxed);
            return Ok(());
        };
        let id = format!("{:x}", self.ids.fetch_add(1, Ordering::Relaxed));
        pdu.answer(&id, answers);
        if *report {
            *reports += 1;
            smpp::report(from, to, &id, *reports, answers);
        }
        self.taken.mark(place(to)?)
    }
}

/// The phone number of a place, as SMPP writes it: international, digits only.
pub(super) fn number(place: u64) -> String {
    format!("8190{place:08}")
}

fn place(number: &str) -> anyhow::Result<u64> {
    let place = number.trim_start_matches('+').strip_prefix("8190").and_then(|place| place.parse().ok());
    place.context("a message came to a number that was not written to")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_leads_back_to_its_place() {
        assert_eq!(number(1_234), "819000001234");
        for number in ["819000001234", "+819000001234"] {
            assert_eq!(place(number).unwrap(), 1_234);
        }
        assert!(place("15550001234").is_err());
    }

    #[test]
    fn messages_are_taken_answered_and_reported() {
        // bind_transceiver, and a submit_sm to place 1 that wants a report.
        let bind = b"\0\0\0\x10\0\0\0\x09\0\0\0\0\0\0\0\x01";
        let body = b"\0\0\0A\0\0\x00819000000001\0\0\0\0\0\0\x01\0\0\0\0";
        let length = u32::try_from(16 + body.len()).unwrap();
        let head = [length, 4, 0, 2].map(u32::to_be_bytes).concat();
        let centre = Centre::open(2).unwrap();
        let mut stream = TcpStream::connect(centre.address()).unwrap();
        stream.write_all(&[bind.as_slice(), &head, body].concat()).unwrap();
        let mut read = |answers: usize| {
            let (mut bytes, mut buffer, mut commands) = (Vec::new(), [0; 512], Vec::new());
            while commands.len() < answers {
                let count = stream.read(&mut buffer).unwrap();
                assert!(count > 0, "it hung up");
                bytes.extend_from_slice(&buffer[..count]);
                while let Some((_, length)) = Pdu::read(&bytes).unwrap() {
                    commands.push(bytes[4..8].to_vec());
                    bytes.drain(..length);
                }
            }
            commands
        };
        assert_eq!(read(3), [[0x80, 0, 0, 9], [0x80, 0, 0, 4], [0, 0, 0, 5]]);
        assert_eq!((centre.taken().count(), centre.bound()), (1, 1));
        centre.works().unwrap();
    }
}
