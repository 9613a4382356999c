//! Facts about everything that may vanish, told of two clients of the same: two parts of a process, or two processes.
//!
//! In real time, because a server has its own. Surprising: no fact needs the machine to be quick; what is asserted of a rate is
//! what may never be exceeded.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};
use tokio::time::sleep;

use crate::ephemeral::{Bucket, Counts, Ephemeral, Now};

/// Runs every fact on an implementation; `$open` gives two clients of the same, and what has to live as long as they.
macro_rules! ephemeral_suite {
    ($open:expr) => {
        crate::conformance::ephemeral::ephemeral_suite!($open;
            many_tasks_together_never_exceed_the_rate,
            what_nobody_remembers_is_empty,
            a_pause_is_not_made_up_for,
            the_narrowest_bucket_decides_and_no_other_is_overdrawn,
            after_the_wait_there_is_one,
            without_a_limit_everything_goes,
            what_is_given_back_may_go_and_no_more,
            a_held_bucket_takes_nothing_back,
            a_hold_closes_for_everybody_and_ends,
            of_two_holds_the_later_end_stands,
            after_a_hold_a_bucket_is_empty,
            a_held_bucket_takes_nothing_from_the_others,
            a_signal_wakes_every_client_and_no_other_topic,
            a_signal_before_the_wait_is_not_lost,
            the_last_word_on_progress_stands_until_it_expires,
            one_who_watches_sees_a_change,
        );
    };
    ($open:expr; $($fact:ident,)+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $fact() {
                let (one, other, _alive) = $open.await;
                crate::conformance::ephemeral::$fact(Arc::new(one), Arc::new(other)).await;
            }
        )+
    };
}
pub(crate) use ephemeral_suite;

pub(crate) type Client = Arc<dyn Ephemeral>;

/// A clock that runs, from nowhere.
pub(crate) fn running_clock() -> Now {
    let begun = Instant::now();
    Arc::new(move || Timestamp::UNIX_EPOCH + SignedDuration::try_from(begun.elapsed()).unwrap())
}

pub(crate) fn bucket(name: &str, per_second: u32) -> Bucket {
    Bucket { name: name.to_owned(), per_second }
}

/// Makes buckets known, and lets them fill.
async fn filled(client: &Client, buckets: &[Bucket]) {
    client.take(buckets, 0).await;
    sleep(Duration::from_millis(1_050)).await;
}

/// Takes by many tasks on every client for so long; gives how many messages each client got.
pub(crate) async fn take_for(clients: &[Client], bucket: &Bucket, how_long: Duration) -> Vec<u32> {
    let begun = Instant::now();
    let totals = clients.iter().map(|client| async move {
        let tasks = (1..=8).map(|wanted| {
            let (client, buckets) = (Arc::clone(client), [bucket.clone()]);
            tokio::spawn(async move {
                let mut total = 0;
                while begun.elapsed() < how_long {
                    let grant = client.take(&buckets, wanted).await;
                    assert!(grant.allowed <= wanted);
                    total += grant.allowed;
                    if grant.allowed < wanted {
                        sleep(grant.wait.min(Duration::from_millis(20))).await;
                    }
                }
                total
            })
        });
        join_all(tasks).await.into_iter().map(Result::unwrap).sum()
    });
    join_all(totals).await
}

pub(crate) async fn many_tasks_together_never_exceed_the_rate(one: Client, other: Client) {
    let begun = Instant::now();
    let got = take_for(&[one, other], &bucket("carrier", 400), Duration::from_millis(1_500)).await;
    let most = 400.0 * begun.elapsed().as_secs_f64();
    let total: u32 = got.iter().sum();
    assert!(f64::from(total) <= most + 1.0, "{got:?} of {most}");
    assert!(f64::from(total) > most / 4.0, "{got:?} of {most}");
}

pub(crate) async fn what_nobody_remembers_is_empty(one: Client, _: Client) {
    let grant = one.take(&[bucket("company", 10)], 1_000).await;
    assert_eq!(grant.allowed, 0);
    assert!(grant.wait > Duration::from_millis(90) && grant.wait <= Duration::from_millis(100), "{grant:?}");
}

