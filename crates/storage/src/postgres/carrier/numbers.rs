//! Who has a number.

use async_trait::async_trait;
use musubi_domain::phone_number::PhoneNumber;

use super::PostgresCarrierStore;
use crate::{
    StoreError,
    carrier::{NumberStore, Tenure, numbers::tenures_of, record::msisdn},
};

pub(super) const TENURES: &str =
    "SELECT msisdn, held_since, known_since, released FROM numbers WHERE msisdn = ANY($1)";

/// Their rows are held.
pub(super) const PUT_TENURES: &str = "
    UPDATE numbers SET held_since = k.held_since, known_since = k.known_since, released = k.released
    FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::boolean[]) AS k (msisdn, held_since, known_since, released)
    WHERE numbers.msisdn = k.msisdn";

#[async_trait]
impl NumberStore for PostgresCarrierStore {
    async fn find_tenures(&self, numbers: &[PhoneNumber]) -> Result<Vec<Option<Tenure>>, StoreError> {
        let asked: Vec<i64> = numbers.iter().map(|number| msisdn(*number)).collect();
        let found = sqlx::query(TENURES).bind(asked).fetch_all(self.database.read()).await;
        tenures_of(numbers, &found.map_err(StoreError::during("find_tenures"))?)
    }
}
