//! Messages of agents: stored as messages are, with what their senders gave beside them.

use std::collections::HashMap;

use jiff::Timestamp;
use musubi_domain::id::OfficialAccountId;
use sqlx::SqliteConnection;

use super::{SqliteCarrierStore, account_key, messages};
use crate::{
    StoreError,
    carrier::{
        AgentEnqueued, AgentMessage, FleetName, SentMessage,
        agents::{AgentOffered, Receiver, agent_receivers, offer_agents, receiver_of, sent_of},
        ledger::AccountKey,
    },
    sqlite::{micros, rows},
};

impl SqliteCarrierStore {
    pub(super) async fn enqueue_of_agent(
        &self,
        account: &OfficialAccountId,
        offers: &[AgentMessage],
        now: Timestamp,
    ) -> Result<(Vec<AgentEnqueued>, Vec<FleetName>), StoreError> {
        const NAME: &str = "enqueue_agent_messages";
        let failed = StoreError::during(NAME);
        let mut transaction = self.database.write(NAME).await?;
        let key = account_key(&mut transaction, NAME, account).await?;
        let ids: Vec<_> = offers.iter().map(|offer| (key, offer.message_id)).collect();
        let seen =
            messages::find(&mut transaction, NAME, &ids).await?.into_keys().map(|(_, id)| id).collect();
        let receivers = receivers(&mut transaction, key, offers).await?;
        let AgentOffered { outcomes, new, payloads, beside, fleets } = offer_agents(offers, seen, receivers);
        if new.is_empty() {
            return Ok((outcomes, Vec::new()));
        }
        messages::insert(&mut transaction, NAME, key, &new, payloads).await?;
        sqlx::query(
            "INSERT INTO agent_messages (account_id, message_id, client_id, msisdn, traffic, generation, timed, sent_time, body)
             SELECT account_id, unhex(value ->> 0), value ->> 1, value ->> 2, value ->> 3, generation, value ->> 4, ?3, value ->> 5
             FROM jsonb_each(?2) CROSS JOIN accounts WHERE account_id = ?1",
        )
        .bind(key)
        .bind(rows(&beside)?)
        .bind(micros(now))
        .execute(&mut *transaction)
        .await
        .map_err(&failed)?;
        let fleets = messages::fleet_names(&mut transaction, fleets.into_iter().collect()).await?;
        transaction.commit().await.map_err(failed)?;
        Ok((outcomes, fleets))
    }

    pub(super) async fn list_of_agents(&self, limit: u32) -> Result<Vec<SentMessage>, StoreError> {
        let sent = sqlx::query(
            "SELECT a.name, s.message_id, s.client_id, s.msisdn, m.state, s.sent_time, s.body
             FROM agent_messages AS s CROSS JOIN messages AS m USING (account_id, message_id)
             CROSS JOIN accounts AS a USING (account_id)
             ORDER BY s.sent_time DESC LIMIT ?1",
        )
        .bind(limit)
        .fetch_all(self.database.read())
        .await
        .map_err(StoreError::during("list_agent_messages"))?;
        sent.iter().map(sent_of).collect()
    }
}

/// The numbers that messages would go to and that are somebody's.
async fn receivers(
    connection: &mut SqliteConnection,
    key: AccountKey,
    offers: &[AgentMessage],
) -> Result<HashMap<i64, Receiver>, StoreError> {
    let found = sqlx::query(
        "SELECT msisdn, fleet_id, gone IS NOT NULL,
                EXISTS (SELECT 1 FROM agent_messages AS m
                        WHERE m.account_id = ?1 AND m.msisdn = found.msisdn AND m.traffic = 5 AND m.generation >= gone)
         FROM (SELECT numbers.msisdn, numbers.fleet_id,
                      (SELECT unfollowed_at FROM subscriptions AS s WHERE s.account_id = ?1 AND s.msisdn = numbers.msisdn
                       ORDER BY followed_at DESC LIMIT 1) AS gone
               FROM jsonb_each(?2) AS asked
               CROSS JOIN numbers ON numbers.msisdn = asked.value AND numbers.released = 0) AS found",
    )
    .bind(key)
    .bind(rows(&agent_receivers(offers))?)
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("enqueue_agent_messages"))?;
    found.iter().map(receiver_of).collect()
}
