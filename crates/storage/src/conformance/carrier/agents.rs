//! Facts about RBM agents: whom they reach, and what their webhooks are to be told. Their account is `agent`, which no other fact has.

use jiff::{SignedDuration, Timestamp};

use super::{account, act, candidate, fleet, followed, in_room, message_id, now, number, told, waiting};
use crate::carrier::{
    Agent, AgentEnqueued, AgentEventKind, AgentFile, AgentMessage, AgentTraffic, CarrierStore, Invited,
    ReceiptKind, Response, RoomAction, TESTERS_A_DAY, Tried,
};

fn agent(launch_state: &str) -> Agent {
    Agent {
        account: account("agent"),
        agent_id: "agent_id".to_owned(),
        display_name: "名".to_owned(),
        launch_state: launch_state.to_owned(),
    }
}

/// The agent, and another account that these numbers follow.
async fn opened(store: &dyn CarrierStore, numbers: std::ops::Range<u32>) {
    store.put_agents(&[agent("LAUNCHED")], now()).await.unwrap();
    followed(store, "bank", numbers).await;
}

fn message(id: u8, last: u32, traffic: AgentTraffic) -> AgentMessage {
    AgentMessage {
        message_id: message_id(id),
        client_id: format!("client {id}"),
        number: number(last),
        expires: now() + SignedDuration::from_hours(24),
        timed: id.is_multiple_of(2),
        traffic,
        body: format!("{{\"body\":\"{id} は\"}}"),
        payload: format!("payload {id}").into_bytes(),
    }
}

async fn send(store: &dyn CarrierStore, messages: &[(u8, u32, AgentTraffic)]) -> Vec<AgentEnqueued> {
    let messages: Vec<_> = messages.iter().map(|(id, last, traffic)| message(*id, *last, *traffic)).collect();
    store.enqueue_agent_messages(&account("agent"), &messages, now()).await.unwrap().0
}

/// What is due now, each with its number's last digit; all of it is done with.
async fn posted(store: &dyn CarrierStore, at: Timestamp) -> Vec<String> {
    let mut lines = Vec::new();
    loop {
        let due = store.list_webhook_events(&account("agent"), at, 100).await.unwrap();
        if due.is_empty() {
            return lines;
        }
        for event in &due {
            let what = match &event.kind {
                AgentEventKind::Typed(text) => format!("typed {text}"),
                AgentEventKind::Tapped { postback, label, body } => {
                    format!("tapped {postback} {label} {}", body.as_deref().unwrap_or("nothing"))
                }
                AgentEventKind::Delivered(id) => format!("delivered {id}"),
                AgentEventKind::Displayed(id) => format!("displayed {id}"),
                AgentEventKind::Expired { client_id, timed } => format!("expired {client_id} {timed}"),
                AgentEventKind::Launched { from, to } => format!("launched {from} {to}"),
                kind @ (AgentEventKind::Subscribed | AgentEventKind::Left | AgentEventKind::Unsubscribed) => {
                    kind.name().to_owned()
                }
            };
            let last = event.number.map_or('-', |number| number.as_str().chars().last().unwrap());
            lines.push(format!("{what} {last}"));
        }
        let tries: Vec<_> = due.iter().map(|event| (event.sequence, Tried::Done)).collect();
        store.settle_webhook_events(&tries).await.unwrap();
    }
}

