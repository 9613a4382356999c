//! Trials of distributions, and what an auditor reads of the information-management server's audit, through either door.

use musubi_domain::ErrorKind::{InvalidArgument, NotFound};
use musubi_proto::information::v1::{
    ListInformationAuditLinesRequest, ListTrialsRequest, TryDistributionRequest,
    audit_service_client::AuditServiceClient, distribution_service_client::DistributionServiceClient,
};
use musubi_runtime::grpc::client::PeerChannel;
use uuid::Uuid;

use super::{
    probe::{NUMBER, Probes, Wrong, long, whole},
    world::{GAS, World},
};

/// Of a draft of the bank, by this operator; who is named follows nobody.
pub(super) async fn probe(
    world: &World,
    probes: &mut Probes,
    channel: PeerChannel,
    (distribution_id, operator): (&str, &str),
) {
    let client = DistributionServiceClient::new(channel);
    let good = TryDistributionRequest {
        request_id: Uuid::new_v5(&Uuid::NAMESPACE_OID, distribution_id.as_bytes()).to_string(),
        distribution_id: distribution_id.to_owned(),
        phone_numbers: vec!["+818000000001".to_owned()],
        operator: operator.to_owned(),
    };
    let call = async |request| whole(client.clone().try_distribution(request).await);
    let table: [Wrong<TryDistributionRequest>; 9] = [
        ("request_id", InvalidArgument, |it| it.request_id.clear()),
        ("request_id", InvalidArgument, |it| it.request_id = long(36)),
        ("distribution_id", NotFound, |it| {
            it.distribution_id = format!("dst_{}", Uuid::from_u128(1).simple())
        }),
        ("phone_numbers", InvalidArgument, |it| it.phone_numbers.clear()),
        ("phone_numbers", InvalidArgument, |it| it.phone_numbers = vec![it.phone_numbers[0].clone(); 21]),
        ("phone_numbers", InvalidArgument, |it| it.phone_numbers.push(NUMBER.to_owned())),
        ("phone_numbers", InvalidArgument, |it| it.phone_numbers[0] = long(12)),
        ("operator", InvalidArgument, |it| it.operator = long(4)),
        ("operator", InvalidArgument, |it| it.operator = "Sato ".repeat(20)),
    ];
    probes.ask(world, "TryDistribution", &good, call, &table).await;

    let good = ListTrialsRequest { distribution_id: distribution_id.to_owned() };
    let call = async |request| whole(client.clone().list_trials(request).await);
    let table: [Wrong<ListTrialsRequest>; 2] = [
        ("distribution_id", NotFound, |it| it.distribution_id.clear()),
        ("distribution_id", NotFound, |it| it.distribution_id = long(9_000)),
    ];
    probes.ask(world, "ListTrials", &good, call, &table).await;
}

/// Lines of the bank's account.
pub(super) async fn lines(world: &World, probes: &mut Probes, channel: PeerChannel) {
    let client = AuditServiceClient::new(channel);
    let call = async |request| whole(client.clone().list_information_audit_lines(request).await);
    let table: [Wrong<ListInformationAuditLinesRequest>; 7] = [
        ("official_account", NotFound, |it| it.official_account = GAS.to_owned()),
        ("official_account", NotFound, |it| it.official_account = long(9_000)),
        ("action", InvalidArgument, |it| it.action = "Tied to".to_owned()),
        ("text", InvalidArgument, |it| it.text = long(201)),
        ("page_size", InvalidArgument, |it| it.page_size = 1_001),
        ("page_token", InvalidArgument, |it| it.page_token = long(3)),
        ("page_token", InvalidArgument, |it| it.page_token = "1.5".to_owned()),
    ];
    let good = ListInformationAuditLinesRequest::default();
    probes.ask(world, "ListInformationAuditLines", &good, call, &table).await;
}
