//! CSV files as companies have them: UTF-8 or Shift_JIS, with or without a byte order mark, with any line ending.
//!
//! Read from a file in constant memory. Nothing here knows what a column means. Surprising: line endings are made one before
//! the CSV is taken apart, because else the lines that errors name would be off by one in files from Windows.

use std::{
    fmt,
    io::{self, Read, Seek},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use csv::StringRecord;
use encoding_rs::{Decoder, DecoderResult, SHIFT_JIS, UTF_8};
use musubi_domain::{Error, ErrorKind, error::shape};

/// The longest row, in bytes of UTF-8: what an open quote may swallow before it is noticed.
const LONGEST_ROW: usize = 64 * 1024;
const CHUNK: usize = 32 * 1024;

/// What a file is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// With or without a byte order mark.
    Utf8,
    /// As Windows writes it (CP932).
    ShiftJis,
}

impl Encoding {
    /// Its name, as people and the wire write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Utf8 => "UTF-8",
            Self::ShiftJis => "Shift_JIS",
        }
    }

    fn decoder(self) -> Decoder {
        match self {
            Self::Utf8 => UTF_8.new_decoder_with_bom_removal(),
            Self::ShiftJis => SHIFT_JIS.new_decoder_without_bom_handling(),
        }
    }
}

/// The rows of a CSV file, the header first taken off.
pub struct CsvRows<F: Read> {
    reader: csv::Reader<Text<F>>,
    record: StringRecord,
    budget: Arc<AtomicUsize>,
    encoding: Encoding,
    columns: Vec<usize>,
    width: usize,
}

impl<F: Read + Seek> CsvRows<F> {
    /// Finds the encoding by reading the whole file once, then reads the header, which must have exactly these columns, in
    /// any order.
    ///
    /// # Errors
    /// `file` when it is empty or in another encoding, `header` with the missing, unknown and repeated columns,
    /// `Unavailable` when it can't be read.
    pub fn open(file: F, columns: &[&str]) -> Result<Self, Error> {
        Self::open_file(file, columns, false)
    }

    /// As [`open`](Self::open), but the header may have other columns too, which are passed over.
    ///
    /// # Errors
    /// As [`open`](Self::open), without unknown columns.
    pub fn open_among(file: F, columns: &[&str]) -> Result<Self, Error> {
        Self::open_file(file, columns, true)
    }

    fn open_file(mut file: F, columns: &[&str], among_others: bool) -> Result<Self, Error> {
        let encoding = detect(&mut file)?;
        let budget = Arc::new(AtomicUsize::new(LONGEST_ROW));
        file.rewind().map_err(unreadable)?;
        let text = Text::new(file, encoding, Arc::clone(&budget));
        let reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text);
        let record = StringRecord::new();
        let mut rows = Self { reader, record, budget, encoding, columns: vec![], width: 0 };
        if rows.read()?.is_none() {
            return Err(Error::invalid("file", "it is empty", "send a CSV file with a header row"));
        }
        rows.columns = positions(&rows.record, columns, among_others)?;
        rows.width = rows.record.len();
        Ok(rows)
    }
}

impl<F: Read> CsvRows<F> {
    /// What the file is written in.
    pub const fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// The next row, or none when the file ends.
    ///
    /// # Errors
    /// `file` when a row is so long that a quote must be open.
    pub fn next_row(&mut self) -> Result<Option<Row<'_>>, Error> {
        let line = self.read()?;
        Ok(line.map(|line| Row { line, record: &self.record, columns: &self.columns, width: self.width }))
    }

    /// Reads a record and gives the line where it begins. The text ends every line with one line feed, so the lines behind
    /// are the record's own and its ending; but a quote that is open at the end of the file has swallowed that one, too.
    fn read(&mut self) -> Result<Option<u64>, Error> {
        self.budget.store(LONGEST_ROW, Relaxed);
        let before = self.reader.position().line();
        let found = self.reader.read_record(&mut self.record).map_err(|error| match error.into_kind() {
            csv::ErrorKind::Io(error) => fault(error, before),
            csv::ErrorKind::Utf8 { .. }
            | csv::ErrorKind::UnequalLengths { .. }
            | csv::ErrorKind::Seek
            | csv::ErrorKind::Serialize(_)
            | csv::ErrorKind::Deserialize { .. }
            | _ => Error::new(ErrorKind::Internal, "decoded rows of any length were refused as CSV", ""),
        })?;
        let inside = self.record.as_slice().bytes().filter(|byte| *byte == b'\n').count() as u64;
        let ending = u64::from(!self.reader.get_ref().read_past_end);
        Ok(found.then(|| self.reader.position().line() - inside - ending))
    }
}

