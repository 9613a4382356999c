//! The life of a server, the same for each kind: start on a free port, stop, be killed, start again on the same port
//! and folder, and leave nothing behind.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::folder::Folder;
use crate::process::Process;
use crate::{Error, LOOK, random};

/// How long a server may take to answer; after a crash it first repeats its log.
const START: Duration = Duration::from_secs(120);
/// How long a server may take to write down what it has in memory, and end.
const STOP: Duration = Duration::from_secs(60);
/// How long processes of a server may outlive it, and how long a port may be somebody else's when it starts again.
const LINGER: Duration = Duration::from_secs(30);
/// How long a server may take to answer one who asks whether it is ready.
const ANSWER: Duration = Duration::from_secs(1);
/// How many ports are tried for a new server.
const PORTS: usize = 10;
/// How much of a log stands in an error.
const LINES: usize = 12;
/// What both say, in English because we ask for it, when another process has the port.
const PORT_TAKEN: &str = "Address already in use";

/// What differs from kind to kind.
pub(crate) trait Kind: Send + Sync {
    fn name(&self) -> &'static str;
    fn command(&self, folder: &Path, port: u16) -> Command;
    /// Whether the process of this id answers on the port.
    fn is_ready(&self, folder: &Path, port: u16, id: u32) -> bool;
    fn url(&self, port: u16) -> String;
}

/// A private server. Dropping it ends the server and removes its folder; when the owner is killed, the server ends by
/// itself, and the folder is removed by the next that is started.
pub struct Server {
    kind: Box<dyn Kind>,
    port: u16,
    process: Option<Process>,
    /// Ended otherwise than by our asking, and not started since.
    has_crashed: bool,
    folder: Folder,
}

impl Server {
    pub(crate) fn start(kind: Box<dyn Kind>, folder: Folder) -> Result<Self, Error> {
        let mut server = Self { kind, port: 0, process: None, has_crashed: false, folder };
        let mut ports = 1;
        loop {
            server.port = random::free_port(server.kind.name())?;
            match server.run() {
                Ok(()) => return Ok(server),
                Err(Error::PortTaken { .. }) if ports < PORTS => ports += 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// The address, with user and password. It stays the same when the server starts again.
    #[must_use]
    pub fn url(&self) -> String {
        self.kind.url(self.port)
    }

    /// Where it listens on loopback.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The folder that holds everything of the server, its log too.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The id of the server's process; none when it was stopped or killed.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Process::id)
    }

    /// End the server as an operator would: what is under way is cut off, what was acknowledged is on the disk. One
    /// that has ended stays so.
    ///
    /// # Errors
    ///
    /// [`Error::Process`] when it can't be signalled, [`Error::Late`] when some of its processes do not end.
    pub fn stop(&mut self) -> Result<(), Error> {
        self.end(|process| process.end(STOP))
    }

    /// Kill the server and all of its processes, as a power cut would but for what the system has not yet written to the
    /// disk. When this returns, nothing of it runs.
    ///
    /// # Errors
    ///
    /// As [`Self::stop`].
    pub fn kill(&mut self) -> Result<(), Error> {
        self.end(Process::kill)
    }

    /// Start a server that was stopped or killed, on the same port and folder; one that runs is stopped first.
    ///
    /// # Errors
    ///
    /// [`Error::PortTaken`] when another process has taken the port and keeps it for half a minute, [`Error::Ended`] and
    /// [`Error::Late`] when the server does not start.
    pub fn start_again(&mut self) -> Result<(), Error> {
        self.stop()?;
        let deadline = Instant::now() + LINGER;
        loop {
            match self.run() {
                Err(Error::PortTaken { .. }) if Instant::now() < deadline => thread::sleep(LOOK),
                result => return result,
            }
        }
    }

    /// Let no process of the server write into a file behind this byte, or all of them again as far as they like; one that
    /// starts again may. It is what a full disk is to them, without one: what was written stays, files don't grow, and the
    /// system says so, if in other words (EFBIG, not ENOSPC).
    ///
    /// # Errors
    ///
    /// [`Error::Process`] when that can't be said, because `prlimit` of util-linux is missing.
    pub fn limit_files(&self, bytes: Option<u64>) -> Result<(), Error> {
        let Some(process) = &self.process else { return Ok(()) };
        process.limit_files(bytes).map_err(|source| self.failed("limit", source))
    }

    fn end(&mut self, end: impl FnOnce(&mut Process) -> io::Result<ExitStatus>) -> Result<(), Error> {
        let Some(mut process) = self.process.take() else { return Ok(()) };
        let status = end(&mut process).map_err(|source| self.failed("signal", source))?;
        self.has_crashed = !status.success();
        self.take_log().map(drop)
    }

    /// The log of a server of which nothing runs.
    fn take_log(&self) -> Result<File, Error> {
        self.folder.take_log(LINGER)?.ok_or_else(|| self.late("end", LINGER, 0))
    }

    /// Start the process and wait until it answers.
    fn run(&mut self) -> Result<(), Error> {
        let (name, port) = (self.kind.name(), self.port);
        let log = self.take_log()?;
        let file = |source| Error::File { doing: "could not use", path: self.folder.log(), source };
        let said_before = log.metadata().map_err(file)?.len();
        let mut command = self.kind.command(self.folder(), port);
        command.stdout(log.try_clone().map_err(file)?).stderr(Stdio::from(log));
        let mut process = Process::start(command).map_err(|source| self.failed("run", source))?;
        let deadline = Instant::now() + START;
        while !self.kind.is_ready(self.folder(), port, process.id()) {
            if let Some(status) = process.ended().map_err(|source| self.failed("wait for", source))? {
                let log = self.last_lines(said_before);
                let is_taken = log.contains(PORT_TAKEN);
                return Err(if is_taken {
                    Error::PortTaken { name, port }
                } else {
                    Error::Ended { name, status, log }
                });
            }
            if Instant::now() >= deadline {
                return Err(self.late("answer", START, said_before));
            }
            thread::sleep(LOOK);
        }
        self.process = Some(process);
        self.has_crashed = false;
        Ok(())
    }

    pub(crate) fn failed(&self, doing: &'static str, source: io::Error) -> Error {
        Error::Process { doing, program: self.kind.name().into(), source }
    }

    fn late(&self, what: &'static str, had: Duration, said_before: u64) -> Error {
        let log = self.last_lines(said_before);
        Error::Late { name: self.kind.name(), what, seconds: had.as_secs(), log }
    }

    /// The last lines of the log behind the byte `from`; none when it can't be read.
    pub(crate) fn last_lines(&self, from: u64) -> String {
        let read = || -> io::Result<Vec<u8>> {
            let mut log = File::open(self.folder.log())?;
            log.seek(SeekFrom::Start(from))?;
            let mut text = Vec::new();
            log.read_to_end(&mut text)?;
            Ok(text)
        };
        last_lines(&read().unwrap_or_default())
    }
}

/// What a server of HTTP answers, head and all.
pub(crate) fn get(port: u16, path: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)), ANSWER)?;
    stream.set_read_timeout(Some(ANSWER))?;
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// As much of what a program said as an error holds.
pub(crate) fn last_lines(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}

