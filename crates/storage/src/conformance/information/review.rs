//! Facts about reviews, and about customers who claim, or are claimed by, two numbers.

use musubi_domain::{
    ErrorKind,
    customer::GivenAccount,
    dialogue::State,
    id::{DialogueId, InquiryId, ReviewId},
    identity::{AttestedIdentity, IdentityMethod},
    review::{Decision, ReviewState as S, ReviewSubject, Verdict},
};

use super::{Bench, at, change, follow, key, load, named, number, of, tie, tied, unit};
use crate::{
    StoreError,
    information::{
        flow::{Scope, Work},
        review::{Review, ReviewQuery},
    },
};

/// A review of the bank's follower that began then; a company has the name of its account here.
pub(crate) fn review(account: &str, last: u8, second: i64) -> Review {
    let mut dialogue = [last; 16];
    dialogue[0] = account.as_bytes()[0];
    let inquiry = InquiryId::derive(DialogueId::from_bytes(dialogue), 0, at(second));
    Review {
        id: ReviewId::derive(inquiry),
        company: named(account),
        dialogue: DialogueId::from_bytes([last; 16]),
        inquiry,
        proposed_customer: Some(named("C1")),
        method: IdentityMethod::Jpki,
        reasons: vec!["name.other_family_name".to_owned()],
        subject: Some(ReviewSubject {
            account: GivenAccount { branch_number: None, account_number: format!("{last:07}") },
            identity: AttestedIdentity {
                method: IdentityMethod::Jpki,
                name: "山田 太郎".to_owned(),
                name_kana: None,
                birth_date: "1980-02-03".to_owned(),
                address: "東京都".to_owned(),
            },
        }),
        state: S::Open,
        decisions: Vec::new(),
        open_time: at(second),
        expire_time: at(second + 1_000),
        close_time: None,
    }
}

/// Opens a review.
async fn open(store: &dyn Bench, account: &str, last: u8, second: i64) -> Review {
    let review = review(account, last, second);
    change(store, &key(account, last), |record| {
        record.dialogue.as_mut().unwrap().state = State::Review;
        record.review = Some(Box::new(review.clone()));
    })
    .await;
    review
}

/// Closes the follower's review.
async fn close(store: &dyn Bench, account: &str, last: u8, state: S) {
    change(store, &key(account, last), |record| record.review.as_mut().unwrap().close(state, at(9))).await;
}

fn refused<T: std::fmt::Debug>(outcome: Result<T, StoreError>) -> musubi_domain::Error {
    match outcome {
        Err(StoreError::Refused(error)) => error,
        other => panic!("it was not refused: {other:?}"),
    }
}

pub(crate) async fn a_customer_is_tied_to_one_number_of_an_account(store: &dyn Bench) {
    follow(store, "bank", 1..3).await;
    follow(store, "power", 1..2).await;
    tied(store, "bank", &[(1, "C1")]).await;
    tied(store, "power", &[(1, "C1")]).await;
    let mut edit = |work: &mut Work| {
        let key = key("bank", 2);
        work.followers.get_mut(&key).unwrap().tie = Some(tie(&key, "C1"));
    };
    let second = store.work("fact", &of(vec![key("bank", 2)]), at(0), &mut edit).await;
    assert!(matches!(second, Err(StoreError::Unavailable { .. })), "{second:?}");
    let loaded = load(store, vec![key("bank", 1), key("bank", 2)]).await;
    assert!(loaded[&key("bank", 1)].tie.is_some() && loaded[&key("bank", 2)].tie.is_none());
}

pub(crate) async fn a_tie_goes_from_one_number_to_another_in_one_unit(store: &dyn Bench) {
    follow(store, "bank", 1..3).await;
    tied(store, "bank", &[(1, "C1")]).await;
    let (from, to) = (key("bank", 1), key("bank", 2));
    unit(store, &of(vec![from.clone(), to.clone()]), |work| {
        let ended = work.followers.get_mut(&from).unwrap();
        ended.former_customer = ended.tie.take().map(|ended| ended.tie.customer_id);
        work.followers.get_mut(&to).unwrap().tie = Some(tie(&to, "C1"));
    })
    .await;
    let loaded = load(store, vec![from.clone(), to.clone()]).await;
    assert_eq!(loaded[&from].former_customer, Some(named("C1")));
    assert!(loaded[&from].tie.is_none() && loaded[&to].tie.is_some());
}

