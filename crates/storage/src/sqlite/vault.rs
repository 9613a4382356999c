//! Keys of companies, and walks through sealed rows, on SQLite.
//!
//! Surprising: after the update that seals what stood in the clear the file is written anew, because SQLite leaves in it what a row
//! held before.

use async_trait::async_trait;
use sqlx::{Sqlite, query::Query, sqlite::SqliteArguments};

use super::{Database, rows};
use crate::{
    StoreError,
    row::{Bytes, Columns as _, micros},
    vault::{Backend, KeyRow, Relation, Seal, SealedRow},
};

const KEYS: &str = "SELECT company, epoch, wrapped, create_time, use_time, empty_time FROM company_key";

const ACCOUNTS: &str = "SELECT official_account, company FROM keyed_account";

const ADD_KEYS: &str = "
    INSERT INTO company_key (company, epoch, wrapped, create_time, use_time)
    SELECT value ->> 0, value ->> 1, unhex(value ->> 2), value ->> 3, value ->> 4 FROM jsonb_each(?1) WHERE true
    ON CONFLICT DO NOTHING";

const ADD_ACCOUNTS: &str = "
    INSERT INTO keyed_account (official_account, company) SELECT value ->> 0, value ->> 1 FROM jsonb_each(?1) WHERE true
    ON CONFLICT DO NOTHING";

const CHANGE_KEY: &str =
    "UPDATE company_key SET wrapped = ?3, empty_time = ?4 WHERE company = ?1 AND epoch = ?2";

/// A page of a table, and how its rows are written. Columns: owner, three parts of the key, what is sealed, position.
struct Statements {
    page: &'static str,
    write: &'static str,
    /// Whether pages go by the parts of the key; else by position.
    by_key: bool,
}

macro_rules! write {
    ($($sql:literal)+) => { concat!("UPDATE ", $($sql,)+ " FROM jsonb_each(?1) AS k WHERE ") };
}

pub(super) const FOLLOWERS: &str = "
    SELECT official_account, CAST(official_account AS BLOB), follower, x'', phone_number, number FROM follower
    WHERE number > ?1 ORDER BY number LIMIT ?2";

pub(super) const DIALOGUES: &str = "
    SELECT f.official_account, CAST(f.official_account AS BLOB), f.follower, x'', d.given, d.number
    FROM dialogue AS d INDEXED BY dialogue_given CROSS JOIN follower AS f ON f.number = d.number
    WHERE d.number > ?1 AND d.given IS NOT NULL ORDER BY d.number LIMIT ?2";

pub(super) const INQUIRIES: &str = "
    SELECT i.company, CAST(f.official_account AS BLOB), f.follower, x'', i.subject, i.number
    FROM inquiry AS i CROSS JOIN follower AS f ON f.number = i.number
    WHERE i.number > ?1 ORDER BY i.number LIMIT ?2";

pub(super) const REVIEWS: &str = "
    SELECT company, CAST(official_account AS BLOB), follower, review_id, sealed, rowid FROM review
    WHERE rowid > ?1 AND sealed IS NOT NULL ORDER BY rowid LIMIT ?2";

pub(super) const VALUES: &str = "
    SELECT d.company, v.distribution, CAST(v.customer_id AS BLOB), x'', v.variables, 0
    FROM distribution_value AS v CROSS JOIN distribution AS d ON d.distribution_id = v.distribution
    WHERE (v.distribution, v.customer_id) > (?1, CAST(?2 AS TEXT)) ORDER BY v.distribution, v.customer_id LIMIT ?3";

pub(super) const ENTRUSTED: &str = "
    SELECT company, CAST(CAST(copy AS TEXT) AS BLOB), CAST(account_key AS BLOB), CAST(customer_id AS BLOB), record, rowid
    FROM entrusted_customer WHERE rowid > ?1 ORDER BY rowid LIMIT ?2";