impl Drop for Server {
    fn drop(&mut self) {
        // A server that has crashed may have left shared memory behind, which it clears up by itself when it starts.
        if self.has_crashed {
            let _ = self.start_again();
        }
        let _ = self.stop();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::{env, fs};

    use super::*;

    /// A shell that plays a server: on the first `taken` ports it finds another one.
    struct Script {
        taken: usize,
        tried: Mutex<Vec<u16>>,
        end: &'static str,
    }

    impl Kind for Script {
        fn name(&self) -> &'static str {
            "script"
        }

        fn command(&self, _folder: &Path, port: u16) -> Command {
            let mut tried = self.tried.lock().unwrap();
            tried.push(port);
            let mut command = Command::new("sh");
            let end = if tried.len() <= self.taken {
                "echo bind: Address already in use; exit 1"
            } else {
                self.end
            };
            command.args(["-c", end]);
            command
        }

        fn is_ready(&self, folder: &Path, _port: u16, _id: u32) -> bool {
            fs::read_to_string(folder.join("log")).is_ok_and(|log| log.ends_with("ready\n"))
        }

        fn url(&self, port: u16) -> String {
            format!("script:{port}")
        }
    }

    fn start(taken: usize, end: &'static str) -> Result<Server, Error> {
        let script = Script { taken, tried: Mutex::default(), end };
        Server::start(Box::new(script), Folder::make(&env::temp_dir()).unwrap())
    }

    #[test]
    fn taken_ports_are_passed_over_until_it_is_not_chance() {
        let server = start(3, "echo ready; exec sleep 60").unwrap();
        assert!(server.pid().is_some());
        assert!(matches!(start(PORTS, ""), Err(Error::PortTaken { name: "script", .. })));
    }

    #[test]
    fn server_that_ends_at_once_is_an_error_with_its_last_words() {
        let Err(error) = start(0, "seq 1 20; exit 3") else { panic!("a server that has ended") };
        let text = error.to_string();
        assert!(
            text.contains("exit status: 3") && text.ends_with("\n19\n20") && !text.contains("\n8\n"),
            "{text}"
        );
    }

    #[test]
    fn end_waits_for_processes_that_outlive_the_server() {
        let started = Instant::now();
        let mut server = start(0, "sleep 1 & echo ready; exec sleep 60").unwrap();
        server.stop().unwrap();
        assert!(started.elapsed() >= Duration::from_secs(1));
    }
}
