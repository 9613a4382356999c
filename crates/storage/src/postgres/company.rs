//! The company store on PostgreSQL.
//!
//! One table holds the master, one the file that is being imported; ending an import is one transaction that makes the first equal
//! to the second. What is read together is read by one statement, which sees one state. Nothing is decided here. Surprising: an
//! import that another one begins beside, in this process or another, is refused from then on, so that no master is made of two
//! files.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use async_trait::async_trait;
use jiff::Timestamp;
use musubi_domain::{
    Error, ErrorKind,
    customer::{KeyedCustomer, MatchDecision},
    id::{CompanyId, CustomerId, InquiryId, OperatorName},
};
use sqlx::{Postgres, postgres::PgArguments, query::Query};

use super::{
    Database, Migrations, PostgresOptions, Tx,
    audit::{self, audit_store},
};
use crate::{
    MakeKeys, Opened, StoreError,
    company::{
        Candidates, CompanyStore, CustodyEvent, CustomerPage, CustomerRow, DecidedInquiry, DecisionRow,
        ImportEnding, ImportRecord, ImportTally, MasterStatus, Note, RecordRow, RefusedFile, StoredCustomer,
        custody_of, customer_rows, decision_of, decision_rows, import_of, integer, keyed_of, note_rows,
        record_rows, rows_of, stored_of,
    },
    migrations,
    row::{BulkRow as _, Bytes, Columns as _, Id, micros},
    vault::{Relation, Sealing, Vault, VaultOptions, customer::account_key},
};

/// The schema of the company store.
pub static MIGRATIONS: Migrations = Migrations::new(migrations::POSTGRES_COMPANY);

const STAGE: &str = "
    INSERT INTO staged_customers (customer_id, account_key, fingerprint, record, rules_version)
    SELECT customer_id, substr($5::bytea, start, 16), substr($5, start + 16, 16), substr($5, start + 32, length), rules_version
    FROM unnest($1::text[], $2::bigint[], $3::int[], $4::int[]) AS new(customer_id, rules_version, start, length)";

/// Customers that are no longer staged.
macro_rules! gone {
    () => {
        "customers AS c WHERE NOT EXISTS (SELECT FROM staged_customers AS s WHERE s.customer_id = c.customer_id)"
    };
}

/// Whether a customer is not as staged.
macro_rules! differs {
    () => {
        "s.customer_id = c.customer_id AND c.fingerprint <> s.fingerprint"
    };
}

const REMOVE: &str = concat!("DELETE FROM ", gone!());

const CHANGE: &str = concat!(
    "UPDATE customers AS c SET account_key = s.account_key, fingerprint = s.fingerprint, record = s.record, \
     rules_version = s.rules_version, update_time = $1 FROM staged_customers AS s WHERE ",
    differs!(),
);

const ADD: &str = "
    INSERT INTO customers (customer_id, account_key, fingerprint, record, rules_version, update_time)
    SELECT customer_id, account_key, fingerprint, record, rules_version, $1 FROM staged_customers AS s
    WHERE NOT EXISTS (SELECT FROM customers AS c WHERE c.customer_id = s.customer_id)";

const COMPARE: &str = concat!(
    "SELECT (SELECT count(*) FROM staged_customers), (SELECT count(*) FROM ",
    gone!(),
    "), (SELECT count(*) FROM customers AS c JOIN staged_customers AS s ON ",
    differs!(),
    "), customers FROM master",
);

const FIND: &str =
    "SELECT customer_id, rules_version, record, update_time FROM customers WHERE customer_id = $1";

const PAGE: &str = "
    SELECT master.revision, master.customers, page.* FROM master LEFT JOIN LATERAL (
        SELECT customer_id, rules_version, record, update_time FROM customers
        WHERE customer_id > $1 ORDER BY customer_id LIMIT $2) AS page ON true
    ORDER BY page.customer_id";

const CANDIDATES: &str = "
    SELECT master.revision, customer_id, rules_version, record FROM master LEFT JOIN customers ON account_key = ANY($1)";

const OF_OTHER_RULES: &str = "
    (SELECT customer_id, rules_version, record FROM customers WHERE rules_version < $1 LIMIT $2)
    UNION ALL (SELECT customer_id, rules_version, record FROM customers WHERE rules_version > $1 LIMIT $2) LIMIT $2";

const REKEY: &str = "
    UPDATE customers SET rules_version = $5, record = substr($4::bytea, start, length)
    FROM unnest($1::text[], $2::int[], $3::int[]) AS fresh(customer_id, start, length)
    WHERE customers.customer_id = fresh.customer_id";

