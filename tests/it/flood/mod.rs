//! What a hostile peer can do to a running server before and after its handshake, while honest calls go on: all of them succeed,
//! none waits for long, and the server's memory stays.
//!
//! Insiders have a good certificate and speak HTTP/2 by hand; outsiders have none. Surprising: most of it is answered by closing the
//! connection, so an attacker comes again and again.

mod frames;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use musubi_domain::ErrorKind;
use musubi_proto::information::v1::{GetFunnelRequest, follower_service_client::FollowerServiceClient};
use musubi_runtime::grpc::status::{from_status, retry_after};
use musubi_tests::processes::{INFORMATION, Kind, Layout, System};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    runtime::{Builder, Runtime},
    task::JoinSet,
    time::{sleep, timeout},
};

use self::frames::{ATTACKS, Attack, Wire};
use crate::people::{audit, refused};

/// How long honest calls are looked at, quiet and under attack.
const LOOK: Duration = Duration::from_secs(4);
/// How long attackers, who have what others leave, may take to be many enough.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two honest calls of one caller, and how many callers there are.
const PACE: Duration = Duration::from_millis(5);
const HONEST: usize = 4;
/// Connections that never finish their handshake.
const IDLE: usize = 1_000;
/// How long an attacker rests between two connections, and stays on one: attackers share the machine with the server.
const REST: Duration = Duration::from_secs(1);
const STAY: Duration = Duration::from_secs(2);
/// How long one without a certificate rests.
const REST_OUTSIDE: Duration = Duration::from_secs(3);
/// Between the beginnings of two insiders.
const BEGIN: Duration = Duration::from_millis(90);
/// How often honest calls are looked at, quiet and then under attack, until they once take less than twice as long by p99. Attackers, server and
/// honest callers share the machine's cores with whatever else runs there, which may make a call longer and never shorter.
const LOOKS: usize = 3;
const MEMORY: u64 = 64 * 1024 * 1024;
/// How often a second a node may call another, where one calls too often.
const PACED: u32 = 50;
/// Between two attacks by that caller: a few calls' time.
const BETWEEN: Duration = Duration::from_millis(100);

/// How long each honest call took, in order of time taken, until they were looked at for long and `enough` came of it. Every one has to
/// succeed.
async fn honest(system: &System, enough: impl Fn() -> bool + Clone + Send + 'static) -> Vec<Duration> {
    let mut callers = JoinSet::new();
    for _ in 0..HONEST {
        let mut client = FollowerServiceClient::new(system.channel_of("aoba-bank", INFORMATION));
        let enough = enough.clone();
        callers.spawn(async move {
            let (begin, mut took) = (Instant::now(), vec![]);
            while begin.elapsed() < LOOK || !enough() && begin.elapsed() < PATIENCE {
                let since = Instant::now();
                client.get_funnel(GetFunnelRequest::default()).await.unwrap();
                took.push(since.elapsed());
                sleep(PACE).await;
            }
            took
        });
    }
    let mut took: Vec<Duration> = callers.join_all().await.into_iter().flatten().collect();
    took.sort();
    took
}

/// Where attackers are: on machines of their own, as far as one machine can play that. They have what the server and honest callers leave.
fn elsewhere() -> Runtime {
    let yielding = || assert_eq!(rustix::process::nice(19), Ok(19));
    Builder::new_multi_thread().worker_threads(1).on_thread_start(yielding).enable_all().build().unwrap()
}

fn p99(took: &[Duration]) -> Duration {
    took[took.len() * 99 / 100]
}

/// Bytes of memory that a process has now, and had at most.
fn memory(process: u32) -> (u64, u64) {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
    };
    (field("VmRSS:"), field("VmHWM:"))
}

/// Counts of what attackers did.
#[derive(Default)]
struct Done {
    stop: AtomicBool,
    connections: AtomicUsize,
    closed: AtomicUsize,
    /// Kinds of attack by insiders that were made to their end.
    ended: AtomicUsize,
}

impl Done {
    fn is_enough(&self) -> bool {
        let [connections, closed, ended] =
            [&self.connections, &self.closed, &self.ended].map(|count| count.load(Ordering::Relaxed));
        is_defended(connections, closed) && ended == ATTACKS.len()
    }
}

