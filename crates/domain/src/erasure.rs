//! What is kept of a person after everything else was erased: that it was, when, and on whose word.
//!
//! No personal value stands here. A follower's id is a keyed hash, so who has the key and the number can prove that the person was erased, and
//! nobody can find out who it was. Surprising: this is also what keeps people from being asked at once again. Who was erased and still follows
//! comes back with the next list, as a stranger.

use std::str::FromStr;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    Error,
    id::{CompanyId, FollowerId, OfficialAccountId},
};

/// Nobody who was erased is asked before, even if they follow anew: wrong guesses are counted within a window of a day, and the count is erased
/// with the person.
pub const ASKED_AFTER: SignedDuration = SignedDuration::from_hours(24);

/// On whose word a follower is erased.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// The person's, in the talk room.
    Person,
    /// The company's.
    Company,
    /// Nobody's: the person follows no more, for as long as the account keeps such people.
    Unfollowed,
}

impl Cause {
    /// All of them; their place is their number in stores.
    pub const ALL: [Self; 3] = [Self::Person, Self::Company, Self::Unfollowed];

    /// The word for it, on the wire, in the journal and in the audit.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::Company => "company",
            Self::Unfollowed => "unfollowed",
        }
    }
}

impl FromStr for Cause {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|cause| cause.as_str() == text).ok_or_else(|| {
            Error::invalid("cause", "no cause of an erasure", "write person, company or unfollowed")
        })
    }
}

/// That a follower is to be erased, or was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Erasure {
    /// Of which official account.
    pub account: OfficialAccountId,
    /// Which follower.
    pub follower: FollowerId,
    /// The account's company.
    pub company: CompanyId,
    /// On whose word.
    pub cause: Cause,
    /// When that was said. What a carrier reports of before is not believed any more.
    pub request_time: Timestamp,
    /// Whom a list brings back is not asked before.
    pub ask_time: Timestamp,
}

/// An erasure as a line of a journal.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    official_account: OfficialAccountId,
    follower: String,
    company: CompanyId,
    cause: String,
    request_time: Timestamp,
    ask_time: Timestamp,
}

impl Erasure {
    /// When the person may be asked who follows anew, by their own doing or because a list has them.
    #[must_use]
    pub fn asked_from(&self, by_themselves: bool) -> Timestamp {
        let at_once = self.request_time.checked_add(ASKED_AFTER).unwrap_or(Timestamp::MAX);
        if by_themselves { at_once } else { self.ask_time.max(at_once) }
    }

    /// One line of a journal, without its end: a JSON object.
    ///
    /// # Errors
    /// Never, as long as instants and ids can be written.
    pub fn to_line(&self) -> Result<String, Error> {
        let line = Line {
            official_account: self.account.clone(),
            follower: self.follower.to_string(),
            company: self.company.clone(),
            cause: self.cause.as_str().to_owned(),
            request_time: self.request_time,
            ask_time: self.ask_time,
        };
        serde_json::to_string(&line).map_err(|error| Error::invalid("erasure", error.to_string(), ""))
    }

    /// Reads a line of a journal.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn from_line(line: &str) -> Result<Self, Error> {
        let no_line = |problem: String| {
            Error::invalid("erasure", problem, "put back the journal's file as this program has written it")
        };
        let line: Line = serde_json::from_str(line)
            .map_err(|error| no_line(format!("no erasure stands at column {}", error.column())))?;
        Ok(Self {
            account: line.official_account,
            follower: line.follower.parse().map_err(|_| no_line("it names no follower".to_owned()))?,
            company: line.company,
            cause: line.cause.parse()?,
            request_time: line.request_time,
            ask_time: line.ask_time,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn erasure() -> Erasure {
        Erasure {
            account: "tf-bank".parse().unwrap(),
            follower: FollowerId::from_bytes([7; 16]),
            company: "tf".parse().unwrap(),
            cause: Cause::Person,
            request_time: "2026-11-28T00:00:00.000001Z".parse().unwrap(),
            ask_time: "2027-11-28T00:00:00Z".parse().unwrap(),
        }
    }

    #[test]
    fn a_line_reads_back_and_anything_else_is_refused() {
        let line = erasure().to_line().unwrap();
        assert_eq!(Erasure::from_line(&line), Ok(erasure()));
        for cause in Cause::ALL {
            assert_eq!(cause.as_str().parse(), Ok(cause));
        }
        for bad in [
            "",
            "{}",
            "null",
            &line[..line.len() - 1],
            &line.replace("flw_", ""),
            &line.replace("person", "me"),
        ] {
            assert!(!Erasure::from_line(bad).unwrap_err().problem.is_empty(), "{bad}");
        }
    }

    #[test]
    fn who_follows_by_themselves_is_asked_when_no_guess_counts_any_more() {
        let erasure = erasure();
        assert_eq!(erasure.asked_from(true), erasure.request_time + ASKED_AFTER);
        assert_eq!(erasure.asked_from(false), erasure.ask_time);
        let soon = Erasure { ask_time: erasure.request_time, ..erasure.clone() };
        assert_eq!(soon.asked_from(false), erasure.request_time + ASKED_AFTER);
    }
}
