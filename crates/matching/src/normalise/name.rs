//! A name as words of characters.
//!
//! The surprising thing: a space may stand between family and given name or may not, and is trusted only where it
//! stands; 永田栄治 and 永田 栄治 are one name, 森 永太 and 森永 太 may be two.

use std::fmt;

use unicode_normalization::UnicodeNormalization;

use super::bytes::{FormError, Reader, put_chars, put_length};
use super::characters::{clean_seen, is_dash};
use super::folds::{Folds, Trace};
use super::kana::{is_kana, voiced};
use super::kanji::REPLACED;
use crate::MAX_INPUT_BYTES;

/// A name in its normal form. Made once, compared often.
#[derive(Clone, PartialEq, Eq)]
pub struct NameForm {
    /// The name outside brackets, and those that brackets record beside it.
    pub(crate) names: Vec<Name>,
    pub(crate) trace: Trace,
    pub(crate) too_long: bool,
    /// The same with every flagged character as an unknown one.
    pub(crate) masked: Option<Box<NameForm>>,
}

impl NameForm {
    /// Reads a name, family name first. A name longer than [`MAX_INPUT_BYTES`] is different from every other.
    #[must_use]
    pub fn new(text: &str) -> Self {
        if text.len() > MAX_INPUT_BYTES {
            return Self { names: vec![], trace: Trace::default(), too_long: true, masked: None };
        }
        let raw = text;
        let (text, mut folds) = clean_seen(raw);
        let mut names = if text.contains(BRACKETS) {
            Name::parse_recorded(&text, &mut folds)
        } else {
            vec![Name::parse(&text, &mut folds)]
        };
        if names.first().is_some_and(|name| !name.words.is_empty()) {
            folds.insert(Folds::SPACE);
        }
        names.retain(|name| !name.characters.is_empty());
        Self { names, trace: Trace::new(raw, folds), too_long: false, masked: None }
    }

    /// Reads a name of a JPKI certificate with its 氏名代替文字位置: one digit for each character of the name, 1 where
    /// the certificate could not hold the character and shows another. Such a character may be any that it is a form
    /// of; where it is none, it is unknown and never a contradiction.
    #[must_use]
    pub fn with_replaced(text: &str, flags: &str) -> Self {
        let masked = masked(text, flags).map(|text| Box::new(Self::new(&text)));
        Self { masked, ..Self::new(text) }
    }

    /// Whether there is nothing to compare.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names.is_empty() && !self.too_long
    }

    /// The name outside brackets.
    pub(crate) fn first(&self) -> Option<&Name> {
        self.names.first()
    }

    pub(crate) fn is(&self, script: Script) -> bool {
        self.first().is_some_and(|name| name.script == script)
    }

    /// The normal form as a person reads it. It is personal data.
    #[must_use]
    pub fn text(&self) -> String {
        let names: Vec<String> = self.names.iter().map(Name::text).collect();
        names.join(" / ")
    }

    /// The form as bytes, to be kept beside [`RULES_VERSION`](crate::RULES_VERSION).
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(32);
        self.put(&mut out);
        out
    }

    fn put(&self, out: &mut Vec<u8>) {
        self.trace.put(out);
        out.push(u8::from(self.masked.is_some()) | u8::from(self.too_long) << 1);
        put_length(out, self.names.len());
        for name in &self.names {
            out.push(name.script as u8);
            put_chars(out, &name.characters);
            put_length(out, name.words.len());
            name.words.iter().for_each(|start| put_length(out, *start));
        }
        if let Some(masked) = &self.masked {
            masked.put(out);
        }
    }

    /// The form of these bytes.
    ///
    /// # Errors
    /// [`FormError`] when they are not what [`to_bytes`](Self::to_bytes) writes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, FormError> {
        let mut reader = Reader(bytes);
        let (mut form, masked) = Self::take(&mut reader)?;
        if masked {
            let (masked, further) = Self::take(&mut reader)?;
            form.masked = if further { return Err(FormError) } else { Some(Box::new(masked)) };
        }
        reader.end()?;
        Ok(form)
    }

    fn take(reader: &mut Reader<'_>) -> Result<(Self, bool), FormError> {
        let trace = Trace::take(reader)?;
        let marks = reader.number()?;
        let count = reader.length()?;
        let name = |reader: &mut Reader<'_>| {
            let script = Script::of(reader.number()?)?;
            let characters = reader.chars()?;
            let words = reader.starts(characters.len())?;
            Ok(Name { characters, words, script })
        };
        let names = reader.many(count, name)?;
        Ok((Self { names, trace, too_long: marks & 2 != 0, masked: None }, marks & 1 != 0))
    }
}

