//! What is played while nodes die: a population of some hundred stories, or thousands, from the masters to distributions.
//!
//! It calls the company servers and the terminals, and nobody else, and repeats every call until it is answered, which the
//! contracts say is safe. Surprising: it takes its time on purpose, so that there is always something under way to be killed.

use std::{
    fmt::Write as _,
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, SystemTime},
};

use futures::{StreamExt as _, future::join_all, stream};
use musubi::population::{self, CustomerRow, OfficialAccountPlan, Plan, Population, write_customers};
use musubi_proto::{
    company::v1::{
        EntrustMasterRequest, ImportCustomersRequest, customer_service_client::CustomerServiceClient,
    },
    information::v1::{
        CreateDistributionRequest, CustomerValues, DeliveryCount, Distribution, Follower,
        GetDistributionRequest, GetFunnelRequest, ListFollowersRequest, MessageTally,
        StartDistributionRequest, Template, UploadValuesRequest, Variable, VariableKind,
        distribution_service_client::DistributionServiceClient,
        follower_service_client::FollowerServiceClient,
    },
    terminal::v1::{
        GetProgressRequest, GetProgressResponse, ListTalkRoomsRequest, PlayStoriesRequest, TalkRoom,
        terminal_service_client::TerminalServiceClient,
    },
};
use musubi_runtime::{
    Shutdown,
    grpc::{
        client::PeerChannel,
        retry::{Backoff, with_retry},
    },
};
use musubi_terminal_simulator::story::Story;
use musubi_tests::processes::{CARRIERS, COMPANIES, Company, System};
use tokio::time::{Instant, sleep};
use tonic::Status;

use super::judge;

/// Between two tries of a call, and how many there are: half a minute.
const AGAIN: Backoff =
    Backoff { first: Duration::from_millis(20), cap: Duration::from_millis(300), tries: Some(200) };
/// How long a stage may take once nobody is killed any more: a few seconds, and much longer on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(100);
/// A master comes in parts of so many bytes, stories and values in batches of so many, each after a while.
const PART: (usize, Duration) = (2_048, Duration::from_millis(50));
const STORIES: (usize, Duration) = (10, Duration::from_millis(150));
const VALUES: (usize, Duration) = (25, Duration::from_millis(50));
/// Who is in a hurry takes no break, and so many times as much at once.
const HURRIED: usize = 20;
/// How many make a master large: their rows take more than a few MiB.
const STRANGERS: usize = 6_000;
/// The rate of the distributions.
const MESSAGES_PER_SECOND: u32 = 20;
/// The most that a page of followers or talk rooms may hold.
const PAGE: u32 = 1_000;

/// Calls until it is answered.
macro_rules! ask {
    ($client:expr, $method:ident, $request:expr) => {{
        let (client, never) = ($client.clone(), Shutdown::new(Duration::ZERO));
        let answer = with_retry(stringify!($method), AGAIN, &never, || {
            let (mut client, request) = (client.clone(), $request);
            async move { client.$method(request).await }
        });
        answer.await.unwrap_or_else(|status| panic!("{} failed: {status}", stringify!($method))).into_inner()
    }};
}

/// A distribution: the place of its company, and its id.
pub(super) type Distributed = (usize, String);

/// The doors of one company server.
struct CompanyDoors {
    id: &'static str,
    in_custody: bool,
    customers: CustomerServiceClient<PeerChannel>,
    followers: FollowerServiceClient<PeerChannel>,
    distributions: DistributionServiceClient<PeerChannel>,
    /// How many distributions were started.
    started: AtomicUsize,
}

/// A population and the doors through which it is played.
pub(super) struct Play {
    population: Population,
    companies: Vec<CompanyDoors>,
    terminal: TerminalServiceClient<PeerChannel>,
    is_hurried: bool,
}

/// What is seen from outside.
pub(super) struct Sight {
    /// Of both companies, with the official account.
    pub(super) followers: Vec<(&'static str, Follower)>,
    /// Messages by purpose and state.
    pub(super) messages: Vec<MessageTally>,
    /// How far the stories are.
    pub(super) progress: GetProgressResponse,
}

/// So many stories of the system's companies, the same for the same seed.
pub(super) fn population_of(seed: u64, stories: usize) -> Population {
    population_with(COMPANIES, seed, stories)
}

/// The same, of companies that are otherwise.
pub(super) fn population_with(companies: [Company; 2], seed: u64, stories: usize) -> Population {
    let account = |company: &Company| OfficialAccountPlan {
        id: company.id.to_owned(),
        account_digits: company.account_digits,
        branch_digits: company.branch_digits,
        customer_prefix: company.id[..1].to_uppercase(),
    };
    population::generate(&Plan {
        seed,
        followers: stories,
        official_accounts: companies.iter().map(account).collect(),
        carriers: CARRIERS.map(str::to_owned).to_vec(),
    })
}

impl Play {
    /// So many stories, the same for the same seed.
    pub(super) fn new(system: &System, seed: u64, stories: usize) -> Self {
        Self::of(system, population_of(seed, stories))
    }

