//! Facts about every carrier store.
//!
//! A file for each part; here are the suite and what its facts are told with. Surprising: events are read back from the
//! outbox as lines of text, because the tests' encoder writes them so.

mod actions;
mod agents;
mod authority;
mod beside;
mod lists;
mod messages;

use jiff::{SignedDuration, Timestamp};
use musubi_domain::{
    id::{MessageId, OfficialAccountId},
    phone_number::PhoneNumber,
};
use uuid::Uuid;

pub(crate) use self::{actions::*, agents::*, authority::*, beside::*, lists::*, messages::*};
use crate::carrier::{
    Action, ActionBatch, ActionKind, Applied, Candidate, CarrierStore, Enqueued, Event, EventKind, FleetName,
    NewMessage, OutboxKind, Response, RoomAction,
};

/// Runs every fact on a backend; `$open` gives a fresh empty store that writes events by [`encode`], and what has to live as
/// long as it. Or, `in_turn`, all on one
/// store, unless `$before`, which brings it back to nothing, says of a fact's name that it is left out.
macro_rules! carrier_store_suite {
    (in_turn $store:expr, $before:expr) => {
        crate::conformance::carrier::carrier_store_suite!(@facts in_turn {$store, $before});
    };
    ($open:expr) => {
        crate::conformance::carrier::carrier_store_suite!(@facts tests {$open});
    };
    (@facts $how:ident $with:tt) => {
        crate::conformance::carrier::carrier_store_suite!(@$how $with;
            an_account_keeps_its_list_when_its_name_changes,
            an_account_that_is_not_open_is_not_found,
            a_snapshot_stays_as_it_was_while_the_list_changes,
            a_snapshot_is_read_in_pages_in_ascending_order,
            a_message_is_stored_once_whatever_comes_under_its_id_later,
            one_id_is_two_messages_in_two_accounts,
            a_message_to_a_number_that_does_not_follow_is_not_stored,
            an_unwanted_candidate_tells_only_whether_its_id_was_seen,
            messages_wait_in_the_order_in_which_they_came,
            a_revoked_message_is_not_delivered_and_a_delivered_one_not_revoked,
            a_message_expires_once_and_is_not_handed_out_after_its_time,
            a_batch_is_applied_once,
            a_second_follow_tells_nothing,
            receipts_only_move_forward,
            a_receipt_from_another_number_changes_nothing,
            an_answer_counts_only_while_the_number_follows,
            unfollowing_takes_back_what_waits,
            a_surrendered_number_leaves_every_list,
            a_number_is_known_by_what_became_of_it,
            a_released_number_is_reached_no_more_and_stays_on_every_list,
            a_batch_with_an_unknown_account_changes_nothing,
            a_batch_is_applied_in_its_order,
            messages_go_to_the_fleet_that_has_the_number_now,
            many_events_make_rows_that_fit_a_call,
            what_is_acknowledged_is_not_listed_again,
            an_agent_reaches_whoever_is_there_and_nobody_who_left,
            what_happens_in_an_agents_room_is_for_its_webhook,
            an_event_that_is_tried_again_holds_back_its_room_alone,
            a_launch_that_moves_is_told_once,
            testers_are_twenty_a_day,
            keys_files_and_phones_of_agents_are_kept,
            the_first_keys_of_an_authority_stand,
            the_last_registration_of_a_credential_stands,
            assertions_are_put_once_and_answered_alike,
            a_batch_is_applied_once_however_many_bring_it,
            a_message_is_stored_once_however_many_bring_it,
            nothing_is_dropped_that_was_not_listed,
            no_message_waits_where_its_number_was_before,
            a_message_ends_once,
        );
    };
    (@tests {$open:expr}; $($fact:ident,)+) => {
        $(
            #[tokio::test]
            async fn $fact() {
                let (store, _alive) = $open.await;
                crate::conformance::carrier::$fact(&store).await;
            }
        )+
    };
    (@in_turn {$store:expr, $before:expr}; $($fact:ident,)+) => {
        $(
            if $before(stringify!($fact)).await {
                Box::pin(crate::conformance::carrier::$fact(&$store)).await;
            }
        )+
    };
}
pub(crate) use carrier_store_suite;

