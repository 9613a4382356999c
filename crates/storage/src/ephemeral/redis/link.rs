//! The connection to Redis: opened, watched, given up, opened again; and the channel of signals beside it.
//!
//! Two tasks. One keeps the connection, and listens; the other publishes what was raised. Surprising: whoever fails to get an
//! answer ends the connection for all, so that nobody else waits in vain; and when there is a new one everyone who listens is
//! woken, because nobody knows what was raised meanwhile.

use std::{
    collections::BTreeSet,
    mem,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use ::redis::{
    Client, RedisResult,
    aio::{MultiplexedConnection, PubSubStream},
    cmd, pipe,
};
use futures::StreamExt as _;
use tokio::{
    sync::{Notify, watch},
    task::JoinSet,
    time::{interval, sleep, timeout},
};
use tracing::{info, warn};

use crate::ephemeral::memory::MemoryEphemeral;

/// How long opening a connection may take.
const OPENING: Duration = Duration::from_secs(2);
/// Between two tries to open one.
const AGAIN: Duration = Duration::from_millis(500);
/// How often a connection is tried that nobody may be using.
const TRIED_EVERY: Duration = Duration::from_secs(1);
/// A topic is published at most once in this time.
const COALESCED: Duration = Duration::from_millis(10);

/// The way to the server.
#[derive(Clone)]
pub(super) struct Link {
    connection: watch::Receiver<Connection>,
    deadline: Duration,
    /// The last connection on which an answer failed to come.
    failed: watch::Sender<u64>,
    raised: Arc<Raised>,
}

/// The present connection.
#[derive(Clone, Default)]
struct Connection {
    /// Counted from 1; 0 before the first.
    serial: u64,
    /// None: it was lost.
    server: Option<MultiplexedConnection>,
    /// What the server calls it.
    client: u64,
}

/// What is to be published.
#[derive(Default)]
struct Raised {
    topics: Mutex<BTreeSet<&'static str>>,
    any: Notify,
}

impl Link {
    /// Tries to connect once, and goes on in tasks. What others raise on the channel wakes those who listen in `alone`.
    pub(super) async fn open(
        client: Client,
        channel: String,
        deadline: Duration,
        alone: MemoryEphemeral,
        tasks: &mut JoinSet<()>,
    ) -> Self {
        let (failed, failures) = watch::channel(0);
        let (current, connection) = watch::channel(Connection::default());
        let out = false;
        let mut keeper = Keeper { client, channel: channel.clone(), deadline, alone, current, failures, out };
        let first = keeper.connect().await;
        tasks.spawn(async move { keeper.keep(first).await });
        let link = Self { connection, deadline, failed, raised: Arc::default() };
        tasks.spawn(link.clone().publish(channel));
        link
    }

    /// Asks the server; none when it is out of reach, or doesn't answer in time.
    pub(super) async fn ask<T, F>(&self, question: impl FnOnce(MultiplexedConnection) -> F) -> Option<T>
    where
        F: Future<Output = RedisResult<T>>,
    {
        let Connection { serial, server, .. } = self.connection.borrow().clone();
        match timeout(self.deadline, question(server?)).await {
            Ok(Ok(answer)) => Some(answer),
            Ok(Err(_)) | Err(_) => {
                self.failed.send_if_modified(|failed| mem::replace(failed, serial.max(*failed)) < serial);
                None
            }
        }
    }

    /// Which connection there is, or was last.
    pub(super) fn serial(&self) -> u64 {
        self.connection.borrow().serial
    }

    /// Publishes a signal, soon.
    pub(super) fn tell(&self, topic: &'static str) {
        self.raised.topics.lock().unwrap_or_else(PoisonError::into_inner).insert(topic);
        self.raised.any.notify_one();
    }

    async fn publish(self, channel: String) {
        loop {
            self.raised.any.notified().await;
            let topics = mem::take(&mut *self.raised.topics.lock().unwrap_or_else(PoisonError::into_inner));
            let client = self.connection.borrow().client;
            let mut messages = pipe();
            for topic in topics {
                messages.publish(&channel, format!("{client} {topic}")).ignore();
            }
            self.ask(async |mut server| messages.query_async::<()>(&mut server).await).await;
            sleep(COALESCED).await;
        }
    }
}

/// Keeps the connection.
struct Keeper {
    client: Client,
    channel: String,
    deadline: Duration,
    alone: MemoryEphemeral,
    current: watch::Sender<Connection>,
    failures: watch::Receiver<u64>,
    /// Whether the outage has been told.
    out: bool,
}

impl Keeper {
    async fn keep(mut self, mut opened: Result<PubSubStream, String>) {
        loop {
            let why = match opened {
                Ok(signals) => self.until_lost(signals).await,
                Err(why) => why,
            };
            self.current.send_modify(|connection| connection.server = None);
            if !mem::replace(&mut self.out, true) {
                warn!(
                    %why,
                    "redis is out of reach; limits fall to this process's share, signals and progress stay in it"
                );
            }
            sleep(AGAIN).await;
            opened = self.connect().await;
        }
    }

    /// A connection that takes what we write, in `current`, and the signals of others.
    async fn connect(&mut self) -> Result<PubSubStream, String> {
        let open = async {
            let mut signals = self.client.get_async_pubsub().await?;
            signals.subscribe(&self.channel).await?;
            let mut server = self.client.get_multiplexed_async_connection().await?;
            let client: u64 = cmd("CLIENT").arg("ID").query_async(&mut server).await?;
            let probe = format!("{}:probe", self.channel);
            cmd("SET").arg(probe).arg(client).arg("PX").arg(1_000).query_async::<()>(&mut server).await?;
            RedisResult::Ok((signals.into_on_message(), server, client))
        };
        let (signals, server, client) = match timeout(OPENING, open).await {
            Ok(opened) => opened.map_err(|error| error.to_string())?,
            Err(_) => return Err("it takes too long to open a connection".to_owned()),
        };
        self.current.send_modify(|connection| {
            *connection = Connection { serial: connection.serial + 1, server: Some(server), client };
        });
        if mem::replace(&mut self.out, false) {
            info!("redis is within reach again");
        }
        self.alone.raise_all();
        Ok(signals)
    }

    /// Hands on signals until the connection is lost; gives why.
    async fn until_lost(&mut self, mut signals: PubSubStream) -> String {
        let Connection { serial, server, client } = self.current.borrow().clone();
        let Some(mut server) = server else { return "there is no connection".to_owned() };
        let mut tried = interval(TRIED_EVERY);
        loop {
            tokio::select! {
                signal = signals.next() => {
                    let Some(signal) = signal else { return "the channel of signals ended".to_owned() };
                    let Ok(text) = signal.get_payload::<String>() else { continue };
                    match text.split_once(' ') {
                        Some((from, topic)) if from != client.to_string() => self.alone.raise_named(topic),
                        Some(_) | None => {}
                    }
                }
                () = async { drop(self.failures.wait_for(|failed| *failed >= serial).await) } => {
                    return "an answer failed to come".to_owned();
                }
                _ = tried.tick() => {
                    let pong = timeout(self.deadline, cmd("PING").query_async::<()>(&mut server)).await;
                    if !matches!(pong, Ok(Ok(()))) {
                        return "a ping was not answered".to_owned();
                    }
                }
            }
        }
    }
}
