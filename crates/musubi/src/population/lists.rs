//! The lists of names and places under `data/`, read once.
//!
//! They are this project's own, written from general knowledge. A line that can't be read is left out; a test sees to
//! it that none is.

use std::collections::BTreeMap;
use std::sync::LazyLock;

/// All lists.
pub(super) static LISTS: LazyLock<Lists> = LazyLock::new(|| Lists {
    surnames: lines(SURNAMES).filter_map(read_name).collect(),
    given_names: lines(GIVEN_NAMES).filter_map(read_name).collect(),
    towns: lines(TOWNS).filter_map(read_town).collect(),
    buildings: lines(BUILDINGS).collect(),
    forms: lines(VARIANTS).flat_map(read_forms).collect(),
});

const SURNAMES: &str = include_str!("data/surnames.txt");
const GIVEN_NAMES: &str = include_str!("data/given_names.txt");
const TOWNS: &str = include_str!("data/towns.txt");
const BUILDINGS: &str = include_str!("data/buildings.txt");
const VARIANTS: &str = include_str!("data/variants.txt");

pub(super) struct Lists {
    /// Commoner ones first.
    pub(super) surnames: Vec<Name>,
    pub(super) given_names: Vec<Name>,
    pub(super) towns: Vec<Town>,
    pub(super) buildings: Vec<&'static str>,
    /// For each character that has several forms, all of them.
    forms: BTreeMap<char, Vec<char>>,
}

impl Lists {
    /// The forms of a character, if it has several.
    pub(super) fn forms(&self, character: char) -> Option<&[char]> {
        self.forms.get(&character).map(Vec::as_slice)
    }
}

/// A family or given name and its reading in katakana.
#[derive(Clone, Copy)]
pub(super) struct Name {
    pub(super) kanji: &'static str,
    pub(super) kana: &'static str,
}

/// A town, in the parts that an address may or may not name.
#[derive(PartialEq, Eq)]
pub(super) struct Town {
    pub(super) prefecture: &'static str,
    /// The county (郡) of a town or village; empty in a city.
    pub(super) county: &'static str,
    /// City with its ward, town or village.
    pub(super) municipality: &'static str,
    /// The street and direction by which Kyoto finds a place, or empty.
    pub(super) street: &'static str,
    /// 大字 or 字, or empty.
    pub(super) section: &'static str,
    pub(super) name: &'static str,
    /// How many chome may be used; 0 where addresses go by lot.
    pub(super) chome: u32,
}

fn lines(list: &'static str) -> impl Iterator<Item = &'static str> {
    list.lines().filter(|line| !line.is_empty() && !line.starts_with('#'))
}

fn read_name(line: &'static str) -> Option<Name> {
    let (kanji, kana) = line.split_once(' ')?;
    Some(Name { kanji, kana })
}

fn read_forms(line: &'static str) -> impl Iterator<Item = (char, Vec<char>)> {
    let forms: Vec<char> = line.chars().filter(|c| *c != ' ').collect();
    forms.clone().into_iter().map(move |form| (form, forms.clone()))
}

fn read_town(line: &'static str) -> Option<Town> {
    let mut fields = line.split(' ');
    let (prefecture, place, town, chome) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    let (county, municipality) = place.split_once('/').unwrap_or(("", place));
    let (street, town) = town.split_once('/').unwrap_or(("", town));
    let section = ["大字", "字"].into_iter().find(|section| town.starts_with(section)).unwrap_or_default();
    Some(Town {
        prefecture,
        county,
        municipality,
        street,
        section,
        name: town.strip_prefix(section).unwrap_or(town),
        chome: chome.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn is_katakana(text: &str) -> bool {
        !text.is_empty() && text.chars().all(|c| ('ァ'..='ー').contains(&c))
    }

    #[test]
    fn every_line_is_read_and_none_is_there_twice() {
        assert_eq!(LISTS.surnames.len(), lines(SURNAMES).count());
        assert_eq!(LISTS.given_names.len(), lines(GIVEN_NAMES).count());
        assert_eq!(LISTS.towns.len(), lines(TOWNS).count());
        assert!(LISTS.forms.values().all(|forms| forms.len() > 1));
        for list in [SURNAMES, GIVEN_NAMES, TOWNS, BUILDINGS, VARIANTS] {
            let all: Vec<&str> = lines(list).collect();
            assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len());
        }
    }

    #[test]
    fn lists_are_long_enough_for_large_populations() {
        assert!(LISTS.surnames.len() >= 200 && LISTS.given_names.len() >= 300 && LISTS.towns.len() >= 250);
        let prefectures: HashSet<&str> = LISTS.towns.iter().map(|town| town.prefecture).collect();
        assert_eq!(prefectures.len(), 47);
    }

    #[test]
    fn readings_are_katakana_and_one_character_has_one_row_of_forms() {
        for name in LISTS.surnames.iter().chain(&LISTS.given_names) {
            assert!(is_katakana(name.kana), "{}", name.kanji);
        }
        let listed = lines(VARIANTS).flat_map(|line| line.chars().filter(|c| *c != ' ')).count();
        assert_eq!(LISTS.forms.len(), listed);
    }

    #[test]
    fn rare_parts_of_addresses_are_there() {
        let town = |name: &str| LISTS.towns.iter().find(|town| town.name == name).unwrap();
        assert_eq!(town("上本能寺前町").street, "寺町通御池上る");
        assert_eq!((town("尾駮").county, town("尾駮").section), ("上北郡", "大字"));
        assert_eq!((town("南郡山町").county, town("南郡山町").municipality), ("", "大和郡山市"));
        assert!(LISTS.towns.iter().any(|town| town.name.contains('ヶ')));
    }
}
