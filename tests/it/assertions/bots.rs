//! A thousand bots guess account numbers a hundred times each, with a carrier's stolen keys for proofs, at three replicas of which one dies
//! again and again, and at a Redis that forgets everything each time: nobody is accepted, no limit is passed, and an alarm is raised.
//!
//! What reached a master is counted in the audit. Surprising: a bot types whether it is asked or not, because that is what bots do, and
//! whatever comes it takes for an offer; most of what they type is stopped by a lock, which is the point.

use std::{
    collections::HashMap,
    ops::Range,
    sync::{Arc, Mutex},
    time::Duration,
};

use musubi_domain::{
    guess::Limits,
    identity::IdentityMethod::{self, Carrier, Jpki},
};
use musubi_proto::carrier::v1::Unfollow;
use musubi_servers::{
    postgres::{self, Settings},
    redis,
};
use musubi_storage::create_database;
use musubi_tests::processes::{Kind, Layout};
use tokio::{join, task::JoinHandle, time::sleep};

use super::{
    Follow, HandsetServiceClient, IncomingMessage, KUMO, Links, PeerChannel, Person, Phones,
    ReceiveMessagesRequest, Stolen, System, TextTyped, Value, What, failed::customer, json, push, right,
    submit, tap, with,
};
use crate::people::{BANK, CONFIRMED, GAS, audit_of, does, import_masters};

/// Half of them at each company.
const BOTS: usize = 1_000;
const GUESSES: usize = 100;
/// Cards that go from hand to hand at the bank.
const CARDS: u32 = 60;
/// Bots of the bank with a new card for each try, and those of them who are after one customer's account, by their carriers' word.
const FORGERS: usize = 40;
const HUNTERS: usize = 20;
/// Tries after which the other company matches nobody.
const COMPANY_LIMIT: u32 = 150;
/// The customer whom they hunt.
const HUNTED: &str = "A000014";
/// After so many guesses everybody follows anew; and a replica is killed, and Redis.
const ANEW: usize = 20;
const DEATH: usize = 5;
/// Between two guesses of a bot, at least: what failed is told seconds later, and then it tries again.
const PACE: Duration = Duration::from_millis(300);
/// What the bots' numbers begin with.
const PREFIX: &str = "+818055550";
const FLEET: &str = "phones-of-bots";
/// Follows anew in each round after everybody's guess, and when it is asked, the guesses before were taken: a slow machine falls no
/// further behind than that.
const WITNESS: &str = "+818044440002";

struct Bot {
    person: Person,
    /// How often it showed a card.
    tries: usize,
    /// How many of its proofs were taken.
    taken: u32,
}

struct Bots {
    bots: Vec<Bot>,
    phones: HandsetServiceClient<PeerChannel>,
    got: Arc<Mutex<Vec<IncomingMessage>>>,
    listening: JoinHandle<()>,
}

fn number(bot: usize) -> String {
    format!("{PREFIX}{bot:04}")
}

impl Bots {
    async fn connect(system: &System) -> Self {
        let account = |bot| if bot < BOTS / 2 { BANK } else { GAS };
        let bot = |bot| Bot {
            person: Person { number: number(bot), account: account(bot), types: String::new() },
            tries: 0,
            taken: 0,
        };
        let channel = system.channel_of("phones", KUMO);
        let mut phones = HandsetServiceClient::new(channel.open_ended());
        let request = ReceiveMessagesRequest { fleet: FLEET.to_owned() };
        let mut messages = phones.receive_messages(request).await.unwrap().into_inner();
        let got = Arc::<Mutex<Vec<_>>>::default();
        let sink = Arc::clone(&got);
        let listening = tokio::spawn(async move {
            while let Ok(Some(batch)) = messages.message().await {
                sink.lock().unwrap().extend(batch.messages);
            }
        });
        Self {
            bots: (0..BOTS).map(bot).collect(),
            phones: HandsetServiceClient::new(channel),
            got,
            listening,
        }
    }