/// One row, its values in the order of the columns that were asked for.
pub struct Row<'a> {
    line: u64,
    record: &'a StringRecord,
    columns: &'a [usize],
    width: usize,
}

impl<'a> Row<'a> {
    /// The line where it begins, from 1.
    #[must_use]
    pub const fn line(&self) -> u64 {
        self.line
    }

    /// The values without the space around them.
    ///
    /// # Errors
    /// `row` when it has more or fewer values than the header.
    pub fn values(&self) -> Result<impl Iterator<Item = &'a str> + use<'a>, Error> {
        let (found, wanted) = (self.record.len(), self.width);
        if found != wanted {
            return Err(Error::invalid(
                "row",
                format!("{found} values instead of {wanted}"),
                "write one value for each column, and values with commas in quotes",
            ));
        }
        let record = self.record;
        Ok(self.columns.iter().map(move |column| record.get(*column).unwrap_or_default().trim()))
    }
}

/// Where each wanted column stands in the header.
fn positions(header: &StringRecord, wanted: &[&str], among_others: bool) -> Result<Vec<usize>, Error> {
    let names: Vec<String> = header.iter().map(|name| name.trim().to_ascii_lowercase()).collect();
    let mut faults = Vec::new();
    let mut name = |fault: &str, columns: Vec<String>| {
        if !columns.is_empty() {
            faults.push(format!("{fault}: {}", columns.join(", ")));
        }
    };
    let count = |column: &str| names.iter().filter(|name| *name == column).count();
    let those = |times: fn(usize) -> bool| -> Vec<String> {
        wanted.iter().filter(|column| times(count(column))).map(|column| (*column).to_owned()).collect()
    };
    let missing = those(|count| count == 0);
    if missing.len() == wanted.len() {
        // A file without a header has a person in its first line, who must not be shown.
        return Err(Error::invalid(
            "header",
            "the first line names none of the columns",
            format!("begin the file with {}", wanted.join(",")),
        ));
    }
    name("missing", missing);
    name("repeated", those(|count| count > 1));
    let unknown =
        names.iter().enumerate().filter(|(_, name)| !among_others && !wanted.contains(&name.as_str()));
    name("unknown", unknown.map(|(index, name)| shown(index, name)).collect());
    if !faults.is_empty() {
        let remedy = format!("the columns are {}, each once", wanted.join(","));
        return Err(Error::invalid("header", faults.join("; "), remedy));
    }
    Ok(wanted.iter().filter_map(|column| names.iter().position(|name| name == column)).collect())
}

/// An unknown column as an error may show it: its name when it looks like one, else its place and shape.
fn shown(index: usize, name: &str) -> String {
    let plain = (1..=40).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    if plain { name.to_owned() } else { format!("column {} ({})", index + 1, shape(name)) }
}

fn detect(file: &mut (impl Read + Seek)) -> Result<Encoding, Error> {
    let mut start = Vec::new();
    file.rewind().and_then(|()| file.by_ref().take(3).read_to_end(&mut start)).map_err(unreadable)?;
    if start.starts_with(&[0xFF, 0xFE]) || start.starts_with(&[0xFE, 0xFF]) {
        return Err(Error::invalid("file", "it is UTF-16", "save it as UTF-8 or Shift_JIS"));
    }
    let mut drain = |encoding| {
        file.rewind().map_err(unreadable)?;
        let unbounded = Arc::new(AtomicUsize::new(usize::MAX));
        let mut text = Text::new(&mut *file, encoding, unbounded);
        io::copy(&mut text, &mut io::sink()).map(|_| encoding).map_err(|error| fault(error, 0))
    };
    let utf8 = drain(Encoding::Utf8);
    match utf8 {
        Err(error) if error.kind == ErrorKind::InvalidArgument && !start.starts_with(&[0xEF, 0xBB, 0xBF]) => {
            drain(Encoding::ShiftJis)
        }
        Ok(_) | Err(_) => utf8,
    }
}

