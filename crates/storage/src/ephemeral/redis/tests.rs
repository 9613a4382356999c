//! What only a server can do: be flushed, be killed, be slow, not be there.

use std::{
    os::unix::fs::PermissionsExt as _,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use ::redis::{Client, FromRedisValue, cmd};
use futures::{StreamExt as _, future::join};
use musubi_servers::{Server, redis::start, test_redis_url};
use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, IsCa, Issuer, KeyPair};
use tokio::time::sleep;

use super::{open as open_client, *};
use crate::conformance::ephemeral::{
    self as facts, bucket, counts, ephemeral_suite, running_clock, take_for,
};

/// A client of a server: with these keys, and waiting so long.
async fn connect(url: &str, prefix: &str, deadline: Duration) -> RedisEphemeral {
    connect_by(SharedTls::default(), url, prefix, deadline).await
}

async fn connect_by(tls: SharedTls, url: &str, prefix: &str, deadline: Duration) -> RedisEphemeral {
    let options = RedisOptions { tls, prefix: prefix.to_owned(), fallback_percent: 50, deadline };
    RedisEphemeral::open(url, options, running_clock()).await.unwrap()
}

/// Two replicas, as in production.
async fn replicas(server: &Server) -> [facts::Client; 2] {
    let url = server.url();
    [Arc::new(connect(&url, "musubi", SOON).await), Arc::new(connect(&url, "musubi", SOON).await)]
}

async fn order<T: FromRedisValue>(url: &str, words: &[&str]) -> T {
    let mut connection = Client::open(url).unwrap().get_multiplexed_async_connection().await.unwrap();
    cmd(words[0]).arg(&words[1..]).query_async(&mut connection).await.unwrap()
}

/// As production waits.
const SOON: Duration = Duration::from_millis(100);
/// Longer than a busy machine takes, where a fact isn't about it.
const LATE: Duration = Duration::from_secs(20);
/// Until a lost server has surely been found again.
const FOUND: Duration = Duration::from_secs(10);

/// The tests' server, with keys that nobody else has.
async fn open() -> (RedisEphemeral, RedisEphemeral, ()) {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let (url, prefix) = (test_redis_url(), format!("musubi:{}:{count}", std::process::id()));
    (connect(&url, &prefix, LATE).await, connect(&url, &prefix, LATE).await, ())
}

ephemeral_suite!(open());

const RATE: u32 = 200;

/// Takes by both replicas while something happens to the server; gives what each got, after asserting the most.
async fn take_while(replicas: &[facts::Client; 2], what: impl Future<Output = ()>, seconds: u64) -> Vec<u32> {
    let begun = Instant::now();
    let carrier = bucket("carrier", RATE);
    let (got, ()) = join(take_for(replicas, &carrier, Duration::from_secs(seconds)), what).await;
    // The whole of the rate: by the server, or half of it by each of two replicas; and a second's worth.
    let most = f64::from(RATE) * (begun.elapsed().as_secs_f64() + 1.0);
    assert!(f64::from(got.iter().sum::<u32>()) <= most, "{got:?} of {most}");
    got
}

