//! PostgreSQL at its best: COPY of sorted rows into a node's tables, batches of a thousand into one plain table.
//!
//! Surprising: a session of its own, without the settings of a node's, because whole tables are read and sorted here.

use std::{
    ops::Range,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use futures::{TryStreamExt as _, future::try_join_all};
use sqlx::{
    AssertSqlSafe, Executor as _, PgConnection, PgPool, Row as _,
    postgres::{PgPoolCopyExt as _, PgPoolOptions},
    query::Query,
};
use tokio::{
    fs::File,
    io::{AsyncReadExt as _, AsyncWriteExt as _, BufWriter},
};
use uuid::Uuid;

use crate::{
    StoreError,
    yardstick::{Dump, MESSAGES, PLACES, Written, Yardstick, factor},
};

/// Sessions that send plainly at the same time.
const SESSIONS: u64 = 4;

/// How many bytes of a file are read or written at once: each time is a task of its own.
const PART: usize = 1 << 20;
/// How often, and how long each time, it is waited for sessions of others to end, and tell what they wrote.
const ENDINGS: u32 = 100;
const ENDING: Duration = Duration::from_millis(20);

/// A database on a PostgreSQL server.
pub struct PostgresYardstick {
    pool: PgPool,
}

impl PostgresYardstick {
    /// Connects.
    ///
    /// # Errors
    /// [`StoreError::Unreached`].
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        let sessions = u32::try_from(SESSIONS).unwrap_or(u32::MAX);
        let pool = PgPoolOptions::new().max_connections(sessions).connect(url).await;
        Ok(Self { pool: pool.map_err(StoreError::unreached)? })
    }

    /// Tables with a primary key, and its columns.
    async fn tables(&self) -> Result<Vec<(String, String)>, sqlx::Error> {
        const TABLES: &str = "
            SELECT c.relname::text, string_agg(quote_ident(a.attname), ', ' ORDER BY k.place)
            FROM pg_class c JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary,
                unnest(i.indkey) WITH ORDINALITY AS k (number, place), pg_attribute a
            WHERE a.attrelid = c.oid AND a.attnum = k.number AND c.relkind IN ('r', 'p') AND NOT c.relispartition
                AND c.relnamespace = 'public'::regnamespace AND c.relname NOT LIKE '\\_sqlx%'
            GROUP BY c.relname ORDER BY c.relname";
        let rows = sqlx::query(TABLES).fetch_all(&self.pool).await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
    }

    /// Has the plain table there, empty.
    async fn plain(&self) -> Result<(), sqlx::Error> {
        // Room on each page for the second version of a row, which then needs no new entry in the index.
        const TABLE: &str = "
            DROP TABLE IF EXISTS plain_message;
            CREATE TABLE plain_message (message BIGINT PRIMARY KEY, recipient UUID NOT NULL, state SMALLINT NOT NULL,
                change_time BIGINT NOT NULL) WITH (fillfactor = 50)";
        self.pool.execute(TABLE).await.map(drop)
    }

    /// Has so many messages there, from the first on, as a database that has had them for long.
    async fn fill_plain(&self, first: u64, beside: u64) -> Result<(), sqlx::Error> {
        const FILL: &str = "
            INSERT INTO plain_message SELECT m * $3 % $4, gen_random_uuid(), 3, m
            FROM generate_series($1::bigint, $2::bigint) AS m ORDER BY 1";
        let numbers = [first, first + beside - 1, factor(beside), PLACES].map(u64::cast_signed);
        let fill = numbers.into_iter().fold(sqlx::query(FILL), Query::bind);
        fill.execute(&self.pool).await?;
        self.pool.execute("VACUUM (ANALYZE) plain_message").await.map(drop)
    }

    async fn without_plain(&self) -> Result<(), sqlx::Error> {
        self.pool.execute("DROP TABLE plain_message").await.map(drop)
    }

    async fn send(&self, messages: u64, beside: u64) -> Result<Duration, sqlx::Error> {
        self.plain().await?;
        if beside > 0 {
            self.fill_plain(messages, beside).await?;
        }
        let share = messages.div_ceil(SESSIONS);
        let begun = Instant::now();
        let shares = (0..SESSIONS).map(|it| {
            let first = (it * share).min(messages);
            self.send_share(first..(first + share).min(messages), factor(beside))
        });
        try_join_all(shares).await?;
        let took = begun.elapsed();
        self.without_plain().await?;
        Ok(took)
    }

    /// One session's share.
    async fn send_share(&self, messages: Range<u64>, factor: u64) -> Result<(), sqlx::Error> {
        const MOVE: &str = "
            UPDATE plain_message SET state = 3, change_time = new.m
            FROM unnest($1::bigint[]) AS new (m) WHERE plain_message.message = new.m";
        let mut session = self.pool.acquire().await?;
        let batches = || {
            let step = usize::try_from(MESSAGES).unwrap_or(usize::MAX);
            messages.clone().step_by(step).map(|first| first..(first + MESSAGES).min(messages.end))
        };
        for batch in batches() {
            insert(&mut session, batch, factor).await?;
        }
        for batch in batches() {
            let keys = keys(batch, factor);
            sqlx::query(MOVE).bind(&keys).execute(&mut *session).await?;
        }
        Ok(())
    }

    async fn commit(&self, messages: u64) -> Result<Vec<Duration>, sqlx::Error> {
        self.plain().await?;
        let mut session = self.pool.acquire().await?;
        let mut times = Vec::new();
        for message in 0..messages {
            let begun = Instant::now();
            insert(&mut session, message..message + 1, factor(0)).await?;
            times.push(begun.elapsed());
        }
        drop(session);
        self.without_plain().await?;
        Ok(times)
    }
}

