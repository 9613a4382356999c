//! Reviews: what a person proved beside what the master has, and the decision, by one key.
//!
//! Surprising: what is shown comes from two calls, because no row of the master ever travels with a review.

use askama::Template;
use axum::{
    Form, Router,
    extract::{Path, Query},
    response::{Html, Redirect},
    routing::{get, post},
};
use musubi_domain::ErrorKind;
use musubi_matching::Comparison;
use musubi_proto::{
    company::v1::{Customer, GetCustomerRequest},
    information::v1::{
        ApproveReviewRequest, GetReviewRequest, GetReviewResponse, ListReviewsRequest, RejectReviewRequest,
        Review, ReviewState,
    },
};
use musubi_runtime::grpc::status::from_status;
use serde::Deserialize;

use super::{Console, failure::Failure, language::Language, shell::Shell, visitor::Visitor, words::Chip};
use crate::side_by_side::{Field, side_by_side};

/// Reviews of a page.
const PAGE: u32 = 50;
/// Those that wait for somebody.
const WAITING: [ReviewState; 2] = [ReviewState::Open, ReviewState::ApprovedOnce];

pub(super) fn router() -> Router<Console> {
    Router::new()
        .route("/reviews", get(list))
        .route("/reviews/{id}", get(show))
        .route("/reviews/{id}/decision", post(decide))
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    state: i32,
    #[serde(default)]
    page: String,
}

