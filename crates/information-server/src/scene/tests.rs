//! Facts about what happens to a follower.

use musubi_domain::{
    dialogue::{Choice, Rules, State},
    guess::Limits,
    id::CustomerId,
    identity::IdentityMethod,
    silence::Silence,
};
use musubi_matching::{AccountFormat, Policy};

use super::*;
use crate::directory::{Matching, Texts};

mod by_hand;
mod numbers;
mod reviews;
mod rights;

struct Stage {
    account: Account,
    company: Company,
    work: Work,
    key: FollowerKey,
    now: Timestamp,
}

fn number() -> PhoneNumber {
    "+818012345678".parse().unwrap()
}

fn keyring() -> FollowerKeyring {
    FollowerKeyring::new(&[7; 32]).unwrap()
}

fn carrier(name: &str) -> CarrierId {
    name.parse().unwrap()
}

impl Stage {
    fn new() -> Self {
        let company = Company {
            id: "bank".parse().unwrap(),
            matching: Matching::Inquiry,
            account_format: AccountFormat { account_digits: 7, branch_digits: 3 },
            policy: Policy::default(),
            methods: vec![IdentityMethod::Jpki],
            limits: Limits { follower: 2, ..Limits::default() },
            link_hosts: musubi_domain::link::LinkHosts::default(),
            messages_per_second: 0,
            second_person: crate::tests::alone(),
        };
        let account = Account {
            id: "bank".parse().unwrap(),
            company: company.id.clone(),
            display_name: "銀行".to_owned(),
            carriers: vec![carrier("kumo"), carrier("nami")],
            rules: Rules::default(),
            texts: Texts::default(),
            tie_days: 180,
            silence: Silence::of_days(30),
            messages_per_second: 0,
        };
        let key =
            FollowerKey { account: account.id.clone(), follower: keyring().follower(&account.id, &number()) };
        let now = "2026-11-23T00:00:00Z".parse().unwrap();
        Self { account, company, work: Work::default(), key, now }
    }

