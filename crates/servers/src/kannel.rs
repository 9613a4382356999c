//! Kannel, an SMS gateway that measurements stand beside: its bearerbox, which keeps messages and speaks to a message centre, and
//! its smsbox, which takes them over HTTP and calls their senders back. On loopback only, with a password.
//!
//! A message is in a file until the centre has taken it, and so is a report until its sender has it. Surprising: it never asks the system to
//! write them to the disk, so they survive its own end and not the machine's; and whose a report will be it knows from memory alone, which
//! is faster than its ways to keep that.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use crate::account::Account;
use crate::folder::Folder;
use crate::process::command;
use crate::server::{Kind, Server, get};
use crate::{Error, Software, random};

const CONFIGURATION: &str = "kannel.conf";
const SPOOL: &str = "spool";
/// A page that tells what it does.
const STATUS: &str = "/status.txt";
const USER: &str = "musubi";
/// Only what is an error is logged.
const LOG_LEVEL: [&str; 2] = ["-v", "3"];

/// What it is told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Below which folder its own are made; a measurement takes one on a real disk.
    pub within: PathBuf,
    /// The port of loopback where a message centre takes binds of SMPP 3.4, as anybody.
    pub centre: u16,
    /// How many connections it has to the centre.
    pub connections: u32,
    /// How many messages may wait for the centre's answer, on each connection.
    pub window: u32,
    /// How many reports may be on their way to their senders.
    pub reports: u32,
}

/// Both boxes, running. Dropped, they end, and their folders are gone.
pub struct Kannel {
    // Ends first: it ends by itself when the other is gone.
    smsbox: Server,
    bearerbox: Server,
    password: String,
}

impl Kannel {
    /// Start new, empty boxes.
    ///
    /// # Errors
    ///
    /// [`Error::Missing`] when Kannel is not installed, [`Error::File`], [`Error::Ended`] and [`Error::Late`] when it does not start, with
    /// what it said.
    pub fn start(settings: &Settings) -> Result<Self, Error> {
        let program = Software::Kannel.program()?;
        let account = Account::choose()?;
        let password = random::text()?;
        let folder = Folder::make(&settings.within)?;
        account.own(folder.path())?;
        let spool = folder.path().join(SPOOL);
        let made = fs::create_dir(&spool);
        made.map_err(|source| Error::File { doing: "could not make", path: spool.clone(), source })?;
        account.own(&spool)?;
        let inside = Arc::new(AtomicU16::default());
        let bearerbox = Bearerbox {
            program: program.clone(),
            account,
            password: password.clone(),
            settings: settings.clone(),
            inside: Arc::clone(&inside),
        };
        let bearerbox = Server::start(Box::new(bearerbox), folder)?;
        let folder = Folder::make(&settings.within)?;
        account.own(folder.path())?;
        let smsbox = Smsbox {
            program: program.with_file_name("smsbox"),
            account,
            password: password.clone(),
            bearerbox: inside.load(Ordering::Relaxed),
            reports: settings.reports,
        };
        Ok(Self { smsbox: Server::start(Box::new(smsbox), folder)?, bearerbox, password })
    }

    /// Where it takes messages over HTTP.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.smsbox.port()).into()
    }

    /// What a request asks for there, to which the message's own parameters are added, each after `&`.
    #[must_use]
    pub fn target(&self) -> String {
        format!("/cgi-bin/sendsms?username={USER}&password={}", self.password)
    }

    /// Its version, as it says itself.
    ///
    /// # Errors
    ///
    /// [`Error::Process`] when it does not say.
    pub fn version(&self) -> Result<String, Error> {
        let said =
            get(self.bearerbox.port(), STATUS).map_err(|source| self.bearerbox.failed("ask", source))?;
        let version = said.split("version `").nth(1).and_then(|rest| rest.split('\'').next());
        Ok(version.unwrap_or("of no version").to_owned())
    }

    /// The last lines of what both said; empty when nothing went wrong.
    #[must_use]
    pub fn last_words(&self) -> String {
        let said = [&self.bearerbox, &self.smsbox].map(|server| server.last_lines(0));
        said.join("\n").trim().to_owned()
    }
}

