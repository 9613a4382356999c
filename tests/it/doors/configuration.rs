//! Configuration: each key of each node, given a wrong value by the environment, ends the check with one sentence that names
//! it, and nothing is begun.
//!
//! Surprising: the defaults of a node are the list of its keys, those among them that are commented out.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    process::Command,
};

use musubi_tests::processes::{CARRIERS, Kind, Layout, Process, program};

use super::probe::{PERSONAL, long};

/// A node's keys, as the environment names them, and values that are wrong for them.
type Wrong = (&'static str, &'static [&'static str]);

const WORD: &[&str] = &["", "漏"];
const TIME: &[&str] = &["", "漏", "5", "-5s", "0s"];
const WAIT: &[&str] = &["", "漏", "5", "-5s"];
const COUNT: &[&str] = &["", "漏", "-1", "1.5", "99999999999999999999"];
const GUESSES: &[&str] = &["", "漏", "-1", "0", "101"];
const SHARE: &[&str] = &["", "漏", "-0.1", "1.1"];
const FLAG: &[&str] = &["", "漏", "2"];
/// No path that one could name in a test is nobody's: a file that isn't there, or is none.
const PEM: &[&str] = &["", "/nowhere.pem", "/dev/null"];
/// A collector that nobody asks for, as a check begins nothing.
const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 1);
const ADDRESS: &[&str] = &["", "漏", "localhost", "127.0.0.1", "127.0.0.1:99999"];
const ENDPOINT: &[&str] = &["", "漏", "127.0.0.1:7020", "http://127.0.0.1:7020"];
/// Where no configured address may lead: in the clear to anything but this machine, under a user's name, by another scheme.
const LEADS: &[&str] = &[
    "http://169.254.169.254/latest/meta-data/",
    "http://2852039166/",
    "http://[::ffff:10.0.0.1]/",
    "http://10.0.0.1:7020/",
    "http://127.0.0.1.nip.io/",
    "http://localhost.evil.test/",
    "http://127.0.0.1@evil.test/",
    "https://127.0.0.1@evil.test/",
    "https://user:secret@127.0.0.1:7020/",
    "file:///etc/passwd",
    "gopher://127.0.0.1:6379/_FLUSHALL",
    "javascript://127.0.0.1/",
    "//127.0.0.1/",
];

const CARRIER: [Wrong; 52] = [
    ("TLS__CERTIFICATE", PEM),
    ("TLS__KEY", PEM),
    ("TLS__AUTHORITIES", PEM),
    ("TLS__REVOKED", PEM),
    ("TLS__NAME", WORD),
    ("TLS__NAME__0__IS", WORD),
    ("CARRIER", &["", "漏", "Kumo", "-kumo"]),
    ("LISTEN", ADDRESS),
    ("DRAIN", WAIT),
    ("INFORMATION__ENDPOINT", LEADS),
    ("INFORMATION__ENDPOINT", ENDPOINT),
    ("MESSAGES__TIME_TO_LIVE", TIME),
    ("MESSAGES__EXPIRE_SWEEP", TIME),
    ("FAULTS__SEED", COUNT),
    ("FAULTS__PUSH_DELAY_MIN", WAIT),
    ("FAULTS__PUSH_DELAY_MIN", &["1h"]),
    ("FAULTS__PUSH_DELAY_MAX", WAIT),
    ("FAULTS__LOST_PUSHES", SHARE),
    ("FAULTS__LOST_PUSH_ANSWERS", SHARE),
    ("FAULTS__LOST_SENDS", SHARE),
    ("FAULTS__LOST_SEND_ANSWERS", SHARE),
    ("FAULTS__DUPLICATED_EVENTS", SHARE),
    ("FAULTS__REORDER_WINDOW", COUNT),
    ("FAULTS__REFUSED_MESSAGES", SHARE),
    ("FAULTS__THROTTLED_MESSAGES", SHARE),
    ("FAULTS__RETRY_AFTER", WAIT),
    ("RBM__LISTEN", ADDRESS),
    ("RBM__ORIGIN", LEADS),
    ("RBM__ORIGIN", &["", "漏", "http://hoshi.example", "https://hoshi.example/path"]),
    ("RBM__CERTIFICATE", PEM),
    ("RBM__KEY", PEM),
    ("RBM__AUTHORITIES", PEM),
    ("RBM__STRICT", FLAG),
    ("RBM__PHONES", FLAG),
    ("RBM__SERVICE_ACCOUNT__0__PUBLIC_KEY", PEM),
    ("RBM__PARTNER__URL", LEADS),
    ("RBM__PARTNER__URL", &["", "漏", "http://partner.example/", "ftp://127.0.0.1/"]),
    ("RBM__PARTNER__CLIENT_TOKEN", &[""]),
    ("RBM__AGENT__0__ID", &["", "漏", "a b"]),
    ("RBM__AGENT__0__OFFICIAL_ACCOUNT", &["", "漏", "Bank"]),
    ("RBM__AGENT__0__DISPLAY_NAME", &[""]),
    ("RBM__AGENT__0__USE_CASE", WORD),
    ("RBM__AGENT__0__LAUNCH_STATE", WORD),
    ("RBM__AGENT__0__WEBHOOK", WORD),
    ("RBM__FAULTS__SEED", COUNT),
    ("RBM__FAULTS__THROTTLED", SHARE),
    ("RBM__FAULTS__FAILED", SHARE),
    ("RBM__FAULTS__LOST_ANSWERS", SHARE),
    ("RBM__FAULTS__LATENCY_MAX", WAIT),
    ("RBM__FAULTS__LOST_EVENTS", SHARE),
    ("RBM__FAULTS__REPEATED_EVENTS", SHARE),
    ("RBM__FAULTS__FAILED_REVOCATIONS", SHARE),
];

const COMPANY: [Wrong; 49] = [
    ("CONSOLE__LISTEN", ADDRESS),
    ("CONSOLE__LISTEN", &["0.0.0.0:0", "[::]:0"]),
    ("CONSOLE__CERTIFICATE", PEM),
    ("CONSOLE__KEY", PEM),
    ("TLS__CERTIFICATE", PEM),
    ("TLS__KEY", PEM),
    ("TLS__AUTHORITIES", PEM),
    ("TLS__REVOKED", PEM),
    ("TLS__NAME", WORD),
    ("TLS__NAME__0__IS", WORD),
    ("COMPANY", WORD),
    ("MATCHING", &["", "漏", "Inquiry"]),
    ("LISTEN", ADDRESS),
    ("DRAIN", WAIT),
    ("INFORMATION__ENDPOINT", LEADS),
    ("INFORMATION__ENDPOINT", ENDPOINT),
    ("CALLERS__OPERATORS", WORD),
    ("CALLERS__OPERATORS__SATO", WORD),
    ("CALLERS__OPERATORS__SATO__0", WORD),
    ("SIGN_IN__SESSION", &["", "漏", "0s", "4m", "25h"]),
    ("SIGN_IN__IDLE", &["", "漏", "0s", "1m", "9h"]),
    ("SIGN_IN__INVITATION", &["", "漏", "0s", "9m", "721h"]),
    ("SIGN_IN__OPENID__ISSUER", LEADS),
    ("SIGN_IN__OPENID__ISSUER", &["", "漏", "http://login.test", "https://user@login.test"]),
    ("SIGN_IN__OPENID__CLIENT_ID", &[""]),
    ("SIGN_IN__OPENID__CLIENT_SECRET", &[""]),
    ("SIGN_IN__OPENID__ORIGIN", LEADS),
    (
        "SIGN_IN__OPENID__ORIGIN",
        &["", "漏", "http://bank.test", "https://bank.test/", "https://bank.test/path"],
    ),
    ("SIGN_IN__OPENID__CLAIM", WORD),
    ("SIGN_IN__OPENID__AUTHORITIES", PEM),
    ("SIGN_IN__OPENID__AMR", WORD),
    ("SIGN_IN__OPENID__ACR", WORD),
    ("SIGN_IN__OPENID__MAX_AGE", WAIT),
    ("KEYS__MASTER__0", &["", "only sixteen byte", "thirty-one bytes are not enough"]),
    ("KEYS__EPOCH_DAYS", &["", "漏", "-1", "3651"]),
    ("KEYS__KEEP_DAYS", &["", "漏", "0", "3651"]),
    ("KEYS__AUDIT__0", &["", "short"]),
    ("ACCOUNT__ACCOUNT_DIGITS", &["", "漏", "0", "3", "21", "-1"]),
    ("ACCOUNT__BRANCH_DIGITS", &["", "漏", "6", "-1"]),
    ("POLICY__BRANCH_REQUIRED", FLAG),
    ("POLICY__WHOLE_ADDRESS_REQUIRED", FLAG),
    ("POLICY__WRITTEN_NAME_REQUIRED", FLAG),
    ("POLICY__READING_REQUIRED", FLAG),
    ("POLICY__SAME_KANJI_REQUIRED", FLAG),
    ("IMPORT__LARGEST_FILE_MIB", &["", "漏", "0", "-1", "99999999999999999999"]),
    ("IMPORT__MOST_ROWS", &["", "漏", "0", "-1", "99999999999999999999"]),
    ("CUSTODY__AUTOMATIC", FLAG),
    ("CUSTODY__BLIND", FLAG),
    ("CUSTODY__LEASE", &["", "漏", "0s", "59s", "721h"]),
];

const INFORMATION: [Wrong; 92] = [
    ("TLS__CERTIFICATE", PEM),
    ("TLS__KEY", PEM),
    ("TLS__AUTHORITIES", PEM),
    ("TLS__REVOKED", PEM),
    ("TLS__NAME", WORD),
    ("TLS__NAME__0__IS", WORD),
    ("LISTEN", ADDRESS),
    ("DRAIN", WAIT),
    ("KEYS__FOLLOWER", &["", "short"]),
    ("KEYS__TOKEN", &["", "short"]),
    ("KEYS__REVIEW__0", &["", "short"]),
    ("KEYS__MASTER__0", &["", "only sixteen byte", "thirty-one bytes are not enough"]),
    ("KEYS__EPOCH_DAYS", &["", "漏", "-1", "3651"]),
    ("KEYS__KEEP_DAYS", &["", "漏", "0", "3651"]),
    ("KEYS__AUDIT__0", &["", "short"]),
    ("LISTS__EVERY", TIME),
    ("LISTS__COLLAPSE_PERCENT", &["", "漏", "-1", "101"]),
    ("LISTS__COLLAPSE_AT_LEAST", COUNT),
    ("LISTS__CONFIRM_AFTER", WAIT),
    ("LEASES__DELIVERY", TIME),
    ("LEASES__INQUIRY", &["", "漏", "0s", "61m"]),
    ("ERASURE__JOURNAL", &[""]),
    ("REDIS__URL", &["", "漏", "127.0.0.1:6379", "http://127.0.0.1:6379", "redis://:漏@127.0.0.1:99999"]),
    ("REDIS__AUTHORITIES", PEM),
    ("REDIS__CERTIFICATE", PEM),
    ("REDIS__KEY", PEM),
    ("REDIS__PREFIX", &["", "漏", "two words"]),
    ("REDIS__FALLBACK_PERCENT", &["", "漏", "0", "101", "-1"]),
    ("WEBHOOKS__LISTEN", ADDRESS),
    ("WEBHOOKS__LISTEN", &["0.0.0.0:7021"]),
    ("WEBHOOKS__CERTIFICATE", PEM),
    ("WEBHOOKS__KEY", PEM),
    ("COMPANY__0__ID", &["", "漏", "hinata-gas"]),
    ("COMPANY__0__MATCHING", WORD),
    ("COMPANY__0__ENDPOINT", LEADS),
    ("COMPANY__0__ENDPOINT", ENDPOINT),
    ("COMPANY__0__ACCOUNT_DIGITS", &["", "漏", "0", "3", "21", "-1"]),
    ("COMPANY__0__BRANCH_DIGITS", &["", "漏", "6", "-1"]),
    ("COMPANY__0__POLICY", WORD),
    ("COMPANY__0__POLICY__WHOLE_ADDRESS_REQUIRED", FLAG),
    ("COMPANY__0__BLIND_UNDECIDED", WORD),
    ("COMPANY__0__METHODS", WORD),
    ("COMPANY__0__FOLLOWER_LIMIT", GUESSES),
    ("COMPANY__0__ACCOUNT_LIMIT", GUESSES),
    ("COMPANY__0__PERSON_LIMIT", GUESSES),
    ("COMPANY__0__LIFE_LIMIT", GUESSES),
    ("COMPANY__0__LINK_HOSTS__0", &["", "漏", "bank", "https://bank.test", "bank.test/"]),
    ("COMPANY__0__COMPANY_LIMIT", &["", "漏", "-1", "0", "99999999999999999999"]),
    ("COMPANY__0__MESSAGES_PER_SECOND", COUNT),
    ("COMPANY__0__SECOND_PERSON", WORD),
    ("COMPANY__0__SECOND_PERSON_ABOVE", &["", "漏", "-1", "1000000001"]),
    ("COMPANY__0__APPROVAL_DAYS", &["", "漏", "-1", "0", "91"]),
    ("OFFICIAL_ACCOUNT__0__ID", &["", "漏", "hinata-gas"]),
    ("OFFICIAL_ACCOUNT__0__COMPANY", &["", "漏", "nobody"]),
    ("OFFICIAL_ACCOUNT__0__DISPLAY_NAME", &[""]),
    ("OFFICIAL_ACCOUNT__0__CARRIERS", WORD),
    ("OFFICIAL_ACCOUNT__0__TIE_DAYS", COUNT),
    ("OFFICIAL_ACCOUNT__0__RENEW_DAYS", &["漏", "-1", "180", "99999999999999999999"]),
    ("OFFICIAL_ACCOUNT__0__SILENT_DAYS", &["", "漏", "-1", "0", "366"]),
    ("OFFICIAL_ACCOUNT__0__MESSAGES_PER_SECOND", COUNT),
    ("OFFICIAL_ACCOUNT__0__TIME_ZONE", &["", "漏", "Asia/Nowhere"]),
    ("OFFICIAL_ACCOUNT__0__QUIET_HOURS", &["漏", "21:00", "25:00-08:00"]),
    ("OFFICIAL_ACCOUNT__0__REMIND_AFTER", WAIT),
    ("OFFICIAL_ACCOUNT__0__REMINDERS", COUNT),
    ("OFFICIAL_ACCOUNT__0__UNREADABLE", COUNT),
    ("OFFICIAL_ACCOUNT__0__TRIES", COUNT),
    ("OFFICIAL_ACCOUNT__0__ASK_AGAIN_AFTER", WAIT),
    ("OFFICIAL_ACCOUNT__0__DECLINED_FOR", WAIT),
    ("OFFICIAL_ACCOUNT__0__REVIEW_DAYS", &["", "漏", "-1", "0", "99999999999999999999"]),
    ("OFFICIAL_ACCOUNT__0__REVIEW_SECOND_PERSON", FLAG),
    ("OFFICIAL_ACCOUNT__0__RETAIN_FAILED_MINUTES", &["", "漏", "-1", "0", "1441"]),
    ("OFFICIAL_ACCOUNT__0__MATCH_WITHIN", &["", "漏", "5", "59s", "721h"]),
    ("OFFICIAL_ACCOUNT__0__ERASE_UNFOLLOWED_AFTER_DAYS", &["", "漏", "-1", "3651"]),
    ("OFFICIAL_ACCOUNT__0__TEXTS", WORD),
    ("OFFICIAL_ACCOUNT__0__TEXTS__QUESTION", &[""]),
    ("CARRIER__0__ID", &["", "漏", "nami"]),
    ("CARRIER__0__ENDPOINT", LEADS),
    ("CARRIER__0__ENDPOINT", ENDPOINT),
    ("CARRIER__0__VERIFICATION_URL", &["", "漏", "https://kumo.test/verify", "http://{method}.kumo.test/"]),
    ("CARRIER__0__MESSAGES_PER_SECOND", COUNT),
    ("CARRIER__0__RBM__API", LEADS),
    ("CARRIER__0__RBM__API", &["", "漏", "rbm.example", "http://rbm.example", "https://user@rbm.example"]),
    ("CARRIER__0__RBM__SERVICE_ACCOUNT", PEM),
    ("CARRIER__0__RBM__AUTHORITIES", PEM),
    ("CARRIER__0__RBM__REQUESTS_AT_ONCE", &["", "漏", "0", "1001", "-1"]),
    ("CARRIER__0__RBM__SHOWS_READING", FLAG),
    ("CARRIER__0__RBM__CLIENT_TOKENS", WORD),
    ("CARRIER__0__RBM__CLIENT_TOKENS__0", &["", "short"]),
    ("CARRIER__0__RBM__AGENT", WORD),
    ("CARRIER__0__RBM__AGENT__0__OFFICIAL_ACCOUNT", &["", "漏", "nobody", "hinata-gas"]),
    ("CARRIER__0__RBM__AGENT__0__ID", &["", "漏", "two words", "hinata-gas-agent"]),
    ("CARRIER__0__RBM__AGENT__0__CLIENT_TOKENS", WORD),
];

const TERMINAL: [Wrong; 21] = [
    ("TLS__CERTIFICATE", PEM),
    ("TLS__KEY", PEM),
    ("TLS__AUTHORITIES", PEM),
    ("TLS__REVOKED", PEM),
    ("TLS__NAME", WORD),
    ("TLS__NAME__0__IS", WORD),
    ("SERVER__LISTEN", ADDRESS),
    ("FLEET__NAME", WORD),
    ("PAGES__LISTEN", ADDRESS),
    ("PAGES__LISTEN", &["0.0.0.0:7080"]),
    ("PAGES__CERTIFICATE", PEM),
    ("PAGES__KEY", PEM),
    ("CARRIER__0__ID", &["", "漏", "nami"]),
    ("CARRIER__0__ENDPOINT", LEADS),
    ("CARRIER__0__ENDPOINT", ENDPOINT),
    ("CALLERS__OPERATORS", WORD),
    ("CALLERS__OPERATORS__0", WORD),
    ("THINKING__MIN", &["", "漏", "5", "-5s", "1h"]),
    ("THINKING__MAX", WAIT),
    ("THINKING__SEED", COUNT),
    ("SHUTDOWN__DRAIN", WAIT),
];

/// What both servers read alike.
const CALLS: [Wrong; 3] = [
    ("CALLS__NODE_PER_SECOND", &["", "漏", "-1", "9", "1000001"]),
    ("CALLS__PERSON_PER_SECOND", &["", "漏", "-1", "9", "1000001"]),
    ("CALLS__REFUSALS_EVERY", &["", "漏", "5", "0s", "61m"]),
];

/// What every node reads alike.
const TELEMETRY: [Wrong; 11] = [
    ("TELEMETRY__FORMAT", WORD),
    ("TELEMETRY__FILTER", &["musubi=漏"]),
    ("TELEMETRY__EXPORT__ENDPOINT", LEADS),
    (
        "TELEMETRY__EXPORT__ENDPOINT",
        &["", "漏", "127.0.0.1:4317", "http://collector.test:4317", "https://collector.test"],
    ),
    ("TELEMETRY__EXPORT__PLAIN", FLAG),
    ("TELEMETRY__EXPORT__TRACES", SHARE),
    ("TELEMETRY__EXPORT__KEY", &["", "short"]),
    ("TELEMETRY__EXPORT__EVERY", TIME),
    ("TELEMETRY__METRICS__LISTEN", ADDRESS),
    ("TELEMETRY__METRICS__LISTEN", &["0.0.0.0:9461"]),
    ("TELEMETRY__METRICS__PLAIN", FLAG),
];

/// A node's wrong values beside those, and the defaults that list its keys.
fn table(kind: Kind) -> (&'static [Wrong], &'static str) {
    macro_rules! defaults {
        ($node:literal) => {
            include_str!(concat!("../../../crates/", $node, "/src/config.default.toml"))
        };
    }
    match kind {
        Kind::Company => (&COMPANY, defaults!("company-server")),
        Kind::Information => (&INFORMATION, defaults!("information-server")),
        Kind::Carrier => (&CARRIER, defaults!("carrier-simulator")),
        Kind::Terminal => (&TERMINAL, defaults!("terminal-simulator")),
    }
}

/// Keys whose every value is taken by the check: a file that isn't there is found out at the start, a certificate says whatever
/// its authority likes, and a brand is called as it likes.
const FREE: [&str; 8] = [
    "DATABASE",
    "DATABASE__PATH",
    "FLEET__STORIES",
    "FLEET__PEOPLE",
    "TLS__NAME__CERTIFICATE",
    "RBM__SERVICE_ACCOUNT_FILE",
    "RBM__SERVICE_ACCOUNT__CLIENT_EMAIL",
    "RBM__AGENT__BRAND",
];

/// The keys that a node's defaults tell of, as the environment names them, without places.
fn keys(defaults: &str) -> BTreeSet<String> {
    let (mut section, mut keys) = (String::new(), BTreeSet::new());
    for line in defaults.lines() {
        let line = line.strip_prefix("# ").unwrap_or(line);
        let plain =
            |text: &str| !text.is_empty() && text.bytes().all(|b| b == b'_' || b.is_ascii_lowercase());
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_matches(['[', ']']).to_uppercase().replace('.', "__") + "__";
        } else if let Some((name, _)) = line.split_once(" = ").filter(|(name, _)| plain(name)) {
            keys.insert(format!("{section}{}", name.to_uppercase()));
        }
    }
    keys
}

