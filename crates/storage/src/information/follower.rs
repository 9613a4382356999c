//! Follower.

/// Follower.
pub trait FollowerStore: Send + Sync {}
