//! Custody: the master entrusted to the information-management server for a limited time, as it is or as digests.
//!
//! A copy is made of one revision of the master or not at all. The keeper entrusts by itself, after an import, before a lease
//! ends, and when the rules of a blind copy are others; it takes no input and looks at what the store says. Surprising: when an operator
//! has taken the copy back, the keeper leaves it so until the master changes; and once a copy was blind, the keeper makes no plain one.

use std::{convert::Infallible, sync::Arc, time::Duration};

use futures::{Stream, TryStreamExt as _, stream};
use jiff::{SignedDuration, Timestamp};
use musubi_domain::{
    Error, ErrorKind,
    blind::DigestKey,
    customer::Customer,
    id::{CustomerId, OperatorName},
};
use musubi_matching::{RULES_VERSION, blinded};
use musubi_proto::{
    convert::content::instant,
    information::v1::{
        Custody, EntrustCustomersRequest, EntrustDigestsRequest, GetCustodyRequest, PurgeCustomersRequest,
        custody_service_client::CustodyServiceClient,
    },
};
use musubi_runtime::{
    Clock, entropy,
    grpc::{MAX_MESSAGE_BYTES, client::PeerChannel, retry::Backoff},
};
use musubi_storage::company::{CompanyStore, CustodyEvent, MasterStatus};
use tokio::sync::{Mutex, Notify};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    config::{CustodyConfig, LEASE, Matching},
    proxy::{UPLOAD_DEADLINE, upstream},
    upload::{guarded, upload},
};

/// Customers of one chunk.
const CHUNK: u32 = 1000;
/// How often the keeper looks, when nothing wakes it.
const LOOK: Duration = Duration::from_secs(60);

/// Entrusts and takes back.
pub(crate) struct Custodian {
    store: Arc<dyn CompanyStore>,
    client: CustodyServiceClient<PeerChannel>,
    clock: Arc<dyn Clock>,
    matching: Matching,
    config: CustodyConfig,
    turn: Mutex<()>,
    master_changed: Notify,
}

impl Custodian {
    pub(crate) fn new(
        store: Arc<dyn CompanyStore>,
        channel: &PeerChannel,
        clock: Arc<dyn Clock>,
        matching: Matching,
        config: CustodyConfig,
    ) -> Self {
        let client = CustodyServiceClient::new(channel.with_deadline(UPLOAD_DEADLINE))
            .max_encoding_message_size(MAX_MESSAGE_BYTES);
        Self { store, client, clock, matching, config, turn: Mutex::new(()), master_changed: Notify::new() }
    }

    /// Entrusts the master as it stands; as digests, if that is asked for or configured.
    ///
    /// # Errors
    /// `lease_seconds`; `FailedPrecondition` when the company matches by inquiry or the master is empty; `Unavailable` when the
    /// master changed meanwhile or either side doesn't answer: the copy before stands.
    pub(crate) async fn entrust(
        &self,
        lease: Duration,
        blind: bool,
        by: Option<&OperatorName>,
    ) -> Result<CustodyEvent, Error> {
        if !LEASE.contains(&lease) {
            let problem = format!("{} seconds", lease.as_secs());
            return Err(Error::invalid("lease_seconds", problem, "give 60 to 2592000, a minute to 30 days"));
        }
        if self.matching == Matching::Inquiry {
            return Err(Error::new(
                ErrorKind::FailedPrecondition,
                "the company matches by inquiry, so no copy is entrusted",
                "configure matching = \"custody\" on both sides first",
            ));
        }
        let _turn = self.turn.lock().await;
        let status = self.store.get_status().await?;
        if status.customers == 0 {
            return Err(Error::new(
                ErrorKind::FailedPrecondition,
                "the master is empty",
                "import customers first",
            ));
        }
        let blind = blind || self.config.blind;
        let custody = if blind {
            self.upload_digests(status.revision, lease.as_secs()).await?
        } else {
            self.upload_customers(status.revision, lease.as_secs()).await?
        };
        let event = CustodyEvent {
            event_time: self.clock.now(),
            revision: status.revision,
            customers: custody.customers,
            lease_end_time: Some(instant(custody.lease_end_time.as_ref(), "lease_end_time")?),
            digest_rules: blind.then_some(RULES_VERSION),
        };
        self.store.record_custody(event, by).await?;
        info!(customers = event.customers, blind, "the master is entrusted");
        Ok(event)
    }

