//! Loads what a unit of work concerns: a query for each kind of thing, none for each follower.

use jiff::Timestamp;
use musubi_domain::{
    customer::GivenAccount,
    delivery::DeliveryState,
    dialogue::{Dialogue, Stage, State},
    eligibility::Tie,
    guess::{Axis, Count},
    id::{DialogueId, InquiryId, MessageId, TieId},
};
use sqlx::{Sqlite, Transaction, sqlite::SqliteRow};

use super::{Interned, key_of, review::review_of};
use crate::{
    StoreError,
    information::{
        FollowerKey,
        flow::{FollowerRecord, GuessKey, Inquiry, Matched, Scope, Subscription, TieRecord, Work},
    },
    sqlite::{at_place, bytes16, get, hex, instant, place, rows, small},
};

pub(super) const FOLLOWERS: &str = "
    SELECT f.official_account, f.follower, f.phone_number, f.carrier, f.following, f.follow_time,
           d.dialogue_id, d.turn, d.state, d.step, d.messages, d.reminders, d.unreadable, d.tries, d.reached,
           d.due_time, d.state_time, d.branch_number, d.account_number, d.proposed_customer, d.reasons,
           t.tie_id, t.customer_id, t.method, t.tie_time, t.expire_time, t.suspended,
           i.inquiry_id, i.company, i.branch_number, i.account_number, i.identity, i.due_time, f.former_customer,
           r.review_id, r.company, r.dialogue_id, r.inquiry_id, r.proposed_customer, r.method, r.reasons, r.sealed, r.state,
           r.decisions, r.open_time, r.expire_time, r.close_time,
           (SELECT json_group_array(json_array(s.carrier, s.following, s.change_time))
            FROM subscription AS s WHERE s.number = f.number)
    FROM json_each(?1) AS k
    CROSS JOIN follower AS f ON f.official_account = k.value ->> 0 AND f.follower = unhex(k.value ->> 1)
    LEFT JOIN dialogue AS d ON d.number = f.number
    LEFT JOIN customer_information AS t ON t.number = f.number
    LEFT JOIN inquiry AS i ON i.number = f.number
    LEFT JOIN review AS r ON r.official_account = f.official_account AND r.follower = f.follower AND r.state < 2";

pub(super) const TIED: &str = "
    SELECT f.official_account, f.follower, t.customer_id FROM json_each(?1) AS k
    CROSS JOIN customer_information AS t ON t.official_account = k.value ->> 0 AND t.customer_id = k.value ->> 1
    CROSS JOIN follower AS f ON f.number = t.number";

pub(super) const EVENTS: &str = "
    SELECT i.event_id FROM json_each(?2) AS k CROSS JOIN inbox AS i ON i.carrier = ?1 AND i.event_id = k.value";

pub(super) const MESSAGES: &str = "
    SELECT m.message_id, m.state FROM json_each(?1) AS k
    CROSS JOIN delivery AS m ON m.message_id = unhex(k.value ->> 2)
    CROSS JOIN follower AS f ON f.number = m.number
        AND f.official_account = k.value ->> 0 AND f.follower = unhex(k.value ->> 1)";

pub(super) const GUESSES: &str = "
    SELECT g.company, g.axis, g.subject, g.charged, g.window_end FROM json_each(?1) AS k
    CROSS JOIN guess AS g ON g.company = k.value ->> 0 AND g.axis = k.value ->> 1 AND g.subject = unhex(k.value ->> 2)";

