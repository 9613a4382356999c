//! Stores what a unit of work changed, a statement for each kind of thing.

use jiff::Timestamp;
use musubi_domain::delivery::DeliveryState;
use sqlx::{Sqlite, Transaction};

use super::{
    review,
    tally::{self, MOVE_DAYS, MOVE_FOLLOWERS, TAP},
};
use crate::{
    StoreError,
    information::{
        before::Before,
        changed::{Changed, added_rows, audit_rows, consent_rows, delivery_rows, event_rows, key_rows},
        erasure::erasure_rows,
        flow::{Scope, Work},
        tally::{Tally, TallyKey, tap_rows},
    },
    row::{Columns as _, micros},
    sqlite::{Many, audit},
    vault::Keys,
};

// Who was erased and comes back gets their number again, so that a distribution under way doesn't reach them twice; nobody else ever does.
pub(super) const FOLLOW: &str = "
    INSERT INTO follower (number, official_account, follower, phone_number, carrier, following, follow_time, former_customer,
        suspended, outcome)
    SELECT coalesce(e.number, k.key + 1 + (SELECT max(coalesce((SELECT max(number) FROM follower), 0),
            coalesce((SELECT max(number) FROM erasure), 0)))),
        k.value ->> 0, unhex(k.value ->> 1), unhex(k.value ->> 2), k.value ->> 3, k.value ->> 4, k.value ->> 5, k.value ->> 6,
        k.value ->> 7, k.value ->> 8
    FROM jsonb_each(?1) AS k
    LEFT JOIN erasure AS e ON e.official_account = k.value ->> 0 AND e.follower = unhex(k.value ->> 1)";

// The same of many of whom nobody was ever erased: they get the next numbers, in this order.
pub(super) const FOLLOW_FIRST: &str = "
    INSERT INTO follower (number, official_account, follower, phone_number, carrier, following, follow_time, former_customer,
        suspended, outcome)
    SELECT k.key + 1 + (SELECT max(coalesce((SELECT max(number) FROM follower), 0), coalesce((SELECT max(number) FROM erasure), 0))),
        k.value ->> 0, unhex(k.value ->> 1), unhex(k.value ->> 2), k.value ->> 3, k.value ->> 4, k.value ->> 5, k.value ->> 6,
        k.value ->> 7, k.value ->> 8
    FROM jsonb_each(?1) AS k";

// What the lists say of those, in their order, and their dialogues: by number, for looking each up by key would take as long as storing it.
pub(super) const SUBSCRIPTIONS_FIRST: &str = "
    INSERT INTO subscription (number, carrier, following, change_time)
    SELECT k.key + 1 - ?2 + (SELECT max(number) FROM follower), k.value ->> 2, k.value ->> 3, k.value ->> 4
    FROM jsonb_each(?1) AS k";

pub(super) const DIALOGUES_FIRST: &str = "
    INSERT INTO dialogue (number, dialogue_id, turn, state, step, messages, reminders, unreadable,
        tries, reached, due_time, state_time, given, proposed_customer, reasons, shown_text)
    SELECT k.key + 1 - ?2 + (SELECT max(number) FROM follower), unhex(k.value ->> 2), k.value ->> 3, k.value ->> 4, k.value ->> 5,
        k.value ->> 6, k.value ->> 7, k.value ->> 8, k.value ->> 9, k.value ->> 10, k.value ->> 11, k.value ->> 12,
        unhex(k.value ->> 13), k.value ->> 14, k.value ->> 15, unhex(k.value ->> 16)
    FROM jsonb_each(?1) AS k";

pub(super) const FOLLOWERS: &str = "
    INSERT INTO follower (official_account, follower, phone_number, carrier, following, follow_time, former_customer,
        suspended, outcome)
    SELECT value ->> 0, unhex(value ->> 1), unhex(value ->> 2), value ->> 3, value ->> 4, value ->> 5, value ->> 6,
        value ->> 7, value ->> 8
    FROM jsonb_each(?1) WHERE true
    ON CONFLICT (official_account, follower) DO UPDATE SET
        carrier = excluded.carrier, following = excluded.following, follow_time = excluded.follow_time,
        former_customer = excluded.former_customer, suspended = excluded.suspended, outcome = excluded.outcome";

