//! `musubi bench online-match`: decisions of a company server, asked over gRPC as the information-management server asks.
//!
//! Surprising: the limit is the store's own read of the rows that are decided on, by as many readers at once; a decision that is
//! asked for over a network and recorded can only be slower.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use futures::future::try_join_all;
use musubi_company_server as company;
use musubi_domain::{
    Error,
    caller::{Caller, Role},
    id::InquiryId,
};
use musubi_proto::{
    company::v1::{Inquiry, MatchCustomersRequest, MatchOutcome, match_service_client::MatchServiceClient},
    r#type::v1::IdentityMethod,
};
use musubi_runtime::grpc::{MAX_MESSAGE_BYTES, client::PeerChannel};
use musubi_storage::{
    company::CompanyStore, postgres::company::PostgresCompanyStore, sqlite::company::SqliteCompanyStore,
    vault::VaultOptions,
};
use serde_json::{Value, json};

use super::{
    crowd::{self, Answer, KEY_DIGITS, ROWS_PER_ANSWER},
    report::{Beside, Latency, Report, Spent, disk_bytes},
    site::{Node, Place, ProcessMemory, Site, SiteArgs, broken, stop_all},
    table::rate,
    world::World,
};
use crate::demo::screen::{Screen, Stage};

/// Answers at most.
const ANSWERS: u64 = 400_000;
/// Callers, and readers, at the same time.
const CALLERS: usize = 4;
/// Inquiries of a call.
const BATCHES: [usize; 2] = [1_000, 100];
/// Decisions that are asked for one by one, at most.
const SINGLE: usize = 10_000;
/// How long a call may take.
const DEADLINE: Duration = Duration::from_secs(60);

/// Measure matching by inquiry: a company server with N customers decides in batches, and one by one.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  musubi bench online-match --store postgres --size 10000000 --json online-match.json
  musubi bench online-match --store sqlite --size 1000000 --data-dir /var/tmp

Under test: the company server, a process for each replica, with its database, as durable as in production. For each inquiry it reads
the customers who have the account number, compares and decides, and records the decision before it answers.

Around it, in this process: callers that ask as the information-management server does, with answers of all kinds, of which about two
thirds are confirmed. The customers are imported before.

The figure is decisions a second, in calls of 1,000 by four callers; those in calls of 100 are told beside it. Then one caller asks one
by one: p50, p99 and p99.9 are the times of such a call.

The limit: the same rows, read from the store by their account numbers, in the same batches, by as many readers. A call for one decision waits
for one commit; commit_of_one_row tells how long the same database takes for the least of that.")]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) site: SiteArgs,
}

pub(super) async fn measure(args: &SiteArgs, site: &mut Site, screen: &Screen) -> Result<Report, Error> {
    let world = World::new(site.folder())?;
    let place = site.database("company", company::MIGRATIONS).await?;
    let rows = usize::try_from(args.size).unwrap_or(usize::MAX);
    let asked = (rows / ROWS_PER_ANSWER).min(usize::try_from(ANSWERS).unwrap_or(usize::MAX));
    let store = open(&place, world.vault()?).await?;
    let stage = screen.begin("customers", args.size);
    let importing = Instant::now();
    let answers = crowd::import(&*store, (rows, asked), |stored| stage.advance(stored.len() as u64)).await?;
    let importing = importing.elapsed();
    stage.end("");
    let limit = read(&*store, &answers, screen).await?;
    store.close().await;

    let before = Spent::so_far(&place, Some(0)).await?;
    let nodes = Node::replicas(args, site, "company", &configuration(&world, &place)?).await?;
    let asking = Arc::new(Asking::of(&world, &nodes, answers)?);
    let mut figures = Vec::new();
    for batch in BATCHES {
        figures.push(asking.in_batches(batch, screen).await?);
    }
    let (times, single) = asking.one_by_one(screen).await?;
    let decisions = figures.iter().map(|(count, _)| count.total()).sum::<u64>() + single;
    let memories: Vec<ProcessMemory> = nodes.iter().map(Node::memory).collect();
    let disk = disk_bytes(&nodes);
    stop_all(nodes).await?;
    let cost = before.until(&Spent::so_far(&place, disk).await?, decisions);
    let [(outcomes, large), (_, small)] = figures[..] else {
        return Err(broken("batches are missing", figures.len()));
    };
    let beside = Beside::new(
        large,
        "decisions/s",
        "the rows that are decided on, read by index in the same batches",
        limit,
    );
    let commits = commits(&place, single, screen).await?;
    let latency = Latency::of(times);
    let report = Report::new(("online-match", "decision"), args, site, memories, beside, (latency, cost));
    Ok(report.with([
        ("decisions_per_second_in_calls_of_100", small),
        ("commit_of_one_row_p50_ms", commits.p50_ms.unwrap_or_default()),
        ("commit_of_one_row_p99_ms", commits.p99_ms.unwrap_or_default()),
        ("confirmed", outcomes.confirmed as f64),
        ("for_review", outcomes.review as f64),
        ("rejected", outcomes.rejected as f64),
        ("seconds_of_import_before", importing.as_secs_f64()),
    ]))
}

