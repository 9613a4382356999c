//! Redis or Valkey: everything in memory, nothing kept, on loopback only.

use std::fs::OpenOptions;
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::account::Account;
use crate::folder::Folder;
use crate::process::command;
use crate::server::{Kind, Server};
use crate::{Error, Software, random};

const CONFIGURATION: &str = "redis.conf";
const PATIENCE: Duration = Duration::from_secs(1);

/// Start a new, empty server with a password.
///
/// # Errors
///
/// [`Error::Missing`] when neither is installed, [`Error::Ended`] and [`Error::Late`] when it does not start, with what
/// it said.
pub fn start() -> Result<Server, Error> {
    let program = Software::Redis.program()?;
    let account = Account::choose()?;
    let folder = Folder::make(&std::env::temp_dir())?;
    account.own(folder.path())?;
    let password = random::text()?;
    configure(&folder, account, &password)?;
    Server::start(Box::new(Redis { program, account, password }), folder)
}

/// In a file, because everybody on the machine sees arguments.
fn configure(folder: &Folder, account: Account, password: &str) -> Result<(), Error> {
    let path = folder.path().join(CONFIGURATION);
    let text = format!("bind 127.0.0.1\nrequirepass {password}\nsave \"\"\nappendonly no\ndaemonize no\n");
    let opened = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&path);
    let written = opened.and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|source| Error::File { doing: "could not write", path: path.clone(), source })?;
    account.own(&path)
}

struct Redis {
    program: PathBuf,
    account: Account,
    password: String,
}

impl Redis {
    fn ping(&self, port: u16) -> io::Result<bool> {
        let mut stream =
            TcpStream::connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)), PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        write!(stream, "AUTH {}\r\nPING\r\n", self.password)?;
        let mut answer = [0; b"+OK\r\n+PONG\r\n".len()];
        stream.read_exact(&mut answer)?;
        Ok(&answer == b"+OK\r\n+PONG\r\n")
    }
}

impl Kind for Redis {
    fn name(&self) -> &'static str {
        "Redis"
    }

    fn command(&self, folder: &Path, port: u16) -> Command {
        let mut command = command(&self.program, self.account, folder);
        command.args([CONFIGURATION, "--port", &port.to_string()]);
        command
    }

    /// Only ours knows the password.
    fn is_ready(&self, _folder: &Path, port: u16, _id: u32) -> bool {
        self.ping(port).unwrap_or(false)
    }

    fn url(&self, port: u16) -> String {
        format!("redis://default:{}@127.0.0.1:{port}", self.password)
    }
}
