//! Facts about claims, leases and results.

use musubi_domain::{
    delivery::{DeliveryState as D, Signal, advance},
    distribution::Command,
};

use super::{
    Bench, at, attempts, claim, claimed, command, deliver, dialogues, distribute, follow, key, keys, learn,
    named, request, result, state_of, states,
};
use crate::information::{
    FollowerKey,
    delivery::{Attempt, AttemptOutcome, AttemptResult, Source},
    flow::NewDelivery,
};

/// What a carrier says of a message.
pub(super) const SIGNALS: [Signal; 6] = [
    Signal::Accepted,
    Signal::Rejected,
    Signal::Delivered,
    Signal::Displayed,
    Signal::Expired,
    Signal::Revoked,
];
const ACCEPTED: AttemptOutcome = AttemptOutcome::Known(Signal::Accepted);

/// One delivery to each of these followers of the bank.
async fn delivered_to(store: &dyn Bench, lasts: std::ops::Range<u8>) -> Vec<NewDelivery> {
    follow(store, "bank", lasts.clone()).await;
    let deliveries: Vec<_> = keys("bank", lasts).iter().map(|key| request(key, 0)).collect();
    deliver(store, &deliveries).await;
    deliveries
}

async fn state(store: &dyn Bench, attempt: &Attempt) -> D {
    states(store, &[(attempt.key.clone(), attempt.message_id)]).await[0]
}

/// The one attempt that starts at this time.
async fn next(store: &dyn Bench, second: i64) -> Option<Attempt> {
    let mut attempts = attempts(store, dialogues("bank"), second).await;
    assert!(attempts.len() <= 1);
    attempts.pop()
}

pub(crate) async fn a_claim_takes_what_is_due_in_order_up_to_its_limit(store: &dyn Bench) {
    follow(store, "bank", 1..6).await;
    let deliveries: Vec<_> = (1..6)
        .zip([40, 10, 30, 99, 20])
        .map(|(last, due)| NewDelivery { due_time: at(due), ..request(&key("bank", last), 0) })
        .collect();
    deliver(store, &deliveries).await;
    let claim = |second| super::Claim { limit: 2, ..claim(dialogues("bank"), second) };
    let mut found = Vec::new();
    for seen in [2, 2, 0] {
        let claimed = claimed(store, &claim(50)).await;
        assert_eq!(claimed.seen, seen);
        found.push(claimed.attempts.iter().map(|a| a.key.follower.as_bytes()[0]).collect::<Vec<_>>());
    }
    assert_eq!(found, [vec![2, 5], vec![3, 1], vec![]]);
    assert_eq!(claimed(store, &claim(99)).await.seen, 1);
}

pub(crate) async fn a_claim_takes_only_its_own_carrier_and_source(store: &dyn Bench) {
    follow(store, "bank", 1..3).await;
    follow(store, "power", [3]).await;
    let over = |last, carrier| NewDelivery { carrier: named(carrier), ..request(&key("bank", last), 0) };
    deliver(store, &[over(1, "alpha"), over(2, "beta"), request(&key("power", 3), 0)]).await;
    let bank = distribute(store, "bank", 1, &[]).await;
    let power = distribute(store, "power", 2, &[]).await;
    for (source, carrier, expected) in [
        (dialogues("bank"), "gamma", vec![]),
        (dialogues("bank"), "beta", vec![key("bank", 2)]),
        (dialogues("bank"), "alpha", vec![key("bank", 1)]),
        (dialogues("power"), "alpha", vec![key("power", 3)]),
        (Source::Distribution(bank), "beta", vec![]),
        (Source::Distribution(bank), "alpha", vec![key("bank", 1), key("bank", 2)]),
        (Source::Distribution(power), "alpha", vec![key("power", 3)]),
    ] {
        let claim = super::Claim { carrier: named(carrier), ..claim(source.clone(), 0) };
        let mut keys: Vec<_> = claimed(store, &claim).await.attempts.into_iter().map(|a| a.key).collect();
        keys.sort();
        assert_eq!(keys, expected, "{source:?} over {carrier}");
    }
}