pub(super) const DIGEST_KEYS: &str = "
    SELECT company, CAST(company AS BLOB), CAST(CAST(copy AS TEXT) AS BLOB), x'', digest_key, 0 FROM custody
    WHERE (company, copy) > (CAST(?1 AS TEXT), CAST(CAST(?2 AS TEXT) AS INTEGER)) AND digest_key IS NOT NULL
    ORDER BY company, copy LIMIT ?3";

pub(super) const CUSTOMERS: &str = "
    SELECT (SELECT min(company) FROM company_key), CAST(customer_id AS BLOB), x'', x'', record, 0 FROM customers
    WHERE customer_id > CAST(?1 AS TEXT) ORDER BY customer_id LIMIT ?2";

pub(super) const OPERATORS: &str = "
    SELECT (SELECT min(company) FROM company_key), CAST(name AS BLOB), x'', x'', credential, 0 FROM operator
    WHERE name > CAST(?1 AS TEXT) AND credential IS NOT NULL ORDER BY name LIMIT ?2";

const fn statements(relation: Relation) -> Statements {
    match relation {
        Relation::Followers => Statements {
            page: FOLLOWERS,
            write: concat!(
                write!("follower SET phone_number = unhex(k.value ->> 4)"),
                "number = k.value ->> 7"
            ),
            by_key: false,
        },
        Relation::Dialogues => Statements {
            page: DIALOGUES,
            write: concat!(write!("dialogue SET given = unhex(k.value ->> 4)"), "number = k.value ->> 7"),
            by_key: false,
        },
        Relation::Inquiries => Statements {
            page: INQUIRIES,
            write: concat!(write!("inquiry SET subject = unhex(k.value ->> 4)"), "number = k.value ->> 7"),
            by_key: false,
        },
        Relation::Reviews => Statements {
            page: REVIEWS,
            write: concat!(
                write!("review SET sealed = unhex(k.value ->> 4)"),
                "review.rowid = k.value ->> 7"
            ),
            by_key: false,
        },
        Relation::Values => Statements {
            page: VALUES,
            write: concat!(
                write!("distribution_value SET variables = unhex(k.value ->> 4)"),
                "distribution = unhex(k.value ->> 1) AND customer_id = CAST(unhex(k.value ->> 2) AS TEXT)"
            ),
            by_key: true,
        },
        Relation::Entrusted => Statements {
            page: ENTRUSTED,
            write: concat!(
                write!(
                    "entrusted_customer SET record = unhex(k.value ->> 4), account_key = unhex(k.value ->> 5)"
                ),
                "entrusted_customer.rowid = k.value ->> 7"
            ),
            by_key: false,
        },
        Relation::DigestKeys => Statements {
            page: DIGEST_KEYS,
            write: concat!(
                write!("custody SET digest_key = unhex(k.value ->> 4)"),
                "company = CAST(unhex(k.value ->> 1) AS TEXT) AND copy = CAST(CAST(unhex(k.value ->> 2) AS TEXT) AS INTEGER)"
            ),
            by_key: true,
        },
        Relation::Customers => Statements {
            page: CUSTOMERS,
            write: concat!(
                write!(
                    "customers SET record = unhex(k.value ->> 4), account_key = unhex(k.value ->> 5), "
                    "fingerprint = unhex(k.value ->> 6)"
                ),
                "customer_id = CAST(unhex(k.value ->> 1) AS TEXT)"
            ),
            by_key: true,
        },
        Relation::Operators => Statements {
            page: OPERATORS,
            write: concat!(
                write!("operator SET credential = unhex(k.value ->> 4)"),
                "name = CAST(unhex(k.value ->> 1) AS TEXT)"
            ),
            by_key: true,
        },
    }
}

