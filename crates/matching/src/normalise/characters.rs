//! The first pass of every text: NFKC, no variation selectors, no controls, one kind of space.
//!
//! The surprising thing: NFKC turns the compatibility ideographs of U+F900 into their unified forms, but not 﨑 and the
//! eleven others that only look like compatibility ideographs; those are variants and belong to the kanji relation.

use unicode_normalization::UnicodeNormalization;

use super::folds::Folds;

/// NFKC without variation selectors, controls and invisible marks; every run of white space is one U+0020 and none is
/// at the ends.
pub(crate) fn clean(text: &str) -> String {
    clean_seen(text).0
}

/// As [`clean`], with what was folded.
pub(crate) fn clean_seen(text: &str) -> (String, Folds) {
    let (mut out, mut folds) = (String::with_capacity(text.len()), Folds::default());
    // Most texts hold nothing that NFKC changes, and asking it costs more than all the rest.
    if text.chars().all(is_plain) {
        text.chars().for_each(|c| push(&mut out, c, &mut folds));
    } else {
        text.chars().for_each(|c| folds.insert(fold_of(c)));
        let composed = text.chars().filter(|c| !is_invisible(*c)).map(foldable).nfkc();
        composed.for_each(|c| push(&mut out, c, &mut folds));
    }
    if out.ends_with(' ') {
        out.pop();
        folds.insert(Folds::SPACE);
    }
    (out, folds)
}

fn push(out: &mut String, c: char, folds: &mut Folds) {
    if !c.is_whitespace() {
        out.push(c);
        return;
    }
    if out.is_empty() || out.ends_with(' ') {
        folds.insert(Folds::SPACE);
    } else {
        out.push(' ');
        if c != ' ' {
            folds.insert(Folds::SPACE);
        }
    }
}

/// Whether NFKC leaves a character as it is, whatever stands before it, and nothing else here drops or folds it.
fn is_plain(c: char) -> bool {
    matches!(c, ' '..='~' | '\u{3000}' | '々' | '〇' | 'ぁ'..='ゖ' | 'ゝ' | 'ゞ' | 'ァ'..='ヾ' | '\u{3400}'..='\u{4DBF}'
        | '\u{4E00}'..='\u{9FFF}' | '\u{20000}'..='\u{2F7FF}' | '\u{30000}'..='\u{323AF}')
}

/// What the first pass folds in this character.
fn fold_of(c: char) -> Folds {
    match c {
        _ if is_plain(c) => Folds::default(),
        '\u{FF01}'..='\u{FFEE}' => Folds::WIDTH,
        '\u{3099}'..='\u{309C}' | '\u{0300}'..='\u{036F}' => Folds::COMBINING,
        _ if c.is_whitespace() => Folds::SPACE,
        _ if is_invisible(c) => Folds::SELECTOR,
        _ if is_dash(c) => Folds::default(),
        _ if foldable(c) != c || !std::iter::once(c).nfkc().eq([c]) => Folds::COMPATIBILITY,
        _ => Folds::default(),
    }
}

/// What NFKC leaves: radicals that fonts and converters put in the place of the kanji they look like, and free-standing
/// voicing marks, as the combining ones that NFKC joins to the kana before them.
fn foldable(c: char) -> char {
    match c {
        // NFKC would make a space and a mark of these.
        '\u{00AF}' | '\u{203E}' | '\u{FFE3}' => '-',
        '⺠' => '民',
        '⻁' => '虎',
        '⻄' => '西',
        '⻆' => '角',
        '⻑' => '長',
        '⻘' => '青',
        '⻝' => '食',
        '⻤' => '鬼',
        '⻨' => '麦',
        '⻩' => '黄',
        '⻫' => '斉',
        '⻭' => '歯',
        '⻯' => '竜',
        '⻲' => '亀',
        '\u{309B}' | '\u{FF9E}' => '\u{3099}',
        '\u{309C}' | '\u{FF9F}' => '\u{309A}',
        _ => c,
    }
}

fn is_invisible(c: char) -> bool {
    (c.is_control() && !c.is_whitespace())
        || matches!(c,
        '\u{00AD}' | '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}'
        | '\u{20E3}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{E0000}'..='\u{E01EF}')
}

/// The hyphens, dashes, minus signs and long marks that people type between numbers.
pub(crate) fn is_dash(c: char) -> bool {
    DASHES.binary_search(&c).is_ok()
}

