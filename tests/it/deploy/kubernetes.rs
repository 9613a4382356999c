//! The overlays of `deploy/kubernetes`: valid for several versions of Kubernetes, and what every pod and every connection has to keep.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use musubi_domain::caller::{CallerKind, MayCall};
use musubi_proto::callers;
use serde_json::Value;

use super::{ROOT, check, copy, provision, rendered, service_account, tools};

const COMPONENT: &str = "app.kubernetes.io/component";
const DEMO: &str = "overlays/demo";
const PLAY: &str = "overlays/demo/play";
const PRODUCTION: &str = "overlays/production";
/// The nodes, their tables, and where they serve their contracts.
const NODES: [(&str, &[MayCall], u64); 4] = [
    ("company", callers::COMPANY, 7010),
    ("information", callers::INFORMATION, 7020),
    ("carrier", callers::CARRIER, 7030),
    ("terminal", callers::TERMINAL, 7040),
];
/// Connections beside the contracts: webhooks, the RBM face, pages.
const BESIDE: [(&str, &str, u64); 4] = [
    ("carrier", "information", 7021),
    ("information", "carrier", 7031),
    ("operator", "company", 7081),
    ("operator", "terminal", 7080),
];

type Documents = Vec<Value>;

fn of_kind<'a>(documents: &'a Documents, kind: &str) -> impl Iterator<Item = &'a Value> {
    documents.iter().filter(move |document| document["kind"] == kind)
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn name(document: &Value) -> &str {
    document["metadata"]["name"].as_str().unwrap()
}

/// What stands at this path of a value.
fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// Every template of pods, with whose it is.
fn templates(documents: &Documents) -> Vec<(String, &Value)> {
    let of = |document| {
        let pointer = match text(document, "/kind") {
            "Deployment" | "Job" => "/spec/template",
            "CronJob" => "/spec/jobTemplate/spec/template",
            _ => return None,
        };
        Some((format!("{} {}", text(document, "/kind"), name(document)), document.pointer(pointer)?))
    };
    documents.iter().filter_map(of).collect()
}

fn keeps_the_policies(documents: &Documents) {
    for (whose, template) in templates(documents) {
        let pod = &template["spec"];
        assert_eq!(pod["automountServiceAccountToken"], false, "{whose}");
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true, "{whose}");
        assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault", "{whose}");
        for forbidden in ["hostNetwork", "hostPID", "hostIPC"] {
            assert!(pod.get(forbidden).is_none(), "{whose}: {forbidden}");
        }
        assert!(list(&pod["volumes"]).all(|volume| volume.get("hostPath").is_none()), "{whose}: hostPath");
        assert!(template["metadata"]["labels"].get(COMPONENT).is_some(), "{whose} has no component");
        for container in list(&pod["containers"]) {
            let may = &container["securityContext"];
            assert_eq!(may["allowPrivilegeEscalation"], false, "{whose}");
            assert_eq!(may["readOnlyRootFilesystem"], true, "{whose}");
            assert_eq!(may["capabilities"]["drop"], serde_json::json!(["ALL"]), "{whose}");
            for pointer in
                ["/resources/requests/cpu", "/resources/requests/memory", "/resources/limits/memory"]
            {
                assert!(!text(container, pointer).is_empty(), "{whose} lacks {pointer}");
            }
            let (_, tag) = text(container, "/image").split_once(':').unwrap_or_default();
            assert!(!tag.is_empty() && tag != "latest", "{whose}: the image has no version");
        }
    }
}

