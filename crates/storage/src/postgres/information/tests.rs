//! The conformance suite on PostgreSQL, and two that want the same follower. What its plans are is asked in `postgres/plans`.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use musubi_domain::{
    delivery::{DeliveryState, Signal},
    distribution::{Command, State},
    id::{DistributionId, MessageId},
    silence::Doubt,
};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use tokio::time::timeout;

use super::{PostgresInformation, custody, delivery, erasure, expansion, flow, holder, review};
use crate::{
    conformance::{information as facts, vault::vault},
    information::{
        FollowerKey,
        delivery::{AttemptOutcome, Claim, DeliveryStore as _, Source},
        distribution::DistributionStore as _,
        flow::{FlowStore as _, FollowerRecord, Work},
        holder::HolderStore as _,
    },
    postgres::testing::{self, Fresh},
    row::{Columns as _, Id},
};

#[async_trait]
impl facts::Bench for PostgresInformation {
    async fn tallies(&self) -> [Vec<String>; 2] {
        const LINE: &str =
            "concat_ws(' ', official_account, carrier, encode(distribution, 'hex'), purpose, state)";
        // The account behind all others is that of the crowd beside which plans are looked at.
        const OF_FACTS: &str = "official_account < 'zz'";
        const STANDING: &str = "concat_ws(' ', f.official_account, f.carrier, f.following, coalesce(d.state, -1), coalesce(d.reached, 0))";
        let kept = format!(
            "SELECT {LINE} || ' ' || sum(count - erased) FROM delivery_tally WHERE {OF_FACTS}
             GROUP BY {LINE} HAVING sum(count - erased) <> 0 ORDER BY 1"
        );
        let counted = format!(
            "SELECT {LINE} || ' ' || count(*) FROM delivery WHERE {OF_FACTS} GROUP BY {LINE} ORDER BY 1"
        );
        let kept_followers = format!(
            "SELECT concat_ws(' ', official_account, carrier, following, state, reached, sum(count)) FROM follower_tally
             WHERE {OF_FACTS}
             GROUP BY official_account, carrier, following, state, reached HAVING sum(count) <> 0 ORDER BY 1"
        );
        let counted_followers = format!(
            "SELECT {STANDING} || ' ' || count(*) FROM follower AS f
             LEFT JOIN dialogue AS d USING (official_account, follower) WHERE {OF_FACTS} GROUP BY {STANDING} ORDER BY 1"
        );
        let lines = async |deliveries: String, followers: String| {
            let mut lines: Vec<String> = Vec::new();
            for query in [deliveries, followers] {
                let found = sqlx::query_scalar(AssertSqlSafe(query)).fetch_all(self.database.read()).await;
                lines.extend::<Vec<String>>(found.unwrap());
            }
            lines
        };
        [lines(kept, kept_followers).await, lines(counted, counted_followers).await]
    }

    async fn rows_written(&self) -> i64 {
        const WRITTEN: &str = "
            SELECT coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0)::bigint FROM pg_stat_user_tables";
        // What a session has not reported yet would come later.
        let pool = self.database.read();
        let mut sessions = Vec::new();
        while u32::try_from(sessions.len()).unwrap() < pool.size() {
            let mut session = pool.acquire().await.unwrap();
            sqlx::query("SELECT pg_stat_force_next_flush()").execute(&mut *session).await.unwrap();
            sessions.push(session);
        }
        sqlx::query_scalar(WRITTEN).fetch_one(&mut *sessions[0]).await.unwrap()
    }

    fn rows_of_a_tie(&self) -> i64 {
        2
    }

    async fn columns(&self) -> Vec<(String, String)> {
        const COLUMNS: &str = "
            SELECT c.relname::text, a.attname::text FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid
            WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relnamespace = 'public'::regnamespace
                AND a.attnum > 0 AND NOT a.attisdropped AND c.relname <> '_sqlx_migrations' ORDER BY 1, 2";
        sqlx::query_as(COLUMNS).fetch_all(self.database.read()).await.unwrap()
    }

    async fn audits(&self) -> Vec<String> {
        const AUDITS: &str = "
            SELECT concat_ws(' ', company, coalesce(official_account, '-'),
                coalesce(upper(replace(follower::text, '-', '')), '-'), action, detail)
            FROM audit ORDER BY audit_id";
        sqlx::query_scalar(AUDITS).fetch_all(self.database.read()).await.unwrap()
    }

    async fn tamper(&self, sql: &str) {
        let mut tx = self.database.write("fact").await.unwrap();
        tx.execute(sqlx::query("SET LOCAL session_replication_role = replica")).await.unwrap();
        tx.execute(sqlx::query(AssertSqlSafe(sql.to_owned()))).await.unwrap();
        tx.commit().await.unwrap();
    }

    async fn tamper_openly(&self, sql: &str) -> String {
        let mut tx = self.database.write("fact").await.unwrap();
        let refused = tx.execute(sqlx::query(AssertSqlSafe(sql.to_owned()))).await.unwrap_err();
        std::error::Error::source(&refused).unwrap().to_string()
    }

    async fn delivery_state(&self, key: &FollowerKey, message: MessageId) -> Option<DeliveryState> {
        const STATE: &str = "
            SELECT state FROM delivery WHERE official_account = $1 AND follower = $2 AND message_id = $3";
        let row = sqlx::query(STATE)
            .bind(key.account.as_str())
            .bind(Id::of(key.follower.as_bytes()))
            .bind(Id::of(message.as_bytes()))
            .fetch_optional(self.database.read())
            .await
            .unwrap();
        row.map(|row| row.one_of(&DeliveryState::ALL, 0).unwrap())
    }

    async fn message_of(&self, id: DistributionId, key: &FollowerKey) -> MessageId {
        expansion::message(id, key.follower)
    }
}

