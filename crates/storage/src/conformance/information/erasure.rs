//! Facts about what is erased of people, and what is told of them before and after.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use musubi_domain::{
    consent::{Consent, ConsentKind, TextDigest},
    delivery::{Addressed, DeliveryState, Signal},
    dialogue::State,
    distribution::Command,
    erasure::{Cause, Erasure},
    guess::{Axis, Count},
    id::{DistributionId, OfficialAccountId},
    review::ReviewState,
};

use super::{
    Bench, Dice, at, attempts, balanced, change, claim, claimed, deliver, dialogue_id, dialogues, distribute,
    draft, follow, follower, key, keys, learn, load, named, of, put, request, result, state_of, tied, unit,
    walk,
};
use crate::information::{
    FollowerKey,
    delivery::{AttemptOutcome, AttemptResult, Claim, Source},
    erasure::{Asker, Held, PLACES, Place, Reading},
    flow::{GuessKey, Inquiry, Scope, Work},
    review::Review,
    trial::NewTrial,
};

fn asker() -> Asker {
    Asker { company: named("bank"), operator: named("sato") }
}

fn erasure(key: &FollowerKey, second: i64) -> Erasure {
    Erasure {
        account: key.account.clone(),
        follower: key.follower,
        company: named(key.account.as_str()),
        cause: Cause::Company,
        request_time: at(second),
        ask_time: at(second + 1_000),
    }
}

async fn ask(store: &dyn Bench, erasures: &[Erasure], due: i64) {
    let due = at(due);
    unit(store, &Scope::default(), |work: &mut Work| {
        work.erasures = erasures.iter().map(|erasure| (erasure.clone(), due)).collect();
    })
    .await;
}

async fn claim_due(store: &dyn Bench, second: i64) -> Vec<Erasure> {
    store.claim_erasures(at(second), at(second + 20), 1_000).await.unwrap()
}

/// Asks for the erasure of followers and does it.
async fn erase(store: &dyn Bench, followers: &[FollowerKey], second: i64) {
    let erasures: Vec<_> = followers.iter().map(|key| erasure(key, second)).collect();
    ask(store, &erasures, second).await;
    let claimed = claim_due(store, second).await;
    assert_eq!(claimed.len(), followers.len());
    store.erase(&claimed, at(second)).await.unwrap();
    balanced(store).await;
}

/// Tries a distribution on a follower.
async fn try_on(store: &dyn Bench, id: DistributionId, key: &FollowerKey) {
    let new = NewTrial {
        id: DistributionId::from_bytes([0xaa; 16]),
        company: named("bank"),
        of: id,
        request_id: uuid::Uuid::from_u128(99),
        digest: [9; 32],
        followers: vec![key.follower],
        operator: named("sato"),
    };
    store.try_distribution(&new, at(0)).await.unwrap();
}

async fn search(store: &dyn Bench, key: &FollowerKey, customer: Option<&str>) -> Held {
    let customer = customer.map(named);
    store.search_follower(&asker(), key, customer.as_ref(), at(9)).await.unwrap()
}

fn guess(key: &FollowerKey) -> GuessKey {
    GuessKey { company: named("bank"), axis: Axis::Follower, subject: key.follower.as_bytes().to_vec() }
}

fn consent(key: &FollowerKey, text: &str) -> Consent {
    Consent {
        dialogue: dialogue_id(key),
        kind: ConsentKind::Wants,
        text: TextDigest::of(text),
        carrier: named("alpha"),
        give_time: at(3),
    }
}

