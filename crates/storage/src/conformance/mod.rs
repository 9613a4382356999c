//! The one suite of facts that every store must pass, whatever the database.
//!
//! A file for each node's store, and one for what may vanish. Each fact is a function over the trait; each backend runs them all.

pub(crate) mod carrier;
pub(crate) mod company;
pub(crate) mod ephemeral;
pub(crate) mod information;
pub(crate) mod openid;
pub(crate) mod people;
pub(crate) mod sessions;
pub(crate) mod terminal;
pub(crate) mod vault;