pub(crate) async fn an_agent_reaches_whoever_is_there_and_nobody_who_left(store: &dyn CarrierStore) {
    use AgentTraffic::{Acknowledgement, Authentication, Promotion, Transaction};
    opened(store, 1..4).await;
    act(store, 1, vec![in_room("agent", 2, RoomAction::Follow), in_room("agent", 2, RoomAction::Unfollow)])
        .await;
    act(store, 2, vec![in_room("agent", 3, RoomAction::Unfollow)]).await;
    assert_eq!(
        send(
            store,
            &[
                (1, 1, Transaction),
                (1, 1, Transaction),
                (2, 2, Transaction),
                (3, 2, Authentication),
                (4, 2, Acknowledgement),
                (5, 2, Acknowledgement),
                (6, 3, Promotion),
                (7, 9, Transaction),
            ]
        )
        .await,
        [
            AgentEnqueued::Queued,
            AgentEnqueued::Seen,
            AgentEnqueued::Unsubscribed,
            AgentEnqueued::Queued,
            AgentEnqueued::Queued,
            AgentEnqueued::Unsubscribed,
            AgentEnqueued::Unsubscribed,
            AgentEnqueued::Unreachable,
        ]
    );
    assert_eq!(send(store, &[(8, 2, Acknowledgement)]).await, [AgentEnqueued::Unsubscribed], "one is all");
    assert_eq!(waiting(store, "fleet").await, ["payload 1", "payload 3", "payload 4"]);
    act(store, 3, vec![in_room("agent", 2, RoomAction::Follow), in_room("agent", 3, RoomAction::Follow)])
        .await;
    act(store, 4, vec![in_room("agent", 2, RoomAction::Unfollow)]).await;
    assert_eq!(send(store, &[(8, 2, Acknowledgement), (9, 3, Promotion)]).await, [AgentEnqueued::Queued; 2]);
    let mut sent = store.list_agent_messages(10).await.unwrap();
    sent.retain(|it| it.account == account("agent"));
    assert_eq!(sent.len(), 5);
    let first = sent.iter().find(|it| it.message_id == message_id(1)).unwrap();
    assert_eq!(
        (first.client_id.as_str(), first.body.as_str(), first.state),
        ("client 1", "{\"body\":\"1 は\"}", None)
    );
    let taken_back = sent.iter().find(|it| it.message_id == message_id(3)).unwrap();
    assert_eq!(taken_back.state, Some(ReceiptKind::Revoked), "with the one who left again");
}

pub(crate) async fn what_happens_in_an_agents_room_is_for_its_webhook(store: &dyn CarrierStore) {
    opened(store, 1..3).await;
    send(store, &[(1, 1, AgentTraffic::Transaction), (2, 1, AgentTraffic::Transaction)]).await;
    let answered = |last, response| in_room("agent", last, RoomAction::Responded(response));
    let tap = Response::Tapped { message_id: message_id(1), postback: "p".to_owned(), label: "l".to_owned() };
    act(
        store,
        1,
        vec![
            in_room("agent", 1, RoomAction::Delivered(message_id(1))),
            in_room("bank", 1, RoomAction::Unfollow),
            in_room("agent", 1, RoomAction::Displayed(message_id(1))),
            answered(1, tap),
            answered(1, Response::Text("text".to_owned())),
            in_room("agent", 1, RoomAction::Follow),
        ],
    )
    .await;
    assert_eq!(told(store).await, ["unfollowed bank 1"], "the others' is for the information server");
    assert_eq!(store.expire_messages(now() + SignedDuration::from_hours(25)).await.unwrap(), 1);
    act(store, 2, vec![in_room("agent", 1, RoomAction::Unfollow)]).await;
    assert_eq!(store.count_webhook_events(&account("agent")).await.unwrap(), 8);
    assert_eq!(
        posted(store, now() + SignedDuration::from_hours(26)).await,
        [
            "delivered client 1 1",
            "displayed client 1 1",
            "tapped p l {\"body\":\"1 は\"} 1",
            "typed text 1",
            "subscribed 1",
            "expired client 2 true 1",
            "keyword 1",
            "unsubscribed 1",
        ]
    );
    // A message that didn't come by the API has its own name.
    act(store, 3, vec![in_room("agent", 2, RoomAction::Follow)]).await;
    store.enqueue_messages(&account("agent"), &[candidate(9, 2, "x")]).await.unwrap();
    act(store, 4, vec![in_room("agent", 2, RoomAction::Delivered(message_id(9)))]).await;
    let name = format!("delivered {} 2", message_id(9));
    assert_eq!(posted(store, now()).await, ["subscribed 2", &name]);
    assert_eq!(told(store).await, [""; 0]);
}

