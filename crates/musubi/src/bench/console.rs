//! `musubi bench console`: how long a company's people wait for pages of N followers, over HTTP, as their browser asks for them.
//!
//! Surprising: the limit is no other program but a promise, 100 ms for a page, and the command fails when the slowest page in a hundred breaks it.

use std::{
    net::TcpListener,
    time::{Duration, Instant},
};

use musubi_domain::{
    Error,
    caller::{Caller, Role},
    dialogue::State,
};
use musubi_runtime::{Clock as _, SystemClock};
use musubi_storage::information::flow::{Scope, Work};
use reqwest::{Client, RequestBuilder, Response, StatusCode, header, redirect::Policy};
use serde_json::{Value, json};

use super::{
    carrier::Carrier,
    crowd::KEY_DIGITS,
    distribute::seed,
    report::{Beside, Cost, Latency, Report},
    site::{Node, Place, ProcessMemory, Site, SiteArgs, broken, open_information, stop_all},
    world::World,
};
use crate::demo::{screen::Screen, ways_in::begin_session};

/// What a page may take, in milliseconds.
const LIMIT_MS: f64 = 100.0;
/// How often each page is asked for: as often as a tenth of the followers, within these.
const TIMES: (u64, u64) = (5, 200);
/// How often before that, so that nothing is measured that happens once.
const WARM: u64 = 5;
/// How many followers are locked, so that hardly anybody is.
const RARE: u64 = 5;
/// How long a call may take.
const DEADLINE: Duration = Duration::from_secs(60);

/// Measure the console's pages: N followers, half of them tied, and hardly anybody locked.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  musubi bench console --store postgres --size 1000000 --json console.json
  musubi bench console --store sqlite --size 1000000 --data-dir /var/tmp

Under test: the information-management server and the company server, a process each, with their databases, as durable as in
production. A page goes over HTTP to the console, from there by gRPC over TLS to the information-management server, into its database,
which writes a line of its audit, and back as HTML.

Around them, in this process: one browser with a session, which asks for each page two hundred times, for another place each time: the
first hundred followers; a hundred deep inside; a hundred deep inside of an outcome that half of them have; an outcome that five of them
have, and one that nobody has; one follower found by number; one follower's page; the overview.

The figure is the p99 of the slowest of these pages. The limit is 100 ms; the exit code is 1 when the figure is above it.")]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) site: SiteArgs,
}

/// One kind of page: what its figures are called, and where the `n`th is.
struct Page {
    p50: &'static str,
    p99: &'static str,
    ask: fn(&Visit<'_>, u64) -> Result<RequestBuilder, Error>,
}

const PAGES: [Page; 8] = [
    Page { p50: "first_page_p50_ms", p99: "first_page_p99_ms", ask: |visit, _| visit.list("") },
    Page {
        p50: "page_deep_inside_p50_ms",
        p99: "page_deep_inside_p99_ms",
        ask: |visit, n| visit.list(&format!("&page={}", visit.follower(n)?)),
    },
    Page {
        p50: "page_deep_inside_confirmed_p50_ms",
        p99: "page_deep_inside_confirmed_p99_ms",
        ask: |visit, n| visit.list(&format!("&outcome=4&page={}", visit.follower(n)?)),
    },
    Page {
        p50: "rare_outcome_p50_ms",
        p99: "rare_outcome_p99_ms",
        ask: |visit, _| visit.list("&outcome=10"),
    },
    Page {
        p50: "outcome_of_nobody_p50_ms",
        p99: "outcome_of_nobody_p99_ms",
        ask: |visit, _| visit.list("&outcome=6"),
    },
    Page {
        p50: "found_by_number_p50_ms",
        p99: "found_by_number_p99_ms",
        ask: |visit, n| {
            let number = visit.world.follower(visit.place(n))?.1;
            let body =
                format!("account={}&by=number&value=%2B{}", visit.world.account, &number.as_str()[1..]);
            Ok(visit.post("/followers/find", body))
        },
    },
    Page {
        p50: "one_follower_p50_ms",
        p99: "one_follower_p99_ms",
        ask: |visit, n| Ok(visit.get(&format!("/followers/{}/{}", visit.world.account, visit.follower(n)?))),
    },
    Page { p50: "overview_p50_ms", p99: "overview_p99_ms", ask: |visit, _| Ok(visit.get("/")) },
];

pub(super) async fn measure(args: &SiteArgs, site: &mut Site, screen: &Screen) -> Result<Report, Error> {
    let world = World::new(site.folder())?;
    let place = site.information_database("information").await?;
    let seeding = seed(&world, &place, 0..args.size, screen).await?;
    lock_few(&world, &place, args.size).await?;
    let company = site.database("company", musubi_company_server::MIGRATIONS).await?;

    let (carrier, _messages) = Carrier::start(&world, false, |routes| routes).await?;
    let configuration = world.information(&place, carrier.endpoint(), "24h")?;
    let mut nodes = Node::replicas(args, site, "information", &configuration).await?;
    let console = free_address()?;
    let configuration = company_of(&world, &company, nodes[0].endpoint().as_str(), &console)?;
    nodes.push(Node::alone(site, "company", &configuration).await?);
    let operator = Caller::CompanyOperator(world.company.clone(), "operator".parse()?);
    let door =
        nodes.last().map(Node::endpoint).ok_or_else(|| broken("no company server", "it is missing"))?;
    let channel = world.channel(&operator, door, DEADLINE)?;
    let token = begin_session(channel, "visitor", &Role::ALL).await?;
    let visit = Visit::begin(&world, args.size, format!("http://{console}"), &token).await?;

    let (mut all, mut more, mut worst) = (Vec::new(), Vec::new(), 0.0_f64);
    let times_each = (args.size / 10).clamp(TIMES.0, TIMES.1);
    let stage = screen.begin("pages", times_each * PAGES.len() as u64);
    for page in &PAGES {
        let mut times = Vec::new();
        for n in 0..WARM + times_each {
            let begun = Instant::now();
            visit.read((page.ask)(&visit, n)?).await.map_err(|error| broken(page.p50, error))?;
            if n >= WARM {
                times.push(begun.elapsed().as_secs_f32());
                stage.advance(1);
            }
        }
        all.extend_from_slice(&times);
        let Latency { p50_ms, p99_ms, .. } = Latency::of(times);
        let (p50, p99) = (p50_ms.unwrap_or_default(), p99_ms.unwrap_or_default());
        worst = worst.max(p99);
        more.extend([(page.p50, p50), (page.p99, p99)]);
    }
    stage.end("");
    nodes.iter_mut().try_for_each(Node::alive)?;
    let memories: Vec<ProcessMemory> = nodes.iter().map(Node::memory).collect();
    stop_all(nodes).await?;
    let beside = Beside::new(worst, "ms of the slowest page, p99", "what a page may take", LIMIT_MS);
    let parts = (Latency::of(all), Cost::default());
    let report = Report::new(("console", "page"), args, site, memories, beside, parts);
    let seeding = ("seconds_of_seeding_before", seeding.as_secs_f64());
    Ok(report.with(more).with([seeding]).failed_if(worst > LIMIT_MS))
}

/// A browser with a session.
struct Visit<'a> {
    world: &'a World,
    size: u64,
    origin: String,
    cookie: String,
    client: Client,
}

