//! What seals in facts; facts about keys that turn; and people whose data must not be found in a database.
//!
//! Surprising: the search also looks for what it was given as control, and fails when it can't find that.

mod before;

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU8, Ordering},
    },
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::{SignedDuration, Timestamp};
use musubi_domain::{
    blind::{BlindCustomer, Blinding, DigestKey},
    caller::Role,
    customer::{Customer, GivenAccount, KeyedCustomer, MatchKeys},
    dialogue::State,
    distribution::Command,
    id::{DistributionId, InquiryId},
    identity::{AttestedIdentity, IdentityMethod},
    vault::{MasterKeys, ReviewSeals, epoch_of},
};

pub(crate) use self::before::{Dialect, company_of_before, information_of_before};
use super::information::{
    Bench, at, attempts, command, dialogue_id, draft, follower, key, load, named, put, review, tied, unit,
};
use crate::{
    StoreError,
    company::{CompanyStore, ImportEnding},
    information::{
        custody::Entrusted,
        delivery::Source,
        flow::{Audit, FollowerRecord, Inquiry, Scope},
        follower::FollowerQuery,
        review::Review,
    },
    people::{Credential, NewOperator, PeopleStore, Try},
    row::hex,
    vault::{Backend, Relation, Schedule, Sealing, VaultOptions},
};

/// Whose accounts have their names in facts.
const COMPANIES: [&str; 6] = ["bank", "power", "gas", "any", "b", "zz"];

/// What seals: for one company, or in the information store's facts (`""`) for all of them.
pub(crate) fn vault(company: &str) -> VaultOptions {
    let now = Arc::new(AtomicI64::new(0));
    vault_at(company, &now)
}

/// The same, with a clock in seconds. Keys turn after a day and stay for two more.
pub(crate) fn vault_at(company: &str, seconds: &Arc<AtomicI64>) -> VaultOptions {
    static LAST: AtomicU8 = AtomicU8::new(1);
    let seconds = Arc::clone(seconds);
    let companies: Vec<&str> = if company.is_empty() { COMPANIES.to_vec() } else { vec![company] };
    VaultOptions {
        service: Arc::new(MasterKeys::new(&[b"the master key of all the facts."]).unwrap()),
        random: || [LAST.fetch_add(1, Ordering::Relaxed); 32],
        now: Arc::new(move || {
            let passed = SignedDuration::from_secs(seconds.load(Ordering::Relaxed));
            Timestamp::from_second(1_800_000_000).unwrap() + passed
        }),
        schedule: Schedule::of_days(1, 2),
        companies: companies.iter().map(|name| name.parse().unwrap()).collect(),
        accounts: companies.iter().map(|name| (name.parse().unwrap(), name.parse().unwrap())).collect(),
        reviews_before: ReviewSeals::new(&[b"sealed reviews before"]).unwrap(),
    }
}

const NUMBER: &str = "+819055512345";
const BRANCH: &str = "794";
const ACCOUNT: &str = "8675309";
const NAME: &str = "鷹司 暁見守";
const KANA: &str = "タカツカサ アキミモリ";
const ADDRESS: &str = "岩手県遠野市附馬牛町安居台3-17";
const BIRTH_DATE: &str = "1931-07-29";
const VALUE: &str = "ポイント残高 8,675,309 点";
const DIGEST_KEY: &str = "a key of digests of one copy";
const PASSWORD_HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA";
const MATCH_KEYS: &[u8] = "高司 暁見守 鍵".as_bytes();

/// Whatever of these people must not be found. The branch has three digits, which stand everywhere.
const PERSONAL: [&str; 10] =
    [NUMBER, ACCOUNT, NAME, KANA, ADDRESS, BIRTH_DATE, VALUE, "暁見守 鍵", DIGEST_KEY, PASSWORD_HASH];
/// What has to be found: it is planted where the audit and the record of imports stand.
const CONTROL: &str = "対照 of the search";

fn identity() -> AttestedIdentity {
    AttestedIdentity {
        method: IdentityMethod::Jpki,
        name: NAME.to_owned(),
        name_kana: Some(KANA.to_owned()),
        birth_date: BIRTH_DATE.to_owned(),
        address: ADDRESS.to_owned(),
    }
}

