//! Names, character by character, by how two characters are related.
//!
//! The surprising thing: with kanji, the reading decides nothing here. 斉藤 and 斎藤 are different names; that they read
//! alike is for the decision to weigh.

use super::kana::{Loosely, folds, loosely, turned};
use super::{Compared, Comparison, Field, latin};
use crate::Reason;
use crate::normalise::kana::{KanaForm, enlarged, katakana};
use crate::normalise::kanji::{Kinship, relate_texts};
use crate::normalise::name::{Name, NameForm, Script};

/// Compares two names, family name first. Equal after width, spaces, variation selectors, 々, kana script and forms of
/// one kanji, as banks write kana, and for Latin names in any order of words; for review with a weak variant, an unknown
/// character, another division into words, words more or as initials, the given name first, another script, or a name in
/// brackets.
#[must_use]
pub fn compare_names(left: &str, right: &str) -> Compared {
    NameForm::new(left).compare(&NameForm::new(right))
}

impl NameForm {
    /// As [`compare_names`].
    #[must_use]
    pub fn compare(&self, other: &Self) -> Compared {
        let compared = self.compare_shown(other);
        if compared.comparison != Comparison::Different || (self.masked.is_none() && other.masked.is_none()) {
            return compared;
        }
        let (l, r) = (self.masked.as_deref().unwrap_or(self), other.masked.as_deref().unwrap_or(other));
        if l.compare_shown(r).comparison == Comparison::Different {
            return compared;
        }
        Compared::new(Comparison::Review, [Reason::NameReplacedCharacter])
    }

    /// Compares what is shown, whatever was replaced.
    fn compare_shown(&self, other: &Self) -> Compared {
        if self.too_long || other.too_long {
            return Compared::new(Comparison::Different, [Reason::NameDifferent]);
        }
        let (Some(l), Some(r)) = (self.first(), other.first()) else {
            return Compared::new(Comparison::Review, [Reason::NameMissing]);
        };
        let (comparison, reason) = compare_one(l, r);
        match comparison {
            Comparison::Equal => Compared::equal(Field::Name, (self.trace, other.trace), reason),
            Comparison::Different if self.names.len().max(other.names.len()) > 1 => {
                let equal = |l: &Name| other.names.iter().any(|r| compare_one(l, r).0 == Comparison::Equal);
                if self.names.iter().any(equal) {
                    Compared::new(Comparison::Review, [Reason::NameRecordedBeside])
                } else {
                    Compared::new(comparison, reason)
                }
            }
            Comparison::Review | Comparison::Different => Compared::new(comparison, reason),
        }
    }
}

/// The comparison of one name with another, with its reason when it is more than spelling.
fn compare_one(left: &Name, right: &Name) -> (Comparison, Option<Reason>) {
    use {Comparison::*, Kinship as K, Script::*};
    let (comparison, reason) = match (left.script, right.script) {
        (Latin, Latin) => return latin::compare(left, right),
        (Latin, Kana | Written) | (Kana | Written, Latin) | (Kana, Written) | (Written, Kana) => {
            (Review, Reason::NameOtherScript)
        }
        (Kana, Kana) | (Written, Written) => {
            let same_words = left.words.is_empty() || right.words.is_empty() || left.words == right.words;
            match relate_texts(&left.characters, &right.characters) {
                K::Unrelated | K::Weak if left.script == Kana && right.script == Kana => {
                    compare_kana_names(left, right)
                }
                K::Unrelated if is_turned(left, right) => (Review, Reason::NameWordOrder),
                K::Unrelated => (Different, Reason::NameDifferent),
                K::Unknown => (Review, Reason::NameUnknownCharacter),
                K::Weak => (Review, Reason::NameWeakVariant),
                K::Same | K::KanaScript | K::Official | K::FamilyRegister if !same_words => {
                    (Review, Reason::NameOtherDivision)
                }
                K::FamilyRegister => (Equal, Reason::NameFamilyRegister),
                K::Official => (Equal, Reason::NameOfficialForm),
                K::KanaScript => (Equal, Reason::NameKanaScript),
                K::Same => return (Equal, None),
            }
        }
    };
    (comparison, Some(reason))
}

/// Whether one is the other with its given name first.
fn is_turned(left: &Name, right: &Name) -> bool {
    let same = |l: &[char], r: &[char]| relate_texts(l, r).is_strong();
    turned((&left.characters, &left.words), (&right.characters, &right.words), same)
}

