//! Words that a person writes to be left alone, or to hear again, whatever else is going on in the talk room.
//!
//! Phones write them themselves when a person unsubscribes, in the language of the country (RBM: `STOP`, `BAJA`, `parar`). Surprising: only a
//! text that is the word alone counts, so that a sentence in which it stands is read as what it is.

use unicode_normalization::UnicodeNormalization as _;

/// What the word asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keyword {
    /// To get nothing more.
    Stop,
    /// To get messages again.
    Start,
}

const STOP: [&str; 14] = [
    "stop",
    "stopall",
    "unsubscribe",
    "cancel",
    "end",
    "quit",
    "baja",
    "parar",
    "arret",
    "停止",
    "配信停止",
    "受信停止",
    "配信を停止",
    "ストップ",
];
const START: [&str; 8] = ["start", "unstop", "alta", "demarrer", "comecar", "再開", "配信再開", "配信を再開"];

impl Keyword {
    /// Reads a text: wide and narrow letters, case, accents, spaces around it and marks behind it make no difference.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let bare = |c: char| c.is_whitespace() || "!.。！、｡".contains(c);
        let folded: String = text
            .nfkd()
            .filter(|c| !('\u{300}'..='\u{36f}').contains(c))
            .nfc()
            .flat_map(char::to_lowercase)
            .collect();
        let word = folded.trim_matches(bare);
        match word {
            _ if STOP.contains(&word) => Some(Self::Stop),
            _ if START.contains(&word) => Some(Self::Start),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_alone_counts_however_it_is_written() {
        let stop = Some(Keyword::Stop);
        let start = Some(Keyword::Start);
        for (text, read) in [
            ("STOP", stop),
            ("stop", stop),
            (" Stop. ", stop),
            ("ＳＴＯＰ", stop),
            ("ｽﾄｯﾌﾟ", stop),
            ("ストップ！", stop),
            ("配信停止", stop),
            ("停止。", stop),
            ("BAJA", stop),
            ("parar", stop),
            ("arrêt", stop),
            ("START", start),
            ("Démarrer", start),
            ("começar", start),
            ("配信再開", start),
            ("ALTA", start),
            ("stop it", None),
            ("停止しないで", None),
            ("バス停", None),
            ("1234567", None),
            ("", None),
            ("。", None),
        ] {
            assert_eq!(Keyword::read(text), read, "{text}");
        }
    }

    #[test]
    fn every_word_of_the_tables_is_read_as_itself() {
        for word in STOP {
            assert_eq!(Keyword::read(word), Some(Keyword::Stop), "{word}");
        }
        for word in START {
            assert_eq!(Keyword::read(word), Some(Keyword::Start), "{word}");
        }
    }
}
