//! People and homes, before anything is spelt.
//!
//! The surprising thing: whoever is to be another person than the customer is made different in every way that could
//! be taken for a slip. Another person's birth date differs in year, month and day; another name differs in
//! its reading, not only in its kanji; another home is in another town.

use super::draw::Draw;
use super::lists::{LISTS, Name, Town};

/// A person as a population register has them.
#[derive(Clone)]
pub(super) struct Person {
    pub(super) surname: String,
    pub(super) surname_kana: &'static str,
    pub(super) given_name: String,
    pub(super) given_name_kana: &'static str,
    pub(super) birth_date: BirthDate,
    pub(super) home: Home,
}

/// A date in the Gregorian calendar.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct BirthDate {
    pub(super) year: u32,
    pub(super) month: u32,
    pub(super) day: u32,
}

/// Where a person lives.
#[derive(Clone)]
pub(super) struct Home {
    pub(super) town: &'static Town,
    /// 0 where addresses go by lot.
    pub(super) chome: u32,
    /// Block and house, or lot and part of it; one to three numbers.
    pub(super) numbers: Vec<u32>,
    /// Building and room.
    pub(super) building: Option<(&'static str, u32)>,
}

impl Person {
    pub(super) fn draw(draw: &mut Draw) -> Self {
        // The lower of two draws prefers the head of the list, where the common names are.
        let first = draw.index(LISTS.surnames.len());
        let surname = LISTS.surnames[first.min(draw.index(LISTS.surnames.len()))];
        let given_name = *draw.pick(&LISTS.given_names);
        Self {
            surname: in_some_form(surname, draw),
            surname_kana: surname.kana,
            given_name: in_some_form(given_name, draw),
            given_name_kana: given_name.kana,
            birth_date: BirthDate::draw(draw),
            home: Home::draw(draw),
        }
    }

    /// Somebody who shares no name, birth date or town with this person.
    pub(super) fn somebody_else(&self, draw: &mut Draw) -> Self {
        loop {
            let other = Self::draw(draw);
            if other.surname_kana != self.surname_kana
                && other.given_name_kana != self.given_name_kana
                && other.birth_date.is_far_from(self.birth_date)
                && other.home.is_elsewhere_than(&self.home)
            {
                return other;
            }
        }
    }

    /// Somebody of the same surname in the same home.
    pub(super) fn relative(&self, draw: &mut Draw) -> Self {
        let other = self.somebody_else(draw);
        Self {
            surname: self.surname.clone(),
            surname_kana: self.surname_kana,
            home: self.home.clone(),
            ..other
        }
    }

    /// The same person under another surname, as before a marriage.
    pub(super) fn with_another_surname(&self, draw: &mut Draw) -> Self {
        let other = self.somebody_else(draw);
        Self { surname: other.surname, surname_kana: other.surname_kana, ..self.clone() }
    }

    /// The same person in another town, as before a move.
    pub(super) fn with_another_home(&self, draw: &mut Draw) -> Self {
        Self { home: self.somebody_else(draw).home, ..self.clone() }
    }
}

/// A name in current characters or, sometimes, in old forms.
fn in_some_form(name: Name, draw: &mut Draw) -> String {
    let form = |c: char| match LISTS.forms(c) {
        Some(forms) if draw.chance(200) => *draw.pick(forms),
        Some(_) | None => c,
    };
    name.kanji.chars().map(form).collect()
}

impl BirthDate {
    const FIRST_YEAR: u32 = 1931;
    /// Everybody is of age by 2025, when the last customer is verified.
    const LAST_YEAR: u32 = 2006;

    fn draw(draw: &mut Draw) -> Self {
        let year = draw.between(Self::FIRST_YEAR, Self::LAST_YEAR);
        let month = draw.between(1, 12);
        let day = match month {
            2 if year.is_multiple_of(4) => draw.between(1, 29),
            2 => draw.between(1, 28),
            4 | 6 | 9 | 11 => draw.between(1, 30),
            _ => draw.between(1, 31),
        };
        Self { year, month, day }
    }

    /// Year, month and day all differ, so that no slip turns one date into the other.
    fn is_far_from(self, other: Self) -> bool {
        self.year != other.year && self.month != other.month && self.day != other.day
    }
}

impl std::fmt::Display for BirthDate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

impl Home {
    fn draw(draw: &mut Draw) -> Self {
        let town = draw.pick(&LISTS.towns);
        let (chome, first) = match town.chome {
            0 => (0, 1500),
            most => (draw.between(1, most), 45),
        };
        // Low numbers are commoner, as on a map.
        let block = draw.between(1, first).min(draw.between(1, first));
        let mut numbers = vec![block];
        if chome > 0 || draw.chance(750) {
            numbers.push(draw.between(1, 40).min(draw.between(1, 40)));
            if draw.chance(40) {
                numbers.push(draw.between(1, 30));
            }
        }
        let building = draw.chance(580).then(|| {
            let floor = draw.between(1, 15).min(draw.between(1, 15));
            (*draw.pick(&LISTS.buildings), floor * 100 + draw.between(1, 12))
        });
        Self { town, chome, numbers, building }
    }

    fn is_elsewhere_than(&self, other: &Self) -> bool {
        self.town.name != other.town.name
    }
}
