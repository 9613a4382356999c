//! Latin names: sets of words in any order, as passports, residence cards and banks write them.
//!
//! The surprising thing: where words are divided tells little (VAN AN, VANAN, MARY-ANN), but a division that contradicts
//! another, SUN GHO and SUNG HO, may be two persons.

use super::Comparison;
use crate::Reason;
use crate::normalise::name::Name;
use Comparison::{Different, Equal, Review};

/// The comparison, with its reason when it is more than spelling.
pub(super) fn compare(left: &Name, right: &Name) -> (Comparison, Option<Reason>) {
    if left.characters == right.characters {
        return if refines(&left.words, &right.words) || refines(&right.words, &left.words) {
            (Equal, None)
        } else {
            (Review, Some(Reason::NameOtherDivision))
        };
    }
    let (left, right) = (left.sorted_words(), right.sorted_words());
    let (few, many) = if left.len() <= right.len() { (&left, &right) } else { (&right, &left) };
    let (comparison, reason) = if left == right {
        (Equal, Reason::NameWordOrder)
    } else if few_words_more(few, many) || abbreviates(few, many) {
        (Review, Reason::NameWordMissing)
    } else if joined(few, many) {
        (Review, Reason::NameOtherDivision)
    } else if transcribed(few) == transcribed(many) {
        (Review, Reason::NameWeakVariant)
    } else {
        (Different, Reason::NameDifferent)
    };
    (comparison, Some(reason))
}

/// Whether every border of `few` is one of `many`.
fn refines(few: &[usize], many: &[usize]) -> bool {
    few.iter().all(|border| many.binary_search(border).is_ok())
}

type Words<'a> = [&'a [char]];

/// Whether one name has all words of the other, two at least, and some more (a middle name).
fn few_words_more(few: &Words<'_>, many: &Words<'_>) -> bool {
    few.len() >= 2 && few.len() < many.len() && few.iter().all(|word| many.binary_search(word).is_ok())
}

/// Longer names are compared by whole words only; it keeps the time linear.
const MOST_WORDS: usize = 6;

/// Whether one side gives some words by their first letter only: SMITH J P and SMITH JOHN PAUL.
fn abbreviates(few: &Words<'_>, many: &Words<'_>) -> bool {
    if few.len() < 2 || many.len() > MOST_WORDS {
        return false;
    }
    let (mut left, mut rest) = (many.to_vec(), vec![]);
    for word in few {
        match left.iter().position(|other| other == word) {
            Some(at) => drop(left.swap_remove(at)),
            None => rest.push(*word),
        }
    }
    let initial = |l: &[char], r: &[char]| (l.len() == 1 || r.len() == 1) && l.first() == r.first();
    let found = |word: &&[char]| {
        let at = left.iter().position(|other| initial(word, other));
        at.map(|at| left.swap_remove(at)).is_some()
    };
    rest.len() < few.len() && rest.iter().all(found)
}

/// Whether the words of one side are those of the other with some joined: MARYANN OBRIEN and O'BRIEN MARY-ANN.
fn joined(few: &Words<'_>, many: &Words<'_>) -> bool {
    if many.len() > MOST_WORDS || few.len() == many.len() {
        return false;
    }
    few.iter().map(|word| word.len()).sum::<usize>() == many.iter().map(|word| word.len()).sum::<usize>()
        && few.iter().all(|word| many.contains(word) || is_made_of(word, many))
}

/// Whether a word is some of these words in a row, each once at most.
fn is_made_of(word: &[char], words: &Words<'_>) -> bool {
    word.is_empty()
        || words.iter().enumerate().any(|(at, first)| {
            !first.is_empty()
                && word.starts_with(first)
                && is_made_of(&word[first.len()..], &[&words[..at], &words[at + 1..]].concat())
        })
}

/// The words as machines read them where Ü may be UE or U.
fn transcribed(words: &Words<'_>) -> Vec<Vec<char>> {
    let word = |word: &&[char]| {
        let mut out: Vec<char> = vec![];
        for c in *word {
            if *c != 'E' || !matches!(out.last(), Some('A' | 'O' | 'U')) {
                out.push(*c);
            }
        }
        out
    };
    let mut words: Vec<_> = words.iter().map(word).collect();
    words.sort_unstable();
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare_names;

    #[track_caller]
    fn check(left: &str, right: &str, comparison: Comparison) {
        assert_eq!(compare_names(left, right).comparison, comparison, "{left} {right}");
        assert_eq!(compare_names(right, left).comparison, comparison, "{right} {left}");
    }

    #[test]
    fn order_case_accents_and_spaces_don_t_matter() {
        check("NGUYEN VAN AN", "An Nguyen Van", Equal);
        check("NGUYEN VAN AN", "NGUYENVANAN", Equal);
        check("NGUYEN VAN AN", "NGUYEN VANAN", Equal);
        check("ĐẶNG VĂN AN", "DANG VAN AN", Equal);
        check("Søren Æbelø", "SOREN AEBELO", Equal);
        check("Weiß Jürgen", "WEISS JURGEN", Equal);
    }

    #[test]
    fn shortened_and_transcribed_names_are_for_review() {
        for (left, right) in [
            ("SMITH JOHN PAUL", "JOHN SMITH"),
            ("SMITH JOHN P", "SMITH JOHN PAUL"),
            ("SMITH J P", "Smith John Paul"),
            ("SMITH JOHN P.", "JOHN SMITH"),
            ("MARYANN OBRIEN", "O'BRIEN MARY-ANN"),
            ("DELACRUZ JUAN", "Juan de la Cruz"),
            ("MUELLER JUERGEN", "Jürgen Müller"),
            ("KIM SUN GHO", "KIM SUNG HO"),
        ] {
            check(left, right, Review);
        }
    }

    #[test]
    fn others_are_different() {
        for (left, right) in [
            ("SMITH JOHN", "SMITH JOAN"),
            ("SMITH JOHN", "SMITH PAUL"),
            ("SMITH JOHN PAUL", "SMITH JOHN PETER"),
            ("LEE MIN", "LEE MING"),
            ("LEE M", "KIM M"),
            ("J P", "JOHN PAUL"),
        ] {
            check(left, right, Different);
        }
    }
}
