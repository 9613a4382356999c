//! What a normal form forgot of its text, as a set.
//!
//! The surprising thing: a fold is a reason for a comparison when one side alone needed it, or when both did and the texts
//! still were not the same; so a form also keeps a print of its text.

use super::bytes::{FormError, Reader, put_number};

/// A set of folds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Folds(pub(crate) u16);

impl Folds {
    /// Full or half width.
    pub(crate) const WIDTH: Self = Self(1);
    /// White space of another kind or number.
    pub(crate) const SPACE: Self = Self(1 << 1);
    /// Variation selectors and invisible marks.
    pub(crate) const SELECTOR: Self = Self(1 << 2);
    /// Compatibility characters and radicals.
    pub(crate) const COMPATIBILITY: Self = Self(1 << 3);
    /// Voicing marks and accents that stood alone.
    pub(crate) const COMBINING: Self = Self(1 << 4);
    /// Small Latin letters.
    pub(crate) const CASE: Self = Self(1 << 5);
    /// 々 and its like.
    pub(crate) const ITERATION: Self = Self(1 << 6);
    /// Hiragana in a reading.
    pub(crate) const HIRAGANA: Self = Self(1 << 7);
    /// A hyphen by another character.
    pub(crate) const HYPHEN: Self = Self(1 << 8);
    /// A number in kanji.
    pub(crate) const NUMERAL: Self = Self(1 << 9);
    /// 丁目, 番地, 番, 号.
    pub(crate) const COUNTER: Self = Self(1 << 10);
    /// 大字 or 字.
    pub(crate) const AZA: Self = Self(1 << 11);

    pub(crate) fn insert(&mut self, other: Self) {
        self.0 |= other.0;
    }

    pub(crate) const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// What became of a text on the way to its form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Trace {
    folds: Folds,
    /// 32 bits of FNV-1a of the text: tells only whether two texts surely differ.
    print: u32,
}

impl Trace {
    pub(crate) fn new(text: &str, folds: Folds) -> Self {
        let print = text.bytes().fold(0x811C_9DC5_u32, |h, b| (h ^ u32::from(b)).wrapping_mul(0x0100_0193));
        Self { folds, print }
    }

    /// What one side alone needed.
    pub(crate) const fn of_one_side(self, other: Self) -> Folds {
        Folds(self.folds.0 ^ other.folds.0)
    }

    /// What any of the two needed, when the texts surely differ.
    pub(crate) const fn of_any_side(self, other: Self) -> Folds {
        Folds(if self.print == other.print { 0 } else { self.folds.0 | other.folds.0 })
    }

    pub(crate) fn put(self, out: &mut Vec<u8>) {
        put_number(out, u32::from(self.folds.0));
        put_number(out, self.print);
    }

    pub(crate) fn take(reader: &mut Reader<'_>) -> Result<Self, FormError> {
        let folds = Folds(u16::try_from(reader.number()?).map_err(|_| FormError)?);
        Ok(Self { folds, print: reader.number()? })
    }
}
