//! Stores what a unit of work changed, a statement for each kind of thing.
//!
//! What is new is inserted without `ON CONFLICT`: when another unit made the same follower, count or event in the meantime, this
//! one fails on the key and begins again.

use std::collections::BTreeSet;

use jiff::Timestamp;
use musubi_domain::delivery::{DeliveryState, Purpose};

use super::{
    load::hold,
    review,
    tally::{self, MOVE_DAYS, MOVE_FOLLOWERS, TAP},
};
use crate::{
    StoreError,
    information::{
        FollowerKey,
        before::{Before, SharedRow},
        changed::{
            Changed, DeliveryRow, KeyRow, added_rows, audit_rows, consent_rows, delivery_rows, key_rows,
        },
        erasure::erasure_rows,
        flow::{Edit, NewDelivery, Scope, Work},
        tally::{Tally, TallyKey, tap_rows},
    },
    postgres::{Tx, audit},
    row::{BulkRow as _, Columns as _, micros, place},
    vault::Keys,
};

const FOLLOW: &str = "
    INSERT INTO follower (official_account, follower, phone_number, carrier, following, follow_time, former_customer,
        suspended, outcome)
    SELECT * FROM unnest($1::text[], $2::uuid[], $3::bytea[], $4::text[], $5::boolean[], $6::bigint[], $7::text[],
        $8::boolean[], $9::bigint[])";

pub(super) const FOLLOWERS: &str = "
    UPDATE follower AS f SET carrier = k.carrier, following = k.following, follow_time = k.follow_time,
        former_customer = k.former, suspended = k.suspended, outcome = k.outcome
    FROM unnest($1::text[], $2::uuid[], $3::bytea[], $4::text[], $5::boolean[], $6::bigint[], $7::text[], $8::boolean[],
        $9::bigint[]) AS k (account, follower, number, carrier, following, follow_time, former, suspended, outcome)
    WHERE f.official_account = k.account AND f.follower = k.follower";

// What a new follower has is new, too.
const NEW_SUBSCRIPTIONS: &str = "
    INSERT INTO subscription (official_account, follower, carrier, following, change_time)
    SELECT * FROM unnest($1::text[], $2::uuid[], $3::text[], $4::boolean[], $5::bigint[])";

const SUBSCRIPTIONS: &str = "
    INSERT INTO subscription (official_account, follower, carrier, following, change_time)
    SELECT * FROM unnest($1::text[], $2::uuid[], $3::text[], $4::boolean[], $5::bigint[])
    ON CONFLICT (official_account, follower, carrier) DO UPDATE SET
        following = excluded.following, change_time = excluded.change_time";

