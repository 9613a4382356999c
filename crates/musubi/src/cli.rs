//! The command line. Each command is a room of its own; here they only get their names and their help.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::{audit, bench, carrier, certs, demo, health, matching, migrate, node, operator, provision};

/// Ties the followers of RCS official accounts to customers, and sends each what is theirs.
#[derive(Debug, Parser)]
#[command(
    name = "musubi",
    version,
    after_help = "Begin here:\n  musubi demo                            everything in one process, played through and judged\n  musubi information --config FILE.toml  one node as a process of its own; see each node's --help\n  musubi customers import FILE.csv       an operator's command, to a running company server"
)]
pub struct Program {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::Args),
    /// Run a company server: the customer master, and the operators' way in.
    Company(node::Args),
    /// Run the information-management server: lists, dialogues, matching, distributions.
    Information(node::Args),
    Carrier(carrier::Args),
    /// Run a consumer-terminal simulator: a fleet of phones and scripted people.
    Terminal(node::Args),
    Certs(certs::Args),
    Provision(provision::Args),
    Migrate(migrate::Args),
    Health(health::Args),
    /// Verify the audit of an information-management server or a company server, write it out, or read a company's own lines of it.
    #[command(subcommand)]
    Audit(audit::Audit),
    /// Compare two values, or decide answers against a master: files in, reasons out, no server.
    Match(matching::Args),
    Bench(bench::Args),
    /// Operators: sign in and out.
    Session(operator::Session),
    /// Operators: who may call the company server, people and machines.
    Operators(operator::Operators),
    /// Operators: the company's official accounts, and what their dialogues say.
    Accounts(operator::Accounts),
    /// Operators: import, see and entrust the customer master.
    Customers(operator::Customers),
    /// Operators: who follows, and how far each came.
    Followers(operator::Followers),
    /// Operators: decide the matches that could not be decided.
    Reviews(operator::Reviews),
    /// Operators: see what waits for a second person, and approve or reject it.
    Approvals(operator::Approvals),
    /// Operators: see subscriber lists, and release one that is quarantined.
    Lists(operator::Lists),
    /// Operators: make, start and watch distributions.
    Distributions(operator::Distributions),
}

impl Program {
    /// Does what the command line says; the exit code is 0 when it went well, 1 when it didn't, 2 when nothing was begun.
    pub async fn run(self) -> ExitCode {
        match self.command {
            Command::Demo(args) => demo::run(args).await.unwrap_or_else(|error| node::fail(1, &error)),
            Command::Company(args) => node::company(&args).await,
            Command::Information(args) => node::information(&args).await,
            Command::Carrier(args) => args.run().await,
            Command::Terminal(args) => node::terminal(&args).await,
            Command::Certs(args) => operator::run(async |out| args.run(out)).await,
            Command::Provision(args) => operator::run(async |out| args.run(out)).await,
            Command::Migrate(args) => migrate::run(&args).await,
            Command::Health(args) => health::run(&args).await,
            Command::Audit(audit) => operator::run(async |out| audit.run(out).await).await,
            Command::Match(args) => operator::run(async |out| args.run(out, &mut std::io::stderr())).await,
            Command::Bench(args) => operator::run(async |out| args.run(out).await).await,
            Command::Session(args) => operator::run(async |out| args.run(out).await).await,
            Command::Operators(args) => operator::run(async |out| args.run(out).await).await,
            Command::Accounts(args) => operator::run(async |out| args.run(out).await).await,
            Command::Customers(args) => operator::run(async |out| args.run(out).await).await,
            Command::Followers(args) => operator::run(async |out| args.run(out).await).await,
            Command::Reviews(args) => operator::run(async |out| args.run(out).await).await,
            Command::Approvals(args) => operator::run(async |out| args.run(out).await).await,
            Command::Lists(args) => operator::run(async |out| args.run(out).await).await,
            Command::Distributions(args) => operator::run(async |out| args.run(out).await).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_whole() {
        Program::command().debug_assert();
    }
}
