//! The measurements of nodes: each runs to its end on both databases, says what it promises, and leaves nothing behind.
//!
//! Surprising: no figure is judged here. A test that fails because the machine was busy teaches nobody anything.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use musubi_servers::test_postgres_url;
use musubi_tests::processes::program;
use serde_json::Value;

/// Fields of every report, besides those that name the measurement.
const NUMBERS: [&str; 5] = ["figure", "limit", "ratio", "peak_rss_bytes", "rows_per_unit"];
/// Fields that are numbers where they apply.
const LATENCY: [&str; 3] = ["p50_ms", "p99_ms", "p999_ms"];

fn bench(arguments: &[&str], folder: &Path) -> Output {
    let mut command = Command::new(program());
    command.arg("bench").args(arguments).arg("--data-dir").arg(folder);
    command.output().unwrap()
}

/// Measures, checks what every report has, and gives the report.
fn measured(job: &str, size: u64, arguments: &[&str]) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("report.json");
    let (size_word, json) = (size.to_string(), file.display().to_string());
    let mut all = vec![job, "--size", &size_word, "--json", &json];
    all.extend(arguments);
    let output = bench(&all, folder.path());
    let [shown, said] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    assert!(output.status.success(), "{shown}{said}");
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["report.json"], "databases and files are gone");

    let report: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    assert_eq!((report["job"].as_str(), report["size"].as_u64()), (Some(job), Some(size)));
    for field in NUMBERS {
        assert!(report[field].as_f64().unwrap() > 0.0, "{field}: {report}");
    }
    let [figure, limit, ratio] = ["figure", "limit", "ratio"].map(|field| report[field].as_f64().unwrap());
    assert!((figure / limit / ratio - 1.0).abs() < 1e-9, "{report}");
    assert!(report["peak_rss_bytes"].as_u64().unwrap() > 10_000_000, "{report}");
    let unit = report["unit"].as_str().unwrap();
    assert!(shown.contains(unit) && shown.contains(report["limit_name"].as_str().unwrap()), "{shown}");
    assert!(said.lines().count() > 1, "it shows progress");
    report
}

/// On SQLite, and on the tests' PostgreSQL.
fn on_both(job: &str, size: u64, check: impl Fn(&Value)) {
    let sqlite = measured(job, size, &["--store", "sqlite"]);
    assert_eq!(sqlite["store"], "sqlite");
    check(&sqlite);
    let postgres = measured(job, size, &["--store", "postgres", "--database-url", &test_postgres_url()]);
    assert_eq!(postgres["store"], "postgres");
    assert!(postgres["wal_bytes_per_unit"].as_f64().unwrap() > 10.0, "{postgres}");
    check(&postgres);
}

fn has_latency(report: &Value) {
    let [p50, p99, p999] = LATENCY.map(|field| report[field].as_f64().unwrap());
    assert!(0.0 < p50 && p50 <= p99 && p99 <= p999, "{report}");
}

fn has_commits(report: &Value) {
    let [p50, p99] = ["commit_of_one_row_p50_ms", "commit_of_one_row_p99_ms"]
        .map(|part| report["more"][part].as_f64().unwrap());
    assert!(0.0 < p50 && p50 <= p99, "{report}");
}

#[test]
fn distribution_is_measured_on_both_databases() {
    on_both("distribute", 1_000, |report| {
        assert_eq!(report["more"]["individual_messages"], 500.0, "half of the followers are tied");
        assert_eq!(report["p50_ms"], Value::Null);
    });
}

#[test]
fn replicas_are_measured_on_a_server_of_the_measurements_own() {
    let report = measured("distribute", 600, &["--store", "postgres", "--replicas", "2"]);
    let processes = report["processes"].as_array().unwrap().iter();
    let names: Vec<_> = processes.map(|process| process["process"].as_str().unwrap()).collect();
    assert_eq!(names, ["information-1", "information-2", "postgres", "bench"]);
}

#[test]
fn list_is_measured_on_both_databases() {
    on_both("list-sync", 2_000, |report| {
        let rows = report["more"]["rows_that_were_loaded"].as_f64().unwrap();
        assert!(rows >= 2_000.0, "the limit has the rows of the fetch: {report}");
        assert!(report["more"]["next_fetch_by_first"].as_f64().unwrap() > 0.0);
    });
}

