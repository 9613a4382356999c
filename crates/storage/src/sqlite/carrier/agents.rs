//! Agents, their keys and files, and who may try them; the simulator's own phones.

use std::collections::HashMap;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use musubi_domain::{id::OfficialAccountId, phone_number::PhoneNumber};

use super::{SqliteCarrierStore, account_key, webhooks};
use crate::{
    StoreError,
    carrier::{
        Agent, AgentEnqueued, AgentFile, AgentMessage, AgentStore, FleetName, Invited, SentMessage, TESTERS,
        TESTERS_A_DAY,
        agents::agent_file_of,
        record::{msisdn, number},
        webhooks::launch_row,
    },
    row::Columns as _,
    sqlite::{micros, rows},
};

#[async_trait]
impl AgentStore for SqliteCarrierStore {
    async fn put_agents(&self, agents: &[Agent], now: Timestamp) -> Result<(), StoreError> {
        const NAME: &str = "put_agents";
        let failed = StoreError::during(NAME);
        let mut transaction = self.database.write(NAME).await?;
        let mut keys = HashMap::new();
        for agent in agents {
            let key: i64 = sqlx::query_scalar(
                "INSERT INTO accounts (name, display_name) VALUES (?1, ?2)
                 ON CONFLICT (name) DO UPDATE SET display_name = excluded.display_name RETURNING account_id",
            )
            .bind(agent.account.as_str())
            .bind(&agent.display_name)
            .fetch_one(&mut *transaction)
            .await
            .map_err(&failed)?;
            let before: Option<String> =
                sqlx::query_scalar("SELECT launch_state FROM agents WHERE account_id = ?1")
                    .bind(key)
                    .fetch_optional(&mut *transaction)
                    .await
                    .map_err(&failed)?;
            if let Some(before) = before.filter(|before| *before != agent.launch_state) {
                let launched = [launch_row(key, &before, &agent.launch_state, now)];
                webhooks::put(&mut transaction, NAME, &launched).await?;
            }
            keys.insert(agent.account.clone(), key);
        }
        // All at once, because an agent's id may have gone to another account.
        sqlx::query("DELETE FROM agents").execute(&mut *transaction).await.map_err(&failed)?;
        for agent in agents {
            sqlx::query("INSERT INTO agents (account_id, agent, launch_state) VALUES (?1, ?2, ?3)")
                .bind(keys.get(&agent.account))
                .bind(&agent.agent_id)
                .bind(&agent.launch_state)
                .execute(&mut *transaction)
                .await
                .map_err(&failed)?;
        }
        transaction.commit().await.map_err(failed)?;
        self.agents.set(keys);
        Ok(())
    }

    async fn find_agent_key(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        sqlx::query_scalar("SELECT secret FROM agent_keys WHERE name = ?1")
            .bind(name)
            .fetch_optional(self.database.read())
            .await
            .map_err(StoreError::during("find_agent_key"))
    }

    async fn put_agent_key(&self, name: &str, secret: &[u8]) -> Result<Vec<u8>, StoreError> {
        const NAME: &str = "put_agent_key";
        let failed = StoreError::during(NAME);
        let mut transaction = self.database.write(NAME).await?;
        let stands = sqlx::query_scalar(
            "INSERT INTO agent_keys (name, secret) VALUES (?1, ?2)
             ON CONFLICT (name) DO UPDATE SET name = name RETURNING secret",
        )
        .bind(name)
        .bind(secret)
        .fetch_one(&mut *transaction)
        .await
        .map_err(&failed)?;
        transaction.commit().await.map_err(failed)?;
        Ok(stands)
    }

    async fn enqueue_agent_messages(
        &self,
        account: &OfficialAccountId,
        messages: &[AgentMessage],
        now: Timestamp,
    ) -> Result<(Vec<AgentEnqueued>, Vec<FleetName>), StoreError> {
        self.enqueue_of_agent(account, messages, now).await
    }

    async fn list_agent_messages(&self, limit: u32) -> Result<Vec<SentMessage>, StoreError> {
        self.list_of_agents(limit).await
    }

    async fn put_agent_file(&self, account: &OfficialAccountId, file: &AgentFile) -> Result<(), StoreError> {
        const NAME: &str = "put_agent_file";
        let failed = StoreError::during(NAME);
        let mut transaction = self.database.write(NAME).await?;
        let key = account_key(&mut transaction, NAME, account).await?;
        sqlx::query(
            "INSERT INTO agent_files (name, account_id, content_type, bytes, created_time) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (name) DO NOTHING",
        )
        .bind(&file.name)
        .bind(key)
        .bind(&file.content_type)
        .bind(i64::try_from(file.bytes).unwrap_or(i64::MAX))
        .bind(micros(file.time))
        .execute(&mut *transaction)
        .await
        .map_err(&failed)?;
        transaction.commit().await.map_err(failed)
    }

