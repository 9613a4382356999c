//! `musubi bench rbm`: messages sent by the connector of RCS Business Messaging, beside a plain HTTP client that makes the same calls.
//!
//! Both send to the carrier simulator's own face, in this process, over kept connections, as many at once. Surprising: most of the time of
//! both is the simulator's, which commits each message; the ratio is what the connector costs on top of an HTTP client.

use std::{
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{StreamExt as _, stream};
use jiff::SignedDuration;
use musubi_carrier_simulator as carrier;
use musubi_domain::{
    Error,
    caller::Caller,
    content::{Content, Suggestion},
    id::{MessageId, OfficialAccountId},
    phone_number::PhoneNumber,
};
use musubi_information_server::{
    config::{AgentConfig, RbmConfig},
    gateway::{CarrierGateway as _, GrpcCarrier, OutgoingMessage, RbmCarrier, Traffic, Verdict},
};
use musubi_runtime::{
    Clock as _, Shutdown, SystemClock,
    config::Secret,
    grpc::client::{self, ClientOptions},
    tls::authority::Authority,
};
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    site::{broken, cores},
    table::{Measure, rate, write_json, write_table},
};
use crate::{
    cluster,
    operator::{Ending, progress, unwritten, words::thousands},
};

/// Messages of one call of the connector, as a dispatcher makes them.
const BATCH: usize = 1_000;
/// Each is measured so often, in turn; the fastest counts.
const PASSES: usize = 3;
const ACCOUNT: &str = "tf-bank";
const AGENT: &str = "tf_bank_agent";

/// Measure messages over RCS Business Messaging, beside a plain HTTP client that makes the same calls.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Messages of one pass.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(100..=1_000_000))]
    size: u64,
    /// Requests on their way at once.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    at_once: u64,
    /// A folder for the simulator's database while it runs. Without it: the system's temporary folder.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Write the measures to this file too.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Serialize)]
struct Report {
    job: &'static str,
    size: u64,
    at_once: u64,
    cores: usize,
    measures: Vec<Measure>,
}

pub(super) async fn run(args: Args, out: &mut dyn Write) -> Result<Ending, Error> {
    let folder = match &args.data_dir {
        Some(folder) => tempfile::tempdir_in(folder),
        None => tempfile::tempdir(),
    };
    let folder = folder.map_err(|error| {
        Error::invalid("--data-dir", format!("no folder can be made in it: {}", error.kind()), "name another")
    })?;
    let [size, at_once] = [args.size, args.at_once].map(|count| usize::try_from(count).unwrap_or(usize::MAX));
    let shutdown = Shutdown::new(Duration::from_secs(5));
    let stage = Stage::open(folder.path(), at_once, &shutdown).await?;
    let bar = progress((2 * PASSES * size) as u64, "{bar:40} {human_pos} of {human_len} messages");
    let (mut own, mut plain) = (Duration::MAX, Duration::MAX);
    for pass in 0..PASSES {
        own = own.min(stage.by_connector(size, pass).await?);
        bar.inc(size as u64);
        plain = plain.min(stage.by_plain_client(size, at_once, pass).await?);
        bar.inc(size as u64);
    }
    bar.finish_and_clear();
    shutdown.begin();
    shutdown.drained().await.map_err(|error| broken("the simulator did not stop", error))?;
    let measures = vec![Measure::new(
        ("messages by the connector", rate(size, own)),
        ("messages by a plain HTTP client", rate(size, plain)),
    )];
    write_table(&measures, out)?;
    let [messages, requests] = [args.size, args.at_once].map(thousands);
    writeln!(out, "{messages} messages a pass, {requests} requests at once, the best of {PASSES} passes each; the simulator in the same process, {} cores for all", cores())
        .map_err(unwritten)?;
    if let Some(path) = &args.json {
        write_json(
            path,
            &Report { job: "rbm", size: args.size, at_once: args.at_once, cores: cores(), measures },
        )?;
    }
    Ok(Ending::Done)
}

/// The simulator, and who sends to it.
struct Stage {
    api: String,
    account: OfficialAccountId,
    connector: RbmCarrier,
    client: reqwest::Client,
    token: String,
}

