//! docker-compose.yml and the configurations of its nodes.

use std::{collections::BTreeMap, fs, path::Path};

use serde_json::Value;

use super::{ROOT, check, provision, rendered, service_account, tools};

/// The services that keep running, by what they are.
const NODES: [(&str, &str, &str); 8] = [
    ("information-1", "information", "information"),
    ("information-2", "information", "information"),
    ("aoba-bank", "company", "aoba-bank"),
    ("hinata-gas", "company", "hinata-gas"),
    ("kumo", "carrier", "kumo"),
    ("nami", "carrier", "nami"),
    ("hoshi", "carrier", "hoshi"),
    ("terminal", "terminal", "terminal"),
];

fn texts(value: &Value) -> Vec<&str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

#[test]
fn services_of_compose_may_nothing_that_they_need_not_and_wait_for_what_they_do() {
    let file = rendered(&tools(), &["compose", "docker-compose.yml"], Path::new(ROOT));
    let services = file["services"].as_object().unwrap();
    for (name, service) in services {
        assert_eq!(texts(&service["cap_drop"]), ["ALL"], "{name}");
        assert!(texts(&service["security_opt"]).contains(&"no-new-privileges:true"), "{name}");
        assert!(service["read_only"] == true || name == "postgres", "{name} can write into its image");
        assert!(service.get("privileged").is_none() && service["network_mode"] != "host", "{name}");
        for port in texts(&service["ports"]) {
            assert!(port.starts_with("127.0.0.1:"), "{name} is reached from other machines at {port}");
        }
        let image = service["image"].as_str().unwrap();
        assert!(!image.contains("latest"), "{name} is another one tomorrow: {image}");
        for variable in service["environment"].as_object().into_iter().flatten() {
            assert!(variable.0.ends_with("FILE"), "{name} is told {} in the clear", variable.0);
        }
        // Whoever starts after another one says what it waits for.
        for (other, how) in service["depends_on"].as_object().into_iter().flatten() {
            assert!(services.contains_key(other), "{name} waits for {other}");
            let condition = how["condition"].as_str().unwrap();
            let ends = services[other]["restart"] == "no" || other == "provision";
            let due = match services[other].get("healthcheck") {
                _ if ends => "service_completed_successfully",
                Some(_) => "service_healthy",
                None => "service_started",
            };
            assert_eq!(condition, due, "{name} waits for {other}");
        }
        for volume in texts(&service["volumes"]) {
            let (from, _) = volume.split_once(':').unwrap();
            let known = from.starts_with("./deploy/") || file["volumes"].get(from).is_some();
            assert!(known, "{name} has no volume {from}");
        }
    }
    for (service, kind, config) in NODES {
        let node = &services[service];
        let path = format!("/etc/musubi/{config}.toml");
        assert_eq!(texts(&node["command"]), [kind, "--config", &path], "{service}");
        let asked = ["CMD", "/usr/local/bin/musubi", "health", &format!("--{kind}"), &path];
        assert_eq!(texts(&node["healthcheck"]["test"]), asked, "{service}");
        // Each has its own secrets and nobody else's.
        let secrets: Vec<_> =
            texts(&node["volumes"]).into_iter().filter(|it| it.starts_with("made-")).collect();
        assert_eq!(secrets, [format!("made-{config}:/made/{config}:ro")], "{service}");
        assert!(node["depends_on"].get("migrate").is_some(), "{service} starts before its database is ready");
    }
}

#[test]
fn every_configuration_of_the_compose_stack_is_one() {
    let folder = tempfile::tempdir().unwrap();
    let from = Path::new(ROOT).join("deploy/compose");
    let made = folder.path().join("made/");
    let plan = fs::read_to_string(from.join("provision.toml")).unwrap();
    // Only root may give files away.
    let plan: String =
        plan.lines().filter(|line| !line.starts_with("owner")).map(|line| format!("{line}\n")).collect();
    let plan = plan.replace("\"/made/", &format!("\"{}", made.display()));
    fs::write(folder.path().join("plan.toml"), plan).unwrap();
    provision(&folder.path().join("plan.toml"));
    let places = BTreeMap::from([("/made/", made), ("/agents/", service_account(folder.path()))]);
    for (_, kind, config) in NODES {
        check(kind, &from.join(format!("{config}.toml")), &places);
    }
}
