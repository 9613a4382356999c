//! Counts how pairs were judged, by kind.

use std::collections::BTreeMap;

use musubi_matching::{Compared, Comparison};

/// Two texts, and what was done to one to get the other.
pub(crate) struct Pair {
    pub(crate) kind: &'static str,
    pub(crate) left: String,
    pub(crate) right: String,
}

/// Equal, review and different, by kind, with those that were missed.
#[derive(Default)]
pub(crate) struct Tally(pub(crate) BTreeMap<&'static str, Kind>);

#[derive(Default)]
pub(crate) struct Kind {
    pub(crate) judged: [usize; 3],
    pub(crate) missed: Vec<String>,
    pub(crate) equals: Vec<String>,
    /// The two texts, and whether they were judged equal.
    pub(crate) pairs: Vec<(String, String, bool)>,
}

impl Tally {
    pub(crate) fn add(&mut self, pair: &Pair, compared: Compared) {
        let kind = self.0.entry(pair.kind).or_default();
        kind.judged[compared.comparison as usize] += 1;
        let is_equal = compared.comparison == Comparison::Equal;
        kind.pairs.push((pair.left.clone(), pair.right.clone(), is_equal));
        if is_equal {
            kind.equals.push(format!("{} | {} | {:?}", pair.left, pair.right, compared.reasons));
        } else {
            kind.missed.push(format!("{} | {} | {:?}", pair.left, pair.right, compared.reasons));
        }
    }

    /// The table, as the test prints it.
    pub(crate) fn shown(&self) -> String {
        let row = |(name, kind): (&&str, &Kind)| {
            let [equal, review, different] = kind.judged;
            let all = equal + review + different;
            format!(
                "{name:<18}{all:>8}{:>9.2} %{review:>8}{different:>8}\n",
                100.0 * equal as f64 / all as f64
            )
        };
        self.0.iter().map(row).collect()
    }
}
