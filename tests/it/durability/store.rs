//! What nodes store with fails again and again while a population plays, and the play ends as if it had not: the PostgreSQL
//! server of all of them, or the disk below their SQLite files.
//!
//! Meanwhile nodes live, callers hear UNAVAILABLE, nothing is acknowledged that is not kept, and ten seconds after the store is
//! back everything is answered, without a hand. Surprising: a disk that is full is played by a limit on the size of files. To
//! PostgreSQL it is the same: a table that can't be extended fails a statement, a log that can't be written ends the server. The
//! operating system's word for it differs (EFBIG for ENOSPC), and files that are there already can be written again.

use std::time::Duration;

use futures::future::join;
use musubi_tests::processes::{Postgres, System};
use tokio::time::{Instant, sleep};
use tonic::Code;

use super::{
    assert_right,
    play::Play,
    stop,
    witness::{READERS, WRITERS, Witness},
};

/// Stories of a play.
const STORIES: usize = 150;
/// Before a failure, and how long it lasts: shorter than whoever asks waits for a connection, and longer.
const WORKING: Duration = Duration::from_millis(1_200);
const SHORT: Duration = Duration::from_millis(500);
const LONG: Duration = Duration::from_millis(6_500);

/// Behind this byte of their files nodes can't write on a full disk: no page of SQLite's fits.
const FULL: u64 = 1 << 12;
/// As many as all nodes together take in a play, and fewer than they might.
const CONNECTIONS: u32 = 60;

/// Every node, and who plays and watches.
struct Stage {
    system: System,
    play: Play,
    witness: Witness,
}

impl Stage {
    fn over(system: System, seed: u64) -> Self {
        let play = Play::new(&system, seed, STORIES);
        let witness = Witness::of(&system);
        Self { system, play, witness }
    }

    /// Every node on one server.
    async fn on_postgresql(seed: u64) -> (Self, Postgres) {
        let mut server = Postgres::start(CONNECTIONS);
        let system = System::start_on(&mut server).await;
        (Self::over(system, seed), server)
    }

    /// Plays, with one series of failures in the dialogues and one in the distributions.
    async fn play(self, in_dialogues: impl AsyncFnOnce(&Self), in_distributions: impl AsyncFnOnce(&Self)) {
        let Self { play, witness, .. } = &self;
        play.import_masters().await;
        join(play.hand_out_stories(), in_dialogues(&self)).await;
        play.until_dialogues_end().await;
        let (distributions, ()) = join(play.distribute(), in_distributions(&self)).await;
        play.until_delivered(&distributions).await;
        assert_right(play).await;
        witness.assert_right().await;
        let mut system = self.system;
        for process in system.processes() {
            assert!(!process.said().contains("panic at"), "{} said:\n{}", process.name(), process.said());
        }
        stop(&mut system).await;
    }
}

/// How a server goes.
type Go = fn(&mut Postgres);

/// The server goes, is away for a while, comes back, and work goes on.
async fn strike(server: &mut Postgres, stage: &Stage, go: Go, away: Duration) {
    sleep(WORKING).await;
    let gone = Instant::now();
    go(server);
    sleep(away).await;
    let back = Instant::now();
    server.start_again();
    let started = Instant::now();
    eprintln!("PostgreSQL was away for {away:?} and took {:?} to come back", started - back);
    let refused = if away == LONG { [WRITERS, READERS].concat() } else { Vec::new() };
    stage.witness.goes_on(gone, started, &refused).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_stopped_and_killed_loses_and_doubles_nothing() {
    let (stage, mut server) = Stage::on_postgresql(61).await;
    let server = &tokio::sync::Mutex::new(&mut server);
    let strikes = async |stage: &Stage| {
        let mut server = server.lock().await;
        strike(&mut server, stage, Postgres::stop, SHORT).await;
        strike(&mut server, stage, Postgres::kill, SHORT).await;
    };
    let longer = async |stage: &Stage| {
        let mut server = server.lock().await;
        strike(&mut server, stage, Postgres::kill, Duration::ZERO).await;
        strike(&mut server, stage, Postgres::stop, LONG).await;
    };
    stage.play(strikes, longer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_out_of_connections_or_read_only_loses_and_doubles_nothing() {
    let (stage, server) = Stage::on_postgresql(71).await;
    let out_of_connections = async |stage: &Stage| {
        sleep(WORKING).await;
        stage.system.pause(true);
        let crowd = server.crowd();
        let gone = Instant::now();
        stage.system.pause(false);
        eprintln!("another client has all {} connections", crowd.len());
        stage.witness.refused(gone, &[WRITERS, READERS].concat()).await;
        drop(crowd);
        stage.witness.goes_on(gone, Instant::now(), &[]).await;
    };
    let read_only = async |stage: &Stage| {
        sleep(WORKING).await;
        let gone = Instant::now();
        server.read_only(true);
        stage.witness.refused(gone, &WRITERS).await;
        sleep(WORKING).await;
        server.read_only(false);
        stage.witness.goes_on(gone, Instant::now(), &WRITERS).await;
    };
    stage.play(out_of_connections, read_only).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_on_a_full_disk_loses_and_doubles_nothing() {
    let (stage, mut server) = Stage::on_postgresql(81).await;
    let server = &tokio::sync::Mutex::new(&mut server);
    let tables = async |stage: &Stage| {
        sleep(WORKING).await;
        let gone = Instant::now();
        server.lock().await.fill_disk(true);
        let refused = stage.play.import_large_master().await.unwrap_err();
        assert_eq!(refused.code(), Code::Unavailable, "{refused}");
        sleep(WORKING).await;
        server.lock().await.fill_disk(false);
        stage.witness.goes_on(gone, Instant::now(), &[]).await;
        assert!(stage.play.import_large_master().await.unwrap() > 0);
    };
    let log = async |stage: &Stage| {
        strike(*server.lock().await, stage, Postgres::fill_disk_of_log, SHORT).await;
    };
    stage.play(tables, log).await;
}

#[tokio::test]
async fn sqlite_on_a_full_disk_loses_and_doubles_nothing() {
    let stage = Stage::over(System::start().await, 91);
    let full = async |stage: &Stage| {
        sleep(WORKING).await;
        let gone = Instant::now();
        stage.system.limit_files(Some(FULL));
        // An account that is opened as it stands is not written.
        stage.witness.refused(gone, &WRITERS[..1]).await;
        sleep(WORKING).await;
        stage.system.limit_files(None);
        stage.witness.goes_on(gone, Instant::now(), &WRITERS[..1]).await;
    };
    stage.play(full, full).await;
}
