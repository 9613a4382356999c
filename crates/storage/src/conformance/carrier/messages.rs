//! Facts about messages in flight.

use jiff::SignedDuration;

use super::{
    account, act, candidate, fleet, followed, in_room, message_id, now, number, send, told, waiting,
};
use crate::carrier::{Candidate, CarrierStore, Enqueued, NewMessage, RoomAction};

pub(crate) async fn a_message_is_stored_once_whatever_comes_under_its_id_later(store: &dyn CarrierStore) {
    followed(store, "bank", 1..3).await;
    let candidates = [candidate(1, 1, "first"), candidate(1, 2, "in the same batch")];
    let enqueueing = store.enqueue_messages(&account("bank"), &candidates).await.unwrap();
    assert_eq!(enqueueing.outcomes, [Enqueued::Queued, Enqueued::Seen]);
    assert_eq!(enqueueing.fleets, [fleet("fleet")]);
    let again = store.enqueue_messages(&account("bank"), &[candidate(1, 1, "later")]).await.unwrap();
    assert_eq!((again.outcomes.as_slice(), again.fleets.as_slice()), (&[Enqueued::Seen][..], &[][..]));
    assert_eq!(waiting(store, "fleet").await, ["first"]);
    act(store, 1, vec![in_room("bank", 1, RoomAction::Displayed(message_id(1)))]).await;
    assert_eq!(send(store, "bank", &[(1, 1)]).await, [Enqueued::Seen], "for ever");
    assert_eq!(waiting(store, "fleet").await, [""; 0]);
}

pub(crate) async fn one_id_is_two_messages_in_two_accounts(store: &dyn CarrierStore) {
    followed(store, "bank", 1..2).await;
    followed(store, "power", 1..2).await;
    assert_eq!(send(store, "bank", &[(1, 1)]).await, [Enqueued::Queued]);
    assert_eq!(send(store, "power", &[(1, 1)]).await, [Enqueued::Queued]);
    act(store, 1, vec![in_room("power", 1, RoomAction::Delivered(message_id(1)))]).await;
    assert_eq!(told(store).await, ["Delivered 1 power 1"]);
    assert_eq!(waiting(store, "fleet").await.len(), 1);
}

pub(crate) async fn a_message_to_a_number_that_does_not_follow_is_not_stored(store: &dyn CarrierStore) {
    followed(store, "bank", 1..2).await;
    followed(store, "power", 2..3).await;
    assert_eq!(
        send(store, "bank", &[(1, 2), (2, 1), (3, 99)]).await,
        [Enqueued::NotFollowing, Enqueued::Queued, Enqueued::NotFollowing]
    );
    act(store, 1, vec![in_room("bank", 2, RoomAction::Follow)]).await;
    assert_eq!(send(store, "bank", &[(1, 2)]).await, [Enqueued::Queued], "the id was not used up");
}

pub(crate) async fn an_unwanted_candidate_tells_only_whether_its_id_was_seen(store: &dyn CarrierStore) {
    followed(store, "bank", 1..2).await;
    let unwanted = Candidate { message_id: message_id(1), message: None };
    let outcomes = |candidates: [Candidate; 2]| async move {
        store.enqueue_messages(&account("bank"), &candidates).await.unwrap().outcomes
    };
    let wanted = candidate(1, 1, "wanted");
    assert_eq!(outcomes([unwanted.clone(), wanted]).await, [Enqueued::Unwanted, Enqueued::Queued]);
    assert_eq!(outcomes([unwanted.clone(), unwanted]).await, [Enqueued::Seen, Enqueued::Seen]);
}

pub(crate) async fn messages_wait_in_the_order_in_which_they_came(store: &dyn CarrierStore) {
    followed(store, "bank", 1..4).await;
    send(store, "bank", &[(9, 3), (4, 1), (7, 2)]).await;
    send(store, "bank", &[(2, 3)]).await;
    assert_eq!(waiting(store, "fleet").await, ["payload 9", "payload 4", "payload 7", "payload 2"]);
    let queued = store.list_queued(&fleet("fleet"), 0, now()).await.unwrap();
    let rest = store.list_queued(&fleet("fleet"), queued[1].sequence, now()).await.unwrap();
    let places = |queued: &[crate::carrier::QueuedMessage]| -> Vec<u64> {
        queued.iter().map(|message| message.sequence).collect()
    };
    assert_eq!(places(&rest), places(&queued[2..]));
    assert_eq!(waiting(store, "another").await, [""; 0]);
}

pub(crate) async fn a_revoked_message_is_not_delivered_and_a_delivered_one_not_revoked(
    store: &dyn CarrierStore,
) {
    followed(store, "bank", 1..3).await;
    send(store, "bank", &[(1, 1), (2, 2)]).await;
    act(store, 1, vec![in_room("bank", 1, RoomAction::Delivered(message_id(1)))]).await;
    let revoke = || async {
        let ids = [1, 2, 3, 2].map(message_id);
        store.revoke_messages(&account("bank"), &ids, now()).await.unwrap()
    };
    assert_eq!(revoke().await, [false, true, false, true]);
    assert_eq!(revoke().await, [false, true, false, true], "repeatable");
    assert_eq!(waiting(store, "fleet").await, [""; 0]);
    act(store, 2, vec![in_room("bank", 2, RoomAction::Delivered(message_id(2)))]).await;
    assert_eq!(told(store).await, ["Delivered 1 bank 1", "Revoked 2 bank 2"]);
}

pub(crate) async fn a_message_expires_once_and_is_not_handed_out_after_its_time(store: &dyn CarrierStore) {
    followed(store, "bank", 1..3).await;
    let until = |id, hours| {
        let expires = now() + SignedDuration::from_hours(hours);
        let message = NewMessage { number: number(1), expires, payload: vec![id] };
        Candidate { message_id: message_id(id), message: Some(message) }
    };
    store.enqueue_messages(&account("bank"), &[until(1, 3), until(2, 1), until(3, 2)]).await.unwrap();
    act(store, 1, vec![in_room("bank", 1, RoomAction::Delivered(message_id(3)))]).await;
    told(store).await;
    let later = now() + SignedDuration::from_hours(2);
    let queued = store.list_queued(&fleet("fleet"), 0, later).await.unwrap();
    assert_eq!(queued.len(), 1, "what is over is not handed out even before it is swept");
    assert_eq!(store.expire_messages(later).await.unwrap(), 1);
    assert_eq!(store.expire_messages(later).await.unwrap(), 0);
    act(store, 2, vec![in_room("bank", 1, RoomAction::Displayed(message_id(2)))]).await;
    assert_eq!(told(store).await, ["Expired 2 bank 1"]);
    assert_eq!(send(store, "bank", &[(2, 1)]).await, [Enqueued::Seen]);
}
