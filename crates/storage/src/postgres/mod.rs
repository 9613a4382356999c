//! The stores of production: one PostgreSQL database for each node, shared by all its replicas.
//!
//! A transaction says by its row locks what it stands on, because others run beside it: READ COMMITTED, locks in the order of the
//! keys, `SKIP LOCKED` where any work is as good as another. What can't be locked because it isn't there yet is inserted without
//! `ON CONFLICT`; whoever comes second fails on the key, and its transaction is done again. Surprising: a commit whose answer is
//! lost is not an error before the database was asked what became of it; and a database that has crashed since is not asked,
//! because it gives the number of a transaction that it has lost to another one.

pub(crate) mod audit;
pub mod carrier;
pub mod company;
pub mod information;
#[cfg(test)]
mod lost;
pub mod migrate;
mod openid;
mod people;
#[cfg(test)]
mod plans;
#[cfg(test)]
mod proxy;
mod sessions;
pub mod terminal;
#[cfg(test)]
mod testing;
mod vault;
pub mod yardstick;

use std::{io, time::Duration};

use musubi_domain::id::CompanyId;
use sqlx::{
    Connection as _, PgConnection, PgPool, Postgres, Transaction,
    postgres::{PgArguments, PgConnectOptions, PgPoolOptions, PgRow},
    query::Query,
};

pub use self::migrate::{Migrations, create_database, drop_database};

use crate::{StoreError, information::before::Overtaken, row::BulkRow};

/// How long connecting may take.
const CONNECT_IN: Duration = Duration::from_secs(5);
/// How long a connection may have been idle without being asked whether it is still there before it is used.
const TRUSTED_FOR: Duration = Duration::from_secs(1);
/// Ways to work that read whole tables.
const WHOLE_TABLES: [&str; 3] = ["enable_seqscan", "enable_hashjoin", "enable_mergejoin"];
/// How often a transaction is done again that met another.
const TRIES: u32 = 20;
/// How long a lost commit is asked about.
const ASK_FOR: Duration = Duration::from_secs(10);
/// How long to wait between two questions.
const ASK_EVERY: Duration = Duration::from_millis(200);

/// Where a node's database is, and how it is used.
#[derive(Clone, Debug)]
pub struct PostgresOptions {
    /// `postgres://user@host:port/database?sslmode=verify-full`; a password is better kept in a password file.
    pub url: String,
    /// How many connections at most.
    pub connections: u32,
    /// The database may lose what it has acknowledged when its machine fails.
    pub may_lose_data: bool,
}

impl PostgresOptions {
    /// As a node is told.
    #[must_use]
    pub fn new(url: &str, connections: u32, may_lose_data: bool) -> Self {
        Self { url: url.to_owned(), connections, may_lose_data }
    }
}

/// One node's database.
#[derive(Clone)]
pub(crate) struct Database {
    pool: PgPool,
}

