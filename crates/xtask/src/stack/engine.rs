//! The container engine: the one that runs, or Debian's, installed and started for the time of the command.
//!
//! Everything is asked of the engine's command line. Surprising: a newer client without its builder can't build with a cache, so the
//! client is chosen by what it can do, not by its place on the search path.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use musubi_servers::{Software, install_missing};
use rustix::process::{Pid, Signal, kill_process};

/// The clients that a machine may have.
const CLIENTS: [&str; 2] = ["docker", "/usr/bin/docker"];
/// The first whose `docker build` has no builder of its own.
const WITHOUT_BUILDER: u32 = 23;
/// How long the engine has to start, and to end.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(200);

/// An engine that answers. One that was started here ends when it is dropped.
pub(crate) struct Engine {
    client: &'static str,
    compose: &'static [&'static str],
    daemon: Option<Child>,
}

impl Engine {
    /// Finds one, or installs and starts Debian's where that may be done. Its log goes to this folder.
    ///
    /// # Errors
    ///
    /// When there is none and none may be installed, or it does not start.
    pub(crate) fn ready(folder: &Path) -> anyhow::Result<Self> {
        if !CLIENTS.iter().any(|client| builds(client)) || compose().is_none() {
            install_missing(&[Software::Docker])?;
        }
        let client = CLIENTS.into_iter().find(|client| builds(client));
        let client = client.context("no docker client here can build; install docker-buildx")?;
        let compose = compose().context("there is no Compose; install docker-compose, 1.29 or newer")?;
        let mut engine = Self { client, compose, daemon: None };
        if !engine.answers() {
            engine.daemon = Some(start(folder)?);
            let since = Instant::now();
            while !engine.answers() {
                let log = folder.join("dockerd.log");
                anyhow::ensure!(since.elapsed() < PATIENCE, "dockerd does not start; see {}", log.display());
                thread::sleep(LOOK);
            }
        }
        Ok(engine)
    }

    fn answers(&self) -> bool {
        succeeds(Command::new(self.client).args(["info", "--format", "{{.ServerVersion}}"]))
    }

    /// A command of the engine.
    pub(crate) fn command<I: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = I>) -> Command {
        let mut command = Command::new(self.client);
        command.args(arguments).env("DOCKER_BUILDKIT", "1").stdin(Stdio::null());
        command
    }

    /// A command of Compose.
    pub(crate) fn compose<I: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = I>) -> Command {
        let (program, first) = match self.compose {
            [program, first @ ..] => (*program, first),
            [] => (self.client, &[][..]),
        };
        let mut command = Command::new(program);
        command.args(first).args(arguments).stdin(Stdio::null());
        command
    }

    /// What a command of the engine prints.
    ///
    /// # Errors
    ///
    /// When it fails; the text has what it said.
    pub(crate) fn ask<I: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = I>,
    ) -> anyhow::Result<String> {
        said(&mut self.command(arguments))
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let Some(daemon) = &mut self.daemon else { return };
        if let Some(id) = i32::try_from(daemon.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(id, Signal::TERM);
        }
        let _ = daemon.wait();
    }
}

/// Runs a command to its end, and gives what it prints.
///
/// # Errors
///
/// When it fails; the text has what it said.
pub(crate) fn said(command: &mut Command) -> anyhow::Result<String> {
    let line = shown(command);
    let Output { status, stdout, stderr } =
        command.output().with_context(|| format!("`{line}` did not start"))?;
    let stderr = String::from_utf8_lossy(&stderr);
    anyhow::ensure!(status.success(), "`{line}` failed ({status}): {}", stderr.trim());
    Ok(String::from_utf8_lossy(&stdout).trim().to_owned())
}

/// Runs a command to its end and lets it print.
///
/// # Errors
///
/// When it fails.
pub(crate) fn done(command: &mut Command) -> anyhow::Result<()> {
    let line = shown(command);
    println!("$ {line}");
    let status = command.status().with_context(|| format!("`{line}` did not start"))?;
    anyhow::ensure!(status.success(), "`{line}` failed ({status})");
    Ok(())
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}

/// Whether a command ends well.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command.stdin(Stdio::null()).output().is_ok_and(|output| output.status.success())
}

/// Whether this client is there and can build with a cache.
fn builds(client: &str) -> bool {
    let version = said(Command::new(client).arg("--version")).unwrap_or_default();
    let major = version.split(|c: char| !c.is_ascii_digit()).find_map(|part| part.parse::<u32>().ok());
    match major {
        Some(major) if major < WITHOUT_BUILDER => true,
        Some(_) => succeeds(Command::new(client).args(["buildx", "version"])),
        None => false,
    }
}

/// Compose, the newer first.
fn compose() -> Option<&'static [&'static str]> {
    let candidates: [&'static [&'static str]; 3] =
        [&["docker", "compose"], &["/usr/bin/docker", "compose"], &["docker-compose"]];
    candidates.into_iter().find(|words| succeeds(Command::new(words[0]).args(&words[1..]).arg("version")))
}

fn start(folder: &Path) -> anyhow::Result<Child> {
    fs::create_dir_all(folder)?;
    let log = File::create(folder.join("dockerd.log"))?;
    let mut dockerd = Command::new("dockerd");
    dockerd.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    dockerd.spawn().context("dockerd did not start; start an engine, and run this as who may call it")
}
