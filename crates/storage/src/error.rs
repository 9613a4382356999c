//! What can go wrong with a store.

use std::{io, path::PathBuf};

use musubi_domain::{Error, ErrorKind};

/// A store's failure. What it was asked to write was not written, unless it says that the outcome is unknown.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has the database open. It was not touched.
    #[error("{} is in use by another process; stop it, or name another file", .0.display())]
    InUse(PathBuf),
    /// No database can be opened or made there.
    #[error("{} can not be opened: {source}; name a file that can be opened or made", .path.display())]
    Unopened {
        /// The database's file.
        path: PathBuf,
        /// What the operating system or the driver said.
        source: io::Error,
    },
    /// No database answers there, or it doesn't let this program in.
    #[error("the database can not be reached: {0}; look at its address, and whether it runs")]
    Unreached(sqlx::Error),
    /// The database is set so that it may lose what it has acknowledged.
    #[error(
        "the database has {0} off and may lose what it has acknowledged; turn that on, or say database.may_lose_data = true"
    )]
    Unsafe(String),
    /// The database's schema is none that this program can work with.
    #[error("the database's schema does not fit: {0}")]
    Schema(String),
    /// The database was lost while it committed, and could not be asked what became of that, or has crashed and can't say. Whether
    /// the work is stored is not known.
    #[error("the outcome of {transaction} is not known: {source}")]
    Unknown {
        /// The named transaction.
        transaction: &'static str,
        /// What the driver said; it holds no bound value.
        source: sqlx::Error,
    },
    /// The database can't be reached, is locked, read-only or full.
    #[error("the store is unavailable during {transaction}: {source}")]
    Unavailable {
        /// The named transaction.
        transaction: &'static str,
        /// What the driver said; it holds no bound value.
        source: sqlx::Error,
    },
    /// The database holds what this program can't have written.
    #[error("the store holds what it should not: {0}")]
    Corrupt(String),
    /// A rule of the domain refused.
    #[error("{0}")]
    Refused(#[from] Error),
}

impl StoreError {
    /// Names the transaction that a driver's error ended.
    pub(crate) fn during(transaction: &'static str) -> impl Fn(sqlx::Error) -> Self {
        move |source| Self::Unavailable { transaction, source }
    }

    /// What a driver says who can't come in.
    pub(crate) const fn unreached(source: sqlx::Error) -> Self {
        Self::Unreached(source)
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::InUse(_)
            | StoreError::Unopened { .. }
            | StoreError::Unreached(_)
            | StoreError::Unsafe(_)
            | StoreError::Schema(_) => Self::new(ErrorKind::Unavailable, error.to_string(), ""),
            StoreError::Unavailable { transaction, .. } | StoreError::Unknown { transaction, .. } => {
                Self::new(
                    ErrorKind::Unavailable,
                    format!("the store is unavailable during {transaction}"),
                    "repeat the call",
                )
            }
            StoreError::Corrupt(problem) => Self::new(ErrorKind::Internal, problem, ""),
            StoreError::Refused(error) => error,
        }
    }
}
