//! What may vanish at any moment: shared rate limits, wake-up signals, live progress.
//!
//! Nothing here is the truth: the database is. So no method fails; where the server that is shared is out of reach, each process
//! goes on by itself, slower at worst. Never anything personal: names, topics and keys are ids. Surprising: a bucket that
//! nobody remembers is empty, not full, so that forgetting never lets more through.

mod buckets;
pub mod memory;
pub mod redis;

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;
use musubi_domain::Error;
use tokio::sync::watch;

/// The time, as the node's clock tells it.
pub type Now = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// What messages count in: a company's, an official account's, a carrier's, a distribution's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// Names it for every process.
    pub name: String,
    /// How many messages it lets through in a second, and holds at most; 0: any number, unless it is held.
    pub per_second: u32,
}

/// How many messages may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Now; they have been taken from every bucket.
    pub allowed: u32,
    /// How long until there may be another.
    pub wait: Duration,
}

/// How fast messages may go, for all processes together.
#[async_trait]
pub trait Limits: Send + Sync {
    /// How many of `wanted` messages may go now that count in all of these buckets: the largest number that each of them
    /// has, taken from all of them at once. A bucket fills by its rate, so nothing is made up for after a pause but a
    /// second's worth.
    async fn take(&self, buckets: &[Bucket], wanted: u32) -> Grant;

    /// Fills into these buckets what was taken from them and didn't go; what is held takes nothing back. Not repeatable: it is
    /// given once, and lost when nobody answers.
    async fn give_back(&self, buckets: &[Bucket], unused: u32);

    /// Lets nothing through this bucket for so long, wherever it is asked; then it begins empty. Of two holds the one that
    /// ends later stands. Repeatable.
    async fn hold(&self, bucket: &str, how_long: Duration);
}

/// Wake-up signals: "look at the database", nothing more. Losing one costs time, never work, because everyone who listens
/// also looks by timer.
pub trait Signals: Send + Sync {
    /// Wakes everyone who listens to this topic: in this process at once, in others soon. Never waits.
    fn raise(&self, topic: &'static str);

    /// One who listens.
    fn listen(&self, topic: &'static str) -> Listener;
}

/// One who waits for a signal.
#[derive(Debug)]
pub struct Listener(watch::Receiver<()>);

impl Listener {
    /// Waits for a signal since the last wait, at most so long.
    pub async fn wait(&mut self, at_most: Duration) {
        if let Ok(Err(_closed)) = tokio::time::timeout(at_most, self.0.changed()).await {
            tokio::time::sleep(at_most).await;
        }
    }
}

/// What is counted while it goes on, by name.
pub type Counts = BTreeMap<String, u64>;

/// How often one who watches looks.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Live progress, for people who watch. Whoever needs to be sure asks the database.
#[async_trait]
pub trait Progress: Send + Sync {
    /// Says how far it has come; the last word stands, and is forgotten after `lasts`.
    async fn put(&self, key: &str, counts: &Counts, lasts: Duration);

    /// How far it has come; none when nobody said so lately.
    async fn read(&self, key: &str) -> Option<Counts>;

    /// Waits until it is otherwise than it was seen last.
    async fn changed(&self, key: &str, seen: Option<&Counts>) -> Option<Counts> {
        loop {
            let counts = self.read(key).await;
            if counts.as_ref() != seen {
                return counts;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

/// All of it.
pub trait Ephemeral: Limits + Signals + Progress {}

impl<T: Limits + Signals + Progress> Ephemeral for T {}

/// Whom a server's certificate has to come from, and what it is shown: PEM. Only for addresses that begin with `rediss`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct SharedTls {
    authorities: Option<Vec<u8>>,
    own: Option<(Vec<u8>, Vec<u8>)>,
}

impl SharedTls {
    /// Without authorities those are believed that the machine believes; a certificate of one's own, with its key, is for servers that
    /// ask for it.
    ///
    /// # Errors
    /// `authorities`, `certificate` or `key`, when it is no PEM of such a thing.
    pub fn new(authorities: Option<Vec<u8>>, own: Option<(Vec<u8>, Vec<u8>)>) -> Result<Self, Error> {
        let check = |field: &str, pem: &[u8], what: &str| {
            let begin = format!("{what}-----");
            let holds = pem.windows(begin.len()).any(|bytes| bytes == begin.as_bytes());
            holds.then_some(()).ok_or_else(|| Error::invalid(field, "holds none as PEM", "name another file"))
        };
        authorities.as_deref().map_or(Ok(()), |pem| check("authorities", pem, "BEGIN CERTIFICATE"))?;
        if let Some((certificate, key)) = &own {
            check("certificate", certificate, "BEGIN CERTIFICATE")?;
            check("key", key, "PRIVATE KEY")?;
        }
        Ok(Self { authorities, own })
    }
}

impl fmt::Debug for SharedTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedTls(…)")
    }
}

/// Checks the address of a shared server, without going there.
///
/// # Errors
/// What is wrong with it, and never the address, which may hold a password.
pub fn check_url(url: &str, tls: SharedTls) -> Result<(), Error> {
    redis::open(url, tls).map(drop)
}
