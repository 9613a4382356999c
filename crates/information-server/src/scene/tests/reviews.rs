//! Facts about what people decide, and about two claims on one tie.

use jiff::SignedDuration;
use musubi_domain::{
    Error, ErrorKind,
    id::{OperatorName, ReviewId},
    review::{ReviewState, Verdict},
};
use musubi_storage::information::review::Review;

use super::*;
use crate::scene::review::Reviewed;

impl Stage {
    /// A follower whose match people have to decide.
    fn in_review() -> Self {
        let mut stage = Self::new();
        stage.verified();
        stage.decide(MatchOutcome::Review);
        stage
    }

    /// From the follow to the attested identity.
    fn verified(&mut self) {
        self.arrive("kumo", 0);
        self.tell(&Event::Due);
        self.give_account();
        assert!(self.verify());
    }

    /// Goes on with another number of the account.
    fn as_number(&mut self, number: &str) {
        let follower = keyring().follower(&self.account.id, &number.parse().unwrap());
        self.key = FollowerKey { account: self.account.id.clone(), follower };
    }

    fn review(&self) -> &Review {
        self.record().review.as_ref().unwrap()
    }

    fn say(&mut self, verdict: Verdict, operator: &str) -> Result<Reviewed, Error> {
        let (id, operator): (ReviewId, OperatorName) = (self.review().id, operator.parse().unwrap());
        self.at(60, |scene, work, key, _| scene.review(work, key, id, verdict, &operator))
    }

    /// The customer tied, and where the review stands.
    fn stands(&self) -> (Option<&str>, State, ReviewState) {
        let tied = self.record().tie.as_ref().map(|tie| tie.tie.customer_id.as_str());
        (tied, self.state(), self.review().state)
    }

    fn last_said(&self) -> Purpose {
        self.work.deliveries.last().unwrap().purpose
    }

    fn audited(&self, action: &str) -> usize {
        self.work.audits.iter().filter(|line| line.action == action).count()
    }
}

#[test]
fn what_people_decide_is_kept_for_as_long_as_the_dialogue_waits() {
    let stage = Stage::in_review();
    let review = stage.review();
    assert_eq!(stage.stands(), (None, State::Review, ReviewState::Open));
    let subject = review.subject.as_ref().unwrap();
    assert_eq!(
        (subject.account.account_number.as_str(), subject.identity.name.as_str()),
        ("1234567", "山田")
    );
    assert_eq!(stage.record().dialogue.as_ref().unwrap().due_time, Some(review.expire_time));
    assert_eq!(review.expire_time.duration_since(review.open_time), SignedDuration::from_hours(24 * 14));
    assert!(stage.record().dialogue.as_ref().unwrap().given.is_none());
    assert!(stage.work.guesses.values().all(|count| count.charged == 0), "no wrong guess");
}

#[test]
fn an_approval_ties_and_says_so_and_a_rejection_says_that_it_could_not_be_confirmed() {
    let mut stage = Stage::in_review();
    stage.say(Verdict::Approved, "sato").unwrap();
    assert_eq!(stage.stands(), (Some("C1"), State::Confirmed, ReviewState::Approved));
    assert_eq!(
        (stage.last_said(), stage.audited("review decided"), stage.audited("tied")),
        (Purpose::Confirmed, 1, 1)
    );
    assert_eq!(stage.record().tie.as_ref().unwrap().method, IdentityMethod::Jpki);
    let proved = stage.record().tie.as_ref().unwrap().tie.holder.proved_time;
    assert_eq!(proved, stage.now, "a minute before the word was said");

    let mut stage = Stage::in_review();
    stage.say(Verdict::Rejected, "sato").unwrap();
    assert_eq!(stage.stands(), (None, State::Rejected, ReviewState::Rejected));
    assert_eq!((stage.last_said(), stage.audited("tied")), (Purpose::ReviewRejected, 0));
    assert_eq!(stage.record().matched.proposed_customer, None);
    stage.tell(&Event::Chose(Choice::TryAgain));
    assert_eq!(stage.state(), State::AccountAsked, "the person may try again");
}

#[test]
fn however_a_review_ends_nothing_of_the_person_is_kept() {
    type End = fn(&mut Stage);
    let ends: [(End, ReviewState); 4] = [
        (|stage| drop(stage.say(Verdict::Approved, "sato")), ReviewState::Approved),
        (|stage| drop(stage.say(Verdict::Rejected, "sato")), ReviewState::Rejected),
        (|stage| stage.tell(&Event::Due), ReviewState::Expired),
        (|stage| stage.leave("kumo", 90), ReviewState::Withdrawn),
    ];
    for (end, state) in ends {
        let mut stage = Stage::in_review();
        end(&mut stage);
        assert_eq!((stage.review().state, &stage.review().subject), (state, &None));
        assert!(stage.review().close_time.is_some() && stage.audited("review ended") == 1);
        let error = stage.say(Verdict::Approved, "kato").unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unavailable, "another call has to look at what it has become");
    }
}

