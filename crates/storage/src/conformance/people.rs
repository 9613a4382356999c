//! Facts about who may sign in at a company server, on every backend.

use jiff::Timestamp;
use musubi_domain::{
    ErrorKind,
    caller::Role::{self, Administrator, Approver, Editor, Viewer},
    id::OperatorName,
    sign_in::{Guard, TokenDigest},
};

use crate::{
    StoreError,
    people::{Credential, Known, NewOperator, PeopleStore, Try},
};

/// Runs every fact on a backend; `$open` gives a fresh empty store and what has to live as long as it.
macro_rules! people_store_suite {
    ($open:expr) => {
        crate::conformance::people::people_store_suite!($open;
            an_invitation_is_good_until_it_ends_and_until_the_first_sign_in,
            who_is_invited_anew_has_no_password_and_no_session,
            a_try_is_charged_before_it_is_made_and_forgotten_when_right,
            of_tries_at_once_no_more_are_taken_than_are_free,
            a_code_is_taken_once,
            a_session_ends_when_it_is_old_idle_signed_out_or_its_person_is_gone,
            a_machine_calls_until_its_key_ends,
            names_are_listed_with_what_stands_of_them,
        );
    };
    ($open:expr; $($fact:ident,)+) => {
        $(
            #[tokio::test]
            async fn $fact() {
                let (store, _alive) = $open.await;
                crate::conformance::people::$fact(&store).await;
            }
        )+
    };
}
pub(crate) use people_store_suite;

const INVITATION: TokenDigest = [1; 32];
const SESSION: TokenDigest = [2; 32];

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn name(text: &str) -> OperatorName {
    text.parse().unwrap()
}

fn credential() -> Credential {
    Credential { password_hash: "$argon2id$v=19$…".to_owned(), secret: [7; 20] }
}

async fn invite(store: &dyn PeopleStore, who: &str, token: &TokenDigest, second: i64) {
    let name = name(who);
    let token_end_time = at(second + 100);
    let person =
        NewOperator { name: &name, roles: &[Viewer, Editor], token, token_end_time, now: at(second) };
    store.invite(&person).await.unwrap();
}

/// Invited and accepted, at 0.
async fn person(store: &dyn PeopleStore, who: &str) -> OperatorName {
    invite(store, who, &INVITATION, 0).await;
    assert!(store.accept(&name(who), &INVITATION, &credential(), at(0)).await.unwrap());
    name(who)
}

async fn add_machine(store: &dyn PeopleStore, who: &str, key: &TokenDigest) -> Result<(), StoreError> {
    let name = name(who);
    let machine =
        NewOperator { name: &name, roles: &[Administrator], token: key, token_end_time: at(100), now: at(0) };
    store.add_machine(&machine).await
}

async fn signed_in(
    store: &dyn PeopleStore,
    name: &OperatorName,
    step: u64,
    session: &TokenDigest,
    now: Timestamp,
) -> bool {
    let roles = store.sign_in(name, step, session, now).await.unwrap();
    roles.is_some_and(|roles| roles == [Viewer, Editor])
}

async fn session(store: &dyn PeopleStore, second: i64) -> Option<Known> {
    // Sessions of 1,000 seconds that may idle for 200.
    let (begun, used) = (at(second - 1_000), at(second - 200));
    store.find_session(&SESSION, begun, used, at(second)).await.unwrap()
}

fn known(who: &str, roles: &[Role]) -> Option<Known> {
    Some(Known { name: name(who), roles: roles.to_vec() })
}

