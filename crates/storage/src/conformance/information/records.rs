//! Facts about units of work: what an edit changed is stored, whole or not at all.

use std::{
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
    task::Poll,
};

use musubi_domain::{
    consent::TextDigest,
    customer::GivenAccount,
    dialogue::{Dialogue, Stage, State},
    eligibility::Tie,
    id::{DialogueId, InquiryId, ReviewId, TieId},
    identity::{AttestedIdentity, IdentityMethod},
    review::{Decision, ReviewState, ReviewSubject, Verdict},
    silence::{Doubt, Holder},
};

use super::{Bench, Dice, at, follow, follower, key, keys, load, named, of, put, request, states, tie, unit};
use crate::{
    conformance::given_up_after,
    information::{
        FollowerKey,
        flow::{FollowerRecord, Inquiry, Matched, Origin, Scope, Subscription, TieRecord, Work},
        review::Review,
    },
};

const TEXTS: [&str; 5] = ["山田　太郎", "O'Neil \"x\"\\", "", "0012", "🍣\n{}[]"];

impl Dice {
    fn instant(&mut self) -> jiff::Timestamp {
        at(0) + jiff::SignedDuration::from_micros(self.roll(1 << 50).cast_signed())
    }

    fn text(&mut self) -> String {
        self.pick(&TEXTS).to_owned()
    }

    fn maybe<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.flip().then(|| make(self))
    }

    fn account(&mut self) -> GivenAccount {
        let branch_number = self.maybe(|dice| format!("{:03}", dice.roll(1_000)));
        GivenAccount { branch_number, account_number: format!("{:07}", self.roll(10_000_000)) }
    }

    fn dialogue(&mut self) -> Dialogue {
        let small = |number: u64| u16::try_from(number).unwrap();
        let tiny = |number: u64| u8::try_from(number).unwrap();
        Dialogue {
            id: DialogueId::from_bytes([tiny(self.roll(256)); 16]),
            turn: u32::try_from(self.roll(1 << 32)).unwrap(),
            state: self.pick(&State::ALL),
            step: small(self.roll(1 << 16)),
            messages: small(self.roll(1 << 16)),
            reminders: tiny(self.roll(256)),
            unreadable: tiny(self.roll(256)),
            tries: tiny(self.roll(256)),
            reached: self.pick(&Stage::ALL),
            due_time: self.maybe(Self::instant),
            state_time: self.instant(),
            given: self.maybe(Self::account),
        }
    }

    pub(crate) fn inquiry(&mut self) -> Inquiry {
        Inquiry {
            id: InquiryId::from_bytes([u8::try_from(self.roll(256)).unwrap(); 16]),
            company: self.pick(&["bank", "power"].map(named)),
            account: self.account(),
            identity: AttestedIdentity {
                method: self.pick(&IdentityMethod::ALL),
                name: self.text(),
                name_kana: self.maybe(Self::text),
                birth_date: "1980-02-03".to_owned(),
                address: self.text(),
            },
            due_time: self.instant(),
        }
    }

    fn holder(&mut self) -> Holder {
        Holder {
            proved_time: self.instant(),
            silent_time: self.instant(),
            ask_time: self.maybe(Self::instant),
            doubt: self.maybe(|dice| dice.pick(&Doubt::ALL)),
        }
    }

    /// A tie to a customer of the follower's own: nobody else of the account may have it.
    fn tie(&mut self, last: u8) -> TieRecord {
        let customer = format!("{}{last}", self.pick(&["C", "0007", "a'b\"c"]));
        let tie = Tie {
            id: TieId::from_bytes([u8::try_from(self.roll(256)).unwrap(); 16]),
            customer_id: named(&customer),
            suspended: self.flip(),
            holder: self.holder(),
            expire_time: self.instant(),
        };
        TieRecord { tie, method: self.pick(&IdentityMethod::ALL), tie_time: self.instant() }
    }

    pub(super) fn review(&mut self, last: u8) -> Review {
        let inquiry = self.inquiry();
        Review {
            id: ReviewId::from_bytes(self.roll(u64::MAX).to_be_bytes().repeat(2).try_into().unwrap()),
            company: inquiry.company,
            dialogue: DialogueId::from_bytes([last; 16]),
            inquiry: inquiry.id,
            proposed_customer: self.maybe(|dice| dice.pick(&["C1", "0007"].map(named))),
            method: inquiry.identity.method,
            reasons: (0..self.roll(3)).map(|_| self.text()).collect(),
            subject: Some(ReviewSubject { account: inquiry.account, identity: inquiry.identity.clone() }),
            state: self.pick(&[ReviewState::Open, ReviewState::ApprovedOnce]),
            decisions: (0..self.roll(2))
                .map(|_| Decision {
                    operator: named("sato"),
                    verdict: self.pick(&Verdict::ALL),
                    decide_time: self.instant(),
                })
                .collect(),
            open_time: self.instant(),
            expire_time: self.instant(),
            close_time: None,
        }
    }

    /// Anything that may come after `was`: a dialogue and a subscription are never removed.
    fn record(&mut self, last: u8, was: Option<&FollowerRecord>) -> FollowerRecord {
        let on = |carrier: &str| {
            was.is_some_and(|was| was.subscriptions.iter().any(|s| s.carrier.as_str() == carrier))
        };
        let mut subscriptions = Vec::new();
        for carrier in ["alpha", "beta", "gamma"] {
            if on(carrier) || self.flip() {
                let (following, change_time) = (self.flip(), self.instant());
                subscriptions.push(Subscription { carrier: named(carrier), following, change_time });
            }
        }
        let dialogue =
            (was.is_some_and(|was| was.dialogue.is_some()) || self.flip()).then(|| self.dialogue());
        let matched = Matched {
            proposed_customer: self.maybe(|dice| dice.pick(&["C1", "0007"].map(named))),
            reasons: (0..self.roll(3)).map(|_| self.text()).collect(),
        };
        FollowerRecord {
            phone_number: super::number(last),
            carrier: self.pick(&["alpha", "beta"].map(named)),
            following: self.flip(),
            follow_time: self.instant(),
            suspended: self.flip(),
            subscriptions,
            matched: if dialogue.is_some() { matched } else { Matched::default() },
            shown: self
                .maybe(|dice| dice.pick(&[TextDigest::of("a"), TextDigest::of("b")]))
                .filter(|_| dialogue.is_some()),
            dialogue,
            tie: self.maybe(|dice| dice.tie(last)),
            former_customer: self.maybe(|dice| dice.pick(&["C1", "0007"].map(named))),
            inquiry: self.maybe(Self::inquiry).map(Box::new),
            // One that waits can't vanish, only be closed; what that does is told among the facts about reviews.
            review: was
                .and_then(|was| was.review.clone())
                .or_else(|| self.maybe(|dice| dice.review(last)).map(Box::new)),
        }
    }
}

