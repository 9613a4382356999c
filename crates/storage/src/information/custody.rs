//! Custody.

/// Custody.
pub trait CustodyStore: Send + Sync {}
