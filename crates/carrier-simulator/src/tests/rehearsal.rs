//! Facts about faults that are made on purpose: whatever goes wrong, nothing is lost, and who counts by id counts right.

use std::{collections::HashMap, time::Duration};

use musubi_proto::{
    carrier::v1::{SendDecision, SendMessagesRequest},
    information::v1::carrier_event::What,
};
use tonic::Code;

use super::{Carrier, decisions, delivered, displayed, follow, ids, message, typed, unfollow};

#[tokio::test]
async fn lost_doubled_late_and_reordered_events_all_arrive_and_answers_keep_their_order() {
    let carrier = Carrier::start_with(|config| {
        let faults = &mut config.faults;
        (faults.lost_pushes, faults.lost_push_answers) = (0.2, 0.2);
        (faults.duplicated_events, faults.reorder_window) = (0.3, 7);
        faults.push_delay_max = Duration::from_millis(3);
    })
    .await;
    carrier.followed("bank", 0..50).await;
    carrier.send("bank", (0..50).map(|id| message(id + 1, id)).collect()).await;
    let people = |what: fn(u32) -> super::Action| (0..50).map(what).collect::<Vec<_>>();
    carrier
        .act(
            [
                people(|last| delivered("bank", last, last + 1)),
                people(|last| displayed("bank", last, last + 1)),
            ]
            .concat(),
        )
        .await;
    carrier.act(people(|last| typed("bank", last, "1"))).await;
    carrier
        .act(
            [
                people(|last| typed("bank", last, "2")),
                people(|last| unfollow("bank", last)),
                people(|last| follow("bank", last)),
            ]
            .concat(),
        )
        .await;
    let events = carrier.information.events(50 * 7).await;
    assert_eq!(events.len(), 50 * 7);
    let mut order: HashMap<&str, Vec<String>> = HashMap::new();
    for event in &events {
        if !matches!(event.what, Some(What::Receipt(_))) {
            let line = super::information::line(event);
            order.entry(&event.msisdn).or_default().push(line.split(" bank").next().unwrap().to_owned());
        }
    }
    assert!(
        order.values().all(|lines| lines == &["followed", "typed 1", "typed 2", "unfollowed", "followed"])
    );
    assert!(carrier.information.all_events().len() > events.len(), "some came twice");
}

#[tokio::test]
async fn a_lost_call_stores_nothing_and_a_lost_answer_everything() {
    for (calls, answers, again) in [(1.0, 0.0, "ACCEPTED"), (0.0, 1.0, "DUPLICATE")] {
        let carrier = Carrier::start_with(|config| {
            (config.faults.lost_sends, config.faults.lost_send_answers) = (calls, answers);
        })
        .await;
        carrier.followed("bank", 1..2).await;
        let request =
            SendMessagesRequest { official_account: "bank".to_owned(), messages: vec![message(1, 1)] };
        let status = carrier.messages.clone().send_messages(request).await.err().unwrap();
        assert_eq!(status.code(), Code::Unavailable);
        // The restart has no faults.
        let carrier = carrier.crash_and_restart().await;
        assert_eq!(decisions(&carrier.send("bank", vec![message(1, 1)]).await), [again]);
    }
}

#[tokio::test]
async fn a_throttled_message_may_come_again_and_a_refused_one_in_vain() {
    let carrier = Carrier::start_with(|config| {
        (config.faults.refused_messages, config.faults.throttled_messages) = (0.3, 0.5);
    })
    .await;
    carrier.followed("bank", 1..2).await;
    let mut refused = None;
    let mut left: Vec<_> = (1..=100).map(|id| message(id, 1)).collect();
    while !left.is_empty() {
        let verdicts = carrier.send("bank", left.clone()).await;
        for verdict in verdicts.iter().filter(|verdict| verdict.decision() == SendDecision::Throttled) {
            assert_eq!(verdict.retry_after.map(|after| after.seconds), Some(2));
        }
        let count = decisions(&verdicts).iter().filter(|it| **it == "REFUSED").count();
        assert_eq!(*refused.get_or_insert(count), count, "the same ones are refused every time");
        let accepted = |verdict: &&super::SendVerdict| verdict.decision() == SendDecision::Accepted;
        let all = verdicts.iter().filter(accepted).count() == left.len() - count;
        let kept = left.iter().zip(&verdicts).filter(|(_, verdict)| !accepted(verdict));
        left = kept.map(|(message, _)| message.clone()).collect();
        if all {
            break;
        }
    }
    let refused = refused.unwrap();
    assert!((10..60).contains(&refused), "{refused} of 100");
    let mut stream = carrier.receive("fleet").await;
    assert_eq!(ids(&stream.next(100 - refused).await).len(), 100 - refused);
}
