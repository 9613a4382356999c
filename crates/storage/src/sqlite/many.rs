//! Statements about many rows: each column crosses as one value. And statements that nobody wants an answer of: they cross together.
//!
//! Taking a column out of a row in JSON costs several times what storing it does. Surprising: the statement that runs is rewritten. Where a column
//! is alike in all rows, `k.value ->> 3` becomes a parameter; any other is a piece of one long parameter, found by the row's place. What stays
//! JSON is an array of as many zeros. Few rows stay as they are, because each rewritten statement is one more to prepare; their statements
//! are one text, because each crossing to the driver's thread and back puts two threads to sleep.

use std::{borrow::Cow, io::Write as _};

use sqlx::{AssertSqlSafe, Sqlite, Transaction, query::Query, sqlite::SqliteArguments};

use super::rows;
use crate::{
    StoreError,
    row::{BulkRow, Cell},
};

/// How many rows are worth another statement: the driver keeps each that it has prepared, and forgets the one that rested longest.
const MANY: usize = 200;
/// How a statement names a column, in front of its number.
const COLUMN: &str = "value ->> ";
/// What stands in front of a column of bytes.
const UNHEX: &str = "unhex(";
/// The name of rows, in front of a column.
const ROW: &str = "k.";
/// Characters of a number in a long parameter. Null is as many zero bytes.
const NUMBER: usize = 20;

/// A statement about many rows, bound as far as it is known.
pub(crate) struct Many {
    sql: Cow<'static, str>,
    bound: Vec<Parameter>,
    columns: Vec<Parameter>,
}

impl Many {
    /// Of a statement that reads the columns of `jsonb_each(?1)` as `value ->> 0` or `k.value ->> 0`, bytes as `unhex(value ->> 0)`.
    ///
    /// # Errors
    /// When a row can't be written as JSON, a fault of ours.
    pub(crate) fn of<T: BulkRow>(sql: &'static str, many: &[T]) -> Result<Self, StoreError> {
        let column = |(place, field): (usize, for<'r> fn(&'r T) -> Cell<'r>)| {
            Column::of(many.iter().map(field), reading(sql, place))
        };
        let columns: Option<Vec<Column>> = match many.len() < MANY {
            true => None,
            false => T::fields().into_iter().enumerate().map(column).collect(),
        };
        let Some(columns) = columns else {
            let bound = vec![Parameter::Text(rows(many)?)];
            return Ok(Self { sql: sql.into(), bound, columns: Vec::new() });
        };
        let forms: Vec<Form> = columns.iter().map(|column| column.form).collect();
        Ok(Self {
            sql: rewritten(sql, &forms).into(),
            bound: vec![Parameter::Text(format!("[{}]", vec!["0"; many.len()].join(",")))],
            columns: columns.into_iter().flat_map(|column| column.parameters).collect(),
        })
    }

    /// The same; none of no rows, about which there is nothing to be done.
    ///
    /// # Errors
    /// As [`Many::of`].
    pub(crate) fn of_any<T: BulkRow>(sql: &'static str, many: &[T]) -> Result<Option<Self>, StoreError> {
        if many.is_empty() { Ok(None) } else { Self::of(sql, many).map(Some) }
    }

    /// The same with the statement's next parameter bound; the rows are the first.
    pub(crate) fn with(mut self, value: impl Into<Parameter>) -> Self {
        self.bound.push(value.into());
        self
    }

    /// The statement, once each of its parameters is bound.
    pub(crate) fn query(self) -> Query<'static, Sqlite, SqliteArguments> {
        let query = match self.sql {
            Cow::Borrowed(sql) => sqlx::query(sql),
            // Made of constants and of numbers.
            Cow::Owned(sql) => sqlx::query(AssertSqlSafe(sql)),
        };
        self.bound.into_iter().chain(self.columns).fold(query, |query, parameter| match parameter {
            Parameter::Null => query.bind(None::<i64>),
            Parameter::Number(number) => query.bind(number),
            Parameter::Text(text) => query.bind(text),
            Parameter::Bytes(bytes) => query.bind(bytes),
        })
    }

    /// Carries out one behind the other, those of few rows in one crossing.
    pub(crate) async fn carry_out(
        all: impl IntoIterator<Item = Self>,
        tx: &mut Transaction<'_, Sqlite>,
        transaction: &'static str,
    ) -> Result<(), StoreError> {
        for many in together(all) {
            many.query().execute(&mut **tx).await.map_err(StoreError::during(transaction))?;
        }
        Ok(())
    }
}

