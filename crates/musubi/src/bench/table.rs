//! Measures and their peers: the table that a person reads, and the same as JSON.

use std::{
    fs::File,
    io::{self, Write},
    path::Path,
    time::{Duration, Instant},
};

use comfy_table::{CellAlignment, Table, presets};
use musubi_domain::Error;
use serde::Serialize;

use crate::operator::{unwritten, words::thousands};

/// What was measured, and what the plain limit of the same work is.
#[derive(Debug, Serialize)]
pub(super) struct Measure {
    /// The work, in a few words.
    pub(super) measure: String,
    /// How often in a second.
    pub(super) per_second: f64,
    /// What it is held against.
    pub(super) peer: String,
    /// How often that is done in a second.
    pub(super) peer_per_second: f64,
    /// The first by the second: 1 is as fast as the peer.
    pub(super) ratio: f64,
}

impl Measure {
    /// Of two rates.
    pub(super) fn new((measure, per_second): (&str, f64), (peer, peer_per_second): (&str, f64)) -> Self {
        let ratio = per_second / peer_per_second;
        Self { measure: measure.to_owned(), per_second, peer: peer.to_owned(), peer_per_second, ratio }
    }
}

/// How many in a second, when so many took so long.
pub(super) fn rate(count: usize, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64().max(1e-9)
}

/// The time of the fastest of several passes.
pub(super) fn fastest(passes: usize, mut pass: impl FnMut()) -> Duration {
    let times = (0..passes.max(1)).map(|_| {
        let begun = Instant::now();
        pass();
        begun.elapsed()
    });
    times.min().unwrap_or_default()
}

/// Writes the measures as a table.
pub(super) fn write_table(measures: &[Measure], out: &mut dyn Write) -> Result<(), Error> {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY.row_separator(comfy_table::LineStyle::none()));
    table.set_header(["measure", "a second", "beside", "a second", "ratio"]);
    for measure in measures {
        let [own, peer] = [measure.per_second, measure.peer_per_second].map(|rate| thousands(rate as u64));
        let ratio = format!("{:.2}", measure.ratio);
        table.add_row([&measure.measure, &own, &measure.peer, &peer, &ratio]);
    }
    for column in [1, 3, 4] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    writeln!(out, "{table}").map_err(unwritten)
}

/// Writes a report to a file that was named by `--json`.
pub(super) fn write_json(path: &Path, report: &impl Serialize) -> Result<(), Error> {
    let wrong = |error: io::Error| {
        let problem = format!("{} can not be written: {}", path.display(), error.kind());
        Error::invalid("--json", problem, "name a file that can")
    };
    let file = File::create(path).map_err(wrong)?;
    serde_json::to_writer_pretty(&file, report).map_err(|error| wrong(error.into()))?;
    writeln!(&file).map_err(wrong)
}
