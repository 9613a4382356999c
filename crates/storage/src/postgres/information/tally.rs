//! Counts of deliveries, of followers, of what happens in a day and of taps, moved in the transaction that moves what they count, each in the shard of its session.
//!
//! They are the last that a transaction writes, and in the order of their keys, so that two that move the same ones wait for one
//! another shortly and never in a circle.

use crate::{StoreError, information::tally::Tally, postgres::Tx};

const MOVE: &str = "
    INSERT INTO delivery_tally AS t (official_account, carrier, distribution, purpose, state, shard, count)
    SELECT k.account, k.carrier, k.distribution, k.purpose, k.state, pg_backend_pid() % 16, k.count
    FROM unnest($1::text[], $2::text[], $3::bytea[], $4::bigint[], $5::bigint[], $6::bigint[])
        AS k (account, carrier, distribution, purpose, state, count)
    ON CONFLICT (official_account, carrier, distribution, purpose, state, shard)
        DO UPDATE SET count = t.count + excluded.count";

/// Of a count, so many have no row any more.
pub(super) const ERASE: &str = "
    INSERT INTO delivery_tally AS t (official_account, carrier, distribution, purpose, state, shard, count, erased)
    SELECT k.account, k.carrier, k.distribution, k.purpose, k.state, pg_backend_pid() % 16, 0, k.count
    FROM unnest($1::text[], $2::text[], $3::bytea[], $4::bigint[], $5::bigint[], $6::bigint[])
        AS k (account, carrier, distribution, purpose, state, count)
    ON CONFLICT (official_account, carrier, distribution, purpose, state, shard)
        DO UPDATE SET erased = t.erased + excluded.erased";

pub(super) const MOVE_FOLLOWERS: &str = "
    INSERT INTO follower_tally AS t (official_account, carrier, following, state, reached, shard, count)
    SELECT k.account, k.carrier, k.following, k.state, k.reached, pg_backend_pid() % 16, k.count
    FROM unnest($1::text[], $2::text[], $3::boolean[], $4::bigint[], $5::bigint[], $6::bigint[])
        AS k (account, carrier, following, state, reached, count)
    ON CONFLICT (official_account, carrier, following, state, reached, shard)
        DO UPDATE SET count = t.count + excluded.count";

pub(super) const MOVE_DAYS: &str = "
    INSERT INTO day_tally AS t (official_account, day, carrier, event, shard, count)
    SELECT k.account, k.day, k.carrier, k.event, pg_backend_pid() % 16, k.count
    FROM unnest($1::text[], $2::bigint[], $3::text[], $4::bigint[], $5::bigint[]) AS k (account, day, carrier, event, count)
    ON CONFLICT (official_account, day, carrier, event, shard) DO UPDATE SET count = t.count + excluded.count";

pub(super) const TAP: &str = "
    INSERT INTO tap_tally AS t (distribution, individual, place, shard, count)
    SELECT k.distribution, k.individual, k.place, pg_backend_pid() % 16, k.count
    FROM unnest($1::uuid[], $2::boolean[], $3::bigint[], $4::bigint[]) AS k (distribution, individual, place, count)
    ON CONFLICT (distribution, individual, place, shard) DO UPDATE SET count = t.count + excluded.count";

/// Moves the counts.
pub(super) async fn store(tally: &Tally, tx: &mut Tx) -> Result<(), StoreError> {
    tx.write(MOVE, &tally.rows()).await.map(drop)
}
