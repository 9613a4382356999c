//! Subscriber lists in full: fetched, checked, judged, promoted or quarantined.
//!
//! Promotion goes in batches through the same edits as events do, so a list and an event that say the same do the same.
//! Surprising: a promotion that a crash interrupts is finished at the next start, before anything is fetched.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures::StreamExt as _;
use jiff::Timestamp;
use musubi_domain::{
    Error, ErrorKind,
    id::{CarrierId, FollowerId, FollowerKeyring},
    phone_number::PhoneNumber,
    roster::{CollapseRules, SnapshotCheck, Verdict, judge},
};
use musubi_runtime::{Clock, Shutdown};
use musubi_storage::{
    StoreError,
    information::{
        FollowerKey, InformationStore,
        flow::{Origin, Scope},
        list::ListKey,
    },
};
use tracing::{info, warn};

use crate::{
    directory::Directory,
    gateway::{CarrierGateway, ListPart},
    scene::Scene,
    signal::Signals,
};

/// How many numbers one transaction promotes.
const BATCH: u32 = 1_000;
/// How many numbers, about, one transaction stages.
const STAGED_AT_ONCE: usize = 20_000;
/// How long to leave a carrier alone whose list could not be fetched.
const REST: Duration = Duration::from_secs(2);

/// Fetches lists.
pub struct Lists {
    /// The server's store.
    pub store: Arc<dyn InformationStore>,
    /// Who is who.
    pub directory: Arc<Directory>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Wakes the questions.
    pub signals: Signals,
    /// Makes follower keys.
    pub keyring: FollowerKeyring,
    /// The carriers.
    pub gateways: Arc<HashMap<CarrierId, Arc<dyn CarrierGateway>>>,
    /// When a list that shrinks is believed.
    pub collapse: CollapseRules,
    /// How often each list is fetched.
    pub every: Duration,
}

/// What became of a fetched list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fetched {
    /// It is the list now.
    Promoted,
    /// It is kept out, and individual messages to the missing numbers are held back.
    Quarantined,
}

