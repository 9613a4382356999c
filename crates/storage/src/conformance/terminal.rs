//! Facts about every terminal store.

use jiff::Timestamp;

use crate::terminal::{
    Advance, Batch, Bytes, Line, NewBatch, NewLine, Outbox, Reception, Sender, TalkRoom, Tally, TerminalStore,
};

/// Runs every fact on a backend; `$open` gives a fresh empty store and what has to live as long as it.
macro_rules! terminal_store_suite {
    ($open:expr) => {
        crate::conformance::terminal::terminal_store_suite!($open;
            talk_rooms_are_listed_as_they_came,
            talk_rooms_that_come_at_the_same_time_follow_one_another,
            a_talk_room_that_is_there_keeps_its_story_and_nothing_of_its_batch_is_added,
            lines_stand_in_the_order_shown,
            a_message_is_shown_once_in_a_talk_room,
            a_reception_is_recorded_whole_or_not_at_all,
            the_last_name_of_a_sender_stands,
            batches_go_out_in_order_to_each_carrier,
            a_batch_that_is_not_due_waits_and_lets_others_pass,
            a_batch_that_is_taken_out_advances_its_stories_once,
            counts_add_up,
        );
    };
    ($open:expr; $($fact:ident,)+) => {
        $(
            #[tokio::test]
            async fn $fact() {
                let (store, _alive) = $open.await;
                crate::conformance::terminal::$fact(&store).await;
            }
        )+
    };
}
pub(crate) use terminal_store_suite;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn bytes(text: &str) -> Bytes {
    Bytes(text.as_bytes().to_vec())
}

fn room(phone_number: &str, official_account: &str) -> TalkRoom {
    TalkRoom {
        talk_room: 0,
        phone_number: phone_number.parse().unwrap(),
        official_account: official_account.parse().unwrap(),
        carrier: "kumo".parse().unwrap(),
        step: 0,
        story: bytes(&format!("物語 {phone_number}")),
    }
}

fn batch(carrier: &str, request: &str) -> NewBatch {
    NewBatch {
        carrier: carrier.parse().unwrap(),
        kind: 2,
        actions: 3,
        due_time: None,
        request: bytes(request),
    }
}

fn line(talk_room: i64, message_id: Option<&str>, content: &str) -> NewLine {
    let message_id = message_id.map(str::to_owned);
    NewLine { talk_room, line: Line { line_time: at(talk_room), message_id, content: bytes(content) } }
}

/// Two numbers, of which the first follows two accounts; numbered 1 to 3 from the first added.
async fn three_rooms(store: &dyn TerminalStore) -> i64 {
    let rooms = [room("+818000000002", "bank"), room("+818000000001", "shop"), room("+818000000001", "bank")];
    store.add_talk_rooms(&rooms, &[]).await.unwrap()
}

async fn steps(store: &dyn TerminalStore) -> Vec<(i64, u8)> {
    let rooms = store.list_talk_rooms(0, None, 100).await.unwrap();
    rooms.iter().map(|room| (room.talk_room, room.step)).collect()
}

/// The request of the next batch, which is then taken out.
async fn sent(store: &dyn TerminalStore, carrier: &str, now: Timestamp) -> Option<Bytes> {
    match store.next_batch(&carrier.parse().unwrap(), now).await.unwrap() {
        Outbox::Due(batch) => {
            store.finish_batch(batch.batch, &[], 0).await.unwrap();
            Some(batch.request)
        }
        Outbox::Later(_) | Outbox::Empty => None,
    }
}

pub(crate) async fn talk_rooms_are_listed_as_they_came(store: &dyn TerminalStore) {
    let first = three_rooms(store).await;
    let all = store.list_talk_rooms(0, None, 100).await.unwrap();
    let due = [
        TalkRoom { talk_room: first, ..room("+818000000002", "bank") },
        TalkRoom { talk_room: first + 1, ..room("+818000000001", "shop") },
        TalkRoom { talk_room: first + 2, ..room("+818000000001", "bank") },
    ];
    assert_eq!(all, due);
    assert_eq!(store.list_talk_rooms(0, None, 2).await.unwrap(), due[..2]);
    assert_eq!(store.list_talk_rooms(first + 1, None, 2).await.unwrap(), due[2..]);
    let only = Some(&due[1].phone_number);
    assert_eq!(store.list_talk_rooms(0, only, 100).await.unwrap(), due[1..]);
    assert_eq!(store.list_talk_rooms(first + 1, only, 100).await.unwrap(), due[2..]);
    assert_eq!(store.list_talk_rooms(first + 2, only, 100).await.unwrap(), []);
    let next = store.add_talk_rooms(&[room("+818000000003", "bank")], &[]).await.unwrap();
    assert_eq!(next, first + 3);
}

