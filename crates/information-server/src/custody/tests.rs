//! The service over a real store: what it refuses, and a copy from its first chunk to its end.

use std::sync::Arc;

use futures::stream;
use jiff::SignedDuration;
use musubi_domain::{
    ErrorKind,
    blind::{BlindCustomer, Blinding, DigestKey},
    customer::{Customer, GivenAccount, MatchOutcome},
    id::{CompanyId, DialogueId, FollowerId, InquiryId},
    identity::{AttestedIdentity, IdentityMethod},
};
use musubi_matching::{Policy, RULES_VERSION, blinded, keys_of};
use musubi_proto::{
    convert::content::timestamp,
    information::v1::{self as wire, custody_service_server::CustodyService as _},
};
use musubi_runtime::{Clock as _, Shutdown, grpc::status::to_status};
use musubi_storage::information::{
    FollowerKey,
    custody::{Custody as Record, Entrusted},
    flow::{DueInquiry, Inquiry},
};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::{Custody, Purger, rekey, service::Chunk};
use crate::confirmation::matcher::{ByCustody, Matcher as _};
use crate::tests::{World, from, minute, refusal};

fn service(world: &World) -> Custody {
    Custody::new(world.store(), world.clock(), Arc::clone(&world.directory), world.signals.clone())
}

fn customer(id: &str) -> wire::EntrustedCustomer {
    wire::EntrustedCustomer {
        customer_id: id.to_owned(),
        name: "山田　太郎".to_owned(),
        name_kana: "ヤマダ タロウ".to_owned(),
        birth_date: "1980-02-03".to_owned(),
        address: "東京都".to_owned(),
        branch_number: "001".to_owned(),
        account_number: "12-34567".to_owned(),
    }
}

fn chunk(lease_seconds: u64, customers: Vec<wire::EntrustedCustomer>) -> wire::EntrustCustomersRequest {
    wire::EntrustCustomersRequest { lease_seconds, customers }
}

async fn entrust<C: Chunk + Send>(
    service: &Custody,
    company: &str,
    chunks: Vec<Result<C, Status>>,
) -> Result<Record, Status> {
    service.entrust(&company.parse().unwrap(), stream::iter(chunks)).await
}

/// Of customer C1, who lives at [`HOME`].
fn digests() -> wire::EntrustDigestsRequest {
    let key = DigestKey::new([7; 32]);
    let customer = Customer {
        customer_id: "C1".parse().unwrap(),
        name: "山田　太郎".to_owned(),
        name_kana: "ヤマダ タロウ".to_owned(),
        birth_date: "1980-02-03".to_owned(),
        address: HOME.to_owned(),
        branch_number: "001".to_owned(),
        account_number: "12-34567".to_owned(),
        account_key: "1234567".to_owned(),
        identity_verification: String::new(),
    };
    wire::EntrustDigestsRequest {
        lease_seconds: 60,
        digest_key: key.as_bytes().to_vec(),
        rules_version: RULES_VERSION,
        customers: vec![blinded(&customer, &key).into()],
    }
}

async fn custodies(service: &Custody, company: &str) -> Vec<wire::Custody> {
    service.get_custody(from(company, wire::GetCustodyRequest {})).await.unwrap().into_inner().custodies
}

async fn found(world: &World) -> Option<usize> {
    let bank = "bank".parse().unwrap();
    let candidates = world.store().candidates(&bank, &["1234567"], world.clock.now()).await.unwrap();
    candidates.map(|candidates| match candidates {
        Entrusted::Plain(rows) => rows.len(),
        Entrusted::Blind(_, rows) => rows.len(),
    })
}

