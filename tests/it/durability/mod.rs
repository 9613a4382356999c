//! Every node dies again and again while a population plays, as real processes, and the play ends as if nobody had.
//!
//! One test for each kind of node: each node of that kind is killed (SIGKILL) at ten seeded moments and started again at once;
//! the others live. One of the carriers speaks RCS Business Messaging. Others kill or freeze what replicas share, replicas, and neighbours. Surprising: what is checked is only what people see: the companies' followers and the phones' talk rooms.

mod books;
mod judge;
mod killer;
mod leaks;
mod neighbours;
mod play;
mod replicas;
mod seen;
mod shared;
mod start;
mod store;
mod witness;

use futures::{future::join, future::join_all};
use musubi_tests::processes::{CARRIERS, Kind, System};

use self::{
    killer::Killer,
    play::{Play, listed},
};

/// Stories of a play.
const STORIES: usize = 300;
/// How often each node dies: while masters are imported, in the dialogues, in the distributions.
const DEATHS: [usize; 3] = [2, 5, 3];

/// Kills every node of a kind at ten moments each.
async fn kill_at_ten_moments(kind: Kind, seed: u64) {
    eprintln!("kind {kind:?}, seed {seed}");
    let mut system = System::start_as(|layout| layout.rbm(CARRIERS[1])).await;
    let play = Play::new(&system, seed, STORIES);
    let mut killers: Vec<_> = system.of(kind).map(|process| Killer::new(process, seed)).collect();
    let [in_masters, in_dialogues, in_distributions] = DEATHS;

    join(play.import_masters(), strike(&mut killers, in_masters)).await;
    join(play.hand_out_stories(), strike(&mut killers, in_dialogues)).await;
    play.until_dialogues_end().await;
    let (distributions, ()) = join(play.distribute(), strike(&mut killers, in_distributions)).await;
    play.until_delivered(&distributions).await;

    drop(killers);
    assert_right(&play).await;
    // Nothing is left that would be shown once more by whoever finds it after a restart.
    for process in system.processes() {
        process.kill();
        process.start();
    }
    for process in system.processes() {
        process.serving().await.unwrap();
    }
    play.until_delivered(&distributions).await;
    assert_right(&play).await;
    stop(&mut system).await;
}

async fn strike(killers: &mut [Killer<'_>], times: usize) {
    join_all(killers.iter_mut().map(|killer| killer.strike(times))).await;
}

async fn assert_right(play: &Play) {
    let faults = play.faults_of_talk_rooms().await;
    assert!(faults.is_empty(), "{}", listed(&faults));
}

/// Tells every node to stop, those in front first, and asserts that each ends well.
async fn stop(system: &mut System) {
    for process in system.processes().iter_mut().rev() {
        let status = process.stop().await;
        assert_eq!(status.code(), Some(0), "{} said:\n{}", process.name(), process.said());
    }
}

#[tokio::test]
async fn carriers_killed_at_ten_moments_lose_and_double_nothing() {
    kill_at_ten_moments(Kind::Carrier, 31).await;
}

#[tokio::test]
async fn terminals_killed_at_ten_moments_lose_and_double_nothing() {
    kill_at_ten_moments(Kind::Terminal, 41).await;
}

#[tokio::test]
async fn information_server_killed_at_ten_moments_loses_and_doubles_nothing() {
    kill_at_ten_moments(Kind::Information, 21).await;
}

#[tokio::test]
async fn company_servers_killed_at_ten_moments_lose_and_double_nothing() {
    kill_at_ten_moments(Kind::Company, 11).await;
}
