//! Comparison levels, one module for each field.
//!
//! Each takes two raw texts and gives [`Compared`]: equal, worth a person's look, or different, with reasons. All are
//! symmetric. What is missing on one side is neutral; what contradicts is different.
//!
//! Nothing here measures similarity: no edit distance, no score.

mod address;
mod birth_date;
mod kana;
pub(crate) mod name;

pub use address::compare_addresses;
pub use birth_date::compare_birth_dates;
pub use kana::compare_kana;
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

impl Compared {
    pub(crate) fn new(comparison: Comparison, reasons: impl IntoIterator<Item = Reason>) -> Self {
        let mut reasons: Vec<_> = reasons.into_iter().collect();
        reasons.sort_unstable();
        reasons.dedup();
        Self { comparison, reasons }
    }
}