/// A follower of the bank's with something in every table: a review that was closed and one that waits, a match to be decided, a tie, a guess, a
/// consent, messages of dialogue and distribution, values.
async fn with_everything(store: &dyn Bench, last: u8, customer: &str) -> FollowerKey {
    let (key, mut dice) = (key("bank", last), Dice(u64::from(last)));
    follow(store, "bank", [last]).await;
    for closed in [true, false] {
        let mut review = Review { company: named("bank"), ..dice.review(last) };
        change(store, &key, |record| {
            record.review = Some(Box::new(review.clone()));
            record.dialogue.as_mut().unwrap().state = State::Review;
        })
        .await;
        if closed {
            review.close(ReviewState::Rejected, at(2));
            change(store, &key, |record| record.review = Some(Box::new(review.clone()))).await;
        }
    }
    let inquiry = Inquiry { company: named("bank"), ..dice.inquiry() };
    change(store, &key, |record| {
        record.inquiry = Some(Box::new(inquiry.clone()));
        record.shown = Some(TextDigest::of("text"));
    })
    .await;
    tied(store, "bank", &[(last, customer)]).await;
    deliver(store, &[request(&key, 0), request(&key, 1)]).await;
    let scope = Scope { guesses: vec![guess(&key)], ..Scope::default() };
    unit(store, &scope, |work| {
        work.guesses.insert(guess(&key), Count { charged: 2, window_end: Some(at(90_000)) });
        work.consents = vec![(key.clone(), consent(&key, "text"))];
    })
    .await;
    key
}

pub(crate) async fn the_count_of_a_life_outlives_an_erasure(store: &dyn Bench) {
    let key = with_everything(store, 1, "C1").await;
    let life = GuessKey { axis: Axis::Life, ..guess(&key) };
    let keys = vec![guess(&key), life.clone()];
    let scope = Scope { guesses: keys.clone(), ..Scope::default() };
    let spent = Count { charged: 10, window_end: Some(Timestamp::MAX) };
    unit(store, &scope, |work| {
        work.guesses.insert(life.clone(), spent);
    })
    .await;
    erase(store, &[key], 5).await;
    assert_eq!(store.forget_guesses(at(1_000_000), 9).await.unwrap(), 0, "no window ends it");
    let mut left = Vec::new();
    unit(store, &scope, |work| left = keys.iter().map(|key| work.guesses.get(key).copied()).collect()).await;
    assert_eq!(left[1].map(|count| count.charged), Some(10));
    assert_eq!(left[0].unwrap_or_default(), Count::default(), "what is counted by the day goes");
}

pub(crate) async fn every_table_has_its_place(store: &dyn Bench) {
    let columns = store.columns().await;
    let tables: BTreeSet<&str> = columns.iter().map(|(table, _)| table.as_str()).collect();
    let place = |table: &str| PLACES.iter().find(|(name, _)| *name == table).map(|(_, place)| *place);
    let unplaced: Vec<_> = tables.iter().filter(|table| place(table).is_none()).collect();
    assert!(unplaced.is_empty(), "tables without a place in what is erased: {unplaced:?}");
    let personal = [
        "follower",
        "number",
        "phone_number",
        "customer_id",
        "proposed_customer",
        "former_customer",
        "subject",
        "given",
    ];
    let nobodys: Vec<_> = columns
        .iter()
        // A seal's number is its own.
        .filter(|(table, column)| table != "audit_seal" && personal.contains(&column.as_str()))
        .filter(|(table, _)| place(table) == Some(Place::Nobodys))
        .collect();
    assert!(nobodys.is_empty(), "columns of persons in tables that are nobody's: {nobodys:?}");
    let erased: BTreeSet<&str> =
        tables.iter().copied().filter(|table| place(table) == Some(Place::Erased)).collect();
    let held = search(store, &key("bank", 1), None).await;
    let searched: BTreeSet<&str> = held.tables.iter().map(|(table, _)| table.as_str()).collect();
    assert_eq!(searched, erased, "what is searched, and what is erased");
    assert!(held.is_nothing() && held.erasure.is_none() && held.follow_time.is_none());
}

