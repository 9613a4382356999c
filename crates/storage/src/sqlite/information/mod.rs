//! The information-management server's store on SQLite.
//!
//! The same rooms as the traits: `flow` (with `load` and `save` for its units of work), `delivery`, `list`, and what companies
//! ask for.

mod approval;
mod audit;
mod custody;
mod delivery;
mod distribution;
mod erasure;
mod expansion;
mod flow;
mod follower;
mod holder;
mod list;
mod load;
mod review;
mod save;
mod tally;
#[cfg(test)]
mod tests;
mod trial;
mod walk;

use async_trait::async_trait;
use std::{path::Path, sync::Arc};

use super::Database;
use crate::{
    Opened, StoreError,
    information::{together::Together, turns::Turns},
    migrations,
    vault::{Relation, Sealing, Vault, VaultOptions},
};

/// How many signals of one account the connection that writes stores in one turn: everybody else waits for it meanwhile.
const SIGNALS_AT_ONCE: usize = 2_000;

/// The information-management server's store in one SQLite file.
#[derive(Clone)]
pub struct SqliteInformation {
    database: Database,
    vault: Arc<Vault>,
    walks: Arc<walk::Walks>,
    /// For the connection that writes, of claims and signals.
    turns: Arc<Turns>,
    waiting: Arc<Together<delivery::Signals, ()>>,
}

impl SqliteInformation {
    /// Opens the file, makes it when it isn't there, and brings its schema up to date.
    ///
    /// # Errors
    /// [`StoreError::InUse`] and [`StoreError::Unopened`].
    pub async fn open(path: &Path, vault: VaultOptions) -> Result<Self, StoreError> {
        let database = Database::open(path, migrations::SQLITE_INFORMATION).await?;
        let vault = match Vault::open(&database, &Relation::INFORMATION, vault).await {
            Ok(vault) => vault,
            Err(error) => {
                database.close().await;
                return Err(error);
            }
        };
        let turns = Turns::new(1);
        let waiting = Arc::new(Together::new(Arc::clone(&turns), SIGNALS_AT_ONCE));
        Ok(Self { database, vault, walks: Arc::default(), turns, waiting })
    }
}

#[cfg(test)]
impl SqliteInformation {
    /// Its database, to look at.
    pub(crate) const fn database(&self) -> &Database {
        &self.database
    }
}

#[async_trait]
impl Opened for SqliteInformation {
    async fn close(&self) {
        self.database.close().await;
    }
}

#[async_trait]
impl Sealing for SqliteInformation {
    async fn tend_keys(&self) -> Result<bool, StoreError> {
        self.vault.tend(&self.database).await
    }

    async fn reseal(&self, limit: u32) -> Result<u32, StoreError> {
        self.vault.reseal(&self.database, limit).await
    }
}
