//! Which characters are forms of one another.
//!
//! The build script makes the table: of official tables of old and new forms (`data/kanji_forms.txt`) and the MJ shrink
//! map. What only the map's weaker bases relate is [`Kinship::Weak`], and a mark for an unknown character is
//! [`Kinship::Unknown`]: both are for a person to judge.
//!
//! The surprising thing: this is a relation of pairs and not transitive. 辨, 瓣 and 辯 all became 弁 and are still three.

use std::{collections::HashMap, sync::LazyLock};

use super::kana::{enlarged, katakana};
use Kinship::{FamilyRegister, KanaScript, Official, Same, Unknown, Unrelated, Weak};

include!(concat!(env!("OUT_DIR"), "/kanji_related.rs"));

/// How two characters, or two texts of one length, are related; the later the weaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kinship {
    /// The same character.
    Same,
    /// The same kana in the other script.
    KanaScript,
    /// Old and new form by an official table.
    Official,
    /// One character to the family register.
    FamilyRegister,
    /// Related by weaker tables only.
    Weak,
    /// One of them stands for a character that could not be written.
    Unknown,
    /// Not related.
    Unrelated,
}

impl Kinship {
    /// Whether the two may be taken for the same.
    pub(crate) fn is_strong(self) -> bool {
        self <= FamilyRegister
    }
}

/// The weakest relation of characters at the same place; unrelated when the lengths differ.
pub(crate) fn relate_texts(left: &[char], right: &[char]) -> Kinship {
    if left.len() != right.len() {
        return Unrelated;
    }
    let mut weakest = Same;
    for (l, r) in left.iter().zip(right) {
        weakest = weakest.max(relate(*l, *r));
        if weakest == Unrelated {
            break;
        }
    }
    weakest
}

/// The relation of two characters, symmetric.
pub(crate) fn relate(left: char, right: char) -> Kinship {
    if left == right {
        return if is_unknown(left) { Unknown } else { Same };
    }
    if is_unknown(left) || is_unknown(right) {
        return Unknown;
    }
    if katakana(left) == katakana(right) {
        return KanaScript;
    }
    if enlarged(katakana(left)) == enlarged(katakana(right)) {
        return Weak;
    }
    if !has_forms(left) || !has_forms(right) {
        return Unrelated;
    }
    let pair = (left.min(right), left.max(right));
    match RELATED.binary_search_by(|(a, b, _)| (*a, *b).cmp(&pair)).map(|at| RELATED[at].2) {
        Ok(0) => Official,
        Ok(1) => FamilyRegister,
        Ok(_) => Weak,
        Err(_) => Unrelated,
    }
}

/// The other characters that this one may be taken for, kana apart, and how each is related to it.
pub(crate) fn forms(c: char) -> &'static [(char, Kinship)] {
    static FORMS: LazyLock<HashMap<char, Vec<(char, Kinship)>>> = LazyLock::new(|| {
        let mut forms: HashMap<char, Vec<(char, Kinship)>> = HashMap::new();
        let strong = RELATED.iter().map(|(a, b, _)| (*a, *b, relate(*a, *b)));
        for (a, b, kinship) in strong.filter(|(_, _, kinship)| kinship.is_strong()) {
            for (one, other) in [(a, b), (b, a)] {
                // Kana are folded otherwise.
                if katakana(other) == other && !matches!(other, 'ァ'..='ヺ') {
                    forms.entry(one).or_default().push((other, kinship));
                }
            }
        }
        forms
    });
    if has_forms(c) { FORMS.get(&c).map_or(&[], Vec::as_slice) } else { &[] }
}

/// Low bits of all characters that stand in the table: a look at it spares most searches.
static WITH_FORMS: [u64; 1024] = {
    let mut bits = [0; 1024];
    let mut at = 0;
    while at < RELATED.len() {
        let (left, right, _) = RELATED[at];
        bits[(left as usize & 0xFFFF) / 64] |= 1 << (left as usize % 64);
        bits[(right as usize & 0xFFFF) / 64] |= 1 << (right as usize % 64);
        at += 1;
    }
    bits
};

/// False when the table surely doesn't have the character.
fn has_forms(c: char) -> bool {
    WITH_FORMS[(c as usize & 0xFFFF) / 64] >> (c as usize % 64) & 1 == 1
}

/// Stands for a character that a certificate replaced.
pub(crate) const REPLACED: char = '〓';

/// Marks that stand for a character which a system could not write, and private use.
pub(crate) fn is_unknown(c: char) -> bool {
    matches!(c, '●' | '■' | '□' | '◆' | '◇' | '○' | '◯' | '▲' | '△' | '☐' | '▢' | '▯' | '※' | '_' | '〓' | '?' | '*' | '\u{FFFD}' | '\u{E000}'..='\u{F8FF}'
        | '\u{F0000}'..='\u{10FFFD}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pairs: &str, expected: Kinship) {
        for pair in pairs.split(' ') {
            let pair: Vec<char> = pair.chars().collect();
            assert_eq!(relate(pair[0], pair[1]), expected, "{pair:?}");
            assert_eq!(relate(pair[1], pair[0]), expected, "{pair:?}");
        }
    }

    #[test]
    fn forms_of_one_character_are_strong() {
        check(
            "邉辺 邉邊 﨑崎 﨑嵜 濵濱 嶌島 淵渕 圀國 舩船 莵菟 曻昇 釼劔 松枩 村邨 橋槗 土圡",
            FamilyRegister,
        );
        check(
            "邊辺 德徳 嵜崎 𠮷吉 濱浜 澤沢 廣広 國国 齋斎 齊斉 眞真 冨富 峯峰 嶋島 龍竜 瀧滝 髙高 桒桑 栁柳 麴麹 栢柏 梅楳 冝宜",
            Official,
        );
        check("ひヒ へヘ", KanaScript);
    }

    #[test]
    fn every_form_is_strong_and_none_is_forgotten() {
        let strong = |(a, b, _): &&(char, char, u8)| relate(*a, *b).is_strong();
        for (a, b, _) in RELATED.iter().filter(strong) {
            for (one, other) in [(*a, *b), (*b, *a)] {
                assert!(forms(one).contains(&(other, relate(one, other))), "{one} {other}");
            }
        }
        assert!(forms('一').iter().chain(forms('渡')).all(|(form, _)| relate('一', *form) != Same));
        assert!(forms('あ').is_empty());
    }

    #[test]
    fn no_pair_of_the_table_is_passed_over() {
        assert!(RELATED.iter().all(|(left, right, _)| relate(*left, *right) < Unrelated));
        assert!(!has_forms('あ') && !has_forms('A'));
    }

    #[test]
    fn look_alikes_are_not_related() {
        check(
            "斉斎 齊齋 斉齋 大太 太犬 未末 土士 己巳 千干 玲怜 裕祐 崎埼 崇祟 博傳 東束 川山 嶋鳴 藤籐 原厚 郎朗 亮売 晴睛 鳥烏 柿椎",
            Unrelated,
        );
        check(
            "辨辯 辯瓣 弁升 二三 一二 八人 力刀 田由 佑祐 幸辛 萩荻 橋僑 壱売 間問 綱網 微徴 昴昂 治冶 汐夕 哲啓",
            Unrelated,
        );
    }

    #[test]
    fn what_is_true_of_a_rare_glyph_only_is_weak() {
        check("師帥 書晝 玉王 功切 柿杮 着著 崎碕 ょヨ", Weak);
    }

    #[test]
    fn a_mark_for_an_unknown_character_is_unknown_even_to_itself() {
        check("●高 〓高 ?高 ●● \u{E000}高", Unknown);
    }
}