pub(crate) async fn who_has_a_customers_tie_is_loaded_with_it(store: &dyn Bench) {
    follow(store, "bank", 1..4).await;
    follow(store, "power", 1..2).await;
    tied(store, "bank", &[(1, "C1"), (2, "C2")]).await;
    tied(store, "power", &[(1, "C3")]).await;
    let customers = ["C1", "C3", "C9"].map(|customer| (named("bank"), named(customer))).to_vec();
    let scope = Scope { customers, ..of(vec![key("bank", 3)]) };
    unit(store, &scope, |work| {
        let known: Vec<_> = work.tied.iter().collect();
        assert_eq!(known, [(&(named("bank"), named("C1")), &key("bank", 1))]);
        let mut loaded: Vec<_> = work.followers.keys().cloned().collect();
        loaded.sort();
        assert_eq!(loaded, [key("bank", 1), key("bank", 3)]);
    })
    .await;
}

pub(crate) async fn a_review_waits_with_its_follower_and_leaves_a_record(store: &dyn Bench) {
    follow(store, "bank", [1]).await;
    let opened = open(store, "bank", 1, 0).await;
    let decision = Decision { operator: named("sato"), verdict: Verdict::Approved, decide_time: at(3) };
    change(store, &key("bank", 1), |record| {
        let review = record.review.as_mut().unwrap();
        assert_eq!(**review, opened);
        review.state = S::ApprovedOnce;
        review.decisions.push(decision.clone());
    })
    .await;
    change(store, &key("bank", 1), |record| {
        let review = record.review.as_mut().unwrap();
        assert_eq!((review.state, review.decisions.len()), (S::ApprovedOnce, 1));
        review.decisions.push(Decision { operator: named("kato"), ..decision.clone() });
        review.close(S::Approved, at(9));
    })
    .await;
    assert_eq!(load(store, vec![key("bank", 1)]).await[&key("bank", 1)].review, None);
    let file = store.get_review(&named("bank"), opened.id).await.unwrap();
    let names: Vec<_> = file.review.decisions.iter().map(|it| it.operator.to_string()).collect();
    assert_eq!(
        (file.key, file.phone_number, names),
        (key("bank", 1), number(1), vec!["sato".to_owned(), "kato".to_owned()])
    );
    assert_eq!((file.review.state, file.review.close_time), (S::Approved, Some(at(9))));
    assert!(open(store, "bank", 1, 20).await.id != opened.id, "the same follower may come into review again");
}

pub(crate) async fn a_review_that_waits_no_more_keeps_nothing_of_the_person(store: &dyn Bench) {
    follow(store, "bank", 1..5).await;
    for (last, state) in (1..).zip([S::Approved, S::Rejected, S::Expired, S::Withdrawn]) {
        let id = open(store, "bank", last, 0).await.id;
        assert!(store.get_review(&named("bank"), id).await.unwrap().review.subject.is_some());
        close(store, "bank", last, state).await;
        assert_eq!(store.get_review(&named("bank"), id).await.unwrap().review.subject, None);
    }
    follow(store, "bank", [9]).await;
    open(store, "bank", 9, 0).await;
    let mut keeps = |work: &mut Work| {
        work.followers.get_mut(&key("bank", 9)).unwrap().review.as_mut().unwrap().state = S::Rejected;
    };
    let kept = store.work("fact", &of(vec![key("bank", 9)]), at(0), &mut keeps).await;
    assert!(kept.is_err(), "one that is over and still keeps something is not stored");
}

