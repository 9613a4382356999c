//! The whole system as real processes: the `musubi` program once for each node, on loopback, with real files.
//!
//! Processes are started, killed, told to stop and asked for their health; what they are to do is the tests' matter, and
//! nothing here looks into a node past its doors. Surprising: a node keeps its port and its files over every kill, so the
//! others find it again without being told; and everything ends with the value that holds it, also when a test panics.
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "only tests call this, and what fails here is to fail them and be shown"
)]

mod balancer;
mod collector;
mod files;
mod ports;
mod postgres;
mod process;
mod program;
mod system;

pub use self::{
    collector::{Collector, Told},
    files::{
        CARRIERS, CLIENT_TOKEN, COMPANIES, Company, INFORMATION, LONGEST_ACCOUNT, Layout, OPERATOR,
        OPERATORS, SECOND_OPERATOR,
    },
    postgres::Postgres,
    process::{Kind, Process},
    program::program,
    system::{Machine, Stored, System},
};