pub(crate) async fn a_pause_is_not_made_up_for(one: Client, other: Client) {
    let buckets = [bucket("company", 5)];
    one.take(&buckets, 1).await;
    sleep(Duration::from_millis(2_500)).await;
    assert_eq!(other.take(&buckets, 1_000).await.allowed, 5);
    let grant = one.take(&buckets, 1_000).await;
    assert_eq!(grant.allowed, 0);
    assert!(grant.wait <= Duration::from_millis(200), "{grant:?}");
}

pub(crate) async fn the_narrowest_bucket_decides_and_no_other_is_overdrawn(one: Client, other: Client) {
    let [wide, narrow] = [bucket("carrier", 60), bucket("account", 3)];
    filled(&one, &[wide.clone(), narrow.clone()]).await;
    assert_eq!(one.take(&[wide.clone(), narrow.clone()], 50).await.allowed, 3);
    assert_eq!(other.take(&[narrow.clone(), wide.clone()], 50).await.allowed, 0);
    let left = other.take(std::slice::from_ref(&wide), 100).await.allowed;
    assert!((57..=60).contains(&left), "{left}");
}

pub(crate) async fn after_the_wait_there_is_one(one: Client, other: Client) {
    let buckets = [bucket("carrier", 50), bucket("account", 4)];
    for _ in 0..3 {
        let grant = one.take(&buckets, 1).await;
        sleep(grant.wait + Duration::from_millis(2)).await;
        assert_eq!(other.take(&buckets, 1).await.allowed, 1);
    }
}

pub(crate) async fn without_a_limit_everything_goes(one: Client, _: Client) {
    let grant = one.take(&[bucket("carrier", 0)], 1_000).await;
    assert_eq!((grant.allowed, grant.wait), (1_000, Duration::ZERO));
    assert_eq!(one.take(&[], 7).await.allowed, 7);
    assert_eq!(one.take(&[bucket("carrier", 9)], 0).await.allowed, 0);
}

pub(crate) async fn what_is_given_back_may_go_and_no_more(one: Client, other: Client) {
    let [wide, narrow] = [bucket("carrier", 400), bucket("account", 4)];
    let buckets = [wide.clone(), narrow.clone(), bucket("company", 0)];
    filled(&one, &buckets).await;
    assert_eq!(one.take(&buckets, 4).await.allowed, 4);
    other.give_back(&buckets, 3).await;
    let again = one.take(&buckets, 1_000).await.allowed;
    assert!((3..=4).contains(&again), "{again}: a fourth may have come meanwhile");
    // A bucket holds a second's worth, whatever is given.
    other.give_back(&buckets, 9).await;
    assert_eq!(other.take(&buckets, 1_000).await.allowed, 4);
    assert_eq!(other.take(&[narrow], 1_000).await.allowed, 0);
    assert!(one.take(&[wide], 1_000).await.allowed <= 400);
}

pub(crate) async fn a_held_bucket_takes_nothing_back(one: Client, other: Client) {
    let buckets = [bucket("account", 2)];
    filled(&one, &buckets).await;
    assert_eq!(one.take(&buckets, 2).await.allowed, 2);
    one.hold("account", Duration::from_millis(50)).await;
    other.give_back(&buckets, 2).await;
    let wait = one.take(&buckets, 1).await.wait;
    sleep(wait + Duration::from_millis(2)).await;
    assert_eq!(one.take(&buckets, 2).await.allowed, 0);
}

pub(crate) async fn a_hold_closes_for_everybody_and_ends(one: Client, other: Client) {
    let buckets = [bucket("account", 0), bucket("carrier", 0)];
    one.hold("account", Duration::from_millis(1_500)).await;
    for client in [&one, &other] {
        let grant = client.take(&buckets, 10).await;
        assert_eq!(grant.allowed, 0);
        assert!(grant.wait <= Duration::from_millis(1_500) && !grant.wait.is_zero(), "{grant:?}");
        assert_eq!(client.take(&buckets[1..], 10).await.allowed, 10);
    }
    sleep(other.take(&buckets, 10).await.wait + Duration::from_millis(5)).await;
    for client in [&one, &other] {
        assert_eq!(client.take(&buckets, 10).await.allowed, 10);
    }
}

