//! Personal data at rest: keys of companies in a node's database, and the rows that they seal.
//!
//! The keys stand in `company_key`, each wrapped by a master key that a [`KeyService`] has; a store reads them when it is opened and
//! from then on seals what it binds and opens what it reads, without a question more. A new epoch is used ten minutes after it was made, when
//! every replica knows it, so no reader meets a key that it hasn't got. Rows of older epochs are sealed anew in the background, a walk
//! through each table. Surprising: an epoch is destroyed by the second walk that finds no row of it, long after the first; whoever
//! slept through the first may have written a row since.

pub(crate) mod customer;
mod keys;
mod relation;
mod walk;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use musubi_domain::{
    Error, ErrorKind,
    id::{CompanyId, OfficialAccountId},
    vault::{CompanyKey, CompanyKeys, LOOK_UPS, MasterKeys, ReviewSeals},
};

pub(crate) use self::{
    keys::Keys,
    relation::{Fresh, Relation, SealedRow},
    walk::Walk,
};
use crate::{StoreError, ephemeral::Now};

/// Nobody seals with a new epoch before every replica knows it: they read the keys [`TEND_EVERY`].
const LEAD: SignedDuration = SignedDuration::from_mins(10);
/// How often a node has its store look after its keys.
pub const TEND_EVERY: std::time::Duration = std::time::Duration::from_secs(10);

/// Who has the master key: this process, or a service somewhere.
#[async_trait]
pub trait KeyService: Send + Sync {
    /// Wraps a company's key of an epoch, for the database.
    ///
    /// # Errors
    /// `Unavailable` when the service doesn't answer.
    async fn wrap(&self, company: &CompanyId, epoch: u32, key: &CompanyKey) -> Result<Vec<u8>, Error>;

    /// What was wrapped.
    ///
    /// # Errors
    /// `FailedPrecondition` when its master key is gone; `Internal` when the bytes were changed, or are another company's;
    /// `Unavailable`.
    async fn unwrap(&self, company: &CompanyId, epoch: u32, wrapped: &[u8]) -> Result<CompanyKey, Error>;

    /// Whether the master key that wraps now wrapped this; if not, the store has it wrapped anew.
    fn is_current(&self, wrapped: &[u8]) -> bool;
}

#[async_trait]
impl KeyService for MasterKeys {
    async fn wrap(&self, company: &CompanyId, epoch: u32, key: &CompanyKey) -> Result<Vec<u8>, Error> {
        Self::wrap(self, company, epoch, key)
    }

    async fn unwrap(&self, company: &CompanyId, epoch: u32, wrapped: &[u8]) -> Result<CompanyKey, Error> {
        Self::unwrap(self, company, epoch, wrapped)
    }

    fn is_current(&self, wrapped: &[u8]) -> bool {
        Self::is_current(self, wrapped)
    }
}

/// When keys turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// A new epoch when the newest is so old; none: never.
    pub epoch: Option<SignedDuration>,
    /// How long an epoch stays after the next one took its place.
    pub keep: SignedDuration,
}

impl Schedule {
    /// In days, as configurations say it; 0 days of an epoch: never.
    #[must_use]
    pub fn of_days(epoch: u16, keep: u16) -> Self {
        let days = |days: u16| SignedDuration::from_hours(24 * i64::from(days));
        Self { epoch: (epoch > 0).then(|| days(epoch)), keep: days(keep) }
    }
}

/// What a store seals with.
#[derive(Clone)]
pub struct VaultOptions {
    /// Who has the master key.
    pub service: Arc<dyn KeyService>,
    /// Makes keys: 32 bytes that nobody can guess.
    pub random: fn() -> [u8; 32],
    /// The time.
    pub now: Now,
    /// When keys turn.
    pub schedule: Schedule,
    /// Whose data the node keeps. A company server has one.
    pub companies: Vec<CompanyId>,
    /// Whose each official account is; none on a company server.
    pub accounts: Vec<(OfficialAccountId, CompanyId)>,
    /// What sealed reviews before there was a vault.
    pub reviews_before: ReviewSeals,
}

impl VaultOptions {
    /// The company of a company server.
    pub(crate) fn only_company(&self) -> Result<CompanyId, Error> {
        let [company] = &self.companies[..] else {
            return Err(Error::new(ErrorKind::Internal, "a company server has one company", ""));
        };
        Ok(company.clone())
    }
}