pub(crate) async fn what_is_due_is_told_by_source_and_up_to_the_limit(store: &dyn Bench) {
    follow(store, "bank", 1..5).await;
    follow(store, "power", 5..7).await;
    follow(store, "gas", [7]).await;
    let later = NewDelivery { due_time: at(9), ..request(&key("bank", 1), 0) };
    let elsewhere = NewDelivery { carrier: named("beta"), ..request(&key("gas", 7), 0) };
    let at_once = |last| request(&key("bank", last), 0);
    let of_power = request(&key("power", 5), 0);
    deliver(store, &[later, at_once(2), at_once(3), at_once(4), of_power, elsewhere]).await;
    let bank = distribute(store, "bank", 1, &[]).await;
    let power = distribute(store, "power", 2, &[]).await;
    let paused = distribute(store, "gas", 3, &[]).await;
    command(store, "gas", paused, Command::Pause).await;
    let due = async |carrier: &str, limit, second| {
        let due = store.due(&named(carrier), limit, at(second)).await.unwrap();
        assert!(due.iter().all(|due| due.messages_per_second == 0));
        assert!(due.is_sorted_by_key(|due| matches!(due.source, Source::Distribution(_))), "{due:?}");
        let told = due.into_iter().map(|due| (due.source, due.account.to_string(), due.count));
        let (mut dialogues, mut distributions): (Vec<_>, Vec<_>) =
            told.partition(|(source, ..)| matches!(source, Source::Dialogues(_)));
        dialogues.sort_by_key(|(_, account, _)| account.clone());
        distributions.sort_by_key(|(_, account, _)| account.clone());
        (dialogues, distributions)
    };
    let told = |source: Source, account: &str, count| (source, account.to_owned(), count);
    let of_distributions = |of_bank, of_power| {
        vec![
            told(Source::Distribution(bank), "bank", of_bank),
            told(Source::Distribution(power), "power", of_power),
        ]
    };
    let of_dialogues = |of_bank, of_power| {
        vec![told(dialogues("bank"), "bank", of_bank), told(dialogues("power"), "power", of_power)]
    };
    assert_eq!(due("alpha", 100, 0).await, (of_dialogues(3, 1), of_distributions(4, 2)));
    assert_eq!(due("alpha", 100, 9).await, (of_dialogues(4, 1), of_distributions(4, 2)));
    assert_eq!(due("alpha", 2, 9).await, (of_dialogues(2, 1), of_distributions(2, 2)));
    assert_eq!(due("beta", 100, 0).await, (vec![told(dialogues("gas"), "gas", 1)], vec![]));
    assert_eq!(due("gamma", 100, 0).await, (vec![], vec![]));
    for source in [dialogues("bank"), Source::Distribution(power)] {
        attempts(store, source, 0).await;
    }
    let left =
        (vec![told(dialogues("power"), "power", 1)], vec![told(Source::Distribution(bank), "bank", 4)]);
    assert_eq!(due("alpha", 100, 0).await, left, "what is under way is not due");
}

pub(crate) async fn a_claimed_delivery_is_due_again_after_its_lease(store: &dyn Bench) {
    delivered_to(store, 1..2).await;
    let first = next(store, 0).await.unwrap();
    assert_eq!((first.attempt, state(store, &first).await), (1, D::Sending));
    assert_eq!(next(store, 59).await, None);
    let second = next(store, 60).await.unwrap();
    assert_eq!(second, Attempt { attempt: 2, ..first });
}

pub(crate) async fn too_many_failures_are_dead(store: &dyn Bench) {
    delivered_to(store, 1..2).await;
    let mut last = None;
    for attempt in 1..=3 {
        last = next(store, i64::from(attempt) * 60).await;
        assert_eq!(last.as_ref().map(|last| last.attempt), Some(attempt));
    }
    assert_eq!(next(store, 239).await, None);
    assert_eq!(state(store, last.as_ref().unwrap()).await, D::Sending, "its lease has not ended");
    assert_eq!(next(store, 240).await, None);
    assert_eq!(state(store, last.as_ref().unwrap()).await, D::Dead);
}

/// The attempt is counted, for it is the epoch of the lease; but not as a failure.
pub(crate) async fn what_the_carrier_puts_off_or_does_not_answer_is_no_failure(store: &dyn Bench) {
    delivered_to(store, 1..2).await;
    for attempt in 1..10 {
        let second = i64::from(attempt) * 100;
        let put_off = next(store, second).await.unwrap();
        assert_eq!(put_off.attempt, attempt);
        let due = at(second + 90);
        let outcome =
            if attempt < 5 { AttemptOutcome::Throttled(due) } else { AttemptOutcome::Unanswered(due) };
        let later = result(&put_off, outcome);
        learn(store, std::slice::from_ref(&later), second).await;
        learn(store, &[later], second).await;
        assert_eq!(state(store, &put_off).await, D::Queued);
        assert_eq!(next(store, second + 89).await, None);
    }
    for attempt in 10..13 {
        assert_eq!(next(store, i64::from(attempt) * 100).await.unwrap().attempt, attempt);
    }
    assert_eq!(next(store, 1_300).await, None, "three attempts failed");
}