    /// The stories of these people.
    pub(super) fn of(system: &System, population: Population) -> Self {
        let doors = |company: &Company| {
            let channel = system.channel(company.id);
            CompanyDoors {
                id: company.id,
                in_custody: company.matching == "custody",
                customers: CustomerServiceClient::new(channel.clone()),
                followers: FollowerServiceClient::new(channel.clone()),
                distributions: DistributionServiceClient::new(channel),
                started: AtomicUsize::new(0),
            }
        };
        Self {
            population,
            companies: COMPANIES.iter().map(doors).collect(),
            terminal: TerminalServiceClient::new(system.channel("phones")),
            is_hurried: false,
        }
    }

    /// The same, as fast as everybody can.
    pub(super) fn hurried(self) -> Self {
        Self { is_hurried: true, ..self }
    }

    /// Whoever is in a hurry has much to do.
    fn patience(&self) -> Duration {
        if self.is_hurried { PATIENCE * 2 } else { PATIENCE }
    }

    fn pace(&self, (size, pause): (usize, Duration)) -> (usize, Duration) {
        if self.is_hurried { (size * HURRIED, Duration::ZERO) } else { (size, pause) }
    }

    /// Imports both masters and entrusts the one that is matched in custody (S10).
    pub(super) async fn import_masters(&self) {
        let imports =
            self.companies.iter().zip(&self.population.masters).map(|(company, master)| async move {
                let mut file = Vec::new();
                write_customers(&master.rows, &mut file).unwrap();
                let (size, pause) = self.pace(PART);
                let parts = file
                    .chunks(size)
                    .map(|chunk| ImportCustomersRequest { dry_run: false, chunk: chunk.to_vec() });
                let parts: Vec<_> = parts.collect();
                let slowly = || {
                    stream::iter(parts.clone()).then(move |part| async move {
                        sleep(pause).await;
                        part
                    })
                };
                let answer = ask!(company.customers, import_customers, slowly());
                assert_eq!((answer.rows, answer.error_count), (master.rows.len() as u64, 0));
                if company.in_custody {
                    let request = EntrustMasterRequest { lease_seconds: 3_600, blind: false };
                    let answer = ask!(company.customers, entrust_master, request);
                    assert_eq!(answer.customers, master.rows.len() as u64);
                }
            });
        join_all(imports).await;
    }

    /// Imports the first company's master with some thousands of strangers in it, in one call; gives how many of them are new.
    pub(super) async fn import_large_master(&self) -> Result<u64, Status> {
        let master = &self.population.masters[0];
        let stranger = |number: usize| CustomerRow {
            customer_id: format!("Z{number:06}"),
            birth_date: "1900-01-01".to_owned(),
            branch_number: "999".to_owned(),
            account_number: format!("{number:07}"),
            ..master.rows[0].clone()
        };
        let rows: Vec<_> = master.rows.iter().cloned().chain((0..STRANGERS).map(stranger)).collect();
        let mut file = Vec::new();
        write_customers(&rows, &mut file).unwrap();
        let parts: Vec<_> = file
            .chunks(usize::from(u16::MAX))
            .map(|chunk| ImportCustomersRequest { dry_run: false, chunk: chunk.to_vec() })
            .collect();
        let mut customers = self.companies[0].customers.clone();
        let answer = customers.import_customers(stream::iter(parts)).await?.into_inner();
        assert_eq!((answer.rows, answer.error_count), (rows.len() as u64, 0));
        Ok(answer.added)
    }

    /// Hands the stories to the terminals (S11).
    pub(super) async fn hand_out_stories(&self) {
        self.hand_out(&self.population.stories).await;
    }

    /// Hands some of the stories to the terminals.
    pub(super) async fn hand_out(&self, stories: &[Story]) {
        let (size, pause) = self.pace(STORIES);
        for batch in stories.chunks(size) {
            let stories = || batch.iter().map(Into::into).collect();
            ask!(self.terminal, play_stories, PlayStoriesRequest { stories: stories() });
            sleep(pause).await;
        }
    }

    /// Who takes part.
    pub(super) const fn population(&self) -> &Population {
        &self.population
    }

