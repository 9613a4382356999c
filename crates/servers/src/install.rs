//! Debian's packages, installed without the servers that they would start: PostgreSQL's makes and starts a cluster on
//! port 5432, Redis' starts one on 6379, both now and whenever the machine starts.
//!
//! Only on request, and only as root with `apt-get`, as in a container that runs the tests; elsewhere [`Error::Missing`]
//! says what a person has to type. What is written for the time of the installation says so and goes with its end.

use std::fs::{self, OpenOptions};
use std::io::{Write as _, stderr};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::{Error, Software, account, programs};

/// Debian asks it whether a package may start its server.
const POLICY: &str = "/usr/sbin/policy-rc.d";
/// Its answer "forbidden by policy".
const FORBIDDEN: i32 = 101;
/// Read by PostgreSQL's package as it decides whether to make a cluster.
const NO_CLUSTER: &str = "/etc/postgresql-common/createcluster.d/musubi-tests.conf";
/// Waits for another installation, which machines that bring themselves up to date start on their own.
const INSTALL: &[&str] =
    &["install", "--yes", "--quiet", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=300"];
const MARK: &str = "# Written by musubi while it installs packages; delete it when no installation runs.";

/// Whether [`install_missing`] would install this here. Not where an older version is: somebody may be using it.
#[must_use]
pub fn may_install(software: Software) -> bool {
    account::is_root() && programs::find("apt-get").is_some() && software.candidates().next().is_none()
}

/// Install what is missing of these, where that may be done. None of it is running afterwards, nor will be when the machine
/// starts again.
///
/// # Errors
///
/// [`Error::Missing`] when it may not be done, or the packages are too old; [`Error::Install`] when apt-get fails;
/// [`Error::WouldStart`] when this machine has a policy that lets packages start servers.
pub fn install_missing(needed: &[Software]) -> Result<(), Error> {
    let missing: Vec<Software> = needed.iter().copied().filter(|software| !software.is_installed()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    if let Some(&software) = missing.iter().find(|&&software| !may_install(software)) {
        return Err(Error::Missing(software));
    }
    let packages: Vec<&str> = missing.iter().flat_map(|software| software.packages()).copied().collect();
    let _policy = forbid_starts(&packages)?;
    let no_cluster = format!("{MARK}\ncreate_main_cluster = false\n");
    let _no_cluster = Temporary::write(Path::new(NO_CLUSTER), &no_cluster, 0o644)?;
    // Lists that could not be brought up to date may still do.
    let _ = run("apt-get", &["update", "--quiet"]);
    run("apt-get", &[INSTALL, &packages].concat())?;
    for (software, service) in [
        (Software::Redis, programs::REDIS_PACKAGE),
        (Software::Prometheus, "prometheus"),
        (Software::Kannel, "kannel"),
    ] {
        if missing.contains(&software) {
            run("update-rc.d", &[service, "disable"])?;
        }
    }
    missing.into_iter().try_for_each(|software| software.program().map(drop))
}

fn run(program: &str, arguments: &[&str]) -> Result<(), Error> {
    let mut command = Command::new(program);
    command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null()).stdout(stderr());
    let failed = |source| Error::Process { doing: "run", program: program.into(), source };
    let status = command.status().map_err(failed)?;
    let command = || format!("{program} {}", arguments.join(" "));
    if status.success() { Ok(()) } else { Err(Error::Install { command: command(), status }) }
}

/// A policy of our own, or this machine's if it forbids as well.
fn forbid_starts(packages: &[&str]) -> Result<Option<Temporary>, Error> {
    let is_ours = fs::read_to_string(POLICY).is_ok_and(|policy| policy.contains(MARK));
    if is_ours || fs::symlink_metadata(POLICY).is_err() {
        return Temporary::write(Path::new(POLICY), &policy(), 0o755).map(Some);
    }
    let answer = |package: &&str| Command::new(POLICY).args([package, "start"]).status();
    let forbids = |package| answer(package).is_ok_and(|status| status.code() == Some(FORBIDDEN));
    let would_start = || Error::WouldStart { packages: packages.join(" ") };
    if packages.iter().all(forbids) { Ok(None) } else { Err(would_start()) }
}

/// Should we be killed, apt-get goes on without us; after an hour this forbids nothing any more.
fn policy() -> String {
    format!("#!/bin/sh\n{MARK}\n[ -n \"$(find \"$0\" -mmin -60)\" ] && exit {FORBIDDEN}\nexit 0\n")
}

/// A file of the system that goes when the installation ends.
struct Temporary {
    path: PathBuf,
    /// The folder, if it was not there before.
    folder: Option<PathBuf>,
}

impl Temporary {
    fn write(path: &Path, text: &str, mode: u32) -> Result<Self, Error> {
        let folder = path.parent().filter(|folder| !folder.exists()).map(Path::to_owned);
        let written = folder.iter().try_for_each(fs::create_dir_all).and_then(|()| {
            // One that was killed may have left its own.
            let _ = fs::remove_file(path);
            let mut file = OpenOptions::new().create_new(true).write(true).mode(mode).open(path)?;
            file.write_all(text.as_bytes())
        });
        let failed = |source| Error::File { doing: "could not write", path: path.into(), source };
        written.map_err(failed)?;
        Ok(Self { path: path.to_owned(), folder })
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
        // It stays when a package keeps something there now.
        let _ = self.folder.iter().try_for_each(fs::remove_dir);
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::fs::MetadataExt as _;
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn policy_forbids_for_an_hour() {
        let within = crate::folder::Folder::make(&std::env::temp_dir()).unwrap();
        let path = within.path().join("policy");
        let _policy = Temporary::write(&path, &policy(), 0o755).unwrap();
        let answer = || Command::new("sh").arg(&path).args(["any", "start"]).status().unwrap().code();
        assert_eq!(answer(), Some(FORBIDDEN));
        File::open(&path).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(answer(), Some(0));
    }

    #[test]
    fn temporary_file_goes_with_the_folder_that_was_made_for_it() {
        let within = crate::folder::Folder::make(&std::env::temp_dir()).unwrap();
        let path = within.path().join("made/for.conf");
        let temporary = Temporary::write(&path, "one", 0o755).unwrap();
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o755);
        assert_eq!(fs::read_to_string(&path).unwrap(), "one");
        let again = Temporary::write(&path, "other", 0o755).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "other");
        drop((again, temporary));
        assert!(!path.parent().unwrap().exists() && within.path().exists());
    }
}