#[derive(Template)]
#[template(path = "reviews.html")]
struct ListPage {
    s: Shell,
    state: i32,
    states: Vec<(i32, &'static str)>,
    reviews: Vec<Review>,
    next: String,
}

async fn list(visitor: Visitor, Query(choice): Query<Choice>) -> Result<Html<String>, Failure> {
    let (reviews, next) = match choice.state {
        0 => (waiting(&visitor).await?, String::new()),
        state => {
            let request = ListReviewsRequest {
                state,
                page_size: PAGE,
                page_token: choice.page,
                official_account: String::new(),
            };
            let page = visitor.reviews().list_reviews(request).await?.into_inner();
            (page.reviews, page.next_page_token)
        }
    };
    let known = (1..).map_while(|number| ReviewState::try_from(number).ok());
    let states = known.map(|state| (state.into(), visitor.s.language.review(state).text)).collect();
    Ok(Html(ListPage { s: visitor.s, state: choice.state, states, reviews, next }.render()?))
}

/// What waits, the oldest first; the first page of each state.
async fn waiting(visitor: &Visitor) -> Result<Vec<Review>, Failure> {
    let mut found = Vec::new();
    for state in WAITING {
        let request = ListReviewsRequest { state: state.into(), page_size: PAGE, ..Default::default() };
        found.extend(visitor.reviews().list_reviews(request).await?.into_inner().reviews);
    }
    Ok(found)
}

#[derive(Template)]
#[template(path = "review.html")]
struct ShowPage {
    s: Shell,
    review: Review,
    answer: GetReviewResponse,
    fields: Vec<Shown>,
    warnings: Vec<String>,
    /// It waits, and this visitor may decide.
    is_open: bool,
}

/// One field of both sides with what is to be said of it.
struct Shown {
    name: &'static str,
    attested: String,
    master: String,
    chip: Option<Chip>,
    /// It has to be looked at: what stands there is marked.
    is_marked: bool,
    reasons: Vec<String>,
}

async fn show(visitor: Visitor, Path(id): Path<String>) -> Result<Html<String>, Failure> {
    let request = GetReviewRequest { review_id: id, operator: String::new() };
    let answer = visitor.reviews().get_review(request).await?.into_inner();
    let review = answer.review.clone().unwrap_or_default();
    let waits = WAITING.contains(&review.state());
    let customer = if waits { master_row(&visitor, &review.customer_id).await? } else { None };
    let language = visitor.s.language;
    let fields = match &answer.subject {
        Some(subject) => {
            side_by_side(subject, customer.as_ref()).into_iter().map(|it| shown(it, language)).collect()
        }
        None => Vec::new(),
    };
    let warnings = if waits { warnings(&answer, &review, customer.is_some(), language) } else { Vec::new() };
    let is_open = waits && visitor.s.may("ApproveReview");
    Ok(Html(ShowPage { s: visitor.s, review, answer, fields, warnings, is_open }.render()?))
}

/// The proposed customer as the company's own master has them now.
async fn master_row(visitor: &Visitor, customer_id: &str) -> Result<Option<Customer>, Failure> {
    if customer_id.is_empty() {
        return Ok(None);
    }
    let request = GetCustomerRequest { customer_id: customer_id.to_owned() };
    match visitor.customers().get_customer(request).await {
        Ok(found) => Ok(found.into_inner().customer),
        Err(status) if from_status(&status).kind == ErrorKind::NotFound => Ok(None),
        Err(status) => Err(status.into()),
    }
}

fn shown(field: Field, language: Language) -> Shown {
    let Field { name, attested, master, compared } = field;
    Shown {
        name: language.field(name),
        attested,
        master,
        chip: compared.as_ref().map(|compared| language.comparison(compared)),
        is_marked: compared.as_ref().is_some_and(|compared| compared.comparison != Comparison::Equal),
        reasons: compared.map_or_else(Vec::new, |compared| {
            compared.reasons.iter().map(|reason| language.reason(reason.as_str())).collect()
        }),
    }
}

/// What has to be known before one decides.
fn warnings(answer: &GetReviewResponse, review: &Review, in_master: bool, language: Language) -> Vec<String> {
    let is_japanese = language == Language::Japanese;
    let customer = &review.customer_id;
    let mut sentences = Vec::new();
    let mut say =
        |japanese: String, english: String| sentences.push(if is_japanese { japanese } else { english });
    if customer.is_empty() {
        say(
            "候補の顧客がないため、否認だけができます。".to_owned(),
            "No customer is proposed, so it can only be rejected.".to_owned(),
        );
    } else if !in_master {
        say(
            format!("マスターに顧客 {customer} はもういません。"),
            format!("The master has no {customer} any more."),
        );
    }
    if !answer.tied_phone_number.is_empty() {
        let number = &answer.tied_phone_number;
        say(
            format!("顧客 {customer} はいま {number} と紐づいています。承認すると、その紐づけは終わります。"),
            format!("{customer} is tied to {number} now. To approve means that they moved: that tie ends."),
        );
    }
    let former = &answer.former_customer_id;
    if !former.is_empty() && former != customer {
        say(
            format!("この番号は以前、顧客 {former} と紐づいていました。"),
            format!("The number was tied to {former} before."),
        );
    }
    if answer.second_person_required {
        say(
            "承認には二人が必要です。否認は一人でできます。".to_owned(),
            "Two people have to approve it; one may reject it.".to_owned(),
        );
    }
    sentences
}

#[derive(Deserialize)]
struct Decision {
    verdict: String,
}

async fn decide(
    visitor: Visitor,
    Path(id): Path<String>,
    Form(decision): Form<Decision>,
) -> Result<Redirect, Failure> {
    let operator = String::new();
    let done = if decision.verdict == "approve" {
        let request = ApproveReviewRequest { review_id: id, operator };
        let answer = visitor.reviews().approve_review(request).await?.into_inner();
        match answer.review.unwrap_or_default().state() {
            ReviewState::ApprovedOnce => "approved-once",
            ReviewState::Unspecified
            | ReviewState::Open
            | ReviewState::Approved
            | ReviewState::Rejected
            | ReviewState::Expired
            | ReviewState::Withdrawn => "review-approved",
        }
    } else {
        visitor.reviews().reject_review(RejectReviewRequest { review_id: id, operator }).await?;
        "review-rejected"
    };
    // On to the next one that nobody has decided.
    let request = ListReviewsRequest { state: ReviewState::Open.into(), page_size: 1, ..Default::default() };
    let next = visitor.reviews().list_reviews(request).await?.into_inner().reviews;
    Ok(Redirect::to(&match next.first() {
        Some(next) => format!("/reviews/{}?done={done}", next.review_id),
        None => format!("/reviews?done={done}"),
    }))
}
