//! Sends deliveries: one dispatcher for each carrier, dialogues before distributions, companies in turn.
//!
//! The claim starts attempts (and asks the gate); then the message leaves; then the outcome is recorded. A crash in between
//! leaves an attempt whose outcome is unknown, and the same message goes again when its lease ends: at least one attempt, at
//! most one visible copy. Surprising: a refusal to go faster isn't a failure of the message, nor is a carrier that doesn't answer,
//! and neither counts as one; and what the limits or the breaker hold back is not claimed, so it costs no attempt.

mod allowance;
mod health;
mod taken;
mod turns;

use std::{collections::HashMap, pin::pin, sync::Arc, time::Duration};

use futures::{StreamExt as _, stream, stream::FuturesUnordered};
use jiff::{SignedDuration, Timestamp};
use musubi_domain::{
    Error, ErrorKind,
    backoff::full_jitter,
    breaker::Permit,
    content::Content,
    delivery::{Purpose, Signal},
    id::{CarrierId, CompanyId, OfficialAccountId},
};
use musubi_runtime::{
    Clock, Shutdown, entropy,
    telemetry::{TARGET, metrics::STORE, story::begin},
};
use musubi_storage::{
    StoreError,
    ephemeral::Grant,
    information::{
        InformationStore,
        delivery::{Attempt, AttemptOutcome, AttemptResult, Claim, DueSource, Source},
    },
};
use tokio::time::{Instant, sleep_until};
use tokio_util::task::AbortOnDropHandle;
use tracing::{Instrument as _, Span, error, info_span, warn};

pub use self::{allowance::Allowance, health::Health, taken::Taken, turns::Turns};
use crate::{
    confirmation::verifier::Verifiers,
    directory::Directory,
    distributions::Renderer,
    gateway::{CarrierGateway, OutgoingMessage, Traffic, Verdict},
    metrics::{FAILURES, WAITS},
    request::messages::{RequestMessages, Step},
    signal::{Listener, Signals},
    telling,
};

/// How many deliveries one claim takes.
const BATCH: u32 = 1_000;
/// How many deliveries go to a carrier of which nobody knows whether it answers: each may lose an attempt.
const PROBE: u32 = 1;
/// How many batches of a round are on their way to one carrier at once, and how many of who comes meanwhile.
const BATCHES_UNDER_WAY: usize = 3;
/// How often to look without a signal.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How often to look at most while a limit holds something back, whatever is signalled, so that it isn't spent message by
/// message.
const LIMITED_LOOK_EVERY: Duration = Duration::from_millis(50);
/// How often to look at most for who comes during a round, whatever is signalled.
const LOOK_BESIDE_EVERY: Duration = Duration::from_millis(10);
/// How many attempts a delivery gets.
const ATTEMPTS: u32 = 20;
/// The waits between attempts.
const BACKOFF: (SignedDuration, SignedDuration) =
    (SignedDuration::from_millis(500), SignedDuration::from_mins(10));
/// The same while the carrier doesn't answer: the breaker spares it, and everything goes soon after it is back.
const UNANSWERED_BACKOFF: (SignedDuration, SignedDuration) =
    (SignedDuration::from_millis(500), SignedDuration::from_mins(1));
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
    /// Whose turn it is.
    pub turns: Turns,
    /// What the carrier has taken.
    pub taken: Taken,
    /// Makes the dialogue's contents.
    pub messages: RequestMessages,
    /// The carrier's verification links.
    pub verifiers: Arc<HashMap<CarrierId, Verifiers>>,
    /// Makes the distributions' contents.
    pub renderer: Arc<Renderer>,
    /// When an attempt is made again whose outcome was never recorded.
    pub lease: SignedDuration,
}

/// What became of sources' turns.
struct Sent {
    /// So many deliveries were claimed.
    claimed: u32,
    /// How long to wait for the next.
    wait: Duration,
}

impl Dispatcher {
    /// Sends until the shutdown begins.
    ///
    /// # Errors
    /// Never; what fails is tried again.
    pub async fn run(self: Arc<Self>, shutdown: Shutdown) -> Result<(), StoreError> {
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
        self.taken.log(self.gateway.carrier());
        Ok(())
    }