pub(crate) async fn of_an_erased_follower_nothing_is_left_and_counts_stay(store: &dyn Bench) {
    let key = with_everything(store, 1, "C1").await;
    let id = distribute(store, "bank", 1, &[("C1", "一"), ("C2", "二")]).await;
    let tried = draft(store, "bank", 2, &[("C1", "一")], 0).await;
    try_on(store, tried, &key).await;
    let held = search(store, &key, Some("C1")).await;
    assert!(held.tables.iter().all(|(_, rows)| *rows > 0), "the fact fills every table: {held:?}");
    assert_eq!(held.follow_time, Some(at(0)));
    let counted = async || {
        let mut counts = Vec::new();
        for count in store.overview(&named("bank"), &[named("bank")]).await.unwrap().messages {
            counts.push((count.purpose, count.count));
        }
        let distribution = store.get_distribution(&named("bank"), id).await.unwrap();
        (counts, distribution.deliveries.iter().map(|(_, _, count)| count).sum::<u64>())
    };
    let before = counted().await;
    erase(store, std::slice::from_ref(&key), 5).await;
    let held = search(store, &key, Some("C1")).await;
    assert!(held.is_nothing(), "{held:?}");
    let record = held.erasure.unwrap();
    assert_eq!(
        (record.erasure.clone(), record.waits, record.erase_time),
        (erasure(&key, 5), false, Some(at(5)))
    );
    assert_eq!(load(store, vec![key.clone()]).await.len(), 0);
    assert_eq!(counted().await, before, "messages were made, whoever they were for");
    let messages = store.overview(&named("bank"), &[named("bank")]).await.unwrap().messages;
    assert!(messages.iter().all(|count| count.state == DeliveryState::Revoked), "{messages:?}");
    assert_eq!(store.overview(&named("bank"), &[named("bank")]).await.unwrap().funnels, [], "nobody follows");
    let audits = store.audits().await;
    assert!(audits.iter().any(|line| line.contains(" erased company, asked for at")), "{audits:?}");
    assert_eq!(audits.iter().filter(|line| line.contains("follower_searched by sato")).count(), 2);
}

pub(crate) async fn an_erasure_touches_nobody_else(store: &dyn Bench) {
    let (gone, stays) = (with_everything(store, 1, "C1").await, with_everything(store, 2, "C2").await);
    follow(store, "power", [1]).await;
    tied(store, "power", &[(1, "C1")]).await;
    distribute(store, "bank", 1, &[("C1", "一"), ("C2", "二")]).await;
    let elsewhere = draft(store, "power", 2, &[("C1", "一")], 0).await;
    let before =
        (search(store, &stays, Some("C2")).await, load(store, vec![stays.clone(), key("power", 1)]).await);
    erase(store, &[gone], 5).await;
    let after = (search(store, &stays, Some("C2")).await, load(store, vec![stays, key("power", 1)]).await);
    assert_eq!(after, before);
    super::command(store, "power", elsewhere, Command::Start).await;
    let sent = attempts(store, Source::Distribution(elsewhere), 0).await;
    assert_eq!(sent[0].values, ["一"], "another company's customer of the same name");
}

pub(crate) async fn an_erasure_is_claimed_once_and_again_after_its_lease(store: &dyn Bench) {
    follow(store, "bank", 1..=3).await;
    let erasures: Vec<_> = keys("bank", 1..=3).iter().map(|key| erasure(key, 0)).collect();
    ask(store, &erasures[..2], 0).await;
    ask(store, &erasures[2..], 30).await;
    let mut first = store.claim_erasures(at(0), at(20), 1).await.unwrap();
    first.extend(claim_due(store, 0).await);
    assert_eq!(first, erasures[..2]);
    assert_eq!(claim_due(store, 19).await, []);
    let again = claim_due(store, 20).await;
    assert_eq!(again.len(), 2, "nobody has erased them");
    assert_eq!(store.erase(&again, at(21)).await.unwrap(), 2);
    assert_eq!(store.erase(&again, at(21)).await.unwrap(), 0, "twice is once");
    assert_eq!(claim_due(store, 40).await, erasures[2..]);
    balanced(store).await;
}

pub(crate) async fn who_asks_twice_is_erased_once_and_can_be_again(store: &dyn Bench) {
    follow(store, "bank", [1]).await;
    let key = key("bank", 1);
    ask(store, &[erasure(&key, 1), erasure(&key, 2)], 10).await;
    ask(store, &[erasure(&key, 3)], 0).await;
    assert_eq!(claim_due(store, 9).await, [], "the request that waits stands");
    let waits = search(store, &key, None).await.erasure.unwrap();
    assert_eq!((waits.erasure.request_time, waits.waits, waits.erase_time), (at(1), true, None));
    let due = claim_due(store, 10).await;
    assert_eq!(due, [erasure(&key, 1)]);
    store.erase(&due, at(10)).await.unwrap();
    follow(store, "bank", [1]).await;
    erase(store, std::slice::from_ref(&key), 20).await;
    let done = search(store, &key, None).await;
    assert!(done.is_nothing());
    assert_eq!(done.erasure.unwrap().erase_time, Some(at(20)));
}