impl<'a> Visit<'a> {
    /// Shows the session's token, and keeps the cookie.
    async fn begin(world: &'a World, size: u64, origin: String, token: &str) -> Result<Self, Error> {
        let client = Client::builder().redirect(Policy::none()).build();
        let client = client.map_err(|error| broken("no browser", error))?;
        let mut visit = Self { world, size, origin, cookie: String::new(), client };
        let request = visit.post("/sign-in/token", format!("token={token}"));
        let answer = request.send().await.map_err(|error| broken("nobody signed in", error))?;
        let cookie = answer.headers().get(header::SET_COOKIE).and_then(|cookie| cookie.to_str().ok());
        let cookie = cookie.and_then(|cookie| cookie.split(';').next());
        visit.cookie = cookie.ok_or_else(|| broken("nobody signed in", answer.status()))?.to_owned();
        Ok(visit)
    }

    /// Somebody, another for each `n`, all over the followers.
    const fn place(&self, n: u64) -> u64 {
        n.wrapping_mul(0x9E37_79B9_7F4A_7C15) % self.size
    }

    fn follower(&self, n: u64) -> Result<String, Error> {
        Ok(self.world.follower(self.place(n))?.0.follower.to_string())
    }

    fn list(&self, more: &str) -> Result<RequestBuilder, Error> {
        Ok(self.get(&format!("/followers?account={}{more}", self.world.account)))
    }

    fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(format!("{}{path}", self.origin)).header(header::COOKIE, &self.cookie)
    }

    fn post(&self, path: &str, body: String) -> RequestBuilder {
        let request = self.client.post(format!("{}{path}", self.origin)).header(header::COOKIE, &self.cookie);
        let request = request.header("sec-fetch-site", "same-origin").body(body);
        request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
    }

    /// Reads a page to its end, and the one that it sends to.
    async fn read(&self, request: RequestBuilder) -> Result<(), reqwest::Error> {
        let mut answer = request.send().await?;
        if let Some(path) = sent_to(&answer) {
            answer = self.get(&path).send().await?;
        }
        answer.error_for_status()?.bytes().await.map(drop)
    }
}

fn sent_to(answer: &Response) -> Option<String> {
    let location = answer.headers().get(header::LOCATION)?.to_str().ok()?;
    (answer.status() == StatusCode::SEE_OTHER).then(|| location.to_owned())
}

/// Locks the last few followers.
async fn lock_few(world: &World, place: &Place, size: u64) -> Result<(), Error> {
    let store = open_information(place, world.vault()?).await?;
    let keys = (size.saturating_sub(RARE)..size).map(|place| Ok(world.follower(place)?.0));
    let scope = Scope { followers: keys.collect::<Result<_, Error>>()?, ..Scope::default() };
    let mut lock = |work: &mut Work| {
        for dialogue in work.followers.values_mut().filter_map(|record| record.dialogue.as_mut()) {
            dialogue.state = State::Locked;
        }
    };
    store.work("bench_lock", &scope, SystemClock.now(), &mut lock).await?;
    store.close().await;
    Ok(())
}

/// An address that is free just now.
fn free_address() -> Result<String, Error> {
    let bound = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    bound.map(|address| address.to_string()).map_err(|error| broken("no port is free", error))
}

fn company_of(world: &World, place: &Place, information: &str, console: &str) -> Result<Value, Error> {
    Ok(json!({
        "company": world.company,
        "database": place.configuration(),
        "information": { "endpoint": information },
        "tls": world.tls(&world.company_server())?,
        "callers": { "operators": { "operator": Role::ALL } },
        "keys": { "master": [world.master.expose()], "audit": [crate::cluster::secret()] },
        "account": { "account_digits": KEY_DIGITS, "branch_digits": 3 },
        "console": { "listen": console },
    }))
}
