//! Conversions between wire and domain, a file for each contract.

pub mod carrier;
pub mod company;
pub mod content;
pub mod information;
pub mod people;
