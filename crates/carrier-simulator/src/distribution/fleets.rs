//! Which fleets listen: one stream for each, woken when it has messages, ended when another takes its place.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use musubi_storage::carrier::FleetName;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// The fleets that listen. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Fleets(Arc<Mutex<HashMap<FleetName, Arc<Listener>>>>);

/// What a fleet's stream waits for.
#[derive(Default)]
pub(crate) struct Listener {
    /// The fleet has messages.
    pub(crate) wake: Notify,
    /// Another stream of the same fleet began.
    pub(crate) ended: CancellationToken,
}

impl Fleets {
    /// The fleet's new stream; the earlier one ends.
    pub(crate) fn join(&self, fleet: &FleetName) -> Arc<Listener> {
        let listener = Arc::new(Listener::default());
        let mut fleets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(earlier) = fleets.insert(fleet.clone(), Arc::clone(&listener)) {
            earlier.ended.cancel();
        }
        listener
    }

    /// The stream is over; a later one of the same fleet stays.
    pub(crate) fn leave(&self, fleet: &FleetName, listener: &Arc<Listener>) {
        let mut fleets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if fleets.get(fleet).is_some_and(|current| Arc::ptr_eq(current, listener)) {
            fleets.remove(fleet);
        }
    }

    /// The fleet has messages.
    pub(crate) fn wake(&self, fleet: &FleetName) {
        let fleets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(listener) = fleets.get(fleet) {
            listener.wake.notify_one();
        }
    }
}