    /// Does something at so many seconds past the start.
    fn at<T>(
        &mut self,
        second: i64,
        act: impl FnOnce(&Scene<'_>, &mut Work, &FollowerKey, Timestamp) -> T,
    ) -> T {
        let time = self.now + SignedDuration::from_secs(second);
        let scene = Scene { account: &self.account, company: &self.company, now: time };
        act(&scene, &mut self.work, &self.key, time)
    }

    fn arrive(&mut self, over: &str, second: i64) {
        self.at(second, |scene, work, key, time| {
            scene.arrive(work, key, number(), &carrier(over), time, Origin::Event);
        });
    }

    fn leave(&mut self, over: &str, second: i64) {
        self.at(second, |scene, work, key, time| scene.leave(work, key, number(), &carrier(over), time));
    }

    fn tell(&mut self, event: &Event) {
        self.at(0, |scene, work, key, _| scene.tell(work, key, event));
    }

    fn verify(&mut self) -> bool {
        let identity = AttestedIdentity {
            method: IdentityMethod::Jpki,
            name: "山田".to_owned(),
            name_kana: None,
            birth_date: "1990-01-01".to_owned(),
            address: "東京都".to_owned(),
        };
        self.at(0, |scene, work, key, _| scene.verify(work, key, &identity, &keyring()))
    }

    /// From the question to the identity message.
    fn give_account(&mut self) {
        self.tell(&Event::Chose(Choice::Confirm));
        let account_number = "1234567".to_owned();
        let given = musubi_domain::customer::GivenAccount { branch_number: None, account_number };
        self.tell(&Event::AccountGiven(given));
    }

    fn decide(&mut self, outcome: MatchOutcome) {
        self.decide_for(outcome, "C1");
    }

    fn decide_for(&mut self, outcome: MatchOutcome, customer: &str) {
        let inquiry = self.record().inquiry.clone().unwrap();
        let customer_id: Option<CustomerId> = Some(customer.parse().unwrap());
        let decision = MatchDecision {
            outcome,
            customer_id: customer_id.filter(|_| outcome != MatchOutcome::Rejected),
            reasons: vec![],
        };
        self.at(0, |scene, work, key, _| scene.decide(work, key, &inquiry, &decision, &keyring()));
    }

    fn tied() -> Self {
        let mut stage = Self::new();
        stage.arrive("kumo", 0);
        stage.tell(&Event::Due);
        stage.give_account();
        assert!(stage.verify());
        stage.decide(MatchOutcome::Confirmed);
        assert!(stage.record().tie.is_some());
        stage
    }

    fn record(&self) -> &FollowerRecord {
        &self.work.followers[&self.key]
    }

    fn state(&self) -> State {
        self.record().dialogue.as_ref().unwrap().state
    }
}

#[test]
fn the_whole_flow_makes_one_tie() {
    let stage = Stage::tied();
    let tie = stage.record().tie.clone().unwrap();
    assert_eq!(tie.tie.customer_id.as_str(), "C1");
    assert_eq!(stage.state(), State::Confirmed);
    assert!(stage.record().inquiry.is_none(), "the identity is gone");
    let said: Vec<Purpose> = stage.work.deliveries.iter().map(|delivery| delivery.purpose).collect();
    assert_eq!(said, [Purpose::Question, Purpose::Account, Purpose::Identity, Purpose::Confirmed]);
    let mut ids: Vec<MessageId> = stage.work.deliveries.iter().map(|delivery| delivery.message_id).collect();
    ids.dedup();
    assert_eq!(ids.len(), 4, "each message has an id of its own");
}

#[test]
fn following_again_does_not_restore_the_tie() {
    let mut stage = Stage::tied();
    let dialogue = stage.record().dialogue.as_ref().unwrap().id;
    stage.leave("kumo", 10);
    assert_eq!((stage.state(), stage.record().tie.is_none()), (State::Ended, true));
    assert_eq!(stage.work.withdrawn, [stage.key.clone()]);
    stage.arrive("kumo", 20);
    assert_eq!((stage.state(), stage.record().tie.is_none()), (State::Waiting, true));
    assert_ne!(stage.record().dialogue.as_ref().unwrap().id, dialogue);
}

#[test]
fn a_number_on_two_lists_is_one_follower_until_it_left_both() {
    let mut stage = Stage::tied();
    stage.arrive("nami", 10);
    assert_eq!(stage.record().carrier, carrier("nami"), "messages go over the newest carrier");
    assert!(stage.record().tie.is_some(), "the tie is the number's");
    stage.leave("nami", 20);
    assert_eq!((stage.record().carrier.clone(), stage.record().following), (carrier("kumo"), true));
    assert!(stage.record().tie.is_some());
    stage.leave("kumo", 30);
    assert!(!stage.record().following && stage.record().tie.is_none());
}

#[test]
fn what_is_older_than_what_is_known_has_no_effect() {
    let mut stage = Stage::tied();
    stage.leave("kumo", -5);
    assert!(stage.record().following && stage.record().tie.is_some());
    stage.leave("kumo", 10);
    stage.arrive("kumo", 5);
    assert!(!stage.record().following);
}

#[test]
fn at_the_same_instant_leaving_wins() {
    for leave_first in [true, false] {
        let mut stage = Stage::new();
        if leave_first {
            stage.leave("kumo", 5);
            stage.arrive("kumo", 5);
        } else {
            stage.arrive("kumo", 5);
            stage.leave("kumo", 5);
        }
        assert!(!stage.record().following);
    }
}

#[test]
fn who_follows_again_unseen_to_leave_has_left() {
    let mut stage = Stage::tied();
    stage.arrive("kumo", 10);
    assert!(stage.record().following && stage.record().tie.is_none());
    assert_eq!(stage.state(), State::Waiting);
}

#[test]
fn a_list_that_says_what_is_known_changes_nothing() {
    let mut stage = Stage::tied();
    stage.at(10, |scene, work, key, time| {
        scene.arrive(work, key, number(), &carrier("kumo"), time, Origin::List);
    });
    assert!(stage.record().tie.is_some());
    assert_eq!(stage.state(), State::Confirmed);
}

#[test]
fn a_reassigned_number_is_asked_afresh() {
    let mut stage = Stage::tied();
    stage.arrive("nami", 10);
    stage.at(20, |scene, work, key, time| {
        scene.reassign(work, key, number(), &carrier("kumo"), time);
    });
    assert!(stage.record().following && stage.record().tie.is_none());
    assert_eq!(stage.state(), State::Waiting);
}

#[test]
fn guesses_are_charged_before_they_are_made_and_given_back_when_right() {
    let mut stage = Stage::new();
    stage.arrive("kumo", 0);
    stage.tell(&Event::Due);
    stage.give_account();
    assert!(stage.verify());
    assert!(stage.work.guesses.values().all(|count| count.charged == 1) && stage.work.guesses.len() == 5);
    stage.decide(MatchOutcome::Confirmed);
    assert!(stage.work.guesses.values().all(|count| count.charged == 0));
}

#[test]
fn past_the_limit_the_dialogue_locks_and_nothing_is_asked_of_the_master() {
    let mut stage = Stage::new();
    stage.arrive("kumo", 0);
    stage.tell(&Event::Due);
    for _ in 0..2 {
        stage.give_account();
        assert!(stage.verify());
        stage.decide(MatchOutcome::Rejected);
        stage.tell(&Event::Chose(Choice::TryAgain));
    }
    let account_number = "7654321".to_owned();
    let given = musubi_domain::customer::GivenAccount { branch_number: None, account_number };
    stage.tell(&Event::AccountGiven(given));
    assert!(stage.verify(), "the assertion is taken");
    assert_eq!(stage.state(), State::Locked);
    assert!(stage.record().inquiry.is_none());
    let until = stage.record().dialogue.as_ref().unwrap().due_time;
    assert_eq!(until, Some(stage.now + Limits::default().window));
    assert_eq!(stage.work.deliveries.last().unwrap().purpose, Purpose::NotConfirmed);
}

#[test]
fn a_life_of_wrong_guesses_locks_until_people_unlock_it() {
    let mut stage = Stage::new();
    stage.company.limits = Limits { follower: 100, person: 100, account: 100, ..Limits::default() };
    stage.account.rules.tries = 100;
    stage.arrive("kumo", 0);
    stage.tell(&Event::Due);
    for _ in 0..Limits::default().life {
        stage.give_account();
        assert!(stage.verify());
        stage.decide(MatchOutcome::Rejected);
        // Each in a window of its own.
        stage.now += SignedDuration::from_hours(48);
        stage.tell(&Event::Chose(Choice::TryAgain));
    }
    stage.give_account();
    assert!(stage.verify(), "the assertion is taken");
    assert_eq!((stage.state(), stage.record().dialogue.as_ref().unwrap().due_time), (State::Locked, None));
    assert!(stage.record().inquiry.is_none());
    // Whoever follows anew is the same follower.
    stage.leave("kumo", 1);
    stage.arrive("kumo", 2);
    stage.tell(&Event::Due);
    stage.give_account();
    assert!(stage.verify());
    assert_eq!(stage.state(), State::Locked);
    let operator: OperatorName = "sato".parse().unwrap();
    assert!(stage.at(3, |scene, work, key, _| scene.unlock(work, key, &operator)));
    assert!(!stage.at(3, |scene, work, key, _| scene.unlock(work, key, &operator)), "there is nothing left");
    assert!(stage.work.audits.iter().any(|line| line.action == "unlocked" && line.detail == "by sato"));
    stage.tell(&Event::Due);
    stage.give_account();
    assert!(stage.verify());
    assert_eq!(stage.state(), State::Matching);
    stage.decide(MatchOutcome::Confirmed);
    let life = stage.at(0, |scene, _, key, _| scene.own_guess_keys(key))[1].clone();
    assert_eq!(stage.work.guesses[&life], Count::default(), "a confirmed match begins it anew");
}

#[test]
fn a_company_that_reaches_its_limit_is_in_the_audit_once() {
    let mut stage = Stage::new();
    stage.company.limits = Limits { follower: 100, company: 2, ..Limits::default() };
    stage.arrive("kumo", 0);
    stage.tell(&Event::Due);
    for _ in 0..2 {
        stage.give_account();
        assert!(stage.verify());
        stage.decide(MatchOutcome::Rejected);
        stage.tell(&Event::Chose(Choice::TryAgain));
    }
    stage.give_account();
    assert!(stage.verify());
    assert_eq!(stage.state(), State::Locked);
    let reached = |line: &&Audit| line.action == "company limit reached";
    assert_eq!(stage.work.audits.iter().filter(reached).count(), 1);
}

#[test]
fn a_decision_on_another_inquiry_has_no_effect() {
    let mut stage = Stage::new();
    stage.arrive("kumo", 0);
    stage.tell(&Event::Due);
    stage.give_account();
    assert!(stage.verify());
    let mut stale = stage.record().inquiry.clone().unwrap();
    stale.id = InquiryId::derive(DialogueId::derive(stage.key.follower, 9), 1, stage.now);
    let decision = MatchDecision {
        outcome: MatchOutcome::Confirmed,
        customer_id: Some("C2".parse().unwrap()),
        reasons: vec![],
    };
    stage.at(0, |scene, work, key, _| scene.decide(work, key, &stale, &decision, &keyring()));
    assert_eq!((stage.state(), stage.record().tie.is_none()), (State::Matching, true));
}

#[test]
fn leaving_in_the_middle_of_a_match_makes_no_tie() {
    let mut stage = Stage::new();
    stage.arrive("kumo", 0);
    stage.tell(&Event::Due);
    stage.give_account();
    assert!(stage.verify());
    let inquiry = stage.record().inquiry.clone().unwrap();
    stage.leave("kumo", 5);
    assert!(stage.record().inquiry.is_none());
    let decision = MatchDecision {
        outcome: MatchOutcome::Confirmed,
        customer_id: Some("C1".parse().unwrap()),
        reasons: vec![],
    };
    stage.at(6, |scene, work, key, _| scene.decide(work, key, &inquiry, &decision, &keyring()));
    assert!(stage.record().tie.is_none());
}