pub(crate) async fn a_delivery_past_its_time_expires(store: &dyn Bench) {
    let deliveries = delivered_to(store, 1..3).await;
    let early = NewDelivery { expire_time: at(30), ..request(&key("bank", 1), 1) };
    deliver(store, std::slice::from_ref(&early)).await;
    let started = attempts(store, dialogues("bank"), 29).await;
    assert_eq!(started.len(), 3, "before");
    deliver(store, &[NewDelivery { message_id: request(&key("bank", 1), 2).message_id, ..early.clone() }])
        .await;
    assert_eq!(claimed(store, &claim(dialogues("bank"), 30)).await.seen, 1);
    let message = (key("bank", 1), request(&key("bank", 1), 2).message_id);
    assert_eq!(states(store, &[message]).await, [D::Expired], "a first attempt");
    let retried = attempts(store, dialogues("bank"), 89).await;
    assert_eq!(retried.len(), 2);
    assert_eq!(states(store, &[(early.key, early.message_id)]).await, [D::Expired], "a retry");
    assert_eq!(retried[0].expire_time, deliveries[0].expire_time);
}

pub(crate) async fn unknown_outcomes_are_due_again_and_count(store: &dyn Bench) {
    delivered_to(store, 1..2).await;
    for attempt in 1..=3 {
        let second = i64::from(attempt) * 100;
        let unknown = next(store, second).await.unwrap();
        assert_eq!(unknown.attempt, attempt);
        learn(store, &[result(&unknown, AttemptOutcome::Unknown(at(second + 5)))], second).await;
        assert_eq!(state(store, &unknown).await, D::Sending, "the carrier may have it");
        assert_eq!(next(store, second + 4).await, None);
    }
    assert_eq!(claimed(store, &claim(dialogues("bank"), 305)).await.attempts, []);
    assert_eq!(states(store, &[(key("bank", 1), request(&key("bank", 1), 0).message_id)]).await, [D::Dead]);
}

pub(crate) async fn results_of_an_earlier_attempt_move_states_but_not_leases(store: &dyn Bench) {
    delivered_to(store, 1..2).await;
    let first = next(store, 0).await.unwrap();
    let second = next(store, 60).await.unwrap();
    let late = |outcome| [result(&first, outcome)];
    learn(store, &late(AttemptOutcome::Throttled(at(70))), 65).await;
    learn(store, &late(AttemptOutcome::Unknown(at(70))), 65).await;
    assert_eq!(state(store, &second).await, D::Sending);
    assert_eq!(next(store, 119).await, None, "the lease is the second attempt's");
    learn(store, &late(ACCEPTED), 65).await;
    assert_eq!(state(store, &second).await, D::Accepted);
    assert_eq!(next(store, 500).await, None);
}

pub(crate) async fn a_receipt_may_come_before_the_acceptance(store: &dyn Bench) {
    let id = delivered_to(store, 1..2).await[0].message_id;
    let attempt = next(store, 0).await.unwrap();
    let receipt = |message_id| AttemptResult {
        message_id,
        attempt: 0,
        ..result(&attempt, AttemptOutcome::Known(Signal::Delivered))
    };
    let unknown = receipt(request(&key("bank", 1), 9).message_id);
    assert_eq!(store.record(&[receipt(id), unknown], at(0)).await.unwrap(), [true, false]);
    let before = store.rows_written().await;
    for outcome in [ACCEPTED, AttemptOutcome::Known(Signal::Rejected), AttemptOutcome::Unknown(at(1))] {
        learn(store, &[result(&attempt, outcome)], 1).await;
    }
    assert_eq!(store.rows_written().await, before, "nothing new");
    assert_eq!(state(store, &attempt).await, D::Delivered);
    assert_eq!(next(store, 1_000).await, None);
}

pub(crate) async fn results_are_recorded_once_and_in_their_order(store: &dyn Bench) {
    delivered_to(store, 1..5).await;
    let started = attempts(store, dialogues("bank"), 0).await;
    let known = |index: usize, signal| result(&started[index], AttemptOutcome::Known(signal));
    let results = [
        known(0, Signal::Accepted),
        known(0, Signal::Rejected),
        known(1, Signal::Rejected),
        known(1, Signal::Accepted),
        result(&started[2], AttemptOutcome::Throttled(at(10))),
        known(2, Signal::Accepted),
        known(2, Signal::Accepted),
        result(&started[3], AttemptOutcome::Unknown(at(10))),
        result(&started[3], AttemptOutcome::Unknown(at(20))),
    ];
    for _ in 0..2 {
        learn(store, &results, 1).await;
        let messages: Vec<_> = started.iter().map(|a| (a.key.clone(), a.message_id)).collect();
        assert_eq!(states(store, &messages).await, [D::Accepted, D::Rejected, D::Accepted, D::Sending]);
    }
    assert_eq!(next(store, 19).await, None);
    assert_eq!(next(store, 20).await.unwrap().key, started[3].key);
}

