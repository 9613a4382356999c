//! `ReviewService`.

use std::sync::Arc;

use musubi_domain::{
    Error, ErrorKind,
    id::{CompanyId, FollowerId, OperatorName, ReviewId},
    review::{ReviewSubject, Said, Verdict, say},
};
use musubi_proto::{
    convert::{content::timestamp, information as convert},
    information::v1::{self as wire, review_service_server::ReviewService},
};
use musubi_runtime::{
    Clock,
    grpc::{auth, status::to_status},
};
use musubi_storage::information::{
    FollowerKey, InformationStore,
    flow::Scope,
    review::{Review, ReviewFile, ReviewQuery},
};
use tonic::{Request, Response, Status};

use crate::{
    directory::Directory,
    scene::{Scene, review::Reviewed},
    signal::Signals,
};

/// The reviews of a page when nobody says, and the most.
const PAGE: (u32, u32) = (100, 1_000);

/// What companies ask of reviews.
pub struct Reviews {
    store: Arc<dyn InformationStore>,
    clock: Arc<dyn Clock>,
    directory: Arc<Directory>,
    signals: Signals,
}

impl Reviews {
    /// Works on this store for the companies of this directory.
    #[must_use]
    pub fn new(
        store: Arc<dyn InformationStore>,
        clock: Arc<dyn Clock>,
        directory: Arc<Directory>,
        signals: Signals,
    ) -> Self {
        Self { store, clock, directory, signals }
    }

    fn query(&self, company: CompanyId, request: &wire::ListReviewsRequest) -> Result<ReviewQuery, Error> {
        let account = match request.official_account.as_str() {
            "" => None,
            named => Some(self.directory.own_account(&company, named)?.id.clone()),
        };
        let limit = match request.page_size {
            0 => PAGE.0,
            size if size <= PAGE.1 => size,
            size => {
                let problem = format!("{size} reviews");
                return Err(Error::invalid("page_size", problem, "ask for 1 to 1,000, or 0 for 100"));
            }
        };
        let after = match request.page_token.as_str() {
            "" => None,
            token => Some(token.parse().map_err(|_| {
                let remedy = "give the next_page_token of the page before, or none";
                Error::invalid("page_token", "is no token of ours", remedy)
            })?),
        };
        Ok(ReviewQuery { company, account, state: convert::review_state(request.state)?, after, limit })
    }

    async fn show(
        &self,
        company: &CompanyId,
        request: &wire::GetReviewRequest,
    ) -> Result<wire::GetReviewResponse, Error> {
        let (id, operator) = (parse_id(&request.review_id)?, parse_operator(&request.operator)?);
        let ReviewFile { key, review, phone_number, tied_number, former_customer } =
            self.store.show_review(company, id, &operator, self.clock.now()).await?;
        let subject = review.subject.clone();
        let account = self.directory.account(&key.account);
        Ok(wire::GetReviewResponse {
            review: Some(show_review(&key, review)),
            subject: subject.map(show_subject),
            phone_number: phone_number.as_str().to_owned(),
            tied_phone_number: tied_number.map_or_else(String::new, |number| number.as_str().to_owned()),
            former_customer_id: former_customer.map_or_else(String::new, |customer| customer.to_string()),
            second_person_required: account.is_some_and(|account| account.rules.review_second_person),
        })
    }

    /// Takes an operator's word, in one unit of work with all that it does. Gives the review, and whose other tie ended.
    async fn decide(
        &self,
        company: &CompanyId,
        id: &str,
        operator: &str,
        verdict: Verdict,
    ) -> Result<(wire::Review, Option<FollowerId>), Error> {
        let (id, operator) = (parse_id(id)?, parse_operator(operator)?);
        let ReviewFile { key, review, .. } = self.store.get_review(company, id).await?;
        let gone = || {
            let problem = "its official account is configured no longer";
            Error::new(ErrorKind::FailedPrecondition, problem, "have it configured again").at("review_id")
        };
        let (account, settings) = self.directory.account_and_company(&key.account).ok_or_else(gone)?;
        let second_person = account.rules.review_second_person;
        if say(review.state, &review.decisions, verdict, &operator, second_person)? == Said::Again {
            return Ok((show_review(&key, review), None));
        }
        let now = self.clock.now();
        let customers = review.proposed_customer.into_iter().map(|it| (key.account.clone(), it)).collect();
        let scope = Scope { followers: vec![key.clone()], customers, ..Scope::default() };
        let scene = Scene { account, company: settings, now };
        let mut said = Err(gone());
        self.store
            .work("decide_review", &scope, now, &mut |work| {
                said = scene.review(work, &key, id, verdict, &operator);
            })
            .await?;
        self.signals.deliveries.raise();
        let Reviewed { review, ended } = said?;
        Ok((show_review(&key, review), ended))
    }
}