pub(crate) async fn of_two_holds_the_later_end_stands(one: Client, other: Client) {
    let buckets = [bucket("account", 0)];
    other.hold("account", Duration::from_millis(900)).await;
    one.hold("account", Duration::from_millis(1)).await;
    sleep(Duration::from_millis(20)).await;
    assert_eq!(one.take(&buckets, 1).await.allowed, 0);
    one.hold("account", Duration::from_secs(60)).await;
    sleep(Duration::from_millis(900)).await;
    let grant = other.take(&buckets, 1).await;
    assert!(grant.allowed == 0 && grant.wait > Duration::from_secs(50), "{grant:?}");
}

pub(crate) async fn after_a_hold_a_bucket_is_empty(one: Client, other: Client) {
    let buckets = [bucket("account", 2)];
    filled(&one, &buckets).await;
    other.hold("account", Duration::from_millis(50)).await;
    let wait = one.take(&buckets, 1).await.wait;
    sleep(wait + Duration::from_millis(2)).await;
    assert_eq!(one.take(&buckets, 2).await.allowed, 0);
}

pub(crate) async fn a_held_bucket_takes_nothing_from_the_others(one: Client, _: Client) {
    let [held, open] = [bucket("account", 0), bucket("carrier", 4)];
    filled(&one, std::slice::from_ref(&open)).await;
    one.hold("account", Duration::from_secs(60)).await;
    for order in [[open.clone(), held.clone()], [held, open.clone()]] {
        assert_eq!(one.take(&order, 4).await.allowed, 0);
    }
    assert_eq!(one.take(&[open], 9).await.allowed, 4);
}

/// Much longer than a signal takes.
const LONG: Duration = Duration::from_secs(30);

pub(crate) async fn a_signal_wakes_every_client_and_no_other_topic(one: Client, other: Client) {
    let mut listeners = [one.listen("deliveries"), other.listen("deliveries"), other.listen("deliveries")];
    let mut elsewhere = other.listen("dialogues");
    for _ in 0..3 {
        one.raise("deliveries");
        for listener in &mut listeners {
            let begun = Instant::now();
            listener.wait(LONG).await;
            assert!(begun.elapsed() < LONG / 2);
        }
    }
    let begun = Instant::now();
    elsewhere.wait(Duration::from_millis(100)).await;
    assert!(begun.elapsed() >= Duration::from_millis(100));
}

pub(crate) async fn a_signal_before_the_wait_is_not_lost(one: Client, other: Client) {
    let mut listener = other.listen("deliveries");
    one.raise("deliveries");
    sleep(Duration::from_millis(300)).await;
    let begun = Instant::now();
    listener.wait(LONG).await;
    assert!(begun.elapsed() < LONG / 2);
}

pub(crate) fn counts(pairs: &[(&str, u64)]) -> Counts {
    pairs.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
}

pub(crate) async fn the_last_word_on_progress_stands_until_it_expires(one: Client, other: Client) {
    assert_eq!(one.read("dst_1").await, None);
    let [first, last] = [counts(&[("sent", 1), ("left", 9)]), counts(&[("sent", u64::MAX)])];
    one.put("dst_1", &first, LONG).await;
    assert_eq!(other.read("dst_1").await, Some(first.clone()));
    other.put("dst_1", &last, LONG).await;
    one.put("dst_2", &first, Duration::from_millis(100)).await;
    assert_eq!(one.read("dst_1").await, Some(last));
    sleep(Duration::from_millis(150)).await;
    assert_eq!(other.read("dst_2").await, None);
}

pub(crate) async fn one_who_watches_sees_a_change(one: Client, other: Client) {
    let said = [counts(&[("sent", 1)]), counts(&[("sent", 2)])];
    one.put("dst_1", &said[0], LONG).await;
    let seen = other.changed("dst_1", None).await;
    assert_eq!(seen.as_ref(), Some(&said[0]));
    let watching = tokio::spawn(async move { other.changed("dst_1", seen.as_ref()).await });
    sleep(Duration::from_millis(50)).await;
    assert!(!watching.is_finished());
    one.put("dst_1", &said[1], LONG).await;
    assert_eq!(watching.await.unwrap().as_ref(), Some(&said[1]));
}