impl Stage {
    async fn open(folder: &Path, at_once: usize, shutdown: &Shutdown) -> Result<Self, Error> {
        let authority = Authority::temporary(&folder.join("tls"))?;
        let (party, node) = (Caller::Carrier("hoshi".parse()?), Caller::Information);
        let service_account = folder.join("account.json");
        let configuration = json!({
            "carrier": "hoshi",
            "listen": "127.0.0.1:0",
            "database": folder.join("carrier.db"),
            "tls": authority.issue_temporary(&party)?,
            "telemetry": { "filter": "error" },
            "rbm": {
                "listen": "127.0.0.1:0",
                "phones": true,
                "service_account_file": service_account,
                "agent": [{ "id": AGENT, "official_account": ACCOUNT, "display_name": "Bench", "use_case": "MULTI_USE" }],
            },
        });
        let failed = |error: &dyn std::fmt::Display| broken("the simulator could not be started", error);
        let file = cluster::write(folder, "carrier", &configuration).map_err(|error| failed(&error))?;
        let config = carrier::Config::load(Some(&file)).map_err(|error| failed(&error))?;
        let clock = Arc::new(SystemClock);
        let app = carrier::App::build(config, clock.clone()).await.map_err(|error| failed(&error))?;
        let (endpoint, api) = (app.endpoint(), app.rbm_origin().unwrap_or_default());
        let run = app.run(shutdown.clone());
        tokio::spawn(run);
        let identity = authority.identity(&node)?;
        let channel = client::connect(&identity, &endpoint, Some(&party), ClientOptions::default())?;
        let config = RbmConfig {
            api: api.clone(),
            service_account,
            authorities: None,
            requests_at_once: at_once,
            shows_reading: false,
            client_tokens: vec![Secret::new("a token that nobody uses here")],
            agent: vec![AgentConfig {
                official_account: ACCOUNT.parse()?,
                id: AGENT.to_owned(),
                client_tokens: Vec::new(),
            }],
        };
        let services = Arc::new(GrpcCarrier::new("hoshi".parse()?, channel));
        let connector = RbmCarrier::open(&config, services, clock)?;
        let token = connector.access_token().await?;
        Ok(Self { api, account: ACCOUNT.parse()?, connector, client: reqwest::Client::new(), token })
    }

    /// A batch after the other, as a dispatcher sends them.
    async fn by_connector(&self, size: usize, pass: usize) -> Result<Duration, Error> {
        let messages = (0..size).map(|at| message(at, 2 * pass)).collect::<Result<Vec<_>, _>>()?;
        let begun = Instant::now();
        for batch in messages.chunks(BATCH) {
            let verdicts = self.connector.send(&self.account, batch.to_vec()).await?;
            if let Some(other) = verdicts.iter().find(|verdict| **verdict != Verdict::Accepted) {
                return Err(broken("a message was not accepted", format!("{other:?}")));
            }
        }
        Ok(begun.elapsed())
    }

    /// The same calls with the same bodies.
    async fn by_plain_client(&self, size: usize, at_once: usize, pass: usize) -> Result<Duration, Error> {
        let messages = (0..size).map(|at| message(at, 2 * pass + 1)).collect::<Result<Vec<_>, _>>()?;
        let begun = Instant::now();
        let send = |message: &OutgoingMessage| {
            let url = format!(
                "{}/v1/phones/{}/agentMessages?messageId={}&agentId={AGENT}",
                self.api,
                message.number.as_str(),
                message.message_id
            );
            let request = self.client.post(url).bearer_auth(&self.token).json(&body(message));
            async move { request.send().await.and_then(reqwest::Response::error_for_status).map(drop) }
        };
        for batch in messages.chunks(BATCH) {
            let sent: Vec<_> = stream::iter(batch.iter().map(send)).buffer_unordered(at_once).collect().await;
            if let Some(error) = sent.into_iter().find_map(Result::err) {
                return Err(broken("a message was not accepted", error.without_url()));
            }
        }
        Ok(begun.elapsed())
    }
}

fn message(at: usize, pass: usize) -> Result<OutgoingMessage, Error> {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&(at as u64).to_be_bytes());
    id[8..].copy_from_slice(&(pass as u64).to_be_bytes());
    let number: PhoneNumber = format!("+8180{:07}2", at % 10_000_000).parse()?;
    let suggestion = Suggestion { label: "はい".to_owned(), postback: "yes".to_owned(), action: None };
    Ok(OutgoingMessage {
        message_id: MessageId::from_bytes(id),
        number,
        content: Content {
            text: "お知らせがあります。".to_owned(),
            suggestions: vec![suggestion],
            card: None,
        },
        traffic: Traffic::Transaction,
        expire_time: SystemClock.now().saturating_add(SignedDuration::from_hours(24)).unwrap_or_default(),
    })
}

fn body(message: &OutgoingMessage) -> Value {
    json!({
        "contentMessage": {
            "text": message.content.text,
            "suggestions": [{ "reply": { "text": "はい", "postbackData": "yes" } }],
        },
        "messageTrafficType": "TRANSACTION",
        "expireTime": message.expire_time.to_string(),
    })
}
