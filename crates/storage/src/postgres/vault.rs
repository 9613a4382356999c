//! Keys of companies, and walks through sealed rows, on PostgreSQL.
//!
//! Surprising: a page is locked without skipping, because a row that is passed over would need its old key for good.

use async_trait::async_trait;
use sqlx::{Postgres, postgres::PgArguments, query::Query};

use super::{Database, again};
use crate::{
    StoreError,
    row::{BulkRow as _, Bytes, Columns, bulk_rows, micros},
    vault::{Backend, Fresh, KeyRow, Relation, Seal, SealedRow},
};

const KEYS: &str = "SELECT company, epoch, wrapped, create_time, use_time, empty_time FROM company_key";

const ACCOUNTS: &str = "SELECT official_account, company FROM keyed_account";

const ADD_KEYS: &str = "
    INSERT INTO company_key (company, epoch, wrapped, create_time, use_time)
    SELECT * FROM unnest($1::text[], $2::bigint[], $3::bytea[], $4::bigint[], $5::bigint[]) ON CONFLICT DO NOTHING";

const ADD_ACCOUNTS: &str = "
    INSERT INTO keyed_account (official_account, company)
    SELECT * FROM unnest($1::text[], $2::text[]) ON CONFLICT DO NOTHING";

const CHANGE_KEY: &str =
    "UPDATE company_key SET wrapped = $3, empty_time = $4 WHERE company = $1 AND epoch = $2";

const DESTROY_KEY: &str = "DELETE FROM company_key WHERE company = $1 AND epoch = $2";

bulk_rows! {
    /// A key.
    NewKey<'a> { company: &'a str, epoch: i64, wrapped: Bytes, create_time: i64, use_time: i64, }

    /// Whose an account is.
    NewAccount<'a> { account: &'a str, company: &'a str, }
}

/// A page of a table, the same locked, and how its rows are written. Columns: owner, three parts of the key, what is sealed.
struct Statements {
    page: &'static str,
    lock: &'static str,
    write: &'static str,
}

macro_rules! statements {
    ($page:literal, $of:literal, $update:literal, $where:literal) => {
        Statements {
            page: $page,
            lock: concat!($page, " FOR NO KEY UPDATE OF ", $of),
            write: concat!(
                "UPDATE ",
                $update,
                " FROM unnest($1::text[], $2::bytea[], $3::bytea[], $4::bytea[], $5::bytea[], $6::bytea[], $7::bytea[],
                    $8::bigint[]) AS k (owner, first, second, third, sealed, account_key, fingerprint, position) WHERE ",
                $where
            ),
        }
    };
}

