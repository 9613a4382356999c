//! Who has a number.

use async_trait::async_trait;
use musubi_domain::phone_number::PhoneNumber;

use super::SqliteCarrierStore;
use crate::{
    StoreError,
    carrier::{NumberStore, Tenure, numbers::tenures_of, record::msisdn},
    sqlite::rows,
};

pub(super) const TENURES: &str = "
    SELECT n.msisdn, n.held_since, n.known_since, n.released
    FROM jsonb_each(?1) AS asked CROSS JOIN numbers AS n ON n.msisdn = asked.value";

pub(super) const PUT_TENURES: &str = "
    UPDATE numbers SET held_since = k.value ->> 1, known_since = k.value ->> 2, released = k.value ->> 3
    FROM jsonb_each(?1) AS k WHERE numbers.msisdn = k.value ->> 0";

#[async_trait]
impl NumberStore for SqliteCarrierStore {
    async fn find_tenures(&self, numbers: &[PhoneNumber]) -> Result<Vec<Option<Tenure>>, StoreError> {
        let asked: Vec<i64> = numbers.iter().map(|number| msisdn(*number)).collect();
        let found = sqlx::query(TENURES).bind(rows(&asked)?).fetch_all(self.database.read_fresh()).await;
        tenures_of(numbers, &found.map_err(StoreError::during("find_tenures"))?)
    }
}
