//! `musubi.information.v1`: what carriers report, and what companies ask, at the information-management server itself and
//! through their own server.
//!
//! Postbacks and assertions that are late, repeated or another's need a dialogue in every state, and are tried where such are
//! made: in the server's own tests of its door.

use futures::stream;
use musubi_domain::{
    ErrorKind::{AlreadyExists, FailedPrecondition, InvalidArgument, NotFound},
    blind::DigestKey,
    customer::Customer,
};
use musubi_matching::{RULES_VERSION, blinded};
use musubi_proto::{
    information::v1::{
        BlindCustomer, CancelDistributionRequest, CarrierEvent, CreateDistributionRequest, CustomerValues,
        EntrustCustomersRequest, EntrustDigestsRequest, EntrustedCustomer, Followed, GetDistributionRequest,
        GetFunnelRequest, ListDaysRequest, ListDistributionsRequest, ListFollowersRequest,
        PauseDistributionRequest, PreviewDistributionRequest, PushAssertionsRequest, PushEventsRequest,
        Receipt, ReceiptKind, Responded, ResumeDistributionRequest, ReturnDistributionRequest,
        StartDistributionRequest, SubmitDistributionRequest, Template, UploadValuesRequest, Variable,
        VariableKind, carrier_event::What, carrier_event_service_client::CarrierEventServiceClient,
        custody_service_client::CustodyServiceClient, distribution_service_client::DistributionServiceClient,
        follower_service_client::FollowerServiceClient, responded::How,
    },
    r#type::v1::{Card, Dial, OpenUrl, Suggestion, suggestion},
};
use musubi_runtime::grpc::client::PeerChannel;
use prost_types::Timestamp;
use uuid::Uuid;

use super::{
    approvals,
    ids::Chunks,
    probe::{NUMBER, PERSONAL, Probes, Wrong, items, long, whole},
    reviews, rights, trials,
    world::{BANK, FOLLOWERS, GAS, KUMO, World},
};

/// Whose a call is at each door: a company writes it, an operator does not.
const NAMES: [&str; 2] = ["sato", ""];

pub(super) async fn probe(world: &World, probes: &mut Probes) {
    events(world, probes).await;
    assertions(world, probes).await;
    custody(world, probes).await;
    // A company's server passes these on unchanged, so that both doors answer alike.
    let doors = [world.system.channel_of(BANK, "information"), world.system.channel(BANK)];
    for (door, channel) in doors.into_iter().enumerate() {
        followers(world, probes, channel.clone(), door).await;
        rights::probe(world, probes, channel.clone(), door).await;
        reviews::probe(world, probes, channel.clone(), door).await;
        approvals::probe(world, probes, channel.clone(), door).await;
        drafts(world, probes, channel.clone(), door).await;
    }
}