pub(super) const SUBSCRIPTIONS: &str = "
    INSERT INTO subscription (number, carrier, following, change_time)
    SELECT f.number, k.value ->> 2, k.value ->> 3, k.value ->> 4
    FROM jsonb_each(?1) AS k
    CROSS JOIN follower AS f ON f.official_account = k.value ->> 0 AND f.follower = unhex(k.value ->> 1)
    WHERE true
    ON CONFLICT (number, carrier) DO UPDATE SET
        following = excluded.following, change_time = excluded.change_time";

pub(super) const DIALOGUES: &str = "
    INSERT INTO dialogue (number, dialogue_id, turn, state, step, messages, reminders, unreadable,
        tries, reached, due_time, state_time, given, proposed_customer, reasons, shown_text)
    SELECT f.number, unhex(k.value ->> 2), k.value ->> 3, k.value ->> 4, k.value ->> 5, k.value ->> 6, k.value ->> 7,
        k.value ->> 8, k.value ->> 9, k.value ->> 10, k.value ->> 11, k.value ->> 12, unhex(k.value ->> 13), k.value ->> 14,
        k.value ->> 15, unhex(k.value ->> 16)
    FROM jsonb_each(?1) AS k
    CROSS JOIN follower AS f ON f.official_account = k.value ->> 0 AND f.follower = unhex(k.value ->> 1)
    WHERE true
    ON CONFLICT (number) DO UPDATE SET
        dialogue_id = excluded.dialogue_id, turn = excluded.turn, state = excluded.state, step = excluded.step,
        messages = excluded.messages, reminders = excluded.reminders, unreadable = excluded.unreadable,
        tries = excluded.tries, reached = excluded.reached, due_time = excluded.due_time,
        state_time = excluded.state_time, given = excluded.given, proposed_customer = excluded.proposed_customer,
        reasons = excluded.reasons, shown_text = excluded.shown_text";

pub(super) const CONSENTS: &str = "
    INSERT INTO consent (number, dialogue_id, kind, text, carrier, give_time)
    SELECT f.number, unhex(k.value ->> 2), k.value ->> 3, unhex(k.value ->> 4), k.value ->> 5, k.value ->> 6
    FROM jsonb_each(?1) AS k
    CROSS JOIN follower AS f ON f.official_account = k.value ->> 0 AND f.follower = unhex(k.value ->> 1)
    WHERE true
    ON CONFLICT DO NOTHING";

// Who waits for it already is left alone.
pub(super) const ERASURES: &str = "
    INSERT INTO erasure (official_account, follower, company, cause, request_time, ask_time, due_time)
    SELECT value ->> 0, unhex(value ->> 1), value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6
    FROM jsonb_each(?1) WHERE true
    ON CONFLICT (official_account, follower) DO UPDATE SET
        company = excluded.company, cause = excluded.cause, request_time = excluded.request_time,
        ask_time = excluded.ask_time, due_time = excluded.due_time
    WHERE erasure.due_time IS NULL";

pub(super) const TIES: &str = "
    INSERT INTO customer_information (number, official_account, tie_id, customer_id, method, tie_time, expire_time,
        suspended, proved_time, silent_time, ask_time, doubt)
    SELECT f.number, f.official_account, unhex(k.value ->> 2), k.value ->> 3, k.value ->> 4, k.value ->> 5, k.value ->> 6,
        k.value ->> 7, k.value ->> 8, k.value ->> 9, k.value ->> 10, k.value ->> 11
    FROM jsonb_each(?1) AS k
    CROSS JOIN follower AS f ON f.official_account = k.value ->> 0 AND f.follower = unhex(k.value ->> 1)
    WHERE true
    ON CONFLICT (number) DO UPDATE SET
        tie_id = excluded.tie_id, customer_id = excluded.customer_id, method = excluded.method,
        tie_time = excluded.tie_time, expire_time = excluded.expire_time, suspended = excluded.suspended,
        proved_time = excluded.proved_time, silent_time = excluded.silent_time, ask_time = excluded.ask_time,
        doubt = excluded.doubt";

pub(super) const INQUIRIES: &str = "
    INSERT INTO inquiry (number, inquiry_id, company, subject, due_time)
    SELECT f.number, unhex(k.value ->> 2), k.value ->> 3, unhex(k.value ->> 4), k.value ->> 5
    FROM jsonb_each(?1) AS k
    CROSS JOIN follower AS f ON f.official_account = k.value ->> 0 AND f.follower = unhex(k.value ->> 1)
    WHERE true
    ON CONFLICT (number) DO UPDATE SET
        inquiry_id = excluded.inquiry_id, company = excluded.company, subject = excluded.subject,
        due_time = excluded.due_time";

