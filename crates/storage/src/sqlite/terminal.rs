//! The terminal store on SQLite.
//!
//! Nothing is decided here. Surprising: what only the node reads is bound as one blob that the statement cuts up, because a
//! blob can't stand in the JSON that carries the rows.

use std::path::Path;

use async_trait::async_trait;
use jiff::Timestamp;
use musubi_domain::{id::CarrierId, phone_number::PhoneNumber};
use sqlx::SqliteConnection;

use super::{Database, Packed, instant, micros, rows};
use crate::{
    StoreError,
    terminal::{
        Advance, Batch, Bytes, Line, NewBatch, NewLine, Outbox, Reception, Sender, TalkRoom, Tally,
        TerminalStore,
    },
};

const ROOMS: &str = "
    SELECT talk_room, phone_number, official_account, carrier, step, story FROM talk_rooms
    WHERE talk_room > ?1 ORDER BY talk_room LIMIT ?2";

const ROOMS_OF_A_PHONE: &str = "
    SELECT talk_room, phone_number, official_account, carrier, step, story FROM talk_rooms
    WHERE phone_number = ?3 AND talk_room > ?1 ORDER BY talk_room LIMIT ?2";

/// The terminal store in one SQLite file.
#[derive(Clone)]
pub struct SqliteTerminalStore {
    database: Database,
}

impl SqliteTerminalStore {
    /// Opens the file, makes it when it isn't there, and brings its schema up to date.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when it can't be opened or isn't such a file.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let database = Database::open(path, &sqlx::migrate!("src/sqlite/migrations/terminal")).await?;
        Ok(Self { database })
    }

    /// Writes the log back into the file and closes it.
    pub async fn close(&self) {
        self.database.close().await;
    }
}

