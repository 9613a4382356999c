//! Puts the node together; the only place that chooses implementations.
//!
//! [`App::build`] opens, checks and binds everything, [`App::run`] serves until it is told to stop. Surprising: neither carriers
//! nor companies need be there at the start; everything that concerns them waits in the database.

use std::{collections::HashMap, net::SocketAddr, sync::Arc, time::Duration};

use musubi_domain::{
    Error,
    audit::AuditKeyring,
    caller::Caller,
    id::{CarrierId, CompanyId, FollowerKeyring},
    postback::TokenKey,
};
use musubi_proto::information::v1::{
    account_service_server::AccountServiceServer, approval_service_server::ApprovalServiceServer,
    audit_service_server::AuditServiceServer, carrier_event_service_server::CarrierEventServiceServer,
    custody_service_server::CustodyServiceServer, distribution_service_server::DistributionServiceServer,
    follower_service_server::FollowerServiceServer, review_service_server::ReviewServiceServer,
};
use musubi_runtime::{
    Clock, Shutdown,
    config::{Database, Endpoint},
    entropy,
    grpc::{
        MAX_MESSAGE_BYTES,
        client::{self, ClientOptions},
        server::{Bound, Server, ServerError},
    },
    http::{BoundHttp, HttpServer},
    lifecycle::LifecycleError,
    tls::Identity,
};
use musubi_storage::{
    Migrations, StoreError,
    ephemeral::{
        Ephemeral, Now,
        memory::MemoryEphemeral,
        redis::{RedisEphemeral, RedisOptions},
    },
    information::InformationStore,
    postgres::{PostgresOptions, information::PostgresInformation},
    sqlite::information::SqliteInformation,
    vault::VaultOptions,
};
use tonic::service::Routes;

use crate::{
    Config,
    accounts::Accounts,
    acquisition::{
        events::{Events, Waiting},
        lists::{AT_ONCE, Lists},
    },
    approvals::{ApprovalsService, Sweeper},
    audit::{Audits, Sealer},
    config::{CarrierConfig, SharedConfig, signed},
    confirmation::{
        assertions::{Assertions, KeyCache},
        matcher::{ByCustody, ByInquiry, Matcher, Matching},
        verifier::Verifiers,
    },
    custody::{Custody, Purger, rekey},
    directory::{self, Directory},
    dispatch::{Allowance, Dispatcher, Health, Taken, Turns},
    distributions::{Distributions, Expander, Renderer},
    door::CarrierDoor,
    door::webhooks::{self, Webhook},
    erasure::{Eraser, Journal, JournalError},
    followers::Followers,
    gateway::{CarrierGateway, GrpcCarrier, NumberStatus, RbmCarrier},
    gauges::Gauges,
    keys::keep_keys,
    numbers::Numbers,
    request::{messages::RequestMessages, questions::Questions},
    reviews::Reviews,
    signal::Signals,
    telling,
    together::Together,
};

/// How long anything waits for what replicas share.
const SHARED_DEADLINE: Duration = Duration::from_millis(100);

