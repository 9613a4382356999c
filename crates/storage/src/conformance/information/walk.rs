//! A walk through everything that moves deliveries, in an order that looks random: what must hold after every step.

use std::collections::{BTreeMap, HashMap};

use musubi_domain::{
    delivery::{DeliveryState as D, Purpose, Signal},
    id::{CarrierId, DistributionId, MessageId},
};

use super::{
    Bench, Dice, at, balanced, claim, claimed, deliver, delivery::SIGNALS, dialogues, distribute, follow,
    keys, learn, load, named, of, request, result, tie, unit,
};
use crate::information::{
    FollowerKey,
    delivery::{Attempt, AttemptOutcome, AttemptResult, Claim, Source},
    flow::{FollowerRecord, NewDelivery, Scope},
};

const STEPS: u32 = 500;

struct Walk<'a> {
    store: &'a dyn Bench,
    dice: Dice,
    second: i64,
    followers: Vec<FollowerKey>,
    messages: BTreeMap<MessageId, FollowerKey>,
    distributions: Vec<DistributionId>,
    /// Every attempt that ever started.
    attempts: Vec<Attempt>,
    states: HashMap<MessageId, D>,
}

impl Walk<'_> {
    fn someone(&mut self) -> FollowerKey {
        self.dice.pick(&self.followers)
    }

    fn some_messages(&mut self) -> Vec<(FollowerKey, MessageId)> {
        let all: Vec<_> = self.messages.iter().map(|(id, key)| (key.clone(), *id)).collect();
        if all.is_empty() { all } else { (0..5).map(|_| self.dice.pick(&all)).collect() }
    }

    async fn make(&mut self, count: u32) {
        let key = self.someone();
        let new = NewDelivery {
            carrier: self.dice.pick(&["alpha", "beta"].map(named)),
            due_time: at(self.second + i64::try_from(self.dice.roll(50)).unwrap()),
            expire_time: at(self.second + i64::try_from(self.dice.roll(400)).unwrap()),
            ..request(&key, count)
        };
        self.messages.insert(new.message_id, key);
        deliver(self.store, &[new.clone(), new]).await;
    }

    async fn distribute(&mut self) {
        let number = u8::try_from(self.distributions.len()).unwrap();
        let account = self.dice.pick(&["bank", "power"]);
        let id = distribute(self.store, account, number, &[("C1", account), ("C2", account)]).await;
        let followers = load(self.store, self.followers.clone()).await;
        for (key, _) in
            followers.iter().filter(|(key, record)| key.account.as_str() == account && record.following)
        {
            self.messages.insert(self.store.message_of(id, key).await, key.clone());
        }
        self.distributions.push(id);
    }

    async fn receive(&mut self) {
        let messages = self.some_messages();
        let signal = self.dice.pick(&SIGNALS);
        let receipt = |(key, message_id)| AttemptResult {
            key,
            message_id,
            attempt: 0,
            outcome: AttemptOutcome::Known(signal),
        };
        learn(self.store, &messages.into_iter().map(receipt).collect::<Vec<_>>(), self.second).await;
    }

    async fn withdraw(&mut self) {
        let key = self.someone();
        unit(self.store, &Scope::default(), |work| work.withdrawn = vec![key.clone()]).await;
    }

    async fn upset(&mut self) {
        let key = self.someone();
        let customer = self.dice.pick(&["C1", "C2"]);
        let roll = self.dice.roll(4);
        let edit: &(dyn Fn(&mut FollowerRecord) + Sync) = match roll {
            0 => &|record| record.following = !record.following,
            1 => &|record| record.tie = None,
            2 => &|record| record.tie = Some(tie(&key, customer)),
            _ => &|record| record.tie.iter_mut().for_each(|tie| tie.tie.suspended = !tie.tie.suspended),
        };
        let customers = vec![(key.account.clone(), named(customer))];
        unit(self.store, &Scope { customers, ..of(vec![key.clone()]) }, |work| {
            // A customer has one number at a time.
            if roll == 2
                && let Some(holder) = work.tied.values().next().cloned()
            {
                work.followers.get_mut(&holder).unwrap().tie = None;
            }
            edit(work.followers.get_mut(&key).unwrap());
        })
        .await;
    }

    async fn claim(&mut self) {
        // Often enough for some to be tried in vain until they are dead.
        let source = if self.dice.flip() {
            dialogues(self.dice.pick(&["bank", "power"]))
        } else {
            let sources = self.distributions.iter().map(|id| Source::Distribution(*id));
            self.dice.pick(&[sources.collect(), vec![dialogues("bank")]].concat())
        };
        let claim = Claim {
            carrier: self.dice.pick(&["alpha", "beta"].map(named)),
            limit: u32::try_from(1 + self.dice.roll(20)).unwrap(),
            lease_end: at(self.second + 15),
            attempts_limit: 2,
            ..claim(source, self.second)
        };
        let followers = load(self.store, self.followers.clone()).await;
        for attempt in claimed(self.store, &claim).await.attempts {
            let record = &followers[&attempt.key];
            assert!(record.following, "I3");
            assert_eq!(attempt.phone_number, record.phone_number);
            let before = self.attempts.iter().rev().find(|before| before.message_id == attempt.message_id);
            assert_eq!(attempt.attempt, before.map_or(1, |before| before.attempt + 1));
            assert!(before.is_none_or(|before| before.purpose == attempt.purpose && before.values == attempt.values));
            assert!(
                matches!(self.states[&attempt.message_id], D::Queued | D::Sending),
                "what has ended stays so"
            );
            if attempt.purpose == Purpose::Individual {
                assert!(record.tie.as_ref().is_some_and(|tie| !tie.tie.suspended), "I1");
                assert_eq!(attempt.values, [attempt.key.account.as_str()], "I11");
            }
            self.attempts.push(attempt);
        }
    }

    async fn learn(&mut self) {
        if self.attempts.is_empty() {
            return;
        }
        let results: Vec<_> = (0..8)
            .map(|_| {
                let attempt = self.dice.pick(&self.attempts);
                let later = at(self.second + i64::try_from(self.dice.roll(20)).unwrap());
                let outcome = match self.dice.roll(6) {
                    0 => AttemptOutcome::Throttled(later),
                    1..4 => AttemptOutcome::Unknown(later),
                    _ => AttemptOutcome::Known(self.dice.pick(&SIGNALS)),
                };
                result(&attempt, outcome)
            })
            .collect();
        learn(self.store, &results, self.second).await;
    }

    /// States only move forward, and a receipt is never lost.
    async fn look(&mut self) {
        let mut now = HashMap::new();
        for (id, key) in &self.messages {
            now.extend(self.store.delivery_state(key, *id).await.map(|state| (*id, state)));
        }
        for (id, was) in &self.states {
            let is = now[id];
            let forward = match was {
                D::Queued | D::Sending => true,
                D::Accepted => !matches!(is, D::Queued | D::Sending | D::Rejected | D::Dead),
                D::Rejected | D::Expired | D::Revoked | D::Dead => {
                    is == *was || matches!(is, D::Delivered | D::Displayed)
                }
                D::Delivered => matches!(is, D::Delivered | D::Displayed),
                D::Displayed => is == D::Displayed,
            };
            assert!(forward, "{was:?} became {is:?}");
        }
        self.states = now;
    }
}

