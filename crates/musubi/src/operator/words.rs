//! Words between the command line and the wire: durations, instants, outcomes, states.
//!
//! Surprising: an instant without a zone is Japanese time, because that is where followers are.

use std::time::Duration;

use jiff::{Timestamp, civil::DateTime, tz::offset};
use musubi_domain::{
    Error, approval::ApprovalState, distribution::State, error::shape, outcome::FollowerOutcome,
    review::ReviewState,
};
use musubi_proto::{
    company::v1::OperatorRole, convert::information::outcome, information::v1 as wire,
    r#type::v1::IdentityMethod,
};

const OUTCOME: &str = "FOLLOWER_OUTCOME_";
const STATE: &str = "DISTRIBUTION_STATE_";

/// A length of time: a whole number and `s`, `m`, `h` or `d`.
pub(super) fn parse_duration(text: &str) -> Result<Duration, Error> {
    let wrong =
        || Error::invalid("", format!("{} is no length of time", shape(text)), "write 30d, 12h, 90m or 60s");
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(wrong)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86400,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    number.checked_mul(seconds).map(Duration::from_secs).ok_or_else(wrong)
}

/// An instant: RFC 3339, or date and time in Japan.
pub(super) fn parse_time(text: &str) -> Result<Timestamp, Error> {
    let japanese = || text.parse::<DateTime>().ok().and_then(|time| offset(9).to_timestamp(time).ok());
    text.parse().ok().or_else(japanese).ok_or_else(|| {
        Error::invalid(
            "",
            format!("{} is no instant", shape(text)),
            "write 2026-11-23T09:00 for Japanese time, or 2026-11-23T00:00:00Z",
        )
    })
}

/// An instant of the wire in Japanese time; empty when absent.
pub(super) fn show_time(time: Option<&prost_types::Timestamp>) -> String {
    let time = time.and_then(|time| Timestamp::new(time.seconds, time.nanos).ok());
    time.map_or_else(String::new, |time| {
        offset(9).to_datetime(time).strftime("%Y-%m-%d %H:%M:%S").to_string()
    })
}

/// Where a follower stands, by its word.
pub(super) fn parse_outcome(text: &str) -> Result<FollowerOutcome, Error> {
    let named = wire::FollowerOutcome::from_str_name(&format!("{OUTCOME}{}", text.to_ascii_uppercase()));
    let known = named.map_or(Ok(None), |named| outcome(named.into()))?;
    known.ok_or_else(|| {
        let others = (1..).map_while(|number| wire::FollowerOutcome::try_from(number).ok());
        let words: Vec<String> = others.map(outcome_word).collect();
        Error::invalid(
            "",
            format!("{} is no outcome", shape(text)),
            format!("write one of {}", words.join(", ")),
        )
    })
}

/// The word of an outcome.
pub(super) fn outcome_word(outcome: wire::FollowerOutcome) -> String {
    outcome.as_str_name().trim_start_matches(OUTCOME).to_ascii_lowercase()
}

/// The word of a distribution's state.
pub(super) fn state_word(state: wire::DistributionState) -> String {
    state.as_str_name().trim_start_matches(STATE).to_ascii_lowercase()
}

/// Where a distribution stands, by its word.
pub(super) fn parse_state(text: &str) -> Result<State, Error> {
    State::ALL.into_iter().find(|state| state.as_str() == text).ok_or_else(|| {
        let problem = format!("{} is no state of distributions", shape(text));
        let words = State::ALL.map(State::as_str).join(", ");
        Error::invalid("", problem, format!("write one of {words}"))
    })
}

/// Where a review stands, by its word.
pub(super) fn parse_review_state(text: &str) -> Result<ReviewState, Error> {
    ReviewState::ALL.into_iter().find(|state| state.as_str() == text).ok_or_else(|| {
        let problem = format!("{} is no state of reviews", shape(text));
        let words = ReviewState::ALL.map(ReviewState::as_str).join(", ");
        Error::invalid("", problem, format!("write one of {words}"))
    })
}

/// The word of a review's state.
pub(super) fn review_state_word(state: wire::ReviewState) -> String {
    state.as_str_name().trim_start_matches("REVIEW_STATE_").to_ascii_lowercase()
}

