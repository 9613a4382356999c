//! Inquiries over real gRPC.

use musubi_domain::{
    customer::{GivenAccount, MatchDecision, MatchOutcome},
    id::InquiryId,
    identity::{AttestedIdentity, IdentityMethod},
    vault::{MasterKeys, ReviewSeals},
};
use musubi_matching::{AccountFormat, RULES_VERSION, keys_of};
use musubi_proto::{
    company::v1::{MatchCustomersRequest, match_service_client::MatchServiceClient},
    convert::company::Inquiry,
};
use musubi_runtime::grpc::status::from_status;
use musubi_storage::{
    Opened as _,
    company::CompanyStore as _,
    sqlite::company::SqliteCompanyStore,
    vault::{Schedule, VaultOptions},
};
use tokio_util::sync::CancellationToken;
use tonic::Code;

use super::*;
use crate::{match_service::Matches, rekeying::rekey};

fn inquiry(number: u8, account_number: &str, method: IdentityMethod) -> Inquiry {
    Inquiry {
        inquiry_id: InquiryId::from_bytes([number; 16]),
        account: GivenAccount { branch_number: None, account_number: account_number.to_owned() },
        identity: AttestedIdentity {
            method,
            name: "宮本 真和".to_owned(),
            name_kana: Some("ミヤモト マナ".to_owned()),
            birth_date: "1948-05-04".to_owned(),
            address: "神奈川県横浜市鶴見区駒岡五丁目5-15 サンライズ西305".to_owned(),
        },
    }
}

async fn ask(company: &Company, token: &str, inquiries: Vec<Inquiry>) -> Result<Vec<MatchDecision>, Status> {
    let mut client = MatchServiceClient::new(company.channel(token));
    let inquiries = inquiries.into_iter().map(Into::into).collect();
    let decisions = client.match_customers(MatchCustomersRequest { inquiries }).await?.into_inner().decisions;
    Ok(decisions.into_iter().map(|decision| decision.try_into().unwrap()).collect())
}

/// A customer, a stranger, a weak proof, a joint account, a number that can be nobody's.
fn batch() -> Vec<Inquiry> {
    vec![
        inquiry(1, "0076317", IdentityMethod::Jpki),
        inquiry(2, "0091500", IdentityMethod::Carrier),
        inquiry(3, "76317", IdentityMethod::Document),
        inquiry(4, "5550000", IdentityMethod::Jpki),
        inquiry(5, "11112222333344445555", IdentityMethod::Jpki),
    ]
}

async fn company() -> Company {
    let company = Company::start("").await;
    // A joint account beside the three.
    let joint = THREE.lines().next().unwrap().replace("B000001", "B000004").replace("0076317", "5550000");
    let rows = format!("{HEADER}{THREE}{joint}\n{}\n", joint.replace("B000004", "B000005"));
    company.import(rows.as_bytes()).await.unwrap();
    company
}

#[tokio::test]
async fn a_batch_is_decided_in_order_and_each_decision_is_recorded() {
    let mut company = company().await;
    let batch = batch();
    let decisions = ask(&company, INFORMATION, batch.clone()).await.unwrap();
    let outcomes: Vec<_> = decisions.iter().map(|decision| decision.outcome).collect();
    let [confirmed, review, rejected] =
        [MatchOutcome::Confirmed, MatchOutcome::Review, MatchOutcome::Rejected];
    assert_eq!(outcomes, [confirmed, rejected, review, review, rejected]);
    assert_eq!(decisions[0].customer_id.as_ref().unwrap().as_str(), "B000001");
    assert!(decisions[3].reasons.contains(&"record.duplicate".to_owned()));
    assert_eq!(decisions[4].reasons, ["account.none"]);
    assert_eq!(ask(&company, INFORMATION, batch.clone()).await.unwrap(), decisions);
    company.stop().await;
    let store = opened(&company).await;
    for (inquiry, decision) in batch.iter().zip(decisions) {
        assert_eq!(store.find_decision(inquiry.inquiry_id).await.unwrap(), Some((1, decision)));
    }
}

#[tokio::test]
async fn only_the_information_server_asks() {
    let company = company().await;
    let batch = vec![inquiry(1, "0076317", IdentityMethod::Jpki)];
    assert_eq!(ask(&company, OPERATOR, batch.clone()).await.unwrap_err().code(), Code::PermissionDenied);
    assert_eq!(ask(&company, STRANGER, batch).await.unwrap_err().code(), Code::Unauthenticated);
}

