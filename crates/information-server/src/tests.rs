//! What tests stand on: a store in a file, a clock that stands still, two companies, a carrier.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use futures::stream::{self, BoxStream};
use jiff::{SignedDuration, Timestamp};
use musubi_domain::{
    Error, ErrorKind,
    approval::SecondPerson,
    caller::Caller,
    delivery::Addressed,
    dialogue::{Dialogue, Rules, Stage, State},
    distribution::Command,
    eligibility::Tie,
    guess::Limits,
    id::{CarrierId, DialogueId, FollowerId, MessageId, OfficialAccountId, TieId},
    identity::IdentityMethod,
    phone_number::PhoneNumber,
    roster::ListDigest,
    silence::{DEFAULT_SILENT_DAYS, Silence},
    vault::{MasterKeys, ReviewSeals},
};
use musubi_matching::{AccountFormat, Policy};
use musubi_runtime::{Clock, ManualClock, grpc::status::from_status};
use musubi_storage::{
    ephemeral::memory::MemoryEphemeral,
    information::{
        FollowerKey, InformationStore,
        distribution::Order,
        flow::{FlowStore as _, FollowerRecord, Matched, Scope, TieRecord, Work},
    },
    sqlite::information::SqliteInformation,
    vault::{Schedule, VaultOptions},
};
use tokio::sync::Semaphore;
use tonic::{Request, Status};

use crate::{
    directory::{Account, Company, Directory, Matching, Texts},
    gateway::{CarrierGateway, ListPart, OutgoingMessage, Verdict, VerificationKey},
    signal::Signals,
};

/// Two companies, each with an account of its own name: `bank` entrusts its customers, `power` is asked, and wants two persons for
/// a review and for whatever may need two.
pub(crate) struct World {
    store: SqliteInformation,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) directory: Arc<Directory>,
    pub(crate) signals: Signals,
    folder: tempfile::TempDir,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::limited(0, 0).await
    }

    /// With so many messages a second of each company and of each account.
    pub(crate) async fn limited(of_company: u32, of_account: u32) -> Self {
        Self::of(of_company, of_account, DEFAULT_SILENT_DAYS).await
    }

    /// Whose numbers may be silent for so many days.
    pub(crate) async fn silent(days: u16) -> Self {
        Self::of(0, 0, days).await
    }

    async fn of(of_company: u32, of_account: u32, silent_days: u16) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteInformation::open(&folder.path().join("information.db"), vault()).await.unwrap();
        let company = |id: &str, matching| Company {
            id: id.parse().unwrap(),
            matching,
            account_format: AccountFormat { account_digits: 7, branch_digits: 3 },
            policy: Policy::default(),
            methods: vec![IdentityMethod::Jpki],
            limits: Limits::default(),
            link_hosts: musubi_domain::link::LinkHosts::parse(&["bank.example".to_owned()]).unwrap(),
            messages_per_second: of_company,
            second_person: match id {
                "power" => SecondPerson { distribution_above: 2, ..SecondPerson::default() },
                _ => alone(),
            },
        };
        let account = |id: &str| Account {
            id: id.parse().unwrap(),
            company: id.parse().unwrap(),
            display_name: id.to_owned(),
            carriers: vec!["kumo".parse().unwrap(), "nami".parse().unwrap()],
            rules: Rules { review_second_person: id == "power", ..Rules::default() },
            texts: Texts::default(),
            tie_days: 180,
            silence: Silence::of_days(silent_days),
            messages_per_second: of_account,
        };
        let companies = vec![company("bank", Matching::Custody), company("power", Matching::Inquiry)];
        Self {
            store,
            clock: Arc::new(ManualClock::new(start())),
            directory: Arc::new(Directory::new(companies, vec![account("bank"), account("power")])),
            signals: signals(),
            folder,
        }
    }

    pub(crate) fn store(&self) -> Arc<dyn InformationStore> {
        Arc::new(self.store.clone())
    }

    /// Where the store's file is.
    pub(crate) fn database(&self) -> std::path::PathBuf {
        self.folder.path().join("information.db")
    }

    pub(crate) fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock) as Arc<dyn Clock>
    }

    /// Followers of an account on carrier kumo, from 1 on; those that have a customer are confirmed and tied to it.
    pub(crate) async fn follow(&self, account: &str, customers: &[Option<&str>]) {
        let mut edit = |work: &mut Work| {
            for (last, customer) in (1_u8..).zip(customers) {
                let key = FollowerKey { account: account.parse().unwrap(), follower: follower(last) };
                work.followers.insert(key, record(last, *customer));
            }
        };
        self.store.work("fixture", &Scope::default(), start(), &mut edit).await.unwrap();
    }
}

