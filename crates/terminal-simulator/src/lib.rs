//! The consumer-terminal simulator \[40\]: talk rooms and scripted people.
//!
//! A fleet of phones in one process, each with its talk rooms, each speaking to its own carrier only; the people who hold them
//! act by their stories. What they do is decided in `script`, which is pure; `fleet` keeps what happened; a `link` goes
//! to each carrier. It knows nothing of dialogues or customers. Surprising: no message is confirmed and nothing is said
//! before it is in the database, so the process may be killed at any moment.

mod app;
mod config;
mod fleet;
mod hand;
mod intake;
mod link;
mod metrics;
mod outbox;
mod pages;
mod script;
mod service;
pub mod story;
mod telling;
#[cfg(test)]
mod tests;

pub use app::{App, BuildError, MIGRATIONS};
pub use config::{
    CallersConfig, CarrierConfig, Config, FleetConfig, ServerConfig, ShutdownConfig, ThinkingConfig,
};
pub use fleet::LoadError;
pub use metrics::METRICS;
