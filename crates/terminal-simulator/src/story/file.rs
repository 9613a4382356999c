//! The stories file: CSV with a header row, UTF-8 with or without a byte order mark, any line ending.
//!
//! A file is read whole or not at all, and the error names every bad row rather than the first. The surprising
//! thing: a bad value is told by its shape ("12 characters: digits, hyphens"), never shown, since a shifted
//! column can put a name or a number in any field; only a short lowercase word where a word was due is shown.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::io::{Read, Write};
use std::str::FromStr;

use csv::ByteRecord;

use super::{Expected, Identity, Reply, Story, UnfollowAfter, UnknownWord};

/// The columns of a stories file, in the order in which they are written; they are read in any order.
pub const COLUMNS: [&str; 14] = [
    "phone_number",
    "carrier",
    "official_account",
    "reply",
    "account_text",
    "identity_method",
    "identity_name",
    "identity_name_kana",
    "identity_birth_date",
    "identity_address",
    "unfollow_after",
    "expected",
    "expected_customer_id",
    "story",
];

/// How many bad rows an error lists.
const LISTED_ROWS: usize = 20;

/// Why a stories file wasn't read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoriesError {
    /// The header row isn't that of a stories file.
    #[error("line 1: {problems}; the columns are {}", COLUMNS.join(","))]
    Columns {
        /// What is missing, unknown or repeated.
        problems: String,
    },
    /// Some rows are wrong, so none was taken.
    #[error("{}", describe_rows(rows, *further))]
    Rows {
        /// The first bad rows, at most 20, in the order of the file.
        rows: Vec<BadRow>,
        /// How many more rows are bad.
        further: usize,
    },
    /// The file couldn't be read on.
    #[error("the stories can't be read: {0}; check the file and its permissions")]
    Read(#[source] csv::Error),
    /// The stories couldn't be written.
    #[error("the stories can't be written: {0}; check the folder, its permissions and the free space")]
    Write(#[source] csv::Error),
}

/// A row that can't be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadRow {
    /// The line of the file on which the row begins; the header is line 1.
    pub line: u64,
    /// What is wrong with it.
    pub fields: Vec<BadField>,
}

/// What is wrong with one field of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadField {
    /// The column's name, or `row` if it is the row as a whole.
    pub field: &'static str,
    /// What is wrong and what to do, without personal data.
    pub problem: String,
}

impl fmt::Display for BadRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: ", self.line)?;
        for (index, bad) in self.fields.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{} {}", bad.field, bad.problem)?;
        }
        Ok(())
    }
}

/// Reads a whole stories file.
///
/// # Errors
/// `Columns` if the header lacks a column, has an unknown one or one twice; `Rows` if any row has a number that
/// isn't E.164, an unknown word, a `confirm` without account text or identity, the same follower of the same
/// account twice, one number with two carriers, or bytes that aren't UTF-8; `Read` if the reader fails.
pub fn read_stories(mut source: impl Read) -> Result<Vec<Story>, StoriesError> {
    let mut file = Vec::new();
    source.read_to_end(&mut file).map_err(|error| StoriesError::Read(error.into()))?;
    let file = file.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&file);
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(file);
    let mut lines = Lines { file, counted: 0, line: 1 };
    let columns = Columns::find(reader.byte_headers().map_err(StoriesError::Read)?)?;
    let mut seen = Seen::default();
    let mut stories = Vec::new();
    let mut rows = Vec::new();
    let mut further = 0;
    let mut record = ByteRecord::new();
    while reader.read_byte_record(&mut record).map_err(StoriesError::Read)? {
        let line = lines.of(&record);
        let mut row = Row { columns: &columns, record: &record, bad: Vec::new() };
        let story = row.parse();
        if let Some(story) = &story {
            seen.check(story, line, &mut row.bad);
        }
        match story {
            Some(story) if row.bad.is_empty() => stories.push(story),
            Some(_) | None if rows.len() < LISTED_ROWS => rows.push(BadRow { line, fields: row.bad }),
            Some(_) | None => further += 1,
        }
    }
    if rows.is_empty() { Ok(stories) } else { Err(StoriesError::Rows { rows, further }) }
}

/// Writes a stories file that [`read_stories`] reads back as the same stories.
///
/// # Errors
/// `Write` if the writer fails.
pub fn write_stories(stories: &[Story], target: impl Write) -> Result<(), StoriesError> {
    let mut writer = csv::Writer::from_writer(target);
    writer.write_record(COLUMNS).map_err(StoriesError::Write)?;
    for story in stories {
        let [method, name, kana, birth_date, address] = story.identity.as_ref().map_or([""; 5], |identity| {
            [
                identity.method.as_str(),
                identity.name.as_str(),
                identity.name_kana.as_str(),
                identity.birth_date.as_str(),
                identity.address.as_str(),
            ]
        });
        let row = [
            story.phone_number.as_str(),
            story.carrier.as_str(),
            story.official_account.as_str(),
            story.reply.as_str(),
            story.account_text.as_str(),
            method,
            name,
            kana,
            birth_date,
            address,
            story.unfollow_after.as_str(),
            story.expected.as_str(),
            story.expected_customer_id.as_deref().unwrap_or_default(),
            story.story.as_str(),
        ];
        writer.write_record(row).map_err(StoriesError::Write)?;
    }
    writer.flush().map_err(|error| StoriesError::Write(error.into()))
}

