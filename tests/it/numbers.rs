//! A number that goes to somebody else, and somebody who says that the customer is not them: all nodes in one process, over real
//! gRPC, by a clock that can be turned.
//!
//! Surprising: the phones that the stories are played on are asked for their carriers by their own configuration, because whoever
//! has the number next has a phone of another fleet.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures::stream;
use jiff::SignedDuration;
use musubi::cluster::{Cluster, CompanyPlan, Door, Matching, Plan};
use musubi_domain::caller::Caller;
use musubi_matching::AccountFormat;
use musubi_proto::{
    carrier::v1::{
        Action, IncomingMessage, MessageDelivered, NumberAssigned, NumberReleased, ReceiveMessagesRequest,
        SubmitActionsRequest, SuggestionTapped, action::What, handset_service_client::HandsetServiceClient,
    },
    company::v1::{ImportCustomersRequest, customer_service_client::CustomerServiceClient},
    information::v1::{
        CreateDistributionRequest, CustomerValues, Follower, ListFollowersRequest, StartDistributionRequest,
        Template, UploadValuesRequest, Variable, VariableKind,
        distribution_service_client::DistributionServiceClient,
        follower_service_client::FollowerServiceClient,
    },
    terminal::v1::{
        ListTalkRoomsRequest, PlayStoriesRequest, ShownMessage, line,
        terminal_service_client::TerminalServiceClient,
    },
};
use musubi_runtime::{
    Clock as _, ManualClock, SystemClock,
    grpc::client::{ClientOptions, PeerChannel, connect},
    tls::Identity,
};
use musubi_terminal_simulator::{
    Config as Terminals,
    story::{Expected, Story},
};
use musubi_tests::processes::Kind;
use tokio::{task::JoinHandle, time::sleep};
use uuid::Uuid;

use crate::{SAMPLES, people::audit_of, sample_stories};

const BANK: &str = "aoba-bank";
const KUMO: &str = "kumo";
/// The phones of whoever has a number next.
const NEXT: &str = "next-holders";
const UNIFORM: &str = "みなさまへ";
const CONFIRMED: &str = "ご本人さまの確認が完了しました。";
const QUESTION: &str = "フォローありがとうございます。";
const NOT_ME: &str = "本人ではありません";
/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(50);
const DAY: SignedDuration = SignedDuration::from_hours(24);

struct World {
    cluster: Cluster,
    clock: Arc<ManualClock>,
    ticking: JoinHandle<()>,
    terminals: Terminals,
    folder: tempfile::TempDir,
}

async fn until<T>(what: &str, look: impl AsyncFn() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(begin.elapsed() < PATIENCE, "not seen: {what}");
        sleep(LOOK).await;
    }
}

fn through(door: &Door) -> PeerChannel {
    connect(&door.operator, &door.endpoint, Some(&door.node), ClientOptions::default()).unwrap()
}

