//! `musubi match decide`: answers of followers against a customer master, as files.
//!
//! Surprising: the answers are read first and kept, the master is streamed past them, and only rows whose number somebody
//! typed are prepared and kept. So a master of any size fits.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use clap::ValueEnum;
use indicatif::ProgressBar;
use musubi_company_server::csv_text::{CsvRows, Row};
use musubi_domain::{Error, ErrorKind, error::shape};
use musubi_matching::{
    AccountFormat, AccountText, CustomerRecord, Decision, Identity, Outcome, Policy, PreparedIdentity,
    PreparedRecord, Reason, Strength, account_key, decide_prepared, parse_account_text,
};

use crate::operator::{Ending, listing::harmless, progress, unreadable, unwritten, words::thousands};

/// Decide for each answer whether it is the customer's: confirmed, review or rejected, and why.
///
/// An account text that can't be read is rejected with account.unreadable; in a talk room the person would be asked
/// again. Rows of the answers without an account text are passed over.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  musubi match decide --master customers.csv --answers answers.csv > decisions.csv

The master has the columns customer_id, name, name_kana, birth_date, address, branch_number and account_number. The
answers have account_text, identity_method (jpki, carrier or document), identity_name, identity_name_kana,
identity_birth_date, identity_address, and the id of each answer, phone_number or what --id-column says. Other columns
are passed over. Both may be UTF-8 or Shift_JIS, with or without a byte order mark.")]
pub(super) struct Args {
    /// The company's customer master.
    #[arg(long, value_name = "FILE.csv")]
    master: PathBuf,
    /// What followers typed and verifiers attested.
    #[arg(long, value_name = "FILE.csv")]
    answers: PathBuf,
    /// The column that names each answer.
    #[arg(long, value_name = "COLUMN", default_value = "phone_number")]
    id_column: String,
    /// Take only answers whose column official_account is this.
    #[arg(long, value_name = "ID")]
    official_account: Option<String>,
    /// Digits of an account number. Without it: as many as the longest in the master.
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=20))]
    account_digits: Option<u8>,
    /// Digits of a branch number. Without it: as many as the longest in the master.
    #[arg(long, value_parser = clap::value_parser!(u8).range(0..=20))]
    branch_digits: Option<u8>,
    /// How to write the decisions.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// How decisions are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// id, outcome, customer_id, reasons divided by spaces.
    #[default]
    Csv,
    /// An object on each line.
    Json,
}

/// One answer, read.
struct Answer {
    id: String,
    /// None when the text can't be read.
    account: Option<AccountText>,
    identity: Identity,
}

const MASTER: [&str; 7] =
    ["customer_id", "name", "name_kana", "birth_date", "address", "branch_number", "account_number"];
const ANSWERS: [&str; 6] = [
    "account_text",
    "identity_method",
    "identity_name",
    "identity_name_kana",
    "identity_birth_date",
    "identity_address",
];

/// A bar moves once for so many rows.
const STEP: u64 = 4096;

pub(super) fn run(args: &Args, out: &mut dyn Write) -> Result<Ending, Error> {
    let bar = progress(0, "{msg:20} {human_pos}");
    let format = format(args, &bar)?;
    let answers = answers(args, &format, &bar)?;
    let rows = candidates(&args.master, &answers, &format, &bar)?;
    bar.set_message("deciding");
    bar.set_position(0);
    let mut counts = [0_u64; 3];
    let mut writer = Writer::new(args.format, out)?;
    for (answer, number) in answers.iter().zip(1..) {
        let decision = decide(answer, &rows);
        counts[decision.outcome as usize] += 1;
        writer.write(&answer.id, &decision)?;
        step(&bar, number);
    }
    writer.end()?;
    bar.finish_and_clear();
    let [confirmed, review, rejected] = counts.map(thousands);
    let all = thousands(answers.len() as u64);
    let summary = format!("{all} answers: {confirmed} confirmed, {review} for review, {rejected} rejected\n");
    io::stderr().write_all(summary.as_bytes()).map_err(unwritten)?;
    Ok(Ending::Done)
}

