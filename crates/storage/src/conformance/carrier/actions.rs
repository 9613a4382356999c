//! Facts about what people do.

use musubi_domain::ErrorKind;

use super::{account, act, batch, fleet, followed, in_room, message_id, now, number, send, told, waiting};
use crate::{
    StoreError,
    carrier::{
        Action, ActionBatch, ActionKind, Applied, BATCH, CarrierStore, Enqueued, OutboxKind, Response,
        RoomAction, Tenure, TenureChange,
    },
};

fn typed(text: &str) -> RoomAction {
    RoomAction::Responded(Response::Text(text.to_owned()))
}

fn surrendered(last: u32) -> Action {
    Action { number: number(last), kind: ActionKind::Surrendered }
}

pub(crate) async fn a_batch_is_applied_once(store: &dyn CarrierStore) {
    store.put_account(&account("bank"), "名").await.unwrap();
    let batch = batch(1, vec![in_room("bank", 1, RoomAction::Follow), in_room("bank", 1, typed("hello"))]);
    let applied = store.apply_actions(&batch, now()).await.unwrap();
    assert_eq!(applied, Applied::Now { inherited: false });
    assert_eq!(store.apply_actions(&batch, now()).await.unwrap(), Applied::Before);
    assert_eq!(told(store).await, ["followed bank 1", "typed hello bank 1"]);
}

pub(crate) async fn a_second_follow_tells_nothing(store: &dyn CarrierStore) {
    followed(store, "bank", 1..2).await;
    let follow = || in_room("bank", 1, RoomAction::Follow);
    let unfollow = || in_room("bank", 1, RoomAction::Unfollow);
    act(store, 1, vec![follow(), unfollow(), unfollow(), follow(), follow()]).await;
    assert_eq!(told(store).await, ["unfollowed bank 1", "followed bank 1"]);
}

pub(crate) async fn receipts_only_move_forward(store: &dyn CarrierStore) {
    followed(store, "bank", 1..2).await;
    send(store, "bank", &[(1, 1), (2, 1)]).await;
    let delivered = |id| in_room("bank", 1, RoomAction::Delivered(message_id(id)));
    let displayed = |id| in_room("bank", 1, RoomAction::Displayed(message_id(id)));
    act(store, 1, vec![delivered(1), delivered(1), displayed(1), delivered(1)]).await;
    act(store, 2, vec![displayed(2), delivered(2), displayed(2), delivered(7)]).await;
    assert_eq!(told(store).await, ["Delivered 1 bank 1", "Displayed 1 bank 1", "Displayed 2 bank 1"]);
    assert_eq!(waiting(store, "fleet").await, [""; 0]);
}

pub(crate) async fn a_receipt_from_another_number_changes_nothing(store: &dyn CarrierStore) {
    followed(store, "bank", 1..3).await;
    send(store, "bank", &[(1, 1)]).await;
    act(store, 1, vec![in_room("bank", 2, RoomAction::Delivered(message_id(1)))]).await;
    assert_eq!(told(store).await, [""; 0]);
    assert_eq!(waiting(store, "fleet").await, ["payload 1"]);
}

pub(crate) async fn an_answer_counts_only_while_the_number_follows(store: &dyn CarrierStore) {
    followed(store, "bank", 1..2).await;
    let tapped = RoomAction::Responded(Response::Tapped {
        message_id: message_id(1),
        postback: "p".to_owned(),
        label: "l".to_owned(),
    });
    act(
        store,
        1,
        vec![
            in_room("bank", 2, typed("stranger")),
            in_room("bank", 1, tapped),
            in_room("bank", 1, RoomAction::Unfollow),
            in_room("bank", 1, typed("gone")),
        ],
    )
    .await;
    assert_eq!(told(store).await, ["tapped p bank 1", "unfollowed bank 1"]);
}

pub(crate) async fn unfollowing_takes_back_what_waits(store: &dyn CarrierStore) {
    followed(store, "bank", 1..3).await;
    followed(store, "power", 1..2).await;
    send(store, "bank", &[(1, 1), (2, 1), (3, 2), (4, 1)]).await;
    send(store, "power", &[(5, 1)]).await;
    let unfollow = in_room("bank", 1, RoomAction::Unfollow);
    act(store, 1, vec![in_room("bank", 1, RoomAction::Delivered(message_id(2))), unfollow]).await;
    assert_eq!(
        told(store).await,
        ["Delivered 2 bank 1", "unfollowed bank 1", "Revoked 1 bank 1", "Revoked 4 bank 1"]
    );
    assert_eq!(waiting(store, "fleet").await, ["payload 3", "payload 5"]);
    act(store, 2, vec![in_room("bank", 1, RoomAction::Follow)]).await;
    assert_eq!(waiting(store, "fleet").await.len(), 2, "following again brings nothing back");
}

