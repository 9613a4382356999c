//! Who has a number, as far as this carrier knows. And, pure and the same on every database, what it answers about that.
//!
//! Surprising: a number of which nobody said anything has always been its first holder's; a subscriber list says nothing of who has
//! a number, so one may stand there whose holder has changed.

use async_trait::async_trait;
use jiff::Timestamp;
use musubi_domain::{phone_number::PhoneNumber, silence::Recycling};

use super::record::msisdn;
use crate::{
    StoreError,
    row::{Columns, bulk_rows, micros},
};

/// What a carrier knows of who has a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tenure {
    /// Since when its holder has it; the beginning of all time when nobody said, or when it came from another carrier.
    pub held_since: Timestamp,
    /// Since when this carrier knows of it: a number that came from another carrier is known from then on.
    pub known_since: Timestamp,
    /// It is nobody's here: given up, or gone to another carrier.
    pub released: bool,
}

/// What can happen to a number that no list tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TenureChange {
    /// It was given up, or went to another carrier.
    Released,
    /// It went to a new holder.
    Assigned,
    /// It came from another carrier with its holder.
    PortedIn,
}

/// Before anything is known.
const ALWAYS: Timestamp = Timestamp::UNIX_EPOCH;

impl Default for Tenure {
    fn default() -> Self {
        Self { held_since: ALWAYS, known_since: ALWAYS, released: false }
    }
}

impl Tenure {
    /// What became of it.
    #[must_use]
    pub const fn after(self, change: TenureChange, now: Timestamp) -> Self {
        match change {
            TenureChange::Released => Self { released: true, ..self },
            TenureChange::Assigned => Self { held_since: now, released: false, ..self },
            TenureChange::PortedIn => Self { held_since: ALWAYS, known_since: now, released: false },
        }
    }

    /// Whether the number has changed hands since then.
    #[must_use]
    pub fn since(self, specified: Timestamp, now: Timestamp) -> Recycling {
        if self.released {
            Recycling::NotFound
        } else if self.held_since > ALWAYS && specified <= self.held_since {
            Recycling::Recycled
        } else if specified < self.known_since || specified > now {
            Recycling::OutOfRange
        } else {
            Recycling::Same
        }
    }
}

/// Who has a number.
#[async_trait]
pub trait NumberStore: Send + Sync {
    /// What is known of at most [`BATCH`](super::BATCH) numbers, in order; none of a number that this carrier never had.
    async fn find_tenures(&self, numbers: &[PhoneNumber]) -> Result<Vec<Option<Tenure>>, StoreError>;
}

bulk_rows! {
    /// What is known of a number now.
    TenureRow { msisdn: i64, held_since: i64, known_since: i64, released: bool, }
}

/// What is known of a number, as a row.
pub(crate) fn tenure_row(number: PhoneNumber, tenure: Tenure) -> TenureRow {
    TenureRow {
        msisdn: msisdn(number),
        held_since: micros(tenure.held_since),
        known_since: micros(tenure.known_since),
        released: tenure.released,
    }
}

/// Reads what is known of a number. Columns: number, held since, known since, released.
pub(crate) fn tenure_of(row: &impl Columns) -> Result<(i64, Tenure), StoreError> {
    let tenure = Tenure { held_since: row.instant(1)?, known_since: row.instant(2)?, released: row.flag(3)? };
    Ok((row.int(0)?, tenure))
}

/// What was found of these numbers, in their order.
pub(crate) fn tenures_of(
    numbers: &[PhoneNumber],
    found: &[impl Columns],
) -> Result<Vec<Option<Tenure>>, StoreError> {
    let found = found.iter().map(tenure_of).collect::<Result<std::collections::HashMap<_, _>, _>>()?;
    Ok(numbers.iter().map(|number| found.get(&msisdn(*number)).copied()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(count: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + count * 86_400).unwrap()
    }

    #[test]
    fn a_number_that_nobody_spoke_of_is_its_first_holders() {
        assert_eq!(Tenure::default().since(day(0), day(9)), Recycling::Same);
        assert_eq!(Tenure::default().since(day(10), day(9)), Recycling::OutOfRange, "a day to come");
    }

    #[test]
    fn a_number_is_nobodys_until_it_is_given_away_and_then_recycled_since_any_day_before() {
        let idle = Tenure::default().after(TenureChange::Released, day(3));
        assert_eq!(idle.since(day(0), day(9)), Recycling::NotFound);
        let anothers = idle.after(TenureChange::Assigned, day(60));
        for (since, says) in [(0, Recycling::Recycled), (60, Recycling::Recycled), (61, Recycling::Same)] {
            assert_eq!(anothers.since(day(since), day(90)), says, "{since}");
        }
    }

    #[test]
    fn who_came_from_another_carrier_is_known_from_then_on() {
        let ported = Tenure::default().after(TenureChange::PortedIn, day(5));
        assert_eq!(ported.since(day(4), day(9)), Recycling::OutOfRange);
        assert_eq!(ported.since(day(6), day(9)), Recycling::Same);
        let anothers = ported.after(TenureChange::Assigned, day(70));
        assert_eq!(anothers.since(day(4), day(90)), Recycling::Recycled, "that much is known all the same");
    }
}