    async fn find_agent_file(
        &self,
        account: &OfficialAccountId,
        name: &str,
    ) -> Result<Option<AgentFile>, StoreError> {
        let found = sqlx::query(
            "SELECT f.name, content_type, bytes, created_time FROM agent_files AS f
             WHERE f.name = ?1 AND account_id = (SELECT account_id FROM accounts WHERE name = ?2)",
        )
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
        const NAME: &str = "put_tester";
        let failed = StoreError::during(NAME);
        let since = now.saturating_sub(SignedDuration::from_hours(24)).unwrap_or(Timestamp::MIN);
        let mut transaction = self.database.write(NAME).await?;
        let key = account_key(&mut transaction, NAME, account).await?;
        let counted = sqlx::query(
            "SELECT count(*), coalesce(sum(invited_time > ?2), 0), coalesce(sum(msisdn = ?3), 0)
             FROM agent_testers WHERE account_id = ?1",
        )
        .bind(key)
        .bind(micros(since))
        .bind(msisdn(tester))
        .fetch_one(&mut *transaction)
        .await
        .map_err(&failed)?;
        if counted.int(2)? > 0 {
            return Ok(Invited::Yes);
        }
        if counted.int(0)? >= TESTERS || counted.int(1)? >= TESTERS_A_DAY {
            return Ok(Invited::TooMany);
        }
        sqlx::query("INSERT INTO agent_testers (account_id, msisdn, invited_time) VALUES (?1, ?2, ?3)")
            .bind(key)
            .bind(msisdn(tester))
            .bind(micros(now))
            .execute(&mut *transaction)
            .await
            .map_err(&failed)?;
        transaction.commit().await.map_err(failed)?;
        Ok(Invited::Yes)
    }

    async fn is_tester(&self, account: &OfficialAccountId, number: PhoneNumber) -> Result<bool, StoreError> {
        sqlx::query_scalar(
            "SELECT EXISTS (SELECT 1 FROM agent_testers
                            WHERE account_id = (SELECT account_id FROM accounts WHERE name = ?1) AND msisdn = ?2)",
        )
        .bind(account.as_str())
        .bind(msisdn(number))
        .fetch_one(self.database.read())
        .await
        .map_err(StoreError::during("is_tester"))
    }

    async fn adopt_numbers(
        &self,
        fleet: &FleetName,
        numbers: &[PhoneNumber],
    ) -> Result<Vec<PhoneNumber>, StoreError> {
        const NAME: &str = "adopt_numbers";
        let failed = StoreError::during(NAME);
        let numbers: Vec<i64> = numbers.iter().map(|number| msisdn(*number)).collect();
        let mut transaction = self.database.write(NAME).await?;
        sqlx::query("INSERT INTO fleets (name) VALUES (?1) ON CONFLICT (name) DO NOTHING")
            .bind(fleet.as_str())
            .execute(&mut *transaction)
            .await
            .map_err(&failed)?;
        let new: Vec<i64> = sqlx::query_scalar(
            "INSERT INTO numbers (msisdn, fleet_id)
             SELECT value, fleet_id FROM jsonb_each(?1) CROSS JOIN fleets WHERE fleets.name = ?2
             ON CONFLICT (msisdn) DO NOTHING RETURNING msisdn",
        )
        .bind(rows(&numbers)?)
        .bind(fleet.as_str())
        .fetch_all(&mut *transaction)
        .await
        .map_err(&failed)?;
        transaction.commit().await.map_err(failed)?;
        new.into_iter().map(number).collect()
    }

    async fn put_away(&self, number: PhoneNumber, away: bool) -> Result<(), StoreError> {
        const NAME: &str = "put_away";
        let failed = StoreError::during(NAME);
        let mut transaction = self.database.write(NAME).await?;
        sqlx::query(if away {
            "INSERT INTO phones_away (msisdn) VALUES (?1) ON CONFLICT (msisdn) DO NOTHING"
        } else {
            "DELETE FROM phones_away WHERE msisdn = ?1"
        })
        .bind(msisdn(number))
        .execute(&mut *transaction)
        .await
        .map_err(&failed)?;
        transaction.commit().await.map_err(failed)
    }

    async fn list_away(&self) -> Result<Vec<PhoneNumber>, StoreError> {
        let away: Vec<i64> = sqlx::query_scalar("SELECT msisdn FROM phones_away ORDER BY msisdn")
            .fetch_all(self.database.read_fresh())
            .await
            .map_err(StoreError::during("list_away"))?;
        away.into_iter().map(number).collect()
    }
}
