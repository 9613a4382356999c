//! Birth dates: the same day, one slip, or different.

use jiff::civil::Date;

use super::{Compared, Comparison};
use crate::{Reason, parse_birth_date};

/// Compares two birth dates in any shape that [`parse_birth_date`] reads. One slip (month and day swapped, or one
/// digit of eight) and a date that can't be read are for review.
#[must_use]
pub fn compare_birth_dates(left: &str, right: &str) -> Compared {
    compare_days(parse_birth_date(left).ok(), parse_birth_date(right).ok())
}

/// As [`compare_birth_dates`], of days that were read before; None is one that can't be read.
#[must_use]
pub fn compare_days(left: Option<Date>, right: Option<Date>) -> Compared {
    let (Some(left), Some(right)) = (left, right) else {
        return Compared::new(Comparison::Review, [Reason::BirthDateUnreadable]);
    };
    let (comparison, reason) = if left == right {
        (Comparison::Equal, Reason::BirthDateEqual)
    } else if left.year() == right.year() && left.month() == right.day() && left.day() == right.month() {
        (Comparison::Review, Reason::BirthDateSwapped)
    } else if digits(left).iter().zip(digits(right)).filter(|(l, r)| **l != *r).count() == 1 {
        (Comparison::Review, Reason::BirthDateOneDigit)
    } else {
        (Comparison::Different, Reason::BirthDateDifferent)
    };
    Compared::new(comparison, [reason])
}

fn digits(day: Date) -> [u8; 8] {
    let mut rest = i32::from(day.year()) * 10_000 + i32::from(day.month()) * 100 + i32::from(day.day());
    let mut digits = [0; 8];
    for digit in digits.iter_mut().rev() {
        *digit = u8::try_from(rest % 10).unwrap_or_default();
        rest /= 10;
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(left: &str, right: &str, comparison: Comparison, reason: Reason) {
        let expected = Compared::new(comparison, [reason]);
        assert_eq!(compare_birth_dates(left, right), expected, "{left} {right}");
        assert_eq!(compare_birth_dates(right, left), expected, "{right} {left}");
    }

    #[test]
    fn shapes_don_t_matter_and_slips_are_for_review() {
        check("1984-07-11", "昭和59年7月11日", Comparison::Equal, Reason::BirthDateEqual);
        check("1984-07-11", "319840711", Comparison::Equal, Reason::BirthDateEqual);
        check("1984-07-11", "1984-11-07", Comparison::Review, Reason::BirthDateSwapped);
        check("1984-07-11", "1984-07-12", Comparison::Review, Reason::BirthDateOneDigit);
        check("1984-07-11", "1974-07-12", Comparison::Different, Reason::BirthDateDifferent);
        check("1984-07-09", "1984-07-10", Comparison::Different, Reason::BirthDateDifferent);
        check("1984-07-11", "", Comparison::Review, Reason::BirthDateUnreadable);
    }
}
