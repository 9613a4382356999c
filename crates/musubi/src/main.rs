//! The program: reads the command line and does what it says.

use std::process::ExitCode;

use clap::Parser as _;
use mimalloc::MiMalloc;
use musubi::cli::Program;

#[global_allocator]
static MEMORY: MiMalloc = MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    Program::parse().run().await
}
