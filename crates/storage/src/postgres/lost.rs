//! What becomes of a unit of work whose commit, or the answer to it, is lost on the way, and of one whose server crashes.

use musubi_servers::{
    Server,
    postgres::{Settings, start},
};
use sqlx::{Connection as _, PgConnection};
use tokio::task::block_in_place;

use super::{
    Database, PostgresOptions, Tx,
    proxy::{Lose, Proxy},
    terminal::MIGRATIONS,
    testing::fresh,
};
use crate::{StoreError, postgres::migrate::create_database};

/// Done twice, it fails on its key.
const DO: &str = "INSERT INTO senders VALUES ('kumo', 'bank', 'done once')";

async fn begun(database: &Database) -> Tx {
    let mut tx = database.write("fact").await.unwrap();
    assert_eq!(tx.execute(sqlx::query(DO)).await.unwrap(), 1);
    tx
}

/// How often it was done, as the server itself says.
async fn done(options: &PostgresOptions) -> i64 {
    let mut server = PgConnection::connect(&options.url).await.unwrap();
    sqlx::query_scalar("SELECT count(*) FROM senders").fetch_one(&mut server).await.unwrap()
}

async fn commit_with(lose: Lose) -> (Result<(), StoreError>, i64) {
    let (options, _fresh) = fresh("terminal", &MIGRATIONS).await;
    let (proxy, through) = Proxy::before(&options).await;
    let database = Database::open(&through, &MIGRATIONS).await.unwrap();
    let tx = begun(&database).await;
    proxy.lose(lose);
    let committed = tx.commit().await;
    assert!(proxy.has_lost());
    (committed, done(&options).await)
}

#[tokio::test]
async fn a_commit_whose_answer_is_lost_is_looked_up_and_is_done_once() {
    let (committed, done) = commit_with(Lose::Answer).await;
    assert!(committed.is_ok() && done == 1, "{committed:?}, done {done} times");
}

#[tokio::test]
async fn a_commit_that_is_lost_is_looked_up_and_is_not_done() {
    let (committed, done) = commit_with(Lose::Commit).await;
    assert!(matches!(committed, Err(StoreError::Unavailable { .. })) && done == 0, "{committed:?}, {done}");
}

#[tokio::test]
async fn a_commit_that_nobody_can_be_asked_about_is_unknown_and_unavailable_to_callers() {
    let (committed, done) = commit_with(Lose::Server).await;
    let Err(unknown @ StoreError::Unknown { .. }) = committed else { panic!("{committed:?}, {done}") };
    let error = musubi_domain::Error::from(unknown);
    assert_eq!(error.kind, musubi_domain::ErrorKind::Unavailable);
    assert_eq!((error.remedy.as_str(), done), ("repeat the call", 1));
}

#[tokio::test]
async fn a_statement_whose_answer_is_lost_is_unknown_and_is_repeated_without_harm() {
    const ONCE: &str = "INSERT INTO senders VALUES ('kumo', 'bank', 'done once') ON CONFLICT DO NOTHING";
    let (options, _fresh) = fresh("terminal", &MIGRATIONS).await;
    let (proxy, through) = Proxy::before(&options).await;
    let database = Database::open(&through, &MIGRATIONS).await.unwrap();
    let once = async || database.once("fact", sqlx::query(ONCE)).await;
    proxy.lose(Lose::Statement);
    let lost = once().await;
    assert!(proxy.has_lost());
    assert!(matches!(lost, Err(StoreError::Unknown { .. })), "{lost:?}");
    assert_eq!((done(&options).await, once().await.unwrap(), done(&options).await), (1, 0, 1));
    let refused = database.once("fact", sqlx::query(DO)).await;
    assert!(matches!(refused, Err(StoreError::Unavailable { .. })), "{refused:?}");
}

/// A server of the fact's own, a database on it, and a transaction that is under way there.
async fn alone() -> (Server, PostgresOptions, Tx) {
    let settings = Settings { shared_buffers_mib: 16, max_connections: 20, ..Settings::default() };
    let server = block_in_place(|| start(&settings)).unwrap();
    let url = create_database(&server.url(), "lost").await.unwrap();
    MIGRATIONS.run(&url).await.unwrap();
    let options = PostgresOptions::new(&url, 4, false);
    let database = Database::open(&options, &MIGRATIONS).await.unwrap();
    let tx = begun(&database).await;
    (server, options, tx)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_a_crash_has_lost_is_not_taken_for_the_one_that_got_its_number() {
    let (mut server, options, tx) = alone().await;
    let number: u64 = tx.commit.as_ref().unwrap().id.parse().unwrap();
    block_in_place(|| server.kill().and_then(|()| server.start_again())).unwrap();
    // Others go on until one of them has the same number.
    let mut other = PgConnection::connect(&options.url).await.unwrap();
    let mut last = 0;
    while last < number {
        let begun = sqlx::query_scalar::<_, String>("SELECT pg_current_xact_id()::text");
        last = begun.fetch_one(&mut other).await.unwrap().parse().unwrap();
    }
    let committed = tx.commit().await;
    assert!(matches!(committed, Err(StoreError::Unknown { .. })), "{committed:?}");
    assert_eq!(done(&options).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_a_stop_in_good_order_has_ended_is_known_to_be_undone() {
    let (mut server, options, tx) = alone().await;
    block_in_place(|| server.stop().and_then(|()| server.start_again())).unwrap();
    let committed = tx.commit().await;
    assert!(matches!(committed, Err(StoreError::Unavailable { .. })), "{committed:?}");
    assert_eq!(done(&options).await, 0);
}