pub(crate) async fn talk_rooms_that_come_at_the_same_time_follow_one_another(store: &dyn TerminalStore) {
    let rooms =
        |digit: u32| [1, 2].map(|last| room(&format!("+81800000000{digit}"), &format!("bank-{last}")));
    let [one, two, three] = [rooms(1), rooms(2), rooms(3)];
    let batches = [batch("kumo", "a"), batch("kumo", "b")];
    let (a, b, c) = tokio::join!(
        store.add_talk_rooms(&one, &batches),
        store.add_talk_rooms(&two, &batches),
        store.add_talk_rooms(&three, &batches)
    );
    let mut firsts = [(a.unwrap(), one), (b.unwrap(), two), (c.unwrap(), three)];
    firsts.sort_by_key(|(first, _)| *first);
    let due: Vec<_> = (firsts[0].0..).zip(firsts.into_iter().flat_map(|(_, rooms)| rooms)).collect();
    let listed = store.list_talk_rooms(0, None, 100).await.unwrap();
    let due: Vec<_> = due.into_iter().map(|(talk_room, room)| TalkRoom { talk_room, ..room }).collect();
    assert_eq!(listed, due);
    for request in ["a", "b", "a", "b", "a", "b"] {
        assert_eq!(sent(store, "kumo", at(0)).await, Some(bytes(request)));
    }
}

pub(crate) async fn a_talk_room_that_is_there_keeps_its_story_and_nothing_of_its_batch_is_added(
    store: &dyn TerminalStore,
) {
    three_rooms(store).await;
    let other = TalkRoom { story: bytes("another"), ..room("+818000000001", "bank") };
    let refused = store.add_talk_rooms(&[room("+818000000009", "bank"), other], &[batch("kumo", "a")]).await;
    assert!(refused.is_err());
    let rooms = store.list_talk_rooms(0, None, 100).await.unwrap();
    assert_eq!(rooms.len(), 3);
    assert_eq!(rooms[2].story, room("+818000000001", "bank").story);
    assert_eq!(sent(store, "kumo", at(0)).await, None);
}

pub(crate) async fn lines_stand_in_the_order_shown(store: &dyn TerminalStore) {
    let first = three_rooms(store).await;
    let shown = [
        line(first + 1, Some("z"), "質問"),
        line(first, Some("m"), ""),
        line(first + 1, None, "はい"),
        line(first + 1, None, "はい"),
    ];
    store.receive(&Reception { lines: shown.to_vec(), ..Reception::default() }).await.unwrap();
    let later = line(first + 1, Some("a"), "結果");
    store.receive(&Reception { lines: vec![later.clone()], ..Reception::default() }).await.unwrap();
    let [question, empty, first_yes, second_yes] = shown;
    let due = [empty, question, first_yes, second_yes, later];
    assert_eq!(store.list_lines(&[first + 1, first, first + 2]).await.unwrap(), due);
    assert_eq!(store.list_lines(&[first]).await.unwrap(), due[..1]);
    assert_eq!(store.list_lines(&[]).await.unwrap(), []);
}

pub(crate) async fn a_message_is_shown_once_in_a_talk_room(store: &dyn TerminalStore) {
    let first = three_rooms(store).await;
    let once = Reception { lines: vec![line(first, Some("m"), "質問")], ..Reception::default() };
    store.receive(&once).await.unwrap();
    assert!(store.receive(&once).await.is_err());
    assert_eq!(store.list_lines(&[first]).await.unwrap(), once.lines);
    let asked = [(first, "n"), (first, "m"), (first + 1, "m"), (first, "m")];
    let mut found = store.find_shown(&asked).await.unwrap();
    found.sort_unstable();
    assert_eq!(found, [1, 3]);
    let elsewhere = Reception { lines: vec![line(first + 1, Some("m"), "質問")], ..Reception::default() };
    store.receive(&elsewhere).await.unwrap();
    assert_eq!(store.find_shown(&[(first + 1, "m")]).await.unwrap(), [0]);
}

pub(crate) async fn a_reception_is_recorded_whole_or_not_at_all(store: &dyn TerminalStore) {
    let first = three_rooms(store).await;
    let name = Sender {
        carrier: "kumo".parse().unwrap(),
        official_account: "bank".parse().unwrap(),
        display_name: "銀行".to_owned(),
    };
    let whole = Reception {
        lines: vec![line(first, Some("m"), "質問")],
        advances: vec![Advance { talk_room: first, step: 12 }],
        batches: vec![batch("kumo", "a"), batch("kumo", "b")],
        senders: vec![name.clone()],
        tally: Tally { shown: 1, tapped: 1, ..Tally::default() },
    };
    store.receive(&whole).await.unwrap();
    let torn = Reception {
        lines: vec![line(first, Some("n"), "x"), line(first, Some("m"), "y")],
        advances: vec![Advance { talk_room: first, step: 28 }],
        batches: vec![batch("kumo", "c")],
        senders: vec![Sender { display_name: "他".to_owned(), ..name.clone() }],
        tally: Tally { shown: 2, ..Tally::default() },
    };
    assert!(store.receive(&torn).await.is_err());
    assert_eq!(store.list_lines(&[first]).await.unwrap(), whole.lines);
    assert_eq!(steps(store).await, [(first, 12), (first + 1, 0), (first + 2, 0)]);
    assert_eq!(store.list_senders().await.unwrap(), [name]);
    assert_eq!(store.get_tally().await.unwrap(), (whole.tally, 6));
    assert_eq!(sent(store, "kumo", at(0)).await, Some(bytes("a")));
    assert_eq!(sent(store, "kumo", at(0)).await, Some(bytes("b")));
    assert_eq!(sent(store, "kumo", at(0)).await, None);
}

