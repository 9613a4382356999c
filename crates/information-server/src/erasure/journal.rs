//! The journal of erasures: files of lines in a folder, one for each process, only added to.
//!
//! It holds keyed hashes, accounts and times, and no personal value. Processes share the folder and never a file, so they need no lock. Surprising:
//! the end of a file may be half a line, of a process that died while it wrote; nobody was erased upon it, and it is passed over.

use std::{
    collections::HashMap,
    fs::{self, File, OpenOptions},
    io::{self, BufRead as _, BufReader, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use musubi_domain::{
    Error,
    erasure::Erasure,
    id::{FollowerId, OfficialAccountId},
};
use musubi_runtime::entropy;
use musubi_storage::StoreError;

/// How the files' names end.
const EXTENSION: &str = "jsonl";

/// Why a journal is of no use.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// It can't be read.
    #[error("the journal {path} can not be read: {source}; see erasure.journal")]
    Unread {
        /// The folder or the file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A line of it is none.
    #[error("line {line} of the journal {path}: {fault}")]
    NoLine {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        fault: Error,
    },
    /// It can't be written to.
    #[error("the journal can not be written to: {0}")]
    Unwritten(#[source] io::Error),
    /// What it tells of could not be asked for.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What it tells of could not be done.
    #[error("what the journal tells of could not be done: {0}")]
    Undone(String),
}

/// A journal's folder, and this process's file in it.
pub struct Journal {
    folder: PathBuf,
    file: Mutex<Option<File>>,
}

impl Journal {
    /// In this folder, which is made when something has to be written.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), file: Mutex::default() }
    }

    /// Adds erasures, and returns when the disk has them.
    ///
    /// # Errors
    /// When it can't be written; the next attempt begins another file.
    pub fn append(&self, erasures: &[Erasure]) -> Result<(), JournalError> {
        let mut text = String::new();
        for erasure in erasures {
            let line = erasure.to_line().map_err(|error| JournalError::Unwritten(io::Error::other(error)))?;
            text.push_str(&line);
            text.push('\n');
        }
        let mut kept = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        // A file that was written by half is left, or the next line would stand behind that half.
        let file = kept.take();
        let written = file.map_or_else(|| self.begin(), Ok).and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_data()?;
            Ok(file)
        });
        *kept = Some(written.map_err(JournalError::Unwritten)?);
        Ok(())
    }

    /// A file that nobody else has.
    fn begin(&self) -> io::Result<File> {
        fs::create_dir_all(&self.folder)?;
        let name = format!("{:016x}.{EXTENSION}", entropy::number());
        let file =
            OpenOptions::new().create_new(true).append(true).mode(0o600).open(self.folder.join(name))?;
        // That there is such a file has to last, too.
        File::open(&self.folder)?.sync_all()?;
        Ok(file)
    }

    /// Everything that all processes have written, the last erasure of each follower.
    ///
    /// # Errors
    /// When the folder or a file can't be read, or a whole line is none. A folder that isn't there is an empty journal.
    pub fn read(&self) -> Result<Vec<Erasure>, JournalError> {
        let unread = |path: &Path| {
            let path = path.to_owned();
            move |source| JournalError::Unread { path, source }
        };
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(unread(&self.folder))?,
        };
        let mut last: HashMap<(OfficialAccountId, FollowerId), Erasure> = HashMap::new();
        for entry in entries {
            let path = entry.map_err(unread(&self.folder))?.path();
            if path.extension().is_none_or(|extension| extension != EXTENSION) {
                continue;
            }
            let mut file = BufReader::new(File::open(&path).map_err(unread(&path))?);
            let mut text = String::new();
            for line in 1.. {
                text.clear();
                file.read_line(&mut text).map_err(unread(&path))?;
                let Some(whole) = text.strip_suffix('\n') else { break };
                let erasure = Erasure::from_line(whole).map_err(|fault| JournalError::NoLine {
                    path: path.clone(),
                    line,
                    fault,
                })?;
                let known = last
                    .entry((erasure.account.clone(), erasure.follower))
                    .or_insert_with(|| erasure.clone());
                if known.request_time < erasure.request_time {
                    *known = erasure;
                }
            }
        }
        Ok(last.into_values().collect())
    }
}
