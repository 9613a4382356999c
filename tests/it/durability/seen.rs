//! What is seen of the inside: one trace over all nodes, exemplars that lead to it, and data for every panel and alert.
//!
//! A real Prometheus scrapes the nodes and a collector hears them. Surprising: names are looked for as text, in dashboards, rules and pages
//! alike; whatever begins with `musubi_` there is taken for a metric and has to stand in a node's table.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    path::{Path, PathBuf},
    time::Duration,
};

use musubi_runtime::telemetry::metrics::{EVERY_NODE, Metric};
use musubi_servers::prometheus;
use musubi_tests::processes::{CARRIERS, Collector, INFORMATION, Kind, System, Told};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::{play::Play, stop};

/// People, enough that some of each company are confirmed.
const PEOPLE: usize = 30;
/// How long what was told may be on its way, and how long Prometheus needs for two scrapes.
const PATIENCE: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(250);
/// The carrier that speaks RCS Business Messaging.
const RBM: &str = CARRIERS[1];
/// What every query of a test looks back on.
const RANGE: &str = "30s";

fn observability() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/observability")
}

fn tables() -> impl Iterator<Item = &'static Metric> {
    [
        EVERY_NODE,
        musubi_company_server::METRICS,
        musubi_information_server::METRICS,
        musubi_carrier_simulator::METRICS,
        musubi_terminal_simulator::METRICS,
    ]
    .into_iter()
    .flatten()
    .copied()
}

/// The words of a text that may be metrics.
fn named(text: &str) -> BTreeSet<&str> {
    let word = |c: char| !(c.is_ascii_alphanumeric() || c == '_');
    text.split(word).filter(|word| word.starts_with("musubi_")).collect()
}

/// Files below a folder that end so.
fn files(folder: &Path, end: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, end));
        } else if path.extension().is_some_and(|it| it == end) {
            found.push((path.display().to_string(), std::fs::read_to_string(&path).unwrap()));
        }
    }
    found
}

/// The expressions of all dashboards, as a query of now.
fn panels() -> Vec<(String, String)> {
    let mut expressions = Vec::new();
    for (_, text) in files(&observability().join("grafana/dashboards"), "json") {
        let dashboard: Value = serde_json::from_str(&text).unwrap();
        for panel in dashboard["panels"].as_array().unwrap() {
            for target in panel["targets"].as_array().unwrap() {
                let expression = target["expr"].as_str().unwrap().replace("$__rate_interval", RANGE);
                let expression = expression.replace("$carrier", ".*").replace("$official_account", ".*");
                assert!(!expression.contains('$'), "{expression}");
                expressions.push((panel["title"].as_str().unwrap().to_owned(), expression));
            }
        }
    }
    expressions
}

/// What each node serves to Prometheus.
pub(super) async fn scraped(system: &mut System) -> Vec<(&'static str, String)> {
    let names: Vec<_> = system.processes().iter().map(|process| process.name()).collect();
    let mut scraped = Vec::new();
    for name in names {
        let url = format!("http://{}/metrics", system.metrics(name));
        scraped.push((name, reqwest::get(url).await.unwrap().text().await.unwrap()));
    }
    scraped
}

#[test]
fn what_dashboards_alerts_and_pages_name_is_measured() {
    let measured: HashSet<String> = tables().flat_map(Metric::series).collect();
    let runbooks = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/runbooks");
    let files =
        [files(&observability(), "json"), files(&observability(), "yml"), files(&runbooks, "md")].concat();
    assert!(files.len() > 15, "{} files", files.len());
    let mut shown = BTreeSet::new();
    for (file, text) in &files {
        let unknown: Vec<_> = named(text).into_iter().filter(|name| !measured.contains(*name)).collect();
        assert!(unknown.is_empty(), "{file} names what nobody measures: {unknown:?}");
        shown.extend(named(text));
    }
    let unseen: Vec<_> =
        tables().map(Metric::series).filter(|all| all.iter().all(|it| !shown.contains(&**it))).collect();
    assert!(unseen.is_empty(), "measured and shown nowhere: {unseen:?}");
}

#[test]
fn each_alert_is_played_and_has_its_page() {
    let folder = observability().join("prometheus");
    for arguments in [
        ["check", "rules", "rules.yml"],
        ["check", "config", "prometheus.yml"],
        ["test", "rules", "tests.yml"],
    ] {
        let output = prometheus::promtool().unwrap().args(arguments).current_dir(&folder).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
    }
    let [rules, played] =
        ["rules.yml", "tests.yml"].map(|name| std::fs::read_to_string(folder.join(name)).unwrap());
    let mut alerts = 0;
    for rule in rules.split("- alert: ").skip(1) {
        let name = rule.lines().next().unwrap();
        assert!(played.contains(&format!("alertname: {name}\n        exp_alerts:")), "{name} is not played");
        let page = rule.lines().find_map(|line| line.trim().strip_prefix("runbook_url: ")).unwrap();
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(page);
        let page =
            std::fs::read_to_string(&page).unwrap_or_else(|error| panic!("{}: {error}", page.display()));
        assert!(page.contains(&format!("Alert: `{name}`")), "the page of {name} is another's");
        alerts += 1;
    }
    assert!(alerts >= 10, "{alerts} alerts");
}