#[tokio::test]
async fn a_bad_customer_is_named_by_row_and_field_and_nothing_changes() {
    type Edit = fn(&mut wire::EntrustedCustomer);
    let edits: [(Edit, &str); 8] = [
        (|customer| customer.customer_id.clear(), "customer_id"),
        (|customer| customer.name = " ".to_owned(), "name"),
        (|customer| customer.name = "あ".repeat(2_000), "name"),
        (|customer| customer.address = "あ".repeat(2_000), "address"),
        (|customer| customer.birth_date = "1980-02-30".to_owned(), "birth_date"),
        (|customer| customer.birth_date.clear(), "birth_date"),
        (|customer| customer.account_number = "12345678".to_owned(), "account_number"),
        (|customer| customer.account_number = "none".to_owned(), "account_number"),
    ];
    let world = World::new().await;
    let service = service(&world);
    entrust(&service, "bank", vec![Ok(chunk(60, vec![customer("C1")]))]).await.unwrap();
    for (edit, field) in edits {
        let mut bad = customer("C2");
        edit(&mut bad);
        let chunks = vec![Ok(chunk(60, vec![customer("C2")])), Ok(chunk(0, vec![customer("C3"), bad]))];
        let error = refusal(entrust(&service, "bank", chunks).await);
        assert_eq!(error.kind, ErrorKind::InvalidArgument);
        assert_eq!(error.field, format!("customers[1].{field}"));
        assert!(error.problem.contains("chunk 2") && !error.to_string().contains("1980"), "{error}");
    }
    assert_eq!(found(&world).await, Some(1), "the copy before still answers");
    assert_eq!(custodies(&service, "bank").await.len(), 1);
}

#[tokio::test]
async fn bad_streams_are_refused() {
    let world = World::new().await;
    let service = service(&world);
    let one = || vec![customer("C1")];
    let broken = to_status(musubi_domain::Error::new(ErrorKind::Unavailable, "broken", ""));
    for (company, chunks, kind, field) in [
        ("bank", vec![Ok(chunk(59, one()))], ErrorKind::InvalidArgument, "lease_seconds"),
        ("bank", vec![Ok(chunk(30 * 86_400 + 1, one()))], ErrorKind::InvalidArgument, "lease_seconds"),
        ("bank", vec![Ok(chunk(u64::MAX, one()))], ErrorKind::InvalidArgument, "lease_seconds"),
        ("bank", vec![], ErrorKind::InvalidArgument, "customers"),
        ("bank", vec![Ok(chunk(60, vec![]))], ErrorKind::InvalidArgument, "customers"),
        ("bank", vec![Ok(chunk(60, vec![customer("C1"); 1_001]))], ErrorKind::InvalidArgument, "customers"),
        ("bank", vec![Ok(chunk(60, one())), Err(broken)], ErrorKind::Unavailable, ""),
        ("power", vec![Ok(chunk(60, one()))], ErrorKind::FailedPrecondition, ""),
    ] {
        let error = refusal(entrust(&service, company, chunks).await);
        assert_eq!((error.kind, error.field.as_str()), (kind, field));
    }
    assert_eq!(found(&world).await, None);
    assert!(custodies(&service, "bank").await.is_empty());
}

#[tokio::test]
async fn the_lease_is_read_from_the_first_chunk_and_counts_from_the_end_of_the_stream() {
    let world = World::new().await;
    let service = service(&world);
    let chunks = vec![Ok(chunk(30 * 86_400, vec![customer("C1")])), Ok(chunk(1, vec![customer("C2")]))];
    let record = entrust(&service, "bank", chunks).await.unwrap();
    assert_eq!((record.customers, record.entrust_time), (2, minute(0)));
    assert_eq!(record.lease_end_time, minute(30 * 24 * 60));
    let held = &custodies(&service, "bank").await[0];
    assert!(held.purge_time.is_none() && held.purge_reason.is_empty());
    assert!(custodies(&service, "power").await.is_empty());
}

#[tokio::test]
async fn purging_destroys_and_may_be_repeated() {
    let world = World::new().await;
    let service = service(&world);
    entrust(&service, "bank", vec![Ok(chunk(60, vec![customer("C1"), customer("C2")]))]).await.unwrap();
    for expected in [2, 0] {
        let purge = service.purge_customers(from("bank", wire::PurgeCustomersRequest {})).await;
        assert_eq!(purge.unwrap().into_inner().purged, expected);
    }
    assert_eq!(found(&world).await, None);
    let record = &custodies(&service, "bank").await[0];
    assert!(record.purge_reason == "asked" && record.purge_time == Some(timestamp(minute(0))));
}

