//! The carrier store on PostgreSQL.
//!
//! A file for each part: `lists`, `messages`, `actions`, `authority`, `outbox`; here they are put together. No rule stands here;
//! what actions do is decided by the ledger beside the trait. Surprising: what belongs to a number (whom it follows, its fleet, its
//! messages) is locked by the number's row alone, and two batches wait for one another only where they have numbers in common, an
//! account whose list changes, or the end of an order to write to.

mod actions;
mod authority;
mod lists;
mod messages;
mod outbox;

use async_trait::async_trait;
use jiff::Timestamp;
use musubi_domain::{
    id::{MessageId, OfficialAccountId},
    identity::IdentityMethod,
    phone_number::PhoneNumber,
};
use uuid::Uuid;

use super::{Database, Migrations, PostgresOptions, Tx};
use crate::{
    Opened, StoreError,
    carrier::{
        ActionBatch, Applied, AuthorityKey, Candidate, CarrierStore, EncodeEvents, Enqueueing, FleetName,
        OutboxBatch, OutboxKind, Person, QueuedMessage, Snapshot, ledger::AccountKey,
        record::unknown_account,
    },
    row::Columns as _,
};

/// The schema of the carrier store.
pub static MIGRATIONS: Migrations = Migrations::new(sqlx::migrate!("src/postgres/migrations/carrier"));

/// The carrier store in a PostgreSQL database.
#[derive(Clone)]
pub struct PostgresCarrierStore {
    database: Database,
    encode: EncodeEvents,
}

impl PostgresCarrierStore {
    /// Connects to a database whose schema is up to date. Events are written by `encode`.
    ///
    /// # Errors
    /// [`StoreError::Unreached`], [`StoreError::Unsafe`] and [`StoreError::Schema`].
    pub async fn open(options: &PostgresOptions, encode: EncodeEvents) -> Result<Self, StoreError> {
        Ok(Self { database: Database::open(options, &MIGRATIONS).await?, encode })
    }
}

#[async_trait]
impl Opened for PostgresCarrierStore {
    async fn close(&self) {
        self.database.close().await;
    }
}

#[async_trait]
impl CarrierStore for PostgresCarrierStore {
    async fn put_account(&self, account: &OfficialAccountId, display_name: &str) -> Result<(), StoreError> {
        lists::put_account(&self.database, account, display_name).await
    }

    async fn get_snapshot(&self, account: &OfficialAccountId) -> Result<Snapshot, StoreError> {
        lists::get_snapshot(&self.database, account).await
    }

    async fn list_followers(
        &self,
        account: &OfficialAccountId,
        snapshot: Snapshot,
        after: Option<PhoneNumber>,
    ) -> Result<Vec<PhoneNumber>, StoreError> {
        lists::list_followers(&self.database, account, snapshot, after).await
    }

    async fn enqueue_messages(
        &self,
        account: &OfficialAccountId,
        candidates: &[Candidate],
    ) -> Result<Enqueueing, StoreError> {
        messages::enqueue(&self.database, account, candidates).await
    }

    async fn revoke_messages(
        &self,
        account: &OfficialAccountId,
        message_ids: &[MessageId],
        now: Timestamp,
    ) -> Result<Vec<bool>, StoreError> {
        messages::revoke(&self.database, self.encode, account, message_ids, now).await
    }

    async fn expire_messages(&self, now: Timestamp) -> Result<usize, StoreError> {
        messages::expire(&self.database, self.encode, now).await
    }

    async fn list_queued(
        &self,
        fleet: &FleetName,
        after: u64,
        now: Timestamp,
    ) -> Result<Vec<QueuedMessage>, StoreError> {
        messages::list_queued(&self.database, fleet, after, now).await
    }

    async fn apply_actions(&self, batch: &ActionBatch, now: Timestamp) -> Result<Applied, StoreError> {
        actions::apply(&self.database, self.encode, batch, now).await
    }

    async fn put_authority_keys(&self, keys: &[AuthorityKey]) -> Result<Vec<AuthorityKey>, StoreError> {
        authority::put_keys(&self.database, keys).await
    }

    async fn put_persons(&self, persons: &[Person]) -> Result<(), StoreError> {
        authority::put_persons(&self.database, persons).await
    }

    async fn find_persons(
        &self,
        credentials: &[(IdentityMethod, &str)],
    ) -> Result<Vec<Option<Person>>, StoreError> {
        authority::find_persons(&self.database, credentials).await
    }

    async fn find_answer(&self, batch_id: Uuid) -> Result<Option<Vec<u8>>, StoreError> {
        authority::find_answer(&self.database, batch_id).await
    }

    async fn put_assertions(
        &self,
        batch_id: Uuid,
        answer: Vec<u8>,
        payloads: &[(usize, Vec<u8>)],
    ) -> Result<Vec<u8>, StoreError> {
        authority::put_assertions(&self.database, batch_id, answer, payloads).await
    }

    async fn list_outbox(&self, kind: OutboxKind) -> Result<Option<OutboxBatch>, StoreError> {
        outbox::list(&self.database, kind).await
    }

    async fn acknowledge_outbox(&self, kind: OutboxKind, through: u64) -> Result<(), StoreError> {
        outbox::acknowledge(&self.database, kind, through).await
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
        carrier::RoomAction,
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
