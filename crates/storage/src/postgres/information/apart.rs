//! Companies apart: row-level security, as the catalogue tells of it and as somebody meets it who works for one company.
//!
//! Surprising: whoever runs the tests may do anything, so that what is shown here is shown as the roles that may not.

use std::collections::BTreeMap;

use sqlx::{AssertSqlSafe, ConnectOptions as _, PgConnection, postgres::PgConnectOptions};

use super::PostgresInformation;
use crate::{
    Opened as _, StoreError,
    conformance::{information as facts, vault::vault},
    information::{
        custody::CustodyStore as _, distribution::DistributionStore as _, follower::FollowerStore as _,
    },
    postgres::testing,
};

/// What no company does anything with.
const OF_NO_COMPANY: [&str; 7] =
    ["_sqlx_migrations", "audit_mark", "audit_seal", "company_key", "inbox", "schema_floor", "unsealed"];

/// Of each table: its name, whether security is forced, the policies, and what each role may do with it.
const TABLES: &str = "
    SELECT c.relname::text, c.relrowsecurity AND c.relforcerowsecurity,
        array(SELECT p.polname::text FROM pg_policy AS p WHERE p.polrelid = c.oid ORDER BY 1),
        has_table_privilege('musubi_node', c.oid, 'SELECT, INSERT, UPDATE, DELETE'),
        has_table_privilege('musubi_company', c.oid, 'SELECT, INSERT, UPDATE, DELETE')
    FROM pg_class AS c WHERE c.relkind IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace AND c.relispartition = $1
    ORDER BY 1";
const MAY_ANYTHING: &str = "
    SELECT count(*) FROM pg_roles AS r WHERE r.rolname IN ('musubi_node', 'musubi_company')
        AND (r.rolsuper OR r.rolbypassrls OR r.rolcreaterole OR r.rolcreatedb OR r.rolcanlogin
            OR EXISTS (SELECT 1 FROM pg_class AS c WHERE c.relowner = r.oid))";

type Table = (String, bool, Vec<String>, bool, bool);

#[tokio::test]
async fn every_table_is_kept_apart_by_roles_that_own_nothing() {
    let (store, _fresh) = super::tests::open().await;
    let mut tx = store.database.snapshot("fact").await.unwrap();
    let mut companies = 0;
    for row in tx.fetch(sqlx::query(TABLES).bind(false)).await.unwrap() {
        let (name, is_forced, policies, node, company) = <Table as sqlx::FromRow<_>>::from_row(&row).unwrap();
        let of_no_company = OF_NO_COMPANY.contains(&name.as_str());
        companies += u32::from(company);
        if ["_sqlx_migrations", "schema_floor"].contains(&name.as_str()) {
            continue;
        }
        assert!(is_forced && node, "{name}: a migration has to say whose rows these are, see migration 7");
        assert_eq!(company, !of_no_company, "{name}");
        assert_eq!(policies, if company { vec!["company", "node"] } else { vec!["node"] }, "{name}");
    }
    assert!(companies > 15, "{companies}");
    for row in tx.fetch(sqlx::query(TABLES).bind(true)).await.unwrap() {
        let (name, _, _, node, company) = <Table as sqlx::FromRow<_>>::from_row(&row).unwrap();
        assert!(!node && !company, "{name} is reached beside its table");
    }
    let may_anything: i64 = sqlx::query_scalar(MAY_ANYTHING).fetch_one(store.database.read()).await.unwrap();
    assert_eq!(may_anything, 0);
    const NUMBERS: &str =
        "SELECT has_sequence_privilege('musubi_node', pg_get_serial_sequence('audit', 'audit_id'), 'SELECT')";
    let sealed: bool = sqlx::query_scalar(NUMBERS).fetch_one(store.database.read()).await.unwrap();
    assert!(sealed, "who works as a node can't see how far the audit goes, which sealing asks");
}

