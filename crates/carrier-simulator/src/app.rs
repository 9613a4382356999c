//! Puts the node together; the only place that chooses implementations.
//!
//! [`App::build`] opens, checks and binds everything, [`App::run`] serves until it is told to stop. Surprising: the information
//! server needn't be there; what it is to be told waits in the database.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use jiff::SignedDuration;
use musubi_domain::{Error, caller::Caller};
use musubi_proto::{
    carrier::v1::{
        handset_service_server::HandsetServiceServer, message_service_server::MessageServiceServer,
        number_service_server::NumberServiceServer,
        subscriber_list_service_server::SubscriberListServiceServer,
        verification_service_server::VerificationServiceServer,
    },
    information::v1::carrier_event_service_client::CarrierEventServiceClient,
};
use musubi_runtime::{
    Clock, Shutdown,
    config::{Database, Endpoint},
    grpc::{
        MAX_MESSAGE_BYTES,
        client::{self, ClientOptions, PeerChannel},
        server::{Bound, Server, ServerError},
    },
    lifecycle::LifecycleError,
    tls::Identity,
};
use musubi_storage::{
    Migrations, StoreError,
    carrier::CarrierStore,
    postgres::{
        PostgresOptions,
        carrier::{self, PostgresCarrierStore},
    },
    sqlite::carrier::SqliteCarrierStore,
};
use tonic::service::Routes;

use crate::{
    Config,
    acquisition::{Acquisition, Moments},
    authority::{Authorities, KeyError, Verification},
    config::authenticator,
    distribution::{Delivery, Fleets, Sending, sweep},
    faults::{PushFaults, SendFaults},
    handset::Handset,
    list_generation::ListGeneration,
    numbers::Numbers,
    outbox::{Pusher, Wake},
    rbm::{BoundFace, config::RbmConfig},
    wire,
};