impl Database {
    /// Connects, and looks whether this is a database that the node may work with.
    ///
    /// # Errors
    /// [`StoreError::Unreached`], [`StoreError::Unsafe`] and [`StoreError::Schema`].
    pub(crate) async fn open(options: &PostgresOptions, migrations: &Migrations) -> Result<Self, StoreError> {
        let parsed = parse(options)?;
        // The pool would try for as long as it may and then not say why it couldn't.
        let connecting = tokio::time::timeout(CONNECT_IN, PgConnection::connect_with(&parsed));
        let connected =
            connecting.await.unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into()));
        let mut connection = connected.map_err(StoreError::unreached)?;
        check_durability(&mut connection, options.may_lose_data).await?;
        migrations.check(&mut connection).await?;
        connection.close().await.map_err(StoreError::unreached)?;
        let pool = PgPoolOptions::new()
            .max_connections(options.connections)
            .acquire_timeout(CONNECT_IN)
            // Whoever gave it back a moment ago has asked; each question is a call to the server that everybody waits for.
            .test_before_acquire(false)
            .before_acquire(|connection, since| {
                Box::pin(async move {
                    if since.idle_for >= TRUSTED_FOR {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            })
            .connect_lazy_with(parsed);
        Ok(Self { pool })
    }

    /// Begins a transaction that may write. The name stands in errors.
    pub(crate) async fn write(&self, name: &'static str) -> Result<Tx, StoreError> {
        self.begin(name, "BEGIN").await
    }

    /// The same for one company: no row of another is there.
    pub(crate) async fn write_for(&self, name: &'static str, company: &CompanyId) -> Result<Tx, StoreError> {
        self.write(name).await?.of_company(company).await
    }

    /// Begins a transaction that may write, sees everything as it was at one moment, has its number from after that moment, and fails
    /// ([`met_another`]) on a row that was changed since.
    pub(crate) async fn write_of_one_moment(&self, name: &'static str) -> Result<Tx, StoreError> {
        self.begin(name, "BEGIN ISOLATION LEVEL REPEATABLE READ").await
    }

    async fn begin(&self, name: &'static str, begin: &'static str) -> Result<Tx, StoreError> {
        let failed = StoreError::during(name);
        let mut tx = self.begun(begin).await.map_err(&failed)?;
        let (id, since) = sqlx::query_as(BEGUN).fetch_one(&mut *tx).await.map_err(&failed)?;
        Ok(Tx { tx, name, commit: Some(Begun { id, since, pool: self.pool.clone() }) })
    }

    /// Surprising: on a task of its own, which is done whoever gives up. The driver rolls back only what it knows to have begun, and would
    /// else give the next one a connection that is in a transaction, and shows what was there when that began.
    async fn begun(&self, begin: &'static str) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
        let pool = self.pool.clone();
        let beginning = tokio::spawn(async move { pool.begin_with(begin).await });
        beginning.await.unwrap_or(Err(sqlx::Error::WorkerCrashed))
    }

    /// Carries out one statement, which is a transaction of its own. Gives how many rows it concerned.
    ///
    /// For what changes nothing when it is done a second time: no transaction says what became of it when the answer is lost.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: nothing was stored. [`StoreError::Unknown`]: the answer was lost; the caller repeats it.
    pub(crate) async fn once(
        &self,
        name: &'static str,
        query: Query<'_, Postgres, PgArguments>,
    ) -> Result<u64, StoreError> {
        let mut connection = self.pool.acquire().await.map_err(StoreError::during(name))?;
        match query.execute(&mut *connection).await {
            Ok(done) => Ok(done.rows_affected()),
            Err(source) if is_answer(&source) => Err(StoreError::Unavailable { transaction: name, source }),
            Err(source) => Err(StoreError::Unknown { transaction: name, source }),
        }
    }

    /// Begins a transaction that reads, all of it as it was at one moment.
    pub(crate) async fn snapshot(&self, name: &'static str) -> Result<Tx, StoreError> {
        const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
        let tx = self.begun(BEGIN).await.map_err(StoreError::during(name))?;
        Ok(Tx { tx, name, commit: None })
    }

    /// The same for one company: no row of another is there.
    pub(crate) async fn snapshot_for(
        &self,
        name: &'static str,
        company: &CompanyId,
    ) -> Result<Tx, StoreError> {
        self.snapshot(name).await?.of_company(company).await
    }

    /// Connections that read.
    pub(crate) const fn read(&self) -> &PgPool {
        &self.pool
    }

    /// Closes every connection.
    pub(crate) async fn close(&self) {
        self.pool.close().await;
    }
}

/// A transaction; it is rolled back unless it is committed.
pub(crate) struct Tx {
    tx: Transaction<'static, Postgres>,
    name: &'static str,
    /// Of one that may write.
    commit: Option<Begun>,
}

/// By what a transaction is known, and where to ask what became of it.
struct Begun {
    id: String,
    /// When the database recovered from its last crash. Whatever it has not written to its log by then it has forgotten, so that
    /// the id of a transaction from before may by now be another's.
    since: String,
    pool: PgPool,
}

/// What the database counts it counts from its last crash on, over every stop in good order.
const BEGUN: &str =
    "SELECT pg_current_xact_id()::text, extract(epoch FROM stats_reset)::text FROM pg_stat_wal";
const BECAME: &str = "
    SELECT CASE WHEN extract(epoch FROM stats_reset)::text = $2 THEN pg_xact_status($1::text::xid8) END FROM pg_stat_wal";

/// For the rest of a transaction. Row-level security holds for this role, whoever logs in (migration 7 of the information server).
const OF_COMPANY: &str = "
    SELECT set_config('musubi.company', $1, true), set_config('role', 'musubi_company', true)";

impl Tx {
    /// Leaves nothing to see but this company's rows.
    pub(crate) async fn of_company(mut self, company: &CompanyId) -> Result<Self, StoreError> {
        self.fetch_one(sqlx::query(OF_COMPANY).bind(company.as_str())).await?;
        Ok(self)
    }

    /// What it is called in errors.
    pub(crate) const fn name(&self) -> &'static str {
        self.name
    }

    /// Names this transaction in a driver's error.
    pub(crate) fn failed(&self) -> impl Fn(sqlx::Error) -> StoreError + use<> {
        StoreError::during(self.name)
    }

    /// Runs a statement; gives how many rows it concerned.
    pub(crate) async fn execute(
        &mut self,
        query: Query<'_, Postgres, PgArguments>,
    ) -> Result<u64, StoreError> {
        let done = query.execute(&mut *self.tx).await.map_err(self.failed())?;
        Ok(done.rows_affected())
    }

    /// Runs a statement that gives rows.
    pub(crate) async fn fetch(
        &mut self,
        query: Query<'_, Postgres, PgArguments>,
    ) -> Result<Vec<PgRow>, StoreError> {
        query.fetch_all(&mut *self.tx).await.map_err(self.failed())
    }

    /// Lets the statements of this transaction read whole tables.
    pub(crate) async fn allow_whole_tables(&mut self) -> Result<(), StoreError> {
        let allow = sqlx::query("SELECT set_config(setting, 'on', true) FROM unnest($1::text[]) AS setting");
        self.fetch(allow.bind(&WHOLE_TABLES[..])).await.map(drop)
    }

    /// Runs a statement that gives one row.
    pub(crate) async fn fetch_one(
        &mut self,
        query: Query<'_, Postgres, PgArguments>,
    ) -> Result<PgRow, StoreError> {
        query.fetch_one(&mut *self.tx).await.map_err(self.failed())
    }

    /// Runs a statement that gives a row or none.
    pub(crate) async fn fetch_optional(
        &mut self,
        query: Query<'_, Postgres, PgArguments>,
    ) -> Result<Option<PgRow>, StoreError> {
        query.fetch_optional(&mut *self.tx).await.map_err(self.failed())
    }

    /// Runs a statement over many rows, which are its first parameters; none: it is left out.
    pub(crate) async fn write<R: BulkRow>(
        &mut self,
        sql: &'static str,
        rows: &[R],
    ) -> Result<u64, StoreError> {
        if rows.is_empty() {
            return Ok(0);
        }
        self.execute(R::bind(sqlx::query(sql), rows)).await
    }

    /// Commits. When the answer is lost the database is asked whether it did.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: nothing was stored. [`StoreError::Unknown`]: nobody could say in time.
    pub(crate) async fn commit(self) -> Result<(), StoreError> {
        let Self { tx, name, commit } = self;
        let Err(error) = tx.commit().await else { return Ok(()) };
        let Some(begun) = commit.filter(|_| !is_answer(&error)) else {
            return Err(StoreError::during(name)(error));
        };
        match begun.became().await {
            Some(true) => Ok(()),
            Some(false) => Err(StoreError::during(name)(error)),
            None => Err(StoreError::Unknown { transaction: name, source: error }),
        }
    }
}