#[async_trait]
impl Backend for Database {
    async fn keys(&self) -> Result<(Vec<KeyRow>, Vec<(String, String)>), StoreError> {
        let failed = StoreError::during("read_keys");
        let mut tx = self.read().begin().await.map_err(&failed)?;
        let found = sqlx::query(KEYS).fetch_all(&mut *tx).await.map_err(&failed)?;
        let keys = found.iter().map(|row| {
            Ok(KeyRow {
                company: row.text(0)?.to_owned(),
                epoch: row.small(1)?,
                wrapped: row.bytes(2)?.to_vec(),
                create_time: row.instant(3)?,
                use_time: row.instant(4)?,
                empty_time: row.maybe_instant(5)?,
            })
        });
        let keys = keys.collect::<Result<_, StoreError>>()?;
        let accounts = sqlx::query_as(ACCOUNTS).fetch_all(&mut *tx).await.map_err(&failed)?;
        Ok((keys, accounts))
    }

    async fn add(&self, keys: &[KeyRow], accounts: &[(String, String)]) -> Result<(), StoreError> {
        let failed = StoreError::during("add_keys");
        let keys: Vec<_> = keys
            .iter()
            .map(|key| {
                let (create, used) = (micros(key.create_time), micros(key.use_time));
                (&key.company, key.epoch, Bytes(key.wrapped.clone()), create, used)
            })
            .collect();
        let mut tx = self.write("add_keys").await?;
        sqlx::query(ADD_KEYS).bind(rows(&keys)?).execute(&mut *tx).await.map_err(&failed)?;
        sqlx::query(ADD_ACCOUNTS).bind(rows(accounts)?).execute(&mut *tx).await.map_err(&failed)?;
        tx.commit().await.map_err(&failed)
    }

    async fn change_key(&self, key: &KeyRow) -> Result<(), StoreError> {
        let failed = StoreError::during("change_key");
        let mut tx = self.write("change_key").await?;
        sqlx::query(CHANGE_KEY)
            .bind(&key.company)
            .bind(key.epoch)
            .bind(&key.wrapped)
            .bind(key.empty_time.map(micros))
            .execute(&mut *tx)
            .await
            .map_err(&failed)?;
        tx.commit().await.map_err(&failed)
    }

    async fn destroy_key(&self, key: &KeyRow) -> Result<(), StoreError> {
        const TRANSACTION: &str = "destroy_key";
        let destroy = sqlx::query("DELETE FROM company_key WHERE company = ?1 AND epoch = ?2");
        self.once(TRANSACTION, destroy.bind(&key.company).bind(key.epoch)).await?;
        self.cut_log(TRANSACTION).await
    }

    async fn unsealed(&self) -> Result<Vec<String>, StoreError> {
        let found = sqlx::query_scalar("SELECT relation FROM unsealed").fetch_all(self.read()).await;
        found.map_err(StoreError::during("list_unsealed"))
    }

    async fn is_sealed(&self, table: &'static str) -> Result<(), StoreError> {
        let failed = StoreError::during("is_sealed");
        let mut tx = self.write("is_sealed").await?;
        let done = sqlx::query("DELETE FROM unsealed WHERE relation = ?1").bind(table);
        done.execute(&mut *tx).await.map_err(&failed)?;
        tx.commit().await.map_err(&failed)
    }

    async fn wipe(&self) -> Result<(), StoreError> {
        for sql in ["VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)"] {
            let wiped = sqlx::query(sql).execute(self.read_fresh()).await;
            wiped.map_err(StoreError::during("wipe"))?;
        }
        Ok(())
    }

    async fn page(
        &self,
        relation: Relation,
        after: Option<&SealedRow>,
        limit: u32,
    ) -> Result<Vec<SealedRow>, StoreError> {
        let page = page(relation, after, limit).fetch_all(self.read()).await;
        page.map_err(StoreError::during("look_through_rows"))?.iter().map(sealed_row).collect()
    }