impl World {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let plan = Plan {
            folder: folder.path().to_owned(),
            postgres: None,
            companies: vec![CompanyPlan {
                company: BANK.parse().unwrap(),
                official_account: BANK.parse().unwrap(),
                display_name: "あおば銀行".to_owned(),
                matching: Matching::Inquiry,
                format: AccountFormat { account_digits: 7, branch_digits: 3 },
            }],
            carriers: vec![KUMO.parse().unwrap()],
            rbm: 0,
            followers: 10,
            pages: None,
        };
        let clock = Arc::new(ManualClock::new(SystemClock.now()));
        let cluster = Cluster::start(plan, Arc::<ManualClock>::clone(&clock)).await.unwrap();
        // It goes on by itself, too.
        let ticks = Arc::clone(&clock);
        let ticking = tokio::spawn(async move {
            loop {
                sleep(Duration::from_millis(10)).await;
                ticks.advance(SignedDuration::from_millis(10));
            }
        });
        let terminals = Terminals::load(Some(&folder.path().join("terminal.toml"))).unwrap();
        Self { cluster, clock, ticking, terminals, folder }
    }

    fn bank(&self) -> PeerChannel {
        through(&self.cluster.doors().companies[0])
    }

    fn phones(&self) -> TerminalServiceClient<PeerChannel> {
        TerminalServiceClient::new(through(&self.cluster.doors().terminal))
    }

    fn network(&self) -> HandsetServiceClient<PeerChannel> {
        let identity = Identity::load(&self.terminals.tls).unwrap();
        let carrier = Caller::Carrier(KUMO.parse().unwrap());
        let endpoint = &self.terminals.carrier[0].endpoint;
        HandsetServiceClient::new(
            connect(&identity, endpoint, Some(&carrier), ClientOptions::default()).unwrap(),
        )
    }

    /// Something happens to a phone that belongs to this fleet then.
    async fn act(&self, fleet: &str, story: &Story, whats: Vec<What>) {
        let action = |what| Action {
            msisdn: story.phone_number.clone(),
            official_account: BANK.to_owned(),
            what: Some(what),
        };
        let request = SubmitActionsRequest {
            batch_id: Uuid::from_bytes(musubi_runtime::entropy::bytes()).to_string(),
            fleet: fleet.to_owned(),
            actions: whats.into_iter().map(action).collect(),
        };
        assert!(self.network().submit_actions(request).await.unwrap().into_inner().applied);
    }

    /// The messages on a phone of the stories, in order.
    async fn shown(&self, story: &Story) -> Vec<ShownMessage> {
        let rooms = self.phones().list_talk_rooms(ListTalkRoomsRequest::default()).await.unwrap();
        let rooms = rooms.into_inner().talk_rooms;
        let lines = rooms.into_iter().filter(|room| room.phone_number == story.phone_number);
        let lines = lines.flat_map(|room| room.lines).filter_map(|line| line.what);
        let messages = lines.filter_map(|what| match what {
            line::What::Message(message) => Some(message),
            line::What::Said(_) | line::What::Opened(_) | line::What::Followed(_) | line::What::Proved(_) => {
                None
            }
        });
        messages.collect()
    }

    /// Waits until a phone shows so many messages that begin so; gives the last.
    async fn until_shown(&self, story: &Story, text: &str, count: usize) -> ShownMessage {
        until(text, async || {
            let begins = |message: &ShownMessage| {
                message.content.as_ref().is_some_and(|content| content.text.starts_with(text))
            };
            let found: Vec<_> = self.shown(story).await.into_iter().filter(begins).collect();
            (found.len() >= count).then(|| found.into_iter().next_back()).flatten()
        })
        .await
    }

    /// What the company sees of a follower.
    async fn follower(&self, story: &Story) -> Follower {
        let request = ListFollowersRequest { official_account: BANK.to_owned(), ..Default::default() };
        let page = FollowerServiceClient::new(self.bank()).list_followers(request).await.unwrap();
        let mut followers = page.into_inner().followers.into_iter();
        followers.find(|follower| follower.phone_number == story.phone_number).unwrap()
    }

    /// Writes to everybody, with a message of their own for these.
    async fn write(&self, name: &str, stories: [&Story; 3]) {
        let mut distributions = DistributionServiceClient::new(self.bank());
        let variable = Variable { name: "customer".to_owned(), kind: VariableKind::Text.into() };
        let request = CreateDistributionRequest {
            request_id: Uuid::from_bytes(musubi_runtime::entropy::bytes()).to_string(),
            official_account: BANK.to_owned(),
            name: name.to_owned(),
            uniform: Some(Template { text: format!("{UNIFORM} {name}"), ..Template::default() }),
            individual: Some(Template {
                text: "{customer}様へ".to_owned(),
                variables: vec![variable],
                ..Template::default()
            }),
            ..CreateDistributionRequest::default()
        };
        let created = distributions.create_distribution(request).await.unwrap().into_inner();
        let distribution_id = created.distribution.unwrap().distribution_id;
        let values = |story: &Story| {
            let customer_id = customer(story);
            CustomerValues { values: vec![customer_id.clone()], customer_id }
        };
        let customers = stories.map(values).into();
        let chunk = UploadValuesRequest {
            distribution_id: distribution_id.clone(),
            customers,
            operator: String::new(),
        };
        distributions.upload_values(stream::iter([chunk])).await.unwrap();
        distributions
            .start_distribution(StartDistributionRequest { distribution_id, operator: String::new() })
            .await
            .unwrap();
    }
}

fn customer(story: &Story) -> String {
    story.expected_customer_id.clone().unwrap()
}

