//! Custody: copies of customer masters, entrusted for a time, so that matches can be decided here.
//!
//! [`Custody`] is the service at the door; [`Purger`] destroys what nobody may keep any longer; [`rekey`] follows the rules of
//! matching. Surprising: a stream that breaks
//! leaves rows behind for some minutes. They answer no match, and the purger finds them by their age.

mod parse;
mod purger;
mod rekeying;
mod service;
#[cfg(test)]
mod tests;

pub use self::{purger::Purger, rekeying::rekey, service::Custody};
