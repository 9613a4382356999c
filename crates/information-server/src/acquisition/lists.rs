//! Subscriber lists in full: fetched, checked, judged, promoted or quarantined.
//!
//! Of several servers one acquires a list, under a lease in the database. It holds the snapshot against the present list in
//! memory, and what differs goes in batches through the same edits as events do, so a list and an event that say the same do the
//! same. Surprising: nothing is kept of a promotion that a crash interrupts; the list is still due, and the next snapshot
//! finishes it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::{StreamExt as _, TryStreamExt as _, future, stream};
use jiff::{SignedDuration, Timestamp};
use musubi_domain::{
    Error, ErrorKind,
    id::{CarrierId, FollowerId, FollowerKeyring, OfficialAccountId},
    roster::{CollapseRules, SnapshotCheck, Verdict, judge},
};
use musubi_runtime::{Clock, Shutdown};
use musubi_storage::{
    StoreError,
    information::{
        FollowerKey, InformationStore,
        flow::{Audit, Origin, Scope, Work},
        list::{DueLists, ListKey, ListLease, ListOutcome},
    },
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tracing::{Instrument as _, info, warn};

use super::snapshot::{Difference, Part, Snapshot};
use crate::{
    config::signed,
    directory::Directory,
    gateway::{CarrierGateway, ListPart},
    scene::Scene,
    signal::Signals,
};

/// How many numbers of a snapshot are in memory at once, at 33 bytes each, unless [`Lists`] says otherwise.
pub const AT_ONCE: usize = 8_000_000;
/// How many numbers one transaction promotes.
const BATCH: usize = 4_000;
/// How many such transactions run at once: while one is stored the next are made ready.
const BATCHES_UNDER_WAY: usize = 3;
/// How many followers of the present list are read at once.
const PAGE: u32 = 20_000;
/// How long to leave a carrier alone whose list could not be fetched.
const REST: SignedDuration = SignedDuration::from_secs(2);
/// How often to look whether a list is due.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long a list is left to whoever acquires it and isn't heard of.
const LEASE: SignedDuration = SignedDuration::from_secs(10);
/// How often whoever acquires it is heard of.
const RENEW_EVERY: SignedDuration = SignedDuration::from_secs(3);

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
    /// How many numbers of a snapshot are in memory at once: longer lists are fetched once for each part and pass.
    pub at_once: usize,
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
    /// Fetches every account's list at one carrier when it is due, again and again, until the shutdown begins.
    ///
    /// # Errors
    /// Never; what fails is tried again.
    pub async fn run(self: Arc<Self>, carrier: CarrierId, shutdown: Shutdown) -> Result<(), StoreError> {
        let token = shutdown.token();
        let Some(gateway) = self.gateways.get(&carrier).filter(|gateway| gateway.has_list()) else {
            return Ok(());
        };
        let open = self.directory.accounts().filter(|account| account.carriers.contains(&carrier));
        let accounts: Vec<OfficialAccountId> = open.map(|account| account.id.clone()).collect();
        let mut opened = false;
        while !token.is_cancelled() {
            if !opened {
                match self.open_accounts(&accounts, gateway.as_ref()).await {
                    Ok(()) => opened = true,
                    Err(error) => warn!(%carrier, %error, "official accounts could not be opened"),
                }
            }
            if opened {
                match self.acquire_due(&accounts, gateway.as_ref(), &token).await {
                    Ok(true) => continue,
                    Ok(false) => {}
                    Err(error) => warn!(%carrier, %error, "no list could be acquired"),
                }
            }
            tokio::select! {
                () = token.cancelled() => {}
                () = tokio::time::sleep(LOOK_EVERY.min(self.every)) => {}
            }
        }
        Ok(())
    }

    async fn open_accounts(
        &self,
        accounts: &[OfficialAccountId],
        gateway: &dyn CarrierGateway,
    ) -> Result<(), Error> {
        for account in accounts.iter().filter_map(|id| self.directory.account(id)) {
            gateway.open_account(&account.id, &account.display_name).await?;
        }
        Ok(())
    }

    /// Acquires one of these accounts' lists, if one is due that nobody else acquires. Gives whether there was one.
    ///
    /// # Errors
    /// When the store is unavailable.
    pub async fn acquire_due(
        self: &Arc<Self>,
        accounts: &[OfficialAccountId],
        gateway: &dyn CarrierGateway,
        stop: &CancellationToken,
    ) -> Result<bool, Error> {
        let carrier = gateway.carrier();
        let now = self.clock.now();
        let due = DueLists {
            carrier,
            accounts,
            now,
            acquired_before: now.checked_sub(signed(self.every)).unwrap_or(Timestamp::MIN),
            lease_end: later(now, LEASE),
        };
        let Some(lease) = self.store.claim_list(due).await? else { return Ok(false) };
        let acquisition =
            Acquisition { lists: self, gateway, lease: &lease, stop, renew_time: Mutex::new(now) };
        let account = &lease.list.account;
        match acquisition.acquire().await {
            Ok(_) => {}
            Err(error) if stop.is_cancelled() => {
                info!(%carrier, %account, %error, "the list waits for the next start");
                self.store.renew_list(&lease, Timestamp::UNIX_EPOCH).await?;
            }
            Err(error) => {
                warn!(%carrier, %account, %error, "the list could not be acquired");
                let now = self.clock.now();
                let again = later(now, REST.min(signed(self.every)));
                self.store.end_list(&lease, ListOutcome::Discarded { again }, now).await?;
            }
        }
        Ok(true)
    }

    /// Does something to a batch of a list's followers.
    async fn apply<T: Copy + Send + Sync>(
        self: Arc<Self>,
        ListKey { account, carrier }: ListKey,
        action: &'static str,
        (batch, are_new): (Vec<(FollowerId, T)>, bool),
        edit: Arc<impl Fn(Scene<'_>, &mut Work, &FollowerKey, T) + Send + Sync>,
    ) -> Result<(), Error> {
        let nobodys = || Error::new(ErrorKind::Internal, "the list is of an account that isn't known", "");
        let (account, company) = self.directory.account_and_company(&account).ok_or_else(nobodys)?;
        let key = |(follower, it)| (FollowerKey { account: account.id.clone(), follower }, it);
        let batch: Vec<(FollowerKey, T)> = batch.into_iter().map(key).collect();
        let now = self.clock.now();
        let scene = Scene { account, company, now };
        let followers: Vec<_> = batch.iter().map(|(key, _)| key.clone()).collect();
        let scope = Scope { erased: followers.clone(), followers, are_new, ..Scope::default() };
        let detail = format!("{} at {carrier}, {} followers", account.id, batch.len());
        let line = Audit { company: Some(company.id.clone()), key: None, action, detail };
        let mut each = |work: &mut Work| {
            batch.iter().for_each(|(key, it)| edit(scene, work, key, *it));
            work.audits.push(line.clone());
        };
        self.store.work("promote_list", &scope, now, &mut each).await?;
        self.signals.dialogues.raise();
        Ok(())
    }
}

/// One list that is being acquired.
struct Acquisition<'a> {
    lists: &'a Arc<Lists>,
    gateway: &'a dyn CarrierGateway,
    lease: &'a ListLease,
    stop: &'a CancellationToken,
    /// When the lease was renewed last.
    renew_time: Mutex<Timestamp>,
}

