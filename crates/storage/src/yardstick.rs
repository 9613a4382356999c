//! What a database itself can do: the limits that `musubi bench` holds its figures against, and what work has cost a database.
//!
//! No node uses this. The rows come from a database that a node has filled, or lie in one plain table. Surprising: nothing here knows
//! a schema; the tables are read out of the database, so that the limit changes with them.

use std::{path::PathBuf, time::Duration};

use async_trait::async_trait;

use crate::StoreError;

/// Rows of one transaction of a plain sender: as many as a node's batch has.
pub(crate) const MESSAGES: u64 = 1_000;

/// How many keys there are. Times an odd factor, modulo this, no two messages have the same key, and their keys come in no order.
pub(crate) const PLACES: u64 = 1 << 47;
const FACTOR: u64 = 1_103_515_245;

/// By what a message's number is multiplied to give its key: its own number, where nothing is there before.
pub(crate) const fn factor(beside: u64) -> u64 {
    if beside == 0 { 1 } else { FACTOR }
}

/// What was written to a database since it was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Rows inserted, changed and deleted; on SQLite, which doesn't count, those that are there.
    pub rows: u64,
    /// Bytes of the log; none on SQLite, whose log is written over and over.
    pub log_bytes: Option<u64>,
}

/// The rows of a database, each table's in the order of its primary key, ready to be loaded into another.
#[derive(Clone, Debug)]
pub struct Dump {
    /// Where they are.
    pub(crate) place: PathBuf,
    /// The tables that have any, each with how many.
    pub(crate) tables: Vec<(String, u64)>,
}

impl Dump {
    /// How many there are.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.tables.iter().map(|(_, rows)| rows).sum()
    }
}

/// One database, measured.
#[async_trait]
pub trait Yardstick: Send + Sync {
    /// What was written to it. On PostgreSQL sessions tell of their rows when they end; ask when the node has.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    async fn written(&self) -> Result<Written, StoreError>;

    /// Has done now what the database would do by itself within minutes because of rows that were loaded, and would do beside what is
    /// measured next: PostgreSQL vacuums and analyses its tables, SQLite does nothing of the kind.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    async fn settle(&self) -> Result<(), StoreError>;

    /// How long it takes to insert so many messages and then to change the state of each, in a table of its own with nothing but
    /// a key, a recipient, a state and a time; a thousand in a transaction, each as durable as a node's. That is the least that any
    /// sender does who forgets nothing. With rows `beside`, so many are there before, and keys have no order; that is how people come.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    async fn send_plainly(&self, messages: u64, beside: u64) -> Result<Duration, StoreError>;

    /// How long each of so many transactions takes that inserts one row into that table, one after the other, as durable as a node's.
    /// Whoever is told of one thing when it is kept waits for as long.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    async fn commit_one_by_one(&self, messages: u64) -> Result<Vec<Duration>, StoreError>;

    /// Writes all rows beside `place`, in the order of their keys.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`], [`StoreError::Unopened`].
    async fn dump(&self, place: PathBuf) -> Result<Dump, StoreError>;

    /// How long it takes to load a dump into this database, which has the same tables, empty: by COPY on PostgreSQL, in
    /// transactions of 10,000 inserts on SQLite.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`], [`StoreError::Unopened`].
    async fn load(&self, dump: &Dump) -> Result<Duration, StoreError>;

    /// Leaves the database.
    async fn close(&self);
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn keys_without_order_are_no_messages_twice() {
        let keys: HashSet<u64> = (0..100_000).map(|it| it * factor(1) % PLACES).collect();
        assert_eq!(keys.len(), 100_000);
    }

    /// `filled` has rows; `empty` has the same tables and none.
    pub(crate) async fn what_was_dumped_is_loaded(filled: &dyn Yardstick, empty: &dyn Yardstick) {
        let folder = tempfile::tempdir().unwrap();
        let dump = filled.dump(folder.path().join("dump")).await.unwrap();
        assert!(dump.rows() > 100, "{dump:?}");
        let took = empty.load(&dump).await.unwrap();
        assert!(took > Duration::ZERO);
        let again = empty.dump(folder.path().join("again")).await.unwrap();
        assert_eq!(again.tables, dump.tables);
        for beside in [0, 5_000] {
            assert!(empty.send_plainly(2_500, beside).await.unwrap() > Duration::ZERO);
        }
        let alone = filled.commit_one_by_one(20).await.unwrap();
        assert!(alone.len() == 20 && alone.iter().all(|took| *took > Duration::ZERO), "{alone:?}");
        filled.close().await;
        empty.close().await;
    }
}