/// What stopped the reading: a fault of the text itself, or of the disk.
fn fault(error: io::Error, line: u64) -> Error {
    match error.downcast::<TextFault>() {
        Ok(TextFault::Undecodable { line, encoding }) => Error::invalid(
            "file",
            format!("line {line} is not {}", encoding.as_str()),
            "save the whole file as UTF-8 or Shift_JIS",
        ),
        Ok(TextFault::Endless) => Error::invalid(
            "file",
            format!("the row that begins in or after line {line} is longer than {LONGEST_ROW} bytes"),
            "close its quotes",
        ),
        Err(error) => unreadable(error),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it stands in map_err")]
fn unreadable(error: io::Error) -> Error {
    Error::new(ErrorKind::Unavailable, format!("the file can not be read: {}", error.kind()), "repeat it")
}

#[derive(Debug)]
enum TextFault {
    Undecodable { line: u64, encoding: Encoding },
    Endless,
}

impl fmt::Display for TextFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl std::error::Error for TextFault {}

/// Decodes to UTF-8 and ends every line, also the last, with one line feed.
struct Text<F> {
    file: F,
    encoding: Encoding,
    decoder: Decoder,
    raw: Box<[u8]>,
    decoded: String,
    ready: Vec<u8>,
    given: usize,
    line: u64,
    after_return: bool,
    ended: bool,
    /// More was asked for when everything had been given.
    read_past_end: bool,
    budget: Arc<AtomicUsize>,
}

impl<F: Read> Text<F> {
    fn new(file: F, encoding: Encoding, budget: Arc<AtomicUsize>) -> Self {
        Self {
            file,
            encoding,
            decoder: encoding.decoder(),
            raw: vec![0; CHUNK].into_boxed_slice(),
            decoded: String::with_capacity(CHUNK * 3 + 16),
            ready: Vec::with_capacity(CHUNK * 3 + 16),
            given: 0,
            line: 1,
            after_return: false,
            ended: false,
            read_past_end: false,
            budget,
        }
    }

    /// Decodes the next chunk.
    fn fill(&mut self) -> io::Result<()> {
        let read = self.file.read(&mut self.raw)?;
        self.ended = read == 0;
        self.decoded.clear();
        let raw = &self.raw[..read];
        let (result, _) =
            self.decoder.decode_to_string_without_replacement(raw, &mut self.decoded, self.ended);
        self.ready.clear();
        self.given = 0;
        for byte in self.decoded.bytes() {
            let second_of_pair = byte == b'\n' && self.after_return;
            self.after_return = byte == b'\r';
            if second_of_pair {
                continue;
            }
            let byte = if byte == b'\r' { b'\n' } else { byte };
            self.line += u64::from(byte == b'\n');
            self.ready.push(byte);
        }
        if self.ended {
            self.ready.push(b'\n');
        }
        match result {
            DecoderResult::InputEmpty => Ok(()),
            DecoderResult::Malformed(..) | DecoderResult::OutputFull => {
                let fault = TextFault::Undecodable { line: self.line, encoding: self.encoding };
                Err(io::Error::new(io::ErrorKind::InvalidData, fault))
            }
        }
    }
}

impl<F: Read> Read for Text<F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.given == self.ready.len() {
            if self.ended {
                self.read_past_end = true;
                return Ok(0);
            }
            self.fill()?;
        }
        let budget = self.budget.load(Relaxed);
        if budget == 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, TextFault::Endless));
        }
        let count = buffer.len().min(self.ready.len() - self.given);
        buffer[..count].copy_from_slice(&self.ready[self.given..self.given + count]);
        self.given += count;
        self.budget.store(budget.saturating_sub(count), Relaxed);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    type Rows = Vec<(u64, Vec<String>)>;

    fn read(file: &[u8]) -> Result<(Encoding, Rows), Error> {
        let mut rows = CsvRows::open(Cursor::new(file), &["a", "b"])?;
        let mut all = vec![];
        while let Some(row) = rows.next_row()? {
            all.push((row.line(), row.values()?.map(str::to_owned).collect()));
        }
        Ok((rows.encoding(), all))
    }

    #[track_caller]
    fn check(file: &[u8], encoding: Encoding, rows: &[(u64, [&str; 2])]) {
        let rows: Rows = rows
            .iter()
            .map(|(line, row)| (*line, row.iter().map(|&value| value.to_owned()).collect()))
            .collect();
        assert_eq!(read(file), Ok((encoding, rows)));
    }

    #[test]
    fn encodings_are_told_apart() {
        check("a,b\n山田,1\n".as_bytes(), Encoding::Utf8, &[(2, ["山田", "1"])]);
        check("\u{feff}a,b\n山田,1\n".as_bytes(), Encoding::Utf8, &[(2, ["山田", "1"])]);
        let (bytes, _, lossy) = SHIFT_JIS.encode("a,b\n髙橋 ﾀﾛｳ表①,1\n");
        assert!(!lossy);
        check(&bytes, Encoding::ShiftJis, &[(2, ["髙橋 ﾀﾛｳ表①", "1"])]);
    }

    #[test]
    fn any_line_ending_gives_the_same_rows_and_lines() {
        let unix = "a,b\n\n1,\"x\n\ny\"\n2,z";
        for file in
            [unix.to_owned(), unix.replace('\n', "\r\n"), unix.replace('\n', "\r"), format!("{unix}\n\n")]
        {
            check(file.as_bytes(), Encoding::Utf8, &[(3, ["1", "x\n\ny"]), (6, ["2", "z"])]);
        }
    }

    #[test]
    fn a_quote_that_is_never_closed_begins_where_it_stands() {
        for (file, row) in [("a,b\n1,2\n\n3,\"x\ny", (4, "x\ny")), ("a,b\n1,2\n3,\"", (3, ""))] {
            check(file.as_bytes(), Encoding::Utf8, &[(2, ["1", "2"]), (row.0, ["3", row.1])]);
        }
    }

    #[test]
    fn columns_come_in_any_order_and_values_lose_the_space_around_them() {
        let file = "B , a\n 1\u{3000},\"x, \"\"y\"\" \"\n";
        check(file.as_bytes(), Encoding::Utf8, &[(2, ["x, \"y\"", "1"])]);
    }

    #[test]
    fn a_chunk_may_end_inside_a_character_or_a_line_ending() {
        let rows = 5000;
        for ending in ["\n", "\r\n"] {
            let mut file = format!("a,b{ending}");
            for row in 0..rows {
                file.push_str(&format!("{row},町{}{ending}", "丁".repeat(row % 7)));
            }
            for bytes in [file.as_bytes().to_vec(), SHIFT_JIS.encode(&file).0.into_owned()] {
                let (_, read) = read(&bytes).unwrap();
                assert_eq!(read.len(), rows);
                assert!(read.iter().enumerate().all(|(index, (line, row))| {
                    *line == index as u64 + 2
                        && row[0] == index.to_string()
                        && row[1].chars().count() == index % 7 + 1
                }));
            }
        }
    }

    #[test]
    fn what_is_no_such_file_is_refused_with_its_fault() {
        for (file, field, problem) in [
            (b"".as_slice(), "file", "it is empty"),
            (b"\xFF\xFEa\0", "file", "it is UTF-16"),
            (b"a,b\n1,2\n3,\x81\n", "file", "line 3 is not Shift_JIS"),
            (b"\xEF\xBB\xBFa,b\n1,\x82\xA0\n", "file", "line 2 is not UTF-8"),
            (b"taro yamada,1980\n", "header", "the first line names none of the columns"),
            (
                b"a,a,colour,12 3\n",
                "header",
                "missing: b; repeated: a; unknown: colour, column 4 (4 characters (digits, signs or spaces))",
            ),
            (b"a,b\n1,2,3\n", "row", "3 values instead of 2"),
        ] {
            let error = read(file).unwrap_err();
            assert_eq!((error.field.as_str(), error.problem.as_str()), (field, problem));
        }
    }

    #[test]
    fn an_open_quote_is_noticed_before_it_swallows_the_file() {
        let file = format!("a,b\n1,\"{}", "x,y\n".repeat(200_000));
        let error = read(file.as_bytes()).unwrap_err();
        assert_eq!(error.problem, "the row that begins in or after line 2 is longer than 65536 bytes");
    }
}