async fn events(world: &World, probes: &mut Probes) {
    let client = CarrierEventServiceClient::new(world.system.channel_of(KUMO, "information"));
    let event = CarrierEvent {
        event_id: "event-of-the-test".to_owned(),
        official_account: BANK.to_owned(),
        msisdn: FOLLOWERS[0].0.to_owned(),
        event_time: Some(Timestamp { seconds: 1_700_000_000, nanos: 0 }),
        what: Some(What::Followed(Followed {})),
    };
    let good = PushEventsRequest { events: vec![event] };
    let call =
        async |request| items(client.clone().push_events(request).await, "events", |answer| answer.refused);
    fn fresh(request: &mut PushEventsRequest) -> &mut CarrierEvent {
        request.events[0].event_id = "another-event".to_owned();
        &mut request.events[0]
    }
    fn responded(request: &mut PushEventsRequest, how: Option<How>) {
        fresh(request).what = Some(What::Responded(Responded { how }));
    }
    fn receipt(request: &mut PushEventsRequest, message_id: &str, kind: i32) {
        let message_id = message_id.to_owned();
        fresh(request).what = Some(What::Receipt(Receipt { message_id, kind }));
    }
    const DELIVERED: i32 = ReceiptKind::Delivered as i32;
    const UNKNOWN: &str = "msg_09090909090909090909090909090909";
    let table: [Wrong<PushEventsRequest>; 24] = [
        ("events", InvalidArgument, |it| it.events = vec![it.events[0].clone(); 1_001]),
        ("events.event_id", InvalidArgument, |it| it.events[0].event_id.clear()),
        ("events.event_id", InvalidArgument, |it| it.events[0].event_id = long(101)),
        ("events.official_account", InvalidArgument, |it| fresh(it).official_account.clear()),
        ("events.official_account", InvalidArgument, |it| fresh(it).official_account = "nobody".to_owned()),
        ("events.official_account", InvalidArgument, |it| fresh(it).official_account = long(64)),
        ("events.msisdn", InvalidArgument, |it| fresh(it).msisdn.clear()),
        ("events.msisdn", InvalidArgument, |it| fresh(it).msisdn = NUMBER.to_owned()),
        ("events.msisdn", InvalidArgument, |it| fresh(it).msisdn = long(9_000)),
        ("events.event_time", InvalidArgument, |it| fresh(it).event_time = None),
        ("events.event_time", InvalidArgument, |it| {
            fresh(it).event_time = Some(Timestamp { seconds: i64::MAX, nanos: 0 });
        }),
        ("events.event_time", InvalidArgument, |it| {
            // A carrier's clock that is years ahead would make a follow that nothing ends.
            fresh(it).event_time = Some(Timestamp { seconds: 4_000_000_000, nanos: 0 });
        }),
        ("events.what", InvalidArgument, |it| fresh(it).what = None),
        ("events.responded.how", InvalidArgument, |it| responded(it, None)),
        ("events.responded.postback", InvalidArgument, |it| responded(it, Some(How::Postback(long(20))))),
        ("events.responded.postback", InvalidArgument, |it| responded(it, Some(How::Postback(long(2_049))))),
        ("events.responded.postback", InvalidArgument, |it| {
            responded(it, Some(How::Postback(String::new())))
        }),
        ("events.responded.text", InvalidArgument, |it| responded(it, Some(How::Text(String::new())))),
        ("events.responded.text", InvalidArgument, |it| responded(it, Some(How::Text(long(3_073))))),
        ("events.msisdn", InvalidArgument, |it| {
            responded(it, Some(How::Text("1".to_owned())));
            it.events[0].msisdn = "+818099999999".to_owned();
        }),
        ("events.receipt.message_id", InvalidArgument, |it| receipt(it, PERSONAL, DELIVERED)),
        ("events.receipt.message_id", InvalidArgument, |it| receipt(it, UNKNOWN, DELIVERED)),
        ("events.receipt.kind", InvalidArgument, |it| receipt(it, UNKNOWN, 0)),
        ("events.receipt.kind", InvalidArgument, |it| receipt(it, UNKNOWN, 99)),
    ];
    probes.ask(world, "PushEvents", &good, call, &table).await;

    // A tap that is forged by one letter is refused, and the tap itself is good.
    let question = &world.questions[0];
    let postback = &question.content.as_ref().unwrap().suggestions[2].postback;
    let first = if postback.starts_with('A') { "B" } else { "A" };
    let forged = format!("{first}{}", &postback[1..]);
    let before = world.system.quiet().await;
    let mut tap = good.clone();
    responded(&mut tap, Some(How::Postback(forged)));
    let Err(error) = call(tap.clone()).await else { panic!("it is taken") };
    assert_eq!(error.field, "events[0].responded.postback", "{error}");
    assert!(before == world.system.stored(), "it changed something");
    tap.events[0].what = Some(What::Responded(Responded { how: Some(How::Postback(postback.clone())) }));
    probes.ask(world, "PushEvents", &tap, call, &[]).await;
    let mut seen = good.clone();
    receipt(&mut seen, &question.message_id, DELIVERED);
    seen.events[0].event_id = "receipt-of-the-test".to_owned();
    probes.ask(world, "PushEvents", &seen, call, &[]).await;
}

