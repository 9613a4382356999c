//! `musubi bench`: how fast the parts are, each beside the plain limit of the same work in the same run.
//!
//! `match` measures matching inside of this process, and `rbm` one kind of gateway; the others measure a node as a process of its own, with its database, and play
//! everybody around it. Nothing is judged here and nothing kept; whoever reads the table judges. Surprising: a limit is measured in the
//! same run, because the machine of the next run is another one, even when it is the same.

mod carrier;
mod console;
mod crowd;
mod distribute;
mod fairness;
mod link;
mod list_sync;
mod matching;
mod online_match;
mod rbm;
mod report;
mod site;
mod table;
mod world;

use std::{io::Write, time::Duration};

use clap::{Args as ClapArgs, Subcommand};
use musubi_domain::{Error, ErrorKind};
use musubi_runtime::Shutdown;

use self::{
    report::Report,
    site::{Site, SiteArgs, broken},
};
use crate::{demo::screen::Screen, operator::Ending};

/// Measure how fast this machine does the work, each part beside its plain limit.
#[derive(Debug, ClapArgs)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Match(matching::Args),
    ListSync(list_sync::Args),
    Distribute(distribute::Args),
    Fairness(fairness::Args),
    Link(link::Args),
    OnlineMatch(online_match::Args),
    Rbm(rbm::Args),
    Console(console::Args),
}

impl Args {
    /// Measures, and writes the table.
    pub(crate) async fn run(self, out: &mut dyn Write) -> Result<Ending, Error> {
        let screen = &Screen::new(false);
        match self.command {
            Command::Match(args) => matching::run(args, out).await,
            Command::Rbm(args) => rbm::run(args, out).await,
            Command::ListSync(list_sync::Args { site: args }) => {
                on_site(&args, screen, out, async |site| list_sync::measure(&args, site, screen).await).await
            }
            Command::Distribute(distribute::Args { site: args }) => {
                on_site(&args, screen, out, async |site| distribute::measure(&args, site, screen).await).await
            }
            Command::Fairness(fairness::Args { site: args }) => {
                on_site(&args, screen, out, async |site| fairness::measure(&args, site, screen).await).await
            }
            Command::Console(console::Args { site: args }) => {
                on_site(&args, screen, out, async |site| console::measure(&args, site, screen).await).await
            }
            Command::Link(args) => {
                on_site(&args.site, screen, out, async |site| link::measure(&args, site, screen).await).await
            }
            Command::OnlineMatch(online_match::Args { site: args }) => {
                on_site(&args, screen, out, async |site| online_match::measure(&args, site, screen).await)
                    .await
            }
        }
    }
}

/// Measures a node on a site of its own, which is gone afterwards, however the measurement ends.
async fn on_site(
    args: &SiteArgs,
    screen: &Screen,
    out: &mut dyn Write,
    job: impl AsyncFnOnce(&mut Site) -> Result<Report, Error>,
) -> Result<Ending, Error> {
    let shutdown = Shutdown::new(Duration::ZERO);
    shutdown.on_signals().map_err(|error| broken("signals can not be heard", error))?;
    let interrupted = shutdown.token();
    let mut site = Site::open(args).await?;
    let measured = tokio::select! {
        measured = job(&mut site) => measured,
        () = interrupted.cancelled() => Err(Error::new(ErrorKind::Unavailable, "interrupted", "")),
    };
    screen.clear();
    let cleared = site.clear().await;
    let report = measured?;
    cleared?;
    report.write(args, out)
}
