//! Three information-management servers on one database and one Redis share the work, and each may die again and again.
//!
//! Companies and carriers call them by one address, and whoever's server dies comes to another. Surprising: while replicas send, and
//! die, the phones are frozen until everything is in flight that shall be, or it would have been read before.

use std::time::{Duration, Instant};

use futures::future::{join_all, select};
use musubi_servers::{
    Server,
    postgres::{self, Settings},
    redis,
};
use musubi_tests::processes::{Kind, Layout, System};
use tokio::time::sleep;

use super::{
    assert_right,
    books::Books,
    killer::Killer,
    play::{Distributed, Play, listed},
    stop,
};

/// The company whose followers get distributions while the other's are in their dialogues.
const SENDS: usize = 0;
const TALKS: usize = 1;
/// Stories of a play, half of them in each company.
const STORIES: usize = 5_000;
/// Distributions that nobody disturbs, so many that each replica has several turns, and that are in flight while replicas die.
const UNDISTURBED: usize = 20;
const DISTURBED: usize = 22;
/// How many of their deliveries are in flight at one moment; the dialogues of half of the stories come on top.
const IN_FLIGHT: usize = 50_000;
/// Milliseconds from one death of a replica to the next.
const ALIVE: (u64, u64) = (1_000, 6_000);
const LOOK: Duration = Duration::from_millis(200);
/// How long it may take until everything is in flight.
const PATIENCE: Duration = Duration::from_secs(120);

/// Three replicas with everybody around them, and what they share.
pub(super) struct Stage {
    pub(super) system: System,
    pub(super) play: Play,
    pub(super) books: Books,
    _shared: [Server; 2],
}

impl Stage {
    /// With both masters imported, and the machine to itself.
    pub(super) async fn build(seed: u64, stories: usize) -> Self {
        let settings = Settings { max_connections: 120, ..Settings::default() };
        let shared = [postgres::start(&settings).unwrap(), redis::start().unwrap()];
        let books = Books::open(&shared[0]).await;
        let redis = shared[1].url();
        let shape = |layout: Layout| layout.quiet().replicated(books.url(), &redis);
        let system = System::start_alone(shape).await;
        let play = Play::new(&system, seed, stories).hurried();
        play.import_masters().await;
        Self { system, play, books, _shared: shared }
    }

    /// Sends some distributions, all at one time.
    async fn distribute(&self, count: usize) -> Vec<Distributed> {
        let mut drafts = Vec::new();
        for _ in 0..count {
            drafts.push(self.play.draft_of(SENDS, 0).await);
        }
        join_all(drafts.into_iter().map(|draft| self.play.start(draft))).await
    }

    /// Stops every replica and starts it again.
    pub(super) async fn restart_replicas(&mut self) {
        for replica in self.system.of(Kind::Information) {
            let status = replica.stop().await;
            assert_eq!(status.code(), Some(0), "{} said:\n{}", replica.name(), replica.said());
            replica.start();
        }
        for replica in self.system.of(Kind::Information) {
            replica.serving().await.unwrap();
        }
    }

    /// Asserts that each replica has sent at least a fifth of the distributions.
    async fn assert_shared(&mut self) {
        self.restart_replicas().await;
        let sent: Vec<_> =
            self.system.of(Kind::Information).map(|replica| said_to_have_sent(&replica.said())).collect();
        eprintln!("messages of distributions that each replica sent: {sent:?}");
        let all: u64 = sent.iter().sum();
        assert!(sent.iter().all(|sent| sent * 5 >= all), "{sent:?}");
    }

    fn freeze_phones(&mut self) {
        self.system.of(Kind::Terminal).for_each(|process| process.freeze());
    }

    fn thaw_phones(&mut self) {
        self.system.of(Kind::Terminal).for_each(|process| process.thaw());
    }

    /// Kills every replica at seeded moments until the play has come to its end.
    async fn killing(&mut self, seed: u64, play: impl AsyncFnOnce(&Play, &Books)) {
        let Self { system, play: played, books, .. } = self;
        let killer = |replica| Killer::new(replica, seed).working(ALIVE.0, ALIVE.1);
        let mut killers: Vec<_> = system.of(Kind::Information).map(killer).collect();
        let dying = join_all(killers.iter_mut().map(|killer| killer.strike(usize::MAX)));
        select(Box::pin(play(played, books)), Box::pin(dying)).await;
        for replica in self.system.of(Kind::Information) {
            replica.serving().await.unwrap();
        }
    }

    pub(super) async fn assert_right(&self) {
        assert_right(&self.play).await;
        let faults = self.books.faults();
        assert!(faults.is_empty(), "{}", listed(&faults));
    }
}

/// Waits until so many deliveries are in flight.
async fn until_in_flight(books: &Books, enough: usize) {
    let since = Instant::now();
    loop {
        let in_flight = books.in_flight();
        if in_flight >= enough {
            eprintln!("{in_flight} deliveries are in flight");
            return;
        }
        assert!(since.elapsed() < PATIENCE, "{in_flight} of {enough} deliveries are in flight");
        sleep(LOOK).await;
    }
}

/// What a replica said at its ends that carriers took of its distributions.
fn said_to_have_sent(said: &str) -> u64 {
    let lines = said.lines().filter(|line| line.contains("took from this process"));
    lines.map(|line| line.rsplit_once(" distributions=").unwrap().1.parse::<u64>().unwrap()).sum()
}

#[tokio::test]
async fn three_replicas_share_the_work_and_killed_again_and_again_lose_and_double_nothing() {
    let mut stage = Stage::build(61, STORIES).await;
    let [sends, talks] = [SENDS, TALKS].map(|company| stage.play.stories_of(company));
    stage.play.hand_out(&sends).await;
    stage.play.until_dialogues_of(&sends).await;
    let mut started = stage.distribute(UNDISTURBED).await;
    stage.play.until_delivered_to(&sends, &started).await;
    stage.assert_shared().await;

    stage.freeze_phones();
    started.extend(stage.distribute(DISTURBED).await);
    stage.killing(61, async |_, books| until_in_flight(books, IN_FLIGHT).await).await;
    stage.thaw_phones();
    stage
        .killing(62, async |play, _| {
            play.hand_out(&talks).await;
            play.until_dialogues_end().await;
            started.push(play.distribute_of(TALKS, 0).await);
            play.until_delivered(&started).await;
        })
        .await;
    stage.assert_right().await;
    eprintln!("a delivery had at most {} attempts", stage.books.most_attempts());
    stop(&mut stage.system).await;
}
