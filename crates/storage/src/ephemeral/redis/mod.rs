//! What may vanish, in Redis, for all processes that have the same address and prefix.
//!
//! A question is one script there, by Redis's own time, under keys with one hash tag, each with an expiry. Surprising: nothing
//! waits for Redis longer than a moment. From the first answer that fails to come until the server works again, everything is
//! as in one process, with this process's share of the limits.

mod link;

use std::{sync::Arc, time::Duration};

use ::redis::{
    AsyncCommands as _, Client, ClientTlsConfig, Script, ScriptInvocation, TlsCertificates,
    aio::MultiplexedConnection,
};
use async_trait::async_trait;
use musubi_domain::{Error, ErrorKind};
use tokio::task::JoinSet;

use self::link::Link;
use super::{
    Bucket, Counts, Grant, Limits, Listener, Now, Progress, SharedTls, Signals, memory::MemoryEphemeral,
};

/// How to share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisOptions {
    /// Whom to believe.
    pub tls: SharedTls,
    /// What every key and channel begins with, so that two installations may use one server.
    pub prefix: String,
    /// How much of each limit this process has to itself while the server is out of reach, in percent: 1 to 100.
    pub fallback_percent: u8,
    /// How long anything waits for an answer.
    pub deadline: Duration,
}

/// What may vanish, in Redis. Clones share one connection; the last one ends it.
#[derive(Clone)]
pub struct RedisEphemeral {
    link: Link,
    prefix: Arc<str>,
    take: Arc<Script>,
    give_back: Arc<Script>,
    hold: Arc<Script>,
    /// What is left without the server.
    alone: MemoryEphemeral,
    _tasks: Arc<JoinSet<()>>,
}

impl RedisEphemeral {
    /// Connects, and goes on trying for as long as this lives. `now` is for when the server is out of reach.
    ///
    /// # Errors
    /// When the address is wrong; not when nobody is there.
    pub async fn open(url: &str, options: RedisOptions, now: Now) -> Result<Self, Error> {
        let RedisOptions { tls, prefix, fallback_percent, deadline } = options;
        let client = open(url, tls)?;
        let alone = MemoryEphemeral::at_share(now, fallback_percent);
        let channel = format!("{prefix}:signals");
        let mut tasks = JoinSet::new();
        let link = Link::open(client, channel, deadline, alone.clone(), &mut tasks).await;
        Ok(Self {
            link,
            prefix: prefix.into(),
            take: Arc::new(Script::new(include_str!("take.lua"))),
            give_back: Arc::new(Script::new(include_str!("give_back.lua"))),
            hold: Arc::new(Script::new(include_str!("hold.lua"))),
            alone,
            _tasks: Arc::new(tasks),
        })
    }

    /// All of a question's keys lie in one slot of a cluster.
    fn bucket_key(&self, name: &str) -> String {
        format!("{}:{{limits}}:{name}", self.prefix)
    }

    /// A script about so many messages that count in these buckets.
    fn about<'a>(&self, script: &'a Script, buckets: &[Bucket], messages: u32) -> ScriptInvocation<'a> {
        let mut about = script.arg(messages);
        for bucket in buckets {
            about.key(self.bucket_key(&bucket.name)).arg(bucket.per_second);
        }
        about
    }

    fn progress_key(&self, key: &str) -> String {
        format!("{}:progress:{key}", self.prefix)
    }
}

/// Checks an address; the text of the library may repeat it, so it is left out.
pub(super) fn open(url: &str, tls: SharedTls) -> Result<Client, Error> {
    let wrong = |problem, remedy| Error::new(ErrorKind::InvalidArgument, problem, remedy);
    // Behind it an address may say that no certificate is looked at.
    if url.contains('#') {
        return Err(wrong("there is a # in it", "write rediss://host:port"));
    }
    let client = Client::open(url)
        .map_err(|_| wrong("it is no address of a Redis server", "write rediss://host:port"))?;
    if !url.starts_with("rediss:") {
        if tls != SharedTls::default() {
            return Err(wrong("it is without TLS, and certificates are named", "write rediss://host:port"));
        }
        return Ok(client);
    }
    let SharedTls { authorities, own } = tls;
    let client_tls = own.map(|(client_cert, client_key)| ClientTlsConfig { client_cert, client_key });
    Client::build_with_tls(url, TlsCertificates { client_tls, root_cert: authorities }).map_err(|_| {
        let remedy = "name files with PEM in redis.authorities, redis.certificate and redis.key";
        wrong("the certificates can not be used", remedy)
    })
}

#[async_trait]
impl Limits for RedisEphemeral {
    async fn take(&self, buckets: &[Bucket], wanted: u32) -> Grant {
        let question = self.about(&self.take, buckets, wanted);
        let ask = async |mut server: MultiplexedConnection| question.invoke_async(&mut server).await;
        if let Some((allowed, wait)) = self.link.ask(ask).await {
            return Grant { allowed, wait: Duration::from_micros(wait) };
        }
        self.alone.begin_outage(self.link.serial());
        self.alone.take(buckets, wanted).await
    }

    async fn give_back(&self, buckets: &[Bucket], unused: u32) {
        let order = self.about(&self.give_back, buckets, unused);
        let ask = async |mut server: MultiplexedConnection| order.invoke_async::<()>(&mut server).await;
        self.link.ask(ask).await;
    }

    async fn hold(&self, bucket: &str, how_long: Duration) {
        self.alone.hold(bucket, how_long).await;
        let millis = u64::try_from(how_long.as_millis()).unwrap_or(u64::MAX);
        let mut order = self.hold.key(self.bucket_key(bucket));
        order.arg(millis);
        let ask = async |mut server: MultiplexedConnection| order.invoke_async::<()>(&mut server).await;
        self.link.ask(ask).await;
    }
}

impl Signals for RedisEphemeral {
    fn raise(&self, topic: &'static str) {
        self.alone.raise(topic);
        self.link.tell(topic);
    }

    fn listen(&self, topic: &'static str) -> Listener {
        self.alone.listen(topic)
    }
}

#[async_trait]
impl Progress for RedisEphemeral {
    async fn put(&self, key: &str, counts: &Counts, lasts: Duration) {
        let Ok(text) = serde_json::to_string(counts) else { return };
        let millis = u64::try_from(lasts.as_millis()).unwrap_or(u64::MAX).max(1);
        let key = self.progress_key(key);
        let ask =
            async |mut server: MultiplexedConnection| server.pset_ex::<_, _, ()>(key, text, millis).await;
        self.link.ask(ask).await;
    }

    async fn read(&self, key: &str) -> Option<Counts> {
        let key = self.progress_key(key);
        let ask = async |mut server: MultiplexedConnection| server.get::<_, Option<String>>(key).await;
        let text = self.link.ask(ask).await??;
        serde_json::from_str(&text).ok()
    }
}

#[cfg(test)]
mod tests;
