//! `musubi.company.v1`: the customer master, and matching by inquiry. What is wrong inside a file is the company server's own
//! tests' matter.

use futures::stream;
use musubi_domain::{
    ErrorKind::{FailedPrecondition, InvalidArgument, NotFound},
    id::InquiryId,
};
use musubi_proto::{
    company::v1::{
        EntrustMasterRequest, EraseCustomerRequest, GetCustomerRequest, ImportCustomersRequest, Inquiry,
        ListAuditLinesRequest, ListCustomersRequest, ListImportsRequest, MatchCustomersRequest,
        SearchCustomerRequest, audit_service_client::AuditServiceClient,
        customer_service_client::CustomerServiceClient, match_service_client::MatchServiceClient,
    },
    r#type::v1::IdentityMethod,
};

use super::{
    ids::Chunks,
    people,
    probe::{NUMBER, Probes, Wrong, long, whole},
    world::{BANK, GAS, World},
};

pub(super) async fn probe(world: &World, probes: &mut Probes) {
    customers(world, probes).await;
    audit(world, probes).await;
    custody(world, probes).await;
    people::probe(world, probes).await;
    inquiries(world, probes).await;
}

async fn audit(world: &World, probes: &mut Probes) {
    let client = AuditServiceClient::new(world.system.channel(BANK));
    let call = async |request| whole(client.clone().list_audit_lines(request).await);
    let table: [Wrong<ListAuditLinesRequest>; 7] = [
        ("action", InvalidArgument, |request| request.action = long(3)),
        ("action", InvalidArgument, |request| request.action = "Signed in".to_owned()),
        ("action", InvalidArgument, |request| request.action = "a".repeat(101)),
        ("text", InvalidArgument, |request| request.text = long(201)),
        ("page_size", InvalidArgument, |request| request.page_size = 1_001),
        ("page_token", InvalidArgument, |request| request.page_token = long(3)),
        ("page_token", InvalidArgument, |request| request.page_token = "1.5".to_owned()),
    ];
    probes.ask(world, "ListAuditLines", &ListAuditLinesRequest::default(), call, &table).await;
}

async fn customers(world: &World, probes: &mut Probes) {
    let client = CustomerServiceClient::new(world.system.channel(BANK));

    let good = Chunks(vec![ImportCustomersRequest { dry_run: true, chunk: World::master(BANK) }]);
    let call = async |parts: Chunks<ImportCustomersRequest>| {
        whole(client.clone().import_customers(stream::iter(parts.0)).await)
    };
    let table: [Wrong<Chunks<ImportCustomersRequest>>; 2] = [
        ("chunk", InvalidArgument, |parts| parts.0[0].chunk = vec![b'a'; 256 * 1024 + 1]),
        ("chunk", InvalidArgument, |parts| {
            parts.0 = vec![ImportCustomersRequest { dry_run: true, chunk: vec![b'\n'; 300_000] }; 2];
        }),
    ];
    probes.ask(world, "ImportCustomers", &good, call, &table).await;

    let call = async |request| whole(client.clone().list_customers(request).await);
    let table: [Wrong<ListCustomersRequest>; 5] = [
        ("page_size", InvalidArgument, |request| request.page_size = 1_001),
        ("page_size", InvalidArgument, |request| request.page_size = u32::MAX),
        ("page_token", InvalidArgument, |request| request.page_token = NUMBER.to_owned()),
        ("page_token", InvalidArgument, |request| request.page_token = long(9_000)),
        ("page_token", InvalidArgument, |request| request.page_token = "44GC44GE".to_owned()),
    ];
    probes.ask(world, "ListCustomers", &ListCustomersRequest::default(), call, &table).await;

    let call = async |request| whole(client.clone().list_imports(request).await);
    let table: [Wrong<ListImportsRequest>; 4] = [
        ("page_size", InvalidArgument, |request| request.page_size = 1_001),
        ("page_size", InvalidArgument, |request| request.page_size = u32::MAX),
        ("page_token", InvalidArgument, |request| request.page_token = "12x".to_owned()),
        ("page_token", InvalidArgument, |request| request.page_token = long(9_000)),
    ];
    probes.ask(world, "ListImports", &ListImportsRequest::default(), call, &table).await;

    let good = GetCustomerRequest { customer_id: "A000001".to_owned() };
    let call = async |request| whole(client.clone().get_customer(request).await);
    let table: [Wrong<GetCustomerRequest>; 4] = [
        ("customer_id", InvalidArgument, |request| request.customer_id.clear()),
        ("customer_id", InvalidArgument, |request| request.customer_id = long(9_000)),
        ("customer_id", NotFound, |request| request.customer_id = "A999999".to_owned()),
        ("customer_id", NotFound, |request| request.customer_id = "H000001".to_owned()),
    ];
    probes.ask(world, "GetCustomer", &good, call, &table).await;

    macro_rules! of_nobody {
        ($method:literal, $call:ident, $request:ident) => {{
            let good = $request { customer_id: "A999999".to_owned() };
            let call = async |request| whole(client.clone().$call(request).await);
            let table: [Wrong<$request>; 3] = [
                ("customer_id", InvalidArgument, |request| request.customer_id.clear()),
                ("customer_id", InvalidArgument, |request| request.customer_id = long(9_000)),
                ("customer_id", InvalidArgument, |request| request.customer_id = "A 1".to_owned()),
            ];
            probes.ask(world, $method, &good, call, &table).await;
        }};
    }
    of_nobody!("EraseCustomer", erase_customer, EraseCustomerRequest);
    of_nobody!("SearchCustomer", search_customer, SearchCustomerRequest);
}

