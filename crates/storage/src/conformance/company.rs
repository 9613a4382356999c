//! Facts about every company store.

use jiff::Timestamp;
use musubi_domain::{
    audit::AuditKeyring,
    customer::{Customer, KeyedCustomer, MatchDecision, MatchKeys, MatchOutcome},
    id::InquiryId,
};

use crate::{
    audit::verify,
    company::{
        CompanyStore, CustodyEvent, DecidedInquiry, ImportEnding, ImportTally, MasterStatus, Note,
        RefusedFile,
    },
};

/// Runs every fact on a backend; `$open` gives a fresh empty store and what has to live as long as it.
macro_rules! company_store_suite {
    ($open:expr) => {
        crate::conformance::company::company_store_suite!($open;
            an_import_replaces_the_master_and_counts_what_it_did,
            rows_that_are_the_same_keep_their_update_time,
            an_import_that_changes_nothing_keeps_the_revision,
            a_comparison_tells_what_an_import_would_do_and_changes_nothing,
            what_is_staged_shows_nowhere_and_a_new_import_forgets_it,
            a_batch_with_an_id_already_staged_is_refused_whole,
            pages_go_by_customer_id_and_end,
            customers_are_found_by_account_key_and_joint_accounts_both,
            a_decision_repeated_by_the_same_master_is_recorded_once,
            another_master_may_decide_the_same_inquiry_otherwise,
            the_last_word_on_custody_stands,
            candidates_have_the_keys_that_were_imported_last,
            keys_of_other_rules_are_made_anew_in_batches_until_none_is_left,
            an_import_keeps_the_keys_of_rows_that_are_the_same,
            of_an_erased_customer_nothing_is_left_and_the_master_is_another,
            files_are_listed_with_whose_they_were_and_what_became_of_them,
            what_is_done_to_the_master_is_in_the_audit_and_sealed,
        );
    };
    ($open:expr; $($fact:ident,)+) => {
        $(
            #[tokio::test]
            async fn $fact() {
                let (store, _alive) = $open.await;
                crate::conformance::company::$fact(&store).await;
            }
        )+
    };
}
pub(crate) use company_store_suite;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

pub(crate) fn customer(id: &str, account_key: &str, address: &str) -> Customer {
    Customer {
        customer_id: id.parse().unwrap(),
        name: format!("名 {id}"),
        name_kana: "ナ".to_owned(),
        birth_date: "1980-02-03".to_owned(),
        address: address.to_owned(),
        branch_number: "001".to_owned(),
        account_number: account_key.to_owned(),
        account_key: account_key.to_owned(),
        identity_verification: "passport:2018-11".to_owned(),
    }
}

/// As imported by rules of version 1.
pub(crate) fn keyed(id: &str, account_key: &str, address: &str) -> KeyedCustomer {
    by_rules(1, customer(id, account_key, address))
}

fn by_rules(rules_version: u32, customer: Customer) -> KeyedCustomer {
    KeyedCustomer { keys: MatchKeys { rules_version, bytes: made(rules_version, &customer) }, customer }
}

/// What rules of this version make of a customer: bytes of all kinds.
fn made(rules_version: u32, customer: &Customer) -> Vec<u8> {
    let text = format!("{rules_version}\0'{}", customer.address);
    [text.as_bytes(), &[0xFF, 0]].concat()
}

fn replace(second: i64) -> ImportEnding {
    ImportEnding::Replace { now: at(second), encoding: "UTF-8", digest: [7; 32] }
}

async fn import(store: &dyn CompanyStore, customers: &[Customer], ending: ImportEnding) -> ImportTally {
    import_by_rules(1, store, customers, ending).await
}

async fn import_by_rules(
    rules_version: u32,
    store: &dyn CompanyStore,
    customers: &[Customer],
    ending: ImportEnding,
) -> ImportTally {
    store.begin_import().await.unwrap();
    for batch in customers.chunks(2) {
        let batch: Vec<_> = batch.iter().map(|customer| by_rules(rules_version, customer.clone())).collect();
        store.stage_customers(&batch).await.unwrap();
    }
    store.finish_import(ending, None).await.unwrap()
}

/// The customers with one of these account keys, by id.
async fn candidates(store: &dyn CompanyStore, account_keys: &[&str]) -> Vec<KeyedCustomer> {
    let mut found = store.find_by_account_keys(account_keys).await.unwrap().customers;
    found.sort_by(|a, b| a.customer.customer_id.cmp(&b.customer.customer_id));
    found
}

