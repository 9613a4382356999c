//! A customer as a sealed row: the master's on a company server, and a copy's in custody.
//!
//! One blob holds all that the row says and what matching made of it; beside it stand the customer's id and keyed hashes to find the
//! row by and to tell whether it is the same. Surprising: the blob is no JSON, because a match opens thousands of them a second.

use musubi_domain::{
    customer::{Customer, KeyedCustomer, MatchKeys},
    id::CustomerId,
    vault::{CompanyKeys, LOOK_UP_BYTES, LookUp, Place},
};

use super::keys::other_kind;
use crate::StoreError;

/// What stands of a customer in a row besides the id.
pub(crate) struct SealedCustomer {
    /// Finds the row.
    pub(crate) account_key: [u8; LOOK_UP_BYTES],
    /// Tells whether two rows of the same customer are the same.
    pub(crate) fingerprint: [u8; LOOK_UP_BYTES],
    /// The rest.
    pub(crate) record: Vec<u8>,
}

/// What an account number is found by.
pub(crate) fn account_key(keys: &CompanyKeys, account: &str) -> [u8; LOOK_UP_BYTES] {
    keys.look_up(LookUp::Account, &[account.as_bytes()])
}

/// Seals a customer of the master.
pub(crate) fn seal_customer(
    keys: &CompanyKeys,
    customer: &Customer,
    match_keys: &[u8],
) -> Result<SealedCustomer, StoreError> {
    let id = [customer.customer_id.as_str().as_bytes()];
    let place = Place { table: CUSTOMERS, row: &id };
    let mut parts: [&[u8]; 9] = [&[]; 9];
    parts[0] = id[0];
    parts[1..].copy_from_slice(&fields(customer).map(str::as_bytes));
    Ok(SealedCustomer {
        account_key: account_key(keys, &customer.account_key),
        fingerprint: keys.look_up(LookUp::Customer, &parts),
        record: keys.seal(place, &plain(customer, match_keys))?,
    })
}

/// A customer of the master.
pub(crate) fn open_customer(
    keys: &CompanyKeys,
    id: &str,
    rules_version: u32,
    record: &[u8],
) -> Result<KeyedCustomer, StoreError> {
    let row = [id.as_bytes()];
    let place = Place { table: CUSTOMERS, row: &row };
    read(place, id.parse()?, rules_version, &keys.open(place, record)?)
}

/// Seals a customer of a copy in custody.
pub(crate) fn seal_entrusted(
    keys: &CompanyKeys,
    copy: i64,
    customer: &Customer,
    match_keys: &[u8],
) -> Result<SealedCustomer, StoreError> {
    let account_key = account_key(keys, &customer.account_key);
    let copy = copy.to_string();
    let row = [copy.as_bytes(), &account_key, customer.customer_id.as_str().as_bytes()];
    let place = Place { table: ENTRUSTED, row: &row };
    let record = keys.seal(place, &plain(customer, match_keys))?;
    Ok(SealedCustomer { account_key, fingerprint: [0; LOOK_UP_BYTES], record })
}

/// A customer of a copy in custody.
pub(crate) fn open_entrusted(
    keys: &CompanyKeys,
    (copy, account_key, id): (i64, &[u8], &str),
    rules_version: u32,
    record: &[u8],
) -> Result<KeyedCustomer, StoreError> {
    let copy = copy.to_string();
    let row = [copy.as_bytes(), account_key, id.as_bytes()];
    let place = Place { table: ENTRUSTED, row: &row };
    read(place, id.parse()?, rules_version, &keys.open(place, record)?)
}

/// A customer from before there was a vault: an array of texts, the last of them the keys of matching as hexadecimal digits.
pub(super) fn from_clear(place: Place<'_>, id: &str, text: &[u8]) -> Result<KeyedCustomer, StoreError> {
    let texts: [String; 9] = serde_json::from_slice(text).map_err(|_| other_kind(place))?;
    let [texts @ .., digits] = texts;
    let bytes = digits.as_bytes().chunks(2).map(|pair| {
        let pair = std::str::from_utf8(pair).map_err(|_| other_kind(place))?;
        u8::from_str_radix(pair, 16).map_err(|_| other_kind(place))
    });
    let keys = MatchKeys { rules_version: 0, bytes: bytes.collect::<Result<_, _>>()? };
    Ok(KeyedCustomer { customer: of_fields(id.parse()?, texts), keys })
}

/// The customer in an opened record.
pub(super) fn from_plain(place: Place<'_>, id: &str, text: &[u8]) -> Result<KeyedCustomer, StoreError> {
    read(place, id.parse()?, 0, text)
}

const CUSTOMERS: &str = super::Relation::Customers.table();
const ENTRUSTED: &str = super::Relation::Entrusted.table();

fn fields(customer: &Customer) -> [&str; 8] {
    [
        &customer.name,
        &customer.name_kana,
        &customer.birth_date,
        &customer.address,
        &customer.branch_number,
        &customer.account_number,
        &customer.account_key,
        &customer.identity_verification,
    ]
}

fn of_fields(customer_id: CustomerId, fields: [String; 8]) -> Customer {
    let [
        name,
        name_kana,
        birth_date,
        address,
        branch_number,
        account_number,
        account_key,
        identity_verification,
    ] = fields;
    Customer {
        customer_id,
        name,
        name_kana,
        birth_date,
        address,
        branch_number,
        account_number,
        account_key,
        identity_verification,
    }
}

/// Each field with its length in front; what is behind the last is what matching made of it.
fn plain(customer: &Customer, match_keys: &[u8]) -> Vec<u8> {
    let fields = fields(customer);
    let length: usize = fields.iter().map(|field| field.len() + 4).sum();
    let mut text = Vec::with_capacity(length + match_keys.len());
    for field in fields {
        text.extend_from_slice(&u32::try_from(field.len()).unwrap_or(u32::MAX).to_be_bytes());
        text.extend_from_slice(field.as_bytes());
    }
    text.extend_from_slice(match_keys);
    text
}

fn read(
    place: Place<'_>,
    customer_id: CustomerId,
    rules_version: u32,
    text: &[u8],
) -> Result<KeyedCustomer, StoreError> {
    let mut rest = text;
    let mut fields = <[String; 8]>::default();
    for field in &mut fields {
        let (length, behind) = rest.split_first_chunk().ok_or_else(|| other_kind(place))?;
        let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| other_kind(place))?;
        let (bytes, behind) = behind.split_at_checked(length).ok_or_else(|| other_kind(place))?;
        *field = std::str::from_utf8(bytes).map_err(|_| other_kind(place))?.to_owned();
        rest = behind;
    }
    let keys = MatchKeys { rules_version, bytes: rest.to_vec() };
    Ok(KeyedCustomer { customer: of_fields(customer_id, fields), keys })
}
