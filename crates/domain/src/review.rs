//! A case that a company's operators decide: where it stands, and what one operator's word makes of it.
//!
//! | stands | word | whose | becomes |
//! |---|---|---|---|
//! | open | approved | anybody's | approved; approved once, when two have to approve |
//! | approved once | approved | another's, or anybody's once one is enough | approved |
//! | open, approved once | rejected | anybody's | rejected |
//! | approved, rejected | the same | who has said it | the same: a call repeated |
//!
//! Every other word is refused. Surprising: expiry and the person's leaving are no words; the dialogue ends the review then.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Error, ErrorKind, customer::GivenAccount, id::OperatorName, identity::AttestedIdentity};

/// What a person typed and what was attested of them. Personal: `Debug` shows nothing.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReviewSubject {
    /// What was typed.
    pub account: GivenAccount,
    /// What was attested.
    pub identity: AttestedIdentity,
}

impl fmt::Debug for ReviewSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReviewSubject(…)")
    }
}

/// Where a review stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReviewState {
    /// Nobody has decided.
    Open,
    /// One person approved, and another has to.
    ApprovedOnce,
    /// Approved: the customer is tied.
    Approved,
    /// Rejected.
    Rejected,
    /// Nobody decided in time.
    Expired,
    /// The person left.
    Withdrawn,
}

impl ReviewState {
    /// All of them; their place is their number in stores, and those that wait come first.
    pub const ALL: [Self; 6] =
        [Self::Open, Self::ApprovedOnce, Self::Approved, Self::Rejected, Self::Expired, Self::Withdrawn];

    /// The word for it in the audit.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::ApprovedOnce => "approved_once",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
            Self::Expired => "expired",
            Self::Withdrawn => "withdrawn",
        }
    }

    /// Whether it waits for a person.
    #[must_use]
    pub const fn waits(self) -> bool {
        matches!(self, Self::Open | Self::ApprovedOnce)
    }
}

/// What an operator says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// The person is the customer.
    Approved,
    /// The person is not, or it can't be told.
    Rejected,
}

impl Verdict {
    /// All of them; their place is their number in stores.
    pub const ALL: [Self; 2] = [Self::Approved, Self::Rejected];

    /// The word for it in the audit.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Approved => "approved",
            Self::Rejected => "rejected",
        }
    }
}

/// Who said what, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Who.
    pub operator: OperatorName,
    /// What.
    pub verdict: Verdict,
    /// When.
    pub decide_time: Timestamp,
}

/// What an operator's word makes of a review.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// It stands there now.
    Becomes(ReviewState),
    /// They have said so before.
    Again,
}

/// Where an operator's word brings a review that stands there, after these decisions.
///
/// # Errors
/// `FailedPrecondition` for `review_id` when it is decided otherwise, is over, or needs another person.
pub fn say(
    state: ReviewState,
    decisions: &[Decision],
    verdict: Verdict,
    operator: &OperatorName,
    second_person: bool,
) -> Result<Said, Error> {
    use ReviewState as S;
    let refused = |problem: &str, remedy: &str| {
        Err(Error::new(ErrorKind::FailedPrecondition, problem, remedy).at("review_id"))
    };
    let said = || decisions.iter().any(|it| it.operator == *operator && it.verdict == verdict);
    match (state, verdict) {
        (S::Open, Verdict::Approved) if second_person => Ok(Said::Becomes(S::ApprovedOnce)),
        (S::ApprovedOnce, Verdict::Approved) if second_person && said() => {
            refused("you have approved it, and a second person has to", "have another operator approve it")
        }
        (S::Open | S::ApprovedOnce, Verdict::Approved) => Ok(Said::Becomes(S::Approved)),
        (S::Open | S::ApprovedOnce, Verdict::Rejected) => Ok(Said::Becomes(S::Rejected)),
        (S::Approved, Verdict::Approved) | (S::Rejected, Verdict::Rejected) if said() => Ok(Said::Again),
        (S::Approved, Verdict::Approved | Verdict::Rejected) => {
            refused("it is approved already", "see who decided it; untying is the person's own choice")
        }
        (S::Rejected, Verdict::Approved | Verdict::Rejected) => {
            refused("it is rejected already", "see who decided it; the person may try again")
        }
        (S::Expired, Verdict::Approved | Verdict::Rejected) => {
            refused("nobody decided it in time", "wait until the person tries again")
        }
        (S::Withdrawn, Verdict::Approved | Verdict::Rejected) => {
            refused("the person has left", "there is nothing to decide any more")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ReviewState as S, Verdict as V, *};

    fn name(name: &str) -> OperatorName {
        name.parse().unwrap()
    }

    fn by(operator: &str, verdict: Verdict) -> Decision {
        Decision { operator: name(operator), verdict, decide_time: Timestamp::UNIX_EPOCH }
    }

    #[test]
    fn one_word_decides_unless_two_have_to_approve() {
        for (second, verdict, becomes) in [
            (false, V::Approved, S::Approved),
            (false, V::Rejected, S::Rejected),
            (true, V::Approved, S::ApprovedOnce),
            (true, V::Rejected, S::Rejected),
        ] {
            let said = say(S::Open, &[], verdict, &name("sato"), second);
            assert_eq!(said, Ok(Said::Becomes(becomes)));
        }
    }

    #[test]
    fn the_second_approval_is_another_persons() {
        let once = [by("sato", V::Approved)];
        let again = say(S::ApprovedOnce, &once, V::Approved, &name("sato"), true).unwrap_err();
        assert_eq!((again.kind, again.field.as_str()), (ErrorKind::FailedPrecondition, "review_id"));
        assert!(again.remedy.contains("another operator"));
        let other = say(S::ApprovedOnce, &once, V::Approved, &name("kato"), true);
        assert_eq!(other, Ok(Said::Becomes(S::Approved)));
        let relaxed = say(S::ApprovedOnce, &once, V::Approved, &name("sato"), false);
        assert_eq!(relaxed, Ok(Said::Becomes(S::Approved)), "one is enough now");
        let rejected = say(S::ApprovedOnce, &once, V::Rejected, &name("sato"), true);
        assert_eq!(rejected, Ok(Said::Becomes(S::Rejected)));
    }

    #[test]
    fn what_is_over_takes_only_the_same_word_of_the_same_person() {
        let two = [by("sato", V::Approved), by("kato", V::Approved)];
        for operator in ["sato", "kato"] {
            assert_eq!(say(S::Approved, &two, V::Approved, &name(operator), true), Ok(Said::Again));
        }
        assert!(say(S::Approved, &two, V::Approved, &name("ueda"), true).is_err());
        assert!(say(S::Approved, &two, V::Rejected, &name("sato"), true).is_err());
        let rejected = [by("sato", V::Approved), by("kato", V::Rejected)];
        assert_eq!(say(S::Rejected, &rejected, V::Rejected, &name("kato"), true), Ok(Said::Again));
        assert!(say(S::Rejected, &rejected, V::Rejected, &name("sato"), true).is_err());
        for state in [S::Expired, S::Withdrawn] {
            for verdict in V::ALL {
                assert!(say(state, &two, verdict, &name("sato"), false).is_err());
            }
        }
    }

    #[test]
    fn those_that_wait_come_first() {
        assert!(S::ALL.iter().enumerate().all(|(place, state)| state.waits() == (place < 2)));
    }
}
