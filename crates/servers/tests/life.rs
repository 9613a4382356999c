//! The whole life of real servers. The packages have to be installed, as `cargo xtask test` sees to.
//!
//! Surprising: one test runs this binary a second time as the owner who gets killed, and `cfg(test)`, which is always
//! true here, tells clippy that unwrapping is a way to fail a test.
#![cfg(test)]

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use musubi_servers::{Server, postgres, redis};

const PATIENCE: Duration = Duration::from_secs(30);

fn small(within: &Path) -> postgres::Settings {
    postgres::Settings {
        within: within.into(),
        shared_buffers_mib: 16,
        max_connections: 20,
        ..postgres::Settings::default()
    }
}

/// A folder that the unprivileged account may pass through, because other servers' folders are made in it.
struct Within(PathBuf);

impl Within {
    fn make(test: &str) -> Self {
        use std::os::unix::fs::PermissionsExt as _;
        let path = std::env::temp_dir().join(format!("musubi-servers-{test}-{}", std::process::id()));
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        Self(path)
    }

    fn is_empty(&self) -> bool {
        fs::read_dir(&self.0).unwrap().next().is_none()
    }
}

impl Drop for Within {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn port(server: &Server) -> u16 {
    server.url().split(['/', ':']).find_map(|part| part.parse().ok()).unwrap()
}

/// PostgreSQL's answer to a client that says hello: `R` and 10, show a password by SASL.
fn says_hello(server: &Server) -> bool {
    let Ok(mut stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, port(server))) else { return false };
    let hello = b"\x00\x00\x00\x27\x00\x03\x00\x00user\0musubi\0database\0postgres\0\0";
    stream.write_all(hello).unwrap();
    let mut answer = [0; 9];
    stream.read_exact(&mut answer).unwrap();
    answer[0] == b'R' && answer[5..] == [0, 0, 0, 10]
}

/// What Redis answers, as one text.
fn ask(server: &Server, commands: &str) -> String {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port(server))).unwrap();
    let url = server.url();
    let (_, rest) = url.split_once("://default:").unwrap();
    let (password, _) = rest.split_once('@').unwrap();
    write!(stream, "AUTH {password}\r\n{commands}\r\nQUIT\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// The well-known port is taken: by us, or by a server that somebody runs here.
fn listen_where_others_do(port: u16) -> Option<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok()
}

/// Whether it runs; one that has ended and whose parent has not noticed yet does not.
fn runs(id: u32) -> bool {
    let state = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    state.rsplit_once(") ").is_some_and(|(_, state)| !state.starts_with(['Z', 'X']))
}

fn children(id: u32) -> Vec<u32> {
    let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap();
    children.split_whitespace().map(|id| id.parse().unwrap()).collect()
}

fn waited(until: impl Fn() -> bool) -> bool {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if until() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}

#[test]
fn postgres_lives_through_stop_and_kill_and_leaves_nothing() {
    let within = Within::make("postgres");
    let _others = listen_where_others_do(5432);
    let mut server = postgres::start(&small(&within.0)).unwrap();
    assert_ne!(port(&server), 5432);
    let (url, folder, first) = (server.url(), server.folder().to_owned(), server.pid().unwrap());
    let database = || fs::read(folder.join("data/global/pg_control")).unwrap()[..8].to_vec();
    let identifier = database();
    assert!(says_hello(&server));

    server.stop().unwrap();
    assert!(server.pid().is_none() && !runs(first) && !says_hello(&server));
    server.start_again().unwrap();
    assert!(says_hello(&server));

    let second = server.pid().unwrap();
    let workers = children(second);
    assert!(workers.len() > 3, "{workers:?}");
    server.kill().unwrap();
    assert!(!runs(second) && !says_hello(&server));
    // A process closes its files a moment before it is gone.
    assert!(waited(|| !workers.iter().copied().any(runs)));
    server.start_again().unwrap();
    assert!(says_hello(&server));
    assert_eq!((server.url(), server.folder(), database()), (url, folder.as_path(), identifier));

    let last = server.pid().unwrap();
    server.kill().unwrap();
    drop(server);
    assert!(!runs(last) && within.is_empty());
}