async fn assertions(world: &World, probes: &mut Probes) {
    let client = CarrierEventServiceClient::new(world.system.channel_of(KUMO, "information"));
    let call = async |request| {
        items(client.clone().push_assertions(request).await, "assertions", |answer| answer.refused)
    };
    let good = PushAssertionsRequest::default();
    let table: [Wrong<PushAssertionsRequest>; 6] = [
        ("assertions", InvalidArgument, |it| it.assertions = vec![String::new(); 1_001]),
        ("assertions.assertion", InvalidArgument, |it| it.assertions = vec![String::new()]),
        ("assertions.assertion", InvalidArgument, |it| it.assertions = vec![long(9_000)]),
        ("assertions.assertion", InvalidArgument, |it| it.assertions = vec!["a.b.c".to_owned()]),
        ("assertions.assertion", InvalidArgument, |it| it.assertions = vec![NUMBER.to_owned()]),
        ("assertions.assertion", InvalidArgument, |it| {
            it.assertions = vec!["eyJhbGciOiJub25lIn0.e30.".to_owned()]
        }),
    ];
    probes.ask(world, "PushAssertions", &good, call, &table).await;
}

async fn custody(world: &World, probes: &mut Probes) {
    let client = CustodyServiceClient::new(world.system.channel_of(GAS, "information"));
    let call = async |chunks: Chunks<EntrustCustomersRequest>| {
        whole(client.clone().entrust_customers(stream::iter(chunks.0)).await)
    };
    let customer = EntrustedCustomer {
        customer_id: "H000001".to_owned(),
        name: "小川 光".to_owned(),
        name_kana: "オガワ ヒカル".to_owned(),
        birth_date: "1939-04-18".to_owned(),
        address: "神奈川県横浜市".to_owned(),
        branch_number: "913".to_owned(),
        account_number: "0006289085".to_owned(),
    };
    let good = Chunks(vec![EntrustCustomersRequest { lease_seconds: 3_600, customers: vec![customer] }]);
    fn one(chunks: &mut Chunks<EntrustCustomersRequest>) -> &mut EntrustedCustomer {
        &mut chunks.0[0].customers[0]
    }
    let table: [Wrong<Chunks<EntrustCustomersRequest>>; 24] = [
        ("customers", InvalidArgument, |it| it.0.clear()),
        ("customers", InvalidArgument, |it| {
            let customers = vec![it.0[0].customers[0].clone(); 1_001];
            it.0[0].customers = customers;
        }),
        ("lease_seconds", InvalidArgument, |it| it.0[0].lease_seconds = 0),
        ("lease_seconds", InvalidArgument, |it| it.0[0].lease_seconds = 59),
        ("lease_seconds", InvalidArgument, |it| it.0[0].lease_seconds = 30 * 86_400 + 1),
        ("lease_seconds", InvalidArgument, |it| it.0[0].lease_seconds = u64::MAX),
        ("customers.customer_id", InvalidArgument, |it| one(it).customer_id.clear()),
        ("customers.customer_id", InvalidArgument, |it| one(it).customer_id = long(101)),
        ("customers.name", InvalidArgument, |it| one(it).name.clear()),
        ("customers.name", InvalidArgument, |it| one(it).name = long(1_366)),
        ("customers.name_kana", InvalidArgument, |it| one(it).name_kana = long(1_366)),
        ("customers.birth_date", InvalidArgument, |it| one(it).birth_date.clear()),
        ("customers.birth_date", InvalidArgument, |it| one(it).birth_date = "1939-02-30".to_owned()),
        ("customers.birth_date", InvalidArgument, |it| one(it).birth_date = long(9_000)),
        ("customers.address", InvalidArgument, |it| one(it).address = long(1_366)),
        ("customers.branch_number", InvalidArgument, |it| one(it).branch_number = long(1_366)),
        ("customers.account_number", InvalidArgument, |it| one(it).account_number.clear()),
        ("customers.account_number", InvalidArgument, |it| one(it).account_number = NUMBER.repeat(2)),
        ("customers.account_number", InvalidArgument, |it| one(it).account_number = long(7)),
        ("customers.account_number", InvalidArgument, |it| one(it).account_number = long(9_000)),
        ("customers.name", InvalidArgument, |it| one(it).name = " \u{3000}".to_owned()),
        ("customers.customer_id", InvalidArgument, |it| one(it).customer_id = "H 1".to_owned()),
        ("customers.birth_date", InvalidArgument, |it| {
            // The second row of a chunk is at fault, and the first isn't kept either.
            let row = EntrustedCustomer { birth_date: String::new(), ..it.0[0].customers[0].clone() };
            it.0[0].customers.push(row);
        }),
        ("customers", InvalidArgument, |it| it.0[0].customers.clear()),
    ];
    probes.ask(world, "EntrustCustomers", &good, call, &table).await;

    let call = async |chunks: Chunks<EntrustDigestsRequest>| {
        whole(client.clone().entrust_digests(stream::iter(chunks.0)).await)
    };
    let key = DigestKey::new([7; 32]);
    let customer = Customer {
        customer_id: "H000001".parse().unwrap(),
        name: "小川 光".to_owned(),
        name_kana: "オガワ ヒカル".to_owned(),
        birth_date: "1939-04-18".to_owned(),
        address: "神奈川県横浜市".to_owned(),
        branch_number: "913".to_owned(),
        account_number: "0006289085".to_owned(),
        account_key: "0006289085".to_owned(),
        identity_verification: String::new(),
    };
    let good = Chunks(vec![EntrustDigestsRequest {
        lease_seconds: 3_600,
        digest_key: key.as_bytes().to_vec(),
        rules_version: RULES_VERSION,
        customers: vec![blinded(&customer, &key).into()],
    }]);
    fn blind(chunks: &mut Chunks<EntrustDigestsRequest>) -> &mut BlindCustomer {
        &mut chunks.0[0].customers[0]
    }
    let table: [Wrong<Chunks<EntrustDigestsRequest>>; 17] = [
        ("customers", InvalidArgument, |it| it.0.clear()),
        ("customers", InvalidArgument, |it| it.0[0].customers.clear()),
        ("customers", InvalidArgument, |it| {
            let customers = vec![it.0[0].customers[0].clone(); 1_001];
            it.0[0].customers = customers;
        }),
        ("lease_seconds", InvalidArgument, |it| it.0[0].lease_seconds = 59),
        ("lease_seconds", InvalidArgument, |it| it.0[0].lease_seconds = 30 * 86_400 + 1),
        ("digest_key", InvalidArgument, |it| it.0[0].digest_key.clear()),
        ("digest_key", InvalidArgument, |it| it.0[0].digest_key = vec![7; 33]),
        ("rules_version", FailedPrecondition, |it| it.0[0].rules_version = 0),
        ("rules_version", FailedPrecondition, |it| it.0[0].rules_version += 1),
        ("customers.customer_id", InvalidArgument, |it| blind(it).customer_id.clear()),
        ("customers.customer_id", InvalidArgument, |it| blind(it).customer_id = long(101)),
        ("customers.account", InvalidArgument, |it| blind(it).account.clear()),
        ("customers.account", InvalidArgument, |it| blind(it).account = vec![7; 17]),
        ("customers.digests", InvalidArgument, |it| blind(it).digests.clear()),
        ("customers.digests", InvalidArgument, |it| blind(it).digests.push(0)),
        ("customers.digests", InvalidArgument, |it| blind(it).digests = vec![0; 4_097]),
        ("customers.digests", InvalidArgument, |it| {
            // The second row of a chunk is at fault, and the first isn't kept either.
            let row = BlindCustomer { digests: vec![9], ..it.0[0].customers[0].clone() };
            it.0[0].customers.push(row);
        }),
    ];
    probes.ask(world, "EntrustDigests", &good, call, &table).await;
}

