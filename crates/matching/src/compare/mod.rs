//! Comparison levels, one module for each field.
//!
//! Each takes two raw texts, or two forms made of them once, and gives [`Compared`]: equal, worth a person's look, or different, with reasons. All are
//! symmetric. What is missing on one side is neutral; what contradicts is different.
//!
//! Nothing here measures similarity: no edit distance, no score.

mod account;
mod address;
mod birth_date;
mod kana;
mod latin;
pub(crate) mod name;

use crate::normalise::folds::{Folds, Trace};
pub use account::compare_accounts;
pub use address::compare_addresses;
pub(crate) use address::{shortened, street_key};
pub use birth_date::{compare_birth_dates, compare_days};
pub use kana::compare_kana;
pub(crate) use kana::{bank_kana, spelt};
pub use name::compare_names;

use crate::Reason;

/// What two values of one field are to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Comparison {
    /// The same, or the same but for spelling.
    Equal,
    /// Not equal, and not certainly different: for a person to judge.
    Review,
    /// Different.
    Different,
}

/// A comparison with its reasons, in the order of [`Reason`] and each once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compared {
    /// The outcome.
    pub comparison: Comparison,
    /// What was folded and what differs; at least one.
    pub reasons: Vec<Reason>,
}

/// A fold with the reason that it is for names, readings and addresses.
const FOLD_REASONS: [(Folds, [Option<Reason>; 3]); 12] = [
    (Folds::WIDTH, [Some(Reason::NameWidth), Some(Reason::KanaWidth), Some(Reason::AddressWidth)]),
    (Folds::SPACE, [Some(Reason::NameSpace), Some(Reason::KanaSpace), Some(Reason::AddressSpace)]),
    (
        Folds::SELECTOR,
        [Some(Reason::NameSelector), Some(Reason::KanaSelector), Some(Reason::AddressSelector)],
    ),
    (
        Folds::COMPATIBILITY,
        [
            Some(Reason::NameCompatibility),
            Some(Reason::KanaCompatibility),
            Some(Reason::AddressCompatibility),
        ],
    ),
    (
        Folds::COMBINING,
        [Some(Reason::NameCombining), Some(Reason::KanaCombining), Some(Reason::AddressCombining)],
    ),
    (Folds::CASE, [Some(Reason::NameCase), None, Some(Reason::AddressCase)]),
    (Folds::ITERATION, [Some(Reason::NameIteration), Some(Reason::KanaIteration), None]),
    (Folds::HIRAGANA, [None, Some(Reason::KanaHiragana), Some(Reason::AddressCase)]),
    (Folds::HYPHEN, [Some(Reason::NamePunctuation), None, Some(Reason::AddressHyphen)]),
    (Folds::NUMERAL, [None, None, Some(Reason::AddressNumeral)]),
    (Folds::COUNTER, [None, None, Some(Reason::AddressCounter)]),
    (Folds::AZA, [None, None, Some(Reason::AddressAzaMark)]),
];

/// Which of the reasons of a fold a field has.
#[derive(Clone, Copy)]
pub(crate) enum Field {
    Name = 0,
    Kana = 1,
    Address = 2,
}

fn fold_reasons(field: Field, folds: Folds) -> impl Iterator<Item = Reason> {
    let those = FOLD_REASONS.iter().filter(move |(fold, _)| folds.contains(*fold));
    those.filter_map(move |(_, reasons)| reasons[field as usize])
}

impl Compared {
    /// Equal, for these reasons and the folds that one side alone needed; without any, for those that both needed; and
    /// without those the same.
    pub(crate) fn equal(
        field: Field,
        (left, right): (Trace, Trace),
        others: impl IntoIterator<Item = Reason>,
    ) -> Self {
        let one_side = fold_reasons(field, left.of_one_side(right));
        let mut compared = Self::new(Comparison::Equal, one_side.chain(others));
        if compared.reasons.is_empty() {
            compared.reasons.extend(fold_reasons(field, left.of_any_side(right)));
        }
        if compared.reasons.is_empty() {
            compared.reasons.push(match field {
                Field::Name => Reason::NameIdentical,
                Field::Kana => Reason::KanaIdentical,
                Field::Address => Reason::AddressIdentical,
            });
        }
        compared
    }

    pub(crate) fn new(comparison: Comparison, reasons: impl IntoIterator<Item = Reason>) -> Self {
        let mut reasons: Vec<_> = reasons.into_iter().collect();
        reasons.sort_unstable();
        reasons.dedup();
        Self { comparison, reasons }
    }
}
