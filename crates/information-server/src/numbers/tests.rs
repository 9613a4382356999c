//! Lives of numbers: followed, tied, silent for months, ported, given up and given to somebody else, who may follow again or not know
//! that the number still stands on a list. Played against this server's own units and store, and against the carrier simulator's
//! stores, which know who has a number. Surprising: the same lives are played once more without asking anybody, because a play in
//! which nobody could be mistaken shows nothing.

mod lives;
mod network;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use jiff::SignedDuration;
use musubi_domain::{
    ErrorKind,
    customer::{GivenAccount, MatchDecision, MatchOutcome},
    dialogue::{Choice, Event, State},
    eligibility::Held,
    id::{CompanyId, DistributionId, FollowerKeyring, OfficialAccountId},
    identity::{AttestedIdentity, IdentityMethod},
    postback::TokenKey,
    review::Verdict,
    silence::Doubt,
    template::{Template, Variable, VariableKind},
};
use musubi_runtime::{Clock as _, entropy};
use musubi_storage::{
    ephemeral::{Now, memory::MemoryEphemeral},
    information::{
        FollowerKey,
        distribution::{NewDistribution, Templates},
        flow::Work,
        follower::FollowerQuery,
    },
};
use uuid::Uuid;

use self::{
    lives::{Deed, Life, lives},
    network::{CARRIERS, Network, Truth},
};
use super::*;
use crate::{
    acquisition::events::{Events, Waiting},
    confirmation::verifier::Verifiers,
    dispatch::{Allowance, Dispatcher, Taken, Turns},
    distributions::{Expander, Renderer},
    request::messages::RequestMessages,
    tests::{World, signals},
};

/// How long the lives are looked at, and how often something may happen in them, in days.
const DAYS: i64 = 240;
const STEP: i64 = 2;
/// On which days the company writes to everybody.
const WRITES: [i64; 6] = [16, 46, 90, 130, 178, 220];
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// What a play came to.
#[derive(Debug)]
struct Outcome {
    /// Individual messages by whom they were for and who had the number.
    truth: Truth,
    /// Individual messages that people got who have one number all the time, and how many they were to get.
    faithful: (usize, usize),
    /// People who have their number from somebody else, and got individual messages of their own.
    new_holders: usize,
}

struct Play {
    world: World,
    network: Arc<Network>,
    events: Arc<Events>,
    numbers: Numbers,
    dispatchers: Vec<Arc<Dispatcher>>,
    expander: Expander,
    keyring: FollowerKeyring,
    lives: Vec<Life>,
    /// The customer whom each life's present holder was tied as, and when.
    tied: HashMap<usize, i64>,
    faithful: usize,
}

fn account() -> OfficialAccountId {
    "bank".parse().unwrap()
}

impl Play {
    /// So many lives, of numbers that may be silent for so long; whether anybody asks the carriers.
    async fn of(count: usize, silent_days: u16, asks: bool) -> Self {
        let world = World::silent(silent_days).await;
        let lives = lives(count);
        let holders = lives.iter().map(|life| (life.number, life.customers[0].clone())).collect();
        let network = Arc::new(Network::open(&account(), holders, world.clock(), asks).await);
        let (tokens, keyring) = (TokenKey::new(&[1; 32]).unwrap(), FollowerKeyring::new(&[2; 32]).unwrap());
        let events = Arc::new(Events {
            store: world.store(),
            directory: Arc::clone(&world.directory),
            clock: world.clock(),
            signals: signals(),
            keyring: keyring.clone(),
            tokens: tokens.clone(),
            waiting: Waiting::default(),
        });
        let ports = CARRIERS.map(|name| {
            let port: Arc<dyn NumberStatus> = Arc::new(network.carrier(name));
            (name.parse().unwrap(), port)
        });
        let directory = Arc::clone(&world.directory);
        let numbers = Numbers::new(world.store(), directory, world.clock(), signals(), HashMap::from(ports));
        let verifiers = CARRIERS.map(|name| {
            let url = "https://{method}.carrier.musubi.test/verify";
            (name.parse().unwrap(), Verifiers::over(url, &tokens))
        });
        let (verifiers, renderer) =
            (Arc::new(HashMap::from(verifiers)), Arc::new(Renderer::new(world.store())));
        let dispatcher = |name: &str| {
            let clock = world.clock();
            let now: Now = Arc::new(move || clock.now());
            Arc::new(Dispatcher {
                gateway: Arc::new(network.carrier(name)),
                store: world.store(),
                directory: Arc::clone(&world.directory),
                clock: world.clock(),
                signals: signals(),
                allowance: Allowance {
                    carrier: name.parse().unwrap(),
                    messages_per_second: 0,
                    directory: Arc::clone(&world.directory),
                    limits: Arc::new(MemoryEphemeral::new(now)),
                },
                health: Health::default(),
                turns: Turns::default(),
                taken: Taken::default(),
                messages: RequestMessages::new(tokens.clone()),
                verifiers: Arc::clone(&verifiers),
                renderer: Arc::clone(&renderer),
                lease: SignedDuration::from_mins(1),
            })
        };
        let dispatchers = CARRIERS.map(dispatcher).into();
        let expander = Expander::new(world.store(), world.clock(), signals());
        let tied = HashMap::new();
        Self { world, network, events, numbers, dispatchers, expander, keyring, lives, tied, faithful: 0 }
    }