async fn open(place: &Place, vault: VaultOptions) -> Result<Arc<dyn CompanyStore>, Error> {
    Ok(match place {
        Place::File(path) => Arc::new(SqliteCompanyStore::open(path, vault).await?),
        Place::Postgres(url) => Arc::new(PostgresCompanyStore::open(&Place::options(url), vault).await?),
    })
}

fn configuration(world: &World, place: &Place) -> Result<Value, Error> {
    Ok(json!({
        "company": world.company,
        "database": place.configuration(),
        "information": { "endpoint": "https://127.0.0.1:9" },
        "tls": world.tls(&world.company_server())?,
        "callers": { "operators": { "operator": Role::ALL } },
        "keys": { "master": [world.master.expose()], "audit": [crate::cluster::secret()] },
        "account": { "account_digits": KEY_DIGITS, "branch_digits": 3 },
    }))
}

/// Account numbers a second that the store's rows are read of.
async fn read(store: &dyn CompanyStore, answers: &[Answer], screen: &Screen) -> Result<f64, Error> {
    let stage = screen.begin("rows read", answers.len() as u64);
    let next = AtomicUsize::new(0);
    let begun = Instant::now();
    let readers = (0..CALLERS).map(async |_| {
        while let Some(batch) = answers.chunks(BATCHES[0]).nth(next.fetch_add(1, Ordering::Relaxed)) {
            let keys: Vec<&str> = batch.iter().map(|answer| answer.account.account_number.as_str()).collect();
            store.find_by_account_keys(&keys).await?;
            stage.advance(batch.len() as u64);
        }
        Ok::<_, Error>(())
    });
    try_join_all(readers).await?;
    let took = begun.elapsed();
    stage.end("");
    Ok(rate(answers.len(), took))
}

/// What the same database takes to commit one row, so many times.
pub(super) async fn commits(place: &Place, times: u64, screen: &Screen) -> Result<Latency, Error> {
    let stage = screen.begin("commits", times);
    let yardstick = place.yardstick().await?;
    let times = yardstick.commit_one_by_one(times).await?;
    yardstick.close().await;
    stage.advance(times.len() as u64);
    stage.end("");
    Ok(Latency::of(times.iter().map(Duration::as_secs_f32).collect()))
}

/// What was decided.
#[derive(Clone, Copy, Default)]
struct Outcomes {
    confirmed: u64,
    review: u64,
    rejected: u64,
}

impl Outcomes {
    const fn total(self) -> u64 {
        self.confirmed + self.review + self.rejected
    }

    const fn and(self, other: Self) -> Self {
        Self {
            confirmed: self.confirmed + other.confirmed,
            review: self.review + other.review,
            rejected: self.rejected + other.rejected,
        }
    }
}

/// Callers of company servers, each call to the next of them.
struct Asking {
    servers: Vec<MatchServiceClient<PeerChannel>>,
    next: AtomicUsize,
    answers: Vec<Answer>,
}

