//! What the stack shows of its inside: every node scraped, data for what the dashboards draw, spans of every node in the trace store.
//!
//! Asked over HTTP at the ports of this machine, as a person's browser would. Surprising: nodes export one trace in twenty, and are
//! scraped every fifteen seconds, so that everything is asked for until it is there.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::Value;

const PROMETHEUS: u16 = 9090;
const TEMPO: u16 = 3200;
const GRAFANA: u16 = 3000;
/// Every node as it is called in spans.
const PARTIES: [&str; 7] = [
    "carrier/hoshi",
    "carrier/kumo",
    "carrier/nami",
    "company/aoba-bank",
    "company/hinata-gas",
    "information",
    "terminal",
];
/// Nodes that are scraped; the information-management server is two.
const TARGETS: usize = 8;
/// What every query looks back on: four scrapes.
const RANGE: &str = "1m";
/// Has no data as long as nobody has to wait.
const MAY_BE_EMPTY: &str = "musubi_limit_wait_seconds";
const PATIENCE: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_secs(1);
const ANSWER: Duration = Duration::from_secs(10);

/// Waits until all of it is there.
///
/// # Errors
///
/// Says what is lacking after two minutes.
pub(super) fn look(root: &Path, grafana: bool) -> anyhow::Result<()> {
    let panels = panels(&root.join("deploy/observability/grafana/dashboards"))?;
    let since = Instant::now();
    loop {
        let lacking = lacking(&panels, grafana);
        if matches!(&lacking, Ok(lacking) if lacking.is_empty()) {
            break;
        }
        anyhow::ensure!(since.elapsed() < PATIENCE, "not seen after {PATIENCE:?}: {lacking:?}");
        thread::sleep(LOOK);
    }
    println!(
        "{TARGETS} nodes are scraped, {} panels have data, spans of {} nodes are in the trace store",
        panels.len(),
        PARTIES.len()
    );
    Ok(())
}

fn lacking(panels: &[(String, String)], grafana: bool) -> anyhow::Result<Vec<String>> {
    let targets = ask(PROMETHEUS, "/api/v1/targets?state=active")?;
    let targets = targets["data"]["activeTargets"].as_array().context("Prometheus tells no targets")?;
    let up = targets.iter().filter(|target| target["health"] == "up").count();
    let mut lacking = Vec::new();
    if (up, targets.len()) != (TARGETS, TARGETS) {
        lacking.push(format!("{up} of {} targets are up, not {TARGETS}", targets.len()));
    }
    for (title, expression) in panels {
        let answer = query(expression)?;
        if answer.is_empty() && !expression.contains(MAY_BE_EMPTY) {
            lacking.push(format!("data of {title}: {expression}"));
        }
    }
    let told = ask(TEMPO, "/api/v2/search/tag/resource.musubi.party/values")?;
    let told: BTreeSet<&str> =
        told["tagValues"].as_array().into_iter().flatten().filter_map(|it| it["value"].as_str()).collect();
    lacking.extend(
        PARTIES.iter().filter(|party| !told.contains(*party)).map(|party| format!("spans of {party}")),
    );
    if grafana {
        let found = ask(GRAFANA, "/api/search?type=dash-db")?;
        if found.as_array().is_none_or(|found| found.len() < 2) {
            lacking.push(format!("two dashboards in Grafana: {found}"));
        }
    }
    Ok(lacking)
}

/// No node was answered anything but what it asked for, or that it may repeat its call; that whoever repeats gets through is in the report.
///
/// # Errors
///
/// Names the calls that failed.
pub(super) fn no_call_failed() -> anyhow::Result<()> {
    let calls = "sum by (job, method, code) (max_over_time(musubi_peer_call_duration_seconds_count[1h])) > 0";
    let (answered, repeated) = judge(&query(calls)?)?;
    println!(
        "the nodes' calls of one another: {answered} were answered, {repeated} were to be repeated, none failed"
    );
    Ok(())
}

