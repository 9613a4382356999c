//! All answers against the whole master, keys ready, on all cores; beside the join alone.

use std::path::Path;

use musubi_domain::Error;
use musubi_matching::{AccountText, Policy, PreparedIdentity, PreparedRecord, decide_prepared};

use super::{Answer, Bench, duckdb};
use crate::{
    bench::matching::join::{Asked, Number, number, on_all_cores},
    bench::table::{Measure, fastest, rate},
};

/// Passes.
const PASSES: usize = 3;

/// The measures, and what is to be said of the peer that isn't here.
pub(super) fn measure(
    bench: &Bench,
    duckdb: Option<&Path>,
    folder: &Path,
) -> Result<(Vec<Measure>, Option<String>), Error> {
    let Bench { master, answers, .. } = bench;
    let numbers: Vec<Number> =
        answers.iter().map(|answer| number(&answer.account.account_number).unwrap_or(Number::MAX)).collect();
    let ready = prepared(answers);
    let mut pairs = 0;
    let joining = fastest(PASSES, || pairs = Asked::new(numbers.clone()).join(&master.numbers).pairs());
    let decide = |ready: &[(AccountText, PreparedIdentity)]| {
        Asked::new(numbers.clone()).join(&master.numbers).decide(|answer, rows| {
            let candidates: Vec<PreparedRecord> =
                rows.iter().filter_map(|row| master.record(*row as usize)).collect();
            let (account, identity) = &ready[answer];
            let decision = decide_prepared(&candidates, account, identity, &Policy::default());
            let customer = decision.customer_id?;
            let row = candidates.iter().position(|candidate| candidate.customer_id == customer)?;
            Some((decision.outcome, rows[row]))
        })
    };
    let deciding = fastest(PASSES, || drop(decide(&ready)));
    let whole = fastest(PASSES, || drop(decide(&prepared(answers))));
    let [joined, decided, whole] = [joining, deciding, whole].map(|took| rate(answers.len(), took));
    const BULK: &str = "in bulk, joined and decided";
    let mut measures = vec![
        Measure::new((BULK, decided), ("our hash join alone", joined)),
        Measure::new(("in bulk, normalised, joined and decided", whole), ("our hash join alone", joined)),
    ];
    let asked = numbers.iter().copied().zip(ready.iter().map(|(_, identity)| identity));
    let note = match duckdb::join(duckdb, folder, master, asked)? {
        Some(theirs) if theirs.pairs == pairs => {
            for (peer, took) in [("DuckDB's join of keys", theirs.keys), ("DuckDB's join of ids", theirs.ids)]
            {
                measures.push(Measure::new((BULK, decided), (peer, rate(answers.len(), took))));
            }
            None
        }
        Some(theirs) => {
            Some(format!("DuckDB joined {} pairs, and we {pairs}: not the same work", theirs.pairs))
        }
        None => Some(duckdb::MISSING.to_owned()),
    };
    Ok((measures, note))
}

/// The answers, ready to be compared.
fn prepared(answers: &[Answer]) -> Vec<(AccountText, PreparedIdentity)> {
    let parts = on_all_cores(answers.len(), |part| answers[part].iter().map(prepare).collect::<Vec<_>>());
    parts.into_iter().flatten().collect()
}

fn prepare(Answer { account, identity, confirmed: _ }: &Answer) -> (AccountText, PreparedIdentity) {
    (account.into(), PreparedIdentity::new(&identity.into()))
}