fn step(bar: &ProgressBar, number: u64) {
    if number.is_multiple_of(STEP) {
        bar.set_position(number);
    }
}

fn open(path: &Path, argument: &str, columns: &[&str]) -> Result<CsvRows<File>, Error> {
    let file = File::open(path).map_err(|error| unreadable(argument, &error))?;
    CsvRows::open_among(file, columns).map_err(|error| {
        let field = format!("{argument}, {}", error.field);
        error.at(field)
    })
}

/// Calls `take` with the values of each row.
fn each<const N: usize>(
    (path, argument): (&Path, &str),
    columns: [&str; N],
    bar: &ProgressBar,
    mut take: impl FnMut(u64, [&str; N]) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut rows = open(path, argument, &columns)?;
    bar.set_position(0);
    let mut number = 0;
    while let Some(row) = rows.next_row()? {
        let line = row.line();
        let at = |error: Error| {
            let field = format!("{argument}, line {line}, {}", error.field);
            error.at(field)
        };
        take(line, values(&row).map_err(at)?).map_err(at)?;
        number += 1;
        step(bar, number);
    }
    Ok(())
}

fn values<'a, const N: usize>(row: &Row<'a>) -> Result<[&'a str; N], Error> {
    let mut values = [""; N];
    values.iter_mut().zip(row.values()?).for_each(|(slot, value)| *slot = value);
    Ok(values)
}

/// How long the numbers are: as told, or as the longest of the master.
fn format(args: &Args, bar: &ProgressBar) -> Result<AccountFormat, Error> {
    if let (Some(account_digits), Some(branch_digits)) = (args.account_digits, args.branch_digits) {
        return Ok(AccountFormat { account_digits, branch_digits });
    }
    bar.set_message("measuring numbers");
    let (mut account, mut branch) = (0, 0);
    let digits =
        |value: &str| value.chars().filter(|c| c.is_ascii_digit() || ('０'..='９').contains(c)).count();
    let file = (args.master.as_path(), "--master");
    each(file, ["account_number", "branch_number"], bar, |_, [account_number, branch_number]| {
        account = account.max(digits(account_number));
        branch = branch.max(digits(branch_number));
        Ok(())
    })?;
    let bounded = |field: &str, digits: usize| {
        u8::try_from(digits).ok().filter(|digits| *digits <= 20).ok_or_else(|| {
            let problem = format!("a number in the master has {digits} digits");
            Error::invalid(field, problem, "numbers have at most 20")
        })
    };
    Ok(AccountFormat {
        account_digits: args.account_digits.map_or_else(|| bounded("account_number", account), Ok)?,
        branch_digits: args.branch_digits.map_or_else(|| bounded("branch_number", branch), Ok)?,
    })
}

fn answers(args: &Args, format: &AccountFormat, bar: &ProgressBar) -> Result<Vec<Answer>, Error> {
    bar.set_message("reading answers");
    let mut answers = Vec::new();
    let mut take = |values: [&str; 6], id: &str| {
        let [account_text, method, name, name_kana, birth_date, address] = values;
        if account_text.is_empty() {
            return Ok(());
        }
        let identity = Identity {
            name: name.to_owned(),
            name_kana: (!name_kana.is_empty()).then(|| name_kana.to_owned()),
            birth_date: birth_date.to_owned(),
            address: address.to_owned(),
            strength: match method {
                "jpki" | "carrier" => Strength::Strong,
                "document" => Strength::Weak,
                other => {
                    let problem = format!("it is {}", shape(other));
                    return Err(Error::invalid(
                        "identity_method",
                        problem,
                        "write jpki, carrier or document",
                    ));
                }
            },
        };
        answers.push(Answer {
            id: id.to_owned(),
            account: parse_account_text(account_text, format).ok(),
            identity,
        });
        Ok(())
    };
    let file = (args.answers.as_path(), "--answers");
    let [a, b, c, d, e, f] = ANSWERS;
    match &args.official_account {
        None => each(file, [a, b, c, d, e, f, &args.id_column], bar, |_, [a, b, c, d, e, f, id]| {
            take([a, b, c, d, e, f], id)
        })?,
        Some(wanted) => {
            let columns = [a, b, c, d, e, f, &args.id_column, "official_account"];
            each(file, columns, bar, |_, [a, b, c, d, e, f, id, official_account]| {
                if official_account == wanted { take([a, b, c, d, e, f], id) } else { Ok(()) }
            })?;
        }
    }
    Ok(answers)
}

