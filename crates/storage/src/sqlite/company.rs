//! The company store on SQLite.
//!
//! One table holds the master, one the file that is being imported; ending an import is one transaction that makes the
//! first equal to the second. Nothing is decided here. Surprising: a dry run is that same transaction, rolled back, so what
//! it tells can't differ from what an import does.

use std::{path::Path, sync::Arc};

use async_trait::async_trait;
use jiff::Timestamp;
use musubi_domain::{
    customer::{KeyedCustomer, MatchDecision},
    id::{CompanyId, CustomerId, InquiryId, OperatorName},
};
use sqlx::{Sqlite, SqliteConnection, Transaction};

use super::{
    Database,
    audit::{self, audit_store},
    micros, rows,
};
use crate::{
    MakeKeys, Opened, StoreError,
    company::{
        Candidates, CompanyStore, CustodyEvent, CustomerPage, DecidedInquiry, ImportEnding, ImportRecord,
        ImportTally, MasterStatus, Note, RefusedFile, StoredCustomer, custody_of, customer_rows, decision_of,
        decision_rows, import_of, integer, keyed_of, note_rows, record_rows, rows_of, stored_of,
    },
    migrations,
    row::Bytes,
    vault::{Relation, Sealing, Vault, VaultOptions, customer::account_key},
};

/// The company store in one SQLite file.
#[derive(Clone)]
pub struct SqliteCompanyStore {
    pub(super) database: Database,
    pub(super) vault: Arc<Vault>,
    pub(super) company: CompanyId,
}

impl SqliteCompanyStore {
    /// Opens the file, makes it when it isn't there, and brings its schema up to date.
    ///
    /// # Errors
    /// [`StoreError::InUse`] and [`StoreError::Unopened`].
    pub async fn open(path: &Path, vault: VaultOptions) -> Result<Self, StoreError> {
        let company = vault.only_company()?;
        let database = Database::open(path, migrations::SQLITE_COMPANY).await?;
        let vault = match Vault::open(&database, &Relation::COMPANY, vault).await {
            Ok(vault) => vault,
            Err(error) => {
                database.close().await;
                return Err(error);
            }
        };
        Ok(Self { database, vault, company })
    }

    /// A transaction that reads one state of the database.
    async fn read(&self, transaction: &'static str) -> Result<Transaction<'static, Sqlite>, StoreError> {
        self.database.read().begin().await.map_err(StoreError::during(transaction))
    }
}

#[cfg(test)]
impl SqliteCompanyStore {
    /// Its database, to look at.
    pub(crate) const fn database(&self) -> &Database {
        &self.database
    }
}

#[async_trait]
impl Opened for SqliteCompanyStore {
    async fn close(&self) {
        self.database.close().await;
    }
}

#[async_trait]
impl Sealing for SqliteCompanyStore {
    async fn tend_keys(&self) -> Result<bool, StoreError> {
        self.vault.tend(&self.database).await
    }

