//! Loads what a unit of work concerns: a query for each kind of thing, none for each follower.

use musubi_domain::guess::Count;
use sqlx::{Sqlite, Transaction};

use crate::{
    StoreError,
    information::{
        changed::{guess_key_row, key_rows},
        erasure::erasure_of,
        flow::{GuessKey, Scope, Work, accounts_of_many},
        record::{Interned, key_of, record_of},
    },
    row::Columns as _,
    sqlite::{Many, rows},
    vault::Keys,
};

pub(super) const FOLLOWERS: &str = "
    SELECT f.official_account, f.follower, f.phone_number, f.carrier, f.following, f.follow_time,
           d.dialogue_id, d.turn, d.state, d.step, d.messages, d.reminders, d.unreadable, d.tries, d.reached,
           d.due_time, d.state_time, d.given, d.proposed_customer, d.reasons,
           t.tie_id, t.customer_id, t.method, t.tie_time, t.expire_time, t.suspended,
           i.inquiry_id, i.company, i.subject, i.due_time, f.former_customer,
           r.review_id, r.company, r.dialogue_id, r.inquiry_id, r.proposed_customer, r.method, r.reasons, r.sealed, r.state,
           r.decisions, r.open_time, r.expire_time, r.close_time,
           (SELECT json_group_array(json_array(s.carrier, s.following, s.change_time))
            FROM subscription AS s WHERE s.number = f.number),
           t.proved_time, t.silent_time, t.ask_time, t.doubt, d.shown_text, f.suspended
    FROM jsonb_each(?1) AS k
    CROSS JOIN follower AS f ON f.official_account = k.value ->> 0 AND f.follower = unhex(k.value ->> 1)
    LEFT JOIN dialogue AS d ON d.number = f.number
    LEFT JOIN customer_information AS t ON t.number = f.number
    LEFT JOIN inquiry AS i ON i.number = f.number
    LEFT JOIN review AS r ON r.official_account = f.official_account AND r.follower = f.follower AND r.state < 2";

pub(super) const ERASED: &str = "
    SELECT e.official_account, e.follower, e.company, e.cause, e.request_time, e.ask_time FROM jsonb_each(?1) AS k
    CROSS JOIN erasure AS e ON e.official_account = k.value ->> 0 AND e.follower = unhex(k.value ->> 1)";

pub(super) const ANY_ERASED: &str = "
    SELECT 1 FROM jsonb_each(?1) AS k WHERE EXISTS (SELECT 1 FROM erasure AS e WHERE e.official_account = k.value) LIMIT 1";

pub(super) const TIED: &str = "
    SELECT f.official_account, f.follower, t.customer_id FROM jsonb_each(?1) AS k
    CROSS JOIN customer_information AS t ON t.official_account = k.value ->> 0 AND t.customer_id = k.value ->> 1
    CROSS JOIN follower AS f ON f.number = t.number";

pub(super) const EVENTS: &str = "
    SELECT i.event_id FROM jsonb_each(?2) AS k CROSS JOIN inbox AS i ON i.carrier = ?1 AND i.event_id = k.value";

pub(super) const GUESSES: &str = "
    SELECT k.key, g.charged, g.window_end FROM jsonb_each(?1) AS k
    CROSS JOIN guess AS g ON g.company = k.value ->> 0 AND g.axis = k.value ->> 1 AND g.subject = unhex(k.value ->> 2)";

/// Whether anybody of these accounts was ever erased.
pub(super) async fn any_erased(
    tx: &mut Transaction<'_, Sqlite>,
    transaction: &'static str,
    accounts: &[&str],
) -> Result<bool, StoreError> {
    let found = sqlx::query(ANY_ERASED).bind(rows(accounts)?).fetch_optional(&mut **tx).await;
    found.map(|found| found.is_some()).map_err(StoreError::during(transaction))
}

/// Loads a scope.
pub(super) async fn load(
    tx: &mut Transaction<'_, Sqlite>,
    transaction: &'static str,
    scope: &Scope,
    sealing: &Keys,
) -> Result<Work, StoreError> {
    let mut work = Work::default();
    // For those who come, too.
    work.followers.reserve(scope.followers.len());
    let failed = StoreError::during(transaction);
    let mut concerned = scope.followers.clone();
    if !scope.customers.is_empty() {
        let keys: Vec<_> =
            scope.customers.iter().map(|(account, customer)| (account.as_str(), customer.as_str())).collect();
        let loaded = sqlx::query(TIED).bind(rows(&keys)?).fetch_all(&mut **tx).await.map_err(&failed)?;
        let mut accounts = Interned::default();
        for row in &loaded {
            let key = key_of(row, &mut accounts)?;
            concerned.push(key.clone());
            work.tied.insert((key.account.clone(), row.text(2)?.parse()?), key);
        }
    }
    if !concerned.is_empty() {
        let many = Many::of(FOLLOWERS, &key_rows(&concerned))?.query();
        let loaded = many.fetch_all(&mut **tx).await.map_err(&failed)?;
        let mut accounts = Interned::default();
        for row in &loaded {
            work.followers.insert(key_of(row, &mut accounts)?, record_of(row, sealing)?);
        }
    }
    let accounts = accounts_of_many(&scope.erased);
    let has_any = accounts.is_empty() || any_erased(tx, transaction, &accounts).await?;
    if !scope.erased.is_empty() && has_any {
        let erased = rows(&key_rows(&scope.erased))?;
        for row in &sqlx::query(ERASED).bind(erased).fetch_all(&mut **tx).await.map_err(&failed)? {
            work.erased.insert(key_of(row, &mut Interned::default())?, erasure_of(row)?);
        }
    }
    if let Some((carrier, events)) = &scope.events {
        let seen = sqlx::query_scalar(EVENTS)
            .bind(carrier.as_str())
            .bind(rows(events)?)
            .fetch_all(&mut **tx)
            .await
            .map_err(&failed)?;
        work.seen = seen.into_iter().collect();
    }
    if !scope.guesses.is_empty() {
        work.guesses = counts(tx, transaction, &scope.guesses).await?.into_iter().collect();
        work.counted = scope.guesses.iter().cloned().collect();
    }
    Ok(work)
}

/// Loads counts of guesses: those that exist.
pub(super) async fn counts(
    tx: &mut Transaction<'_, Sqlite>,
    transaction: &'static str,
    keys: &[GuessKey],
) -> Result<Vec<(GuessKey, Count)>, StoreError> {
    let mut keys: Vec<&GuessKey> = keys.iter().collect();
    keys.sort_unstable();
    // All who try at one company share a count.
    keys.dedup();
    let rows: Vec<_> = keys.iter().map(|key| guess_key_row(key)).collect();
    let many = Many::of(GUESSES, &rows)?.query();
    let loaded = many.fetch_all(&mut **tx).await.map_err(StoreError::during(transaction))?;
    let mut counts = Vec::with_capacity(loaded.len());
    for row in &loaded {
        let asked = keys.get(row.small::<usize>(0)?);
        let asked = asked.ok_or_else(|| StoreError::Corrupt("a count that nobody asked for".to_owned()))?;
        counts.push(((*asked).clone(), Count { charged: row.small(1)?, window_end: row.maybe_instant(2)? }));
    }
    Ok(counts)
}