const fn statements(relation: Relation) -> Statements {
    match relation {
        Relation::Followers => statements!(
            "SELECT official_account, convert_to(official_account, 'UTF8'), uuid_send(follower), ''::bytea, phone_number
            FROM follower
            WHERE (official_account, follower) > (convert_from($1, 'UTF8'), encode($2, 'hex')::uuid)
            ORDER BY official_account, follower LIMIT $3",
            "follower",
            "follower AS t SET phone_number = k.sealed",
            "t.official_account = convert_from(k.first, 'UTF8') AND t.follower = encode(k.second, 'hex')::uuid"
        ),
        Relation::Dialogues => statements!(
            "SELECT official_account, convert_to(official_account, 'UTF8'), uuid_send(follower), ''::bytea, given
            FROM dialogue
            WHERE (official_account, follower) > (convert_from($1, 'UTF8'), encode($2, 'hex')::uuid) AND given IS NOT NULL
            ORDER BY official_account, follower LIMIT $3",
            "dialogue",
            "dialogue AS t SET given = k.sealed",
            "t.official_account = convert_from(k.first, 'UTF8') AND t.follower = encode(k.second, 'hex')::uuid"
        ),
        Relation::Inquiries => statements!(
            "SELECT company, convert_to(official_account, 'UTF8'), uuid_send(follower), ''::bytea, subject
            FROM inquiry
            WHERE (official_account, follower) > (convert_from($1, 'UTF8'), encode($2, 'hex')::uuid)
            ORDER BY official_account, follower LIMIT $3",
            "inquiry",
            "inquiry AS t SET subject = k.sealed",
            "t.official_account = convert_from(k.first, 'UTF8') AND t.follower = encode(k.second, 'hex')::uuid"
        ),
        Relation::Reviews => statements!(
            "SELECT company, convert_to(official_account, 'UTF8'), uuid_send(follower), uuid_send(review_id), sealed
            FROM review
            WHERE (official_account, follower) > (convert_from($1, 'UTF8'), encode($2, 'hex')::uuid) AND state < 2
            ORDER BY official_account, follower LIMIT $3",
            "review",
            "review AS t SET sealed = k.sealed",
            "t.official_account = convert_from(k.first, 'UTF8') AND t.follower = encode(k.second, 'hex')::uuid
                AND t.review_id = encode(k.third, 'hex')::uuid AND t.state < 2"
        ),
        Relation::Values => statements!(
            "SELECT (SELECT d.company FROM distribution AS d WHERE d.distribution_id = v.distribution),
                uuid_send(v.distribution), convert_to(v.customer_id, 'UTF8'), ''::bytea, v.variables
            FROM distribution_value AS v
            WHERE (v.distribution, v.customer_id) > (encode($1, 'hex')::uuid, convert_from($2, 'UTF8'))
            ORDER BY v.distribution, v.customer_id LIMIT $3",
            "v",
            "distribution_value AS t SET variables = k.sealed",
            "t.distribution = encode(k.first, 'hex')::uuid AND t.customer_id = convert_from(k.second, 'UTF8')"
        ),
        Relation::Entrusted => statements!(
            "SELECT company, convert_to(copy::text, 'UTF8'), account_key, convert_to(customer_id, 'UTF8'), record
            FROM entrusted_customer
            WHERE (company, copy, account_key, customer_id)
                > ($1, convert_from($2, 'UTF8')::bigint, $3, convert_from($4, 'UTF8'))
            ORDER BY company, copy, account_key, customer_id LIMIT $5",
            "entrusted_customer",
            "entrusted_customer AS t SET record = k.sealed, account_key = k.account_key",
            "t.company = k.owner AND t.copy = convert_from(k.first, 'UTF8')::bigint AND t.account_key = k.second
                AND t.customer_id = convert_from(k.third, 'UTF8')"
        ),
        Relation::DigestKeys => statements!(
            "SELECT company, convert_to(company, 'UTF8'), convert_to(copy::text, 'UTF8'), ''::bytea, digest_key
            FROM custody
            WHERE (company, copy) > (convert_from($1, 'UTF8'), convert_from($2, 'UTF8')::bigint) AND digest_key IS NOT NULL
            ORDER BY company, copy LIMIT $3",
            "custody",
            "custody AS t SET digest_key = k.sealed",
            "t.company = convert_from(k.first, 'UTF8') AND t.copy = convert_from(k.second, 'UTF8')::bigint"
        ),
        Relation::Customers => statements!(
            "SELECT (SELECT min(company) FROM company_key), convert_to(customer_id, 'UTF8'), ''::bytea, ''::bytea, record
            FROM customers
            WHERE customer_id > convert_from($1, 'UTF8') ORDER BY customer_id LIMIT $2",
            "customers",
            "customers AS t SET record = k.sealed, account_key = k.account_key, fingerprint = k.fingerprint",
            "t.customer_id = convert_from(k.first, 'UTF8')"
        ),
        Relation::Operators => statements!(
            "SELECT (SELECT min(company) FROM company_key), convert_to(name, 'UTF8'), ''::bytea, ''::bytea, credential
            FROM operator
            WHERE name > convert_from($1, 'UTF8') AND credential IS NOT NULL ORDER BY name LIMIT $2",
            "operator",
            "operator AS t SET credential = k.sealed",
            "t.name = convert_from(k.first, 'UTF8')"
        ),
    }
}

/// Where the first page begins: what every key's parts are greater than, as the statements read them.
const fn start(relation: Relation) -> &'static [&'static [u8]] {
    const UUID: &[u8] = &[0; 16];
    match relation {
        Relation::Followers | Relation::Dialogues | Relation::Inquiries | Relation::Reviews => &[b"", UUID],
        Relation::Values => &[UUID, b""],
        Relation::Entrusted => &[b"0", b"", b""],
        Relation::DigestKeys => &[b"", b"0"],
        Relation::Customers | Relation::Operators => &[b""],
    }
}

