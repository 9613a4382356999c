//! Facts about subscriber lists while they arrive (I14).

use std::collections::BTreeSet;

use jiff::Timestamp;
use musubi_domain::{
    id::{FollowerId, OfficialAccountId},
    phone_number::PhoneNumber,
};

use super::{Bench, Dice, at, follower, key, keys, load, named, number, put, tied};
use crate::information::{
    flow::{FollowerRecord, Subscription},
    follower::Acquisition,
    list::{Comparison, ListKey},
};

pub(crate) fn list(account: &str, carrier: &str) -> ListKey {
    ListKey { account: named(account), carrier: named(carrier) }
}

fn numbers(lasts: impl IntoIterator<Item = u8>) -> Vec<(FollowerId, PhoneNumber)> {
    lasts.into_iter().map(|last| (FollowerId::from_bytes([last; 16]), number(last))).collect()
}

/// A new snapshot of a list.
pub(crate) async fn stage(store: &dyn Bench, list: &ListKey, lasts: impl IntoIterator<Item = u8>) {
    store.begin_list(list).await.unwrap();
    store.stage(list, &numbers(lasts)).await.unwrap();
}

/// A follower that a carrier's list has, or had, since a time.
fn subscribed(last: u8, carrier: &str, following: bool, second: i64) -> FollowerRecord {
    let subscription = Subscription { carrier: named(carrier), following, change_time: at(second) };
    FollowerRecord { subscriptions: vec![subscription], carrier: named(carrier), following, ..follower(last) }
}

async fn subscribe(store: &dyn Bench, account: &str, carrier: &str, who: &[(u8, bool, i64)]) {
    let followers =
        who.iter().map(|(last, on, second)| (key(account, *last), subscribed(*last, carrier, *on, *second)));
    put(store, followers.collect()).await;
}

/// Followers 1 to 4 of the bank over alpha; 5 came after second 50, 6 left before it, 7 after it.
async fn bank(store: &dyn Bench) -> ListKey {
    let who = [
        (1, true, 0),
        (2, true, 0),
        (3, true, 0),
        (4, true, 50),
        (5, true, 51),
        (6, false, 50),
        (7, false, 51),
    ];
    subscribe(store, "bank", "alpha", &who).await;
    list("bank", "alpha")
}

async fn suspended(store: &dyn Bench, account: &str) -> Vec<u8> {
    let followers = load(store, keys(account, 0..=255)).await;
    let suspended =
        followers.iter().filter(|(_, record)| record.tie.as_ref().is_some_and(|tie| tie.tie.suspended));
    let sorted: BTreeSet<u8> = suspended.map(|(key, _)| key.follower.as_bytes()[0]).collect();
    sorted.into_iter().collect()
}

pub(crate) async fn a_snapshot_is_compared_with_the_list(store: &dyn Bench) {
    let list = bank(store).await;
    let nothing = Comparison { followers: 5, missing: 4, staged: 0, quarantine_time: None };
    assert_eq!(store.compare(&list, at(50)).await.unwrap(), nothing);
    stage(store, &list, [1, 2]).await;
    store.stage(&list, &numbers([2, 6, 9])).await.unwrap();
    let comparison = Comparison { missing: 2, staged: 4, ..nothing };
    assert_eq!(store.compare(&list, at(50)).await.unwrap(), comparison);
    assert_eq!(store.compare(&list, at(51)).await.unwrap().missing, 3);
    assert_eq!(store.compare(&list, at(49)).await.unwrap().missing, 1);
    stage(store, &list, [8]).await;
    let afresh = Comparison { missing: 4, staged: 1, ..nothing };
    assert_eq!(store.compare(&list, at(50)).await.unwrap(), afresh, "a new snapshot forgets the old stage");
}

