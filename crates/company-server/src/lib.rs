//! The company server \[10\]: keeps the customer master \[120\], and has a console for the company's people.
//!
//! It speaks with the information-management server only: answers its inquiries, entrusts it with a copy of the master when
//! the company wants that, and passes its operators' calls on to it. It knows no follower, no phone number and no carrier.
//! Surprising: it also serves two contracts that aren't its own, so that an operator needs one address and one token; see
//! `proxy.rs` and docs/adr/0003-operators-speak-one-contract.md.

mod app;
mod audit;
mod audit_service;
mod config;
mod console;
pub mod csv_text;
mod custody;
mod customer_service;
pub mod import;
mod keys;
mod match_service;
mod metrics;
mod people;
pub mod person_file;
mod proxy;
mod rekeying;
mod sessions;
pub mod side_by_side;
#[cfg(test)]
mod tests;
mod upload;
pub mod values;

pub use app::{App, BuildError, MIGRATIONS, open_audit};
pub use config::{Config, DEFAULTS, Matching};
pub use metrics::METRICS;
