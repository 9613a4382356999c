//! Wrong account numbers, counted so that guessing doesn't pay (I13).
//!
//! Five axes: the follower, the account number, the company, the verified person, and the follower for life. A try is charged on every axis before it is made and given back
//! when it was no wrong guess, so that tries under way at once can't exceed a limit together. Surprising: an account number
//! past its limit still lets JPKI identities try, because otherwise a stranger could lock out the owner; a stranger with a card of their
//! own and many numbers is stopped as a person.

use jiff::{SignedDuration, Timestamp};

use crate::identity::IdentityMethod;

/// What tries are counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Axis {
    /// The follower who tries.
    Follower,
    /// The account number tried.
    Account,
    /// The company, all together.
    Company,
    /// The person whose identity was verified, whatever number they use.
    Person,
    /// The follower who tries, in all: no window ends it, only a confirmed match or the company's people.
    Life,
}

impl Axis {
    /// All of them; their place is their number in stores.
    pub const ALL: [Self; 5] = [Self::Follower, Self::Account, Self::Company, Self::Person, Self::Life];
}

/// The limits of wrong guesses within one window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// By one follower.
    pub follower: u32,
    /// At one account number.
    pub account: u32,
    /// In the whole company.
    pub company: u32,
    /// By one verified person.
    pub person: u32,
    /// By one follower in all; then people have to help.
    pub life: u32,
    /// The window; it begins with its first try. A lock lasts until its end.
    pub window: SignedDuration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            follower: 5,
            account: 10,
            company: 10_000,
            person: 5,
            life: 10,
            window: SignedDuration::from_hours(24),
        }
    }
}

impl Limits {
    /// The limit of an axis.
    #[must_use]
    pub const fn of(&self, axis: Axis) -> u32 {
        match axis {
            Axis::Follower => self.follower,
            Axis::Account => self.account,
            Axis::Company => self.company,
            Axis::Person => self.person,
            Axis::Life => self.life,
        }
    }

    /// When a window of an axis ends that begins now.
    fn window_end(&self, axis: Axis, now: Timestamp) -> Timestamp {
        match axis {
            Axis::Follower | Axis::Account | Axis::Company | Axis::Person => {
                now.checked_add(self.window).unwrap_or(Timestamp::MAX)
            }
            Axis::Life => Timestamp::MAX,
        }
    }
}

/// What is counted on one axis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Tries charged in the window.
    pub charged: u32,
    /// When the window ends; `None` before its first try.
    pub window_end: Option<Timestamp>,
}

impl Count {
    /// The count as it is now: a window that has ended counts nothing.
    #[must_use]
    pub fn at(self, now: Timestamp) -> Self {
        if self.window_end.is_some_and(|end| end <= now) { Self::default() } else { self }
    }

    /// One more try on this axis.
    #[must_use]
    pub fn charge(self, axis: Axis, limits: &Limits, now: Timestamp) -> Self {
        let current = self.at(now);
        let end = limits.window_end(axis, now);
        Self {
            charged: current.charged.saturating_add(1),
            window_end: Some(current.window_end.unwrap_or(end)),
        }
    }

    /// Somebody was confirmed on this axis: a life begins anew, and elsewhere the try was no wrong guess.
    #[must_use]
    pub fn confirmed(self, axis: Axis) -> Self {
        match axis {
            Axis::Follower | Axis::Account | Axis::Company | Axis::Person => self.refund(),
            Axis::Life => Self::default(),
        }
    }

    /// The try was no wrong guess. A window without one has not begun.
    #[must_use]
    pub fn refund(self) -> Self {
        if self.charged > 1 { Self { charged: self.charged - 1, ..self } } else { Self::default() }
    }
}

/// Whether a try may be made, by the counts before it.
///
/// # Errors
/// When the lock ends; [`Timestamp::MAX`]: when people end it.
pub fn allow(
    counts: &[(Axis, Count)],
    method: IdentityMethod,
    limits: &Limits,
    now: Timestamp,
) -> Result<(), Timestamp> {
    counts
        .iter()
        .filter(|(axis, count)| {
            let owner_may_try = *axis == Axis::Account && method == IdentityMethod::Jpki;
            !owner_may_try && count.at(now).charged >= limits.of(*axis)
        })
        .filter_map(|(_, count)| count.window_end)
        .max()
        .map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-11-23T00:00:00Z".parse().unwrap()
    }

    fn charged(times: u32) -> Count {
        (0..times).fold(Count::default(), |count, _| count.charge(Axis::Follower, &Limits::default(), now()))
    }

    #[test]
    fn a_life_has_no_window_and_begins_anew_with_a_confirmed_match() {
        let limits = Limits::default();
        let after = |tries: u32| {
            let each_day = (0..tries).map(|day| now() + SignedDuration::from_hours(48 * i64::from(day)));
            each_day.fold(Count::default(), |count, day| count.charge(Axis::Life, &limits, day))
        };
        let years = now() + SignedDuration::from_hours(24 * 365 * 20);
        let allowed = |count| allow(&[(Axis::Life, count)], IdentityMethod::Jpki, &limits, years);
        assert_eq!(allowed(after(limits.life - 1)), Ok(()));
        assert_eq!(allowed(after(limits.life)), Err(Timestamp::MAX));
        assert_eq!(allowed(after(limits.life).refund()), Ok(()), "the last was no wrong guess");
        assert_eq!(after(limits.life).confirmed(Axis::Life), Count::default());
        assert_eq!(charged(3).confirmed(Axis::Follower), charged(2));
    }

    #[test]
    fn each_axis_locks_at_its_limit_until_its_window_ends() {
        let limits = Limits::default();
        let end = now() + limits.window;
        for (axis, limit) in
            [(Axis::Follower, 5), (Axis::Account, 10), (Axis::Company, 10_000), (Axis::Person, 5)]
        {
            let try_after = |times| allow(&[(axis, charged(times))], IdentityMethod::Carrier, &limits, now());
            assert_eq!(try_after(limit - 1), Ok(()));
            assert_eq!(try_after(limit), Err(end));
            let later = end + SignedDuration::from_secs(1);
            assert_eq!(allow(&[(axis, charged(limit))], IdentityMethod::Carrier, &limits, later), Ok(()));
        }
    }

    #[test]
    fn strangers_cannot_lock_out_the_owner() {
        let counts = [(Axis::Account, charged(1000))];
        assert_eq!(allow(&counts, IdentityMethod::Jpki, &Limits::default(), now()), Ok(()));
        assert!(allow(&counts, IdentityMethod::Carrier, &Limits::default(), now()).is_err());
    }

    #[test]
    fn a_refund_undoes_a_charge() {
        assert_eq!(charged(3).refund().charged, 2);
        assert_eq!(charged(1).refund(), Count::default());
        assert_eq!(Count::default().refund(), Count::default());
    }
}
