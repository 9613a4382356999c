//! Facts about whose number it is: carriers' answers, "this is not me", proofs that are renewed.

use musubi_domain::silence::{Holder, Silence};

use super::*;

const DAY: i64 = 24 * 3600;

impl Stage {
    fn holder(&self) -> Holder {
        self.record().tie.as_ref().unwrap().tie.holder
    }

    /// The tie as it is claimed to be asked about.
    fn to_ask(&self) -> ToAsk {
        let record = self.record();
        let tie = &record.tie.as_ref().unwrap().tie;
        ToAsk {
            key: self.key.clone(),
            phone_number: record.phone_number,
            carrier: record.carrier.clone(),
            tie: tie.id,
            holder: tie.holder,
        }
    }

    fn hear(&mut self, about: &ToAsk, recycling: Recycling, second: i64) -> bool {
        self.at(second, |scene, work, _, time| scene.hear_of_number(work, about, recycling, time))
    }

    fn audits(&self) -> Vec<&'static str> {
        self.work.audits.iter().map(|line| line.action).collect()
    }

    /// From the wish to renew to the decision.
    fn renew(&mut self, outcome: MatchOutcome, customer: &str) {
        self.tell(&Event::Due);
        assert_eq!(self.work.deliveries.last().unwrap().purpose, Purpose::Renewal);
        self.tell(&Event::Chose(Choice::Renew));
        let account_number = "1234567".to_owned();
        let given = musubi_domain::customer::GivenAccount { branch_number: None, account_number };
        self.tell(&Event::AccountGiven(given));
        assert!(self.verify());
        self.decide_for(outcome, customer);
    }
}

#[test]
fn a_recycled_number_loses_its_tie_and_whoever_has_it_is_asked_afresh() {
    let mut stage = Stage::tied();
    let about = stage.to_ask();
    assert!(stage.hear(&about, Recycling::Recycled, 28 * DAY));
    let record = stage.record();
    assert!(record.tie.is_none() && record.following);
    assert_eq!(
        record.former_customer.as_ref().map(CustomerId::as_str),
        Some("C1"),
        "the next match is people's"
    );
    assert_eq!(stage.state(), State::Waiting);
    assert_eq!(stage.work.withdrawn, [stage.key.clone()]);
    assert_eq!(stage.audits(), ["consented", "tied", "number recycled", "untied", "left"]);
    assert!(!stage.hear(&about, Recycling::Recycled, 29 * DAY), "once");
}

#[test]
fn an_answer_that_says_nothing_suspends_and_the_one_that_it_is_the_same_resumes() {
    for (unsure, word) in
        [(Recycling::NotFound, "number_not_found"), (Recycling::OutOfRange, "number_out_of_range")]
    {
        let mut stage = Stage::tied();
        let about = stage.to_ask();
        assert!(!stage.hear(&about, unsure, 28 * DAY));
        assert!(stage.holder().is_silent(stage.now + SignedDuration::from_secs(28 * DAY)));
        assert!(stage.work.audits.last().unwrap().detail.ends_with(word));
        let about = stage.to_ask();
        assert!(!stage.hear(&about, unsure, 29 * DAY), "told once");
        let about = stage.to_ask();
        assert!(!stage.hear(&about, Recycling::Same, 30 * DAY));
        let asked = stage.now + SignedDuration::from_secs(30 * DAY);
        assert_eq!(stage.holder(), Silence::of_days(30).proved(asked));
        assert_eq!(stage.audits(), ["consented", "tied", "tie suspended", "tie resumed"]);
        let about = stage.to_ask();
        assert!(!stage.hear(&about, Recycling::Same, 57 * DAY));
        assert_eq!(stage.audits().len(), 4, "what goes on as it was is not told");
    }
}

#[test]
fn who_came_from_another_carrier_is_asked_for_a_new_proof_and_goes_on() {
    let mut stage = Stage::tied();
    let about = stage.to_ask();
    stage.hear(&about, Recycling::OutOfRange, 28 * DAY);
    let asked = stage.now + SignedDuration::from_secs(28 * DAY);
    assert_eq!(stage.record().dialogue.as_ref().unwrap().due_time, Some(asked));
    stage.now = asked;
    stage.renew(MatchOutcome::Confirmed, "C1");
    assert_eq!((stage.holder(), stage.state()), (Silence::of_days(30).proved(asked), State::Confirmed));
}

