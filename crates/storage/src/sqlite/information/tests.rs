//! The conformance suite on SQLite, and what only SQLite can be asked: its plans, its files after a crash, a statement that
//! fails.

use async_trait::async_trait;
use musubi_domain::{
    delivery::DeliveryState,
    id::{DistributionId, MessageId},
};
use sqlx::{AssertSqlSafe, Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};

use super::{
    SqliteInformation, approval, audit, custody, delivery, distribution, erasure, expansion, flow, follower,
    holder, list, load, review, save, tally, trial, walk,
};
use crate::{
    Opened as _, StoreError,
    conformance::{
        information::{self as facts, Bench as _},
        vault::vault,
    },
    information::{
        FollowerKey,
        delivery::Source,
        flow::{Audit, FlowStore as _, Work},
    },
    migrations,
    row::Columns as _,
};

mod overwritten;

#[async_trait]
impl facts::Bench for SqliteInformation {
    async fn tallies(&self) -> [Vec<String>; 2] {
        const LINE: &str = "official_account || ' ' || carrier || ' ' || hex(distribution) || ' ' || purpose || ' ' || state";
        let kept = format!(
            "SELECT {LINE} || ' ' || (count - erased) FROM delivery_tally WHERE count <> erased ORDER BY 1"
        );
        let counted = format!("SELECT {LINE} || ' ' || count(*) FROM delivery GROUP BY {LINE} ORDER BY 1");
        const STANDING: &str = "concat_ws(' ', f.official_account, f.carrier, f.following, coalesce(d.state, -1), coalesce(d.reached, 0))";
        let kept_followers =
            "SELECT concat_ws(' ', official_account, carrier, following, state, reached, count)
            FROM follower_tally WHERE count <> 0 ORDER BY 1";
        let counted_followers = format!(
            "SELECT {STANDING} || ' ' || count(*) FROM follower AS f LEFT JOIN dialogue AS d
             ON d.number = f.number GROUP BY {STANDING} ORDER BY 1"
        );
        let lines = async |deliveries: String, followers: String| {
            let mut lines: Vec<String> = Vec::new();
            for query in [deliveries, followers] {
                let reader = self.database.read();
                let found = sqlx::query_scalar(AssertSqlSafe(query)).fetch_all(reader).await;
                lines.extend::<Vec<String>>(found.unwrap());
            }
            lines
        };
        [lines(kept, kept_followers.to_owned()).await, lines(counted, counted_followers).await]
    }

    async fn rows_written(&self) -> i64 {
        let mut tx = self.database.write("fact").await.unwrap();
        sqlx::query_scalar("SELECT total_changes()").fetch_one(&mut *tx).await.unwrap()
    }

    fn rows_of_a_tie(&self) -> i64 {
        1
    }

    async fn columns(&self) -> Vec<(String, String)> {
        const COLUMNS: &str = "
            SELECT t.name, c.name FROM sqlite_schema AS t JOIN pragma_table_info(t.name) AS c
            WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%' AND t.name <> '_sqlx_migrations' ORDER BY 1, 2";
        sqlx::query_as(COLUMNS).fetch_all(self.database.read()).await.unwrap()
    }

    async fn audits(&self) -> Vec<String> {
        const AUDITS: &str = "
            SELECT concat_ws(' ', company, coalesce(official_account, '-'), iif(follower IS NULL, '-', hex(follower)), action, detail)
            FROM audit ORDER BY audit_id";
        sqlx::query_scalar(AUDITS).fetch_all(self.database.read()).await.unwrap()
    }

    async fn tamper(&self, sql: &str) {
        const TRIGGERS: &str =
            "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger' AND tbl_name LIKE 'audit%'";
        let mut tx = self.database.write("fact").await.unwrap();
        let triggers: Vec<(String, String)> = sqlx::query_as(TRIGGERS).fetch_all(&mut *tx).await.unwrap();
        for (name, _) in &triggers {
            sqlx::query(AssertSqlSafe(format!("DROP TRIGGER {name}"))).execute(&mut *tx).await.unwrap();
        }
        let sql = sql.replace(" OVERRIDING SYSTEM VALUE", "");
        sqlx::query(AssertSqlSafe(sql)).execute(&mut *tx).await.unwrap();
        for (_, made) in triggers {
            sqlx::query(AssertSqlSafe(made)).execute(&mut *tx).await.unwrap();
        }
        tx.commit().await.unwrap();
    }

