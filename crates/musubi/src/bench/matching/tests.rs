//! The bench at its smallest: every measure is there, and its decisions are those of the stories.

use clap::Parser;
use serde_json::Value;

use crate::bench;

#[derive(Parser)]
struct Program {
    #[command(flatten)]
    args: bench::Args,
}

async fn bench(arguments: &[&str]) -> Result<String, String> {
    let program = Program::try_parse_from(["bench", "match"].iter().chain(arguments)).unwrap();
    let mut out = Vec::new();
    program.args.run(&mut out).await.map_err(|error| error.field)?;
    Ok(String::from_utf8(out).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_measure_has_its_peer_and_answers_are_decided() {
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("match.json");
    let [data, json] = [folder.path(), &json].map(|path| path.to_str().unwrap());
    let shown =
        bench(&["--rows", "1200", "--answers", "300", "--data-dir", data, "--json", json]).await.unwrap();
    let report: Value = serde_json::from_slice(&std::fs::read(json).unwrap()).unwrap();
    assert_eq!((report["rows"].as_u64(), report["answers"].as_u64()), (Some(1200), Some(300)));
    let outcomes: Vec<u64> =
        report["outcomes"].as_array().unwrap().iter().map(|count| count.as_u64().unwrap()).collect();
    assert_eq!(outcomes.iter().sum::<u64>(), 300);
    assert!(outcomes.iter().all(|count| *count > 5) && outcomes[0] > 150, "{outcomes:?}");
    let measures = report["measures"].as_array().unwrap();
    assert!(measures.len() >= 8, "{report}");
    for measure in measures {
        for rate in ["per_second", "peer_per_second", "ratio"] {
            assert!(measure[rate].as_f64().unwrap() > 0.0, "{measure}");
        }
        assert!(shown.contains(measure["measure"].as_str().unwrap()), "{shown}");
    }
    let left: Vec<_> = std::fs::read_dir(data).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["match.json"], "the store is gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_measured_is_refused_by_its_argument() {
    for (arguments, argument) in [
        (&["--rows", "100", "--answers", "26"][..], "--answers"),
        (&["--rows", "100", "--answers", "20", "--data-dir", "/dev/null"], "--data-dir"),
        (&["--rows", "100", "--answers", "20", "--duckdb", "/dev/null"], "--duckdb"),
        (&["--rows", "100", "--answers", "20", "--json", "/dev/null/x"], "--json"),
    ] {
        assert_eq!(bench(arguments).await.unwrap_err(), argument);
    }
}
