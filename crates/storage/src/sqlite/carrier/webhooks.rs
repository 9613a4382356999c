//! What agents' webhooks are to be told: a row for an event, in its talk room's order.

use async_trait::async_trait;
use jiff::Timestamp;
use musubi_domain::id::OfficialAccountId;
use sqlx::SqliteConnection;

use super::SqliteCarrierStore;
use crate::{
    StoreError,
    carrier::{
        AgentEvent, COUNTED, Tried, WebhookStore,
        webhooks::{WebhookRow, agent_event_of, settled_rows},
    },
    sqlite::{micros, rows},
};

/// Adds rows. One that comes behind others of its room is due no earlier than they are.
pub(super) async fn put(
    connection: &mut SqliteConnection,
    transaction: &'static str,
    events: &[WebhookRow<'_>],
) -> Result<(), StoreError> {
    if events.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO webhook_events (account_id, msisdn, event_id, kind, message_id, content, label, event_time, due_time)
         SELECT value ->> 0, value ->> 1, unhex(value ->> 2), value ->> 3, unhex(value ->> 4), value ->> 5, value ->> 6,
                value ->> 7,
                max(value ->> 7, coalesce((SELECT due_time FROM webhook_events AS first
                                           WHERE first.account_id = value ->> 0 AND first.msisdn = value ->> 1
                                           ORDER BY first.sequence LIMIT 1), 0))
         FROM jsonb_each(?1)",
    )
    .bind(rows(events)?)
    .execute(connection)
    .await
    .map(drop)
    .map_err(StoreError::during(transaction))
}

#[async_trait]
impl WebhookStore for SqliteCarrierStore {
    async fn list_webhook_events(
        &self,
        account: &OfficialAccountId,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<AgentEvent>, StoreError> {
        let due = sqlx::query(
            "SELECT e.sequence, e.msisdn, e.event_id, e.kind, e.message_id, e.content, e.label, e.event_time, e.attempts,
                    m.client_id, m.timed, m.body
             FROM webhook_events AS e LEFT JOIN agent_messages AS m USING (account_id, message_id)
             WHERE e.account_id = (SELECT account_id FROM accounts WHERE name = ?1) AND e.due_time <= ?2
               AND NOT EXISTS (SELECT 1 FROM webhook_events AS first
                               WHERE first.account_id = e.account_id AND first.msisdn = e.msisdn
                                 AND first.sequence < e.sequence)
             ORDER BY e.due_time, e.sequence LIMIT ?3",
        )
        .bind(account.as_str())
        .bind(micros(now))
        .bind(limit)
        .fetch_all(self.database.read_fresh())
        .await
        .map_err(StoreError::during("list_webhook_events"))?;
        due.iter().map(agent_event_of).collect()
    }

    async fn settle_webhook_events(&self, tries: &[(u64, Tried)]) -> Result<(), StoreError> {
        const NAME: &str = "settle_webhook_events";
        let failed = StoreError::during(NAME);
        let (done, again) = settled_rows(tries);
        let mut transaction = self.database.write(NAME).await?;
        sqlx::query("DELETE FROM webhook_events WHERE sequence IN (SELECT value FROM jsonb_each(?1))")
            .bind(rows(&done)?)
            .execute(&mut *transaction)
            .await
            .map_err(&failed)?;
        if !again.is_empty() {
            sqlx::query(
                "UPDATE webhook_events SET due_time = again.due_time, attempts = webhook_events.attempts + (webhook_events.sequence = again.sequence)
                 FROM (SELECT tried.account_id, tried.msisdn, tried.sequence, value ->> 1 AS due_time
                       FROM jsonb_each(?1) CROSS JOIN webhook_events AS tried ON tried.sequence = value ->> 0) AS again
                 WHERE webhook_events.account_id = again.account_id AND webhook_events.msisdn = again.msisdn",
            )
            .bind(rows(&again)?)
            .execute(&mut *transaction)
            .await
            .map_err(&failed)?;
        }
        transaction.commit().await.map_err(failed)
    }

    async fn count_webhook_events(&self, account: &OfficialAccountId) -> Result<u64, StoreError> {
        let count: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM (SELECT 1 FROM webhook_events
                                  WHERE account_id = (SELECT account_id FROM accounts WHERE name = ?1) LIMIT ?2)",
        )
        .bind(account.as_str())
        .bind(COUNTED)
        .fetch_one(self.database.read_fresh())
        .await
        .map_err(StoreError::during("count_webhook_events"))?;
        Ok(count.unsigned_abs())
    }
}
