//! Distribution.

/// Distribution.
pub trait DistributionStore: Send + Sync {}