pub(crate) async fn records_read_back_as_they_were_written(store: &dyn Bench) {
    let mut dice = Dice(1);
    let all: Vec<FollowerKey> = ["bank", "power"].iter().flat_map(|account| keys(account, 0..150)).collect();
    let mut model: HashMap<FollowerKey, FollowerRecord> = HashMap::new();
    for _ in 0..8 {
        let mut next = HashMap::new();
        for key in &all {
            if dice.roll(3) > 0 {
                next.insert(key.clone(), dice.record(key.follower.as_bytes()[0], model.get(key)));
            }
        }
        unit(store, &of(next.keys().cloned().collect()), |work| {
            for (key, record) in &next {
                assert_eq!(work.followers.get(key), model.get(key), "what was loaded to be edited");
                work.followers.insert(key.clone(), record.clone());
            }
        })
        .await;
        model.extend(next);
        assert!(load(store, all.clone()).await == model, "seed 1: a record changed on its way");
    }
}

pub(crate) async fn an_edit_that_changes_nothing_writes_nothing(store: &dyn Bench) {
    let mut dice = Dice(2);
    put(store, (0..20).map(|last| (key("bank", last), dice.record(last, None))).collect()).await;
    super::deliver(store, &[request(&key("bank", 0), 0)]).await;
    let scope = Scope {
        followers: keys("bank", 0..30),
        events: Some((named("alpha"), vec!["e".to_owned()])),
        ..Scope::default()
    };
    let before = store.rows_written().await;
    unit(store, &scope, |work| {
        let same = work.followers.clone();
        work.followers = same;
    })
    .await;
    assert_eq!(store.rows_written().await, before);
}

pub(crate) async fn an_edit_writes_only_what_it_changed(store: &dyn Bench) {
    let mut whole = follower(1);
    whole.tie = Some(tie(&key("bank", 1), "C1"));
    put(store, vec![(key("bank", 1), whole), (key("bank", 2), follower(2))]).await;
    type Edit = fn(&mut FollowerRecord);
    // Who follows no more is counted elsewhere, too: the row, the two counts, and the day's; and has a line of the audit.
    let edits: [(i64, Edit); 6] = [
        (5, |record| record.following = false),
        (1, |record| record.subscriptions[0].following = false),
        (1, |record| record.dialogue.as_mut().unwrap().step = 9),
        (1, |record| record.tie.as_mut().unwrap().tie.suspended = true),
        (1, |record| record.suspended = true),
        (store.rows_of_a_tie() + 1, |record| record.tie = None),
    ];
    for (rows, edit) in edits {
        let before = store.rows_written().await;
        unit(store, &of(keys("bank", 1..3)), |work| edit(work.followers.get_mut(&key("bank", 1)).unwrap()))
            .await;
        assert_eq!(store.rows_written().await - before, rows);
    }
    let left = load(store, keys("bank", 1..3)).await;
    assert!(left[&key("bank", 2)] == follower(2), "nobody else was touched");
}

