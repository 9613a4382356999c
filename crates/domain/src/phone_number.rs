//! A phone number in E.164, the only form inside Musubi. The carrier calls it *msisdn*.
//!
//! Personal: its `Debug` shows nothing, and `Display` is not implemented, so that it can't slip into a log. Say
//! [`PhoneNumber::as_str`] where it has to go out.

use std::{fmt, str::FromStr};

use crate::{Error, error::shape};

/// E.164: a plus sign, a country code that doesn't begin with 0, 8 to 15 digits in all.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PhoneNumber {
    length: u8,
    text: [u8; 16],
}

impl PhoneNumber {
    /// The number with its plus sign.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.text[..usize::from(self.length)]).unwrap_or_default()
    }
}

/// A phone number in 8 bytes, for many of them in memory: its digits as an integer, of which none begins with 0.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PackedNumber(u64);

impl From<PhoneNumber> for PackedNumber {
    fn from(number: PhoneNumber) -> Self {
        let digits = &number.text[1..usize::from(number.length)];
        Self(digits.iter().fold(0, |packed, digit| packed * 10 + u64::from(digit - b'0')))
    }
}

impl From<PackedNumber> for PhoneNumber {
    fn from(PackedNumber(mut rest): PackedNumber) -> Self {
        let digits = rest.checked_ilog10().unwrap_or_default() as usize + 1;
        let mut text = [0; 16];
        text[0] = b'+';
        for digit in text[1..=digits].iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        Self { length: digits as u8 + 1, text }
    }
}

/// A number of which only the last two digits can be read, and that it is one.
#[must_use]
pub fn masked(number: &str) -> String {
    let hidden = number.chars().count().saturating_sub(2);
    let digits = number.chars().enumerate();
    digits.map(|(place, digit)| if place == 0 || place >= hidden { digit } else { '*' }).collect()
}

impl FromStr for PhoneNumber {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let bytes = text.as_bytes();
        let good = (9..=16).contains(&bytes.len())
            && bytes[0] == b'+'
            && bytes[1] != b'0'
            && bytes[1..].iter().all(u8::is_ascii_digit);
        if !good {
            return Err(Error::invalid(
                "phone_number",
                format!("{} is not E.164", shape(text)),
                "write a plus sign, the country code and the number without its leading 0, for example +81 and ten digits for a mobile phone in Japan",
            ));
        }
        let mut copy = [0; 16];
        copy[..bytes.len()].copy_from_slice(bytes);
        Ok(Self { length: u8::try_from(bytes.len()).unwrap_or_default(), text: copy })
    }
}

impl fmt::Debug for PhoneNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PhoneNumber(…)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn of_a_masked_number_two_digits_are_left() {
        assert_eq!([masked("+819012345678"), masked("+1"), masked("")], ["+**********78", "+1", ""]);
    }

    #[test]
    fn takes_e164_and_nothing_else() {
        for good in ["+818012345678", "+12025550100", "+12345678", "+123456789012345"] {
            let number = good.parse::<PhoneNumber>().unwrap();
            assert_eq!(number.as_str(), good);
            assert!(PhoneNumber::from(PackedNumber::from(number)) == number);
        }
        for bad in [
            "",
            "+",
            "08012345678",
            "+0801234567",
            "+81 80",
            "+8180１234567",
            "+1234567",
            "+1234567890123456",
        ] {
            let error = bad.parse::<PhoneNumber>().unwrap_err();
            assert_eq!(error.field, "phone_number");
            assert!(bad.len() < 3 || !error.to_string().contains(bad), "an error shows no number");
        }
    }

    #[test]
    fn debug_shows_nothing() {
        let number: PhoneNumber = "+818012345678".parse().unwrap();
        assert!(!format!("{number:?}").contains('8'));
    }

    proptest! {
        #[test]
        fn packed_is_what_it_was(text in r"\+[1-9][0-9]{7,14}") {
            let number: PhoneNumber = text.parse().unwrap();
            let packed = PackedNumber::from(number);
            prop_assert_eq!(PhoneNumber::from(packed), number);
            prop_assert_eq!(size_of_val(&packed), 8);
        }

        #[test]
        fn never_panics(text in ".{0,40}") {
            let _ = text.parse::<PhoneNumber>();
        }
    }
}