async fn followers(world: &World, probes: &mut Probes, channel: PeerChannel, door: usize) {
    let client = FollowerServiceClient::new(channel);
    let call = async |request| whole(client.clone().get_funnel(request).await);
    let table: [Wrong<GetFunnelRequest>; 3] = [
        ("official_account", NotFound, |it| it.official_account = "nobody".to_owned()),
        ("official_account", NotFound, |it| it.official_account = GAS.to_owned()),
        ("official_account", NotFound, |it| it.official_account = long(64)),
    ];
    probes.ask(world, "GetFunnel", &GetFunnelRequest::default(), call, &table).await;

    let call = async |request| whole(client.clone().list_days(request).await);
    let table: [Wrong<ListDaysRequest>; 4] = [
        ("official_account", NotFound, |it| it.official_account = "nobody".to_owned()),
        ("official_account", NotFound, |it| it.official_account = GAS.to_owned()),
        ("days", InvalidArgument, |it| it.days = 401),
        ("days", InvalidArgument, |it| it.days = u32::MAX),
    ];
    probes.ask(world, "ListDays", &ListDaysRequest::default(), call, &table).await;

    let call = async |request| whole(client.clone().list_followers(request).await);
    let good = ListFollowersRequest {
        official_account: BANK.to_owned(),
        operator: NAMES[door].to_owned(),
        ..ListFollowersRequest::default()
    };
    let table: [Wrong<ListFollowersRequest>; 10] = [
        ("operator", InvalidArgument, |it| it.operator = long(4)),
        ("official_account", NotFound, |it| it.official_account.clear()),
        ("official_account", NotFound, |it| it.official_account = "nobody".to_owned()),
        ("official_account", NotFound, |it| it.official_account = GAS.to_owned()),
        ("outcome", InvalidArgument, |it| it.outcome = 99),
        ("outcome", InvalidArgument, |it| it.outcome = -1),
        ("page_size", InvalidArgument, |it| it.page_size = 1_001),
        ("page_size", InvalidArgument, |it| it.page_size = u32::MAX),
        ("page_token", InvalidArgument, |it| it.page_token = NUMBER.to_owned()),
        ("page_token", InvalidArgument, |it| it.page_token = long(9_000)),
    ];
    probes.ask(world, "ListFollowers", &good, call, &table).await;
}

