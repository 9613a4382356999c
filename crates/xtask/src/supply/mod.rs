//! What others wrote and we link: [`deny`] holds it to `deny.toml`, [`sbom`] lists it for whoever runs the program.
//!
//! Both leave the work to well-kept tools, which [`tool`] installs at one version below `target/`. Neither is a step of
//! `cargo xtask test`: building the tools takes minutes on a new machine, and advisories come from a server that must not
//! decide whether a change is good. Surprising: so a new dependency is judged when somebody asks, at the latest before a release.

pub(crate) mod deny;
pub(crate) mod sbom;
mod tool;