pub(crate) async fn signals_of_one_batch_move_deliveries_one_after_the_other(store: &dyn Bench) {
    delivered_to(store, 1..253).await;
    let started = attempts(store, dialogues("bank"), 0).await;
    // None: still on its way.
    let firsts = SIGNALS.map(Some).into_iter().chain([None]);
    let cases = firsts.flat_map(|first| SIGNALS.map(|second| SIGNALS.map(|third| (first, second, third))));
    let cases: Vec<_> = cases.flatten().collect();
    assert_eq!(cases.len(), started.len());
    let told = |(attempt, signal)| result(attempt, AttemptOutcome::Known(signal));
    let firsts = started.iter().zip(&cases).filter_map(|(attempt, (first, ..))| Some((attempt, (*first)?)));
    learn(store, &firsts.map(told).collect::<Vec<_>>(), 1).await;
    let both = |(attempt, (_, second, third))| [told((attempt, second)), told((attempt, third))];
    let both: Vec<_> = started.iter().zip(cases.clone()).flat_map(both).collect();
    assert_eq!(store.record(&both, at(2)).await.unwrap(), vec![true; both.len()]);
    super::balanced(store).await;
    let messages: Vec<_> = started.iter().map(|it| (it.key.clone(), it.message_id)).collect();
    let expected: Vec<_> = cases
        .into_iter()
        .map(|(first, second, third)| {
            let was = first.map_or(D::Sending, |first| advance(D::Sending, first));
            advance(advance(was, second), third)
        })
        .collect();
    assert_eq!(states(store, &messages).await, expected);
}

pub(crate) async fn results_for_another_follower_change_nothing(store: &dyn Bench) {
    delivered_to(store, 1..3).await;
    follow(store, "power", [1]).await;
    let started = attempts(store, dialogues("bank"), 0).await;
    let wrong = |key: FollowerKey| AttemptResult { key, ..result(&started[0], ACCEPTED) };
    let right = result(&started[0], AttemptOutcome::Known(Signal::Rejected));
    let results = [wrong(key("bank", 2)), right, wrong(key("power", 1)), wrong(key("bank", 9))];
    assert_eq!(store.record(&results[..1], at(1)).await.unwrap(), [false]);
    learn(store, &results[..1], 1).await;
    assert_eq!(state(store, &started[0]).await, D::Sending);
    learn(store, &results, 1).await;
    assert_eq!(state(store, &started[0]).await, D::Rejected);
    assert_eq!(state(store, &started[1]).await, D::Sending);
}

pub(crate) async fn accepted_deliveries_without_a_receipt_expire(store: &dyn Bench) {
    follow(store, "bank", 1..5).await;
    let expiring = |last, expire| NewDelivery { expire_time: at(expire), ..request(&key("bank", last), 0) };
    deliver(store, &[expiring(1, 30), expiring(2, 20), expiring(3, 10), expiring(4, 10)]).await;
    let distribution = distribute(store, "bank", 1, &[]).await;
    let mut started = attempts(store, dialogues("bank"), 0).await;
    started.extend(attempts(store, Source::Distribution(distribution), 0).await);
    let sending = started.remove(3);
    let accepted: Vec<_> = started.iter().map(|attempt| result(attempt, ACCEPTED)).collect();
    learn(store, &accepted, 1).await;
    for (before, limit, expired) in [(10, 10, 0), (30, 1, 1), (30, 10, 1), (30, 10, 0)] {
        assert_eq!(store.expire_unconfirmed(at(before), limit, at(40)).await.unwrap(), expired);
        super::balanced(store).await;
    }
    let messages: Vec<_> = started.iter().take(3).map(|a| (a.key.clone(), a.message_id)).collect();
    assert_eq!(states(store, &messages).await, [D::Accepted, D::Expired, D::Expired]);
    assert_eq!(
        state(store, &sending).await,
        D::Sending,
        "what the carrier may not have is the claim's matter"
    );
    assert_eq!(store.expire_unconfirmed(at(50_001), 10, at(50_001)).await.unwrap(), 5);
    assert_eq!(state_of(store, distribution, &key("bank", 1)).await, D::Expired);
    learn(store, &[result(&started[0], AttemptOutcome::Known(Signal::Delivered))], 50_002).await;
    assert_eq!(state(store, &started[0]).await, D::Delivered, "a late receipt is a fact");
}
