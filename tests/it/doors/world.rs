//! What the doors are tried on: every node as a process, two masters, a follower of each company who has been asked, two
//! people whom the bank's operators have to look at, one for the gas company's, and then silence.

use std::{collections::HashMap, time::Duration};

use futures::stream;
use musubi_proto::{
    carrier::v1::{
        Action, Follow, IncomingMessage, ReceiveMessagesRequest, SubmitActionsRequest, action::What,
        handset_service_client::HandsetServiceClient,
    },
    company::v1::{
        EntrustMasterRequest, ImportCustomersRequest, customer_service_client::CustomerServiceClient,
    },
    information::v1::{
        CreateDistributionRequest, ListFollowersRequest, ListReviewsRequest, Review, Template,
        distribution_service_client::DistributionServiceClient,
        follower_service_client::FollowerServiceClient, review_service_client::ReviewServiceClient,
    },
    terminal::v1::{PlayStoriesRequest, terminal_service_client::TerminalServiceClient},
};
use musubi_terminal_simulator::story::{Expected, Story};
use musubi_tests::{
    openid::OpenIdProvider,
    processes::{CARRIERS, System},
};

use super::approvals::asked;

/// The company that is asked, and the one whose master is entrusted; their official accounts have the same names.
pub(super) const BANK: &str = "aoba-bank";
pub(super) const GAS: &str = "hinata-gas";
/// The carrier of both followers, and the fleet of their phones.
pub(super) const KUMO: &str = "kumo";
/// The carrier that keeps no list of who follows.
pub(super) const NAMI: &str = CARRIERS[1];
pub(super) const FLEET: &str = "fleet-of-the-test";
/// The bank's follower, and the gas company's.
pub(super) const FOLLOWERS: [(&str, &str); 2] = [("+818011110001", BANK), ("+818011110002", GAS)];

/// Every node, and what the followers' phones got.
pub(super) struct World {
    pub(super) system: System,
    /// Where people of the companies may sign in.
    pub(super) provider: OpenIdProvider,
    pub(super) questions: Vec<IncomingMessage>,
    /// What the gas company has, by the name of the field that names such a thing.
    of_gas: HashMap<&'static str, String>,
}

impl World {
    pub(super) async fn start() -> Self {
        let provider = OpenIdProvider::start().await;
        let system = System::start_as(|layout| {
            layout.quiet().in_pairs(1_000_000_000).rbm(NAMI).openid(provider.origin())
        })
        .await;
        for company in [BANK, GAS] {
            import(&system, company).await;
        }
        let mut gas = CustomerServiceClient::new(system.channel(GAS));
        gas.entrust_master(EntrustMasterRequest { lease_seconds: 3_600, blind: false }).await.unwrap();
        follow(&system).await;
        let questions = questions(&system).await;
        until_reviewed(&system).await;
        let of_gas = of_gas(&system, &questions[1]).await;
        let world = Self { system, provider, questions, of_gas };
        // Who waits for a review is told so seconds after the proof.
        world.system.quiet_for(Duration::from_secs(4)).await;
        world
    }

    /// The gas company's, to one who is not.
    pub(super) fn anothers(&self, field: &str) -> &str {
        &self.of_gas[field]
    }

    /// A company's customer master, as a file.
    pub(super) fn master(company: &str) -> Vec<u8> {
        std::fs::read(format!("{}/customers-{company}.csv", crate::SAMPLES)).unwrap()
    }
}

async fn import(system: &System, company: &str) {
    let part = ImportCustomersRequest { dry_run: false, chunk: World::master(company) };
    let mut customers = CustomerServiceClient::new(system.channel(company));
    let answer = customers.import_customers(stream::iter([part])).await.unwrap().into_inner();
    assert!(answer.added > 0 && answer.error_count == 0);
}

async fn follow(system: &System) {
    let mut handset = HandsetServiceClient::new(system.channel_of("phones", KUMO));
    let action = |(msisdn, account): (&str, &str)| Action {
        msisdn: msisdn.to_owned(),
        official_account: account.to_owned(),
        what: Some(What::Follow(Follow {})),
    };
    let request = SubmitActionsRequest {
        batch_id: uuid::Uuid::from_u128(1).to_string(),
        fleet: FLEET.to_owned(),
        actions: FOLLOWERS.map(action).to_vec(),
    };
    handset.submit_actions(request).await.unwrap();
}