    async fn tamper_openly(&self, sql: &str) -> String {
        let mut tx = self.database.write("fact").await.unwrap();
        sqlx::query(AssertSqlSafe(sql.to_owned())).execute(&mut *tx).await.unwrap_err().to_string()
    }

    async fn delivery_state(&self, _: &FollowerKey, message: MessageId) -> Option<DeliveryState> {
        let row = sqlx::query("SELECT state FROM delivery WHERE message_id = ?1")
            .bind(&message.as_bytes()[..])
            .fetch_optional(self.database.read())
            .await
            .unwrap();
        row.map(|row| row.one_of(&DeliveryState::ALL, 0).unwrap())
    }

    async fn message_of(&self, id: DistributionId, key: &FollowerKey) -> MessageId {
        const NUMBER: &str = "
            SELECT f.number FROM delivery AS m JOIN follower AS f USING (number)
            WHERE m.distribution = ?1 AND f.official_account = ?2 AND f.follower = ?3";
        let number = sqlx::query_scalar(NUMBER)
            .bind(&id.as_bytes()[..])
            .bind(key.account.as_str())
            .bind(&key.follower.as_bytes()[..]);
        expansion::message(id, key.follower, number.fetch_one(self.database.read()).await.unwrap())
    }
}

pub(super) async fn open() -> (SqliteInformation, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteInformation::open(&folder.path().join("information.db"), vault("")).await.unwrap();
    (store, folder)
}

facts::information_store_suite!(open());

#[tokio::test]
async fn everything_outlives_the_process() {
    let (store, folder) = open().await;
    facts::fill(&store).await;
    store.close().await;
    let store = SqliteInformation::open(&folder.path().join("information.db"), vault("")).await.unwrap();
    facts::everything_is_there(&store).await;
}

#[tokio::test]
async fn a_database_of_the_first_schema_keeps_its_rows_and_gets_its_counts() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("information.db");
    let options = SqliteConnectOptions::new().filename(&path).create_if_missing(true);
    let mut old = SqliteConnection::connect_with(&options).await.unwrap();
    migrations::SQLITE_INFORMATION.until(1).migrator().run(&mut old).await.unwrap();
    const ROWS: &str = "
        INSERT INTO follower VALUES ('bank', x'01', '+819000000001', 'alpha', 1, 5), ('bank', x'02', '+819000000002', 'alpha', 0, 5);
        INSERT INTO dialogue VALUES ('bank', x'01', x'0a', 0, 1, 1, 1, 0, 0, 0, 1, 9, 5, NULL, NULL, NULL, '[]');
        INSERT INTO delivery VALUES ('bank', x'01', x'0b', 'alpha', x'', 0, 2, 1, 0, 5, 9, x'0a', 1, NULL, NULL, 6);
        INSERT INTO delivery_tally VALUES ('bank', 'alpha', x'', 0, 2, 1);
        INSERT INTO subscription VALUES ('bank', x'01', 'alpha', 1, 5), ('bank', x'02', 'alpha', 0, 6);
        INSERT INTO customer_information VALUES ('bank', x'02', x'0d', 'C2', 'jpki', 8, 99, 0);
        INSERT INTO inquiry VALUES ('bank', x'01', x'0e', 'b', NULL, '7624550', '{}', 3);
        INSERT INTO distribution VALUES (x'0f', 'b', 'bank', x'01', x'', 'n', '', NULL, 0, 1, x'02', 0, 0, 5, 5, 99, NULL),
            (x'10', 'b', 'bank', x'02', x'', 'n', '', NULL, 0, 0, x'', 0, 0, 5, NULL, NULL, NULL);
        INSERT INTO revocation VALUES ('alpha', x'0f', x'01');
        INSERT INTO guess VALUES ('bank', 0, x'01', 2, 9);";
    sqlx::raw_sql(ROWS).execute(&mut old).await.unwrap();
    old.close().await.unwrap();

    let store = SqliteInformation::open(&path, vault("")).await.unwrap();
    facts::balanced(&store).await;
    let [kept, _] = store.tallies().await;
    assert_eq!(kept.len(), 3, "one delivery, one follower asked, one gone without a dialogue: {kept:?}");
    const COUNT: &str = "SELECT (SELECT count(*) FROM delivery) + (SELECT count(*) FROM guess) + (SELECT count(*) FROM dialogue)";
    let rows: i64 = sqlx::query_scalar(COUNT).fetch_one(store.database.read()).await.unwrap();
    assert_eq!(rows, 3);
    const STAND: &str = "
        SELECT concat_ws(' ', hex(f.follower), hex(d.dialogue_id), hex(m.message_id), s.following, t.customer_id, hex(i.inquiry_id))
        FROM follower AS f JOIN subscription AS s USING (number) LEFT JOIN dialogue AS d USING (number)
        LEFT JOIN delivery AS m USING (number) LEFT JOIN customer_information AS t USING (number)
        LEFT JOIN inquiry AS i USING (number) ORDER BY 1";
    let stand: Vec<String> = sqlx::query_scalar(STAND).fetch_all(store.database.read()).await.unwrap();
    assert_eq!(stand, ["01 0A 0B 1 0E", "02   0 C2 "]);
    const HOLDER: &str = "
        SELECT concat_ws(' ', proved_time, silent_time, ask_time, coalesce(doubt, '-')) FROM customer_information";
    let holder: String = sqlx::query_scalar(HOLDER).fetch_one(store.database.read()).await.unwrap();
    assert_eq!(
        holder, "8 2592000000008 2332800000008 -",
        "proved when it was made, and believed for thirty days"
    );
    const WALKS: &str = "
        SELECT iif(f.follower IS NULL, '-', hex(f.follower)) FROM (SELECT cursor FROM revocation UNION ALL SELECT cursor FROM distribution) AS walk
        LEFT JOIN follower AS f ON f.number = walk.cursor";
    let walks: Vec<String> = sqlx::query_scalar(WALKS).fetch_all(store.database.read()).await.unwrap();
    assert_eq!(walks, ["01", "02", "-"], "who walked stands where it stood");
}