pub(crate) async fn who_follows_again_is_not_erased_for_having_left(store: &dyn Bench) {
    follow(store, "bank", 1..=3).await;
    change(store, &key("bank", 1), |record| record.following = false).await;
    let left = |last: u8| Erasure { cause: Cause::Unfollowed, ..erasure(&key("bank", last), 0) };
    let erasures = [left(1), left(2), erasure(&key("bank", 3), 0)];
    ask(store, &erasures, 0).await;
    assert_eq!(store.erase(&claim_due(store, 0).await, at(1)).await.unwrap(), 2);
    balanced(store).await;
    for (last, gone) in [(1, true), (2, false), (3, true)] {
        let held = search(store, &key("bank", last), None).await;
        assert_eq!(held.is_nothing(), gone, "{last}");
        let record = held.erasure.unwrap();
        assert_eq!((record.waits, record.erase_time.is_some()), (false, gone), "{last}");
    }
    assert_eq!(claim_due(store, 100).await, [], "nobody waits any more");
}

pub(crate) async fn who_comes_back_is_known_to_have_been_erased(store: &dyn Bench) {
    follow(store, "bank", 1..=2).await;
    let gone = key("bank", 1);
    erase(store, std::slice::from_ref(&gone), 5).await;
    let mut known = Vec::new();
    let mut look = |work: &mut Work| {
        known = work.erased.iter().map(|(key, erasure)| (key.clone(), erasure.clone())).collect();
    };
    let erased = [keys("bank", 1..=3), keys("power", 1..=1)].concat();
    let scope = Scope { erased, ..Scope::default() };
    store.work("look", &scope, at(6), &mut look).await.unwrap();
    assert_eq!(known, [(gone.clone(), erasure(&gone, 5))], "whoever was never erased is not told of");
    follow(store, "bank", [1]).await;
    assert_eq!(load(store, vec![gone.clone()]).await[&gone], follower(1));
    let held = search(store, &gone, None).await;
    assert_eq!((held.is_nothing(), held.follow_time), (false, Some(at(0))));
}

pub(crate) async fn who_comes_back_while_a_distribution_runs_gets_no_second_message(store: &dyn Bench) {
    follow(store, "bank", 1..=3).await;
    let id = draft(store, "bank", 1, &[], 0).await;
    super::command(store, "bank", id, Command::Start).await;
    let sent = attempts(store, Source::Distribution(id), 0).await;
    assert_eq!(sent.len(), 3);
    let last = key("bank", 3);
    erase(store, std::slice::from_ref(&last), 5).await;
    // Somebody new must not be taken for them, either.
    follow(store, "bank", [4]).await;
    follow(store, "bank", [3]).await;
    let again = attempts(store, Source::Distribution(id), 0).await;
    let whom: Vec<u8> = again.iter().map(|attempt| attempt.key.follower.as_bytes()[0]).collect();
    assert!(!whom.contains(&3), "{whom:?}");
}

pub(crate) async fn what_a_carrier_has_for_one_alone_is_told_before_an_erasure(store: &dyn Bench) {
    follow(store, "bank", 1..=3).await;
    tied(store, "bank", &[(1, "C1"), (2, "C2")]).await;
    deliver(store, &[request(&key("bank", 1), 0)]).await;
    let id = distribute(store, "bank", 1, &[("C1", "一"), ("C2", "二")]).await;
    let sent =
        [attempts(store, dialogues("bank"), 0).await, attempts(store, Source::Distribution(id), 0).await];
    let signals = [Signal::Accepted, Signal::Accepted, Signal::Delivered, Signal::Accepted];
    let results: Vec<_> = sent
        .concat()
        .iter()
        .zip(signals)
        .map(|(it, signal)| result(it, AttemptOutcome::Known(signal)))
        .collect();
    learn(store, &results, 0).await;
    let erasures: Vec<_> = keys("bank", 1..=3).iter().map(|key| erasure(key, 0)).collect();
    let told = store.individual_at_carriers(&erasures).await.unwrap();
    // The dialogue's isn't individual, the second phone has its own, the third's is uniform.
    let first = Addressed { message_id: sent[1][0].message_id, number: sent[1][0].phone_number };
    assert_eq!(told, [(named("bank"), named("alpha"), first)]);
    assert_eq!(store.individual_at_carriers(&erasures[1..]).await.unwrap(), []);
}