    /// One round: a batch of each account's dialogues, then some of running distributions, and one of each who comes meanwhile.
    /// Companies are served in turn. Gives how long to wait for the next round.
    pub(crate) async fn send_due(self: &Arc<Self>, round: usize) -> Result<Duration, Error> {
        let now = self.clock.now();
        let permit = self.health.permit(now);
        if let Permit::Nothing(wait) = permit {
            return Ok(wait.unsigned_abs());
        }
        let wait = match self.allowance.closed().await {
            Some(wait) => wait.max(LIMITED_LOOK_EVERY),
            None => self.send_in_turn(permit, round, now).await?,
        };
        let revoked = permit != Permit::Probe && self.revoke_cancelled().await?;
        Ok(if revoked { Duration::ZERO } else { wait })
    }

    async fn send_in_turn(
        self: &Arc<Self>,
        permit: Permit,
        round: usize,
        now: Timestamp,
    ) -> Result<Duration, Error> {
        let mut come = self.signals.deliveries.listen();
        let [dialogues, distributions] = self.due(round, now).await?;
        if permit == Permit::Probe {
            let probe = dialogues.into_iter().chain(distributions).take(1).collect();
            return Ok(self.send_batches(probe, PROBE).await?.wait);
        }
        let mut wait = self.send_batches(dialogues, BATCH).await?.wait;
        let mut distributions = distributions.into_iter();
        while distributions.len() > 0 {
            // Those that a limit of their own holds back take nobody's turn.
            let next: Vec<_> = distributions.by_ref().take(BATCHES_UNDER_WAY).collect();
            // A few of one: while a batch waits for the database another is on its way.
            let next = next.iter().cycle().take(BATCHES_UNDER_WAY).cloned().collect();
            let sent = self.send_round(next, round, &mut come).await?;
            wait = wait.min(sent.wait);
            if sent.claimed > 0 {
                if distributions.len() > 0 {
                    wait = Duration::ZERO;
                }
                break;
            }
            if self.allowance.closed().await.is_some() {
                break;
            }
        }
        Ok(wait)
    }

    /// Dialogues and distributions with something due, each with the companies in turn.
    async fn due(&self, round: usize, now: Timestamp) -> Result<[Vec<DueSource>; 2], Error> {
        let due = self.store.due(self.gateway.carrier(), BATCH, now).await?;
        let (dialogues, distributions): (Vec<_>, Vec<_>) = due
            .into_iter()
            .filter(|due| self.is_open(due))
            .partition(|due| matches!(due.source, Source::Dialogues(_)));
        Ok([dialogues, distributions]
            .map(|sources| self.turns.order(sources, |due| self.company_of(due), round, now)))
    }