#[async_trait]
impl Backend for Database {
    async fn keys(&self) -> Result<(Vec<KeyRow>, Vec<(String, String)>), StoreError> {
        let mut tx = self.snapshot("read_keys").await?;
        let found = tx.fetch(sqlx::query(KEYS)).await?;
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
        let accounts = tx.fetch(sqlx::query(ACCOUNTS)).await?;
        let accounts = accounts.iter().map(|row| Ok((row.text(0)?.to_owned(), row.text(1)?.to_owned())));
        Ok((keys, accounts.collect::<Result<_, StoreError>>()?))
    }

    async fn add(&self, keys: &[KeyRow], accounts: &[(String, String)]) -> Result<(), StoreError> {
        let keys: Vec<_> = keys
            .iter()
            .map(|key| NewKey {
                company: &key.company,
                epoch: key.epoch.into(),
                wrapped: Bytes(key.wrapped.clone()),
                create_time: micros(key.create_time),
                use_time: micros(key.use_time),
            })
            .collect();
        let accounts: Vec<_> =
            accounts.iter().map(|(account, company)| NewAccount { account, company }).collect();
        let mut tx = self.write("add_keys").await?;
        tx.write(ADD_KEYS, &keys).await?;
        tx.write(ADD_ACCOUNTS, &accounts).await?;
        tx.commit().await
    }

    async fn change_key(&self, key: &KeyRow) -> Result<(), StoreError> {
        let mut tx = self.write("change_key").await?;
        let change = sqlx::query(CHANGE_KEY)
            .bind(&key.company)
            .bind(i64::from(key.epoch))
            .bind(&key.wrapped)
            .bind(key.empty_time.map(micros));
        tx.execute(change).await?;
        tx.commit().await
    }

    async fn destroy_key(&self, key: &KeyRow) -> Result<(), StoreError> {
        let mut tx = self.write("destroy_key").await?;
        tx.execute(sqlx::query(DESTROY_KEY).bind(&key.company).bind(i64::from(key.epoch))).await?;
        tx.commit().await
    }

    async fn unsealed(&self) -> Result<Vec<String>, StoreError> {
        let found = sqlx::query_scalar("SELECT relation FROM unsealed").fetch_all(self.read()).await;
        found.map_err(StoreError::during("list_unsealed"))
    }

    async fn is_sealed(&self, table: &'static str) -> Result<(), StoreError> {
        let mut tx = self.write("is_sealed").await?;
        tx.execute(sqlx::query("DELETE FROM unsealed WHERE relation = $1").bind(table)).await?;
        tx.commit().await
    }

    /// What a dump reads is sealed. What lies dead in the table's files the database removes with VACUUM FULL, which holds everybody up,
    /// so that it is the operator's to choose when.
    async fn wipe(&self) -> Result<(), StoreError> {
        tracing::warn!(
            "what stood in the clear may lie in the database's files until VACUUM FULL; run it when nobody has to work"
        );
        Ok(())
    }

    async fn page(
        &self,
        relation: Relation,
        after: Option<&SealedRow>,
        limit: u32,
    ) -> Result<Vec<SealedRow>, StoreError> {
        let found = page(statements(relation).page, relation, after, limit).fetch_all(self.read()).await;
        found.map_err(StoreError::during("look_through_rows"))?.iter().map(sealed_row).collect()
    }

    async fn reseal(
        &self,
        relation: Relation,
        after: Option<&SealedRow>,
        limit: u32,
        seal: &Seal<'_>,
    ) -> Result<Option<SealedRow>, StoreError> {
        again!(self.reseal_once(relation, after, limit, seal))
    }
}

impl Database {
    async fn reseal_once(
        &self,
        relation: Relation,
        after: Option<&SealedRow>,
        limit: u32,
        seal: &Seal<'_>,
    ) -> Result<Option<SealedRow>, StoreError> {
        let Statements { lock, write, .. } = statements(relation);
        let mut tx = self.write("reseal").await?;
        if relation == Relation::Customers {
            // An import takes customers in no order; who holds the master waits for nobody in turn.
            tx.fetch_one(sqlx::query("SELECT import FROM master FOR SHARE")).await?;
        }
        let found = tx.fetch(page(lock, relation, after, limit)).await?;
        let found = found.iter().map(sealed_row).collect::<Result<Vec<_>, _>>()?;
        let fresh: Vec<Fresh> = seal(&found)?;
        if !fresh.is_empty() {
            // Planned each time, because the table may have become a thousand times as large.
            tx.execute(Fresh::bind(sqlx::query(write).persistent(false), &fresh)).await?;
        }
        tx.commit().await?;
        Ok(found.into_iter().last())
    }
}

