//! The spellings of an attested text that a comparison calls equal to it, to be digested one by one.
//!
//! What is an equivalence (kana script, ケ and ヶ in places) is folded on both sides; forms of one kanji are not, because 辨, 瓣 and 辯
//! would become one, so the attested side is spelt in each of them. Surprising: who holds the digests does this work, and the company
//! digests one spelling only.

use std::ops::{ControlFlow, RangeInclusive};

use crate::normalise::{
    address::Piece,
    kana::{enlarged, katakana, lengthens},
    kanji::{REPLACED, forms, is_unknown},
};

/// The most spellings of one text; one with more is tried in those that change the fewest characters.
const MOST_SPELLINGS: usize = 256;

/// Characters that stand in no text: a text that has them nevertheless has an unknown character in their place.
const MARKS: RangeInclusive<char> = '\u{FDD0}'..='\u{FDEF}';

/// A character of a name as it is digested.
pub(super) fn of_name(c: char) -> char {
    if MARKS.contains(&c) { REPLACED } else { katakana(c) }
}

/// A character of a place or a building as it is digested: kana that places write in several ways are one, and no other character.
pub(super) fn of_place(c: char) -> char {
    match c {
        'ケ' | 'ヶ' | 'が' | 'ガ' | 'ヵ' => '\u{FDD0}',
        'ノ' | 'の' | '之' | '乃' => '\u{FDD1}',
        'ツ' | 'ッ' | 'つ' | 'っ' => '\u{FDD2}',
        _ => of_name(c),
    }
}

/// Pieces as they are digested: a number stands between marks that no letter is.
pub(super) fn text_of(pieces: &[Piece], fold: impl Fn(char) -> char) -> Vec<char> {
    let mut text = Vec::with_capacity(pieces.len());
    for piece in pieces {
        match piece {
            Piece::Letter(c) => text.push(fold(*c)),
            Piece::Number(number) => {
                text.push('\u{FDD8}');
                text.extend(number.to_string().chars());
                text.push('\u{FDD9}');
            }
        }
    }
    text
}

/// Calls `try_one` with each spelling of a folded text, as written and in other forms of its kanji, until it gives true; gives which it
/// was, and none when no spelling was or the text has an unknown character.
pub(super) fn find(text: &[char], try_one: impl FnMut(&str) -> bool) -> Option<Spelt> {
    if text.iter().any(|c| is_unknown(*c)) {
        return None;
    }
    let choices: Vec<_> = text.iter().map(|c| (*c, forms(*c).iter().map(|form| form.0).collect())).collect();
    find_among(&choices, try_one)
}

/// The same, of a reading: with long marks for the vowels that they may stand for, and vowels for long marks.
pub(super) fn find_lengthened(kana: &[char], try_one: impl FnMut(&str) -> bool) -> Option<Spelt> {
    let befores = [None].into_iter().chain(kana.iter().copied().map(Some));
    let choices: Vec<_> = befores
        .zip(kana)
        .map(|(before, c)| {
            let vowels = before.into_iter().flat_map(|before| {
                let long = move |vowel: &char| lengthens(before, *vowel);
                match *c {
                    'ー' => "アイウエオ".chars().filter(long).collect::<Vec<_>>(),
                    vowel => [vowel].into_iter().filter(long).map(|_| 'ー').collect(),
                }
            });
            (enlarged(*c), vowels.collect())
        })
        .collect();
    find_among(&choices, try_one)
}

/// Each character with others that may stand in its place.
type Choice = (char, Vec<char>);

