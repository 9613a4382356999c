//! Wake-up signals between the server's workers.
//!
//! A signal says "look at the database", nothing more: losing one costs time, never work, because every worker also looks by
//! timer.

use std::time::Duration;

use tokio::sync::watch;

/// Something changed; raise it after the commit.
#[derive(Clone, Debug)]
pub struct Signal(watch::Sender<u64>);

impl Default for Signal {
    fn default() -> Self {
        Self(watch::Sender::new(0))
    }
}

impl Signal {
    /// Wakes everyone who waits.
    pub fn raise(&self) {
        self.0.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// One who waits.
    #[must_use]
    pub fn listen(&self) -> Listener {
        Listener(self.0.subscribe())
    }
}

/// One who waits for a [`Signal`].
#[derive(Debug)]
pub struct Listener(watch::Receiver<u64>);

impl Listener {
    /// Waits for a signal since the last wait, at most so long.
    pub async fn wait(&mut self, at_most: Duration) {
        if let Ok(Err(_closed)) = tokio::time::timeout(at_most, self.0.changed()).await {
            tokio::time::sleep(at_most).await;
        }
    }
}

/// The server's signals.
#[derive(Clone, Debug, Default)]
pub struct Signals {
    /// Deliveries are due.
    pub deliveries: Signal,
    /// Dialogues are due.
    pub dialogues: Signal,
    /// Inquiries are due.
    pub inquiries: Signal,
    /// Distributions were started, resumed, cancelled, or their deliveries moved.
    pub distributions: Signal,
}