/// Writes a configuration, of groups of names and values.
fn write(folder: &Path, account: Account, groups: &[&[(&str, &str)]]) {
    let group = |lines: &&[(&str, &str)]| -> String {
        lines.iter().map(|(name, value)| format!("{name} = \"{value}\"\n")).collect::<String>() + "\n"
    };
    let path = folder.join(CONFIGURATION);
    // What can't be written can't be read, which the program says when it starts.
    let _ = fs::write(&path, groups.iter().map(group).collect::<String>());
    let _ = account.own(&path);
}

struct Bearerbox {
    program: PathBuf,
    account: Account,
    password: String,
    settings: Settings,
    /// The port that it has for its smsbox, drawn anew with each start.
    inside: Arc<AtomicU16>,
}

impl Kind for Bearerbox {
    fn name(&self) -> &'static str {
        "Kannel's bearerbox"
    }

    fn command(&self, folder: &Path, port: u16) -> Command {
        let inside = random::free_port(self.name()).unwrap_or_default();
        self.inside.store(inside, Ordering::Relaxed);
        let Settings { within: _, centre, connections, window, reports } = &self.settings;
        let [port, inside, centre] = [port, inside, *centre].map(|port| port.to_string());
        let [connections, window, reports] = [connections, window, reports].map(u32::to_string);
        let core: &[(&str, &str)] = &[
            ("group", "core"),
            ("admin-port", &port),
            ("admin-interface", "127.0.0.1"),
            ("admin-password", &self.password),
            ("smsbox-port", &inside),
            ("smsbox-interface", "127.0.0.1"),
            ("smsbox-max-pending", &reports),
            ("store-type", "spool"),
            ("store-location", SPOOL),
            ("dlr-storage", "internal"),
        ];
        let centre: &[(&str, &str)] = &[
            ("group", "smsc"),
            ("smsc", "smpp"),
            ("smsc-id", "centre"),
            ("host", "127.0.0.1"),
            ("port", &centre),
            ("transceiver-mode", "true"),
            ("smsc-username", USER),
            ("smsc-password", USER),
            ("system-type", "VMA"),
            ("instances", &connections),
            ("max-pending-submits", &window),
            ("reconnect-delay", "1"),
        ];
        // It does not start without one.
        let smsbox: &[(&str, &str)] = &[("group", "smsbox"), ("bearerbox-host", "127.0.0.1")];
        write(folder, self.account, &[core, centre, smsbox]);
        let mut command = command(&self.program, self.account, folder);
        command.args(LOG_LEVEL).arg(CONFIGURATION);
        command
    }

    fn is_ready(&self, _folder: &Path, port: u16, _id: u32) -> bool {
        get(port, STATUS).is_ok_and(|answer| answer.contains("Kannel bearerbox"))
    }

    fn url(&self, port: u16) -> String {
        format!("http://127.0.0.1:{port}{STATUS}")
    }
}

struct Smsbox {
    program: PathBuf,
    account: Account,
    password: String,
    /// The port that the other box has for it.
    bearerbox: u16,
    reports: u32,
}

impl Kind for Smsbox {
    fn name(&self) -> &'static str {
        "Kannel's smsbox"
    }

    fn command(&self, folder: &Path, port: u16) -> Command {
        let [port, bearerbox] = [port, self.bearerbox].map(|port| port.to_string());
        let core: &[(&str, &str)] = &[("group", "core"), ("smsbox-port", &bearerbox)];
        let smsbox: &[(&str, &str)] = &[
            ("group", "smsbox"),
            ("bearerbox-host", "127.0.0.1"),
            ("sendsms-port", &port),
            ("sendsms-interface", "127.0.0.1"),
            ("max-pending-requests", &self.reports.to_string()),
        ];
        let user: &[(&str, &str)] = &[
            ("group", "sendsms-user"),
            ("username", USER),
            ("password", &self.password),
            ("max-messages", "1"),
        ];
        // It does not start without one.
        let service: &[(&str, &str)] =
            &[("group", "sms-service"), ("keyword", "default"), ("text", "no service")];
        write(folder, self.account, &[core, smsbox, user, service]);
        let mut command = command(&self.program, self.account, folder);
        command.args(LOG_LEVEL).arg(CONFIGURATION);
        command
    }

    fn is_ready(&self, _folder: &Path, port: u16, _id: u32) -> bool {
        get(port, "/").is_ok_and(|answer| answer.contains("Kannel"))
    }

    fn url(&self, port: u16) -> String {
        format!("http://127.0.0.1:{port}/cgi-bin/sendsms")
    }
}
