//! Facts about custody.

use musubi_domain::{
    blind::{BlindCustomer, Blinding, DigestKey},
    customer::{Customer, KeyedCustomer, MatchKeys},
};

use super::{Bench, at, named};
use crate::information::custody::{ABANDONED_AFTER, CopyNumber, Custody, Entrusted, PurgeReason};

fn customer(id: &str, account_key: &str) -> Customer {
    Customer {
        customer_id: named(id),
        name: format!("名 {id}"),
        name_kana: "ナ".to_owned(),
        birth_date: "1980-02-03".to_owned(),
        address: "東京都".to_owned(),
        branch_number: "001".to_owned(),
        account_number: account_key.to_owned(),
        account_key: account_key.to_owned(),
        identity_verification: String::new(),
    }
}

/// As taken in by rules of version 1.
fn keyed(id: &str, account_key: &str) -> KeyedCustomer {
    let customer = customer(id, account_key);
    KeyedCustomer { keys: MatchKeys { rules_version: 1, bytes: made(1, &customer) }, customer }
}

/// What rules of this version make of a customer: bytes of all kinds.
fn made(rules_version: u32, customer: &Customer) -> Vec<u8> {
    let text = format!("{rules_version}\0'{}", customer.name);
    [text.as_bytes(), &[0xFF, 0]].concat()
}

/// A copy of these (customer, account key), in effect from `second` on for a minute.
pub(crate) async fn entrust(
    store: &dyn Bench,
    company: &str,
    customers: &[(&str, &str)],
    second: i64,
) -> Custody {
    let (copy, company) = (begun(store, company, customers, second).await, named(company));
    store.take_effect(&company, copy, at(second + 60), at(second)).await.unwrap()
}

async fn begun(store: &dyn Bench, company: &str, customers: &[(&str, &str)], second: i64) -> CopyNumber {
    let company = named(company);
    let copy = store.begin_copy(&company, None, at(second)).await.unwrap();
    for (id, account_key) in customers {
        store.add_customers(&company, copy, &[keyed(id, account_key)], at(second)).await.unwrap();
    }
    copy
}

/// The candidates by id, or none when nothing can be decided.
async fn candidates(
    store: &dyn Bench,
    company: &str,
    account_keys: &[&str],
    second: i64,
) -> Option<Vec<String>> {
    let found = store.candidates(&named(company), account_keys, at(second)).await.unwrap();
    found.map(|found| {
        let mut ids: Vec<_> = match found {
            Entrusted::Plain(found) => found.iter().map(|row| row.customer.customer_id.to_string()).collect(),
            Entrusted::Blind(_, found) => found.iter().map(|row| row.customer_id.to_string()).collect(),
        };
        ids.sort();
        ids
    })
}

async fn records(store: &dyn Bench, company: &str) -> Vec<(u64, Option<PurgeReason>, bool)> {
    let custodies = store.list_custodies(&named(company)).await.unwrap();
    custodies.iter().map(|one| (one.customers, one.purge_reason, one.purge_time.is_some())).collect()
}

pub(crate) async fn customers_are_found_by_account_key_and_joint_accounts_both(store: &dyn Bench) {
    entrust(store, "bank", &[("C1", "0000001"), ("C2", "0000001"), ("C3", "0000003")], 0).await;
    let found = candidates(store, "bank", &["0000001", "0000009"], 0).await.unwrap();
    assert_eq!(found, ["C1", "C2"]);
    let whole = store.candidates(&named("bank"), &["0000003"], at(0)).await.unwrap().unwrap();
    assert_eq!(whole, Entrusted::Plain(vec![keyed("C3", "0000003")]), "every column is kept");
    assert_eq!(candidates(store, "bank", &[], 0).await, Some(Vec::new()));
}

pub(crate) async fn a_copy_answers_nothing_until_it_is_whole(store: &dyn Bench) {
    let copy = begun(store, "bank", &[("C1", "0000001")], 0).await;
    assert_eq!(candidates(store, "bank", &["0000001"], 0).await, None);
    assert_eq!(records(store, "bank").await, []);
    let custody = store.take_effect(&named("bank"), copy, at(60), at(5)).await.unwrap();
    let expected = Custody {
        customers: 1,
        entrust_time: at(5),
        lease_end_time: at(60),
        purge_reason: None,
        purge_time: None,
        digest_rules: None,
    };
    assert_eq!(custody, expected);
    assert_eq!(candidates(store, "bank", &["0000001"], 5).await.unwrap(), ["C1"]);
    assert!(store.audits().await.iter().any(|line| line.contains("customers_entrusted")));
}

