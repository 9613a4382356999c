//! One row of a customer master: its columns, and what each may hold. Pure.
//!
//! A row becomes a customer or a list of faults, all of them at once. A fault tells the value's shape and never the value.
//! Surprising: a birth date may come in any shape that matching reads, and leaves here as `YYYY-MM-DD`.

use jiff::civil::Date;
use musubi_domain::{Error, customer::Customer, error::shape, id::CustomerId};
use musubi_matching::{AccountFormat, account_key, parse_birth_date};

/// The columns, as a file's header names them.
pub const COLUMNS: [&str; 8] = [
    "customer_id",
    "name",
    "name_kana",
    "birth_date",
    "address",
    "branch_number",
    "account_number",
    "identity_verification",
];

/// The most characters of a name or a reading.
const NAME_LIMIT: usize = 100;
/// The most characters of an address.
const ADDRESS_LIMIT: usize = 200;
/// The most characters of the note on identity verification.
const VERIFICATION_LIMIT: usize = 100;

/// What a company's rows are held to.
#[derive(Clone, Copy, Debug)]
pub struct RowRules {
    /// How long its numbers are.
    pub format: AccountFormat,
    /// The day on which nobody is born later.
    pub today: Date,
}

/// Reads the values of [`COLUMNS`], in that order.
///
/// # Errors
/// Every fault, each at its column.
pub fn parse<'a>(
    values: impl IntoIterator<Item = &'a str>,
    rules: &RowRules,
) -> Result<Customer, Vec<Error>> {
    let mut values = values.into_iter();
    let mut next = || values.next().unwrap_or_default();
    let mut faults = Vec::new();
    let customer_id = keep(next().parse::<CustomerId>(), &mut faults);
    let name = keep(text("name", next(), 1, NAME_LIMIT), &mut faults);
    let name_kana = keep(text("name_kana", next(), 0, NAME_LIMIT).and_then(kana), &mut faults);
    let birth_date = keep(birth_date(next(), rules.today), &mut faults);
    let address = keep(text("address", next(), 1, ADDRESS_LIMIT), &mut faults);
    let branch_number = keep(branch_number(next(), rules.format), &mut faults);
    let account = keep(account_number(next(), rules.format), &mut faults);
    let verification = keep(text("identity_verification", next(), 0, VERIFICATION_LIMIT), &mut faults);
    match (customer_id, account) {
        (Some(customer_id), Some((account_number, account_key))) if faults.is_empty() => Ok(Customer {
            customer_id,
            name: name.unwrap_or_default(),
            name_kana: name_kana.unwrap_or_default(),
            birth_date: birth_date.unwrap_or_default(),
            address: address.unwrap_or_default(),
            branch_number: branch_number.unwrap_or_default(),
            account_number,
            account_key,
            identity_verification: verification.unwrap_or_default(),
        }),
        (Some(_) | None, _) => Err(faults),
    }
}

fn keep<T>(parsed: Result<T, Error>, faults: &mut Vec<Error>) -> Option<T> {
    parsed.map_err(|fault| faults.push(fault)).ok()
}

/// A text on one line. Line breaks, as spreadsheets put them into addresses, become spaces.
fn text(field: &str, value: &str, shortest: usize, longest: usize) -> Result<String, Error> {
    let value = value.lines().map(str::trim).collect::<Vec<_>>().join(" ");
    let length = value.chars().count();
    if value.chars().any(char::is_control) {
        let problem = format!("{} with control characters", shape(&value));
        return Err(Error::invalid(field, problem, "delete what can not be seen"));
    }
    if length < shortest {
        return Err(Error::invalid(field, "empty", "write it"));
    }
    if length > longest {
        let problem = format!("{length} characters");
        return Err(Error::invalid(field, problem, format!("write at most {longest} characters")));
    }
    Ok(value)
}

/// Any kana, and the signs that banks write between them.
fn kana(value: String) -> Result<String, Error> {
    let allowed = |c: char| {
        matches!(c, '\u{3041}'..='\u{309F}' | '\u{30A0}'..='\u{30FF}' | '\u{31F0}'..='\u{31FF}' | '\u{FF61}'..='\u{FF9F}')
            || matches!(c, ' ' | '\u{3000}' | '-' | '.' | ',' | '/' | '(' | ')' | '（' | '）' | '．' | '－')
    };
    if value.chars().all(allowed) {
        return Ok(value);
    }
    let problem = format!("{}, not all of them kana", shape(&value));
    Err(Error::invalid("name_kana", problem, "write the reading in kana, or leave it empty"))
}

fn birth_date(value: &str, today: Date) -> Result<String, Error> {
    let born = parse_birth_date(value).map_err(|error| {
        Error::invalid("birth_date", format!("{}: {error}", shape(value)), "write it as YYYY-MM-DD")
    })?;
    if born > today {
        return Err(Error::invalid("birth_date", "it lies in the future", "correct the year"));
    }
    Ok(born.to_string())
}