    fn key(&self, life: usize) -> FollowerKey {
        let follower = self.keyring.follower(&account(), &self.lives[life].number);
        FollowerKey { account: account(), follower }
    }

    async fn run(mut self) -> Outcome {
        let mut due = 0;
        for day in (0..=DAYS).step_by(usize::try_from(STEP).unwrap()) {
            self.live_until(day).await;
            // Whichever comes first: nobody waits for anybody.
            let writes = WRITES.contains(&day);
            if writes && day % 4 == 0 {
                due += self.write(day).await;
            }
            while self.numbers.ask_due().await.unwrap() > 0 {}
            if writes && day % 4 != 0 {
                due += self.write(day).await;
            }
            self.world.clock.advance(DAY * i32::try_from(STEP).unwrap());
        }
        let truth = self.network.truth();
        let new_holders = truth.right.keys().filter(|customer| customer.starts_with('N')).count();
        Outcome { truth, faithful: (self.faithful, due), new_holders }
    }

    /// What happens in all lives up to this day, one deed of each at a time, in their order.
    async fn live_until(&mut self, day: i64) {
        loop {
            let mut now = Vec::new();
            for (life, it) in self.lives.iter_mut().enumerate() {
                if it.deeds.front().is_some_and(|(due, _)| *due <= day) {
                    now.extend(it.deeds.pop_front().map(|(_, deed)| (life, deed)));
                }
            }
            if now.is_empty() {
                return;
            }
            self.world.clock.advance(SignedDuration::from_secs(1));
            let deeds: Vec<_> =
                now.iter().map(|(life, deed)| (self.lives[*life].number, deed.clone())).collect();
            self.network.live(&deeds).await;
            for name in CARRIERS {
                for events in self.network.carrier(name).told().await {
                    self.events.take(&name.parse().unwrap(), events).await.unwrap();
                }
            }
            for (proofs, renews) in [(Deed::Proves, false), (Deed::ProvesAgain, true)] {
                let who: Vec<_> =
                    now.iter().filter(|(_, deed)| *deed == proofs).map(|(life, _)| *life).collect();
                self.prove(&who, renews, day).await;
            }
        }
    }

    /// Whoever has these numbers now goes through the dialogue, if there is one to go through, as the customer who they are.
    async fn prove(&mut self, lives: &[usize], renews: bool, day: i64) {
        let (directory, keyring) = (Arc::clone(&self.world.directory), self.keyring.clone());
        let (account, company) = directory.account_and_company(&account()).unwrap();
        let now = self.world.clock.now();
        for lives in lives.chunks(1_000) {
            let who: Vec<_> = lives
                .iter()
                .map(|life| (*life, self.key(*life), self.network.holder(self.lives[*life].number)))
                .collect();
            let customers =
                who.iter().map(|(_, key, holder)| (key.account.clone(), holder.parse().unwrap())).collect();
            let followers = who.iter().map(|(_, key, _)| key.clone()).collect();
            let scope = Scope { followers, customers, ..Scope::default() };
            let mut tied = Vec::new();
            let mut edit = |work: &mut Work| {
                tied.clear();
                let scene = Scene { account, company, now };
                for (life, key, holder) in &who {
                    if prove(&scene, work, key, holder, &keyring, renews) {
                        tied.push(*life);
                    }
                }
                // What is said in dialogues is not looked at here.
                work.deliveries.clear();
            };
            self.world.store().work("prove", &scope, now, &mut edit).await.unwrap();
            self.tied.extend(tied.into_iter().map(|life| (life, day)));
        }
    }

