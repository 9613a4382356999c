//! Loads what a unit of work concerns, and locks it: a query for each kind of thing, none for each follower.

use musubi_domain::guess::Count;

use crate::{
    StoreError,
    information::{
        before::is_shared,
        changed::{GuessKeyRow, KeyRow, guess_key_row, key_rows},
        erasure::erasure_of,
        flow::{GuessKey, Scope, Work, accounts_of_many},
        record::{Interned, count_of, key_of, keys_of, record_of},
    },
    postgres::Tx,
    row::{BulkRow as _, Columns as _, bulk_rows},
    vault::Keys,
};

pub(super) const LOCK: &str = "
    SELECT k.account, k.follower FROM unnest($1::text[], $2::uuid[]) AS k (account, follower)
    CROSS JOIN LATERAL (
        SELECT 1 FROM follower AS f WHERE f.official_account = k.account AND f.follower = k.follower
        FOR NO KEY UPDATE) AS f";

pub(super) const FOLLOWERS: &str = "
    SELECT f.official_account, f.follower, f.phone_number, f.carrier, f.following, f.follow_time,
           d.dialogue_id, d.turn, d.state, d.step, d.messages, d.reminders, d.unreadable, d.tries, d.reached,
           d.due_time, d.state_time, d.given, d.proposed_customer, d.reasons,
           t.tie_id, t.customer_id, t.method, t.tie_time, t.expire_time, t.suspended,
           i.inquiry_id, i.company, i.subject, i.due_time, f.former_customer,
           r.review_id, r.company, r.dialogue_id, r.inquiry_id, r.proposed_customer, r.method, r.reasons, r.sealed, r.state,
           r.decisions, r.open_time, r.expire_time, r.close_time, s.subscriptions,
           t.proved_time, t.silent_time, t.ask_time, t.doubt, d.shown_text, f.suspended
    FROM unnest($1::text[], $2::uuid[]) AS k (account, follower)
    CROSS JOIN LATERAL (SELECT * FROM follower AS f
        WHERE f.official_account = k.account AND f.follower = k.follower OFFSET 0) AS f
    LEFT JOIN LATERAL (SELECT * FROM dialogue AS d
        WHERE d.official_account = k.account AND d.follower = k.follower OFFSET 0) AS d ON true
    LEFT JOIN LATERAL (SELECT * FROM customer_information AS t
        WHERE t.official_account = k.account AND t.follower = k.follower OFFSET 0) AS t ON true
    LEFT JOIN LATERAL (SELECT * FROM inquiry AS i
        WHERE i.official_account = k.account AND i.follower = k.follower OFFSET 0) AS i ON true
    LEFT JOIN LATERAL (SELECT * FROM review AS r
        WHERE r.official_account = k.account AND r.follower = k.follower AND r.state < 2 OFFSET 0) AS r ON true
    CROSS JOIN LATERAL (
        SELECT coalesce(json_agg(json_build_array(s.carrier, s.following::integer, s.change_time) ORDER BY s.carrier), '[]')::text
            AS subscriptions
        FROM subscription AS s WHERE s.official_account = k.account AND s.follower = k.follower) AS s";

pub(super) const ERASED: &str = "
    SELECT e.official_account, e.follower, e.company, e.cause, e.request_time, e.ask_time
    FROM unnest($1::text[], $2::uuid[]) AS k (account, follower)
    CROSS JOIN LATERAL (SELECT * FROM erasure AS e
        WHERE e.official_account = k.account AND e.follower = k.follower OFFSET 0) AS e";

/// Whether anybody of these accounts was ever erased.
pub(super) const ANY_ERASED: &str = "
    SELECT 1 FROM unnest($1::text[]) AS k (account)
    WHERE EXISTS (SELECT 1 FROM erasure AS e WHERE e.official_account = k.account) LIMIT 1";

pub(super) const TIED: &str = "
    SELECT t.official_account, t.follower, t.customer_id FROM unnest($1::text[], $2::text[]) AS k (account, customer)
    CROSS JOIN LATERAL (SELECT * FROM tied_customer AS t
        WHERE t.official_account = k.account AND t.customer_id = k.customer OFFSET 0) AS t";

pub(super) const EVENTS: &str = "
    SELECT i.event_id FROM unnest($2::text[]) AS k (event)
    CROSS JOIN LATERAL (SELECT * FROM inbox AS i WHERE i.carrier = $1 AND i.event_id = k.event OFFSET 0) AS i";

pub(super) const GUESSES: &str = "
    SELECT g.company, g.axis, g.subject, g.charged, g.window_end
    FROM unnest($1::text[], $2::bigint[], $3::bytea[]) AS k (company, axis, subject)
    CROSS JOIN LATERAL (SELECT * FROM guess AS g
        WHERE g.company = k.company AND g.axis = k.axis AND g.subject = k.subject FOR NO KEY UPDATE) AS g";

