//! What leaves and when: limits, pauses that a carrier asks for, a carrier that doesn't answer.

use std::sync::atomic::{AtomicU32, Ordering};

use musubi_domain::{
    delivery::DeliveryState,
    id::{DialogueId, DistributionId, MessageId},
    postback::TokenKey,
    template::Template,
};
use musubi_storage::{
    ephemeral::{Now, memory::MemoryEphemeral},
    information::{
        FollowerKey,
        distribution::{NewDistribution, Templates},
        flow::{NewDelivery, Scope, Work},
    },
};
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::*;
use crate::tests::{Carrier, World, follower, minute, signals, start};

/// A world with a dispatcher over kumo.
struct Stage {
    world: World,
    carrier: Arc<Carrier>,
    dispatcher: Arc<Dispatcher>,
    rounds: AtomicU32,
}

impl Stage {
    async fn new() -> Self {
        Self::limited(0, 0, 0).await
    }

    /// With so many messages a second over the carrier, of each company, of each account.
    async fn limited(over_carrier: u32, of_company: u32, of_account: u32) -> Self {
        let world = World::limited(of_company, of_account).await;
        let carrier = Arc::new(Carrier::new("kumo"));
        let clock = world.clock();
        let now: Now = Arc::new(move || clock.now());
        let tokens = TokenKey::new(&[1; 32]).unwrap();
        let verifiers = Verifiers::over("https://{method}.kumo.musubi.test/verify", &tokens);
        let dispatcher = Arc::new(Dispatcher {
            gateway: Arc::clone(&carrier) as _,
            store: world.store(),
            directory: Arc::clone(&world.directory),
            clock: world.clock(),
            signals: signals(),
            allowance: Allowance {
                carrier: carrier.id.clone(),
                messages_per_second: over_carrier,
                directory: Arc::clone(&world.directory),
                limits: Arc::new(MemoryEphemeral::new(now)),
            },
            health: Health::default(),
            turns: Turns::default(),
            taken: Taken::default(),
            messages: RequestMessages::new(tokens),
            verifiers: Arc::new(HashMap::from([(carrier.id.clone(), verifiers)])),
            renderer: Arc::new(Renderer::new(world.store())),
            lease: SignedDuration::from_mins(1),
        });
        for account in ["bank", "power"] {
            world.follow(account, &[None; 40]).await;
        }
        Self { world, carrier, dispatcher, rounds: AtomicU32::new(0) }
    }

    /// A distribution of an account to its forty followers, all of whom wait.
    async fn distribute(&self, account: &str, messages_per_second: u32) -> DistributionId {
        let id = self.start(account, messages_per_second).await;
        // Walked for another carrier.
        let walk = Claim {
            carrier: "nami".parse().unwrap(),
            source: Source::Distribution(id),
            limit: 100,
            now: start(),
            lease_end: start(),
            attempts_limit: 1,
        };
        assert_eq!(self.world.store().claim(&walk).await.unwrap().seen, 40);
        id
    }

    /// A distribution of an account to its forty followers, none of whom was looked at.
    async fn start(&self, account: &str, messages_per_second: u32) -> DistributionId {
        let id = DistributionId::new(start(), entropy::bytes());
        let new = NewDistribution {
            id,
            company: account.parse().unwrap(),
            account: account.parse().unwrap(),
            request_id: Uuid::from_bytes(entropy::bytes()),
            digest: [0; 32],
            name: String::new(),
            templates: Templates {
                uniform: Template::parse("お知らせ", Vec::new(), Vec::new()).unwrap(),
                individual: None,
            },
            start_time: None,
            expire_time: Some(minute(10_000)),
            messages_per_second,
            operator: "sato".parse().unwrap(),
        };
        let store = self.world.store();
        store.create_distribution(&new, start()).await.unwrap();
        store.command_distribution(&new.company, id, &crate::tests::started(), start()).await.unwrap();
        id
    }