async fn master(store: &dyn CompanyStore) -> Vec<(String, String, Timestamp)> {
    let page = store.list_customers(None, 1000).await.unwrap();
    assert_eq!(page.total, page.customers.len() as u64);
    page.customers
        .into_iter()
        .map(|stored| (stored.customer.customer_id.to_string(), stored.customer.address, stored.update_time))
        .collect()
}

fn row(id: &str, address: &str, second: i64) -> (String, String, Timestamp) {
    (id.to_owned(), address.to_owned(), at(second))
}

fn three() -> [Customer; 3] {
    [customer("C1", "0000001", "東"), customer("C2", "0000002", "西"), customer("C3", "0000003", "南")]
}

pub(crate) async fn an_import_replaces_the_master_and_counts_what_it_did(store: &dyn CompanyStore) {
    let tally = import(store, &three(), replace(0)).await;
    assert_eq!(tally, ImportTally { rows: 3, added: 3, changed: 0, removed: 0 });
    let second =
        [customer("C2", "0000002", "北"), customer("C3", "0000003", "南"), customer("C4", "0000004", "東")];
    let tally = import(store, &second, replace(9)).await;
    assert_eq!(tally, ImportTally { rows: 3, added: 1, changed: 1, removed: 1 });
    assert_eq!(master(store).await, [row("C2", "北", 9), row("C3", "南", 0), row("C4", "東", 9)]);
    let status = store.get_status().await.unwrap();
    assert_eq!(status, MasterStatus { revision: 2, customers: 3, custody: None });
    assert_eq!(
        store.find_customer(&"C4".parse().unwrap()).await.unwrap().unwrap().customer,
        customer("C4", "0000004", "東")
    );
    assert_eq!(store.find_customer(&"C1".parse().unwrap()).await.unwrap(), None);
}

pub(crate) async fn rows_that_are_the_same_keep_their_update_time(store: &dyn CompanyStore) {
    import(store, &three(), replace(0)).await;
    for change in [
        |c: &mut Customer| c.name.push('あ'),
        |c: &mut Customer| c.name_kana.clear(),
        |c: &mut Customer| c.birth_date = "1980-02-04".to_owned(),
        |c: &mut Customer| c.branch_number = "002".to_owned(),
        |c: &mut Customer| c.account_number = "9".to_owned(),
        |c: &mut Customer| c.account_key = "0000009".to_owned(),
        |c: &mut Customer| c.identity_verification.clear(),
    ] {
        let mut customers = three();
        change(&mut customers[0]);
        assert_eq!(import(store, &customers, replace(1)).await.changed, 1, "any column counts");
        import(store, &three(), replace(2)).await;
    }
    assert_eq!(master(store).await, [row("C1", "東", 2), row("C2", "西", 0), row("C3", "南", 0)]);
}

pub(crate) async fn an_import_that_changes_nothing_keeps_the_revision(store: &dyn CompanyStore) {
    import(store, &three(), replace(0)).await;
    let tally = import(store, &three(), replace(1)).await;
    assert_eq!(tally, ImportTally { rows: 3, added: 0, changed: 0, removed: 0 });
    assert_eq!(store.get_status().await.unwrap().revision, 1);
}

pub(crate) async fn a_comparison_tells_what_an_import_would_do_and_changes_nothing(store: &dyn CompanyStore) {
    import(store, &three(), replace(0)).await;
    let before = (master(store).await, store.get_status().await.unwrap());
    let tally = import(
        store,
        &[customer("C3", "0000003", "北"), customer("C9", "0000009", "東")],
        ImportEnding::Compare,
    )
    .await;
    assert_eq!(tally, ImportTally { rows: 2, added: 1, changed: 1, removed: 2 });
    assert_eq!((master(store).await, store.get_status().await.unwrap()), before);
    store.stage_customers(&[keyed("C9", "0000009", "東")]).await.unwrap();
}

pub(crate) async fn what_is_staged_shows_nowhere_and_a_new_import_forgets_it(store: &dyn CompanyStore) {
    import(store, &three(), replace(0)).await;
    store.begin_import().await.unwrap();
    store.stage_customers(&[keyed("C9", "0000009", "東")]).await.unwrap();
    assert_eq!(master(store).await.len(), 3);
    assert_eq!(store.find_by_account_keys(&["0000009"]).await.unwrap().customers, []);
    assert_eq!(import(store, &three(), replace(1)).await.added, 0);
}

