//! Bad input at every door: each field of each request, wrong in every way that it can be, is refused by its name and with a
//! remedy, shows nothing of anybody, and changes nothing.
//!
//! The tables stand in a file for each node's contracts, and [`contract`] reads from the contracts themselves what the tables
//! have to hold, so that a new field can't be forgotten. Ids need no table: [`ids`] replaces each by another company's, by none and by
//! what is none. Surprising: "nothing" is meant to the byte. Before and after each call
//! the files of all databases are compared; that works only while the nodes have nothing of their own to do.

mod approvals;
mod carrier;
mod company;
mod configuration;
pub(super) mod contract;
mod ids;
mod information;
mod people;
mod probe;
mod reviews;
mod rights;
mod terminal;
mod trials;
mod world;

use std::collections::BTreeSet;

use self::{probe::Probes, world::World};

#[tokio::test]
async fn bad_input_is_refused_by_its_field_and_changes_nothing() {
    // Two worlds at one time: whoever probes mostly waits until the nodes are quiet again.
    let one = async {
        let (world, mut probes) = (World::start().await, Probes::default());
        company::probe(&world, &mut probes).await;
        carrier::probe(&world, &mut probes).await;
        terminal::probe(&world, &mut probes).await;
        (world, probes)
    };
    let other = async {
        let (world, mut probes) = (World::start().await, Probes::default());
        information::probe(&world, &mut probes).await;
        (world, probes)
    };
    let ((mut world, mut probes), (mut beside, more)) = tokio::join!(Box::pin(one), Box::pin(other));
    probes.add(more);
    assert!(probes.faults.is_empty(), "{}", probes.faults.join("\n"));
    let missed: BTreeSet<_> = contract::fields().difference(&probes.fields).cloned().collect();
    assert!(missed.is_empty(), "fields that no probe has: {missed:#?}");
    let missed: BTreeSet<_> = ids::all().difference(&probes.ids).cloned().collect();
    assert!(missed.is_empty(), "ids that no probe has: {missed:#?}");
    for process in world.system.processes().iter().chain(beside.system.processes().iter()) {
        let said = process.said();
        assert!(!said.contains("panicked"), "{} said:\n{said}", process.name());
    }
}
