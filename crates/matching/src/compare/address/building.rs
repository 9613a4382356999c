//! Buildings and rooms: another room is another home, another name for the same room may be another spelling.
//!
//! The surprising thing: a name in kanji and the same name in kana can't be told from two names, so when the names part only
//! where one is kanji and the other kana, a person looks.

use super::{Parts, relate_places};
use crate::normalise::address::{Building, Piece};
use crate::normalise::kanji::{Kinship, relate_texts};
use crate::{Comparison, Reason};

/// Compares the buildings; nothing is added when they are the same.
pub(super) fn buildings(l: &Building, r: &Building, parts: &mut Parts) {
    let same = relate_places(&l.pieces, &r.pieces).kinship;
    if same.is_strong() {
        return;
    }
    let (l_name, r_name, l_numbers, r_numbers) = (l.name(), r.name(), l.numbers(), r.numbers());
    let names = relate_texts(&l_name, &r_name);
    let numbers_equal = l_numbers == r_numbers;
    let (some_unnumbered, some_unnamed) =
        (l_numbers.is_empty() || r_numbers.is_empty(), l_name.is_empty() || r_name.is_empty());
    let neutral = l.pieces.is_empty()
        || r.pieces.is_empty()
        || (names.is_strong() && some_unnumbered)
        || (some_unnamed && numbers_equal);
    let loose = |building: &Building| Building { pieces: loose(&building.pieces) };
    let (l_loose, r_loose) = (loose(l), loose(r));
    let same_loosely = relate_places(&l_loose.pieces, &r_loose.pieces).kinship.is_strong();
    let part = match (&l.pieces[..], &r.pieces[..]) {
        // 17甲 is a lot of its own, not lot 17 with a building.
        ([Piece::Letter(_)], []) | ([], [Piece::Letter(_)]) => {
            (Comparison::Review, Reason::AddressNumbersFewer)
        }
        _ if neutral => (Comparison::Equal, Reason::AddressBuildingMissing),
        _ if same_loosely => (Comparison::Review, Reason::AddressBuildingDifferent),
        _ if !some_unnumbered && !numbers_equal => (Comparison::Different, Reason::AddressRoomDifferent),
        _ if names == Kinship::Unknown => (Comparison::Review, Reason::AddressUnknownCharacter),
        _ if names == Kinship::Weak => (Comparison::Review, Reason::AddressWeakVariant),
        _ if numbers_equal && (in_two_scripts(&l_name, &r_name) || turned(&l_name, &r_name)) => {
            (Comparison::Review, Reason::AddressBuildingDifferent)
        }
        _ if !some_unnumbered && within(&l_name, &r_name) => {
            (Comparison::Review, Reason::AddressBuildingDifferent)
        }
        _ => (Comparison::Different, Reason::AddressBuildingDifferent),
    };
    parts.push(part);
}

/// Whether one name is the beginning or the end of the other.
fn within(l: &[char], r: &[char]) -> bool {
    let (short, long) = if l.len() <= r.len() { (l, r) } else { (r, l) };
    long.starts_with(short) || long.ends_with(short)
}

/// Whether two words of a name are only swapped: 第二青葉荘, 青葉荘第二.
fn turned(l: &[char], r: &[char]) -> bool {
    l.len() == r.len()
        && l.len() <= LONGEST_NAME
        && (1..l.len()).any(|at| l[at..] == r[..l.len() - at] && l[..at] == r[l.len() - at..])
}

/// In letters; it keeps the time linear.
const LONGEST_NAME: usize = 60;

/// What people write for one building in two ways: Ⅱ for 2, 1F before room 101, ヴィ for ビ.
fn loose(pieces: &[Piece]) -> Vec<Piece> {
    let mut out: Vec<Piece> = vec![];
    let mut rest = pieces;
    while let [first, after @ ..] = rest {
        rest = after;
        let behind_latin = matches!(out.last(), Some(Piece::Letter('A'..='Z')));
        let latin = |piece: &&Piece| matches!(piece, Piece::Letter('A'..='Z'));
        let roman = after.iter().take(LONGEST_ROMAN).take_while(latin).count();
        match (first, after) {
            (Piece::Number(floor), [Piece::Letter('F'), Piece::Number(room), ..]) if room / 100 == *floor => {
                rest = &after[1..];
            }
            (Piece::Letter('I' | 'V'), _) if !behind_latin => {
                match roman_number(&pieces[pieces.len() - after.len() - 1..][..=roman]) {
                    Some(number) => {
                        out.push(Piece::Number(number));
                        rest = &after[roman..];
                    }
                    None => out.push(*first),
                }
            }
            (Piece::Letter('ヴ'), [Piece::Letter(vowel @ ('ァ' | 'ィ' | 'ェ' | 'ォ')), ..]) => {
                rest = &after[1..];
                out.push(Piece::Letter(match vowel {
                    'ァ' => 'バ',
                    'ィ' => 'ビ',
                    'ェ' => 'ベ',
                    _ => 'ボ',
                }));
            }
            _ => out.push(*first),
        }
    }
    out
}

/// VIII has three letters behind the first; one more shows that a word is longer.
const LONGEST_ROMAN: usize = 4;

fn roman_number(letters: &[Piece]) -> Option<u32> {
    const ROMAN: [&str; 8] = ["I", "II", "III", "IV", "V", "VI", "VII", "VIII"];
    let same = |roman: &&str| roman.chars().map(Piece::Letter).eq(letters.iter().copied());
    ROMAN.iter().zip(1..).find(|(roman, _)| same(roman)).map(|(_, number)| number)
}

/// Whether the names differ only in a part that is kanji on one side and kana or Latin on the other, or kana and Latin:
/// コーポ松本 and コーポマツモト.
fn in_two_scripts(l: &[char], r: &[char]) -> bool {
    let prefix = l.iter().zip(r).take_while(|(l, r)| l == r).count();
    let (l, r) = (&l[prefix..], &r[prefix..]);
    let suffix = l.iter().rev().zip(r.iter().rev()).take_while(|(l, r)| l == r).count();
    let (l, r) = (&l[..l.len() - suffix], &r[..r.len() - suffix]);
    let kana = |part: &[char]| part.len() > 1 && part.iter().all(|c| matches!(c, 'ァ'..='ヺ'));
    let latin = |part: &[char]| part.len() > 2 && part.iter().all(char::is_ascii_uppercase);
    let kanji =
        |part: &[char]| !part.is_empty() && part.iter().all(|c| !matches!(c, 'ァ'..='ヺ') && !c.is_ascii());
    (kanji(l) && (kana(r) || latin(r)))
        || (kanji(r) && (kana(l) || latin(l)))
        || (kana(l) && latin(r))
        || (kana(r) && latin(l))
}
