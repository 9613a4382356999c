//! Whether a tied number is still the same person's: how long a proof is believed, and what its carrier's word makes of it.
//!
//! A number that is given up goes to somebody else after a while, and nobody tells. So a proof is believed for as long as no carrier
//! would give a number away ([`Silence`]), and past that nothing individual goes before its carrier was asked. What proves that the
//! holder is the same: the identity that was attested when the tie was made or renewed, and a carrier's answer that the number was
//! not given away. Surprising: nothing else does. A receipt, a tap and a text come from whoever has the phone, so they say nothing
//! of who that is; a carrier's refusal to send ends a belief, and begins none.

use jiff::{SignedDuration, Timestamp, civil::Date, tz::TimeZone};

/// How long a proof is believed, in days, when nobody says.
pub const DEFAULT_SILENT_DAYS: u16 = 30;
/// The last part of the time in which a proof is believed: then the carrier is asked, so that no distribution has to wait for it. One that
/// doesn't know is asked again after the same part of the time since the proof: ever more seldom.
const TENTH: i32 = 10;
/// How soon it is asked again at least.
const ASKED_AGAIN_AFTER: SignedDuration = SignedDuration::from_hours(24);

/// How long a proof is believed. Shorter than a carrier keeps a number back before it gives it away (45 days and more), or the number
/// may be another's before anybody is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Silence(SignedDuration);

/// What is known of who holds a tied number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder {
    /// When it was last shown to be the person of the tie.
    pub proved_time: Timestamp,
    /// From then on the number counts as silent: nothing individual goes.
    pub silent_time: Timestamp,
    /// When to ask the carrier; who asks moves it on while asking. None: no more.
    pub ask_time: Option<Timestamp>,
    /// What stands against it since the proof.
    pub doubt: Option<Doubt>,
}

/// What stands against a proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Doubt {
    /// The carrier would not send there: no such number, or none with RCS.
    Refused,
    /// The carrier says that the number is nobody's, or another carrier's.
    NotFound,
    /// The carrier can't say who had it at the time of the proof.
    OutOfRange,
    /// A new proof of identity showed nobody, or somebody else.
    NotConfirmed,
}

impl Doubt {
    /// All of them; their place is their number in stores.
    pub const ALL: [Self; 4] = [Self::Refused, Self::NotFound, Self::OutOfRange, Self::NotConfirmed];

    /// The word for it on the wire and in the audit.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::NotFound => "number_not_found",
            Self::OutOfRange => "number_out_of_range",
            Self::NotConfirmed => "renewal_not_confirmed",
        }
    }
}

/// What a carrier says of a number since a day (CAMARA Number Recycling r1.3: `phoneNumberRecycled`, or an error).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Recycling {
    /// It has had one holder since the beginning of that day.
    Same,
    /// It has changed hands since.
    Recycled,
    /// It is nobody's at this carrier (IDENTIFIER_NOT_FOUND).
    NotFound,
    /// Nobody there knows of that day (OUT_OF_RANGE).
    OutOfRange,
}

/// What an answer makes of a tie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answered {
    /// It holds, or waits, with this.
    Stands(Holder),
    /// It ends: the number is another person's.
    Ends,
}

impl Silence {
    /// Of so many days, 1 to 365.
    #[must_use]
    pub fn of_days(days: u16) -> Self {
        Self(SignedDuration::from_hours(24 * i64::from(days)))
    }

    /// The holder was shown to be the person of the tie at this moment.
    #[must_use]
    pub fn proved(self, proved_time: Timestamp) -> Holder {
        let silent_time = later(proved_time, self.0);
        let ahead = self.0 / TENTH;
        let ask_time = Some(silent_time.checked_sub(ahead).unwrap_or(silent_time));
        Holder { proved_time, silent_time, ask_time, doubt: None }
    }

    /// What the carrier's answer makes of a holder. It was asked at `asked`, about [`Holder::specified_date`]: what happened later it
    /// may not know of.
    #[must_use]
    pub fn answered(self, holder: &Holder, recycling: Recycling, asked: Timestamp) -> Answered {
        let doubted = |doubt| {
            let wait = asked.duration_since(holder.proved_time) / TENTH;
            let ask_time = Some(later(asked, wait.max(ASKED_AGAIN_AFTER)));
            Answered::Stands(Holder { ask_time, ..holder.doubted(doubt, asked) })
        };
        match recycling {
            Recycling::Same => Answered::Stands(self.proved(asked)),
            Recycling::Recycled => Answered::Ends,
            Recycling::NotFound => doubted(Doubt::NotFound),
            Recycling::OutOfRange => doubted(Doubt::OutOfRange),
        }
    }
}