/// Where something stands that was asked for, by its word.
pub(super) fn parse_approval_state(text: &str) -> Result<ApprovalState, Error> {
    ApprovalState::ALL.into_iter().find(|state| state.as_str() == text).ok_or_else(|| {
        let problem = format!("{} is no state of approvals", shape(text));
        let words = ApprovalState::ALL.map(ApprovalState::as_str).join(", ");
        Error::invalid("", problem, format!("write one of {words}"))
    })
}

/// The word of where it stands.
pub(super) fn approval_state_word(state: wire::ApprovalState) -> String {
    state.as_str_name().trim_start_matches("APPROVAL_STATE_").to_ascii_lowercase()
}

/// The word of what an operator said.
pub(super) fn verdict_word(verdict: wire::ReviewVerdict) -> String {
    verdict.as_str_name().trim_start_matches("REVIEW_VERDICT_").to_ascii_lowercase()
}

/// The word of a method of verification.
pub(super) fn method_word(method: IdentityMethod) -> String {
    method.as_str_name().trim_start_matches("IDENTITY_METHOD_").to_ascii_lowercase()
}

/// What an operator may do.
pub(super) fn role_words(roles: &[i32]) -> String {
    let roles = roles.iter().filter_map(|role| OperatorRole::try_from(*role).ok());
    let words: Vec<_> = roles
        .map(|role| role.as_str_name().trim_start_matches("OPERATOR_ROLE_").to_ascii_lowercase())
        .collect();
    words.join(", ")
}

/// A number with thousands separators.
pub(crate) fn thousands(number: u64) -> String {
    indicatif::HumanCount(number).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_are_read_with_their_unit() {
        for (text, seconds) in [("60s", 60), ("90m", 5400), ("12h", 43200), ("30d", 2_592_000)] {
            assert_eq!(parse_duration(text), Ok(Duration::from_secs(seconds)));
        }
        for wrong in
            ["", "d", "30", "3w", "-1d", "1.5h", "日", "99999999999999999999d", "999999999999999999d"]
        {
            assert!(parse_duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn instants_without_a_zone_are_japanese() {
        let nine: Timestamp = "2026-11-23T00:00:00Z".parse().unwrap();
        for text in
            ["2026-11-23T09:00", "2026-11-23 09:00:00", "2026-11-23T00:00:00Z", "2026-11-23T09:00:00+09:00"]
        {
            assert_eq!(parse_time(text), Ok(nine), "{text}");
        }
        assert!(parse_time("tomorrow").is_err());
        let wire = prost_types::Timestamp { seconds: nine.as_second(), nanos: 0 };
        assert_eq!(show_time(Some(&wire)), "2026-11-23 09:00:00");
    }

    #[test]
    fn every_outcome_is_read_by_its_word() {
        for named in (1..=11).map(|number| wire::FollowerOutcome::try_from(number).unwrap()) {
            let read = parse_outcome(&outcome_word(named)).unwrap();
            assert!(wire::FollowerOutcome::from(read) == named);
        }
        assert!(parse_outcome("unspecified").unwrap_err().remedy.contains("no_account, declined"));
    }

    #[test]
    fn every_state_of_a_review_is_read_by_its_word() {
        for state in ReviewState::ALL {
            assert_eq!(parse_review_state(&review_state_word(state.into())), Ok(state));
        }
        for wrong in ["unspecified", "Open", ""] {
            assert!(parse_review_state(wrong).unwrap_err().remedy.contains("open, approved_once"));
        }
    }

    #[test]
    fn every_state_of_a_distribution_is_read_by_its_word() {
        for state in State::ALL {
            assert_eq!(parse_state(&state_word(state.into())), Ok(state));
        }
        assert!(parse_state("started").unwrap_err().remedy.contains("draft, running"));
    }

    #[test]
    fn every_state_of_an_approval_is_read_by_its_word() {
        for state in ApprovalState::ALL {
            assert_eq!(parse_approval_state(&approval_state_word(state.into())), Ok(state));
        }
        assert!(parse_approval_state("open").unwrap_err().remedy.contains("waiting, approved"));
    }

    #[test]
    fn numbers_are_read_in_threes() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(thousands(number), text);
        }
    }
}
