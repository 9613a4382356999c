//! `musubi bench match`: normal forms, comparisons, decisions online and in bulk, beside what bounds each of them.
//!
//! The people come from `population`, the master lies in a company server's own store, and the keys that are compared are the ones
//! that an import keeps. Surprising: making the crowd and its store takes longer than all measures together.

mod bulk;
mod duckdb;
mod forms;
mod join;
mod online;
#[cfg(test)]
mod tests;

use std::{io::Write, num::NonZero, path::PathBuf, thread};

use musubi_domain::{
    Error,
    customer::{Customer, KeyedCustomer},
};
use musubi_matching::PreparedRecord;
use musubi_storage::{Opened as _, sqlite::company::SqliteCompanyStore};
use serde::Serialize;

use super::{
    crowd::{self, Answer, MOST_ROWS, ROWS_PER_ANSWER},
    site::peak_memory,
    table::{Measure, write_json, write_table},
    world::World,
};
use crate::{
    bench::matching::join::{Number, number},
    operator::{Ending, progress, unwritten, words::thousands},
};

/// Measure matching: names and addresses normalised, comparisons, decisions online and in bulk, each beside its plain limit.
///
/// A master of invented people is put into a company server's store, and followers' answers are decided against it. Every figure is
/// the best of some passes; other work on the machine makes them worse, so repeat it and take the best.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  musubi bench match
  musubi bench match --rows 10000000 --answers 1000000 --data-dir /var/tmp --json match.json

How to read the table: each line holds a measure against its peer, and the ratio is the first by the second. One core each, but
for lines that say `in bulk`, which use all.
  normalised    beside Unicode's NFKC of the same texts, which everything that reads raw text needs
  compared      beside one look-up in a hash table of all account numbers
  online        beside the store's own read by index of the rows that are decided on, in batches of 1,000 as servers ask
  in bulk       answers joined with the master by account number and decided, all keys ready, beside the join alone: ours, and
                DuckDB's on as many threads when it is here (pip install duckdb-cli, or --duckdb PATH), once with the keys of
                both sides, which a decision looks at, and once with nothing but ids

Memory: about 0.2 GB for each million rows, 1.6 GB for each million answers, and 0.4 GB; the table ends with what it was. On disk:
about 1.5 GB for each million rows, gone at the end.")]
pub(super) struct Args {
    /// Customers of the master.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(100..=MOST_ROWS as u64))]
    rows: u64,
    /// Answers of followers; at most a quarter of the customers.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(10..))]
    answers: u64,
    /// A folder for the store while it runs. Without it: the system's temporary folder.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Write the measures to this file too.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// DuckDB's program. Without it: `duckdb` where programs are, or the module of python3.
    #[arg(long, value_name = "PATH")]
    duckdb: Option<PathBuf>,
}

#[derive(Serialize)]
struct Report {
    rows: usize,
    answers: usize,
    cores: usize,
    /// Confirmed, for review, rejected.
    outcomes: [u64; 3],
    peak_memory_bytes: Option<u64>,
    measures: Vec<Measure>,
}

/// What is measured on.
struct Bench {
    store: SqliteCompanyStore,
    master: Columns,
    /// In the order of coming: of all parts, by turns.
    answers: Vec<Answer>,
    /// Some customers as they are written.
    sample: Vec<Customer>,
}

/// Raw texts that are normalised in one pass at most.
const SAMPLE: usize = 100_000;
/// Rows of one transaction.
const BATCH: usize = 1000;

