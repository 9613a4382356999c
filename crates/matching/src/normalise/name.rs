//! A name as words of characters.
//!
//! The surprising thing: a space may stand between family and given name or may not, and is trusted only where it
//! stands; 永田栄治 and 永田 栄治 are one name, 森 永太 and 森永 太 may be two.

use unicode_normalization::UnicodeNormalization;

use super::characters::clean;
use super::kana::is_kana;

/// A name in its normal form.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Name {
    /// The characters of all words in a row, 々 written out, Latin letters in capitals without accents.
    pub(crate) characters: Vec<char>,
    /// Where the words begin in `characters`, the first at 0.
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

impl Name {
    /// The name outside brackets, and one more for each bracket whose content replaces the family name (旧氏) or the
    /// whole name (通称).
    pub(crate) fn parse_recorded(text: &str) -> Vec<Self> {
        let (mut outside, mut beside, mut open) = (String::new(), vec![], false);
        for c in clean(text).chars() {
            match c {
                '(' | '[' | '〔' | '【' | '「' | '<' | '〈' if !open && beside.len() < MOST_BRACKETS => {
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
        let mut names = vec![Self::parse(&outside)];
        for (at, inside) in beside {
            let inside = ["旧氏", "旧姓", "通称", ":"]
                .iter()
                .fold(inside.as_str(), |s, label| s.trim_start_matches(label));
            names.push(Self::parse(inside));
            names.push(Self::parse(&format!("{inside} {}", &outside[at..])));
        }
        names.retain(|name| !name.characters.is_empty());
        names
    }

    fn parse(text: &str) -> Self {
        let latin = text.chars().any(|c| c.is_ascii_alphabetic())
            && text.nfd().all(|c| c.is_ascii() || matches!(c, '\u{0300}'..='\u{036F}' | '’'));
        let script = match (latin, is_kana(text)) {
            (true, _) => Script::Latin,
            (false, true) => Script::Kana,
            (false, false) => Script::Written,
        };
        let (mut characters, mut words): (Vec<char>, _) = (vec![], vec![0]);
        let accents = |c: &char| !(latin && matches!(c, '\u{0300}'..='\u{036F}' | '\'' | '’'));
        let plain: String = if latin { text.nfd().filter(accents).collect() } else { text.to_owned() };
        for c in plain.chars() {
            match c {
                ' ' | '・' | ',' | '.' | '=' => words.push(characters.len()),
                '-' if latin => words.push(characters.len()),
                '々' | '〻' => characters.extend(characters.last().copied()),
                'ヶ' => characters.push('ケ'),
                _ => characters.push(c.to_ascii_uppercase()),
            }
        }
        words.dedup();
        if words.len() > 1 && words.last() == Some(&characters.len()) {
            words.pop();
        }
        Self { characters, words, script }
    }

    /// The words, sorted: for names whose order means nothing.
    pub(crate) fn sorted_words(&self) -> Vec<&[char]> {
        let ends = self.words.iter().skip(1).copied().chain([self.characters.len()]);
        let mut words: Vec<_> =
            self.words.iter().zip(ends).map(|(start, end)| &self.characters[*start..end]).collect();
        words.sort_unstable();
        words
    }

    /// What follows the first word, when there are two words or more.
    pub(crate) fn given(&self) -> Option<&[char]> {
        self.words.get(1).map(|start| &self.characters[*start..])
    }
}

/// No register writes more names beside a name; it keeps the time linear.
const MOST_BRACKETS: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;

    fn characters(text: &str) -> String {
        Name::parse(text).characters.iter().collect()
    }

    #[test]
    fn spaces_divide_and_marks_are_written_out() {
        let name = Name::parse("佐々木 花子");
        assert_eq!(name.characters.iter().collect::<String>(), "佐佐木花子");
        assert_eq!(name.given(), Some(['花', '子'].as_slice()));
        assert_eq!(Name::parse("佐々木花子").given(), None);
        assert_eq!(characters("José O'Brien-Smith"), "JOSEOBRIENSMITH");
    }

    #[test]
    fn brackets_hold_names_recorded_beside() {
        let names: Vec<String> = Name::parse_recorded("佐藤［旧氏：鈴木］花子")
            .iter()
            .map(|n| n.characters.iter().collect())
            .collect();
        assert_eq!(names, ["佐藤花子", "鈴木", "鈴木花子"]);
    }
}