/// Asks Prometheus.
async fn ask(url: &str, path: &str, query: &str) -> Value {
    let mut address = reqwest::Url::parse(&format!("{url}/api/v1/{path}")).unwrap();
    address.query_pairs_mut().append_pair("query", query);
    if path == "query_exemplars" {
        address.query_pairs_mut().append_pair("start", "0").append_pair("end", "4000000000");
    }
    let text = reqwest::get(address).await.unwrap().text().await.unwrap();
    let answer: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(answer["status"], "success", "{query}: {answer}");
    answer["data"].clone()
}

/// What is wrong with a trace, as a tree: more than one root, or a parent that nobody told of.
fn torn(trace: &[Told]) -> Vec<String> {
    let ids: HashSet<&[u8]> = trace.iter().map(|told| &*told.span.span_id).collect();
    let orphans = trace.iter().filter(|told| {
        let parent = &told.span.parent_span_id;
        !parent.is_empty() && !ids.contains(&**parent)
    });
    let mut faults: Vec<String> = orphans.map(|told| format!("{} has no parent", told.name())).collect();
    let roots = trace.iter().filter(|told| told.span.parent_span_id.is_empty()).count();
    if roots != 1 {
        faults.push(format!("{roots} roots"));
    }
    faults
}

fn services(trace: &[Told]) -> BTreeSet<&str> {
    trace.iter().map(|told| &*told.service).collect()
}

/// The parent of a step in its trace.
fn parent<'a>(trace: &'a [Told], told: &Told) -> Option<&'a Told> {
    trace.iter().find(|other| other.span.span_id == told.span.parent_span_id)
}

#[tokio::test]
async fn one_trace_goes_through_all_nodes_and_every_panel_has_data() {
    let collector = Collector::start();
    let mut system =
        System::start_as(|layout| layout.quiet().json().rbm(RBM).seen(collector.address())).await;
    let jobs: Vec<_> = system.processes().iter().map(|it| (job(it.kind()), it.name())).collect();
    let targets: Vec<_> = jobs.iter().map(|(job, name)| (*job, system.metrics(name))).collect();
    let rules = observability().join("prometheus/rules.yml");
    let server =
        tokio::task::spawn_blocking(move || prometheus::start(&rules, &targets).unwrap()).await.unwrap();

    let play = Play::new(&system, 71, PEOPLE).hurried();
    play.import_masters().await;
    play.hand_out_stories().await;
    play.until_dialogues_end().await;
    let distributions = play.distribute().await;
    play.until_delivered(&distributions).await;

    let url = server.url();
    let begin = Instant::now();
    loop {
        let mut empty = Vec::new();
        for (title, expression) in panels() {
            let data = ask(&url, "query", &expression).await;
            if data["result"].as_array().is_none_or(Vec::is_empty) {
                empty.push(format!("{title}: {expression}"));
            }
        }
        // Nothing is limited here.
        empty.retain(|panel| !panel.contains("musubi_limit_wait_seconds"));
        if empty.is_empty() {
            break;
        }
        assert!(begin.elapsed() < PATIENCE, "panels without data: {empty:#?}");
        sleep(LOOK).await;
    }
    let exemplars = ask(&url, "query_exemplars", "musubi_call_duration_seconds_bucket").await;
    let exemplar = &exemplars[0]["exemplars"][0]["labels"]["trace_id"];
    let exemplar = exemplar.as_str().unwrap_or_else(|| panic!("no exemplar: {exemplars}")).to_owned();
    stop(&mut system).await;

    let said = system.said_by(INFORMATION);
    let traces = collector.traces();
    let hex = |id: &[u8]| id.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert!(traces.keys().any(|id| hex(id) == exemplar), "the exemplar's trace was not told");
    let line = said.lines().find(|line| line.contains("learnt the authorities' keys")).unwrap();
    let line: Value = serde_json::from_str(line).unwrap();
    let named = line["trace_id"].as_str().unwrap_or_else(|| panic!("a line without its trace: {line}"));
    assert!(traces.keys().any(|id| hex(id) == named), "the line's trace was not told");
    assert_confirmed(&traces);
    assert_delivered(&traces);
    assert_told_over_rbm(&traces);
    assert_called(&traces);
}

