//! Facts about the gate: what a claim starts, and for whom (I1, I2, I3).

use musubi_domain::{
    delivery::{DeliveryState as D, Purpose},
    distribution::Command,
    id::{DialogueId, DistributionId, TieId},
};

use super::{
    Bench, at, attempts, change, command, deliver, dialogues, distribute, draft, follow, key, named, request,
    state_of, states, tie, tied, walk,
};
use crate::information::{
    delivery::{Attempt, Source},
    flow::{FollowerRecord, TieRecord},
};

/// The attempts of a distribution: follower's last byte, what it says, values.
async fn said(store: &dyn Bench, id: DistributionId, second: i64) -> Vec<(u8, Purpose, Vec<String>)> {
    let attempts = attempts(store, Source::Distribution(id), second).await;
    attempts.into_iter().map(|a| (a.key.follower.as_bytes()[0], a.purpose, a.values)).collect()
}

fn individual(last: u8, value: &str) -> (u8, Purpose, Vec<String>) {
    (last, Purpose::Individual, vec![value.to_owned()])
}

fn uniform(last: u8) -> (u8, Purpose, Vec<String>) {
    (last, Purpose::Uniform, Vec::new())
}

pub(crate) async fn confirmed_followers_with_values_get_the_individual_message(store: &dyn Bench) {
    follow(store, "bank", 1..5).await;
    tied(store, "bank", &[(1, "C1"), (2, "C2"), (3, "C3")]).await;
    let id = distribute(store, "bank", 1, &[("C1", "一"), ("C3", "三"), ("C9", "九")]).await;
    assert_eq!(said(store, id, 0).await, [individual(1, "一"), uniform(2), individual(3, "三"), uniform(4)]);
}