    async fn reseal(&self, limit: u32) -> Result<u32, StoreError> {
        self.vault.reseal(&self.database, limit).await
    }
}

const STAGE: &str = "
    INSERT INTO staged_customers (customer_id, account_key, fingerprint, record, rules_version)
    SELECT value ->> 0, substr(?2, value ->> 2, 16), substr(?2, (value ->> 2) + 16, 16), substr(?2, (value ->> 2) + 32, value ->> 3),
        value ->> 1
    FROM jsonb_each(?1)";

const MERGE: &str = "
    INSERT INTO customers (customer_id, account_key, fingerprint, record, rules_version, update_time)
    SELECT customer_id, account_key, fingerprint, record, rules_version, ?1 FROM staged_customers WHERE TRUE ORDER BY customer_id
    ON CONFLICT (customer_id) DO UPDATE SET account_key = excluded.account_key, fingerprint = excluded.fingerprint,
        record = excluded.record, rules_version = excluded.rules_version, update_time = excluded.update_time
    WHERE fingerprint <> excluded.fingerprint";

const FIND: &str =
    "SELECT customer_id, rules_version, record, update_time FROM customers WHERE customer_id = ?1";

const PAGE: &str = "
    SELECT customer_id, rules_version, record, update_time FROM customers WHERE customer_id > ?1 ORDER BY customer_id LIMIT ?2";

const CANDIDATES: &str = "
    SELECT customer_id, rules_version, record FROM customers WHERE account_key IN (SELECT unhex(value) FROM jsonb_each(?1))";

const OF_OTHER_RULES: &str = "
    SELECT customer_id, rules_version, record FROM customers WHERE rules_version < ?1 OR rules_version > ?1 LIMIT ?2";

const REKEY: &str = "
    UPDATE customers SET rules_version = ?1, record = substr(?3, k.value ->> 1, k.value ->> 2)
    FROM jsonb_each(?2) AS k WHERE customers.customer_id = k.value ->> 0";

const HELD: &str = "
    SELECT 'customers', count(*) FROM customers WHERE customer_id = ?1
    UNION ALL SELECT 'staged_customers', count(*) FROM staged_customers WHERE customer_id = ?1
    UNION ALL SELECT 'inquiries', count(*) FROM inquiries WHERE customer_id = ?1";

/// What an erased customer goes from, besides the master.
const BESIDES: [&str; 2] =
    ["DELETE FROM staged_customers WHERE customer_id = ?1", "DELETE FROM inquiries WHERE customer_id = ?1"];

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

const REFUSED: &str = "
    INSERT INTO imports (import_time, encoding, operator, digest, rows, refused, added, changed, removed, revision)
    SELECT ?1, ?2, ?3, ?4, ?5, ?6, 0, 0, 0, revision FROM master WHERE id = 1";

const IMPORTS: &str = "
    SELECT sequence, import_time, operator, digest, encoding, rows, added, changed, removed, refused FROM imports
    WHERE sequence < ?1 ORDER BY sequence DESC LIMIT ?2";

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
        let (new, sealed) = customer_rows(self.vault.keys().of_company(self.company.as_str())?, customers)?;
        let mut transaction = self.database.write("stage_customers").await?;
        sqlx::query(STAGE)
            .bind(rows(&new)?)
            .bind(sealed.0)
            .execute(&mut *transaction)
            .await
            .map_err(&failed)?;
        transaction.commit().await.map_err(&failed)
    }

    async fn finish_import(
        &self,
        ending: ImportEnding,
        by: Option<&OperatorName>,
    ) -> Result<ImportTally, StoreError> {
        let failed = StoreError::during("finish_import");
        let mut transaction = self.database.write("finish_import").await?;
        let (time, encoding, digest) = match ending {
            ImportEnding::Replace { now, encoding, digest } => (now, encoding, digest),
            ImportEnding::Compare => {
                let tally = merge(&mut transaction, 0).await.map_err(&failed)?;
                transaction.rollback().await.map_err(&failed)?;
                self.begin_import().await?;
                return Ok(tally);
            }
        };
        let now = micros(time);
        let tally = merge(&mut transaction, now).await.map_err(&failed)?;
        sqlx::query("UPDATE master SET revision = revision + ?1, customers = ?2 WHERE id = 1")
            .bind(tally.differs())
            .bind(integer(tally.rows))
            .execute(&mut *transaction)
            .await
            .map_err(&failed)?;
        let mut record = sqlx::query(
            "INSERT INTO imports (import_time, encoding, operator, digest, rows, added, changed, removed, revision) \
             SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, revision FROM master WHERE id = 1",
        )
        .bind(now)
        .bind(encoding)
        .bind(by.map(OperatorName::as_str))
        .bind(&digest[..]);
        for count in tally.columns() {
            record = record.bind(count);
        }
        record.execute(&mut *transaction).await.map_err(&failed)?;
        self.tell(&mut transaction, "finish_import", &[Note::of_import(&tally, by)], time).await?;
        sqlx::query("DELETE FROM staged_customers").execute(&mut *transaction).await.map_err(&failed)?;
        transaction.commit().await.map_err(&failed)?;
        Ok(tally)
    }

    async fn record_refusal(&self, file: &RefusedFile, by: &OperatorName) -> Result<(), StoreError> {
        const TRANSACTION: &str = "record_refusal";
        let failed = StoreError::during(TRANSACTION);
        let mut transaction = self.database.write(TRANSACTION).await?;
        sqlx::query(REFUSED)
            .bind(micros(file.now))
            .bind(file.encoding)
            .bind(by.as_str())
            .bind(&file.digest[..])
            .bind(integer(file.rows))
            .bind(integer(file.bad_rows))
            .execute(&mut *transaction)
            .await
            .map_err(&failed)?;
        let note = Note::of_refusal(file, by);
        self.tell(&mut transaction, TRANSACTION, &[note], file.now).await?;
        transaction.commit().await.map_err(&failed)
    }

    async fn list_imports(&self, before: Option<i64>, limit: u32) -> Result<Vec<ImportRecord>, StoreError> {
        let found = sqlx::query(IMPORTS).bind(before.unwrap_or(i64::MAX)).bind(limit);
        let found =
            found.fetch_all(self.database.read()).await.map_err(StoreError::during("list_imports"))?;
        found.iter().map(import_of).collect()
    }

    async fn find_customer(&self, customer_id: &CustomerId) -> Result<Option<StoredCustomer>, StoreError> {
        let found = sqlx::query(FIND)
            .bind(customer_id.as_str())
            .fetch_optional(self.database.read())
            .await
            .map_err(StoreError::during("find_customer"))?;
        let keys = self.vault.keys();
        let keys = keys.of_company(self.company.as_str())?;
        found.map(|row| stored_of(keys, &row, 0)).transpose()
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
        let keys = self.vault.keys();
        let keys = keys.of_company(self.company.as_str())?;
        let customers = found.iter().map(|row| stored_of(keys, row, 0)).collect::<Result<_, _>>()?;
        Ok(CustomerPage { revision, total, customers })
    }

    async fn find_by_account_keys(&self, account_keys: &[&str]) -> Result<Candidates, StoreError> {
        let failed = StoreError::during("find_by_account_keys");
        let keys = self.vault.keys();
        let keys = keys.of_company(self.company.as_str())?;
        let hashes: Vec<_> =
            account_keys.iter().map(|account| Bytes(account_key(keys, account).to_vec())).collect();
        let parameter = rows(&hashes)?;
        let mut transaction = self.read("find_by_account_keys").await?;
        let (revision, _) = master(&mut transaction).await.map_err(&failed)?;
        let found =
            sqlx::query(CANDIDATES).bind(parameter).fetch_all(&mut *transaction).await.map_err(&failed)?;
        let customers = found.iter().map(|row| keyed_of(keys, row, 0)).collect::<Result<_, _>>()?;
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
        let keys = self.vault.keys();
        let keys = keys.of_company(self.company.as_str())?;
        let customers = found.iter().map(|row| keyed_of(keys, row, 0)).collect::<Result<Vec<_>, _>>()?;
        let (fresh, sealed) = record_rows(keys, &customers, make)?;
        let rekeyed = sqlx::query(REKEY)
            .bind(rules_version)
            .bind(rows(&fresh)?)
            .bind(sealed.0)
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
        let new = rows(&decision_rows(decisions))?;
        let record = sqlx::query(
            "INSERT INTO inquiries (inquiry_id, revision, outcome, customer_id, reasons, decide_time) \
             SELECT unhex(value ->> 0), ?2, value ->> 1, value ->> 2, value ->> 3, ?3 FROM jsonb_each(?1) \
             WHERE TRUE ON CONFLICT (inquiry_id, revision) DO NOTHING",
        )
        .bind(new)
        .bind(integer(revision))
        .bind(micros(now));
        self.database.once("record_decisions", record).await.map(drop)
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

    async fn erase_customer(
        &self,
        customer_id: &CustomerId,
        by: &OperatorName,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        const TRANSACTION: &str = "erase_customer";
        let failed = StoreError::during(TRANSACTION);
        let mut tx = self.database.write(TRANSACTION).await?;
        let erased = sqlx::query("DELETE FROM customers WHERE customer_id = ?1").bind(customer_id.as_str());
        let erased = erased.execute(&mut *tx).await.map_err(&failed)?.rows_affected() > 0;
        for statement in BESIDES {
            sqlx::query(statement).bind(customer_id.as_str()).execute(&mut *tx).await.map_err(&failed)?;
        }
        if erased {
            sqlx::query("UPDATE master SET revision = revision + 1, customers = customers - 1 WHERE id = 1")
                .execute(&mut *tx)
                .await
                .map_err(&failed)?;
        }
        let note = Note::of_erasure(customer_id, erased, by);
        self.tell(&mut tx, TRANSACTION, &[note], now).await?;
        tx.commit().await.map_err(&failed)?;
        if erased {
            self.database.cut_log(TRANSACTION).await?;
        }
        Ok(erased)
    }

    async fn search_customer(&self, customer_id: &CustomerId) -> Result<Vec<(String, u64)>, StoreError> {
        let found = sqlx::query(HELD).bind(customer_id.as_str()).fetch_all(self.database.read()).await;
        found.map_err(StoreError::during("search_customer"))?.iter().map(rows_of).collect()
    }

    async fn get_status(&self) -> Result<MasterStatus, StoreError> {
        let failed = StoreError::during("get_status");
        let mut transaction = self.read("get_status").await?;
        let (revision, customers) = master(&mut transaction).await.map_err(&failed)?;
        let last = sqlx::query(
            "SELECT event_time, revision, customers, lease_end_time, digest_rules FROM custody_events \
             ORDER BY sequence DESC LIMIT 1",
        )
        .fetch_optional(&mut *transaction)
        .await
        .map_err(&failed)?;
        let custody = last.map(|row| custody_of(&row, 0)).transpose()?;
        Ok(MasterStatus { revision, customers, custody })
    }

    async fn record_custody(&self, event: CustodyEvent, by: Option<&OperatorName>) -> Result<(), StoreError> {
        const TRANSACTION: &str = "record_custody";
        let failed = StoreError::during(TRANSACTION);
        let mut transaction = self.database.write(TRANSACTION).await?;
        self.tell(&mut transaction, TRANSACTION, &[Note::of_custody(&event, by)], event.event_time).await?;
        sqlx::query(
            "INSERT INTO custody_events (event_time, revision, customers, lease_end_time, digest_rules) VALUES (?1, ?2, ?3, ?4, ?5)",
        )
        .bind(micros(event.event_time))
        .bind(integer(event.revision))
        .bind(integer(event.customers))
        .bind(event.lease_end_time.map(micros))
        .bind(event.digest_rules)
        .execute(&mut *transaction)
        .await
        .map_err(&failed)?;
        transaction.commit().await.map_err(&failed)
    }

    async fn note(&self, notes: &[Note], now: Timestamp) -> Result<(), StoreError> {
        const TRANSACTION: &str = "note";
        let mut transaction = self.database.write(TRANSACTION).await?;
        self.tell(&mut transaction, TRANSACTION, notes, now).await?;
        transaction.commit().await.map_err(StoreError::during(TRANSACTION))
    }
}

