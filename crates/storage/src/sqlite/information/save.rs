//! Stores what a unit of work changed: compares with what was loaded and writes the difference, a statement for each kind of
//! thing.

use std::collections::{BTreeSet, HashMap};

use jiff::Timestamp;
use musubi_domain::{
    delivery::{DeliveryState, Purpose},
    dialogue::{Dialogue, Stage, State},
    guess::{Axis, Count},
    id::{CarrierId, CustomerId, MessageId, OfficialAccountId},
};
use serde_json::{Value, json};
use sqlx::{Sqlite, Transaction};

use super::{
    audit::audit,
    load::key_rows,
    review::{self, review_row},
    tally::{FollowerTally, MOVE_FOLLOWERS, Tally, TallyKey},
};
use crate::{
    StoreError,
    information::{
        FollowerKey,
        flow::{FollowerRecord, GuessKey, Matched, NewDelivery, Origin, Scope, Work},
    },
    sqlite::{at_place, bytes16, get, hex, micros, place, rows},
};

pub(super) const FOLLOWERS: &str = "
    INSERT INTO follower (official_account, follower, phone_number, carrier, following, follow_time, former_customer)
    SELECT value ->> 0, unhex(value ->> 1), value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6
    FROM json_each(?1) WHERE true
    ON CONFLICT (official_account, follower) DO UPDATE SET
        carrier = excluded.carrier, following = excluded.following, follow_time = excluded.follow_time,
        former_customer = excluded.former_customer";

pub(super) const SUBSCRIPTIONS: &str = "
    INSERT INTO subscription (number, carrier, following, change_time)
    SELECT f.number, k.value ->> 2, k.value ->> 3, k.value ->> 4
    FROM json_each(?1) AS k
    CROSS JOIN follower AS f ON f.official_account = k.value ->> 0 AND f.follower = unhex(k.value ->> 1)
    WHERE true
    ON CONFLICT (number, carrier) DO UPDATE SET
        following = excluded.following, change_time = excluded.change_time";

pub(super) const DIALOGUES: &str = "
    INSERT INTO dialogue (number, dialogue_id, turn, state, step, messages, reminders, unreadable,
        tries, reached, due_time, state_time, branch_number, account_number, proposed_customer, reasons)
    SELECT f.number, unhex(k.value ->> 2), k.value ->> 3, k.value ->> 4, k.value ->> 5, k.value ->> 6, k.value ->> 7,
        k.value ->> 8, k.value ->> 9, k.value ->> 10, k.value ->> 11, k.value ->> 12, k.value ->> 13, k.value ->> 14,
        k.value ->> 15, k.value ->> 16
    FROM json_each(?1) AS k
    CROSS JOIN follower AS f ON f.official_account = k.value ->> 0 AND f.follower = unhex(k.value ->> 1)
    WHERE true
    ON CONFLICT (number) DO UPDATE SET
        dialogue_id = excluded.dialogue_id, turn = excluded.turn, state = excluded.state, step = excluded.step,
        messages = excluded.messages, reminders = excluded.reminders, unreadable = excluded.unreadable,
        tries = excluded.tries, reached = excluded.reached, due_time = excluded.due_time,
        state_time = excluded.state_time, branch_number = excluded.branch_number,
        account_number = excluded.account_number, proposed_customer = excluded.proposed_customer,
        reasons = excluded.reasons";

pub(super) const TIES: &str = "
    INSERT INTO customer_information (number, official_account, tie_id, customer_id, method, tie_time, expire_time,
        suspended)
    SELECT f.number, f.official_account, unhex(k.value ->> 2), k.value ->> 3, k.value ->> 4, k.value ->> 5, k.value ->> 6,
        k.value ->> 7
    FROM json_each(?1) AS k
    CROSS JOIN follower AS f ON f.official_account = k.value ->> 0 AND f.follower = unhex(k.value ->> 1)
    WHERE true
    ON CONFLICT (number) DO UPDATE SET
        tie_id = excluded.tie_id, customer_id = excluded.customer_id, method = excluded.method,
        tie_time = excluded.tie_time, expire_time = excluded.expire_time, suspended = excluded.suspended";

