//! Sessions as people look at them, on SQLite.

use super::{company::SqliteCompanyStore, micros};
use crate::sessions::session_store;

session_store!(SqliteCompanyStore, micros);

#[cfg(test)]
mod tests {
    use crate::conformance::vault::vault;

    use super::*;

    async fn open() -> (SqliteCompanyStore, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("company.db");
        (SqliteCompanyStore::open(&path, vault("bank")).await.unwrap(), folder)
    }

    crate::conformance::sessions::session_store_suite!(open());
}