/// The server refused. What was lost on the way is no answer.
fn is_answer(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|error| !is_going_away(error.code().as_deref()))
}

/// The server ends the session without saying what became of its transaction: shutdown, crash, termination.
fn is_going_away(code: Option<&str>) -> bool {
    matches!(code, Some("57P01" | "57P02" | "57P03" | "25P03"))
}

impl Begun {
    /// Whether the transaction was committed; none when nobody can say, or could in time.
    async fn became(&self) -> Option<bool> {
        let asked = async {
            loop {
                let asked = sqlx::query_scalar(BECAME).bind(&self.id).bind(&self.since);
                let status: Result<Option<String>, _> = asked.fetch_one(&self.pool).await;
                match status.as_ref().map(Option::as_deref) {
                    Ok(Some("committed")) => return Some(true),
                    Ok(Some("aborted")) => return Some(false),
                    // It has crashed since, or the transaction is too old.
                    Ok(None) => return None,
                    // Under way still, or the database is not back yet.
                    Ok(Some(_)) | Err(_) => tokio::time::sleep(ASK_EVERY).await,
                }
            }
        };
        tokio::time::timeout(ASK_FOR, asked).await.ok().flatten()
    }
}

/// Does a transaction again while it fails because it met another.
macro_rules! again {
    ($attempt:expr) => {{
        let mut tries = 1;
        loop {
            match $attempt.await {
                Err(error) if tries < $crate::postgres::TRIES && $crate::postgres::met_another(&error) => {
                    tries += 1;
                }
                ended => break ended,
            }
        }
    }};
}
pub(crate) use again;

