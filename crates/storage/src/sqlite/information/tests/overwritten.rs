//! What is gone is gone from the file, too.

use std::collections::{HashMap, HashSet};

use musubi_domain::{
    blind::{BlindCustomer, Blinding, DigestKey},
    customer::{Customer, KeyedCustomer, MatchKeys},
    erasure::{Cause, Erasure},
    id::FollowerId,
};

use super::open;
use crate::{
    Opened as _,
    conformance::information as facts,
    information::{
        FollowerKey, custody::CustodyStore as _, erasure::ErasureStore as _, flow::FollowerRecord,
    },
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
    let left = std::fs::read(folder.path().join("information.db")).unwrap();
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
        let read = |name: &str| std::fs::read(folder.path().join(name)).unwrap_or_default();
        let files = [read("information.db"), read("information.db-wal")].concat();
        files.windows(16).filter(|it| secret.contains(*it)).collect::<HashSet<_>>().len()
    };
    assert_eq!(standing(), 901, "key and digests");
    assert_eq!(store.purge(&bank, now).await.unwrap(), 900);
    store.close().await;
    assert_eq!(standing(), 0);
}

#[tokio::test]
async fn of_an_erased_follower_nothing_stands_in_the_file_or_its_log() {
    const SEALED: &str = "
        SELECT follower, phone_number FROM follower
        UNION ALL SELECT follower, subject FROM inquiry JOIN follower USING (number)";
    let (store, folder) = open().await;
    let key = |number: u32| FollowerKey {
        account: facts::named("bank"),
        follower: FollowerId::from_bytes(
            u128::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835).to_be_bytes(),
        ),
    };
    for batch in 0..20 {
        let people = (batch * 100..(batch + 1) * 100).map(|number| {
            let phone_number = format!("+8190{number:08}").parse().unwrap();
            (key(number), FollowerRecord { phone_number, ..facts::follower(1) })
        });
        facts::put(&store, people.collect()).await;
    }
    // In no order, so that pages split in the middle, too.
    let mut dice = facts::Dice(1);
    for batch in 0..20 {
        let people: Vec<_> = (0..100).map(|place| key((place * 20 + batch) * 1_327 % 2_000)).collect();
        facts::unit(&store, &facts::of(people), |work| {
            work.followers.values_mut().for_each(|record| record.inquiry = Some(Box::new(dice.inquiry())));
        })
        .await;
    }
    let sealed: Vec<(Vec<u8>, Vec<u8>)> =
        sqlx::query_as(SEALED).fetch_all(store.database.read()).await.unwrap();
    let erasures = (0..2_000).step_by(7).map(|number| Erasure {
        account: facts::named("bank"),
        follower: key(number).follower,
        company: facts::named("bank"),
        cause: Cause::Company,
        request_time: facts::at(0),
        ask_time: facts::at(0),
    });
    let erasures: Vec<_> = erasures.collect();
    let erased: HashSet<&[u8]> = erasures.iter().map(|it| &it.follower.as_bytes()[..]).collect();
    assert_eq!(store.erase(&erasures, facts::at(1)).await.unwrap(), 286);
    let read = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
    // Open still: nobody has to stop a server to be erased.
    let files = [read("information.db"), read("information.db-wal")];
    // What follows the 13 bytes of version and nonce is nobody else's.
    let tails: HashMap<&[u8], bool> = sealed
        .iter()
        .map(|(follower, sealed)| (&sealed[sealed.len() - 16..], erased.contains(&follower[..])))
        .collect();
    let (mut stay, mut left) = (HashSet::new(), 0);
    for window in files.iter().flat_map(|file| file.windows(16)) {
        match tails.get(window) {
            Some(true) => left += 1,
            Some(false) => drop(stay.insert(window)),
            None => {}
        }
    }
    assert_eq!((stay.len(), left), (2 * (2_000 - 286), 0), "found of those who stay, and of those who went");
}