#[tokio::test]
async fn a_wrong_inquiry_is_named_by_its_place() {
    let company = company().await;
    let mut batch = vec![inquiry(1, "0076317", IdentityMethod::Jpki); 2];
    batch[1].account.account_number = "7-6".to_owned();
    let status = ask(&company, INFORMATION, batch).await.unwrap_err();
    assert_eq!(from_status(&status).field, "inquiries[1].account_number");
    let batch = vec![inquiry(1, "0076317", IdentityMethod::Jpki); 1001];
    let status = ask(&company, INFORMATION, batch).await.unwrap_err();
    assert_eq!((status.code(), from_status(&status).field.as_str()), (Code::InvalidArgument, "inquiries"));
}

/// The database of a company that is stopped.
async fn opened(company: &Company) -> SqliteCompanyStore {
    let vault = VaultOptions {
        service: Arc::new(MasterKeys::new(&[MASTER.as_bytes()]).unwrap()),
        random: || [7; 32],
        now: Arc::new(|| Timestamp::UNIX_EPOCH),
        schedule: Schedule::of_days(0, 35),
        companies: vec!["tf-bank".parse().unwrap()],
        accounts: Vec::new(),
        reviews_before: ReviewSeals::default(),
    };
    SqliteCompanyStore::open(&company.folder.path().join("company.db"), vault).await.unwrap()
}

/// As a program of other rules left it.
async fn outdate(store: &SqliteCompanyStore) {
    while store.rekey(0, 1000, &|_| b"of other rules".to_vec()).await.unwrap() > 0 {}
}

/// How many keys are of the present rules.
async fn up_to_date(store: &SqliteCompanyStore, account_keys: &[&str]) -> usize {
    let found = store.find_by_account_keys(account_keys).await.unwrap().customers;
    found.iter().filter(|row| row.keys == keys_of(&row.customer)).count()
}

#[tokio::test]
async fn matches_are_alike_before_during_and_after_rekeying() {
    let mut company = company().await;
    let expected = ask(&company, INFORMATION, batch()).await.unwrap();
    company.stop().await;
    let keys = ["0076317", "0091500", "8377835", "5550000"];
    let decide = async |store: SqliteCompanyStore| {
        let policy = config(&company.folder, &company.peer, "").policy;
        let format = AccountFormat { account_digits: 7, branch_digits: 3 };
        let matches = Matches::new(Arc::new(store), company.clock.clone(), format, policy);
        let decided = matches.decide(batch()).await.unwrap();
        decided.into_iter().map(|decided| decided.decision).collect::<Vec<_>>()
    };
    let store = opened(&company).await;
    assert_eq!(up_to_date(&store, &keys).await, 5, "an import makes keys");
    outdate(&store).await;
    assert_eq!((up_to_date(&store, &keys).await, decide(store.clone()).await), (0, expected.clone()));
    let make = |customer: &_| keys_of(customer).bytes;
    assert_eq!(store.rekey(RULES_VERSION, 2, &make).await.unwrap(), 2);
    store.close().await;
    let store = opened(&company).await;
    assert_eq!((up_to_date(&store, &keys).await, decide(store.clone()).await), (2, expected.clone()));
    let Ok(()) = rekey(Arc::new(store.clone()), CancellationToken::new()).await;
    assert_eq!((up_to_date(&store, &keys).await, decide(store).await), (5, expected));
}

#[tokio::test]
async fn a_server_rekeys_and_goes_on_after_every_restart() {
    let mut company = Company::start("").await;
    let numbers: Vec<String> = (0..5000).map(|number| format!("{number:07}")).collect();
    let rows: String = numbers
        .iter()
        .map(|number| {
            format!("C{number},山田 太郎,,1980-01-01,東京都港区芝公園四丁目2-{number},001,{number},\n")
        })
        .collect();
    company.import(format!("{HEADER}{rows}").as_bytes()).await.unwrap();
    company.stop().await;
    let store = opened(&company).await;
    outdate(&store).await;
    store.close().await;
    let numbers: Vec<&str> = numbers.iter().map(String::as_str).collect();
    let mut done = 0;
    while done < numbers.len() {
        company.start_again().await;
        let asked = vec![inquiry(1, "0000001", IdentityMethod::Jpki)];
        assert_eq!(ask(&company, INFORMATION, asked).await.unwrap()[0].outcome, MatchOutcome::Rejected);
        company.stop().await;
        let store = opened(&company).await;
        let mut now = 0;
        for some in numbers.chunks(1000) {
            now += up_to_date(&store, some).await;
        }
        assert!(now >= done, "{now} after {done}");
        done = now;
        store.close().await;
    }
}
