//! Customer masters as companies upload them: CSV in UTF-8 or Shift_JIS, rows made into customers.

use std::io::Cursor;

use jiff::civil::Date;
use musubi_company_server::{
    csv_text::CsvRows,
    import::row::{COLUMNS, RowRules, parse},
};
use musubi_matching::AccountFormat;

const RULES: RowRules = RowRules {
    format: AccountFormat { account_digits: 7, branch_digits: 3 },
    today: Date::constant(2026, 11, 23),
};

pub(super) fn hold(data: &[u8]) {
    let Ok(mut rows) = CsvRows::open(Cursor::new(data), &COLUMNS) else { return };
    let mut last = 0;
    while let Ok(Some(row)) = rows.next_row() {
        assert!(row.line() > last, "rows come in the order of their lines");
        last = row.line();
        let Ok(values) = row.values() else { continue };
        match parse(values, &RULES) {
            Ok(customer) => {
                let again = [
                    customer.customer_id.as_str(),
                    &customer.name,
                    &customer.name_kana,
                    &customer.birth_date,
                    &customer.address,
                    &customer.branch_number,
                    &customer.account_number,
                    &customer.identity_verification,
                ];
                assert!(parse(again, &RULES).is_ok_and(|it| it == customer), "what was taken is taken again");
                assert_eq!(customer.account_key.len(), 7);
            }
            Err(faults) => assert!(faults.iter().all(|fault| COLUMNS.contains(&fault.field.as_str()))),
        }
    }
}