pub(crate) async fn a_receipt_of_an_erased_message_changes_nothing(store: &dyn Bench) {
    follow(store, "bank", 1..=1).await;
    let key = key("bank", 1);
    deliver(store, &[request(&key, 0)]).await;
    let sent = attempts(store, dialogues("bank"), 0).await.remove(0);
    learn(store, &[result(&sent, AttemptOutcome::Known(Signal::Accepted))], 0).await;
    erase(store, std::slice::from_ref(&key), 5).await;
    let receipt = AttemptResult {
        key,
        message_id: sent.message_id,
        attempt: 0,
        outcome: AttemptOutcome::Known(Signal::Delivered),
    };
    assert_eq!(store.record(&[receipt], at(6)).await.unwrap(), [false]);
    balanced(store).await;
}

pub(crate) async fn an_erasure_beside_an_attempt_under_way_leaves_nothing(store: &dyn Bench) {
    follow(store, "bank", 1..=40).await;
    let id = draft(store, "bank", 1, &[], 0).await;
    super::command(store, "bank", id, Command::Start).await;
    let gone: Vec<_> = keys("bank", 1..=20).iter().map(|key| erasure(key, 0)).collect();
    ask(store, &gone, 0).await;
    let gone = claim_due(store, 0).await;
    let claim = Claim { limit: 7, ..claim(Source::Distribution(id), 0) };
    let sends = async {
        let mut all = Vec::new();
        for _ in 0..8 {
            let claimed = store.claim(&claim).await.unwrap();
            let results: Vec<_> = claimed
                .attempts
                .iter()
                .map(|attempt| result(attempt, AttemptOutcome::Known(Signal::Accepted)))
                .collect();
            store.record(&results, at(1)).await.unwrap();
            all.extend(claimed.attempts);
        }
        all
    };
    let erases = async {
        for part in gone.chunks(3) {
            store.erase(part, at(0)).await.unwrap();
        }
    };
    let (sent, ()) = futures::join!(sends, erases);
    balanced(store).await;
    for erased in &gone {
        let key = FollowerKey { account: erased.account.clone(), follower: erased.follower };
        assert!(search(store, &key, None).await.is_nothing(), "{key:?}");
    }
    let stayed = |key: &FollowerKey| key.follower.as_bytes()[0] > 20;
    assert_eq!(sent.iter().filter(|attempt| stayed(&attempt.key)).count(), 20, "everybody else gets it");
    let _whoever_is_left = walk(store, id, 1_000, 0).await;
    assert_eq!(state_of(store, id, &key("bank", 21)).await, DeliveryState::Accepted);
    let _ = claimed(store, &claim).await;
}

pub(crate) async fn a_journal_is_replayed_where_it_is_not_known(store: &dyn Bench) {
    // As after a restore: the followers are there, the erasures are not.
    follow(store, "bank", 1..=4).await;
    let [never, older, newer, waits] = [1, 2, 3, 4].map(|last| key("bank", last));
    erase(store, std::slice::from_ref(&older), 5).await;
    erase(store, std::slice::from_ref(&newer), 50).await;
    follow(store, "bank", 2..=3).await;
    ask(store, &[erasure(&waits, 10)], 900).await;
    let journal = [&never, &older, &newer, &waits].map(|key| erasure(key, 10));
    assert_eq!(store.replay_erasures(&journal, at(60)).await.unwrap(), 2);
    assert_eq!(store.replay_erasures(&journal, at(60)).await.unwrap(), 0);
    let replayed = |line: &&String| line.contains("erasure_replayed company, asked for at");
    assert_eq!(store.audits().await.iter().filter(replayed).count(), 2);
    let mut due = claim_due(store, 60).await;
    due.sort_by_key(|erasure| erasure.follower);
    assert_eq!(due, [erasure(&never, 10), erasure(&older, 10)]);
    store.erase(&due, at(60)).await.unwrap();
    for (key, held) in [(never, false), (older, false), (newer, true), (waits, true)] {
        assert_eq!(!search(store, &key, None).await.is_nothing(), held, "{key:?}");
    }
    balanced(store).await;
}

