//! Facts about running distributions: walked step by step, brought to an end, taken back.

use musubi_domain::{
    delivery::{DeliveryState, Purpose, Signal},
    distribution::{Command, State},
    id::DistributionId,
};

use super::{
    Bench, at, attempts, balanced, change, claim, claimed, command, distribute, draft, follow, key, learn,
    named, result, state_of, walk,
};
use crate::information::{
    delivery::{AttemptOutcome, Claim, Claimed, Source},
    expansion::Revocable,
};

async fn stands(store: &dyn Bench, id: DistributionId) -> (State, Vec<(Purpose, DeliveryState, u64)>) {
    let distribution = store.get_distribution(&named("bank"), id).await.unwrap();
    (distribution.state, distribution.deliveries)
}

/// Everyone for whom there is a delivery, by follower.
async fn reached(store: &dyn Bench, id: DistributionId) -> Vec<u8> {
    let sent = attempts(store, Source::Distribution(id), 0).await;
    for attempt in &sent {
        assert_eq!(attempt.message_id, store.message_of(id, &attempt.key).await);
    }
    sent.iter().map(|attempt| attempt.key.follower.as_bytes()[0]).collect()
}

pub(crate) async fn every_follower_gets_one_delivery_over_their_carrier(store: &dyn Bench) {
    follow(store, "bank", 1..=6).await;
    follow(store, "power", 7..=8).await;
    change(store, &key("bank", 2), |record| record.following = false).await;
    change(store, &key("bank", 5), |record| record.carrier = named("beta")).await;
    let id = draft(store, "bank", 1, &[], 0).await;
    command(store, "bank", id, Command::Start).await;
    assert_eq!(walk(store, id, 100, 0).await, (5, false));
    assert_eq!(walk(store, id, 100, 0).await, (0, false), "twice doubles nothing");
    assert_eq!(reached(store, id).await, [1, 3, 4, 6]);
    let beta = Claim { carrier: named("beta"), ..claim(Source::Distribution(id), 0) };
    let over_beta = claimed(store, &beta).await.attempts;
    assert_eq!((over_beta.len(), &over_beta[0].key), (1, &key("bank", 5)));
}

pub(crate) async fn followers_are_attempted_as_they_are_walked(store: &dyn Bench) {
    follow(store, "bank", 1..=6).await;
    change(store, &key("bank", 2), |record| record.carrier = named("beta")).await;
    super::tied(store, "bank", &[(3, "C3"), (4, "C4")]).await;
    let id = draft(store, "bank", 1, &[("C3", "三")], 0).await;
    command(store, "bank", id, Command::Start).await;
    let source = Source::Distribution(id);
    let due = store.due(&named("alpha"), 4, at(0)).await.unwrap();
    assert_eq!((due.len(), &due[0].source, due[0].count), (1, &source, 4), "as many as may be");
    let first = claimed(store, &Claim { limit: 4, ..claim(source.clone(), 0) }).await;
    assert_eq!((first.seen, first.more), (5, true), "four of alpha's, and one of beta's in between");
    let mut said: Vec<_> = first.attempts.iter().map(|it| (it.key.clone(), it.purpose, it.attempt)).collect();
    said.sort_by(|one, other| one.0.cmp(&other.0));
    let expected =
        [(1, Purpose::Uniform), (3, Purpose::Individual), (4, Purpose::Uniform), (5, Purpose::Uniform)];
    assert_eq!(said, expected.map(|(last, purpose)| (key("bank", last), purpose, 1)));
    assert_eq!(state_of(store, id, &key("bank", 2)).await, DeliveryState::Queued, "beta's turn");
    assert_eq!(state_of(store, id, &key("bank", 3)).await, DeliveryState::Sending);
    let second = claimed(store, &Claim { limit: 4, ..claim(source.clone(), 1) }).await;
    assert_eq!((second.seen, second.more), (1, false));
    assert_eq!(claimed(store, &claim(source.clone(), 59)).await.attempts, []);
    // The tie that the first attempt was made for has ended: nobody else's values go out in its place.
    change(store, &key("bank", 3), |record| record.tie = None).await;
    let again = attempts(store, source, 60).await;
    assert_eq!(
        again.iter().map(|it| (it.key.follower.as_bytes()[0], it.attempt)).collect::<Vec<_>>(),
        [(1, 2), (4, 2), (5, 2)]
    );
    assert_eq!(state_of(store, id, &key("bank", 3)).await, DeliveryState::Revoked);
}

