//! What happens to followers in the course of a day, for charts over time: who came, how far they got, who was confirmed by what, who left.
//!
//! Pure: a day's counts are moved by whoever stores what happened. Surprising: a day is one of Japan's, because that is where followers are; and a
//! stage counts on the day on which it was reached, so that a day's stages are not one another's parts.

use std::fmt;

use jiff::{Timestamp, civil};

use crate::{
    dialogue::Stage,
    id::{DialogueId, TieId},
    identity::IdentityMethod,
};

/// For how many days counts are kept.
pub const DAYS_KEPT: i32 = 400;

/// How far Japan is ahead of UTC.
const AHEAD: i64 = 9 * 3_600;
const DAY: i64 = 24 * 3_600;

/// A day in Japan, counted from that of 1970-01-01.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(i32);

impl Day {
    /// The day of an instant.
    #[must_use]
    pub fn of(now: Timestamp) -> Self {
        Self(i32::try_from((now.as_second() + AHEAD).div_euclid(DAY)).unwrap_or(i32::MAX))
    }

    /// By its number.
    #[must_use]
    pub const fn from_number(number: i32) -> Self {
        Self(number)
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> i32 {
        self.0
    }

    /// So many days before.
    #[must_use]
    pub const fn before(self, days: i32) -> Self {
        Self(self.0.saturating_sub(days))
    }
}

impl fmt::Display for Day {
    /// `YYYY-MM-DD`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let days = jiff::Span::new().try_days(self.0);
        match days.and_then(|days| civil::date(1970, 1, 1).checked_add(days)) {
            Ok(date) => write!(f, "{date}"),
            Err(_) => write!(f, "day {}", self.0),
        }
    }
}

/// Something that is counted by day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DayEvent {
    /// Follows now, and did not.
    Came,
    /// Follows no more.
    Left,
    /// Was sent the question.
    Asked,
    /// Answered it.
    Answered,
    /// Wants personal information.
    Wants,
    /// Gave an account number.
    AccountGiven,
    /// Had the identity verified.
    Verified,
    /// Was tied to a customer, by this method.
    Confirmed(IdentityMethod),
    /// A tie ended.
    Untied,
}

impl DayEvent {
    /// All of them; their place is their number in stores.
    pub const ALL: [Self; 11] = [
        Self::Came,
        Self::Left,
        Self::Asked,
        Self::Answered,
        Self::Wants,
        Self::AccountGiven,
        Self::Verified,
        Self::Confirmed(IdentityMethod::Jpki),
        Self::Confirmed(IdentityMethod::Carrier),
        Self::Confirmed(IdentityMethod::Document),
        Self::Untied,
    ];

    /// What it is to reach a stage of the funnel; to be on the list is no event of the dialogue's.
    const fn of(stage: Stage) -> Option<Self> {
        match stage {
            Stage::Follower => None,
            Stage::Asked => Some(Self::Asked),
            Stage::Answered => Some(Self::Answered),
            Stage::Wants => Some(Self::Wants),
            Stage::AccountGiven => Some(Self::AccountGiven),
            Stage::Verified => Some(Self::Verified),
        }
    }
}

/// What of a follower counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    /// On a list.
    pub following: bool,
    /// The present dialogue and how far it came.
    pub dialogue: Option<(DialogueId, Stage)>,
    /// The live tie and how it was proved.
    pub tie: Option<(TieId, IdentityMethod)>,
}

/// What happened between two looks at a follower; `None`: there was none yet. A tie that is renewed is the same tie, and no event.
pub fn happened(was: Option<Counted>, is: Counted) -> impl Iterator<Item = DayEvent> {
    let followed = was.is_some_and(|was| was.following);
    let on_list = match (followed, is.following) {
        (false, true) => Some(DayEvent::Came),
        (true, false) => Some(DayEvent::Left),
        (false, false) | (true, true) => None,
    };
    let before = was.and_then(|was| was.dialogue);
    let stages = is.dialogue.into_iter().flat_map(move |(dialogue, reached)| {
        let from = match before {
            Some((same, stage)) if same == dialogue => stage,
            Some(_) | None => Stage::Follower,
        };
        Stage::ALL.into_iter().filter(move |stage| from < *stage && *stage <= reached)
    });
    let (tied, ties) = (was.and_then(|was| was.tie), is.tie);
    let is_new = ties.map(|(id, _)| id) != tied.map(|(id, _)| id);
    let untied = (is_new && tied.is_some()).then_some(DayEvent::Untied);
    let confirmed = ties.filter(|_| is_new).map(|(_, method)| DayEvent::Confirmed(method));
    on_list.into_iter().chain(stages.filter_map(DayEvent::of)).chain(untied).chain(confirmed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::FollowerId;

    fn dialogue(turn: u32) -> DialogueId {
        DialogueId::derive(FollowerId::from_bytes([9; 16]), turn)
    }

    #[test]
    fn a_day_begins_at_midnight_in_japan() {
        let day = |text: &str| Day::of(text.parse().unwrap());
        assert_eq!(day("2026-11-23T14:59:59Z").to_string(), "2026-11-23");
        assert_eq!(day("2026-11-23T15:00:00Z").to_string(), "2026-11-24");
        assert_eq!(day("1969-12-31T14:59:59Z").number(), -1);
        assert_eq!(day("2026-03-01T00:00:00Z").before(1).to_string(), "2026-02-28");
        assert_eq!(Day::from_number(i32::MAX).to_string(), "day 2147483647");
    }

    #[test]
    fn every_stage_that_was_passed_happened_once() {
        let stage = |turn, stage| Some((dialogue(turn), stage));
        let none = Counted { following: true, dialogue: None, tie: None };
        let at = |dialogue| Counted { dialogue, ..none };
        let seen = |was, is| happened(was, is).collect::<Vec<_>>();
        assert_eq!(seen(None, at(stage(0, Stage::Follower))), [DayEvent::Came]);
        let passed = [DayEvent::Asked, DayEvent::Answered, DayEvent::Wants];
        assert_eq!(seen(Some(at(stage(0, Stage::Follower))), at(stage(0, Stage::Wants))), passed);
        assert_eq!(seen(Some(at(stage(0, Stage::Wants))), at(stage(0, Stage::Wants))), []);
        assert_eq!(seen(Some(at(stage(0, Stage::Wants))), at(stage(1, Stage::Asked))), [DayEvent::Asked]);
        let gone = Counted { following: false, ..none };
        assert_eq!(seen(Some(none), gone), [DayEvent::Left]);
        assert_eq!(seen(None, gone), []);
    }

    #[test]
    fn a_tie_counts_when_it_is_made_and_when_it_ends() {
        let tied = |turn, method| Counted {
            following: true,
            dialogue: None,
            tie: Some((TieId::derive(dialogue(turn)), method)),
        };
        let untied = Counted { tie: None, ..tied(0, IdentityMethod::Jpki) };
        let seen = |was, is| happened(Some(was), is).collect::<Vec<_>>();
        let card = tied(0, IdentityMethod::Jpki);
        assert_eq!(seen(untied, card), [DayEvent::Confirmed(IdentityMethod::Jpki)]);
        assert_eq!(seen(card, untied), [DayEvent::Untied]);
        assert_eq!(seen(card, tied(0, IdentityMethod::Carrier)), [], "renewed");
        let another = [DayEvent::Untied, DayEvent::Confirmed(IdentityMethod::Document)];
        assert_eq!(seen(card, tied(1, IdentityMethod::Document)), another);
    }
}