/// The rows of the master that somebody's number asks for, by number.
fn candidates(
    master: &Path,
    answers: &[Answer],
    format: &AccountFormat,
    bar: &ProgressBar,
) -> Result<HashMap<String, Vec<PreparedRecord>>, Error> {
    bar.set_message("reading master");
    let typed = answers.iter().filter_map(|answer| answer.account.as_ref());
    let mut rows: HashMap<String, Vec<PreparedRecord>> =
        typed.map(|account| (account.account_number.clone(), Vec::new())).collect();
    each((master, "--master"), MASTER, bar, |_, values| {
        let [customer_id, name, name_kana, birth_date, address, branch_number, account_number] = values;
        if customer_id.is_empty() {
            return Err(Error::invalid("customer_id", "it is empty", "give every customer an id"));
        }
        let key = account_key(account_number, format).map_err(|error| {
            Error::invalid(
                "account_number",
                error.to_string(),
                "write the number in digits, or correct --account-digits",
            )
        })?;
        if let Some(rows) = rows.get_mut(&key) {
            rows.push(PreparedRecord::new(&CustomerRecord {
                customer_id: customer_id.to_owned(),
                name: name.to_owned(),
                name_kana: name_kana.to_owned(),
                birth_date: birth_date.to_owned(),
                address: address.to_owned(),
                branch_number: branch_number.to_owned(),
                account_number: account_number.to_owned(),
            }));
        }
        Ok(())
    })?;
    Ok(rows)
}

fn decide(answer: &Answer, rows: &HashMap<String, Vec<PreparedRecord>>) -> Decision {
    let Some(account) = &answer.account else {
        let reasons = vec![Reason::AccountUnreadable];
        return Decision { outcome: Outcome::Rejected, customer_id: None, reasons };
    };
    let candidates = rows.get(&account.account_number).map_or(&[][..], Vec::as_slice);
    decide_prepared(candidates, account, &PreparedIdentity::new(&answer.identity), &Policy::default())
}

/// Writes decisions as they come.
enum Writer<'a> {
    Csv(Box<csv::Writer<&'a mut dyn Write>>),
    Json(BufWriter<&'a mut dyn Write>),
}

impl<'a> Writer<'a> {
    fn new(format: Format, out: &'a mut dyn Write) -> Result<Self, Error> {
        Ok(match format {
            Format::Csv => {
                let mut writer = csv::Writer::from_writer(out);
                writer.write_record(["id", "outcome", "customer_id", "reasons"]).map_err(unwritten_csv)?;
                Self::Csv(Box::new(writer))
            }
            Format::Json => Self::Json(BufWriter::new(out)),
        })
    }

    fn write(&mut self, id: &str, decision: &Decision) -> Result<(), Error> {
        let outcome = decision.outcome.to_string();
        let customer_id = decision.customer_id.as_deref().unwrap_or_default();
        let reasons: Vec<&str> = decision.reasons.iter().map(|reason| reason.as_str()).collect();
        match self {
            Self::Csv(writer) => {
                let (id, customer_id) = (harmless(id), harmless(customer_id));
                writer.write_record([&id, &outcome, &customer_id, &reasons.join(" ")]).map_err(unwritten_csv)
            }
            Self::Json(out) => {
                let object = serde_json::json!({
                    "id": id, "outcome": outcome, "customer_id": decision.customer_id, "reasons": reasons,
                });
                writeln!(out, "{object}").map_err(unwritten)
            }
        }
    }

    fn end(&mut self) -> Result<(), Error> {
        match self {
            Self::Csv(writer) => writer.flush().map_err(unwritten),
            Self::Json(out) => out.flush().map_err(unwritten),
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it stands in map_err")]
fn unwritten_csv(error: csv::Error) -> Error {
    Error::new(ErrorKind::Unavailable, format!("the output can not be written: {error}"), "")
}