const fn job(kind: Kind) -> &'static str {
    match kind {
        Kind::Company => "musubi-company",
        Kind::Information => "musubi-information",
        Kind::Carrier => "musubi-carrier",
        Kind::Terminal => "musubi-terminal",
    }
}

/// A follower who was confirmed by inquiry: one trace over the four nodes, whole.
fn assert_confirmed(traces: &HashMap<Vec<u8>, Vec<Told>>) {
    let confirmed: Vec<_> = traces
        .values()
        .filter(|trace| {
            let concluded = |told: &Told| {
                told.name() == "conclude match" && told.attribute("musubi.outcome") == "confirmed"
            };
            trace.iter().any(concluded) && trace.iter().any(|told| told.name() == "decide match")
        })
        .collect();
    assert!(!confirmed.is_empty(), "nobody's confirmation was told");
    for trace in confirmed {
        let four = ["musubi-carrier", "musubi-company", "musubi-information", "musubi-terminal"];
        assert_eq!(services(trace), BTreeSet::from(four));
        assert!(torn(trace).is_empty(), "{:#?}", torn(trace));
        for (name, above) in [
            ("decide match", "inquire"),
            ("conclude match", "inquire"),
            ("show message", "carry message"),
            ("carry message", "send message"),
            ("send message", "follow"),
        ] {
            for told in trace.iter().filter(|told| told.name() == name) {
                assert_eq!(parent(trace, told).map(Told::name), Some(above), "above {name}");
            }
        }
        let taken = |event| {
            let is = |told: &&Told| told.name() == "take event" && told.attribute("musubi.event") == event;
            trace.iter().find(is).and_then(|told| parent(trace, told)).map(Told::name)
        };
        assert_eq!(taken("followed"), Some("report event"));
        assert_eq!(taken("tapped"), Some("report event"));
        assert_eq!(taken("identity attested"), Some("attest identity"));
        let said = |purpose| {
            let is =
                |told: &Told| told.name() == "send message" && told.attribute("musubi.purpose") == purpose;
            trace.iter().any(is)
        };
        assert!(["question", "account", "identity", "confirmed"].into_iter().all(said));
    }
}

/// A message of a distribution: sent, carried, shown, and the receipts of that.
fn assert_delivered(traces: &HashMap<Vec<u8>, Vec<Told>>) {
    let mut delivered = 0;
    for trace in traces.values() {
        let is =
            |told: &Told| told.name() == "send message" && told.attribute("musubi.purpose") == "individual";
        if !trace.iter().any(is) {
            continue;
        }
        assert!(torn(trace).is_empty(), "{:#?}", torn(trace));
        let names: BTreeSet<&str> = trace.iter().map(Told::name).collect();
        let steps = ["carry message", "report event", "send message", "show message", "take event"];
        assert_eq!(names, BTreeSet::from(steps));
        assert!(trace.iter().any(|told| told.attribute("musubi.event") == "displayed"));
        delivered += 1;
    }
    assert!(delivered > 0, "no individual message was told");
}

/// Who is reached by REST and webhooks stands in stories like everybody else.
fn assert_told_over_rbm(traces: &HashMap<Vec<u8>, Vec<Told>>) {
    let party = format!("carrier/{RBM}");
    let mut seen = BTreeSet::new();
    for trace in traces.values() {
        for told in trace.iter().filter(|told| told.party == party) {
            let above = parent(trace, told).map_or("nothing", Told::name);
            let below = trace.iter().filter(|other| other.span.parent_span_id == told.span.span_id);
            let below: BTreeSet<&str> = below.map(Told::name).collect();
            if told.name() == "carry message" && below.contains("show message") {
                seen.insert(("shown", above));
            }
            if told.name() == "report event" && below.contains("take event") {
                seen.insert(("taken", above));
            }
        }
    }
    let reports = [("taken", "answer"), ("taken", "carry message"), ("taken", "follow")];
    assert_eq!(seen, BTreeSet::from_iter([("shown", "send message")].into_iter().chain(reports)));
}

/// A batch calls its carrier within its span, and the carrier's span stands under that call.
fn assert_called(traces: &HashMap<Vec<u8>, Vec<Told>>) {
    let method = "/musubi.carrier.v1.MessageService/SendMessages";
    let called = traces.values().any(|trace| {
        trace.iter().any(|told| {
            let above = parent(trace, told);
            told.service == "musubi-carrier"
                && told.name() == method
                && above.is_some_and(|call| call.service == "musubi-information" && call.name() == method)
                && above.and_then(|call| parent(trace, call)).is_some_and(|it| it.name() == "send batch")
        })
    });
    assert!(called, "the context did not go over gRPC");
}
