//! Facts about who signs in at a provider of OpenID Connect, on every backend.

use jiff::Timestamp;
use musubi_domain::{
    ErrorKind,
    caller::Role::{Approver, Viewer},
    id::OperatorName,
    sign_in::TokenDigest,
};

use crate::{
    StoreError,
    openid::{Arrival, Arrived, NewByOpenId, OpenIdStore},
    people::{Known, NewOperator, PeopleStore},
};

/// Runs every fact on a backend; `$open` gives a fresh empty store and what has to live as long as it.
macro_rules! openid_store_suite {
    ($open:expr) => {
        crate::conformance::openid::openid_store_suite!($open;
            who_was_invited_arrives_and_nobody_else_does,
            an_invitation_ends_and_a_first_sign_in_ties_it_to_the_account,
            a_ticket_is_good_once,
            what_a_person_had_before_is_gone_when_they_are_invited_otherwise,
            a_ticket_is_opened_as_it_was_sealed_and_not_otherwise,
        );
    };
    ($open:expr; $($fact:ident,)+) => {
        $(
            #[tokio::test]
            async fn $fact() {
                let (store, _alive) = $open.await;
                crate::conformance::openid::$fact(&store).await;
            }
        )+
    };
}
pub(crate) use openid_store_suite;

const SESSION: TokenDigest = [2; 32];
const SATO: &str = "sato@bank.example";

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn name(text: &str) -> OperatorName {
    text.parse().unwrap()
}

/// Invited at 0, until 100.
async fn invite(store: &dyn OpenIdStore, who: &str, openid: &str) -> Result<(), StoreError> {
    let name = name(who);
    let roles = &[Viewer, Approver];
    store.invite_by_openid(&NewByOpenId { name: &name, roles, openid, end_time: at(100), now: at(0) }).await
}

/// With a ticket of its own.
async fn arrive(store: &dyn OpenIdStore, openid: &str, subject: &str, second: i64, ticket: u8) -> Arrived {
    let ticket = &[ticket; 32];
    let session = &SESSION;
    let arrival =
        Arrival { openid, subject, ticket, ticket_end_time: at(second + 600), session, now: at(second) };
    store.arrive(&arrival).await.unwrap()
}

async fn session(store: &dyn PeopleStore, second: i64) -> Option<Known> {
    store.find_session(&SESSION, at(second - 1_000), at(second - 200), at(second)).await.unwrap()
}

fn sato() -> Known {
    Known { name: name("sato"), roles: vec![Viewer, Approver] }
}

pub(crate) async fn who_was_invited_arrives_and_nobody_else_does(store: &impl PeopleStore) {
    invite(store, "sato", SATO).await.unwrap();
    assert_eq!(arrive(store, "mori@bank.example", "m", 1, 1).await, Arrived::Unknown);
    assert_eq!(arrive(store, "Sato@bank.example", "s", 1, 2).await, Arrived::Unknown);
    assert_eq!(session(store, 1).await, None);
    assert_eq!(arrive(store, SATO, "s", 1, 3).await, Arrived::Begun(sato()));
    assert_eq!(session(store, 1).await, Some(sato()));
    let listed = store.list_operators().await.unwrap();
    let [it] = listed.as_slice() else { panic!("{listed:?}") };
    assert!(it.is_by_openid && !it.is_machine);
    assert_eq!((it.sign_in_time, it.token_end_time), (Some(at(1)), None));
    assert!(store.remove(&name("sato")).await.unwrap());
    assert_eq!((session(store, 2).await, arrive(store, SATO, "s", 2, 4).await), (None, Arrived::Unknown));
}

