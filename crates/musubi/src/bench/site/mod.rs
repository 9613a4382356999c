//! Where a node is measured: a folder, a database server of its own or a named one, and nodes as processes of this same program.
//!
//! What stands around the node under test is the measurement's own, in this process. Surprising: memory is read from outside, out of
//! `/proc`, because a process that measures itself measures its measuring.

mod memory;
mod node;

use std::{
    fmt::Display,
    num::NonZero,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
};

use clap::ValueEnum;
use musubi_domain::{Error, ErrorKind};
use musubi_information_server as information;
use musubi_runtime::{config::Secret, entropy};
use musubi_servers::{
    Server,
    postgres::{self, Settings},
};
use musubi_storage::{
    Migrations, create_database, drop_database,
    information::InformationStore,
    postgres::{PostgresOptions, information::PostgresInformation, yardstick::PostgresYardstick},
    sqlite::{information::SqliteInformation, yardstick::SqliteYardstick},
    vault::VaultOptions,
    yardstick::Yardstick,
};
use serde::Serialize;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::world;

pub(super) use self::{
    memory::{ProcessMemory, peak_memory},
    node::{Node, stop_all},
};

/// How many connections a node has to PostgreSQL: the default of nodes.
const CONNECTIONS: u32 = 20;

/// `--store`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(super) enum Store {
    /// A file, with `synchronous` at FULL.
    Sqlite,
    /// A database on a server that is started for this run and gone afterwards; PostgreSQL has to be installed.
    Postgres,
}

/// What every measurement of a node is told.
#[derive(Debug, clap::Args)]
pub(super) struct SiteArgs {
    /// Where the node keeps what it has.
    #[arg(long, value_enum)]
    pub(super) store: Store,
    /// How large: followers, dialogues or customers, as the job says.
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(100..=50_000_000))]
    pub(super) size: u64,
    /// How many replicas of the node share the database; only PostgreSQL can be shared.
    #[arg(long, value_name = "R", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=16))]
    pub(super) replicas: u32,
    /// A PostgreSQL server that runs, instead of one of this run's own: its databases are made and dropped there, and its memory is
    /// not told. What others do there is counted with the bytes of its log.
    #[arg(long, value_name = "URL")]
    pub(super) database_url: Option<String>,
    /// A folder for databases and files while it runs; best on the disk that is meant. Without it: the system's temporary folder.
    #[arg(long, value_name = "DIR")]
    pub(super) data_dir: Option<PathBuf>,
    /// Write the report to this file too.
    #[arg(long, value_name = "FILE")]
    pub(super) json: Option<PathBuf>,
}

impl SiteArgs {
    /// What can't be measured is refused before anything is begun.
    pub(super) fn check(&self) -> Result<(), Error> {
        if self.store == Store::Sqlite && self.replicas > 1 {
            let problem = format!("{} processes can not share one SQLite file", self.replicas);
            return Err(Error::invalid("--replicas", problem, "take --store postgres, or one replica"));
        }
        if self.store == Store::Sqlite && self.database_url.is_some() {
            let problem = "names a PostgreSQL server, and --store sqlite measures a file";
            return Err(Error::invalid("--database-url", problem, "leave it out, or take --store postgres"));
        }
        Ok(())
    }
}

/// Something of the measurement itself went wrong.
pub(super) fn broken(doing: impl Display, why: impl Display) -> Error {
    Error::new(ErrorKind::Unavailable, format!("{doing}: {why}"), "mend that, and measure again")
}

/// Where one node's database is.
#[derive(Clone, Debug)]
pub(super) enum Place {
    File(PathBuf),
    Postgres(String),
}

impl Place {
    /// As a node's configuration names it.
    pub(super) fn configuration(&self) -> Value {
        match self {
            Self::File(path) => json!(path),
            Self::Postgres(url) => json!({ "url": url, "connections": CONNECTIONS }),
        }
    }

    /// What its database can do.
    pub(super) async fn yardstick(&self) -> Result<Box<dyn Yardstick>, Error> {
        Ok(match self {
            Self::File(path) => Box::new(SqliteYardstick::new(path)),
            Self::Postgres(url) => Box::new(PostgresYardstick::open(url).await?),
        })
    }