/// A draft of the bank, from its making to its end; it would start long after the test.
async fn drafts(world: &World, probes: &mut Probes, channel: PeerChannel, door: usize) {
    let client = DistributionServiceClient::new(channel.clone());
    let operator = NAMES[door].to_owned();
    let good = CreateDistributionRequest {
        operator: operator.clone(),
        ..draft(Uuid::from_u128(100 + door as u128))
    };
    let call = async |request| whole(client.clone().create_distribution(request).await);
    probes.ask(world, "CreateDistribution", &good, call, &DRAFTS).await;
    let created = client.clone().create_distribution(good).await.unwrap().into_inner();
    let distribution_id = created.distribution.unwrap().distribution_id;

    let customers =
        vec![CustomerValues { customer_id: "A000001".to_owned(), values: vec!["1234".to_owned()] }];
    let chunk = UploadValuesRequest {
        distribution_id: distribution_id.clone(),
        customers,
        operator: operator.clone(),
    };
    let good = Chunks(vec![chunk]);
    let call = async |chunks: Chunks<UploadValuesRequest>| {
        whole(client.clone().upload_values(stream::iter(chunks.0)).await)
    };
    probes.ask(world, "UploadValues", &good, call, &VALUES).await;

    macro_rules! command {
        ($method:literal, $call:ident, $request:ident $(, $operator:ident)? $(; $time:ident)?) => {{
            let good = $request {
                distribution_id: distribution_id.clone(),
                $($operator: operator.clone(),)?
                $($time: None,)?
            };
            let call = async |request| whole(client.clone().$call(request).await);
            let table: &[Wrong<$request>] = &[
                $(
                    (stringify!($operator), InvalidArgument, |it| it.$operator = long(4)),
                    (stringify!($operator), InvalidArgument, |it| it.$operator = "Sato ".repeat(20)),
                )?
                $(
                    (stringify!($time), InvalidArgument, |it| it.$time = Some(Timestamp { seconds: 1, nanos: -1 })),
                    (stringify!($time), InvalidArgument, |it| it.$time = Some(Timestamp { seconds: i64::MAX, nanos: 0 })),
                )?
                ("distribution_id", NotFound, |it| it.distribution_id = unknown_draft()),
                ("distribution_id", NotFound, |it| it.distribution_id.clear()),
                ("distribution_id", NotFound, |it| it.distribution_id = NUMBER.to_owned()),
                ("distribution_id", NotFound, |it| it.distribution_id = long(9_000)),
            ];
            probes.ask(world, $method, &good, call, table).await;
        }};
    }
    command!("PreviewDistribution", preview_distribution, PreviewDistributionRequest, operator);
    trials::probe(world, probes, channel.clone(), (&distribution_id, &operator)).await;
    trials::lines(world, probes, channel).await;
    command!("SubmitDistribution", submit_distribution, SubmitDistributionRequest, operator);
    command!("ReturnDistribution", return_distribution, ReturnDistributionRequest, operator);
    command!("StartDistribution", start_distribution, StartDistributionRequest, operator; submit_time);
    command!("PauseDistribution", pause_distribution, PauseDistributionRequest, operator);
    command!("ResumeDistribution", resume_distribution, ResumeDistributionRequest, operator);
    command!("GetDistribution", get_distribution, GetDistributionRequest);
    command!("CancelDistribution", cancel_distribution, CancelDistributionRequest, operator);

    let call = async |request| whole(client.clone().list_distributions(request).await);
    let table: [Wrong<ListDistributionsRequest>; 5] = [
        ("state", InvalidArgument, |it| it.state = 99),
        ("state", InvalidArgument, |it| it.state = -1),
        ("official_account", NotFound, |it| it.official_account = "nobody".to_owned()),
        ("official_account", NotFound, |it| it.official_account = GAS.to_owned()),
        ("official_account", NotFound, |it| it.official_account = long(64)),
    ];
    probes.ask(world, "ListDistributions", &ListDistributionsRequest::default(), call, &table).await;
}

