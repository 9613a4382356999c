//! A thousand people go through all of it while every node says all that it can, and nothing of them stands in what was said, in the
//! databases of the servers that keep them sealed, in what replicas share, or in any span or metric.
//!
//! Each value is looked for as it is written by people and by programs. Surprising: a number is found only where no digit or letter
//! stands beside it, behind no decimal point, and not where a bucket's level stands, because seven digits, also with a hyphen among
//! them, are part of many an id, and are many a time and level.

use std::{collections::BTreeMap, fmt::Write as _};

use aho_corasick::{AhoCorasick, MatchKind};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use musubi::population::Population;
use musubi_matching::{AddressForm, KanaForm, NameForm};
use musubi_servers::redis;
use musubi_tests::processes::{
    CARRIERS, COMPANIES, Collector, Kind, LONGEST_ACCOUNT, Layout, Postgres, System,
};
use prost::Message as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinHandle,
};

use super::{
    play::{Play, population_of, population_with},
    stop,
};

const PEOPLE: usize = 1_000;
/// To PostgreSQL, by all servers.
const CONNECTIONS: u32 = 100;
/// Shorter ones are words that anybody says.
const SHORTEST: usize = 6;
/// A second, of each account and over each carrier: enough to be no limit here, and so that it is shared.
const LIMIT: u32 = 5_000;

/// What stands before the level of a bucket, in millionths of messages, when it is written to Redis.
const LEVEL: &[u8] = b"\"level\" \"";

/// A value as it may be written: raw, in full width, hyphenated, in hex, base64 and percent encoding, escaped as JSON.
fn written(value: &str) -> Vec<String> {
    let full_width =
        |c: char| char::from_u32(u32::from(c) + 0xfee0).filter(|_| c.is_ascii_graphic()).unwrap_or(c);
    let digits: String = value.chars().filter(char::is_ascii_digit).collect();
    let hyphenated = match digits.len() {
        7 | 20 => format!("{}-{}", &digits[..3], &digits[3..]),
        12 if value.starts_with("+81") => format!("0{}-{}-{}", &digits[2..4], &digits[4..8], &digits[8..]),
        _ => value.to_owned(),
    };
    let mut hex = String::new();
    let mut percent = String::new();
    let mut escaped = String::new();
    for byte in value.bytes() {
        write!(hex, "{byte:02x}").unwrap();
        write!(percent, "%{byte:02X}").unwrap();
    }
    for unit in value.encode_utf16() {
        write!(escaped, "\\u{unit:04x}").unwrap();
    }
    let national = value.strip_prefix("+81").map_or_else(|| value.to_owned(), |rest| format!("0{rest}"));
    // Without its end, which depends on what follows.
    let mut base64 = BASE64_STANDARD.encode(value);
    base64.truncate(value.len() / 3 * 4);
    vec![
        value.to_owned(),
        value.chars().map(full_width).collect(),
        hyphenated,
        national,
        hex.to_uppercase(),
        hex,
        base64,
        percent,
        escaped,
    ]
}

/// What is looked for, with whose it is.
struct Canaries {
    finder: AhoCorasick,
    names: Vec<String>,
}

impl Canaries {
    fn of(population: &Population) -> Self {
        let mut values = BTreeMap::new();
        for story in &population.stories {
            values.insert(story.phone_number.clone(), "phone number");
            if let Some(identity) = &story.identity {
                values.insert(identity.name.clone(), "name");
                values.insert(identity.name_kana.clone(), "kana");
                values.insert(identity.address.clone(), "address");
            }
        }
        for row in population.masters.iter().flat_map(|master| &master.rows) {
            values.insert(row.name.clone(), "name");
            values.insert(row.name_kana.clone(), "kana");
            values.insert(row.address.clone(), "address");
            values.insert(row.account_number.clone(), "account number");
            // As matching reads them.
            values.insert(NameForm::new(&row.name).text(), "normal form of a name");
            values.insert(KanaForm::new(&row.name_kana).text(), "normal form of a reading");
            values.insert(AddressForm::new(&row.address).text(), "normal form of an address");
        }
        let mut patterns = BTreeMap::new();
        for (value, what) in values {
            for (form, text) in
                written(&value).into_iter().enumerate().filter(|(_, text)| text.len() >= SHORTEST)
            {
                patterns.entry(text).or_insert_with(|| format!("{what}, form {form}"));
            }
        }
        let (patterns, names): (Vec<String>, Vec<String>) = patterns.into_iter().unzip();
        let finder = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(&patterns).unwrap();
        Self { finder, names }
    }

