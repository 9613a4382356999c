//! Reviews as a company's operators work on them: the queue, one with what it keeps of a person, their word on it.
//!
//! Surprising: who speaks is what the company says. This server knows companies and no people; the name is kept with the word
//! and in the audit.

mod service;
#[cfg(test)]
mod tests;

pub use self::service::Reviews;
pub(crate) use self::service::{show_review, show_subject};
