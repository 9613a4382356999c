//! Birth dates, in every shape that masters, certificates and documents write.
//!
//! Read: `1984-07-11` with any separator, `19840711`, 1984年7月11日, eras from 明治 to 令和 written out, with one kanji,
//! one letter or the square sign, the bank form `3590711` (era digit and year of the era), and JPKI's nine digits
//! `EYYYYMMDD`.
//!
//! The surprising thing: JPKI writes an era digit *and* a Gregorian year, so both must agree.

use jiff::civil::{Date, date};

use super::characters::{clean, is_dash, is_kanji_numeral, kanji_number};
use crate::MAX_INPUT_BYTES;

/// Why a birth date can't be read. The text itself is never shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BirthDateError {
    /// Nothing was given.
    #[error("birth date is empty; give year, month and day")]
    Empty,
    /// More than [`MAX_INPUT_BYTES`].
    #[error("birth date is longer than {MAX_INPUT_BYTES} bytes; give only the date")]
    TooLong,
    /// No known shape.
    #[error(
        "birth date has no known shape; write it as YYYY-MM-DD, with 年月日, with an era, or as EYYYYMMDD"
    )]
    Shape,
    /// No such day in the calendar.
    #[error("birth date is no day of the calendar; check month and day")]
    NoSuchDay,
    /// The era did not run on that day, or the year is before 1868 or after 2199.
    #[error("birth date lies outside its era; check era and year")]
    OutsideEra,
}

