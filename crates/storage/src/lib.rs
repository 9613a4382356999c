//! Each node's store: traits, one implementation for each database, one conformance suite that all of them pass. And
//! [`ephemeral`], what nodes may lose at any moment.
//!
//! Only this crate names sqlx or redis. A store's method is one named transaction over a whole batch; it decides nothing itself but
//! calls the pure rules of `domain` inside the transaction where atomicity needs it. No network call ever stands inside one.
//! Surprising: bulk goes to the database in one statement, as one JSON parameter (SQLite) or one array for each column
//! (PostgreSQL), because a statement for each row is what makes a store slow.

pub mod audit;
pub mod carrier;
pub mod company;
#[cfg(test)]
mod conformance;
pub mod ephemeral;
pub mod error;
pub mod information;
mod migrations;
pub mod openid;
pub mod people;
pub mod postgres;
mod row;
pub mod sessions;
pub mod sqlite;
pub mod terminal;
pub mod vault;
pub mod yardstick;

pub use error::StoreError;
pub use postgres::{Migrations, create_database, drop_database};

/// A store holds its database until it is closed.
#[async_trait::async_trait]
pub trait Opened: Send + Sync {
    /// Ends what is under way, writes what has to be written back, and leaves the database to others.
    async fn close(&self);
}

use musubi_domain::customer::Customer;

/// Makes a customer's keys by one version of the rules of matching, which the stores don't know.
pub type MakeKeys<'a> = dyn Fn(&Customer) -> Vec<u8> + Sync + 'a;