    /// A question to each of an account's forty followers.
    async fn ask(&self, account: &str) {
        let question = |last: u8| {
            let dialogue = DialogueId::derive(follower(last), 0);
            NewDelivery {
                key: FollowerKey { account: account.parse().unwrap(), follower: follower(last) },
                message_id: MessageId::of_dialogue(dialogue, u32::from(account == "bank"), start()),
                carrier: self.carrier.id.clone(),
                purpose: Purpose::Question,
                dialogue: (dialogue, 1),
                due_time: start(),
                expire_time: minute(10_000),
            }
        };
        let mut edit = |work: &mut Work| work.deliveries = (1..=40).map(question).collect();
        self.world.store().work("fixture", &Scope::default(), start(), &mut edit).await.unwrap();
    }

    fn answer(&self, answer: Result<Verdict, ErrorKind>) {
        *self.carrier.answer.lock().unwrap() = answer;
    }

    /// One round, so much later; gives what went to the carrier.
    async fn round_after(&self, millis: i64) -> Vec<(String, usize)> {
        self.world.clock.advance(SignedDuration::from_millis(millis));
        let round = self.rounds.fetch_add(1, Ordering::Relaxed);
        self.dispatcher.send_due(usize::try_from(round).unwrap()).await.unwrap();
        std::mem::take(&mut *self.carrier.batches.lock().unwrap())
    }

    /// So many rounds; gives how many messages went.
    async fn sum(&self, rounds: u32, millis: i64) -> usize {
        let mut sum = 0;
        for _ in 0..rounds {
            sum += self.round_after(millis).await.into_iter().map(|(_, count)| count).sum::<usize>();
        }
        sum
    }

    async fn count(&self, id: DistributionId, account: &str, state: DeliveryState) -> u64 {
        let company = account.parse().unwrap();
        let found = self.world.store().get_distribution(&company, id).await.unwrap();
        found.deliveries.iter().filter(|(_, is, _)| *is == state).map(|(.., count)| *count).sum()
    }
}

fn batch(account: &str, count: usize) -> (String, usize) {
    (account.to_owned(), count)
}

#[tokio::test]
async fn without_limits_everything_goes_at_once() {
    let stage = Stage::new().await;
    stage.distribute("bank", 0).await;
    stage.ask("bank").await;
    assert_eq!(stage.round_after(0).await, [batch("bank", 40), batch("bank", 40)]);
}

#[tokio::test]
async fn each_limit_holds_back_what_it_does_not_let_through() {
    for (carrier, company, account, distribution) in
        [(4, 0, 0, 0), (0, 4, 0, 0), (0, 0, 4, 0), (0, 0, 0, 4), (4, 9, 9, 9)]
    {
        let stage = Stage::limited(carrier, company, account).await;
        let id = stage.distribute("bank", distribution).await;
        // Forty messages at four a second, beginning with an empty bucket.
        assert_eq!(stage.sum(91, 100).await, 36, "{carrier} {company} {account} {distribution}");
        assert_eq!(stage.count(id, "bank", DeliveryState::Queued).await, 4, "what waits was not attempted");
        assert_eq!(stage.sum(11, 100).await, 4);
    }
}

#[tokio::test]
async fn what_one_does_not_need_of_a_limit_is_left_to_another() {
    let stage = Stage::limited(100, 0, 0).await;
    for account in ["bank", "power"] {
        stage.start(account, 0).await;
    }
    assert_eq!(stage.round_after(0).await, []);
    // A hundred may go, and one takes them all without knowing that it has forty.
    assert_eq!(stage.round_after(1_000).await.len(), 1);
    assert_eq!(stage.sum(1, 0).await, 40);
}

#[tokio::test]
async fn dialogues_go_first_and_count() {
    let stage = Stage::limited(0, 0, 10).await;
    let id = stage.distribute("bank", 0).await;
    stage.ask("bank").await;
    assert_eq!(stage.sum(41, 100).await, 40);
    assert_eq!(stage.count(id, "bank", DeliveryState::Queued).await, 40);
    assert_eq!(stage.sum(10, 100).await, 10);
    assert_eq!(stage.count(id, "bank", DeliveryState::Queued).await, 30);
}