    /// What stands in these bytes, by kind and form, never by value; with the line that it was first seen in.
    fn found(&self, bytes: &[u8]) -> BTreeMap<&str, String> {
        let mut found = BTreeMap::new();
        for hit in self.finder.find_iter(bytes) {
            let beside = |at: Option<&u8>| at.is_some_and(u8::is_ascii_alphanumeric);
            let back = |by: usize| hit.start().checked_sub(by).and_then(|at| bytes.get(at));
            let before = back(1);
            let is_fraction = before == Some(&b'.') && back(2).is_some_and(u8::is_ascii_digit);
            let matched = &bytes[hit.range()];
            let plain = matched.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-');
            let is_level = bytes[..hit.start()].ends_with(LEVEL);
            if plain && (is_fraction || is_level || beside(before) || beside(bytes.get(hit.end()))) {
                continue;
            }
            found.entry(&*self.names[hit.pattern()]).or_insert_with(|| {
                let begin =
                    bytes[..hit.start()].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
                String::from_utf8_lossy(&bytes[begin..hit.start()]).into_owned()
            });
        }
        found
    }
}

/// Listens to all that anybody says to a Redis; gives it when that is gone.
async fn overhear(url: &str) -> JoinHandle<Vec<u8>> {
    let (user, server) = url.strip_prefix("redis://").unwrap().split_once('@').unwrap();
    let mut connection = TcpStream::connect(server).await.unwrap();
    let monitor = format!("AUTH {}\r\nMONITOR\r\n", user.replace(':', " "));
    connection.write_all(monitor.as_bytes()).await.unwrap();
    tokio::spawn(async move {
        let mut heard = vec![];
        connection.read_to_end(&mut heard).await.unwrap();
        heard
    })
}

#[tokio::test]
async fn nothing_of_a_thousand_people_stands_in_what_nodes_say_and_keep() {
    search(|layout| layout, None).await;
}