/// A carrier that does as it is told. Untold it has nobody on its list and no keys, and accepts every message.
pub(crate) struct Carrier {
    pub(crate) id: CarrierId,
    pub(crate) keys: Vec<VerificationKey>,
    /// Who follows any account, and when that was so.
    pub(crate) list: Mutex<(Timestamp, BTreeSet<PhoneNumber>)>,
    /// Whether the list ends before its end.
    pub(crate) breaks_off: AtomicBool,
    pub(crate) fetches: AtomicUsize,
    pub(crate) answer: Mutex<Result<Verdict, ErrorKind>>,
    /// An account whose batches it keeps until it may go on.
    pub(crate) keeps: Mutex<Option<(&'static str, Arc<Semaphore>)>>,
    /// The account and the size of each batch that was sent.
    pub(crate) batches: Mutex<Vec<(String, usize)>>,
    /// Whether it keeps a list at all, and whom no message reaches where it doesn't.
    pub(crate) has_list: bool,
    pub(crate) unreached: BTreeSet<PhoneNumber>,
    /// What was asked back.
    pub(crate) revoked: Mutex<Vec<MessageId>>,
}

impl Carrier {
    pub(crate) fn new(id: &str) -> Self {
        Self {
            id: id.parse().unwrap(),
            keys: Vec::new(),
            list: Mutex::new((start(), BTreeSet::new())),
            breaks_off: AtomicBool::default(),
            fetches: AtomicUsize::default(),
            answer: Mutex::new(Ok(Verdict::Accepted)),
            keeps: Mutex::default(),
            batches: Mutex::default(),
            has_list: true,
            unreached: BTreeSet::new(),
            revoked: Mutex::default(),
        }
    }
}

#[async_trait]
impl CarrierGateway for Carrier {
    fn carrier(&self) -> &CarrierId {
        &self.id
    }

    async fn open_account(&self, _: &OfficialAccountId, _: &str) -> Result<(), Error> {
        Ok(())
    }

    fn has_list(&self) -> bool {
        self.has_list
    }

    async fn reachable(&self, _: &OfficialAccountId, numbers: &[PhoneNumber]) -> Result<Vec<bool>, Error> {
        Ok(numbers.iter().map(|number| !self.unreached.contains(number)).collect())
    }

    async fn fetch_list(
        &self,
        _: &OfficialAccountId,
    ) -> Result<BoxStream<'static, Result<ListPart, Error>>, Error> {
        self.fetches.fetch_add(1, Ordering::SeqCst);
        let (as_of, numbers) = self.list.lock().unwrap().clone();
        let numbers = Vec::from_iter(numbers);
        let mut digest = ListDigest::default();
        numbers.iter().for_each(|number| digest.update(number.as_str()));
        let mut parts = vec![Ok(ListPart::Header { generation: 7, as_of })];
        let pages = (0..).zip(numbers.chunks(50));
        parts.extend(
            pages.map(|(page_number, page)| Ok(ListPart::Page { page_number, numbers: page.to_vec() })),
        );
        if !self.breaks_off.load(Ordering::SeqCst) {
            let (count, digest) = (numbers.len() as u64, digest.finish().to_vec());
            parts.push(Ok(ListPart::End { count, digest }));
        }
        Ok(Box::pin(stream::iter(parts)))
    }

