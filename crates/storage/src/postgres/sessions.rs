//! Sessions as people look at them, on PostgreSQL.

use super::company::PostgresCompanyStore;
use crate::{row::micros, sessions::session_store};

session_store!(PostgresCompanyStore, micros);

#[cfg(test)]
mod tests {
    use crate::{
        conformance::vault::vault,
        postgres::{
            company::MIGRATIONS,
            testing::{Fresh, fresh},
        },
    };

    use super::*;

    async fn open() -> (PostgresCompanyStore, Fresh) {
        let (options, fresh) = fresh("company", &MIGRATIONS).await;
        (PostgresCompanyStore::open(&options, vault("bank")).await.unwrap(), fresh)
    }

    crate::conformance::sessions::session_store_suite!(open());
}