/// The transaction failed because another was quicker: a key that both made, a deadlock, a serialization failure, a count.
pub(crate) fn met_another(error: &StoreError) -> bool {
    let StoreError::Unavailable { source, .. } = error else { return false };
    let code = source.as_database_error().and_then(|error| error.code());
    matches!(code.as_deref(), Some("23505" | "40001" | "40P01")) || Overtaken::is(source)
}

fn parse(options: &PostgresOptions) -> Result<PgConnectOptions, StoreError> {
    let parsed: PgConnectOptions = options.url.parse().map_err(StoreError::unreached)?;
    Ok(parsed
        .application_name("musubi")
        // One plan for each statement: every one of ours goes by keys, whatever the values; and whoever looks for work also if there
        // was none when it was made.
        .options([("plan_cache_mode", "force_generic_plan"), ("jit", "off"), ("random_page_cost", "1.1")])
        .options(WHOLE_TABLES.map(|setting| (setting, "off")))
        .options([("idle_in_transaction_session_timeout", "60s"), ("lock_timeout", "20s")]))
}

/// A database that may forget what it acknowledged is none for this node, unless it was told so.
async fn check_durability(connection: &mut PgConnection, may_lose_data: bool) -> Result<(), StoreError> {
    const OFF: &str = "
        SELECT name FROM pg_settings
        WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit') AND setting = 'off' ORDER BY name";
    let off: Vec<String> =
        sqlx::query_scalar(OFF).fetch_all(connection).await.map_err(StoreError::unreached)?;
    if off.is_empty() || may_lose_data { Ok(()) } else { Err(StoreError::Unsafe(off.join(", "))) }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use sqlx::Executor as _;

    use super::{testing::fresh, *};
    use crate::conformance::given_up_after;

    #[tokio::test]
    async fn a_database_that_may_forget_is_refused_unless_that_is_wanted() {
        let (options, _fresh) = fresh("terminal", &terminal::MIGRATIONS).await;
        let mut connection = PgConnection::connect(&options.url).await.unwrap();
        connection
            .execute(
                "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET synchronous_commit = off', current_database()); END $$",
            )
            .await
            .unwrap();
        connection.close().await.unwrap();
        let strict = PostgresOptions { may_lose_data: false, ..options.clone() };
        let refused = Database::open(&strict, &terminal::MIGRATIONS).await.err().unwrap();
        let StoreError::Unsafe(off) = &refused else { panic!("{refused}") };
        assert!(off.ends_with("synchronous_commit"), "{off}");
        assert!(refused.to_string().contains("database.may_lose_data = true"), "{refused}");
        Database::open(&options, &terminal::MIGRATIONS).await.unwrap().close().await;
    }

    #[tokio::test]
    async fn whoever_gives_up_a_beginning_leaves_no_transaction_to_the_next() {
        let (options, _fresh) = fresh("terminal", &terminal::MIGRATIONS).await;
        let options = PostgresOptions { connections: 1, ..options };
        let database = Database::open(&options, &terminal::MIGRATIONS).await.unwrap();
        let mut given_up = 0;
        for times in (1..6).cycle().take(50) {
            let begun = given_up_after(times, pin!(database.snapshot("fact"))).await;
            given_up += u32::from(begun.is_none());
            drop(begun.map(Result::unwrap));
            let isolation = sqlx::query_scalar("SHOW transaction_isolation").fetch_one(database.read());
            let isolation: String = isolation.await.unwrap();
            assert_eq!(isolation, "read committed", "given up after {times}");
        }
        assert!(given_up > 0);
        database.close().await;
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_is_named_as_the_reason() {
        let url = "postgres://musubi@127.0.0.1:1/musubi".to_owned();
        let options = PostgresOptions { url, connections: 1, may_lose_data: false };
        let refused = Database::open(&options, &terminal::MIGRATIONS).await.err().unwrap();
        assert!(matches!(refused, StoreError::Unreached(_)), "{refused}");
        assert!(refused.to_string().contains("Connection refused"), "{refused}");
        let refused = terminal::MIGRATIONS.run(&options.url).await.unwrap_err();
        assert!(matches!(refused, StoreError::Unreached(_)), "{refused}");
    }
}