#[async_trait]
impl TerminalStore for SqliteTerminalStore {
    async fn add_talk_rooms(&self, talk_rooms: &[TalkRoom], batches: &[NewBatch]) -> Result<i64, StoreError> {
        let failed = StoreError::during("add_talk_rooms");
        let mut packed = Packed::new();
        let new: Vec<_> = talk_rooms
            .iter()
            .map(|room| {
                let (from, length) = packed.put(&room.story.0);
                let (number, account) = (room.phone_number.as_str(), room.official_account.as_str());
                (number, account, room.carrier.as_str(), room.step, from, length)
            })
            .collect();
        let mut transaction = self.database.write("add_talk_rooms").await?;
        let first = sqlx::query_scalar("SELECT coalesce(max(talk_room), 0) + 1 FROM talk_rooms")
            .fetch_one(&mut *transaction)
            .await
            .map_err(&failed)?;
        sqlx::query(
            "INSERT INTO talk_rooms (talk_room, phone_number, official_account, carrier, step, story) \
             SELECT ?3 + key, value ->> 0, value ->> 1, value ->> 2, value ->> 3, \
                    substr(?2, value ->> 4, value ->> 5) FROM json_each(?1)",
        )
        .bind(rows(&new)?)
        .bind(packed.0)
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
            Some(number) => sqlx::query_as(ROOMS_OF_A_PHONE).bind(after).bind(limit).bind(number.as_str()),
            None => sqlx::query_as(ROOMS).bind(after).bind(limit),
        };
        let found: Vec<(i64, String, String, String, u8, Vec<u8>)> =
            query.fetch_all(self.database.read()).await.map_err(StoreError::during("list_talk_rooms"))?;
        found
            .into_iter()
            .map(|(talk_room, phone_number, official_account, carrier, step, story)| {
                Ok(TalkRoom {
                    talk_room,
                    phone_number: phone_number.parse()?,
                    official_account: official_account.parse()?,
                    carrier: carrier.parse()?,
                    step,
                    story: Bytes(story),
                })
            })
            .collect()
    }

    async fn list_lines(&self, talk_rooms: &[i64]) -> Result<Vec<NewLine>, StoreError> {
        let found: Vec<(i64, i64, Option<String>, Vec<u8>)> = sqlx::query_as(
            "SELECT l.talk_room, l.line_time, l.message_id, l.content \
             FROM json_each(?1) AS asked CROSS JOIN lines AS l ON l.talk_room = asked.value \
             ORDER BY l.talk_room, l.line",
        )
        .bind(rows(talk_rooms)?)
        .fetch_all(self.database.read())
        .await
        .map_err(StoreError::during("list_lines"))?;
        found
            .into_iter()
            .map(|(talk_room, line_time, message_id, content)| {
                let line = Line { line_time: instant(line_time)?, message_id, content: Bytes(content) };
                Ok(NewLine { talk_room, line })
            })
            .collect()
    }

    async fn list_senders(&self) -> Result<Vec<Sender>, StoreError> {
        let found: Vec<(String, String, String)> =
            sqlx::query_as("SELECT carrier, official_account, display_name FROM senders")
                .fetch_all(self.database.read())
                .await
                .map_err(StoreError::during("list_senders"))?;
        found
            .into_iter()
            .map(|(carrier, account, display_name)| {
                Ok(Sender { carrier: carrier.parse()?, official_account: account.parse()?, display_name })
            })
            .collect()
    }

    async fn find_shown(&self, messages: &[(i64, &str)]) -> Result<Vec<usize>, StoreError> {
        let found: Vec<i64> = sqlx::query_scalar(
            "SELECT asked.key FROM json_each(?1) AS asked \
             CROSS JOIN lines AS l ON l.talk_room = asked.value ->> 0 AND l.message_id = asked.value ->> 1",
        )
        .bind(rows(messages)?)
        .fetch_all(self.database.read_fresh())
        .await
        .map_err(StoreError::during("find_shown"))?;
        Ok(found.into_iter().filter_map(|place| usize::try_from(place).ok()).collect())
    }

    async fn receive(&self, reception: &Reception) -> Result<(), StoreError> {
        let failed = StoreError::during("receive");
        let mut transaction = self.database.write("receive").await?;
        put_lines(&mut transaction, &reception.lines).await?;
        advance(&mut transaction, "receive", &reception.advances).await?;
        put_batches(&mut transaction, "receive", &reception.batches).await?;
        let senders: Vec<_> = reception
            .senders
            .iter()
            .map(|sender| (sender.carrier.as_str(), sender.official_account.as_str(), &sender.display_name))
            .collect();
        sqlx::query(
            "INSERT INTO senders SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(?1) WHERE true \
             ON CONFLICT DO UPDATE SET display_name = excluded.display_name",
        )
        .bind(rows(&senders)?)
        .execute(&mut *transaction)
        .await
        .map_err(&failed)?;
        add_tally(&mut transaction, "receive", &reception.tally).await?;
        transaction.commit().await.map_err(&failed)
    }

    async fn next_batch(&self, carrier: &CarrierId, now: Timestamp) -> Result<Outbox, StoreError> {
        let failed = StoreError::during("next_batch");
        let due: Option<(i64, u8, u32, Vec<u8>)> = sqlx::query_as(
            "SELECT batch, kind, actions, request FROM outbox \
             WHERE carrier = ?1 AND due_time <= ?2 ORDER BY batch LIMIT 1",
        )
        .bind(carrier.as_str())
        .bind(micros(now))
        .fetch_optional(self.database.read_fresh())
        .await
        .map_err(&failed)?;
        if let Some((batch, kind, actions, request)) = due {
            return Ok(Outbox::Due(Batch { batch, kind, actions, request: Bytes(request) }));
        }
        let later: Option<i64> = sqlx::query_scalar("SELECT min(due_time) FROM outbox WHERE carrier = ?1")
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
        let counts: (i64, i64, i64, i64, i64, i64, i64) = sqlx::query_as(
            "SELECT shown, repeated, tapped, typed, pages, refused, \
                    (SELECT coalesce(sum(actions), 0) FROM outbox) FROM tally",
        )
        .fetch_one(self.database.read())
        .await
        .map_err(StoreError::during("get_tally"))?;
        let [shown, repeated, tapped, typed, pages, refused, pending] =
            <[i64; 7]>::from(counts).map(i64::unsigned_abs);
        Ok((Tally { shown, repeated, tapped, typed, pages, refused }, pending))
    }
}