pub(crate) async fn a_quarantine_suspends_exactly_the_missing(store: &dyn Bench) {
    let list = bank(store).await;
    let ties = [(1, "C1"), (2, "C2"), (3, "C3"), (4, "C4"), (5, "C5"), (7, "C7")];
    tied(store, "bank", &ties).await;
    assert_eq!(suspended(store, "bank").await, [0_u8; 0]);
    stage(store, &list, [1, 2]).await;
    assert_eq!(store.quarantine(&list, at(50), at(60)).await.unwrap(), 2);
    assert_eq!(suspended(store, "bank").await, [3, 4]);
    let quarantined = store.compare(&list, at(50)).await.unwrap();
    assert_eq!((quarantined.followers, quarantined.staged), (5, 0), "the list is kept, the stage emptied");
    assert_eq!(quarantined.quarantine_time, Some(at(60)));
    stage(store, &list, [2, 3]).await;
    assert_eq!(store.quarantine(&list, at(51), at(70)).await.unwrap(), 2, "1 and 5; 4 was suspended before");
    assert_eq!(suspended(store, "bank").await, [1, 3, 4, 5], "only a promotion resumes");
    assert_eq!(store.compare(&list, at(50)).await.unwrap().quarantine_time, Some(at(60)), "of the first");
}

type Page = Vec<(FollowerId, PhoneNumber)>;

/// All pages of a promotion's two lists.
async fn pages(store: &dyn Bench, list: &ListKey, as_of: Timestamp, limit: u32) -> [Page; 2] {
    let mut all = [Vec::new(), Vec::new()];
    for (which, all) in all.iter_mut().enumerate() {
        loop {
            let after = all.last().map(|(follower, _)| *follower);
            let page = if which == 0 {
                store.staged_new(list, as_of, after, limit).await.unwrap()
            } else {
                store.staged_missing(list, as_of, after, limit).await.unwrap()
            };
            let last = page.len() < usize::try_from(limit).unwrap();
            all.extend(page);
            if last {
                break;
            }
        }
    }
    all
}

pub(crate) async fn promotion_pages_are_exact(store: &dyn Bench) {
    let mut dice = Dice(3);
    let list = list("bank", "alpha");
    let (mut staged, mut new, mut missing) = (Vec::new(), Vec::new(), Vec::new());
    for last in 0..200 {
        let on_stage = dice.flip();
        let known = dice.roll(3) > 0;
        let (following, second) = (dice.flip(), i64::try_from(dice.roll(3)).unwrap());
        if known {
            subscribe(store, "bank", "alpha", &[(last, following, second)]).await;
        }
        if on_stage {
            staged.push(last);
        }
        let settled = second <= 1;
        if on_stage && (!known || (!following && settled)) {
            new.push(last);
        }
        if !on_stage && known && following && settled {
            missing.push(last);
        }
    }
    stage(store, &list, staged).await;
    store.begin_promotion(&list, 7, at(1)).await.unwrap();
    for limit in [7, 1_000] {
        assert!(pages(store, &list, at(1), limit).await == [numbers(new.clone()), numbers(missing.clone())]);
    }
}

pub(crate) async fn a_promotion_resumes_the_ties_of_staged_numbers(store: &dyn Bench) {
    let list = bank(store).await;
    tied(store, "bank", &[(1, "C1"), (2, "C2"), (3, "C3"), (4, "C4")]).await;
    stage(store, &list, []).await;
    assert_eq!(store.quarantine(&list, at(50), at(60)).await.unwrap(), 4);
    stage(store, &list, [1, 3, 8]).await;
    store.begin_promotion(&list, 7, at(50)).await.unwrap();
    assert_eq!(suspended(store, "bank").await, [1, 2, 3, 4], "not before its end");
    for _ in 0..2 {
        store.finish_promotion(&list, 2, at(80)).await.unwrap();
        assert_eq!(suspended(store, "bank").await, [2, 4]);
    }
    let comparison = store.compare(&list, at(50)).await.unwrap();
    assert_eq!((comparison.staged, comparison.quarantine_time), (0, None));
}

/// Were it promoted, everybody on the list would be missing.
pub(crate) async fn an_emptied_stage_promotes_nothing(store: &dyn Bench) {
    let list = bank(store).await;
    tied(store, "bank", &[(1, "C1")]).await;
    assert!(pages(store, &list, at(50), 10).await == [vec![], vec![]], "no promotion is under way");
    for empties in 0..3 {
        stage(store, &list, [1, 2, 9]).await;
        store.begin_promotion(&list, 7, at(50)).await.unwrap();
        assert_eq!(store.promotions().await.unwrap(), [(list.clone(), at(50))]);
        stage(store, &super::list("bank", "beta"), [1]).await;
        assert!(pages(store, &list, at(50), 10).await == [numbers([9]), numbers([3, 4])]);
        match empties {
            0 => store.begin_list(&list).await.unwrap(),
            1 => store.discard(&list).await.unwrap(),
            _ => assert_eq!(store.quarantine(&list, at(50), at(60)).await.unwrap(), 0),
        }
        assert_eq!(store.promotions().await.unwrap(), []);
        assert!(pages(store, &list, at(50), 10).await == [vec![], vec![]]);
        stage(store, &list, [1]).await;
        store.finish_promotion(&list, 2, at(80)).await.unwrap();
        assert_eq!(store.compare(&list, at(50)).await.unwrap().staged, 1, "nothing was finished");
    }
    assert_eq!(acquired(store, "bank").await[0].promoted, 0);
}

