//! `musubi bench`: how fast the parts are, each beside the plain limit of the same work in the same run.
//!
//! `match` measures matching inside of this process; the others measure a node as a process of its own, with its database, and play
//! everybody around it. Nothing is judged here and nothing kept; whoever reads the table judges. Surprising: a limit is measured in the
//! same run, because the machine of the next run is another one, even when it is the same.

mod carrier;
mod crowd;
mod distribute;
mod link;
mod list_sync;
mod matching;
mod online_match;
mod report;
mod site;
mod table;
mod world;

use std::io::Write;

use clap::{Args as ClapArgs, Subcommand};
use musubi_domain::{Error, ErrorKind};

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
    Link(link::Args),
    OnlineMatch(online_match::Args),
}

impl Args {
    /// Measures, and writes the table.
    pub(crate) async fn run(self, out: &mut dyn Write) -> Result<Ending, Error> {
        let screen = Screen::new(false);
        let measured = async {
            match self.command {
                Command::Match(args) => matching::run(args, out).await,
                Command::ListSync(args) => list_sync::run(args, &screen, out).await,
                Command::Distribute(args) => distribute::run(args, &screen, out).await,
                Command::Link(args) => link::run(args, &screen, out).await,
                Command::OnlineMatch(args) => online_match::run(args, &screen, out).await,
            }
        };
        // What a measurement has started and made goes with it.
        let ended = tokio::select! {
            ended = measured => ended,
            _ = tokio::signal::ctrl_c() => Err(Error::new(ErrorKind::Unavailable, "interrupted", "")),
        };
        screen.clear();
        ended
    }
}
