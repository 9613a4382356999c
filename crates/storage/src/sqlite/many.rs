//! Statements about many rows: what all of them have alike is bound once.
//!
//! Taking a column out of a row in JSON costs about as much as storing it, and of a thousand new followers nearly all columns are
//! the same. Surprising: the statement that runs is rewritten for that. `k.value ->> 3` becomes a parameter where column 3 is alike,
//! and the columns that are left move up.

use std::ops::Range;

use serde::Serialize;
use serde_json::Value;
use sqlx::{AssertSqlSafe, Encode, Sqlite, Type, query::Query, sqlite::SqliteArguments};

use super::rows;
use crate::StoreError;

/// How many rows are worth another statement: the driver keeps each that it has prepared, and forgets the one that rested longest.
const MANY: usize = 200;
/// How a statement names a column, in front of its number.
const COLUMN: &str = "value ->> ";

/// A statement about many rows, bound as far as it is known.
pub(crate) struct Many {
    query: Query<'static, Sqlite, SqliteArguments>,
    alike: Vec<Value>,
}

impl Many {
    /// Of a statement that reads the columns of `jsonb_each(?1)` as `value ->> 0` or `k.value ->> 0`, and of rows that are arrays, or
    /// single values.
    ///
    /// # Errors
    /// When a row can't be written as JSON, a fault of ours.
    pub(crate) fn of<T: Serialize>(sql: &'static str, many: &[T]) -> Result<Self, StoreError> {
        let rows = rows(many)?;
        let table = if many.len() < MANY { None } else { Table::of(&rows) };
        let Some(table) = table else {
            return Ok(Self { query: sqlx::query(sql).bind(rows), alike: Vec::new() });
        };
        let alike = table.alike();
        let read = |column: &Range<usize>| {
            serde_json::from_str(&rows[column.clone()])
                .map_err(|error| StoreError::Corrupt(format!("a column can't be read as JSON: {error}")))
        };
        let values =
            table.row(0).iter().zip(&alike).filter(|(_, alike)| **alike).map(|(column, _)| read(column));
        let values = values.collect::<Result<Vec<Value>, _>>()?;
        // Made of a constant and of numbers.
        let sql = AssertSqlSafe(rewritten(sql, &alike));
        Ok(Self { query: sqlx::query(sql).bind(table.without(&alike)), alike: values })
    }

    /// The same; none of no rows, about which there is nothing to be done.
    ///
    /// # Errors
    /// As [`Many::of`].
    pub(crate) fn of_any<T: Serialize>(sql: &'static str, many: &[T]) -> Result<Option<Self>, StoreError> {
        if many.is_empty() { Ok(None) } else { Self::of(sql, many).map(Some) }
    }

    /// The same with the statement's next parameter bound; the rows are the first.
    pub(crate) fn with<T: Encode<'static, Sqlite> + Type<Sqlite> + 'static>(self, value: T) -> Self {
        Self { query: self.query.bind(value), ..self }
    }

    /// The statement, once each of its parameters is bound.
    pub(crate) fn query(self) -> Query<'static, Sqlite, SqliteArguments> {
        self.alike.into_iter().fold(self.query, |query, value| match value {
            Value::Bool(truth) => query.bind(truth),
            Value::Number(number) if number.is_i64() => query.bind(number.as_i64()),
            Value::Number(number) => query.bind(number.as_f64()),
            Value::String(text) => query.bind(text),
            Value::Null | Value::Array(_) | Value::Object(_) => query.bind(None::<i64>),
        })
    }
}

/// Where each column of each row stands in a text.
struct Table<'a> {
    text: &'a str,
    columns: Vec<Range<usize>>,
    width: usize,
}

impl<'a> Table<'a> {
    /// Of an array of arrays of one length, written without spaces; none of anything else.
    fn of(text: &'a str) -> Option<Self> {
        let bytes = text.as_bytes();
        let (mut columns, mut width, mut at) = (Vec::new(), None, 1);
        while bytes.get(at) == Some(&b'[') {
            let first = columns.len();
            while bytes[at] != b']' {
                let start = at + 1;
                at = end_of_scalar(bytes, start)?;
                columns.push(start..at);
            }
            if *width.get_or_insert(columns.len() - first) != columns.len() - first {
                return None;
            }
            // Behind the row, and the comma or the bracket.
            at += 2;
        }
        width.map(|width| Self { text, columns, width })
    }

    fn row(&self, row: usize) -> &[Range<usize>] {
        &self.columns[row * self.width..][..self.width]
    }

    /// Of each column, whether all rows have the same there.
    fn alike(&self) -> Vec<bool> {
        let text = |column: &Range<usize>| &self.text[column.clone()];
        let first = self.row(0);
        let mut alike = vec![true; self.width];
        for row in self.columns.chunks_exact(self.width) {
            for ((column, first), alike) in row.iter().zip(first).zip(&mut alike) {
                *alike = *alike && text(column) == text(first);
            }
        }
        alike
    }

    /// The text again, of the other columns alone.
    fn without(&self, alike: &[bool]) -> String {
        let mut kept = String::with_capacity(self.text.len());
        kept.push('[');
        for row in self.columns.chunks_exact(self.width) {
            kept.push_str(if kept.len() == 1 { "[" } else { ",[" });
            let columns = row.iter().zip(alike).filter(|(_, alike)| !**alike);
            for (place, (column, _)) in columns.enumerate() {
                if place > 0 {
                    kept.push(',');
                }
                kept.push_str(&self.text[column.clone()]);
            }
            kept.push(']');
        }
        kept.push(']');
        kept
    }
}