#[tokio::test]
async fn nothing_of_a_thousand_people_stands_anywhere_when_custody_is_blind() {
    search(Layout::blind, None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_thousand_people_stands_in_the_files_of_postgresql() {
    search(|layout| layout, Some(Postgres::start(CONNECTIONS))).await;
}

/// Lets them play, and looks everywhere: the servers on files, or on this server of PostgreSQL.
async fn search(shape: impl Fn(Layout) -> Layout, server: Option<Postgres>) {
    let mut shared = redis::start().unwrap();
    let heard = overhear(&shared.url()).await;
    let url = shared.url();
    let collector = Collector::start();
    let layout = |layout: Layout| layout.talkative().long_accounts().sharing_at(&url, LIMIT).rbm(CARRIERS[1]);
    let shape = |it: Layout| shape(layout(it)).seen(collector.address());
    let mut system = match &server {
        None => System::start_as(shape).await,
        Some(server) => System::start_sealing_on(server, shape).await,
    };
    let mut companies = COMPANIES;
    companies[1].account_digits = LONGEST_ACCOUNT;
    let play = Play::of(&system, population_with(companies, 61, PEOPLE)).hurried();
    let account = &play.population().masters[1].rows[0].account_number;
    assert_eq!(account.len(), usize::from(LONGEST_ACCOUNT));
    let canaries = Canaries::of(play.population());
    play.import_masters().await;
    play.hand_out_stories().await;
    play.until_dialogues_end().await;
    let distributions = play.distribute().await;
    play.until_delivered(&distributions).await;
    let stored = system.stored();
    let scraped = super::seen::scraped(&mut system).await;
    stop(&mut system).await;
    shared.stop().unwrap();
    let heard = heard.await.unwrap();

    let mut faults = vec![];
    for process in system.processes() {
        let said = process.said();
        assert!(said.contains(" DEBUG "), "{} says too little", process.name());
        for (what, line) in canaries.found(said.as_bytes()) {
            faults.push(format!("{}: {what}, after: {line:.300}", process.name()));
        }
    }
    let spans = collector.heard();
    assert!(spans.len() > 100, "the collector heard {} times only", spans.len());
    for request in &spans {
        // As text, too, in which attributes stand beside their names.
        let (bytes, text) = (request.encode_to_vec(), format!("{request:?}"));
        assert!(!text.contains("busy_ns"), "a span says how long it was busy: a number like an account's");
        for bytes in [bytes.as_slice(), text.as_bytes()] {
            faults.extend(canaries.found(bytes).into_keys().map(|what| format!("a span: {what}")));
        }
    }
    for (name, text) in &scraped {
        assert!(text.contains("# EOF"), "{name} serves no metrics");
        faults.extend(
            canaries.found(text.as_bytes()).into_keys().map(|what| format!("metrics of {name}: {what}")),
        );
    }
    assert!(heard.windows(7).any(|part| part == b"EVALSHA"), "nothing was shared");
    faults.extend(canaries.found(&heard).into_keys().map(|what| format!("Redis: {what}")));
    for process in system.processes() {
        let in_files = stored.iter().find(|(name, ..)| *name == process.name());
        assert_eq!(in_files.is_none(), server.is_some() && is_sealed(process.kind()), "{}", process.name());
        let Some((_, file, log)) = in_files else { continue };
        let found: Vec<_> = [file, log].iter().flat_map(|bytes| canaries.found(bytes).into_keys()).collect();
        match process.kind() {
            Kind::Company | Kind::Information => {
                faults.extend(found.iter().map(|what| format!("the files of {}: {what}", process.name())));
            }
            // They stand for other people's systems and seal nothing: what is looked for is found there.
            Kind::Carrier | Kind::Terminal => assert!(!found.is_empty(), "{} has nobody", process.name()),
        }
    }
    if let Some(mut server) = server {
        let files = server.stored();
        let account = COMPANIES[0].id.as_bytes();
        let has = |bytes: &[u8]| bytes.windows(account.len()).any(|part| part == account);
        let ([(_, dump), rest @ ..], true) = (&files[..], files.len() > 1) else {
            panic!("no file is there")
        };
        let has_all = has(dump) && rest.iter().any(|(_, bytes)| has(bytes));
        assert!(has_all, "what is stored isn't in the dump, or in no file that is looked into");
        for (path, bytes) in &files {
            let found = canaries.found(bytes).into_keys();
            faults.extend(found.map(|what| format!("PostgreSQL's {}: {what}", path.display())));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

const fn is_sealed(kind: Kind) -> bool {
    matches!(kind, Kind::Company | Kind::Information)
}

/// The search finds what it looks for, in each of its forms.
#[test]
fn what_is_planted_is_found_in_every_form() {
    let population = population_of(61, PEOPLE);
    let canaries = Canaries::of(&population);
    let person = population.stories.iter().find(|story| story.identity.is_some()).unwrap();
    let name = &person.identity.as_ref().unwrap().name;
    for value in [&person.phone_number, name] {
        for text in written(value).into_iter().filter(|text| text.len() >= SHORTEST) {
            let line = format!("2026-11-28T00:00:00Z INFO something \"{text}\" happened\n");
            assert!(!canaries.found(line.as_bytes()).is_empty(), "{text} is not found");
        }
    }
    let account = &population.masters[0].rows[0].account_number;
    let (first, last) = account.split_at(3);
    for line in [
        format!("elapsed_secs=0.{account}\n"),
        format!("\"HSET\" \"musubi:{{limits}}\" \"level\" \"{account}\" \"at\" \"1795902569622551\"\n"),
        format!("2026-11-28T00:00:00.123456Z INFO nothing happened to 0193a{first}-{last}-7abc\n"),
    ] {
        assert!(canaries.found(line.as_bytes()).is_empty(), "{line:?} tells nobody's account");
    }
    for line in [format!("account={account}\n"), format!("account={first}-{last}\n")] {
        assert!(!canaries.found(line.as_bytes()).is_empty(), "{line:?} tells an account");
    }
}
