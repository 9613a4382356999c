//! Reviews as operators look at them, on SQLite.

use async_trait::async_trait;
use jiff::Timestamp;
use musubi_domain::{
    id::{CompanyId, OfficialAccountId, OperatorName, ReviewId},
    review::ReviewState,
};
use sqlx::{Sqlite, Transaction};

use super::{SqliteInformation, audit::audit};
use crate::{
    StoreError,
    information::{
        FollowerKey,
        flow::Audit,
        record::{Interned, file_of, key_of, review_of},
        review::{Review, ReviewFile, ReviewQuery, ReviewStore, no_page, no_review},
    },
    row::place,
    vault::Keys,
};

pub(super) const SAVE: &str = "
    INSERT INTO review (official_account, follower, review_id, company, dialogue_id, inquiry_id, proposed_customer, method,
        reasons, sealed, state, decisions, open_time, expire_time, close_time)
    SELECT value ->> 0, unhex(value ->> 1), unhex(value ->> 2), value ->> 3, unhex(value ->> 4), unhex(value ->> 5),
        value ->> 6, value ->> 7, value ->> 8, unhex(value ->> 9), value ->> 10, value ->> 11, value ->> 12, value ->> 13,
        value ->> 14
    FROM jsonb_each(?1) WHERE true
    ON CONFLICT (review_id) DO UPDATE SET
        sealed = excluded.sealed, state = excluded.state, decisions = excluded.decisions, close_time = excluded.close_time";

macro_rules! reviews {
    ($rest:literal) => {
        concat!(
            "SELECT r.official_account, r.follower, r.review_id, r.company, r.dialogue_id, r.inquiry_id, r.proposed_customer,
            r.method, r.reasons, r.sealed, r.state, r.decisions, r.open_time, r.expire_time, r.close_time",
            $rest
        )
    };
}

pub(super) const GET: &str = reviews!(
    ", f.phone_number, other.follower, other.phone_number, f.former_customer
    FROM review AS r
    JOIN follower AS f ON f.official_account = r.official_account AND f.follower = r.follower
    LEFT JOIN customer_information AS t
        ON t.official_account = r.official_account AND t.customer_id = r.proposed_customer AND t.number <> f.number
    LEFT JOIN follower AS other ON other.number = t.number
    WHERE r.company = ?1 AND r.review_id = ?2"
);

pub(super) const POSITION: &str = "SELECT open_time FROM review WHERE company = ?1 AND review_id = ?2";

pub(super) const PAGE: &str = reviews!(
    " FROM review AS r
    WHERE r.company = ?1 AND r.official_account = coalesce(?2, r.official_account) AND (r.open_time, r.review_id) > (?3, ?4)
    ORDER BY r.open_time, r.review_id LIMIT ?5"
);

pub(super) const PAGE_OF_STATE: &str = reviews!(
    " FROM review AS r
    WHERE r.company = ?1 AND r.state = ?6 AND r.official_account = coalesce(?2, r.official_account)
        AND (r.open_time, r.review_id) > (?3, ?4)
    ORDER BY r.open_time, r.review_id LIMIT ?5"
);

#[async_trait]
impl ReviewStore for SqliteInformation {
    async fn list_reviews(&self, query: &ReviewQuery) -> Result<Vec<(FollowerKey, Review)>, StoreError> {
        const TRANSACTION: &str = "list_reviews";
        let failed = StoreError::during(TRANSACTION);
        let mut tx = self.database.read().begin().await.map_err(&failed)?;
        let (time, id) = match query.after {
            None => (i64::MIN, Vec::new()),
            Some(after) => {
                let found = sqlx::query_scalar(POSITION)
                    .bind(query.company.as_str())
                    .bind(after.as_bytes().as_slice())
                    .fetch_optional(&mut *tx);
                let time: Option<i64> = found.await.map_err(&failed)?;
                (time.ok_or_else(no_page)?, after.as_bytes().to_vec())
            }
        };
        let page = sqlx::query(if query.state.is_some() { PAGE_OF_STATE } else { PAGE })
            .bind(query.company.as_str())
            .bind(query.account.as_ref().map(OfficialAccountId::as_str))
            .bind(time)
            .bind(id)
            .bind(query.limit)
            .bind(query.state.map(|state| place(&ReviewState::ALL, &state)));
        let found = page.fetch_all(&mut *tx).await.map_err(&failed)?;
        let (mut accounts, keys) = (Interned::default(), self.vault.keys());
        found.iter().map(|row| Ok((key_of(row, &mut accounts)?, review_of(row, 2, &keys)?))).collect()
    }

    async fn get_review(&self, company: &CompanyId, id: ReviewId) -> Result<ReviewFile, StoreError> {
        const TRANSACTION: &str = "get_review";
        let mut tx = self.database.read().begin().await.map_err(StoreError::during(TRANSACTION))?;
        find(&mut tx, TRANSACTION, company, id, &self.vault.keys()).await
    }

    async fn show_review(
        &self,
        company: &CompanyId,
        id: ReviewId,
        operator: &OperatorName,
        now: Timestamp,
    ) -> Result<ReviewFile, StoreError> {
        const TRANSACTION: &str = "show_review";
        let mut tx = self.database.write(TRANSACTION).await?;
        let file = find(&mut tx, TRANSACTION, company, id, &self.vault.keys()).await?;
        let line = Audit {
            company: Some(company.clone()),
            key: Some(file.key.clone()),
            action: "review_shown",
            detail: format!("{id} to {operator}"),
        };
        audit(&mut tx, TRANSACTION, &[line], now).await?;
        tx.commit().await.map_err(StoreError::during(TRANSACTION))?;
        Ok(file)
    }
}

async fn find(
    tx: &mut Transaction<'_, Sqlite>,
    transaction: &'static str,
    company: &CompanyId,
    id: ReviewId,
    keys: &Keys,
) -> Result<ReviewFile, StoreError> {
    let found = sqlx::query(GET)
        .bind(company.as_str())
        .bind(id.as_bytes().as_slice())
        .fetch_optional(&mut **tx)
        .await
        .map_err(StoreError::during(transaction))?;
    file_of(&found.ok_or_else(no_review)?, keys)
}