#[tokio::test]
async fn two_accounts_share_a_carriers_limit_in_turn() {
    let stage = Stage::limited(10, 0, 0).await;
    let one = stage.distribute("bank", 0).await;
    let other = stage.distribute("power", 0).await;
    assert_eq!(stage.sum(41, 100).await, 40);
    for (id, account) in [(one, "bank"), (other, "power")] {
        let left = stage.count(id, account, DeliveryState::Queued).await;
        assert!((15..=25).contains(&left), "{account} has {left} left");
    }
}

#[tokio::test]
async fn ten_distributions_of_one_company_take_nothing_from_another() {
    let stage = Stage::limited(10, 0, 0).await;
    for _ in 0..10 {
        stage.distribute("bank", 0).await;
    }
    assert_eq!(stage.sum(51, 100).await, 50);
    let id = stage.distribute("power", 0).await;
    // Alone it would take four seconds.
    assert_eq!(stage.sum(45, 100).await, 45);
    assert_eq!(stage.count(id, "power", DeliveryState::Queued).await, 0);
    assert_eq!(stage.sum(10, 100).await, 10, "and then the others go on");
}

#[tokio::test]
async fn who_is_held_back_by_its_own_limit_takes_nobodys_turn() {
    let stage = Stage::limited(0, 0, 0).await;
    for _ in 0..3 {
        stage.distribute("bank", 1).await;
    }
    let id = stage.distribute("power", 0).await;
    stage.round_after(0).await;
    assert_eq!(stage.count(id, "power", DeliveryState::Accepted).await, 40);
}

#[tokio::test]
async fn dialogues_wait_for_no_more_than_the_batches_under_way() {
    let stage = Stage::new().await;
    for account in ["bank", "power", "bank", "bank"] {
        stage.distribute(account, 0).await;
    }
    assert_eq!(stage.round_after(0).await.len(), BATCHES_UNDER_WAY);
    stage.ask("bank").await;
    assert_eq!(stage.round_after(0).await, [batch("bank", 40), batch("bank", 40)]);
}

#[tokio::test]
async fn who_comes_meanwhile_waits_for_nobody_elses_round() {
    let stage = Stage::new().await;
    let may_go_on = Arc::new(Semaphore::new(0));
    *stage.carrier.keeps.lock().unwrap() = Some(("bank", Arc::clone(&may_go_on)));
    let large = stage.distribute("bank", 0).await;
    let meanwhile = async {
        while stage.carrier.batches.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        // What the company has under way already waits for its turn.
        stage.distribute("bank", 0).await;
        let small = stage.start("power", 0).await;
        stage.ask("power").await;
        stage.dispatcher.signals.deliveries.raise();
        while stage.count(small, "power", DeliveryState::Accepted).await < 40 {
            tokio::task::yield_now().await;
        }
        assert_eq!(stage.count(large, "bank", DeliveryState::Accepted).await, 0);
        may_go_on.add_permits(1);
    };
    let round = async { futures::join!(stage.round_after(0), meanwhile).0 };
    let sent = tokio::time::timeout(Duration::from_secs(30), round).await.unwrap();
    assert_eq!(sent, [batch("bank", 40), batch("power", 40), batch("power", 40)]);
    assert_eq!(stage.count(large, "bank", DeliveryState::Accepted).await, 40);
}

#[tokio::test]
async fn nobody_joins_a_round_while_a_carrier_is_to_be_probed() {
    let stage = Stage::new().await;
    let may_go_on = Arc::new(Semaphore::new(0));
    *stage.carrier.keeps.lock().unwrap() = Some(("bank", Arc::clone(&may_go_on)));
    stage.distribute("bank", 0).await;
    let meanwhile = async {
        while stage.carrier.batches.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        for _ in 0..5 {
            let (health, now) = (&stage.dispatcher.health, stage.world.clock.now());
            health.failed(&stage.carrier.id, ErrorKind::Unavailable, now);
        }
        stage.world.clock.advance(SignedDuration::from_mins(2));
        stage.start("power", 0).await;
        stage.dispatcher.signals.deliveries.raise();
        tokio::time::sleep(10 * LOOK_BESIDE_EVERY).await;
        may_go_on.add_permits(1);
    };
    let (sent, ()) = futures::join!(stage.round_after(0), meanwhile);
    assert_eq!(sent, [batch("bank", 40)]);
    assert_eq!(stage.round_after(0).await.len(), 1, "the carrier answered, so the other's turn comes");
}

