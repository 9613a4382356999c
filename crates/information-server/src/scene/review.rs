//! What people decide: why a match is not enough, what is kept for them, and what their word does.
//!
//! An approval may take the customer's tie from another number of the account. The operator was shown that; the other number
//! goes the way of its own "untie", and nobody is named to it. Surprising: two claims meet in the unit of work, so that they
//! are found when both come in one batch, too.

use jiff::Timestamp;
use musubi_domain::{
    Error, ErrorKind,
    customer::{MatchDecision, MatchOutcome, Rivalry},
    dialogue::{Choice, Event, State},
    id::{CustomerId, FollowerId, OperatorName, ReviewId},
    review::{Decision, ReviewState, ReviewSubject, Said, Verdict, say},
};
use musubi_storage::information::{
    FollowerKey,
    flow::{FollowerRecord, Inquiry, Work},
    review::Review,
};

use super::Scene;

/// What an operator's word came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reviewed {
    /// The review as it is now.
    pub review: Review,
    /// The other follower whose tie to the customer it ended.
    pub ended: Option<FollowerId>,
}

impl Scene<'_> {
    /// The decision, with what another tie has against it: then it is people's, not ours.
    pub(super) fn against_rivals(
        &self,
        work: &Work,
        key: &FollowerKey,
        decision: &MatchDecision,
    ) -> MatchDecision {
        let mut decision = decision.clone();
        let Some(customer) = &decision.customer_id else { return decision };
        // Who renews has a tie still.
        let former = work.followers.get(key).and_then(|record| {
            record.tie.as_ref().map(|tie| &tie.tie.customer_id).or(record.former_customer.as_ref())
        });
        let found = [
            holder(work, key, customer).map(|_| Rivalry::OtherNumber),
            former.filter(|former| *former != customer).map(|_| Rivalry::OtherCustomer),
        ];
        let reasons = found.into_iter().flatten().map(|rivalry| rivalry.as_str().to_owned());
        match decision.outcome {
            MatchOutcome::Confirmed | MatchOutcome::Review => {
                let before = decision.reasons.len();
                decision.reasons.extend(reasons);
                if decision.reasons.len() > before {
                    decision.outcome = MatchOutcome::Review;
                }
            }
            MatchOutcome::Rejected => {}
        }
        decision
    }

    /// Keeps for the operators what they have to see, until the dialogue's time is over.
    pub(super) fn open_review(
        &self,
        work: &mut Work,
        key: &FollowerKey,
        inquiry: &Inquiry,
        decision: &MatchDecision,
    ) {
        let Some(record) = work.followers.get_mut(key) else { return };
        let Some(dialogue) = &record.dialogue else { return };
        let id = ReviewId::derive(inquiry.id);
        let subject = ReviewSubject { account: inquiry.account.clone(), identity: inquiry.identity.clone() };
        record.review = Some(Box::new(Review {
            id,
            company: self.company.id.clone(),
            dialogue: dialogue.id,
            inquiry: inquiry.id,
            proposed_customer: decision.customer_id.clone(),
            method: inquiry.identity.method,
            reasons: decision.reasons.clone(),
            subject: Some(subject),
            state: ReviewState::Open,
            decisions: Vec::new(),
            open_time: self.now,
            expire_time: dialogue.due_time.unwrap_or(self.now),
            close_time: None,
        }));
    }

    /// An operator's word on the review that waits: ties the customer and says so, or says that it could not be confirmed, or
    /// waits for a second person. Refused, it changes nothing.
    ///
    /// # Errors
    /// What [`say`] refuses; `FailedPrecondition` for `review_id` when there is no customer to tie; `Unavailable` when the review
    /// was closed a moment ago.
    pub fn review(
        &self,
        work: &mut Work,
        key: &FollowerKey,
        id: ReviewId,
        verdict: Verdict,
        operator: &OperatorName,
    ) -> Result<Reviewed, Error> {
        let moved =
            || Error::new(ErrorKind::Unavailable, "the review moved", "repeat the call").at("review_id");
        let review = work.followers.get_mut(key).and_then(|record| record.review.as_mut());
        let review = review.filter(|review| review.id == id && review.state.waits()).ok_or_else(moved)?;
        let second_person = self.account.rules.review_second_person;
        let becomes = match say(review.state, &review.decisions, verdict, operator, second_person)? {
            Said::Becomes(state) => state,
            Said::Again => return Ok(Reviewed { review: (**review).clone(), ended: None }),
        };
        let (proposed, proof) = (review.proposed_customer.clone(), (review.method, review.inquiry));
        if verdict == Verdict::Approved && proposed.is_none() {
            let remedy = "reject it; the person may try again";
            let error = Error::new(ErrorKind::FailedPrecondition, "no customer is proposed", remedy);
            return Err(error.at("review_id"));
        }
        review.decisions.push(Decision { operator: operator.clone(), verdict, decide_time: self.now });
        self.audit(work, key, "review decided", format!("{id} {} by {operator}", verdict.as_str()));
        let mut ended = None;
        match becomes {
            ReviewState::Approved => {
                if let Some(customer) = proposed {
                    if let Some(other) = holder(work, key, &customer) {
                        self.tell(work, &other, &Event::CustomerMoved);
                        ended = Some(other.follower);
                    }
                    self.tell(work, key, &Event::Reviewed(verdict));
                    self.tie(work, key, customer, proof);
                    self.audit(work, key, "tied", format!("{id} approved"));
                }
            }
            ReviewState::Rejected => {
                self.tell(work, key, &Event::Reviewed(verdict));
            }
            waits @ (ReviewState::Open
            | ReviewState::ApprovedOnce
            | ReviewState::Expired
            | ReviewState::Withdrawn) => {
                let review = work.followers.get_mut(key).and_then(|record| record.review.as_mut());
                review.into_iter().for_each(|review| review.state = waits);
            }
        }
        let review = work.followers.get(key).and_then(|record| record.review.clone());
        Ok(Reviewed { review: *review.ok_or_else(moved)?, ended })
    }
}

/// The other follower of the account that the customer is tied to now.
fn holder(work: &Work, key: &FollowerKey, customer: &CustomerId) -> Option<FollowerKey> {
    let holder = work.tied.get(&(key.account.clone(), customer.clone())).filter(|holder| *holder != key)?;
    let tie = work.followers.get(holder)?.tie.as_ref()?;
    (tie.tie.customer_id == *customer).then(|| holder.clone())
}

/// Closes the review when its dialogue has left it; gives what the audit says of that.
pub(super) fn end(record: &mut FollowerRecord, event: &Event, now: Timestamp) -> Option<String> {
    let left = record.dialogue.as_ref().is_none_or(|dialogue| dialogue.state != State::Review);
    let review = record.review.as_mut().filter(|review| left && review.state.waits())?;
    let state = match event {
        Event::Reviewed(Verdict::Approved) => ReviewState::Approved,
        Event::Reviewed(Verdict::Rejected) => ReviewState::Rejected,
        Event::Left | Event::Chose(Choice::Erase) => ReviewState::Withdrawn,
        Event::Due
        | Event::Chose(_)
        | Event::AccountGiven(_)
        | Event::Unreadable
        | Event::Verified
        | Event::Matched(_)
        | Event::CustomerMoved
        | Event::Untied
        | Event::EraseAsked
        | Event::GuessesSpent { .. } => ReviewState::Expired,
    };
    review.close(state, now);
    record.matched.proposed_customer = None;
    Some(format!("{} {}", review.id, state.as_str()))
}
