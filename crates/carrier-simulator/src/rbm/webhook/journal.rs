//! The last tries to tell webhooks something, for the page. Numbers are masked as they come in.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use jiff::Timestamp;

/// How many tries are remembered.
const TRIES: usize = 100;

/// One try.
#[derive(Clone, Debug)]
pub(crate) struct Try {
    pub(crate) time: Timestamp,
    pub(crate) agent: String,
    /// What was told, of whose phone.
    pub(crate) what: String,
    /// Which try it was of this event, from 1; 0: none of an event.
    pub(crate) attempt: u32,
    /// What came of it.
    pub(crate) outcome: String,
    pub(crate) good: bool,
}

/// The last tries, the newest first. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Journal(Arc<Mutex<VecDeque<Try>>>);

impl Journal {
    pub(crate) fn note(&self, tried: Try) {
        let mut tries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tries.truncate(TRIES - 1);
        tries.push_front(tried);
    }

    pub(crate) fn last(&self) -> Vec<Try> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}
