//! What replicas share dies again and again while a population plays, and the play ends as if it had not.
//!
//! Surprising: a Redis that is killed has forgotten everything when it comes again, so each death is a flush, too.

use std::time::Duration;

use futures::future::join;
use musubi_servers::{Server, redis};
use musubi_tests::processes::System;
use tokio::time::sleep;

use super::{DEATHS, STORIES, assert_right, play::Play, stop};

/// From one death to the next, and how long it is away.
const ALIVE: Duration = Duration::from_millis(700);
const AWAY: [Duration; 2] = [Duration::ZERO, Duration::from_millis(1_500)];

async fn strike(server: &mut Server, times: usize) {
    for away in AWAY.iter().cycle().take(times) {
        sleep(ALIVE).await;
        server.kill().unwrap();
        sleep(*away).await;
        server.start_again().unwrap();
    }
}

#[tokio::test]
async fn redis_killed_at_ten_moments_loses_and_doubles_nothing() {
    let mut server = redis::start().unwrap();
    let mut system = System::start_sharing(&server.url()).await;
    let play = Play::new(&system, 51, STORIES);
    let [in_masters, in_dialogues, in_distributions] = DEATHS;

    join(play.import_masters(), strike(&mut server, in_masters)).await;
    join(play.hand_out_stories(), strike(&mut server, in_dialogues)).await;
    play.until_dialogues_end().await;
    let (distributions, ()) = join(play.distribute(), strike(&mut server, in_distributions)).await;
    play.until_delivered(&distributions).await;
    assert_right(&play).await;
    let said: String = system.processes().iter().map(|process| process.said()).collect();
    let [lost, found] =
        ["redis is out of reach", "redis is within reach again"].map(|what| said.matches(what).count());
    assert!(lost > 0 && lost == found, "lost {lost} times, found {found} times");
    stop(&mut system).await;
}
