//! The embedded stores: one SQLite file for each node.
//!
//! WAL with `synchronous=FULL`: what is committed survives a power cut. One connection writes, so that transactions queue in
//! the program instead of failing on the file's lock; others read beside it. One process has a database: it holds a lock on
//! `<database>.lock`, a file of its own, because a process that opens and closes SQLite's files beside SQLite loses its locks.
//! Surprising: a write transaction is `BEGIN IMMEDIATE`, because one that begins by reading and then writes can't wait for its
//! turn.

pub(crate) mod audit;
pub mod carrier;
pub mod company;
pub mod information;
mod many;
mod openid;
mod people;
mod sessions;
pub mod terminal;
mod vault;
pub mod yardstick;

use std::{
    fs::{File, OpenOptions, TryLockError},
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use serde::Serialize;
use sqlx::{
    Connection as _, Sqlite, SqliteConnection, SqlitePool, Transaction,
    query::Query,
    sqlite::{
        SqliteArguments, SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous,
    },
};

pub(crate) use self::many::Many;
use crate::{StoreError, migrations::Steps};
// What stores of both databases read and write with; those of this one find it here, too.
pub(crate) use crate::row::{Packed, instant, micros};

/// How many connections read beside the one that writes.
const READERS: u32 = 4;
/// Of a new database, in bytes. Followers' ids are hashes, so most of what a dialogue reads and writes lies on a page of its own,
/// which is copied whole.
const PAGE: u32 = 4_096;
/// Pages of the log that are written back into the file in one go: 16 MB.
const CHECKPOINT: &str = "4000";
/// What the connection that writes keeps of the file in memory, in KiB: the upper pages of each tree beside millions of followers,
/// and what its last batches touched. The system's cache has the rest.
const WRITER_CACHE: &str = "-32768";
/// The same for each that reads, which forgets everything whenever something was written.
const READER_CACHE: &str = "-2048";

/// How many statements a connection keeps prepared: all that there are, and as many again that say once what many rows have alike.
const STATEMENTS: usize = 400;

/// One node's database.
#[derive(Clone)]
pub(crate) struct Database {
    writer: SqlitePool,
    reader: SqlitePool,
    writers: Arc<AtomicU64>,
    lock: Arc<File>,
}

impl Database {
    /// Opens the file, makes it when it isn't there, and brings its schema up to date. Until [`Database::close`], or the
    /// process's end, nobody else opens it.
    ///
    /// # Errors
    /// [`StoreError::InUse`] when another has it, and then nothing was touched; [`StoreError::Unopened`].
    pub(crate) async fn open(path: &Path, migrations: Steps) -> Result<Self, StoreError> {
        let unopened = |source| StoreError::Unopened { path: path.to_owned(), source };
        // SQLite takes an empty name and `:memory:` for a database that is gone with the process.
        let path = &std::path::absolute(path).map_err(unopened)?;
        let lock = lock(path).map_err(|error| match error {
            TryLockError::WouldBlock => StoreError::InUse(path.to_owned()),
            TryLockError::Error(source) => unopened(source),
        })?;
        let writers = Arc::default();
        let (writer, reader) =
            connect(path, migrations, &writers).await.map_err(|error| unopened(io::Error::other(error)))?;
        Ok(Self { writer, reader, writers, lock: Arc::new(lock) })
    }

    /// Begins a transaction that may write. The name stands in errors.
    pub(crate) async fn write(
        &self,
        transaction: &'static str,
    ) -> Result<Transaction<'static, Sqlite>, StoreError> {
        self.writer.begin_with("BEGIN IMMEDIATE").await.map_err(StoreError::during(transaction))
    }

    /// Carries out one statement, which is a transaction of its own. Gives how many rows it concerned.
    pub(crate) async fn once(
        &self,
        name: &'static str,
        query: Query<'_, Sqlite, SqliteArguments>,
    ) -> Result<u64, StoreError> {
        let done = query.execute(&self.writer).await.map_err(StoreError::during(name))?;
        Ok(done.rows_affected())
    }

    /// How many connections that write there were: each counts its changes anew.
    pub(crate) fn writers(&self) -> u64 {
        self.writers.load(Ordering::Relaxed)
    }

    /// Connections that read.
    pub(crate) const fn read(&self) -> &SqlitePool {
        &self.reader
    }

    /// The connection that writes, to read with what workers ask for all the time and what was written a moment ago: its cache
    /// has it, while every write empties those of the others. For short questions only; writes wait meanwhile.
    pub(crate) const fn read_fresh(&self) -> &SqlitePool {
        &self.writer
    }

    /// Writes the log back into the file and cuts it, unless somebody reads what it was: then the next one does.
    pub(crate) async fn cut_log(&self, transaction: &'static str) -> Result<(), StoreError> {
        let cut = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").fetch_all(&self.writer).await;
        cut.map(drop).map_err(StoreError::during(transaction))
    }

    /// Writes the log back into the file, closes it and leaves it to others.
    pub(crate) async fn close(&self) {
        self.reader.close().await;
        self.writer.close().await;
        if let Err(error) = self.lock.unlock() {
            tracing::warn!(%error, "the database's lock stays until the process ends");
        }
    }
}

