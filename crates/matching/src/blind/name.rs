//! Names and readings as digests.
//!
//! Surprising: a digest of a name forgets where its words are divided, and another tells it, because a name without a space agrees with
//! either.

use musubi_domain::blind::{Digest, RowKey};

use super::{
    NOTHING,
    spelling::{self, Spelt},
};
use crate::{
    Compared, Comparison, KanaForm, NameForm, Reason,
    compare::{bank_kana, spelt},
    normalise::{
        kana::enlarged,
        name::{Name, Script},
    },
};

/// What is held of a name.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct NameDigests {
    /// Whether there is no name but one in kana.
    pub(crate) only_kana: bool,
    /// None when there is no name; of one that can't be compared, what nothing is equal to.
    pub(super) written: Option<Digest>,
    /// Where its words are divided; none when it doesn't show.
    pub(super) divided: Option<Digest>,
}

/// What is held of a reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reading {
    /// Kana by kana.
    pub(super) exact: Digest,
    /// As banks write it, and whether it may be a bank's.
    pub(super) bank: Digest,
    /// Without long marks and old spellings.
    pub(super) spelt: Digest,
    /// With its long vowels as they are.
    pub(super) lengthened: Digest,
}

/// What is held of a reading, if there is one.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct KanaDigests(pub(super) Option<Reading>);

fn text(chars: &[char]) -> String {
    chars.iter().collect()
}

impl Name {
    /// As it is digested. Latin words stand in any order.
    fn folded(&self) -> Vec<char> {
        match self.script {
            Script::Latin => self.sorted_words().join(&' '),
            Script::Kana | Script::Written => self.characters.iter().map(|c| spelling::of_name(*c)).collect(),
        }
    }

    fn kind(&self) -> &'static str {
        match self.script {
            Script::Latin => "latin name",
            Script::Kana => "kana name",
            Script::Written => "name",
        }
    }

    /// Where the words are divided; of Latin names the words themselves tell.
    fn division(&self, key: &RowKey) -> Option<Digest> {
        let divided = self.script != Script::Latin && !self.words.is_empty();
        divided.then(|| key.digest("division", &[format!("{:?}", self.words).as_bytes()]))
    }

    /// Whether two of its words, joined, are the same in either order: then another order of words may be another division.
    fn words_commute(&self) -> bool {
        let words = self.sorted_words();
        let commute = |(at, one): (usize, &&[char])| {
            words[at + 1..]
                .iter()
                .any(|other| one != other && [*one, *other].concat() == [*other, *one].concat())
        };
        self.script == Script::Latin && words.iter().enumerate().any(commute)
    }
}

impl NameForm {
    /// The digests of a row's name.
    pub(crate) fn digests(&self, key: &RowKey) -> NameDigests {
        let only_kana = self.is_empty() || self.is(Script::Kana);
        let Some(name) = self.first() else {
            return NameDigests { only_kana, written: (!self.is_empty()).then_some(NOTHING), divided: None };
        };
        let written = key.digest(name.kind(), &[text(&name.folded()).as_bytes()]);
        NameDigests { only_kana, written: Some(written), divided: name.division(key) }
    }
}

impl NameDigests {
    /// Compares an attested name with what is held.
    pub(super) fn compare(&self, attested: &NameForm, key: &RowKey) -> Compared {
        let review = |reason| Compared::new(Comparison::Review, [reason]);
        let (Some(name), Some(written)) = (attested.first(), self.written) else {
            let missing = attested.is_empty() || self.written.is_none();
            return review(if missing { Reason::NameMissing } else { Reason::NameUnequal });
        };
        if self.only_kana && name.script != Script::Kana {
            return review(Reason::NameOtherScript);
        }
        let (division, kind) = (name.division(key), name.kind());
        let same_words = division.is_none() || self.divided.is_none() || division == self.divided;
        if !same_words || name.words_commute() {
            return review(Reason::NameUnequal);
        }
        match spelling::find(&name.folded(), |name| key.digest(kind, &[name.as_bytes()]) == written) {
            Some(Spelt::AsWritten) => Compared::new(Comparison::Equal, [Reason::NameIdentical]),
            Some(Spelt::Otherwise) => Compared::new(Comparison::Equal, [Reason::NameOfficialForm]),
            None => review(Reason::NameUnequal),
        }
    }
}

fn lengthened_digest(kana: &str, key: &RowKey) -> Digest {
    key.digest("kana as lengthened", &[kana.as_bytes()])
}

impl KanaForm {
    fn exact_digest(&self, key: &RowKey) -> Digest {
        key.digest("kana", &[text(&self.kana).as_bytes()])
    }

    fn bank_digest(&self, key: &RowKey, bank: bool) -> Digest {
        let kana: String = self.kana.iter().map(|c| bank_kana(*c)).collect();
        key.digest("kana of banks", &[&[u8::from(bank)], kana.as_bytes()])
    }

    fn spelt_digest(&self, key: &RowKey) -> Digest {
        key.digest("kana as spelt", &[text(&spelt(&self.kana)).as_bytes()])
    }

    /// The digests of a row's reading.
    pub(crate) fn digests(&self, key: &RowKey) -> KanaDigests {
        KanaDigests(match (self.is_empty(), self.too_long) {
            (true, _) => None,
            (false, true) => {
                Some(Reading { exact: NOTHING, bank: NOTHING, spelt: NOTHING, lengthened: NOTHING })
            }
            (false, false) => Some(Reading {
                exact: self.exact_digest(key),
                bank: self.bank_digest(key, self.may_be_bank()),
                spelt: self.spelt_digest(key),
                lengthened: lengthened_digest(
                    &self.kana.iter().map(|c| enlarged(*c)).collect::<String>(),
                    key,
                ),
            }),
        })
    }
}

impl KanaDigests {
    /// Compares an attested reading with what is held.
    pub(super) fn compare(&self, attested: &KanaForm, key: &RowKey) -> Compared {
        if attested.too_long {
            return Compared::new(Comparison::Different, [Reason::KanaDifferent]);
        }
        let Some(reading) = self.0.as_ref().filter(|_| !attested.is_empty()) else {
            return Compared::new(Comparison::Review, [Reason::KanaMissing]);
        };
        let as_banks = |bank| attested.bank_digest(key, bank) == reading.bank;
        let lengthened = || {
            let same = |kana: &str| lengthened_digest(kana, key) == reading.lengthened;
            spelling::find_lengthened(&attested.kana, same).is_some()
        };
        let (comparison, reason) = if attested.exact_digest(key) == reading.exact {
            (Comparison::Equal, Reason::KanaIdentical)
        } else if as_banks(true) || (attested.may_be_bank() && as_banks(false)) {
            (Comparison::Equal, Reason::KanaBank)
        } else if attested.spelt_digest(key) == reading.spelt || lengthened() {
            (Comparison::Review, Reason::KanaLongVowel)
        } else {
            (Comparison::Review, Reason::KanaUnequal)
        };
        Compared::new(comparison, [reason])
    }
}
