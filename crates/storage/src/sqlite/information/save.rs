//! Stores what a unit of work changed, a statement for each kind of thing.

use jiff::Timestamp;
use musubi_domain::delivery::DeliveryState;
use sqlx::{
    Arguments as _, Sqlite, Transaction,
    error::BoxDynError,
    sqlite::{SqliteArguments, SqliteRow},
};

use super::{
    audit::audit,
    review,
    tally::{self, MOVE_DAYS, MOVE_FOLLOWERS, TAP},
};
use crate::{
    StoreError,
    information::{
        FollowerKey,
        changed::{Before, Changed, FollowerRow, added_rows, consent_rows, delivery_rows, key_rows},
        erasure::erasure_rows,
        flow::{NewDelivery, Scope, Work},
        tally::{Tally, TallyKey, tap_rows},
    },
    row::{Columns as _, micros},
    sqlite::bulk::{Values, bulk},
    vault::Keys,
};

/// The last number that was given.
pub(super) const LAST_NUMBER: &str = "
    SELECT max(coalesce((SELECT max(number) FROM follower), 0), coalesce((SELECT max(number) FROM erasure), 0))";

// Who was erased and comes back gets their number again, so that a distribution under way doesn't reach them twice; nobody else ever does.
pub(super) const FOLLOW: &str = "
    WITH k (number, account, follower, phone_number, carrier, following, follow_time, former_customer, suspended, outcome)
        AS (VALUES ...)
    INSERT INTO follower (number, official_account, follower, phone_number, carrier, following, follow_time, former_customer,
        suspended, outcome)
    SELECT coalesce(e.number, k.number), k.account, k.follower, k.phone_number, k.carrier, k.following, k.follow_time,
        k.former_customer, k.suspended, k.outcome
    FROM k LEFT JOIN erasure AS e ON e.official_account = k.account AND e.follower = k.follower";

pub(super) const FOLLOWERS: &str = "
    WITH k (account, follower, phone_number, carrier, following, follow_time, former_customer, suspended, outcome)
        AS (VALUES ...)
    UPDATE follower SET carrier = k.carrier, following = k.following, follow_time = k.follow_time,
        former_customer = k.former_customer, suspended = k.suspended, outcome = k.outcome
    FROM k WHERE follower.official_account = k.account AND follower.follower = k.follower";

pub(super) const SUBSCRIPTIONS: &str = "
    WITH k (account, follower, carrier, following, change_time) AS (VALUES ...)
    INSERT INTO subscription (number, carrier, following, change_time)
    SELECT f.number, k.carrier, k.following, k.change_time
    FROM k CROSS JOIN follower AS f ON f.official_account = k.account AND f.follower = k.follower
    WHERE true
    ON CONFLICT (number, carrier) DO UPDATE SET
        following = excluded.following, change_time = excluded.change_time";

pub(super) const DIALOGUES: &str = "
    WITH k (account, follower, dialogue, turn, state, step, messages, reminders, unreadable, tries, reached, due_time,
        state_time, given, proposed_customer, reasons, shown_text) AS (VALUES ...)
    INSERT INTO dialogue (number, dialogue_id, turn, state, step, messages, reminders, unreadable,
        tries, reached, due_time, state_time, given, proposed_customer, reasons, shown_text)
    SELECT f.number, k.dialogue, k.turn, k.state, k.step, k.messages, k.reminders, k.unreadable, k.tries, k.reached,
        k.due_time, k.state_time, k.given, k.proposed_customer, k.reasons, k.shown_text
    FROM k CROSS JOIN follower AS f ON f.official_account = k.account AND f.follower = k.follower
    WHERE true
    ON CONFLICT (number) DO UPDATE SET
        dialogue_id = excluded.dialogue_id, turn = excluded.turn, state = excluded.state, step = excluded.step,
        messages = excluded.messages, reminders = excluded.reminders, unreadable = excluded.unreadable,
        tries = excluded.tries, reached = excluded.reached, due_time = excluded.due_time,
        state_time = excluded.state_time, given = excluded.given, proposed_customer = excluded.proposed_customer,
        reasons = excluded.reasons, shown_text = excluded.shown_text";

pub(super) const CONSENTS: &str = "
    WITH k (account, follower, dialogue, kind, text, carrier, give_time) AS (VALUES ...)
    INSERT INTO consent (number, dialogue_id, kind, text, carrier, give_time)
    SELECT f.number, k.dialogue, k.kind, k.text, k.carrier, k.give_time
    FROM k CROSS JOIN follower AS f ON f.official_account = k.account AND f.follower = k.follower
    WHERE true
    ON CONFLICT DO NOTHING";

// Who waits for it already is left alone.
pub(super) const ERASURES: &str = "
    WITH k (account, follower, company, cause, request_time, ask_time, due_time) AS (VALUES ...)
    INSERT INTO erasure (official_account, follower, company, cause, request_time, ask_time, due_time)
    SELECT account, follower, company, cause, request_time, ask_time, due_time FROM k WHERE true
    ON CONFLICT (official_account, follower) DO UPDATE SET
        company = excluded.company, cause = excluded.cause, request_time = excluded.request_time,
        ask_time = excluded.ask_time, due_time = excluded.due_time
    WHERE erasure.due_time IS NULL";

