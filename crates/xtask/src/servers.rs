//! The PostgreSQL and the Redis of the tests, for the time of one command. How they are started, and that they end
//! with us whatever ends us, is the business of `musubi-servers`.
//!
//! Surprising: from the start on, Ctrl-C and the signals that ask a process to end do not end this one. They are passed
//! on to the command, and its end is ours, so that servers and folders go too.

use std::ffi::OsString;
use std::io::{IsTerminal as _, stdin};
use std::process::{Child, Command, ExitStatus};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use musubi_servers::{POSTGRES_VARIABLE, REDIS_VARIABLE, Server, Software, install_missing, postgres, redis};
use rustix::process::{Pid, Signal, kill_process};

const LOOK: Duration = Duration::from_millis(50);
const SIGNALS: [Signal; 4] = [Signal::HUP, Signal::INT, Signal::QUIT, Signal::TERM];

/// Both servers, running.
pub(crate) struct Servers {
    postgres: Server,
    redis: Server,
    signals: Signals,
}

impl Servers {
    /// Install what is missing of `needed`, where that may be done, and start both.
    ///
    /// # Errors
    ///
    /// When something is missing or does not start; the text says what to do.
    pub(crate) fn start(needed: &[Software]) -> anyhow::Result<Self> {
        let signals = Signals::catch()?;
        install_missing(needed)?;
        let postgres = postgres::start(&postgres::Settings::default())?;
        let redis = redis::start()?;
        Ok(Self { postgres, redis, signals })
    }

    fn addresses(&self) -> [(&'static str, String); 2] {
        [(POSTGRES_VARIABLE, self.postgres.url()), (REDIS_VARIABLE, self.redis.url())]
    }

    /// Run a command that finds the servers in its environment, and stop them.
    ///
    /// # Errors
    ///
    /// When the command does not start, or a signal came before.
    pub(crate) fn run(self, command: &mut Command) -> anyhow::Result<ExitStatus> {
        self.signals.run(command.envs(self.addresses()))
    }
}

/// Run the command beside both servers; without one, print their addresses and wait for a signal.
///
/// # Errors
///
/// When the servers or the command do not start, or the command fails.
pub(crate) fn serve(command: &[OsString]) -> anyhow::Result<()> {
    let servers = Servers::start(&[Software::Postgres, Software::Redis])?;
    let Some((program, arguments)) = command.split_first() else {
        for (variable, address) in servers.addresses() {
            println!("export {variable}={address}");
        }
        while servers.signals.take().is_none() {
            thread::sleep(LOOK);
        }
        return Ok(());
    };
    let status = servers.run(Command::new(program).args(arguments))?;
    anyhow::ensure!(status.success(), "`{}` failed ({status})", program.display());
    Ok(())
}

/// A terminal has sent what its keys mean to the command already, and a second time may mean more to it.
fn pass_on(signal: Signal, child: &Child) -> anyhow::Result<()> {
    if [Signal::INT, Signal::QUIT].contains(&signal) && stdin().is_terminal() {
        return Ok(());
    }
    kill_process(Pid::from_child(child), signal).context("a signal could not be passed on")
}

/// The signals that ask a process to end, kept until somebody looks.
pub(crate) struct Signals(Arc<AtomicUsize>);

impl Signals {
    /// From now on none of them ends this process.
    pub(crate) fn catch() -> anyhow::Result<Self> {
        let last = Arc::default();
        for signal in SIGNALS {
            let number = signal.as_raw();
            signal_hook::flag::register_usize(number, Arc::clone(&last), usize::try_from(number)?)?;
        }
        Ok(Self(last))
    }

    /// The last one that came since somebody looked.
    fn take(&self) -> Option<Signal> {
        let number = self.0.swap(0, Ordering::SeqCst);
        SIGNALS.into_iter().find(|signal| usize::try_from(signal.as_raw()) == Ok(number))
    }

    /// An error when one has come.
    pub(crate) fn none(&self) -> anyhow::Result<()> {
        anyhow::ensure!(self.take().is_none(), "stopped by a signal");
        Ok(())
    }

    /// Run a command to its end; signals are passed on to it.
    ///
    /// # Errors
    ///
    /// When it does not start, or a signal came before.
    pub(crate) fn run(&self, command: &mut Command) -> anyhow::Result<ExitStatus> {
        self.none()?;
        let started = command.spawn();
        let mut child =
            started.with_context(|| format!("{} did not start", command.get_program().display()))?;
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(status);
            }
            if let Some(signal) = self.take() {
                pass_on(signal, &child)?;
            }
            thread::sleep(LOOK);
        }
    }
}

#[cfg(test)]
mod tests {
    use rustix::process::getpid;

    use super::*;

    #[test]
    fn signal_is_kept_until_somebody_looks() {
        let signals = Signals::catch().unwrap();
        assert_eq!(signals.take(), None);
        kill_process(getpid(), Signal::TERM).unwrap();
        let look = || {
            thread::sleep(LOOK);
            signals.take()
        };
        assert_eq!((0..100).find_map(|_| look()), Some(Signal::TERM));
        assert_eq!(signals.take(), None);
    }
}