#[tokio::test]
async fn of_a_customers_ties_the_newest_stays_when_the_schema_allows_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("information.db");
    let options = SqliteConnectOptions::new().filename(&path).create_if_missing(true);
    let mut old = SqliteConnection::connect_with(&options).await.unwrap();
    migrations::SQLITE_INFORMATION.until(2).migrator().run(&mut old).await.unwrap();
    const ROWS: &str = "
        INSERT INTO follower VALUES ('bank', x'01', '+819000000001', 'alpha', 1, 5), ('bank', x'02', '+819000000002', 'alpha', 1, 5),
            ('bank', x'03', '+819000000003', 'alpha', 1, 5);
        INSERT INTO dialogue VALUES ('bank', x'01', x'0a', 0, 5, 1, 1, 0, 0, 0, 5, NULL, 5, NULL, NULL, NULL, '[]'),
            ('bank', x'02', x'0b', 0, 5, 1, 1, 0, 0, 0, 5, NULL, 5, NULL, NULL, NULL, '[]'),
            ('bank', x'03', x'0c', 0, 7, 1, 1, 0, 0, 0, 5, NULL, 5, NULL, NULL, 'C2', '[]');
        INSERT INTO customer_information VALUES ('bank', x'01', x'0a', 'C1', 'jpki', 8, 99, 0), ('bank', x'02', x'0b', 'C1', 'jpki', 9, 99, 0);
        INSERT INTO audit (time, company, official_account, follower, action, detail) VALUES (8, 'b', 'bank', x'01', 'tied', ''), (9, 'b', 'bank', x'02', 'tied', '');";
    sqlx::raw_sql(ROWS).execute(&mut old).await.unwrap();
    old.close().await.unwrap();

    let store = SqliteInformation::open(&path, vault("")).await.unwrap();
    facts::balanced(&store).await;
    const STAND: &str = "
        SELECT concat_ws(' ', hex(f.follower), d.state, d.due_time IS NOT NULL, coalesce(t.customer_id, '-'), coalesce(f.former_customer, '-'))
        FROM follower AS f JOIN dialogue AS d USING (number) LEFT JOIN customer_information AS t USING (number) ORDER BY 1";
    let stand: Vec<String> = sqlx::query_scalar(STAND).fetch_all(store.database.read()).await.unwrap();
    assert_eq!(stand, ["01 9 1 - C1", "02 5 1 C1 -", "03 7 1 - -"]);
    assert_eq!(store.audits().await[2], "b bank 01 untied tie_0a one of several");
}

