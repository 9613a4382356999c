//! `musubi demo`: plays a population through the whole flow, on a cluster in this process or on a stack that runs, and judges every
//! follower.
//!
//! [`run`] is the whole of it: prepare what is played (`material`), start the cluster or find the stack (`site`), play (`play`), read and judge (`reading`,
//! `judge`), show (`summary`, `talk_room`) and report (`report`). It speaks with the nodes over gRPC only, with the rights of a
//! company's operators and of whoever holds the phones. Asked to stay (`open`), it then leaves everything running for people with
//! browsers. Surprising: it believes no counter about who got what; it reads every talk room.

mod bars;
mod clients;
mod evidence;
mod judge;
mod master_file;
mod material;
mod notice;
mod open;
mod people;
mod play;
mod reading;
mod report;
pub(crate) mod screen;
mod settle;
mod site;
mod summary;
mod talk_room;
#[cfg(test)]
mod tests;
pub(crate) mod ways_in;

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use clap::{ArgAction, ValueEnum, builder::RangedU64ValueParser};
use musubi_domain::id::OfficialAccountId;
use musubi_runtime::{
    Shutdown,
    config::Secret,
    entropy,
    telemetry::{self, ExportConfig, TelemetryConfig},
};
use musubi_servers::{
    Server,
    postgres::{self, Settings},
};
use tempfile::TempDir;

use self::{
    judge::Fault,
    material::{Material, MaterialError},
    play::{BadMaster, Play, Played},
    report::{Report, StoryEnd, Summary, Timing},
    screen::Screen,
    site::Site,
};
use crate::{
    cluster::{self, Matching},
    node,
};

/// Ended by a signal, as shells count it.
const INTERRUPTED: u8 = 130;
/// The most companies, and the most carriers; every one is a server of its own.
const SERVERS: u64 = 50;
/// The most invented followers.
const FOLLOWERS: u64 = 1_000_000;

/// Plays a population through the whole flow, all servers in this process unless --stack names others, and judges every follower.
///
/// Exits 0 when every follower ended as the story says and every message reached the right person, 1 when not, 2 when
/// arguments or files are wrong.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// How many followers to invent.
    #[arg(long, value_name = "N", default_value = "1000", value_parser = count(FOLLOWERS))]
    followers: usize,
    /// How many companies to invent, each with one official account.
    #[arg(long, value_name = "N", default_value = "2", value_parser = count(SERVERS))]
    companies: usize,
    /// How many carriers the invented followers have.
    #[arg(long, value_name = "N", default_value = "3", value_parser = count(SERVERS))]
    carriers: usize,
    /// How many of the carriers speak RCS Business Messaging, by REST and webhooks, in place of the carriers' own contract.
    #[arg(long, value_name = "N", default_value_t = 0)]
    rbm: usize,
    /// How many people may be in the middle of their stories at one time; the others follow as these come to their end.
    #[arg(long, value_name = "N", default_value = "10000", value_parser = count(FOLLOWERS))]
    at_once: usize,
    /// How many people begin their stories in a second at most, so that a play lasts as long as it should on any machine.
    #[arg(long, value_name = "N", value_parser = count(FOLLOWERS))]
    pace: Option<usize>,
    /// Another seed invents other people.
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// Where the databases and files are kept; without it a temporary folder that is gone afterwards.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Where nodes keep what they have: SQLite files, or a PostgreSQL server that is started for this run and gone afterwards.
    #[arg(long, value_enum, default_value_t = StoreArg::Sqlite)]
    store: StoreArg,
    /// Writes what was found as JSON, with every story. It holds whole phone numbers.
    #[arg(long, value_name = "FILE.json")]
    report: Option<PathBuf>,
    /// Exports traces to a collector of OpenTelemetry: http:// at a loopback address, as http://127.0.0.1:4317.
    #[arg(long, value_name = "URL", conflicts_with = "stack")]
    export: Option<String>,
    /// Which share of the traces is exported, 0 to 1.
    #[arg(long, value_name = "SHARE", default_value_t = 0.05, requires = "export")]
    traces: f64,
    /// No progress, plain text, no pages; ends when the population has run.
    #[arg(long)]
    headless: bool,
    #[command(flatten)]
    open: open::OpenArgs,
    /// Plays on servers that already run: a file that says where they are and by which certificates they are called, as
    /// deploy/compose/demo.toml. They have to be configured as the population is, and fresh: nobody may have played there.
    #[arg(long, value_name = "FILE.toml", conflicts_with_all = ["rbm", "store", "pages", "stay"])]
    stack: Option<PathBuf>,
    /// How customers are matched: by asking the company's server, by an entrusted copy, or half of the companies each.
    #[arg(long, value_enum, default_value_t = MatchingArg::Both)]
    matching: MatchingArg,
    /// Plays this customer master instead of an invented one; once for each official account.
    #[arg(
        long,
        value_name = "OFFICIAL_ACCOUNT=FILE.csv",
        action = ArgAction::Append,
        requires = "stories",
        value_parser = customers
    )]
    customers: Vec<CustomersArg>,
    /// Plays these stories instead of invented ones.
    #[arg(
        long,
        value_name = "FILE.csv",
        requires = "customers",
        conflicts_with_all = ["followers", "companies", "carriers"]
    )]
    stories: Option<PathBuf>,
}