fn given() -> GivenAccount {
    GivenAccount { branch_number: Some(BRANCH.to_owned()), account_number: ACCOUNT.to_owned() }
}

fn person(identity_verification: &str) -> KeyedCustomer {
    let customer = Customer {
        customer_id: named("C7"),
        name: NAME.to_owned(),
        name_kana: KANA.to_owned(),
        birth_date: BIRTH_DATE.to_owned(),
        address: ADDRESS.to_owned(),
        branch_number: BRANCH.to_owned(),
        account_number: ACCOUNT.to_owned(),
        account_key: ACCOUNT.to_owned(),
        identity_verification: identity_verification.to_owned(),
    };
    KeyedCustomer { customer, keys: MatchKeys { rules_version: 1, bytes: MATCH_KEYS.to_vec() } }
}

/// The same person as digests, and what made them: the key is as secret as what it hides.
fn blinded() -> (Blinding, BlindCustomer) {
    let mut key = [0; 32];
    key[..DIGEST_KEY.len()].copy_from_slice(DIGEST_KEY.as_bytes());
    let key = DigestKey::new(key);
    let account = key.account(ACCOUNT);
    (
        Blinding { key, rules_version: 1 },
        BlindCustomer { customer_id: named("C7"), account, digests: vec![1] },
    )
}

/// Followers 1 and 2: one whose match waits, one in review; 3 has a tie, and values.
fn people() -> [FollowerRecord; 3] {
    let [mut asked, mut in_review, mut confirmed] = [1, 2, 3].map(follower);
    for record in [&mut asked, &mut in_review, &mut confirmed] {
        record.phone_number = named(NUMBER);
    }
    let dialogue = asked.dialogue.as_mut().unwrap();
    (dialogue.state, dialogue.given) = (State::Matching, Some(given()));
    asked.inquiry = Some(Box::new(Inquiry {
        id: InquiryId::derive(dialogue_id(&key("bank", 1)), 0, at(0)),
        company: named("bank"),
        account: given(),
        identity: identity(),
        due_time: at(0),
    }));
    in_review.dialogue.as_mut().unwrap().state = State::Review;
    let subject = musubi_domain::review::ReviewSubject { account: given(), identity: identity() };
    in_review.review = Some(Box::new(Review { subject: Some(subject), ..review("bank", 2, 0) }));
    [asked, in_review, confirmed]
}

/// Puts people into an empty information store.
pub(crate) async fn plant(store: &dyn Bench) {
    let keyed = people().into_iter().zip(1..).map(|(record, last)| (key("bank", last), record));
    put(store, keyed.collect()).await;
    tied(store, "bank", &[(3, "C7")]).await;
    let id = draft(store, "bank", 1, &[("C7", VALUE)], 0).await;
    command(store, "bank", id, Command::Start).await;
    let copy = store.begin_copy(&named("bank"), None, at(0)).await.unwrap();
    store.add_customers(&named("bank"), copy, &[person("")], at(0)).await.unwrap();
    store.take_effect(&named("bank"), copy, at(1_000_000), at(0)).await.unwrap();
    let (blinding, blind) = blinded();
    let copy = store.begin_copy(&named("power"), Some(&blinding), at(0)).await.unwrap();
    store.add_digests(&named("power"), copy, std::slice::from_ref(&blind), at(0)).await.unwrap();
    store.take_effect(&named("power"), copy, at(1_000_000), at(0)).await.unwrap();
    let detail = CONTROL.to_owned();
    let control = Audit { company: Some(named("bank")), key: None, action: "control", detail };
    unit(store, &Scope::default(), |work| work.audits = vec![control.clone()]).await;
}