    /// How a store of PostgreSQL is opened.
    pub(super) fn options(url: &str) -> PostgresOptions {
        PostgresOptions::new(url, CONNECTIONS, false)
    }
}

/// The site of one measurement. Dropped, the server and all files are gone; databases on a named server go with
/// [`Site::clear`].
pub(super) struct Site {
    store: Store,
    server: Option<Server>,
    /// The server's address.
    url: Option<String>,
    /// Databases made there.
    made: Vec<String>,
    memory: Option<memory::Watch>,
    folder: TempDir,
}

impl Site {
    /// Makes the folder, and starts PostgreSQL when that is asked for and none is named.
    pub(super) async fn open(args: &SiteArgs) -> Result<Self, Error> {
        args.check()?;
        let within = args.data_dir.clone().unwrap_or_else(tempfile::env::temp_dir);
        let folder =
            tempfile::Builder::new().prefix("musubi-bench-").tempdir_in(&within).map_err(|error| {
                let problem = format!("no folder can be made in it: {}", error.kind());
                Error::invalid("--data-dir", problem, "name another")
            })?;
        let mut site = Self {
            store: args.store,
            server: None,
            url: args.database_url.clone(),
            made: Vec::new(),
            memory: None,
            folder,
        };
        if args.store == Store::Postgres && args.database_url.is_none() {
            let settings = Settings::measured(within);
            let started = tokio::task::spawn_blocking(move || postgres::start(&settings)).await;
            let server = started
                .map_err(|error| broken("PostgreSQL did not start", error))?
                .map_err(|error| broken("PostgreSQL did not start", error))?;
            site.url = Some(server.url());
            site.memory = server.pid().map(memory::Watch::over);
            site.server = Some(server);
        }
        Ok(site)
    }

    /// The folder.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// An empty database of a node; one that is a file has its schema when a store opens it.
    pub(super) async fn database(&mut self, name: &str, migrations: &Migrations) -> Result<Place, Error> {
        let (Store::Postgres, Some(server)) = (self.store, &self.url) else {
            return Ok(Place::File(self.folder().join(format!("{name}.db"))));
        };
        let name = format!("musubi_bench_{:016x}_{name}", entropy::number());
        let url = create_database(server, &name).await?;
        self.made.push(name);
        migrations.run(&url).await?;
        Ok(Place::Postgres(url))
    }

    /// An empty database of an information-management server, with its schema.
    pub(super) async fn information_database(&mut self, name: &str) -> Result<Place, Error> {
        let place = self.database(name, information::MIGRATIONS).await?;
        // Without a company, and so without keys: the limit loads another's rows into such a one.
        open_information(&place, world::vault(&Secret::new("0".repeat(32)))?).await?.close().await;
        Ok(place)
    }

    /// The most memory that PostgreSQL had, when it is this run's own.
    pub(super) fn postgres_memory(&self) -> Option<ProcessMemory> {
        let bytes = self.memory.as_ref()?.peak();
        Some(ProcessMemory { process: "postgres".to_owned(), peak_rss_bytes: bytes })
    }

    /// Drops what was made on a named server, and ends one of this run's own.
    pub(super) async fn clear(mut self) -> Result<(), Error> {
        drop(self.memory.take());
        if let Some(server) = self.server.take() {
            let ended = tokio::task::spawn_blocking(move || drop(server)).await;
            return ended.map_err(|error| broken("PostgreSQL did not end", error));
        }
        for name in &self.made {
            if let Some(server) = &self.url {
                drop_database(server, name).await?;
            }
        }
        Ok(())
    }
}

/// A node's store, to be filled before the node starts.
pub(super) async fn open_information(
    place: &Place,
    vault: VaultOptions,
) -> Result<Arc<dyn InformationStore>, Error> {
    Ok(match place {
        Place::File(path) => Arc::new(SqliteInformation::open(path, vault).await?),
        Place::Postgres(url) => Arc::new(PostgresInformation::open(&Place::options(url), vault).await?),
    })
}

/// How many cores there are, for all.
pub(super) fn cores() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get)
}