const NEW_DIALOGUES: &str = "
    INSERT INTO dialogue (official_account, follower, dialogue_id, turn, state, step, messages, reminders, unreadable,
        tries, reached, due_time, state_time, given, proposed_customer, reasons, shown_text)
    SELECT * FROM unnest($1::text[], $2::uuid[], $3::uuid[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[],
        $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[], $14::bytea[], $15::text[],
        $16::text[], $17::bytea[])";

const DIALOGUES: &str = "
    INSERT INTO dialogue (official_account, follower, dialogue_id, turn, state, step, messages, reminders, unreadable,
        tries, reached, due_time, state_time, given, proposed_customer, reasons, shown_text)
    SELECT * FROM unnest($1::text[], $2::uuid[], $3::uuid[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[],
        $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[], $14::bytea[], $15::text[],
        $16::text[], $17::bytea[])
    ON CONFLICT (official_account, follower) DO UPDATE SET
        dialogue_id = excluded.dialogue_id, turn = excluded.turn, state = excluded.state, step = excluded.step,
        messages = excluded.messages, reminders = excluded.reminders, unreadable = excluded.unreadable,
        tries = excluded.tries, reached = excluded.reached, due_time = excluded.due_time,
        state_time = excluded.state_time, given = excluded.given, proposed_customer = excluded.proposed_customer,
        reasons = excluded.reasons, shown_text = excluded.shown_text";

const CONSENTS: &str = "
    INSERT INTO consent (official_account, follower, dialogue_id, kind, text, carrier, give_time)
    SELECT * FROM unnest($1::text[], $2::uuid[], $3::uuid[], $4::bigint[], $5::bytea[], $6::text[], $7::bigint[])
    ON CONFLICT DO NOTHING";

// Who waits for it already is left alone.
pub(super) const ERASURES: &str = "
    INSERT INTO erasure AS e (official_account, follower, company, cause, request_time, ask_time, due_time)
    SELECT * FROM unnest($1::text[], $2::uuid[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[])
    ON CONFLICT (official_account, follower) DO UPDATE SET
        company = excluded.company, cause = excluded.cause, request_time = excluded.request_time,
        ask_time = excluded.ask_time, due_time = excluded.due_time
    WHERE e.due_time IS NULL";

pub(super) const FREE_CUSTOMERS: &str = "
    DELETE FROM tied_customer AS c USING (
        SELECT t.official_account, t.customer_id FROM unnest($1::text[], $2::uuid[]) AS k (account, follower)
        CROSS JOIN LATERAL (SELECT * FROM customer_information AS t
            WHERE t.official_account = k.account AND t.follower = k.follower OFFSET 0) AS t) AS t
    WHERE c.official_account = t.official_account AND c.customer_id = t.customer_id";

const TIE_CUSTOMERS: &str = "
    INSERT INTO tied_customer (official_account, follower, customer_id)
    SELECT * FROM unnest($1::text[], $2::uuid[], $3::text[])";

const TIES: &str = "
    INSERT INTO customer_information (official_account, follower, tie_id, customer_id, method, tie_time, expire_time,
        suspended, proved_time, silent_time, ask_time, doubt)
    SELECT * FROM unnest($1::text[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::bigint[], $7::bigint[], $8::boolean[],
        $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[])
    ON CONFLICT (official_account, follower) DO UPDATE SET
        tie_id = excluded.tie_id, customer_id = excluded.customer_id, method = excluded.method,
        tie_time = excluded.tie_time, expire_time = excluded.expire_time, suspended = excluded.suspended,
        proved_time = excluded.proved_time, silent_time = excluded.silent_time, ask_time = excluded.ask_time,
        doubt = excluded.doubt";

const INQUIRIES: &str = "
    INSERT INTO inquiry (official_account, follower, inquiry_id, company, subject, due_time)
    SELECT * FROM unnest($1::text[], $2::uuid[], $3::uuid[], $4::text[], $5::bytea[], $6::bigint[])
    ON CONFLICT (official_account, follower) DO UPDATE SET
        inquiry_id = excluded.inquiry_id, company = excluded.company, subject = excluded.subject,
        due_time = excluded.due_time";

pub(super) const END_TIES: &str = "
    DELETE FROM customer_information AS t USING unnest($1::text[], $2::uuid[]) AS k (account, follower)
    WHERE t.official_account = k.account AND t.follower = k.follower";

pub(super) const END_INQUIRIES: &str = "
    DELETE FROM inquiry AS i USING unnest($1::text[], $2::uuid[]) AS k (account, follower)
    WHERE i.official_account = k.account AND i.follower = k.follower";

const TAKEN: &str =
    "INSERT INTO inbox (carrier, event_id, take_time) SELECT $1, k, $3 FROM unnest($2::text[]) AS k";

const NEW_GUESSES: &str = "
    INSERT INTO guess (company, axis, subject, charged, window_end)
    SELECT * FROM unnest($1::text[], $2::bigint[], $3::bytea[], $4::bigint[], $5::bigint[])";

pub(super) const GUESSES: &str = "
    UPDATE guess AS g SET charged = k.charged, window_end = k.window_end
    FROM unnest($1::text[], $2::bigint[], $3::bytea[], $4::bigint[], $5::bigint[])
        AS k (company, axis, subject, charged, window_end)
    WHERE g.company = k.company AND g.axis = k.axis AND g.subject = k.subject";

pub(super) const END_GUESSES: &str = "
    DELETE FROM guess AS g USING unnest($1::text[], $2::bigint[], $3::bytea[]) AS k (company, axis, subject)
    WHERE g.company = k.company AND g.axis = k.axis AND g.subject = k.subject";

pub(super) const DELIVERIES: &str = "
    INSERT INTO delivery (official_account, follower, message_id, carrier, distribution, purpose, state, attempts,
        due_time, expire_time, dialogue_id, step, change_time)
    SELECT k.account, k.follower, k.message, k.carrier, '', k.purpose, 0, 0, k.due_time, k.expire_time, k.dialogue, k.step, $10
    FROM unnest($1::text[], $2::uuid[], $3::uuid[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[], $8::uuid[],
        $9::bigint[]) AS k (account, follower, message, carrier, purpose, due_time, expire_time, dialogue, step)
    WHERE EXISTS (SELECT 1 FROM follower AS f WHERE f.official_account = k.account AND f.follower = k.follower OFFSET 0)
    ON CONFLICT DO NOTHING
    RETURNING official_account, carrier, purpose";

pub(super) const WITHDRAWN: &str = "
    UPDATE delivery AS m SET state = 7, change_time = $3
    FROM unnest($1::text[], $2::uuid[]) AS k (account, follower)
    WHERE m.official_account = k.account AND m.follower = k.follower AND m.state = 0
    RETURNING m.official_account, m.carrier, m.distribution, m.purpose";

const ADDED: &str = "
    INSERT INTO subscriber_list AS l (official_account, carrier, added_by_event, added_by_list)
    SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[])
    ON CONFLICT (official_account, carrier) DO UPDATE SET
        added_by_event = l.added_by_event + excluded.added_by_event,
        added_by_list = l.added_by_list + excluded.added_by_list";

/// Stores the difference between what was loaded and what it became.
pub(super) async fn save(
    tx: &mut Tx,
    (scope, keys): (&Scope, &Keys),
    before: &Before,
    work: &Work,
    now: Timestamp,
) -> Result<(), StoreError> {
    let changed = Changed::of(before, work, keys)?;
    tx.write(FOLLOW, &changed.new_followers).await?;
    tx.write(FOLLOWERS, &changed.followers).await?;
    tx.write(NEW_SUBSCRIPTIONS, &changed.new_subscriptions).await?;
    tx.write(SUBSCRIPTIONS, &changed.subscriptions).await?;
    tx.write(NEW_DIALOGUES, &changed.new_dialogues).await?;
    tx.write(DIALOGUES, &changed.dialogues).await?;
    // A tie may go from one number to another in one unit, and a customer has one at a time.
    let retied = changed.tied_customers.iter();
    let retied: Vec<_> =
        retied.map(|tied| KeyRow { account: tied.account, follower: tied.follower }).collect();
    tx.write(FREE_CUSTOMERS, &retied).await?;
    tx.write(FREE_CUSTOMERS, &changed.ended_ties).await?;
    tx.write(END_TIES, &changed.ended_ties).await?;
    tx.write(TIE_CUSTOMERS, &changed.tied_customers).await?;
    tx.write(TIES, &changed.ties).await?;
    tx.write(INQUIRIES, &changed.inquiries).await?;
    tx.write(END_INQUIRIES, &changed.ended_inquiries).await?;
    tx.write(review::SAVE, &changed.reviews).await?;
    tx.write(CONSENTS, &consent_rows(&work.consents)).await?;
    tx.write(ERASURES, &erasure_rows(work.erasures.iter().map(|(it, due)| (it, *due)))).await?;
    if let Some((carrier, _)) = scope.events.as_ref().filter(|_| !work.taken.is_empty()) {
        // An event that stands twice in a batch is taken once.
        let taken: BTreeSet<&String> = work.taken.iter().collect();
        let taken: Vec<_> = taken.into_iter().collect();
        tx.execute(sqlx::query(TAKEN).bind(carrier.as_str()).bind(taken).bind(micros(now))).await?;
    }
    tx.write(NEW_GUESSES, &changed.new_guesses).await?;
    tx.write(GUESSES, &changed.guesses).await?;
    tx.write(END_GUESSES, &changed.ended_guesses).await?;
    let mut tally = Tally::default();
    // What is made now outlives a withdrawal in the same unit: who leaves and comes back in one batch is asked again.
    withdraw(tx, &work.withdrawn, now, &mut tally).await?;
    deliver(tx, &work.deliveries, now, &mut tally).await?;
    let moved = changed.moves.lines(keys)?;
    let lines: Vec<_> = audit_rows(&work.audits).into_iter().chain(moved.rows()).collect();
    audit::write(tx, &lines, now).await?;
    tx.write(MOVE_FOLLOWERS, &changed.tally.rows()).await?;
    tx.write(MOVE_DAYS, &changed.days.rows(now)).await?;
    tx.write(TAP, &tap_rows(&work.taps)).await?;
    tally::store(&tally, tx).await?;
    // The last of all, because all who come to a list wait here for one another.
    tx.write(ADDED, &added_rows(&work.added)).await.map(drop)
}

/// Stores what the unit has moved of the counts of whole companies, which are held from here to the commit. `save` comes before.
///
/// # Errors
/// Also when the edit would by now come to something else: the transaction begins again.
pub(super) async fn settle(
    tx: &mut Tx,
    before: &mut Before,
    (work, edit): (&Work, Edit<'_>),
) -> Result<(), StoreError> {
    let keys = before.moved_shared(work);
    if keys.is_empty() {
        return Ok(());
    }
    let held = hold(tx, &keys).await?;
    let settled = before.settle((&keys, held), (work, edit));
    let (made, moved) = settled.map_err(|overtaken| overtaken.during(tx.name()))?;
    tx.write(NEW_GUESSES, &made.iter().map(SharedRow::row).collect::<Vec<_>>()).await?;
    tx.write(GUESSES, &moved.iter().map(SharedRow::row).collect::<Vec<_>>()).await.map(drop)
}

async fn withdraw(
    tx: &mut Tx,
    followers: &[FollowerKey],
    now: Timestamp,
    tally: &mut Tally,
) -> Result<(), StoreError> {
    if followers.is_empty() {
        return Ok(());
    }
    let keys = key_rows(followers);
    for row in tx.fetch(KeyRow::bind(sqlx::query(WITHDRAWN), &keys).bind(micros(now))).await? {
        tally.moved(&row, DeliveryState::Queued, DeliveryState::Revoked)?;
    }
    Ok(())
}

async fn deliver(
    tx: &mut Tx,
    deliveries: &[NewDelivery],
    now: Timestamp,
    tally: &mut Tally,
) -> Result<(), StoreError> {
    if deliveries.is_empty() {
        return Ok(());
    }
    let rows = delivery_rows(deliveries);
    for row in tx.fetch(DeliveryRow::bind(sqlx::query(DELIVERIES), &rows).bind(micros(now))).await? {
        let purpose = row.one_of(&Purpose::ALL, 2)?;
        tally.add(TallyKey::new(row.text(0)?, row.text(1)?, &[], place(&Purpose::ALL, &purpose), 0), 1);
    }
    Ok(())
}