/// Somebody of this name who lives at [`HOME`].
fn asked(name: &str) -> DueInquiry {
    let follower = FollowerId::from_bytes([1; 16]);
    let inquiry = Inquiry {
        id: InquiryId::derive(DialogueId::derive(follower, 0), 0, minute(0)),
        company: "bank".parse().unwrap(),
        account: GivenAccount { branch_number: None, account_number: "1234567".to_owned() },
        identity: AttestedIdentity {
            method: IdentityMethod::Jpki,
            name: name.to_owned(),
            name_kana: None,
            birth_date: "1980-02-03".to_owned(),
            address: "目黒区鷹番3-8-2".to_owned(),
        },
        due_time: minute(0),
    };
    let key = FollowerKey { account: "bank".parse().unwrap(), follower };
    DueInquiry { key, phone_number: "+819012345678".parse().unwrap(), inquiry }
}

const HOME: &str = "東京都目黒区鷹番3-8-2";

#[tokio::test]
async fn a_company_demands_of_a_match_in_custody_what_it_would_demand_itself() {
    let world = World::new().await;
    let whole = wire::EntrustedCustomer { address: HOME.to_owned(), ..customer("C1") };
    entrust(&service(&world), "bank", vec![Ok(chunk(60, vec![whole]))]).await.unwrap();
    let company: CompanyId = "bank".parse().unwrap();
    let inquiries = [asked("山田太郎")];
    let strict = Policy { whole_address_required: true, ..Policy::default() };
    for (policy, outcome) in [(Policy::default(), MatchOutcome::Confirmed), (strict, MatchOutcome::Review)] {
        let matcher = ByCustody {
            company: company.clone(),
            policy,
            store: world.store(),
            clock: world.clock(),
            asks: true,
        };
        assert_eq!(matcher.decide(&inquiries).await.unwrap()[0].as_ref().unwrap().outcome, outcome);
    }
}

#[tokio::test]
async fn the_purger_destroys_a_copy_whose_lease_is_over() {
    let world = World::new().await;
    let service = service(&world);
    entrust(&service, "bank", vec![Ok(chunk(60, vec![customer("C1")]))]).await.unwrap();
    world.clock.advance(SignedDuration::from_secs(60));
    assert_eq!(found(&world).await, None);
    let shutdown = Shutdown::new(std::time::Duration::from_secs(5));
    shutdown.spawn("purge", Purger::new(world.store(), world.clock()).run(shutdown.clone()));
    while custodies(&service, "bank").await[0].purge_time.is_none() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert_eq!(custodies(&service, "bank").await[0].purge_reason, "lease_ended");
    shutdown.begin();
    shutdown.drained().await.unwrap();
}

#[tokio::test]
async fn keys_are_made_when_rows_are_taken_in_and_again_when_the_rules_change() {
    let world = World::new().await;
    let service = service(&world);
    entrust(&service, "bank", vec![Ok(chunk(60, vec![customer("C1"), customer("C2")]))]).await.unwrap();
    let up_to_date = async || {
        let bank = "bank".parse().unwrap();
        let found = world.store().candidates(&bank, &["1234567"], world.clock.now()).await.unwrap().unwrap();
        let Entrusted::Plain(found) = found else { panic!("the copy is blind") };
        found.iter().filter(|row| row.keys == keys_of(&row.customer)).count()
    };
    assert_eq!(up_to_date().await, 2);
    assert_eq!(world.store().rekey(0, 1000, &|_| b"of other rules".to_vec()).await.unwrap(), 2);
    assert_eq!(up_to_date().await, 0);
    let Ok(()) = rekey(world.store(), CancellationToken::new()).await;
    assert_eq!(up_to_date().await, 2);
}