/// The same statements, neighbours of few rows as one text. Those of many rows would make ever new texts.
fn together(all: impl IntoIterator<Item = Many>) -> Vec<Many> {
    let mut joined: Vec<Many> = Vec::new();
    for next in all {
        match joined.last_mut() {
            Some(last) if last.columns.is_empty() && next.columns.is_empty() => {
                // The driver gives each statement of a text all parameters of the text, and one of this name that of this number.
                let behind = renumbered(&next.sql, last.bound.len());
                last.sql = format!("{};{behind}", last.sql).into();
                last.bound.extend(next.bound);
            }
            Some(_) | None => joined.push(next),
        }
    }
    joined
}

/// The statement with parameters of numbers behind so many others.
fn renumbered(sql: &str, behind: usize) -> String {
    let mut pieces = sql.split('?');
    let mut renumbered = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let Some((number, rest)) = leading_number(piece) else { continue };
        renumbered.push_str(&format!("${}{rest}", behind + number));
    }
    renumbered
}

/// What is bound.
pub(crate) enum Parameter {
    Null,
    Number(i64),
    Text(String),
    Bytes(Vec<u8>),
}

impl From<i64> for Parameter {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl From<String> for Parameter {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Vec<u8>> for Parameter {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes)
    }
}

/// How a column is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// Not at all, by this statement.
    Unread,
    /// One value for all rows.
    Alike,
    /// Numbers one behind the other, or null.
    Numbers,
    /// Texts, or what they are the hexadecimal form of, one behind the other, where each begins, and how long it is or null.
    Texts { are_bytes: bool },
    /// The same, all of so many bytes.
    Even { are_bytes: bool, width: usize },
}

impl Form {
    const fn parameters(self) -> usize {
        match self {
            Self::Unread => 0,
            Self::Alike | Self::Numbers | Self::Even { .. } => 1,
            Self::Texts { .. } => 3,
        }
    }

    /// What stands for the column whose parameters begin with this one, where rows have this name.
    fn read(self, parameter: usize, row: &str) -> String {
        let number = |parameter| {
            let text = format!("substr(?{parameter}, {row}key * {NUMBER} + 1, {NUMBER})");
            format!("CAST(nullif({text}, zeroblob({NUMBER})) AS INTEGER)")
        };
        let text =
            |are_bytes, piece: String| if are_bytes { piece } else { format!("CAST({piece} AS TEXT)") };
        match self {
            Self::Unread => String::new(),
            Self::Alike => format!("?{parameter}"),
            Self::Numbers => number(parameter),
            Self::Texts { are_bytes } => {
                let (start, length) = (number(parameter + 1), number(parameter + 2));
                text(are_bytes, format!("substr(?{parameter}, {start}, {length})"))
            }
            Self::Even { are_bytes, width } => {
                text(are_bytes, format!("substr(?{parameter}, {row}key * {width} + 2, {width})"))
            }
        }
    }
}

/// A column of all rows.
struct Column {
    form: Form,
    parameters: Vec<Parameter>,
}