pub(crate) async fn whatever_happens_the_tally_is_the_count(store: &dyn Bench) {
    follow(store, "bank", 1..7).await;
    follow(store, "power", 7..12).await;
    let mut walk = Walk {
        store,
        dice: Dice(11),
        second: 0,
        followers: [keys("bank", 1..7), keys("power", 7..12)].concat(),
        messages: BTreeMap::new(),
        distributions: Vec::new(),
        attempts: Vec::new(),
        states: HashMap::new(),
    };
    for step in 0..STEPS {
        walk.second += i64::try_from(walk.dice.roll(10)).unwrap();
        match walk.dice.roll(20) {
            0..4 => walk.make(step).await,
            4 if walk.distributions.len() < 12 => walk.distribute().await,
            5..8 => walk.receive().await,
            8 => walk.withdraw().await,
            9..11 => walk.upset().await,
            11 => drop(store.expire_unconfirmed(at(walk.second - 50), 3, at(walk.second)).await.unwrap()),
            12..15 => walk.learn().await,
            _ => walk.claim().await,
        }
        balanced(store).await;
        walk.look().await;
    }
    drains(&mut walk).await;
}

/// When faults stop, every delivery comes to its end (I6, I16).
async fn drains(walk: &mut Walk<'_>) {
    let store = walk.store;
    let sources: Vec<_> = walk.distributions.iter().map(|id| Source::Distribution(*id)).collect();
    for source in [sources, ["bank", "power"].map(dialogues).to_vec()].concat() {
        for carrier in ["alpha", "beta"].map(named::<CarrierId>) {
            for claim in [claim(source.clone(), 40_000), claim(source.clone(), 40_100)] {
                let started = claimed(store, &Claim { carrier: carrier.clone(), ..claim }).await.attempts;
                let accepted: Vec<_> = started
                    .iter()
                    .map(|attempt| result(attempt, AttemptOutcome::Known(Signal::Accepted)))
                    .collect();
                learn(store, &accepted, 40_000).await;
            }
        }
    }
    store.expire_unconfirmed(at(1_000_000), 10_000, at(1_000_000)).await.unwrap();
    walk.look().await;
    assert_eq!(walk.states.len(), walk.messages.len());
    assert!(walk.states.values().all(|state| !matches!(state, D::Queued | D::Sending | D::Accepted)));
    for state in [D::Delivered, D::Displayed, D::Rejected, D::Expired, D::Revoked, D::Dead] {
        assert!(walk.states.values().any(|is| *is == state), "the walk never came to {state:?}");
    }
}
