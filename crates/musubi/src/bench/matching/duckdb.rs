//! DuckDB's plain join of the same account numbers, when it is on this machine.
//!
//! It reads two files of numbers into memory first; only the join is timed, by DuckDB itself or around the call of its Python module. What it
//! joins into is a table of pairs, as ours. Surprising: it gets the account keys as text, as stores keep them; by integers it would be
//! two to three times as fast.

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

use super::join::Number;
use super::{Columns, crowd::KEY_DIGITS};

/// What to say when there is none.
pub(super) const MISSING: &str =
    "DuckDB is not here to be measured against; pip install duckdb-cli, or name it with --duckdb PATH";

/// Joins in one run, of which the fastest counts.
const PASSES: usize = 3;

/// The fastest join, and how many pairs it found.
pub(super) struct Theirs {
    pub(super) took: Duration,
    pub(super) pairs: usize,
}

/// What runs the join: the program, or Python's module.
enum Peer {
    Program(PathBuf),
    Python,
}

/// Has DuckDB join these answers with the master; None when there is no DuckDB and none was named.
pub(super) fn join(
    named: Option<&Path>,
    folder: &Path,
    master: &Columns,
    answers: &[Number],
) -> Result<Option<Theirs>, Error> {
    let Some(peer) = find(named)? else { return Ok(None) };
    let wrong = |error: io::Error| {
        Error::new(ErrorKind::Unavailable, format!("DuckDB can not be run: {}", error.kind()), "see --duckdb")
    };
    let ids = (0..master.numbers.len()).map(|row| master.id(row));
    write(&folder.join("master.csv"), ids.zip(&master.numbers)).map_err(wrong)?;
    write(&folder.join("answers.csv"), (0..answers.len()).zip(answers)).map_err(wrong)?;
    let told = peer.run(folder).map_err(wrong)?;
    let numbers = |before: &str| -> Vec<f64> {
        let words: Vec<&str> = told.split_whitespace().collect();
        let after = words.windows(2).filter(|pair| pair[0] == before);
        after.filter_map(|pair| pair[1].parse().ok()).collect()
    };
    let (seconds, pairs) = (numbers("real"), numbers("pairs"));
    let fastest = seconds.into_iter().filter(|took| took.is_finite() && *took >= 0.0).min_by(f64::total_cmp);
    let (Some(took), Some(pairs)) = (fastest, pairs.first()) else {
        let remedy = "name DuckDB's own program with --duckdb PATH";
        return Err(Error::invalid("--duckdb", "what it tells is no time of a join", remedy));
    };
    // Its clock shows milliseconds.
    let took = Duration::from_secs_f64(took.max(0.000_5));
    Ok(Some(Theirs { took, pairs: *pairs as usize }))
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

fn write<'a>(path: &Path, rows: impl Iterator<Item = (impl Display, &'a Number)>) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    for (id, number) in rows {
        writeln!(file, "{id},{number:0KEY_DIGITS$}")?;
    }
    file.flush()
}

const JOIN: &str = "CREATE OR REPLACE TABLE joined AS SELECT answers.id, master.id AS customer_id FROM answers JOIN master USING (account)";

impl Peer {
    /// What it tells of its joins: `real` and seconds for each, `pairs` and how many.
    fn run(&self, folder: &Path) -> io::Result<String> {
        let threads = thread::available_parallelism().map_or(1, NonZero::get);
        let load = |table: &str, id: &str| {
            let file = folder.join(table).with_extension("csv").display().to_string().replace('\'', "''");
            format!(
                "CREATE TABLE {table} AS SELECT * FROM read_csv('{file}', header = false, \
                 columns = {{'id': '{id}', 'account': 'VARCHAR'}})"
            )
        };
        let before =
            [format!("SET threads = {threads}"), load("master", "VARCHAR"), load("answers", "INTEGER")];
        const COUNT: &str = "SELECT 'pairs ' || count(*) FROM joined";
        let output = match self {
            Self::Program(program) => {
                let joins = [JOIN; PASSES].join(";\n");
                let script = format!(
                    "{};\n.timer on\n{joins};\n.timer off\n.mode list\n{COUNT};\n",
                    before.join(";\n")
                );
                std::fs::write(folder.join("join.sql"), script)?;
                let script = File::open(folder.join("join.sql"))?;
                Command::new(program).arg("-batch").stdin(script).output()?
            }
            Self::Python => {
                let program = format!(
                    "import duckdb, time\nc = duckdb.connect()\nfor s in {before:?}: c.execute(s)\n\
                     for _ in range({PASSES}):\n    t = time.perf_counter(); c.execute({JOIN:?})\n    \
                     print('real', time.perf_counter() - t)\nprint(c.execute({COUNT:?}).fetchone()[0])\n"
                );
                Command::new("python3").args(["-c", &program]).output()?
            }
        };
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}
