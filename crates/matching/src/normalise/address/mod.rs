//! The grammar of Japanese addresses, without a list of towns.
//!
//! An address becomes: prefecture, Kyoto street, place (county to 字, as pieces), numbers (丁目, 番地, 号) and building.
//! Both addresses of a comparison go through the same grammar, so it need not be right about every town; it must only
//! never lose a digit or a letter that tells two places apart.
//!
//! The surprising thing: numbers inside the place (北1条, 三番町) are pieces of the place. The numbers proper are the
//! first run that no place text follows.

mod building;
mod form;
mod kyoto;
mod municipality;
mod scan;

pub use form::AddressForm;

pub(crate) use building::Building;
pub(crate) use scan::{LONGEST_NUMERAL, Number, Unit, is_lot_letter};

use super::folds::Folds;
use scan::Scanner;

/// A character or a number of a place or a building.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Piece {
    Letter(char),
    Number(u32),
}

/// An address taken apart.
#[derive(Clone, PartialEq, Eq, Default)]
pub(crate) struct Address {
    pub(crate) prefecture: Option<&'static str>,
    /// Kyoto's way to find a house: which street, which direction.
    pub(crate) street: Vec<char>,
    pub(crate) place: Vec<Piece>,
    /// Where in `place` the county, the city and the ward end: what precedes may be left out.
    pub(crate) municipality_ends: Vec<usize>,
    /// Where in `place` a name after 字 begins.
    pub(crate) aza: Option<usize>,
    pub(crate) numbers: Vec<Number>,
    /// The kanji numerals directly behind the place that the first number was read from; the place's name may end with
    /// some of them.
    pub(crate) glued: Vec<char>,
    pub(crate) building: Building,
}

impl Address {
    /// Takes a cleaned text apart. None when it holds a number that is longer than any of an address.
    fn parse(text: &str, folds: &mut Folds) -> Option<Self> {
        let text: Vec<char> = without_postcode(text).chars().collect();
        let (prefecture, rest) = municipality::split_prefecture(&text);
        let (street, rest) = kyoto::split_street(prefecture, rest);
        let mut scanner = Scanner::new(&rest);
        scanner.read_place();
        let Scanner { place, aza, numbers, glued, at, folds: seen, readable, .. } = scanner;
        folds.insert(seen);
        let building = Building::parse(&rest[at..])?;
        let municipality_ends = municipality::ends(&place);
        let address = Self { prefecture, street, place, municipality_ends, aza, numbers, glued, building };
        readable.then_some(address)
    }

    /// Whether there is anything to compare.
    fn is_empty(&self) -> bool {
        self.place.is_empty() && self.numbers.is_empty() && self.building.pieces.is_empty()
    }
}

/// ASCII digits as a number; None when there are more than any number of an address has.
fn number(digits: &[char]) -> Option<u32> {
    let digits = &digits[digits.iter().take_while(|c| **c == '0').count()..];
    if digits.len() > 9 {
        return None;
    }
    Some(digits.iter().fold(0, |n, c| n * 10 + c.to_digit(10).unwrap_or(0)))
}