#[test]
fn postgres_takes_nobody_without_the_password() {
    let within = Within::make("password");
    let server = postgres::start(&small(&within.0)).unwrap();
    let rules = fs::read_to_string(server.folder().join("data/pg_hba.conf")).unwrap();
    let rules: Vec<&str> = rules.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect();
    assert!(!rules.is_empty() && rules.iter().all(|rule| rule.ends_with("scram-sha-256")), "{rules:?}");
    assert!(!server.folder().join("password").exists());
}

#[test]
fn redis_lives_through_stop_and_kill_and_keeps_nothing() {
    let _others = listen_where_others_do(6379);
    let mut server = redis::start().unwrap();
    assert_ne!(port(&server), 6379);
    let (url, folder, first) = (server.url(), server.folder().to_owned(), server.pid().unwrap());
    assert_eq!(ask(&server, "SET a b\r\nGET a"), "+OK\r\n+OK\r\n$1\r\nb\r\n+OK\r\n");
    server.stop().unwrap();
    assert!(!runs(first));
    server.start_again().unwrap();
    assert_eq!(ask(&server, "SET a b\r\nGET a"), "+OK\r\n+OK\r\n$1\r\nb\r\n+OK\r\n");
    server.kill().unwrap();
    server.start_again().unwrap();
    assert_eq!(ask(&server, "GET a"), "+OK\r\n$-1\r\n+OK\r\n");
    assert_eq!((server.url(), server.folder()), (url, folder.as_path()));
    let last = server.pid().unwrap();
    drop(server);
    assert!(!runs(last) && !folder.exists());
}

#[test]
fn redis_takes_nobody_without_the_password() {
    let server = redis::start().unwrap();
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port(&server))).unwrap();
    stream.write_all(b"PING\r\nQUIT\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("-NOAUTH"), "{answer}");
}

#[test]
fn port_that_another_took_meanwhile_is_waited_for() {
    let mut server = redis::start().unwrap();
    server.stop().unwrap();
    let other = TcpListener::bind((Ipv4Addr::LOCALHOST, port(&server))).unwrap();
    let release = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(500));
        drop(other);
    });
    server.start_again().unwrap();
    release.join().unwrap();
    assert_eq!(ask(&server, "PING"), "+OK\r\n+PONG\r\n+OK\r\n");
}

const OWNER_IN: &str = "MUSUBI_SERVERS_OWNER_IN";

#[test]
#[expect(clippy::disallowed_methods, reason = "tells the owner from the test")]
fn servers_end_with_an_owner_who_is_killed_and_the_next_sweeps_their_folders() {
    if let Ok(within) = std::env::var(OWNER_IN) {
        own_until_killed(Path::new(&within));
    }
    let within = Within::make("killed");
    let mut owner = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "servers_end_with_an_owner_who_is_killed_and_the_next_sweeps_their_folders",
            "--nocapture",
        ])
        .envs([(OWNER_IN, &within.0), ("TMPDIR", &within.0)])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(owner.stdout.take().unwrap()).lines().map(Result::unwrap);
    let line = said.find(|line| line.starts_with("own ")).unwrap();
    let ids: Vec<u32> = line.split(' ').skip(1).map(|id| id.parse().unwrap()).collect();
    assert!(ids.len() == 2 && ids.iter().all(|&id| runs(id)), "{line}");

    owner.kill().unwrap();
    owner.wait().unwrap();
    assert!(waited(|| !ids.iter().any(|&id| runs(id))), "{line}");
    assert!(!within.is_empty());
    drop(postgres::start(&small(&within.0)).unwrap());
    assert!(within.is_empty());
}

fn own_until_killed(within: &Path) -> ! {
    // Started by a thread that ends, as those of an asynchronous program may.
    let within = within.to_owned();
    let start = move || (postgres::start(&small(&within)).unwrap(), redis::start().unwrap());
    let servers = std::thread::spawn(start).join().unwrap();
    println!("\nown {} {}", servers.0.pid().unwrap(), servers.1.pid().unwrap());
    loop {
        std::thread::park();
    }
}