pub(crate) async fn all_that_is_held_is_exported_and_that_is_in_the_audit(store: &dyn Bench) {
    let bank: OfficialAccountId = named("bank");
    store.keep_texts(&[(bank, "text".to_owned())], at(0)).await.unwrap();
    let key = with_everything(store, 1, "C1").await;
    let id: DistributionId = distribute(store, "bank", 1, &[]).await;
    let export =
        store.export_follower(&asker(), &key, Reading::Exported(None), at(7)).await.unwrap().unwrap();
    assert_eq!(export.record, load(store, vec![key.clone()]).await[&key]);
    assert_eq!(export.consents, [(consent(&key, "text"), "text".to_owned())]);
    assert_eq!(export.guesses.charged, 2);
    assert_eq!(export.messages.len(), 3);
    let of_distribution = export.messages.iter().filter(|message| message.distribution == Some(id));
    assert_eq!(of_distribution.count(), 1);
    assert!(
        export.reviews.iter().all(|review| review.state == ReviewState::Rejected && review.subject.is_none())
    );
    assert_eq!(export.reviews.len(), 1);
    assert_eq!(
        store
            .export_follower(&asker(), &super::key("bank", 9), Reading::Exported(None), at(7))
            .await
            .unwrap(),
        None
    );
    for reading in [Reading::Shown, Reading::Revealed] {
        let read = store.export_follower(&asker(), &key, reading, at(8)).await.unwrap().unwrap();
        assert_eq!(read.record, export.record);
    }
    let told = store.audits().await;
    for action in ["follower_exported", "follower_shown", "follower_revealed"] {
        let lines = told.iter().filter(|line| line.contains(&format!("{action} by sato")));
        assert_eq!(lines.count(), 1, "{told:?}");
    }
}

pub(crate) async fn a_consent_is_kept_once_with_its_text(store: &dyn Bench) {
    put(store, vec![(key("bank", 1), follower(1))]).await;
    let (key, bank) = (key("bank", 1), named("bank"));
    let texts: [(OfficialAccountId, String); 2] =
        [(bank, "first".to_owned()), (named("power"), "second".to_owned())];
    for second in [0, 9] {
        store.keep_texts(&texts, at(second)).await.unwrap();
    }
    for give_time in [at(1), at(2)] {
        let consents = ["first", "second"].map(|text| {
            let kind = if text == "first" { ConsentKind::Wants } else { ConsentKind::Tied };
            (key.clone(), Consent { kind, give_time, ..consent(&key, text) })
        });
        unit(store, &of(vec![key.clone()]), |work| work.consents = consents.to_vec()).await;
    }
    let export =
        store.export_follower(&asker(), &key, Reading::Exported(None), at(7)).await.unwrap().unwrap();
    let told: Vec<_> =
        export.consents.iter().map(|(it, text)| (it.kind, it.give_time, text.as_str())).collect();
    let expected = [(ConsentKind::Wants, at(1), "first"), (ConsentKind::Tied, at(1), "")];
    assert_eq!(told, expected, "the first word stands; another account's text is none of theirs");
}

pub(crate) async fn guesses_are_forgotten_when_their_window_has_ended(store: &dyn Bench) {
    let guesses: Vec<_> = keys("bank", 1..=3).iter().map(guess).collect();
    let scope = Scope { guesses: guesses.clone(), ..Scope::default() };
    let end =
        |place: usize| -> Timestamp { at(10) + SignedDuration::from_secs(i64::try_from(place).unwrap()) };
    unit(store, &scope, |work| {
        for (place, guess) in guesses.iter().enumerate() {
            work.guesses.insert(guess.clone(), Count { charged: 1, window_end: Some(end(place)) });
        }
    })
    .await;
    assert_eq!(store.forget_guesses(at(10), 10).await.unwrap(), 0);
    assert_eq!(store.forget_guesses(at(12), 1).await.unwrap(), 1);
    assert_eq!(store.forget_guesses(at(12), 10).await.unwrap(), 1);
    let mut left = Vec::new();
    let mut look = |work: &mut Work| left = work.guesses.keys().cloned().collect();
    store.work("look", &scope, at(0), &mut look).await.unwrap();
    assert_eq!(left, guesses[2..]);
}
