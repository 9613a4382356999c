//! Facts about crashes, and about an information server that is away.

use musubi_proto::carrier::v1::ListVerificationKeysRequest;
use uuid::Uuid;

use super::{Carrier, decisions, delivered, eventually, follow, ids, message, typed, unfollow};

#[tokio::test]
async fn a_crash_loses_nothing_and_doubles_nothing() {
    let carrier = Carrier::start().await;
    carrier.followed("bank", 1..4).await;
    carrier.send("bank", vec![message(1, 1), message(2, 2), message(3, 3)]).await;
    let batch = vec![delivered("bank", 1, 1), unfollow("bank", 2)];
    carrier.submit(Uuid::from_u128(1), batch.clone()).await.unwrap();
    let keys = |carrier: &Carrier| {
        let mut client = carrier.keys.clone();
        async move {
            client.list_verification_keys(ListVerificationKeysRequest {}).await.unwrap().into_inner().keys
        }
    };
    let before = keys(&carrier).await;

    let carrier = carrier.crash_and_restart().await;
    assert!(keys(&carrier).await == before, "the authorities keep their keys");
    assert!(!carrier.submit(Uuid::from_u128(1), batch).await.unwrap());
    let again = carrier.send("bank", vec![message(1, 1), message(2, 2), message(3, 3), message(4, 2)]).await;
    assert_eq!(decisions(&again), ["DUPLICATE", "DUPLICATE", "DUPLICATE", "UNREACHABLE"]);
    assert_eq!(ids(&carrier.receive("fleet").await.next(1).await), ["3"]);
    let lines = carrier.information.lines(6).await;
    assert_eq!(lines[3..], ["delivered 1 bank 1", "unfollowed bank 2", "revoked 2 bank 2"]);
}

#[tokio::test]
async fn what_could_not_be_told_is_told_later_also_after_a_crash() {
    let carrier = Carrier::start().await;
    carrier.information.set_away(true);
    carrier.followed("bank", 1..3).await;
    eventually(|| async { (carrier.information.calls() > 1).then_some(()) }).await;
    let carrier = carrier.crash_and_restart().await;
    carrier.act(vec![typed("bank", 1, "later")]).await;
    assert!(carrier.information.all_events().is_empty());
    carrier.information.set_away(false);
    let lines = carrier.information.lines(3).await;
    assert_eq!(lines, ["followed bank 1", "followed bank 2", "typed later bank 1"]);
}

#[tokio::test]
async fn what_is_refused_for_good_is_dropped_and_what_follows_is_told() {
    let carrier = Carrier::start().await;
    carrier.information.set_refuse(true);
    carrier.followed("bank", 1..3).await;
    eventually(|| async { (carrier.information.calls() > 0).then_some(()) }).await;
    carrier.information.set_refuse(false);
    carrier.act(vec![follow("bank", 3)]).await;
    assert_eq!(carrier.information.lines(1).await, ["followed bank 3"]);
}