/// Every way to read them gives them.
pub(crate) async fn planted_are_read(store: &dyn Bench) {
    let keys = [1, 2, 3].map(|last| key("bank", last));
    let loaded = load(store, keys.to_vec()).await;
    let [asked, in_review, _] = people();
    assert!(loaded[&keys[0]] == asked && loaded[&keys[1]] == in_review);
    assert_eq!(loaded[&keys[2]].phone_number.as_str(), NUMBER);
    let query = FollowerQuery {
        company: named("bank"),
        operator: named("sato"),
        account: named("bank"),
        outcome: None,
        after: None,
        limit: 9,
    };
    let listed = store.list_followers(&query, at(0)).await.unwrap();
    assert!(listed.iter().all(|follower| follower.phone_number.as_str() == NUMBER) && listed.len() == 3);
    let waiting = in_review.review.unwrap();
    let shown = store.get_review(&named("bank"), waiting.id).await.unwrap();
    assert!(shown.review == *waiting && shown.phone_number.as_str() == NUMBER);
    let id = DistributionId::from_bytes([1; 16]);
    let preview = store.preview_distribution(&named("bank"), id, &named("sato"), at(0)).await.unwrap();
    assert_eq!(preview.samples, [[VALUE]]);
    let found = store.candidates(&named("bank"), &[ACCOUNT, "0000000"], at(0)).await.unwrap().unwrap();
    assert!(found == Entrusted::Plain(vec![person("")]));
}

/// So does the blind copy, which no store of before has.
pub(crate) async fn planted_digests_are_read(store: &dyn Bench) {
    let (blinding, blind) = blinded();
    let found = store.candidates(&named("power"), &[ACCOUNT], at(0)).await.unwrap().unwrap();
    assert!(found == Entrusted::Blind(blinding, vec![blind]));
}

/// What leaves for a carrier is read, too; once, because attempts start.
pub(crate) async fn planted_are_sent_to(store: &dyn Bench) {
    let attempts = attempts(store, Source::Distribution(DistributionId::from_bytes([1; 16])), 0).await;
    let values: Vec<_> = attempts.iter().flat_map(|attempt| &attempt.values).collect();
    assert_eq!(values, [VALUE]);
    assert!(attempts.len() == 3 && attempts.iter().all(|it| it.phone_number.as_str() == NUMBER));
    let claimed = store.claim_inquiries(&named("bank"), at(0), at(60), 9).await.unwrap();
    assert!(claimed.len() == 1 && claimed[0].phone_number.as_str() == NUMBER);
    assert!(claimed[0].inquiry.identity == identity() && claimed[0].inquiry.account == given());
}

/// Puts a person into an empty company store, and one who signs in there.
pub(crate) async fn plant_customer(store: &(impl CompanyStore + PeopleStore)) {
    let (name, token) = (named("sato"), [1; 32]);
    let invited =
        NewOperator { name: &name, roles: &[Role::Editor], token: &token, token_end_time: at(9), now: at(0) };
    store.invite(&invited).await.unwrap();
    assert!(store.accept(&name, &token, &credential(), at(0)).await.unwrap());
    store.begin_import().await.unwrap();
    store.stage_customers(&[person("passport:2018-11")]).await.unwrap();
    let ending = ImportEnding::Replace { now: at(0), encoding: CONTROL, digest: [7; 32] };
    store.finish_import(ending, None).await.unwrap();
}

/// Every way to read the person gives it.
pub(crate) async fn planted_customer_is_read(store: &dyn CompanyStore) {
    let expected = person("passport:2018-11");
    let found = store.find_customer(&named("C7")).await.unwrap().unwrap();
    assert!(found.customer == expected.customer);
    let page = store.list_customers(None, 9).await.unwrap();
    assert!(page.customers.len() == 1 && page.customers[0].customer == expected.customer);
    let found = store.find_by_account_keys(&[ACCOUNT]).await.unwrap().customers;
    assert!(found == [expected]);
}

fn credential() -> Credential {
    Credential { password_hash: PASSWORD_HASH.to_owned(), secret: *b"the secret of codes!" }
}

/// What the one who signs in proves themselves with is read.
pub(crate) async fn planted_operator_is_read(store: &dyn PeopleStore) {
    store.unlock(&named("sato")).await.unwrap();
    assert!(store.begin_try(&named("sato"), at(0)).await.unwrap() == Try::Charged(credential()));
}