pub(super) async fn open() -> (PostgresInformation, Fresh) {
    let (options, fresh) = testing::fresh("information", PostgresInformation::MIGRATIONS).await;
    (PostgresInformation::open(&options, vault("")).await.unwrap(), fresh)
}

facts::information_store_suite!(open());

/// What is looked for all the time is mostly planned while there is nothing, and may not be planned again for a long time.
#[tokio::test]
async fn who_looks_for_work_goes_by_keys_though_a_vacuum_found_no_row_before() {
    let (options, _fresh) = testing::alone("information", PostgresInformation::MIGRATIONS).await;
    PgConnection::connect(&options.url).await.unwrap().execute("VACUUM").await.unwrap();
    let store = PostgresInformation::open(&options, vault("")).await.unwrap();
    for (by, statement) in [
        ("dialogue_0_due_time_idx", flow::DUE),
        ("Tid Scan on inquiry_0", flow::CLAIM_INQUIRIES),
        ("Tid Scan on customer_information_0", holder::CLAIM),
        ("Tid Scan on delivery_0", delivery::EXPIRE_UNCONFIRMED),
        ("Tid Scan on guess", erasure::FORGET_GUESSES),
        ("Tid Scan on entrusted_customer", custody::DESTROY),
        ("Tid Scan on blind_customer", custody::DESTROY_BLIND),
        ("tied_customer_0_pkey", review::GET),
    ] {
        testing::goes_by(store.database.read(), by, statement).await;
    }
}

/// Nobody waits for whoever is being changed just now, and nobody forgets them.
#[tokio::test]
async fn who_is_being_changed_is_left_for_later_and_known_to_be_due() {
    const BUSY: &str =
        "SELECT FROM follower WHERE official_account = 'bank' AND follower = $1 FOR NO KEY UPDATE";
    let (store, _fresh) = open().await;
    let keys = facts::keys("bank", 1..=3);
    facts::follow(&store, "bank", 1..=3).await;
    for key in &keys {
        let due = |record: &mut FollowerRecord| {
            record.dialogue.as_mut().unwrap().due_time = Some(facts::at(0));
        };
        facts::change(&store, key, due).await;
        facts::deliver(&store, &[facts::request(key, 0)]).await;
    }
    let claim = Claim { limit: 3, ..facts::claim(facts::dialogues("bank"), 0) };
    let mut moved = Vec::new();
    let mut move_on = |work: &mut Work| {
        for (key, record) in &mut work.followers {
            record.dialogue.as_mut().unwrap().due_time = None;
            moved.push(key.clone());
        }
    };

    let mut busy = store.database.write("busy").await.unwrap();
    busy.fetch(sqlx::query(BUSY).bind(Id::of(keys[1].follower.as_bytes()))).await.unwrap();
    let first = store.claim(&claim).await.unwrap();
    assert_eq!((first.attempts.len(), first.more), (2, true));
    assert_eq!(store.work_due(facts::at(0), 3, &mut move_on).await.unwrap(), 3);
    busy.commit().await.unwrap();
    let second = store.claim(&claim).await.unwrap();
    assert_eq!((second.attempts.len(), second.more), (1, false));
    assert_eq!(second.attempts[0].key, keys[1]);
    assert_eq!(store.work_due(facts::at(0), 3, &mut move_on).await.unwrap(), 1);
    assert_eq!((moved.len(), moved.last()), (3, keys.get(1)));
}

