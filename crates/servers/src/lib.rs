//! PostgreSQL and Redis of one's own, for tests, measurements and the demo: each in a folder that is made for it, on a port of
//! loopback that was free, with a password that nobody knows, and gone when its owner is, whatever ends the owner. And a
//! browser for the tests of pages, a Prometheus for those of metrics and a Kannel to measure beside, found and installed alike.
//!
//! What lives here finds the programs (or installs Debian's packages, when asked), starts, stops, kills and starts
//! again. It never touches a server that it did not start, and never speaks SQL: what tests do with a server is theirs,
//! so that `cargo xtask` can start one without building a driver. Surprising: everything blocks; asynchronous code
//! calls it on a thread that may block.
//!
//! | file | what |
//! |---|---|
//! | `programs` | which programs there are on this machine, and of which version |
//! | `install` | Debian's packages, without the servers that they would start |
//! | `folder` | temporary folders, and the sweeping of those whose owner was killed |
//! | `account` | who runs a server when we are root, which PostgreSQL refuses to be |
//! | `process` | a child that dies with its parent |
//! | `server` | the life of a server: start, stop, kill, start again |
//! | [`postgres`], [`redis`], [`prometheus`], [`kannel`] | what differs |
//! | `scripts` | scripts of Node.js, with packages of npm |
//! | `browser` | Chromium, and the scripts that drive it |

use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

mod account;
mod browser;
mod folder;
mod install;
pub mod kannel;
pub mod postgres;
mod process;
mod programs;
pub mod prometheus;
mod random;
pub mod redis;
mod scripts;
mod server;
mod variables;

pub use browser::Browser;
pub use install::{install_missing, may_install};
pub use programs::Software;
pub use scripts::Scripts;
pub use server::Server;
pub use variables::{POSTGRES_VARIABLE, REDIS_VARIABLE, test_postgres_url, test_redis_url};

/// How often something is looked at that gives no sign when it is done.
const LOOK: Duration = Duration::from_millis(10);

/// Why there is no server. Each text ends with what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A program is not installed, or is too old.
    #[error("{} is not installed: {}", .0.name(), .0.remedy())]
    Missing(Software),
    /// Packages could not be installed.
    #[error("`{command}` failed ({status}): mend what it says above, or install the packages by hand")]
    Install {
        /// What was run.
        command: String,
        /// How it ended.
        status: ExitStatus,
    },
    /// The machine has a policy of its own, which would let a package start its server.
    #[error(
        "/usr/sbin/policy-rc.d of this machine would let packages start servers, so nothing was installed: \
         install {packages} by hand"
    )]
    WouldStart {
        /// What would have been installed, separated by spaces.
        packages: String,
    },
    /// PostgreSQL does not run as root, and there is no other account to run it as.
    #[error("/etc/passwd has no user postgres or nobody to run a server as: add one, or don't be root")]
    NoAccount,
    /// A file or folder could not be made, read or handed over.
    #[error("{doing} {}: look at its permissions and at the space on its disk", .path.display())]
    File {
        /// What was tried, as the beginning of a sentence.
        doing: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
    /// A program was there and could not be run, waited for or signalled.
    #[error("could not {doing} {program}: see whether it still is there and may be run")]
    Process {
        /// `run`, `wait for`, `signal`, `limit`.
        doing: &'static str,
        /// The program.
        program: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
    /// The database's files could not be made.
    #[error(
        "initdb failed ({status}): mend what it says; another folder is taken with TMPDIR, and has to let the user \
         postgres in when this is root\n{log}"
    )]
    Initdb {
        /// How it ended.
        status: ExitStatus,
        /// The last lines of what it said.
        log: String,
    },
    /// No port of loopback was free, or that of a server which starts again was taken meanwhile.
    #[error(
        "no free port for {name} (the last tried was {port}): stop what takes the ports from 20000 to 32767"
    )]
    PortTaken {
        /// Which server.
        name: &'static str,
        /// The port that was tried last.
        port: u16,
    },
    /// The server ended before it answered.
    #[error("{name} ended as it started ({status}): mend what it says\n{log}")]
    Ended {
        /// Which server.
        name: &'static str,
        /// How it ended.
        status: ExitStatus,
        /// The last lines of its log.
        log: String,
    },
    /// The server runs, and does not answer or does not end in time.
    #[error("{name} did not {what} within {seconds} s: see whether the machine is overloaded\n{log}")]
    Late {
        /// Which server.
        name: &'static str,
        /// `answer`, `end`.
        what: &'static str,
        /// How long it had.
        seconds: u64,
        /// The last lines of its log.
        log: String,
    },
}