fn unknown_draft() -> String {
    format!("dst_{}", Uuid::from_u128(1).simple())
}

fn draft(request_id: Uuid) -> CreateDistributionRequest {
    let button =
        |action| Suggestion { text: "見る".to_owned(), postback: "p".to_owned(), action: Some(action) };
    let page = OpenUrl { url: "https://bank.test/".to_owned(), webview: false };
    let dial = Dial { phone_number: "+81312345678".to_owned() };
    let template = |text: &str, variables| Template {
        text: text.to_owned(),
        suggestions: vec![
            button(suggestion::Action::OpenUrl(page.clone())),
            button(suggestion::Action::Dial(dial.clone())),
        ],
        variables,
        card: Some(Card { title: "残高".to_owned(), image_url: "https://bank.test/x.png".to_owned() }),
    };
    CreateDistributionRequest {
        request_id: request_id.to_string(),
        official_account: BANK.to_owned(),
        name: "残高".to_owned(),
        uniform: Some(template("お知らせ", vec![])),
        individual: Some(template(
            "残高は{balance}です",
            vec![Variable { name: "balance".to_owned(), kind: VariableKind::Yen.into() }],
        )),
        start_time: Some(Timestamp { seconds: 4_000_000_000, nanos: 0 }),
        expire_time: Some(Timestamp { seconds: 4_000_100_000, nanos: 0 }),
        messages_per_second: 1,
        operator: String::new(),
    }
}

fn fresh(request: &mut CreateDistributionRequest) -> &mut CreateDistributionRequest {
    request.request_id = Uuid::from_u128(1_000).to_string();
    request
}

fn uniform(request: &mut CreateDistributionRequest) -> &mut Template {
    fresh(request).uniform.as_mut().unwrap()
}

fn individual(request: &mut CreateDistributionRequest) -> &mut Template {
    fresh(request).individual.as_mut().unwrap()
}

fn open(template: &mut Template, url: &str) {
    let page = OpenUrl { url: url.to_owned(), webview: false };
    template.suggestions[0].action = Some(suggestion::Action::OpenUrl(page));
}

fn dial(template: &mut Template, number: &str) {
    let dial = Dial { phone_number: number.to_owned() };
    template.suggestions[1].action = Some(suggestion::Action::Dial(dial));
}

