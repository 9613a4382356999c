//! Who calls too often, and what a server counts of what it refused.

use futures::future::join_all;

use super::*;
use crate::grpc::{denials::Denial, pace::CallsConfig, status::retry_after};

const PACED: u32 = 10;

#[tokio::test]
async fn who_calls_too_often_is_told_when_to_come_again_and_every_refusal_is_counted_by_caller() {
    let (folder, authority) = authority();
    let identity = authority.identity(&INFORMATION.parse().unwrap()).unwrap();
    let calls = CallsConfig { node_per_second: PACED, person_per_second: PACED, refusals_every: SHORT };
    let auth = knows().paced(calls);
    let denials = auth.denials();
    let bound = Server::bind(([127, 0, 0, 1], 0)).await.unwrap();
    let node = serve_by(auth, identity, bound, SHORT, (folder, authority));
    let [company, carrier] = [COMPANY, CARRIER].map(|party| node.channel(party));

    say(&company, "refuse").await.unwrap_err();
    say(&company, &"x".repeat(MAX_MESSAGE_BYTES)).await.unwrap_err();
    say(&carrier, "company").await.unwrap_err();
    let answers = join_all((0..PACED * 4).map(|_| say(&company, "who"))).await;
    let refused: Vec<_> = answers.into_iter().filter_map(Result::err).collect();
    assert!(refused.len() > PACED as usize, "{} were refused", refused.len());
    for status in &refused {
        assert_eq!(from_status(status).kind, ErrorKind::ResourceExhausted, "{status}");
        assert!(retry_after(status).is_some_and(|wait| wait.as_secs() < 2), "{status:?}");
    }
    assert_eq!(say(&carrier, "who").await.unwrap(), CARRIER, "another caller goes on");

    let counted = denials.take_all();
    let count = |party: &str, why| {
        let denial = Denial::Refused { caller: party.parse().unwrap(), method: Some("Say"), why };
        counted.get(&denial).copied().unwrap_or_default()
    };
    for (party, why, times) in [
        (COMPANY, "INVALID_ARGUMENT", 1),
        (COMPANY, "OUT_OF_RANGE", 1),
        (CARRIER, "PERMISSION_DENIED", 1),
        (COMPANY, "too often", refused.len() as u64),
    ] {
        assert_eq!(count(party, why), times, "{party} {why}: {counted:?}");
    }
}