    async fn upload_customers(&self, revision: u64, lease_seconds: u64) -> Result<Custody, Error> {
        let pages =
            pages(Arc::clone(&self.store), revision).map_ok(move |customers| EntrustCustomersRequest {
                lease_seconds,
                customers: customers.into_iter().map(Into::into).collect(),
            });
        let (chunks, failure) = guarded(pages);
        let mut client = self.client.clone();
        let call = async move { client.entrust_customers(chunks).await.map_err(|status| upstream(&status)) };
        Ok(upload(failure, call).await?.into_inner().custody.unwrap_or_default())
    }

    /// With a key that is made for this copy and kept nowhere here.
    async fn upload_digests(&self, revision: u64, lease_seconds: u64) -> Result<Custody, Error> {
        let key = DigestKey::new(entropy::bytes());
        let pages = pages(Arc::clone(&self.store), revision).and_then(move |customers| {
            let key = key.clone();
            async move {
                let digest_key = key.as_bytes().to_vec();
                let blind = move || customers.iter().map(|it| blinded(it, &key).into()).collect();
                let customers = tokio::task::spawn_blocking(blind)
                    .await
                    .map_err(|_| Error::new(ErrorKind::Internal, "the making of digests panicked", ""))?;
                let rules_version = RULES_VERSION;
                Ok(EntrustDigestsRequest { lease_seconds, digest_key, rules_version, customers })
            }
        });
        let (chunks, failure) = guarded(pages);
        let mut client = self.client.clone();
        let call = async move { client.entrust_digests(chunks).await.map_err(|status| upstream(&status)) };
        Ok(upload(failure, call).await?.into_inner().custody.unwrap_or_default())
    }

    /// What the other side holds and held.
    ///
    /// # Errors
    /// `Unavailable` when it doesn't answer.
    pub(crate) async fn copies(&self) -> Result<Vec<Custody>, Error> {
        let held = self.client.clone().get_custody(GetCustodyRequest {}).await;
        Ok(held.map_err(|status| upstream(&status))?.into_inner().custodies)
    }

    /// Has the copy destroyed, and gives how many customers it had.
    ///
    /// # Errors
    /// `Unavailable` when either side doesn't answer.
    pub(crate) async fn purge(&self, by: &OperatorName) -> Result<u64, Error> {
        let _turn = self.turn.lock().await;
        let purged = self.client.clone().purge_customers(PurgeCustomersRequest {}).await;
        let customers = purged.map_err(|status| upstream(&status))?.into_inner().purged;
        let MasterStatus { revision, custody, .. } = self.store.get_status().await?;
        let event_time = self.clock.now();
        let digest_rules = custody.and_then(|last| last.digest_rules);
        let event = CustodyEvent { event_time, revision, customers, lease_end_time: None, digest_rules };
        self.store.record_custody(event, Some(by)).await?;
        info!(customers, "the entrusted copy is destroyed");
        Ok(customers)
    }

    /// Tells the keeper to look now.
    pub(crate) fn master_changed(&self) {
        self.master_changed.notify_one();
    }