/// Counts lines as an editor does: the parser's own count takes a record to begin at the blank lines before it.
struct Lines<'a> {
    file: &'a [u8],
    counted: usize,
    line: u64,
}

impl Lines<'_> {
    /// The line on which the record begins; records come in the order of the file.
    fn of(&mut self, record: &ByteRecord) -> u64 {
        let start = record.position().and_then(|at| usize::try_from(at.byte()).ok()).unwrap_or(self.counted);
        for (at, byte) in self.file.iter().enumerate().skip(self.counted) {
            if at >= start && !matches!(byte, b'\r' | b'\n') {
                break;
            }
            self.counted = at + 1;
            self.line += u64::from(*byte == b'\n');
        }
        self.line
    }
}

/// Where each of [`COLUMNS`] stands in the file.
struct Columns {
    places: [usize; COLUMNS.len()],
    width: usize,
}

impl Columns {
    fn find(header: &ByteRecord) -> Result<Self, StoriesError> {
        let mut places = [0; COLUMNS.len()];
        let mut problems = Vec::new();
        for (place, column) in places.iter_mut().zip(COLUMNS) {
            let mut found = header.iter().enumerate().filter(|(_, name)| *name == column.as_bytes());
            match (found.next(), found.next()) {
                (Some((at, _)), None) => *place = at,
                (Some(_), Some(_)) => problems.push(format!("column {column} is there twice")),
                (None, _) => problems.push(format!("column {column} is missing")),
            }
        }
        for (index, name) in header.iter().enumerate() {
            if !COLUMNS.iter().any(|column| column.as_bytes() == name) {
                let name = shape_of_word(&String::from_utf8_lossy(name));
                problems.push(format!("column {} is {name}, which is unknown", index + 1));
            }
        }
        if problems.is_empty() {
            Ok(Self { places, width: header.len() })
        } else {
            Err(StoriesError::Columns { problems: problems.join("; ") })
        }
    }
}

/// One record and what was found wrong with it so far.
struct Row<'a> {
    columns: &'a Columns,
    record: &'a ByteRecord,
    bad: Vec<BadField>,
}

impl Row<'_> {
    /// The story, if nothing is wrong with the row itself.
    fn parse(&mut self) -> Option<Story> {
        if self.record.len() != self.columns.width {
            let (found, due) = (self.record.len(), self.columns.width);
            self.refuse(
                "row",
                format!("has {found} fields; write {due}, and quote a field that holds a comma"),
            );
            return None;
        }
        let [
            phone_number,
            carrier,
            official_account,
            reply,
            account_text,
            method,
            name,
            name_kana,
            birth_date,
            address,
            unfollow_after,
            expected,
            expected_customer_id,
            story,
        ] = std::array::from_fn(|column| self.text(column));
        if self.bad.iter().any(|bad| bad.problem.starts_with("isn't UTF-8")) {
            return None;
        }
        if !is_e164(&phone_number) {
            let found = shape(&phone_number);
            self.refuse(
                "phone_number",
                format!("is {found}; write E.164: + and 8 to 15 digits, the first not 0"),
            );
        }
        for (field, value) in [("carrier", &carrier), ("official_account", &official_account)] {
            if value.trim().is_empty() {
                self.refuse(field, "is empty; write its id".to_owned());
            }
        }
        let reply: Option<Reply> = self.word("reply", &reply);
        let unfollow_after: Option<UnfollowAfter> = self.word("unfollow_after", &unfollow_after);
        let expected: Option<Expected> = self.word("expected", &expected);
        let must_confirm = reply == Some(Reply::Confirm) && unfollow_after != Some(UnfollowAfter::Question);
        if must_confirm && account_text.is_empty() {
            self.refuse("account_text", "is empty; write what is typed, since reply is confirm".to_owned());
        }
        if expected == Some(Expected::Confirmed) && expected_customer_id.is_empty() {
            self.refuse("expected_customer_id", "is empty; write whom expected confirmed means".to_owned());
        }
        let identity = if method.is_empty() {
            for (field, value) in COLUMNS[6..10].iter().zip([&name, &name_kana, &birth_date, &address]) {
                if !value.is_empty() {
                    self.refuse(field, "is given without identity_method; write both or neither".to_owned());
                }
            }
            if must_confirm {
                self.refuse(
                    "identity_method",
                    "is empty; write who attests the person, since reply is confirm".to_owned(),
                );
            }
            None
        } else {
            for (field, value) in [("identity_name", &name), ("identity_birth_date", &birth_date)] {
                if value.trim().is_empty() {
                    self.refuse(field, "is empty; write what the verifier attests".to_owned());
                }
            }
            let method = self.word("identity_method", &method);
            method.map(|method| Identity { method, name, name_kana, birth_date, address })
        };
        if !self.bad.is_empty() {
            return None;
        }
        Some(Story {
            phone_number,
            carrier,
            official_account,
            reply: reply?,
            account_text,
            identity,
            unfollow_after: unfollow_after?,
            expected: expected?,
            expected_customer_id: Some(expected_customer_id).filter(|id| !id.is_empty()),
            story,
        })
    }

    /// The text of a column, or nothing and a problem if its bytes aren't UTF-8.
    fn text(&mut self, column: usize) -> String {
        let bytes = self.record.get(self.columns.places[column]).unwrap_or_default();
        if let Ok(text) = std::str::from_utf8(bytes) {
            return text.to_owned();
        }
        let problem = format!("isn't UTF-8 ({} bytes); save the file as UTF-8", bytes.len());
        self.refuse(COLUMNS[column], problem);
        String::new()
    }

    fn word<T: FromStr<Err = UnknownWord>>(&mut self, field: &'static str, word: &str) -> Option<T> {
        match word.parse() {
            Ok(word) => Some(word),
            Err(UnknownWord { found, allowed, .. }) => {
                self.refuse(field, format!("is {found}; write {allowed}"));
                None
            }
        }
    }

    fn refuse(&mut self, field: &'static str, problem: String) {
        self.bad.push(BadField { field, problem });
    }
}