fn own(story: &Story) -> String {
    format!("{}様へ", customer(story))
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_a_number_next_and_who_is_not_the_customer_get_nothing_individual() {
    let world = World::start().await;
    let chunk = std::fs::read(format!("{SAMPLES}/customers-{BANK}.csv")).unwrap();
    let part = ImportCustomersRequest { dry_run: false, chunk };
    CustomerServiceClient::new(world.bank()).import_customers(stream::iter([part])).await.unwrap();
    let stories = sample_stories();
    let confirmed = stories.iter().filter(|story| {
        story.official_account == BANK
            && story.carrier == KUMO
            && story.expected == Expected::Confirmed
            && story.unfollow_after.as_str().is_empty()
    });
    let [lost, other, idle, ..] = confirmed.collect::<Vec<_>>()[..] else { panic!("three customers") };
    let everybody = [lost, other, idle];
    let play = PlayStoriesRequest { stories: everybody.map(Into::into).into() };
    world.phones().play_stories(play).await.unwrap();
    for story in everybody {
        world.until_shown(story, CONFIRMED, 1).await;
    }

    // One number is nobody's any more, and the carrier reaches nobody there. The others get theirs, with the button below it.
    world.act(NEXT, idle, vec![What::Released(NumberReleased {})]).await;
    world.write("一", everybody).await;
    world.until_shown(lost, &own(lost), 1).await;
    let message = world.until_shown(other, &own(other), 1).await;
    let button =
        message.content.unwrap().suggestions.into_iter().find(|button| button.text == NOT_ME).unwrap();

    let not_found =
        async || Some(world.follower(idle).await).filter(|it| it.held_reason == "number_not_found");
    let held = until("the carrier was asked", not_found).await;
    assert_eq!((held.customer_id, held.suspended), (customer(idle), true));

    // One tap, and whoever taps is asked afresh.
    let tap = SuggestionTapped {
        message_id: message.message_id,
        postback: button.postback,
        text: NOT_ME.to_owned(),
    };
    let fleet = world.terminals.fleet.name.clone();
    world.act(&fleet, other, vec![What::Tapped(tap)]).await;
    world.until_shown(other, QUESTION, 2).await;
    let follower = world.follower(other).await;
    assert_eq!((follower.customer_id.as_str(), follower.suspended), ("", false));

    // The number is given up and goes to somebody else, and nobody is told. A month later the company writes again.
    world.clock.advance(DAY);
    let gone = vec![What::Released(NumberReleased {}), What::Assigned(NumberAssigned {})];
    world.act(NEXT, lost, gone).await;
    world.clock.advance(DAY * 30);
    world.act(NEXT, idle, vec![What::Assigned(NumberAssigned {})]).await;
    world.write("二", everybody).await;
    world.until_shown(other, &format!("{UNIFORM} 二"), 1).await;

    let receive = ReceiveMessagesRequest { fleet: NEXT.to_owned() };
    let mut messages = world.network().receive_messages(receive).await.unwrap().into_inner();
    let mut got: Vec<IncomingMessage> = Vec::new();
    let texts = |got: &[IncomingMessage], story: &Story| {
        let own = got.iter().filter(|message| message.msisdn == story.phone_number);
        own.map(|message| message.content.as_ref().unwrap().text.clone()).collect::<Vec<_>>()
    };
    // Both who have the numbers now get what everybody gets, and are asked for themselves.
    let has_all = |got: &[IncomingMessage], story: &Story| {
        let texts = texts(got, story);
        texts.contains(&format!("{UNIFORM} 二")) && texts.iter().any(|text| text.starts_with(QUESTION))
    };
    while ![lost, idle].iter().all(|story| has_all(&got, story)) {
        let next = tokio::time::timeout(PATIENCE, messages.message()).await;
        let more = next.unwrap_or_else(|_| panic!("only {:?}", [lost, idle].map(|story| texts(&got, story))));
        for message in more.unwrap().unwrap().messages {
            let story = [lost, idle].into_iter().find(|it| it.phone_number == message.msisdn).unwrap();
            let delivered = MessageDelivered { message_id: message.message_id.clone() };
            world.act(NEXT, story, vec![What::Delivered(delivered)]).await;
            got.push(message);
        }
    }
    for story in [lost, idle] {
        assert!(!texts(&got, story).contains(&own(story)), "{:?}", texts(&got, story));
        assert_eq!(world.follower(story).await.customer_id, "", "the tie is gone");
    }
    assert_eq!(world.shown(other).await.iter().filter(|it| is_individual(it, &own(other))).count(), 1);
    world.ticking.abort();
    let World { cluster, folder, .. } = world;
    cluster.stop().await.unwrap();

    // What became of each tie stands in the audit.
    let lines = audit_of(&folder.path().join("information.toml"), Kind::Information);
    let told = |action: &str| lines.iter().filter(|line| line["action"] == action).count();
    assert_eq!((told("tied"), told("untied")), (3, 3), "{lines:#?}");
    assert!(told("tie suspended") > 0, "{lines:#?}");
}

fn is_individual(message: &ShownMessage, text: &str) -> bool {
    message.content.as_ref().is_some_and(|content| content.text == text)
}