pub(crate) async fn a_new_copy_replaces_the_one_before(store: &dyn Bench) {
    entrust(store, "bank", &[("C1", "0000001"), ("C2", "0000002")], 0).await;
    let half = begun(store, "bank", &[("C8", "0000001")], 1).await;
    assert_eq!(
        candidates(store, "bank", &["0000001"], 1).await.unwrap(),
        ["C1"],
        "the old one answers meanwhile"
    );
    entrust(store, "bank", &[("C9", "0000001")], 2).await;
    assert_eq!(candidates(store, "bank", &["0000001", "0000002"], 2).await.unwrap(), ["C9"]);
    let replaced = Some(PurgeReason::Replaced);
    assert_eq!(records(store, "bank").await, [(1, None, false), (2, replaced, false)]);
    assert_eq!(store.purge_ended(100, at(2)).await.unwrap(), 2);
    assert_eq!(records(store, "bank").await, [(1, None, false), (2, replaced, true)]);
    store.take_effect(&named("bank"), half, at(60), at(3)).await.unwrap();
    assert_eq!(
        candidates(store, "bank", &["0000001"], 3).await.unwrap(),
        ["C8"],
        "the last whole copy stands"
    );
}

pub(crate) async fn a_copy_whose_lease_is_over_answers_nothing_and_leaves_a_record(store: &dyn Bench) {
    entrust(store, "bank", &[("C1", "0000001")], 0).await;
    assert_eq!(store.purge_ended(100, at(59)).await.unwrap(), 0);
    assert_eq!(candidates(store, "bank", &["0000001"], 59).await.unwrap(), ["C1"]);
    assert_eq!(candidates(store, "bank", &["0000001"], 60).await, None, "even before it is swept");
    assert_eq!(store.purge_ended(100, at(61)).await.unwrap(), 1);
    assert_eq!(store.purge_ended(100, at(61)).await.unwrap(), 0);
    let custodies = store.list_custodies(&named("bank")).await.unwrap();
    assert_eq!(
        (custodies[0].purge_reason, custodies[0].purge_time),
        (Some(PurgeReason::LeaseEnded), Some(at(61)))
    );
    let told = |line: &&String| line.contains("customers_purged") && line.contains("lease_ended");
    assert_eq!(store.audits().await.iter().filter(told).count(), 1);
}

pub(crate) async fn a_purge_goes_in_batches_and_is_told_when_the_last_row_is_gone(store: &dyn Bench) {
    entrust(store, "bank", &[("C1", "0000001"), ("C2", "0000002"), ("C3", "0000003")], 0).await;
    for (left, done) in [(2, false), (1, true)] {
        assert_eq!(store.purge_ended(2, at(70)).await.unwrap(), left);
        assert_eq!(records(store, "bank").await, [(3, Some(PurgeReason::LeaseEnded), done)]);
    }
}

pub(crate) async fn a_purge_that_is_asked_for_destroys_everything_and_may_be_repeated(store: &dyn Bench) {
    entrust(store, "power", &[("C7", "0000007")], 0).await;
    entrust(store, "bank", &[("C1", "0000001")], 0).await;
    entrust(store, "bank", &[("C1", "0000001"), ("C2", "0000002")], 1).await;
    assert_eq!(store.purge(&named("bank"), at(2)).await.unwrap(), 3, "what was replaced goes too");
    assert_eq!(candidates(store, "bank", &["0000001"], 2).await, None);
    let (asked, replaced) = (Some(PurgeReason::Asked), Some(PurgeReason::Replaced));
    assert_eq!(records(store, "bank").await, [(2, asked, true), (1, replaced, true)]);
    assert_eq!(store.purge(&named("bank"), at(3)).await.unwrap(), 0);
    assert_eq!(candidates(store, "power", &["0000007"], 3).await.unwrap(), ["C7"], "another's stays");
}

