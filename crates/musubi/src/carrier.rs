//! A carrier as a process of its own; or its RBM face alone, for whoever wants to try an agent and has nothing else.
//!
//! `musubi carrier --rbm` wants no configuration and no other node. Surprising: what it writes (database, service account, token) stays in
//! its folder, so a second start goes on where the first ended.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use musubi_carrier_simulator::{RbmSimulator, rbm::config::RbmConfig};
use musubi_domain::Error;
use musubi_runtime::{
    Shutdown, SystemClock,
    config::Database,
    telemetry::{self, TelemetryConfig},
};
use serde_json::json;

use crate::{
    node::{self, fail},
    operator::unwritten,
};

/// What says nothing beside a configuration, which tells all of it.
const ALONE: [&str; 7] = ["rbm", "data", "listen", "agent", "webhook", "client_token", "strict"];
/// How long calls under way have to end.
const DRAIN: Duration = Duration::from_secs(10);

/// Run a carrier RCS simulator: official accounts, lists, messages, authorities; or, with --rbm, Google's RCS Business Messaging
/// API alone, with phones of its own.
#[derive(Debug, clap::Args)]
#[command(after_help = "Try an RBM agent with nothing else installed:\n  \
                        musubi carrier --rbm --webhook http://127.0.0.1:8000/hook --client-token SECRET\n\
                        It says where the API, the service account and the page are. docs/rbm.md tells the rest.")]
pub(crate) struct Args {
    /// The configuration, a TOML file.
    #[arg(long, value_name = "FILE.toml", required_unless_present = "rbm", conflicts_with_all = ALONE)]
    config: Option<PathBuf>,
    /// Only check the configuration, and say what is wrong with it.
    #[arg(long, requires = "config", conflicts_with = "rbm")]
    check: bool,
    /// Serve the RBM API alone, for one agent.
    #[arg(long)]
    rbm: bool,
    #[command(flatten)]
    alone: Alone,
}

/// What `--rbm` can be told.
#[derive(Debug, clap::Args)]
struct Alone {
    /// Where its files go.
    #[arg(long, value_name = "FOLDER", default_value = "musubi-rbm", requires = "rbm")]
    data: PathBuf,
    /// Where it serves, a loopback address.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7080", requires = "rbm")]
    listen: String,
    /// The agent's id.
    #[arg(long, value_name = "ID", default_value = "local_agent", requires = "rbm")]
    agent: String,
    /// Where the agent's events are posted.
    #[arg(long, value_name = "URL", requires = "rbm", requires = "client_token")]
    webhook: Option<String>,
    /// The webhook's client token, under which events are signed.
    #[arg(long, value_name = "TOKEN", requires = "webhook")]
    client_token: Option<String>,
    /// Refuse what Google's documents refuse, where they and clients differ.
    #[arg(long, requires = "rbm")]
    strict: bool,
}

impl Args {
    /// Runs until it is told to stop.
    pub(crate) async fn run(self) -> ExitCode {
        match self.config {
            Some(config) => node::carrier(&node::Args::new(config, self.check)).await,
            None => match self.alone.run(&mut io::stdout()).await {
                Ok(code) => code,
                Err(error) => fail(2, &error),
            },
        }
    }
}

impl Alone {
    async fn run(self, out: &mut dyn Write) -> Result<ExitCode, Error> {
        let telemetry = TelemetryConfig::text("warn");
        telemetry::init(&telemetry).map_err(|error| Error::invalid("telemetry", error.to_string(), ""))?;
        std::fs::create_dir_all(&self.data).map_err(|error| {
            let problem = format!("can not be made: {}", error.kind());
            Error::invalid("--data", problem, "name a folder that can be written")
        })?;
        let account = self.data.join("service-account.json");
        let config = self.configuration(&account)?;
        let database = Database::File(self.data.join("carrier.db"));
        let shutdown = Shutdown::new(DRAIN);
        let built = RbmSimulator::build(&database, &config, Arc::new(SystemClock)).await;
        let simulator = match built {
            Ok(simulator) => simulator,
            Err(error) => return Ok(fail(2, &error)),
        };
        self.greet(out, &simulator.origin(), &account).map_err(unwritten)?;
        if let Err(error) = shutdown.on_signals() {
            return Ok(fail(2, &error));
        }
        match simulator.run(shutdown).await {
            Ok(()) => Ok(ExitCode::SUCCESS),
            Err(error) => Ok(fail(1, &error)),
        }
    }

