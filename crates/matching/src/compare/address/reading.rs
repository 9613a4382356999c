//! A second reading of two addresses that the grammar takes for two houses.
//!
//! Where the name of a place ends and its numbers begin can't always be told: 字北原二一番一号 is house 1-1 of 北原二 or house
//! 21-1 of 北原. And residents leave out what everyone there knows: 北3西4 is 北3条西4丁目. Such addresses are never equal
//! here, but they are not two houses for certain either.
//!
//! The surprising thing: no digit is ever moved from one number to another; 2-11 and 21-1 stay two houses.

use super::{numbers, places, shortened};
use crate::Comparison;
use crate::normalise::address::{Address, LONGEST_NUMERAL, Number, Piece, Unit, is_lot_letter};
use crate::normalise::characters::{is_kanji_numeral, kanji_number};
use crate::normalise::kanji::Kinship;

/// Whether there is a reading of both that is one house.
pub(super) fn may_be_one(l: &Address, r: &Address) -> bool {
    let agree = |l: &Address, r: &Address| {
        let mut parts = vec![];
        places(l, r, &mut parts);
        numbers(l, r, &mut parts);
        parts.iter().all(|part| part.0 != Comparison::Different)
    };
    let (l_others, r_others) = (divided(l), divided(r));
    l_others.iter().any(|l| agree(l, r))
        || r_others.iter().any(|r| agree(l, r))
        || l_others.iter().any(|l| r_others.iter().any(|r| agree(l, r)))
        || spoken_alike(l, r)
}

/// Whether both have kanji numerals directly behind the name, and not the same ones: 十余二二番 and 十余二十二番 may be
/// houses 2 and 12 of 十余二, though each can be read as 22.
pub(super) fn written_apart(l: &Address, r: &Address) -> bool {
    !l.glued.is_empty() && !r.glued.is_empty() && l.glued != r.glued
}

/// The address with some of the kanji numerals before its first number given to the name of the place.
fn divided(address: &Address) -> Vec<Address> {
    let divide = |at: usize| {
        let (name, number) = address.glued.split_at(at);
        let mut other = address.clone();
        other.place.extend(name.iter().copied().map(Piece::Letter));
        other.numbers.first_mut()?.value = kanji_number(number)?;
        Some(other)
    };
    (1..address.glued.len()).filter_map(divide).collect()
}

/// A letter, or a number with what it counts when that is written.
#[derive(Clone, Copy)]
struct Token {
    piece: Piece,
    counter: Option<char>,
}

/// Whether the two are the same letters and numbers when counters may be left out.
fn spoken_alike(l: &Address, r: &Address) -> bool {
    let forms = |address: &Address, other: &Address| -> Vec<Vec<Token>> {
        let mut places: Vec<_> =
            shortened(address, other.aza.is_none()).into_iter().map(|form| form.0).collect();
        places.extend(without_prefecture(address, other));
        places.iter().map(|place| tokens(place, address)).collect()
    };
    let (l_whole, r_whole) = (tokens(&l.place, l), tokens(&r.place, r));
    forms(l, r).iter().any(|form| alike(form, &r_whole))
        || forms(r, l).iter().any(|form| alike(form, &l_whole))
}

fn alike(l: &[Token], r: &[Token]) -> bool {
    let counters =
        |(l, r): (&Token, &Token)| l.counter.is_none() || r.counter.is_none() || l.counter == r.counter;
    let pieces = |tokens: &[Token]| tokens.iter().map(|token| token.piece).collect::<Vec<_>>();
    l.len() == r.len()
        && !l.is_empty()
        && l.iter().zip(r).all(counters)
        && super::relate_places(&pieces(l), &pieces(r)).kinship != Kinship::Unrelated
}

/// The place without the name of the prefecture when it lacks 都, 府 or 県: 東京目黒区.
fn without_prefecture(address: &Address, other: &Address) -> Option<Vec<Piece>> {
    let prefecture = other.prefecture.filter(|_| address.prefecture.is_none())?;
    let stem = prefecture.trim_end_matches(['都', '府', '県']);
    let length = stem.chars().count();
    let begins = stem.chars().map(Piece::Letter).eq(address.place.iter().take(length).copied());
    begins.then(|| address.place[length..].to_vec())
}