pub(super) const END_TIES: &str = "
    DELETE FROM customer_information WHERE number IN
        (SELECT f.number FROM jsonb_each(?1) AS k
         CROSS JOIN follower AS f ON f.official_account = k.value ->> 0 AND f.follower = unhex(k.value ->> 1))";

pub(super) const END_INQUIRIES: &str = "
    DELETE FROM inquiry WHERE number IN
        (SELECT f.number FROM jsonb_each(?1) AS k
         CROSS JOIN follower AS f ON f.official_account = k.value ->> 0 AND f.follower = unhex(k.value ->> 1))";

pub(super) const TAKEN: &str = "
    INSERT INTO inbox (carrier, event_id, take_time) SELECT ?2, value ->> 0, ?3 FROM jsonb_each(?1) WHERE true
    ON CONFLICT DO NOTHING";

pub(super) const GUESSES: &str = "
    INSERT INTO guess (company, axis, subject, charged, window_end)
    SELECT value ->> 0, value ->> 1, unhex(value ->> 2), value ->> 3, value ->> 4 FROM jsonb_each(?1) WHERE true
    ON CONFLICT (company, axis, subject) DO UPDATE SET charged = excluded.charged, window_end = excluded.window_end";

pub(super) const END_GUESSES: &str = "
    DELETE FROM guess WHERE (company, axis, subject) IN
        (SELECT value ->> 0, value ->> 1, unhex(value ->> 2) FROM jsonb_each(?1))";

pub(super) const DELIVERIES: &str = "
    INSERT INTO delivery (message_id, number, official_account, carrier, distribution, purpose, state, attempts,
        due_time, expire_time, dialogue_id, step, change_time)
    SELECT unhex(k.value ->> 2), f.number, f.official_account, k.value ->> 3, x'', k.value ->> 4, 0, 0, k.value ->> 5,
        k.value ->> 6, unhex(k.value ->> 7), k.value ->> 8, ?2
    FROM jsonb_each(?1) AS k
    CROSS JOIN follower AS f ON f.official_account = k.value ->> 0 AND f.follower = unhex(k.value ->> 1)
    WHERE true
    ON CONFLICT DO NOTHING
    RETURNING official_account, carrier, purpose";

pub(super) const WITHDRAWN: &str = "
    UPDATE delivery INDEXED BY delivery_follower SET state = 7, change_time = ?2 WHERE state = 0 AND number IN
        (SELECT f.number FROM jsonb_each(?1) AS k
         CROSS JOIN follower AS f ON f.official_account = k.value ->> 0 AND f.follower = unhex(k.value ->> 1))
    RETURNING official_account, carrier, distribution, purpose";

pub(super) const ADDED: &str = "
    INSERT INTO subscriber_list (official_account, carrier, added_by_event, added_by_list)
    SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3 FROM jsonb_each(?1) WHERE true
    ON CONFLICT (official_account, carrier) DO UPDATE SET
        added_by_event = added_by_event + excluded.added_by_event,
        added_by_list = added_by_list + excluded.added_by_list";

/// The difference between what was loaded and what it became, ready to be stored: all that can be done before the database is held.
pub(super) struct Ready {
    /// In the order of their writing.
    first: Vec<Many>,
    withdrawn: Option<Many>,
    deliveries: Option<Many>,
    last: Vec<Many>,
}

impl Ready {
    /// Of followers who are believed to be new, and of whom nobody was erased.
    pub(super) fn of_new(scope: (&Scope, &Keys), work: &Work, now: Timestamp) -> Result<Self, StoreError> {
        Self::made(scope, (&Before::default(), true), work, now)
    }

    /// Of what a unit of work loaded and made of it.
    pub(super) fn of(
        scope: (&Scope, &Keys),
        before: &Before,
        work: &Work,
        now: Timestamp,
    ) -> Result<Self, StoreError> {
        Self::made(scope, (before, false), work, now)
    }

