//! The company server put together: the only place that chooses implementations.
//!
//! `Config -> App::build -> App::run`. Surprising: the port is bound in `build`, so that whoever started it knows the address
//! before anything is served.

use std::sync::Arc;

use musubi_domain::{Error, caller::Caller, id::CompanyId, vault::ReviewSeals};
use musubi_proto::{
    company::v1::{
        audit_service_server::AuditServiceServer, customer_service_server::CustomerServiceServer,
        match_service_server::MatchServiceServer, operator_service_server::OperatorServiceServer,
        session_service_server::SessionServiceServer, sign_in_service_server::SignInServiceServer,
    },
    information::v1::{
        account_service_server::AccountServiceServer, approval_service_server::ApprovalServiceServer,
        audit_service_server::AuditServiceServer as InformationAuditServer,
        distribution_service_server::DistributionServiceServer,
        follower_service_server::FollowerServiceServer, review_service_server::ReviewServiceServer,
    },
};
use musubi_runtime::{
    Clock, Shutdown,
    config::{Database, Endpoint},
    entropy,
    grpc::{
        MAX_MESSAGE_BYTES,
        auth::Authenticator,
        client::{ClientOptions, connect},
        server::{Bound, Server, ServerError},
    },
    http::{BoundHttp, HttpServer},
    lifecycle::LifecycleError,
    tls::Identity,
};
use musubi_storage::{
    Migrations, StoreError,
    company::CompanyStore,
    people::PeopleStore,
    postgres::{
        PostgresOptions,
        company::{self, PostgresCompanyStore},
    },
    sqlite::company::SqliteCompanyStore,
    vault::VaultOptions,
};
use tonic::service::Routes;

use crate::{
    audit::Sealer, audit_service::Audits, config::Config, console::Console, custody::Custodian,
    customer_service::Customers, keys::keep_keys, match_service::Matches, people::People, proxy::Proxy,
    rekeying::rekey, sessions::Sessions,
};