#[test]
fn a_second_person_has_to_approve_where_the_account_wants_it() {
    let mut stage = Stage::in_review();
    stage.account.rules.review_second_person = true;
    stage.say(Verdict::Approved, "sato").unwrap();
    assert_eq!(stage.stands(), (None, State::Review, ReviewState::ApprovedOnce));
    assert!(stage.review().subject.is_some(), "the second person has to see it, too");
    let before = stage.review().clone();
    assert_eq!(stage.say(Verdict::Approved, "sato").unwrap_err().kind, ErrorKind::FailedPrecondition);
    assert_eq!(*stage.review(), before);
    stage.say(Verdict::Approved, "kato").unwrap();
    assert_eq!(stage.stands(), (Some("C1"), State::Confirmed, ReviewState::Approved));
    assert_eq!(stage.review().decisions.len(), 2);
}

#[test]
fn what_quiet_hours_hold_back_is_the_message_and_not_the_tie() {
    let mut stage = Stage::in_review();
    // Nine in the morning in Tokyo; quiet until noon.
    stage.account.rules.quiet_hours =
        musubi_domain::quiet_hours::QuietHours::parse("22:00-12:00", "Asia/Tokyo").unwrap();
    stage.say(Verdict::Approved, "sato").unwrap();
    assert!(stage.record().tie.is_some());
    let said = stage.work.deliveries.last().unwrap();
    assert_eq!(said.due_time, "2026-11-23T03:00:00Z".parse().unwrap());
    assert!(said.expire_time > said.due_time);
}

#[test]
fn a_review_without_a_customer_can_only_be_rejected() {
    let mut stage = Stage::in_review();
    stage.work.followers.get_mut(&stage.key).unwrap().review.as_mut().unwrap().proposed_customer = None;
    let error = stage.say(Verdict::Approved, "sato").unwrap_err();
    assert_eq!((error.kind, stage.review().decisions.len()), (ErrorKind::FailedPrecondition, 0));
    stage.say(Verdict::Rejected, "sato").unwrap();
}

#[test]
fn one_customer_from_two_numbers_in_one_batch_is_tied_once_and_the_other_is_for_people() {
    let mut stage = Stage::tied();
    let first = stage.key.clone();
    stage.as_number("+818099999999");
    stage.verified();
    stage.decide(MatchOutcome::Confirmed);
    assert_eq!(stage.stands(), (None, State::Review, ReviewState::Open));
    assert_eq!(stage.review().reasons, ["customer_tied_to_another_number"]);
    assert_eq!(stage.last_said(), Purpose::NotConfirmed, "nothing tells the person why");

    assert_eq!(stage.say(Verdict::Approved, "sato").unwrap().ended, Some(first.follower));
    assert_eq!(stage.stands().0, Some("C1"));
    let other = &stage.work.followers[&first];
    assert!(other.tie.is_none(), "the customer moved");
    assert_eq!(other.dialogue.as_ref().unwrap().state, State::Declined, "as if the person had untied");
    assert!(
        stage.work.deliveries.iter().filter(|delivery| delivery.key == first).count() == 4,
        "and is told nothing"
    );
}

#[test]
fn a_customer_whose_other_number_has_left_meanwhile_is_simply_tied() {
    let mut stage = Stage::tied();
    let first = stage.key.clone();
    stage.leave("kumo", 10);
    stage.as_number("+818099999999");
    stage.verified();
    stage.decide(MatchOutcome::Confirmed);
    assert_eq!((stage.state(), stage.record().review.is_none()), (State::Confirmed, true));
    assert!(stage.work.followers[&first].tie.is_none());
}

#[test]
fn a_number_that_was_another_customers_is_for_people() {
    let mut stage = Stage::tied();
    stage.leave("kumo", 10);
    stage.arrive("kumo", 20);
    stage.tell(&Event::Due);
    stage.give_account();
    assert!(stage.verify());
    stage.decide_for(MatchOutcome::Confirmed, "C2");
    assert_eq!(stage.stands(), (None, State::Review, ReviewState::Open));
    assert_eq!(stage.review().reasons, ["number_was_another_customers"]);

    let mut stage = Stage::tied();
    stage.leave("kumo", 10);
    stage.arrive("kumo", 20);
    stage.tell(&Event::Due);
    stage.give_account();
    assert!(stage.verify());
    stage.decide(MatchOutcome::Confirmed);
    assert_eq!(stage.state(), State::Confirmed, "the same customer came back");
}

#[test]
fn a_rejected_match_is_not_made_better_by_another_tie() {
    let mut stage = Stage::tied();
    stage.as_number("+818099999999");
    stage.verified();
    stage.decide(MatchOutcome::Rejected);
    assert_eq!((stage.state(), stage.record().review.is_none()), (State::Rejected, true));
}