    async fn everybody(&mut self, does: impl Fn(usize) -> What) {
        let deeds = self.bots.iter().enumerate().map(|(bot, it)| (&it.person, does(bot)));
        submit(&mut self.phones, FLEET, deeds).await;
    }

    /// Answers whatever has come: a button is tapped, and where a proof is asked for, one is shown.
    async fn answer(&mut self, system: &System, stolen: &Stolen) {
        let got = std::mem::take(&mut *self.got.lock().unwrap());
        let by_number: HashMap<_, _> = (0..BOTS).map(|bot| (number(bot), bot)).collect();
        let (mut taps, mut proofs) = (Vec::new(), Vec::new());
        for message in got {
            let bot = by_number[&message.msisdn];
            let Some(button) =
                message.content.as_ref().and_then(|content| content.suggestions.first()).cloned()
            else {
                continue;
            };
            if button.action.is_none() {
                taps.push((bot, tap(message.message_id, button)));
                continue;
            }
            let links = Links::of(message);
            if !links.nonces.is_empty() {
                proofs.push((bot, self.prove(bot, &links, stolen)));
            }
        }
        if !taps.is_empty() {
            let taps = taps.into_iter().map(|(bot, tap)| (&self.bots[bot].person, tap));
            submit(&mut self.phones, FLEET, taps).await;
        }
        for proofs in proofs.chunks(500) {
            // What was proved already, or of a dialogue that is over, is refused.
            let shown = proofs.iter().map(|(_, proof)| proof.clone()).collect();
            let refused = push(system, KUMO, shown).await;
            for ((bot, _), refused) in proofs.iter().zip(refused) {
                self.bots[*bot].taken += u32::from(refused.is_none());
            }
        }
    }

    fn prove(&mut self, bot: usize, links: &Links, stolen: &Stolen) -> String {
        let of = &mut self.bots[bot];
        of.tries += 1;
        let cards = CARDS as usize;
        let card = if bot < FORGERS { cards + bot * GUESSES + of.tries } else { (bot + of.tries) % cards };
        let method: IdentityMethod = if bot < HUNTERS { Carrier } else { Jpki };
        let shown = json!({
            "name": format!("見知 {card}"), "name_kana": format!("ミシ {card}"), "birth_date": "1990-01-02",
            "address": "東京都港区芝公園四丁目2-8",
        });
        stolen.sign(method, &with(&right(&of.person, links, method), shown))
    }
}

