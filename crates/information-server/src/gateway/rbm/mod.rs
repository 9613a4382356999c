//! A carrier that speaks Google's RCS Business Messaging: one agent for each official account, one request for each message.
//!
//! [`token`] says who we are, `rest` makes requests and reads refusals, `message` writes what a talk room shows, [`event`] reads
//! what the platform reports. Surprising: the platform keeps no list of who follows, and its authorities are none of its
//! business: who follows is known from events and imported consents, and keys and numbers are asked of the carrier's own
//! services by gRPC.

pub(crate) mod event;
mod message;
mod rest;
#[cfg(test)]
mod tests;
mod token;

use std::{collections::HashMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::{StreamExt as _, stream, stream::BoxStream};
use jiff::SignedDuration;
use musubi_domain::{
    Error, ErrorKind,
    delivery::Addressed,
    id::{CarrierId, OfficialAccountId},
    phone_number::PhoneNumber,
};
use musubi_runtime::{Clock, SystemClock};
use tokio::{sync::Semaphore, time::Instant};
use tracing::{debug, warn};

use self::{
    message::{AgentEvent, agent_message},
    rest::{Answer, Rest},
};
use super::{CarrierGateway, ListPart, OutgoingMessage, Verdict, VerificationKey};
use crate::config::RbmConfig;

/// Whether the platform's address and the files that this names can be used.
///
/// # Errors
/// Names the key.
pub(crate) fn check(config: &RbmConfig) -> Result<(), Error> {
    Rest::open(config, Arc::new(SystemClock)).map(drop)
}

/// How long the messages of one call have, all together: less than a lease.
const BATCH: Duration = Duration::from_secs(20);
/// How long to wait where the platform throttles and doesn't say, and the longest that it is believed.
const THROTTLED: (SignedDuration, SignedDuration) =
    (SignedDuration::from_secs(1), SignedDuration::from_hours(1));
/// Numbers whose reach is asked for at once.
const REACH: usize = 10_000;

/// A carrier behind RCS Business Messaging.
pub struct RbmCarrier {
    rest: Rest,
    agents: HashMap<OfficialAccountId, String>,
    places: Semaphore,
    services: Arc<dyn CarrierGateway>,
    clock: Arc<dyn Clock>,
}

impl RbmCarrier {
    /// By this configuration; `services` are the carrier's own, for what the platform doesn't have.
    ///
    /// # Errors
    /// Names the key of the configuration whose file can't be used.
    pub fn open(
        config: &RbmConfig,
        services: Arc<dyn CarrierGateway>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Error> {
        let agents = config.agent.iter().map(|agent| (agent.official_account.clone(), agent.id.clone()));
        Ok(Self {
            rest: Rest::open(config, Arc::clone(&clock))?,
            agents: agents.collect(),
            places: Semaphore::new(config.requests_at_once),
            services,
            clock,
        })
    }

    /// The token that requests bear now, for whoever measures the platform without this.
    ///
    /// # Errors
    /// When there is none to be had.
    pub async fn access_token(&self) -> Result<String, Error> {
        self.rest.access_token().await
    }

    fn agent(&self, account: &OfficialAccountId) -> Result<&str, Error> {
        self.agents.get(account).map(String::as_str).ok_or_else(|| {
            Error::new(
                ErrorKind::Internal,
                "the account has no agent at this carrier",
                "name one in the configuration",
            )
        })
    }

    async fn send_one(&self, agent: &str, message: &OutgoingMessage, until: Instant) -> Verdict {
        let body = agent_message(message, self.clock.now());
        let id = message.message_id.to_string();
        let path = ["v1", "phones", message.number.as_str(), "agentMessages"];
        let query = [("messageId", id.as_str()), ("agentId", agent)];
        let sent = async {
            let _place = self.places.acquire().await;
            self.rest.post(&path, &query, &body).await
        };
        match tokio::time::timeout_at(until, sent).await {
            Ok(Ok(answer)) => self.verdict(&answer),
            Ok(Err(error)) => Verdict::Unknown(error.kind),
            Err(_elapsed) => Verdict::Unknown(ErrorKind::Unavailable),
        }
    }

    fn verdict(&self, answer: &Answer) -> Verdict {
        let carrier = self.services.carrier();
        match answer.status.as_u16() {
            200..=299 | 409 => Verdict::Accepted,
            404 => Verdict::Unreachable,
            429 => {
                let (unsaid, longest) = THROTTLED;
                Verdict::Throttled(answer.retry_after.unwrap_or(unsaid).min(longest))
            }
            401 => Verdict::Unknown(ErrorKind::Unauthenticated),
            403 => Verdict::Unknown(ErrorKind::PermissionDenied),
            400..=499 => {
                warn!(%carrier, status = %answer.status, reason = answer.reason(), "a message is refused");
                Verdict::Refused
            }
            _ => Verdict::Unknown(ErrorKind::Unavailable),
        }
    }

    /// Shows people that what they wrote was read, and that an answer is on its way. Whether it succeeds is of no consequence.
    pub(crate) async fn show_reading(
        &self,
        account: &OfficialAccountId,
        number: &PhoneNumber,
        message: &str,
    ) {
        let Ok(agent) = self.agent(account) else { return };
        let path = ["v1", "phones", number.as_str(), "agentEvents"];
        for event in [AgentEvent::read(message), AgentEvent::typing()] {
            let id = event.id(number, message);
            let query = [("eventId", id.as_str()), ("agentId", agent)];
            let _place = self.places.acquire().await;
            if let Err(error) = self.rest.post(&path, &query, &event).await {
                debug!(carrier = %self.services.carrier(), %error, "a read mark was not shown");
            }
        }
    }
}

#[async_trait]
impl CarrierGateway for RbmCarrier {
    fn carrier(&self) -> &CarrierId {
        self.services.carrier()
    }

    /// Agents are made and launched by hand.
    async fn open_account(&self, _: &OfficialAccountId, _: &str) -> Result<(), Error> {
        Ok(())
    }

    fn has_list(&self) -> bool {
        false
    }

    async fn fetch_list(
        &self,
        _: &OfficialAccountId,
    ) -> Result<BoxStream<'static, Result<ListPart, Error>>, Error> {
        Err(Error::new(
            ErrorKind::FailedPrecondition,
            "RCS Business Messaging has no list of who follows",
            "",
        ))
    }

    async fn reachable(
        &self,
        account: &OfficialAccountId,
        numbers: &[PhoneNumber],
    ) -> Result<Vec<bool>, Error> {
        let agent = self.agent(account)?;
        let mut reached = Vec::with_capacity(numbers.len());
        for part in numbers.chunks(REACH) {
            let asked =
                message::Users { users: part.iter().map(PhoneNumber::as_str).collect(), agent_id: agent };
            let answer = self.rest.post(&["v1", "users:batchGet"], &[("agentId", agent)], &asked).await?;
            let answer: message::Reach = answer.json()?;
            let theirs: std::collections::HashSet<&str> =
                answer.reachable_users.iter().map(String::as_str).collect();
            reached.extend(part.iter().map(|number| theirs.contains(number.as_str())));
        }
        Ok(reached)
    }

    async fn send(
        &self,
        account: &OfficialAccountId,
        messages: Vec<OutgoingMessage>,
    ) -> Result<Vec<Verdict>, Error> {
        let agent = self.agent(account)?;
        let until = Instant::now() + BATCH;
        // All wait for a place of their own; the order of the answers is that of the messages.
        let sends = messages.iter().map(|message| self.send_one(agent, message, until));
        Ok(futures::future::join_all(sends).await)
    }

    async fn revoke(&self, account: &OfficialAccountId, messages: &[Addressed]) -> Result<Vec<bool>, Error> {
        let agent = self.agent(account)?;
        let revoke = |message: &Addressed| {
            let (id, number) = (message.message_id.to_string(), message.number);
            async move {
                let _place = self.places.acquire().await;
                let path = ["v1", "phones", number.as_str(), "agentMessages", id.as_str()];
                let answer = self.rest.delete(&path, &[("agentId", agent)]).await?;
                match answer.status.as_u16() {
                    200..=299 => Ok(true),
                    // It was delivered, or never came.
                    404 => Ok(false),
                    _ => Err(answer.error()),
                }
            }
        };
        let asked: Vec<_> = messages.iter().map(revoke).collect();
        let answers: Vec<Result<bool, Error>> = stream::iter(asked).buffered(AT_ONCE).collect().await;
        answers.into_iter().collect()
    }

    async fn verification_keys(&self) -> Result<Vec<VerificationKey>, Error> {
        self.services.verification_keys().await
    }
}

/// Revocations made ready at once.
const AT_ONCE: usize = 64;