    fn made(
        (scope, keys): (&Scope, &Keys),
        (before, are_new): (&Before, bool),
        work: &Work,
        now: Timestamp,
    ) -> Result<Self, StoreError> {
        let changed = Changed::of(before, work, keys)?;
        let each = || changed.new_followers.iter().map(|it| (it.account, it.follower));
        let are_first = are_new
            && changed.new_subscriptions.iter().map(|it| (it.account, it.follower)).eq(each())
            && changed.new_dialogues.iter().map(|it| (it.account, it.follower)).eq(each());
        let count = i64::try_from(changed.new_followers.len()).unwrap_or(i64::MAX);
        let counted = |many: Option<Many>| if are_first { many.map(|many| many.with(count)) } else { many };
        let [follow, subscribe, ask] = match are_first {
            true => [FOLLOW_FIRST, SUBSCRIPTIONS_FIRST, DIALOGUES_FIRST],
            false => [FOLLOW, SUBSCRIPTIONS, DIALOGUES],
        };
        let taken = scope.events.as_ref().filter(|_| !work.taken.is_empty());
        let taken = taken.map(|(carrier, _)| {
            Many::of(TAKEN, &event_rows(&work.taken))
                .map(|taken| taken.with(carrier.to_string()).with(micros(now)))
        });
        let first = [
            Many::of_any(follow, &changed.new_followers)?,
            Many::of_any(FOLLOWERS, &changed.followers)?,
            counted(Many::of_any(subscribe, &changed.new_subscriptions)?),
            Many::of_any(SUBSCRIPTIONS, &changed.subscriptions)?,
            counted(Many::of_any(ask, &changed.new_dialogues)?),
            Many::of_any(DIALOGUES, &changed.dialogues)?,
            // A tie may go from one number to another in one unit, and a customer has one at a time.
            Many::of_any(END_TIES, &changed.ended_ties)?,
            Many::of_any(TIES, &changed.ties)?,
            Many::of_any(INQUIRIES, &changed.inquiries)?,
            Many::of_any(END_INQUIRIES, &changed.ended_inquiries)?,
            Many::of_any(review::SAVE, &changed.reviews)?,
            Many::of_any(CONSENTS, &consent_rows(&work.consents))?,
            Many::of_any(ERASURES, &erasure_rows(work.erasures.iter().map(|(it, due)| (it, *due))))?,
            taken.transpose()?,
            Many::of_any(GUESSES, &changed.new_guesses)?,
            Many::of_any(GUESSES, &changed.guesses)?,
            Many::of_any(GUESSES, &changed.shared_guesses)?,
            Many::of_any(END_GUESSES, &changed.ended_guesses)?,
        ];
        let moved = changed.moves.lines(keys)?;
        let lines: Vec<_> = audit_rows(&work.audits).into_iter().chain(moved.rows()).collect();
        let last = [
            Many::of_any(MOVE_FOLLOWERS, &changed.tally.rows())?,
            Many::of_any(MOVE_DAYS, &changed.days.rows(now))?,
            Many::of_any(TAP, &tap_rows(&work.taps))?,
            Many::of_any(ADDED, &added_rows(&work.added))?,
            audit::ready(&lines, now)?,
        ];
        let at = |many: Many| many.with(micros(now));
        Ok(Self {
            first: first.into_iter().flatten().collect(),
            withdrawn: Many::of_any(WITHDRAWN, &key_rows(&work.withdrawn))?.map(at),
            deliveries: Many::of_any(DELIVERIES, &delivery_rows(&work.deliveries))?.map(at),
            last: last.into_iter().flatten().collect(),
        })
    }

    /// Stores it.
    pub(super) async fn store(
        self,
        tx: &mut Transaction<'_, Sqlite>,
        transaction: &'static str,
    ) -> Result<(), StoreError> {
        let failed = StoreError::during(transaction);
        Many::carry_out(self.first, tx, transaction).await?;
        let mut tally = Tally::default();
        // What is made now outlives a withdrawal in the same unit: who leaves and comes back in one batch is asked again.
        if let Some(withdrawn) = self.withdrawn {
            for row in &withdrawn.query().fetch_all(&mut **tx).await.map_err(&failed)? {
                tally.moved(row, DeliveryState::Queued, DeliveryState::Revoked)?;
            }
        }
        if let Some(deliveries) = self.deliveries {
            for row in &deliveries.query().fetch_all(&mut **tx).await.map_err(&failed)? {
                tally.add(TallyKey::new(row.text(0)?, row.text(1)?, &[], row.int(2)?, 0), 1);
            }
        }
        Many::carry_out(tally::ready(&tally)?.into_iter().chain(self.last), tx, transaction).await
    }
}
