//! `musubi.carrier.v1`: what a carrier says of numbers.

use jiff::civil::Date;
use musubi_domain::{Error, ErrorKind, error::shape, silence::Recycling};

use crate::carrier::v1::NumberRecycling;

impl From<Recycling> for NumberRecycling {
    fn from(recycling: Recycling) -> Self {
        match recycling {
            Recycling::Same => Self::NotRecycled,
            Recycling::Recycled => Self::Recycled,
            Recycling::NotFound => Self::NotFound,
            Recycling::OutOfRange => Self::OutOfRange,
        }
    }
}

/// What a carrier says of a number.
///
/// # Errors
/// `Unavailable`, when it says nothing that is known here: nothing may be believed, and it may be asked again.
pub fn recycling(number: i32) -> Result<Recycling, Error> {
    match NumberRecycling::try_from(number) {
        Ok(NumberRecycling::NotRecycled) => Ok(Recycling::Same),
        Ok(NumberRecycling::Recycled) => Ok(Recycling::Recycled),
        Ok(NumberRecycling::NotFound) => Ok(Recycling::NotFound),
        Ok(NumberRecycling::OutOfRange) => Ok(Recycling::OutOfRange),
        Ok(NumberRecycling::Unspecified) | Err(_) => {
            let problem = format!("{number} says nothing of a number");
            Err(Error::new(ErrorKind::Unavailable, problem, "ask again").at("results"))
        }
    }
}

/// The day that a number is asked about since.
///
/// # Errors
/// At `specified_date`, when it is no day.
pub fn specified_date(text: &str) -> Result<Date, Error> {
    let wrong = || Error::invalid("specified_date", shape(text), "write a day as YYYY-MM-DD");
    // Only so: the parser would take instants and other forms, too.
    let plain = text.len() == 10 && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    text.parse().ok().filter(|_| plain).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_numbers_survives_the_wire() {
        for said in [Recycling::Same, Recycling::Recycled, Recycling::NotFound, Recycling::OutOfRange] {
            assert_eq!(recycling(NumberRecycling::from(said).into()), Ok(said));
        }
        for nothing in [0, 5, -1] {
            assert_eq!(recycling(nothing).unwrap_err().kind, ErrorKind::Unavailable);
        }
    }

    #[test]
    fn a_day_is_read_in_one_form() {
        assert_eq!(specified_date("2026-11-28").unwrap().to_string(), "2026-11-28");
        for wrong in ["", "2026-11-31", "20261128", "2026-11-28T00:00:00Z", "28.11.2026", "+02026-11-28"] {
            assert_eq!(specified_date(wrong).unwrap_err().field, "specified_date", "{wrong}");
        }
    }
}
