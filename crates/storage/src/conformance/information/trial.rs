//! Facts about trials of distributions.

use musubi_domain::{
    ErrorKind,
    delivery::{DeliveryState, Purpose, Signal},
    distribution::{Command, State},
    id::{DistributionId, FollowerId},
    trial::{AN_HOUR, LABEL},
};
use uuid::Uuid;

use super::{
    Bench, at, attempts, balanced, change, claimed, command, draft, follow, follower, key, learn, named,
    number, put, result, tied, walk,
};
use crate::{
    StoreError,
    information::{
        delivery::{AttemptOutcome, Claim, DueSource, Source},
        trial::{NewTrial, Trial},
    },
};

/// The trial 0xa0 + `request` of a distribution.
fn asked(of: DistributionId, request: u8, lasts: &[u8]) -> NewTrial {
    NewTrial {
        id: DistributionId::from_bytes([0xa0 + request; 16]),
        company: named("bank"),
        of,
        request_id: Uuid::from_u128(1_000 + u128::from(request)),
        digest: [request; 32],
        followers: lasts.iter().map(|last| FollowerId::from_bytes([*last; 16])).collect(),
        operator: named("sato"),
    }
}

fn refusal<T>(outcome: Result<T, StoreError>) -> (ErrorKind, String) {
    match outcome {
        Err(StoreError::Refused(error)) => (error.kind, error.field),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it was not refused"),
    }
}

/// Who of it, what they were sent, how far it came, and why it is the uniform one.
fn told(trial: &Trial) -> Vec<(u8, Purpose, DeliveryState, Option<&'static str>)> {
    let told = trial.recipients.iter();
    told.map(|it| (it.follower.as_bytes()[0], it.purpose, it.state, it.why_uniform)).collect()
}

async fn list(store: &dyn Bench, of: DistributionId, second: i64) -> Vec<Trial> {
    store.list_trials(&named("bank"), of, 10, at(second)).await.unwrap()
}

pub(crate) async fn a_trial_goes_to_who_was_named_and_shows_nobody_anothers(store: &dyn Bench) {
    follow(store, "bank", 1..=7).await;
    tied(store, "bank", &[(1, "C1"), (2, "C2"), (3, "C3"), (4, "C4"), (6, "C6")]).await;
    change(store, &key("bank", 3), |record| record.suspended = true).await;
    change(store, &key("bank", 7), |record| record.following = false).await;
    let values = [("C1", "一"), ("C3", "三"), ("C4", "四"), ("C6", "六")];
    let id = draft(store, "bank", 1, &values, 0).await;
    // Named: C1, C2 without values, C3 suspended, 5 without a tie, 7 who left, 9 who never came. 4 and 6 are not named.
    let trial = store.try_distribution(&asked(id, 1, &[5, 1, 2, 3, 7, 9]), at(1)).await.unwrap();
    assert_eq!((trial.absent, trial.operator.as_str(), trial.create_time), (2, "sato", at(1)));
    assert_eq!(trial.expire_time, at(601));
    assert_eq!(trial.recipients.iter().map(|it| it.number).collect::<Vec<_>>(), [5, 1, 2, 3].map(number));
    assert!(told(&trial).iter().all(|it| (it.1, it.2) == (Purpose::Undecided, DeliveryState::Queued)));
    balanced(store).await;

    let sent = attempts(store, Source::Distribution(trial.id), 2).await;
    let said: Vec<_> =
        sent.iter().map(|it| (it.key.follower.as_bytes()[0], it.purpose, it.values.join(""))).collect();
    let uniform = |last| (last, Purpose::Uniform, String::new());
    assert_eq!(said, [(1, Purpose::Individual, "一".to_owned()), uniform(2), uniform(3), uniform(5)]);
    let templates = store.get_templates(trial.id).await.unwrap();
    for text in [templates.uniform.text(), templates.individual.as_ref().unwrap().text()] {
        assert!(text.starts_with(LABEL), "{text}");
    }
    let delivered = AttemptOutcome::Known(Signal::Delivered);
    learn(store, &[result(&sent[0], delivered)], 3).await;
    let sending = DeliveryState::Sending;
    assert_eq!(
        told(&list(store, id, 3).await[0]),
        [
            (5, Purpose::Uniform, sending, Some("not_confirmed")),
            (1, Purpose::Individual, DeliveryState::Delivered, None),
            (2, Purpose::Uniform, sending, Some("no_values")),
            (3, Purpose::Uniform, sending, Some("by_company")),
        ]
    );
    let line = format!(
        "bank - - distribution_tried {id} as {}, 4 followers, 2 who do not follow, by sato",
        trial.id
    );
    assert!(store.audits().await.contains(&line), "{:#?}", store.audits().await);
}

pub(crate) async fn the_same_trial_again_sends_nothing_again(store: &dyn Bench) {
    follow(store, "bank", 1..=2).await;
    let id = draft(store, "bank", 1, &[], 0).await;
    let new = asked(id, 1, &[1, 2]);
    let trial = store.try_distribution(&new, at(1)).await.unwrap();
    let sent = attempts(store, Source::Distribution(trial.id), 2).await;
    learn(store, &[result(&sent[0], AttemptOutcome::Known(Signal::Accepted))], 3).await;
    let again = NewTrial { id: DistributionId::from_bytes([0xbb; 16]), ..new.clone() };
    let again = store.try_distribution(&again, at(4)).await.unwrap();
    assert_eq!((again.id, again.create_time), (trial.id, at(1)));
    assert_eq!(again.recipients[0].state, DeliveryState::Accepted, "as it stands");
    assert_eq!(attempts(store, Source::Distribution(trial.id), 5).await, []);
    let other = NewTrial { digest: [9; 32], ..new };
    let used = (ErrorKind::AlreadyExists, "request_id".to_owned());
    assert_eq!(refusal(store.try_distribution(&other, at(6)).await), used);
    // A draft's request is no trial's.
    let drafts = NewTrial { request_id: Uuid::from_u128(1), ..asked(id, 2, &[1]) };
    assert_eq!(refusal(store.try_distribution(&drafts, at(6)).await), used);
    assert_eq!(list(store, id, 6).await.len(), 1);
}