    /// Writes to everybody, with a message of their own for each customer. Gives how many people who have had one number all the time
    /// are to get theirs.
    async fn write(&mut self, day: i64) -> usize {
        let now = self.world.clock.now();
        let company: CompanyId = "bank".parse().unwrap();
        let id = DistributionId::new(now, entropy::bytes());
        let variable = Variable { name: "customer".to_owned(), kind: VariableKind::Text };
        let new = NewDistribution {
            id,
            company: company.clone(),
            account: account(),
            request_id: Uuid::from_bytes(entropy::bytes()),
            digest: [0; 32],
            name: String::new(),
            templates: Templates {
                uniform: Template::parse("お知らせ", Vec::new(), Vec::new()).unwrap(),
                individual: Some(Template::parse("{customer}", Vec::new(), vec![variable]).unwrap()),
            },
            start_time: None,
            expire_time: None,
            messages_per_second: 0,
            operator: "sato".parse().unwrap(),
        };
        let store = self.world.store();
        store.create_distribution(&new, now).await.unwrap();
        let customers: Vec<_> = self
            .lives
            .iter()
            .flat_map(|life| &life.customers)
            .map(|name| (name.parse().unwrap(), vec![name.clone()]))
            .collect();
        for chunk in customers.chunks(1_000) {
            store.put_values(&company, id, chunk, (&new.operator, now)).await.unwrap();
        }
        store.command_distribution(&company, id, &crate::tests::started(), now).await.unwrap();
        let before = self.network.truth().right;
        for round in 0.. {
            for dispatcher in &self.dispatchers {
                dispatcher.send_due(round).await.unwrap();
            }
            while self.expander.step(now).await.unwrap() {}
            let state = store.get_distribution(&company, id).await.unwrap().state;
            if state == musubi_domain::distribution::State::Completed {
                break;
            }
            assert!(round < 1_000, "the distribution does not end");
        }
        let got = self.network.truth().right;
        let tied = |life: &usize| self.tied.get(life).is_some_and(|tied| day < tied + 180);
        let faithful: Vec<_> = (0..self.lives.len()).filter(|life| self.lives[*life].faithful).collect();
        let due: Vec<_> = faithful.into_iter().filter(tied).collect();
        let gets = |life: &&usize| {
            let customer = &self.lives[**life].customers[0];
            got.get(customer) > before.get(customer)
        };
        self.faithful += due.iter().filter(gets).count();
        due.len()
    }
}

/// One person goes through the dialogue; people approve what is theirs to decide. Gives whether there is a tie to the person then.
fn prove(
    scene: &Scene<'_>,
    work: &mut Work,
    key: &FollowerKey,
    customer: &str,
    keyring: &FollowerKeyring,
    renews: bool,
) -> bool {
    let state = work.followers.get(key).and_then(|record| record.dialogue.as_ref()).map(|it| it.state);
    let begin = match (state, renews) {
        (Some(State::Waiting), false) => {
            scene.tell(work, key, &Event::Due);
            Choice::Confirm
        }
        (Some(State::Asked), false) => Choice::Confirm,
        (Some(State::Confirmed), true) => Choice::Renew,
        (Some(_) | None, _) => return false,
    };
    scene.tell(work, key, &Event::Chose(begin));
    let given = GivenAccount { branch_number: None, account_number: "1234567".to_owned() };
    scene.tell(work, key, &Event::AccountGiven(given));
    let identity = AttestedIdentity {
        method: IdentityMethod::Jpki,
        name: customer.to_owned(),
        name_kana: None,
        birth_date: "1980-02-03".to_owned(),
        address: "東京都".to_owned(),
    };
    assert!(scene.verify(work, key, &identity, keyring), "{customer}");
    let inquiry = work.followers[key].inquiry.clone().unwrap();
    let customer_id = Some(customer.parse().unwrap());
    let decision = MatchDecision { outcome: MatchOutcome::Confirmed, customer_id, reasons: Vec::new() };
    scene.decide(work, key, &inquiry, &decision, keyring);
    if let Some(id) = work.followers[key].review.as_ref().map(|review| review.id) {
        scene.review(work, key, id, Verdict::Approved, &"sato".parse().unwrap()).unwrap();
    }
    // Everybody types the same number here, which is no guess.
    work.guesses.clear();
    work.followers[key].tie.as_ref().is_some_and(|tie| tie.tie.customer_id.as_str() == customer)
}

