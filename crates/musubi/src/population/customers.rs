//! A row of a customer master, and the file of them.

use std::fmt;
use std::io::Write;

/// One row of a customer master file.
#[derive(Clone, PartialEq, Eq)]
pub struct CustomerRow {
    /// The company's own id, such as `A000001`.
    pub customer_id: String,
    /// Surname, a space and given name.
    pub name: String,
    /// The reading of the name in katakana.
    pub name_kana: String,
    /// `YYYY-MM-DD`.
    pub birth_date: String,
    /// The address on one line.
    pub address: String,
    /// Digits, or empty for a company without branches.
    pub branch_number: String,
    /// Digits, unique in the master.
    pub account_number: String,
    /// How and when the company verified the customer: `drivers_licence:2017-02`.
    pub identity_verification: String,
}

impl fmt::Debug for CustomerRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CustomerRow").field("customer_id", &self.customer_id).finish_non_exhaustive()
    }
}

/// Writes a customer master file, as the company server reads it: CSV with a header row, UTF-8.
///
/// # Errors
/// If the writer fails.
pub fn write_customers(rows: &[CustomerRow], target: impl Write) -> Result<(), csv::Error> {
    let mut writer = csv::Writer::from_writer(target);
    writer.write_record([
        "customer_id",
        "name",
        "name_kana",
        "birth_date",
        "address",
        "branch_number",
        "account_number",
        "identity_verification",
    ])?;
    for row in rows {
        writer.write_record([
            &row.customer_id,
            &row.name,
            &row.name_kana,
            &row.birth_date,
            &row.address,
            &row.branch_number,
            &row.account_number,
            &row.identity_verification,
        ])?;
    }
    Ok(writer.flush()?)
}