async fn put_lines(connection: &mut SqliteConnection, lines: &[NewLine]) -> Result<(), StoreError> {
    let mut packed = Packed::new();
    let new: Vec<_> = lines
        .iter()
        .map(|NewLine { talk_room, line }| {
            let (from, length) = packed.put(&line.content.0);
            (talk_room, micros(line.line_time), &line.message_id, from, length)
        })
        .collect();
    sqlx::query(
        "INSERT INTO lines (line, talk_room, line_time, message_id, content) \
         SELECT (SELECT coalesce(max(line), 0) FROM lines) + 1 + key, \
                value ->> 0, value ->> 1, value ->> 2, substr(?2, value ->> 3, value ->> 4) \
         FROM json_each(?1)",
    )
    .bind(rows(&new)?)
    .bind(packed.0)
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
    let new: Vec<_> = advances.iter().map(|advance| (advance.talk_room, advance.step)).collect();
    sqlx::query(
        "UPDATE talk_rooms SET step = new.value ->> 1 FROM json_each(?1) AS new \
         WHERE talk_room = new.value ->> 0",
    )
    .bind(rows(&new)?)
    .execute(connection)
    .await
    .map(drop)
    .map_err(StoreError::during(transaction))
}

/// A row for each: they are few, and each is large.
async fn put_batches(
    connection: &mut SqliteConnection,
    transaction: &'static str,
    batches: &[NewBatch],
) -> Result<(), StoreError> {
    for batch in batches {
        sqlx::query(
            "INSERT INTO outbox (carrier, kind, actions, due_time, request) VALUES (?1, ?2, ?3, ?4, ?5)",
        )
        .bind(batch.carrier.as_str())
        .bind(batch.kind)
        .bind(batch.actions)
        .bind(batch.due_time.map_or(0, micros))
        .bind(batch.request.0.as_slice())
        .execute(&mut *connection)
        .await
        .map_err(StoreError::during(transaction))?;
    }
    Ok(())
}

async fn add_tally(
    connection: &mut SqliteConnection,
    transaction: &'static str,
    tally: &Tally,
) -> Result<(), StoreError> {
    let Tally { shown, repeated, tapped, typed, pages, refused } = *tally;
    let mut query = sqlx::query(
        "UPDATE tally SET shown = shown + ?1, repeated = repeated + ?2, tapped = tapped + ?3, \
                typed = typed + ?4, pages = pages + ?5, refused = refused + ?6",
    );
    for count in [shown, repeated, tapped, typed, pages, refused] {
        query = query.bind(i64::try_from(count).unwrap_or(i64::MAX));
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
        for query in [
            "UPDATE talk_rooms SET step = new.value ->> 1 FROM json_each(?1) AS new \
             WHERE talk_room = new.value ->> 0",
            "SELECT asked.key FROM json_each(?1) AS asked \
             CROSS JOIN lines AS l ON l.talk_room = asked.value ->> 0 AND l.message_id = asked.value ->> 1",
            "SELECT l.talk_room FROM json_each(?1) AS asked \
             CROSS JOIN lines AS l ON l.talk_room = asked.value ORDER BY l.talk_room, l.line",
            ROOMS,
            ROOMS_OF_A_PHONE,
            "SELECT request FROM outbox \
             WHERE carrier = ?1 AND due_time <= ?1 ORDER BY batch LIMIT 1",
            "SELECT min(due_time) FROM outbox WHERE carrier = ?1",
        ] {
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