#[tokio::test]
async fn everything_outlives_a_crash() {
    let (store, folder) = open().await;
    facts::fill(&store).await;
    // What a killed process leaves: the file and its log, not written back.
    let left = tempfile::tempdir().unwrap();
    for name in ["information.db", "information.db-wal"] {
        std::fs::copy(folder.path().join(name), left.path().join(name)).unwrap();
    }
    let reopened = SqliteInformation::open(&left.path().join("information.db"), vault("")).await.unwrap();
    facts::everything_is_there(&reopened).await;
}

#[tokio::test]
async fn a_unit_whose_last_statement_fails_leaves_nothing() {
    let (store, _folder) = open().await;
    facts::fill(&store).await;
    let mut tx = store.database.write("fact").await.unwrap();
    sqlx::query("CREATE TRIGGER full BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'full'); END")
        .execute(&mut *tx)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let before = store.rows_written().await;
    let mut edit = |work: &mut Work| {
        let key = facts::key("bank", 1);
        work.followers.get_mut(&key).unwrap().tie = None;
        work.deliveries = vec![facts::request(&key, 7)];
        work.withdrawn = vec![key.clone()];
        work.audits = vec![Audit {
            company: Some(facts::named("bank")),
            key: Some(key),
            action: "untied",
            detail: String::new(),
        }];
    };
    let failed = store.work("fact", &facts::of(facts::keys("bank", [1])), facts::at(5), &mut edit).await;
    assert!(matches!(failed, Err(StoreError::Unavailable { transaction: "fact", .. })));
    assert!(store.rows_written().await > before, "it came as far as to write");
    facts::everything_is_there(&store).await;
}

/// What a plan may read from end to end: the parameter, the table with a row for each list, accounts one by one, and what a
/// limit left.
const SCANNED: [&str; 6] = [
    "SCAN k ",
    "SCAN jsonb_each ",
    "SCAN subscriber_list",
    "SCAN CONSTANT ROW",
    "SCAN account",
    "SCAN (subquery-",
];

