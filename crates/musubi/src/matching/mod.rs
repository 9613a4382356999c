//! `musubi match`: the matcher on values and files, without any server.
//!
//! Nothing is decided here; `musubi-matching` decides, and this reads its input and shows its reasons. Surprising: what is
//! shown are normal forms and raw values of persons, because whoever calls this has the files; errors still show none.

mod compare;
mod decide;
mod faults;
#[cfg(test)]
mod tests;

use std::io::Write;

use clap::{Args as ClapArgs, Subcommand};
use musubi_domain::Error;

pub(crate) use self::compare::{reasons, verdict};
use crate::operator::Ending;

/// `musubi match`
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  musubi match compare --field name '渡邉 栄治' 渡辺栄治
  musubi match compare --field address 東京都目黒区鷹番三丁目8-2 目黒区鷹番３－８－２
  musubi match compare --tsv pairs.tsv > verdicts.tsv
  musubi match decide --master customers.csv --answers answers.csv > decisions.csv")]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Compare(compare::Args),
    Decide(decide::Args),
}

impl Args {
    /// Does it, writes the answers to `out`, and bad rows and what it came to beside them.
    pub(crate) fn run(self, out: &mut dyn Write, beside: &mut dyn Write) -> Result<Ending, Error> {
        match self.command {
            Command::Compare(args) => compare::run(&args, out, beside),
            Command::Decide(args) => decide::run(&args, out, beside),
        }
    }
}
