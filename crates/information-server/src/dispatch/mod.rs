//! Sends deliveries: one dispatcher for each carrier, dialogues before distributions, all of a kind in turn.
//!
//! The claim starts attempts (and asks the gate); then the message leaves; then the outcome is recorded. A crash in between
//! leaves an attempt whose outcome is unknown, and the same message goes again when its lease ends: at least one attempt, at
//! most one visible copy. Surprising: a refusal to go faster isn't a failure, and doesn't count as one; and what the limits or
//! the breaker hold back is not claimed, so it costs no attempt.

mod allowance;
mod health;

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures::{StreamExt as _, stream};
use jiff::{SignedDuration, Timestamp};
use musubi_domain::{
    Error, ErrorKind,
    backoff::full_jitter,
    breaker::Permit,
    content::Content,
    delivery::{Purpose, Signal},
    id::{CarrierId, OfficialAccountId},
};
use musubi_runtime::{Clock, Shutdown, entropy};
use musubi_storage::{
    StoreError,
    information::{
        InformationStore,
        delivery::{Attempt, AttemptOutcome, AttemptResult, Claim, DueSource, Source},
    },
};
use tracing::{error, warn};

pub use self::{allowance::Allowance, health::Health};
use crate::{
    confirmation::verifier::Verifiers,
    directory::Directory,
    distributions::Renderer,
    gateway::{CarrierGateway, OutgoingMessage, Traffic, Verdict},
    request::messages::{RequestMessages, Step},
    signal::Signals,
};

/// How many deliveries one claim takes.
const BATCH: u32 = 1_000;
/// How many deliveries go to a carrier of which nobody knows whether it answers: each may lose an attempt.
const PROBE: u32 = 1;
/// How many batches are on their way to one carrier at once.
const BATCHES_UNDER_WAY: usize = 2;
/// How often to look without a signal.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How often to look at most while a limit holds something back, whatever is signalled, so that it isn't spent message by
/// message.
const LIMITED_LOOK_EVERY: Duration = Duration::from_millis(50);
/// How many attempts a delivery gets.
const ATTEMPTS: u32 = 20;
/// The waits between attempts.
const BACKOFF: (SignedDuration, SignedDuration) =
    (SignedDuration::from_millis(500), SignedDuration::from_mins(10));
/// How long after its expiry an accepted message without a receipt is given up.
const RECEIPT_GRACE: SignedDuration = SignedDuration::from_hours(1);
/// How many looks pass between two sweeps for such messages.
const LOOKS_BETWEEN_SWEEPS: u32 = 120;

/// Sends what is due over one carrier.
pub struct Dispatcher {
    /// The carrier.
    pub gateway: Arc<dyn CarrierGateway>,
    /// The server's store.
    pub store: Arc<dyn InformationStore>,
    /// Who is who.
    pub directory: Arc<Directory>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Wakes this.
    pub signals: Signals,
    /// How much may go.
    pub allowance: Allowance,
    /// Whether the carrier answers.
    pub health: Health,
    /// Makes the dialogue's contents.
    pub messages: RequestMessages,
    /// The carrier's verification links.
    pub verifiers: Arc<HashMap<CarrierId, Verifiers>>,
    /// Makes the distributions' contents.
    pub renderer: Arc<Renderer>,
    /// When an attempt is made again whose outcome was never recorded.
    pub lease: SignedDuration,
}

