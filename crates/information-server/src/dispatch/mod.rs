//! Sends deliveries: one dispatcher for each carrier, dialogues before distributions, distributions in turn.
//!
//! The claim starts attempts (and asks the gate); then the message leaves; then the outcome is recorded. A crash in between
//! leaves an attempt whose outcome is unknown, and the same message goes again when its lease ends: at least one attempt, at
//! most one visible copy. Surprising: a refusal to go faster isn't a failure, and doesn't count as one.

mod pace;

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures::{StreamExt as _, stream};
use jiff::{SignedDuration, Timestamp};
use musubi_domain::{
    Error, ErrorKind,
    backoff::full_jitter,
    content::Content,
    delivery::{Purpose, Signal},
    id::{CarrierId, OfficialAccountId},
};
use musubi_runtime::{Clock, Shutdown, entropy};
use musubi_storage::{
    StoreError,
    information::{
        InformationStore,
        delivery::{Attempt, AttemptOutcome, AttemptResult, Claim, Source},
        expansion::Running,
    },
};
use tracing::{error, warn};

use self::pace::Paces;
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
/// How many batches are on their way to one carrier at once.
const BATCHES_UNDER_WAY: usize = 2;
/// How often to look without a signal.
const LOOK_EVERY: Duration = Duration::from_millis(500);
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
        let mut paces = Paces::default();
        let mut looks = 0_u32;
        while !token.is_cancelled() {
            match self.send_due(&mut paces).await {
                Ok(true) => continue,
                Ok(false) => {}
                Err(error) => {
                    warn!(carrier = %self.gateway.carrier(), %error, "deliveries could not be sent")
                }
            }
            looks = looks.wrapping_add(1);
            if looks.is_multiple_of(LOOKS_BETWEEN_SWEEPS) {
                self.sweep().await;
            }
            tokio::select! {
                () = token.cancelled() => {}
                () = due.wait(paces.wait(self.clock.now()).unwrap_or(LOOK_EVERY).min(LOOK_EVERY)) => {}
            }
        }
        Ok(())
    }

    /// One round: dialogues as long as any are due, then a batch of each running distribution. Gives whether more may be due.
    async fn send_due(&self, paces: &mut Paces) -> Result<bool, Error> {
        let mut more = false;
        for _ in 0..BATCHES_UNDER_WAY {
            let sent = self.send_batches(vec![(Source::Dialogues, BATCH)]).await?;
            more |= sent;
            if !sent {
                break;
            }
        }
        let now = self.clock.now();
        let running = self.store.running(now).await?;
        let allowed: Vec<(Source, u32)> = running
            .iter()
            .filter(|distribution| self.is_open(distribution))
            .map(|distribution| {
                let allowance = paces.allow(distribution.id, distribution.messages_per_second, BATCH, now);
                (Source::Distribution(distribution.id), allowance)
            })
            .filter(|(_, allowance)| *allowance > 0)
            .collect();
        paces.forget_all_but(running.iter().map(|distribution| distribution.id));
        more |= self.send_batches(allowed).await?;
        more |= self.revoke_cancelled().await?;
        Ok(more)
    }

    fn is_open(&self, distribution: &Running) -> bool {
        self.directory
            .account(&distribution.account)
            .is_some_and(|account| account.carriers.contains(self.gateway.carrier()))
    }

    /// Sends one batch of each source, some at once. Gives whether any was full.
    async fn send_batches(&self, sources: Vec<(Source, u32)>) -> Result<bool, Error> {
        let sent: Vec<Result<bool, Error>> = stream::iter(sources)
            .map(|(source, limit)| self.send_batch(source, limit))
            .buffer_unordered(BATCHES_UNDER_WAY)
            .collect()
            .await;
        sent.into_iter().try_fold(false, |any, sent| sent.map(|full| any || full))
    }

    async fn send_batch(&self, source: Source, limit: u32) -> Result<bool, Error> {
        let now = self.clock.now();
        let claim = Claim {
            carrier: self.gateway.carrier().clone(),
            source,
            limit,
            now,
            lease_end: now.checked_add(self.lease).unwrap_or(Timestamp::MAX),
            attempts_limit: ATTEMPTS,
        };
        let claimed = self.store.claim(&claim).await?;
        if claimed.seen == 0 {
            return Ok(false);
        }
        let mut accounts: HashMap<OfficialAccountId, Vec<Attempt>> = HashMap::new();
        for attempt in claimed.attempts {
            accounts.entry(attempt.key.account.clone()).or_default().push(attempt);
        }
        let mut results = Vec::new();
        for (account, attempts) in accounts {
            self.send_attempts(&account, source, attempts, &mut results).await;
        }
        self.store.record(&results, self.clock.now()).await?;
        if matches!(source, Source::Distribution(_)) {
            self.signals.distributions.raise();
        }
        Ok(claimed.seen == limit)
    }

    async fn send_attempts(
        &self,
        account: &OfficialAccountId,
        source: Source,
        attempts: Vec<Attempt>,
        results: &mut Vec<AttemptResult>,
    ) {
        let mut sent = Vec::with_capacity(attempts.len());
        let mut messages = Vec::with_capacity(attempts.len());
        for attempt in attempts {
            match self.content(source, &attempt).await {
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
            return;
        }
        let answer = self.gateway.send(account, messages).await;
        let now = self.clock.now();
        match answer {
            Ok(verdicts) => results.extend(sent.into_iter().zip(verdicts).map(|(attempt, verdict)| {
                let outcome = match verdict {
                    Verdict::Accepted => AttemptOutcome::Known(Signal::Accepted),
                    Verdict::Refused => AttemptOutcome::Known(Signal::Rejected),
                    Verdict::Throttled(wait) => AttemptOutcome::Throttled(later(now, wait)),
                };
                result(attempt, outcome)
            })),
            Err(failed) => {
                warn!(carrier = %self.gateway.carrier(), error = %failed, "a batch has no known outcome");
                results.extend(sent.into_iter().map(|attempt| {
                    let due = retry_time(now, attempt.attempt);
                    let outcome = if failed.kind == ErrorKind::ResourceExhausted {
                        AttemptOutcome::Throttled(due)
                    } else {
                        AttemptOutcome::Unknown(due)
                    };
                    result(attempt, outcome)
                }));
            }
        }
    }

    async fn content(&self, source: Source, attempt: &Attempt) -> Result<Content, Error> {
        if let Source::Distribution(id) = source {
            return self.renderer.content(id, attempt.purpose, &attempt.values).await;
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
        let taken_back =
            if ids.is_empty() { Vec::new() } else { self.gateway.revoke(&asked.account, &ids).await? };
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