/// Nothing personal stands in these bytes, in any of the writings that a dump has; the control does.
pub(crate) fn nobody_is_found(dump: &[u8]) {
    let stands = |bytes: &[u8]| dump.windows(bytes.len()).any(|part| part == bytes);
    assert!(stands(CONTROL.as_bytes()) || stands(hex(CONTROL.as_bytes()).as_bytes()), "the control");
    for text in PERSONAL {
        for writing in writings(text) {
            assert!(!stands(&writing), "{text} stands there as {:?}", String::from_utf8_lossy(&writing));
        }
    }
}

/// A text in UTF-8, as hexadecimal digits, and as Base64 wherever in a longer text it stands.
fn writings(text: &str) -> Vec<Vec<u8>> {
    let digits = hex(text.as_bytes());
    let mut writings =
        vec![text.as_bytes().to_vec(), digits.to_uppercase().into_bytes(), digits.into_bytes()];
    for before in 0..3 {
        let encoded = STANDARD.encode([&vec![0; before], text.as_bytes()].concat());
        // What shares a digit with other bytes is left out.
        let whole = (before + text.len()) * 8 / 6;
        writings.push(encoded.as_bytes()[(before * 8).div_ceil(6)..whole].to_vec());
    }
    writings
}

#[test]
fn the_search_finds_every_writing() {
    for text in PERSONAL {
        let inside = format!("x{text}y");
        let dump = [
            inside.clone().into_bytes(),
            hex(inside.as_bytes()).to_uppercase().into_bytes(),
            hex(inside.as_bytes()).into_bytes(),
        ];
        for (writing, dump) in writings(text).iter().zip(&dump) {
            assert!(dump.windows(writing.len()).any(|part| part == writing), "{text}");
        }
        for (before, writing) in writings(text)[3..].iter().enumerate() {
            let dump = STANDARD.encode(format!("{}{text}and more", &"abc"[..before]));
            assert!(dump.as_bytes().windows(writing.len()).any(|part| part == writing), "{text} {before}");
        }
    }
    let found = std::panic::catch_unwind(|| nobody_is_found(format!("{CONTROL} {NAME}").as_bytes()));
    let no_control = std::panic::catch_unwind(|| nobody_is_found(b"nothing at all"));
    assert!(found.is_err() && no_control.is_err());
}

/// The epochs that rows of these tables are sealed with.
pub(crate) async fn epochs(backend: &dyn Backend, relations: &[Relation]) -> BTreeSet<Option<u32>> {
    let mut epochs = BTreeSet::new();
    for relation in relations {
        let rows = backend.page(*relation, None, 1_000).await.unwrap();
        assert!(!rows.is_empty(), "{relation:?} has no row");
        epochs.extend(rows.iter().map(|row| epoch_of(&row.sealed)));
    }
    epochs
}

/// The epochs that keys are there of; 0 finds rows.
async fn keys_of(backend: &dyn Backend, company: &str) -> Vec<u32> {
    let (keys, _) = backend.keys().await.unwrap();
    let mut epochs: Vec<_> = keys.iter().filter(|key| key.company == company).map(|key| key.epoch).collect();
    epochs.sort_unstable();
    epochs
}

/// Has a store's rows sealed anew, and reads all of them between any two steps.
async fn walk(store: &dyn Sealing, read: &mut impl AsyncFnMut()) {
    while store.reseal(1).await.unwrap() > 0 {
        read().await;
    }
    read().await;
}