/// Messages into the plain table, in one transaction.
async fn insert(session: &mut PgConnection, messages: Range<u64>, factor: u64) -> Result<(), sqlx::Error> {
    const INSERT: &str = "
        INSERT INTO plain_message SELECT m, r, 0, m FROM unnest($1::bigint[], $2::uuid[]) AS new (m, r)";
    let recipients: Vec<Uuid> =
        messages.clone().map(|it| Uuid::from_u64_pair(it.wrapping_mul(0x9E37_79B9_7F4A_7C15), it)).collect();
    let keys = keys(messages, factor);
    sqlx::query(INSERT).bind(&keys).bind(&recipients).execute(session).await.map(drop)
}

fn keys(messages: Range<u64>, factor: u64) -> Vec<i64> {
    messages.map(|message| (message * factor % PLACES).cast_signed()).collect()
}

fn file(place: &Path, table: &str) -> PathBuf {
    place.with_extension(format!("{table}.copy"))
}

#[async_trait]
impl Yardstick for PostgresYardstick {
    async fn written(&self) -> Result<Written, StoreError> {
        const OTHERS: &str = "
            SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()";
        let failed = StoreError::during("yardstick_written");
        for _ in 0..ENDINGS {
            let others: i64 = sqlx::query_scalar(OTHERS).fetch_one(&self.pool).await.map_err(&failed)?;
            if others == 0 {
                break;
            }
            tokio::time::sleep(ENDING).await;
        }
        const WRITTEN: &str = "
            SELECT (pg_current_wal_lsn() - '0/0'::pg_lsn)::bigint,
                (SELECT (tup_inserted + tup_updated + tup_deleted)::bigint FROM pg_stat_database
                 WHERE datname = current_database())";
        let (log, rows): (i64, i64) = sqlx::query_as(WRITTEN).fetch_one(&self.pool).await.map_err(&failed)?;
        Ok(Written { rows: rows.cast_unsigned(), log_bytes: Some(log.cast_unsigned()) })
    }