fn branch_number(value: &str, format: AccountFormat) -> Result<String, Error> {
    let digits = format.branch_digits;
    if value.is_empty() || account_key(value, &AccountFormat { account_digits: digits, ..format }).is_ok() {
        return Ok(value.to_owned());
    }
    Err(Error::invalid(
        "branch_number",
        shape(value),
        format!("write up to {digits} digits, or leave it empty"),
    ))
}

/// The number as written, and its normal form.
fn account_number(value: &str, format: AccountFormat) -> Result<(String, String), Error> {
    let key = account_key(value, &format).map_err(|_| {
        let remedy = format!("write up to {} digits", format.account_digits);
        Error::invalid("account_number", shape(value), remedy)
    })?;
    Ok((value.to_owned(), key))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: [&str; 8] = [
        "B000001",
        "宮本 真和",
        "ミヤモト マナ",
        "1948-05-04",
        "神奈川県横浜市鶴見区駒岡五丁目5-15",
        "760",
        "76317",
        "drivers_licence:2017-02",
    ];

    fn rules() -> RowRules {
        RowRules {
            format: AccountFormat { account_digits: 7, branch_digits: 3 },
            today: Date::constant(2026, 11, 23),
        }
    }

    fn with(column: &str, value: &str) -> Result<Customer, Vec<Error>> {
        let index = COLUMNS.iter().position(|name| *name == column).unwrap();
        let mut row = GOOD;
        row[index] = value;
        parse(row, &rules())
    }

    #[test]
    fn a_good_row_becomes_a_customer_with_its_key() {
        let customer = parse(GOOD, &rules()).unwrap();
        assert_eq!((customer.account_number.as_str(), customer.account_key.as_str()), ("76317", "0076317"));
        assert_eq!(customer.name, "宮本 真和");
        assert_eq!(customer.identity_verification, "drivers_licence:2017-02");
    }

    #[test]
    fn what_companies_write_is_taken() {
        for (column, value) in [
            ("name_kana", ""),
            ("name_kana", "ﾐﾔﾓﾄ ﾏﾅ"),
            ("name_kana", "みやもと・マナー"),
            ("name_kana", "ジヨン(スミス"),
            ("branch_number", ""),
            ("branch_number", "5"),
            ("account_number", "007-6317"),
            ("account_number", "００７６３１７"),
            ("identity_verification", ""),
            ("name", "John Smith"),
            ("birth_date", "2026-11-23"),
        ] {
            assert!(with(column, value).is_ok(), "{column}");
        }
        for date in ["1948/05/04", "1948/5/4", "昭和23年5月4日", "S23.5.4", "19480504"] {
            assert_eq!(with("birth_date", date).unwrap().birth_date, "1948-05-04");
        }
        assert_eq!(with("address", "東京都\n港区 \n 1-2").unwrap().address, "東京都 港区 1-2");
    }

    #[test]
    fn each_fault_is_told_at_its_column_and_shows_no_value() {
        for (column, value) in [
            ("customer_id", ""),
            ("customer_id", "B 0001"),
            ("customer_id", "Ｂ０００００１"),
            ("name", ""),
            ("name", "宮本\u{7}真和"),
            ("name_kana", "宮本"),
            ("name_kana", "Miyamoto"),
            ("birth_date", ""),
            ("birth_date", "1948-02-30"),
            ("birth_date", "2026-11-24"),
            ("birth_date", "ひみつ"),
            ("address", ""),
            ("branch_number", "7601"),
            ("branch_number", "本店"),
            ("account_number", ""),
            ("account_number", "12345678"),
            ("account_number", "口座7"),
            ("identity_verification", "a\u{0}b"),
        ] {
            let faults = with(column, value).unwrap_err();
            assert_eq!(faults.len(), 1, "{column}");
            assert_eq!(faults[0].field, column);
            assert!(value.is_empty() || !faults[0].to_string().contains(value), "{column}");
            assert!(!faults[0].remedy.is_empty());
        }
        for (column, longest) in [("name", 100), ("name_kana", 100), ("address", 200)] {
            assert!(with(column, &"ア".repeat(longest)).is_ok());
            assert_eq!(with(column, &"ア".repeat(longest + 1)).unwrap_err()[0].field, column);
        }
    }

    #[test]
    fn all_faults_of_a_row_are_told_at_once() {
        let faults = parse([""; 8], &rules()).unwrap_err();
        let fields: Vec<&str> = faults.iter().map(|fault| fault.field.as_str()).collect();
        assert_eq!(fields, ["customer_id", "name", "birth_date", "address", "account_number"]);
    }
}
