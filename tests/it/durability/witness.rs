//! Who asks every node something small all the time, once, and remembers what it was told and when.
//!
//! By it a test knows what callers see while a store fails, when work goes on, and whether everything that was acknowledged is
//! there in the end. Surprising: it repeats nothing; what is refused stays refused, and the next question is another.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::future::BoxFuture;
use musubi_proto::{
    carrier::v1::{PutOfficialAccountRequest, subscriber_list_service_client::SubscriberListServiceClient},
    company::v1::{ListCustomersRequest, customer_service_client::CustomerServiceClient},
    information::v1::{
        CreateDistributionRequest, ListDistributionsRequest, Template,
        distribution_service_client::DistributionServiceClient,
    },
    terminal::v1::{ListTalkRoomsRequest, terminal_service_client::TerminalServiceClient},
};
use musubi_runtime::grpc::client::PeerChannel;
use musubi_tests::processes::{CARRIERS, COMPANIES, INFORMATION, System};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};
use tonic::{Code, Status};
use uuid::Uuid;

/// Between an answer and the next question.
const PAUSE: Duration = Duration::from_millis(100);
/// Within which work has to go on once a store is back.
const RETURN: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(20);
/// Whose account it writes to.
const ACCOUNT: &str = COMPANIES[0].id;

/// What is asked: each of another node. These write,
pub(super) const WRITERS: [&str; 3] = ["a draft", "kumo's account", "nami's account"];
/// and these read.
pub(super) const READERS: [&str; 3] =
    ["a page of aoba-bank's master", "a page of hinata-gas's master", "a talk room"];

/// What the request ids of drafts begin with; a play has other ones.
const DRAFTS: u64 = 0x6472_6166_7473_0000;

type Asked = Result<String, Status>;
type Ask = Box<dyn FnMut() -> BoxFuture<'static, Asked> + Send>;
type Answers = BTreeMap<&'static str, Vec<Answer>>;

/// What was said to a question, and when.
struct Answer {
    asked: Instant,
    answered: Instant,
    said: Asked,
}

/// Asks until it is dropped.
pub(super) struct Witness {
    answers: Arc<Mutex<Answers>>,
    drafts: DistributionServiceClient<PeerChannel>,
    _asking: JoinSet<()>,
}

impl Witness {
    /// Begins to ask.
    pub(super) fn of(system: &System) -> Self {
        let drafts = DistributionServiceClient::new(system.channel_of(ACCOUNT, INFORMATION));
        let mut asks: Vec<Ask> = vec![draft(&drafts)];
        asks.extend(CARRIERS.map(|id| account(system.channel_of(INFORMATION, id))));
        asks.extend(COMPANIES.map(|company| master(system.channel(company.id))));
        asks.push(room(system.channel("phones")));
        let answers: Arc<Mutex<Answers>> = Arc::default();
        let mut asking = JoinSet::new();
        for (what, mut ask) in WRITERS.into_iter().chain(READERS).zip(asks) {
            let answers = Arc::clone(&answers);
            asking.spawn(async move {
                loop {
                    let asked = Instant::now();
                    let said = ask().await;
                    let answer = Answer { asked, answered: Instant::now(), said };
                    answers.lock().unwrap().entry(what).or_default().push(answer);
                    sleep(PAUSE).await;
                }
            });
        }
        Self { answers, drafts, _asking: asking }
    }

    /// Waits until all that was asked after `back` is answered again, and asserts that it doesn't take long, and that
    /// between `gone` and `back` these were refused.
    pub(super) async fn goes_on(&self, gone: Instant, back: Instant, refused: &[&str]) {
        loop {
            let waits = self.never(|answer| answer.asked > back && answer.said.is_ok());
            if waits.is_empty() {
                break;
            }
            assert!(back.elapsed() < RETURN, "{waits:?} not answered {RETURN:?} after the store is back");
            sleep(LOOK).await;
        }
        eprintln!("away {:?}, all answer {:?} after it is back", back - gone, back.elapsed());
        // Also what was asked just before: it waits for the store as long as what is asked then, and nothing else is asked meanwhile.
        let while_away = |answer: &Answer| answer.answered > gone && answer.asked < back;
        let answered = self.never(|answer| while_away(answer) && answer.said.is_err());
        let answered: Vec<_> = answered.into_iter().filter(|what| refused.contains(what)).collect();
        assert!(answered.is_empty(), "{answered:?} answered while the store was away");
    }