#[tokio::test]
async fn ten_thousand_lives_of_numbers_and_no_message_to_a_wrong_holder() {
    let outcome = Play::of(10_000, 30, true).await.run().await;
    let Truth { wrong, right, .. } = &outcome.truth;
    assert!(wrong.is_empty(), "{} to a wrong holder: {:?}", wrong.len(), &wrong[..wrong.len().min(9)]);
    let (got, due) = outcome.faithful;
    assert_eq!(got, due, "who keeps a number gets what is theirs");
    assert!(due > 15_000, "{due}");
    assert!(outcome.new_holders > 500, "{} new holders got their own", outcome.new_holders);
    assert!(right.values().sum::<usize>() > due);
}

#[tokio::test]
async fn without_asking_carriers_messages_go_to_wrong_holders() {
    let outcome = Play::of(1_000, 365, false).await.run().await;
    assert!(outcome.truth.wrong.len() > 100, "{} to a wrong holder", outcome.truth.wrong.len());
}

/// A carrier that says what it is told to, and what it was asked.
struct Says {
    says: Mutex<Result<Vec<Recycling>, ErrorKind>>,
    asked: Mutex<Vec<NumberCheck>>,
}

#[async_trait]
impl NumberStatus for Says {
    async fn check(&self, checks: &[NumberCheck]) -> Result<Vec<Recycling>, Error> {
        self.asked.lock().unwrap().extend(checks);
        self.says.lock().unwrap().clone().map_err(|kind| Error::new(kind, "as it was told", ""))
    }
}

#[tokio::test]
async fn a_carrier_that_does_not_answer_changes_nothing_and_is_asked_again() {
    let world = World::new().await;
    world.follow("bank", &[Some("C1"), Some("C2"), None]).await;
    let kumo = Arc::new(Says { says: Mutex::new(Err(ErrorKind::Unavailable)), asked: Mutex::default() });
    let ports: HashMap<_, Arc<dyn NumberStatus>> =
        HashMap::from([("kumo".parse().unwrap(), Arc::clone(&kumo) as _)]);
    let directory = Arc::clone(&world.directory);
    let numbers = Numbers::new(world.store(), directory, world.clock(), signals(), ports);
    let asked = || std::mem::take(&mut *kumo.asked.lock().unwrap());
    let held = async || {
        let query = FollowerQuery {
            company: "bank".parse().unwrap(),
            operator: "sato".parse().unwrap(),
            account: account(),
            outcome: None,
            after: None,
            limit: 10,
        };
        let page = world.store().list_followers(&query, world.clock.now()).await.unwrap();
        page.into_iter().map(|follower| follower.held).collect::<Vec<_>>()
    };
    assert_eq!(numbers.ask_due().await.unwrap(), 0, "nobody is silent yet");

    world.clock.advance(DAY * 28);
    assert_eq!(numbers.ask_due().await.unwrap(), 2);
    let checks = asked();
    assert_eq!(checks.len(), 2, "who has no tie is not asked about");
    assert!(checks.iter().all(|check| check.since.to_string() == "2026-11-23"), "the day of the proof");
    assert_eq!(held().await, [None; 3], "nothing has happened");
    assert_eq!(numbers.ask_due().await.unwrap(), 0, "not at once again");

    // A server that is off, or a carrier that is away, for as long as it takes.
    world.clock.advance(DAY * 2);
    assert_eq!(held().await, [Some(Held::Silent(None)), Some(Held::Silent(None)), None]);
    *kumo.says.lock().unwrap() = Ok(vec![Recycling::Same, Recycling::OutOfRange]);
    assert_eq!(numbers.ask_due().await.unwrap(), 2);
    assert_eq!(asked().len(), 2);
    let mut now = held().await;
    now.sort_by_key(|held| held.map(Held::as_str));
    assert_eq!(now, [None, None, Some(Held::Silent(Some(Doubt::OutOfRange)))]);
}

#[tokio::test]
async fn a_carrier_that_is_configured_no_more_is_asked_nothing_and_its_numbers_stay_silent() {
    let world = World::new().await;
    world.follow("bank", &[Some("C1")]).await;
    let directory = Arc::clone(&world.directory);
    let numbers = Numbers::new(world.store(), directory, world.clock(), signals(), HashMap::new());
    world.clock.advance(DAY * 31);
    assert_eq!(numbers.ask_due().await.unwrap(), 1);
    assert_eq!(numbers.ask_due().await.unwrap(), 0);
}