pub(crate) async fn an_abandoned_copy_is_given_up(store: &dyn Bench) {
    let copy = begun(store, "bank", &[("C1", "0000001")], 0).await;
    let idle = ABANDONED_AFTER.as_secs();
    store.add_customers(&named("bank"), copy, &[keyed("C2", "0000002")], at(5)).await.unwrap();
    assert_eq!(store.purge_ended(100, at(idle)).await.unwrap(), 0, "a chunk came since");
    assert_eq!(store.purge_ended(100, at(5 + idle)).await.unwrap(), 2);
    assert!(store.add_customers(&named("bank"), copy, &[keyed("C3", "0000003")], at(idle)).await.is_err());
    assert!(store.take_effect(&named("bank"), copy, at(9_999), at(idle)).await.is_err());
    assert_eq!(records(store, "bank").await, [], "it was never entrusted");
}

pub(crate) async fn a_copy_that_was_given_up_does_not_end_the_one_in_effect(store: &dyn Bench) {
    entrust(store, "bank", &[("C1", "0000001")], 0).await;
    assert!(store.take_effect(&named("bank"), CopyNumber(9), at(60), at(1)).await.is_err());
    assert_eq!(candidates(store, "bank", &["0000001"], 1).await.unwrap(), ["C1"]);
}

pub(crate) async fn another_companys_copy_is_out_of_reach(store: &dyn Bench) {
    entrust(store, "bank", &[("C1", "0000001")], 0).await;
    assert_eq!(candidates(store, "power", &["0000001"], 0).await, None);
    entrust(store, "power", &[("P1", "0000002")], 0).await;
    assert_eq!(candidates(store, "power", &["0000001"], 0).await, Some(Vec::new()));
    assert_eq!(records(store, "power").await.len(), 1);
}

pub(crate) async fn entrusted_keys_of_other_rules_are_made_anew_until_none_is_left(store: &dyn Bench) {
    assert_eq!(store.rekey(2, 2, &|_| vec![]).await.unwrap(), 0, "of no copy");
    entrust(store, "bank", &[("C1", "0000001"), ("C2", "0000002")], 0).await;
    entrust(store, "power", &[("P1", "0000001")], 0).await;
    let before = records(store, "bank").await;
    // Newer rules, and older ones again, as when a program is taken back.
    for version in [2, 1] {
        for done in [2, 1, 0] {
            assert_eq!(store.rekey(version, 2, &|customer| made(version, customer)).await.unwrap(), done);
        }
        for (company, id, account_key) in
            [("bank", "C1", "0000001"), ("bank", "C2", "0000002"), ("power", "P1", "0000001")]
        {
            let found = store.candidates(&named(company), &[account_key], at(0)).await.unwrap().unwrap();
            let mut expected = keyed(id, account_key);
            expected.keys = MatchKeys { rules_version: version, bytes: made(version, &expected.customer) };
            assert_eq!(found, Entrusted::Plain(vec![expected]));
        }
    }
    assert_eq!(records(store, "bank").await, before);
}

/// How the digests of a copy were made.
fn blinding(key: u8) -> Blinding {
    Blinding { key: DigestKey::new([key; 32]), rules_version: 7 }
}

/// A customer as a blind copy with this key has it; digests are bytes of all kinds.
fn blind(key: u8, id: &str, account_key: &str) -> BlindCustomer {
    let digests = [&[0xFF, 0, key], id.as_bytes()].concat();
    BlindCustomer { customer_id: named(id), account: blinding(key).key.account(account_key), digests }
}

/// A blind copy of these, in effect from `second` on for a minute.
pub(crate) async fn entrust_blind(
    store: &dyn Bench,
    company: &str,
    key: u8,
    customers: &[(&str, &str)],
    second: i64,
) -> Custody {
    let company = named(company);
    let copy = store.begin_copy(&company, Some(&blinding(key)), at(second)).await.unwrap();
    let rows: Vec<_> = customers.iter().map(|(id, account_key)| blind(key, id, account_key)).collect();
    store.add_digests(&company, copy, &rows, at(second)).await.unwrap();
    store.take_effect(&company, copy, at(second + 60), at(second)).await.unwrap()
}

