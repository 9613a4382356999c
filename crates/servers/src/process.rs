//! A child that dies with its parent, also when the parent is killed, and that Ctrl-C at the terminal does not reach.
//!
//! Linux sends the signal of a parent's death when the *thread* that started the child ends. So each child is started by
//! a thread of its own that lives as long as somebody holds the [`Process`], and may be used from any other.

use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};
use std::{fs, io, iter};

use rustix::process::{Pid, Signal, kill_process};

use crate::account::{Account, is_root};
use crate::{LOOK, programs};

/// A running child. Whoever drops it without waiting for its end kills it.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    /// The thread that started the child ends when this is dropped.
    _keeper: mpsc::Sender<()>,
}

impl Process {
    /// Start the command.
    pub(crate) fn start(mut command: Command) -> io::Result<Self> {
        let (started, child) = mpsc::sync_channel(1);
        let (keeper, dropped) = mpsc::channel::<()>();
        thread::Builder::new().name("server's parent".to_owned()).spawn(move || {
            let child = command.spawn();
            // The command has copies of the child's files, whose locks shall be the child's alone.
            drop(command);
            if started.send(child).is_ok() {
                let _ = dropped.recv();
            }
        })?;
        let child = child.recv().map_err(io::Error::other)??;
        Ok(Self { child, _keeper: keeper })
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// How the child ended, if it has.
    pub(crate) fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Ask the child to end, kill it when it has not after `patience`, and wait for its end.
    pub(crate) fn end(&mut self, patience: Duration) -> io::Result<ExitStatus> {
        let deadline = Instant::now() + patience;
        if self.ended()?.is_none() {
            kill_process(Pid::from_child(&self.child), Signal::INT)?;
        }
        while Instant::now() < deadline {
            if let Some(status) = self.ended()? {
                return Ok(status);
            }
            thread::sleep(LOOK);
        }
        self.kill()
    }

    /// Kill the child and its children, and wait for its end. Where the kernel does not list children, they have to
    /// notice by themselves.
    pub(crate) fn kill(&mut self) -> io::Result<ExitStatus> {
        let children = self.children();
        self.child.kill()?;
        for child in children {
            // One that has ended meanwhile is as good.
            let _ = kill_process(child, Signal::KILL);
        }
        self.child.wait()
    }

    /// Let the child, its children and those to come write into files up to this byte only; `None`: as far as at first.
    pub(crate) fn limit_files(&self, bytes: Option<u64>) -> io::Result<()> {
        let id = Pid::from_child(&self.child);
        let owner = fs::metadata(format!("/proc/{}", id.as_raw_nonzero()))?;
        let limit = bytes.map_or_else(|| "unlimited".to_owned(), |bytes| bytes.to_string());
        // First the child, so that whatever it starts from now on has the limit, too.
        for (is_child, id) in iter::once((false, id)).chain(self.children().into_iter().map(|id| (true, id)))
        {
            // Only the owner of a process may do that without being told so by the kernel.
            let mut prlimit = Command::new(programs::find("prlimit").ok_or(io::ErrorKind::NotFound)?);
            prlimit.args(["--pid", &id.as_raw_nonzero().to_string(), &format!("--fsize={limit}:")]);
            if is_root() {
                prlimit.uid(owner.uid()).gid(owner.gid());
            }
            let output = prlimit.stdin(Stdio::null()).output()?;
            // A child may have ended meanwhile.
            if !output.status.success() && !is_child {
                return Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()));
            }
        }
        Ok(())
    }

    fn children(&self) -> Vec<Pid> {
        let id = self.id();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
        children.split_whitespace().filter_map(|id| Pid::from_raw(id.parse().ok()?)).collect()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !matches!(self.ended(), Ok(Some(_))) {
            let _ = self.kill();
        }
    }
}

/// A command that runs `program` as the account, in the folder, with an environment in which it speaks English and
/// finds no settings, in a process group of its own, and that gets SIGINT when its parent ends. Only where `setpriv` of
/// util-linux is missing it does not notice that.
pub(crate) fn command(program: &Path, account: Account, folder: &Path) -> Command {
    let mut command = match programs::find("setpriv").filter(|setpriv| sends_death_signal(setpriv)) {
        Some(setpriv) => {
            let mut command = Command::new(setpriv);
            command.args(DEATH_SIGNAL).arg(program);
            command
        }
        None => Command::new(program),
    };
    account.run(&mut command);
    command
        .env_clear()
        .envs([("LC_ALL", "C"), ("TZ", "UTC")])
        .current_dir(folder)
        .process_group(0)
        .stdin(Stdio::null());
    command
}

const DEATH_SIGNAL: [&str; 3] = ["--pdeathsig", "INT", "--"];

/// Busybox has a `setpriv` too, with fewer options.
fn sends_death_signal(setpriv: &Path) -> bool {
    let probe = Command::new(setpriv).args(DEATH_SIGNAL).arg("true").stderr(Stdio::null()).status();
    probe.is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sleeper() -> Process {
        let sleep = programs::find("sleep").unwrap();
        let mut command = command(&sleep, Account::choose().unwrap(), Path::new("/"));
        command.arg("60");
        Process::start(command).unwrap()
    }

    #[test]
    fn child_survives_the_thread_that_asked_for_it() {
        let mut process = thread::spawn(sleeper).join().unwrap();
        thread::sleep(Duration::from_millis(200));
        assert_eq!(process.ended().unwrap(), None);
    }

    #[test]
    fn child_ends_with_the_last_who_holds_it() {
        let process = sleeper();
        let folder = format!("/proc/{}", process.id());
        assert!(Path::new(&folder).exists());
        drop(process);
        assert!(!Path::new(&folder).exists());
    }

    #[test]
    fn program_that_does_not_exist_does_not_start() {
        let started = Process::start(Command::new("no-such-program-here"));
        assert_eq!(started.unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