audit_store!(SqliteCompanyStore);

impl SqliteCompanyStore {
    /// Writes lines of the audit.
    async fn tell(
        &self,
        tx: &mut Transaction<'_, Sqlite>,
        transaction: &'static str,
        notes: &[Note],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        audit::write(tx, transaction, &note_rows(&self.company, notes), now).await
    }
}

#[cfg(test)]
mod tests {
    use sqlx::AssertSqlSafe;

    use super::*;
    use crate::conformance::vault::vault;

    async fn open() -> (SqliteCompanyStore, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("company.db");
        let store = SqliteCompanyStore::open(&path, vault("bank")).await.unwrap();
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
    async fn every_table_that_names_a_customer_is_searched_and_erased_from() {
        const NAMES: &str = "
            SELECT t.name FROM sqlite_schema AS t JOIN pragma_table_info(t.name) AS c
            WHERE t.type = 'table' AND c.name = 'customer_id' ORDER BY 1";
        let (store, _folder) = open().await;
        let names: Vec<String> = sqlx::query_scalar(NAMES).fetch_all(store.database.read()).await.unwrap();
        let found = store.search_customer(&"C1".parse().unwrap()).await.unwrap();
        let mut searched: Vec<String> = found.into_iter().map(|(table, _)| table).collect();
        searched.sort();
        assert_eq!(searched, names);
        let erased = |table: &&String| {
            *table == "customers" || BESIDES.iter().any(|delete| delete.contains(&format!(" {table} ")))
        };
        assert_eq!(names.iter().filter(erased).count(), names.len());
    }

    #[tokio::test]
    async fn a_master_outlives_the_process_and_a_half_import_does_not_show() {
        let (store, folder) = open().await;
        let customer = |id: &str| crate::conformance::company::keyed(id, "0000001", "東");
        store.stage_customers(&[customer("C1")]).await.unwrap();
        let now = Timestamp::UNIX_EPOCH;
        store
            .finish_import(ImportEnding::Replace { now, encoding: "UTF-8", digest: [7; 32] }, None)
            .await
            .unwrap();
        store.stage_customers(&[customer("C2")]).await.unwrap();
        drop(store);
        let path = folder.path().join("company.db");
        let store = SqliteCompanyStore::open(&path, vault("bank")).await.unwrap();
        let page = store.list_customers(None, 10).await.unwrap();
        assert_eq!((page.revision, page.total), (1, 1));
        assert_eq!(page.customers[0].customer, customer("C1").customer);
        store.close().await;
    }
}
