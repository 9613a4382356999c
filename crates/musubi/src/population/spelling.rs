//! How one person is spelt: by a company in its master, and by a verifier in what it attests.
//!
//! Only such differences are made as leave no doubt that it is the same person and home: width, spaces, old and new
//! forms of a character, the ways to write chome and numbers, and parts that one side leaves out. Whatever would
//! contradict belongs in [`super::person`]. The surprising thing: kana of a bank's systems has no small letters,
//! so half-width ｷﾖｳｺ is キョウコ.

use std::fmt::Write as _;

use musubi_terminal_simulator::story::{Identity, IdentityMethod};

use super::draw::Draw;
use super::lists::LISTS;
use super::person::{Home, Person};

/// Characters that stand for a hyphen between numbers, the common ones first.
pub(super) const HYPHENS: [char; 8] = ['-', 'ー', '－', '−', '‐', '–', '―', 'ｰ'];

/// What a verifier attests of a person.
pub(super) fn attest(person: &Person, method: IdentityMethod, draw: &mut Draw) -> Identity {
    let gap = *draw.pick(&[" ", "\u{3000}", ""]);
    let name_kana = match method {
        // The signing certificate has had no reading so far, and carries one of late.
        IdentityMethod::Jpki if draw.chance(30) => String::new(),
        IdentityMethod::Jpki | IdentityMethod::Carrier | IdentityMethod::Document => {
            attested_kana(person, draw)
        }
    };
    Identity {
        method,
        name: format!(
            "{}{gap}{}",
            in_other_form(&person.surname, draw),
            in_other_form(&person.given_name, draw)
        ),
        name_kana,
        birth_date: person.birth_date.to_string(),
        address: AddressSpelling::draw(draw).write(&person.home),
    }
}

/// The name as a company writes it, nearly always with a space.
pub(super) fn registered_name(person: &Person, draw: &mut Draw) -> String {
    let gap = if draw.chance(30) { '\u{3000}' } else { ' ' };
    format!("{}{gap}{}", person.surname, person.given_name)
}

/// The reading as a company writes it, full-width but for a few.
pub(super) fn registered_kana(person: &Person, draw: &mut Draw) -> String {
    let kana = format!("{} {}", person.surname_kana, person.given_name_kana);
    if draw.chance(30) { half_width(&kana) } else { kana }
}

/// The address as a company writes it, which is in one way but for a few.
pub(super) fn registered_address(person: &Person, draw: &mut Draw) -> String {
    let usual = AddressSpelling { building: !draw.chance(30), ..AddressSpelling::USUAL };
    let spelling = match draw.below(40) {
        0 => AddressSpelling { chome: Chome::Joined, ..usual },
        1 => AddressSpelling { numbers: Numbers::BlockAndHouse, ..usual },
        _ => usual,
    };
    spelling.write(&person.home)
}

/// ASCII digits in full width; everything else as it is.
pub(super) fn full_width_digits(text: &str) -> String {
    let widen = |c: char| match c.to_digit(10).and_then(|digit| char::from_u32('０' as u32 + digit)) {
        Some(wide) => wide,
        None => c,
    };
    text.chars().map(widen).collect()
}

fn attested_kana(person: &Person, draw: &mut Draw) -> String {
    let gap = match draw.below(30) {
        0 => "",
        1 => "\u{3000}",
        _ => " ",
    };
    let kana = format!("{}{gap}{}", person.surname_kana, person.given_name_kana);
    if !draw.chance(360) {
        kana
    } else if draw.chance(150) {
        half_width(&enlarge(&kana))
    } else {
        half_width(&kana)
    }
}

/// The same name, its characters in any of their forms; some with the selector of a glyph that many families use.
fn in_other_form(name: &str, draw: &mut Draw) -> String {
    let mut text = String::with_capacity(name.len());
    for character in name.chars() {
        text.push(match LISTS.forms(character) {
            Some(forms) if draw.chance(500) => *draw.pick(forms),
            Some(_) | None => character,
        });
        if matches!(character, '辻' | '葛' | '芦' | '榊') && draw.chance(200) {
            text.push('\u{e0100}');
        }
    }
    text
}

/// Small kana written large.
fn enlarge(kana: &str) -> String {
    kana.chars()
        .map(|c| match c {
            // In Unicode each small letter stands right before its large one.
            'ァ' | 'ィ' | 'ゥ' | 'ェ' | 'ォ' | 'ッ' | 'ャ' | 'ュ' | 'ョ' => {
                char::from_u32(c as u32 + 1).unwrap_or(c)
            }
            _ => c,
        })
        .collect()
}

