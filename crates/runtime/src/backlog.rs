//! A backlog, worked off in the background: batch after batch until none is left, then never again in this process.
//!
//! What a batch is, and that one which was cut short does no harm, is the caller's care. Surprising: a batch that fails ends
//! nothing; the work is late then, and whoever needs its result does without.

use std::{convert::Infallible, fmt::Display, time::Duration};

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{entropy, grpc::retry::Backoff};

/// One line of progress for so many batches.
const TELL_EVERY: u32 = 100;

/// Calls `batch`, which gives how much it did, until it did nothing or `stop` is cancelled. `what` stands in the log.
///
/// # Errors
/// Never; what fails is tried again.
pub async fn work_off<E: Display, F: Future<Output = Result<u32, E>>>(
    what: &'static str,
    stop: CancellationToken,
    mut batch: impl FnMut() -> F,
) -> Result<(), Infallible> {
    let (mut done, mut batches, mut failures) = (0_u64, 0_u32, 0_u32);
    while !stop.is_cancelled() {
        match batch().await {
            Ok(0) => {
                if done > 0 {
                    info!(done, "{what}: all is done");
                }
                return Ok(());
            }
            Ok(more) => {
                failures = 0;
                done += u64::from(more);
                batches = batches.wrapping_add(1);
                if batches.is_multiple_of(TELL_EVERY) {
                    info!(done, "{what}: goes on");
                }
                // Whoever waits for the store or for this thread comes first.
                tokio::task::yield_now().await;
            }
            Err(error) => {
                failures += 1;
                let wait = Backoff::default().wait(failures, entropy::number());
                warn!(done, %error, "{what}: a batch failed; again in {wait:?}");
                stop.run_until_cancelled(tokio::time::sleep(wait)).await;
            }
        }
    }
    info!(done, "{what}: goes on after the next start");
    Ok(())
}

/// Looks after something for as long as the process runs: calls `tend` every so often, and whenever that says that there is work,
/// `batch` as [`work_off`] does. `what` stands in the log.
///
/// # Errors
/// Never; what fails is tried again.
pub async fn look_after<E: Display, T, B>(
    what: &'static str,
    every: Duration,
    stop: CancellationToken,
    mut tend: impl FnMut() -> T,
    mut batch: impl FnMut() -> B,
) -> Result<(), Infallible>
where
    T: Future<Output = Result<bool, E>>,
    B: Future<Output = Result<u32, E>>,
{
    let mut failed = false;
    while stop.run_until_cancelled(tokio::time::sleep(every)).await.is_some() {
        match tend().await {
            Ok(true) => work_off(what, stop.clone(), &mut batch).await?,
            Ok(false) => {}
            // Once, or a database that is away would fill the log.
            Err(error) if !failed => {
                warn!(%error, "{what}: could not be looked after; again every {every:?}");
                failed = true;
                continue;
            }
            Err(_) => continue,
        }
        failed = false;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the batches did in all when it ended.
    async fn worked(stop: &CancellationToken, outcomes: &[Result<u32, &str>]) -> Vec<Result<u32, String>> {
        let mut left = outcomes.iter();
        let mut seen = Vec::new();
        let ended = work_off("test", stop.clone(), || {
            let outcome = left.next().copied().unwrap_or(Ok(9)).map_err(str::to_owned);
            seen.push(outcome.clone());
            if seen.len() == 5 {
                stop.cancel();
            }
            std::future::ready(outcome)
        });
        let Ok(()) = ended.await;
        seen
    }

    #[tokio::test]
    async fn batches_go_on_after_a_failure_and_end_with_the_first_that_did_nothing() {
        let stop = CancellationToken::new();
        let seen = worked(&stop, &[Ok(3), Err("locked"), Ok(1), Ok(0)]).await;
        assert_eq!(seen, [Ok(3), Err("locked".to_owned()), Ok(1), Ok(0)]);
        assert!(!stop.is_cancelled());
    }

    #[tokio::test]
    async fn a_stop_ends_it_between_two_batches() {
        assert_eq!(worked(&CancellationToken::new(), &[]).await.len(), 5);
        let stopped = CancellationToken::new();
        stopped.cancel();
        assert_eq!(worked(&stopped, &[]).await, []);
    }

    #[tokio::test]
    async fn what_is_looked_after_is_worked_off_whenever_there_is_work() {
        let stop = CancellationToken::new();
        let (mut tended, mut batches) = (0, 0);
        let tend = || {
            tended += 1;
            if tended == 4 {
                stop.cancel();
            }
            std::future::ready(if tended == 2 { Err("locked") } else { Ok(tended % 2 == 1) })
        };
        let batch = || {
            batches += 1;
            std::future::ready(Ok(batches % 2))
        };
        let Ok(()) = look_after("test", Duration::from_millis(1), stop.clone(), tend, batch).await;
        assert_eq!((tended, batches), (4, 4));
    }
}
