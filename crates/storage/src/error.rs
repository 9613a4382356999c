//! What can go wrong with a store.

use musubi_domain::{Error, ErrorKind};

/// A store's failure. What it was asked to write was not written, unless it says that the outcome is unknown.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database can't be opened or reached, is locked, read-only or full.
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
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable { transaction, .. } => Self::new(
                ErrorKind::Unavailable,
                format!("the store is unavailable during {transaction}"),
                "repeat the call",
            ),
            StoreError::Corrupt(problem) => Self::new(ErrorKind::Internal, problem, ""),
            StoreError::Refused(error) => error,
        }
    }
}
