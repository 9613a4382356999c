//! The terminal store on PostgreSQL.
//!
//! Nothing is decided here. Surprising: whoever writes holds the one row of `head` from the beginning to the commit, because only
//! so do the numbers that readers go by come in the order of the commits; the node writes one reception after another anyway.

use async_trait::async_trait;
use jiff::Timestamp;
use musubi_domain::{id::CarrierId, phone_number::PhoneNumber};

use super::{Database, Migrations, PostgresOptions, Tx};
use crate::{
    Opened, StoreError, migrations,
    row::{BulkRow as _, Columns as _, instant, micros},
    terminal::{
        Advance, BatchRow, LineRow, NewBatch, NewLine, Outbox, Reception, RoomRow, Sender, ShownRow,
        TalkRoom, Tally, TerminalStore, advance_rows, batch_of, batch_rows, line_of, line_rows, room_of,
        room_rows, sender_of, sender_rows, shown_rows, tally_columns, tally_of,
    },
};

/// The schema of the terminal store.
pub static MIGRATIONS: Migrations = Migrations::new(migrations::POSTGRES_TERMINAL);

const ROOMS: &str = "
    SELECT talk_room, phone_number, official_account, carrier, step, story FROM talk_rooms
    WHERE talk_room > $1 ORDER BY talk_room LIMIT $2";

const ROOMS_OF_A_PHONE: &str = "
    SELECT talk_room, phone_number, official_account, carrier, step, story FROM talk_rooms
    WHERE phone_number = $3 AND talk_room > $1 ORDER BY talk_room LIMIT $2";

const LINES: &str = "
    SELECT talk_room, line_time, message_id, content FROM lines
    WHERE talk_room = ANY($1) ORDER BY talk_room, line";

const SHOWN: &str = "
    SELECT asked.place - 1 FROM unnest($1::bigint[], $2::text[]) WITH ORDINALITY AS asked(talk_room, message_id, place)
    JOIN lines USING (talk_room, message_id)";

const DUE: &str = "
    SELECT batch, kind, actions, request FROM outbox
    WHERE carrier = $1 AND due_time <= $2 ORDER BY batch LIMIT 1";

const LATER: &str = "SELECT min(due_time) FROM outbox WHERE carrier = $1";

const ADVANCE: &str = "
    UPDATE talk_rooms SET step = new.step FROM unnest($1::bigint[], $2::smallint[]) AS new(talk_room, step)
    WHERE talk_rooms.talk_room = new.talk_room";

const INSERT_ROOMS: &str = "
    INSERT INTO talk_rooms (talk_room, phone_number, official_account, carrier, step, story)
    SELECT $8 + place, phone_number, official_account, carrier, step, substr($7::bytea, start, length)
    FROM unnest($1::text[], $2::text[], $3::text[], $4::smallint[], $5::int[], $6::int[])
        WITH ORDINALITY AS new(phone_number, official_account, carrier, step, start, length, place)";

const INSERT_LINES: &str = "
    INSERT INTO lines (line, talk_room, line_time, message_id, content)
    SELECT $7 + place, talk_room, line_time, message_id, substr($6::bytea, start, length)
    FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::int[], $5::int[])
        WITH ORDINALITY AS new(talk_room, line_time, message_id, start, length, place)";

const INSERT_BATCHES: &str = "
    INSERT INTO outbox (batch, carrier, kind, actions, due_time, request)
    SELECT $8 + place, carrier, kind, actions, due_time, substr($7::bytea, start, length)
    FROM unnest($1::text[], $2::smallint[], $3::bigint[], $4::bigint[], $5::int[], $6::int[])
        WITH ORDINALITY AS new(carrier, kind, actions, due_time, start, length, place)";

const PUT_SENDERS: &str = "
    INSERT INTO senders (carrier, official_account, display_name)
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[])
    ON CONFLICT (carrier, official_account) DO UPDATE SET display_name = excluded.display_name";

