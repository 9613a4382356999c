//! Facts about what outlives the process: one function fills a store, the other looks at it after it was opened again.

use musubi_domain::{
    customer::GivenAccount,
    delivery::{DeliveryState as D, Purpose, Signal},
    guess::{Axis, Count},
    id::{DistributionId, InquiryId},
    identity::{AttestedIdentity, IdentityMethod},
};

use super::{
    Bench, at, attempts, balanced, claim_list, deliver, dialogue_id, dialogues, distribute, follow, follower,
    key, keys, learn, list, load, named, put, request, result, review, state_of, states, tie, tied, unit,
};
use crate::information::{
    delivery::{AttemptOutcome, Source},
    flow::{FollowerRecord, GuessKey, Inquiry, Scope},
};

fn asked() -> FollowerRecord {
    let key = key("bank", 9);
    let mut record = follower(9);
    record.tie = Some(tie(&key, "C9"));
    record.matched.reasons = vec!["name_differs".to_owned()];
    record.former_customer = Some(named("C8"));
    record.review = Some(Box::new(review("bank", 9, 0)));
    record.inquiry = Some(Box::new(Inquiry {
        id: InquiryId::derive(dialogue_id(&key), 0, at(0)),
        company: named("bank"),
        account: GivenAccount { branch_number: Some("001".to_owned()), account_number: "0012345".to_owned() },
        identity: AttestedIdentity {
            method: IdentityMethod::Jpki,
            name: "山田 太郎".to_owned(),
            name_kana: Some("ヤマダ タロウ".to_owned()),
            birth_date: "1980-02-03".to_owned(),
            address: "東京都".to_owned(),
        },
        due_time: at(0),
    }));
    record
}

fn concerned() -> Scope {
    let guess = GuessKey { company: named("bank"), axis: Axis::Account, subject: vec![0, 255] };
    Scope {
        events: Some((named("alpha"), vec!["event".to_owned()])),
        guesses: vec![guess],
        ..Scope::default()
    }
}

/// Puts something of everything into an empty store.
pub(crate) async fn fill(store: &dyn Bench) {
    follow(store, "bank", 1..4).await;
    tied(store, "bank", &[(1, "C1")]).await;
    put(store, vec![(key("bank", 9), asked())]).await;
    unit(store, &concerned(), |work| {
        work.taken = vec!["event".to_owned()];
        let count = Count { charged: 4, window_end: Some(at(9)) };
        work.guesses.extend(concerned().guesses.into_iter().map(|guess| (guess, count)));
    })
    .await;
    assert_eq!(store.claim_inquiries(&named("bank"), at(0), at(60), 1).await.unwrap().len(), 1);
    deliver(store, &keys("bank", 1..4).iter().map(|key| request(key, 0)).collect::<Vec<_>>()).await;
    let started = attempts(store, dialogues("bank"), 0).await;
    learn(store, &[result(&started[0], AttemptOutcome::Known(Signal::Accepted))], 1).await;
    learn(store, &[result(&started[1], AttemptOutcome::Throttled(at(100)))], 1).await;
    let distribution = distribute(store, "bank", 1, &[("C1", "一")]).await;
    assert_eq!(attempts(store, Source::Distribution(distribution), 0).await.len(), 4);
    claim_list(store, &list("bank", "alpha"), 50).await.unwrap();
}

/// All of it is there.
pub(crate) async fn everything_is_there(store: &dyn Bench) {
    balanced(store).await;
    let mut expected = asked();
    expected.inquiry.as_mut().unwrap().due_time = at(60);
    assert!(load(store, keys("bank", [9])).await[&key("bank", 9)] == expected);
    unit(store, &concerned(), |work| {
        assert!(work.seen.contains("event"));
        let count = Count { charged: 4, window_end: Some(at(9)) };
        assert_eq!(work.guesses.values().collect::<Vec<_>>(), [&count]);
    })
    .await;
    assert_eq!(store.claim_inquiries(&named("bank"), at(59), at(99), 1).await.unwrap(), []);
    let requests =
        keys("bank", 1..4).iter().map(|key| (key.clone(), request(key, 0).message_id)).collect::<Vec<_>>();
    assert_eq!(states(store, &requests).await, [D::Accepted, D::Queued, D::Sending]);
    let again = attempts(store, dialogues("bank"), 100).await;
    assert_eq!(
        again.iter().map(|a| (a.message_id, a.attempt)).collect::<Vec<_>>(),
        [(requests[1].1, 2), (requests[2].1, 2)]
    );
    let distribution = DistributionId::from_bytes([1; 16]);
    let source = Source::Distribution(distribution);
    assert_eq!(attempts(store, source.clone(), 59).await, [], "leases hold over a restart");
    let again = attempts(store, source, 60).await;
    assert_eq!(
        (again[0].attempt, again[0].purpose, again[0].values.as_slice()),
        (2, Purpose::Individual, &["一".to_owned()][..])
    );
    assert_eq!(state_of(store, distribution, &key("bank", 2)).await, D::Sending);
    let list = list("bank", "alpha");
    assert_eq!(claim_list(store, &list, 59).await, None);
    assert_eq!(claim_list(store, &list, 60).await.unwrap().epoch, 2);
}
