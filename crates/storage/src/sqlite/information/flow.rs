//! Units of work on SQLite.

use async_trait::async_trait;
use jiff::Timestamp;
use musubi_domain::id::CompanyId;
use sqlx::{Sqlite, Transaction};

use super::{SqliteInformation, load::load, save::save};
use crate::{
    StoreError,
    information::{
        FollowerKey,
        changed::Before,
        flow::{Edit, FlowStore, Inquiry, Scope},
        record::{Interned, inquiry_of, key_of, keys_of},
    },
    row::micros,
    vault::Keys,
};

pub(super) const DUE: &str = "
    SELECT f.official_account, f.follower FROM dialogue AS d CROSS JOIN follower AS f ON f.number = d.number
    WHERE d.due_time <= ?1 ORDER BY d.due_time LIMIT ?2";

pub(super) const CLAIM_INQUIRIES: &str = "
    UPDATE inquiry SET due_time = ?3 WHERE number IN
        (SELECT number FROM inquiry WHERE company = ?1 AND due_time <= ?2 ORDER BY due_time LIMIT ?4)
    RETURNING (SELECT official_account FROM follower AS f WHERE f.number = inquiry.number),
        (SELECT follower FROM follower AS f WHERE f.number = inquiry.number), inquiry_id, company, subject, due_time";

pub(super) const FORGET: &str = "DELETE FROM inbox WHERE take_time < ?1";

#[async_trait]
impl FlowStore for SqliteInformation {
    async fn work(
        &self,
        transaction: &'static str,
        scope: &Scope,
        now: Timestamp,
        edit: Edit<'_>,
    ) -> Result<(), StoreError> {
        let mut tx = self.database.write(transaction).await?;
        unit(&mut tx, transaction, (scope, &self.vault.keys()), now, edit).await?;
        tx.commit().await.map_err(StoreError::during(transaction))
    }

    async fn work_due(&self, now: Timestamp, limit: u32, edit: Edit<'_>) -> Result<u32, StoreError> {
        const TRANSACTION: &str = "work_due";
        let mut tx = self.database.write(TRANSACTION).await?;
        let due = sqlx::query(DUE)
            .bind(micros(now))
            .bind(limit)
            .fetch_all(&mut *tx)
            .await
            .map_err(StoreError::during(TRANSACTION))?;
        let followers = keys_of(&due)?;
        let count = u32::try_from(followers.len()).unwrap_or(u32::MAX);
        if count > 0 {
            let scope = Scope { followers, ..Scope::default() };
            unit(&mut tx, TRANSACTION, (&scope, &self.vault.keys()), now, edit).await?;
        }
        tx.commit().await.map_err(StoreError::during(TRANSACTION))?;
        Ok(count)
    }

    async fn claim_inquiries(
        &self,
        company: &CompanyId,
        now: Timestamp,
        lease_end: Timestamp,
        limit: u32,
    ) -> Result<Vec<(FollowerKey, Inquiry)>, StoreError> {
        const TRANSACTION: &str = "claim_inquiries";
        let mut tx = self.database.write(TRANSACTION).await?;
        let claimed = sqlx::query(CLAIM_INQUIRIES)
            .bind(company.as_str())
            .bind(micros(now))
            .bind(micros(lease_end))
            .bind(limit)
            .fetch_all(&mut *tx)
            .await
            .map_err(StoreError::during(TRANSACTION))?;
        tx.commit().await.map_err(StoreError::during(TRANSACTION))?;
        let (mut accounts, keys) = (Interned::default(), self.vault.keys());
        claimed.iter().map(|row| Ok((key_of(row, &mut accounts)?, inquiry_of(row, 2, &keys)?))).collect()
    }

    async fn forget_events(&self, before: Timestamp) -> Result<u64, StoreError> {
        const TRANSACTION: &str = "forget_events";
        let mut tx = self.database.write(TRANSACTION).await?;
        let forgotten = sqlx::query(FORGET)
            .bind(micros(before))
            .execute(&mut *tx)
            .await
            .map_err(StoreError::during(TRANSACTION))?
            .rows_affected();
        tx.commit().await.map_err(StoreError::during(TRANSACTION))?;
        Ok(forgotten)
    }
}

async fn unit(
    tx: &mut Transaction<'_, Sqlite>,
    transaction: &'static str,
    scope: (&Scope, &Keys),
    now: Timestamp,
    edit: Edit<'_>,
) -> Result<(), StoreError> {
    let mut work = load(tx, transaction, scope).await?;
    let before = Before::of(&work);
    edit(&mut work);
    save(tx, transaction, scope, &before, &work, now).await
}
