//! The master entrusted, kept entrusted and taken back.

use std::time::Duration;

use jiff::SignedDuration;
use musubi_domain::blind::DigestKey;
use musubi_matching::{RULES_VERSION, check_digests};
use musubi_proto::company::v1::{EntrustMasterRequest, ListCopiesRequest, PurgeMasterRequest};
use musubi_runtime::grpc::status::from_status;
use tonic::Code;

use super::*;

const BY_HAND: &str = "matching = 'custody'\n[custody]\nautomatic = false";
const BLIND: &str = "matching = 'custody'\n[custody]\nblind = true\nlease = '1h'";
const BY_ITSELF: &str = "matching = 'custody'\n[custody]\nlease = '1h'";

/// Waits until the peer has been given so many copies.
async fn copies(company: &Company, count: u32) {
    for _ in 0..500 {
        if company.peer.told.lock().unwrap().copies >= count {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{count} copies never came");
}

async fn entrust(company: &Company, lease_seconds: u64) -> Result<u64, Status> {
    let request = EntrustMasterRequest { lease_seconds, blind: false };
    let response = company.customers().entrust_master(request).await?;
    Ok(response.into_inner().customers)
}

#[tokio::test]
async fn the_whole_master_is_entrusted_in_chunks_and_taken_back() {
    let company = Company::start(BY_HAND).await;
    let rows: String = (0..2500).map(|row| format!("C{row:05},名,,1980-01-01,東京都,,{row},\n")).collect();
    company.import(format!("{HEADER}{rows}").as_bytes()).await.unwrap();
    assert_eq!(entrust(&company, 3600).await.unwrap(), 2500);
    {
        let told = company.peer.told.lock().unwrap();
        let copy = told.entrusted.as_ref().unwrap();
        assert_eq!((copy.len(), told.largest_chunk), (2500, 1000));
        assert_eq!((copy[7].customer_id.as_str(), copy[7].account_number.as_str()), ("C00007", "7"));
    }
    let purged = company.customers().purge_master(PurgeMasterRequest {}).await.unwrap().into_inner().purged;
    assert_eq!(purged, 2500);
    assert!(company.peer.told.lock().unwrap().entrusted.is_none());
}

#[tokio::test]
async fn what_can_not_be_entrusted_is_refused_before_the_peer_is_asked() {
    let company = Company::start(BY_HAND).await;
    for lease in [0, 59, 30 * 86400 + 1] {
        let status = entrust(&company, lease).await.unwrap_err();
        assert_eq!(
            (status.code(), from_status(&status).field.as_str()),
            (Code::InvalidArgument, "lease_seconds")
        );
    }
    assert_eq!(
        entrust(&company, 60).await.unwrap_err().code(),
        Code::FailedPrecondition,
        "the master is empty"
    );
    assert_eq!(company.peer.told.lock().unwrap().calls, [""; 0]);
    let company = Company::start("").await;
    company.import(format!("{HEADER}{THREE}").as_bytes()).await.unwrap();
    assert_eq!(entrust(&company, 60).await.unwrap_err().code(), Code::FailedPrecondition, "by inquiry");
}

#[tokio::test]
async fn a_copy_is_entrusted_after_an_import_and_not_again_after_a_restart() {
    let mut company = Company::start(BY_ITSELF).await;
    company.import(format!("{HEADER}{THREE}").as_bytes()).await.unwrap();
    copies(&company, 1).await;
    company.restart().await;
    company.import(format!("{HEADER}{}", THREE.replace("5-23", "5-24")).as_bytes()).await.unwrap();
    copies(&company, 2).await;
    assert_eq!(company.peer.told.lock().unwrap().copies, 2);
    company.clock.advance(SignedDuration::from_mins(46));
    company.restart().await;
    copies(&company, 3).await;
}

#[tokio::test]
async fn digests_are_entrusted_in_chunks_with_a_new_key_for_each_copy() {
    let company = Company::start(BY_HAND).await;
    let rows: String = (0..1500).map(|row| format!("C{row:05},名,,1980-01-01,東京都,,{row},\n")).collect();
    company.import(format!("{HEADER}{rows}").as_bytes()).await.unwrap();
    let mut keys = Vec::new();
    for _ in 0..2 {
        let request = EntrustMasterRequest { lease_seconds: 3600, blind: true };
        let entrusted = company.customers().entrust_master(request).await.unwrap().into_inner();
        assert!(entrusted.blind && entrusted.customers == 1500);
        let told = company.peer.told.lock().unwrap();
        let (customers, key, rules) = told.digests.as_ref().unwrap();
        assert_eq!((customers.len(), *rules, told.entrusted.is_none()), (1500, RULES_VERSION, true));
        let made = DigestKey::parse(key).unwrap();
        assert_eq!(customers[7].account, made.account("0000007"));
        assert!(customers.iter().all(|customer| check_digests(&customer.digests).is_ok()));
        keys.push(key.clone());
    }
    assert_ne!(keys[0], keys[1]);
}

#[tokio::test]
async fn a_company_whose_custody_is_blind_never_entrusts_a_plain_master() {
    let company = Company::start(BLIND).await;
    company.import(format!("{HEADER}{THREE}").as_bytes()).await.unwrap();
    copies(&company, 1).await;
    assert_eq!(entrust(&company, 3600).await.unwrap(), 3, "whoever asks");
    let calls = company.peer.told.lock().unwrap().calls.clone();
    assert!(calls.len() == 2 && calls.iter().all(|call| call.starts_with("entrust digests")), "{calls:?}");
    let copies = company.customers().list_copies(ListCopiesRequest {}).await.unwrap().into_inner().copies;
    assert!(copies.len() == 1 && copies[0].blind && copies[0].outdated);
}

#[tokio::test]
async fn once_a_copy_was_blind_the_keeper_makes_no_plain_one() {
    let company = Company::start(BY_ITSELF).await;
    company.import(format!("{HEADER}{THREE}").as_bytes()).await.unwrap();
    copies(&company, 1).await;
    let request = EntrustMasterRequest { lease_seconds: 3600, blind: true };
    company.customers().entrust_master(request).await.unwrap();
    company.import(format!("{HEADER}{}", THREE.replace("5-23", "5-24")).as_bytes()).await.unwrap();
    copies(&company, 3).await;
    assert!(company.peer.told.lock().unwrap().entrusted.is_none());
}
