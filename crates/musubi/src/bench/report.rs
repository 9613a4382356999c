//! What one measurement of a node came to: its figure beside the limit of the same run, what each process had, what a unit of work
//! cost; as a table and as JSON.
//!
//! Surprising: the ratio is always the figure by the limit, so it is good when it is large for a rate, and when it is small for a time.

use std::{collections::BTreeMap, io::Write};

use comfy_table::{CellAlignment, Table, presets};
use musubi_domain::Error;
use serde::Serialize;

use super::{
    site::{Node, Place, ProcessMemory, Site, SiteArgs, Store, cores, peak_memory},
    table::write_json,
};
use crate::operator::{Ending, unwritten, words::thousands};

/// The parts of a distribution of times that are told.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct Latency {
    pub(super) p50_ms: Option<f64>,
    pub(super) p99_ms: Option<f64>,
    pub(super) p999_ms: Option<f64>,
}

impl Latency {
    /// Of times in seconds.
    pub(super) fn of(mut seconds: Vec<f32>) -> Self {
        seconds.sort_unstable_by(f32::total_cmp);
        let part = |share: f64| {
            let place = ((seconds.len() as f64 * share).ceil() as usize).saturating_sub(1);
            seconds.get(place).map(|seconds| f64::from(*seconds) * 1e3)
        };
        Self { p50_ms: part(0.5), p99_ms: part(0.99), p999_ms: part(0.999) }
    }
}

/// What a unit of work cost the database.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct Cost {
    /// Rows inserted, changed and deleted; on SQLite, which doesn't count, rows that are there and were not.
    pub(super) rows_per_unit: Option<f64>,
    /// Bytes of PostgreSQL's log.
    pub(super) wal_bytes_per_unit: Option<f64>,
    /// Bytes that the node had written to disks; SQLite's log and file.
    pub(super) disk_bytes_per_unit: Option<f64>,
}

/// What a database and its nodes have written before the work that is measured.
pub(super) struct Spent {
    rows: u64,
    log: Option<u64>,
    disk: Option<u64>,
}

impl Spent {
    /// So far. Rows are counted before the nodes start, or once they have ended.
    pub(super) async fn so_far(place: &Place, disk: Option<u64>) -> Result<Self, Error> {
        let yardstick = place.yardstick().await?;
        let written = yardstick.written().await?;
        yardstick.close().await;
        Ok(Self { rows: written.rows, log: written.log_bytes, disk })
    }

    /// What so many units of work cost since.
    pub(super) fn until(&self, end: &Self, units: u64) -> Cost {
        let units = units as f64;
        let each = |before: u64, after: u64| after.saturating_sub(before) as f64 / units;
        let pair = |before: Option<u64>, after: Option<u64>| Some(each(before?, after?));
        Cost {
            rows_per_unit: Some(each(self.rows, end.rows)),
            wal_bytes_per_unit: pair(self.log, end.log),
            disk_bytes_per_unit: pair(self.disk, end.disk).filter(|_| end.log.is_none()),
        }
    }
}

/// Bytes that nodes have had written to disks.
pub(super) fn disk_bytes(nodes: &[Node]) -> Option<u64> {
    nodes.iter().map(Node::bytes_written).sum()
}

/// A figure, and what bounds it on this machine in this run.
#[derive(Debug, Serialize)]
pub(super) struct Beside {
    pub(super) figure: f64,
    pub(super) unit: &'static str,
    pub(super) limit_name: &'static str,
    pub(super) limit: f64,
    pub(super) ratio: f64,
}

impl Beside {
    pub(super) fn new(figure: f64, unit: &'static str, limit_name: &'static str, limit: f64) -> Self {
        Self { figure, unit, limit_name, limit, ratio: figure / limit.max(1e-9) }
    }
}

/// One measurement.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    job: &'static str,
    store: Store,
    size: u64,
    replicas: u32,
    cores: usize,
    #[serde(flatten)]
    beside: Beside,
    #[serde(flatten)]
    latency: Latency,
    /// The most that one node under test had.
    peak_rss_bytes: u64,
    /// The same for each process: nodes, PostgreSQL, and this one, which plays all others.
    processes: Vec<ProcessMemory>,
    /// What the cost is of.
    unit_of_work: &'static str,
    #[serde(flatten)]
    cost: Cost,
    /// Further figures, by name with unit.
    more: BTreeMap<&'static str, f64>,
    /// A promise was broken, and the command says so by its exit code.
    failed: bool,
}