pub(super) const INQUIRIES: &str = "
    INSERT INTO inquiry (number, inquiry_id, company, branch_number, account_number, identity, due_time)
    SELECT f.number, unhex(k.value ->> 2), k.value ->> 3, k.value ->> 4, k.value ->> 5, k.value ->> 6, k.value ->> 7
    FROM json_each(?1) AS k
    CROSS JOIN follower AS f ON f.official_account = k.value ->> 0 AND f.follower = unhex(k.value ->> 1)
    WHERE true
    ON CONFLICT (number) DO UPDATE SET
        inquiry_id = excluded.inquiry_id, company = excluded.company, branch_number = excluded.branch_number,
        account_number = excluded.account_number, identity = excluded.identity, due_time = excluded.due_time";

pub(super) const END_TIES: &str = "
    DELETE FROM customer_information WHERE number IN
        (SELECT f.number FROM json_each(?1) AS k
         CROSS JOIN follower AS f ON f.official_account = k.value ->> 0 AND f.follower = unhex(k.value ->> 1))";

pub(super) const END_INQUIRIES: &str = "
    DELETE FROM inquiry WHERE number IN
        (SELECT f.number FROM json_each(?1) AS k
         CROSS JOIN follower AS f ON f.official_account = k.value ->> 0 AND f.follower = unhex(k.value ->> 1))";

pub(super) const TAKEN: &str = "
    INSERT INTO inbox (carrier, event_id, take_time) SELECT ?1, value, ?3 FROM json_each(?2) WHERE true
    ON CONFLICT DO NOTHING";

pub(super) const GUESSES: &str = "
    INSERT INTO guess (company, axis, subject, charged, window_end)
    SELECT value ->> 0, value ->> 1, unhex(value ->> 2), value ->> 3, value ->> 4 FROM json_each(?1) WHERE true
    ON CONFLICT (company, axis, subject) DO UPDATE SET charged = excluded.charged, window_end = excluded.window_end";

pub(super) const DELIVERIES: &str = "
    INSERT INTO delivery (message_id, number, official_account, carrier, distribution, purpose, state, attempts,
        due_time, expire_time, dialogue_id, step, change_time)
    SELECT unhex(k.value ->> 2), f.number, f.official_account, k.value ->> 3, x'', k.value ->> 4, 0, 0, k.value ->> 5,
        k.value ->> 6, unhex(k.value ->> 7), k.value ->> 8, ?2
    FROM json_each(?1) AS k
    CROSS JOIN follower AS f ON f.official_account = k.value ->> 0 AND f.follower = unhex(k.value ->> 1)
    WHERE true
    ON CONFLICT DO NOTHING
    RETURNING official_account, carrier, purpose";

pub(super) const MESSAGES: &str = "
    UPDATE delivery SET state = k.value ->> 1, change_time = ?2 FROM json_each(?1) AS k
    WHERE delivery.message_id = unhex(k.value ->> 0)
    RETURNING official_account, carrier, distribution, purpose, state, message_id";

pub(super) const WITHDRAWN: &str = "
    UPDATE delivery INDEXED BY delivery_queued SET state = 7, change_time = ?2 WHERE state = 0 AND number IN
        (SELECT f.number FROM json_each(?1) AS k
         CROSS JOIN follower AS f ON f.official_account = k.value ->> 0 AND f.follower = unhex(k.value ->> 1))
    RETURNING official_account, carrier, distribution, purpose";

pub(super) const ADDED: &str = "
    INSERT INTO subscriber_list (official_account, carrier, added_by_event, added_by_list)
    SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3 FROM json_each(?1) WHERE true
    ON CONFLICT (official_account, carrier) DO UPDATE SET
        added_by_event = added_by_event + excluded.added_by_event,
        added_by_list = added_by_list + excluded.added_by_list";