const RECORD: &str = "
    INSERT INTO inquiries (inquiry_id, revision, outcome, customer_id, reasons, decide_time)
    SELECT inquiry_id, $5, outcome, customer_id, reasons, $6
    FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[]) AS new(inquiry_id, outcome, customer_id, reasons)
    ON CONFLICT (inquiry_id, revision) DO NOTHING";

const DECISION: &str = "
    SELECT revision, outcome, customer_id, reasons FROM inquiries WHERE inquiry_id = $1
    ORDER BY revision DESC LIMIT 1";

const STATUS: &str = "
    SELECT master.revision, master.customers, last.* FROM master LEFT JOIN LATERAL (
        SELECT event_time, revision, customers, lease_end_time, digest_rules FROM custody_events ORDER BY sequence DESC LIMIT 1
    ) AS last ON true";

const HELD: &str = "
    SELECT 'customers', count(*) FROM customers WHERE customer_id = $1
    UNION ALL SELECT 'staged_customers', count(*) FROM staged_customers WHERE customer_id = $1
    UNION ALL SELECT 'inquiries', count(*) FROM inquiries WHERE customer_id = $1";

/// What an erased customer goes from, besides the master.
const BESIDES: [&str; 2] =
    ["DELETE FROM staged_customers WHERE customer_id = $1", "DELETE FROM inquiries WHERE customer_id = $1"];

/// The company store in a PostgreSQL database.
#[derive(Clone)]
pub struct PostgresCompanyStore {
    pub(super) database: Database,
    pub(super) vault: Arc<Vault>,
    pub(super) company: CompanyId,
    /// The import that was begun here last.
    import: Arc<AtomicI64>,
}

impl PostgresCompanyStore {
    /// Connects to a database whose schema is up to date.
    ///
    /// # Errors
    /// [`StoreError::Unreached`], [`StoreError::Unsafe`] and [`StoreError::Schema`].
    pub async fn open(options: &PostgresOptions, vault: VaultOptions) -> Result<Self, StoreError> {
        let company = vault.only_company()?;
        let database = Database::open(options, &MIGRATIONS).await?;
        let vault = match Vault::open(&database, &Relation::COMPANY, vault).await {
            Ok(vault) => vault,
            Err(error) => {
                database.close().await;
                return Err(error);
            }
        };
        Ok(Self { database, vault, company, import: Arc::default() })
    }

    /// Refuses when what is staged is another import's.
    fn check_import(&self, staged: i64) -> Result<(), StoreError> {
        if staged == self.import.load(Ordering::Relaxed) {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::FailedPrecondition,
            "another import has begun",
            "import the file again when that one has ended",
        )
        .into())
    }
}

#[cfg(test)]
impl PostgresCompanyStore {
    /// Its database, to look at.
    pub(crate) const fn database(&self) -> &Database {
        &self.database
    }

    /// What it seals with.
    pub(crate) fn keys(&self) -> Arc<crate::vault::Keys> {
        self.vault.keys()
    }
}

#[async_trait]
impl Opened for PostgresCompanyStore {
    async fn close(&self) {
        self.database.close().await;
    }
}

#[async_trait]
impl Sealing for PostgresCompanyStore {
    async fn tend_keys(&self) -> Result<bool, StoreError> {
        self.vault.tend(&self.database).await
    }

    async fn reseal(&self, limit: u32) -> Result<u32, StoreError> {
        self.vault.reseal(&self.database, limit).await
    }
}

/// Holds the master; gives whose import is staged.
async fn hold_master(write: &mut Tx) -> Result<i64, StoreError> {
    write.fetch_one(sqlx::query("SELECT import FROM master FOR UPDATE")).await?.int(0)
}

