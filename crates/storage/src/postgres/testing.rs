//! Databases for tests: a new one for each fact, gone when the fact, or the process, has ended.
//!
//! They are copies of a template that was migrated once, because a copy takes a fraction of the time that migrating does, and
//! where even that is long, databases of facts before.
//! Surprising: the template stays on the server when the process ends, and is named after its schema, so that processes share
//! it and a changed schema gets another.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, LazyLock, Mutex,
        atomic::{AtomicU32, Ordering},
    },
};

use musubi_servers::test_postgres_url;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, PgPool};
use tokio::sync::OnceCell;
use uuid::Uuid;

use super::{Migrations, PostgresOptions};

/// Whoever makes a template holds this lock of the server's.
const TEMPLATES: i64 = 0x6d75_7375_6269;

/// Databases of a node that facts have left behind, to be emptied and used again: for a schema of many tables that takes a fraction
/// of a copy's time.
static USED: LazyLock<Mutex<BTreeMap<&'static str, Vec<String>>>> = LazyLock::new(Mutex::default);

/// Gives the database back, or drops it.
pub(crate) struct Fresh {
    name: String,
    node: &'static str,
}

/// The node whose schema has many tables, all of them empty at first.
const OF_MANY_TABLES: &str = "information";

/// Deletes every row that a fact has left.
const EMPTY: &str = "
    DO $$
    DECLARE
        name TEXT;
    BEGIN
        -- Lines of the audit can't be deleted.
        SET LOCAL session_replication_role = replica;
        FOR name IN SELECT relname FROM pg_class
            WHERE relkind IN ('r', 'p') AND NOT relispartition AND relnamespace = 'public'::regnamespace
                AND relname NOT IN ('_sqlx_migrations', 'schema_floor', 'audit_mark')
        LOOP
            EXECUTE format('DELETE FROM %I', name);
        END LOOP;
    END
    $$";

impl Drop for Fresh {
    fn drop(&mut self) {
        if self.node == OF_MANY_TABLES {
            USED.lock().unwrap().entry(self.node).or_default().push(self.name.clone());
            return;
        }
        self.remove();
    }
}

impl Fresh {
    /// On a thread of its own, because a fact's runtime can't wait here.
    fn remove(&self) {
        let drop = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async { execute(&mut maintenance().await, drop).await });
        });
        if dropped.join().is_err() {
            eprintln!("the database {} stays behind", self.name);
        }
    }
}

/// A new database with a node's schema, and what has to live as long as it.
pub(crate) async fn fresh(node: &'static str, migrations: &'static Migrations) -> (PostgresOptions, Fresh) {
    let used = USED.lock().unwrap().get_mut(node).and_then(Vec::pop);
    let Some(name) = used else { return copy(node, &template(node, migrations).await).await };
    let options = options(&name);
    let mut database = PgConnection::connect(&options.url).await.unwrap();
    database.execute(EMPTY).await.unwrap();
    database.close().await.unwrap();
    (options, Fresh { name, node })
}

/// The same for whoever fills it, or looks at plans, which change once a vacuum has found that a table is empty: nobody had it before,
/// and it is dropped.
pub(crate) async fn alone(node: &'static str, migrations: &'static Migrations) -> (PostgresOptions, Fresh) {
    copy("alone", &template(node, migrations).await).await
}

/// A new database with nothing in it.
pub(crate) async fn empty() -> (PostgresOptions, Fresh) {
    copy("empty", "template0").await
}