/// Why a company server can't be put together.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The configuration is wrong; nothing was opened or bound.
    #[error("{0}")]
    Config(Error),
    /// The database can't be opened.
    #[error("database: {0}")]
    Store(#[from] StoreError),
    /// The address can't be taken.
    #[error("listen: {0}")]
    Server(#[from] ServerError),
    /// The console's address can't be taken, or its certificate can't be used.
    #[error("console: {0}")]
    Console(ServerError),
}

/// A company server that has its database and its port, and serves nothing yet.
pub struct App {
    bound: Bound,
    routes: Routes,
    identity: Identity,
    auth: Authenticator,
    custodian: Arc<Custodian>,
    store: Arc<dyn CompanyStore>,
    sealer: Sealer,
    pages: Option<Pages>,
}

/// The console's port, and what its pages need.
struct Pages {
    bound: BoundHttp,
    company: CompanyId,
    has_openid: bool,
    largest_file_mib: u64,
    clock: Arc<dyn Clock>,
}

impl App {
    /// Checks the configuration, opens the database, then takes the port. Connects to nobody.
    ///
    /// # Errors
    /// One sentence that names the key at fault.
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
        config.check().map_err(BuildError::Config)?;
        let identity = config.identity().map_err(BuildError::Config)?;
        let information = &config.information.endpoint;
        let channel = connect(&identity, information, Some(&Caller::Information), ClientOptions::default())
            .map_err(|error| BuildError::Config(error.at("information.endpoint")))?;
        let vault = vault(&config, &clock).map_err(BuildError::Config)?;
        let audit_keys = config.keys.auditors().map_err(BuildError::Config)?;
        let auth = config.authenticator();
        let (store, people) = open(&config.database, vault).await?;
        let sessions = Sessions::new(
            Arc::clone(&people),
            Arc::clone(&store),
            Arc::clone(&clock),
            config.sign_in.clone(),
        );
        let people = People::new(people, Arc::clone(&store), Arc::clone(&clock), &config, auth.denials())
            .map_err(BuildError::Config)?;
        let auth = auth.with_bearers(Arc::new(people.clone()));

        // What an import that was killed left staged is people's data, and of no use.
        store.begin_import().await?;
        let custodian = Arc::new(Custodian::new(
            Arc::clone(&store),
            &channel,
            Arc::clone(&clock),
            config.matching,
            config.custody,
        ));
        let customers = Customers::new(
            Arc::clone(&store),
            Arc::clone(&custodian),
            Arc::clone(&clock),
            config.account.into(),
            config.import,
        );
        let (sealing_clock, auditing_clock, pages_clock) =
            (Arc::clone(&clock), Arc::clone(&clock), Arc::clone(&clock));
        let audits = Audits::new(Arc::clone(&store), auditing_clock, audit_keys.clone());
        let matches = Matches::new(Arc::clone(&store), clock, config.account.into(), config.policy);
        let proxy = Proxy::new(&channel);
        let mut routes = Routes::builder();
        routes
            .add_service(CustomerServiceServer::new(customers).max_encoding_message_size(MAX_MESSAGE_BYTES))
            .add_service(AuditServiceServer::new(audits))
            .add_service(SignInServiceServer::new(people.clone()))
            .add_service(SessionServiceServer::new(sessions))
            .add_service(OperatorServiceServer::new(people))
            .add_service(MatchServiceServer::new(matches).max_decoding_message_size(MAX_MESSAGE_BYTES))
            .add_service(
                AccountServiceServer::new(proxy.clone()).max_encoding_message_size(MAX_MESSAGE_BYTES),
            )
            .add_service(
                FollowerServiceServer::new(proxy.clone()).max_encoding_message_size(MAX_MESSAGE_BYTES),
            )
            .add_service(
                ApprovalServiceServer::new(proxy.clone()).max_encoding_message_size(MAX_MESSAGE_BYTES),
            )
            .add_service(
                InformationAuditServer::new(proxy.clone()).max_encoding_message_size(MAX_MESSAGE_BYTES),
            )
            .add_service(ReviewServiceServer::new(proxy.clone()).max_encoding_message_size(MAX_MESSAGE_BYTES))
            .add_service(DistributionServiceServer::new(proxy).max_decoding_message_size(MAX_MESSAGE_BYTES));
        let sealer = Sealer::new(Arc::clone(&store), sealing_clock, audit_keys, auth.denials());
        let pages = match &config.console {
            Some(console) => Some(Pages {
                bound: HttpServer::bind(console).await.map_err(BuildError::Console)?,
                company: config.company.clone(),
                has_openid: config.sign_in.openid.is_some(),
                largest_file_mib: config.import.largest_file_mib,
                clock: pages_clock,
            }),
            None => None,
        };
        let bound = bound.await?;
        Ok(Self { bound, routes: routes.routes(), identity, auth, custodian, store, sealer, pages })
    }

    /// Where it is called.
    #[must_use]
    pub fn endpoint(&self) -> Endpoint {
        self.bound.endpoint()
    }

    /// Where people find its console, such as `http://127.0.0.1:7080`; none, when it has none.
    #[must_use]
    pub fn console(&self) -> Option<String> {
        self.pages.as_ref().map(|pages| pages.bound.origin())
    }

    /// Serves until the shutdown has drained it, then closes the database.
    ///
    /// # Errors
    /// When a task failed or didn't end in time.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), LifecycleError> {
        let health = self.bound.health();
        let door = self.bound.door(self.routes, self.auth, &shutdown);
        if let Some(Pages { bound, company, has_openid, largest_file_mib, clock }) = self.pages {
            let is_secure = bound.origin().starts_with("https:");
            let console = Console::new(door.clone(), company, is_secure, has_openid, largest_file_mib, clock);
            shutdown.spawn("console", bound.serve(console.router(), shutdown.clone()));
        }
        shutdown.spawn("grpc", self.bound.serve_door(door, self.identity, shutdown.clone()));
        shutdown.spawn("seal", self.sealer.run(shutdown.clone()));
        shutdown.spawn("custody", self.custodian.keep(shutdown.token()));
        shutdown.spawn("rekey", rekey(Arc::clone(&self.store), shutdown.token()));
        shutdown.spawn("keys", keep_keys(Arc::clone(&self.store), shutdown.token()));
        health.serving().await;
        let ended = shutdown.drained().await;
        self.store.close().await;
        ended
    }
}

/// The node's store, in a file or in PostgreSQL, and the same as what knows its people.
async fn open(
    database: &Database,
    vault: VaultOptions,
) -> Result<(Arc<dyn CompanyStore>, Arc<dyn PeopleStore>), StoreError> {
    Ok(match database {
        Database::File(path) => {
            let store = Arc::new(SqliteCompanyStore::open(path, vault).await?);
            (Arc::clone(&store) as _, store)
        }
        Database::Postgres(it) => {
            let options = PostgresOptions::new(it.url.expose(), it.connections, it.may_lose_data);
            let store = Arc::new(PostgresCompanyStore::open(&options, vault).await?);
            (Arc::clone(&store) as _, store)
        }
    })
}

/// The audit of a node's store, for `musubi audit`. An SQLite file has one process, so that its node has to be stopped meanwhile.
///
/// # Errors
/// As the node's own opening.
pub async fn open_audit(
    config: &Config,
    clock: &Arc<dyn Clock>,
) -> Result<Arc<dyn CompanyStore>, BuildError> {
    let vault = vault(config, clock).map_err(BuildError::Config)?;
    Ok(open(&config.database, vault).await?.0)
}

/// What the store seals with: keys that master keys of the configuration wrap.
fn vault(config: &Config, clock: &Arc<dyn Clock>) -> Result<VaultOptions, Error> {
    let clock = Arc::clone(clock);
    Ok(VaultOptions {
        service: Arc::new(config.keys.masters()?),
        random: entropy::bytes::<32>,
        now: Arc::new(move || clock.now()),
        schedule: config.keys.schedule(),
        companies: vec![config.company.clone()],
        accounts: Vec::new(),
        reviews_before: ReviewSeals::default(),
    })
}

/// The schema of its PostgreSQL database, for `musubi migrate`.
pub static MIGRATIONS: &Migrations = &company::MIGRATIONS;