pub(crate) async fn who_is_due_and_who_is_walked_are_claimed_together(store: &dyn Bench) {
    follow(store, "bank", 1..=9).await;
    for beta in [2, 3, 8] {
        change(store, &key("bank", beta), |record| record.carrier = named("beta")).await;
    }
    let id = draft(store, "bank", 1, &[], 0).await;
    command(store, "bank", id, Command::Start).await;
    let over =
        |carrier: &str, limit| Claim { carrier: named(carrier), limit, ..claim(Source::Distribution(id), 0) };
    let lasts = |claimed: &Claimed| {
        let mut lasts: Vec<_> = claimed.attempts.iter().map(|it| it.key.follower.as_bytes()[0]).collect();
        lasts.sort_unstable();
        lasts
    };
    let first = claimed(store, &over("alpha", 2)).await;
    assert_eq!((lasts(&first), first.seen, first.more), (vec![1, 4], 4, true));
    let second = claimed(store, &over("beta", 6)).await;
    assert_eq!((lasts(&second), second.seen, second.more), (vec![2, 3, 8], 7, false), "two of them were due");
    let third = claimed(store, &over("alpha", 5)).await;
    assert_eq!((lasts(&third), third.seen, third.more), (vec![5, 6, 7, 9], 4, false));
}

pub(crate) async fn an_expansion_goes_on_where_it_stopped(store: &dyn Bench) {
    follow(store, "bank", 1..=7).await;
    let id = draft(store, "bank", 1, &[], 0).await;
    command(store, "bank", id, Command::Start).await;
    assert_eq!(walk(store, id, 3, 0).await, (3, true));
    command(store, "bank", id, Command::Pause).await;
    assert_eq!(walk(store, id, 3, 0).await, (0, false), "paused");
    command(store, "bank", id, Command::Resume).await;
    assert_eq!(walk(store, id, 3, 0).await, (3, true));
    assert_eq!(walk(store, id, 3, 0).await, (1, false));
    assert_eq!(reached(store, id).await, [1, 2, 3, 4, 5, 6, 7]);
}

pub(crate) async fn who_follows_while_it_is_made_gets_it_too(store: &dyn Bench) {
    follow(store, "bank", [2, 4]).await;
    let id = draft(store, "bank", 1, &[], 0).await;
    command(store, "bank", id, Command::Start).await;
    walk(store, id, 1, 0).await;
    follow(store, "bank", [3, 5]).await;
    while walk(store, id, 1, 0).await.1 {}
    assert_eq!(reached(store, id).await, [2, 3, 4, 5]);
}

pub(crate) async fn only_a_running_distribution_whose_time_has_come_is_expanded(store: &dyn Bench) {
    follow(store, "bank", [1]).await;
    let id = draft(store, "bank", 1, &[], 10).await;
    let nothing = (0, false);
    assert_eq!(walk(store, id, 9, 20).await, nothing, "a draft");
    command(store, "bank", id, Command::Start).await;
    assert_eq!(walk(store, id, 9, 9).await, nothing, "too early");
    assert_eq!(walk(store, id, 9, 10).await.0, 1);
    let unknown = DistributionId::from_bytes([9; 16]);
    assert_eq!(walk(store, unknown, 9, 20).await, nothing);
}

pub(crate) async fn what_is_expanded_too_late_is_expired(store: &dyn Bench) {
    follow(store, "bank", 1..=3).await;
    let id = draft(store, "bank", 1, &[], 0).await;
    command(store, "bank", id, Command::Start).await;
    walk(store, id, 1, 0).await;
    assert_eq!(store.expire_unmade(9, at(49_999)).await.unwrap(), 0);
    assert_eq!(walk(store, id, 9, 50_000).await, (0, false), "it is too late");
    assert_eq!(store.expire_unmade(1, at(50_000)).await.unwrap(), 1);
    assert_eq!(store.expire_unmade(9, at(50_000)).await.unwrap(), 1);
    assert_eq!(store.expire_unmade(9, at(50_000)).await.unwrap(), 0);
    balanced(store).await;
    let counts =
        [(Purpose::Undecided, DeliveryState::Queued, 1), (Purpose::Undecided, DeliveryState::Expired, 2)];
    assert_eq!(stands(store, id).await.1, counts);
}

