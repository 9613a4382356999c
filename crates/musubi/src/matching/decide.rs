//! `musubi match decide`: answers of followers against a customer master, as files.
//!
//! Surprising: the answers are read twice, and neither file is kept. The first time gives the numbers that somebody typed; of
//! the master only rows with such a number are kept, as text; then each answer is decided as it comes. So files of any size
//! fit, and a file that can't be read to its end gives no decision at all.

use std::{
    collections::HashMap,
    fs::File,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
};

use clap::ValueEnum;
use indicatif::ProgressBar;
use musubi_company_server::csv_text::{CsvRows, Row};
use musubi_domain::{Error, ErrorKind, blind::DigestKey, customer::Customer, error::shape, id::CustomerId};
use musubi_matching::{
    AccountFormat, AccountText, Decision, Identity, Outcome, Policy, PreparedIdentity, Reason, Strength,
    account_key, blinded, decide_blind, decide_prepared, parse_account_text, prepare,
};
use musubi_runtime::entropy;

use super::faults::Faults;
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
are passed over. Both may be UTF-8 or Shift_JIS, with or without a byte order mark.

A bad row of the answers is not decided, and nobody is matched with a bad row of the master. Each is named on standard
error, and the exit code is 1.")]
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
    /// Decide by digests of the master, as the information-management server does when custody is blind; what they don't tell is
    /// for review or rejected, with a reason that ends in unequal.
    #[arg(long)]
    blind: bool,
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

pub(super) fn run(args: &Args, out: &mut dyn Write, beside: &mut dyn Write) -> Result<Ending, Error> {
    let bar = progress(0, "{msg:20} {human_pos}");
    let format = format(args, &bar)?;
    let mut faults = Faults::new();
    let mut master = Candidates::asked_for(args, &format, &bar)?;
    master.read(&args.master, &format, &bar, &mut faults)?;
    let master_faults = faults.count();
    bar.set_message("deciding");
    let key = args.blind.then(|| DigestKey::new(entropy::bytes()));
    let mut counts = [0_u64; 3];
    let mut writer = Writer::new(args.format, out)?;
    each_answer(args, &bar, &mut faults, |id, values| {
        let Some((account_text, identity)) = parse_answer(values)? else { return Ok(()) };
        let decision = match parse_account_text(account_text, &format) {
            Ok(account) => decide(master.of(&account)?, &account, &identity, key.as_ref()),
            Err(_) => {
                let reasons = vec![Reason::AccountUnreadable];
                Decision { outcome: Outcome::Rejected, customer_id: None, reasons }
            }
        };
        writer.write(id, &decision)?;
        counts[decision.outcome as usize] += 1;
        Ok(())
    })?;
    writer.end()?;
    bar.finish_and_clear();
    faults.write(beside)?;
    let all = thousands(counts.iter().sum());
    let [confirmed, review, rejected] = counts.map(thousands);
    let bad = match (faults.count() - master_faults, master_faults) {
        (0, 0) => String::new(),
        (answers, master) => format!(
            "; {} bad rows of the answers not decided, {} bad rows of the master not used",
            thousands(answers),
            thousands(master)
        ),
    };
    writeln!(beside, "{all} answers: {confirmed} confirmed, {review} for review, {rejected} rejected{bad}")
        .map_err(unwritten)?;
    Ok(if faults.count() == 0 { Ending::Done } else { Ending::Refused })
}