/// A statement goes by this index, and through nothing as a whole, also where the database holds nothing yet and never held anything.
pub(crate) async fn goes_by(pool: &PgPool, index: &str, statement: &str) {
    let mut connection = pool.acquire().await.unwrap();
    let parameters = (1..).take_while(|number| statement.contains(&format!("${number}"))).count();
    let arguments =
        if parameters == 0 { String::new() } else { format!("({})", vec!["NULL"; parameters].join(", ")) };
    execute(&mut connection, format!("PREPARE explained AS {statement}")).await;
    let explain = AssertSqlSafe(format!("EXPLAIN (COSTS OFF) EXECUTE explained{arguments}"));
    let plan: Vec<String> = sqlx::query_scalar(explain).fetch_all(&mut *connection).await.unwrap();
    execute(&mut connection, "DEALLOCATE explained".to_owned()).await;
    let by_index = plan.iter().any(|step| step.contains(index));
    // The master is one row.
    let mut steps = plan.iter().filter(|step| !step.contains("Seq Scan on master"));
    let whole = ["Seq Scan", "Join Filter", "Hash Join", "Merge Join"];
    let whole = steps.any(|step| whole.iter().any(|kind| step.contains(kind)));
    assert!(by_index && !whole, "{statement}: {plan:#?}");
}

async fn copy(node: &'static str, template: &str) -> (PostgresOptions, Fresh) {
    static LAST: AtomicU32 = AtomicU32::new(0);
    let last = LAST.fetch_add(1, Ordering::Relaxed);
    let fresh = Fresh { name: format!("musubi_{node}_{}_{last}", std::process::id()), node };
    let mut server = maintenance().await;
    // A process of this number may have been killed before it dropped its own.
    execute(&mut server, format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", fresh.name)).await;
    execute(&mut server, format!("CREATE DATABASE {} TEMPLATE {template}", fresh.name)).await;
    (options(&fresh.name), fresh)
}

fn options(database: &str) -> PostgresOptions {
    PostgresOptions { url: url(database), connections: 4, may_lose_data: true }
}

/// The name of the node's template, which is made when the server hasn't got it.
async fn template(node: &'static str, migrations: &'static Migrations) -> String {
    type Templates = BTreeMap<&'static str, Arc<OnceCell<String>>>;
    static TEMPLATES_OF_NODES: LazyLock<Mutex<Templates>> = LazyLock::new(Mutex::default);
    let cell = Arc::clone(TEMPLATES_OF_NODES.lock().unwrap().entry(node).or_default());
    cell.get_or_init(|| make_template(node, migrations)).await.clone()
}

async fn make_template(node: &'static str, migrations: &'static Migrations) -> String {
    let schema: Vec<u8> =
        migrations.0.migrator().iter().flat_map(|migration| migration.checksum.to_vec()).collect();
    let name = format!("musubi_{node}_{}", Uuid::new_v5(&Uuid::NAMESPACE_OID, &schema).simple());
    let mut server = maintenance().await;
    sqlx::query("SELECT pg_advisory_lock($1)").bind(TEMPLATES).execute(&mut server).await.unwrap();
    let stands = sqlx::query("SELECT FROM pg_database WHERE datname = $1")
        .bind(&name)
        .fetch_optional(&mut server)
        .await
        .unwrap();
    if stands.is_none() {
        // It gets its name when it is whole.
        let half = format!("{name}_half");
        execute(&mut server, format!("DROP DATABASE IF EXISTS {half} WITH (FORCE)")).await;
        execute(&mut server, format!("CREATE DATABASE {half}")).await;
        migrations.run(&url(&half)).await.unwrap();
        execute(&mut server, format!("ALTER DATABASE {half} RENAME TO {name}")).await;
    }
    server.close().await.unwrap();
    name
}

async fn execute(connection: &mut PgConnection, statement: String) {
    connection.execute(AssertSqlSafe(statement)).await.unwrap();
}

async fn maintenance() -> PgConnection {
    PgConnection::connect(&test_postgres_url()).await.unwrap()
}

/// The address of another database of the server.
fn url(database: &str) -> String {
    let server = test_postgres_url();
    let (path, query) = server.split_once('?').unwrap_or((&server, ""));
    let (host, _) = path.rsplit_once('/').unwrap();
    format!("{host}/{database}?{query}")
}