fn page<'q>(
    sql: &'static str,
    relation: Relation,
    after: Option<&SealedRow>,
    limit: u32,
) -> Query<'q, Postgres, PgArguments> {
    let mut query = sqlx::query(sql);
    if relation == Relation::Entrusted {
        query = query.bind(after.map_or_else(String::new, |row| row.owner.clone()));
    }
    for (part, start) in start(relation).iter().enumerate() {
        query = query.bind(after.map_or_else(|| start.to_vec(), |row| row.key[part].clone()));
    }
    query.bind(i64::from(limit))
}

fn sealed_row(row: &impl Columns) -> Result<SealedRow, StoreError> {
    Ok(SealedRow {
        owner: row.text(0)?.to_owned(),
        key: [row.bytes(1)?.to_vec(), row.bytes(2)?.to_vec(), row.bytes(3)?.to_vec()],
        sealed: row.bytes(4)?.to_vec(),
        position: 0,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, atomic::AtomicI64};

    use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};

    use super::*;
    use crate::{
        Opened as _,
        conformance::vault::{self as facts, vault, vault_at},
        migrations::{self, Steps},
        postgres::{
            Migrations, PostgresOptions,
            company::{self, PostgresCompanyStore},
            information::PostgresInformation,
            testing::{self, Fresh},
        },
        vault::Sealing as _,
    };

    #[tokio::test]
    async fn walks_go_by_the_key() {
        for (node, migrations, relations) in [
            ("information", PostgresInformation::MIGRATIONS, &Relation::INFORMATION[..]),
            ("company", &company::MIGRATIONS, &Relation::COMPANY),
        ] {
            let (options, _fresh) = testing::alone(node, migrations).await;
            let database = Database::open(&options, migrations).await.unwrap();
            for relation in relations {
                let Statements { page, lock, .. } = statements(*relation);
                for statement in [page, lock] {
                    let index = match relation {
                        Relation::Dialogues => "official_account_follower_idx",
                        Relation::Reviews => "review_waiting",
                        Relation::Followers
                        | Relation::Inquiries
                        | Relation::Values
                        | Relation::Entrusted
                        | Relation::DigestKeys
                        | Relation::Customers
                        | Relation::Operators => "pkey",
                    };
                    testing::goes_by(database.read(), index, statement).await;
                }
            }
            database.close().await;
        }
    }

    /// Every row of every table, as a dump writes it.
    async fn dump(database: &Database) -> Vec<u8> {
        const TABLES: &str = "
            SELECT relname::text FROM pg_class
            WHERE relkind IN ('r', 'p') AND NOT relispartition AND relnamespace = 'public'::regnamespace";
        let tables: Vec<String> = sqlx::query_scalar(TABLES).fetch_all(database.read()).await.unwrap();
        let mut dump = Vec::new();
        for table in tables {
            let rows = AssertSqlSafe(format!("SELECT t::text FROM {table} AS t"));
            let rows: Vec<String> = sqlx::query_scalar(rows).fetch_all(database.read()).await.unwrap();
            dump.extend(rows.concat().into_bytes());
        }
        dump
    }

    #[tokio::test]
    async fn nobody_is_found_in_a_dump_of_an_information_store() {
        let (options, _fresh) = testing::fresh("information", PostgresInformation::MIGRATIONS).await;
        let store = PostgresInformation::open(&options, vault("")).await.unwrap();
        facts::plant(&store).await;
        facts::planted_are_read(&store).await;
        facts::planted_are_sent_to(&store).await;
        facts::nobody_is_found(&dump(store.database()).await);
    }

    #[tokio::test]
    async fn nobody_is_found_in_a_dump_of_a_company_store() {
        let (options, _fresh) = testing::fresh("company", &company::MIGRATIONS).await;
        let store = PostgresCompanyStore::open(&options, vault("bank")).await.unwrap();
        facts::plant_customer(&store).await;
        facts::planted_customer_is_read(&store).await;
        facts::nobody_is_found(&dump(store.database()).await);
    }

    #[tokio::test]
    async fn keys_turn_for_all_replicas_and_no_read_fails() {
        let (options, _fresh) = testing::fresh("information", PostgresInformation::MIGRATIONS).await;
        let seconds = Arc::new(AtomicI64::new(0));
        let open = async || PostgresInformation::open(&options, vault_at("", &seconds)).await.unwrap();
        let (store, other) = (open().await, open().await);
        facts::plant(&store).await;
        let read = async || {
            facts::planted_are_read(&store).await;
            // As its own worker does, within ten seconds.
            other.tend_keys().await.unwrap();
            facts::planted_are_read(&other).await;
            facts::planted_digests_are_read(&other).await;
        };
        let relations = &Relation::INFORMATION;
        facts::keys_turn_and_no_read_fails(&store, store.database(), &seconds, relations, read).await;
        facts::planted_are_read(&open().await).await;
        facts::planted_are_sent_to(&other).await;
    }

    #[tokio::test]
    async fn keys_of_a_company_store_turn_and_no_read_fails() {
        let (options, _fresh) = testing::fresh("company", &company::MIGRATIONS).await;
        let seconds = Arc::new(AtomicI64::new(0));
        let store = PostgresCompanyStore::open(&options, vault_at("bank", &seconds)).await.unwrap();
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
        let (options, _fresh) = testing::fresh("information", PostgresInformation::MIGRATIONS).await;
        facts::master_keys_turn_and_accounts_stay(async |vault| {
            PostgresInformation::open(&options, vault).await
        })
        .await;
    }

    #[tokio::test]
    async fn replicas_that_start_together_have_the_same_keys() {
        let (options, _fresh) = testing::fresh("information", PostgresInformation::MIGRATIONS).await;
        let open = || PostgresInformation::open(&options, vault(""));
        let (one, other) = tokio::join!(open(), open());
        let (one, other) = (one.unwrap(), other.unwrap());
        facts::plant(&one).await;
        facts::planted_are_read(&other).await;
    }

    /// A database of an earlier version, with these rows, brought up to date.
    async fn earlier(migrations: &Migrations, first: Steps, rows: Vec<String>) -> (PostgresOptions, Fresh) {
        let (options, fresh) = testing::empty().await;
        Migrations::new(first).run(&options.url).await.unwrap();
        let mut old = PgConnection::connect(&options.url).await.unwrap();
        for row in rows {
            old.execute(AssertSqlSafe(row)).await.unwrap();
        }
        old.close().await.unwrap();
        migrations.run(&options.url).await.unwrap();
        (options, fresh)
    }

    #[tokio::test]
    async fn an_information_store_of_before_is_sealed_by_whoever_opens_it() {
        let (options, _fresh) = earlier(
            PostgresInformation::MIGRATIONS,
            migrations::POSTGRES_INFORMATION.until(2),
            facts::information_of_before(facts::Dialect::Postgres),
        )
        .await;
        let open = || PostgresInformation::open(&options, vault(""));
        let (one, other) = tokio::join!(open(), open());
        let (one, other) = (one.unwrap(), other.unwrap());
        facts::planted_are_read(&one).await;
        facts::planted_are_read(&other).await;
        facts::planted_are_sent_to(&one).await;
        facts::nobody_is_found(&dump(one.database()).await);
        assert!(one.database().unsealed().await.unwrap().is_empty());
        one.close().await;
        other.close().await;
    }

    #[tokio::test]
    async fn a_company_store_of_before_is_sealed_when_it_is_opened() {
        let (options, _fresh) = earlier(
            &company::MIGRATIONS,
            migrations::POSTGRES_COMPANY.until(1),
            facts::company_of_before(facts::Dialect::Postgres),
        )
        .await;
        let store = PostgresCompanyStore::open(&options, vault("bank")).await.unwrap();
        facts::planted_customer_is_read(&store).await;
        facts::an_import_of_another_epoch_changes_nothing(&store, &AtomicI64::new(0)).await;
        facts::nobody_is_found(&dump(store.database()).await);
        store.close().await;
    }
}
