//! Dashboards, held against Grafana's own types, of the version that docker-compose.yml runs; and what the scaler is told by.

use std::{fs, path::Path, process::Command};

use musubi_servers::prometheus;
use serde_json::Value;

use super::{ROOT, rendered, tools};
use crate::rbm_clients::{alone, installed, run};

/// The compiler, told nothing but what is checked.
const CHECK: [&str; 7] =
    ["--noEmit", "--strict", "--skipLibCheck", "--module", "nodenext", "--target", "es2022"];

#[test]
fn dashboards_are_what_grafana_calls_one() {
    let folder = {
        let _alone = alone();
        installed("grafana", &["package.json", "package-lock.json"], |folder| {
            let mut install = Command::new("npm");
            install.args(["ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]);
            run(
                install.current_dir(folder),
                "install node 20 or newer with npm, and let it reach a package registry",
            );
        })
    };
    let compose = fs::read_to_string(Path::new(ROOT).join("docker-compose.yml")).unwrap();
    let pinned: Value = serde_json::from_slice(&fs::read(folder.join("package.json")).unwrap()).unwrap();
    let version = pinned["dependencies"]["@grafana/schema"].as_str().unwrap();
    assert!(
        compose.contains(&format!("grafana/grafana:{version}}}")),
        "the stack runs another Grafana than {version}"
    );
    let mut sources = Vec::new();
    for entry in fs::read_dir(Path::new(ROOT).join("deploy/observability/grafana/dashboards")).unwrap() {
        let path = entry.unwrap().path();
        let source = folder.join(path.file_stem().unwrap()).with_extension("ts");
        let dashboard = fs::read_to_string(&path).unwrap();
        let text = format!(
            "import type {{ Dashboard }} from '@grafana/schema';\nexport const it: Dashboard = {dashboard};\n"
        );
        fs::write(&source, text).unwrap();
        sources.push(source);
    }
    assert_eq!(sources.len(), 2, "{sources:?}");
    let mut compiler = Command::new("node");
    compiler.arg(folder.join("node_modules/typescript/bin/tsc")).args(CHECK).args(sources);
    assert_eq!(run(compiler.current_dir(&folder), "see what Grafana's types say of the dashboard"), "");
}

#[test]
fn what_the_scaler_asks_for_is_what_the_adapter_makes_of_a_metric_that_is_measured() {
    let read = |path: &str| rendered(&tools(), &["yaml", path], Path::new(ROOT));
    let adapter = read("deploy/observability/adapter.yml");
    let [rule] = adapter["externalRules"].as_array().unwrap().as_slice() else { panic!("{adapter}") };
    let manifests =
        fs::read_to_string(Path::new(ROOT).join("deploy/kubernetes/base/information/available.yaml"))
            .unwrap();
    let asked = format!("external:\n        metric: {{ name: {} }}", rule["name"]["as"].as_str().unwrap());
    assert!(manifests.contains(&asked), "the scaler asks for another metric: {asked}");
    let series = rule["seriesQuery"].as_str().unwrap();
    let measured = musubi_information_server::METRICS.iter().flat_map(|metric| metric.series());
    assert!(measured.into_iter().any(|name| name == series), "nobody measures {series}");
    let expression = rule["metricsQuery"].as_str().unwrap();
    let expression =
        expression.replace("<<.Series>>", series).replace("<<.LabelMatchers>>", "job=\"musubi-information\"");
    assert!(!expression.contains("<<"), "{expression}");
    let rules = tempfile::NamedTempFile::with_suffix(".yml").unwrap();
    let text = format!("groups: [{{ name: scaler, rules: [{{ record: scaler, expr: '{expression}' }}] }}]");
    fs::write(rules.path(), text).unwrap();
    run(
        prometheus::promtool().unwrap().args(["check", "rules"]).arg(rules.path()),
        "mend the adapter's query",
    );
}
