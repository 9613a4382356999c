//! The distribution-request unit \[231\]: asks followers and understands what they answer.

pub mod messages;
pub mod questions;
pub mod reading;
