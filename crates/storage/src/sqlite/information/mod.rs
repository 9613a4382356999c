//! The information-management server's store on SQLite.
//!
//! The same rooms as the traits: `flow` (with `load` and `save` for its units of work), `delivery`, `list`, and what companies
//! ask for.

mod audit;
mod custody;
mod delivery;
mod distribution;
mod expansion;
mod flow;
mod follower;
mod list;
mod load;
mod review;
mod save;
mod tally;
#[cfg(test)]
mod tests;

use async_trait::async_trait;
use std::path::Path;

use super::Database;
use crate::{Opened, StoreError};

/// The information-management server's store in one SQLite file.
#[derive(Clone)]
pub struct SqliteInformation {
    database: Database,
}

impl SqliteInformation {
    /// Opens the file, makes it when it isn't there, and brings its schema up to date.
    ///
    /// # Errors
    /// [`StoreError::InUse`] and [`StoreError::Unopened`].
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let database = Database::open(path, &sqlx::migrate!("src/sqlite/migrations/information")).await?;
        Ok(Self { database })
    }
}

#[async_trait]
impl Opened for SqliteInformation {
    async fn close(&self) {
        self.database.close().await;
    }
}
