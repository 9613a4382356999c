//! Messages of agents: stored as messages are, with what their senders gave beside them.

use std::collections::HashMap;

use jiff::Timestamp;
use musubi_domain::id::OfficialAccountId;

use super::{PostgresCarrierStore, account_key, messages};
use crate::{
    StoreError,
    carrier::{
        AgentEnqueued, AgentMessage, FleetName, SentMessage,
        agents::{
            AgentMessageRow, AgentOffered, Receiver, agent_receivers, offer_agents, receiver_of, sent_of,
        },
    },
    row::{BulkRow as _, micros},
};

pub(super) const RECEIVERS: &str = "
    SELECT msisdn, fleet_id, gone IS NOT NULL,
           EXISTS (SELECT 1 FROM agent_messages AS m
                   WHERE m.account_id = $2 AND m.msisdn = found.msisdn AND m.traffic = 5 AND m.generation >= gone)
    FROM (SELECT numbers.msisdn, numbers.fleet_id,
                 (SELECT unfollowed_at FROM subscriptions AS s WHERE s.account_id = $2 AND s.msisdn = numbers.msisdn
                  ORDER BY account_id DESC, msisdn DESC, followed_at DESC LIMIT 1) AS gone
          FROM numbers WHERE msisdn = ANY($1) AND NOT released) AS found";

const INSERT: &str = "
    INSERT INTO agent_messages (account_id, message_id, client_id, msisdn, traffic, generation, timed, sent_time, body)
    SELECT account_id, message_id, client_id, msisdn, traffic, generation, timed, $7, body
    FROM accounts CROSS JOIN unnest($1::uuid[], $2::text[], $3::bigint[], $4::smallint[], $5::boolean[], $6::text[])
        AS new(message_id, client_id, msisdn, traffic, timed, body)
    WHERE account_id = $8";

pub(super) const LAST: &str = "
    SELECT a.name, s.message_id, s.client_id, s.msisdn, m.state, s.sent_time, s.body
    FROM (SELECT * FROM agent_messages ORDER BY sent_time DESC LIMIT $1) AS s
    CROSS JOIN LATERAL (SELECT state FROM messages AS m
                        WHERE m.account_id = s.account_id AND m.message_id = s.message_id OFFSET 0) AS m
    CROSS JOIN LATERAL (SELECT name FROM accounts WHERE account_id = s.account_id OFFSET 0) AS a
    ORDER BY s.sent_time DESC";

impl PostgresCarrierStore {
    pub(super) async fn enqueue_of_agent(
        &self,
        account: &OfficialAccountId,
        offers: &[AgentMessage],
        now: Timestamp,
    ) -> Result<(Vec<AgentEnqueued>, Vec<FleetName>), StoreError> {
        let mut write = self.database.write("enqueue_agent_messages").await?;
        let key = account_key(&mut write, account).await?;
        let numbers = agent_receivers(offers);
        write.fetch(sqlx::query(messages::SHARE).bind(&numbers)).await?;
        let ids: Vec<_> = offers.iter().map(|offer| (key, offer.message_id)).collect();
        let seen = messages::find(&mut write, &ids).await?.into_keys().map(|(_, id)| id).collect();
        let found = write.fetch(sqlx::query(RECEIVERS).bind(&numbers).bind(key)).await?;
        let receivers = found.iter().map(receiver_of).collect::<Result<HashMap<i64, Receiver>, _>>()?;
        let AgentOffered { outcomes, new, payloads, beside, fleets } = offer_agents(offers, seen, receivers);
        if new.is_empty() {
            return Ok((outcomes, Vec::new()));
        }
        let fleets = messages::fleet_names(&mut write, fleets).await?;
        let insert = AgentMessageRow::bind(sqlx::query(INSERT), &beside).bind(micros(now)).bind(key);
        write.execute(insert).await?;
        messages::insert(&mut write, key, &new, payloads).await?;
        write.commit().await?;
        Ok((outcomes, fleets))
    }

    pub(super) async fn list_of_agents(&self, limit: u32) -> Result<Vec<SentMessage>, StoreError> {
        let sent = sqlx::query(LAST)
            .bind(i64::from(limit))
            .fetch_all(self.database.read())
            .await
            .map_err(StoreError::during("list_agent_messages"))?;
        sent.iter().map(sent_of).collect()
    }
}
