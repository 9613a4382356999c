//! What is gone is gone from the file, too.

use std::collections::{HashMap, HashSet};

use musubi_domain::{
    blind::{BlindCustomer, Blinding, DigestKey},
    customer::{Customer, KeyedCustomer, MatchKeys},
    erasure::{Cause, Erasure},
    id::FollowerId,
};

use tempfile::TempDir;

use super::{super::SqliteInformation, open};
use crate::{
    Opened as _,
    conformance::information as facts,
    information::{
        FollowerKey, custody::CustodyStore as _, erasure::ErasureStore as _, flow::FollowerRecord,
    },
    vault::{Backend as _, KeyRow},
};

#[tokio::test]
async fn of_a_purged_copy_nothing_stands_in_the_file_even_if_it_moved() {
    let (store, folder) = open().await;
    let row = |number: usize| KeyedCustomer {
        customer: Customer {
            customer_id: format!("C{number:04}").parse().unwrap(),
            name: "name of a person".to_owned(),
            name_kana: String::new(),
            birth_date: "1980-02-03".to_owned(),
            address: "東京都".to_owned(),
            branch_number: String::new(),
            account_number: format!("{number:07}"),
            account_key: format!("{number:07}"),
            identity_verification: String::new(),
        },
        keys: MatchKeys { rules_version: 0, bytes: b"first keys".to_vec() },
    };
    let (bank, now) = (facts::named("bank"), facts::at(0));
    let copy = store.begin_copy(&bank, None, now).await.unwrap();
    store.add_customers(&bank, copy, &(0..300).map(row).collect::<Vec<_>>(), now).await.unwrap();
    store.take_effect(&bank, copy, facts::at(60), now).await.unwrap();
    let longer = "second keys".repeat(9).into_bytes();
    assert_eq!(store.rekey(1, 1000, &|_| longer.clone()).await.unwrap(), 300);
    assert_eq!(store.purge(&bank, now).await.unwrap(), 300);
    store.close().await;
    let left = read(&folder, "information.db");
    for gone in ["name of a person", "first keys", "second keys"] {
        assert!(!left.windows(gone.len()).any(|bytes| bytes == gone.as_bytes()), "{gone}");
    }
}

#[tokio::test]
async fn of_a_purged_blind_copy_neither_key_nor_digests_stand_in_the_file() {
    let (store, folder) = open().await;
    let key = DigestKey::new([7; 32]);
    let row = |number: usize| {
        let account = key.account(&number.to_string());
        BlindCustomer {
            customer_id: format!("C{number:04}").parse().unwrap(),
            account,
            digests: account.repeat(20),
        }
    };
    let (bank, now) = (facts::named("bank"), facts::at(0));
    let blinding = Blinding { key: key.clone(), rules_version: 1 };
    let copy = store.begin_copy(&bank, Some(&blinding), now).await.unwrap();
    // In no order, so that pages split in the middle, too.
    for batch in 0..30 {
        let rows: Vec<_> = (0..30).map(|place| row(place * 30 + batch)).collect();
        store.add_digests(&bank, copy, &rows, now).await.unwrap();
    }
    store.take_effect(&bank, copy, facts::at(60), now).await.unwrap();
    let sealed: Vec<u8> =
        sqlx::query_scalar("SELECT digest_key FROM custody").fetch_one(store.database.read()).await.unwrap();
    let mut secret: HashSet<Vec<u8>> = (0..900).map(|number| row(number).account.to_vec()).collect();
    secret.insert(sealed[sealed.len() - 16..].to_vec());
    let standing = || {
        let log = std::fs::read(folder.path().join("information.db-wal")).unwrap_or_default();
        let files = [read(&folder, "information.db"), log].concat();
        files.windows(16).filter(|it| secret.contains(*it)).collect::<HashSet<_>>().len()
    };
    assert_eq!(standing(), 901, "key and digests");
    assert_eq!(store.purge(&bank, now).await.unwrap(), 900);
    store.close().await;
    assert_eq!(standing(), 0);
}

#[tokio::test]
async fn of_a_destroyed_key_nothing_stands_in_the_file_or_its_log() {
    let (store, folder) = open().await;
    let keys: Vec<_> = (0..9_u8).map(key).collect();
    store.database.add(&keys, &[]).await.unwrap();
    let standing = |key: &KeyRow| {
        let files = [read(&folder, "information.db"), read(&folder, "information.db-wal")].concat();
        files.windows(60).any(|it| it == key.wrapped)
    };
    assert!(keys.iter().all(standing));
    store.database.destroy_key(&keys[4]).await.unwrap();
    let left: Vec<_> = keys.iter().filter(|it| standing(it)).map(|it| it.epoch).collect();
    assert_eq!(left, [0, 1, 2, 3, 5, 6, 7, 8]);
}