pub(super) const TIES: &str = "
    WITH k (account, follower, tie, customer, method, tie_time, expire_time, suspended, proved_time, silent_time, ask_time,
        doubt) AS (VALUES ...)
    INSERT INTO customer_information (number, official_account, tie_id, customer_id, method, tie_time, expire_time,
        suspended, proved_time, silent_time, ask_time, doubt)
    SELECT f.number, f.official_account, k.tie, k.customer, k.method, k.tie_time, k.expire_time, k.suspended, k.proved_time,
        k.silent_time, k.ask_time, k.doubt
    FROM k CROSS JOIN follower AS f ON f.official_account = k.account AND f.follower = k.follower
    WHERE true
    ON CONFLICT (number) DO UPDATE SET
        tie_id = excluded.tie_id, customer_id = excluded.customer_id, method = excluded.method,
        tie_time = excluded.tie_time, expire_time = excluded.expire_time, suspended = excluded.suspended,
        proved_time = excluded.proved_time, silent_time = excluded.silent_time, ask_time = excluded.ask_time,
        doubt = excluded.doubt";

pub(super) const INQUIRIES: &str = "
    WITH k (account, follower, inquiry, company, subject, due_time) AS (VALUES ...)
    INSERT INTO inquiry (number, inquiry_id, company, subject, due_time)
    SELECT f.number, k.inquiry, k.company, k.subject, k.due_time
    FROM k CROSS JOIN follower AS f ON f.official_account = k.account AND f.follower = k.follower
    WHERE true
    ON CONFLICT (number) DO UPDATE SET
        inquiry_id = excluded.inquiry_id, company = excluded.company, subject = excluded.subject,
        due_time = excluded.due_time";

pub(super) const END_TIES: &str = "
    WITH k (account, follower) AS (VALUES ...)
    DELETE FROM customer_information WHERE number IN
        (SELECT f.number FROM k CROSS JOIN follower AS f ON f.official_account = k.account AND f.follower = k.follower)";

pub(super) const END_INQUIRIES: &str = "
    WITH k (account, follower) AS (VALUES ...)
    DELETE FROM inquiry WHERE number IN
        (SELECT f.number FROM k CROSS JOIN follower AS f ON f.official_account = k.account AND f.follower = k.follower)";

pub(super) const TAKEN: &str = "
    WITH k (event_id) AS (VALUES ...)
    INSERT INTO inbox (event_id, carrier, take_time) SELECT event_id, ?, ? FROM k WHERE true ON CONFLICT DO NOTHING";

pub(super) const GUESSES: &str = "
    WITH k (company, axis, subject, charged, window_end) AS (VALUES ...)
    INSERT INTO guess (company, axis, subject, charged, window_end)
    SELECT company, axis, subject, charged, window_end FROM k WHERE true
    ON CONFLICT (company, axis, subject) DO UPDATE SET charged = excluded.charged, window_end = excluded.window_end";

pub(super) const END_GUESSES: &str = "
    WITH k (company, axis, subject) AS (VALUES ...)
    DELETE FROM guess WHERE (company, axis, subject) IN (SELECT company, axis, subject FROM k)";

pub(super) const DELIVERIES: &str = "
    WITH k (account, follower, message, carrier, purpose, due_time, expire_time, dialogue, step) AS (VALUES ...)
    INSERT INTO delivery (message_id, number, official_account, carrier, distribution, purpose, state, attempts,
        due_time, expire_time, dialogue_id, step, change_time)
    SELECT k.message, f.number, f.official_account, k.carrier, x'', k.purpose, 0, 0, k.due_time, k.expire_time, k.dialogue,
        k.step, ?
    FROM k CROSS JOIN follower AS f ON f.official_account = k.account AND f.follower = k.follower
    WHERE true
    ON CONFLICT DO NOTHING
    RETURNING official_account, carrier, purpose";

pub(super) const WITHDRAWN: &str = "
    WITH k (account, follower) AS (VALUES ...)
    UPDATE delivery INDEXED BY delivery_follower SET state = 7, change_time = ? WHERE state = 0 AND number IN
        (SELECT f.number FROM k CROSS JOIN follower AS f ON f.official_account = k.account AND f.follower = k.follower)
    RETURNING official_account, carrier, distribution, purpose";

pub(super) const ADDED: &str = "
    WITH k (account, carrier, by_event, by_list) AS (VALUES ...)
    INSERT INTO subscriber_list (official_account, carrier, added_by_event, added_by_list)
    SELECT account, carrier, by_event, by_list FROM k WHERE true
    ON CONFLICT (official_account, carrier) DO UPDATE SET
        added_by_event = added_by_event + excluded.added_by_event,
        added_by_list = added_by_list + excluded.added_by_list";

