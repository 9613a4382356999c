//! Distributions walked over their followers by claims, on PostgreSQL.

use musubi_domain::id::{DistributionId, FollowerId};
use sqlx::postgres::PgRow;

use super::expansion::{ADVANCE_CURSOR, message};
use crate::{
    StoreError,
    information::{
        claiming::{CARRIER, Next, Started, Walk},
        delivery::{Claim, Claimed},
        tally::Tally,
    },
    postgres::Tx,
    row::{BulkRow as _, Columns as _, Id, bulk_rows, micros},
    vault::Keys,
};

pub(super) const WALKING: &str = "
    SELECT official_account, cursor, expire_time FROM distribution
    WHERE distribution_id = $1 AND state = 1 AND coalesce(start_time, 0) <= $2 AND expire_time > $2 AND NOT expanded
    FOR NO KEY UPDATE";

pub(super) const NEXT_FOLLOWERS: &str = "
    SELECT follower, carrier FROM follower
    WHERE official_account = $1 AND follower > $2 AND following ORDER BY follower LIMIT $3 FOR SHARE";

pub(super) const STANDING: &str = "
    SELECT k.follower, f.carrier, f.phone_number, f.suspended, t.tie_id, t.customer_id, t.expire_time, t.suspended,
           t.proved_time, t.silent_time, t.ask_time, t.doubt, v.variables
    FROM unnest($3::uuid[]) AS k (follower)
    CROSS JOIN LATERAL (SELECT * FROM follower AS f
        WHERE f.official_account = $1 AND f.follower = k.follower OFFSET 0) AS f
    LEFT JOIN LATERAL (SELECT * FROM customer_information AS t
        WHERE t.official_account = $1 AND t.follower = k.follower OFFSET 0) AS t ON true
    LEFT JOIN LATERAL (SELECT * FROM distribution_value AS v
        WHERE v.distribution = $2 AND v.customer_id = t.customer_id OFFSET 0) AS v ON true";

// No two walks make the same: the cursor moves in the same transaction, with the distribution locked.
pub(super) const MAKE: &str = "
    INSERT INTO delivery (official_account, follower, message_id, carrier, distribution, purpose, state, attempts, due_time,
        expire_time, tie_id, customer_id, change_time)
    SELECT $1, k.follower, k.message, k.carrier, $2, k.purpose, k.state, k.attempts, k.due_time, $3, k.tie, k.customer, $4
    FROM unnest($5::uuid[], $6::uuid[], $7::text[], $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[], $12::uuid[],
        $13::text[]) AS k (follower, message, carrier, purpose, state, attempts, due_time, tie, customer)";

bulk_rows! {
    /// A delivery that a claim made.
    MadeRow<'a> {
        follower: Id,
        message: Id,
        carrier: &'a str,
        purpose: i64,
        state: i64,
        attempts: i64,
        due_time: i64,
        tie: Option<Id>,
        customer: Option<&'a str>,
    }
}

/// Makes deliveries for the next followers of a distribution, and starts attempts at those over the claim's carrier.
pub(super) async fn walk(
    tx: &mut Tx,
    (claim, keys): (&Claim, &Keys),
    id: DistributionId,
    tally: &mut Tally,
) -> Result<Claimed, StoreError> {
    let distribution = Id::of(id.as_bytes());
    let walking = sqlx::query(WALKING).bind(distribution).bind(micros(claim.now));
    let Some(walking) = tx.fetch_optional(walking).await? else { return Ok(Claimed::default()) };
    let (account, expire_time) = (walking.text(0)?, walking.int(2)?);
    let (mut next, mut followers) = (Next::new(claim), Vec::new());
    let mut after = Id::of(&walking.id(1)?);
    while next.goes_on() {
        let page = sqlx::query(NEXT_FOLLOWERS).bind(account).bind(after).bind(i64::from(claim.limit));
        let page = tx.fetch(page).await?;
        for row in next.take(&page)? {
            after = Id::of(&row.id(0)?);
            followers.push(after);
        }
    }
    let standing = sqlx::query(STANDING).bind(account).bind(distribution).bind(&followers);
    let standing = tx.fetch(standing).await?;
    let message_of = |row: &PgRow| Ok(message(id, FollowerId::from_bytes(row.id(0)?)));
    let walk = Walk {
        account: account.parse()?,
        expire_time: walking.instant(2)?,
        followers: &standing,
        message: &message_of,
    };
    let started = Started::walked(claim, &walk, keys)?;
    let mut made = Vec::with_capacity(standing.len());
    for (row, it) in standing.iter().zip(&started.moves) {
        let (tie, customer) = it.pinned_to();
        made.push(MadeRow {
            follower: Id::of(it.key.follower.as_bytes()),
            message: Id::of(it.message_id.as_bytes()),
            carrier: row.text(CARRIER)?,
            purpose: it.purpose,
            state: it.state,
            attempts: i64::from(it.attempts),
            due_time: it.due_time,
            tie,
            customer,
        });
    }
    let make =
        sqlx::query(MAKE).bind(account).bind(&id.as_bytes()[..]).bind(expire_time).bind(micros(claim.now));
    tx.execute(MadeRow::bind(make, &made)).await?;
    let advance = sqlx::query(ADVANCE_CURSOR).bind(distribution).bind(followers.last()).bind(next.done);
    tx.execute(advance).await?;
    Ok(started.claimed(!next.done, tally))
}