impl Asking {
    fn of(world: &World, nodes: &[Node], answers: Vec<Answer>) -> Result<Self, Error> {
        let client = |node: &Node| {
            let channel = world.channel(&Caller::Information, node.endpoint(), DEADLINE)?;
            let client = MatchServiceClient::new(channel);
            Ok(client
                .max_encoding_message_size(MAX_MESSAGE_BYTES)
                .max_decoding_message_size(MAX_MESSAGE_BYTES))
        };
        let servers = nodes.iter().map(client).collect::<Result<_, Error>>()?;
        Ok(Self { servers, next: AtomicUsize::new(0), answers })
    }

    /// Asks for all answers in calls of this size; gives what was decided, and how many decisions a second.
    async fn in_batches(&self, size: usize, screen: &Screen) -> Result<(Outcomes, f64), Error> {
        let stage = screen.begin("decisions", self.answers.len() as u64);
        let next = AtomicUsize::new(0);
        let begun = Instant::now();
        let callers = (0..CALLERS).map(|_| self.caller(size, &next, &stage));
        let outcomes = try_join_all(callers).await?.into_iter().fold(Outcomes::default(), Outcomes::and);
        let took = begun.elapsed();
        stage.end("");
        Ok((outcomes, rate(self.answers.len(), took)))
    }

    async fn caller(&self, size: usize, next: &AtomicUsize, stage: &Stage<'_>) -> Result<Outcomes, Error> {
        let mut outcomes = Outcomes::default();
        while let Some(batch) = self.answers.chunks(size).nth(next.fetch_add(1, Ordering::Relaxed)) {
            outcomes = outcomes.and(self.decide(batch).await?);
            stage.advance(batch.len() as u64);
        }
        Ok(outcomes)
    }

    /// Asks for some answers one by one; gives the seconds of each call, and how many there were.
    async fn one_by_one(&self, screen: &Screen) -> Result<(Vec<f32>, u64), Error> {
        let answers = &self.answers[..self.answers.len().min(SINGLE)];
        let stage = screen.begin("one by one", answers.len() as u64);
        let mut times = Vec::with_capacity(answers.len());
        for answer in answers.chunks(1) {
            let begun = Instant::now();
            self.decide(answer).await?;
            times.push(begun.elapsed().as_secs_f32());
            stage.advance(1);
        }
        stage.end("");
        Ok((times, answers.len() as u64))
    }

    async fn decide(&self, answers: &[Answer]) -> Result<Outcomes, Error> {
        let first = self.next.fetch_add(answers.len(), Ordering::Relaxed);
        let inquiries = answers.iter().enumerate().map(|(place, answer)| inquiry(first + place, answer));
        let request = MatchCustomersRequest { inquiries: inquiries.collect() };
        let mut server = self.servers[first / answers.len() % self.servers.len()].clone();
        let answer = server.match_customers(request).await;
        let answer = answer.map_err(|status| broken("nothing was decided", status.message()))?;
        let mut outcomes = Outcomes::default();
        for decision in answer.into_inner().decisions {
            match decision.outcome() {
                MatchOutcome::Confirmed => outcomes.confirmed += 1,
                MatchOutcome::Review => outcomes.review += 1,
                MatchOutcome::Rejected => outcomes.rejected += 1,
                MatchOutcome::Unspecified => return Err(broken("nothing was decided", "no outcome is said")),
            }
        }
        Ok(outcomes)
    }
}

/// The `number`th inquiry of this measurement.
fn inquiry(number: usize, answer: &Answer) -> Inquiry {
    let identity = &answer.identity;
    Inquiry {
        inquiry_id: InquiryId::from_bytes((number as u128).to_be_bytes()).to_string(),
        account_number: answer.account.account_number.clone(),
        branch_number: answer.account.branch_number.clone().unwrap_or_default(),
        method: IdentityMethod::from(identity.method).into(),
        name: identity.name.clone(),
        name_kana: identity.name_kana.clone().unwrap_or_default(),
        birth_date: identity.birth_date.clone(),
        address: identity.address.clone(),
    }
}