/// Whether attackers have come often, and a server that they came to has closed enough of their connections.
const fn is_defended(connections: usize, closed: usize) -> bool {
    connections > IDLE && closed > IDLE / 2
}

/// Attacks over connections with a good certificate, one after the other, until it is told to stop.
async fn insider(wire: Wire, attack: Attack, done: Arc<Done>) {
    let mut has_ended = false;
    while !done.stop.load(Ordering::Relaxed) {
        if let Ok(mut connection) = wire.connect().await {
            done.connections.fetch_add(1, Ordering::Relaxed);
            let attacked = timeout(STAY, async {
                frames::begin(&mut connection).await?;
                attack(&mut connection).await
            });
            let attacked = attacked.await;
            if attacked.is_ok() && !std::mem::replace(&mut has_ended, true) {
                done.ended.fetch_add(1, Ordering::Relaxed);
            }
            if !matches!(attacked, Ok(Ok(()))) {
                done.closed.fetch_add(1, Ordering::Relaxed);
            }
        }
        sleep(REST).await;
    }
}

/// Connections that say nothing, or a byte of a handshake now and then, or nothing that makes sense.
async fn outsider(address: String, place: usize, done: Arc<Done>) {
    while !done.stop.load(Ordering::Relaxed) {
        if let Ok(mut stream) = TcpStream::connect(&address).await {
            done.connections.fetch_add(1, Ordering::Relaxed);
            let hello: &[u8] = match place % 3 {
                0 => b"",
                1 => b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
                _ => b"GET / HTTP/1.1\r\nHost: musubi\r\n\r\n",
            };
            let drip = async {
                for byte in hello {
                    stream.write_all(&[*byte]).await?;
                    sleep(if place % 3 == 1 { Duration::from_secs(1) } else { Duration::ZERO }).await;
                }
                stream.read_to_end(&mut Vec::new()).await
            };
            if timeout(Duration::from_secs(20), drip).await.is_ok() {
                done.closed.fetch_add(1, Ordering::Relaxed);
            }
        }
        sleep(REST_OUTSIDE).await;
    }
}

/// What a look has seen.
#[derive(Debug)]
struct Look {
    quiet: Duration,
    beside: Duration,
    calls: usize,
    connections: usize,
    closed: usize,
}