    /// The stories of one company's account.
    pub(super) fn stories_of(&self, company: usize) -> Vec<Story> {
        let account = self.companies[company].id;
        let stories = self.population.stories.iter();
        stories.filter(|story| story.official_account == account).cloned().collect()
    }

    /// Waits until everybody is where the story says (S12 to S23).
    pub(super) async fn until_dialogues_end(&self) {
        self.until_dialogues_of(&self.population.stories).await;
    }

    /// The same, when only these stories were handed out.
    pub(super) async fn until_dialogues_of(&self, stories: &[Story]) {
        self.until("dialogues", async || judge::dialogues(stories, &self.look().await)).await;
    }

    /// Sends one distribution to the followers of each company (claim 4).
    pub(super) async fn distribute(&self) -> Vec<Distributed> {
        join_all((0..self.companies.len()).map(|company| self.distribute_of(company, MESSAGES_PER_SECOND)))
            .await
    }

    /// Sends one more distribution to the followers of one company; a rate of 0 is none.
    pub(super) async fn distribute_of(&self, company: usize, messages_per_second: u32) -> Distributed {
        let draft = self.draft_of(company, messages_per_second).await;
        self.start(draft).await
    }

    /// Starts a draft.
    pub(super) async fn start(&self, (company, distribution_id): Distributed) -> Distributed {
        let request =
            StartDistributionRequest { distribution_id: distribution_id.clone(), operator: String::new() };
        ask!(self.companies[company].distributions, start_distribution, request.clone());
        (company, distribution_id)
    }

    /// A distribution with all values, still to be started; talk rooms are expected to show it.
    pub(super) async fn draft_of(&self, company: usize, messages_per_second: u32) -> Distributed {
        let (place, master) = (company, &self.population.masters[company]);
        let company = &self.companies[company];
        // The same numbers in both companies, which must not meet.
        let number = company.started.fetch_add(1, Ordering::Relaxed) + 1;
        let request = CreateDistributionRequest {
            request_id: format!("00000000-0000-4000-8000-{number:012}"),
            official_account: company.id.to_owned(),
            name: "durability".to_owned(),
            uniform: Some(Template { text: judge::UNIFORM.to_owned(), ..Template::default() }),
            individual: Some(Template {
                text: judge::INDIVIDUAL.to_owned(),
                variables: vec![Variable { name: "customer".to_owned(), kind: VariableKind::Text.into() }],
                ..Template::default()
            }),
            messages_per_second,
            ..CreateDistributionRequest::default()
        };
        let created = ask!(company.distributions, create_distribution, request.clone());
        let distribution_id = created.distribution.unwrap().distribution_id;
        let (size, pause) = self.pace(VALUES);
        for rows in master.rows.chunks(size) {
            let values = |id: &String| CustomerValues { customer_id: id.clone(), values: vec![id.clone()] };
            let customers = rows.iter().map(|row| values(&row.customer_id)).collect();
            let chunk = UploadValuesRequest {
                distribution_id: distribution_id.clone(),
                customers,
                operator: String::new(),
            };
            ask!(company.distributions, upload_values, stream::iter([chunk.clone()]));
            sleep(pause).await;
        }
        (place, distribution_id)
    }

    /// Waits until everybody has seen the messages of the distributions.
    pub(super) async fn until_delivered(&self, distributions: &[Distributed]) {
        self.until_delivered_to(&self.population.stories, distributions).await;
    }

    /// The same, when only these stories were handed out.
    pub(super) async fn until_delivered_to(&self, stories: &[Story], distributions: &[Distributed]) {
        self.until("distributions", async || {
            let mut faults = judge::dialogues(stories, &self.look().await);
            for (place, id) in distributions {
                let company = &self.companies[*place];
                let distribution = self.distribution(company, id).await;
                faults.extend(judge::deliveries(stories, company.id, &distribution));
            }
            faults
        })
        .await;
    }

    /// Waits until these of one company's stories have ended, whatever else is under way.
    pub(super) async fn until_ended(&self, company: usize, stories: &[Story]) {
        let company = &self.companies[company];
        self.until("dialogues", async || judge::standing(stories, &self.followers(company).await)).await;
    }

    /// Waits until so many have seen the message of a distribution, whatever becomes of the others'.
    pub(super) async fn until_seen(&self, (company, id): &Distributed, by: u64) {
        self.until("distribution", async || {
            let found = self.distribution(&self.companies[*company], id).await;
            let seen = found.deliveries.iter().filter(|delivery| delivery.state == "displayed");
            let seen: u64 = seen.map(|delivery| delivery.count).sum();
            if seen == by { vec![] } else { vec![format!("{seen} of {by} have seen it")] }
        })
        .await;
    }

