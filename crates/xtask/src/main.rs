//! Automation of the project: the one test command and what it checks.
fn main() {}