struct Era {
    names: [&'static str; 3],
    digit: char,
    first: Date,
    last: Date,
}

const ERAS: [Era; 5] = [
    Era { names: ["明治", "明", "M"], digit: '1', first: date(1868, 1, 25), last: date(1912, 7, 30) },
    Era { names: ["大正", "大", "T"], digit: '2', first: date(1912, 7, 30), last: date(1926, 12, 25) },
    Era { names: ["昭和", "昭", "S"], digit: '3', first: date(1926, 12, 25), last: date(1989, 1, 7) },
    Era { names: ["平成", "平", "H"], digit: '4', first: date(1989, 1, 8), last: date(2019, 4, 30) },
    Era { names: ["令和", "令", "R"], digit: '5', first: date(2019, 5, 1), last: date(2199, 12, 31) },
];

/// What spreadsheets and databases write behind a day.
const MIDNIGHT: [&str; 5] = ["T00:00:00", " 00:00:00", " 0:00:00", " 00:00", " 0:00"];

/// Reads a birth date.
///
/// # Errors
/// [`BirthDateError`] names the shape that was missing; it never shows the text.
pub fn parse_birth_date(text: &str) -> Result<Date, BirthDateError> {
    if text.len() > MAX_INPUT_BYTES {
        return Err(BirthDateError::TooLong);
    }
    let text = clean(text).to_ascii_uppercase();
    let text = text.trim_end_matches("生まれ").trim_end_matches('生').trim_end();
    let text = text.strip_prefix("生年月日").map_or(text, |rest| rest.trim_start_matches([':', ' ', 'は']));
    let text = MIDNIGHT.iter().find_map(|midnight| text.strip_suffix(midnight)).unwrap_or(text);
    if text.is_empty() {
        return Err(BirthDateError::Empty);
    }
    let named = ERAS.iter().find_map(|era| {
        era.names
            .iter()
            .find_map(|name| text.strip_prefix(name))
            .map(|rest| (Some(era), rest.trim_start_matches(['.', ' '])))
    });
    let (era, rest) = named.unwrap_or_else(|| (None, text.strip_prefix("西暦").unwrap_or(text)));
    let fields = fields(rest).ok_or(BirthDateError::Shape)?;
    match (era, fields.as_slice()) {
        (Some(era), [year, month, day]) if year.len() <= 2 => of_era(era, year, month, day),
        (Some(era), [digits]) if digits.len() == 6 => of_era(era, &digits[..2], &digits[2..4], &digits[4..]),
        (None, [year, month, day]) if year.len() == 4 => gregorian(year, month, day),
        (None, [digits]) if digits.len() == 8 => gregorian(&digits[..4], &digits[4..6], &digits[6..]),
        (None, [digits]) if digits.len() == 7 => {
            let era = era_of_digit(digits).ok_or(BirthDateError::Shape)?;
            of_era(era, &digits[1..3], &digits[3..5], &digits[5..])
        }
        (None, [digits]) if digits.len() == 9 => {
            let day = gregorian(&digits[1..5], &digits[5..7], &digits[7..])?;
            match era_of_digit(digits) {
                Some(era) if !within(era, day) => Err(BirthDateError::OutsideEra),
                None if !digits.starts_with('0') => Err(BirthDateError::Shape),
                Some(_) | None => Ok(day),
            }
        }
        (Some(_) | None, _) => Err(BirthDateError::Shape),
    }
}

/// Splits into one or three runs of digits. Separators are dashes, slashes, full stops, commas, single spaces and
/// 年月日; kanji numerals and 元 are digits.
fn fields(text: &str) -> Option<Vec<String>> {
    let chars: Vec<char> = text.chars().collect();
    let mut fields = vec![];
    let mut i = 0;
    while i < chars.len() {
        let start = i;
        if chars[i].is_ascii_digit() {
            while i < chars.len() && chars[i].is_ascii_digit() {
                i += 1;
            }
            fields.push(chars[start..i].iter().collect::<String>());
        } else if chars[i] == '元' {
            i += 1;
            fields.push("1".to_owned());
        } else {
            while i < chars.len() && is_kanji_numeral(chars[i]) {
                i += 1;
            }
            fields.push(kanji_number(&chars[start..i])?.to_string());
        }
        let separator = i;
        while i < chars.len() && i < separator + 2 && is_separator(chars[i]) {
            i += 1;
        }
        let last = i == chars.len();
        if fields.len() > 3
            || (!last && i == separator)
            || (last && i > separator && chars[separator] != '日')
        {
            return None;
        }
    }
    matches!(fields.len(), 1 | 3).then_some(fields)
}

fn is_separator(c: char) -> bool {
    is_dash(c) || matches!(c, '/' | '.' | ',' | '・' | ' ' | '年' | '月' | '日')
}

fn gregorian(year: &str, month: &str, day: &str) -> Result<Date, BirthDateError> {
    let day = civil(number(year)?, month, day)?;
    let born = date(1868, 1, 1)..=date(2199, 12, 31);
    if born.contains(&day) { Ok(day) } else { Err(BirthDateError::OutsideEra) }
}

fn of_era(era: &Era, year: &str, month: &str, day: &str) -> Result<Date, BirthDateError> {
    let year = number(year)?;
    if year == 0 {
        return Err(BirthDateError::OutsideEra);
    }
    let day = civil(era.first.year() + year - 1, month, day)?;
    if within(era, day) { Ok(day) } else { Err(BirthDateError::OutsideEra) }
}

fn civil(year: i16, month: &str, day: &str) -> Result<Date, BirthDateError> {
    let (Ok(month), Ok(day)) = (month.parse(), day.parse()) else { return Err(BirthDateError::Shape) };
    Date::new(year, month, day).map_err(|_| BirthDateError::NoSuchDay)
}

fn number(digits: &str) -> Result<i16, BirthDateError> {
    digits.parse().map_err(|_| BirthDateError::Shape)
}

fn within(era: &Era, day: Date) -> bool {
    (era.first..=era.last).contains(&day)
}

fn era_of_digit(digits: &str) -> Option<&'static Era> {
    ERAS.iter().find(|era| digits.starts_with(era.digit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<Date, BirthDateError>) {
        assert_eq!(parse_birth_date(text), expected, "{text}");
    }

    #[test]
    fn every_shape_names_the_same_day() {
        for text in [
            "1984-07-11",
            "1984/7/11",
            "1984.07.11",
            "19840711",
            "１９８４－０７－１１",
            "1984年7月11日",
            "西暦1984年07月11日",
            "昭和59年7月11日",
            "昭和五十九年七月十一日",
            "昭59.7.11",
            "S59.7.11",
            "S.59.7.11",
            "s59/07/11",
            "S590711",
            "㍼59年7月11日",
            "3590711",
            "319840711",
            "019840711",
            "1984 7 11",
            "一九八四年七月十一日",
            "1984年7月11日生",
            " 1984ー07ー11 ",
            "1984年 7月 11日",
            "昭和 59年 7月 11日",
            "生年月日：1984/7/11",
            "1984/7/11 0:00",
            "1984-07-11T00:00:00",
        ] {
            check(text, Ok(date(1984, 7, 11)));
        }
    }

    #[test]
    fn the_first_year_of_an_era_may_be_gannen() {
        check("令和元年5月1日", Ok(date(2019, 5, 1)));
        check("平成元年1月8日", Ok(date(1989, 1, 8)));
        check("R1.5.1", Ok(date(2019, 5, 1)));
    }

    #[test]
    fn an_era_and_its_year_must_agree() {
        check("昭和65年1月1日", Err(BirthDateError::OutsideEra));
        check("令和元年4月30日", Err(BirthDateError::OutsideEra));
        check("419840711", Err(BirthDateError::OutsideEra));
        check("平成0年1月1日", Err(BirthDateError::OutsideEra));
    }

    #[test]
    fn what_is_no_date_is_an_error() {
        check("", Err(BirthDateError::Empty));
        check("　", Err(BirthDateError::Empty));
        check("1984-02-30", Err(BirthDateError::NoSuchDay));
        check("1984-7", Err(BirthDateError::Shape));
        check("840711", Err(BirthDateError::Shape));
        check("84-07-11", Err(BirthDateError::Shape));
        check("1984-07-11-02", Err(BirthDateError::Shape));
        check("1984-07-11-", Err(BirthDateError::Shape));
        check("1984--------07", Err(BirthDateError::Shape));
        check("11984-07-11", Err(BirthDateError::Shape));
        check("1700-01-01", Err(BirthDateError::OutsideEra));
        check("山田", Err(BirthDateError::Shape));
        check(&"1".repeat(5000), Err(BirthDateError::TooLong));
    }
}