#[tokio::test]
async fn of_what_was_attested_nothing_stands_in_the_file_once_it_is_decided() {
    let (store, folder) = open().await;
    // Keys are destroyed now and then, and whatever is deleted afterwards is overwritten as before.
    store.database.destroy_key(&key(1)).await.unwrap();
    inquire(&store).await;
    let subjects: Vec<Vec<u8>> =
        sqlx::query_scalar("SELECT subject FROM inquiry").fetch_all(store.database.read()).await.unwrap();
    let tails: HashSet<&[u8]> = subjects.iter().map(|it| tail(it)).collect();
    let standing = || {
        let file = read(&folder, "information.db");
        file.windows(16).filter(|it| tails.contains(it)).collect::<HashSet<_>>().len()
    };
    store.database.cut_log("fact").await.unwrap();
    assert_eq!(standing(), 2_000);
    for batch in in_no_order() {
        facts::unit(&store, &facts::of(batch), |work| {
            work.followers.values_mut().for_each(|record| record.inquiry = None);
        })
        .await;
    }
    store.database.cut_log("fact").await.unwrap();
    assert_eq!(standing(), 0);
}

/// Where SQLite moves rows between pages it may leave a copy in the part of a page that isn't used, which nobody overwrites before the
/// page is filled again: 55 of 292,864 in 512 runs.
#[tokio::test]
async fn of_erased_followers_nothing_stands_in_the_log_or_in_use_and_next_to_nothing_beside() {
    const SEALED: &str = "
        SELECT follower, phone_number FROM follower
        UNION ALL SELECT follower, subject FROM inquiry JOIN follower USING (number)";
    let (store, folder) = open().await;
    inquire(&store).await;
    let sealed: Vec<(Vec<u8>, Vec<u8>)> =
        sqlx::query_as(SEALED).fetch_all(store.database.read()).await.unwrap();
    let erasures = (0..2_000).step_by(7).map(|number| Erasure {
        account: facts::named("bank"),
        follower: person(number).follower,
        company: facts::named("bank"),
        cause: Cause::Company,
        request_time: facts::at(0),
        ask_time: facts::at(0),
    });
    let erasures: Vec<_> = erasures.collect();
    let erased: HashSet<&[u8]> = erasures.iter().map(|it| &it.follower.as_bytes()[..]).collect();
    assert_eq!(store.erase(&erasures, facts::at(1)).await.unwrap(), 286);
    // Open still: nobody has to stop a server to be erased.
    assert_eq!(read(&folder, "information.db-wal").len(), 0);
    let file = read(&folder, "information.db");
    let tails: HashMap<&[u8], bool> =
        sealed.iter().map(|(follower, sealed)| (tail(sealed), erased.contains(&follower[..]))).collect();
    let (mut stay, mut in_use, mut beside) = (HashSet::new(), 0, 0);
    for (place, window) in file.windows(16).enumerate() {
        match tails.get(window) {
            Some(false) => drop(stay.insert(window)),
            Some(true) if is_unused(&file, place) => beside += 1,
            Some(true) => in_use += 1,
            None => {}
        }
    }
    assert_eq!(
        (stay.len(), in_use),
        (2 * (2_000 - 286), 0),
        "found of those who stay, and of those who went"
    );
    assert!(beside <= 5, "{beside} of 572 in unused parts of pages");
}

/// Whether a place of a file of SQLite lies between the list of cells of a page of a table or index and the first of them.
fn is_unused(file: &[u8], place: usize) -> bool {
    let short = |at: usize| usize::from(u16::from_be_bytes([file[at], file[at + 1]]));
    let page = place - place % short(16);
    let header = match file[page] {
        5 | 2 => 12,
        13 | 10 => 8,
        _ => return false,
    };
    (page + header + 2 * short(page + 3)..page + short(page + 5)).contains(&place)
}

/// 2,000 followers, each of whom has an inquiry.
async fn inquire(store: &SqliteInformation) {
    for batch in 0..20 {
        let people = (batch * 100..(batch + 1) * 100).map(|number| {
            let phone_number = format!("+8190{number:08}").parse().unwrap();
            (person(number), FollowerRecord { phone_number, ..facts::follower(1) })
        });
        facts::put(store, people.collect()).await;
    }
    let mut dice = facts::Dice(1);
    for batch in in_no_order() {
        facts::unit(store, &facts::of(batch), |work| {
            work.followers.values_mut().for_each(|record| record.inquiry = Some(Box::new(dice.inquiry())));
        })
        .await;
    }
}

/// All people, so that pages split in the middle, too.
fn in_no_order() -> impl Iterator<Item = Vec<FollowerKey>> {
    (0..20).map(|batch| (0..100).map(|place| person((place * 20 + batch) * 1_327 % 2_000)).collect())
}

fn person(number: u32) -> FollowerKey {
    FollowerKey {
        account: facts::named("bank"),
        follower: FollowerId::from_bytes(
            u128::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835).to_be_bytes(),
        ),
    }
}

fn key(epoch: u8) -> KeyRow {
    KeyRow {
        company: "lighthouse".to_owned(),
        epoch: epoch.into(),
        wrapped: (0..60).map(|place: u8| (place ^ 0xa5).wrapping_mul(epoch * 2 + 1)).collect(),
        create_time: facts::at(0),
        use_time: facts::at(0),
        empty_time: None,
    }
}

/// What follows the 13 bytes of version and nonce is nobody else's.
fn tail(sealed: &[u8]) -> &[u8] {
    &sealed[sealed.len() - 16..]
}

fn read(folder: &TempDir, name: &str) -> Vec<u8> {
    std::fs::read(folder.path().join(name)).unwrap()
}
