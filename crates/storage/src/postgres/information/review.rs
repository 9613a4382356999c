//! Reviews as operators look at them, on PostgreSQL.

use async_trait::async_trait;
use jiff::Timestamp;
use musubi_domain::{
    id::{CompanyId, OfficialAccountId, OperatorName, ReviewId},
    review::ReviewState,
};

use super::{PostgresInformation, audit::audit};
use crate::{
    StoreError,
    information::{
        FollowerKey,
        flow::Audit,
        record::{Interned, file_of, key_of, review_of},
        review::{Review, ReviewFile, ReviewQuery, ReviewStore, no_page, no_review},
    },
    postgres::Tx,
    row::{Columns as _, Id, place},
    vault::Keys,
};

pub(super) const SAVE: &str = "
    INSERT INTO review (official_account, follower, review_id, company, dialogue_id, inquiry_id, proposed_customer, method,
        reasons, sealed, state, decisions, open_time, expire_time, close_time)
    SELECT * FROM unnest($1::text[], $2::uuid[], $3::uuid[], $4::text[], $5::uuid[], $6::uuid[], $7::text[], $8::text[],
        $9::text[], $10::bytea[], $11::bigint[], $12::text[], $13::bigint[], $14::bigint[], $15::bigint[])
    ON CONFLICT (official_account, follower, review_id) DO UPDATE SET
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
    CROSS JOIN LATERAL (SELECT * FROM follower AS f
        WHERE f.official_account = r.official_account AND f.follower = r.follower OFFSET 0) AS f
    LEFT JOIN LATERAL (SELECT * FROM tied_customer AS t
        WHERE t.official_account = r.official_account AND t.customer_id = r.proposed_customer AND t.follower <> r.follower
        OFFSET 0) AS t ON true
    LEFT JOIN LATERAL (SELECT * FROM follower AS other
        WHERE other.official_account = t.official_account AND other.follower = t.follower OFFSET 0) AS other ON true
    WHERE r.company = $1 AND r.review_id = $2"
);

pub(super) const POSITION: &str = "SELECT open_time FROM review WHERE company = $1 AND review_id = $2";

pub(super) const PAGE: &str = reviews!(
    " FROM review AS r
    WHERE r.company = $1 AND r.official_account = coalesce($2, r.official_account) AND (r.open_time, r.review_id) > ($3, $4)
    ORDER BY r.open_time, r.review_id LIMIT $5"
);

pub(super) const PAGE_OF_STATE: &str = reviews!(
    " FROM review AS r
    WHERE r.company = $1 AND r.state = $6 AND r.official_account = coalesce($2, r.official_account)
        AND (r.open_time, r.review_id) > ($3, $4)
    ORDER BY r.open_time, r.review_id LIMIT $5"
);

#[async_trait]
impl ReviewStore for PostgresInformation {
    async fn list_reviews(&self, query: &ReviewQuery) -> Result<Vec<(FollowerKey, Review)>, StoreError> {
        let mut tx = self.database.snapshot_for("list_reviews", &query.company).await?;
        let (time, id) = match query.after {
            None => (i64::MIN, Id::of(&[0; 16])),
            Some(after) => {
                let id = Id::of(after.as_bytes());
                let position = sqlx::query(POSITION).bind(query.company.as_str()).bind(id);
                (tx.fetch_optional(position).await?.ok_or_else(no_page)?.int(0)?, id)
            }
        };
        let page = sqlx::query(if query.state.is_some() { PAGE_OF_STATE } else { PAGE })
            .bind(query.company.as_str())
            .bind(query.account.as_ref().map(OfficialAccountId::as_str))
            .bind(time)
            .bind(id)
            .bind(i64::from(query.limit));
        let page = match query.state {
            Some(state) => page.bind(place(&ReviewState::ALL, &state)),
            None => page,
        };
        let found = tx.fetch(page).await?;
        let (mut accounts, keys) = (Interned::default(), self.vault.keys());
        found.iter().map(|row| Ok((key_of(row, &mut accounts)?, review_of(row, 2, &keys)?))).collect()
    }

    async fn get_review(&self, company: &CompanyId, id: ReviewId) -> Result<ReviewFile, StoreError> {
        find(&mut self.database.snapshot_for("get_review", company).await?, company, id, &self.vault.keys())
            .await
    }

    async fn show_review(
        &self,
        company: &CompanyId,
        id: ReviewId,
        operator: &OperatorName,
        now: Timestamp,
    ) -> Result<ReviewFile, StoreError> {
        let mut tx = self.database.write_for("show_review", company).await?;
        let file = find(&mut tx, company, id, &self.vault.keys()).await?;
        let line = Audit {
            company: Some(company.clone()),
            key: Some(file.key.clone()),
            action: "review_shown",
            detail: format!("{id} to {operator}"),
        };
        audit(&mut tx, &[line], now).await?;
        tx.commit().await?;
        Ok(file)
    }
}

async fn find(tx: &mut Tx, company: &CompanyId, id: ReviewId, keys: &Keys) -> Result<ReviewFile, StoreError> {
    let found = sqlx::query(GET).bind(company.as_str()).bind(Id::of(id.as_bytes()));
    file_of(&tx.fetch_optional(found).await?.ok_or_else(no_review)?, keys)
}
