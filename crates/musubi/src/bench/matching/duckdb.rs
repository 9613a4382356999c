//! DuckDB's plain joins of the same answers and customers, when it is on this machine.
//!
//! It reads two files into memory first; only the joins are timed, by DuckDB itself or around the call of its Python module. One gives pairs
//! of ids; the other lays the keys of both sides, all that a decision looks at, beside one another. Surprising: it gets the account keys as
//! text, as stores keep them; by integers it would be two to three times as fast.

use std::{
    fmt::Display,
    fs::File,
    io::{self, BufWriter, Write},
    num::NonZero,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use musubi_domain::{Error, ErrorKind};
use musubi_matching::PreparedIdentity;

use super::Columns;
use super::join::Number;
use crate::bench::crowd::KEY_DIGITS;

/// What to say when there is none.
pub(super) const MISSING: &str =
    "DuckDB is not here to be measured against; pip install duckdb-cli, or name it with --duckdb PATH";

/// Joins in one run, of which the fastest counts.
const PASSES: usize = 3;

/// The fastest joins, and how many pairs they found.
pub(super) struct Theirs {
    /// Of pairs of ids.
    pub(super) ids: Duration,
    /// Of pairs of ids with the keys of both.
    pub(super) keys: Duration,
    pub(super) pairs: usize,
}

/// What runs the join: the program, or Python's module.
enum Peer {
    Program(PathBuf),
    Python,
}

/// Has DuckDB join these answers with the master; None when there is no DuckDB and none was named.
pub(super) fn join<'a>(
    named: Option<&Path>,
    folder: &Path,
    master: &Columns,
    answers: impl Iterator<Item = (Number, &'a PreparedIdentity)>,
) -> Result<Option<Theirs>, Error> {
    let Some(peer) = find(named)? else { return Ok(None) };
    let wrong = |error: io::Error| {
        Error::new(ErrorKind::Unavailable, format!("DuckDB can not be run: {}", error.kind()), "see --duckdb")
    };
    let customers = master.numbers.iter().enumerate();
    write(
        &folder.join("master.csv"),
        customers.map(|(row, number)| (master.id(row), *number, master.keys(row))),
    )
    .map_err(wrong)?;
    let answers = answers.enumerate().map(|(answer, (number, identity))| (answer, number, bytes(identity)));
    write(&folder.join("answers.csv"), answers).map_err(wrong)?;
    let told = peer.run(folder).map_err(wrong)?;
    let words: Vec<&str> = told.split_whitespace().collect();
    let numbers = |before: &str| -> Vec<f64> {
        let after = words.windows(2).filter(|pair| pair[0] == before);
        after.filter_map(|pair| pair[1].parse().ok()).collect()
    };
    let seconds = numbers("real");
    // Its clock shows milliseconds.
    let fastest = |seconds: &[f64]| {
        let fastest = seconds.iter().copied().filter(|took| took.is_finite()).min_by(f64::total_cmp)?;
        Some(Duration::from_secs_f64(fastest.max(0.000_5)))
    };
    let (ids, keys) = seconds.split_at(PASSES.min(seconds.len()));
    let (Some(ids), Some(keys), Some(pairs)) = (fastest(ids), fastest(keys), numbers("pairs").pop()) else {
        let remedy = "name DuckDB's own program with --duckdb PATH";
        return Err(Error::invalid("--duckdb", "what it tells is no time of a join", remedy));
    };
    Ok(Some(Theirs { ids, keys, pairs: pairs as usize }))
}

/// An answer's keys, as those of a customer.
fn bytes(identity: &PreparedIdentity) -> Vec<u8> {
    let born = identity.birth_date.map_or_else(String::new, |day| day.to_string());
    let PreparedIdentity { name, kana, address, .. } = identity;
    [born.into_bytes(), name.to_bytes(), kana.to_bytes(), address.to_bytes()].concat()
}

fn find(named: Option<&Path>) -> Result<Option<Peer>, Error> {
    let answers = |program: &Path, arguments: &[&str]| {
        let run = Command::new(program).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
        run.is_ok_and(|status| status.success())
    };
    let program = named.unwrap_or(Path::new("duckdb"));
    if answers(program, &["-version"]) {
        return Ok(Some(Peer::Program(program.to_owned())));
    }
    if named.is_some() {
        return Err(Error::invalid("--duckdb", "it is no program that runs", "name DuckDB's own program"));
    }
    Ok(answers(Path::new("python3"), &["-c", "import duckdb"]).then_some(Peer::Python))
}

fn write(
    path: &Path,
    rows: impl Iterator<Item = (impl Display, Number, impl AsRef<[u8]>)>,
) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    for (id, number, keys) in rows {
        write!(file, "{id},{number:0KEY_DIGITS$},")?;
        keys.as_ref().iter().try_for_each(|byte| write!(file, "{byte:02x}"))?;
        writeln!(file)?;
    }
    file.flush()
}

/// A join that gives these columns.
fn joined(columns: &str) -> String {
    format!("CREATE OR REPLACE TABLE joined AS SELECT {columns} FROM answers JOIN master USING (account)")
}

impl Peer {
    /// What it tells of its joins: `real` and seconds for each, `pairs` and how many.
    fn run(&self, folder: &Path) -> io::Result<String> {
        let threads = thread::available_parallelism().map_or(1, NonZero::get);
        let load = |table: &str, id: &str| {
            let file = folder.join(table).with_extension("csv").display().to_string().replace('\'', "''");
            format!(
                "CREATE TABLE {table} AS SELECT id, account, unhex(keys) AS keys FROM read_csv('{file}', header = false, \
                 columns = {{'id': '{id}', 'account': 'VARCHAR', 'keys': 'VARCHAR'}})"
            )
        };
        let before =
            [format!("SET threads = {threads}"), load("master", "VARCHAR"), load("answers", "INTEGER")];
        const IDS: &str = "answers.id, master.id AS customer_id";
        let joins = [IDS, &format!("{IDS}, answers.keys AS answer, master.keys AS customer")]
            .map(|columns| [(); PASSES].map(|()| joined(columns)));
        let joins = joins.as_flattened();
        const COUNT: &str = "SELECT 'pairs ' || count(*) FROM joined";
        let output = match self {
            Self::Program(program) => {
                let script = format!(
                    "{};\n.timer on\n{};\n.timer off\n.mode list\n{COUNT};\n",
                    before.join(";\n"),
                    joins.join(";\n"),
                );
                std::fs::write(folder.join("join.sql"), script)?;
                let script = File::open(folder.join("join.sql"))?;
                Command::new(program).arg("-batch").stdin(script).output()?
            }
            Self::Python => {
                let program = format!(
                    "import duckdb, time\nc = duckdb.connect()\nfor s in {before:?}: c.execute(s)\n\
                     for s in {joins:?}:\n    t = time.perf_counter(); c.execute(s)\n    \
                     print('real', time.perf_counter() - t)\nprint(c.execute({COUNT:?}).fetchone()[0])\n"
                );
                Command::new("python3").args(["-c", &program]).output()?
            }
        };
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}
