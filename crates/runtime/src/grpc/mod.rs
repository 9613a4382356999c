//! gRPC as every node speaks it: one server, one client, one table of errors.
//!
//! [`server`] binds and drains, `admission` decides who comes in and for how long, [`auth`] knows callers, [`pace`] knows how often they may, [`denials`] counts what was refused, [`client`] calls, [`door`] from inside,
//! [`retry`] calls again, [`status`] turns our errors into the wire's and back. No contract of ours is named here.

mod admission;
pub mod auth;
mod body;
pub mod client;
pub mod denials;
pub mod door;
pub mod pace;
pub mod retry;
pub mod server;
pub mod status;
#[cfg(test)]
mod tests;

/// The largest message that a service or client takes, in bytes: 8 MiB holds 1,000 entries of a list with room to spare.
/// A generated service takes it by `.max_decoding_message_size(MAX_MESSAGE_BYTES)` and the encoding twin.
pub const MAX_MESSAGE_BYTES: usize = 8 * 1024 * 1024;