/// Names in kana that are not the same kana: equal as banks write them, or a spelling for a person to judge.
fn compare_kana_names(left: &Name, right: &Name) -> (Comparison, Reason) {
    let [l, r] = [left, right].map(|name| name.characters.iter().map(|c| katakana(*c)).collect::<Vec<_>>());
    let bank = |kana: &[char]| kana.iter().all(|c| enlarged(*c) == *c && *c != 'ヲ');
    let Some(folds) = folds(&l, &r, bank(&l) || bank(&r)) else {
        return match loosely((&l, &left.words), (&r, &right.words)) {
            Some(Loosely::Spelt) => (Comparison::Review, Reason::NameKanaSpelling),
            Some(Loosely::Turned) => (Comparison::Review, Reason::NameWordOrder),
            Some(Loosely::Fewer) => (Comparison::Review, Reason::NameWordMissing),
            None => (Comparison::Different, Reason::NameDifferent),
        };
    };
    if folds.contains(&Reason::KanaVoicing) {
        (Comparison::Different, Reason::NameDifferent)
    } else if folds.iter().any(|fold| *fold != Reason::KanaBank) {
        (Comparison::Review, Reason::NameKanaSpelling)
    } else {
        (Comparison::Equal, Reason::NameBankKana)
    }
}

/// Whether two different names keep the given name and change the family name, as after a marriage. At least one side
/// must show where its given name begins, in the name or in the reading, and no reading may contradict.
pub(crate) fn keeps_given_name(left: (&NameForm, &KanaForm), right: (&NameForm, &KanaForm)) -> bool {
    let (Some(l), Some(r)) = (left.0.first(), right.0.first()) else { return false };
    let (l_kana, r_kana) = (left.1, right.1);
    let same_reading = match (l_kana.given(), r_kana.given()) {
        (Some(l), Some(r)) => {
            Some(folds(l, r, true).is_some_and(|f| f.iter().all(|fold| *fold == Reason::KanaBank)))
        }
        (Some(given), None) => ends_alike(&r_kana.kana, given),
        (None, Some(given)) => ends_alike(&l_kana.kana, given),
        (None, None) => None,
    };
    if same_reading == Some(false) {
        return false;
    }
    let strong = |l: &[char], r: &[char]| relate_texts(l, r).is_strong();
    let tail = |name: &Name, given: &[char]| {
        name.characters.len() > given.len()
            && strong(&name.characters[name.characters.len() - given.len()..], given)
    };
    match (l.given(), r.given()) {
        (Some(l), Some(r)) => strong(l, r),
        (Some(given), None) => tail(r, given),
        (None, Some(given)) => tail(l, given),
        (None, None) => {
            let (l, r) = (&l.characters, &r.characters);
            same_reading == Some(true)
                && l.len() > 1
                && r.len() > 1
                && strong(&l[l.len() - 1..], &r[r.len() - 1..])
        }
    }
}

