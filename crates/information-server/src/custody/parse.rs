//! Entrusted customers made into what the store takes, or refused with row and field.

use jiff::SignedDuration;
use musubi_domain::{
    Error, ErrorKind,
    blind::{BlindCustomer, Blinding, DigestKey},
    customer::Customer,
    error::shape,
};
use musubi_matching::{
    AccountFormat, MAX_DIGESTS_BYTES, MAX_INPUT_BYTES, RULES_VERSION, account_key, check_digests,
    parse_birth_date,
};
use musubi_proto::information::v1 as wire;

/// The shortest and the longest lease.
const LEASE: (SignedDuration, SignedDuration) =
    (SignedDuration::from_mins(1), SignedDuration::from_hours(24 * 30));
/// The most customers of one chunk.
const CHUNK_LIMIT: usize = 1_000;

/// How long a copy may be kept.
pub(super) fn lease(seconds: u64) -> Result<SignedDuration, Error> {
    let lease = i64::try_from(seconds).map_or(SignedDuration::MAX, SignedDuration::from_secs);
    if (LEASE.0..=LEASE.1).contains(&lease) {
        return Ok(lease);
    }
    Err(Error::invalid(
        "lease_seconds",
        format!("{seconds} seconds"),
        "give 60 to 2592000: 1 minute to 30 days",
    ))
}

/// One chunk's customers; `chunk` counts from 1 and stands in errors.
pub(super) fn customers(
    rows: Vec<wire::EntrustedCustomer>,
    format: &AccountFormat,
    chunk: u64,
) -> Result<Vec<Customer>, Error> {
    each(rows, chunk, |row| customer(row, format))
}

/// One chunk's customers as digests.
pub(super) fn blind_customers(
    rows: Vec<wire::BlindCustomer>,
    chunk: u64,
) -> Result<Vec<BlindCustomer>, Error> {
    each(rows, chunk, |row| {
        let length = row.digests.len();
        let customer = BlindCustomer::try_from(row)?;
        check_digests(&customer.digests).map_err(|_| {
            let remedy = format!(
                "give them as rules version {RULES_VERSION} makes them, {MAX_DIGESTS_BYTES} bytes at most"
            );
            Error::invalid("digests", format!("{length} bytes that are no digests"), remedy)
        })?;
        Ok(customer)
    })
}

/// How digests are made, if this server can compare them.
pub(super) fn blinding(key: &[u8], rules_version: u32) -> Result<Blinding, Error> {
    let key = DigestKey::parse(key)?;
    if rules_version != RULES_VERSION {
        let problem = format!(
            "the digests are of rules version {rules_version}, and this server compares {RULES_VERSION}"
        );
        let remedy = "have both servers upgraded to one version, then entrust again";
        return Err(Error::new(ErrorKind::FailedPrecondition, problem, remedy).at("rules_version"));
    }
    Ok(Blinding { key, rules_version })
}

fn each<R, C>(
    rows: Vec<R>,
    chunk: u64,
    mut read: impl FnMut(R) -> Result<C, Error>,
) -> Result<Vec<C>, Error> {
    if !(1..=CHUNK_LIMIT).contains(&rows.len()) {
        let problem = format!("{} customers in chunk {chunk}", rows.len());
        return Err(Error::invalid("customers", problem, "send 1 to 1,000 in one chunk"));
    }
    let rows = rows.into_iter().enumerate().map(|(index, row)| {
        read(row).map_err(|error| {
            let field = format!("customers[{index}].{}", error.field);
            Error { problem: format!("{}, in chunk {chunk}", error.problem), ..error }.at(field)
        })
    });
    rows.collect()
}

fn customer(row: wire::EntrustedCustomer, format: &AccountFormat) -> Result<Customer, Error> {
    let customer_id = row.customer_id.parse()?;
    for (field, text) in [
        ("name", &row.name),
        ("name_kana", &row.name_kana),
        ("address", &row.address),
        ("branch_number", &row.branch_number),
    ] {
        if text.len() > MAX_INPUT_BYTES {
            let problem = format!("{} bytes", text.len());
            return Err(Error::invalid(field, problem, format!("give at most {MAX_INPUT_BYTES} bytes")));
        }
    }
    if row.name.trim().is_empty() {
        return Err(Error::invalid("name", "empty", "give the name as in the master"));
    }
    parse_birth_date(&row.birth_date)
        .map_err(|_| Error::invalid("birth_date", shape(&row.birth_date), "give the date as YYYY-MM-DD"))?;
    let account_key = account_key(&row.account_number, format).map_err(|_| {
        let remedy = format!("give at most {} digits", format.account_digits);
        Error::invalid("account_number", shape(&row.account_number), remedy)
    })?;
    Ok(Customer {
        customer_id,
        name: row.name,
        name_kana: row.name_kana,
        birth_date: row.birth_date,
        address: row.address,
        branch_number: row.branch_number,
        account_number: row.account_number,
        account_key,
        identity_verification: String::new(),
    })
}
