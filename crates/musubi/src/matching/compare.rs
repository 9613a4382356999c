//! `musubi match compare`: two values of one field, or a file of such pairs.

use std::{borrow::Cow, fs, io::Write, path::PathBuf};

use clap::ValueEnum;
use encoding_rs::SHIFT_JIS;
use musubi_domain::{Error, error::shape};
use musubi_matching::{
    AccountFormat, AddressForm, Compared, Comparison, NameForm, compare_accounts, compare_birth_dates,
    parse_account_text, parse_birth_date,
};

use super::faults::Faults;
use crate::operator::{Ending, unreadable, unwritten, words::thousands};

/// Compare two values of one field: equal, for review, or different, and why.
///
/// A name may be kanji, kana or Latin; a reading is compared as a name. An account text may have a sentence around the
/// number; it is equal when the numbers are, and the branches where both sides give one, and for review when it can't
/// be read in one way only.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  musubi match compare --field account '店番012 普通7624550' 012-7624550
  musubi match compare --field birth-date 昭和59年7月11日 319840711
  musubi match compare --field name --tsv pairs.tsv

A file of pairs has a header with the columns id, left and right, and maybe field (then --field may be left out); other
columns are passed over. For each row comes out: id, verdict and reasons, divided by tabs, reasons by commas. A bad row
gives none; it is named on standard error, and the exit code is 1.")]
pub(super) struct Args {
    /// What the values are.
    #[arg(long, value_enum)]
    field: Option<Field>,
    /// The pairs, tab-separated, UTF-8 or Shift_JIS.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["left", "right"])]
    tsv: Option<PathBuf>,
    /// Digits of an account number.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u8).range(1..=20))]
    account_digits: u8,
    /// Digits of a branch number.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(0..=20))]
    branch_digits: u8,
    /// One value.
    #[arg(required_unless_present = "tsv", requires = "right")]
    left: Option<String>,
    /// The other.
    right: Option<String>,
}

/// What two values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Field {
    Name,
    Address,
    Account,
    BirthDate,
}

pub(super) fn run(args: &Args, out: &mut dyn Write, beside: &mut dyn Write) -> Result<Ending, Error> {
    let format = AccountFormat { account_digits: args.account_digits, branch_digits: args.branch_digits };
    if let Some(path) = &args.tsv {
        let file = fs::read(path).map_err(|error| unreadable("--tsv", &error))?;
        return pairs(&file, args.field, &format, out, beside);
    }
    let field = args.field.ok_or_else(|| no_field("--field"))?;
    let (left, right) = (args.left.as_deref().unwrap_or_default(), args.right.as_deref().unwrap_or_default());
    let compared = compare(field, left, right, &format);
    writeln!(
        out,
        "verdict  {}\nleft     {}\nright    {}\nreasons  {}",
        verdict(&compared),
        normal_form(field, left, &format),
        normal_form(field, right, &format),
        reasons(&compared)
    )
    .map_err(unwritten)?;
    Ok(Ending::Done)
}

fn no_field(argument: &str) -> Error {
    Error::invalid(
        argument,
        "it is not said what the values are",
        "add --field name|address|account|birth-date",
    )
}

fn compare(field: Field, left: &str, right: &str, format: &AccountFormat) -> Compared {
    match field {
        Field::Name => NameForm::new(left).compare(&NameForm::new(right)),
        Field::Address => AddressForm::new(left).compare(&AddressForm::new(right)),
        Field::Account => compare_accounts(left, right, format),
        Field::BirthDate => compare_birth_dates(left, right),
    }
}

/// The word for what two values are to each other.
pub(crate) fn verdict(compared: &Compared) -> &'static str {
    match compared.comparison {
        Comparison::Equal => "equal",
        Comparison::Review => "review",
        Comparison::Different => "different",
    }
}

/// Why, as codes.
pub(crate) fn reasons(compared: &Compared) -> String {
    compared.reasons.iter().map(|reason| reason.as_str()).collect::<Vec<_>>().join(",")
}

