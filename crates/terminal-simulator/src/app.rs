//! The terminal simulator put together: the only place that chooses implementations.
//!
//! `Config -> App::build -> App::run`. Surprising: a stories file is taken in `build`, so that a bad one is refused before
//! anything is served; nothing is sent before `run`.

use std::{fs::File, io::BufReader, net::SocketAddr, path::Path, sync::Arc};

use musubi_domain::{Error, caller::Caller};
use musubi_proto::terminal::v1::terminal_service_server::TerminalServiceServer;
use musubi_runtime::{
    Clock, Shutdown,
    config::{Database, Endpoint},
    grpc::{
        MAX_MESSAGE_BYTES,
        auth::Authenticator,
        client::{ClientOptions, PeerChannel, connect},
        server::{Bound, Server, ServerError},
    },
    http::{BoundHttp, HttpServer},
    lifecycle::LifecycleError,
    tls::Identity,
};
use musubi_storage::{
    Migrations, StoreError,
    postgres::{
        PostgresOptions,
        terminal::{self, PostgresTerminalStore},
    },
    sqlite::terminal::SqliteTerminalStore,
    terminal::TerminalStore,
};
use tonic::service::Routes;

use crate::{
    config::{CarrierConfig, Config},
    fleet::{BATCH, Fleet, LoadError},
    hand::Holder,
    intake,
    link::Link,
    pages::Pages,
    service::Terminals,
    story::{StoriesError, Story, read_stories},
};

