//! Facts about what a company's people do to a follower by hand.

use super::*;

fn sato() -> OperatorName {
    "sato".parse().unwrap()
}

impl Stage {
    fn untie(&mut self) -> bool {
        self.at(0, |scene, work, key, _| scene.untie(work, key, &sato()))
    }

    fn suspend(&mut self, suspended: bool) -> bool {
        self.at(0, |scene, work, key, _| scene.suspend_by_hand(work, key, suspended, &sato()))
    }
}

#[test]
fn a_tie_ended_by_hand_goes_as_if_the_person_had_untied_it_and_says_nothing() {
    let mut stage = Stage::tied();
    let said = stage.work.deliveries.len();
    assert!(stage.untie());
    let record = stage.record();
    assert_eq!((stage.state(), &record.tie), (State::Declined, &None));
    assert_eq!(record.former_customer.as_ref().map(CustomerId::as_str), Some("C1"));
    assert_eq!(stage.work.deliveries.len(), said);
    let lines: Vec<_> = stage.work.audits.iter().rev().take(2).map(|line| line.action).collect();
    assert_eq!(lines, ["untied", "untie asked"]);
    assert_eq!(stage.work.audits.iter().rev().nth(1).unwrap().detail, "by sato");

    let (before, audits) = (stage.record().clone(), stage.work.audits.len());
    assert!(!stage.untie(), "there is none any more");
    assert_eq!((stage.record(), stage.work.audits.len()), (&before, audits));
}

#[test]
fn who_renews_is_untied_by_hand_too() {
    let mut stage = Stage::tied();
    stage.tell(&Event::Due);
    stage.tell(&Event::Chose(Choice::Renew));
    assert!(stage.untie());
    assert_eq!((stage.state(), stage.record().tie.is_none()), (State::Declined, true));
}

#[test]
fn a_suspension_outlives_tie_and_return_until_it_is_released() {
    let mut stage = Stage::tied();
    assert!(stage.suspend(true) && !stage.suspend(true));
    assert!(stage.record().tie.is_some(), "the tie stays");
    stage.untie();
    stage.leave("kumo", 10);
    stage.arrive("kumo", 20);
    assert!(stage.record().following && stage.record().suspended);
    assert!(stage.suspend(false) && !stage.suspend(false));
    let told: Vec<_> = stage.work.audits.iter().map(|line| line.action).collect();
    let times = |action: &str| told.iter().filter(|it| **it == action).count();
    assert_eq!((times("suspended"), times("released")), (1, 1));

    let mut nobody = Stage::new();
    assert!(!nobody.suspend(true) && !nobody.untie() && nobody.work.audits.is_empty());
}