async fn custody(world: &World, probes: &mut Probes) {
    let client = CustomerServiceClient::new(world.system.channel(GAS));
    let good = EntrustMasterRequest { lease_seconds: 3_600, blind: false };
    let call = async |request| whole(client.clone().entrust_master(request).await);
    let table: [Wrong<EntrustMasterRequest>; 4] = [
        ("lease_seconds", InvalidArgument, |request| request.lease_seconds = 0),
        ("lease_seconds", InvalidArgument, |request| request.lease_seconds = 59),
        ("lease_seconds", InvalidArgument, |request| request.lease_seconds = 30 * 86_400 + 1),
        ("lease_seconds", InvalidArgument, |request| request.lease_seconds = u64::MAX),
    ];
    probes.ask(world, "EntrustMaster", &good, call, &table).await;

    let before = world.system.stored();
    let refused = CustomerServiceClient::new(world.system.channel(BANK)).entrust_master(good).await;
    let error = whole(refused).unwrap_err();
    assert_eq!(error.kind, FailedPrecondition, "a company that matches by inquiry entrusts: {error}");
    assert!(before == world.system.stored());
}

async fn inquiries(world: &World, probes: &mut Probes) {
    let client = MatchServiceClient::new(world.system.channel_of("information", BANK));
    let inquiry = Inquiry {
        inquiry_id: InquiryId::from_bytes([7; 16]).to_string(),
        account_number: "6289085".to_owned(),
        branch_number: "913".to_owned(),
        method: IdentityMethod::Jpki.into(),
        name: "小川 光".to_owned(),
        name_kana: "オガワ ヒカル".to_owned(),
        birth_date: "1939-04-18".to_owned(),
        address: "神奈川県横浜市旭区二俣川二丁目11-28".to_owned(),
    };
    let good = MatchCustomersRequest { inquiries: vec![inquiry] };
    let call = async |request| whole(client.clone().match_customers(request).await);
    let table: [Wrong<MatchCustomersRequest>; 18] = [
        ("inquiries", InvalidArgument, |request| {
            request.inquiries = vec![request.inquiries[0].clone(); 1_001]
        }),
        ("inquiries.inquiry_id", InvalidArgument, |request| request.inquiries[0].inquiry_id.clear()),
        ("inquiries.inquiry_id", InvalidArgument, |request| {
            request.inquiries[0].inquiry_id = format!("inq_{}", long(32));
        }),
        ("inquiries.account_number", InvalidArgument, |request| request.inquiries[0].account_number.clear()),
        ("inquiries.account_number", InvalidArgument, |request| {
            request.inquiries[0].account_number = "090-8765-4321".to_owned();
        }),
        ("inquiries.account_number", InvalidArgument, |request| {
            request.inquiries[0].account_number = NUMBER.repeat(2);
        }),
        ("inquiries.account_number", InvalidArgument, |request| {
            request.inquiries[0].account_number = "６２８９０８５".to_owned();
        }),
        ("inquiries.branch_number", InvalidArgument, |request| {
            request.inquiries[0].branch_number = NUMBER.repeat(2);
        }),
        ("inquiries.branch_number", InvalidArgument, |request| request.inquiries[0].branch_number = long(3)),
        ("inquiries.method", InvalidArgument, |request| request.inquiries[0].method = 0),
        ("inquiries.method", InvalidArgument, |request| request.inquiries[0].method = 99),
        ("inquiries.method", InvalidArgument, |request| request.inquiries[0].method = -1),
        ("inquiries.name", InvalidArgument, |request| request.inquiries[0].name = long(1_366)),
        ("inquiries.name_kana", InvalidArgument, |request| request.inquiries[0].name_kana = long(1_366)),
        ("inquiries.birth_date", InvalidArgument, |request| request.inquiries[0].birth_date = long(1_366)),
        ("inquiries.address", InvalidArgument, |request| request.inquiries[0].address = long(1_366)),
        // The second of a batch is at fault, and the first is not decided either.
        ("inquiries.method", InvalidArgument, |request| {
            request.inquiries.push(Inquiry { method: 0, ..request.inquiries[0].clone() });
            request.inquiries[0].inquiry_id = InquiryId::from_bytes([8; 16]).to_string();
        }),
        ("inquiries.account_number", InvalidArgument, |request| {
            request.inquiries[0].account_number = "6289085\0".to_owned();
        }),
    ];
    probes.ask(world, "MatchCustomers", &good, call, &table).await;
}
