//! Facts about subscriber lists: who acquires which, and what they say (I14).

use jiff::Timestamp;
use musubi_domain::id::{CarrierId, OfficialAccountId};

use super::{Bench, Dice, at, follow, follower, key, keys, named, number, of, put, tied, unit};
use crate::information::{
    flow::{FollowerRecord, Subscription},
    follower::{Acquisition, Quarantine},
    list::{DueLists, ListKey, ListLease, ListOutcome, Listed},
};

pub(crate) fn list(account: &str, carrier: &str) -> ListKey {
    ListKey { account: named(account), carrier: named(carrier) }
}

/// Begins to acquire a list that nobody has acquired yet, for ten seconds.
pub(crate) async fn claim_list(store: &dyn Bench, list: &ListKey, second: i64) -> Option<ListLease> {
    claim(store, &list.carrier, std::slice::from_ref(&list.account), (Timestamp::UNIX_EPOCH, second)).await
}

async fn claim(
    store: &dyn Bench,
    carrier: &CarrierId,
    accounts: &[OfficialAccountId],
    (acquired_before, second): (Timestamp, i64),
) -> Option<ListLease> {
    let due = DueLists { carrier, accounts, now: at(second), acquired_before, lease_end: at(second + 10) };
    store.claim_list(due).await.unwrap()
}

/// A follower that a carrier's list has, or had, since a time.
fn subscribed(last: u8, carrier: &str, following: bool, second: i64) -> FollowerRecord {
    let subscription = Subscription { carrier: named(carrier), following, change_time: at(second) };
    FollowerRecord {
        subscriptions: vec![subscription],
        carrier: named(carrier),
        following,
        phone_number: number(last),
        ..follower(last)
    }
}

async fn subscribe(store: &dyn Bench, account: &str, carrier: &str, who: &[(u8, bool, i64)]) {
    let followers =
        who.iter().map(|(last, on, second)| (key(account, *last), subscribed(*last, carrier, *on, *second)));
    put(store, followers.collect()).await;
}

pub(crate) async fn a_list_is_acquired_by_one_at_a_time(store: &dyn Bench) {
    let bank = list("bank", "alpha");
    let first = claim_list(store, &bank, 50).await.unwrap();
    assert_eq!((&first.list, first.epoch, first.quarantine_time), (&bank, 1, None));
    assert_eq!(claim_list(store, &bank, 59).await, None, "somebody acquires it");
    assert_eq!(claim_list(store, &list("bank", "beta"), 59).await.unwrap().epoch, 1, "another carrier's");
    assert!(store.renew_list(&first, at(80)).await.unwrap());
    assert_eq!(claim_list(store, &bank, 79).await, None);
    let second = claim_list(store, &bank, 80).await.unwrap();
    assert_eq!(second.epoch, 2);
    assert!(!store.renew_list(&first, at(999)).await.unwrap(), "it is the second's now");
    let promoted = ListOutcome::Promoted { generation: 3, skipped: 1 };
    store.end_list(&first, promoted, at(81)).await.unwrap();
    assert_eq!(acquired(store, "bank").await[0].promoted, 0, "whoever lost it ends nothing");
    assert_eq!(claim_list(store, &bank, 89).await, None);
}

pub(crate) async fn lists_are_due_in_turn(store: &dyn Bench) {
    let alpha: CarrierId = named("alpha");
    let accounts = ["bank", "power"].map(named::<OfficialAccountId>);
    let claim = |before, second| claim(store, &alpha, &accounts, (at(before), second));
    let promoted = ListOutcome::Promoted { generation: 1, skipped: 0 };
    let mut claimed = Vec::new();
    for _ in 0..2 {
        claimed.push(claim(0, 50).await.unwrap());
    }
    assert_eq!(claim(0, 50).await, None, "both are being acquired");
    claimed.sort_by(|one, other| one.list.account.cmp(&other.list.account));
    let [bank, power] = <[ListLease; 2]>::try_from(claimed).unwrap();
    store.end_list(&power, promoted, at(51)).await.unwrap();
    store.end_list(&bank, promoted, at(52)).await.unwrap();
    assert_eq!(claim(50, 60).await, None, "both were acquired since");
    for (before, account) in [(51, &power), (52, &bank)] {
        let lease = claim(before, 60).await.unwrap();
        assert_eq!(lease.list, account.list, "the one that waited longest comes first");
        let again = ListOutcome::Discarded { again: at(63) };
        store.end_list(&lease, again, at(61)).await.unwrap();
        assert_eq!(claim(before, 62).await, None, "what failed rests");
    }
    assert_eq!(claim(52, 63).await.unwrap().list, power.list);
    assert_eq!(
        store
            .claim_list(DueLists {
                carrier: &alpha,
                accounts: &[],
                now: at(99),
                acquired_before: at(99),
                lease_end: at(100)
            })
            .await
            .unwrap(),
        None
    );
}