const DRAFTS: [Wrong<CreateDistributionRequest>; 56] = [
    ("operator", InvalidArgument, |it| fresh(it).operator = long(4)),
    ("request_id", InvalidArgument, |it| it.request_id.clear()),
    ("request_id", InvalidArgument, |it| it.request_id = NUMBER.to_owned()),
    ("request_id", AlreadyExists, |it| it.name = "別".to_owned()),
    ("official_account", NotFound, |it| fresh(it).official_account.clear()),
    ("official_account", NotFound, |it| fresh(it).official_account = "nobody".to_owned()),
    ("official_account", NotFound, |it| fresh(it).official_account = GAS.to_owned()),
    ("name", InvalidArgument, |it| fresh(it).name.clear()),
    ("name", InvalidArgument, |it| fresh(it).name = long(101)),
    ("name", InvalidArgument, |it| fresh(it).name = "漏\n".to_owned()),
    ("uniform", InvalidArgument, |it| fresh(it).uniform = None),
    ("uniform.card", InvalidArgument, |it| uniform(it).card = Some(Card::default())),
    ("uniform.card.title", InvalidArgument, |it| uniform(it).card.as_mut().unwrap().title = long(201)),
    ("uniform.card.image_url", InvalidArgument, |it| {
        uniform(it).card.as_mut().unwrap().image_url = "https://elsewhere.test/x.png".to_owned();
    }),
    ("individual.card.title", InvalidArgument, |it| individual(it).card.as_mut().unwrap().title = long(201)),
    ("individual.card.image_url", InvalidArgument, |it| {
        individual(it).card.as_mut().unwrap().image_url = "http://bank.test/x.png".to_owned();
    }),
    ("individual.card.image_url", InvalidArgument, |it| {
        individual(it).card.as_mut().unwrap().image_url = "https://elsewhere.test/x.png".to_owned();
    }),
    ("uniform.text", InvalidArgument, |it| uniform(it).text.clear()),
    ("uniform.text", InvalidArgument, |it| uniform(it).text = long(3_073)),
    ("uniform.text", InvalidArgument, |it| uniform(it).text = "{漏".to_owned()),
    ("uniform.suggestions", InvalidArgument, |it| {
        uniform(it).suggestions = vec![Suggestion::default(); 12];
    }),
    ("uniform.suggestions.text", InvalidArgument, |it| uniform(it).suggestions[0].text.clear()),
    ("uniform.suggestions.text", InvalidArgument, |it| uniform(it).suggestions[0].text = long(26)),
    ("uniform.suggestions.postback", InvalidArgument, |it| uniform(it).suggestions[0].postback = long(2_049)),
    ("uniform.suggestions.open_url.url", InvalidArgument, |it| open(uniform(it), "")),
    ("uniform.suggestions.open_url.url", InvalidArgument, |it| open(uniform(it), "http://bank.test/")),
    ("uniform.suggestions.open_url.url", InvalidArgument, |it| {
        open(uniform(it), "https://bank.test@elsewhere.test/")
    }),
    ("uniform.text", InvalidArgument, |it| uniform(it).text = "https://elsewhere.test/ へ".to_owned()),
    ("uniform.suggestions.dial.phone_number", InvalidArgument, |it| dial(uniform(it), "")),
    ("uniform.suggestions.dial.phone_number", InvalidArgument, |it| dial(uniform(it), NUMBER)),
    ("uniform.variables", InvalidArgument, |it| {
        let variables = individual(it).variables.clone();
        let template = uniform(it);
        template.text = "残高は{balance}です".to_owned();
        template.variables = variables;
    }),
    ("individual.text", InvalidArgument, |it| individual(it).text.clear()),
    ("individual.text", InvalidArgument, |it| individual(it).text = "{balance}{other}".to_owned()),
    ("individual.text", InvalidArgument, |it| individual(it).text = "{balance}}".to_owned()),
    ("individual.suggestions", InvalidArgument, |it| {
        individual(it).suggestions = vec![Suggestion::default(); 12];
    }),
    ("individual.suggestions.text", InvalidArgument, |it| individual(it).suggestions[0].text = long(26)),
    ("individual.suggestions.postback", InvalidArgument, |it| {
        individual(it).suggestions[0].postback = long(2_049);
    }),
    ("individual.suggestions.open_url.url", InvalidArgument, |it| open(individual(it), "ftp://bank.test/")),
    ("individual.suggestions.dial.phone_number", InvalidArgument, |it| dial(individual(it), NUMBER)),
    ("individual.variables", InvalidArgument, |it| {
        individual(it).variables = (0..51)
            .map(|number| Variable { name: format!("v{number}"), kind: VariableKind::Yen.into() })
            .collect();
    }),
    ("individual.variables.name", InvalidArgument, |it| individual(it).variables[0].name.clear()),
    ("individual.variables.name", InvalidArgument, |it| individual(it).variables[0].name = long(1)),
    ("individual.variables.name", InvalidArgument, |it| individual(it).variables[0].name = "a".repeat(41)),
    ("individual.variables.name", InvalidArgument, |it| {
        let again = individual(it).variables[0].clone();
        individual(it).variables.push(again);
    }),
    ("individual.variables.kind", InvalidArgument, |it| individual(it).variables[0].kind = 0),
    ("individual.variables.kind", InvalidArgument, |it| individual(it).variables[0].kind = 99),
    ("start_time", InvalidArgument, |it| {
        fresh(it).start_time = Some(Timestamp { seconds: i64::MAX, nanos: 0 });
    }),
    ("start_time", InvalidArgument, |it| {
        fresh(it).start_time = Some(Timestamp { seconds: 4_000_000_000, nanos: -1 });
    }),
    ("expire_time", InvalidArgument, |it| fresh(it).expire_time = Some(Timestamp::default())),
    ("expire_time", InvalidArgument, |it| {
        let request = fresh(it);
        request.expire_time = request.start_time;
    }),
    ("expire_time", InvalidArgument, |it| {
        fresh(it).expire_time = Some(Timestamp { seconds: i64::MAX, nanos: 0 });
    }),
    ("uniform.variables.kind", InvalidArgument, |it| {
        individual(it).variables[0].kind = 0;
        let variables = individual(it).variables.clone();
        uniform(it).variables = variables;
    }),
    ("uniform.variables.name", InvalidArgument, |it| {
        uniform(it).variables = vec![Variable { name: long(1), kind: VariableKind::Yen.into() }];
    }),
    ("request_id", AlreadyExists, |it| it.messages_per_second = 2),
    ("official_account", NotFound, |it| fresh(it).official_account = PERSONAL.to_owned()),
    ("individual.text", InvalidArgument, |it| individual(it).text = long(3_073)),
];