impl fmt::Debug for NameForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NameForm").finish_non_exhaustive()
    }
}

/// The text with an unknown character in every flagged place; None when no place is flagged. Flagged kana in a row are
/// the reading of one character.
pub(crate) fn masked(text: &str, flags: &str) -> Option<String> {
    flags.contains('1').then(|| {
        let flags = flags.chars().chain(std::iter::repeat('0'));
        let (mut masked, mut kana_before) = (String::with_capacity(text.len()), false);
        for (c, flag) in text.chars().zip(flags) {
            let flagged = flag == '1';
            let kana = flagged && matches!(c, 'ぁ'..='ゖ' | 'ァ'..='ヺ' | 'ー');
            if !(kana && kana_before) {
                masked.push(if flagged { REPLACED } else { c });
            }
            kana_before = kana;
        }
        masked
    })
}

/// One name.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Name {
    /// The characters of all words in a row, 々 written out, Latin letters in capitals without accents.
    pub(crate) characters: Vec<char>,
    /// Where the words after the first begin in `characters`.
    pub(crate) words: Vec<usize>,
    pub(crate) script: Script,
}

/// What a name is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Script {
    Latin,
    Kana,
    /// Kanji, or a mixture.
    Written,
}

impl Script {
    fn of(number: u32) -> Result<Self, FormError> {
        let all = [Self::Latin, Self::Kana, Self::Written];
        all.into_iter().find(|script| *script as u32 == number).ok_or(FormError)
    }
}

impl Name {
    /// The name outside brackets, and one more for each bracket whose content replaces the family name (旧氏) or the
    /// whole name (通称).
    fn parse_recorded(text: &str, folds: &mut Folds) -> Vec<Self> {
        let (mut outside, mut beside, mut open) = (String::new(), vec![], false);
        for c in text.chars() {
            match c {
                _ if BRACKETS.contains(&c) && !open && beside.len() < MOST_BRACKETS => {
                    open = true;
                    beside.push((outside.len(), String::new()));
                }
                ')' | ']' | '〕' | '】' | '」' | '>' | '〉' if open => open = false,
                _ => match beside.last_mut() {
                    Some((_, inside)) if open => inside.push(c),
                    Some(_) | None => outside.push(c),
                },
            }
        }
        let mut names = vec![Self::parse(&outside, folds)];
        for (at, inside) in beside {
            let inside = ["旧氏", "旧姓", "通称", ":"]
                .iter()
                .fold(inside.as_str(), |s, label| s.trim_start_matches(label));
            names.push(Self::parse(inside, folds));
            names.push(Self::parse(&format!("{inside} {}", &outside[at..]), folds));
        }
        names
    }

    fn parse(text: &str, folds: &mut Folds) -> Self {
        let latin = text.bytes().any(|b| b.is_ascii_alphabetic())
            && text.nfd().all(|c| {
                c.is_ascii() || matches!(c, '\u{0300}'..='\u{036F}' | '’') || plain_letter(c).is_some()
            });
        let script = match (latin, is_kana(text)) {
            (true, _) => Script::Latin,
            (false, true) => Script::Kana,
            (false, false) => Script::Written,
        };
        let mut name = Self { characters: Vec::with_capacity(text.len() / 3 + 1), words: vec![], script };
        if latin {
            for c in text.nfd() {
                match c {
                    '\u{0300}'..='\u{036F}' => folds.insert(Folds::COMBINING),
                    '\'' | '’' => folds.insert(Folds::HYPHEN),
                    '-' => {
                        folds.insert(Folds::HYPHEN);
                        name.divide();
                    }
                    _ => match plain_letter(c) {
                        Some(plain) => {
                            folds.insert(Folds::COMBINING);
                            name.characters.extend(plain.chars());
                        }
                        None => name.push(c, folds),
                    },
                }
            }
        } else {
            let text = text.strip_suffix('様').filter(|name| name.chars().count() > 2).unwrap_or(text);
            text.chars().for_each(|c| name.push(c, folds));
        }
        if name.words.last() == Some(&name.characters.len()) {
            name.words.pop();
        }
        name
    }

