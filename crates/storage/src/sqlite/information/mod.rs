//! The information-management server's store on SQLite.
//!
//! The same rooms as the traits: `flow` (with `load` and `save` for its units of work), `delivery`, `list`, and what companies
//! ask for. Surprising: counts of deliveries are kept beside them, in `tally`, and moved in the same transactions, because
//! counting a million rows for a progress bar is no option.

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

use std::path::Path;

use musubi_domain::id::{FollowerId, OfficialAccountId};
use sqlx::sqlite::SqliteRow;

use super::Database;
use crate::{StoreError, information::FollowerKey};

/// The information-management server's store in one SQLite file.
#[derive(Clone)]
pub struct SqliteInformation {
    database: Database,
}

impl SqliteInformation {
    /// Opens the file, makes it when it isn't there, and brings its schema up to date.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the file can't be opened or is no such database.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let database = Database::open(path, &sqlx::migrate!("src/sqlite/migrations/information")).await?;
        Ok(Self { database })
    }

    /// Writes the log back into the file and closes it.
    pub async fn close(&self) {
        self.database.close().await;
    }
}

/// Reads the key in the first two columns.
fn key_of(row: &SqliteRow, accounts: &mut Interned) -> Result<FollowerKey, StoreError> {
    let account = accounts.account(super::get(row, 0)?)?;
    let follower = FollowerId::from_bytes(super::bytes16(row, 1)?);
    Ok(FollowerKey { account, follower })
}

/// Account names of a result, each allocated once.
#[derive(Default)]
struct Interned(Vec<OfficialAccountId>);

impl Interned {
    fn account(&mut self, text: &str) -> Result<OfficialAccountId, StoreError> {
        if let Some(known) = self.0.iter().find(|known| known.as_str() == text) {
            return Ok(known.clone());
        }
        let account: OfficialAccountId = text.parse()?;
        self.0.push(account.clone());
        Ok(account)
    }
}