impl Column {
    /// Of what stands there in each row; none of what can't be read so.
    fn of<'a>(cells: impl Iterator<Item = Cell<'a>> + Clone, reading: Reading) -> Option<Self> {
        if reading == Reading::Never {
            return Some(Self { form: Form::Unread, parameters: Vec::new() });
        }
        let are_bytes = reading == Reading::AsBytes;
        let is_other = |cell| match cell {
            Cell::Bytes(_) => reading != Reading::AsBytes,
            Cell::Number(_) | Cell::Text(_) => reading != Reading::AsItIs,
            Cell::Null => false,
        };
        let first = cells.clone().next()?;
        if cells.clone().any(is_other) {
            return None;
        }
        if cells.clone().all(|cell| cell == first) {
            let alike = match first {
                Cell::Null => Parameter::Null,
                Cell::Number(number) => Parameter::Number(number),
                Cell::Text(text) => Parameter::Text(text.to_owned()),
                Cell::Bytes(bytes) => Parameter::Bytes(bytes.to_vec()),
            };
            return Some(Self { form: Form::Alike, parameters: vec![alike] });
        }
        match cells.clone().find(|cell| *cell != Cell::Null)? {
            Cell::Number(_) => Self::numbers(cells),
            Cell::Null | Cell::Text(_) | Cell::Bytes(_) => Self::texts(cells, are_bytes),
        }
    }

    fn numbers<'a>(cells: impl Iterator<Item = Cell<'a>>) -> Option<Self> {
        let mut all = Vec::new();
        for cell in cells {
            match cell {
                Cell::Null => push(&mut all, None),
                Cell::Number(number) => push(&mut all, Some(number)),
                Cell::Text(_) | Cell::Bytes(_) => return None,
            }
        }
        Some(Self { form: Form::Numbers, parameters: vec![Parameter::Bytes(all)] })
    }

    fn texts<'a>(cells: impl Iterator<Item = Cell<'a>>, are_bytes: bool) -> Option<Self> {
        // A piece of no bytes at all would be null.
        let (mut all, mut pieces) = (vec![b' '], Vec::new());
        for cell in cells {
            let piece = match cell {
                Cell::Null => None,
                Cell::Text(text) => Some(text.as_bytes()),
                Cell::Bytes(bytes) => Some(bytes),
                Cell::Number(_) => return None,
            };
            pieces.push((all.len(), piece.map(<[u8]>::len)));
            all.extend_from_slice(piece.unwrap_or_default());
        }
        let (_, first) = *pieces.first()?;
        if let Some(width) = first.filter(|width| *width > 0 && pieces.iter().all(|(_, it)| *it == first)) {
            let form = Form::Even { are_bytes, width };
            return Some(Self { form, parameters: vec![Parameter::Bytes(all)] });
        }
        let (mut starts, mut lengths) = (Vec::new(), Vec::new());
        for (start, length) in pieces {
            push(&mut starts, i64::try_from(start + 1).ok());
            push(&mut lengths, length.and_then(|length| i64::try_from(length).ok()));
        }
        let parameters = [all, starts, lengths].map(Parameter::Bytes).into();
        Some(Self { form: Form::Texts { are_bytes }, parameters })
    }
}

/// Writes a number behind those that are there.
fn push(all: &mut Vec<u8>, number: Option<i64>) {
    match number {
        Some(number) => {
            let _never_fails = write!(all, "{number:NUMBER$}");
        }
        None => all.extend([0; NUMBER]),
    }
}

/// How a statement reads a column.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reading {
    Never,
    AsItIs,
    /// As the bytes that it is the hexadecimal form of.
    AsBytes,
    BothWays,
}

fn reading(sql: &str, column: usize) -> Reading {
    let pieces: Vec<&str> = sql.split(COLUMN).collect();
    pieces.windows(2).fold(Reading::Never, |reading, pieces| match *pieces {
        [before, behind] if leading_number(behind).is_some_and(|(number, _)| number == column) => {
            let now = match without_row(before).ends_with(UNHEX) {
                true => Reading::AsBytes,
                false => Reading::AsItIs,
            };
            if reading == Reading::Never || reading == now { now } else { Reading::BothWays }
        }
        _ => reading,
    })
}

fn without_row(text: &str) -> &str {
    text.strip_suffix(ROW).unwrap_or(text)
}

/// The statement with parameters, behind those that it has, in the place of each column.
fn rewritten(sql: &str, forms: &[Form]) -> String {
    let parameters = sql.split('?').skip(1).filter_map(|rest| leading_number(rest).map(|(number, _)| number));
    let first = parameters.max().unwrap_or(0) + 1;
    let mut pieces = sql.split(COLUMN);
    let mut rewritten = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let Some((column, mut rest)) = leading_number(piece) else { continue };
        let parameter = first + forms.iter().take(column).map(|form| form.parameters()).sum::<usize>();
        let row = if rewritten.ends_with(ROW) { ROW } else { "" };
        rewritten.truncate(rewritten.len() - row.len());
        if rewritten.ends_with(UNHEX) {
            rewritten.truncate(rewritten.len() - UNHEX.len());
            rest = rest.strip_prefix(')').unwrap_or(rest);
        }
        let read = forms.get(column).map(|form| form.read(parameter, row)).unwrap_or_default();
        rewritten.extend([read.as_str(), rest]);
    }
    rewritten
}

