//! `musubi bench distribute`: one distribution to N followers, from its start until every message is recorded as delivered.
//!
//! Half of the followers are tied and have values. They are put into the store before anything is measured, as units of work like those
//! of any node; the values come through the company's contract. Surprising: the clock doesn't stop when the last message has left,
//! but when its receipt is in the tally.

use std::{
    ops::Range,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use jiff::{SignedDuration, Timestamp};
use musubi_domain::{
    Error,
    dialogue::{Dialogue, Rules, Stage, State},
    eligibility::Tie,
    id::{CustomerId, DialogueId, TieId},
    identity::IdentityMethod,
    silence::Silence,
};
use musubi_proto::{
    information::v1::{
        CreateDistributionRequest, CustomerValues, Distribution, GetDistributionRequest,
        StartDistributionRequest, Template, UploadValuesRequest, Variable, VariableKind,
        distribution_service_client::DistributionServiceClient,
    },
    r#type::v1::Suggestion,
};
use musubi_runtime::{
    Clock as _, SystemClock, entropy,
    grpc::{MAX_MESSAGE_BYTES, client::PeerChannel},
};
use musubi_storage::information::{
    FollowerKey, InformationStore,
    flow::{FollowerRecord, Matched, Origin, Scope, Subscription, TieRecord},
};
use uuid::Uuid;

use super::{
    carrier::{Carrier, Reports},
    report::{Beside, Latency, Report, Spent, disk_bytes},
    site::{Node, Place, ProcessMemory, Site, SiteArgs, broken, open_information, stop_all},
    table::rate,
    world::World,
};
use crate::demo::screen::Screen;

/// Rows of one unit of work, customers of one part of an upload.
const BATCH: usize = 1_000;
/// Whose distribution it is; their company lets one person reach everybody.
const OPERATOR: &str = "bench";
/// Units of work at the same time.
const UNITS: usize = 4;
/// How often it is asked how far the distribution is.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long nothing may move.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long an upload of millions of values may take.
const UPLOAD: Duration = Duration::from_secs(4 * 3600);
/// Messages that are sent plainly at most, to know the limit.
const PLAIN: u64 = 300_000;

/// Measure a distribution: N followers, half of them tied and with values, until every message is recorded as delivered.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  musubi bench distribute --store postgres --size 1000000 --json distribute.json
  musubi bench distribute --store postgres --size 1000000 --replicas 3
  musubi bench distribute --store sqlite --size 1000000 --data-dir /var/tmp

Under test: the information-management server, a process for each replica, with its database, as durable as in production. For each
follower it makes a delivery, asks the gate, decides individual or uniform, sends over gRPC, records what the carrier said and what
the receipt says. The figure is N by the time from the start to the last receipt's record.

Around it, in this process: a carrier that takes what comes, keeps nothing, and reports each message as delivered in batches of up
to 1,000, over the contract that every carrier has. Followers, ties and values are there before; their times are told apart.

The limit: a table with nothing but a key, a recipient, a state and a time, into which each message is inserted and then has its
state changed once, by four sessions (SQLite: one connection), a thousand in a transaction. No sender that forgets nothing can do
with less than one insert and one change for each message.")]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) site: SiteArgs,
}