impl fmt::Debug for VaultOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VaultOptions({} companies)", self.companies.len())
    }
}

/// A store that seals: what its node has to have it do in the background.
#[async_trait]
pub trait Sealing: Send + Sync {
    /// Reads the keys anew, for another replica may have made some, and makes an epoch for each company whose newest is old
    /// enough. Gives whether rows have to be looked through: then call [`reseal`](Self::reseal) until it gives 0.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`], and what the key service says.
    async fn tend_keys(&self) -> Result<bool, StoreError>;

    /// Looks at the next rows, about `limit`, and seals those of older epochs anew. Gives how many it looked at; 0 at the end,
    /// and then what no row needs any more is destroyed, if its time has come. Reads and writes go on beside it.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: the same rows come again.
    async fn reseal(&self, limit: u32) -> Result<u32, StoreError>;
}

/// A row of `company_key`.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct KeyRow {
    pub(crate) company: String,
    pub(crate) epoch: u32,
    pub(crate) wrapped: Vec<u8>,
    pub(crate) create_time: Timestamp,
    /// Nobody seals with it before.
    pub(crate) use_time: Timestamp,
    /// A walk found no row of it.
    pub(crate) empty_time: Option<Timestamp>,
}

/// Seals those rows of a page that have to be sealed anew.
pub(crate) type Seal<'a> = dyn Fn(&[SealedRow]) -> Result<Vec<Fresh>, StoreError> + Sync + 'a;

/// What the database keeps for the vault; one transaction each.
#[async_trait]
pub(crate) trait Backend: Send + Sync {
    /// All keys, and whose each account is.
    async fn keys(&self) -> Result<(Vec<KeyRow>, Vec<(String, String)>), StoreError>;
    /// Adds keys and accounts; those that are there stay as they are.
    async fn add(&self, keys: &[KeyRow], accounts: &[(String, String)]) -> Result<(), StoreError>;
    /// Writes the wrapped bytes and the empty time of a key.
    async fn change_key(&self, key: &KeyRow) -> Result<(), StoreError>;
    /// Deletes a key.
    async fn destroy_key(&self, key: &KeyRow) -> Result<(), StoreError>;
    /// Tables with rows from before there was a vault.
    async fn unsealed(&self) -> Result<Vec<String>, StoreError>;
    /// That table has none any more.
    async fn is_sealed(&self, table: &'static str) -> Result<(), StoreError>;
    /// What stood in the clear is overwritten, as far as the database can.
    async fn wipe(&self) -> Result<(), StoreError>;
    /// The rows behind one, or the first.
    async fn page(
        &self,
        relation: Relation,
        after: Option<&SealedRow>,
        limit: u32,
    ) -> Result<Vec<SealedRow>, StoreError>;
    /// The same page again, locked, and what `seal` makes of its rows written; gives its last row.
    async fn reseal(
        &self,
        relation: Relation,
        after: Option<&SealedRow>,
        limit: u32,
        seal: &Seal<'_>,
    ) -> Result<Option<SealedRow>, StoreError>;
}

/// The keys that a store works with, and how they turn.
pub(crate) struct Vault {
    options: VaultOptions,
    relations: &'static [Relation],
    keys: RwLock<Arc<Keys>>,
    known: Mutex<Known>,
    walk: Mutex<Option<Walk>>,
}

/// What was read of the database last.
#[derive(Default)]
struct Known {
    rows: Vec<KeyRow>,
    /// Unwrapped once, each.
    unwrapped: HashMap<(String, u32), CompanyKey>,
}

impl Vault {
    /// Reads the keys, makes those that are missing, has those wrapped anew that an older master key wrapped, and seals what stands
    /// in the clear from before.
    pub(crate) async fn open(
        backend: &dyn Backend,
        relations: &'static [Relation],
        options: VaultOptions,
    ) -> Result<Arc<Self>, StoreError> {
        let vault = Self {
            options,
            relations,
            keys: RwLock::default(),
            known: Mutex::default(),
            walk: Mutex::default(),
        };
        vault.make_first(backend).await?;
        let accounts = vault.read(backend).await?;
        vault.check_accounts(&accounts)?;
        vault.rewrap(backend).await?;
        walk::seal_what_is_clear(&vault, backend).await?;
        Ok(Arc::new(vault))
    }

