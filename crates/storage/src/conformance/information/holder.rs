//! Facts about whose carrier is to be asked, and about carriers that reach nobody.

use musubi_domain::{
    delivery::{DeliveryState as D, Purpose},
    silence::{Doubt, Holder, Silence},
};

use super::{
    Bench, at, attempts, balanced, change, deliver, dialogues, distribute, follow, key, keys, learn, load,
    named, number, request, result, states, tied,
};
use crate::information::{
    FollowerKey,
    delivery::{AttemptOutcome, Source},
    flow::FollowerRecord,
    holder::ToAsk,
};

fn holder(record: &FollowerRecord) -> Holder {
    record.tie.as_ref().unwrap().tie.holder
}

/// Makes a tie due to be asked about at this second.
async fn due_at(store: &dyn Bench, key: &FollowerKey, second: i64) {
    change(store, key, |record| record.tie.as_mut().unwrap().tie.holder.ask_time = Some(at(second))).await;
}

/// Claims with a lease of a minute; by follower.
async fn claim(store: &dyn Bench, second: i64, limit: u32) -> Vec<ToAsk> {
    let mut claimed = store.claim_holders(at(second), at(second + 60), limit).await.unwrap();
    claimed.sort_by(|one, other| one.key.cmp(&other.key));
    claimed
}

fn lasts(claimed: &[ToAsk]) -> Vec<(&str, u8)> {
    claimed.iter().map(|it| (it.key.account.as_str(), it.key.follower.as_bytes()[0])).collect()
}

pub(crate) async fn holders_are_due_in_order_up_to_the_limit_and_leased(store: &dyn Bench) {
    for account in ["bank", "power"] {
        follow(store, account, 1..=4).await;
    }
    tied(store, "bank", &[(1, "C1"), (2, "C2"), (3, "C3")]).await;
    tied(store, "power", &[(1, "C1")]).await;
    for (key, second) in [(key("bank", 1), 20), (key("bank", 2), 10), (key("power", 1), 11)] {
        due_at(store, &key, second).await;
    }
    assert_eq!(claim(store, 9, 10).await, [], "nothing is due before its time");
    assert_eq!(lasts(&claim(store, 30, 2).await), [("bank", 2), ("power", 1)]);
    let claimed = claim(store, 30, 2).await;
    let proved = Silence::of_days(30).proved(at(0));
    let expected = ToAsk {
        key: key("bank", 1),
        phone_number: number(1),
        carrier: named("alpha"),
        tie: super::tie(&key("bank", 1), "C1").tie.id,
        holder: Holder { ask_time: Some(at(90)), ..proved },
    };
    assert_eq!(claimed, [expected]);
    assert_eq!(holder(&load(store, keys("bank", [1])).await[&key("bank", 1)]), claimed[0].holder);
    assert_eq!(claim(store, 89, 10).await, []);
    assert_eq!(claim(store, 90, 10).await.len(), 3, "leases end");
}

pub(crate) async fn an_expired_tie_is_asked_about_no_more(store: &dyn Bench) {
    follow(store, "bank", [1]).await;
    tied(store, "bank", &[(1, "C1")]).await;
    due_at(store, &key("bank", 1), 10).await;
    change(store, &key("bank", 1), |record| record.tie.as_mut().unwrap().tie.expire_time = at(20)).await;
    assert_eq!(claim(store, 20, 10).await, []);
    assert_eq!(holder(&load(store, keys("bank", [1])).await[&key("bank", 1)]).ask_time, None);
}

pub(crate) async fn who_is_not_reached_is_suspended_with_the_refusal_and_told_once(store: &dyn Bench) {
    follow(store, "bank", 1..=3).await;
    tied(store, "bank", &[(1, "C1"), (2, "C2")]).await;
    let asked: Vec<_> = keys("bank", 1..=3).iter().map(|key| request(key, 0)).collect();
    deliver(store, &asked).await;
    let started = attempts(store, dialogues("bank"), 0).await;
    let results = [
        result(&started[0], AttemptOutcome::Unreachable),
        result(&started[1], AttemptOutcome::Known(musubi_domain::delivery::Signal::Rejected)),
        result(&started[2], AttemptOutcome::Unreachable),
    ];
    for second in [5, 6] {
        learn(store, &results, second).await;
    }
    let ids: Vec<_> = asked.into_iter().map(|new| (new.key, new.message_id)).collect();
    assert_eq!(states(store, &ids).await, [D::Rejected; 3]);
    let followers = load(store, keys("bank", 1..=3)).await;
    let doubted = Silence::of_days(30).proved(at(0)).doubted(Doubt::Refused, at(5));
    assert_eq!(holder(&followers[&key("bank", 1)]), doubted, "not reached");
    assert_eq!(holder(&followers[&key("bank", 2)]).doubt, None, "refused for another reason");
    assert!(followers[&key("bank", 3)].tie.is_none(), "who has no tie gets none");
    let told: Vec<_> =
        store.audits().await.into_iter().filter(|line| line.contains("tie suspended")).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("bank bank 0101") && told[0].ends_with("refused"), "{told:?}");

    // Uniform goes, individual does not, and the carrier is to be asked at once.
    let id = distribute(store, "bank", 1, &[("C1", "一"), ("C2", "二")]).await;
    let said: Vec<_> =
        attempts(store, Source::Distribution(id), 7).await.into_iter().map(|it| it.purpose).collect();
    assert_eq!(said, [Purpose::Uniform, Purpose::Individual, Purpose::Uniform]);
    assert_eq!(lasts(&claim(store, 5, 10).await), [("bank", 1)]);
    balanced(store).await;
}