/// Drops 〒 and the seven digits at the beginning.
fn without_postcode(text: &str) -> &str {
    let marked = text.strip_prefix('〒').map(str::trim_start);
    let rest = marked.unwrap_or(text);
    let code = rest.char_indices().take_while(|(_, c)| c.is_ascii_digit() || *c == '-').count();
    let digits = rest[..code].chars().filter(char::is_ascii_digit).count();
    let whole = rest[..code].split('-').map(str::len).eq([3, 4]);
    if digits == 7 && (whole || marked.is_some()) { rest[code..].trim_start() } else { rest }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::normalise::characters::clean;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(AddressForm::new(text).text(), expected, "{text}");
    }

    #[test]
    fn every_spelling_of_numbers_is_one_list() {
        for text in [
            "東京都目黒区鷹番三丁目8-2",
            "東京都目黒区鷹番3-8-2",
            "東京都目黒区鷹番３丁目８番２号",
            "東京都目黒区鷹番三丁目八番二号",
            "東京都目黒区鷹番三丁目8番地2",
            "東京都目黒区鷹番三丁目8番地の2",
            "東京都目黒区鷹番 3丁目 8ー2",
            "東京都目黒区鷹番三－八－二",
            "東京都目黒区鷹番三丁目8一2",
            "東京都目黒区鷹番3−8‐2",
            "〒152-0004 東京都目黒区鷹番3丁目8番 2号",
            "東京都目黒区鷹番三丁目08-02",
            "東京都目黒区鷹番3〜8・2",
            "東京都目黒区鷹番三丁8番2号",
            "1520004 東京都目黒区鷹番3-8-2".trim_start_matches("1520004 "),
        ] {
            check(text, "東京都||目黒区鷹番|3-8-2|");
        }
    }

    #[test]
    fn numbers_inside_a_place_stay_there() {
        check("北海道札幌市中央区北一条西二丁目3番地4", "北海道||札幌市中央区北<1>条西|2-3-4|");
        check("北海道札幌市中央区北1条西2-3-4", "北海道||札幌市中央区北<1>条西|2-3-4|");
        check("東京都千代田区三番町6-2", "東京都||千代田区<3>番町|6-2|");
        check("兵庫県西宮市上ケ原十番町6-35", "兵庫県||西宮市上ケ原<10>番町|6-35|");
        check("岩手県九戸郡洋野町種市第3地割12番地1", "岩手県||九戸郡洋野町種市<3>地割|12-1|");
        check("東京都中央区八丁堀二丁目3-1", "東京都||中央区八丁堀|2-3-1|");
        check("東京都港区六本木三丁目4-11", "東京都||港区六本木|3-4-11|");
        check("愛知県弥富市又八四丁目12-34", "愛知県||弥富市又八|4-12-34|");
        check("北海道札幌市白石区本郷通七丁目北8-2", "北海道||札幌市白石区本郷通<7>北|8-2|");
        check("熊本県八代市沖町六番割31番7号", "熊本県||八代市沖町<6>番割|31-7|");
        check("愛媛県松山市一番町四丁目甲5", "愛媛県||松山市<1>番町<4>甲|5|");
        check("新潟県新潟市西区流通センター一丁目1ー1", "新潟県||新潟市西区流通センター|1-1-1|");
    }

    #[test]
    fn a_building_begins_where_the_numbers_end() {
        check("東京都台東区台東三丁目40-10 コーポ松本101", "東京都||台東区台東|3-40-10|コポ松本<101>");
        check("東京都台東区台東3-40-10コーポ松本 一〇一号室", "東京都||台東区台東|3-40-10|コポ松本<101>");
        check("東京都台東区台東三丁目40番10号コ－ポ松本101号", "東京都||台東区台東|3-40-10|コポ松本<101>");
        check("東京都台東区台東三丁目40-10-101", "東京都||台東区台東|3-40-10-101|");
        check("東京都台東区台東三丁目40-10 101", "東京都||台東区台東|3-40-10|<101>");
        check(
            "廣島県広島市西区商工センター6-9-39 八千代荘 二〇三",
            "広島県||広島市西区商工センター|6-9-39|八千代荘<203>",
        );
        check("東京都台東区台東三丁目40番10 2号棟1-203", "東京都||台東区台東|3-40-10|<2><1><203>");
    }

    #[test]
    fn aza_is_a_word_and_not_a_part_of_a_name() {
        check("大阪府四條畷市大字中野32-5", "大阪府||<4>條畷市中野|32-5|");
        check("福島県須賀川市大字西川字原前12-3", "福島県||須賀川市西川/原前|12-3|");
        check("秋田県横手市十文字町字海道下12-3", "秋田県||横手市十文字町/海道下|12-3|");
    }

    #[test]
    fn kyoto_streets_are_set_apart() {
        check(
            "京都府京都市中京区寺町通御池上る上本能寺前町488",
            "京都府|寺町通御池上る|京都市中京区上本能寺前町|488|",
        );
        check("京都市下京区四条通烏丸東入ル長刀鉾町8番地", "|四条通烏丸東入ル|京都市下京区長刀鉾町|8|");
        check("中京区河原町通三条下る二丁目山崎町251", "|河原町通三条下る二丁目|中京区山崎町|251|");
        check("大阪府大阪市北区西入町1-2", "大阪府||大阪市北区西入町|1-2|");
    }

    proptest::proptest! {
        #[test]
        fn the_first_pass_changes_no_normal_form(text in "[一二十〇の番号丁目大字市区京都上る・ー 0-9ａ-ｚｱ-ﾟ]{0,40}") {
            proptest::prop_assert_eq!(AddressForm::new(&clean(&text)).text(), AddressForm::new(&text).text());
        }
    }
}