pub(crate) async fn reviews_are_listed_in_pages_by_account_and_state(store: &dyn Bench) {
    for account in ["bank", "power"] {
        follow(store, account, 1..6).await;
        for last in 1..6 {
            open(store, account, last, if last < 3 { 0 } else { i64::from(last) }).await;
        }
    }
    close(store, "bank", 4, S::Rejected).await;
    let mut query = ReviewQuery { company: named("bank"), account: None, state: None, after: None, limit: 2 };
    let mut seen = Vec::new();
    loop {
        let page = store.list_reviews(&query).await.unwrap();
        query.after = page.last().map(|(_, review)| review.id);
        seen.extend(page.iter().map(|(key, review)| (key.follower.as_bytes()[0], review.open_time)));
        if page.len() < 2 {
            break;
        }
    }
    let times: Vec<_> = seen.iter().map(|(_, time)| *time).collect();
    assert_eq!(times, [at(0), at(0), at(3), at(4), at(5)]);
    seen.sort_unstable();
    assert_eq!(seen.iter().map(|(last, _)| *last).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);

    let lasts = async |account: Option<&str>, state| {
        let account = account.map(named);
        let query = ReviewQuery { company: named("bank"), account, state, after: None, limit: 9 };
        let page = store.list_reviews(&query).await.unwrap();
        page.into_iter()
            .map(|(key, _)| key.follower.as_bytes()[0])
            .filter(|last| *last > 2)
            .collect::<Vec<_>>()
    };
    assert_eq!(lasts(None, Some(S::Open)).await, [3, 5]);
    assert_eq!(lasts(Some("bank"), Some(S::Rejected)).await, [4]);
    assert_eq!(lasts(Some("power"), None).await, [0; 0], "an account of another company has none");
}

pub(crate) async fn a_review_is_told_with_what_an_approval_would_end(store: &dyn Bench) {
    follow(store, "bank", 1..3).await;
    let id = open(store, "bank", 1, 0).await.id;
    let told = async || {
        let file = store.get_review(&named("bank"), id).await.unwrap();
        (file.tied_number, file.former_customer)
    };
    assert_eq!(told().await, (None, None));
    tied(store, "bank", &[(2, "C1")]).await;
    change(store, &key("bank", 1), |record| record.former_customer = Some(named("C8"))).await;
    assert_eq!(told().await, (Some(number(2)), Some(named("C8"))));
    change(store, &key("bank", 2), |record| record.tie = None).await;
    tied(store, "bank", &[(1, "C1")]).await;
    assert_eq!(told().await.0, None, "the follower's own tie is no other's");
}

/// What the audit says beside that followers moved.
async fn beside_moves(store: &dyn Bench) -> Vec<String> {
    let mut lines = store.audits().await;
    lines.retain(|line| !line.contains(" moved "));
    lines
}

pub(crate) async fn another_companys_review_is_out_of_reach(store: &dyn Bench) {
    follow(store, "bank", [1]).await;
    let id = open(store, "bank", 1, 0).await.id;
    let power = named("power");
    let unknown = ReviewId::derive(InquiryId::derive(DialogueId::from_bytes([9; 16]), 0, at(0)));
    for (company, id) in [(&power, id), (&named("bank"), unknown)] {
        for error in [
            refused(store.get_review(company, id).await),
            refused(store.show_review(company, id, &named("sato"), at(0)).await),
        ] {
            assert_eq!((error.kind, error.field.as_str()), (ErrorKind::NotFound, "review_id"));
        }
        let query =
            ReviewQuery { company: company.clone(), account: None, state: None, after: Some(id), limit: 9 };
        assert_eq!(refused(store.list_reviews(&query).await).field, "page_token");
    }
    assert_eq!(beside_moves(store).await, [""; 0], "nothing was shown");
}

pub(crate) async fn a_look_at_a_review_is_in_the_audit(store: &dyn Bench) {
    follow(store, "bank", [1]).await;
    let opened = open(store, "bank", 1, 0).await;
    let file = store.show_review(&named("bank"), opened.id, &named("sato"), at(1)).await.unwrap();
    assert_eq!(file.review, opened);
    let line = format!("bank bank {} review_shown {} to sato", "01".repeat(16), opened.id);
    assert_eq!(beside_moves(store).await, [line]);
    store.get_review(&named("bank"), opened.id).await.unwrap();
    assert_eq!(beside_moves(store).await.len(), 1, "to decide is told by who decides");
}