    async fn reseal(
        &self,
        relation: Relation,
        after: Option<&SealedRow>,
        limit: u32,
        seal: &Seal<'_>,
    ) -> Result<Option<SealedRow>, StoreError> {
        let failed = StoreError::during("reseal");
        let mut tx = self.write("reseal").await?;
        let found = page(relation, after, limit).fetch_all(&mut *tx).await.map_err(&failed)?;
        let found = found.iter().map(sealed_row).collect::<Result<Vec<_>, _>>()?;
        let fresh = rows(&seal(&found)?)?;
        sqlx::query(statements(relation).write).bind(fresh).execute(&mut *tx).await.map_err(&failed)?;
        tx.commit().await.map_err(&failed)?;
        Ok(found.into_iter().last())
    }
}

fn page<'q>(relation: Relation, after: Option<&SealedRow>, limit: u32) -> Query<'q, Sqlite, SqliteArguments> {
    let Statements { page, by_key, .. } = statements(relation);
    let mut query = sqlx::query(page);
    if by_key {
        for part in 0..relation.parts() {
            query = query.bind(after.map_or_else(Vec::new, |row| row.key[part].clone()));
        }
    } else {
        query = query.bind(after.map_or(0, |row| row.position));
    }
    query.bind(limit)
}

fn sealed_row(row: &sqlx::sqlite::SqliteRow) -> Result<SealedRow, StoreError> {
    Ok(SealedRow {
        owner: row.text(0)?.to_owned(),
        key: [row.bytes(1)?.to_vec(), row.bytes(2)?.to_vec(), row.bytes(3)?.to_vec()],
        sealed: row.bytes(4)?.to_vec(),
        position: row.int(5)?,
    })
}

#[cfg(test)]
mod tests {
    use std::{
        path::Path,
        sync::{Arc, atomic::AtomicI64},
    };

    use sqlx::{AssertSqlSafe, Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};

    use super::*;
    use crate::{
        Opened as _,
        company::CompanyStore as _,
        conformance::vault::{self as facts, vault, vault_at},
        migrations::{self, Steps},
        sqlite::{company::SqliteCompanyStore, information::SqliteInformation},
    };

    /// The file and its log.
    fn files(path: &Path) -> Vec<u8> {
        let log = path.with_extension("db-wal");
        let mut bytes = std::fs::read(path).unwrap();
        bytes.extend(std::fs::read(log).unwrap_or_default());
        bytes
    }