/// Stores the difference between what was loaded and what it became.
pub(super) async fn save(
    tx: &mut Transaction<'_, Sqlite>,
    transaction: &'static str,
    scope: &Scope,
    before: &Before,
    work: &Work,
    now: Timestamp,
) -> Result<(), StoreError> {
    let mut run = Run { tx, transaction };
    let changed = Changed::of(before, work)?;
    run.write(FOLLOWERS, &changed.followers).await?;
    run.write(MOVE_FOLLOWERS, &changed.tally.rows()).await?;
    run.write(SUBSCRIPTIONS, &changed.subscriptions).await?;
    run.write(DIALOGUES, &changed.dialogues).await?;
    // A tie may go from one number to another in one unit, and a customer has one at a time.
    run.write(END_TIES, &changed.ended_ties).await?;
    run.write(TIES, &changed.ties).await?;
    run.write(INQUIRIES, &changed.inquiries).await?;
    run.write(END_INQUIRIES, &changed.ended_inquiries).await?;
    run.write(review::SAVE, &changed.reviews).await?;
    if let Some((carrier, _)) = scope.events.as_ref().filter(|_| !work.taken.is_empty()) {
        sqlx::query(TAKEN)
            .bind(carrier.as_str())
            .bind(rows(&work.taken)?)
            .bind(micros(now))
            .execute(&mut **run.tx)
            .await
            .map_err(StoreError::during(transaction))?;
    }
    let guesses: Vec<Value> = work
        .guesses
        .iter()
        .filter(|(key, count)| before.guesses.get(key) != Some(count))
        .map(|(key, count)| {
            let end = count.window_end.map(micros);
            let axis = place(&Axis::ALL, &key.axis);
            json!([key.company.as_str(), axis, hex(&key.subject), count.charged, end])
        })
        .collect();
    run.write(GUESSES, &guesses).await?;
    let mut tally = Tally::default();
    // What is made now outlives a withdrawal in the same unit: who leaves and comes back in one batch is asked again.
    run.move_messages(scope, before, work, now, &mut tally).await?;
    run.withdraw(&work.withdrawn, now, &mut tally).await?;
    run.deliver(&work.deliveries, now, &mut tally).await?;
    tally.store(run.tx, transaction).await?;
    run.write(ADDED, &added_rows(&work.added)).await?;
    audit(run.tx, transaction, &work.audits, now).await
}

/// What was loaded, kept to be compared.
pub(super) struct Before {
    followers: HashMap<FollowerKey, FollowerRecord>,
    messages: HashMap<MessageId, DeliveryState>,
    guesses: HashMap<GuessKey, Count>,
}

impl Before {
    pub(super) fn of(work: &Work) -> Self {
        Self {
            followers: work.followers.clone(),
            messages: work.messages.clone(),
            guesses: work.guesses.clone(),
        }
    }
}

/// Rows to write.
#[derive(Default)]
struct Changed<'a> {
    tally: FollowerTally<'a>,
    followers: Vec<Value>,
    subscriptions: Vec<Value>,
    dialogues: Vec<Value>,
    ties: Vec<Value>,
    ended_ties: Vec<Value>,
    inquiries: Vec<Value>,
    ended_inquiries: Vec<Value>,
    reviews: Vec<Value>,
}

impl<'a> Changed<'a> {
    fn of(before: &'a Before, work: &'a Work) -> Result<Self, StoreError> {
        let mut changed = Self::default();
        // In the order of the tables: neighbours share pages.
        let mut followers: Vec<_> = work.followers.iter().collect();
        followers.sort_unstable_by_key(|(key, _)| *key);
        for (key, record) in followers {
            changed.compare(key, before.followers.get(key), record)?;
        }
        Ok(changed)
    }

