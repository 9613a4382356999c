//! Readings, kana by kana: equal but for spelling, spelt as only some systems spell, or different.
//!
//! The surprising thing: a side without any small kana may be a bank's, in full width too, and then キヨウコ is キョウコ. When
//! both sides write small kana and still differ in size, a person must look.

use super::{Compared, Comparison, Field};
use crate::Reason;
use crate::normalise::kana::{KanaForm, enlarged, lengthens, modern, unvoiced};

/// Compares two readings in any kana and width. Equal after width, spaces and script, and at the level of banks when a
/// side may be written as banks do; for review when only size, long vowels, old spellings or voicing differ, and when
/// one is missing.
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
            return Compared::new(Comparison::Different, [Reason::KanaDifferent]);
        };
        if folds.iter().all(|fold| *fold == Reason::KanaBank) {
            return Compared::equal(Field::Kana, (l.trace, r.trace), folds);
        }
        Compared::new(Comparison::Review, folds)
    }
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

fn fold(l: char, r: char, before: Option<(char, char)>, bank: bool) -> Option<Reason> {
    let bank_form = |c| if c == 'ヲ' { 'オ' } else { enlarged(c) };
    if bank && bank_form(l) == bank_form(r) {
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
