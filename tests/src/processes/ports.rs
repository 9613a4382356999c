//! Ports that nobody has, for nodes that have to know each other's before any of them runs.
//!
//! Surprising: they are not asked of the operating system by binding port 0. That gives ports from the range from which outgoing
//! connections get theirs, and between a node's death and its return such a connection could sit down on its port; one that
//! looks for the dead node can even meet itself there.

use std::net::{Ipv4Addr, TcpListener};

use musubi_runtime::entropy;

/// Below every usual range of outgoing connections (32768 and up on Linux, 49152 and up elsewhere).
const RANGE: std::ops::Range<u64> = 20_000..32_000;

/// Different ports of 127.0.0.1 on which nobody listens now.
pub(super) fn free_ports<const N: usize>() -> [u16; N] {
    // Held until all are found, so that they differ.
    let listeners: Vec<_> = std::iter::repeat_with(draw).flatten().take(N).collect();
    std::array::from_fn(|index| listeners[index].local_addr().unwrap().port())
}

fn draw() -> Option<TcpListener> {
    let port = RANGE.start + entropy::number() % (RANGE.end - RANGE.start);
    TcpListener::bind((Ipv4Addr::LOCALHOST, u16::try_from(port).unwrap())).ok()
}