pub(crate) async fn a_batch_with_an_id_already_staged_is_refused_whole(store: &dyn CompanyStore) {
    store.begin_import().await.unwrap();
    let [first, second, _] = three().map(|customer| by_rules(1, customer));
    store.stage_customers(std::slice::from_ref(&first)).await.unwrap();
    assert!(store.stage_customers(&[second, first]).await.is_err());
    assert_eq!(store.finish_import(replace(0), None).await.unwrap().rows, 1);
}

pub(crate) async fn pages_go_by_customer_id_and_end(store: &dyn CompanyStore) {
    import(store, &three(), replace(0)).await;
    let first = store.list_customers(None, 2).await.unwrap();
    assert_eq!((first.revision, first.total, first.customers.len()), (1, 3, 2));
    let last = &first.customers[1].customer.customer_id;
    assert_eq!(last.as_str(), "C2");
    let second = store.list_customers(Some(last), 2).await.unwrap();
    assert_eq!(second.customers.len(), 1);
    assert_eq!(second.customers[0].customer, three()[2]);
    let third = store.list_customers(Some(&second.customers[0].customer.customer_id), 2).await.unwrap();
    assert_eq!(third.customers, []);
}

pub(crate) async fn customers_are_found_by_account_key_and_joint_accounts_both(store: &dyn CompanyStore) {
    let joint =
        [customer("C1", "0000001", "東"), customer("C2", "0000001", "西"), customer("C3", "0000003", "南")];
    import(store, &joint, replace(0)).await;
    assert_eq!(store.find_by_account_keys(&["0000001"]).await.unwrap().revision, 1);
    let found = candidates(store, &["0000001", "0000007"]).await;
    assert_eq!(found, [keyed("C1", "0000001", "東"), keyed("C2", "0000001", "西")]);
    assert_eq!(candidates(store, &[]).await, []);
}

fn decided(outcome: MatchOutcome, reasons: &[&str]) -> DecidedInquiry {
    let customer_id = (outcome != MatchOutcome::Rejected).then(|| "C1".parse().unwrap());
    DecidedInquiry {
        inquiry_id: InquiryId::from_bytes([7; 16]),
        decision: MatchDecision {
            outcome,
            customer_id,
            reasons: reasons.iter().map(|&reason| reason.to_owned()).collect(),
        },
    }
}

pub(crate) async fn a_decision_repeated_by_the_same_master_is_recorded_once(store: &dyn CompanyStore) {
    let inquiry_id = InquiryId::from_bytes([7; 16]);
    assert_eq!(store.find_decision(inquiry_id).await.unwrap(), None);
    let first = decided(MatchOutcome::Confirmed, &["name.identical", "address.identical"]);
    store.record_decisions(3, std::slice::from_ref(&first), at(0)).await.unwrap();
    store.record_decisions(3, &[decided(MatchOutcome::Rejected, &[])], at(1)).await.unwrap();
    assert_eq!(store.find_decision(inquiry_id).await.unwrap(), Some((3, first.decision)));
}

pub(crate) async fn another_master_may_decide_the_same_inquiry_otherwise(store: &dyn CompanyStore) {
    store.record_decisions(3, &[decided(MatchOutcome::Review, &["kana.size"])], at(0)).await.unwrap();
    let second = decided(MatchOutcome::Rejected, &["account.none"]);
    store.record_decisions(4, std::slice::from_ref(&second), at(1)).await.unwrap();
    let found = store.find_decision(InquiryId::from_bytes([7; 16])).await.unwrap();
    assert_eq!(found, Some((4, second.decision)));
}

pub(crate) async fn the_last_word_on_custody_stands(store: &dyn CompanyStore) {
    let entrusted = CustodyEvent {
        event_time: at(0),
        revision: 1,
        customers: 3,
        lease_end_time: Some(at(60)),
        digest_rules: Some(7),
    };
    store.record_custody(entrusted, None).await.unwrap();
    assert_eq!(store.get_status().await.unwrap().custody, Some(entrusted));
    let purged = CustodyEvent {
        event_time: at(1),
        revision: 1,
        customers: 3,
        lease_end_time: None,
        digest_rules: None,
    };
    store.record_custody(purged, None).await.unwrap();
    assert_eq!(store.get_status().await.unwrap().custody, Some(purged));
}

const ALL: [&str; 3] = ["0000001", "0000002", "0000003"];

async fn versions(store: &dyn CompanyStore) -> Vec<u32> {
    candidates(store, &ALL).await.iter().map(|row| row.keys.rules_version).collect()
}