pub(crate) async fn overdue_deliveries_expire_unless_an_attempt_is_under_way(store: &dyn Bench) {
    follow(store, "bank", 1..=5).await;
    let running = distribute(store, "bank", 1, &[]).await;
    let paused = distribute(store, "bank", 2, &[]).await;
    let two = Claim { limit: 2, ..claim(Source::Distribution(running), 49_990) };
    assert_eq!(claimed(store, &two).await.attempts.len(), 2);
    command(store, "bank", paused, Command::Pause).await;
    assert_eq!(store.expire_overdue(100, at(49_999)).await.unwrap(), 0);
    let mut expired = 0;
    for _ in 0..5 {
        let some = store.expire_overdue(3, at(50_000)).await.unwrap();
        balanced(store).await;
        assert!(some <= 3);
        expired += some;
    }
    assert_eq!(expired, 3 + 5);
    assert_eq!(
        stands(store, paused).await,
        (State::Paused, vec![(Purpose::Undecided, DeliveryState::Expired, 5)])
    );
    assert_eq!(store.complete_finished(at(50_000)).await.unwrap(), [], "two attempts are under way");
    assert_eq!(store.expire_overdue(100, at(50_050)).await.unwrap(), 2, "their lease ended");
    assert_eq!(store.complete_finished(at(50_050)).await.unwrap(), [running]);
    balanced(store).await;
}

pub(crate) async fn a_distribution_is_completed_when_nothing_of_it_is_live(store: &dyn Bench) {
    follow(store, "bank", 1..=2).await;
    let id = draft(store, "bank", 1, &[], 0).await;
    command(store, "bank", id, Command::Start).await;
    assert_eq!(store.complete_finished(at(0)).await.unwrap(), [], "not expanded");
    walk(store, id, 9, 0).await;
    let sent = attempts(store, Source::Distribution(id), 0).await;
    learn(store, &[result(&sent[0], AttemptOutcome::Known(Signal::Accepted))], 0).await;
    assert_eq!(store.complete_finished(at(0)).await.unwrap(), [], "one is sending");
    learn(store, &[result(&sent[1], AttemptOutcome::Known(Signal::Rejected))], 0).await;
    assert_eq!(store.complete_finished(at(7)).await.unwrap(), [id]);
    assert_eq!(store.complete_finished(at(8)).await.unwrap(), []);
    let distribution = store.get_distribution(&named("bank"), id).await.unwrap();
    assert_eq!((distribution.state, distribution.end_time), (State::Completed, Some(at(7))));
    let nobody = draft(store, "power", 2, &[], 0).await;
    command(store, "power", nobody, Command::Start).await;
    assert_eq!(walk(store, nobody, 9, 0).await, (0, false));
    assert_eq!(store.complete_finished(at(9)).await.unwrap(), [nobody], "nobody follows");
    let lines = store.audit_lines(0, 1_000).await.unwrap();
    let ends = lines.into_iter().filter(|line| line.action == "distribution_completed");
    let told: Vec<_> = ends.map(|line| line.detail).collect();
    assert_eq!(told, [format!("{id} 2 uniform"), nobody.to_string()]);
}

pub(crate) async fn cancelling_withdraws_what_was_never_attempted(store: &dyn Bench) {
    follow(store, "bank", 1..=5).await;
    let (id, other) = (distribute(store, "bank", 1, &[]).await, distribute(store, "bank", 2, &[]).await);
    assert_eq!(store.withdraw(9, at(0)).await.unwrap(), 0, "nothing is cancelled");
    command(store, "bank", id, Command::Cancel).await;
    assert_eq!(attempts(store, Source::Distribution(id), 0).await, []);
    for expected in [2, 2, 1, 0] {
        assert_eq!(store.revocable(&named("alpha"), 9, at(0)).await.unwrap().is_some(), expected == 0);
        assert_eq!(store.withdraw(2, at(0)).await.unwrap(), expected);
        balanced(store).await;
    }
    let revoked = vec![(Purpose::Undecided, DeliveryState::Revoked, 5)];
    assert_eq!(stands(store, id).await, (State::Cancelled, revoked));
    assert_eq!(attempts(store, Source::Distribution(other), 0).await.len(), 5, "another one goes on");
}

/// Asks for pages until there are none, answering each message by whether its follower is `taken`.
async fn take_back(store: &dyn Bench, carrier: &str, limit: u32, second: i64, taken: &[u8]) -> Vec<u8> {
    let mut asked = Vec::new();
    while let Some(page) = store.revocable(&named(carrier), limit, at(second)).await.unwrap() {
        let same = store.revocable(&named(carrier), limit, at(second)).await.unwrap();
        assert_eq!(same.as_ref(), Some(&page), "a page stays until it is answered");
        let followers: Vec<u8> = page.messages.iter().map(|message| message.follower.as_bytes()[0]).collect();
        let answers: Vec<bool> = followers.iter().map(|follower| taken.contains(follower)).collect();
        assert!(
            page.messages
                .iter()
                .all(|message| message.sent.number == super::number(message.follower.as_bytes()[0]))
        );
        store.record_revoked(&page, &answers, at(second)).await.unwrap();
        balanced(store).await;
        asked.extend(followers);
    }
    asked
}

