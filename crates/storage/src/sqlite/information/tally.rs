//! Counts of deliveries, of followers, of what happens in a day and of taps, moved in the transaction that moves what they count, on SQLite.

use sqlx::{Sqlite, Transaction};

use crate::{StoreError, information::tally::Tally, sqlite::Many};

pub(super) const MOVE: &str = "
    INSERT INTO delivery_tally (official_account, carrier, distribution, purpose, state, count)
    SELECT value ->> 0, value ->> 1, unhex(value ->> 2), value ->> 3, value ->> 4, value ->> 5 FROM jsonb_each(?1) WHERE true
    ON CONFLICT (official_account, carrier, distribution, purpose, state) DO UPDATE SET count = count + excluded.count";

/// Of a count, so many have no row any more.
pub(super) const ERASE: &str = "
    INSERT INTO delivery_tally (official_account, carrier, distribution, purpose, state, count, erased)
    SELECT value ->> 0, value ->> 1, unhex(value ->> 2), value ->> 3, value ->> 4, 0, value ->> 5 FROM jsonb_each(?1) WHERE true
    ON CONFLICT (official_account, carrier, distribution, purpose, state) DO UPDATE SET erased = erased + excluded.erased";

pub(super) const MOVE_FOLLOWERS: &str = "
    INSERT INTO follower_tally (official_account, carrier, following, state, reached, count)
    SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5 FROM jsonb_each(?1) WHERE true
    ON CONFLICT (official_account, carrier, following, state, reached) DO UPDATE SET count = count + excluded.count";

pub(super) const MOVE_DAYS: &str = "
    INSERT INTO day_tally (official_account, day, carrier, event, count)
    SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4 FROM jsonb_each(?1) WHERE true
    ON CONFLICT (official_account, day, carrier, event) DO UPDATE SET count = count + excluded.count";

pub(super) const TAP: &str = "
    INSERT INTO tap_tally (distribution, individual, place, count)
    SELECT unhex(value ->> 0), value ->> 1, value ->> 2, value ->> 3 FROM jsonb_each(?1) WHERE true
    ON CONFLICT (distribution, individual, place) DO UPDATE SET count = count + excluded.count";

/// What moves the counts, if any moved.
pub(super) fn ready(tally: &Tally) -> Result<Option<Many>, StoreError> {
    Many::of_any(MOVE, &tally.rows())
}

/// Moves the counts.
pub(super) async fn store(
    tally: &Tally,
    tx: &mut Transaction<'_, Sqlite>,
    transaction: &'static str,
) -> Result<(), StoreError> {
    Many::carry_out(ready(tally)?, tx, transaction).await
}
