//! The terminal store on SQLite.
//!
//! Nothing is decided here. Surprising: what only the node reads is bound as one blob that the statement cuts up, because a
//! blob can't stand in the JSON that carries the rows.

use std::path::Path;

use async_trait::async_trait;
use jiff::Timestamp;
use musubi_domain::{id::CarrierId, phone_number::PhoneNumber};
use sqlx::SqliteConnection;

use super::{Database, instant, micros, rows};
use crate::{
    Opened, StoreError, migrations,
    row::Columns as _,
    terminal::{
        Advance, NewBatch, NewLine, Outbox, Reception, Sender, TalkRoom, Tally, TerminalStore, advance_rows,
        batch_of, batch_rows, line_of, line_rows, room_of, room_rows, sender_of, sender_rows, shown_rows,
        tally_columns, tally_of,
    },
};

const ROOMS: &str = "
    SELECT talk_room, phone_number, official_account, carrier, step, story FROM talk_rooms
    WHERE talk_room > ?1 ORDER BY talk_room LIMIT ?2";

const ROOMS_OF_A_PHONE: &str = "
    SELECT talk_room, phone_number, official_account, carrier, step, story FROM talk_rooms
    WHERE phone_number = ?3 AND talk_room > ?1 ORDER BY talk_room LIMIT ?2";

const LINES: &str = "
    SELECT l.talk_room, l.line_time, l.message_id, l.content
    FROM jsonb_each(?1) AS asked CROSS JOIN lines AS l ON l.talk_room = asked.value
    ORDER BY l.talk_room, l.line";

const SHOWN: &str = "
    SELECT asked.key FROM jsonb_each(?1) AS asked
    CROSS JOIN lines AS l ON l.talk_room = asked.value ->> 0 AND l.message_id = asked.value ->> 1";

const DUE: &str = "
    SELECT batch, kind, actions, request FROM outbox
    WHERE carrier = ?1 AND due_time <= ?2 ORDER BY batch LIMIT 1";

const LATER: &str = "SELECT min(due_time) FROM outbox WHERE carrier = ?1";

const ADVANCE: &str = "
    UPDATE talk_rooms SET step = new.value ->> 1 FROM jsonb_each(?1) AS new
    WHERE talk_room = new.value ->> 0";

/// The terminal store in one SQLite file.
#[derive(Clone)]
pub struct SqliteTerminalStore {
    database: Database,
}

impl SqliteTerminalStore {
    /// Opens the file, makes it when it isn't there, and brings its schema up to date.
    ///
    /// # Errors
    /// [`StoreError::InUse`] and [`StoreError::Unopened`].
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let database = Database::open(path, migrations::SQLITE_TERMINAL).await?;
        Ok(Self { database })
    }
}

#[async_trait]
impl Opened for SqliteTerminalStore {
    async fn close(&self) {
        self.database.close().await;
    }
}

#[async_trait]
impl TerminalStore for SqliteTerminalStore {
    async fn add_talk_rooms(&self, talk_rooms: &[TalkRoom], batches: &[NewBatch]) -> Result<i64, StoreError> {
        let failed = StoreError::during("add_talk_rooms");
        let (new, stories) = room_rows(talk_rooms);
        let mut transaction = self.database.write("add_talk_rooms").await?;
        let first = sqlx::query_scalar("SELECT coalesce(max(talk_room), 0) + 1 FROM talk_rooms")
            .fetch_one(&mut *transaction)
            .await
            .map_err(&failed)?;
        sqlx::query(
            "INSERT INTO talk_rooms (talk_room, phone_number, official_account, carrier, step, story) \
             SELECT ?3 + key, value ->> 0, value ->> 1, value ->> 2, value ->> 3, \
                    substr(?2, value ->> 4, value ->> 5) FROM jsonb_each(?1)",
        )
        .bind(rows(&new)?)
        .bind(stories.0)
        .bind(first)
        .execute(&mut *transaction)
        .await
        .map_err(&failed)?;
        put_batches(&mut transaction, "add_talk_rooms", batches).await?;
        transaction.commit().await.map_err(&failed)?;
        Ok(first)
    }

