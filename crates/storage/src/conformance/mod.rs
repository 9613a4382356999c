//! The one suite of facts that every store must pass, whatever the database.
//!
//! A file for each node's store. Each fact is a function over the trait; each backend runs them all.

mod carrier;
mod company;
mod information;
mod terminal;