/// Takes the lock beside the database; links to one database find one lock. The file stays when the lock goes: whoever removed
/// it could take it from under a process that has just opened it.
fn lock(path: &Path) -> Result<File, TryLockError> {
    let mut beside = path.canonicalize().unwrap_or_else(|_| path.to_owned()).into_os_string();
    beside.push(".lock");
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(beside)
        .map_err(TryLockError::Error)?;
    file.try_lock()?;
    Ok(file)
}

/// The connection that writes and those that read, over the present schema.
async fn connect(
    path: &Path,
    migrations: Steps,
    writers: &Arc<AtomicU64>,
) -> Result<(SqlitePool, SqlitePool), sqlx::Error> {
    let writers = Arc::clone(writers);
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .page_size(PAGE)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(Duration::from_secs(10))
        // A batch's rows cross from the driver's thread in one go.
        .row_buffer_size(1_000)
        .statement_cache_capacity(STATEMENTS)
        .pragma("temp_store", "MEMORY")
        .pragma("wal_autocheckpoint", CHECKPOINT);
    let writer = SqlitePoolOptions::new()
        .max_connections(1)
        .acquire_timeout(Duration::from_secs(60))
        .after_connect(move |_, _| {
            writers.fetch_add(1, Ordering::Relaxed);
            Box::pin(std::future::ready(Ok(())))
        })
        // Nobody else ends a connection to a file, so it needn't be asked whether it is still there: all who write wait for each question.
        .test_before_acquire(false)
        .before_acquire(|connection, _| Box::pin(std::future::ready(Ok(is_at_rest(connection)))))
        // What is deleted is overwritten, also in pages that are given up with it.
        .connect_with(options.clone().pragma("cache_size", WRITER_CACHE).pragma("secure_delete", "ON"))
        .await?;
    migrations.migrator().run(&writer).await?;
    let reader = SqlitePoolOptions::new()
        .max_connections(READERS)
        .test_before_acquire(false)
        .connect_with(options.pragma("cache_size", READER_CACHE).read_only(true).create_if_missing(false))
        .await?;
    Ok((writer, reader))
}

/// Whether no transaction is under way, as the driver sees it. Where a disk is full SQLite ends a transaction by itself, and the
/// driver, which can't roll it back then, would take it for open for ever; such a connection is replaced. A rollback that was asked
/// for was done before the connection came back to the pool.
fn is_at_rest(connection: &SqliteConnection) -> bool {
    !connection.is_in_transaction()
}

/// Rows as the one JSON parameter that `jsonb_each` takes apart: an array of arrays, one for each row. `json_each`
/// would write each row as text again for every column that is read of it.
pub(crate) fn rows<T: Serialize>(rows: &[T]) -> Result<String, StoreError> {
    serde_json::to_string(rows)
        .map_err(|error| StoreError::Corrupt(format!("a row can't be written as JSON: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migrations;

    #[tokio::test]
    async fn a_disk_that_was_full_is_no_obstacle_once_it_has_room() {
        const FILL: &str = "INSERT INTO senders VALUES ('kumo', 'bank', hex(zeroblob(100000)))";
        let folder = tempfile::tempdir().unwrap();
        let database = open(&folder.path().join("a.db")).await.unwrap();
        // The file may not grow. It is the connection's own limit, and goes with it.
        sqlx::query("PRAGMA max_page_count = 1").fetch_all(&database.writer).await.unwrap();
        let mut write = database.write("fact").await.unwrap();
        let full = sqlx::query(FILL).execute(&mut *write).await.unwrap_err();
        assert!(full.to_string().contains("full"), "{full}");
        drop(write);
        let mut write = database.write("fact").await.unwrap();
        sqlx::query(FILL).execute(&mut *write).await.unwrap();
        write.commit().await.unwrap();
    }

    async fn open(path: &Path) -> Result<Database, StoreError> {
        Database::open(path, migrations::SQLITE_TERMINAL).await
    }

    #[tokio::test]
    async fn a_database_has_one_holder_until_that_closes_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let first = open(&path).await.unwrap();
        let link = folder.path().join("link.db");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        for name in [&path, &link] {
            assert!(matches!(open(name).await.err(), Some(StoreError::InUse(held)) if held == *name));
        }
        first.close().await;
        open(&link).await.unwrap().close().await;
    }

    #[tokio::test]
    async fn what_is_no_place_for_a_database_is_named_with_a_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let text = folder.path().join("text");
        std::fs::write(&text, "no database, and longer than the head of one".repeat(9)).unwrap();
        for path in
            [Path::new(""), folder.path(), &text, &text.join("below"), &folder.path().join("no/where")]
        {
            let error = open(path).await.err().unwrap();
            assert!(matches!(error, StoreError::Unopened { .. }), "{error}");
            assert!(error.to_string().ends_with("; name a file that can be opened or made"), "{error}");
        }
        assert!(std::fs::read(text).unwrap().starts_with(b"no database"));
    }
}