#[tokio::test]
async fn what_a_carrier_throttles_pauses_the_account_and_is_no_failure() {
    let stage = Stage::new().await;
    stage.answer(Ok(Verdict::Throttled(SignedDuration::from_secs(20))));
    // More often than a delivery may fail.
    let id = stage.distribute("bank", 0).await;
    for _ in 0..ATTEMPTS + 5 {
        assert_eq!(stage.round_after(20_000).await, [batch("bank", 40)]);
    }
    stage.ask("bank").await;
    stage.distribute("power", 0).await;
    stage.answer(Ok(Verdict::Accepted));
    assert_eq!(stage.round_after(19_999).await, [batch("power", 40)], "not even its dialogues");
    assert_eq!(stage.count(id, "bank", DeliveryState::Queued).await, 40);
    assert_eq!(stage.round_after(1).await, [batch("bank", 40), batch("bank", 40)]);
    assert_eq!(stage.count(id, "bank", DeliveryState::Accepted).await, 40);
}

/// Rounds until the breaker opens.
async fn until_it_opens(stage: &Stage) {
    for _ in 0..5 {
        assert!(!stage.round_after(30_000).await.is_empty());
    }
    assert_eq!(stage.round_after(0).await, []);
}

#[tokio::test]
async fn a_carrier_that_does_not_answer_is_left_alone_and_nothing_is_burnt() {
    let stage = Stage::new().await;
    stage.answer(Err(ErrorKind::Unavailable));
    let id = stage.distribute("bank", 0).await;
    until_it_opens(&stage).await;
    // An hour with nothing but probes; many more rounds than a delivery has attempts.
    let mut probes = 0;
    for _ in 0..3_600 {
        for (_, count) in stage.round_after(1_000).await {
            assert!(count <= PROBE as usize);
            probes += 1;
        }
    }
    assert!((30..2_000).contains(&probes), "{probes}");
    assert_eq!(stage.count(id, "bank", DeliveryState::Dead).await, 0);
    stage.answer(Ok(Verdict::Accepted));
    let sent = stage.sum(1_500, 1_000).await;
    assert_eq!(sent, 40);
    assert_eq!(stage.count(id, "bank", DeliveryState::Accepted).await, 40);
}

/// Each time it is away the breaker lets five batches through, in each replica.
#[tokio::test]
async fn a_carrier_that_is_away_again_and_again_costs_no_message() {
    let stage = Stage::new().await;
    let id = stage.distribute("bank", 0).await;
    for _ in 0..ATTEMPTS {
        stage.answer(Err(ErrorKind::Unavailable));
        until_it_opens(&stage).await;
        stage.answer(Ok(Verdict::Accepted));
        assert_eq!(stage.round_after(61_000).await, [batch("bank", 1)]);
    }
    assert_eq!(stage.count(id, "bank", DeliveryState::Dead).await, 0);
    assert_eq!(stage.round_after(61_000).await, [batch("bank", 40 - ATTEMPTS as usize)]);
    assert_eq!(stage.count(id, "bank", DeliveryState::Accepted).await, 40);
}

#[tokio::test]
async fn a_probe_that_is_answered_lets_everything_go_again() {
    let stage = Stage::new().await;
    stage.answer(Err(ErrorKind::Internal));
    stage.distribute("bank", 0).await;
    until_it_opens(&stage).await;
    stage.answer(Ok(Verdict::Refused));
    stage.distribute("power", 0).await;
    let mut batches = stage.round_after(61_000).await;
    assert_eq!((batches.len(), batches[0].1), (1, PROBE as usize));
    batches = stage.round_after(600_000).await;
    assert_eq!(batches.iter().map(|(_, count)| count).sum::<usize>(), 80 - PROBE as usize);
}

#[tokio::test]
async fn a_batch_that_the_carrier_refuses_does_not_open_the_breaker() {
    let stage = Stage::new().await;
    stage.answer(Err(ErrorKind::InvalidArgument));
    stage.distribute("bank", 0).await;
    for _ in 0..15 {
        assert_eq!(stage.round_after(601_000).await, [batch("bank", 40)]);
    }
}
