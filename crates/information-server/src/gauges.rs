//! Reads now and then what is gauged: the funnel, messages by state, lists, how long the oldest waits.
//!
//! From counts that the store keeps anyway and the first entries of its indexes, so that it costs the same with a thousand followers and
//! with ten million. Surprising: every replica reads and shows the same numbers; a dashboard takes the largest, and never their sum.

use std::{collections::BTreeMap, convert::Infallible, sync::Arc, time::Duration};

use jiff::Timestamp;
use musubi_domain::{
    delivery::DeliveryState,
    dialogue::Stage,
    id::{CarrierId, CompanyId, OfficialAccountId},
    outcome::FollowerOutcome,
};
use musubi_runtime::{Clock, Shutdown};
use musubi_storage::{
    StoreError,
    information::{
        InformationStore,
        follower::{Acquisition, Funnel, Overview},
    },
};
use tracing::warn;

use crate::{
    directory::Directory,
    metrics::{BACKLOG_AGE, FOLLOWERS, FUNNEL, GAUGED, LIST_AGE, MESSAGES, QUARANTINED},
};

/// How often.
const EVERY: Duration = Duration::from_secs(15);

/// Reads gauges.
pub(crate) struct Gauges {
    pub(crate) store: Arc<dyn InformationStore>,
    pub(crate) directory: Arc<Directory>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) carriers: Vec<CarrierId>,
    pub(crate) companies: Vec<CompanyId>,
}

impl Gauges {
    /// Reads until the shutdown begins; nothing where nobody scrapes.
    ///
    /// # Errors
    /// Never; what can't be read stays as it was, and the time of the last reading tells.
    pub(crate) async fn run(self, shutdown: Shutdown) -> Result<(), Infallible> {
        let stop = shutdown.token();
        while GAUGED.is_scraped() {
            if let Err(error) = self.read().await {
                warn!(%error, "what is gauged could not be read");
            }
            if stop.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_none() {
                break;
            }
        }
        Ok(())
    }

    async fn read(&self) -> Result<(), StoreError> {
        let now = self.clock.now();
        for company in &self.companies {
            let accounts: Vec<OfficialAccountId> =
                self.directory.accounts_of(company).iter().map(|account| account.id.clone()).collect();
            let Overview { funnels, messages, acquisitions } =
                self.store.overview(company, &accounts).await?;
            funnels.iter().for_each(set_funnel);
            acquisitions.iter().for_each(|list| set_list(list, now));
            let mut states: BTreeMap<_, u64> = BTreeMap::new();
            for it in &messages {
                for state in DeliveryState::ALL {
                    let count = if it.state == state { it.count } else { 0 };
                    *states.entry((&it.account, &it.carrier, state.as_str())).or_default() += count;
                }
            }
            for ((account, carrier, state), count) in states {
                MESSAGES.set(float(count), [account.as_str(), carrier.as_str(), state]);
            }
        }
        let oldest = self.store.oldest_due(&self.companies, &self.carriers, now).await?;
        for (queue, since) in
            [("dialogues", oldest.dialogue), ("inquiries", oldest.inquiry), ("messages", oldest.message)]
        {
            let age = since.map_or(0.0, |since| now.duration_since(since).as_secs_f64());
            BACKLOG_AGE.set(age, [queue]);
        }
        GAUGED.set(now.duration_since(Timestamp::UNIX_EPOCH).as_secs_f64(), []);
        Ok(())
    }
}

/// Every stage and outcome, so that one that nobody is at any more doesn't stay as it was.
fn set_funnel(funnel: &Funnel) {
    let whose = |word| [funnel.account.as_str(), funnel.carrier.as_str(), word];
    for stage in Stage::ALL {
        let count = funnel.reached.get(&stage).copied().unwrap_or_default();
        FUNNEL.set(float(count), whose(stage.as_str()));
    }
    for outcome in FollowerOutcome::ALL {
        let count = funnel.outcomes.get(&outcome).copied().unwrap_or_default();
        FOLLOWERS.set(float(count), whose(outcome.as_str()));
    }
}

fn set_list(list: &Acquisition, now: Timestamp) {
    let whose = [list.account.as_str(), list.carrier.as_str()];
    QUARANTINED.set(f64::from(u8::from(list.quarantine.is_some())), whose);
    if let Some(promoted) = list.promote_time {
        LIST_AGE.set(now.duration_since(promoted).as_secs_f64(), whose);
    }
}

#[expect(clippy::cast_precision_loss, reason = "a count of followers or messages is far below 2^53")]
const fn float(count: u64) -> f64 {
    count as f64
}