pub(crate) async fn a_trial_counts_for_nothing_and_is_no_distribution(store: &dyn Bench) {
    follow(store, "bank", 1..=3).await;
    let id = draft(store, "bank", 1, &[], 0).await;
    let trial = store.try_distribution(&asked(id, 1, &[1]), at(0)).await.unwrap();
    let sent = attempts(store, Source::Distribution(trial.id), 0).await;
    assert_eq!(sent.len(), 1);
    let bank = named("bank");
    let listed = store.list_distributions(&bank, (None, None), 10).await.unwrap();
    assert_eq!(listed.iter().map(|it| it.id).collect::<Vec<_>>(), [id]);
    assert_eq!((listed[0].state, listed[0].deliveries.as_slice()), (State::Draft, &[][..]));
    for found in [
        store.get_distribution(&bank, trial.id).await.map(drop),
        store.preview_distribution(&bank, trial.id, &named("sato"), at(1)).await.map(drop),
        store.put_values(&bank, trial.id, &[], (&named("sato"), at(1))).await.map(drop),
        store.command_distribution(&bank, trial.id, &super::order(Command::Cancel), at(1)).await.map(drop),
        store.list_trials(&bank, trial.id, 10, at(1)).await.map(drop),
        store.try_distribution(&asked(trial.id, 2, &[1]), at(1)).await.map(drop),
    ] {
        assert_eq!(refusal(found).0, ErrorKind::NotFound);
    }
    // The distribution itself reaches everybody, who got the trial, too.
    command(store, "bank", id, Command::Start).await;
    assert_eq!(walk(store, id, 100, 0).await.0, 3);
    // And the trial ends by itself.
    learn(store, &[result(&sent[0], AttemptOutcome::Known(Signal::Accepted))], 2).await;
    assert_eq!(store.complete_finished(at(3)).await.unwrap(), [trial.id]);
}

pub(crate) async fn a_trial_is_over_soon(store: &dyn Bench) {
    follow(store, "bank", 1..=2).await;
    put(
        store,
        vec![(
            key("bank", 3),
            crate::information::flow::FollowerRecord { carrier: named("beta"), ..follower(3) },
        )],
    )
    .await;
    let id = draft(store, "bank", 1, &[], 0).await;
    let trial = store.try_distribution(&asked(id, 1, &[1, 3]), at(0)).await.unwrap();
    let beta = Claim { carrier: named("beta"), ..super::claim(Source::Distribution(trial.id), 1) };
    let due: Vec<DueSource> = store.due(&named("beta"), 10, at(1)).await.unwrap();
    assert_eq!(due.iter().map(|it| it.count).collect::<Vec<_>>(), [1]);
    change(store, &key("bank", 1), |record| record.following = false).await;
    assert_eq!(attempts(store, Source::Distribution(trial.id), 1).await, [], "the gate is shut");
    // Beta doesn't take it in time.
    store.expire_overdue(10, at(599)).await.unwrap();
    assert_eq!(told(&list(store, id, 599).await[0])[1].2, DeliveryState::Queued);
    assert_eq!(claimed(store, &Claim { now: at(600), ..beta }).await.attempts, []);
    let states: Vec<_> = told(&list(store, id, 600).await[0]).iter().map(|it| it.2).collect();
    assert_eq!(states, [DeliveryState::Revoked, DeliveryState::Expired]);
    assert_eq!(store.complete_finished(at(601)).await.unwrap(), [trial.id]);
}

pub(crate) async fn only_what_is_not_sent_is_tried_and_not_too_often(store: &dyn Bench) {
    follow(store, "bank", 1..=2).await;
    let id = draft(store, "bank", 1, &[], 0).await;
    let other = draft(store, "power", 2, &[], 0).await;
    assert_eq!(refusal(store.try_distribution(&asked(other, 1, &[1]), at(0)).await).0, ErrorKind::NotFound);
    assert_eq!(refusal(store.list_trials(&named("bank"), other, 10, at(0)).await).0, ErrorKind::NotFound);
    for request in 0..u8::try_from(AN_HOUR).unwrap() {
        store.try_distribution(&asked(id, request, &[1]), at(i64::from(request))).await.unwrap();
    }
    let one_more = asked(id, 40, &[1]);
    assert_eq!(refusal(store.try_distribution(&one_more, at(3_599)).await).0, ErrorKind::ResourceExhausted);
    store.try_distribution(&one_more, at(3_600)).await.unwrap();
    assert_eq!(list(store, id, 3_600).await[0].id, one_more.id, "newest first");
    command(store, "bank", id, Command::Submit).await;
    store.try_distribution(&asked(id, 43, &[1]), at(7_200)).await.unwrap();
    command(store, "bank", id, Command::Start).await;
    let refused = store.try_distribution(&asked(id, 41, &[1]), at(7_200)).await;
    assert_eq!(refusal(refused).0, ErrorKind::FailedPrecondition);
    // One that waits for its time is not sent yet.
    let later = draft(store, "bank", 3, &[], 9_000).await;
    command(store, "bank", later, Command::Start).await;
    let trial = store.try_distribution(&asked(later, 42, &[2]), at(7_201)).await.unwrap();
    assert_eq!(trial.recipients.len(), 1);
}
