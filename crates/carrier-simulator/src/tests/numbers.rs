//! What is said of numbers.

use musubi_domain::silence::Recycling as R;
use musubi_proto::{
    carrier::v1::{CheckNumbersRequest, NumberAssigned, NumberCheck, NumberPortedIn, NumberReleased},
    convert::carrier::recycling,
};
use tonic::Code;

use super::*;

fn check(last: u32, since: &str) -> NumberCheck {
    NumberCheck { msisdn: msisdn(last), specified_date: since.to_owned() }
}

async fn says(carrier: &Carrier, checks: Vec<NumberCheck>) -> Vec<R> {
    let answer =
        carrier.numbers.clone().check_numbers(CheckNumbersRequest { checks }).await.unwrap().into_inner();
    answer.results.into_iter().map(|result| recycling(result).unwrap()).collect()
}

#[tokio::test]
async fn a_carrier_says_which_numbers_changed_hands_since_a_day() {
    let carrier = Carrier::start().await;
    carrier.followed("bank", 1..6).await;
    let became = |last, what| Action { what: Some(what), ..follow("", last) };
    let today = carrier.now().to_string()[..10].to_owned();
    carrier
        .act(vec![
            became(2, What::Released(NumberReleased {})),
            became(3, What::Released(NumberReleased {})),
            became(3, What::Assigned(NumberAssigned {})),
            became(4, What::PortedIn(NumberPortedIn {})),
            became(5, What::Surrendered(Default::default())),
        ])
        .await;
    let all = |since: &str| (1..=6).map(|last| check(last, since)).collect();
    let long_ago = says(&carrier, all("2020-02-29")).await;
    assert_eq!(long_ago, [R::Same, R::NotFound, R::Recycled, R::OutOfRange, R::Recycled, R::NotFound]);
    let the_same_day = says(&carrier, all(&today)).await;
    assert_eq!(the_same_day[2..5], [R::Recycled, R::OutOfRange, R::Recycled], "the day counts as a whole");
    let to_come = says(&carrier, all("2999-01-01")).await;
    assert_eq!(to_come[..3], [R::OutOfRange, R::NotFound, R::OutOfRange]);
    assert_eq!(
        carrier.information.lines(7).await[5..],
        ["unfollowed bank 5", "reassigned bank 5"],
        "nothing else is told"
    );
}

#[tokio::test]
async fn a_bad_check_is_named_by_its_field() {
    let carrier = Carrier::start().await;
    let mut client = carrier.numbers.clone();
    for (bad, field) in [
        (NumberCheck { msisdn: "090".to_owned(), ..check(1, "2026-11-28") }, "checks[1].msisdn"),
        (check(1, "2026-11-31"), "checks[1].specified_date"),
        (check(1, "28 November"), "checks[1].specified_date"),
    ] {
        let checks = vec![check(1, "2026-11-28"), bad];
        let status = client.check_numbers(CheckNumbersRequest { checks }).await.map(drop).unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(status.message().starts_with(&format!("{field}: ")), "{}", status.message());
    }
    let checks = vec![check(1, "2026-11-28"); 1_001];
    assert!(client.check_numbers(CheckNumbersRequest { checks }).await.is_err());
}
