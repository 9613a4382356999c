//! What agents' webhooks are to be told: a row for an event, in its talk room's order.
//!
//! Whoever adds to a room holds its number, so the numbers that the database gives its rows come in the order of the commits.

use async_trait::async_trait;
use jiff::Timestamp;
use musubi_domain::id::OfficialAccountId;

use super::{PostgresCarrierStore, Tx};
use crate::{
    StoreError,
    carrier::{
        AgentEvent, COUNTED, Tried, WebhookStore,
        webhooks::{WebhookRow, agent_event_of, settled_rows},
    },
    postgres::again,
    row::{Columns as _, micros},
};

/// One that comes behind others of its room is due no earlier than they are.
pub(super) const PUT: &str = "
    INSERT INTO webhook_events (account_id, msisdn, event_id, kind, message_id, content, label, event_time, due_time)
    SELECT account_id, msisdn, event_id, kind, message_id, content, label, event_time,
           greatest(event_time, (SELECT due_time FROM webhook_events AS first
                                 WHERE first.account_id = new.account_id AND first.msisdn = new.msisdn
                                 ORDER BY first.sequence LIMIT 1))
    FROM unnest($1::bigint[], $2::bigint[], $3::uuid[], $4::smallint[], $5::uuid[], $6::text[], $7::text[], $8::bigint[])
        WITH ORDINALITY AS new(account_id, msisdn, event_id, kind, message_id, content, label, event_time, place)
    ORDER BY place";

pub(super) const DUE: &str = "
    SELECT e.sequence, e.msisdn, e.event_id, e.kind, e.message_id, e.content, e.label, e.event_time, e.attempts,
           m.client_id, m.timed, m.body
    FROM (SELECT * FROM webhook_events AS waiting
          WHERE account_id = (SELECT account_id FROM accounts WHERE name = $1) AND due_time <= $2
              AND sequence = (SELECT sequence FROM webhook_events AS first
                              WHERE first.account_id = waiting.account_id AND first.msisdn = waiting.msisdn
                              ORDER BY first.account_id, first.msisdn, first.sequence LIMIT 1)
          ORDER BY account_id, due_time, sequence LIMIT $3) AS e
    LEFT JOIN LATERAL (SELECT client_id, timed, body FROM agent_messages AS m
                       WHERE m.account_id = e.account_id AND m.message_id = e.message_id OFFSET 0) AS m ON true
    ORDER BY e.due_time, e.sequence";

pub(super) const DONE: &str = "DELETE FROM webhook_events WHERE sequence = ANY($1)";

pub(super) const AGAIN: &str = "
    UPDATE webhook_events SET
        due_time = again.due_time, attempts = attempts + CASE WHEN webhook_events.sequence = again.sequence THEN 1 ELSE 0 END
    FROM (SELECT tried.account_id, tried.msisdn, tried.sequence, new.due_time
          FROM unnest($1::bigint[], $2::bigint[]) AS new(sequence, due_time)
          JOIN webhook_events AS tried ON tried.sequence = new.sequence) AS again
    WHERE webhook_events.account_id = again.account_id AND webhook_events.msisdn = again.msisdn";

pub(super) const COUNT: &str = "
    SELECT count(*) FROM (SELECT 1 FROM webhook_events
                          WHERE account_id = (SELECT account_id FROM accounts WHERE name = $1) LIMIT $2) AS waiting";

/// Adds rows.
pub(super) async fn put(write: &mut Tx, events: &[WebhookRow<'_>]) -> Result<(), StoreError> {
    write.write(PUT, events).await.map(drop)
}

#[async_trait]
impl WebhookStore for PostgresCarrierStore {
    async fn list_webhook_events(
        &self,
        account: &OfficialAccountId,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<AgentEvent>, StoreError> {
        let due = sqlx::query(DUE)
            .bind(account.as_str())
            .bind(micros(now))
            .bind(i64::from(limit))
            .fetch_all(self.database.read())
            .await
            .map_err(StoreError::during("list_webhook_events"))?;
        due.iter().map(agent_event_of).collect()
    }

    async fn settle_webhook_events(&self, tries: &[(u64, Tried)]) -> Result<(), StoreError> {
        again!(self.settle_once(tries))
    }

    async fn count_webhook_events(&self, account: &OfficialAccountId) -> Result<u64, StoreError> {
        let count = sqlx::query(COUNT)
            .bind(account.as_str())
            .bind(COUNTED)
            .fetch_one(self.database.read())
            .await
            .map_err(StoreError::during("count_webhook_events"))?;
        Ok(count.int(0)?.unsigned_abs())
    }
}

impl PostgresCarrierStore {
    async fn settle_once(&self, tries: &[(u64, Tried)]) -> Result<(), StoreError> {
        let (done, again) = settled_rows(tries);
        let mut write = self.database.write("settle_webhook_events").await?;
        write.execute(sqlx::query(DONE).bind(done)).await?;
        write.write(AGAIN, &again).await?;
        write.commit().await
    }
}
