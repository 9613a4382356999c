//! Counts of deliveries, of followers, of what happens in a day and of taps, moved in the transaction that moves what they count, on SQLite.

use sqlx::{Sqlite, Transaction};

use crate::{StoreError, information::tally::Tally, sqlite::bulk::bulk};

pub(super) const MOVE: &str = "
    WITH k (account, carrier, distribution, purpose, state, count) AS (VALUES ...)
    INSERT INTO delivery_tally (official_account, carrier, distribution, purpose, state, count)
    SELECT account, carrier, distribution, purpose, state, count FROM k WHERE true
    ON CONFLICT (official_account, carrier, distribution, purpose, state) DO UPDATE SET count = count + excluded.count";

/// Of a count, so many have no row any more.
pub(super) const ERASE: &str = "
    WITH k (account, carrier, distribution, purpose, state, count) AS (VALUES ...)
    INSERT INTO delivery_tally (official_account, carrier, distribution, purpose, state, count, erased)
    SELECT account, carrier, distribution, purpose, state, 0, count FROM k WHERE true
    ON CONFLICT (official_account, carrier, distribution, purpose, state) DO UPDATE SET erased = erased + excluded.erased";

pub(super) const MOVE_FOLLOWERS: &str = "
    WITH k (account, carrier, following, state, reached, count) AS (VALUES ...)
    INSERT INTO follower_tally (official_account, carrier, following, state, reached, count)
    SELECT account, carrier, following, state, reached, count FROM k WHERE true
    ON CONFLICT (official_account, carrier, following, state, reached) DO UPDATE SET count = count + excluded.count";

pub(super) const MOVE_DAYS: &str = "
    WITH k (account, day, carrier, event, count) AS (VALUES ...)
    INSERT INTO day_tally (official_account, day, carrier, event, count)
    SELECT account, day, carrier, event, count FROM k WHERE true
    ON CONFLICT (official_account, day, carrier, event) DO UPDATE SET count = count + excluded.count";

pub(super) const TAP: &str = "
    WITH k (distribution, individual, place, count) AS (VALUES ...)
    INSERT INTO tap_tally (distribution, individual, place, count)
    SELECT distribution, individual, place, count FROM k WHERE true
    ON CONFLICT (distribution, individual, place) DO UPDATE SET count = count + excluded.count";

/// Moves the counts.
pub(super) async fn store(
    tally: &Tally,
    tx: &mut Transaction<'_, Sqlite>,
    transaction: &'static str,
) -> Result<(), StoreError> {
    bulk(MOVE, &tally.rows()).execute(&mut **tx).await.map_err(StoreError::during(transaction))
}
