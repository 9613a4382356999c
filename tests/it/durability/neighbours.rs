//! What one company or carrier does to its neighbours: nothing that these would notice.
//!
//! Each time is held against that of the same work on the same system while it was quiet. Surprising: where a limit decides how
//! fast messages go, times say whose turn it was; without one they would say how busy the machine is.

use std::time::{Duration, Instant};

use futures::future::join_all;
use musubi_terminal_simulator::story::Story;
use musubi_tests::processes::{CARRIERS, COMPANIES, Process, System};
use tokio::time::sleep;

use super::{
    judge,
    play::{Distributed, Play},
    replicas::Stage,
    stop,
};

/// The company that sends much, and is asked about its customers; and its neighbour, which is in custody.
const LARGE: usize = 0;
const SMALL: usize = 1;
/// Its distributions, to a thousand followers each.
const DISTRIBUTIONS: usize = 32;
const STORIES: usize = 2_600;
/// Of the neighbour's stories, those that are played while something is measured.
const MEASURED: usize = 30;
/// Messages a second over each carrier.
const LIMIT: u32 = 100;
/// How long the large company sends before anything is measured beside it: it has had more by then than its neighbour when it was quiet.
const BEFORE: Duration = Duration::from_secs(15);
/// How long what was sent is counted.
const A_WHILE: Duration = Duration::from_secs(3);
/// How long followers are on their way before somebody stops in the middle of it.
const UNDER_WAY: Duration = Duration::from_millis(700);

/// How long something takes.
async fn time(what: impl Future<Output = ()>) -> Duration {
    let begin = Instant::now();
    what.await;
    begin.elapsed()
}

/// Asserts that work took no more than so many times what it takes when it is quiet. Less than a second is the machine's chance.
fn assert_unhurt(what: &str, times: u32, quiet: Duration, beside: Duration) {
    let said = format!("{what}: {quiet:?} when it is quiet, {beside:?} beside the others");
    eprintln!("{said}");
    assert!(beside <= quiet.max(Duration::from_secs(1)) * times, "{said}");
}

/// Plays stories of the neighbour's to their end.
async fn talk(play: &Play, stories: &[Story]) {
    play.hand_out(stories).await;
    play.until_ended(SMALL, stories).await;
}

async fn distribute(play: &Play) -> Duration {
    let distribution = play.distribute_of(SMALL, 0).await;
    play.until_sent(&distribution).await
}

async fn sum_of_sent(play: &Play, distributions: &[Distributed]) -> u64 {
    join_all(distributions.iter().map(|distribution| play.sent(distribution))).await.into_iter().sum()
}

#[tokio::test]
async fn thirty_thousand_messages_of_one_company_delay_another_by_no_more_than_its_own_time() {
    let mut stage = Stage::build(71, STORIES).await;
    let (mut first, others) = (stage.play.stories_of(LARGE), stage.play.stories_of(SMALL));
    let (others, measured) = others.split_at(others.len() - 2 * MEASURED);
    first.extend(others.iter().cloned());
    stage.play.hand_out(&first).await;
    stage.play.until_dialogues_of(&first).await;
    stage.system.reconfigure(|layout| layout.limited(LIMIT));
    stage.restart_replicas().await;

    let play = &stage.play;
    let mut drafts = Vec::new();
    for _ in 0..DISTRIBUTIONS {
        drafts.push(play.draft_of(LARGE, 0).await);
    }
    let (talked, talks) = measured.split_at(MEASURED);
    let quiet_dialogues = time(talk(play, talked)).await;
    let quiet_distribution = distribute(play).await;
    let large = join_all(drafts.into_iter().map(|draft| play.start(draft))).await;
    sleep(BEFORE).await;
    assert_unhurt("a distribution to a thousand", 2, quiet_distribution, distribute(play).await);
    // No limit decides how fast a dialogue goes, and processes that are not optimised leave no core idle here: what waits behind
    // messages waits for ten times as long.
    assert_unhurt("thirty dialogues", 4, quiet_dialogues, time(talk(play, talks)).await);

    let before = sum_of_sent(play, &large).await;
    let took = time(sleep(A_WHILE)).await;
    let sent = sum_of_sent(play, &large).await - before;
    let most = f64::from(LIMIT) * CARRIERS.len() as f64 * took.as_secs_f64();
    assert!(sent as f64 > most / 2.0, "{sent} of {most} messages that might go are the large company's");
}

/// Of the neighbour's stories, those over a carrier that lives.
struct Living {
    stories: Vec<Story>,
    /// Of these, how many were played.
    played: usize,
    distributions: Vec<Distributed>,
}

impl Living {
    /// Plays some more of them to their end, and sends a distribution that all see; gives how long each took.
    async fn go_on(&mut self, play: &Play) -> [Duration; 2] {
        let before = self.played;
        self.played += MEASURED;
        let dialogues = time(talk(play, &self.stories[before..self.played])).await;
        let reached = judge::reached(&self.stories[..self.played]);
        let distribution = play.distribute_of(SMALL, 0).await;
        let distribution_seen = time(play.until_seen(&distribution, reached)).await;
        self.distributions.push(distribution);
        [dialogues, distribution_seen]
    }
}

#[tokio::test]
async fn a_company_that_hangs_and_a_dead_carrier_slow_nobody_else() {
    const ROUNDS: usize = 3;
    let [hangs, lives] = CARRIERS;
    let mut stage = Stage::build(72, 600).await;
    let (stuck, stories): (Vec<_>, Vec<_>) =
        stage.play.stories_of(SMALL).into_iter().partition(|story| story.carrier == hangs);
    let mut living = Living { stories, played: 0, distributions: Vec::new() };
    assert!(living.stories.len() >= ROUNDS * MEASURED, "over {lives}");
    let quiet = living.go_on(&stage.play).await;

    // Everything that will not go on is in the middle of something.
    let first = stage.play.stories_of(LARGE);
    stage.play.hand_out(&first).await;
    stage.play.hand_out(&stuck).await;
    sleep(UNDER_WAY).await;
    named(&mut stage.system, COMPANIES[LARGE].id).freeze();
    named(&mut stage.system, hangs).freeze();
    let beside = living.go_on(&stage.play).await;
    assert_unhurt("dialogues beside what hangs", 2, quiet[0], beside[0]);
    assert_unhurt("a distribution beside what hangs", 2, quiet[1], beside[1]);
    named(&mut stage.system, hangs).kill();
    let beside = living.go_on(&stage.play).await;
    assert_unhurt("dialogues beside a dead carrier", 2, quiet[0], beside[0]);
    assert_unhurt("a distribution beside a dead carrier", 2, quiet[1], beside[1]);

    // What was stuck goes on by itself.
    named(&mut stage.system, hangs).start();
    named(&mut stage.system, COMPANIES[LARGE].id).thaw();
    stage.play.hand_out(&living.stories[living.played..]).await;
    for company in [LARGE, SMALL] {
        stage.play.until_ended(company, &stage.play.stories_of(company)).await;
    }
    for distribution in &living.distributions {
        stage.play.until_settled(distribution).await;
    }
    // Whoever was tied last is still to be told.
    stage.play.until("messages", async || stage.books.faults()).await;
    eprintln!("a delivery had at most {} attempts", stage.books.most_attempts());
    stop(&mut stage.system).await;
}

fn named<'a>(system: &'a mut System, name: &str) -> &'a mut Process {
    system.processes().iter_mut().find(|process| process.name() == name).unwrap()
}
