//! Birth dates in every shape, and other days.

use jiff::{
    ToSpan as _,
    civil::{Date, date},
};
use musubi_matching::compare_birth_dates;

use crate::addresses::{full_width, kanji};
use crate::tally::{Pair, Tally};

/// First day, year before the first, names and digit of each era that people live from.
const ERAS: [(Date, i16, [&str; 3], u8); 5] = [
    (date(1873, 1, 1), 1867, ["明治", "明", "M"], 1),
    (date(1912, 7, 30), 1911, ["大正", "大", "T"], 2),
    (date(1926, 12, 25), 1925, ["昭和", "昭", "S"], 3),
    (date(1989, 1, 8), 1988, ["平成", "平", "H"], 4),
    (date(2019, 5, 1), 2018, ["令和", "令", "R"], 5),
];

/// Days in full, as people, spreadsheets and registers write them.
const WRITTEN_OUT: &[(&str, &str)] = &[
    ("2019-05-01", "令和元年五月一日"),
    ("2019-05-01", "令和元年５月１日生"),
    ("2019-05-01", "R元.5.1"),
    ("2019-05-01", "R01/05/01"),
    ("2019-05-01", "520190501"),
    ("2019-05-01", "5010501"),
    ("2019-04-30", "平成31年4月30日"),
    ("1989-01-08", "平成元年1月8日"),
    ("1989-01-08", "H元年1月8日"),
    ("1989-01-07", "昭和64年1月7日"),
    ("1989-01-07", "s64.1.7"),
    ("1926-12-25", "昭和元年12月25日"),
    ("1926-12-25", "大正15年12月25日"),
    ("1912-07-30", "大正元年七月三十日"),
    ("1912-07-30", "明治45年7月30日"),
    ("1984-07-11", "生年月日：昭和59年7月11日"),
    ("1984-07-11", "1984/7/11 0:00"),
    ("1984-07-11", "1984-07-11T00:00:00"),
    ("1984-07-11", "㍼五十九年七月十一日"),
    ("1984-07-11", "昭和５９年０７月１１日生まれ"),
    ("1984-07-11", "Ｓ５９．７．１１"),
    ("2000-02-29", "平成12年2月29日"),
];

/// What is not read, or is no day: a person looks.
const ASKED_AGAIN: &[(&str, &str)] = &[
    ("2019-05-01", "平成31年5月1日"),
    ("1989-01-08", "昭和64年1月8日"),
    ("1984-07-11", "84/7/11"),
    ("1984-07-11", "7/11/1984"),
    ("1984-07-11", "11071984"),
    ("1984-07-11", "59.7.11"),
    ("1984-07-11", "1984年(昭和59年)7月11日"),
    ("1984-07-11", "30874"),
    ("2000-02-29", "2001-02-29"),
];

pub(crate) fn tally(same: &mut Tally, different: &mut Tally) {
    for (kind, list) in [("written_out", WRITTEN_OUT), ("asked_again", ASKED_AGAIN)] {
        for (iso, text) in list {
            let pair = Pair { kind, left: (*iso).to_owned(), right: (*text).to_owned() };
            same.add(&pair, compare_birth_dates(iso, text));
        }
    }
    for step in 0..300 {
        let day = date(1912, 8, 1) + (step * 137).days();
        let iso = day.to_string();
        let (y, m, d) = (day.year(), day.month(), day.day());
        let Some((_, before, names, digit)) = ERAS.iter().rev().find(|era| era.0 <= day) else { continue };
        let year = y - before;
        let mut equal = |kind, right: String| {
            same.add(
                &Pair { kind, left: iso.clone(), right: right.clone() },
                compare_birth_dates(&iso, &right),
            );
        };
        for text in [
            format!("{y}/{m}/{d}"),
            format!("{y}年{m}月{d}日"),
            format!("{y}{m:02}{d:02}"),
            format!("{y}.{m:02}.{d:02}"),
            format!("西暦{y}年{m}月{d}日生"),
        ] {
            equal("western", full_width(&text));
            equal("western", text);
        }
        for name in names {
            equal("era", format!("{name}{year}.{m}.{d}"));
            equal("era", format!("{name}{year:02}年{m:02}月{d:02}日"));
        }
        let (year_kanji, m_kanji, d_kanji) = (
            kanji(year.unsigned_abs().into()),
            kanji(m.unsigned_abs().into()),
            kanji(d.unsigned_abs().into()),
        );
        equal("era", format!("{}{year_kanji}年{m_kanji}月{d_kanji}日", names[0]));
        equal("jpki", format!("{digit}{y}{m:02}{d:02}"));
        equal("jpki", format!("0{y}{m:02}{d:02}"));
        equal("bank", format!("{digit}{year:02}{m:02}{d:02}"));
        let mut other = |kind, right: String| {
            different.add(
                &Pair { kind, left: iso.clone(), right: right.clone() },
                compare_birth_dates(&iso, &right),
            );
        };
        for days in [1, -1, 7, 10, 31, 365, 3652] {
            let near = day + days.days();
            other("near_day", near.to_string());
            other("near_day", format!("{}年{}月{}日", near.year(), near.month(), near.day()));
        }
        if m != d {
            other("swapped", format!("{y}-{d:02}-{m:02}"));
        }
        other("unreadable", format!("{m}/{d}"));
        other("unreadable", String::new());
    }
}