/// Plays two people of the bank, and one of the gas company, whose matches operators have to decide; all with one carrier, whose phones say at
/// once that they have read something: over RCS Business Messaging that comes a second or two later, when the nodes seemed to be quiet.
async fn until_reviewed(system: &System) {
    let stories = crate::sample_stories();
    let of = |account: &'static str, count| {
        let waits = move |story: &&Story| {
            let there = story.official_account == account && CARRIERS.contains(&story.carrier.as_str());
            there && story.expected == Expected::Review
        };
        stories.iter().filter(waits).take(count)
    };
    let at_kumo = |story: &Story| Story { carrier: KUMO.to_owned(), ..story.clone() };
    let stories: Vec<_> = of(BANK, 2).chain(of(GAS, 1)).map(|story| (&at_kumo(story)).into()).collect();
    assert_eq!(stories.len(), 3);
    let mut terminal = TerminalServiceClient::new(system.channel("phones"));
    terminal.play_stories(PlayStoriesRequest { stories }).await.unwrap();
    for (company, count) in [(BANK, 2), (GAS, 1)] {
        while reviews(system, company).await.len() < count {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

async fn reviews(system: &System, company: &str) -> Vec<Review> {
    let mut reviews = ReviewServiceClient::new(system.channel(company));
    reviews.list_reviews(ListReviewsRequest::default()).await.unwrap().into_inner().reviews
}

/// What the gas company calls the follower of a number.
async fn follower_id(system: &System, number: &str) -> String {
    let mut followers = FollowerServiceClient::new(system.channel(GAS));
    let request =
        ListFollowersRequest { official_account: GAS.to_owned(), ..ListFollowersRequest::default() };
    let page = followers.list_followers(request).await.unwrap().into_inner().followers;
    page.into_iter().find(|follower| follower.phone_number == number).unwrap().follower_id
}

/// A draft, a review, something that waits for a second person, a customer, a follower and a message of the gas company's.
async fn of_gas(system: &System, question: &IncomingMessage) -> HashMap<&'static str, String> {
    let mut distributions = DistributionServiceClient::new(system.channel(GAS));
    let draft = CreateDistributionRequest {
        request_id: uuid::Uuid::from_u128(99).to_string(),
        official_account: GAS.to_owned(),
        name: "draft".to_owned(),
        uniform: Some(Template { text: "お知らせ".to_owned(), ..Template::default() }),
        ..CreateDistributionRequest::default()
    };
    let draft = distributions.create_distribution(draft).await.unwrap().into_inner().distribution.unwrap();
    let suggestions = &question.content.as_ref().unwrap().suggestions;
    let number = "+818099990000".to_owned();
    let approval_id = asked(system.channel_of(GAS, "information"), GAS, number, "sato").await;
    HashMap::from([
        ("official_account", GAS.to_owned()),
        ("distribution_id", draft.distribution_id),
        ("review_id", reviews(system, GAS).await.swap_remove(0).review_id),
        ("approval_id", approval_id),
        ("customer_id", "H000001".to_owned()),
        ("message_id", question.message_id.clone()),
        ("msisdn", question.msisdn.clone()),
        ("phone_number", question.msisdn.clone()),
        ("phone_numbers", question.msisdn.clone()),
        ("follower_id", follower_id(system, &question.msisdn).await),
        ("postback", suggestions[0].postback.clone()),
    ])
}

/// The question that each follower was asked, in their order.
async fn questions(system: &System) -> Vec<IncomingMessage> {
    let mut handset = HandsetServiceClient::new(system.channel_of("phones", KUMO).open_ended());
    let request = ReceiveMessagesRequest { fleet: FLEET.to_owned() };
    let mut stream = handset.receive_messages(request).await.unwrap().into_inner();
    let mut messages = Vec::new();
    while messages.len() < FOLLOWERS.len() {
        messages.extend(stream.message().await.unwrap().unwrap().messages);
    }
    messages.sort_by(|one, other| one.msisdn.cmp(&other.msisdn));
    messages
}