pub(super) async fn measure(args: &SiteArgs, site: &mut Site, screen: &Screen) -> Result<Report, Error> {
    let world = World::new(site.folder())?;
    let place = site.information_database("information").await?;
    let seeding = seed(&world, &place, 0..args.size, screen).await?;
    let limit = plain_limit(site, args.size, 0, screen).await?;

    let (carrier, messages) = Carrier::start(&world, false, |routes| routes).await?;
    let configuration = world.information(&place, carrier.endpoint(), "24h")?;
    let before = Node::replicas(args, site, "information", &configuration).await?;
    let company = Company::of(&world, &before[0])?;
    let id = company.draft(&world).await?;
    let uploading = Instant::now();
    company.upload(&id, args.size, screen).await?;
    let uploading = uploading.elapsed();
    // What these nodes wrote and held is no part of it.
    stop_all(before).await?;
    let before = Spent::so_far(&place, Some(0)).await?;

    let mut nodes = Node::replicas(args, site, "information", &configuration).await?;
    let company = Company::of(&world, &nodes[0])?;
    let delivering = tokio::spawn(Reports::to(&world, &nodes)?.deliver(messages));
    let begun = Instant::now();
    company.start(&id).await?;
    let stage = screen.begin("delivered", args.size);
    let mut moved = (0, Instant::now());
    loop {
        let delivered = company.count(&id, &["delivered"]).await?;
        stage.at(delivered, "");
        if delivered >= args.size {
            break;
        }
        if delivered > moved.0 {
            moved = (delivered, Instant::now());
        }
        nodes.iter_mut().try_for_each(Node::alive)?;
        if delivering.is_finished() {
            break;
        }
        if moved.1.elapsed() > PATIENCE {
            let stands = company.get(&id).await?.deliveries;
            let stands: Vec<_> =
                stands.iter().map(|it| format!("{} {} {}", it.kind, it.state, it.count)).collect();
            return Err(broken("nothing moves any more", stands.join(", ")));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    let took = begun.elapsed();
    stage.end("");
    if delivering.is_finished() {
        delivering.await.map_err(|error| broken("the carrier's reports", error))??;
    } else {
        delivering.abort();
    }

    let stands = company.get(&id).await?;
    let individual: u64 =
        stands.deliveries.iter().filter(|it| it.kind == "individual").map(|it| it.count).sum();
    let memories: Vec<ProcessMemory> = nodes.iter().map(Node::memory).collect();
    let disk = disk_bytes(&nodes);
    stop_all(nodes).await?;
    let after = Spent::so_far(&place, disk).await?;
    let beside = Beside::new(
        rate(usize::try_from(args.size).unwrap_or(usize::MAX), took),
        "messages/s",
        "one insert and one change of state for each message, 1,000 in a transaction",
        limit,
    );
    let cost = before.until(&after, args.size);
    let report =
        Report::new(("distribute", "message"), args, site, memories, beside, (Latency::default(), cost));
    Ok(report.with([
        ("seconds", took.as_secs_f64()),
        ("individual_messages", individual as f64),
        ("messages_sent_again", carrier.messages().saturating_sub(args.size) as f64),
        ("seconds_of_seeding_before", seeding.as_secs_f64()),
        ("seconds_of_upload_before", uploading.as_secs_f64()),
    ]))
}

/// Messages a second of a plain sender, in a database of its own, in whose table so many rows are there before.
pub(super) async fn plain_limit(
    site: &mut Site,
    size: u64,
    beside: u64,
    screen: &Screen,
) -> Result<f64, Error> {
    let stage = screen.begin("limit", 1);
    let place = site.information_database("plain").await?;
    let yardstick = place.yardstick().await?;
    let messages = size.min(PLAIN);
    let took = yardstick.send_plainly(messages, beside).await?;
    yardstick.close().await;
    stage.at(1, "");
    stage.end("");
    Ok(rate(usize::try_from(messages).unwrap_or(usize::MAX), took))
}

/// The customer that a follower is tied to: every other has one.
fn customer(place: u64) -> Result<Option<CustomerId>, Error> {
    place.is_multiple_of(2).then(|| format!("C{place:010}").parse()).transpose()
}

/// The values of a customer who is tied.
fn values(place: u64) -> CustomerValues {
    let customer_id = customer(place).ok().flatten().map(|id| id.to_string()).unwrap_or_default();
    let amount = place % 90_000 + 1_000;
    CustomerValues {
        customer_id,
        values: vec![format!("客{place}"), amount.to_string(), "2026-12-28".to_owned()],
    }
}

/// Puts the followers of these places into the store, in the order of their keys, as a first list does, and gives how long that took.
/// The database then settles what it has of it, or would do so beside the measurement.
pub(super) async fn seed(
    world: &World,
    place: &Place,
    places: Range<u64>,
    screen: &Screen,
) -> Result<Duration, Error> {
    let begun = Instant::now();
    let stage = screen.begin("followers", places.end - places.start);
    let store = open_information(place, world.vault()?).await?;
    let mut followers = places.map(|place| Ok((world.follower(place)?.0.follower, place)));
    let mut followers = followers.by_ref().collect::<Result<Vec<_>, Error>>()?;
    followers.sort_unstable();
    let now = SystemClock.now();
    stream::iter(followers.chunks(BATCH))
        .map(|batch| {
            let places: Vec<u64> = batch.iter().map(|(_, place)| *place).collect();
            seed_batch(world, &store, places, now)
        })
        .buffer_unordered(UNITS)
        .try_for_each(|count| {
            stage.advance(count);
            std::future::ready(Ok(()))
        })
        .await?;
    store.close().await;
    stage.end("");
    let took = begun.elapsed();
    let stage = screen.begin("tables settled", 1);
    let yardstick = place.yardstick().await?;
    yardstick.settle().await?;
    yardstick.close().await;
    stage.at(1, "");
    stage.end("");
    Ok(took)
}

async fn seed_batch(
    world: &World,
    store: &Arc<dyn InformationStore>,
    places: Vec<u64>,
    now: Timestamp,
) -> Result<u64, Error> {
    let records = places.iter().map(|place| record(world, *place, now)).collect::<Result<Vec<_>, _>>()?;
    let scope = Scope { followers: records.iter().map(|(key, _)| key.clone()).collect(), ..Scope::default() };
    store
        .work("bench_seed", &scope, now, &mut |work| {
            for (key, record) in &records {
                if let Some(tie) = &record.tie {
                    work.tied.insert((key.account.clone(), tie.tie.customer_id.clone()), key.clone());
                }
                work.followers.insert(key.clone(), record.clone());
                work.added.push((key.clone(), world.carrier.clone(), Origin::List));
            }
        })
        .await?;
    Ok(places.len() as u64)
}

/// A follower whose dialogue is over: tied, or without an account.
fn record(world: &World, place: u64, now: Timestamp) -> Result<(FollowerKey, FollowerRecord), Error> {
    let (key, phone_number) = world.follower(place)?;
    let later = |days: i64| now.checked_add(SignedDuration::from_hours(24 * days)).unwrap_or(Timestamp::MAX);
    let id = DialogueId::derive(key.follower, 0);
    let tie = customer(place)?.map(|customer_id| TieRecord {
        tie: Tie {
            id: TieId::derive(id),
            customer_id,
            suspended: false,
            expire_time: later(180),
            holder: Silence::of_days(30).proved(now),
        },
        method: IdentityMethod::Jpki,
        tie_time: now,
    });
    let (state, reached, due_time) = match tie {
        Some(_) => (State::Confirmed, Stage::Verified, None),
        None => (State::NoAccount, Stage::Answered, Some(later(90))),
    };
    let begun = Dialogue::begin(id, 0, &Rules::default(), now);
    let dialogue = Dialogue { state, reached, due_time, step: 3, messages: 4, ..begun };
    let subscription = Subscription { carrier: world.carrier.clone(), following: true, change_time: now };
    let record = FollowerRecord {
        phone_number,
        carrier: world.carrier.clone(),
        following: true,
        follow_time: now,
        suspended: false,
        subscriptions: vec![subscription],
        dialogue: Some(dialogue),
        matched: Matched::default(),
        shown: None,
        tie,
        former_customer: None,
        inquiry: None,
        review: None,
    };
    Ok((key, record))
}

/// The company, at one of the servers.
pub(super) struct Company(DistributionServiceClient<PeerChannel>);

impl Company {
    pub(super) fn of(world: &World, node: &Node) -> Result<Self, Error> {
        let channel = world.channel(&world.company_server(), node.endpoint(), UPLOAD)?;
        Ok(Self(DistributionServiceClient::new(channel).max_encoding_message_size(MAX_MESSAGE_BYTES)))
    }

    /// A draft with texts as long as real ones.
    pub(super) async fn draft(&self, world: &World) -> Result<String, Error> {
        let variable = |name: &str, kind: VariableKind| Variable { name: name.to_owned(), kind: kind.into() };
        let suggestion =
            Suggestion { text: "くわしく見る".to_owned(), postback: "more".to_owned(), action: None };
        let individual = Template {
            card: None,
            text: "{name}様、いつもご利用ありがとうございます。今月のご請求額は{amount}、お引き落とし日は{date}です。残高をご確認のうえ、お引き落とし日の前日までにご用意ください。"
                .to_owned(),
            suggestions: vec![suggestion.clone()],
            variables: vec![
                variable("name", VariableKind::Text),
                variable("amount", VariableKind::Yen),
                variable("date", VariableKind::Date),
            ],
        };
        let uniform = Template {
            card: None,
            text: "青葉銀行からのお知らせです。口座をお持ちの方は、このトークルームでご本人の確認をしていただくと、ご請求額やお引き落とし日をお知らせできます。"
                .to_owned(),
            suggestions: vec![suggestion],
            variables: Vec::new(),
        };
        let request = CreateDistributionRequest {
            request_id: Uuid::from_bytes(entropy::bytes()).to_string(),
            official_account: world.account.to_string(),
            name: "bench".to_owned(),
            uniform: Some(uniform),
            individual: Some(individual),
            start_time: None,
            expire_time: None,
            messages_per_second: 0,
            operator: OPERATOR.to_owned(),
        };
        let answer = self.0.clone().create_distribution(request).await;
        let made = answer.map_err(|status| broken("no draft", status.message()))?.into_inner().distribution;
        Ok(made.unwrap_or_default().distribution_id)
    }

    /// Values for every customer who is tied.
    pub(super) async fn upload(&self, id: &str, size: u64, screen: &Screen) -> Result<(), Error> {
        let tied = size.div_ceil(2);
        let stage = screen.begin("values", tied);
        let id = id.to_owned();
        let parts = (0..tied).step_by(BATCH).map(move |first| UploadValuesRequest {
            distribution_id: id.clone(),
            customers: (first..tied.min(first + BATCH as u64)).map(|half| values(half * 2)).collect(),
            operator: OPERATOR.to_owned(),
        });
        let uploaded = self.0.clone().upload_values(stream::iter(parts)).await;
        let stored = uploaded.map_err(|status| broken("no values", status.message()))?.into_inner().values;
        stage.at(stored, "");
        stage.end("");
        if stored == tied { Ok(()) } else { Err(broken("values are missing", stored)) }
    }

    pub(super) async fn start(&self, id: &str) -> Result<(), Error> {
        let (distribution_id, operator) = (id.to_owned(), OPERATOR.to_owned());
        let request = StartDistributionRequest { distribution_id, operator, submit_time: None };
        let started = self.0.clone().start_distribution(request).await;
        started.map(drop).map_err(|status| broken("the distribution did not start", status.message()))
    }

    pub(super) async fn get(&self, id: &str) -> Result<Distribution, Error> {
        let request = GetDistributionRequest { distribution_id: id.to_owned() };
        let answer = self.0.clone().get_distribution(request).await;
        let answer = answer.map_err(|status| broken("the distribution is not told", status.message()))?;
        Ok(answer.into_inner().distribution.unwrap_or_default())
    }

    /// Deliveries in these states; one that can never be delivered ends the measurement.
    pub(super) async fn count(&self, id: &str, states: &[&str]) -> Result<u64, Error> {
        let stands = self.get(id).await?.deliveries;
        let lost =
            stands.iter().find(|it| matches!(it.state.as_str(), "rejected" | "expired" | "revoked" | "dead"));
        if let Some(lost) = lost {
            return Err(broken("messages were lost", format!("{} {} {}", lost.count, lost.kind, lost.state)));
        }
        Ok(stands.iter().filter(|it| states.contains(&it.state.as_str())).map(|it| it.count).sum())
    }
}