/// Katakana in half width, voicing marks as characters of their own.
fn half_width(kana: &str) -> String {
    const FULL: &str = "アイウエオカキクケコサシスセソタチツテトナニヌネノハヒフヘホマミムメモヤユヨラリルレロワヲンァィゥェォッャュョー";
    const HALF: &str = "ｱｲｳｴｵｶｷｸｹｺｻｼｽｾｿﾀﾁﾂﾃﾄﾅﾆﾇﾈﾉﾊﾋﾌﾍﾎﾏﾐﾑﾒﾓﾔﾕﾖﾗﾘﾙﾚﾛﾜｦﾝｧｨｩｪｫｯｬｭｮｰ";
    let plain = |c: char| FULL.chars().zip(HALF.chars()).find(|(full, _)| *full == c).map(|(_, half)| half);
    let mut text = String::with_capacity(kana.len());
    for c in kana.chars() {
        // In Unicode a voiced letter stands one, a half-voiced one two after its plain letter.
        let before = |steps: u32| char::from_u32(c as u32 - steps).and_then(plain);
        match (plain(c), before(1), before(2)) {
            (Some(half), _, _) => text.push(half),
            (None, Some(half), _) => text.extend([half, 'ﾞ']),
            (None, None, Some(half)) => text.extend([half, 'ﾟ']),
            (None, None, None) => text.push(c),
        }
    }
    text
}

/// One way to write an address.
#[derive(Clone, Copy)]
struct AddressSpelling {
    prefecture: bool,
    county: bool,
    street: bool,
    section: bool,
    /// What stands for ケ and ヶ between kanji, if not what the town's name has.
    ke: Option<char>,
    /// What stands for ノ and の between kanji, if not what the town's name has.
    no: Option<char>,
    chome: Chome,
    numbers: Numbers,
    full_width: bool,
    building: bool,
    /// What stands between the numbers and the building.
    gap: &'static str,
    /// What stands after the room.
    room: &'static str,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Chome {
    /// 二丁目
    Kanji,
    /// 2丁目
    Digits,
    /// 2-, before the other numbers
    Joined,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Numbers {
    /// 5-13, with that hyphen
    Joined(char),
    /// 5番13号
    BlockAndHouse,
    /// 5番地13
    Lot,
    /// 5番地の13
    PartOfLot,
}

impl AddressSpelling {
    /// How nearly all rows of a master are written.
    const USUAL: Self = Self {
        prefecture: true,
        county: true,
        street: true,
        section: true,
        ke: None,
        no: None,
        chome: Chome::Kanji,
        numbers: Numbers::Joined('-'),
        full_width: false,
        building: true,
        gap: " ",
        room: "",
    };

    fn draw(draw: &mut Draw) -> Self {
        let usual = Self {
            prefecture: !draw.chance(40),
            county: !draw.chance(250),
            street: !draw.chance(300),
            section: !draw.chance(300),
            ke: draw.chance(300).then(|| *draw.pick(&['ケ', 'ヶ', 'ケ', 'ヶ', 'が'])),
            no: draw.chance(200).then(|| *draw.pick(&['ノ', 'の'])),
            building: !draw.chance(50),
            gap: if draw.chance(20) { "" } else { *draw.pick(&[" ", " ", "\u{3000}"]) },
            room: if draw.chance(30) { "号室" } else { "" },
            ..Self::USUAL
        };
        let chome = *draw.pick(&[Chome::Kanji, Chome::Kanji, Chome::Digits]);
        match draw.below(7) {
            0 | 1 => usual,
            // Half of the look-alikes are ー, the others rarer ones.
            2 if draw.chance(500) => Self { numbers: Numbers::Joined('ー'), ..usual },
            2 => Self { numbers: Numbers::Joined(*draw.pick(&HYPHENS)), ..usual },
            3 => Self { chome, numbers: Numbers::BlockAndHouse, ..usual },
            4 => Self { chome: Chome::Digits, numbers: Numbers::Joined('－'), full_width: true, ..usual },
            5 if draw.chance(100) => Self { chome, numbers: Numbers::PartOfLot, ..usual },
            5 => Self { chome, numbers: Numbers::Lot, ..usual },
            _ => Self { chome: Chome::Joined, ..usual },
        }
    }

    fn write(self, home: &Home) -> String {
        let town = home.town;
        let mut address = String::new();
        let parts = [
            (self.prefecture, town.prefecture),
            (self.county, town.county),
            (true, town.municipality),
            (self.street, town.street),
            (self.section, town.section),
        ];
        for (_, part) in parts.iter().filter(|(named, _)| *named) {
            address.push_str(part);
        }
        address.push_str(&self.town_name(town.name));
        let numbers = self.write_numbers(home);
        address.push_str(&if self.full_width { full_width_digits(&numbers) } else { numbers });
        if let Some((building, room)) = home.building.filter(|_| self.building) {
            // A building that is itself counted (第二, 3号棟) can't follow the numbers without a gap.
            let counted = building.contains(|c: char| c == '第' || c.is_ascii_digit());
            let gap = if counted && self.gap.is_empty() { " " } else { self.gap };
            // Writing to a string can't fail.
            let _ = write!(address, "{gap}{building}{room}{}", self.room);
        }
        address
    }