pub(crate) async fn who_is_believed_to_be_new_and_is_there_is_found_all_the_same(store: &dyn Bench) {
    put(store, vec![(key("bank", 2), follower(2))]).await;
    let scope = Scope { are_new: true, ..of(keys("bank", 1..4)) };
    unit(store, &scope, |work| {
        for number in 1..4 {
            let record = work.followers.entry(key("bank", number)).or_insert_with(|| follower(number));
            record.suspended = !record.suspended;
        }
    })
    .await;
    // Whom nobody knew is there, and of who was there nothing is lost.
    unit(store, &Scope { are_new: true, ..of(keys("bank", 4..6)) }, |work| {
        assert!(work.followers.is_empty());
        work.followers.insert(key("bank", 4), follower(4));
    })
    .await;
    let suspended = |number| FollowerRecord { suspended: true, ..follower(number) };
    let stored = (1..4).map(|number| (key("bank", number), suspended(number)));
    let stored = stored.chain([(key("bank", 4), follower(4))]).collect::<HashMap<_, _>>();
    assert!(load(store, keys("bank", 1..6)).await == stored);
}

/// Something of every kind, of a follower whose number is odd, and of a new one, who is the next.
#[derive(Clone, Copy)]
struct Everything(u8);

impl Everything {
    fn known_one(self) -> FollowerKey {
        key("bank", self.0)
    }

    fn new_one(self) -> FollowerKey {
        key("bank", self.0 + 1)
    }

    fn event(self) -> String {
        format!("event {}", self.0)
    }

    fn change(self, work: &mut Work) {
        work.followers.insert(self.new_one(), follower(self.0 + 1));
        let tie = tie(&self.known_one(), &format!("C{}", self.0));
        work.followers.get_mut(&self.known_one()).unwrap().tie = Some(tie);
        work.taken.push(self.event());
        work.deliveries.push(request(&self.new_one(), 0));
        work.withdrawn.push(self.known_one());
        work.added.push((self.new_one(), named("alpha"), Origin::Event));
    }

    fn scope(self) -> Scope {
        let followers = keys("bank", [self.0, self.0 + 1]);
        Scope { events: Some((named("alpha"), vec![self.event()])), ..of(followers) }
    }

    /// Whether all of it is stored; some of it must never be. What was given up may be committed between two questions of one
    /// look, but not of two.
    async fn is_stored(self, store: &dyn Bench) -> bool {
        let mut signs = Vec::new();
        for _ in 0..2 {
            signs = self.signs(store).await;
            if signs.iter().all(|sign| *sign == signs[0]) {
                return signs[0];
            }
        }
        panic!("a part was stored: {signs:?}");
    }

    async fn signs(self, store: &dyn Bench) -> Vec<bool> {
        let mut signs = Vec::new();
        unit(store, &self.scope(), |work| {
            let tied = work.followers[&self.known_one()].tie.is_some();
            let known = work.followers.contains_key(&self.new_one());
            signs = vec![tied, known, work.seen.contains(&self.event())];
        })
        .await;
        let message = request(&self.new_one(), 0).message_id;
        signs.push(!states(store, &[(self.new_one(), message)]).await.is_empty());
        signs
    }
}

pub(crate) async fn a_unit_whose_edit_panics_leaves_nothing(store: &dyn Bench) {
    follow(store, "bank", [1]).await;
    let everything = Everything(1);
    let scope = everything.scope();
    let mut edit = |work: &mut Work| {
        everything.change(work);
        panic!("in the edit");
    };
    let mut working = store.work("fact", &scope, at(0), &mut edit);
    let panicked = std::future::poll_fn(|context| {
        match catch_unwind(AssertUnwindSafe(|| working.as_mut().poll(context))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(_)) => Poll::Ready(false),
            Err(_) => Poll::Ready(true),
        }
    })
    .await;
    assert!(panicked);
    drop(working);
    assert!(!everything.is_stored(store).await);
}

/// Given up at every point at which it waits: before the last one nothing is stored, after it everything. Where answers come too soon
/// for many such points, it is tried with other followers.
pub(crate) async fn a_unit_given_up_half_way_leaves_nothing_or_everything(store: &dyn Bench) {
    let mut left_nothing = 0;
    for everything in (1..100).step_by(2).map(Everything) {
        follow(store, "bank", [everything.0]).await;
        let scope = everything.scope();
        let mut given_up = 0;
        while !everything.is_stored(store).await {
            left_nothing += u32::from(given_up > 0);
            given_up += 1;
            let mut edit = |work: &mut Work| everything.change(work);
            let mut working = store.work("fact", &scope, at(0), &mut edit);
            if let Some(done) = given_up_after(given_up, working.as_mut()).await {
                done.unwrap();
            }
        }
        if left_nothing > 3 {
            return;
        }
    }
    panic!("a unit of work waits more than {left_nothing} times");
}