/// Stores the difference between what was loaded and what it became.
pub(super) async fn save(
    tx: &mut Transaction<'_, Sqlite>,
    transaction: &'static str,
    (scope, keys): (&Scope, &Keys),
    before: &Before,
    work: &Work,
    now: Timestamp,
) -> Result<(), StoreError> {
    let mut run = Run { tx, transaction };
    let changed = Changed::of(before, work, keys)?;
    run.follow(&changed.new_followers).await?;
    run.write(FOLLOWERS, &changed.followers).await?;
    run.write(MOVE_FOLLOWERS, &changed.tally.rows()).await?;
    run.write(MOVE_DAYS, &changed.days.rows(now)).await?;
    run.write(TAP, &tap_rows(&work.taps)).await?;
    run.write(SUBSCRIPTIONS, &changed.new_subscriptions).await?;
    run.write(SUBSCRIPTIONS, &changed.subscriptions).await?;
    run.write(DIALOGUES, &changed.new_dialogues).await?;
    run.write(DIALOGUES, &changed.dialogues).await?;
    // A tie may go from one number to another in one unit, and a customer has one at a time.
    run.write(END_TIES, &changed.ended_ties).await?;
    run.write(TIES, &changed.ties).await?;
    run.write(INQUIRIES, &changed.inquiries).await?;
    run.write(END_INQUIRIES, &changed.ended_inquiries).await?;
    run.write(review::SAVE, &changed.reviews).await?;
    run.write(CONSENTS, &consent_rows(&work.consents)).await?;
    run.write(ERASURES, &erasure_rows(work.erasures.iter().map(|(it, due)| (it, *due)))).await?;
    if let Some((carrier, _)) = &scope.events {
        let taken: Vec<_> = work.taken.iter().map(|event| (event.as_str(),)).collect();
        bulk(TAKEN, &taken)
            .with((carrier.as_str(), micros(now)))
            .execute(&mut **run.tx)
            .await
            .map_err(StoreError::during(transaction))?;
    }
    run.write(GUESSES, &changed.new_guesses).await?;
    run.write(GUESSES, &changed.guesses).await?;
    run.write(END_GUESSES, &changed.ended_guesses).await?;
    let mut tally = Tally::default();
    // What is made now outlives a withdrawal in the same unit: who leaves and comes back in one batch is asked again.
    run.withdraw(&work.withdrawn, now, &mut tally).await?;
    run.deliver(&work.deliveries, now, &mut tally).await?;
    tally::store(&tally, run.tx, transaction).await?;
    run.write(ADDED, &added_rows(&work.added)).await?;
    audit(run.tx, transaction, &work.audits, now).await
}

/// The open transaction and its name.
struct Run<'a, 'c> {
    tx: &'a mut Transaction<'c, Sqlite>,
    transaction: &'static str,
}

impl Run<'_, '_> {
    async fn write(&mut self, sql: &'static str, rows: &[impl Values]) -> Result<(), StoreError> {
        let written = bulk(sql, rows).execute(&mut **self.tx).await;
        written.map_err(StoreError::during(self.transaction))
    }

    /// Gives new followers their numbers.
    async fn follow(&mut self, followers: &[FollowerRow<'_>]) -> Result<(), StoreError> {
        if followers.is_empty() {
            return Ok(());
        }
        let last = sqlx::query_scalar(LAST_NUMBER).fetch_one(&mut **self.tx).await;
        let last: i64 = last.map_err(StoreError::during(self.transaction))?;
        let numbered: Vec<_> =
            (last + 1..).zip(followers).map(|(number, row)| Numbered { number, row }).collect();
        self.write(FOLLOW, &numbered).await
    }

    async fn returning(
        &mut self,
        sql: &'static str,
        rows: &[impl Values],
        now: Timestamp,
    ) -> Result<Vec<SqliteRow>, StoreError> {
        let written = bulk(sql, rows).with((micros(now),)).fetch(&mut **self.tx).await;
        written.map_err(StoreError::during(self.transaction))
    }

    async fn deliver(
        &mut self,
        deliveries: &[NewDelivery],
        now: Timestamp,
        tally: &mut Tally,
    ) -> Result<(), StoreError> {
        for row in self.returning(DELIVERIES, &delivery_rows(deliveries), now).await? {
            tally.add(TallyKey::new(row.text(0)?, row.text(1)?, &[], row.int(2)?, 0), 1);
        }
        Ok(())
    }

    async fn withdraw(
        &mut self,
        followers: &[FollowerKey],
        now: Timestamp,
        tally: &mut Tally,
    ) -> Result<(), StoreError> {
        for row in self.returning(WITHDRAWN, &key_rows(followers), now).await? {
            tally.moved(&row, DeliveryState::Queued, DeliveryState::Revoked)?;
        }
        Ok(())
    }
}

/// A new follower with its number.
struct Numbered<'a> {
    number: i64,
    row: &'a FollowerRow<'a>,
}

impl Values for Numbered<'_> {
    fn put(&self, to: &mut SqliteArguments) -> Result<(), BoxDynError> {
        to.add(self.number)?;
        self.row.put(to)
    }
}
