//! Names, character by character, by how two characters are related.
//!
//! The surprising thing: with kanji, the reading decides nothing here. 斉藤 and 斎藤 are different names; that they read
//! alike is for the decision to weigh.

use super::kana::folds;
use super::{Compared, Comparison};
use crate::normalise::kana::{Reading, enlarged};
use crate::normalise::kanji::{Kinship, relate_texts};
use crate::normalise::name::{Name, Script};
use crate::{MAX_INPUT_BYTES, Reason};

/// Compares two names, family name first. Equal after width, spaces, variation selectors, 々 and forms of one kanji,
/// and for Latin names in any order of words; for review with a weak variant, an unknown character, another division
/// into words, another script, or a name in brackets.
#[must_use]
pub fn compare_names(left: &str, right: &str) -> Compared {
    if left.len().max(right.len()) > MAX_INPUT_BYTES {
        return Compared::new(Comparison::Different, [Reason::NameDifferent]);
    }
    let (lefts, rights) = (Name::parse_recorded(left), Name::parse_recorded(right));
    let (Some(l), Some(r)) = (lefts.first(), rights.first()) else {
        return Compared::new(Comparison::Review, [Reason::NameMissing]);
    };
    if left == right && relate_texts(&l.characters, &r.characters) == Kinship::Same {
        return Compared::new(Comparison::Equal, [Reason::NameIdentical]);
    }
    let compared = compare_one(l, r);
    if compared.comparison != Comparison::Different || lefts.len().max(rights.len()) == 1 {
        return compared;
    }
    let equal = |l: &Name| rights.iter().any(|r| compare_one(l, r).comparison == Comparison::Equal);
    let beside = lefts.iter().any(equal);
    if beside { Compared::new(Comparison::Review, [Reason::NameRecordedBeside]) } else { compared }
}

fn compare_one(left: &Name, right: &Name) -> Compared {
    let same_words = left.words.len() == 1 || right.words.len() == 1 || left.words == right.words;
    let (comparison, reason) = match (left.script, right.script) {
        (Script::Latin, Script::Latin) if left.characters == right.characters => {
            (Comparison::Equal, Reason::NameSpelling)
        }
        (Script::Latin, Script::Latin) if left.sorted_words() == right.sorted_words() => {
            (Comparison::Equal, Reason::NameWordOrder)
        }
        (Script::Latin, Script::Latin) if few_words_more(left, right) => {
            (Comparison::Review, Reason::NameWordMissing)
        }
        (Script::Latin, Script::Latin) => (Comparison::Different, Reason::NameDifferent),
        (Script::Latin, Script::Kana | Script::Written) | (Script::Kana | Script::Written, Script::Latin) => {
            (Comparison::Review, Reason::NameOtherScript)
        }
        (Script::Kana, Script::Written) | (Script::Written, Script::Kana) => {
            (Comparison::Review, Reason::NameOtherScript)
        }
        (Script::Kana, Script::Kana) | (Script::Written, Script::Written) => {
            match relate_texts(&left.characters, &right.characters) {
                Kinship::Unrelated => (Comparison::Different, Reason::NameDifferent),
                Kinship::Unknown => (Comparison::Review, Reason::NameUnknownCharacter),
                Kinship::Weak => (Comparison::Review, Reason::NameWeakVariant),
                Kinship::Same | Kinship::Official | Kinship::FamilyRegister if !same_words => {
                    (Comparison::Review, Reason::NameOtherDivision)
                }
                Kinship::FamilyRegister => (Comparison::Equal, Reason::NameFamilyRegister),
                Kinship::Official => (Comparison::Equal, Reason::NameOfficialForm),
                Kinship::Same => (Comparison::Equal, Reason::NameSpelling),
            }
        }
    };
    Compared::new(comparison, [reason])
}

/// Whether one name has all words of the other, two at least, and some more (a middle name).
fn few_words_more(left: &Name, right: &Name) -> bool {
    let (left, right) = (left.sorted_words(), right.sorted_words());
    let (few, many) = if left.len() < right.len() { (left, right) } else { (right, left) };
    few.len() >= 2 && few.iter().all(|word| many.binary_search(word).is_ok())
}

/// Whether two different names keep the given name and change the family name, as after a marriage. At least one side
/// must show where its given name begins, in the name or in the reading, and no reading may contradict.
pub(crate) fn keeps_given_name(left: (&str, &str), right: (&str, &str)) -> bool {
    let (Some(l), Some(r)) = (first_name(left.0), first_name(right.0)) else { return false };
    let (l_kana, r_kana) = (Reading::parse(left.1), Reading::parse(right.1));
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
        (Some(given), None) => tail(&r, given),
        (None, Some(given)) => tail(&l, given),
        (None, None) => {
            let (l, r) = (&l.characters, &r.characters);
            same_reading == Some(true)
                && l.len() > 1
                && r.len() > 1
                && strong(&l[l.len() - 1..], &r[r.len() - 1..])
        }
    }
}

fn first_name(text: &str) -> Option<Name> {
    if text.len() > MAX_INPUT_BYTES { None } else { Name::parse_recorded(text).into_iter().next() }
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
        check("永田 栄治", "永田栄治", Comparison::Equal, Reason::NameSpelling);
        check("永田 栄治", "永田　栄治", Comparison::Equal, Reason::NameSpelling);
        check("辻󠄀 葵", "辻 葵", Comparison::Equal, Reason::NameSpelling);
        check("佐々木 光", "佐佐木光", Comparison::Equal, Reason::NameSpelling);
        check("神\u{FA19} 光", "神神 光", Comparison::Equal, Reason::NameSpelling);
    }

    #[test]
    fn forms_of_one_kanji_are_equal() {
        check("髙橋 光", "高橋 光", Comparison::Equal, Reason::NameFamilyRegister);
        check("渡邉 惠", "渡辺恵", Comparison::Equal, Reason::NameFamilyRegister);
        check("嶋田 遙", "島田 遥", Comparison::Equal, Reason::NameOfficialForm);
    }

    #[test]
    fn latin_names_are_sets_of_words() {
        check("NGUYEN VAN AN", "An Nguyen Van", Comparison::Equal, Reason::NameWordOrder);
        check("ＮＧＵＹＥＮ ＶＡＮ", "Nguyễn Văn", Comparison::Equal, Reason::NameSpelling);
        check("SMITH JOHN PAUL", "JOHN SMITH", Comparison::Review, Reason::NameWordMissing);
        check("SMITH JOHN", "SMITH JOAN", Comparison::Different, Reason::NameDifferent);
    }

    #[test]
    fn what_a_person_must_judge() {
        check("渡●光", "渡辺光", Comparison::Review, Reason::NameUnknownCharacter);
        check("菊池 ひより", "菊池 ヒヨリ", Comparison::Review, Reason::NameWeakVariant);
        check("森 永太", "森永 太", Comparison::Review, Reason::NameOtherDivision);
        check("NGUYEN VAN", "グエン バン", Comparison::Review, Reason::NameOtherScript);
        check("永田 栄治", "ナガタ エイジ", Comparison::Review, Reason::NameOtherScript);
        check("佐藤［鈴木］花子", "鈴木 花子", Comparison::Review, Reason::NameRecordedBeside);
        check("", "鈴木 花子", Comparison::Review, Reason::NameMissing);
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
