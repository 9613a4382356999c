//! Official accounts and their subscriber lists \[320\]. No transaction here lasts longer than a page.

use async_trait::async_trait;
use musubi_domain::{id::OfficialAccountId, phone_number::PhoneNumber};

use super::PostgresCarrierStore;
use crate::{
    StoreError,
    carrier::{
        BATCH, Snapshot, SubscriberListStore,
        record::{msisdn, number, snapshot_of},
    },
    row::Columns as _,
};

pub(super) const FOLLOWERS: &str = "
    SELECT msisdn FROM subscriptions
    WHERE account_id = (SELECT account_id FROM accounts WHERE name = $1)
        AND msisdn > $2 AND followed_at <= $3 AND (unfollowed_at IS NULL OR unfollowed_at > $3)
    ORDER BY msisdn LIMIT $4";

#[async_trait]
impl SubscriberListStore for PostgresCarrierStore {
    async fn put_account(&self, account: &OfficialAccountId, display_name: &str) -> Result<(), StoreError> {
        let mut write = self.database.write("put_account").await?;
        let put = sqlx::query(
            "INSERT INTO accounts (name, display_name) VALUES ($1, $2)
             ON CONFLICT (name) DO UPDATE SET display_name = excluded.display_name",
        )
        .bind(account.as_str())
        .bind(display_name);
        write.execute(put).await?;
        write.commit().await
    }

    async fn get_snapshot(&self, account: &OfficialAccountId) -> Result<Snapshot, StoreError> {
        let found = sqlx::query("SELECT generation FROM accounts WHERE name = $1")
            .bind(account.as_str())
            .fetch_optional(self.database.read())
            .await
            .map_err(StoreError::during("get_snapshot"))?;
        snapshot_of(found.as_ref())
    }

    async fn list_followers(
        &self,
        account: &OfficialAccountId,
        snapshot: Snapshot,
        after: Option<PhoneNumber>,
    ) -> Result<Vec<PhoneNumber>, StoreError> {
        let found = sqlx::query(FOLLOWERS)
            .bind(account.as_str())
            .bind(after.map_or(0, msisdn))
            .bind(i64::try_from(snapshot.generation).unwrap_or(i64::MAX))
            .bind(i64::try_from(BATCH).unwrap_or(i64::MAX))
            .fetch_all(self.database.read())
            .await
            .map_err(StoreError::during("list_followers"))?;
        found.iter().map(|row| number(row.int(0)?)).collect()
    }
}
