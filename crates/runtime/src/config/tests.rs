//! Layers, and every way in which a configuration is refused.

use std::{collections::BTreeMap, ffi::OsString, fs, net::SocketAddr, time::Duration};

use serde::Deserialize;

use super::*;

const DEFAULTS: &str = r#"
[server]
listen = "127.0.0.1:7001"
deadline = "10s"
workers = 4
mode = "gentle"

[[carrier]]
name = "one"
token = "default-token-of-one"
"#;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Node {
    server: Listener,
    carrier: Vec<Carrier>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Listener {
    listen: ListenAddress,
    #[serde(with = "duration")]
    deadline: Duration,
    workers: u8,
    mode: Mode,
    peer: Option<Endpoint>,
    #[serde(default)]
    tokens: Vec<Secret>,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Mode {
    Gentle,
    Brisk,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Carrier {
    name: String,
    token: Secret,
}

fn read(file: &str, environment: &[(&str, &str)]) -> Result<Node, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("node.toml");
    fs::write(&path, file).unwrap();
    let environment: BTreeMap<String, OsString> =
        environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect();
    let node = load_from(DEFAULTS, Some(&path), "MUSUBI_NODE", environment);
    node.map_err(|error| error.to_string().replace(&format!("{}/", folder.path().display()), ""))
}

#[test]
fn defaults_alone_are_a_configuration() {
    let node: Node = load_from(DEFAULTS, None, "MUSUBI_NODE", BTreeMap::new()).unwrap();
    assert_eq!(SocketAddr::from(node.server.listen), "127.0.0.1:7001".parse().unwrap());
    assert_eq!(node.server.deadline, Duration::from_secs(10));
    assert_eq!((node.server.workers, node.server.mode), (4, Mode::Gentle));
    assert_eq!(node.carrier[0].token.expose(), "default-token-of-one");
    assert!(node.server.peer.is_none());
}

#[test]
fn later_layer_wins_key_by_key() {
    let file = "[server]\nworkers = 5\ndeadline = \"1m 30s\"\npeer = \"https://[::1]:80/\"";
    let node =
        read(file, &[("MUSUBI_NODE__SERVER__WORKERS", "6"), ("MUSUBI_NODE__SERVER__MODE", "brisk")]).unwrap();
    assert_eq!((node.server.workers, node.server.mode), (6, Mode::Brisk));
    assert_eq!(node.server.deadline, Duration::from_secs(90));
    assert_eq!(node.server.peer.unwrap().as_str(), "https://[::1]:80");
    assert_eq!(SocketAddr::from(node.server.listen), "127.0.0.1:7001".parse().unwrap());
}

#[test]
fn array_of_the_file_replaces_the_default_and_the_environment_reaches_into_it() {
    let file = "[[carrier]]\nname = \"a\"\ntoken = \"x\"\n[[carrier]]\nname = \"b\"\ntoken = \"y\"";
    let node = read(file, &[("MUSUBI_NODE__CARRIER__1__TOKEN", "0042")]).unwrap();
    let carriers: Vec<_> = node.carrier.iter().map(|one| (one.name.as_str(), one.token.expose())).collect();
    assert_eq!(carriers, [("a", "x"), ("b", "0042")]);
}

#[test]
fn variables_of_others_are_left_alone() {
    assert!(
        read("", &[("MUSUBI_NODEX__SERVER__WORKERS", "x"), ("MUSUBI_NODE_SERVER", "x"), ("PATH", "x")])
            .is_ok()
    );
}

#[test]
fn secret_comes_from_a_file_by_every_layer() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    fs::write(&path, "token from a file\r\n").unwrap();
    let path = path.to_str().unwrap();
    let node = read(&format!("[server]\ntokens = [{{ file = '{path}' }}, 'b']"), &[]).unwrap();
    assert_eq!(node.server.tokens[0].expose(), "token from a file");
    let node = read("", &[("MUSUBI_NODE__CARRIER__0__TOKEN__FILE", path)]).unwrap();
    assert_eq!(node.carrier[0].token.expose(), "token from a file");
}

#[test]
fn secret_does_not_print() {
    let node = read("[server]\ntokens = ['hunter2']", &[]).unwrap();
    assert_eq!(format!("{:?}", node.server.tokens), "[Secret(…)]");
}