#[tokio::test]
async fn no_statement_reads_or_sorts_a_growing_table() {
    let (store, _folder) = open().await;
    for statement in [
        flow::DUE,
        flow::CLAIM_INQUIRIES,
        flow::FORGET,
        flow::OLDEST_DIALOGUE,
        flow::OLDEST_INQUIRY,
        flow::OLDEST_MESSAGES,
        load::FOLLOWERS,
        load::TIED,
        load::EVENTS,
        load::GUESSES,
        load::ERASED,
        save::FOLLOW,
        save::FOLLOW_FIRST,
        save::SUBSCRIPTIONS_FIRST,
        save::DIALOGUES_FIRST,
        save::FOLLOWERS,
        save::CONSENTS,
        save::ERASURES,
        save::SUBSCRIPTIONS,
        save::DIALOGUES,
        save::TIES,
        save::INQUIRIES,
        save::END_TIES,
        save::END_INQUIRIES,
        save::TAKEN,
        save::GUESSES,
        save::END_GUESSES,
        save::DELIVERIES,
        save::WITHDRAWN,
        save::ADDED,
        review::SAVE,
        review::GET,
        review::POSITION,
        review::PAGE,
        review::PAGE_OF_STATE,
        approval::ASK,
        approval::OPEN,
        approval::GET,
        approval::PAGE,
        approval::PAGE_OF_STATE,
        approval::MOVE,
        approval::OVER,
        approval::RELEASE,
        erasure::CLAIM,
        erasure::AT_CARRIERS,
        erasure::STANDING,
        erasure::DELIVERIES,
        erasure::VALUES,
        erasure::ROWS[0],
        erasure::ROWS[2],
        erasure::ROWS[5],
        erasure::ROWS[6],
        erasure::ROWS[7],
        erasure::ROWS[8],
        erasure::GUESSES,
        erasure::DONE,
        erasure::REPLAY,
        erasure::FORGET_GUESSES,
        delivery::DUE_DIALOGUES,
        delivery::DUE_DISTRIBUTIONS,
        walk::MAY_RUN,
        walk::WALKING,
        delivery::DUE,
        delivery::MOVE,
        delivery::ATTEMPTED,
        delivery::RECORD,
        delivery::SIGNALLED,
        delivery::SIGNAL,
        delivery::EXPIRE_UNCONFIRMED,
        list::ENSURE,
        list::RENEW,
        list::LISTED,
        list::PROMOTED,
        list::QUARANTINED,
        list::DISCARDED,
        tally::MOVE,
        tally::MOVE_FOLLOWERS,
        tally::MOVE_DAYS,
        tally::TAP,
        follower::OWN_ACCOUNTS,
        follower::FUNNEL,
        follower::DAYS,
        follower::FORGET_DAYS,
        follower::PAGE,
        follower::PAGE_OF_OUTCOME,
        distribution::TAPS,
        trial::IN_LAST_HOUR,
        trial::INSERT,
        trial::NAMED,
        trial::GET,
        trial::LIST,
        audit::LINES_OF_ACCOUNT,
        audit::LINES_OF_NO_ACCOUNT,
        holder::DUE,
        holder::CLAIM,
        holder::CLAIMED,
        holder::REFUSED,
    ] {
        let scans =
            |step: &String| step.starts_with("SCAN") && !SCANNED.iter().any(|known| step.starts_with(known));
        // A batch of signals is counted by what it finds.
        let sorts = |step: &String| step.contains("TEMP B-TREE") && statement != delivery::SIGNALLED;
        for statement in crate::sqlite::many::variants(statement) {
            let steps = plan(&store, &statement).await;
            assert!(!steps.iter().any(|step| scans(step) || sorts(step)), "{statement}\n{steps:#?}");
        }
    }
}

#[tokio::test]
async fn what_is_due_is_found_by_its_index() {
    let (store, _folder) = open().await;
    for (statement, access) in [
        (flow::DUE, "d USING COVERING INDEX dialogue_due (due_time<?)"),
        (flow::CLAIM_INQUIRIES, "inquiry USING COVERING INDEX inquiry_due (company=? AND due_time<?)"),
        (holder::DUE, "customer_information USING COVERING INDEX customer_information_ask (ask_time<?)"),
        (flow::FORGET, "inbox USING COVERING INDEX inbox_age (take_time<?)"),
        (
            delivery::DUE,
            "m USING INDEX delivery_due (carrier=? AND distribution=? AND official_account=? AND due_time<?)",
        ),
        (
            delivery::DUE_DIALOGUES,
            "m USING COVERING INDEX delivery_due (carrier=? AND distribution=? AND official_account>?)",
        ),
        (
            delivery::DUE_DIALOGUES,
            "m USING COVERING INDEX delivery_due (carrier=? AND distribution=? AND official_account=? AND due_time<?)",
        ),
        (
            delivery::DUE_DISTRIBUTIONS,
            "m USING COVERING INDEX delivery_due (carrier=? AND distribution=? AND official_account=? AND due_time<?)",
        ),
        (delivery::EXPIRE_UNCONFIRMED, "delivery USING INDEX delivery_unconfirmed (expire_time<?)"),
        (
            list::LISTED,
            "f USING COVERING INDEX sqlite_autoindex_follower_1 (official_account=? AND follower>?)",
        ),
    ] {
        let steps = plan(&store, statement).await;
        assert!(steps.contains(&format!("SEARCH {access}")), "{statement}\n{steps:#?}");
    }
}

