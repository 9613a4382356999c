//! `musubi bench list-sync`: a subscriber list of N numbers, fetched for the first time and then with one in a hundred changed.
//!
//! It is quiet hours for the account, so nobody is asked anything meanwhile. Surprising: the limit is made of what the fetch itself has
//! written: the same rows, loaded in the order of their keys into the same tables of another database.

use std::time::{Duration, Instant};

use jiff::{ToSpan as _, tz::offset};
use musubi_domain::Error;
use musubi_proto::information::v1::{GetFunnelRequest, follower_service_client::FollowerServiceClient};
use musubi_runtime::{Clock as _, SystemClock, grpc::client::PeerChannel};
use serde_json::{Value, json};

use super::{
    carrier::{Carrier, Listed},
    report::{Beside, Cost, Latency, Report, Spent, disk_bytes},
    site::{Node, Place, ProcessMemory, Site, SiteArgs, broken, stop_all},
    world::World,
};
use crate::demo::screen::Screen;

/// Of so many numbers one leaves, and one comes.
const EVERY: u64 = 200;
/// How often it is asked whether the list is promoted.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How long nothing may come in; a list of which nothing is new takes its time, too.
const PATIENCE: Duration = Duration::from_secs(600);
/// How long a question may take.
const DEADLINE: Duration = Duration::from_secs(60);

/// Measure the acquisition of a subscriber list: N numbers for the first time, then again with 1 % changed.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  musubi bench list-sync --store postgres --size 1000000 --json list-sync.json
  musubi bench list-sync --store sqlite --size 1000000 --data-dir /var/tmp

Under test: the information-management server as a process, with its database, as durable as in production. It fetches the list over
gRPC, checks count and digest, derives each follower's keyed id, judges the list, and stores what is new: followers, what the list
says of them, their dialogues. The figure is the time from the fetch to the promotion. Nobody is asked anything meanwhile.

Around it, in this process: a carrier that keeps nothing and makes the list as it is read, in ascending order, as the contract says.

The limit: the rows that the first fetch has written, each table's in the order of its key, loaded into the same empty tables with
their indexes: by COPY on PostgreSQL, in transactions of 10,000 inserts inside of SQLite. The ratio is the first fetch's time by that.

The next fetch: of each 200 numbers one has left and one is new, which makes 1 %. Its time and its rows are told beside the first's.")]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) site: SiteArgs,
}

pub(super) async fn measure(args: &SiteArgs, site: &mut Site, screen: &Screen) -> Result<Report, Error> {
    let world = World::new(site.folder())?;
    let place = site.information_database("information").await?;
    let (carrier, _messages) = Carrier::start(&world, false, |routes| routes).await?;
    let mut configuration = world.information(&place, carrier.endpoint(), "1s")?;
    configuration["official_account"][0]["quiet_hours"] = quiet_now();
    let acquisition = Acquisition { args, site, world: &world, carrier: &carrier, place: &place };

    let first = Listed { generation: 1, places: 0..args.size, without_every: 0 };
    let first = acquisition.fetch(&configuration, ("first fetch", first), screen).await?;

    let dump = place.yardstick().await?;
    let rows = dump.dump(site.folder().join("rows")).await?;
    dump.close().await;
    let same = site.information_database("same_rows").await?.yardstick().await?;
    let loading = same.load(&rows).await?;
    same.close().await;

    let acquisition = Acquisition { args, site, world: &world, carrier: &carrier, place: &place };
    let changed = Listed { generation: 2, places: 0..args.size + args.size / EVERY, without_every: EVERY };
    let next = acquisition.fetch(&configuration, ("next fetch", changed), screen).await?;

    let beside = Beside::new(
        first.took.as_secs_f64(),
        "seconds",
        "the rows that it wrote, loaded in the order of their keys",
        loading.as_secs_f64(),
    );
    let rows_per_change = |cost: &Cost| cost.rows_per_unit.unwrap_or_default() * EVERY as f64 / 2.0;
    let memories = first
        .memories
        .into_iter()
        .zip(next.memories)
        .map(|(first, next)| if next.peak_rss_bytes > first.peak_rss_bytes { next } else { first });
    let per_second = |seconds: f64| args.size as f64 / seconds.max(1e-9);
    let report = Report::new(
        ("list-sync", "follower"),
        args,
        site,
        memories.collect(),
        beside,
        (Latency::default(), first.cost),
    );
    Ok(report.with([
        ("followers_per_second", per_second(first.took.as_secs_f64())),
        ("rows_that_were_loaded", rows.rows() as f64),
        ("next_fetch_seconds", next.took.as_secs_f64()),
        ("next_fetch_by_first", next.took.as_secs_f64() / first.took.as_secs_f64().max(1e-9)),
        ("next_fetch_rows_for_each_changed_follower", rows_per_change(&next.cost)),
    ]))
}

