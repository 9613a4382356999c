//! Agents, their keys and files, and who may try them; the simulator's own phones.

use std::collections::HashMap;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use musubi_domain::{id::OfficialAccountId, phone_number::PhoneNumber};

use super::{PostgresCarrierStore, account_key, webhooks};
use crate::{
    StoreError,
    carrier::{
        Agent, AgentEnqueued, AgentFile, AgentMessage, AgentStore, FleetName, Invited, SentMessage, TESTERS,
        TESTERS_A_DAY,
        agents::agent_file_of,
        record::{msisdn, number},
        webhooks::launch_row,
    },
    postgres::again,
    row::{Columns as _, micros},
};

const PUT_ACCOUNT: &str = "
    INSERT INTO accounts (name, display_name) VALUES ($1, $2)
    ON CONFLICT (name) DO UPDATE SET display_name = excluded.display_name RETURNING account_id";

pub(super) const FILE: &str = "
    SELECT f.name, content_type, bytes, created_time FROM agent_files AS f
    WHERE f.name = $1 AND account_id = (SELECT account_id FROM accounts WHERE name = $2)";

/// At most as many rows as may be invited.
pub(super) const TESTERS_OF: &str = "
    SELECT count(*), count(*) FILTER (WHERE invited_time > $2), count(*) FILTER (WHERE msisdn = $3)
    FROM agent_testers WHERE account_id = $1";

pub(super) const TESTER: &str = "
    SELECT EXISTS (SELECT 1 FROM agent_testers
                   WHERE account_id = (SELECT account_id FROM accounts WHERE name = $1) AND msisdn = $2)";

#[async_trait]
impl AgentStore for PostgresCarrierStore {
    async fn put_agents(&self, agents: &[Agent], now: Timestamp) -> Result<(), StoreError> {
        let keys = again!(self.put_agents_once(agents, now))?;
        self.agents.set(keys);
        Ok(())
    }

    async fn find_agent_key(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        sqlx::query_scalar("SELECT secret FROM agent_keys WHERE name = $1")
            .bind(name)
            .fetch_optional(self.database.read())
            .await
            .map_err(StoreError::during("find_agent_key"))
    }

    async fn put_agent_key(&self, name: &str, secret: &[u8]) -> Result<Vec<u8>, StoreError> {
        let mut write = self.database.write("put_agent_key").await?;
        let put = sqlx::query(
            "INSERT INTO agent_keys (name, secret) VALUES ($1, $2)
             ON CONFLICT (name) DO UPDATE SET name = agent_keys.name RETURNING secret",
        )
        .bind(name)
        .bind(secret);
        let stands = write.fetch_one(put).await?.bytes(0)?.to_vec();
        write.commit().await?;
        Ok(stands)
    }

    async fn enqueue_agent_messages(
        &self,
        account: &OfficialAccountId,
        messages: &[AgentMessage],
        now: Timestamp,
    ) -> Result<(Vec<AgentEnqueued>, Vec<FleetName>), StoreError> {
        again!(self.enqueue_of_agent(account, messages, now))
    }

    async fn list_agent_messages(&self, limit: u32) -> Result<Vec<SentMessage>, StoreError> {
        self.list_of_agents(limit).await
    }

    async fn put_agent_file(&self, account: &OfficialAccountId, file: &AgentFile) -> Result<(), StoreError> {
        let mut write = self.database.write("put_agent_file").await?;
        let key = account_key(&mut write, account).await?;
        let put = sqlx::query(
            "INSERT INTO agent_files (name, account_id, content_type, bytes, created_time) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (name) DO NOTHING",
        )
        .bind(&file.name)
        .bind(key)
        .bind(&file.content_type)
        .bind(i64::try_from(file.bytes).unwrap_or(i64::MAX))
        .bind(micros(file.time));
        write.execute(put).await?;
        write.commit().await
    }

    async fn find_agent_file(
        &self,
        account: &OfficialAccountId,
        name: &str,
    ) -> Result<Option<AgentFile>, StoreError> {
        let found = sqlx::query(FILE)
            .bind(name)
            .bind(account.as_str())
            .fetch_optional(self.database.read())
            .await
            .map_err(StoreError::during("find_agent_file"))?;
        found.as_ref().map(agent_file_of).transpose()
    }

    async fn put_tester(
        &self,
        account: &OfficialAccountId,
        tester: PhoneNumber,
        now: Timestamp,
    ) -> Result<Invited, StoreError> {
        again!(self.put_tester_once(account, tester, now))
    }

    async fn is_tester(&self, account: &OfficialAccountId, number: PhoneNumber) -> Result<bool, StoreError> {
        let tester = sqlx::query(TESTER)
            .bind(account.as_str())
            .bind(msisdn(number))
            .fetch_one(self.database.read())
            .await
            .map_err(StoreError::during("is_tester"))?;
        tester.flag(0)
    }