/// What a bot types in this round: a number of the bank's form that there is, or might be.
fn guess(bot: usize, round: usize, hunted: &Value) -> What {
    let text = if bot < HUNTERS {
        hunted["account"].as_str().unwrap().to_owned()
    } else if bot < BOTS / 2 {
        format!("{:07}", 1_000_000 + bot * 7 + round)
    } else {
        format!("{:010}", 1_000_000_000 + bot * 7 + round)
    };
    What::Typed(TextTyped { text })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_bots_pass_no_limit_while_replicas_and_redis_die() {
    let settings = Settings { max_connections: 120, ..Settings::default() };
    let (postgres, mut redis) = (postgres::start(&settings).unwrap(), redis::start().unwrap());
    let database = create_database(&postgres.url(), "information").await.unwrap();
    let url = redis.url();
    let shape = |layout: Layout| layout.quiet().replicated(&database, &url).guessed_at(COMPANY_LIMIT);
    let mut system = System::start_as(shape).await;
    import_masters(&system).await;
    let stolen = Stolen::from(&system).await;
    let (mut bots, mut phones) = (Bots::connect(&system).await, Phones::connect(&system).await);
    let witness = Person { number: WITNESS.to_owned(), account: BANK, types: String::new() };
    let hunted = customer(BANK, HUNTED);
    let limits = Limits::default();
    for round in 0..2 * GUESSES {
        // On a slow machine nobody whom only their own limit stops has had their last try by then.
        let last_try = |bot: &Bot| bot.taken >= limits.follower;
        if round >= GUESSES && bots.bots[HUNTERS..FORGERS].iter().any(last_try) {
            break;
        }
        if round % ANEW == 0 {
            bots.everybody(|_| What::Unfollow(Unfollow {})).await;
            bots.everybody(|_| What::Follow(Follow {})).await;
        }
        if round % DEATH == DEATH - 1 {
            let replica = system.of(Kind::Information).nth(round / DEATH % 3).unwrap();
            replica.kill();
            replica.start();
            redis.kill().unwrap();
            redis.start_again().unwrap();
        }
        bots.everybody(|bot| guess(bot, round, &hunted)).await;
        phones.act([(&witness, What::Unfollow(Unfollow {}))]).await;
        phones.act([(&witness, What::Follow(Follow {}))]).await;
        join!(sleep(PACE), phones.message(&witness, round));
        bots.answer(&system, &stolen).await;
    }
    bots.listening.abort();

    // Whose account it is is not locked out by those who hunted it.
    let owner = Person {
        number: "+818044440001".to_owned(),
        account: BANK,
        types: hunted["account"].as_str().unwrap().to_owned(),
    };
    let links = phones.until_identity(&[&owner]).await.remove(0);
    let proof = stolen.sign(Jpki, &with(&right(&owner, &links, Jpki), hunted.clone()));
    assert_eq!(push(&system, KUMO, vec![proof]).await, [None]);
    let (_, told) = phones.message(&owner, 3).await;
    assert!(told.content.as_ref().unwrap().text.starts_with(CONFIRMED), "{}", told.message_id);

    let list = |company| {
        let list = ["followers", "list", "--official-account", company, "--format", "json"];
        serde_json::from_str::<Vec<Value>>(&does(&system, company, &list)).unwrap()
    };
    let stand = [BANK, GAS].map(list);
    let confirmed: Vec<_> = stand.iter().flatten().filter(|row| row["outcome"] == "confirmed").collect();
    assert!(matches!(confirmed[..], [row] if row["phone_number"] == owner.number.as_str()), "{confirmed:#?}");
    assert_eq!(stand.iter().flatten().count(), BOTS + 2);

    let mut alarms = 0;
    for replica in system.of(Kind::Information) {
        assert!(replica.stop().await.success());
        alarms += replica.said().matches("ALARM: tries at account numbers").count();
    }
    assert_eq!(alarms, 1, "of one company, once");
    let config = system.of(Kind::Information).next().unwrap().config().to_owned();
    let lines = audit_of(&config, Kind::Information);
    let told = |action: &str| lines.iter().filter(|line| line["action"] == action).count();
    assert_eq!((told("tied"), told("company limit reached")), (1, 1), "the owner's tie, and one alarm");
    assert!(told("locked") > BOTS, "locked {} times", told("locked"));

    // What reached a master, by the bots that tried: each limit is used up, and none is passed.
    let ids: HashMap<_, _> =
        stand.iter().flatten().map(|row| (&row["follower_id"], &row["phone_number"])).collect();
    let mut reached = vec![0; BOTS];
    for line in lines.iter().filter(|line| line["action"] == "rejected") {
        let number = ids[&line["follower"]].as_str().unwrap();
        reached[number.strip_prefix(PREFIX).unwrap().parse::<usize>().unwrap()] += 1;
    }
    let most = reached.iter().max().unwrap();
    assert_eq!(*most, limits.follower, "tries of one follower");
    let sum = |bots: Range<usize>| reached[bots].iter().sum::<u32>();
    assert_eq!(sum(0..HUNTERS), limits.account, "at one account number");
    assert_eq!(sum(FORGERS..BOTS / 2), CARDS * limits.person, "by people with a card");
    assert_eq!(sum(BOTS / 2..BOTS), COMPANY_LIMIT, "in one company");
    println!(
        "{} proofs were taken, {} tries reached a master",
        bots.bots.iter().map(|bot| bot.taken).sum::<u32>(),
        sum(0..BOTS)
    );
}
