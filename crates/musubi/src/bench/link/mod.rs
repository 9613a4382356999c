//! `musubi bench link`: whole dialogues, from the follow to the confirmed tie, matched by a copy in custody.
//!
//! First as fast as they go, then at half of that pace, or at one that is given, to see how long a reply takes. Surprising: the
//! second pace is kept by a clock, not by the answers, because a server that is late must not thin out its own load.

mod master;
mod people;

use std::time::Duration;

use musubi_carrier_simulator::Authorities;
use musubi_domain::Error;
use musubi_proto::{
    carrier::v1::{
        AuthenticateRequest, AuthenticateResponse, ListVerificationKeysRequest, ListVerificationKeysResponse,
        RegisterPersonsRequest, RegisterPersonsResponse, VerificationKey,
        verification_service_server::{VerificationService, VerificationServiceServer},
    },
    information::v1::{FollowerOutcome, GetFunnelRequest, follower_service_client::FollowerServiceClient},
};
use musubi_runtime::grpc::{client::PeerChannel, status::to_status};
use tonic::{Request, Response, Status};

use self::people::{Pace, People, Played};
use super::{
    carrier::{Carrier, Reports},
    distribute::{plain_limit, seed},
    online_match::commits,
    report::{Beside, Latency, Report, Spent, disk_bytes},
    site::{Node, ProcessMemory, Site, SiteArgs, broken, stop_all},
    world::World,
};
use crate::demo::screen::Screen;

/// Messages of a dialogue: question, account, identity, result.
const MESSAGES: u64 = 4;
/// How long the second pace is kept at most, in seconds.
const MEASURED_SECONDS: f64 = 30.0;
/// How many commits of one row are timed.
const COMMITS: u64 = 2_000;
/// How long a question may take.
const DEADLINE: Duration = Duration::from_secs(60);

/// Measure dialogues: N followers are asked, answer, verify themselves and are tied to customers.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  musubi bench link --store postgres --size 100000 --json link.json
  musubi bench link --store sqlite --size 100000 --data-dir /var/tmp
  musubi bench link --store postgres --size 20000 --beside 10000000

Under test: the information-management server, a process for each replica, with its database, as durable as in production. It takes
the follow, asks, understands the tap and the account number, offers links, checks the signed assertion, has the match decided by the
copy of the customer master in custody, ties, and tells the person: four messages, each reported as delivered and displayed.

Around it, in this process: a carrier that keeps nothing, people who answer at once, and authorities that sign. People and master are
invented as the demo's; the followers are customers who can be confirmed, however they are written.

The figure is confirmed dialogues a second with --in-flight of them under way at any time. Then new ones begin at half of that pace, by
the clock, and p50, p99 and p99.9 are the times of a reply: from a person's act, a follow, a tap or a text, until the next message is
there. The time from the assertion to the result is told apart. Replies wait for commits, their own and others';
commit_of_one_row tells how long the same database takes for the least of them. To compare programs that are not equally
fast, give both one --pace.

The limit: a fourth of the messages that the least durable sender writes a second (see `musubi bench distribute --help`), because a
dialogue has four messages. With --beside, its table has as many rows before, and its keys come in no order, as people do.")]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) site: SiteArgs,
    /// Dialogues under way at any time while the figure is taken.
    #[arg(long, value_name = "N", default_value_t = 4_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub(super) in_flight: u64,
    /// Dialogues that begin each second while replies are timed [default: half of the figure].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub(super) pace: Option<u64>,
    /// Other followers who are there before, half of them tied, to see whether a dialogue takes longer beside many.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u64).range(..=50_000_000))]
    pub(super) beside: u64,
}