#[tokio::test]
async fn bad_digests_are_named_by_row_and_field_and_nothing_changes() {
    type Edit = fn(&mut wire::EntrustDigestsRequest);
    let edits: [(Edit, &str, ErrorKind); 7] = [
        (|it| it.digest_key.truncate(31), "digest_key", ErrorKind::InvalidArgument),
        (|it| it.rules_version += 1, "rules_version", ErrorKind::FailedPrecondition),
        (|it| it.lease_seconds = 59, "lease_seconds", ErrorKind::InvalidArgument),
        (|it| it.customers.clear(), "customers", ErrorKind::InvalidArgument),
        (|it| it.customers[0].customer_id.clear(), "customers[0].customer_id", ErrorKind::InvalidArgument),
        (|it| it.customers[0].account.push(1), "customers[0].account", ErrorKind::InvalidArgument),
        (|it| it.customers[0].digests.push(1), "customers[0].digests", ErrorKind::InvalidArgument),
    ];
    let world = World::new().await;
    let service = service(&world);
    entrust(&service, "bank", vec![Ok(digests())]).await.unwrap();
    for (edit, field, kind) in edits {
        let mut bad = digests();
        edit(&mut bad);
        let error = refusal(entrust(&service, "bank", vec![Ok(bad)]).await);
        assert_eq!((error.kind, error.field.as_str()), (kind, field));
    }
    let error = refusal(entrust(&service, "power", vec![Ok(digests())]).await);
    assert_eq!(error.kind, ErrorKind::FailedPrecondition, "by inquiry");
    assert_eq!(found(&world).await, Some(1), "the copy before still answers");
    let held = custodies(&service, "bank").await;
    assert!(held.len() == 1 && held[0].digest_rules == RULES_VERSION && !held[0].outdated);
}

#[tokio::test]
async fn a_blind_copy_confirms_and_leaves_open_what_it_does_not_tell() {
    let world = World::new().await;
    entrust(&service(&world), "bank", vec![Ok(digests())]).await.unwrap();
    let stranger = {
        let mut asked = asked("山田太郎");
        asked.inquiry.account.account_number = "7654321".to_owned();
        asked
    };
    let inquiries = [asked("山田太郎"), asked("山口太郎"), stranger];
    let decided = async |asks: bool| {
        let company = "bank".parse().unwrap();
        let matcher = ByCustody {
            company,
            policy: Policy::default(),
            store: world.store(),
            clock: world.clock(),
            asks,
        };
        let decided = matcher.decide(&inquiries).await.unwrap();
        decided.into_iter().map(|it| it.map(|it| it.outcome)).collect::<Vec<_>>()
    };
    let (confirmed, review, rejected) =
        (Some(MatchOutcome::Confirmed), Some(MatchOutcome::Review), Some(MatchOutcome::Rejected));
    assert_eq!(decided(true).await, [confirmed, None, rejected]);
    assert_eq!(decided(false).await, [confirmed, review, rejected]);
}

#[tokio::test]
async fn a_blind_copy_of_other_rules_decides_nothing_and_says_so() {
    let world = World::new().await;
    let (bank, now): (CompanyId, _) = ("bank".parse().unwrap(), minute(0));
    let blinding = Blinding { key: DigestKey::new([7; 32]), rules_version: RULES_VERSION + 1 };
    let copy = world.store().begin_copy(&bank, Some(&blinding), now).await.unwrap();
    let customer = BlindCustomer::try_from(digests().customers.remove(0)).unwrap();
    world.store().add_digests(&bank, copy, &[customer], now).await.unwrap();
    world.store().take_effect(&bank, copy, minute(9), now).await.unwrap();
    assert!(custodies(&service(&world), "bank").await[0].outdated);
    let matcher = |asks| {
        let company = bank.clone();
        ByCustody { company, policy: Policy::default(), store: world.store(), clock: world.clock(), asks }
    };
    let inquiries = [asked("山田太郎")];
    assert_eq!(matcher(true).decide(&inquiries).await.unwrap(), [None], "the company is asked");
    let error = matcher(false).decide(&inquiries).await.unwrap_err();
    assert!(error.kind == ErrorKind::Unavailable && error.remedy.contains("entrusted again"), "{error}");
}
