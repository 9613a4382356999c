//! The subscriber-list acquisition unit \[230\]: events as they come, lists in full (S13, S14).

pub mod events;
pub mod lists;
mod snapshot;
#[cfg(test)]
mod tests;
