//! `musubi health`: asks a node on this machine whether it works, for whoever keeps it running and has no shell to ask with.
//!
//! It calls as the node itself, by the node's own configuration and certificate, which opens nothing but this question.
//! Surprising: a node that drains says no at once, though it goes on answering calls under way.

use std::{io::Write as _, path::PathBuf, process::ExitCode, time::Duration};

use musubi_domain::{Error, caller::Caller};
use musubi_runtime::{
    config::{ConfigError, Endpoint, ListenAddress},
    grpc::client::{ClientOptions, connect},
    tls::Identity,
};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use crate::node::fail;

/// How long the node has for its answer, and whoever asked for theirs.
const DEADLINE: Duration = Duration::from_secs(3);

/// Ask a node on this machine whether it works: 0 it does, 1 it doesn't or drains, 2 its configuration can't be read.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example, for a container's health check:\n  musubi health --information /etc/musubi/information.toml"
)]
pub(crate) struct Args {
    #[command(flatten)]
    node: Node,
}

/// The node's configuration.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Node {
    /// A company server's configuration.
    #[arg(long, value_name = "FILE.toml")]
    company: Option<PathBuf>,
    /// An information-management server's configuration.
    #[arg(long, value_name = "FILE.toml")]
    information: Option<PathBuf>,
    /// A carrier's configuration.
    #[arg(long, value_name = "FILE.toml")]
    carrier: Option<PathBuf>,
    /// A terminal simulator's configuration.
    #[arg(long, value_name = "FILE.toml")]
    terminal: Option<PathBuf>,
}

/// Where a node listens, and who it is.
struct Asked {
    listen: ListenAddress,
    identity: Identity,
    party: Caller,
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{0}")]
    Config(#[from] ConfigError),
    #[error("{0}")]
    Identity(#[from] Error),
}

impl Node {
    fn asked(&self) -> Result<Option<Asked>, Failure> {
        macro_rules! asked {
            ($file:expr, $node:ident, |$config:ident| $listen:expr, $party:expr) => {
                if let Some(file) = $file {
                    let $config = $node::Config::load(Some(file))?;
                    let identity = $config.identity()?;
                    return Ok(Some(Asked { listen: $listen, identity, party: $party }));
                }
            };
        }
        asked!(&self.company, musubi_company_server, |config| config.listen, Caller::Company(config.company));
        asked!(&self.information, musubi_information_server, |config| config.listen, Caller::Information);
        asked!(
            &self.carrier,
            musubi_carrier_simulator,
            |config| config.listen,
            Caller::Carrier(config.carrier)
        );
        asked!(&self.terminal, musubi_terminal_simulator, |config| config.server.listen, Caller::Terminal);
        Ok(None)
    }
}

/// Asks, and says on standard error why not.
pub(crate) async fn run(args: &Args) -> ExitCode {
    let asked = match args.node.asked() {
        Ok(Some(asked)) => asked,
        Ok(None) => {
            return fail(2, &"no configuration is named; add --information FILE.toml, or another node's");
        }
        Err(error) => return fail(2, &error),
    };
    match ask(asked).await {
        Ok(ServingStatus::Serving) => {
            let _unwritten = writeln!(std::io::stdout(), "serving");
            ExitCode::SUCCESS
        }
        Ok(ServingStatus::NotServing | ServingStatus::Unknown | ServingStatus::ServiceUnknown) => {
            fail(1, &"the node does not serve: it starts, or it drains")
        }
        Err(problem) => fail(1, &problem),
    }
}

async fn ask(asked: Asked) -> Result<ServingStatus, String> {
    let Asked { listen, identity, party } = asked;
    let endpoint = Endpoint::local(listen.into());
    let options = ClientOptions { deadline: DEADLINE };
    let channel = connect(&identity, &endpoint, Some(&party), options).map_err(|error| error.to_string())?;
    let answer = HealthClient::new(channel).check(HealthCheckRequest::default()).await;
    let answer =
        answer.map_err(|status| format!("{party} at {endpoint} gives no answer: {}", status.message()))?;
    Ok(answer.into_inner().status())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Program {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn exactly_one_node_is_asked() {
        assert!(Program::try_parse_from(["health"]).is_err());
        assert!(Program::try_parse_from(["health", "--company", "a.toml", "--carrier", "b.toml"]).is_err());
        let program = Program::try_parse_from(["health", "--carrier", "b.toml"]).unwrap();
        assert!(program.args.node.asked().is_err(), "there is no such file");
    }
}