pub(crate) async fn a_surrendered_number_leaves_every_list(store: &dyn CarrierStore) {
    followed(store, "bank", 1..3).await;
    followed(store, "power", 1..2).await;
    followed(store, "rail", 2..3).await;
    send(store, "power", &[(1, 1)]).await;
    act(store, 1, vec![surrendered(1), surrendered(1), surrendered(8)]).await;
    assert_eq!(
        told(store).await,
        [
            "unfollowed bank 1",
            "reassigned bank 1",
            "unfollowed power 1",
            "Revoked 1 power 1",
            "reassigned power 1"
        ]
    );
    for (name, left) in [("bank", vec![number(2)]), ("power", vec![]), ("rail", vec![number(2)])] {
        let snapshot = store.get_snapshot(&account(name)).await.unwrap();
        assert_eq!(store.list_followers(&account(name), snapshot, None).await.unwrap(), left);
    }
}

pub(crate) async fn a_batch_with_an_unknown_account_changes_nothing(store: &dyn CarrierStore) {
    followed(store, "bank", 1..2).await;
    let mut wrong =
        batch(1, vec![in_room("bank", 2, RoomAction::Follow), in_room("nobody", 2, RoomAction::Unfollow)]);
    let Err(StoreError::Refused(error)) = store.apply_actions(&wrong, now()).await else {
        panic!("an unknown account is refused")
    };
    assert_eq!(
        (error.kind, error.field.as_str()),
        (ErrorKind::InvalidArgument, "actions[1].official_account")
    );
    assert_eq!(told(store).await, [""; 0]);
    assert_eq!(send(store, "bank", &[(1, 2)]).await, [Enqueued::NotFollowing]);
    wrong.actions.pop();
    let applied = store.apply_actions(&wrong, now()).await.unwrap();
    assert_eq!(applied, Applied::Now { inherited: false }, "the batch id was not used up");
}

pub(crate) async fn a_batch_is_applied_in_its_order(store: &dyn CarrierStore) {
    store.put_account(&account("bank"), "名").await.unwrap();
    act(
        store,
        1,
        vec![
            in_room("bank", 1, typed("before")),
            in_room("bank", 1, RoomAction::Follow),
            in_room("bank", 2, RoomAction::Follow),
            in_room("bank", 1, typed("first")),
            surrendered(1),
            in_room("bank", 1, typed("after")),
            in_room("bank", 1, RoomAction::Follow),
            in_room("bank", 1, typed("again")),
        ],
    )
    .await;
    assert_eq!(
        told(store).await,
        [
            "followed bank 1",
            "followed bank 2",
            "typed first bank 1",
            "unfollowed bank 1",
            "reassigned bank 1",
            "followed bank 1",
            "typed again bank 1"
        ]
    );
}

pub(crate) async fn messages_go_to_the_fleet_that_has_the_number_now(store: &dyn CarrierStore) {
    followed(store, "bank", 1..4).await;
    send(store, "bank", &[(1, 1), (2, 2), (3, 1), (4, 3)]).await;
    let last = store.list_queued(&fleet("fleet"), 0, now()).await.unwrap()[3].sequence;
    let moved = ActionBatch { fleet: fleet("second"), ..batch(1, vec![in_room("bank", 1, typed("here"))]) };
    assert_eq!(store.apply_actions(&moved, now()).await.unwrap(), Applied::Now { inherited: true });
    assert_eq!(waiting(store, "fleet").await, ["payload 2", "payload 4"]);
    assert_eq!(waiting(store, "second").await, ["payload 1", "payload 3"]);
    let new = store.list_queued(&fleet("second"), last, now()).await.unwrap();
    assert_eq!(new.len(), 2, "also for a fleet that had read up to the end");
    let enqueueing =
        store.enqueue_messages(&account("bank"), &[super::candidate(5, 1, "new")]).await.unwrap();
    assert_eq!(enqueueing.fleets, [fleet("second")]);
}