pub(crate) async fn what_a_carrier_may_have_is_asked_back_once(store: &dyn Bench) {
    follow(store, "bank", 1..=8).await;
    change(store, &key("bank", 8), |record| record.carrier = named("beta")).await;
    let id = distribute(store, "bank", 1, &[]).await;
    let sent = attempts(store, Source::Distribution(id), 0).await;
    let accepted = AttemptOutcome::Known(Signal::Accepted);
    learn(
        store,
        &[
            result(&sent[0], accepted),
            result(&sent[1], accepted),
            result(&sent[2], AttemptOutcome::Known(Signal::Delivered)),
            result(&sent[3], AttemptOutcome::Known(Signal::Rejected)),
            result(&sent[4], AttemptOutcome::Unknown(at(5))),
            result(&sent[5], AttemptOutcome::Throttled(at(5))),
        ],
        0,
    )
    .await;
    command(store, "bank", id, Command::Cancel).await;
    while store.withdraw(9, at(1)).await.unwrap() > 0 {}
    let asked = take_back(store, "alpha", 3, 70, &[1]).await;
    assert_eq!(asked, [1, 2, 5, 6, 7], "not what the phone has, what was refused, or another carrier's");
    let mut ends = Vec::new();
    for last in 1..=8 {
        ends.push(state_of(store, id, &key("bank", last)).await);
    }
    use DeliveryState::{Accepted, Delivered, Rejected, Revoked};
    // The last was never attempted.
    assert_eq!(ends, [Revoked, Accepted, Delivered, Rejected, Revoked, Revoked, Revoked, Revoked]);
    assert!(take_back(store, "alpha", 3, 80, &[]).await.is_empty());
    assert!(take_back(store, "beta", 3, 80, &[]).await.is_empty());
}

pub(crate) async fn an_attempt_under_way_is_waited_for(store: &dyn Bench) {
    follow(store, "bank", 1..=3).await;
    let id = distribute(store, "bank", 1, &[]).await;
    let sent = attempts(store, Source::Distribution(id), 0).await;
    learn(store, &[result(&sent[0], AttemptOutcome::Known(Signal::Accepted))], 0).await;
    command(store, "bank", id, Command::Cancel).await;
    assert_eq!(take_back(store, "alpha", 9, 1, &[1]).await, [1], "the page ends before the second");
    learn(store, &[result(&sent[1], AttemptOutcome::Known(Signal::Accepted))], 2).await;
    assert_eq!(take_back(store, "alpha", 9, 2, &[2]).await, [2]);
    assert_eq!(take_back(store, "alpha", 9, 60, &[]).await, [3], "its lease ended");
    let revoked = vec![(Purpose::Uniform, DeliveryState::Revoked, 3)];
    assert_eq!(stands(store, id).await.1, revoked);
}

pub(crate) async fn what_a_silent_carrier_may_have_of_a_cancelled_distribution_expires(store: &dyn Bench) {
    follow(store, "bank", [1]).await;
    let id = distribute(store, "bank", 1, &[]).await;
    attempts(store, Source::Distribution(id), 0).await;
    command(store, "bank", id, Command::Cancel).await;
    assert_eq!(store.expire_overdue(9, at(49_999)).await.unwrap(), 0);
    assert_eq!(store.expire_overdue(9, at(50_000)).await.unwrap(), 1);
    balanced(store).await;
    assert_eq!(stands(store, id).await.1, [(Purpose::Uniform, DeliveryState::Expired, 1)]);
    assert!(take_back(store, "alpha", 9, 50_000, &[]).await.is_empty());
}

pub(crate) async fn a_receipt_between_asking_and_recording_wins(store: &dyn Bench) {
    follow(store, "bank", [1]).await;
    let id = distribute(store, "bank", 1, &[]).await;
    let sent = attempts(store, Source::Distribution(id), 0).await;
    learn(store, &[result(&sent[0], AttemptOutcome::Known(Signal::Accepted))], 0).await;
    command(store, "bank", id, Command::Cancel).await;
    let page: Revocable = store.revocable(&named("alpha"), 9, at(1)).await.unwrap().unwrap();
    learn(store, &[result(&sent[0], AttemptOutcome::Known(Signal::Delivered))], 1).await;
    store.record_revoked(&page, &[true], at(1)).await.unwrap();
    balanced(store).await;
    assert_eq!(state_of(store, id, &key("bank", 1)).await, DeliveryState::Delivered);
}