    /// Keeps a present copy entrusted until `stop`, when that is configured.
    pub(crate) async fn keep(self: Arc<Self>, stop: CancellationToken) -> Result<(), Infallible> {
        let backoff = Backoff { cap: Duration::from_secs(300), ..Backoff::default() };
        let mut failures = 0_u32;
        if self.matching == Matching::Inquiry || !self.config.automatic {
            return Ok(());
        }
        loop {
            let outcome = stop.run_until_cancelled(self.entrust_when_due()).await;
            let wait = match outcome {
                None => return Ok(()),
                Some(Ok(())) => {
                    failures = 0;
                    LOOK
                }
                Some(Err(error)) => {
                    failures += 1;
                    let wait = backoff.wait(failures, entropy::number());
                    warn!(failures, "the master could not be entrusted: {error}; again in {wait:?}");
                    wait
                }
            };
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = self.master_changed.notified() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    async fn entrust_when_due(&self) -> Result<(), Error> {
        let status = self.store.get_status().await?;
        if is_due(&status, self.config.blind, self.clock.now()) {
            let was_blind = status.custody.is_some_and(|last| last.digest_rules.is_some());
            self.entrust(self.config.lease, was_blind, None).await?;
        }
        Ok(())
    }
}

/// Whether a copy has to be entrusted: none ever was, another master stands, it is of other rules or plain though it has to be blind, or
/// three quarters of the lease have passed.
fn is_due(status: &MasterStatus, blind: bool, now: Timestamp) -> bool {
    if status.customers == 0 {
        return false;
    }
    let Some(last) = status.custody else { return true };
    if last.revision != status.revision {
        return true;
    }
    last.lease_end_time.is_some_and(|end| {
        let lease = end.duration_since(last.event_time).max(SignedDuration::ZERO);
        let present = last.digest_rules.map_or(!blind, |rules| rules == RULES_VERSION);
        now >= end - lease / 4 || !present
    })
}

/// The master in pages, all of this revision.
fn pages(store: Arc<dyn CompanyStore>, revision: u64) -> impl Stream<Item = Result<Vec<Customer>, Error>> {
    stream::try_unfold((store, None::<CustomerId>), move |(store, after)| async move {
        let page = store.list_customers(after.as_ref(), CHUNK).await?;
        if page.revision != revision {
            return Err(Error::new(
                ErrorKind::Unavailable,
                "the master changed while it was being entrusted",
                "repeat it",
            ));
        }
        let Some(last) = page.customers.last() else { return Ok(None) };
        let after = Some(last.customer.customer_id.clone());
        Ok(Some((page.customers.into_iter().map(|stored| stored.customer).collect(), (store, after))))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_due_when_none_is_another_master_stands_or_the_lease_nears_its_end() {
        let at = |second: i64| Timestamp::from_second(1_800_000_000 + second).unwrap();
        let entrusted = CustodyEvent {
            event_time: at(0),
            revision: 2,
            customers: 3,
            lease_end_time: Some(at(100)),
            digest_rules: None,
        };
        let purged = CustodyEvent { lease_end_time: None, ..entrusted };
        let as_digests = CustodyEvent { digest_rules: Some(RULES_VERSION), ..entrusted };
        let of_other_rules = CustodyEvent { digest_rules: Some(RULES_VERSION + 1), ..entrusted };
        let taken_back = CustodyEvent { lease_end_time: None, ..of_other_rules };
        let status = |revision, customers, custody| MasterStatus { revision, customers, custody };
        for (status, blind, second, due) in [
            (status(0, 0, None), false, 0, false),
            (status(1, 3, None), false, 0, true),
            (status(2, 3, Some(entrusted)), false, 74, false),
            (status(2, 3, Some(entrusted)), false, 75, true),
            (status(2, 3, Some(entrusted)), false, 5000, true),
            (status(3, 3, Some(entrusted)), false, 1, true),
            (status(2, 3, Some(purged)), false, 5000, false),
            (status(3, 3, Some(purged)), false, 1, true),
            (status(2, 3, Some(entrusted)), true, 1, true),
            (status(2, 3, Some(as_digests)), true, 74, false),
            (status(2, 3, Some(as_digests)), false, 74, false),
            (status(2, 3, Some(as_digests)), true, 75, true),
            (status(2, 3, Some(of_other_rules)), false, 1, true),
            (status(2, 3, Some(taken_back)), true, 1, false),
        ] {
            assert_eq!(is_due(&status, blind, at(second)), due, "{status:?} at {second}");
        }
    }
}
