//! `musubi migrate`: brings the databases of nodes up to date, before the nodes of a new version start.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use musubi_runtime::config::{ConfigError, Database};
use musubi_storage::{Migrations, StoreError};

use crate::node::fail;

/// Bring the databases of nodes up to date, as the configurations name them.
///
/// Run it before the nodes of a new version start: a node refuses a PostgreSQL database that lacks something it needs. What a
/// version adds, nodes of the version before don't mind, so both may run meanwhile, unless the changelog says to stop them first. Of several that migrate one database at once
/// one does the work. SQLite files are brought up to date by the node that opens them.
#[derive(Debug, clap::Args)]
#[command(
    arg_required_else_help = true,
    after_help = "Example:\n  musubi migrate --information information.toml --company company.toml"
)]
pub(crate) struct Args {
    /// A company server's configuration; may be repeated, as all of these.
    #[arg(long, value_name = "FILE.toml")]
    company: Vec<PathBuf>,
    /// An information-management server's configuration.
    #[arg(long, value_name = "FILE.toml")]
    information: Vec<PathBuf>,
    /// A carrier's configuration.
    #[arg(long, value_name = "FILE.toml")]
    carrier: Vec<PathBuf>,
    /// A terminal simulator's configuration.
    #[arg(long, value_name = "FILE.toml")]
    terminal: Vec<PathBuf>,
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{0}")]
    Config(#[from] ConfigError),
    #[error("database: {0}")]
    Store(#[from] StoreError),
    #[error("{0}")]
    Write(#[from] std::io::Error),
}

/// Migrates one after the other; the first that fails ends it with 1, and what was done before stays done.
pub(crate) async fn run(args: &Args) -> ExitCode {
    match migrate_all(args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(1, &error),
    }
}

/// Brings a node's database up to date; gives how many steps that took. A file is brought up to date by the node that opens it.
pub(crate) async fn migrate(database: &Database, migrations: &Migrations) -> Result<usize, StoreError> {
    match database {
        Database::File(_) => Ok(0),
        Database::Postgres(address) => migrations.run(address.url.expose()).await,
    }
}

async fn migrate_all(args: &Args) -> Result<(), Failure> {
    macro_rules! each {
        ($files:expr, $node:ident) => {
            for file in $files {
                let database = $node::Config::load(Some(file))?.database;
                report(file, &database, migrate(&database, $node::MIGRATIONS).await?)?;
            }
        };
    }
    each!(&args.company, musubi_company_server);
    each!(&args.information, musubi_information_server);
    each!(&args.carrier, musubi_carrier_simulator);
    each!(&args.terminal, musubi_terminal_simulator);
    Ok(())
}

fn report(file: &Path, database: &Database, steps: usize) -> std::io::Result<()> {
    let mut out = std::io::stdout();
    let file = file.display();
    match (database, steps) {
        (Database::File(_), _) => {
            writeln!(out, "{file}: an SQLite file, which the node brings up to date when it opens it")
        }
        (Database::Postgres(_), 0) => writeln!(out, "{file}: nothing to do, the database is up to date"),
        (Database::Postgres(_), 1) => writeln!(out, "{file}: one migration was applied"),
        (Database::Postgres(_), steps) => writeln!(out, "{file}: {steps} migrations were applied"),
    }
}