/// Why a terminal simulator can't be put together.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The configuration is wrong; nothing was opened or bound.
    #[error("{0}")]
    Config(Error),
    /// The database can't be opened.
    #[error("database: {0}")]
    Store(#[from] StoreError),
    /// The database can't be read.
    #[error("database: {0}")]
    Load(#[from] LoadError),
    /// The stories file can't be read; none of it was taken.
    #[error("fleet.stories: {0}")]
    Stories(#[from] StoriesError),
    /// A story of the file can't be played.
    #[error("fleet.stories: {0}")]
    Story(Error),
    /// The people file can't be read; nobody of it was taken.
    #[error("fleet.people: {0}")]
    People(StoriesError),
    /// Somebody of the people file can't hold a phone.
    #[error("fleet.people: {0}")]
    Person(Error),
    /// The address can't be taken.
    #[error("server.listen: {0}")]
    Server(#[from] ServerError),
    /// The address of the pages can't be taken.
    #[error("pages: {0}")]
    Pages(ServerError),
}

/// A terminal simulator that has its database and its port, and serves nothing yet.
pub struct App {
    bound: Bound,
    identity: Identity,
    auth: Authenticator,
    fleet: Arc<Fleet>,
    channels: Vec<PeerChannel>,
    pages: Option<BoundHttp>,
    people: Vec<Holder>,
    store: Arc<dyn TerminalStore>,
    clock: Arc<dyn Clock>,
}

impl App {
    /// Checks the configuration, opens the database, takes the stories file, then takes the port. Connects to nobody.
    ///
    /// # Errors
    /// One sentence that names the key at fault.
    pub async fn build(config: Config, clock: Arc<dyn Clock>) -> Result<Self, BuildError> {
        let bound = Server::bind(config.server.listen);
        Self::assemble(config, clock, bound).await
    }

    /// As [`App::build`], at a port that was taken before, whatever the configuration says: for clusters whose nodes have to
    /// know one another's ports.
    ///
    /// # Errors
    /// As [`App::build`].
    pub async fn build_at(bound: Bound, config: Config, clock: Arc<dyn Clock>) -> Result<Self, BuildError> {
        Self::assemble(config, clock, async { Ok(bound) }).await
    }

    /// The port comes last, and only to whoever has the database.
    async fn assemble(
        config: Config,
        clock: Arc<dyn Clock>,
        bound: impl Future<Output = Result<Bound, ServerError>>,
    ) -> Result<Self, BuildError> {
        config.check().map_err(BuildError::Config)?;
        let auth = config.authenticator();
        let identity = config.identity().map_err(BuildError::Config)?;
        let channel = |carrier: &CarrierConfig| {
            let peer = Caller::Carrier(carrier.id.clone());
            connect(&identity, &carrier.endpoint, Some(&peer), ClientOptions::default())
        };
        let channels = config.carrier.iter().map(channel).collect::<Result<_, _>>();
        let channels = channels.map_err(|error| BuildError::Config(error.at("carrier.endpoint")))?;
        let store = open(&config.database).await?;
        let carriers = config.carrier.iter().map(|carrier| carrier.id.clone()).collect();
        let fleet =
            Fleet::load(config.fleet.name, config.thinking.into(), carriers, Arc::clone(&store)).await?;
        if let Some(path) = &config.fleet.stories {
            play_file(&fleet, path, &*clock).await?;
        }
        let people = match &config.fleet.people {
            Some(path) => people_of(&fleet, path)?,
            None => Vec::new(),
        };
        let bound = bound.await?;
        let pages = match &config.pages {
            Some(pages) => Some(HttpServer::bind(pages).await.map_err(BuildError::Pages)?),
            None => None,
        };
        Ok(Self { bound, identity, auth, fleet: Arc::new(fleet), channels, pages, people, store, clock })
    }

    /// Where the phones are shown to people, if they are: `http://127.0.0.1:7080`.
    #[must_use]
    pub fn pages_origin(&self) -> Option<String> {
        self.pages.as_ref().map(BoundHttp::origin)
    }

    /// Where it listens, with the port that it got.
    #[must_use]
    pub const fn local_address(&self) -> SocketAddr {
        self.bound.local_address()
    }

    /// Where it is called.
    #[must_use]
    pub fn endpoint(&self) -> Endpoint {
        self.bound.endpoint()
    }

    /// Serves and plays until the shutdown has drained it, then closes the database.
    ///
    /// # Errors
    /// When a task failed or didn't end in time.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), LifecycleError> {
        let health = self.bound.health();
        let terminals = Terminals::new(Arc::clone(&self.fleet), Arc::clone(&self.clock));
        let service = TerminalServiceServer::new(terminals)
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES);
        let routes = Routes::new(service);
        shutdown.spawn("grpc", self.bound.serve(routes, self.identity, self.auth, shutdown.clone()));
        if let Some(bound) = self.pages {
            let pages = Pages {
                fleet: Arc::clone(&self.fleet),
                channels: self.channels.clone(),
                people: self.people,
                clock: Arc::clone(&self.clock),
            };
            shutdown.spawn("pages", bound.serve(pages.router(), shutdown.clone()));
        }
        for (place, channel) in self.fleet.places().zip(self.channels) {
            let link = Link {
                fleet: Arc::clone(&self.fleet),
                place,
                channel,
                clock: Arc::clone(&self.clock),
                stop: shutdown.token(),
            };
            shutdown.spawn("receive", link.clone().receive());
            shutdown.spawn("send", link.send());
        }
        health.serving().await;
        let ended = shutdown.drained().await;
        self.store.close().await;
        ended
    }
}

async fn play_file(fleet: &Fleet, path: &Path, clock: &dyn Clock) -> Result<(), BuildError> {
    let file = File::open(path).map_err(|error| StoriesError::Read(error.into()))?;
    let stories = read_stories(BufReader::new(file))?;
    for (index, batch) in stories.chunks(BATCH).enumerate() {
        fleet.play(batch.iter().map(Into::into).collect(), clock.now()).await.map_err(|error| {
            let field = format!("from story {} of the file on, {}", index * BATCH, error.field);
            BuildError::Story(error.at(field))
        })?;
    }
    Ok(())
}

/// Who waits for their phones to be picked up.
fn people_of(fleet: &Fleet, path: &Path) -> Result<Vec<Holder>, BuildError> {
    let file = File::open(path).map_err(|error| BuildError::People(StoriesError::Read(error.into())))?;
    let stories = read_stories(BufReader::new(file)).map_err(BuildError::People)?;
    let holder = |(index, story): (usize, &Story)| {
        let holder = intake::parse_holder(&story.into()).and_then(|holder| {
            fleet.place(&holder.carrier)?;
            Ok(holder)
        });
        holder.map_err(|error| {
            let field = format!("person {index} of the file, {}", error.field);
            BuildError::Person(error.at(field))
        })
    };
    stories.iter().enumerate().map(holder).collect()
}

/// The node's store: in a file, or in PostgreSQL.
async fn open(database: &Database) -> Result<Arc<dyn TerminalStore>, StoreError> {
    Ok(match database {
        Database::File(path) => Arc::new(SqliteTerminalStore::open(path).await?),
        Database::Postgres(it) => Arc::new(
            PostgresTerminalStore::open(&PostgresOptions::new(
                it.url.expose(),
                it.connections,
                it.may_lose_data,
            ))
            .await?,
        ),
    })
}

/// The schema of its PostgreSQL database, for `musubi migrate`.
pub static MIGRATIONS: &Migrations = &terminal::MIGRATIONS;