/// Sorted; after NFKC, which folds the small, raised and half-width ones.
const DASHES: [char; 32] = [
    '-', '~', '\u{02C9}', '\u{02D7}', '\u{058A}', '\u{05BE}', '\u{1173}', '\u{1400}', '\u{1806}', '\u{2010}',
    '\u{2012}', '\u{2013}', '\u{2014}', '\u{2015}', '\u{2043}', '\u{2053}', '\u{2212}', '\u{223C}',
    '\u{23AF}', '\u{23E4}', '\u{2500}', '\u{2501}', '\u{2796}', '\u{2E17}', '\u{2E1A}', '\u{2E3A}',
    '\u{2E3B}', '\u{2E40}', '\u{301C}', '\u{3030}', '\u{30A0}', '\u{30FC}',
];

/// The digit that a character stands for in positional notation: 0 to 9 or 〇 to 九.
pub(crate) fn positional_digit(c: char) -> Option<u8> {
    Some(match c {
        '0'..='9' => c as u8 - b'0',
        '〇' | '零' => 0,
        '一' | '壱' | '壹' => 1,
        '二' | '弐' | '貳' => 2,
        '三' | '参' | '參' => 3,
        '四' => 4,
        '五' | '伍' => 5,
        '六' => 6,
        '七' => 7,
        '八' => 8,
        '九' => 9,
        _ => return None,
    })
}

/// The number written by a run of kanji numerals, by place (二三) or with 十, 百 and 千 (二十三). None when the run is
/// neither, or 10^9 or more.
pub(crate) fn kanji_number(run: &[char]) -> Option<u32> {
    if run.is_empty() || run.len() > 9 {
        return None;
    }
    if run.iter().all(|c| positional_digit(*c).is_some()) {
        return run.iter().try_fold(0_u32, |n, c| Some(n * 10 + u32::from(positional_digit(*c)?)));
    }
    let (mut total, mut digit, mut last_unit) = (0_u32, None, u32::MAX);
    for c in run {
        let unit = match c {
            '十' | '拾' => 10,
            '百' => 100,
            '千' => 1000,
            other => {
                if digit.replace(u32::from(positional_digit(*other)?)).is_some() {
                    return None;
                }
                continue;
            }
        };
        if unit >= last_unit {
            return None;
        }
        last_unit = unit;
        total += digit.take().unwrap_or(1) * unit;
    }
    Some(total + digit.unwrap_or(0))
}

/// Whether a character may be part of a kanji numeral.
pub(crate) fn is_kanji_numeral(c: char) -> bool {
    matches!(c, '十' | '拾' | '百' | '千') || (positional_digit(c).is_some() && !c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_widths_and_controls_leave_no_trace() {
        assert_eq!(clean(" 葛\u{E0100}飾　 ﾊﾅ\u{200B}Ａ\n"), "葛飾 ハナA");
        assert_eq!(clean("神\u{FA19}⻆⽥"), "神神角田");
    }

    #[test]
    fn every_look_alike_of_a_hyphen_is_a_dash() {
        for dash in "-‐‑‒–—―−ー－ｰ─━˗⁃﹘﹣〜～⁻₋‾￣¯ㅡ⎯⸺゠".chars()
        {
            assert!(clean(&format!("1{dash}2")).chars().nth(1).is_some_and(is_dash), "{dash}");
        }
        assert!(DASHES.is_sorted());
        assert!(!"一・.,/ニ二".chars().any(is_dash));
    }

    #[test]
    fn kanji_numbers_are_read_by_place_and_by_unit() {
        let number = |s: &str| kanji_number(&s.chars().collect::<Vec<_>>());
        assert_eq!(number("二十三"), Some(23));
        assert_eq!(number("二三"), Some(23));
        assert_eq!(number("百五"), Some(105));
        assert_eq!(number("千二百"), Some(1200));
        assert_eq!(number("十"), Some(10));
        assert_eq!(number("十百"), None);
        assert_eq!(number("二三十"), None);
        assert_eq!(number("十甲"), None);
    }

    #[test]
    fn a_plain_character_is_its_own_normal_form() {
        for c in ('\0'..=char::MAX).filter(|c| is_plain(*c) && *c != '\u{3000}') {
            assert!(std::iter::once(c).nfkc().eq([c]) && foldable(c) == c && !is_invisible(c), "{c:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn cleaning_twice_is_cleaning_once(text: String) {
            proptest::prop_assert_eq!(clean(&clean(&text)), clean(&text));
        }
    }
}
