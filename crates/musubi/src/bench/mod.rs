//! `musubi bench`: how fast the parts are, each beside the plain limit of the same work in the same run.
//!
//! Nothing is judged here and nothing kept; whoever reads the table judges. Surprising: every figure is the best of several passes,
//! because other work of the machine only ever makes a pass slower.

mod matching;
mod table;

use std::io::Write;

use clap::{Args as ClapArgs, Subcommand};
use musubi_domain::Error;

use crate::operator::Ending;

/// Measure how fast this machine does the work, each part beside its plain limit.
#[derive(Debug, ClapArgs)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Match(matching::Args),
}

impl Args {
    /// Measures, and writes the table.
    pub(crate) async fn run(self, out: &mut dyn Write) -> Result<Ending, Error> {
        match self.command {
            Command::Match(args) => matching::run(args, out).await,
        }
    }
}