/// A refusal and a change of the follower come one after the other, or one would undo what the other did to the tie.
#[tokio::test]
async fn a_refusal_waits_for_whoever_changes_the_follower_and_a_claim_of_holders_for_nobody() {
    const BUSY: &str =
        "SELECT FROM follower WHERE official_account = 'bank' AND follower = $1 FOR NO KEY UPDATE";
    const PROVE: &str = "
        UPDATE customer_information SET proved_time = 7, silent_time = 4102444800000000, ask_time = 0
        WHERE official_account = 'bank' AND follower = $1";
    const WAIT: Duration = Duration::from_millis(500);
    let (store, _fresh) = open().await;
    let keys = facts::keys("bank", 1..=2);
    facts::follow(&store, "bank", 1..=2).await;
    facts::tied(&store, "bank", &[(1, "C1"), (2, "C2")]).await;
    facts::deliver(&store, &[facts::request(&keys[0], 0)]).await;
    let started = facts::attempts(&store, facts::dialogues("bank"), 0).await;
    for key in &keys {
        let due = |record: &mut FollowerRecord| {
            record.tie.as_mut().unwrap().tie.holder.ask_time = Some(facts::at(0));
        };
        facts::change(&store, key, due).await;
    }

    let mut busy = store.database.write("busy").await.unwrap();
    let follower = Id::of(keys[0].follower.as_bytes());
    busy.fetch(sqlx::query(BUSY).bind(follower)).await.unwrap();
    let results = [facts::result(&started[0], AttemptOutcome::Unreachable)];
    let mut refused = std::pin::pin!(store.record(&results, facts::at(5)));
    assert!(timeout(WAIT, &mut refused).await.is_err());
    busy.execute(sqlx::query(PROVE).bind(follower)).await.unwrap();
    // The tie that is being changed is left for later.
    let due = store.claim_holders(facts::at(1), facts::at(60), 10).await.unwrap();
    assert_eq!(due.iter().map(|it| &it.key).collect::<Vec<_>>(), [&keys[1]]);
    busy.commit().await.unwrap();
    refused.await.unwrap();
    let followers = facts::load(&store, keys.clone()).await;
    let holder = followers[&keys[0]].tie.as_ref().unwrap().tie.holder;
    assert_eq!((holder.proved_time.as_microsecond(), holder.doubt), (7, Some(Doubt::Refused)));
    assert!(holder.is_silent(facts::at(5)));
}

/// A claim that is under way is waited for, and none that comes later starts anything.
#[tokio::test]
async fn no_attempt_starts_after_a_pause_was_acknowledged() {
    const COUNTS: &str = "LOCK TABLE delivery_tally IN SHARE MODE";
    const WAITS: &str = "
        SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let (store, _fresh) = open().await;
    facts::follow(&store, "bank", 1..=4).await;
    let id = facts::distribute(&store, "bank", 1, &[]).await;
    let claim = Claim { limit: 2, ..facts::claim(Source::Distribution(id), 0) };
    // It has started its attempts, and waits to count them.
    let mut counts = store.database.write("busy").await.unwrap();
    counts.execute(sqlx::query(COUNTS)).await.unwrap();
    let claiming = tokio::spawn({
        let (store, claim) = (store.clone(), claim.clone());
        async move { store.claim(&claim).await.unwrap() }
    });
    let waiting =
        async || sqlx::query_scalar::<_, i64>(WAITS).fetch_one(store.database.read()).await.unwrap();
    let soon = Duration::from_millis(10);
    while waiting().await < 1 {
        tokio::time::sleep(soon).await;
    }
    let pausing = tokio::spawn({
        let store = store.clone();
        async move {
            let bank = facts::named("bank");
            store.command_distribution(&bank, id, &facts::order(Command::Pause), facts::at(1)).await.unwrap()
        }
    });
    while waiting().await < 2 && !pausing.is_finished() {
        tokio::time::sleep(soon).await;
    }
    assert!(!pausing.is_finished(), "it was acknowledged while a claim was under way");
    counts.commit().await.unwrap();
    assert_eq!(claiming.await.unwrap().attempts.len(), 2);
    assert_eq!(pausing.await.unwrap().state, State::Paused);
    assert_eq!(store.claim(&claim).await.unwrap().attempts.len(), 0);
}

#[tokio::test]
async fn results_that_wait_for_a_turn_are_recorded_at_once_and_each_delivery_moves_once() {
    const COUNT: &str = "
        CREATE TABLE moves (message uuid);
        CREATE FUNCTION count_move() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN INSERT INTO moves VALUES (NEW.message_id); RETURN NULL; END $$;
        CREATE TRIGGER count_move AFTER UPDATE ON delivery FOR EACH ROW EXECUTE FUNCTION count_move()";
    let (store, _fresh) = open().await;
    let started = facts::started(&store).await;
    sqlx::raw_sql(COUNT).execute(store.database.read()).await.unwrap();
    let held = store.recording.every_turn();
    let mut calls = Vec::new();
    for signal in [Signal::Accepted, Signal::Delivered, Signal::Accepted] {
        let (store, results) = (store.clone(), facts::told(&started, signal));
        let recording = Arc::clone(&store.recording);
        calls.push(tokio::spawn(async move { store.record(&results, facts::at(2)).await.unwrap() }));
        while recording.len() < calls.len() {
            tokio::task::yield_now().await;
        }
    }
    drop(held);
    for call in calls {
        assert_eq!(call.await.unwrap(), [true; 5]);
    }
    let moves = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM moves").fetch_one(store.database.read());
    assert_eq!(moves.await.unwrap(), 5);
    let messages: Vec<_> = started.iter().map(|it| (it.key.clone(), it.message_id)).collect();
    assert_eq!(facts::states(&store, &messages).await, [DeliveryState::Delivered; 5]);
    facts::balanced(&store).await;
}