/// `--store`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum StoreArg {
    /// A file for each node.
    Sqlite,
    /// A database for each node on a server of this run's own; PostgreSQL has to be installed.
    Postgres,
}

/// `--matching`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum MatchingArg {
    /// Every company's server decides.
    Inquiry,
    /// The information-management server decides by entrusted copies.
    Custody,
    /// The same, by copies that are digests, and the company's server is asked about what these don't tell.
    Blind,
    /// In turn, beginning with inquiry.
    Both,
}

impl MatchingArg {
    /// How the `index`th company's customers are matched.
    const fn of(self, index: usize) -> Matching {
        match self {
            Self::Inquiry => Matching::Inquiry,
            Self::Custody => Matching::Custody,
            Self::Blind => Matching::Blind,
            Self::Both if index.is_multiple_of(2) => Matching::Inquiry,
            Self::Both => Matching::Custody,
        }
    }
}

/// `--customers`
#[derive(Clone, Debug)]
struct CustomersArg {
    official_account: OfficialAccountId,
    file: PathBuf,
}

fn customers(argument: &str) -> Result<CustomersArg, String> {
    let (account, file) = argument.split_once('=').ok_or("write OFFICIAL_ACCOUNT=FILE.csv")?;
    let official_account = account.parse().map_err(|error: musubi_domain::Error| error.to_string())?;
    Ok(CustomersArg { official_account, file: file.into() })
}

fn count(most: u64) -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..=most)
}

/// Plays, prints what was found to standard output and gives the exit code: 0 everything is as it should be, 1 it is not,
/// 2 arguments or files are wrong, 130 ended by a signal.
///
/// # Errors
/// When the demo itself fails: a node doesn't start or dies, the report or the standard output can't be written.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    // A loaded machine makes statements wait; that is no news beside the progress.
    let telemetry =
        TelemetryConfig { export: export(&args), ..TelemetryConfig::text("warn,sqlx::pool=error") };
    if let Err(error) = telemetry::start_for_all(&telemetry) {
        return Ok(node::fail(2, &format!("--export: {error}")));
    }
    let ended = run_to(args, &mut io::stdout()).await;
    telemetry::end().await;
    ended
}

/// Where traces go. The key of their ids is this run's own, as its people are.
fn export(args: &Args) -> Option<ExportConfig> {
    let key = Secret::new(format!("{:032x}", u128::from_le_bytes(entropy::bytes())));
    args.export.as_ref().map(|endpoint| ExportConfig {
        endpoint: endpoint.clone(),
        plain: false,
        traces: args.traces,
        key: Some(key),
        every: Duration::from_secs(1),
    })
}

/// As [`run`], printing to `output` and leaving the log as it is.
///
/// # Errors
/// As [`run`].
pub async fn run_to(args: Args, output: &mut impl Write) -> anyhow::Result<ExitCode> {
    let shutdown = Shutdown::new(Duration::from_secs(10));
    shutdown.on_signals()?;
    match play(&args, &shutdown, output).await {
        Ok(success) => Ok(if success { ExitCode::SUCCESS } else { ExitCode::FAILURE }),
        Err(_) if shutdown.token().is_cancelled() => {
            screen::line("interrupted");
            Ok(ExitCode::from(INTERRUPTED))
        }
        Err(error) if error.is::<MaterialError>() || error.is::<BadMaster>() || error.is::<Unplayable>() => {
            Ok(node::fail(2, &error.to_string()))
        }
        Err(error) => Err(error),
    }
}

/// Whether everything is as it should be.
async fn play(args: &Args, shutdown: &Shutdown, output: &mut impl Write) -> anyhow::Result<bool> {
    let begun = Instant::now();
    let folder = Folder::open(args)?;
    let screen = Screen::new(args.headless);
    let material = Material::prepare(args, folder.path())?;
    let mut site = match &args.stack {
        Some(file) => Site::find(file, &material)?,
        None => {
            let server = server(args.store).await?;
            let pages = if args.headless { None } else { Some(args.open.plan(&material, folder.path())?) };
            let plan = plan(args, &material, folder.path(), server.as_ref().map(Server::url), pages);
            Site::start(plan, server).await?
        }
    };
    let doors = site.doors().clone();
    let playing = async {
        let played = Play::new(args, &material, &doors, &screen, shutdown)?.run().await?;
        let stories = reading::read(&material.stories, &played, &screen).await?;
        let rooms = reading::rooms(&stories, &played.terminal).await?;
        anyhow::Ok((played, stories, rooms))
    };
    let interrupted = shutdown.token().cancelled_owned();
    let played = tokio::select! {
        played = playing => played,
        error = site.broken() => Err(error),
        () = interrupted => Err(anyhow::anyhow!("interrupted")),
    };
    screen.clear();
    let (played, stories, rooms) = match played {
        Ok(played) => played,
        Err(error) => {
            // What nodes say while they stop is of no use beside an earlier error.
            let _stopped = site.stop().await;
            return Err(error);
        }
    };
    let report = report(args, &material, played, stories, begun.elapsed());
    let text = summary::text(&report, &rooms);
    output
        .write_all(text.as_bytes())
        .and_then(|()| output.flush())
        .context("the summary can not be printed")?;
    if let Some(path) = &args.report {
        report.write(path).with_context(|| format!("{} can not be written", path.display()))?;
    }
    if let Site::Own(cluster, _) = &mut site
        && !args.headless
        && args.open.stays()
    {
        open::stay(cluster, &doors, shutdown, output).await?;
    }
    site.stop().await?;
    Ok(report.summary.success)
}

