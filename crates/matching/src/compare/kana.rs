//! Readings, kana by kana: equal but for spelling, spelt as only some systems spell, or different.
//!
//! The surprising thing: a side without any small kana may be a bank's, in full width too, and then キヨウコ is キョウコ. When
//! both sides write small kana and still differ in size, a person must look.

use super::{Compared, Comparison, Field};
use crate::Reason;
use crate::normalise::kana::{KanaForm, enlarged, lengthens, modern, unvoiced};

/// Compares two readings in any kana and width. Equal after width, spaces and script, and at the level of banks when a
/// side may be written as banks do; for review when only size, long vowels, old spellings, voicing or the order or number
/// of words differ, and when one is missing.
#[must_use]
pub fn compare_kana(left: &str, right: &str) -> Compared {
    KanaForm::new(left).compare(&KanaForm::new(right))
}

impl KanaForm {
    /// As [`compare_kana`].
    #[must_use]
    pub fn compare(&self, other: &Self) -> Compared {
        let (l, r) = (self, other);
        if l.too_long || r.too_long {
            return Compared::new(Comparison::Different, [Reason::KanaDifferent]);
        }
        if l.kana.is_empty() || r.kana.is_empty() {
            return Compared::new(Comparison::Review, [Reason::KanaMissing]);
        }
        if l.kana == r.kana {
            return Compared::equal(Field::Kana, (l.trace, r.trace), []);
        }
        let Some(folds) = folds(&l.kana, &r.kana, l.may_be_bank() || r.may_be_bank()) else {
            return match loosely((&l.kana, &l.words), (&r.kana, &r.words)) {
                Some(Loosely::Spelt) => Compared::new(Comparison::Review, [Reason::KanaLongVowel]),
                Some(Loosely::Turned) => Compared::new(Comparison::Review, [Reason::KanaWordOrder]),
                Some(Loosely::Fewer) => Compared::new(Comparison::Review, [Reason::KanaWordMissing]),
                None => Compared::new(Comparison::Different, [Reason::KanaDifferent]),
            };
        };
        if folds.iter().all(|fold| *fold == Reason::KanaBank) {
            return Compared::equal(Field::Kana, (l.trace, r.trace), folds);
        }
        Compared::new(Comparison::Review, folds)
    }
}

/// How two readings that no folds make one may still be of one person.
pub(super) enum Loosely {
    /// A long mark is left out, or ヴ is バ.
    Spelt,
    /// The given name stands first.
    Turned,
    /// One has all words of the other, two at least, and some more.
    Fewer,
}

/// Kana, and where its words after the first begin.
type Words<'a> = (&'a [char], &'a [usize]);

/// How two readings are alike beyond the folds, if they are.
pub(super) fn loosely(left: Words<'_>, right: Words<'_>) -> Option<Loosely> {
    let as_banks =
        |l: &[char], r: &[char]| folds(l, r, true).is_some_and(|f| f.iter().all(|f| *f == Reason::KanaBank));
    if spelt(left.0) == spelt(right.0) {
        Some(Loosely::Spelt)
    } else if turned(left, right, as_banks) {
        Some(Loosely::Turned)
    } else if has_more_words(left, right) || has_more_words(right, left) {
        Some(Loosely::Fewer)
    } else {
        None
    }
}

/// Without long marks and sizes, and ヴァ as バ.
pub(crate) fn spelt(kana: &[char]) -> Vec<char> {
    let mut out = vec![];
    for (at, c) in kana.iter().enumerate() {
        let vowel = kana.get(at + 1).copied().unwrap_or_default();
        match c {
            'ー' => {}
            'ァ' | 'ィ' | 'ェ' | 'ォ' if at > 0 && kana[at - 1] == 'ヴ' => {}
            'ヴ' => out.push(match vowel {
                'ァ' => 'バ',
                'ィ' => 'ビ',
                'ェ' => 'ベ',
                'ォ' => 'ボ',
                _ => 'ブ',
            }),
            _ => out.push(modern(enlarged(*c))),
        }
    }
    out
}

/// Whether one is the other with its first words behind the rest: ジョン スミス, スミス・ジョン.
pub(super) fn turned(left: Words<'_>, right: Words<'_>, same: impl Fn(&[char], &[char]) -> bool) -> bool {
    let turns = |(kana, words): Words<'_>, other: &[char]| {
        kana.len() == other.len()
            && words.iter().take(MOST_TURNS).any(|at| {
                let (first, rest) = kana.split_at(*at);
                let (begin, end) = other.split_at(rest.len());
                same(rest, begin) && same(first, end)
            })
    };
    turns(left, right.0) || turns(right, left.0)
}

/// A name has few words; it keeps the time linear.
const MOST_TURNS: usize = 4;

