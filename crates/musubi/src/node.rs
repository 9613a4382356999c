//! One node as a process of its own: configuration, telemetry, the node, its drain.
//!
//! Whatever is wrong before the node works ends the process with one plain sentence and exit code 2, before anything is bound.
//! SIGTERM and SIGINT drain; a second one doesn't wait.

use std::{fmt::Display, io::Write as _, path::PathBuf, process::ExitCode, sync::Arc};

use musubi_domain::caller::Caller;
use musubi_runtime::{Clock, Shutdown, SystemClock, lifecycle, telemetry};

/// How to run a node.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Every key with its default and its meaning stands in the commented samples in crates/musubi/config. \
                        Certificates are made by `musubi certs`, or by any other authority. \
                        The environment wins over the file: MUSUBI_CARRIER__LISTEN is `listen` of a carrier."
)]
pub struct Args {
    /// The configuration, a TOML file.
    #[arg(long, value_name = "FILE.toml")]
    config: PathBuf,
    /// Only check the configuration, and say what is wrong with it.
    #[arg(long)]
    check: bool,
}

impl Args {
    /// As a command has them that also does other things.
    pub(crate) const fn new(config: PathBuf, check: bool) -> Self {
        Self { config, check }
    }
}

/// Says what went wrong, in one line on standard error.
pub(crate) fn fail(code: u8, error: &impl Display) -> ExitCode {
    let _unwritten = writeln!(std::io::stderr(), "musubi: {error:#}");
    ExitCode::from(code)
}

macro_rules! node {
    ($(#[$doc:meta])* $name:ident, $node:ident, $config:ident, $party:expr, $check:expr, $drain:expr) => {
        $(#[$doc])*
        pub async fn $name(args: &Args) -> ExitCode {
            let $config = match $node::Config::load(Some(&args.config)) {
                Ok(config) => config,
                Err(error) => return fail(2, &error),
            };
            if let Err(error) = $check {
                return fail(2, &error);
            }
            if let Err(error) = $config.telemetry.check() {
                return fail(2, &error);
            }
            let identity = match $config.identity() {
                Ok(identity) => identity,
                Err(error) => return fail(2, &error),
            };
            if args.check {
                return ExitCode::SUCCESS;
            }
            let begun = telemetry::start(&$config.telemetry, &$party, &identity, $node::METRICS).await;
            let metrics = match begun {
                Ok(metrics) => metrics,
                Err(error) => return fail(2, &error),
            };
            if let Err(error) = lifecycle::harden() {
                return fail(2, &error);
            }
            let shutdown = Shutdown::new($drain);
            let clock: Arc<dyn Clock> = Arc::new(SystemClock);
            let app = match $node::App::build($config, clock).await {
                Ok(app) => app,
                Err(error) => return fail(2, &error),
            };
            if let Err(error) = shutdown.on_signals() {
                return fail(2, &error);
            }
            if let Some(metrics) = metrics {
                shutdown.spawn("metrics", metrics.serve(shutdown.clone()));
            }
            let ended = app.run(shutdown).await;
            telemetry::end().await;
            match ended {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => fail(1, &error),
            }
        }
    };
}

node!(
    /// Runs a company server.
    company, musubi_company_server, config, Caller::Company(config.company.clone()), config.check(), config.drain
);
node!(
    /// Runs the information-management server.
    information, musubi_information_server, config, Caller::Information, config.directory(), config.drain
);
node!(
    /// Runs a carrier RCS simulator.
    carrier, musubi_carrier_simulator, config, Caller::Carrier(config.carrier.clone()), config.check(), config.drain
);
node!(
    /// Runs a consumer-terminal simulator.
    terminal, musubi_terminal_simulator, config, Caller::Terminal, config.check(), config.shutdown.drain
);

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn sample(name: &str) -> Args {
        let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("config").join(name);
        Args { config, check: true }
    }

    #[test]
    fn every_sample_is_a_configuration() {
        let file = |name| sample(name).config;
        let company = musubi_company_server::Config::load(Some(&file("company.toml"))).unwrap();
        company.check().unwrap();
        let information = musubi_information_server::Config::load(Some(&file("information.toml"))).unwrap();
        information.directory().unwrap();
        let carrier = musubi_carrier_simulator::Config::load(Some(&file("carrier.toml"))).unwrap();
        carrier.check().unwrap();
        let terminal = musubi_terminal_simulator::Config::load(Some(&file("terminal.toml"))).unwrap();
        terminal.check().unwrap();
    }

    #[tokio::test]
    async fn a_certificate_that_is_not_there_is_refused_with_exit_code_2() {
        for name in ["company.toml", "carrier.toml"] {
            assert_eq!(company(&sample(name)).await, ExitCode::from(2));
        }
    }

    #[tokio::test]
    async fn a_sample_of_another_node_is_refused_with_exit_code_2() {
        assert_eq!(company(&sample("carrier.toml")).await, ExitCode::from(2));
        assert_eq!(company(&sample("nowhere.toml")).await, ExitCode::from(2));
    }
}
