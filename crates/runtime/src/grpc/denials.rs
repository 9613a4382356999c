//! Calls that were refused at the door, counted until somebody writes them down.
//!
//! Surprising: an attacker chooses how often and what is called, so that calls are counted by who and what, and only so many of
//! these are told apart.

use std::{
    collections::BTreeMap,
    mem,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use musubi_domain::caller::Caller;

/// How many are told apart between two looks.
const MOST: usize = 256;

/// A kind of call that was refused.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Denial {
    /// Somebody who is known may not call this.
    NotAllowed {
        /// Who.
        caller: Caller,
        /// The method, when it is one of the node's; of others nothing is kept, because the caller wrote it.
        method: Option<&'static str>,
    },
    /// The certificate names nobody who is known, or a signature is nobody's.
    NotKnown {
        /// From where.
        address: Option<IpAddr>,
    },
    /// More than could be told apart.
    Others,
}

impl Denial {
    /// How an audit tells of so many of them: what was done, and what it was.
    #[must_use]
    pub fn told(&self, count: u64) -> (&'static str, String) {
        let (action, what) = match self {
            Self::NotAllowed { caller, method } => {
                ("denied", format!("{caller} {}", method.unwrap_or("a method that there isn't")))
            }
            Self::NotKnown { address } => {
                let from = address.map_or_else(|| "somewhere".to_owned(), |address| address.to_string());
                ("refused", format!("somebody who is not known, from {from}"))
            }
            Self::Others => ("refused", "others".to_owned()),
        };
        (action, format!("{what}, {count} times"))
    }
}

/// Counts of refused calls. Cheap to clone; clones count together.
#[derive(Clone, Debug, Default)]
pub struct Denials(Arc<Mutex<BTreeMap<Denial, u64>>>);

impl Denials {
    /// Counts one.
    pub fn count(&self, denial: Denial) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let denial =
            if counts.len() < MOST || counts.contains_key(&denial) { denial } else { Denial::Others };
        *counts.entry(denial).or_default() += 1;
    }

    /// What was counted since the last look.
    #[must_use]
    pub fn take(&self) -> BTreeMap<Denial, u64> {
        mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Counts what could not be written down once more.
    pub fn give_back(&self, counts: BTreeMap<Denial, u64>) {
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (denial, count) in counts {
            *now.entry(denial).or_default() += count;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_kinds_is_counted_as_one() {
        let denials = Denials::default();
        for last in 0..1_000_u32 {
            denials.count(Denial::NotKnown { address: Some(IpAddr::from(last.to_be_bytes())) });
        }
        let counts = denials.take();
        assert_eq!((counts.len(), counts.values().sum::<u64>()), (MOST + 1, 1_000));
        assert!(counts[&Denial::Others] > 700 && denials.take().is_empty());
        denials.give_back(counts);
        assert_eq!(denials.take().values().sum::<u64>(), 1_000);
    }
}