    fn push(&mut self, c: char, folds: &mut Folds) {
        match c {
            ' ' | '・' | ',' | '.' | '=' => self.divide(),
            '々' | '〻' => {
                folds.insert(Folds::ITERATION);
                self.characters.extend(self.characters.last().copied());
            }
            // A circle in the place of a character is often typed as the numeral zero.
            '〇' => self.characters.push(REPLACED),
            'ヶ' => self.characters.push('ケ'),
            'ヽ' | 'ゝ' => {
                folds.insert(Folds::ITERATION);
                self.characters.extend(self.characters.last().copied());
            }
            'ヾ' | 'ゞ' => {
                folds.insert(Folds::ITERATION);
                self.characters.extend(self.characters.last().map(|c| voiced(*c)));
            }
            _ if self.script == Script::Kana && is_dash(c) => self.characters.push('ー'),
            'a'..='z' => {
                folds.insert(Folds::CASE);
                self.characters.push(c.to_ascii_uppercase());
            }
            _ => self.characters.push(c),
        }
    }

    fn divide(&mut self) {
        if !self.characters.is_empty() && self.words.last() != Some(&self.characters.len()) {
            self.words.push(self.characters.len());
        }
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for (at, c) in self.characters.iter().enumerate() {
            if self.words.contains(&at) {
                text.push(' ');
            }
            text.push(*c);
        }
        text
    }

    /// The words, sorted: for names whose order means nothing.
    pub(crate) fn sorted_words(&self) -> Vec<&[char]> {
        let starts = [0].into_iter().chain(self.words.iter().copied());
        let ends = self.words.iter().copied().chain([self.characters.len()]);
        let mut words: Vec<_> = starts.zip(ends).map(|(start, end)| &self.characters[start..end]).collect();
        words.sort_unstable();
        words
    }

    /// What follows the first word, when there are two words or more.
    pub(crate) fn given(&self) -> Option<&[char]> {
        self.words.first().map(|start| &self.characters[*start..])
    }
}

/// The capitals for a Latin letter that is no letter with a mark, as passports write them.
fn plain_letter(c: char) -> Option<&'static str> {
    Some(match c {
        'Đ' | 'đ' | 'Ð' | 'ð' => "D",
        'Ø' | 'ø' => "O",
        'Ł' | 'ł' => "L",
        'Ħ' | 'ħ' => "H",
        'ı' => "I",
        'ß' | 'ẞ' => "SS",
        'Æ' | 'æ' => "AE",
        'Œ' | 'œ' => "OE",
        'Þ' | 'þ' => "TH",
        _ => return None,
    })
}

const BRACKETS: [char; 7] = ['(', '[', '〔', '【', '「', '<', '〈'];

/// No register writes more names beside a name; it keeps the time linear.
const MOST_BRACKETS: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        NameForm::new(text).names.remove(0)
    }

    fn characters(text: &str) -> String {
        name(text).characters.iter().collect()
    }

    #[test]
    fn spaces_divide_and_marks_are_written_out() {
        assert_eq!(characters("佐々木 花子"), "佐佐木花子");
        assert_eq!(name("佐々木 花子").given(), Some(['花', '子'].as_slice()));
        assert_eq!(name("佐々木花子").given(), None);
        assert_eq!(characters("José O'Brien-Smith"), "JOSEOBRIENSMITH");
        assert_eq!(characters("いすゞ みゝ"), "いすずみみ");
    }

    #[test]
    fn brackets_hold_names_recorded_beside() {
        assert_eq!(NameForm::new("佐藤［旧氏：鈴木］花子").text(), "佐藤花子 / 鈴木 / 鈴木 花子");
    }

    #[test]
    fn bytes_give_the_form_back() {
        for text in ["", "佐々木 花子", "佐藤［鈴木］花子", "NGUYEN Van", "ﾅｶﾞﾀ", &"一".repeat(2000)]
        {
            let form = NameForm::with_replaced(text, "01");
            assert!(NameForm::from_bytes(&form.to_bytes()) == Ok(form), "{text}");
        }
        assert_eq!(NameForm::from_bytes(b"nonsense"), Err(FormError));
    }

    #[test]
    fn debug_shows_nothing_of_a_person() {
        assert_eq!(format!("{:?}", NameForm::new("佐藤")), "NameForm { .. }");
    }
}