pub(crate) async fn a_list_is_read_in_pages_of_followers(store: &dyn Bench) {
    let mut dice = Dice(3);
    let mut expected = Vec::new();
    for last in 0..200 {
        let (following, second) = (dice.flip(), i64::try_from(dice.roll(3)).unwrap());
        if dice.roll(3) > 0 {
            subscribe(store, "bank", "alpha", &[(last, following, second)]).await;
            let follower = key("bank", last).follower;
            expected.push(Listed { follower, following, change_time: at(second) });
        }
    }
    // Neither another account's list nor another carrier's is mixed with it.
    subscribe(store, "power", "alpha", &[(1, true, 0), (201, true, 0)]).await;
    subscribe(store, "bank", "beta", &[(202, true, 0)]).await;
    for limit in [7, 1_000] {
        let mut read = Vec::new();
        loop {
            let after = read.last().map(|listed: &Listed| listed.follower);
            let page = store.listed(&list("bank", "alpha"), after, limit).await.unwrap();
            if page.is_empty() {
                break;
            }
            assert!(page.len() <= usize::try_from(limit).unwrap());
            read.extend(page);
        }
        assert!(read == expected);
    }
}

pub(crate) async fn suspended_ties_are_found_by_account(store: &dyn Bench) {
    follow(store, "bank", 1..=4).await;
    follow(store, "power", [3]).await;
    tied(store, "bank", &[(1, "C1"), (2, "C2"), (3, "C3"), (4, "C4")]).await;
    tied(store, "power", &[(3, "C3")]).await;
    let all = [keys("bank", 1..=4), keys("power", [3])].concat();
    for suspended in [vec![], vec![(0, 1), (0, 3), (0, 4), (1, 3)], vec![(0, 3)]] {
        unit(store, &of(all.clone()), |work| {
            for (key, record) in &mut work.followers {
                let account = if key.account == named("bank") { 0 } else { 1 };
                let last = key.follower.as_bytes()[0];
                record.tie.as_mut().unwrap().tie.suspended = suspended.contains(&(account, last));
            }
        })
        .await;
        for (account, name) in ["bank", "power"].into_iter().enumerate() {
            let mut read = Vec::new();
            while let Some(next) =
                store.suspended(&named(name), read.last().copied(), 1).await.unwrap().first().copied()
            {
                read.push(next);
            }
            let of_account = suspended.iter().filter(|(of, _)| *of == account);
            let expected: Vec<_> = of_account.map(|(_, last)| key(name, *last).follower).collect();
            assert_eq!(read, expected);
        }
    }
}

/// How lists of an account were acquired.
async fn acquired(store: &dyn Bench, account: &str) -> Vec<Acquisition> {
    store.overview(&named(account), &[named::<OfficialAccountId>(account)]).await.unwrap().acquisitions
}

pub(crate) async fn acquisitions_are_counted(store: &dyn Bench) {
    let bank = list("bank", "alpha");
    let mut ends = Vec::new();
    let lacking = ListOutcome::Quarantined { followers: 9, missing: 7 };
    for second in 0..3_i64 {
        ends.push((ListOutcome::Discarded { again: at(0) }, second));
        ends.push((lacking, second));
        ends.push((ListOutcome::Promoted { generation: 10 + second.unsigned_abs(), skipped: 5 }, second));
    }
    ends.push((lacking, 60));
    ends.push((lacking, 70));
    for (outcome, second) in ends {
        let lease =
            claim(store, &bank.carrier, std::slice::from_ref(&bank.account), (at(99), 99)).await.unwrap();
        store.end_list(&lease, outcome, at(second)).await.unwrap();
        assert!(store.renew_list(&lease, at(0)).await.unwrap(), "nobody else began");
    }
    let expected = Acquisition {
        account: bank.account.clone(),
        carrier: bank.carrier.clone(),
        promoted: 3,
        discarded: 3,
        quarantined: 5,
        generation: 12,
        added_by_event: 0,
        added_by_list: 0,
        skipped: 15,
        promote_time: Some(at(2)),
        quarantine: Some(Quarantine { begin_time: at(60), followers: 9, missing: 7, released: false }),
    };
    assert_eq!(acquired(store, "bank").await, [expected]);
    let lease = claim(store, &bank.carrier, std::slice::from_ref(&bank.account), (at(99), 99)).await.unwrap();
    assert_eq!(lease.quarantine_time, Some(at(60)), "of the first of an unbroken row");
}