#[test]
fn wrong_configuration_is_refused_with_key_source_and_remedy() {
    type Case = (&'static str, &'static [(&'static str, &'static str)], &'static str);
    let cases: [Case; 18] = [
        (
            "[server]\nworkers = 'hunter2'",
            &[],
            "`server.workers` in node.toml is not an integer; correct it there",
        ),
        (
            "[server]\nworkers = 300",
            &[],
            "`server.workers` in node.toml is not an unsigned 8 bit integer; correct it there",
        ),
        (
            "[server]\nmode = 'hunter2'",
            &[],
            "`server.mode` in node.toml is not one of the words that the defaults name; correct it there",
        ),
        (
            "[server]\nlisten = 'hunter2'",
            &[],
            "`server.listen` in node.toml: 7 characters (digits, Latin letters) is no address to listen on; write an IP address and a port, as 127.0.0.1:7001",
        ),
        (
            "[server]\npeer = 'https://hunter2'",
            &[],
            "`server.peer` in node.toml: 15 characters (digits, Latin letters, signs or spaces) is no address of a peer; write https://host:port",
        ),
        (
            "[server]\ndeadline = 'hunter2'",
            &[],
            "`server.deadline` in node.toml: it is no duration; write hours, minutes, seconds or ms, as 10s or 1m 30s or 24h",
        ),
        (
            "[server]\nworker = 'hunter2'",
            &[],
            "`server.worker` in node.toml is not known; use `listen`, `deadline`, `workers`, `mode`, `peer`, `tokens`, or delete it",
        ),
        (
            "[sever]\nworkers = 1",
            &[],
            "`sever` in node.toml is not known; use `server` or `carrier`, or delete it",
        ),
        ("server = 'hunter2'", &[], "`server` in node.toml is not a section; correct it there"),
        (
            "[[carrier]]\ntoken = 'hunter2'",
            &[],
            "`carrier[0].name` is missing; write it in the configuration file, or set MUSUBI_NODE__CARRIER__0__NAME",
        ),
        (
            "[[carrier]]\nname = 'a'\ntoken = 4242",
            &[],
            "`carrier[0].token` in node.toml is not a text in quotes or { file = \"path\" }; correct it there",
        ),
        (
            "[[carrier]]\nname = 'a'\ntoken = ''",
            &[],
            "`carrier[0].token` in node.toml: it is empty; write the secret",
        ),
        (
            "[[carrier]]\nname = 'a'\ntoken = { value = 'hunter2' }",
            &[],
            "`carrier[0].token.value` in node.toml is not known; use `file`, or delete it",
        ),
        (
            "[[carrier]]\nname = 'a'\ntoken = ['hunter2']",
            &[],
            "`carrier[0].token` in node.toml is not a text in quotes or { file = \"path\" }; correct it there",
        ),
        ("[server]\nworkers = hunter2", &[], "node.toml line 2 is not TOML: "),
        (
            "",
            &[("MUSUBI_NODE__SERVER__WORKERS", "hunter2")],
            "`server.workers` in MUSUBI_NODE__SERVER__WORKERS is not an integer; correct it there",
        ),
        (
            "",
            &[("MUSUBI_NODE__SERVER__WORKER", "hunter2")],
            "`server.worker` in MUSUBI_NODE__SERVER__WORKER is not known; use `listen`, `deadline`, `workers`, `mode`, `peer`, `tokens`, or delete it",
        ),
        (
            "",
            &[("MUSUBI_NODE__SERVER____X", "hunter2")],
            "MUSUBI_NODE__SERVER____X names no key; write MUSUBI_NODE__SECTION__KEY, or unset it",
        ),
    ];
    for (file, environment, expected) in cases {
        let error = read(file, environment).unwrap_err();
        assert!(error.starts_with(expected), "{file} {environment:?}\n got {error}\nwant {expected}");
        assert!(!error.contains("hunter2") && !error.contains("4242"), "{error}");
    }
}

#[test]
fn missing_files_are_named() {
    let missing = Path::new("no/such.toml");
    let error = load_from::<Node>(DEFAULTS, Some(missing), "MUSUBI_NODE", BTreeMap::new()).unwrap_err();
    assert_eq!(error.to_string(), "no/such.toml can not be read (entity not found); name a file that can");
    let error = read("", &[("MUSUBI_NODE__CARRIER__0__TOKEN__FILE", "no/token")]).unwrap_err();
    assert!(error.ends_with("no/token can not be read (entity not found); name a file that can"), "{error}");
}

#[cfg(unix)]
#[test]
fn variable_that_is_not_text_is_refused() {
    use std::os::unix::ffi::OsStringExt as _;
    let environment = [("MUSUBI_NODE__A".to_owned(), OsString::from_vec(vec![0xff]))].into();
    let error = load_from::<Node>(DEFAULTS, None, "MUSUBI_NODE", environment).unwrap_err();
    assert_eq!(error.to_string(), "MUSUBI_NODE__A is not UTF-8; set it as text");
}

#[test]
fn environment_of_the_process_is_read() {
    #[derive(Deserialize)]
    struct Cargo {
        version: String,
    }
    // Cargo sets CARGO_PKG_VERSION; the prefix has no such variable, so the default stands.
    let cargo: Cargo = load("version = \"none\"", None, "CARGO_PKG").unwrap();
    assert_eq!(cargo.version, "none");
}

#[test]
fn endpoints_are_host_and_port_and_nothing_else() {
    for good in
        ["https://localhost:1", "https://10.0.0.1:7001", "https://[::1]:7001", "https://info.musubi.svc:443/"]
    {
        assert_eq!(good.parse::<Endpoint>().unwrap().to_string(), good.trim_end_matches('/'));
    }
    let bad = [
        "",
        "localhost:1",
        "https://a",
        "https://a:0",
        "https://u:p@a:1",
        "https://a:1/x",
        "https://a:1/?q",
        "http://a:1",
    ];
    for bad in bad {
        assert!(bad.parse::<Endpoint>().is_err(), "{bad}");
    }
    let local = Endpoint::local("0.0.0.0:7001".parse().unwrap());
    assert_eq!(local.as_str(), "https://127.0.0.1:7001");
    assert_eq!(Endpoint::local("[::]:1".parse().unwrap()).as_str(), "https://[::1]:1");
}