/// Whether a reading without a space ends with a given name; None when there is no reading.
fn ends_alike(kana: &[char], given: &[char]) -> Option<bool> {
    let tail = kana.len().checked_sub(given.len()).map(|start| &kana[start..]);
    let alike = |tail: &[char]| tail.iter().zip(given).all(|(l, r)| enlarged(*l) == enlarged(*r));
    (!kana.is_empty()).then(|| tail.is_some_and(alike))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(left: &str, right: &str, comparison: Comparison, reason: Reason) {
        let expected = Compared::new(comparison, [reason]);
        assert_eq!(compare_names(left, right), expected, "{left} {right}");
        assert_eq!(compare_names(right, left), expected, "{right} {left}");
    }

    #[test]
    fn spelling_doesn_t_matter() {
        check("永田 栄治", "永田 栄治", Comparison::Equal, Reason::NameIdentical);
        check("永田 栄治", "永田栄治", Comparison::Equal, Reason::NameSpace);
        check("永田 栄治", "永田　栄治", Comparison::Equal, Reason::NameSpace);
        check("辻󠄀 葵", "辻 葵", Comparison::Equal, Reason::NameSelector);
        check("佐々木 光", "佐佐木 光", Comparison::Equal, Reason::NameIteration);
        check("神\u{FA19} 光", "神神 光", Comparison::Equal, Reason::NameCompatibility);
        check("岸 しおか", "岸 シオカ", Comparison::Equal, Reason::NameKanaScript);
        check("菊池 ひより", "菊池 ヒヨリ", Comparison::Equal, Reason::NameKanaScript);
    }

    #[test]
    fn names_in_kana_may_be_a_bank_s() {
        check("サトウ キョウコ", "サトウ キヨウコ", Comparison::Equal, Reason::NameBankKana);
        check("サトウ ミサヲ", "サトウ ミサオ", Comparison::Equal, Reason::NameBankKana);
        check("サトウ ユーコ", "サトウ ユウコ", Comparison::Review, Reason::NameKanaSpelling);
        check("サトウ カズコ", "サトウ カスコ", Comparison::Different, Reason::NameDifferent);
        let half = compare_names("サトウ キョウコ", "ｻﾄｳ ｷﾖｳｺ");
        assert_eq!(half, Compared::new(Comparison::Equal, [Reason::NameWidth, Reason::NameBankKana]));
    }

    #[test]
    fn forms_of_one_kanji_are_equal() {
        check("髙橋 光", "高橋 光", Comparison::Equal, Reason::NameOfficialForm);
        check("渡邉 惠", "渡辺 恵", Comparison::Equal, Reason::NameFamilyRegister);
        check("嶋田 遙", "島田 遥", Comparison::Equal, Reason::NameOfficialForm);
    }

    #[test]
    fn latin_names_are_sets_of_words() {
        check("NGUYEN VAN AN", "AN NGUYEN VAN", Comparison::Equal, Reason::NameWordOrder);
        check("NGUYEN VAN", "Nguyen Van", Comparison::Equal, Reason::NameCase);
        check("SMITH JOHN PAUL", "JOHN SMITH", Comparison::Review, Reason::NameWordMissing);
        check("SMITH JOHN", "SMITH JOAN", Comparison::Different, Reason::NameDifferent);
        assert_eq!(compare_names("ＮＧＵＹＥＮ ＶＡＮ", "Nguyễn Văn").comparison, Comparison::Equal);
    }

    #[test]
    fn what_a_person_must_judge() {
        check("渡●光", "渡辺光", Comparison::Review, Reason::NameUnknownCharacter);
        check("菊池 きょうこ", "菊池 きようこ", Comparison::Review, Reason::NameWeakVariant);
        check("森 永太", "森永 太", Comparison::Review, Reason::NameOtherDivision);
        check("NGUYEN VAN", "グエン バン", Comparison::Review, Reason::NameOtherScript);
        check("永田 栄治", "ナガタ エイジ", Comparison::Review, Reason::NameOtherScript);
        check("佐藤［鈴木］花子", "鈴木 花子", Comparison::Review, Reason::NameRecordedBeside);
        check("", "鈴木 花子", Comparison::Review, Reason::NameMissing);
    }

    #[test]
    fn a_replaced_character_is_unknown_unless_it_is_a_form() {
        let compare = |certificate: &str, flags: &str, master: &str| {
            let compared = NameForm::with_replaced(certificate, flags).compare(&NameForm::new(master));
            (compared.comparison, compared.reasons)
        };
        let (review, replaced) = (Comparison::Review, vec![Reason::NameReplacedCharacter]);
        assert_eq!(compare("高橋　光", "10000", "髙橋 光").0, Comparison::Equal);
        assert_eq!(compare("トウ田　光", "110000", "鄧田 光"), (review, replaced.clone()));
        assert_eq!(compare("トウ田　光", "110000", "鄧田 治").0, Comparison::Different);
        assert_eq!(compare("登田　光", "10000", "鄧田 光"), (review, replaced));
        assert_eq!(compare("登田　光", "10000", "鄧田 治").0, Comparison::Different);
        assert_eq!(compare("登田　光", "00000", "鄧田 光").0, Comparison::Different);
    }

    #[test]
    fn others_are_different() {
        for (left, right) in [
            ("斉藤 光", "斎藤 光"),
            ("齊藤 光", "齋藤 光"),
            ("中島 光", "中鳥 光"),
            ("永田 栄治", "永田 栄二"),
            ("永田 栄治", "永田 治"),
            ("河野 光", "川野 光"),
            ("土田 光", "士田 光"),
            ("伊藤 玲", "伊藤 怜"),
            ("井上 光", "井之上 光"),
            ("二宮 光", "ニ宮 光"),
        ] {
            check(left, right, Comparison::Different, Reason::NameDifferent);
        }
    }

    #[test]
    fn a_new_family_name_keeps_the_given_name() {
        let keeps = |l: (&str, &str), r: (&str, &str)| {
            let forms = |(name, kana)| (NameForm::new(name), KanaForm::new(kana));
            let ((l, l_kana), (r, r_kana)) = (forms(l), forms(r));
            let (l, r) = ((&l, &l_kana), (&r, &r_kana));
            assert_eq!(keeps_given_name(l, r), keeps_given_name(r, l), "{l:?} {r:?}");
            keeps_given_name(l, r)
        };
        assert!(keeps(("田口 畔菜", "タグチ ハナ"), ("永野畔菜", "ﾅｶﾞﾉ ﾊﾅ")));
        assert!(keeps(("田口 畔菜", "タグチ ハナ"), ("東 畔菜", "")));
        assert!(keeps(("田口畔菜", "タグチ ハナ"), ("東畔菜", "ヒガシ ハナ")));
        assert!(!keeps(("田口 畔菜", "タグチ ハナ"), ("田口 道菜", "タグチ ミチナ")));
        assert!(!keeps(("田口 畔菜", "タグチ ハナ"), ("永野畔菜", "ナガノ アキナ")));
        assert!(!keeps(("田口畔菜", ""), ("永野畔菜", "")));
    }
}
