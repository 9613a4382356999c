//! Which characters are forms of one another.
//!
//! Two sources say so: official tables of old and new forms, and the MJ shrink map that the build script reads. What
//! only the map's weaker bases relate is [`Kinship::Weak`], and a mark for an unknown character is
//! [`Kinship::Unknown`]: both are for a person to judge.
//!
//! The surprising thing: this is a relation of pairs and not transitive. 辨, 瓣 and 辯 all became 弁 and are still three.

use std::collections::HashMap;
use std::sync::LazyLock;

use Kinship::{FamilyRegister, Official, Same, Unknown, Unrelated, Weak};

include!(concat!(env!("OUT_DIR"), "/kanji_edges.rs"));

/// How two characters, or two texts of one length, are related; the later the weaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kinship {
    /// The same character.
    Same,
    /// Old and new form by an official table.
    Official,
    /// One character to the family register.
    FamilyRegister,
    /// Related by weaker tables, or the same kana in the other script.
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
    if OFFICIAL_FORMS.get(&left) == Some(&right) || OFFICIAL_FORMS.get(&right) == Some(&left) {
        return Official;
    }
    let (from_left, from_right) = (targets(left), targets(right));
    let direct = |wanted: bool| {
        from_left.iter().any(|e| e.1 == right && e.2 >= wanted)
            || from_right.iter().any(|e| e.1 == left && e.2 >= wanted)
    };
    let siblings = from_left
        .iter()
        .any(|l| l.2 && !MERGED.contains(&l.1) && from_right.iter().any(|r| r.2 && r.1 == l.1));
    if direct(true) || siblings {
        FamilyRegister
    } else if direct(false) || hiragana(left) == hiragana(right) {
        Weak
    } else {
        Unrelated
    }
}

/// The edges that start at a character.
fn targets(from: char) -> &'static [(char, char, bool)] {
    let start = EDGES.partition_point(|e| e.0 < from);
    let length = EDGES[start..].partition_point(|e| e.0 == from);
    &EDGES[start..start + length]
}

/// Marks that stand for a character which a system could not write, and private use.
fn is_unknown(c: char) -> bool {
    matches!(c, '●' | '■' | '□' | '◆' | '◇' | '○' | '◯' | '▲' | '〓' | '?' | '*' | '\u{FFFD}' | '\u{E000}'..='\u{F8FF}'
        | '\u{F0000}'..='\u{10FFFD}')
}

fn hiragana(c: char) -> char {
    match c {
        'ァ'..='ヶ' => char::from_u32(u32::from(c) - 0x60).unwrap_or(c),
        _ => c,
    }
}

/// New forms in which different characters meet.
const MERGED: [char; 2] = ['弁', '咽'];

/// Pairs of old and new form, two characters each, of which the map says nothing, or nothing that the build script
/// trusts.
const OFFICIAL: [&str; 4] = [
    // 人名用漢字: old forms of kanji for general use
    "薗園 駈駆 曾曽 瀧滝 嶋島 燈灯 盃杯 冨富 峯峰 埜野 龍竜",
    // 人名用漢字: pairs of one character, and 舘, 穐 and 頴 that family registers write for them
    "亙亘 凜凛 巖巌 晄晃 檜桧 槇槙 禰祢 穰穣 遙遥 堯尭 祿禄 萠萌 禱祷 舘館 穐秋 頴穎",
    // JIS X 0208-1983 against JIS C 6226-1978
    "鰺鯵 鶯鴬 蠣蛎 攪撹 竈竃 灌潅 諫諌 頸頚 礦砿 蘂蕊 靱靭 賤賎 壺壷 礪砺 檮梼 濤涛 邇迩 蠅蝿 儘侭 藪薮 籠篭 瑤瑶",
    // 表外漢字字体表: printed forms and their simplifications
    "啞唖 嚙噛 俠侠 俱倶 吞呑 軀躯 鹼鹸 麴麹 屢屡 繡繍 繫繋 蔣蒋 醬醤 蟬蝉 搔掻 驒騨 簞箪 摑掴 塡填 顚顛 瀆涜 囊嚢 潑溌 醱醗 頰頬 麵麺 萊莱 蠟蝋 焰焔 鷗鴎",
];

/// New form by old form.
static OFFICIAL_FORMS: LazyLock<HashMap<char, char>> = LazyLock::new(|| {
    let pair = |pair: &str| pair.chars().next().zip(pair.chars().nth(1));
    OFFICIAL.iter().flat_map(|table| table.split(' ')).filter_map(pair).collect()
});

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
            "髙高 﨑崎 嵜崎 邉辺 邊辺 邉邊 德徳 濵浜 濱浜 濵濱 栁柳 桒桑 澤沢 廣広 國国 齋斎 齊斉 眞真 壽寿 惠恵 榮栄 櫻桜 𠮷吉",
            FamilyRegister,
        );
        check(
            "嶌島 渕淵 渊淵 渊渕 會会 條条 萬万 藏蔵 彌弥 豐豊 禮礼 瀨瀬 佛仏 靑青 淸清 莵菟 靜静 黑黒 曻昇 圀国 舩船",
            FamilyRegister,
        );
        check(
            "冨富 峯峰 嶋島 龍竜 瀧滝 曾曽 埜野 槇槙 遙遥 凜凛 檜桧 堯尭 巖巌 舘館 籠篭 壺壷 麴麹 鷗鴎 穐秋 薗園",
            Official,
        );
    }

    #[test]
    fn look_alikes_are_not_related() {
        check(
            "斉斎 齊齋 斉齋 大太 太犬 未末 土士 己巳 千干 玲怜 裕祐 崇祟 博傳 東束 川山 嶋鳴 藤籐 原厚 郎朗 亮売 晴睛 鳥烏 柿椎",
            Unrelated,
        );
        check(
            "辨辯 辯瓣 弁升 二三 一二 八人 力刀 田由 佑祐 幸辛 萩荻 橋僑 壱売 間問 綱網 微徴 昴昂 治冶 汐夕 哲啓",
            Unrelated,
        );
    }

    #[test]
    fn what_is_true_of_a_rare_glyph_only_is_weak() {
        check("師帥 書晝 玉王 功切 柿杮 苅刈 栢柏 涌湧", Weak);
        check("ひヒ", Weak);
    }

    #[test]
    fn a_mark_for_an_unknown_character_is_unknown_even_to_itself() {
        check("●高 〓高 ?高 ●● \u{E000}高", Unknown);
    }
}