impl Dispatcher {
    /// Sends until the shutdown begins.
    ///
    /// # Errors
    /// Never; what fails is tried again.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), StoreError> {
        let token = shutdown.token();
        let mut due = self.signals.deliveries.listen();
        let mut looks = 0_u32;
        let mut round = 0_usize;
        while !token.is_cancelled() {
            round = round.wrapping_add(1);
            let wait = match self.send_due(round).await {
                Ok(Duration::ZERO) => continue,
                Ok(wait) => wait,
                Err(error) => {
                    warn!(carrier = %self.gateway.carrier(), %error, "deliveries could not be sent");
                    LOOK_EVERY
                }
            };
            looks = looks.wrapping_add(1);
            if looks.is_multiple_of(LOOKS_BETWEEN_SWEEPS) {
                self.sweep().await;
            }
            let unhurried = if wait < LOOK_EVERY { LIMITED_LOOK_EVERY } else { Duration::ZERO };
            let next_look = async {
                tokio::time::sleep(unhurried).await;
                due.wait(wait.min(LOOK_EVERY).saturating_sub(unhurried)).await;
            };
            tokio::select! {
                () = token.cancelled() => {}
                () = next_look => {}
            }
        }
        Ok(())
    }

    /// One round: a batch of each account's dialogues, then one of each running distribution; each round begins with another of
    /// them, so that whoever comes first doesn't get all that a limit lets through. Gives how long to wait for the next.
    pub(crate) async fn send_due(&self, round: usize) -> Result<Duration, Error> {
        let now = self.clock.now();
        let permit = self.health.permit(now);
        if let Permit::Nothing(wait) = permit {
            return Ok(wait.unsigned_abs());
        }
        let due = self.store.due(self.gateway.carrier(), BATCH, now).await?;
        let (mut dialogues, mut distributions): (Vec<_>, Vec<_>) = due
            .into_iter()
            .filter(|due| self.is_open(due))
            .partition(|due| matches!(due.source, Source::Dialogues(_)));
        for sources in [&mut dialogues, &mut distributions] {
            let first = round % sources.len().max(1);
            sources.rotate_left(first);
        }
        if permit == Permit::Probe {
            let probe = dialogues.into_iter().chain(distributions).take(1).collect();
            return self.send_batches(probe, PROBE).await;
        }
        let wait = self.send_batches(dialogues, BATCH).await?;
        let wait = wait.min(self.send_batches(distributions, BATCH).await?);
        Ok(if self.revoke_cancelled().await? { Duration::ZERO } else { wait })
    }

    /// Whether the carrier has the account. A dialogue's message was made for its carrier.
    fn is_open(&self, due: &DueSource) -> bool {
        match due.source {
            Source::Dialogues(_) => true,
            Source::Distribution(_) => self
                .directory
                .account(&due.account)
                .is_some_and(|account| account.carriers.contains(self.gateway.carrier())),
        }
    }

    /// Sends at most so many of each source, some at once. Gives how long to wait for the next.
    async fn send_batches(&self, sources: Vec<DueSource>, most: u32) -> Result<Duration, Error> {
        let sent: Vec<Result<Duration, Error>> = stream::iter(sources)
            .map(|due| self.send_batch(due, most))
            .buffer_unordered(BATCHES_UNDER_WAY)
            .collect()
            .await;
        sent.into_iter().try_fold(LOOK_EVERY, |least, wait| wait.map(|wait| least.min(wait)))
    }

    async fn send_batch(&self, due: DueSource, most: u32) -> Result<Duration, Error> {
        if let Permit::Nothing(wait) = self.health.permit(self.clock.now()) {
            return Ok(wait.unsigned_abs());
        }
        let wanted = due.count.min(most);
        let grant = self.allowance.take(&due, wanted).await;
        if grant.allowed == 0 {
            return Ok(grant.wait.max(LIMITED_LOOK_EVERY));
        }
        let now = self.clock.now();
        let claim = Claim {
            carrier: self.gateway.carrier().clone(),
            source: due.source.clone(),
            limit: grant.allowed,
            now,
            lease_end: later(now, self.lease),
            attempts_limit: ATTEMPTS,
        };
        let claimed = self.store.claim(&claim).await?;
        let results = self.send_attempts(&due, claimed.attempts).await;
        self.store.record(&results, self.clock.now()).await?;
        if matches!(due.source, Source::Distribution(_)) {
            self.signals.distributions.raise();
        }
        Ok(if grant.allowed < wanted {
            grant.wait.max(LIMITED_LOOK_EVERY)
        } else if claimed.seen == most {
            Duration::ZERO
        } else {
            LOOK_EVERY
        })
    }

    async fn send_attempts(&self, due: &DueSource, attempts: Vec<Attempt>) -> Vec<AttemptResult> {
        let mut results = Vec::with_capacity(attempts.len());
        let mut sent = Vec::with_capacity(attempts.len());
        let mut messages = Vec::with_capacity(attempts.len());
        for attempt in attempts {
            match self.content(&due.source, &attempt).await {
                Ok(content) => {
                    messages.push(OutgoingMessage {
                        message_id: attempt.message_id,
                        number: attempt.phone_number,
                        content,
                        traffic: traffic(attempt.purpose),
                        expire_time: attempt.expire_time,
                    });
                    sent.push(attempt);
                }
                Err(error) if error.kind == ErrorKind::Unavailable => {
                    let due = retry_time(self.clock.now(), attempt.attempt);
                    results.push(result(attempt, AttemptOutcome::Unknown(due)));
                }
                Err(error) => {
                    error!(message = %attempt.message_id, %error, "a message could not be made");
                    results.push(result(attempt, AttemptOutcome::Known(Signal::Rejected)));
                }
            }
        }
        if sent.is_empty() {
            return results;
        }
        let carrier = self.gateway.carrier();
        let answer = self.gateway.send(&due.account, messages).await;
        let now = self.clock.now();
        match answer {
            Ok(verdicts) => {
                self.health.answered(carrier);
                self.pause(&due.account, &verdicts).await;
                results.extend(sent.into_iter().zip(verdicts).map(|(attempt, verdict)| {
                    let outcome = match verdict {
                        Verdict::Accepted => AttemptOutcome::Known(Signal::Accepted),
                        Verdict::Refused => AttemptOutcome::Known(Signal::Rejected),
                        Verdict::Throttled(wait) => AttemptOutcome::Throttled(later(now, wait)),
                    };
                    result(attempt, outcome)
                }));
            }
            Err(failed) => {
                warn!(%carrier, error = %failed, "a batch has no known outcome");
                self.health.failed(carrier, failed.kind, now);
                results.extend(sent.into_iter().map(|attempt| {
                    let due = retry_time(now, attempt.attempt);
                    result(attempt, AttemptOutcome::Unknown(due))
                }));
            }
        }
        results
    }

    /// Pauses the account when the carrier throttled some of its messages.
    async fn pause(&self, account: &OfficialAccountId, verdicts: &[Verdict]) {
        let waits = verdicts.iter().filter_map(|verdict| match verdict {
            Verdict::Throttled(wait) => Some(*wait),
            Verdict::Accepted | Verdict::Refused => None,
        });
        if let Some(wait) = waits.max() {
            self.allowance.pause(account, wait.unsigned_abs()).await;
        }
    }

    async fn content(&self, source: &Source, attempt: &Attempt) -> Result<Content, Error> {
        if let Source::Distribution(id) = source {
            return self.renderer.content(*id, attempt.purpose, &attempt.values).await;
        }
        let lost = || Error::new(ErrorKind::Internal, "a dialogue's message without its dialogue", "");
        let (account, company) = self.directory.account_and_company(&attempt.key.account).ok_or_else(lost)?;
        let (dialogue, step) = attempt.dialogue.ok_or_else(lost)?;
        let verifiers = self.verifiers.get(self.gateway.carrier()).ok_or_else(lost)?;
        let step = Step { account, company, dialogue, step };
        self.messages.content(attempt.purpose, step, verifiers).ok_or_else(lost)
    }

    /// Takes back what cancelled distributions have under way. Gives whether there was any.
    async fn revoke_cancelled(&self) -> Result<bool, Error> {
        let now = self.clock.now();
        let Some(asked) = self.store.revocable(self.gateway.carrier(), BATCH, now).await? else {
            return Ok(false);
        };
        let ids: Vec<_> = asked.messages.iter().map(|message| message.message_id).collect();
        let answer =
            if ids.is_empty() { Ok(Vec::new()) } else { self.gateway.revoke(&asked.account, &ids).await };
        let taken_back = answer.inspect_err(|failed| {
            self.health.failed(self.gateway.carrier(), failed.kind, self.clock.now());
        })?;
        self.store.record_revoked(&asked, &taken_back, self.clock.now()).await?;
        Ok(true)
    }

    async fn sweep(&self) {
        let now = self.clock.now();
        let before = now.checked_sub(RECEIPT_GRACE).unwrap_or(Timestamp::MIN);
        while let Ok(expired) = self.store.expire_unconfirmed(before, BATCH, now).await {
            if expired < BATCH {
                break;
            }
        }
    }
}

fn later(now: Timestamp, wait: SignedDuration) -> Timestamp {
    now.checked_add(wait).unwrap_or(Timestamp::MAX)
}

fn retry_time(now: Timestamp, attempt: u32) -> Timestamp {
    let (base, cap) = BACKOFF;
    later(now, full_jitter(attempt, base, cap, entropy::number()))
}

fn result(attempt: Attempt, outcome: AttemptOutcome) -> AttemptResult {
    AttemptResult { key: attempt.key, message_id: attempt.message_id, attempt: attempt.attempt, outcome }
}

const fn traffic(purpose: Purpose) -> Traffic {
    match purpose {
        Purpose::Individual => Traffic::Transaction,
        Purpose::Uniform | Purpose::Undecided => Traffic::Promotion,
        Purpose::Question
        | Purpose::Account
        | Purpose::AccountAgain
        | Purpose::Identity
        | Purpose::Confirmed
        | Purpose::NotConfirmed
        | Purpose::ReviewRejected => Traffic::ServiceRequest,
    }
}

#[cfg(test)]
mod tests;