fn normal_form(field: Field, text: &str, format: &AccountFormat) -> String {
    match field {
        Field::Name => NameForm::new(text).text(),
        Field::Address => AddressForm::new(text).text(),
        Field::Account => parse_account_text(text, format).map_or_else(
            |error| format!("({error})"),
            |read| match read.branch_number {
                Some(branch) => format!("{branch}-{}", read.account_number),
                None => read.account_number,
            },
        ),
        Field::BirthDate => {
            parse_birth_date(text).map_or_else(|error| format!("({error})"), |day| day.to_string())
        }
    }
}

/// Where the columns of a file of pairs stand.
struct Columns {
    id: usize,
    field: Option<usize>,
    left: usize,
    right: usize,
}

impl Columns {
    fn of(header: &str) -> Result<Self, Error> {
        let find = |name: &str| header.split('\t').position(|column| column.trim() == name);
        let must = |name: &str| {
            let remedy = "begin the file with a line of id, left and right, divided by tabs";
            find(name).ok_or_else(|| Error::invalid("header", format!("there is no column {name}"), remedy))
        };
        Ok(Self { id: must("id")?, field: find("field"), left: must("left")?, right: must("right")? })
    }
}

/// One row of a file of pairs.
struct Pair<'a> {
    id: &'a str,
    field: Field,
    left: &'a str,
    right: &'a str,
}

impl<'a> Pair<'a> {
    fn parse(line: &'a str, columns: &Columns, field: Option<Field>) -> Result<Self, Error> {
        let values: Vec<&str> = line.split('\t').collect();
        let value = |at: usize, name: &str| {
            values.get(at).copied().ok_or_else(|| {
                let problem = format!("the row has {} values", values.len());
                Error::invalid(name, problem, "write one value for each column, divided by tabs")
            })
        };
        let named = columns.field.map(|at| value(at, "field")).transpose()?.filter(|name| !name.is_empty());
        let field = match named {
            Some(name) => Field::from_str(name.trim(), true).map_err(|_| {
                let problem = format!("it is {}", shape(name));
                Error::invalid("field", problem, "write name, address, account or birth-date")
            })?,
            None => field.ok_or_else(|| no_field("field"))?,
        };
        let (id, left, right) =
            (value(columns.id, "id")?, value(columns.left, "left")?, value(columns.right, "right")?);
        Ok(Self { id, field, left, right })
    }
}

fn pairs(
    file: &[u8],
    field: Option<Field>,
    format: &AccountFormat,
    out: &mut dyn Write,
    beside: &mut dyn Write,
) -> Result<Ending, Error> {
    let text = match std::str::from_utf8(file) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => SHIFT_JIS.decode(file).0,
    };
    let mut lines = text.strip_prefix('\u{feff}').unwrap_or(&text).lines().zip(1_usize..);
    let columns = Columns::of(lines.next().map_or("", |(header, _)| header))?;
    if columns.field.is_none() && field.is_none() {
        return Err(no_field("--field"));
    }
    let mut out = std::io::BufWriter::new(out);
    let (mut faults, mut compared) = (Faults::new(), 0);
    for (line, number) in lines.filter(|(line, _)| !line.is_empty()) {
        match Pair::parse(line, &columns, field) {
            Ok(pair) => {
                let found = compare(pair.field, pair.left, pair.right, format);
                writeln!(out, "{}\t{}\t{}", pair.id, verdict(&found), reasons(&found)).map_err(unwritten)?;
                compared += 1;
            }
            Err(error) => faults.add("--tsv", number, error),
        }
    }
    out.flush().map_err(unwritten)?;
    if faults.count() == 0 {
        return Ok(Ending::Done);
    }
    faults.write(beside)?;
    let (bad, compared) = (thousands(faults.count()), thousands(compared));
    writeln!(beside, "{compared} pairs compared, {bad} bad rows not").map_err(unwritten)?;
    Ok(Ending::Refused)
}
