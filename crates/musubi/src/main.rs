//! The program: reads the command line and does what it says.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "musubi", version, about = "Ties the followers of official accounts to customers.")]
struct Program {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Demo(musubi::demo::Args),
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    match Program::parse().command {
        Command::Demo(args) => musubi::demo::run(args).await,
    }
}