pub(crate) async fn customers_of_a_blind_copy_are_found_by_digest_with_the_key_that_made_it(
    store: &dyn Bench,
) {
    let custody =
        entrust_blind(store, "bank", 1, &[("C1", "0000001"), ("C2", "0000001"), ("C3", "0000003")], 0).await;
    assert_eq!((custody.customers, custody.digest_rules), (3, Some(7)));
    let found = store.candidates(&named("bank"), &["0000003", "0000009"], at(0)).await.unwrap().unwrap();
    assert_eq!(found, Entrusted::Blind(blinding(1), vec![blind(1, "C3", "0000003")]));
    assert_eq!(candidates(store, "bank", &["0000001"], 0).await.unwrap(), ["C1", "C2"]);
    let none = store.candidates(&named("bank"), &[], at(0)).await.unwrap();
    assert_eq!(none, Some(Entrusted::Blind(blinding(1), vec![])));
    assert_eq!(candidates(store, "power", &["0000001"], 0).await, None, "another's");
    let told = store.audits().await;
    assert!(told.iter().any(|line| line.contains("3 customers as digests")), "{told:?}");
    let held = store.list_custodies(&named("bank")).await.unwrap();
    assert_eq!(held, [custody]);
}

pub(crate) async fn digests_are_made_anew_by_nobody_here(store: &dyn Bench) {
    entrust_blind(store, "bank", 1, &[("C1", "0000001")], 0).await;
    assert_eq!(store.rekey(9, 100, &|_| vec![]).await.unwrap(), 0, "only its company can");
}

pub(crate) async fn the_last_digests_of_a_customer_stand(store: &dyn Bench) {
    let bank = named("bank");
    let copy = store.begin_copy(&bank, Some(&blinding(1)), at(0)).await.unwrap();
    let [first, last] = ["a", "b"]
        .map(|text| BlindCustomer { digests: text.as_bytes().to_vec(), ..blind(1, "C1", "0000001") });
    for rows in [&[first.clone(), first.clone()][..], &[first, last.clone()]] {
        store.add_digests(&bank, copy, rows, at(0)).await.unwrap();
    }
    let custody = store.take_effect(&bank, copy, at(60), at(0)).await.unwrap();
    assert_eq!(custody.customers, 1);
    let found = store.candidates(&bank, &["0000001"], at(0)).await.unwrap().unwrap();
    assert_eq!(found, Entrusted::Blind(blinding(1), vec![last]));
}

pub(crate) async fn plain_and_blind_copies_replace_one_another(store: &dyn Bench) {
    entrust(store, "bank", &[("C1", "0000001")], 0).await;
    entrust_blind(store, "bank", 2, &[("C2", "0000001"), ("C3", "0000002")], 1).await;
    assert_eq!(candidates(store, "bank", &["0000001"], 1).await.unwrap(), ["C2"]);
    assert_eq!(store.purge_ended(100, at(1)).await.unwrap(), 1);
    entrust(store, "bank", &[("C4", "0000001")], 2).await;
    assert_eq!(candidates(store, "bank", &["0000001"], 2).await.unwrap(), ["C4"]);
    for (left, done) in [(1, false), (1, true)] {
        assert_eq!(store.purge_ended(1, at(2)).await.unwrap(), left);
        let replaced = Some(PurgeReason::Replaced);
        assert_eq!(records(store, "bank").await[1], (2, replaced, done));
    }
    let told = |line: &&String| line.contains("customers_purged") && line.contains("replaced");
    assert_eq!(store.audits().await.iter().filter(told).count(), 2);
}

pub(crate) async fn a_blind_copy_ends_as_any_other(store: &dyn Bench) {
    entrust_blind(store, "bank", 1, &[("C1", "0000001")], 0).await;
    assert_eq!(candidates(store, "bank", &["0000001"], 60).await, None, "its lease is over");
    assert_eq!(store.purge_ended(100, at(60)).await.unwrap(), 1);
    entrust_blind(store, "bank", 1, &[("C1", "0000001"), ("C2", "0000002")], 61).await;
    assert_eq!(store.purge(&named("bank"), at(62)).await.unwrap(), 2);
    assert_eq!(candidates(store, "bank", &["0000001"], 62).await, None);
    let copy = store.begin_copy(&named("bank"), Some(&blinding(1)), at(63)).await.unwrap();
    store.add_digests(&named("bank"), copy, &[blind(1, "C3", "0000003")], at(63)).await.unwrap();
    let idle = ABANDONED_AFTER.as_secs();
    assert_eq!(store.purge_ended(100, at(63 + idle)).await.unwrap(), 1);
    assert!(store.add_digests(&named("bank"), copy, &[blind(1, "C4", "0000004")], at(63)).await.is_err());
    let (asked, over) = (Some(PurgeReason::Asked), Some(PurgeReason::LeaseEnded));
    assert_eq!(records(store, "bank").await, [(2, asked, true), (1, over, true)]);
}