/// Tries spellings in the order of how many characters are others: most people change one or two.
fn find_among(choices: &[Choice], mut try_one: impl FnMut(&str) -> bool) -> Option<Spelt> {
    let mut spelling: Vec<char> = choices.iter().map(|choice| choice.0).collect();
    let open: Vec<Open<'_>> = choices
        .iter()
        .enumerate()
        .filter(|(_, choice)| !choice.1.is_empty())
        .map(|(at, (_, forms))| (at, &forms[..]))
        .collect();
    let mut left = MOST_SPELLINGS;
    let mut reached = |spelling: &[char]| {
        if left == 0 {
            return ControlFlow::Break(false);
        }
        left -= 1;
        let found = try_one(&spelling.iter().collect::<String>());
        if found { ControlFlow::Break(true) } else { ControlFlow::Continue(()) }
    };
    for others in 0..=open.len() {
        if let ControlFlow::Break(found) = vary(&open, others, &mut spelling, &mut reached) {
            let spelt = if others == 0 { Spelt::AsWritten } else { Spelt::Otherwise };
            return found.then_some(spelt);
        }
    }
    None
}

/// A place where another character may stand, and which.
type Open<'a> = (usize, &'a [char]);

/// Calls `reached` with every spelling that has so many other characters, in these places. Each way into it ends in a spelling, so the bound
/// of those bounds the time.
fn vary(
    open: &[Open<'_>],
    others: usize,
    spelling: &mut [char],
    reached: &mut impl FnMut(&[char]) -> ControlFlow<bool>,
) -> ControlFlow<bool> {
    if others == 0 {
        return reached(spelling);
    }
    for first in 0..=open.len().saturating_sub(others) {
        let Some(((at, forms), behind)) = open[first..].split_first() else { break };
        let written = spelling[*at];
        for form in *forms {
            spelling[*at] = *form;
            vary(behind, others - 1, spelling, reached)?;
        }
        spelling[*at] = written;
    }
    ControlFlow::Continue(())
}

/// How a text was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spelt {
    /// As it is written.
    AsWritten,
    /// With other characters in some places.
    Otherwise,
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::normalise::kanji::relate_texts;

    fn spellings(text: &str) -> Vec<String> {
        let (mut all, text) = (vec![], text.chars().collect::<Vec<_>>());
        assert_eq!(
            find(&text, |spelling| {
                all.push(spelling.to_owned());
                false
            }),
            None
        );
        all
    }

    #[test]
    fn every_spelling_is_strongly_related_and_the_text_comes_first() {
        let all = spellings("渡邉惠");
        assert_eq!(all[0], "渡邉惠");
        assert!(all.contains(&"渡辺恵".to_owned()) && all.contains(&"渡邊恵".to_owned()));
        let chars = |text: &str| text.chars().collect::<Vec<_>>();
        assert!(all.iter().all(|one| relate_texts(&chars(one), &chars("渡邉惠")).is_strong()));
        assert_eq!(spellings("斉藤").iter().filter(|one| one.starts_with('斎')).count(), 0);
    }

    #[test]
    fn a_text_with_an_unknown_character_has_no_spelling_and_one_with_many_has_a_bound() {
        assert!(spellings("渡〓").is_empty());
        let many = spellings(&"邊".repeat(40));
        assert_eq!(many.len(), MOST_SPELLINGS);
        assert_eq!(many.iter().collect::<HashSet<_>>().len(), MOST_SPELLINGS, "none twice");
        assert_eq!(spellings(""), [""]);
    }

    #[test]
    fn long_marks_and_vowels_stand_for_each_other_where_they_may() {
        let finds = |text: &str, other: &str| {
            find_lengthened(&text.chars().collect::<Vec<_>>(), |spelling| spelling == other)
        };
        assert_eq!(finds("エージ", "エイジ"), Some(Spelt::Otherwise));
        assert_eq!(finds("エイジ", "エージ"), Some(Spelt::Otherwise));
        assert_eq!(finds("キョーコ", "キヨウコ"), Some(Spelt::Otherwise));
        assert_eq!(finds("コオリ", "コウリ"), None);
        assert_eq!(finds("カー", "カイ"), None);
    }

    #[test]
    fn numbers_never_run_into_letters() {
        let text = |pieces: &[Piece]| text_of(pieces, of_place);
        assert_ne!(text(&[Piece::Number(12)]), text(&[Piece::Letter('1'), Piece::Letter('2')]));
        assert_ne!(text(&[Piece::Number(1), Piece::Number(2)]), text(&[Piece::Number(12)]));
    }
}
