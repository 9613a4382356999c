//! Where a follower stands, in the words of reports.
//!
//! One function of what the follower's row and dialogue say; counts are derived from it, and stores keep it beside the follower, for filters. Surprising: it looks at
//! the list before the dialogue, because whoever left is gone whatever was said before.

use crate::dialogue::State;

/// Where a follower stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FollowerOutcome {
    /// Not asked yet.
    Waiting,
    /// Asked, and has not answered.
    Unanswered,
    /// In the middle of the dialogue.
    Underway,
    /// Tied to a customer.
    Confirmed,
    /// Did not match.
    Rejected,
    /// Waits for a decision of the company's operators.
    Review,
    /// Has no account.
    NoAccount,
    /// Wants no personal information.
    Declined,
    /// Began and gave up.
    Abandoned,
    /// Locked after too many wrong answers.
    Locked,
    /// Follows no more.
    Unfollowed,
}

impl FollowerOutcome {
    /// All of them; their place is their number in stores.
    pub const ALL: [Self; 11] = [
        Self::Waiting,
        Self::Unanswered,
        Self::Underway,
        Self::Confirmed,
        Self::Rejected,
        Self::Review,
        Self::NoAccount,
        Self::Declined,
        Self::Abandoned,
        Self::Locked,
        Self::Unfollowed,
    ];

    /// The stable word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Unanswered => "unanswered",
            Self::Underway => "underway",
            Self::Confirmed => "confirmed",
            Self::Rejected => "rejected",
            Self::Review => "review",
            Self::NoAccount => "no_account",
            Self::Declined => "declined",
            Self::Abandoned => "abandoned",
            Self::Locked => "locked",
            Self::Unfollowed => "unfollowed",
        }
    }

    /// The outcome of a follower that is on a list or not, with the present dialogue's state if there is one.
    #[must_use]
    pub const fn of(following: bool, dialogue: Option<State>) -> Self {
        if !following {
            return Self::Unfollowed;
        }
        match dialogue {
            None | Some(State::Waiting) => Self::Waiting,
            Some(State::Asked | State::Unanswered) => Self::Unanswered,
            Some(State::AccountAsked | State::IdentityAsked | State::Matching) => Self::Underway,
            Some(State::Confirmed) => Self::Confirmed,
            Some(State::Rejected) => Self::Rejected,
            Some(State::Review) => Self::Review,
            Some(State::NoAccount) => Self::NoAccount,
            Some(State::Declined) => Self::Declined,
            Some(State::Abandoned) => Self::Abandoned,
            Some(State::Locked) => Self::Locked,
            Some(State::Ended) => Self::Unfollowed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{FollowerOutcome as O, *};

    #[test]
    fn whoever_left_is_unfollowed_whatever_was_said() {
        for state in State::ALL {
            assert_eq!(O::of(false, Some(state)), O::Unfollowed);
        }
        assert_eq!(O::of(false, None), O::Unfollowed);
    }

    #[test]
    fn a_follower_stands_where_the_dialogue_does() {
        for (state, outcome) in [
            (None, O::Waiting),
            (Some(State::Asked), O::Unanswered),
            (Some(State::Unanswered), O::Unanswered),
            (Some(State::Matching), O::Underway),
            (Some(State::Confirmed), O::Confirmed),
            (Some(State::Ended), O::Unfollowed),
        ] {
            assert_eq!(O::of(true, state), outcome);
        }
    }

    #[test]
    fn every_outcome_is_somebodys_and_has_its_place() {
        for (place, outcome) in O::ALL.into_iter().enumerate() {
            assert_eq!(outcome as usize, place, "{outcome:?}");
            let reached = State::ALL.into_iter().any(|state| O::of(true, Some(state)) == outcome);
            assert!(reached, "{outcome:?}");
        }
    }
}
