//! Bad input at every door: each field of each request, wrong in every way that it can be, is refused by its name and with a
//! remedy, shows nothing of anybody, and changes nothing.
//!
//! The tables stand in a file for each node's contracts, and [`contract`] reads from the contracts themselves what the tables
//! have to hold, so that a new field can't be forgotten. Ids need no table: [`ids`] replaces each by another company's, by none and by
//! what is none. [`strangers`] knock where no certificate is asked for, [`masters`] are files that are none, and [`addresses`] lead to where nobody should go. Surprising: "nothing" is meant to the byte. Before and after each call
//! the files of all databases are compared; that works only while the nodes have nothing of their own to do. What was refused stands in the audits as counts, which
//! nodes write when they stop.

mod addresses;
mod approvals;
mod carrier;
mod company;
mod configuration;
pub(super) mod contract;
mod ids;
mod information;
mod masters;
mod people;
mod probe;
mod reviews;
mod rights;
mod strangers;
mod terminal;
mod trials;
mod world;

use std::collections::BTreeSet;

use musubi_domain::caller::CallerKind;
use musubi_proto::callers;
use musubi_tests::processes::Kind;
use serde_json::Value;

use self::{
    probe::Probes,
    world::{BANK, GAS, KUMO, NAMI, World},
};
use crate::people::{audit, refused};

/// The methods with ids of this row of callers that have been tried with what is no id, and of which the audit tells no refusal.
fn untold(lines: &[Value], ids: &BTreeSet<String>) -> Vec<String> {
    let tried: BTreeSet<_> = ids.iter().filter_map(|id| Some(id.split_once(": ")?.0)).collect();
    let rows = callers::INFORMATION.iter().filter(|row| row.who.contains(&CallerKind::Company));
    let methods = rows.flat_map(|row| row.methods).filter(|method| tried.contains(**method));
    let told = |method: &str| {
        [BANK, GAS].iter().any(|company| refused(lines, &format!("company/{company} {method}: ")) > 0)
    };
    methods.filter(|method| !told(method)).map(|method| (*method).to_owned()).collect()
}

#[tokio::test]
async fn bad_input_is_refused_by_its_field_and_changes_nothing() {
    // Two worlds at one time: whoever probes mostly waits until the nodes are quiet again.
    let one = async {
        let (world, mut probes) = (World::start().await, Probes::default());
        company::probe(&world, &mut probes).await;
        carrier::probe(&world, &mut probes).await;
        terminal::probe(&world, &mut probes).await;
        let forged = strangers::at_the_console(&world).await;
        let refused = masters::probe(&world).await;
        (world, probes, (forged, refused))
    };
    let other = async {
        let (world, mut probes) = (World::start().await, Probes::default());
        information::probe(&world, &mut probes).await;
        let forged = strangers::at_the_webhook(&world).await;
        let led = addresses::probe(&world).await;
        (world, probes, (forged, led))
    };
    let ((mut world, mut probes, (asked, masters)), (mut beside, more, (posted, led))) =
        tokio::join!(Box::pin(one), Box::pin(other));
    let (of_bank, lines) =
        tokio::join!(audit(&mut world.system, Kind::Company), audit(&mut beside.system, Kind::Information));
    assert_eq!(untold(&lines, &more.ids), Vec::<String>::new(), "{lines:#?}");
    assert!(refused(&lines, &format!("carrier/{KUMO} PushEvents: INVALID_ARGUMENT")) > 20, "{lines:#?}");
    for (why, count) in posted {
        let told = refused(&lines, &format!("somebody at the webhook of {NAMI}: {why}"));
        assert_eq!(told, count, "{why}: {lines:#?}");
    }
    let told = refused(&of_bank, "somebody at the console: a request of another site's page");
    assert_eq!(told, asked, "{of_bank:#?}");
    assert!(
        refused(&of_bank, &format!("company/{BANK}/operator/sato GetCustomer: NOT_FOUND")) > 0,
        "{of_bank:#?}"
    );
    let of_imports: Vec<_> = of_bank.iter().filter(|line| line["action"] == "import_refused").collect();
    let details = || of_imports.iter().map(|line| line["detail"].as_str().unwrap());
    assert_eq!(of_imports.len(), masters.len(), "{of_imports:#?}");
    for why in masters {
        assert!(
            details().any(|told| told.contains(&why) && told.ends_with(" by sato")),
            "{why}: {of_imports:#?}"
        );
    }
    for (method, count) in [("CreateDistribution", led.drafts), ("UploadValues", led.values)] {
        assert!(
            refused(&lines, &format!("company/{BANK} {method}: INVALID_ARGUMENT")) >= count,
            "{lines:#?}"
        );
    }
    assert!(refused(&lines, &format!("carrier/{KUMO} PushEvents: INVALID_ARGUMENT")) >= led.postbacks);
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