    async fn settle(&self) -> Result<(), StoreError> {
        let done = self.pool.execute("VACUUM (ANALYZE)").await;
        done.map(drop).map_err(StoreError::during("yardstick_settle"))
    }

    async fn send_plainly(&self, messages: u64, beside: u64) -> Result<Duration, StoreError> {
        self.send(messages, beside).await.map_err(StoreError::during("yardstick_send"))
    }

    async fn commit_one_by_one(&self, messages: u64) -> Result<Vec<Duration>, StoreError> {
        self.commit(messages).await.map_err(StoreError::during("yardstick_commit"))
    }

    async fn dump(&self, place: PathBuf) -> Result<Dump, StoreError> {
        let failed = StoreError::during("yardstick_dump");
        let mut tables = Vec::new();
        for (table, key) in self.tables().await.map_err(&failed)? {
            let path = file(&place, &table);
            let unopened = |source| StoreError::Unopened { path: path.clone(), source };
            let copy = format!("COPY (SELECT * FROM \"{table}\" ORDER BY {key}) TO STDOUT (FORMAT binary)");
            let mut to = BufWriter::with_capacity(PART, File::create(&path).await.map_err(unopened)?);
            let mut rows = self.pool.copy_out_raw(&copy).await.map_err(&failed)?;
            while let Some(part) = rows.try_next().await.map_err(&failed)? {
                to.write_all(&part).await.map_err(unopened)?;
            }
            to.flush().await.map_err(unopened)?;
            drop(rows);
            let count = format!("SELECT count(*) FROM \"{table}\"");
            let count: i64 =
                sqlx::query_scalar(AssertSqlSafe(count)).fetch_one(&self.pool).await.map_err(&failed)?;
            if count > 0 {
                tables.push((table, count.cast_unsigned()));
            }
        }
        Ok(Dump { place, tables })
    }

    async fn load(&self, dump: &Dump) -> Result<Duration, StoreError> {
        let failed = StoreError::during("yardstick_load");
        let mut part = vec![0; PART];
        let begun = Instant::now();
        for (table, _) in &dump.tables {
            let path = file(&dump.place, table);
            let unread = |source| StoreError::Unopened { path: path.clone(), source };
            let mut rows = File::open(&path).await.map_err(unread)?;
            let copy = format!("COPY \"{table}\" FROM STDIN (FORMAT binary)");
            let mut into = self.pool.copy_in_raw(&copy).await.map_err(&failed)?;
            loop {
                let read = rows.read(&mut part).await.map_err(unread)?;
                if read == 0 {
                    break;
                }
                into.send(&part[..read]).await.map_err(&failed)?;
            }
            into.finish().await.map_err(&failed)?;
        }
        Ok(begun.elapsed())
    }

    async fn close(&self) {
        self.pool.close().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Opened as _,
        conformance::{information::follow, vault::vault},
        postgres::{information::PostgresInformation, testing::fresh},
        yardstick::tests::what_was_dumped_is_loaded,
    };

    #[tokio::test]
    async fn what_a_node_wrote_is_loaded_into_the_same_tables() {
        let (filled, _filled) = fresh("information", PostgresInformation::MIGRATIONS).await;
        let (empty, _empty) = fresh("information", PostgresInformation::MIGRATIONS).await;
        let store = PostgresInformation::open(&filled, vault("")).await.unwrap();
        follow(&store, "bank", 1..=100).await;
        store.close().await;
        let filled = PostgresYardstick::open(&filled.url).await.unwrap();
        assert!(filled.written().await.unwrap().log_bytes.unwrap() > 10_000);
        filled.settle().await.unwrap();
        let counted: f32 =
            sqlx::query_scalar("SELECT sum(reltuples) FROM pg_class WHERE relname ~ '^follower_\\d$'")
                .fetch_one(&filled.pool)
                .await
                .unwrap();
        assert_eq!(counted, 100.0);
        what_was_dumped_is_loaded(&filled, &PostgresYardstick::open(&empty.url).await.unwrap()).await;
    }
}