pub(crate) async fn candidates_have_the_keys_that_were_imported_last(store: &dyn CompanyStore) {
    let [mut first, second, third] = three();
    import(store, &[first.clone(), second.clone(), third.clone()], replace(0)).await;
    first.address = "北".to_owned();
    import_by_rules(2, store, &[first.clone(), second.clone()], ImportEnding::Compare).await;
    assert_eq!(versions(store).await, [1, 1, 1], "a comparison changes no keys");
    import_by_rules(2, store, &[first.clone(), second], replace(1)).await;
    assert_eq!(candidates(store, &["0000001"]).await, [by_rules(2, first)]);
    assert_eq!(candidates(store, &["0000003"]).await, []);
    let empty = KeyedCustomer { keys: MatchKeys { rules_version: 0, bytes: Vec::new() }, customer: third };
    store.stage_customers(std::slice::from_ref(&empty)).await.unwrap();
    store.finish_import(replace(2), None).await.unwrap();
    assert_eq!(candidates(store, &ALL).await, [empty]);
}

pub(crate) async fn keys_of_other_rules_are_made_anew_in_batches_until_none_is_left(
    store: &dyn CompanyStore,
) {
    assert_eq!(store.rekey(2, 2, &|_| vec![]).await.unwrap(), 0, "of an empty master");
    import(store, &three(), replace(0)).await;
    let before = (master(store).await, store.get_status().await.unwrap());
    // Newer rules, and older ones again, as when a program is taken back.
    for version in [2, 1] {
        for (done, left) in [(2, 1), (1, 0), (0, 0)] {
            let rekeyed = store.rekey(version, 2, &|customer| made(version, customer)).await.unwrap();
            let others = versions(store).await.into_iter().filter(|other| *other != version).count();
            assert_eq!((rekeyed, others), (done, left));
        }
        assert_eq!(candidates(store, &ALL).await, three().map(|customer| by_rules(version, customer)));
    }
    assert_eq!((master(store).await, store.get_status().await.unwrap()), before);
}

pub(crate) async fn an_import_keeps_the_keys_of_rows_that_are_the_same(store: &dyn CompanyStore) {
    import(store, &three(), replace(0)).await;
    let mut changed = three();
    changed[1].address = "北".to_owned();
    import_by_rules(2, store, &changed, replace(1)).await;
    assert_eq!(versions(store).await, [1, 2, 1]);
    let rekeyed = store.rekey(2, 9, &|customer| made(2, customer)).await.unwrap();
    assert_eq!(rekeyed, 2, "what the import replaced is up to date");
    assert_eq!(candidates(store, &ALL).await, changed.map(|customer| by_rules(2, customer)));
}

pub(crate) async fn of_an_erased_customer_nothing_is_left_and_the_master_is_another(
    store: &dyn CompanyStore,
) {
    let customers = [customer("C1", "1", "a"), customer("C2", "1", "b")];
    import(store, &customers, replace(0)).await;
    store.begin_import().await.unwrap();
    store.stage_customers(&[keyed("C1", "1", "a")]).await.unwrap();
    let decided = |id: u8, customer: &str| DecidedInquiry {
        inquiry_id: InquiryId::from_bytes([id; 16]),
        decision: MatchDecision {
            outcome: MatchOutcome::Confirmed,
            customer_id: Some(customer.parse().unwrap()),
            reasons: Vec::new(),
        },
    };
    store.record_decisions(1, &[decided(1, "C1"), decided(2, "C2")], at(1)).await.unwrap();
    let rows = async |id: &str| {
        let found = store.search_customer(&id.parse().unwrap()).await.unwrap();
        found.into_iter().map(|(table, rows)| format!("{table} {rows}")).collect::<Vec<_>>()
    };
    assert_eq!(rows("C1").await, ["customers 1", "staged_customers 1", "inquiries 1"]);
    let (gone, before) = ("C1".parse().unwrap(), store.get_status().await.unwrap());
    assert!(store.erase_customer(&gone, &"sato".parse().unwrap(), Timestamp::UNIX_EPOCH).await.unwrap());
    assert_eq!(rows("C1").await, ["customers 0", "staged_customers 0", "inquiries 0"]);
    assert_eq!(rows("C2").await, ["customers 1", "staged_customers 0", "inquiries 1"]);
    let after = store.get_status().await.unwrap();
    assert_eq!((after.revision, after.customers), (before.revision + 1, 1), "it is to be entrusted anew");
    assert!(!store.erase_customer(&gone, &"sato".parse().unwrap(), Timestamp::UNIX_EPOCH).await.unwrap());
    assert_eq!(store.get_status().await.unwrap(), after);
    let left = candidates(store, &["1"]).await;
    assert_eq!(left.iter().map(|it| it.customer.customer_id.as_str()).collect::<Vec<_>>(), ["C2"]);
}