/// Readiness is the node's own word, liveness is not; a pod has the time that a drain takes.
fn probes_mean_what_they_say(documents: &Documents) {
    let mut nodes = 0;
    for deployment in of_kind(documents, "Deployment") {
        let pod = &deployment["spec"]["template"]["spec"];
        let container = &pod["containers"][0];
        let Some((kind, _, port)) = NODES.iter().find(|(kind, ..)| container["args"][0] == *kind) else {
            continue;
        };
        nodes += 1;
        let asked = serde_json::json!([
            "/usr/local/bin/musubi",
            "health",
            format!("--{kind}"),
            format!("/etc/musubi/{kind}.toml")
        ]);
        for probe in ["startupProbe", "readinessProbe"] {
            assert_eq!(container[probe]["exec"]["command"], asked, "{kind} {probe}");
        }
        assert_eq!(container["livenessProbe"]["tcpSocket"]["port"], *port, "{kind}");
        let pause = container["lifecycle"]["preStop"]["sleep"]["seconds"].as_u64().unwrap();
        let patience = pod["terminationGracePeriodSeconds"].as_u64().unwrap();
        let drain = 20;
        assert!(pause >= 5 && patience > pause + drain, "{kind} is killed while it drains");
        if deployment["spec"]["replicas"] != 1 {
            let spread = list(&pod["topologySpreadConstraints"]).count();
            assert_eq!(spread, 2, "{kind}: replicas stand on one machine");
            let keeps = of_kind(documents, "PodDisruptionBudget")
                .any(|budget| budget["spec"]["selector"] == deployment["spec"]["selector"]);
            assert!(keeps, "{}: all replicas may go at once", name(deployment));
        }
    }
    assert!(nodes >= 2, "{nodes} nodes");
    for scaler in of_kind(documents, "HorizontalPodAutoscaler") {
        let target = text(scaler, "/spec/scaleTargetRef/name");
        assert!(of_kind(documents, "Deployment").any(|it| name(it) == target), "{target} is not there");
        assert!(text(scaler, "/spec/metrics/0/external/metric/name").contains("backlog"));
    }
}

/// What pods read is there, or is named by the README as somebody else's care.
fn nothing_is_missing(documents: &Documents, elsewhere: &BTreeSet<&str>) {
    let there: BTreeSet<(&str, &str)> =
        documents.iter().map(|document| (text(document, "/kind"), name(document))).collect();
    for (whose, template) in templates(documents) {
        for volume in list(&template["spec"]["volumes"]) {
            let sources = list(&volume["projected"]["sources"]).map(|source| text(source, "/secret/name"));
            let secrets = sources.chain([text(volume, "/secret/secretName")]).map(|it| ("Secret", it));
            let claimed = ("PersistentVolumeClaim", text(volume, "/persistentVolumeClaim/claimName"));
            let needed = secrets.chain([("ConfigMap", text(volume, "/configMap/name")), claimed]);
            for (kind, needed) in needed.filter(|(_, needed)| !needed.is_empty()) {
                let known = there.contains(&(kind, needed)) || elsewhere.contains(needed);
                assert!(known, "{whose} needs the {kind} {needed}");
            }
        }
        let account = text(template, "/spec/serviceAccountName");
        assert!(account.is_empty() || there.contains(&("ServiceAccount", account)), "{whose}: {account}");
    }
}

fn component(selector: &Value) -> &str {
    selector["matchLabels"][COMPONENT].as_str().unwrap_or_default()
}

/// Who may connect to whom at which port, as the policies of one direction say it.
fn edges(documents: &Documents, direction: &str, peers: &str) -> BTreeSet<(String, String, u64)> {
    let mut edges = BTreeSet::new();
    for policy in of_kind(documents, "NetworkPolicy") {
        let own = component(&policy["spec"]["podSelector"]).to_owned();
        for rule in list(&policy["spec"][direction]) {
            for peer in list(&rule[peers]).map(|peer| component(&peer["podSelector"])) {
                for port in list(&rule["ports"]).filter_map(|port| port["port"].as_u64()) {
                    let (from, to) =
                        if direction == "ingress" { (peer, own.as_str()) } else { (own.as_str(), peer) };
                    if !from.is_empty() && !to.is_empty() {
                        edges.insert((from.to_owned(), to.to_owned(), port));
                    }
                }
            }
        }
    }
    edges
}

