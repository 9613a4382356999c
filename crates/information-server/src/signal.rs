//! Wake-up signals between the server's workers, in every replica.
//!
//! A signal says "look at the database", nothing more: losing one costs time, never work, because every worker also looks by
//! timer.

use std::sync::Arc;

use musubi_storage::ephemeral;
pub use musubi_storage::ephemeral::Listener;

/// Something changed; raise it after the commit.
#[derive(Clone)]
pub struct Signal {
    signals: Arc<dyn ephemeral::Signals>,
    topic: &'static str,
}

impl Signal {
    /// Wakes everyone who waits.
    pub fn raise(&self) {
        self.signals.raise(self.topic);
    }

    /// One who waits.
    #[must_use]
    pub fn listen(&self) -> Listener {
        self.signals.listen(self.topic)
    }
}

/// The server's signals.
#[derive(Clone)]
pub struct Signals {
    /// Deliveries are due.
    pub deliveries: Signal,
    /// Dialogues are due.
    pub dialogues: Signal,
    /// Inquiries are due.
    pub inquiries: Signal,
    /// A distribution got a command, or has nothing more to claim.
    pub distributions: Signal,
}

impl Signals {
    /// Carried by these.
    #[must_use]
    pub fn over(signals: Arc<dyn ephemeral::Signals>) -> Self {
        let signal = |topic| Signal { signals: Arc::clone(&signals), topic };
        Self {
            deliveries: signal("deliveries"),
            dialogues: signal("dialogues"),
            inquiries: signal("inquiries"),
            distributions: signal("distributions"),
        }
    }
}