impl Lists {
    /// Fetches every account's list at one carrier, again and again, until the shutdown begins.
    ///
    /// # Errors
    /// Never; what fails is tried again.
    pub async fn run(self: Arc<Self>, carrier: CarrierId, shutdown: Shutdown) -> Result<(), StoreError> {
        let token = shutdown.token();
        let Some(gateway) = self.gateways.get(&carrier) else { return Ok(()) };
        let mut opened = false;
        while !token.is_cancelled() {
            let mut wait = self.every;
            if !opened {
                match self.open_accounts(gateway.as_ref()).await {
                    Ok(()) => opened = true,
                    Err(error) => {
                        warn!(%carrier, %error, "official accounts could not be opened");
                        wait = REST;
                    }
                }
            }
            if opened {
                for account in self.directory.accounts().filter(|account| account.carriers.contains(&carrier))
                {
                    let list = ListKey { account: account.id.clone(), carrier: carrier.clone() };
                    if let Err(error) = self.acquire(&list, gateway.as_ref()).await {
                        warn!(%carrier, account = %account.id, %error, "the list could not be acquired");
                        wait = REST.min(self.every);
                    }
                }
            }
            tokio::select! {
                () = token.cancelled() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
        Ok(())
    }

    async fn open_accounts(&self, gateway: &dyn CarrierGateway) -> Result<(), Error> {
        for account in self.directory.accounts() {
            if account.carriers.contains(gateway.carrier()) {
                gateway.open_account(&account.id, &account.display_name).await?;
            }
        }
        Ok(())
    }

    /// Finishes the promotions that a crash interrupted.
    ///
    /// # Errors
    /// When the store is unavailable.
    pub async fn finish_promotions(&self) -> Result<(), Error> {
        for (list, as_of) in self.store.promotions().await? {
            info!(account = %list.account, carrier = %list.carrier, "finishing an interrupted promotion");
            self.promote(&list, as_of).await?;
        }
        Ok(())
    }

    /// Fetches one list and makes it the list, unless it is incomplete or collapses.
    ///
    /// # Errors
    /// When the carrier or the store is unavailable, or the snapshot isn't whole: it is discarded, and the list stays.
    pub async fn acquire(&self, list: &ListKey, gateway: &dyn CarrierGateway) -> Result<Fetched, Error> {
        self.store.begin_list(list).await?;
        let (generation, as_of) = match self.stage(list, gateway).await {
            Ok(staged) => staged,
            Err(error) => {
                self.store.discard(list).await?;
                return Err(error);
            }
        };
        let found = self.store.compare(list, as_of).await?;
        let now = self.clock.now();
        let quarantined_before = found.quarantine_time.map(|since| now.duration_since(since));
        match judge(found.followers, found.missing, quarantined_before, &self.collapse) {
            Verdict::Quarantine => {
                let suspended = self.store.quarantine(list, as_of, now).await?;
                warn!(
                    account = %list.account, carrier = %list.carrier, missing = found.missing, suspended,
                    "the list collapsed and is quarantined"
                );
                Ok(Fetched::Quarantined)
            }
            Verdict::Promote => {
                self.store.begin_promotion(list, generation, as_of).await?;
                self.promote(list, as_of).await?;
                Ok(Fetched::Promoted)
            }
        }
    }

    /// Stages a snapshot while it arrives; gives its generation and moment when it is whole.
    async fn stage(&self, list: &ListKey, gateway: &dyn CarrierGateway) -> Result<(u64, Timestamp), Error> {
        let broken = |problem: &str| {
            Error::new(
                ErrorKind::FailedPrecondition,
                problem,
                "the snapshot is discarded; fetch the list anew",
            )
        };
        let mut parts = gateway.fetch_list(&list.account).await?;
        let mut header = None;
        let mut check = SnapshotCheck::default();
        let mut arrived: Vec<(FollowerId, PhoneNumber)> = Vec::new();
        while let Some(part) = parts.next().await {
            match part? {
                ListPart::Header { generation, as_of } if header.is_none() => {
                    header = Some((generation, as_of));
                }
                ListPart::Header { .. } => return Err(broken("a second header")),
                ListPart::Page { page_number, numbers } => {
                    if header.is_none() {
                        return Err(broken("a page before the header"));
                    }
                    check.page(page_number, &numbers)?;
                    let follower = |number| (self.keyring.follower(&list.account, &number), number);
                    arrived.extend(numbers.into_iter().map(follower));
                    if arrived.len() >= STAGED_AT_ONCE {
                        self.store.stage(list, &in_order(&mut arrived)).await?;
                    }
                }
                ListPart::End { count, digest } => {
                    check.end(count, &digest)?;
                    self.store.stage(list, &in_order(&mut arrived)).await?;
                    return header.ok_or_else(|| broken("an end before the header"));
                }
            }
        }
        Err(broken("the end marker is missing"))
    }

    /// Makes the stage the list, batch by batch.
    async fn promote(&self, list: &ListKey, as_of: Timestamp) -> Result<(), Error> {
        let staged = self.store.compare(list, as_of).await?.staged;
        let added = self.apply(list, as_of, true).await?;
        let removed = self.apply(list, as_of, false).await?;
        self.store.finish_promotion(list, staged.saturating_sub(added), self.clock.now()).await?;
        if added + removed > 0 {
            info!(account = %list.account, carrier = %list.carrier, staged, added, removed, "promoted a list");
        }
        Ok(())
    }

    /// Applies what the stage has more (`arriving`) or less than the list; gives how many numbers.
    async fn apply(&self, list: &ListKey, as_of: Timestamp, arriving: bool) -> Result<u64, Error> {
        let Some((account, company)) = self.directory.account_and_company(&list.account) else {
            return Ok(0);
        };
        let (mut after, mut count) = (None, 0);
        loop {
            let numbers = if arriving {
                self.store.staged_new(list, as_of, after, BATCH).await?
            } else {
                self.store.staged_missing(list, as_of, after, BATCH).await?
            };
            let Some((last, _)) = numbers.last() else { return Ok(count) };
            after = Some(*last);
            count += u64::try_from(numbers.len()).unwrap_or_default();
            let now = self.clock.now();
            let scene = Scene { account, company, now };
            let key =
                |follower: &FollowerId| FollowerKey { account: list.account.clone(), follower: *follower };
            let scope = Scope {
                followers: numbers.iter().map(|(follower, _)| key(follower)).collect(),
                ..Scope::default()
            };
            self.store
                .work("promote_list", &scope, now, &mut |work| {
                    for (follower, number) in &numbers {
                        let key = key(follower);
                        if arriving {
                            scene.arrive(work, &key, *number, &list.carrier, as_of, Origin::List);
                        } else {
                            scene.leave(work, &key, *number, &list.carrier, as_of);
                        }
                    }
                })
                .await?;
            self.signals.dialogues.raise();
        }
    }
}

/// What has arrived, in the order of the stage's key: neighbours share pages.
fn in_order(arrived: &mut Vec<(FollowerId, PhoneNumber)>) -> Vec<(FollowerId, PhoneNumber)> {
    let mut followers = std::mem::take(arrived);
    followers.sort_unstable();
    followers
}
