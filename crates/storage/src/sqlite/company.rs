//! The company store on SQLite.
//!
//! One table holds the master, one the file that is being imported; ending an import is one transaction that makes the
//! first equal to the second. Nothing is decided here. Surprising: a dry run is that same transaction, rolled back, so what
//! it tells can't differ from what an import does.

use std::path::Path;

use async_trait::async_trait;
use jiff::Timestamp;
use musubi_domain::{
    customer::{KeyedCustomer, MatchDecision},
    id::{CustomerId, InquiryId},
};
use sqlx::{Sqlite, SqliteConnection, Transaction};

use super::{Database, micros, rows};
use crate::{
    MakeKeys, Opened, StoreError,
    company::{
        Candidates, CompanyStore, CustodyEvent, CustomerPage, DecidedInquiry, ImportEnding, ImportTally,
        MasterStatus, StoredCustomer, columns, custody_of, customer_of, customer_rows, decision_of,
        decision_rows, integer, keyed_of, keys_rows, stored_of,
    },
};

/// The company store in one SQLite file.
#[derive(Clone)]
pub struct SqliteCompanyStore {
    database: Database,
}

impl SqliteCompanyStore {
    /// Opens the file, makes it when it isn't there, and brings its schema up to date.
    ///
    /// # Errors
    /// [`StoreError::InUse`] and [`StoreError::Unopened`].
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let database = Database::open(path, &sqlx::migrate!("src/sqlite/migrations/company")).await?;
        Ok(Self { database })
    }

    /// A transaction that reads one state of the database.
    async fn read(&self, transaction: &'static str) -> Result<Transaction<'static, Sqlite>, StoreError> {
        self.database.read().begin().await.map_err(StoreError::during(transaction))
    }
}

#[async_trait]
impl Opened for SqliteCompanyStore {
    async fn close(&self) {
        self.database.close().await;
    }
}

const STAGE: &str = concat!(
    "INSERT INTO staged_customers (",
    columns!(),
    ", rules_version, match_keys) SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, \
     value ->> 6, value ->> 7, value ->> 8, value ->> 9, substr(?2, value ->> 10, value ->> 11) FROM jsonb_each(?1)",
);

const MERGE: &str = concat!(
    "INSERT INTO customers (",
    columns!(),
    ", rules_version, match_keys, update_time) SELECT ",
    columns!(),
    ", rules_version, match_keys, ?1 FROM staged_customers WHERE TRUE ORDER BY customer_id \
     ON CONFLICT (customer_id) DO UPDATE SET name = excluded.name, name_kana = excluded.name_kana, \
     birth_date = excluded.birth_date, address = excluded.address, branch_number = excluded.branch_number, \
     account_number = excluded.account_number, account_key = excluded.account_key, \
     identity_verification = excluded.identity_verification, rules_version = excluded.rules_version, \
     match_keys = excluded.match_keys, update_time = excluded.update_time \
     WHERE (name, name_kana, birth_date, address, branch_number, account_number, account_key, \
     identity_verification) <> (excluded.name, excluded.name_kana, excluded.birth_date, excluded.address, \
     excluded.branch_number, excluded.account_number, excluded.account_key, excluded.identity_verification)",
);

const FIND: &str = concat!("SELECT ", columns!(), ", update_time FROM customers WHERE customer_id = ?1");

const PAGE: &str = concat!(
    "SELECT ",
    columns!(),
    ", update_time FROM customers WHERE customer_id > ?1 ORDER BY customer_id LIMIT ?2"
);

const CANDIDATES: &str = concat!(
    "SELECT ",
    columns!(),
    ", rules_version, match_keys FROM customers WHERE account_key IN (SELECT value FROM jsonb_each(?1))"
);

const OF_OTHER_RULES: &str =
    concat!("SELECT ", columns!(), " FROM customers WHERE rules_version < ?1 OR rules_version > ?1 LIMIT ?2");