const ADD: &str = "
    UPDATE head SET talk_rooms = talk_rooms + $1, lines = lines + $2, batches = batches + $3, shown = shown + $4,
        repeated = repeated + $5, tapped = tapped + $6, typed = typed + $7, pages = pages + $8, refused = refused + $9
    RETURNING talk_rooms, lines, batches";

/// The terminal store in a PostgreSQL database.
#[derive(Clone)]
pub struct PostgresTerminalStore {
    database: Database,
}

impl PostgresTerminalStore {
    /// Connects to a database whose schema is up to date.
    ///
    /// # Errors
    /// [`StoreError::Unreached`], [`StoreError::Unsafe`] and [`StoreError::Schema`].
    pub async fn open(options: &PostgresOptions) -> Result<Self, StoreError> {
        Ok(Self { database: Database::open(options, &MIGRATIONS).await? })
    }
}

#[async_trait]
impl Opened for PostgresTerminalStore {
    async fn close(&self) {
        self.database.close().await;
    }
}

#[async_trait]
impl TerminalStore for PostgresTerminalStore {
    async fn add_talk_rooms(&self, talk_rooms: &[TalkRoom], batches: &[NewBatch]) -> Result<i64, StoreError> {
        let (new, stories) = room_rows(talk_rooms);
        let mut write = self.database.write("add_talk_rooms").await?;
        let added = Added { talk_rooms: new.len(), batches: batches.len(), ..Added::default() };
        let before = add(&mut write, &added).await?;
        let insert = RoomRow::bind(sqlx::query(INSERT_ROOMS), &new).bind(stories.0).bind(before.talk_rooms);
        write.execute(insert).await?;
        put_batches(&mut write, before.batches, batches).await?;
        write.commit().await?;
        Ok(before.talk_rooms + 1)
    }

    async fn list_talk_rooms(
        &self,
        after: i64,
        only: Option<&PhoneNumber>,
        limit: u32,
    ) -> Result<Vec<TalkRoom>, StoreError> {
        let query = match only {
            Some(number) => {
                sqlx::query(ROOMS_OF_A_PHONE).bind(after).bind(i64::from(limit)).bind(number.as_str())
            }
            None => sqlx::query(ROOMS).bind(after).bind(i64::from(limit)),
        };
        let found =
            query.fetch_all(self.database.read()).await.map_err(StoreError::during("list_talk_rooms"))?;
        found.iter().map(room_of).collect()
    }

    async fn list_lines(&self, talk_rooms: &[i64]) -> Result<Vec<NewLine>, StoreError> {
        let found = sqlx::query(LINES)
            .bind(talk_rooms)
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
        let found = ShownRow::bind(sqlx::query(SHOWN), &shown_rows(messages))
            .fetch_all(self.database.read())
            .await
            .map_err(StoreError::during("find_shown"))?;
        found.iter().map(|row| row.small(0)).collect()
    }

    async fn receive(&self, reception: &Reception) -> Result<(), StoreError> {
        let Reception { lines, advances, batches, senders, tally } = reception;
        let mut write = self.database.write("receive").await?;
        let added = Added { lines: lines.len(), batches: batches.len(), tally: *tally, ..Added::default() };
        let before = add(&mut write, &added).await?;
        put_lines(&mut write, before.lines, lines).await?;
        write.write(ADVANCE, &advance_rows(advances)).await?;
        put_batches(&mut write, before.batches, batches).await?;
        write.write(PUT_SENDERS, &sender_rows(senders)).await?;
        write.commit().await
    }

    async fn next_batch(&self, carrier: &CarrierId, now: Timestamp) -> Result<Outbox, StoreError> {
        let failed = StoreError::during("next_batch");
        let due = sqlx::query(DUE)
            .bind(carrier.as_str())
            .bind(micros(now))
            .fetch_optional(self.database.read())
            .await
            .map_err(&failed)?;
        if let Some(due) = due {
            return batch_of(&due).map(Outbox::Due);
        }
        let later: Option<i64> = sqlx::query_scalar(LATER)
            .bind(carrier.as_str())
            .fetch_one(self.database.read())
            .await
            .map_err(&failed)?;
        later.map_or(Ok(Outbox::Empty), |later| instant(later).map(Outbox::Later))
    }