    async fn send(
        &self,
        account: &OfficialAccountId,
        messages: Vec<OutgoingMessage>,
    ) -> Result<Vec<Verdict>, Error> {
        self.batches.lock().unwrap().push((account.to_string(), messages.len()));
        let keeps = self.keeps.lock().unwrap().clone();
        if let Some((_, may_go_on)) = keeps.filter(|(kept, _)| *kept == account.as_str()) {
            drop(may_go_on.acquire().await);
        }
        let answer = *self.answer.lock().unwrap();
        answer
            .map(|verdict| vec![verdict; messages.len()])
            .map_err(|kind| Error::new(kind, "as it was told", ""))
    }

    async fn revoke(&self, _: &OfficialAccountId, messages: &[Addressed]) -> Result<Vec<bool>, Error> {
        self.revoked.lock().unwrap().extend(messages.iter().map(|message| message.message_id));
        Ok(vec![true; messages.len()])
    }

    async fn verification_keys(&self) -> Result<Vec<VerificationKey>, Error> {
        Ok(self.keys.clone())
    }
}

/// One person is enough for everything.
pub(crate) fn alone() -> SecondPerson {
    SecondPerson { acts: Vec::new(), distribution_above: u64::MAX, ..SecondPerson::default() }
}

/// The order that starts a distribution.
pub(crate) fn started() -> Order {
    let operator = "sato".parse().unwrap();
    Order { command: Command::Start, operator, alone_up_to: u64::MAX, looked_at: None }
}

/// Signals within one process, without a clock that anybody needs.
pub(crate) fn signals() -> Signals {
    Signals::over(Arc::new(MemoryEphemeral::new(Arc::new(start))))
}

/// What seals in tests; each company has an account of its own name.
pub(crate) fn vault() -> VaultOptions {
    let names = ["bank", "power"];
    VaultOptions {
        service: Arc::new(MasterKeys::new(&[b"the master key of all the tests."]).unwrap()),
        random: || [7; 32],
        now: Arc::new(start),
        schedule: Schedule::of_days(0, 35),
        companies: names.iter().map(|name| name.parse().unwrap()).collect(),
        accounts: names.iter().map(|name| (name.parse().unwrap(), name.parse().unwrap())).collect(),
        reviews_before: ReviewSeals::default(),
    }
}

/// When tests begin.
pub(crate) fn start() -> Timestamp {
    "2026-11-23T00:00:00Z".parse().unwrap()
}

/// So many minutes after the start.
pub(crate) fn minute(count: i64) -> Timestamp {
    start() + SignedDuration::from_mins(count)
}

pub(crate) fn follower(last: u8) -> FollowerId {
    FollowerId::from_bytes([last; 16])
}

pub(crate) fn record(last: u8, customer: Option<&str>) -> FollowerRecord {
    let id = DialogueId::derive(follower(last), 0);
    let mut dialogue = Dialogue::begin(id, 0, &Rules::default(), start());
    if customer.is_some() {
        (dialogue.state, dialogue.reached) = (State::Confirmed, Stage::Verified);
    }
    let tie = customer.map(|customer| TieRecord {
        tie: Tie {
            id: TieId::derive(id),
            customer_id: customer.parse().unwrap(),
            suspended: false,
            expire_time: Timestamp::MAX,
            holder: Silence::of_days(30).proved(start()),
        },
        method: IdentityMethod::Jpki,
        tie_time: start(),
    });
    FollowerRecord {
        phone_number: format!("+8190{last:08}").parse().unwrap(),
        carrier: "kumo".parse().unwrap(),
        following: true,
        follow_time: start(),
        suspended: false,
        subscriptions: Vec::new(),
        dialogue: Some(dialogue),
        matched: Matched::default(),
        shown: None,
        tie,
        former_customer: None,
        inquiry: None,
        review: None,
    }
}

/// A request that came from this company.
pub(crate) fn from<T>(company: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.extensions_mut().insert(Caller::Company(company.parse().unwrap()));
    request
}

/// The error that a call was refused with.
pub(crate) fn refusal<T>(outcome: Result<T, Status>) -> Error {
    match outcome {
        Ok(_) => panic!("it was not refused"),
        Err(status) => from_status(&status),
    }
}