fn has_more_words(few: Words<'_>, many: Words<'_>) -> bool {
    let words = |(kana, words): Words<'_>| -> Vec<Vec<char>> {
        let starts = [0].into_iter().chain(words.iter().copied());
        let ends = words.iter().copied().chain([kana.len()]);
        let bank = |word: &[char]| word.iter().map(|c| bank_kana(*c)).collect();
        starts.zip(ends).map(|(start, end)| bank(&kana[start..end])).collect()
    };
    if few.1.is_empty() || few.1.len() >= many.1.len() {
        return false;
    }
    let mut many = words(many);
    many.sort_unstable();
    words(few).iter().all(|word| many.binary_search(word).is_ok())
}

/// The folds that make two readings one, or None when none do.
pub(super) fn folds(left: &[char], right: &[char], bank: bool) -> Option<Vec<Reason>> {
    if left.len() != right.len() {
        return None;
    }
    let mut folds = vec![];
    for (i, (&l, &r)) in left.iter().zip(right).enumerate() {
        let before = i.checked_sub(1).map(|i| (left[i], right[i]));
        if l != r {
            folds.push(fold(l, r, before, bank)?);
        }
    }
    Some(folds)
}

/// As banks write a kana.
pub(crate) fn bank_kana(c: char) -> char {
    if c == 'ヲ' { 'オ' } else { enlarged(c) }
}

fn fold(l: char, r: char, before: Option<(char, char)>, bank: bool) -> Option<Reason> {
    if bank && bank_kana(l) == bank_kana(r) {
        return Some(Reason::KanaBank);
    }
    if enlarged(l) == enlarged(r) {
        return Some(Reason::KanaSize);
    }
    if let Some((l_before, r_before)) = before
        && ((l == 'ー' && lengthens(r_before, r)) || (r == 'ー' && lengthens(l_before, l)))
    {
        return Some(Reason::KanaLongVowel);
    }
    if modern(l) == modern(r) {
        return Some(Reason::KanaOldSpelling);
    }
    (unvoiced(l) == unvoiced(r)).then_some(Reason::KanaVoicing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(left: &str, right: &str, comparison: Comparison, reason: Reason) {
        let expected = Compared::new(comparison, [reason]);
        assert_eq!(compare_kana(left, right), expected, "{left} {right}");
        assert_eq!(compare_kana(right, left), expected, "{right} {left}");
    }

    #[test]
    fn width_script_and_spaces_don_t_matter() {
        check("ナガタ エイジ", "ナガタ エイジ", Comparison::Equal, Reason::KanaIdentical);
        check("サカキバラ ミウ", "ｻｶｷﾊﾞﾗ ﾐｳ", Comparison::Equal, Reason::KanaWidth);
        check("ナガタエイジ", "ながたえいじ", Comparison::Equal, Reason::KanaHiragana);
        check("ナガタ エイジ", "ナガタエイジ", Comparison::Equal, Reason::KanaSpace);
        check("カガ", "カカ\u{3099}", Comparison::Equal, Reason::KanaCombining);
    }

    #[test]
    fn banks_lose_size_and_wo() {
        check("キョウコ", "キヨウコ", Comparison::Equal, Reason::KanaBank);
        check("サチヲ", "サチオ", Comparison::Equal, Reason::KanaBank);
        check("リユウ", "リュウ", Comparison::Equal, Reason::KanaBank);
        check("リユウ ショウ", "リュウ ショウ", Comparison::Review, Reason::KanaSize);
        assert_eq!(compare_kana("キョウコ", "ｷﾖｳｺ").reasons, [Reason::KanaWidth, Reason::KanaBank]);
    }

    #[test]
    fn readings_that_some_systems_write_otherwise_are_for_review() {
        check("ユウコ", "ユーコ", Comparison::Review, Reason::KanaLongVowel);
        check("オオタ", "オータ", Comparison::Review, Reason::KanaLongVowel);
        check("カヅミ", "カズミ", Comparison::Review, Reason::KanaOldSpelling);
        check("ナカシマ", "ナカジマ", Comparison::Review, Reason::KanaVoicing);
        check("ナカシマ", "", Comparison::Review, Reason::KanaMissing);
    }

    #[test]
    fn another_mora_is_different() {
        for (left, right) in [
            ("ナオ", "ナミ"),
            ("ユウコ", "ユコ"),
            ("シン", "ソン"),
            ("ツヨシ", "シヨツ"),
            ("ケイ", "ケーン"),
            ("マナ", "ﾏﾅﾐ"),
        ] {
            check(left, right, Comparison::Different, Reason::KanaDifferent);
        }
        check("カー", "カイ", Comparison::Different, Reason::KanaDifferent);
    }
}