/// What a number may count, the longer words first.
const COUNTERS: [&str; 16] = [
    "番耕地",
    "番割",
    "街区",
    "地割",
    "丁目",
    "番地",
    "条",
    "條",
    "線",
    "号",
    "番",
    "部",
    "区",
    "組",
    "字",
    "丁",
];

fn tokens(place: &[Piece], address: &Address) -> Vec<Token> {
    let bracket = |piece: &&Piece| matches!(piece, Piece::Letter('(' | ')'));
    let place: Vec<Piece> = place.iter().filter(|piece| !bracket(piece)).copied().collect();
    let (mut tokens, mut rest) = (Vec::with_capacity(place.len() + 4), &place[..]);
    // 甲5 and 5甲 are one lot.
    let mut lot = None;
    if let ([before @ .., Piece::Letter(c)], [_, ..]) = (rest, &address.numbers[..])
        && is_lot_letter(*c)
    {
        (rest, lot) = (before, Some(*c));
    }
    while let [first, after @ ..] = rest {
        rest = after;
        match first {
            Piece::Number(n) => push_counted(&mut tokens, *n, &mut rest),
            Piece::Letter(c) if is_kanji_numeral(*c) => {
                let letter = |piece: &Piece| match piece {
                    Piece::Letter(c) if is_kanji_numeral(*c) => Some(*c),
                    Piece::Letter(_) | Piece::Number(_) => None,
                };
                let behind = after.iter().take(LONGEST_NUMERAL).map_while(letter);
                let run: Vec<char> = [*c].into_iter().chain(behind).collect();
                match kanji_number(&run) {
                    Some(n) => {
                        rest = &after[run.len() - 1..];
                        push_counted(&mut tokens, n, &mut rest);
                    }
                    None => tokens.push(Token { piece: *first, counter: None }),
                }
            }
            Piece::Letter(_) => tokens.push(Token { piece: *first, counter: None }),
        }
    }
    // 上町A番12号 is 上町A-12.
    if let [.., Token { piece: Piece::Letter('A'..='Z'), .. }, Token { piece: Piece::Letter('番'), .. }] =
        tokens[..]
    {
        tokens.pop();
    }
    let counter = |number: &Number| match number.unit? {
        Unit::Chome => Some('丁'),
        Unit::Lot => Some('番'),
        Unit::House => Some('号'),
    };
    tokens
        .extend(address.numbers.iter().map(|n| Token { piece: Piece::Number(n.value), counter: counter(n) }));
    tokens.extend(lot.map(|c| Token { piece: Piece::Letter(c), counter: None }));
    let pieces = &address.building.pieces;
    let numbers_only = pieces.iter().all(|piece| matches!(piece, Piece::Number(_)));
    if numbers_only || matches!(pieces[..], [Piece::Letter(c)] if is_lot_letter(c)) {
        tokens.extend(pieces.iter().map(|piece| Token { piece: *piece, counter: None }));
    }
    tokens
}

/// Pushes a number and takes what it counts off the letters behind it.
fn push_counted(tokens: &mut Vec<Token>, number: u32, rest: &mut &[Piece]) {
    let begins = |word: &&&str| {
        let letters = word.chars().map(Piece::Letter);
        letters.eq(rest.iter().take(word.chars().count()).copied())
    };
    // 一番町 is a name.
    let named = matches!(rest[..], [Piece::Letter('番'), Piece::Letter('町' | '丁' | '街' | '館'), ..]);
    let counter = COUNTERS.iter().find(begins).filter(|_| !named);
    tokens
        .push(Token { piece: Piece::Number(number), counter: counter.and_then(|word| word.chars().next()) });
    if let Some(word) = counter {
        *rest = &rest[word.chars().count()..];
    }
}
