//! The information-management server's store on PostgreSQL, for any number of replicas.
//!
//! The same rooms as on SQLite. Whatever changes what belongs to a follower locks the follower's row first, and a claim locks it
//! for sharing, so no attempt starts beside a change that would have closed the gate. Surprising: a query that reads many keys
//! reaches each table through a lateral subquery behind `OFFSET 0`, which no planner can turn round into reading the table whole.

#[cfg(test)]
mod apart;
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
#[cfg(test)]
mod spread;
mod tally;
#[cfg(test)]
mod tests;
mod trial;
mod walk;

use std::sync::Arc;

use async_trait::async_trait;

use super::{Database, Migrations, PostgresOptions};
use crate::{
    Opened, StoreError,
    information::{together::Together, turns::Turns},
    migrations,
    vault::{Relation, Sealing, Vault, VaultOptions},
};

/// How many transactions record what became of attempts beside one another.
const RECORDINGS: usize = 4;
/// How many results of one account each of them takes on.
const RESULTS_AT_ONCE: usize = 4_000;

/// The information-management server's store in one PostgreSQL database.
#[derive(Clone)]
pub struct PostgresInformation {
    database: Database,
    vault: Arc<Vault>,
    recording: Arc<Together<delivery::Results, Vec<bool>>>,
}

impl PostgresInformation {
    /// The schema, for `musubi migrate`.
    pub const MIGRATIONS: &Migrations = &Migrations::new(migrations::POSTGRES_INFORMATION);

    /// Connects, and refuses a database that it may not work with.
    ///
    /// # Errors
    /// [`StoreError::Unreached`], [`StoreError::Unsafe`] and [`StoreError::Schema`].
    pub async fn open(options: &PostgresOptions, vault: VaultOptions) -> Result<Self, StoreError> {
        let database = Database::open(options, Self::MIGRATIONS).await?;
        let vault = match Vault::open(&database, &Relation::INFORMATION, vault).await {
            Ok(vault) => vault,
            Err(error) => {
                database.close().await;
                return Err(error);
            }
        };
        let recording = Arc::new(Together::new(Turns::new(RECORDINGS), RESULTS_AT_ONCE));
        Ok(Self { database, vault, recording })
    }
}

#[cfg(test)]
impl PostgresInformation {
    /// Its database, to look at.
    pub(crate) const fn database(&self) -> &Database {
        &self.database
    }

    /// What it seals with.
    pub(crate) fn keys(&self) -> Arc<crate::vault::Keys> {
        self.vault.keys()
    }
}

#[async_trait]
impl Opened for PostgresInformation {
    async fn close(&self) {
        self.database.close().await;
    }
}

#[async_trait]
impl Sealing for PostgresInformation {
    async fn tend_keys(&self) -> Result<bool, StoreError> {
        self.vault.tend(&self.database).await
    }

    async fn reseal(&self, limit: u32) -> Result<u32, StoreError> {
        self.vault.reseal(&self.database, limit).await
    }
}