/// What earlier rows said, by phone number.
#[derive(Default)]
struct Seen(HashMap<String, SeenNumber>);

struct SeenNumber {
    line: u64,
    carrier: String,
    /// Each account that it follows, with the line that says so.
    follows: Vec<(String, u64)>,
}

impl Seen {
    fn check(&mut self, story: &Story, line: u64, bad: &mut Vec<BadField>) {
        let first = || SeenNumber { line, carrier: story.carrier.clone(), follows: Vec::new() };
        let seen = self.0.entry(story.phone_number.clone()).or_insert_with(first);
        if seen.carrier != story.carrier {
            bad.push(BadField {
                field: "carrier",
                problem: format!(
                    "is another than on line {}; write the same for the same phone_number",
                    seen.line
                ),
            });
        }
        match seen.follows.iter().find(|(account, _)| *account == story.official_account) {
            Some((_, earlier)) => bad.push(BadField {
                field: "phone_number",
                problem: format!(
                    "follows the same official_account as on line {earlier}; remove one of them"
                ),
            }),
            None => seen.follows.push((story.official_account.clone(), line)),
        }
    }
}

fn describe_rows(rows: &[BadRow], further: usize) -> String {
    let total = rows.len() + further;
    let mut text =
        format!("{total} {} of the stories can't be taken", if total == 1 { "row" } else { "rows" });
    for row in rows {
        text.push_str(&format!("\n  {row}"));
    }
    if further > 0 {
        text.push_str(&format!("\n  and {further} more"));
    }
    text
}

fn is_e164(number: &str) -> bool {
    number.strip_prefix('+').is_some_and(|digits| {
        (8..=15).contains(&digits.len())
            && digits.bytes().all(|byte| byte.is_ascii_digit())
            && !digits.starts_with('0')
    })
}

/// A value told by its length and the kinds of character in it.
fn shape(value: &str) -> String {
    if value.is_empty() {
        return "empty".to_owned();
    }
    let kind = |c: char| match c {
        '+' => "plus signs",
        '-' => "hyphens",
        '0'..='9' => "digits",
        'A'..='Z' | 'a'..='z' => "Latin letters",
        _ if c.is_whitespace() => "spaces",
        _ => "other characters",
    };
    let present: BTreeSet<&str> = value.chars().map(kind).collect();
    let present: Vec<&str> = present.into_iter().collect();
    let count = value.chars().count();
    format!("{count} {}: {}", if count == 1 { "character" } else { "characters" }, present.join(", "))
}

/// The value itself if it could well be a word of the file, else its shape.
pub(super) fn shape_of_word(value: &str) -> String {
    let is_word = (1..=24).contains(&value.len())
        && value.bytes().all(|byte| byte == b'_' || byte.is_ascii_lowercase());
    if is_word { format!("\"{value}\"") } else { shape(value) }
}

/// "a, b or c", with the empty word spelt out.
pub(super) fn list_words(words: &[&str]) -> String {
    let named: Vec<&str> = words.iter().map(|word| if word.is_empty() { "nothing" } else { word }).collect();
    match named.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
        None => String::new(),
    }
}
