//! How a table of wrong requests is asked.

use std::collections::BTreeSet;

use musubi_domain::{Error, ErrorKind};
use musubi_proto::r#type::v1::ItemError;
use musubi_runtime::grpc::status::from_status;
use musubi_tests::processes::Stored;
use tonic::{Response, Status};

use super::{
    ids::{self, Replaced, Request},
    world::World,
};

/// A field, what its fault is answered with, and the edit that spoils it in a good request.
pub(super) type Wrong<R> = (&'static str, ErrorKind, fn(&mut R));

/// What stands in wrong values that belong to somebody; no error may show it.
pub(super) const PERSONAL: &str = "漏";
/// A number that is somebody's, and not written as E.164.
pub(super) const NUMBER: &str = "09087654321";

/// Stores what it refused as its answer, so that ids are replaced only where that trace is expected.
const KEEPS_ITS_ANSWER: &str = "Authenticate";

/// So many characters that are somebody's.
pub(super) fn long(characters: usize) -> String {
    PERSONAL.repeat(characters)
}

/// What was asked so far.
#[derive(Default)]
pub(super) struct Probes {
    /// Every field that had a probe, as `Method: path`.
    pub(super) fields: BTreeSet<String>,
    /// Every id that had a probe, in the same way.
    pub(super) ids: BTreeSet<String>,
    /// What went otherwise than it should.
    pub(super) faults: Vec<String>,
}

impl Probes {
    /// Adds what was asked elsewhere.
    pub(super) fn add(&mut self, other: Self) {
        self.fields.extend(other.fields);
        self.ids.extend(other.ids);
        self.faults.extend(other.faults);
    }

    /// Asks `good`, which has to be taken, then each wrong variant of it, which has to be refused by its field and to change
    /// nothing: those of the table, and with another's, no and a malformed id in the place of each id.
    pub(super) async fn ask<R: Request>(
        &mut self,
        world: &World,
        method: &str,
        good: &R,
        call: impl AsyncFn(R) -> Result<(), Error>,
        table: &[Wrong<R>],
    ) {
        self.run(world, method, good, call, table, None).await;
    }

    /// The same for what is refused as an item: the batch's answer is stored, so that the same batch gets it again. That no
    /// item had an effect is seen in the nodes that would have learnt of it.
    pub(super) async fn ask_leaving_a_trace<R: Request>(
        &mut self,
        world: &World,
        method: &str,
        good: &R,
        call: impl AsyncFn(R) -> Result<(), Error>,
        table: &[Wrong<R>],
        at: &'static str,
    ) {
        self.run(world, method, good, call, table, Some(at)).await;
    }

    async fn run<R: Request>(
        &mut self,
        world: &World,
        method: &str,
        good: &R,
        call: impl AsyncFn(R) -> Result<(), Error>,
        table: &[Wrong<R>],
        trace: Option<&'static str>,
    ) {
        let elsewhere = |mut stored: Stored| {
            stored.retain(|(node, ..)| Some(*node) != trace);
            stored
        };
        let idle = world.system.stored();
        if let Err(error) = call(good.clone()).await {
            self.faults.push(format!("{method}: the good request is refused: {error}"));
        }
        let had_effect = world.system.stored() != idle;
        let mut before = elsewhere(if had_effect { world.system.quiet().await } else { idle });
        let mut look = async |what: &str, field: &str, kind: Option<ErrorKind>, wrong: R| {
            let mut fault = fault(call(wrong).await, field, kind);
            let after = elsewhere(world.system.stored());
            if after != before {
                let changed = after.iter().filter(|it| !before.contains(it)).map(|(node, ..)| *node);
                let changed: Vec<_> = changed.collect();
                fault =
                    Some(format!("it changed what {changed:?} keep, besides: {}", fault.unwrap_or_default()));
                before = after;
            }
            fault.map(|fault| format!("{method}, {what}, {field}: {fault}"))
        };
        for (row, (field, kind, spoil)) in table.iter().enumerate() {
            let mut wrong = good.clone();
            spoil(&mut wrong);
            self.faults.extend(look(&format!("row {row}"), field, Some(*kind), wrong).await);
            self.fields.insert(format!("{method}: {field}"));
        }
        if trace.is_none() && method == KEEPS_ITS_ANSWER {
            return;
        }
        for Replaced { path, whose, is_right, request } in ids::replaced(method, good, world) {
            if !is_right {
                self.faults.extend(look(&format!("{whose:?}"), &path, None, request).await);
            }
            self.ids.insert(format!("{method}: {path}"));
        }
    }
}

/// What is wrong with an answer to a request that is wrong in this field; none when it is as it should be. Any kind will do where
/// none is said.
fn fault(answer: Result<(), Error>, field: &str, kind: Option<ErrorKind>) -> Option<String> {
    let Err(error) = answer else { return Some("it is taken".to_owned()) };
    let shown = error.to_string();
    let named = without_places(&error.field);
    // Of an id it will do to name what it stands in.
    let is_around = kind.is_none() && field.starts_with(&format!("{named}."));
    let what = if named != field && !is_around {
        "another field is named"
    } else if kind.is_some_and(|kind| error.kind != kind) {
        "it is of another kind"
    } else if error.problem.is_empty() || error.remedy.is_empty() {
        "it says too little"
    } else if [PERSONAL, NUMBER].iter().any(|personal| shown.contains(personal)) || shown.len() > 500 {
        "it tells too much"
    } else {
        return None;
    };
    Some(format!("{what}: {error:?}"))
}

/// `inquiries[0].name` as the contract names it: `inquiries.name`.
fn without_places(field: &str) -> String {
    let mut path = String::new();
    for part in field.split('[') {
        path.push_str(part.split_once(']').map_or(part, |(_place, rest)| rest));
    }
    path
}

/// The answer of a call that refuses as a whole.
pub(super) fn whole<T>(answer: Result<Response<T>, Status>) -> Result<(), Error> {
    answer.map(drop).map_err(|status| from_status(&status))
}

/// The answer of a call that refuses items of a batch; `field` is the batch.
pub(super) fn items<T>(
    answer: Result<Response<T>, Status>,
    field: &str,
    refused: impl FnOnce(T) -> Vec<ItemError>,
) -> Result<(), Error> {
    let answer = answer.map_err(|status| from_status(&status))?.into_inner();
    match refused(answer).into_iter().next() {
        None => Ok(()),
        Some(ItemError { index, field: inner, problem, remedy }) => {
            let dot = if inner.is_empty() { "" } else { "." };
            Err(Error::invalid(format!("{field}[{index}]{dot}{inner}"), problem, remedy))
        }
    }
}