pub(super) const SHARED_GUESSES: &str = "
    SELECT g.company, g.axis, g.subject, g.charged, g.window_end
    FROM unnest($1::text[], $2::bigint[], $3::bytea[]) AS k (company, axis, subject)
    CROSS JOIN LATERAL (SELECT * FROM guess AS g
        WHERE g.company = k.company AND g.axis = k.axis AND g.subject = k.subject OFFSET 0) AS g";

bulk_rows! {
    /// A customer of an account.
    CustomerKeyRow<'a> { account: &'a str, customer: &'a str, }
}

/// Loads a scope. Locks are taken in the order of the keys, followers first. Those who are new aren't there to be loaded.
pub(super) async fn load(
    tx: &mut Tx,
    (scope, are_new): (&Scope, bool),
    sealing: &Keys,
) -> Result<Work, StoreError> {
    let mut work = Work::default();
    // For those who come, too.
    work.followers.reserve(scope.followers.len());
    let mut concerned = if are_new { Vec::new() } else { scope.followers.clone() };
    if !scope.customers.is_empty() {
        let keys = scope.customers.iter();
        let keys: Vec<_> = keys
            .map(|(account, customer)| CustomerKeyRow {
                account: account.as_str(),
                customer: customer.as_str(),
            })
            .collect();
        // Not locked: a tie that moves before its followers are locked makes the unit fail on the customer's key, and begin again.
        let mut accounts = Interned::default();
        for row in &tx.fetch(CustomerKeyRow::bind(sqlx::query(TIED), &keys)).await? {
            let key = key_of(row, &mut accounts)?;
            concerned.push(key.clone());
            work.tied.insert((key.account.clone(), row.text(2)?.parse()?), key);
        }
    }
    if !concerned.is_empty() {
        let keys = key_rows(&concerned);
        let known = keys_of(&tx.fetch(KeyRow::bind(sqlx::query(LOCK), &keys)).await?)?;
        let loaded = if known.is_empty() {
            Vec::new()
        } else {
            tx.fetch(KeyRow::bind(sqlx::query(FOLLOWERS), &key_rows(&known))).await?
        };
        let mut accounts = Interned::default();
        for row in &loaded {
            work.followers.insert(key_of(row, &mut accounts)?, record_of(row, sealing)?);
        }
    }
    let accounts = accounts_of_many(&scope.erased);
    let has_any =
        accounts.is_empty() || tx.fetch_optional(sqlx::query(ANY_ERASED).bind(&accounts)).await?.is_some();
    if !scope.erased.is_empty() && has_any {
        let erased = key_rows(&scope.erased);
        for row in &tx.fetch(KeyRow::bind(sqlx::query(ERASED), &erased)).await? {
            work.erased.insert(key_of(row, &mut Interned::default())?, erasure_of(row)?);
        }
    }
    if let Some((carrier, events)) = &scope.events {
        let seen = tx.fetch(sqlx::query(EVENTS).bind(carrier.as_str()).bind(events)).await?;
        work.seen = seen.iter().map(|row| Ok(row.text(0)?.to_owned())).collect::<Result<_, StoreError>>()?;
    }
    if !scope.guesses.is_empty() {
        work.guesses = counts(tx, &scope.guesses).await?.into_iter().collect();
        work.counted = scope.guesses.iter().cloned().collect();
    }
    Ok(work)
}

/// Loads counts of guesses, those that exist, and holds them; those of whole companies it only reads.
pub(super) async fn counts(tx: &mut Tx, keys: &[GuessKey]) -> Result<Vec<(GuessKey, Count)>, StoreError> {
    let mut keys: Vec<&GuessKey> = keys.iter().collect();
    keys.sort_unstable();
    keys.dedup();
    let mut found = Vec::with_capacity(keys.len());
    let (shared, own): (Vec<_>, Vec<_>) = keys.into_iter().partition(|key| is_shared(key));
    for (sql, keys) in [(GUESSES, own), (SHARED_GUESSES, shared)] {
        let keys: Vec<_> = keys.into_iter().map(guess_key_row).collect();
        if !keys.is_empty() {
            found.extend(tx.fetch(GuessKeyRow::bind(sqlx::query(sql), &keys)).await?);
        }
    }
    found.iter().map(count_of).collect()
}

/// Holds counts that were only read. The keys are in their order.
pub(super) async fn hold(tx: &mut Tx, keys: &[GuessKey]) -> Result<Vec<(GuessKey, Count)>, StoreError> {
    let keys: Vec<_> = keys.iter().map(guess_key_row).collect();
    tx.fetch(GuessKeyRow::bind(sqlx::query(GUESSES), &keys)).await?.iter().map(count_of).collect()
}