impl Holder {
    /// Something stands against it: silent from now on, until its carrier has been asked, which is to be done at once.
    #[must_use]
    pub fn doubted(&self, doubt: Doubt, now: Timestamp) -> Self {
        Self { silent_time: self.silent_time.min(now), ask_time: Some(now), doubt: Some(doubt), ..*self }
    }

    /// Whether the number is silent.
    #[must_use]
    pub fn is_silent(&self, now: Timestamp) -> bool {
        self.silent_time <= now
    }

    /// The day of the proof, in UTC: since then the number may not have changed hands. A change on the same day before the proof counts
    /// against it, too, because a day is all that one can ask by.
    #[must_use]
    pub fn specified_date(&self) -> Date {
        TimeZone::UTC.to_datetime(self.proved_time).date()
    }
}

/// The beginning of a day that a carrier is asked about.
#[must_use]
pub fn beginning(day: Date) -> Timestamp {
    TimeZone::UTC.to_timestamp(day.to_datetime(jiff::civil::Time::midnight())).unwrap_or(Timestamp::MAX)
}

fn later(time: Timestamp, wait: SignedDuration) -> Timestamp {
    time.checked_add(wait).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DAY: SignedDuration = SignedDuration::from_hours(24);

    fn day(count: i32) -> Timestamp {
        let start: Timestamp = "2026-11-23T10:00:00Z".parse().unwrap();
        start + DAY * count
    }

    fn silence() -> Silence {
        Silence::of_days(30)
    }

    #[test]
    fn a_proof_is_believed_for_its_days_and_asked_about_before() {
        let holder = silence().proved(day(0));
        assert_eq!((holder.ask_time, holder.silent_time), (Some(day(27)), day(30)));
        assert!(!holder.is_silent(day(30) - SignedDuration::from_micros(1)) && holder.is_silent(day(30)));
        assert_eq!(holder.specified_date().to_string(), "2026-11-23");
        assert_eq!(beginning(holder.specified_date()), "2026-11-23T00:00:00Z".parse().unwrap());
    }

    #[test]
    fn only_the_answer_that_it_is_the_same_lets_a_silent_number_go_again() {
        let refused = silence().proved(day(0)).doubted(Doubt::Refused, day(3));
        assert!(refused.is_silent(day(3)) && refused.ask_time == Some(day(3)));
        for holder in [silence().proved(day(0)), refused] {
            let answered = |recycling| silence().answered(&holder, recycling, day(28));
            assert_eq!(answered(Recycling::Same), Answered::Stands(silence().proved(day(28))));
            assert_eq!(answered(Recycling::Recycled), Answered::Ends);
            for (recycling, doubt) in
                [(Recycling::NotFound, Doubt::NotFound), (Recycling::OutOfRange, Doubt::OutOfRange)]
            {
                let Answered::Stands(waits) = answered(recycling) else { panic!("{recycling:?} ends it") };
                assert!(waits.is_silent(day(28)), "{recycling:?}");
                assert_eq!((waits.ask_time, waits.doubt), (Some(day(28) + DAY * 28 / 10), Some(doubt)));
                assert_eq!(waits.proved_time, day(0), "the next question is about the same day");
            }
        }
    }

    /// A number's life, as its carrier knows it: when it was given up, and how much later it went to another.
    fn status(given_up: i32, kept_back: i32, since: Timestamp, now: Timestamp) -> Recycling {
        match (day(given_up), day(given_up + kept_back)) {
            (_, given_away) if given_away <= now && since <= given_away => Recycling::Recycled,
            (given_up, given_away) if given_up <= now && now < given_away => Recycling::NotFound,
            _ => Recycling::Same,
        }
    }

    proptest! {
        /// For every number that its carrier keeps back for longer than a proof is believed, whenever it is asked.
        #[test]
        fn no_number_is_believed_once_it_is_anothers(
            days in 1_u16..60,
            given_up in 0..400,
            longer in 1..100,
            asked in prop::collection::vec(1..20, 1..60),
        ) {
            let silence = Silence::of_days(days);
            let kept_back = i32::from(days) + longer;
            let mut holder = silence.proved(day(0));
            let mut today = 0;
            for wait in asked {
                today += wait;
                let now = day(today);
                let given_away = day(given_up + kept_back) <= now;
                prop_assert!(!given_away || holder.is_silent(now), "believed on day {today}");
                let recycling = status(given_up, kept_back, beginning(holder.specified_date()), now);
                match silence.answered(&holder, recycling, now) {
                    Answered::Stands(next) => holder = next,
                    Answered::Ends => break,
                }
                prop_assert!(!given_away, "kept on day {today}");
            }
        }
    }
}