/// The run's own PostgreSQL; it ends when it is dropped.
async fn server(store: StoreArg) -> anyhow::Result<Option<Server>> {
    match store {
        StoreArg::Sqlite => Ok(None),
        StoreArg::Postgres => {
            let settings = Settings { max_connections: 400, ..Settings::default() };
            Ok(Some(tokio::task::spawn_blocking(move || postgres::start(&settings)).await??))
        }
    }
}

/// Where files of this run go.
enum Folder {
    /// Gone afterwards.
    Temporary(TempDir),
    /// Kept.
    Kept(PathBuf),
}

/// A path or a stack that was asked for can't be used.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Unplayable(String);

impl Folder {
    /// The data folder, made if it isn't there; and a look at where the report will go, before anything is played.
    fn open(args: &Args) -> anyhow::Result<Self> {
        let parent = args.report.as_deref().and_then(Path::parent).filter(|it| !it.as_os_str().is_empty());
        if let Some(parent) = parent.filter(|parent| !parent.is_dir()) {
            let sentence = format!("--report: {} is no folder; make it, or name another", parent.display());
            return Err(Unplayable(sentence).into());
        }
        let Some(path) = &args.data_dir else {
            return Ok(Self::Temporary(tempfile::Builder::new().prefix("musubi-demo-").tempdir()?));
        };
        let refused = |why: String| Unplayable(format!("--data-dir: {} {why}", path.display()));
        fs::create_dir_all(path)
            .map_err(|error| refused(format!("can not be made: {error}; name another")))?;
        if path.join(cluster::INFORMATION_DATABASE).exists() {
            return Err(
                refused("holds the databases of an earlier run; name an empty folder".to_owned()).into()
            );
        }
        Ok(Self::Kept(path.clone()))
    }

    fn path(&self) -> &Path {
        match self {
            Self::Temporary(folder) => folder.path(),
            Self::Kept(path) => path,
        }
    }
}

fn plan(
    args: &Args,
    material: &Material,
    folder: &Path,
    postgres: Option<String>,
    pages: Option<cluster::PagesPlan>,
) -> cluster::Plan {
    let company = |account: &material::AccountMaterial| cluster::CompanyPlan {
        company: account.company.clone(),
        official_account: account.id.clone(),
        display_name: account.display_name.clone(),
        matching: account.matching,
        format: account.format,
    };
    cluster::Plan {
        folder: folder.to_owned(),
        postgres,
        companies: material.accounts.iter().map(company).collect(),
        carriers: material.carriers.clone(),
        rbm: args.rbm,
        followers: material.stories.len() as u64,
        pages,
    }
}

fn report<'a>(
    args: &Args,
    material: &'a Material,
    played: Played<'_>,
    stories: Vec<StoryEnd<'a>>,
    elapsed: Duration,
) -> Report<'a> {
    let count = |is: fn(&StoryEnd<'_>) -> bool| stories.iter().filter(|story| is(story)).count() as u64;
    let shown = played.evidence.progress.shown;
    let faultless = count(|story| story.faults.is_empty());
    let as_expected = count(|story| story.as_expected);
    let wrong_person = count(|story| story.faults.contains(&Fault::WrongPerson));
    let seconds = elapsed.as_secs_f64();
    let summary = Summary {
        success: played.stuck.is_none() && faultless == stories.len() as u64,
        stuck: played.stuck,
        stories: stories.len() as u64,
        as_expected,
        not_as_expected: stories.len() as u64 - as_expected,
        wrong_person,
        wrong_deliveries: count(|story| story.faults.iter().any(|fault| fault.is_of_a_delivery())),
        companies: material.accounts.len(),
        carriers: material.carriers.len(),
        seed: args.seed,
        messages_shown: shown,
        seconds,
    };
    let mut timings = played.timings;
    timings.push(Timing::new("all", seconds, shown, "messages shown"));
    Report {
        summary,
        steps: played.evidence.steps(),
        funnels: played.evidence.funnels(),
        deliveries: played.evidence.deliveries(),
        timings,
        stories,
    }
}
