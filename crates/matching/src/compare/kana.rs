//! Readings, kana by kana: equal but for spelling, spelt as only some systems spell, or different.
//!
//! The surprising thing: size is lost without doubt only where a bank wrote; リユウ and リュウ in full width are two
//! readings that a person must look at.

use super::{Compared, Comparison};
use crate::normalise::kana::{Reading, enlarged, lengthens, modern, unvoiced};
use crate::{MAX_INPUT_BYTES, Reason};

/// Compares two readings in any kana and width. Equal after width, spaces and script, and at the level of banks when a
/// side is written as banks do; for review when only size, long vowels, old spellings or voicing differ, and when one
/// is missing.
#[must_use]
pub fn compare_kana(left: &str, right: &str) -> Compared {
    if left.len().max(right.len()) > MAX_INPUT_BYTES {
        return Compared::new(Comparison::Different, [Reason::KanaDifferent]);
    }
    let (l, r) = (Reading::parse(left), Reading::parse(right));
    if l.kana.is_empty() || r.kana.is_empty() {
        return Compared::new(Comparison::Review, [Reason::KanaMissing]);
    }
    if l.kana == r.kana {
        let reason = if left == right { Reason::KanaIdentical } else { Reason::KanaSpelling };
        return Compared::new(Comparison::Equal, [reason]);
    }
    let Some(folds) = folds(&l.kana, &r.kana, l.bank || r.bank) else {
        return Compared::new(Comparison::Different, [Reason::KanaDifferent]);
    };
    let comparison = if folds.iter().all(|fold| *fold == Reason::KanaBank) {
        Comparison::Equal
    } else {
        Comparison::Review
    };
    Compared::new(comparison, folds)
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
        check("サカキバラ ミウ", "ｻｶｷﾊﾞﾗ ﾐｳ", Comparison::Equal, Reason::KanaSpelling);
        check("ナガタ エイジ", "ながたえいじ", Comparison::Equal, Reason::KanaSpelling);
    }

    #[test]
    fn banks_lose_size_and_wo() {
        check("キョウコ", "ｷﾖｳｺ", Comparison::Equal, Reason::KanaBank);
        check("サチヲ", "ｻﾁｵ", Comparison::Equal, Reason::KanaBank);
        check("キョウコ", "キヨウコ", Comparison::Review, Reason::KanaSize);
        check("リユウ", "ﾘｭｳ", Comparison::Review, Reason::KanaSize);
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