pub(crate) async fn an_invitation_ends_and_a_first_sign_in_ties_it_to_the_account(store: &impl PeopleStore) {
    let refused = Arrived::Refused(name("sato"));
    invite(store, "sato", SATO).await.unwrap();
    assert_eq!(arrive(store, SATO, "s", 100, 1).await, refused, "it has ended");
    invite(store, "sato", SATO).await.unwrap();
    assert_eq!(arrive(store, SATO, "s", 99, 2).await, Arrived::Begun(sato()));
    store.sign_out(&SESSION).await.unwrap();
    assert_eq!(arrive(store, SATO, "s", 5_000, 3).await, Arrived::Begun(sato()), "it was taken in time");
    store.sign_out(&SESSION).await.unwrap();
    assert_eq!(arrive(store, SATO, "another", 5_001, 4).await, refused, "the address is another's now");
    assert_eq!(session(store, 5_001).await, None);
    invite(store, "sato", SATO).await.unwrap();
    assert_eq!(arrive(store, SATO, "another", 1, 5).await, Arrived::Begun(sato()));
}

pub(crate) async fn a_ticket_is_good_once(store: &impl PeopleStore) {
    invite(store, "sato", SATO).await.unwrap();
    assert_eq!(arrive(store, "mori@bank.example", "m", 1, 1).await, Arrived::Unknown);
    assert_eq!(arrive(store, SATO, "s", 2, 1).await, Arrived::Used);
    assert_eq!(session(store, 2).await, None);
    let tries = (0..8).map(|_| {
        let ticket = &[9; 32];
        async move {
            let session = &SESSION;
            let arrival =
                Arrival { openid: SATO, subject: "s", ticket, ticket_end_time: at(600), session, now: at(3) };
            store.arrive(&arrival).await.unwrap()
        }
    });
    let arrived = futures::future::join_all(tries).await;
    assert_eq!(arrived.iter().filter(|it| **it == Arrived::Begun(sato())).count(), 1, "{arrived:?}");
    assert_eq!(arrived.iter().filter(|it| **it == Arrived::Used).count(), 7, "{arrived:?}");
}

pub(crate) async fn what_a_person_had_before_is_gone_when_they_are_invited_otherwise(
    store: &impl PeopleStore,
) {
    invite(store, "sato", SATO).await.unwrap();
    assert_eq!(arrive(store, SATO, "s", 1, 1).await, Arrived::Begun(sato()));
    let by_password = async |who: &str, is_machine: bool| {
        let name = name(who);
        let token = &[if is_machine { 7 } else { 8 }; 32];
        let new = NewOperator { name: &name, roles: &[Viewer], token, token_end_time: at(100), now: at(2) };
        match is_machine {
            true => store.add_machine(&new).await.unwrap(),
            false => store.invite(&new).await.unwrap(),
        }
    };
    by_password("sato", false).await;
    assert_eq!((session(store, 2).await, arrive(store, SATO, "s", 2, 2).await), (None, Arrived::Unknown));
    invite(store, "sato", SATO).await.unwrap();
    assert_eq!(store.find_invited(&[8; 32], at(3)).await.unwrap(), None);
    by_password("nightly", true).await;
    for (who, openid, field) in [("nightly", "n@bank.example", "name"), ("kato", SATO, "openid")] {
        let refused = invite(store, who, openid).await.unwrap_err();
        let StoreError::Refused(error) = refused else { panic!("{refused}") };
        assert_eq!((error.kind, error.field.as_str()), (ErrorKind::AlreadyExists, field));
        assert!(!error.to_string().contains("bank.example"), "{error}");
    }
}

pub(crate) async fn a_ticket_is_opened_as_it_was_sealed_and_not_otherwise(store: &impl PeopleStore) {
    let sealed = store.seal_ticket(b"state and nonce").unwrap();
    assert!(!sealed.windows(5).any(|bytes| bytes == b"state"));
    assert_eq!(store.open_ticket(&sealed).as_deref(), Some(&b"state and nonce"[..]));
    for place in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[place] ^= 1;
        assert_eq!(store.open_ticket(&changed), None, "{place}");
    }
    assert_eq!((store.open_ticket(b""), store.open_ticket(&sealed[1..])), (None, None));
}