    /// Waits until whoever a distribution was made for has seen its message, or had left before. Surprising: of somebody who left
    /// the carrier may know sooner than the server, which then sends what the carrier refuses; that nobody else was refused is for
    /// the books to say.
    pub(super) async fn until_settled(&self, (company, id): &Distributed) {
        self.until("distribution", async || {
            let found = self.distribution(&self.companies[*company], id).await;
            let ends = ["displayed", "revoked", "rejected"];
            let open = |it: &&DeliveryCount| it.count > 0 && !ends.contains(&it.state.as_str());
            let open = found.deliveries.iter().filter(open);
            open.map(|delivery| format!("{} are {}", delivery.count, delivery.state)).collect()
        })
        .await;
    }

    /// How many messages of a distribution were sent up to now.
    pub(super) async fn sent(&self, (company, id): &Distributed) -> u64 {
        let found = self.distribution(&self.companies[*company], id).await;
        let waits = ["queued", "sending"];
        let sent = found.deliveries.iter().filter(|delivery| !waits.contains(&delivery.state.as_str()));
        sent.map(|delivery| delivery.count).sum()
    }

    /// Waits until every message of a distribution was sent; gives how long that took by the server's clock.
    pub(super) async fn until_sent(&self, (company, id): &Distributed) -> Duration {
        let since = Instant::now();
        loop {
            let Distribution { start_time, end_time, .. } =
                self.distribution(&self.companies[*company], id).await;
            if let (Some(start), Some(end)) = (start_time, end_time) {
                let [start, end] = [start, end].map(|it| SystemTime::try_from(it).unwrap());
                return end.duration_since(start).unwrap();
            }
            assert!(since.elapsed() < self.patience(), "the distribution {id} does not end");
            sleep(LOOK).await;
        }
    }

    /// What is wrong in the talk rooms, once the distributions were sent.
    pub(super) async fn faults_of_talk_rooms(&self) -> Vec<String> {
        let (mut rooms, mut page_token) = (Vec::<TalkRoom>::new(), String::new());
        loop {
            let request = ListTalkRoomsRequest { page_token, ..ListTalkRoomsRequest::default() };
            let page = ask!(self.terminal, list_talk_rooms, request.clone());
            rooms.extend(page.talk_rooms);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                let sent = |account: &str| {
                    let company = self.companies.iter().find(|company| company.id == account).unwrap();
                    company.started.load(Ordering::Relaxed)
                };
                return judge::talk_rooms(&self.population.stories, &rooms, sent);
            }
        }
    }

    async fn distribution(&self, company: &CompanyDoors, id: &str) -> Distribution {
        let request = GetDistributionRequest { distribution_id: id.to_owned() };
        ask!(company.distributions, get_distribution, request.clone()).distribution.unwrap()
    }

    async fn followers(&self, company: &CompanyDoors) -> Vec<(&'static str, Follower)> {
        let (mut followers, mut page_token) = (Vec::new(), String::new());
        loop {
            let request = ListFollowersRequest {
                official_account: company.id.to_owned(),
                page_size: PAGE,
                page_token,
                ..ListFollowersRequest::default()
            };
            let page = ask!(company.followers, list_followers, request.clone());
            followers.extend(page.followers.into_iter().map(|follower| (company.id, follower)));
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return followers;
            }
        }
    }

    async fn look(&self) -> Sight {
        let progress = ask!(self.terminal, get_progress, GetProgressRequest {});
        let (mut followers, mut messages) = (Vec::new(), Vec::new());
        for company in &self.companies {
            followers.extend(self.followers(company).await);
            messages.extend(ask!(company.followers, get_funnel, GetFunnelRequest::default()).messages);
        }
        Sight { followers, messages, progress }
    }

    /// Looks until nothing is wrong any more.
    pub(super) async fn until(&self, stage: &str, look: impl AsyncFn() -> Vec<String>) {
        let since = Instant::now();
        loop {
            let faults = look().await;
            if faults.is_empty() {
                return;
            }
            assert!(since.elapsed() < self.patience(), "{stage} do not end:\n{}", listed(&faults));
            sleep(LOOK).await;
        }
    }
}

/// The first faults, one on a line.
pub(super) fn listed(faults: &[String]) -> String {
    let mut text = format!("{} faults", faults.len());
    for fault in faults.iter().take(20) {
        let _infallible = write!(text, "\n  {fault}");
    }
    text
}