/// A span of quiet hours, in the account's time zone, that began two hours ago and lasts for 22 more.
fn quiet_now() -> Value {
    let now = offset(9).to_datetime(SystemClock.now());
    let at = |time: jiff::civil::DateTime| time.strftime("%H:%M").to_string();
    let [from, to] = [-2, -3].map(|hours| at(now.saturating_add(hours.hours())));
    json!(format!("{from}-{to}"))
}

/// One fetch, and what it came to.
struct Fetched {
    took: Duration,
    cost: Cost,
    memories: Vec<ProcessMemory>,
}

struct Acquisition<'a> {
    args: &'a SiteArgs,
    site: &'a Site,
    world: &'a World,
    carrier: &'a Carrier,
    place: &'a Place,
}

impl Acquisition<'_> {
    /// Starts the nodes, has one of them fetch the list, and stops them.
    async fn fetch(
        &self,
        configuration: &Value,
        (name, list): (&'static str, Listed),
        screen: &Screen,
    ) -> Result<Fetched, Error> {
        let Self { args, site, world, carrier, place } = self;
        let before = Spent::so_far(place, Some(0)).await?;
        let mut nodes = Node::replicas(args, site, "information", configuration).await?;
        let channel = world.channel(&world.company_server(), nodes[0].endpoint(), DEADLINE)?;
        let company = FollowerServiceClient::new(channel);
        let promoted = self.promoted(&company).await?.0;
        let stage = screen.begin(name, args.size);
        carrier.offer(list);
        let offered = Instant::now();
        while carrier.fetched().is_none() {
            nodes.iter_mut().try_for_each(Node::alive)?;
            if offered.elapsed() > DEADLINE {
                return Err(broken("nobody fetches the list", "it was offered a minute ago"));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        let begun = carrier.fetched().unwrap_or(offered);
        let mut moved = (0, begun);
        loop {
            let (now, followers) = self.promoted(&company).await?;
            stage.at(followers, "");
            if now > promoted {
                break;
            }
            nodes.iter_mut().try_for_each(Node::alive)?;
            if followers != moved.0 {
                moved = (followers, Instant::now());
            }
            if moved.1.elapsed() > PATIENCE {
                return Err(broken("the list is not promoted", format!("nothing moves at {followers}")));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        let took = begun.elapsed();
        carrier.withdraw();
        stage.end("");
        let memories = nodes.iter().map(Node::memory).collect();
        let disk = disk_bytes(&nodes);
        stop_all(nodes).await?;
        let cost = before.until(&Spent::so_far(place, disk).await?, args.size);
        Ok(Fetched { took, cost, memories })
    }

    /// How many lists were promoted, and how many followers there are.
    async fn promoted(&self, company: &FollowerServiceClient<PeerChannel>) -> Result<(u64, u64), Error> {
        let request = GetFunnelRequest { official_account: self.world.account.to_string() };
        let answer = company.clone().get_funnel(request).await;
        let funnel = answer.map_err(|status| broken("the list is not told", status.message()))?.into_inner();
        let promoted = funnel.acquisitions.iter().map(|it| it.promoted).sum();
        Ok((promoted, funnel.funnels.iter().map(|it| it.followers).sum()))
    }
}