#[tokio::test]
async fn what_companies_ask_for_is_found_by_its_index() {
    let (store, _folder) = open().await;
    for (statement, access) in [
        (expansion::UNMADE, "d USING INDEX distribution_running (state=?)"),
        (
            expansion::NEXT_FOLLOWERS,
            "follower USING INDEX follower_in_order (official_account=? AND number>?)",
        ),
        (
            follower::PAGE_OF_OUTCOME,
            "f USING INDEX follower_by_outcome (official_account=? AND outcome=? AND number>?)",
        ),
        (expansion::OVERDUE, "m USING INDEX delivery_due (carrier=? AND distribution=?)"),
        (expansion::COMPLETE, "distribution USING INDEX distribution_running (state=?)"),
        (expansion::NEVER_ATTEMPTED, "m USING INDEX delivery_due (carrier=? AND distribution=?)"),
        (expansion::OPEN_REVOCATION, "r USING PRIMARY KEY (carrier=?)"),
        (
            expansion::NUMBERS,
            "follower USING INDEX follower_in_order (official_account=? AND number>? AND number<?)",
        ),
        (expansion::AT_CARRIER, "m USING INDEX sqlite_autoindex_delivery_1 (message_id=?)"),
        (expansion::ASKED, "m USING INDEX sqlite_autoindex_delivery_1 (message_id=?)"),
        (distribution::LIST, "distribution USING INDEX distribution_company (company=?)"),
        (distribution::LIST_OF_STATE, "distribution USING INDEX distribution_state (company=? AND state=?)"),
        (distribution::TALLIES, "delivery_tally USING INDEX delivery_tally_distribution (distribution=?)"),
        (distribution::KNOWN_VALUES, "v USING PRIMARY KEY (distribution=? AND customer_id=?)"),
        (
            custody::DESTROY,
            "e USING COVERING INDEX sqlite_autoindex_entrusted_customer_1 (company=? AND copy=?)",
        ),
        (custody::DESTROY_BLIND, "b USING PRIMARY KEY (company=? AND copy=?)"),
        (custody::BLIND_CANDIDATES, "blind_customer USING PRIMARY KEY (company=? AND copy=? AND account=?)"),
        (
            custody::CANDIDATES,
            "entrusted_customer USING INDEX sqlite_autoindex_entrusted_customer_1 (company=? AND copy=? AND account_key=?)",
        ),
        (follower::PAGE, "f USING INDEX follower_in_order (official_account=? AND number>?)"),
        (load::FOLLOWERS, "r USING INDEX review_waiting (official_account=? AND follower=?) LEFT-JOIN"),
        (
            load::TIED,
            "t USING COVERING INDEX customer_information_customer (official_account=? AND customer_id=?)",
        ),
        (review::PAGE, "r USING INDEX review_company (company=? AND (open_time,review_id)>(?,?))"),
        (
            review::PAGE_OF_STATE,
            "r USING INDEX review_state (company=? AND state=? AND (open_time,review_id)>(?,?))",
        ),
        (
            custody::OF_OTHER_RULES,
            "entrusted_customer USING INDEX entrusted_customer_by_rules (rules_version<?)",
        ),
        (
            custody::OF_OTHER_RULES,
            "entrusted_customer USING INDEX entrusted_customer_by_rules (rules_version>?)",
        ),
        (custody::REKEY, "entrusted_customer USING INTEGER PRIMARY KEY (rowid=?)"),
    ] {
        let steps = plan(&store, statement).await;
        assert!(steps.contains(&format!("SEARCH {access}")), "{statement}\n{steps:#?}");
    }
}

/// How SQLite would run a statement.
async fn plan(store: &SqliteInformation, statement: &str) -> Vec<String> {
    let statement = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
    let steps: Vec<(i64, i64, i64, String)> =
        sqlx::query_as(statement).fetch_all(store.database.read()).await.unwrap();
    steps.into_iter().map(|step| step.3).collect()
}

#[tokio::test]
async fn an_individual_retry_whose_values_are_gone_does_not_leave() {
    let (store, _folder) = open().await;
    facts::follow(&store, "bank", [1]).await;
    facts::tied(&store, "bank", &[(1, "C1")]).await;
    let id = facts::distribute(&store, "bank", 1, &[("C1", "一")]).await;
    assert_eq!(facts::attempts(&store, Source::Distribution(id), 0).await.len(), 1);
    let mut tx = store.database.write("fact").await.unwrap();
    sqlx::query("DELETE FROM distribution_value").execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(facts::attempts(&store, Source::Distribution(id), 60).await, []);
    assert_eq!(facts::state_of(&store, id, &facts::key("bank", 1)).await, DeliveryState::Revoked);
}