    async fn list_talk_rooms(
        &self,
        after: i64,
        only: Option<&PhoneNumber>,
        limit: u32,
    ) -> Result<Vec<TalkRoom>, StoreError> {
        let query = match only {
            Some(number) => sqlx::query(ROOMS_OF_A_PHONE).bind(after).bind(limit).bind(number.as_str()),
            None => sqlx::query(ROOMS).bind(after).bind(limit),
        };
        let found =
            query.fetch_all(self.database.read()).await.map_err(StoreError::during("list_talk_rooms"))?;
        found.iter().map(room_of).collect()
    }

    async fn list_lines(&self, talk_rooms: &[i64]) -> Result<Vec<NewLine>, StoreError> {
        let found = sqlx::query(LINES)
            .bind(rows(talk_rooms)?)
            .fetch_all(self.database.read())
            .await
            .map_err(StoreError::during("list_lines"))?;
        found.iter().map(line_of).collect()
    }

    async fn list_senders(&self) -> Result<Vec<Sender>, StoreError> {
        let found = sqlx::query("SELECT carrier, official_account, display_name FROM senders")
            .fetch_all(self.database.read())
            .await
            .map_err(StoreError::during("list_senders"))?;
        found.iter().map(sender_of).collect()
    }

    async fn find_shown(&self, messages: &[(i64, &str)]) -> Result<Vec<usize>, StoreError> {
        let found = sqlx::query(SHOWN)
            .bind(rows(&shown_rows(messages))?)
            .fetch_all(self.database.read_fresh())
            .await
            .map_err(StoreError::during("find_shown"))?;
        found.iter().map(|row| row.small(0)).collect()
    }

    async fn receive(&self, reception: &Reception) -> Result<(), StoreError> {
        let failed = StoreError::during("receive");
        let mut transaction = self.database.write("receive").await?;
        put_lines(&mut transaction, &reception.lines).await?;
        advance(&mut transaction, "receive", &reception.advances).await?;
        put_batches(&mut transaction, "receive", &reception.batches).await?;
        sqlx::query(
            "INSERT INTO senders SELECT value ->> 0, value ->> 1, value ->> 2 FROM jsonb_each(?1) WHERE true \
             ON CONFLICT DO UPDATE SET display_name = excluded.display_name",
        )
        .bind(rows(&sender_rows(&reception.senders))?)
        .execute(&mut *transaction)
        .await
        .map_err(&failed)?;
        add_tally(&mut transaction, "receive", &reception.tally).await?;
        transaction.commit().await.map_err(&failed)
    }

    async fn next_batch(&self, carrier: &CarrierId, now: Timestamp) -> Result<Outbox, StoreError> {
        let failed = StoreError::during("next_batch");
        let due = sqlx::query(DUE)
            .bind(carrier.as_str())
            .bind(micros(now))
            .fetch_optional(self.database.read_fresh())
            .await
            .map_err(&failed)?;
        if let Some(due) = due {
            return batch_of(&due).map(Outbox::Due);
        }
        let later: Option<i64> = sqlx::query_scalar(LATER)
            .bind(carrier.as_str())
            .fetch_one(self.database.read_fresh())
            .await
            .map_err(&failed)?;
        later.map_or(Ok(Outbox::Empty), |later| instant(later).map(Outbox::Later))
    }

    async fn finish_batch(&self, batch: i64, advances: &[Advance], refused: u64) -> Result<(), StoreError> {
        let failed = StoreError::during("finish_batch");
        let mut transaction = self.database.write("finish_batch").await?;
        let taken = sqlx::query("DELETE FROM outbox WHERE batch = ?1")
            .bind(batch)
            .execute(&mut *transaction)
            .await
            .map_err(&failed)?;
        if taken.rows_affected() == 1 {
            advance(&mut transaction, "finish_batch", advances).await?;
            if refused > 0 {
                add_tally(&mut transaction, "finish_batch", &Tally { refused, ..Tally::default() }).await?;
            }
        }
        transaction.commit().await.map_err(&failed)
    }