pub(crate) async fn the_last_name_of_a_sender_stands(store: &dyn TerminalStore) {
    let name = |carrier: &str, name: &str| Sender {
        carrier: carrier.parse().unwrap(),
        official_account: "bank".parse().unwrap(),
        display_name: name.to_owned(),
    };
    for senders in [vec![name("kumo", "旧"), name("nami", "波")], vec![name("kumo", "新")]] {
        store.receive(&Reception { senders, ..Reception::default() }).await.unwrap();
    }
    let mut senders = store.list_senders().await.unwrap();
    senders.sort_by(|a, b| a.carrier.cmp(&b.carrier));
    assert_eq!(senders, [name("kumo", "新"), name("nami", "波")]);
}

pub(crate) async fn batches_go_out_in_order_to_each_carrier(store: &dyn TerminalStore) {
    let first = [batch("kumo", "a"), batch("nami", "b")];
    store.add_talk_rooms(&[room("+818000000001", "bank")], &first).await.unwrap();
    store.receive(&Reception { batches: vec![batch("kumo", "c")], ..Reception::default() }).await.unwrap();
    let kumo = "kumo".parse().unwrap();
    let next = store.next_batch(&kumo, at(0)).await.unwrap();
    let Outbox::Due(Batch { kind: 2, actions: 3, .. }) = next else { panic!("{next:?}") };
    assert_eq!(store.next_batch(&kumo, at(0)).await.unwrap(), next, "it stays until it is taken out");
    assert_eq!(sent(store, "kumo", at(0)).await, Some(bytes("a")));
    assert_eq!(sent(store, "kumo", at(0)).await, Some(bytes("c")));
    assert_eq!(sent(store, "kumo", at(0)).await, None);
    assert_eq!(sent(store, "nami", at(0)).await, Some(bytes("b")));
}

pub(crate) async fn a_batch_that_is_not_due_waits_and_lets_others_pass(store: &dyn TerminalStore) {
    let kumo = "kumo".parse().unwrap();
    assert_eq!(store.next_batch(&kumo, at(0)).await.unwrap(), Outbox::Empty);
    let late = |second, request| NewBatch { due_time: Some(at(second)), ..batch("kumo", request) };
    let batches = vec![late(9, "late"), late(5, "soon"), batch("kumo", "now")];
    store.receive(&Reception { batches, ..Reception::default() }).await.unwrap();
    assert_eq!(sent(store, "kumo", at(0)).await, Some(bytes("now")));
    assert_eq!(store.next_batch(&kumo, at(4)).await.unwrap(), Outbox::Later(at(5)));
    assert_eq!(sent(store, "kumo", at(5)).await, Some(bytes("soon")));
    assert_eq!(store.next_batch(&kumo, at(8)).await.unwrap(), Outbox::Later(at(9)));
    assert_eq!(sent(store, "kumo", at(10)).await, Some(bytes("late")));
}

pub(crate) async fn a_batch_that_is_taken_out_advances_its_stories_once(store: &dyn TerminalStore) {
    let first = three_rooms(store).await;
    let batches = vec![batch("kumo", "a")];
    store.receive(&Reception { batches, ..Reception::default() }).await.unwrap();
    let Outbox::Due(next) = store.next_batch(&"kumo".parse().unwrap(), at(0)).await.unwrap() else {
        panic!("nothing is due")
    };
    store.finish_batch(next.batch, &[Advance { talk_room: first, step: 4 }], 2).await.unwrap();
    store.finish_batch(next.batch, &[Advance { talk_room: first, step: 8 }], 2).await.unwrap();
    assert_eq!(steps(store).await, [(first, 4), (first + 1, 0), (first + 2, 0)]);
    assert_eq!(store.get_tally().await.unwrap(), (Tally { refused: 2, ..Tally::default() }, 0));
    let batches = vec![batch("kumo", "b")];
    store.receive(&Reception { batches, ..Reception::default() }).await.unwrap();
    store.finish_batch(next.batch, &[], 0).await.unwrap();
    assert_eq!(
        sent(store, "kumo", at(0)).await,
        Some(bytes("b")),
        "a number in the outbox is never used again"
    );
}

pub(crate) async fn counts_add_up(store: &dyn TerminalStore) {
    let tally = Tally { shown: 1, repeated: 2, tapped: 3, typed: 4, pages: 5, refused: 6 };
    for _ in 0..2 {
        store.receive(&Reception { tally, ..Reception::default() }).await.unwrap();
    }
    let due = Tally { shown: 2, repeated: 4, tapped: 6, typed: 8, pages: 10, refused: 12 };
    assert_eq!(store.get_tally().await.unwrap(), (due, 0));
}
