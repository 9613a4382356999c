//! What becomes of a list that a carrier gives: as a whole or in parts, complete or not, by one server of several.

use std::{
    collections::BTreeSet,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use musubi_domain::{
    eligibility::Tie,
    id::{CarrierId, FollowerKeyring, TieId},
    identity::IdentityMethod,
    phone_number::PhoneNumber,
    roster::CollapseRules,
    silence::Silence,
};
use musubi_runtime::Clock as _;
use musubi_storage::information::{
    FollowerKey,
    erasure::Asker,
    flow::{Scope, TieRecord, Work},
    follower::{Acquisition, Quarantine},
    list::{DueLists, ListKey},
};
use tokio_util::sync::CancellationToken;

use super::lists::Lists;
use crate::tests::{Carrier, World, start};

fn number(n: u32) -> PhoneNumber {
    format!("+8180{n:08}").parse().unwrap()
}

fn keyring() -> FollowerKeyring {
    FollowerKeyring::new(&[1; 32]).unwrap()
}

fn key(n: u32) -> FollowerKey {
    let account = "bank".parse().unwrap();
    FollowerKey { follower: keyring().follower(&account, &number(n)), account }
}

struct Stage {
    world: World,
    carrier: Carrier,
}

impl Stage {
    async fn new() -> Self {
        Self { world: World::new().await, carrier: Carrier::new("kumo") }
    }

    /// A server with this much memory for a list.
    fn server(&self, at_once: usize) -> Arc<Lists> {
        Arc::new(Lists {
            store: self.world.store(),
            directory: Arc::clone(&self.world.directory),
            clock: self.world.clock(),
            signals: self.world.signals.clone(),
            keyring: keyring(),
            gateways: Arc::default(),
            collapse: CollapseRules { at_least: 10, ..CollapseRules::default() },
            every: Duration::from_hours(1),
            at_once,
        })
    }

    /// The carrier's list is this from now on; an hour passes.
    async fn acquire(&self, server: &Arc<Lists>, numbers: impl IntoIterator<Item = u32>) {
        self.world.clock.advance(SignedDuration::from_hours(1));
        *self.carrier.list.lock().unwrap() =
            (self.world.clock.now(), numbers.into_iter().map(number).collect());
        assert!(self.acquire_due(server).await);
    }

    async fn acquire_due(&self, server: &Arc<Lists>) -> bool {
        let accounts = ["bank".parse().unwrap()];
        server.acquire_due(&accounts, &self.carrier, &CancellationToken::new()).await.unwrap()
    }

    /// Who follows, of the numbers below 1,000, and whose tie is suspended.
    async fn followers(&self) -> [BTreeSet<u32>; 2] {
        let mut found = [BTreeSet::new(), BTreeSet::new()];
        let keys: Vec<_> = (0..1_000).map(key).collect();
        let scope = Scope { followers: keys.clone(), ..Scope::default() };
        let mut look = |work: &mut Work| {
            for (n, key) in (0..).zip(&keys) {
                let Some(record) = work.followers.get(key) else { continue };
                assert_eq!(record.phone_number, number(n));
                if record.following {
                    found[0].insert(n);
                }
                if record.tie.as_ref().is_some_and(|tie| tie.tie.suspended) {
                    found[1].insert(n);
                }
            }
        };
        self.world.store().work("look", &scope, start(), &mut look).await.unwrap();
        found
    }

    async fn tie(&self, numbers: impl IntoIterator<Item = u32>) {
        let keys: Vec<_> = numbers.into_iter().map(key).collect();
        let scope = Scope { followers: keys.clone(), ..Scope::default() };
        let mut tie = |work: &mut Work| {
            for (n, key) in keys.iter().enumerate() {
                let record = work.followers.get_mut(key).unwrap();
                record.tie = Some(TieRecord {
                    tie: Tie {
                        id: TieId::derive(record.dialogue.as_ref().unwrap().id),
                        customer_id: format!("C{n}").parse().unwrap(),
                        suspended: false,
                        expire_time: Timestamp::MAX,
                        holder: Silence::of_days(30).proved(start()),
                    },
                    method: IdentityMethod::Jpki,
                    tie_time: start(),
                });
            }
        };
        self.world.store().work("tie", &scope, start(), &mut tie).await.unwrap();
    }

    async fn counted(&self) -> Acquisition {
        let overview =
            self.world.store().overview(&"bank".parse().unwrap(), &["bank".parse().unwrap()]).await.unwrap();
        overview.acquisitions.into_iter().next().unwrap()
    }
}

#[tokio::test]
async fn a_list_in_parts_becomes_the_same_list() {
    let stage = Stage::new().await;
    // Every part is fetched to be judged, and once more where its changes don't fit beside those of others.
    for (at_once, fetches) in [(usize::MAX, 1..=1), (300, 4..=4), (70, 16..=32), (10, 64..=512)] {
        let server = stage.server(at_once);
        for numbers in [0..1_000, 20..980, 0..1_000] {
            stage.carrier.fetches.store(0, Ordering::SeqCst);
            stage.acquire(&server, numbers.clone()).await;
            assert_eq!(stage.followers().await[0], numbers.clone().collect(), "{at_once}");
            assert!(fetches.contains(&stage.carrier.fetches.load(Ordering::SeqCst)), "{at_once}");
        }
    }
    let counted = stage.counted().await;
    assert_eq!((counted.promoted, counted.generation, counted.added_by_list), (12, 7, 1_000 + 4 * 40));
    assert_eq!(counted.skipped, 3 * 1_000 + 8 * 960);
}

#[tokio::test]
async fn a_list_that_breaks_off_changes_nothing_and_is_fetched_soon() {
    let stage = Stage::new().await;
    let server = stage.server(usize::MAX);
    stage.acquire(&server, 0..100).await;
    stage.carrier.breaks_off.store(true, Ordering::SeqCst);
    stage.acquire(&server, 0..200).await;
    assert_eq!(stage.followers().await[0], (0..100).collect());
    assert!(!stage.acquire_due(&server).await, "it rests");
    stage.carrier.breaks_off.store(false, Ordering::SeqCst);
    stage.world.clock.advance(SignedDuration::from_secs(2));
    assert!(stage.acquire_due(&server).await);
    assert_eq!(stage.followers().await[0], (0..200).collect());
    let counted = stage.counted().await;
    assert_eq!((counted.promoted, counted.discarded), (2, 1));
}

#[tokio::test]
async fn a_collapsed_list_suspends_whom_it_lacks_until_it_has_them_again() {
    for at_once in [usize::MAX, 30] {
        let stage = Stage::new().await;
        let server = stage.server(at_once);
        stage.acquire(&server, 0..200).await;
        stage.tie(0..100).await;
        stage.acquire(&server, 50..200).await;
        assert_eq!(stage.followers().await, [(0..200).collect(), (0..50).collect()]);
        assert_eq!(stage.counted().await.quarantined, 1);
        // Ten may be missing; their ties end with their following, and the others' are resumed.
        stage.acquire(&server, 10..200).await;
        assert_eq!(stage.followers().await, [(10..200).collect(), BTreeSet::new()]);
        stage.acquire(&server, 100..200).await;
        assert_eq!(stage.counted().await.quarantined, 2);
        stage.acquire(&server, 100..200).await;
        assert_eq!(stage.followers().await[0], (100..200).collect(), "an hour later it is believed");
    }
}

#[tokio::test]
async fn a_quarantined_list_stays_until_it_is_released_and_then_is_the_list() {
    for at_once in [usize::MAX, 30] {
        let stage = Stage::new().await;
        let server = stage.server(at_once);
        stage.acquire(&server, 0..200).await;
        stage.acquire(&server, 50..200).await;
        assert_eq!(stage.followers().await[0], (0..200).collect());
        let Quarantine { followers, missing, released, .. } = stage.counted().await.quarantine.unwrap();
        assert_eq!((followers, missing, released), (200, 50, false));
        assert!(!stage.acquire_due(&server).await, "nobody looks again");

        // Those who release it have seen fifty missing; a list that has lost more since is not what they have seen.
        let store = stage.world.store();
        let asker = Asker { company: "bank".parse().unwrap(), operator: "sato".parse().unwrap() };
        let list = ListKey { account: "bank".parse().unwrap(), carrier: "kumo".parse().unwrap() };
        let release = async |missing| {
            store.release_list(&asker, &list, missing, stage.world.clock.now()).await.unwrap();
            assert!(stage.counted().await.quarantine.unwrap().released);
            assert!(stage.acquire_due(&server).await, "at once");
        };
        stage.carrier.list.lock().unwrap().1 = (70..200).map(number).collect();
        release(50).await;
        assert_eq!(stage.followers().await[0], (0..200).collect());
        assert_eq!(stage.counted().await.quarantine.unwrap().missing, 70);
        release(70).await;
        assert_eq!(stage.followers().await[0], (70..200).collect());
        assert_eq!(stage.counted().await.quarantine, None);
        let lines = store.audit_lines(0, 1_000).await.unwrap();
        let told: Vec<_> = lines.iter().map(|line| (line.action.as_str(), line.detail.as_str())).collect();
        let batches: &[_] = if at_once == usize::MAX {
            &[
                ("list_added", "bank at kumo, 200 followers"),
                ("list_suspended", "bank at kumo, 50 followers"),
                ("list_suspended", "bank at kumo, 70 followers"),
                ("list_removed", "bank at kumo, 70 followers"),
            ]
        } else {
            &[]
        };
        for line in batches {
            assert!(told.contains(line), "{line:?} in {told:?}");
        }
        assert!(told.contains(&("list_released", "bank at kumo, 70 missing, by sato")), "{told:?}");
    }
}

#[tokio::test]
async fn of_two_servers_one_acquires_a_list_and_the_other_when_it_died() {
    let stage = Stage::new().await;
    let (one, other) = (stage.server(usize::MAX), stage.server(usize::MAX));
    stage.acquire(&one, 0..100).await;
    assert!(!stage.acquire_due(&other).await, "it was acquired");
    stage.world.clock.advance(SignedDuration::from_hours(1));
    let store = stage.world.store();
    let now = stage.world.clock.now();
    let carrier: CarrierId = "kumo".parse().unwrap();
    let due = DueLists {
        carrier: &carrier,
        accounts: &["bank".parse().unwrap()],
        now,
        acquired_before: now,
        lease_end: now + SignedDuration::from_secs(10),
    };
    let lease = store.claim_list(due).await.unwrap().unwrap();
    assert!(!stage.acquire_due(&other).await, "the first has it");
    stage.world.clock.advance(SignedDuration::from_secs(10));
    assert!(stage.acquire_due(&other).await, "it is not heard of any more");
    assert!(!store.renew_list(&lease, Timestamp::MAX).await.unwrap());
    assert_eq!(stage.counted().await.promoted, 2);
}

#[tokio::test]
async fn a_server_that_stops_leaves_its_list_to_others_at_once() {
    let stage = Stage::new().await;
    let server = stage.server(usize::MAX);
    stage.acquire(&server, 0..100).await;
    stage.world.clock.advance(SignedDuration::from_hours(1));
    let stop = CancellationToken::new();
    stop.cancel();
    assert!(server.acquire_due(&["bank".parse().unwrap()], &stage.carrier, &stop).await.unwrap());
    let counted = stage.counted().await;
    assert_eq!((counted.promoted, counted.discarded), (1, 0));
    assert!(stage.acquire_due(&stage.server(usize::MAX)).await);
}

/// The lease is renewed while other batches are under way, over the one connection of SQLite that writes.
#[tokio::test]
async fn a_list_that_takes_longer_than_its_lease_becomes_the_list() {
    let stage = Stage::new().await;
    let server = stage.server(usize::MAX);
    let world = &stage.world;
    let hours_pass = async {
        loop {
            world.clock.advance(SignedDuration::from_secs(5));
            tokio::task::yield_now().await;
        }
    };
    let acquired = tokio::time::timeout(Duration::from_secs(60), stage.acquire(&server, 0..10_000));
    tokio::select! {
        done = acquired => done.expect("it hangs"),
        () = hours_pass => {}
    }
    assert_eq!(stage.counted().await.added_by_list, 10_000);
}
