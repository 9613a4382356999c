//! Rows of a file that can't be read: the first of them in a table, and how many there are.
//!
//! A bad row stops nothing, and it is never passed over unseen: a command that met one says which and how many, and does not
//! end with success. Surprising: errors hold no personal value, so the table may be shown and kept.

use std::{fmt::Display, io::Write};

use musubi_domain::Error;

use crate::operator::{
    listing::{Format, Listing},
    unwritten,
    words::thousands,
};

/// A table of more rows is read by nobody.
const MOST_SHOWN: u64 = 20;

/// The bad rows of one or more files.
pub(super) struct Faults {
    shown: Listing,
    count: u64,
}

impl Faults {
    pub(super) fn new() -> Self {
        Self { shown: Listing::new(&["file", "line", "field", "problem", "remedy"]), count: 0 }
    }

    pub(super) fn add(&mut self, file: &str, line: impl Display, error: Error) {
        self.count += 1;
        if self.count <= MOST_SHOWN {
            self.shown.add([file.to_owned(), line.to_string(), error.field, error.problem, error.remedy]);
        }
    }

    pub(super) const fn count(&self) -> u64 {
        self.count
    }

    /// Shows the first, and how many are not shown.
    pub(super) fn write(&self, out: &mut dyn Write) -> Result<(), Error> {
        if self.count == 0 {
            return Ok(());
        }
        self.shown.write(Format::Table, out)?;
        match self.count.saturating_sub(MOST_SHOWN) {
            0 => Ok(()),
            more => writeln!(out, "and {} more bad rows", thousands(more)).map_err(unwritten),
        }
    }
}
