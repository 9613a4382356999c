//! Subscriber lists in full: fetched, checked, judged, promoted or quarantined.
//!
//! Of several servers one acquires a list, under a lease in the database. It holds the snapshot against the present list in
//! memory, and what differs goes in batches through the same edits as events do, so a list and an event that say the same do the
//! same. Surprising: nothing is kept of a promotion that a crash interrupts; the list is still due, and the next snapshot
//! finishes it.

use std::{
    collections::{BTreeMap, HashMap},
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

use super::snapshot::{Change, Difference, Found, Part, Snapshot};
use crate::{
    config::signed,
    directory::Directory,
    gateway::{CarrierGateway, ListPart},
    scene::Scene,
    signal::Signals,
};

/// How many numbers of a snapshot are in memory at once, at 24 bytes each, unless [`Lists`] says otherwise.
pub const AT_ONCE: usize = 11_000_000;
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
    /// How many numbers of a snapshot are in memory at once: longer lists are fetched once for each part, and once more for each whose changes
    /// are more than fit beside those of the parts before.
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
        action: fn(&T) -> &'static str,
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
        let mut counts = BTreeMap::<&'static str, usize>::new();
        batch.iter().for_each(|(_, it)| *counts.entry(action(it)).or_default() += 1);
        let line = |(action, count)| {
            let detail = format!("{} at {carrier}, {count} followers", account.id);
            Audit { company: Some(company.id.clone()), key: None, action, detail }
        };
        let lines: Vec<_> = counts.into_iter().map(line).collect();
        let mut each = |work: &mut Work| {
            batch.iter().for_each(|(key, it)| edit(scene, work, key, *it));
            work.audits.extend(lines.iter().cloned());
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
        let Lists { store, at_once, clock, .. } = &**self.lists;
        let ListKey { account, carrier } = &self.lease.list;
        // Of a list that nobody ever was on nobody can be missing: its parts don't wait for one another.
        let is_first = store.listed(&self.lease.list, None, 1).await?.is_empty();
        let snapshot = self.fetch(Part::WHOLE, *at_once).await?;
        let (parts, generation, as_of) = (snapshot.part(), snapshot.generation, snapshot.as_of);
        let mut first = Some(snapshot);
        let (mut followers, mut missing, mut numbers, mut added) = (0, 0, 0, 0);
        let (mut differences, mut held) = (Vec::new(), 0);
        for part in parts.all() {
            let difference = self.difference(part, first.take()).await?;
            followers += difference.followers;
            missing += difference.missing();
            numbers += difference.numbers;
            if is_first && self.judge(followers, missing) == Verdict::Promote {
                self.promote(&difference).await?;
                added += difference.added();
                continue;
            }
            let is_held = held + difference.len() <= *at_once;
            held += if is_held { difference.len() } else { 0 };
            differences.push((part, is_held.then_some(difference)));
        }
        let verdict = self.judge(followers, missing);
        let mut gone = 0;
        for (part, difference) in differences {
            let difference = match difference {
                Some(it) => it,
                None => self.difference(part, None).await?,
            };
            gone += difference.missing();
            match verdict {
                Verdict::Quarantine => self.suspend(&difference).await?,
                // A list that is fetched in parts may collapse between two of them.
                Verdict::Promote if self.judge(followers, gone) == Verdict::Quarantine => {
                    return Err(broken("the list collapsed while it was fetched"));
                }
                Verdict::Promote => {
                    self.promote(&difference).await?;
                    added += difference.added();
                }
            }
        }
        let (outcome, fetched) = match verdict {
            Verdict::Quarantine => {
                warn!(%account, %carrier, missing, "the list collapsed and is quarantined");
                (ListOutcome::Quarantined { followers, missing }, Fetched::Quarantined)
            }
            Verdict::Promote => {
                if added + missing > 0 {
                    info!(%account, %carrier, numbers, added, missing, %as_of, "promoted a list");
                }
                let skipped = numbers.saturating_sub(added);
                (ListOutcome::Promoted { generation, skipped }, Fetched::Promoted)
            }
        };
        store.end_list(self.lease, outcome, clock.now()).await?;
        Ok(fetched)
    }

    fn judge(&self, followers: u64, missing: u64) -> Verdict {
        let now = self.lists.clock.now();
        let quarantined_before = self.lease.quarantine_time.map(|since| now.duration_since(since));
        judge(followers, missing, quarantined_before, self.lease.released, &self.lists.collapse)
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

    /// What a part of the list changes, of which this is the snapshot, or else of one that is fetched now. The present list is read in two
    /// halves beside one another.
    async fn difference(&self, part: Part, snapshot: Option<Snapshot>) -> Result<Difference, Error> {
        let snapshot = match snapshot {
            Some(it) => it,
            None => self.fetch(part, usize::MAX).await?,
        };
        let halves = part.halves().map(|half| self.walk(&snapshot, half));
        let walked = future::try_join_all(halves).await?;
        let back = self.suspended(&snapshot).await?;
        Ok(snapshot.changes(walked, back))
    }

    /// Whose ties are suspended, of those that a snapshot has.
    async fn suspended(&self, snapshot: &Snapshot) -> Result<Vec<FollowerId>, Error> {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let suspended = self.lists.store.suspended(&self.lease.list.account, after, PAGE).await?;
            let Some(last) = suspended.last() else { return Ok(found) };
            after = Some(*last);
            found.extend(suspended.iter().filter(|follower| snapshot.has(**follower)));
            self.hold().await?;
        }
    }

    async fn walk(&self, snapshot: &Snapshot, part: Part) -> Result<Found, Error> {
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

    /// Makes a part of the list what its snapshot says.
    async fn promote(&self, difference: &Difference) -> Result<(), Error> {
        let (carrier, as_of) = (self.lease.list.carrier.clone(), difference.as_of);
        let change = move |scene: Scene<'_>, work: &mut Work, key: &FollowerKey, change| match change {
            Change::Added(number) => scene.arrive(work, key, number, &carrier, as_of, Origin::List),
            Change::Removed => {
                if let Some(number) = work.followers.get(key).map(|record| record.phone_number) {
                    scene.leave(work, key, number, &carrier, as_of);
                }
            }
        };
        let action = |change: &Change| match change {
            Change::Added(_) => "list_added",
            Change::Removed => "list_removed",
        };
        self.apply(action, (difference.changes(), difference.is_first), change).await?;
        let resume =
            |scene: Scene<'_>, work: &mut Work, key: &FollowerKey, ()| scene.suspend(work, key, false);
        self.apply(|()| "list_resumed", (each(&difference.back), false), resume).await
    }

    /// Suspends the ties of the followers that a snapshot lacks.
    async fn suspend(&self, difference: &Difference) -> Result<(), Error> {
        let (carrier, as_of) = (self.lease.list.carrier.clone(), difference.as_of);
        let suspend = move |scene: Scene<'_>, work: &mut Work, key: &FollowerKey, ()| {
            if scene.lists(work, key, &carrier, as_of) {
                scene.suspend(work, key, true);
            }
        };
        self.apply(|()| "list_suspended", (each(&difference.missing), false), suspend).await
    }

    /// Does something to followers, who may be believed to be new, in batches, each with a line of the audit for each action that says to how
    /// many.
    async fn apply<T: Copy + Send + Sync + 'static>(
        &self,
        action: fn(&T) -> &'static str,
        (mut followers, are_new): (impl Iterator<Item = (FollowerId, T)> + Send, bool),
        edit: impl Fn(Scene<'_>, &mut Work, &FollowerKey, T) + Send + Sync + 'static,
    ) -> Result<(), Error> {
        let edit = Arc::new(edit);
        let batches = std::iter::from_fn(|| {
            let batch: Vec<(FollowerId, T)> = followers.by_ref().take(BATCH).collect();
            (!batch.is_empty()).then_some(batch)
        });
        let one = |batch: Vec<(FollowerId, T)>| {
            let (lists, list, edit) = (Arc::clone(self.lists), self.lease.list.clone(), Arc::clone(&edit));
            // Each on a task of its own: while one is made ready, which takes a processor for long, another goes on being stored.
            let applied = lists.apply(list, action, (batch, are_new), edit).in_current_span();
            let applied = AbortOnDropHandle::new(tokio::spawn(applied));
            async move {
                applied
                    .await
                    .map_err(|_ended| Error::new(ErrorKind::Internal, "a batch of a list failed", ""))??;
                self.hold().await
            }
        };
        stream::iter(batches).map(one).buffer_unordered(BATCHES_UNDER_WAY).try_collect().await
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

fn each(followers: &[FollowerId]) -> impl Iterator<Item = (FollowerId, ())> + '_ {
    followers.iter().map(|follower| (*follower, ()))
}

fn later(now: Timestamp, wait: SignedDuration) -> Timestamp {
    now.checked_add(wait).unwrap_or(Timestamp::MAX)
}

fn broken(problem: &str) -> Error {
    Error::new(ErrorKind::FailedPrecondition, problem, "the snapshot is discarded; fetch the list anew")
}
