//! The program: a subcommand for each node, the demo, operator commands.
fn main() {}
