//! What people have a right to, asked in every wrong way. The name of who asks is a company's to write and nobody's to claim, as with reviews.

use musubi_domain::ErrorKind::{FailedPrecondition, InvalidArgument, NotFound};
use musubi_proto::information::v1::{
    EraseFollowersRequest, ExportFollowerRequest, GetFollowerRequest, ImportFollowersRequest,
    ImportedConsent, Person, SearchFollowerRequest, SuspendFollowerRequest, UnlockFollowerRequest,
    UntieFollowerRequest, follower_service_client::FollowerServiceClient, person::Who,
};
use musubi_runtime::grpc::client::PeerChannel;

use super::{
    probe::{NUMBER, Probes, Wrong, long, whole},
    world::{BANK, FOLLOWERS, GAS, KUMO, NAMI, World},
};

/// Nobody of the world: a number that no list has.
pub(super) async fn probe(world: &World, probes: &mut Probes, channel: PeerChannel, door: usize) {
    let client = FollowerServiceClient::new(channel);
    let operator = ["sato", ""][door].to_owned();
    let person = Person { who: Some(Who::PhoneNumber("+818099990000".to_owned())) };
    let call = async |request| whole(client.clone().erase_followers(request).await);
    let good = EraseFollowersRequest {
        official_account: BANK.to_owned(),
        people: vec![person.clone()],
        operator: operator.clone(),
    };
    let table: [Wrong<EraseFollowersRequest>; 14] = [
        ("official_account", NotFound, |it| it.official_account = "nobody".to_owned()),
        ("official_account", NotFound, |it| it.official_account = GAS.to_owned()),
        ("official_account", NotFound, |it| it.official_account = long(64)),
        ("people", InvalidArgument, |it| it.people.clear()),
        ("people", InvalidArgument, |it| it.people = vec![it.people[0].clone(); 1_001]),
        ("people.who", InvalidArgument, |it| it.people.push(Person::default())),
        ("people.phone_number", InvalidArgument, |it| {
            it.people[0].who = Some(Who::PhoneNumber(NUMBER.to_owned()));
        }),
        ("people.phone_number", InvalidArgument, |it| it.people[0].who = Some(Who::PhoneNumber(long(9_000)))),
        ("people.follower_id", InvalidArgument, |it| {
            it.people[0].who = Some(Who::FollowerId(NUMBER.to_owned()));
        }),
        ("people.follower_id", InvalidArgument, |it| it.people[0].who = Some(Who::FollowerId(long(9_000)))),
        ("people.customer_id", InvalidArgument, |it| it.people[0].who = Some(Who::CustomerId(String::new()))),
        ("people.customer_id", InvalidArgument, |it| it.people[0].who = Some(Who::CustomerId(long(65)))),
        ("operator", InvalidArgument, |it| it.operator = long(4)),
        ("operator", InvalidArgument, |it| it.operator = "Sato ".repeat(20)),
    ];
    probes.ask(world, "EraseFollowers", &good, call, &table).await;

    let call = async |request| whole(client.clone().import_followers(request).await);
    let consent = ImportedConsent {
        phone_number: "+818099990000".to_owned(),
        source: "web form".to_owned(),
        consent_time: Some(prost_types::Timestamp { seconds: 1_772_323_200, nanos: 0 }),
    };
    let good = ImportFollowersRequest {
        official_account: BANK.to_owned(),
        carrier: NAMI.to_owned(),
        consents: vec![consent],
        operator: operator.clone(),
    };
    let table: [Wrong<ImportFollowersRequest>; 14] = [
        ("official_account", NotFound, |it| it.official_account.clear()),
        ("official_account", NotFound, |it| it.official_account = GAS.to_owned()),
        ("carrier", NotFound, |it| it.carrier.clear()),
        ("carrier", NotFound, |it| it.carrier = long(64)),
        ("carrier", FailedPrecondition, |it| it.carrier = KUMO.to_owned()),
        ("consents", InvalidArgument, |it| it.consents.clear()),
        ("consents", InvalidArgument, |it| it.consents = vec![it.consents[0].clone(); 1_001]),
        ("consents.phone_number", InvalidArgument, |it| it.consents[0].phone_number = NUMBER.to_owned()),
        ("consents.phone_number", InvalidArgument, |it| it.consents.push(it.consents[0].clone())),
        ("consents.source", InvalidArgument, |it| it.consents[0].source = long(201)),
        ("consents.source", InvalidArgument, |it| it.consents[0].source = "a\nb".to_owned()),
        ("consents.consent_time", InvalidArgument, |it| it.consents[0].consent_time = None),
        ("operator", InvalidArgument, |it| it.operator = long(4)),
        ("operator", InvalidArgument, |it| it.operator = "Sato ".repeat(20)),
    ];
    probes.ask(world, "ImportFollowers", &good, call, &table).await;

    macro_rules! about_one {
        ($method:literal, $call:ident, $request:ident $(, $more:ident)?) => {{
            let call = async |request| whole(client.clone().$call(request).await);
            let good = $request {
                official_account: BANK.to_owned(),
                person: Some(Person { who: Some(Who::PhoneNumber(FOLLOWERS[0].0.to_owned())) }),
                operator: operator.clone(),
                $($more: false,)?
            };
            let table: [Wrong<$request>; 10] = [
                ("official_account", NotFound, |it| it.official_account.clear()),
                ("official_account", NotFound, |it| it.official_account = GAS.to_owned()),
                ("person.who", InvalidArgument, |it| it.person = None),
                ("person.who", InvalidArgument, |it| it.person = Some(Person::default())),
                ("person.phone_number", InvalidArgument, |it| {
                    it.person = Some(Person { who: Some(Who::PhoneNumber(NUMBER.to_owned())) });
                }),
                ("person.follower_id", InvalidArgument, |it| {
                    it.person = Some(Person { who: Some(Who::FollowerId(long(40))) });
                }),
                ("person.customer_id", InvalidArgument, |it| {
                    it.person = Some(Person { who: Some(Who::CustomerId(long(40))) });
                }),
                ("person.customer_id", InvalidArgument, |it| {
                    it.person = Some(Person { who: Some(Who::CustomerId(String::new())) });
                }),
                ("operator", InvalidArgument, |it| it.operator = long(4)),
                ("operator", InvalidArgument, |it| it.operator = "Sato ".repeat(20)),
            ];
            probes.ask(world, $method, &good, call, &table).await;
        }};
    }
    about_one!("UnlockFollower", unlock_follower, UnlockFollowerRequest);
    about_one!("UntieFollower", untie_follower, UntieFollowerRequest);
    about_one!("SuspendFollower", suspend_follower, SuspendFollowerRequest, release);
    about_one!("SearchFollower", search_follower, SearchFollowerRequest);
    about_one!("ExportFollower", export_follower, ExportFollowerRequest);
    about_one!("GetFollower", get_follower, GetFollowerRequest, reveal);
}
