//! Facts about what is done at the same time.

use std::cell::Cell;

use jiff::SignedDuration;

use super::{account, batch, fleet, followed, in_room, message_id, now, send, told, waiting};
use crate::carrier::{ActionBatch, Applied, CarrierStore, Enqueued, RoomAction};

pub(crate) async fn a_batch_is_applied_once_however_many_bring_it(store: &dyn CarrierStore) {
    store.put_account(&account("bank"), "名").await.unwrap();
    for round in 0..5 {
        let batch = batch(round, vec![in_room("bank", u32::try_from(round).unwrap(), RoomAction::Follow)]);
        let apply = || async { store.apply_actions(&batch, now()).await.unwrap() };
        let (a, b, c, d) = tokio::join!(apply(), apply(), apply(), apply());
        let new = [a, b, c, d].into_iter().filter(|applied| *applied != Applied::Before);
        assert_eq!(new.count(), 1);
        assert_eq!(told(store).await, [format!("followed bank {round}")]);
    }
}

pub(crate) async fn a_message_is_stored_once_however_many_bring_it(store: &dyn CarrierStore) {
    followed(store, "bank", 0..50).await;
    let forth: Vec<_> = (0..50).map(|id| (id, id.into())).collect();
    let back: Vec<_> = forth.iter().rev().copied().collect();
    let (a, b, c, d) = tokio::join!(
        send(store, "bank", &forth),
        send(store, "bank", &back),
        send(store, "bank", &forth),
        send(store, "bank", &back)
    );
    let queued = [a, b, c, d].into_iter().flatten().filter(|outcome| *outcome == Enqueued::Queued);
    assert_eq!(queued.count(), 50);
    assert_eq!(waiting(store, "fleet").await.len(), 50);
}

pub(crate) async fn nothing_is_dropped_that_was_not_listed(store: &dyn CarrierStore) {
    for name in ["a", "b", "c", "d"] {
        store.put_account(&account(name), "名").await.unwrap();
    }
    let working = Cell::new(4);
    let work = |name: &'static str, writer: u32| {
        let working = &working;
        async move {
            for number in 0..20 {
                let actions = vec![in_room(name, writer * 20 + number, RoomAction::Follow)];
                store.apply_actions(&batch(u128::from(writer * 20 + number), actions), now()).await.unwrap();
            }
            working.set(working.get() - 1);
        }
    };
    let listen = async {
        let mut lines = 0;
        while working.get() > 0 {
            lines += told(store).await.len();
        }
        lines + told(store).await.len()
    };
    let ((), (), (), (), lines) =
        tokio::join!(work("a", 0), work("b", 1), work("c", 2), work("d", 3), listen);
    assert_eq!(lines, 4 * 20);
}

pub(crate) async fn no_message_waits_where_its_number_was_before(store: &dyn CarrierStore) {
    for round in 0..8_u32 {
        let name = format!("round-{round}");
        followed(store, &name, round * 20..round * 20 + 20).await;
        let numbers = (0..20).map(|id| (id, round * 20 + u32::from(id)));
        let messages: Vec<_> = numbers.clone().collect();
        // Half of the numbers go to another fleet, and half leave the account, too.
        let actions = numbers.map(|(id, number)| {
            let action = if id < 10 { RoomAction::Displayed(message_id(99)) } else { RoomAction::Unfollow };
            in_room(&name, number, action)
        });
        let moved = batch(1_000 + u128::from(round), actions.collect());
        let moved = ActionBatch { fleet: fleet("second"), ..moved };
        let (sent, applied) = tokio::join!(send(store, &name, &messages), store.apply_actions(&moved, now()));
        assert!(matches!(applied.unwrap(), Applied::Now { .. }));
        assert_eq!(waiting(store, "fleet").await, [""; 0]);
        assert_eq!(waiting(store, "second").await.len(), (usize::try_from(round).unwrap() + 1) * 10);
        assert_eq!(sent[..10], [Enqueued::Queued; 10]);
        let queued = sent[10..].iter().filter(|outcome| **outcome == Enqueued::Queued).count();
        let told = told(store).await;
        assert_eq!(told.iter().filter(|line| line.starts_with("Revoked")).count(), queued);
        assert_eq!(told.len(), 10 + queued);
    }
}

pub(crate) async fn a_message_ends_once(store: &dyn CarrierStore) {
    for round in 0..8_u32 {
        let name = format!("round-{round}");
        let numbers = round * 20..round * 20 + 20;
        followed(store, &name, numbers.clone()).await;
        let messages: Vec<_> = (0..20).zip(numbers).collect();
        send(store, &name, &messages).await;
        let ids: Vec<_> = messages.iter().rev().map(|(id, _)| message_id(*id)).collect();
        let delivered =
            messages.iter().map(|(id, last)| in_room(&name, *last, RoomAction::Delivered(message_id(*id))));
        let delivered = batch(1_000 + u128::from(round), delivered.collect());
        let later = now() + SignedDuration::from_hours(25);
        let account = account(&name);
        let (applied, revoked, expired) = tokio::join!(
            store.apply_actions(&delivered, now()),
            store.revoke_messages(&account, &ids, now()),
            store.expire_messages(later)
        );
        assert!(matches!(applied.unwrap(), Applied::Now { .. }));
        let revoked = revoked.unwrap().into_iter().filter(|revoked| *revoked).count();
        let expired = expired.unwrap();
        let told = told(store).await;
        let of = |kind: &str| told.iter().filter(|line| line.starts_with(kind)).count();
        assert_eq!((of("Expired"), of("Revoked")), (expired, revoked));
        assert_eq!((of("Delivered"), told.len()), (20 - expired - revoked, 20));
        assert_eq!(waiting(store, "fleet").await, [""; 0]);
    }
}
