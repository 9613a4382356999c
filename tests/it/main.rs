//! The one integration-test binary: whole clusters, seen from outside.
//!
//! Surprising: `cfg(test)` is always true here; it tells clippy that unwrapping is a way to fail a test.

#[cfg(test)]
mod demo;
#[cfg(test)]
mod doors;
#[cfg(test)]
mod durability;