    fn compare(
        &mut self,
        key: &'a FollowerKey,
        was: Option<&'a FollowerRecord>,
        is: &'a FollowerRecord,
    ) -> Result<(), StoreError> {
        self.tally.add(key, is, 1);
        if let Some(was) = was {
            self.tally.add(key, was, -1);
        }
        let (account, follower) = (key.account.as_str(), hex(key.follower.as_bytes()));
        let head = |record: &FollowerRecord| {
            (record.carrier.clone(), record.following, record.follow_time, record.former_customer.clone())
        };
        if was.map(head) != Some(head(is)) {
            let (number, carrier) = (is.phone_number.as_str(), is.carrier.as_str());
            let time = micros(is.follow_time);
            let former = is.former_customer.as_ref().map(CustomerId::as_str);
            self.followers.push(json!([
                account,
                follower,
                number,
                carrier,
                i64::from(is.following),
                time,
                former
            ]));
        }
        for subscription in &is.subscriptions {
            if !was.is_some_and(|was| was.subscriptions.contains(subscription)) {
                let (carrier, time) = (subscription.carrier.as_str(), micros(subscription.change_time));
                self.subscriptions.push(json!([
                    account,
                    follower,
                    carrier,
                    i64::from(subscription.following),
                    time
                ]));
            }
        }
        if let Some(dialogue) = &is.dialogue
            && !was.is_some_and(|was| was.dialogue == is.dialogue && was.matched == is.matched)
        {
            self.dialogues.push(dialogue_row(account, &follower, dialogue, &is.matched)?);
        }
        match (&is.tie, was.and_then(|was| was.tie.as_ref())) {
            (Some(now), was) if was != Some(now) => self.ties.push(json!([
                account,
                follower,
                hex(now.tie.id.as_bytes()),
                now.tie.customer_id.as_str(),
                now.method.as_str(),
                micros(now.tie_time),
                micros(now.tie.expire_time),
                i64::from(now.tie.suspended)
            ])),
            (None, Some(_)) => self.ended_ties.push(json!([account, follower])),
            (Some(_) | None, _) => {}
        }
        match (&is.inquiry, was.and_then(|was| was.inquiry.as_ref())) {
            (Some(now), was) if was != Some(now) => self.inquiries.push(json!([
                account,
                follower,
                hex(now.id.as_bytes()),
                now.company.as_str(),
                now.account.branch_number,
                now.account.account_number,
                serde_json::to_string(&now.identity)
                    .map_err(|error| StoreError::Corrupt(format!("an identity can't be written: {error}")))?,
                micros(now.due_time)
            ])),
            (None, Some(_)) => self.ended_inquiries.push(json!([account, follower])),
            (Some(_) | None, _) => {}
        }
        if let Some(review) = &is.review
            && was.and_then(|was| was.review.as_ref()) != Some(review)
        {
            self.reviews.push(review_row(account, &follower, review)?);
        }
        Ok(())
    }
}

fn dialogue_row(
    account: &str,
    follower: &str,
    dialogue: &Dialogue,
    matched: &Matched,
) -> Result<Value, StoreError> {
    let given = dialogue.given.as_ref();
    Ok(json!([
        account,
        follower,
        hex(dialogue.id.as_bytes()),
        dialogue.turn,
        place(&State::ALL, &dialogue.state),
        dialogue.step,
        dialogue.messages,
        dialogue.reminders,
        dialogue.unreadable,
        dialogue.tries,
        place(&Stage::ALL, &dialogue.reached),
        dialogue.due_time.map(micros),
        micros(dialogue.state_time),
        given.and_then(|given| given.branch_number.as_deref()),
        given.map(|given| given.account_number.as_str()),
        matched.proposed_customer.as_ref().map(CustomerId::as_str),
        rows(&matched.reasons)?
    ]))
}