#[test]
fn dialogues_are_measured_on_both_databases() {
    on_both("link", 200, |report| {
        has_latency(report);
        has_commits(report);
        assert_eq!(report["more"]["not_confirmed"], 0.0, "{report}");
    });
}

#[test]
fn dialogues_are_measured_beside_followers_who_are_tied_already() {
    let report = measured("link", 200, &["--store", "sqlite", "--beside", "400"]);
    let more = &report["more"];
    assert_eq!((more["followers_beside"].as_f64(), more["not_confirmed"].as_f64()), (Some(400.0), Some(0.0)));
    let confirmed = report["figure"].as_f64().unwrap() * more["seconds"].as_f64().unwrap();
    assert!((confirmed - 200.0).abs() < 1e-6, "whoever was tied before isn't counted: {report}");
}

#[test]
fn decisions_are_measured_on_both_databases() {
    on_both("online-match", 1_000, |report| {
        has_latency(report);
        let [confirmed, review, rejected] =
            ["confirmed", "for_review", "rejected"].map(|outcome| report["more"][outcome].as_f64().unwrap());
        assert!(confirmed > 100.0 && review > 0.0 && rejected > 0.0, "{report}");
        has_commits(report);
    });
}

#[test]
fn pages_of_the_console_are_measured_and_held_against_what_a_page_may_take() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("report.json");
    let json = file.display().to_string();
    let output = bench(&["console", "--store", "sqlite", "--size", "100", "--json", &json], folder.path());
    let [shown, said] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    assert!(shown.contains("what a page may take"), "{shown}{said}");
    let report: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    has_latency(&report);
    assert_eq!(report["more"].as_object().unwrap().len(), 17, "eight pages, and the seeding: {report}");
    let is_slow = report["figure"].as_f64().unwrap() > report["limit"].as_f64().unwrap();
    assert_eq!(
        output.status.code(),
        Some(i32::from(is_slow)),
        "a busy machine may break the promise: {shown}"
    );
}

#[test]
fn a_neighbours_distribution_is_measured_alone_and_beside_a_large_one() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("report.json");
    let json = file.display().to_string();
    let output = bench(&["fairness", "--store", "sqlite", "--size", "40000", "--json", &json], folder.path());
    let [shown, said] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    assert!(shown.contains("the same while nothing else is sent"), "{shown}{said}");
    let report: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    let [figure, limit, most] = [&report["figure"], &report["limit"], &report["more"]["most_times_as_long"]]
        .map(|field| field.as_f64().unwrap());
    assert!(limit > 0.0 && report["more"]["rounds_meanwhile"].as_f64().unwrap() >= 1.0, "{report}");
    let is_slow = figure / limit > most;
    assert_eq!(
        output.status.code(),
        Some(i32::from(is_slow)),
        "a busy machine may break the promise: {shown}"
    );
}

#[test]
fn what_can_not_be_measured_is_refused_before_it_begins() {
    let folder = tempfile::tempdir().unwrap();
    for (arguments, said) in [
        (
            &["distribute", "--store", "sqlite", "--replicas", "2"][..],
            "2 processes can not share one SQLite file",
        ),
        (&["link", "--store", "sqlite", "--database-url", "postgres://x"], "--store sqlite measures a file"),
        (&["list-sync", "--store", "sqlite", "--size", "99"], "99 is not in 100"),
    ] {
        let output = bench(arguments, folder.path());
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(2) && text.contains(said), "{text}");
    }
}

#[test]
fn messages_over_rcs_business_messaging_are_measured_beside_a_plain_client() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("report.json");
    let json = file.display().to_string();
    let output = bench(&["rbm", "--size", "200", "--json", &json], folder.path());
    let [shown, said] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    assert!(output.status.success(), "{shown}{said}");
    let report: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    let measure = &report["measures"][0];
    for field in ["per_second", "peer_per_second", "ratio"] {
        assert!(measure[field].as_f64().unwrap() > 0.0, "{report}");
    }
    assert!(shown.contains("plain HTTP client"), "{shown}");
}