impl Acquisition<'_> {
    /// Fetches the list and makes it the list, unless it is incomplete or collapses.
    async fn acquire(&self) -> Result<Fetched, Error> {
        let snapshot = self.fetch(Part::WHOLE, self.lists.at_once).await?;
        let parts = snapshot.part();
        let difference = self.compare(&snapshot).await?;
        let (generation, as_of) = (snapshot.generation, snapshot.as_of);
        let (mut followers, mut missing) = (difference.followers, difference.missing());
        let mut whole = parts.is_whole().then_some((snapshot, difference));
        for part in parts.all().skip(1) {
            let (_, difference) = self.fetch_part(part).await?;
            followers += difference.followers;
            missing += difference.missing();
        }
        let verdict = self.judge(followers, missing);
        let (mut numbers, mut added, mut gone, mut suspended) = (0, 0, 0, 0);
        for part in parts.all() {
            let (snapshot, difference) = match whole.take() {
                Some(it) => it,
                None => self.fetch_part(part).await?,
            };
            gone += difference.missing();
            match verdict {
                Verdict::Quarantine => suspended += self.suspend(&snapshot, &difference).await?,
                // A list that is fetched in parts may collapse between two of them.
                Verdict::Promote if self.judge(followers, gone) == Verdict::Quarantine => {
                    return Err(broken("the list collapsed while it was fetched"));
                }
                Verdict::Promote => {
                    numbers += snapshot.len();
                    added += self.promote(&snapshot, &difference).await?;
                }
            }
        }
        let ListKey { account, carrier } = &self.lease.list;
        let (outcome, fetched) = match verdict {
            Verdict::Quarantine => {
                warn!(%account, %carrier, missing, suspended, "the list collapsed and is quarantined");
                (ListOutcome::Quarantined { followers, missing }, Fetched::Quarantined)
            }
            Verdict::Promote => {
                if added + gone > 0 {
                    info!(%account, %carrier, numbers, added, gone, %as_of, "promoted a list");
                }
                let skipped = numbers.saturating_sub(added);
                (ListOutcome::Promoted { generation, skipped }, Fetched::Promoted)
            }
        };
        self.lists.store.end_list(self.lease, outcome, self.lists.clock.now()).await?;
        Ok(fetched)
    }

    fn judge(&self, followers: u64, missing: u64) -> Verdict {
        let now = self.lists.clock.now();
        let quarantined_before = self.lease.quarantine_time.map(|since| now.duration_since(since));
        judge(followers, missing, quarantined_before, self.lease.released, &self.lists.collapse)
    }

    async fn fetch_part(&self, part: Part) -> Result<(Snapshot, Difference), Error> {
        let snapshot = self.fetch(part, usize::MAX).await?;
        let difference = self.compare(&snapshot).await?;
        Ok((snapshot, difference))
    }

    /// Fetches a snapshot, and keeps the numbers of a part, or of half of it or less when they are more than `most`.
    async fn fetch(&self, part: Part, most: usize) -> Result<Snapshot, Error> {
        let account = &self.lease.list.account;
        let mut parts = self.gateway.fetch_list(account).await?;
        let mut arriving: Option<Snapshot> = None;
        let mut check = SnapshotCheck::default();
        while let Some(next) = parts.next().await {
            match (next?, &mut arriving) {
                (ListPart::Header { generation, as_of }, None) => {
                    arriving = Some(Snapshot::arriving(generation, as_of, part));
                }
                (ListPart::Header { .. }, Some(_)) => return Err(broken("a second header")),
                (ListPart::Page { .. }, None) => return Err(broken("a page before the header")),
                (ListPart::Page { page_number, numbers }, Some(snapshot)) => {
                    check.page(page_number, &numbers)?;
                    let keyring = &self.lists.keyring;
                    let of = |number| (keyring.follower(account, &number), number);
                    snapshot.take(numbers.into_iter().map(of), most);
                    self.hold().await?;
                }
                (ListPart::End { count, digest }, _) => {
                    check.end(count, &digest)?;
                    let mut snapshot = arriving.ok_or_else(|| broken("an end before the header"))?;
                    snapshot.arrived();
                    return Ok(snapshot);
                }
            }
        }
        Err(broken("the end marker is missing"))
    }

    /// Holds a snapshot against the present list, which is read in two halves beside one another.
    async fn compare(&self, snapshot: &Snapshot) -> Result<Difference, Error> {
        let halves = snapshot.part().halves().map(|half| self.walk(snapshot, half));
        Ok(Difference::of(future::try_join_all(halves).await?))
    }

    async fn walk(&self, snapshot: &Snapshot, part: Part) -> Result<Difference, Error> {
        let mut walk = snapshot.walk(part);
        let mut after = part.begins_behind();
        loop {
            let page = self.lists.store.listed(&self.lease.list, after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(walk.ended()) };
            after = Some(last.follower);
            if !walk.go_on(&page) {
                return Ok(walk.ended());
            }
            self.hold().await?;
        }
    }

    /// Makes a snapshot the list. Gives how many numbers it added.
    async fn promote(&self, snapshot: &Snapshot, difference: &Difference) -> Result<u64, Error> {
        let (ListKey { account, carrier }, as_of) = (self.lease.list.clone(), snapshot.as_of);
        let at = carrier.clone();
        let arrive = move |scene: Scene<'_>, work: &mut Work, key: &FollowerKey, number| {
            scene.arrive(work, key, number, &at, as_of, Origin::List);
        };
        let new_ones = (difference.new_ones(snapshot), difference.is_first);
        let added = self.apply("list_added", new_ones, arrive).await?;
        let leave = move |scene: Scene<'_>, work: &mut Work, key: &FollowerKey, ()| {
            if let Some(number) = work.followers.get(key).map(|record| record.phone_number) {
                scene.leave(work, key, number, &carrier, as_of);
            }
        };
        let missing = difference.missing.iter().map(|follower| (*follower, ()));
        self.apply("list_removed", (missing, false), leave).await?;
        let mut after = None;
        loop {
            let suspended = self.lists.store.suspended(&account, after, PAGE).await?;
            let Some(last) = suspended.last() else { return Ok(added) };
            after = Some(*last);
            let there = suspended.iter().filter(|follower| snapshot.has(**follower));
            let resume =
                |scene: Scene<'_>, work: &mut Work, key: &FollowerKey, ()| scene.suspend(work, key, false);
            self.apply("list_resumed", (there.map(|follower| (*follower, ())), false), resume).await?;
        }
    }

    /// Suspends the ties of the followers that a snapshot lacks. Gives how many.
    async fn suspend(&self, snapshot: &Snapshot, difference: &Difference) -> Result<u64, Error> {
        let (carrier, as_of) = (self.lease.list.carrier.clone(), snapshot.as_of);
        let suspend = move |scene: Scene<'_>, work: &mut Work, key: &FollowerKey, ()| {
            if scene.lists(work, key, &carrier, as_of) {
                scene.suspend(work, key, true);
            }
        };
        let missing = difference.missing.iter().map(|follower| (*follower, ()));
        self.apply("list_suspended", (missing, false), suspend).await
    }

    /// Does something to followers, who may be believed to be new, in batches, each with a line of the audit that says what and to how many.
    /// Gives how many they were.
    async fn apply<T: Copy + Send + Sync + 'static>(
        &self,
        action: &'static str,
        (mut followers, are_new): (impl Iterator<Item = (FollowerId, T)> + Send, bool),
        edit: impl Fn(Scene<'_>, &mut Work, &FollowerKey, T) + Send + Sync + 'static,
    ) -> Result<u64, Error> {
        let edit = Arc::new(edit);
        let batches = std::iter::from_fn(|| {
            let batch: Vec<(FollowerId, T)> = followers.by_ref().take(BATCH).collect();
            (!batch.is_empty()).then_some(batch)
        });
        let one = |batch: Vec<(FollowerId, T)>| {
            let (lists, list, edit) = (Arc::clone(self.lists), self.lease.list.clone(), Arc::clone(&edit));
            let count = u64::try_from(batch.len()).unwrap_or_default();
            // Each on a task of its own: while one is made ready, which takes a processor for long, another goes on being stored.
            let applied = lists.apply(list, action, (batch, are_new), edit).in_current_span();
            let applied = AbortOnDropHandle::new(tokio::spawn(applied));
            async move {
                applied
                    .await
                    .map_err(|_ended| Error::new(ErrorKind::Internal, "a batch of a list failed", ""))??;
                self.hold().await?;
                Ok::<_, Error>(count)
            }
        };
        let done = stream::iter(batches).map(one).buffer_unordered(BATCHES_UNDER_WAY);
        done.try_fold(0, |sum, count| async move { Ok(sum + count) }).await
    }

    /// Goes on with the lease, unless it was lost or the server stops.
    async fn hold(&self) -> Result<(), Error> {
        if self.stop.is_cancelled() {
            return Err(Error::new(ErrorKind::Unavailable, "the server stops", ""));
        }
        let now = self.lists.clock.now();
        {
            let mut renew_time = self.renew_time.lock().unwrap_or_else(PoisonError::into_inner);
            if now.duration_since(*renew_time) < RENEW_EVERY {
                return Ok(());
            }
            *renew_time = now;
        }
        let ours = self.lists.store.renew_list(self.lease, later(now, LEASE)).await?;
        if ours {
            Ok(())
        } else {
            Err(Error::new(ErrorKind::Unavailable, "another server acquires it now", ""))
        }
    }
}

fn later(now: Timestamp, wait: SignedDuration) -> Timestamp {
    now.checked_add(wait).unwrap_or(Timestamp::MAX)
}

fn broken(problem: &str) -> Error {
    Error::new(ErrorKind::FailedPrecondition, problem, "the snapshot is discarded; fetch the list anew")
}