pub(super) async fn run(args: Args, out: &mut dyn Write) -> Result<Ending, Error> {
    let [rows, answers] = [args.rows, args.answers].map(|count| usize::try_from(count).unwrap_or(usize::MAX));
    if answers > rows / ROWS_PER_ANSWER {
        let problem = format!("{answers} answers to {rows} customers");
        return Err(Error::invalid("--answers", problem, "take at most a quarter of --rows"));
    }
    let folder = match &args.data_dir {
        Some(folder) => tempfile::tempdir_in(folder),
        None => tempfile::tempdir(),
    };
    let folder = folder.map_err(|error| {
        Error::invalid("--data-dir", format!("no folder can be made in it: {}", error.kind()), "name another")
    })?;
    let bench = prepare(rows, answers, &folder.path().join("company.db")).await?;
    let mut measures = tokio::task::block_in_place(|| forms::measure(&bench));
    let online = online::measure(&bench.store, &bench.answers).await?;
    measures.extend(online.measures);
    let (more, note) =
        tokio::task::block_in_place(|| bulk::measure(&bench, args.duckdb.as_deref(), folder.path()))?;
    measures.extend(more);
    bench.store.close().await;
    let report = Report {
        rows: bench.master.numbers.len(),
        answers: bench.answers.len(),
        cores: thread::available_parallelism().map_or(1, NonZero::get),
        outcomes: online.outcomes,
        peak_memory_bytes: peak_memory("self"),
        measures,
    };
    write_table(&report.measures, out)?;
    writeln!(out, "{}{}", report.in_words(), note.map_or_else(String::new, |note| format!("\n{note}")))
        .map_err(unwritten)?;
    if let Some(path) = &args.json {
        write_json(path, &report)?;
    }
    Ok(Ending::Done)
}

impl Report {
    fn in_words(&self) -> String {
        let [confirmed, review, rejected] = self.outcomes.map(thousands);
        let memory = self
            .peak_memory_bytes
            .map_or_else(String::new, |bytes| format!("; peak memory {:.2} GB", bytes as f64 / 1e9));
        format!(
            "{} customers, {} answers: {confirmed} confirmed, {review} for review, {rejected} rejected; {} cores{memory}",
            thousands(self.rows as u64),
            thousands(self.answers as u64),
            self.cores,
        )
    }
}

/// Puts a crowd into a store, and keeps what is measured on.
async fn prepare(rows: usize, answers: usize, database: &std::path::Path) -> Result<Bench, Error> {
    let bar = progress(rows as u64, "{msg:20} {bar:28} {human_pos}/{human_len} {elapsed}");
    bar.set_message("customers imported");
    let folder = database.parent().unwrap_or(database);
    let store = SqliteCompanyStore::open(database, World::new(folder)?.vault()?).await?;
    let mut master = Columns::for_rows(rows);
    let mut sample = Vec::new();
    let answers = crowd::import(&store, (rows, answers), |customers| {
        bar.inc(customers.len() as u64);
        customers.iter().for_each(|row| master.push(row));
        let some = customers.iter().step_by(10).map(|row| row.customer.clone());
        sample.extend(some.take(SAMPLE - sample.len()));
    });
    let answers = answers.await?;
    bar.finish_and_clear();
    Ok(Bench { store, master, answers, sample })
}

/// A master's keys, ready: what bulk work holds of it.
struct Columns {
    numbers: Vec<Number>,
    /// Where each row's bytes end: its id, then its keys.
    ends: Vec<(usize, usize)>,
    bytes: Vec<u8>,
}

impl Columns {
    fn for_rows(rows: usize) -> Self {
        Self {
            numbers: Vec::with_capacity(rows),
            ends: Vec::with_capacity(rows),
            bytes: Vec::with_capacity(rows * 192),
        }
    }

    fn push(&mut self, row: &KeyedCustomer) {
        self.numbers.extend(number(&row.customer.account_key));
        self.bytes.extend_from_slice(row.customer.customer_id.as_str().as_bytes());
        let id_end = self.bytes.len();
        self.bytes.extend_from_slice(&row.keys.bytes);
        self.ends.push((id_end, self.bytes.len()));
    }

    fn id(&self, row: usize) -> &str {
        let start = row.checked_sub(1).map_or(0, |before| self.ends[before].1);
        std::str::from_utf8(&self.bytes[start..self.ends[row].0]).unwrap_or_default()
    }

    fn keys(&self, row: usize) -> &[u8] {
        let (start, end) = self.ends[row];
        &self.bytes[start..end]
    }

    /// The row's record, read from its keys.
    fn record(&self, row: usize) -> Option<PreparedRecord> {
        PreparedRecord::from_bytes(self.id(row), self.keys(row)).ok()
    }
}