/// Waits until both replicas speak through the server again.
async fn together_again(replicas: &[facts::Client; 2]) {
    let begun = Instant::now();
    let said = counts(&[("together", 1)]);
    loop {
        replicas[0].put("probe", &said, LATE).await;
        if replicas[1].read("probe").await.as_ref() == Some(&said) {
            return;
        }
        assert!(begun.elapsed() < FOUND, "they did not find the server");
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flushed_in_the_middle_it_never_exceeds_the_rate_and_goes_on() {
    let server = start().unwrap();
    let replicas = replicas(&server).await;
    let flushes = async {
        for _ in 0..20 {
            sleep(Duration::from_millis(100)).await;
            order::<()>(&server.url(), &["FLUSHALL"]).await;
        }
    };
    take_while(&replicas, flushes, 2).await;
    let got = take_while(&replicas, async {}, 1).await;
    assert!(got.iter().sum::<u32>() > RATE / 4, "{got:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_and_started_again_it_never_exceeds_the_rate_and_goes_on() {
    let mut server = start().unwrap();
    let replicas = replicas(&server).await;
    let mut listener = replicas[1].listen("deliveries");
    let death = async {
        for _ in 0..2 {
            sleep(Duration::from_millis(700)).await;
            server.kill().unwrap();
            sleep(Duration::from_millis(1_300)).await;
            server.start_again().unwrap();
        }
    };
    let got = take_while(&replicas, death, 5).await;
    assert!(got.iter().sum::<u32>() > RATE, "{got:?}");
    together_again(&replicas).await;
    listener.wait(LATE).await;
    replicas[0].raise("deliveries");
    let begun = Instant::now();
    listener.wait(LATE).await;
    assert!(begun.elapsed() < LATE / 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_it_is_gone_each_has_its_share_and_signals_stay_at_home() {
    let mut server = start().unwrap();
    let replicas = replicas(&server).await;
    server.kill().unwrap();
    let got = take_while(&replicas, async {}, 2).await;
    for got in got {
        assert!(got > 0 && got <= RATE * 11 / 10, "{got} by one");
    }
    let mut listener = replicas[0].listen("deliveries");
    replicas[0].raise("deliveries");
    let begun = Instant::now();
    listener.wait(LATE).await;
    assert!(begun.elapsed() < LATE / 2);
    replicas[0].put("dst_1", &counts(&[("sent", 1)]), LATE).await;
    assert_eq!(replicas[0].read("dst_1").await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hold_outlives_the_server() {
    let mut server = start().unwrap();
    let replicas = replicas(&server).await;
    replicas[0].hold("account", LATE).await;
    server.kill().unwrap();
    assert_eq!(replicas[0].take(&[bucket("account", 0)], 1).await.allowed, 0);
    assert_eq!(replicas[1].take(&[bucket("account", 0)], 1).await.allowed, 1, "that one learns it by itself");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_hangs_is_waited_for_once() {
    let server = start().unwrap();
    let replicas = replicas(&server).await;
    order::<()>(&server.url(), &["CLIENT", "PAUSE", "3000", "ALL"]).await;
    let begun = Instant::now();
    for _ in 0..1_000 {
        replicas[0].take(&[bucket("carrier", RATE)], 1).await;
        replicas[0].put("dst_1", &counts(&[]), LATE).await;
    }
    assert!(begun.elapsed() < Duration::from_millis(2_500), "{:?}", begun.elapsed());
    together_again(&replicas).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_refuses_to_write_is_out_of_reach() {
    let server = start().unwrap();
    let replicas = replicas(&server).await;
    order::<()>(&server.url(), &["CONFIG", "SET", "maxmemory", "1"]).await;
    assert_eq!(replicas[0].take(&[bucket("carrier", 0)], 5).await.allowed, 5);
    let got = take_while(&replicas, async {}, 1).await;
    assert!(got.iter().all(|got| *got > 0), "{got:?}");
    order::<()>(&server.url(), &["CONFIG", "SET", "maxmemory", "0"]).await;
    together_again(&replicas).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_comes_later_is_found() {
    let mut server = start().unwrap();
    server.kill().unwrap();
    let replicas = replicas(&server).await;
    assert_eq!(replicas[0].take(&[bucket("carrier", 0)], 5).await.allowed, 5);
    server.start_again().unwrap();
    together_again(&replicas).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signals_are_coalesced() {
    let server = start().unwrap();
    let one = connect(&server.url(), "musubi", LATE).await;
    let mut channel = Client::open(server.url()).unwrap().get_async_pubsub().await.unwrap();
    channel.subscribe("musubi:signals").await.unwrap();
    let begun = Instant::now();
    for _ in 0..200 {
        (0..1_000).for_each(|_| one.raise("deliveries"));
        sleep(Duration::from_millis(1)).await;
    }
    let most = begun.elapsed().as_millis() / 10 + 2;
    sleep(Duration::from_millis(200)).await;
    // The last one of all is ours.
    order::<()>(&server.url(), &["PUBLISH", "musubi:signals", "end"]).await;
    let texts = channel.into_on_message().map(|message| message.get_payload::<String>().unwrap());
    let published = texts.take_while(|text| std::future::ready(text != "end")).count().await;
    assert!((1..=most).contains(&(published as u128)), "{published} of at most {most}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_key_expires_and_begins_with_the_prefix() {
    let server = start().unwrap();
    let one = connect(&server.url(), "musubi", LATE).await;
    one.take(&[bucket("carrier", 1), bucket("company", 2)], 1).await;
    one.hold("account", Duration::from_secs(1)).await;
    one.hold("carrier", Duration::from_secs(1)).await;
    one.put("dst_1", &counts(&[("sent", 1)]), LATE).await;
    let keys: Vec<String> = order(&server.url(), &["KEYS", "*"]).await;
    assert!(keys.len() >= 4, "{keys:?}");
    for key in keys {
        let lasts: i64 = order(&server.url(), &["PTTL", &key]).await;
        assert!(key.starts_with("musubi:") && lasts > 0 && lasts <= 601_000, "{key}: {lasts} ms");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_prefixes_share_nothing() {
    let server = start().unwrap();
    let one = connect(&server.url(), "musubi", LATE).await;
    let other = connect(&server.url(), "another", LATE).await;
    one.hold("account", LATE).await;
    one.put("dst_1", &counts(&[("sent", 1)]), LATE).await;
    assert_eq!(other.take(&[bucket("account", 0)], 1).await.allowed, 1);
    assert_eq!(other.read("dst_1").await, None);
    let mut listener = other.listen("deliveries");
    one.raise("deliveries");
    let begun = Instant::now();
    listener.wait(Duration::from_millis(200)).await;
    assert!(begun.elapsed() >= Duration::from_millis(200));
}

#[test]
fn an_address_that_is_none_is_refused_and_not_repeated() {
    for url in [
        "",
        "127.0.0.1:6379",
        "http://127.0.0.1",
        "redis://:secret@:x",
        "redis://host/secret",
        "rediss://:secret@host#insecure",
    ] {
        let said = open_client(url, SharedTls::default()).unwrap_err().to_string();
        assert!(!said.contains("secret") && said.contains("rediss://host:port"), "{url}: {said}");
    }
}

/// An authority, and a certificate that it has issued for this machine, with its key: PEM.
fn certificates() -> [String; 3] {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let certificate = authority.self_signed(&key).unwrap();
    let issuer = Issuer::new(authority, key);
    let own = KeyPair::generate().unwrap();
    let mut wanted = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    // One that has its authority's name is taken for its own.
    wanted.distinguished_name = DistinguishedName::new();
    let issued = wanted.signed_by(&own, &issuer).unwrap();
    [certificate.pem(), issued.pem(), own.serialize_pem()]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_tls_it_is_believed_by_its_certificate_and_nobody_else_is() {
    let server = start().unwrap();
    let [authority, certificate, key] = certificates();
    let [stranger, ..] = certificates();
    // The server runs as somebody else, who has to read them.
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let file = |name: &str, pem: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, pem).unwrap();
        path.display().to_string()
    };
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    for (setting, value) in [
        ("tls-cert-file", file("server.pem", &certificate)),
        ("tls-key-file", file("server.key", &key)),
        ("tls-ca-cert-file", file("authority.pem", &authority)),
        ("tls-port", port.clone()),
    ] {
        order::<()>(&server.url(), &["CONFIG", "SET", setting, &value]).await;
    }
    let (login, _) =
        server.url().split_once('@').map(|(login, rest)| (login.to_owned(), rest.to_owned())).unwrap();
    let url = format!("{}@localhost:{port}", login.replace("redis:", "rediss:"));
    let believing = |pem: &str, own| SharedTls::new(Some(pem.as_bytes().to_vec()), own);
    let own = Some((certificate.into_bytes(), key.into_bytes()));
    let known = believing(&authority, own.clone()).unwrap();
    assert_eq!(believing("no certificate", None).unwrap_err().field, "authorities");
    let swapped = own.clone().map(|(certificate, key)| (key, certificate));
    assert_eq!(believing(&authority, swapped).unwrap_err().field, "certificate");

    // The server asks for a certificate of its authority.
    let one = connect_by(known.clone(), &url, "musubi", LATE).await;
    let said = counts(&[("over tls", 1)]);
    one.put("probe", &said, LATE).await;
    assert_eq!(connect(&server.url(), "musubi", LATE).await.read("probe").await, Some(said.clone()));
    for (tls, url) in [
        (believing(&authority, None).unwrap(), url.clone()),
        (believing(&stranger, own).unwrap(), url.clone()),
        (SharedTls::default(), url.clone()),
        (known.clone(), url.replace("localhost", "127.0.0.2")),
    ] {
        assert_eq!(connect_by(tls, &url, "musubi", SOON).await.read("probe").await, None, "{url}");
    }
    for (tls, url) in [
        (known.clone(), server.url()),
        (known, format!("{url}#insecure")),
        (SharedTls::default(), "127.0.0.1".to_owned()),
    ] {
        assert_eq!(open_client(&url, tls).unwrap_err().kind, ErrorKind::InvalidArgument, "{url}");
    }
}
