//! The program: a subcommand for each node, the demo, operator commands.

mod population;

fn main() {}