    async fn adopt_numbers(
        &self,
        fleet: &FleetName,
        numbers: &[PhoneNumber],
    ) -> Result<Vec<PhoneNumber>, StoreError> {
        let mut numbers: Vec<i64> = numbers.iter().map(|number| msisdn(*number)).collect();
        // In one order, so that of two that adopt neither waits for the other's.
        numbers.sort_unstable();
        let mut write = self.database.write("adopt_numbers").await?;
        let put = "INSERT INTO fleets (name) VALUES ($1) ON CONFLICT (name) DO NOTHING";
        write.execute(sqlx::query(put).bind(fleet.as_str())).await?;
        let adopt = sqlx::query(
            "INSERT INTO numbers (msisdn, fleet_id)
             SELECT new, fleet_id FROM unnest($1::bigint[]) AS new CROSS JOIN fleets WHERE fleets.name = $2
             ON CONFLICT (msisdn) DO NOTHING RETURNING msisdn",
        )
        .bind(numbers)
        .bind(fleet.as_str());
        let new = write.fetch(adopt).await?;
        write.commit().await?;
        new.iter().map(|row| number(row.int(0)?)).collect()
    }

    async fn put_away(&self, number: PhoneNumber, away: bool) -> Result<(), StoreError> {
        let mut write = self.database.write("put_away").await?;
        let put = if away {
            "INSERT INTO phones_away (msisdn) VALUES ($1) ON CONFLICT (msisdn) DO NOTHING"
        } else {
            "DELETE FROM phones_away WHERE msisdn = $1"
        };
        write.execute(sqlx::query(put).bind(msisdn(number))).await?;
        write.commit().await
    }

    async fn list_away(&self) -> Result<Vec<PhoneNumber>, StoreError> {
        let away: Vec<i64> = sqlx::query_scalar("SELECT msisdn FROM phones_away ORDER BY msisdn")
            .fetch_all(self.database.read())
            .await
            .map_err(StoreError::during("list_away"))?;
        away.into_iter().map(number).collect()
    }
}

impl PostgresCarrierStore {
    async fn put_agents_once(
        &self,
        agents: &[Agent],
        now: Timestamp,
    ) -> Result<HashMap<OfficialAccountId, i64>, StoreError> {
        let mut write = self.database.write("put_agents").await?;
        let mut keys = HashMap::new();
        for agent in agents {
            let put = sqlx::query(PUT_ACCOUNT).bind(agent.account.as_str()).bind(&agent.display_name);
            let key = write.fetch_one(put).await?.int(0)?;
            let before = sqlx::query("SELECT launch_state FROM agents WHERE account_id = $1").bind(key);
            let before = write.fetch_optional(before).await?;
            let before = before.map(|row| row.text(0).map(str::to_owned)).transpose()?;
            if let Some(before) = before.filter(|before| *before != agent.launch_state) {
                let launched = [launch_row(key, &before, &agent.launch_state, now)];
                webhooks::put(&mut write, &launched).await?;
            }
            keys.insert(agent.account.clone(), key);
        }
        // All at once, because an agent's id may have gone to another account.
        write.execute(sqlx::query("DELETE FROM agents")).await?;
        for agent in agents {
            let put = sqlx::query("INSERT INTO agents (account_id, agent, launch_state) VALUES ($1, $2, $3)")
                .bind(keys.get(&agent.account))
                .bind(&agent.agent_id)
                .bind(&agent.launch_state);
            write.execute(put).await?;
        }
        write.commit().await?;
        Ok(keys)
    }

    async fn put_tester_once(
        &self,
        account: &OfficialAccountId,
        tester: PhoneNumber,
        now: Timestamp,
    ) -> Result<Invited, StoreError> {
        let since = now.saturating_sub(SignedDuration::from_hours(24)).unwrap_or(Timestamp::MIN);
        let mut write = self.database.write("put_tester").await?;
        let key = account_key(&mut write, account).await?;
        // Whoever else invites for it waits.
        let hold = sqlx::query("SELECT 1 FROM agents WHERE account_id = $1 FOR UPDATE").bind(key);
        write.fetch(hold).await?;
        let counted = sqlx::query(TESTERS_OF).bind(key).bind(micros(since)).bind(msisdn(tester));
        let counted = write.fetch_one(counted).await?;
        if counted.int(2)? > 0 {
            return Ok(Invited::Yes);
        }
        if counted.int(0)? >= TESTERS || counted.int(1)? >= TESTERS_A_DAY {
            return Ok(Invited::TooMany);
        }
        let put = "INSERT INTO agent_testers (account_id, msisdn, invited_time) VALUES ($1, $2, $3)";
        write.execute(sqlx::query(put).bind(key).bind(msisdn(tester)).bind(micros(now))).await?;
        write.commit().await?;
        Ok(Invited::Yes)
    }
}