/// How many calls were answered, and how many were to be repeated.
fn judge(calls: &[Value]) -> anyhow::Result<(u64, u64)> {
    let (mut answered, mut repeated, mut failed) = (0, 0, Vec::new());
    for series in calls {
        let count = series["value"][1].as_str().and_then(|value| value.parse::<u64>().ok());
        let count = count.with_context(|| format!("{series} is no count"))?;
        match series["metric"]["code"].as_str() {
            Some("OK") => answered += count,
            // Could not be reached, or was cut off.
            Some("UNAVAILABLE" | "CANCELLED") => repeated += count,
            Some(_) | None => failed.push(format!("{} ({count})", series["metric"])),
        }
    }
    anyhow::ensure!(failed.is_empty(), "calls failed: {}", failed.join(", "));
    anyhow::ensure!(answered > 0, "nobody counted calls");
    Ok((answered, repeated))
}

/// Every expression that a dashboard draws, with its panel, as a query of now.
fn panels(folder: &Path) -> anyhow::Result<Vec<(String, String)>> {
    let mut panels = Vec::new();
    for entry in fs::read_dir(folder)? {
        let dashboard: Value = serde_json::from_str(&fs::read_to_string(entry?.path())?)?;
        for panel in dashboard["panels"].as_array().into_iter().flatten() {
            for target in panel["targets"].as_array().into_iter().flatten() {
                let expression =
                    target["expr"].as_str().unwrap_or_default().replace("$__rate_interval", RANGE);
                let expression = expression.replace("$carrier", ".*").replace("$official_account", ".*");
                panels.push((panel["title"].as_str().unwrap_or_default().to_owned(), expression));
            }
        }
    }
    anyhow::ensure!(!panels.is_empty(), "{} holds no dashboard", folder.display());
    Ok(panels)
}

/// What Prometheus answers now: each series with its labels and value.
pub(super) fn query(expression: &str) -> anyhow::Result<Vec<Value>> {
    let encoded: String = expression.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let answer = ask(PROMETHEUS, &format!("/api/v1/query?query={encoded}"))?;
    anyhow::ensure!(answer["status"] == "success", "{expression}: {answer}");
    Ok(answer["data"]["result"].as_array().context("Prometheus gives no series")?.clone())
}

fn ask(port: u16, path: &str) -> anyhow::Result<Value> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, ANSWER)?;
    stream.set_read_timeout(Some(ANSWER))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) =
        answer.split_once("\r\n\r\n").with_context(|| format!("port {port} doesn't speak HTTP"))?;
    let status = head.split_whitespace().nth(1).unwrap_or_default();
    anyhow::ensure!(status == "200" || status == "400", "port {port} answers {status} to {path}");
    serde_json::from_str(body).with_context(|| format!("port {port} answers no JSON to {path}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_call_that_may_not_be_repeated_has_failed_and_none_at_all_is_no_proof() {
        let call = |code: &str, count: &str| json!({ "metric": { "code": code }, "value": [0, count] });
        let fine = [call("OK", "7"), call("UNAVAILABLE", "2"), call("CANCELLED", "1")];
        assert_eq!(judge(&fine).unwrap(), (7, 3));
        for bad in [vec![], vec![call("UNAVAILABLE", "2")], vec![call("OK", "many")]] {
            assert!(judge(&bad).is_err(), "{bad:?}");
        }
        let failed = judge(&[&fine[..], &[call("INTERNAL", "1")]].concat()).unwrap_err().to_string();
        assert!(failed.contains("INTERNAL"), "{failed}");
    }

    #[test]
    fn every_panel_asks_something() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
        let panels = panels(&root.join("deploy/observability/grafana/dashboards")).unwrap();
        assert!(
            panels.len() > 15 && panels.iter().all(|(_, expression)| !expression.contains('$')),
            "{panels:?}"
        );
    }
}