    fn configuration(&self, account: &Path) -> Result<RbmConfig, Error> {
        let webhook = self.webhook.as_ref().zip(self.client_token.as_ref());
        let webhook = webhook.map(|(url, token)| json!({ "url": url, "client_token": token }));
        // Any id of an agent has an official account of its own.
        let slug: String = self.agent.to_lowercase().replace('_', "-");
        let config = json!({
            "listen": self.listen,
            "phones": true,
            "strict": self.strict,
            "service_account_file": account,
            "agent": [{
                "id": self.agent,
                "official_account": slug.trim_matches('-'),
                "display_name": self.agent,
                "webhook": webhook,
            }],
        });
        serde_json::from_value(config).map_err(|error| {
            let remedy = "correct --listen, --agent, --webhook or --client-token";
            Error::invalid("--rbm", error.to_string(), remedy)
        })
    }

    fn greet(&self, out: &mut dyn Write, origin: &str, account: &Path) -> io::Result<()> {
        let (agent, file) = (&self.agent, account.display());
        let token = account.with_extension("token");
        let webhook = self.webhook.as_deref().unwrap_or("none; give --webhook URL --client-token TOKEN");
        write!(
            out,
            "RBM simulator\n  \
               API              {origin}\n  \
               page             {origin}/\n  \
               discovery        {origin}/$discovery/rest?version=v1\n  \
               service account  {file}\n  \
               agent            {agent}\n  \
               webhook          {webhook}\n\n\
             Numbers: any is a phone that reads what comes; …0000 has no RCS, …1111 is out of reach, …2222 reads nothing,\n\
             …3333 answers. The page writes, taps and leaves for them.\n\n\
             With curl:\n  \
               curl -H \"Authorization: Bearer $(cat {token})\" -H 'Content-Type: application/json' \\\n    \
                 '{origin}/v1/phones/+818012345678/agentMessages?messageId=1&agentId={agent}' \\\n    \
                 -d '{{\"contentMessage\": {{\"text\": \"Hello\"}}}}'\n\n\
             With Python (pip install google-api-python-client google-auth):\n  \
               from google.oauth2.service_account import Credentials\n  \
               from googleapiclient.discovery import build\n  \
               account = Credentials.from_service_account_file('{file}', scopes=['https://www.googleapis.com/auth/rcsbusinessmessaging'])\n  \
               rbm = build('rcsbusinessmessaging', 'v1', credentials=account, static_discovery=False,\n              \
                 discoveryServiceUrl='{origin}/$discovery/rest?version=v1')\n  \
               rbm.phones().agentMessages().create(parent='phones/+818012345678', messageId='2', agentId='{agent}',\n    \
                 body={{'contentMessage': {{'text': 'Hello'}}}}).execute()\n\n\
             Ctrl-C ends it; what there is stays in {}.\n",
            self.data.display(),
            token = token.display(),
        )?;
        out.flush()
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn parse(line: &str) -> Result<Args, clap::Error> {
        Line::try_parse_from(["carrier"].into_iter().chain(line.split_whitespace())).map(|line| line.args)
    }

    fn configured(line: &str) -> Result<RbmConfig, Error> {
        parse(line).unwrap().alone.configuration(Path::new("service-account.json"))
    }

    #[test]
    fn a_carrier_has_a_configuration_or_is_alone() {
        for (line, good) in [
            ("--config carrier.toml", true),
            ("--config carrier.toml --check", true),
            ("--rbm", true),
            ("--rbm --webhook http://127.0.0.1:1/ --client-token t", true),
            ("", false),
            ("--rbm --config carrier.toml", false),
            ("--rbm --check", false),
            ("--config carrier.toml --agent a", false),
            ("--rbm --webhook http://127.0.0.1:1/", false),
            ("--rbm --client-token t", false),
        ] {
            assert_eq!(parse(line).is_ok(), good, "{line}");
        }
    }

    #[test]
    fn what_is_said_alone_is_checked_as_a_configuration_is() {
        let agent = configured("--rbm --agent Minato_Bank").unwrap().agent.remove(0);
        assert_eq!((agent.id.as_str(), agent.official_account.as_str()), ("Minato_Bank", "minato-bank"));
        for line in [
            "--rbm --webhook http://partner.example/ --client-token t",
            "--rbm --agent a.b",
            "--rbm --agent ___",
            "--rbm --listen localhost",
        ] {
            let error = configured(line).unwrap_err();
            assert!(!error.problem.is_empty() && !error.remedy.is_empty(), "{line}");
        }
    }
}
