//! How the server goes about every statement that a store sends, beside a million followers.
//!
//! A database is filled, the store works on it through a proxy, and the server tells of each statement that it has carried out how
//! it did (`auto_explain`), with what it read and what it threw away. So nobody lists statements, and a new one is looked at as soon
//! as a fact of the conformance suite uses it. What a transaction may read whole ([`Tx::allow_whole_tables`]) is told by its
//! settings, and is named here. Surprising: a scan of a whole index is no fault of the plan's in any of its words; it shows in the
//! pages that were read.
//!
//! [`Tx::allow_whole_tables`]: super::Tx::allow_whole_tables

mod stores;

use std::collections::{BTreeMap, BTreeSet, HashSet};

use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};

use super::{
    Migrations, PostgresOptions,
    proxy::Proxy,
    testing::{self, Fresh},
};
use crate::vault::customer::SealedCustomer;

/// Everybody's number and id, in the same order.
const CROWD: &str = "
    CREATE TEMPORARY TABLE crowd AS
    SELECT n, ('ffffffff-0000-4000-8000-' || lpad(to_hex(n), 12, '0'))::uuid AS id FROM generate_series(1, 1000000) AS n";
/// What a scan touches depends on what facts before it left, dead, and the server's own `ANALYZE` keeps that for as long as it runs; and
/// plans change by what it finds.
const LEFT_ALONE: &str = "
    DO $$
    DECLARE
        name TEXT;
    BEGIN
        FOR name IN SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace LOOP
            EXECUTE format('ALTER TABLE %I SET (autovacuum_enabled = off)', name);
        END LOOP;
    END
    $$";
/// What makes a server tell, for every session of a database.
const TELLING: [&str; 9] = [
    "session_preload_libraries = 'auto_explain'",
    "auto_explain.log_min_duration = 0",
    "auto_explain.log_level = notice",
    "auto_explain.log_format = json",
    "auto_explain.log_analyze = on",
    "auto_explain.log_timing = off",
    "auto_explain.log_buffers = on",
    "auto_explain.log_settings = on",
    "auto_explain.log_nested_statements = on",
];
/// What lets a transaction read whole tables, and reads none itself; and what facts count by.
const NOT_LOOKED_AT: [&str; 4] =
    ["set_config(setting", "concat_ws(", "pg_stat_user_tables", "pg_attribute AS a ON a.attrelid"];
/// A table with so many rows is one that grows.
const LARGE: f64 = 10_000.0;
/// How many rows a step of a plan may read and throw away.
const THROWN_AWAY: f64 = 200.0;
/// How many pages a statement may touch, and how many more for each row that it is given or gives: to the leaves of some indexes and
/// to the rows. An index of a million rows has thousands.
const PAGES: f64 = 300.0;
const PAGES_OF_A_ROW: f64 = 25.0;
/// How many more for a list of keys, of which the plan doesn't say how many there were: a batch, through one index.
const PAGES_OF_A_LIST: f64 = 4_000.0;

/// A database beside whose million rows a store works.
struct Million {
    proxy: Proxy,
    /// A way of one's own into the database.
    own: PgConnection,
    large: HashSet<String>,
    /// What is wrong, by statement.
    faults: BTreeMap<String, BTreeSet<String>>,
    /// Statements that may read whole tables.
    whole: BTreeSet<String>,
    /// Statements that were looked at.
    seen: BTreeSet<String>,
    _fresh: Fresh,
}

impl Million {
    /// Fills a database with these statements; gives how to open it.
    async fn fill(
        node: &'static str,
        migrations: &'static Migrations,
        sql: &'static str,
    ) -> (Self, PostgresOptions) {
        let (options, fresh) = testing::alone(node, migrations).await;
        let mut own = PgConnection::connect(&options.url).await.unwrap();
        own.execute("SET synchronous_commit = off").await.unwrap();
        own.execute(LEFT_ALONE).await.unwrap();
        own.execute(CROWD).await.unwrap();
        own.execute(sql).await.unwrap();
        own.execute("ANALYZE").await.unwrap();
        let large: Vec<String> = sqlx::query_scalar(
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND reltuples > $1",
        )
        .bind(LARGE)
        .fetch_all(&mut own)
        .await
        .unwrap();
        assert!(large.len() > 1, "{large:?}");
        let database: String =
            sqlx::query_scalar("SELECT current_database()").fetch_one(&mut own).await.unwrap();
        for setting in TELLING {
            let tell = format!("ALTER DATABASE {database} SET {setting}");
            own.execute(AssertSqlSafe(tell)).await.unwrap();
        }
        let (proxy, through) = Proxy::before(&options).await;
        let filled = Self {
            proxy,
            own,
            large: large.into_iter().collect(),
            faults: BTreeMap::new(),
            whole: BTreeSet::new(),
            seen: BTreeSet::new(),
            _fresh: fresh,
        };
        (filled, through)
    }

