//! Reads county to 字 and the numbers, from left to right, each character once.
//!
//! The surprising thing: 一 between two digits is a hyphen (an old habit of input methods), and の between two numbers
//! is one too.

use super::{Piece, number};
use crate::normalise::bytes::FormError;
use crate::normalise::characters::{is_dash, is_kanji_numeral, kanji_number, positional_digit};
use crate::normalise::folds::Folds;

/// What was written after a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// 丁目.
    Chome = 1,
    /// 番 or 番地.
    Lot,
    /// 号.
    House,
}

impl Unit {
    /// The unit of a form's byte, 0 for none.
    pub(super) fn of(code: u32) -> Result<Option<Self>, FormError> {
        Ok(match code {
            0 => None,
            1 => Some(Self::Chome),
            2 => Some(Self::Lot),
            3 => Some(Self::House),
            _ => return Err(FormError),
        })
    }
}

/// One of the numbers after the place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Number {
    pub(crate) value: u32,
    /// None when only a hyphen followed.
    pub(crate) unit: Option<Unit>,
}

pub(super) struct Scanner<'a> {
    text: &'a [char],
    pub(super) at: usize,
    pub(super) place: Vec<Piece>,
    pub(super) aza: Option<usize>,
    pub(super) numbers: Vec<Number>,
    /// The kanji numerals directly behind a name that the first number was read from.
    pub(super) glued: Vec<char>,
    /// Whether 第 stands before the first number.
    ordinal: bool,
    pub(super) folds: Folds,
    /// Whether no number was too long.
    pub(super) readable: bool,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a [char]) -> Self {
        let (place, numbers) = (Vec::with_capacity(text.len()), Vec::with_capacity(4));
        let (glued, folds) = (vec![], Folds::default());
        Self { text, at: 0, place, aza: None, numbers, glued, ordinal: false, folds, readable: true }
    }

    /// Reads until the numbers end; `at` is then where the building begins.
    pub(super) fn read_place(&mut self) {
        while let Some(c) = self.peek(0) {
            self.ordinal = self.behind() == Some('第');
            if let Some(first) = self.number() {
                self.read_numbers(first);
                if !self.place_goes_on() {
                    return;
                }
                self.glued.clear();
                self.place.extend(self.numbers.drain(..).map(|number| Piece::Number(number.value)));
            } else {
                self.letter(c);
            }
        }
    }

    fn peek(&self, ahead: usize) -> Option<char> {
        self.text.get(self.at + ahead).copied()
    }

    fn behind(&self) -> Option<char> {
        self.at.checked_sub(1).map(|at| self.text[at])
    }

    fn starts_with(&self, word: &str) -> bool {
        word.chars().enumerate().all(|(i, c)| self.peek(i) == Some(c))
    }

    /// One letter of the place; spaces, 大字, 字 and what only joins or orders a number leave none.
    fn letter(&mut self, c: char) {
        let before = match self.place.last() {
            Some(Piece::Letter(before)) => Some(*before),
            Some(Piece::Number(_)) | None => None,
        };
        self.at += 1;
        if self.text[self.at - 1..].starts_with(&['大', '字']) {
            self.at += 1;
            self.folds.insert(Folds::AZA);
        } else if c == '字' && before != Some('文') {
            self.aza = Some(self.place.len());
            self.folds.insert(Folds::AZA);
        } else if c == '々' {
            self.place.extend(self.place.last().cloned());
        } else if c == '第' && self.digit_follows() {
            // 第16地割 is 16地割.
        } else if is_joiner(c) && self.digit_follows() && self.is_lot_letter() {
            self.folds.insert(Folds::HYPHEN);
        } else if is_dash(c) {
            // A dash in a place is a long mark after katakana and nothing elsewhere.
            if before.is_some_and(|b| matches!(b, 'ァ'..='ヺ')) {
                self.place.push(Piece::Letter('ー'));
            }
        } else if matches!(c, ' ' | ',' | '、' | '.') {
            self.folds.insert(Folds::SPACE);
        } else {
            if c.is_ascii_lowercase() {
                self.folds.insert(Folds::CASE);
            }
            self.place.push(Piece::Letter(c.to_ascii_uppercase()));
        }
    }

    fn digit_follows(&self) -> bool {
        self.peek(0).is_some_and(|c| c.is_ascii_digit() || is_kanji_numeral(c))
    }

    /// Whether the place ends with one of the letters by which old lots are named: 旭市イの123, 北梅本町甲123.
    fn is_lot_letter(&self) -> bool {
        let katakana = |piece: &Piece| matches!(piece, Piece::Letter('ァ'..='ヺ' | 'ー'));
        match self.place.as_slice() {
            [.., before, Piece::Letter(c)] => {
                is_lot_letter(*c) && !(katakana(before) && ('ァ'..='ヺ').contains(c))
            }
            _ => false,
        }
    }

    /// A number at this point: digits, or kanji numerals where a counter or a hyphen shows that they count.
    fn number(&mut self) -> Option<u32> {
        let rest = &self.text[self.at..];
        let ascii = rest.iter().take_while(|c| c.is_ascii_digit()).count();
        if ascii > 0 {
            let value = number(&rest[..ascii]);
            self.readable &= value.is_some();
            self.at += ascii;
            return Some(value.unwrap_or(0));
        }
        let kanji = rest.iter().take(LONGEST_NUMERAL).take_while(|c| is_kanji_numeral(**c)).count();
        // 又八四丁目 is block 4 of 又八, and 与一十四丁目 block 14 of 与一: nobody writes a block as 八四 or 一十四.
        let run = &rest[..kanji];
        let by_place = run.len() > 1 && run.iter().all(|c| positional_digit(*c).is_some());
        if rest.get(kanji) == Some(&'丁') && (by_place || run.starts_with(&['一', '十'])) {
            return None;
        }
        let number = kanji_number(&self.text[self.at..self.at + kanji])?;
        let counted = self.counts(kanji) || !self.numbers.is_empty();
        if !counted {
            return None;
        }
        if self.numbers.is_empty() && kanji > 1 && !self.ordinal && self.is_behind_name() {
            self.glued = self.text[self.at..self.at + kanji].to_vec();
        }
        self.at += kanji;
        self.folds.insert(Folds::NUMERAL);
        Some(number)
    }

    /// Whether a letter of the place stands directly before this.
    fn is_behind_name(&self) -> bool {
        matches!(self.place.last(), Some(Piece::Letter(c)) if self.behind() == Some(*c))
    }

    /// Whether what stands `ahead` makes the kanji numerals before it a number.
    fn counts(&self, ahead: usize) -> bool {
        let rest = &self.text[self.at + ahead..];
        let digit = |c: Option<&char>| c.is_some_and(|c| c.is_ascii_digit() || is_kanji_numeral(*c));
        match rest {
            ['丁', '目', ..] | ['地', '割', ..] | ['街', '区', ..] => true,
            ['番' | '号' | '条' | '條' | '線' | '区' | '組' | '部', ..] => true,
            ['丁', after @ ..] => after.is_empty() || after[0] == ' ' || digit(after.first()),
            [joiner, after @ ..] if is_joiner(*joiner) => digit(after.first()),
            _ => self.ordinal,
        }
    }

    /// Reads a run of numbers with their units and the hyphens between them.
    fn read_numbers(&mut self, first: u32) {
        let mut value = first;
        loop {
            let unit = self.unit();
            self.numbers.push(Number { value, unit });
            let end = self.at;
            let next = self.next_number(unit);
            match next {
                Some(next) if !self.is_room() => value = next,
                Some(_) | None => {
                    self.at = end;
                    return;
                }
            }
        }
    }

    fn unit(&mut self) -> Option<Unit> {
        let digit = |c: Option<char>| c.is_none_or(|c| c == ' ' || c.is_ascii_digit() || is_kanji_numeral(c));
        let (length, unit) = if self.starts_with("丁目") {
            (2, Unit::Chome)
        } else if self.starts_with("丁") && digit(self.peek(1)) {
            (1, Unit::Chome)
        } else if self.starts_with("番地") {
            (2, Unit::Lot)
        } else if self.starts_with("番") && !self.peek(1).is_some_and(|c| "町丁街館組割耕".contains(c))
        {
            (1, Unit::Lot)
        } else if self.starts_with("号") && !self.peek(1).is_some_and(|c| "室棟館線地".contains(c)) {
            (1, Unit::House)
        } else {
            return None;
        };
        self.at += length;
        self.folds.insert(Folds::COUNTER);
        Some(unit)
    }

    /// The next number of the run: behind a hyphen or の, or directly behind a unit.
    fn next_number(&mut self, unit: Option<Unit>) -> Option<u32> {
        let spaces = self.text[self.at..].iter().take_while(|c| **c == ' ').count();
        let joiner = self.peek(spaces).filter(|c| is_joiner(*c));
        if let Some(joiner) = joiner {
            if joiner != '-' {
                self.folds.insert(Folds::HYPHEN);
            }
            self.at += spaces + 1;
            self.at += self.text[self.at..].iter().take_while(|c| **c == ' ').count();
            return self.number();
        }
        // 一 between digits is a hyphen.
        if unit.is_none() && self.peek(0) == Some('一') && self.peek(1).is_some_and(|c| c.is_ascii_digit()) {
            self.at += 1;
            return self.number();
        }
        let unit = unit?;
        self.at += spaces;
        let number = if unit == Unit::House { None } else { self.number() }?;
        let follows =
            spaces == 0 || unit == Unit::Chome || (self.starts_with("号") && !self.starts_with("号室"));
        follows.then_some(number)
    }

    /// Whether what stands here makes the number before it a room, a floor or a block.
    fn is_room(&self) -> bool {
        ["号室", "号棟", "室", "階", "棟", "F"].iter().any(|word| self.starts_with(word))
    }

    /// Whether the numbers just read are a part of the place: 北1条, 三番町, 二丁目甲5.
    fn place_goes_on(&self) -> bool {
        let [only] = self.numbers.as_slice() else { return false };
        let is_kanji = |c: char| matches!(c, '\u{3400}'..='\u{9FFF}' | '\u{F900}'..='\u{FAFF}' | '\u{20000}'..='\u{323AF}' | '々' | 'ノ' | 'の');
        // A short name and a number behind it: 七丁目北8, 一番割12-34, 東五号12-34.
        let digit = |c: char| c.is_ascii_digit() || is_kanji_numeral(c);
        let rest = &self.text[self.at..];
        let name = rest.iter().take(4).take_while(|c| is_kanji(**c) && !digit(**c)).count();
        let space = rest[name..].iter().take_while(|c| **c == ' ').count();
        let behind = &rest[name + space..];
        let digits = behind.iter().take(LONGEST_NUMERAL).take_while(|c| digit(**c)).count();
        let lot_follows = digits > 0
            && behind[digits..].iter().find(|c| **c != ' ').is_some_and(|c| is_joiner(*c) || *c == '番')
            && !matches!(behind[digits..], ['番', '館' | '街' | '棟', ..]);
        match only.unit {
            Some(_) if self.ordinal => name < 4 && digits > 0,
            None => self.peek(0).is_some_and(|c| is_kanji(c) && !"号室棟階".contains(c)),
            Some(Unit::Chome) => (1..4).contains(&name) && digits > 0,
            Some(Unit::Lot) => (1..4).contains(&name) && lot_follows,
            Some(Unit::House) => name < 4 && lot_follows,
        }
    }
}

fn is_joiner(c: char) -> bool {
    is_dash(c) || matches!(c, 'の' | 'ノ' | '之' | ',' | '.' | '・' | '/' | '、')
}

/// 甲乙丙, イロハ or いろは before a lot.
pub(crate) fn is_lot_letter(c: char) -> bool {
    matches!(c, '甲' | '乙' | '丙' | '丁' | '戊' | '己' | '庚' | '辛')
        || "イロハニホヘトいろはにほへと".contains(c)
}

/// Longer runs of kanji numerals are no numbers.
pub(crate) const LONGEST_NUMERAL: usize = 10;
