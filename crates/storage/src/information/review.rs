//! Reviews as a company's operators look at them: pages of the queue, and one with all that belongs to it.
//!
//! A review begins, is decided and ends with its follower, in a unit of work ([`flow`](super::flow)); nothing here changes one.
//! Surprising: looking at one writes, because every look at personal data stands in the audit (I15).

use async_trait::async_trait;
use jiff::Timestamp;
use musubi_domain::{
    Error, ErrorKind,
    id::{CompanyId, CustomerId, DialogueId, InquiryId, OfficialAccountId, OperatorName, ReviewId},
    identity::IdentityMethod,
    phone_number::PhoneNumber,
    review::{Decision, ReviewState, ReviewSubject},
};

use super::FollowerKey;
use crate::StoreError;

/// One inquiry that people decide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Review {
    /// Derived from the inquiry.
    pub id: ReviewId,
    /// Whose operators decide.
    pub company: CompanyId,
    /// In which dialogue.
    pub dialogue: DialogueId,
    /// Which inquiry.
    pub inquiry: InquiryId,
    /// The customer whom the person may be.
    pub proposed_customer: Option<CustomerId>,
    /// How the identity was verified.
    pub method: IdentityMethod,
    /// Why it could not be decided, as codes.
    pub reasons: Vec<String>,
    /// What was typed and attested; there as long as the review waits, and no longer.
    pub subject: Option<ReviewSubject>,
    /// Where it stands.
    pub state: ReviewState,
    /// Who said what, in order; at most two.
    pub decisions: Vec<Decision>,
    /// When it began.
    pub open_time: Timestamp,
    /// When it expires.
    pub expire_time: Timestamp,
    /// When it was decided, expired or was withdrawn.
    pub close_time: Option<Timestamp>,
}

impl Review {
    /// It waits no more: what it kept of the person is gone.
    pub fn close(&mut self, state: ReviewState, now: Timestamp) {
        self.state = state;
        self.subject = None;
        self.close_time = Some(now);
    }
}

/// A review with what an operator has to know besides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReviewFile {
    /// Whose dialogue.
    pub key: FollowerKey,
    /// The review.
    pub review: Review,
    /// The follower's number.
    pub phone_number: PhoneNumber,
    /// The number that the proposed customer is tied to now, if it is another: an approval ends that tie.
    pub tied_number: Option<PhoneNumber>,
    /// The customer whom the follower's number was tied to last.
    pub former_customer: Option<CustomerId>,
}

/// Which reviews to list.
#[derive(Clone, Debug)]
pub struct ReviewQuery {
    /// Who asks.
    pub company: CompanyId,
    /// Only this account's.
    pub account: Option<OfficialAccountId>,
    /// Only those that stand there.
    pub state: Option<ReviewState>,
    /// From behind this one.
    pub after: Option<ReviewId>,
    /// At most so many.
    pub limit: u32,
}

/// Reviews as operators look at them. Every method is one transaction and gives [`StoreError::Unavailable`] when the database
/// doesn't work. Another company's review is not found.
#[async_trait]
pub trait ReviewStore: Send + Sync {
    /// A page of reviews, those that began first in front.
    ///
    /// # Errors
    /// Refused as `InvalidArgument` at `page_token` when the company has no review to begin behind.
    async fn list_reviews(&self, query: &ReviewQuery) -> Result<Vec<(FollowerKey, Review)>, StoreError>;

    /// One review, to decide it.
    ///
    /// # Errors
    /// Refused as `NotFound` at `review_id`.
    async fn get_review(&self, company: &CompanyId, id: ReviewId) -> Result<ReviewFile, StoreError>;

    /// One review, to show it to this operator; that is in the audit before it is given.
    ///
    /// # Errors
    /// Refused as `NotFound` at `review_id`.
    async fn show_review(
        &self,
        company: &CompanyId,
        id: ReviewId,
        operator: &OperatorName,
        now: Timestamp,
    ) -> Result<ReviewFile, StoreError>;
}

/// Another company's, or nobody's.
pub(crate) fn no_review() -> Error {
    let remedy = "take an id that musubi reviews list shows";
    Error::new(ErrorKind::NotFound, "no such review", remedy).at("review_id")
}

/// A page begins behind a review of the company's.
pub(crate) fn no_page() -> Error {
    let remedy = "give the next_page_token of the page before, or none";
    Error::invalid("page_token", "no page gave it", remedy)
}