pub(crate) async fn an_event_that_is_tried_again_holds_back_its_room_alone(store: &dyn CarrierStore) {
    opened(store, 1..3).await;
    let typed =
        |last, text: &str| in_room("agent", last, RoomAction::Responded(Response::Text(text.to_owned())));
    act(store, 1, vec![typed(1, "a"), typed(1, "b"), typed(2, "c")]).await;
    let due = store.list_webhook_events(&account("agent"), now(), 10).await.unwrap();
    assert_eq!(due.len(), 2, "of each room the oldest");
    let later = now() + SignedDuration::from_secs(60);
    store.settle_webhook_events(&[(due[0].sequence, Tried::Again(later))]).await.unwrap();
    act(store, 2, vec![typed(1, "d"), typed(2, "e")]).await;
    assert_eq!(posted(store, now()).await, ["typed c 2", "typed e 2"]);
    let again = store.list_webhook_events(&account("agent"), later, 10).await.unwrap();
    assert_eq!((again.len(), again[0].attempts, again[0].event_id), (1, 1, due[0].event_id));
    assert_eq!(posted(store, later).await, ["typed a 1", "typed b 1", "typed d 1"]);
    assert_eq!(store.list_webhook_events(&account("bank"), later, 10).await.unwrap(), []);
}

pub(crate) async fn a_launch_that_moves_is_told_once(store: &dyn CarrierStore) {
    store.put_agents(&[agent("PENDING")], now()).await.unwrap();
    assert_eq!(posted(store, now()).await, [""; 0], "the first is where it begins");
    for _ in 0..2 {
        store.put_agents(&[agent("LAUNCHED")], now()).await.unwrap();
    }
    assert_eq!(posted(store, now()).await, ["launched PENDING LAUNCHED -"]);
    store.put_agents(&[], now()).await.unwrap();
    act(store, 1, vec![in_room("agent", 1, RoomAction::Follow)]).await;
    assert_eq!(told(store).await, ["followed agent 1"], "an account that speaks no more is as any other");
}

pub(crate) async fn testers_are_twenty_a_day(store: &dyn CarrierStore) {
    opened(store, 1..2).await;
    let (agent, day) = (account("agent"), SignedDuration::from_hours(25));
    for last in 0..u32::try_from(TESTERS_A_DAY).unwrap() {
        assert_eq!(store.put_tester(&agent, number(last), now()).await.unwrap(), Invited::Yes);
    }
    assert_eq!(store.put_tester(&agent, number(50), now()).await.unwrap(), Invited::TooMany);
    assert_eq!(store.put_tester(&agent, number(1), now()).await.unwrap(), Invited::Yes, "is one already");
    assert_eq!(store.put_tester(&agent, number(50), now() + day).await.unwrap(), Invited::Yes);
    assert!(store.is_tester(&agent, number(50)).await.unwrap());
    assert!(!store.is_tester(&agent, number(51)).await.unwrap());
    assert!(!store.is_tester(&account("bank"), number(50)).await.unwrap());
}

pub(crate) async fn keys_files_and_phones_of_agents_are_kept(store: &dyn CarrierStore) {
    opened(store, 1..2).await;
    assert_eq!(store.find_agent_key("k").await.unwrap(), None);
    assert_eq!(store.put_agent_key("k", b"first").await.unwrap(), b"first");
    assert_eq!(store.put_agent_key("k", b"second").await.unwrap(), b"first");
    assert_eq!(store.find_agent_key("k").await.unwrap(), Some(b"first".to_vec()));
    let file =
        AgentFile { name: "files/1".to_owned(), content_type: "image/png".to_owned(), bytes: 5, time: now() };
    store.put_agent_file(&account("agent"), &file).await.unwrap();
    assert_eq!(store.find_agent_file(&account("agent"), "files/1").await.unwrap(), Some(file));
    assert_eq!(store.find_agent_file(&account("bank"), "files/1").await.unwrap(), None);
    let adopted = store.adopt_numbers(&fleet("own"), &[number(1), number(7)]).await.unwrap();
    assert_eq!(adopted, [number(7)], "a number that somebody has stays there");
    assert_eq!(store.adopt_numbers(&fleet("own"), &[number(7)]).await.unwrap(), []);
    assert_eq!(send(store, &[(1, 7, AgentTraffic::Promotion)]).await, [AgentEnqueued::Queued]);
    assert_eq!(waiting(store, "own").await, ["payload 1"]);
    for away in [true, true, false] {
        store.put_away(number(7), away).await.unwrap();
        assert_eq!(store.list_away().await.unwrap(), if away { vec![number(7)] } else { vec![] });
    }
}
