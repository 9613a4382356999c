//! SQLite at its best: rows from one file into another, and batches of a thousand into one plain table, all inside of it.
//!
//! Surprising: no row passes through this program, because a limit must not hold what a driver costs.

use std::{
    ops::Range,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use sqlx::{
    AssertSqlSafe, Connection as _, Executor as _, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};

use super::{CHECKPOINT, PAGE, WRITER_CACHE};
use crate::{
    StoreError,
    yardstick::{Dump, MESSAGES, PLACES, Written, Yardstick, factor},
};

/// Rows of one transaction that loads.
const ROWS: u64 = 10_000;

/// Messages from one to before another into the plain table.
const INSERT: &str = "
    WITH RECURSIVE new (m) AS (SELECT ?1 UNION ALL SELECT m + 1 FROM new WHERE m + 1 < ?2)
    INSERT INTO plain_message SELECT m * ?3 % ?4, randomblob(16), 0, m FROM new";
/// The same of those that are there before, in the order of their keys.
const FILL: &str = "
    WITH RECURSIVE new (m) AS (SELECT ?1 UNION ALL SELECT m + 1 FROM new WHERE m + 1 < ?2)
    INSERT INTO plain_message SELECT m * ?3 % ?4, randomblob(16), 3, m FROM new ORDER BY 1";
const MOVE: &str = "
    UPDATE plain_message SET state = 3, change_time = ?1 WHERE message >= ?1 AND message < ?2";
/// The same where the keys of a batch are no range.
const MOVE_EACH: &str = "
    WITH RECURSIVE new (m) AS (SELECT ?1 UNION ALL SELECT m + 1 FROM new WHERE m + 1 < ?2)
    UPDATE plain_message SET state = 3, change_time = ?1 WHERE message IN (SELECT m * ?3 % ?4 FROM new)";

/// A database in a file that no node has open.
pub struct SqliteYardstick {
    path: PathBuf,
}

impl SqliteYardstick {
    /// Measures this file.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    async fn connect(path: &Path) -> Result<SqliteConnection, sqlx::Error> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .page_size(PAGE)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(false)
            .pragma("cache_size", WRITER_CACHE)
            .pragma("wal_autocheckpoint", CHECKPOINT);
        SqliteConnection::connect_with(&options).await
    }

    /// Tables, and the columns of their primary keys.
    async fn tables(
        connection: &mut SqliteConnection,
        schema: &str,
    ) -> Result<Vec<(String, String)>, sqlx::Error> {
        let tables = format!(
            "SELECT m.name, (SELECT group_concat(name, ', ') FROM
                 (SELECT '\"' || name || '\"' AS name FROM pragma_table_info(m.name, '{schema}') WHERE pk > 0 ORDER BY pk))
             FROM {schema}.sqlite_master AS m
             WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND m.name NOT LIKE '\\_sqlx%' ESCAPE '\\'
             ORDER BY m.name"
        );
        sqlx::query_as(AssertSqlSafe(tables)).fetch_all(connection).await
    }

    async fn attach(connection: &mut SqliteConnection, path: &Path, name: &str) -> Result<(), sqlx::Error> {
        let attach = format!("ATTACH DATABASE ? AS {name}");
        let path = path.to_string_lossy().into_owned();
        sqlx::query(AssertSqlSafe(attach)).bind(path).execute(connection).await.map(drop)
    }

    async fn count(connection: &mut SqliteConnection, table: &str) -> Result<u64, sqlx::Error> {
        let count = format!("SELECT count(*) FROM {table}");
        let count: i64 = sqlx::query_scalar(AssertSqlSafe(count)).fetch_one(connection).await?;
        Ok(count.cast_unsigned())
    }

    /// A connection to the file with the plain table, empty.
    async fn plain(&self) -> Result<SqliteConnection, sqlx::Error> {
        let mut connection = Self::connect(&self.path).await?;
        connection
            .execute(
                "DROP TABLE IF EXISTS plain_message;
                 CREATE TABLE plain_message (message INTEGER PRIMARY KEY, recipient BLOB NOT NULL, state INTEGER NOT NULL,
                     change_time INTEGER NOT NULL)",
            )
            .await?;
        Ok(connection)
    }

    /// Leaves the file without it.
    async fn without_plain(mut connection: SqliteConnection) -> Result<(), sqlx::Error> {
        connection.execute("DROP TABLE plain_message").await?;
        connection.close().await
    }

    async fn send(&self, messages: u64, beside: u64) -> Result<Duration, sqlx::Error> {
        let mut connection = self.plain().await?;
        if beside > 0 {
            run(&mut connection, FILL, messages..messages + beside, beside).await?;
        }
        let begun = Instant::now();
        for statement in [INSERT, if beside == 0 { MOVE } else { MOVE_EACH }] {
            for first in (0..messages).step_by(usize::try_from(MESSAGES).unwrap_or(usize::MAX)) {
                let batch = first..(first + MESSAGES).min(messages);
                run(&mut connection, statement, batch, beside).await?;
            }
        }
        let took = begun.elapsed();
        Self::without_plain(connection).await?;
        Ok(took)
    }

    async fn commit(&self, messages: u64) -> Result<Vec<Duration>, sqlx::Error> {
        let mut connection = self.plain().await?;
        let mut times = Vec::new();
        for message in 0..messages {
            let begun = Instant::now();
            run(&mut connection, INSERT, message..message + 1, 0).await?;
            times.push(begun.elapsed());
        }
        Self::without_plain(connection).await?;
        Ok(times)
    }

    async fn dump_to(&self, place: PathBuf) -> Result<Dump, sqlx::Error> {
        let mut connection = Self::connect(&place).await?;
        Self::attach(&mut connection, &self.path, "filled").await?;
        let mut tables = Vec::new();
        for (table, key) in Self::tables(&mut connection, "filled").await? {
            let copy =
                format!("CREATE TABLE main.\"{table}\" AS SELECT * FROM filled.\"{table}\" ORDER BY {key}");
            connection.execute(AssertSqlSafe(copy)).await?;
            let rows = Self::count(&mut connection, &format!("main.\"{table}\"")).await?;
            if rows > 0 {
                tables.push((table, rows));
            }
        }
        connection.close().await?;
        Ok(Dump { place, tables })
    }

    async fn load_from(&self, dump: &Dump) -> Result<Duration, sqlx::Error> {
        let mut connection = Self::connect(&self.path).await?;
        Self::attach(&mut connection, &dump.place, "dump").await?;
        let begun = Instant::now();
        for (table, rows) in &dump.tables {
            let insert = format!(
                "INSERT INTO main.\"{table}\" SELECT * FROM dump.\"{table}\" WHERE rowid > ?1 AND rowid <= ?1 + {ROWS}"
            );
            for first in (0..*rows).step_by(usize::try_from(ROWS).unwrap_or(usize::MAX)) {
                let batch = sqlx::query(AssertSqlSafe(insert.clone())).bind(first.cast_signed());
                batch.execute(&mut connection).await?;
            }
        }
        let took = begun.elapsed();
        connection.close().await?;
        Ok(took)
    }

    async fn rows(&self) -> Result<u64, sqlx::Error> {
        let mut connection = Self::connect(&self.path).await?;
        let mut rows = 0;
        for (table, _) in Self::tables(&mut connection, "main").await? {
            rows += Self::count(&mut connection, &format!("\"{table}\"")).await?;
        }
        connection.close().await?;
        Ok(rows)
    }
}

