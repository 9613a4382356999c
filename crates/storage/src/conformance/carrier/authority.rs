//! Facts about authorities, persons and assertions.

use musubi_domain::identity::{AttestedIdentity, IdentityMethod};
use uuid::Uuid;

use super::number;
use crate::carrier::{AuthorityKey, CarrierStore, OutboxKind, Person};

fn key(method: IdentityMethod, key_id: &str) -> AuthorityKey {
    let private_key = key_id.as_bytes().to_vec();
    AuthorityKey { method, key_id: key_id.to_owned(), private_key, public_key_pem: format!("PEM {key_id}") }
}

pub(crate) async fn the_first_keys_of_an_authority_stand(store: &dyn CarrierStore) {
    let ids = |keys: Vec<AuthorityKey>| keys.into_iter().map(|key| key.key_id).collect::<Vec<_>>();
    let first = [key(IdentityMethod::Jpki, "1"), key(IdentityMethod::Carrier, "2")];
    assert_eq!(ids(store.put_authority_keys(&first).await.unwrap()), ["2", "1"]);
    let second = [key(IdentityMethod::Jpki, "3"), key(IdentityMethod::Document, "4")];
    let stand = store.put_authority_keys(&second).await.unwrap();
    assert_eq!(stand[2].private_key, b"1");
    assert_eq!(ids(stand), ["2", "4", "1"]);
}

fn person(method: IdentityMethod, credential_id: &str, last: u32, name: &str) -> Person {
    Person {
        credential_id: credential_id.to_owned(),
        number: number(last),
        pin: "0123".to_owned(),
        identity: AttestedIdentity {
            method,
            name: name.to_owned(),
            name_kana: (last == 1).then(|| "ヤマダ".to_owned()),
            birth_date: "昭和55年2月3日".to_owned(),
            address: "東京都 \"千代田\"区".to_owned(),
        },
    }
}

pub(crate) async fn the_last_registration_of_a_credential_stands(store: &dyn CarrierStore) {
    let (old, new) =
        (person(IdentityMethod::Jpki, "c", 1, "山田"), person(IdentityMethod::Jpki, "c", 2, "田中"));
    let other = person(IdentityMethod::Document, "c", 1, "佐藤");
    store.put_persons(&[old.clone(), other.clone()]).await.unwrap();
    let asked =
        [(IdentityMethod::Jpki, "c"), (IdentityMethod::Carrier, "c"), (IdentityMethod::Document, "c")];
    assert_eq!(store.find_persons(&asked).await.unwrap(), [Some(old), None, Some(other.clone())]);
    store.put_persons(&[person(IdentityMethod::Jpki, "c", 1, "x"), new.clone()]).await.unwrap();
    assert_eq!(store.find_persons(&asked).await.unwrap(), [Some(new), None, Some(other)]);
}

pub(crate) async fn assertions_are_put_once_and_answered_alike(store: &dyn CarrierStore) {
    let batch_id = Uuid::from_u128(5);
    assert_eq!(store.find_answer(batch_id).await.unwrap(), None);
    let payloads = [(600, b"one".to_vec()), (500, b"two".to_vec())];
    let answer = store.put_assertions(batch_id, b"answer".to_vec(), &payloads).await.unwrap();
    assert_eq!(answer, b"answer");
    let again = store.put_assertions(batch_id, b"another".to_vec(), &payloads).await.unwrap();
    assert_eq!(again, b"answer");
    assert_eq!(store.find_answer(batch_id).await.unwrap().unwrap(), b"answer");
    let mut listed = Vec::new();
    while let Some(batch) = store.list_outbox(OutboxKind::Assertions).await.unwrap() {
        listed.push(batch.payloads);
        store.acknowledge_outbox(OutboxKind::Assertions, batch.through).await.unwrap();
    }
    assert_eq!(listed, [[b"one".to_vec()], [b"two".to_vec()]], "more than a call holds comes in two");
}
