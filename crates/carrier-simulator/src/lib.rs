//! The carrier RCS simulator \[30\]: official accounts, subscriber lists, messages in flight.
//!
//! The patent's units keep their names: `acquisition` \[330\] takes in what people do, `list_generation` \[331\] offers
//! subscriber lists, `distribution` \[332\] carries messages to terminals. Beside them `authority` verifies identities, `numbers` says
//! which changed hands,
//! `outbox` tells the information server, [`rbm`] speaks Google's RCS Business Messaging, and [`faults`] lets things go wrong on purpose. No rule about companies or
//! customers lives here. Surprising: nothing is kept in memory but who listens; a restart begins from the database alone.

mod acquisition;
pub mod app;
mod authority;
pub mod config;
mod distribution;
pub mod faults;
mod handset;
mod list_generation;
mod metrics;
mod numbers;
mod outbox;
pub mod rbm;
mod telling;
#[cfg(test)]
mod tests;
mod wire;

pub use app::{App, BuildError, MIGRATIONS, RbmSimulator};
pub use authority::{Authorities, KeyError};
pub use config::Config;
pub use metrics::METRICS;