/// Why the node can't run.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The configuration contradicts itself.
    #[error("configuration: {0}")]
    Config(#[from] Error),
    /// The database can't be opened.
    #[error("database: {0}")]
    Store(#[from] StoreError),
    /// Who was erased may be here again.
    #[error("erasure: {0}")]
    Journal(#[from] JournalError),
    /// The address can't be listened on.
    #[error(transparent)]
    Server(#[from] ServerError),
}

/// An information-management server that is ready to run.
pub struct App {
    config: Config,
    clock: Arc<dyn Clock>,
    store: Arc<dyn InformationStore>,
    directory: Arc<Directory>,
    identity: Identity,
    keyring: FollowerKeyring,
    tokens: TokenKey,
    audit_keys: AuditKeyring,
    ephemeral: Arc<dyn Ephemeral>,
    eraser: Eraser,
    gateways: Arc<HashMap<CarrierId, Arc<dyn CarrierGateway>>>,
    rbm: HashMap<CarrierId, Arc<RbmCarrier>>,
    webhooks: Option<BoundHttp>,
    numbers: HashMap<CarrierId, Arc<dyn NumberStatus>>,
    matchers: Vec<Matchers>,
    bound: Bound,
}

/// Who decides a company's inquiries, and who decides what they leave open.
struct Matchers {
    company: CompanyId,
    matcher: Arc<dyn Matcher>,
    undecided: Option<Arc<dyn Matcher>>,
}

impl App {
    /// Checks the configuration, opens the database, then takes the address.
    ///
    /// # Errors
    /// One sentence with the remedy.
    pub async fn build(config: Config, clock: Arc<dyn Clock>) -> Result<Self, BuildError> {
        let (bound, webhooks) = (Server::bind(config.listen), config.webhooks.clone());
        let app = Self::assemble(config, clock, bound).await?;
        Ok(match webhooks {
            Some(webhooks) => app.with_webhooks(HttpServer::bind(&webhooks).await?),
            None => app,
        })
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
        let directory = Arc::new(config.directory()?);
        let identity = config.identity()?;
        let (keyring, tokens) = (config.keyring()?, config.token_key()?);
        let audit_keys = config.audit_keys()?;
        let mut gateways: HashMap<CarrierId, Arc<dyn CarrierGateway>> = HashMap::new();
        let mut numbers: HashMap<CarrierId, Arc<dyn NumberStatus>> = HashMap::new();
        let mut rbm = HashMap::new();
        for carrier in &config.carrier {
            let peer = Caller::Carrier(carrier.id.clone());
            let channel =
                client::connect(&identity, &carrier.endpoint, Some(&peer), ClientOptions::default())?;
            let services = Arc::new(GrpcCarrier::new(carrier.id.clone(), channel));
            numbers.insert(carrier.id.clone(), Arc::clone(&services) as _);
            let gateway: Arc<dyn CarrierGateway> = match &carrier.rbm {
                None => services,
                Some(config) => {
                    let opened = RbmCarrier::open(config, services, Arc::clone(&clock)).map_err(|error| {
                        let field = format!("carrier {}: rbm.{}", carrier.id, error.field);
                        error.at(field)
                    })?;
                    let opened = Arc::new(opened);
                    rbm.insert(carrier.id.clone(), Arc::clone(&opened));
                    opened
                }
            };
            gateways.insert(carrier.id.clone(), gateway);
        }
        let gateways = Arc::new(gateways);
        let store = open(&config.database, vault(&config, &clock)?).await?;
        let eraser = Eraser::new(
            Arc::clone(&store),
            Arc::clone(&clock),
            Journal::new(&config.erasure.journal),
            Arc::clone(&gateways),
        );
        if let Err(error) = eraser.replay().await {
            store.close().await;
            return Err(error.into());
        }
        let asked_with = directory.accounts().flat_map(|account| {
            let texts = [account.texts.asked(), account.texts.identity.clone()];
            texts.map(|text| (account.id.clone(), text))
        });
        store.keep_texts(&asked_with.collect::<Vec<_>>(), clock.now()).await?;
        let mut matchers = Vec::new();
        for company in &config.company {
            let by_inquiry = || -> Result<Arc<dyn Matcher>, Error> {
                let peer = Caller::Company(company.id.clone());
                let options = ClientOptions::default();
                Ok(Arc::new(ByInquiry(client::connect(&identity, &company.endpoint, Some(&peer), options)?)))
            };
            let matcher: Arc<dyn Matcher> = match company.matching {
                directory::Matching::Inquiry => by_inquiry()?,
                directory::Matching::Custody => Arc::new(ByCustody {
                    company: company.id.clone(),
                    policy: company.policy,
                    store: Arc::clone(&store) as _,
                    clock: Arc::clone(&clock),
                    asks: company.blind_undecided == directory::Undecided::Ask,
                }),
            };
            let undecided = match (company.matching, company.blind_undecided) {
                (directory::Matching::Custody, directory::Undecided::Ask) => Some(by_inquiry()?),
                (directory::Matching::Inquiry, _) | (_, directory::Undecided::Decide) => None,
            };
            matchers.push(Matchers { company: company.id.clone(), matcher, undecided });
        }
        let ephemeral = ephemeral(&config.redis, &clock).await?;
        Ok(Self {
            config,
            clock,
            store,
            ephemeral,
            eraser,
            directory,
            identity,
            keyring,
            tokens,
            audit_keys,
            gateways,
            rbm,
            webhooks: None,
            numbers,
            matchers,
            bound: bound.await?,
        })
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

    /// The same, with webhooks at a port that was taken before, as [`App::build_at`] has it.
    #[must_use]
    pub fn with_webhooks(self, webhooks: BoundHttp) -> Self {
        Self { webhooks: Some(webhooks), ..self }
    }

    /// Serves and works until the shutdown begins and everything under way has ended.
    ///
    /// # Errors
    /// The first failure of a task, or that some didn't end in time.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), LifecycleError> {
        let Self { config, clock, store, directory, keyring, tokens, ephemeral, gateways, .. } = self;
        let auth = config.authenticator();
        let sealer =
            Sealer::new(Arc::clone(&store), Arc::clone(&clock), self.audit_keys.clone(), auth.denials());
        shutdown.spawn("seal", sealer.run(shutdown.clone()));
        let signals = Signals::over(Arc::clone(&ephemeral) as _);
        let verifiers: Arc<HashMap<CarrierId, Verifiers>> = Arc::new(
            config
                .carrier
                .iter()
                .map(|carrier| (carrier.id.clone(), Verifiers::over(&carrier.verification_url, &tokens)))
                .collect(),
        );
        let renderer = Arc::new(Renderer::new(Arc::clone(&store)));

        let lists = Arc::new(Lists {
            store: Arc::clone(&store),
            directory: Arc::clone(&directory),
            clock: Arc::clone(&clock),
            signals: signals.clone(),
            keyring: keyring.clone(),
            gateways: Arc::clone(&gateways),
            collapse: config.collapse_rules(),
            every: config.lists.every,
            at_once: AT_ONCE,
        });
        for CarrierConfig { id: carrier, messages_per_second, .. } in &config.carrier {
            let Some(gateway) = gateways.get(carrier) else { continue };
            shutdown.spawn("lists", Arc::clone(&lists).run(carrier.clone(), shutdown.clone()));
            let dispatcher = Arc::new(Dispatcher {
                gateway: Arc::clone(gateway),
                store: Arc::clone(&store),
                directory: Arc::clone(&directory),
                clock: Arc::clone(&clock),
                signals: signals.clone(),
                allowance: Allowance {
                    carrier: carrier.clone(),
                    messages_per_second: *messages_per_second,
                    directory: Arc::clone(&directory),
                    limits: Arc::clone(&ephemeral) as _,
                },
                health: Health::default(),
                turns: Turns::default(),
                taken: Taken::default(),
                messages: RequestMessages::new(tokens.clone()),
                verifiers: Arc::clone(&verifiers),
                renderer: Arc::clone(&renderer),
                lease: signed(config.leases.delivery),
            });
            shutdown.spawn("dispatch", dispatcher.run(shutdown.clone()));
        }
        for Matchers { company, matcher, undecided } in self.matchers {
            let matching = Matching {
                company,
                matcher,
                undecided,
                store: Arc::clone(&store),
                directory: Arc::clone(&directory),
                clock: Arc::clone(&clock),
                signals: signals.clone(),
                keyring: keyring.clone(),
                lease: signed(config.leases.inquiry),
            };
            shutdown.spawn("matching", matching.run(shutdown.clone()));
        }
        let questions =
            Questions::new(Arc::clone(&store), Arc::clone(&directory), Arc::clone(&clock), signals.clone());
        shutdown.spawn("questions", questions.run(shutdown.clone()));
        let numbers = Numbers::new(
            Arc::clone(&store),
            Arc::clone(&directory),
            Arc::clone(&clock),
            signals.clone(),
            self.numbers,
        );
        shutdown.spawn("numbers", numbers.run(shutdown.clone()));
        let carriers: Vec<_> = config.carrier.iter().map(|carrier| carrier.id.clone()).collect();
        let companies: Vec<_> = config.company.iter().map(|company| company.id.clone()).collect();
        telling::begin_counting(&carriers, &companies);
        let gauges = Gauges {
            store: Arc::clone(&store),
            directory: Arc::clone(&directory),
            clock: Arc::clone(&clock),
            carriers,
            companies,
        };
        shutdown.spawn("gauges", gauges.run(shutdown.clone()));
        let expander = Expander::new(Arc::clone(&store), Arc::clone(&clock), signals.clone());
        shutdown.spawn("expand", expander.run(shutdown.clone()));
        shutdown.spawn("erase", self.eraser.run(shutdown.clone()));
        let purger = Purger::new(Arc::clone(&store), Arc::clone(&clock));
        shutdown.spawn("purge", purger.run(shutdown.clone()));
        let sweeper = Sweeper::new(Arc::clone(&store), Arc::clone(&clock));
        shutdown.spawn("approvals", sweeper.run(shutdown.clone()));
        shutdown.spawn("rekey", rekey(Arc::clone(&store), shutdown.token()));
        shutdown.spawn("keys", keep_keys(Arc::clone(&store), shutdown.token()));

        let accounts = Accounts::new(Arc::clone(&directory), &tokens);
        let events = Arc::new(Events {
            store: Arc::clone(&store),
            directory: Arc::clone(&directory),
            clock: Arc::clone(&clock),
            signals: signals.clone(),
            keyring: keyring.clone(),
            tokens,
            waiting: Waiting::default(),
        });
        if let Some(bound) = self.webhooks {
            let mut served = Vec::new();
            for CarrierConfig { id, rbm, .. } in &config.carrier {
                let (Some(rbm), Some(gateway)) = (rbm, self.rbm.get(id)) else { continue };
                let parts = (Arc::clone(gateway), Arc::clone(&events), Arc::clone(&clock));
                let (webhook, gathering) = Webhook::new(id, rbm, parts.0, parts.1, parts.2, auth.denials());
                shutdown.spawn("webhook events", gathering.run(shutdown.clone()));
                served.push(webhook);
            }
            shutdown.spawn("webhooks", bound.serve(webhooks::routes(served), shutdown.clone()));
        }
        let gateways_of_followers = Arc::clone(&gateways);
        let door = CarrierDoor {
            denials: auth.denials(),
            events,
            assertions: Arc::new(Assertions {
                store: Arc::clone(&store),
                directory: Arc::clone(&directory),
                clock: Arc::clone(&clock),
                signals: signals.clone(),
                keyring: keyring.clone(),
                verifiers,
                gateways,
                keys: KeyCache::default(),
                waiting: Together::new(store.units_at_once()),
            }),
        };
        macro_rules! limited {
            ($server:ident, $service:expr) => {
                $server::new($service)
                    .max_decoding_message_size(MAX_MESSAGE_BYTES)
                    .max_encoding_message_size(MAX_MESSAGE_BYTES)
            };
        }
        let parts = || (Arc::clone(&store), Arc::clone(&clock), Arc::clone(&directory));
        let (for_distributions, for_custody, for_followers, for_reviews, for_approvals) =
            (parts(), parts(), parts(), parts(), parts());
        let distributions = Distributions::new(
            for_distributions.0,
            for_distributions.1,
            for_distributions.2,
            keyring.clone(),
            signals.clone(),
        );
        let reviews = Reviews::new(for_reviews.0, for_reviews.1, for_reviews.2, signals.clone());
        let custody = Custody::new(for_custody.0, for_custody.1, for_custody.2, signals.clone());
        let approvals = ApprovalsService::new(for_approvals.0, for_approvals.1, for_approvals.2);
        let followers = Followers::new(
            for_followers.0,
            for_followers.1,
            for_followers.2,
            keyring,
            gateways_of_followers,
            signals,
        );
        let audits =
            Audits::new(Arc::clone(&store), Arc::clone(&clock), Arc::clone(&directory), self.audit_keys);
        let routes = Routes::new(limited!(CarrierEventServiceServer, door))
            .add_service(limited!(AuditServiceServer, audits))
            .add_service(limited!(DistributionServiceServer, distributions))
            .add_service(limited!(CustodyServiceServer, custody))
            .add_service(limited!(AccountServiceServer, accounts))
            .add_service(limited!(FollowerServiceServer, followers))
            .add_service(limited!(ApprovalServiceServer, approvals))
            .add_service(limited!(ReviewServiceServer, reviews));
        let health = self.bound.health();
        shutdown.spawn("grpc", self.bound.serve(routes, self.identity, auth, shutdown.clone()));
        health.serving().await;
        let ended = shutdown.drained().await;
        store.close().await;
        ended
    }
}

/// The node's store: in a file, or in PostgreSQL.
async fn open(database: &Database, vault: VaultOptions) -> Result<Arc<dyn InformationStore>, StoreError> {
    Ok(match database {
        Database::File(path) => Arc::new(SqliteInformation::open(path, vault).await?),
        Database::Postgres(it) => {
            let options = PostgresOptions::new(it.url.expose(), it.connections, it.may_lose_data);
            Arc::new(PostgresInformation::open(&options, vault).await?)
        }
    })
}

/// What the store seals with: keys that master keys of the configuration wrap.
fn vault(config: &Config, clock: &Arc<dyn Clock>) -> Result<VaultOptions, Error> {
    let clock = Arc::clone(clock);
    let accounts = config.official_account.iter();
    Ok(VaultOptions {
        service: Arc::new(config.keys.masters()?),
        random: entropy::bytes::<32>,
        now: Arc::new(move || clock.now()),
        schedule: config.keys.schedule(),
        companies: config.company.iter().map(|company| company.id.clone()).collect(),
        accounts: accounts.map(|account| (account.id.clone(), account.company.clone())).collect(),
        reviews_before: config.keys.reviews_before()?,
    })
}

/// The audit of a node's store, for `musubi audit`. An SQLite file has one process, so that its node has to be stopped meanwhile.
///
/// # Errors
/// As the node's own opening.
pub async fn open_audit(
    config: &Config,
    clock: &Arc<dyn Clock>,
) -> Result<Arc<dyn InformationStore>, BuildError> {
    Ok(open(&config.database, vault(config, clock)?).await?)
}

/// The schema of its PostgreSQL database, for `musubi migrate`.
pub static MIGRATIONS: &Migrations = PostgresInformation::MIGRATIONS;

/// What replicas share. A server that nobody reaches is no reason not to start.
async fn ephemeral(config: &SharedConfig, clock: &Arc<dyn Clock>) -> Result<Arc<dyn Ephemeral>, Error> {
    let clock = Arc::clone(clock);
    let now: Now = Arc::new(move || clock.now());
    let Some(url) = &config.url else { return Ok(Arc::new(MemoryEphemeral::new(now))) };
    let options = RedisOptions {
        tls: config.tls()?,
        prefix: config.prefix.clone(),
        fallback_percent: config.fallback_percent,
        deadline: SHARED_DEADLINE,
    };
    Ok(Arc::new(RedisEphemeral::open(url.expose(), options, now).await?))
}