/// Of a statement over whole tables: its plan is made anew each time, because they may have become a thousand times as large.
fn planned(sql: &'static str) -> Query<'static, Postgres, PgArguments> {
    sqlx::query(sql).persistent(false)
}

/// What an import would do. The master has to be held.
async fn compare(write: &mut Tx) -> Result<ImportTally, StoreError> {
    let found = write.fetch_one(planned(COMPARE)).await?;
    let (rows, removed, before): (u64, u64, u64) = (found.small(0)?, found.small(1)?, found.small(3)?);
    Ok(ImportTally { rows, added: rows - (before - removed), changed: found.small(2)?, removed })
}

/// Makes the master equal to what is staged. It has to be held.
async fn merge(write: &mut Tx, now: i64) -> Result<ImportTally, StoreError> {
    let before: u64 = write.fetch_one(sqlx::query("SELECT customers FROM master")).await?.small(0)?;
    let removed = write.execute(planned(REMOVE)).await?;
    let changed = write.execute(planned(CHANGE).bind(now)).await?;
    let added = write.execute(planned(ADD).bind(now)).await?;
    Ok(ImportTally { rows: before - removed + added, added, changed, removed })
}

const REFUSED: &str = "
    INSERT INTO imports (import_time, encoding, operator, digest, rows, refused, added, changed, removed, revision)
    SELECT $1, $2, $3, $4, $5, $6, 0, 0, 0, revision FROM master";

const IMPORTS: &str = "
    SELECT sequence, import_time, operator, digest, encoding, rows, added, changed, removed, refused FROM imports
    WHERE sequence < $1 ORDER BY sequence DESC LIMIT $2";

#[async_trait]
impl CompanyStore for PostgresCompanyStore {
    async fn begin_import(&self) -> Result<(), StoreError> {
        let mut write = self.database.write("begin_import").await?;
        let begun =
            write.fetch_one(sqlx::query("UPDATE master SET import = import + 1 RETURNING import")).await?;
        write.execute(sqlx::query("DELETE FROM staged_customers")).await?;
        write.commit().await?;
        self.import.store(begun.int(0)?, Ordering::Relaxed);
        Ok(())
    }

    async fn stage_customers(&self, customers: &[KeyedCustomer]) -> Result<(), StoreError> {
        let (new, sealed) = customer_rows(self.vault.keys().of_company(self.company.as_str())?, customers)?;
        let mut write = self.database.write("stage_customers").await?;
        // No import begins before this one is staged; other imports' batches do no harm, for they are refused.
        let staged = write.fetch_one(sqlx::query("SELECT import FROM master FOR SHARE")).await?.int(0)?;
        self.check_import(staged)?;
        write.execute(CustomerRow::bind(sqlx::query(STAGE), &new).bind(sealed.0)).await?;
        write.commit().await
    }

    async fn finish_import(
        &self,
        ending: ImportEnding,
        by: Option<&OperatorName>,
    ) -> Result<ImportTally, StoreError> {
        let mut write = self.database.write("finish_import").await?;
        let staged = hold_master(&mut write).await?;
        self.check_import(staged)?;
        write.allow_whole_tables().await?;
        // What came a moment ago, the planner knows nothing of.
        write.execute(sqlx::query("ANALYZE staged_customers")).await?;
        let tally = match ending {
            ImportEnding::Compare => compare(&mut write).await?,
            ImportEnding::Replace { now, encoding, digest } => {
                let tally = merge(&mut write, micros(now)).await?;
                let update = sqlx::query("UPDATE master SET revision = revision + $1, customers = $2")
                    .bind(i64::from(tally.differs()))
                    .bind(integer(tally.rows));
                write.execute(update).await?;
                let mut record = sqlx::query(
                    "INSERT INTO imports (import_time, encoding, operator, digest, rows, added, changed, removed, revision) \
                     SELECT $1, $2, $3, $4, $5, $6, $7, $8, revision FROM master",
                )
                .bind(micros(now))
                .bind(encoding)
                .bind(by.map(OperatorName::as_str))
                .bind(digest.to_vec());
                for count in tally.columns() {
                    record = record.bind(count);
                }
                write.execute(record).await?;
                self.tell(&mut write, &[Note::of_import(&tally, by)], now).await?;
                tally
            }
        };
        write.execute(sqlx::query("DELETE FROM staged_customers")).await?;
        write.commit().await?;
        Ok(tally)
    }

    async fn record_refusal(&self, file: &RefusedFile, by: &OperatorName) -> Result<(), StoreError> {
        let mut write = self.database.write("record_refusal").await?;
        let record = sqlx::query(REFUSED)
            .bind(micros(file.now))
            .bind(file.encoding)
            .bind(by.as_str())
            .bind(file.digest.to_vec())
            .bind(integer(file.rows))
            .bind(integer(file.bad_rows));
        write.execute(record).await?;
        self.tell(&mut write, &[Note::of_refusal(file, by)], file.now).await?;
        write.commit().await
    }

    async fn list_imports(&self, before: Option<i64>, limit: u32) -> Result<Vec<ImportRecord>, StoreError> {
        let found = sqlx::query(IMPORTS).bind(before.unwrap_or(i64::MAX)).bind(i64::from(limit));
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
        let found = sqlx::query(PAGE)
            .bind(after.map_or("", CustomerId::as_str))
            .bind(i64::from(limit))
            .fetch_all(self.database.read())
            .await
            .map_err(StoreError::during("list_customers"))?;
        let keys = self.vault.keys();
        let keys = keys.of_company(self.company.as_str())?;
        let (mut page, mut customers) = ((0, 0), Vec::with_capacity(found.len()));
        for row in &found {
            page = (row.small(0)?, row.small(1)?);
            if row.maybe_text(2)?.is_some() {
                customers.push(stored_of(keys, row, 2)?);
            }
        }
        Ok(CustomerPage { revision: page.0, total: page.1, customers })
    }

    async fn find_by_account_keys(&self, account_keys: &[&str]) -> Result<Candidates, StoreError> {
        let keys = self.vault.keys();
        let keys = keys.of_company(self.company.as_str())?;
        let hashes: Vec<_> =
            account_keys.iter().map(|account| Bytes(account_key(keys, account).to_vec())).collect();
        let found = sqlx::query(CANDIDATES)
            .bind(hashes)
            .fetch_all(self.database.read())
            .await
            .map_err(StoreError::during("find_by_account_keys"))?;
        let (mut revision, mut customers) = (0, Vec::with_capacity(found.len()));
        for row in &found {
            revision = row.small(0)?;
            if row.maybe_text(1)?.is_some() {
                customers.push(keyed_of(keys, row, 1)?);
            }
        }
        Ok(Candidates { revision, customers })
    }

    async fn rekey(&self, rules_version: u32, limit: u32, make: &MakeKeys<'_>) -> Result<u32, StoreError> {
        let mut write = self.database.write("rekey").await?;
        hold_master(&mut write).await?;
        let others = sqlx::query(OF_OTHER_RULES).bind(i64::from(rules_version)).bind(i64::from(limit));
        let found = write.fetch(others).await?;
        if found.is_empty() {
            return Ok(0);
        }
        let keys = self.vault.keys();
        let keys = keys.of_company(self.company.as_str())?;
        let customers = found.iter().map(|row| keyed_of(keys, row, 0)).collect::<Result<Vec<_>, _>>()?;
        let (fresh, sealed) = record_rows(keys, &customers, make)?;
        let rekey = RecordRow::bind(sqlx::query(REKEY), &fresh).bind(sealed.0).bind(i64::from(rules_version));
        let rekeyed = write.execute(rekey).await?;
        write.commit().await?;
        Ok(u32::try_from(rekeyed).unwrap_or(u32::MAX))
    }

    async fn record_decisions(
        &self,
        revision: u64,
        decisions: &[DecidedInquiry],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let rows = decision_rows(decisions);
        let new = DecisionRow::bind(sqlx::query(RECORD), &rows).bind(integer(revision)).bind(micros(now));
        self.database.once("record_decisions", new).await.map(drop)
    }

    async fn find_decision(&self, inquiry_id: InquiryId) -> Result<Option<(u64, MatchDecision)>, StoreError> {
        let found = sqlx::query(DECISION)
            .bind(Id::of(inquiry_id.as_bytes()))
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
        let mut write = self.database.write("erase_customer").await?;
        hold_master(&mut write).await?;
        let erase = sqlx::query("DELETE FROM customers WHERE customer_id = $1").bind(customer_id.as_str());
        let erased = write.execute(erase).await? > 0;
        for statement in BESIDES {
            write.execute(sqlx::query(statement).bind(customer_id.as_str())).await?;
        }
        if erased {
            const FEWER: &str = "UPDATE master SET revision = revision + 1, customers = customers - 1";
            write.execute(sqlx::query(FEWER)).await?;
        }
        self.tell(&mut write, &[Note::of_erasure(customer_id, erased, by)], now).await?;
        write.commit().await?;
        Ok(erased)
    }

    async fn search_customer(&self, customer_id: &CustomerId) -> Result<Vec<(String, u64)>, StoreError> {
        let found = sqlx::query(HELD).bind(customer_id.as_str()).fetch_all(self.database.read()).await;
        found.map_err(StoreError::during("search_customer"))?.iter().map(rows_of).collect()
    }

    async fn get_status(&self) -> Result<MasterStatus, StoreError> {
        let found = sqlx::query(STATUS)
            .fetch_one(self.database.read())
            .await
            .map_err(StoreError::during("get_status"))?;
        let custody = found.maybe_int(2)?.map(|_| custody_of(&found, 2)).transpose()?;
        Ok(MasterStatus { revision: found.small(0)?, customers: found.small(1)?, custody })
    }

    async fn record_custody(&self, event: CustodyEvent, by: Option<&OperatorName>) -> Result<(), StoreError> {
        let mut write = self.database.write("record_custody").await?;
        hold_master(&mut write).await?;
        self.tell(&mut write, &[Note::of_custody(&event, by)], event.event_time).await?;
        let event = sqlx::query(
            "INSERT INTO custody_events (event_time, revision, customers, lease_end_time, digest_rules) VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(micros(event.event_time))
        .bind(integer(event.revision))
        .bind(integer(event.customers))
        .bind(event.lease_end_time.map(micros))
        .bind(event.digest_rules.map(i64::from));
        write.execute(event).await?;
        write.commit().await
    }

    async fn note(&self, notes: &[Note], now: Timestamp) -> Result<(), StoreError> {
        let mut write = self.database.write("note").await?;
        self.tell(&mut write, notes, now).await?;
        write.commit().await
    }
}

audit_store!(PostgresCompanyStore);

impl PostgresCompanyStore {
    /// Writes lines of the audit.
    async fn tell(&self, write: &mut Tx, notes: &[Note], now: Timestamp) -> Result<(), StoreError> {
        audit::write(write, &note_rows(&self.company, notes), now).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        conformance::{
            company::{company_store_suite, keyed},
            vault::vault,
        },
        postgres::testing::{Fresh, fresh, goes_by},
    };

    async fn open() -> (PostgresCompanyStore, Fresh) {
        let (options, fresh) = fresh("company", &MIGRATIONS).await;
        (PostgresCompanyStore::open(&options, vault("bank")).await.unwrap(), fresh)
    }

    company_store_suite!(open());

    #[tokio::test]
    async fn customers_are_found_by_an_index() {
        let (store, _fresh) = open().await;
        for (statement, index) in [
            (FIND, "customers_pkey"),
            (PAGE, "customers_pkey"),
            (CANDIDATES, "customers_by_account"),
            (OF_OTHER_RULES, "customers_by_rules"),
            (REKEY, "customers_pkey"),
            (DECISION, "inquiries_pkey"),
            (STATUS, "custody_events_pkey"),
        ] {
            goes_by(store.database.read(), index, statement).await;
        }
    }

    #[tokio::test]
    async fn no_master_is_made_of_two_files() {
        let (options, _fresh) = fresh("company", &MIGRATIONS).await;
        let [first, second] = [
            PostgresCompanyStore::open(&options, vault("bank")).await.unwrap(),
            PostgresCompanyStore::open(&options, vault("bank")).await.unwrap(),
        ];
        first.begin_import().await.unwrap();
        first.stage_customers(&[keyed("C1", "0000001", "東")]).await.unwrap();
        second.begin_import().await.unwrap();
        let refused = |ended: Result<(), StoreError>| matches!(ended, Err(StoreError::Refused(error)) if error.kind == ErrorKind::FailedPrecondition);
        assert!(refused(first.stage_customers(&[keyed("C2", "0000002", "西")]).await));
        second.stage_customers(&[keyed("C3", "0000003", "南")]).await.unwrap();
        let ending = ImportEnding::Replace { now: Timestamp::UNIX_EPOCH, encoding: "UTF-8", digest: [7; 32] };
        assert!(refused(first.finish_import(ending, None).await.map(drop)));
        let tally = second.finish_import(ending, None).await.unwrap();
        assert_eq!(tally, ImportTally { rows: 1, added: 1, changed: 0, removed: 0 });
    }

    #[tokio::test]
    async fn an_import_and_new_keys_wait_for_one_another() {
        let (store, _fresh) = open().await;
        store.stage_customers(&[keyed("C1", "0000001", "東")]).await.unwrap();
        let ending = |second| ImportEnding::Replace {
            now: Timestamp::from_second(second).unwrap(),
            encoding: "UTF-8",
            digest: [7; 32],
        };
        store.finish_import(ending(0), None).await.unwrap();
        for round in 1..10 {
            let address = format!("東{round}");
            store.stage_customers(&[keyed("C1", "0000001", &address)]).await.unwrap();
            let make = |customer: &musubi_domain::customer::Customer| customer.address.clone().into_bytes();
            let (imported, rekeyed) =
                tokio::join!(store.finish_import(ending(round), None), store.rekey(2, 9, &make));
            assert_eq!(imported.unwrap().changed, 1);
            let candidates = store.find_by_account_keys(&["0000001"]).await.unwrap().customers;
            let [row] = &candidates[..] else { panic!("{candidates:?}") };
            assert_eq!(row.customer.address, address);
            if row.keys.rules_version == 2 {
                assert_eq!((rekeyed.unwrap(), &row.keys.bytes[..]), (1, address.as_bytes()));
            }
        }
    }
}