/// Runs a statement on these messages.
async fn run(
    connection: &mut SqliteConnection,
    statement: &'static str,
    messages: Range<u64>,
    beside: u64,
) -> Result<(), sqlx::Error> {
    let ends = sqlx::query(statement).bind(messages.start.cast_signed()).bind(messages.end.cast_signed());
    let batch = ends.bind(factor(beside).cast_signed()).bind(PLACES.cast_signed());
    batch.execute(connection).await.map(drop)
}

#[async_trait]
impl Yardstick for SqliteYardstick {
    async fn written(&self) -> Result<Written, StoreError> {
        let rows = self.rows().await.map_err(StoreError::during("yardstick_written"))?;
        Ok(Written { rows, log_bytes: None })
    }

    async fn settle(&self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn send_plainly(&self, messages: u64, beside: u64) -> Result<Duration, StoreError> {
        self.send(messages, beside).await.map_err(StoreError::during("yardstick_send"))
    }

    async fn commit_one_by_one(&self, messages: u64) -> Result<Vec<Duration>, StoreError> {
        self.commit(messages).await.map_err(StoreError::during("yardstick_commit"))
    }

    async fn dump(&self, place: PathBuf) -> Result<Dump, StoreError> {
        self.dump_to(place).await.map_err(StoreError::during("yardstick_dump"))
    }

    async fn load(&self, dump: &Dump) -> Result<Duration, StoreError> {
        self.load_from(dump).await.map_err(StoreError::during("yardstick_load"))
    }

    async fn close(&self) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Opened as _,
        conformance::{information::follow, vault::vault},
        sqlite::information::SqliteInformation,
        vault::VaultOptions,
        yardstick::tests::what_was_dumped_is_loaded,
    };

    #[tokio::test]
    async fn what_a_node_wrote_is_loaded_into_the_same_tables() {
        let folder = tempfile::tempdir().unwrap();
        let [filled, empty] = ["filled.db", "empty.db"].map(|name| folder.path().join(name));
        let store = SqliteInformation::open(&filled, vault("")).await.unwrap();
        follow(&store, "bank", 1..=100).await;
        store.close().await;
        // Its keys are those of the rows that it will have.
        let nobody = VaultOptions { companies: Vec::new(), accounts: Vec::new(), ..vault("") };
        SqliteInformation::open(&empty, nobody).await.unwrap().close().await;
        let filled = SqliteYardstick::new(&filled);
        assert!(filled.written().await.unwrap().rows > 200);
        what_was_dumped_is_loaded(&filled, &SqliteYardstick::new(&empty)).await;
    }
}