/// What the check of a node says of this value, when it refuses it as it should; else what is wrong with that.
fn fault(process: &Process, key: &str, value: &str) -> Option<String> {
    let kind = process.kind().as_str();
    let variable = format!("MUSUBI_{}__{key}", kind.to_uppercase());
    let mut command = Command::new(program());
    command.args([kind, "--check", "--config"]).arg(process.config()).env_clear().env(&variable, value);
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    let name = key.rsplit("__").find(|part| part.parse::<u8>().is_err()).unwrap();
    let what = if output.status.code() != Some(2) {
        "is taken"
    } else if said.lines().count() != 1 || !said.contains("; ") {
        "is not refused in one sentence with a remedy"
    } else if !said.to_lowercase().contains(&name.to_lowercase()) {
        "is refused without the key's name"
    } else if said.contains(PERSONAL) {
        "is shown"
    } else {
        return None;
    };
    Some(format!("{variable}={value:.40} {what}: {}", said.trim_end()))
}

#[tokio::test]
async fn every_key_refuses_wrong_values_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let (mut faults, mut kinds) = (Vec::new(), BTreeSet::new());
    for process in
        Layout::new(folder.path()).rbm(CARRIERS[0]).seen(NOWHERE).openid("http://127.0.0.1:1").processes()
    {
        // Two nodes of one kind read their keys alike.
        if !kinds.insert(process.kind().as_str()) {
            continue;
        }
        let (table, defaults) = table(process.kind());
        let calls = match process.kind() {
            Kind::Company | Kind::Information => &CALLS[..],
            Kind::Carrier | Kind::Terminal => &[],
        };
        let table = || table.iter().chain(&TELEMETRY).chain(calls);
        for (key, values) in table() {
            faults.extend(values.iter().filter_map(|value| fault(&process, key, value)));
        }
        let tried: BTreeSet<String> = table()
            .map(|(key, _)| {
                key.split("__").filter(|part| part.parse::<u8>().is_err()).collect::<Vec<_>>().join("__")
            })
            .collect();
        let missed: Vec<_> = keys(defaults)
            .into_iter()
            .filter(|key| !tried.contains(key) && !FREE.contains(&key.as_str()))
            .collect();
        assert!(missed.is_empty(), "keys of {} that nothing tries: {missed:?}", process.name());
        faults.extend(fault(&process, "SURPRISE", &long(3)));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