    #[tokio::test]
    async fn nobody_is_found_in_the_files_of_an_information_store() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let store = SqliteInformation::open(&path, vault("")).await.unwrap();
        facts::plant(&store).await;
        facts::planted_are_read(&store).await;
        facts::planted_are_sent_to(&store).await;
        facts::nobody_is_found(&files(&path));
        store.close().await;
        facts::nobody_is_found(&files(&path));
    }

    #[tokio::test]
    async fn nobody_is_found_in_the_files_of_a_company_store() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let store = SqliteCompanyStore::open(&path, vault("bank")).await.unwrap();
        facts::plant_customer(&store).await;
        facts::planted_customer_is_read(&store).await;
        facts::nobody_is_found(&files(&path));
        store.close().await;
        facts::nobody_is_found(&files(&path));
        let refused = facts::refusal(SqliteCompanyStore::open(&path, vault("power")).await);
        assert!(refused.starts_with("company: the database is that of company bank"), "{refused}");
    }

    #[tokio::test]
    async fn keys_of_an_information_store_turn_and_no_read_fails() {
        let (folder, seconds) = (tempfile::tempdir().unwrap(), Arc::new(AtomicI64::new(0)));
        let path = folder.path().join("a.db");
        let store = SqliteInformation::open(&path, vault_at("", &seconds)).await.unwrap();
        facts::plant(&store).await;
        let read = async || {
            facts::planted_are_read(&store).await;
            facts::planted_digests_are_read(&store).await;
        };
        let relations = &Relation::INFORMATION;
        facts::keys_turn_and_no_read_fails(&store, store.database(), &seconds, relations, read).await;
        store.close().await;
        let store = SqliteInformation::open(&path, vault_at("", &seconds)).await.unwrap();
        facts::planted_are_read(&store).await;
        facts::planted_are_sent_to(&store).await;
    }

    #[tokio::test]
    async fn keys_of_a_company_store_turn_and_no_read_fails() {
        let (folder, seconds) = (tempfile::tempdir().unwrap(), Arc::new(AtomicI64::new(0)));
        let store =
            SqliteCompanyStore::open(&folder.path().join("a.db"), vault_at("bank", &seconds)).await.unwrap();
        facts::plant_customer(&store).await;
        let read = async || {
            facts::planted_customer_is_read(&store).await;
            facts::planted_operator_is_read(&store).await;
        };
        let relations = &Relation::COMPANY;
        facts::keys_turn_and_no_read_fails(&store, store.database(), &seconds, relations, read).await;
        facts::an_import_of_another_epoch_changes_nothing(&store, &seconds).await;
    }

    #[tokio::test]
    async fn master_keys_turn_and_accounts_stay() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        facts::master_keys_turn_and_accounts_stay(async |vault| SqliteInformation::open(&path, vault).await)
            .await;
    }

    /// A row is put where another was.
    async fn transplant(database: &Database, statement: &'static str) {
        let mut tx = database.write("fact").await.unwrap();
        assert!(sqlx::query(statement).execute(&mut *tx).await.unwrap().rows_affected() > 0);
        tx.commit().await.unwrap();
    }

    #[tokio::test]
    async fn what_was_moved_to_another_row_or_company_does_not_open() {
        const NUMBERS: &str = "
            UPDATE follower SET phone_number = (SELECT phone_number FROM follower WHERE number = 1) WHERE number = 2";
        const ACCOUNTS: &str = "UPDATE follower SET official_account = 'power' WHERE number = 1";
        let folder = tempfile::tempdir().unwrap();
        for (name, statement) in [("a.db", NUMBERS), ("b.db", ACCOUNTS)] {
            let store = SqliteInformation::open(&folder.path().join(name), vault("")).await.unwrap();
            facts::plant(&store).await;
            transplant(store.database(), statement).await;
            facts::a_number_does_not_open(&store).await;
        }
    }

    /// A database of an earlier version, with these rows.
    async fn earlier(path: &Path, steps: Steps, rows: &'static [String]) {
        let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
        let mut old = SqliteConnection::connect_with(&options).await.unwrap();
        steps.migrator().run(&mut old).await.unwrap();
        for row in rows {
            sqlx::raw_sql(AssertSqlSafe(row.clone())).execute(&mut old).await.unwrap();
        }
        old.close().await.unwrap();
    }

    #[tokio::test]
    async fn an_information_store_of_before_is_sealed_when_it_is_opened() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let rows = facts::information_of_before(facts::Dialect::Sqlite);
        earlier(&path, migrations::SQLITE_INFORMATION.until(7), rows.leak()).await;
        let store = SqliteInformation::open(&path, vault("")).await.unwrap();
        facts::planted_are_read(&store).await;
        facts::planted_are_sent_to(&store).await;
        facts::nobody_is_found(&files(&path));
        assert!(store.database().unsealed().await.unwrap().is_empty());
        store.close().await;
        facts::nobody_is_found(&files(&path));
    }

    #[tokio::test]
    async fn a_company_store_of_before_is_sealed_when_it_is_opened() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let rows = facts::company_of_before(facts::Dialect::Sqlite);
        earlier(&path, migrations::SQLITE_COMPANY.until(2), rows.leak()).await;
        let store = SqliteCompanyStore::open(&path, vault("bank")).await.unwrap();
        facts::planted_customer_is_read(&store).await;
        facts::an_import_of_another_epoch_changes_nothing(&store, &AtomicI64::new(0)).await;
        assert_eq!(store.get_status().await.unwrap().revision, 1);
        store.close().await;
        facts::nobody_is_found(&files(&path));
    }
}
