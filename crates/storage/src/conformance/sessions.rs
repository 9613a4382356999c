//! Facts about sessions as people look at them, on every backend.

use jiff::Timestamp;
use musubi_domain::{
    caller::Role::Viewer,
    id::OperatorName,
    session::{SessionId, SessionWay},
    sign_in::TokenDigest,
};

use crate::{
    people::{Credential, NewOperator, PeopleStore},
    sessions::{Session, SessionStore, Which},
};

/// Runs every fact on a backend; `$open` gives a fresh empty store and what has to live as long as it.
macro_rules! session_store_suite {
    ($open:expr) => {
        #[tokio::test]
        async fn sessions_are_listed_as_they_were_begun_and_used() {
            let (store, _alive) = $open.await;
            crate::conformance::sessions::sessions_are_listed_as_they_were_begun_and_used(&store).await;
        }

        #[tokio::test]
        async fn sessions_end_one_by_one_or_all_and_nobody_elses() {
            let (store, _alive) = $open.await;
            crate::conformance::sessions::sessions_end_one_by_one_or_all_and_nobody_elses(&store).await;
        }
    };
}
pub(crate) use session_store_suite;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

/// Two sessions of sato's, begun at 1 and 2 with tokens 1 and 2, and one of kato's at 3.
async fn begun<S: PeopleStore + SessionStore>(store: &S) -> [OperatorName; 2] {
    let names: [OperatorName; 2] = ["sato", "kato"].map(|name| name.parse().unwrap());
    for (place, name) in (10..).zip(&names) {
        let token: &TokenDigest = &[place; 32];
        let person = NewOperator { name, roles: &[Viewer], token, token_end_time: at(100), now: at(0) };
        store.invite(&person).await.unwrap();
        let credential = Credential { password_hash: "$argon2id$v=19$…".to_owned(), secret: [7; 20] };
        assert!(store.accept(name, token, &credential, at(0)).await.unwrap());
    }
    for (second, name) in [(1, &names[0]), (2, &names[0]), (3, &names[1])] {
        let token = [second; 32];
        let second = i64::from(second);
        assert!(store.sign_in(name, second.unsigned_abs(), &token, at(second)).await.unwrap().is_some());
    }
    names
}

async fn listed(store: &impl SessionStore, name: Option<&OperatorName>) -> Vec<Session> {
    store.list_sessions(name, at(0), at(0)).await.unwrap()
}

pub(crate) async fn sessions_are_listed_as_they_were_begun_and_used<S: PeopleStore + SessionStore>(
    store: &S,
) {
    let [sato, kato] = begun(store).await;
    store.begun_by(&[1; 32], SessionWay::Console).await.unwrap();
    store.begun_by(&[2; 32], SessionWay::CommandLine).await.unwrap();
    // A use is written down by the minute.
    store.find_session(&[1; 32], at(0), at(0), at(100)).await.unwrap().unwrap();
    let session = |name: &OperatorName, token, [begin, used]: [i64; 2], way| Session {
        name: name.clone(),
        id: SessionId::of(&[token; 32]),
        begin_time: at(begin),
        use_time: at(used),
        way,
    };
    let console = session(&sato, 1, [1, 100], SessionWay::Console);
    let command_line = session(&sato, 2, [2, 2], SessionWay::CommandLine);
    let unknown = session(&kato, 3, [3, 3], SessionWay::Unknown);
    let all = [console.clone(), unknown.clone(), command_line.clone()];
    assert_eq!(listed(store, None).await, all, "used last first");
    assert_eq!(listed(store, Some(&sato)).await, [console.clone(), command_line]);
    assert_eq!(store.list_sessions(None, at(1), at(2)).await.unwrap(), [unknown], "neither old nor idle");
    assert_eq!(store.list_sessions(Some(&kato), at(3), at(0)).await.unwrap(), []);
}

pub(crate) async fn sessions_end_one_by_one_or_all_and_nobody_elses<S: PeopleStore + SessionStore>(
    store: &S,
) {
    let [sato, kato] = begun(store).await;
    let first = SessionId::of(&[1; 32]);
    assert_eq!(store.end_sessions(&kato, Which::One(first)).await.unwrap(), 0, "another's");
    assert_eq!(store.end_sessions(&sato, Which::One(first)).await.unwrap(), 1);
    assert_eq!(store.end_sessions(&sato, Which::One(first)).await.unwrap(), 0);
    assert_eq!(store.find_session(&[1; 32], at(0), at(0), at(4)).await.unwrap(), None);
    assert!(store.sign_in(&sato, 4, &[4; 32], at(4)).await.unwrap().is_some());
    assert_eq!(store.end_sessions(&sato, Which::Others([4; 32])).await.unwrap(), 1);
    assert_eq!(listed(store, Some(&sato)).await.len(), 1);
    assert!(store.find_session(&[4; 32], at(0), at(0), at(5)).await.unwrap().is_some());
    assert_eq!(store.end_sessions(&sato, Which::All).await.unwrap(), 1);
    assert_eq!(listed(store, None).await.len(), 1, "kato's stands");
}
