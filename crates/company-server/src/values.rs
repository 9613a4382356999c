//! The values of a distribution: a CSV file with a column `customer_id` and one for each variable of the individual message.
//!
//! Every row is checked before any is sent, by the very rules of the server that takes them. No row is shown, and no value stands in a fault. Surprising: a file is
//! read twice, once to check it and once to send it, so that it may be larger than memory.

use std::{collections::HashSet, fs::File};

use musubi_domain::{Error, id::CustomerId, template::Template};
use musubi_proto::information::v1::CustomerValues;

use crate::csv_text::CsvRows;

/// How many faults are listed.
const LISTED_FAULTS: usize = 100;

/// What is wrong with one value.
#[derive(Debug, PartialEq, Eq)]
pub struct ValueFault {
    /// The line where the row begins.
    pub line: u64,
    /// Field, problem and remedy.
    pub error: Error,
}

/// What a values file holds.
#[derive(Debug)]
pub struct Checked {
    /// Rows read.
    pub rows: u64,
    /// Rows with a fault.
    pub bad_rows: u64,
    /// The first of their faults.
    pub faults: Vec<ValueFault>,
}

/// The values of each customer, in the order of the template's variables.
pub struct Values(CsvRows<File>);

impl Values {
    /// Reads the header: a column `customer_id` and one for each variable, in any order.
    ///
    /// # Errors
    /// `file`, `header`, when it can't be read as such a file.
    pub fn open(file: File, template: &Template) -> Result<Self, Error> {
        let names = template.variables().iter().map(|variable| variable.name.as_str());
        let columns: Vec<&str> = std::iter::once("customer_id").chain(names).collect();
        CsvRows::open(file, &columns).map(Self)
    }

    /// Checks every row.
    ///
    /// # Errors
    /// `file`, when it can't be read to its end; what is wrong with a row stands in the answer.
    pub fn check(mut self, template: &Template) -> Result<Checked, Error> {
        let mut checked = Checked { rows: 0, bad_rows: 0, faults: vec![] };
        let mut seen = HashSet::new();
        while let Some((line, values)) = self.next()? {
            checked.rows += 1;
            let fault = values.and_then(|values| {
                let customer_id: CustomerId = values.customer_id.parse()?;
                if !seen.insert(customer_id) {
                    return Err(Error::invalid(
                        "customer_id",
                        "it stands in a line before",
                        "give each customer one row",
                    ));
                }
                template.check_values(&values.values)
            });
            if let Err(error) = fault {
                checked.bad_rows += 1;
                if checked.faults.len() < LISTED_FAULTS {
                    checked.faults.push(ValueFault { line, error });
                }
            }
        }
        Ok(checked)
    }

    /// The next rows, at most `most`; they were checked before.
    ///
    /// # Errors
    /// `file`; and what is wrong with a row, when the file is another than was checked.
    pub fn next_chunk(&mut self, most: usize) -> Result<Vec<CustomerValues>, Error> {
        let mut chunk = Vec::with_capacity(most);
        while chunk.len() < most
            && let Some((_, values)) = self.next()?
        {
            chunk.push(values?);
        }
        Ok(chunk)
    }

    /// The next row and its line, or what is wrong with the row's shape.
    #[expect(clippy::type_complexity, reason = "a row, its line, its own fault, and the file's")]
    fn next(&mut self) -> Result<Option<(u64, Result<CustomerValues, Error>)>, Error> {
        let Some(row) = self.0.next_row()? else { return Ok(None) };
        let values = row.values().map(|values| {
            let mut values = values.map(str::to_owned);
            CustomerValues { customer_id: values.next().unwrap_or_default(), values: values.collect() }
        });
        Ok(Some((row.line(), values)))
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Seek as _, Write as _};

    use musubi_domain::template::{Variable, VariableKind};

    use super::*;

    fn template() -> Template {
        let kinds =
            [("name", VariableKind::Text), ("points", VariableKind::Integer), ("due", VariableKind::Date)];
        let variables = kinds.map(|(name, kind)| Variable { name: name.to_owned(), kind });
        Template::parse("{name}様 {points}ポイント {due}まで", vec![], variables.into()).unwrap()
    }

    fn open(file: &[u8]) -> Result<Values, Error> {
        let mut stored = tempfile::tempfile().unwrap();
        stored.write_all(file).unwrap();
        stored.rewind().unwrap();
        Values::open(stored, &template())
    }

    #[test]
    fn values_come_in_the_order_of_the_variables_whatever_the_file_has() {
        let file = "due,customer_id,points,name\n2026-12-31,B1,1200,宮本\n";
        for bytes in [file.as_bytes().to_vec(), encoding_rs::SHIFT_JIS.encode(file).0.into_owned()] {
            let chunk = open(&bytes).unwrap().next_chunk(10).unwrap();
            assert_eq!(chunk[0].customer_id, "B1");
            assert_eq!(chunk[0].values, ["宮本", "1200", "2026-12-31"]);
        }
    }

    #[test]
    fn bad_values_are_told_by_line_and_field_and_not_shown() {
        let file = "customer_id,name,points,due\nB1,宮本,many,2026-12-31\nB2,大森,1,2026-13-01\nB 3,高橋,1,2026-12-31\n\
                    B1,宮本,1,2026-12-31\nB4,宮本,1\nB5,良,7,2026-12-31\n";
        let checked = open(file.as_bytes()).unwrap().check(&template()).unwrap();
        let faults: Vec<(u64, &str)> =
            checked.faults.iter().map(|fault| (fault.line, fault.error.field.as_str())).collect();
        assert_eq!(
            faults,
            [(2, "values[points]"), (3, "values[due]"), (4, "customer_id"), (5, "customer_id"), (6, "row")]
        );
        assert_eq!((checked.rows, checked.bad_rows), (6, 5));
        assert!(checked.faults.iter().all(|fault| !fault.error.to_string().contains("many")));
    }

    #[test]
    fn a_file_with_other_columns_is_refused() {
        let error = open(b"customer_id,name,points\n").err().unwrap();
        assert_eq!((error.field.as_str(), error.problem.as_str()), ("header", "missing: due"));
    }
}
