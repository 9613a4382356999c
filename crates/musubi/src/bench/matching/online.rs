//! Decisions as a company server gives them: rows read from its store by account number, then decided on.
//!
//! Surprising: the read is the peer. A decision can't cost less than the look-up that it needs, but it may add less than another.

use std::time::{Duration, Instant};

use musubi_domain::{Error, customer::MatchOutcome};
use musubi_matching::{Candidates, Policy};
use musubi_storage::company::CompanyStore;

use super::{Answer, BATCH};
use crate::bench::table::{Measure, rate};

/// Answers that are decided at most in one pass.
const ANSWERS: usize = 100_000;
/// Passes.
const PASSES: usize = 3;

pub(super) struct Online {
    pub(super) measures: Vec<Measure>,
    /// Confirmed, for review, rejected.
    pub(super) outcomes: [u64; 3],
}

/// Decisions by rows that were read, and with their reading, beside the reading.
pub(super) async fn measure(store: &dyn CompanyStore, answers: &[Answer]) -> Result<Online, Error> {
    let answers = &answers[..answers.len().min(ANSWERS)];
    let (mut reading, mut deciding) = (Duration::MAX, Duration::MAX);
    let mut outcomes = [0; 3];
    for _ in 0..PASSES {
        let (mut read, mut decided) = (Duration::ZERO, Duration::ZERO);
        outcomes = [0; 3];
        for batch in answers.chunks(BATCH) {
            let keys: Vec<&str> = batch.iter().map(|answer| answer.account.account_number.as_str()).collect();
            let begun = Instant::now();
            let found = store.find_by_account_keys(&keys).await?;
            read += begun.elapsed();
            let begun = Instant::now();
            let candidates: Candidates = found.customers.into_iter().collect();
            for (answer, key) in batch.iter().zip(keys) {
                let decision =
                    candidates.decide(Some(key), &answer.account, &answer.identity, &Policy::default())?;
                outcomes[match decision.outcome {
                    MatchOutcome::Confirmed => 0,
                    MatchOutcome::Review => 1,
                    MatchOutcome::Rejected => 2,
                }] += 1;
            }
            decided += begun.elapsed();
        }
        (reading, deciding) = (reading.min(read), deciding.min(decided));
    }
    let read = ("its rows read by index", rate(answers.len(), reading));
    let measures = vec![
        Measure::new(("online decisions, rows read before", rate(answers.len(), deciding)), read),
        Measure::new(("online decisions with their reads", rate(answers.len(), reading + deciding)), read),
    ];
    Ok(Online { measures, outcomes })
}