const REKEY: &str = "UPDATE customers SET rules_version = ?1, match_keys = substr(?3, k.value ->> 1, k.value ->> 2) \
    FROM jsonb_each(?2) AS k WHERE customers.customer_id = k.value ->> 0";

/// Revision and number of customers.
async fn master(connection: &mut SqliteConnection) -> Result<(u64, u64), sqlx::Error> {
    let (revision, customers): (i64, i64) =
        sqlx::query_as("SELECT revision, customers FROM master WHERE id = 1").fetch_one(connection).await?;
    Ok((revision.unsigned_abs(), customers.unsigned_abs()))
}

/// Makes the master equal to what is staged.
async fn merge(connection: &mut SqliteConnection, now: i64) -> Result<ImportTally, sqlx::Error> {
    let (_, before) = master(connection).await?;
    let removed = sqlx::query(
        "DELETE FROM customers WHERE NOT EXISTS \
         (SELECT 1 FROM staged_customers AS staged WHERE staged.customer_id = customers.customer_id)",
    )
    .execute(&mut *connection)
    .await?
    .rows_affected();
    let touched = sqlx::query(MERGE).bind(now).execute(&mut *connection).await?.rows_affected();
    let rows: i64 =
        sqlx::query_scalar("SELECT count(*) FROM staged_customers").fetch_one(&mut *connection).await?;
    let rows = rows.unsigned_abs();
    let added = rows - (before - removed);
    Ok(ImportTally { rows, added, changed: touched - added, removed })
}

#[async_trait]
impl CompanyStore for SqliteCompanyStore {
    async fn begin_import(&self) -> Result<(), StoreError> {
        let failed = StoreError::during("begin_import");
        let mut transaction = self.database.write("begin_import").await?;
        sqlx::query("DELETE FROM staged_customers").execute(&mut *transaction).await.map_err(&failed)?;
        transaction.commit().await.map_err(&failed)
    }

    async fn stage_customers(&self, customers: &[KeyedCustomer]) -> Result<(), StoreError> {
        let failed = StoreError::during("stage_customers");
        let (new, keys) = customer_rows(customers);
        let mut transaction = self.database.write("stage_customers").await?;
        sqlx::query(STAGE)
            .bind(rows(&new)?)
            .bind(keys.0)
            .execute(&mut *transaction)
            .await
            .map_err(&failed)?;
        transaction.commit().await.map_err(&failed)
    }

    async fn finish_import(&self, ending: ImportEnding) -> Result<ImportTally, StoreError> {
        let failed = StoreError::during("finish_import");
        let mut transaction = self.database.write("finish_import").await?;
        let (now, encoding) = match ending {
            ImportEnding::Replace { now, encoding } => (micros(now), encoding),
            ImportEnding::Compare => {
                let tally = merge(&mut transaction, 0).await.map_err(&failed)?;
                transaction.rollback().await.map_err(&failed)?;
                self.begin_import().await?;
                return Ok(tally);
            }
        };
        let tally = merge(&mut transaction, now).await.map_err(&failed)?;
        sqlx::query("UPDATE master SET revision = revision + ?1, customers = ?2 WHERE id = 1")
            .bind(tally.differs())
            .bind(integer(tally.rows))
            .execute(&mut *transaction)
            .await
            .map_err(&failed)?;
        let mut record = sqlx::query(
            "INSERT INTO imports (import_time, encoding, rows, added, changed, removed, revision) \
             SELECT ?1, ?2, ?3, ?4, ?5, ?6, revision FROM master WHERE id = 1",
        )
        .bind(now)
        .bind(encoding);
        for count in tally.columns() {
            record = record.bind(count);
        }
        record.execute(&mut *transaction).await.map_err(&failed)?;
        sqlx::query("DELETE FROM staged_customers").execute(&mut *transaction).await.map_err(&failed)?;
        transaction.commit().await.map_err(&failed)?;
        Ok(tally)
    }