/// Where a number, a text, a truth or null ends that begins here: at a comma or a bracket. None where something else begins.
fn end_of_scalar(bytes: &[u8], start: usize) -> Option<usize> {
    let mut at = start;
    match bytes.get(at)? {
        b'[' | b'{' => return None,
        b'"' => loop {
            at += 1;
            match bytes.get(at)? {
                b'\\' => at += 1,
                b'"' => break,
                _ => {}
            }
        },
        _ => {}
    }
    let rest = bytes.get(at..)?.iter().position(|byte| matches!(byte, b',' | b']'))?;
    Some(at + rest)
}

/// The statement with a parameter, behind those that it has, in the place of each column that is alike.
fn rewritten(sql: &str, alike: &[bool]) -> String {
    let parameters = sql.split('?').skip(1).filter_map(|rest| leading_number(rest).map(|(number, _)| number));
    let parameters = parameters.max().unwrap_or(0);
    let before = |column: usize, is: bool| alike[..column].iter().filter(|alike| **alike == is).count();
    let mut pieces = sql.split(COLUMN);
    let mut rewritten = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        match leading_number(piece) {
            Some((column, rest)) if alike.get(column) == Some(&true) => {
                if rewritten.ends_with("k.") {
                    rewritten.truncate(rewritten.len() - "k.".len());
                }
                rewritten.push_str(&format!("?{}{rest}", parameters + 1 + before(column, true)));
            }
            Some((column, rest)) if column < alike.len() => {
                rewritten.push_str(&format!("{COLUMN}{}{rest}", before(column, false)));
            }
            Some(_) | None => rewritten.extend([COLUMN, piece]),
        }
    }
    rewritten
}

fn leading_number(text: &str) -> Option<(usize, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, rest) = text.split_at(end);
    number.parse().ok().map(|number| (number, rest))
}

/// A statement as it runs when no column is alike, when each is, and when every second is.
#[cfg(test)]
pub(crate) fn variants(sql: &str) -> [String; 3] {
    let columns = sql.split(COLUMN).skip(1).filter_map(leading_number).map(|(column, _)| column + 1);
    let width = columns.max().unwrap_or(0);
    let every_second: Vec<_> = (0..width).map(|column| column % 2 == 0).collect();
    [sql.to_owned(), rewritten(sql, &vec![true; width]), rewritten(sql, &every_second)]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sqlx::{Connection as _, SqliteConnection};

    use super::*;
    use crate::row::Columns as _;

    const SQL: &str = "SELECT k.value ->> 0, k.value ->> 1, ?2 + (k.value ->> 2), unhex(k.value ->> 3), k.value ->> 4, \
                       k.value ->> 5 FROM jsonb_each(?1) AS k ORDER BY k.key";

    type Sample = (String, Option<i64>, i64, String, bool, Option<String>);

    #[test]
    fn what_is_alike_becomes_a_parameter_and_the_rest_moves_up() {
        let sql = "INSERT INTO t SELECT k.value ->> 0, unhex(k.value ->> 1), value ->> 10, ?3 FROM jsonb_each(?1) AS k";
        let alike = [true, false, true, true, true, true, true, true, true, true, false];
        let expected =
            "INSERT INTO t SELECT ?4, unhex(k.value ->> 0), value ->> 1, ?3 FROM jsonb_each(?1) AS k";
        assert_eq!(rewritten(sql, &alike), expected);
    }

    #[test]
    fn few_rows_and_rows_that_are_no_arrays_stay_as_they_are() {
        let kept = [
            Many::of(SQL, &[("a", 1); MANY - 1]),
            Many::of(SQL, &["a,b"; MANY]),
            Many::of(SQL, &[("a", [1]); MANY]),
        ];
        for many in kept {
            assert_eq!(many.unwrap().alike.len(), 0);
        }
    }

    fn sample() -> impl Strategy<Value = Sample> {
        let texts = || prop_oneof![Just(r#"a\",[]"#.to_owned()), "\\PC{0,6}"];
        (
            texts(),
            any::<Option<i64>>(),
            0i64..3,
            Just("0aff".to_owned()),
            any::<bool>(),
            proptest::option::of(texts()),
        )
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
                if which[4] { row.4 = same.4; }
                if which[5] { row.5 = same.5; }
                row
            }).collect();
            let many = Many::of(SQL, &written).unwrap();
            prop_assert!(!many.alike.is_empty());
            let read = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
                let mut connection = SqliteConnection::connect("sqlite::memory:").await.unwrap();
                many.with(7).query().fetch_all(&mut connection).await.unwrap()
            });
            let read: Vec<Sample> = read.iter().map(|row| (
                row.text(0).unwrap().to_owned(),
                row.maybe_int(1).unwrap(),
                row.int(2).unwrap() - 7,
                crate::row::hex(row.bytes(3).unwrap()),
                row.flag(4).unwrap(),
                row.maybe_text(5).unwrap().map(str::to_owned),
            )).collect();
            prop_assert_eq!(read, written);
        }
    }
}