    fn company_of(&self, due: &DueSource) -> Option<&CompanyId> {
        self.directory.account(&due.account).map(|account| &account.company)
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

    /// Sends at most so many of each source, some at once.
    async fn send_batches(self: &Arc<Self>, sources: Vec<DueSource>, most: u32) -> Result<Sent, Error> {
        let sent: Vec<_> = stream::iter(sources)
            .map(|due| self.send_batch(due, most))
            .buffer_unordered(BATCHES_UNDER_WAY)
            .collect()
            .await;
        sum(sent)
    }

    /// Sends a batch of each of these at once, and meanwhile one of each who comes and has none in this round: they wait for nobody
    /// else's to end. Not while the carrier is being probed.
    async fn send_round(
        self: &Arc<Self>,
        sources: Vec<DueSource>,
        round: usize,
        come: &mut Listener,
    ) -> Result<Sent, Error> {
        let mut begun = sources.clone();
        let mut batches: FuturesUnordered<_> =
            sources.into_iter().map(|due| self.send_batch(due, BATCH)).collect();
        let mut beside = FuturesUnordered::new();
        let looks = stream::unfold((come, Instant::now()), async |(come, from)| {
            sleep_until(from).await;
            come.wait(LOOK_EVERY).await;
            let found = self.due(round, self.clock.now()).await;
            Some((found, (come, Instant::now() + LOOK_BESIDE_EVERY)))
        });
        let mut looks = pin!(looks);
        let mut sent = Vec::new();
        loop {
            tokio::select! {
                Some(done) = batches.next() => sent.push(done),
                Some(done) = beside.next() => sent.push(done),
                Some(found) = looks.next(), if !batches.is_empty() && beside.len() < BATCHES_UNDER_WAY => {
                    match found {
                        Err(error) => sent.push(Err(error)),
                        Ok(_) if self.health.permit(self.clock.now()) != Permit::Everything => {}
                        Ok(due) => {
                            for due in due.into_iter().flatten() {
                                let goes_already = begun.iter().any(|one| self.are_one(one, &due));
                                if beside.len() < BATCHES_UNDER_WAY && !goes_already {
                                    begun.push(due.clone());
                                    beside.push(self.send_batch(due, BATCH));
                                }
                            }
                        }
                    }
                }
                else => return sum(sent),
            }
        }
    }

    /// Whether two sources share what goes at once: an account's dialogues, a company's distributions.
    fn are_one(&self, one: &DueSource, other: &DueSource) -> bool {
        match (&one.source, &other.source) {
            (Source::Dialogues(one), Source::Dialogues(other)) => one == other,
            (Source::Distribution(_), Source::Distribution(_)) => {
                self.company_of(one) == self.company_of(other)
            }
            (Source::Dialogues(_), Source::Distribution(_))
            | (Source::Distribution(_), Source::Dialogues(_)) => false,
        }
    }

    /// Sends a batch as far as the limits let it, which are asked in the order of the turns; the rest is a task of its own: while one is
    /// decided about or made ready, others go on.
    async fn send_batch(self: &Arc<Self>, due: DueSource, most: u32) -> Result<Sent, Error> {
        if let Permit::Nothing(wait) = self.health.permit(self.clock.now()) {
            return Ok(Sent { claimed: 0, wait: wait.unsigned_abs() });
        }
        let wanted = due.count.min(most);
        let grant = self.allowance.take(&due, wanted).await;
        if grant.wait > Duration::ZERO {
            WAITS.observe(grant.wait, [self.gateway.carrier().as_str()]);
        }
        if grant.allowed == 0 {
            return Ok(Sent { claimed: 0, wait: grant.wait.max(LIMITED_LOOK_EVERY) });
        }
        let dispatcher = Arc::clone(self);
        let batch = async move { dispatcher.send_granted(due, wanted, grant).await }.in_current_span();
        let batch = AbortOnDropHandle::new(tokio::spawn(batch));
        batch.await.map_err(|_ended| Error::new(ErrorKind::Internal, "a batch failed", ""))?
    }

    /// Claims and sends as much of what is wanted as is granted.
    async fn send_granted(&self, due: DueSource, wanted: u32, grant: Grant) -> Result<Sent, Error> {
        let now = self.clock.now();
        let claim = Claim {
            carrier: self.gateway.carrier().clone(),
            source: due.source.clone(),
            limit: grant.allowed,
            now,
            lease_end: later(now, self.lease),
            attempts_limit: ATTEMPTS,
        };
        let (claimed, began) = (STORE.time(["claim deliveries"], self.store.claim(&claim)).await?, begin());
        let (seen, more) = (claimed.seen, claimed.more);
        let started = u32::try_from(claimed.attempts.len()).unwrap_or(u32::MAX);
        self.allowance.give_back(&due, grant.allowed.saturating_sub(started)).await;
        if let Some(company) = self.company_of(&due) {
            self.turns.had(company, u64::from(started), now);
        }
        let sent = telling::Sent::of(self.gateway.carrier(), &claimed.attempts, began);
        let (carrier, account) = (self.gateway.carrier(), &due.account);
        let batch = match started {
            0 => Span::none(),
            _ => info_span!(target: TARGET, "send batch", %carrier, %account, messages = started),
        };
        let results = async {
            let results = self.send_attempts(&due, claimed.attempts).await;
            STORE.time(["record attempts"], self.store.record(&results, self.clock.now())).await?;
            sent.tell(&results);
            Ok::<_, Error>(results)
        };
        let results = results.instrument(batch).await?;
        self.taken.count(&due.source, &results);
        if !more && matches!(due.source, Source::Distribution(_)) {
            self.signals.distributions.raise();
        }
        let wait = if grant.allowed < wanted {
            grant.wait.max(LIMITED_LOOK_EVERY)
        } else if more {
            Duration::ZERO
        } else {
            LOOK_EVERY
        };
        Ok(Sent { claimed: seen, wait })
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
                    let due = retry_time(self.clock.now(), attempt.attempt, BACKOFF);
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
                self.hear(carrier, &verdicts, now);
                self.pause(&due.account, &verdicts).await;
                results.extend(sent.into_iter().zip(verdicts).map(|(attempt, verdict)| {
                    let outcome = match verdict {
                        Verdict::Unknown(kind) => unknown(kind, attempt.attempt, now),
                        Verdict::Accepted => AttemptOutcome::Known(Signal::Accepted),
                        Verdict::Refused => AttemptOutcome::Known(Signal::Rejected),
                        Verdict::Unreachable => AttemptOutcome::Unreachable,
                        Verdict::Throttled(wait) => AttemptOutcome::Throttled(later(now, wait)),
                    };
                    result(attempt, outcome)
                }));
            }
            Err(failed) => {
                warn!(%carrier, error = %failed, "a batch has no known outcome");
                FAILURES.add(1, [carrier.as_str()]);
                self.health.failed(carrier, failed.kind, now);
                results.extend(sent.into_iter().map(|attempt| {
                    let outcome = unknown(failed.kind, attempt.attempt, now);
                    result(attempt, outcome)
                }));
            }
        }
        results
    }

    /// One verdict is enough to know that the carrier answers.
    fn hear(&self, carrier: &CarrierId, verdicts: &[Verdict], now: Timestamp) {
        let unknown = |verdict: &Verdict| match verdict {
            Verdict::Unknown(kind) => Some(*kind),
            Verdict::Accepted | Verdict::Refused | Verdict::Unreachable | Verdict::Throttled(_) => None,
        };
        let unheard: Option<Vec<ErrorKind>> = verdicts.iter().map(unknown).collect();
        match unheard.as_deref() {
            Some([kind, ..]) => self.health.failed(carrier, *kind, now),
            Some([]) | None => self.health.answered(carrier),
        }
    }

    /// Pauses the account when the carrier throttled some of its messages.
    async fn pause(&self, account: &OfficialAccountId, verdicts: &[Verdict]) {
        let waits = verdicts.iter().filter_map(|verdict| match verdict {
            Verdict::Throttled(wait) => Some(*wait),
            Verdict::Accepted | Verdict::Refused | Verdict::Unreachable | Verdict::Unknown(_) => None,
        });
        if let Some(wait) = waits.max() {
            self.allowance.pause(account, wait.unsigned_abs()).await;
        }
    }

    async fn content(&self, source: &Source, attempt: &Attempt) -> Result<Content, Error> {
        if let Source::Distribution(id) = source {
            let mut content = self.renderer.content(*id, attempt.purpose, &attempt.values).await?;
            let which = (*id, attempt.purpose == Purpose::Individual);
            self.messages.name_buttons(&mut content, which, attempt.key.follower);
            if let (Some(tie), Some(account)) = (attempt.tie, self.directory.account(&attempt.key.account)) {
                self.messages.offer_not_me(&mut content, account, tie);
            }
            return Ok(content);
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
        let messages: Vec<_> = asked.messages.iter().map(|message| message.sent).collect();
        let answer = match messages.is_empty() {
            true => Ok(Vec::new()),
            false => self.gateway.revoke(&asked.account, &messages).await,
        };
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

fn sum(sent: Vec<Result<Sent, Error>>) -> Result<Sent, Error> {
    sent.into_iter().try_fold(Sent { claimed: 0, wait: LOOK_EVERY }, |sum, sent| {
        let Sent { claimed, wait } = sent?;
        Ok(Sent { claimed: sum.claimed + claimed, wait: sum.wait.min(wait) })
    })
}

fn later(now: Timestamp, wait: SignedDuration) -> Timestamp {
    now.checked_add(wait).unwrap_or(Timestamp::MAX)
}

fn retry_time(now: Timestamp, attempt: u32, backoff: (SignedDuration, SignedDuration)) -> Timestamp {
    let (base, cap) = backoff;
    later(now, full_jitter(attempt, base, cap, entropy::number()))
}

/// What an attempt has come to that failed in this way.
fn unknown(kind: ErrorKind, attempt: u32, now: Timestamp) -> AttemptOutcome {
    match answers(kind) {
        true => AttemptOutcome::Unknown(retry_time(now, attempt, BACKOFF)),
        false => AttemptOutcome::Unanswered(retry_time(now, attempt, UNANSWERED_BACKOFF)),
    }
}

/// Whether a failed batch says anything about its messages: not, when nobody answers, or wants nothing from this server.
const fn answers(kind: ErrorKind) -> bool {
    match kind {
        ErrorKind::Unavailable | ErrorKind::Unauthenticated | ErrorKind::PermissionDenied => false,
        ErrorKind::Internal
        | ErrorKind::InvalidArgument
        | ErrorKind::NotFound
        | ErrorKind::AlreadyExists
        | ErrorKind::FailedPrecondition
        | ErrorKind::ResourceExhausted => true,
    }
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
        | Purpose::ReviewRejected
        | Purpose::Renewal
        | Purpose::EraseAsked
        | Purpose::Erasing => Traffic::ServiceRequest,
    }
}

#[cfg(test)]
mod tests;
