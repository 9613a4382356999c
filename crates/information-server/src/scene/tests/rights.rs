//! Facts about what people agree to, how they are erased, and what is forgotten by itself.

use musubi_domain::{consent::ConsentKind, customer::GivenAccount, erasure::ASKED_AFTER, id::OperatorName};

use super::*;

impl Stage {
    /// Lets so many seconds pass: whatever is due until then comes in its time.
    fn pass(&mut self, seconds: i64) {
        let end = self.now + SignedDuration::from_secs(seconds);
        while let Some(due) =
            self.record().dialogue.as_ref().and_then(|it| it.due_time).filter(|due| *due <= end)
        {
            let due = due.duration_since(self.now).as_secs();
            self.at(due, |scene, work, key, _| scene.tell(work, key, &Event::Due));
        }
    }

    fn erasures(&self) -> Vec<(Cause, i64)> {
        let due = |due: &Timestamp| due.duration_since(self.now).as_secs();
        self.work.erasures.iter().map(|(erasure, time)| (erasure.cause, due(time))).collect()
    }

    /// Whether something that was typed or attested is kept: for the dialogue, for a match, for people.
    fn keeps(&self) -> [bool; 3] {
        let record = self.record();
        let given = record.dialogue.as_ref().is_some_and(|dialogue| dialogue.given.is_some());
        let subject = record.review.as_ref().is_some_and(|review| review.subject.is_some());
        [given, record.inquiry.is_some(), subject]
    }
}

#[test]
fn a_consent_is_to_the_text_that_was_shown() {
    let mut stage = Stage::new();
    stage.arrive("kumo", 0);
    stage.tell(&Event::Due);
    let shown = TextDigest::of(&stage.account.texts.asked());
    stage.account.texts.question = "another question".to_owned();
    stage.give_account();
    assert!(stage.verify());
    stage.decide(MatchOutcome::Confirmed);
    let agreed: Vec<_> =
        stage.work.consents.iter().map(|(_, consent)| (consent.kind, consent.text)).collect();
    let identity = TextDigest::of(&stage.account.texts.identity);
    assert_eq!(agreed, [(ConsentKind::Wants, shown), (ConsentKind::Tied, identity)]);
    let consented: Vec<_> = stage.work.audits.iter().filter(|line| line.action == "consented").collect();
    assert!(consented.len() == 1 && consented[0].detail.ends_with(&shown.to_string()));
}

#[test]
fn who_neither_wants_nor_is_tied_agrees_to_nothing() {
    for choice in [Choice::Decline, Choice::NoAccount] {
        let mut stage = Stage::new();
        stage.arrive("kumo", 0);
        stage.tell(&Event::Due);
        stage.tell(&Event::Chose(choice));
        assert_eq!(stage.work.consents, []);
    }
}

#[test]
fn who_wants_to_be_erased_is_asked_once_more_and_then_untied_at_once() {
    let mut stage = Stage::tied();
    stage.tell(&Event::EraseAsked);
    assert_eq!((stage.state(), stage.erasures()), (State::Confirmed, vec![]));
    assert_eq!(stage.work.deliveries.last().unwrap().purpose, Purpose::EraseAsked);
    stage.tell(&Event::Chose(Choice::Erase));
    assert!(stage.record().tie.is_none(), "nothing individual leaves from now on");
    assert_eq!(stage.erasures(), [(Cause::Person, 10)], "and time to tell them");
    assert_eq!(stage.work.deliveries.last().unwrap().purpose, Purpose::Erasing);
    assert_eq!(stage.work.withdrawn, [stage.key.clone()]);
    let (erasure, _) = &stage.work.erasures[0];
    assert_eq!(erasure.ask_time, stage.now + stage.account.rules.declined_for);
    assert!(
        stage
            .work
            .audits
            .iter()
            .any(|line| (line.action, line.detail.as_str()) == ("erasure_asked", "person"))
    );
}

#[test]
fn a_review_of_somebody_who_is_erased_is_withdrawn() {
    let mut stage = Stage::new();
    stage.arrive("kumo", 0);
    stage.tell(&Event::Due);
    stage.give_account();
    assert!(stage.verify());
    stage.decide(MatchOutcome::Review);
    stage.tell(&Event::Chose(Choice::Erase));
    assert_eq!(stage.keeps(), [false; 3]);
    let state = stage.record().review.as_ref().unwrap().state;
    assert_eq!(state, musubi_domain::review::ReviewState::Withdrawn);
}

