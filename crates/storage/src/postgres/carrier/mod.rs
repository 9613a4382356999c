//! The carrier store on PostgreSQL.
//!
//! A file for each part of the trait: `lists`, `messages`, `actions`, `numbers`, `agents`, `authority`, `outbox`. No rule stands here; what actions do
//! is decided by the ledger beside the trait. Surprising: what belongs to a number (whom it follows, its fleet, its messages) is
//! locked by the number's row alone, and two batches wait for one another only where they have numbers in common, an account
//! whose list changes, or the end of an order to write to.

mod actions;
mod agent_messages;
mod agents;
mod authority;
mod lists;
mod messages;
mod numbers;
mod outbox;
mod webhooks;

use async_trait::async_trait;
use musubi_domain::id::OfficialAccountId;

use super::{Database, Migrations, PostgresOptions, Tx};
use crate::{
    Opened, StoreError,
    carrier::{EncodeEvents, agents::Agents, ledger::AccountKey, record::unknown_account},
    migrations,
    row::Columns as _,
};

/// The schema of the carrier store.
pub static MIGRATIONS: Migrations = Migrations::new(migrations::POSTGRES_CARRIER);

/// The carrier store in a PostgreSQL database.
#[derive(Clone)]
pub struct PostgresCarrierStore {
    database: Database,
    encode: EncodeEvents,
    agents: Agents,
}

impl PostgresCarrierStore {
    /// Connects to a database whose schema is up to date. Events are written by `encode`.
    ///
    /// # Errors
    /// [`StoreError::Unreached`], [`StoreError::Unsafe`] and [`StoreError::Schema`].
    pub async fn open(options: &PostgresOptions, encode: EncodeEvents) -> Result<Self, StoreError> {
        let database = Database::open(options, &MIGRATIONS).await?;
        Ok(Self { database, encode, agents: Agents::default() })
    }
}

#[async_trait]
impl Opened for PostgresCarrierStore {
    async fn close(&self) {
        self.database.close().await;
    }
}

/// The account's key; refused when there is no such account.
async fn account_key(write: &mut Tx, account: &OfficialAccountId) -> Result<AccountKey, StoreError> {
    let known = sqlx::query("SELECT account_id FROM accounts WHERE name = $1").bind(account.as_str());
    write.fetch_optional(known).await?.ok_or_else(unknown_account)?.int(0)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;
    use crate::{
        carrier::{ActionStore as _, MessageStore as _, OutboxKind, OutboxStore as _, RoomAction},
        conformance::carrier as facts,
        postgres::testing::{Fresh, fresh, goes_by},
    };

    /// Within which a transaction that waits for nobody is through.
    const WAIT: Duration = Duration::from_millis(500);

    async fn open() -> (PostgresCarrierStore, Fresh) {
        let (options, fresh) = fresh("carrier", &MIGRATIONS).await;
        (PostgresCarrierStore::open(&options, facts::encode).await.unwrap(), fresh)
    }

    facts::carrier_store_suite!(open());

    #[tokio::test]
    async fn every_statement_that_grows_with_followers_has_its_index() {
        let (store, _fresh) = open().await;
        for (statement, index) in [
            (lists::FOLLOWERS, "subscriptions_pkey"),
            (actions::NUMBERS, "numbers_pkey"),
            (numbers::TENURES, "numbers_pkey"),
            (actions::ACCOUNTS, "subscriptions_now"),
            (actions::FOLLOWING, "subscriptions_now"),
            (actions::WAITING, "messages_of_number"),
            (actions::WAITING_IN_ROOMS, "messages_of_number"),
            (messages::FLEETS_OF_FOLLOWERS, "subscriptions_now"),
            (messages::BY_ID, "messages_by_id"),
            (messages::MOVE, "messages_pkey"),
            (messages::NUMBERS_OVER, "messages_by_expiry"),
            (messages::OVER, "messages_by_expiry"),
            (messages::QUEUED, "messages_of_fleet"),
            (agent_messages::RECEIVERS, "agent_acknowledgements"),
            (agent_messages::LAST, "agent_messages_by_time"),
            (webhooks::PUT, "webhook_events_of_room"),
            (webhooks::DUE, "webhook_events_by_due"),
            (webhooks::DONE, "webhook_events_pkey"),
            (webhooks::AGAIN, "webhook_events_of_room"),
            (agents::FILE, "agent_files_pkey"),
            (agents::TESTERS_OF, "agent_testers_pkey"),
            (agents::TESTER, "agent_testers_pkey"),
            (authority::PERSONS, "persons_pkey"),
            (outbox::SIZES, "outbox_pkey"),
            (outbox::PAYLOADS, "outbox_pkey"),
            (outbox::DROP, "outbox_pkey"),
        ] {
            goes_by(store.database.read(), index, statement).await;
        }
    }

    /// A place in an order is nobody's before the one before it is committed: a reader would go past it.
    #[tokio::test]
    async fn who_comes_later_waits_for_the_place_before() {
        let (store, _fresh) = open().await;
        facts::followed(&store, "bank", 1..2).await;
        let account = facts::account("bank");

        let mut first = store.database.write("first").await.unwrap();
        outbox::put(&mut first, OutboxKind::Events, &[(1, b"first".to_vec())]).await.unwrap();
        let unfollow = facts::batch(1, vec![facts::in_room("bank", 1, RoomAction::Unfollow)]);
        let mut second = std::pin::pin!(store.apply_actions(&unfollow, facts::now()));
        assert!(timeout(WAIT, &mut second).await.is_err());
        assert_eq!(store.list_outbox(OutboxKind::Events).await.unwrap(), None);
        first.commit().await.unwrap();
        second.await.unwrap();
        let listed = store.list_outbox(OutboxKind::Events).await.unwrap().unwrap();
        assert_eq!(listed.payloads, [&b"first"[..], b"unfollowed bank 1\n"]);

        facts::followed(&store, "bank", 1..3).await;
        let mut first = store.database.write("first").await.unwrap();
        first.execute(sqlx::query("UPDATE heads SET last = last + 1 WHERE head = 2")).await.unwrap();
        let candidates = [facts::candidate(1, 1, "second")];
        let mut second = std::pin::pin!(store.enqueue_messages(&account, &candidates));
        assert!(timeout(WAIT, &mut second).await.is_err());
        first.commit().await.unwrap();
        second.await.unwrap();
        assert_eq!(store.list_queued(&facts::fleet("fleet"), 0, facts::now()).await.unwrap()[0].sequence, 2);
    }
}