/// By rows of this account, or by digests of them when there is a key.
fn decide(
    rows: Vec<Customer>,
    account: &AccountText,
    identity: &Identity,
    key: Option<&DigestKey>,
) -> Decision {
    let (identity, policy) = (PreparedIdentity::new(identity), Policy::default());
    match key {
        None => {
            let rows: Vec<_> = rows.iter().map(prepare).collect();
            decide_prepared(&rows, account, &identity, &policy)
        }
        Some(key) => {
            let rows: Vec<_> = rows.iter().map(|row| blinded(row, key)).collect();
            decide_blind(&rows, key, &account.account_number, account, &identity, &policy).0
        }
    }
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

/// Calls `take` with the values of each row; a bad row is a fault, and the next follows.
fn each<const N: usize>(
    (path, argument): (&Path, &str),
    columns: [&str; N],
    bar: &ProgressBar,
    faults: &mut Faults,
    mut take: impl FnMut([&str; N]) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut rows = open(path, argument, &columns)?;
    bar.set_position(0);
    let mut number = 0;
    let at = |error: Error| {
        let field = format!("{argument}, {}", error.field);
        error.at(field)
    };
    while let Some(row) = rows.next_row().map_err(at)? {
        match values(&row).and_then(&mut take) {
            Ok(()) => {}
            Err(error) if error.kind == ErrorKind::InvalidArgument => faults.add(argument, row.line(), error),
            Err(error) => return Err(error),
        }
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
    // Bad rows are told when the master is read for its rows; a number of more digits than any has is one of them.
    let mut told_later = Faults::new();
    each(file, ["account_number", "branch_number"], bar, &mut told_later, |[number, branch_number]| {
        account = account.max(Some(digits(number)).filter(|digits| *digits <= MOST_DIGITS).unwrap_or(0));
        branch = branch.max(Some(digits(branch_number)).filter(|digits| *digits <= MOST_DIGITS).unwrap_or(0));
        Ok(())
    })?;
    let told = |option: Option<u8>, measured: usize| {
        option.or_else(|| u8::try_from(measured).ok()).unwrap_or(u8::MAX)
    };
    Ok(AccountFormat {
        account_digits: told(args.account_digits, account),
        branch_digits: told(args.branch_digits, branch),
    })
}

/// No account or branch number is longer.
const MOST_DIGITS: usize = 20;

/// Calls `take` with the id and the values of each answer of the official account that was asked for.
fn each_answer(
    args: &Args,
    bar: &ProgressBar,
    faults: &mut Faults,
    mut take: impl FnMut(&str, [&str; 6]) -> Result<(), Error>,
) -> Result<(), Error> {
    let file = (args.answers.as_path(), "--answers");
    let [a, b, c, d, e, f] = ANSWERS;
    match &args.official_account {
        None => each(file, [a, b, c, d, e, f, &args.id_column], bar, faults, |[a, b, c, d, e, f, id]| {
            take(id, [a, b, c, d, e, f])
        }),
        Some(wanted) => {
            let columns = [a, b, c, d, e, f, &args.id_column, "official_account"];
            each(file, columns, bar, faults, |[a, b, c, d, e, f, id, official_account]| {
                if official_account == wanted { take(id, [a, b, c, d, e, f]) } else { Ok(()) }
            })
        }
    }
}

/// What was typed and what was attested; None when nothing was typed.
fn parse_answer(values: [&str; 6]) -> Result<Option<(&str, Identity)>, Error> {
    let [account_text, method, name, name_kana, birth_date, address] = values;
    if account_text.is_empty() {
        return Ok(None);
    }
    let strength = match method {
        "jpki" | "carrier" => Strength::Strong,
        "document" => Strength::Weak,
        other => {
            let problem = format!("it is {}", shape(other));
            return Err(Error::invalid("identity_method", problem, "write jpki, carrier or document"));
        }
    };
    let identity = Identity {
        name: name.to_owned(),
        name_kana: (!name_kana.is_empty()).then(|| name_kana.to_owned()),
        birth_date: birth_date.to_owned(),
        address: address.to_owned(),
        strength,
    };
    Ok(Some((account_text, identity)))
}

/// The rows of the master that somebody's number asks for.
struct Candidates(HashMap<Box<str>, Rows>);

/// The rows of one number, as text: forms would take several times the room, and each row is asked for about once.
#[derive(Default)]
struct Rows {
    texts: Vec<[Box<str>; MASTER.len()]>,
    /// Whether a row with this number is bad, so that nobody can say whose it is.
    spoilt: bool,
}

impl Candidates {
    /// The numbers that the answers ask for, without rows yet. Bad answers are told when they are decided.
    fn asked_for(args: &Args, format: &AccountFormat, bar: &ProgressBar) -> Result<Self, Error> {
        bar.set_message("reading answers");
        let mut numbers = HashMap::new();
        each_answer(args, bar, &mut Faults::new(), |_, [account_text, ..]| {
            if let Ok(account) = parse_account_text(account_text, format) {
                numbers.insert(account.account_number.into(), Rows::default());
            }
            Ok(())
        })?;
        Ok(Self(numbers))
    }

    fn read(
        &mut self,
        master: &Path,
        format: &AccountFormat,
        bar: &ProgressBar,
        faults: &mut Faults,
    ) -> Result<(), Error> {
        bar.set_message("reading master");
        each((master, "--master"), MASTER, bar, faults, |values| {
            let [customer_id, .., account_number] = values;
            let key = account_key(account_number, format).map_err(|error| {
                let remedy = "write the number in digits, or correct --account-digits";
                Error::invalid("account_number", error.to_string(), remedy)
            })?;
            let mut rows = self.0.get_mut(key.as_str());
            if let Err(error) = customer_id.parse::<CustomerId>() {
                rows.iter_mut().for_each(|rows| rows.spoilt = true);
                return Err(error);
            }
            if let Some(rows) = rows {
                // Most numbers have one row.
                let one = usize::from(rows.texts.is_empty());
                rows.texts.reserve_exact(one);
                rows.texts.push(values.map(Box::from));
            }
            Ok(())
        })
    }

    /// The rows of this number.
    fn of(&self, account: &AccountText) -> Result<Vec<Customer>, Error> {
        let Some(rows) = self.0.get(account.account_number.as_str()) else { return Ok(vec![]) };
        if rows.spoilt {
            let remedy = "correct that row of the master, and decide again";
            return Err(Error::invalid("account_text", "a bad row of the master has this number", remedy));
        }
        let customer = |values: &[Box<str>; MASTER.len()]| {
            let [customer_id, name, name_kana, birth_date, address, branch_number, account_number] =
                values.each_ref().map(|value| value.to_string());
            Ok(Customer {
                customer_id: customer_id.parse()?,
                name,
                name_kana,
                birth_date,
                address,
                branch_number,
                account_number,
                account_key: account.account_number.clone(),
                identity_verification: String::new(),
            })
        };
        rows.texts.iter().map(customer).collect()
    }
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
