//! Trials over a real store: who is sent what, what is refused before anything is sent, and what a repetition does.

use std::collections::HashMap;

use musubi_domain::id::OfficialAccountId;
use musubi_storage::information::{
    FollowerKey,
    flow::{Scope, Work},
};

use super::*;
use crate::tests::record;

/// Followers 1, 2 and 3 of the bank by their numbers, the first two tied to C1 and C2.
async fn follow(world: &World) {
    let account: OfficialAccountId = "bank".parse().unwrap();
    let mut edit = |work: &mut Work| {
        for (last, customer) in [(1, Some("C1")), (2, Some("C2")), (3, None)] {
            let record = record(last, customer);
            let follower = keyring().follower(&account, &record.phone_number);
            work.followers.insert(FollowerKey { account: account.clone(), follower }, record);
        }
    };
    world.store().work("fixture", &Scope::default(), start(), &mut edit).await.unwrap();
}

/// The number of such a follower, and of somebody who doesn't follow.
fn number(last: u8) -> String {
    record(last, None).phone_number.as_str().to_owned()
}

/// To these, by sato.
fn to(id: &str, request_id: u128, numbers: &[String]) -> wire::TryDistributionRequest {
    wire::TryDistributionRequest {
        request_id: uuid::Uuid::from_u128(request_id).to_string(),
        distribution_id: id.to_owned(),
        phone_numbers: numbers.to_vec(),
        operator: "sato".to_owned(),
    }
}

/// What is told of each follower who was reached: the number, what is sent, how it stands and why.
fn told(trial: &wire::Trial) -> Vec<[&str; 4]> {
    let told = trial.recipients.iter();
    told.map(|it| [&*it.masked_phone_number, &*it.kind, &*it.state, &*it.why_uniform]).collect()
}

#[tokio::test]
async fn a_trial_says_of_each_number_what_was_sent_or_why_nothing() {
    let world = World::new().await;
    follow(&world).await;
    let service = service(&world);
    let id = create(&service, asked()).await.distribution_id;
    upload(&service, "bank", vec![chunk(&id, &[("C1", &["山田", "1234"])])]).await.unwrap();
    // The same number twice is one follower; 9 follows nobody.
    let named = [3, 9, 1, 2, 1].map(number);
    let answer = service.try_distribution(from("bank", to(&id, 1, &named))).await.unwrap().into_inner();
    assert_eq!(answer.not_following, [1]);
    let trial = answer.trial.unwrap();
    assert_eq!((trial.absent, trial.recipients.len(), trial.operator.as_str()), (1, 3, "sato"));
    for [masked, kind, state, _] in told(&trial) {
        assert!(masked.starts_with("+*") && kind == "undecided" && state == "queued", "{:?}", told(&trial));
    }

    let trial_id: DistributionId = trial.trial_id.parse().unwrap();
    let claim = Claim {
        carrier: record(1, None).carrier,
        source: Source::Distribution(trial_id),
        limit: 100,
        now: start(),
        lease_end: start() + SignedDuration::from_mins(1),
        attempts_limit: 3,
    };
    let renderer = Renderer::new(world.store());
    let mut texts = HashMap::new();
    for attempt in world.store().claim(&claim).await.unwrap().attempts {
        let said = renderer.content(trial_id, attempt.purpose, &attempt.values).await.unwrap();
        texts.insert(attempt.phone_number.as_str().to_owned(), said.text);
    }
    assert_eq!(texts[&named[2]], "【テスト配信】\n山田様 1,234円");
    assert_eq!([&texts[&named[0]], &texts[&named[3]]], ["【テスト配信】\nお知らせ"; 2]);
    let request = wire::ListTrialsRequest { distribution_id: id.clone() };
    let listed = service.list_trials(from("bank", request)).await.unwrap().into_inner().trials;
    let whys: Vec<_> = told(&listed[0]).into_iter().map(|[_, kind, _, why]| [kind, why]).collect();
    assert_eq!(whys, [["uniform", "not_confirmed"], ["individual", ""], ["uniform", "no_values"]]);

    // Again: it stands as it stands, whoever asks.
    let again = wire::TryDistributionRequest { operator: "kato".to_owned(), ..to(&id, 1, &named) };
    let again = service.try_distribution(from("bank", again)).await.unwrap().into_inner();
    assert_eq!((again.trial.unwrap().trial_id, again.not_following), (trial.trial_id, vec![1]));
}

#[tokio::test]
async fn a_trial_that_is_wrong_sends_nothing_and_shows_no_number() {
    let world = World::new().await;
    follow(&world).await;
    let service = service(&world);
    let id = create(&service, asked()).await.distribution_id;
    let good = [number(1)];
    for (numbers, field) in [
        (vec![], "phone_numbers"),
        (vec![number(1); 21], "phone_numbers"),
        (vec![number(1), "090-1234-5678".to_owned()], "phone_numbers[1]"),
    ] {
        let error = refusal(service.try_distribution(from("bank", to(&id, 1, &numbers))).await);
        assert_eq!((error.kind, error.field.as_str()), (ErrorKind::InvalidArgument, field));
        assert!(!error.to_string().contains("5678"), "{error}");
    }
    let unnamed = wire::TryDistributionRequest { request_id: "1".to_owned(), ..to(&id, 1, &good) };
    assert_eq!(refusal(service.try_distribution(from("bank", unnamed)).await).field, "request_id");
    let nobodys = wire::TryDistributionRequest { operator: String::new(), ..to(&id, 1, &good) };
    assert_eq!(refusal(service.try_distribution(from("bank", nobodys)).await).field, "operator");
    for id in ["dst_x", &DistributionId::from_bytes([9; 16]).to_string()] {
        let error = refusal(service.try_distribution(from("bank", to(id, 1, &good))).await);
        assert_eq!((error.kind, error.field.as_str()), (ErrorKind::NotFound, "distribution_id"));
    }
    let others = refusal(service.try_distribution(from("power", to(&id, 1, &good))).await);
    assert_eq!(others.kind, ErrorKind::NotFound, "another company's");
    let request = wire::ListTrialsRequest { distribution_id: id };
    assert!(service.list_trials(from("bank", request)).await.unwrap().into_inner().trials.is_empty());
}