type Doubt = (&'static str, fn(&mut FollowerRecord));

/// What is doubtful about a tie at second 100, and leaves the follower a follower.
fn doubts() -> [Doubt; 7] {
    fn tied(record: &mut FollowerRecord) -> &mut TieRecord {
        record.tie.as_mut().unwrap()
    }
    [
        ("no tie", |record| record.tie = None),
        ("another tie to the same customer", |record| {
            tied(record).tie.id = TieId::derive(DialogueId::derive(key("bank", 1).follower, 1));
        }),
        ("a tie to another customer", |record| tied(record).tie.customer_id = named("C2")),
        ("a suspended tie", |record| tied(record).tie.suspended = true),
        ("an expired tie", |record| tied(record).tie.expire_time = at(100)),
        ("a silent number", |record| tied(record).tie.holder.silent_time = at(100)),
        // The last, because no new tie ends it.
        ("a follower whom the company suspended", |record| record.suspended = true),
    ]
}

pub(crate) async fn on_any_doubt_the_first_attempt_is_uniform(store: &dyn Bench) {
    follow(store, "bank", [1]).await;
    let key = key("bank", 1);
    for (number, (doubt, make)) in (1..).zip(doubts()) {
        tied(store, "bank", &[(1, "C1")]).await;
        let id = distribute(store, "bank", number, &[("C1", "一")]).await;
        change(store, &key, make).await;
        // A new tie to the same customer is as good as any: nothing was made for the old one yet.
        let expected = if doubt.starts_with("another tie") { individual(1, "一") } else { uniform(1) };
        assert_eq!(said(store, id, 100).await, [expected], "{doubt}");
    }
}

pub(crate) async fn who_does_not_follow_gets_nothing(store: &dyn Bench) {
    follow(store, "bank", [1]).await;
    tied(store, "bank", &[(1, "C1")]).await;
    let key = key("bank", 1);
    let id = distribute(store, "bank", 1, &[("C1", "一")]).await;
    deliver(store, &[request(&key, 0)]).await;
    change(store, &key, |record| record.following = false).await;
    assert_eq!(said(store, id, 0).await, []);
    assert!(attempts(store, dialogues("bank"), 0).await.is_empty());
    assert_eq!(state_of(store, id, &key).await, D::Revoked);
    assert_eq!(states(store, &[(key.clone(), request(&key, 0).message_id)]).await, [D::Revoked]);
    change(store, &key, |record| record.following = true).await;
    assert_eq!(said(store, id, 1_000).await, [], "following again brings nothing back");
}

/// A distribution whose individual message to follower 1, tied to C1, was attempted once; its lease ends at second 60.
async fn attempted(store: &dyn Bench, number: u8) -> DistributionId {
    tied(store, "bank", &[(1, "C1")]).await;
    let id = distribute(store, "bank", number, &[("C1", "一"), ("C2", "二")]).await;
    assert_eq!(said(store, id, 0).await, [individual(1, "一")]);
    id
}

pub(crate) async fn an_individual_retry_goes_to_its_own_tie_or_not_at_all(store: &dyn Bench) {
    follow(store, "bank", [1]).await;
    let key = key("bank", 1);
    let unfollowed: Doubt = ("not following", |record| record.following = false);
    for (number, (doubt, make)) in (1..).zip(doubts().into_iter().chain([unfollowed])) {
        change(store, &key, |record| (record.following, record.suspended) = (true, false)).await;
        let id = attempted(store, number).await;
        change(store, &key, make).await;
        assert_eq!(said(store, id, 100).await, [], "{doubt}");
        assert_eq!(state_of(store, id, &key).await, D::Revoked, "{doubt}");
        tied(store, "bank", &[(1, "C1")]).await;
        assert_eq!(said(store, id, 1_000).await, [], "what was revoked stays so: {doubt}");
    }
}

pub(crate) async fn an_individual_retry_that_is_allowed_says_the_same(store: &dyn Bench) {
    follow(store, "bank", [1]).await;
    let id = attempted(store, 1).await;
    assert_eq!(said(store, id, 60).await, [individual(1, "一")]);
}

pub(crate) async fn a_uniform_retry_stays_uniform(store: &dyn Bench) {
    follow(store, "bank", [1]).await;
    let id = distribute(store, "bank", 1, &[("C1", "一")]).await;
    assert_eq!(said(store, id, 0).await, [uniform(1)]);
    tied(store, "bank", &[(1, "C1")]).await;
    assert_eq!(said(store, id, 60).await, [uniform(1)], "one message id says one thing");
}

pub(crate) async fn requests_leave_only_in_the_present_dialogue(store: &dyn Bench) {
    follow(store, "bank", 1..4).await;
    let keys = super::keys("bank", 1..4);
    let requests: Vec<_> = keys.iter().map(|key| request(key, 0)).collect();
    deliver(store, &requests).await;
    let mut bare = super::follower(4);
    bare.dialogue = None;
    super::put(store, vec![(key("bank", 4), bare)]).await;
    deliver(store, &[request(&key("bank", 4), 0)]).await;
    change(store, &keys[1], |record| {
        let dialogue = record.dialogue.as_mut().unwrap();
        (dialogue.turn, dialogue.id) = (1, DialogueId::derive(keys[1].follower, 1));
    })
    .await;
    let started = attempts(store, dialogues("bank"), 0).await;
    let expected = |index: usize| Attempt {
        key: keys[index].clone(),
        message_id: requests[index].message_id,
        attempt: 1,
        phone_number: super::number(keys[index].follower.as_bytes()[0]),
        purpose: Purpose::Question,
        dialogue: Some(requests[index].dialogue),
        tie: None,
        values: Vec::new(),
        expire_time: requests[index].expire_time,
    };
    assert_eq!(started, [expected(0), expected(2)]);
    let ids: Vec<_> = requests.into_iter().map(|new| (new.key, new.message_id)).collect();
    assert_eq!(states(store, &ids).await, [D::Sending, D::Revoked, D::Sending]);
    let without = request(&key("bank", 4), 0);
    assert_eq!(states(store, &[(without.key, without.message_id)]).await, [D::Revoked]);
}

pub(crate) async fn values_are_of_the_customer_of_the_tie(store: &dyn Bench) {
    // The same follower ids and customer ids in two companies, two distributions in one of them.
    for account in ["bank", "power"] {
        follow(store, account, 1..4).await;
        tied(store, account, &[(1, "C1"), (2, "C2"), (3, "C3")]).await;
    }
    let bank = distribute(store, "bank", 1, &[("C1", "bank 1"), ("C2", "bank 2"), ("C3", "bank 3")]).await;
    let again = distribute(store, "bank", 2, &[("C2", "again 2")]).await;
    let power = distribute(store, "power", 3, &[("C1", "power 1"), ("C3", "power 3")]).await;
    assert_eq!(
        said(store, bank, 0).await,
        [individual(1, "bank 1"), individual(2, "bank 2"), individual(3, "bank 3")]
    );
    assert_eq!(said(store, again, 0).await, [uniform(1), individual(2, "again 2"), uniform(3)]);
    assert_eq!(said(store, power, 0).await, [individual(1, "power 1"), uniform(2), individual(3, "power 3")]);
    // The tie that counts is the one at the first attempt, whatever it was when the delivery was made.
    let later = distribute(store, "bank", 4, &[("C1", "later 1"), ("C2", "later 2")]).await;
    let other = tie(&key("bank", 1), "C2");
    change(store, &key("bank", 2), |record| record.tie = None).await;
    change(store, &key("bank", 1), |record| record.tie = Some(other.clone())).await;
    assert_eq!(said(store, later, 0).await, [individual(1, "later 2"), uniform(2), uniform(3)]);
}

pub(crate) async fn a_distribution_that_does_not_run_yields_nothing(store: &dyn Bench) {
    follow(store, "bank", [1]).await;
    let early = draft(store, "bank", 1, &[], 30).await;
    assert_eq!(said(store, early, 100).await, [], "a draft");
    command(store, "bank", early, Command::Start).await;
    walk(store, early, 10, 30).await;
    assert_eq!(said(store, early, 29).await, [], "not yet");
    command(store, "bank", early, Command::Pause).await;
    assert_eq!(said(store, early, 30).await, [], "paused");
    command(store, "bank", early, Command::Resume).await;
    assert_eq!(said(store, early, 30).await, [uniform(1)]);
    let cancelled = distribute(store, "bank", 2, &[]).await;
    command(store, "bank", cancelled, Command::Cancel).await;
    assert_eq!(said(store, cancelled, 100).await, [], "cancelled");
    assert_eq!(said(store, DistributionId::from_bytes([9; 16]), 100).await, [], "unknown");
}
