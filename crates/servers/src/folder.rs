//! Temporary folders, one for each server. The folder goes with its owner; that of an owner who was killed is swept by
//! the next one who makes a folder beside it.
//!
//! Who still uses a folder is told by locks, not by process ids, which other containers on the same disk give to other
//! processes: the owner holds a lock on the folder, and every process of the server, as long as it lives, one on the
//! log that it writes to.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::{Error, LOOK, random};

const PREFIX: &str = "musubi-server-";
const LOG: &str = "log";
/// A new folder can be swept before it is locked; this many in a row is not chance.
const TRIES: usize = 10;

/// A folder that only its owner may enter; removed when dropped.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// A new, empty folder below `within`, after sweeping those there that nobody uses any more.
    pub(crate) fn make(within: &Path) -> Result<Self, Error> {
        let failed =
            |source| Error::File { doing: "could not make a folder below", path: within.into(), source };
        sweep(within);
        let mut reason = TryLockError::WouldBlock;
        for _ in 0..TRIES {
            let path = within.join(format!("{PREFIX}{}-{}", std::process::id(), random::text()?));
            DirBuilder::new().mode(0o700).create(&path).map_err(failed)?;
            match lock(&path) {
                Ok(lock) if path.exists() => return Ok(Self { path, _lock: lock }),
                Ok(_) => {}
                Err(error) => reason = error,
            }
        }
        Err(failed(reason.into()))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.path.join(LOG)
    }

    /// The log, for a process that holds the lock on it by writing to it; waits until no other does. `None` when that
    /// takes longer than `patience`.
    ///
    /// Even a lock that was let go may last a moment: a child that another thread is about to start has copies of all
    /// our files until its program begins.
    pub(crate) fn take_log(&self, patience: Duration) -> Result<Option<File>, Error> {
        let file = |source| Error::File { doing: "could not open", path: self.log(), source };
        let log = OpenOptions::new().create(true).append(true).mode(0o600).open(self.log()).map_err(file)?;
        let deadline = Instant::now() + patience;
        loop {
            match log.try_lock() {
                Ok(()) => return Ok(Some(log)),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => thread::sleep(LOOK),
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(source)) => return Err(file(source)),
            }
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What can't be removed now, the next sweep removes.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Open a file or folder and hold the lock on it, if nobody else does.
fn lock(path: &Path) -> Result<File, TryLockError> {
    let file = File::open(path).map_err(TryLockError::Error)?;
    file.try_lock().map(|()| file)
}

/// Remove the folders below `within` whose owner and server have ended. What is not ours to remove stays.
fn sweep(within: &Path) {
    let Ok(entries) = fs::read_dir(within) else { return };
    for entry in entries.flatten() {
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if !is_folder || !entry.file_name().to_string_lossy().starts_with(PREFIX) {
            continue;
        }
        let Ok(_owner) = lock(&entry.path()) else { continue };
        match lock(&entry.path().join(LOG)) {
            Err(TryLockError::WouldBlock) => continue,
            Err(TryLockError::Error(error)) if error.kind() != io::ErrorKind::NotFound => continue,
            Err(TryLockError::Error(_)) | Ok(_) => {}
        }
        let _ = fs::remove_dir_all(entry.path());
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    #[test]
    fn folder_goes_with_its_owner_and_is_nobody_elses() {
        let within = Folder::make(&std::env::temp_dir()).unwrap();
        let folder = Folder::make(within.path()).unwrap();
        let path = folder.path().to_owned();
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o700);
        drop(folder);
        assert!(!path.exists());
    }

    #[test]
    fn sweep_leaves_what_an_owner_or_a_server_uses_and_what_is_not_ours() {
        let within = Folder::make(&std::env::temp_dir()).unwrap();
        let name = |name: &str| within.path().join(format!("{PREFIX}{name}"));
        for path in [name("unused"), name("logging"), within.path().join("other")] {
            fs::create_dir(path).unwrap();
        }
        File::create(name("unused").join(LOG)).unwrap();
        File::create(name("file")).unwrap();
        let log = File::create(name("logging").join(LOG)).unwrap();
        log.lock().unwrap();
        let owned = Folder::make(within.path()).unwrap();
        assert!(!name("unused").exists());
        sweep(within.path());
        let left = [name("logging"), name("file"), within.path().join("other"), owned.path().into()];
        assert!(left.iter().all(|path| path.exists()), "{left:?}");
        drop(log);
        let deadline = Instant::now() + PATIENCE;
        while name("logging").exists() && Instant::now() < deadline {
            sweep(within.path());
        }
        assert!(!name("logging").exists());
    }

    #[test]
    fn log_is_taken_when_nobody_holds_it() {
        let folder = Folder::make(&std::env::temp_dir()).unwrap();
        let log = folder.take_log(PATIENCE).unwrap().unwrap();
        assert!(folder.take_log(LOOK).unwrap().is_none());
        let other = thread::spawn(move || {
            thread::sleep(LOOK * 5);
            drop(log);
        });
        assert!(folder.take_log(PATIENCE).unwrap().is_some());
        other.join().unwrap();
    }
}