#[test]
fn who_follows_no_more_is_erased_after_the_accounts_time_and_not_if_they_come_back() {
    let month = 30 * 24 * 3_600;
    for comes_back in [false, true] {
        let mut stage = Stage::tied();
        stage.leave("kumo", 10);
        stage.pass(month);
        assert_eq!(stage.erasures(), []);
        if comes_back {
            stage.arrive("kumo", month);
        }
        stage.pass(month + 20);
        let expected = if comes_back { vec![] } else { vec![(Cause::Unfollowed, month + 10)] };
        assert_eq!(stage.erasures(), expected);
    }
    // Of whom nothing is known but that they left.
    let mut stage = Stage::new();
    stage.leave("kumo", 10);
    stage.pass(month + 20);
    assert_eq!(stage.erasures(), [(Cause::Unfollowed, month + 10)]);
}

#[test]
fn who_was_erased_comes_back_as_a_stranger_who_is_not_asked_at_once() {
    let operator: OperatorName = "sato".parse().unwrap();
    for (origin, asked) in [(Origin::Event, ASKED_AFTER), (Origin::List, Rules::default().declined_for)] {
        let mut stage = Stage::tied();
        stage.at(50, |scene, work, key, _| scene.erase(work, key, &operator));
        let (erasure, _) = stage.work.erasures[0].clone();
        let key = stage.key.clone();
        stage.work = Work::default();
        stage.work.erased.insert(key.clone(), erasure);
        let arrive = |stage: &mut Stage, second| {
            stage.at(second, |scene, work, key, time| {
                scene.arrive(work, key, number(), &carrier("kumo"), time, origin);
            });
        };
        // What is reported of before the erasure is no news of after it.
        arrive(&mut stage, 50);
        stage.leave("kumo", 49);
        assert!(!stage.work.followers.contains_key(&key));
        arrive(&mut stage, 51);
        assert_eq!(stage.record().follow_time, stage.now + SignedDuration::from_secs(51));
        assert!(stage.record().tie.is_none() && stage.record().former_customer.is_none());
        let due = stage.record().dialogue.as_ref().unwrap().due_time;
        assert_eq!(due, Some(stage.now + SignedDuration::from_secs(50) + asked), "{origin:?}");
    }
}

/// Every way that a dialogue can go, and then silence.
#[test]
fn of_a_dialogue_that_nobody_goes_on_with_nothing_typed_or_attested_is_left_after_the_retention() {
    let given = || GivenAccount { branch_number: None, account_number: "1234567".to_owned() };
    let until = Timestamp::UNIX_EPOCH;
    let events = [
        Event::Due,
        Event::Chose(Choice::Confirm),
        Event::Chose(Choice::Confirm),
        Event::AccountGiven(given()),
        Event::AccountGiven(given()),
        Event::Unreadable,
        Event::Chose(Choice::TryAgain),
        Event::Chose(Choice::Decline),
        Event::GuessesSpent { until },
        Event::EraseAsked,
    ];
    let (mut seen, mut kept) = (std::collections::HashSet::new(), 0);
    let mut dice = 1_u64;
    let mut roll = |sides: usize| {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(dice >> 33).unwrap() % sides
    };
    for _ in 0..5_000 {
        let mut stage = Stage::new();
        stage.arrive("kumo", 0);
        for _ in 0..roll(14) {
            match roll(events.len() + 4) {
                place if place < events.len() => stage.tell(&events[place]),
                place if place == events.len() => drop(stage.verify()),
                _ if stage.record().inquiry.is_some() => {
                    let outcomes = [MatchOutcome::Confirmed, MatchOutcome::Rejected, MatchOutcome::Review];
                    stage.decide(outcomes[roll(3)]);
                }
                _ => {}
            }
        }
        let state = stage.state();
        seen.insert(state);
        kept += usize::from(stage.keeps() != [false; 3]);
        stage.pass(15 * 60);
        let [given, inquiry, subject] = stage.keeps();
        assert!(!given || stage.state() == State::Matching, "{state:?}");
        assert_eq!(inquiry, stage.state() == State::Matching, "{state:?}");
        assert_eq!(subject, stage.state() == State::Review, "{state:?}");
        stage.pass(24 * 3_600);
        assert_eq!(stage.keeps()[..2], [false; 2], "a match that nobody decides fails: {state:?}");
        stage.pass(15 * 24 * 3_600);
        assert_eq!(stage.keeps(), [false; 3], "a review ends: {state:?}");
    }
    assert!(seen.len() >= 11 && kept > 100, "{seen:?} {kept}");
}
