//! What may vanish, in one process: what one machine needs, and what is left when the shared server is gone.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::watch;

use super::{Bucket, Counts, Grant, Limits, Listener, Now, Progress, Signals, buckets::Buckets};

/// What may vanish, in this process. Clones share it.
#[derive(Clone)]
pub struct MemoryEphemeral {
    now: Now,
    buckets: Arc<Mutex<Buckets>>,
    topics: Arc<Mutex<HashMap<&'static str, watch::Sender<()>>>>,
    progress: Arc<Mutex<HashMap<String, (Counts, Timestamp)>>>,
}

impl MemoryEphemeral {
    /// By this clock.
    #[must_use]
    pub fn new(now: Now) -> Self {
        Self::at_share(now, 100)
    }

    /// With limits of so many hundredths of those that are asked for.
    pub(super) fn at_share(now: Now, percent: u8) -> Self {
        Self {
            now,
            buckets: Arc::new(Mutex::new(Buckets::new(percent))),
            topics: Arc::default(),
            progress: Arc::default(),
        }
    }

    /// Empties every bucket when this outage is another than the last; what was filled while the server answered is the
    /// server's.
    pub(super) fn begin_outage(&self, outage: u64) {
        lock(&self.buckets).begin(outage, (self.now)());
    }

    /// Wakes everyone, whatever they listen to.
    pub(super) fn raise_all(&self) {
        lock(&self.topics).values().for_each(|topic| topic.send_modify(|()| {}));
    }

    /// Wakes those who listen to the topic of this name, if there are any.
    pub(super) fn raise_named(&self, topic: &str) {
        if let Some(topic) = lock(&self.topics).get(topic) {
            topic.send_modify(|()| {});
        }
    }
}

/// What is kept here is whole after every line, so a panic elsewhere spoils nothing.
fn lock<T>(kept: &Mutex<T>) -> MutexGuard<'_, T> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

#[async_trait]
impl Limits for MemoryEphemeral {
    async fn take(&self, buckets: &[Bucket], wanted: u32) -> Grant {
        lock(&self.buckets).take(buckets, wanted, (self.now)())
    }

    async fn give_back(&self, buckets: &[Bucket], unused: u32) {
        lock(&self.buckets).give_back(buckets, unused, (self.now)());
    }

    async fn hold(&self, bucket: &str, how_long: Duration) {
        lock(&self.buckets).hold(bucket, how_long, (self.now)());
    }
}

impl Signals for MemoryEphemeral {
    fn raise(&self, topic: &'static str) {
        self.raise_named(topic);
    }

    fn listen(&self, topic: &'static str) -> Listener {
        Listener(lock(&self.topics).entry(topic).or_insert_with(|| watch::Sender::new(())).subscribe())
    }
}

#[async_trait]
impl Progress for MemoryEphemeral {
    async fn put(&self, key: &str, counts: &Counts, lasts: Duration) {
        let now = (self.now)();
        let until = now.checked_add(lasts).unwrap_or(Timestamp::MAX);
        let mut progress = lock(&self.progress);
        progress.retain(|_, (_, until)| *until > now);
        progress.insert(key.to_owned(), (counts.clone(), until));
    }

    async fn read(&self, key: &str) -> Option<Counts> {
        let now = (self.now)();
        lock(&self.progress).get(key).filter(|(_, until)| *until > now).map(|(counts, _)| counts.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::ephemeral::{ephemeral_suite, running_clock};

    async fn open() -> (MemoryEphemeral, MemoryEphemeral, ()) {
        let memory = MemoryEphemeral::new(running_clock());
        (memory.clone(), memory, ())
    }

    ephemeral_suite!(open());
}