pub(crate) async fn an_invitation_is_good_until_it_ends_and_until_the_first_sign_in(store: &dyn PeopleStore) {
    invite(store, "sato", &INVITATION, 0).await;
    assert!(store.begin_try(&name("sato"), at(1)).await.unwrap() == Try::Refused(Guard::Open));
    assert_eq!(store.find_invited(&INVITATION, at(99)).await.unwrap(), Some(name("sato")));
    assert_eq!(store.find_invited(&[9; 32], at(99)).await.unwrap(), None);
    assert_eq!(store.find_invited(&INVITATION, at(100)).await.unwrap(), None);
    assert!(!store.accept(&name("sato"), &INVITATION, &credential(), at(100)).await.unwrap());
    assert!(!store.accept(&name("kato"), &INVITATION, &credential(), at(1)).await.unwrap());
    // The answer may be lost: it is taken again, and the last word counts.
    let first = Credential { secret: [8; 20], ..credential() };
    for given in [first, credential()] {
        assert!(store.accept(&name("sato"), &INVITATION, &given, at(1)).await.unwrap());
    }
    assert!(store.begin_try(&name("sato"), at(1)).await.unwrap() == Try::Charged(credential()));
    assert!(signed_in(store, &name("sato"), 1, &SESSION, at(1)).await);
    assert_eq!(store.find_invited(&INVITATION, at(2)).await.unwrap(), None);
    assert!(!store.accept(&name("sato"), &INVITATION, &credential(), at(2)).await.unwrap());
}

pub(crate) async fn who_is_invited_anew_has_no_password_and_no_session(store: &dyn PeopleStore) {
    let sato = person(store, "sato").await;
    assert!(signed_in(store, &sato, 5, &SESSION, at(1)).await);
    assert_eq!(session(store, 2).await, known("sato", &[Viewer, Editor]));
    invite(store, "sato", &[3; 32], 3).await;
    assert_eq!(session(store, 4).await, None);
    assert!(store.begin_try(&sato, at(4)).await.unwrap() == Try::Refused(Guard::Open));
    assert!(!signed_in(store, &sato, 9, &SESSION, at(4)).await);
    assert!(store.accept(&sato, &[3; 32], &credential(), at(5)).await.unwrap());
    assert!(signed_in(store, &sato, 5, &SESSION, at(6)).await, "codes of another secret don't count");
}

pub(crate) async fn a_try_is_charged_before_it_is_made_and_forgotten_when_right(store: &dyn PeopleStore) {
    let sato = person(store, "sato").await;
    for second in 0..5 {
        assert!(store.begin_try(&sato, at(second)).await.unwrap() == Try::Charged(credential()));
    }
    let waits = Try::Refused(Guard::Waits(at(34)));
    assert!(store.begin_try(&sato, at(5)).await.unwrap() == waits);
    assert!(store.begin_try(&sato, at(33)).await.unwrap() == waits, "asking does not make it longer");
    assert!(store.begin_try(&sato, at(34)).await.unwrap() == Try::Charged(credential()));
    assert!(store.begin_try(&sato, at(35)).await.unwrap() == Try::Refused(Guard::Waits(at(94))));
    assert!(store.unlock(&sato).await.unwrap() && !store.unlock(&name("kato")).await.unwrap());
    for second in 36..39 {
        assert!(store.begin_try(&sato, at(second)).await.unwrap() == Try::Charged(credential()));
    }
    assert!(signed_in(store, &sato, 1, &SESSION, at(39)).await);
    for second in 40..45 {
        assert!(store.begin_try(&sato, at(second)).await.unwrap() == Try::Charged(credential()));
    }
}

pub(crate) async fn of_tries_at_once_no_more_are_taken_than_are_free(store: &dyn PeopleStore) {
    let sato = person(store, "sato").await;
    let tries = futures::future::join_all((0..20).map(|_| store.begin_try(&sato, at(0)))).await;
    let charged = tries.into_iter().filter(|it| matches!(it, Ok(Try::Charged(_)))).count();
    assert_eq!(charged, 5);
}

pub(crate) async fn a_code_is_taken_once(store: &dyn PeopleStore) {
    let sato = person(store, "sato").await;
    assert!(signed_in(store, &sato, 7, &SESSION, at(0)).await);
    for step in [6, 7] {
        assert!(!signed_in(store, &sato, step, &[4; 32], at(1)).await, "{step}");
    }
    assert!(signed_in(store, &sato, 8, &[4; 32], at(2)).await);
    assert_eq!(session(store, 2).await, known("sato", &[Viewer, Editor]), "of two sessions both stand");
}