/// How lists of an account were acquired.
async fn acquired(store: &dyn Bench, account: &str) -> Vec<Acquisition> {
    store.overview(&[named::<OfficialAccountId>(account)]).await.unwrap().acquisitions
}

pub(crate) async fn snapshots_are_counted_and_leave_no_stage(store: &dyn Bench) {
    let list = bank(store).await;
    for second in 0..3 {
        stage(store, &list, [1]).await;
        store.discard(&list).await.unwrap();
        assert_eq!(store.compare(&list, at(50)).await.unwrap().staged, 0);
        stage(store, &list, [1]).await;
        store.begin_promotion(&list, 10, at(50)).await.unwrap();
        store.finish_promotion(&list, 5, at(second)).await.unwrap();
        store.finish_promotion(&list, 5, at(99)).await.unwrap();
    }
    stage(store, &list, [1]).await;
    store.quarantine(&list, at(50), at(60)).await.unwrap();
    let expected = Acquisition {
        account: list.account.clone(),
        carrier: list.carrier.clone(),
        promoted: 3,
        discarded: 3,
        quarantined: 1,
        generation: 10,
        added_by_event: 0,
        added_by_list: 0,
        skipped: 15,
        promote_time: Some(at(2)),
    };
    assert_eq!(acquired(store, "bank").await, [expected]);
}

pub(crate) async fn lists_of_accounts_and_carriers_never_mix(store: &dyn Bench) {
    for (account, carrier, lasts) in
        [("bank", "alpha", 1..4), ("bank", "beta", 4..6), ("power", "alpha", 1..3)]
    {
        let who: Vec<_> = lasts.clone().map(|last| (last, true, 0)).collect();
        subscribe(store, account, carrier, &who).await;
        let ties: Vec<_> =
            lasts.map(|last| (last, ["", "C1", "C2", "C3", "C4", "C5"][usize::from(last)])).collect();
        tied(store, account, &ties).await;
    }
    let (bank, other, power) = (list("bank", "alpha"), list("bank", "beta"), list("power", "alpha"));
    stage(store, &bank, [1, 5, 9]).await;
    stage(store, &power, [2, 3]).await;
    let comparison =
        |followers, missing, staged| Comparison { followers, missing, staged, quarantine_time: None };
    assert_eq!(store.compare(&bank, at(9)).await.unwrap(), comparison(3, 2, 3));
    assert_eq!(store.compare(&other, at(9)).await.unwrap(), comparison(2, 2, 0));
    assert_eq!(store.compare(&power, at(9)).await.unwrap(), comparison(2, 1, 2));
    for (list, expected) in
        [(&bank, [numbers([5, 9]), numbers([2, 3])]), (&power, [numbers([3]), numbers([1])])]
    {
        store.begin_promotion(list, 1, at(9)).await.unwrap();
        assert!(pages(store, list, at(9), 2).await == expected);
    }
    assert_eq!(store.quarantine(&power, at(9), at(9)).await.unwrap(), 1);
    assert_eq!((suspended(store, "bank").await, suspended(store, "power").await), (vec![], vec![1]));
    stage(store, &power, [1]).await;
    store.finish_promotion(&bank, 0, at(9)).await.unwrap();
    assert_eq!(suspended(store, "power").await, [1], "another account's promotion resumes nothing");
    assert_eq!(store.compare(&power, at(9)).await.unwrap().staged, 1);
    assert_eq!(acquired(store, "power").await[0].promoted, 0);
    store.discard(&power).await.unwrap();
    let counts: Vec<_> =
        acquired(store, "bank").await.iter().map(|list| (list.promoted, list.discarded)).collect();
    assert_eq!(counts, [(1, 0)]);
}
