//! Words and rules, pure: no IO, no clock, no randomness of its own.
//!
//! Everything here takes its time and its randomness as arguments and returns decisions; who calls performs them. It imports
//! nothing of ours. Surprising: the gate that guards every individual message, [`eligibility`], is one small function, on
//! purpose, and everything that sends calls it.

pub mod content;
pub mod customer;
pub mod error;
pub mod id;
pub mod identity;
pub mod phone_number;

pub use error::{Error, ErrorKind};