pub(super) async fn measure(args: &Args, site: &mut Site, screen: &Screen) -> Result<Report, Error> {
    let Args { site: args, in_flight, pace: timed_pace, beside: others } = args;
    let world = World::new(site.folder())?;
    let place = site.information_database("information").await?;
    // Half as many again, for the second pace.
    let wanted = args.size + args.size / 2;
    if *others > 0 {
        seed(&world, &place, wanted..wanted + others, screen).await?;
    }
    let limit = plain_limit(site, args.size * MESSAGES, *others, screen).await? / MESSAGES as f64;
    let authorities = Authorities::generate(&world.carrier);
    let authorities = authorities.map_err(|error| broken("the authorities", error))?;
    let keys = VerificationServiceServer::new(Keys(authorities.public_keys()));
    let (carrier, messages) = Carrier::start(&world, true, |routes| routes.add_service(keys)).await?;
    let configuration = world.information(&place, carrier.endpoint(), "24h")?;
    let before = Node::replicas(args, site, "information", &configuration).await?;
    let (customers, answers) = master::entrust(&world, &before[0], wanted, screen).await?;
    // What these nodes wrote and held is no part of it.
    stop_all(before).await?;
    let before = Spent::so_far(&place, Some(0)).await?;

    let mut nodes = Node::replicas(args, site, "information", &configuration).await?;
    let company = followers(&world, &nodes[0])?;
    let reports = Reports::to(&world, &nodes)?;
    let mut people = People::new(answers, authorities, reports, messages);
    let tied_before = confirmed(&world, &company).await?;
    let fast = people.play(0..args.size, Pace::UnderWay(*in_flight), &mut nodes, screen).await?;
    let confirmed = confirmed(&world, &company).await?.saturating_sub(tied_before);
    let pace = confirmed as f64 / fast.took.as_secs_f64().max(1e-9);

    let timed_pace = timed_pace.map_or((pace / 2.0).max(1e-3), |pace| pace as f64);
    let more = ((timed_pace * MEASURED_SECONDS) as u64).clamp(1, args.size / 2);
    let timed = Pace::Every(Duration::from_secs_f64(timed_pace.recip()));
    let slow = people.play(args.size..args.size + more, timed, &mut nodes, screen).await?;
    let Played { replies, results, .. } = slow;
    let (replies, results) = (Latency::of(replies), Latency::of(results));

    let memories: Vec<ProcessMemory> = nodes.iter().map(Node::memory).collect();
    let disk = disk_bytes(&nodes);
    stop_all(nodes).await?;
    let cost = before.until(&Spent::so_far(&place, disk).await?, args.size + more);
    let beside = Beside::new(
        pace,
        "dialogues/s",
        if *others == 0 {
            "four messages for each, one insert and one change of state for each message, 1,000 in a transaction"
        } else {
            "beside as many rows, keys in no order: four messages for each, one insert and one change of state for each message"
        },
        limit,
    );
    let commits = commits(&place, COMMITS, screen).await?;
    let report = Report::new(("link", "dialogue"), args, site, memories, beside, (replies, cost));
    Ok(report.with([
        ("followers_beside", *others as f64),
        ("seconds", fast.took.as_secs_f64()),
        ("not_confirmed", args.size.saturating_sub(confirmed) as f64),
        ("customers_in_custody", customers as f64),
        ("timed_dialogues", more as f64),
        ("timed_dialogues_per_second", timed_pace),
        ("result_p50_ms", results.p50_ms.unwrap_or_default()),
        ("result_p99_ms", results.p99_ms.unwrap_or_default()),
        ("commit_of_one_row_p50_ms", commits.p50_ms.unwrap_or_default()),
        ("commit_of_one_row_p99_ms", commits.p99_ms.unwrap_or_default()),
    ]))
}

fn followers(world: &World, node: &Node) -> Result<FollowerServiceClient<PeerChannel>, Error> {
    Ok(FollowerServiceClient::new(world.channel(&world.company_server(), node.endpoint(), DEADLINE)?))
}

/// How many followers are tied.
async fn confirmed(world: &World, company: &FollowerServiceClient<PeerChannel>) -> Result<u64, Error> {
    let request = GetFunnelRequest { official_account: world.account.to_string() };
    let answer = company.clone().get_funnel(request).await;
    let funnel = answer.map_err(|status| broken("ties are not told", status.message()))?.into_inner();
    let outcomes = funnel.funnels.iter().flat_map(|funnel| &funnel.outcomes);
    Ok(outcomes.filter(|it| it.outcome() == FollowerOutcome::Confirmed).map(|it| it.count).sum())
}

/// The authorities' keys, for who checks what they sign; nobody registers or visits a page here.
struct Keys(Vec<VerificationKey>);

#[tonic::async_trait]
impl VerificationService for Keys {
    async fn list_verification_keys(
        &self,
        _request: Request<ListVerificationKeysRequest>,
    ) -> Result<Response<ListVerificationKeysResponse>, Status> {
        Ok(Response::new(ListVerificationKeysResponse { keys: self.0.clone() }))
    }

    async fn register_persons(
        &self,
        _request: Request<RegisterPersonsRequest>,
    ) -> Result<Response<RegisterPersonsResponse>, Status> {
        Err(to_status(broken("no person is registered", "the measurement plays them all")))
    }

    async fn authenticate(
        &self,
        _request: Request<AuthenticateRequest>,
    ) -> Result<Response<AuthenticateResponse>, Status> {
        Err(to_status(broken("no page is open", "the measurement plays all persons")))
    }
}
