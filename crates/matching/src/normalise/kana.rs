//! Readings in katakana: width, script and punctuation forgotten, size and voicing kept.
//!
//! The surprising thing: a reading without any small kana may be how banks write (Zengin), where キヨウコ is キョウコ; one
//! with small kana loses nothing.

use std::fmt;

use super::bytes::{FormError, Reader, put_chars, put_length};
use super::characters::{clean_seen, is_dash};
use super::folds::{Folds, Trace};
use crate::MAX_INPUT_BYTES;

/// A reading in its normal form: katakana. Made once, compared often.
#[derive(Clone, PartialEq, Eq)]
pub struct KanaForm {
    /// The kana of all words in a row.
    pub(crate) kana: Vec<char>,
    /// Where the words after the first begin in `kana`.
    pub(crate) words: Vec<usize>,
    pub(crate) trace: Trace,
    pub(crate) too_long: bool,
}

impl KanaForm {
    /// Reads a text in any kana and width. A text longer than [`MAX_INPUT_BYTES`] is different from every other.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let too_long = text.len() > MAX_INPUT_BYTES;
        let raw = if too_long { "" } else { text };
        let (text, mut folds) = clean_seen(raw);
        let (mut kana, mut words): (Vec<char>, _) = (Vec::with_capacity(text.len() / 3 + 1), vec![]);
        for c in text.chars() {
            match c {
                ' ' | '・' | '=' | ',' | '.' => {
                    if !kana.is_empty() && words.last() != Some(&kana.len()) {
                        words.push(kana.len());
                    }
                }
                'ヽ' | 'ゝ' | '々' => kana.extend(kana.last().copied()),
                'ヾ' | 'ゞ' => kana.extend(kana.last().map(|k| voiced(*k))),
                _ if is_dash(c) => kana.push('ー'),
                'ぁ'..='ゖ' => {
                    folds.insert(Folds::HIRAGANA);
                    kana.push(katakana(c));
                }
                _ => kana.push(katakana(c)),
            }
        }
        if words.last() == Some(&kana.len()) {
            words.pop();
        }
        if !words.is_empty() {
            folds.insert(Folds::SPACE);
        }
        Self { kana, words, trace: Trace::new(raw, folds), too_long }
    }

    /// Whether there is nothing to compare.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.kana.is_empty() && !self.too_long
    }

    /// Whether it may be written as banks do: without small kana and ヲ.
    pub(crate) fn may_be_bank(&self) -> bool {
        is_enlarged(&self.kana)
    }

    /// The kana after the first word, when there are two words or more.
    pub(crate) fn given(&self) -> Option<&[char]> {
        self.words.first().map(|start| &self.kana[*start..])
    }

    /// The normal form as a person reads it. It is personal data.
    #[must_use]
    pub fn text(&self) -> String {
        self.kana.iter().collect()
    }

    /// The form as bytes, to be kept beside [`RULES_VERSION`](crate::RULES_VERSION).
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.kana.len() * 3 + 6);
        self.trace.put(&mut out);
        out.push(u8::from(self.too_long));
        put_chars(&mut out, &self.kana);
        put_length(&mut out, self.words.len());
        self.words.iter().for_each(|start| put_length(&mut out, *start));
        out
    }

    /// The form of these bytes.
    ///
    /// # Errors
    /// [`FormError`] when they are not what [`to_bytes`](Self::to_bytes) writes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, FormError> {
        let mut reader = Reader(bytes);
        let trace = Trace::take(&mut reader)?;
        let too_long = reader.number()?;
        let kana = reader.chars()?;
        let words = reader.starts(kana.len())?;
        reader.end()?;
        Ok(Self { kana, words, trace, too_long: too_long != 0 })
    }
}

impl fmt::Debug for KanaForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KanaForm").finish_non_exhaustive()
    }
}

fn is_enlarged(kana: &[char]) -> bool {
    kana.iter().all(|c| enlarged(*c) == *c && *c != 'ヲ')
}

/// Whether a cleaned text holds nothing but kana and what may stand between kana.
pub(crate) fn is_kana(text: &str) -> bool {
    let mut seen = false;
    text.chars().all(|c| {
        let kana = matches!(c, 'ぁ'..='ゖ' | 'ァ'..='ヺ' | 'ゝ' | 'ゞ' | 'ヽ' | 'ヾ');
        seen |= kana;
        kana || is_dash(c) || matches!(c, ' ' | '・' | '=' | '.' | ',')
    }) && seen
}

/// The same kana in katakana, and a Latin letter in capitals.
pub(crate) fn katakana(c: char) -> char {
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

/// The kana with a voicing mark, where there is one.
pub(crate) fn voiced(c: char) -> char {
    let marked = |c| char::from_u32(u32::from(c) + 1).unwrap_or(c);
    if unvoiced(katakana(marked(c))) == katakana(c) { marked(c) } else { c }
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
            assert_eq!(KanaForm::new(text).kana, expected, "{text}");
        }
        assert_eq!(KanaForm::new("ミスヾ").kana, ['ミ', 'ス', 'ズ']);
        assert_eq!(KanaForm::new("ﾕ-ｺ").kana, ['ユ', 'ー', 'コ']);
    }

    #[test]
    fn small_kana_are_no_bank_s() {
        assert!(!KanaForm::new("ｷｮｳｺ").may_be_bank());
        assert!(KanaForm::new("キヨウコ").may_be_bank());
    }

    #[test]
    fn bytes_give_the_form_back() {
        for text in ["", "サトウ ハナ", "ﾕ-ｺ", "かの", &"ア".repeat(3000)] {
            let form = KanaForm::new(text);
            assert!(KanaForm::from_bytes(&form.to_bytes()) == Ok(form), "{text}");
        }
        assert_eq!(KanaForm::from_bytes(&[0, 0, 0, 1, 9]), Err(FormError));
    }

    #[test]
    fn voicing_is_removed_from_each_row() {
        let plain: String =
            "ガジズゼゾダヂヅデドバビブベボパピプペポヴアンノマ".chars().map(unvoiced).collect();
        assert_eq!(plain, "カシスセソタチツテトハヒフヘホハヒフヘホウアンノマ");
    }

    #[test]
    fn a_given_name_needs_a_space() {
        assert_eq!(KanaForm::new("サトウ ハナ").given(), Some(['ハ', 'ナ'].as_slice()));
        assert_eq!(KanaForm::new("サトウハナ").given(), None);
    }
}