    /// The keys as they are now, for one piece of work.
    pub(crate) fn keys(&self) -> Arc<Keys> {
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn now(&self) -> Timestamp {
        (self.options.now)()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn walk(&self) -> MutexGuard<'_, Option<Walk>> {
        self.walk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn new_key(&self, company: &CompanyId, epoch: u32, use_time: Timestamp) -> Result<KeyRow, Error> {
        let key = CompanyKey::new((self.options.random)());
        let wrapped = self.options.service.wrap(company, epoch, &key).await?;
        Ok(KeyRow {
            company: company.to_string(),
            epoch,
            wrapped,
            create_time: self.now(),
            use_time,
            empty_time: None,
        })
    }

    /// The first keys of companies that have none, and accounts that are new.
    async fn make_first(&self, backend: &dyn Backend) -> Result<(), StoreError> {
        let (rows, accounts) = backend.keys().await?;
        self.check_companies(&rows)?;
        let has: BTreeSet<(&str, bool)> =
            rows.iter().map(|row| (row.company.as_str(), row.epoch == LOOK_UPS)).collect();
        let mut new = Vec::new();
        for company in &self.options.companies {
            if !has.contains(&(company.as_str(), true)) {
                if has.contains(&(company.as_str(), false)) {
                    let problem = format!("the key of look-ups of company {company} is gone");
                    let remedy = "restore the table company_key from a backup";
                    return Err(Error::new(ErrorKind::Internal, problem, remedy).into());
                }
                new.push(self.new_key(company, LOOK_UPS, self.now()).await?);
                new.push(self.new_key(company, LOOK_UPS + 1, self.now()).await?);
            }
        }
        let new_accounts: Vec<_> = self
            .options
            .accounts
            .iter()
            .filter(|(account, _)| !accounts.iter().any(|(known, _)| known == account.as_str()))
            .map(|(account, company)| (account.to_string(), company.to_string()))
            .collect();
        if new.is_empty() && new_accounts.is_empty() {
            return Ok(());
        }
        backend.add(&new, &new_accounts).await
    }

    /// Reads the keys, and unwraps those that are new. Gives whose each account is.
    async fn read(&self, backend: &dyn Backend) -> Result<Vec<(String, String)>, StoreError> {
        let (rows, accounts) = backend.keys().await?;
        let unknown: Vec<KeyRow> = {
            let known = self.known();
            let is_known = |row: &&KeyRow| known.unwrapped.contains_key(&(row.company.clone(), row.epoch));
            rows.iter().filter(|row| !is_known(row)).cloned().collect()
        };
        let mut unwrapped = Vec::with_capacity(unknown.len());
        for row in unknown {
            let key = self.options.service.unwrap(&row.company.parse()?, row.epoch, &row.wrapped).await?;
            unwrapped.push(((row.company, row.epoch), key));
        }
        let now = self.now();
        let mut known = self.known();
        known.unwrapped.extend(unwrapped);
        known.unwrapped.retain(|(company, epoch), _| {
            rows.iter().any(|row| row.company == *company && row.epoch == *epoch)
        });
        let mut companies: BTreeMap<&str, Vec<(u32, CompanyKey)>> = BTreeMap::new();
        for row in &rows {
            if let Some(key) = known.unwrapped.get(&(row.company.clone(), row.epoch)) {
                companies.entry(&row.company).or_default().push((row.epoch, key.clone()));
            }
        }
        let mut keys = Keys::default();
        for (company, all) in companies {
            let sealing = sealing(&rows, company, now);
            keys.add_company(Arc::new(CompanyKeys::new(company.parse()?, &all, sealing)?));
        }
        for (account, company) in &accounts {
            keys.add_account(account, company);
        }
        known.rows = rows;
        drop(known);
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
        Ok(accounts)
    }

    /// A company server's database is its company's for good.
    fn check_companies(&self, rows: &[KeyRow]) -> Result<(), Error> {
        let others =
            rows.iter().find(|row| !self.options.companies.iter().any(|it| it.as_str() == row.company));
        match others.filter(|_| self.relations == Relation::COMPANY) {
            None => Ok(()),
            Some(KeyRow { company, .. }) => {
                let problem = format!("the database is that of company {company}, whose keys seal its rows");
                let remedy = "name that company, or another database";
                Err(Error::new(ErrorKind::FailedPrecondition, problem, remedy).at("company"))
            }
        }
    }

    /// An account's rows are sealed with its company's keys: it stays that company's.
    fn check_accounts(&self, known: &[(String, String)]) -> Result<(), Error> {
        for (account, company) in &self.options.accounts {
            let was = known.iter().find(|(known, _)| known == account.as_str()).map(|(_, was)| was);
            if let Some(was) = was.filter(|was| *was != company.as_str()) {
                let problem = format!("{account} belonged to company {was}, whose keys seal its rows");
                let remedy = "leave it to that company, and configure a new official account";
                return Err(
                    Error::new(ErrorKind::FailedPrecondition, problem, remedy).at("official_account.company")
                );
            }
        }
        Ok(())
    }

    /// Has keys wrapped by the present master key.
    async fn rewrap(&self, backend: &dyn Backend) -> Result<(), StoreError> {
        let service = &self.options.service;
        let old: Vec<_> = {
            let known = self.known();
            let old = known.rows.iter().filter(|row| !service.is_current(&row.wrapped));
            let with_key = old.filter_map(|row| {
                let key = known.unwrapped.get(&(row.company.clone(), row.epoch))?;
                Some((row.clone(), key.clone()))
            });
            with_key.collect()
        };
        for (mut row, key) in old {
            row.wrapped = service.wrap(&row.company.parse()?, row.epoch, &key).await?;
            backend.change_key(&row).await?;
        }
        Ok(())
    }

    /// Reads the keys and makes new epochs; gives whether there is to be a walk.
    pub(crate) async fn tend(&self, backend: &dyn Backend) -> Result<bool, StoreError> {
        self.read(backend).await?;
        let now = self.now();
        let old = self.options.schedule.epoch.map(|epoch| now.checked_sub(epoch).unwrap_or(Timestamp::MIN));
        let newest: BTreeMap<String, (u32, Timestamp)> = {
            let known = self.known();
            let rows = known.rows.iter().map(|row| (row.company.clone(), (row.epoch, row.create_time)));
            let mut newest = BTreeMap::new();
            for (company, row) in rows {
                let known = newest.entry(company).or_insert(row);
                *known = row.max(*known);
            }
            newest
        };
        let mut new = Vec::new();
        for (company, (epoch, create_time)) in newest {
            if old.is_some_and(|old| create_time <= old) {
                let use_time = now.checked_add(LEAD).unwrap_or(Timestamp::MAX);
                new.push(self.new_key(&company.parse()?, epoch + 1, use_time).await?);
            }
        }
        if !new.is_empty() {
            backend.add(&new, &[]).await?;
            self.read(backend).await?;
        }
        let wanted = !self.superseded(now).is_empty();
        let mut walk = self.walk();
        if wanted && walk.is_none() {
            *walk = Some(Walk::begin(now));
        }
        Ok(walk.is_some())
    }

    /// Epochs that another has replaced for long enough that everybody knows, and that were not walked after yet or may go: each with
    /// whether it may.
    fn superseded(&self, now: Timestamp) -> Vec<(KeyRow, bool)> {
        let known = self.known();
        let mut superseded = Vec::new();
        for row in known.rows.iter().filter(|row| row.epoch != LOOK_UPS) {
            let after =
                known.rows.iter().filter(|next| next.company == row.company && next.epoch > row.epoch);
            let Some(replaced) = after.map(|next| next.use_time).min() else { continue };
            let since = |time: Timestamp, wait| time.checked_add(wait).is_ok_and(|time| time <= now);
            let may_go = row.empty_time.is_some_and(|empty| since(empty, LEAD))
                && since(replaced, self.options.schedule.keep);
            if since(replaced, LEAD) && (row.empty_time.is_none() || may_go) {
                superseded.push((row.clone(), may_go));
            }
        }
        superseded
    }
}

/// The newest epoch of a company that may be used; the first, should none be.
fn sealing(rows: &[KeyRow], company: &str, now: Timestamp) -> u32 {
    let of_company = || rows.iter().filter(|row| row.company == company && row.epoch != LOOK_UPS);
    let usable = of_company().filter(|row| row.use_time <= now).map(|row| row.epoch).max();
    usable.or_else(|| of_company().map(|row| row.epoch).min()).unwrap_or(LOOK_UPS + 1)
}