/// A line for an event: what, in which account, whose number's last digit.
pub(crate) fn encode(events: &[Event]) -> Vec<u8> {
    let lines = events.iter().map(|event| {
        let what = match &event.kind {
            EventKind::Followed => "followed".to_owned(),
            EventKind::Unfollowed => "unfollowed".to_owned(),
            EventKind::NumberReassigned => "reassigned".to_owned(),
            EventKind::Responded(Response::Tapped { postback, .. }) => format!("tapped {postback}"),
            EventKind::Responded(Response::Text(text)) => format!("typed {text}"),
            EventKind::Receipt(id, kind) => format!("{kind:?} {}", id.as_bytes()[15]),
        };
        format!("{what} {} {}\n", event.account, event.number.as_str().chars().last().unwrap())
    });
    lines.collect::<String>().into_bytes()
}

/// All events told since the last call.
pub(crate) async fn told(store: &dyn CarrierStore) -> Vec<String> {
    let mut lines = Vec::new();
    while let Some(batch) = store.list_outbox(OutboxKind::Events).await.unwrap() {
        for payload in &batch.payloads {
            lines.extend(String::from_utf8(payload.clone()).unwrap().lines().map(str::to_owned));
        }
        store.acknowledge_outbox(OutboxKind::Events, batch.through).await.unwrap();
    }
    lines
}

pub(crate) fn now() -> Timestamp {
    "2026-11-23T09:00:00Z".parse().unwrap()
}

pub(crate) fn account(name: &str) -> OfficialAccountId {
    name.parse().unwrap()
}

pub(crate) fn number(last: u32) -> PhoneNumber {
    format!("+8180{last:08}").parse().unwrap()
}

pub(crate) fn fleet(name: &str) -> FleetName {
    name.parse().unwrap()
}

pub(crate) fn message_id(last: u8) -> MessageId {
    let mut bytes = [0; 16];
    bytes[15] = last;
    MessageId::from_bytes(bytes)
}

pub(crate) fn in_room(name: &str, last: u32, action: RoomAction) -> Action {
    Action { number: number(last), kind: ActionKind::InRoom(account(name), action) }
}

pub(crate) fn batch(id: u128, actions: Vec<Action>) -> ActionBatch {
    ActionBatch { batch_id: Uuid::from_u128(id), fleet: fleet("fleet"), actions }
}

/// Applies a batch that has not been applied before.
pub(crate) async fn act(store: &dyn CarrierStore, id: u128, actions: Vec<Action>) {
    let applied = store.apply_actions(&batch(id, actions), now()).await.unwrap();
    assert_eq!(applied, Applied::Now { inherited: false });
}

/// Opens the account, and these numbers follow it; nothing of it is told any more.
pub(crate) async fn followed(store: &dyn CarrierStore, name: &str, numbers: std::ops::Range<u32>) {
    store.put_account(&account(name), "名").await.unwrap();
    let numbers: Vec<u32> = numbers.collect();
    for numbers in numbers.chunks(1_000) {
        let follows = numbers.iter().map(|last| in_room(name, *last, RoomAction::Follow)).collect();
        act(
            store,
            Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("{name} {numbers:?}").as_bytes()).as_u128(),
            follows,
        )
        .await;
    }
    told(store).await;
}

pub(crate) fn candidate(id: u8, last: u32, payload: &str) -> Candidate {
    let expires = now() + SignedDuration::from_hours(24);
    let message = NewMessage { number: number(last), expires, payload: payload.as_bytes().to_vec() };
    Candidate { message_id: message_id(id), message: Some(message) }
}

/// Offers messages with these ids to these numbers.
pub(crate) async fn send(store: &dyn CarrierStore, name: &str, messages: &[(u8, u32)]) -> Vec<Enqueued> {
    let candidates: Vec<_> =
        messages.iter().map(|(id, last)| candidate(*id, *last, &format!("payload {id}"))).collect();
    store.enqueue_messages(&account(name), &candidates).await.unwrap().outcomes
}

/// The payloads that wait for the fleet.
pub(crate) async fn waiting(store: &dyn CarrierStore, name: &str) -> Vec<String> {
    let queued = store.list_queued(&fleet(name), 0, now()).await.unwrap();
    queued.into_iter().map(|message| String::from_utf8(message.payload).unwrap()).collect()
}