    async fn get_tally(&self) -> Result<(Tally, u64), StoreError> {
        let found = sqlx::query(
            "SELECT shown, repeated, tapped, typed, pages, refused, \
                    (SELECT coalesce(sum(actions), 0) FROM outbox) FROM tally",
        )
        .fetch_one(self.database.read())
        .await
        .map_err(StoreError::during("get_tally"))?;
        tally_of(&found)
    }
}

async fn put_lines(connection: &mut SqliteConnection, lines: &[NewLine]) -> Result<(), StoreError> {
    let (new, contents) = line_rows(lines);
    sqlx::query(
        "INSERT INTO lines (line, talk_room, line_time, message_id, content) \
         SELECT (SELECT coalesce(max(line), 0) FROM lines) + 1 + key, \
                value ->> 0, value ->> 1, value ->> 2, substr(?2, value ->> 3, value ->> 4) \
         FROM jsonb_each(?1)",
    )
    .bind(rows(&new)?)
    .bind(contents.0)
    .execute(connection)
    .await
    .map(drop)
    .map_err(StoreError::during("receive"))
}

async fn advance(
    connection: &mut SqliteConnection,
    transaction: &'static str,
    advances: &[Advance],
) -> Result<(), StoreError> {
    if advances.is_empty() {
        return Ok(());
    }
    sqlx::query(ADVANCE)
        .bind(rows(&advance_rows(advances))?)
        .execute(connection)
        .await
        .map(drop)
        .map_err(StoreError::during(transaction))
}

async fn put_batches(
    connection: &mut SqliteConnection,
    transaction: &'static str,
    batches: &[NewBatch],
) -> Result<(), StoreError> {
    if batches.is_empty() {
        return Ok(());
    }
    let (new, requests) = batch_rows(batches);
    sqlx::query(
        "INSERT INTO outbox (carrier, kind, actions, due_time, request) \
         SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, substr(?2, value ->> 4, value ->> 5) \
         FROM jsonb_each(?1)",
    )
    .bind(rows(&new)?)
    .bind(requests.0)
    .execute(connection)
    .await
    .map(drop)
    .map_err(StoreError::during(transaction))
}

async fn add_tally(
    connection: &mut SqliteConnection,
    transaction: &'static str,
    tally: &Tally,
) -> Result<(), StoreError> {
    let mut query = sqlx::query(
        "UPDATE tally SET shown = shown + ?1, repeated = repeated + ?2, tapped = tapped + ?3, \
                typed = typed + ?4, pages = pages + ?5, refused = refused + ?6",
    );
    for count in tally_columns(tally) {
        query = query.bind(count);
    }
    query.execute(connection).await.map(drop).map_err(StoreError::during(transaction))
}

#[cfg(test)]
mod tests {
    use sqlx::AssertSqlSafe;

    use super::*;

    async fn open() -> (SqliteTerminalStore, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteTerminalStore::open(&folder.path().join("terminal.db")).await.unwrap();
        (store, folder)
    }

    crate::conformance::terminal::terminal_store_suite!(open());

    #[tokio::test]
    async fn nothing_is_searched_row_by_row() {
        let (store, _folder) = open().await;
        for query in [ROOMS, ROOMS_OF_A_PHONE, LINES, SHOWN, DUE, LATER, ADVANCE] {
            let plan: Vec<(i64, i64, i64, String)> =
                sqlx::query_as(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {query}")))
                    .bind("[]")
                    .fetch_all(store.database.read())
                    .await
                    .unwrap();
            let scans =
                plan.iter().filter(|step| step.3.starts_with("SCAN") && !step.3.contains("VIRTUAL TABLE"));
            assert_eq!(scans.count(), 0, "{query}: {plan:?}");
        }
    }
}