    async fn find_customer(&self, customer_id: &CustomerId) -> Result<Option<StoredCustomer>, StoreError> {
        let found = sqlx::query(FIND)
            .bind(customer_id.as_str())
            .fetch_optional(self.database.read())
            .await
            .map_err(StoreError::during("find_customer"))?;
        found.map(|row| stored_of(&row, 0)).transpose()
    }

    async fn list_customers(
        &self,
        after: Option<&CustomerId>,
        limit: u32,
    ) -> Result<CustomerPage, StoreError> {
        let failed = StoreError::during("list_customers");
        let mut transaction = self.read("list_customers").await?;
        let (revision, total) = master(&mut transaction).await.map_err(&failed)?;
        let found = sqlx::query(PAGE)
            .bind(after.map_or("", CustomerId::as_str))
            .bind(limit)
            .fetch_all(&mut *transaction)
            .await
            .map_err(&failed)?;
        let customers = found.iter().map(|row| stored_of(row, 0)).collect::<Result<_, _>>()?;
        Ok(CustomerPage { revision, total, customers })
    }

    async fn find_by_account_keys(&self, account_keys: &[&str]) -> Result<Candidates, StoreError> {
        let failed = StoreError::during("find_by_account_keys");
        let parameter = rows(account_keys)?;
        let mut transaction = self.read("find_by_account_keys").await?;
        let (revision, _) = master(&mut transaction).await.map_err(&failed)?;
        let found =
            sqlx::query(CANDIDATES).bind(parameter).fetch_all(&mut *transaction).await.map_err(&failed)?;
        let customers = found.iter().map(|row| keyed_of(row, 0)).collect::<Result<_, _>>()?;
        Ok(Candidates { revision, customers })
    }

    async fn rekey(&self, rules_version: u32, limit: u32, make: &MakeKeys<'_>) -> Result<u32, StoreError> {
        let failed = StoreError::during("rekey");
        let mut transaction = self.database.write("rekey").await?;
        let found = sqlx::query(OF_OTHER_RULES)
            .bind(rules_version)
            .bind(limit)
            .fetch_all(&mut *transaction)
            .await
            .map_err(&failed)?;
        if found.is_empty() {
            return Ok(0);
        }
        let customers = found.iter().map(|row| customer_of(row, 0)).collect::<Result<Vec<_>, _>>()?;
        let (fresh, keys) = keys_rows(&customers, make);
        let rekeyed = sqlx::query(REKEY)
            .bind(rules_version)
            .bind(rows(&fresh)?)
            .bind(keys.0)
            .execute(&mut *transaction)
            .await
            .map_err(&failed)?
            .rows_affected();
        transaction.commit().await.map_err(&failed)?;
        Ok(u32::try_from(rekeyed).unwrap_or(u32::MAX))
    }

    async fn record_decisions(
        &self,
        revision: u64,
        decisions: &[DecidedInquiry],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let failed = StoreError::during("record_decisions");
        let new = rows(&decision_rows(decisions))?;
        let mut transaction = self.database.write("record_decisions").await?;
        sqlx::query(
            "INSERT INTO inquiries (inquiry_id, revision, outcome, customer_id, reasons, decide_time) \
             SELECT unhex(value ->> 0), ?2, value ->> 1, value ->> 2, value ->> 3, ?3 FROM jsonb_each(?1) \
             WHERE TRUE ON CONFLICT (inquiry_id, revision) DO NOTHING",
        )
        .bind(new)
        .bind(integer(revision))
        .bind(micros(now))
        .execute(&mut *transaction)
        .await
        .map_err(&failed)?;
        transaction.commit().await.map_err(&failed)
    }