impl Report {
    /// Of a job on its site. `nodes` are the memories of the nodes under test.
    pub(super) fn new(
        (job, unit_of_work): (&'static str, &'static str),
        args: &SiteArgs,
        site: &Site,
        nodes: Vec<ProcessMemory>,
        beside: Beside,
        (latency, cost): (Latency, Cost),
    ) -> Self {
        let peak_rss_bytes = nodes.iter().map(|node| node.peak_rss_bytes).max().unwrap_or_default();
        let own = peak_memory("self").unwrap_or_default();
        let own = ProcessMemory { process: "bench".to_owned(), peak_rss_bytes: own };
        let processes = nodes.into_iter().chain(site.postgres_memory()).chain([own]).collect();
        Self {
            job,
            store: args.store,
            size: args.size,
            replicas: args.replicas,
            cores: cores(),
            beside,
            latency,
            peak_rss_bytes,
            processes,
            unit_of_work,
            cost,
            more: BTreeMap::new(),
            failed: false,
        }
    }

    /// With further figures.
    pub(super) fn with(mut self, more: impl IntoIterator<Item = (&'static str, f64)>) -> Self {
        self.more.extend(more);
        self
    }

    /// Failed, when a promise was broken.
    pub(super) fn failed_if(self, failed: bool) -> Self {
        Self { failed, ..self }
    }

    /// Writes the table, and the JSON where that is wanted.
    pub(super) fn write(&self, args: &SiteArgs, out: &mut dyn Write) -> Result<Ending, Error> {
        let mut table = Table::new();
        table.load_style(presets::UTF8_HORIZONTAL_ONLY.row_separator(comfy_table::LineStyle::none()));
        let store = match self.store {
            Store::Sqlite => "SQLite",
            Store::Postgres => "PostgreSQL",
        };
        table.set_header([self.job, &format!("{} on {store}", thousands(self.size))]);
        for (name, value) in self.lines() {
            table.add_row([name, value]);
        }
        if let Some(column) = table.column_mut(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        writeln!(out, "{table}").map_err(unwritten)?;
        args.json.as_deref().map_or(Ok(()), |path| write_json(path, self))?;
        Ok(if self.failed { Ending::Refused } else { Ending::Done })
    }

    fn lines(&self) -> Vec<(String, String)> {
        let Beside { figure, unit, limit_name, limit, ratio } = self.beside;
        let mut lines = vec![
            (unit.to_owned(), shown(figure)),
            (format!("limit: {limit_name}"), shown(limit)),
            ("ratio".to_owned(), format!("{ratio:.3}")),
        ];
        let Latency { p50_ms, p99_ms, p999_ms } = self.latency;
        for (name, part) in [("p50, ms", p50_ms), ("p99, ms", p99_ms), ("p99.9, ms", p999_ms)] {
            lines.extend(part.map(|part| (name.to_owned(), format!("{part:.2}"))));
        }
        let Cost { rows_per_unit, wal_bytes_per_unit, disk_bytes_per_unit } = self.cost;
        for (name, each) in [
            ("rows", rows_per_unit),
            ("bytes of WAL", wal_bytes_per_unit),
            ("bytes to disk", disk_bytes_per_unit),
        ] {
            lines.extend(each.map(|each| (format!("{name} for each {}", self.unit_of_work), shown(each))));
        }
        for ProcessMemory { process, peak_rss_bytes } in &self.processes {
            lines.push((format!("peak memory, {process}"), format!("{} MB", peak_rss_bytes / 1_000_000)));
        }
        lines.extend(self.more.iter().map(|(name, value)| (name.replace('_', " "), shown(*value))));
        lines
    }
}

/// A number with as many digits as say something.
fn shown(value: f64) -> String {
    if value >= 1_000.0 { thousands(value as u64) } else { format!("{value:.2}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_times_are_times_that_came() {
        let Latency { p50_ms, p99_ms, p999_ms } =
            Latency::of((1..=1_000_u16).rev().map(|it| f32::from(it) / 1e3).collect());
        let near = |part: Option<f64>, ms: f64| (part.unwrap() - ms).abs() < 0.1;
        assert!(near(p50_ms, 500.0) && near(p99_ms, 990.0) && near(p999_ms, 999.0));
        assert_eq!(Latency::of(Vec::new()).p50_ms, None);
    }
}
