//! `musubi bench fairness`: what a company's distribution to a thousand takes while another company at the same server sends to N.
//!
//! No limit slows anybody, so both want all that the machine has. Surprising: the time beside the other is no figure of its own; it is
//! held against what the same distribution took while nobody else sent anything, in the same run.

use std::time::{Duration, Instant};

use musubi_domain::Error;

use super::{
    carrier::{Carrier, Reports},
    distribute::{Company, seed},
    report::{Beside, Latency, Report, Spent, disk_bytes},
    site::{Node, ProcessMemory, Site, SiteArgs, broken, stop_all},
    world::World,
};
use crate::demo::screen::Screen;

/// To how many the other company writes; a hundredth of N where that is less.
const FEW: u64 = 1_000;
/// How often each is measured; the middle one counts.
const ROUNDS: usize = 21;
/// How many times as long as alone it may take beside the other.
const MOST: f64 = 2.0;
/// The large distribution is under way when so many-th of it is delivered: by then its company has had more of late than the small one,
/// which sends again and again.
const BEGUN: u64 = 10;
/// Between two of the small one passes as much as this, times 0 to 9 in a fixed order: people start theirs at any moment of what others
/// have under way, and not where an end of their own has just left it.
const APART: Duration = Duration::from_millis(11);
/// How often it is asked how far a distribution is.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// How long nothing may move.
const PATIENCE: Duration = Duration::from_secs(120);

/// Measure what one company's distribution does to another's: N messages of one, and 1,000 of its neighbour, alone and meanwhile.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  musubi bench fairness --store postgres --size 1000000 --json fairness.json
  musubi bench fairness --store sqlite --size 300000

Under test: the information-management server with its database, as in `musubi bench distribute`, with two companies. The figure is the
time from the start of the small company's distribution to its last receipt's record while the large one's is under way, the middle one
of up to twenty-one. Between two of them pass 0 to 99 ms, so that they start at any moment of what the other has under way.

The limit: the same while nothing else is sent, the middle one of twenty-one. The command fails above twice that.")]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) site: SiteArgs,
}

pub(super) async fn measure(args: &SiteArgs, site: &mut Site, screen: &Screen) -> Result<Report, Error> {
    let mut large = World::new(site.folder())?;
    let small = large.joined_by("hinata-gas")?;
    let few = FEW.min(args.size / 100);
    let place = site.information_database("information").await?;
    let seeding =
        seed(&large, &place, 0..args.size, screen).await? + seed(&small, &place, 0..few, screen).await?;

    let (carrier, messages) = Carrier::start(&large, false, |routes| routes).await?;
    let configuration = large.information(&place, carrier.endpoint(), "24h")?;
    let before = Node::replicas(args, site, "information", &configuration).await?;
    let first = draft(&large, &before[0], args.size, screen).await?;
    let mut drafts = Vec::new();
    for _ in 0..2 * ROUNDS {
        drafts.push(draft(&small, &before[0], few, screen).await?);
    }
    // What these nodes wrote and held is no part of it.
    stop_all(before).await?;
    let before = Spent::so_far(&place, Some(0)).await?;

    let mut nodes = Node::replicas(args, site, "information", &configuration).await?;
    let (company, neighbour) = (Company::of(&large, &nodes[0])?, Company::of(&small, &nodes[0])?);
    let delivering = tokio::spawn(Reports::to(&large, &nodes)?.deliver(messages));
    let stage = screen.begin("alone", few * ROUNDS as u64);
    let (alone, meanwhile) = drafts.split_at(ROUNDS);
    let mut quiet = Vec::new();
    for (index, draft) in alone.iter().enumerate() {
        pause(index).await;
        quiet.push(sent(&neighbour, draft, few, &mut nodes).await?);
        stage.advance(few);
    }
    stage.end("");

    let stage = screen.begin("meanwhile", few * ROUNDS as u64);
    let begun = Instant::now();
    company.start(&first).await?;
    delivered(&company, &first, args.size.div_ceil(BEGUN), &mut nodes).await?;
    let mut beside = Vec::new();
    for (index, draft) in meanwhile.iter().enumerate() {
        pause(index).await;
        let took = sent(&neighbour, draft, few, &mut nodes).await?;
        if company.count(&first, &["delivered"]).await? >= args.size {
            break;
        }
        beside.push(took);
        stage.advance(few);
    }
    stage.end("");
    delivered(&company, &first, args.size, &mut nodes).await?;
    let took = begun.elapsed();
    if delivering.is_finished() {
        delivering.await.map_err(|error| broken("the carrier's reports", error))??;
    } else {
        delivering.abort();
    }

    let memories: Vec<ProcessMemory> = nodes.iter().map(Node::memory).collect();
    let disk = disk_bytes(&nodes);
    stop_all(nodes).await?;
    let cost = before.until(&Spent::so_far(&place, disk).await?, carrier.messages());
    let over = || broken("the large distribution was over before the small one", "name a larger --size");
    let (alone, meanwhile) = (middle(&quiet).ok_or_else(over)?, middle(&beside).ok_or_else(over)?);
    let held = Beside::new(meanwhile, "s", "the same while nothing else is sent", alone);
    let slow = held.ratio > MOST;
    let report = Report::new(("fairness", "message"), args, site, memories, held, (Latency::default(), cost));
    Ok(report
        .with([
            ("most_times_as_long", MOST),
            ("rounds_meanwhile", beside.len() as f64),
            ("longest_meanwhile_seconds", longest(&beside)),
            ("longest_alone_seconds", longest(&quiet)),
            ("messages_of_the_small_company", few as f64),
            ("seconds_of_the_large_distribution", took.as_secs_f64()),
            ("seconds_of_seeding_before", seeding.as_secs_f64()),
        ])
        .failed_if(slow))
}

/// A draft with its values, ready to be started.
async fn draft(world: &World, node: &Node, size: u64, screen: &Screen) -> Result<String, Error> {
    let company = Company::of(world, node)?;
    let id = company.draft(world).await?;
    company.upload(&id, size, screen).await?;
    Ok(id)
}

/// Lets pass what lies before one of the small company's.
async fn pause(index: usize) {
    tokio::time::sleep(APART * u32::try_from(index * 7 % 10).unwrap_or_default()).await;
}

/// Starts a distribution, and gives how long it took until so many of its messages, which are all, were delivered.
async fn sent(company: &Company, id: &str, count: u64, nodes: &mut [Node]) -> Result<Duration, Error> {
    let begun = Instant::now();
    company.start(id).await?;
    delivered(company, id, count, nodes).await?;
    Ok(begun.elapsed())
}

/// Waits until so many messages of a distribution are delivered.
async fn delivered(company: &Company, id: &str, count: u64, nodes: &mut [Node]) -> Result<(), Error> {
    let mut moved = (0, Instant::now());
    loop {
        let delivered = company.count(id, &["delivered"]).await?;
        if delivered >= count {
            return Ok(());
        }
        if delivered > moved.0 {
            moved = (delivered, Instant::now());
        }
        nodes.iter_mut().try_for_each(Node::alive)?;
        if moved.1.elapsed() > PATIENCE {
            return Err(broken("nothing moves any more", format!("{delivered} of {count} are delivered")));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// The one in the middle, in seconds.
fn middle(times: &[Duration]) -> Option<f64> {
    let mut times = times.to_vec();
    times.sort_unstable();
    times.get(times.len() / 2).map(Duration::as_secs_f64)
}

fn longest(times: &[Duration]) -> f64 {
    times.iter().max().map_or(0.0, Duration::as_secs_f64)
}