fn parse_id(id: &str) -> Result<ReviewId, Error> {
    id.parse().map_err(|error: Error| Error { kind: ErrorKind::NotFound, ..error })
}

fn parse_operator(name: &str) -> Result<OperatorName, Error> {
    name.parse()
}

pub(crate) fn show_subject(subject: ReviewSubject) -> wire::ReviewSubject {
    let ReviewSubject { account, identity } = subject;
    wire::ReviewSubject {
        account_number: account.account_number,
        branch_number: account.branch_number.unwrap_or_default(),
        name: identity.name,
        name_kana: identity.name_kana.unwrap_or_default(),
        birth_date: identity.birth_date,
        address: identity.address,
    }
}

pub(crate) fn show_review(key: &FollowerKey, review: Review) -> wire::Review {
    let decisions = review.decisions.into_iter().map(|decision| wire::ReviewDecision {
        operator: decision.operator.to_string(),
        verdict: wire::ReviewVerdict::from(decision.verdict).into(),
        decide_time: Some(timestamp(decision.decide_time)),
    });
    wire::Review {
        review_id: review.id.to_string(),
        official_account: key.account.to_string(),
        follower_id: key.follower.to_string(),
        customer_id: review.proposed_customer.map_or_else(String::new, |customer| customer.to_string()),
        reasons: review.reasons,
        state: wire::ReviewState::from(review.state).into(),
        decisions: decisions.collect(),
        open_time: Some(timestamp(review.open_time)),
        expire_time: Some(timestamp(review.expire_time)),
        close_time: review.close_time.map(timestamp),
        method: musubi_proto::r#type::v1::IdentityMethod::from(review.method).into(),
    }
}

#[tonic::async_trait]
impl ReviewService for Reviews {
    async fn list_reviews(
        &self,
        request: Request<wire::ListReviewsRequest>,
    ) -> Result<Response<wire::ListReviewsResponse>, Status> {
        let company = auth::company(&request)?;
        let query = self.query(company, &request.into_inner()).map_err(to_status)?;
        let page = self.store.list_reviews(&query).await.map_err(to_status)?;
        let full = u32::try_from(page.len()).is_ok_and(|length| length == query.limit);
        let last = page.last().filter(|_| full);
        let next_page_token = last.map_or_else(String::new, |(_, review)| review.id.to_string());
        let reviews = page.into_iter().map(|(key, review)| show_review(&key, review)).collect();
        Ok(Response::new(wire::ListReviewsResponse { reviews, next_page_token }))
    }

    async fn get_review(
        &self,
        request: Request<wire::GetReviewRequest>,
    ) -> Result<Response<wire::GetReviewResponse>, Status> {
        let company = auth::company(&request)?;
        self.show(&company, &request.into_inner()).await.map(Response::new).map_err(to_status)
    }

    async fn approve_review(
        &self,
        request: Request<wire::ApproveReviewRequest>,
    ) -> Result<Response<wire::ApproveReviewResponse>, Status> {
        let company = auth::company(&request)?;
        let wire::ApproveReviewRequest { review_id, operator } = request.into_inner();
        let review = self.decide(&company, &review_id, &operator, Verdict::Approved).await;
        let (review, ended) = review.map_err(to_status)?;
        let ended_follower_id = ended.map_or_else(String::new, |ended| ended.to_string());
        Ok(Response::new(wire::ApproveReviewResponse { review: Some(review), ended_follower_id }))
    }

    async fn reject_review(
        &self,
        request: Request<wire::RejectReviewRequest>,
    ) -> Result<Response<wire::RejectReviewResponse>, Status> {
        let company = auth::company(&request)?;
        let wire::RejectReviewRequest { review_id, operator } = request.into_inner();
        let review = self.decide(&company, &review_id, &operator, Verdict::Rejected).await;
        let (review, _) = review.map_err(to_status)?;
        Ok(Response::new(wire::RejectReviewResponse { review: Some(review) }))
    }
}
