//! Readings in katakana: width, script and punctuation forgotten, size and voicing kept.
//!
//! The surprising thing: half-width kana without any small kana is how banks write (Zengin), where キヨウコ may be
//! キョウコ; half-width kana with small kana loses nothing.

use super::characters::{clean, is_dash};

/// A reading in katakana.
pub(crate) struct Reading {
    /// The kana of all words in a row.
    pub(crate) kana: Vec<char>,
    /// Where the words begin in `kana`, the first at 0.
    pub(crate) words: Vec<usize>,
    /// Whether it is written as banks write: half-width and without small kana.
    pub(crate) bank: bool,
}

impl Reading {
    pub(crate) fn parse(text: &str) -> Self {
        let (mut kana, mut words) = (vec![], vec![0]);
        for c in clean(text).chars() {
            match c {
                ' ' | '・' | '=' | ',' | '.' => {
                    if words.last() != Some(&kana.len()) {
                        words.push(kana.len());
                    }
                }
                'ヽ' | 'ゝ' | '々' => kana.extend(kana.last().copied()),
                'ヾ' | 'ゞ' => kana.extend(kana.last().map(|k| voiced(*k))),
                _ if is_dash(c) => kana.push('ー'),
                _ => kana.push(katakana(c)),
            }
        }
        if words.len() > 1 && words.last() == Some(&kana.len()) {
            words.pop();
        }
        let half_width = text.chars().any(|c| matches!(c, '\u{FF66}'..='\u{FF9F}'));
        let bank = half_width && !kana.iter().any(|c| enlarged(*c) != *c);
        Self { kana, words, bank }
    }

    /// The kana after the first word, when there are two words or more.
    pub(crate) fn given(&self) -> Option<&[char]> {
        self.words.get(1).map(|start| &self.kana[*start..])
    }
}

/// Whether a text holds nothing but kana and what may stand between kana.
pub(crate) fn is_kana(text: &str) -> bool {
    let mut seen = false;
    clean(text).chars().all(|c| {
        let kana = matches!(c, 'ぁ'..='ゖ' | 'ァ'..='ヺ' | 'ゝ' | 'ゞ' | 'ヽ' | 'ヾ');
        seen |= kana;
        kana || is_dash(c) || matches!(c, ' ' | '・' | '=' | '.' | ',')
    }) && seen
}

fn katakana(c: char) -> char {
    match c {
        'ぁ'..='ゖ' => char::from_u32(u32::from(c) + 0x60).unwrap_or(c),
        _ => c.to_ascii_uppercase(),
    }
}

/// The large kana for a small one.
pub(crate) fn enlarged(c: char) -> char {
    match c {
        'ァ' => 'ア',
        'ィ' => 'イ',
        'ゥ' => 'ウ',
        'ェ' => 'エ',
        'ォ' => 'オ',
        'ッ' => 'ツ',
        'ャ' => 'ヤ',
        'ュ' => 'ユ',
        'ョ' => 'ヨ',
        'ヮ' => 'ワ',
        'ヵ' => 'カ',
        'ヶ' => 'ケ',
        _ => c,
    }
}

/// The kana without its voicing mark.
pub(crate) fn unvoiced(c: char) -> char {
    match c {
        'ヴ' => 'ウ',
        'ガ'..='ヂ' if (u32::from(c) - u32::from('ガ')).is_multiple_of(2) => before(c, 1),
        'ヅ' | 'デ' | 'ド' => before(c, 1),
        'バ'..='ポ' => before(c, (u32::from(c) - u32::from('ハ')) % 3),
        _ => c,
    }
}

fn voiced(c: char) -> char {
    char::from_u32(u32::from(c) + 1).filter(|v| unvoiced(*v) == c).unwrap_or(c)
}

fn before(c: char, steps: u32) -> char {
    char::from_u32(u32::from(c) - steps).unwrap_or(c)
}

/// The modern spelling of a kana that sounds like another: ヲ ヰ ヱ ヂ ヅ.
pub(crate) fn modern(c: char) -> char {
    match c {
        'ヲ' => 'オ',
        'ヰ' => 'イ',
        'ヱ' => 'エ',
        'ヂ' => 'ジ',
        'ヅ' => 'ズ',
        _ => c,
    }
}

/// Whether `vowel` may be what ー lengthens after `kana`: オ and ウ after コ, エ and イ after ケ.
pub(crate) fn lengthens(kana: char, vowel: char) -> bool {
    const ROWS: [(&str, &str); 5] = [
        ("アカサタナハマヤラワ", "ア"),
        ("イキシチニヒミリ", "イ"),
        ("ウクスツヌフムユル", "ウ"),
        ("エケセテネヘメレ", "エイ"),
        ("オコソトノホモヨロヲ", "オウ"),
    ];
    let base = unvoiced(enlarged(kana));
    ROWS.iter().any(|(row, vowels)| row.contains(base) && vowels.contains(vowel))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_script_and_width_is_one_reading() {
        let expected: Vec<char> = "サキバラミユウ".chars().collect();
        for text in ["サキバラ ミユウ", "ｻｷﾊﾞﾗ ﾐﾕｳ", "さきばら　みゆう", "サキハ゛ラ・ミユウ"]
        {
            assert_eq!(Reading::parse(text).kana, expected, "{text}");
        }
        assert_eq!(Reading::parse("ミスヾ").kana, ['ミ', 'ス', 'ズ']);
        assert_eq!(Reading::parse("ﾕ-ｺ").kana, ['ユ', 'ー', 'コ']);
    }

    #[test]
    fn only_half_width_without_small_kana_is_a_bank_s() {
        assert!(Reading::parse("ｷﾖｳｺ").bank);
        assert!(!Reading::parse("ｷｮｳｺ").bank);
        assert!(!Reading::parse("キヨウコ").bank);
    }

    #[test]
    fn voicing_is_removed_from_each_row() {
        let plain: String =
            "ガジズゼゾダヂヅデドバビブベボパピプペポヴアンノマ".chars().map(unvoiced).collect();
        assert_eq!(plain, "カシスセソタチツテトハヒフヘホハヒフヘホウアンノマ");
    }

    #[test]
    fn a_given_name_needs_a_space() {
        assert_eq!(Reading::parse("サトウ ハナ").given(), Some(['ハ', 'ナ'].as_slice()));
        assert_eq!(Reading::parse("サトウハナ").given(), None);
    }
}