    /// Runs something that is nobody's statement.
    async fn run(&mut self, sql: &'static str) {
        self.own.execute(sql).await.unwrap();
    }

    /// Seals one of the crowd.
    async fn seal(&mut self, sql: &'static str, number: u32, sealed: &SealedCustomer) {
        let seal =
            sqlx::query(sql).bind(i64::from(number)).bind(&sealed.account_key[..]).bind(&sealed.record);
        assert_eq!(seal.execute(&mut self.own).await.unwrap().rows_affected(), 1);
    }

    /// Looks at what the server has told since the last look.
    fn look(&mut self) {
        for notice in self.proxy.notices() {
            let Some((_, json)) = notice.split_once("plan:\n") else { continue };
            let told: Value = serde_json::from_str(json).unwrap();
            let words: Vec<_> = told["Query Text"].as_str().unwrap().split_whitespace().collect();
            let statement = words.join(" ");
            if NOT_LOOKED_AT.iter().any(|what| statement.contains(what)) {
                continue;
            }
            if told["Settings"]["enable_seqscan"] != "off" {
                self.whole.insert(statement);
                continue;
            }
            let plan = &told["Plan"];
            let touched = number(plan, "Shared Hit Blocks") + number(plan, "Shared Read Blocks");
            let mut faults = Vec::new();
            self.judge(plan, &mut faults);
            let of_list = if statement.contains("= ANY") { PAGES_OF_A_LIST } else { 0.0 };
            if touched > PAGES + of_list + PAGES_OF_A_ROW * rows(plan, true) {
                faults.push("too many pages touched".to_owned());
            }
            self.seen.insert(statement.clone());
            if !faults.is_empty() {
                self.faults.entry(statement).or_default().extend(faults);
            }
        }
    }

    /// What is wrong with a step of a plan and with those below it.
    fn judge(&self, step: &Value, faults: &mut Vec<String>) {
        let kind = step["Node Type"].as_str().unwrap();
        let relation = step["Relation Name"].as_str().unwrap_or_default();
        if kind == "Seq Scan" && self.large.contains(relation) {
            faults.push(format!("{relation} is read whole"));
        }
        if step["Sort Space Type"] == "Disk"
            || number(step, "Hash Batches") > 1.0
            || number(step, "Disk Usage") > 0.0
        {
            faults.push(format!("{kind} goes to the disk"));
        }
        for removed in
            ["Rows Removed by Filter", "Rows Removed by Join Filter", "Rows Removed by Index Recheck"]
        {
            // What a function gives is not stored.
            if kind != "Function Scan" && number(step, removed) * number(step, "Actual Loops") > THROWN_AWAY {
                let index = step["Index Name"].as_str().unwrap_or_default();
                faults.push(format!("{kind} {relation} {index}: more than {THROWN_AWAY} {removed}"));
            }
        }
        for below in step["Plans"].as_array().into_iter().flatten() {
            self.judge(below, faults);
        }
    }

    /// Asserts that many statements were looked at and none is wrong, and that no others may read whole tables than those that begin
    /// so.
    fn assert_right(mut self, statements: usize, whole: &[&str]) {
        self.look();
        assert!(self.faults.is_empty(), "{:#?}", self.faults);
        let is_named = |statement: &&String| whole.iter().any(|begins| statement.starts_with(begins));
        let unnamed: Vec<_> = self.whole.iter().filter(|statement| !is_named(statement)).collect();
        assert!(unnamed.is_empty(), "may read whole tables: {unnamed:#?}");
        assert!(self.seen.len() >= statements, "only {} statements were looked at", self.seen.len());
    }
}

fn number(step: &Value, what: &str) -> f64 {
    step[what].as_f64().unwrap_or_default()
}

/// How many rows a statement is given as parameters, and how many it gives or writes.
fn rows(step: &Value, is_last: bool) -> f64 {
    let below = step["Plans"].as_array().map_or(&[][..], Vec::as_slice);
    let counts = is_last || step["Node Type"] == "Function Scan";
    let own = if counts { number(step, "Actual Rows") * number(step, "Actual Loops") } else { 0.0 };
    let is_write = step["Node Type"] == "ModifyTable";
    own + below.iter().map(|below| rows(below, is_write)).sum::<f64>()
}
