//! Building and room.
//!
//! The surprising thing: hyphens and long marks between letters are dropped, since コ－ポ, コーポ and コ-ポ are one; between
//! digits they divide, since room 203 of block 1 is not room 1203.

use super::scan::LONGEST_NUMERAL;
use super::{Piece, number};
use crate::normalise::characters::{is_dash, is_kanji_numeral, kanji_number};

/// What follows the numbers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Building {
    /// Letters in katakana and capitals, numbers, nothing else; 号, 号室, 室 and 棟 behind a number are dropped, 階 is F,
    /// 地下1階 is B1F, 第2 is 第二.
    pub(crate) pieces: Vec<Piece>,
}

impl Building {
    /// None when a number is too long.
    pub(super) fn parse(text: &[char]) -> Option<Self> {
        let mut pieces = vec![];
        let mut at = 0;
        while let Some(&c) = text.get(at) {
            let ascii = text[at..].iter().take_while(|c| c.is_ascii_digit()).count();
            let kanji = text[at..].iter().take(LONGEST_NUMERAL).take_while(|c| is_kanji_numeral(**c)).count();
            // At the end 三〇五 is a room; a single numeral may end a name (平和荘第二).
            let counted = text.get(at + kanji).map_or(kanji > 1, |c| "号室階棟".contains(*c));
            let number = if ascii > 0 {
                Some((ascii, number(&text[at..at + ascii])?))
            } else if counted {
                kanji_number(&text[at..at + kanji]).map(|n| (kanji, n))
            } else {
                None
            };
            if let Some((length, number)) =
                number.filter(|(_, n)| pieces.last() == Some(&Piece::Letter('第')) && *n < 10)
            {
                // An ordinal belongs to the name: 第2青葉荘 is 第二青葉荘 and has no room 2.
                pieces.push(Piece::Letter(ORDINALS[number as usize]));
                at += length;
            } else if let Some((length, number)) = number {
                pieces.push(Piece::Number(number));
                at += length;
                at += match &text[at..] {
                    ['号', '室' | '棟', ..] => 2,
                    ['号' | '室' | '棟', ..] => 1,
                    ['階', ..] => {
                        pieces.push(Piece::Letter('F'));
                        1
                    }
                    _ => 0,
                };
            } else {
                let ignored = is_dash(c)
                    || c.is_whitespace()
                    || matches!(c, '・' | '.' | ',' | '、' | '\'' | '(' | ')' | '「' | '」' | '#');
                let digit = |c: Option<&char>| c.is_some_and(|c| c.is_ascii_digit() || is_kanji_numeral(*c));
                let block = c == '棟' && matches!(pieces.last(), Some(Piece::Letter('A'..='Z')));
                if text[at..].starts_with(&['地', '下']) && digit(text.get(at + 2)) {
                    pieces.push(Piece::Letter('B'));
                    at += 1;
                } else if !ignored && !block && !text[at..].starts_with(&['様', '方']) {
                    pieces.push(Piece::Letter(folded(c)));
                }
                at += 1;
            }
        }
        Some(Self { pieces })
    }

    /// The letters without the numbers.
    pub(crate) fn name(&self) -> Vec<char> {
        let letter = |piece: &Piece| match piece {
            Piece::Letter(c) => Some(*c),
            Piece::Number(_) => None,
        };
        self.pieces.iter().filter_map(letter).collect()
    }

    /// The numbers without the letters; the last is the room.
    pub(crate) fn numbers(&self) -> Vec<u32> {
        let number = |piece: &Piece| match piece {
            Piece::Number(number) => Some(*number),
            Piece::Letter(_) => None,
        };
        self.pieces.iter().filter_map(number).collect()
    }
}

const ORDINALS: [char; 10] = ['〇', '一', '二', '三', '四', '五', '六', '七', '八', '九'];

fn folded(c: char) -> char {
    match c {
        'ぁ'..='ゖ' => char::from_u32(u32::from(c) + 0x60).unwrap_or(c),
        _ => c.to_ascii_uppercase(),
    }
}
