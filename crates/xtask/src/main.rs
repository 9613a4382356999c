//! Automation of the project: `cargo xtask test` is the one test command, and each of its steps is a command too.
//!
//! What lives here are checks of the tree, never code that a node runs, so nothing of ours may depend on it, and of ours
//! it depends only on `servers`, which starts what the tests need. Surprising: it is part of the workspace that it checks, so its own files obey every
//! rule below (only `tidy/text.rs` may hold the words that it forbids).
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool talks by printing")]

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand};

mod finding;
mod fuzz;
mod peers;
mod pictures;
mod proto;
mod requirements;
mod servers;
mod stack;
mod steps;
mod supply;
mod tidy;

use steps::Step;

/// Automation of Musubi. `cargo xtask test` decides whether a change is good.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run every step below, in this order, and end with a table; fails when any step fails.
    Test {
        /// Stop at the first step that fails instead of running the rest.
        #[arg(long)]
        fail_fast: bool,
    },
    /// The formatting is rustfmt's (`cargo fmt` mends it).
    Fmt,
    /// The tree keeps the project's rules: layout, imports, sizes, words, dependencies, links.
    Tidy,
    /// The wire under proto/ is well named, documented, and not broken against proto/baseline.txt.
    Proto {
        /// Write the wire as it is now to proto/baseline.txt; refused when that breaks the accepted one.
        #[arg(long)]
        accept: bool,
    },
    /// Clippy has nothing to say, in any target.
    Clippy,
    /// The documentation builds without a warning, private items included.
    Doc,
    /// Every test of the workspace, beside a PostgreSQL and a Redis of its own.
    Tests,
    /// Start the PostgreSQL and the Redis of the tests for a command, for example
    /// `cargo xtask servers -- cargo test -p musubi-storage`; without one, print their addresses and wait for Ctrl-C.
    Servers {
        /// The command and its arguments; it finds the addresses in MUSUBI_TEST_POSTGRES and MUSUBI_TEST_REDIS.
        #[arg(last = true)]
        command: Vec<OsString>,
    },
    /// The dependencies keep deny.toml: licences, sources, bans, advisories. Installs cargo-deny below target/ when needed.
    Deny,
    /// Write what the program is made of to target/sbom/musubi.cdx.json (CycloneDX), checked against what it links.
    Sbom,
    /// Build the image, bring the stack of docker-compose.yml up, play on it while containers are killed and replaced, restore a backup.
    /// Needs a container engine; installs and starts Debian's where there is none and that may be done.
    StackTest(stack::Arguments),
    /// Measure Musubi beside Kannel and graphile-worker on this machine, one after the other; fails when it is not fast enough beside each.
    Peers(peers::Arguments),
    /// Take the pictures of docs/pictures anew, of a demo in a real browser.
    Pictures,
    /// Any bytes into every decoder of outside bytes, for some time each; fails on a finding.
    Fuzz {
        /// How long each decoder is tried.
        #[arg(long, default_value_t = 60)]
        seconds: u32,
        /// Only these decoders, by their folders in tests/fuzz/corpus.
        only: Vec<String>,
    },
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    let root = &root()?;
    let step = match command {
        Command::Test { fail_fast } => return steps::run_all(root, fail_fast),
        Command::Proto { accept: true } => return proto::accept(root),
        Command::Proto { accept: false } => Step::Proto,
        Command::Fmt => Step::Fmt,
        Command::Tidy => Step::Tidy,
        Command::Clippy => Step::Clippy,
        Command::Doc => Step::Doc,
        Command::Tests => Step::Tests,
        Command::Servers { command } => return servers::serve(&command),
        Command::Deny => return supply::deny::check(root),
        Command::Pictures => return pictures::take(root),
        Command::Peers(arguments) => return peers::measure(root, &arguments),
        Command::Sbom => return supply::sbom::write(root).map(drop),
        Command::StackTest(arguments) => return stack::test(root, &arguments),
        Command::Fuzz { seconds, only } => return fuzz::run(root, seconds, &only),
    };
    requirements::check(&[step])?;
    step.run(root)
}

/// The workspace's root folder: two above this crate's.
fn root() -> anyhow::Result<PathBuf> {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = crate_folder.ancestors().nth(2).context("the crate's folder has no grandparent")?;
    Ok(root.to_path_buf())
}
