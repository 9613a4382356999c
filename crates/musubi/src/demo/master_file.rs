//! What a customer master file tells before any server reads it: how long the company's numbers are.
//!
//! Nothing else is read here; importing is the company server's work. Surprising: a number is as long as the longest, because
//! spreadsheets drop leading zeros.

use std::borrow::Cow;

use csv::StringRecord;
use encoding_rs::SHIFT_JIS;
use musubi_matching::AccountFormat;

/// Why the lengths can't be found.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum MasterFileError {
    /// There is no such column.
    #[error("no column {0}; write the header row of a customer master")]
    NoColumn(&'static str),
    /// No row has an account number.
    #[error("no row has an account number; write at least one customer")]
    NoNumber,
    /// A number is longer than any company's.
    #[error("column {0} has {1} digits in a row; numbers have at most 20")]
    TooLong(&'static str, usize),
}

/// The digits of account and branch numbers in a customer master file, UTF-8 or Shift_JIS.
pub(super) fn account_format(file: &[u8]) -> Result<AccountFormat, MasterFileError> {
    let text = match std::str::from_utf8(file) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => SHIFT_JIS.decode(file).0,
    };
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(text.as_bytes());
    let header = reader.headers().cloned().unwrap_or_default();
    let [account, branch] = ["account_number", "branch_number"].map(|name| {
        header.iter().position(|column| column.trim() == name).ok_or(MasterFileError::NoColumn(name))
    });
    let (account, branch) = (account?, branch?);
    let (mut account_digits, mut branch_digits) = (0, 0);
    let mut record = StringRecord::new();
    // A row that can't be read is the import's to name.
    while reader.read_record(&mut record).unwrap_or(false) {
        let digits = |column: usize| record.get(column).map_or(0, digits);
        account_digits = account_digits.max(digits(account));
        branch_digits = branch_digits.max(digits(branch));
    }
    let bounded = |name, digits: usize| match u8::try_from(digits) {
        Ok(fits @ 0..=20) => Ok(fits),
        Ok(_) | Err(_) => Err(MasterFileError::TooLong(name, digits)),
    };
    match bounded("account_number", account_digits)? {
        0 => Err(MasterFileError::NoNumber),
        account_digits => {
            Ok(AccountFormat { account_digits, branch_digits: bounded("branch_number", branch_digits)? })
        }
    }
}

fn digits(value: &str) -> usize {
    value.chars().filter(|c| c.is_ascii_digit() || ('０'..='９').contains(c)).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "\u{feff}name,branch_number,account_number\n";

    fn format_of(rows: &str) -> Result<(u8, u8), MasterFileError> {
        let format = account_format(format!("{HEADER}{rows}").as_bytes())?;
        Ok((format.account_digits, format.branch_digits))
    }

    #[test]
    fn longest_number_counts_however_it_is_written() {
        assert_eq!(format_of("a,12,345\nb,123,1234567\n"), Ok((7, 3)));
        assert_eq!(format_of("a,,１２３-４５６７８９０\n"), Ok((10, 0)));
    }

    #[test]
    fn shift_jis_is_read_too() {
        let (file, _, _) = SHIFT_JIS.encode("name,branch_number,account_number\n表,１２３,0012345\n");
        assert_eq!(account_format(&file).unwrap().account_digits, 7);
        assert_eq!(account_format(&file).unwrap().branch_digits, 3);
    }

    #[test]
    fn file_without_numbers_is_refused_with_what_it_lacks() {
        assert_eq!(account_format(b""), Err(MasterFileError::NoColumn("account_number")));
        assert_eq!(account_format(b"account_number\n1\n"), Err(MasterFileError::NoColumn("branch_number")));
        assert_eq!(format_of("a,1,\n"), Err(MasterFileError::NoNumber));
        let long = format!("a,1,{}\n", "1".repeat(300));
        assert_eq!(format_of(&long), Err(MasterFileError::TooLong("account_number", 300)));
    }
}
