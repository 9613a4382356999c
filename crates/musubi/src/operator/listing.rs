//! Rows for people and for programs: a table, CSV or JSON.
//!
//! Tables are aligned by the width of characters on a terminal, so that Japanese text stays in its column, and fold long values where
//! there is a terminal; a pipe gets a line for each row. Surprising: in CSV a
//! value that a spreadsheet would compute gets an apostrophe in front (OWASP ASVS 1.2.10).

use std::io::Write;

use clap::ValueEnum;
use comfy_table::{ColumnConstraint, ContentArrangement, Table, Width, presets};
use musubi_domain::{Error, ErrorKind};
use serde_json::{Map, Value};

use super::unwritten;

/// How rows are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    #[default]
    Table,
    /// For spreadsheets.
    Csv,
    /// For programs: an array of objects.
    Json,
}

/// Rows under named columns.
pub(crate) struct Listing {
    columns: &'static [&'static str],
    rows: Vec<Vec<String>>,
}

impl Listing {
    pub(crate) const fn new(columns: &'static [&'static str]) -> Self {
        Self { columns, rows: Vec::new() }
    }

    /// Adds a row, with one value for each column.
    pub(crate) fn add<const N: usize>(&mut self, row: [String; N]) {
        self.rows.push(row.into());
    }

    /// Only these columns, where all would be too many to look at.
    pub(crate) fn only(self, columns: &'static [&'static str]) -> Self {
        let places: Vec<_> =
            columns.iter().filter_map(|name| self.columns.iter().position(|column| column == name)).collect();
        let narrow = |row: Vec<String>| places.iter().map(|place| row[*place].clone()).collect();
        Self { columns, rows: self.rows.into_iter().map(narrow).collect() }
    }

    pub(crate) fn write(&self, format: Format, out: &mut dyn Write) -> Result<(), Error> {
        match format {
            Format::Table => writeln!(out, "{}", self.table()).map_err(unwritten),
            Format::Csv => self.csv(out),
            Format::Json => self.json(out),
        }
    }

    fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(presets::UTF8_HORIZONTAL_ONLY.row_separator(comfy_table::LineStyle::none()));
        table.set_header(self.columns.to_vec());
        table.add_rows(self.rows.iter().cloned());
        table.set_content_arrangement(ContentArrangement::Dynamic);
        for (place, (column, name)) in table.column_iter_mut().zip(self.columns).enumerate() {
            match (place, *name) {
                // What names the row is there to be copied.
                (0, _) => column.set_constraint(ColumnConstraint::ContentWidth),
                // Codes stay whole.
                (_, "reasons") => column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(32))),
                _ => column,
            };
        }
        table
    }

    fn csv(&self, out: &mut dyn Write) -> Result<(), Error> {
        let unwritten = |error: csv::Error| {
            Error::new(ErrorKind::Unavailable, format!("the output can not be written: {error}"), "")
        };
        let mut writer = csv::Writer::from_writer(out);
        writer.write_record(self.columns).map_err(unwritten)?;
        for row in &self.rows {
            writer.write_record(row.iter().map(|value| harmless(value))).map_err(unwritten)?;
        }
        writer.flush().map_err(super::unwritten)
    }

    fn json(&self, out: &mut dyn Write) -> Result<(), Error> {
        let object = |row: &Vec<String>| {
            let values = row.iter().map(|value| Value::String(value.clone()));
            Value::Object(self.columns.iter().map(|&name| name.to_owned()).zip(values).collect::<Map<_, _>>())
        };
        let rows = Value::Array(self.rows.iter().map(object).collect());
        writeln!(out, "{rows:#}").map_err(unwritten)
    }
}

/// A value that no spreadsheet computes. Plain numbers with a sign, phone numbers among them, compute to themselves.
pub(crate) fn harmless(value: &str) -> String {
    let formula = match value.as_bytes() {
        [b'=' | b'@' | b'\t' | b'\r', ..] => true,
        [b'+' | b'-', rest @ ..] => !rest.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    format!("{}{value}", if formula { "'" } else { "" })
}

#[cfg(test)]
mod tests {
    use unicode_width::UnicodeWidthStr as _;

    use super::*;

    fn written(format: Format) -> String {
        let mut listing = Listing::new(&["id", "name"]);
        listing.add(["1".to_owned(), "宮本 真和".to_owned()]);
        listing.add(["+8180".to_owned(), "=1+2,\"".to_owned()]);
        let mut out = Vec::new();
        listing.write(format, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_line_of_a_table_is_as_wide_as_the_others() {
        let widths: Vec<usize> = written(Format::Table).lines().map(|line| line.trim_end().width()).collect();
        assert_eq!(widths.iter().filter(|width| **width == widths[0]).count(), 3, "{widths:?}");
        let table = written(Format::Table);
        let columns: Vec<usize> = table
            .lines()
            .filter_map(|line| {
                line.find("name")
                    .or_else(|| line.find('宮'))
                    .or_else(|| line.find('='))
                    .map(|at| line[..at].width())
            })
            .collect();
        assert_eq!(columns.len(), 3);
        assert!(columns.iter().all(|column| *column == columns[0]), "{table}");
    }

    #[test]
    fn csv_holds_no_formula_and_json_every_value() {
        assert_eq!(written(Format::Csv), "id,name\n1,宮本 真和\n+8180,\"'=1+2,\"\"\"\n");
        let json: Value = serde_json::from_str(&written(Format::Json)).unwrap();
        assert_eq!(json[0]["name"], "宮本 真和");
        assert_eq!(json[1]["name"], "=1+2,\"");
    }
}
