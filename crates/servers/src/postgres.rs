//! PostgreSQL: one cluster in a folder of its own, on loopback only, as durable as in production.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::account::Account;
use crate::folder::Folder;
use crate::process::command;
use crate::server::{Kind, Server, last_lines};
use crate::{Error, Software, random};

const USER: &str = "musubi";
const DATA: &str = "data";

/// How large the server is, and where.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Below which folder the server's own is made; a measurement takes one on a real disk.
    pub within: PathBuf,
    /// `shared_buffers`, in MiB.
    pub shared_buffers_mib: u32,
    /// `max_connections`.
    pub max_connections: u32,
    /// Further settings as `name=value`. What makes the server durable they can't take back.
    pub more: Vec<String>,
    /// How large a file of the log is that is written ahead, in MiB: a power of two.
    pub wal_segment_mib: u32,
}

/// What a server for measurements has beside its size: a log that isn't written back all the time. All that makes it durable stays on.
const MEASURED: [&str; 5] = [
    "max_wal_size=8GB",
    "checkpoint_timeout=15min",
    "wal_buffers=64MB",
    "effective_io_concurrency=100",
    "max_parallel_workers_per_gather=0",
];

impl Settings {
    /// Of a server that measurements are taken on, in a folder below this one: 1 GiB, 400 connections. Whatever is held against
    /// another measurement has to be measured on the same.
    #[must_use]
    pub fn measured(within: PathBuf) -> Self {
        let more = MEASURED.map(str::to_owned).to_vec();
        Self { within, shared_buffers_mib: 1024, max_connections: 400, more, ..Self::default() }
    }
}

impl Default for Settings {
    /// The system's temporary folder, 256 MiB, 100 connections, files of 16 MiB as PostgreSQL has them.
    fn default() -> Self {
        Self {
            within: std::env::temp_dir(),
            shared_buffers_mib: 256,
            max_connections: 100,
            wal_segment_mib: 16,
            more: Vec::new(),
        }
    }
}

/// Start a new, empty server: UTF-8, order by bytes, a superuser `musubi` with a password. Takes a second or two. It
/// writes to the disk before it acknowledges, as PostgreSQL does unless told otherwise.
///
/// # Errors
///
/// [`Error::Missing`] when PostgreSQL is not installed, [`Error::Initdb`], [`Error::Ended`] and [`Error::Late`] when it
/// does not start, with what it said.
pub fn start(settings: &Settings) -> Result<Server, Error> {
    let program = Software::Postgres.program()?;
    let account = Account::choose()?;
    let folder = Folder::make(&settings.within)?;
    account.own(folder.path())?;
    let password = random::text()?;
    initdb(&program.with_file_name("initdb"), account, &folder, &password, settings.wal_segment_mib)?;
    let kind = Postgres { program, account, password, settings: settings.clone() };
    Server::start(Box::new(kind), folder)
}

fn initdb(
    program: &Path,
    account: Account,
    folder: &Folder,
    password: &str,
    wal_segment_mib: u32,
) -> Result<(), Error> {
    let path = folder.path().join("password");
    let written = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&path);
    let file = |source| Error::File { doing: "could not write", path: path.clone(), source };
    written.and_then(|mut file| file.write_all(password.as_bytes())).map_err(file)?;
    account.own(&path)?;

    let mut initdb = command(program, account, folder.path());
    initdb.args(["-D", DATA, "--username", USER, "--pwfile", "password", "--auth", "scram-sha-256"]);
    // Without flushing the empty database: if the power goes now, so does the owner, and the folder is of no use.
    initdb.args(["--encoding", "UTF8", "--locale", "C", "--no-instructions", "--no-sync"]);
    initdb.arg(format!("--wal-segsize={wal_segment_mib}"));
    let failed = |source| Error::Process { doing: "run", program: program.into(), source };
    let Output { status, stdout: _, stderr } = initdb.output().map_err(failed)?;
    fs::remove_file(&path).map_err(file)?;
    if status.success() { Ok(()) } else { Err(Error::Initdb { status, log: last_lines(&stderr) }) }
}

struct Postgres {
    program: PathBuf,
    account: Account,
    password: String,
    settings: Settings,
}

impl Kind for Postgres {
    fn name(&self) -> &'static str {
        "PostgreSQL"
    }

    fn command(&self, folder: &Path, port: u16) -> Command {
        let Settings { shared_buffers_mib, max_connections, within: _, wal_segment_mib: _, more } =
            &self.settings;
        let mut command = command(&self.program, self.account, folder);
        command.args(["-D", DATA, "-p", &port.to_string()]);
        for setting in more {
            command.args(["-c", setting]);
        }
        for setting in [
            "listen_addresses=127.0.0.1",
            "unix_socket_directories=",
            "fsync=on",
            "full_page_writes=on",
            "synchronous_commit=on",
            "max_locks_per_transaction=256",
            &format!("shared_buffers={shared_buffers_mib}MB"),
            &format!("max_connections={max_connections}"),
        ] {
            command.args(["-c", setting]);
        }
        command
    }

    /// What `pg_ctl --wait` looks at: the server writes into its lock file when it takes connections. It has its port
    /// by then, so nobody else can be mistaken for it.
    fn is_ready(&self, folder: &Path, _port: u16, id: u32) -> bool {
        let lock = fs::read_to_string(folder.join(DATA).join("postmaster.pid")).unwrap_or_default();
        says_ready(&lock, id)
    }

    fn url(&self, port: u16) -> String {
        format!("postgres://{USER}:{}@127.0.0.1:{port}/postgres", self.password)
    }
}

/// Line 1 is the process, line 8 its state, padded with blanks.
fn says_ready(lock: &str, id: u32) -> bool {
    let mut lines = lock.lines();
    lines.next() == Some(id.to_string().as_str()) && lines.nth(6).map(str::trim_end) == Some("ready")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_lock_file_of_this_process_says_ready() {
        let lock = "12\n/data\n1764072437\n20001\n\n127.0.0.1\n  1 2\nready   \n";
        assert!(says_ready(lock, 12));
        assert!(!says_ready(lock, 1));
        assert!(!says_ready(&lock.replace("ready   ", "starting"), 12));
        assert!(!says_ready("12\n/data\n", 12));
        assert!(!says_ready("", 12));
    }
}