/// Why the node can't run.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The configuration contradicts itself.
    #[error("configuration: {0}")]
    Config(#[from] Error),
    /// The database can't be opened.
    #[error("database: {0}")]
    Store(#[from] StoreError),
    /// The authorities have no keys.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The address can't be listened on.
    #[error(transparent)]
    Server(#[from] ServerError),
}

/// A carrier that is ready to run.
pub struct App {
    config: Config,
    clock: Arc<dyn Clock>,
    store: Arc<dyn CarrierStore>,
    authorities: Arc<Authorities>,
    identity: Identity,
    information: PeerChannel,
    bound: Bound,
    rbm: Option<BoundFace>,
}

impl App {
    /// Checks the configuration, opens the database, makes what keys are missing, then takes the address.
    ///
    /// # Errors
    /// One sentence with the remedy.
    pub async fn build(config: Config, clock: Arc<dyn Clock>) -> Result<Self, BuildError> {
        let bound = Server::bind(config.listen);
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
        config.check()?;
        let identity = config.identity()?;
        let (peer, endpoint) = (Caller::Information, &config.information.endpoint);
        let information = client::connect(&identity, endpoint, Some(&peer), ClientOptions::default())?;
        let store = open(&config.database).await?;
        let authorities = Arc::new(Authorities::open(&config.carrier, &*store).await?);
        let bound = bound.await?;
        let rbm = match &config.rbm {
            Some(rbm) => Some(BoundFace::bind(rbm, &*store, &*clock).await?),
            None => {
                store.put_agents(&[], clock.now()).await?;
                None
            }
        };
        Ok(Self { config, clock, store, authorities, identity, information, bound, rbm })
    }

    /// Where it listens, with the port that it got.
    #[must_use]
    pub const fn local_address(&self) -> SocketAddr {
        self.bound.local_address()
    }

    /// Where a client on this machine finds it.
    #[must_use]
    pub fn endpoint(&self) -> Endpoint {
        self.bound.endpoint()
    }

    /// Where its RBM face is found from this machine, if it has one: `http://127.0.0.1:7031`.
    #[must_use]
    pub fn rbm_origin(&self) -> Option<String> {
        self.rbm.as_ref().map(BoundFace::origin)
    }

    /// Serves until the shutdown begins and everything under way has ended.
    ///
    /// # Errors
    /// The first failure of a task, or that some didn't end in time.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), LifecycleError> {
        let store = Arc::clone(&self.store);
        let (fleets, events, assertions) = (Fleets::default(), Wake::default(), Wake::default());
        let health = self.bound.health();
        let routes = self.routes(&store, &fleets, &events, &assertions, &shutdown);

        let pusher = |wake: &Wake, stream| Pusher {
            store: Arc::clone(&store),
            client: CarrierEventServiceClient::new(self.information.clone())
                .max_encoding_message_size(MAX_MESSAGE_BYTES)
                .max_decoding_message_size(MAX_MESSAGE_BYTES),
            faults: PushFaults::new(&self.config.faults, stream),
            waiter: wake.waiter(),
            stop: shutdown.token(),
        };
        shutdown.spawn("push events", pusher(&events, 1).push_events());
        if let Some(rbm) = self.rbm {
            rbm.spawn(&store, &self.clock, &fleets, &events, &shutdown);
        }
        shutdown.spawn("push assertions", pusher(&assertions, 2).push_assertions());
        let interval = self.config.messages.expire_sweep;
        let sweep = sweep(store, self.clock, events, interval, shutdown.token());
        shutdown.spawn("expire messages", async {
            sweep.await;
            Ok::<_, Infallible>(())
        });
        let auth = authenticator(&self.config.carrier);
        shutdown.spawn("grpc", self.bound.serve(routes, self.identity, auth, shutdown.clone()));
        health.serving().await;
        let ended = shutdown.drained().await;
        self.store.close().await;
        ended
    }

    fn routes(
        &self,
        store: &Arc<dyn CarrierStore>,
        fleets: &Fleets,
        events: &Wake,
        assertions: &Wake,
        shutdown: &Shutdown,
    ) -> Routes {
        let (store, clock) = (|| Arc::clone(store), || Arc::clone(&self.clock));
        let moments = Moments::new(clock());
        let lists = ListGeneration { store: store(), moments: moments.clone() };
        let sending = Sending {
            store: store(),
            clock: clock(),
            fleets: fleets.clone(),
            events: events.clone(),
            faults: Mutex::new(SendFaults::new(&self.config.faults)),
            time_to_live: SignedDuration::try_from(self.config.messages.time_to_live)
                .unwrap_or(SignedDuration::MAX),
        };
        let (fleets, stop) = (fleets.clone(), shutdown.token());
        let handset = Handset {
            acquisition: Acquisition {
                store: store(),
                moments,
                fleets: fleets.clone(),
                events: events.clone(),
            },
            delivery: Delivery { store: store(), clock: clock(), fleets, stop },
        };
        let numbers = Numbers { store: store(), clock: clock() };
        let verification = Verification {
            store: store(),
            clock: clock(),
            authorities: Arc::clone(&self.authorities),
            assertions: assertions.clone(),
        };
        macro_rules! limited {
            ($server:ident, $service:expr) => {
                $server::new($service)
                    .max_decoding_message_size(MAX_MESSAGE_BYTES)
                    .max_encoding_message_size(MAX_MESSAGE_BYTES)
            };
        }
        Routes::new(limited!(SubscriberListServiceServer, lists))
            .add_service(limited!(MessageServiceServer, sending))
            .add_service(limited!(HandsetServiceServer, handset))
            .add_service(limited!(NumberServiceServer, numbers))
            .add_service(limited!(VerificationServiceServer, verification))
    }
}

/// The RBM face alone: no information server, no gRPC, its own phones.
pub struct RbmSimulator {
    store: Arc<dyn CarrierStore>,
    clock: Arc<dyn Clock>,
    face: BoundFace,
}

impl RbmSimulator {
    /// Opens the database, makes what is missing, then takes the address.
    ///
    /// # Errors
    /// One sentence with the remedy.
    pub async fn build(
        database: &Database,
        config: &RbmConfig,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, BuildError> {
        config.check()?;
        let store = open(database).await?;
        let face = BoundFace::bind(config, &*store, &*clock).await?;
        Ok(Self { store, clock, face })
    }

    /// Where it is found from this machine: `http://127.0.0.1:7080`.
    #[must_use]
    pub fn origin(&self) -> String {
        self.face.origin()
    }

    /// Serves until the shutdown begins and everything under way has ended.
    ///
    /// # Errors
    /// The first failure of a task, or that some didn't end in time.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), LifecycleError> {
        const SWEEP: Duration = Duration::from_secs(1);
        let Self { store, clock, face } = self;
        let events = Wake::default();
        face.spawn(&store, &clock, &Fleets::default(), &events, &shutdown);
        let sweep = sweep(Arc::clone(&store), clock, events, SWEEP, shutdown.token());
        shutdown.spawn("expire messages", async {
            sweep.await;
            Ok::<_, Infallible>(())
        });
        let ended = shutdown.drained().await;
        store.close().await;
        ended
    }
}

/// The node's store: in a file, or in PostgreSQL.
async fn open(database: &Database) -> Result<Arc<dyn CarrierStore>, StoreError> {
    Ok(match database {
        Database::File(path) => Arc::new(SqliteCarrierStore::open(path, wire::encode_events).await?),
        Database::Postgres(it) => Arc::new(
            PostgresCarrierStore::open(
                &PostgresOptions::new(it.url.expose(), it.connections, it.may_lose_data),
                wire::encode_events,
            )
            .await?,
        ),
    })
}

/// The schema of its PostgreSQL database, for `musubi migrate`.
pub static MIGRATIONS: &Migrations = &carrier::MIGRATIONS;
