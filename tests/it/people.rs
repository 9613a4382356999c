//! What tests of people do: operators with the `musubi` program, phones that show what they are told, a server that dies.
//!
//! Surprising: whatever a person or an operator is told comes some time, and is waited for.

use std::{
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use futures::stream;
use musubi_proto::{
    company::v1::{
        EntrustMasterRequest, ImportCustomersRequest, customer_service_client::CustomerServiceClient,
    },
    information::v1::{
        CreateDistributionRequest, CustomerValues, StartDistributionRequest, Template, UploadValuesRequest,
        Variable, VariableKind, distribution_service_client::DistributionServiceClient,
    },
    terminal::v1::{
        ListTalkRoomsRequest, PlayStoriesRequest, ShownMessage, line,
        terminal_service_client::TerminalServiceClient,
    },
};
use musubi_terminal_simulator::story::Story;
use musubi_tests::processes::{Kind, Layout, OPERATOR, System, program};
use serde_json::Value;
use tokio::time::sleep;

use crate::SAMPLES;

pub(crate) const BANK: &str = "aoba-bank";
pub(crate) const GAS: &str = "hinata-gas";
pub(crate) const CONFIRMED: &str = "ご本人さまの確認が完了しました。";
/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(100);

/// Looks until it is there.
pub(crate) async fn until<T>(what: &str, look: impl AsyncFn() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(begin.elapsed() < PATIENCE, "not seen: {what}");
        sleep(LOOK).await;
    }
}

/// Runs `musubi` as an operator of a company: whether it went well, and what it said.
pub(crate) fn musubi(system: &System, operator: &str, company: &str, arguments: &[&str]) -> (bool, String) {
    musubi_reading(system, operator, company, arguments, "")
}

/// The same, with something to read on its standard input.
pub(crate) fn musubi_reading(
    system: &System,
    operator: &str,
    company: &str,
    arguments: &[&str],
    input: &str,
) -> (bool, String) {
    let mut command = Command::new(program());
    command.args(arguments).args(["--server", system.endpoint(company).as_str()]).env_clear();
    let certificate = system.certificate(&Layout::operator(operator, company)).certificate;
    command.env("MUSUBI_CERTIFICATE", certificate);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = command.spawn().unwrap();
    running.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = running.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}

/// The same, as the first operator, of what has to go well.
pub(crate) fn does(system: &System, company: &str, arguments: &[&str]) -> String {
    let (well, said) = musubi(system, OPERATOR, company, arguments);
    assert!(well, "{arguments:?}: {said}");
    said
}

/// The lines of a node's audit, which is verified; the node is stopped meanwhile. Of the companies' servers it is the bank's.
pub(crate) async fn audit(system: &mut System, kind: Kind) -> Vec<Value> {
    let process = system.of(kind).next().unwrap();
    assert!(process.stop().await.success());
    let lines = audit_of(process.config(), kind);
    process.start();
    process.serving().await.unwrap();
    lines
}

/// The same, of a node that doesn't run.
pub(crate) fn audit_of(config: &Path, kind: Kind) -> Vec<Value> {
    let config = config.display().to_string();
    let run = |command: &str| {
        let mut audit = Command::new(program());
        audit.args(["audit", command, "--config", &config, "--node", kind.as_str()]);
        let done = audit.env_clear().output().unwrap();
        assert!(done.status.success(), "{command}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap()
    };
    run("verify");
    run("export").lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// How many times the audit tells of a refusal that begins so: `company/aoba-bank GetFollower: `.
pub(crate) fn refused(lines: &[Value], front: &str) -> u64 {
    let details = lines.iter().filter(|line| line["action"] == "refused");
    let counts = details.filter_map(|line| {
        let (_, count) = line["detail"].as_str().unwrap().strip_prefix(front)?.rsplit_once(", ")?;
        count.strip_suffix(" times")?.parse::<u64>().ok()
    });
    counts.sum()
}

/// Every message that a phone shows.
pub(crate) async fn shown_to(system: &System, number: &str) -> Vec<ShownMessage> {
    let mut terminal = TerminalServiceClient::new(system.channel("phones"));
    let rooms =
        terminal.list_talk_rooms(ListTalkRoomsRequest::default()).await.unwrap().into_inner().talk_rooms;
    let lines = rooms.into_iter().filter(|room| room.phone_number == number).flat_map(|room| room.lines);
    let messages = lines.filter_map(|line| match line.what {
        Some(line::What::Message(message)) => Some(message),
        Some(
            line::What::Said(_) | line::What::Opened(_) | line::What::Followed(_) | line::What::Proved(_),
        )
        | None => None,
    });
    messages.collect()
}

/// Waits until the phone shows a message that begins so.
pub(crate) async fn shown(system: &System, number: &str, text: &str) -> ShownMessage {
    until(text, async || {
        let begins =
            |message: &ShownMessage| message.content.as_ref().is_some_and(|it| it.text.starts_with(text));
        shown_to(system, number).await.into_iter().find(begins)
    })
    .await
}

pub(crate) async fn play(system: &System, stories: &[&Story]) {
    let stories = stories.iter().copied().map(Into::into).collect();
    let mut terminal = TerminalServiceClient::new(system.channel("phones"));
    terminal.play_stories(PlayStoriesRequest { stories }).await.unwrap();
}

pub(crate) async fn import_masters(system: &System) {
    for company in [BANK, GAS] {
        let chunk = std::fs::read(format!("{SAMPLES}/customers-{company}.csv")).unwrap();
        let mut customers = CustomerServiceClient::new(system.channel(company));
        let part = ImportCustomersRequest { dry_run: false, chunk };
        customers.import_customers(stream::iter([part])).await.unwrap();
        if company == GAS {
            let request = EntrustMasterRequest { lease_seconds: 3_600, blind: false };
            customers.entrust_master(request).await.unwrap();
        }
    }
}

/// The information-management server dies and comes back.
pub(crate) async fn kill_and_start(system: &mut System) {
    for process in system.of(Kind::Information) {
        process.kill();
        process.start();
        process.serving().await.unwrap();
    }
}

/// Sends the bank's followers a message; these customers have one of their own.
pub(crate) async fn distribute(system: &System, customers: &[&str]) {
    let mut distributions = DistributionServiceClient::new(system.channel(BANK));
    let variable = Variable { name: "customer".to_owned(), kind: VariableKind::Text.into() };
    let request = CreateDistributionRequest {
        request_id: "00000000-0000-4000-8000-000000000001".to_owned(),
        official_account: BANK.to_owned(),
        name: "reviews".to_owned(),
        uniform: Some(Template { text: "みなさまへ".to_owned(), ..Template::default() }),
        individual: Some(Template {
            text: "{customer}様へ".to_owned(),
            variables: vec![variable],
            ..Template::default()
        }),
        ..CreateDistributionRequest::default()
    };
    let created = distributions.create_distribution(request).await.unwrap().into_inner();
    let distribution_id = created.distribution.unwrap().distribution_id;
    let values = |id: &&str| CustomerValues { customer_id: (*id).to_owned(), values: vec![(*id).to_owned()] };
    let chunk = UploadValuesRequest {
        distribution_id: distribution_id.clone(),
        customers: customers.iter().map(values).collect(),
        operator: String::new(),
    };
    distributions.upload_values(stream::iter([chunk])).await.unwrap();
    distributions
        .start_distribution(StartDistributionRequest { distribution_id, operator: String::new() })
        .await
        .unwrap();
}