const VALUES: [Wrong<Chunks<UploadValuesRequest>>; 16] = [
    ("operator", InvalidArgument, |it| it.0[0].operator = long(4)),
    ("distribution_id", InvalidArgument, |it| it.0.clear()),
    ("distribution_id", NotFound, |it| it.0[0].distribution_id.clear()),
    ("distribution_id", NotFound, |it| it.0[0].distribution_id = NUMBER.to_owned()),
    ("distribution_id", NotFound, |it| it.0[0].distribution_id = unknown_draft()),
    ("customers", InvalidArgument, |it| {
        let customers = vec![it.0[0].customers[0].clone(); 1_001];
        it.0[0].customers = customers;
    }),
    ("customers.customer_id", InvalidArgument, |it| it.0[0].customers[0].customer_id.clear()),
    ("customers.customer_id", InvalidArgument, |it| it.0[0].customers[0].customer_id = long(101)),
    ("customers.values", InvalidArgument, |it| it.0[0].customers[0].values.clear()),
    ("customers.values", InvalidArgument, |it| it.0[0].customers[0].values = vec!["1".to_owned(); 2]),
    ("customers.values", InvalidArgument, |it| it.0[0].customers[0].values[0].clear()),
    ("customers.values", InvalidArgument, |it| it.0[0].customers[0].values[0] = PERSONAL.to_owned()),
    ("customers.values", InvalidArgument, |it| it.0[0].customers[0].values[0] = "12.5".to_owned()),
    ("customers.values", InvalidArgument, |it| it.0[0].customers[0].values[0] = "9".repeat(40)),
    ("customers.values", InvalidArgument, |it| {
        // The second row of a chunk is at fault, and the first isn't kept either.
        let again = CustomerValues { customer_id: "A000003".to_owned(), values: vec![] };
        it.0[0].customers[0].values[0] = "4321".to_owned();
        it.0[0].customers.push(again);
    }),
    ("customers.values", InvalidArgument, |it| it.0[0].customers[0].values[0] = long(9_000)),
];