/// Loads a scope.
pub(super) async fn load(
    tx: &mut Transaction<'_, Sqlite>,
    transaction: &'static str,
    scope: &Scope,
) -> Result<Work, StoreError> {
    let mut work = Work::default();
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
            work.tied.insert((key.account.clone(), get::<&str>(row, 2)?.parse()?), key);
        }
    }
    if !concerned.is_empty() {
        let keys = key_rows(&concerned)?;
        let loaded = sqlx::query(FOLLOWERS).bind(&keys).fetch_all(&mut **tx).await.map_err(&failed)?;
        let mut accounts = Interned::default();
        work.followers.reserve(loaded.len());
        for row in &loaded {
            work.followers.insert(key_of(row, &mut accounts)?, record_of(row)?);
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
    if !scope.messages.is_empty() {
        let keys: Vec<_> = scope.messages.iter().map(|(key, id)| message_row(key, *id)).collect();
        let loaded = sqlx::query(MESSAGES).bind(rows(&keys)?).fetch_all(&mut **tx).await.map_err(&failed)?;
        for row in &loaded {
            let state = at_place(&DeliveryState::ALL, get(row, 1)?)?;
            work.messages.insert(MessageId::from_bytes(bytes16(row, 0)?), state);
        }
    }
    if !scope.guesses.is_empty() {
        let keys: Vec<_> = scope
            .guesses
            .iter()
            .map(|key| (key.company.as_str(), place(&Axis::ALL, &key.axis), hex(&key.subject)))
            .collect();
        let loaded = sqlx::query(GUESSES).bind(rows(&keys)?).fetch_all(&mut **tx).await.map_err(&failed)?;
        for row in &loaded {
            let key = GuessKey {
                company: get::<&str>(row, 0)?.parse()?,
                axis: at_place(&Axis::ALL, get(row, 1)?)?,
                subject: get(row, 2)?,
            };
            let count = Count { charged: small(row, 3)?, window_end: optional_instant(get(row, 4)?)? };
            work.guesses.insert(key, count);
        }
    }
    Ok(work)
}

/// Follower keys as rows of the parameter: each once, because two events of one follower name it twice, and in the order
/// of the tables.
pub(super) fn key_rows(keys: &[FollowerKey]) -> Result<String, StoreError> {
    let mut keys: Vec<&FollowerKey> = keys.iter().collect();
    keys.sort_unstable();
    keys.dedup();
    let keys: Vec<_> = keys.iter().map(|key| (key.account.as_str(), hex(key.follower.as_bytes()))).collect();
    rows(&keys)
}

/// A delivery's key as a row of the parameter.
pub(super) fn message_row(key: &FollowerKey, id: MessageId) -> (&str, String, String) {
    (key.account.as_str(), hex(key.follower.as_bytes()), hex(id.as_bytes()))
}

fn subscriptions_of(json: &str) -> Result<Vec<Subscription>, StoreError> {
    let rows: Vec<(&str, i64, i64)> = serde_json::from_str(json)
        .map_err(|_| StoreError::Corrupt("subscriptions are no JSON rows".to_owned()))?;
    let read = |(carrier, following, change_time): (&str, i64, i64)| {
        Ok(Subscription {
            carrier: carrier.parse()?,
            following: following != 0,
            change_time: instant(change_time)?,
        })
    };
    rows.into_iter().map(read).collect()
}

fn record_of(row: &SqliteRow) -> Result<FollowerRecord, StoreError> {
    let reasons = get::<Option<&str>>(row, 20)?.unwrap_or("[]");
    Ok(FollowerRecord {
        phone_number: get::<&str>(row, 2)?.parse()?,
        carrier: get::<&str>(row, 3)?.parse()?,
        following: get(row, 4)?,
        follow_time: instant(get(row, 5)?)?,
        subscriptions: subscriptions_of(get(row, 47)?)?,
        dialogue: dialogue_of(row)?,
        matched: Matched {
            proposed_customer: get::<Option<&str>>(row, 19)?.map(str::parse).transpose()?,
            reasons: serde_json::from_str(reasons)
                .map_err(|_| StoreError::Corrupt("reasons are no JSON array".to_owned()))?,
        },
        tie: tie_of(row)?,
        former_customer: get::<Option<&str>>(row, 33)?.map(str::parse).transpose()?,
        inquiry: get::<Option<&[u8]>>(row, 27)?.map(|_| inquiry_of(row, 27)).transpose()?,
        review: get::<Option<&[u8]>>(row, 34)?.map(|_| review_of(row, 34)).transpose()?,
    })
}

fn dialogue_of(row: &SqliteRow) -> Result<Option<Dialogue>, StoreError> {
    if get::<Option<&[u8]>>(row, 6)?.is_none() {
        return Ok(None);
    }
    let account_number: Option<String> = get(row, 18)?;
    let branch_number = get(row, 17)?;
    Ok(Some(Dialogue {
        id: DialogueId::from_bytes(bytes16(row, 6)?),
        turn: small(row, 7)?,
        state: at_place(&State::ALL, get(row, 8)?)?,
        step: small(row, 9)?,
        messages: small(row, 10)?,
        reminders: small(row, 11)?,
        unreadable: small(row, 12)?,
        tries: small(row, 13)?,
        reached: at_place(&Stage::ALL, get(row, 14)?)?,
        due_time: optional_instant(get(row, 15)?)?,
        state_time: instant(get(row, 16)?)?,
        given: account_number.map(|account_number| GivenAccount { branch_number, account_number }),
    }))
}

fn tie_of(row: &SqliteRow) -> Result<Option<TieRecord>, StoreError> {
    if get::<Option<&[u8]>>(row, 21)?.is_none() {
        return Ok(None);
    }
    let tie = Tie {
        id: TieId::from_bytes(bytes16(row, 21)?),
        customer_id: get::<&str>(row, 22)?.parse()?,
        suspended: get(row, 26)?,
        expire_time: instant(get(row, 25)?)?,
    };
    Ok(Some(TieRecord { tie, method: get::<&str>(row, 23)?.parse()?, tie_time: instant(get(row, 24)?)? }))
}

/// Reads an inquiry from six columns: id, company, branch, account, identity, due time.
pub(super) fn inquiry_of(row: &SqliteRow, first: usize) -> Result<Inquiry, StoreError> {
    Ok(Inquiry {
        id: InquiryId::from_bytes(bytes16(row, first)?),
        company: get::<&str>(row, first + 1)?.parse()?,
        account: GivenAccount { branch_number: get(row, first + 2)?, account_number: get(row, first + 3)? },
        identity: serde_json::from_str(get(row, first + 4)?)
            .map_err(|_| StoreError::Corrupt("an identity is no JSON".to_owned()))?,
        due_time: instant(get(row, first + 5)?)?,
    })
}

fn optional_instant(micros: Option<i64>) -> Result<Option<Timestamp>, StoreError> {
    micros.map(instant).transpose()
}
