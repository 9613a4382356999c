//! Words and rules, pure: no IO, no clock, no randomness of its own.
//!
//! Everything here takes its time and its randomness as arguments and returns decisions; who calls performs them. It imports
//! nothing of ours. Surprising: the gate that guards every individual message, [`eligibility`], is one small function, on
//! purpose, and everything that sends calls it.

pub mod approval;
pub mod audit;
pub mod backoff;
pub mod blind;
pub mod breaker;
pub mod caller;
pub mod consent;
pub mod content;
pub mod customer;
pub mod day;
pub mod delivery;
pub mod dialogue;
pub mod distribution;
pub mod eligibility;
pub mod erasure;
pub mod error;
pub mod guess;
pub mod id;
pub mod identity;
pub mod keyword;
pub mod link;
pub mod outcome;
pub mod phone_number;
pub mod postback;
pub mod quiet_hours;
pub mod review;
pub mod roster;
pub mod session;
pub mod sign_in;
pub mod silence;
pub mod template;
pub mod trial;
pub mod vault;

pub use error::{Error, ErrorKind};
