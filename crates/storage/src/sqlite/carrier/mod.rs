//! The carrier store on SQLite.
//!
//! A file for each part of the trait: `lists`, `messages`, `actions`, `numbers`, `agents`, `authority`, `outbox`. No rule stands here; what
//! actions do is decided by the ledger beside the trait. Surprising: payloads of a batch are bound as one blob that the
//! statement cuts up, because a blob can't stand in the JSON that carries the rows.

mod actions;
mod agent_messages;
mod agents;
mod authority;
mod lists;
mod messages;
mod numbers;
mod outbox;
mod webhooks;

use std::path::Path;

use async_trait::async_trait;
use musubi_domain::id::OfficialAccountId;
use sqlx::SqliteConnection;

use super::Database;
use crate::{
    Opened, StoreError,
    carrier::{EncodeEvents, agents::Agents, ledger::AccountKey, record::unknown_account},
    migrations,
};

/// The carrier store in one SQLite file.
#[derive(Clone)]
pub struct SqliteCarrierStore {
    database: Database,
    encode: EncodeEvents,
    agents: Agents,
}

impl SqliteCarrierStore {
    /// Opens the file, makes it when it isn't there, and brings its schema up to date. Events are written by `encode`.
    ///
    /// # Errors
    /// [`StoreError::InUse`] and [`StoreError::Unopened`].
    pub async fn open(path: &Path, encode: EncodeEvents) -> Result<Self, StoreError> {
        let database = Database::open(path, migrations::SQLITE_CARRIER).await?;
        Ok(Self { database, encode, agents: Agents::default() })
    }
}

#[async_trait]
impl Opened for SqliteCarrierStore {
    async fn close(&self) {
        self.database.close().await;
    }
}

/// Many small rows that the database packed into one, because each row of its own costs a wake-up of another thread.
fn unpack<T: serde::de::DeserializeOwned>(rows: &str) -> Result<Vec<T>, StoreError> {
    serde_json::from_str(rows)
        .map_err(|error| StoreError::Corrupt(format!("rows of the carrier can't be read: {error}")))
}

/// The account's key; refused when there is no such account.
async fn account_key(
    connection: &mut SqliteConnection,
    transaction: &'static str,
    account: &OfficialAccountId,
) -> Result<AccountKey, StoreError> {
    sqlx::query_scalar("SELECT account_id FROM accounts WHERE name = ?1")
        .bind(account.as_str())
        .fetch_optional(connection)
        .await
        .map_err(StoreError::during(transaction))?
        .ok_or_else(|| unknown_account().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        carrier::{ActionStore as _, Applied, RoomAction},
        conformance::carrier as facts,
    };

    async fn open() -> (SqliteCarrierStore, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteCarrierStore::open(&folder.path().join("carrier.db"), facts::encode).await.unwrap();
        (store, folder)
    }

    facts::carrier_store_suite!(open());

    #[tokio::test]
    async fn every_query_that_grows_with_followers_has_its_index() {
        let (store, _folder) = open().await;
        const EACH: &str = "FROM jsonb_each('[]') AS r CROSS JOIN";
        for (query, index) in [
            (
                "FROM messages WHERE fleet_id = 1 AND state = 0 AND sequence > 2 ORDER BY sequence",
                "messages_of_fleet",
            ),
            ("FROM messages WHERE state = 0 AND expire_time <= 5 ORDER BY expire_time", "messages_by_expiry"),
            ("{EACH} messages AS m ON m.msisdn = r.value AND m.state = 0", "messages_of_number"),
            ("{EACH} messages AS m ON m.account_id = 1 AND m.message_id = unhex(r.value)", "messages_by_id"),
            ("{EACH} messages AS m ON m.sequence = r.value ->> 0", "INTEGER PRIMARY KEY"),
            (
                "{EACH} subscriptions AS s ON s.msisdn = r.value AND s.unfollowed_at IS NULL",
                "subscriptions_now",
            ),
            (
                "{EACH} subscriptions AS s ON s.account_id = 1 AND s.msisdn = r.value",
                "(account_id=? AND msisdn=?)",
            ),
            ("FROM subscriptions WHERE account_id = 1 AND msisdn > 2 ORDER BY msisdn", "PRIMARY KEY"),
            ("FROM outbox WHERE kind = 0 AND sequence <= 5 ORDER BY sequence", "outbox_in_order"),
            (
                "FROM webhook_events WHERE account_id = 1 AND due_time <= 5 ORDER BY due_time, sequence",
                "webhook_events_by_due",
            ),
            (
                "FROM webhook_events WHERE account_id = 1 AND msisdn = 5 ORDER BY sequence LIMIT 1",
                "webhook_events_of_room",
            ),
            ("FROM agent_messages ORDER BY sent_time DESC", "agent_messages_by_time"),
            (
                "FROM agent_messages WHERE account_id = 1 AND msisdn = 5 AND traffic = 5 AND generation >= 2",
                "agent_acknowledgements",
            ),
        ] {
            let query = format!("EXPLAIN QUERY PLAN SELECT * {}", query.replace("{EACH}", EACH));
            let plan: Vec<(i64, i64, i64, String)> =
                sqlx::query_as(sqlx::AssertSqlSafe(query)).fetch_all(store.database.read()).await.unwrap();
            let steps: Vec<String> = plan.into_iter().map(|step| step.3).collect();
            assert!(steps.iter().any(|step| step.contains(index)), "{steps:?}");
            assert!(!steps.iter().any(|step| step.contains("TEMP B-TREE")), "{steps:?}");
        }
    }

    #[tokio::test]
    async fn everything_outlives_the_process() {
        let (store, folder) = open().await;
        facts::followed(&store, "bank", 1..3).await;
        facts::send(&store, "bank", &[(1, 1), (2, 2)]).await;
        facts::act(&store, 1, vec![facts::in_room("bank", 1, RoomAction::Unfollow)]).await;
        drop(store);
        let store = SqliteCarrierStore::open(&folder.path().join("carrier.db"), facts::encode).await.unwrap();
        assert_eq!(facts::waiting(&store, "fleet").await, ["payload 2"]);
        let again = facts::batch(1, Vec::new());
        assert_eq!(store.apply_actions(&again, facts::now()).await.unwrap(), Applied::Before);
        assert_eq!(facts::told(&store).await, ["unfollowed bank 1", "Revoked 1 bank 1"]);
        store.close().await;
    }
}