pub(crate) async fn many_events_make_rows_that_fit_a_call(store: &dyn CarrierStore) {
    followed(store, "bank", 1..2).await;
    for id in 0..3 {
        let ids: Vec<_> = (0..250).map(|last| (last, 1)).collect();
        let name = format!("a{id}");
        followed(store, &name, 1..2).await;
        send(store, &name, &ids).await;
    }
    act(store, 1, vec![surrendered(1)]).await;
    let long = (0..BATCH).map(|_| in_room("bank", 2, typed(&"あ".repeat(3_000))));
    act(store, 2, std::iter::once(in_room("bank", 2, RoomAction::Follow)).chain(long).take(BATCH).collect())
        .await;
    let mut events = 0;
    while let Some(listed) = store.list_outbox(OutboxKind::Events).await.unwrap() {
        let lines = listed.payloads.iter().flatten().filter(|byte| **byte == b'\n').count();
        assert!((1..=BATCH).contains(&lines));
        assert!(listed.payloads.concat().len() <= 1 << 20, "long answers are spread over calls");
        events += lines;
        store.acknowledge_outbox(OutboxKind::Events, listed.through).await.unwrap();
    }
    // Two for each of four accounts, 250 messages in three of them; then the second batch.
    assert_eq!(events, 4 * 2 + 3 * 250 + BATCH);
}

pub(crate) async fn what_is_acknowledged_is_not_listed_again(store: &dyn CarrierStore) {
    followed(store, "bank", 1..2).await;
    assert_eq!(store.list_outbox(OutboxKind::Events).await.unwrap(), None);
    act(store, 1, vec![in_room("bank", 1, typed("a"))]).await;
    let first = store.list_outbox(OutboxKind::Events).await.unwrap().unwrap();
    assert_eq!(store.list_outbox(OutboxKind::Events).await.unwrap().as_ref(), Some(&first), "until then");
    act(store, 2, vec![in_room("bank", 1, typed("bb"))]).await;
    store.acknowledge_outbox(OutboxKind::Events, first.through).await.unwrap();
    assert_eq!(told(store).await, ["typed bb bank 1"]);
}

fn became(last: u32, change: TenureChange) -> Action {
    Action { number: number(last), kind: ActionKind::Tenure(change) }
}

pub(crate) async fn a_number_is_known_by_what_became_of_it(store: &dyn CarrierStore) {
    followed(store, "bank", 1..5).await;
    let first = Tenure::default();
    let known = async || {
        let numbers: Vec<_> = [9, 1, 2, 3, 4].map(number).into();
        store.find_tenures(&numbers).await.unwrap()
    };
    assert_eq!(known().await, [None, Some(first), Some(first), Some(first), Some(first)]);
    act(
        store,
        1,
        vec![
            became(1, TenureChange::Released),
            became(2, TenureChange::Released),
            became(2, TenureChange::Assigned),
            became(3, TenureChange::PortedIn),
            surrendered(4),
        ],
    )
    .await;
    let after = |change| Some(first.after(change, now()));
    let assigned = after(TenureChange::Assigned);
    let expected = [None, after(TenureChange::Released), assigned, after(TenureChange::PortedIn), assigned];
    assert_eq!(known().await, expected);
    assert_eq!(
        told(store).await,
        ["unfollowed bank 4", "reassigned bank 4"],
        "only what is given back is told"
    );
    // What is known outlives what comes later.
    act(store, 2, vec![became(1, TenureChange::Assigned), became(3, TenureChange::Released)]).await;
    let ported_away = after(TenureChange::PortedIn).map(|it| it.after(TenureChange::Released, now()));
    assert_eq!(known().await, [None, assigned, assigned, ported_away, assigned]);
}

pub(crate) async fn a_released_number_is_reached_no_more_and_stays_on_every_list(store: &dyn CarrierStore) {
    followed(store, "bank", 1..3).await;
    send(store, "bank", &[(1, 1), (2, 2)]).await;
    act(store, 1, vec![became(1, TenureChange::Released)]).await;
    assert_eq!(told(store).await, ["Revoked 1 bank 1"], "what waited for the holder is nobody else's");
    assert_eq!(send(store, "bank", &[(3, 1), (4, 2)]).await, [Enqueued::NotFollowing, Enqueued::Queued]);
    let snapshot = store.get_snapshot(&account("bank")).await.unwrap();
    assert_eq!(store.list_followers(&account("bank"), snapshot, None).await.unwrap().len(), 2);
    act(store, 2, vec![became(1, TenureChange::Assigned)]).await;
    assert_eq!(send(store, "bank", &[(5, 1)]).await, [Enqueued::Queued]);
    assert_eq!(waiting(store, "fleet").await, ["payload 2", "payload 4", "payload 5"]);
}
