//! Facts about accounts and subscriber lists.

use musubi_domain::{ErrorKind, phone_number::PhoneNumber};

use super::{account, act, fleet, followed, in_room, message_id, now, number, send};
use crate::{
    StoreError,
    carrier::{BATCH, CarrierStore, RoomAction, Snapshot},
};

async fn list(store: &dyn CarrierStore, name: &str, snapshot: Snapshot) -> Vec<PhoneNumber> {
    let mut numbers = Vec::new();
    loop {
        let page = store.list_followers(&account(name), snapshot, numbers.last().copied()).await.unwrap();
        assert!(page.len() <= BATCH);
        if page.is_empty() {
            return numbers;
        }
        numbers.extend(page);
    }
}

pub(crate) async fn an_account_keeps_its_list_when_its_name_changes(store: &dyn CarrierStore) {
    followed(store, "bank", 1..2).await;
    store.put_account(&account("bank"), "another").await.unwrap();
    let snapshot = store.get_snapshot(&account("bank")).await.unwrap();
    assert_eq!(list(store, "bank", snapshot).await, [number(1)]);
    send(store, "bank", &[(1, 1)]).await;
    let queued = store.list_queued(&fleet("fleet"), 0, now()).await.unwrap();
    assert_eq!((queued[0].display_name.as_str(), queued[0].account.as_str()), ("another", "bank"));
}

pub(crate) async fn an_account_that_is_not_open_is_not_found(store: &dyn CarrierStore) {
    let nobody = account("nobody");
    for error in [
        store.get_snapshot(&nobody).await.unwrap_err(),
        store.enqueue_messages(&nobody, &[]).await.unwrap_err(),
        store.revoke_messages(&nobody, &[message_id(1)], now()).await.unwrap_err(),
    ] {
        let StoreError::Refused(error) = error else { panic!("{error}") };
        assert_eq!((error.kind, error.field.as_str()), (ErrorKind::NotFound, "official_account"));
    }
}

pub(crate) async fn a_snapshot_stays_as_it_was_while_the_list_changes(store: &dyn CarrierStore) {
    followed(store, "bank", 1..4).await;
    let before = store.get_snapshot(&account("bank")).await.unwrap();
    act(
        store,
        1,
        vec![
            in_room("bank", 2, RoomAction::Unfollow),
            in_room("bank", 9, RoomAction::Follow),
            in_room("bank", 3, RoomAction::Unfollow),
            in_room("bank", 3, RoomAction::Follow),
        ],
    )
    .await;
    let after = store.get_snapshot(&account("bank")).await.unwrap();
    assert!(after.generation > before.generation);
    assert_eq!(list(store, "bank", before).await, [1, 2, 3].map(number));
    assert_eq!(list(store, "bank", after).await, [1, 3, 9].map(number));
    act(store, 2, vec![in_room("bank", 9, RoomAction::Follow)]).await;
    assert_eq!(store.get_snapshot(&account("bank")).await.unwrap(), after, "nothing has changed");
}

pub(crate) async fn a_snapshot_is_read_in_pages_in_ascending_order(store: &dyn CarrierStore) {
    followed(store, "bank", 0..2_345).await;
    followed(store, "other", 1..2).await;
    let snapshot = store.get_snapshot(&account("bank")).await.unwrap();
    assert_eq!(list(store, "bank", snapshot).await, (0..2_345).map(number).collect::<Vec<_>>());
}
