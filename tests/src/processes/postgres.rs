//! A PostgreSQL server of one test's own that fails as the test wants it to: stopped, killed, crowded, read-only, full.
//!
//! Everything here is done from outside, as an operator or a disk would; no SQL is spoken. Surprising: whoever takes connections
//! away from others needs no password: a client that has said hello and nothing more occupies one.

use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    io::{Read as _, Write as _},
    iter,
    net::{Ipv4Addr, TcpStream},
    path::PathBuf,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use musubi_servers::{
    Server,
    postgres::{self, Settings},
};
use musubi_storage::create_database;
use tokio::task::block_in_place;

use super::files::NAMES;

/// A full disk lets files grow up to here: no table of any size fits, and the log that is written ahead does.
const LARGEST_FILE: u64 = 1 << 20;
/// How long anything may take that is asked of the server.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(20);

/// The server; dropped, it goes. What it is told takes effect before the call returns.
pub struct Postgres {
    server: Server,
}

impl Postgres {
    /// Starts one for this many connections.
    ///
    /// # Panics
    /// When it doesn't start.
    #[must_use]
    pub fn start(max_connections: u32) -> Self {
        // The log in files of as many bytes as a full disk lets files have.
        let settings =
            Settings { max_connections, shared_buffers_mib: 64, wal_segment_mib: 1, ..Settings::default() };
        Self { server: postgres::start(&settings).unwrap() }
    }

    /// An empty database for each node.
    ///
    /// # Panics
    /// When one can't be made.
    pub async fn databases(&self) -> BTreeMap<&'static str, String> {
        let mut databases = BTreeMap::new();
        for name in NAMES {
            let made = create_database(&self.server.url(), &database(name)).await;
            databases.insert(name, made.unwrap());
        }
        databases
    }

    /// Stops it fast, as an operator does.
    ///
    /// # Panics
    /// When it doesn't end.
    pub fn stop(&mut self) {
        block_in_place(|| self.server.stop()).unwrap();
    }

    /// Dumps it, stops it, and gives the dump and every file that it has, its log included, byte for byte.
    ///
    /// # Panics
    /// When it can't be dumped or doesn't end, or a file can't be read.
    pub fn stored(&mut self) -> Vec<(PathBuf, Vec<u8>)> {
        let url = self.server.url();
        // It passes on to the program that it starts for each database what stands in the address, but for the password.
        let password = url.split([':', '@']).nth(2).unwrap();
        let mut dump = Command::new("pg_dumpall");
        let dumped = dump.args(["--dbname", &url]).env("PGPASSWORD", password).output().unwrap();
        assert!(dumped.status.success(), "{}", String::from_utf8_lossy(&dumped.stderr));
        self.stop();
        let mut folders = vec![self.server.folder().join("data")];
        let mut stored = vec![(PathBuf::from("dump"), dumped.stdout)];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                match path.is_dir() {
                    true => folders.push(path),
                    false => stored.push((path.clone(), fs::read(path).unwrap())),
                }
            }
        }
        stored
    }

    /// Kills all of it (SIGKILL).
    ///
    /// # Panics
    /// When it doesn't end.
    pub fn kill(&mut self) {
        block_in_place(|| self.server.kill()).unwrap();
    }

    /// Starts it on its files.
    ///
    /// # Panics
    /// When it doesn't start.
    pub fn start_again(&mut self) {
        block_in_place(|| self.server.start_again()).unwrap();
    }

    /// Takes every connection there is, also those that nodes have, who are paused meanwhile; they are free again when the value goes.
    ///
    /// # Panics
    /// When nodes keep some.
    #[must_use]
    pub fn crowd(&self) -> Vec<TcpStream> {
        let since = Instant::now();
        loop {
            let of_nodes = self.sessions();
            if of_nodes.is_empty() {
                return iter::from_fn(|| self.hello()).collect();
            }
            assert!(since.elapsed() < PATIENCE, "nodes keep {} connections", of_nodes.len());
            for id in of_nodes {
                signal("-TERM", &id);
            }
            thread::sleep(LOOK);
        }
    }

    /// Lets nobody write (`default_transaction_read_only`), or everybody again.
    ///
    /// # Panics
    /// When the configuration can't be written.
    pub fn read_only(&self, is_on: bool) {
        let file = self.server.folder().join("data/postgresql.auto.conf");
        let mut file = OpenOptions::new().append(true).open(file).unwrap();
        let value = if is_on { "on" } else { "off" };
        writeln!(file, "default_transaction_read_only = {value}").unwrap();
        signal("-HUP", &self.server.pid().unwrap().to_string());
        // As after a failover: whoever was inside has to come again.
        for id in self.sessions() {
            signal("-TERM", &id);
        }
    }

    /// No table gets any larger that is not small, as on a disk that is full; or all as they like again.
    ///
    /// # Panics
    /// When the server can't be told.
    pub fn fill_disk(&self, is_full: bool) {
        self.server.limit_files(is_full.then_some(LARGEST_FILE)).unwrap();
    }

    /// Not even the log can be written, until the server, which ends by that, is started again.
    ///
    /// # Panics
    /// When it goes on nevertheless.
    pub fn fill_disk_of_log(&mut self) {
        self.server.limit_files(Some(0)).unwrap();
        let id = self.server.pid().unwrap();
        let since = Instant::now();
        while fs::read_to_string(format!("/proc/{id}/stat")).is_ok_and(|stat| !stat.contains(") Z ")) {
            assert!(since.elapsed() < PATIENCE, "the server works without a log");
            thread::sleep(LOOK);
        }
        self.stop();
    }

    /// Occupies a connection; none when none is left.
    fn hello(&self) -> Option<TcpStream> {
        let url = self.server.url();
        let port: u16 = url.split(['/', ':']).find_map(|part| part.parse().ok()).unwrap();
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()?;
        stream.write_all(b"\x00\x00\x00\x27\x00\x03\x00\x00user\0musubi\0database\0postgres\0\0").ok()?;
        let mut answer = [0];
        stream.read_exact(&mut answer).ok()?;
        (answer == *b"R").then_some(stream)
    }

    /// The processes of the server that work for nodes, by what they call themselves.
    fn sessions(&self) -> Vec<String> {
        let id = self.server.pid().unwrap();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap();
        let works_for_node = |id: &&str| {
            let title = fs::read_to_string(format!("/proc/{id}/cmdline")).unwrap_or_default();
            NAMES.iter().any(|name| title.contains(&format!(" {} ", database(name))))
        };
        children.split_whitespace().filter(works_for_node).map(str::to_owned).collect()
    }
}

fn database(node: &str) -> String {
    node.replace('-', "_")
}

/// Whoever has ended meanwhile is as good.
fn signal(name: &str, id: &str) {
    let _ended = Command::new("kill").args([name, id]).stderr(std::process::Stdio::null()).status().unwrap();
}