/// What the tables of callers say of connections.
fn called() -> BTreeSet<(String, String, u64)> {
    let caller = |kind: &CallerKind| match kind {
        CallerKind::Company => "company",
        CallerKind::Carrier => "carrier",
        CallerKind::Information => "information",
        CallerKind::Terminal => "terminal",
        CallerKind::Operator | CallerKind::Machine | CallerKind::Anybody => "operator",
    };
    let rows = NODES.iter().flat_map(|(node, table, port)| table.iter().map(move |row| (row, *node, *port)));
    let contracts =
        rows.flat_map(|(row, node, port)| row.who.iter().map(move |kind| (caller(kind), node, port)));
    contracts.chain(BESIDE).map(|(from, to, port)| (from.to_owned(), to.to_owned(), port)).collect()
}

#[test]
fn overlays_are_valid_and_keep_the_policies() {
    let folder = tempfile::tempdir().unwrap();
    copy(&Path::new(ROOT).join("deploy/kubernetes"), folder.path());
    let demo = folder.path().join(DEMO);
    provision(&demo.join("provision.toml"));
    let tools = tools();
    let arguments = ["kustomize", tools.to_str().unwrap(), DEMO, PLAY, PRODUCTION];
    let mut answer: BTreeMap<String, Documents> =
        serde_json::from_value(rendered(&tools, &arguments, folder.path())).unwrap();
    let [mut demo_documents, play, production] =
        [DEMO, PLAY, PRODUCTION].map(|it| answer.remove(it).unwrap());
    for documents in [&demo_documents, &play, &production] {
        keeps_the_policies(documents);
    }
    for documents in [&demo_documents, &production] {
        probes_mean_what_they_say(documents);
        for (direction, peers) in [("ingress", "from"), ("egress", "to")] {
            assert_eq!(edges(documents, direction, peers), called(), "{direction}");
        }
        let nobody = of_kind(documents, "NetworkPolicy").find(|it| name(it) == "nobody").unwrap();
        assert_eq!(nobody["spec"]["podSelector"], serde_json::json!({}), "what is not allowed is allowed");
        let namespace = of_kind(documents, "Namespace").next().unwrap();
        let enforced = &namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"];
        assert_eq!(enforced, "restricted");
    }
    let readme = fs::read_to_string(Path::new(ROOT).join("deploy/kubernetes/README.md")).unwrap();
    let certified = of_kind(&production, "Certificate").map(|it| text(it, "/spec/secretName"));
    let told = ["information-keys", "information-owner", "company-tf-bank-keys", "company-tf-bank-owner"];
    for secret in told {
        assert!(readme.contains(&format!("`{secret}`")), "the README doesn't say what {secret} is");
    }
    let elsewhere = certified.chain(told).collect();
    nothing_is_missing(&production, &elsewhere);
    let parties: Vec<_> = of_kind(&production, "Certificate").map(|it| text(it, "/spec/uris/0")).collect();
    assert_eq!(parties.len(), 2, "{parties:?}");
    demo_documents.extend(play);
    nothing_is_missing(&demo_documents, &BTreeSet::new());
}

#[test]
fn every_configuration_of_the_demo_overlay_is_one() {
    let folder = tempfile::tempdir().unwrap();
    let demo = folder.path().join("demo");
    copy(&Path::new(ROOT).join("deploy/kubernetes").join(DEMO), &demo);
    provision(&demo.join("provision.toml"));
    let agents = service_account(folder.path());
    for (place, kind, party) in [
        ("information", "information", "information"),
        ("aoba-bank", "company", "company-aoba-bank"),
        ("hinata-gas", "company", "company-hinata-gas"),
        ("kumo", "carrier", "carrier-kumo"),
        ("nami", "carrier", "carrier-nami"),
        ("hoshi", "carrier", "carrier-hoshi"),
        ("terminal", "terminal", "terminal"),
    ] {
        let made = demo.join(place).join("made");
        // As the secretGenerator of each names them.
        for (name, file) in [
            ("tls.crt", format!("{party}.pem")),
            ("tls.key", format!("{party}.key")),
            ("ca.crt", "authority.pem".into()),
        ] {
            fs::copy(made.join(file), made.join(name)).unwrap();
        }
        let places = BTreeMap::from([("/made/", made.join("")), ("/agents/", agents.clone())]);
        check(kind, &demo.join(place).join(format!("{kind}.toml")), &places);
    }
}