fn leading_number(text: &str) -> Option<(usize, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, rest) = text.split_at(end);
    number.parse().ok().map(|number| (number, rest))
}

/// A statement as it runs of few rows, and of many: all columns alike, none alike, and every second.
#[cfg(test)]
pub(crate) fn variants(sql: &str) -> Vec<String> {
    let columns = sql.split(COLUMN).skip(1).filter_map(leading_number).map(|(column, _)| column + 1);
    let width = columns.max().unwrap_or(0);
    let forms = |alike: fn(usize) -> bool| {
        let form = |column| match reading(sql, column) {
            Reading::Never => Form::Unread,
            _ if alike(column) => Form::Alike,
            Reading::AsBytes => Form::Even { are_bytes: true, width: 16 },
            // A text is looked up among numbers, too, but a number among texts is not.
            Reading::AsItIs | Reading::BothWays => Form::Texts { are_bytes: false },
        };
        (0..width).map(form).collect::<Vec<_>>()
    };
    let all = [forms(|_| true), forms(|_| false), forms(|column| column % 2 == 0)];
    let many = all.map(|forms| rewritten(sql, &forms));
    std::iter::once(sql.to_owned()).chain(many).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sqlx::{Connection as _, SqliteConnection};

    use super::*;
    use crate::row::{Bytes, Columns as _, bulk_rows};

    const SQL: &str = "SELECT k.value ->> 0, k.value ->> 1, ?2 + (k.value ->> 2), unhex(k.value ->> 3), k.value ->> 4, \
                       k.value ->> 5 FROM jsonb_each(?1) AS k ORDER BY k.key";

    bulk_rows! {
        /// A row of all kinds.
        SampleRow { text: String, number: Option<i64>, small: i64, bytes: Bytes, truth: bool, other: Option<String>, }

        /// A row of bytes.
        BytesRow { bytes: Bytes, number: i64, }

        /// A row of a text.
        TextRow<'a> { text: &'a str, number: i64, }
    }

    #[test]
    fn columns_become_parameters() {
        let sql = "INSERT INTO t SELECT value ->> 0, unhex(k.value ->> 1), k.value ->> 3, ?3 FROM jsonb_each(?1) AS k";
        let forms = [Form::Alike, Form::Even { are_bytes: true, width: 16 }, Form::Unread, Form::Alike];
        let expected =
            "INSERT INTO t SELECT ?4, substr(?5, k.key * 16 + 2, 16), ?6, ?3 FROM jsonb_each(?1) AS k";
        assert_eq!(rewritten(sql, &forms), expected);
    }

    #[test]
    fn few_rows_and_what_is_no_column_of_one_kind_stay_json() {
        const BYTES: &str = "SELECT unhex(k.value ->> 0), k.value ->> 1 FROM jsonb_each(?1) AS k";
        const MIXED: &str =
            "SELECT k.value ->> 0, unhex(k.value ->> 0), k.value ->> 1 FROM jsonb_each(?1) AS k";
        let bytes = || vec![BytesRow { bytes: Bytes(vec![0]), number: 1 }; MANY];
        let texts = || vec![TextRow { text: "00", number: 1 }; MANY];
        let is_json = |many: Result<Many, StoreError>| many.unwrap().columns.is_empty();
        assert!(!is_json(Many::of(BYTES, &bytes())));
        assert!(is_json(Many::of(BYTES, &bytes()[1..])) && is_json(Many::of(BYTES, &texts())));
        assert!(is_json(Many::of(MIXED, &bytes())) && is_json(Many::of(MIXED, &texts())));
    }

    #[tokio::test]
    async fn statements_of_few_rows_cross_together_each_with_its_own_parameters() {
        const PUT: &str = "INSERT INTO t SELECT value ->> 0, (value ->> 1) + ?2, ?3 FROM jsonb_each(?1)";
        const ADD: &str =
            "UPDATE t SET number = number + ?2 FROM jsonb_each(?1) AS k WHERE text = k.value ->> 0";
        let rows = |text, count: usize| vec![TextRow { text, number: 1 }; count];
        let put = |text, count, add: i64, at: &str| {
            Many::of(PUT, &rows(text, count)).unwrap().with(add).with(at.to_owned())
        };
        let add = |text, number: i64| Many::of(ADD, &rows(text, 1)).unwrap().with(number);
        let all =
            || [put("a", 2, 10, "x"), add("a", 100), put("b", MANY, 20, "y"), add("b", 200), add("a", 300)];
        assert_eq!(together(all()).len(), 3, "many rows go by themselves");

        let mut connection = SqliteConnection::connect("sqlite::memory:").await.unwrap();
        sqlx::query("CREATE TABLE t (text, number, at)").execute(&mut connection).await.unwrap();
        let mut tx = connection.begin().await.unwrap();
        Many::carry_out(all(), &mut tx, "fact").await.unwrap();
        let read = "SELECT text, number, at, count(*) FROM t GROUP BY 1, 2, 3 ORDER BY 1";
        let read = sqlx::query(read).fetch_all(&mut *tx).await.unwrap();
        let row = |row: &sqlx::sqlite::SqliteRow| {
            let text = |column| row.text(column).unwrap().to_owned();
            (text(0), row.int(1).unwrap(), text(2), row.small::<usize>(3).unwrap())
        };
        let expected = [("a", 411, "x", 2), ("b", 221, "y", MANY)];
        let expected =
            expected.map(|(text, number, at, count)| (text.to_owned(), number, at.to_owned(), count));
        assert_eq!(read.iter().map(row).collect::<Vec<_>>(), expected);
    }

    type Sample = (String, Option<i64>, i64, Vec<u8>, bool, Option<String>);

    fn sample() -> impl Strategy<Value = Sample> {
        let texts = || prop_oneof![Just(r#"a\",[]"#.to_owned()), Just(String::new()), "\\PC{0,6}"];
        let bytes =
            prop_oneof![Just(vec![0, 255]), Just(Vec::new()), proptest::collection::vec(any::<u8>(), 0..3)];
        (texts(), any::<Option<i64>>(), -3i64..3, bytes, any::<bool>(), proptest::option::of(texts()))
    }

    fn row((text, number, small, bytes, truth, other): Sample) -> SampleRow {
        SampleRow { text, number, small, bytes: Bytes(bytes), truth, other }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        /// Columns drawn once for all rows, and rows drawn one by one, come out of the database as they went in.
        #[test]
        fn every_row_is_read_as_it_was_written(
            same in sample(),
            all in proptest::collection::vec(sample(), MANY..MANY + 20),
            which in any::<[bool; 6]>(),
        ) {
            let written: Vec<Sample> = all.into_iter().map(|mut row| {
                let same = same.clone();
                if which[0] { row.0 = same.0; }
                if which[1] { row.1 = same.1; }
                if which[2] { row.2 = same.2; }
                if which[3] { row.3 = same.3; }
                if which[4] { row.4 = same.4; }
                if which[5] { row.5 = same.5; }
                row
            }).collect();
            let rows: Vec<SampleRow> = written.iter().cloned().map(row).collect();
            let many = Many::of(SQL, &rows).unwrap();
            prop_assert!(!many.columns.is_empty());
            let read = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
                let mut connection = SqliteConnection::connect("sqlite::memory:").await.unwrap();
                many.with(7).query().fetch_all(&mut connection).await.unwrap()
            });
            let read: Vec<Sample> = read.iter().map(|row| (
                row.text(0).unwrap().to_owned(),
                row.maybe_int(1).unwrap(),
                row.int(2).unwrap() - 7,
                row.bytes(3).unwrap().to_vec(),
                row.flag(4).unwrap(),
                row.maybe_text(5).unwrap().map(str::to_owned),
            )).collect();
            prop_assert_eq!(read, written);
        }
    }
}
