//! What the program does: one node as a process, a whole cluster in one process, the demo that plays a population through it.
//!
//! Nodes are put together here and nowhere else; what a node does stays in its crate, and the demo speaks with nodes only as an
//! outsider would, over gRPC. Surprising: the demo keeps its own account of who must get what, and never asks a node for it.

mod audit;
pub mod bench;
mod carrier;
mod certs;
pub mod cli;
pub mod cluster;
pub mod demo;
mod health;
pub mod matching;
mod migrate;
pub mod node;
pub mod operator;
pub mod population;
mod provision;
