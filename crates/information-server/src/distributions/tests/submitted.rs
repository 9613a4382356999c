//! A distribution that is submitted, sent back and started by another than who prepared it, over a real store.

use super::*;

#[tokio::test]
async fn who_prepared_a_distribution_to_many_submits_it_and_another_starts_it() {
    let world = World::new().await;
    world.follow("power", &[None, None, None]).await;
    let service = service(&world);
    let operator = |name: &str| name.to_owned();
    let draft = wire::CreateDistributionRequest { official_account: "power".to_owned(), ..asked() };
    let made = service.create_distribution(from("power", draft.clone())).await.unwrap().into_inner();
    let made = made.distribution.unwrap();
    let others = wire::CreateDistributionRequest { operator: operator("kato"), ..draft };
    let same = service.create_distribution(from("power", others)).await.unwrap().into_inner();
    assert!(same.distribution.unwrap() == made, "the same is the same, whoever asks");
    assert_eq!(made.prepared_by, ["sato"]);
    let values = [("C1", &["山田", "100"][..])];
    let named = |name: &str| {
        let chunk = chunk(&made.distribution_id, &values);
        wire::UploadValuesRequest { operator: operator(name), ..chunk }
    };
    let error = refusal(upload(&service, "power", vec![named("kato"), named("sato")]).await);
    assert_eq!(error.field, "operator", "a stream is one person's");
    let error = refusal(upload(&service, "power", vec![named("")]).await);
    assert_eq!(error.field, "operator");
    let start = |name: &str| {
        let distribution_id = made.distribution_id.clone();
        let operator = operator(name);
        from("power", wire::StartDistributionRequest { distribution_id, operator, submit_time: None })
    };
    let shown = async || {
        let request = wire::GetDistributionRequest { distribution_id: made.distribution_id.clone() };
        service.get_distribution(from("power", request)).await.unwrap().into_inner()
    };
    for who in ["sato", "kato"] {
        let error = refusal(service.start_distribution(start(who)).await);
        assert_eq!((error.kind, &*error.field), (ErrorKind::FailedPrecondition, "operator"), "{error}");
    }
    let error = refusal(service.start_distribution(start("ito")).await);
    assert_eq!((error.kind, &*error.field), (ErrorKind::FailedPrecondition, ""), "{error}");
    assert!(error.remedy.contains("submit it first") && shown().await.needs_second_person, "{error}");
    let submit = wire::SubmitDistributionRequest {
        distribution_id: made.distribution_id.clone(),
        operator: operator("sato"),
    };
    service.submit_distribution(from("power", submit)).await.unwrap();
    let stands = shown().await.distribution.unwrap();
    assert_eq!((state_of(&stands), &*stands.submitted_by), ("DISTRIBUTION_STATE_SUBMITTED", "sato"));
    let looked_at = |seconds: i64| {
        let mut request = start("ito");
        let submit_time = timestamp(crate::tests::start() + SignedDuration::from_secs(seconds));
        request.get_mut().submit_time = Some(submit_time);
        request
    };
    assert_eq!(stands.submit_time, looked_at(0).get_ref().submit_time);
    let error = refusal(service.start_distribution(looked_at(1)).await);
    assert_eq!((error.kind, &*error.field), (ErrorKind::FailedPrecondition, "submit_time"), "{error}");
    let started = service.start_distribution(looked_at(0)).await.unwrap().into_inner().distribution.unwrap();
    assert_eq!(started.state().as_str_name(), "DISTRIBUTION_STATE_RUNNING");
    assert_eq!(started.prepared_by, ["kato", "sato"]);
    assert!(!shown().await.needs_second_person, "it waits for nobody");
    let list = async |state: wire::DistributionState| {
        let request = wire::ListDistributionsRequest { state: state.into(), ..Default::default() };
        service.list_distributions(from("power", request)).await.unwrap().into_inner().distributions.len()
    };
    let listed =
        [list(wire::DistributionState::Running).await, list(wire::DistributionState::Submitted).await];
    assert_eq!(listed, [1, 0]);
}