    fn town_name(self, name: &str) -> String {
        let characters: Vec<char> = name.chars().collect();
        let is_kanji = |at: Option<usize>| {
            at.and_then(|at| characters.get(at)).is_some_and(|c| ('\u{3400}'..='\u{9fff}').contains(c))
        };
        let respell = |(at, c): (usize, &char)| {
            let inside = is_kanji(at.checked_sub(1)) && is_kanji(Some(at + 1));
            match c {
                'ケ' | 'ヶ' if inside => self.ke.unwrap_or(*c),
                'ノ' | 'の' if inside => self.no.unwrap_or(*c),
                _ => *c,
            }
        };
        characters.iter().enumerate().map(respell).collect()
    }

    fn write_numbers(self, home: &Home) -> String {
        let hyphen = match self.numbers {
            Numbers::Joined(hyphen) => hyphen,
            Numbers::BlockAndHouse | Numbers::Lot | Numbers::PartOfLot => '-',
        };
        let chome = match (home.chome, self.chome) {
            (0, _) => String::new(),
            (chome, Chome::Kanji) => format!("{}丁目", in_kanji(chome)),
            (chome, Chome::Digits) => format!("{chome}丁目"),
            (chome, Chome::Joined) => format!("{chome}{hyphen}"),
        };
        let numbers = match (self.numbers, home.numbers.as_slice()) {
            (Numbers::BlockAndHouse, [block, house]) => format!("{block}番{house}号"),
            (Numbers::Lot, [lot, part]) => format!("{lot}番地{part}"),
            (Numbers::PartOfLot, [lot, part]) => format!("{lot}番地の{part}"),
            (Numbers::BlockAndHouse | Numbers::Lot | Numbers::PartOfLot, [lot]) => format!("{lot}番地"),
            (_, numbers) => {
                let numbers: Vec<String> = numbers.iter().map(u32::to_string).collect();
                numbers.join(&hyphen.to_string())
            }
        };
        chome + &numbers
    }
}

/// 1 to 99 in kanji.
fn in_kanji(number: u32) -> String {
    const DIGITS: [&str; 10] = ["", "一", "二", "三", "四", "五", "六", "七", "八", "九"];
    let (tens, ones) = (number / 10 % 10, number % 10);
    let tens = match tens {
        0 => String::new(),
        1 => "十".to_owned(),
        _ => format!("{}十", DIGITS[tens as usize]),
    };
    tens + DIGITS[ones as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An address of that town and numbers, in that spelling.
    #[track_caller]
    fn check_address(town: &str, chome: u32, numbers: &[u32], spelling: AddressSpelling, written: &str) {
        let town = LISTS.towns.iter().find(|listed| listed.name == town).unwrap();
        let home = Home { town, chome, numbers: numbers.to_vec(), building: Some(("メゾン楓", 203)) };
        assert_eq!(spelling.write(&home), written);
    }

    #[test]
    fn one_home_is_written_in_many_ways() {
        let usual = AddressSpelling::USUAL;
        let check = |spelling, written| check_address("千駄ヶ谷", 3, &[5, 13], spelling, written);
        check(usual, "東京都渋谷区千駄ヶ谷三丁目5-13 メゾン楓203");
        check(
            AddressSpelling { prefecture: false, ke: Some('ケ'), ..usual },
            "渋谷区千駄ケ谷三丁目5-13 メゾン楓203",
        );
        let joined = AddressSpelling { chome: Chome::Joined, numbers: Numbers::Joined('ー'), ..usual };
        check(joined, "東京都渋谷区千駄ヶ谷3ー5ー13 メゾン楓203");
        let house =
            AddressSpelling { numbers: Numbers::BlockAndHouse, room: "号室", gap: "\u{3000}", ..usual };
        check(house, "東京都渋谷区千駄ヶ谷三丁目5番13号　メゾン楓203号室");
        let numbers = Numbers::Joined('－');
        let wide =
            AddressSpelling { chome: Chome::Digits, numbers, full_width: true, building: false, ..usual };
        check(wide, "東京都渋谷区千駄ヶ谷３丁目５－１３");
    }

    #[test]
    fn parts_that_an_address_may_lack_are_left_out() {
        let short = AddressSpelling {
            county: false,
            street: false,
            section: false,
            building: false,
            ..AddressSpelling::USUAL
        };
        check_address(
            "藤久保",
            0,
            &[120],
            AddressSpelling { numbers: Numbers::Lot, ..short },
            "埼玉県三芳町藤久保120番地",
        );
        check_address("虎屋町", 0, &[12, 3], short, "京都府京都市中京区虎屋町12-3");
        let lot = AddressSpelling { numbers: Numbers::PartOfLot, ..short };
        check_address("青戸", 8, &[21, 4], lot, "東京都葛飾区青戸八丁目21番地の4");
    }

    #[test]
    fn half_width_kana_keeps_voicing_and_may_lose_small_letters() {
        assert_eq!(half_width("ガッパ ヂョー"), "ｶﾞｯﾊﾟ ﾁﾞｮｰ");
        assert_eq!(half_width(&enlarge("キョウコ")), "ｷﾖｳｺ");
    }

    #[test]
    fn chome_is_counted_in_kanji() {
        assert_eq!([1, 10, 18, 20, 35].map(in_kanji), ["一", "十", "十八", "二十", "三十五"]);
    }
}