#[test]
fn an_answer_has_no_effect_when_anything_became_of_the_tie_meanwhile() {
    let mut stage = Stage::tied();
    let about = stage.to_ask();
    let record = stage.work.followers.get_mut(&stage.key).unwrap();
    let tie = record.tie.as_mut().unwrap();
    tie.tie.holder = tie.tie.holder.doubted(Doubt::Refused, stage.now);
    let refused = stage.holder();
    for recycling in [Recycling::Same, Recycling::Recycled] {
        assert!(!stage.hear(&about, recycling, 28 * DAY));
        assert_eq!(stage.holder(), refused);
    }
    let about = stage.to_ask();
    stage.leave("kumo", 5);
    assert!(!stage.hear(&about, Recycling::Recycled, 28 * DAY));
    assert_eq!(stage.state(), State::Ended);
}

#[test]
fn who_is_not_the_customer_says_so_once_and_gets_nothing_individual() {
    let mut stage = Stage::tied();
    stage.at(10, |scene, work, key, _| scene.not_me(work, key));
    let record = stage.record();
    assert!(record.tie.is_none() && record.following);
    assert_eq!(record.former_customer.as_ref().map(CustomerId::as_str), Some("C1"));
    assert_eq!(stage.state(), State::Waiting);
    assert_eq!(stage.work.withdrawn, [stage.key.clone()], "what no carrier has is revoked");
    assert_eq!(stage.audits(), ["consented", "tied", "not me", "untied", "left"]);
}

#[test]
fn a_renewed_proof_makes_the_same_tie_last() {
    let mut stage = Stage::tied();
    let before = stage.record().tie.clone().unwrap();
    assert_eq!(
        stage.record().dialogue.as_ref().unwrap().due_time,
        Some(stage.now + SignedDuration::from_secs(166 * DAY))
    );
    stage.now += SignedDuration::from_secs(166 * DAY);
    stage.renew(MatchOutcome::Confirmed, "C1");
    let after = stage.record().tie.clone().unwrap();
    assert_eq!((after.tie.id, &after.tie.customer_id), (before.tie.id, &before.tie.customer_id));
    assert_eq!(after.tie.expire_time.duration_since(before.tie.expire_time).as_secs(), 166 * DAY);
    assert_eq!(after.tie.holder, Silence::of_days(30).proved(stage.now));
    assert_eq!((stage.state(), stage.record().former_customer.is_none()), (State::Confirmed, true));
    assert_eq!(stage.audits(), ["consented", "tied", "tie renewed"]);
}

#[test]
fn who_does_not_renew_keeps_the_tie_until_its_end() {
    let mut stage = Stage::tied();
    let before = stage.record().tie.clone();
    stage.tell(&Event::Due);
    assert_eq!((stage.state(), stage.record().tie.clone()), (State::Confirmed, before));
    assert_eq!(stage.work.deliveries.last().unwrap().purpose, Purpose::Renewal);
    assert_eq!(stage.record().dialogue.as_ref().unwrap().due_time, None, "once");
}

#[test]
fn a_new_proof_that_shows_somebody_else_suspends_the_tie_and_is_for_people() {
    let mut stage = Stage::tied();
    stage.renew(MatchOutcome::Confirmed, "C2");
    assert_eq!(stage.state(), State::Review);
    assert_eq!(stage.record().tie.as_ref().unwrap().tie.customer_id.as_str(), "C1");
    assert_eq!(stage.holder().doubt, Some(Doubt::NotConfirmed));
    assert!(stage.holder().is_silent(stage.now));

    let mut stage = Stage::tied();
    stage.renew(MatchOutcome::Rejected, "C1");
    assert_eq!((stage.state(), stage.holder().doubt), (State::Rejected, Some(Doubt::NotConfirmed)));
}

#[test]
fn who_says_no_in_a_later_dialogue_unties_what_is_left_of_an_earlier_one() {
    for no in [Choice::Decline, Choice::NoAccount] {
        let mut stage = Stage::tied();
        stage.renew(MatchOutcome::Rejected, "C1");
        stage.tell(&Event::Due);
        assert_eq!(stage.state(), State::Waiting);
        stage.tell(&Event::Due);
        assert!(stage.record().tie.is_some(), "nobody has said no yet");
        stage.tell(&Event::Chose(no));
        assert!(stage.record().tie.is_none());
    }
}

#[test]
fn a_customer_who_moves_while_the_tie_is_renewed_leaves_it() {
    let mut stage = Stage::tied();
    stage.tell(&Event::Due);
    stage.tell(&Event::Chose(Choice::Renew));
    stage.tell(&Event::CustomerMoved);
    assert_eq!((stage.state(), stage.record().tie.is_none()), (State::Declined, true));
}