fn added_rows(added: &[(FollowerKey, CarrierId, Origin)]) -> Vec<Value> {
    let mut counts: HashMap<(&OfficialAccountId, &CarrierId), (u64, u64)> = HashMap::new();
    for (key, carrier, origin) in added {
        let count = counts.entry((&key.account, carrier)).or_default();
        match origin {
            Origin::Event => count.0 += 1,
            Origin::List => count.1 += 1,
        }
    }
    counts
        .into_iter()
        .map(|((account, carrier), (events, lists))| {
            json!([account.as_str(), carrier.as_str(), events, lists])
        })
        .collect()
}

/// The open transaction and its name.
struct Run<'a, 'c> {
    tx: &'a mut Transaction<'c, Sqlite>,
    transaction: &'static str,
}

impl Run<'_, '_> {
    async fn write(&mut self, sql: &'static str, values: &[Value]) -> Result<(), StoreError> {
        if values.is_empty() {
            return Ok(());
        }
        sqlx::query(sql)
            .bind(rows(values)?)
            .execute(&mut **self.tx)
            .await
            .map(drop)
            .map_err(StoreError::during(self.transaction))
    }

    async fn returning(
        &mut self,
        sql: &'static str,
        parameter: String,
        now: Timestamp,
    ) -> Result<Vec<sqlx::sqlite::SqliteRow>, StoreError> {
        sqlx::query(sql)
            .bind(parameter)
            .bind(micros(now))
            .fetch_all(&mut **self.tx)
            .await
            .map_err(StoreError::during(self.transaction))
    }

    async fn deliver(
        &mut self,
        deliveries: &[NewDelivery],
        now: Timestamp,
        tally: &mut Tally,
    ) -> Result<(), StoreError> {
        if deliveries.is_empty() {
            return Ok(());
        }
        let mut deliveries: Vec<&NewDelivery> = deliveries.iter().collect();
        deliveries.sort_by_key(|new| (&new.key, new.message_id));
        let values: Vec<Value> = deliveries
            .into_iter()
            .map(|new| {
                json!([
                    new.key.account.as_str(),
                    hex(new.key.follower.as_bytes()),
                    hex(new.message_id.as_bytes()),
                    new.carrier.as_str(),
                    place(&Purpose::ALL, &new.purpose),
                    micros(new.due_time),
                    micros(new.expire_time),
                    hex(new.dialogue.0.as_bytes()),
                    new.dialogue.1
                ])
            })
            .collect();
        for row in self.returning(DELIVERIES, rows(&values)?, now).await? {
            tally.add(TallyKey::new(get(&row, 0)?, get(&row, 1)?, &[], get(&row, 2)?, 0), 1);
        }
        Ok(())
    }

    async fn move_messages(
        &mut self,
        scope: &Scope,
        before: &Before,
        work: &Work,
        now: Timestamp,
        tally: &mut Tally,
    ) -> Result<(), StoreError> {
        // Two receipts of a batch may concern one message; it moves once.
        let messages: BTreeSet<MessageId> = scope.messages.iter().map(|(_, id)| *id).collect();
        let mut values = Vec::new();
        for id in &messages {
            let (Some(was), Some(is)) = (before.messages.get(id), work.messages.get(id)) else { continue };
            if was != is {
                values.push(json!([hex(id.as_bytes()), place(&DeliveryState::ALL, is)]));
            }
        }
        if values.is_empty() {
            return Ok(());
        }
        for row in self.returning(MESSAGES, rows(&values)?, now).await? {
            let id = MessageId::from_bytes(bytes16(&row, 5)?);
            if let Some(was) = before.messages.get(&id) {
                tally.moved(&row, *was, at_place(&DeliveryState::ALL, get(&row, 4)?)?)?;
            }
        }
        Ok(())
    }

    async fn withdraw(
        &mut self,
        followers: &[FollowerKey],
        now: Timestamp,
        tally: &mut Tally,
    ) -> Result<(), StoreError> {
        if followers.is_empty() {
            return Ok(());
        }
        for row in self.returning(WITHDRAWN, key_rows(followers)?, now).await? {
            tally.moved(&row, DeliveryState::Queued, DeliveryState::Revoked)?;
        }
        Ok(())
    }
}
