//! The program: reads the command line and does what it says.

use std::process::ExitCode;

use clap::Parser as _;
use musubi::cli::Program;

#[tokio::main]
async fn main() -> ExitCode {
    Program::parse().run().await
}