    /// Waits until these were refused.
    pub(super) async fn refused(&self, since: Instant, refused: &[&str]) {
        let begun = Instant::now();
        loop {
            let answered = self.never(|answer| answer.answered > since && answer.said.is_err());
            let answered: Vec<_> = answered.into_iter().filter(|what| refused.contains(what)).collect();
            if answered.is_empty() {
                return;
            }
            assert!(begun.elapsed() < 2 * RETURN, "{answered:?} are not refused");
            sleep(LOOK).await;
        }
    }

    /// Asserts that callers were told UNAVAILABLE and what to do, and nothing else, and that every draft that was acknowledged is
    /// there.
    pub(super) async fn assert_right(&self) {
        // Before the drafts are listed: more of them come meanwhile.
        let answers = std::mem::take(&mut *self.answers.lock().unwrap());
        let there = self.drafts.clone().list_distributions(ListDistributionsRequest::default()).await;
        let there = there.unwrap().into_inner().distributions;
        assert!(there.len() < 1_000, "more drafts than are listed");
        let there: HashSet<_> = there.into_iter().map(|draft| draft.distribution_id).collect();
        let (mut acknowledged, mut refused) = (0, 0);
        for (what, all) in &answers {
            for answer in all {
                match &answer.said {
                    Ok(id) if *what == WRITERS[0] => {
                        acknowledged += 1;
                        assert!(there.contains(id), "{id} was acknowledged and is not there");
                    }
                    Ok(_) => {}
                    Err(status) => {
                        refused += 1;
                        assert_eq!(status.code(), Code::Unavailable, "{what}: {status}");
                        let said = status.message();
                        let is_clear = said.contains("unavailable") && said.contains("repeat the call");
                        assert!(is_clear, "{what}: {said}");
                    }
                }
            }
        }
        eprintln!("{acknowledged} drafts acknowledged, {refused} calls refused");
        assert!(acknowledged > 0 && refused > 0);
    }

    /// What never was answered so.
    fn never(&self, so: impl Fn(&Answer) -> bool) -> Vec<&'static str> {
        let answers = self.answers.lock().unwrap();
        let never = |what: &&'static str| !answers.get(what).is_some_and(|all| all.iter().any(&so));
        WRITERS.into_iter().chain(READERS).filter(never).collect()
    }
}

fn draft(client: &DistributionServiceClient<PeerChannel>) -> Ask {
    let (client, mut count) = (client.clone(), 0);
    Box::new(move || {
        count += 1;
        let mut client = client.clone();
        let request = CreateDistributionRequest {
            request_id: Uuid::from_u64_pair(DRAFTS, count).to_string(),
            official_account: ACCOUNT.to_owned(),
            name: "draft".to_owned(),
            operator: "sato".to_owned(),
            uniform: Some(Template { text: "draft".to_owned(), ..Template::default() }),
            ..CreateDistributionRequest::default()
        };
        Box::pin(async move {
            let answer = client.create_distribution(request).await?.into_inner();
            Ok(answer.distribution.unwrap().distribution_id)
        })
    })
}

fn account(channel: PeerChannel) -> Ask {
    let client = SubscriberListServiceClient::new(channel);
    Box::new(move || {
        let mut client = client.clone();
        let (official_account, display_name) = (ACCOUNT.to_owned(), ACCOUNT.to_owned());
        let request = PutOfficialAccountRequest { official_account, display_name };
        Box::pin(async move { client.put_official_account(request).await.map(|_| String::new()) })
    })
}

fn master(channel: PeerChannel) -> Ask {
    let client = CustomerServiceClient::new(channel);
    Box::new(move || {
        let mut client = client.clone();
        let request = ListCustomersRequest { page_size: 1, ..ListCustomersRequest::default() };
        Box::pin(async move { client.list_customers(request).await.map(|_| String::new()) })
    })
}

fn room(channel: PeerChannel) -> Ask {
    let client = TerminalServiceClient::new(channel);
    Box::new(move || {
        let mut client = client.clone();
        let request = ListTalkRoomsRequest { page_size: 1, ..ListTalkRoomsRequest::default() };
        Box::pin(async move { client.list_talk_rooms(request).await.map(|_| String::new()) })
    })
}