    async fn finish_batch(&self, batch: i64, advances: &[Advance], refused: u64) -> Result<(), StoreError> {
        let mut write = self.database.write("finish_batch").await?;
        let tally = Tally { refused, ..Tally::default() };
        add(&mut write, &Added { tally, ..Added::default() }).await?;
        if write.execute(sqlx::query("DELETE FROM outbox WHERE batch = $1").bind(batch)).await? == 0 {
            // Rolled back, with what it added.
            return Ok(());
        }
        write.write(ADVANCE, &advance_rows(advances)).await?;
        write.commit().await
    }

    async fn get_tally(&self) -> Result<(Tally, u64), StoreError> {
        let found = sqlx::query(
            "SELECT shown, repeated, tapped, typed, pages, refused, \
                    (SELECT coalesce(sum(actions), 0)::bigint FROM outbox) FROM head",
        )
        .fetch_one(self.database.read())
        .await
        .map_err(StoreError::during("get_tally"))?;
        tally_of(&found)
    }
}

/// What a transaction adds to what there is.
#[derive(Default)]
struct Added {
    talk_rooms: usize,
    lines: usize,
    batches: usize,
    tally: Tally,
}

/// The last numbers that were given before.
struct Before {
    talk_rooms: i64,
    lines: i64,
    batches: i64,
}

/// Takes the head and adds to it.
async fn add(write: &mut Tx, added: &Added) -> Result<Before, StoreError> {
    let numbers = [added.talk_rooms, added.lines, added.batches]
        .map(|number| i64::try_from(number).unwrap_or(i64::MAX));
    let mut query = sqlx::query(ADD);
    for number in numbers.into_iter().chain(tally_columns(&added.tally)) {
        query = query.bind(number);
    }
    let [talk_rooms, lines, batches] = numbers;
    let head = write.fetch_one(query).await?;
    Ok(Before {
        talk_rooms: head.int(0)? - talk_rooms,
        lines: head.int(1)? - lines,
        batches: head.int(2)? - batches,
    })
}

async fn put_lines(write: &mut Tx, before: i64, lines: &[NewLine]) -> Result<(), StoreError> {
    let (new, contents) = line_rows(lines);
    let insert = LineRow::bind(sqlx::query(INSERT_LINES), &new).bind(contents.0).bind(before);
    write.execute(insert).await.map(drop)
}

async fn put_batches(write: &mut Tx, before: i64, batches: &[NewBatch]) -> Result<(), StoreError> {
    let (new, requests) = batch_rows(batches);
    let insert = BatchRow::bind(sqlx::query(INSERT_BATCHES), &new).bind(requests.0).bind(before);
    write.execute(insert).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::testing::{Fresh, fresh, goes_by};

    async fn open() -> (PostgresTerminalStore, Fresh) {
        let (options, fresh) = fresh("terminal", &MIGRATIONS).await;
        (PostgresTerminalStore::open(&options).await.unwrap(), fresh)
    }

    crate::conformance::terminal::terminal_store_suite!(open());

    #[tokio::test]
    async fn nothing_is_searched_row_by_row() {
        let (store, _fresh) = open().await;
        for (statement, index) in [
            (ROOMS, "talk_rooms_pkey"),
            (ROOMS_OF_A_PHONE, "talk_rooms"),
            (LINES, "lines_of_talk_room"),
            (SHOWN, "lines_of_talk_room"),
            (DUE, "outbox_of_carrier"),
            (LATER, "outbox_of_carrier"),
            (ADVANCE, "talk_rooms_pkey"),
        ] {
            goes_by(store.database.read(), index, statement).await;
        }
    }
}