/// How many rows of each table this company sees, and that it can give none of them away.
async fn seen(connection: &mut PgConnection, company: Option<&str>) -> BTreeMap<String, i64> {
    const MINE: &str = "
        SELECT c.relname::text, EXISTS (SELECT 1 FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attname = 'company')
        FROM pg_class AS c WHERE c.relkind IN ('r', 'p') AND has_table_privilege('musubi_company', c.oid, 'UPDATE')";
    let tables: Vec<(String, bool)> = sqlx::query_as(MINE).fetch_all(&mut *connection).await.unwrap();
    execute(connection, "SET ROLE musubi_company").await.unwrap();
    if let Some(company) = company {
        execute(connection, &format!("SET musubi.company = '{company}'")).await.unwrap();
    }
    let mut seen = BTreeMap::new();
    for (table, has_company) in tables {
        let count = AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
        let count: i64 = sqlx::query_scalar(count).fetch_one(&mut *connection).await.unwrap();
        let give_away = match table.as_str() {
            "distribution_value" | "revocation" => "distribution = '00000000-0000-0000-0000-000000000000'",
            _ if has_company => "company = 'somebody'",
            _ => "official_account = 'somebody'",
        };
        let given = execute(connection, &format!("UPDATE {table} SET {give_away}")).await;
        match given {
            Ok(0) if count == 0 => {}
            Err(error)
                if count > 0 && error.as_database_error().unwrap().code().as_deref() == Some("42501") => {}
            given => panic!("{table}: {count} rows, {given:?}"),
        }
        seen.insert(table, count);
    }
    execute(connection, "RESET ROLE; RESET musubi.company").await.unwrap();
    seen
}

async fn execute(connection: &mut PgConnection, sql: &str) -> Result<u64, sqlx::Error> {
    Ok(sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(connection).await?.rows_affected())
}

#[tokio::test]
async fn a_company_sees_its_rows_and_can_neither_touch_nor_make_any_of_anothers() {
    let (store, _fresh) = super::tests::open().await;
    facts::fill(&store).await;
    facts::follow(&store, "power", 1..4).await;
    facts::tied(&store, "power", &[(1, "C1")]).await;
    facts::distribute(&store, "power", 2, &[("C1", "一")]).await;
    for company in ["bank", "power"] {
        facts::entrust(&store, company, &[("C1", "0000001")], 0).await;
    }
    let mut connection = store.database.read().acquire().await.unwrap();
    let [nobody, bank, power] = [
        seen(&mut connection, None).await,
        seen(&mut connection, Some("bank")).await,
        seen(&mut connection, Some("power")).await,
    ];
    assert!(nobody.values().all(|count| *count == 0), "{nobody:?}");
    let mut of_both = 0;
    for (table, of_bank) in &bank {
        let all = AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
        let all: i64 = sqlx::query_scalar(all).fetch_one(&mut *connection).await.unwrap();
        assert_eq!(of_bank + power[table], all, "{table}");
        of_both += u32::from(*of_bank > 0 && power[table] > 0);
    }
    assert!(of_both >= 10, "{bank:?} {power:?}");

    // The store's own calls meet it too: whatever their statements say.
    let mut tx = store.database.write_for("fact", &facts::named("power")).await.unwrap();
    let all = tx.fetch_one(sqlx::query("SELECT count(*) FROM follower")).await.unwrap();
    assert_eq!(crate::row::Columns::int(&all, 0).unwrap(), power["follower"]);
    let denied = tx.execute(sqlx::query("UPDATE company_key SET create_time = 0")).await.unwrap_err();
    assert!(matches!(denied, StoreError::Unavailable { .. }), "{denied}");
}

#[tokio::test]
async fn a_node_that_owns_nothing_does_all_its_work() {
    const LOGIN: &str = "
        DO $$ BEGIN
            CREATE ROLE musubi_fact LOGIN PASSWORD 'of a fact' IN ROLE musubi_node;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
        END $$";
    let (mut options, _fresh) = testing::fresh("information", PostgresInformation::MIGRATIONS).await;
    let owner = PostgresInformation::open(&options, vault("")).await.unwrap();
    let mut connection = owner.database.read().acquire().await.unwrap();
    execute(&mut connection, LOGIN).await.unwrap();
    drop(connection);
    let login: PgConnectOptions = options.url.parse().unwrap();
    options.url = login.username("musubi_fact").password("of a fact").to_url_lossy().to_string();
    let store = PostgresInformation::open(&options, vault("")).await.unwrap();
    facts::fill(&store).await;
    facts::everything_is_there(&store).await;
    facts::entrust(&store, "bank", &[("C1", "0000001")], 0).await;
    assert_eq!(store.list_custodies(&facts::named("bank")).await.unwrap().len(), 1);
    assert_eq!(store.list_distributions(&facts::named("bank"), (None, None), 9).await.unwrap().len(), 1);
    let overview = store.overview(&facts::named("bank"), &[facts::named("bank")]).await.unwrap();
    assert!(!overview.funnels.is_empty());
    let mut connection = store.database.read().acquire().await.unwrap();
    let refused =
        execute(&mut connection, "ALTER TABLE follower DISABLE ROW LEVEL SECURITY").await.unwrap_err();
    assert!(refused.to_string().contains("must be owner"), "{refused}");
    drop(connection);
    store.close().await;
    owner.close().await;
}
