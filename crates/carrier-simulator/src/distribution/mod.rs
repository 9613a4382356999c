//! The distribution unit \[332\]: messages to terminals.
//!
//! [`sending`] takes them from the information server, [`delivery`] hands them to fleets, [`expiry`] gives up those whose time
//! is over. The database stands between: nothing goes from one to the other in memory but the word that there is something.

mod delivery;
mod expiry;
mod fleets;
mod sending;

pub(crate) use self::{delivery::Delivery, expiry::sweep, fleets::Fleets, sending::Sending};
