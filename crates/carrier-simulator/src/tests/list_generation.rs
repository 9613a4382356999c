//! Facts about official accounts and subscriber lists.

use musubi_proto::{
    carrier::v1::{
        FetchSubscriberListRequest, FetchSubscriberListResponse, PutOfficialAccountRequest,
        SubscriberListEnd, SubscriberListHeader, fetch_subscriber_list_response::Part,
    },
    convert::content::timestamp,
};
use sha2::{Digest as _, Sha256};
use tonic::{Code, Streaming};

use super::{Carrier, SubscriberListServiceClient, follow, msisdn, unfollow};

async fn fetch(carrier: &Carrier, account: &str) -> Streaming<FetchSubscriberListResponse> {
    let request = FetchSubscriberListRequest { official_account: account.to_owned() };
    carrier.lists.clone().fetch_subscriber_list(request).await.unwrap().into_inner()
}

async fn header(stream: &mut Streaming<FetchSubscriberListResponse>) -> SubscriberListHeader {
    match stream.message().await.unwrap().unwrap().part.unwrap() {
        Part::Header(header) => header,
        Part::Page(_) | Part::End(_) => panic!("a header comes first"),
    }
}

/// The numbers, after the header; checks pages and end.
async fn numbers(stream: &mut Streaming<FetchSubscriberListResponse>) -> Vec<String> {
    let (mut numbers, mut pages) = (Vec::new(), 0);
    while let Some(response) = stream.message().await.unwrap() {
        match response.part.unwrap() {
            Part::Header(_) => panic!("one header"),
            Part::Page(page) => {
                assert_eq!(page.page_number, pages);
                assert!((1..=1_000).contains(&page.msisdns.len()));
                pages += 1;
                numbers.extend(page.msisdns);
            }
            Part::End(SubscriberListEnd { count, digest }) => {
                assert_eq!(count, numbers.len() as u64);
                let text: String = numbers.iter().map(|number| format!("{number}\n")).collect();
                assert_eq!(digest, Sha256::digest(text).to_vec());
                assert!(stream.message().await.unwrap().is_none(), "nothing after the end");
                return numbers;
            }
        }
    }
    panic!("the snapshot has no end")
}

#[tokio::test]
async fn a_snapshot_carries_every_number_once_with_its_count_and_digest() {
    let carrier = Carrier::start().await;
    carrier.followed("bank", 0..2_500).await;
    carrier.act(vec![unfollow("bank", 7), follow("bank", 9_999), unfollow("bank", 2_499)]).await;
    let mut stream = fetch(&carrier, "bank").await;
    assert_eq!(header(&mut stream).await.as_of_time, Some(timestamp(carrier.now())));
    let expected: Vec<_> = (0..2_499).filter(|last| *last != 7).chain([9_999]).map(msisdn).collect();
    assert_eq!(numbers(&mut stream).await, expected);
}

#[tokio::test]
async fn an_empty_list_is_a_whole_snapshot() {
    let carrier = Carrier::start().await;
    carrier.open_account("bank").await;
    let mut stream = fetch(&carrier, "bank").await;
    header(&mut stream).await;
    assert_eq!(numbers(&mut stream).await, [""; 0]);
}

#[tokio::test]
async fn a_snapshot_is_of_one_moment_while_people_follow_and_leave() {
    let carrier = Carrier::start().await;
    carrier.followed("bank", 0..10_000).await;
    let mut stream = fetch(&carrier, "bank").await;
    let before = header(&mut stream).await;
    for first in (0..10_000).step_by(500) {
        let leave = (first..first + 250).map(|last| unfollow("bank", last));
        let come = (first..first + 250).map(|last| follow("bank", 20_000 + last));
        carrier.act(leave.chain(come).collect()).await;
    }
    assert_eq!(numbers(&mut stream).await, (0..10_000).map(msisdn).collect::<Vec<_>>());
    let mut stream = fetch(&carrier, "bank").await;
    assert!(header(&mut stream).await.generation > before.generation);
    assert_eq!(numbers(&mut stream).await.len(), 10_000);
}

#[tokio::test]
async fn an_account_that_is_not_open_is_not_found() {
    let carrier = Carrier::start().await;
    let request = FetchSubscriberListRequest { official_account: "bank".to_owned() };
    let status = carrier.lists.clone().fetch_subscriber_list(request).await.err().unwrap();
    assert_eq!(status.code(), Code::NotFound);
}

#[tokio::test]
async fn a_bad_account_is_refused_by_its_field() {
    let carrier = Carrier::start().await;
    for (official_account, display_name, field) in [
        ("Bank", "a", "official_account"),
        ("bank", "", "display_name"),
        ("bank", &"あ".repeat(101), "display_name"),
    ] {
        let request = PutOfficialAccountRequest {
            official_account: official_account.to_owned(),
            display_name: display_name.to_owned(),
        };
        let status = carrier.lists.clone().put_official_account(request).await.err().unwrap();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(status.message().starts_with(field), "{}", status.message());
    }
    let follows = carrier.submit(uuid::Uuid::nil(), vec![follow("bank", 1)]).await;
    assert!(follows.is_err(), "none of them was opened");
}

#[tokio::test]
async fn a_terminal_may_not_read_lists() {
    let carrier = Carrier::start().await;
    carrier.open_account("bank").await;
    let mut lists = SubscriberListServiceClient::new(carrier.terminal.clone());
    let request = FetchSubscriberListRequest { official_account: "bank".to_owned() };
    let status = lists.fetch_subscriber_list(request).await.err().unwrap();
    assert_eq!(status.code(), Code::PermissionDenied);
}