/// Honest calls, quiet and then beside all attacks.
async fn look(system: &System) -> Look {
    let quiet = p99(&honest(system, || true).await);
    let done = Arc::new(Done::default());
    let wire = Wire::new(system.identity(&Layout::party("nami")), &system.endpoint(INFORMATION));
    let elsewhere = elsewhere();
    let mut attackers = JoinSet::new();
    // One after the other, as machines that know nothing of one another.
    for (place, (attack, _)) in (0..).zip(ATTACKS) {
        let (begins, attack) = (BEGIN * place, insider(wire.clone(), attack, Arc::clone(&done)));
        let attack = async move {
            sleep(begins).await;
            attack.await;
        };
        attackers.spawn_on(attack, elsewhere.handle());
    }
    let address = system.endpoint(INFORMATION).as_str().trim_start_matches("https://").to_owned();
    for place in 0..IDLE {
        attackers.spawn_on(outsider(address.clone(), place, Arc::clone(&done)), elsewhere.handle());
    }
    sleep(Duration::from_secs(1)).await;
    let attacked = Arc::clone(&done);
    let beside = honest(system, move || attacked.is_enough()).await;
    done.stop.store(true, Ordering::Relaxed);
    let [connections, closed] = [&done.connections, &done.closed].map(|count| count.load(Ordering::Relaxed));
    attackers.shutdown().await;
    elsewhere.shutdown_background();
    Look { quiet, beside: p99(&beside), calls: beside.len(), connections, closed }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn floods_stop_no_honest_call_and_take_no_memory() {
    let mut system = System::start_alone(Layout::quiet).await;
    system.quiet().await;
    let process = system.of(Kind::Information).next().unwrap().id();
    let (before, _) = memory(process);
    let mut looks: Vec<Look> = Vec::new();
    while looks.len() < LOOKS && !looks.iter().any(|look| look.beside < look.quiet * 2) {
        looks.push(look(&system).await);
    }
    let (_, most) = memory(process);
    let said = format!("{looks:?}; memory {} KiB more", most.saturating_sub(before) / 1024);
    println!("{said}");
    for Look { calls, connections, closed, .. } in &looks {
        assert!(is_defended(*connections, *closed), "the server did not defend itself: {said}");
        assert!(*calls > 100 * HONEST, "honest calls stand still: {said}");
    }
    assert!(looks.iter().any(|look| look.beside < look.quiet * 2), "honest calls wait: {said}");
    assert!(most.saturating_sub(before) < MEMORY, "memory grows: {said}");

    // What was done stands in the audit as counts, of insiders by name, and nothing else came of it.
    let lines = audit(&mut system, Kind::Information).await;
    let failed = lines.iter().filter(|line| line["action"] == "handshakes_failed");
    let failed: Vec<_> = failed.map(|line| line["detail"].as_str().unwrap()).collect();
    for reason in ["took too long", "does not speak TLS"] {
        assert!(failed.iter().any(|line| line.contains(reason)), "{reason}: {failed:?}");
    }
    assert!(refused(&lines, "carrier/nami PushEvents: ") > 0, "{lines:?}");
    assert!(lines.iter().all(|line| line["action"] != "moved"), "{lines:?}");
}

/// Each attack by itself ends with a closed connection or with a refusal, and the server lives.
#[tokio::test]
async fn each_flood_is_ended_by_the_server() {
    let mut system = System::start_as(|layout| layout.quiet().paced(PACED)).await;
    let wire = Wire::new(system.identity(&Layout::party("nami")), &system.endpoint(INFORMATION));
    let mut faults = vec![];
    for (place, (attack, _)) in ATTACKS.iter().enumerate() {
        let mut connection = wire.connect().await.unwrap();
        frames::begin(&mut connection).await.unwrap();
        let ended = timeout(Duration::from_secs(20), async {
            let attacked = attack(&mut connection).await;
            match attacked {
                Ok(()) => frames::until_refused(&mut connection).await,
                Err(_closed) => true,
            }
        });
        if !matches!(ended.await, Ok(true)) {
            faults.push(place);
        }
        // Or the next one is only told that it comes too early.
        sleep(BETWEEN).await;
    }
    assert!(faults.is_empty(), "attacks that are not ended: {faults:?}");
    let mut client = FollowerServiceClient::new(system.channel_of("aoba-bank", INFORMATION));
    client.get_funnel(GetFunnelRequest::default()).await.unwrap();

    let before = system.quiet().await;
    let times = call_too_often(&system).await;
    assert!(before == system.stored(), "calls that only look have changed something");
    let lines = audit(&mut system, Kind::Information).await;
    assert_eq!(refused(&lines, "company/aoba-bank GetFunnel: too often"), times, "{lines:?}");
    assert_eq!(refused(&lines, "company/hinata-gas "), 0, "{lines:?}");
    // By whom, and what was wrong, at least once for each attack.
    for (_, why) in ATTACKS {
        let attacks = ATTACKS.iter().filter(|(_, other)| *other == why).count() as u64;
        assert!(refused(&lines, &format!("carrier/nami {why}")) >= attacks, "{why}: {lines:?}");
    }
}

/// One company calls as often as it can: most of that is refused and told when to come again, and nobody else notices. Gives how many were
/// refused.
async fn call_too_often(system: &System) -> u64 {
    let client = FollowerServiceClient::new(system.channel_of("aoba-bank", INFORMATION));
    let mut other = FollowerServiceClient::new(system.channel_of("hinata-gas", INFORMATION));
    let mut calls = JoinSet::new();
    for _ in 0..4 * PACED {
        let mut client = client.clone();
        calls.spawn(async move { client.get_funnel(GetFunnelRequest::default()).await });
    }
    other.get_funnel(GetFunnelRequest::default()).await.unwrap();
    let answers = calls.join_all().await;
    let refused: Vec<_> = answers.into_iter().filter_map(Result::err).collect();
    assert!(refused.len() > PACED as usize, "{} were refused", refused.len());
    for status in &refused {
        assert_eq!(from_status(status).kind, ErrorKind::ResourceExhausted, "{status:?}");
        assert!(retry_after(status).is_some_and(|wait| wait.as_secs() < 2), "{status:?}");
    }
    let wait = refused.iter().filter_map(retry_after).max().unwrap();
    sleep(wait.unsigned_abs()).await;
    client.clone().get_funnel(GetFunnelRequest::default()).await.unwrap();
    u64::try_from(refused.len()).unwrap()
}