pub(crate) async fn a_session_ends_when_it_is_old_idle_signed_out_or_its_person_is_gone(
    store: &dyn PeopleStore,
) {
    let sato = person(store, "sato").await;
    let is = known("sato", &[Viewer, Editor]);
    let begin = async |step, second| assert!(signed_in(store, &sato, step, &SESSION, at(second)).await);
    begin(1, 0).await;
    for second in [150, 300, 450, 600, 750, 900, 999] {
        assert_eq!(session(store, second).await, is, "{second}");
    }
    assert_eq!(session(store, 1_000).await, None, "it is old");
    store.forget_sessions(at(0), at(0)).await.unwrap();
    begin(2, 1_000).await;
    assert_eq!(session(store, 1_199).await, is);
    assert_eq!(session(store, 1_399).await, None, "it idled");
    store.forget_sessions(at(0), at(1_199)).await.unwrap();
    begin(3, 1_400).await;
    store.sign_out(&SESSION).await.unwrap();
    assert_eq!(session(store, 1_401).await, None, "it is signed out");
    begin(4, 1_500).await;
    assert!(store.remove(&sato).await.unwrap() && !store.remove(&sato).await.unwrap());
    assert_eq!(session(store, 1_501).await, None, "the person is gone");
}

pub(crate) async fn a_machine_calls_until_its_key_ends(store: &dyn PeopleStore) {
    let key = [5; 32];
    add_machine(store, "nightly", &key).await.unwrap();
    assert_eq!(store.find_machine(&key, at(99)).await.unwrap(), known("nightly", &[Administrator]));
    assert_eq!(store.find_machine(&key, at(100)).await.unwrap(), None);
    assert_eq!(store.find_machine(&[6; 32], at(1)).await.unwrap(), None);
    // A key is no invitation, and the other way round.
    assert_eq!(store.find_invited(&key, at(1)).await.unwrap(), None);
    invite(store, "sato", &INVITATION, 0).await;
    assert_eq!(store.find_machine(&INVITATION, at(1)).await.unwrap(), None);
    assert!(!store.unlock(&name("nightly")).await.unwrap());
    for taken in ["sato", "nightly"] {
        let refused = add_machine(store, taken, &[7; 32]).await.unwrap_err();
        assert!(matches!(refused, StoreError::Refused(error) if error.kind == ErrorKind::AlreadyExists));
    }
    let nightly = name("nightly");
    let person = NewOperator {
        name: &nightly,
        roles: &[Approver],
        token: &[8; 32],
        token_end_time: at(9),
        now: at(0),
    };
    let refused = store.invite(&person).await.unwrap_err();
    assert!(matches!(refused, StoreError::Refused(error) if error.field == "name"));
    assert!(store.remove(&nightly).await.unwrap());
    assert_eq!(store.find_machine(&key, at(1)).await.unwrap(), None);
}

pub(crate) async fn names_are_listed_with_what_stands_of_them(store: &dyn PeopleStore) {
    let sato = person(store, "sato").await;
    add_machine(store, "nightly", &[5; 32]).await.unwrap();
    invite(store, "kato", &[6; 32], 7).await;
    store.begin_try(&sato, at(3)).await.unwrap();
    store.find_machine(&[5; 32], at(9)).await.unwrap();
    let listed = store.list_operators().await.unwrap();
    let names: Vec<_> = listed.iter().map(|it| (it.name.as_str(), it.is_machine, it.failures)).collect();
    assert_eq!(names, [("kato", false, 0), ("nightly", true, 0), ("sato", false, 1)]);
    assert_eq!((listed[0].create_time, listed[0].token_end_time), (at(7), Some(at(107))));
    assert_eq!((listed[1].sign_in_time, listed[1].roles.as_slice()), (Some(at(9)), &[Administrator][..]));
    assert_eq!((listed[2].failure_time, listed[2].sign_in_time), (Some(at(3)), None));
    assert!(signed_in(store, &sato, 1, &SESSION, at(10)).await);
    let sato = store.list_operators().await.unwrap().remove(2);
    assert_eq!((sato.failures, sato.sign_in_time, sato.token_end_time), (0, Some(at(10)), None));
}