    async fn find_decision(&self, inquiry_id: InquiryId) -> Result<Option<(u64, MatchDecision)>, StoreError> {
        let found = sqlx::query(
            "SELECT revision, outcome, customer_id, reasons FROM inquiries WHERE inquiry_id = ?1 \
             ORDER BY revision DESC LIMIT 1",
        )
        .bind(inquiry_id.as_bytes().as_slice())
        .fetch_optional(self.database.read())
        .await
        .map_err(StoreError::during("find_decision"))?;
        found.map(|row| decision_of(&row)).transpose()
    }

    async fn get_status(&self) -> Result<MasterStatus, StoreError> {
        let failed = StoreError::during("get_status");
        let mut transaction = self.read("get_status").await?;
        let (revision, customers) = master(&mut transaction).await.map_err(&failed)?;
        let last = sqlx::query(
            "SELECT event_time, revision, customers, lease_end_time FROM custody_events \
             ORDER BY sequence DESC LIMIT 1",
        )
        .fetch_optional(&mut *transaction)
        .await
        .map_err(&failed)?;
        let custody = last.map(|row| custody_of(&row, 0)).transpose()?;
        Ok(MasterStatus { revision, customers, custody })
    }

    async fn record_custody(&self, event: CustodyEvent) -> Result<(), StoreError> {
        let failed = StoreError::during("record_custody");
        let mut transaction = self.database.write("record_custody").await?;
        sqlx::query(
            "INSERT INTO custody_events (event_time, revision, customers, lease_end_time) VALUES (?1, ?2, ?3, ?4)",
        )
        .bind(micros(event.event_time))
        .bind(integer(event.revision))
        .bind(integer(event.customers))
        .bind(event.lease_end_time.map(micros))
        .execute(&mut *transaction)
        .await
        .map_err(&failed)?;
        transaction.commit().await.map_err(&failed)
    }
}

#[cfg(test)]
mod tests {
    use sqlx::AssertSqlSafe;

    use super::*;

    async fn open() -> (SqliteCompanyStore, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteCompanyStore::open(&folder.path().join("company.db")).await.unwrap();
        (store, folder)
    }

    crate::conformance::company::company_store_suite!(open());

    #[tokio::test]
    async fn candidates_are_looked_up_by_index_and_pages_by_key() {
        let (store, _folder) = open().await;
        for (statement, accesses) in [
            (CANDIDATES, &["customers USING INDEX customers_by_account (account_key=?)"][..]),
            (PAGE, &["customers USING PRIMARY KEY (customer_id>?)"]),
            (
                OF_OTHER_RULES,
                &[
                    "customers USING INDEX customers_by_rules (rules_version<?)",
                    "customers USING INDEX customers_by_rules (rules_version>?)",
                ],
            ),
            (REKEY, &["customers USING PRIMARY KEY (customer_id=?)"]),
        ] {
            let explained = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
            let plan: Vec<(i64, i64, i64, String)> =
                sqlx::query_as(explained).fetch_all(store.database.read()).await.unwrap();
            for access in accesses {
                assert!(plan.iter().any(|step| step.3 == format!("SEARCH {access}")), "{plan:?}");
            }
        }
    }

    #[tokio::test]
    async fn a_master_outlives_the_process_and_a_half_import_does_not_show() {
        let (store, folder) = open().await;
        let customer = |id: &str| crate::conformance::company::keyed(id, "0000001", "東");
        store.stage_customers(&[customer("C1")]).await.unwrap();
        let now = Timestamp::UNIX_EPOCH;
        store.finish_import(ImportEnding::Replace { now, encoding: "UTF-8" }).await.unwrap();
        store.stage_customers(&[customer("C2")]).await.unwrap();
        drop(store);
        let store = SqliteCompanyStore::open(&folder.path().join("company.db")).await.unwrap();
        let page = store.list_customers(None, 10).await.unwrap();
        assert_eq!((page.revision, page.total), (1, 1));
        assert_eq!(page.customers[0].customer, customer("C1").customer);
        store.close().await;
    }
}