/// Keys turn after a day, old ones go after two more, and at no moment anything can't be read.
pub(crate) async fn keys_turn_and_no_read_fails(
    store: &dyn Sealing,
    backend: &dyn Backend,
    seconds: &AtomicI64,
    relations: &[Relation],
    mut read: impl AsyncFnMut(),
) {
    const DAY: i64 = 24 * 3600;
    const LEAD: i64 = 600;
    let company = "bank";
    let pass = |passed: i64| {
        seconds.fetch_add(passed, Ordering::Relaxed);
    };
    assert_eq!(epochs(backend, relations).await, BTreeSet::from([Some(1)]));
    assert!(!store.tend_keys().await.unwrap());
    assert_eq!(keys_of(backend, company).await, [0, 1]);
    pass(DAY);
    assert!(!store.tend_keys().await.unwrap(), "nobody seals with a key that others don't know yet");
    assert_eq!(keys_of(backend, company).await, [0, 1, 2]);
    pass(LEAD);
    assert!(!store.tend_keys().await.unwrap(), "whoever has the old one may still use it");
    read().await;
    pass(LEAD);
    assert!(store.tend_keys().await.unwrap());
    walk(store, &mut read).await;
    assert_eq!(epochs(backend, relations).await, BTreeSet::from([Some(2)]));
    assert!(!store.tend_keys().await.unwrap(), "one walk is enough");
    assert_eq!(keys_of(backend, company).await, [0, 1, 2], "the old one stays for what comes back");
    pass(2 * DAY);
    assert!(store.tend_keys().await.unwrap(), "what nothing needs is looked for again before it goes");
    walk(store, &mut read).await;
    assert_eq!(keys_of(backend, company).await, [0, 2, 3]);
    read().await;
}

/// As opened with these master keys and this owner of the account "bank".
pub(crate) fn mastered(masters: &[&[u8]], owner: &str) -> VaultOptions {
    let accounts = vec![(named("bank"), named(owner))];
    VaultOptions { service: Arc::new(MasterKeys::new(masters).unwrap()), accounts, ..vault("") }
}

/// What a store says that can't be opened.
pub(crate) fn refusal<T>(opened: Result<T, StoreError>) -> String {
    match opened {
        Err(StoreError::Refused(error)) => error.to_string(),
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("it was opened"),
    }
}

/// Master keys of facts.
pub(crate) const MASTERS: [&[u8]; 2] = [&[1; 32], &[2; 32]];

/// A master key turns by a new one in front, and an account stays its company's. `open` opens the same database each time.
pub(crate) async fn master_keys_turn_and_accounts_stay<S: crate::Opened>(
    open: impl AsyncFn(VaultOptions) -> Result<S, StoreError>,
) {
    let [old, new] = MASTERS;
    for masters in [&[old][..], &[new, old], &[new]] {
        open(mastered(masters, "bank")).await.unwrap().close().await;
    }
    let refused = refusal(open(mastered(&[old], "bank")).await);
    assert!(refused.contains("not configured") && refused.contains("keys.master"), "{refused}");
    let refused = refusal(open(mastered(&[new], "power")).await);
    assert!(refused.starts_with("official_account.company: bank belonged to company bank"), "{refused}");
}

/// The same file again, sealed with whatever key seals now, is no change.
pub(crate) async fn an_import_of_another_epoch_changes_nothing(
    store: &dyn CompanyStore,
    seconds: &AtomicI64,
) {
    seconds.fetch_add(1_200, Ordering::Relaxed);
    store.tend_keys().await.unwrap();
    store.begin_import().await.unwrap();
    store.stage_customers(&[person("passport:2018-11")]).await.unwrap();
    let tally = store
        .finish_import(ImportEnding::Replace { now: at(9), encoding: "UTF-8", digest: [7; 32] }, None)
        .await
        .unwrap();
    assert_eq!((tally.rows, tally.added, tally.changed, tally.removed), (1, 0, 0, 0));
    assert_eq!(store.find_customer(&named("C7")).await.unwrap().unwrap().update_time, at(0));
}

/// Of followers 1 and 2 one has a number that isn't its own.
pub(crate) async fn a_number_does_not_open(store: &dyn Bench) {
    let mut outcomes = Vec::new();
    for account in ["bank", "power"] {
        let query = FollowerQuery {
            company: named(account),
            operator: named("sato"),
            account: named(account),
            outcome: None,
            after: None,
            limit: 9,
        };
        outcomes.push(store.list_followers(&query, at(0)).await);
    }
    let broken = |outcome: &Result<_, StoreError>| match outcome {
        Err(StoreError::Refused(error)) => error.problem.ends_with("was changed, or is another row's"),
        Err(error) => panic!("{error}"),
        Ok(_) => false,
    };
    assert_eq!(outcomes.iter().filter(|outcome| broken(outcome)).count(), 1);
}