pub(crate) async fn files_are_listed_with_whose_they_were_and_what_became_of_them(store: &dyn CompanyStore) {
    let sato = "sato".parse().unwrap();
    store.begin_import().await.unwrap();
    store.stage_customers(&[keyed("C1", "1", "a"), keyed("C2", "2", "b")]).await.unwrap();
    store.finish_import(replace(1), Some(&sato)).await.unwrap();
    store.stage_customers(&[keyed("C1", "1", "z")]).await.unwrap();
    store.finish_import(ImportEnding::Compare, Some(&sato)).await.unwrap();
    let refused = RefusedFile { now: at(2), encoding: "Shift_JIS", digest: [9; 32], rows: 5, bad_rows: 3 };
    store.record_refusal(&refused, &sato).await.unwrap();
    let all = store.list_imports(None, 9).await.unwrap();
    let told: Vec<_> = all
        .iter()
        .map(|it| (it.import_time, it.by.as_ref(), it.digest, &*it.encoding, it.tally, it.bad_rows))
        .collect();
    let none = ImportTally { rows: 5, added: 0, changed: 0, removed: 0 };
    let two = ImportTally { rows: 2, added: 2, ..none };
    let expected = [
        (at(2), Some(&sato), Some([9; 32]), "Shift_JIS", none, 3),
        (at(1), Some(&sato), Some([7; 32]), "UTF-8", two, 0),
    ];
    assert_eq!(told, expected, "what was only compared is no import");
    assert_eq!(store.list_imports(None, 1).await.unwrap(), all[..1]);
    assert_eq!(store.list_imports(Some(all[0].sequence), 9).await.unwrap(), all[1..]);
    assert_eq!(store.list_imports(Some(all[1].sequence), 9).await.unwrap(), []);
    let status = store.get_status().await.unwrap();
    assert_eq!((status.revision, status.customers), (1, 2), "the master is as it was");
}

pub(crate) async fn what_is_done_to_the_master_is_in_the_audit_and_sealed(store: &dyn CompanyStore) {
    let (sato, gone) = ("sato".parse().unwrap(), "C1".parse().unwrap());
    store.begin_import().await.unwrap();
    store.stage_customers(&[keyed("C1", "1", "a"), keyed("C2", "2", "b")]).await.unwrap();
    store.finish_import(ImportEnding::Compare, Some(&sato)).await.unwrap();
    store.stage_customers(&[keyed("C1", "1", "a"), keyed("C2", "2", "b")]).await.unwrap();
    store.finish_import(replace(1), Some(&sato)).await.unwrap();
    let entrusted = CustodyEvent {
        event_time: at(2),
        revision: 1,
        customers: 2,
        lease_end_time: Some(at(9)),
        digest_rules: None,
    };
    store.record_custody(entrusted, None).await.unwrap();
    store.record_custody(CustodyEvent { lease_end_time: None, ..entrusted }, Some(&sato)).await.unwrap();
    store.erase_customer(&gone, &sato, at(3)).await.unwrap();
    let notes = ["C2", "C3"].map(|id| Note::by("customer_shown", id, Some(&sato)));
    store.note(&notes, at(4)).await.unwrap();
    let lines = store.audit_lines(0, 9).await.unwrap();
    let told: Vec<_> = lines.iter().map(|line| format!("{} {}", line.action, line.detail)).collect();
    let expected = [
        "master_imported 2 rows: 2 added, 0 changed, 0 removed by sato",
        "master_entrusted 2 customers",
        "master_purged 2 customers by sato",
        "customer_erased C1 by sato",
        "customer_shown C2 by sato",
        "customer_shown C3 by sato",
    ];
    assert_eq!(told, expected, "a comparison changes nothing");
    assert!(lines.iter().all(|line| line.company == "bank"));

    let keys = AuditKeyring::new(&[b"signs seals of the facts"]).unwrap();
    let sealing = async {
        while verify(store, &keys, None).await.unwrap().unsealed > 0 {
            store.seal_audit(&keys, at(5), 4).await.unwrap();
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), sealing).await.unwrap();
    let verdict = verify(store, &keys, None).await.unwrap();
    assert_eq!((verdict.lines, verdict.seals, verdict.broken), (6, 2, None));
    let other = AuditKeyring::new(&[b"signs seals of nobody's"]).unwrap();
    assert!(verify(store, &other, None).await.unwrap().broken.is_some());
}
